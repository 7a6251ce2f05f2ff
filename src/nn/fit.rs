//! The loop around every training: steps, progress, checkpoints, resuming, stopping, numbers gone bad.

use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::progress::{Checkpoint, Job, Step};

/// A training that can be saved and taken up again.
pub trait Trainable {
    /// One step, `step` counted from 0; returns what was measured.
    ///
    /// # Errors
    /// Whatever goes wrong; the state before the step should still be usable.
    fn step(&mut self, step: u64) -> Result<Vec<(&'static str, f64)>>;
    /// Whether what the steps up to `done` measured is to be read now. A training on a GPU that says no may return nothing
    /// from [`step`](Self::step): each reading waits for the GPU.
    fn reads(&self, _done: u64) -> bool {
        true
    }
    /// What each step since the last reading measured, of steps that returned nothing.
    ///
    /// # Errors
    /// Whatever goes wrong.
    fn measured(&mut self) -> Result<Vec<Vec<(&'static str, f64)>>> {
        Ok(Vec::new())
    }
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
    /// What to do before the first of these steps, `done` of which an earlier session did.
    ///
    /// # Errors
    /// Whatever goes wrong.
    fn before(&mut self, _done: u64) -> Result<()> {
        Ok(())
    }
    /// What to do after `done` steps, such as drawing samples.
    ///
    /// # Errors
    /// Whatever goes wrong.
    fn after(&mut self, _done: u64, _of: u64) -> Result<()> {
        Ok(())
    }
    /// What a person is told when numbers are not finite after `done` steps, or when [`after`](Self::after) stopped the
    /// training; and the step of a good state that was put back, if one was: it is saved.
    ///
    /// # Errors
    /// The state could not be put back.
    fn rescue(&mut self, error: Error, _done: u64) -> Result<(Error, Option<u64>)> {
        Ok((error.help("lower the learning rate, or add a penalty"), None))
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
    /// How many checkpoints stay, the newest.
    pub keep: usize,
}

impl Fit<'_> {
    /// Runs `training` from step `from` (or from where a resumed run had got to) to the last; returns the steps done.
    ///
    /// # Errors
    /// A step failed; a measured number is not finite; the training stopped itself; a person asked to stop (after a checkpoint
    /// was written).
    pub fn run(&self, training: &mut dyn Trainable, from: u64) -> Result<u64> {
        let mut done = from;
        let mut saved = self.taken_up(training)?;
        if let Some((_, steps)) = saved {
            done = steps;
        }
        self.job.observer.begin(self.stage, done, self.steps);
        training.before(done)?;
        let mut last: Vec<(&'static str, f64)> = Vec::new();
        // Steps whose numbers were told to the observer.
        let mut told = done;
        while done < self.steps {
            if self.job.stop.raised() {
                let values = training.measured()?;
                let told = self.tell(values, &mut told, &mut last, saved.as_ref());
                return Err(match told {
                    Ok(()) => self.interrupted(training, done)?,
                    Err((error, step)) => self.rescued(training, error, step)?,
                });
            }
            let values = training.step(done)?;
            done += 1;
            let saves = done == self.steps || (self.checkpoint_every > 0 && done.is_multiple_of(self.checkpoint_every));
            let values = match values.is_empty() {
                false => vec![values],
                true if saves || training.reads(done) => training.measured()?,
                true => Vec::new(),
            };
            if let Err((error, step)) = self.tell(values, &mut told, &mut last, saved.as_ref()) {
                return Err(self.rescued(training, error, step)?);
            }
            match training.after(done, self.steps) {
                Err(error) if error.is_interrupt() && self.job.stop.raised() => {
                    return Err(self.interrupted(training, done)?);
                }
                Err(error) if error.kind == Kind::Stopped => return Err(self.rescued(training, error, done)?),
                ended => ended?,
            }
            if saves {
                saved = self.checkpoint(training, done)?.map(|path| (path, done)).or(saved);
            }
        }
        Ok(done)
    }

    /// What a training that a person stops is ended with, once it is saved.
    fn interrupted(&self, training: &dyn Trainable, done: u64) -> Result<Error> {
        self.checkpoint(training, done)?;
        Ok(Error::interrupted(format!("`{}` was interrupted after step {done} of {}", self.stage, self.steps)))
    }

    /// What a training that cannot go on is ended with; a good state that was put back is saved first.
    fn rescued(&self, training: &mut dyn Trainable, error: Error, done: u64) -> Result<Error> {
        let (mut error, back) = training.rescue(error, done)?;
        if let Some(step) = back
            && let Some(path) = self.checkpoint(training, step)?
        {
            error.message += &format!("; the state after step {step} is in `{}`", path.display());
        }
        Ok(error)
    }

    /// Tells the observer what each step after `told` measured; if one number is not finite, an error and the steps before it.
    fn tell(
        &self,
        steps: Vec<Vec<(&'static str, f64)>>,
        told: &mut u64,
        last: &mut Vec<(&'static str, f64)>,
        saved: Option<&(PathBuf, u64)>,
    ) -> std::result::Result<(), (Error, u64)> {
        for values in steps {
            if let Some((name, value)) = values.iter().find(|(_, value)| !value.is_finite()) {
                return Err((self.not_finite(name, *value, *told, last, saved), *told));
            }
            *told += 1;
            self.job.observer.step(&Step { stage: self.stage, step: *told, of: self.steps, values: &values });
            *last = values;
        }
        Ok(())
    }

    /// Takes up the newest saved state that can be read; says where it is from, and which could not be read.
    fn taken_up(&self, training: &mut dyn Trainable) -> Result<Option<(PathBuf, u64)>> {
        let states = self.job.observer.resume(self.stage, self.fingerprint)?;
        let mut damaged = None;
        for path in states {
            match (training.load(&path), &damaged) {
                (Ok(done), _) => {
                    if let Some((newest, error)) = &damaged {
                        let newest: &PathBuf = newest;
                        let error: &Error = error;
                        self.job.observer.note(&format!(
                            "`{}` is damaged ({}); `{}` goes on from `{}`, step {done}",
                            newest.display(),
                            error.message,
                            self.stage,
                            path.display()
                        ));
                    }
                    return Ok(Some((path, done)));
                }
                (Err(error), None) => damaged = Some((path, error)),
                (Err(_), Some(_)) => {}
            }
        }
        damaged.map_or(Ok(None), |(_, error)| Err(error))
    }

    /// What is known when `name` became `value` in the step after `done`.
    fn not_finite(
        &self,
        name: &str,
        value: f64,
        done: u64,
        last: &[(&'static str, f64)],
        saved: Option<&(PathBuf, u64)>,
    ) -> Error {
        let mut text = format!("`{name}` of `{}` became {value} at step {}", self.stage, done + 1);
        if !last.is_empty() {
            let values: Vec<String> = last.iter().map(|(name, value)| format!("`{name}` was {value:.3}")).collect();
            text += &format!("; at step {done} {}", values.join(", "));
        }
        if let Some((path, step)) = saved {
            text += &format!("; the last checkpoint is `{}`, of step {step}", path.display());
        }
        Error::new(text)
    }

    fn checkpoint(&self, training: &dyn Trainable, done: u64) -> Result<Option<PathBuf>> {
        let what = Checkpoint { stage: self.stage, fingerprint: self.fingerprint, step: done, keep: self.keep };
        self.job.observer.checkpoint(&what, &|path| training.save(path, done))
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
