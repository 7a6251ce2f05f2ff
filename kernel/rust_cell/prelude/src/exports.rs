//! The functions that cells export.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::json;

use crate::convert::Arguments;
use crate::value::Value;

/// How an exported function is called with values.
pub type Call = fn(&mut Arguments<'_>) -> Result<Value, String>;

/// An exported function.
#[derive(Clone)]
pub struct Export {
    /// Its name.
    pub name: &'static str,
    /// The lines of its documentation.
    pub doc: Vec<&'static str>,
    /// The name and the type of each parameter.
    pub parameters: Vec<(&'static str, String)>,
    /// The type of the result.
    pub result: String,
    /// The exported function that gives its gradient.
    pub vjp: Option<&'static str>,
    /// How it is called.
    pub call: Call,
}

#[derive(Default)]
struct Exports {
    /// Where the library that they are in begins.
    library: usize,
    functions: BTreeMap<&'static str, Export>,
}

static EXPORTS: Mutex<Exports> = Mutex::new(Exports { library: 0, functions: BTreeMap::new() });

fn exports() -> MutexGuard<'static, Exports> {
    EXPORTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes an exported function; called as the library of a cell is loaded.
///
/// Each library holds the functions of all cells so far. So those of the last one are all there are, and one that was
/// written again without `#[export]` is gone.
pub fn register(export: Export) {
    let library = library_of(export.call as *const c_void);
    let mut exports = exports();
    if exports.library != library {
        exports.library = library;
        exports.functions.clear();
    }
    exports.functions.insert(export.name, export);
}

/// Where the library that holds `address` begins.
fn library_of(address: *const c_void) -> usize {
    // SAFETY: `dladdr` writes to the place it is given and reads nothing of ours.
    unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        if libc::dladdr(address, &mut info) == 0 { 0 } else { info.dli_fbase as usize }
    }
}

/// The function called so.
pub fn find(name: &str) -> Option<Export> {
    exports().functions.get(name).cloned()
}

/// What there is to know of each.
pub fn list() -> serde_json::Value {
    exports()
        .functions
        .values()
        .map(|export| {
            let parameters: Vec<_> = export.parameters.iter().filter(|(_, word)| !word.is_empty()).collect();
            json!({
                "name": export.name,
                "doc": export.doc.join("\n"),
                "parameters": parameters,
                "result": export.result,
                "vjp": export.vjp,
            })
        })
        .collect()
}
