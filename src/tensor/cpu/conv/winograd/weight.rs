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
    let task = |tile: usize| Task {
        s,
        kernels,
        transforms,
        cut: &cut,
        inputs: tile / out_tiles * inputs..((tile / out_tiles + 1) * inputs).min(s.ci),
        outputs: tile % out_tiles * outputs..((tile % out_tiles + 1) * outputs).min(s.co),
    };

    let size = s.kernel * s.kernel;
    // SAFETY: every tap of every channel is written below.
    let mut dw = unsafe { uninit::<T>(s.co * s.ci * size) };
    let writer = Writer { dw: SharedMut::new(&mut dw), s, kernels, transforms, phases };
    if parts == 1 {
        (0..in_tiles * out_tiles).into_par_iter().for_each(|tile| {
            let of = task(tile);
            writer.write(&of, &of.sum(x, g, 0..units));
        });
        return dw;
    }
    let sums: Vec<Vec<T>> = (0..parts * in_tiles * out_tiles)
        .into_par_iter()
        .map(|i| {
            let (part, tile) = (i / (in_tiles * out_tiles), i % (in_tiles * out_tiles));
            task(tile).sum(x, g, units * part / parts..units * (part + 1) / parts)
        })
        .collect();
    (0..in_tiles * out_tiles).into_par_iter().for_each(|tile| {
        let mut parts = sums.iter().skip(tile).step_by(in_tiles * out_tiles);
        let mut total = parts.next().cloned().unwrap_or_default();
        for part in parts {
            total.iter_mut().zip(part).for_each(|(total, &v)| *total += v);
        }
        writer.write(&task(tile), &total);
    });
    dw
}

/// How sums become taps.
struct Writer<'a, T: 'static> {
    dw: SharedMut<T>,
    s: &'a Shape,
    kernels: &'a Kernels<T>,
    transforms: &'a Transforms<T>,
    phases: Vec<Phase>,
}

impl<T: Real> Writer<'_, T> {
    /// Writes the taps of a task's channels.
    fn write(&self, of: &Task<'_, T>, sums: &[T]) {
        let (lanes, size, taps_len) =
            (self.kernels.lanes, self.s.kernel * self.s.kernel, self.transforms.taps * self.transforms.taps);
        let (rows, width) = (of.inputs.len(), of.outputs.len().next_multiple_of(lanes));
        with_scratch::<T, _>((taps_len + size) * lanes, |scratch| {
            let (taps, all) = scratch.split_at_mut(taps_len * lanes);
            for first in of.outputs.clone().step_by(lanes) {
                for (at, c) in of.inputs.clone().enumerate() {
                    for (p, Phase { taps: found, .. }) in self.phases.iter().enumerate() {
                        let from = sums[(p * rows + at) * width + first - of.outputs.start..].as_ptr();
                        // SAFETY: a vector at each place, and for each tap.
                        unsafe { (self.transforms.gradient_taps)(from, of.plane(), taps.as_mut_ptr()) };
                        for (tap, found) in taps.chunks_exact(lanes).zip(found) {
                            if let Some(found) = found {
                                all[found * lanes..][..lanes].copy_from_slice(tap);
                            }
                        }
                    }
                    let channels = (of.outputs.end - first).min(lanes);
                    // SAFETY: the kernels between these channels belong to this task alone.
                    unsafe {
                        let to = self.dw.get().add((first * self.s.ci + c) * size);
                        (self.kernels.transpose_back)(all.as_ptr(), lanes, size, channels, to, self.s.ci * size);
                    }
                }
            }
        });
    }
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
    /// Elements from the sums of one place to those of the next.
    fn plane(&self) -> usize {
        let (inputs, outputs) = (self.s.phase_counts()[0] * self.inputs.len(), self.outputs.len());
        // Not a power of two: all would fall on the same lines of the first-level cache.
        inputs * outputs.next_multiple_of(self.kernels.lanes) + self.kernels.lanes
    }

    /// Sums `[place][phase][input][output]` over some units of work, outputs of whole vectors.
    fn sum(&self, x: &[T], g: &[T], units: std::ops::Range<usize>) -> Vec<T> {
        let (s, cut, lanes, places) = (self.s, self.cut, self.kernels.lanes, self.transforms.places());
        let (before, phases) = s.phases();
        let one = self.inputs.len();
        // With several phases, inputs fill vectors.
        let rows = phases.len() * one;
        let x_pitch = rows.next_multiple_of(lanes);
        let g_pitch = self.outputs.len().next_multiple_of(lanes);
        let plane = self.plane();
        let mut sums = vec![T::ZERO; places * plane];
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
                                c: sums[place * plane + start * g_pitch + first..].as_mut_ptr(),
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
