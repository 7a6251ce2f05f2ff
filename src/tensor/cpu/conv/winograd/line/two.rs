//! Four outputs of two taps, from five places.
#![allow(unsafe_code)] // Intrinsics: a transform runs where its instructions are known to exist.

use super::{Line, all};
use crate::tensor::cpu::conv::vector::Vector;

// The polynomials are evaluated at +-A, +-B and infinity. Among multiples of 1/8, with 0 in place of one of them or without it,
// these give the smallest error.
const A: f64 = 0.375;
const B: f64 = 1.25;

/// What the kernel's polynomial is divided by at A and B, and, with the sign changed, at -A and -B.
const AT_A: f64 = 1.0 / (2.0 * A * (A * A - B * B));
const AT_B: f64 = 1.0 / (2.0 * B * (B * B - A * A));

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

impl<V: Vector> Line<V, 5, 5> for Input<V> {
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
    unsafe fn apply(self, d: [V; 5]) -> [V; 5] {
        // SAFETY: the same contract.
        unsafe {
            let (even_a, odd_a) = (d[1].mul_add(self.minus_b2, d[3]), d[0].mul_add(self.minus_b2, d[2]));
            let (even_b, odd_b) = (d[1].mul_add(self.minus_a2, d[3]), d[0].mul_add(self.minus_a2, d[2]));
            [
                odd_a.mul_add(self.a, even_a),
                odd_a.mul_add(self.minus_a, even_a),
                odd_b.mul_add(self.b, even_b),
                odd_b.mul_add(self.minus_b, even_b),
                d[0].mul_add(self.product, d[2].mul_add(self.minus_sum, d[4])),
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

impl<V: Vector> Line<V, 5, 4> for Output<V> {
    #[inline(always)]
    unsafe fn new() -> Self {
        // SAFETY: the same contract.
        unsafe { Self { a: all(A), a2: all(A * A), a3: all(A * A * A), b: all(B), b2: all(B * B), b3: all(B * B * B) } }
    }
    #[inline(always)]
    unsafe fn apply(self, m: [V; 5]) -> [V; 4] {
        // SAFETY: the same contract.
        unsafe {
            let (sum_a, difference_a) = (m[0].add(m[1]), m[0].sub(m[1]));
            let (sum_b, difference_b) = (m[2].add(m[3]), m[2].sub(m[3]));
            [
                sum_a.add(sum_b),
                difference_a.mul_add(self.a, difference_b.mul(self.b)),
                sum_a.mul_add(self.a2, sum_b.mul(self.b2)),
                difference_a.mul_add(self.a3, difference_b.mul_add(self.b3, m[4])),
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

impl<V: Vector> Line<V, 4, 5> for Gradient<V> {
    #[inline(always)]
    unsafe fn new() -> Self {
        // SAFETY: the same contract.
        unsafe { Self { a: all(A), minus_a: all(-A), a2: all(A * A), b: all(B), minus_b: all(-B), b2: all(B * B) } }
    }
    #[inline(always)]
    unsafe fn apply(self, g: [V; 4]) -> [V; 5] {
        // SAFETY: the same contract.
        unsafe {
            let (even_a, odd_a) = (g[2].mul_add(self.a2, g[0]), g[3].mul_add(self.a2, g[1]));
            let (even_b, odd_b) = (g[2].mul_add(self.b2, g[0]), g[3].mul_add(self.b2, g[1]));
            [
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
    even_a: V,
    odd_a: V,
    even_b: V,
    odd_b: V,
}

impl<V: Vector> Taps<V> {
    #[inline(always)]
    unsafe fn factors() -> Self {
        // SAFETY: the same contract.
        unsafe { Self { even_a: all(AT_A), odd_a: all(A * AT_A), even_b: all(AT_B), odd_b: all(B * AT_B) } }
    }
}

impl<V: Vector> Line<V, 2, 5> for Taps<V> {
    #[inline(always)]
    unsafe fn new() -> Self {
        // SAFETY: the same contract.
        unsafe { Self::factors() }
    }
    #[inline(always)]
    unsafe fn apply(self, w: [V; 2]) -> [V; 5] {
        // SAFETY: the same contract.
        unsafe {
            let (even_a, odd_a) = (w[0].mul(self.even_a), w[1].mul(self.odd_a));
            let (even_b, odd_b) = (w[0].mul(self.even_b), w[1].mul(self.odd_b));
            [odd_a.add(even_a), odd_a.sub(even_a), odd_b.add(even_b), odd_b.sub(even_b), w[1]]
        }
    }
}

impl<V: Vector> Line<V, 5, 2> for Taps<V> {
    #[inline(always)]
    unsafe fn new() -> Self {
        // SAFETY: the same contract.
        unsafe { Self::factors() }
    }
    #[inline(always)]
    unsafe fn apply(self, m: [V; 5]) -> [V; 2] {
        // SAFETY: the same contract.
        unsafe {
            let (sum_a, difference_a) = (m[0].add(m[1]), m[0].sub(m[1]));
            let (sum_b, difference_b) = (m[2].add(m[3]), m[2].sub(m[3]));
            [
                difference_a.mul_add(self.even_a, difference_b.mul(self.even_b)),
                sum_a.mul_add(self.odd_a, sum_b.mul_add(self.odd_b, m[4])),
            ]
        }
    }
}
