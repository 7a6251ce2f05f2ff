//! The program that compiles cells, as a process: what is sent to it, and what it says.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value as Json, json};

use super::calls::Calls;
use super::kit::{Kit, without_settings};
use crate::error::{Error, Result, file};
use crate::progress::Job;

/// How long anything is waited for before it is looked whether a person asked to stop.
pub const TICK: Duration = Duration::from_millis(20);

/// What the process says.
#[derive(Debug)]
pub enum Event {
    /// A message.
    Message(Json),
    /// A line on its standard error: what cargo does.
    Said(String),
    /// It ended.
    Ended,
}

/// The process, with what belongs to it.
pub struct Process {
    child: Child,
    requests: ChildStdin,
    /// What it says, in order.
    pub events: Receiver<Event>,
    /// The line on which functions are called.
    pub calls: Calls,
    /// evcxr's folder, removed at the end if it is a session's own.
    folder: PathBuf,
    lasting: bool,
}

impl Process {
    /// Starts the program in `folder`, and waits until a cell can run. `said` hears what cargo says meanwhile.
    ///
    /// # Errors
    /// It could not be started, or ended before it was ready; a person asked to stop.
    pub fn start(kit: &Kit, folder: &Path, job: &Job, said: &mut dyn FnMut(&str)) -> Result<Self> {
        let calls = Calls::listen(&meeting_place()?)?;
        let mut command = Command::new(kit.program());
        without_settings(&mut command);
        command
            .env("EVCXR_TMPDIR", folder)
            .env("FEWLAB_CELL", kit.prelude())
            .env("FEWLAB_CALLS", calls.path())
            .env("XDG_CACHE_HOME", kit.caches())
            .env("CARGO_TERM_COLOR", "never")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // An interrupt of the terminal is for us to pass on.
            .process_group(0);
        let mut child = command
            .spawn()
            .map_err(|error| Error::new(format!("cannot start `{}`: {error}", kit.program().display())))?;
        let gone = || Error::bug("a process was started without its pipes");
        let requests = child.stdin.take().ok_or_else(gone)?;
        let mut messages = child.stdout.take().ok_or_else(gone)?;
        let lines = BufReader::new(child.stderr.take().ok_or_else(gone)?);
        let (sender, events) = channel();
        let from_lines = sender.clone();
        std::thread::spawn(move || {
            for line in lines.split(b'\n').map_while(std::io::Result::ok) {
                let _ = from_lines.send(Event::Said(String::from_utf8_lossy(&line).into_owned()));
            }
        });
        std::thread::spawn(move || {
            while let Some(message) = message(&mut messages) {
                let _ = sender.send(Event::Message(message));
            }
            let _ = sender.send(Event::Ended);
        });
        let lasting = folder == kit.home().join("first");
        let mut process = Self { child, requests, events, calls, folder: folder.to_path_buf(), lasting };
        let mut kept = Vec::new();
        loop {
            job.stop.check()?;
            match process.events.recv_timeout(TICK) {
                Ok(Event::Message(message)) => match message["event"].as_str() {
                    Some("ready") => break,
                    Some("failed") => {
                        let why = message["message"].as_str().unwrap_or_default();
                        return Err(Error::new(format!("the process of Rust cells could not begin: {why}"))
                            .help("`fewlab rust prepare` makes what is missing"));
                    }
                    _ => {}
                },
                Ok(Event::Said(line)) => {
                    said(&line);
                    kept.push(line);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Event::Ended) | Err(RecvTimeoutError::Disconnected) => {
                    let last = kept.iter().rev().take(8).rev().cloned().collect::<Vec<_>>().join("\n");
                    return Err(Error::new(format!("the process of Rust cells ended before it was ready\n{last}")));
                }
            }
        }
        process.calls.meet(job)?;
        Ok(process)
    }

    /// Sends a message.
    ///
    /// # Errors
    /// The process is gone.
    pub fn send(&mut self, message: &Json) -> Result<()> {
        let text = message.to_string();
        let mut whole = (text.len() as u32).to_le_bytes().to_vec();
        whole.extend_from_slice(text.as_bytes());
        self.requests.write_all(&whole).and_then(|()| self.requests.flush()).map_err(|error| {
            Error::new(format!("the process of Rust cells is gone: {error}"))
                .help("the next cell starts a new one; what cells had defined is to be run again")
        })
    }

    /// Waits for the message of this kind that comes next; `other` hears those before.
    ///
    /// # Errors
    /// The process ended, or nothing came for so long.
    pub fn wait_for(&mut self, kind: &str, limit: Duration, other: &mut dyn FnMut(&Json)) -> Result<Json> {
        let from = Instant::now();
        loop {
            match self.events.recv_timeout(TICK) {
                Ok(Event::Message(message)) if message["event"].as_str() == Some(kind) => return Ok(message),
                Ok(Event::Message(message)) => other(&message),
                Ok(Event::Ended) | Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::new("the process of Rust cells ended"));
                }
                Err(RecvTimeoutError::Timeout) if from.elapsed() > limit => {
                    return Err(Error::new("the process of Rust cells does not answer"));
                }
                _ => {}
            }
        }
    }

    /// Stops what runs.
    ///
    /// # Errors
    /// The process is gone.
    pub fn interrupt(&mut self) -> Result<()> {
        self.send(&json!({ "interrupt": true }))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.lasting {
            // Its folder is to be whole.
            let _ = self.send(&json!({ "quit": true }));
            let from = Instant::now();
            while matches!(self.child.try_wait(), Ok(None)) && from.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(TICK);
            }
        }
        // All that it started goes with it: the pipe that it reads from closes, and what is below asks to die with it.
        let group = Pid::from_raw(self.child.id() as i32);
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.child.wait();
        if !self.lasting {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
        let _ = std::fs::remove_dir_all(self.calls.folder());
    }
}

/// The next message; nothing at the end.
pub fn message(from: &mut impl Read) -> Option<Json> {
    let mut length = [0; 4];
    from.read_exact(&mut length).ok()?;
    let mut text = vec![0; u32::from_le_bytes(length) as usize];
    from.read_exact(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// A folder of our own for the line and its tensors: in memory, where the system has such a place.
fn meeting_place() -> Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt as _;
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = place.join(format!("fewlab-{}-{count}", std::process::id()));
    // What a process of the same number left behind.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::DirBuilder::new().mode(0o700).create(&folder).map_err(|error| file(&folder, "make", error))?;
    Ok(folder)
}
