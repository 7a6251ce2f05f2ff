//! The inner loops of convolution, compiled for each instruction set.
#![allow(unsafe_code)] // Intrinsics and raw pointers: bounds were settled when the plan was made.

use std::ops::Range;

use super::super::dispatch::Isa;
use super::super::pool::Pool;
use super::super::real::Real;
use super::product::{Gather, Product, gather, product};
use super::vector::{Plain, Vector};
use super::windows::{self, Lanes};

/// A vector of outputs: where its inputs start, where it goes, and how many lanes count.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub input: usize,
    pub output: usize,
    pub lanes: usize,
}

/// A block of output channels to be correlated over some spans.
pub struct Block<T> {
    /// The packed input: channel `c`, tap `t` of the output at span offset `o` is `x[c * channel + taps[t] + o]`.
    pub x: *const T,
    /// Input channels.
    pub ci: usize,
    /// Elements from one input channel to the next.
    pub channel: usize,
    /// Offset of each tap.
    pub taps: *const usize,
    pub n_taps: usize,
    /// Packed weights, `[ci][tap][block]`.
    pub weights: *const T,
    /// One value per channel of the block.
    pub bias: *const T,
    /// Smaller results become this.
    pub least: T,
    /// Where the block's first channel goes.
    pub out: *mut T,
    /// Elements from one output channel to the next.
    pub out_channel: usize,
    /// Output channels that count.
    pub channels: usize,
}

/// Neighbouring pixels of a row: where the input of the first starts, and which pixel of the line of outputs it is.
#[derive(Debug, Clone, Copy)]
pub struct Segment {
    pub input: usize,
    pub pixel: usize,
    /// Pixels that count.
    pub count: usize,
}

/// A block of output channels, side by side in vectors, to be correlated over some segments.
pub struct Wide<T> {
    /// The packed input: channel `c`, tap `t` of the `k`th pixel of the segment at `o` is
    /// `x[c * channel + taps[t] + o + k]`.
    pub x: *const T,
    /// Input channels.
    pub ci: usize,
    /// Elements from one input channel to the next.
    pub channel: usize,
    /// Offset of each tap.
    pub taps: *const usize,
    pub n_taps: usize,
    /// Packed weights, `[ci][tap][block]`.
    pub weights: *const T,
    /// One value per channel of the block, or null to add to what `line` holds.
    pub bias: *const T,
    /// Smaller results become this.
    pub least: T,
    /// `[pixel][block]`.
    pub line: *mut T,
}

/// Shifted, zero-padded copies of a channel's planes: row `r`, column `c` is the plane's
/// `(row + r * row_step, column + c * column_step)`, or 0 outside it.
#[derive(Debug, Clone)]
pub struct Shift {
    /// Where the copy of the first image starts; those of other images follow.
    to: usize,
    rows: usize,
    columns: usize,
    /// Rows and columns of the copy that lie inside the plane.
    inside: [Range<usize>; 2],
    /// Where the plane's `(row, column)` lies, counted from its start, which it may precede.
    first: isize,
    row_step: usize,
    column_step: usize,
}

impl Shift {
    /// A copy of `size` rows and columns of a plane of `plane` rows and columns, to `to`. The first stands at `first`
    /// in the plane, and `step` rows and columns lie between neighbours.
    pub fn new(plane: [usize; 2], size: [usize; 2], first: [isize; 2], step: [usize; 2], to: usize) -> Self {
        let inside = [0, 1].map(|axis| {
            let reach = |end: isize| ((end - first[axis]).max(0) as usize).div_ceil(step[axis]).min(size[axis]);
            reach(0)..reach(plane[axis] as isize)
        });
        Self {
            to,
            rows: size[0],
            columns: size[1],
            inside,
            first: first[0] * plane[1] as isize + first[1],
            row_step: step[0] * plane[1],
            column_step: step[1],
        }
    }
}

/// The planes of one channel of some images, to be copied.
pub struct Planes<T> {
    pub from: *const T,
    /// Elements from one image to the next.
    pub image: usize,
    pub images: usize,
    pub to: *mut T,
}

/// A part of a weight gradient: `acc[c][j][v] += x[c][.. + j] * g[..][v]` over the pixels of some images.
pub struct Outer<T> {
    pub x: *const T,
    /// Elements of `x` from one channel to the next, one image to the next, one row to the next.
    pub channel: usize,
    pub image: usize,
    pub row: usize,
    pub images: usize,
    pub rows: usize,
    pub columns: usize,
    /// Gradients, `[image][row][column][width]`.
    pub g: *const T,
    pub acc: *mut T,
}

