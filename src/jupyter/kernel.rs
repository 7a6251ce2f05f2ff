//! What the threads of a kernel share.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;

use super::comm::Comms;
use super::connection::Connection;
use super::iopub::Iopub;
use super::wire::{Message, Object, Wire};
use crate::error::Result;
use crate::notebook::history::{self, History};
use crate::progress::Stop;
use crate::script::complete::Names;
use crate::script::{Given, Host};

/// A socket that answers go out on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Where cells come from.
    Shell,
    /// Where interrupts come from.
    Control,
    /// Where questions to the person go.
    Stdin,
}

/// A thread that evaluates cells.
pub struct Shell {
    /// Cells go here.
    pub cells: Sender<Message>,
    /// How its cell is interrupted.
    pub stop: Stop,
}

/// What the threads of a kernel share.
pub struct Kernel {
    /// Writes and reads messages.
    pub wire: Arc<Wire>,
    /// What everybody sees.
    pub iopub: Arc<Iopub>,
    /// Answers on their way out.
    pub answers: UnboundedSender<(Channel, Message)>,
    /// What a session begins with.
    pub given: Given,
    /// Where it listens.
    pub connection: Connection,
    /// The header of the request whose cell the main shell runs.
    running: Mutex<Option<Arc<Object>>>,
    /// The number of the last cell that was kept.
    pub count: AtomicUsize,
    /// The state that the functions of the main session share.
    pub host: OnceLock<Arc<Host>>,
    /// Conversations with widgets.
    pub comms: Comms,
    names: Mutex<Arc<Names>>,
    history: Mutex<Option<History>>,
    /// Where the line that a cell waits for goes.
    typed: Mutex<Option<Sender<String>>>,
    subshells: Mutex<BTreeMap<String, Shell>>,
    main: OnceLock<(Mutex<Sender<Message>>, Stop)>,
}

/// A lock whose holder panicked is taken all the same: each value here is replaced whole.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kernel {
    /// A kernel that evaluates nothing yet.
    pub fn new(
        connection: &Connection,
        wire: Arc<Wire>,
        answers: UnboundedSender<(Channel, Message)>,
        given: Given,
    ) -> Self {
        let iopub = Arc::new(Iopub::new(Arc::clone(&wire)));
        Self {
            comms: Comms::new(Arc::clone(&wire), Arc::clone(&iopub)),
            wire,
            iopub,
            answers,
            given,
            connection: connection.clone(),
            running: Mutex::default(),
            count: AtomicUsize::new(0),
            host: OnceLock::new(),
            names: Mutex::default(),
            history: Mutex::new(None),
            typed: Mutex::new(None),
            subshells: Mutex::default(),
            main: OnceLock::new(),
        }
    }

    /// Answers `request` with `content`.
    pub fn answer(&self, channel: Channel, request: &Message, content: Value) {
        let kind = request.kind().strip_suffix("_request").unwrap_or(request.kind());
        let reply = self.wire.reply(request, &format!("{kind}_reply"), content);
        // Nobody takes it when the kernel ends.
        let _ = self.answers.send((channel, reply));
    }

    /// The names of the main session after its last cell.
    pub fn names(&self) -> Arc<Names> {
        Arc::clone(&held(&self.names))
    }

    /// Takes the names of the main session.
    pub fn set_names(&self, names: Names) {
        *held(&self.names) = Arc::new(names);
    }

    /// Asks the history something. It is opened when it is first asked or told something: a kernel starts faster so.
    ///
    /// # Errors
    /// Should not happen: without a file the history is in memory.
    pub fn history<R>(&self, ask: impl FnOnce(&mut History) -> R) -> Result<R> {
        let mut history = held(&self.history);
        match history.as_mut() {
            Some(history) => Ok(ask(history)),
            None => Ok(ask(history.insert(History::open(history::default_path().as_deref())?))),
        }
    }

    /// From now on a typed line goes to `sender`.
    pub fn expect_line(&self, sender: Sender<String>) {
        *held(&self.typed) = Some(sender);
    }

    /// A line was typed.
    pub fn typed(&self, line: String) {
        if let Some(sender) = held(&self.typed).take() {
            // The cell may have stopped waiting.
            let _ = sender.send(line);
        }
    }

    /// The thread of the main shell is there.
    pub fn set_main(&self, shell: Shell) {
        let _ = self.main.set((Mutex::new(shell.cells), shell.stop));
    }

    /// Gives a cell to the shell it is for; gives it back if there is no such shell.
    pub fn submit(&self, request: Message) -> std::result::Result<(), Box<Message>> {
        let sender = match request.subshell() {
            Some(id) => held(&self.subshells).get(id).map(|shell| shell.cells.clone()),
            None => self.main.get().map(|(cells, _)| held(cells).clone()),
        };
        match sender {
            Some(cells) => cells.send(request).map_err(|unsent| Box::new(unsent.0)),
            None => Err(Box::new(request)),
        }
    }

    /// Stops what runs, in all shells.
    pub fn interrupt(&self) {
        if let Some((_, stop)) = self.main.get() {
            stop.raise();
        }
        held(&self.subshells).values().for_each(|shell| shell.stop.raise());
    }

    /// Adds a subshell.
    pub fn add_subshell(&self, id: String, shell: Shell) {
        held(&self.subshells).insert(id, shell);
    }

    /// Ends a subshell; whether there was one.
    pub fn remove_subshell(&self, id: &str) -> bool {
        let shell = held(&self.subshells).remove(id);
        shell.inspect(|shell| shell.stop.raise()).is_some()
    }

    /// The names of the subshells.
    pub fn subshells(&self) -> Vec<String> {
        held(&self.subshells).keys().cloned().collect()
    }

    /// Says that the main shell begins to work on a request.
    pub fn begin(&self, parent: &Arc<Object>) {
        let mut running = held(&self.running);
        self.iopub.status("busy", parent);
        *running = Some(Arc::clone(parent));
    }

    /// Says that the main shell is at an end with a request.
    pub fn end(&self, parent: &Object) {
        let mut running = held(&self.running);
        self.iopub.status("idle", parent);
        *running = None;
    }

    /// Whether the main shell works on a request.
    pub fn is_running(&self) -> bool {
        held(&self.running).is_some()
    }

    /// Says `idle` about a request that was answered beside a cell, and that the kernel is busy with that cell still:
    /// front ends show the last they heard.
    pub fn end_beside(&self, parent: &Object) {
        let running = held(&self.running);
        self.iopub.status("idle", parent);
        if let Some(cell) = running.as_ref() {
            self.iopub.status("busy", cell);
        }
    }
}
