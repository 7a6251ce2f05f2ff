//! What was typed, over all sessions, in one SQLite file.
//!
//! A history that cannot be kept (no folder, a full disk, a damaged file) is no reason not to work: the session goes on
//! with the cells it has seen itself.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use crate::error::{Error, Result};

/// A cell of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The session, from 1.
    pub session: i64,
    /// Its number there.
    pub line: i64,
    /// Its text.
    pub input: String,
    /// What it gave, as text.
    pub output: Option<String>,
}

/// The history, and this session's place in it.
pub struct History {
    file: Connection,
    session: i64,
    /// Why it is kept in memory only.
    trouble: Option<Error>,
}

/// Where the history lies: in `$XDG_STATE_HOME/fewlab`, else in `~/.local/state/fewlab`.
pub fn default_path() -> Option<PathBuf> {
    let home = std::env::var_os("XDG_STATE_HOME")
        .filter(|home| !home.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")))?;
    Some(home.join("fewlab/history.sqlite"))
}

impl History {
    /// Opens the history in `path`, or one in memory if that cannot be done or there is no path.
    ///
    /// # Errors
    /// Should not happen: memory is always there.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        let trouble = match path {
            Some(path) => match Self::at(path) {
                Ok(history) => return Ok(history),
                Err(error) => Some(
                    Error::new(format!("the history cannot be kept in `{}`: {error}", path.display()))
                        .help("cells of this session can be recalled, those of others cannot"),
                ),
            },
            None => None,
        };
        let file = Connection::open_in_memory().map_err(|error| Error::new(error.to_string()))?;
        let mut history = Self::of(file).map_err(|error| Error::new(error.to_string()))?;
        history.trouble = trouble;
        Ok(history)
    }

    fn at(path: &Path) -> std::result::Result<Self, String> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        }
        Connection::open(path).and_then(Self::of).map_err(|error| error.to_string())
    }

    fn of(file: Connection) -> rusqlite::Result<Self> {
        // Another session may be writing.
        file.busy_timeout(std::time::Duration::from_secs(2))?;
        file.execute_batch(
            "CREATE TABLE IF NOT EXISTS sessions (id INTEGER PRIMARY KEY AUTOINCREMENT, started TEXT NOT NULL);
             CREATE TABLE IF NOT EXISTS cells (session INTEGER NOT NULL, line INTEGER NOT NULL, input TEXT NOT NULL,
                 output TEXT, PRIMARY KEY (session, line));",
        )?;
        file.execute("INSERT INTO sessions (started) VALUES (datetime('now'))", [])?;
        let session = file.last_insert_rowid();
        Ok(Self { file, session, trouble: None })
    }

    /// Why the history is kept in memory only; nothing if it is kept, or was said before.
    pub fn trouble(&mut self) -> Option<Error> {
        self.trouble.take()
    }

    /// This session's number.
    pub fn session(&self) -> i64 {
        self.session
    }

    /// Keeps a cell. A cell that cannot be kept is forgotten, and said once.
    pub fn keep(&mut self, line: usize, input: &str, output: Option<&str>) {
        let kept = self.file.execute(
            "INSERT OR REPLACE INTO cells (session, line, input, output) VALUES (?1, ?2, ?3, ?4)",
            params![self.session, line as i64, input, output],
        );
        if let Err(error) = kept {
            self.trouble = Some(Error::new(format!("the history cannot be written: {error}")));
        }
    }

    /// The last `n` cells, oldest first.
    pub fn tail(&self, n: usize) -> Vec<Entry> {
        let mut found = self.ask(
            "SELECT session, line, input, output FROM cells ORDER BY session DESC, line DESC LIMIT ?1",
            params![n as i64],
        );
        found.reverse();
        found
    }

    /// Cells `start..stop` of a session: this one if it is 0, one so many before if it is negative.
    pub fn range(&self, session: i64, start: i64, stop: Option<i64>) -> Vec<Entry> {
        let session = if session <= 0 { self.session + session } else { session };
        self.ask(
            "SELECT session, line, input, output FROM cells WHERE session = ?1 AND line >= ?2 AND line < ?3 ORDER BY line",
            params![session, start, stop.unwrap_or(i64::MAX)],
        )
    }

    /// The last `n` cells whose text matches a pattern with `*` and `?`, oldest first; each text once if `unique`.
    pub fn search(&self, pattern: &str, n: Option<usize>, unique: bool) -> Vec<Entry> {
        let each = if unique { "GROUP BY input HAVING MAX(session * 1000000 + line)" } else { "" };
        let mut found = self.ask(
            &format!(
                "SELECT session, line, input, output FROM cells WHERE input GLOB ?1 {each}
                 ORDER BY session DESC, line DESC LIMIT ?2"
            ),
            params![pattern, n.map_or(-1, |n| n as i64)],
        );
        found.reverse();
        found
    }

    fn ask(&self, query: &str, with: impl rusqlite::Params) -> Vec<Entry> {
        let read = || -> rusqlite::Result<Vec<Entry>> {
            let mut query = self.file.prepare(query)?;
            let rows = query.query_map(with, |row| {
                Ok(Entry { session: row.get(0)?, line: row.get(1)?, input: row.get(2)?, output: row.get(3)? })
            })?;
            rows.collect()
        };
        // A history that cannot be read is empty.
        read().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(entries: &[Entry]) -> Vec<&str> {
        entries.iter().map(|entry| entry.input.as_str()).collect()
    }

    #[test]
    fn cells_are_found_again_by_the_next_session() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/history.sqlite");
        let mut first = History::open(Some(&path)).unwrap();
        first.keep(1, "let a = 1", None);
        first.keep(2, "a + 1", Some("2"));
        let mut second = History::open(Some(&path)).unwrap();
        assert_eq!(second.session(), first.session() + 1);
        second.keep(1, "a + 1", None);
        assert_eq!(inputs(&second.tail(2)), ["a + 1", "a + 1"]);
        assert_eq!(inputs(&second.range(-1, 1, Some(2))), ["let a = 1"]);
        assert_eq!(second.range(first.session(), 2, None)[0].output.as_deref(), Some("2"));
        assert_eq!(inputs(&second.search("a*", None, false)), ["a + 1", "a + 1"]);
        assert_eq!(inputs(&second.search("*a*", None, true)), ["let a = 1", "a + 1"]);
        assert_eq!(inputs(&second.search("*a*", Some(1), false)), ["a + 1"]);
    }

    #[test]
    fn without_a_file_the_session_has_its_own_history() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "no folder").unwrap();
        let mut history = History::open(Some(&dir.path().join("file/history.sqlite"))).unwrap();
        assert!(history.trouble().unwrap().message.contains("the history cannot be kept in"));
        assert!(history.trouble().is_none());
        history.keep(1, "a", None);
        assert_eq!(inputs(&history.tail(9)), ["a"]);
        let broken = dir.path().join("broken.sqlite");
        std::fs::write(&broken, "this is no database at all, it is text, and long enough to be read as one").unwrap();
        assert!(History::open(Some(&broken)).unwrap().trouble().is_some());
    }
}
