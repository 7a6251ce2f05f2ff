//! What extractors saw in real images, kept on disk under the hash of all that it depends on.
//!
//! The cache may vanish or be damaged at any time: a file that is not whole is computed again, and a folder that
//! cannot be written means that nothing is kept.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fs, process};

use sha2::{Digest, Sha256};

/// The first bytes of a file; the number changes with what follows.
const HEADER: &[u8] = b"fewlab cache 1\n";
const HASH: usize = 32;

/// A folder of files named by the hash of what they depend on.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: Option<PathBuf>,
}

impl Cache {
    /// `$FEWLAB_CACHE`, or `fewlab` in the user's cache folder; an empty `$FEWLAB_CACHE` keeps nothing.
    pub fn of_user() -> Self {
        Self { folder: crate::data::cache_folder() }
    }

    /// A cache in `folder`, which is made when something is first kept.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(folder.into()) }
    }

    /// Where weights are looked for that a person put there: the folder `weights` in the cache.
    pub fn weights(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join("weights"))
    }

    /// A cache that keeps nothing.
    pub fn none() -> Self {
        Self { folder: None }
    }

    /// What was kept under `parts`, if it is there and whole.
    pub fn load(&self, parts: &[&str]) -> Option<Vec<u8>> {
        let mut bytes = fs::read(self.folder.as_ref()?.join(name(parts))).ok()?;
        let payload = bytes.strip_prefix(HEADER)?;
        let (payload, hash) = payload.split_at_checked(payload.len().checked_sub(HASH)?)?;
        if Sha256::digest(payload)[..] != *hash {
            return None;
        }
        let end = HEADER.len() + payload.len();
        bytes.truncate(end);
        bytes.drain(..HEADER.len());
        Some(bytes)
    }

    /// Keeps `payload` under `parts`, whole or not at all. That it could not be kept is no error: it is computed again.
    pub fn store(&self, parts: &[&str], payload: &[u8]) {
        let Some(folder) = &self.folder else { return };
        let path = folder.join(name(parts));
        // Two runs may keep the same thing at once; each writes its own file and the last rename wins.
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let draft = folder.join(format!(".{}-{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
        if write(folder, &draft, payload).and_then(|()| fs::rename(&draft, path)).is_err() {
            let _ = fs::remove_file(draft);
        }
    }
}

fn write(folder: &Path, draft: &Path, payload: &[u8]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let hash = Sha256::digest(payload);
    fs::write(draft, [HEADER, payload, &hash[..]].concat())
}

fn name(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        // With its length, so that no two lists of parts run together to the same bytes.
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_under_the_same_parts_only() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("new"));
        assert_eq!(cache.load(&["a", "b"]), None);
        cache.store(&["a", "b"], b"features");
        assert_eq!(cache.load(&["a", "b"]).as_deref(), Some(&b"features"[..]));
        assert_eq!(cache.load(&["ab", ""]), None);
        assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_file_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        cache.store(&["a"], &[7; 1000]);
        let path = folder.path().join(name(&["a"]));
        let whole = fs::read(&path).unwrap();
        for length in [0, 10, 20, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(cache.load(&["a"]), None, "{length} bytes");
        }
        let mut flipped = whole.clone();
        flipped[500] ^= 1;
        fs::write(&path, flipped).unwrap();
        assert_eq!(cache.load(&["a"]), None);
    }

    #[test]
    fn a_folder_that_cannot_be_written_keeps_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let cache = Cache::at(file.join("inside"));
        cache.store(&["a"], b"features");
        assert_eq!(cache.load(&["a"]), None);
        Cache::none().store(&["a"], b"features");
    }
}