/// The inner loops for one float type and one instruction set.
///
/// Each needs the instruction set it was looked up for, and pointers that are good for what its argument describes.
/// Vector stores may spill up to `lanes` elements past a row or a copy, onto what is written next.
pub struct Kernels<T> {
    /// Floats in a vector.
    pub lanes: usize,
    /// Output channels in a block; a last block of at most half as many is packed half as wide.
    pub block: usize,
    /// Correlates one block; the flag says that it is packed half as wide.
    pub correlate: unsafe fn(&Block<T>, &[Span], bool),
    /// Pixels in a segment, longest first: a width that one of them divides wastes none.
    pub segments: [usize; 2],
    /// Correlates a block of 1 or 2 vectors of channels over segments of the given length.
    pub wide: unsafe fn(&Wide<T>, &[Segment], usize, usize),
    /// The most rows of a product.
    pub rows: usize,
    /// Products: rows (1 to `rows`), vectors across `b` (1 or 2).
    pub product: unsafe fn(&Product<T>, usize, usize),
    /// Brings values side by side.
    pub gather: unsafe fn(&Gather<T>),
    /// Copies one channel's planes.
    pub shift: unsafe fn(&Planes<T>, &[Shift]),
    /// Channels of `x` that `outer` takes for runs of 1, 2 and 3 neighbouring taps.
    pub outer_channels: [usize; 3],
    /// Adds to the accumulators of one tile: run length, vectors across `g` (1 or 2).
    pub outer: unsafe fn(&Outer<T>, usize, usize),
    /// `(from, stride, rows, columns, to, pitch)`: `from[r * stride + c]` goes to `to[c * pitch + r]`, for at most
    /// `lanes` rows and any number of columns; of each of these, elements from `rows` to `lanes` become 0.
    pub transpose: unsafe fn(*const T, usize, usize, usize, *mut T, usize),
    /// The same for any number of rows and at most `lanes` columns, and nothing else is written.
    pub transpose_back: unsafe fn(*const T, usize, usize, usize, *mut T, usize),
    /// The sum of each window of a plane times a factor, `[rows][column]` by the rows that a window has inside the plane.
    pub sums: unsafe fn(&[T], &Pool, &[Lanes], &[T], &mut [T]),
    /// The largest value of each window of a plane, and whether they can be relied on: not if one of the values is no number.
    pub largest: unsafe fn(&[T], &Pool, &[Lanes], &[T], &mut [T]) -> bool,
}

/// A float with inner loops of its own.
pub trait Kernel: Sized + 'static {
    /// The inner loops for an instruction set that this machine has.
    fn kernels(isa: Isa) -> &'static Kernels<Self>;
}

/// `M` output channels by `N` vectors.
#[inline(always)]
unsafe fn tile<V: Vector, const M: usize, const N: usize>(b: &Block<V::Elem>, spans: &[Span]) {
    // SAFETY: the caller gives `N` spans, weights `M` wide and an input that holds every tap of every span.
    unsafe {
        let mut acc = [[V::splat(V::Elem::ZERO); N]; M];
        unrolled!(m in 0..M of 8 {
            acc[m] = [V::splat(*b.bias.add(m)); N];
        });
        let mut from = [b.x; N];
        unrolled!(n in 0..N of 8 {
            from[n] = b.x.add(spans.get_unchecked(n).input);
        });
        let mut w = b.weights;
        let mut channel = 0;
        for _ in 0..b.ci {
            for t in 0..b.n_taps {
                let offset = channel + *b.taps.add(t);
                if N <= M {
                    let mut x = [acc[0][0]; N];
                    unrolled!(n in 0..N of 8 {
                        x[n] = V::load(from[n].add(offset));
                    });
                    unrolled!(m in 0..M of 8 {
                        let w = V::splat(*w.add(m));
                        unrolled!(n in 0..N of 8 {
                            acc[m][n] = x[n].mul_add(w, acc[m][n]);
                        });
                    });
                } else {
                    let mut factors = [acc[0][0]; M];
                    unrolled!(m in 0..M of 8 {
                        factors[m] = V::splat(*w.add(m));
                    });
                    unrolled!(n in 0..N of 8 {
                        let x = V::load(from[n].add(offset));
                        unrolled!(m in 0..M of 8 {
                            acc[m][n] = x.mul_add(factors[m], acc[m][n]);
                        });
                    });
                }
                w = w.add(M);
            }
            channel += b.channel;
        }
        let least = V::splat(b.least);
        unrolled!(m in 0..M of 8 {
            if m < b.channels {
                let out = b.out.add(m * b.out_channel);
                unrolled!(n in 0..N of 8 {
                    let span = spans.get_unchecked(n);
                    let result = acc[m][n].at_least(least);
                    if span.lanes == V::LANES {
                        result.store(out.add(span.output));
                    } else {
                        result.store_first(out.add(span.output), span.lanes);
                    }
                });
            }
        });
    }
}

