//! What bound functions share: the front end, the parameters, the seed, the names that functions can see.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};

use rhai::{Dynamic, Engine, EvalAltResult, Position};

use crate::config::{self, Config, Origin};
use crate::error::{Error, Result};
use crate::options::{Settings, Value};
use crate::progress::{Job, Observer, Picture, Silent, Stop};
use crate::rust_cell::RustCell;
use crate::script::bind;
use crate::script::display::Display;
use crate::script::manual::{self, Manual};
use crate::script::rust_cell;
use crate::table;
use crate::tensor::{self, Device, Rng};

/// The outside of a session: a terminal, a run, a notebook.
pub trait Front: Send + Sync {
    /// A line that the script printed.
    fn print(&self, text: &str);
    /// A line for the person that is no result: a warning, an error that was caught.
    fn complain(&self, text: &str) {
        self.print(text);
    }
    /// A value that the script showed.
    fn show(&self, display: &Display);
    /// A value that stands in one place under a name: shown there the first time, replaced after that.
    fn show_again(&self, _id: &str, display: &Display, _first: bool) {
        self.show(display);
    }
    /// Whether what [`Front::show_again`] shows replaces what stood there.
    fn replaces(&self) -> bool {
        false
    }
    /// Takes back what the cell has shown so far; with `wait` when the next output comes.
    fn clear(&self, _wait: bool) {}
    /// A line that the person types, hidden if it is `secret`.
    fn input(&self, _prompt: &str, _secret: bool) -> Result<String> {
        Err(Error::new("nobody is there to answer `input`").help("run the script in a terminal or a notebook"))
    }
    /// Whether a person goes on after an interrupt: a training loop then gives what it has reached.
    fn interactive(&self) -> bool {
        false
    }
    /// Who watches the script's long jobs.
    fn observer(&self) -> Arc<dyn Observer>;
    /// A result worth keeping, under a name: `scores`, `labels`, `data`. Kept with a run, if there is one.
    fn record(&self, name: &str, value: &serde_json::Value) -> Result<()>;
    /// A parameter that the script asked for, with the value it got.
    fn asked(&self, _name: &str, _value: &Value) -> Result<()> {
        Ok(())
    }
    /// The options of a call, each with where it came from.
    fn configured(&self, _config: &Config) -> Result<()> {
        Ok(())
    }
    /// A picture worth keeping, under a name. Where it lies, if it was kept.
    fn picture(&self, name: &str, picture: &Picture) -> Result<Option<String>>;
}

/// The outside of a session that only answers a question: nothing is said or kept.
pub struct Mute;

impl Front for Mute {
    fn print(&self, _text: &str) {}
    fn show(&self, _display: &Display) {}
    fn observer(&self) -> Arc<dyn Observer> {
        Arc::new(Silent)
    }
    fn record(&self, _name: &str, _value: &serde_json::Value) -> Result<()> {
        Ok(())
    }
    fn picture(&self, _name: &str, _picture: &Picture) -> Result<Option<String>> {
        Ok(None)
    }
}

/// What a person asked for when the session began.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Parameters by name, as given by `--set`; a name with points is an option's: `gan.d_lr`, `gan.train.d_lr`.
    pub params: BTreeMap<String, String>,
    /// The file that parameters came from, for those that did.
    pub files: BTreeMap<String, String>,
    /// The seed of the script's own random draws, and of a parameter called `seed`; 1 if not given.
    pub seed: Option<u64>,
    /// The device's name: `auto`, `cpu`, `cuda`, `cuda:N`.
    pub device: String,
}

impl Given {
    /// The seed of the script's own random draws.
    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or(1)
    }
}

