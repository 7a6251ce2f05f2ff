//! Values at flat places, and the sum back into them.

use super::map::build;
use super::real::Real;

/// `x[at[i]]` for each place.
pub fn gather<T: Real>(x: &[T], at: &[u32]) -> Vec<T> {
    build(at.len(), 16 * 1024, |start, out| {
        for (out, at) in out.iter_mut().zip(&at[start..]) {
            out.write(x[*at as usize]);
        }
    })
}

/// `n` zeros, to which `x[i]` is added at place `at[i]`. One thread, in order, so that the sum is always the same.
pub fn scatter_add<T: Real>(x: &[T], at: &[u32], n: usize) -> Vec<T> {
    let mut out = vec![T::ZERO; n];
    for (x, at) in x.iter().zip(at) {
        out[*at as usize] += *x;
    }
    out
}
