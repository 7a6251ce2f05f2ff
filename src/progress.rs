//! What a long job reports, and how it is asked to stop. Knows nothing of terminals, files or scripts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

/// A flag that a person raises and every native loop looks at each step.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks the job to stop after its current step.
    pub fn raise(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Takes the request back, before the next job.
    pub fn clear(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    /// Whether the job was asked to stop.
    pub fn raised(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// An interrupt error if the job was asked to stop.
    pub fn check(&self) -> Result<()> {
        if self.raised() { Err(Error::interrupted("interrupted")) } else { Ok(()) }
    }
}

/// An 8-bit RGB picture, row by row: `pixels.len() == width * height * 3`.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// Red, green, blue of each pixel, top left first.
    pub pixels: Vec<u8>,
}

/// One step of a long job.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// What the job is: `rotation`, `gan`.
    pub stage: &'a str,
    /// Steps done, from 1.
    pub step: u64,
    /// Steps in all.
    pub of: u64,
    /// What was measured at this step, by name.
    pub values: &'a [(&'a str, f64)],
}

/// Who watches a long job. Every method has a body that does nothing.
pub trait Observer: Send + Sync {
    /// A job begins: `of` steps, `from` of them already done (when it resumes).
    fn begin(&self, _stage: &str, _from: u64, _of: u64) {}
    /// A step ended.
    fn step(&self, _step: &Step<'_>) {}
    /// A score or a figure of merit, `step` steps into the stage; kept for good.
    fn value(&self, _stage: &str, _step: u64, _name: &str, _value: f64) {}
    /// A picture worth keeping, such as a grid of samples.
    fn picture(&self, _stage: &str, _step: u64, _name: &str, _picture: &Picture) {}
    /// A line for the person.
    fn note(&self, _text: &str) {}
    /// A job ended, with one line on how it went.
    fn end(&self, _stage: &str, _summary: &str) {}
    /// Where to save the state of the `stage`, if anywhere. The file is written whole or not at all: `save`
    /// writes to the path it is given, which is then moved into place. `fingerprint` says what the state is
    /// of: settings, data, seed.
    fn checkpoint(&self, _stage: &str, _fingerprint: &str, _step: u64, _save: &dyn Fn(&Path) -> Result<()>) -> Result<()> {
        Ok(())
    }
    /// The saved state of this `stage` with this `fingerprint`, when a run is resumed.
    fn resume(&self, _stage: &str, _fingerprint: &str) -> Result<Option<PathBuf>> {
        Ok(None)
    }
}

/// Watches nothing.
pub struct Silent;
impl Observer for Silent {}

/// What every long job is given: who watches it, and how it is stopped.
#[derive(Clone)]
pub struct Job {
    /// Who watches.
    pub observer: Arc<dyn Observer>,
    /// How it is asked to stop.
    pub stop: Stop,
}

impl Job {
    /// A job that nobody watches and nobody stops.
    pub fn silent() -> Self {
        Self { observer: Arc::new(Silent), stop: Stop::default() }
    }
}

impl Default for Job {
    fn default() -> Self {
        Self::silent()
    }
}
