//! Reads a run's folder back.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::record::read_number;
use super::{Facts, Status, folder};
use crate::error::{Result, file};
use crate::progress::Best;

/// All that a run wrote, in the order it happened. What a resumed run wrote again stands once.
#[derive(Debug, Clone)]
pub struct History {
    /// The folder.
    pub dir: PathBuf,
    /// `run.json`.
    pub facts: Facts,
    /// Whether a process is at work in the folder.
    pub live: bool,
    /// Seconds of work, also while the run goes on.
    pub seconds: f64,
    /// The text of the script.
    pub script: String,
    /// Stages in the order they began.
    pub stages: Vec<Stage>,
    /// Name and content of each record.
    pub records: Vec<(String, Value)>,
    /// Pictures in the order they came.
    pub pictures: Vec<Shot>,
    /// Lines for the person, with the seconds since the start.
    pub notes: Vec<(f64, String)>,
}

/// A numbered stage.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stage {
    /// Its numbered name: `3-gan`.
    pub key: String,
    /// Steps in all; 0 when it was never begun.
    pub of: u64,
    /// The last step done.
    pub step: u64,
    /// Seconds of work.
    pub seconds: f64,
    /// Its last words, once it has ended.
    pub summary: Option<String>,
    /// What each step measured: name and `(step, value)`.
    pub steps: Vec<(String, Vec<(f64, f64)>)>,
    /// Scores through the stage: name and `(step, value)`.
    pub values: Vec<(String, Vec<(f64, f64)>)>,
    /// The best by a score, if its state was kept.
    pub best: Option<Best>,
    /// What happened on the way, each with its step.
    pub marks: Vec<(u64, String)>,
}

impl Stage {
    /// Its name without its number.
    pub fn name(&self) -> &str {
        self.key
            .split_once('-')
            .filter(|(n, _)| n.chars().all(|c| c.is_ascii_digit()))
            .map_or(&self.key, |(_, name)| name)
    }
}

/// A kept picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Shot {
    /// The numbered stage.
    pub stage: String,
    /// What it shows: `samples`.
    pub name: String,
    /// Steps into the stage.
    pub step: u64,
    /// Its path inside the folder.
    pub file: String,
    /// Pixels across.
    pub width: u64,
    /// Pixels down.
    pub height: u64,
}

impl History {
    /// Reads the folder.
    pub fn read(dir: &Path) -> Result<Self> {
        let facts = super::read_facts(dir)?;
        let mut stages = Stages::default();
        let mut history = Self {
            seconds: last_time(dir)?.max(facts.seconds),
            live: facts.status == Status::Running && locked(dir),
            facts,
            dir: dir.to_path_buf(),
            script: folder::read(&dir.join(folder::SCRIPT))?,
            stages: Vec::new(),
            records: Vec::new(),
            pictures: Vec::new(),
            notes: Vec::new(),
        };
        let mut ordinals = Vec::new();
        for line in lines(&dir.join("records.jsonl"))? {
            history.take(line, &mut stages, &mut ordinals);
        }
        for line in lines(&dir.join("metrics.jsonl"))? {
            stages.metric(&line);
        }
        history.stages = stages.finish();
        Ok(history)
    }

    /// The records of this name.
    pub fn records<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> {
        self.records.iter().filter(move |(of, _)| of == name).map(|(_, data)| data)
    }

    fn take(&mut self, line: Value, stages: &mut Stages, ordinals: &mut Vec<(String, u64)>) {
        let (Some(name), Some(data)) = (text(&line, "record"), line.get("data")) else { return };
        let time = line.get("time").and_then(Value::as_f64).unwrap_or(0.0);
        let stage = text(data, "stage").unwrap_or_default();
        match name.as_str() {
            "begin" => stages.begin(&stage, whole(data, "of"), whole(data, "from"), time),
            "end" => stages.end(&stage, text(data, "summary"), time),
            "best" => stages.of(&stage).stage.best = best(data),
            "mark" => {
                let mark = (whole(data, "step"), text(data, "text").unwrap_or_default());
                let marks = &mut stages.of(&stage).stage.marks;
                // A resumed script says the same again.
                if !marks.contains(&mark) {
                    marks.push(mark);
                }
            }
            "note" => {
                let note = text(data, "text").unwrap_or_default();
                if !self.notes.iter().any(|(_, known)| *known == note) {
                    self.notes.push((time, note));
                }
            }
            "picture" => {
                let shot = Shot {
                    stage,
                    name: text(data, "name").unwrap_or_default(),
                    step: whole(data, "step"),
                    file: text(data, "file").unwrap_or_default(),
                    width: whole(data, "width"),
                    height: whole(data, "height"),
                };
                self.pictures.retain(|known| known.file != shot.file);
                self.pictures.push(shot);
            }
            _ => {
                // A resumed script says the same again, counted from one.
                let ordinal = (name.clone(), whole(&line, "n"));
                match ordinals.iter().position(|known| *known == ordinal) {
                    Some(i) => self.records[i].1 = data.clone(),
                    None => {
                        ordinals.push(ordinal);
                        self.records.push((name, data.clone()));
                    }
                }
            }
        }
    }
}

