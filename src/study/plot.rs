//! A study in pictures: a metric against a parameter, through time, against the seconds it took; samples by setting.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Study;
use super::record::{Artefact, Reported, Status, Trial};
use super::stats::summary;
use super::table::{self, Row, cell, named, tabulate};
use crate::error::{Error, Result, file};
use crate::figure::{
    Bar, Bars, Cloud, Curves, Figure, Grid, Images, Scatter, Series, bars, curves, grid, scatter, significant,
};
use crate::progress::Picture;

/// Lines and groups that a key can still tell apart.
const LINES: usize = 10;

fn finite(trials: &[Trial], values: &[Reported], metric: &str) -> Vec<(usize, f64)> {
    let last = table::last_values(values, metric);
    let finished = trials.iter().enumerate().filter(|(_, trial)| trial.status == Status::Finished);
    finished.filter_map(|(at, trial)| Some((at, *last.get(&trial.id).filter(|value| value.is_finite())?))).collect()
}

fn nothing(metric: &str) -> Error {
    Error::new(format!("there is nothing to draw: no trial has measured {metric} yet"))
        .help("run the study first; `study.table` shows what there is")
}

fn few(count: usize, what: &str) -> Result<()> {
    if count <= LINES {
        return Ok(());
    }
    Err(Error::new(format!("{count} {what} are too many to tell apart in one figure"))
        .help(format!("give fewer parameters in `by`; {LINES} can be shown")))
}

/// A metric against a parameter: the mean with its 95% interval, a line for each setting of `by`. A parameter of words gives bars.
///
/// # Errors
/// There is no such parameter or metric, or nothing to draw.
pub fn against(
    study: &str,
    trials: &[Trial],
    values: &[Reported],
    parameter: &str,
    metric: &str,
    by: &[String],
) -> Result<Figure> {
    let keys: Vec<String> =
        by.iter().filter(|name| *name != parameter).cloned().chain([parameter.to_string()]).collect();
    let table = tabulate(study, trials, values, &keys, metric, None)?;
    let rows: Vec<&Row> = table.rows.iter().filter(|row| row.summary.is_some()).collect();
    if rows.is_empty() {
        return Err(nothing(metric));
    }
    let most = rows.iter().map(|row| row.values.len()).max().unwrap_or(0);
    let least = rows.iter().map(|row| row.values.len()).min().unwrap_or(0);
    let n = if most == least { most.to_string() } else { format!("{least} to {most}") };
    let title = format!("{metric} of `{study}`: mean, 95% interval, n = {n}");
    let last = |row: &Row| row.key.last().cloned().flatten();
    let numbers: Option<Vec<f64>> = rows.iter().map(|row| last(row).as_ref().and_then(Value::as_f64)).collect();
    match numbers {
        Some(numbers) => {
            let mut lines: Vec<(String, Vec<(f64, &Row)>)> = Vec::new();
            for (x, row) in numbers.iter().zip(&rows) {
                let name = named(&keys[..keys.len() - 1], &row.key[..keys.len() - 1]);
                match lines.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, points)) => points.push((*x, row)),
                    None => lines.push((name, vec![(*x, row)])),
                }
            }
            few(lines.len(), "lines")?;
            let series: Vec<Series> = lines
                .into_iter()
                .map(|(name, mut points)| {
                    points.sort_by(|a, b| a.0.total_cmp(&b.0));
                    let summaries: Vec<_> =
                        points.iter().filter_map(|(x, row)| Some((*x, row.summary.as_ref()?))).collect();
                    Series {
                        name: if keys.len() == 1 { metric.to_string() } else { name },
                        points: summaries.iter().map(|(x, summary)| (*x, summary.mean)).collect(),
                        band: summaries
                            .iter()
                            .map(|(_, summary)| summary.interval.unwrap_or((summary.mean, summary.mean)))
                            .collect(),
                    }
                })
                .collect();
            let (low, high) = numbers.iter().fold((f64::INFINITY, 0.0), |(low, high), x| (x.min(low), x.max(high)));
            let look = Curves {
                title,
                x_label: parameter.to_string(),
                y_label: metric.to_string(),
                // Shares of labels and learning rates are tried by ratios.
                log_x: low > 0.0 && high / low >= 16.0,
                smooth: 0.0,
                ..Curves::default()
            };
            curves(&series, &look)
        }
        None => {
            let amounts: Vec<Bar> = rows
                .iter()
                .filter_map(|row| {
                    let summary = row.summary.as_ref()?;
                    let name = match keys.len() {
                        1 => cell(&last(row)),
                        _ => named(&keys, &row.key),
                    };
                    let says = format!("{}  (n = {})", significant(summary.mean, 4), summary.n);
                    Some(Bar { name, value: summary.mean, interval: summary.interval, says })
                })
                .collect();
            bars(&amounts, &Bars { title, x_label: metric.to_string(), ..Bars::default() })
        }
    }
}

