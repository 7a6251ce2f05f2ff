//! The record: every trial of every study in a folder, in one SQLite file that anybody's SQL can read.
//!
//! ```text
//! studies/
//!   record.sqlite      all that is below, in tables; written by whoever runs, watches or resumes a study
//!   NAME/0001/         a trial: its output, how it ended, and the folder of its run
//! ```
//!
//! | table | a row is |
//! | --- | --- |
//! | `study` | a study: its name, kind, script, and what it was asked to try |
//! | `script` | a script's text by its hash, imported ones too |
//! | `trial` | a script with parameters and a seed: how it stands, what it cost, where it ran, its error with its line |
//! | `value` | a number that a trial reported, by stage, name and step, with the seconds of work before it |
//! | `artefact` | a file that a trial left: its run, report, checkpoints, pictures |
//!
//! What a trial found lies in its own folder first and is copied into the record in one transaction, so a process that is
//! killed at any moment loses nothing that was finished: the next one that opens the study copies it. SQLite's write-ahead
//! log lets several processes of *one machine* read and write at once. Over a network file system its shared memory does
//! not work, so tasks of a cluster never open the record: each writes into its own trial folder, and whoever watches or resumes
//! the study, on one machine at a time ([`lease`]), copies from there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};
use serde_json::{Map, Value};

use super::outcome::{Collected, Outcome};
use super::plan::Setting;
use super::{child, lease, slurm};
use crate::error::{Error, Result, file};

/// The version of the tables. A record of an older version is brought up to it; one of a newer is refused.
const VERSION: i64 = 1;

const TABLES: &str = "
CREATE TABLE study (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, script TEXT NOT NULL,
    plan TEXT NOT NULL, created TEXT NOT NULL);
CREATE TABLE script (hash TEXT PRIMARY KEY, path TEXT NOT NULL, text TEXT NOT NULL);
CREATE TABLE trial (
    id INTEGER PRIMARY KEY, study INTEGER NOT NULL REFERENCES study(id), number INTEGER NOT NULL,
    planned INTEGER NOT NULL, params TEXT NOT NULL, seed INTEGER NOT NULL, identity TEXT NOT NULL,
    script TEXT NOT NULL REFERENCES script(hash), status TEXT NOT NULL, error TEXT, place TEXT,
    host TEXT, device TEXT, threads INTEGER, versions TEXT, revision TEXT, command TEXT NOT NULL,
    started TEXT, ended TEXT, seconds REAL, peak_memory INTEGER, folder TEXT NOT NULL, same_as INTEGER REFERENCES trial(id),
    UNIQUE (study, number));
CREATE INDEX trial_identity ON trial (identity, status);
CREATE TABLE value (
    trial INTEGER NOT NULL REFERENCES trial(id), stage TEXT NOT NULL, name TEXT NOT NULL, step INTEGER NOT NULL,
    seconds REAL, value REAL, PRIMARY KEY (trial, name, stage, step)) WITHOUT ROWID;
CREATE TABLE artefact (
    trial INTEGER NOT NULL REFERENCES trial(id), kind TEXT NOT NULL, name TEXT NOT NULL, step INTEGER, path TEXT NOT NULL,
    PRIMARY KEY (trial, path)) WITHOUT ROWID;
";

/// How a trial stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Not begun.
    Pending,
    /// At work.
    Running,
    /// Its script ran to its end.
    Finished,
    /// An error ended it, or the system.
    Failed,
    /// Stopped by a person, or killed with whoever ran it; it goes on when the study does.
    Interrupted,
    /// Stopped by the study, because others were better.
    Stopped,
}

impl Status {
    /// The word in the record.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Stopped => "stopped",
        }
    }

    /// Whether nothing more will come of the trial.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Stopped)
    }

    pub(super) fn of(word: &str) -> Self {
        let all = [Self::Running, Self::Finished, Self::Failed, Self::Interrupted, Self::Stopped];
        all.into_iter().find(|status| status.word() == word).unwrap_or(Self::Pending)
    }
}

