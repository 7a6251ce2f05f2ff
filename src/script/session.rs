//! Variables and functions that outlive a cell, and the evaluation of scripts and cells.

use std::collections::{BTreeSet, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rhai::{AST, ASTNode, Caches, Dynamic, Engine, EvalAltResult, Expr, GlobalRuntimeState, Position, Scope, Stmt};

use crate::error::Error;
use crate::options::Value;
use crate::script::complete::Function;
use crate::script::imports::{self, Imports};
use crate::script::results::Results;
use crate::script::{Diagnostic, Exit, Fallible, Host, calls, diagnostic, display};

/// The stack of the thread that scripts run on. Rhai evaluates by recursion, some kilobytes a level.
pub const STACK: usize = 512 << 20;

/// An evaluation that outlives its cells.
pub struct Session {
    host: Arc<Host>,
    engine: Arc<Engine>,
    scope: Scope<'static>,
    functions: AST,
    global: GlobalRuntimeState,
    folder: PathBuf,
    cells: usize,
    results: Results,
}

/// Results of cells that are kept; older ones are let go, so that their tensors are freed.
const RESULTS: usize = 20;

/// Runs `work` on a thread with a stack large enough for scripts.
///
/// # Errors
/// The thread could not be started, or it panicked.
pub fn on_script_thread<R: Send>(work: impl FnOnce() -> R + Send) -> crate::Result<R> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("script".into())
            .stack_size(STACK)
            .spawn_scoped(scope, || among_workers(work))
            .map_err(|error| Error::new(format!("cannot start the thread that scripts run on: {error}")))?;
        thread.join().map_err(|payload| diagnostic::panicked(payload.as_ref()).error)
    })
}

/// Runs `work` on this thread as one of those that operators are shared out to, where it would give each away and sleep until that
/// is done. The others are its own: what it waits for is never another script's work.
pub fn among_workers<R>(work: impl FnOnce() -> R) -> R {
    let workers =
        rayon::ThreadPoolBuilder::new().num_threads(rayon::current_num_threads()).use_current_thread().build();
    let result = work();
    // Without them, operators are given to the threads of the process.
    drop(workers);
    result
}

impl Session {
    /// A session whose imports are looked for in `folder`.
    pub fn new(host: Arc<Host>, folder: &Path) -> Self {
        let engine = super::engine(&host);
        Self::with(host, engine, folder)
    }

    #[allow(deprecated)] // Rhai marks its internals as volatile by calling them deprecated.
    fn with(host: Arc<Host>, mut engine: Engine, folder: &Path) -> Self {
        engine.set_module_resolver(Imports::new(&host, folder));
        let engine = Arc::new(engine);
        host.set_engine(&engine);
        host.set_folder(folder);
        let global = engine.new_global_runtime_state();
        Self {
            host,
            engine,
            scope: Scope::new(),
            functions: AST::empty(),
            global,
            folder: folder.to_path_buf(),
            cells: 0,
            results: Results::new(RESULTS),
        }
    }

    /// What bound functions share.
    pub fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Evaluates the next cell. Variables set before an error stay set.
    ///
    /// # Errors
    /// What went wrong, with its place.
    pub fn cell(&mut self, text: &str) -> Result<Dynamic, Diagnostic> {
        self.cells += 1;
        let name = format!("cell [{}]", self.cells);
        self.eval(&name, text)
    }

    /// Evaluates a whole script.
    ///
    /// # Errors
    /// What went wrong, with its place.
    pub fn run(&mut self, name: &str, text: &str) -> Result<Dynamic, Diagnostic> {
        let ast = self.compile(name, text)?;
        // A name that the script never asks for, or a value that does not fit, is found before the expensive part.
        let asked = self.asked(&ast);
        if let Some(asked) = &asked {
            self.host.check_params(&asked.iter().map(|asked| asked.name.clone()).collect::<Vec<_>>())?;
            for Asked { name, default, place } in asked {
                if let Some(default) = default {
                    self.host
                        .check_param(name, default)
                        .map_err(|error| self.diagnose(&super::raise(error, *place)))?;
                }
            }
        }
        let value = self.eval_compiled(&ast)?;
        if asked.is_none() {
            self.host.check_params(&self.host.asked().into_keys().collect::<Vec<_>>())?;
        }
        Ok(value)
    }

