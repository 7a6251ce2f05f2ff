//! A front end that can be told to keep what is printed and shown instead of passing it on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Result;
use crate::options::Value;
use crate::progress::{Observer, Picture, Silent};
use crate::script::{Display, Front};

/// A front end behind a gate.
pub struct Capturing {
    inner: Arc<dyn Front>,
    kept: Mutex<Option<String>>,
}

impl Capturing {
    /// An open gate before `inner`.
    pub fn new(inner: Arc<dyn Front>) -> Self {
        Self { inner, kept: Mutex::new(None) }
    }

    fn kept(&self) -> MutexGuard<'_, Option<String>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the gate: from now on what is said is kept.
    pub fn close(&self) {
        *self.kept() = Some(String::new());
    }

    /// Opens the gate, and gives what was said since it was closed.
    pub fn open(&self) -> String {
        self.kept().take().unwrap_or_default()
    }

    /// Keeps `text` if the gate is closed.
    fn keep(&self, text: &str) -> bool {
        match self.kept().as_mut() {
            Some(kept) => {
                kept.push_str(text);
                kept.push('\n');
                true
            }
            None => false,
        }
    }
}

impl Front for Arc<Capturing> {
    fn print(&self, text: &str) {
        if !self.keep(text) {
            self.inner.print(text);
        }
    }

    fn complain(&self, text: &str) {
        if !self.keep(text) {
            self.inner.complain(text);
        }
    }

    fn show(&self, display: &Display) {
        if !self.keep(&display.text) {
            self.inner.show(display);
        }
    }

    fn show_again(&self, id: &str, display: &Display, first: bool) {
        if !self.keep(&display.text) {
            self.inner.show_again(id, display, first);
        }
    }

    fn replaces(&self) -> bool {
        self.kept().is_none() && self.inner.replaces()
    }

    fn clear(&self, wait: bool) {
        match self.kept().as_mut() {
            Some(kept) => kept.clear(),
            None => self.inner.clear(wait),
        }
    }

    fn input(&self, prompt: &str, secret: bool) -> Result<String> {
        self.inner.input(prompt, secret)
    }

    fn interactive(&self) -> bool {
        self.inner.interactive()
    }

    fn observer(&self) -> Arc<dyn Observer> {
        if self.kept().is_some() { Arc::new(Silent) } else { self.inner.observer() }
    }

    fn record(&self, name: &str, value: &serde_json::Value) -> Result<()> {
        self.inner.record(name, value)
    }

    fn asked(&self, name: &str, value: &Value) -> Result<()> {
        self.inner.asked(name, value)
    }

    fn picture(&self, name: &str, picture: &Picture) -> Result<Option<String>> {
        self.inner.picture(name, picture)
    }
}
