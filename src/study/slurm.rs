//! The trials of a study as an array of jobs of Slurm, a scheduler that a cluster has already.
//!
//! ```text
//! studies/NAME/slurm/0001/   one array
//!   tasks.json     which trial each of its tasks runs                                     ([`task::Tasks`])
//!   batch.sh       what was given to `sbatch`: limits as `#SBATCH` lines, one command
//!   job.json       the number that Slurm gave it
//!   3.txt          what its third task printed
//! ```
//!
//! A task ([`task`]) runs one trial as the pool of one machine does, and writes into the trial's folder and nowhere else; files
//! there appear whole, by renaming. No task opens the record: whoever runs, watches or resumes the study copies from the folders
//! into it. So nothing but files of one writer each crosses the network file system. Whether a trial is still to come is asked of
//! Slurm (`squeue`), not of locks, which such file systems need not have.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::record::Trial;
use super::task::{Task, Tasks};
use super::{Study, child, identity};
use crate::error::{Error, Result, file};
use crate::run::replace;

/// What a job array is asked for; what is left out is as the cluster has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limits {
    /// The partition.
    pub partition: Option<String>,
    /// The account that pays.
    pub account: Option<String>,
    /// How long a task may take before it saves and waits again: `"30"` minutes, `"2:00:00"`, `"1-00:00:00"`.
    pub time: Option<String>,
    /// GPUs of each task.
    pub gpus: usize,
    /// Cores of each task; 0 for one.
    pub cores: usize,
    /// Tasks at a time; 0 for as many as the cluster gives.
    pub jobs: usize,
    /// Bytes that a task may hold.
    pub memory: Option<u64>,
    /// Seconds before the end of `time` at which a task saves what it has reached.
    pub grace: u64,
    /// Words for `sbatch` besides: `["--qos=low"]`.
    pub sbatch: Vec<String>,
    /// What the shell does before a trial: `"module load cuda"`.
    pub setup: String,
}

/// What a task needs to save its state, unless something else is asked for.
pub const GRACE: u64 = 60;

/// Tasks of one array: the largest index that Slurm allows unless a cluster sets `MaxArraySize`.
const LARGEST: usize = 1000;

/// Where a trial is with Slurm.
#[derive(Debug, Clone, PartialEq)]
pub struct Queued {
    /// The task as Slurm's commands name it: `17_3`.
    pub task: String,
    /// Whether it runs; else it waits.
    pub runs: bool,
    /// Why it waits: `Priority`, `Resources`.
    pub reason: String,
}

/// A folder of an array.
fn arrays(study: &Study) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(study.folder().join("slurm")).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

/// The name of an array's job, by which it is found again also when whoever gave it to Slurm was killed before it could note the number.
fn job_name(study: &Study, array: &Path) -> String {
    let number = array.file_name().unwrap_or_default().to_string_lossy();
    format!("{}-{number}-{}", study.name(), &identity::hash(array.display().to_string().as_bytes())[..8])
}

fn tool(name: &str, words: &[&str]) -> Result<String> {
    let told = Command::new(name).args(words).stdin(std::process::Stdio::null()).output().map_err(|error| {
        Error::new(format!("cannot run `{name}`: {error}"))
            .help("`on: \"slurm\"` needs Slurm's commands on this machine; `on: \"local\"` needs nothing")
    })?;
    if told.status.success() {
        return Ok(String::from_utf8_lossy(&told.stdout).trim().to_string());
    }
    let said = String::from_utf8_lossy(&told.stderr);
    let said = said.trim().lines().last().unwrap_or("no word");
    Err(Error::new(format!("`{name}` said: {}", said.trim_start_matches(&format!("{name}: ")))))
}

/// What Slurm holds of the trials of this study, by their numbers; nothing when none was ever given to it.
///
/// # Errors
/// Slurm does not answer.
pub fn queue(study: &Study) -> Result<BTreeMap<u64, Queued>> {
    let arrays = arrays(study);
    if arrays.is_empty() {
        return Ok(BTreeMap::new());
    }
    let said = tool("squeue", &["--noheader", "--array", "--format=%j|%F|%K|%T|%r"])?;
    let mut found = BTreeMap::new();
    for array in arrays {
        let name = job_name(study, &array);
        let mut tasks = None;
        for line in said.lines() {
            let parts: Vec<&str> = line.split('|').map(str::trim).collect();
            let [named, job, index, state, reason] = parts[..] else { continue };
            let Some(index) = index.parse::<usize>().ok().filter(|_| named == name) else { continue };
            if tasks.is_none() {
                tasks = Some(Tasks::read(&array)?);
            }
            let trial = tasks.as_ref().and_then(|tasks| tasks.of.get(index.wrapping_sub(1)));
            let runs = matches!(state, "RUNNING" | "COMPLETING" | "SUSPENDED" | "STOPPED");
            if let Some(trial) = trial {
                let queued = Queued { task: format!("{job}_{index}"), runs, reason: reason.to_string() };
                found.insert(trial.trial, queued);
            }
        }
    }
    Ok(found)
}

