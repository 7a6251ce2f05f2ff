//! The command line: what the `fewlab` command can be asked for, and how it answers.

mod study;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{self, Config};
use crate::data::{self, LoadOptions};
use crate::error::{Error, Result, file};
use crate::jupyter::install::{self, Place};
use crate::metric::{self, Cache, Inception};
use crate::options::{Settings as _, Value};
use crate::progress::{Job, Observer, Picture, Several, Stop};
use crate::run::diff::{Difference, differences};
use crate::run::{About, History, Run, Status, Tensorboard};
use crate::rust_cell::kit::Kit;
use crate::script::display;
use crate::script::session::on_script_thread;
use crate::script::{Diagnostic, Display, Front, Given, Host, Mute, Session};
use crate::terminal::{Manner, Terminal};
use crate::{jupyter, repl, report, tensor};

/// Trains GANs with few labels, from scripts.
#[derive(Parser)]
#[command(name = "fewlab", version, about, disable_help_subcommand = true, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a script
    Run(RunArguments),
    /// Evaluates what is typed, a cell at a time
    Repl(SessionArguments),
    /// Makes the kernel `Fewlab (Rhai)` known to Jupyter
    Install(InstallArguments),
    /// Serves a notebook; Jupyter calls this
    Kernel {
        /// The file that Jupyter wrote
        connection_file: PathBuf,
        #[command(flatten)]
        session: SessionArguments,
    },
    /// Shows what scripts can call
    Manual {
        /// A function (`gan::train`) or a namespace (`gan`); everything if left out
        name: Option<String>,
        /// How to write it
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Says what is there, what is missing, and what mends it
    Doctor,
    /// Says which data sets can be loaded, and what is in one
    Data {
        #[command(subcommand)]
        what: DataCommand,
    },
    /// Compares runs
    Runs {
        #[command(subcommand)]
        what: RunsCommand,
    },
    /// Tries a script with many settings and seeds, and compares them
    Study {
        #[command(subcommand)]
        what: Box<study::StudyCommand>,
    },
    /// Makes what Rust cells need
    Rust {
        #[command(subcommand)]
        what: RustCommand,
    },
    /// Writes the report of a run again
    Report {
        /// The folder of the run
        run_dir: PathBuf,
    },
}

#[derive(Args)]
struct RunArguments {
    /// The script
    #[arg(required_unless_present = "resume")]
    script: Option<PathBuf>,
    /// Sets a parameter that the script asks for, or an option of its calls: `gan.d_lr=1e-4`
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
    /// Sets what this file says, such as the config.toml of another run; --set goes before it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder that the run's folder is made in
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// Shows no progress
    #[arg(long)]
    quiet: bool,
    /// Writes what is measured and drawn as event files too: `tensorboard --logdir runs` shows them
    #[arg(long)]
    tensorboard: bool,
    /// Goes on with a run that was stopped
    #[arg(long, value_name = "RUN_DIR", conflicts_with_all = ["script", "set", "config", "out", "seed", "device"])]
    resume: Option<PathBuf>,
    #[command(flatten)]
    session: SessionArguments,
}

#[derive(Args)]
struct InstallArguments {
    /// For this person (the default)
    #[arg(long, group = "place")]
    user: bool,
    /// Into the Python environment that is active
    #[arg(long, group = "place")]
    sys_prefix: bool,
    /// Under this folder
    #[arg(long, value_name = "DIR", group = "place")]
    prefix: Option<PathBuf>,
    /// What Jupyter calls the kernel
    #[arg(long, default_value = "fewlab")]
    name: String,
    /// What people see
    #[arg(long, value_name = "NAME", conflicts_with = "uninstall")]
    display_name: Option<String>,
    /// Removes it again
    #[arg(long)]
    uninstall: bool,
}

/// What a session can be told.
#[derive(Args, Clone)]
pub struct SessionArguments {
    /// Where to compute: auto, cpu, cuda or cuda:N; a GPU with +tf32 multiplies faster, with three digits
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// The seed of the script's own random draws, and of a parameter called `seed`
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// How many threads compute; all cores if left out
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
}

