//! Labellers: from a few labels, or none, to a label for every image; and labels in files.

mod cluster;
mod file;
mod linear_probe;
mod parquet;
mod semi_supervised;
mod supervised;

pub use cluster::{ClusterOptions, cluster};
pub use file::{LoadOptions, SaveOptions, load, save};
pub use linear_probe::{ProbeOptions, linear_probe};
pub use semi_supervised::{SemiSupervisedOptions, semi_supervised};
pub use supervised::{SupervisedOptions, supervised};

use crate::data::{Images, Labelled, PartlyLabelled};
use crate::error::{Error, Result};
use crate::nn::Classifier;
use crate::progress::Stop;
use crate::table::Row;

/// A way to label.
pub struct LabellerRow {
    /// What a script calls it.
    pub name: &'static str,
    /// Its manual entry.
    pub doc: &'static str,
}

impl Row for LabellerRow {
    const KIND: &'static str = "labeller";
    fn name(&self) -> &'static str {
        self.name
    }
    fn doc(&self) -> &'static str {
        self.doc
    }
}

/// Every labeller, in the order the manual lists them.
pub const LABELLERS: &[LabellerRow] =
    &[semi_supervised::SEMI_SUPERVISED, linear_probe::LINEAR_PROBE, supervised::SUPERVISED, cluster::CLUSTER];

crate::options! {
    /// Options of a labeller's `label`.
    pub struct LabelOptions("labeller.label") {
        /// An image whose likeliest class is less likely than this stays without a label.
        pub threshold: f64 = 0.0,
    }
}

/// A classifier that gives labels.
pub struct Labeller {
    /// The classifier.
    pub classifier: Classifier,
    /// How it was trained: a row of [`LABELLERS`].
    pub name: &'static str,
    classes: Vec<String>,
}

impl Labeller {
    /// What the classes are called.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The probability of each class for each image: `[n, classes]`, row by row.
    ///
    /// # Errors
    /// The images do not fit the network; a person asked to stop.
    pub fn probs(&self, images: &Images, stop: &Stop) -> Result<Vec<f32>> {
        let device = self.classifier.encoder.store().device().clone();
        let mut out = Vec::with_capacity(images.n() * self.classes.len());
        let indices: Vec<u32> = (0..images.n() as u32).collect();
        for part in indices.chunks(256) {
            stop.check()?;
            let (_, logits) = self.classifier.evaluate(&images.select(part)?.tensor(&device)?)?;
            out.extend(logits.softmax()?.to_f32s()?);
        }
        Ok(out)
    }

    /// A label for every image that it is sure enough of. Labels that are known stay as they are.
    ///
    /// # Errors
    /// The data has other classes; a person asked to stop.
    pub fn label(&self, data: &PartlyLabelled, options: &LabelOptions, stop: &Stop) -> Result<Labelled> {
        if data.classes() != self.classes {
            return Err(Error::new(format!(
                "the labeller knows {} classes, `{}` has {}",
                self.classes.len(),
                data.name(),
                data.classes().len()
            )));
        }
        Labelled::from_probs(data, &self.probs(data.images(), stop)?, options.threshold)
    }

    /// The share of `images` whose likeliest class is that of `labels`.
    ///
    /// # Errors
    /// As [`probs`](Self::probs); the counts differ.
    pub fn accuracy(&self, images: &Images, labels: &[u32], stop: &Stop) -> Result<f64> {
        if images.n() != labels.len() || labels.is_empty() {
            return Err(Error::new(format!("there are {} images and {} labels", images.n(), labels.len())));
        }
        let classes = self.classes.len();
        let probs = self.probs(images, stop)?;
        let right = probs.chunks(classes).zip(labels).filter(|(row, label)| {
            let best = row.iter().enumerate().fold(0, |best, (i, p)| if *p > row[best] { i } else { best });
            best == **label as usize
        });
        Ok(right.count() as f64 / labels.len() as f64)
    }
}

fn needs_labels(data: &PartlyLabelled) -> Result<()> {
    if data.n_known() == 0 {
        return Err(Error::new(format!("`{}` keeps no label to learn from", data.name()))
            .help("keep some: `data.train.keep_labels(0.1)`"));
    }
    Ok(())
}
