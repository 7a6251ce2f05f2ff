//! The gradient of the weights: the transpose of the forward pass. At each place, the product of transformed inputs and
//! transformed gradients is summed over all tiles, and the sums are transformed into 3 x 3 taps once, at the end.
#![allow(unsafe_code)] // Kernels take pointers; the plan below keeps them inside their buffers.

use rayon::prelude::*;

use super::super::product::Product;
use super::Shape;
use super::kernel::{PLACES, REACH, TILE, Transforms};
use super::tiles::{Channels, Cut, Patches, each_tile, evenly};
use crate::tensor::cpu::buffer::{SharedMut, uninit, with_scratch};
use crate::tensor::cpu::conv::kernel::Kernels;
use crate::tensor::cpu::real::Real;

/// Input and output channels that one task takes: their sums stay in the second-level cache.
const CHANNELS: usize = 64;
/// Tiles that are transformed at a time.
const TILES: usize = 32;
/// Tasks to cut the work into: enough for any number of threads that we know of.
const TASKS: usize = 16;

/// `dw[co][ci][i][j]`: the sum over pixels of `x[ci][y + i - before][...] * g[co][y][...]`. The batch is cut into as many parts
/// as the shape says, whatever the number of threads, and the parts are added in order.
pub fn gradient<T: Real>(x: &[T], g: &[T], s: &Shape, kernels: &Kernels<T>, transforms: &Transforms<T>) -> Vec<T> {
    let lanes = kernels.lanes;
    let (ci_wide, co_wide) = (s.ci.next_multiple_of(lanes), s.co.next_multiple_of(lanes));
    let tile_of = |wide: usize| wide.div_ceil(wide.div_ceil(CHANNELS)).next_multiple_of(lanes);
    let (inputs, outputs) = (tile_of(ci_wide), tile_of(co_wide));
    let (in_tiles, out_tiles) = (ci_wide.div_ceil(inputs), co_wide.div_ceil(outputs));
    // The shape alone decides, so that sums are the same whatever the number of threads.
    let cut = Cut::new(s, TILES, 1);
    let units = cut.count(s);
    let parts = TASKS.div_ceil(in_tiles * out_tiles).min(units);
    let sums: Vec<Vec<T>> = (0..parts * in_tiles * out_tiles)
        .into_par_iter()
        .map(|task| {
            let (part, tile) = (task / (in_tiles * out_tiles), task % (in_tiles * out_tiles));
            let first = [tile / out_tiles * inputs, tile % out_tiles * outputs];
            let of = Task {
                s,
                kernels,
                transforms,
                cut: &cut,
                inputs: first[0]..(first[0] + inputs).min(s.ci),
                outputs: first[1]..(first[1] + outputs).min(s.co),
            };
            of.sum(x, g, units * part / parts..units * (part + 1) / parts)
        })
        .collect();

    // SAFETY: every tap of every channel is written below.
    let mut dw = unsafe { uninit::<T>(s.co * s.ci * 9) };
    let shared = SharedMut::new(&mut dw);
    (0..s.ci).into_par_iter().for_each(|c| {
        with_scratch::<T, _>((PLACES + 9) * lanes, |scratch| {
            let (total, taps) = scratch.split_at_mut(PLACES * lanes);
            let (in_tile, at) = (c / inputs, c % inputs);
            for first in (0..s.co).step_by(lanes) {
                let out_tile = first / outputs;
                let width = (s.co - out_tile * outputs).min(outputs).next_multiple_of(lanes);
                let rows = (s.ci - in_tile * inputs).min(inputs);
                total.fill(T::ZERO);
                for part in 0..parts {
                    let sums = &sums[(part * in_tiles + in_tile) * out_tiles + out_tile];
                    for (place, total) in total.chunks_exact_mut(lanes).enumerate() {
                        let from = &sums[(place * rows + at) * width + first % outputs..][..lanes];
                        total.iter_mut().zip(from).for_each(|(t, &v)| *t += v);
                    }
                }
                // SAFETY: a vector for each place, and for each tap.
                unsafe { (transforms.taps)(total.as_ptr(), lanes, taps.as_mut_ptr()) };
                for o in 0..lanes.min(s.co - first) {
                    for t in 0..9 {
                        // SAFETY: the taps of this input channel belong to this task alone.
                        unsafe { *shared.get().add(((first + o) * s.ci + c) * 9 + t) = taps[t * lanes + o] };
                    }
                }
            }
        });
    });
    dw
}

/// One task: some input channels by some output channels.
struct Task<'a, T: 'static> {
    s: &'a Shape,
    kernels: &'a Kernels<T>,
    transforms: &'a Transforms<T>,
    cut: &'a Cut,
    inputs: std::ops::Range<usize>,
    outputs: std::ops::Range<usize>,
}