/// Gives trials to Slurm, as one array or several, and says which jobs they are.
///
/// # Errors
/// A file cannot be written, or Slurm refuses.
pub fn submit(study: &Study, trials: &[Trial], limits: &Limits, about: &Tasks) -> Result<Vec<String>> {
    let mut jobs: Vec<String> = Vec::new();
    for part in trials.chunks(LARGEST) {
        let number = arrays(study).iter().filter_map(|path| path.file_name()?.to_str()?.parse::<u64>().ok()).max();
        let array = study.folder().join("slurm").join(format!("{:04}", number.unwrap_or(0) + 1));
        std::fs::create_dir_all(&array).map_err(|error| file(&array, "make the folder", error))?;
        let tasks = Tasks {
            of: part
                .iter()
                .map(|trial| Task {
                    trial: trial.number,
                    words: study.words(trial),
                    folder: trial.folder.strip_prefix(study.root()).unwrap_or(&trial.folder).to_path_buf(),
                })
                .collect(),
            ..about.clone()
        };
        tasks.write(&array)?;
        let batch = array.join("batch.sh");
        replace(&batch, script(study, &array, part.len(), limits, &about.program).as_bytes())?;
        let path = batch.display().to_string();
        let mut words = vec!["--parsable".to_string()];
        // Each array keeps to `jobs` by itself; together they do when one waits for the other.
        if let (Some(before), true) = (jobs.last(), limits.jobs > 0) {
            words.push(format!("--dependency=afterany:{before}"));
        }
        words.extend(limits.sbatch.iter().cloned());
        words.push(path);
        let said = tool("sbatch", &words.iter().map(String::as_str).collect::<Vec<_>>()).map_err(|error| {
            let help = format!("what was asked for stands in `{}`; `sinfo` shows the partitions", batch.display());
            error.help(help)
        });
        // An array that Slurm refused has no tasks.
        let said = said.inspect_err(|_| drop(std::fs::remove_file(array.join(super::task::TASKS))))?;
        // `17`, or `17;cluster`.
        let job = said.split(';').next().unwrap_or_default().to_string();
        replace(&array.join("job.json"), json!({"job": job}).to_string().as_bytes())?;
        jobs.push(job);
    }
    Ok(jobs)
}

/// A word as the shell reads it back.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

fn script(study: &Study, array: &Path, tasks: usize, limits: &Limits, program: &Path) -> String {
    let mut lines = vec!["#!/bin/sh".to_string()];
    let mut ask = |name: &str, value: String| lines.push(format!("#SBATCH --{name}={value}"));
    ask("job-name", job_name(study, array));
    let at_once = if limits.jobs > 0 { format!("%{}", limits.jobs) } else { String::new() };
    ask("array", format!("1-{tasks}{at_once}"));
    // `%` begins a pattern of Slurm's.
    ask("output", format!("\"{}/%a.txt\"", array.display().to_string().replace('%', "%%")));
    ask("open-mode", "append".into());
    ask("cpus-per-task", limits.cores.max(1).to_string());
    ask("signal", format!("B:USR1@{}", limits.grace));
    for (name, value) in [("partition", &limits.partition), ("account", &limits.account), ("time", &limits.time)] {
        if let Some(value) = value {
            ask(name, value.clone());
        }
    }
    if let Some(bytes) = limits.memory {
        ask("mem", format!("{}M", bytes.div_ceil(1 << 20)));
    }
    if limits.gpus > 0 {
        ask("gres", format!("gpu:{}", limits.gpus));
    }
    lines.push("#SBATCH --requeue".into());
    if !limits.setup.is_empty() {
        lines.push(limits.setup.clone());
    }
    // In the place of the shell: Slurm's signal ahead of the limit reaches it.
    lines.push(format!("exec {} study task {}", quoted(program), quoted(array)));
    lines.join("\n") + "\n"
}

