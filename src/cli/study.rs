//! `fewlab study`: studies from the command line.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::progress::Stop;
use crate::script;
use crate::study::export::Format;
use crate::study::plan::{self, Choice};
use crate::study::runner::{Running, State, Watcher};
use crate::study::{self, Asked, Study, table};

/// What can be done with studies.
#[derive(Subcommand)]
pub enum StudyCommand {
    /// Plans a study of a script, and runs what is missing
    Run(RunArguments),
    /// Lists the studies
    List {
        /// Where they lie
        #[command(flatten)]
        place: PlaceArguments,
    },
    /// Shows the trials of a study, or what they measured
    Show {
        /// Its name
        name: String,
        /// What was measured; the trials themselves if left out
        #[arg(long)]
        metric: Option<String>,
        /// Parameters that rows differ by; all that vary if left out
        #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
        by: Vec<String>,
        /// Which way is better: lower or higher
        #[arg(long)]
        better: Option<String>,
        /// Where it lies
        #[command(flatten)]
        place: PlaceArguments,
    },
    /// Writes a study as one HTML page into its folder
    Page {
        /// Its name
        name: String,
        /// What was measured; all that was reported if left out
        #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
        metric: Vec<String>,
        /// Which way is better: lower or higher
        #[arg(long)]
        better: Option<String>,
        /// Where it lies
        #[command(flatten)]
        place: PlaceArguments,
    },
    /// Writes a study for another tool
    Export {
        /// Its name
        name: String,
        /// csv, parquet, tensorboard or mlflow
        #[arg(long = "as", value_name = "FORMAT")]
        format: String,
        /// The file of a table, the folder of a dashboard
        #[arg(long, value_name = "PATH")]
        to: PathBuf,
        /// Where it lies
        #[command(flatten)]
        place: PlaceArguments,
    },
    /// Runs what is missing of a study
    Resume {
        /// Its name
        name: String,
        /// How its trials are run
        #[command(flatten)]
        how: HowArguments,
        /// Where it lies
        #[command(flatten)]
        place: PlaceArguments,
    },
}

/// What `fewlab study run` is told.
#[derive(Args)]
pub struct RunArguments {
    /// The script
    script: String,
    /// Values of a parameter that the script asks for; all combinations are tried
    #[arg(long = "grid", value_name = "NAME=VALUE,VALUE", value_parser = values)]
    grid: Vec<(String, Vec<Value>)>,
    /// How many seeds, from 1; or the seeds themselves: 1,5,7
    #[arg(long, value_name = "N", default_value = "3", value_parser = seeds)]
    seeds: std::vec::Vec<u64>,
    /// The name of the study; that of the script if left out
    #[arg(long)]
    name: Option<String>,
    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
    /// What to show a table of at the end
    #[arg(long)]
    metric: Option<String>,
    /// Which way that is better: lower or higher
    #[arg(long)]
    better: Option<String>,
    #[command(flatten)]
    how: HowArguments,
    #[command(flatten)]
    place: PlaceArguments,
}

/// How trials are run.
#[derive(Args)]
pub struct HowArguments {
    /// Trials at a time
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: usize,
    /// Threads of all trials together; all cores if left out
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
    /// Runs trials again that are done
    #[arg(long)]
    again: bool,
    /// Runs trials again that failed
    #[arg(long)]
    failed: bool,
    /// Gigabytes of memory that one trial may hold
    #[arg(long, value_name = "GB")]
    memory: Option<f64>,
    /// Seconds that one trial may take
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// Seconds that the whole study may take, by its estimate
    #[arg(long, value_name = "S")]
    within: Option<f64>,
    /// Devices that trials take turns on: cuda:0,cuda:1
    #[arg(long, value_name = "DEVICE,DEVICE", value_delimiter = ',')]
    devices: Vec<String>,
}

/// Where studies lie.
#[derive(Args)]
pub struct PlaceArguments {
    /// The folder that studies and their record lie in
    #[arg(long, value_name = "DIR", default_value = study::FOLDER)]
    root: PathBuf,
}

fn values(text: &str) -> std::result::Result<(String, Vec<Value>), String> {
    match text.split_once('=') {
        Some((name, list)) if !name.is_empty() && !list.is_empty() => {
            Ok((name.to_string(), list.split(',').map(value).collect()))
        }
        _ => Err("expected `name=value,value`".into()),
    }
}

/// A value as it looks: a number, `true`, `false`, else text.
fn value(text: &str) -> Value {
    let text = text.trim();
    match text {
        "true" => true.into(),
        "false" => false.into(),
        _ => text
            .parse::<i64>()
            .map(Value::from)
            .ok()
            .or_else(|| text.parse::<f64>().ok().filter(|v| v.is_finite()).map(Value::from))
            .unwrap_or_else(|| text.into()),
    }
}

fn seeds(text: &str) -> std::result::Result<Vec<u64>, String> {
    let wrong = "expected a number of seeds, or seeds such as `1,5,7`".to_string();
    let numbers: Vec<u64> = text
        .split(',')
        .map(|part| part.trim().parse::<u64>())
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| wrong.clone())?;
    match (numbers.as_slice(), text.contains(',')) {
        ([0], false) => Err(wrong),
        ([count], false) => Ok((1..=*count).collect()),
        _ => Ok(numbers),
    }
}

