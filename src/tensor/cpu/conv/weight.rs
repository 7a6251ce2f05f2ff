//! The gradient of a convolution's weights.
//!
//! For each tap it is the product of inputs, transposed, and output gradients, over all pixels of the batch. The
//! gradients are transposed a band at a time so that vectors run along output channels: no lane is wasted on any
//! width, and sums need no addition across lanes. The batch is cut into as many parts as the shape says, whatever
//! the number of threads, and the parts are added in order.
#![allow(unsafe_code)] // Kernels take pointers; the plan below keeps them inside their buffers.

use std::ops::Range;

use rayon::prelude::*;

use super::super::buffer::with_scratch;
use super::kernel::{Kernels, Outer, Planes, Shift};
use crate::tensor::cpu::real::Real;

/// The shape of a weight gradient: that of [`super::Conv`], with padding that may be negative.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub n: usize,
    pub ci: usize,
    pub co: usize,
    /// Height and width of the input, and of the output.
    pub input: [usize; 2],
    pub output: [usize; 2],
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    /// Rows above and columns left of the input.
    pub before: [isize; 2],
}

impl Shape {
    fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.before == [0, 0] && self.input == self.output
    }
}

/// Neighbouring taps of one row that share their loads: tap columns `first, first + stride, ...`.
struct Run {
    row: usize,
    first: usize,
    len: usize,
}

/// Input channels that one task takes: what fits the second-level cache.
const CHANNELS: usize = 64;
/// Tiles of output channels that one task takes, for one copy of its inputs: as many as the cache holds sums of.
const GROUP: usize = 8;
/// Bytes of transposed gradients that stay in the first-level cache.
const BAND: usize = 32 * 1024;
/// Tasks to cut the work into: enough for any number of threads that we know of.
const TASKS: usize = 16;
/// A multiple of every number of channels that a tile takes.
const STEP: usize = 12;

/// `dw[co][ci][i][j]`: the sum over pixels of `x[ci][y * stride + i - before][...] * g[co][y][...]`.
pub fn gradient<T: Real>(x: &[T], g: &[T], s: &Shape, kernels: &Kernels<T>) -> Vec<T> {
    let taps = s.kernel[0] * s.kernel[1];
    let mut dw = vec![T::ZERO; s.co * s.ci * taps];
    if dw.is_empty() || s.n * s.output[0] * s.output[1] == 0 {
        return dw;
    }
    let plan = Plan::new(s, kernels);
    let count = plan.parts * plan.groups * plan.in_tiles;
    let sums: Vec<Vec<T>> = (0..count).into_par_iter().map(|task| plan.sum(x, g, task)).collect();
    dw.par_chunks_mut(plan.width * s.ci * taps).enumerate().for_each(|(out_tile, dw)| {
        let (group, at) = (out_tile / plan.group, out_tile % plan.group);
        for in_tile in 0..plan.in_tiles {
            let len = plan.tile_len(in_tile);
            let tile = |part: usize| &sums[(part * plan.groups + group) * plan.in_tiles + in_tile][at * len..][..len];
            let mut total = tile(0).to_vec();
            for part in 1..plan.parts {
                for (t, &v) in total.iter_mut().zip(tile(part)) {
                    *t += v;
                }
            }
            plan.unpack(&total, in_tile, dw);
        }
    });
    dw
}

struct Plan<'a, T: 'static> {
    s: &'a Shape,
    kernels: &'a Kernels<T>,
    runs: Vec<Run>,
    /// Images of a unit of work, or rows of one image.
    images: usize,
    rows: usize,
    bands: usize,
    units: usize,
    parts: usize,
    /// Output channels in a tile, tiles in a group that one task takes, groups.
    width: usize,
    group: usize,
    groups: usize,
    in_tiles: usize,
    /// Input channels in a tile.
    channels: usize,
    /// Elements of a copied row, image and channel, and where the copy of each residue of columns starts.
    pitches: Vec<usize>,
    starts: Vec<usize>,
    copied_rows: usize,
    channel: usize,
}

