//! What a trial left in its folder: how it ended, what it reported, which files.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::record::{Artefact, Reported, Status};
use crate::error::Result;
use crate::run::{self, record::Scores, record::read_number};

/// What a trial printed, and its error.
pub const OUTPUT: &str = "output.txt";
/// How it ended.
const OUTCOME: &str = "outcome.json";

/// `outcome.json`: how a trial ended, written by whoever watched it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// A [`Status`] in words.
    pub status: String,
    /// Why it failed.
    pub error: Option<String>,
    /// The line of the script where it failed.
    pub place: Option<String>,
    /// The machine.
    pub host: Option<String>,
    /// When it began, UTC.
    pub started: Option<String>,
    /// When it ended, UTC.
    pub ended: Option<String>,
    /// Seconds of work, those before it was resumed included.
    pub seconds: Option<f64>,
    /// The most memory it held, in bytes.
    pub peak_memory: Option<u64>,
}

/// All that a trial's folder holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Collected {
    /// How it ended.
    pub outcome: Outcome,
    /// The device in words.
    pub device: Option<String>,
    /// Threads.
    pub threads: Option<u64>,
    /// Versions, as JSON.
    pub versions: Option<String>,
    /// The commit of the repository that held the script.
    pub revision: Option<String>,
    /// What it reported.
    pub values: Vec<Reported>,
    /// What it left.
    pub artefacts: Vec<Artefact>,
}

impl Outcome {
    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        run::replace(&folder.join(OUTCOME), (text + "\n").as_bytes())
    }

    /// What the trial's folder says, if it says so.
    pub fn read(folder: &Path) -> Option<Self> {
        serde_json::from_str(&std::fs::read_to_string(folder.join(OUTCOME)).ok()?).ok()
    }

    /// Takes it away, before the trial goes on.
    pub fn clear(folder: &Path) {
        // What is not there needs no taking away.
        let _ = std::fs::remove_file(folder.join(OUTCOME));
    }
}

/// The newest run in the trial's folder.
pub fn run_of(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.filter_map(std::result::Result::ok).map(|entry| entry.path());
    // Names begin with the time; those of one second differ by a number.
    entries.filter(|path| path.join("run.json").exists()).max_by_key(|path| (started(path), path.clone()))
}

fn started(run: &Path) -> String {
    run::read_facts(run).map_or_else(|_| String::new(), |facts| facts.started)
}

/// The run that can go on from where it stopped.
pub fn resumable(folder: &Path) -> Option<PathBuf> {
    let found = run_of(folder)?;
    let facts = run::read_facts(&found).ok()?;
    matches!(facts.status, run::Status::Running | run::Status::Interrupted).then_some(found)
}

/// Whether somebody watches the trial, or its script is still at work though whoever started it is gone: both hold the lock of
/// its output.
pub fn at_work(folder: &Path) -> bool {
    match std::fs::File::open(folder.join(OUTPUT)) {
        Ok(output) => matches!(output.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)),
        Err(_) => false,
    }
}

/// Whether whoever watched the trial has said that nothing more will come of it.
pub fn is_over(folder: &Path) -> bool {
    Outcome::read(folder).is_some_and(|outcome| Status::of(&outcome.status).is_over())
}

/// Reads a trial's folder. Nothing while the trial is at work or was never begun; a trial that was killed with whoever watched
/// it counts as interrupted, unless its script had come to its end.
///
/// # Errors
/// A file is there and cannot be read.
pub fn collect(folder: &Path) -> Result<Option<Collected>> {
    if at_work(folder) { Ok(None) } else { gather(folder) }
}

/// Reads the folder of a trial that is known to have ended. The lock alone does not tell: for a moment a process that another
/// trial is just being started in holds it too.
///
/// # Errors
/// A file is there and cannot be read.
pub fn gather(folder: &Path) -> Result<Option<Collected>> {
    let found = run_of(folder);
    let facts = found.as_deref().map(run::read_facts).transpose()?;
    let outcome = match (Outcome::read(folder), &facts) {
        (Some(outcome), _) => outcome,
        (None, Some(facts)) => Outcome {
            status: match facts.status {
                run::Status::Finished => Status::Finished,
                run::Status::Failed => Status::Failed,
                run::Status::Running | run::Status::Interrupted => Status::Interrupted,
            }
            .word()
            .into(),
            error: facts.message.clone(),
            started: Some(facts.started.clone()),
            ended: facts.ended.clone(),
            seconds: Some(facts.seconds),
            ..Outcome::default()
        },
        (None, None) => return Ok(None),
    };
    let mut all = Collected { outcome, ..Collected::default() };
    if let (Some(dir), Some(facts)) = (found, facts) {
        all.outcome.seconds = Some(facts.seconds).filter(|seconds| *seconds > 0.0).or(all.outcome.seconds);
        all.device = Some(facts.device);
        all.threads = Some(facts.threads as u64);
        all.versions = Some(Value::Object(facts.versions).to_string());
        all.revision = facts.commit;
        let (values, pictures) = reported(&dir);
        all.values = values;
        all.artefacts = files(&dir, pictures);
    }
    Ok(Some(all))
}

