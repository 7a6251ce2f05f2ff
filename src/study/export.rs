//! A study for other tools: one table as CSV or parquet, TensorBoard's event files, MLflow's file store.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::Value;

use super::record::{Reported, Status, Trial};
use super::{Study, child, identity, plan};
use crate::error::{Error, Result, file};
use crate::run;

/// What a study can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One table, a row for each value that a trial reported; text.
    Csv,
    /// The same table in columns.
    Parquet,
    /// A folder of event files, one for each trial.
    Tensorboard,
    /// A folder as MLflow keeps it: an experiment, a run for each trial.
    Mlflow,
}

impl Format {
    /// All of them by name.
    pub const ALL: [(&'static str, Self); 4] =
        [("csv", Self::Csv), ("parquet", Self::Parquet), ("tensorboard", Self::Tensorboard), ("mlflow", Self::Mlflow)];

    /// The format of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn named(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|(known, _)| *known == name);
        found
            .map(|(_, format)| format)
            .ok_or_else(|| crate::table::unknown("format", name, Self::ALL.map(|(known, _)| known)))
    }
}

enum Column {
    Text(Vec<Option<String>>),
    Whole(Vec<Option<i64>>),
    Number(Vec<Option<f64>>),
}

/// The table: what each trial is, once for each value that it reported, once without a value if it reported none.
fn columns(study: &str, trials: &[Trial], values: &[Reported]) -> Vec<(String, Column)> {
    let mut rows: Vec<(&Trial, Option<&Reported>)> = Vec::new();
    for trial in trials {
        let before = rows.len();
        rows.extend(values.iter().filter(|value| value.trial == trial.id).map(|value| (trial, Some(value))));
        if rows.len() == before {
            rows.push((trial, None));
        }
    }
    let text = |of: &dyn Fn(&Trial) -> Option<String>| Column::Text(rows.iter().map(|(trial, _)| of(trial)).collect());
    let mut table = vec![
        ("study".to_string(), text(&|_| Some(study.to_string()))),
        ("trial".into(), Column::Whole(rows.iter().map(|(trial, _)| Some(trial.number as i64)).collect())),
        ("seed".into(), Column::Whole(rows.iter().map(|(trial, _)| Some(trial.seed as i64)).collect())),
    ];
    let mut names: Vec<&String> = Vec::new();
    for name in trials.iter().flat_map(|trial| trial.params.keys()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    for name in names {
        let numbers = trials.iter().all(|trial| trial.params.get(name).is_none_or(Value::is_number));
        let column = if numbers {
            Column::Number(rows.iter().map(|(trial, _)| trial.params.get(name).and_then(Value::as_f64)).collect())
        } else {
            text(&|trial| trial.params.get(name).map(plan::text))
        };
        table.push((format!("param.{name}"), column));
    }
    table.extend([
        ("status".to_string(), text(&|trial| Some(trial.status.word().to_string()))),
        ("error".into(), text(&|trial| trial.error.clone())),
        ("host".into(), text(&|trial| trial.host.clone())),
        ("device".into(), text(&|trial| trial.device.clone())),
        ("trial_seconds".into(), Column::Number(rows.iter().map(|(trial, _)| trial.seconds).collect())),
        (
            "peak_memory".into(),
            Column::Whole(rows.iter().map(|(trial, _)| trial.peak_memory.map(|bytes| bytes as i64)).collect()),
        ),
        ("command".into(), text(&|trial| Some(trial.command.clone()))),
    ]);
    let said = |of: fn(&Reported) -> String| Column::Text(rows.iter().map(|(_, value)| value.map(of)).collect());
    let number = |of: fn(&Reported) -> f64| {
        Column::Number(rows.iter().map(|(_, value)| value.map(of).filter(|v| v.is_finite())).collect())
    };
    table.extend([
        ("stage".to_string(), said(|value| value.stage.clone())),
        ("name".into(), said(|value| value.name.clone())),
        ("step".into(), Column::Whole(rows.iter().map(|(_, value)| value.map(|value| value.step as i64)).collect())),
        ("seconds".into(), number(|value| value.seconds)),
        ("value".into(), number(|value| value.value)),
    ]);
    table
}

fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_string() }
}

fn csv(table: &[(String, Column)]) -> String {
    let mut out = table.iter().map(|(name, _)| quoted(name)).collect::<Vec<_>>().join(",") + "\r\n";
    let rows = match table.first() {
        Some((_, Column::Text(cells))) => cells.len(),
        _ => 0,
    };
    for row in 0..rows {
        let cells: Vec<String> = table
            .iter()
            .map(|(_, column)| match column {
                Column::Text(cells) => cells[row].as_deref().map(quoted).unwrap_or_default(),
                Column::Whole(cells) => cells[row].map(|v| v.to_string()).unwrap_or_default(),
                Column::Number(cells) => cells[row].map(|v| v.to_string()).unwrap_or_default(),
            })
            .collect();
        out.push_str(&(cells.join(",") + "\r\n"));
    }
    out
}