/// A trial as the record has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Its row.
    pub id: i64,
    /// Its number in the study, from 1.
    pub number: u64,
    /// Parameters besides the seed.
    pub params: Map<String, Value>,
    /// The seed.
    pub seed: u64,
    /// How it stands.
    pub status: Status,
    /// Why it failed.
    pub error: Option<String>,
    /// The line of the script where it failed: `pipeline.rhai:12:3`.
    pub place: Option<String>,
    /// The machine it ran on.
    pub host: Option<String>,
    /// The device in words.
    pub device: Option<String>,
    /// The command that repeats it by hand.
    pub command: String,
    /// When it began, UTC.
    pub started: Option<String>,
    /// Seconds of work.
    pub seconds: Option<f64>,
    /// The most memory it held, in bytes.
    pub peak_memory: Option<u64>,
    /// Its folder.
    pub folder: PathBuf,
    /// Whether its numbers are those of a trial that ran for another study.
    pub borrowed: bool,
}

impl Trial {
    /// The trial as a map.
    pub fn to_json(&self) -> Value {
        serde_json::json!({
            "number": self.number, "params": self.params, "seed": self.seed, "status": self.status.word(),
            "error": self.error, "place": self.place, "host": self.host, "device": self.device, "seconds": self.seconds,
            "peak_memory": self.peak_memory, "command": self.command, "folder": self.folder.display().to_string(),
        })
    }
}

/// A number that a trial reported.
#[derive(Debug, Clone, PartialEq)]
pub struct Reported {
    /// The trial's row.
    pub trial: i64,
    /// The numbered stage, `script` for what the script itself reported.
    pub stage: String,
    /// Its name.
    pub name: String,
    /// Steps into the stage.
    pub step: u64,
    /// Seconds of work before it.
    pub seconds: f64,
    /// The number; not finite when the record has none.
    pub value: f64,
}

/// A file that a trial left.
#[derive(Debug, Clone, PartialEq)]
pub struct Artefact {
    /// The trial's row.
    pub trial: i64,
    /// `run`, `report`, `checkpoint`, `picture`.
    pub kind: String,
    /// What it is called.
    pub name: String,
    /// Steps into its stage, of a picture.
    pub step: Option<u64>,
    /// Where it lies.
    pub path: PathBuf,
}

/// What a study is, as the record has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Its row.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// `grid`, `list`, `random`, `halving`.
    pub kind: String,
    /// The path of its script.
    pub script: String,
    /// Its options.
    pub plan: Value,
    /// When it was first planned, UTC.
    pub created: String,
}

/// A trial that shall be in the record.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// What it is given.
    pub setting: &'a Setting,
    /// The hash of all that decides what it finds.
    pub identity: String,
    /// The command that repeats it.
    pub command: String,
}

/// The open record.
pub struct Record {
    file: Connection,
    root: PathBuf,
}

fn sql(error: rusqlite::Error) -> Error {
    let full = matches!(&error, rusqlite::Error::SqliteFailure(code, _)
        if matches!(code.code, rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked));
    let told = Error::new(format!("the record of the study cannot be used: {error}"));
    if full { told.help("another process has kept it for a minute; try again when it is done") } else { told }
}

