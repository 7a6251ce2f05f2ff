//! The loop around every training: steps, progress, checkpoints, resuming, stopping, numbers gone bad.

use std::path::Path;

use crate::error::{Error, Result};
use crate::progress::{Job, Step};

/// A training that can be saved and taken up again.
pub trait Trainable {
    /// One step, `step` counted from 0; returns what was measured.
    ///
    /// # Errors
    /// Whatever goes wrong; the state before the step should still be usable.
    fn step(&mut self, step: u64) -> Result<Vec<(&'static str, f64)>>;
    /// Writes everything that the steps so far changed.
    ///
    /// # Errors
    /// The file cannot be written.
    fn save(&self, path: &Path, done: u64) -> Result<()>;
    /// Reads what `save` wrote; returns the steps that were done.
    ///
    /// # Errors
    /// The file is of another training.
    fn load(&mut self, path: &Path) -> Result<u64>;
    /// What to do after `done` steps, such as drawing samples.
    ///
    /// # Errors
    /// Whatever goes wrong.
    fn after(&mut self, _done: u64, _of: u64) -> Result<()> {
        Ok(())
    }
}

/// How a training is run.
pub struct Fit<'a> {
    /// Who watches and who stops.
    pub job: &'a Job,
    /// What the stage is called: `rotation`, `gan`.
    pub stage: &'a str,
    /// Steps in all.
    pub steps: u64,
    /// Settings, data and seed in one text: a checkpoint of another one does not fit.
    pub fingerprint: &'a str,
    /// Steps between checkpoints; one is always written at the end and when stopped.
    pub checkpoint_every: u64,
}

impl Fit<'_> {
    /// Runs `training` from step `from` (or from where a resumed run had got to) to the last; returns the steps done.
    ///
    /// # Errors
    /// A step failed; a measured number is not finite; a person asked to stop (after a checkpoint was written).
    pub fn run(&self, training: &mut dyn Trainable, from: u64) -> Result<u64> {
        let mut done = from;
        if let Some(path) = self.job.observer.resume(self.stage, self.fingerprint)? {
            done = training.load(&path)?;
        }
        self.job.observer.begin(self.stage, done, self.steps);
        let mut last: Vec<(&'static str, f64)> = Vec::new();
        while done < self.steps {
            if self.job.stop.raised() {
                self.checkpoint(training, done)?;
                return Err(Error::interrupted(format!(
                    "`{}` was interrupted after step {done} of {}",
                    self.stage, self.steps
                )));
            }
            let values = training.step(done)?;
            if let Some((name, value)) = values.iter().find(|(_, value)| !value.is_finite()) {
                let before = last
                    .iter()
                    .find(|(other, _)| other == name)
                    .map(|(_, v)| format!("; last finite value {v:.3}"))
                    .unwrap_or_default();
                return Err(Error::new(format!(
                    "`{name}` of `{}` became {value} at step {}{before}",
                    self.stage,
                    done + 1
                ))
                .help("lower the learning rate, or add a penalty"));
            }
            done += 1;
            self.job.observer.step(&Step { stage: self.stage, step: done, of: self.steps, values: &values });
            last = values;
            training.after(done, self.steps)?;
            if done == self.steps || (self.checkpoint_every > 0 && done.is_multiple_of(self.checkpoint_every)) {
                self.checkpoint(training, done)?;
            }
        }
        Ok(done)
    }

    fn checkpoint(&self, training: &dyn Trainable, done: u64) -> Result<()> {
        self.job.observer.checkpoint(self.stage, self.fingerprint, done, &|path| training.save(path, done))
    }
}

/// The mean of each measured value over the steps since it was last taken.
#[derive(Default)]
pub struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    /// Adds one value.
    pub fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    /// The mean so far, if there is any value.
    pub fn value(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}
