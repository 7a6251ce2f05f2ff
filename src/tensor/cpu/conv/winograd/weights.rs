//! Weights, transformed.
#![allow(unsafe_code)] // Kernels take pointers; the plans below keep them inside their buffers.

use std::ops::Range;

use rayon::prelude::*;

use super::kernel::Transforms;
use super::shape::{Phase, Shape};
use crate::tensor::cpu::buffer::{Aligned, SharedMut, with_scratch};
use crate::tensor::cpu::conv::kernel::Kernels;
use crate::tensor::cpu::real::Real;

/// Inputs whose kernels are brought into vectors at a time.
const TOGETHER: usize = 16;

/// The weights of a convolution, and how they are transformed.
pub struct Maker<'a, T: 'static> {
    /// `[co][ci][taps]`, or `[ci][co][taps]` for the gradient of a convolution's input.
    w: &'a [T],
    s: &'a Shape,
    phases: Vec<Phase>,
    kernels: &'a Kernels<T>,
    transforms: &'a Transforms<T>,
}

/// Where transformed weights are written.
struct Place<T> {
    at: *mut T,
    /// Elements from one phase of the output to the next, from one place to the next, and from one row to the next.
    phase: usize,
    plane: usize,
    row: usize,
}

impl<'a, T: Real> Maker<'a, T> {
    /// Of `w`, `[co][ci][taps]`, or `[ci][co][taps]` for the gradient of a convolution's input.
    pub fn new(w: &'a [T], s: &'a Shape, kernels: &'a Kernels<T>, transforms: &'a Transforms<T>) -> Self {
        Self { w, s, phases: s.phases().1, kernels, transforms }
    }

    fn scratch_len(&self) -> usize {
        let (size, taps) = (self.s.kernel * self.s.kernel, self.transforms.taps);
        (TOGETHER * size + taps * taps) * self.kernels.lanes
    }

    /// Transforms the kernels between some inputs and the vector of outputs that starts at `first`: a row for each phase of the
    /// input of each channel.
    ///
    /// # Safety
    /// There are such rows at `to`, for each phase of the output and each place.
    unsafe fn vector(&self, inputs: Range<usize>, first: usize, to: &Place<T>, scratch: &mut [T]) {
        let (s, lanes) = (self.s, self.kernels.lanes);
        let size = s.kernel * s.kernel;
        let (all, taps) = scratch.split_at_mut(TOGETHER * size * lanes);
        let taps = &mut taps[..self.transforms.taps * self.transforms.taps * lanes];
        let channels = (s.co - first).min(lanes);
        let together = if s.turned { 1 } else { TOGETHER };
        for start in inputs.clone().step_by(together) {
            let count = together.min(inputs.end - start);
            let (from, pitch) = if s.turned { (start * s.co + first, 1) } else { (first * s.ci + start, s.ci) };
            let from = self.w[from * size..].as_ptr();
            // SAFETY: reads `count * size` values from each of `channels` kernels, `pitch` of them apart.
            unsafe {
                (self.kernels.transpose)(from, pitch * size, channels, count * size, all.as_mut_ptr(), lanes);
            }
            for (c, all) in all.chunks_exact(size * lanes).take(count).enumerate() {
                for (p, Phase { taps: found, .. }) in self.phases.iter().enumerate() {
                    for (tap, found) in taps.chunks_exact_mut(lanes).zip(found) {
                        match found {
                            Some(at) => tap.copy_from_slice(&all[at * lanes..][..lanes]),
                            None => tap.fill(T::ZERO),
                        }
                    }
                    let c = start - inputs.start + c;
                    let (output, row) = if s.turned { (p, c) } else { (0, row_of(c, p, self.phases.len(), lanes)) };
                    // SAFETY: the caller's contract.
                    unsafe {
                        (self.transforms.kernel)(taps.as_ptr(), to.at.add(output * to.phase + row * to.row), to.plane);
                    }
                }
            }
        }
    }
}

/// The row of a phase of input channel `c`: the phases of a vector of channels lie side by side.
pub fn row_of(c: usize, phase: usize, phases: usize, lanes: usize) -> usize {
    (c / lanes * phases + phase) * lanes + c % lanes
}

/// Transformed weights: for each phase of the output and each place, blocks of two vectors of output channels (or one, the last),
/// each `[row][channel]`.
pub struct Weights<T: Real> {
    data: Aligned<T>,
    /// Rows of a block: a phase of the input of a channel each.
    pub rows: usize,
    /// Elements from one place to the next.
    plane: usize,
    places: usize,
}

