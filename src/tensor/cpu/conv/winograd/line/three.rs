//! Four outputs of three taps, from six places.
#![allow(unsafe_code)] // Intrinsics: a transform runs where its instructions are known to exist.

use super::{Line, all};
use crate::tensor::cpu::conv::vector::Vector;

// The polynomials are evaluated at 0, +-A, +-B and infinity. With 5/8 and 3/2 the error is less than half of that with the
// customary 1 and 2: sums lose less when no factor is large (Barabasz et al. 2018, arXiv:1803.10986).
const A: f64 = 0.625;
const B: f64 = 1.5;

/// What the kernel's polynomial is divided by at 0, +-A and +-B.
const AT_0: f64 = 1.0 / (A * A * B * B);
const AT_A: f64 = 1.0 / (2.0 * A * A * (A * A - B * B));
const AT_B: f64 = 1.0 / (2.0 * B * B * (B * B - A * A));

/// Pixels to places.
#[derive(Clone, Copy)]
pub struct Input<V> {
    minus_sum: V,
    product: V,
    a: V,
    minus_a: V,
    b: V,
    minus_b: V,
    minus_a2: V,
    minus_b2: V,
}

impl<V: Vector> Line<V, 6, 6> for Input<V> {
    #[inline(always)]
    unsafe fn new() -> Self {
        // SAFETY: the same contract.
        unsafe {
            Self {
                minus_sum: all(-(A * A + B * B)),
                product: all(A * A * B * B),
                a: all(A),
                minus_a: all(-A),
                b: all(B),
                minus_b: all(-B),
                minus_a2: all(-A * A),
                minus_b2: all(-B * B),
            }
        }
    }
    #[inline(always)]
    unsafe fn apply(self, d: [V; 6]) -> [V; 6] {
        // SAFETY: the same contract.
        unsafe {
            let (even_a, odd_a) = (d[2].mul_add(self.minus_b2, d[4]), d[1].mul_add(self.minus_b2, d[3]));
            let (even_b, odd_b) = (d[2].mul_add(self.minus_a2, d[4]), d[1].mul_add(self.minus_a2, d[3]));
            [
                d[0].mul_add(self.product, d[2].mul_add(self.minus_sum, d[4])),
                odd_a.mul_add(self.a, even_a),
                odd_a.mul_add(self.minus_a, even_a),
                odd_b.mul_add(self.b, even_b),
                odd_b.mul_add(self.minus_b, even_b),
                d[1].mul_add(self.product, d[3].mul_add(self.minus_sum, d[5])),
            ]
        }
    }
}

/// Places to pixels.
#[derive(Clone, Copy)]
pub struct Output<V> {
    a: V,
    a2: V,
    a3: V,
    b: V,
    b2: V,
    b3: V,
}

impl<V: Vector> Line<V, 6, 4> for Output<V> {
    #[inline(always)]
    unsafe fn new() -> Self {
        // SAFETY: the same contract.
        unsafe { Self { a: all(A), a2: all(A * A), a3: all(A * A * A), b: all(B), b2: all(B * B), b3: all(B * B * B) } }
    }
    #[inline(always)]
    unsafe fn apply(self, m: [V; 6]) -> [V; 4] {
        // SAFETY: the same contract.
        unsafe {
            let (sum_a, difference_a) = (m[1].add(m[2]), m[1].sub(m[2]));
            let (sum_b, difference_b) = (m[3].add(m[4]), m[3].sub(m[4]));
            [
                m[0].add(sum_a).add(sum_b),
                difference_a.mul_add(self.a, difference_b.mul(self.b)),
                sum_a.mul_add(self.a2, sum_b.mul(self.b2)),
                difference_a.mul_add(self.a3, difference_b.mul_add(self.b3, m[5])),
            ]
        }
    }
}

/// The transpose of [`Output`].
#[derive(Clone, Copy)]
pub struct Gradient<V> {
    a: V,
    minus_a: V,
    a2: V,
    b: V,
    minus_b: V,
    b2: V,
}

impl<V: Vector> Line<V, 4, 6> for Gradient<V> {
    #[inline(always)]
    unsafe fn new() -> Self {
        // SAFETY: the same contract.
        unsafe { Self { a: all(A), minus_a: all(-A), a2: all(A * A), b: all(B), minus_b: all(-B), b2: all(B * B) } }
    }
    #[inline(always)]
    unsafe fn apply(self, g: [V; 4]) -> [V; 6] {
        // SAFETY: the same contract.
        unsafe {
            let (even_a, odd_a) = (g[2].mul_add(self.a2, g[0]), g[3].mul_add(self.a2, g[1]));
            let (even_b, odd_b) = (g[2].mul_add(self.b2, g[0]), g[3].mul_add(self.b2, g[1]));
            [
                g[0],
                odd_a.mul_add(self.a, even_a),
                odd_a.mul_add(self.minus_a, even_a),
                odd_b.mul_add(self.b, even_b),
                odd_b.mul_add(self.minus_b, even_b),
                g[3],
            ]
        }
    }
}

/// Taps to places, and, transposed, places to taps.
#[derive(Clone, Copy)]
pub struct Taps<V> {
    at_0: V,
    even_a: V,
    odd_a: V,
    even_a2: V,
    even_b: V,
    odd_b: V,
    even_b2: V,
}

impl<V: Vector> Taps<V> {
    #[inline(always)]
    unsafe fn factors() -> Self {
        // SAFETY: the same contract.
        unsafe {
            Self {
                at_0: all(AT_0),
                even_a: all(AT_A),
                odd_a: all(A * AT_A),
                even_a2: all(A * A * AT_A),
                even_b: all(AT_B),
                odd_b: all(B * AT_B),
                even_b2: all(B * B * AT_B),
            }
        }
    }
}

impl<V: Vector> Line<V, 3, 6> for Taps<V> {
    #[inline(always)]
    unsafe fn new() -> Self {
        // SAFETY: the same contract.
        unsafe { Self::factors() }
    }
    #[inline(always)]
    unsafe fn apply(self, w: [V; 3]) -> [V; 6] {
        // SAFETY: the same contract.
        unsafe {
            let (even_a, odd_a) = (w[0].mul_add(self.even_a, w[2].mul(self.even_a2)), w[1].mul(self.odd_a));
            let (even_b, odd_b) = (w[0].mul_add(self.even_b, w[2].mul(self.even_b2)), w[1].mul(self.odd_b));
            [w[0].mul(self.at_0), even_a.add(odd_a), even_a.sub(odd_a), even_b.add(odd_b), even_b.sub(odd_b), w[2]]
        }
    }
}

impl<V: Vector> Line<V, 6, 3> for Taps<V> {
    #[inline(always)]
    unsafe fn new() -> Self {
        // SAFETY: the same contract.
        unsafe { Self::factors() }
    }
    #[inline(always)]
    unsafe fn apply(self, m: [V; 6]) -> [V; 3] {
        // SAFETY: the same contract.
        unsafe {
            let (sum_a, difference_a) = (m[1].add(m[2]), m[1].sub(m[2]));
            let (sum_b, difference_b) = (m[3].add(m[4]), m[3].sub(m[4]));
            [
                m[0].mul_add(self.at_0, sum_a.mul_add(self.even_a, sum_b.mul(self.even_b))),
                difference_a.mul_add(self.odd_a, difference_b.mul(self.odd_b)),
                sum_a.mul_add(self.even_a2, sum_b.mul_add(self.even_b2, m[5])),
            ]
        }
    }
}
