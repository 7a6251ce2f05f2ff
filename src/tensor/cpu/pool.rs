//! Average and max pooling over windows, and what carries gradients back through the average.
//!
//! The gradient of a maximum goes through the places that [`max_places`] found.
#![allow(unsafe_code)] // Outputs are not zeroed before they are written.

use std::ops::Range;

use super::buffer::{for_planes, uninit};
use super::conv::Lanes;
use super::dispatch::{Isa, multiversion};
use super::real::Real;

/// Pooling over `[planes, h, w]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// Images times channels.
    pub planes: usize,
    /// Input height.
    pub h: usize,
    /// Input width.
    pub w: usize,
    /// Rows of a window.
    pub kh: usize,
    /// Columns of a window.
    pub kw: usize,
    /// Rows and columns from one window to the next.
    pub stride: [usize; 2],
    /// Padding above, below, left and right; each less than the window.
    pub pad: [usize; 4],
    /// Whether the padding counts as zeros in an average.
    pub count_padding: bool,
}

impl Pool {
    /// Output height; windows that reach past the padding are left out.
    pub fn out_h(&self) -> usize {
        (self.h + self.pad[0] + self.pad[1] - self.kh) / self.stride[0] + 1
    }

    /// Output width.
    pub fn out_w(&self) -> usize {
        (self.w + self.pad[2] + self.pad[3] - self.kw) / self.stride[1] + 1
    }

    /// The rows of the input that window row `y` covers.
    pub(super) fn rows(&self, y: usize) -> Range<usize> {
        let first = y * self.stride[0];
        first.saturating_sub(self.pad[0])..(first + self.kh).saturating_sub(self.pad[0]).min(self.h)
    }

    /// The columns of the input that window column `x` covers.
    fn columns(&self, x: usize) -> Range<usize> {
        let first = x * self.stride[1];
        first.saturating_sub(self.pad[2])..(first + self.kw).saturating_sub(self.pad[2]).min(self.w)
    }

    /// One over the number of values that an average of these divides by; 0 for a window of padding alone.
    fn weight<T: Real>(&self, rows: &Range<usize>, columns: &Range<usize>) -> T {
        let count = if self.count_padding { self.kh * self.kw } else { rows.len() * columns.len() };
        if count == 0 { T::ZERO } else { T::ONE / T::from_f64(count as f64) }
    }

    fn is_halving(&self) -> bool {
        [self.kh, self.kw] == [2, 2] && self.stride == [2, 2] && self.pad == [0; 4]
    }
}

multiversion! {
    /// The mean of each 2 by 2 block of a pair of rows.
    fn halve[T: Real](upper: &[T], lower: &[T], out: &mut [T]) {
        let quarter = T::from_f64(0.25);
        for ((out, u), l) in out.iter_mut().zip(upper.chunks_exact(2)).zip(lower.chunks_exact(2)) {
            *out = ((u[0] + u[1]) + (l[0] + l[1])) * quarter;
        }
    }
}

multiversion! {
    /// Each value, scaled, twice in a row.
    pub(super) fn double[T: Real](x: &[T], scale: T, out: &mut [T]) {
        for (pair, &x) in out.chunks_exact_mut(2).zip(x) {
            let v = x * scale;
            pair[0] = v;
            pair[1] = v;
        }
    }
}

/// The mean of each window: `[planes, out_h, out_w]`.
pub fn average<T: Real>(x: &[T], p: &Pool) -> Vec<T> {
    average_on(Isa::best(), x, p)
}

