//! Memory that two processes see: files of a folder that lives in memory, mapped on both sides.
//!
//! Each side writes into files of its own and reads those of the other, by turns. A file that is too small is followed by
//! a larger one under the next number.

use std::fs::{File, OpenOptions};
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::WithDType;
use memmap2::{Mmap, MmapMut};
use rayon::prelude::*;

/// Numbers begin at multiples of this, so that every type can be read where it lies.
pub const ALIGN: usize = 64;

/// A part of memory that another process wrote, or a `Vec` of this one.
#[derive(Clone)]
pub struct Bytes {
    holder: Holder,
    at: usize,
    length: usize,
}

#[derive(Clone)]
enum Holder {
    Shared(Arc<Mmap>),
    Own(Arc<dyn Numbers>),
}

/// A `Vec` of numbers, as bytes.
pub trait Numbers: Send + Sync {
    /// The bytes of the numbers.
    fn as_bytes(&self) -> &[u8];
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.length)
    }
}

impl Bytes {
    /// The bytes of numbers of this process.
    pub fn own(numbers: impl Numbers + 'static) -> Self {
        let length = numbers.as_bytes().len();
        Self { holder: Holder::Own(Arc::new(numbers)), at: 0, length }
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        let whole: &[u8] = match &self.holder {
            Holder::Shared(map) => map,
            Holder::Own(numbers) => numbers.as_bytes(),
        };
        &whole[self.at..self.at + self.length]
    }
}

/// What the other side writes into.
#[derive(Default)]
pub struct Theirs {
    open: Option<(u64, usize, Arc<Mmap>)>,
}

impl Theirs {
    /// The bytes at a place of the file with this number, which has so many.
    pub fn at(&mut self, folder: &Path, number: u64, size: usize, at: usize, length: usize) -> Result<Bytes, String> {
        if self.open.as_ref().is_none_or(|(open, had, _)| *open != number || *had < size) {
            let path = folder.join(format!("in-{number}"));
            let file = File::open(&path).map_err(|error| format!("cannot open `{}`: {error}", path.display()))?;
            // SAFETY: the other side writes here only while it is not its turn to wait for us, and never shortens the file.
            let map = unsafe { Mmap::map(&file) }.map_err(|error| error.to_string())?;
            self.open = Some((number, map.len(), Arc::new(map)));
        }
        match &self.open {
            Some((_, size, map)) if at + length <= *size => {
                Ok(Bytes { holder: Holder::Shared(Arc::clone(map)), at, length })
            }
            _ => Err("a tensor lies beyond the end of its file".into()),
        }
    }
}

/// What this side writes into.
pub struct Ours {
    folder: PathBuf,
    number: u64,
    map: Option<MmapMut>,
    used: usize,
}

impl Ours {
    /// Files in `folder`.
    pub fn new(folder: &Path) -> Self {
        // A process that was started again does not write into files that the one before it wrote.
        Self { folder: folder.to_path_buf(), number: u64::from(std::process::id()) << 20, map: None, used: 0 }
    }

    /// Forgets what was written, which the other side has read.
    pub fn clear(&mut self) {
        self.used = 0;
    }

    /// Makes room for so many bytes in all, before any is written.
    pub fn reserve(&mut self, bytes: usize) -> Result<(), String> {
        if self.map.as_ref().is_some_and(|map| map.len() >= bytes) {
            return Ok(());
        }
        let size = bytes.next_power_of_two().max(1 << 16);
        let old = self.path();
        self.map = None;
        let _ = std::fs::remove_file(old);
        self.number += 1;
        let path = self.path();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .map_err(|error| format!("cannot make `{}`: {error}", path.display()))?;
        file.set_len(size as u64).map_err(|error| format!("no room for {size} bytes: {error}"))?;
        // SAFETY: the file is ours; the other side reads it only while we wait.
        self.map = Some(unsafe { MmapMut::map_mut(&file) }.map_err(|error| error.to_string())?);
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.folder.join(format!("out-{}", self.number))
    }

    /// Where the next bytes go: room must have been made.
    pub fn next(&mut self, length: usize) -> Result<(usize, &mut [u8]), String> {
        let at = self.used;
        self.used += length.next_multiple_of(ALIGN);
        let map = self.map.as_mut().ok_or("no room was made")?;
        map.get_mut(at..at + length).map(|part| (at, part)).ok_or_else(|| "too little room was made".into())
    }

    /// The number of the file, and its size.
    pub fn place(&self) -> (u64, usize) {
        (self.number, self.map.as_ref().map_or(0, |map| map.len()))
    }
}

/// Numbers that lie in memory, in a `Vec` of their own.
pub fn numbers<T: WithDType>(bytes: &[u8]) -> Vec<T> {
    let count = bytes.len() / size_of::<T>();
    let mut numbers: Vec<T> = Vec::with_capacity(count);
    // SAFETY: there is room for so many numbers, whose bytes may be any, and all of them are written before they count.
    unsafe {
        let place = numbers.spare_capacity_mut();
        let place = std::slice::from_raw_parts_mut(place.as_mut_ptr().cast(), count * size_of::<T>());
        spread_to(&bytes[..place.len()], place);
        numbers.set_len(count);
    }
    numbers
}

/// Copies bytes to as many.
pub fn spread(from: &[u8], to: &mut [u8]) {
    // SAFETY: nothing but bytes is written there.
    let to = unsafe { std::slice::from_raw_parts_mut(to.as_mut_ptr().cast(), to.len()) };
    spread_to(from, to);
}

/// Copies bytes, many of them on several threads: one alone does not fill the memory's bandwidth.
fn spread_to(from: &[u8], to: &mut [MaybeUninit<u8>]) {
    const PART: usize = 1 << 20;
    let copy = |(to, from): (&mut [MaybeUninit<u8>], &[u8])| {
        to.write_copy_of_slice(from);
    };
    if from.len() <= 2 * PART {
        copy((to, from));
    } else {
        to.par_chunks_mut(PART).zip(from.par_chunks(PART)).for_each(copy);
    }
}