impl<'a, T: Real> Plan<'a, T> {
    fn new(s: &'a Shape, kernels: &'a Kernels<T>) -> Self {
        let width = if s.co <= kernels.lanes { kernels.lanes } else { 2 * kernels.lanes };
        let pixels = (BAND / (width * size_of::<T>())).max(1);
        let rows = (pixels / s.output[1]).clamp(1, s.output[0]);
        let bands = s.output[0].div_ceil(rows);
        let rows = s.output[0].div_ceil(bands);
        let images = if bands == 1 { (pixels / (s.output[0] * s.output[1])).clamp(1, s.n) } else { 1 };
        let units = s.n.div_ceil(images) * bands;
        let channels = if s.ci <= CHANNELS + CHANNELS / 2 { s.ci } else { CHANNELS };
        let in_tiles = s.ci.div_ceil(channels);
        let out_tiles = s.co.div_ceil(width);
        let groups = out_tiles.div_ceil(GROUP);
        let group = out_tiles.div_ceil(groups);
        let parts = TASKS.div_ceil(groups * in_tiles).min(units);

        let [stride_y, stride_x] = s.stride;
        let copied_rows = (rows - 1) * stride_y + s.kernel[0];
        let residues = stride_x.min(s.kernel[1]);
        let mut runs = Vec::new();
        for row in 0..s.kernel[0] {
            for residue in 0..residues {
                let mut first = residue;
                while first < s.kernel[1] {
                    let len = (s.kernel[1] - first).div_ceil(stride_x).min(3);
                    runs.push(Run { row, first, len });
                    first += len * stride_x;
                }
            }
        }
        let pitches: Vec<usize> =
            (0..residues).map(|r| s.output[1] + (s.kernel[1] - r).div_ceil(stride_x) - 1).collect();
        let mut starts = Vec::new();
        let mut channel = 0;
        for pitch in &pitches {
            starts.push(channel);
            channel += images * copied_rows * pitch;
        }
        // Channels whose distance is a multiple of 2 KiB fall on the same lines of the first-level cache.
        channel = (channel + kernels.lanes).next_multiple_of(kernels.lanes);
        if (channel * size_of::<T>()).is_multiple_of(2048) {
            channel += kernels.lanes;
        }
        Plan {
            s,
            kernels,
            runs,
            images,
            rows,
            bands,
            units,
            parts,
            width,
            group,
            groups,
            in_tiles,
            channels,
            pitches,
            starts,
            copied_rows,
            channel,
        }
    }

    /// Calls `f(run, first channel, channels, where the accumulators start)` for each tile, in a fixed order, and
    /// returns the length of the accumulators.
    fn tiles(&self, channels: usize, mut f: impl FnMut(&Run, usize, usize, usize)) -> usize {
        let mut at = 0;
        for chunk in (0..channels).step_by(STEP) {
            let end = (chunk + STEP).min(channels);
            for run in &self.runs {
                let step = self.kernels.outer_channels[run.len - 1];
                for first in (chunk..end).step_by(step) {
                    f(run, first, step, at);
                    at += step * run.len * self.width;
                }
            }
        }
        at
    }

    fn in_channels(&self, tile: usize) -> Range<usize> {
        tile * self.channels..((tile + 1) * self.channels).min(self.s.ci)
    }

    /// Elements of the accumulators of one tile of output channels by one of input channels.
    fn tile_len(&self, in_tile: usize) -> usize {
        self.tiles(self.in_channels(in_tile).len(), |_, _, _, _| {})
    }

