//! A process between evcxr and the one that cells run in.
//!
//! evcxr reads from its child that a cell panicked or ended early by `?`, acts on it, and tells nobody. The relay passes on
//! what the child writes and adds a line of its own before such a notice. It ends as the child ends.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

/// What begins a line of the relay's own.
pub const MARK: &str = "\u{1}fewlab ";
/// The cell panicked.
pub const PANICKED: &str = "panicked";
/// The cell ended early by `?`.
pub const QUESTIONED: &str = "questioned";

/// evcxr says by this variable that it wants its child.
const CHILD: &str = "EVCXR_IS_RUNTIME";
/// The relay says by this one that it is there already.
const BELOW: &str = "FEWLAB_RELAYED";

/// Becomes the relay, if evcxr has just started this process as its child.
pub fn stand_between() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    die_with_parent();
    if std::env::var_os(BELOW).is_some() {
        return;
    }
    // SAFETY: makes this process the first of a group, so that both can be killed at once.
    unsafe { libc::setpgid(0, 0) };
    std::process::exit(relay().unwrap_or(1));
}

fn relay() -> Option<i32> {
    let mut command = Command::new(std::env::current_exe().ok()?);
    command.args(std::env::args_os().skip(1)).env(BELOW, "1").stdin(Stdio::inherit()).stdout(Stdio::piped());
    let mut child = command.spawn().ok()?;
    let mut out = std::io::stdout().lock();
    let mut lines = BufReader::new(child.stdout.take()?);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).ok()? > 0 {
        let mark = match line.trim_ascii_end() {
            b"EVCXR_PANIC_NOTIFICATION" => Some(PANICKED),
            b"EVCXR_ERROR_OCCURRED" => Some(QUESTIONED),
            _ => None,
        };
        if let Some(mark) = mark {
            writeln!(out, "{MARK}{mark}").ok()?;
        }
        out.write_all(&line).ok()?;
        out.flush().ok()?;
        line.clear();
    }
    let status = child.wait().ok()?;
    if let Some(signal) = status.signal() {
        // SAFETY: ends this process as the child ended.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::kill(libc::getpid(), signal);
        }
    }
    status.code()
}

/// Asks the system to end this process when the one above it ends.
fn die_with_parent() {
    #[cfg(target_os = "linux")]
    // SAFETY: sets a number of this process.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
    }
}
