//! Convolution with single pixels: products of the weights, `[co][ci]`, and each image's pixels, `[ci][pixel]`.
//!
//! Some pixels of some channels at a time are brought side by side, and stay in the first-level cache while all blocks of weights
//! go by. Pixels of neighbouring images fill up vectors.
#![allow(unsafe_code)] // Kernels take pointers; the plan below keeps them inside their buffers.

use rayon::prelude::*;

use super::kernel::Kernels;
use super::place::Place;
use super::product::{Gather, Product};
use crate::tensor::cpu::buffer::{Aligned, with_scratch};
use crate::tensor::cpu::real::Real;

/// A convolution with single pixels and a stride of 1.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub n: usize,
    pub ci: usize,
    pub co: usize,
    /// Pixels of an image.
    pub pixels: usize,
}

/// Channels that are summed at a time.
const CHANNELS: usize = 256;
/// Panels of pixels, as wide as the vectors of a product, that are brought side by side at a time.
const PANELS: usize = 4;
/// Bytes of sums of one task, which stay in the second-level cache while channels go by.
const SUMS: usize = 384 * 1024;

impl Shape {
    /// Whether this way is the faster one: for images that do not fill vectors, and for many inputs, which leave the first-level
    /// cache before the next block of outputs asks for them.
    pub fn suits(&self, lanes: usize) -> bool {
        let many = self.ci >= 8 * lanes && self.ci > self.co && self.co >= 2 * lanes;
        self.ci > 0 && self.co >= lanes && (self.pixels < 8 * lanes || many)
    }
}

/// The sums over channels of `weight(output, input)` times `x`, `[n][ci][pixel]`, plus `bias`, `[co]`: `[n][co][pixel]`, at `place`.
/// What is smaller becomes `least`.
pub fn run<T: Real>(
    x: &[T],
    weight: impl Fn(usize, usize) -> T + Sync,
    bias: &[T],
    least: T,
    s: &Shape,
    kernels: &Kernels<T>,
    place: &Place<T>,
) {
    // Each task writes every channel of its pixels, and tasks cover them all.
    let all = s.n * s.pixels;
    if s.co * all == 0 {
        return;
    }

    // Blocks of outputs, as even as can be, each `[ci][pitch]`.
    let blocks = s.co.div_ceil(kernels.rows);
    let rows_of = |block: usize| block * s.co / blocks..(block + 1) * s.co / blocks;
    let pitch = kernels.rows.next_multiple_of(kernels.lanes);
    let mut weights = Aligned::zeros(blocks * s.ci * pitch);
    weights.par_chunks_exact_mut(s.ci * pitch).enumerate().for_each(|(block, to)| {
        for (c, to) in to.chunks_exact_mut(pitch).enumerate() {
            to.iter_mut().zip(rows_of(block)).for_each(|(to, o)| *to = weight(o, c));
        }
    });

    let width = 2 * kernels.lanes;
    let chunk = s.ci.div_ceil(s.ci.div_ceil(CHANNELS));
    let channels: Vec<usize> = (0..chunk).map(|c| c * s.pixels).collect();
    // Whole panels to a task: as many as its sums have room for, and tasks enough for all threads.
    let most = (SUMS / (s.co * width * size_of::<T>())).clamp(2, 32);
    let panels = all.div_ceil(width);
    let tasks = panels.div_ceil(most).max((2 * rayon::current_num_threads()).min(panels));
    // Lines of sums, and panels, that do not fall on the same lines of the first-level cache; and what a copied vector writes
    // past the last row of a panel must not lie in the next.
    let line = panels.div_ceil(tasks) * width + kernels.lanes;
    let panel_len = chunk * width + kernels.lanes;

    (0..tasks).into_par_iter().for_each(|task| {
        let first = task * panels / tasks * width;
        let end = ((task + 1) * panels / tasks * width).min(all);
        let groups = groups(s, first, end, kernels.lanes, panel_len);
        with_scratch::<T, _>(s.co * line + PANELS * panel_len, |scratch| {
            let (sums, side) = scratch.split_at_mut(s.co * line);
            for channel in (0..s.ci).step_by(chunk) {
                let terms = chunk.min(s.ci - channel);
                let last = channel + terms == s.ci;
                for group in &groups {
                    let gather = Gather {
                        x: x[channel * s.pixels..].as_ptr(),
                        end: x.as_ptr_range().end,
                        terms: channels.as_ptr(),
                        count: terms,
                        copies: group.copies.as_ptr(),
                        copies_len: group.copies.len(),
                        to: side.as_mut_ptr(),
                        row: width,
                    };
                    // SAFETY: every pixel of every channel is there, and panels have room for a vector more.
                    unsafe { (kernels.gather)(&gather) };
                    for (pixels, side) in group.panels.iter().zip(side.chunks_exact(panel_len)) {
                        for block in 0..blocks {
                            let rows = rows_of(block);
                            let product = Product {
                                a: weights[(block * s.ci + channel) * pitch..].as_ptr(),
                                a_row: 1,
                                a_step: pitch,
                                terms,
                                b: side.as_ptr(),
                                b_row: width,
                                c: sums[rows.start * line + pixels[0] - first..].as_mut_ptr(),
                                c_row: line,
                                add: channel > 0,
                                start: if channel > 0 { std::ptr::null() } else { bias[rows.start..].as_ptr() },
                                least: if last { least } else { T::NEG_INFINITY },
                            };
                            let vectors = (pixels[1] - pixels[0]).div_ceil(kernels.lanes);
                            // SAFETY: the panel holds every term, the weights a block of them, the lines whole vectors.
                            unsafe { (kernels.product)(&product, rows.len(), vectors) };
                        }
                    }
                }
            }
            let mut at = first;
            while at < end {
                let (image, pixel) = (at / s.pixels, at % s.pixels);
                let count = (s.pixels - pixel).min(end - at);
                for (c, line) in sums.chunks_exact(line).enumerate() {
                    let from = &line[at - first..][..count];
                    // SAFETY: these pixels are this task's alone.
                    unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), place.plane(image, c).add(pixel), count) };
                }
                at += count;
            }
        });
    });
}

/// Some panels that are brought side by side together.
struct Group {
    /// The first pixel of each, of those of all images, and the one behind its last.
    panels: Vec<[usize; 2]>,
    /// The vectors to copy for each channel: where from, and where to.
    copies: Vec<[usize; 2]>,
}

/// The panels of pixels `first..end`.
fn groups(s: &Shape, first: usize, end: usize, lanes: usize, panel_len: usize) -> Vec<Group> {
    let starts: Vec<usize> = (first..end).step_by(2 * lanes).collect();
    let group = |starts: &[usize]| {
        let mut group = Group { panels: Vec::new(), copies: Vec::new() };
        for (k, &start) in starts.iter().enumerate() {
            let end = (start + 2 * lanes).min(end);
            let mut at = start;
            while at < end {
                let (image, pixel) = (at / s.pixels, at % s.pixels);
                let count = (s.pixels - pixel).min(end - at);
                let from = image * s.ci * s.pixels + pixel;
                let to = k * panel_len + at - start;
                group.copies.extend((0..count).step_by(lanes).map(|i| [from + i, to + i]));
                at += count;
            }
            group.panels.push([start, end]);
        }
        group
    };
    starts.chunks(PANELS).map(group).collect()
}
