//! Convolution over `[n, c, h, w]`, and its two gradients: each is the gradient of the other two.
//!
//! [`correlation`] serves a forward pass of any stride, and the gradient of the input, which is also the forward pass
//! of a transposed convolution: with vectors along [`channels`], or, where there are few, along [`pixels`]. [`pointwise`]
//! serves both for kernels of a single pixel. [`weight`] takes the gradient of the weights. None of them makes a matrix of
//! patches. Where [`winograd`] takes fewer products, it does the work of all three.
//!
//! [`kernel`] holds their inner loops, compiled for each instruction set from one text.

/// A loop over `0..END`, for an `END` known at compile time, written out: `of` names a number that `END` does not pass,
/// and is small, for loops nest and the compiler sees every turn. Accumulators must be indexed by constants to live in
/// registers; a loop leaves that to the optimiser, which is not always so kind.
macro_rules! unrolled {
    ($i:ident in 0..$end:tt of 2 $body:block) => { unrolled!($i, $end, 2, $body, 0, 1) };
    ($i:ident in 0..$end:tt of 4 $body:block) => { unrolled!($i, $end, 4, $body, 0, 1, 2, 3) };
    ($i:ident in 0..$end:tt of 8 $body:block) => { unrolled!($i, $end, 8, $body, 0, 1, 2, 3, 4, 5, 6, 7) };
    ($i:ident in 0..$end:tt of 12 $body:block) => {
        unrolled!($i, $end, 12, $body, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
    };
    ($i:ident in 0..$end:tt of 16 $body:block) => {
        unrolled!($i, $end, 16, $body, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    };
    ($i:ident, $end:tt, $most:literal, $body:block, $($k:literal),*) => {
        const { assert!($end <= $most) };
        $(if $end > $k {
            let $i = $k;
            $body
        })*
    };
}
mod channels;
mod correlation;
mod kernel;
mod pixels;
mod place;
mod pointwise;
mod product;
mod vector;
mod weight;
mod windows;
mod winograd;

#[cfg(test)]
mod tests;

use correlation::{Blocks, Correlation, Pass, pack};
pub use kernel::{Kernel, Kernels};
use place::{Place, made};
pub use product::Product;
pub use windows::Lanes;
use winograd::Sought;
pub use winograd::Winograd;

use super::buffer::Aligned;
use super::dispatch::Isa;
use super::real::Real;

/// The shape of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv {
    /// Images.
    pub n: usize,
    /// Input channels.
    pub ci: usize,
    /// Input height.
    pub h: usize,
    /// Input width.
    pub w: usize,
    /// Output channels.
    pub co: usize,
    /// Kernel height.
    pub kh: usize,
    /// Kernel width.
    pub kw: usize,
    /// Rows and columns from one output to the next.
    pub stride: [usize; 2],
    /// Zeros above, below, left and right.
    pub pad: [usize; 4],
}

impl Conv {
    /// Output height. The kernel must fit the padded input.
    pub fn out_h(&self) -> usize {
        (self.h + self.pad[0] + self.pad[1] - self.kh) / self.stride[0] + 1
    }

    /// Output width. The kernel must fit the padded input.
    pub fn out_w(&self) -> usize {
        (self.w + self.pad[2] + self.pad[3] - self.kw) / self.stride[1] + 1
    }
}

/// A convolution beside others of the same images, whose outputs have the same size.
pub struct Part<'a, T> {
    /// `[n, ci, h, w]`.
    pub x: &'a [T],
    /// `[co, ci, kh, kw]`.
    pub w: &'a [T],
    /// `[co]`.
    pub bias: &'a [T],
    /// The shape.
    pub conv: Conv,
}

