//! Studies: one script, many settings, several seeds, and what can honestly be said of the difference.
//!
//! A trial is a script with its parameters and a seed; [`plan`] expands what was asked for into trials, [`record`] keeps them all in
//! one SQLite file, [`runner`] runs what is missing, each in a process of its own ([`child`]) or as a task of a
//! cluster ([`slurm`], [`task`]), where [`place`] says; [`state`] is how it stands meanwhile. What a trial found is read from its folder ([`outcome`]), never passed by memory, so nothing that
//! is killed takes a finished trial along. [`stats`], [`table`], [`compare`] say what came out; [`plot`] and [`page`] show it.
//!
//! It knows nothing of scripts but their text: running one in this process is a function that the caller brings.

pub mod child;
pub mod compare;
pub mod estimate;
pub mod export;
pub mod identity;
pub mod lease;
pub mod outcome;
pub mod page;
pub mod place;
pub mod plan;
pub mod plot;
pub mod record;
pub mod runner;
pub mod slurm;
pub mod state;
pub mod stats;
pub mod table;
pub mod task;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use identity::Scripts;
use plan::Setting;
use record::{Kept, Record, Reported, Status, Trial, Wanted};
use slurm::Queued;

/// The folder that studies lie in, unless another one is given.
pub const FOLDER: &str = "studies";

/// A study: its place, its name, what it is of.
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    root: PathBuf,
    about: Kept,
}

/// What is asked for when a study is planned.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Asked {
    /// The name of the study.
    pub name: String,
    /// `grid`, `list`, `random`, `halving`.
    pub kind: String,
    /// The path of the script.
    pub script: String,
    /// What its trials are given.
    pub settings: Vec<Setting>,
    /// Whether trials are stopped while others are better.
    pub halving: Option<Halving>,
    /// Where to compute: `auto`, `cpu`, `cuda:1`.
    pub device: String,
    /// The folder that the study's folder and the record lie in.
    pub root: PathBuf,
}

/// Successive halving (Jamieson & Talwalkar 2016, arXiv:1502.07943): every trial goes on to a step, the best share of the settings to
/// the next one.
#[derive(Debug, Clone, PartialEq)]
pub struct Halving {
    /// What the script reports by step.
    pub metric: String,
    /// Steps at which trials are compared, rising.
    pub rungs: Vec<u64>,
    /// The share of the settings that goes on.
    pub keep: f64,
    /// Whether more is better.
    pub higher: bool,
}

impl Halving {
    /// Comparisons by `metric` at the steps `rungs`.
    ///
    /// # Errors
    /// The steps do not rise, the share is none, or it is not known which way the metric is better.
    pub fn new(metric: &str, rungs: &[u64], keep: f64, higher: Option<bool>) -> Result<Self> {
        if rungs.is_empty() || rungs[0] == 0 || rungs.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(Error::new(format!("`rungs` is {rungs:?}"))
                .help("it must be a list of rising steps such as [250, 500, 1000]"));
        }
        if !(keep > 0.0 && keep < 1.0) {
            return Err(Error::new(format!("`keep` is {keep}")).help("it must be a share between 0 and 1"));
        }
        let Some(higher) = higher.or_else(|| table::direction(metric)) else {
            return Err(Error::new(format!("whether more `{metric}` is better is not known"))
                .help("say so with `better: \"lower\"` or `better: \"higher\"`"));
        };
        Ok(Self { metric: metric.to_string(), rungs: rungs.to_vec(), keep, higher })
    }

    fn to_json(&self) -> Value {
        json!({"metric": self.metric, "rungs": self.rungs, "keep": self.keep, "higher": self.higher})
    }

    fn of(plan: &Value) -> Option<Self> {
        let halving = plan.get("halving").filter(|halving| halving.is_object())?;
        Some(Self {
            metric: halving["metric"].as_str()?.to_string(),
            rungs: halving["rungs"].as_array()?.iter().filter_map(Value::as_u64).collect(),
            keep: halving["keep"].as_f64()?,
            higher: halving["higher"].as_bool()?,
        })
    }
}

fn checked_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(plain) || name.starts_with(['.', '-']) {
        return Err(Error::new(format!("a study cannot be called `{name}`"))
            .help("its name is that of a folder: letters, digits, `-`, `_` and `.`"));
    }
    Ok(())
}

impl Study {
    /// Takes a study into the record. Trials that are known there are not planned twice.
    ///
    /// # Errors
    /// The script cannot be read, or the record not written.
    pub fn plan(asked: &Asked) -> Result<Self> {
        checked_name(&asked.name)?;
        if asked.settings.is_empty() {
            return Err(Error::new(format!("the study `{}` has nothing to try", asked.name)));
        }
        let directory = std::env::current_dir()
            .map_err(|error| Error::new(format!("cannot tell which folder this is: {error}")))?;
        let scripts = Scripts::read(&directory, &asked.script)?;
        let mut wanted = Vec::new();
        for setting in &asked.settings {
            wanted.push(Wanted {
                setting,
                identity: identity::of(&scripts, &directory, setting, &asked.device)?,
                command: crate::run::command_line(
                    &[vec!["fewlab".into()], words(&asked.script, &asked.device, &setting.params, setting.seed)]
                        .concat(),
                ),
            });
        }
        let about = Kept {
            id: 0,
            name: asked.name.clone(),
            kind: asked.kind.clone(),
            script: asked.script.clone(),
            plan: json!({
                "directory": directory.display().to_string(), "device": asked.device, "scripts": scripts.hash(),
                "halving": asked.halving.as_ref().map(Halving::to_json),
            }),
            created: crate::run::now(),
        };
        let root = child::absolute(&asked.root);
        let mut record = Record::open(&root)?;
        record.plan(&about, &scripts.0, &wanted)?;
        Self::open(&root, &asked.name)
    }

