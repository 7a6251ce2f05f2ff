//! Runs what a study still lacks: in a pool of processes, in this one, or with a scheduler ([`cluster`]).

mod cluster;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::child::{self, Job, Verdict};
use super::estimate::Costs;
use super::identity::{self, Scripts};
use super::outcome::{self, Outcome};
use super::record::{Record, Status, Trial};
use super::state::{Live, State, Watcher, live, reached, said};
use super::{Halving, Study, plan, slurm, stats};
use crate::error::{Error, Result};
use crate::progress::Stop;

/// How a study is run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Running {
    /// Trials at a time; 0 for 1.
    pub jobs: usize,
    /// Threads of all trials together; 0 for all cores.
    pub threads: usize,
    /// Whether trials that have finished or failed run again.
    pub again: bool,
    /// Whether trials that have failed run again.
    pub failed: bool,
    /// Bytes that one trial may hold.
    pub memory: Option<u64>,
    /// Seconds that one trial may take.
    pub seconds: Option<f64>,
    /// Seconds that the whole study may take by its own estimate.
    pub within: Option<f64>,
    /// Devices that trials take turns on; the study's own when empty.
    pub devices: Vec<String>,
    /// The `fewlab` program; this one when empty.
    pub program: PathBuf,
    /// What Slurm is asked for, when trials are its jobs.
    pub slurm: Option<slurm::Limits>,
    /// Whether nobody waits for what Slurm has been given.
    pub leave: bool,
}

/// Runs a trial in this process: what it is given, and the folder it works in.
pub type Here<'a> = &'a mut dyn FnMut(&Trial, &Path) -> Result<Outcome>;

/// How a study came out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// Trials that ran now.
    pub ran: usize,
    /// Trials that were there already.
    pub known: usize,
    /// Trials that failed, now or before.
    pub failed: usize,
}

impl Study {
    /// Runs the trials that are missing, each in a process of its own.
    ///
    /// # Errors
    /// The study was stopped, cannot fit, or its script changed. A trial that fails is no error of the study.
    pub fn run(&self, running: &Running, stop: &Stop, watcher: &mut dyn Watcher) -> Result<Ended> {
        Runner::new(self, running, stop, watcher, None)?.run()
    }

    /// Runs the trials that are missing one after the other in this process, by `here`.
    ///
    /// # Errors
    /// As for [`Study::run`].
    pub fn run_here(&self, running: &Running, stop: &Stop, watcher: &mut dyn Watcher, here: Here<'_>) -> Result<Ended> {
        if self.halving().is_some() {
            return Err(Error::new(
                "trials of `study::halving` are stopped and go on, which needs processes of their own",
            )
            .help("run it with `on: \"local\"`"));
        }
        Runner::new(self, running, stop, watcher, Some(here))?.run()
    }
}

struct Runner<'a> {
    study: &'a Study,
    running: &'a Running,
    jobs: usize,
    stop: &'a Stop,
    watcher: &'a mut dyn Watcher,
    here: Option<Here<'a>>,
    record: Record,
    scripts: String,
    costs: Costs,
    ran: usize,
    last: Option<Instant>,
    /// Whether the estimate was told.
    told: bool,
}

enum Event {
    Began(usize),
    Lives(usize, Box<Live>),
    Ended(usize, Result<Option<Outcome>>),
}

/// Where a batch of trials ends: at a step of a metric, or with the script.
type Until<'a> = Option<(&'a Halving, u64)>;

impl<'a> Runner<'a> {
    fn new(
        study: &'a Study,
        running: &'a Running,
        stop: &'a Stop,
        watcher: &'a mut dyn Watcher,
        here: Option<Here<'a>>,
    ) -> Result<Self> {
        let scripts = Scripts::read(&study.directory(), study.script())?;
        if study.about.plan["scripts"].as_str() != Some(&scripts.hash()) {
            return Err(Error::new(format!("`{}` is not the script that the study was planned with", study.script()))
                .help("plan it again with `study::grid` or `fewlab study run`: what is the same is not run twice"));
        }
        let record = study.record()?;
        let jobs = if here.is_some() { 1 } else { running.jobs.max(1) };
        Ok(Self {
            study,
            running,
            jobs,
            stop,
            watcher,
            here,
            record,
            scripts: scripts.hash(),
            costs: Costs::default(),
            ran: 0,
            last: None,
            told: false,
        })
    }

