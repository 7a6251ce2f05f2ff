//! Matrix products and factors in double precision for the metrics, with the same bits on any number of threads:
//! work is cut into blocks of a fixed size, each block is done by one thread, and results are gathered in order.

use std::sync::Once;

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{self, ComputeEigenvectors};
use faer::linalg::matmul::matmul;
use faer::reborrow::ReborrowMut;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::features::Features;
use crate::error::{Error, Result};

/// Rows of a block of products at most. faer packs both sides of a product anew each time, which wider blocks do less often:
/// with 2048 dimensions blocks of 512 rows take half the time that blocks of 128 take.
const BLOCK: usize = 512;
/// Columns that one product goes over.
const WIDTH: usize = 2048;
/// Numbers in a block of products at most, 64 MB, however many columns there are.
const NUMBERS: usize = 8 << 20;

/// The rows of a block that has so many columns.
fn block_rows(columns: usize) -> usize {
    (NUMBERS / columns.max(1)).clamp(32, BLOCK)
}

/// Keeps faer's decompositions on the calling thread. They split their work by the number of threads, which changes
/// the last bits; the metrics run several decompositions side by side instead.
pub fn one_thread_each() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| faer::set_global_parallelism(Par::Seq));
}

/// A view of `features` as a matrix of `rows` by `dim`.
pub fn view(features: &Features) -> MatRef<'_, f64> {
    MatRef::from_row_major_slice(features.data(), features.rows(), features.dim())
}

/// The inner products of the rows of `left` with those of `right`, row by row into `products`.
fn inner_products(left: MatRef<'_, f64>, right: MatRef<'_, f64>, products: &mut [f64]) {
    let columns = right.nrows();
    let mut target = MatMut::from_row_major_slice_mut(products, left.nrows(), columns);
    for first in (0..columns).step_by(WIDTH) {
        let width = WIDTH.min(columns - first);
        let target = target.rb_mut().subcols_mut(first, width);
        matmul(target, Accum::Replace, left, right.subrows(first, width).transpose(), 1., Par::Seq);
    }
}

/// Gives `work` the inner products of a block of rows of `a` with every row of `b`: the first row of the block and
/// `[block rows, b.rows]` numbers, which it may overwrite. What it returns is gathered in order of the rows.
pub fn for_blocks<T: Send>(a: &Features, b: &Features, work: impl Fn(usize, &mut [f64]) -> T + Sync) -> Vec<T> {
    let block_rows = block_rows(b.rows());
    (0..a.rows().div_ceil(block_rows))
        .into_par_iter()
        .map_init(Vec::new, |products, block| {
            let first = block * block_rows;
            let rows = block_rows.min(a.rows() - first);
            products.resize(rows * b.rows(), 0.);
            inner_products(view(a).subrows(first, rows), view(b), products);
            work(first, products)
        })
        .collect()
}

/// As [`for_blocks`] of `x` by itself, for sums over pairs of which one order is enough: a block of rows meets itself and the
/// rows after it. `work` is also told how many columns it is given, from the block's first row on.
pub fn for_blocks_onward<T: Send>(x: &Features, work: impl Fn(usize, usize, &mut [f64]) -> T + Sync) -> Vec<T> {
    let block_rows = block_rows(x.rows());
    (0..x.rows().div_ceil(block_rows))
        .into_par_iter()
        .map_init(Vec::new, |products, block| {
            let first = block * block_rows;
            let (rows, columns) = (block_rows.min(x.rows() - first), x.rows() - first);
            products.resize(rows * columns, 0.);
            let onward = view(x).subrows(first, columns);
            inner_products(onward.subrows(0, rows), onward, products);
            work(first, columns, products)
        })
        .collect()
}

/// `matrix` times `matrixᵀ`, of which only the lower half is set: one block of columns to a thread. Fastest where rows lie
/// in one piece.
pub fn lower_gram(matrix: MatRef<'_, f64>) -> Mat<f64> {
    let n = matrix.nrows();
    // Narrow enough that every thread has some.
    let width = (n / 8).clamp(32, BLOCK);
    let starts: Vec<usize> = (0..n).step_by(width).collect();
    let blocks: Vec<Mat<f64>> = starts
        .par_iter()
        .map(|&first| {
            let (left, right) = (matrix.subrows(first, n - first), matrix.subrows(first, width.min(n - first)));
            let mut block = Mat::zeros(left.nrows(), right.nrows());
            matmul(&mut block, Accum::Replace, left, right.transpose(), 1., Par::Seq);
            block
        })
        .collect();
    let mut out = Mat::zeros(n, n);
    for (first, block) in starts.into_iter().zip(blocks) {
        out.submatrix_mut(first, first, block.nrows(), block.ncols()).copy_from(&block);
    }
    out
}