#[derive(Subcommand)]
enum RunsCommand {
    /// Says what two runs differ in: options, data, versions, scores
    Diff {
        /// The folder of the one
        a: PathBuf,
        /// The folder of the other
        b: PathBuf,
    },
}

#[derive(Subcommand)]
enum DataCommand {
    /// Lists the data sets and where they are
    List,
    /// Says what is in a data set
    Info {
        /// Its name, or the path of a folder of class folders
        name: String,
        /// Sets an option of `data::load`, such as `path=photos`
        #[arg(long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
        set: Vec<(String, String)>,
    },
    /// Decodes a data set ahead of time, so that scripts find its pixels ready
    Import {
        /// Its name, or the path of a folder of class folders
        name: String,
        /// Sets an option of `data::load`, such as `path=photos` or `size=64`
        #[arg(long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
        set: Vec<(String, String)>,
    },
    /// Removes what can be computed again: features of images, and decoded images
    Prune,
}

#[derive(Subcommand)]
enum RustCommand {
    /// Compiles the program of Rust cells and Candle for them, once: the first cell then takes seconds
    Prepare,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Markdown,
    Json,
}

fn assignment(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_string(), value.to_string())),
        _ => Err("expected `name=value`".into()),
    }
}

/// What went wrong with a command, and whether the person knows already.
struct Failure {
    diagnostic: Box<Diagnostic>,
    /// What to say after it.
    then: Option<String>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { diagnostic: Box::new(error.into()), then: None }
    }
}

/// Answers the command line of this process.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    crate::script::diagnostic::quiet_panics();
    let answer = match arguments.command {
        Command::Run(arguments) => run_script(arguments),
        Command::Repl(arguments) => threads(&arguments).and_then(|()| repl::main(&arguments)).map_err(Failure::from),
        Command::Install(arguments) => install_kernel(&arguments).map_err(Failure::from),
        Command::Kernel { connection_file, session } => serve(&connection_file, &session).map_err(Failure::from),
        Command::Rust { what: RustCommand::Prepare } => prepare_rust().map_err(Failure::from),
        Command::Manual { name, format } => manual(name.as_deref(), format).map_err(Failure::from),
        Command::Doctor => doctor().map_err(Failure::from),
        Command::Data { what } => about_data(what).map_err(Failure::from),
        Command::Runs { what: RunsCommand::Diff { a, b } } => compare(&a, &b).map_err(Failure::from),
        Command::Study { what } => study(*what).map_err(Failure::from),
        Command::Report { run_dir } => rewrite_report(&run_dir).map_err(Failure::from),
    };
    match answer {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let mut text = failure.diagnostic.to_string();
            if let Some(then) = failure.then {
                text.push('\n');
                text.push_str(&then);
            }
            complain(&text);
            if failure.diagnostic.is_interrupt() { ExitCode::from(130) } else { ExitCode::FAILURE }
        }
    }
}

/// A line on standard output; whether someone still reads it.
fn say(text: &str) -> bool {
    writeln!(std::io::stdout(), "{text}").is_ok()
}

