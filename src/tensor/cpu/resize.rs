//! Changing the size of planes: repetition, insertion of zeros, bilinear interpolation; and their transposes.
#![allow(unsafe_code)] // Outputs are not zeroed before they are written.

use super::buffer::{for_planes, uninit, with_scratch};
use super::pool::double;
use super::real::Real;

/// Each pixel of `[planes, h, w]` repeated `factor` times down and across.
pub fn nearest<T: Real>(x: &[T], planes: usize, h: usize, w: usize, factor: usize) -> Vec<T> {
    let (out_h, out_w) = (h * factor, w * factor);
    // SAFETY: every row is written, the first of each block by hand and the others as copies of it.
    let mut out = unsafe { uninit(planes * out_h * out_w) };
    for_planes(&mut out, out_h * out_w, |i, out| {
        for (y, block) in out.chunks_exact_mut(factor * out_w).enumerate() {
            let row = &x[(i * h + y) * w..][..w];
            let (first, others) = block.split_at_mut(out_w);
            if factor == 2 {
                double(row, T::ONE, first);
            } else {
                for (run, &v) in first.chunks_exact_mut(factor).zip(row) {
                    run.fill(v);
                }
            }
            for other in others.chunks_exact_mut(out_w) {
                other.copy_from_slice(first);
            }
        }
    });
    out
}

/// The transpose of [`nearest`]: the sum of each `factor` by `factor` block of `g`, giving `[planes, h, w]`.
pub fn nearest_transposed<T: Real>(g: &[T], planes: usize, h: usize, w: usize, factor: usize) -> Vec<T> {
    let (in_h, in_w) = (h * factor, w * factor);
    // SAFETY: every pixel is written.
    let mut out = unsafe { uninit(planes * h * w) };
    for_planes(&mut out, h * w, |i, out| {
        let g = &g[i * in_h * in_w..][..in_h * in_w];
        for (y, row) in out.chunks_exact_mut(w.max(1)).enumerate() {
            let block = &g[y * factor * in_w..][..factor * in_w];
            if factor == 2 {
                let (upper, lower) = block.split_at(in_w);
                sum_pairs(upper, lower, row);
            } else {
                for (x, v) in row.iter_mut().enumerate() {
                    *v = block.chunks_exact(in_w).flat_map(|r| &r[x * factor..][..factor]).copied().sum();
                }
            }
        }
    });
    out
}

super::dispatch::multiversion! {
    /// The sum of each 2 by 2 block of a pair of rows.
    fn sum_pairs[T: Real](upper: &[T], lower: &[T], out: &mut [T]) {
        for ((out, u), l) in out.iter_mut().zip(upper.chunks_exact(2)).zip(lower.chunks_exact(2)) {
            *out = (u[0] + u[1]) + (l[0] + l[1]);
        }
    }
}

/// Each pixel of `[planes, h, w]` followed by `factor - 1` zeros down and across.
pub fn zeros<T: Real>(x: &[T], planes: usize, h: usize, w: usize, factor: usize) -> Vec<T> {
    let (out_h, out_w) = (h * factor, w * factor);
    let mut out = vec![T::ZERO; planes * out_h * out_w];
    for_planes(&mut out, out_h * out_w, |i, out| {
        for (y, block) in out.chunks_exact_mut(factor * out_w).enumerate() {
            for (run, &v) in block.chunks_exact_mut(factor).zip(&x[(i * h + y) * w..][..w]) {
                run[0] = v;
            }
        }
    });
    out
}

/// The transpose of [`zeros`]: the first pixel of each `factor` by `factor` block of `g`, giving `[planes, h, w]`.
pub fn zeros_transposed<T: Real>(g: &[T], planes: usize, h: usize, w: usize, factor: usize) -> Vec<T> {
    let (in_h, in_w) = (h * factor, w * factor);
    // SAFETY: every pixel is written.
    let mut out = unsafe { uninit(planes * h * w) };
    for_planes(&mut out, h * w, |i, out| {
        for (y, row) in out.chunks_exact_mut(w.max(1)).enumerate() {
            let from = &g[(i * in_h + y * factor) * in_w..][..in_w];
            for (v, run) in row.iter_mut().zip(from.chunks_exact(factor)) {
                *v = run[0];
            }
        }
    });
    out
}

/// Where the pixels of an image of another size lie in the image, and how they are weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// Pixels are squares whose centres map to centres; no smoothing when shrinking (PyTorch's `align_corners=False`).
    HalfPixel,
    /// The centres of the corner pixels map to each other (PyTorch's `align_corners=True`).
    AlignCorners,
    /// Pixel `i` lies at `i * size / out_size` (TensorFlow 1, and the original Inception score and FID).
    Tf1,
    /// As `HalfPixel`, weighing all pixels that an output pixel covers when shrinking (Pillow, in floating point).
    Antialias,
}

