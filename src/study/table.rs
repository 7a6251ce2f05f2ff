//! A row for each setting: how many trials, where their middle lies, how sure that is.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::record::{Reported, Status, Trial};
use super::stats::{Summary, summary};
use super::{Study, plan};
use crate::error::{Error, Result};

/// What the trials of a setting measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The values of the parameters that rows differ by; nothing where a parameter is not set.
    pub key: Vec<Option<Value>>,
    /// What was measured, by trial: its number, and the value.
    pub values: Vec<(u64, f64)>,
    /// What the values say together; nothing when there is none.
    pub summary: Option<Summary>,
    /// Trials that failed: number, seed, why.
    pub failed: Vec<(u64, u64, String)>,
    /// Trials that are not done.
    pub missing: usize,
    /// Trials that the study stopped because others were better; what they reached stands in no summary.
    pub stopped: usize,
    /// Trials that finished without having measured this, or measured no finite number.
    pub silent: usize,
}

/// The trials of a study by setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The name of the study.
    pub study: String,
    /// The parameters that rows differ by.
    pub by: Vec<String>,
    /// What was measured.
    pub metric: String,
    /// Whether more is better; nothing when that is not known.
    pub higher: Option<bool>,
    /// The rows, in the order their settings were planned.
    pub rows: Vec<Row>,
    /// Parameters that differ within rows.
    pub pooled: Vec<String>,
}

/// Which way a metric is better, where its name says so.
pub fn direction(metric: &str) -> Option<bool> {
    // `fd/3` is of one class, `FD (SqueezeNet 1.1, 64 px)` of one extractor.
    let plain = metric.split(['/', ' ']).next().unwrap_or(metric).to_lowercase();
    match plain.as_str() {
        "fd" | "fid" | "kid" | "fd_per_class" | "ms_ssim" => Some(false),
        "is" | "precision" | "recall" | "density" | "coverage" => Some(true),
        _ if plain.ends_with("accuracy") => Some(true),
        _ if plain == "loss" || plain.ends_with("_loss") || plain == "error" || plain.ends_with("_error") => {
            Some(false)
        }
        _ => None,
    }
}

/// Which way is better, in words: `lower` or `higher`.
///
/// # Errors
/// It is another word.
pub fn better(word: Option<&str>) -> Result<Option<bool>> {
    match word {
        None => Ok(None),
        Some("lower") => Ok(Some(false)),
        Some("higher") => Ok(Some(true)),
        Some(other) => Err(Error::new(format!("`better` is `{other}`")).help("it must be \"lower\" or \"higher\"")),
    }
}

impl Row {
    /// What is not in its summary, in words: trials that failed, with why, and those that are not done.
    pub fn left_out(&self) -> String {
        let failed =
            self.failed.iter().map(|(number, seed, why)| format!("trial {number} (seed {seed}) failed: {why}"));
        let counted =
            [(self.missing, "not done"), (self.stopped, "stopped early"), (self.silent, "measured nothing finite")];
        let counted =
            counted.into_iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
        failed.chain(counted).collect::<Vec<_>>().join("; ")
    }

    /// The row as a map: its parameters, then what was measured.
    pub fn to_json(&self, by: &[String]) -> Value {
        let mut map: Map<String, Value> =
            by.iter().zip(&self.key).map(|(name, value)| (name.clone(), value.clone().unwrap_or_default())).collect();
        map.insert("n".into(), self.values.len().into());
        let of = |pick: fn(&Summary) -> f64| self.summary.as_ref().map_or(Value::Null, |summary| pick(summary).into());
        map.insert("median".into(), of(|summary| summary.median));
        map.insert("mean".into(), of(|summary| summary.mean));
        let interval = self.summary.as_ref().and_then(|summary| summary.interval);
        map.insert("low".into(), interval.map_or(Value::Null, |(low, _)| low.into()));
        map.insert("high".into(), interval.map_or(Value::Null, |(_, high)| high.into()));
        map.insert("least".into(), of(|summary| summary.least));
        map.insert("greatest".into(), of(|summary| summary.greatest));
        map.insert("failed".into(), self.failed.len().into());
        map.insert("missing".into(), self.missing.into());
        Value::Object(map)
    }
}

/// The last value of `metric` that each trial reported, and the names it knows.
pub fn last_values(values: &[Reported], metric: &str) -> BTreeMap<i64, f64> {
    let mut found: BTreeMap<i64, (f64, u64, f64)> = BTreeMap::new();
    for value in values.iter().filter(|value| value.name == metric) {
        let entry = found.entry(value.trial).or_insert((value.seconds, value.step, value.value));
        if (value.seconds, value.step) >= (entry.0, entry.1) {
            *entry = (value.seconds, value.step, value.value);
        }
    }
    found.into_iter().map(|(trial, (.., value))| (trial, value)).collect()
}

/// The names of what was reported, each once.
pub fn names(values: &[Reported]) -> Vec<String> {
    let mut names: Vec<String> = values.iter().map(|value| value.name.clone()).collect();
    names.sort();
    names.dedup();
    names
}