fn complain(text: &str) {
    // Nobody may be reading; there is no one else to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// As many threads as asked for.
fn threads(arguments: &SessionArguments) -> Result<()> {
    let Some(count) = arguments.threads else { return Ok(()) };
    rayon::ThreadPoolBuilder::new()
        .num_threads(usize::from(count))
        .build_global()
        .map_err(|error| Error::new(format!("cannot start {count} threads: {error}")))
}

/// Turns Ctrl-C, and the end of a terminal or of a scheduler's patience, into a request to stop after the current step. A person's
/// second Ctrl-C ends the process. What is given is raised too when it was `SIGUSR1`, which schedulers send ahead of their limit.
/// To be called before there are threads.
pub fn stop_on_interrupt(stop: &Stop) -> Result<Stop> {
    let (asked, late) = (stop.clone(), Stop::default());
    // First, so that the thread that waits for Ctrl-C holds the signal back too.
    stop_ahead(stop, &late)?;
    // A scheduler's signal may reach a trial twice, by itself and by who started it; only a person means something by that.
    let person = std::io::stdin().is_terminal() || std::io::stderr().is_terminal();
    ctrlc::set_handler(move || {
        if asked.raised() && person {
            std::process::exit(130);
        }
        asked.raise();
    })
    .map_err(|error| Error::new(format!("cannot listen for Ctrl-C: {error}")))?;
    Ok(late)
}

#[cfg(unix)]
fn stop_ahead(stop: &Stop, late: &Stop) -> Result<()> {
    use nix::sys::signal::{SigSet, Signal};
    let mut ahead = SigSet::empty();
    ahead.add(Signal::SIGUSR1);
    // Held back from all threads, of which one waits for it.
    ahead.thread_block().map_err(|error| Error::new(format!("cannot listen for signals: {error}")))?;
    let (stop, late) = (stop.clone(), late.clone());
    let wait = move || {
        while ahead.wait().is_ok() {
            late.raise();
            stop.raise();
        }
    };
    let started = std::thread::Builder::new().name("signals".into()).spawn(wait);
    started.map(drop).map_err(|error| Error::new(format!("cannot listen for signals: {error}")))
}

#[cfg(not(unix))]
fn stop_ahead(_: &Stop, _: &Stop) -> Result<()> {
    Ok(())
}

/// A run as the script's outside: prints to the terminal, keeps what is worth keeping.
struct RunFront {
    run: Arc<Run>,
    terminal: Arc<Terminal>,
    observer: Arc<dyn Observer>,
    stop: Stop,
    pictures: AtomicU64,
}

impl RunFront {
    fn new(run: Arc<Run>, terminal: Arc<Terminal>, events: Option<Arc<Tensorboard>>, stop: Stop) -> Self {
        // The run comes first: it makes the folder that the others write into.
        let mut observers = vec![run.clone() as Arc<dyn Observer>, terminal.clone()];
        observers.extend(events.map(|events| events as Arc<dyn Observer>));
        let observer = Arc::new(Several(observers));
        Self { run, terminal, observer, stop, pictures: AtomicU64::new(0) }
    }
}

impl Front for RunFront {
    fn print(&self, text: &str) {
        if !self.terminal.aside(|| say(text)) {
            // Nobody reads any more, as after `| head`.
            self.stop.raise();
        }
    }

    fn show(&self, display: &Display) {
        self.print(&display.text);
        for (name, picture) in &display.pictures {
            if let Ok(Some(path)) = self.picture(name, picture) {
                self.print(&path);
            }
        }
    }

    fn complain(&self, text: &str) {
        self.terminal.aside(|| complain(text));
    }

    fn input(&self, prompt: &str, secret: bool) -> Result<String> {
        self.terminal.ask(prompt, secret)
    }

    fn observer(&self) -> Arc<dyn Observer> {
        self.observer.clone()
    }

    fn record(&self, name: &str, value: &serde_json::Value) -> Result<()> {
        self.run.record(name, value)
    }

    fn configured(&self, config: &Config) -> Result<()> {
        self.run.configured(config)
    }

    fn asked(&self, name: &str, value: &Value) -> Result<()> {
        self.run.param(name, value.to_json())
    }

    fn picture(&self, name: &str, picture: &Picture) -> Result<Option<String>> {
        let number = self.pictures.fetch_add(1, Ordering::Relaxed) + 1;
        self.run.picture("script", number, name, picture);
        let path = |dir: PathBuf| dir.join(format!("samples/script-{name}-{number:06}.png")).display().to_string();
        Ok(self.run.dir().map(path))
    }
}

/// What a run needs before it starts.
struct Prepared {
    path: String,
    text: String,
    given: Given,
    run: Run,
}

fn run_script(arguments: RunArguments) -> std::result::Result<(), Failure> {
    let stop = Stop::default();
    stop_on_interrupt(&stop)?;
    let prepared = match &arguments.resume {
        Some(dir) => resumed(dir)?,
        None => prepared(&arguments)?,
    };
    threads(&arguments.session)?;
    let terminal = Arc::new(Terminal::new(Manner::choose(arguments.quiet)));
    let run = Arc::new(prepared.run);
    let events = arguments.tensorboard.then(|| Arc::new(Tensorboard::new(run.clone())));
    let front = RunFront::new(run.clone(), terminal.clone(), events.clone(), stop.clone());
    let host = Host::new(Box::new(front), stop, prepared.given);
    let shared = host.clone();
    // A device that is not there is said before anything is done.
    host.device()?;
    let folder = Path::new(&prepared.path).parent().unwrap_or(Path::new("")).to_path_buf();
    let outcome = on_script_thread(|| Session::new(host, &folder).run(&prepared.path, &prepared.text).map(drop))?;
    terminal.close();
    if outcome.is_ok() {
        for name in shared.untaken() {
            complain(&format!("`{name}` was set, and the script called nothing that has it"));
        }
    }
    if let Some(Err(error)) = events.map(|events| events.finish()) {
        complain(&format!("TensorBoard's event file is not whole: {error}"));
    }
    conclude(&run, outcome, arguments.quiet)
}

/// Ends the run: its folder says how, and the person where it is.
fn conclude(run: &Run, outcome: std::result::Result<(), Diagnostic>, quiet: bool) -> std::result::Result<(), Failure> {
    let (status, message) = match &outcome {
        Ok(()) => (Status::Finished, None),
        Err(diagnostic) if diagnostic.is_interrupt() => (Status::Interrupted, None),
        Err(diagnostic) => (Status::Failed, Some(diagnostic.error.message.clone())),
    };
    let finished = run.finish(status, message.as_deref());
    let dir = run.dir();
    let written = match &dir {
        Some(dir) => report::write(dir).map(Some),
        None => Ok(None),
    };
    match outcome {
        Err(diagnostic) => {
            let then = dir.map(|dir| match diagnostic.is_interrupt() {
                true => format!("what was reached is saved; go on with\n  fewlab run --resume {}", dir.display()),
                false => format!("what was measured before is in {}", dir.display()),
            });
            Err(Failure { diagnostic: Box::new(diagnostic), then })
        }
        Ok(()) => {
            finished?;
            if let (Some(path), false) = (written?, quiet) {
                complain(&format!("results: {}", path.display()));
            }
            Ok(())
        }
    }
}

fn prepared(arguments: &RunArguments) -> Result<Prepared> {
    let path = arguments.script.clone().unwrap_or_default();
    let text = std::fs::read_to_string(&path).map_err(|error| file(&path, "read", error))?;
    let path = path.display().to_string();
    let session = &arguments.session;
    let mut params = BTreeMap::new();
    for (name, value) in &arguments.set {
        if params.insert(name.clone(), value.clone()).is_some() {
            return Err(Error::new(format!("the parameter `{name}` is set twice")));
        }
    }
    let mut files = BTreeMap::new();
    if let Some(config) = &arguments.config {
        for (name, value) in config::flat(&config::read(config)?) {
            if let Entry::Vacant(place) = params.entry(name.clone()) {
                place.insert(config::as_argument(&value));
                files.insert(name, config.display().to_string());
            }
        }
    }
    let mut command = vec!["fewlab".to_string(), "run".into(), path.clone()];
    if let Some(config) = &arguments.config {
        command.extend(["--config".into(), config.display().to_string()]);
    }
    command.extend(arguments.set.iter().flat_map(|(name, value)| ["--set".into(), format!("{name}={value}")]));
    if session.device != "auto" {
        command.extend(["--device".into(), session.device.clone()]);
    }
    if let Some(seed) = session.seed {
        command.extend(["--seed".into(), seed.to_string()]);
    }
    if let Some(count) = session.threads {
        command.extend(["--threads".into(), count.to_string()]);
    }
    let stem = Path::new(&path).file_stem().map_or_else(|| "script".into(), |stem| stem.to_string_lossy().into_owned());
    let name =
        std::iter::once(stem).chain(arguments.set.iter().map(|(_, value)| value.clone())).collect::<Vec<_>>().join("-");
    let given = Given { params: params.clone(), files, seed: session.seed, device: session.device.clone() };
    let about = About {
        name,
        path: path.clone(),
        script: text.clone(),
        params: params.into_iter().map(|(name, value)| (name, value.into())).collect(),
        seed: given.seed(),
        device: tensor::device_name(&tensor::device(&session.device)?),
        threads: session.threads.map_or_else(rayon::current_num_threads, usize::from),
        command,
    };
    Ok(Prepared { path, text, given, run: Run::create(&arguments.out, about) })
}

fn resumed(dir: &Path) -> Result<Prepared> {
    let run = Run::resume(dir)?;
    let facts = run.facts().ok_or_else(|| Error::bug("a run was resumed without its facts"))?;
    let text_of = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
    // What was `()` was not given.
    let params =
        facts.params.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), text_of(value)));
    let device = facts.device.split_whitespace().next().unwrap_or("auto").to_string();
    let given = Given { params: params.collect(), files: BTreeMap::new(), seed: Some(facts.seed), device };
    Ok(Prepared { path: facts.path.clone(), text: run.script().to_string(), given, run })
}