/// Takes back what Slurm still holds of a study: tasks that run save what they have reached. Gives how many there were.
///
/// # Errors
/// Slurm does not answer.
pub fn cancel(study: &Study) -> Result<usize> {
    let queued = queue(study)?;
    let tasks: Vec<&str> = queued.values().map(|queued| queued.task.as_str()).collect();
    // To the whole of a job, so that a trial hears of it too.
    for part in tasks.chunks(500) {
        tool("scancel", part)?;
    }
    Ok(tasks.len())
}

/// The state in which a task of an array ended, in Slurm's word: `TIMEOUT`, `OUT_OF_MEMORY`, `NODE_FAIL`. Nothing when it has
/// forgotten.
pub fn last_state(study: &Study, trial: u64) -> Option<String> {
    let (array, index) = arrays(study).into_iter().rev().find_map(|array| {
        let tasks = Tasks::read(&array).ok()?;
        let at = tasks.of.iter().position(|task| task.trial == trial)?;
        Some((array, at + 1))
    })?;
    let noted = std::fs::read_to_string(array.join("job.json")).ok()?;
    let job = serde_json::from_str::<serde_json::Value>(&noted).ok()?["job"].as_str()?.to_string();
    let task = format!("{job}_{index}");
    let known = tool("scontrol", &["--oneliner", "show", "job", &task]).ok();
    let known = known.and_then(|said| Some(said.split("JobState=").nth(1)?.split_whitespace().next()?.to_string()));
    let words = ["--noheader", "--allocations", "--parsable2", "--format=State", "--jobs", &task];
    let kept = || tool("sacct", &words).ok().and_then(|said| said.split_whitespace().next().map(str::to_string));
    known.or_else(kept).filter(|state| !state.is_empty())
}

/// Asks Slurm to run this very task once more: it goes on from what it has saved.
///
/// # Errors
/// This is no task of Slurm's, or it refuses.
pub fn requeue() -> Result<()> {
    let job =
        std::env::var("SLURM_JOB_ID").map_err(|_| Error::new("this is no task of Slurm: `SLURM_JOB_ID` is not set"))?;
    tool("scontrol", &["requeue", &job]).map(drop)
}

/// The number of this task in its array, as Slurm says it.
pub fn own_index() -> Option<usize> {
    std::env::var("SLURM_ARRAY_TASK_ID").ok()?.parse().ok()
}

/// The file system that a folder lies on, when it is one that several machines share.
pub fn network_file_system(folder: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let folder = child::absolute(folder);
    network_of(&mounts, &std::fs::canonicalize(&folder).unwrap_or(folder))
}

fn network_of(mounts: &str, folder: &Path) -> Option<String> {
    // `36 35 98:0 / /home rw - nfs4 server:/home rw`: the longest mount point above the folder counts, the last of equal ones.
    let found = mounts.lines().filter_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let at = place.split(' ').nth(4)?.replace("\\040", " ");
        Some((at, kind.split(' ').next()?.to_string()))
    });
    let (_, kind) =
        found.filter(|(at, _)| folder.starts_with(at)).max_by_key(|(at, _)| Path::new(at).components().count())?;
    let shared = [
        "nfs",
        "cifs",
        "smb",
        "lustre",
        "gpfs",
        "beegfs",
        "ceph",
        "afs",
        "gfs2",
        "ocfs2",
        "9p",
        "glusterfs",
        "panfs",
        "pvfs2",
        "orangefs",
        "wekafs",
        "sshfs",
        "fuse.",
    ];
    shared.iter().any(|name| kind.starts_with(name)).then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_file_system_is_known_by_the_mount_above_the_folder() {
        let mounts = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
                      36 22 0:31 / /home rw - nfs4 server:/home rw,vers=4.2\n\
                      37 36 0:32 / /home/a\\040b rw - tmpfs tmpfs rw\n\
                      38 22 0:40 / /scratch rw - lustre mds@tcp:/scratch rw\n";
        let of = |path: &str| network_of(mounts, Path::new(path));
        assert_eq!(of("/home/me/studies").as_deref(), Some("nfs4"));
        assert_eq!(of("/scratch/x").as_deref(), Some("lustre"));
        assert_eq!((of("/home/a b/studies"), of("/tmp"), of("/homework")), (None, None, None));
    }
}
