//! One trial in a process of its own: `fewlab run SCRIPT --set ... --seed ... --out FOLDER` of this very program.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime};

use super::outcome::{self, OUTPUT, Outcome};
use super::record::Status;
use crate::error::{Error, Result, file};
use crate::progress::Stop;
use crate::run;

/// What a trial is started with.
#[derive(Debug, Clone)]
pub struct Job {
    /// The `fewlab` program.
    pub program: PathBuf,
    /// Its words after the program's name, without the folder: `run pipeline.rhai --set labels=0.1 --seed 1`.
    pub words: Vec<String>,
    /// Where it works.
    pub directory: PathBuf,
    /// The trial's folder.
    pub folder: PathBuf,
    /// Bytes of memory that it may hold.
    pub memory: Option<u64>,
    /// Seconds that it may take.
    pub seconds: Option<f64>,
}

/// Whether a trial goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Go,
    /// It saves what it has reached, and stops.
    Halt,
}

/// Between two looks at a trial.
const LOOK: Duration = Duration::from_millis(25);
/// What a trial that was asked to stop has for saving its state.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a trial to its end, or goes on with it. `watch` is told the most memory so far. Nothing is done when somebody is at
/// work on the trial already.
///
/// # Errors
/// The process cannot be started, or its folder not written.
pub fn run(job: &Job, stop: &Stop, watch: &mut dyn FnMut(Option<u64>) -> Verdict) -> Result<Option<Outcome>> {
    let folder = &job.folder;
    std::fs::create_dir_all(folder).map_err(|error| file(folder, "make the folder", error))?;
    let path = folder.join(OUTPUT);
    let told = |error| file(&path, "write", error);
    let output = OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(told)?;
    // The script inherits this lock with its output, and so holds it also when this process is gone.
    match output.try_lock() {
        Ok(()) | Err(std::fs::TryLockError::Error(_)) => {}
        Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
    }
    // Somebody may have finished it since it was listed.
    if outcome::run_of(folder)
        .and_then(|dir| run::read_facts(&dir).ok())
        .is_some_and(|facts| facts.status == run::Status::Finished)
        && let Some(known) = Outcome::read(folder)
    {
        return Ok(Some(known));
    }
    Outcome::clear(folder);
    let said_before = output.metadata().map_err(told)?.len();
    let mut command = Command::new(&job.program);
    match outcome::resumable(folder) {
        Some(dir) => {
            let threads = job.words.iter().position(|word| word == "--threads").map(|at| &job.words[at..at + 2]);
            command.args(["run", "--quiet", "--resume"]).arg(absolute(&dir)).args(threads.unwrap_or_default());
        }
        None => {
            command.args(&job.words).arg("--quiet").arg("--out").arg(absolute(folder));
        }
    }
    let share = || output.try_clone().map_err(told);
    command.current_dir(&job.directory).stdin(Stdio::null()).stdout(share()?).stderr(share()?);
    apart(&mut command);
    let (began, clock) = (SystemTime::now(), Instant::now());
    let mut child =
        command.spawn().map_err(|error| Error::new(format!("cannot start `{}`: {error}", job.program.display())))?;
    let mut peak = None;
    let mut asked: Option<Instant> = None;
    let mut limit = None;
    let mut halted = false;
    let ended = loop {
        if let Some(ended) =
            child.try_wait().map_err(|error| Error::new(format!("cannot wait for a trial: {error}")))?
        {
            break ended;
        }
        let memory = memory_of(child.id());
        peak = peak.max(memory.map(|(most, _)| most));
        if limit.is_none() {
            limit = over(job, memory.map(|(_, now)| now), clock.elapsed());
            if limit.is_some() {
                // It is over its limit now; saving would take more.
                kill(&mut child);
            }
        }
        let halt = watch(peak) == Verdict::Halt;
        match asked {
            None if limit.is_none() && (halt || stop.raised()) => {
                halted = !stop.raised();
                interrupt(&mut child);
                asked = Some(Instant::now());
            }
            Some(since) if since.elapsed() > PATIENCE => kill(&mut child),
            _ => {}
        }
        std::thread::sleep(LOOK);
    };
    let facts = outcome::run_of(folder).and_then(|dir| run::read_facts(&dir).ok());
    let before = facts.as_ref().map_or(0.0, |facts| facts.seconds);
    let mut outcome = Outcome {
        host: host(),
        started: Some(facts.as_ref().map_or_else(|| run::spoken(began), |facts| facts.started.clone())),
        ended: Some(run::spoken(SystemTime::now())),
        seconds: Some(before.max(clock.elapsed().as_secs_f64())),
        peak_memory: peak,
        ..Outcome::default()
    };
    let status = judge(ended, limit.as_deref(), asked.is_some());
    outcome.status = status.word().into();
    if status == Status::Failed {
        let (message, place) = last_error(&output, said_before);
        let killed = signal(ended).map(|number| ended_by(number, peak));
        outcome.error = limit.or(message).or(killed).or_else(|| Some(format!("ended with {ended} and no message")));
        outcome.place = place;
    }
    // One that the study halted goes on or not as the study decides: it has not ended.
    if !halted || status != Status::Interrupted {
        outcome.write(folder)?;
    }
    Ok(Some(outcome))
}

fn judge(ended: ExitStatus, limit: Option<&str>, asked: bool) -> Status {
    match ended.code() {
        Some(0) => Status::Finished,
        Some(130) => Status::Interrupted,
        _ if limit.is_none() && asked => Status::Interrupted,
        _ => Status::Failed,
    }
}

