//! How images are cut into tasks of tiles, and how their pixels lie while tiles are read.
#![allow(unsafe_code)] // Kernels take pointers; lengths are asserted by the slices they come from.

use std::ops::Range;

use super::super::kernel::Kernels;
use super::Shape;
use crate::tensor::cpu::real::Real;

/// How tasks take an image or some.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    /// Images of a task, or rows of tiles of one image.
    pub images: usize,
    pub rows: usize,
    pub bands: usize,
    /// Tiles in a row.
    pub columns: usize,
}

impl Cut {
    /// Tasks of at most about `most` tiles each, and at least `tasks` of them if the shape has as many.
    pub fn new(s: &Shape, most: usize, tasks: usize) -> Self {
        let [rows, columns] = s.tiles();
        let images = (most / (rows * columns)).min(s.n / tasks).max(1);
        if images > 1 {
            return Self { images, rows, bands: 1, columns };
        }
        let bands = rows.div_ceil((most / columns).max(1)).max(tasks.div_ceil(s.n)).min(rows);
        let rows = rows.div_ceil(bands);
        Self { images, rows, bands: s.tiles()[0].div_ceil(rows), columns }
    }

    pub fn count(&self, s: &Shape) -> usize {
        s.n.div_ceil(self.images) * self.bands
    }

    /// Images and rows of tiles of a task.
    pub fn part(&self, s: &Shape, task: usize) -> (Range<usize>, Range<usize>) {
        let (group, band) = (task / self.bands, task % self.bands);
        let images = group * self.images..((group + 1) * self.images).min(s.n);
        (images, band * self.rows..((band + 1) * self.rows).min(s.tiles()[0]))
    }

    pub fn tiles(&self) -> usize {
        self.images * self.rows * self.columns
    }
}

/// Pixels of some images side by side with a vector of channels each, zero outside the image: what tiles are read from.
pub struct Patches {
    /// Rows of pixels of an image, and pixels of a row.
    pub rows: usize,
    pub columns: usize,
    /// The rows and columns that stand above and left of the image.
    pub before: [isize; 2],
    /// Pixels from one tile to the next.
    pub tile: usize,
}

impl Patches {
    pub fn len(&self, images: usize, lanes: usize) -> usize {
        images * self.rows * self.columns * lanes
    }

    /// Elements before the first pixel of image `k`, row of tiles `row`, column of tiles `column`.
    pub fn at(&self, k: usize, row: usize, column: usize, lanes: usize) -> usize {
        ((k * self.rows + row * self.tile) * self.columns + column * self.tile) * lanes
    }

    /// Copies `channels` (at most a vector) of the planes of `images` from `first_row` on to `to`, whose borders are 0 already;
    /// `dense` holds as many pixels as an image has rows here.
    pub fn fill<T: Real>(
        &self,
        planes: &Channels<'_, T>,
        first_row: usize,
        kernels: &Kernels<T>,
        to: &mut [T],
        dense: &mut [T],
    ) {
        let lanes = kernels.lanes;
        let [height, width] = planes.size;
        let top = first_row as isize - self.before[0];
        // Rows and columns of the image that are seen.
        let rows = top.max(0) as usize..((top + self.rows as isize).max(0) as usize).min(height);
        let left = -self.before[1];
        let columns = left.max(0) as usize..((left + self.columns as isize).max(0) as usize).min(width);
        if rows.is_empty() || columns.is_empty() {
            return;
        }
        let (stride, channels) = (height * width, planes.channels.len());
        for (k, image) in planes.images.clone().enumerate() {
            let from = &planes.data[(image * planes.of + planes.channels.start) * stride..];
            let at = |row: usize| {
                let (y, x) = ((row as isize - top) as usize, (columns.start as isize - left) as usize);
                ((k * self.rows + y) * self.columns + x) * lanes
            };
            if columns.len() >= lanes {
                for row in rows.clone() {
                    let to = to[at(row)..][..columns.len() * lanes].as_mut_ptr();
                    let from = from[row * width + columns.start..].as_ptr();
                    // SAFETY: reads `columns` pixels of `channels` planes; writes as many vectors.
                    unsafe { (kernels.transpose)(from, stride, channels, columns.len(), to, lanes) };
                }
                continue;
            }
            // Rows are shorter than a vector: all at once, and then to their places.
            let pixels = rows.len() * width;
            let dense = &mut dense[..pixels * lanes];
            // SAFETY: reads `pixels` pixels of `channels` planes; writes as many vectors.
            unsafe {
                (kernels.transpose)(
                    from[rows.start * width..].as_ptr(),
                    stride,
                    channels,
                    pixels,
                    dense.as_mut_ptr(),
                    lanes,
                );
            }
            for (i, row) in rows.clone().enumerate() {
                let from = &dense[(i * width + columns.start) * lanes..][..columns.len() * lanes];
                to[at(row)..][..from.len()].copy_from_slice(from);
            }
        }
    }
}

/// Some channels of some images of a tensor of `of` channels.
pub struct Channels<'a, T> {
    pub data: &'a [T],
    pub of: usize,
    pub size: [usize; 2],
    pub images: Range<usize>,
    pub channels: Range<usize>,
}

/// Calls `f(tile, image, row, column)` for each tile, counted from 0.
pub fn each_tile([images, rows, columns]: [usize; 3], mut f: impl FnMut(usize, usize, usize, usize)) {
    let mut tile = 0;
    for k in 0..images {
        for row in 0..rows {
            for column in 0..columns {
                f(tile, k, row, column);
                tile += 1;
            }
        }
    }
}

/// Calls `f(start, size)` for parts of `0..len` that are as equal as can be, and at most `most`.
pub fn evenly(len: usize, most: usize, mut f: impl FnMut(usize, usize)) {
    let parts = len.div_ceil(most);
    let mut start = 0;
    for part in 0..parts {
        let end = len * (part + 1) / parts;
        f(start, end - start);
        start = end;
    }
}