/// The parameters that differ between trials, in the order they were given.
pub fn varying(trials: &[Trial]) -> Vec<String> {
    let mut names: Vec<&String> = Vec::new();
    for name in trials.iter().flat_map(|trial| trial.params.keys()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let differs = |name: &&String| {
        let first = trials.first().map(|trial| trial.params.get(*name).map(plan::text));
        trials.iter().any(|trial| Some(trial.params.get(*name).map(plan::text)) != first)
    };
    names.into_iter().filter(differs).cloned().collect()
}

/// A value of a parameter as a cell of a table.
pub fn cell(value: &Option<Value>) -> String {
    value.as_ref().map_or_else(|| "–".into(), plan::text)
}

impl Study {
    /// What the trials measured as `metric`, a row for each combination of the parameters `by`; of all that differ when it is empty.
    ///
    /// # Errors
    /// No trial knows such a parameter, or reported such a metric.
    pub fn table(&self, by: &[String], metric: &str, higher: Option<bool>) -> Result<Table> {
        self.collect()?;
        let (trials, values) = (self.trials()?, self.values()?);
        let higher = higher.or_else(|| direction(metric));
        tabulate(self.name(), &trials, &values, by, metric, higher)
    }
}

/// The table of these trials.
///
/// # Errors
/// No trial knows such a parameter, or reported such a metric though some have finished.
pub fn tabulate(
    study: &str,
    trials: &[Trial],
    values: &[Reported],
    by: &[String],
    metric: &str,
    higher: Option<bool>,
) -> Result<Table> {
    let varying = varying(trials);
    check_parameters(trials, by)?;
    let by: Vec<String> = if by.is_empty() { varying.clone() } else { by.to_vec() };
    check_metric(study, trials, values, metric)?;
    let last = last_values(values, metric);
    let mut rows: Vec<Row> = Vec::new();
    for trial in trials {
        let key: Vec<Option<Value>> = by.iter().map(|name| value_of(trial, name)).collect();
        let texts: Vec<String> = key.iter().map(cell).collect();
        let at = match rows.iter().position(|row| row.key.iter().map(cell).eq(texts.iter().cloned())) {
            Some(at) => at,
            None => {
                rows.push(Row {
                    key,
                    values: Vec::new(),
                    summary: None,
                    failed: Vec::new(),
                    missing: 0,
                    stopped: 0,
                    silent: 0,
                });
                rows.len() - 1
            }
        };
        let row = &mut rows[at];
        match trial.status {
            Status::Finished => match last.get(&trial.id).filter(|value| value.is_finite()) {
                Some(value) => row.values.push((trial.number, *value)),
                None => row.silent += 1,
            },
            Status::Failed => row.failed.push((trial.number, trial.seed, trial.error.clone().unwrap_or_default())),
            Status::Stopped => row.stopped += 1,
            _ => row.missing += 1,
        }
    }
    for row in &mut rows {
        row.summary = summary(&row.values.iter().map(|(_, value)| *value).collect::<Vec<_>>());
    }
    let pooled = varying.into_iter().filter(|name| !by.contains(name)).collect();
    Ok(Table { study: study.to_string(), by, metric: metric.to_string(), higher, rows, pooled })
}

/// The value of a parameter, the seed among them.
pub fn value_of(trial: &Trial, name: &str) -> Option<Value> {
    if name == plan::SEED { Some(trial.seed.into()) } else { trial.params.get(name).cloned() }
}

/// Whether every name is that of a parameter that some trial is given.
///
/// # Errors
/// One is not.
pub fn check_parameters(trials: &[Trial], names: &[String]) -> Result<()> {
    let mut known: Vec<&str> = trials.iter().flat_map(|trial| trial.params.keys().map(String::as_str)).collect();
    known.push(plan::SEED);
    known.sort_unstable();
    known.dedup();
    match names.iter().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(crate::table::unknown("parameter of the study", name, known)),
        None => Ok(()),
    }
}

/// Whether something was reported as `metric`, or nothing has finished that could have.
///
/// # Errors
/// It was not.
pub fn check_metric(study: &str, trials: &[Trial], values: &[Reported], metric: &str) -> Result<()> {
    if values.iter().any(|value| value.name == metric) || !trials.iter().any(|trial| trial.status == Status::Finished) {
        return Ok(());
    }
    let names = names(values);
    if names.is_empty() {
        return Err(Error::new(format!("no trial of `{study}` has reported anything"))
            .help("a script says what it measured with `report(\"fd\", value)`"));
    }
    Err(crate::table::unknown("reported metric", metric, names.iter().map(String::as_str)))
}

/// Parameters of a row as a line: `labels=0.1 method=s3gan`.
pub fn named(by: &[String], key: &[Option<Value>]) -> String {
    let map: Map<String, Value> =
        by.iter().zip(key).filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect();
    plan::said(&map)
}
