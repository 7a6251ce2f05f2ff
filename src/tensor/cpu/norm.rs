//! Batch normalisation over `[n, c, hw]`, fused with its affine map and a leaky ReLU.
//!
//! Sums run over one plane at a time, in single precision for at most 1024 values and in double precision from there
//! on, and planes are added in order: the bits do not depend on threads.
#![allow(unsafe_code)] // Outputs are not zeroed before they are written.

use super::buffer::{for_planes, map_planes, uninit};
use super::dispatch::multiversion;
use super::real::Real;

/// The shape of what is normalised: `[n, c, hw]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planes {
    /// Items.
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// Pixels of a plane.
    pub hw: usize,
}

/// Values that are summed in the type itself before the sum is added in double precision.
const RUN: usize = 1024;
/// Sums that run side by side.
const LANES: usize = 32;

multiversion! {
    /// The sum of `x - shift` and of its square.
    fn moments[T: Real](x: &[T], shift: T) -> (f64, f64) {
        let mut total = (0.0, 0.0);
        for run in x.chunks(RUN) {
            let (mut sum, mut square) = ([T::ZERO; LANES], [T::ZERO; LANES]);
            let whole = run.chunks_exact(LANES);
            let rest = whole.remainder();
            for chunk in whole {
                for i in 0..LANES {
                    let d = chunk[i] - shift;
                    sum[i] += d;
                    square[i] += d * d;
                }
            }
            for (i, &v) in rest.iter().enumerate() {
                let d = v - shift;
                sum[i] += d;
                square[i] += d * d;
            }
            for i in 0..LANES {
                total.0 += sum[i].to_f64();
                total.1 += square[i].to_f64();
            }
        }
        total
    }
}

multiversion! {
    /// `y = leaky((x - mean) * scale + beta)`.
    fn affine[T: Real](x: &[T], mean: T, scale: T, beta: T, slope: T, y: &mut [T]) {
        for (y, &x) in y.iter_mut().zip(x) {
            let v = (x - mean) * scale + beta;
            *y = if v > T::ZERO { v } else { v * slope };
        }
    }
}

multiversion! {
    /// The sum of `g'` and of `g' * (x - mean)`, where `g'` is `g` before the activation, whose output is `y`.
    fn gradient_moments[T: Real](x: &[T], y: &[T], g: &[T], mean: T, slope: T) -> (f64, f64) {
        let mut total = (0.0, 0.0);
        for ((x, y), g) in x.chunks(RUN).zip(y.chunks(RUN)).zip(g.chunks(RUN)) {
            let (mut sum, mut product) = ([T::ZERO; LANES], [T::ZERO; LANES]);
            let whole = x.len() / LANES * LANES;
            for ((x, y), g) in x.chunks_exact(LANES).zip(y.chunks_exact(LANES)).zip(g.chunks_exact(LANES)) {
                for i in 0..LANES {
                    let g = if y[i] > T::ZERO { g[i] } else { g[i] * slope };
                    sum[i] += g;
                    product[i] += g * (x[i] - mean);
                }
            }
            for (i, ((&x, &y), &g)) in x[whole..].iter().zip(&y[whole..]).zip(&g[whole..]).enumerate() {
                let g = if y > T::ZERO { g } else { g * slope };
                sum[i] += g;
                product[i] += g * (x - mean);
            }
            for i in 0..LANES {
                total.0 += sum[i].to_f64();
                total.1 += product[i].to_f64();
            }
        }
        total
    }
}

multiversion! {
    /// `dx = g' * scale - constant - (x - mean) * linear`, with `g'` as in [`gradient_moments`].
    fn gradient[T: Real](x: &[T], y: &[T], g: &[T], mean: T, slope: T, scale: T, constant: T, linear: T, dx: &mut [T]) {
        for (((dx, &x), &y), &g) in dx.iter_mut().zip(x).zip(y).zip(g) {
            let g = if y > T::ZERO { g } else { g * slope };
            *dx = g * scale - constant - (x - mean) * linear;
        }
    }
}

fn reciprocal_deviation<T: Real>(variance: T, epsilon: f64) -> f64 {
    1.0 / (variance.to_f64() + epsilon).sqrt()
}

/// Mean and biased variance of each channel of `x`.
pub fn stats<T: Real>(x: &[T], p: &Planes) -> (Vec<T>, Vec<T>) {
    // Moments about a value of the channel itself: about 0 a small variance would drown in a large mean.
    let shift = |c: usize| x[c * p.hw];
    let sums = map_planes(p.n * p.c, p.hw, |i| moments(&x[i * p.hw..][..p.hw], shift(i % p.c)));
    let count = (p.n * p.hw) as f64;
    (0..p.c)
        .map(|c| {
            let (sum, square) = (0..p.n).fold((0.0, 0.0), |acc, n| {
                let (sum, square) = sums[n * p.c + c];
                (acc.0 + sum, acc.1 + square)
            });
            let mean = sum / count;
            let variance = (square / count - mean * mean).max(0.0);
            (T::from_f64(shift(c).to_f64() + mean), T::from_f64(variance))
        })
        .unzip()
}

