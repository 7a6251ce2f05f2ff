//! The line on which exported functions are called: no compiler is in the way, and tensors lie in memory that both see.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::process::TICK;
use super::value::{self, Value};
use crate::error::{Error, Result, file};
use crate::progress::{Job, Stop};
use crate::tensor::{Device, SharedBytes};

/// Graphs of calls that nobody needs any more.
pub type Freed = Arc<Mutex<Vec<u64>>>;

/// Why a call gave nothing.
#[derive(Debug)]
pub enum Failure {
    /// The function said so.
    Said {
        /// What it said.
        message: String,
        /// Whether it was called wrongly.
        usage: bool,
        /// What it printed before.
        printed: String,
    },
    /// The process of the cells is gone.
    Gone,
    /// A person asked to stop.
    Stopped,
    /// Something of ours.
    Ours(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Ours(error)
    }
}

/// What a call gave.
pub struct Answer {
    /// The message.
    pub message: Json,
    /// The value in it.
    pub value: Value,
    /// Where to say that a graph of it is not needed any more.
    pub freed: Freed,
}

/// Our end of the line.
pub struct Calls {
    listener: UnixListener,
    path: PathBuf,
    folder: PathBuf,
    stream: Option<UnixStream>,
    /// What we write into, by its number.
    ours: Option<(u64, SharedBytes)>,
    /// What they wrote into.
    theirs: Option<(u64, SharedBytes)>,
    /// Graphs that can be freed with the next message.
    pub freed: Freed,
}

impl Calls {
    /// Waits in `folder` for the process of the cells to call.
    ///
    /// # Errors
    /// A socket could not be made there.
    pub fn listen(folder: &Path) -> Result<Self> {
        let path = folder.join("calls");
        let listener = UnixListener::bind(&path).map_err(|error| file(&path, "make", error))?;
        listener.set_nonblocking(true).map_err(|error| file(&path, "set up", error))?;
        let folder = folder.to_path_buf();
        Ok(Self { listener, path, folder, stream: None, ours: None, theirs: None, freed: Freed::default() })
    }

    /// The socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of the socket and the tensors.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Forgets a process that ended.
    pub fn hang_up(&mut self) {
        self.stream = None;
        self.theirs = None;
        // Graphs of that process are no matter of the next one.
        self.freed = Freed::default();
    }

    /// Takes the call of a process that has just begun. One that began earlier and was replaced is left behind.
    ///
    /// # Errors
    /// Nobody calls; a person asked to stop.
    pub fn meet(&mut self, job: &Job) -> Result<()> {
        self.hang_up();
        let from = Instant::now();
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    let set = stream.set_nonblocking(false).and_then(|()| stream.set_read_timeout(Some(TICK)));
                    set.map_err(|error| file(&self.path, "set up", error))?;
                    self.stream = Some(stream);
                }
                // The last one is the one that runs.
                Err(_) if self.stream.is_some() => return Ok(()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    job.stop.check()?;
                    if from.elapsed() > Duration::from_secs(20) {
                        return Err(Error::new("the process of Rust cells did not call back"));
                    }
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(error) => return Err(file(&self.path, "listen at", error)),
            }
        }
    }

    /// Asks something with these values, and waits for the answer.
    ///
    /// # Errors
    /// What kept the answer from coming.
    pub fn ask(
        &mut self,
        mut request: Json,
        values: &[Value],
        stop: &Stop,
        device: &Device,
    ) -> std::result::Result<Answer, Failure> {
        let mut tensors = Vec::new();
        values.iter().for_each(|value| value.tensors(&mut tensors));
        let room = value::room(&tensors)?;
        if self.ours.as_ref().is_none_or(|(_, memory)| memory.len() < room) {
            let number = self.ours.take().map_or(0, |(number, _)| number + 1);
            let file_of = |number: u64| self.folder.join(format!("in-{number}"));
            if number > 0 {
                let _ = std::fs::remove_file(file_of(number - 1));
            }
            let path = file_of(number);
            let size = room.next_power_of_two().max(1 << 16);
            let memory = SharedBytes::create(&path, size).map_err(|error| file(&path, "make", error))?;
            self.ours = Some((number, memory));
        }
        let Some((number, memory)) = &mut self.ours else { return Err(Error::bug("no memory was shared").into()) };
        let mut at = 0;
        request["arguments"] =
            values.iter().map(|value| value::write(value, memory, &mut at)).collect::<Result<Json>>()?;
        request["file"] = json!([*number, memory.len()]);
        let message = self.exchange(request, stop)?;
        if let Some(fault) = message["error"].as_str() {
            let printed = message["said"].as_str().unwrap_or_default().to_string();
            let usage = message["usage"].as_bool() == Some(true);
            return Err(Failure::Said { message: fault.to_string(), usage, printed });
        }
        let (number, size) = (message["file"][0].as_u64().unwrap_or(0), message["file"][1].as_u64().unwrap_or(0));
        if size > 0 && self.theirs.as_ref().is_none_or(|(open, _)| *open != number) {
            let path = self.folder.join(format!("out-{number}"));
            let memory = SharedBytes::open(&path).map_err(|error| file(&path, "open", error))?;
            self.theirs = Some((number, memory));
        }
        let value = value::read(&message["value"], self.theirs.as_ref().map(|(_, memory)| memory), device)?;
        Ok(Answer { message, value, freed: Arc::clone(&self.freed) })
    }

    /// Sends a message and waits for the answer.
    ///
    /// # Errors
    /// What kept the answer from coming.
    pub fn exchange(&mut self, mut request: Json, stop: &Stop) -> std::result::Result<Json, Failure> {
        let freed = std::mem::take(&mut *self.freed.lock().unwrap_or_else(PoisonError::into_inner));
        if !freed.is_empty() {
            request["release"] = freed.into();
        }
        let Some(stream) = &mut self.stream else { return Err(Failure::Gone) };
        let text = request.to_string();
        let mut whole = (text.len() as u32).to_le_bytes().to_vec();
        whole.extend_from_slice(text.as_bytes());
        stream.write_all(&whole).map_err(|_| Failure::Gone)?;
        let mut length = [0; 4];
        fill(stream, &mut length, stop)?;
        let mut text = vec![0; u32::from_le_bytes(length) as usize];
        fill(stream, &mut text, stop)?;
        serde_json::from_slice(&text).map_err(|_| Failure::Ours(Error::bug("Rust answered with no message")))
    }
}

/// Reads bytes until there are enough.
fn fill(stream: &mut UnixStream, bytes: &mut [u8], stop: &Stop) -> std::result::Result<(), Failure> {
    let mut at = 0;
    while at < bytes.len() {
        match stream.read(&mut bytes[at..]) {
            Ok(0) => return Err(Failure::Gone),
            Ok(read) => at += read,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) =>
            {
                if stop.raised() {
                    return Err(Failure::Stopped);
                }
            }
            Err(_) => return Err(Failure::Gone),
        }
    }
    Ok(())
}
