//! What a long job reports, and how it is asked to stop. Knows nothing of terminals, files or scripts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};

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

impl Picture {
    /// Whether it has no colour.
    pub fn is_grey(&self) -> bool {
        self.pixels.chunks_exact(3).all(|p| p[0] == p[1] && p[1] == p[2])
    }

    /// The red of each pixel: all there is to a picture without colour.
    pub fn grey(&self) -> Vec<u8> {
        self.pixels.chunks_exact(3).map(|p| p[0]).collect()
    }
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
    /// Something worth a mark in the curves: an option that was changed, a guard that stopped the stage.
    fn mark(&self, _stage: &str, _step: u64, _text: &str) {}
    /// A line for the person.
    fn note(&self, _text: &str) {}
    /// A job ended, with one line on how it went.
    fn end(&self, _stage: &str, _summary: &str) {}
    /// Saves the state of a stage, if anywhere, and says where. The file is written whole or not at all: `save` writes to
    /// the path it is given, which is then moved into place.
    fn checkpoint(&self, _what: &Checkpoint<'_>, _save: &dyn Fn(&Path) -> Result<()>) -> Result<Option<PathBuf>> {
        Ok(None)
    }
    /// The saved states of this `stage` with this `fingerprint`, newest first, when a run is resumed.
    fn resume(&self, _stage: &str, _fingerprint: &str) -> Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
    /// Saves the state of the `stage` that scored best so far, in place of the one before, if anywhere, and says where.
    fn best(&self, _stage: &str, _best: &Best, _save: &dyn Fn(&Path) -> Result<()>) -> Result<Option<PathBuf>> {
        Ok(None)
    }
    /// The best state of this `stage` and its file, when a run is resumed.
    fn resume_best(&self, _stage: &str) -> Result<Option<(Best, PathBuf)>> {
        Ok(None)
    }
}

/// Which way a score is better.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Distances.
    #[default]
    Lower,
    /// Shares.
    Higher,
    /// Neither: what real images score is the mark.
    Neither,
}

impl Better {
    /// Whether `value` is better than `best`.
    pub fn is(self, value: f64, best: f64) -> bool {
        match self {
            Better::Lower => value < best,
            Better::Higher => value > best,
            Better::Neither => false,
        }
    }
}

/// What a saved state is of.
#[derive(Debug, Clone, Copy)]
pub struct Checkpoint<'a> {
    /// What the job is.
    pub stage: &'a str,
    /// Settings, data and seed in one text.
    pub fingerprint: &'a str,
    /// Steps done.
    pub step: u64,
    /// How many saved states of the stage stay, this one among them.
    pub keep: usize,
}

/// The score of a state that scored better than all before.
#[derive(Debug, Clone, PartialEq)]
pub struct Best {
    /// Steps done.
    pub step: u64,
    /// What was scored: `fd`.
    pub score: String,
    /// The score.
    pub value: f64,
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
    /// Whether a loop that is asked to stop gives what it has reached, for a person to go on from there, instead of an
    /// error.
    pub keep: bool,
}

