//! The transforms of one line of a tile: of inputs, outputs, gradients and taps.
#![allow(unsafe_code)] // Intrinsics: a transform runs where its instructions are known to exist.

use super::super::super::real::Real;
use super::super::vector::Vector;

pub mod three;
pub mod two;

/// A transform of one line, which is applied to the columns of a square and then to the rows of what that gives. (A trait, not a
/// closure: intrinsics are only inlined into what is itself always inlined.)
///
/// # Safety
/// Every method needs the instructions of the vector.
pub trait Line<V: Vector, const I: usize, const O: usize>: Copy {
    unsafe fn new() -> Self;
    unsafe fn apply(self, line: [V; I]) -> [V; O];
}

/// The same value in every lane.
#[inline(always)]
unsafe fn all<V: Vector>(value: f64) -> V {
    // SAFETY: the same contract.
    unsafe { V::splat(V::Elem::from_f64(value)) }
}
