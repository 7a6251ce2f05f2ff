//! One task: the tiles of some rows of some images, from pixels to places and back.
#![allow(unsafe_code)] // Kernels take pointers; the plans below keep them inside their buffers.

use std::ops::Range;

use super::Finish;
use super::band::{Band, bounce_len};
use super::kernel::{TILE, Transforms};
use super::shape::{Phase, Shape};
use super::tiles::{Channels, Patches, each_tile, evenly};
use super::weights::{Part, Weights, row_of};
use crate::tensor::cpu::conv::kernel::Kernels;
use crate::tensor::cpu::conv::place::Place;
use crate::tensor::cpu::conv::product::Product;
use crate::tensor::cpu::real::Real;

/// Rows of tiles of some images.
#[derive(Clone)]
pub struct Rows {
    pub images: Range<usize>,
    pub rows: Range<usize>,
    /// Tiles in a row.
    pub columns: usize,
}

impl Rows {
    pub fn tiles(&self) -> usize {
        self.size().iter().product()
    }

    fn size(&self) -> [usize; 3] {
        [self.images.len(), self.rows.len(), self.columns]
    }
}

/// Where the weights of a task come from.
pub enum Source<'a, T: Real> {
    /// They were made before, for all tasks.
    Made(&'a Weights<T>),
    /// The task makes its own.
    Own(Part<'a, T>),
}

/// What tasks have in common.
pub struct Tasks<'a, T: Real> {
    pub s: &'a Shape,
    pub kernels: &'a Kernels<T>,
    pub transforms: &'a Transforms<T>,
    pub finish: Finish<'a, T>,
    pub place: &'a Place<T>,
    phases: Vec<Phase>,
    before: [isize; 2],
    /// Values of a transformed tile at a place: a vector for each vector of channels and phase.
    pub pitch: usize,
    /// Those of one phase.
    one: usize,
}

impl<'a, T: Real> Tasks<'a, T> {
    pub fn new(
        s: &'a Shape,
        kernels: &'a Kernels<T>,
        transforms: &'a Transforms<T>,
        finish: Finish<'a, T>,
        place: &'a Place<T>,
    ) -> Self {
        let (before, phases) = s.phases();
        let one = s.ci.next_multiple_of(kernels.lanes);
        Self { s, kernels, transforms, finish, place, before, pitch: phases.len() * one, one, phases }
    }

    /// Where the pixels lie that so many rows and columns of tiles read.
    fn patches(&self, rows: usize, columns: usize) -> Patches {
        let [rows, columns] = [rows, columns].map(|tiles| self.s.reach(tiles, self.transforms));
        Patches { rows, columns, before: self.before, tile: TILE * self.s.input_step() }
    }

    /// Elements of scratch memory for [`Self::inputs`] of as many tiles.
    pub fn inputs_len(&self, of: &Rows) -> usize {
        let patches = self.patches(of.rows.len(), of.columns);
        patches.len(of.images.len(), self.kernels.lanes) + patches.rows * self.s.input[1] * self.kernels.lanes
    }

    /// Brings tiles of `x` to places `plane` elements apart, the first tile to `to`.
    ///
    /// # Safety
    /// There is room for the tiles at each place.
    pub unsafe fn inputs(&self, x: &[T], of: &Rows, to: *mut T, plane: usize, scratch: &mut [T]) {
        let (s, lanes) = (self.s, self.kernels.lanes);
        let patches = self.patches(of.rows.len(), of.columns);
        let (padded, dense) = scratch.split_at_mut(patches.len(of.images.len(), lanes));
        padded.fill(T::ZERO);
        let pixel = [patches.columns, 1].map(|pixels| pixels * s.input_step() * lanes);
        for first in (0..s.ci).step_by(lanes) {
            let channels = first..(first + lanes).min(s.ci);
            let planes = Channels { data: x, of: s.ci, size: s.input, images: of.images.clone(), channels };
            patches.fill(&planes, of.rows.start * patches.tile, self.kernels, padded, dense);
            for (p, Phase { offset: [down, right], .. }) in self.phases.iter().enumerate() {
                let padded = &padded[(down * patches.columns + right) * lanes..];
                let row = if s.turned { p * self.one + first } else { row_of(first, p, self.phases.len(), lanes) };
                each_tile(of.size(), |tile, k, row_of_tiles, column| {
                    let from = padded[patches.at(k, row_of_tiles, column, lanes)..].as_ptr();
                    // SAFETY: the patches hold the pixels of every tile, and each place a vector of them.
                    unsafe { (self.transforms.input)(from, pixel, to.add(tile * self.pitch + row), plane) };
                });
            }
        }
    }

