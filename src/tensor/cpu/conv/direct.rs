//! Direct correlation without a matrix of patches: forward passes of any stride, and the gradient of their input.
//!
//! The input is copied once per horizontal tap, shifted and zero-padded, so that the outputs of consecutive rows
//! are consecutive in memory for each tap: vectors run across row ends and no lane is wasted on widths such as 28,
//! 14 or 7. (Cho & Brand 2017, arXiv:1706.06873, copy so for their matrix products.) Images whose pixels fill no
//! whole number of vectors are copied once per tap instead, several images in a line.
//!
//! An output step above 1 makes a transposed convolution: one pass per residue of the output position.
#![allow(unsafe_code)] // Kernels take pointers; the plan below keeps them inside their buffers.

use rayon::prelude::*;

use super::super::buffer::{SharedMut, uninit, with_scratch};
use super::kernel::{Block, Kernels, Planes, Shift, Span};
use crate::tensor::cpu::real::Real;

/// The taps that reach one residue of the output position, and their weights.
pub struct Pass<T> {
    /// Row and column of each tap in the window.
    pub taps: Vec<[usize; 2]>,
    /// `[block][ci][tap][channel of the block]`.
    pub weights: Vec<T>,
}

/// Correlations of one input over a common grid of positions.
pub struct Correlation<T> {
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
    /// One pass per residue, row by row.
    pub passes: Vec<Pass<T>>,
    /// Height and width of the output.
    pub output: [usize; 2],
    /// Output rows and columns from one position to the next.
    pub step: [usize; 2],
}

/// Packs weights: `weight(co, ci, tap)` into `[block][ci][tap][channel of the block]`.
pub fn pack<T: Real>(
    kernels: &Kernels<T>,
    [co, ci, taps]: [usize; 3],
    weight: impl Fn(usize, usize, usize) -> T + Sync,
) -> Vec<T> {
    let block = kernels.block;
    let len = co.div_ceil(block) * ci * taps * block;
    let mut packed = vec![T::ZERO; len];
    let per_block = (ci * taps * block).max(1);
    let fill = |(b, out): (usize, &mut [T])| {
        let width = block_width(kernels, co, b * block);
        for m in 0..(co - b * block).min(block) {
            for c in 0..ci {
                for t in 0..taps {
                    out[(c * taps + t) * width + m] = weight(b * block + m, c, t);
                }
            }
        }
    };
    if len < 16 * 1024 {
        packed.chunks_mut(per_block).enumerate().for_each(fill);
    } else {
        packed.par_chunks_mut(per_block).enumerate().for_each(fill);
    }
    packed
}

/// How wide the block that starts at channel `first` is packed.
fn block_width<T>(kernels: &Kernels<T>, co: usize, first: usize) -> usize {
    if co - first <= kernels.block / 2 { kernels.block / 2 } else { kernels.block }
}

/// How one task's input lies in scratch memory, and its vectors.
struct Layout {
    images: usize,
    rows: usize,
    /// One copy per tap, so that images follow one another without a gap.
    dense: bool,
    /// Elements of one copy of one image.
    image: usize,
    /// Elements of one channel: all its copies of all images.
    channel: usize,
    /// Copies of a channel.
    copies: usize,
    /// Output goes through scratch memory.
    staged: bool,
}

/// Scratch that one task may fill: about half of a second-level cache.
const BUDGET: usize = 768 * 1024;

impl<T: Real> Correlation<T> {
    fn halo(&self) -> usize {
        (self.window[0].max(1) - 1) / self.stride[0]
    }