/// A metric through time: for each setting of `by` the mean over its trials, with its 95% interval, at the steps it was reported.
///
/// # Errors
/// There is no such parameter or metric, or nothing to draw.
pub fn through_time(study: &str, trials: &[Trial], values: &[Reported], metric: &str, by: &[String]) -> Result<Figure> {
    table::check_parameters(trials, by)?;
    table::check_metric(study, trials, values, metric)?;
    let by = if by.is_empty() { table::varying(trials) } else { by.to_vec() };
    let settings: BTreeMap<i64, String> = trials.iter().map(|trial| (trial.id, setting(trial, &by))).collect();
    let mut lines: Vec<(String, BTreeMap<u64, Vec<f64>>)> = Vec::new();
    for trial in trials {
        let name = setting(trial, &by);
        if !lines.iter().any(|(known, _)| *known == name) {
            lines.push((name, BTreeMap::new()));
        }
    }
    for value in values.iter().filter(|value| value.name == metric && value.value.is_finite()) {
        let Some(name) = settings.get(&value.trial) else { continue };
        if let Some((_, steps)) = lines.iter_mut().find(|(known, _)| known == name) {
            steps.entry(value.step).or_default().push(value.value);
        }
    }
    lines.retain(|(_, steps)| !steps.is_empty());
    if lines.is_empty() {
        return Err(nothing(metric));
    }
    few(lines.len(), "lines")?;
    let series: Vec<Series> = lines
        .into_iter()
        .map(|(name, steps)| {
            let summaries: Vec<_> =
                steps.iter().filter_map(|(step, values)| Some((*step as f64, summary(values)?))).collect();
            Series {
                name: if name.is_empty() { metric.to_string() } else { name },
                points: summaries.iter().map(|(step, summary)| (*step, summary.mean)).collect(),
                band: summaries
                    .iter()
                    .map(|(_, summary)| summary.interval.unwrap_or((summary.mean, summary.mean)))
                    .collect(),
            }
        })
        .collect();
    let title = format!("{metric} of `{study}` through time: mean, 95% interval");
    curves(&series, &Curves { title, y_label: metric.to_string(), smooth: 0.0, ..Curves::default() })
}

/// What each trial measured against the seconds that it took, a colour for each setting of `by`.
///
/// # Errors
/// There is no such parameter or metric, or nothing to draw.
pub fn against_time(study: &str, trials: &[Trial], values: &[Reported], metric: &str, by: &[String]) -> Result<Figure> {
    table::check_parameters(trials, by)?;
    table::check_metric(study, trials, values, metric)?;
    let by = if by.is_empty() { table::varying(trials) } else { by.to_vec() };
    let mut clouds: Vec<Cloud> = Vec::new();
    for (at, value) in finite(trials, values, metric) {
        let Some(seconds) = trials[at].seconds else { continue };
        let name = setting(&trials[at], &by);
        match clouds.iter_mut().find(|cloud| cloud.name == name) {
            Some(cloud) => cloud.points.push((seconds, value)),
            None => {
                clouds.push(Cloud { name, points: vec![(seconds, value)], colour: clouds.len(), rings: false });
            }
        }
    }
    if clouds.is_empty() {
        return Err(nothing(metric));
    }
    few(clouds.len(), "settings")?;
    let title = format!("{metric} of `{study}` against time, a point a trial");
    let look =
        Scatter { title, x_label: "seconds".into(), y_label: metric.to_string(), width: 640.0, ..Scatter::default() };
    scatter(&clouds, &look)
}

