//! Whether a discriminator knows its training images by heart.

use super::interval::{Groups, Interval};
use crate::data::{Dataset, Images};
use crate::error::{Error, Result};
use crate::nn::Discriminative;
use crate::progress::Stop;
use crate::tensor::{Device, Tensor};

/// Images shown at a time.
const BATCH: usize = 64;

/// Shares and losses, each with its interval where there are enough images.
#[derive(Debug, Clone, PartialEq)]
pub struct Overfitting {
    /// The share of training images that are taken for real.
    pub train_accuracy: (f64, Option<Interval>),
    /// The share of held-out images that are taken for real.
    pub test_accuracy: (f64, Option<Interval>),
    /// The share of generated images that are taken for generated.
    pub fake_accuracy: (f64, Option<Interval>),
    /// The discriminator's loss on training and generated images.
    pub train_loss: (f64, Option<Interval>),
    /// Its loss on held-out and generated images.
    pub test_loss: (f64, Option<Interval>),
    /// The second loss less the first: zero where nothing is known by heart.
    pub gap: (f64, Option<Interval>),
    /// Training images that were looked at.
    pub trained: usize,
}

/// Images with the class of each, where that is known.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// The images.
    pub images: &'a Images,
    /// A class each.
    pub labels: Option<&'a [u32]>,
}

impl<'a> Shown<'a> {
    /// A data set with its true labels, if it has any.
    pub fn of(data: &'a Dataset) -> Self {
        Self { images: data.images(), labels: data.truth().ok().map(|truth| truth.labels()) }
    }
}

/// What `discriminator` says of training, held-out and generated images; a logit from 0 up says real.
///
/// # Errors
/// It needs classes and a set has none; a person asked to stop.
pub fn overfitting(
    discriminator: &dyn Discriminative,
    train: Shown<'_>,
    test: Shown<'_>,
    fake: Shown<'_>,
    seed: Option<u64>,
    stop: &Stop,
) -> Result<Overfitting> {
    let sides = [("training", train), ("held-out", test), ("generated", fake)];
    let mut logits = Vec::new();
    for (name, shown) in sides {
        logits.push(logits_of(discriminator, name, shown, stop)?);
    }
    let [train, test, fake] = &logits[..] else { return Err(Error::bug("three sets gave no three lists of logits")) };
    let groups = seed.and_then(|seed| {
        let deal = |logits: &Vec<f32>, side| Groups::new(logits.len(), seed, side);
        Some([deal(train, "train")?, deal(test, "real")?, deal(fake, "fake")?])
    });
    let share = |real: &[f32], taken: bool| {
        real.iter().filter(|logit| (**logit >= 0.) == taken).count() as f64 / real.len() as f64
    };
    let loss = |real: &[f32], fake: &[f32]| -> Result<f64> {
        let tensor = |logits: &[f32]| Tensor::from_vec(logits.to_vec(), &[logits.len()], &Device::Cpu);
        discriminator.loss(&tensor(real)?, &tensor(fake)?)
    };
    let all = |train: &[f32], test: &[f32], fake: &[f32]| -> Result<[f64; 6]> {
        let (seen, unseen) = (loss(train, fake)?, loss(test, fake)?);
        Ok([share(train, true), share(test, true), share(fake, false), seen, unseen, unseen - seen])
    };
    let values = all(train, test, fake)?;
    let mut without = Vec::new();
    if let Some(groups) = &groups {
        for group in 0..Groups::COUNT {
            let kept = |i: usize, logits: &[f32]| -> Vec<f32> {
                groups[i].others(group).into_iter().map(|row| logits[row]).collect()
            };
            without.push(all(&kept(0, train), &kept(1, test), &kept(2, fake))?);
        }
    }
    let summary = |i: usize| {
        let left_out: Vec<f64> = without.iter().map(|row| row[i]).collect();
        let interval = (!left_out.is_empty()).then(|| Interval::from_left_out(values[i], &left_out));
        (values[i], interval.map(|interval| if i < 3 { interval.within(0., 1.) } else { interval }))
    };
    Ok(Overfitting {
        train_accuracy: summary(0),
        test_accuracy: summary(1),
        fake_accuracy: summary(2),
        train_loss: summary(3),
        test_loss: summary(4),
        gap: summary(5),
        trained: train.len(),
    })
}

fn logits_of(discriminator: &dyn Discriminative, name: &str, shown: Shown<'_>, stop: &Stop) -> Result<Vec<f32>> {
    if discriminator.conditional() && shown.labels.is_none() {
        return Err(Error::new(format!("the discriminator looks at classes, and the {name} images have none")));
    }
    let mut logits = Vec::with_capacity(shown.images.n());
    for (i, images) in shown.images.chunks(BATCH, discriminator.device()).enumerate() {
        stop.check()?;
        let images = images?;
        let labels = shown.labels.map(|labels| &labels[i * BATCH..i * BATCH + images.dims()[0]]);
        logits.extend(discriminator.logits(&images, labels)?.to_f32s()?);
    }
    Ok(logits)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bright;
    use super::*;
    use crate::data::Shape;

    fn images(pixels: Vec<u8>) -> Images {
        Images::new(Shape { channels: 1, height: 1, width: 1 }, pixels).unwrap()
    }

    #[test]
    fn training_images_known_by_heart_make_a_gap() {
        let shown = |images| Shown { images, labels: None };
        let (train, test) = (images([255, 204].repeat(50)), images([255, 51].repeat(50)));
        let fake = images([0, 51, 0, 153].repeat(25));
        let stop = Stop::default();
        let found =
            overfitting(&Bright { conditional: false }, shown(&train), shown(&test), shown(&fake), Some(1), &stop)
                .unwrap();
        assert_eq!((found.train_accuracy.0, found.test_accuracy.0, found.fake_accuracy.0), (1., 0.5, 0.75));
        // Logits: 2 and 1.2 against 2 and -1.2, less -2, -1.2, -2, 0.4.
        assert!((found.train_loss.0 - (-1.2 - 1.6)).abs() < 1e-6 && (found.test_loss.0 - (-1.2 - 0.4)).abs() < 1e-6);
        assert!((found.gap.0 - 1.2).abs() < 1e-6);
        let interval = found.gap.1.unwrap();
        assert!(0. < interval.low && interval.low < 1.2 && 1.2 < interval.high, "{interval:?}");
        let none = overfitting(&Bright { conditional: false }, shown(&train), shown(&train), shown(&fake), None, &stop)
            .unwrap();
        assert_eq!(none.gap, (0., None));
        let refused =
            overfitting(&Bright { conditional: true }, shown(&train), shown(&test), shown(&fake), None, &stop)
                .unwrap_err();
        assert_eq!(refused.message, "the discriminator looks at classes, and the training images have none");
    }
}
