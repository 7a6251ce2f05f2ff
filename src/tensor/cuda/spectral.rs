//! The power iteration of a spectral norm, and its division with its gradient, without a word to the CPU.

use candle_core::DType;

use super::launch::{Arg, Grid, Room, THREADS, Values, count, launch};
use super::reduce::dot;
use crate::error::Result;
use crate::tensor::value::Raw;

/// Rows that one thread of `times_rows` adds up, at least.
const ROWS: usize = 32;
/// Parts that its rows are cut into, at most: one block adds them up.
const PARTS: usize = 16;

/// The left and right singular vectors of a matrix `[rows, columns]` that its iteration has come to, and the singular value
/// between them.
pub(crate) struct Singular {
    pub(crate) left: Raw,
    pub(crate) right: Raw,
    pub(crate) sigma: Raw,
}

/// `iterations` steps of the power iteration of `m`, at least 1, from `u`: the left vector if `left`, else the right one.
pub(crate) fn singular(m: &Raw, u: &Raw, left: bool, iterations: usize, epsilon: f64) -> Result<Singular> {
    let (rows, columns) = m.dims2()?;
    let (ms, mut kept) = (Values::of(m)?, u.clone());
    // `m v`, brought to length 1; and that length, which is u m v for the new u.
    let by_columns = |v: &Raw| -> Result<(Raw, Raw)> {
        let v = Values::of(v)?;
        let product = Room::new(&ms.gpu, DType::F64, rows)?;
        let args = [count(columns), Arg::At(ms.at), Arg::At(v.at), Arg::At(product.at)];
        launch(&ms.gpu, "rows_times", ms.dtype, Grid::blocks(rows, columns), &args)?;
        unit(&ms, &product, rows, 1, epsilon)
    };
    let by_rows = |u: &Raw| -> Result<(Raw, Raw)> {
        let u = Values::of(u)?;
        let step = rows.div_ceil(PARTS).max(ROWS);
        let parts = rows.div_ceil(step);
        let product = Room::new(&ms.gpu, DType::F64, parts * columns)?;
        let args = [count(rows), count(columns), count(step), Arg::At(ms.at), Arg::At(u.at), Arg::At(product.at)];
        let grid = Grid { blocks: [columns.div_ceil(THREADS as usize) as u32, parts as u32], threads: THREADS };
        launch(&ms.gpu, "times_rows", ms.dtype, grid, &args)?;
        unit(&ms, &product, columns, parts, epsilon)
    };
    let mut step = || -> Result<Singular> {
        let other = if left { by_rows(&kept)? } else { by_columns(&kept)? }.0;
        let (new, sigma) = if left { by_columns(&other)? } else { by_rows(&other)? };
        kept = new.clone();
        let (left, right) = if left { (new, other) } else { (other, new) };
        Ok(Singular { left, right, sigma })
    };
    let mut found = step()?;
    for _ in 1..iterations {
        found = step()?;
    }
    Ok(found)
}

/// The sum of `parts` rows of `length` values, brought to length 1, `[1, length]`; and that length, `[1]`.
fn unit(like: &Values, product: &Room, length: usize, parts: usize, epsilon: f64) -> Result<(Raw, Raw)> {
    let (gpu, dtype) = (&like.gpu, like.dtype);
    let (out, norm) = (Room::new(gpu, dtype, length)?, Room::new(gpu, dtype, 1)?);
    let args =
        [count(length), count(parts), Arg::Double(epsilon), Arg::At(product.at), Arg::At(out.at), Arg::At(norm.at)];
    launch(gpu, "unit", dtype, Grid::blocks(1, length), &args)?;
    Ok((out.finish(&[1, length]), norm.finish(&[1])))
}

/// `m / sigma`.
pub(crate) fn over_sigma(m: &Raw, found: &Singular) -> Result<Raw> {
    super::pair(super::Pair::Div, m, &found.sigma, m.dims())
}

/// The gradient of `m / sigma`, with sigma = left m right, from its gradient `g`. The vectors count as constants.
pub(crate) fn over_sigma_back(m: &Raw, g: &Raw, found: &Singular) -> Result<Raw> {
    let (ms, gs) = (Values::of(m)?, Values::of(g)?);
    let (left, right, sigma) = (Values::of(&found.left)?, Values::of(&found.right)?, Values::of(&found.sigma)?);
    let inner = dot(&gs, &ms)?;
    let out = Room::new(&ms.gpu, ms.dtype, ms.len)?;
    let args = [
        count(ms.len),
        count(right.len),
        Arg::At(gs.at),
        Arg::At(sigma.at),
        Arg::At(inner.at),
        Arg::At(left.at),
        Arg::At(right.at),
        Arg::At(out.at),
    ];
    launch(&ms.gpu, "spectral_back", ms.dtype, Grid::over(ms.len), &args)?;
    Ok(out.finish(m.dims()))
}