    /// The accumulators of a group of tiles of output channels by a tile of input channels, over one part of the batch.
    fn sum(&self, x: &[T], g: &[T], task: usize) -> Vec<T> {
        let s = self.s;
        let (width, lanes) = (self.width, self.kernels.lanes);
        let (part, group, in_tile) =
            (task / self.in_tiles / self.groups, task / self.in_tiles % self.groups, task % self.in_tiles);
        let inputs = self.in_channels(in_tile);
        let first_out = group * self.group * width;
        let out_tiles = (s.co - first_out).div_ceil(width).min(self.group);
        let tile_len = self.tile_len(in_tile);
        let mut acc = vec![T::ZERO; out_tiles * tile_len];

        let x_len = inputs.len().next_multiple_of(STEP) * self.channel + lanes;
        let g_len = self.images * self.rows * s.output[1] * width;
        let out_plane = s.output[0] * s.output[1];
        let in_plane = s.input[0] * s.input[1];
        let units = self.units * part / self.parts..self.units * (part + 1) / self.parts;
        with_scratch::<T, _>(x_len + g_len, |scratch| {
            let (g_packed, x_packed) = scratch.split_at_mut(g_len);
            for unit in units {
                let (of_images, band) = (unit / self.bands, unit % self.bands);
                let images = of_images * self.images..((of_images + 1) * self.images).min(s.n);
                let rows = band * self.rows..((band + 1) * self.rows).min(s.output[0]);
                let pixels = rows.len() * s.output[1];
                // Single pixels are read where they lie, unless the channels of a tile would reach past the last.
                let last = (images.end - 1) * s.ci + inputs.start + inputs.len().next_multiple_of(STEP);
                let in_place = s.is_pointwise() && last <= s.n * s.ci;
                let shifts = self.shifts(rows.start);
                for (k, c) in inputs.clone().enumerate().take(if in_place { 0 } else { inputs.len() }) {
                    let planes = Planes {
                        from: x[(images.start * s.ci + c) * in_plane..].as_ptr(),
                        image: s.ci * in_plane,
                        images: images.len(),
                        to: x_packed[k * self.channel..].as_mut_ptr(),
                    };
                    // SAFETY: a channel's copies and their spill stay within `self.channel` elements.
                    unsafe { (self.kernels.shift)(&planes, &shifts) };
                }
                let (from, channel) = if in_place {
                    (&x[(images.start * s.ci + inputs.start) * in_plane + rows.start * s.input[1]..], in_plane)
                } else {
                    (&*x_packed, self.channel)
                };
                for out_tile in 0..out_tiles {
                    let first_out = first_out + out_tile * width;
                    for (k, image) in images.clone().enumerate() {
                        for half in (0..width).step_by(lanes) {
                            let channels = (s.co - first_out).saturating_sub(half).min(lanes);
                            let plane = image * s.co + first_out + if channels == 0 { 0 } else { half };
                            let from = g[plane * out_plane + rows.start * s.output[1]..].as_ptr();
                            let to = g_packed[k * pixels * width + half..].as_mut_ptr();
                            // SAFETY: reads `channels` planes of this image; writes `pixels` rows of this half.
                            unsafe { (self.kernels.transpose)(from, out_plane, channels, pixels, to, width) };
                        }
                    }
                    let acc = &mut acc[out_tile * tile_len..][..tile_len];
                    self.tiles(inputs.len(), |run, first, _, at| {
                        let residue = run.first % s.stride[1];
                        let pitch = self.pitches[residue];
                        let start = first * channel + self.starts[residue] + run.row * pitch + run.first / s.stride[1];
                        let outer = Outer {
                            x: from[start..].as_ptr(),
                            channel,
                            image: if in_place { s.ci * in_plane } else { self.copied_rows * pitch },
                            row: s.stride[0] * pitch,
                            images: images.len(),
                            rows: rows.len(),
                            columns: s.output[1],
                            g: g_packed.as_ptr(),
                            acc: acc[at..].as_mut_ptr(),
                        };
                        // SAFETY: the copies hold every tap of every pixel; channels past the last are scratch too.
                        unsafe { (self.kernels.outer)(&outer, run.len, width / lanes) };
                    });
                }
            }
        });
        acc
    }

    fn shifts(&self, first_row: usize) -> Vec<Shift> {
        let s = self.s;
        self.pitches
            .iter()
            .zip(&self.starts)
            .enumerate()
            .map(|(residue, (&pitch, &start))| {
                let row = (first_row * s.stride[0]) as isize - s.before[0];
                let column = residue as isize - s.before[1];
                Shift::new(s.input, [self.copied_rows, pitch], [row, column], [1, s.stride[1]], start)
            })
            .collect()
    }

    /// Accumulators `[tile][channel][tap][output]` to their places in one tile of output channels of `dw`.
    fn unpack(&self, acc: &[T], in_tile: usize, dw: &mut [T]) {
        let s = self.s;
        let [height, width] = s.kernel;
        let inputs = self.in_channels(in_tile);
        let outputs = dw.len() / (s.ci * height * width);
        self.tiles(inputs.len(), |run, first, step, at| {
            for c in 0..step.min(inputs.len() - first) {
                for t in 0..run.len {
                    let column = run.first + t * s.stride[1];
                    let to = ((inputs.start + first + c) * height + run.row) * width + column;
                    let from = &acc[at + (c * run.len + t) * self.width..][..outputs];
                    for (to, &v) in dw[to..].iter_mut().step_by(s.ci * height * width).zip(from) {
                        *to = v;
                    }
                }
            }
        });
    }
}
