//! A correlation of one input with several sets of taps: what a forward pass of any stride and the gradient of its
//! input have in common.
//!
//! An output step above 1 makes a transposed convolution: one pass per residue of the output position.
#![allow(unsafe_code)] // Tasks write rows of one output that they share.

use std::ops::Range;

use rayon::prelude::*;

use super::kernel::Kernels;
use super::place::Place;
use super::whole_vectors;
use crate::tensor::cpu::buffer::Aligned;
use crate::tensor::cpu::dispatch::multiversion;
use crate::tensor::cpu::real::Real;

/// The taps that reach one residue of the output position, and their weights.
pub struct Pass<T: Real> {
    /// Row and column of each tap in the window.
    pub taps: Vec<[usize; 2]>,
    /// `[block][ci][tap][channel of the block]`.
    pub weights: Aligned<T>,
}

/// Correlations of one input over a common grid of positions.
pub struct Correlation<T: Real> {
    pub n: usize,
    pub ci: usize,
    pub co: usize,
    /// Height and width of the input.
    pub input: [usize; 2],
    /// Rows and columns of positions.
    pub grid: [usize; 2],
    /// Input rows and columns from one position to the next.
    pub stride: [usize; 2],
    /// Rows and columns that the window of the first position stands above and left of the input.
    pub before: [isize; 2],
    /// Rows and columns of the window.
    pub window: [usize; 2],
    pub blocks: Blocks,
    /// One pass per residue, row by row.
    pub passes: Vec<Pass<T>>,
    /// Height and width of the output.
    pub output: [usize; 2],
    /// Output rows and columns from one position to the next.
    pub step: [usize; 2],
    /// Smaller results become this.
    pub least: T,
}

/// Scratch that one task may fill: about half of a second-level cache.
pub const BUDGET: usize = 768 * 1024;

/// Which way vectors run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Along {
    /// Along pixels: with few output channels, and where an output has too few terms to be worth a transposition.
    Pixels,
    /// Along output channels.
    Channels,
}

/// How weights are cut into blocks of output channels.
#[derive(Debug, Clone, Copy)]
pub struct Blocks {
    pub along: Along,
    pub co: usize,
    /// Channels in a block.
    pub block: usize,
}

impl Blocks {
    /// For `co` output channels, `ci` input channels and a window of so many rows and columns.
    pub fn new<T>(kernels: &Kernels<T>, co: usize, ci: usize, window: [usize; 2]) -> Self {
        let few_terms = window[1] <= 1 || ci * window[0] * window[1] < 128;
        if co < kernels.lanes || few_terms {
            Self { along: Along::Pixels, co, block: kernels.block }
        } else {
            Self { along: Along::Channels, co, block: 2 * kernels.lanes }
        }
    }

    pub fn count(&self) -> usize {
        self.co.div_ceil(self.block)
    }

    /// Channels of the block that starts at `first`.
    pub fn channels(&self, first: usize) -> usize {
        (self.co - first).min(self.block)
    }

    /// How wide the block that starts at channel `first` is packed: a last one may be half as wide.
    pub fn width(&self, first: usize) -> usize {
        if self.co - first <= self.block / 2 { self.block / 2 } else { self.block }
    }
}

/// Packs weights: `weight(co, ci, tap)` into `[block][ci][tap][channel of the block]`.
pub fn pack<T: Real>(
    blocks: &Blocks,
    [ci, taps]: [usize; 2],
    weight: impl Fn(usize, usize, usize) -> T + Sync,
) -> Aligned<T> {
    let block = blocks.block;
    let mut packed = Aligned::zeros(blocks.count() * ci * taps * block);
    let fill = |(b, out): (usize, &mut [T])| {
        let first = b * block;
        let width = blocks.width(first);
        for (c, of_channel) in out.chunks_exact_mut((taps * width).max(1)).take(ci).enumerate() {
            for m in 0..blocks.channels(first) {
                for t in 0..taps {
                    of_channel[t * width + m] = weight(first + m, c, t);
                }
            }
        }
    };
    let per_block = (ci * taps * block).max(1);
    if packed.len() < 16 * 1024 {
        packed.chunks_mut(per_block).enumerate().for_each(fill);
    } else {
        packed.par_chunks_mut(per_block).enumerate().for_each(fill);
    }
    packed
}

