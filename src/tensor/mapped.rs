//! A file seen as bytes in memory: the system reads what is looked at, and forgets it when memory is short.

use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

/// The bytes of a file that nobody changes while it is in use.
#[derive(Debug)]
pub struct Mapped(Mmap);

impl Mapped {
    /// The file at `path` as it is now. It must stay as it is: whoever makes a new one writes another file and renames
    /// it, which leaves this one to those who use it.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the bytes of a map are sound to read as long as no one shortens or writes the file under it. The files
        // that come here are those of our own cache: they are written under another name, renamed once they are whole,
        // and never opened for writing again.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }?;
        Ok(Self(map))
    }
}

impl Deref for Mapped {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}