/// Bilinear interpolation of `[planes, h, w]` to `[planes, out_h, out_w]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bilinear {
    /// Images times channels.
    pub planes: usize,
    /// Input height.
    pub h: usize,
    /// Input width.
    pub w: usize,
    /// Output height.
    pub out_h: usize,
    /// Output width.
    pub out_w: usize,
    /// The convention.
    pub sampling: Sampling,
}

/// The pixels that make one output pixel along one axis.
struct Taps<T> {
    first: usize,
    weights: Vec<T>,
}

fn taps<T: Real>(size: usize, out_size: usize, sampling: Sampling) -> Vec<Taps<T>> {
    let scale = size as f64 / out_size as f64;
    let between = |at: f64| {
        let at = at.clamp(0.0, (size - 1) as f64);
        let first = (at.floor() as usize).min(size - 1);
        let part = at - first as f64;
        let weights = if first + 1 < size { vec![1.0 - part, part] } else { vec![1.0] };
        (first, weights)
    };
    let tap = |i: usize| match sampling {
        Sampling::HalfPixel => between((i as f64 + 0.5) * scale - 0.5),
        Sampling::AlignCorners if out_size == 1 => between(0.0),
        Sampling::AlignCorners => between((i * (size - 1)) as f64 / (out_size - 1) as f64),
        Sampling::Tf1 => between(i as f64 * scale),
        Sampling::Antialias => {
            let reach = scale.max(1.0);
            let centre = (i as f64 + 0.5) * scale;
            let first = (centre - reach + 0.5).max(0.0) as usize;
            let end = ((centre + reach + 0.5) as usize).min(size);
            let weight = |k: usize| (1.0 - ((k as f64 + 0.5 - centre) / reach).abs()).max(0.0);
            let total: f64 = (first..end).map(weight).sum();
            (first, (first..end).map(|k| weight(k) / total).collect())
        }
    };
    (0..out_size)
        .map(|i| {
            let (first, weights) = tap(i);
            Taps { first, weights: weights.into_iter().map(T::from_f64).collect() }
        })
        .collect()
}

impl Bilinear {
    fn axes<T: Real>(&self) -> (Vec<Taps<T>>, Vec<Taps<T>>) {
        (taps(self.h, self.out_h, self.sampling), taps(self.w, self.out_w, self.sampling))
    }
}

/// A sparse matrix whose rows have as many weights each, from a column of their own on.
#[cfg(feature = "cuda")]
pub struct Band {
    /// The number of columns.
    pub columns: usize,
    /// The first column of each row.
    pub first: Vec<u32>,
    /// The weights of one row after the other.
    pub weights: Vec<f64>,
}

#[cfg(feature = "cuda")]
impl Band {
    fn new(taps: &[Taps<f64>], columns: usize) -> Self {
        let most = taps.iter().map(|tap| tap.weights.len()).max().unwrap_or(0).max(1);
        let padded = |tap: &Taps<f64>| {
            let mut weights = tap.weights.clone();
            weights.resize(most, 0.0);
            weights
        };
        Self {
            columns,
            first: taps.iter().map(|tap| tap.first as u32).collect(),
            weights: taps.iter().flat_map(padded).collect(),
        }
    }

    /// Rows as columns.
    pub fn transposed(&self) -> Self {
        let (rows, taps) = (self.first.len(), self.weights.len() / self.first.len());
        let at = |row: usize, column: usize| {
            let tap = column.checked_sub(self.first[row] as usize).filter(|tap| *tap < taps)?;
            Some(self.weights[row * taps + tap]).filter(|weight| *weight != 0.0)
        };
        let turned = |column: usize| {
            let touched: Vec<usize> = (0..rows).filter(|row| at(*row, column).is_some()).collect();
            let (first, last) = (touched.first().copied().unwrap_or(0), touched.last().copied());
            let weights =
                last.map_or(Vec::new(), |last| (first..=last).map(|row| at(row, column).unwrap_or(0.0)).collect());
            Taps { first, weights }
        };
        Self::new(&(0..self.columns).map(turned).collect::<Vec<_>>(), rows)
    }
}

#[cfg(feature = "cuda")]
impl Bilinear {
    /// The interpolation down and across as matrices.
    pub fn bands(&self) -> [Band; 2] {
        let (down, across) = self.axes::<f64>();
        [Band::new(&down, self.h), Band::new(&across, self.w)]
    }
}

/// `x`, `[planes, h, w]`, interpolated to `[planes, out_h, out_w]`: along rows first, then along columns.
pub fn bilinear<T: Real>(x: &[T], p: &Bilinear) -> Vec<T> {
    let (down, across) = p.axes::<T>();
    let mut out = vec![T::ZERO; p.planes * p.out_h * p.out_w];
    for_planes(&mut out, p.out_h * p.out_w, |i, out| {
        with_scratch(p.h * p.out_w, |wide: &mut [T]| {
            for (row, wide) in x[i * p.h * p.w..][..p.h * p.w].chunks_exact(p.w).zip(wide.chunks_exact_mut(p.out_w)) {
                for (v, taps) in wide.iter_mut().zip(&across) {
                    *v = row[taps.first..].iter().zip(&taps.weights).map(|(&x, &weight)| x * weight).sum();
                }
            }
            for (row, taps) in out.chunks_exact_mut(p.out_w).zip(&down) {
                for (wide, &weight) in wide[taps.first * p.out_w..].chunks_exact(p.out_w).zip(&taps.weights) {
                    for (v, &x) in row.iter_mut().zip(wide) {
                        *v += x * weight;
                    }
                }
            }
        });
    });
    out
}

