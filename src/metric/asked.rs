//! What is asked of an evaluation, once or again and again of a generator that changes.

use std::sync::Arc;

use super::cache::Cache;
use super::evaluate::{EvaluateOptions, Evaluation};
use super::extractor::Extractor;
use super::scores::Scores;
use super::table::Need;
use crate::data::{Dataset, Images};
use crate::error::Result;
use crate::nn::{Discriminative, Generative};
use crate::progress::Job;
use crate::tensor::Tensor;

/// An evaluation of generated images that are still to be made.
pub struct Asked {
    /// The real images.
    pub real: Dataset,
    /// Other real images, for the floor.
    pub other: Option<Dataset>,
    /// The images that the generator learned from; those of [`Fakes`] if none.
    pub train: Option<Dataset>,
    /// The names of the metrics.
    pub metrics: Vec<String>,
    /// What they need besides images.
    pub needs: Vec<Need>,
    /// How many images to generate.
    pub n: usize,
    /// The options.
    pub options: EvaluateOptions,
    /// Whose features and predictions are compared.
    pub extractors: Vec<Arc<dyn Extractor>>,
    /// Where what is seen in real images is kept.
    pub cache: Cache,
}

/// What is scored, and what belongs to it.
pub struct Fakes {
    /// The generated images.
    pub images: Images,
    /// The same before rounding, as in [`Evaluation`].
    pub unrounded: Option<Tensor>,
    /// The class that each was asked to show.
    pub labels: Option<Vec<u32>>,
    /// What the generator learned from.
    pub train: Option<Dataset>,
    /// What made them.
    pub generator: Option<Box<dyn Generative>>,
    /// What it learned against.
    pub discriminator: Option<Box<dyn Discriminative>>,
}

impl Fakes {
    /// Images and nothing else.
    pub fn of(images: Images) -> Self {
        Self { images, unrounded: None, labels: None, train: None, generator: None, discriminator: None }
    }
}

impl Asked {
    /// The scores of `fakes`.
    ///
    /// # Errors
    /// As [`Evaluation::run`].
    pub fn of(&self, fakes: &Fakes, job: &Job) -> Result<Scores> {
        let extractors: Vec<&dyn Extractor> = self.extractors.iter().map(AsRef::as_ref).collect();
        let evaluation = Evaluation {
            real: &self.real,
            other: self.other.as_ref(),
            train: self.train.as_ref().or(fakes.train.as_ref()),
            fake: &fakes.images,
            unrounded: fakes.unrounded.as_ref(),
            fake_labels: fakes.labels.as_deref(),
            generator: fakes.generator.as_deref(),
            discriminator: fakes.discriminator.as_deref(),
            extractors: &extractors,
            cache: &self.cache,
        };
        let names: Vec<&str> = self.metrics.iter().map(String::as_str).collect();
        evaluation.run(&names, &self.options, job)
    }
}
