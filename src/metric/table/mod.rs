//! Every metric that an evaluation can be asked for.

mod features;
mod images;
mod networks;
mod predictions;

use super::evaluate::EvaluateOptions;
use super::features::Features;
use super::interval::Interval;
use super::scores::{Better, Curve};
use crate::data::{Dataset, Images};
use crate::error::{Error, Result};
use crate::nn::{Discriminative, Generative};
use crate::progress::{Job, Picture};
use crate::table::Row;

/// A metric, as one row of [`METRICS`].
pub struct Metric {
    name: &'static str,
    doc: &'static str,
    /// What it asks for besides images.
    pub needs: &'static [Need],
    pub(super) measure: Measure,
}

/// What a metric may ask for besides images of both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The class of every image.
    Labels,
    /// The images that the generator learned from.
    Training,
    /// The generator itself.
    Generator,
    /// The discriminator that it learned against.
    Discriminator,
}

/// What a metric looks at.
pub(super) enum Measure {
    /// The features of each extractor.
    Features(fn(&Comparison<'_>) -> Result<Vec<Measured>>),
    /// The features of the Inception network of 2015, and no others.
    Inception(fn(&Comparison<'_>) -> Result<Vec<Measured>>),
    /// The embeddings of CLIP, and no others.
    Clip(fn(&Comparison<'_>) -> Result<Vec<Measured>>),
    /// What each classifier predicts, whatever its classes.
    Predictions(fn(&Comparison<'_>) -> Result<Vec<Measured>>),
    /// What a classifier of the data set's own classes predicts.
    Classes(fn(&Comparison<'_>) -> Result<Vec<Measured>>),
    /// Images and networks, through nobody's eyes.
    Whole(fn(&Whole<'_>) -> Result<Vec<Measured>>),
}

/// What a metric of features is given: two sides as one extractor sees them.
pub struct Comparison<'a> {
    pub(super) real: Side<'a>,
    pub(super) fake: Side<'a>,
    /// The images that the generator learned from, for metrics that need them.
    pub(super) train: Option<Side<'a>>,
    /// The generated images, and those that the generator learned from, for pictures; not for a floor.
    pub(super) pictures: Option<(&'a Images, &'a Images)>,
    pub(super) classes: &'a [String],
    pub(super) extractor: &'a str,
    pub(super) role: super::Role,
    pub(super) options: &'a EvaluateOptions,
    /// Whether intervals are wanted.
    pub(super) intervals: bool,
    pub(super) job: &'a Job,
}

/// One side of a comparison.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    pub(super) features: &'a Features,
    pub(super) logits: Option<&'a Features>,
    pub(super) labels: Option<&'a [u32]>,
}

/// What a metric of images and networks is given.
pub struct Whole<'a> {
    pub(super) real: &'a Dataset,
    pub(super) fake: &'a Images,
    pub(super) fake_labels: Option<&'a [u32]>,
    /// Real images in place of the generated ones, and their name, if a floor is wanted.
    pub(super) stand_in: Option<(&'a Images, &'a str)>,
    pub(super) train: Option<&'a Dataset>,
    pub(super) generator: Option<&'a dyn Generative>,
    pub(super) discriminator: Option<&'a dyn Discriminative>,
    pub(super) options: &'a EvaluateOptions,
    pub(super) job: &'a Job,
}

/// A number that a metric gives.
#[derive(Default)]
pub struct Measured {
    pub(super) metric: String,
    pub(super) label: String,
    pub(super) value: f64,
    pub(super) interval: Option<Interval>,
    pub(super) better: Better,
    pub(super) settings: String,
    /// What real images score, and which, where the metric itself found that.
    pub(super) floor: Option<(f64, String)>,
    /// What the number sums up.
    pub(super) curve: Option<Curve>,
    /// What the number is about.
    pub(super) picture: Option<Picture>,
}

impl Row for Metric {
    const KIND: &'static str = "metric";
    fn name(&self) -> &'static str {
        self.name
    }
    fn doc(&self) -> &'static str {
        self.doc
    }
}

impl Metric {
    pub(super) fn needs(&self, need: Need) -> bool {
        self.needs.contains(&need)
    }

    /// Whether it asks what a classifier predicts.
    pub(super) fn predicts(&self) -> bool {
        matches!(self.measure, Measure::Predictions(_) | Measure::Classes(_))
    }
}

/// Every metric, in the order the manual lists them.
pub const METRICS: &[Metric] = &[
    features::FD,
    features::FID,
    features::KID,
    features::CMMD,
    features::PRDC,
    features::PRECISION_RECALL,
    features::PRD,
    features::FD_PER_CLASS,
    features::NEAREST,
    predictions::IS,
    predictions::ACCURACY,
    images::MS_SSIM,
    images::FRACTAL_DIMENSION,
    images::CAS,
    networks::GILBO,
    networks::GENERATOR_CONDITIONING,
    networks::DISCRIMINATOR_ACCURACY,
];

impl<'a> Comparison<'a> {
    fn row(
        &self,
        metric: &str,
        label: &str,
        value: f64,
        interval: Option<Interval>,
        better: Better,
        settings: String,
    ) -> Measured {
        let label = format!("{label} ({})", self.extractor);
        Measured { metric: metric.into(), label, value, interval, better, settings, ..Measured::default() }
    }

    fn fake_logits(&self) -> Result<&'a Features> {
        self.fake.logits.ok_or_else(|| Error::bug(format!("`{}` is no classifier", self.extractor)))
    }

    fn seed(&self) -> u64 {
        self.options.seed
    }
}

impl Whole<'_> {
    /// Whether intervals are wanted, as the seed that they are drawn from.
    fn interval_seed(&self) -> Option<u64> {
        self.options.intervals.then_some(self.options.seed)
    }
}