    /// Evaluates `text` as the source called `name`.
    ///
    /// # Errors
    /// What went wrong, with its place.
    pub fn eval(&mut self, name: &str, text: &str) -> Result<Dynamic, Diagnostic> {
        let ast = self.compile(name, text)?;
        self.eval_compiled(&ast)
    }

    fn compile(&mut self, name: &str, text: &str) -> Result<AST, Diagnostic> {
        let prepared = {
            let (host, engine, functions) = (&self.host, &self.engine, &self.functions);
            let is_function = |called: &str| {
                functions.iter_functions().any(|f| f.name == called) || host.manual(engine).is_function(called)
            };
            calls::prepare(text, self.variables(), is_function)
        };
        let lines_before = self.host.sources().add(name, text, prepared.inserted);
        let shifted = format!("{}{}", "\n".repeat(lines_before), prepared.text);
        let compiled = catch_unwind(AssertUnwindSafe(|| self.engine.compile_with_scope(&self.scope, &shifted)));
        match compiled {
            Ok(Ok(ast)) => {
                display::note_functions(&ast);
                Ok(ast)
            }
            Ok(Err(error)) => Err(self.diagnose(&error.into())),
            Err(payload) => Err(diagnostic::panicked(payload.as_ref())),
        }
    }

    fn eval_compiled(&mut self, ast: &AST) -> Result<Dynamic, Diagnostic> {
        self.functions = self.functions.merge(&ast.clone_functions_only());
        let result = catch_unwind(AssertUnwindSafe(|| self.statements(ast)));
        self.global.level = 0;
        self.global.scope_level = 0;
        self.global.source = None;
        self.publish();
        self.compact();
        match result {
            // A loop that was interrupted gave what it had reached; the cell ends here all the same.
            Ok(Ok(_)) if self.host.front().interactive() && self.host.stop().raised() => {
                Err(Error::interrupted("interrupted")
                    .help("what a training had reached is kept; its `train` goes on")
                    .into())
            }
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => match exit_value(&error) {
                Some(value) => Ok(value),
                None => Err(self.diagnose(&error)),
            },
            Err(payload) => Err(diagnostic::panicked(payload.as_ref())),
        }
    }

    /// Evaluates the statements one by one, so that functions see the variables set so far.
    #[allow(deprecated)] // Rhai marks its internals as volatile by calling them deprecated.
    fn statements(&mut self, ast: &AST) -> Fallible<Dynamic> {
        self.global.lib.clear();
        self.global.lib.push(self.functions.shared_lib().clone());
        let mut caches = Caches::new();
        let mut value = Dynamic::UNIT;
        let mut rest = ast.statements();
        while let Some(first) = rest.first() {
            // After a `return` nothing more runs: what follows it goes in one piece.
            let count = if returns(first) { rest.len() } else { 1 };
            let (now, later) = rest.split_at(count);
            value = self.engine.eval_statements_raw(&mut self.global, &mut caches, &mut self.scope, now)?;
            self.publish();
            rest = later;
        }
        Ok(value.flatten())
    }

    /// Lets functions see the top-level variables. Each becomes a shared value, so that a later change is seen too.
    fn publish(&mut self) {
        let names: Vec<(String, bool, bool)> = self
            .scope
            .iter_raw()
            .map(|(name, constant, value)| (name.to_string(), constant, value.is_shared()))
            .collect();
        for (name, constant, shared) in names {
            if constant {
                if let Some(value) = self.scope.get(&name) {
                    self.host.publish(&name, value.clone());
                }
            } else if !shared && let Some(value) = self.scope.get_mut(&name) {
                let inner = std::mem::take(value);
                *value = inner.into_shared();
                self.host.publish(&name, value.clone());
            }
        }
    }