/// All spans of a block, as many at a time as fill the registers.
#[inline(always)]
unsafe fn correlate<V: Vector, const WIDE: usize, const NARROW: usize>(
    b: &Block<V::Elem>,
    mut spans: &[Span],
    narrow: bool,
) {
    // SAFETY: the caller's contract is `tile`'s.
    unsafe {
        while !spans.is_empty() {
            // A single span last is slow, for its sums wait for one another: 4 = 2 + 2, 7 = 4 + 3.
            let taken = match (narrow, spans.len()) {
                (false, 1) => {
                    tile::<V, WIDE, 1>(b, spans);
                    1
                }
                (false, 2 | 4) => {
                    tile::<V, WIDE, 2>(b, spans);
                    2
                }
                (false, _) => {
                    tile::<V, WIDE, 3>(b, spans);
                    3
                }
                (true, 1) => {
                    tile::<V, NARROW, 1>(b, spans);
                    1
                }
                (true, 2) => {
                    tile::<V, NARROW, 2>(b, spans);
                    2
                }
                (true, 3 | 6 | 9) => {
                    tile::<V, NARROW, 3>(b, spans);
                    3
                }
                (true, 4 | 5 | 7 | 8) => {
                    tile::<V, NARROW, 4>(b, spans);
                    4
                }
                (true, _) => {
                    tile::<V, NARROW, 6>(b, spans);
                    6
                }
            };
            spans = &spans[taken..];
        }
    }
}

/// `S` segments of `K` pixels by `N` vectors of channels.
#[inline(always)]
unsafe fn wide_tile<V: Vector, const K: usize, const S: usize, const N: usize>(
    b: &Wide<V::Elem>,
    segments: &[Segment],
) {
    // SAFETY: the caller gives `S` segments, weights of `N` vectors and an input that holds every tap of every pixel.
    unsafe {
        let mut acc = [[[V::splat(V::Elem::ZERO); N]; K]; S];
        let mut from = [b.x; S];
        let mut line = [b.line; S];
        unrolled!(s in 0..S of 4 {
            let segment = segments.get_unchecked(s);
            from[s] = b.x.add(segment.input);
            line[s] = b.line.add(segment.pixel * N * V::LANES);
            unrolled!(k in 0..K of 8 {
                unrolled!(n in 0..N of 2 {
                    if !b.bias.is_null() {
                        acc[s][k][n] = V::load(b.bias.add(n * V::LANES));
                    } else if k < segment.count {
                        acc[s][k][n] = V::load(line[s].add((k * N + n) * V::LANES));
                    }
                });
            });
        });
        let mut w = b.weights;
        let mut channel = 0;
        for _ in 0..b.ci {
            for t in 0..b.n_taps {
                let offset = channel + *b.taps.add(t);
                let mut factors = [acc[0][0][0]; N];
                unrolled!(n in 0..N of 2 {
                    factors[n] = V::load(w.add(n * V::LANES));
                });
                unrolled!(s in 0..S of 4 {
                    let x = from[s].add(offset);
                    unrolled!(k in 0..K of 8 {
                        let x = V::splat(*x.add(k));
                        unrolled!(n in 0..N of 2 {
                            acc[s][k][n] = factors[n].mul_add(x, acc[s][k][n]);
                        });
                    });
                });
                w = w.add(N * V::LANES);
            }
            channel += b.channel;
        }
        let least = V::splat(b.least);
        unrolled!(s in 0..S of 4 {
            let count = segments.get_unchecked(s).count;
            unrolled!(k in 0..K of 8 {
                if k < count {
                    unrolled!(n in 0..N of 2 {
                        acc[s][k][n].at_least(least).store(line[s].add((k * N + n) * V::LANES));
                    });
                }
            });
        });
    }
}