    fn run(mut self) -> Result<Ended> {
        if self.running.slurm.is_none() || self.running.again || self.running.failed {
            self.nobody_else()?;
        }
        if self.running.leave && self.study.halving().is_some() {
            return Err(Error::new("`study::halving` compares trials on the way, so somebody must wait for them")
                .help("leave out `wait: false`; an interrupted study goes on when it is run again"));
        }
        if self.running.again || self.running.failed {
            for trial in self.study.trials()? {
                if self.running.again || trial.status == Status::Failed {
                    self.fresh(&trial)?;
                }
            }
        }
        self.study.collect()?;
        let all = self.study.trials()?;
        let known = all.iter().filter(|trial| ended(trial)).count();
        let done = all.iter().filter(|trial| trial.status == Status::Finished && !trial.borrowed);
        self.costs.done = done.filter_map(|trial| Some((trial.seconds?, trial.peak_memory))).collect();
        let result = match self.study.halving() {
            Some(halving) => self.halve(&halving),
            None => self.batch(&all, None),
        };
        self.report(&[], true)?;
        result?;
        let failed = self.study.trials()?.iter().filter(|trial| trial.status == Status::Failed).count();
        Ok(Ended { ran: self.ran, known, failed })
    }

    /// Refuses to run what a scheduler holds.
    fn nobody_else(&self) -> Result<()> {
        let held = slurm::queue(self.study)?.len();
        if held == 0 {
            return Ok(());
        }
        let name = self.study.name();
        Err(Error::new(format!("Slurm holds {held} trials of `{name}`"))
            .help(format!("`fewlab study watch {name}` shows them, `fewlab study cancel {name}` takes them back")))
    }

    /// Puts a trial's old folder aside, so that it starts anew.
    fn fresh(&mut self, trial: &Trial) -> Result<()> {
        if outcome::at_work(&trial.folder) {
            return Ok(());
        }
        self.record.forget(trial.id)?;
        if !trial.borrowed && trial.folder.exists() {
            let aside = (1..).map(|n| trial.folder.with_extension(format!("before-{n}"))).find(|path| !path.exists());
            if let Some(aside) = aside {
                std::fs::rename(&trial.folder, &aside)
                    .map_err(|error| crate::error::file(&trial.folder, "put aside", error))?;
            }
        }
        Ok(())
    }

    fn halve(&mut self, halving: &Halving) -> Result<()> {
        let all = self.study.trials()?;
        let mut active: Vec<Trial> = all;
        for rung in halving.rungs.iter().copied() {
            self.batch(&active, Some((halving, rung)))?;
            let going = self.study.trials()?.into_iter().filter(|trial| active.iter().any(|a| a.id == trial.id));
            let mut settings: BTreeMap<String, (Vec<f64>, Vec<Trial>)> = BTreeMap::new();
            for trial in going.filter(|trial| trial.status != Status::Failed) {
                let Some(value) = reached(&trial.folder, &halving.metric, rung) else { continue };
                let entry = settings.entry(plan::said(&trial.params)).or_default();
                entry.0.push(if halving.higher { -value } else { value });
                entry.1.push(trial);
            }
            let mut ranked: Vec<(f64, Vec<Trial>)> = settings
                .into_values()
                .map(|(values, trials)| (stats::summary(&values).map_or(f64::INFINITY, |s| s.median), trials))
                .collect();
            ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
            let keep = ((ranked.len() as f64 * halving.keep).ceil() as usize).max(1);
            for trial in ranked.iter().skip(keep).flat_map(|(_, trials)| trials) {
                if trial.status != Status::Finished
                    && let Some(mut found) = outcome::gather(&trial.folder)?
                {
                    found.outcome.status = Status::Stopped.word().into();
                    found.outcome.write(&trial.folder)?;
                    self.record.keep(trial.id, &found)?;
                }
            }
            ranked.truncate(keep);
            active = ranked.into_iter().flat_map(|(_, trials)| trials).collect();
            self.watcher.note(&format!(
                "at step {rung} {} of the settings go on: {}",
                keep,
                active
                    .iter()
                    .map(|trial| plan::said(&trial.params))
                    .collect::<std::collections::BTreeSet<_>>()
                    .into_iter()
                    .collect::<Vec<_>>()
                    .join(", ")
            ));
        }
        self.batch(&active, None)
    }