fn install_kernel(arguments: &InstallArguments) -> Result<()> {
    let place = match &arguments.prefix {
        Some(prefix) => Place::Prefix(prefix.clone()),
        None if arguments.sys_prefix => Place::Environment,
        None => Place::User,
    };
    if arguments.uninstall {
        let dir = install::uninstall(&place, &arguments.name)?;
        say(&format!("removed {}", dir.display()));
        return Ok(());
    }
    let dir = install::install(&place, &arguments.name, arguments.display_name.as_deref())?;
    say(&format!("installed {}", dir.display()));
    say("JupyterLab and VS Code now offer the kernel; `jupyter console --kernel fewlab` starts it in a terminal");
    Ok(())
}

fn serve(connection_file: &Path, session: &SessionArguments) -> Result<()> {
    threads(session)?;
    jupyter::main(connection_file, Given { seed: session.seed, device: session.device.clone(), ..Given::default() })
}

fn manual(name: Option<&str>, format: Format) -> Result<()> {
    let host = Host::new(Box::new(Mute), Stop::default(), Given::default());
    let session = Session::new(host, Path::new(""));
    let manual = session.host().manual(session.engine());
    let text = match (name, format) {
        (None, Format::Text) => manual.overview(),
        (None, Format::Markdown) => manual.markdown(),
        (None, Format::Json) => format!("{:#}", manual.json()),
        (Some(name), Format::Text) => manual.help(name)?,
        (Some(name), Format::Markdown) => manual.page(name)?.markdown(),
        (Some(name), Format::Json) => format!("{:#}", manual.page(name)?.json()),
    };
    say(text.trim_end());
    Ok(())
}

