//! Convolution with 3 x 3 kernels and a stride of 1 by Winograd's minimal filtering (Lavin & Gray 2015, arXiv:1509.09308):
//! 4 x 4 outputs from 36 products where the direct way takes 144.
//!
//! Tiles of 6 x 6 inputs are transformed, for each of 36 places a matrix of `[tile][channel]` is multiplied with one of
//! weights, and what comes is transformed into 4 x 4 outputs. All of a task's tiles stay in the second-level cache. Errors
//! are about twice those of the direct way: `tests.rs` states and holds them.
#![allow(unsafe_code)] // Kernels take pointers; the plans below keep them inside their buffers.

mod kernel;
mod line;
mod tiles;
mod weight;

#[cfg(test)]
mod tests;

use rayon::prelude::*;

pub use kernel::{Transforms, Winograd};
pub use weight::gradient;

use super::kernel::Kernels;
use super::product::Product;
use crate::tensor::cpu::buffer::{Aligned, SharedMut, with_scratch};
use crate::tensor::cpu::conv::place::Place;
use crate::tensor::cpu::real::Real;
use kernel::{PLACES, REACH, TILE};
use tiles::{Channels, Cut, Patches, each_tile, evenly};

/// The shape of a correlation with 3 x 3 taps and a stride of 1.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub n: usize,
    pub ci: usize,
    pub co: usize,
    /// Height and width of the input, and of the output.
    pub input: [usize; 2],
    pub output: [usize; 2],
    /// Rows and columns that the window of the first output stands above and left of the input.
    pub before: [isize; 2],
}

impl Shape {
    /// Rows and columns of tiles of an image.
    fn tiles(&self) -> [usize; 2] {
        self.output.map(|size| size.div_ceil(TILE))
    }

    /// Whether this way is expected to be the faster one: channels that fill vectors, and tiles that are mostly used.
    pub fn suits(&self, lanes: usize) -> bool {
        let [rows, columns] = self.tiles();
        let (tiles, pixels) = (rows * columns, self.output[0] * self.output[1]);
        let wide = |channels: usize| channels.next_multiple_of(lanes);
        let (ci, co) = (wide(self.ci) as f64, wide(self.co) as f64);
        // Products in vectors, and the transforms of inputs, outputs and weights, in the time of a product each.
        let of_tile = 36.0 * self.ci as f64 * co + 140.0 * (ci + co);
        let ours = (self.n * tiles) as f64 * of_tile + 300.0 * self.ci as f64 * co;
        let direct = 1.1 * (self.n * pixels) as f64 * 9.0 * self.ci as f64 * co;
        self.ci >= lanes && self.co >= lanes && ours < direct
    }
}

/// Transformed weights: for each place, blocks of two vectors of output channels (or one, the last), each `[ci][channel]`.
pub struct Weights<T: Real> {
    data: Aligned<T>,
    ci: usize,
    /// Output channels, of whole vectors.
    co: usize,
}

impl<T: Real> Weights<T> {
    /// Those of `w`, `[co][ci][3][3]`; or, if `turned`, of `[ci][co][3][3]` turned by half a turn, for a gradient.
    pub fn new(w: &[T], [ci, co]: [usize; 2], turned: bool, kernels: &Kernels<T>, transforms: &Transforms<T>) -> Self {
        let lanes = kernels.lanes;
        let wide = co.next_multiple_of(lanes);
        let plane = ci * wide;
        let mut data = Aligned::<T>::zeros(PLACES * plane);
        let shared = SharedMut::new(&mut data);
        (0..wide / lanes).into_par_iter().for_each(|vector| {
            let first = vector * lanes;
            let channels = (co - first).min(lanes);
            let (block, half) = (first / (2 * lanes) * 2 * lanes, first % (2 * lanes));
            let width = (wide - block).min(2 * lanes);
            with_scratch::<T, _>(9 * ci * lanes, |taps| {
                if !turned {
                    // SAFETY: reads `ci * 9` values of `channels` rows.
                    unsafe {
                        (kernels.transpose)(
                            w[first * ci * 9..].as_ptr(),
                            ci * 9,
                            channels,
                            ci * 9,
                            taps.as_mut_ptr(),
                            lanes,
                        );
                    }
                }
                for c in 0..ci {
                    let taps = &mut taps[c * 9 * lanes..][..9 * lanes];
                    let (mut from, mut step) = (taps.as_ptr(), lanes as isize);
                    if turned {
                        // SAFETY: reads 9 values of `channels` rows. The last tap comes first.
                        unsafe {
                            (kernels.transpose)(
                                w[(c * co + first) * 9..].as_ptr(),
                                9,
                                channels,
                                9,
                                taps.as_mut_ptr(),
                                lanes,
                            );
                        }
                        (from, step) = (taps[8 * lanes..].as_ptr(), -step);
                    }
                    // SAFETY: these lanes of this channel at each place belong to this task alone.
                    unsafe {
                        let to = shared.get().add(block * ci + c * width + half);
                        (transforms.kernel)(from, step, to, plane);
                    }
                }
            });
        });
        Self { data, ci, co: wide }
    }