    /// Runs those of `trials` that have not come to where the batch ends.
    fn batch(&mut self, trials: &[Trial], until: Until<'_>) -> Result<()> {
        let missing: Vec<Trial> = trials
            .iter()
            .filter(|trial| !ended(trial))
            .filter(|trial| until.is_none_or(|(halving, step)| reached(&trial.folder, &halving.metric, step).is_none()))
            .cloned()
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        self.foresee(missing.len(), &[])?;
        match (&self.running.slurm, self.here.is_some()) {
            (Some(limits), _) => self.cluster(&missing, until, limits),
            (None, true) => self.in_turn(&missing),
            (None, false) => self.pool(&missing, until),
        }
    }

    fn in_turn(&mut self, trials: &[Trial]) -> Result<()> {
        for trial in trials {
            self.stop.check()?;
            self.unchanged()?;
            self.record.mark(trial.id, Status::Running)?;
            std::fs::create_dir_all(&trial.folder)
                .map_err(|error| crate::error::file(&trial.folder, "make the folder", error))?;
            let state = self.state(&[Live { number: trial.number, said: said(trial), ..Live::default() }])?;
            self.watcher.state(&state);
            let Some(here) = self.here.as_mut() else { return Err(Error::bug("a trial has nowhere to run")) };
            Outcome::clear(&trial.folder);
            let (watcher, clock) = (&mut *self.watcher, Instant::now());
            let (over, told) = mpsc::channel::<()>();
            let outcome = std::thread::scope(|scope| {
                // Where it is stands in its run, as for a trial in a process of its own.
                scope.spawn(move || {
                    while told.recv_timeout(Duration::from_millis(400)) == Err(mpsc::RecvTimeoutError::Timeout) {
                        if let Some(dir) = outcome::run_of(&trial.folder) {
                            let running = vec![live(trial, &dir, clock.elapsed().as_secs_f64(), None)];
                            watcher.state(&State { running, ..state.clone() });
                        }
                    }
                });
                let outcome = here(trial, &trial.folder);
                drop(over);
                outcome
            })?;
            outcome.write(&trial.folder)?;
            self.done(trial, &outcome)?;
            if Status::of(&outcome.status) == Status::Interrupted {
                return Err(self.stopped());
            }
        }
        Ok(())
    }

    fn stopped(&self) -> Error {
        Error::interrupted("interrupted").help(format!(
            "what has finished is kept; `fewlab study resume {}` or `study::open(\"{}\").run()` goes on",
            self.study.name(),
            self.study.name()
        ))
    }

    fn pool(&mut self, trials: &[Trial], until: Until<'_>) -> Result<()> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = (if self.running.threads > 0 { self.running.threads } else { cores } / self.jobs).max(1);
        let program =
            if self.running.program.as_os_str().is_empty() { child::program()? } else { self.running.program.clone() };
        let devices = self.devices();
        let queue = Mutex::new((0..trials.len()).collect::<VecDeque<usize>>());
        let halt = Stop::default();
        let (tell, told) = mpsc::channel::<Event>();
        let job = |index: usize, slot: usize| {
            let trial = &trials[index];
            let mut words = self.study.words(trial);
            words.extend(["--threads".into(), threads.to_string()]);
            if let Some(device) = devices.get(slot % devices.len().max(1)) {
                match words.iter().position(|word| word == "--device") {
                    Some(at) => words[at + 1].clone_from(device),
                    None => words.extend(["--device".into(), device.clone()]),
                }
            }
            Job {
                program: program.clone(),
                words,
                directory: self.study.directory(),
                folder: trial.folder.clone(),
                memory: self.running.memory,
                seconds: self.running.seconds,
            }
        };
        let jobs: Vec<Vec<Job>> =
            (0..self.jobs).map(|slot| (0..trials.len()).map(|index| job(index, slot)).collect()).collect();
        let (queue, halt) = (&queue, &halt);
        std::thread::scope(|scope| {
            for slot in &jobs {
                let tell = tell.clone();
                scope.spawn(move || {
                    loop {
                        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                        let Some(index) = next.filter(|_| !halt.raised()) else { return };
                        // Nobody listens any more only when the study has ended with an error.
                        let _ = tell.send(Event::Began(index));
                        let ended = watched(&slot[index], &trials[index], until, halt, |live| {
                            let _ = tell.send(Event::Lives(index, Box::new(live)));
                        });
                        let _ = tell.send(Event::Ended(index, ended));
                    }
                });
            }
            drop(tell);
            let outcome = self.listen(trials, until, &told, queue, halt);
            // The trials that are still at work save what they have reached.
            halt.raise();
            outcome
        })
    }

