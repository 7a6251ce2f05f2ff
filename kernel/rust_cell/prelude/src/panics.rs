//! What a panic says, with the line of the cell that it came from.

use std::panic::PanicHookInfo;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::ThreadId;

static LAST: Mutex<Option<String>> = Mutex::new(None);
/// The thread that runs cells; the program's own copy of the standard library has its name, ours does not.
static CELLS: OnceLock<ThreadId> = OnceLock::new();

/// Keeps what a panic says, in a line or two; one of another thread is said too.
pub fn watch() {
    CELLS.get_or_init(|| std::thread::current().id());
    std::panic::set_hook(Box::new(|info| {
        let text = said(info);
        // That of a cell or a call is its error, and is told as such.
        let thread = std::thread::current();
        if CELLS.get() != Some(&thread.id()) && thread.name() != Some("calls") {
            eprintln!("{text}");
        }
        *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }));
}

/// What the last panic said.
pub fn last() -> Option<String> {
    LAST.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn said(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let message = payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".into());
    let Some(place) = info.location() else { return format!("panicked: {message}") };
    // A cell is compiled as `src/lib.rs` of a crate of its own, whose lines mean nothing to the person: the text does.
    let line = (place.file() == "src/lib.rs").then(|| {
        let folder = std::env::var_os("EVCXR_TMPDIR")?;
        let text = std::fs::read_to_string(Path::new(&folder).join("src/lib.rs")).ok()?;
        text.lines().nth(place.line() as usize - 1).map(|line| line.trim().to_string())
    });
    match line.flatten() {
        Some(line) => format!("panicked: {message}\n --> `{line}`"),
        None => format!("panicked: {message}\n --> {}:{}", place.file(), place.line()),
    }
}