/// What bound functions share.
pub struct Host {
    front: Box<dyn Front>,
    stop: Stop,
    given: Given,
    /// Parameters that were given after the session began.
    later: Mutex<BTreeMap<String, String>>,
    asked: Mutex<BTreeMap<String, Value>>,
    /// What `config::load` read, by path.
    loaded: Mutex<Vec<(String, Vec<(String, Value)>)>>,
    /// Given options that a call has taken.
    taken: Mutex<BTreeSet<String>>,
    /// The last configuration of each function.
    configs: Mutex<BTreeMap<String, Config>>,
    engine: OnceLock<Weak<Engine>>,
    manual: OnceLock<Manual>,
    globals: Globals,
    /// The variables of the session that this one stands beside, which can be read here.
    outer: Option<Globals>,
    raised: Mutex<Option<(Error, Box<EvalAltResult>)>>,
    sources: Mutex<Sources>,
    draws: AtomicU64,
    shown: AtomicU64,
    device: OnceLock<Device>,
    /// What Rust cells define; sessions beside this one share it.
    rust: Arc<RustCell>,
    folder: OnceLock<PathBuf>,
}

/// Top-level variables by name.
type Globals = Arc<RwLock<HashMap<String, Dynamic>>>;

/// A lock whose holder panicked is taken all the same: each value here is replaced whole.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Host {
    /// The state of a new session.
    pub fn new(front: Box<dyn Front>, stop: Stop, given: Given) -> Arc<Self> {
        Arc::new(Self {
            front,
            stop,
            given,
            later: Mutex::default(),
            asked: Mutex::default(),
            loaded: Mutex::default(),
            taken: Mutex::default(),
            configs: Mutex::default(),
            engine: OnceLock::new(),
            manual: OnceLock::new(),
            globals: Globals::default(),
            outer: None,
            raised: Mutex::default(),
            sources: Mutex::default(),
            draws: AtomicU64::new(0),
            shown: AtomicU64::new(0),
            device: OnceLock::new(),
            rust: Arc::default(),
            folder: OnceLock::new(),
        })
    }

    /// The state of a session beside this one, which can read its variables and has its own.
    pub fn beside(&self, front: Box<dyn Front>, stop: Stop) -> Arc<Self> {
        Arc::new(Self {
            front,
            stop,
            given: self.given.clone(),
            later: Mutex::new(held(&self.later).clone()),
            asked: Mutex::default(),
            loaded: Mutex::default(),
            taken: Mutex::default(),
            configs: Mutex::default(),
            engine: OnceLock::new(),
            manual: OnceLock::new(),
            globals: Globals::default(),
            outer: Some(Arc::clone(&self.globals)),
            raised: Mutex::default(),
            sources: Mutex::default(),
            draws: AtomicU64::new(0),
            shown: AtomicU64::new(0),
            device: self.device.clone(),
            rust: Arc::clone(&self.rust),
            folder: OnceLock::new(),
        })
    }

    /// Whether the session stands beside another one.
    pub fn is_beside(&self) -> bool {
        self.outer.is_some()
    }

    /// The outside of the session.
    pub fn front(&self) -> &dyn Front {
        self.front.as_ref()
    }

    /// How the session is asked to stop.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// What a long job is given.
    pub fn job(&self) -> Job {
        Job { observer: self.front.observer(), stop: self.stop.clone(), keep: self.front.interactive() }
    }

    /// What a person asked for when the session began.
    pub fn given(&self) -> &Given {
        &self.given
    }

    /// Where tensors are made.
    ///
    /// # Errors
    /// There is no such device.
    pub fn device(&self) -> Result<Device> {
        match self.device.get() {
            Some(device) => Ok(device.clone()),
            None => {
                let name = if self.given.device.is_empty() { "auto" } else { self.given.device.as_str() };
                let device = tensor::device(name)?;
                Ok(self.device.get_or_init(|| device).clone())
            }
        }
    }

    /// The stream of random numbers of the script's next draw: of the seed and of how many draws came before.
    pub fn rng(&self) -> Rng {
        Rng::new(self.given.seed()).stream("script").at(self.draws.fetch_add(1, Ordering::Relaxed))
    }

    /// A name that is given once in this session.
    pub fn fresh_id(&self) -> String {
        format!("shown-{}-{}", std::process::id(), self.shown.fetch_add(1, Ordering::Relaxed))
    }

    /// A seed for something the script builds, from its next draw.
    pub fn next_seed(&self) -> u64 {
        self.rng().below(1 << 31) as u64
    }

    /// The parameters that the script asked for, with the values it was given.
    pub fn asked(&self) -> BTreeMap<String, Value> {
        held(&self.asked).clone()
    }

    /// The value of the parameter `name`: what was given, read as the kind of value that `default` is.
    pub fn param(&self, name: &str, default: Value) -> Result<Value> {
        let later = held(&self.later).get(name).cloned();
        let value = match (later.as_ref().or(self.given.params.get(name)), self.given.seed) {
            (Some(given), _) => read_param(name, given, &default)?,
            (None, Some(seed)) if name == "seed" => Value::Int(seed as i64),
            (None, _) => default,
        };
        held(&self.asked).insert(name.to_string(), value.clone());
        self.front.asked(name, &value)?;
        Ok(value)
    }

    /// Gives a parameter while the session goes on.
    pub fn give(&self, name: &str, value: &Value) {
        let text = match value {
            Value::Text(text) => text.clone(),
            other => other.to_string(),
        };
        held(&self.later).insert(name.to_string(), text);
    }

    /// Forgets the top-level variables, and what Rust cells defined.
    pub(crate) fn forget(&self) {
        self.globals.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.rust.forget();
    }

    /// The error for the first given parameter that is none of `known`, and no option of a function.
    pub fn check_params(&self, known: &[String]) -> Result<()> {
        let (options, params): (Vec<&String>, Vec<&String>) =
            self.given.params.keys().partition(|name| name.contains('.'));
        match params.into_iter().find(|name| !known.contains(name)) {
            Some(name) => Err(table::unknown("parameter", name, known.iter().map(String::as_str))),
            None => options.into_iter().try_for_each(|name| self.check_option(name)),
        }
    }

    /// The error for a given option that no function has, or that does not read as its default does.
    fn check_option(&self, given: &str) -> Result<()> {
        let (place, name) = given.rsplit_once('.').unwrap_or(("", given));
        let functions: Vec<_> = settable().into_iter().filter(|(function, _)| reaches(place, function)).collect();
        if functions.is_empty() {
            let places: BTreeSet<String> = settable()
                .iter()
                .flat_map(|(function, _)| [function.split("::").next().unwrap_or(function).into(), dotted(function)])
                .collect();
            return Err(table::unknown("function with options", place, places.iter().map(String::as_str)));
        }
        let having: Vec<_> =
            functions.iter().filter_map(|(_, settings)| settings.iter().find(|setting| setting.name == name)).collect();
        if having.is_empty() {
            let names = functions.iter().flat_map(|(_, settings)| settings.iter().map(|setting| setting.name));
            let error = Error::new(format!("`{place}` has no option `{name}`"));
            return Err(match table::closest(name, names) {
                Some(near) => error.help(format!("a similar option exists: `{place}.{near}`")),
                None => error.help(format!("`fewlab manual {}` lists its options", functions[0].0)),
            });
        }
        let text = self.given.params.get(given).map_or("", String::as_str);
        // What one of several functions can read, it will be given.
        let tried: Vec<Result<Value>> =
            having.iter().map(|setting| read_param(given, text, &setting.default)).collect();
        match tried.iter().any(Result::is_ok) {
            true => Ok(()),
            false => tried.into_iter().find_map(Result::err).map_or(Ok(()), Err),
        }
    }

    /// The options of `S` that were given from outside, with where from. The longer of two names for one wins.
    pub fn overrides<S: Settings>(&self) -> Result<Vec<(&'static str, Value, Origin)>> {
        let mut out = Vec::new();
        if !is_settable(S::NAME) {
            return Ok(out);
        }
        let defaults = S::default();
        let namespace = S::NAME.split("::").next().unwrap_or(S::NAME);
        for field in S::fields() {
            let keys = [format!("{}.{}", dotted(S::NAME), field.name), format!("{namespace}.{}", field.name)];
            let Some((key, text)) = keys.iter().find_map(|key| self.given.params.get_key_value(key)) else { continue };
            let default = defaults.get(field.name).unwrap_or(Value::Unit);
            let origin = self.given.files.get(key).map_or(Origin::CommandLine, |path| Origin::File(path.clone()));
            out.push((field.name, read_param(key, text, &default)?, origin));
            held(&self.taken).extend(keys);
        }
        Ok(out)
    }

    /// Given options that no call has taken.
    pub fn untaken(&self) -> Vec<String> {
        let taken = held(&self.taken);
        self.given.params.keys().filter(|name| name.contains('.') && !taken.contains(*name)).cloned().collect()
    }

    /// Remembers what a file said, to tell what came from it.
    pub fn remember(&self, path: &str, values: Vec<(String, Value)>) {
        let mut loaded = held(&self.loaded);
        loaded.retain(|(known, _)| known != path);
        loaded.push((path.to_string(), values));
    }

    /// The file that said `value` of the option `name`, the last one read first.
    pub fn file_of(&self, name: &str, value: &Value) -> Option<String> {
        let says = |known: &(String, Value)| {
            known.0.rsplit('.').next() == Some(name) && config::as_argument(&known.1) == config::as_argument(value)
        };
        held(&self.loaded).iter().rev().find(|(_, values)| values.iter().any(says)).map(|(path, _)| path.clone())
    }

    /// Keeps the configuration of a call, unless the last one of the function was the same.
    pub fn configured(&self, config: &Config) -> Result<()> {
        if is_settable(&config.function)
            && held(&self.configs).insert(config.function.clone(), config.clone()).as_ref() != Some(config)
        {
            self.front.configured(config)?;
        }
        Ok(())
    }

    /// The error for a parameter that was given and does not read as its default does.
    pub fn check_param(&self, name: &str, default: &Value) -> Result<()> {
        match self.given.params.get(name) {
            Some(given) => read_param(name, given, default).map(drop),
            None => Ok(()),
        }
    }

    /// The engine, while the session lives.
    pub fn engine(&self) -> Result<Arc<Engine>> {
        self.engine
            .get()
            .and_then(Weak::upgrade)
            .ok_or_else(|| Error::bug("a function was called after its session ended"))
    }

    pub(crate) fn set_engine(&self, engine: &Arc<Engine>) {
        self.engine.get_or_init(|| Arc::downgrade(engine));
    }

    /// What scripts can call.
    pub fn manual(&self, engine: &Engine) -> &Manual {
        self.manual.get_or_init(|| Manual::of(engine))
    }

    /// What scripts can call, with what Rust cells export.
    pub fn whole_manual<'a>(&'a self, engine: &Engine) -> Cow<'a, Manual> {
        let manual = self.manual(engine);
        match self.rust.exports() {
            exports if exports.is_empty() => Cow::Borrowed(manual),
            exports => Cow::Owned(manual.clone().with(exports.iter().map(rust_cell::entry).collect())),
        }
    }

    /// The folder in which a script names its files.
    pub fn folder(&self) -> &Path {
        self.folder.get().map_or(Path::new(""), PathBuf::as_path)
    }

    pub(crate) fn set_folder(&self, folder: &Path) {
        self.folder.get_or_init(|| folder.to_path_buf());
    }

    /// The Rust side of the session.
    pub fn rust(&self) -> &Arc<RustCell> {
        &self.rust
    }

    /// The value of a top-level variable, as a function sees it.
    pub fn global(&self, name: &str) -> Result<Option<Dynamic>> {
        let of = |globals: &Globals| globals.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        match of(&self.globals).or_else(|| self.outer.as_ref().and_then(of)) {
            Some(value) if value.is_locked() => {
                Err(Error::new(format!("`{name}` is in use by a method that still runs"))
                    .help("wait for it, or give the function a copy made before the call"))
            }
            Some(value) => Ok(Some(value.flatten_clone())),
            None => Ok(None),
        }
    }

    /// Lets functions see a top-level variable.
    pub(crate) fn publish(&self, name: &str, value: Dynamic) {
        self.globals.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_string(), value);
    }

    /// The names of top-level variables.
    pub fn global_names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.globals.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        names.sort();
        names
    }

    /// Keeps an error that a script's function raised inside a native call, with its place.
    pub(crate) fn keep_raised(&self, error: Error, raised: Box<EvalAltResult>) {
        *held(&self.raised) = Some((error, raised));
    }

    /// The kept error, if `error` is how it came out of the native call.
    pub(crate) fn take_raised(&self, error: &Error) -> Option<Box<EvalAltResult>> {
        let mut slot = held(&self.raised);
        match slot.take() {
            Some((kept, raised)) if kept == *error => Some(raised),
            _ => None,
        }
    }

    pub(crate) fn sources(&self) -> MutexGuard<'_, Sources> {
        held(&self.sources)
    }

    /// `name:line:column` of a place in the script.
    pub fn place_name(&self, place: Position) -> String {
        match self.sources().locate("", place) {
            Some(place) => format!("{}:{}", place.source, place.line),
            None => place.to_string(),
        }
    }
}

