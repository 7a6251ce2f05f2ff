//! Rust in cells: compiled and run by evcxr in a process of its own, its functions called from here.
//!
//! The process is the small crate `kernel/rust_cell`, whose sources this binary holds; it is made when the first cell wants
//! it, so that nobody else waits for it. Calls of what cells export do not go through the compiler: they cross a socket,
//! with tensors in memory that both processes see.
//!
//! - [`kit`] is what has to be compiled once, [`process`] the process, [`calls`] the line to what it has loaded;
//! - [`value`] is what crosses, [`gradient`] makes calls differentiable.

pub mod calls;
pub mod gradient;
pub mod kit;
pub mod process;
pub mod value;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::error::{Error, Result};
use crate::progress::Job;
use crate::table;
use crate::tensor::Device;
use calls::{Answer, Failure, Freed};
use kit::Kit;
use process::{Event, Process, TICK};
pub use value::Value;

/// How long the process has to begin anew after it was stopped.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who hears what a cell or a call prints, and answers what it asks.
pub trait Watch: Send + Sync {
    /// A line of standard output.
    fn out(&self, line: &str);
    /// A line of standard error.
    fn err(&self, line: &str);
    /// A line that the person types.
    fn ask(&self, prompt: &str, secret: bool) -> Result<String>;
}

/// On whose behalf a cell or a call runs.
#[derive(Clone)]
pub struct Caller {
    /// Who hears of it.
    pub watch: Arc<dyn Watch>,
    /// How it is stopped, and who sees how far it is.
    pub job: Job,
}

/// What a cell gave.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    /// The value of its last expression, by MIME type.
    pub content: BTreeMap<String, String>,
    /// How long it took, if `:timing` is on.
    pub seconds: Option<f64>,
}

/// Why a cell gave nothing.
#[derive(Debug, PartialEq)]
pub enum Fault {
    /// The compiler's complaints.
    Compiler(Vec<Complaint>),
    /// Anything else.
    Other(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Other(error)
    }
}

/// What the compiler says of a place.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Complaint {
    /// What is wrong.
    pub message: String,
    /// Its number: `E0308`.
    pub code: Option<String>,
    /// The line and the column of the cell, from 1.
    pub place: Option<(usize, usize)>,
    /// What is said at the place.
    pub label: String,
    /// Other places, with what is said there.
    pub also: Vec<((usize, usize), String)>,
    /// What mends it.
    pub help: Vec<String>,
}

/// A function that Rhai can call.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Export {
    /// Its name, without `rust::`.
    pub name: String,
    /// Its documentation.
    pub doc: String,
    /// The name and the type of each parameter.
    pub parameters: Vec<(String, String)>,
    /// The type of the result; empty if there is none.
    pub result: String,
    /// The exported function that gives its gradient.
    pub vjp: Option<String>,
}

impl Export {
    fn read(json: &Json) -> Self {
        let text = |json: &Json| json.as_str().unwrap_or_default().to_string();
        let parameters = json["parameters"].as_array().into_iter().flatten();
        // What follows `///` begins with a blank.
        let doc = text(&json["doc"]);
        let lines: Vec<&str> = doc.lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
        Self {
            name: text(&json["name"]),
            doc: lines.join("\n"),
            parameters: parameters.map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
            result: text(&json["result"]),
            vjp: json["vjp"].as_str().map(ToString::to_string),
        }
    }

    /// How it is called.
    pub fn usage(&self) -> String {
        let parameters: Vec<String> = self.parameters.iter().map(|(name, kind)| format!("{name}: {kind}")).collect();
        let result = if self.result.is_empty() { String::new() } else { format!(" -> {}", self.result) };
        format!("rust::{}({}){result}", self.name, parameters.join(", "))
    }
}

/// The Rust side of a session: nothing until the first cell.
#[derive(Default)]
pub struct RustCell {
    process: Mutex<Option<Process>>,
    exports: RwLock<Vec<Export>>,
    marks: AtomicU64,
}

