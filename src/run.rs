//! A run's folder: the script, its parameters, what was measured, checkpoints, pictures.
//!
//! ```text
//! runs/20261123-153012-pipeline-s3gan-1/
//!   script.rhai       the script as it ran
//!   run.json          parameters, seed, versions, device, how it ended, the command that repeats it   (Facts)
//!   config.toml       parameters and options, each with where it came from; `fewlab run --config` takes it back   (config)
//!   metrics.jsonl     one object a line: {"kind": "step" | "value", "stage", "step", "time", "values": {name: number}}
//!   records.jsonl     one object a line: {"record": name, "n", "time", "data"}                          (record)
//!   checkpoints/      1-rotation.safetensors, 3-gan.safetensors, and beside each what it is of; where several are kept
//!                     3-gan-000500.safetensors; the best by a score: 3-gan-best.safetensors
//!   samples/          3-gan-samples-000500.png
//!   tensorboard/      event files, with `--tensorboard`
//!   report.html       written by `report`
//! ```
//!
//! Times are seconds of work since the start, a resumed run's earlier work included. A number that is not finite is the
//! text `NaN`, `Infinity` or `-Infinity`. Lines are written whole and at once; a last line that a power cut tore is left
//! out when read. Everything else is written beside its place and moved into it.
//!
//! A script may run a stage of one name twice, so stages are numbered in the order they begin; a resumed script
//! begins them in the same order and so finds the same files.

mod config;
pub mod diff;
mod folder;
pub mod history;
pub mod record;
mod tensorboard;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::error::{Error, Result, file};
use crate::figure;
use crate::progress::{Best, Checkpoint, Observer, Picture, Step};
use folder::Folder;

pub use folder::command_line;
pub(crate) use folder::{now, replace, spoken, versions};
pub use history::History;
pub use tensorboard::Tensorboard;
pub(crate) use tensorboard::write_scalars;

/// The file that says every option of a run.
const CONFIG: &str = "config.toml";

/// What is known of a run before it starts.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The readable part of the folder's name: `pipeline-s3gan-1`. Other letters than `a-z A-Z 0-9 . _ -` become `-`.
    pub name: String,
    /// The path of the script as the person gave it.
    pub path: String,
    /// The text of the script.
    pub script: String,
    /// Parameters given from outside; [`Run::param`] adds those the script asks for.
    pub params: Map<String, Value>,
    /// The seed.
    pub seed: u64,
    /// The device in words: `cpu`, `cuda:0 (NVIDIA H100)`.
    pub device: String,
    /// Threads of the CPU operators.
    pub threads: usize,
    /// The command that repeats the run, word by word.
    pub command: Vec<String>,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// At work, or killed without a word.
    Running,
    /// The script ran to its end.
    Finished,
    /// A person stopped it; it can be resumed.
    Interrupted,
    /// An error ended it.
    Failed,
}

/// `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The name of the folder.
    pub id: String,
    /// How the run stands.
    pub status: Status,
    /// Why it failed.
    pub message: Option<String>,
    /// The path of the script as the person gave it.
    pub path: String,
    /// Every parameter with the value it had.
    pub params: Map<String, Value>,
    /// The seed.
    pub seed: u64,
    /// The device in words.
    pub device: String,
    /// Threads of the CPU operators.
    pub threads: usize,
    /// The command that repeats the run.
    pub command: String,
    /// Versions of the program and of what its numbers depend on.
    pub versions: Map<String, Value>,
    /// The commit of the repository that held the script, with `+ changes` where files differed from it.
    pub commit: Option<String>,
    /// When it started, UTC.
    pub started: String,
    /// When it was resumed, UTC.
    pub resumed: Vec<String>,
    /// When it ended, UTC.
    pub ended: Option<String>,
    /// Seconds of work.
    pub seconds: f64,
}

/// A run as it goes on. The folder is made when there is something to put into it: a stage, a record.
///
/// It watches jobs; what cannot be written is told by the next call that can fail ([`Observer::resume`],
/// [`Observer::checkpoint`], [`Run::record`], [`Run::finish`]).
#[derive(Debug)]
pub struct Run {
    out: PathBuf,
    about: About,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    params: Map<String, Value>,
    folder: Option<Folder>,
    /// Why the folder could not be made or written: once is enough.
    failure: Option<Error>,
    resumed: bool,
    started: Instant,
    /// Seconds of work before this session.
    before: f64,
    /// Stages begun so far.
    stages: usize,
    open: HashMap<String, Open>,
    /// How many records of each name this session wrote.
    records: HashMap<String, u64>,
    /// The options of the calls so far.
    configs: Vec<Config>,
}