/// A place in a script, with its line.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// A file's path, or `cell [3]`.
    pub source: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// The text of the line.
    pub text: String,
}

/// A text that was evaluated, at lines of its own.
struct Source {
    name: String,
    text: String,
    /// Lines before its first one.
    from: usize,
    /// Characters put in before evaluation: line, column in the evaluated text, count.
    inserted: Vec<(usize, usize, usize)>,
}

/// The texts of a session. Cells get line numbers that no other cell has, so that a position alone says which cell
/// a function came from, however much later it fails.
#[derive(Default)]
pub(crate) struct Sources {
    texts: Vec<Source>,
    lines: usize,
    files: HashMap<String, Source>,
}

/// Positions count lines in 16 bits.
const MOST_LINES: usize = 60_000;

impl Sources {
    /// Takes a text in, and gives the number of empty lines to put before it.
    pub(crate) fn add(&mut self, name: &str, text: &str, inserted: Vec<(usize, usize, usize)>) -> usize {
        let lines = text.lines().count() + 1;
        if self.lines + lines > MOST_LINES {
            // Older functions lose their place rather than name a wrong one.
            self.texts.clear();
            self.lines = 0;
        }
        let from = self.lines;
        self.lines += lines;
        self.texts.push(Source { name: name.into(), text: text.into(), from, inserted });
        from
    }

