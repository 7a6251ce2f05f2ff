//! The class weights that the networks see beside each image: one-hot rows, soft rows, and rows of zeros for no label.

use std::sync::Arc;

use crate::data::{BatchOptions, Batches, Labelled};
use crate::error::{Error, Result};
use crate::gan::options::{Labels, TrainOptions};
use crate::tensor::{Device, Rng, Tensor};

/// A row of weights over the classes for each image of a data set.
pub(super) struct Rows {
    classes: usize,
    weights: Weights,
}

enum Weights {
    /// One class, or none.
    Hard(Arc<[Option<u32>]>),
    /// How likely each class is, row by row.
    Soft(Arc<[f32]>),
}

/// What the classes are called that the labels of `data` are of.
///
/// # Errors
/// There are none.
pub(super) fn classes(data: &Labelled, labels: Labels) -> Result<Vec<String>> {
    let classes = match labels {
        Labels::Given | Labels::Soft | Labels::Random => data.classes(),
        Labels::Known => data.source().classes(),
        Labels::Single => return Ok(vec!["any".to_string()]),
    };
    if classes.is_empty() {
        return Err(Error::new(format!("`{}` has no classes", data.name())).help("use the method `single_label`"));
    }
    Ok(classes.to_vec())
}

impl Rows {
    /// The rows that `options` ask for.
    ///
    /// # Errors
    /// Soft labels are asked for and no labeller gave any.
    pub(super) fn of(data: &Labelled, options: &TrainOptions) -> Result<Self> {
        let n = data.n();
        let classes = classes(data, options.labels)?.len();
        let weights = match options.labels {
            Labels::Given => Weights::Hard(data.labels().into()),
            Labels::Known => Weights::Hard(data.source().known().into()),
            Labels::Single => Weights::Hard(vec![Some(0); n].into()),
            Labels::Random => {
                let mut rng = Rng::new(options.seed).stream("gan").stream("random labels");
                Weights::Hard((0..n).map(|_| Some(rng.below(classes) as u32)).collect())
            }
            Labels::Soft => match data.probs() {
                Some(probs) => Weights::Soft(probs.into()),
                None => {
                    return Err(Error::new(format!("the labels of `{}` come without probabilities", data.name()))
                        .help("give it the labels of a labeller, `labeller.label(known)`, or a file with a number for each class"));
                }
            },
        };
        Ok(Self { classes, weights })
    }

    /// `[n, classes]` for the images called `indices`.
    pub(super) fn of_images(&self, indices: &[u32], device: &Device) -> Result<Tensor> {
        let mut rows = vec![0.0; indices.len() * self.classes];
        for (row, index) in rows.chunks_exact_mut(self.classes).zip(indices) {
            let index = *index as usize;
            match &self.weights {
                Weights::Hard(labels) => {
                    if let Some(label) = labels[index] {
                        row[label as usize] = 1.0;
                    }
                }
                Weights::Soft(probs) => row.copy_from_slice(&probs[index * self.classes..][..self.classes]),
            }
        }
        Tensor::from_vec(rows, &[indices.len(), self.classes], device)
    }

    /// What tells two labellings of one data set apart.
    pub(super) fn hash(&self) -> u64 {
        // FNV-1a: two labellers of one data set train two different GANs.
        let fold = |hash: u64, value: u64| (hash ^ value).wrapping_mul(0x0000_0100_0000_01b3);
        match &self.weights {
            Weights::Hard(labels) => {
                labels.iter().fold(0xcbf2_9ce4_8422_2325, |hash, l| fold(hash, l.map_or(u64::MAX, u64::from)))
            }
            Weights::Soft(probs) => {
                probs.iter().fold(0xcbf2_9ce4_8422_2325, |hash, p| fold(hash, u64::from(p.to_bits())))
            }
        }
    }
}

