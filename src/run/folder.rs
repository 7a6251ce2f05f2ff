//! The files of a run: what is written whole, what grows by lines, and what they are called.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::{About, Facts, Status, history};
use crate::error::{Error, Result, file};

/// The script as it ran.
pub(super) const SCRIPT: &str = "script.rhai";

/// A run's folder, open for writing. The lock on its metrics lasts as long as this value.
#[derive(Debug)]
pub(super) struct Folder {
    pub dir: PathBuf,
    pub facts: Facts,
    pub metrics: Lines,
    pub records: Lines,
}

impl Folder {
    /// Makes a new folder in `out`; one of the same name is left alone.
    pub fn create(out: &Path, about: &About) -> Result<Self> {
        fs::create_dir_all(out).map_err(|error| file(out, "make the folder", error))?;
        let started = SystemTime::now();
        let name = slug(&about.name);
        let stem = format!("{}-{}", compact(started), if name.is_empty() { "run" } else { &name });
        let mut id = stem.clone();
        let mut count = 1;
        let dir = loop {
            let dir = out.join(&id);
            match fs::create_dir(&dir) {
                Ok(()) => break dir,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    count += 1;
                    id = format!("{stem}.{count}");
                }
                Err(error) => return Err(file(&dir, "make the folder", error)),
            }
        };
        for inner in ["checkpoints", "samples"] {
            let inner = dir.join(inner);
            fs::create_dir(&inner).map_err(|error| file(&inner, "make the folder", error))?;
        }
        replace(&dir.join(SCRIPT), about.script.as_bytes())?;
        let facts = Facts {
            id,
            status: Status::Running,
            message: None,
            path: about.path.clone(),
            params: about.params.clone(),
            seed: about.seed,
            device: about.device.clone(),
            threads: about.threads,
            command: command_line(&about.command),
            versions: versions(),
            commit: commit(Path::new(&about.path)),
            started: spoken(started),
            resumed: Vec::new(),
            ended: None,
            seconds: 0.0,
        };
        let folder = Self {
            metrics: Lines::open(&dir.join("metrics.jsonl"))?,
            records: Lines::open(&dir.join("records.jsonl"))?,
            dir,
            facts,
        };
        folder.metrics.lock()?;
        folder.write_facts()?;
        Ok(folder)
    }

    /// Opens a folder to go on with it; also the seconds already spent.
    pub fn reopen(dir: &Path) -> Result<(Self, f64)> {
        let mut facts = super::read_facts(dir)?;
        if facts.status == Status::Finished {
            return Err(Error::new(format!("the run `{}` has finished; there is nothing to resume", dir.display()))
                .help(format!("to repeat it: {}", facts.command)));
        }
        let metrics = Lines::open(&dir.join("metrics.jsonl"))?;
        metrics.lock()?;
        let before = history::last_time(dir)?.max(facts.seconds);
        facts.status = Status::Running;
        facts.message = None;
        facts.ended = None;
        facts.resumed.push(now());
        let folder = Self { dir: dir.to_path_buf(), facts, metrics, records: Lines::open(&dir.join("records.jsonl"))? };
        for inner in ["checkpoints", "samples"] {
            let inner = dir.join(inner);
            fs::create_dir_all(&inner).map_err(|error| file(&inner, "make the folder", error))?;
        }
        folder.write_facts()?;
        Ok((folder, before))
    }

    pub fn write_facts(&self) -> Result<()> {
        let path = self.dir.join("run.json");
        let text = serde_json::to_string_pretty(&self.facts).map_err(|error| file(&path, "write", error))?;
        replace(&path, (text + "\n").as_bytes())
    }

    pub fn checkpoint(&self, key: &str) -> PathBuf {
        self.dir.join("checkpoints").join(format!("{key}.safetensors"))
    }

    /// The checkpoints of a stage that is saved under its steps, newest first, each with its step.
    pub fn stepped(&self, key: &str) -> Vec<(u64, PathBuf)> {
        let step = |path: &Path| {
            let stem = path.file_name()?.to_str()?.strip_suffix(".safetensors")?;
            stem.strip_prefix(key)?.strip_prefix('-')?.parse().ok()
        };
        // A folder that cannot be read holds nothing to go on from; writing there says why.
        let entries = fs::read_dir(self.dir.join("checkpoints")).into_iter().flatten().flatten();
        let mut found: Vec<(u64, PathBuf)> =
            entries.map(|entry| entry.path()).filter_map(|path| Some((step(&path)?, path))).collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found
    }

    /// Where the best state of a stage lies.
    pub fn best(&self, key: &str) -> PathBuf {
        self.checkpoint(&format!("{key}-best"))
    }

    /// Writes what the checkpoint of a stage is of, before the checkpoint itself: it says the same for all of them.
    pub fn save_fingerprint(&self, key: &str, stage: &str, fingerprint: &str) -> Result<()> {
        let path = self.checkpoint(key).with_extension("json");
        if path.exists() && self.fingerprint(key).is_ok_and(|saved| saved == fingerprint) {
            return Ok(());
        }
        replace(&path, format!("{}\n", json!({"stage": stage, "fingerprint": fingerprint})).as_bytes())
    }

    pub fn fingerprint(&self, key: &str) -> Result<String> {
        let path = self.checkpoint(key).with_extension("json");
        let value: Value = serde_json::from_str(&read(&path)?).map_err(|error| file(&path, "understand", error))?;
        match value.get("fingerprint").and_then(Value::as_str) {
            Some(fingerprint) => Ok(fingerprint.to_string()),
            None => Err(file(&path, "understand", "it has no text `fingerprint`")),
        }
    }
}

