//! Two settings against each other, pair by pair, in a sentence that a careful person would sign.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::record::{Reported, Status, Trial};
use super::stats::{Paired, paired_of};
use super::table::{self, Row, Table};
use super::{Study, plan};
use crate::error::{Error, Result};

/// Two settings, and what their pairs say.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// What was measured.
    pub metric: String,
    /// Whether more is better; nothing when that is not known.
    pub higher: Option<bool>,
    /// The first setting in a line.
    pub first: String,
    /// The second setting in a line.
    pub second: String,
    /// What each pair shares, and the values of both.
    pub pairs: Vec<(String, f64, f64)>,
    /// Trials of the first or the second setting that have no partner.
    pub single: usize,
    /// What the pairs say; nothing when there are none.
    pub paired: Option<Paired>,
    /// How many comparisons were made at once.
    pub of: usize,
}

/// Four digits that count.
pub fn number(value: f64) -> String {
    crate::figure::significant(value, 4)
}

impl Comparison {
    /// Its numbers by name.
    pub fn to_json(&self) -> Value {
        let Some(paired) = &self.paired else { return serde_json::json!({"n": 0}) };
        let (low, high) = paired.interval.unzip();
        serde_json::json!({
            "n": paired.n, "difference": paired.difference, "low": low, "high": high, "rising": paired.rising,
            "falling": paired.falling, "wilcoxon": paired.wilcoxon, "sign": paired.sign,
        })
    }

    /// What can be said of it.
    pub fn sentence(&self) -> String {
        let Self { metric, first, second, .. } = self;
        let Some(paired) = &self.paired else {
            return format!(
                "Nothing can be said of `{second}` against `{first}`: no pair of trials has both {metric} values."
            );
        };
        let (n, by) = (paired.n, number(paired.difference.abs()));
        let more = if paired.difference > 0.0 { "higher" } else { "lower" };
        let better = match self.higher {
            Some(higher) if paired.difference != 0.0 => {
                if higher == (paired.difference > 0.0) {
                    ", which is better"
                } else {
                    ", which is worse"
                }
            }
            _ => "",
        };
        let Some((low, high)) = paired.interval else {
            return format!(
                "One pair alone: {metric} is {by} {more} with `{second}` than with `{first}`; how sure that is cannot be said."
            );
        };
        if paired.rising + paired.falling == 0 {
            return format!("`{second}` and `{first}` gave the same {metric} in all {n} pairs.");
        }
        let interval = format!("{} to {}", number(low), number(high));
        let sure = match self.of {
            0 | 1 => "95% interval".to_string(),
            of => format!("95% interval for {of} comparisons at once"),
        };
        // Fewer than six pairs can never give a p-value below 0.05.
        let ranks = if paired.smallest > 0.05 {
            format!("{n} pairs are too few for a rank test, whose smallest p-value is {}", number(paired.smallest))
        } else {
            format!("Wilcoxon's signed-rank test p = {}", number(paired.wilcoxon))
        };
        if low > 0.0 || high < 0.0 {
            let agree = if paired.difference > 0.0 { paired.rising } else { paired.falling };
            let disagree = if paired.smallest <= 0.05 && paired.wilcoxon > 0.05 {
                " The two disagree: take it as a hint."
            } else {
                ""
            };
            format!(
                "With `{second}`, {metric} is {by} {more} than with `{first}`{better} ({sure} of the difference {interval}, \
                 {agree} of {n} pairs agree; {ranks}).{disagree}"
            )
        } else {
            format!(
                "`{second}` and `{first}` cannot be told apart: {metric} is on average {by} {more} with `{second}`, but the {sure} \
                 of the difference goes from {interval} ({n} pairs; {ranks})."
            )
        }
    }
}

impl Study {
    /// Compares the trials that have the parameters `first` with those that have `second`, pairs of which share everything else.
    ///
    /// # Errors
    /// No trial has such parameters, or reported such a metric.
    pub fn compare(
        &self,
        first: &Map<String, Value>,
        second: &Map<String, Value>,
        metric: &str,
        higher: Option<bool>,
    ) -> Result<Comparison> {
        self.collect()?;
        let (trials, values) = (self.trials()?, self.values()?);
        table::check_metric(self.name(), &trials, &values, metric)?;
        let higher = higher.or_else(|| table::direction(metric));
        compare(&trials, &values, [first, second], metric, higher, 1)
    }
}

fn has(trial: &Trial, params: &Map<String, Value>) -> bool {
    params
        .iter()
        .all(|(name, value)| table::value_of(trial, name).is_some_and(|own| plan::text(&own) == plan::text(value)))
}

