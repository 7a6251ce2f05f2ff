//! One task of an array on a cluster: one trial, its folder, nothing else.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::child::{self, Job, Verdict};
use super::identity::{self, Scripts};
use super::outcome::{self, Outcome};
use super::record::Status;
use super::{slurm, state};
use crate::error::{Error, Result, file};
use crate::progress::Stop;
use crate::run::{self, replace};

/// What the tasks of an array run.
pub const TASKS: &str = "tasks.json";

/// `tasks.json`: all that the tasks of an array are told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tasks {
    /// The `fewlab` program.
    pub program: PathBuf,
    /// Where trials work.
    pub directory: PathBuf,
    /// The folder of the record, which trials' folders lie in.
    pub root: PathBuf,
    /// The script's path, and the hash that it had with all it imports.
    pub script: (String, String),
    /// Bytes that a trial may hold.
    pub memory: Option<u64>,
    /// Seconds that a trial may take.
    pub seconds: Option<f64>,
    /// Threads of a trial.
    pub threads: usize,
    /// The metric and step at which trials stop to be compared.
    pub until: Option<(String, u64)>,
    /// The trials, the first for the index 1.
    pub of: Vec<Task>,
}

/// One of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The trial's number in the study.
    pub trial: u64,
    /// The words that run it.
    pub words: Vec<String>,
    /// Its folder, from the folder of the record.
    pub folder: PathBuf,
}

impl Tasks {
    /// Writes them into the folder of the array.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, array: &Path) -> Result<()> {
        replace(&array.join(TASKS), (serde_json::to_string_pretty(self).unwrap_or_default() + "\n").as_bytes())
    }

    /// Reads them again.
    ///
    /// # Errors
    /// They are not there, or torn.
    pub fn read(array: &Path) -> Result<Self> {
        let path = array.join(TASKS);
        let text = std::fs::read_to_string(&path).map_err(|error| file(&path, "read", error))?;
        serde_json::from_str(&text).map_err(|error| Error::new(format!("`{}` is torn: {error}", path.display())))
    }
}

/// Runs task `index` of an array, from 1. `stop` is raised when it shall save and end; `late` when that is because Slurm's limit of
/// time is near, and then the task asks for another turn.
///
/// # Errors
/// Its trial cannot be run. A trial that fails is no error of the task.
pub fn run(array: &Path, index: usize, stop: &Stop, late: &Stop) -> Result<()> {
    let tasks = Tasks::read(array)?;
    let Some(task) = tasks.of.get(index.wrapping_sub(1)) else {
        return Err(Error::new(format!("task {index} of {} in `{}`", tasks.of.len(), array.display()))
            .help("tasks count from 1; Slurm gives the number in `SLURM_ARRAY_TASK_ID`"));
    };
    let folder = tasks.root.join(&task.folder);
    if Scripts::read(&tasks.directory, &tasks.script.0)?.hash() != tasks.script.1 {
        let error = identity::changed(&tasks.script.0);
        return fail(&folder, error.to_string());
    }
    let mut words = task.words.clone();
    words.extend(["--threads".into(), tasks.threads.max(1).to_string()]);
    let job = Job {
        program: tasks.program.clone(),
        words,
        directory: tasks.directory.clone(),
        folder: folder.clone(),
        memory: tasks.memory,
        seconds: tasks.seconds,
    };
    let began = SystemTime::now();
    let mut looked = std::time::Instant::now();
    let ended = child::run(&job, stop, &mut |_| {
        if looked.elapsed().as_millis() < 300 {
            return Verdict::Go;
        }
        looked = std::time::Instant::now();
        match &tasks.until {
            Some((metric, step)) if state::reached(&folder, metric, *step).is_some() => Verdict::Halt,
            _ => Verdict::Go,
        }
    })?;
    let interrupted = ended.is_some_and(|outcome| outcome.status == Status::Interrupted.word());
    if !(interrupted && late.raised()) {
        return Ok(());
    }
    if !saved_since(&folder, began) {
        return fail(
            &folder,
            "out of time: Slurm's limit came before the trial had saved anything, so another turn would end the same way (help: give more \
             with `time`, or save more often with `checkpoint_every`)"
                .into(),
        );
    }
    slurm::requeue()
}

fn fail(folder: &Path, error: String) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| file(folder, "make the folder", error))?;
    let now = Some(run::now());
    let outcome = Outcome {
        status: Status::Failed.word().into(),
        error: Some(error),
        host: child::host(),
        ended: now,
        ..Outcome::default()
    };
    outcome.write(folder)
}

/// Whether the trial's run has a checkpoint that was written after `began`.
fn saved_since(folder: &Path, began: SystemTime) -> bool {
    let Some(run) = outcome::run_of(folder) else { return false };
    let entries = std::fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()?.modified().ok()).any(|changed| changed >= began)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_the_array_does_not_have_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let tasks = Tasks { of: vec![Task { trial: 7, ..Task::default() }], ..Tasks::default() };
        tasks.write(dir.path()).unwrap();
        assert_eq!(Tasks::read(dir.path()).unwrap(), tasks);
        for index in [0, 2] {
            let error = run(dir.path(), index, &Stop::default(), &Stop::default()).unwrap_err();
            assert!(error.message.starts_with(&format!("task {index} of 1 in")), "{error}");
        }
    }
}