    /// Elements of scratch memory for [`Self::outputs`] of as many tiles: sums, pixels, a burst of them, weights and what makes them.
    pub fn outputs_len(&self, of: &Rows, source: &Source<'_, T>) -> [usize; 5] {
        let ([_, outputs], lanes) = (self.s.phase_counts(), self.kernels.lanes);
        let pixels = of.tiles() * self.s.tile() * self.s.tile() * lanes;
        let one = self.transforms.places() * self.sums(of.tiles());
        let (sums, [weights, making]) = match source {
            Source::Made(_) => (one, [0; 2]),
            Source::Own(part) => (outputs * one, part.lengths()),
        };
        [sums, if outputs > 1 { 2 * pixels } else { pixels }, bounce_len(lanes), weights, making]
    }

    /// Elements from the sums at one place to those at the next: not a power of two, for all would fall on the same lines of the
    /// first-level cache.
    fn sums(&self, tiles: usize) -> usize {
        (2 * tiles + 1) * self.kernels.lanes
    }

    /// Multiplies tiles with the block of weights from output `first` on, and writes the outputs. The tiles are given with the
    /// elements from one place to the next.
    pub fn outputs(
        &self,
        source: &Source<'_, T>,
        first: usize,
        of: &Rows,
        (v, plane): (&[T], usize),
        scratch: &mut [T],
    ) {
        let (s, lanes, places) = (self.s, self.kernels.lanes, self.transforms.places());
        let ([_, outputs], tiles) = (s.phase_counts(), of.tiles());
        let width = (s.co.next_multiple_of(lanes) - first).min(2 * lanes);
        let sums = self.sums(tiles);
        let lengths = self.outputs_len(of, source);
        let (m, rest) = scratch.split_at_mut(lengths[0]);
        let (stage, rest) = rest.split_at_mut(lengths[1]);
        let (bounce, rest) = rest.split_at_mut(lengths[2]);
        let (part_of_weights, making) = rest.split_at_mut(lengths[3]);

        // Products of `terms` values from `start` on of each tile with as many rows of weights.
        let products = |m: &mut [T], at: usize, start: usize, terms: usize, b: *const T, add: bool| {
            evenly(tiles, self.kernels.rows, |tile, count| {
                let product = Product {
                    a: v[at * plane + tile * self.pitch + start..].as_ptr(),
                    a_row: self.pitch,
                    a_step: 1,
                    terms,
                    b,
                    b_row: width,
                    c: m[at * sums + tile * width..].as_mut_ptr(),
                    c_row: width,
                    add,
                    start: std::ptr::null(),
                    least: T::NEG_INFINITY,
                };
                // SAFETY: the rows are tiles of this task, and the block is as wide.
                unsafe { (self.kernels.product)(&product, count, width / lanes) };
            });
        };
        if let Source::Own(part) = source {
            // Each channel has as many values in a tile as the input has phases.
            let [inputs, _] = s.phase_counts();
            for from in (0..s.ci).step_by(part.inputs) {
                let channels = from..(from + part.inputs).min(s.ci);
                part.make(channels.clone(), first, width, part_of_weights, making);
                for (phase, m) in m.chunks_exact_mut(places * sums).enumerate() {
                    for at in 0..places {
                        let b = part_of_weights[part.at(phase, at)..].as_ptr();
                        let start = phase * self.one + inputs * channels.start;
                        products(m, at, start, inputs * channels.len(), b, from > 0);
                    }
                }
            }
        }
        let tile_size = s.tile();
        let [rows, columns] = [of.rows.len(), of.columns].map(|tiles| tiles * tile_size);
        let pixel = [columns, 1].map(|pixels| pixels * s.output_step() * lanes);
        for phase in 0..outputs {
            let m = match source {
                Source::Made(weights) => {
                    for at in 0..places {
                        let b = weights.block(phase, at, first).as_ptr();
                        products(m, at, phase * self.one, weights.rows, b, false);
                    }
                    &m[..]
                }
                Source::Own(_) => &m[phase * places * sums..],
            };
            let (y, x) = (phase / s.output_step(), phase % s.output_step());
            for part in (0..width).step_by(lanes).take_while(|part| first + part < s.co) {
                let pixels = of.images.len() * rows * columns;
                let stage = &mut stage[if outputs > 1 { part * pixels } else { 0 }..];
                let corner = &mut stage[(y * columns + x) * lanes..];
                let bias = self.finish.bias[first + part..].as_ptr();
                each_tile(of.size(), |tile, k, row, column| {
                    let from = m[tile * width + part..].as_ptr();
                    let at = (k * rows + row * tile_size) * columns + column * tile_size;
                    let to = corner[at * lanes..].as_mut_ptr();
                    // SAFETY: the planes hold every tile, the stage all pixels of each.
                    unsafe { (self.transforms.output)(from, sums, bias, self.finish.least, to, pixel) };
                });
                if phase + 1 == outputs {
                    let band = Band {
                        pixels: stage,
                        size: [rows, columns],
                        images: of.images.clone(),
                        channels: first + part..(first + part + lanes).min(s.co),
                        rows: of.rows.start * tile_size..(of.rows.end * tile_size).min(s.output[0]),
                        width: s.output[1],
                    };
                    band.write(self.place, self.kernels, bounce);
                }
            }
        }
    }
}