/// `left` times `right`, one block of columns of `right` to a thread.
pub fn product(left: MatRef<'_, f64>, right: MatRef<'_, f64>) -> Mat<f64> {
    let mut out = Mat::zeros(left.nrows(), right.ncols());
    let starts: Vec<usize> = (0..right.ncols()).step_by(BLOCK).collect();
    let blocks: Vec<Mat<f64>> = starts
        .par_iter()
        .map(|&first| {
            let right = right.subcols(first, BLOCK.min(right.ncols() - first));
            let mut block = Mat::zeros(left.nrows(), right.ncols());
            matmul(&mut block, Accum::Replace, left, right, 1., Par::Seq);
            block
        })
        .collect();
    for (first, block) in starts.into_iter().zip(blocks) {
        out.subcols_mut(first, block.ncols()).copy_from(&block);
    }
    out
}

/// Sum of the singular values.
///
/// They are the roots of the eigenvalues of `matrixᵀ · matrix`, which cost a third of what they cost themselves. Where rounding
/// could then show in the eighth digit of the sum, because some are smaller than others by far, they are taken directly.
///
/// The work is cut into `parts`, which are the same whatever the number of threads.
pub fn nuclear_norm(matrix: MatRef<'_, f64>, parts: usize) -> Result<f64> {
    one_thread_each();
    let gram = lower_gram(matrix.transpose());
    let par = if parts > 1 { Par::rayon(parts) } else { Par::Seq };
    let scratch = evd::self_adjoint_evd_scratch::<f64>(gram.nrows(), ComputeEigenvectors::No, par, Default::default());
    let (mut squares, mut memory) = (Diag::zeros(gram.nrows()), MemBuffer::new(scratch));
    let stack = MemStack::new(&mut memory);
    evd::self_adjoint_evd(gram.as_ref(), squares.as_mut(), None, par, stack, Default::default())
        .map_err(|_| no_convergence(matrix, "squared singular values"))?;
    let squares: Vec<f64> = squares.column_vector().iter().copied().collect();
    // An error of `rounding` in a square is one of `rounding / (2 root)` in its root. They ascend.
    let rounding = 8. * f64::EPSILON * squares.last().copied().unwrap_or(0.).max(0.);
    if squares.first().is_some_and(|least| *least > rounding) {
        let (mut sum, mut error) = (0., 0.);
        for square in &squares {
            let root = square.sqrt();
            sum += root;
            error += rounding / (2. * root);
        }
        if error < 1e-8 * sum {
            return Ok(sum);
        }
    }
    let values = matrix.singular_values().map_err(|_| no_convergence(matrix, "singular values"))?;
    // Small ones first: the sum then keeps their bits.
    Ok(values.iter().rev().sum())
}

/// The error for a decomposition that did not converge, which finite input does not cause.
pub fn no_convergence(matrix: MatRef<'_, f64>, what: &str) -> Error {
    Error::bug(format!("the {what} of a {} by {} matrix did not converge", matrix.nrows(), matrix.ncols()))
}

/// Gives `work` the squared distances from a block of rows of `a` to every row of `b`.
///
/// Taken as `|a|² + |b|² - 2 a·b`, and again as a sum of squared differences where that cancels: duplicates are then at
/// distance zero exactly.
pub fn squared_distances<T: Send>(a: &Features, b: &Features, work: impl Fn(usize, &mut [f64]) -> T + Sync) -> Vec<T> {
    let distances = Distances { a, b, a_norms: &squared_norms(a), b_norms: &squared_norms(b) };
    for_blocks(a, b, |first, products| {
        distances.of(first, 0, b.rows(), products);
        work(first, products)
    })
}

/// The same of `x` by itself, each pair once: a block of rows meets itself and the rows after it. `work` is also told how many
/// columns it is given, from the block's first row on.
pub fn squared_distances_onward<T: Send>(x: &Features, work: impl Fn(usize, usize, &mut [f64]) -> T + Sync) -> Vec<T> {
    let norms = squared_norms(x);
    let distances = Distances { a: x, b: x, a_norms: &norms, b_norms: &norms };
    for_blocks_onward(x, |first, columns, products| {
        distances.of(first, first, columns, products);
        work(first, columns, products)
    })
}

fn squared_norms(x: &Features) -> Vec<f64> {
    (0..x.rows()).into_par_iter().map(|i| x.row(i).iter().map(|x| x * x).sum()).collect()
}

struct Distances<'a> {
    a: &'a Features,
    b: &'a Features,
    a_norms: &'a [f64],
    b_norms: &'a [f64],
}

impl Distances<'_> {
    /// Inner products of rows of `a` from `row` on, with so many rows of `b` from `column` on, become squared distances.
    fn of(&self, row: usize, column: usize, columns: usize, products: &mut [f64]) {
        let b_norms = &self.b_norms[column..column + columns];
        for (i, products) in (row..).zip(products.chunks_exact_mut(columns)) {
            let a_norm = self.a_norms[i];
            for (j, (value, b_norm)) in products.iter_mut().zip(b_norms).enumerate() {
                let norms = a_norm + b_norm;
                *value = norms - 2. * *value;
                if *value < 1e-6 * norms {
                    let differences = self.a.row(i).iter().zip(self.b.row(column + j)).map(|(x, y)| x - y);
                    *value = differences.map(|x| x * x).sum();
                }
            }
        }
    }
}
