//! Decoded images on disk: a file of pixels that is written once, checked, and then used without loading it.
//!
//! The file is a header of one page, the pixels, and a checksum for each megabyte of them. It is written under another
//! name and renamed when it is whole and on the disk, so a file of the right name is a whole one unless the disk spoilt
//! it: its length, its header, its table of checksums and up to 64 of its megabytes, spread evenly, are checked whenever
//! it is opened. One that does not hold is made again.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, process};

use flate2::Crc;
use sha2::{Digest, Sha256};

use super::images::{Images, Shape, hasher, hexadecimal};
use crate::error::{Error, Result, file};
use crate::tensor::Mapped;

/// The first bytes of a file; the number changes with what follows.
const MAGIC: &[u8; 16] = b"fewlab images 1\n";
/// Pixels begin at a page.
const START: usize = 4096;
/// A checksum is of so many bytes.
const BLOCK: usize = 1 << 20;
/// How many of them are checked when a file is opened.
const CHECKED: usize = 64;
/// The end of the fields of the header and the place of their checksum: the magic, four sizes, two hashes.
const FIELDS: usize = 16 + 4 * 8 + 2 * 32;

/// The folder for what can be made again: `$FEWLAB_CACHE`, or `fewlab` in the user's cache folder. None if
/// `$FEWLAB_CACHE` is empty.
pub fn cache_folder() -> Option<PathBuf> {
    match env::var_os("FEWLAB_CACHE") {
        Some(folder) => Some(PathBuf::from(folder)).filter(|folder| !folder.as_os_str().is_empty()),
        None => user_caches().map(|folder| folder.join("fewlab")),
    }
}

/// The folder that this platform keeps a user's caches in.
pub(super) fn user_caches() -> Option<PathBuf> {
    let home = || env::var_os("HOME").map(PathBuf::from);
    if cfg!(windows) {
        env::var_os("LOCALAPPDATA").map(PathBuf::from)
    } else if cfg!(target_os = "macos") {
        home().map(|home| home.join("Library/Caches"))
    } else {
        env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| home().map(|home| home.join(".cache")))
    }
}

/// How many files of decoded images are kept, and how many bytes they take.
pub fn pixels() -> (usize, u64) {
    let files = Store::of_user().map_or_else(Vec::new, |store| store.files());
    (files.len(), files.iter().map(|(_, bytes)| bytes).sum())
}

/// Removes the decoded images that are kept; what cannot be removed stays. How many files and bytes went.
pub fn prune_pixels() -> (usize, u64) {
    let files = Store::of_user().map_or_else(Vec::new, |store| store.files());
    let gone = files.into_iter().filter(|(path, _)| fs::remove_file(path).is_ok());
    gone.fold((0, 0), |(files, all), (_, bytes)| (files + 1, all + bytes))
}

/// A folder of files of pixels.
#[derive(Debug, Clone)]
pub(super) struct Store {
    folder: PathBuf,
}

impl Store {
    /// In the cache folder, if there is one.
    pub fn of_user() -> Option<Self> {
        cache_folder().map(|folder| Self::at(folder.join("images")))
    }

    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Every file of pixels, with its length.
    fn files(&self) -> Vec<(PathBuf, u64)> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let pixels = entries.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "pixels"));
        pixels.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.len()))).collect()
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.pixels"))
    }

    /// The images kept under `key`, if they are there and hold.
    pub fn open(&self, key: &str) -> Option<Images> {
        let file = Mapped::open(&self.path(key)).ok()?;
        let (header, rest) = file.split_at_checked(START)?;
        let (fields, check) = (header.get(..FIELDS)?, header.get(FIELDS..FIELDS + 32)?);
        if !fields.starts_with(MAGIC) || Sha256::digest(fields)[..] != *check {
            return None;
        }
        let size =
            |at: usize| fields[16 + 8 * at..][..8].try_into().map_or(0, |bytes| u64::from_le_bytes(bytes) as usize);
        let (n, shape) = (size(0), Shape { channels: size(1), height: size(2), width: size(3) });
        let length = n.checked_mul(shape.bytes())?;
        let (pixels, table) = rest.split_at_checked(length)?;
        let blocks = length.div_ceil(BLOCK);
        if table.len() != 4 * blocks || Sha256::digest(table)[..] != fields[80..112] {
            return None;
        }
        for checked in 0..blocks.min(CHECKED) {
            let block = checked * blocks / blocks.min(CHECKED);
            let bytes = &pixels[block * BLOCK..length.min((block + 1) * BLOCK)];
            if crc(bytes).to_le_bytes() != table[4 * block..][..4] {
                return None;
            }
        }
        let hash = hexadecimal(&fields[48..80]);
        Images::mapped(shape, file, START, length, hash).ok()
    }

    /// A file of `n` images of `shape` to be kept under `key`, which is to be filled.
    pub fn create(&self, key: &str, n: usize, shape: Shape) -> Result<Draft> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        // Two processes may decode the same set at once; each writes its own file and the last rename wins.
        let name = format!(".{}-{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let path = self.folder.join(name);
        let make = || -> std::io::Result<File> {
            fs::create_dir_all(&self.folder)?;
            let mut file = File::create(&path)?;
            file.write_all(&[0; START])?;
            Ok(file)
        };
        let file = make().map_err(|error| unwritable(&path, error))?;
        let draft = Draft {
            file: BufWriter::with_capacity(BLOCK, file),
            target: self.path(key),
            path,
            n,
            shape,
            written: 0,
            hash: hasher(n, shape),
            block: Crc::new(),
            table: Vec::new(),
            kept: false,
        };
        Ok(draft)
    }
}