    /// Keeps the last variable of each name: Rhai keeps those it shadows alive.
    fn compact(&mut self) {
        let mut seen = HashSet::new();
        let mut entries: Vec<_> = std::mem::take(&mut self.scope).into_iter().collect();
        entries.reverse();
        entries.retain(|(name, _, _)| seen.insert(name.clone()));
        for (name, value, _) in entries.into_iter().rev() {
            // Whether it is a constant goes with the value.
            self.scope.push_dynamic(name, value);
        }
    }

    /// How long it takes to evaluate `text` this many times over.
    ///
    /// # Errors
    /// What went wrong, with its place.
    pub fn time(&mut self, name: &str, text: &str, loops: usize) -> Result<Duration, Diagnostic> {
        let ast = self.compile(name, text)?;
        let from = Instant::now();
        for _ in 0..loops {
            drop(self.eval_compiled(&ast)?);
        }
        Ok(from.elapsed())
    }

    /// Keeps the text of a cell as `In[number]`.
    pub fn keep_input(&mut self, number: usize, text: &str) {
        self.results.input(number, text);
        for (name, value) in self.results.variables() {
            if !self.scope.contains(name) {
                self.scope.push_dynamic(name, value);
            }
        }
    }

    /// Keeps the value of a cell as `Out[number]` and `ans`.
    pub fn keep_result(&mut self, number: usize, value: Dynamic) {
        self.results.output(number, value.flatten_clone());
        self.set("ans", value);
    }

    /// Whether a variable is one that the session sets by itself.
    pub fn is_own(&self, name: &str) -> bool {
        matches!(name, "ans" | "In" | "Out")
    }

    fn set(&mut self, name: &str, value: Dynamic) {
        self.scope.push_dynamic(name, value.flatten());
        self.publish();
        self.compact();
    }

    /// Sets a variable.
    pub fn set_value(&mut self, name: &str, value: &Value) {
        self.set(name, super::args::dynamic_of(value));
    }

    /// Gives a parameter: `param(name, ..)` answers with it from now on, and a variable of that name takes it at once.
    ///
    /// # Errors
    /// The variable's value is of another kind.
    pub fn give(&mut self, name: &str, value: &Value) -> crate::Result<()> {
        self.host.give(name, value);
        if self.scope.contains(name) {
            self.set_value(name, value);
        }
        Ok(())
    }

    /// Forgets variables, functions and results.
    #[allow(deprecated)] // Rhai marks its internals as volatile by calling them deprecated.
    pub fn reset(&mut self) {
        self.scope.clear();
        self.functions = AST::empty();
        self.global = self.engine.new_global_runtime_state();
        self.results = Results::new(RESULTS);
        self.host.forget();
    }

    /// The type and the value of a variable, each on a line.
    pub fn described(&self, name: &str) -> (String, String) {
        match self.variable(name) {
            Some(value) => (self.type_word(&value), super::display::short(&value)),
            None => (String::new(), "in use".into()),
        }
    }

    /// What scripts call the type of a value.
    pub fn type_word(&self, value: &Dynamic) -> String {
        super::manual::word(self.engine.map_type_name(value.type_name())).to_string()
    }

    /// Whether `text` can be evaluated as it stands.
    pub fn completeness(&self, text: &str) -> Completeness {
        completeness(&self.engine, text)
    }

    /// The names of variables, in the order they were first set.
    pub fn variables(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        self.scope.iter_raw().map(|(name, _, _)| name.to_string()).filter(|name| seen.insert(name.clone())).collect()
    }

    /// The value of a variable.
    pub fn variable(&self, name: &str) -> Option<Dynamic> {
        self.scope.get(name).filter(|value| !value.is_locked()).map(Dynamic::flatten_clone)
    }

    /// The functions that scripts defined.
    pub fn functions(&self) -> Vec<Function> {
        self.functions
            .iter_functions()
            .filter(|function| !function.name.starts_with("anon$"))
            .map(|function| {
                let params: Vec<String> = function.params.iter().map(ToString::to_string).collect();
                let doc = function.comments.iter().map(|line| line.trim_start_matches('/').trim()).collect::<Vec<_>>();
                Function {
                    name: function.name.to_string(),
                    usage: format!("{}({})", function.name, params.join(", ")),
                    params,
                    doc: doc.join("\n"),
                }
            })
            .collect()
    }

