//! Values at flat places, and back to them; rows of classes.

use candle_core::DType;

use super::launch::{Arg, Grid, Room, Values, count, launch};
use crate::error::Result;
use crate::tensor::value::Raw;

/// The values of `x` at the flat places `at`, u32.
pub(crate) fn gather(x: &Raw, at: &Raw) -> Result<Raw> {
    let (xs, ats) = (Values::of(x)?, Values::of(at)?);
    let out = Room::new(&xs.gpu, xs.dtype, ats.len)?;
    let args = [count(ats.len), Arg::At(xs.at), Arg::At(ats.at), Arg::At(out.at)];
    launch(&xs.gpu, "gather", xs.dtype, Grid::over(ats.len), &args)?;
    Ok(out.finish(at.dims()))
}

/// `zeros`, which nothing else holds, with each value of `x` at its place in `at`. No place may come twice.
pub(crate) fn scatter(zeros: Raw, x: &Raw, at: &Raw) -> Result<Raw> {
    let (xs, ats, out) = (Values::of(x)?, Values::of(at)?, Values::of(&zeros)?);
    let args = [count(ats.len), Arg::At(xs.at), Arg::At(ats.at), Arg::At(out.at)];
    launch(&xs.gpu, "scatter", xs.dtype, Grid::over(ats.len), &args)?;
    drop(out);
    Ok(zeros)
}

/// Places along the middle of `[outer, length, inner]`, u32, as flat ones. Of an `x` whose type the kernels know.
pub(crate) fn flat_places(places: &Raw, length: usize, inner: usize) -> Result<Raw> {
    let at = Values::of(places)?;
    let out = Room::new(&at.gpu, DType::U32, at.len)?;
    let args = [count(at.len), count(length), count(inner), Arg::At(at.at), Arg::At(out.at)];
    launch(&at.gpu, "flat_places", DType::F32, Grid::over(at.len), &args)?;
    Ok(out.finish(places.dims()))
}

/// Labels, u32, as rows of `classes` values in f32. A label that is not below `classes` has a row of zeros.
pub(crate) fn one_hot(labels: &Raw, classes: usize) -> Result<Raw> {
    let at = Values::of(labels)?;
    let n = at.len * classes;
    let out = Room::new(&at.gpu, DType::F32, n)?;
    let args = [count(n), count(classes), Arg::At(at.at), Arg::At(out.at)];
    launch(&at.gpu, "one_hot", DType::F32, Grid::over(n), &args)?;
    Ok(out.finish(&[at.len, classes]))
}
