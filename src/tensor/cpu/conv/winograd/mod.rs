//! Convolution by Winograd's minimal filtering (Lavin & Gray 2015, arXiv:1509.09308): with 3 x 3 kernels and a stride of 1, 4 x 4
//! outputs from 36 products where the direct way takes 144. Kernels of up to 6 x 6 with a stride of 2 are [taken apart](shape)
//! into four of 3 x 3, or of 2 x 2, for which 4 x 4 outputs take 25 products in place of 64.
//!
//! Tiles of 6 x 6 (or 5 x 5) inputs are transformed, for each of as many places a matrix of `[tile][channel]` is multiplied with one
//! of weights, and what comes is transformed into 4 x 4 outputs. All of a task's tiles stay in the second-level cache. Errors
//! are about twice those of the direct way: `tests.rs` states and holds them.
#![allow(unsafe_code)] // Kernels take pointers; the plans below keep them inside their buffers.

mod kernel;
mod line;
mod shape;
mod tiles;
mod weight;

#[cfg(test)]
mod tests;

use std::ops::Range;

use rayon::prelude::*;

pub use kernel::{Transforms, Winograd};
pub use shape::{Shape, Sought};
pub use weight::gradient;

use super::kernel::Kernels;
use super::product::Product;
use crate::tensor::cpu::buffer::{Aligned, SharedMut, with_scratch};
use crate::tensor::cpu::conv::place::Place;
use crate::tensor::cpu::real::Real;
use kernel::TILE;
use shape::Phase;
use tiles::{Channels, Cut, Patches, each_tile, evenly};

/// Transformed weights: for each phase of the output and each place, blocks of two vectors of output channels (or one, the last),
/// each `[phase of the input][ci][channel]`.
pub struct Weights<T: Real> {
    data: Aligned<T>,
    /// Rows of a block.
    rows: usize,
    /// Elements from one place to the next.
    plane: usize,
    places: usize,
}

impl<T: Real> Weights<T> {
    /// Those of `w`, `[co][ci][taps]`, or `[ci][co][taps]` for the gradient of a convolution's input.
    pub fn new(w: &[T], s: &Shape, kernels: &Kernels<T>, transforms: &Transforms<T>) -> Self {
        let (lanes, places, size) = (kernels.lanes, transforms.places(), s.kernel * s.kernel);
        let ([inputs, outputs], (_, phases)) = (s.phase_counts(), s.phases());
        let (rows, wide) = (inputs * s.ci, s.co.next_multiple_of(lanes));
        // Places whose distance is a power of two would all fall on the same lines of the first-level cache.
        let plane = rows * wide + lanes;
        let mut data = Aligned::<T>::zeros(outputs * places * plane);
        let shared = SharedMut::new(&mut data);
        // Transforms the kernels between an input and a vector of outputs, `all` of whose taps lie one vector after the other.
        let one = |c: usize, vector: usize, all: &[T], taps: &mut [T]| {
            let first = vector * lanes;
            let (block, half) = (first / (2 * lanes) * 2 * lanes, first % (2 * lanes));
            let width = (wide - block).min(2 * lanes);
            for (p, Phase { taps: found, .. }) in phases.iter().enumerate() {
                for (tap, found) in taps.chunks_exact_mut(lanes).zip(found) {
                    match found {
                        Some(at) => tap.copy_from_slice(&all[at * lanes..][..lanes]),
                        None => tap.fill(T::ZERO),
                    }
                }
                let (output, row) = if s.turned { (p, c) } else { (0, p * s.ci + c) };
                // SAFETY: these lanes of this row at each place are written this once.
                unsafe {
                    let to = shared.get().add(output * places * plane + block * rows + row * width + half);
                    (transforms.kernel)(taps.as_ptr(), to, plane);
                }
            }
        };
        // Kernels are read in the order in which they lie.
        let vectors = wide / lanes;
        let tasks = if s.turned { s.ci } else { vectors };
        (0..tasks).into_par_iter().with_min_len(tasks.div_ceil(64)).for_each(|task| {
            let together = if s.turned { 1 } else { TOGETHER.min(s.ci) };
            with_scratch::<T, _>((together * size + transforms.taps * transforms.taps) * lanes, |scratch| {
                let (all, taps) = scratch.split_at_mut(together * size * lanes);
                let transpose = |all: &mut [T], from: usize, pitch: usize, channels: usize, count: usize| {
                    let from = w[from * size..].as_ptr();
                    // SAFETY: reads `count * size` values from each of `channels` kernels, `pitch` of them apart.
                    unsafe {
                        (kernels.transpose)(from, pitch * size, channels, count * size, all.as_mut_ptr(), lanes);
                    }
                };
                if s.turned {
                    for vector in 0..vectors {
                        let first = vector * lanes;
                        transpose(all, task * s.co + first, 1, (s.co - first).min(lanes), 1);
                        one(task, vector, all, taps);
                    }
                    return;
                }
                let first = task * lanes;
                for start in (0..s.ci).step_by(together) {
                    let count = together.min(s.ci - start);
                    transpose(all, first * s.ci + start, s.ci, (s.co - first).min(lanes), count);
                    for (c, all) in all.chunks_exact(size * lanes).take(count).enumerate() {
                        one(start + c, task, all, taps);
                    }
                }
            });
        });
        Self { data, rows, plane, places }
    }

