//! Memory for kernels: outputs that are written once, scratch that each thread keeps, and malloc's settings.
#![allow(unsafe_code)] // Outputs are not zeroed before kernels write them: a memory pass each, a tenth of a step.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use rayon::prelude::*;

use super::real::Real;

/// Elements that make a parallel task worth its start: some 10 microseconds of memory traffic.
pub const GRAIN: usize = 16 * 1024;

/// An empty vector with room for `len` elements, which, if they are many, lie in pages of 2 MiB where the system has them: the
/// processor looks up fewer addresses, a fifth of the time of a pass over memory.
pub fn with_room<T>(len: usize) -> Vec<T> {
    let data = Vec::with_capacity(len);
    #[cfg(target_os = "linux")]
    {
        const PAGE: usize = 2 << 20;
        let start = (data.as_ptr() as usize).next_multiple_of(PAGE);
        let end = (data.as_ptr() as usize + len * size_of::<T>()) / PAGE * PAGE;
        if end > start {
            // SAFETY: the range lies in the vector's own memory, and advice changes no value. A refusal changes nothing either.
            unsafe {
                libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_HUGEPAGE);
            }
        }
    }
    data
}

/// A vector of `len` elements whose values are not set.
///
/// # Safety
/// The caller writes every element before anything reads it.
#[allow(clippy::uninit_vec)] // The contract above is the point of this function.
pub unsafe fn uninit<T: Real>(len: usize) -> Vec<T> {
    let mut data = with_room(len);
    // SAFETY: the capacity is `len`; the caller promises to write before reading.
    unsafe { data.set_len(len) };
    data
}

/// Asks for memory that is read later. Any address will do.
#[inline(always)]
pub fn prefetch<T>(from: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of an address that is not there does nothing.
    unsafe {
        std::arch::x86_64::_mm_prefetch(from.cast(), std::arch::x86_64::_MM_HINT_T0);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = from;
}

/// Calls `f(i, plane)` for each `len`-element plane of `out`, on all cores. The last plane may be shorter.
///
/// Planes shorter than [`GRAIN`] are batched, so that small ones cost no task each.
pub fn for_planes<T: Send>(out: &mut [T], len: usize, f: impl Fn(usize, &mut [T]) + Sync + Send) {
    if len == 0 || out.is_empty() {
        return;
    }
    if out.len() <= GRAIN {
        out.chunks_mut(len).enumerate().for_each(|(i, plane)| f(i, plane));
        return;
    }
    out.par_chunks_mut(len).with_min_len((GRAIN / len).max(1)).enumerate().for_each(|(i, plane)| f(i, plane));
}

/// Calls `f(i)` for `i` in `0..count` on all cores and collects in order; `work` is the elements that one call reads.
pub fn map_planes<R: Send>(count: usize, work: usize, f: impl Fn(usize) -> R + Sync + Send) -> Vec<R> {
    if count * work <= GRAIN {
        return (0..count).map(f).collect();
    }
    (0..count).into_par_iter().with_min_len((GRAIN / work.max(1)).max(1)).map(f).collect()
}

/// A mutable pointer that threads may share, each writing its own elements.
#[derive(Clone, Copy)]
pub struct SharedMut<T>(*mut T);

// SAFETY: a pointer alone reads and writes nothing; who dereferences it says why no element is shared.
unsafe impl<T> Send for SharedMut<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for SharedMut<T> {}

impl<T> SharedMut<T> {
    /// A pointer to the first element of `data`.
    pub fn new(data: &mut [T]) -> Self {
        Self(data.as_mut_ptr())
    }

    /// The pointer.
    pub fn get(&self) -> *mut T {
        self.0
    }
}

/// A cache line: what scratch memory is aligned to, so that aligned vectors do not straddle two lines.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line(#[allow(dead_code)] [u8; 64]);

/// Floats that start on a cache line.
pub struct Aligned<T> {
    lines: Vec<Line>,
    len: usize,
    of: PhantomData<T>,
}

impl<T: Real> Aligned<T> {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        let lines = vec![Line([0; 64]); (len * size_of::<T>()).div_ceil(size_of::<Line>())];
        Self { lines, len, of: PhantomData }
    }

    /// `len` elements whose values are not set.
    ///
    /// # Safety
    /// The caller writes every element that is read.
    #[allow(clippy::uninit_vec)] // The contract above is the point of this function.
    pub unsafe fn uninit(len: usize) -> Self {
        let count = (len * size_of::<T>()).div_ceil(size_of::<Line>());
        let mut lines = with_room(count);
        // SAFETY: the capacity is `count`; the caller promises to write before reading.
        unsafe { lines.set_len(count) };
        Self { lines, len, of: PhantomData }
    }

    /// Makes room for `len` elements; new ones are 0, old ones keep their values.
    fn resize(&mut self, len: usize) {
        let needed = (len * size_of::<T>()).div_ceil(size_of::<Line>());
        if self.lines.len() < needed {
            self.lines.resize(needed, Line([0; 64]));
        }
        self.len = len;
    }
}

impl<T: Real> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the lines are initialised bytes that hold `len` elements, and any bytes are a float.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast::<T>(), self.len) }
    }
}

impl<T: Real> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast::<T>(), self.len) }
    }
}

thread_local! {
    static SCRATCH: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// Calls `f` with `len` elements of scratch memory that this thread keeps for the next call.
///
/// The values are whatever the last user left: initialised, but of no meaning.
pub fn with_scratch<T: Real, R>(len: usize, f: impl FnOnce(&mut [T]) -> R) -> R {
    // Taken out, not borrowed: should `f` come here again on this thread, it finds an empty vector and grows its own.
    let lines = SCRATCH.with(|scratch| std::mem::take(&mut *scratch.borrow_mut()));
    let mut memory = Aligned { lines, len: 0, of: PhantomData };
    memory.resize(len);
    let result = f(&mut memory);
    SCRATCH.with(|scratch| *scratch.borrow_mut() = memory.lines);
    result
}

/// Makes malloc keep the memory that a training step frees, instead of returning it to the kernel and
/// faulting it in again at the next step: 5x on element-wise work. Called once, first thing in `main`.
///
/// One arena for all threads: only the main arena grows without a limit on the size of a block, and the
/// script, which allocates all the tensors, does not run on the main thread.
pub fn tune_allocator() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt sets process-wide numbers and is called before other threads start.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plane_is_visited_once_with_its_index() {
        for (planes, len) in [(3, 5), (1, 100_000), (70_000, 1), (5, 20_000)] {
            let mut out = vec![0usize; planes * len];
            for_planes(&mut out, len, |i, plane| plane.iter_mut().for_each(|v| *v += i + 1));
            assert!(out.iter().enumerate().all(|(k, &v)| v == k / len + 1));
        }
    }

    #[test]
    fn scratch_is_aligned_and_survives_nesting() {
        with_scratch::<f32, _>(100, |outer| {
            outer.fill(1.0);
            with_scratch::<f64, _>(50, |inner| inner.fill(2.0));
            assert!(outer.iter().all(|&v| v == 1.0));
            assert_eq!(outer.as_ptr() as usize % 64, 0);
        });
    }
}
