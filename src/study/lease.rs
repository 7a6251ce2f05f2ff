//! A record on a network file system is one machine's at a time.
//!
//! SQLite's write-ahead log shares memory between processes, and its locks are those of the kernel: neither reaches another machine. So
//! where several machines see the folder, the record keeps a plain journal, and a machine that opens it leaves its name in
//! `record.host`, a file that only one machine can make (`O_EXCL`, which network file systems keep). The name is renewed while the
//! machine works with the record and is void [`VOID`] after that. Processes of one machine share its locks, so they need no more.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::error::{Error, Result, file};

/// How long a name stands after the machine used the record last.
pub const VOID: Duration = Duration::from_secs(120);

/// Takes the record in `root` for the machine `host`, or renews that it has it.
///
/// # Errors
/// Another machine has it.
pub fn take(root: &Path, host: &str) -> Result<()> {
    take_at(root, host, SystemTime::now())
}

fn take_at(root: &Path, host: &str, now: SystemTime) -> Result<()> {
    let path = root.join("record.host");
    let told = |error| file(&path, "write", error);
    // A void name is moved away, which of several machines only one can do, and then made anew.
    for _ in 0..3 {
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut made) => {
                return made.write_all(host.as_bytes()).and_then(|()| made.set_modified(now)).map_err(told);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(told(error)),
        }
        let Ok(owner) = std::fs::read_to_string(&path) else { continue };
        let renewed = std::fs::metadata(&path).and_then(|meta| meta.modified()).unwrap_or(now);
        let age = now.duration_since(renewed).unwrap_or_default();
        if owner == host {
            // Once in a while is enough.
            if age > VOID / 8 {
                OpenOptions::new().write(true).open(&path).and_then(|kept| kept.set_modified(now)).map_err(told)?;
            }
            return Ok(());
        }
        if age <= VOID {
            return Err(Error::new(format!("the record in `{}` is in use on `{owner}`", root.display())).help(format!(
                "on a network file system one machine at a time works with it; it is free {} s after `{owner}` has done with it",
                VOID.as_secs()
            )));
        }
        let aside = root.join(format!(".record.host.{host}"));
        if std::fs::rename(&path, &aside).is_ok() {
            // Only its absence counts.
            let _ = std::fs::remove_file(&aside);
        }
    }
    Err(Error::new(format!("another machine has just taken the record in `{}`", root.display()))
        .help("try again when it is done"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_machines_until_it_has_done() {
        let dir = tempfile::tempdir().unwrap();
        let (take, now) = (|host: &str, at| take_at(dir.path(), host, at), SystemTime::now());
        take("a", now).unwrap();
        take("a", now).unwrap();
        let error = take("b", now + VOID / 2).unwrap_err();
        assert!(error.message.ends_with("is in use on `a`"), "{error}");
        take("a", now + VOID).unwrap();
        assert!(take("b", now + VOID + VOID / 2).is_err());
        take("b", now + VOID * 2 + Duration::from_secs(5)).unwrap();
        assert!(take("a", now + VOID * 2 + Duration::from_secs(5)).is_err());
        assert!(!dir.path().join(".record.host.b").exists());
    }
}
