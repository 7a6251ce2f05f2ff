//! A session as a notebook's user knows it: numbered cells, `ans`, `In[n]` and `Out[n]`, magics, a history.
//!
//! The Jupyter kernel and the terminal front end share all of it; neither sockets nor keys are known here, and no tensor,
//! loss or metric.

pub mod capture;
pub mod history;
pub mod magic;
pub mod parameters;
mod timing;

use std::path::Path;
use std::sync::Arc;

use crate::error::Error;
use crate::progress::Stop;
use crate::script::session::Completeness;
use crate::script::{Diagnostic, Display, Front, Given, Host, Session, display};
use capture::Capturing;
use magic::Piece;

/// A session with its numbered cells.
pub struct Notebook {
    session: Session,
    front: Arc<Capturing>,
    host: Arc<Host>,
}

/// What a cell that succeeded leaves to be shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// The value of its last expression, if it has one.
    pub value: Option<Display>,
    /// A text to be read on the side: `name?` asks for one.
    pub page: Option<String>,
}

impl Notebook {
    /// An empty notebook whose outside is `front`; scripts it imports are looked for in `folder`.
    pub fn new(front: Arc<dyn Front>, stop: Stop, given: Given, folder: &Path) -> Self {
        let front = Arc::new(Capturing::new(front));
        let host = Host::new(Box::new(Arc::clone(&front)), stop, given);
        Self { session: Session::new(Arc::clone(&host), folder), front, host }
    }

    /// A notebook beside the session of `host`: it reads that one's variables and has its own.
    pub fn beside(host: &Host, front: Arc<dyn Front>, stop: Stop) -> Self {
        let front = Arc::new(Capturing::new(front));
        let host = host.beside(Box::new(Arc::clone(&front)), stop);
        Self { session: Session::new(Arc::clone(&host), Path::new("")), front, host }
    }

    /// What bound functions share.
    pub fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Evaluates the cell with this number. Variables set before an error stay set.
    ///
    /// A cell that is `kept` can be asked for as `In[number]`, its value as `Out[number]` and, until the next one, `ans`.
    ///
    /// # Errors
    /// What went wrong, with its place.
    pub fn cell(&mut self, text: &str, number: usize, kept: bool) -> Result<Outcome, Diagnostic> {
        if kept {
            self.session.keep_input(number, text);
        }
        let name = format!("cell [{number}]");
        if let Some(given) = parameters::injected(text) {
            self.give(given?)?;
            return Ok(Outcome::default());
        }
        if let Some(call) = magic::whole_cell(text) {
            return magic::run(self, &name, &call?);
        }
        let pieces = magic::split(text, |code| self.session.completeness(code) == Completeness::Incomplete);
        let mut outcome = Outcome::default();
        for piece in pieces {
            outcome = match piece {
                Piece::Code(code) => Outcome { value: self.code(&name, &code, kept.then_some(number))?, page: None },
                Piece::Line(call) => magic::run(self, &name, &call?)?,
                Piece::Question { about, detail } => Outcome { value: None, page: Some(self.about(&about, detail)?) },
            };
        }
        Ok(outcome)
    }

    /// Evaluates code, and shows the value of its last expression.
    fn code(&mut self, name: &str, code: &str, number: Option<usize>) -> Result<Option<Display>, Diagnostic> {
        let value = self.session.eval(name, code)?;
        if value.is_unit() {
            return Ok(None);
        }
        let shown = display::full(&value);
        if shown == Display::default() {
            return Ok(None);
        }
        if let Some(number) = number {
            self.session.keep_result(number, value);
        }
        Ok(Some(shown))
    }

    /// The value of an expression on the side, in short: nothing is kept.
    ///
    /// # Errors
    /// What went wrong, with its place.
    pub fn expression(&mut self, name: &str, code: &str) -> Result<Display, Diagnostic> {
        self.session.eval(name, code).map(|value| display::full(&value))
    }

    /// Gives parameters: later calls of `param` answer with them, and variables of their names take them at once.
    fn give(&mut self, given: Vec<(String, crate::options::Value)>) -> Result<(), Diagnostic> {
        for (name, value) in given {
            self.session.give(&name, &value)?;
        }
        Ok(())
    }

    /// The page about a name: of a variable what it is, of a function its manual.
    fn about(&self, name: &str, detail: bool) -> Result<String, Error> {
        let names = crate::script::complete::Names::of(&self.session);
        crate::script::inspect::page(&self.host, &names, name, detail)
    }
}
