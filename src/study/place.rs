//! Where a study runs and with what: what was asked for, and what of it has a meaning there.

use std::path::PathBuf;

use super::runner::Running;
use super::slurm::{GRACE, Limits};
use crate::error::{Error, Result};

/// Where trials run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// One after the other in this process.
    Here,
    /// In processes of their own, on this machine.
    Local,
    /// As jobs of Slurm.
    Slurm,
}

/// What a person asks for, each thing left out as it may be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Asked {
    /// `local`, `here`, `slurm`.
    pub on: String,
    /// Trials at a time; 0 for one on this machine, for as many as a cluster gives.
    pub jobs: usize,
    /// Threads of all trials together; 0 for all cores.
    pub threads: usize,
    /// Whether trials that are done run again.
    pub again: bool,
    /// Whether trials that have failed run again.
    pub failed: bool,
    /// Gigabytes that one trial may hold.
    pub memory: Option<f64>,
    /// Seconds that one trial may take.
    pub seconds: Option<f64>,
    /// Seconds that the whole study may take.
    pub within: Option<f64>,
    /// Devices that trials take turns on.
    pub devices: Vec<String>,
    /// Slurm's partition.
    pub partition: Option<String>,
    /// Slurm's account.
    pub account: Option<String>,
    /// Slurm's limit of time.
    pub time: Option<String>,
    /// GPUs of each task.
    pub gpus: usize,
    /// Cores of each task.
    pub cores: usize,
    /// Seconds before the limit at which a task saves.
    pub grace: Option<u64>,
    /// Words for `sbatch`.
    pub sbatch: Vec<String>,
    /// What the shell of a task does first.
    pub setup: String,
    /// Whether nobody waits for what Slurm has been given.
    pub leave: bool,
}

impl Asked {
    /// The place, and how it is run there.
    ///
    /// # Errors
    /// There is no such place, or something was asked for that has no meaning there.
    pub fn checked(&self) -> Result<(Place, Running)> {
        let place = match self.on.as_str() {
            "local" => Place::Local,
            "here" => Place::Here,
            "slurm" => Place::Slurm,
            other => {
                return Err(Error::new(format!("a study cannot run on `{other}`"))
                    .help("`on` is \"local\", \"here\" or \"slurm\""));
            }
        };
        let of_slurm = [
            ("partition", self.partition.is_some()),
            ("account", self.account.is_some()),
            ("time", self.time.is_some()),
            ("gpus", self.gpus > 0),
            ("cores", self.cores > 0),
            ("grace", self.grace.is_some()),
            ("sbatch", !self.sbatch.is_empty()),
            ("setup", !self.setup.is_empty()),
            ("wait", self.leave),
        ];
        let of_machine = [("threads", self.threads > 0), ("devices", !self.devices.is_empty())];
        let of_processes =
            [("jobs", self.jobs > 1), ("memory", self.memory.is_some()), ("seconds", self.seconds.is_some())];
        let given = |options: &[(&'static str, bool)]| options.iter().find(|(_, given)| *given).map(|(name, _)| *name);
        let refused = match place {
            Place::Local => given(&of_slurm).map(|name| (name, "it is for `on: \"slurm\"`")),
            Place::Slurm => given(&of_machine).map(|name| (name, "a task there has `cores` and `gpus` of its own")),
            Place::Here => given(&of_slurm)
                .map(|name| (name, "it is for `on: \"slurm\"`"))
                .or_else(|| given(&of_machine).map(|name| (name, "trials have those of this process")))
                .or_else(|| {
                    given(&of_processes)
                        .map(|name| (name, "trials run one by one in this process; `on: \"local\"` gives each its own"))
                }),
        };
        if let Some((name, help)) = refused {
            return Err(Error::new(format!("`{name}` has no meaning with `on: \"{}\"`", self.on)).help(help));
        }
        for (name, number) in [("memory", self.memory), ("seconds", self.seconds), ("within", self.within)] {
            if let Some(number) = number.filter(|number| !(number.is_finite() && *number > 0.0)) {
                return Err(Error::new(format!("`{name}` is {number}")).help("it must be a number above 0"));
            }
        }
        let memory = self.memory.map(|gigabytes| (gigabytes * 1e9) as u64);
        let limits = Limits {
            partition: self.partition.clone(),
            account: self.account.clone(),
            time: self.time.clone(),
            gpus: self.gpus,
            cores: self.cores,
            jobs: self.jobs,
            memory,
            grace: self.grace.unwrap_or(GRACE),
            sbatch: self.sbatch.clone(),
            setup: self.setup.clone(),
        };
        let running = Running {
            jobs: self.jobs,
            threads: self.threads,
            again: self.again,
            failed: self.failed,
            memory,
            seconds: self.seconds,
            within: self.within,
            devices: self.devices.clone(),
            program: PathBuf::new(),
            slurm: (place == Place::Slurm).then_some(limits),
            leave: self.leave,
        };
        Ok((place, running))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_taken_that_has_no_meaning_there() {
        let message = |asked: Asked| asked.checked().unwrap_err().message;
        let on = |on: &str| Asked { on: on.into(), ..Asked::default() };
        assert_eq!(message(on("moon")), "a study cannot run on `moon`");
        let partition = Some("long".to_string());
        assert_eq!(
            message(Asked { partition: partition.clone(), ..on("local") }),
            "`partition` has no meaning with `on: \"local\"`"
        );
        assert_eq!(message(Asked { threads: 4, ..on("slurm") }), "`threads` has no meaning with `on: \"slurm\"`");
        assert_eq!(message(Asked { memory: Some(2.0), ..on("here") }), "`memory` has no meaning with `on: \"here\"`");
        assert_eq!(message(Asked { memory: Some(0.0), ..on("local") }), "`memory` is 0");
        let (place, running) = Asked { partition, memory: Some(2.0), ..on("slurm") }.checked().unwrap();
        let limits = running.slurm.unwrap();
        assert_eq!((place, limits.memory, limits.grace), (Place::Slurm, Some(2_000_000_000), 60));
    }
}