/// Compares trials of two settings.
///
/// # Errors
/// No trial has the parameters of one of them.
pub fn compare(
    trials: &[Trial],
    values: &[Reported],
    settings: [&Map<String, Value>; 2],
    metric: &str,
    higher: Option<bool>,
    of: usize,
) -> Result<Comparison> {
    let last = table::last_values(values, metric);
    let keys: Vec<String> = settings.iter().flat_map(|params| params.keys().cloned()).collect();
    table::check_parameters(trials, &keys)?;
    let mut sides: Vec<BTreeMap<String, f64>> = Vec::new();
    for params in settings {
        let own: Vec<&Trial> = trials.iter().filter(|trial| has(trial, params)).collect();
        if own.is_empty() {
            return Err(Error::new(format!("no trial has `{}`", plan::said(params)))
                .help("the study's table shows the settings that there are"));
        }
        let mut side = BTreeMap::new();
        for trial in own.into_iter().filter(|trial| trial.status == Status::Finished) {
            let Some(value) = last.get(&trial.id).filter(|value| value.is_finite()) else { continue };
            let mut rest: Vec<String> = trial
                .params
                .iter()
                .filter(|(name, _)| !keys.contains(name))
                .map(|(name, value)| format!("{name}={}", plan::text(value)))
                .collect();
            rest.sort();
            if !keys.iter().any(|key| key == plan::SEED) {
                rest.push(format!("seed={}", trial.seed));
            }
            side.insert(rest.join(" "), *value);
        }
        sides.push(side);
    }
    let pairs: Vec<(String, f64, f64)> =
        sides[0].iter().filter_map(|(key, first)| Some((key.clone(), *first, *sides[1].get(key)?))).collect();
    let numbers: Vec<(f64, f64)> = pairs.iter().map(|(_, first, second)| (*first, *second)).collect();
    Ok(Comparison {
        metric: metric.to_string(),
        higher,
        first: plan::said(settings[0]),
        second: plan::said(settings[1]),
        single: sides[0].len() + sides[1].len() - 2 * pairs.len(),
        paired: paired_of(&numbers, of),
        pairs,
        of,
    })
}

impl Table {
    /// What the table allows to say, a sentence a line: never a bare ranking.
    ///
    /// # Errors
    /// Its rows are not those of `trials`.
    pub fn conclusions(&self, trials: &[Trial], values: &[Reported]) -> Result<Vec<String>> {
        let mut said = Vec::new();
        let with_values: Vec<&Row> = self.rows.iter().filter(|row| row.summary.is_some()).collect();
        let params = |row: &Row| -> Map<String, Value> {
            self.by.iter().zip(&row.key).filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect()
        };
        match with_values.as_slice() {
            [] => said.push(format!("No trial has measured {} yet.", self.metric)),
            [_] => {}
            [first, second] => {
                let settings = [&params(first), &params(second)];
                said.push(compare(trials, values, settings, &self.metric, self.higher, 1)?.sentence());
            }
            several => said.extend(self.against_best(several, trials, values)?),
        }
        if !self.pooled.is_empty() {
            said.push(format!("Each row takes all values of {} together.", listed(&self.pooled)));
        }
        let alone = with_values.iter().filter(|row| row.values.len() == 1).count();
        if alone > 0 && with_values.len() > 1 {
            said.push("A row of one trial says nothing of how much another seed would give.".into());
        }
        Ok(said)
    }