fn unwritable(path: &Path, error: std::io::Error) -> Error {
    file(path, "write", error).help(
        "decoded images are kept in `$FEWLAB_CACHE`, or in the user's cache folder; `memory: true` holds them in memory",
    )
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// A file of pixels that is being written; it is removed again unless it is kept.
pub(super) struct Draft {
    file: BufWriter<File>,
    path: PathBuf,
    target: PathBuf,
    n: usize,
    shape: Shape,
    written: usize,
    hash: Sha256,
    block: Crc,
    table: Vec<u8>,
    kept: bool,
}

impl Draft {
    /// Adds the bytes of the next images.
    pub fn write(&mut self, pixels: &[u8]) -> Result<()> {
        self.hash.update(pixels);
        let mut rest = pixels;
        while !rest.is_empty() {
            let (head, tail) = rest.split_at(rest.len().min(BLOCK - self.written % BLOCK));
            self.block.update(head);
            self.written += head.len();
            if self.written.is_multiple_of(BLOCK) {
                self.end_block();
            }
            rest = tail;
        }
        self.file.write_all(pixels).map_err(|error| unwritable(&self.path, error))
    }

    fn end_block(&mut self) {
        self.table.extend(self.block.sum().to_le_bytes());
        self.block.reset();
    }

    /// Writes what belongs around the pixels and gives the file its name.
    pub fn keep(mut self) -> Result<()> {
        if self.written != self.n * self.shape.bytes() {
            return Err(Error::bug(format!("{} bytes were decoded of {} images", self.written, self.n)));
        }
        if !self.written.is_multiple_of(BLOCK) {
            self.end_block();
        }
        let mut fields = MAGIC.to_vec();
        for size in [self.n, self.shape.channels, self.shape.height, self.shape.width] {
            fields.extend((size as u64).to_le_bytes());
        }
        fields.extend(self.hash.clone().finalize());
        fields.extend(Sha256::digest(&self.table));
        fields.extend(Sha256::digest(&fields).to_vec());
        self.finish(&fields).map_err(|error| unwritable(&self.path, error))?;
        self.kept = true;
        Ok(())
    }

    fn finish(&mut self, fields: &[u8]) -> std::io::Result<()> {
        use std::io::{Seek, SeekFrom};
        self.file.write_all(&self.table)?;
        self.file.flush()?;
        let file = self.file.get_mut();
        file.seek(SeekFrom::Start(0))?;
        file.write_all(fields)?;
        // On the disk before it has its name, so that a power cut leaves no whole-looking file.
        file.sync_all()?;
        fs::rename(&self.path, &self.target)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            // Nothing is lost when it stays: it has no name that anyone looks for.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { channels: 3, height: 64, width: 64 };

    /// 200 images of 12 kB: three blocks, the last one not full.
    fn pixels() -> Vec<u8> {
        (0..200 * SHAPE.bytes()).map(|place| (place * 7 + place / 251) as u8).collect()
    }

    fn kept(store: &Store, pixels: &[u8]) {
        let mut draft = store.create("set", 200, SHAPE).unwrap();
        pixels.chunks(100_000).for_each(|chunk| draft.write(chunk).unwrap());
        draft.keep().unwrap();
    }

    #[test]
    fn a_file_gives_the_bytes_and_the_hash_of_memory() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path().join("new"));
        assert!(store.open("set").is_none());
        kept(&store, &pixels());
        let (images, memory) = (store.open("set").unwrap(), Images::new(SHAPE, pixels()).unwrap());
        assert!(images.is_mapped() && images == memory);
        assert_eq!(images.hash(), memory.hash());
        assert!(store.open("another").is_none());
        assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 1);
    }

    #[test]
    fn a_torn_or_spoilt_file_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        kept(&store, &pixels());
        let whole = fs::read(store.path("set")).unwrap();
        for length in [0, 10, START - 1, START, whole.len() / 2, whole.len() - 1] {
            fs::write(store.path("set"), &whole[..length]).unwrap();
            assert!(store.open("set").is_none(), "{length} bytes");
        }
        for place in [3, 20, 50, 90, 120, START, START + BLOCK + 5, whole.len() - 1] {
            let mut spoilt = whole.clone();
            spoilt[place] ^= 1;
            fs::write(store.path("set"), spoilt).unwrap();
            assert!(store.open("set").is_none(), "byte {place}");
        }
        fs::write(store.path("set"), whole).unwrap();
        assert!(store.open("set").is_some());
    }

    #[test]
    fn what_is_not_finished_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        let mut draft = store.create("set", 200, SHAPE).unwrap();
        draft.write(&[1; 100]).unwrap();
        assert!(draft.keep().is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        fs::write(folder.path().join("file"), "").unwrap();
        let error = Store::at(folder.path().join("file/inside")).create("set", 1, SHAPE).err().unwrap();
        assert!(error.help.unwrap().contains("`memory: true`"));
    }
}
