//! A batch of trials as jobs of Slurm: given away, watched, copied into the record as they end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Runner, Until, ended, said};
use crate::error::{Error, Result};
use crate::study::child;
use crate::study::outcome::Outcome;
use crate::study::record::{Status, Trial};
use crate::study::slurm::{self, Limits, Queued};
use crate::study::state::{LOOK, State, lives, reached, waiting};
use crate::study::task::Tasks;

/// How long a file may take from the machine that wrote it to this one: what network file systems remember of a folder grows old
/// within a minute.
const LATE: Duration = Duration::from_secs(70);

impl Runner<'_> {
    pub(super) fn cluster(&mut self, trials: &[Trial], until: Until<'_>, limits: &Limits) -> Result<()> {
        self.unchanged()?;
        let queue = slurm::queue(self.study)?;
        let new: Vec<Trial> = trials.iter().filter(|trial| !queue.contains_key(&trial.number)).cloned().collect();
        if !new.is_empty() {
            let about = Tasks {
                program: if self.running.program == PathBuf::new() {
                    child::program()?
                } else {
                    self.running.program.clone()
                },
                directory: self.study.directory(),
                root: self.study.root().to_path_buf(),
                script: (self.study.script().to_string(), self.scripts.clone()),
                memory: limits.memory,
                seconds: self.running.seconds,
                threads: limits.cores.max(1),
                until: until.map(|(halving, step)| (halving.metric.clone(), step)),
                of: Vec::new(),
            };
            for trial in &new {
                // What an earlier turn left must not be taken for the word of this one.
                Outcome::clear(&trial.folder);
            }
            let jobs = slurm::submit(self.study, &new, limits, &about)?;
            self.watcher.note(&format!("{} trials are with Slurm as job {}", new.len(), jobs.join(", ")));
        }
        if self.running.leave {
            return Ok(());
        }
        let wanted: BTreeSet<i64> = trials.iter().map(|trial| trial.id).collect();
        let mut told: BTreeSet<i64> = BTreeSet::new();
        loop {
            let queue = self.study.collected()?;
            let now: Vec<Trial> = self.study.trials()?.into_iter().filter(|trial| wanted.contains(&trial.id)).collect();
            for trial in now.iter().filter(|trial| ended(trial) && told.insert(trial.id)) {
                self.heard(trial);
            }
            self.show(&now, &queue)?;
            let open = now.iter().filter(|trial| !ended(trial) && !halted(trial, until));
            if open.clone().all(|trial| !queue.contains_key(&trial.number)) {
                let open: Vec<Trial> = open.cloned().collect();
                return self.gone(&open, until);
            }
            self.pause(LOOK)?;
        }
    }

    /// Says what came of a trial, and counts what it took.
    fn heard(&mut self, trial: &Trial) {
        self.ran += 1;
        match (trial.status, trial.seconds) {
            (Status::Finished, Some(seconds)) => self.costs.done.push((seconds, trial.peak_memory)),
            (Status::Failed, _) => {
                let place = trial.place.as_ref().map_or_else(String::new, |place| format!(" at {place}"));
                let error = trial.error.clone().unwrap_or_default();
                self.watcher.note(&format!("trial {} ({}) failed{place}: {error}", trial.number, said(trial)));
            }
            _ => {}
        }
    }

    fn show(&mut self, trials: &[Trial], queue: &BTreeMap<u64, Queued>) -> Result<()> {
        let running = lives(trials);
        let left = trials.iter().filter(|trial| !ended(trial)).count();
        self.jobs = running.len().max(1);
        if left > 0 {
            self.foresee(left, &running)?;
        }
        let all = self.study.trials()?;
        let estimate = if running.is_empty() { None } else { self.costs.said(left, self.jobs, &running) };
        let now = State { estimate, waiting: waiting(queue.values()), ..State::of(self.study.name(), &all, running) };
        self.watcher.state(&now);
        Ok(())
    }

    fn pause(&self, span: Duration) -> Result<()> {
        let since = Instant::now();
        while since.elapsed() < span {
            if self.stop.raised() {
                let name = self.study.name();
                return Err(Error::interrupted("interrupted").help(format!(
                    "Slurm goes on with the trials; `fewlab study watch {name}` shows them, `fewlab study cancel {name}` takes them back"
                )));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// What came of trials that Slurm holds no more: their last files may still be on the way.
    fn gone(&mut self, open: &[Trial], until: Until<'_>) -> Result<()> {
        let since = Instant::now();
        let patience = if slurm::network_file_system(self.study.root()).is_some() { LATE } else { Duration::ZERO };
        let mut left: Vec<Trial> = open.to_vec();
        while !left.is_empty() && since.elapsed() < patience {
            self.pause(LOOK)?;
            left = self.open_of(&left, until)?;
        }
        let mut undone = Vec::new();
        for trial in &left {
            let state = slurm::last_state(self.study, trial.number);
            if state.as_deref() == Some("OUT_OF_MEMORY") {
                let outcome = Outcome {
                    status: Status::Failed.word().into(),
                    error: Some("out of memory: Slurm ended it; more can be asked for with `memory`".into()),
                    host: trial.host.clone(),
                    ..Outcome::default()
                };
                outcome.write(&trial.folder)?;
                self.done(trial, &outcome)?;
            } else {
                let word = state.map_or_else(String::new, |state| format!(" (Slurm: {state})"));
                undone.push(format!("trial {}{word}", trial.number));
            }
        }
        if undone.is_empty() {
            return Ok(());
        }
        let more = if undone.len() > 5 { format!(" and {} more", undone.len() - 5) } else { String::new() };
        let said = undone.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        Err(Error::new(format!("{said}{more} left Slurm before the trial was done")).help(format!(
            "`fewlab study resume {} --on slurm` goes on from what they have saved; what the tasks printed lies in `{}`",
            self.study.name(),
            self.study.folder().join("slurm").display()
        )))
    }

    fn open_of(&self, trials: &[Trial], until: Until<'_>) -> Result<Vec<Trial>> {
        self.study.collect()?;
        let now = self.study.trials()?.into_iter().filter(|trial| trials.iter().any(|known| known.id == trial.id));
        Ok(now.filter(|trial| !ended(trial) && !halted(trial, until)).collect())
    }
}

/// Whether a trial has come to where its batch ends.
fn halted(trial: &Trial, until: Until<'_>) -> bool {
    until.is_some_and(|(halving, step)| reached(&trial.folder, &halving.metric, step).is_some())
}
