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
    knowledge: Knowledge,
    origin: String,
}

/// What is known about the images.
#[derive(Debug, Clone)]
enum Knowledge {
    Nothing,
    /// The labels of some, as in sets that come with more images than labels.
    Some {
        labels: Arc<[Option<u32>]>,
        classes: Arc<[String]>,
    },
    All(Truth),
}

impl Knowledge {
    /// `labels` as far as there are any.
    fn of(labels: Vec<Option<u32>>, classes: Arc<[String]>) -> Result<Self> {
        if classes.is_empty() {
            return Ok(Self::Nothing);
        }
        match labels.iter().copied().collect::<Option<Vec<u32>>>() {
            Some(all) => Ok(Self::All(Truth::new(all, classes.to_vec())?)),
            None => Ok(Self::Some { labels: labels.into(), classes }),
        }
    }

    fn select(&self, indices: &[u32]) -> Result<Self> {
        match self {
            Self::Nothing => Ok(Self::Nothing),
            Self::Some { labels, classes } => {
                Self::of(indices.iter().map(|index| labels[*index as usize]).collect(), classes.clone())
            }
            Self::All(truth) => Ok(Self::All(truth.select(indices))),
        }
    }
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
        let knowledge = truth.map_or(Knowledge::Nothing, Knowledge::All);
        Ok(Self { name, images, knowledge, origin: origin.into() })
    }

    /// A set of which some images have a label, or all or none of them.
    pub(super) fn partly(
        name: &str,
        images: Images,
        labels: Vec<Option<u32>>,
        classes: Vec<String>,
        origin: String,
    ) -> Result<Self> {
        let bare = Self::new(name, images, None, origin)?;
        if labels.len() != bare.n() {
            return Err(Error::bug(format!("`{name}` has {} images and {} places for labels", bare.n(), labels.len())));
        }
        if let Some(label) = labels.iter().flatten().find(|label| **label as usize >= classes.len()) {
            return Err(Error::new(format!(
                "`{name}` has the label {label}; there are {} classes, from 0",
                classes.len()
            )));
        }
        Ok(Self { knowledge: Knowledge::of(labels, classes.into())?, ..bare })
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
        match &self.knowledge {
            Knowledge::Nothing => &[],
            Knowledge::Some { classes, .. } => classes,
            Knowledge::All(truth) => truth.classes(),
        }
    }

    /// The truth about every image, for reports and metrics; an error for a set that lacks labels.
    pub fn truth(&self) -> Result<&Truth> {
        match &self.knowledge {
            Knowledge::All(truth) => Ok(truth),
            Knowledge::Nothing => Err(Error::new(format!("`{}` has no labels", self.name))
                .help("put the images of each class in a folder of their own")),
            Knowledge::Some { labels, .. } => Err(Error::new(format!(
                "`{}` has labels for {} of its {} images, and every one is needed here",
                self.name,
                labels.iter().flatten().count(),
                labels.len()
            ))),
        }
    }

    /// The label of each image as far as there are labels, for reports and the label budget.
    pub fn labels(&self) -> Vec<Option<u32>> {
        match &self.knowledge {
            Knowledge::Nothing => vec![None; self.n()],
            Knowledge::Some { labels, .. } => labels.to_vec(),
            Knowledge::All(truth) => truth.labels().iter().copied().map(Some).collect(),
        }
    }

    /// How many images are known to be of each class.
    pub fn counts(&self) -> Vec<usize> {
        counts(self.labels().into_iter().flatten(), self.classes().len())
    }

    /// The images that are known to be of each class, in order; an error for a set without labels.
    pub(super) fn by_class(&self) -> Result<Vec<Vec<u32>>> {
        if let Knowledge::Nothing = self.knowledge {
            self.truth()?;
        }
        let mut members = vec![Vec::new(); self.classes().len()];
        for (index, label) in self.labels().into_iter().enumerate() {
            if let Some(label) = label {
                members[label as usize].push(index as u32);
            }
        }
        Ok(members)
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
        match self.labels().iter().any(Option::is_some) {
            true => self.keep_labels(1.0, 0)?.known_batches(size, options),
            false => self.keep_labels(0.0, 0)?.batches(size, options),
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
                "counts": if self.classes().is_empty() { vec![self.n()] } else { self.counts() },
                "labelled": known.map(PartlyLabelled::known_counts).unwrap_or_default(),
            }],
            "facts": { "images": self.n(), "size": self.shape().to_string(), "origin": self.origin, "sha256": self.hash() },
        })
    }

    /// The images at `indices` with what is known about them, under the name `name`.
    pub fn select(&self, name: impl Into<String>, indices: &[u32]) -> Result<Self> {
        let images = self.images.select(indices)?;
        let bare = Self::new(name, images, None, self.origin.clone())?;
        Ok(Self { knowledge: self.knowledge.select(indices)?, ..bare })
    }
}

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
    fn a_set_may_know_the_labels_of_some_images_alone() {
        let shape = Shape { channels: 1, height: 1, width: 1 };
        let of = |labels: &[Option<u32>]| {
            let images = Images::new(shape, vec![0; labels.len()])?;
            Dataset::partly("few", images, labels.to_vec(), vec!["a".into(), "b".into()], "a test".into())
        };
        let data = of(&[Some(1), None, Some(0), None]).unwrap();
        assert_eq!((data.counts(), data.labels()[1]), (vec![1, 1], None));
        let message = data.truth().unwrap_err().message;
        assert_eq!(message, "`few` has labels for 2 of its 4 images, and every one is needed here");
        let known = data.keep_labels(1.0, 1).unwrap();
        assert_eq!((known.n(), known.known()), (4, &[Some(1), None, Some(0), None][..]));
        assert_eq!(data.batches(2, &BatchOptions::default()).unwrap().n(), 2);
        assert_eq!(data.select("two", &[2, 0]).unwrap().truth().unwrap().labels(), [0, 1]);
        assert!(of(&[Some(2), None]).unwrap_err().message.contains("has the label 2; there are 2 classes"));
    }

    #[test]
    fn a_class_is_found_by_name() {
        let data = tiny(vec![0, 1], 2);
        assert_eq!(data.class("class 1").unwrap(), 1);
        assert!(data.class("klass 1").unwrap_err().help.unwrap().contains("`class 1`"));
    }
}
