//! Softmax over rows.

use std::mem::MaybeUninit;

use super::dispatch::multiversion;
use super::map::build;
use super::real::Real;

const LANES: usize = 16;
/// Values that are summed in the type itself, lane by lane, before sums go on in f64.
const BLOCK: usize = 256;

/// exp(x - max) / sum for each row of `length` values.
pub fn softmax<T: Real>(x: &[T], length: usize) -> Vec<T> {
    rows(x, length, softmax_row)
}

/// x - max - log(sum(exp(x - max))) for each row of `length` values.
pub fn log_softmax<T: Real>(x: &[T], length: usize) -> Vec<T> {
    rows(x, length, log_softmax_row)
}

multiversion! {
    |fused|
    fn softmax_row[T: Real](row: &[T], out: &mut [MaybeUninit<T>], line: &mut [T]) {
        let scale = T::from_f64(1.0 / exponentials(row, top(row), line, fused));
        for (out, &e) in out.iter_mut().zip(line.iter()) {
            out.write(e * scale);
        }
    }
}

multiversion! {
    |fused|
    fn log_softmax_row[T: Real](row: &[T], out: &mut [MaybeUninit<T>], line: &mut [T]) {
        let top = top(row);
        let shift = top + T::from_f64(exponentials(row, top, line, fused).ln());
        for (out, &x) in out.iter_mut().zip(row) {
            out.write(x - shift);
        }
    }
}

/// The gradient of [`softmax`] with output `y` from that of its output: y (g - sum(g y)) for each row of `length` values. `g` is
/// as long as `y`, or one row that stands for all.
pub fn softmax_gradient<T: Real>(y: &[T], g: &[T], length: usize) -> Vec<T> {
    gradient_rows(y, g, length, softmax_gradient_row)
}

/// The gradient of [`log_softmax`] with output `y`: g - exp(y) sum(g) for each row; see [`softmax_gradient`].
pub fn log_softmax_gradient<T: Real>(y: &[T], g: &[T], length: usize) -> Vec<T> {
    gradient_rows(y, g, length, log_softmax_gradient_row)
}

multiversion! {
    fn softmax_gradient_row[T: Real](y: &[T], g: &[T], out: &mut [MaybeUninit<T>]) {
        let total = T::from_f64(sum_of(y, g, |y, g| y * g));
        for ((out, &y), &g) in out.iter_mut().zip(y).zip(g) {
            out.write(y * (g - total));
        }
    }
}

multiversion! {
    |fused|
    fn log_softmax_gradient_row[T: Real](y: &[T], g: &[T], out: &mut [MaybeUninit<T>]) {
        let total = T::from_f64(sum_of(y, g, |_, g| g));
        for ((out, &y), &g) in out.iter_mut().zip(y).zip(g) {
            out.write(g - y.exp_of_negative(fused) * total);
        }
    }
}

/// The sum of `f` over pairs, in f64 across blocks.
#[inline(always)]
fn sum_of<T: Real>(a: &[T], b: &[T], f: impl Fn(T, T) -> T) -> f64 {
    let (mut sum, mut sums) = (0.0, [0.0; LANES]);
    for (a, b) in a.chunks(BLOCK).zip(b.chunks(BLOCK)) {
        let mut lanes = [T::ZERO; LANES];
        let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        for (a, b) in a.iter().zip(b) {
            for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
                *lane += f(a, b);
            }
        }
        sums.iter_mut().zip(lanes).for_each(|(sum, lane)| *sum += lane.to_f64());
        for (&a, &b) in a_rest.iter().zip(b_rest) {
            sum += f(a, b).to_f64();
        }
    }
    sum + folded(sums, |a, b| a + b)
}