/// What a run reported so far, the same value of a resumed run once; and its pictures: name, step, file.
pub fn reported(dir: &Path) -> (Vec<Reported>, Vec<(String, u64, String)>) {
    let mut values: Vec<Reported> = Vec::new();
    let mut places = std::collections::HashMap::new();
    let mut add = |reported: Reported| {
        let key = (reported.name.clone(), reported.stage.clone(), reported.step);
        let at = *places.entry(key).or_insert(values.len());
        match values.get_mut(at) {
            Some(known) => *known = reported,
            None => values.push(reported),
        }
    };
    for line in lines(&dir.join("metrics.jsonl")) {
        let (Some("value"), Some(named)) = (line["kind"].as_str(), line["values"].as_object()) else { continue };
        for (name, value) in named {
            add(Reported {
                trial: 0,
                stage: line["stage"].as_str().unwrap_or_default().into(),
                name: name.clone(),
                step: line["step"].as_u64().unwrap_or(0),
                seconds: line["time"].as_f64().unwrap_or(0.0),
                value: read_number(value).unwrap_or(f64::NAN),
            });
        }
    }
    let mut pictures = Vec::new();
    for line in lines(&dir.join("records.jsonl")) {
        let (data, seconds) = (&line["data"], line["time"].as_f64().unwrap_or(0.0));
        match line["record"].as_str() {
            Some("scores") => {
                let Ok(scores) = serde_json::from_value::<Scores>(data.clone()) else { continue };
                let stage = if scores.title.is_empty() { "scores".to_string() } else { scores.title.clone() };
                let mut short: Vec<String> = Vec::new();
                for row in scores.rows {
                    // By two extractors there are two distances: the short name is the first one's, the score that the run
                    // is told by; the others keep what a person reads.
                    let name = if short.contains(&row.metric) { row.label } else { row.metric.clone() };
                    short.push(row.metric);
                    add(Reported { trial: 0, stage: stage.clone(), name, step: 0, seconds, value: row.value });
                }
            }
            Some("picture") => {
                let text = |name: &str| data[name].as_str().unwrap_or_default().to_string();
                pictures.push((text("name"), data["step"].as_u64().unwrap_or(0), text("file")));
            }
            _ => {}
        }
    }
    (values, pictures)
}

fn files(dir: &Path, pictures: Vec<(String, u64, String)>) -> Vec<Artefact> {
    let artefact = |kind: &str, name: String, step, path| Artefact { trial: 0, kind: kind.into(), name, step, path };
    let mut found = vec![artefact("run", "run".into(), None, dir.to_path_buf())];
    if dir.join("report.html").exists() {
        found.push(artefact("report", "report".into(), None, dir.join("report.html")));
    }
    found.extend(
        pictures
            .into_iter()
            .filter(|(.., file)| dir.join(file).exists())
            .map(|(name, step, file)| artefact("picture", name, Some(step), dir.join(file))),
    );
    let mut checkpoints: Vec<PathBuf> = std::fs::read_dir(dir.join("checkpoints"))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
        .collect();
    checkpoints.sort();
    found.extend(checkpoints.into_iter().map(|path| {
        artefact("checkpoint", path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), None, path)
    }));
    found
}

/// The whole lines of a file that may still grow.
pub fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read(path).unwrap_or_default();
    text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_distances_of_one_kind_are_two_values() {
        let dir = tempfile::tempdir().unwrap();
        let row = |label: &str, value: f64| serde_json::json!({"metric": "fd", "label": label, "value": value});
        let rows = [row("FD (SqueezeNet)", 2300.0), row("FD (classifier)", 1.5)];
        let line = serde_json::json!({"record": "scores", "n": 1, "time": 2.0, "data": {"rows": rows}});
        std::fs::write(dir.path().join("records.jsonl"), format!("{line}\n")).unwrap();
        let (values, _) = reported(dir.path());
        let found: Vec<(&str, f64)> = values.iter().map(|value| (value.name.as_str(), value.value)).collect();
        assert_eq!(found, [("fd", 2300.0), ("FD (classifier)", 1.5)]);
    }
}
