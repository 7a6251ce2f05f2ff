//! Images: pooling, and changes of their size.

use candle_core::DType;

use super::launch::{self, Arg, Grid, Room, Values, count, launch};
use crate::error::Result;
use crate::tensor::cpu::pool::Pool;
use crate::tensor::value::Raw;

fn window(p: &Pool) -> Arg {
    Arg::Pool(launch::Pool {
        h: p.h as u32,
        w: p.w as u32,
        kh: p.kh as u32,
        kw: p.kw as u32,
        stride: p.stride.map(|step| step as u32),
        top: p.pad[0] as u32,
        left: p.pad[2] as u32,
        out_h: p.out_h() as u32,
        out_w: p.out_w() as u32,
        count_padding: p.count_padding.into(),
    })
}

/// A kernel over `n` values of a result of type `dtype`, from the values of `inputs`.
fn pooled(name: &'static str, p: &Pool, inputs: &[&Raw], dtype: Option<DType>, dims: &[usize]) -> Result<Raw> {
    let values: Vec<Values> = inputs.iter().map(|raw| Values::of(raw)).collect::<Result<_>>()?;
    let last = &values[values.len() - 1];
    let n = dims.iter().product();
    let out = Room::new(&last.gpu, dtype.unwrap_or(last.dtype), n)?;
    let mut args = vec![count(n), window(p)];
    args.extend(values.iter().map(|values| Arg::At(values.at)));
    args.push(Arg::At(out.at));
    launch(&last.gpu, name, last.dtype, Grid::over(n), &args)?;
    Ok(out.finish(dims))
}

/// The mean of each window.
pub(crate) fn average(x: &Raw, p: &Pool, dims: &[usize]) -> Result<Raw> {
    pooled("average", p, &[x], None, dims)
}

/// The transpose of [`average`].
pub(crate) fn average_back(g: &Raw, p: &Pool, dims: &[usize]) -> Result<Raw> {
    pooled("average_back", p, &[g], None, dims)
}

/// The place in `x` of the largest value of each window, u32.
pub(crate) fn max_places(x: &Raw, p: &Pool, dims: &[usize]) -> Result<Raw> {
    pooled("max_places", p, &[x], Some(DType::U32), dims)
}

/// What each pixel gets of `g` from the windows whose largest value it was.
pub(crate) fn max_back(places: &Raw, g: &Raw, p: &Pool, dims: &[usize]) -> Result<Raw> {
    pooled("max_back", p, &[places, g], None, dims)
}

/// Each pixel of `[.., h, w]` repeated `factor` times each way, or followed by zeros.
pub(crate) fn grow(x: &Raw, [h, w]: [usize; 2], factor: usize, zeros: bool, dims: &[usize]) -> Result<Raw> {
    resized("grow", x, [h, w], factor, zeros, dims)
}

/// The transpose of [`grow`], to `[.., h, w]`.
pub(crate) fn shrink(g: &Raw, [h, w]: [usize; 2], factor: usize, zeros: bool, dims: &[usize]) -> Result<Raw> {
    resized("shrink", g, [h, w], factor, zeros, dims)
}

fn resized(name: &'static str, x: &Raw, [h, w]: [usize; 2], factor: usize, zeros: bool, dims: &[usize]) -> Result<Raw> {
    let xs = Values::of(x)?;
    let n = dims.iter().product();
    let out = Room::new(&xs.gpu, xs.dtype, n)?;
    let args = [count(n), count(h), count(w), count(factor), count(zeros.into()), Arg::At(xs.at), Arg::At(out.at)];
    launch(&xs.gpu, name, xs.dtype, Grid::over(n), &args)?;
    Ok(out.finish(dims))
}

/// The middle of `[outer, length, inner]` by a matrix of which row `l` has weights from column `first[l]` on, the same
/// number of them for each.
pub(crate) fn band(x: &Raw, [outer, length, inner]: [usize; 3], first: &[u32], weights: &[f64]) -> Result<Raw> {
    let xs = Values::of(x)?;
    let rows = first.len();
    let first = Raw::new(first, x.device())?;
    let weights = Raw::new(weights, &candle_core::Device::Cpu)?.to_dtype(xs.dtype)?.to_device(x.device())?;
    let taps = weights.elem_count() / rows;
    let (firsts, weights) = (Values::of(&first)?, Values::of(&weights)?);
    let n = outer * rows * inner;
    let out = Room::new(&xs.gpu, xs.dtype, n)?;
    let args = [
        count(n),
        count(length),
        count(rows),
        count(inner),
        count(taps),
        Arg::At(firsts.at),
        Arg::At(weights.at),
        Arg::At(xs.at),
        Arg::At(out.at),
    ];
    launch(&xs.gpu, "band", xs.dtype, Grid::over(n), &args)?;
    Ok(out.finish(&[outer, rows, inner]))
}