    /// The block that starts at channel `first`, for a phase of the output and at a place.
    fn block(&self, phase: usize, place: usize, first: usize) -> &[T] {
        &self.data[(phase * self.places + place) * self.plane + first * self.rows..]
    }
}

/// Inputs whose kernels are brought into vectors at a time.
const TOGETHER: usize = 16;
/// Bytes of transformed tiles of one task: what the second-level cache holds beside weights.
const BUDGET: usize = 900 * 1024;
/// Pixels of a vector of channels that are written to the output at a time.
const BURST: usize = 128;

/// What is done with the sums of each channel.
pub struct Finish<'a, T> {
    /// What is added, whole vectors of channels.
    pub bias: &'a [T],
    /// What smaller sums become.
    pub least: T,
}

/// Correlates `x`, `[n, ci, input]`, and finishes the sums, giving `[n, co, output]` at `place`.
pub fn run<T: Real>(
    x: &[T],
    weights: &Weights<T>,
    Finish { bias, least }: Finish<'_, T>,
    s: &Shape,
    kernels: &Kernels<T>,
    transforms: &Transforms<T>,
    place: &Place<T>,
) {
    // Each task writes every output of its images and rows, and tasks cover them all.
    let (lanes, places, tile_size) = (kernels.lanes, transforms.places(), s.tile());
    let ([_, outputs], (before, phases)) = (s.phase_counts(), s.phases());
    let one = s.ci.next_multiple_of(lanes);
    let pitch = phases.len() * one;
    let co = s.co.next_multiple_of(lanes);
    let block = 2 * lanes;
    let most = BUDGET / (places * (pitch + block) * size_of::<T>());
    let cut = Cut::new(s, most.max(kernels.rows), 2 * rayon::current_num_threads());
    // Places whose distance is a power of two would all fall on the same lines of the first-level cache.
    let plane = cut.tiles() * pitch + lanes;
    let sums = cut.tiles() * block + lanes;
    let [patch_rows, patch_columns] = [cut.rows, cut.columns].map(|tiles| s.reach(tiles, transforms));
    let patches = Patches { rows: patch_rows, columns: patch_columns, before, tile: TILE * s.input_step() };
    let (pixel_rows, pixel_columns) = (cut.rows * tile_size, cut.columns * tile_size);
    let stage_pixels = cut.images * pixel_rows * pixel_columns;
    let pixels_len = if outputs > 1 { 2 } else { 1 } * stage_pixels * lanes;
    let dense_len = patches.rows * s.input[1] * lanes;
    let stage_len = pixels_len.max(dense_len);
    let patches_len = patches.len(cut.images, lanes);

    (0..cut.count(s)).into_par_iter().for_each(|task| {
        let (images, rows) = cut.part(s, task);
        let tiles = images.len() * rows.len() * cut.columns;
        let lengths = [places * plane, places * sums, patches_len, stage_len, lanes * (BURST + lanes)];
        with_scratch::<T, _>(lengths.iter().sum(), |scratch| {
            let (v, rest) = scratch.split_at_mut(lengths[0]);
            let (m, rest) = rest.split_at_mut(lengths[1]);
            let (padded, rest) = rest.split_at_mut(lengths[2]);
            let (stage, bounce) = rest.split_at_mut(lengths[3]);
            padded.fill(T::ZERO);
            for first in (0..s.ci).step_by(lanes) {
                let channels = first..(first + lanes).min(s.ci);
                let planes = Channels { data: x, of: s.ci, size: s.input, images: images.clone(), channels };
                patches.fill(&planes, rows.start * patches.tile, kernels, padded, stage);
                let pixel = [patches.columns, 1].map(|pixels| pixels * s.input_step() * lanes);
                for (p, Phase { offset: [down, right], .. }) in phases.iter().enumerate() {
                    let padded = &padded[(down * patches.columns + right) * lanes..];
                    each_tile([images.len(), rows.len(), cut.columns], |tile, k, row, column| {
                        let from = padded[patches.at(k, row, column, lanes)..].as_ptr();
                        let to = v[tile * pitch + p * one + first..].as_mut_ptr();
                        // SAFETY: the patches hold the pixels of every tile, the planes a vector of each.
                        unsafe { (transforms.input)(from, pixel, to, plane) };
                    });
                }
            }
            for first in (0..co).step_by(block) {
                let width = (co - first).min(block);
                for phase in 0..outputs {
                    for at in 0..places {
                        let b = weights.block(phase, at, first).as_ptr();
                        evenly(tiles, kernels.rows, |start, count| {
                            let product = Product {
                                a: v[at * plane + start * pitch + phase * one..].as_ptr(),
                                a_row: pitch,
                                a_step: 1,
                                terms: weights.rows,
                                b,
                                b_row: width,
                                c: m[at * sums + start * width..].as_mut_ptr(),
                                c_row: width,
                                add: false,
                                start: std::ptr::null(),
                                least: T::NEG_INFINITY,
                            };
                            // SAFETY: the rows are tiles of this task, and the block is as wide.
                            unsafe { (kernels.product)(&product, count, width / lanes) };
                        });
                    }
                    let (y, x) = (phase / s.output_step(), phase % s.output_step());
                    let pixel = [pixel_columns, 1].map(|pixels| pixels * s.output_step() * lanes);
                    for part in (0..width).step_by(lanes).take_while(|part| first + part < s.co) {
                        let stage = &mut stage[if outputs > 1 { part * stage_pixels } else { 0 }..];
                        let corner = &mut stage[(y * pixel_columns + x) * lanes..];
                        each_tile([images.len(), rows.len(), cut.columns], |tile, k, row, column| {
                            let from = m[tile * width + part..].as_ptr();
                            let at = (k * pixel_rows + row * tile_size) * pixel_columns + column * tile_size;
                            let to = corner[at * lanes..].as_mut_ptr();
                            // SAFETY: the planes hold every tile, the stage all pixels of each.
                            unsafe {
                                let bias = bias[first + part..].as_ptr();
                                (transforms.output)(from, sums, bias, least, to, pixel);
                            }
                        });
                        if phase + 1 == outputs {
                            let top = rows.start * tile_size;
                            let band = Band {
                                pixels: stage,
                                size: [pixel_rows, pixel_columns],
                                images: images.clone(),
                                channels: first + part..(first + part + lanes).min(s.co),
                                rows: top..(rows.end * tile_size).min(s.output[0]),
                                width: s.output[1],
                            };
                            band.write(place, kernels, bounce);
                        }
                    }
                }
            }
        });
    });
}

