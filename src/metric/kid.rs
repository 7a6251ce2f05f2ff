//! The kernel distance: maximum mean discrepancy under a cubic kernel.

use faer::Mat;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::features::{Features, comparable};
use super::interval::{Groups, Interval};
use super::matrix::{for_blocks, for_blocks_onward};
use super::numpy_order::NumpyOrder;
use crate::error::{Error, Result};

/// Sets of images to take the distance between, all in one pass over the kernel matrices: column `s` of `real` and of
/// `fake` holds 1 for the images of set `s` and 0 for the others.
struct Sets {
    real: Mat<f64>,
    fake: Mat<f64>,
}

impl Sets {
    fn new(real: usize, fake: usize, sets: usize) -> Self {
        Self { real: Mat::zeros(real, sets), fake: Mat::zeros(fake, sets) }
    }
}

/// `(x · y / d + 1)³`: Bińkowski et al. 2018, arXiv:1801.01401.
fn polynomial(inner_product: f64, dim: usize) -> f64 {
    let base = inner_product / dim as f64 + 1.;
    base * base * base
}

/// `Σᵢⱼ a[i, s] k(xᵢ, yⱼ) b[j, s]` for every set `s`, without ever holding the whole kernel matrix.
fn kernel_sums(x: &Features, y: &Features, a: &Mat<f64>, b: &Mat<f64>) -> Vec<f64> {
    let sets = a.ncols();
    let blocks = for_blocks(x, y, |first, kernel| {
        kernel.iter_mut().for_each(|k| *k = polynomial(*k, x.dim()));
        let rows = kernel.len() / y.rows();
        let mut weighted = vec![0.; rows * sets];
        let target = MatMut::from_row_major_slice_mut(&mut weighted, rows, sets);
        matmul(target, Accum::Replace, MatRef::from_row_major_slice(kernel, rows, y.rows()), b, 1., Par::Seq);
        (0..sets)
            .map(|s| (0..rows).map(|row| a[(first + row, s)] * weighted[row * sets + s]).sum::<f64>())
            .collect::<Vec<f64>>()
    });
    (0..sets).map(|s| blocks.iter().map(|block| block[s]).sum()).collect()
}

/// `Σ k(xᵢ, xⱼ)` over the pairs of different images in every set, and the size of the set. Each pair is looked at in one order.
fn pairs_within(x: &Features, members: &Mat<f64>) -> Vec<(f64, f64)> {
    let sets = members.ncols();
    let blocks = for_blocks_onward(x, |first, columns, kernel| {
        let rows = kernel.len() / columns;
        for (row, kernel) in kernel.chunks_exact_mut(columns).enumerate() {
            // What lies on and before the diagonal counts elsewhere or not at all.
            kernel[..=row].fill(0.);
            kernel[row + 1..].iter_mut().for_each(|k| *k = 2. * polynomial(*k, x.dim()));
        }
        let mut weighted = vec![0.; rows * sets];
        let target = MatMut::from_row_major_slice_mut(&mut weighted, rows, sets);
        let kernel = MatRef::from_row_major_slice(kernel, rows, columns);
        matmul(target, Accum::Replace, kernel, members.subrows(first, columns), 1., Par::Seq);
        (0..sets)
            .map(|s| (0..rows).map(|row| members[(first + row, s)] * weighted[row * sets + s]).sum::<f64>())
            .collect::<Vec<f64>>()
    });
    (0..sets)
        .map(|s| (blocks.iter().map(|block| block[s]).sum(), (0..x.rows()).map(|i| members[(i, s)]).sum()))
        .collect()
}

/// The unbiased estimate of every set.
fn discrepancies(real: &Features, fake: &Features, sets: &Sets) -> Vec<f64> {
    let (within_real, within_fake) = (pairs_within(real, &sets.real), pairs_within(fake, &sets.fake));
    let between = kernel_sums(real, fake, &sets.real, &sets.fake);
    within_real
        .into_iter()
        .zip(within_fake)
        .zip(between)
        .map(|(((real, n), (fake, m)), between)| real / (n * (n - 1.)) + fake / (m * (m - 1.)) - 2. * between / (n * m))
        .collect()
}

