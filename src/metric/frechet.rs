//! The Fréchet distance between two sets of features.

use faer::{Mat, MatRef, Side};
use rayon::prelude::*;

use super::features::{Features, comparable};
use super::interval::{Groups, Interval};
use super::matrix::{lower_gram, no_convergence, nuclear_norm, one_thread_each, product, view};
use crate::error::{Error, Result};

/// Into how many parts one decomposition is cut that has the machine for itself.
const PARTS: usize = 4;

/// The normal distribution that a set of features is summed up as.
///
/// The covariance is kept as a factor, `covariance = factor · factorᵀ`: the trace of the root of a product of two
/// covariances is the sum of the singular values of `factor₁ᵀ · factor₂`, so that nothing is squared that is rooted
/// afterwards, and singular covariances (fewer images than dimensions, features that are never on) lose no digits.
pub struct Gaussian {
    mean: Vec<f64>,
    factor: Mat<f64>,
    trace: f64,
}

impl Gaussian {
    /// Mean and unbiased covariance of `features`, of two images or more.
    pub fn of(features: &Features) -> Self {
        let mean = features.mean();
        // By feature, each in one piece: products of two features then take half the time.
        let by_feature = features.centred_by_feature(&mean);
        let centred = MatRef::from_row_major_slice(&by_feature, features.dim(), features.rows());
        let scale = 1. / (features.rows() as f64 - 1.);
        let squares = by_feature.par_chunks(features.rows()).map(|feature| feature.iter().map(|x| x * x).sum::<f64>());
        let trace = squares.collect::<Vec<f64>>().iter().sum::<f64>() * scale;
        let root = scale.sqrt();
        let factor = if features.rows() <= features.dim() {
            centred * faer::Scale(root)
        } else {
            one_thread_each();
            // Cholesky's factor of the scatter, unless some direction is so weak in it that squaring has cost digits.
            let cholesky = lower_gram(centred).llt(Side::Lower).ok().filter(|cholesky| {
                let pivots = cholesky.L().diagonal().column_vector();
                let (least, most) = pivots.iter().fold((f64::INFINITY, 0.0f64), |(a, b), x| (a.min(*x), b.max(*x)));
                least > 1e-4 * most
            });
            match cholesky {
                Some(cholesky) => cholesky.L() * faer::Scale(root),
                None => centred.transpose().qr().thin_R().transpose() * faer::Scale(root),
            }
        };
        Self { mean, factor, trace }
    }

    /// A normal distribution given by its `mean` of `d` numbers and `covariance` of `d · d`.
    pub fn from_statistics(mean: Vec<f64>, covariance: &[f64]) -> Result<Self> {
        let d = mean.len();
        if d == 0 || covariance.len() != d * d {
            return Err(Error::new(format!(
                "a mean of {d} numbers needs a covariance of {}, given {}",
                d * d,
                covariance.len()
            )));
        }
        let covariance = MatRef::from_row_major_slice(covariance, d, d);
        let trace = (0..d).map(|i| covariance[(i, i)]).sum();
        Ok(Self { mean, factor: factor(covariance)?, trace })
    }

    /// The squared Fréchet distance to `other`, at least 0:
    /// `|μ₁ - μ₂|² + tr Σ₁ + tr Σ₂ - 2 tr (Σ₁ Σ₂)^½` (Dowson & Landau 1982).
    pub fn distance(&self, other: &Self) -> Result<f64> {
        self.distance_in(other, PARTS)
    }

    fn distance_in(&self, other: &Self, parts: usize) -> Result<f64> {
        let means: f64 = self.mean.iter().zip(&other.mean).map(|(a, b)| (a - b) * (a - b)).sum();
        let overlap = nuclear_norm(product(self.factor.transpose(), other.factor.as_ref()).as_ref(), parts)?;
        Ok((means + (self.trace + other.trace - 2. * overlap)).max(0.))
    }
}

/// `f` with `f · fᵀ = covariance`: Cholesky's where it exists, else from the eigenvalues that are not rounding noise.
fn factor(covariance: MatRef<'_, f64>) -> Result<Mat<f64>> {
    one_thread_each();
    if let Ok(cholesky) = covariance.llt(Side::Lower) {
        return Ok(cholesky.L().to_owned());
    }
    let eigen = covariance.self_adjoint_eigen(Side::Lower).map_err(|_| no_convergence(covariance, "eigenvalues"))?;
    let values = eigen.S().column_vector();
    let d = values.nrows();
    let noise = values[d - 1].max(0.) * f64::EPSILON * d as f64;
    let mut factor = eigen.U().to_owned();
    for (j, column) in factor.col_iter_mut().enumerate() {
        let root = if values[j] > noise { values[j].sqrt() } else { 0. };
        column.iter_mut().for_each(|x| *x *= root);
    }
    Ok(factor)
}

/// The squared Fréchet distance between the normal distributions that the features are summed up as, at least 0.
///
/// Heusel et al. 2017, arXiv:1706.08500, with unbiased covariances. Grows as the sets shrink: compare values of equal
/// sizes only. Agrees with torch-fidelity, pytorch-fid and clean-fid on equal features; those can return slightly
/// negative numbers for equal sets, this returns 0.
pub fn frechet_distance(real: &Features, fake: &Features) -> Result<f64> {
    comparable(real, fake, 2)?;
    let (real, fake) = rayon::join(|| Gaussian::of(real), || Gaussian::of(fake));
    real.distance(&fake)
}