fn split<T: Clone>(cells: &[Option<T>]) -> (Vec<T>, Vec<i16>) {
    (cells.iter().flatten().cloned().collect(), cells.iter().map(|cell| i16::from(cell.is_some())).collect())
}

fn write_parquet(table: &[(String, Column)]) -> std::result::Result<Vec<u8>, parquet::errors::ParquetError> {
    let mut schema = "message study {\n".to_string();
    for (i, (_, column)) in table.iter().enumerate() {
        // The parser knows plain names alone; the true ones are set below.
        let _ = match column {
            Column::Text(_) => writeln!(schema, "optional binary c{i} (UTF8);"),
            Column::Whole(_) => writeln!(schema, "optional int64 c{i};"),
            Column::Number(_) => writeln!(schema, "optional double c{i};"),
        };
    }
    let plain = parse_message_type(&(schema + "}"))?;
    let fields = plain
        .get_fields()
        .iter()
        .zip(table)
        .map(|(field, (name, _))| {
            let built = parquet::schema::types::Type::primitive_type_builder(name, field.get_physical_type())
                .with_repetition(parquet::basic::Repetition::OPTIONAL)
                .with_logical_type(field.get_basic_info().logical_type_ref().cloned())
                .with_converted_type(field.get_basic_info().converted_type());
            built.build().map(Arc::new)
        })
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let schema = parquet::schema::types::Type::group_type_builder("study").with_fields(fields).build()?;
    let mut out = Vec::new();
    let mut writer =
        SerializedFileWriter::new(&mut out, Arc::new(schema), Arc::new(WriterProperties::builder().build()))?;
    let mut group = writer.next_row_group()?;
    for (_, column) in table {
        let Some(mut into) = group.next_column()? else { break };
        match column {
            Column::Text(cells) => {
                let (values, levels) = split(cells);
                let values: Vec<ByteArray> = values.iter().map(|text: &String| text.as_str().into()).collect();
                into.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None)?;
            }
            Column::Whole(cells) => {
                let (values, levels) = split(cells);
                into.typed::<Int64Type>().write_batch(&values, Some(&levels), None)?;
            }
            Column::Number(cells) => {
                let (values, levels) = split(cells);
                into.typed::<DoubleType>().write_batch(&values, Some(&levels), None)?;
            }
        }
        into.close()?;
    }
    group.close()?;
    writer.close()?;
    Ok(out)
}

/// Seconds since 1970 of a time as runs say it; 0 of none.
fn epoch(said: Option<&str>) -> f64 {
    let parsed = said.and_then(|said| chrono::NaiveDateTime::parse_from_str(said, "%Y-%m-%d %H:%M:%S UTC").ok());
    parsed.map_or(0.0, |time| time.and_utc().timestamp() as f64)
}

/// `0003-method=s3gan-seed=2`: what a dashboard lists.
fn label(trial: &Trial) -> String {
    let settings: Vec<String> =
        trial.params.iter().map(|(name, value)| format!("{name}={}", plan::text(value))).collect();
    let all = [vec![format!("{:04}", trial.number)], settings, vec![format!("seed={}", trial.seed)]].concat().join("-");
    all.chars().map(|c| if c.is_alphanumeric() || "=._-".contains(c) { c } else { '_' }).take(120).collect()
}

fn tensorboard(trials: &[Trial], values: &[Reported], to: &Path) -> Result<()> {
    for trial in trials {
        let began = epoch(trial.started.as_deref());
        let own = values.iter().filter(|value| value.trial == trial.id);
        let scalars: Vec<(f64, u64, String, f64)> = own
            .map(|value| (began + value.seconds, value.step, format!("{}/{}", value.stage, value.name), value.value))
            .collect();
        if !scalars.is_empty() {
            run::write_scalars(&to.join(label(trial)), &scalars)?;
        }
    }
    Ok(())
}

/// A text in YAML, in single quotes.
fn yaml(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn put(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| file(folder, "make the folder", error))?;
    }
    run::replace(path, text.as_bytes())
}

/// Letters that MLflow allows in a name.
fn allowed(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || " _-./".contains(c);
    name.trim_matches('/').chars().map(|c| if plain(c) { c } else { '_' }).collect()
}

