//! A cell's outside in a notebook: what it prints and shows is published, what it asks is asked.

use std::cell::RefCell;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::iopub::Stream;
use super::kernel::{Channel, Kernel};
use super::live::Live;
use super::wire::Object;
use crate::error::{Error, Result};
use crate::progress::{Observer, Picture, Stop};
use crate::script::{Display, Front};

/// The request that a thread works on.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its header: what is published is about it.
    pub header: Arc<Object>,
    /// Who sent it: questions go there.
    pub ids: Vec<Bytes>,
    /// Whether the sender can be asked.
    pub answers_input: bool,
}

thread_local! {
    static REQUEST: RefCell<Option<Request>> = const { RefCell::new(None) };
}

/// The outside of the cells of one shell.
pub struct JupyterFront {
    kernel: Arc<Kernel>,
    stop: Stop,
    /// The last request: threads that a cell started publish about it.
    last: Mutex<Option<Request>>,
    live: Arc<Live>,
}

/// A value as the forms that a front end may choose from, and what goes with them.
pub fn bundle(display: &Display) -> (Object, Object) {
    let data = display.bundle().unwrap_or_else(|error| {
        // The words are there in any case.
        let mut data = Object::new();
        data.insert("text/plain".into(), format!("{}\n{error}", display.text).into());
        data
    });
    (data, display.metadata())
}

impl JupyterFront {
    /// The outside of a shell whose cells are stopped by `stop`.
    pub fn new(kernel: Arc<Kernel>, stop: Stop) -> Self {
        let live = Arc::new(Live::new(Arc::clone(&kernel)));
        Self { kernel, stop, last: Mutex::new(None), live }
    }

    /// This thread works on `request` from now on.
    pub fn begin(&self, request: Request) {
        self.live.begin_cell(&request.header);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(request.clone());
        REQUEST.set(Some(request));
    }

    /// The cell ended, with an error or without.
    pub fn end(&self) {
        self.live.end_cell();
    }

    fn request(&self) -> Option<Request> {
        REQUEST.with_borrow(Clone::clone).or_else(|| self.last.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn publish(&self, kind: &str, content: Value) {
        let header = self.request().map_or_else(Arc::default, |request| request.header);
        self.kernel.iopub.send_from_cell(kind, &header, content);
    }

    fn print_to(&self, stream: Stream, text: &str) {
        let header = self.request().map_or_else(Arc::default, |request| request.header);
        self.kernel.iopub.print(stream, &header, &format!("{text}\n"));
    }
}

impl Front for JupyterFront {
    fn print(&self, text: &str) {
        self.print_to(Stream::Out, text);
    }

    fn complain(&self, text: &str) {
        self.print_to(Stream::Err, text);
    }

    fn show(&self, display: &Display) {
        let (data, metadata) = bundle(display);
        self.publish("display_data", json!({ "data": data, "metadata": metadata, "transient": {} }));
    }

    fn replaces(&self) -> bool {
        true
    }

    fn show_again(&self, id: &str, display: &Display, first: bool) {
        let (data, metadata) = bundle(display);
        let kind = if first { "display_data" } else { "update_display_data" };
        self.publish(kind, json!({ "data": data, "metadata": metadata, "transient": { "display_id": id } }));
    }

    fn clear(&self, wait: bool) {
        self.publish("clear_output", json!({ "wait": wait }));
    }

    fn input(&self, prompt: &str, secret: bool) -> Result<String> {
        let request = self.request().filter(|request| request.answers_input).ok_or_else(|| {
            Error::new("this front end does not answer `input`").help("give the value in the cell, or with `param`")
        })?;
        let (sender, receiver) = channel();
        self.kernel.expect_line(sender);
        let wire = &self.kernel.wire;
        let content = json!({ "prompt": prompt, "password": secret });
        let question = wire.message(request.ids.clone(), "input_request", &request.header, content);
        // What was printed before belongs above the question.
        self.kernel.iopub.flush(Duration::from_secs(1));
        let _ = self.kernel.answers.send((Channel::Stdin, question));
        loop {
            match receiver.recv_timeout(Duration::from_millis(20)) {
                Ok(line) => return Ok(line),
                Err(RecvTimeoutError::Timeout) => self.stop.check()?,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::new("another cell asked before this question was answered"));
                }
            }
        }
    }

    fn interactive(&self) -> bool {
        true
    }

    fn observer(&self) -> Arc<dyn Observer> {
        self.live.clone()
    }

    fn record(&self, _name: &str, _value: &Value) -> Result<()> {
        Ok(())
    }

    fn picture(&self, name: &str, picture: &Picture) -> Result<Option<String>> {
        self.show(&Display::picture(
            format!("a picture of {}x{} pixels", picture.width, picture.height),
            name,
            picture.clone(),
        ));
        Ok(None)
    }
}
