//! `import "name" as alias`: other scripts, looked for beside the script that imports them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rhai::{AST, Engine, EvalAltResult, Module, ModuleResolver, Position, Scope, Shared};

use crate::error::Error;
use crate::script::{Fallible, Host, calls, raise};

/// Finds, compiles and keeps imported scripts.
pub(crate) struct Imports {
    host: Arc<Host>,
    folder: PathBuf,
    /// Imported scripts; `None` while one is being read.
    modules: Mutex<HashMap<PathBuf, Option<Shared<Module>>>>,
}

impl Imports {
    /// Imports for a script in `folder`.
    pub(crate) fn new(host: &Arc<Host>, folder: &Path) -> Self {
        Self { host: Arc::clone(host), folder: folder.to_path_buf(), modules: Mutex::default() }
    }

    fn modules(&self) -> MutexGuard<'_, HashMap<PathBuf, Option<Shared<Module>>>> {
        self.modules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self, engine: &Engine, path: &Path, place: Position) -> Fallible<Shared<Module>> {
        let ast = compile(&self.host, engine, path, place)?;
        let mut module = Module::eval_ast_as_new(Scope::new(), &ast, engine)
            .map_err(|error| Box::new(EvalAltResult::ErrorInModule(path.display().to_string(), error, place)))?;
        module.build_index();
        Ok(module.into())
    }
}

/// The file that `name` means in a script of `folder`.
pub(crate) fn file_of(folder: &Path, name: &str) -> PathBuf {
    let mut path = folder.join(name);
    if path.extension().is_none() {
        path.set_extension("rhai");
    }
    path
}

/// Compiles the script at `path`, with the names in its text prepared as in a cell.
pub(crate) fn compile(host: &Host, engine: &Engine, path: &Path, place: Position) -> Fallible<AST> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        raise(
            crate::error::file(path, "read", error).help("an import is looked for beside the script that imports it"),
            place,
        )
    })?;
    let prepared = calls::prepare(&text, [], |name| host.manual(engine).is_function(name));
    let name = path.display().to_string();
    host.sources().add_file(&name, &text, prepared.inserted);
    let mut ast = engine
        .compile(&prepared.text)
        .map_err(|error| Box::new(EvalAltResult::ErrorInModule(name.clone(), error.into(), place)))?;
    ast.set_source(name);
    Ok(ast)
}

impl ModuleResolver for Imports {
    fn resolve(&self, engine: &Engine, source: Option<&str>, name: &str, place: Position) -> Fallible<Shared<Module>> {
        let beside = source.and_then(|source| Path::new(source).parent().map(Path::to_path_buf));
        let path = file_of(beside.as_deref().unwrap_or(&self.folder), name);
        let kept = self.modules().get(&path).cloned();
        match kept {
            Some(Some(module)) => return Ok(module),
            Some(None) => {
                let error = Error::new(format!("`{}` imports itself", path.display()));
                return Err(raise(error.help("move what both scripts need into a third one"), place));
            }
            None => {}
        }
        self.modules().insert(path.clone(), None);
        let module = self.load(engine, &path, place);
        match &module {
            Ok(module) => self.modules().insert(path, Some(Arc::clone(module))),
            Err(_) => self.modules().remove(&path),
        };
        module
    }
}