fn compare(a: &Path, b: &Path) -> Result<()> {
    let [a, b] = [History::read(a)?, History::read(b)?];
    let found = differences(&a, &b);
    let absent = || "-".to_string();
    let rows: Vec<Vec<String>> = found
        .into_iter()
        .map(|Difference { place, name, values: [ours, theirs] }| {
            vec![place, name, ours.unwrap_or_else(absent), theirs.unwrap_or_else(absent)]
        })
        .collect();
    say(&display::table(&["", "", &a.facts.id, &b.facts.id], &rows));
    Ok(())
}

fn study(what: study::StudyCommand) -> Result<()> {
    let stop = Stop::default();
    let late = stop_on_interrupt(&stop)?;
    study::main(what, &stop, &late)
}

fn rewrite_report(run_dir: &Path) -> Result<()> {
    let path = report::write(run_dir)?;
    say(&path.display().to_string());
    Ok(())
}

fn about_data(what: DataCommand) -> Result<()> {
    match what {
        DataCommand::List => say(data::list().trim_end()),
        DataCommand::Info { name, set } => {
            say(watched(|job| data::info(&name, &load_options(&set)?, job))?.to_string().trim_end())
        }
        DataCommand::Import { name, set } => {
            let splits = watched(|job| data::load_watched(&name, &load_options(&set)?, job))?;
            say(&data::kept(&splits))
        }
        DataCommand::Prune => {
            let (features, images) = (Cache::of_user().prune(0), data::prune_pixels());
            let told =
                |(files, bytes): (usize, u64), of: &str| format!("{files} files of {of}, {}", spoken_bytes(bytes));
            say(&format!("removed {}; {}", told(features, "features"), told(images, "decoded images")))
        }
    };
    Ok(())
}

