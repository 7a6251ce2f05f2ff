//! What runs a study.

use rhai::plugin::*;
use rhai::{Map, NativeCallContext};

use super::options::RunOptions;
use crate::error::Error;
use crate::script::show::study_state;
use crate::script::trial::run_here;
use crate::script::{At, Fallible, Host, args, shared};
use crate::study::Study;
use crate::study::runner::{Running, State, Watcher};

#[export_module]
pub mod functions {
    /// Runs the trials of a study that are missing, and gives the study.
    ///
    /// `on: "local"` runs each trial in a process of its own, `jobs` at a time, which share the threads; a trial that
    /// fails, runs out of memory or is killed is a row with its error. `on: "here"` runs one after the other in this
    /// process. A study that is interrupted, or killed, goes on where it was when it is run again: finished trials
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
}

fn run(ctx: &NativeCallContext, study: &Study, options: &RunOptions) -> Fallible {
    let host = shared(ctx)?;
    let running = Running {
        jobs: options.jobs,
        threads: options.threads,
        again: options.again,
        failed: options.failed,
        memory: options.memory.map(Running::gigabytes),
        seconds: options.seconds,
        within: options.within,
        devices: options.devices.clone(),
        program: std::path::PathBuf::new(),
    };
    let mut shown = Shown { host: &host, id: host.fresh_id(), first: true, done: None };
    let ended = match options.on.as_str() {
        "local" => study.run(&running, host.stop(), &mut shown),
        "here" => study
            .run_here(&running, host.stop(), &mut shown, &mut |trial, folder| run_here(&host, study, trial, folder)),
        other => Err(Error::new(format!("a study cannot run on `{other}`")).help("`on` is \"local\" or \"here\"")),
    };
    ended.map(drop).at(ctx)
}

/// A study as it runs: one table that is replaced where that can be done, else a line for each trial that ends.
struct Shown<'a> {
    host: &'a Host,
    id: String,
    first: bool,
    /// How many trials had ended when it was shown last.
    done: Option<usize>,
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
