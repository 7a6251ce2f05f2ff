//! A trial of a study in this process: a session of its own, a run of its own, nothing shared with who started it but the
//! request to stop.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::error::{Error, Result, file};
use crate::options::Value;
use crate::progress::{Observer, Picture, Several};
use crate::run::{About, Run, Status as RunStatus};
use crate::script::{Diagnostic, Display, Front, Given, Host, Session};
use crate::study::outcome::{self, OUTPUT, Outcome};
use crate::study::record::{Status, Trial};
use crate::study::{Study, child, plan};
use crate::{report, run, tensor};

/// The outside of a trial: what it prints goes into its folder, what it measures into its run.
struct TrialFront {
    run: Arc<Run>,
    observer: Arc<dyn Observer>,
    output: std::fs::File,
    pictures: std::sync::atomic::AtomicU64,
}

impl Front for TrialFront {
    fn print(&self, text: &str) {
        // A full disk is told by the run itself.
        let _ = writeln!(&self.output, "{text}");
    }

    fn show(&self, display: &Display) {
        self.print(&display.text);
        for (name, picture) in &display.pictures {
            // As above.
            let _ = self.picture(name, picture);
        }
    }

    fn observer(&self) -> Arc<dyn Observer> {
        Arc::clone(&self.observer)
    }

    fn record(&self, name: &str, value: &serde_json::Value) -> Result<()> {
        self.run.record(name, value)
    }

    fn asked(&self, name: &str, value: &Value) -> Result<()> {
        self.run.param(name, value.to_json())
    }

    fn picture(&self, name: &str, picture: &Picture) -> Result<Option<String>> {
        let number = self.pictures.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        self.run.picture("script", number, name, picture);
        Ok(None)
    }
}

/// Runs a trial of `study` in `folder`, or goes on with it, for the session of `host`.
///
/// # Errors
/// Its folder cannot be written. A script that fails is an outcome, not an error.
pub fn run_here(host: &Host, study: &Study, trial: &Trial, folder: &Path) -> Result<Outcome> {
    let path = folder.join(OUTPUT);
    let output = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .map_err(|error| file(&path, "write", error))?;
    // Held until the trial has ended, as a process of its own would.
    if matches!(output.try_lock(), Err(std::fs::TryLockError::WouldBlock)) {
        return Err(Error::new(format!("trial {} is at work in another process", trial.number))
            .help("run the study when that is done; what it finds is then known"));
    }
    let script = study.directory().join(study.script());
    let text = std::fs::read_to_string(&script).map_err(|error| file(&script, "read", error))?;
    let given = Given {
        params: trial.params.iter().map(|(name, value)| (name.clone(), plan::text(value))).collect(),
        files: std::collections::BTreeMap::new(),
        seed: Some(trial.seed),
        device: host.given().device.clone(),
    };
    let run = match outcome::resumable(folder) {
        Some(dir) => Run::resume(&dir)?,
        None => Run::create(folder, about(study, trial, &text, &given, host)?),
    };
    let run = Arc::new(run);
    let began = (run::now(), Instant::now());
    let mut observers = vec![run.clone() as Arc<dyn Observer>];
    // Where the study has a table that is replaced, that says where the trial is.
    if !host.front().replaces() {
        observers.push(host.front().observer());
    }
    let observer = Arc::new(Several(observers));
    let front = TrialFront { run: run.clone(), observer, output, pictures: std::sync::atomic::AtomicU64::new(0) };
    let inner = Host::new(Box::new(front), host.stop().clone(), given);
    let beside = script.parent().unwrap_or(Path::new("")).to_path_buf();
    let ended = Session::new(inner, &beside).run(study.script(), &text).map(drop);
    conclude(&run, ended, &path, began)
}

fn about(study: &Study, trial: &Trial, text: &str, given: &Given, host: &Host) -> Result<About> {
    let stem =
        Path::new(study.script()).file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let values = trial.params.values().map(plan::text);
    Ok(About {
        name: std::iter::once(stem).chain(values).collect::<Vec<_>>().join("-"),
        path: study.script().to_string(),
        script: text.to_string(),
        params: given
            .params
            .iter()
            .map(|(name, value)| (name.clone(), value.clone().into()))
            .collect::<BTreeMap<_, _>>()
            .into_iter()
            .collect(),
        seed: trial.seed,
        device: tensor::device_name(&host.device()?),
        threads: rayon::current_num_threads(),
        command: trial.command.split(' ').map(str::to_string).collect(),
    })
}

fn conclude(
    run: &Run,
    ended: std::result::Result<(), Diagnostic>,
    output: &Path,
    (started, clock): (String, Instant),
) -> Result<Outcome> {
    let (status, told, message) = match &ended {
        Ok(()) => (Status::Finished, RunStatus::Finished, None),
        Err(diagnostic) if diagnostic.is_interrupt() => (Status::Interrupted, RunStatus::Interrupted, None),
        Err(diagnostic) => (Status::Failed, RunStatus::Failed, Some(diagnostic.error.message.clone())),
    };
    run.finish(told, message.as_deref())?;
    if let Some(dir) = run.dir() {
        report::write(&dir)?;
    }
    let place = ended.as_ref().err().and_then(|diagnostic| diagnostic.place.as_ref());
    if let Err(diagnostic) = &ended {
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(output)
            .map_err(|error| Error::new(format!("cannot write `{}`: {error}", output.display())))?;
        writeln!(file, "{diagnostic}")
            .map_err(|error| Error::new(format!("cannot write `{}`: {error}", output.display())))?;
    }
    Ok(Outcome {
        status: status.word().into(),
        error: message,
        place: place.map(|place| format!("{}:{}:{}", place.source, place.line, place.column)),
        host: child::host(),
        started: Some(started),
        ended: Some(run::now()),
        seconds: Some(clock.elapsed().as_secs_f64()),
        peak_memory: None,
    })
}
