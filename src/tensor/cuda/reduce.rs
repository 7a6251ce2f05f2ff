//! Sums, the places of the largest, softmax.

use std::sync::Arc;

use candle_core::DType;

use super::device::Gpu;
use super::launch::{Arg, Grid, Room, Values, count, launch};
use crate::error::Result;
use crate::tensor::value::Raw;

/// From so many outputs on, each has a thread rather than a block.
const MANY_OUTPUTS: usize = 8192;
/// Below so many blocks, the values of an output are cut into parts.
const ENOUGH_BLOCKS: usize = 1024;
/// A part has at least so many values.
const PART: usize = 4096;

/// The number of parts that the `length` values of each of `outputs` outputs are summed in.
pub(super) fn parts(outputs: usize, length: usize) -> usize {
    (length / PART).clamp(1, (ENOUGH_BLOCKS / outputs.max(1)).max(1))
}

/// The sum over `dims`, which stay as dimensions of length 1.
pub(crate) fn sum(x: &Raw, dims: &[usize]) -> Result<Raw> {
    // Runs of dimensions that are all summed or all kept are one dimension; sums go from the last to the first.
    let mut runs: Vec<(bool, usize)> = Vec::new();
    for (i, length) in x.dims().iter().enumerate().filter(|(_, length)| **length != 1) {
        let summed = dims.contains(&i);
        match runs.last_mut() {
            Some((before, product)) if *before == summed => *product *= length,
            _ => runs.push((summed, *length)),
        }
    }
    let mut inner = 1;
    let mut value = x.clone();
    for at in (0..runs.len()).rev() {
        let (summed, length) = runs[at];
        if !summed {
            inner *= length;
            continue;
        }
        let outer = runs[..at].iter().map(|(_, length)| length).product();
        value = sum_middle(&value, outer, length, inner)?;
    }
    let kept: Vec<usize> = x.dims().iter().enumerate().map(|(i, d)| if dims.contains(&i) { 1 } else { *d }).collect();
    Ok(value.reshape(kept)?)
}

/// `[outer, length, inner]` summed over the middle.
fn sum_middle(x: &Raw, outer: usize, length: usize, inner: usize) -> Result<Raw> {
    let xs = Values::of(x)?;
    let outputs = outer * inner;
    let out = Room::new(&xs.gpu, xs.dtype, outputs)?;
    let shape = [count(length), count(inner)];
    if (inner > 1 && outputs >= MANY_OUTPUTS) || length < 32 {
        let args = [count(outputs), shape[0], shape[1], Arg::At(xs.at), Arg::At(out.at)];
        launch(&xs.gpu, "sum_lines", xs.dtype, Grid::over(outputs), &args)?;
    } else {
        let parts = parts(outputs, length);
        let partial = Room::new(&xs.gpu, DType::F64, if parts > 1 { outputs * parts } else { 1 })?;
        let args = [shape[0], shape[1], count(parts), Arg::At(xs.at), Arg::At(out.at), Arg::At(partial.at)];
        launch(&xs.gpu, "sum", xs.dtype, Grid::blocks(outputs * parts, length / parts), &args)?;
        add_parts(&xs.gpu, xs.dtype, outputs, parts, partial.at, out.at)?;
    }
    Ok(out.finish(&[outputs]))
}

fn add_parts(gpu: &Arc<Gpu>, dtype: DType, outputs: usize, parts: usize, partial: u64, out: u64) -> Result<()> {
    if parts == 1 {
        return Ok(());
    }
    let args = [count(parts), Arg::At(partial), Arg::At(out)];
    launch(gpu, "sum_parts", dtype, Grid::blocks(outputs, parts), &args)
}

/// The sum of all products of `a` and `b`, as a room for one value.
pub(super) fn dot(a: &Values, b: &Values) -> Result<Room> {
    let out = Room::new(&a.gpu, a.dtype, 1)?;
    let parts = parts(1, a.len);
    let partial = Room::new(&a.gpu, DType::F64, parts)?;
    let args = [count(a.len), count(parts), Arg::At(a.at), Arg::At(b.at), Arg::At(out.at), Arg::At(partial.at)];
    launch(&a.gpu, "dot", a.dtype, Grid::blocks(parts, a.len / parts), &args)?;
    add_parts(&a.gpu, a.dtype, 1, parts, partial.at, out.at)?;
    Ok(out)
}

/// Where the largest value of each line over the middle of `[outer, length, inner]` is, u32, of shape `dims`.
pub(crate) fn argmax(x: &Raw, [outer, length, inner]: [usize; 3], dims: &[usize]) -> Result<Raw> {
    let xs = Values::of(x)?;
    let outputs = outer * inner;
    let out = Room::new(&xs.gpu, DType::U32, outputs)?;
    let args = [count(outputs), count(length), count(inner), Arg::At(xs.at), Arg::At(out.at)];
    launch(&xs.gpu, "argmax", xs.dtype, Grid::over(outputs), &args)?;
    Ok(out.finish(dims))
}

/// The softmax over the last dimension, or its logarithm.
pub(crate) fn softmax(x: &Raw, logarithm: bool) -> Result<Raw> {
    let xs = Values::of(x)?;
    let length = x.dims().last().copied().unwrap_or(1);
    let out = Room::new(&xs.gpu, xs.dtype, xs.len)?;
    let args = [count(length), count(logarithm.into()), Arg::At(xs.at), Arg::At(out.at)];
    launch(&xs.gpu, "softmax", xs.dtype, Grid::blocks(xs.len / length, length), &args)?;
    Ok(out.finish(x.dims()))
}

/// The gradient of [`softmax`] from its output `y` and the gradient `g` there.
pub(crate) fn softmax_back(y: &Raw, g: &Raw, logarithm: bool) -> Result<Raw> {
    let (ys, gs) = (Values::of(y)?, Values::of(g)?);
    let length = y.dims().last().copied().unwrap_or(1);
    let out = Room::new(&ys.gpu, ys.dtype, ys.len)?;
    let args = [count(length), count(logarithm.into()), Arg::At(ys.at), Arg::At(gs.at), Arg::At(out.at)];
    launch(&ys.gpu, "softmax_back", ys.dtype, Grid::blocks(ys.len / length, length), &args)?;
    Ok(out.finish(y.dims()))
}