/// All segments of a block, as many at a time as fill the registers.
#[inline(always)]
unsafe fn wide<V: Vector, const K: usize, const S: usize, const N: usize>(b: &Wide<V::Elem>, mut segments: &[Segment]) {
    // SAFETY: the caller's contract is `wide_tile`'s.
    unsafe {
        while segments.len() >= S {
            wide_tile::<V, K, S, N>(b, segments);
            segments = &segments[S..];
        }
        match segments.len() {
            0 => {}
            1 => wide_tile::<V, K, 1, N>(b, segments),
            _ => wide_tile::<V, K, 2, N>(b, segments),
        }
    }
}

#[inline(always)]
unsafe fn shift<V: Vector>(planes: &Planes<V::Elem>, shifts: &[Shift]) {
    for s in shifts {
        // SAFETY: the caller's contract.
        unsafe {
            match s.column_step {
                1 => shift_rows::<V, 1>(planes, s),
                2 => shift_rows::<V, 2>(planes, s),
                _ => shift_rows::<V, 0>(planes, s),
            }
        }
    }
}

/// The lanes `lo..hi` of a vector of every `STEP`-th value, or every `step`-th if `STEP` is 0.
#[inline(always)]
unsafe fn load_by<V: Vector, const STEP: usize>(from: *const V::Elem, step: usize, lo: usize, hi: usize) -> V {
    // SAFETY: the same contract.
    unsafe {
        match STEP {
            1 => V::load_range(from, lo, hi),
            2 => V::load_range_by_two(from, lo, hi),
            _ => V::load_range_by(from, step, lo, hi),
        }
    }
}

/// One copy of some planes, whose columns are `STEP` apart, or as the shift says if it is 0. (A number, not a closure that loads:
/// intrinsics are only inlined into what is itself always inlined.)
#[inline(always)]
unsafe fn shift_rows<V: Vector, const STEP: usize>(planes: &Planes<V::Elem>, s: &Shift) {
    // SAFETY: the caller has the instructions.
    let zero = unsafe { V::splat(V::Elem::ZERO) };
    let [rows, columns] = &s.inside;
    // Lanes `lo..hi` of the vector at column `c` lie inside.
    let lanes = |c: usize| (columns.start.saturating_sub(c).min(V::LANES), columns.end.saturating_sub(c).min(V::LANES));
    for image in 0..planes.images {
        let to = planes.to.wrapping_add(s.to + image * s.rows * s.columns);
        let fill = |from: usize, end: usize| {
            for at in (from..end).step_by(V::LANES) {
                // SAFETY: inside the copy, or less than a vector past it.
                unsafe { zero.store(to.wrapping_add(at)) };
            }
        };
        fill(0, rows.start * s.columns);
        let plane = planes.from.wrapping_add(image * planes.image).wrapping_offset(s.first);
        let mut from = plane.wrapping_add(rows.start * s.row_step);
        let mut out = to.wrapping_add(rows.start * s.columns);
        // Rows of one or two vectors, whose masks are then made once, are those of small images, which have many.
        // SAFETY: vectors are stored inside the copy or less than a vector past it, in order of rows, so that what
        // spills past a row is overwritten; `load_by` reads lanes inside the plane.
        unsafe {
            if s.columns <= V::LANES {
                let (lo, hi) = lanes(0);
                for _ in rows.clone() {
                    load_by::<V, STEP>(from, s.column_step, lo, hi).store(out);
                    from = from.wrapping_add(s.row_step);
                    out = out.wrapping_add(s.columns);
                }
            } else if s.columns <= 2 * V::LANES {
                let ((lo, hi), (next_lo, next_hi)) = (lanes(0), lanes(V::LANES));
                for _ in rows.clone() {
                    let next = load_by::<V, STEP>(
                        from.wrapping_add(V::LANES * s.column_step),
                        s.column_step,
                        next_lo,
                        next_hi,
                    );
                    load_by::<V, STEP>(from, s.column_step, lo, hi).store(out);
                    next.store(out.wrapping_add(V::LANES));
                    from = from.wrapping_add(s.row_step);
                    out = out.wrapping_add(s.columns);
                }
            } else {
                for _ in rows.clone() {
                    for c in (0..s.columns).step_by(V::LANES) {
                        let (lo, hi) = lanes(c);
                        load_by::<V, STEP>(from.wrapping_add(c * s.column_step), s.column_step, lo, hi)
                            .store(out.wrapping_add(c));
                    }
                    from = from.wrapping_add(s.row_step);
                    out = out.wrapping_add(s.columns);
                }
            }
        }
        fill(rows.end * s.columns, s.rows * s.columns);
    }
}

