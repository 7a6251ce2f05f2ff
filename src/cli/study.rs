//! `fewlab study`: studies from the command line.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use console::{Term, truncate_str};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::progress::Stop;
use crate::script;
use crate::study::export::Format;
use crate::study::place::{self, Place};
use crate::study::plan::{self, Choice};
use crate::study::state::{State, Watcher};
use crate::study::{self, Asked, Study, slurm, table, task};
use crate::terminal::Manner;

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
    /// Shows how a study stands until nothing is at work on it, here or with Slurm
    Watch {
        /// Its name
        name: String,
        /// Where it lies
        #[command(flatten)]
        place: PlaceArguments,
    },
    /// Takes back what Slurm holds of a study
    Cancel {
        /// Its name
        name: String,
        /// Where it lies
        #[command(flatten)]
        place: PlaceArguments,
    },
    /// Runs one task of a job array: what Slurm calls
    #[command(hide = true)]
    Task {
        /// The folder of the array
        array: PathBuf,
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
    /// Where: local, each trial in a process of its own, or slurm
    #[arg(long, value_name = "PLACE", default_value = "local")]
    on: String,
    /// Trials at a time; one on this machine if left out, as many as a cluster gives
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    jobs: usize,
    /// Threads of all trials together, on this machine; all cores if left out
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
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
    #[command(flatten)]
    slurm: SlurmArguments,
}

/// What Slurm is asked for.
#[derive(Args)]
#[command(next_help_heading = "With --on slurm")]
pub struct SlurmArguments {
    /// The partition
    #[arg(long)]
    partition: Option<String>,
    /// The account
    #[arg(long)]
    account: Option<String>,
    /// How long a trial may run before it saves and waits for its next turn: 30 (minutes), 2:00:00, 1-00:00:00
    #[arg(long)]
    time: Option<String>,
    /// GPUs of each trial
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    gpus: usize,
    /// Cores of each trial; one if left out
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    cores: usize,
    /// Seconds before the end of --time at which a trial saves; 60 if left out
    #[arg(long, value_name = "S")]
    grace: Option<u64>,
    /// A word for sbatch besides: --sbatch=--qos=low
    #[arg(long, value_name = "WORD")]
    sbatch: Vec<String>,
    /// What the shell of a job does first: 'module load cuda'
    #[arg(long, value_name = "COMMAND", default_value = "", hide_default_value = true)]
    setup: String,
    /// Returns as soon as Slurm has the trials; `fewlab study watch` waits later
    #[arg(long)]
    no_wait: bool,
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

/// Does what was asked; `stop` is raised by Ctrl-C and its like, and `late` with it by the signal of a scheduler whose limit is near.
///
/// # Errors
/// It cannot be done, or was interrupted.
pub fn main(command: StudyCommand, stop: &Stop, late: &Stop) -> Result<()> {
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
        StudyCommand::Watch { name, place } => {
            let study = Study::open(&place.root, &name)?;
            study.watch(stop, &mut Live::new())?;
            show(&study, None, &[], None)
        }
        StudyCommand::Cancel { name, place } => {
            let count = Study::open(&place.root, &name)?.cancel()?;
            say(&format!("{count} trials were with Slurm"));
            Ok(())
        }
        StudyCommand::Task { array } => {
            let index = slurm::own_index().ok_or_else(|| {
                Error::new("this is no task of a job array: `SLURM_ARRAY_TASK_ID` is not set")
                    .help("`fewlab study run SCRIPT --on slurm` makes one")
            })?;
            task::run(&array, index, stop, late)
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
    let slurm = &how.slurm;
    let asked = place::Asked {
        on: how.on.clone(),
        jobs: how.jobs,
        threads: how.threads,
        again: how.again,
        failed: how.failed,
        memory: how.memory,
        seconds: how.seconds,
        within: how.within,
        devices: how.devices.clone(),
        partition: slurm.partition.clone(),
        account: slurm.account.clone(),
        time: slurm.time.clone(),
        gpus: slurm.gpus,
        cores: slurm.cores,
        grace: slurm.grace,
        sbatch: slurm.sbatch.clone(),
        setup: slurm.setup.clone(),
        leave: slurm.no_wait,
    };
    let (place, running) = asked.checked()?;
    if place == Place::Here {
        return Err(Error::new("a command has no process to run trials in").help("`--on` is `local` or `slurm`"));
    }
    let mut live = Live::new();
    let ended = study.run(&running, stop, &mut live);
    live.close();
    let ended = ended?;
    if running.leave {
        return Ok(());
    }
    live.note(&format!("{} trials ran, {} were there already, {} failed", ended.ran, ended.known, ended.failed));
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

/// A study as it runs: a table that is drawn over itself on a terminal, else a line for each trial that ends.
struct Live {
    term: Option<Term>,
    /// Lines of the table that stands there now.
    drawn: usize,
    done: Option<usize>,
}

impl Live {
    fn new() -> Self {
        let term = (Manner::choose(false) == Manner::Bars).then(Term::stderr);
        Self { term, drawn: 0, done: None }
    }

    /// Takes the table away; what has ended is shown in another way.
    fn close(&mut self) {
        if let Some(term) = &self.term {
            // A terminal that went away is no reason to stop the study; as below.
            let _ = term.clear_last_lines(self.drawn);
        }
        self.drawn = 0;
    }
}

impl Watcher for Live {
    fn state(&mut self, state: &State) {
        let done = state.ended();
        let before = self.done.replace(done);
        let Some(term) = self.term.clone() else {
            if before.is_some_and(|before| before != done) {
                self.note(&state.line());
            }
            return;
        };
        let (rows, columns) = term.size();
        let text = script::study_state_text(state);
        let lines: Vec<_> = text
            .lines()
            .take(usize::from(rows).saturating_sub(1).max(1))
            .map(|line| truncate_str(line, usize::from(columns), "…"))
            .collect();
        self.close();
        let _ = term.write_str(&(lines.join("\n") + "\n"));
        self.drawn = lines.len();
    }

    fn note(&mut self, text: &str) {
        self.close();
        // Nobody may be reading any more.
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