/// A file that grows by whole lines of JSON.
#[derive(Debug)]
pub(super) struct Lines {
    path: PathBuf,
    file: File,
    /// Whether a write broke off inside a line.
    torn: bool,
}

impl Lines {
    /// Opens or makes the file; the rest of a torn last line is cut off.
    pub fn open(path: &Path) -> Result<Self> {
        let fail = |error| file(path, "open", error);
        let mut opened = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(fail)?;
        let mut length = opened.metadata().map_err(fail)?.len();
        let whole = length;
        let mut last = [0u8];
        while length > 0 {
            opened.seek(SeekFrom::Start(length - 1)).map_err(fail)?;
            opened.read_exact(&mut last).map_err(fail)?;
            if last[0] == b'\n' {
                break;
            }
            length -= 1;
        }
        if length < whole {
            opened.set_len(length).map_err(fail)?;
        }
        Ok(Self { path: path.to_path_buf(), file: opened, torn: false })
    }

    /// Keeps other processes from writing here.
    pub fn lock(&self) -> Result<()> {
        // A program that this one just started may hold the file for a moment, until it has become itself.
        let mut locked = self.file.try_lock();
        for _ in 0..10 {
            if !matches!(locked, Err(fs::TryLockError::WouldBlock)) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
            locked = self.file.try_lock();
        }
        match locked {
            Ok(()) => Ok(()),
            Err(fs::TryLockError::WouldBlock) => {
                let dir = self.path.parent().unwrap_or(&self.path);
                Err(Error::new(format!("the run `{}` is still at work in another process", dir.display()))
                    .help("wait until it ends, or stop it, and resume then"))
            }
            // A file system without locks is no reason to refuse work.
            Err(fs::TryLockError::Error(_)) => Ok(()),
        }
    }

    /// Adds a line, in one write.
    pub fn append(&mut self, line: &Value) -> Result<()> {
        let mut text = String::new();
        if self.torn {
            text.push('\n');
        }
        text.push_str(&line.to_string());
        text.push('\n');
        let written = self.file.write_all(text.as_bytes());
        self.torn = written.is_err();
        written.map_err(|error| file(&self.path, "write", error))
    }
}

/// Writes a file whole or not at all.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    replace_with(path, &|temporary| fs::write(temporary, bytes).map_err(|error| file(path, "write", error)))
}

/// Lets `save` write a file beside `path`, forces it to the disk and moves it into place. When anything fails, what was at
/// `path` is still there.
pub(super) fn replace_with(path: &Path, save: &dyn Fn(&Path) -> Result<()>) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}"));
    let fail = |error: std::io::Error| file(path, "write", error);
    let result = save(&temporary)
        .and_then(|()| File::open(&temporary).and_then(|f| f.sync_all()).map_err(fail))
        .and_then(|()| fs::rename(&temporary, path).map_err(fail));
    if result.is_err() {
        // It may never have been made, and the error to tell is the first one.
        let _ = fs::remove_file(&temporary);
        return result;
    }
    // The name itself reaches the disk with its folder; not every file system can do this, and none needs it to be right.
    if let Some(Ok(dir)) = path.parent().map(File::open) {
        let _ = dir.sync_all();
    }
    Ok(())
}

pub(super) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| file(path, "read", error))
}

/// A text as part of a file's name.
pub(super) fn slug(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || c == '.' || c == '_' {
            out.push(c);
        } else if !out.ends_with('-') {
            out.push('-');
        }
    }
    let out: String = out.trim_matches(['-', '.']).chars().take(60).collect();
    out.trim_end_matches(['-', '.']).to_string()
}

