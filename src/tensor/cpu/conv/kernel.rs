//! The inner loops of convolution, compiled for each instruction set.
#![allow(unsafe_code)] // Intrinsics and raw pointers: bounds were settled when the plan was made.

use super::super::dispatch::Isa;
use super::super::real::Real;
use super::vector::{Plain, Vector};

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
    /// Where the block's first channel goes.
    pub out: *mut T,
    /// Elements from one output channel to the next.
    pub out_channel: usize,
    /// Output channels that count.
    pub channels: usize,
}

/// One shifted, zero-padded copy of a plane: row `r`, column `c` is the plane's
/// `(row + r * row_step, column + c * column_step)`, or 0 outside it.
#[derive(Debug, Clone)]
pub struct Shift {
    pub row: isize,
    pub row_step: usize,
    pub rows: usize,
    pub column: isize,
    pub column_step: usize,
    pub columns: usize,
    /// Where the copy of the first image starts; those of other images follow.
    pub to: usize,
}

/// The planes of one channel of some images, to be copied.
pub struct Planes<T> {
    pub from: *const T,
    /// Elements from one image to the next.
    pub image: usize,
    pub images: usize,
    pub height: usize,
    pub width: usize,
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
    /// Copies one channel's planes.
    pub shift: unsafe fn(&Planes<T>, &[Shift]),
    /// Channels of `x` that `outer` takes for runs of 1, 2 and 3 neighbouring taps.
    pub outer_channels: [usize; 3],
    /// Adds to the accumulators of one tile: run length, vectors across `g` (1 or 2).
    pub outer: unsafe fn(&Outer<T>, usize, usize),
    /// `(from, stride, rows, columns, to, pitch)`: see [`Vector::transpose`]; any number of columns.
    pub transpose: unsafe fn(*const T, usize, usize, usize, *mut T, usize),
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
        for (m, row) in acc.iter_mut().enumerate() {
            *row = [V::splat(*b.bias.add(m)); N];
        }
        let mut from = [b.x; N];
        for (from, span) in from.iter_mut().zip(spans) {
            *from = b.x.add(span.input);
        }
        let mut w = b.weights;
        let mut channel = 0;
        for _ in 0..b.ci {
            for t in 0..b.n_taps {
                let offset = channel + *b.taps.add(t);
                if N <= M {
                    let mut x = [acc[0][0]; N];
                    for (x, from) in x.iter_mut().zip(&from) {
                        *x = V::load(from.add(offset));
                    }
                    for (m, row) in acc.iter_mut().enumerate() {
                        let w = V::splat(*w.add(m));
                        for (sum, x) in row.iter_mut().zip(&x) {
                            *sum = x.mul_add(w, *sum);
                        }
                    }
                } else {
                    let mut ws = [acc[0][0]; M];
                    for (m, v) in ws.iter_mut().enumerate() {
                        *v = V::splat(*w.add(m));
                    }
                    for n in 0..N {
                        let x = V::load(from[n].add(offset));
                        for m in 0..M {
                            acc[m][n] = x.mul_add(ws[m], acc[m][n]);
                        }
                    }
                }
                w = w.add(M);
            }
            channel += b.channel;
        }
        for (m, row) in acc.iter().enumerate() {
            if m < b.channels {
                let out = b.out.add(m * b.out_channel);
                for (sum, span) in row.iter().zip(spans) {
                    if span.lanes == V::LANES {
                        sum.store(out.add(span.output));
                    } else {
                        sum.store_first(out.add(span.output), span.lanes);
                    }
                }
            }
        }
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

#[inline(always)]
unsafe fn shift<V: Vector>(planes: &Planes<V::Elem>, shifts: &[Shift]) {
    for s in shifts {
        // SAFETY: the caller's contract.
        unsafe {
            match s.column_step {
                1 => shift_rows::<V>(planes, s, |from, lo, hi| V::load_range(from, lo, hi)),
                2 => shift_rows::<V>(planes, s, |from, lo, hi| V::load_range_by_two(from, lo, hi)),
                step => shift_rows::<V>(planes, s, |from, lo, hi| V::load_range_by(from, step, lo, hi)),
            }
        }
    }
}

/// One copy of some planes, by a function that loads the lanes of a vector that lie inside.
#[inline(always)]
unsafe fn shift_rows<V: Vector>(planes: &Planes<V::Elem>, s: &Shift, load: impl Fn(*const V::Elem, usize, usize) -> V) {
    let (height, width) = (planes.height as isize, planes.width as isize);
    let (step, columns) = (s.column_step as isize, s.columns as isize);
    // Columns `lo..hi` lie inside the plane, and so do rows `top..bottom`.
    let ceil = |n: isize, d: usize| if n <= 0 { 0 } else { (n as usize).div_ceil(d) as isize };
    let lo = ceil(-s.column, s.column_step).min(columns);
    let hi = ceil(width - s.column, s.column_step).clamp(lo, columns);
    let rows = s.rows as isize;
    let top = ceil(-s.row, s.row_step).min(rows);
    let bottom = ceil(height - s.row, s.row_step).clamp(top, rows);
    // SAFETY: the caller has the instructions.
    let zero = unsafe { V::splat(V::Elem::ZERO) };
    let image_len = rows * columns;
    let lanes = V::LANES as isize;
    for image in 0..planes.images {
        let to = planes.to.wrapping_add(s.to).wrapping_offset(image as isize * image_len);
        let plane = planes.from.wrapping_add(image * planes.image);
        let fill = |from: isize, end: isize| {
            let mut at = from;
            while at < end {
                // SAFETY: inside the copy, or less than a vector past it.
                unsafe { zero.store(to.wrapping_offset(at)) };
                at += lanes;
            }
        };
        fill(0, top * columns);
        let row_step = s.row_step as isize * width;
        let first = plane.wrapping_offset((s.row + top * s.row_step as isize) * width + s.column);
        // A column of vectors at a time, so that its mask is made once; the last one first, for it spills onto
        // the heads of rows.
        let mut c = (columns - 1) / lanes * lanes;
        while c >= 0 {
            let (lo, hi) = ((lo - c).clamp(0, lanes) as usize, (hi - c).clamp(0, lanes) as usize);
            let mut from = first.wrapping_offset(c * step);
            let mut out = to.wrapping_offset(top * columns + c);
            for _ in top..bottom {
                // SAFETY: as above; the lanes that `load` reads lie inside the plane.
                unsafe { load(from, lo, hi).store(out) };
                from = from.wrapping_offset(row_step);
                out = out.wrapping_offset(columns);
            }
            c -= lanes;
        }
        fill(bottom * columns, image_len);
    }
}

/// `C` channels of `x` by `J` neighbouring taps by `N` vectors across `g`.
#[inline(always)]
unsafe fn outer_tile<V: Vector, const C: usize, const J: usize, const N: usize>(o: &Outer<V::Elem>) {
    // SAFETY: the caller gives accumulators `[C][J][N * LANES]`, and `x` and `g` for every pixel.
    unsafe {
        let mut acc = [[[V::splat(V::Elem::ZERO); N]; J]; C];
        // Constant bounds throughout: an accumulator whose index is not known at compile time lives in memory.
        for c in 0..C {
            for j in 0..J {
                for n in 0..N {
                    acc[c][j][n] = V::load(o.acc.add(((c * J + j) * N + n) * V::LANES));
                }
            }
        }
        let mut g = o.g;
        for image in 0..o.images {
            for row in 0..o.rows {
                let mut x = o.x.add(image * o.image + row * o.row);
                for _ in 0..o.columns {
                    let mut gv = [acc[0][0][0]; N];
                    for (n, v) in gv.iter_mut().enumerate() {
                        *v = V::load(g.add(n * V::LANES));
                    }
                    for (c, acc) in acc.iter_mut().enumerate() {
                        for (j, acc) in acc.iter_mut().enumerate() {
                            let x = V::splat(*x.add(c * o.channel + j));
                            for (sum, g) in acc.iter_mut().zip(&gv) {
                                *sum = g.mul_add(x, *sum);
                            }
                        }
                    }
                    x = x.add(1);
                    g = g.add(N * V::LANES);
                }
            }
        }
        for c in 0..C {
            for j in 0..J {
                for n in 0..N {
                    acc[c][j][n].store(o.acc.add(((c * J + j) * N + n) * V::LANES));
                }
            }
        }
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
    let mut c = 0;
    while c < columns {
        let block = (columns - c).min(V::LANES);
        // SAFETY: the caller's contract, block by block.
        unsafe { V::transpose(from.add(c), stride, rows, block, to.add(c * pitch), pitch) };
        c += block;
    }
}

macro_rules! kernels {
    (
        $name:ident, $elem:ty, $vector:ty, features: [$($feature:literal)?],
        block: $wide:literal / $narrow:literal, outer: [$one:literal, $two:literal, $three:literal]
    ) => {
        mod $name {
            use super::*;

            $(#[target_feature(enable = $feature)])?
            unsafe fn correlate(block: &Block<$elem>, spans: &[Span], narrow: bool) {
                // SAFETY: the same contract.
                unsafe { super::correlate::<$vector, $wide, $narrow>(block, spans, narrow) }
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

            pub static KERNELS: Kernels<$elem> = Kernels {
                lanes: <$vector as Vector>::LANES,
                block: $wide,
                correlate,
                shift,
                outer_channels: [$one, $two, $three],
                outer,
                transpose,
            };
        }
    };
}

// 8 x 3 sums of 32 registers leave room for 3 inputs and a weight; 4 x 3 of 16 likewise.
#[cfg(target_arch = "x86_64")]
kernels!(avx512_f32, f32, std::arch::x86_64::__m512, features: ["avx512f,avx512vl,avx512dq,avx512bw,avx2,fma"],
    block: 8 / 4, outer: [12, 6, 4]);
#[cfg(target_arch = "x86_64")]
kernels!(avx2_f32, f32, std::arch::x86_64::__m256, features: ["avx2,fma"], block: 4 / 2, outer: [6, 3, 2]);
kernels!(portable_f32, f32, Plain<f32, 4>, features: [], block: 4 / 2, outer: [6, 3, 2]);
#[cfg(target_arch = "x86_64")]
kernels!(avx2_f64, f64, Plain<f64, 4>, features: ["avx2,fma"], block: 4 / 2, outer: [6, 3, 2]);
kernels!(portable_f64, f64, Plain<f64, 2>, features: [], block: 4 / 2, outer: [6, 3, 2]);

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
