//! Sums and extremes over one dimension of `[outer, length, inner]`, the same for any number of threads.

use rayon::prelude::*;

use super::map::build;
use super::real::Real;

const LANES: usize = 16;
/// A block is summed in the type itself, lane by lane; blocks are added in f64.
const BLOCK: usize = 256;

/// The sum of the values, in f64 across blocks.
pub fn sum_slice<T: Real>(x: &[T]) -> f64 {
    x.chunks(BLOCK).map(sum_block).sum()
}

fn sum_block<T: Real>(x: &[T]) -> f64 {
    let mut lanes = [T::ZERO; LANES];
    let mut chunks = x.chunks_exact(LANES);
    for chunk in chunks.by_ref() {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane += *v;
        }
    }
    lanes.iter().chain(chunks.remainder()).map(|v| v.to_f64()).sum()
}

/// Sums of `[outer, length, inner]` over `length`: `[outer, inner]`.
pub fn sum<T: Real>(x: &[T], outer: usize, length: usize, inner: usize) -> Vec<T> {
    if inner == 1 {
        if outer == 1 && length > 1 << 16 {
            // Blocks of a fixed size, so that the result does not depend on the number of threads.
            let parts: Vec<f64> = x.par_chunks(1 << 15).map(sum_slice).collect();
            return vec![T::from_f64(parts.iter().sum())];
        }
        return build(outer, ((1 << 15) / length.max(1)).max(1), |start, out| {
            for (i, out) in out.iter_mut().enumerate() {
                out.write(T::from_f64(sum_slice(&x[(start + i) * length..][..length])));
            }
        });
    }
    let columns = inner.min(256);
    let pieces = inner.div_ceil(columns);
    let tasks: Vec<Vec<T>> = (0..outer * pieces)
        .into_par_iter()
        .with_min_len(((1 << 15) / (length * columns).max(1)).max(1))
        .map(|task| {
            let (o, from) = (task / pieces, task % pieces * columns);
            let width = columns.min(inner - from);
            let mut sums = [0f64; 256];
            for l in 0..length {
                for (sum, v) in sums.iter_mut().zip(&x[(o * length + l) * inner + from..][..width]) {
                    *sum += v.to_f64();
                }
            }
            sums[..width].iter().map(|v| T::from_f64(*v)).collect()
        })
        .collect();
    tasks.concat()
}

/// Where the largest value of each line over `length` is, the first of equals: `[outer, inner]`.
pub fn argmax<T: Real>(x: &[T], outer: usize, length: usize, inner: usize) -> Vec<u32> {
    build(outer * inner, ((1 << 14) / length.max(1)).max(1), |start, out| {
        for (i, out) in out.iter_mut().enumerate() {
            let (o, k) = ((start + i) / inner, (start + i) % inner);
            let line = |l: usize| x[(o * length + l) * inner + k];
            let mut best = 0;
            for l in 1..length {
                // A NaN counts as larger than any number, so that it is not hidden.
                if line(l) > line(best) || (line(l).is_nan() && !line(best).is_nan()) {
                    best = l;
                }
            }
            out.write(best as u32);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_over_each_dimension() {
        let x: Vec<f64> = (0..24).map(f64::from).collect();
        assert_eq!(sum(&x, 1, 24, 1), [276.0]);
        assert_eq!(sum(&x, 2, 12, 1), [66.0, 210.0]);
        assert_eq!(sum(&x, 2, 3, 4), [12.0, 15.0, 18.0, 21.0, 48.0, 51.0, 54.0, 57.0]);
        let long = vec![0.1f32; 1_000_000];
        assert!(
            (f64::from(sum(&long, 1, 1_000_000, 1)[0]) - 100_000.0).abs() < 0.1,
            "a plain f32 sum is off by hundreds"
        );
    }

    #[test]
    fn the_first_of_equals_is_the_largest() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0, 0.0f32], 1, 4, 1), [1]);
        assert_eq!(argmax(&[1.0, 9.0, 5.0, 2.0f32], 1, 2, 2), [1, 0]);
        assert_eq!(argmax(&[1.0, f32::NAN, 5.0], 1, 3, 1), [1]);
    }
}