    /// The devices that trials take turns on: those asked for, or each GPU where there are several and trials run side by side.
    fn devices(&self) -> Vec<String> {
        let free =
            self.running.devices.is_empty() && self.jobs > 1 && matches!(self.study.device(), "auto" | "" | "cuda");
        match crate::tensor::gpu_count() {
            count if free && count > 1 => (0..count).map(|gpu| format!("cuda:{gpu}")).collect(),
            _ => self.running.devices.clone(),
        }
    }

    fn listen(
        &mut self,
        trials: &[Trial],
        until: Until<'_>,
        told: &mpsc::Receiver<Event>,
        queue: &Mutex<VecDeque<usize>>,
        halt: &Stop,
    ) -> Result<()> {
        let mut lives: BTreeMap<usize, Live> = BTreeMap::new();
        let mut failure: Option<Error> = None;
        let mut elsewhere: Vec<usize> = Vec::new();
        loop {
            if self.stop.raised() && !halt.raised() {
                halt.raise();
                failure.get_or_insert(self.stopped());
            }
            let event = match told.recv_timeout(Duration::from_millis(100)) {
                Ok(event) => event,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    self.report(&lives.values().cloned().collect::<Vec<_>>(), false)?;
                    continue;
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            };
            let mut fail = |error: Error| {
                halt.raise();
                failure.get_or_insert(error);
            };
            match event {
                Event::Began(index) => {
                    let trial = &trials[index];
                    if let Err(error) = self.unchanged().and_then(|()| self.record.mark(trial.id, Status::Running)) {
                        fail(error);
                    }
                    lives.insert(index, Live { number: trial.number, said: said(trial), ..Live::default() });
                }
                Event::Lives(index, live) => {
                    lives.insert(index, *live);
                    let now: Vec<Live> = lives.values().cloned().collect();
                    let waiting = queue.lock().unwrap_or_else(PoisonError::into_inner).len();
                    if let Err(error) = self.foresee(waiting + now.len(), &now) {
                        fail(error);
                    }
                }
                Event::Ended(index, ended) => {
                    lives.remove(&index);
                    match ended {
                        Ok(Some(outcome)) => {
                            let here = Status::of(&outcome.status);
                            let halted = until.is_some() && here == Status::Interrupted && !halt.raised();
                            if let Err(error) = self.done(&trials[index], &outcome) {
                                fail(error);
                            }
                            if here == Status::Interrupted && !halted && !halt.raised() {
                                fail(self.stopped());
                            }
                        }
                        Ok(None) => elsewhere.push(index),
                        Err(error) => fail(error),
                    }
                }
            }
            self.report(&lives.values().cloned().collect::<Vec<_>>(), false)?;
        }
        match failure {
            Some(failure) => Err(failure),
            None => self.await_others(trials, &elsewhere, until),
        }
    }

