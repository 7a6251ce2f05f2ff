//! The label budget: which images a method may see the label of. The only way a method sees a label.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::batches::{BatchOptions, Batches, Targets};
use super::dataset::{Dataset, counts};
use super::images::{Images, Shape};
use super::labelled::Labelled;
use crate::error::{Error, Result};
use crate::tensor::Rng;

/// Which labels are kept: enough to keep the same ones again, written down with a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelBudget {
    /// The share of each class that was asked for, from 0 to 1.
    pub share: f64,
    /// What the choice was drawn from.
    pub seed: u64,
    /// The images whose label is kept, in rising order.
    pub indices: Vec<u32>,
    /// SHA-256 of the images that the indices count through.
    pub images: String,
}

/// Images of which a method sees some labels: those of the budget and no others.
///
/// The hidden labels are not in here, not even privately: they stay in the [`Dataset`].
#[derive(Debug, Clone)]
pub struct PartlyLabelled {
    name: String,
    images: Images,
    known: Arc<[Option<u32>]>,
    classes: Arc<[String]>,
    budget: Arc<LabelBudget>,
}

impl Dataset {
    /// Keeps the labels of a `share` of each class, drawn from `seed`, and hides the others.
    ///
    /// Of a class of `n` images `share * n` are kept, rounded, and at least one. A share of 1 keeps every label, a
    /// share of 0 none. With one seed a greater share keeps all that a smaller one does, and more.
    pub fn keep_labels(&self, share: f64, seed: u64) -> Result<PartlyLabelled> {
        if !(0.0..=1.0).contains(&share) {
            return Err(Error::new(format!("the share of labels to keep is {share}; it must lie between 0 and 1"))
                .help("10% is written 0.1"));
        }
        let rng = Rng::new(seed).stream("data::keep_labels");
        let mut indices = Vec::new();
        // A share of 0 asks for no truth, so it does for images without labels too.
        let members = if share > 0.0 { self.by_class()? } else { Vec::new() };
        for (class, members) in members.iter().enumerate().filter(|(_, members)| !members.is_empty()) {
            let kept = ((share * members.len() as f64).round() as usize).max(1);
            let order = rng.at(class as u64).permutation(members.len());
            indices.extend(order.into_iter().take(kept).map(|place| members[place]));
        }
        indices.sort_unstable();
        self.with_budget(&LabelBudget { share, seed, indices, images: self.hash().to_string() })
    }

    /// Keeps the labels that `budget` names, which was made for these images.
    pub fn with_budget(&self, budget: &LabelBudget) -> Result<PartlyLabelled> {
        if budget.images != self.hash() {
            return Err(Error::new(format!(
                "the label budget was made for other images than those of `{}`",
                self.name()
            ))
            .help(format!(
                "it was made for images with hash {}, these have {}",
                budget.images,
                self.hash()
            )));
        }
        let mut known = vec![None; self.n()];
        if !budget.indices.is_empty() {
            let labels = self.labels();
            for &index in &budget.indices {
                let Some(place) = known.get_mut(index as usize) else {
                    return Err(Error::new(format!(
                        "the label budget names image {index}; `{}` has {} images, from 0",
                        self.name(),
                        self.n()
                    )));
                };
                *place = labels[index as usize];
                if place.is_none() {
                    return Err(Error::new(format!(
                        "the label budget names image {index} of `{}`, which has no label",
                        self.name()
                    )));
                }
            }
        }
        Ok(PartlyLabelled {
            name: self.name().to_string(),
            images: self.images().clone(),
            known: known.into(),
            classes: self.classes().into(),
            budget: Arc::new(budget.clone()),
        })
    }
}

impl PartlyLabelled {
    /// What reports call the set.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Every image, labelled or not.
    pub fn images(&self) -> &Images {
        &self.images
    }

    /// How many images there are.
    pub fn n(&self) -> usize {
        self.images.n()
    }

    /// The size of each image.
    pub fn shape(&self) -> Shape {
        self.images.shape()
    }

    /// What the classes are called.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The label of each image, if it is kept.
    pub fn known(&self) -> &[Option<u32>] {
        &self.known
    }

    /// How many labels are kept.
    pub fn n_known(&self) -> usize {
        self.budget.indices.len()
    }

    /// How many labels are kept of each class.
    pub fn known_counts(&self) -> Vec<usize> {
        counts(self.known.iter().copied().flatten(), self.classes.len())
    }

    /// Which labels are kept, for the record of a run.
    pub fn budget(&self) -> &LabelBudget {
        &self.budget
    }

    /// Shuffled batches of all images, without labels.
    pub fn batches(&self, size: usize, options: &BatchOptions) -> Result<Batches> {
        Batches::new(&self.images, Targets::None, None, size, options)
    }

    /// Shuffled batches of the images whose label is kept, with their labels.
    pub fn known_batches(&self, size: usize, options: &BatchOptions) -> Result<Batches> {
        self.only_known().batches(size, options)
    }

    /// The kept labels alone, as if a labeller had been sure of nothing else.
    pub fn only_known(&self) -> Labelled {
        Labelled::known(self.clone())
    }
}