/// `leaky((x - mean) / sqrt(variance + epsilon) * gamma + beta)`, where values below 0 are multiplied by `slope`:
/// 1 for no activation, 0 for a ReLU.
///
/// `mean` and `variance` are `[c]`; `gamma` and `beta` are `[c]`, or `[n, c]` when each item has its own.
#[allow(clippy::too_many_arguments)] // The formula has as many.
pub fn apply<T: Real>(
    x: &[T],
    mean: &[T],
    variance: &[T],
    gamma: &[T],
    beta: &[T],
    epsilon: f64,
    slope: f64,
    p: &Planes,
) -> Vec<T> {
    // SAFETY: `affine` writes every pixel of each plane.
    let mut y = unsafe { uninit(x.len()) };
    let slope = T::from_f64(slope);
    let rstd: Vec<f64> = variance.iter().map(|&v| reciprocal_deviation(v, epsilon)).collect();
    for_planes(&mut y, p.hw, |i, y| {
        let (c, q) = (i % p.c, i % gamma.len());
        let scale = T::from_f64(gamma[q].to_f64() * rstd[c]);
        affine(&x[i * p.hw..][..p.hw], mean[c], scale, beta[q], slope, y);
    });
    y
}

/// The gradients of [`apply`] after [`stats`] of the same `x`, `(dx, dgamma, dbeta)`, from the output `y` and its
/// gradient `g`. `mean` and `variance` are those of `x`, and count as functions of it.
///
/// A `slope` of 0 or more is read off the sign of `y`; a negative one cannot be.
#[allow(clippy::too_many_arguments)] // The formula has as many.
pub fn backward<T: Real>(
    x: &[T],
    y: &[T],
    g: &[T],
    mean: &[T],
    variance: &[T],
    gamma: &[T],
    epsilon: f64,
    slope: f64,
    p: &Planes,
) -> (Vec<T>, Vec<T>, Vec<T>) {
    let slope = T::from_f64(slope);
    let sums = map_planes(p.n * p.c, 2 * p.hw, |i| {
        let at = i * p.hw..(i + 1) * p.hw;
        gradient_moments(&x[at.clone()], &y[at.clone()], &g[at], mean[i % p.c], slope)
    });
    let rstd: Vec<f64> = variance.iter().map(|&v| reciprocal_deviation(v, epsilon)).collect();
    let (mut dgamma, mut dbeta) = (vec![0.0; gamma.len()], vec![0.0; gamma.len()]);
    // Of each channel, what its mean and its variance carry back.
    let (mut by_mean, mut by_variance) = (vec![0.0; p.c], vec![0.0; p.c]);
    for (i, &(sum, product)) in sums.iter().enumerate() {
        let (c, q) = (i % p.c, i % gamma.len());
        dbeta[q] += sum;
        dgamma[q] += product * rstd[c];
        by_mean[c] += gamma[q].to_f64() * sum;
        by_variance[c] += gamma[q].to_f64() * product;
    }
    let count = (p.n * p.hw) as f64;
    // SAFETY: `gradient` writes every pixel of each plane.
    let mut dx = unsafe { uninit(x.len()) };
    for_planes(&mut dx, p.hw, |i, dx| {
        let (c, q) = (i % p.c, i % gamma.len());
        let at = i * p.hw..(i + 1) * p.hw;
        let scale = T::from_f64(rstd[c] * gamma[q].to_f64());
        let constant = T::from_f64(rstd[c] * by_mean[c] / count);
        let linear = T::from_f64(rstd[c].powi(3) * by_variance[c] / count);
        gradient(&x[at.clone()], &y[at.clone()], &g[at], mean[c], slope, scale, constant, linear, dx);
    });
    let narrow = |v: Vec<f64>| v.into_iter().map(T::from_f64).collect();
    (dx, narrow(dgamma), narrow(dbeta))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers(len: usize, salt: f64) -> Vec<f64> {
        (0..len).map(|i| ((i as f64 + salt) * 1.7).sin() * 2.0 + salt).collect()
    }

    fn naive(x: &[f64], gamma: &[f64], beta: &[f64], slope: f64, p: &Planes) -> Vec<f64> {
        let mut y = vec![0.0; x.len()];
        let at = |n: usize, c: usize, k: usize| (n * p.c + c) * p.hw + k;
        for c in 0..p.c {
            let places: Vec<usize> = (0..p.n).flat_map(|n| (0..p.hw).map(move |k| at(n, c, k))).collect();
            let mean = places.iter().map(|&i| x[i]).sum::<f64>() / places.len() as f64;
            let variance = places.iter().map(|&i| (x[i] - mean).powi(2)).sum::<f64>() / places.len() as f64;
            for &i in &places {
                let q = (i / p.hw) % gamma.len();
                let v = (x[i] - mean) / (variance + 1e-5).sqrt() * gamma[q] + beta[q];
                y[i] = if v > 0.0 { v } else { slope * v };
            }
        }
        y
    }

    fn run<T: Real>(x: &[T], gamma: &[T], beta: &[T], slope: f64, p: &Planes) -> (Vec<T>, Vec<T>, Vec<T>) {
        let (mean, variance) = stats(x, p);
        let y = apply(x, &mean, &variance, gamma, beta, 1e-5, slope, p);
        (mean, variance, y)
    }

    fn close(a: &[f64], b: &[f64], tolerance: f64) {
        assert_eq!(a.len(), b.len());
        for (i, (a, b)) in a.iter().zip(b).enumerate() {
            assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "at {i}: {a} and {b}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        #[test]
        fn any_shape_equals_the_formula_and_its_finite_differences(
            n in 1usize..5, c in 1usize..5, hw in prop_oneof![2usize..40, Just(49), Just(196)],
            conditional: bool, slope in prop_oneof![Just(0.0), Just(0.2), Just(1.0)],
        ) {
            let p = Planes { n, c, hw };
            let x = numbers(n * c * hw, 0.3);
            let rows = if conditional { n } else { 1 };
            let (gamma, beta) = (numbers(rows * c, 0.9), numbers(rows * c, 0.1));
            let (mean, variance, y) = run(&x, &gamma, &beta, slope, &p);
            close(&y, &naive(&x, &gamma, &beta, slope, &p), 1e-9);

            let single = |v: &[f64]| v.iter().map(|&v| v as f32).collect::<Vec<f32>>();
            let (_, _, y32) = run(&single(&x), &single(&gamma), &single(&beta), slope, &p);
            close(&y32.iter().map(|&v| f64::from(v)).collect::<Vec<_>>(), &y, 2e-5);

            let g = numbers(x.len(), 0.5);
            let (dx, dgamma, dbeta) = backward(&x, &y, &g, &mean, &variance, &gamma, 1e-5, slope, &p);
            let loss = |x: &[f64], gamma: &[f64], beta: &[f64]| -> f64 {
                naive(x, gamma, beta, slope, &p).iter().zip(&g).map(|(y, g)| y * g).sum()
            };
            // A kink nearer than the step would spoil the difference.
            prop_assume!(slope == 1.0 || y.iter().all(|v| v.abs() > 1e-4));
            let slope_at = |i: usize, of: &[f64], f: &dyn Fn(&[f64]) -> f64| {
                let (mut up, mut down) = (of.to_vec(), of.to_vec());
                up[i] += 1e-6;
                down[i] -= 1e-6;
                (f(&up) - f(&down)) / 2e-6
            };
            for i in (0..x.len()).step_by(1 + x.len() / 7) {
                close(&[dx[i]], &[slope_at(i, &x, &|x| loss(x, &gamma, &beta))], 2e-5);
            }
            for i in 0..gamma.len() {
                close(&[dgamma[i]], &[slope_at(i, &gamma, &|gamma| loss(&x, gamma, &beta))], 2e-5);
                close(&[dbeta[i]], &[slope_at(i, &beta, &|beta| loss(&x, &gamma, beta))], 2e-5);
            }
        }
    }

    #[test]
    fn a_small_variance_survives_a_large_mean() {
        let x: Vec<f32> = (0..4096).map(|i| 1000.0 + (i % 2) as f32 * 0.25).collect();
        let (mean, variance) = stats(&x, &Planes { n: 4, c: 1, hw: 1024 });
        assert_eq!(mean, [1000.125]);
        assert_eq!(variance, [0.015625]);
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let p = Planes { n: 6, c: 9, hw: 1030 };
        let single = |v: Vec<f64>| v.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        let (x, g, gamma) =
            (single(numbers(6 * 9 * 1030, 0.3)), single(numbers(6 * 9 * 1030, 0.7)), single(numbers(9, 0.9)));
        let with = |threads| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
                let (mean, variance, y) = run(&x, &gamma, &gamma, 0.0, &p);
                let back = backward(&x, &y, &g, &mean, &variance, &gamma, 1e-5, 0.0, &p);
                (mean, variance, y, back)
            })
        };
        assert!(with(1) == with(2), "1 and 2 threads differ");
    }
}
