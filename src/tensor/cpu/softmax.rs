//! Softmax over rows.

use super::map::build;
use super::real::Real;

/// exp(x - max) / sum for each row of `length` values.
pub fn softmax<T: Real>(x: &[T], length: usize) -> Vec<T> {
    rows(x, length, |row, out| {
        let top = top(row);
        let mut sum = 0.0;
        for (out, x) in out.iter_mut().zip(row) {
            let e = (*x - top).exp();
            sum += e.to_f64();
            *out = e;
        }
        let scale = T::from_f64(1.0 / sum);
        for out in out {
            *out *= scale;
        }
    })
}

/// x - max - log(sum(exp(x - max))) for each row of `length` values.
pub fn log_softmax<T: Real>(x: &[T], length: usize) -> Vec<T> {
    rows(x, length, |row, out| {
        let top = top(row);
        let sum: f64 = row.iter().map(|x| (*x - top).exp().to_f64()).sum();
        let shift = top + T::from_f64(sum.ln());
        for (out, x) in out.iter_mut().zip(row) {
            *out = *x - shift;
        }
    })
}

fn top<T: Real>(row: &[T]) -> T {
    row.iter().copied().fold(row[0], |a, b| if b > a || b.is_nan() { b } else { a })
}

fn rows<T: Real>(x: &[T], length: usize, f: impl Fn(&[T], &mut [T]) + Sync) -> Vec<T> {
    let at_a_time = (16 * 1024 / length.max(1)).max(1);
    build(x.len(), at_a_time * length, |start, out| {
        let mut line = vec![T::ZERO; length];
        for (i, out) in out.chunks_mut(length).enumerate() {
            f(&x[start + i * length..][..length], &mut line);
            for (out, v) in out.iter_mut().zip(&line) {
                out.write(*v);
            }
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
}
