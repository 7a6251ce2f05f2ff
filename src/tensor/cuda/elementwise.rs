//! Element by element: functions of one value and of two, copies, padding.

use candle_core::DType;

use super::launch::{Arg, Grid, Room, Values, Walk, count, launch, place, stored};
use crate::error::Result;
use crate::tensor::value::Raw;

/// A function of one value; `enum Map` in `kernels.cu`, in its order.
#[derive(Clone, Copy)]
pub(crate) enum Map {
    /// `x * a + b`
    Affine,
    Exp,
    Log,
    Sqrt,
    Abs,
    /// -1, 0 or 1
    Sign,
    /// To the power `a`.
    Power,
    Tanh,
    Sigmoid,
    Softplus,
    /// With slope `a`.
    LeakyRelu,
    /// Between `a` and `b`.
    Clamp,
    /// 1 between `a` and `b`, else 0.
    Inside,
}

/// A function of two values; `enum Pair` in `kernels.cu`, in its order.
#[derive(Clone, Copy)]
pub(crate) enum Pair {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a * b`
    Mul,
    /// `a / b`
    Div,
    Maximum,
    Minimum,
}

/// `function` of each value, with its numbers.
pub(crate) fn map(function: Map, [a, b]: [f64; 2], x: &Raw) -> Result<Raw> {
    let xs = Values::of(x)?;
    let out = Room::new(&xs.gpu, xs.dtype, xs.len)?;
    let args = [count(function as usize), count(xs.len), Arg::Real(a), Arg::Real(b), Arg::At(xs.at), Arg::At(out.at)];
    launch(&xs.gpu, "map", xs.dtype, Grid::over(xs.len), &args)?;
    Ok(out.finish(x.dims()))
}

/// `g` where `y` is positive, `slope * g` elsewhere.
pub(crate) fn slope(g: &Raw, y: &Raw, slope: f64) -> Result<Raw> {
    let (gs, ys) = (Values::of(g)?, Values::of(y)?);
    let out = Room::new(&gs.gpu, gs.dtype, gs.len)?;
    let args = [count(gs.len), Arg::Real(slope), Arg::At(gs.at), Arg::At(ys.at), Arg::At(out.at)];
    launch(&gs.gpu, "slope", gs.dtype, Grid::over(gs.len), &args)?;
    Ok(out.finish(g.dims()))
}

/// Pixels of 0 to 255, u8, as numbers from 0 to 1, f32.
pub(crate) fn pixels(x: &Raw) -> Result<Raw> {
    let xs = Values::of(x)?;
    let out = Room::new(&xs.gpu, DType::F32, xs.len)?;
    let args = [count(xs.len), Arg::At(xs.at), Arg::At(out.at)];
    launch(&xs.gpu, "pixels", DType::F32, Grid::over(xs.len), &args)?;
    Ok(out.finish(x.dims()))
}

/// `function` of `a` and `b`, both broadcast to `dims`.
pub(crate) fn pair(function: Pair, a: &Raw, b: &Raw, dims: &[usize]) -> Result<Raw> {
    let (wide_a, wide_b) = (a.broadcast_as(dims)?, b.broadcast_as(dims)?);
    let n = wide_a.elem_count();
    let as_they_lie = wide_a.is_contiguous() && wide_b.is_contiguous();
    let walk = if as_they_lie { None } else { Walk::new(dims, wide_a.stride(), wide_b.stride()) };
    // Too many dimensions to walk over: both are laid out first.
    let (wide_a, wide_b) = match walk {
        None if !as_they_lie => (wide_a.contiguous()?, wide_b.contiguous()?),
        _ => (wide_a, wide_b),
    };
    let ((at_a, gpu), (at_b, _)) = (place(&wide_a)?, place(&wide_b)?);
    let out = Room::new(&gpu, a.dtype(), n)?;
    let (first, rest) = ([count(function as usize), count(n)], [Arg::At(at_a), Arg::At(at_b), Arg::At(out.at)]);
    match walk {
        None => launch(&gpu, "pair", a.dtype(), Grid::over(n), &[&first[..], &rest].concat())?,
        Some(walk) => {
            launch(&gpu, "pair_wide", a.dtype(), Grid::over(n), &[&first[..], &[Arg::Walk(walk)], &rest].concat())?;
        }
    }
    Ok(out.finish(dims))
}

/// The values of `x` in row-major order: a copy, unless they lie so.
pub(crate) fn contiguous(x: &Raw) -> Result<Raw> {
    if x.is_contiguous() { Ok(x.clone()) } else { copied(x) }
}

/// The values of `x` in row-major order with nothing else behind them: Candle sends all that a view looks at to the CPU.
pub(crate) fn compact(x: &Raw) -> Result<Raw> {
    if x.is_contiguous() && stored(x)? == x.elem_count() { Ok(x.clone()) } else { copied(x) }
}

fn copied(x: &Raw) -> Result<Raw> {
    let ours = matches!(x.dtype(), DType::F32 | DType::F64);
    match Walk::new(x.dims(), x.stride(), x.stride()) {
        Some(walk) if ours => {
            let (at, gpu) = place(x)?;
            let n = x.elem_count();
            let out = Room::new(&gpu, x.dtype(), n)?;
            let args = [count(n), count(0), Arg::Walk(walk), Arg::At(at), Arg::At(out.at)];
            launch(&gpu, "copy", x.dtype(), Grid::over(n), &args)?;
            Ok(out.finish(x.dims()))
        }
        _ => Ok(x.force_contiguous()?),
    }
}

/// `x` with the values of dimension `dim` in reverse order.
pub(crate) fn flip(x: &Raw, dim: usize) -> Result<Raw> {
    let xs = Values::of(x)?;
    let (length, inner) = (x.dims()[dim], x.dims()[dim + 1..].iter().product::<usize>());
    let walk = Walk::backwards([xs.len / (length * inner), length, inner]);
    let out = Room::new(&xs.gpu, xs.dtype, xs.len)?;
    let args = [count(xs.len), count((length - 1) * inner), Arg::Walk(walk), Arg::At(xs.at), Arg::At(out.at)];
    launch(&xs.gpu, "copy", xs.dtype, Grid::over(xs.len), &args)?;
    Ok(out.finish(x.dims()))
}

/// `x` as cuBLAS takes the factor of a product: in row-major order, or each matrix transposed.
pub(crate) fn for_product(x: &Raw) -> Result<Raw> {
    let rank = x.rank();
    if x.is_contiguous() || (rank >= 2 && x.transpose(rank - 2, rank - 1)?.is_contiguous()) {
        return Ok(x.clone());
    }
    contiguous(x)
}

/// `x` with zeros before and after dimension `dim`.
pub(crate) fn pad(x: &Raw, dim: usize, before: usize, after: usize) -> Result<Raw> {
    let xs = Values::of(x)?;
    let mut dims = x.dims().to_vec();
    let (length, inner) = (dims[dim], dims[dim + 1..].iter().product());
    dims[dim] += before + after;
    let n = dims.iter().product();
    let out = Room::new(&xs.gpu, xs.dtype, n)?;
    let args =
        [count(n), count(length), count(inner), count(before), count(dims[dim]), Arg::At(xs.at), Arg::At(out.at)];
    launch(&xs.gpu, "pad", xs.dtype, Grid::over(n), &args)?;
    Ok(out.finish(&dims))
}
