//! Generated images as training data: the classification accuracy score, and its reverse.

use super::accuracy::accuracy_with_interval;
use super::cache::Cache;
use super::evaluate::EvaluateOptions;
use super::extractor::see;
use super::interval::Interval;
use super::judge::{Judge, JudgeOptions};
use crate::data::{Dataset, Images, Truth};
use crate::error::{Error, Result};
use crate::progress::Job;
use crate::tensor::{Device, Rng};

/// Three accuracies.
#[derive(Debug, Clone, PartialEq)]
pub struct Cas {
    /// On held-out real images, after learning from generated ones.
    pub cas: (f64, Option<Interval>),
    /// On generated images, after learning from real ones.
    pub reverse: (f64, Option<Interval>),
    /// On held-out real images, after learning from real ones.
    pub real: f64,
    /// How many real images were learned from.
    pub images: usize,
}

/// Generated images as a data set, with the classes they were asked to show for truth.
///
/// # Errors
/// A label is out of range.
pub fn trained_on(images: &Images, labels: &[u32], classes: &[String]) -> Result<Dataset> {
    let truth = Truth::new(labels.to_vec(), classes.to_vec())?;
    Dataset::new("generated images", images.clone(), Some(truth), "a generator")
}

/// Trains one classifier on `fake` and one on as many images of `train`, and tests them on `test`, the second on `fake` too.
///
/// # Errors
/// A set has no labels; classes differ; a person asked to stop.
pub fn cas(test: &Dataset, train: &Dataset, fake: &Dataset, options: &EvaluateOptions, job: &Job) -> Result<Cas> {
    if train.classes() != test.classes() {
        return Err(Error::new(format!(
            "`{}` has the classes {:?}, `{}` has {:?}; both must be alike",
            train.name(),
            train.classes(),
            test.name(),
            test.classes()
        )));
    }
    let mut order = Rng::new(options.seed).stream("cas").permutation(train.n());
    order.truncate(fake.n());
    let rows: Vec<u32> = order.into_iter().map(|row| row as u32).collect();
    let real = train.select(train.name(), &rows)?;
    let settings = JudgeOptions {
        network: options.cas_network.clone(),
        epochs: options.cas_epochs,
        batch: 64.min(fake.n()).min(real.n()),
        seed: options.seed,
        ..JudgeOptions::default()
    };
    let train = |data: &Dataset| Judge::train(data, &settings, &Device::Cpu, &Cache::none(), job);
    let test_on = |judge: &Judge, data: &Dataset| -> Result<(f64, Option<Interval>)> {
        let seen = see(judge, data.images(), |_| job.stop.check())?;
        let logits = seen.logits.ok_or_else(|| Error::bug("a classifier gave no logits"))?;
        accuracy_with_interval(data.truth()?.labels(), &logits, options.seed)
    };
    let by_fake = train(fake)?;
    let by_real = train(&real)?;
    Ok(Cas {
        cas: test_on(&by_fake, test)?,
        reverse: test_on(&by_real, fake)?,
        real: test_on(&by_real, test)?.0,
        images: real.n(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Shape;

    /// 8x8 images that are bright at the top or at the bottom; `swapped` ones are called what they are not.
    fn halves(n: usize, swapped: bool) -> Dataset {
        let shows: Vec<u32> = (0..n as u32).map(|i| i % 2).collect();
        let pixel =
            |i: usize, y: usize| if (y < 4) == (shows[i] == 0) { 200 } else { 30 } + (i * 7 + y * 13) as u8 % 40;
        let pixels = (0..n).flat_map(|i| (0..64).map(move |at| (i, at / 8))).map(|(i, y)| pixel(i, y)).collect();
        let images = Images::new(Shape { channels: 1, height: 8, width: 8 }, pixels).unwrap();
        let labels: Vec<u32> = shows.iter().map(|label| if swapped { 1 - label } else { *label }).collect();
        trained_on(&images, &labels, &["top".into(), "bottom".into()]).unwrap()
    }

    #[test]
    fn images_of_the_wrong_class_teach_the_wrong_class() {
        let options =
            EvaluateOptions { cas_network: "resnet-tiny".into(), cas_epochs: 6, ..EvaluateOptions::default() };
        let score =
            |fake: &Dataset| cas(&halves(60, false), &halves(200, false), fake, &options, &Job::silent()).unwrap();
        let good = score(&halves(96, false));
        assert_eq!((good.cas.0, good.reverse.0, good.real, good.images), (1., 1., 1., 96));
        assert!(good.cas.1.is_some());
        let swapped = score(&halves(96, true));
        assert_eq!((swapped.cas.0, swapped.reverse.0, swapped.real), (0., 0., 1.));
    }
}
