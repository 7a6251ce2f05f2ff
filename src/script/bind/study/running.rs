//! What runs a study.

use rhai::plugin::*;
use rhai::{Map, NativeCallContext};

use super::options::RunOptions;
use crate::script::show::study_state;
use crate::script::trial::run_here;
use crate::script::{At, Fallible, Host, args, shared};
use crate::study::Study;
use crate::study::place::{Asked, Place};
use crate::study::state::{State, Watcher};

#[export_module]
pub mod functions {
    /// Runs the trials of a study that are missing, and gives the study.
    ///
    /// `on: "local"` runs each trial in a process of its own, `jobs` at a time, which share the threads; a trial that
    /// fails, runs out of memory or is killed is a row with its error. `on: "here"` runs one after the other in this
    /// process. `on: "slurm"` gives them to the scheduler of a cluster as an array of jobs, whose files lie in the study's folder
    /// beside the trials; near the end of its `time` a trial saves, and waits for its next turn. A study that is interrupted, or killed, goes on where it was when it is run again: finished trials
    /// are never lost or repeated, a trial that was under way goes on from its last checkpoint. After the first seconds the
    /// estimated time and memory are said, and what cannot fit is refused.
    ///
    /// ```rhai
    /// let s = study::grid("run-it", "scripts/studies/toy.rhai", #{ weight: [0.5, 1.0], seed: [1, 2, 3] },
    ///     #{ root: "target/studies" });
    /// s.run(#{ on: "here" });
    /// s.count("finished") // => 6
    /// ```
    #[rhai_fn(name = "run", return_raw, volatile)]
    pub fn run_with(ctx: NativeCallContext, study: Study, options: Map) -> Fallible<Study> {
        let options: RunOptions = args::options(&ctx, options)?;
        super::run(&ctx, &study, &options)?;
        Ok(study)
    }

    /// Runs the trials of a study that are missing, one at a time, each in a process of its own.
    #[rhai_fn(name = "run", return_raw, volatile)]
    pub fn run_alone(ctx: NativeCallContext, study: Study) -> Fallible<Study> {
        run_with(ctx, study, Map::new())
    }

    /// Shows how a study stands until nothing is at work on it any more, and gives the study: its trials may run in other
    /// processes, or be with Slurm.
    ///
    /// One table is replaced in a notebook and on a terminal. An interrupt ends the watching; the trials go on.
    ///
    /// ```rhai
    /// let s = study::grid("never-run", "scripts/studies/toy.rhai", #{ weight: 0.5, seed: [7, 8] }, #{ root: "target/studies" });
    /// s.watch().count("pending") // => 2
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn watch(ctx: NativeCallContext, study: Study) -> Fallible<Study> {
        let host = shared(&ctx)?;
        study.watch(host.stop(), &mut super::Shown::new(&host)).at(&ctx)?;
        Ok(study)
    }

    /// Takes back what Slurm holds of a study, and says how many trials that were; those that run save what they have reached.
    ///
    /// ```rhai
    /// let s = study::grid("never-run", "scripts/studies/toy.rhai", #{ weight: 0.5, seed: [7, 8] }, #{ root: "target/studies" });
    /// s.cancel() // => 0
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn cancel(ctx: NativeCallContext, study: Study) -> Fallible<i64> {
        Ok(study.cancel().at(&ctx)? as i64)
    }
}

fn run(ctx: &NativeCallContext, study: &Study, options: &RunOptions) -> Fallible {
    let host = shared(ctx)?;
    let (place, running) = asked(options).checked().at(ctx)?;
    let mut shown = Shown::new(&host);
    let ended = match place {
        Place::Local | Place::Slurm => study.run(&running, host.stop(), &mut shown),
        Place::Here => study
            .run_here(&running, host.stop(), &mut shown, &mut |trial, folder| run_here(&host, study, trial, folder)),
    };
    ended.map(drop).at(ctx)
}

fn asked(options: &RunOptions) -> Asked {
    let of = options.clone();
    Asked {
        on: of.on,
        jobs: of.jobs,
        threads: of.threads,
        again: of.again,
        failed: of.failed,
        memory: of.memory,
        seconds: of.seconds,
        within: of.within,
        devices: of.devices,
        partition: of.partition,
        account: of.account,
        time: of.time,
        gpus: of.gpus,
        cores: of.cores,
        grace: of.grace,
        sbatch: of.sbatch,
        setup: of.setup,
        leave: !of.wait,
    }
}

/// A study as it runs: one table that is replaced where that can be done, else a line for each trial that ends.
struct Shown<'a> {
    host: &'a Host,
    id: String,
    first: bool,
    /// How many trials had ended when it was shown last.
    done: Option<usize>,
}

impl<'a> Shown<'a> {
    fn new(host: &'a Host) -> Self {
        Self { host, id: host.fresh_id(), first: true, done: None }
    }
}

impl Watcher for Shown<'_> {
    fn state(&mut self, state: &State) {
        let front = self.host.front();
        let done = state.ended();
        if front.replaces() {
            front.show_again(&self.id, &study_state(state), self.first);
            self.first = false;
        } else if self.done.is_some_and(|before| before != done) {
            front.complain(&state.line());
        }
        self.done = Some(done);
    }

    fn note(&mut self, text: &str) {
        self.host.front().complain(text);
    }
}
