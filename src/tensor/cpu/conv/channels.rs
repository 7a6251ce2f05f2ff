//! Correlation with vectors along output channels: any width costs what it has pixels.
//!
//! The input is copied once, zero-padded, and each of its values is multiplied with two vectors of weights. Sums leave
//! the registers as `[pixel][channel]`, and are transposed on their way to the output.
#![allow(unsafe_code)] // Kernels take pointers; the plan below keeps them inside their buffers.

use std::ops::Range;

use rayon::prelude::*;

use super::correlation::{BUDGET, Correlation};
use super::kernel::{Kernels, Planes, Segment, Shift, Wide};
use super::place::Place;
use crate::tensor::cpu::buffer::{SharedMut, with_scratch};
use crate::tensor::cpu::real::Real;

/// Bytes of weights that stay in the first-level cache while pixels go by.
const WEIGHTS: usize = 24 * 1024;

/// Pixels that are finished and written at a time, about: few enough for the processor to write them while it
/// computes the next.
const BURST: usize = 112;

/// How one task's input lies in scratch memory.
struct Layout {
    images: usize,
    rows: usize,
    /// Elements of a copied row, and copied rows of an image.
    pitch: usize,
    copied_rows: usize,
    /// One copy for each residue of columns.
    residues: usize,
    channel: usize,
    /// Pixels of a segment.
    segment: usize,
    /// Rows that are finished and written at a time.
    burst: usize,
}

impl Layout {
    fn image(&self) -> usize {
        self.copied_rows * self.pitch
    }
}

impl<T: Real> Correlation<T> {
    fn channels_layout(&self, kernels: &Kernels<T>, images: usize, rows: usize) -> Layout {
        let [stride_y, stride_x] = self.stride;
        let [window_h, window_w] = self.window.map(|w| w.max(1));
        let [long, short] = kernels.segments;
        // The shorter, unless the longer leaves less of the last segment of a row unused.
        let unused = |k: usize| self.grid[1].next_multiple_of(k) - self.grid[1];
        let segment = if unused(long) < unused(short) { long } else { short };
        // Pixels past the end of a row are computed with the others, and dropped.
        let pitch = self.grid[1].next_multiple_of(segment) + (window_w - 1) / stride_x;
        let copied_rows = (rows - 1) * stride_y + window_h;
        let residues = stride_x.min(window_w);
        let mut channel = (residues * images * copied_rows * pitch + kernels.lanes).next_multiple_of(kernels.lanes);
        // Channels whose distance is a multiple of 2 KiB fall on the same lines of the first-level cache.
        if (channel * size_of::<T>()).is_multiple_of(2048) {
            channel += kernels.lanes;
        }
        // Some tiles, and some vectors of pixels.
        let burst = (BURST / self.grid[1]).clamp(1, rows);
        Layout { images, rows, pitch, copied_rows, residues, channel, segment, burst }
    }

    fn channels_plan(&self, kernels: &Kernels<T>) -> Layout {
        let bytes = |images, rows| self.ci * self.channels_layout(kernels, images, rows).channel * size_of::<T>();
        let rows = self.band(self.grid[0], kernels, |rows| bytes(1, rows));
        // Images that one task takes: as many as fill the registers with their segments.
        let mut images = 1;
        if rows == self.grid[0] {
            let most = (self.n / (2 * rayon::current_num_threads())).clamp(1, 8);
            let layout = self.channels_layout(kernels, 1, rows);
            let segments = rows * self.grid[1].div_ceil(layout.segment);
            let at_once = if layout.segment == kernels.segments[0] { 2 } else { 3 };
            let cost = |images: usize| (images * segments).next_multiple_of(at_once) as f64 / images as f64;
            for more in 2..=most {
                if segments < 64 && bytes(more, rows) <= BUDGET && cost(more) < cost(images) {
                    images = more;
                }
            }
        }
        self.channels_layout(kernels, images, rows)
    }