    /// Takes an imported script in, under its path.
    pub(crate) fn add_file(&mut self, path: &str, text: &str, inserted: Vec<(usize, usize, usize)>) {
        self.files.insert(path.into(), Source { name: path.into(), text: text.into(), from: 0, inserted });
    }

    /// The place that `position` of `source` means; `source` is a path for imported scripts, else empty.
    pub(crate) fn locate(&self, source: &str, position: Position) -> Option<Place> {
        let (line, column) = (position.line()?, position.position().unwrap_or(1).max(1));
        let found = match source {
            "" => self.texts.iter().rev().find(|text| text.from < line)?,
            path => self.files.get(path)?,
        };
        let line = line - found.from;
        let shift: usize = found
            .inserted
            .iter()
            .filter(|(at_line, at_column, _)| *at_line == line && *at_column < column)
            .map(|(_, _, count)| count)
            .sum();
        let text = found.text.lines().nth(line - 1).unwrap_or_default().to_string();
        Some(Place { source: found.name.clone(), line, column: column.saturating_sub(shift).max(1), text })
    }
}

/// Namespaces whose options can be given from outside.
const SETTABLE: &[&str] = &["data", "ssl", "label", "gan", "metric"];

fn is_settable(function: &str) -> bool {
    function.split_once("::").is_some_and(|(namespace, _)| SETTABLE.contains(&namespace))
}

