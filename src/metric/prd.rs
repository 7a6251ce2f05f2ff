//! Precision and recall of distributions: how much of one set lies within the other, as a curve.

use super::features::{Features, comparable};
use super::interval::{Groups, Interval};
use crate::error::{Error, Result};
use crate::nn::{KMeansOptions, k_means};
use crate::progress::Stop;
use crate::tensor::Rng;

/// Slopes at which the curve is taken.
const ANGLES: usize = 1001;
/// How near the first and the last slope come to zero and to endless.
const EPSILON: f64 = 1e-10;
/// Clusters of both sets together.
pub const CLUSTERS: usize = 20;
/// Times that the clusters are looked for; the curve is the mean.
pub const CLUSTERINGS: usize = 10;

/// A curve of precision against recall, from all precision to all recall.
#[derive(Debug, Clone, PartialEq)]
pub struct Prd {
    /// How much of the generated images is real, from 0 to 1.
    pub precision: Vec<f64>,
    /// How much of the real images is generated, from 0 to 1.
    pub recall: Vec<f64>,
}

impl Prd {
    /// The curve between two histograms over the same cells, each summing to 1, at `angles` slopes.
    ///
    /// # Errors
    /// The histograms do not match; there are fewer than 3 or more than a million angles; `epsilon` is not between 0 and 0.1.
    pub fn of_histograms(real: &[f64], fake: &[f64], angles: usize, epsilon: f64) -> Result<Self> {
        if real.len() != fake.len() || real.is_empty() {
            return Err(Error::new(format!(
                "the histograms have {} and {} cells; both must have the same",
                real.len(),
                fake.len()
            )));
        }
        if !(epsilon > 0. && epsilon < 0.1) {
            return Err(Error::new(format!("`epsilon` is {epsilon}")).help("it must lie between 0 and 0.1"));
        }
        if !(3..=1_000_000).contains(&angles) {
            return Err(Error::new(format!("`angles` is {angles}")).help("it must be from 3 to 1000000"));
        }
        let last = std::f64::consts::FRAC_PI_2 - epsilon;
        let mut curve = Self { precision: Vec::with_capacity(angles), recall: Vec::with_capacity(angles) };
        for i in 0..angles {
            let slope = (epsilon + (last - epsilon) * i as f64 / (angles - 1) as f64).tan();
            let precision: f64 = real.iter().zip(fake).map(|(real, fake)| (slope * real).min(*fake)).sum();
            // Sums of shares that make one by rounding alone.
            curve.precision.push(precision.min(1.));
            curve.recall.push((precision / slope).min(1.));
        }
        Ok(curve)
    }

    /// The largest F-score along the curve, where recall counts `beta` times as much as precision.
    ///
    /// # Errors
    /// `beta` is not above zero.
    pub fn f_beta(&self, beta: f64) -> Result<f64> {
        self.precision
            .iter()
            .zip(&self.recall)
            .map(|(p, r)| f_beta(*p, *r, beta))
            .try_fold(0., |most, f| Ok(f64::max(most, f?)))
    }
}

/// The F-score of a precision and a recall, where recall counts `beta` times as much.
///
/// # Errors
/// `beta` is not above zero, or a share is not from 0 to 1.
pub fn f_beta(precision: f64, recall: f64, beta: f64) -> Result<f64> {
    if !(beta > 0. && beta.is_finite()) {
        return Err(Error::new(format!("`beta` is {beta}")).help("it must be above 0"));
    }
    if ![precision, recall].iter().all(|share| (0. ..=1.).contains(share)) {
        return Err(Error::new(format!("precision {precision} and recall {recall} must be from 0 to 1")));
    }
    Ok((1. + beta * beta) * precision * recall / (beta * beta * precision + recall + 1e-10))
}

/// The curve and its two summaries.
#[derive(Debug, Clone)]
pub struct PrdScores {
    /// The mean over the clusterings.
    pub curve: Prd,
    /// F with recall eight times as important: high for sets that cover the real one.
    pub f8: (f64, Option<Interval>),
    /// F with precision eight times as important: high for sets that look real.
    pub f1_8: (f64, Option<Interval>),
    /// Images of each side that were clustered: of the larger side as many as of the smaller.
    pub images: usize,
}

