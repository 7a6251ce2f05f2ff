//! The Fréchet distance within each class: a generator may match all images together and still mix up its classes.

use super::features::Features;
use super::frechet::{frechet_distance, frechet_without_groups};
use super::interval::{Groups, Interval};
use crate::error::{Error, Result};

/// Distances within classes, and their mean.
#[derive(Debug, Clone, PartialEq)]
pub struct PerClass {
    /// The mean over classes, each counting the same: the "intra FID" of Miyato & Koyama 2018, arXiv:1802.05637.
    pub mean: (f64, Option<Interval>),
    /// By class.
    pub classes: Vec<(f64, Option<Interval>)>,
}

/// Features with a label each.
#[derive(Clone, Copy)]
pub struct Labelled<'a> {
    /// What an extractor saw.
    pub features: &'a Features,
    /// The class of each image: what it shows, or what it was asked to show.
    pub labels: &'a [u32],
}

/// The Fréchet distance between the real and the fake images of each of `classes`; with a `seed`, intervals too.
pub fn frechet_per_class(
    real: Labelled<'_>,
    fake: Labelled<'_>,
    classes: &[String],
    seed: Option<u64>,
) -> Result<PerClass> {
    let (real, fake) = (by_class(real, classes, "real")?, by_class(fake, classes, "fake")?);
    let mut values = Vec::new();
    // The mean without group `g`, while every class so far has groups.
    let mut mean_without = seed.map(|_| vec![0.; Groups::COUNT]);
    for (real, fake) in real.iter().zip(&fake) {
        let value = frechet_distance(real, fake)?;
        let groups =
            seed.and_then(|seed| Groups::new(real.rows(), seed, "real").zip(Groups::new(fake.rows(), seed, "fake")));
        let interval = match groups {
            Some((a, b)) => {
                let without = frechet_without_groups(real, fake, (&a, &b))?;
                if let Some(sums) = &mut mean_without {
                    sums.iter_mut().zip(&without).for_each(|(sum, x)| *sum += x / classes.len() as f64);
                }
                Some(Interval::from_left_out(value, &without).within(0., f64::INFINITY))
            }
            None => {
                mean_without = None;
                None
            }
        };
        values.push((value, interval));
    }
    let mean = values.iter().map(|(value, _)| value).sum::<f64>() / classes.len() as f64;
    let interval = mean_without.map(|without| Interval::from_left_out(mean, &without).within(0., f64::INFINITY));
    Ok(PerClass { mean: (mean, interval), classes: values })
}

fn by_class(side: Labelled<'_>, classes: &[String], name: &str) -> Result<Vec<Features>> {
    if side.labels.len() != side.features.rows() {
        return Err(Error::new(format!(
            "{} labels were given for {} {name} images; there is one label an image",
            side.labels.len(),
            side.features.rows()
        )));
    }
    if let Some(label) = side.labels.iter().find(|&&label| label as usize >= classes.len()) {
        return Err(Error::new(format!(
            "label {label} of a {name} image is out of range; there are {} classes, from 0",
            classes.len()
        )));
    }
    (0..classes.len())
        .map(|class| {
            let rows: Vec<usize> = (0..side.labels.len()).filter(|&row| side.labels[row] as usize == class).collect();
            if rows.len() < 2 {
                return Err(Error::new(format!(
                    "class `{}` has {} {name} images, at least 2 are needed",
                    classes[class],
                    rows.len()
                ))
                .help("ask for more images, or for the same number of each class"));
            }
            Ok(side.features.select(&rows))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        vec!["shirt".into(), "bag".into()]
    }

    #[test]
    fn swapped_classes_are_seen_that_the_distance_of_all_does_not_see() {
        let labels = [0, 0, 0, 1, 1, 1];
        let real = Features::new(vec![0., 1., 2., 10., 11., 12.], 6, 1).unwrap();
        let fake = Features::new(vec![10., 11., 12., 0., 1., 2.], 6, 1).unwrap();
        assert!(frechet_distance(&real, &fake).unwrap() < 1e-12);
        let side = |features| Labelled { features, labels: &labels };
        let result = frechet_per_class(side(&real), side(&fake), &names(), Some(1)).unwrap();
        // Each class has its own mean ten away, and the same spread.
        assert!((result.mean.0 - 100.).abs() < 1e-9 && (result.classes[1].0 - 100.).abs() < 1e-9);
        assert_eq!(result.mean.1, None);
    }

    #[test]
    fn a_class_without_images_is_named() {
        let features = Features::new(vec![0., 1., 2.], 3, 1).unwrap();
        let side = |labels| Labelled { features: &features, labels };
        let error = frechet_per_class(side(&[0, 1, 1]), side(&[0, 1, 1]), &names(), None).unwrap_err();
        assert_eq!(error.message, "class `shirt` has 1 real images, at least 2 are needed");
        let error = frechet_per_class(side(&[0, 1, 2]), side(&[0, 1, 1]), &names(), None).unwrap_err();
        assert_eq!(error.message, "label 2 of a real image is out of range; there are 2 classes, from 0");
    }
}
