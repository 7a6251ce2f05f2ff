//! Evaluations beside training, and the state that scored best.

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::gan::Gan;
use crate::gan::train::Training;
use crate::nn::checkpoint::{self, Saved};
use crate::progress::{Best, Better, Job};

/// A score of a GAN in training.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// What was scored: `fd`.
    pub name: String,
    /// The score.
    pub value: f64,
    /// Which way it is better.
    pub better: Better,
}

/// Scores a GAN as it is at a moment, and changes nothing of it.
pub trait Evaluate: Send + Sync {
    /// The scores, each under a name of its own, the same names at every call.
    ///
    /// # Errors
    /// It cannot be scored; a person asked to stop.
    fn scores(&self, gan: &Gan, job: &Job) -> Result<Vec<Scored>>;
}

/// The state that scored best.
#[derive(Clone)]
pub(super) struct Kept {
    pub best: Best,
    weights: Weights,
}

#[derive(Clone)]
enum Weights {
    File(PathBuf),
    Memory(Arc<Saved>),
}

impl Gan {
    /// The step and the score of the state that scored best while it trained.
    pub fn best_score(&self) -> Option<&Best> {
        self.best.as_ref().map(|kept| &kept.best)
    }

    /// Scores it by `evaluator` from now on. What another one found best is forgotten: its scores do not compare.
    pub fn evaluate_by(&mut self, evaluator: Arc<dyn Evaluate>) {
        (self.evaluator, self.evaluated, self.best) = (Some(evaluator), None, None);
    }

    /// A GAN in the state that scored best while this one trained.
    ///
    /// # Errors
    /// It was not evaluated; the file with its state is gone.
    pub fn best(&self) -> Result<Self> {
        let Some(kept) = &self.best else {
            return Err(Error::new("the GAN was not evaluated while it trained, so that no step is its best")
                .help("give `gan::train` the option `evaluate: #{ on: data.test }`"));
        };
        let mut best = self.copy()?;
        match &kept.weights {
            Weights::File(path) => best.restore(&checkpoint::load(path)?)?,
            Weights::Memory(state) => best.restore(state)?,
        }
        Ok(best)
    }
}

impl Training<'_, '_> {
    /// Takes up what an earlier session found best, and scores the GAN as it begins: what cannot be scored is refused before
    /// any work.
    pub(super) fn begin_evaluations(&mut self, done: u64) -> Result<()> {
        let Some(evaluator) = self.gan.evaluator.clone() else { return Ok(()) };
        if let Some((best, path)) = self.job.observer.resume_best("gan")? {
            self.gan.best = Some(Kept { best, weights: Weights::File(path) });
        }
        if self.gan.evaluated.is_none() || (self.is_due(done) && self.gan.evaluated != Some(done)) {
            self.evaluate(evaluator.as_ref(), done)?;
        }
        Ok(())
    }

    /// Scores the GAN if it is time to. That it cannot be scored ends no training; it is told.
    pub(super) fn evaluate_in_turn(&mut self, done: u64) -> Result<()> {
        let Some(evaluator) = self.gan.evaluator.clone().filter(|_| self.is_due(done)) else { return Ok(()) };
        match self.evaluate(evaluator.as_ref(), done) {
            Err(error) if !error.is_interrupt() => {
                self.job.observer.note(&format!("the GAN could not be evaluated after step {done}: {}", error.message));
                Ok(())
            }
            evaluated => evaluated,
        }
    }

    fn is_due(&self, done: u64) -> bool {
        done == self.end || done.is_multiple_of(self.gan.options.evaluate_every as u64)
    }

    fn evaluate(&mut self, evaluator: &dyn Evaluate, done: u64) -> Result<()> {
        // Its own stages would come between those of the training.
        let quiet = Job { stop: self.job.stop.clone(), ..Job::silent() };
        let scores = evaluator.scores(self.gan, &quiet)?;
        let chosen = chosen(&scores, self.gan.options.best_by.as_deref())?.cloned();
        for score in &scores {
            self.job.observer.value("gan", done, &score.name, score.value);
        }
        self.gan.evaluated = Some(done);
        match chosen {
            Some(score) => self.keep_best(&score, done),
            None => Ok(()),
        }
    }

    fn keep_best(&mut self, score: &Scored, done: u64) -> Result<()> {
        // Another score may have been chosen since.
        let before = self.gan.best_score().filter(|best| best.score == score.name).map(|best| best.value);
        if !score.value.is_finite() || before.is_some_and(|before| !score.better.is(score.value, before)) {
            return Ok(());
        }
        let best = Best { step: done, score: score.name.clone(), value: score.value };
        let state = Arc::new(self.gan.state()?);
        let weights = match self.job.observer.best("gan", &best, &|path| state.write(path))? {
            Some(path) => Weights::File(path),
            None => Weights::Memory(state),
        };
        self.gan.best = Some(Kept { best, weights });
        Ok(())
    }
}

/// The score that the best state is chosen by: the one called `name`, or the first that is better one way.
fn chosen<'a>(scores: &'a [Scored], name: Option<&str>) -> Result<Option<&'a Scored>> {
    let mut ordered = scores.iter().filter(|score| score.better != Better::Neither);
    let Some(name) = name else { return Ok(ordered.next()) };
    ordered
        .clone()
        .find(|score| score.name == name)
        .map(Some)
        .ok_or_else(|| crate::table::unknown("score for `best_by`", name, ordered.map(|score| score.name.as_str())))
}