    fn layout(&self, kernels: &Kernels<T>, images: usize, rows: usize, dense: bool) -> Layout {
        let columns = self.grid[1];
        let phases = self.stride[0].min(self.window[0]);
        let copies = if dense { self.window[0] * self.window[1] } else { phases * self.window[1] };
        let image = if dense { rows * columns } else { (rows + self.halo()) * columns };
        let mut channel = (copies * images * image).next_multiple_of(kernels.lanes);
        // Channels whose distance is a multiple of 2 KiB fall on the same lines of the first-level cache.
        if (channel * size_of::<T>()).is_multiple_of(2048) {
            channel += kernels.lanes;
        }
        let staged = dense || self.passes.len() > 1;
        Layout { images, rows, dense, image, channel, copies, staged }
    }

    /// Cycles per image and input channel, roughly: sums, then copies.
    fn cost(&self, kernels: &Kernels<T>, layout: &Layout) -> f64 {
        let pixels = layout.rows * self.grid[1];
        let spans = if layout.dense {
            (layout.images * pixels).div_ceil(kernels.lanes)
        } else {
            layout.images * pixels.div_ceil(kernels.lanes)
        };
        let taps: usize = self.passes.iter().map(|p| p.taps.len()).sum();
        let sums = spans * taps * self.co.div_ceil(kernels.block) * kernels.block / 2;
        let copy_rows = layout.images * layout.copies * layout.image / self.grid[1];
        let copies = 2 * copy_rows * self.grid[1].div_ceil(kernels.lanes);
        (sums + copies) as f64 / layout.images as f64 * self.grid[0].div_ceil(layout.rows) as f64
    }

    fn plan(&self, kernels: &Kernels<T>) -> Layout {
        let [height, width] = self.grid;
        let threads = rayon::current_num_threads();
        let bytes = |layout: &Layout| self.ci * layout.channel * size_of::<T>();
        // Enough tasks for the threads to end together, where there is enough work.
        let most_images = (self.n / (2 * threads)).clamp(1, 16);
        let bands_wanted = if self.n >= 2 * threads { 1 } else { (2 * threads).div_ceil(self.n) };
        let most_rows = height.div_ceil(bands_wanted);
        let whole = self.layout(kernels, 1, most_rows, false);
        let mut best = if bands_wanted == 1 && bytes(&whole) <= BUDGET {
            // Some images at a time: small ones alone have too few vectors to fill the registers.
            let mut best = whole;
            let mut best_cost = self.cost(kernels, &best);
            for dense in [false, true] {
                for images in 1..=most_images {
                    let layout = self.layout(kernels, images, height, dense);
                    let spans = images * height * width / kernels.lanes;
                    let cost = self.cost(kernels, &layout);
                    // A second image at 12 vectors or more gains nothing but a wider working set.
                    let useful = dense || spans <= 15;
                    if useful && bytes(&layout) <= BUDGET && cost < best_cost * if dense { 0.98 } else { 1.001 } {
                        best_cost = cost;
                        best = layout;
                    }
                }
            }
            best
        } else {
            let mut rows = most_rows;
            while rows > 1 && bytes(&self.layout(kernels, 1, rows, false)) > BUDGET {
                rows -= 1;
            }
            // Even bands, then whole vectors if a few more or fewer rows make them.
            rows = height.div_ceil(height.div_ceil(rows));
            let whole = |rows: usize| (rows * width).is_multiple_of(kernels.lanes);
            let rows =
                (rows..rows + 3).chain((1..rows).rev().take(3)).find(|&r| r <= most_rows && whole(r)).unwrap_or(rows);
            self.layout(kernels, 1, rows, false)
        };
        best.rows = best.rows.max(1);
        best
    }

    fn shifts(&self, layout: &Layout, first_row: usize) -> Vec<Shift> {
        let columns = self.window[1];
        let size = [layout.image / self.grid[1], self.grid[1]];
        // The first index is a tap's row, or its residue when rows follow one another in a copy.
        (0..layout.copies)
            .map(|k| {
                let row = (first_row * self.stride[0] + k / columns) as isize - self.before[0];
                let column = (k % columns) as isize - self.before[1];
                Shift::new(self.input, size, [row, column], self.stride, k * layout.images * layout.image)
            })
            .collect()
    }