/// [`forward`] of each part, the channels of one after those of the other: `[n, sum of co, out_h, out_w]`.
pub fn forward_joined<T: Real>(parts: &[Part<'_, T>], least: T) -> Vec<T> {
    let Some(Part { conv, .. }) = parts.first() else { return Vec::new() };
    let (n, len) = (conv.n, conv.out_h() * conv.out_w());
    made(n, parts.iter().map(|part| part.conv.co).sum(), len, |whole| {
        let mut first = 0;
        for Part { x, w, bias, conv } in parts {
            forward_to(x, w, Some(bias), least, conv, &whole.from(first));
            first += conv.co;
        }
    })
}

/// The convolution (cross-correlation) of `x`, `[n, ci, h, w]`, with `w`, `[co, ci, kh, kw]`, plus `bias`, `[co]`:
/// `[n, co, out_h, out_w]`. What is smaller becomes `least`.
pub fn forward<T: Real>(x: &[T], w: &[T], bias: Option<&[T]>, least: T, c: &Conv) -> Vec<T> {
    made(c.n, c.co, c.out_h() * c.out_w(), |place| forward_to(x, w, bias, least, c, place))
}

fn forward_to<T: Real>(x: &[T], w: &[T], bias: Option<&[T]>, least: T, c: &Conv, place: &Place<T>) {
    let isa = Isa::best();
    let Some((shape, transforms)) = by_winograd::<T>(isa, c, Sought::Output) else {
        return forward_directly(isa, x, w, bias, least, c, place);
    };
    let kernels = T::kernels(isa);
    let finish = winograd::Finish { bias: &whole_vectors(bias, c.co, kernels.lanes), least };
    winograd::run(x, w, finish, &shape, kernels, transforms, place);
}

/// The gradient of [`forward`]'s `x`, `[n, ci, h, w]`, from that of its output, `g`, `[n, co, out_h, out_w]`, plus `bias`, `[ci]`: it
/// is also the forward pass of a transposed convolution of `g`.
pub fn backward_data<T: Real>(g: &[T], w: &[T], bias: Option<&[T]>, c: &Conv) -> Vec<T> {
    let isa = Isa::best();
    let Some((shape, transforms)) = by_winograd::<T>(isa, c, Sought::InputGradient) else {
        return backward_data_on(isa, g, w, bias, c);
    };
    let kernels = T::kernels(isa);
    let bias = whole_vectors(bias, c.ci, kernels.lanes);
    let finish = winograd::Finish { bias: &bias, least: T::NEG_INFINITY };
    made(c.n, c.ci, c.h * c.w, |place| winograd::run(g, w, finish, &shape, kernels, transforms, place))
}

/// A number for each channel, or 0, and zeros after them up to a multiple of `unit`.
fn whole_vectors<T: Real>(bias: Option<&[T]>, channels: usize, unit: usize) -> Aligned<T> {
    let mut padded = Aligned::zeros(channels.next_multiple_of(unit));
    if let Some(bias) = bias {
        padded[..channels].copy_from_slice(bias);
    }
    padded
}

/// The gradient of [`forward`]'s `w`, `[co, ci, kh, kw]`, from that of its output, `g`, `[n, co, out_h, out_w]`.
pub fn backward_weight<T: Real>(x: &[T], g: &[T], c: &Conv) -> Vec<T> {
    let isa = Isa::best();
    if let Some((shape, transforms)) = by_winograd::<T>(isa, c, Sought::WeightGradient) {
        return winograd::gradient(x, g, &shape, T::kernels(isa), transforms);
    }
    backward_weight_on(isa, x, g, c)
}

/// The shape of what is sought and the inner loops for it, where Winograd's way is faster.
fn by_winograd<T: Real>(
    isa: Isa,
    c: &Conv,
    sought: Sought,
) -> Option<(winograd::Shape, &'static winograd::Transforms<T>)> {
    let shape = winograd_shape(c, sought)?;
    let transforms = T::transforms(isa, shape.taps())?;
    shape.suits(T::kernels(isa).lanes, transforms, sought).then_some((shape, transforms))
}

/// The shape for Winograd's way, if the kernel is square and the stride 1 or 2.
fn winograd_shape(c: &Conv, sought: Sought) -> Option<winograd::Shape> {
    let [stride, stride_x] = c.stride;
    if c.kh != c.kw || stride != stride_x || stride > 2 {
        return None;
    }
    let (input, output) = ([c.h, c.w], [c.out_h(), c.out_w()]);
    let turned = sought == Sought::InputGradient;
    let (ci, co, input, output) = if turned { (c.co, c.ci, output, input) } else { (c.ci, c.co, input, output) };
    let pad = [c.pad[0], c.pad[2]];
    Some(winograd::Shape { n: c.n, ci, co, input, output, kernel: c.kh, stride, pad, turned })
}

#[cfg(test)]
fn forward_on<T: Real>(isa: Isa, x: &[T], w: &[T], bias: Option<&[T]>, least: T, c: &Conv) -> Vec<T> {
    made(c.n, c.co, c.out_h() * c.out_w(), |place| forward_directly(isa, x, w, bias, least, c, place))
}

fn forward_directly<T: Real>(isa: Isa, x: &[T], w: &[T], bias: Option<&[T]>, least: T, c: &Conv, place: &Place<T>) {
    let kernels = T::kernels(isa);
    if let Some(shape) = pointwise_shape(c, [c.ci, c.co], kernels.lanes) {
        let bias = whole_vectors(bias, c.co, kernels.lanes);
        return pointwise::run(x, |o, i| w[o * c.ci + i], &bias, least, &shape, kernels, place);
    }
    let taps = c.kh * c.kw;
    let blocks = Blocks::new(kernels, c.co, c.ci, [c.kh, c.kw]);
    let pass = Pass {
        taps: (0..taps).map(|t| [t / c.kw, t % c.kw]).collect(),
        weights: pack(&blocks, [c.ci, taps], |o, i, t| w[(o * c.ci + i) * taps + t]),
    };
    let correlation = Correlation {
        n: c.n,
        ci: c.ci,
        co: c.co,
        input: [c.h, c.w],
        grid: [c.out_h(), c.out_w()],
        stride: c.stride,
        before: [c.pad[0] as isize, c.pad[2] as isize],
        window: [c.kh, c.kw],
        blocks,
        passes: vec![pass],
        output: [c.out_h(), c.out_w()],
        step: [1, 1],
        least,
    };
    correlation.run(x, bias, kernels, place);
}

/// The shape of a convolution with single pixels from and to so many channels, where that way is faster.
fn pointwise_shape(c: &Conv, [ci, co]: [usize; 2], lanes: usize) -> Option<pointwise::Shape> {
    let shape = pointwise::Shape { n: c.n, ci, co, pixels: c.h * c.w };
    let single = [c.kh, c.kw] == [1, 1] && c.stride == [1, 1] && c.pad == [0; 4];
    (single && shape.suits(lanes)).then_some(shape)
}

/// Along one axis: the taps that reach input positions of residue `a`, each with the row of `g` it reads, relative
/// to the position's own.
fn taps_of_residue(a: usize, kernel: usize, stride: usize, pad: usize) -> Vec<(usize, isize)> {
    ((a + pad) % stride..kernel)
        .step_by(stride)
        .map(|i| (i, (a + pad) as isize / stride as isize - i as isize / stride as isize))
        .collect()
}

fn backward_data_on<T: Real>(isa: Isa, g: &[T], w: &[T], bias: Option<&[T]>, c: &Conv) -> Vec<T> {
    let kernels = T::kernels(isa);
    if let Some(shape) = pointwise_shape(c, [c.co, c.ci], kernels.lanes) {
        let bias = whole_vectors(bias, c.ci, kernels.lanes);
        let weight = |o: usize, i: usize| w[i * c.ci + o];
        return made(c.n, c.ci, c.h * c.w, |place| {
            pointwise::run(g, weight, &bias, T::NEG_INFINITY, &shape, kernels, place);
        });
    }
    let [stride_y, stride_x] = c.stride;
    let along = |kernel, stride, pad| -> Vec<Vec<(usize, isize)>> {
        (0..stride).map(|a| taps_of_residue(a, kernel, stride, pad)).collect()
    };
    let (rows, columns) = (along(c.kh, stride_y, c.pad[0]), along(c.kw, stride_x, c.pad[2]));
    // The window that holds the taps of all residues.
    let extent = |axis: &[Vec<(usize, isize)>]| {
        let offsets = || axis.iter().flatten().map(|&(_, offset)| offset);
        let first = offsets().min().unwrap_or(0);
        (first, (offsets().max().unwrap_or(0) - first + 1) as usize)
    };
    let ((top, window_h), (left, window_w)) = (extent(&rows), extent(&columns));
    let blocks = Blocks::new(kernels, c.ci, c.co, [window_h, window_w]);
    let mut passes = Vec::with_capacity(stride_y * stride_x);
    for row_taps in &rows {
        for column_taps in &columns {
            let taps: Vec<_> = row_taps.iter().flat_map(|&r| column_taps.iter().map(move |&c| (r, c))).collect();
            passes.push(Pass {
                taps: taps.iter().map(|((_, y), (_, x))| [(y - top) as usize, (x - left) as usize]).collect(),
                weights: pack(&blocks, [c.co, taps.len()], |out, input, t| {
                    let ((i, _), (j, _)) = taps[t];
                    w[((input * c.ci + out) * c.kh + i) * c.kw + j]
                }),
            });
        }
    }
    let correlation = Correlation {
        n: c.n,
        ci: c.co,
        co: c.ci,
        input: [c.out_h(), c.out_w()],
        grid: [c.h.div_ceil(stride_y), c.w.div_ceil(stride_x)],
        stride: [1, 1],
        before: [-top, -left],
        window: [window_h, window_w],
        blocks,
        passes,
        output: [c.h, c.w],
        step: c.stride,
        least: T::NEG_INFINITY,
    };
    made(c.n, c.ci, c.h * c.w, |place| correlation.run(g, bias, kernels, place))
}

fn backward_weight_on<T: Real>(isa: Isa, x: &[T], g: &[T], c: &Conv) -> Vec<T> {
    let kernels = T::kernels(isa);
    let shape = weight::Shape {
        n: c.n,
        ci: c.ci,
        co: c.co,
        input: [c.h, c.w],
        output: [c.out_h(), c.out_w()],
        kernel: [c.kh, c.kw],
        stride: c.stride,
        before: [c.pad[0] as isize, c.pad[2] as isize],
    };
    // Vectors run along output channels: with few of them, and a stride of 1, input and output change places.
    if c.stride == [1, 1] && c.co < kernels.lanes && c.ci > c.co {
        let swapped = weight::Shape {
            ci: shape.co,
            co: shape.ci,
            input: shape.output,
            output: shape.input,
            before: [c.kh as isize - 1 - shape.before[0], c.kw as isize - 1 - shape.before[1]],
            ..shape
        };
        let turned = weight::gradient(g, x, &swapped, kernels);
        let taps = c.kh * c.kw;
        let mut dw = Vec::with_capacity(turned.len());
        for o in 0..c.co {
            for i in 0..c.ci {
                dw.extend(turned[(i * c.co + o) * taps..][..taps].iter().rev());
            }
        }
        return dw;
    }
    weight::gradient(x, g, &shape, kernels)
}