fn setting(trial: &Trial, by: &[String]) -> String {
    let key: Vec<Option<Value>> = by.iter().map(|name| table::value_of(trial, name)).collect();
    if key.iter().all(Option::is_none) { String::new() } else { named(by, &key) }
}

/// The last picture of each trial that has one, a row for each setting of `by` and a column for each seed. Settings are shown
/// whose pictures have the size of the first.
///
/// # Errors
/// There is no such parameter, no picture, or one cannot be read.
pub fn samples(study: &str, trials: &[Trial], artefacts: &[Artefact], by: &[String]) -> Result<Picture> {
    table::check_parameters(trials, by)?;
    let by = if by.is_empty() { table::varying(trials) } else { by.to_vec() };
    let mut rows: Vec<(String, BTreeMap<u64, &Artefact>)> = Vec::new();
    let mut seeds: Vec<u64> = Vec::new();
    for trial in trials.iter().filter(|trial| trial.status == Status::Finished) {
        let own = artefacts.iter().filter(|artefact| artefact.trial == trial.id && artefact.kind == "picture");
        let Some(last) = own.max_by_key(|artefact| (artefact.step, artefact.path.clone())) else { continue };
        let name = setting(trial, &by);
        if !seeds.contains(&trial.seed) {
            seeds.push(trial.seed);
        }
        match rows.iter_mut().find(|(known, _)| *known == name) {
            // Several settings in a row: the first stands for it.
            Some((_, found)) => {
                found.entry(trial.seed).or_insert(last);
            }
            None => rows.push((name, BTreeMap::from([(trial.seed, last)]))),
        }
    }
    if rows.is_empty() {
        return Err(Error::new(format!("no finished trial of `{study}` has left a picture"))
            .help("a script leaves one with `show(gan.grid(8, 10))`, or by `sample_every` of `gan::train`"));
    }
    seeds.sort_unstable();
    let (mut size, mut shown): (Option<(usize, usize)>, Vec<Option<Vec<u8>>>) = (None, Vec::new());
    for (_, found) in &rows {
        for seed in &seeds {
            let Some(artefact) = found.get(seed) else {
                shown.push(None);
                continue;
            };
            let read = std::fs::read(&artefact.path).map_err(|error| file(&artefact.path, "read", error))?;
            let image = image::load_from_memory(&read)
                .map_err(|error| Error::new(format!("`{}` is no picture: {error}", artefact.path.display())))?
                .to_rgb8();
            let own = (image.width() as usize, image.height() as usize);
            let fits = *size.get_or_insert(own) == own;
            shown.push(fits.then(|| planes(image.as_raw())));
        }
    }
    let Some((width, height)) = size else { return Err(Error::bug("pictures without a size")) };
    let blank = vec![255; width * height * 3];
    let pixels: Vec<u8> = shown.into_iter().flat_map(|picture| picture.unwrap_or_else(|| blank.clone())).collect();
    let look = Grid {
        title: format!("samples of `{study}`"),
        columns: seeds.len(),
        scale: 1,
        column_labels: seeds.iter().map(|seed| format!("seed {seed}")).collect(),
        row_labels: rows.into_iter().map(|(name, _)| name).collect(),
    };
    grid(&Images { pixels: &pixels, channels: 3, height, width }, &look)
}

/// Pixel by pixel as colour by colour.
fn planes(pixels: &[u8]) -> Vec<u8> {
    (0..3).flat_map(|channel| pixels.iter().skip(channel).step_by(3).copied()).collect()
}

impl Study {
    /// A metric against a parameter.
    ///
    /// # Errors
    /// As for [`against`].
    pub fn plot(&self, parameter: &str, metric: &str, by: &[String]) -> Result<Figure> {
        self.collect()?;
        against(self.name(), &self.trials()?, &self.values()?, parameter, metric, by)
    }

    /// A metric through time.
    ///
    /// # Errors
    /// As for [`through_time`].
    pub fn plot_steps(&self, metric: &str, by: &[String]) -> Result<Figure> {
        self.collect()?;
        through_time(self.name(), &self.trials()?, &self.values()?, metric, by)
    }