    /// The block that starts at channel `first`, at a place.
    fn block(&self, place: usize, first: usize) -> &[T] {
        &self.data[place * self.ci * self.co + first * self.ci..]
    }
}

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
    let lanes = kernels.lanes;
    let pitch = s.ci.next_multiple_of(lanes);
    let block = 2 * lanes;
    let most = BUDGET / (PLACES * (pitch + block) * size_of::<T>());
    let cut = Cut::new(s, most.max(kernels.rows), 2 * rayon::current_num_threads());
    // Places whose distance is a power of two would all fall on the same lines of the first-level cache.
    let plane = cut.tiles() * pitch + lanes;
    let sums = cut.tiles() * block + lanes;
    let patches =
        Patches { rows: cut.rows * TILE + REACH - TILE, columns: cut.columns * TILE + REACH - TILE, before: s.before };
    let (pixel_rows, pixel_columns) = (cut.rows * TILE, cut.columns * TILE);
    let pixels_len = cut.images * pixel_rows * pixel_columns * lanes;
    let dense_len = patches.rows * s.input[1] * lanes;
    let stage_len = pixels_len.max(dense_len);
    let patches_len = patches.len(cut.images, lanes);
    let bounce_pitch = BURST + lanes;

    (0..cut.count(s)).into_par_iter().for_each(|task| {
        let (images, rows) = cut.part(s, task);
        let tiles = images.len() * rows.len() * cut.columns;
        let lengths = [PLACES * plane, PLACES * sums, patches_len, stage_len, lanes * bounce_pitch];
        with_scratch::<T, _>(lengths.iter().sum(), |scratch| {
            let (v, rest) = scratch.split_at_mut(lengths[0]);
            let (m, rest) = rest.split_at_mut(lengths[1]);
            let (padded, rest) = rest.split_at_mut(lengths[2]);
            let (stage, bounce) = rest.split_at_mut(lengths[3]);
            padded.fill(T::ZERO);
            for first in (0..s.ci).step_by(lanes) {
                let channels = first..(first + lanes).min(s.ci);
                let planes = Channels { data: x, of: s.ci, size: s.input, images: images.clone(), channels };
                patches.fill(&planes, rows.start * TILE, kernels, padded, stage);
                each_tile([images.len(), rows.len(), cut.columns], |tile, k, row, column| {
                    let from = padded[patches.tile(k, row, column, lanes)..].as_ptr();
                    let to = v[tile * pitch + first..].as_mut_ptr();
                    // SAFETY: the patches hold 6 x 6 pixels of every tile, the planes a vector of each.
                    unsafe { (transforms.input)(from, patches.columns * lanes, to, plane) };
                });
            }
            for first in (0..weights.co).step_by(block) {
                let width = (weights.co - first).min(block);
                for at in 0..PLACES {
                    let b = weights.block(at, first).as_ptr();
                    evenly(tiles, kernels.rows, |start, count| {
                        let product = Product {
                            a: v[at * plane + start * pitch..].as_ptr(),
                            a_row: pitch,
                            a_step: 1,
                            terms: s.ci,
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
                for part in (0..width).step_by(lanes).take_while(|part| first + part < s.co) {
                    each_tile([images.len(), rows.len(), cut.columns], |tile, k, row, column| {
                        let from = m[tile * width + part..].as_ptr();
                        let at = ((k * pixel_rows + row * TILE) * pixel_columns + column * TILE) * lanes;
                        let to = stage[at..].as_mut_ptr();
                        // SAFETY: the planes hold every tile, the stage 4 x 4 pixels of each.
                        unsafe {
                            let bias = bias[first + part..].as_ptr();
                            (transforms.output)(from, sums, bias, least, to, pixel_columns * lanes);
                        }
                    });
                    let channels = (s.co - first - part).min(lanes);
                    let top = rows.start * TILE;
                    let height = (rows.end * TILE).min(s.output[0]) - top;
                    for (k, image) in images.clone().enumerate() {
                        let first_pixel = top * s.output[1];
                        let write = |from: usize, count: usize, bounce: &mut [T], at: usize| {
                            let from = &stage[(k * pixel_rows * pixel_columns + from) * lanes..][..count * lanes];
                            // SAFETY: reads `count` vectors; `bounce` holds a burst of each channel.
                            unsafe {
                                (kernels.transpose_back)(
                                    from.as_ptr(),
                                    lanes,
                                    count,
                                    channels,
                                    bounce[at..].as_mut_ptr(),
                                    bounce_pitch,
                                );
                            }
                        };
                        let flush = |bounce: &[T], count: usize, at: usize| {
                            for (c, run) in bounce.chunks(bounce_pitch).take(channels).enumerate() {
                                // SAFETY: these pixels of this plane belong to this task alone.
                                unsafe {
                                    let to = place.plane(image, first + part + c).add(first_pixel + at);
                                    std::ptr::copy_nonoverlapping(run.as_ptr(), to, count);
                                }
                            }
                        };
                        if pixel_columns == s.output[1] {
                            // Rows follow one another without a gap.
                            let pixels = height * pixel_columns;
                            for at in (0..pixels).step_by(BURST) {
                                let count = BURST.min(pixels - at);
                                write(at, count, bounce, 0);
                                flush(bounce, count, at);
                            }
                            continue;
                        }
                        let at_once = (BURST / s.output[1]).max(1);
                        for y in (0..height).step_by(at_once) {
                            if s.output[1] <= BURST {
                                let burst = at_once.min(height - y);
                                for i in 0..burst {
                                    write((y + i) * pixel_columns, s.output[1], bounce, i * s.output[1]);
                                }
                                flush(bounce, burst * s.output[1], y * s.output[1]);
                                continue;
                            }
                            for x in (0..s.output[1]).step_by(BURST) {
                                let count = BURST.min(s.output[1] - x);
                                write(y * pixel_columns + x, count, bounce, 0);
                                flush(bounce, count, y * s.output[1] + x);
                            }
                        }
                    }
                }
            }
        });
    });
}