impl RustCell {
    /// What can be called.
    pub fn exports(&self) -> Vec<Export> {
        self.exports.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The function called `name`.
    ///
    /// # Errors
    /// There is none; the message names what is near.
    pub fn export(&self, name: &str) -> Result<Export> {
        let exports = self.exports.read().unwrap_or_else(PoisonError::into_inner);
        exports.iter().find(|export| export.name == name).cloned().ok_or_else(|| {
            let error = Error::new(format!("there is no `rust::{name}`"));
            match table::closest(name, exports.iter().map(|export| export.name.as_str())) {
                Some(near) => error.help(format!("a similar function exists: `rust::{near}`")),
                None => error.help("`#[export]` before a function of a Rust cell makes it one that can be called"),
            }
        })
    }

    /// Forgets everything: the next cell begins anew.
    pub fn forget(&self) {
        drop(self.process.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.exports.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The process, once whoever has it is done.
    fn process(&self, caller: &Caller) -> Result<MutexGuard<'_, Option<Process>>> {
        loop {
            match self.process.try_lock() {
                Ok(process) => return Ok(process),
                Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => {
                    caller.job.stop.check()?;
                    std::thread::sleep(TICK);
                }
            }
        }
    }

    /// Compiles and runs a cell.
    ///
    /// # Errors
    /// It does not compile; it panicked, crashed or ended early; a person asked to stop; there is no Rust.
    pub fn run(&self, code: &str, caller: &Caller) -> std::result::Result<Outcome, Fault> {
        let mut slot = self.process(caller)?;
        if slot.is_none() {
            let kit = Kit::find()?;
            kit.prepare(&caller.job)?;
            *slot = Some(Process::start(&kit, &kit.session()?, &caller.job, &mut |_| {})?);
        }
        let Some(process) = slot.as_mut() else { return Err(Error::bug("a process that was started is gone").into()) };
        let result = self.run_in(process, code, caller);
        if let Err(Fault::Other(error)) = &result
            && error.message.ends_with(ENDED)
        {
            *slot = None;
            self.exports.write().unwrap_or_else(PoisonError::into_inner).clear();
        }
        result
    }

    fn run_in(&self, process: &mut Process, code: &str, caller: &Caller) -> std::result::Result<Outcome, Fault> {
        process.send(&json!({ "run": code }))?;
        let ended =
            || Error::new(format!("the cell ended what runs cells: {ENDED}")).help("the next cell starts a new one");
        let mut stopped: Option<Instant> = None;
        let done = loop {
            match process.events.recv_timeout(TICK) {
                Ok(Event::Message(message)) => match message["event"].as_str() {
                    Some("done") => break message,
                    Some("ask") => {
                        let prompt = message["prompt"].as_str().unwrap_or_default();
                        match caller.watch.ask(prompt, message["secret"].as_bool() == Some(true)) {
                            Ok(line) => process.send(&json!({ "line": line }))?,
                            Err(error) => {
                                caller.watch.err(&error.to_string());
                                process.send(&json!({ "line": "" }))?;
                            }
                        }
                    }
                    _ => said(caller, &message),
                },
                Ok(Event::Said(line)) => cargo_said(caller, &line),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Event::Ended) | Err(RecvTimeoutError::Disconnected) => return Err(ended().into()),
            }
            match stopped {
                None if caller.job.stop.raised() => {
                    process.interrupt()?;
                    stopped = Some(Instant::now());
                }
                Some(from) if from.elapsed() > PATIENCE => return Err(ended().into()),
                _ => {}
            }
        };
        let restarted = done["restarted"].as_bool() == Some(true);
        if done["lost"].is_string() {
            process.calls.hang_up();
            return outcome(&done, None);
        }
        if restarted {
            process.calls.meet(&Job::silent())?;
        }
        let panic = self.catch_up(process, caller)?;
        if done["interrupted"].as_bool() == Some(true) {
            let error = Error::interrupted("interrupted");
            return Err(Fault::Other(if restarted {
                error.help("what Rust cells have defined is there again, their variables are not")
            } else {
                error
            }));
        }
        outcome(&done, panic)
    }

    /// Hears the rest of what was printed, and learns which functions there are. What a panic said, if there was one.
    fn catch_up(&self, process: &mut Process, caller: &Caller) -> Result<Option<String>> {
        let mark = format!("\u{1}fewlab mark {}", self.marks.fetch_add(1, Ordering::Relaxed));
        // A person's wish to stop is not meant for this.
        let silent = Job::silent();
        let answer = match process.calls.exchange(json!({ "list": mark }), &silent.stop) {
            Ok(answer) => answer,
            Err(Failure::Ours(error)) => return Err(error),
            Err(_) => return Err(Error::new(format!("what runs Rust cells does not answer: {ENDED}"))),
        };
        let exports = answer["exports"].as_array().into_iter().flatten().map(Export::read).collect();
        *self.exports.write().unwrap_or_else(PoisonError::into_inner) = exports;
        let from = Instant::now();
        while from.elapsed() < Duration::from_secs(2) {
            match process.events.recv_timeout(TICK) {
                Ok(Event::Message(message)) if message["text"].as_str() == Some(&mark) => break,
                Ok(Event::Message(message)) => said(caller, &message),
                Ok(Event::Said(line)) => cargo_said(caller, &line),
                Err(RecvTimeoutError::Timeout) => {}
                _ => break,
            }
        }
        Ok(answer["panic"].as_str().map(ToString::to_string))
    }

    /// What could stand at byte `at` of a cell: the byte it begins at, and each with what it is. Nothing while a cell runs.
    pub fn complete(&self, code: &str, at: usize) -> Option<(usize, Vec<(String, String)>)> {
        let mut slot = self.process.try_lock().ok()?;
        let process = slot.as_mut()?;
        process.send(&json!({ "complete": code, "at": at })).ok()?;
        let answer = process.wait_for("completed", Duration::from_secs(3), &mut |_| {}).ok()?;
        let text = |json: &Json| json.as_str().unwrap_or_default().to_string();
        let items = answer["items"].as_array().into_iter().flatten();
        let items = items.map(|item| (text(&item["text"]), text(&item["label"]))).collect();
        Some((answer["start"].as_u64().map_or(at, |start| start as usize), items))
    }

    /// Asks the process for something by `request`.
    ///
    /// # Errors
    /// The function failed, panicked or crashed; a person asked to stop; no cell was run yet.
    fn ask(&self, name: &str, request: Json, values: &[Value], caller: &Caller, device: &Device) -> Result<Answer> {
        self.ask_of(name, None, request, values, caller, device)
    }

    /// The same of the process whose graphs are freed by `of`.
    fn ask_of(
        &self,
        name: &str,
        of: Option<&Freed>,
        request: Json,
        values: &[Value],
        caller: &Caller,
        device: &Device,
    ) -> Result<Answer> {
        let mut slot = self.process(caller)?;
        let Some(process) = slot.as_mut().filter(|process| of.is_none_or(|of| Arc::ptr_eq(of, &process.calls.freed)))
        else {
            return Err(gone(name));
        };
        let result = process.calls.ask(request, values, &caller.job.stop, device);
        while let Ok(event) = process.events.try_recv() {
            match event {
                Event::Message(message) => said(caller, &message),
                Event::Said(line) => cargo_said(caller, &line),
                Event::Ended => {}
            }
        }
        let failure = match result {
            Ok(answer) => {
                printed(caller, &answer.message);
                return Ok(answer);
            }
            Err(failure) => failure,
        };
        match failure {
            Failure::Ours(error) => Err(error),
            Failure::Said { message, usage, printed: text } => {
                printed(caller, &json!({ "said": text }));
                let error = Error::new(format!("`rust::{name}`: {message}"));
                Err(match self.export(name) {
                    Ok(export) if usage => error.help(format!("it is `{}`", export.usage())),
                    _ => error,
                })
            }
            stopped @ (Failure::Stopped | Failure::Gone) => {
                let by_person = matches!(stopped, Failure::Stopped);
                let how = match by_person {
                    true => process.interrupt(),
                    false => process.send(&json!({ "restart": true })),
                };
                let again =
                    how.and_then(|()| process.wait_for("restarted", PATIENCE, &mut |message| said(caller, message)));
                let again = again.and_then(|message| {
                    process.calls.meet(&Job::silent())?;
                    self.catch_up(process, caller)?;
                    Ok(message)
                });
                let status = match again {
                    Ok(message) => message["status"].as_str().map(ToString::to_string),
                    Err(_) => {
                        *slot = None;
                        self.exports.write().unwrap_or_else(PoisonError::into_inner).clear();
                        None
                    }
                };
                let help = match slot.is_some() {
                    true => "what Rust cells have defined is there again, their variables are not",
                    false => "run the Rust cells again",
                };
                let error = match (by_person, status) {
                    (true, _) => Error::interrupted("interrupted"),
                    (false, Some(status)) => Error::new(format!("`rust::{name}` crashed: {status}")),
                    (false, None) => Error::new(format!("`rust::{name}` crashed")),
                };
                Err(error.help(help))
            }
        }
    }
}

/// How a message ends that says that there is no process any more.
const ENDED: &str = "the process is gone";

fn gone(name: &str) -> Error {
    Error::new(format!("what `rust::{name}` had computed is gone with its process")).help("call it again")
}

/// Passes on what a cell printed.
fn said(caller: &Caller, message: &Json) {
    let text = message["text"].as_str().unwrap_or_default();
    match message["event"].as_str() {
        Some("out") => caller.watch.out(text),
        // A mark of an earlier cell that came late.
        Some("err") if !text.starts_with('\u{1}') => caller.watch.err(text),
        _ => {}
    }
}

/// Passes on what cargo says while a cell waits for it.
fn cargo_said(caller: &Caller, line: &str) {
    let line = line.trim();
    if !line.is_empty() {
        caller.watch.err(line);
    }
}

fn printed(caller: &Caller, message: &Json) {
    for line in message["said"].as_str().unwrap_or_default().lines() {
        caller.watch.out(line);
    }
}

/// What the end of a cell says.
fn outcome(done: &Json, panic: Option<String>) -> std::result::Result<Outcome, Fault> {
    if let Some(lost) = done["lost"].as_str() {
        return Err(Error::new(format!("what cells had defined does not compile any more: {lost}"))
            .help("run the cells that define it again")
            .into());
    }
    if let Some(errors) = done["errors"].as_array() {
        let mut complaints: Vec<Complaint> = errors.iter().map(complaint).collect();
        complaints.sort_by_key(|complaint| complaint.place.unwrap_or((usize::MAX, 0)));
        return Err(Fault::Compiler(complaints));
    }
    let definitions = "what Rust cells have defined is there again, their variables are not";
    if let Some(message) = done["message"].as_str() {
        let error = Error::new(match done["terminated"].as_bool() {
            Some(true) => {
                format!("the cell crashed: {}", message.trim().trim_start_matches("Subprocess terminated with "))
            }
            _ => message.trim().to_string(),
        });
        return Err(if done["restarted"].as_bool() == Some(true) { error.help(definitions) } else { error }.into());
    }
    if done["panicked"].as_bool() == Some(true) {
        let text = panic.unwrap_or_else(|| "panicked".into());
        let text = text.strip_prefix("panicked: ").unwrap_or(&text).to_string();
        return Err(Error::new(format!("the cell panicked: {text}"))
            .help("variables that it made are not kept, those of earlier cells are")
            .into());
    }
    if done["questioned"].as_bool() == Some(true) {
        return Err(Error::new("the cell ended early by `?`, with the error above")
            .help("variables that it made are not kept, those of earlier cells are")
            .into());
    }
    let content = done["content"].as_object().into_iter().flatten();
    Ok(Outcome {
        content: content.filter_map(|(kind, text)| Some((kind.clone(), text.as_str()?.to_string()))).collect(),
        seconds: done["seconds"].as_f64(),
    })
}

fn complaint(json: &Json) -> Complaint {
    let text = |json: &Json| json.as_str().unwrap_or_default().to_string();
    let list = |json: &Json| json.as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
    let spans: Vec<_> = json["spans"].as_array().into_iter().flatten().collect();
    let place = |span: &Json| {
        let number = |i: usize| span["from"][i].as_u64().map(|n| n as usize);
        number(0).zip(number(1))
    };
    // Where rustc has nothing to say at a place, evcxr says the message again.
    let label = |span: &Json| {
        let label = text(&span["label"]);
        if label.strip_prefix("error: ").is_some_and(|rest| Some(rest) == json["message"].as_str()) {
            String::new()
        } else {
            label
        }
    };
    let first = spans.iter().find(|span| span["primary"].as_bool() == Some(true)).or(spans.first()).copied();
    let also = spans.iter().filter(|span| Some(**span) != first);
    Complaint {
        message: text(&json["message"]),
        code: json["code"].as_str().map(ToString::to_string),
        place: first.and_then(place),
        label: first.map(label).unwrap_or_default(),
        also: also.filter_map(|span| Some((place(span)?, label(span)))).collect(),
        // What to write instead stands below.
        help: list(&json["help"]).into_iter().map(|help| help.replace("\n\n", ": ")).collect(),
    }
}
