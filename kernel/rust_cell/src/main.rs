//! Compiles and runs the `%%rust` cells of Fewlab: evcxr, in a process of its own.
//!
//! This binary is three programs. Started by Fewlab it holds evcxr's context and answers messages on its standard input,
//! each JSON behind its length. Started by evcxr it is the process that cells run in: a relay, which says what evcxr keeps to
//! itself, and below it the one that loads the cells. Started by cargo it stands before rustc and keeps what it makes.

mod children;
mod relay;
mod report;
mod wire;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evcxr::{CommandContext, EvalCallbacks};
use serde_json::{Value as Json, json};

use wire::Outlet;

/// Dependencies that cells ask for are compiled once for all sessions and kept in so many MiB.
const CACHE: &str = ":cache 2048";

/// Loads everything that is defined, and opens the line on which Rhai calls.
const LOAD: &str = "fewlab_cell::begin();";

fn main() -> ExitCode {
    relay::stand_between();
    evcxr::runtime_hook();
    let outlet = match Outlet::take() {
        Ok(outlet) => outlet,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "cannot write: {error}");
            return ExitCode::FAILURE;
        }
    };
    match serve(&outlet) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            outlet.send(&json!({ "event": "failed", "message": fault }));
            ExitCode::FAILURE
        }
    }
}

/// What the reader of messages and the thread that holds the context share.
struct Shared {
    outlet: Outlet,
    /// Whether a person asked the cell that runs to stop.
    interrupted: AtomicBool,
    /// Whether a cell runs.
    busy: AtomicBool,
    /// Answers to what a cell asked.
    lines: Mutex<Receiver<String>>,
}

fn serve(outlet: &Outlet) -> Result<(), String> {
    let (mut context, outputs) = CommandContext::new().map_err(|error| error.to_string())?;
    let (answer, lines) = channel();
    let shared = Arc::new(Shared {
        outlet: outlet.clone(),
        interrupted: AtomicBool::new(false),
        busy: AtomicBool::new(false),
        lines: Mutex::new(lines),
    });
    let for_out = outlet.clone();
    let (marked, marks) = channel();
    std::thread::spawn(move || {
        for line in outputs.stdout {
            if let Some(mark) = line.strip_prefix(relay::MARK) {
                let _ = marked.send(mark.to_string());
            } else {
                for_out.send(&json!({ "event": "out", "text": line }));
            }
        }
    });
    let for_err = outlet.clone();
    std::thread::spawn(move || {
        for line in outputs.stderr {
            for_err.send(&json!({ "event": "err", "text": line }));
        }
    });
    let mut cells = Cells { context: &mut context, shared: Arc::clone(&shared), marks };
    cells.begin()?;
    outlet.send(&json!({ "event": "ready", "child": cells.child() }));
    let handle = cells.context.process_handle();
    let (sender, requests) = channel();
    std::thread::spawn(move || read(&sender, &answer, &shared, &handle));
    for request in requests {
        if !cells.request(&request) {
            break;
        }
    }
    Ok(())
}

/// Reads messages: those that cannot wait for a cell to end are heeded at once.
fn read(requests: &Sender<Json>, lines: &Sender<String>, shared: &Shared, child: &Arc<Mutex<std::process::Child>>) {
    while let Some(message) = wire::read(&mut std::io::stdin().lock()) {
        if message["interrupt"].as_bool() == Some(true) {
            let child = child.lock().map_or(0, |child| child.id());
            if shared.busy.load(Ordering::SeqCst) {
                shared.interrupted.store(true, Ordering::SeqCst);
                // While something compiles nothing of the person's runs.
                if !children::stop_all_but(child) {
                    children::kill_group(child);
                }
            } else {
                // A call runs in a process that does nothing else.
                children::kill_group(child);
                let _ = requests.send(json!({ "restart": true }));
            }
        } else if let Some(line) = message["line"].as_str() {
            let _ = lines.send(line.to_string());
        } else if requests.send(message).is_err() {
            return;
        }
    }
    // Fewlab is gone.
    let child = child.lock().map_or(0, |child| child.id());
    children::stop_all_but(child);
    children::kill_group(child);
    std::process::exit(0);
}

/// A cell with `///` lines as the attributes that they stand for: evcxr drops comments before the first item.
fn documented(code: &str) -> String {
    let line = |line: &str| match line.trim_start().strip_prefix("///") {
        Some(doc) if !doc.starts_with('/') => format!("#[doc = {doc:?}]"),
        _ => line.to_string(),
    };
    code.lines().map(line).collect::<Vec<_>>().join("\n")
}

