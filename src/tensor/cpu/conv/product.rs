//! The product of matrices that the other loops are made of: a few rows by one or two vectors, all sums in registers.
#![allow(unsafe_code)] // Intrinsics and raw pointers: bounds were settled when the plan was made.

use super::super::buffer::prefetch;
use super::super::real::Real;
use super::vector::Vector;

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
    /// A number for each row that its sums start from, or null.
    pub start: *const T,
    /// Smaller results become this.
    pub least: T,
}

/// `K` rows by `N` vectors.
///
/// # Safety
/// There are `K` rows of `a` and of `c`, and of `start` unless it is null, and `N` vectors in each row of `b` and of `c`.
#[inline(always)]
pub unsafe fn product<V: Vector, const K: usize, const N: usize>(p: &Product<V::Elem>) {
    // SAFETY: the same contract.
    unsafe {
        match p.a_row {
            1 => product_of::<V, K, N, true>(p),
            _ => product_of::<V, K, N, false>(p),
        }
    }
}

/// The same for rows whose values lie `SIDE_BY_SIDE`, which one pointer names, or not.
#[inline(always)]
unsafe fn product_of<V: Vector, const K: usize, const N: usize, const SIDE_BY_SIDE: bool>(p: &Product<V::Elem>) {
    // SAFETY: the contract above.
    unsafe {
        let mut acc = [[V::splat(V::Elem::ZERO); N]; K];
        if p.add {
            unrolled!(k in 0..K of 16 {
                unrolled!(n in 0..N of 2 {
                    prefetch(p.c.add(k * p.c_row + n * V::LANES));
                });
            });
        }
        if !p.start.is_null() {
            unrolled!(k in 0..K of 16 {
                acc[k] = [V::splat(*p.start.add(k)); N];
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
                let x = V::splat(if SIDE_BY_SIDE { *a[0].add(k) } else { *a[k / 3].add(k % 3 * p.a_row) });
                unrolled!(n in 0..N of 2 {
                    acc[k][n] = factors[n].mul_add(x, acc[k][n]);
                });
            });
            b = b.add(p.b_row);
            unrolled!(group in 0..6 of 8 {
                a[group] = a[group].wrapping_add(p.a_step);
            });
        }
        let least = V::splat(p.least);
        unrolled!(k in 0..K of 16 {
            unrolled!(n in 0..N of 2 {
                let to = p.c.add(k * p.c_row + n * V::LANES);
                let sum = if p.add { acc[k][n].add(V::load(to)) } else { acc[k][n] };
                sum.at_least(least).store(to);
            });
        });
    }
}

/// Values to be brought side by side: a row of positions for each term.
pub struct Gather<T> {
    pub x: *const T,
    /// Where each term starts in `x`.
    pub terms: *const usize,
    pub count: usize,
    /// Vectors of neighbours: where each starts, counted from its term, and where in the row it goes, in order.
    pub copies: *const [usize; 2],
    pub copies_len: usize,
    /// The end of `x`: lanes past it become 0.
    pub end: *const T,
    pub to: *mut T,
    /// Elements from one row to the next.
    pub row: usize,
}

/// Copies vectors into rows. What one writes past its neighbours is overwritten by the next, and past the last row is lost.
///
/// # Safety
/// Every copy of every term starts inside `x`, and `to` has room for a vector more than all rows.
#[inline(always)]
pub unsafe fn gather<V: Vector>(g: &Gather<V::Elem>) {
    // SAFETY: the contract above.
    unsafe {
        let copies = std::slice::from_raw_parts(g.copies, g.copies_len);
        let last = g.end.wrapping_sub(V::LANES);
        let mut to = g.to;
        for term in 0..g.count {
            let from = g.x.wrapping_add(*g.terms.add(term));
            for &[at, place] in copies {
                let from = from.wrapping_add(at);
                let v =
                    if from <= last { V::load(from) } else { V::load_range(from, 0, g.end.offset_from_unsigned(from)) };
                v.store(to.add(place));
            }
            to = to.add(g.row);
        }
    }
}
