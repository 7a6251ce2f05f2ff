//! How a study stands while it runs, read from the folders of its trials.

use std::path::Path;
use std::time::{Duration, Instant};

use super::estimate::Costs;
use super::outcome;
use super::record::{Status, Trial};
use super::slurm::Queued;
use super::{Study, plan, slurm};
use crate::error::{Error, Result};
use crate::progress::Stop;

/// A trial at work.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Live {
    /// Its number.
    pub number: u64,
    /// Its parameters and seed in a line.
    pub said: String,
    /// What it does: `3-gan`.
    pub stage: String,
    /// Steps done.
    pub step: u64,
    /// Steps in all; 0 when not known.
    pub of: u64,
    /// Seconds since it began.
    pub seconds: f64,
    /// Seconds that the stage still needs.
    pub left: Option<f64>,
    /// The last value of each reported name.
    pub latest: Vec<(String, f64)>,
    /// The most memory so far, in bytes.
    pub peak: Option<u64>,
}

/// How a study stands while it runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// Its name.
    pub study: String,
    /// Trials in all.
    pub total: usize,
    /// Trials that finished.
    pub finished: usize,
    /// Trials that failed.
    pub failed: usize,
    /// Trials that were stopped because others were better.
    pub stopped: usize,
    /// Trials at work.
    pub running: Vec<Live>,
    /// What it will take, in words, once that is known.
    pub estimate: Option<String>,
    /// Trials that wait for a scheduler, and why, in words.
    pub waiting: Option<String>,
}

impl State {
    /// How `study` stands, with those `running` as they are.
    pub fn of(study: &str, trials: &[Trial], running: Vec<Live>) -> Self {
        let count = |status| trials.iter().filter(|trial| trial.status == status).count();
        Self {
            study: study.to_string(),
            total: trials.len(),
            finished: count(Status::Finished),
            failed: count(Status::Failed),
            stopped: count(Status::Stopped),
            running,
            estimate: None,
            waiting: None,
        }
    }

    /// Trials that are over, however they ended.
    pub fn ended(&self) -> usize {
        self.finished + self.failed + self.stopped
    }

    /// How it stands, in a line.
    pub fn line(&self) -> String {
        let mut said = format!("{}: {} of {} trials done", self.study, self.finished, self.total);
        for (count, word) in [(self.failed, "failed"), (self.stopped, "stopped")] {
            if count > 0 {
                said.push_str(&format!(", {count} {word}"));
            }
        }
        if let Some(waiting) = &self.waiting {
            said.push_str(&format!(", {waiting}"));
        }
        if let (Some(estimate), true) = (&self.estimate, self.ended() < self.total) {
            said.push_str(&format!("; {estimate} to go"));
        }
        said
    }
}

/// Who watches a study.
pub trait Watcher: Send {
    /// Something changed; called a few times a second at most.
    fn state(&mut self, _state: &State) {}
    /// A line for the person.
    fn note(&mut self, _text: &str) {}
}

/// Watches nothing.
pub struct Unseen;
impl Watcher for Unseen {}

/// A trial in a line.
pub fn said(trial: &Trial) -> String {
    format!("{} seed={}", plan::said(&trial.params), trial.seed)
}

/// The first value of `metric` at `step` or later that a trial has reported.
pub fn reached(folder: &Path, metric: &str, step: u64) -> Option<f64> {
    let (values, _) = outcome::reported(&outcome::run_of(folder)?);
    let later = values.into_iter().filter(|value| value.name == metric && value.step >= step);
    later.min_by_key(|value| value.step).map(|value| value.value)
}

/// What a trial's run says of where it is.
pub fn live(trial: &Trial, dir: &Path, seconds: f64, peak: Option<u64>) -> Live {
    let mut live = Live { number: trial.number, said: said(trial), seconds, peak, ..Live::default() };
    let (mut from, mut began) = (0, 0.0);
    for line in outcome::lines(&dir.join("records.jsonl")) {
        if line["record"] == "begin" {
            live.stage = line["data"]["stage"].as_str().unwrap_or_default().into();
            live.of = line["data"]["of"].as_u64().unwrap_or(0);
            from = line["data"]["from"].as_u64().unwrap_or(0);
            began = line["time"].as_f64().unwrap_or(0.0);
        }
    }
    let mut latest: Vec<(String, f64)> = Vec::new();
    let mut heard = began;
    for line in outcome::lines(&dir.join("metrics.jsonl")) {
        if line["kind"] == "step" {
            if line["stage"] == live.stage.as_str() {
                live.step = line["step"].as_u64().unwrap_or(0);
                heard = line["time"].as_f64().unwrap_or(0.0);
            }
            continue;
        }
        for (name, value) in line["values"].as_object().into_iter().flatten() {
            let Some(value) = crate::run::record::read_number(value) else { continue };
            match latest.iter_mut().find(|(known, _)| known == name) {
                Some(known) => known.1 = value,
                None => latest.push((name.clone(), value)),
            }
        }
    }
    if live.step > from && live.of > live.step && heard > began {
        live.left = Some((heard - began) / (live.step - from) as f64 * (live.of - live.step) as f64);
    }
    live.latest = latest;
    live
}