    fn segments(&self, layout: &Layout, images: usize, rows: usize) -> Vec<Segment> {
        let width = self.grid[1];
        let mut segments = Vec::with_capacity(images * rows * width.div_ceil(layout.segment));
        for image in 0..images {
            for row in 0..rows {
                for x in (0..width).step_by(layout.segment) {
                    segments.push(Segment {
                        input: image * layout.image() + row * self.stride[0] * layout.pitch + x,
                        pixel: (image * rows + row) * width + x,
                        count: layout.segment.min(width - x),
                    });
                }
            }
        }
        segments
    }

    fn copy(
        &self,
        x: &[T],
        images: Range<usize>,
        first_row: usize,
        layout: &Layout,
        kernels: &Kernels<T>,
        to: &mut [T],
    ) {
        let size = [layout.copied_rows, layout.pitch];
        let row = (first_row * self.stride[0]) as isize - self.before[0];
        let shifts: Vec<Shift> = (0..layout.residues)
            .map(|r| {
                let first = [row, r as isize - self.before[1]];
                Shift::new(self.input, size, first, [1, self.stride[1]], r * layout.images * layout.image())
            })
            .collect();
        let plane = self.input[0] * self.input[1];
        for c in 0..self.ci {
            let planes = Planes {
                from: x[(images.start * self.ci + c) * plane..].as_ptr(),
                image: self.ci * plane,
                images: images.len(),
                to: to[c * layout.channel..][..layout.channel].as_mut_ptr(),
            };
            // SAFETY: a channel's copies and their spill stay within `layout.channel` elements.
            unsafe { (kernels.shift)(&planes, &shifts) };
        }
    }