fn average_on<T: Real>(isa: Isa, x: &[T], p: &Pool) -> Vec<T> {
    let (out_h, out_w) = (p.out_h(), p.out_w());
    let kernels = T::kernels(isa);
    let lanes = Lanes::of_row(p, kernels.lanes);
    let weights: Vec<T> =
        (0..=p.kh).flat_map(|rows| (0..out_w).map(move |c| p.weight(&(0..rows), &p.columns(c)))).collect();
    // SAFETY: every output pixel is written below.
    let mut out = unsafe { uninit(p.planes * out_h * out_w) };
    for_planes(&mut out, out_h * out_w, |i, out| {
        let x = &x[i * p.h * p.w..][..p.h * p.w];
        if p.is_halving() {
            for (y, row) in out.chunks_exact_mut(out_w).enumerate() {
                halve(&x[2 * y * p.w..][..p.w], &x[(2 * y + 1) * p.w..][..p.w], row);
            }
            return;
        }
        // SAFETY: the kernels are for instructions that this machine has.
        unsafe { (kernels.sums)(x, p, &lanes, &weights, out) };
    });
    out
}

/// The transpose of [`average`]: each value of `g`, `[planes, out_h, out_w]`, shared out over its window.
pub fn average_transposed<T: Real>(g: &[T], p: &Pool) -> Vec<T> {
    let (out_h, out_w) = (p.out_h(), p.out_w());
    // SAFETY: every pixel is written below: by `double` and the rows it leaves, or zeroed first.
    let mut dx = unsafe { uninit(p.planes * p.h * p.w) };
    for_planes(&mut dx, p.h * p.w, |i, dx| {
        let g = &g[i * out_h * out_w..][..out_h * out_w];
        if p.is_halving() && p.h.is_multiple_of(2) && p.w.is_multiple_of(2) {
            for (y, pair) in dx.chunks_exact_mut(2 * p.w).enumerate() {
                let (upper, lower) = pair.split_at_mut(p.w);
                double(&g[y * out_w..][..out_w], T::from_f64(0.25), upper);
                lower.copy_from_slice(upper);
            }
            return;
        }
        dx.fill(T::ZERO);
        for y in 0..out_h {
            let rows = p.rows(y);
            for x in 0..out_w {
                let columns = p.columns(x);
                let share = g[y * out_w + x] * p.weight(&rows, &columns);
                for r in rows.clone() {
                    for v in &mut dx[r * p.w..][columns.clone()] {
                        *v += share;
                    }
                }
            }
        }
    });
    dx
}

/// The place in `x` of the largest value of each window, the first of equals; a NaN is larger than any number.
/// Padding is never the largest.
pub fn max_places<T: Real>(x: &[T], p: &Pool) -> Vec<u32> {
    let (out_h, out_w) = (p.out_h(), p.out_w());
    let mut places = vec![0u32; p.planes * out_h * out_w];
    for_planes(&mut places, out_h * out_w, |i, places| {
        let first = i * p.h * p.w;
        let mut best = vec![T::ZERO; out_w];
        for (y, row) in places.chunks_exact_mut(out_w).enumerate() {
            largest_of_row(&x[first..][..p.h * p.w], p, y, &mut best, row);
            row.iter_mut().for_each(|place| *place += first as u32);
        }
    });
    places
}

/// The largest value of each window, where [`max_places`] finds it.
pub fn max<T: Real>(x: &[T], p: &Pool) -> Vec<T> {
    max_on(Isa::best(), x, p)
}

fn max_on<T: Real>(isa: Isa, x: &[T], p: &Pool) -> Vec<T> {
    let (out_h, out_w) = (p.out_h(), p.out_w());
    let kernels = T::kernels(isa);
    let lanes = Lanes::of_row(p, Lanes::windows(p, kernels.lanes));
    let outside = Lanes::outside(&lanes, kernels.lanes);
    // SAFETY: every output pixel is written below.
    let mut out = unsafe { uninit(p.planes * out_h * out_w) };
    for_planes(&mut out, out_h * out_w, |i, out| {
        let x = &x[i * p.h * p.w..][..p.h * p.w];
        // SAFETY: the kernels are for instructions that this machine has.
        if unsafe { (kernels.largest)(x, p, &lanes, &outside, out) } {
            return;
        }
        let mut places = vec![0u32; out_w];
        for (y, row) in out.chunks_exact_mut(out_w).enumerate() {
            largest_of_row(x, p, y, row, &mut places);
        }
    });
    out
}