/// Stages as they are put together from lines.
#[derive(Default)]
struct Stages {
    list: Vec<Building>,
}

#[derive(Default)]
struct Building {
    stage: Stage,
    /// The last time a step or a score came from it.
    heard: f64,
    steps: Vec<(String, BTreeMap<u64, f64>)>,
    values: Vec<(String, BTreeMap<u64, f64>)>,
    /// When work on it began and ended, once for each time the run was resumed; one that was killed has no end.
    sessions: Vec<(f64, Option<f64>)>,
}

impl Stages {
    fn of(&mut self, key: &str) -> &mut Building {
        let at = self.list.iter().position(|known| known.stage.key == key).unwrap_or_else(|| {
            self.list
                .push(Building { stage: Stage { key: key.to_string(), ..Stage::default() }, ..Building::default() });
            self.list.len() - 1
        });
        &mut self.list[at]
    }

    fn begin(&mut self, key: &str, of: u64, from: u64, time: f64) {
        let building = self.of(key);
        building.stage.of = of;
        building.stage.step = building.stage.step.max(from);
        building.sessions.push((time, None));
    }

    fn end(&mut self, key: &str, summary: Option<String>, time: f64) {
        let building = self.of(key);
        building.stage.summary = Some(summary.unwrap_or_default());
        if let Some(session) = building.sessions.last_mut() {
            session.1 = Some(time);
        }
    }

    fn metric(&mut self, line: &Value) {
        let (Some(kind), Some(key), Some(values)) =
            (text(line, "kind"), text(line, "stage"), line.get("values").and_then(Value::as_object))
        else {
            return;
        };
        let (step, time) = (whole(line, "step"), line.get("time").and_then(Value::as_f64).unwrap_or(0.0));
        let building = self.of(&key);
        building.heard = building.heard.max(time);
        if kind == "step" {
            building.stage.step = building.stage.step.max(step);
        }
        let series = if kind == "step" { &mut building.steps } else { &mut building.values };
        for (name, value) in values {
            let Some(value) = read_number(value) else { continue };
            match series.iter_mut().find(|(known, _)| known == name) {
                Some((_, points)) => {
                    points.insert(step, value);
                }
                None => series.push((name.clone(), BTreeMap::from([(step, value)]))),
            }
        }
    }

    fn finish(self) -> Vec<Stage> {
        let plain = |series: Vec<(String, BTreeMap<u64, f64>)>| {
            series
                .into_iter()
                .map(|(name, points)| (name, points.into_iter().map(|(step, v)| (step as f64, v)).collect()))
                .collect()
        };
        self.list
            .into_iter()
            .map(|building| {
                let heard = building.heard;
                let seconds = building
                    .sessions
                    .iter()
                    .map(|(begin, end)| (end.unwrap_or(heard.max(*begin)) - begin).max(0.0))
                    .sum();
                Stage { seconds, steps: plain(building.steps), values: plain(building.values), ..building.stage }
            })
            .collect()
    }
}

/// The time of the last whole line of the metrics or the records.
pub(super) fn last_time(dir: &Path) -> Result<f64> {
    let mut last = 0.0f64;
    for name in ["metrics.jsonl", "records.jsonl"] {
        for line in lines(&dir.join(name))? {
            last = last.max(line.get("time").and_then(Value::as_f64).unwrap_or(0.0));
        }
    }
    Ok(last)
}

/// Every whole line of a file of JSON lines; torn ones are left out. A file that is not there has none.
fn lines(path: &Path) -> Result<Vec<Value>> {
    let opened = match std::fs::File::open(path) {
        Ok(opened) => opened,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(file(path, "read", error)),
    };
    let mut lines = Vec::new();
    for line in BufReader::new(opened).split(b'\n') {
        let line = line.map_err(|error| file(path, "read", error))?;
        lines.extend(serde_json::from_slice(&line).ok());
    }
    Ok(lines)
}

/// Whether a process holds the lock that a run at work holds.
fn locked(dir: &Path) -> bool {
    let Ok(opened) = std::fs::File::open(dir.join("metrics.jsonl")) else { return false };
    matches!(opened.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock))
}

fn best(data: &Value) -> Option<Best> {
    let value = data.get("value").and_then(read_number)?;
    Some(Best { step: whole(data, "step"), score: text(data, "score")?, value })
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(str::to_string)
}

fn whole(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or(0)
}