    /// See [`Correlation::run`]; `bias` has whole blocks.
    pub fn run_along_channels(&self, x: &[T], bias: &[T], kernels: &Kernels<T>, place: &Place<T>) {
        // Each task writes every output pixel of its images, rows and channels, and tasks cover them all.
        let layout = self.channels_plan(kernels);
        let tap = |&[i, j]: &[usize; 2]| {
            j % self.stride[1] * layout.images * layout.image() + i * layout.pitch + j / self.stride[1]
        };
        let taps: Vec<Vec<usize>> = self.passes.iter().map(|p| p.taps.iter().map(tap).collect()).collect();

        let groups = self.n.div_ceil(layout.images);
        let bands = self.grid[0].div_ceil(layout.rows);
        let full = self.blocks.block;
        let blocks = self.blocks.count();
        let shares = self.shares(groups * bands, blocks);
        let per_share = blocks.div_ceil(shares);

        let most_pixels = layout.images * layout.rows * self.grid[1];
        let input_len = self.ci * layout.channel;
        let line_len = (most_pixels * full).next_multiple_of(kernels.lanes);
        // Planes lie a power of two apart as often as not, and would all be written through the same few cache lines.
        let bounce_pitch = (layout.burst * self.grid[1]).next_multiple_of(kernels.lanes) + kernels.lanes;
        let bounce_len = kernels.lanes * bounce_pitch;
        // Several passes are interleaved, so the planes they make wait in scratch memory.
        let staged = self.passes.len() > 1;
        let stage_len = if staged { self.passes.len() * line_len } else { 0 };

        (0..groups * bands * shares).into_par_iter().for_each(|task| {
            let share = task % shares;
            let (group, band) = (task / shares / bands, task / shares % bands);
            let images = group * layout.images..((group + 1) * layout.images).min(self.n);
            let rows = band * layout.rows..((band + 1) * layout.rows).min(self.grid[0]);
            let pixels = rows.len() * self.grid[1];
            let segments = self.segments(&layout, images.len(), rows.len());
            with_scratch::<T, _>(input_len + line_len + bounce_len + stage_len, |scratch| {
                let (line, rest) = scratch.split_at_mut(line_len);
                let (bounce, rest) = rest.split_at_mut(bounce_len);
                let (input, stage) = rest.split_at_mut(input_len);
                let line_at = SharedMut::new(line);
                self.copy(x, images.clone(), rows.start, &layout, kernels, input);
                for b in share * per_share..((share + 1) * per_share).min(blocks) {
                    let first = b * full;
                    let width = self.blocks.width(first);
                    let channels = self.blocks.channels(first);
                    for (p, pass) in self.passes.iter().enumerate() {
                        let n_taps = taps[p].len();
                        let weights = &pass.weights[first * self.ci * n_taps..];
                        let chunk = (WEIGHTS / (n_taps.max(1) * width * size_of::<T>())).clamp(1, self.ci);
                        let last = (self.ci - 1) / chunk * chunk;
                        let over = |c: usize, segments: &[Segment]| {
                            let wide = Wide {
                                x: input[c * layout.channel..].as_ptr(),
                                ci: chunk.min(self.ci - c),
                                channel: layout.channel,
                                taps: taps[p].as_ptr(),
                                n_taps,
                                weights: weights[c * n_taps * width..].as_ptr(),
                                bias: if c == 0 { bias[first..].as_ptr() } else { std::ptr::null() },
                                least: if c == last { self.least } else { T::NEG_INFINITY },
                                line: line_at.get(),
                            };
                            // SAFETY: the copies hold every tap of every segment, and the line every pixel.
                            unsafe { (kernels.wide)(&wide, segments, layout.segment, width / kernels.lanes) };
                        };
                        for c in (0..last).step_by(chunk) {
                            over(c, &segments);
                        }
                        // Whole rows at a time, so that pixels go to memory while the next ones are computed.
                        for (k, image) in images.clone().enumerate() {
                            for top in (0..rows.len()).step_by(layout.burst) {
                                let burst = layout.burst.min(rows.len() - top);
                                let per_row = self.grid[1].div_ceil(layout.segment);
                                over(last, &segments[(k * rows.len() + top) * per_row..][..burst * per_row]);
                                let at = top * self.grid[1];
                                for part in (0..channels).step_by(kernels.lanes) {
                                    // SAFETY: the line holds every pixel.
                                    let from = unsafe { line_at.get().add((k * pixels + at) * width + part) };
                                    let columns = (channels - part).min(kernels.lanes);
                                    let count = burst * self.grid[1];
                                    if staged {
                                        let to = &mut stage[p * line_len + part * most_pixels + k * pixels + at..];
                                        // SAFETY: these pixels of these lines lie in the stage.
                                        unsafe {
                                            (kernels.transpose_back)(
                                                from,
                                                width,
                                                count,
                                                columns,
                                                to.as_mut_ptr(),
                                                most_pixels,
                                            );
                                        }
                                        continue;
                                    }
                                    // SAFETY: `bounce` holds a burst of pixels of each channel.
                                    unsafe {
                                        (kernels.transpose_back)(
                                            from,
                                            width,
                                            count,
                                            columns,
                                            bounce.as_mut_ptr(),
                                            bounce_pitch,
                                        );
                                    }
                                    let first_pixel = rows.start * self.output[1] + at;
                                    for (c, run) in bounce.chunks(bounce_pitch).take(columns).enumerate() {
                                        // SAFETY: these pixels of this plane belong to this task alone.
                                        unsafe {
                                            let to = place.plane(image, first + part + c).add(first_pixel);
                                            std::ptr::copy_nonoverlapping(run.as_ptr(), to, count)
                                        };
                                    }
                                }
                            }
                        }
                    }
                    if staged {
                        for (k, image) in images.clone().enumerate() {
                            for c in 0..channels {
                                let line = |p: usize| &stage[p * line_len + c * most_pixels + k * pixels..][..pixels];
                                // SAFETY: a plane of the output, whose rows here belong to this task alone.
                                unsafe { self.write_rows(place.plane(image, first + c), rows.clone(), line) };
                            }
                        }
                    }
                }
            });
        });
    }
}