/// Some rows of some channels (a vector at most) of some images of the output.
struct Band<'a, T> {
    /// Pixels with a vector of channels each.
    pixels: &'a [T],
    /// Rows of pixels of an image, and pixels of a row.
    size: [usize; 2],
    images: Range<usize>,
    channels: Range<usize>,
    rows: Range<usize>,
    /// Pixels of a row of the output.
    width: usize,
}

impl<T: Real> Band<'_, T> {
    /// Writes the pixels to their planes, by way of `bounce`, which holds a burst of each channel.
    fn write(&self, place: &Place<T>, kernels: &Kernels<T>, bounce: &mut [T]) {
        let (lanes, [pixel_rows, pixel_columns], width) = (kernels.lanes, self.size, self.width);
        let (channels, height) = (self.channels.len(), self.rows.len());
        for (k, image) in self.images.clone().enumerate() {
            let gather = |from: usize, count: usize, bounce: &mut [T], at: usize| {
                let from = &self.pixels[(k * pixel_rows * pixel_columns + from) * lanes..][..count * lanes];
                let to = bounce[at..].as_mut_ptr();
                // SAFETY: reads `count` vectors; `bounce` holds a burst of each channel.
                unsafe { (kernels.transpose_back)(from.as_ptr(), lanes, count, channels, to, BURST + lanes) };
            };
            let flush = |bounce: &[T], count: usize, at: usize| {
                for (channel, run) in self.channels.clone().zip(bounce.chunks(BURST + lanes)) {
                    // SAFETY: these pixels of this plane belong to this task alone.
                    unsafe {
                        let to = place.plane(image, channel).add(self.rows.start * width + at);
                        std::ptr::copy_nonoverlapping(run.as_ptr(), to, count);
                    }
                }
            };
            if pixel_columns == width {
                // Rows follow one another without a gap.
                let pixels = height * width;
                for at in (0..pixels).step_by(BURST) {
                    let count = BURST.min(pixels - at);
                    gather(at, count, bounce, 0);
                    flush(bounce, count, at);
                }
                continue;
            }
            let at_once = (BURST / width).max(1);
            for y in (0..height).step_by(at_once) {
                if width <= BURST {
                    let burst = at_once.min(height - y);
                    for i in 0..burst {
                        gather((y + i) * pixel_columns, width, bounce, i * width);
                    }
                    flush(bounce, burst * width, y * width);
                    continue;
                }
                for x in (0..width).step_by(BURST) {
                    let count = BURST.min(width - x);
                    gather(y * pixel_columns + x, count, bounce, 0);
                    flush(bounce, count, y * width + x);
                }
            }
        }
    }
}