    /// The message for a failed evaluation.
    pub fn diagnose(&self, error: &EvalAltResult) -> Diagnostic {
        let context = diagnostic::Context {
            host: &self.host,
            manual: self.host.manual(&self.engine),
            functions: self.functions().into_iter().map(|function| (function.name, function.params.len())).collect(),
            variables: self.variables(),
        };
        Diagnostic::of(error, &context)
    }

    /// The parameters that a script and its imports ask for; nothing if the name of one is not written out.
    fn asked(&self, ast: &AST) -> Option<Vec<Asked>> {
        let mut seen = HashSet::new();
        let mut names = Vec::new();
        self.collect_asked(ast, &self.folder, &mut seen, &mut names).then_some(names)
    }

    fn collect_asked(&self, ast: &AST, folder: &Path, seen: &mut HashSet<PathBuf>, names: &mut Vec<Asked>) -> bool {
        let mut all_known = true;
        let mut imported = Vec::new();
        ast.walk(&mut |path: &[ASTNode]| {
            match path.last() {
                Some(ASTNode::Expr(Expr::FnCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _)))
                    if call.name == "param" =>
                {
                    match call.args.first() {
                        Some(Expr::StringConstant(name, place)) => {
                            // Places in an import are not told apart here; its values are read when it asks.
                            let default = call.args.get(1).filter(|_| seen.is_empty()).and_then(constant);
                            names.push(Asked { name: name.to_string(), default, place: *place });
                        }
                        _ => all_known = false,
                    }
                }
                Some(ASTNode::Stmt(Stmt::Import(import, _))) => match &import.0 {
                    Expr::StringConstant(name, _) => imported.push(name.to_string()),
                    _ => all_known = false,
                },
                _ => {}
            }
            true
        });
        for name in imported {
            let path = imports::file_of(folder, &name);
            if !seen.insert(path.clone()) {
                continue;
            }
            // An import that cannot be read is reported when it is evaluated.
            match imports::compile(&self.host, &self.engine, &path, Position::NONE) {
                Ok(ast) => all_known &= self.collect_asked(&ast, path.parent().unwrap_or(folder), seen, names),
                Err(_) => all_known = false,
            }
        }
        all_known
    }
}

/// A parameter that a script asks for.
struct Asked {
    name: String,
    /// The default, if it is written out.
    default: Option<Value>,
    place: Position,
}

/// The value of an expression that is written out.
fn constant(expr: &Expr) -> Option<Value> {
    match expr {
        Expr::BoolConstant(value, _) => Some(Value::Bool(*value)),
        Expr::IntegerConstant(value, _) => Some(Value::Int(*value)),
        Expr::FloatConstant(value, _) => Some(Value::Float(**value)),
        Expr::StringConstant(value, _) => Some(Value::Text(value.to_string())),
        _ => None,
    }
}

/// What `exit(value)` ended a script with.
fn exit_value(error: &EvalAltResult) -> Option<Dynamic> {
    match error {
        EvalAltResult::ErrorTerminated(value, _) => value.clone().try_cast::<Exit>().map(|exit| exit.0),
        _ => None,
    }
}

/// Whether a statement holds a `return` of the script itself.
fn returns(statement: &Stmt) -> bool {
    let mut found = false;
    statement.walk(&mut Vec::new(), &mut |path: &[ASTNode]| {
        found |= matches!(path.last(), Some(ASTNode::Stmt(Stmt::Return(..))));
        !found
    });
    found
}

/// Whether a text is a whole cell, needs more lines, or will never be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// It can be evaluated.
    Complete,
    /// More lines are wanted.
    Incomplete,
    /// No further line mends it.
    Invalid,
}

