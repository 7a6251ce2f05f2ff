//! The largest value and the sum of each window of a plane: what pooling is made of.
#![allow(unsafe_code)] // Intrinsics and raw pointers: lanes are counted before they are read.

use std::ops::Range;

use super::super::pool::Pool;
use super::super::real::Real;
use super::vector::Vector;

/// What one tap of neighbouring windows reads of a row: where its first lane lies, counted from the row's start, and the lanes that
/// lie inside.
#[derive(Debug, Clone, Copy)]
pub struct Lanes {
    at: isize,
    inside: [usize; 2],
}

impl Lanes {
    /// Those of all taps of each vector of `count` windows of a row, one vector after the other.
    pub fn of_row(p: &Pool, count: usize) -> Vec<Self> {
        let of_tap = |first: usize, tap: usize| {
            let at = (first * p.stride[1] + tap) as isize - p.pad[2] as isize;
            let count = (p.out_w() - first).min(count);
            let reach = |end: isize| ((end - at).max(0) as usize).div_ceil(p.stride[1]).min(count);
            Self { at, inside: [reach(0), reach(p.w as isize)] }
        };
        (0..p.out_w()).step_by(count).flat_map(|first| (0..p.kw).map(move |tap| of_tap(first, tap))).collect()
    }

    /// How many windows [`largest`] takes at a time. Every second column is read with the one between, and a third is the
    /// neighbour's first: the last lane has no neighbour.
    pub fn windows(p: &Pool, lanes: usize) -> usize {
        if in_pairs(p) { lanes - 1 } else { lanes }
    }

    /// For each of some vectors of so many lanes, 0 where it is inside, and minus infinity elsewhere.
    pub fn outside<T: Real>(all: &[Self], lanes: usize) -> Vec<T> {
        let of = |tap: &Self| {
            let inside = tap.inside[0]..tap.inside[1];
            (0..lanes).map(move |lane| if inside.contains(&lane) { T::ZERO } else { T::NEG_INFINITY })
        };
        all.iter().flat_map(of).collect()
    }
}

/// Whether the columns of a row of windows are read two by two.
fn in_pairs(p: &Pool) -> bool {
    p.stride[1] == 2 && (2..=3).contains(&p.kw)
}

/// Calls `f` with each value under some neighbouring windows of `rows` of the plane `x`. Where a window reaches past the plane,
/// its lane is 0. `f` is told which tap it is.
#[inline(always)]
unsafe fn each<V: Vector>(
    x: &[V::Elem],
    width: usize,
    stride: usize,
    rows: &Range<usize>,
    taps: &[Lanes],
    mut f: impl FnMut(usize, V),
) {
    let first = x.as_ptr().wrapping_add(rows.start * width);
    for (k, tap) in taps.iter().enumerate() {
        let [lo, hi] = tap.inside;
        let mut from = first.wrapping_offset(tap.at);
        for _ in 0..rows.len() {
            // SAFETY: only lanes inside the row are read.
            let v = unsafe {
                match stride {
                    1 => V::load_range(from, lo, hi),
                    2 => V::load_range_by_two(from, lo, hi),
                    _ => V::load_range_by(from, stride, lo, hi),
                }
            };
            f(k, v);
            from = from.wrapping_add(width);
        }
    }
}

/// The sum of each window of a plane times a factor, `[rows][column]` by the rows that a window has inside the plane.
///
/// # Safety
/// The caller has the instructions.
#[inline(always)]
pub unsafe fn sums<V: Vector>(x: &[V::Elem], p: &Pool, lanes: &[Lanes], factors: &[V::Elem], out: &mut [V::Elem]) {
    let width = p.out_w();
    for (y, out) in out.chunks_exact_mut(width).enumerate() {
        let rows = p.rows(y);
        let factors = &factors[rows.len() * width..][..width];
        let vectors = out.chunks_mut(V::LANES).zip(factors.chunks(V::LANES));
        for ((out, factors), taps) in vectors.zip(lanes.chunks_exact(p.kw)) {
            // SAFETY: as many lanes are read and written as there are windows.
            unsafe {
                let mut sum = V::splat(V::Elem::ZERO);
                each::<V>(x, p.w, p.stride[1], &rows, taps, |_, v| sum = sum.add(v));
                let factors = V::load_range(factors.as_ptr(), 0, out.len());
                sum.mul(factors).store_first(out.as_mut_ptr(), out.len());
            }
        }
    }
}

