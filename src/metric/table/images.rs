//! Metrics of the images themselves, without features.

use super::super::cas::{cas, trained_on};
use super::super::fractal_dimension::{CENTRES, fractal_dimension_of_images};
use super::super::interval::Interval;
use super::super::ms_ssim::{BATCH, ms_ssim};
use super::super::scores::Better;
use super::{Measure, Measured, Metric, Need, Whole};
use crate::data::Images;
use crate::error::{Error, Result};

pub(super) const MS_SSIM: Metric = Metric {
    name: "ms_ssim",
    doc: "How alike pairs of generated images are: a collapse of the generator shows as a high value.\n\n\
          The multi-scale structural similarity, 0 to 1, mean over all pairs within five random sets of 64 images. Neither high \
          nor low is good: compare with real images, whose value stands beside it. Windows of 11 pixels (smaller where a scale \
          is), deviation 1.5, five scales. Odena et al. 2017, arXiv:1610.09585.",
    needs: &[],
    measure: Measure::Whole(|w| {
        let score = |images: &Images| ms_ssim(images, w.options.seed, &w.job.stop);
        let settings = format!("pairs within sets of {}", BATCH.min(w.fake.n()));
        of_images(
            w,
            score,
            Measured { metric: "ms_ssim".into(), label: "MS-SSIM".into(), settings, ..Measured::default() },
        )
    }),
};

pub(super) const FRACTAL_DIMENSION: Metric = Metric {
    name: "fractal_dimension",
    doc: "In how many directions the generated images spread, as points in the space of pixels.\n\n\
          The slope of the logarithm of the number of images within a radius against that of the radius, about the middle. \
          Compare with real images: a lower value tells of a collapse. Distances are Euclidean, from 100 of the images. \
          Grassberger & Procaccia 1983, doi:10.1016/0167-2789(83)90298-1.",
    needs: &[],
    measure: Measure::Whole(|w| {
        let settings = format!("from {CENTRES} images");
        let row = Measured {
            metric: "fractal_dimension".into(),
            label: "Fractal dimension".into(),
            settings,
            ..Measured::default()
        };
        of_images(w, |images| fractal_dimension_of_images(images, w.options.seed), row)
    }),
};

/// `row` with the score of the generated images, and that of the real ones in their place.
fn of_images(
    w: &Whole<'_>,
    score: impl Fn(&Images) -> Result<(f64, Option<Interval>)>,
    row: Measured,
) -> Result<Vec<Measured>> {
    let (value, interval) = score(w.fake)?;
    let floor = match w.stand_in {
        Some((images, name)) => Some((score(images)?.0, name.to_string())),
        None => None,
    };
    let interval = interval.filter(|_| w.options.intervals);
    Ok(vec![Measured { value, interval, floor, better: Better::Neither, ..row }])
}

pub(super) const CAS: Metric = Metric {
    name: "cas",
    doc: "Whether generated images can stand in for real ones as training data: the classification accuracy score.\n\n\
          `cas`: a classifier learns from the generated images and the classes they were asked to show, and is tested on the \
          held-out real ones; as many real training images in their place give what stands under `real`. `cas_reverse`: the \
          classifier that learned from these real images is tested on the generated ones. Both are shares, higher is better. \
          Intervals are over the test images, for the one classifier that was trained. The first needs diversity, the second \
          rewards clear images alone. Ravuri & Vinyals 2019, arXiv:1905.10887; Shmelkov et al. 2018, arXiv:1807.09499.",
    needs: &[Need::Labels, Need::Training],
    measure: Measure::Whole(|w| {
        let missing = || Error::bug("classifiers were trained without labels");
        let (labels, train) = (w.fake_labels.ok_or_else(missing)?, w.train.ok_or_else(missing)?);
        let fakes = trained_on(w.fake, labels, w.real.classes())?;
        let found = cas(w.real, train, &fakes, w.options, w.job)?;
        let settings =
            format!("{} for {} passes over {} images", w.options.cas_network, w.options.cas_epochs, fakes.n());
        let row = |metric: &str, label: &str, (value, interval): (f64, Option<Interval>)| Measured {
            metric: metric.into(),
            label: label.into(),
            value,
            interval: interval.filter(|_| w.options.intervals),
            better: Better::Higher,
            settings: settings.clone(),
            ..Measured::default()
        };
        let of_train = format!("{} of {}", found.images, train.name());
        Ok(vec![
            Measured {
                floor: Some((found.real, of_train.clone())),
                ..row("cas", "Trained on generated, tested on real", found.cas)
            },
            Measured {
                floor: Some((found.real, of_train)),
                ..row("cas_reverse", "Trained on real, tested on generated", found.reverse)
            },
        ])
    }),
};
