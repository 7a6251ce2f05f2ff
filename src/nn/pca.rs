//! Principal components: the directions in which rows differ most.

use faer::{Mat, MatRef, Par, Side};

use crate::error::{Error, Result};

/// Rows along their first principal components.
#[derive(Debug, Clone, PartialEq)]
pub struct Pca {
    /// Where each row lies, `[n, k]`, row by row.
    pub points: Vec<f64>,
    /// How many components there are.
    pub k: usize,
    /// The share of the rows' variance that each component holds, the largest first.
    pub shares: Vec<f64>,
    /// The components, `[k, dim]`, of length 1.
    pub components: Vec<f64>,
}

/// The first `k` principal components of `rows` (`dim` numbers each). The number of largest size in each component is
/// positive, which settles its sign.
///
/// # Errors
/// There are fewer than two rows, fewer rows or numbers than components, or a number that is not finite.
pub fn pca(rows: &[f64], dim: usize, k: usize) -> Result<Pca> {
    let n = rows_of(rows, dim)?;
    if k == 0 || k > dim.min(n) {
        return Err(Error::new(format!("{n} rows of {dim} numbers have no {k} principal components"))
            .help(format!("from 1 to {} can be asked for", dim.min(n))));
    }
    let mut mean = vec![0.0; dim];
    for row in rows.chunks_exact(dim) {
        mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    mean.iter_mut().for_each(|sum| *sum /= n as f64);
    let centred: Vec<f64> = rows.chunks_exact(dim).flat_map(|row| row.iter().zip(&mean).map(|(x, m)| x - m)).collect();
    let x = MatRef::from_row_major_slice(&centred, n, dim);
    let total: f64 = centred.iter().map(|value| value * value).sum();

    // The smaller of the two products has the same eigenvalues: of rows by rows the components follow from its vectors.
    let by_rows = n < dim;
    let (values, vectors) = eigen(if by_rows { times(x, x.transpose()) } else { times(x.transpose(), x) })?;
    let mut components = Vec::with_capacity(k * dim);
    let mut shares = Vec::with_capacity(k);
    for i in 0..k {
        let place = values.len() - 1 - i;
        let vector = vectors.col(place);
        let mut component: Vec<f64> = match by_rows {
            true => (0..dim).map(|j| (0..n).map(|r| centred[r * dim + j] * vector[r]).sum()).collect(),
            false => vector.iter().copied().collect(),
        };
        let length = component.iter().map(|value| value * value).sum::<f64>().sqrt();
        let largest = component.iter().fold(0.0f64, |largest, v| if v.abs() > largest.abs() { *v } else { largest });
        let scale = if length > 0.0 { largest.signum() / length } else { 0.0 };
        component.iter_mut().for_each(|value| *value *= scale);
        components.extend(component);
        shares.push(if total > 0.0 { (values[place] / total).max(0.0) } else { 0.0 });
    }
    let along = |row: &[f64], i: usize| row.iter().zip(&components[i * dim..]).map(|(x, c)| x * c).sum::<f64>();
    let points = centred.chunks_exact(dim).flat_map(|row| (0..k).map(move |i| along(row, i))).collect();
    Ok(Pca { points, k, shares, components })
}

/// How many rows of `dim` numbers there are, once each number is known to be finite.
pub(super) fn rows_of(rows: &[f64], dim: usize) -> Result<usize> {
    if dim == 0 || !rows.len().is_multiple_of(dim) || rows.len() / dim < 2 {
        return Err(Error::new(format!("{} numbers are no two rows or more of {dim} numbers each", rows.len())));
    }
    match rows.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(Error::new(format!("row {} holds {}, expected finite numbers", at / dim, rows[at]))),
        None => Ok(rows.len() / dim),
    }
}

/// The eigenvalues of a symmetric matrix, the smallest first, and their vectors, a column each.
///
/// # Errors
/// Should not happen: finite symmetric matrices have them.
pub fn eigen(matrix: Mat<f64>) -> Result<(Vec<f64>, Mat<f64>)> {
    let eigen = matrix.self_adjoint_eigen(Side::Lower).map_err(|_| {
        Error::bug(format!("the eigenvalues of a {} by {} matrix did not converge", matrix.nrows(), matrix.ncols()))
    })?;
    Ok((eigen.S().column_vector().iter().copied().collect(), eigen.U().to_owned()))
}

/// A product on one thread: the same bits on any machine.
pub(super) fn times(left: MatRef<'_, f64>, right: MatRef<'_, f64>) -> Mat<f64> {
    let mut out = Mat::zeros(left.nrows(), right.ncols());
    faer::linalg::matmul::matmul(&mut out, faer::Accum::Replace, left, right, 1.0, Par::Seq);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_on_a_line_have_one_component() {
        // (3, 4) / 5 is the direction, and the steps along it are 5.
        let found = pca(&[0., 0., 3., 4., 6., 8.], 2, 2).unwrap();
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(near(found.components[0], 0.6) && near(found.components[1], 0.8), "{:?}", found.components);
        assert!(near(found.points[0], -5.0) && near(found.points[2], 0.0) && near(found.points[4], 5.0));
        assert!(near(found.shares[0], 1.0) && near(found.shares[1], 0.0));
    }

    #[test]
    fn fewer_rows_than_numbers_give_the_same_components() {
        // Zeros at the end change nothing but which product is taken.
        let rows = [1., 5., 2., 8., 3., 1., 0., 2., 7.];
        let wide: Vec<f64> = rows.chunks(3).flat_map(|row| [row, &[0.0; 4]].concat()).collect();
        let (narrow, wide) = (pca(&rows, 3, 2).unwrap(), pca(&wide, 7, 2).unwrap());
        for (a, b) in narrow.points.iter().zip(&wide.points).chain(narrow.shares.iter().zip(&wide.shares)) {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        }
    }

    #[test]
    fn what_has_no_components_says_why() {
        assert_eq!(
            pca(&[1., 2., 3., 4.], 2, 3).unwrap_err().message,
            "2 rows of 2 numbers have no 3 principal components"
        );
        assert_eq!(pca(&[1., 2., f64::NAN, 4.], 2, 1).unwrap_err().message, "row 1 holds NaN, expected finite numbers");
        assert!(pca(&[1., 2.], 2, 1).is_err());
    }
}