/// Batches of the images that take part: those with a label, or all of them where a label is not needed.
///
/// # Errors
/// No image takes part, or fewer than a batch.
pub(super) fn batches(data: &Labelled, options: &TrainOptions) -> Result<Batches> {
    let how = BatchOptions { seed: options.seed, flip: options.flip, ..BatchOptions::default() };
    match options.labels {
        Labels::Given if !options.predictor => data.batches(options.batch, &how),
        Labels::Known if !options.predictor => data.source().known_batches(options.batch, &how),
        Labels::Given | Labels::Known if data.n_labelled() == 0 => {
            Err(Error::new(format!("no image of `{}` has a label to learn the classes from", data.name()))
                .help("keep some: `data.train.keep_labels(0.1)`"))
        }
        _ => data.source().batches(options.batch, &how),
    }
}

/// Batches of all images, whether they have a label or not, in an order that is not that of the labelled ones.
///
/// # Errors
/// There are fewer images than in a batch.
pub(super) fn all_batches(data: &Labelled, options: &TrainOptions) -> Result<Batches> {
    let seed = options.seed.wrapping_add(1);
    data.source().batches(options.batch, &BatchOptions { seed, flip: options.flip, ..BatchOptions::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{self, LoadOptions};

    #[test]
    fn rows_are_those_of_the_labels_asked_for() {
        let data = data::load("fashion-mnist-10k", &LoadOptions::default()).unwrap().train;
        let known = data.select("few", &(0..40).collect::<Vec<_>>()).unwrap().keep_labels(0.3, 1).unwrap();
        let kept = known.budget().indices[0];
        let hidden = (0..40).find(|index| known.known()[*index as usize].is_none()).unwrap();
        let probs = [0.3, 0.7, 0., 0., 0., 0., 0., 0., 0., 0.].repeat(40);
        let labelled = Labelled::from_probs(&known, &probs, 0.0).unwrap();
        let rows = |labels: Labels| {
            let options = TrainOptions { labels, ..TrainOptions::default() };
            Rows::of(&labelled, &options).unwrap().of_images(&[kept, hidden], &Device::Cpu).unwrap().to_f32s().unwrap()
        };
        let one_hot = |label: usize| (0..10).map(|class| f32::from(u8::from(class == label))).collect::<Vec<_>>();
        let truth = one_hot(known.known()[kept as usize].unwrap() as usize);
        assert_eq!(rows(Labels::Given), [truth.clone(), one_hot(1)].concat());
        assert_eq!(rows(Labels::Known), [truth.clone(), vec![0.0; 10]].concat());
        assert_eq!(rows(Labels::Soft), [&truth, &probs[..10]].concat());
        assert_eq!(rows(Labels::Single), [1.0, 1.0]);
        assert_eq!(rows(Labels::Random).iter().sum::<f32>(), 2.0);
        let hash = |labels| Rows::of(&labelled, &TrainOptions { labels, ..TrainOptions::default() }).unwrap().hash();
        assert_ne!(hash(Labels::Given), hash(Labels::Known));
        assert_ne!(hash(Labels::Given), hash(Labels::Soft));
        let error = Rows::of(&known.only_known(), &TrainOptions { labels: Labels::Soft, ..TrainOptions::default() });
        assert_eq!(error.err().unwrap().message, "the labels of `few` come without probabilities");
    }

    #[test]
    fn random_labels_are_of_every_class_and_drawn_from_the_seed() {
        let data = data::load("fashion-mnist-10k", &LoadOptions::default()).unwrap().train;
        let all: Vec<u32> = (0..400).collect();
        let bare = data.select("few", &all).unwrap().keep_labels(0.0, 1).unwrap().only_known();
        let drawn = |seed| {
            let options = TrainOptions { labels: Labels::Random, seed, ..TrainOptions::default() };
            Rows::of(&bare, &options).unwrap().of_images(&all, &Device::Cpu).unwrap().to_f32s().unwrap()
        };
        let first = drawn(1);
        for class in 0..10 {
            // 40 of each, give or take 6.
            let count: f32 = first.iter().skip(class).step_by(10).sum();
            assert!((16.0..64.0).contains(&count), "{count} of class {class}");
        }
        assert_ne!(first, drawn(2));
    }
}