/// The kernel distance as published: mean and deviation over `subsets` random subsets of `subset_size` images a side.
///
/// Unbiased whatever the number of images, and slightly negative by chance where the sets are alike. Deals the rows
/// that torch-fidelity deals for `kid_features_to_metric(first, second)` with the same `seed` (its default is 2020,
/// with 100 subsets of 1000), so the numbers agree. The argument order matters to that deal alone.
pub fn kid_subsets(
    first: &Features,
    second: &Features,
    subsets: usize,
    subset_size: usize,
    seed: u32,
) -> Result<(f64, f64)> {
    comparable(first, second, 2)?;
    let least = first.rows().min(second.rows());
    if subsets == 0 || subset_size < 2 || subset_size > least {
        return Err(Error::new(format!(
            "{subsets} subsets of {subset_size} images cannot be drawn from {least} images"
        ))
        .help(format!("a subset has from 2 to {least} images here, and there is at least one subset")));
    }
    let mut sets = Sets::new(first.rows(), second.rows(), subsets);
    let mut numpy = NumpyOrder::new(seed);
    for s in 0..subsets {
        numpy.choice(first.rows(), subset_size).into_iter().for_each(|i| sets.real[(i, s)] = 1.);
        numpy.choice(second.rows(), subset_size).into_iter().for_each(|i| sets.fake[(i, s)] = 1.);
    }
    let values = discrepancies(first, second, &sets);
    let mean = values.iter().sum::<f64>() / subsets as f64;
    let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / subsets as f64;
    Ok((mean, variance.sqrt()))
}

/// The kernel distance from every pair of images: the estimate with the least variance.
pub fn kid(real: &Features, fake: &Features) -> Result<f64> {
    comparable(real, fake, 2)?;
    let mut sets = Sets::new(real.rows(), fake.rows(), 1);
    sets.real.fill(1.);
    sets.fake.fill(1.);
    Ok(discrepancies(real, fake, &sets)[0])
}

/// [`kid`] with its interval, or without one where there are too few images to form groups.
pub fn kid_with_interval(real: &Features, fake: &Features, seed: u64) -> Result<(f64, Option<Interval>)> {
    comparable(real, fake, 2)?;
    let (Some(a), Some(b)) = (Groups::new(real.rows(), seed, "real"), Groups::new(fake.rows(), seed, "fake")) else {
        return Ok((kid(real, fake)?, None));
    };
    // Set 0 is everything; set 1 + g leaves group g out.
    let mut sets = Sets::new(real.rows(), fake.rows(), 1 + Groups::COUNT);
    for (members, groups) in [(&mut sets.real, a), (&mut sets.fake, b)] {
        members.fill(1.);
        (0..members.nrows()).for_each(|i| members[(i, 1 + groups.of(i))] = 0.);
    }
    let values = discrepancies(real, fake, &sets);
    Ok((values[0], Some(Interval::from_left_out(values[0], &values[1..]))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_points_a_side_by_hand() {
        // d = 1: k(x, y) = (xy + 1)³. Real 0, 1; fake 1, 2.
        let real = Features::new(vec![0., 1.], 2, 1).unwrap();
        let fake = Features::new(vec![1., 2.], 2, 1).unwrap();
        // Within real (0·1 + 1)³ = 1, within fake (1·2 + 1)³ = 27, between (1 + 1 + 8 + 27) / 4.
        let expected = 1. + 27. - 2. * (1. + 1. + 8. + 27.) / 4.;
        assert!((kid(&real, &fake).unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn one_subset_of_everything_is_the_whole_set() {
        let wave = |phase: f64| {
            Features::new((0..300).map(|i| ((i * i) as f64 * 0.7 + phase).sin()).collect(), 50, 6).unwrap()
        };
        let (a, b) = (wave(0.), wave(1.));
        let (mean, deviation) = kid_subsets(&a, &b, 1, 50, 7).unwrap();
        assert!((mean - kid(&a, &b).unwrap()).abs() < 1e-12);
        assert_eq!(deviation, 0.);
        assert!((kid_with_interval(&a, &b, 1).unwrap().0 - kid(&a, &b).unwrap()).abs() < 1e-12);
    }

    #[test]
    fn a_subset_larger_than_the_set_is_refused() {
        let a = Features::new(vec![0.; 6], 6, 1).unwrap();
        let error = kid_subsets(&a, &a, 100, 1000, 2020).unwrap_err();
        assert_eq!(error.message, "100 subsets of 1000 images cannot be drawn from 6 images");
    }
}
