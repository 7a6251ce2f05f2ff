//! What a `%%rust` cell finds in scope, and the line on which Rhai calls what a cell exports.
//!
//! The process that runs cells calls the socket that `$FEWLAB_CALLS` names, and answers what is asked there on a thread of its
//! own: calls do not compile anything.
//!
//! - [`value`] is what crosses the line, [`convert`] what a function may take and give;
//! - [`exports`] is the list of functions, filled by `#[export]` when a cell is loaded;
//! - [`check`] holds the gradients of functions against differences;
//! - [`memory`] holds the tensors that cross, [`line`] the messages;
//! - [`panics`] keeps what a panic said.

mod check;
mod convert;
mod exports;
mod line;
mod memory;
mod panics;
mod value;

pub use candle_core;
pub use candle_core::{D, DType, Device, Error, IndexOp, Module, Shape, Tensor, Var};
pub use convert::{Argument, Arguments, FromValue, IntoValue};
pub use exports::{Export, register};
pub use fewlab_cell_export::export;
pub use value::{Array, Value};

/// What Candle's operators give; with a second type, the standard library's own.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A map of values by name: what Rhai writes `#{ name: value }`.
pub type Map = std::collections::BTreeMap<String, Value>;

/// Opens the line on which Rhai calls, if it is not open yet. Every process that runs cells begins with it.
pub fn begin() {
    static BEGUN: std::sync::Once = std::sync::Once::new();
    BEGUN.call_once(|| {
        let Some(path) = std::env::var_os("FEWLAB_CALLS") else { return };
        // evcxr asks for backtraces, which Candle takes at every error and nobody reads.
        // SAFETY: evcxr's child has one thread, which runs this.
        unsafe { std::env::remove_var("RUST_BACKTRACE") };
        panics::watch();
        line::open(path.into());
    });
}