/// Whether `text` can be evaluated as it stands.
pub fn completeness(engine: &Engine, text: &str) -> Completeness {
    use rhai::{LexError, ParseErrorType as P};
    let Err(error) = engine.compile(text) else {
        // A comment that is not closed parses.
        return if calls::open_comment(text) { Completeness::Incomplete } else { Completeness::Complete };
    };
    let lines = text.lines().count();
    let last = text.lines().last().map_or(0, |line| line.chars().count());
    let place = error.position();
    let at_end = place.is_none()
        || place.line().is_some_and(|line| line > lines || (line == lines && place.position().unwrap_or(0) >= last));
    let incomplete = match error.err_type() {
        P::UnexpectedEOF => true,
        // A string in quotes cannot go over lines; one in backticks can.
        P::BadInput(LexError::UnterminatedString) => place.line().is_none_or(|line| {
            text.lines().nth(line.saturating_sub(1)).is_some_and(|line| line.contains('`')) || line >= lines
        }),
        P::MissingToken(..)
        | P::ExprExpected(_)
        | P::FnMissingBody(_)
        | P::FnMissingParams(_)
        | P::MissingSymbol(_)
        | P::PropertyExpected
        | P::VariableExpected => at_end,
        _ => false,
    };
    if incomplete { Completeness::Incomplete } else { Completeness::Invalid }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Stop;
    use crate::script::{Given, Mute};

    fn session() -> Session {
        let host = Host::new(Box::new(Mute), Stop::default(), Given::default());
        let mut engine = crate::script::engine(&host);
        engine.register_fn("panics", || -> i64 { panic!("upside down") });
        Session::with(host, engine, Path::new(""))
    }

    #[test]
    fn a_panic_is_our_bug_and_the_session_lives_on() {
        on_script_thread(|| {
            let mut session = session();
            drop(session.cell("let a = 1;").unwrap());
            let error = session.cell("let b = 2; panics();").unwrap_err().error;
            assert!(error.message.starts_with("the program failed inside: upside down"), "{error}");
            assert!(error.help.unwrap().contains("this is a bug in fewlab"));
            assert_eq!(session.cell("a + b").unwrap().as_int(), Ok(3));
        })
        .unwrap();
    }

    #[test]
    fn a_name_set_again_keeps_one_value() {
        on_script_thread(|| {
            let mut session = session();
            for _ in 0..5 {
                drop(session.cell("let t = tensor::zeros([3]); const K = 1; let t = tensor::zeros([4]);").unwrap());
            }
            assert_eq!(session.scope.len(), 2);
            assert_eq!(session.cell("K = 2").unwrap_err().error.message, "`K` is a constant");
        })
        .unwrap();
    }

    #[test]
    fn a_stop_ends_an_endless_loop_and_no_catch_holds_it_up() {
        on_script_thread(|| {
            let mut session = session();
            let stop = session.host().stop().clone();
            let raiser = std::thread::spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(30));
                stop.raise();
            });
            assert!(session.cell("let x = 0; loop { try { loop { x += 1; } } catch { } }").unwrap_err().is_interrupt());
            raiser.join().unwrap();
            session.host().stop().clear();
            assert!(session.cell("x").unwrap().as_int().unwrap() > 0);
        })
        .unwrap();
    }

    #[test]
    fn a_cell_is_whole_when_no_line_could_be_missing() {
        let session = session();
        let of = |text: &str| completeness(session.engine(), text);
        for text in ["1 + 1", "let a = 1;", "if true { 1 }", "// note", "`a\nb`", "fn f(x) { x }", "data.train"] {
            assert_eq!(of(text), Completeness::Complete, "{text}");
        }
        for text in
            ["if true {", "fn f(x) {", "let a = ", "f(1,", "#{ a: 1,", "[1, 2", "/* note", "1 +", "`a", "fn f(", "let"]
        {
            assert_eq!(of(text), Completeness::Incomplete, "{text}");
        }
        for text in ["let let = 3", "1 + )", "let a = \"b\nlet c = 1;", "}"] {
            assert_eq!(of(text), Completeness::Invalid, "{text}");
        }
    }
}