/// Words as one line a shell reads back as the same words.
pub fn command_line(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    let quoted = |word: &String| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// Where two fingerprints part, with a little of what comes before.
pub(super) fn difference(saved: &str, given: &str) -> String {
    let same = saved.chars().zip(given.chars()).take_while(|(a, b)| a == b).count();
    let part = |text: &str| {
        let from = same.saturating_sub(16);
        let cut: String = text.chars().skip(from).take(48).collect();
        let (before, after) =
            (if from > 0 { "…" } else { "" }, if text.chars().count() > from + 48 { "…" } else { "" });
        format!("`{before}{cut}{after}`")
    };
    format!("saved with {}, resumed with {}", part(saved), part(given))
}

/// Versions of this program and of what its numbers depend on, from the lock file it was built with.
pub(crate) fn versions() -> Map<String, Value> {
    let lock = include_str!("../../Cargo.lock");
    let locked = |name: &str| {
        let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        rest.split('"').next().map(Value::from)
    };
    let mut versions = Map::new();
    versions.insert("fewlab".into(), env!("CARGO_PKG_VERSION").into());
    for (name, package) in [("candle", "candle-core"), ("rhai", "rhai")] {
        versions.extend(locked(package).map(|version| (name.to_string(), version)));
    }
    versions.insert("system".into(), format!("{} {}", std::env::consts::OS, std::env::consts::ARCH).into());
    versions
}

/// The commit of the repository that holds `path`, if one does and `git` is there.
fn commit(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let dir = path.ancestors().skip(1).find(|dir| dir.join(".git").exists())?;
    let git = |arguments: &[&str]| {
        let output = std::process::Command::new("git").arg("-C").arg(dir).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    let head = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    Some(if changed { format!("{head} + changes") } else { head })
}

/// The time now: `2026-11-23 15:30:12 UTC`.
pub(crate) fn now() -> String {
    spoken(SystemTime::now())
}

pub(crate) fn spoken(time: SystemTime) -> String {
    let [year, month, day, hour, minute, second] = calendar(time);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

fn compact(time: SystemTime) -> String {
    let [year, month, day, hour, minute, second] = calendar(time);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
}

/// Year, month, day, hour, minute, second in UTC (Hinnant, "chrono-compatible low-level date algorithms").
fn calendar(time: SystemTime) -> [u64; 6] {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    [year, month, of_year - (153 * shifted + 2) / 5 + 1, rest / 3600, rest / 60 % 60, rest % 60]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_calendar_knows_leap_days() {
        let at = |seconds| spoken(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(at(951_782_399), "2000-02-28 23:59:59 UTC");
        assert_eq!(at(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(at(1_795_447_812), "2026-11-23 15:30:12 UTC");
        assert_eq!(compact(UNIX_EPOCH + Duration::from_secs(1_795_447_812)), "20261123-153012");
    }

    #[test]
    fn names_are_safe_in_a_path() {
        assert_eq!(slug("s3gan (10% labels)"), "s3gan-10-labels");
        assert_eq!(slug("../../etc"), "etc");
        assert_eq!(slug("   "), "");
    }

    #[test]
    fn a_command_survives_the_shell() {
        let words = ["fewlab", "run", "my script.rhai", "--set", "labels=0.05", "it's"].map(String::from);
        assert_eq!(command_line(&words), r"fewlab run 'my script.rhai' --set labels=0.05 'it'\''s'");
    }

    #[test]
    fn versions_are_those_of_the_lock_file() {
        let versions = versions();
        assert_eq!(versions["candle"], "0.11.1");
        assert!(versions["rhai"].as_str().unwrap().starts_with("1."));
    }

    #[test]
    fn a_difference_shows_its_place() {
        let text = difference("seed=1 lr=0.0002 steps=5000", "seed=1 lr=0.0001 steps=5000");
        assert_eq!(text, "saved with `seed=1 lr=0.0002 steps=5000`, resumed with `seed=1 lr=0.0001 steps=5000`");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told_with_the_path() {
        let mut lines = Lines {
            path: "metrics.jsonl".into(),
            file: OpenOptions::new().write(true).open("/dev/full").unwrap(),
            torn: false,
        };
        let error = lines.append(&json!({"a": 1})).unwrap_err();
        assert!(error.message.starts_with("cannot write `metrics.jsonl`: No space left"), "{error}");
        assert!(lines.torn);
    }
}