/// Functions whose options can be given from outside, with their options.
fn settable() -> Vec<(&'static str, Vec<manual::Setting>)> {
    bind::options().into_iter().filter(|(function, _)| is_settable(function)).collect()
}

fn dotted(function: &str) -> String {
    function.replace("::", ".")
}

/// Whether options under `place` are those of `function`: its own name or its namespace's.
fn reaches(place: &str, function: &str) -> bool {
    place == dotted(function) || function.split_once("::").is_some_and(|(namespace, _)| namespace == place)
}

/// Text given on the command line, as the kind of value that the default is.
fn read_param(name: &str, given: &str, default: &Value) -> Result<Value> {
    let wrong = |expected: &str| {
        Error::new(format!("parameter `{name}` is {expected}, given `{given}`"))
            .help(format!("its default is `{default}`"))
    };
    let text = given.trim();
    match default {
        Value::Bool(_) => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(wrong("`true` or `false`")),
        },
        Value::Int(_) => whole(text).map(Value::Int).ok_or_else(|| wrong("a whole number")),
        Value::Float(_) => {
            text.parse::<f64>().ok().filter(|v| v.is_finite()).map(Value::Float).ok_or_else(|| wrong("a finite number"))
        }
        Value::Text(_) => Ok(Value::Text(given.to_string())),
        Value::List(items) => {
            let inside = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
            let like = items.first().cloned().unwrap_or(Value::Text(String::new()));
            inside
                .split(',')
                .map(str::trim)
                .filter(|t| !t.is_empty())
                .map(|t| read_param(name, t, &like))
                .collect::<Result<_>>()
                .map(Value::List)
        }
        // Nothing to read it as: what it looks like.
        Value::Unit => Ok(match text {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "()" => Value::Unit,
            _ => whole(text)
                .map(Value::Int)
                .or_else(|| text.parse::<f64>().ok().filter(|v| v.is_finite()).map(Value::Float))
                .unwrap_or_else(|| Value::Text(given.to_string())),
        }),
        Value::Function(_) => Err(wrong("a function, which a command line cannot give")),
    }
}