/// A stage that has a number and has not ended.
#[derive(Debug, Clone)]
struct Open {
    key: String,
    /// Whether steps are under way; before that it has only asked for its saved state.
    begun: bool,
}

impl Run {
    /// A run whose folder will lie in `out`.
    pub fn create(out: &Path, about: About) -> Self {
        let params = about.params.clone();
        Self { out: out.to_path_buf(), about, state: Mutex::new(State::new(params, None, 0.0)) }
    }

    /// Goes on with the run in the folder `dir`. The caller runs [`Run::script`] again with the parameters, seed and
    /// device of [`Run::facts`]; jobs then find their saved states.
    pub fn resume(dir: &Path) -> Result<Self> {
        let (folder, before) = Folder::reopen(dir)?;
        let facts = &folder.facts;
        let about = About {
            name: facts.id.clone(),
            path: facts.path.clone(),
            script: folder::read(&dir.join(folder::SCRIPT))?,
            params: facts.params.clone(),
            seed: facts.seed,
            device: facts.device.clone(),
            threads: facts.threads,
            command: Vec::new(),
        };
        let state = State::new(about.params.clone(), Some(folder), before);
        Ok(Self { out: dir.to_path_buf(), about, state: Mutex::new(state) })
    }

    /// The folder, once there is one.
    pub fn dir(&self) -> Option<PathBuf> {
        self.state().folder.as_ref().map(|folder| folder.dir.clone())
    }

    /// What `run.json` says, once there is a folder.
    pub fn facts(&self) -> Option<Facts> {
        self.state().folder.as_ref().map(|folder| folder.facts.clone())
    }

    /// The text of the script.
    pub fn script(&self) -> &str {
        &self.about.script
    }

    /// Notes a parameter the script asked for, with the value it got.
    pub fn param(&self, name: &str, value: Value) -> Result<()> {
        let mut state = self.state();
        if state.params.get(name) == Some(&value) {
            return Ok(());
        }
        state.params.insert(name.to_string(), value);
        let params = state.params.clone();
        match &mut state.folder {
            Some(folder) => {
                folder.facts.params = params;
                folder.write_facts()
            }
            None => Ok(()),
        }
    }

    /// Keeps a record for good: a score table, a label report. [`record`] lists the names that the report shows in
    /// a way of their own; any other is shown as it is.
    pub fn record(&self, name: &str, data: &impl Serialize) -> Result<()> {
        let data = serde_json::to_value(data)
            .map_err(|error| Error::new(format!("record `{name}` cannot be written as JSON: {error}")))?;
        self.state().record(self, name, data)
    }

    /// Keeps the options of a call, as a record and in `config.toml`, once there is a folder: a script that only looks at
    /// something leaves none.
    pub fn configured(&self, config: &Config) -> Result<()> {
        let mut state = self.state();
        let before = state.configs.len();
        state.configs.push(config.clone());
        state.keep_configs(before)
    }