impl<T: Real> Task<'_, T> {
    /// Sums `[place][input][output]` over some units of work, outputs of whole vectors.
    fn sum(&self, x: &[T], g: &[T], units: std::ops::Range<usize>) -> Vec<T> {
        let (s, cut, lanes) = (self.s, self.cut, self.kernels.lanes);
        let rows = self.inputs.len();
        let x_pitch = rows.next_multiple_of(lanes);
        let g_pitch = self.outputs.len().next_multiple_of(lanes);
        let mut sums = vec![T::ZERO; PLACES * rows * g_pitch];
        // Places whose distance is a power of two would all fall on the same lines of the first-level cache.
        let x_plane = cut.tiles() * x_pitch + lanes;
        let g_plane = cut.tiles() * g_pitch + lanes;
        let x_patches = Patches {
            rows: cut.rows * TILE + REACH - TILE,
            columns: cut.columns * TILE + REACH - TILE,
            before: s.before,
        };
        let g_patches = Patches { rows: cut.rows * TILE, columns: cut.columns * TILE, before: [0, 0] };
        let lengths = [
            PLACES * x_plane,
            PLACES * g_plane,
            x_patches.len(cut.images, lanes),
            g_patches.len(cut.images, lanes),
            x_patches.rows * s.input[1].max(s.output[1]) * lanes,
        ];
        with_scratch::<T, _>(lengths.iter().sum(), |scratch| {
            let (v, rest) = scratch.split_at_mut(lengths[0]);
            let (w, rest) = rest.split_at_mut(lengths[1]);
            let (x_padded, rest) = rest.split_at_mut(lengths[2]);
            let (g_padded, dense) = rest.split_at_mut(lengths[3]);
            for unit in units {
                let (images, tile_rows) = cut.part(s, unit);
                // Rows below the image differ from one band to the next.
                x_padded.fill(T::ZERO);
                g_padded.fill(T::ZERO);
                let first_row = tile_rows.start * TILE;
                for first in (0..rows).step_by(lanes) {
                    let channels = self.inputs.start + first..(self.inputs.start + first + lanes).min(self.inputs.end);
                    let planes = Channels { data: x, of: s.ci, size: s.input, images: images.clone(), channels };
                    x_patches.fill(&planes, first_row, self.kernels, x_padded, dense);
                    each_tile([images.len(), tile_rows.len(), cut.columns], |tile, k, row, column| {
                        let from = x_padded[x_patches.tile(k, row, column, lanes)..].as_ptr();
                        let to = v[tile * x_pitch + first..].as_mut_ptr();
                        // SAFETY: the patches hold 6 x 6 pixels of every tile, the planes a vector of each.
                        unsafe { (self.transforms.input)(from, x_patches.columns * lanes, to, x_plane) };
                    });
                }
                for first in (0..g_pitch).step_by(lanes) {
                    let start = self.outputs.start + first;
                    let channels = start..(start + lanes).min(self.outputs.end);
                    let planes = Channels { data: g, of: s.co, size: s.output, images: images.clone(), channels };
                    g_patches.fill(&planes, first_row, self.kernels, g_padded, dense);
                    each_tile([images.len(), tile_rows.len(), cut.columns], |tile, k, row, column| {
                        let from = g_padded[g_patches.tile(k, row, column, lanes)..].as_ptr();
                        let to = w[tile * g_pitch + first..].as_mut_ptr();
                        // SAFETY: the patches hold 4 x 4 pixels of every tile, the planes a vector of each.
                        unsafe { (self.transforms.gradient)(from, g_patches.columns * lanes, to, g_plane) };
                    });
                }
                let tiles = images.len() * tile_rows.len() * cut.columns;
                for place in 0..PLACES {
                    for first in (0..g_pitch).step_by(2 * lanes) {
                        let width = (g_pitch - first).min(2 * lanes);
                        evenly(rows, self.kernels.rows, |start, count| {
                            let product = Product {
                                a: v[place * x_plane + start..].as_ptr(),
                                a_row: 1,
                                a_step: x_pitch,
                                terms: tiles,
                                b: w[place * g_plane + first..].as_ptr(),
                                b_row: g_pitch,
                                c: sums[(place * rows + start) * g_pitch + first..].as_mut_ptr(),
                                c_row: g_pitch,
                                add: true,
                                start: std::ptr::null(),
                                least: T::NEG_INFINITY,
                            };
                            // SAFETY: the rows are inputs of this task, the vectors its outputs.
                            unsafe { (self.kernels.product)(&product, count, width / lanes) };
                        });
                    }
                }
            }
        });
        sums
    }
}