/// `C` channels of `x` by `J` neighbouring taps by `N` vectors across `g`.
#[inline(always)]
unsafe fn outer_tile<V: Vector, const C: usize, const J: usize, const N: usize>(o: &Outer<V::Elem>) {
    // SAFETY: the caller gives accumulators `[C][J][N * LANES]`, and `x` and `g` for every pixel.
    unsafe {
        let mut acc = [[[V::splat(V::Elem::ZERO); N]; J]; C];
        unrolled!(c in 0..C of 12 {
            unrolled!(j in 0..J of 4 {
                unrolled!(n in 0..N of 2 {
                    acc[c][j][n] = V::load(o.acc.add(((c * J + j) * N + n) * V::LANES));
                });
            });
        });
        let mut g = o.g;
        for image in 0..o.images {
            for row in 0..o.rows {
                let mut x = o.x.add(image * o.image + row * o.row);
                for _ in 0..o.columns {
                    let mut factors = [acc[0][0][0]; N];
                    unrolled!(n in 0..N of 2 {
                        factors[n] = V::load(g.add(n * V::LANES));
                    });
                    unrolled!(c in 0..C of 12 {
                        unrolled!(j in 0..J of 4 {
                            let x = V::splat(*x.add(c * o.channel + j));
                            unrolled!(n in 0..N of 2 {
                                acc[c][j][n] = factors[n].mul_add(x, acc[c][j][n]);
                            });
                        });
                    });
                    x = x.add(1);
                    g = g.add(N * V::LANES);
                }
            }
        }
        unrolled!(c in 0..C of 12 {
            unrolled!(j in 0..J of 4 {
                unrolled!(n in 0..N of 2 {
                    acc[c][j][n].store(o.acc.add(((c * J + j) * N + n) * V::LANES));
                });
            });
        });
    }
}

#[inline(always)]
unsafe fn transpose<V: Vector>(
    from: *const V::Elem,
    stride: usize,
    rows: usize,
    columns: usize,
    to: *mut V::Elem,
    pitch: usize,
) {
    for c in (0..columns).step_by(V::LANES) {
        let block = (columns - c).min(V::LANES);
        // SAFETY: the caller's contract, block by block.
        unsafe { V::transpose(from.add(c), stride, rows, block, to.add(c * pitch), pitch, false) };
    }
}

#[inline(always)]
unsafe fn transpose_back<V: Vector>(
    from: *const V::Elem,
    stride: usize,
    rows: usize,
    columns: usize,
    to: *mut V::Elem,
    pitch: usize,
) {
    for r in (0..rows).step_by(V::LANES) {
        let block = (rows - r).min(V::LANES);
        // SAFETY: the caller's contract, block by block.
        unsafe { V::transpose(from.add(r * stride), stride, block, columns, to.add(r), pitch, true) };
    }
}