impl<T: Real> Weights<T> {
    /// All of them.
    pub fn new(maker: &Maker<'_, T>) -> Self {
        let (s, lanes, places) = (maker.s, maker.kernels.lanes, maker.transforms.places());
        let [inputs, outputs] = s.phase_counts();
        let (rows, wide) = (inputs * s.ci, s.co.next_multiple_of(lanes));
        // Places whose distance is a power of two would all fall on the same lines of the first-level cache.
        let plane = rows * wide + lanes;
        // SAFETY: each row of each block is written below; what lies between planes is not read.
        let mut data = unsafe { Aligned::<T>::uninit(outputs * places * plane) };
        let shared = SharedMut::new(&mut data);
        let make = |inputs: Range<usize>, vectors: Range<usize>| {
            with_scratch::<T, _>(maker.scratch_len(), |scratch| {
                for first in vectors.map(|vector| vector * lanes) {
                    let (block, half) = (first / (2 * lanes) * 2 * lanes, first % (2 * lanes));
                    let width = (wide - block).min(2 * lanes);
                    // SAFETY: the block lies in the data; its rows of these inputs and lanes are written this once.
                    unsafe {
                        let at = shared.get().add(block * rows + inputs.start * width + half);
                        let to = Place { at, phase: places * plane, plane, row: width };
                        maker.vector(inputs.clone(), first, &to, scratch);
                    }
                }
            });
        };
        // Kernels are read in the order in which they lie.
        let vectors = wide / lanes;
        if s.turned {
            (0..s.ci).into_par_iter().with_min_len(s.ci.div_ceil(64)).for_each(|c| make(c..c + 1, 0..vectors));
        } else {
            (0..vectors).into_par_iter().for_each(|vector| make(0..s.ci, vector..vector + 1));
        }
        Self { data, rows, plane, places }
    }

    /// The block that starts at channel `first`, for a phase of the output and at a place.
    pub fn block(&self, phase: usize, place: usize, first: usize) -> &[T] {
        &self.data[(phase * self.places + place) * self.plane + first * self.rows..]
    }
}

/// Weights between some inputs and one block of outputs, made where they are used: for each phase of the output and each place
/// `[row][channel]`.
pub struct Part<'a, T: 'static> {
    maker: &'a Maker<'a, T>,
    /// Input channels of a part: whole vectors.
    pub inputs: usize,
}

/// Bytes of weights that stay in the second-level cache while the tiles go by.
const PART: usize = 400 * 1024;

impl<'a, T: Real> Part<'a, T> {
    pub fn new(maker: &'a Maker<'a, T>) -> Self {
        let (lanes, [inputs, outputs]) = (maker.kernels.lanes, maker.s.phase_counts());
        let one = inputs * outputs * maker.transforms.places() * 2 * lanes * size_of::<T>();
        let inputs = (PART / one / lanes * lanes).clamp(lanes, maker.s.ci.next_multiple_of(lanes));
        Self { maker, inputs }
    }

    /// Elements of a part with all phases of the output, and of the scratch memory that making it takes.
    pub fn lengths(&self) -> [usize; 2] {
        let [_, outputs] = self.maker.s.phase_counts();
        [outputs * self.maker.transforms.places() * self.plane(), self.maker.scratch_len()]
    }

    /// Elements from one place to the next.
    fn plane(&self) -> usize {
        let ([inputs, _], lanes) = (self.maker.s.phase_counts(), self.maker.kernels.lanes);
        inputs * self.inputs * 2 * lanes + lanes
    }

    /// Makes those of `inputs` for the `width` outputs from `first` on.
    pub fn make(&self, inputs: Range<usize>, first: usize, width: usize, to: &mut [T], scratch: &mut [T]) {
        let plane = self.plane();
        for half in (0..width).step_by(self.maker.kernels.lanes) {
            let at = to[half..].as_mut_ptr();
            let to = Place { at, phase: self.maker.transforms.places() * plane, plane, row: width };
            // SAFETY: a part has as many rows, and `to` as many phases and places.
            unsafe { self.maker.vector(inputs.clone(), first + half, &to, scratch) };
        }
    }

    /// The elements of a part before those of a phase of the output, at a place.
    pub fn at(&self, phase: usize, place: usize) -> usize {
        (phase * self.maker.transforms.places() + place) * self.plane()
    }
}
