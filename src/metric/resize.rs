//! Resizing of 8-bit images, byte for byte as Pillow does it (`Image.resize(size, Image.BILINEAR)`, or `Image.BICUBIC`).
//!
//! Pillow widens its filter when an image shrinks, so that no pixel is skipped, and rounds to bytes after each of its
//! two passes. Resizers that differ here move a Fréchet distance by more than many methods do (Parmar et al. 2022,
//! arXiv:2104.11222).

use std::borrow::Cow;

use rayon::prelude::*;

use crate::data::Images;

/// Bits after the point in Pillow's weights for 8-bit images.
const FRACTION: u32 = 22;

/// Where one target pixel comes from: the first source pixel and the weights of that and its followers.
struct Tap {
    first: usize,
    weights: Vec<i32>,
}

/// How much a source pixel counts, by its distance in pixels of the coarser side; and the distance from which it does not.
#[derive(Clone, Copy)]
struct Filter {
    support: f64,
    weight: fn(f64) -> f64,
}

const BILINEAR: Filter = Filter { support: 1., weight: |far| (1. - far.abs()).max(0.) };

const BICUBIC: Filter = Filter {
    support: 2.,
    weight: |far| match far.abs() {
        x if x < 1. => (1.5 * x - 2.5) * x * x + 1.,
        x if x < 2. => ((-0.5 * x + 2.5) * x - 4.) * x + 2.,
        _ => 0.,
    },
};

/// Turns planes of `height` by `width` bytes into planes of `size` by `size`, again and again.
pub struct Resizer {
    height: usize,
    width: usize,
    size: usize,
    across: Vec<Tap>,
    down: Vec<Tap>,
}

impl Resizer {
    /// A bilinear resizer of `[height, width]` to `[size, size]`; no side is empty.
    pub fn new(height: usize, width: usize, size: usize) -> Self {
        Self::with(height, width, size, BILINEAR)
    }

    /// A bicubic resizer of `[height, width]` to `[size, size]`; no side is empty.
    pub fn bicubic(height: usize, width: usize, size: usize) -> Self {
        Self::with(height, width, size, BICUBIC)
    }

    fn with(height: usize, width: usize, size: usize, filter: Filter) -> Self {
        Self { height, width, size, across: taps(width, size, filter), down: taps(height, size, filter) }
    }

    /// One plane, row by row, to `target` of `size * size` bytes.
    pub fn plane(&self, source: &[u8], target: &mut [u8]) {
        let size = self.size;
        let widened = if self.width == size {
            Cow::Borrowed(source)
        } else {
            let mut widened = vec![0; self.height * size];
            for (row, to) in source.chunks_exact(self.width).zip(widened.chunks_exact_mut(size)) {
                for (pixel, tap) in to.iter_mut().zip(&self.across) {
                    let terms = row[tap.first..].iter().zip(&tap.weights);
                    *pixel = rounded(terms.fold(HALF, |sum, (from, weight)| sum + i32::from(*from) * weight));
                }
            }
            Cow::Owned(widened)
        };
        if self.height == size {
            target.copy_from_slice(&widened);
            return;
        }
        let mut sums = vec![0; size];
        for (row, tap) in target.chunks_exact_mut(size).zip(&self.down) {
            sums.fill(HALF);
            for (from, weight) in widened[tap.first * size..].chunks_exact(size).zip(&tap.weights) {
                sums.iter_mut().zip(from).for_each(|(sum, from)| *sum += i32::from(*from) * weight);
            }
            row.iter_mut().zip(&sums).for_each(|(pixel, sum)| *pixel = rounded(*sum));
        }
    }
}

/// What sums start from, so that they are rounded to the nearest.
const HALF: i32 = 1 << (FRACTION - 1);

fn rounded(sum: i32) -> u8 {
    (sum >> FRACTION).clamp(0, 255) as u8
}

fn taps(from: usize, to: usize, filter: Filter) -> Vec<Tap> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.);
    let support = filter.support * stretch;
    (0..to)
        .map(|i| {
            let centre = (i as f64 + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.) as usize;
            let end = ((centre + support + 0.5) as usize).min(from);
            let weight = |x: usize| (filter.weight)((x as f64 - centre + 0.5) / stretch);
            let weights: Vec<f64> = (first..end).map(weight).collect();
            let total: f64 = weights.iter().sum();
            // To the nearest, also below zero.
            let fixed = |weight: &f64| {
                let scaled = weight / total * f64::from(1 << FRACTION);
                (if scaled < 0. { scaled - 0.5 } else { scaled + 0.5 }) as i32
            };
            Tap { first, weights: weights.iter().map(fixed).collect() }
        })
        .collect()
}

/// Images brought to `size` by Pillow's bicubic filter, in colour, each colour less its mean over its deviation:
/// `[n, 3, size, size]`.
pub(super) fn standardised(images: &Images, size: usize, means: [f32; 3], deviations: [f32; 3]) -> Vec<f32> {
    let [n, channels, height, width] = images.dims();
    let resizer = Resizer::bicubic(height, width, size);
    let plane = size * size;
    let mut pixels = vec![0f32; n * 3 * plane];
    pixels.par_chunks_exact_mut(3 * plane).enumerate().for_each(|(i, target)| {
        let mut resized = vec![0; channels * plane];
        for (source, target) in images.image(i).chunks_exact(height * width).zip(resized.chunks_exact_mut(plane)) {
            resizer.plane(source, target);
        }
        for (c, target) in target.chunks_exact_mut(plane).enumerate() {
            let source = &resized[if channels == 3 { c } else { 0 } * plane..][..plane];
            let value = |byte: u8| (f32::from(byte) / 255. - means[c]) / deviations[c];
            target.iter_mut().zip(source).for_each(|(x, byte)| *x = value(*byte));
        }
    });
    pixels
}

#[cfg(test)]
mod tests {
    use super::*;

    // From Pillow 13: Image.frombytes("L", (3, 2), bytes([0, 100, 250, 40, 80, 10])).resize((4, 4), Image.BILINEAR).
    #[test]
    fn bytes_are_those_of_pillow() {
        let mut target = [0; 16];
        Resizer::new(2, 3, 4).plane(&[0, 100, 250, 40, 80, 10], &mut target);
        assert_eq!(target, [0, 63, 156, 250, 10, 64, 131, 190, 30, 65, 80, 70, 40, 65, 54, 10]);
    }
}