macro_rules! kernels {
    (
        $name:ident, $elem:ty, $vector:ty, features: [$($feature:literal)?],
        block: $wide:literal / $narrow:literal,
        segments: [$long:literal x $longs:literal, $short:literal x $shorts:literal], outer: [$one:literal, $two:literal, $three:literal],
        rows: [$($rows:literal)*], most: $most:literal
    ) => {
        mod $name {
            use super::*;

            $(#[target_feature(enable = $feature)])?
            unsafe fn correlate(block: &Block<$elem>, spans: &[Span], narrow: bool) {
                // SAFETY: the same contract.
                unsafe { super::correlate::<$vector, $wide, $narrow>(block, spans, narrow) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn wide(block: &Wide<$elem>, segments: &[Segment], length: usize, vectors: usize) {
                // SAFETY: the same contract.
                unsafe {
                    match (length == $long, vectors) {
                        (true, 1) => super::wide::<$vector, $long, $longs, 1>(block, segments),
                        (true, _) => super::wide::<$vector, $long, $longs, 2>(block, segments),
                        (false, 1) => super::wide::<$vector, $short, $shorts, 1>(block, segments),
                        (false, _) => super::wide::<$vector, $short, $shorts, 2>(block, segments),
                    }
                }
            }

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
            unsafe fn gather(g: &Gather<$elem>) {
                // SAFETY: the same contract.
                unsafe { super::gather::<$vector>(g) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn shift(planes: &Planes<$elem>, shifts: &[Shift]) {
                // SAFETY: the same contract.
                unsafe { super::shift::<$vector>(planes, shifts) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn outer(o: &Outer<$elem>, run: usize, vectors: usize) {
                // SAFETY: the same contract.
                unsafe {
                    match (run, vectors) {
                        (1, 1) => outer_tile::<$vector, $one, 1, 1>(o),
                        (2, 1) => outer_tile::<$vector, $two, 2, 1>(o),
                        (_, 1) => outer_tile::<$vector, $three, 3, 1>(o),
                        (1, _) => outer_tile::<$vector, $one, 1, 2>(o),
                        (2, _) => outer_tile::<$vector, $two, 2, 2>(o),
                        _ => outer_tile::<$vector, $three, 3, 2>(o),
                    }
                }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn transpose(
                from: *const $elem,
                stride: usize,
                rows: usize,
                columns: usize,
                to: *mut $elem,
                pitch: usize,
            ) {
                // SAFETY: the same contract.
                unsafe { super::transpose::<$vector>(from, stride, rows, columns, to, pitch) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn transpose_back(
                from: *const $elem,
                stride: usize,
                rows: usize,
                columns: usize,
                to: *mut $elem,
                pitch: usize,
            ) {
                // SAFETY: the same contract.
                unsafe { super::transpose_back::<$vector>(from, stride, rows, columns, to, pitch) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn sums(x: &[$elem], pool: &Pool, lanes: &[Lanes], factors: &[$elem], out: &mut [$elem]) {
                // SAFETY: the same contract.
                unsafe { windows::sums::<$vector>(x, pool, lanes, factors, out) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn largest(
                x: &[$elem],
                pool: &Pool,
                lanes: &[Lanes],
                outside: &[$elem],
                out: &mut [$elem],
            ) -> bool {
                // SAFETY: the same contract.
                unsafe { windows::largest::<$vector>(x, pool, lanes, outside, out) }
            }

            pub static KERNELS: Kernels<$elem> = Kernels {
                lanes: <$vector as Vector>::LANES,
                block: $wide,
                correlate,
                segments: [$long, $short],
                wide,
                rows: $most,
                product,
                gather,
                shift,
                outer_channels: [$one, $two, $three],
                outer,
                transpose,
                transpose_back,
                sums,
                largest,
            };
        }
    };
}

// 8 x 3 sums of 32 registers leave room for 3 inputs and a weight; 4 x 3 of 16 likewise. Two vectors of channels by
// 14 or 12 pixels leave room for two weights and an input; 6 pixels of 16 registers likewise.
#[cfg(target_arch = "x86_64")]
kernels!(avx512_f32, f32, std::arch::x86_64::__m512, features: ["avx512f,avx512vl,avx512dq,avx512bw,avx2,fma"],
    block: 8 / 4, segments: [7 x 2, 4 x 3], outer: [12, 6, 4],
    rows: [1 2 3 4 5 6 7 8 9 10 11 12 13], most: 14);
#[cfg(target_arch = "x86_64")]
kernels!(avx2_f32, f32, std::arch::x86_64::__m256, features: ["avx2,fma"], block: 4 / 2, segments: [3 x 2, 2 x 3], outer: [6, 3, 2],
    rows: [1 2 3 4 5], most: 6);
kernels!(portable_f32, f32, Plain<f32, 4>, features: [], block: 4 / 2, segments: [3 x 2, 2 x 3], outer: [6, 3, 2],
    rows: [1 2 3 4 5], most: 6);
#[cfg(target_arch = "x86_64")]
kernels!(avx2_f64, f64, Plain<f64, 4>, features: ["avx2,fma"], block: 4 / 2, segments: [3 x 2, 2 x 3], outer: [6, 3, 2],
    rows: [1 2 3 4 5], most: 6);
kernels!(portable_f64, f64, Plain<f64, 2>, features: [], block: 4 / 2, segments: [3 x 2, 2 x 3], outer: [6, 3, 2],
    rows: [1 2 3 4 5], most: 6);

impl Kernel for f32 {
    fn kernels(isa: Isa) -> &'static Kernels<f32> {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => &avx512_f32::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => &avx2_f32::KERNELS,
            _ => &portable_f32::KERNELS,
        }
    }
}

impl Kernel for f64 {
    fn kernels(isa: Isa) -> &'static Kernels<f64> {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Avx2 => &avx2_f64::KERNELS,
            _ => &portable_f64::KERNELS,
        }
    }
}