/// Two vectors of columns of a plane.
struct Columns {
    /// The first of them, counted from the first that is there.
    first: isize,
    /// Of each vector, the lanes that lie inside.
    inside: [[usize; 2]; 2],
}

impl Columns {
    fn new(first: isize, width: usize, lanes: usize) -> Self {
        let reach =
            |column: isize, vector: usize| (column - (vector * lanes) as isize).clamp(0, lanes as isize) as usize;
        let of = |vector: usize| [reach(-first, vector), reach(width as isize - first, vector)];
        Self { first, inside: [of(0), of(1)] }
    }

    /// The largest values of `rows` rows of `x` in each column, 0 or what is larger where no column is, and the sums added to `sum`.
    ///
    /// # Safety
    /// The caller has the instructions, and the rows are there.
    #[inline(always)]
    unsafe fn largest<V: Vector>(&self, x: *const V::Elem, width: usize, rows: usize, sum: &mut V) -> [V; 2] {
        let [[lo, hi], [lo_after, hi_after]] = self.inside;
        let mut from = x.wrapping_offset(self.first);
        // SAFETY: only lanes inside the row are read.
        unsafe {
            let (mut low, mut high) = (V::splat(V::Elem::NEG_INFINITY), V::splat(V::Elem::NEG_INFINITY));
            for _ in 0..rows {
                let v = V::load_range(from, lo, hi);
                low = v.at_least(low);
                *sum = sum.add(v);
                let v = V::load_range(from.wrapping_add(V::LANES), lo_after, hi_after);
                high = v.at_least(high);
                *sum = sum.add(v);
                from = from.wrapping_add(width);
            }
            [low, high]
        }
    }
}

/// The largest value of each window of a plane, and whether they can be relied on: not if one of the values is no number. (Nor,
/// for it is their sum that tells, if one is infinite.) `outside` is minus infinity for lanes that [`Lanes`] leave out, else 0.
///
/// # Safety
/// The caller has the instructions.
#[inline(always)]
pub unsafe fn largest<V: Vector>(
    x: &[V::Elem],
    p: &Pool,
    lanes: &[Lanes],
    outside: &[V::Elem],
    out: &mut [V::Elem],
) -> bool {
    let (width, windows) = (p.out_w(), Lanes::windows(p, V::LANES));
    // SAFETY: the caller has the instructions.
    let mut all = unsafe { V::splat(V::Elem::ZERO) };
    let vectors = (0..width).step_by(windows).zip(lanes.chunks_exact(p.kw));
    for ((first, taps), outside) in vectors.zip(outside.chunks_exact(p.kw * V::LANES)) {
        let count = (width - first).min(windows);
        let columns = Columns::new(taps[0].at, p.w, V::LANES);
        for (y, out) in out.chunks_exact_mut(width).enumerate() {
            let rows = p.rows(y);
            // SAFETY: as many lanes are read and written as there are windows.
            unsafe {
                let outside = |tap: usize| V::load(outside[tap * V::LANES..].as_ptr());
                // Short chains of additions, so that windows do not wait for one another.
                let (mut most, mut sum) = (V::splat(V::Elem::NEG_INFINITY), V::splat(V::Elem::ZERO));
                if in_pairs(p) {
                    let from = x.as_ptr().wrapping_add(rows.start * p.w);
                    let [low, high] = columns.largest::<V>(from, p.w, rows.len(), &mut sum);
                    let even = low.by_two(high, false);
                    most = even.add(outside(0)).at_least(low.by_two(high, true).add(outside(1)));
                    if p.kw == 3 {
                        most = even.next().add(outside(2)).at_least(most);
                    }
                } else {
                    each::<V>(x, p.w, p.stride[1], &rows, taps, |tap, v| {
                        let v = v.add(outside(tap));
                        most = v.at_least(most);
                        sum = sum.add(v);
                    });
                }
                all = all.add(sum);
                most.store_first(out[first..].as_mut_ptr(), count);
            }
        }
    }
    const { assert!(V::LANES <= 16) };
    let mut sums = [V::Elem::ZERO; 16];
    // SAFETY: there is room for as many lanes.
    unsafe { all.store_first(sums.as_mut_ptr(), V::LANES) };
    !sums.iter().any(|v| v.is_nan())
}