/// A whole number, with `_` between digits as in a script, or written as `1e4`.
fn whole(text: &str) -> Option<i64> {
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    plain.parse().ok().or_else(|| {
        let value: f64 = plain.parse().ok()?;
        (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_read_as_its_default_is() {
        let read = |given: &str, default: Value| read_param("labels", given, &default);
        assert_eq!(read("0.05", Value::Float(0.1)), Ok(Value::Float(0.05)));
        assert_eq!(read("1", Value::Float(0.1)), Ok(Value::Float(1.0)));
        assert_eq!(read("1e4", Value::Int(5)), Ok(Value::Int(10_000)));
        assert_eq!(
            read("[1, 2]", Value::List(vec![Value::Int(7)])),
            Ok(Value::List(vec![Value::Int(1), Value::Int(2)]))
        );
        let error = read("many", Value::Int(5)).unwrap_err();
        assert_eq!(error.message, "parameter `labels` is a whole number, given `many`");
        assert_eq!(read("0.5", Value::Int(5)).unwrap_err().help.as_deref(), Some("its default is `5`"));
    }

    #[test]
    fn a_position_says_which_cell() {
        let mut sources = Sources::default();
        assert_eq!(sources.add("cell [1]", "let a = 1;\nlet b = 2;", vec![]), 0);
        let from = sources.add("cell [2]", "a + c", vec![]);
        let place = sources.locate("", Position::new(from as u16 + 1, 5)).unwrap();
        assert_eq!((place.source.as_str(), place.line, place.column, place.text.as_str()), ("cell [2]", 1, 5, "a + c"));
        assert_eq!(sources.locate("", Position::new(2, 1)).unwrap().source, "cell [1]");
    }
}
