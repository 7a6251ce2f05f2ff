//! A data set: images, what they show, and where they came from.

use std::sync::Arc;

use serde_json::json;

use super::batches::{BatchOptions, Batches};
use super::budget::PartlyLabelled;
use super::images::{Images, Shape};
use crate::error::{Error, Result};
use crate::table;

/// Images with the truth about them.
///
/// The labels are not for methods: those get a [`PartlyLabelled`](super::PartlyLabelled) from
/// [`keep_labels`](Dataset::keep_labels), and reports and metrics ask for the [`truth`](Dataset::truth).
#[derive(Debug, Clone)]
pub struct Dataset {
    name: String,
    images: Images,
    truth: Option<Truth>,
    origin: String,
}

/// What the images really show. For reports and metrics: no method may ask for it, which `tests/it/layers.rs` holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    labels: Arc<[u32]>,
    classes: Arc<[String]>,
}

impl Truth {
    /// One label below `classes.len()` for each image.
    pub fn new(labels: Vec<u32>, classes: Vec<String>) -> Result<Self> {
        if let Some(place) = labels.iter().position(|label| *label as usize >= classes.len()) {
            return Err(Error::new(format!(
                "label {} of image {place} is out of range; there are {} classes, from 0",
                labels[place],
                classes.len()
            )));
        }
        Ok(Self { labels: labels.into(), classes: classes.into() })
    }

    /// The label of each image.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// What each label is called.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// How many images each class has.
    pub fn counts(&self) -> Vec<usize> {
        counts(self.labels.iter().copied(), self.classes.len())
    }

    /// The images of each class, in order.
    pub fn by_class(&self) -> Vec<Vec<u32>> {
        let mut members = vec![Vec::new(); self.classes.len()];
        for (index, label) in self.labels.iter().enumerate() {
            members[*label as usize].push(index as u32);
        }
        members
    }

    fn select(&self, indices: &[u32]) -> Self {
        let labels = indices.iter().map(|index| self.labels[*index as usize]).collect();
        Self { labels, classes: self.classes.clone() }
    }
}

/// How often each label below `classes` occurs.
pub(super) fn counts(labels: impl Iterator<Item = u32>, classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    for label in labels {
        counts[label as usize] += 1;
    }
    counts
}

/// The two parts of a data set: what a method may learn from, and what it is judged by.
#[derive(Debug, Clone)]
pub struct Splits {
    /// What methods learn from.
    pub train: Dataset,
    /// Held out for metrics.
    pub test: Dataset,
}

impl Dataset {
    /// `name` is said in reports (`fashion-mnist-10k/train`), `origin` is where the files came from.
    pub fn new(
        name: impl Into<String>,
        images: Images,
        truth: Option<Truth>,
        origin: impl Into<String>,
    ) -> Result<Self> {
        let name = name.into();
        if images.n() == 0 {
            return Err(Error::new(format!("`{name}` holds no image")));
        }
        if let Some(truth) = &truth
            && truth.labels().len() != images.n()
        {
            return Err(Error::new(format!(
                "`{name}` has {} images and {} labels; each image has one label",
                images.n(),
                truth.labels().len()
            )));
        }
        Ok(Self { name, images, truth, origin: origin.into() })
    }

    /// What reports call it: `fashion-mnist-10k/train`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The images.
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

    /// Where the images came from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// What the classes are called; empty when nothing is known about the images.
    pub fn classes(&self) -> &[String] {
        self.truth.as_ref().map_or(&[], Truth::classes)
    }

    /// The truth, for reports and metrics; an error for a set without labels.
    pub fn truth(&self) -> Result<&Truth> {
        self.truth.as_ref().ok_or_else(|| {
            Error::new(format!("`{}` has no labels", self.name))
                .help("put the images of each class in a folder of their own")
        })
    }

    /// The label of the class called `name`.
    pub fn class(&self, name: &str) -> Result<u32> {
        let found = self.classes().iter().position(|class| class == name);
        found
            .map(|label| label as u32)
            .ok_or_else(|| table::unknown("class", name, self.classes().iter().map(String::as_str)))
    }

    /// SHA-256 of the images alone, in hexadecimal. The labels are no part of it: it may be shown to anyone.
    pub fn hash(&self) -> &str {
        self.images.hash()
    }

    /// Shuffled batches with every label, as long as there are labels: for loops of one's own.
    pub fn batches(&self, size: usize, options: &BatchOptions) -> Result<Batches> {
        match self.truth {
            Some(_) => self.keep_labels(1.0, 0)?.known_batches(size, options),
            None => self.keep_labels(0.0, 0)?.batches(size, options),
        }
    }

    /// What a run writes down about the set, and about the labels that a method may see: the record `data`.
    pub fn record(&self, known: Option<&PartlyLabelled>) -> serde_json::Value {
        let part = self.name.rsplit('/').next().unwrap_or_default();
        json!({
            "name": self.name,
            "classes": self.classes(),
            "splits": [{
                "name": part,
                "counts": self.truth.as_ref().map_or_else(|| vec![self.n()], Truth::counts),
                "labelled": known.map(PartlyLabelled::known_counts).unwrap_or_default(),
            }],
            "facts": { "images": self.n(), "size": self.shape().to_string(), "origin": self.origin, "sha256": self.hash() },
        })
    }

    /// The images at `indices` with what is known about them, under the name `name`.
    pub fn select(&self, name: impl Into<String>, indices: &[u32]) -> Result<Self> {
        let images = self.images.select(indices)?;
        Self::new(name, images, self.truth.as_ref().map(|truth| truth.select(indices)), self.origin.clone())
    }