/// All lanes in one, halves by halves: a chain of a few operations, where one lane after the other would be waited for.
#[inline(always)]
fn folded<T: Copy, const N: usize>(mut lanes: [T; N], f: impl Fn(T, T) -> T) -> T {
    const { assert!(N.is_power_of_two()) };
    let mut half = N / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = f(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

type GradientRow<T> = fn(&[T], &[T], &mut [MaybeUninit<T>]);

fn gradient_rows<T: Real>(y: &[T], g: &[T], length: usize, f: GradientRow<T>) -> Vec<T> {
    let at_a_time = (16 * 1024 / length.max(1)).max(1);
    build(y.len(), at_a_time * length, |start, out| {
        for (i, (y, out)) in y[start..].chunks(length).zip(out.chunks_mut(length)).enumerate() {
            let g = if g.len() == length { g } else { &g[start + i * length..][..length] };
            f(y, g, out);
        }
    })
}

/// exp(x - top) for each value, and their sum.
#[inline(always)]
fn exponentials<T: Real>(row: &[T], top: T, line: &mut [T], fused: bool) -> f64 {
    let (mut sum, mut sums) = (0.0, [0.0; LANES]);
    for (line, row) in line.chunks_mut(BLOCK).zip(row.chunks(BLOCK)) {
        let mut lanes = [T::ZERO; LANES];
        let (mut line, mut row) = (line.chunks_exact_mut(LANES), row.chunks_exact(LANES));
        for (line, row) in line.by_ref().zip(row.by_ref()) {
            for ((lane, e), &x) in lanes.iter_mut().zip(line).zip(row) {
                *e = (x - top).exp_of_negative(fused);
                *lane += *e;
            }
        }
        for (e, &x) in line.into_remainder().iter_mut().zip(row.remainder()) {
            *e = (x - top).exp_of_negative(fused);
            sum += e.to_f64();
        }
        sums.iter_mut().zip(lanes).for_each(|(sum, lane)| *sum += lane.to_f64());
    }
    sum + folded(sums, |a, b| a + b)
}

/// The largest value. A NaN is passed over, and makes the sum of exponentials NaN.
#[inline(always)]
fn top<T: Real>(row: &[T]) -> T {
    let mut lanes = [T::NEG_INFINITY; 4 * LANES];
    let mut chunks = row.chunks_exact(4 * LANES);
    for chunk in chunks.by_ref() {
        for (lane, &v) in lanes.iter_mut().zip(chunk) {
            *lane = if v > *lane { v } else { *lane };
        }
    }
    let larger = |a: T, b: T| if b > a { b } else { a };
    chunks.remainder().iter().fold(folded(lanes, larger), |top, &v| larger(top, v))
}

fn rows<T: Real>(x: &[T], length: usize, f: fn(&[T], &mut [MaybeUninit<T>], &mut [T])) -> Vec<T> {
    let at_a_time = (16 * 1024 / length.max(1)).max(1);
    build(x.len(), at_a_time * length, |start, out| {
        let mut line = vec![T::ZERO; length];
        for (row, out) in x[start..].chunks(length).zip(out.chunks_mut(length)) {
            f(row, out, &mut line);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_sum_to_one_even_far_from_zero() {
        let p = softmax(&[1000.0f64, 1000.0, -1000.0, 0.0], 2);
        assert_eq!(p, [0.5, 0.5, 0.0, 1.0]);
        let l = log_softmax(&[-1000.0f64, 0.0], 2);
        assert_eq!(l, [-1000.0, 0.0]);
    }

    #[test]
    fn the_largest_counts_wherever_it_is() {
        for length in [1, 16, 19, 64, 67, 128, 300] {
            for at in 0..length {
                let x: Vec<f32> = (0..length).map(|i| if i == at { 500.0 } else { 0.0 }).collect();
                let p = softmax(&x, length);
                assert!((0..length).all(|i| p[i] == if i == at { 1.0 } else { 0.0 }), "{at} of {length}");
            }
        }
    }

    #[test]
    fn gradients_sum_every_value_of_a_row() {
        for length in [3, 16, 19, 300] {
            for at in 0..length {
                let (y, mut g) = (vec![0.5f64; length], vec![0.0; length]);
                g[at] = 2.0;
                let dx = softmax_gradient(&y, &g, length);
                assert!((0..length).all(|i| dx[i] == 0.5 * (g[i] - 1.0)), "{at} of {length}");
            }
        }
    }

    #[test]
    fn long_rows_equal_the_formula_and_a_nan_is_not_hidden() {
        let x: Vec<f32> = (0..700).map(|i| ((i * 37) % 101) as f32 / 9.0).collect();
        let top = 100.0 / 9.0;
        let e: Vec<f64> = x.iter().map(|x| (f64::from(*x) - top).exp()).collect();
        let sum: f64 = e.iter().sum();
        assert!(softmax(&x, 700).iter().zip(&e).all(|(p, e)| (f64::from(*p) * sum / e - 1.0).abs() < 1e-6));
        let mut bad = x;
        bad[333] = f32::NAN;
        assert!(softmax(&bad, 700).iter().all(|p| p.is_nan()));
        assert!(softmax(&[f32::NAN, f32::NAN], 2).iter().all(|p| p.is_nan()));
    }
}