impl Record {
    /// Opens the record in the folder `root`, or makes it.
    ///
    /// # Errors
    /// It cannot be made or read, or a newer Fewlab made it.
    pub fn open(root: &Path) -> Result<Self> {
        std::fs::create_dir_all(root).map_err(|error| file(root, "make the folder", error))?;
        let path = root.join("record.sqlite");
        let told = |error: rusqlite::Error| file(&path, "open", error);
        let shared = slurm::network_file_system(root).is_some();
        if shared {
            lease::take(root, &child::host().unwrap_or_default())?;
        }
        let mut file = Connection::open(&path).map_err(told)?;
        file.busy_timeout(Duration::from_secs(60)).map_err(told)?;
        // A power cut may take the last transactions of a write-ahead log, which are copied again from the folders; it cannot damage
        // the file.
        let (journal, synchronous) = if shared { ("DELETE", "FULL") } else { ("WAL", "NORMAL") };
        file.pragma_update(None, "journal_mode", journal).map_err(told)?;
        file.pragma_update(None, "synchronous", synchronous).map_err(told)?;
        file.pragma_update(None, "foreign_keys", true).map_err(told)?;
        let tables = file.transaction_with_behavior(TransactionBehavior::Immediate).map_err(told)?;
        let version: i64 = tables.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(told)?;
        match version {
            0 => {
                tables.execute_batch(TABLES).map_err(told)?;
                tables.pragma_update(None, "user_version", VERSION).map_err(told)?;
            }
            VERSION => {}
            newer => {
                return Err(Error::new(format!(
                    "`{}` has version {newer} of the tables; this Fewlab knows {VERSION}",
                    path.display()
                ))
                .help("a newer Fewlab made it; use that one, or another folder for new studies"));
            }
        }
        tables.commit().map_err(told)?;
        Ok(Self { file, root: root.to_path_buf() })
    }