struct Cells<'a> {
    context: &'a mut CommandContext,
    shared: Arc<Shared>,
    /// What the relay saw of a cell.
    marks: Receiver<String>,
}

impl Cells<'_> {
    /// Makes what a cell finds in scope.
    fn begin(&mut self) -> Result<(), String> {
        let setting =
            |name: &str| std::env::var_os(name).map(PathBuf::from).ok_or_else(|| format!("${name} is not set"));
        let prelude = setting("FEWLAB_CELL")?;
        // Making the context has forgotten the versions that were chosen.
        let lock = setting("EVCXR_TMPDIR")?.join("Cargo.lock");
        std::fs::copy(prelude.join("Cargo.lock"), &lock)
            .map_err(|error| format!("cannot write `{}`: {error}", lock.display()))?;
        let path = prelude.display().to_string();
        let start = format!("{CACHE}\n:dep fewlab-cell = {{ path = {path:?} }}\nuse fewlab_cell::*;\n{LOAD}");
        self.context.execute(&start).map(drop).map_err(|error| report::text(&error))
    }

    /// Loads what cells have defined into a process that has just begun.
    fn load(&mut self) -> Result<(), String> {
        // `:clear` has forgotten what is in scope, too.
        self.context.execute(LOAD).map(drop).or_else(|_| self.begin())
    }

    fn child(&self) -> u32 {
        self.context.process_handle().lock().map_or(0, |child| child.id())
    }

    /// How the child ended, if it has or is about to.
    fn status(&self) -> Option<String> {
        let handle = self.context.process_handle();
        let mut child = handle.lock().ok()?;
        for _ in 0..50 {
            if let Ok(Some(status)) = child.try_wait() {
                return Some(status.to_string());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    /// Does what was asked; false at the end.
    fn request(&mut self, request: &Json) -> bool {
        if let Some(code) = request["run"].as_str() {
            self.shared.interrupted.store(false, Ordering::SeqCst);
            self.shared.busy.store(true, Ordering::SeqCst);
            let mut answer = self.run(code);
            self.shared.busy.store(false, Ordering::SeqCst);
            answer["event"] = "done".into();
            answer["interrupted"] = self.shared.interrupted.load(Ordering::SeqCst).into();
            self.shared.outlet.send(&answer);
        } else if request["restart"].as_bool() == Some(true) {
            let status = self.status();
            let _ = self.context.execute(":restart");
            let fault = self.load().err();
            self.shared.outlet.send(&json!({ "event": "restarted", "status": status, "fault": fault }));
        } else if let Some(code) = request["complete"].as_str() {
            let at = request["at"].as_u64().unwrap_or(0) as usize;
            let answer = self.complete(code, at);
            self.shared.outlet.send(&answer);
        } else if request["quit"].as_bool() == Some(true) {
            return false;
        }
        true
    }

    fn run(&mut self, code: &str) -> Json {
        if code.lines().any(|line| line.trim() == ":quit") {
            return json!({ "message": "`:quit` ends evcxr's own programs; `:clear` forgets what cells have defined" });
        }
        let shared = Arc::clone(&self.shared);
        let mut ask = EvalCallbacks {
            input_reader: &|request| {
                shared.outlet.send(&json!({ "event": "ask", "prompt": request.prompt, "secret": request.is_password }));
                shared.lines.lock().ok().and_then(|lines| lines.recv().ok()).unwrap_or_default()
            },
        };
        let before = self.child();
        let result = self.context.execute_with_callbacks(&documented(code), &mut ask);
        let marks: Vec<String> = std::iter::from_fn(|| self.marks.try_recv().ok()).collect();
        let mut answer = match &result {
            Ok(outputs) => json!({
                "content": outputs.content_by_mime_type,
                "seconds": outputs.timing.as_ref().map(Duration::as_secs_f64),
                "panicked": marks.iter().any(|mark| mark == relay::PANICKED),
                "questioned": marks.iter().any(|mark| mark == relay::QUESTIONED),
            }),
            Err(error) => report::json(error),
        };
        if self.child() != before {
            // What cells have defined is there again; their variables are not.
            if let Err(fault) = self.load() {
                answer["lost"] = fault.into();
            }
            answer["restarted"] = true.into();
        }
        answer
    }

    fn complete(&mut self, code: &str, at: usize) -> Json {
        match self.context.completions(code, at) {
            Ok(found) => {
                let items: Vec<Json> = found
                    .completions
                    .iter()
                    .map(|one| json!({ "text": one.code, "label": one.label, "kind": one.kind }))
                    .collect();
                json!({ "event": "completed", "start": found.start_offset, "items": items })
            }
            Err(_) => json!({ "event": "completed", "start": at, "items": [] }),
        }
    }
}