/// What the distance becomes as each group of images is left out, on both sides at once.
pub fn frechet_without_groups(real: &Features, fake: &Features, groups: (&Groups, &Groups)) -> Result<Vec<f64>> {
    let (real, fake) = (Removal::new(real), Removal::new(fake));
    (0..Groups::COUNT)
        .into_par_iter()
        .map(|group| real.without(&groups.0.members(group))?.distance_in(&fake.without(&groups.1.members(group))?, 1))
        .collect()
}

/// The distance with its interval, or without one where there are too few images to form groups.
pub fn frechet_with_interval(real: &Features, fake: &Features, seed: u64) -> Result<(f64, Option<Interval>)> {
    let value = frechet_distance(real, fake)?;
    let (Some(a), Some(b)) = (Groups::new(real.rows(), seed, "real"), Groups::new(fake.rows(), seed, "fake")) else {
        return Ok((value, None));
    };
    let without = frechet_without_groups(real, fake, (&a, &b))?;
    Ok((value, Some(Interval::from_left_out(value, &without).within(0., f64::INFINITY))))
}

/// One side, prepared for taking some images out again.
struct Removal {
    centred: Features,
    mean: Vec<f64>,
    /// The lower half of the sum of the outer products of the centred rows; absent where rows are fewer than dimensions.
    scatter: Option<Mat<f64>>,
}

impl Removal {
    fn new(features: &Features) -> Self {
        let mean = features.mean();
        let centred = features.centred(&mean);
        let scatter = (centred.rows() > centred.dim() + centred.rows() / Groups::COUNT + 1).then(|| {
            let by_feature = features.centred_by_feature(&mean);
            lower_gram(MatRef::from_row_major_slice(&by_feature, features.dim(), features.rows()))
        });
        Self { centred, mean, scatter }
    }

    fn without(&self, rows: &[usize]) -> Result<Gaussian> {
        let Some(scatter) = &self.scatter else {
            let mut kept = vec![true; self.centred.rows()];
            rows.iter().for_each(|&row| kept[row] = false);
            let kept: Vec<usize> = (0..kept.len()).filter(|&row| kept[row]).collect();
            let mut gaussian = Gaussian::of(&self.centred.select(&kept));
            gaussian.mean.iter_mut().zip(&self.mean).for_each(|(m, origin)| *m += origin);
            return Ok(gaussian);
        };
        let gone = self.centred.select(rows);
        let left = (self.centred.rows() - rows.len()) as f64;
        // The centred rows sum to zero, so those that stay sum to minus those that go.
        let shift: Vec<f64> = gone.mean().iter().map(|m| -m * rows.len() as f64 / left).collect();
        let mut covariance = scatter - view(&gone).transpose() * view(&gone);
        let d = shift.len();
        for j in 0..d {
            for i in 0..d {
                covariance[(i, j)] = (covariance[(i, j)] - left * shift[i] * shift[j]) / (left - 1.);
            }
        }
        let trace: f64 = (0..d).map(|i| covariance[(i, i)]).sum();
        // A ridge far below any difference that counts here lets features that are never on pass Cholesky.
        let ridge = 1e-12 * trace / d as f64;
        (0..d).for_each(|i| covariance[(i, i)] += ridge);
        let mean = self.mean.iter().zip(&shift).map(|(m, s)| m + s).collect();
        Ok(Gaussian { mean, factor: factor(covariance.as_ref())?, trace })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_form_between_round_normals() {
        // d = 8, every mean 0.5 apart, deviations 1 and 2: 8 · 0.25 + 8 · (1 - 2)² = 10.
        let identity = |scale: f64| -> Vec<f64> { (0..64).map(|i| if i % 9 == 0 { scale } else { 0. }).collect() };
        let a = Gaussian::from_statistics(vec![0.; 8], &identity(1.)).unwrap();
        let b = Gaussian::from_statistics(vec![0.5; 8], &identity(4.)).unwrap();
        assert!((a.distance(&b).unwrap() - 10.).abs() < 1e-13);
    }

    #[test]
    fn the_anchor_of_compare_gan() {
        let pairs = |a: [f64; 2], b: [f64; 2]| Features::new([a.repeat(50), b.repeat(50)].concat(), 100, 2).unwrap();
        let distance = frechet_distance(&pairs([2., 1.], [1., 1.]), &pairs([9., 9.], [2., 9.])).unwrap();
        assert!((distance - 89.091).abs() < 1e-3, "{distance}");
    }

    #[test]
    fn taking_images_out_equals_never_having_had_them() {
        for (rows, dim) in [(60, 5), (44, 60)] {
            let wave = |phase: f64| -> Vec<f64> {
                (0..rows * dim).map(|i| ((i * i) as f64 * 0.7 + phase).sin() + 3.).collect()
            };
            let a = Features::new(wave(0.), rows, dim).unwrap();
            let b = Features::new(wave(1.), rows, dim).unwrap();
            let groups = Groups::new(rows, 1, "real").unwrap();
            let without = frechet_without_groups(&a, &b, (&groups, &groups)).unwrap();
            let kept: Vec<usize> = (0..rows).filter(|row| !groups.members(3).contains(row)).collect();
            let direct = frechet_distance(&a.select(&kept), &b.select(&kept)).unwrap();
            assert!((without[3] / direct - 1.).abs() < 1e-7, "{} {direct}", without[3]);
        }
    }
}