/// Does what was asked; `stop` is raised by Ctrl-C.
///
/// # Errors
/// It cannot be done, or was interrupted.
pub fn main(command: StudyCommand, stop: &Stop) -> Result<()> {
    match command {
        StudyCommand::Run(arguments) => run(&arguments, stop),
        StudyCommand::List { place } => list(&place.root),
        StudyCommand::Show { name, metric, by, better, place } => {
            let study = Study::open(&place.root, &name)?;
            show(&study, metric.as_deref(), &by, better.as_deref())
        }
        StudyCommand::Page { name, metric, better, place } => {
            let study = Study::open(&place.root, &name)?;
            let path = study.write_page(&metric, table::better(better.as_deref())?)?;
            say(&path.display().to_string());
            Ok(())
        }
        StudyCommand::Export { name, format, to, place } => {
            Study::open(&place.root, &name)?.export(Format::named(&format)?, &to)
        }
        StudyCommand::Resume { name, how, place } => {
            let study = Study::open(&place.root, &name)?;
            go(&study, &how, stop)?;
            show(&study, None, &[], None)
        }
    }
}

fn say(text: &str) {
    // Nobody may be reading any more, as after `| head`.
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn run(arguments: &RunArguments, stop: &Stop) -> Result<()> {
    let mut parameters: Vec<(String, Choice)> = Vec::new();
    for (name, values) in &arguments.grid {
        if parameters.iter().any(|(known, _)| known == name) {
            return Err(Error::new(format!("the parameter `{name}` is given twice")));
        }
        parameters.push((name.clone(), Choice::Any(values.iter().cloned().map(Choice::One).collect())));
    }
    if !parameters.iter().any(|(name, _)| name == plan::SEED) {
        let seeds = arguments.seeds.iter().map(|seed| Choice::One((*seed).into())).collect();
        parameters.push((plan::SEED.into(), Choice::Any(seeds)));
    }
    let stem =
        Path::new(&arguments.script).file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let study = Study::plan(&Asked {
        name: arguments.name.clone().unwrap_or(stem),
        kind: "grid".into(),
        script: arguments.script.clone(),
        settings: plan::grid(&parameters)?,
        halving: None,
        device: arguments.device.clone(),
        root: arguments.place.root.clone(),
    })?;
    go(&study, &arguments.how, stop)?;
    show(&study, arguments.metric.as_deref(), &[], arguments.better.as_deref())
}

fn go(study: &Study, how: &HowArguments, stop: &Stop) -> Result<()> {
    let running = Running {
        jobs: how.jobs,
        threads: how.threads,
        again: how.again,
        failed: how.failed,
        memory: how.memory.map(Running::gigabytes),
        seconds: how.seconds,
        within: how.within,
        devices: how.devices.clone(),
        program: PathBuf::new(),
    };
    let mut lines = Lines { done: None };
    let ended = study.run(&running, stop, &mut lines)?;
    lines.note(&format!("{} trials ran, {} were there already, {} failed", ended.ran, ended.known, ended.failed));
    Ok(())
}

fn list(root: &Path) -> Result<()> {
    let studies = Study::all(root)?;
    if studies.is_empty() {
        say(&format!(
            "there are no studies in `{}`; `fewlab study run SCRIPT --grid name=1,2` makes one",
            root.display()
        ));
    }
    for study in studies {
        study.collect()?;
        let trials = study.trials()?;
        let done = trials.iter().filter(|trial| trial.status.word() == "finished").count();
        say(&format!(
            "{}  {} of {}: {done} of {} trials finished",
            study.name(),
            study.kind(),
            study.script(),
            trials.len()
        ));
    }
    Ok(())
}

fn show(study: &Study, metric: Option<&str>, by: &[String], better: Option<&str>) -> Result<()> {
    match metric {
        None => say(&script::study_text(study)),
        Some(metric) => {
            let table = study.table(by, metric, table::better(better)?)?;
            let conclusions = study.conclusions(&table)?;
            say(&script::study_table_text(&table, &conclusions));
        }
    }
    Ok(())
}

/// A line for each trial that ends.
struct Lines {
    done: Option<usize>,
}

impl Watcher for Lines {
    fn state(&mut self, state: &State) {
        let done = state.ended();
        if self.done.is_some_and(|before| before != done) {
            self.note(&state.line());
        }
        self.done = Some(done);
    }

    fn note(&mut self, text: &str) {
        // As above.
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_read_as_they_look() {
        let read = values("labels=0.05,1,true,s3gan").unwrap();
        assert_eq!(read, ("labels".into(), vec![json!(0.05), json!(1), json!(true), json!("s3gan")]));
        assert!(values("labels").is_err() && values("=1").is_err() && values("labels=").is_err());
        assert_eq!(seeds("3"), Ok(vec![1, 2, 3]));
        assert_eq!(seeds("5,7"), Ok(vec![5, 7]));
        assert!(seeds("0").is_err() && seeds("a").is_err());
    }
}
