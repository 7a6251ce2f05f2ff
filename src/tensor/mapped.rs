//! A file seen as bytes in memory: the system reads what is looked at, and forgets it when memory is short.

use std::fs::File;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::path::Path;

use candle_core::WithDType;
use memmap2::{Mmap, MmapMut};
use rayon::prelude::*;

use super::value::{Tensor, from_cpu, with_slice};
use super::{DType, Device};
use crate::error::{Error, Result};

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

/// Bytes that another process sees too: a file that both have in memory, of which one writes and the other reads, by turns.
#[derive(Debug)]
pub struct SharedBytes(MmapMut);

impl SharedBytes {
    /// A new file of so many bytes at `path`.
    pub fn create(path: &Path, bytes: usize) -> std::io::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        file.set_len(bytes as u64)?;
        Self::map(&file)
    }

    /// The file at `path`, which another process has made.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        Self::map(&File::options().read(true).write(true).open(path)?)
    }

    fn map(file: &File) -> std::io::Result<Self> {
        // SAFETY: the two processes take turns: each message hands the bytes over, and whoever sent it waits for the answer.
        // Neither shortens the file.
        #[allow(unsafe_code)]
        let map = unsafe { MmapMut::map_mut(file) }?;
        Ok(Self(map))
    }

    /// The number of bytes.
    #[allow(clippy::len_without_is_empty)] // It is made with bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Writes the values of a tensor in row-major order from byte `at` on; how many bytes they take.
    ///
    /// # Errors
    /// There is no room for them.
    pub fn put(&mut self, at: usize, tensor: &Tensor) -> Result<usize> {
        let tensor = tensor.detach().to_device(&Device::Cpu)?;
        let length = tensor.elements() * tensor.dtype().size_in_bytes();
        let place = self.0.get_mut(at..at + length).ok_or_else(|| Error::bug("too little memory was shared"))?;
        fn copy<T: WithDType>(tensor: &Tensor, place: &mut [u8]) -> Result<()> {
            with_slice::<T, _>(tensor.raw(), |values| {
                // SAFETY: the values are numbers, which have no padding, and a byte may lie anywhere.
                #[allow(unsafe_code)]
                let (bytes, place) = unsafe {
                    let bytes = std::slice::from_raw_parts(values.as_ptr().cast(), std::mem::size_of_val(values));
                    (bytes, std::slice::from_raw_parts_mut(place.as_mut_ptr().cast(), place.len()))
                };
                spread(bytes, place);
                Ok(())
            })
        }
        match tensor.dtype() {
            DType::F32 => copy::<f32>(&tensor, place)?,
            DType::F64 => copy::<f64>(&tensor, place)?,
            DType::I64 => copy::<i64>(&tensor, place)?,
            DType::U32 => copy::<u32>(&tensor, place)?,
            DType::U8 => copy::<u8>(&tensor, place)?,
            other => return Err(Error::new(format!("a tensor of {} cannot be shared", other.as_str()))),
        }
        Ok(length)
    }

    /// The tensor whose values lie from byte `at` on.
    ///
    /// # Errors
    /// It goes on beyond the end.
    pub fn get(&self, at: usize, dtype: DType, dims: &[usize], device: &Device) -> Result<Tensor> {
        let elements: usize = dims.iter().product();
        let length = elements * dtype.size_in_bytes();
        let bytes = self.0.get(at..at + length).ok_or_else(|| Error::bug("a shared tensor goes on beyond its end"))?;
        fn copied<T: WithDType>(bytes: &[u8], elements: usize, dims: &[usize]) -> Result<Tensor> {
            let mut values: Vec<T> = Vec::with_capacity(elements);
            // SAFETY: there is room for so many numbers, whose bytes may be any, and all of them are written before they count.
            #[allow(unsafe_code)]
            unsafe {
                let place = std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), bytes.len());
                spread(bytes, place);
                values.set_len(elements);
            }
            Ok(Tensor::from_raw(from_cpu(values, dims)?))
        }
        let tensor = match dtype {
            DType::F32 => copied::<f32>(bytes, elements, dims)?,
            DType::F64 => copied::<f64>(bytes, elements, dims)?,
            DType::I64 => copied::<i64>(bytes, elements, dims)?,
            DType::U32 => copied::<u32>(bytes, elements, dims)?,
            DType::U8 => copied::<u8>(bytes, elements, dims)?,
            other => return Err(Error::new(format!("a tensor of {} cannot be shared", other.as_str()))),
        };
        tensor.to_device(device)
    }
}

/// Copies bytes, many of them on several threads: one alone does not fill the memory's bandwidth.
fn spread(from: &[u8], to: &mut [MaybeUninit<u8>]) {
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