multiversion! {
    /// The largest value of each window of row `y` of a plane, and its place in the plane.
    fn largest_of_row[T: Real](x: &[T], p: &Pool, y: usize, best: &mut [T], places: &mut [u32]) {
        let rows = p.rows(y);
        // Columns whose whole window lies inside go side by side, tap by tap.
        let inside = p.pad[2].div_ceil(p.stride[1])..((p.w + p.pad[2] + 1).saturating_sub(p.kw)).div_ceil(p.stride[1]);
        let inside = inside.start..inside.end.min(best.len()).max(inside.start);
        for column in (0..inside.start.min(best.len())).chain(inside.end..best.len()) {
            let columns = p.columns(column);
            let mut at_best = rows.start * p.w + columns.start;
            for r in rows.clone() {
                for at in r * p.w + columns.start..r * p.w + columns.end {
                    if x[at] > x[at_best] || (x[at].is_nan() && !x[at_best].is_nan()) {
                        at_best = at;
                    }
                }
            }
            (best[column], places[column]) = (x[at_best], at_best as u32);
        }
        if inside.is_empty() || inside.end > best.len() {
            return;
        }
        let (best, places) = (&mut best[inside.clone()], &mut places[inside.clone()]);
        let left = inside.start * p.stride[1] - p.pad[2];
        for (k, r) in rows.enumerate() {
            for tap in 0..p.kw {
                let first = r * p.w + left + tap;
                let line = x[first..].iter().step_by(p.stride[1]);
                for (i, ((best, place), &v)) in best.iter_mut().zip(places.iter_mut()).zip(line).enumerate() {
                    let better = (k == 0 && tap == 0) | (v > *best) | (v.is_nan() & !best.is_nan());
                    *best = if better { v } else { *best };
                    *place = if better { (first + i * p.stride[1]) as u32 } else { *place };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Mostly negative, so that a padding that counted as 0 would be the largest.
    fn numbers(len: usize) -> Vec<f64> {
        (0..len).map(|i| ((i * 7919 + i * i * 31) % 101) as f64 / 8.0 - 10.0).collect()
    }

    fn pools() -> impl Strategy<Value = Pool> {
        let window = (1usize..5, 1usize..5, 1usize..4, 1usize..4);
        (1usize..4, 1usize..12, 1usize..12, window, (0usize..4, 0usize..4, 0usize..4, 0usize..4), any::<bool>())
            .prop_map(|(planes, h, w, (kh, kw, sh, sw), (t, b, l, r), count_padding)| Pool {
                planes,
                h,
                w,
                kh,
                kw,
                stride: [sh, sw],
                pad: [t % kh, b % kh, l % kw, r % kw],
                count_padding,
            })
            .prop_filter("the window fits", |p| p.h + p.pad[0] + p.pad[1] >= p.kh && p.w + p.pad[2] + p.pad[3] >= p.kw)
    }

    /// The values of each window, with `None` for padding.
    fn windows(x: &[f64], p: &Pool) -> Vec<Vec<Option<(usize, f64)>>> {
        let mut all = Vec::new();
        for plane in 0..p.planes {
            for y in 0..p.out_h() {
                for column in 0..p.out_w() {
                    let mut window = Vec::new();
                    for i in 0..p.kh {
                        for j in 0..p.kw {
                            let r = (y * p.stride[0] + i) as isize - p.pad[0] as isize;
                            let c = (column * p.stride[1] + j) as isize - p.pad[2] as isize;
                            let inside = r >= 0 && c >= 0 && r < p.h as isize && c < p.w as isize;
                            window.push(inside.then(|| {
                                let at = (plane * p.h + r as usize) * p.w + c as usize;
                                (at, x[at])
                            }));
                        }
                    }
                    all.push(window);
                }
            }
        }
        all
    }

    proptest! {
        #[test]
        fn any_window_equals_the_naive_loop(p in pools()) {
            let x = numbers(p.planes * p.h * p.w);
            let averages = average(&x, &p);
            let places = max_places(&x, &p);
            let single: Vec<f32> = x.iter().map(|&v| v as f32).collect();
            for &isa in Isa::available() {
                prop_assert!(max_on(isa, &x, &p).iter().zip(&places).all(|(v, at)| *v == x[*at as usize]));
                prop_assert!(max_on(isa, &single, &p).iter().zip(&places).all(|(v, at)| *v == single[*at as usize]));
                prop_assert_eq!(average_on(isa, &x, &p), averages.clone());
                let close = |(a, b): (&f32, &f64)| (f64::from(*a) - b).abs() < 1e-5;
                prop_assert!(average_on(isa, &single, &p).iter().zip(&averages).all(close));
            }
            let g = numbers(averages.len());
            let mut dx = vec![0.0; x.len()];
            for (k, window) in windows(&x, &p).iter().enumerate() {
                let inside: Vec<(usize, f64)> = window.iter().flatten().copied().collect();
                let count = if p.count_padding { window.len() } else { inside.len() };
                // A stride past the window can leave one with padding alone: nothing to average.
                prop_assume!(!inside.is_empty());
                let mean = inside.iter().map(|(_, v)| v).sum::<f64>() / count as f64;
                prop_assert!((averages[k] - mean).abs() < 1e-12);
                for (at, _) in &inside {
                    dx[*at] += g[k] / count as f64;
                }
                let best = inside.iter().fold(inside[0], |best, &v| if v.1 > best.1 { v } else { best });
                prop_assert_eq!(places[k] as usize, best.0);
            }
            for (a, b) in average_transposed(&g, &p).iter().zip(&dx) {
                prop_assert!((a - b).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn what_is_no_number_is_the_largest() {
        let p = Pool { planes: 3, h: 9, w: 40, kh: 3, kw: 3, stride: [2, 2], pad: [1; 4], count_padding: false };
        let mut x = numbers(3 * 9 * 40);
        (x[17], x[400], x[700], x[701]) = (f64::NAN, f64::NEG_INFINITY, f64::INFINITY, f64::NEG_INFINITY);
        let places = max_places(&x, &p);
        for &isa in Isa::available() {
            for (v, at) in max_on(isa, &x, &p).iter().zip(&places) {
                let expected = x[*at as usize];
                assert!(*v == expected || (v.is_nan() && expected.is_nan()), "{v} at {at}, {isa:?}");
            }
        }
        assert_eq!(places.iter().filter(|at| x[**at as usize].is_nan()).count(), 2);
    }

    #[test]
    fn what_is_no_number_is_seen_wherever_it_is() {
        let p = Pool { planes: 1, h: 4, w: 70, kh: 3, kw: 3, stride: [2, 2], pad: [1; 4], count_padding: false };
        let plain = numbers(4 * 70);
        for at in 0..plain.len() {
            let mut x = plain.clone();
            x[at] = f64::NAN;
            let single: Vec<f32> = x.iter().map(|v| *v as f32).collect();
            let expected: Vec<bool> = max_places(&x, &p).iter().map(|place| *place as usize == at).collect();
            assert!(expected.contains(&true));
            for &isa in Isa::available() {
                let double: Vec<bool> = max_on(isa, &x, &p).iter().map(|v| v.is_nan()).collect();
                let single: Vec<bool> = max_on(isa, &single, &p).iter().map(|v| v.is_nan()).collect();
                assert!(double == expected && single == expected, "at {at}, {isa:?}");
            }
        }
    }

    #[test]
    fn halving_takes_the_same_means() {
        let p = Pool { planes: 2, h: 6, w: 70, kh: 2, kw: 2, stride: [2, 2], pad: [0; 4], count_padding: false };
        let x = numbers(2 * 6 * 70);
        let expected: Vec<f64> =
            windows(&x, &p).iter().map(|w| w.iter().flatten().map(|(_, v)| v).sum::<f64>() / 4.0).collect();
        assert_eq!(average(&x, &p), expected);
        let g = numbers(expected.len());
        let dx = average_transposed(&g, &p);
        assert!((0..x.len()).all(|i| dx[i] == g[(i / 420 * 3 + i % 420 / 140) * 35 + i % 70 / 2] / 4.0));
    }
}
