//! What extractors saw in real images, kept on disk under the hash of all that it depends on.
//!
//! The cache may vanish or be damaged at any time: a file that is not whole is computed again, and a folder that
//! cannot be written means that nothing is kept. It holds [`MOST`] bytes; beyond that the files go that were not used for the
//! longest time.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use std::{fs, process};

use sha2::{Digest, Sha256};

/// The first bytes of a file; the number changes with what follows.
const HEADER: &[u8] = b"fewlab cache 1\n";
const HASH: usize = 32;
/// Bytes that the files take together: the features of more than a million images by the Inception network.
pub const MOST: u64 = 16 << 30;

/// A folder of files named by the hash of what they depend on.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: Option<PathBuf>,
    /// What was loaded or kept, for as long as this cache or a copy of it lives.
    memory: Option<Arc<Mutex<HashMap<String, Vec<u8>>>>>,
}

impl Cache {
    /// `$FEWLAB_CACHE`, or `fewlab` in the user's cache folder; an empty `$FEWLAB_CACHE` keeps nothing.
    pub fn of_user() -> Self {
        Self { folder: crate::data::cache_folder(), memory: None }
    }

    /// A cache in `folder`, which is made when something is first kept.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(folder.into()), memory: None }
    }

    /// The same cache, which also holds in memory what is asked of it: for what is needed again and again.
    #[must_use]
    pub fn remembering(self) -> Self {
        Self { memory: Some(Arc::default()), ..self }
    }

    fn remember(&self, name: &str, payload: &[u8]) {
        if let Some(memory) = &self.memory {
            memory.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into(), payload.into());
        }
    }

    /// Where weights are looked for that a person put there: the folder `weights` in the cache.
    pub fn weights(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join("weights"))
    }

    /// A cache that keeps nothing.
    pub fn none() -> Self {
        Self { folder: None, memory: None }
    }

    /// What was kept under `parts`, if it is there and whole.
    pub fn load(&self, parts: &[&str]) -> Option<Vec<u8>> {
        let name = name(parts);
        if let Some(memory) = &self.memory
            && let Some(payload) = memory.lock().unwrap_or_else(PoisonError::into_inner).get(&name)
        {
            return Some(payload.clone());
        }
        let mut bytes = fs::read(self.folder.as_ref()?.join(&name)).ok()?;
        let payload = bytes.strip_prefix(HEADER)?;
        let (payload, hash) = payload.split_at_checked(payload.len().checked_sub(HASH)?)?;
        if Sha256::digest(payload)[..] != *hash {
            return None;
        }
        let end = HEADER.len() + payload.len();
        bytes.truncate(end);
        bytes.drain(..HEADER.len());
        // When it was used last is what pruning goes by; that it cannot be noted is no error.
        if let Some(folder) = &self.folder {
            let _ = fs::File::open(folder.join(&name)).and_then(|file| file.set_modified(SystemTime::now()));
        }
        self.remember(&name, &bytes);
        Some(bytes)
    }

    /// Keeps `payload` under `parts`, whole or not at all. That it could not be kept is no error: it is computed again.
    pub fn store(&self, parts: &[&str], payload: &[u8]) {
        let name = name(parts);
        self.remember(&name, payload);
        let Some(folder) = &self.folder else { return };
        let path = folder.join(name);
        // Two runs may keep the same thing at once; each writes its own file and the last rename wins.
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let draft = folder.join(format!(".{}-{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
        if write(folder, &draft, payload).and_then(|()| fs::rename(&draft, path)).is_err() {
            let _ = fs::remove_file(draft);
        }
        self.prune(MOST);
    }

    /// How many files there are, and how many bytes they take.
    pub fn size(&self) -> (usize, u64) {
        let kept = self.kept();
        (kept.len(), kept.iter().map(|(_, bytes, _)| bytes).sum())
    }

    /// Removes the files that were not used for the longest time, until the others take at most `most` bytes; what cannot be
    /// removed stays. How many files and bytes went.
    pub fn prune(&self, most: u64) -> (usize, u64) {
        let mut kept = self.kept();
        kept.sort_by_key(|(_, _, used)| std::cmp::Reverse(*used));
        let (mut held, mut gone) = (0, (0, 0));
        for (path, bytes, _) in kept {
            if held + bytes <= most {
                held += bytes;
            } else if fs::remove_file(&path).is_ok() {
                gone = (gone.0 + 1, gone.1 + bytes);
            }
        }
        gone
    }

    /// The files here with their length and when they were used last. Other things lie in the folder besides.
    fn kept(&self) -> Vec<(PathBuf, u64, SystemTime)> {
        let ours = |name: &str| name.len() == 2 * HASH && name.bytes().all(|c| c.is_ascii_hexdigit());
        let entries = self.folder.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
        let ours = entries.filter(|entry| entry.file_name().to_str().is_some_and(ours));
        let known = ours.filter_map(|entry| {
            let about = entry.metadata().ok().filter(|about| about.is_file())?;
            Some((entry.path(), about.len(), about.modified().ok()?))
        });
        known.collect()
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
    fn what_is_needed_again_is_held_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        cache.store(&["a"], b"features");
        let remembering = cache.clone().remembering();
        let again = remembering.clone();
        assert!(remembering.load(&["a"]).is_some());
        fs::remove_file(folder.path().join(name(&["a"]))).unwrap();
        assert_eq!((cache.load(&["a"]), again.load(&["a"]).as_deref()), (None, Some(&b"features"[..])));
        // Without a folder too.
        let nowhere = Cache::none().remembering();
        nowhere.store(&["b"], b"more");
        assert_eq!(nowhere.load(&["b"]).as_deref(), Some(&b"more"[..]));
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
    fn what_was_not_used_for_the_longest_time_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        fs::write(folder.path().join("other.txt"), "not ours").unwrap();
        let early = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1000);
        for (i, part) in ["a", "b", "c"].into_iter().enumerate() {
            cache.store(&[part], &[7; 100]);
            let file = fs::File::open(folder.path().join(name(&[part]))).unwrap();
            file.set_modified(early + std::time::Duration::from_secs(i as u64)).unwrap();
        }
        let each = cache.size().1 / 3;
        assert_eq!(cache.size(), (3, 3 * each));
        // The oldest is used now.
        assert!(cache.load(&["a"]).is_some());
        assert_eq!(cache.prune(2 * each), (1, each));
        assert_eq!([&["a"], &["b"], &["c"]].map(|parts| cache.load(parts).is_some()), [true, false, true]);
        assert_eq!(cache.prune(0), (2, 2 * each));
        assert!(folder.path().join("other.txt").exists());
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