    /// Ends the run: `message` says why it failed. Does nothing when there was nothing to keep.
    pub fn finish(&self, status: Status, message: Option<&str>) -> Result<()> {
        let mut state = self.state();
        let (seconds, failure) = (state.seconds(), state.failure.clone());
        let Some(folder) = &mut state.folder else { return failure.map_or(Ok(()), Err) };
        let facts = &mut folder.facts;
        (facts.status, facts.message) = (status, message.map(str::to_string));
        if let (Status::Finished, Some(failure)) = (status, &failure) {
            (facts.status, facts.message) = (Status::Failed, Some(failure.message.clone()));
        }
        facts.ended = Some(folder::now());
        facts.seconds = seconds;
        folder.write_facts()?;
        failure.map_or(Ok(()), Err)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A thread that panicked while writing leaves whole lines behind; the next may go on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(params: Map<String, Value>, folder: Option<Folder>, before: f64) -> Self {
        let resumed = folder.is_some();
        Self {
            params,
            folder,
            failure: None,
            resumed,
            started: Instant::now(),
            before,
            stages: 0,
            open: HashMap::new(),
            records: HashMap::new(),
            configs: Vec::new(),
        }
    }

    fn seconds(&self) -> f64 {
        // A millisecond is finer than anything a person asks of it.
        ((self.before + self.started.elapsed().as_secs_f64()) * 1e3).round() / 1e3
    }

    /// The folder, made on first use. What failed once fails again with the same words.
    fn folder(&mut self, run: &Run) -> Result<&mut Folder> {
        if self.folder.is_none() {
            if let Some(failure) = &self.failure {
                return Err(failure.clone());
            }
            let about = About { params: self.params.clone(), ..run.about.clone() };
            match Folder::create(&run.out, &about) {
                Ok(folder) => {
                    self.folder = Some(folder);
                    self.keep_configs(0)?;
                }
                Err(error) => {
                    self.failure = Some(error.clone());
                    return Err(error);
                }
            }
        }
        self.folder.as_mut().ok_or_else(|| Error::bug("a run's folder is neither there nor missing"))
    }

    /// Does `write` in the folder; the first failure is kept for a call that can tell it.
    fn keep(&mut self, run: &Run, write: impl FnOnce(&mut Folder) -> Result<()>) {
        let result = self.folder(run).and_then(write);
        if let (Err(error), None) = (result, &self.failure) {
            self.failure = Some(error);
        }
    }

    fn record(&mut self, run: &Run, name: &str, data: Value) -> Result<()> {
        let time = self.seconds();
        let n = self.records.entry(name.to_string()).or_insert(0);
        *n += 1;
        let line = json!({"record": name, "n": *n, "time": time, "data": data});
        self.folder(run)?.records.append(&line)
    }

    /// Writes the configurations from number `from` on, into a folder that is there.
    fn keep_configs(&mut self, from: usize) -> Result<()> {
        let time = self.seconds();
        let Some(folder) = &mut self.folder else { return Ok(()) };
        for (n, config) in self.configs.iter().enumerate().skip(from) {
            let line = json!({"record": "config", "n": n + 1, "time": time, "data": config.to_json()});
            folder.records.append(&line)?;
        }
        match self.configs.is_empty() {
            true => Ok(()),
            false => {
                let text = config::written(&folder.facts.id, &self.params, &self.configs);
                replace(&folder.dir.join(CONFIG), text.as_bytes())
            }
        }
    }

    fn keep_record(&mut self, run: &Run, name: &str, data: Value) {
        if let (Err(error), None) = (self.record(run, name, data), &self.failure) {
            self.failure = Some(error);
        }
    }

    fn metric(&mut self, run: &Run, kind: &str, stage: &str, step: u64, values: &[(&str, f64)]) {
        let values: Map<String, Value> =
            values.iter().map(|(name, value)| ((*name).to_string(), record::number(*value))).collect();
        let line =
            json!({"kind": kind, "stage": self.key(stage), "step": step, "time": self.seconds(), "values": values});
        self.keep(run, |folder| folder.metrics.append(&line));
    }

    /// The stage's numbered name; a stage that never began has its plain one.
    fn key(&self, stage: &str) -> String {
        self.open.get(stage).map_or_else(|| stage.to_string(), |open| open.key.clone())
    }

    /// Gives the stage its number, unless it is waiting to begin.
    fn enter(&mut self, stage: &str, begun: bool) -> String {
        if let Some(open) = self.open.get_mut(stage).filter(|open| begun && !open.begun) {
            open.begun = true;
            return open.key.clone();
        }
        self.stages += 1;
        let key = format!("{}-{}", self.stages, folder::slug(stage));
        self.open.insert(stage.to_string(), Open { key: key.clone(), begun });
        key
    }
}

impl Observer for Run {
    fn begin(&self, stage: &str, from: u64, of: u64) {
        let mut state = self.state();
        let key = state.enter(stage, true);
        state.keep_record(self, "begin", json!({"stage": key, "from": from, "of": of}));
    }

    fn step(&self, step: &Step<'_>) {
        self.state().metric(self, "step", step.stage, step.step, step.values);
    }

    fn value(&self, stage: &str, step: u64, name: &str, value: f64) {
        self.state().metric(self, "value", stage, step, &[(name, value)]);
    }

    fn picture(&self, stage: &str, step: u64, name: &str, picture: &Picture) {
        let mut state = self.state();
        let key = state.key(stage);
        let path = format!("samples/{}-{}-{step:06}.png", folder::slug(&key), folder::slug(name));
        state.keep(self, |folder| {
            let bytes = figure::png(picture)?;
            folder::replace(&folder.dir.join(&path), &bytes)
        });
        let data = json!({"stage": key, "step": step, "name": name, "file": path, "width": picture.width, "height": picture.height});
        state.keep_record(self, "picture", data);
    }

    fn mark(&self, stage: &str, step: u64, text: &str) {
        let mut state = self.state();
        let data = json!({"stage": state.key(stage), "step": step, "text": text});
        state.keep_record(self, "mark", data);
    }

    fn note(&self, text: &str) {
        let mut state = self.state();
        // A note alone is no reason to make a folder.
        if state.folder.is_some() {
            state.keep_record(self, "note", json!({"text": text}));
        }
    }

    fn end(&self, stage: &str, summary: &str) {
        let mut state = self.state();
        let key = state.key(stage);
        state.open.remove(stage);
        state.keep_record(self, "end", json!({"stage": key, "summary": summary}));
    }