    /// A metric against the seconds it took.
    ///
    /// # Errors
    /// As for [`against_time`].
    pub fn plot_cost(&self, metric: &str, by: &[String]) -> Result<Figure> {
        self.collect()?;
        against_time(self.name(), &self.trials()?, &self.values()?, metric, by)
    }

    /// Samples by setting.
    ///
    /// # Errors
    /// As for [`samples`].
    pub fn plot_samples(&self, by: &[String]) -> Result<Picture> {
        self.collect()?;
        samples(self.name(), &self.trials()?, &self.artefacts()?, by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn study() -> (Vec<Trial>, Vec<Reported>) {
        let (mut trials, mut values) = (Vec::new(), Vec::new());
        for (i, (labels, method)) in [(0.05, "a"), (0.05, "b"), (1.0, "a"), (1.0, "b")].into_iter().enumerate() {
            for seed in [1, 2] {
                let id = trials.len() as i64;
                trials.push(Trial {
                    id,
                    number: id as u64 + 1,
                    params: json!({"labels": labels, "method": method}).as_object().unwrap().clone(),
                    seed,
                    status: Status::Finished,
                    error: None,
                    place: None,
                    host: None,
                    device: None,
                    command: String::new(),
                    started: None,
                    seconds: Some(10.0 + id as f64),
                    peak_memory: None,
                    folder: std::path::PathBuf::new(),
                    borrowed: false,
                });
                for step in [10, 20] {
                    let value = 50.0 - 5.0 * i as f64 + seed as f64 - step as f64;
                    let (stage, name) = ("script".to_string(), "fd".to_string());
                    values.push(Reported { trial: id, stage, name, step, seconds: step as f64, value });
                }
            }
        }
        (trials, values)
    }

    #[test]
    fn each_way_of_looking_names_its_settings_and_what_it_shows() {
        let (trials, values) = study();
        let by = ["method".to_string()];
        let svg = against("s", &trials, &values, "labels", "fd", &by).unwrap().svg();
        for said in ["method=a", "method=b", "n = 2", ">labels<", ">0.1<"] {
            assert!(svg.contains(said), "{said}: {svg}");
        }
        let svg = against("s", &trials, &values, "method", "fd", &[]).unwrap().svg();
        // The last values of setting a: 31, 32 at 5%, 21, 22 at 100%.
        assert!(svg.contains("26.5  (n = 4)") && svg.contains("21.5  (n = 4)"), "{svg}");
        let svg = through_time("s", &trials, &values, "fd", &by).unwrap().svg();
        assert!(svg.contains("method=b") && svg.contains(">step<"), "{svg}");
        let svg = against_time("s", &trials, &values, "fd", &by).unwrap().svg();
        assert!(svg.contains("method=b") && svg.contains(">seconds<"), "{svg}");
        assert!(against("s", &trials, &values, "label", "fd", &[]).is_err());
        assert!(through_time("s", &trials, &[], "fd", &[]).is_err());
    }

    #[test]
    fn samples_lie_by_setting_and_seed() {
        let (trials, _) = study();
        let dir = tempfile::tempdir().unwrap();
        let artefacts: Vec<Artefact> = trials
            .iter()
            .filter(|trial| trial.id != 1)
            .map(|trial| {
                let path = dir.path().join(format!("{}.png", trial.id));
                let colour = image::Rgb([trial.id as u8 * 20, 0, 7]);
                image::RgbImage::from_pixel(30, 20, colour).save(&path).unwrap();
                Artefact { trial: trial.id, kind: "picture".into(), name: "grid".into(), step: Some(1), path }
            })
            .collect();
        let shown = samples("s", &trials, &artefacts, &[]).unwrap();
        let corner = |x: usize, y: usize| &shown.pixels[(y * shown.width + x) * 3..][..3];
        let bottom = shown.height - 1;
        // The names of the columns lean out to the right of the pictures.
        let right = (0..shown.width).rev().find(|x| corner(*x, bottom) != [255, 255, 255]).unwrap();
        assert_eq!(corner(right, bottom), [140, 0, 7]);
        assert_eq!(corner(right - 32, bottom), [120, 0, 7]);
        // The second seed of the first setting has none.
        assert_eq!(corner(right, bottom - 3 * 22), [255, 255, 255]);
        assert!(samples("s", &trials, &[], &[]).is_err());
    }
}