    /// Every row against the one with the best mean, the intervals wide enough for all comparisons together.
    fn against_best(&self, rows: &[&Row], trials: &[Trial], values: &[Reported]) -> Result<Vec<String>> {
        let Some(higher) = self.higher else {
            return Ok(vec![format!(
                "Whether more {} is better is not known here: say so with `better: \"lower\"` or `\"higher\"`, or compare two settings.",
                self.metric
            )]);
        };
        let mean = |row: &Row| {
            row.summary.as_ref().map_or(f64::NAN, |summary| if higher { -summary.mean } else { summary.mean })
        };
        let Some(best) = rows.iter().min_by(|a, b| mean(a).total_cmp(&mean(b))) else { return Ok(Vec::new()) };
        let name = |row: &Row| format!("`{}`", table::named(&self.by, &row.key));
        let params = |row: &Row| -> Map<String, Value> {
            self.by.iter().zip(&row.key).filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect()
        };
        let (mut apart, mut close) = (Vec::new(), Vec::new());
        for row in rows.iter().filter(|row| row.key != best.key) {
            let found =
                compare(trials, values, [&params(best), &params(row)], &self.metric, self.higher, rows.len() - 1)?;
            let outside =
                found.paired.as_ref().and_then(|p| p.interval).is_some_and(|(low, high)| low > 0.0 || high < 0.0);
            if outside { apart.push(name(row)) } else { close.push(name(row)) }
        }
        let word = if higher { "highest" } else { "lowest" };
        let mut said = format!("{} has the {word} mean {}", name(best), self.metric);
        if !close.is_empty() {
            said.push_str(&format!(", but these trials cannot tell it from {}", listed(&close)));
        }
        if !apart.is_empty() {
            let joint = if close.is_empty() { ", and it is told apart from" } else { "; it is told apart from" };
            said.push_str(&format!("{joint} {}", listed(&apart)));
        }
        said.push_str(&format!(" (paired differences, 95% intervals for {} comparisons at once).", rows.len() - 1));
        Ok(vec![said])
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn study(of: &[(Value, u64, f64)]) -> (Vec<Trial>, Vec<Reported>) {
        let trial = |(i, (params, seed, _)): (usize, &(Value, u64, f64))| Trial {
            id: i as i64,
            number: i as u64 + 1,
            params: params.as_object().unwrap().clone(),
            seed: *seed,
            status: Status::Finished,
            error: None,
            place: None,
            host: None,
            device: None,
            command: String::new(),
            started: None,
            seconds: None,
            peak_memory: None,
            folder: std::path::PathBuf::new(),
            borrowed: false,
        };
        let value = |(i, (_, _, value)): (usize, &(Value, u64, f64))| Reported {
            trial: i as i64,
            stage: "script".into(),
            name: "fd".into(),
            step: 0,
            seconds: 1.0,
            value: *value,
        };
        (of.iter().enumerate().map(trial).collect(), of.iter().enumerate().map(value).collect())
    }

    fn two(first: &[f64], second: &[f64]) -> String {
        let side = |name: &str, values: &[f64]| -> Vec<(Value, u64, f64)> {
            values.iter().enumerate().map(|(i, v)| (json!({"method": name}), i as u64 + 1, *v)).collect()
        };
        let (trials, values) = study(&[side("biggan", first), side("s3gan", second)].concat());
        tabulated(&trials, &values)
    }

    fn tabulated(trials: &[Trial], values: &[Reported]) -> String {
        let table = table::tabulate("s", trials, values, &[], "fd", Some(false)).unwrap();
        table.conclusions(trials, values).unwrap().join("\n")
    }

    #[test]
    fn a_difference_is_said_with_its_interval_and_what_it_rests_on() {
        assert_eq!(
            two(&[61.2, 58.9, 63.0], &[55.1, 54.0, 57.7]),
            "With `method=s3gan`, fd is 5.433 lower than with `method=biggan`, which is better (95% interval of the difference \
             −6.951 to −3.916, 3 of 3 pairs agree; 3 pairs are too few for a rank test, whose smallest p-value is 0.25)."
        );
    }

    #[test]
    fn what_cannot_be_told_apart_is_said_so() {
        let said = two(&[61.2, 58.9, 63.0], &[61.9, 55.0, 63.5]);
        assert!(
            said.starts_with("`method=s3gan` and `method=biggan` cannot be told apart: fd is on average 0.9"),
            "{said}"
        );
        assert!(two(&[1.0], &[2.0]).starts_with("One pair alone: fd is 1 higher with `method=s3gan`"));
        assert_eq!(
            two(&[1.0, 2.0], &[1.0, 2.0]),
            "`method=s3gan` and `method=biggan` gave the same fd in all 2 pairs."
        );
    }

    #[test]
    fn of_many_settings_none_is_called_best_that_cannot_be_told_from_the_next() {
        let mut of = Vec::new();
        for (seed, noise) in [(1, 0.0), (2, 0.5), (3, -0.4), (4, 0.2)] {
            of.push((json!({"labels": 0.1}), seed, 60.0 + noise));
            of.push((json!({"labels": 0.2}), seed, 59.9 - noise));
            of.push((json!({"labels": 1}), seed, 80.0 - noise));
        }
        let (trials, values) = study(&of);
        assert_eq!(
            tabulated(&trials, &values),
            "`labels=0.2` has the lowest mean fd, but these trials cannot tell it from `labels=0.1`; it is told apart from \
             `labels=1` (paired differences, 95% intervals for 2 comparisons at once)."
        );
    }

    #[test]
    fn pairs_share_everything_else() {
        let mut of = Vec::new();
        for (labels, level) in [(0.1, 60.0), (1.0, 20.0)] {
            for seed in [1, 2] {
                of.push((json!({"labels": labels, "method": "a"}), seed, level + seed as f64));
                of.push((json!({"labels": labels, "method": "b"}), seed, level + seed as f64 - 3.0 - 0.1 * level));
            }
        }
        // One that has no partner.
        of.push((json!({"labels": 0.5, "method": "b"}), 1, 7.0));
        let (trials, values) = study(&of);
        let params = |name: &str| json!({"method": name}).as_object().unwrap().clone();
        let found = compare(&trials, &values, [&params("a"), &params("b")], "fd", None, 1).unwrap();
        assert_eq!((found.pairs.len(), found.single), (4, 1));
        assert!((found.paired.unwrap().difference + 7.0).abs() < 1e-9);
        assert!(compare(&trials, &values, [&params("c"), &params("b")], "fd", None, 1).is_err());
    }
}