/// Precision and recall of distributions between two sets of features.
///
/// Sajjadi et al. 2018, arXiv:1806.00035. The union is cut into twenty clusters by mini-batch k-means, ten times from other
/// starts; the curve of each is that of the shares of both sets in the clusters, and the mean counts. Intervals leave groups
/// of images out of the histograms and keep the clusters.
///
/// # Errors
/// There are too few images for the clusters; a person asked to stop.
pub fn prd(real: &Features, fake: &Features, intervals: bool, seed: u64, stop: &Stop) -> Result<PrdScores> {
    comparable(real, fake, CLUSTERS)?;
    let images = real.rows().min(fake.rows());
    let rng = Rng::new(seed).stream("prd");
    // Sets of unequal size fill the clusters unequally.
    let even = |features: &Features, side: &str| {
        if features.rows() == images {
            return features.clone();
        }
        let mut rows = rng.stream(side).permutation(features.rows());
        rows.truncate(images);
        features.select(&rows)
    };
    let union = [even(fake, "fake").data(), even(real, "real").data()].concat();
    let groups = match intervals {
        true => Groups::new(images, seed, "fake").zip(Groups::new(images, seed, "real")),
        false => None,
    };
    let views = if groups.is_some() { 1 + Groups::COUNT } else { 1 };
    let mut curves = vec![Prd { precision: vec![0.; ANGLES], recall: vec![0.; ANGLES] }; views];
    for clustering in 0..CLUSTERINGS as u64 {
        let options = KMeansOptions {
            k: CLUSTERS,
            n_init: 10,
            max_passes: 10,
            batch: Some(1024),
            seed: rng.at(clustering).below(1 << 31) as u64,
            ..KMeansOptions::default()
        };
        let labels = k_means(&union, real.dim(), &options, stop)?.labels;
        let (fakes, reals) = labels.split_at(images);
        for (view, curve) in curves.iter_mut().enumerate() {
            let kept = |groups: Option<&Groups>, image: usize| {
                view == 0 || groups.is_none_or(|groups| groups.of(image) != view - 1)
            };
            let histogram = |labels: &[u32], groups: Option<&Groups>| {
                let mut cells = [0.; CLUSTERS];
                let members = labels.iter().enumerate().filter(|(image, _)| kept(groups, *image));
                members.for_each(|(_, label)| cells[*label as usize] += 1.);
                let total: f64 = cells.iter().sum();
                cells.iter().map(|count| count / total).collect::<Vec<f64>>()
            };
            let real = histogram(reals, groups.as_ref().map(|groups| &groups.1));
            let fake = histogram(fakes, groups.as_ref().map(|groups| &groups.0));
            let one = Prd::of_histograms(&real, &fake, ANGLES, EPSILON)?;
            for (mean, one) in [(&mut curve.precision, one.precision), (&mut curve.recall, one.recall)] {
                mean.iter_mut().zip(one).for_each(|(mean, share)| *mean += share / CLUSTERINGS as f64);
            }
        }
    }
    for curve in &mut curves {
        // Ten tenths may make a little more than one.
        curve.precision.iter_mut().chain(&mut curve.recall).for_each(|share| *share = share.min(1.));
    }
    let summary = |beta: f64| -> Result<(f64, Option<Interval>)> {
        let values = curves.iter().map(|curve| curve.f_beta(beta)).collect::<Result<Vec<f64>>>()?;
        let interval = (views > 1).then(|| Interval::from_left_out(values[0], &values[1..]).within(0., 1.));
        Ok((values[0], interval))
    };
    let (f8, f1_8) = (summary(8.)?, summary(1. / 8.)?);
    Ok(PrdScores { curve: curves.swap_remove(0), f8, f1_8, images })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(real: &[f64], fake: &[f64]) -> Prd {
        Prd::of_histograms(real, fake, 3, 1e-10).unwrap()
    }

    #[track_caller]
    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} {b}");
    }

    #[test]
    fn the_anchors_of_compare_gan_on_histograms() {
        let apart = curve(&[0., 1.], &[1., 0.]);
        assert!(apart.precision.iter().chain(&apart.recall).all(|share| *share < 1e-9), "{apart:?}");
        let equal = curve(&[0.3, 0.7], &[0.3, 0.7]);
        near(equal.precision[1], 1.);
        near(equal.recall[1], 1.);
        // Half of what is generated is real, and all that is real is generated.
        let wide = curve(&[1., 0.], &[0.5, 0.5]);
        near(wide.precision[1], 0.5);
        near(wide.recall[1], 0.5);
        near(wide.precision[2], 0.5);
        near(wide.recall[0], 1.);
        let narrow = curve(&[0.5, 0.5], &[1., 0.]);
        near(narrow.precision[1], 0.5);
        near(narrow.precision[2], 1.);
        near(narrow.recall[0], 0.5);
    }

    #[test]
    fn the_anchors_of_compare_gan_on_f_scores() {
        near(f_beta(1., 1., 1.).unwrap(), 1.);
        near(f_beta(1., 0., 1.).unwrap(), 0.);
        near(f_beta(0.5, 0.5, 1.).unwrap(), 0.5);
        near(f_beta(1., 0.5, 1.).unwrap(), 2. / 3.);
        near(f_beta(1., 0.5, 2.).unwrap(), 5. / 9.);
        near(f_beta(1., 0.5, 0.5).unwrap(), 5. / 6.);
        assert_eq!(f_beta(1., 0.5, 0.).unwrap_err().message, "`beta` is 0");
        assert!(f_beta(1.5, 0.5, 1.).is_err() && f_beta(0.5, -0.1, 1.).is_err());
    }

    #[test]
    fn what_is_no_curve_is_refused() {
        let refused = |angles, epsilon| Prd::of_histograms(&[1.], &[1.], angles, epsilon).unwrap_err().message;
        assert_eq!(refused(2, 1e-10), "`angles` is 2");
        assert_eq!(refused(2_000_000, 1e-10), "`angles` is 2000000");
        assert_eq!(refused(3, 0.), "`epsilon` is 0");
        assert_eq!(refused(3, 0.1), "`epsilon` is 0.1");
        assert!(Prd::of_histograms(&[1.], &[0.5, 0.5], 3, 1e-10).is_err());
    }

    /// Images in `modes` of ten places in a plane, far from one another.
    fn places(n: usize, modes: usize, seed: u64) -> Features {
        let mut rng = Rng::new(seed);
        let mut data = Vec::new();
        for i in 0..n {
            let mode = (i % modes) as f64;
            data.extend([10. * mode + f64::from(rng.normal()), f64::from(rng.normal())]);
        }
        Features::new(data, n, 2).unwrap()
    }

    #[test]
    fn a_lost_half_of_the_modes_costs_recall_and_no_precision() {
        let stop = Stop::default();
        let all = places(400, 10, 1);
        let same = prd(&all, &places(500, 10, 2), true, 1, &stop).unwrap();
        assert!(same.f8.0 > 0.95 && same.f1_8.0 > 0.95, "{:?} {:?}", same.f8, same.f1_8);
        assert_eq!(same.images, 400);
        let half = prd(&all, &places(400, 5, 3), true, 1, &stop).unwrap();
        assert!(half.f8.0 < 0.6 && half.f1_8.0 > 0.93, "{:?} {:?}", half.f8, half.f1_8);
        let interval = half.f8.1.unwrap();
        assert!(interval.low < half.f8.0 && half.f8.0 < interval.high);
        // The sides change places.
        let turned = prd(&places(400, 5, 3), &all, false, 1, &stop).unwrap();
        assert!((turned.f1_8.0 - half.f8.0).abs() < 0.02, "{:?}", turned.f1_8);
        stop.raise();
        assert!(prd(&all, &all, false, 1, &stop).unwrap_err().is_interrupt());
    }
}