impl std::fmt::Display for PartlyLabelled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (kept, n) = (self.n_known(), self.n());
        write!(f, "{}: {kept} of {n} labels kept ({:.1}%)", self.name, 100.0 * kept as f64 / n as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::super::dataset::Truth;
    use super::super::dataset::tests::tiny;
    use super::*;

    /// 30 images: 20 of class 0, 8 of class 1, 2 of class 2.
    fn thirty() -> Dataset {
        let labels = (0..30).map(|index| if index % 3 < 2 { 0 } else { u32::from(index > 23) + 1 }).collect();
        tiny(labels, 3)
    }

    #[test]
    fn a_share_of_each_class_is_kept_rounded_and_at_least_one() {
        let known = thirty().keep_labels(0.1, 1).unwrap();
        assert_eq!((known.known_counts(), known.n_known()), (vec![2, 1, 1], 4));
        // 20% of 8 is 1.6.
        assert_eq!(thirty().keep_labels(0.2, 1).unwrap().known_counts(), [4, 2, 1]);
        assert_eq!(thirty().keep_labels(0.5, 1).unwrap().known_counts(), [10, 4, 1]);
        let all = thirty().keep_labels(1.0, 1).unwrap();
        let truth: Vec<_> = thirty().truth().unwrap().labels().iter().copied().map(Some).collect();
        assert_eq!(all.known(), truth);
        assert_eq!(thirty().keep_labels(0.0, 1).unwrap().n_known(), 0);
    }

    #[test]
    fn a_share_that_is_none_is_refused() {
        for share in [-0.1, 1.1, f64::NAN] {
            let message = thirty().keep_labels(share, 1).unwrap_err().message;
            assert_eq!(message, format!("the share of labels to keep is {share}; it must lie between 0 and 1"));
        }
    }

    #[test]
    fn the_choice_is_the_seeds_and_grows_with_the_share() {
        let kept = |share, seed| thirty().keep_labels(share, seed).unwrap().budget().indices.clone();
        assert_eq!(kept(0.2, 1), kept(0.2, 1));
        assert_ne!(kept(0.2, 1), kept(0.2, 2));
        assert!(kept(0.2, 1).iter().all(|index| kept(0.6, 1).contains(index)));
    }

    #[test]
    fn a_budget_written_down_keeps_the_same_labels_again() {
        let first = thirty().keep_labels(0.2, 1).unwrap();
        let text = serde_json::to_string(first.budget()).unwrap();
        let mut budget: LabelBudget = serde_json::from_str(&text).unwrap();
        assert_eq!(thirty().with_budget(&budget).unwrap().known(), first.known());
        budget.indices.push(30);
        assert_eq!(
            thirty().with_budget(&budget).unwrap_err().message,
            "the label budget names image 30; `tiny` has 30 images, from 0"
        );
        budget.images = "other".into();
        assert!(thirty().with_budget(&budget).unwrap_err().message.contains("other images than those of `tiny`"));
    }

    /// Everything that the public methods say, as text.
    fn everything(known: &PartlyLabelled) -> String {
        let options = BatchOptions::default();
        let batch = |batches: Batches| {
            let batch = batches.batch(3).unwrap();
            let labels = batch.labels.map(|labels| labels.to_u32s().unwrap());
            format!("{:?} {:?} {labels:?}", batch.indices, batch.images.to_f32s().unwrap())
        };
        let only = known.only_known();
        format!(
            "{known:?} {known} {} {:?} {} {:?} {:?} {:?} {} {:?} {:?} {} {} {only:?} {only} {:?} {:?} {:?}",
            known.name(),
            known.images(),
            known.n(),
            known.shape(),
            known.classes(),
            known.known(),
            known.n_known(),
            known.known_counts(),
            known.budget(),
            batch(known.batches(4, &options).unwrap()),
            batch(known.known_batches(4, &options).unwrap()),
            only.labels(),
            only.counts(),
            only.confidence(),
        )
    }

    #[test]
    fn no_method_tells_a_hidden_label() {
        let data = thirty();
        let known = data.keep_labels(0.3, 1).unwrap();
        let truth = data.truth().unwrap();
        let told = |labels: Vec<u32>| {
            let truth = Truth::new(labels, truth.classes().to_vec()).unwrap();
            let data = Dataset::new("tiny", data.images().clone(), Some(truth), "a test").unwrap();
            everything(&data.with_budget(known.budget()).unwrap())
        };
        // The hidden labels move round by one class, the kept ones stay.
        let hidden = |(label, known): (&u32, &Option<u32>)| known.unwrap_or((label + 1) % 3);
        let moved: Vec<u32> = truth.labels().iter().zip(known.known()).map(hidden).collect();
        assert_ne!(moved, truth.labels());
        assert_eq!(told(moved), told(truth.labels().to_vec()));
        // The test can fail: a kept label that changes is told.
        let mut other = truth.labels().to_vec();
        let kept = known.budget().indices[0] as usize;
        other[kept] = (other[kept] + 1) % 3;
        assert_ne!(told(other), told(truth.labels().to_vec()));
    }

    #[test]
    fn the_test_above_asks_every_method() {
        let source = include_str!("budget.rs");
        let methods = source.split("impl PartlyLabelled {").nth(1).unwrap().split("\n}\n").next().unwrap();
        let asked = source.split("fn everything(").nth(1).unwrap().split("\n    }\n").next().unwrap();
        let names: Vec<&str> = methods.split("pub fn ").skip(1).filter_map(|text| text.split('(').next()).collect();
        assert!(names.len() > 9);
        for name in names {
            assert!(asked.contains(&format!(".{name}(")), "`everything` does not ask `{name}`");
        }
    }

    #[test]
    fn each_class_has_a_draw_of_its_own() {
        let known = tiny((0..40).map(|index| index % 2).collect(), 2).keep_labels(0.25, 1).unwrap();
        let of = |class: u32| {
            let kept = known.budget().indices.iter().filter(|index| **index % 2 == class);
            kept.map(|index| index / 2).collect::<Vec<_>>()
        };
        assert_eq!((of(0).len(), of(1).len()), (5, 5));
        assert_ne!(of(0), of(1));
    }
}
