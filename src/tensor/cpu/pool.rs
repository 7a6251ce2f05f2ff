//! Pooling over windows and whole planes, and what carries gradients back through it.

use super::buffer::map_planes;
use super::dispatch::multiversion;
use super::real::Real;

multiversion! {
    /// The sum of a slice, in double precision over 32 partial sums whose cut depends on the length alone.
    pub fn sum[T: Real](x: &[T]) -> f64 {
        let mut partial = [T::ZERO; 32];
        let mut total = 0.0;
        // Short runs, so that single precision adds few terms before double precision takes over.
        for run in x.chunks(1024) {
            let whole = run.chunks_exact(32);
            let rest = whole.remainder();
            for chunk in whole {
                for (p, &v) in partial.iter_mut().zip(chunk) {
                    *p += v;
                }
            }
            for (p, &v) in partial.iter_mut().zip(rest) {
                *p += v;
            }
            for p in &mut partial {
                total += p.to_f64();
                *p = T::ZERO;
            }
        }
        total
    }
}

/// The sum of each `len`-element plane of `x`.
pub fn global_sum<T: Real>(x: &[T], len: usize) -> Vec<T> {
    map_planes(x.len() / len.max(1), len, |i| T::from_f64(sum(&x[i * len..][..len])))
}