    /// The same images with `change` made to all of them, such as another size.
    pub(super) fn map_images(&self, change: impl FnOnce(&Images) -> Result<Images>) -> Result<Self> {
        Self::new(self.name.clone(), change(&self.images)?, self.truth.clone(), self.origin.clone())
    }

    /// Two parts by the fixed rule: in each class the first 80% of the images, rounded, are for training and the
    /// rest for testing; the order stays. Neighbours in a file are often alike (frames of one film, pictures of
    /// one session), so a class is cut once and not shuffled.
    pub(super) fn split(self, name: &str) -> Result<Splits> {
        let members = match &self.truth {
            Some(truth) => truth.by_class(),
            None => vec![(0..self.n() as u32).collect()],
        };
        let (mut train, mut test) = (Vec::new(), Vec::new());
        for (label, members) in members.iter().enumerate() {
            if members.len() < 2 {
                let class = self.classes().get(label).map_or("the set", String::as_str);
                return Err(Error::new(format!(
                    "`{class}` has {} images; 2 are needed, one to train with and one to test with",
                    members.len()
                )));
            }
            let cut = (TRAIN_SHARE * members.len() as f64).round() as usize;
            let (head, tail) = members.split_at(cut.clamp(1, members.len() - 1));
            train.extend_from_slice(head);
            test.extend_from_slice(tail);
        }
        train.sort_unstable();
        test.sort_unstable();
        Ok(Splits {
            train: self.select(format!("{name}/train"), &train)?,
            test: self.select(format!("{name}/test"), &test)?,
        })
    }
}

/// The share of each class that is for training when a set has no split of its own.
const TRAIN_SHARE: f64 = 0.8;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// `labels.len()` images of one pixel, its value the place of the image.
    pub fn tiny(labels: Vec<u32>, classes: usize) -> Dataset {
        let shape = Shape { channels: 1, height: 1, width: 1 };
        let images = Images::new(shape, (0..labels.len() as u8).collect()).unwrap();
        let classes = (0..classes).map(|class| format!("class {class}")).collect();
        Dataset::new("tiny", images, Some(Truth::new(labels, classes).unwrap()), "a test").unwrap()
    }

    #[test]
    fn a_split_cuts_each_class_once_and_keeps_the_order() {
        let splits = tiny(vec![0, 1, 0, 1, 0, 0, 1, 0], 2).split("tiny").unwrap();
        // Class 0 is at 0 2 4 5 7 (4 to train), class 1 at 1 3 6 (2 to train).
        assert_eq!(splits.train.images().pixels(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(splits.train.truth().unwrap().labels(), [0, 1, 0, 1, 0, 0]);
        assert_eq!(splits.test.images().pixels(), [6, 7]);
        assert_eq!(splits.test.truth().unwrap().labels(), [1, 0]);
        assert_eq!(splits.test.name(), "tiny/test");
    }

    #[test]
    fn a_class_of_one_image_cannot_be_split() {
        let error = tiny(vec![0, 0, 1], 2).split("tiny").unwrap_err();
        assert_eq!(error.message, "`class 1` has 1 images; 2 are needed, one to train with and one to test with");
    }

    #[test]
    fn counts_and_labels_must_agree() {
        let images = Images::new(Shape { channels: 1, height: 1, width: 1 }, vec![0; 3]).unwrap();
        let truth = Truth::new(vec![0, 0], vec!["a".into()]).unwrap();
        let error = Dataset::new("tiny", images, Some(truth), "a test").unwrap_err();
        assert_eq!(error.message, "`tiny` has 3 images and 2 labels; each image has one label");
        let error = Truth::new(vec![0, 2], vec!["a".into(), "b".into()]).unwrap_err();
        assert_eq!(error.message, "label 2 of image 1 is out of range; there are 2 classes, from 0");
    }

    #[test]
    fn batches_tell_labels_where_there_are_any() {
        let batch = tiny(vec![0, 1, 0, 1], 2).batches(4, &BatchOptions::default()).unwrap().batch(0).unwrap();
        let labels: Vec<u32> = batch.indices.iter().map(|index| index % 2).collect();
        assert_eq!(batch.labels().unwrap().to_u32s().unwrap(), labels);
        let images = Images::new(Shape { channels: 1, height: 1, width: 1 }, vec![0; 3]).unwrap();
        let bare = Dataset::new("bare", images, None, "a test").unwrap();
        assert!(bare.batches(2, &BatchOptions::default()).unwrap().batch(0).unwrap().labels.is_none());
    }

    #[test]
    fn a_run_writes_down_what_it_learned_from() {
        let data = tiny(vec![0, 1, 0, 1, 0, 0], 2);
        let record = data.record(Some(&data.keep_labels(0.5, 1).unwrap()));
        assert_eq!(record["splits"], json!([{ "name": "tiny", "counts": [4, 2], "labelled": [2, 1] }]));
        assert_eq!((&record["facts"]["size"], &record["facts"]["images"]), (&json!("1x1 grey"), &json!(6)));
        assert_eq!(record["facts"]["sha256"], data.hash());
    }

    #[test]
    fn a_class_is_found_by_name() {
        let data = tiny(vec![0, 1], 2);
        assert_eq!(data.class("class 1").unwrap(), 1);
        assert!(data.class("klass 1").unwrap_err().help.unwrap().contains("`class 1`"));
    }
}
