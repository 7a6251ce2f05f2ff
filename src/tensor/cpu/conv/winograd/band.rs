//! How outputs leave a task: pixels with a vector of channels each, to the planes of these channels.
#![allow(unsafe_code)] // Kernels take pointers; lengths are asserted by the slices they come from.

use std::ops::Range;

use crate::tensor::cpu::conv::kernel::Kernels;
use crate::tensor::cpu::conv::place::Place;
use crate::tensor::cpu::real::Real;

/// Pixels of a vector of channels that are written to the output at a time.
const BURST: usize = 128;

/// Elements of a burst.
pub fn bounce_len(lanes: usize) -> usize {
    lanes * (BURST + lanes)
}

/// Some rows of some channels (a vector at most) of some images of the output.
pub struct Band<'a, T> {
    /// Pixels with a vector of channels each.
    pub pixels: &'a [T],
    /// Rows of pixels of an image, and pixels of a row.
    pub size: [usize; 2],
    pub images: Range<usize>,
    pub channels: Range<usize>,
    pub rows: Range<usize>,
    /// Pixels of a row of the output.
    pub width: usize,
}

impl<T: Real> Band<'_, T> {
    /// Writes the pixels to their planes, by way of `bounce`, which holds a burst of each channel.
    pub fn write(&self, place: &Place<T>, kernels: &Kernels<T>, bounce: &mut [T]) {
        let (lanes, [pixel_rows, pixel_columns], width) = (kernels.lanes, self.size, self.width);
        let (channels, height) = (self.channels.len(), self.rows.len());
        for (k, image) in self.images.clone().enumerate() {
            let gather = |from: usize, count: usize, bounce: &mut [T], at: usize| {
                let from = &self.pixels[(k * pixel_rows * pixel_columns + from) * lanes..][..count * lanes];
                let to = bounce[at..].as_mut_ptr();
                // SAFETY: reads `count` vectors; `bounce` holds a burst of each channel.
                unsafe { (kernels.transpose_back)(from.as_ptr(), lanes, count, channels, to, BURST + lanes) };
            };
            let flush = |bounce: &[T], count: usize, at: usize| {
                for (channel, run) in self.channels.clone().zip(bounce.chunks(BURST + lanes)) {
                    // SAFETY: these pixels of this plane belong to this task alone.
                    unsafe {
                        let to = place.plane(image, channel).add(self.rows.start * width + at);
                        std::ptr::copy_nonoverlapping(run.as_ptr(), to, count);
                    }
                }
            };
            if pixel_columns == width {
                // Rows follow one another without a gap.
                let pixels = height * width;
                for at in (0..pixels).step_by(BURST) {
                    let count = BURST.min(pixels - at);
                    gather(at, count, bounce, 0);
                    flush(bounce, count, at);
                }
                continue;
            }
            let at_once = (BURST / width).max(1);
            for y in (0..height).step_by(at_once) {
                if width <= BURST {
                    let burst = at_once.min(height - y);
                    for i in 0..burst {
                        gather((y + i) * pixel_columns, width, bounce, i * width);
                    }
                    flush(bounce, burst * width, y * width);
                    continue;
                }
                for x in (0..width).step_by(BURST) {
                    let count = BURST.min(width - x);
                    gather(y * pixel_columns + x, count, bounce, 0);
                    flush(bounce, count, y * width + x);
                }
            }
        }
    }
}