/// What trials at work in other processes have come to, by their folders.
pub fn lives(trials: &[Trial]) -> Vec<Live> {
    let at_work = trials.iter().filter(|trial| trial.status == Status::Running);
    at_work
        .map(|trial| match outcome::run_of(&trial.folder) {
            Some(dir) => {
                let mut live = live(trial, &dir, 0.0, None);
                live.seconds = seconds(&dir);
                live
            }
            None => Live { number: trial.number, said: said(trial), ..Live::default() },
        })
        .collect()
}

/// Seconds of work that a run has written down so far.
fn seconds(dir: &Path) -> f64 {
    let last = |name: &str| outcome::lines(&dir.join(name)).last().and_then(|line| line["time"].as_f64());
    last("metrics.jsonl").into_iter().chain(last("records.jsonl")).fold(0.0, f64::max)
}

/// What waits for a scheduler, in words.
pub fn waiting<'a>(queued: impl Iterator<Item = &'a Queued>) -> Option<String> {
    let mut reasons: Vec<(&str, usize)> = Vec::new();
    for queued in queued.filter(|queued| !queued.runs) {
        match reasons.iter_mut().find(|(known, _)| *known == queued.reason) {
            Some((_, count)) => *count += 1,
            None => reasons.push((&queued.reason, 1)),
        }
    }
    let said: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} for {reason}")).collect();
    let count: usize = reasons.iter().map(|(_, count)| count).sum();
    (count > 0).then(|| format!("{count} in Slurm's queue ({})", said.join(", ")))
}

/// Between two looks at trials in other processes.
pub const LOOK: Duration = Duration::from_millis(1000);

impl Study {
    /// How it stands now, whoever runs it.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn state(&self) -> Result<State> {
        let queue = self.collected()?;
        let trials = self.trials()?;
        let running = lives(&trials);
        let done = trials.iter().filter(|trial| trial.status == Status::Finished && !trial.borrowed);
        let costs = Costs { done: done.filter_map(|trial| Some((trial.seconds?, trial.peak_memory))).collect() };
        let left = trials.iter().filter(|trial| !trial.status.is_over()).count();
        let estimate = if running.is_empty() { None } else { costs.said(left, running.len(), &running) };
        Ok(State { estimate, waiting: waiting(queue.values()), ..State::of(self.name(), &trials, running) })
    }

    /// Shows how it stands until nothing is at work on it any more, in whatever process or queue.
    ///
    /// # Errors
    /// The record cannot be written, or the watching was interrupted; the trials go on.
    pub fn watch(&self, stop: &Stop, watcher: &mut dyn Watcher) -> Result<State> {
        loop {
            let state = self.state()?;
            watcher.state(&state);
            if state.running.is_empty() && state.waiting.is_none() {
                return Ok(state);
            }
            let since = Instant::now();
            while since.elapsed() < LOOK {
                if stop.raised() {
                    return Err(Error::interrupted("interrupted").help(format!(
                        "the trials go on; `fewlab study watch {}` or `study::open(\"{}\").watch()` shows them again",
                        self.name(),
                        self.name()
                    )));
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }

    /// Takes back what Slurm holds of it and says how many trials that were.
    ///
    /// # Errors
    /// Slurm does not answer.
    pub fn cancel(&self) -> Result<usize> {
        slurm::cancel(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_counted_by_its_reason() {
        let queued = |runs, reason: &str| Queued { task: "1_1".into(), runs, reason: reason.into() };
        let all =
            [queued(true, "None"), queued(false, "Priority"), queued(false, "Resources"), queued(false, "Priority")];
        assert_eq!(waiting(all.iter()).unwrap(), "3 in Slurm's queue (2 for Priority, 1 for Resources)");
        assert_eq!(waiting(all[..1].iter()), None);
    }
}
