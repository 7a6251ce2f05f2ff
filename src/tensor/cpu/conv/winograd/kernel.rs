//! The inner loops of Winograd's convolution, compiled for each instruction set.
//!
//! Vectors run along channels, so that a tile's transforms are the same few sums for every lane and any size of image.
#![allow(unsafe_code)] // Intrinsics and raw pointers: bounds were settled when the plan was made.

use super::super::super::dispatch::Isa;
use super::super::super::real::Real;
use super::super::vector::{Plain, Vector};
use super::line::Line;

/// Output rows and columns of a tile.
pub const TILE: usize = 4;

/// The inner loops for one float type, one instruction set and one number of taps.
///
/// Each needs the instruction set it was looked up for. "Planes" are the [`places`](Self::places) of a transformed tile, so many
/// elements apart; what is read or written at a place is one vector of channels. Of pixels, the elements from one row to the next
/// are given, and from one column to the next.
pub struct Transforms<T> {
    /// Rows and columns of a kernel.
    pub taps: usize,
    /// Input rows and columns of a tile.
    pub reach: usize,
    /// `(from, [row, column], to, plane)`: the pixels of an input tile to planes.
    pub input: unsafe fn(*const T, [usize; 2], *mut T, usize),
    /// `(from, plane, bias, least, to, [row, column])`: planes to the pixels of an output tile, plus a vector of biases, of which
    /// what is smaller becomes `least`.
    pub output: unsafe fn(*const T, usize, *const T, T, *mut T, [usize; 2]),
    /// `(from, row, to, plane)`: the neighbouring pixels of an output's gradient to planes.
    pub gradient: unsafe fn(*const T, usize, *mut T, usize),
    /// `(from, to, plane)`: the taps of a kernel, one vector after the other, to planes.
    pub kernel: unsafe fn(*const T, *mut T, usize),
    /// `(from, plane, to)`: planes to the taps of a kernel's gradient, one vector after the other.
    pub gradient_taps: unsafe fn(*const T, usize, *mut T),
}

impl<T> Transforms<T> {
    /// Positions of a transformed tile.
    pub fn places(&self) -> usize {
        self.reach * self.reach
    }
}

/// A float with inner loops of its own for Winograd's convolution.
pub trait Winograd: Sized + 'static {
    /// The inner loops for an instruction set that this machine has and kernels of `taps` rows and columns; none if convolutions
    /// of this type stay direct.
    fn transforms(isa: Isa, taps: usize) -> Option<&'static Transforms<Self>>;
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

/// Pixels in rows and columns so many elements apart.
#[inline(always)]
fn pixels<P>(at: P, [row, column]: [usize; 2]) -> Square<P> {
    Square { at, row: row as isize, column: column as isize }
}

/// The places of a tile, `reach` to a row, in planes `plane` elements apart.
#[inline(always)]
fn places<P>(at: P, reach: usize, plane: usize) -> Square<P> {
    Square { at, row: (reach * plane) as isize, column: plane as isize }
}

macro_rules! transforms {
    ($name:ident, $elem:ty, $vector:ty, $line:ident: $taps:literal to $reach:literal, features: [$($feature:literal)?]) => {
        mod $name {
            use super::*;
            use super::super::line::$line::{Gradient, Input, Output, Taps};

            const LANES: usize = <$vector>::LANES;

            $(#[target_feature(enable = $feature)])?
            unsafe fn input(from: *const $elem, pitch: [usize; 2], to: *mut $elem, plane: usize) {
                let (from, to) = (pixels(from, pitch), places(to, $reach, plane));
                // SAFETY: the same contract.
                unsafe { both_ways::<$vector, Input<_>, $reach, $reach>(from, to, None) };
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn output(
                from: *const $elem,
                plane: usize,
                bias: *const $elem,
                least: $elem,
                to: *mut $elem,
                pitch: [usize; 2],
            ) {
                let (from, to) = (places(from, $reach, plane), pixels(to, pitch));
                // SAFETY: the same contract.
                unsafe { both_ways::<$vector, Output<_>, $reach, TILE>(from, to, Some((bias, least))) };
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn gradient(from: *const $elem, row: usize, to: *mut $elem, plane: usize) {
                let (from, to) = (pixels(from, [row, LANES]), places(to, $reach, plane));
                // SAFETY: the same contract.
                unsafe { both_ways::<$vector, Gradient<_>, TILE, $reach>(from, to, None) };
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn kernel(from: *const $elem, to: *mut $elem, plane: usize) {
                let (from, to) = (pixels(from, [$taps * LANES, LANES]), places(to, $reach, plane));
                // SAFETY: the same contract.
                unsafe { both_ways::<$vector, Taps<_>, $taps, $reach>(from, to, None) };
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn gradient_taps(from: *const $elem, plane: usize, to: *mut $elem) {
                let (from, to) = (places(from, $reach, plane), pixels(to, [$taps * LANES, LANES]));
                // SAFETY: the same contract.
                unsafe { both_ways::<$vector, Taps<_>, $reach, $taps>(from, to, None) };
            }

            pub static TRANSFORMS: Transforms<$elem> =
                Transforms { taps: $taps, reach: $reach, input, output, gradient, kernel, gradient_taps };
        }
    };
}

#[cfg(target_arch = "x86_64")]
transforms!(avx512_two, f32, std::arch::x86_64::__m512, two: 2 to 5, features: ["avx512f,avx512vl,avx512dq,avx512bw,avx2,fma"]);
#[cfg(target_arch = "x86_64")]
transforms!(avx512_three, f32, std::arch::x86_64::__m512, three: 3 to 6, features: ["avx512f,avx512vl,avx512dq,avx512bw,avx2,fma"]);
#[cfg(target_arch = "x86_64")]
transforms!(avx2_two, f32, std::arch::x86_64::__m256, two: 2 to 5, features: ["avx2,fma"]);
#[cfg(target_arch = "x86_64")]
transforms!(avx2_three, f32, std::arch::x86_64::__m256, three: 3 to 6, features: ["avx2,fma"]);
transforms!(portable_two, f32, Plain<f32, 4>, two: 2 to 5, features: []);
transforms!(portable_three, f32, Plain<f32, 4>, three: 3 to 6, features: []);

impl Winograd for f32 {
    fn transforms(isa: Isa, taps: usize) -> Option<&'static Transforms<f32>> {
        let [two, three] = match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => [&avx512_two::TRANSFORMS, &avx512_three::TRANSFORMS],
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => [&avx2_two::TRANSFORMS, &avx2_three::TRANSFORMS],
            _ => [&portable_two::TRANSFORMS, &portable_three::TRANSFORMS],
        };
        [two, three].into_iter().find(|transforms| transforms.taps == taps)
    }
}

impl Winograd for f64 {
    /// Double precision is for checks: nothing is traded for speed.
    fn transforms(_: Isa, _: usize) -> Option<&'static Transforms<f64>> {
        None
    }
}
