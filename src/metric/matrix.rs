//! Matrix products and factors in double precision for the metrics, with the same bits on any number of threads:
//! work is cut into blocks of a fixed size, each block is done by one thread, and results are gathered in order.

use std::sync::Once;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par, Side};
use rayon::prelude::*;

use super::features::Features;
use crate::error::{Error, Result};

/// Rows of a block of products: with ten thousand columns a block takes 10 MB, whatever the number of rows.
const BLOCK: usize = 128;

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

/// Gives `work` the inner products of a block of rows of `a` with every row of `b`: the first row of the block and
/// `[block rows, b.rows]` numbers, which it may overwrite. What it returns is gathered in order of the rows.
pub fn for_blocks<T: Send>(a: &Features, b: &Features, work: impl Fn(usize, &mut [f64]) -> T + Sync) -> Vec<T> {
    (0..a.rows().div_ceil(BLOCK))
        .into_par_iter()
        .map_init(Vec::new, |products, block| {
            let first = block * BLOCK;
            let rows = BLOCK.min(a.rows() - first);
            products.resize(rows * b.rows(), 0.);
            let left = view(a).subrows(first, rows);
            let target = MatMut::from_row_major_slice_mut(products, rows, b.rows());
            matmul(target, Accum::Replace, left, view(b).transpose(), 1., Par::Seq);
            work(first, products)
        })
        .collect()
}

/// As [`for_blocks`] of `x` by itself, for sums over pairs of which one order is enough: a block of rows meets itself and the
/// rows after it. `work` is also told how many columns it is given, from the block's first row on.
pub fn for_blocks_onward<T: Send>(x: &Features, work: impl Fn(usize, usize, &mut [f64]) -> T + Sync) -> Vec<T> {
    (0..x.rows().div_ceil(BLOCK))
        .into_par_iter()
        .map_init(Vec::new, |products, block| {
            let first = block * BLOCK;
            let (rows, columns) = (BLOCK.min(x.rows() - first), x.rows() - first);
            products.resize(rows * columns, 0.);
            let onward = view(x).subrows(first, columns);
            let target = MatMut::from_row_major_slice_mut(products, rows, columns);
            matmul(target, Accum::Replace, onward.subrows(0, rows), onward.transpose(), 1., Par::Seq);
            work(first, columns, products)
        })
        .collect()
}

/// `matrixᵀ` times `matrix`, of which only the lower half is set: one block of columns to a thread.
pub fn lower_gram(matrix: MatRef<'_, f64>) -> Mat<f64> {
    let n = matrix.ncols();
    let starts: Vec<usize> = (0..n).step_by(BLOCK).collect();
    let blocks: Vec<Mat<f64>> = starts
        .par_iter()
        .map(|&first| {
            let (left, right) = (matrix.subcols(first, n - first), matrix.subcols(first, BLOCK.min(n - first)));
            let mut block = Mat::zeros(left.ncols(), right.ncols());
            matmul(&mut block, Accum::Replace, left.transpose(), right, 1., Par::Seq);
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
pub fn nuclear_norm(matrix: MatRef<'_, f64>) -> Result<f64> {
    one_thread_each();
    let squares = lower_gram(matrix)
        .self_adjoint_eigenvalues(Side::Lower)
        .map_err(|_| no_convergence(matrix, "squared singular values"))?;
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
    let norms = |x: &Features| -> Vec<f64> {
        (0..x.rows()).into_par_iter().map(|i| x.row(i).iter().map(|x| x * x).sum()).collect()
    };
    let (a_norms, b_norms) = (norms(a), norms(b));
    for_blocks(a, b, |first, products| {
        for (row, products) in products.chunks_exact_mut(b.rows()).enumerate() {
            let i = first + row;
            for (j, value) in products.iter_mut().enumerate() {
                let norms = a_norms[i] + b_norms[j];
                *value = norms - 2. * *value;
                if *value < 1e-6 * norms {
                    *value = a.row(i).iter().zip(b.row(j)).map(|(x, y)| (x - y) * (x - y)).sum();
                }
            }
        }
        work(first, products)
    })
}
