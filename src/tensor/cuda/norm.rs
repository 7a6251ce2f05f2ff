//! Batch norm in one pass after its statistics, with its affine map and a leaky ReLU; and its gradient.

use candle_core::DType;

use super::launch::{Arg, Grid, Room, Values, count, launch};
use super::reduce::parts;
use crate::error::Result;
use crate::tensor::cpu::norm::Planes;
use crate::tensor::value::Raw;

/// `leaky((x - mean) / sqrt(variance + epsilon) * gamma + beta)` of `x`, `[n, c, hw]`, with mean and variance of each
/// channel; then these.
pub(crate) fn batch_norm(
    x: &Raw,
    gamma: &Raw,
    beta: &Raw,
    epsilon: f64,
    slope: f64,
    p: Planes,
) -> Result<(Raw, Raw, Raw)> {
    let (xs, ga, be) = (Values::of(x)?, Values::of(gamma)?, Values::of(beta)?);
    let (gpu, dtype) = (&xs.gpu, xs.dtype);
    let shape = [count(p.n), count(p.c), count(p.hw)];
    let parts = parts(p.c, p.n * p.hw);
    let partial = Room::new(gpu, DType::F64, 2 * p.c * parts)?;
    let args = [&shape[..], &[count(parts), Arg::At(xs.at), Arg::At(partial.at)]].concat();
    launch(gpu, "norm_moments", dtype, Grid::blocks(p.c * parts, p.n * p.hw / parts), &args)?;
    let (mean, variance) = (Room::new(gpu, dtype, p.c)?, Room::new(gpu, dtype, p.c)?);
    let rstd = Room::new(gpu, DType::F64, p.c)?;
    let args = [
        count(parts),
        Arg::Double(epsilon),
        Arg::At(xs.at),
        Arg::At(partial.at),
        Arg::At(mean.at),
        Arg::At(variance.at),
        Arg::At(rstd.at),
    ];
    launch(gpu, "norm_stats", dtype, Grid::over(p.c), &[&shape[..], &args].concat())?;
    let y = Room::new(gpu, dtype, xs.len)?;
    let args = [
        count(xs.len),
        count(p.c),
        count(p.hw),
        count(ga.len),
        Arg::Real(slope),
        Arg::At(xs.at),
        Arg::At(mean.at),
        Arg::At(rstd.at),
        Arg::At(ga.at),
        Arg::At(be.at),
        Arg::At(y.at),
    ];
    launch(gpu, "norm_apply", dtype, Grid::over(xs.len), &args)?;
    Ok((y.finish(x.dims()), mean.finish(&[p.c]), variance.finish(&[p.c])))
}

/// The gradients of [`batch_norm`] for `x`, gamma and beta from its output `y` and the gradient `g` there.
#[allow(clippy::too_many_arguments)] // The formula has as many.
pub(crate) fn batch_norm_back(
    x: &Raw,
    y: &Raw,
    g: &Raw,
    mean: &Raw,
    variance: &Raw,
    gamma: &Raw,
    epsilon: f64,
    slope: f64,
    p: Planes,
) -> Result<[Raw; 3]> {
    let (xs, ys, gs) = (Values::of(x)?, Values::of(y)?, Values::of(g)?);
    let (mu, var, ga) = (Values::of(mean)?, Values::of(variance)?, Values::of(gamma)?);
    let (gpu, dtype) = (&xs.gpu, xs.dtype);
    let partial = Room::new(gpu, DType::F64, 2 * p.n * p.c)?;
    let args = [
        count(p.c),
        count(p.hw),
        Arg::Real(slope),
        Arg::At(xs.at),
        Arg::At(ys.at),
        Arg::At(gs.at),
        Arg::At(mu.at),
        Arg::At(partial.at),
    ];
    launch(gpu, "norm_back_moments", dtype, Grid::blocks(p.n * p.c, p.hw), &args)?;
    let (dgamma, dbeta) = (Room::new(gpu, dtype, ga.len)?, Room::new(gpu, dtype, ga.len)?);
    let carried = Room::new(gpu, DType::F64, 3 * p.c)?;
    let args = [
        count(p.n),
        count(p.c),
        count(p.hw),
        count(ga.len),
        Arg::Double(epsilon),
        Arg::At(partial.at),
        Arg::At(var.at),
        Arg::At(ga.at),
        Arg::At(dgamma.at),
        Arg::At(dbeta.at),
        Arg::At(carried.at),
    ];
    launch(gpu, "norm_back_channels", dtype, Grid::blocks(p.c, p.n), &args)?;
    let dx = Room::new(gpu, dtype, xs.len)?;
    let args = [
        count(xs.len),
        count(p.c),
        count(p.hw),
        count(ga.len),
        Arg::Real(slope),
        Arg::At(xs.at),
        Arg::At(ys.at),
        Arg::At(gs.at),
        Arg::At(mu.at),
        Arg::At(ga.at),
        Arg::At(carried.at),
        Arg::At(dx.at),
    ];
    launch(gpu, "norm_back", dtype, Grid::over(xs.len), &args)?;
    Ok([dx.finish(x.dims()), dgamma.finish(gamma.dims()), dbeta.finish(gamma.dims())])
}