impl Job {
    /// Whether a training loop ended by itself; it did not, and that is no error, if it was asked to stop or stopped itself
    /// and the person keeps what it has reached, who is told why it stopped itself.
    ///
    /// # Errors
    /// Any other error of the loop.
    pub fn ended<T>(&self, trained: Result<T>) -> Result<bool> {
        match trained {
            Ok(_) => Ok(true),
            Err(error) if self.keep && error.is_interrupt() && self.stop.raised() => Ok(false),
            Err(error) if self.keep && error.kind == Kind::Stopped => {
                self.observer.note(&error.to_string());
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// A job that nobody watches and nobody stops.
    pub fn silent() -> Self {
        Self { observer: Arc::new(Silent), stop: Stop::default(), keep: false }
    }
}

impl Default for Job {
    fn default() -> Self {
        Self::silent()
    }
}

/// What a summary says beyond the number of steps, which whoever shows it has told already.
pub fn beyond_steps(summary: &str, steps: u64) -> &str {
    summary.strip_prefix(&format!("{steps} steps")).map_or(summary, |rest| rest.trim_start_matches([',', ' ']))
}

/// Several watchers of one job, told in order.
#[derive(Clone, Default)]
pub struct Several(pub Vec<Arc<dyn Observer>>);

impl Observer for Several {
    fn begin(&self, stage: &str, from: u64, of: u64) {
        self.0.iter().for_each(|observer| observer.begin(stage, from, of));
    }

    fn step(&self, step: &Step<'_>) {
        self.0.iter().for_each(|observer| observer.step(step));
    }

    fn value(&self, stage: &str, step: u64, name: &str, value: f64) {
        self.0.iter().for_each(|observer| observer.value(stage, step, name, value));
    }

    fn picture(&self, stage: &str, step: u64, name: &str, picture: &Picture) {
        self.0.iter().for_each(|observer| observer.picture(stage, step, name, picture));
    }

    fn mark(&self, stage: &str, step: u64, text: &str) {
        self.0.iter().for_each(|observer| observer.mark(stage, step, text));
    }

    fn note(&self, text: &str) {
        self.0.iter().for_each(|observer| observer.note(text));
    }

    fn end(&self, stage: &str, summary: &str) {
        self.0.iter().for_each(|observer| observer.end(stage, summary));
    }

    /// Saves with each; the first failure is told once all have tried.
    fn checkpoint(&self, what: &Checkpoint<'_>, save: &dyn Fn(&Path) -> Result<()>) -> Result<Option<PathBuf>> {
        first(self.0.iter().map(|observer| observer.checkpoint(what, save)))
    }

    /// The saved states of the first that has any.
    fn resume(&self, stage: &str, fingerprint: &str) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for observer in &self.0 {
            let states = observer.resume(stage, fingerprint)?;
            if found.is_empty() {
                found = states;
            }
        }
        Ok(found)
    }

    fn best(&self, stage: &str, best: &Best, save: &dyn Fn(&Path) -> Result<()>) -> Result<Option<PathBuf>> {
        first(self.0.iter().map(|observer| observer.best(stage, best, save)))
    }

    fn resume_best(&self, stage: &str) -> Result<Option<(Best, PathBuf)>> {
        first(self.0.iter().map(|observer| observer.resume_best(stage)))
    }
}

/// The first answer, once all were asked; the first failure if there is one.
fn first<T>(answers: impl Iterator<Item = Result<Option<T>>>) -> Result<Option<T>> {
    let answers: Vec<Result<Option<T>>> = answers.collect();
    Ok(answers.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    struct Keeper(Mutex<Vec<u64>>, Option<Error>);

    impl Observer for Keeper {
        fn checkpoint(&self, what: &Checkpoint<'_>, _: &dyn Fn(&Path) -> Result<()>) -> Result<Option<PathBuf>> {
            self.0.lock().unwrap().push(what.step);
            self.1.clone().map_or(Ok(None), Err)
        }

        fn resume(&self, stage: &str, _: &str) -> Result<Vec<PathBuf>> {
            Ok(vec![stage.into()])
        }
    }

    #[test]
    fn the_number_of_steps_is_not_told_twice() {
        assert_eq!(beyond_steps("700 steps, 128 features", 700), "128 features");
        assert_eq!(beyond_steps("1500 steps", 1500), "");
        assert_eq!(beyond_steps("accuracy 0.93", 700), "accuracy 0.93");
    }

    #[test]
    fn one_watcher_that_fails_does_not_keep_the_next_from_saving() {
        let keepers = [Some(Error::new("full")), None].map(|failure| Arc::new(Keeper(Mutex::default(), failure)));
        let several = Several(vec![keepers[0].clone(), Arc::new(Silent), keepers[1].clone()]);
        let result = several.checkpoint(&Checkpoint { stage: "gan", fingerprint: "f", step: 7, keep: 1 }, &|_| Ok(()));
        assert_eq!(result.unwrap_err().message, "full");
        assert_eq!(keepers[1].0.lock().unwrap()[..], [7]);
        assert_eq!(
            Several(vec![Arc::new(Silent), keepers[0].clone()]).resume("gan", "f").unwrap(),
            [PathBuf::from("gan")]
        );
    }
}