/// The transpose of [`bilinear`]: `g`, `[planes, out_h, out_w]`, carried back to `[planes, h, w]`.
pub fn bilinear_transposed<T: Real>(g: &[T], p: &Bilinear) -> Vec<T> {
    let (down, across) = p.axes::<T>();
    let mut dx = vec![T::ZERO; p.planes * p.h * p.w];
    for_planes(&mut dx, p.h * p.w, |i, dx| {
        with_scratch(p.h * p.out_w, |wide: &mut [T]| {
            wide.fill(T::ZERO);
            let g = &g[i * p.out_h * p.out_w..][..p.out_h * p.out_w];
            for (row, taps) in g.chunks_exact(p.out_w).zip(&down) {
                for (wide, &weight) in wide[taps.first * p.out_w..].chunks_exact_mut(p.out_w).zip(&taps.weights) {
                    for (v, &g) in wide.iter_mut().zip(row) {
                        *v += g * weight;
                    }
                }
            }
            for (row, wide) in dx.chunks_exact_mut(p.w).zip(wide.chunks_exact(p.out_w)) {
                for (&g, taps) in wide.iter().zip(&across) {
                    for (v, &weight) in row[taps.first..].iter_mut().zip(&taps.weights) {
                        *v += g * weight;
                    }
                }
            }
        });
    });
    dx
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers(len: usize) -> Vec<f64> {
        (0..len).map(|i| ((i * 7919 + i * i * 31) % 17) as f64 - 8.0).collect()
    }

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn repetition_and_zeros_by_hand() {
        let x = [1.0, 2.0];
        assert_eq!(nearest(&x, 1, 1, 2, 2), [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0]);
        assert_eq!(nearest(&x, 2, 1, 1, 3), [vec![1.0; 9], vec![2.0; 9]].concat());
        assert_eq!(zeros(&x, 1, 1, 2, 2), [1.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn conventions_by_hand() {
        let line = |sampling, out_w| {
            bilinear(&[0.0, 10.0, 20.0, 60.0], &Bilinear { planes: 1, h: 1, w: 4, out_h: 1, out_w, sampling })
        };
        assert_eq!(line(Sampling::HalfPixel, 8), [0.0, 2.5, 7.5, 12.5, 17.5, 30.0, 50.0, 60.0]);
        assert_eq!(line(Sampling::AlignCorners, 7), [0.0, 5.0, 10.0, 15.0, 20.0, 40.0, 60.0]);
        assert_eq!(line(Sampling::Tf1, 8), [0.0, 5.0, 10.0, 15.0, 20.0, 40.0, 60.0, 60.0]);
        assert_eq!(line(Sampling::HalfPixel, 2), [5.0, 40.0]);
        // Pillow: centres 1 and 3, reach 2, weights (.75, .75, .25) over 1.75 and their mirror.
        let shrunk = line(Sampling::Antialias, 2);
        assert!((shrunk[0] - 12.5 / 1.75).abs() < 1e-12 && (shrunk[1] - 62.5 / 1.75).abs() < 1e-12, "{shrunk:?}");
    }

    proptest! {
        #[test]
        fn transposes_are_transposes(
            planes in 1usize..4, h in 1usize..9, w in 1usize..9, out_h in 1usize..12, out_w in 1usize..12, factor in 1usize..5,
            sampling in prop_oneof![
                Just(Sampling::HalfPixel), Just(Sampling::AlignCorners), Just(Sampling::Tf1), Just(Sampling::Antialias)
            ],
        ) {
            let x = numbers(planes * h * w);
            let p = Bilinear { planes, h, w, out_h, out_w, sampling };
            let y = bilinear(&x, &p);
            let g = numbers(y.len());
            prop_assert!((dot(&y, &g) - dot(&x, &bilinear_transposed(&g, &p))).abs() < 1e-6);
            // Weights sum to 1.
            prop_assert!(bilinear(&vec![1.0; x.len()], &p).iter().all(|v: &f64| (v - 1.0).abs() < 1e-12));
            let g = numbers(x.len() * factor * factor);
            prop_assert_eq!(dot(&nearest(&x, planes, h, w, factor), &g), dot(&x, &nearest_transposed(&g, planes, h, w, factor)));
            prop_assert_eq!(dot(&zeros(&x, planes, h, w, factor), &g), dot(&x, &zeros_transposed(&g, planes, h, w, factor)));
        }
    }
}