fn mlflow(study: &Study, trials: &[Trial], values: &[Reported], to: &Path) -> Result<()> {
    let to = child::absolute(to);
    // Eighteen digits of the name, as MLflow itself gives them out at random.
    let digits =
        u64::from_str_radix(&identity::hash(study.name().as_bytes()), 16).unwrap_or(1) % 900_000_000_000_000_000;
    let id = (digits + 100_000_000_000_000_000).to_string();
    let folder = to.join(&id);
    let uri = |path: &Path| yaml(&format!("file://{}", path.display()));
    let created = (epoch(Some(&study.about.created)) * 1000.0) as u64;
    put(
        &folder.join("meta.yaml"),
        &format!(
            "artifact_location: {}\ncreation_time: {created}\nexperiment_id: '{id}'\nlast_update_time: {created}\n\
             lifecycle_stage: active\nname: {}\n",
            uri(&folder),
            yaml(study.name())
        ),
    )?;
    for trial in trials {
        let name = format!("{}/{}", study.name(), trial.number);
        let run = [name.clone(), format!("run {name}")].map(|text| identity::hash(text.as_bytes())).concat();
        let own = folder.join(&run);
        let began = epoch(trial.started.as_deref());
        let ended = trial.seconds.map_or("null".into(), |seconds| (((began + seconds) * 1000.0) as u64).to_string());
        // The numbers of MLflow's `RunStatus`.
        let status = match trial.status {
            Status::Running => 1,
            Status::Pending => 2,
            Status::Finished => 3,
            Status::Failed => 4,
            Status::Interrupted | Status::Stopped => 5,
        };
        put(
            &own.join("meta.yaml"),
            &format!(
                "artifact_uri: {}\nend_time: {ended}\nentry_point_name: ''\nexperiment_id: '{id}'\nlifecycle_stage: active\n\
                 run_id: {run}\nrun_name: {}\nrun_uuid: {run}\nsource_name: ''\nsource_type: 4\nsource_version: ''\n\
                 start_time: {}\nstatus: {status}\ntags: []\nuser_id: fewlab\n",
                uri(&own.join("artifacts")),
                yaml(&label(trial)),
                (began * 1000.0) as u64,
            ),
        )?;
        for folder in ["metrics", "params", "tags", "artifacts"] {
            let folder = own.join(folder);
            std::fs::create_dir_all(&folder).map_err(|error| file(&folder, "make the folder", error))?;
        }
        for (name, value) in &trial.params {
            put(&own.join("params").join(allowed(name)), &plan::text(value))?;
        }
        put(&own.join("params/seed"), &trial.seed.to_string())?;
        put(&own.join("tags/mlflow.runName"), &label(trial))?;
        put(&own.join("tags/command"), &trial.command)?;
        if let Some(error) = &trial.error {
            put(&own.join("tags/error"), error)?;
        }
        let mut lines: std::collections::BTreeMap<PathBuf, String> = std::collections::BTreeMap::new();
        for value in values.iter().filter(|value| value.trial == trial.id) {
            // Scores keep their short name; what a stage reports is told apart by the stage.
            let name = match value.stage.as_str() {
                "script" | "scores" => allowed(&value.name),
                stage => allowed(&format!("{stage}/{}", value.name)),
            };
            let at = ((began + value.seconds) * 1000.0) as u64;
            let _ = writeln!(
                lines.entry(own.join("metrics").join(name)).or_default(),
                "{at} {} {}",
                value.value,
                value.step
            );
        }
        for (path, text) in lines {
            put(&path, &text)?;
        }
    }
    Ok(())
}

impl Study {
    /// Writes the study for another tool: a file for a table, a folder for a dashboard.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn export(&self, format: Format, to: &Path) -> Result<()> {
        self.collect()?;
        let (trials, values) = (self.trials()?, self.values()?);
        match format {
            Format::Csv => put(to, &csv(&columns(self.name(), &trials, &values))),
            Format::Parquet => {
                let table = columns(self.name(), &trials, &values);
                let bytes = write_parquet(&table)
                    .map_err(|error| Error::new(format!("cannot write `{}` as parquet: {error}", to.display())))?;
                if let Some(folder) = to.parent() {
                    std::fs::create_dir_all(folder).map_err(|error| file(folder, "make the folder", error))?;
                }
                run::replace(to, &bytes)
            }
            Format::Tensorboard => tensorboard(&trials, &values, to),
            Format::Mlflow => mlflow(self, &trials, &values, to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::reader::FileReader as _;

    #[test]
    fn a_table_holds_what_has_commas_and_what_is_missing() {
        let table = [
            ("name".to_string(), Column::Text(vec![Some("a, \"b\"".into()), None])),
            ("n".to_string(), Column::Whole(vec![None, Some(-3)])),
            ("x".to_string(), Column::Number(vec![Some(0.1), None])),
        ];
        assert_eq!(csv(&table), "name,n,x\r\n\"a, \"\"b\"\"\",,0.1\r\n,-3,\r\n");
        let bytes = write_parquet(&table).unwrap();
        let read = parquet::file::serialized_reader::SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
        let rows: Vec<String> = read.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect();
        assert_eq!(rows, ["{name: \"a, \"b\"\", n: null, x: 0.1}", "{name: null, n: -3, x: null}"]);
    }

    #[test]
    fn times_and_names_are_those_that_dashboards_take() {
        assert_eq!(epoch(Some("2026-11-23 15:30:12 UTC")), 1_795_447_812.0);
        assert_eq!((epoch(Some("soon")), epoch(None)), (0.0, 0.0));
        assert_eq!(allowed("FD (SqueezeNet 1.1, 64 px)"), "FD _SqueezeNet 1.1_ 64 px_");
        assert_eq!(yaml("it's"), "'it''s'");
    }
}