/// Does something long that shows its progress on the terminal and that Ctrl-C stops.
fn watched<T>(work: impl FnOnce(&Job) -> Result<T>) -> Result<T> {
    let stop = Stop::default();
    stop_on_interrupt(&stop)?;
    let terminal = Arc::new(Terminal::new(Manner::choose(false)));
    let done = work(&Job { observer: terminal.clone(), stop, keep: false });
    terminal.close();
    done
}

/// The options of `data::load` as they are written on a command line.
fn load_options(set: &[(String, String)]) -> Result<LoadOptions> {
    let mut options = LoadOptions::default();
    for (name, text) in set {
        let value = match (text.parse(), text.parse(), text.parse()) {
            (Ok(whole), ..) => Value::Int(whole),
            (_, Ok(number), _) => Value::Float(number),
            (.., Ok(yes)) => Value::Bool(yes),
            _ => Value::Text(text.clone()),
        };
        options.set(name, value)?;
    }
    Ok(options)
}

/// Where what can be computed again lies, how much it is, and how it is made less.
fn cache() -> String {
    let Some(folder) = data::cache_folder() else { return "none: `FEWLAB_CACHE` is empty".into() };
    let ((files, bytes), (sets, pixels)) = (Cache::of_user().size(), data::pixels());
    format!(
        "{}: {files} files of features, {} of at most {}; {sets} of decoded images, {}; `fewlab data prune` empties it",
        folder.display(),
        spoken_bytes(bytes),
        spoken_bytes(metric::CACHE_MOST),
        spoken_bytes(pixels)
    )
}

fn spoken_bytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        1_000_000..1_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// Whether Rust cells can run at once.
fn rust_cells() -> String {
    match Kit::find() {
        Ok(kit) if kit.is_ready() => kit.home().display().to_string(),
        Ok(_) => "not yet: `fewlab rust prepare` makes what cells need, or else the first of them does".into(),
        Err(error) => {
            format!("none: {}{}", error.message, error.help.map_or(String::new(), |help| format!("; {help}")))
        }
    }
}

fn prepare_rust() -> Result<()> {
    let kit = Kit::find()?;
    if !kit.is_ready() {
        let stop = Stop::default();
        stop_on_interrupt(&stop)?;
        let terminal = Arc::new(Terminal::new(Manner::choose(false)));
        let prepared = kit.prepare(&Job { observer: terminal.clone(), stop, keep: false });
        terminal.close();
        prepared?;
    }
    say(&format!("Rust cells are ready: {}", kit.home().display()));
    Ok(())
}

fn doctor() -> Result<()> {
    let gpu = match tensor::device("cuda") {
        Ok(device) => {
            let about = tensor::about_gpu(&device)?.map_or_else(String::new, |about| format!(" {about}"));
            format!("{}{about}; no release was tried on a GPU yet", tensor::device_name(&device))
        }
        Err(error) => {
            format!("none: {}{}", error.message, error.help.map_or(String::new(), |help| format!("; {help}")))
        }
    };
    let kernels: Vec<String> = install::installed()
        .into_iter()
        .map(|(dir, program)| match program.exists() {
            true => dir.display().to_string(),
            false => format!("{}: its program {} is gone; `fewlab install` mends it", dir.display(), program.display()),
        })
        .collect();
    let kernels =
        if kernels.is_empty() { "none: `fewlab install` makes it known to Jupyter".into() } else { kernels.join(", ") };
    let weights = match Inception::find(&Cache::of_user()) {
        Ok(path) => path.display().to_string(),
        Err(error) => {
            format!("none: {}{}", error.message, error.help.map_or(String::new(), |help| format!("; {help}")))
        }
    };
    let lines = [
        format!("fewlab    {}", env!("CARGO_PKG_VERSION")),
        format!("system    {} {}", std::env::consts::OS, std::env::consts::ARCH),
        format!("threads   {}", rayon::current_num_threads()),
        format!("vectors   {:?}", tensor::cpu::dispatch::Isa::best()),
        "device    cpu".to_string(),
        format!("gpu       {gpu}"),
        format!("kernel    {kernels}"),
        format!("weights   {weights}"),
        format!("rust      {}", rust_cells()),
        format!("cache     {}", cache()),
        String::new(),
        "data sets".to_string(),
        data::list().trim_end().to_string(),
    ];
    say(&lines.join("\n"));
    Ok(())
}
