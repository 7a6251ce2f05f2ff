//! The gradient of the weights: the transpose of the forward pass. At each place, the product of transformed inputs and
//! transformed gradients is summed over all tiles, and the sums are transformed into taps once, at the end.
#![allow(unsafe_code)] // Kernels take pointers; the plan below keeps them inside their buffers.

use rayon::prelude::*;

use super::super::product::Product;
use super::Shape;
use super::kernel::{TILE, Transforms};
use super::shape::Phase;
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
    let (_, phases) = s.phases();
    let tile_of = |wide: usize, most: usize| wide.div_ceil(wide.div_ceil(most)).next_multiple_of(lanes);
    let (inputs, outputs) = (tile_of(ci_wide, CHANNELS / phases.len()), tile_of(co_wide, CHANNELS));
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

    let (places, size) = (transforms.places(), s.kernel * s.kernel);
    // SAFETY: every tap of every channel is written below.
    let mut dw = unsafe { uninit::<T>(s.co * s.ci * size) };
    let shared = SharedMut::new(&mut dw);
    (0..s.ci).into_par_iter().for_each(|c| {
        with_scratch::<T, _>((places + transforms.taps * transforms.taps) * lanes, |scratch| {
            let (total, taps) = scratch.split_at_mut(places * lanes);
            let (in_tile, at) = (c / inputs, c % inputs);
            let rows = (s.ci - in_tile * inputs).min(inputs);
            for first in (0..s.co).step_by(lanes) {
                let out_tile = first / outputs;
                let width = (s.co - out_tile * outputs).min(outputs).next_multiple_of(lanes);
                for (p, Phase { taps: found, .. }) in phases.iter().enumerate() {
                    total.fill(T::ZERO);
                    for part in 0..parts {
                        let sums = &sums[(part * in_tiles + in_tile) * out_tiles + out_tile];
                        for (place, total) in total.chunks_exact_mut(lanes).enumerate() {
                            let row = (place * phases.len() + p) * rows + at;
                            let from = &sums[row * width + first % outputs..][..lanes];
                            total.iter_mut().zip(from).for_each(|(t, &v)| *t += v);
                        }
                    }
                    // SAFETY: a vector for each place, and for each tap.
                    unsafe { (transforms.gradient_taps)(total.as_ptr(), lanes, taps.as_mut_ptr()) };
                    for (tap, found) in taps.chunks_exact(lanes).zip(found) {
                        let Some(found) = found else { continue };
                        for (o, &tap) in tap.iter().enumerate().take(s.co - first) {
                            // SAFETY: the taps of this input channel belong to this task alone.
                            unsafe { *shared.get().add(((first + o) * s.ci + c) * size + found) = tap };
                        }
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
    /// Sums `[place][phase][input][output]` over some units of work, outputs of whole vectors.
    fn sum(&self, x: &[T], g: &[T], units: std::ops::Range<usize>) -> Vec<T> {
        let (s, cut, lanes, places) = (self.s, self.cut, self.kernels.lanes, self.transforms.places());
        let (before, phases) = s.phases();
        let one = self.inputs.len();
        // With several phases, inputs fill vectors.
        let rows = phases.len() * one;
        let x_pitch = rows.next_multiple_of(lanes);
        let g_pitch = self.outputs.len().next_multiple_of(lanes);
        let mut sums = vec![T::ZERO; places * rows * g_pitch];
        // Places whose distance is a power of two would all fall on the same lines of the first-level cache.
        let x_plane = cut.tiles() * x_pitch + lanes;
        let g_plane = cut.tiles() * g_pitch + lanes;
        let [patch_rows, patch_columns] = [cut.rows, cut.columns].map(|tiles| s.reach(tiles, self.transforms));
        let x_patches = Patches { rows: patch_rows, columns: patch_columns, before, tile: TILE * s.stride };
        let g_patches = Patches { rows: cut.rows * TILE, columns: cut.columns * TILE, before: [0, 0], tile: TILE };
        let lengths = [
            places * x_plane,
            places * g_plane,
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
                for first in (0..one).step_by(lanes) {
                    let channels = self.inputs.start + first..(self.inputs.start + first + lanes).min(self.inputs.end);
                    let planes = Channels { data: x, of: s.ci, size: s.input, images: images.clone(), channels };
                    x_patches.fill(&planes, tile_rows.start * x_patches.tile, self.kernels, x_padded, dense);
                    let pixel = [x_patches.columns, 1].map(|pixels| pixels * s.stride * lanes);
                    for (p, Phase { offset: [down, right], .. }) in phases.iter().enumerate() {
                        let padded = &x_padded[(down * x_patches.columns + right) * lanes..];
                        each_tile([images.len(), tile_rows.len(), cut.columns], |tile, k, row, column| {
                            let from = padded[x_patches.at(k, row, column, lanes)..].as_ptr();
                            let to = v[tile * x_pitch + p * one + first..].as_mut_ptr();
                            // SAFETY: the patches hold the pixels of every tile, the planes a vector of each.
                            unsafe { (self.transforms.input)(from, pixel, to, x_plane) };
                        });
                    }
                }
                for first in (0..g_pitch).step_by(lanes) {
                    let start = self.outputs.start + first;
                    let channels = start..(start + lanes).min(self.outputs.end);
                    let planes = Channels { data: g, of: s.co, size: s.output, images: images.clone(), channels };
                    g_patches.fill(&planes, tile_rows.start * TILE, self.kernels, g_padded, dense);
                    each_tile([images.len(), tile_rows.len(), cut.columns], |tile, k, row, column| {
                        let from = g_padded[g_patches.at(k, row, column, lanes)..].as_ptr();
                        let to = w[tile * g_pitch + first..].as_mut_ptr();
                        // SAFETY: the patches hold 4 x 4 pixels of every tile, the planes a vector of each.
                        unsafe { (self.transforms.gradient)(from, g_patches.columns * lanes, to, g_plane) };
                    });
                }
                let tiles = images.len() * tile_rows.len() * cut.columns;
                for place in 0..places {
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
