//! Correlation with vectors along pixels, for few output channels.
//!
//! The input is copied once per horizontal tap, shifted and zero-padded, so that the outputs of consecutive rows
//! are consecutive in memory for each tap: vectors run across row ends and no lane is wasted on any width. (Cho &
//! Brand 2017, arXiv:1706.06873, copy so for their matrix products.)
#![allow(unsafe_code)] // Kernels take pointers; the plan below keeps them inside their buffers.

use rayon::prelude::*;

use super::correlation::Correlation;
use super::kernel::{Block, Kernels, Planes, Shift, Span};
use super::place::Place;
use crate::tensor::cpu::buffer::with_scratch;
use crate::tensor::cpu::real::Real;

/// How one task's input lies in scratch memory: some rows of one image.
struct Layout {
    rows: usize,
    /// Elements of one copy, and of one channel with all its copies.
    copy: usize,
    channel: usize,
    copies: usize,
}

impl<T: Real> Correlation<T> {
    fn pixels_layout(&self, kernels: &Kernels<T>, rows: usize) -> Layout {
        // Rows that one tap reads from consecutive positions are a stride apart: one copy for each residue of rows.
        let residues = self.stride[0].min(self.window[0]);
        let copies = residues * self.window[1];
        let halo = (self.window[0].max(1) - 1) / self.stride[0];
        let copy = (rows + halo) * self.grid[1];
        let mut channel = (copies * copy).next_multiple_of(kernels.lanes);
        // Channels whose distance is a multiple of 2 KiB fall on the same lines of the first-level cache.
        if (channel * size_of::<T>()).is_multiple_of(2048) {
            channel += kernels.lanes;
        }
        Layout { rows, copy, channel, copies }
    }

    fn pixels_shifts(&self, layout: &Layout, first_row: usize) -> Vec<Shift> {
        let columns = self.window[1];
        let size = [layout.copy / self.grid[1], self.grid[1]];
        (0..layout.copies)
            .map(|k| {
                let row = (first_row * self.stride[0] + k / columns) as isize - self.before[0];
                let column = (k % columns) as isize - self.before[1];
                Shift::new(self.input, size, [row, column], self.stride, k * layout.copy)
            })
            .collect()
    }

    /// Whether the input can be read where it lies, for single pixels have no neighbours to copy. For few outputs and small
    /// planes only: of others every vector straddles two cache lines, once for each block. And not if channels fall on the same lines
    /// of the first-level cache.
    fn lies_well(&self) -> bool {
        let plane = self.input[0] * self.input[1];
        let single = self.window == [1, 1] && self.stride == [1, 1] && self.before == [0, 0] && self.grid == self.input;
        single && (plane < 256 || self.co <= 32) && !(plane * size_of::<T>()).is_multiple_of(256)
    }

    /// See [`Correlation::run`]; `bias` has whole blocks.
    pub fn run_along_pixels(&self, x: &[T], bias: &[T], kernels: &Kernels<T>, place: &Place<T>) {
        // Each task writes every output pixel of its image, rows and channels, and tasks cover them all.
        let bytes = |rows| self.ci * self.pixels_layout(kernels, rows).channel * size_of::<T>();
        let layout = self.pixels_layout(kernels, self.band(self.grid[0], kernels, bytes));
        let tap = |&[i, j]: &[usize; 2]| {
            (i % self.stride[0] * self.window[1] + j) * layout.copy + i / self.stride[0] * self.grid[1]
        };
        let taps: Vec<Vec<usize>> = self.passes.iter().map(|p| p.taps.iter().map(tap).collect()).collect();

        let blocks = self.blocks.count();
        let bands = self.grid[0].div_ceil(layout.rows);
        // Several passes are interleaved, so their outputs wait in scratch memory.
        let staged = self.passes.len() > 1;
        let line = (layout.rows * self.grid[1]).next_multiple_of(kernels.lanes);
        let input_len = self.ci * layout.channel + 2 * kernels.lanes;
        let stage_len = if staged { self.passes.len() * blocks * kernels.block * line } else { 0 };

        let lies_well = self.lies_well();
        (0..self.n * bands).into_par_iter().for_each(|task| {
            let (image, band) = (task / bands, task % bands);
            let rows = band * layout.rows..((band + 1) * layout.rows).min(self.grid[0]);
            let pixels = rows.len() * self.grid[1];
            let plane = self.input[0] * self.input[1];
            // In the last images, the last vector of the last channel may reach past the input.
            let first = image * self.ci * plane + rows.start * self.input[1];
            let reach = first + self.ci.saturating_sub(1) * plane + pixels.next_multiple_of(kernels.lanes);
            let in_place = lies_well && reach <= x.len();
            let out_row = if staged { 0 } else { rows.start * self.output[1] };
            let spans: Vec<Span> = (0..pixels)
                .step_by(kernels.lanes)
                .map(|at| Span { input: at, output: out_row + at, lanes: kernels.lanes.min(pixels - at) })
                .collect();
            let shifts = self.pixels_shifts(&layout, rows.start);
            with_scratch::<T, _>(input_len + stage_len, |scratch| {
                let (input, stage) = scratch.split_at_mut(input_len);
                for c in 0..if in_place { 0 } else { self.ci } {
                    let planes = Planes {
                        from: x[(image * self.ci + c) * plane..].as_ptr(),
                        image: 0,
                        images: 1,
                        to: input[c * layout.channel..].as_mut_ptr(),
                    };
                    // SAFETY: copies stay inside the channel, and what spills past one is written after it.
                    unsafe { (kernels.shift)(&planes, &shifts) };
                }
                let (from, channel) = if in_place { (&x[first..], plane) } else { (&*input, layout.channel) };
                for (p, pass) in self.passes.iter().enumerate() {
                    for first in (0..self.co).step_by(kernels.block) {
                        let (target, out_channel) = if staged {
                            (stage[(p * blocks * kernels.block + first) * line..].as_mut_ptr(), line)
                        } else {
                            // SAFETY: there is such a plane.
                            (unsafe { place.plane(image, first) }, place.len)
                        };
                        let block = Block {
                            x: from.as_ptr(),
                            ci: self.ci,
                            channel,
                            taps: taps[p].as_ptr(),
                            n_taps: taps[p].len(),
                            weights: pass.weights[first * self.ci * taps[p].len()..].as_ptr(),
                            bias: bias[first..].as_ptr(),
                            least: self.least,
                            out: target,
                            out_channel,
                            channels: self.blocks.channels(first),
                        };
                        let narrow = self.blocks.width(first) < kernels.block;
                        // SAFETY: spans lie inside the copies and the output; no other task writes these pixels.
                        unsafe { (kernels.correlate)(&block, &spans, narrow) };
                    }
                }
                if staged {
                    let of_pass = blocks * kernels.block * line;
                    for channel in 0..self.co {
                        let line = |p: usize| &stage[p * of_pass + channel * line..][..pixels];
                        // SAFETY: there is such a plane, and these rows of it are this task's.
                        unsafe { self.write_rows(place.plane(image, channel), rows.clone(), line) };
                    }
                }
            });
        });
    }
}
