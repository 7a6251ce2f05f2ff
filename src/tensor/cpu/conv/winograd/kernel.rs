//! The inner loops of Winograd's convolution, compiled for each instruction set.
//!
//! Vectors run along channels, so that a tile's transforms are the same few sums for every lane and any size of image.
#![allow(unsafe_code)] // Intrinsics and raw pointers: bounds were settled when the plan was made.

use super::super::super::dispatch::Isa;
use super::super::super::real::Real;
use super::super::vector::{Plain, Vector};
use super::line::{Gradient, Input, Line, Output, Taps};

/// Positions of a transformed tile: 6 x 6.
pub const PLACES: usize = 36;
/// Output rows and columns of a tile.
pub const TILE: usize = 4;
/// Input rows and columns of a tile.
pub const REACH: usize = 6;

/// The inner loops for one float type and one instruction set.
///
/// Each needs the instruction set it was looked up for. "Planes" are the [`PLACES`] positions of a transformed tile, so many
/// elements apart; what is read or written at a place is one vector of channels.
pub struct Transforms<T> {
    /// `(from, row, to, plane)`: the 6 x 6 pixels of an input tile, rows `row` elements apart, to planes.
    pub input: unsafe fn(*const T, usize, *mut T, usize),
    /// `(from, plane, bias, least, to, row)`: planes to the 4 x 4 pixels of an output tile, plus a vector of biases, of which what
    /// is smaller becomes `least`.
    pub output: unsafe fn(*const T, usize, *const T, T, *mut T, usize),
    /// `(from, row, to, plane)`: the 4 x 4 pixels of an output's gradient to planes.
    pub gradient: unsafe fn(*const T, usize, *mut T, usize),
    /// `(from, step, to, plane)`: the 3 x 3 taps of a kernel, `step` elements apart, to planes.
    pub kernel: unsafe fn(*const T, isize, *mut T, usize),
    /// `(from, plane, to)`: planes to the 3 x 3 taps of a kernel's gradient, one vector after the other.
    pub taps: unsafe fn(*const T, usize, *mut T),
}

/// A float with inner loops of its own for Winograd's convolution.
pub trait Winograd: Sized + 'static {
    /// The inner loops for an instruction set that this machine has; none if convolutions of this type stay direct.
    fn transforms(isa: Isa) -> Option<&'static Transforms<Self>>;
}

/// A square of vectors in memory: elements from one row to the next, and from one column to the next.
#[derive(Clone, Copy)]
struct Square<P> {
    at: P,
    row: isize,
    column: isize,
}

/// Transforms columns, then rows; then adds biases and sees that results are not below a number, if these are given.
#[inline(always)]
unsafe fn both_ways<V: Vector, L: Line<V, I, O>, const I: usize, const O: usize>(
    from: Square<*const V::Elem>,
    to: Square<*mut V::Elem>,
    last: Option<(*const V::Elem, V::Elem)>,
) {
    // SAFETY: the caller gives squares of `I` and `O` vectors, and a vector of biases.
    unsafe {
        let line = L::new();
        let zero = V::splat(V::Elem::ZERO);
        let mut between = [[zero; I]; O];
        unrolled!(column in 0..I of 8 {
            let mut given = [zero; I];
            unrolled!(row in 0..I of 8 {
                given[row] = V::load(from.at.offset(row as isize * from.row + column as isize * from.column));
            });
            let done = line.apply(given);
            unrolled!(row in 0..O of 8 {
                between[row][column] = done[row];
            });
        });
        unrolled!(row in 0..O of 8 {
            let done = line.apply(between[row]);
            unrolled!(column in 0..O of 8 {
                let v = match last {
                    Some((bias, least)) => done[column].add(V::load(bias)).at_least(V::splat(least)),
                    None => done[column],
                };
                v.store(to.at.offset(row as isize * to.row + column as isize * to.column));
            });
        });
    }
}

/// Vectors of neighbouring pixels, rows `row` elements apart.
#[inline(always)]
fn pixels<V: Vector, P>(at: P, row: usize) -> Square<P> {
    Square { at, row: row as isize, column: V::LANES as isize }
}

/// The places of a tile, in planes `plane` elements apart.
#[inline(always)]
fn places<P>(at: P, plane: usize) -> Square<P> {
    Square { at, row: (REACH * plane) as isize, column: plane as isize }
}

macro_rules! transforms {
    ($name:ident, $elem:ty, $vector:ty, features: [$($feature:literal)?]) => {
        mod $name {
            use super::*;

            $(#[target_feature(enable = $feature)])?
            unsafe fn input(from: *const $elem, row: usize, to: *mut $elem, plane: usize) {
                // SAFETY: the same contract.
                unsafe {
                    both_ways::<$vector, Input<_>, 6, 6>(pixels::<$vector, _>(from, row), places(to, plane), None);
                }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn output(
                from: *const $elem,
                plane: usize,
                bias: *const $elem,
                least: $elem,
                to: *mut $elem,
                row: usize,
            ) {
                // SAFETY: the same contract.
                unsafe {
                    let to = pixels::<$vector, _>(to, row);
                    both_ways::<$vector, Output<_>, 6, 4>(places(from, plane), to, Some((bias, least)));
                }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn gradient(from: *const $elem, row: usize, to: *mut $elem, plane: usize) {
                // SAFETY: the same contract.
                unsafe {
                    both_ways::<$vector, Gradient<_>, 4, 6>(pixels::<$vector, _>(from, row), places(to, plane), None);
                }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn kernel(from: *const $elem, step: isize, to: *mut $elem, plane: usize) {
                // SAFETY: the same contract.
                unsafe {
                    let from = Square { at: from, row: 3 * step, column: step };
                    both_ways::<$vector, Taps<_>, 3, 6>(from, places(to, plane), None);
                }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn taps(from: *const $elem, plane: usize, to: *mut $elem) {
                // SAFETY: the same contract.
                unsafe {
                    let to = pixels::<$vector, _>(to, 3 * <$vector>::LANES);
                    both_ways::<$vector, Taps<_>, 6, 3>(places(from, plane), to, None);
                }
            }

            pub static TRANSFORMS: Transforms<$elem> =
                Transforms { input, output, gradient, kernel, taps };
        }
    };
}

#[cfg(target_arch = "x86_64")]
transforms!(avx512, f32, std::arch::x86_64::__m512, features: ["avx512f,avx512vl,avx512dq,avx512bw,avx2,fma"]);
#[cfg(target_arch = "x86_64")]
transforms!(avx2, f32, std::arch::x86_64::__m256, features: ["avx2,fma"]);
transforms!(portable, f32, Plain<f32, 4>, features: []);

impl Winograd for f32 {
    fn transforms(isa: Isa) -> Option<&'static Transforms<f32>> {
        Some(match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => &avx512::TRANSFORMS,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => &avx2::TRANSFORMS,
            _ => &portable::TRANSFORMS,
        })
    }
}

impl Winograd for f64 {
    /// Double precision is for checks: nothing is traded for speed.
    fn transforms(_: Isa) -> Option<&'static Transforms<f64>> {
        None
    }
}
