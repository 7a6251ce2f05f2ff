//! The inner loops of Winograd's convolution, compiled for each instruction set.
//!
//! Vectors run along channels, so that a tile's transforms are the same few sums for every lane and any size of image.
#![allow(unsafe_code)] // Intrinsics and raw pointers: bounds were settled when the plan was made.

use super::super::super::buffer::prefetch;
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

/// A product of matrices: `c[k][n] = sum of a[k][i] * b[i][n]` over `terms` values of `i`.
pub struct Product<T> {
    /// `a[k][i]` is `a[k * a_row + i * a_step]`.
    pub a: *const T,
    /// Elements from one row of `a` to the next.
    pub a_row: usize,
    /// Elements from one term of `a` to the next.
    pub a_step: usize,
    /// Terms of each sum.
    pub terms: usize,
    /// `b[i]` starts at `b[i * b_row]`.
    pub b: *const T,
    /// Elements from one term of `b` to the next.
    pub b_row: usize,
    /// `c[k]` starts at `c[k * c_row]`.
    pub c: *mut T,
    /// Elements from one row of `c` to the next.
    pub c_row: usize,
    /// Whether the sums are added to what `c` holds.
    pub add: bool,
}

/// The inner loops for one float type and one instruction set.
///
/// Each needs the instruction set it was looked up for. "Planes" are the [`PLACES`] positions of a transformed tile, so many
/// elements apart; what is read or written at a place is one vector of channels.
pub struct Transforms<T> {
    /// The most rows of a product.
    pub rows: usize,
    /// Products: rows (1 to `rows`), vectors across `b` (1 or 2).
    pub product: unsafe fn(&Product<T>, usize, usize),
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

/// `K` rows by `N` vectors.
#[inline(always)]
unsafe fn product<V: Vector, const K: usize, const N: usize>(p: &Product<V::Elem>) {
    // SAFETY: the caller gives `K` rows of `a` and of `c`, and `N` vectors in each row of `b` and of `c`.
    unsafe {
        let mut acc = [[V::splat(V::Elem::ZERO); N]; K];
        if p.add {
            unrolled!(k in 0..K of 16 {
                unrolled!(n in 0..N of 2 {
                    prefetch(p.c.add(k * p.c_row + n * V::LANES));
                });
            });
        }
        // Rows in threes, so that few pointers name them all. The compiler must not see that each is made of the one before,
        // or it makes a chain of additions as long as the products take.
        let mut a = [p.a; 6];
        unrolled!(group in 0..6 of 8 {
            a[group] = std::hint::black_box(p.a.wrapping_add(3 * group * p.a_row));
        });
        let mut b = p.b;
        for _ in 0..p.terms {
            let mut factors = [acc[0][0]; N];
            unrolled!(n in 0..N of 2 {
                factors[n] = V::load(b.add(n * V::LANES));
            });
            unrolled!(k in 0..K of 16 {
                let x = V::splat(*a[k / 3].add(k % 3 * p.a_row));
                unrolled!(n in 0..N of 2 {
                    acc[k][n] = factors[n].mul_add(x, acc[k][n]);
                });
            });
            b = b.add(p.b_row);
            unrolled!(group in 0..6 of 8 {
                a[group] = a[group].wrapping_add(p.a_step);
            });
        }
        unrolled!(k in 0..K of 16 {
            unrolled!(n in 0..N of 2 {
                let to = p.c.add(k * p.c_row + n * V::LANES);
                let sum = if p.add { acc[k][n].add(V::load(to)) } else { acc[k][n] };
                sum.store(to);
            });
        });
    }
}

macro_rules! transforms {
    ($name:ident, $elem:ty, $vector:ty, features: [$($feature:literal)?], rows: [$($rows:literal)*], most: $most:literal) => {
        mod $name {
            use super::*;

            $(#[target_feature(enable = $feature)])?
            unsafe fn product(p: &Product<$elem>, rows: usize, vectors: usize) {
                // SAFETY: the same contract.
                unsafe {
                    match (rows, vectors) {
                        $(($rows, 1) => super::product::<$vector, $rows, 1>(p),
                        ($rows, _) => super::product::<$vector, $rows, 2>(p),)*
                        (_, 1) => super::product::<$vector, $most, 1>(p),
                        (_, _) => super::product::<$vector, $most, 2>(p),
                    }
                }
            }

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
                Transforms { rows: $most, product, input, output, gradient, kernel, taps };
        }
    };
}

// Two vectors by 14 sums of 32 registers leave room for two factors and an input; by 6 of 16 likewise.
#[cfg(target_arch = "x86_64")]
transforms!(avx512, f32, std::arch::x86_64::__m512, features: ["avx512f,avx512vl,avx512dq,avx512bw,avx2,fma"],
    rows: [1 2 3 4 5 6 7 8 9 10 11 12 13], most: 14);
#[cfg(target_arch = "x86_64")]
transforms!(avx2, f32, std::arch::x86_64::__m256, features: ["avx2,fma"], rows: [1 2 3 4 5], most: 6);
transforms!(portable, f32, Plain<f32, 4>, features: [], rows: [1 2 3 4 5], most: 6);

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