fn over(job: &Job, memory: Option<u64>, taken: Duration) -> Option<String> {
    if let (Some(limit), Some(held)) = (job.memory, memory)
        && held > limit
    {
        return Some(format!("out of memory: it held {}, its limit is {}", bytes(held), bytes(limit)));
    }
    match job.seconds {
        Some(limit) if taken.as_secs_f64() > limit => Some(format!("out of time: its limit is {limit} s")),
        _ => None,
    }
}

fn ended_by(signal: i32, peak: Option<u64>) -> String {
    let held = peak.map_or_else(String::new, |peak| format!("; it had held {}", bytes(peak)));
    match signal {
        9 => format!("killed by signal 9, by a person or by the system when memory ran out{held}"),
        6 => format!("ended by signal 6, as when memory cannot be had{held}"),
        other => format!("ended by signal {other}{held}"),
    }
}

/// Bytes as a person writes them.
pub fn bytes(count: u64) -> String {
    match count {
        0..1_000_000 => format!("{} kB", count / 1000),
        1_000_000..1_000_000_000 => format!("{} MB", count / 1_000_000),
        _ => format!("{:.1} GB", count as f64 / 1e9),
    }
}

/// The message of the last error that was printed, with its help, and the place it names.
fn last_error(mut output: &File, from: u64) -> (Option<String>, Option<String>) {
    let mut said = Vec::new();
    if output.seek(SeekFrom::Start(from)).is_err() || output.read_to_end(&mut said).is_err() {
        return (None, None);
    }
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().collect();
    let Some(at) = lines.iter().rposition(|line| line.starts_with("error: ")) else {
        // The allocator's last words, or a loader's.
        let last = lines.iter().rev().find(|line| line.contains("memory allocation") || line.contains("panicked"));
        return (last.map(|line| (*line).to_string()), None);
    };
    let rest = &lines[at..];
    let place = rest.iter().find_map(|line| line.trim_start().strip_prefix("--> ")).map(str::to_string);
    let help = rest.iter().find_map(|line| line.strip_prefix("help: "));
    let message = rest[0].trim_start_matches("error: ");
    (Some(help.map_or_else(|| message.to_string(), |help| format!("{message} (help: {help})"))), place)
}

/// The most memory that a process has held, and what it holds now.
fn memory_of(process: u32) -> Option<(u64, u64)> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    };
    Some((field("VmHWM:")?, field("VmRSS:")?))
}

/// Bytes of memory that this machine has, and that are free for new work.
pub fn machine_memory() -> Option<(u64, u64)> {
    let known = std::fs::read_to_string("/proc/meminfo").ok()?;
    let field = |name: &str| {
        let line = known.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    };
    let (total, free) = (field("MemTotal:")?, field("MemAvailable:")?);
    // A container may have less than its machine.
    let limit =
        std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse::<u64>().ok());
    Some((limit.map_or(total, |limit| limit.min(total)), limit.map_or(free, |limit| limit.min(free))))
}

/// The name of this machine.
pub fn host() -> Option<String> {
    let known = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_string());
    known.or_else(|| std::env::var("HOSTNAME").ok()).filter(|name| !name.is_empty())
}

/// A path that means the same from every folder.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// The program that trials are run with: this one.
///
/// # Errors
/// It cannot be found.
pub fn program() -> Result<PathBuf> {
    let this = std::env::current_exe()
        .map_err(|error| Error::new(format!("cannot find the program that runs trials: {error}")))?;
    let ours = |path: &Path| path.file_stem().is_some_and(|stem| stem == "fewlab") && path.exists();
    if ours(&this) {
        return Ok(this);
    }
    // A program that uses the library, such as a test: `fewlab` lies beside it or one folder up.
    let beside = this.ancestors().skip(1).take(2).map(|folder| folder.join("fewlab"));
    beside.into_iter().find(|path| ours(path)).ok_or_else(|| {
        Error::new(format!("there is no program `fewlab` beside `{}`", this.display()))
            .help("trials on this machine are run by it; `on: \"here\"` needs no other program")
    })
}

#[cfg(unix)]
fn apart(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    // Ctrl-C reaches the study alone, which then asks each trial once: a second request would end it unsaved.
    command.process_group(0);
}

#[cfg(not(unix))]
fn apart(_: &mut Command) {}

#[cfg(unix)]
fn interrupt(child: &mut std::process::Child) {
    use nix::sys::signal::{Signal, kill};
    // A process that has just ended needs no signal.
    let _ = kill(nix::unistd::Pid::from_raw(child.id() as i32), Signal::SIGINT);
}

#[cfg(not(unix))]
fn interrupt(child: &mut std::process::Child) {
    kill(child);
}

fn kill(child: &mut std::process::Child) {
    // A process that has just ended cannot be killed, and need not be.
    let _ = child.kill();
}

#[cfg(unix)]
fn signal(ended: ExitStatus) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt as _;
    ended.signal()
}

#[cfg(not(unix))]
fn signal(_: ExitStatus) -> Option<i32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn the_last_error_is_found_with_its_line() {
        let mut output = tempfile::tempfile().unwrap();
        let said = "step 1\nerror: caught by the script\nerror: the loss became NaN\n --> pipeline.rhai:12:3\n  |\n12 | x\nhelp: lower `lr`\n";
        output.write_all(said.as_bytes()).unwrap();
        let (message, place) = last_error(&output, 0);
        assert_eq!(message.as_deref(), Some("the loss became NaN (help: lower `lr`)"));
        assert_eq!(place.as_deref(), Some("pipeline.rhai:12:3"));
        assert_eq!(last_error(&output, said.len() as u64), (None, None));
    }

    #[test]
    fn memory_is_said_as_people_write_it() {
        assert_eq!([4_000, 80_000_000, 5_100_000_000].map(bytes), ["4 kB", "80 MB", "5.1 GB"]);
        let (most, now) = memory_of(std::process::id()).unwrap();
        assert!(most >= now && now > 1_000_000);
    }
}