    fn offset(&self, layout: &Layout, [i, j]: [usize; 2]) -> usize {
        let (copy, row) = if layout.dense { (i, 0) } else { (i % self.stride[0], i / self.stride[0]) };
        (copy * self.window[1] + j) * layout.images * layout.image + row * self.grid[1]
    }

    /// The vectors of `images` images of `rows` rows, and where they go: into the output plane, or into a line.
    fn spans(&self, kernels: &Kernels<T>, layout: &Layout, images: usize, rows: usize, first_row: usize) -> Vec<Span> {
        let lanes = kernels.lanes;
        let pixels = rows * self.grid[1];
        let line = |len: usize, input: usize, output: usize| {
            (0..len).step_by(lanes).map(move |at| Span {
                input: input + at,
                output: output + at,
                lanes: lanes.min(len - at),
            })
        };
        if layout.dense {
            // A short last group keeps the distance between its images.
            debug_assert_eq!(pixels, layout.image);
            line(images * pixels, 0, 0).collect()
        } else {
            let out_image = if layout.staged { pixels } else { self.co * self.output[0] * self.output[1] };
            let out_row = if layout.staged { 0 } else { first_row * self.output[1] };
            (0..images).flat_map(|g| line(pixels, g * layout.image, g * out_image + out_row)).collect()
        }
    }

