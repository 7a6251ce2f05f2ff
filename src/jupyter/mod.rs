//! The Jupyter kernel: protocol 5.5 over five sockets.
//!
//! ```text
//!  shell, control, stdin, heartbeat ── server ──┬── answers   at once: what a name is, how it goes on, history
//!                                               └── cells     one thread evaluates them, in order
//!  iopub ────────────────────────────── iopub ◄──── front     what a cell prints and shows
//!                                                   live      a training as it goes on
//! ```
//!
//! One thread serves the sockets and never evaluates anything, so that it answers while a cell runs; one thread with a
//! large stack evaluates the cells, and one more for each subshell. All that is published goes through one queue.

mod answers;
mod cells;
mod comm;
mod connection;
mod front;
pub mod install;
mod iopub;
mod kernel;
mod live;
mod server;
mod wire;

use std::path::Path;

use crate::error::Result;
use crate::script::Given;

/// Serves the connection that the file at `path` describes, until it is told to end.
///
/// # Errors
/// The file is not what Jupyter writes, a port is in use, or the device is not there.
pub fn main(path: &Path, given: Given) -> Result<()> {
    let connection = connection::Connection::read(path)?;
    server::serve(&connection, given)
}