    fn checkpoint(&self, what: &Checkpoint<'_>, save: &dyn Fn(&Path) -> Result<()>) -> Result<Option<PathBuf>> {
        let Checkpoint { stage, fingerprint, step, keep } = *what;
        let (path, older) = {
            let mut state = self.state();
            if !state.open.contains_key(stage) {
                state.enter(stage, true);
            }
            let key = state.key(stage);
            let folder = state.folder(self)?;
            folder.save_fingerprint(&key, stage, fingerprint)?;
            match keep {
                0 | 1 => (folder.checkpoint(&key), Vec::new()),
                _ => (folder.checkpoint(&format!("{key}-{step:06}")), folder.stepped(&key)),
            }
        };
        // The lock is free while `save` writes, which may take long.
        folder::replace_with(&path, save).map_err(|error| {
            let kept = if path.exists() || !older.is_empty() { "; the checkpoint before it is kept" } else { "" };
            Error {
                message: format!("the checkpoint at step {step} of `{stage}` was not saved{kept}: {}", error.message),
                ..error
            }
        })?;
        // What lies after this step is of a future that was given up: it could not be read when the run was resumed.
        let (before, after): (Vec<_>, Vec<_>) = older.into_iter().partition(|(of, _)| *of <= step);
        let passed = before.into_iter().filter(|(of, _)| *of < step).skip(keep.saturating_sub(1));
        for (_, path) in after.into_iter().chain(passed) {
            std::fs::remove_file(&path).map_err(|error| file(&path, "remove", error))?;
        }
        let failure = self.state().failure.clone();
        failure.map_or(Ok(Some(path)), Err)
    }

    fn resume(&self, stage: &str, fingerprint: &str) -> Result<Vec<PathBuf>> {
        let mut state = self.state();
        let key = state.enter(stage, false);
        let resumed = state.resumed;
        let folder = state.folder(self)?;
        let single = Some(folder.checkpoint(&key)).filter(|path| path.exists());
        let paths: Vec<PathBuf> =
            single.into_iter().chain(folder.stepped(&key).into_iter().map(|(_, path)| path)).collect();
        if !resumed || paths.is_empty() {
            return Ok(Vec::new());
        }
        let saved = folder.fingerprint(&key)?;
        if saved != fingerprint {
            return Err(Error::new(format!(
                "the checkpoint of `{key}` was saved with other settings, data or seed: {}",
                folder::difference(&saved, fingerprint)
            ))
            .help(format!(
                "resume with the script and the parameters kept in `{}`, or start a new run",
                folder.dir.display()
            )));
        }
        Ok(paths)
    }

    fn best(&self, stage: &str, best: &Best, save: &dyn Fn(&Path) -> Result<()>) -> Result<Option<PathBuf>> {
        let path = {
            let mut state = self.state();
            if !state.open.contains_key(stage) {
                state.enter(stage, true);
            }
            let key = state.key(stage);
            state.folder(self)?.best(&key)
        };
        folder::replace_with(&path, save).map_err(|error| Error {
            message: format!("the best state of `{stage}` so far was not saved: {}", error.message),
            ..error
        })?;
        let data = json!({"step": best.step, "score": best.score, "value": record::number(best.value)});
        replace(&path.with_extension("json"), format!("{data}\n").as_bytes())?;
        let mut state = self.state();
        let of = json!({"stage": state.key(stage), "step": best.step, "score": best.score, "value": record::number(best.value)});
        state.keep_record(self, "best", of);
        Ok(Some(path))
    }

    fn resume_best(&self, stage: &str) -> Result<Option<(Best, PathBuf)>> {
        let mut state = self.state();
        let (key, resumed) = (state.key(stage), state.resumed);
        let path = state.folder(self)?.best(&key);
        let said = path.with_extension("json");
        if !resumed || !path.exists() || !said.exists() {
            return Ok(None);
        }
        let value: Value =
            serde_json::from_str(&folder::read(&said)?).map_err(|error| file(&said, "understand", error))?;
        let best = || {
            Some(Best {
                step: value.get("step")?.as_u64()?,
                score: value.get("score")?.as_str()?.to_string(),
                value: record::read_number(value.get("value")?)?,
            })
        };
        best().map(|best| Some((best, path))).ok_or_else(|| file(&said, "understand", "it says no step and score"))
    }
}

/// Reads `run.json` of a run's folder.
pub fn read_facts(dir: &Path) -> Result<Facts> {
    let path = dir.join("run.json");
    if !path.exists() {
        return Err(Error::new(format!("`{}` is no run: it has no file `run.json`", dir.display()))
            .help("a run is a folder such as `runs/20261123-153012-pipeline-1`"));
    }
    serde_json::from_str(&folder::read(&path)?).map_err(|error| file(&path, "understand", error))
}

#[cfg(test)]
mod tests;