    /// Waits for trials that another process is at work on, and runs what it leaves undone.
    fn await_others(&mut self, trials: &[Trial], elsewhere: &[usize], until: Until<'_>) -> Result<()> {
        let others: Vec<Trial> = elsewhere.iter().map(|index| trials[*index].clone()).collect();
        if others.is_empty() {
            return Ok(());
        }
        self.watcher.note(&match others.len() {
            1 => format!("trial {} is at work in another process; its result is waited for", others[0].number),
            n => format!("{n} trials are at work in other processes; their results are waited for"),
        });
        while others.iter().any(|trial| outcome::at_work(&trial.folder)) {
            if self.stop.raised() {
                return Err(self.stopped());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        self.study.collect()?;
        let now = self.study.trials()?;
        let left: Vec<Trial> =
            now.into_iter().filter(|trial| others.iter().any(|other| other.id == trial.id)).collect();
        self.batch(&left, until)
    }

    /// Copies what a trial that ended has left.
    fn done(&mut self, trial: &Trial, outcome: &Outcome) -> Result<()> {
        let status = Status::of(&outcome.status);
        let found = outcome::gather(&trial.folder)?;
        let found = found.unwrap_or_else(|| outcome::Collected { outcome: outcome.clone(), ..Default::default() });
        self.record.keep(trial.id, &found)?;
        if matches!(status, Status::Finished | Status::Failed) {
            self.ran += 1;
        }
        if let (Status::Finished, Some(seconds)) = (status, found.outcome.seconds) {
            self.costs.done.push((seconds, outcome.peak_memory));
        }
        if status == Status::Failed {
            let place = outcome.place.as_ref().map_or_else(String::new, |place| format!(" at {place}"));
            let error = outcome.error.clone().unwrap_or_default();
            self.watcher.note(&format!("trial {} ({}) failed{place}: {error}", trial.number, said(trial)));
        }
        Ok(())
    }

    /// Says once what the study will take, and refuses what cannot fit.
    fn foresee(&mut self, left: usize, lives: &[Live]) -> Result<()> {
        // In the first seconds a trial has not yet taken the memory that it needs, nor found its pace.
        let early = self.costs.done.is_empty() && !lives.iter().any(|live| live.seconds > 2.0 && live.left.is_some());
        if !self.told && !early && left > 1 {
            self.told = true;
            if let Some(estimate) = self.costs.said(left, self.jobs, lives) {
                self.watcher.note(&format!("{left} trials, {} at a time: {estimate}", self.jobs.min(left)));
            }
        }
        if early { Ok(()) } else { self.costs.fits(self.running, left, self.jobs, lives) }
    }

    fn unchanged(&self) -> Result<()> {
        match Scripts::read(&self.study.directory(), self.study.script())?.hash() == self.scripts {
            true => Ok(()),
            false => Err(identity::changed(self.study.script())),
        }
    }

    fn report(&mut self, running: &[Live], at_once: bool) -> Result<()> {
        if !at_once && self.last.is_some_and(|last| last.elapsed() < Duration::from_millis(400)) {
            return Ok(());
        }
        self.last = Some(Instant::now());
        let state = self.state(running)?;
        self.watcher.state(&state);
        Ok(())
    }

    fn state(&self, running: &[Live]) -> Result<State> {
        let trials = self.study.trials()?;
        let left = trials.iter().filter(|trial| !ended(trial)).count();
        let estimate = self.costs.said(left, self.jobs, running);
        Ok(State { estimate, ..State::of(self.study.name(), &trials, running.to_vec()) })
    }
}

fn ended(trial: &Trial) -> bool {
    trial.status.is_over()
}

fn watched(job: &Job, trial: &Trial, until: Until<'_>, halt: &Stop, tell: impl Fn(Live)) -> Result<Option<Outcome>> {
    let clock = Instant::now();
    let mut looked = Instant::now();
    let mut size = 0;
    child::run(job, halt, &mut |peak| {
        if looked.elapsed() < Duration::from_millis(300) {
            return Verdict::Go;
        }
        looked = Instant::now();
        let Some(dir) = outcome::run_of(&trial.folder) else { return Verdict::Go };
        let now = std::fs::metadata(dir.join("metrics.jsonl")).map_or(0, |meta| meta.len());
        if now == size {
            return Verdict::Go;
        }
        size = now;
        tell(live(trial, &dir, clock.elapsed().as_secs_f64(), peak));
        match until {
            Some((halving, step)) if reached(&trial.folder, &halving.metric, step).is_some() => Verdict::Halt,
            _ => Verdict::Go,
        }
    })
}