    /// Correlates `x`, `[n, ci, input]`, and adds `bias`, giving `[n, co, output]`.
    pub fn run(&self, x: &[T], bias: Option<&[T]>, kernels: &Kernels<T>) -> Vec<T> {
        let (out_height, out_width) = (self.output[0], self.output[1]);
        let out_plane = out_height * out_width;
        let len = self.n * self.co * out_plane;
        if len == 0 {
            return Vec::new();
        }
        // SAFETY: each task writes every output pixel of its images, rows and channels, and tasks cover them all.
        let mut out = unsafe { uninit::<T>(len) };
        let shared = SharedMut::new(&mut out);

        let blocks = self.co.div_ceil(kernels.block);
        let mut padded_bias = vec![T::ZERO; blocks * kernels.block];
        if let Some(bias) = bias {
            padded_bias[..self.co].copy_from_slice(bias);
        }
        let layout = self.plan(kernels);
        let taps: Vec<Vec<usize>> =
            self.passes.iter().map(|p| p.taps.iter().map(|&t| self.offset(&layout, t)).collect()).collect();

        let groups = self.n.div_ceil(layout.images);
        let bands = self.grid[0].div_ceil(layout.rows);
        // Too few images and rows for the threads: share the channels out too, at the price of copying more often.
        let threads = rayon::current_num_threads();
        let shares = (2 * threads).div_ceil(groups * bands).min(blocks.div_ceil(4));
        let shares = if groups * bands >= threads { 1 } else { shares };
        let per_share = blocks.div_ceil(shares);

        let line = (layout.images * layout.rows * self.grid[1]).next_multiple_of(kernels.lanes);
        let input_len = self.ci * layout.channel + 2 * kernels.lanes;
        let stage_len = if layout.staged { self.passes.len() * per_share * kernels.block * line } else { 0 };

        (0..groups * bands * shares).into_par_iter().for_each(|task| {
            let share = task % shares;
            let (group, band) = (task / shares / bands, task / shares % bands);
            let images = group * layout.images..((group + 1) * layout.images).min(self.n);
            let rows = band * layout.rows..((band + 1) * layout.rows).min(self.grid[0]);
            let my_blocks = share * per_share..((share + 1) * per_share).min(blocks);
            if my_blocks.is_empty() {
                return;
            }
            let spans = self.spans(kernels, &layout, images.len(), rows.len(), rows.start);
            let shifts = self.shifts(&layout, rows.start);
            with_scratch::<T, _>(input_len + stage_len, |scratch| {
                let (input, stage) = scratch.split_at_mut(input_len);
                // The last vectors of a line may read past the last copy.
                input[self.ci * layout.channel..].fill(T::ZERO);
                for c in 0..self.ci {
                    let plane = self.input[0] * self.input[1];
                    let planes = Planes {
                        from: x[(images.start * self.ci + c) * plane..].as_ptr(),
                        image: self.ci * plane,
                        images: images.len(),
                        to: input[c * layout.channel..].as_mut_ptr(),
                    };
                    // A short group leaves the copies of its missing images as they were.
                    // SAFETY: copies stay inside the channel, and what spills past one is written after it.
                    unsafe { (kernels.shift)(&planes, &shifts) };
                }
                for (p, pass) in self.passes.iter().enumerate() {
                    for b in my_blocks.clone() {
                        let first = b * kernels.block;
                        let (target, out_channel) = if layout.staged {
                            let at = (p * per_share * kernels.block + first - my_blocks.start * kernels.block) * line;
                            (stage[at..].as_mut_ptr(), line)
                        } else {
                            let at = (images.start * self.co + first) * out_plane;
                            // SAFETY: `at` is the first pixel of an existing plane.
                            (unsafe { shared.get().add(at) }, out_plane)
                        };
                        let width = block_width(kernels, self.co, first);
                        let block = Block {
                            x: input.as_ptr(),
                            ci: self.ci,
                            channel: layout.channel,
                            taps: taps[p].as_ptr(),
                            n_taps: taps[p].len(),
                            weights: pass.weights[b * self.ci * taps[p].len() * kernels.block..].as_ptr(),
                            bias: padded_bias[first..].as_ptr(),
                            out: target,
                            out_channel,
                            channels: (self.co - first).min(kernels.block),
                        };
                        // SAFETY: spans lie inside the copies and the output; no other task writes these pixels.
                        unsafe { (kernels.correlate)(&block, &spans, width < kernels.block) };
                    }
                }
                if layout.staged {
                    let channels = my_blocks.start * kernels.block..(my_blocks.end * kernels.block).min(self.co);
                    let pixels = rows.len() * self.grid[1];
                    let of_pass = per_share * kernels.block * line;
                    for (g, image) in images.clone().enumerate() {
                        for (c, channel) in channels.clone().enumerate() {
                            let at = c * line + g * pixels;
                            let first = (image * self.co + channel) * out_plane + rows.start * self.step[0] * out_width;
                            let end = (rows.end * self.step[0]).min(out_height) - rows.start * self.step[0];
                            // SAFETY: these rows of this plane belong to this task alone.
                            let out =
                                unsafe { std::slice::from_raw_parts_mut(shared.get().add(first), end * out_width) };
                            self.unstage(|p| &stage[p * of_pass + at..][..pixels], out);
                        }
                    }
                }
            });
        });
        out
    }

    /// Interleaves the passes' lines into rows of the output.
    fn unstage<'a>(&self, line: impl Fn(usize) -> &'a [T], out: &mut [T]) {
        let [step_y, step_x] = self.step;
        let width = self.grid[1];
        if self.passes.len() == 1 {
            out.copy_from_slice(line(0));
            return;
        }
        for (y, row) in out.chunks_exact_mut(self.output[1]).enumerate() {
            let at = y / step_y * width;
            let pass = y % step_y * step_x;
            if step_x == 2 {
                let (even, odd) = (&line(pass)[at..][..width], &line(pass + 1)[at..][..width]);
                for ((pair, &a), &b) in row.chunks_exact_mut(2).zip(even).zip(odd) {
                    pair[0] = a;
                    pair[1] = b;
                }
                if let [last] = row.chunks_exact_mut(2).into_remainder() {
                    *last = even[width - 1];
                }
            } else {
                for b in 0..step_x {
                    let from = &line(pass + b)[at..][..width];
                    for (to, &v) in row[b..].iter_mut().step_by(step_x).zip(from) {
                        *to = v;
                    }
                }
            }
        }
    }
}