    /// The study called `name` in the folder `root`.
    ///
    /// # Errors
    /// There is none.
    pub fn open(root: &Path, name: &str) -> Result<Self> {
        let root = child::absolute(root);
        if !root.join("record.sqlite").exists() {
            return Err(Error::new(format!("there are no studies in `{}`", root.display()))
                .help("`study::grid` in a script, or `fewlab study run`, makes one"));
        }
        let about = Record::open(&root)?.study(name)?;
        Ok(Self { root, about })
    }

    /// Every study in the folder `root`.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn all(root: &Path) -> Result<Vec<Self>> {
        let root = child::absolute(root);
        if !root.join("record.sqlite").exists() {
            return Ok(Vec::new());
        }
        let studies = Record::open(&root)?.studies()?;
        Ok(studies.into_iter().map(|about| Self { root: root.clone(), about }).collect())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.about.name
    }

    /// `grid`, `list`, `random`, `halving`.
    pub fn kind(&self) -> &str {
        &self.about.kind
    }

    /// The path of its script.
    pub fn script(&self) -> &str {
        &self.about.script
    }

    /// Its folder, which trials lie in.
    pub fn folder(&self) -> PathBuf {
        self.root.join(&self.about.name)
    }

    /// The folder of the record.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// How trials are stopped early, if they are.
    pub fn halving(&self) -> Option<Halving> {
        Halving::of(&self.about.plan)
    }

    /// Where its script is run.
    pub fn directory(&self) -> PathBuf {
        self.about.plan["directory"].as_str().map_or_else(PathBuf::new, PathBuf::from)
    }

    fn device(&self) -> &str {
        self.about.plan["device"].as_str().unwrap_or("auto")
    }

    fn record(&self) -> Result<Record> {
        Record::open(&self.root)
    }

    /// The words that run a trial, after the program's name.
    fn words(&self, trial: &Trial) -> Vec<String> {
        words(&self.about.script, self.device(), &trial.params, trial.seed)
    }

    /// Copies what trials have left in their folders since the record was written last.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn collect(&self) -> Result<()> {
        self.collected().map(drop)
    }

    /// The same, and what Slurm holds of the trials.
    fn collected(&self) -> Result<BTreeMap<u64, Queued>> {
        let mut record = self.record()?;
        let trials = record.trials(self.about.id)?;
        let open: Vec<&Trial> = trials.iter().filter(|trial| !trial.status.is_over() && !trial.borrowed).collect();
        if open.is_empty() {
            return Ok(BTreeMap::new());
        }
        let queue = slurm::queue(self);
        for trial in open {
            let queued = queue.as_ref().map(|queue| queue.get(&trial.number));
            let status = match queued {
                // What is with Slurm, or may be, is over when its folder says so, and not before.
                Ok(Some(_)) | Err(_) if !outcome::is_over(&trial.folder) => match queued {
                    Ok(Some(queued)) if queued.runs => Status::Running,
                    Ok(_) => Status::Pending,
                    Err(_) => trial.status,
                },
                _ => match outcome::collect(&trial.folder)? {
                    Some(found) => {
                        record.keep(trial.id, &found)?;
                        continue;
                    }
                    None if outcome::at_work(&trial.folder) => Status::Running,
                    None => Status::Pending,
                },
            };
            if status != trial.status {
                record.mark(trial.id, status)?;
            }
        }
        queue
    }

    /// Its trials, in order.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn trials(&self) -> Result<Vec<Trial>> {
        self.record()?.trials(self.about.id)
    }

    /// What its trials reported.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn values(&self) -> Result<Vec<Reported>> {
        self.record()?.values(self.about.id)
    }

    /// How many trials stand as the word says.
    ///
    /// # Errors
    /// There is no such status.
    pub fn count(&self, word: &str) -> Result<usize> {
        let known = ["pending", "running", "finished", "failed", "interrupted", "stopped"];
        if !known.contains(&word) {
            return Err(crate::table::unknown("status of a trial", word, known));
        }
        self.collect()?;
        Ok(self.trials()?.iter().filter(|trial| trial.status.word() == word).count())
    }

    /// What a table of its trials allows to say, a sentence a line.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn conclusions(&self, table: &table::Table) -> Result<Vec<String>> {
        table.conclusions(&self.trials()?, &self.values()?)
    }

    /// What its trials left.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn artefacts(&self) -> Result<Vec<record::Artefact>> {
        self.record()?.artefacts(self.about.id)
    }
}

fn words(script: &str, device: &str, params: &Map<String, Value>, seed: u64) -> Vec<String> {
    let mut words = vec!["run".to_string(), script.to_string()];
    words.extend(params.iter().flat_map(|(name, value)| ["--set".into(), format!("{name}={}", plan::text(value))]));
    words.extend(["--seed".into(), seed.to_string()]);
    if !matches!(device, "auto" | "") {
        words.extend(["--device".into(), device.to_string()]);
    }
    words
}