    /// Every study, the oldest first.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn studies(&self) -> Result<Vec<Kept>> {
        let mut query =
            self.file.prepare("SELECT id, name, kind, script, plan, created FROM study ORDER BY id").map_err(sql)?;
        let rows = query.query_map([], kept).map_err(sql)?;
        rows.collect::<rusqlite::Result<_>>().map_err(sql)
    }

    /// The study called `name`.
    ///
    /// # Errors
    /// There is none.
    pub fn study(&self, name: &str) -> Result<Kept> {
        let studies = self.studies()?;
        let names = studies.iter().map(|study| study.name.clone()).collect::<Vec<_>>();
        studies
            .into_iter()
            .find(|study| study.name == name)
            .ok_or_else(|| crate::table::unknown("study", name, names.iter().map(String::as_str)))
    }

    /// Takes in a study and what it shall try. Trials that are there already stay as they are; those that are no longer wanted
    /// stay in the record and count no more. A trial that another study has finished is taken from there.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn plan(&mut self, about: &Kept, scripts: &[(String, String, String)], wanted: &[Wanted<'_>]) -> Result<i64> {
        let root = self.root.clone();
        let write = self.file.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql)?;
        let main = scripts.first().ok_or_else(|| Error::bug("a study was planned without its script"))?;
        for (hash, path, text) in scripts {
            write
                .execute(
                    "INSERT OR IGNORE INTO script (hash, path, text) VALUES (?1, ?2, ?3)",
                    params![hash, path, text],
                )
                .map_err(sql)?;
        }
        write
            .execute(
                "INSERT INTO study (name, kind, script, plan, created) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (name) DO UPDATE SET kind = ?2, script = ?3, plan = ?4",
                params![about.name, about.kind, about.script, about.plan.to_string(), about.created],
            )
            .map_err(sql)?;
        let study: i64 =
            write.query_row("SELECT id FROM study WHERE name = ?1", [&about.name], |row| row.get(0)).map_err(sql)?;
        write.execute("UPDATE trial SET planned = 0 WHERE study = ?1", [study]).map_err(sql)?;
        for trial in wanted {
            let known = write
                .execute(
                    "UPDATE trial SET planned = 1 WHERE study = ?1 AND identity = ?2",
                    params![study, trial.identity],
                )
                .map_err(sql)?;
            if known > 0 {
                continue;
            }
            let number: i64 = write
                .query_row("SELECT coalesce(max(number), 0) + 1 FROM trial WHERE study = ?1", [study], |row| row.get(0))
                .map_err(sql)?;
            let folder = format!("{}/{number:04}", about.name);
            write
                .execute(
                    "INSERT INTO trial (study, number, planned, params, seed, identity, script, status, command, folder)
                     VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, 'pending', ?7, ?8)",
                    params![
                        study,
                        number,
                        Value::Object(trial.setting.params.clone()).to_string(),
                        trial.setting.seed as i64,
                        trial.identity,
                        main.0,
                        trial.command,
                        folder
                    ],
                )
                .map_err(sql)?;
            let id = write.last_insert_rowid();
            borrow(&write, &root, id, &trial.identity)?;
        }
        write.commit().map_err(sql)?;
        Ok(study)
    }

    /// The trials that a study wants, in order.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn trials(&self, study: i64) -> Result<Vec<Trial>> {
        let mut query = self
            .file
            .prepare(
                "SELECT id, number, params, seed, status, error, place, host, device, command, started, seconds, peak_memory,
                 folder, same_as FROM trial WHERE study = ?1 AND planned = 1 ORDER BY number",
            )
            .map_err(sql)?;
        let rows = query.query_map([study], |row| trial(row, &self.root)).map_err(sql)?;
        rows.collect::<rusqlite::Result<_>>().map_err(sql)
    }

    /// Says that a trial is at work, or waits again.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn mark(&self, trial: i64, status: Status) -> Result<()> {
        self.file
            .execute("UPDATE trial SET status = ?2 WHERE id = ?1", params![trial, status.word()])
            .map(drop)
            .map_err(sql)
    }

    /// Forgets what a trial found, so that it runs again.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn forget(&mut self, trial: i64) -> Result<()> {
        let write = self.file.transaction().map_err(sql)?;
        for table in ["value", "artefact"] {
            write.execute(&format!("DELETE FROM {table} WHERE trial = ?1"), [trial]).map_err(sql)?;
        }
        write
            .execute(
                "UPDATE trial SET status = 'pending', error = NULL, place = NULL, seconds = NULL, peak_memory = NULL,
                 started = NULL, ended = NULL, same_as = NULL WHERE id = ?1",
                [trial],
            )
            .map_err(sql)?;
        write.commit().map_err(sql)
    }

    /// Copies what a trial's folder holds, all of it or nothing.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn keep(&mut self, trial: i64, found: &Collected) -> Result<()> {
        let root = self.root.clone();
        let write = self.file.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql)?;
        let Outcome { status, error, place, host, started, ended, seconds, peak_memory } = &found.outcome;
        write
            .execute(
                "UPDATE trial SET status = ?2, error = ?3, place = ?4, host = ?5, started = ?6, ended = ?7, seconds = ?8,
                 peak_memory = ?9, device = ?10, threads = ?11, versions = ?12, revision = ?13, same_as = NULL WHERE id = ?1",
                params![
                    trial,
                    status,
                    error,
                    place,
                    host,
                    started,
                    ended,
                    seconds,
                    peak_memory.map(|bytes| bytes as i64),
                    found.device,
                    found.threads.map(|count| count as i64),
                    found.versions,
                    found.revision
                ],
            )
            .map_err(sql)?;
        for table in ["value", "artefact"] {
            write.execute(&format!("DELETE FROM {table} WHERE trial = ?1"), [trial]).map_err(sql)?;
        }
        for reported in &found.values {
            // SQLite has no NaN: what is not finite is NULL.
            let value = reported.value.is_finite().then_some(reported.value);
            write
                .execute(
                    "INSERT OR REPLACE INTO value (trial, stage, name, step, seconds, value) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    params![trial, reported.stage, reported.name, reported.step as i64, reported.seconds, value],
                )
                .map_err(sql)?;
        }
        for artefact in &found.artefacts {
            write
                .execute(
                    "INSERT OR REPLACE INTO artefact (trial, kind, name, step, path) VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![
                        trial,
                        artefact.kind,
                        artefact.name,
                        artefact.step.map(|step| step as i64),
                        inside(&root, &artefact.path)
                    ],
                )
                .map_err(sql)?;
        }
        write.commit().map_err(sql)
    }

    /// Every number that the trials of a study reported, in the order of trials, names, stages and steps.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn values(&self, study: i64) -> Result<Vec<Reported>> {
        let mut query = self
            .file
            .prepare(
                "SELECT v.trial, v.stage, v.name, v.step, v.seconds, v.value FROM value v JOIN trial t ON t.id = v.trial
                 WHERE t.study = ?1 AND t.planned = 1 ORDER BY t.number, v.name, v.stage, v.step",
            )
            .map_err(sql)?;
        let rows = query
            .query_map([study], |row| {
                Ok(Reported {
                    trial: row.get(0)?,
                    stage: row.get(1)?,
                    name: row.get(2)?,
                    step: row.get::<_, i64>(3)? as u64,
                    seconds: row.get::<_, Option<f64>>(4)?.unwrap_or(0.0),
                    value: row.get::<_, Option<f64>>(5)?.unwrap_or(f64::NAN),
                })
            })
            .map_err(sql)?;
        rows.collect::<rusqlite::Result<_>>().map_err(sql)
    }

    /// Every file that the trials of a study left.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn artefacts(&self, study: i64) -> Result<Vec<Artefact>> {
        let mut query = self
            .file
            .prepare(
                "SELECT a.trial, a.kind, a.name, a.step, a.path FROM artefact a JOIN trial t ON t.id = a.trial
                 WHERE t.study = ?1 AND t.planned = 1 ORDER BY t.number, a.kind, a.name, a.step",
            )
            .map_err(sql)?;
        let rows = query
            .query_map([study], |row| {
                Ok(Artefact {
                    trial: row.get(0)?,
                    kind: row.get(1)?,
                    name: row.get(2)?,
                    step: row.get::<_, Option<i64>>(3)?.map(|step| step as u64),
                    path: self.root.join(row.get::<_, String>(4)?),
                })
            })
            .map_err(sql)?;
        rows.collect::<rusqlite::Result<_>>().map_err(sql)
    }
}

fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    Ok(Kept {
        id: row.get(0)?,
        name: row.get(1)?,
        kind: row.get(2)?,
        script: row.get(3)?,
        plan: serde_json::from_str(&row.get::<_, String>(4)?).unwrap_or_default(),
        created: row.get(5)?,
    })
}

fn trial(row: &Row<'_>, root: &Path) -> rusqlite::Result<Trial> {
    Ok(Trial {
        id: row.get(0)?,
        number: row.get::<_, i64>(1)? as u64,
        params: serde_json::from_str(&row.get::<_, String>(2)?).unwrap_or_default(),
        seed: row.get::<_, i64>(3)? as u64,
        status: Status::of(&row.get::<_, String>(4)?),
        error: row.get(5)?,
        place: row.get(6)?,
        host: row.get(7)?,
        device: row.get(8)?,
        command: row.get(9)?,
        started: row.get(10)?,
        seconds: row.get(11)?,
        peak_memory: row.get::<_, Option<i64>>(12)?.map(|bytes| bytes as u64),
        folder: root.join(row.get::<_, String>(13)?),
        borrowed: row.get::<_, Option<i64>>(14)?.is_some(),
    })
}

/// A path as the record keeps it: from the folder of the record, which can then be moved.
fn inside(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

/// Takes what an identical finished trial found, if there is one whose folder is still there.
fn borrow(write: &Connection, root: &Path, id: i64, identity: &str) -> Result<()> {
    let found: Option<(i64, String)> = write
        .query_row(
            "SELECT id, folder FROM trial WHERE identity = ?1 AND status = 'finished' AND same_as IS NULL AND id <> ?2
             ORDER BY id DESC LIMIT 1",
            params![identity, id],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()
        .map_err(sql)?;
    let Some((other, folder)) = found else { return Ok(()) };
    if !root.join(folder).exists() {
        return Ok(());
    }
    let columns = "status, host, device, threads, versions, revision, started, ended, seconds, peak_memory";
    write
        .execute(
            &format!(
                "UPDATE trial SET ({columns}, same_as) = (SELECT {columns}, id FROM trial WHERE id = ?2) WHERE id = ?1"
            ),
            params![id, other],
        )
        .map_err(sql)?;
    write
        .execute(
            "INSERT INTO value SELECT ?1, stage, name, step, seconds, value FROM value WHERE trial = ?2",
            params![id, other],
        )
        .map_err(sql)?;
    write
        .execute(
            "INSERT INTO artefact SELECT ?1, kind, name, step, path FROM artefact WHERE trial = ?2",
            params![id, other],
        )
        .map(drop)
        .map_err(sql)
}