impl<T: Real> Correlation<T> {
    /// Correlates `x`, `[n, ci, input]`, and adds `bias`, giving `[n, co, output]` at `place`.
    pub fn run(&self, x: &[T], bias: Option<&[T]>, kernels: &Kernels<T>, place: &Place<T>) {
        if self.n * self.co * self.output[0] * self.output[1] == 0 {
            return;
        }
        // Of whole blocks, so that the kernels may load it by vectors.
        let padded = whole_vectors(bias, self.co, self.blocks.block);
        match self.blocks.along {
            Along::Channels => self.run_along_channels(x, &padded, kernels, place),
            Along::Pixels => self.run_along_pixels(x, &padded, kernels, place),
        }
    }

    /// Rows of positions to a task, at most `most`, so that its scratch fits the cache and the threads end together.
    pub fn band(&self, most: usize, kernels: &Kernels<T>, bytes: impl Fn(usize) -> usize) -> usize {
        let height = self.grid[0];
        let tasks = 2 * rayon::current_num_threads();
        let wanted = if self.n >= tasks { 1 } else { tasks.div_ceil(self.n) };
        let mut rows = height.div_ceil(wanted).min(most).max(1);
        while rows > 1 && bytes(rows) > BUDGET {
            rows -= 1;
        }
        // Even bands, then whole vectors if a few more or fewer rows make them.
        rows = height.div_ceil(height.div_ceil(rows));
        let whole = |rows: usize| (rows * self.grid[1]).is_multiple_of(kernels.lanes);
        (rows..rows + 3).chain((1..rows).rev().take(3)).find(|&r| r <= most && r <= height && whole(r)).unwrap_or(rows)
    }

    /// Into how many shares to cut `blocks` of output channels when `tasks` are too few for the threads, at the price
    /// of copying the input more often.
    pub fn shares(&self, tasks: usize, blocks: usize) -> usize {
        let threads = rayon::current_num_threads();
        if tasks >= threads { 1 } else { (2 * threads).div_ceil(tasks).min(blocks) }
    }

    /// Interleaves the passes' lines of positions, `line(pass)`, into the rows of the output plane at `plane` that
    /// belong to the positions' `rows`.
    ///
    /// # Safety
    /// `plane` is the first element of a plane of the output, and no other task touches these rows.
    pub unsafe fn write_rows<'a>(&self, plane: *mut T, rows: Range<usize>, line: impl Fn(usize) -> &'a [T]) {
        let [step_y, step_x] = self.step;
        let [height, width] = self.output;
        let (start, end) = (rows.start * step_y, (rows.end * step_y).min(height));
        // SAFETY: the caller's contract; `end` is at most the height.
        let out = unsafe { std::slice::from_raw_parts_mut(plane.add(start * width), (end - start) * width) };
        let columns = self.grid[1];
        for (y, row) in out.chunks_exact_mut(width).enumerate() {
            let of_pass = |b: usize| &line(y % step_y * step_x + b)[y / step_y * columns..][..columns];
            if step_x == 2 {
                interleave(of_pass(0), of_pass(1), row);
                continue;
            }
            for b in 0..step_x {
                for (to, &v) in row.iter_mut().skip(b).step_by(step_x).zip(of_pass(b)) {
                    *to = v;
                }
            }
        }
    }
}

multiversion! {
    /// One value of each in turn; `out` may be one shorter than both together.
    fn interleave[T: Real](even: &[T], odd: &[T], out: &mut [T]) {
        for ((pair, &a), &b) in out.chunks_exact_mut(2).zip(even).zip(odd) {
            pair[0] = a;
            pair[1] = b;
        }
        if let ([last], Some(&v)) = (out.chunks_exact_mut(2).into_remainder(), even.last()) {
            *last = v;
        }
    }
}
