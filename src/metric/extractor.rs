//! What turns images into features: the eyes of a metric.

use std::ops::Range;

use super::cache::Cache;
use super::features::Features;
use crate::data::Images;
use crate::error::{Error, Result};
use crate::tensor::{Tensor, no_grad};

/// What an extractor's numbers are good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Features alone, of a network that knows nothing of the data set.
    Eyes,
    /// The Inception network of 2015, by which papers report the FID and the Inception score.
    Inception,
    /// CLIP's embeddings of images.
    Clip,
    /// A classifier of the data set's own classes.
    Judge,
}

/// A network that sees images as vectors, and perhaps as classes.
pub trait Extractor: Send + Sync {
    /// How scores name it: `SqueezeNet 1.1, 64 px`.
    fn name(&self) -> &str;
    /// SHA-256, in hexadecimal, of its weights and of what is done to an image before them.
    fn hash(&self) -> &str;
    /// What is done to an image before the weights: `bilinear (Pillow) to 64x64`.
    fn preparation(&self) -> &str;
    /// How many numbers describe an image.
    fn dim(&self) -> usize;
    /// How many classes it tells apart, if it does.
    fn classes(&self) -> Option<usize>;
    /// What its numbers are good for.
    fn role(&self) -> Role {
        Role::Eyes
    }
    /// How many images to show it at once.
    fn batch(&self) -> usize {
        64
    }
    /// Features `[n, dim]` and, of a classifier, logits `[n, classes]`.
    fn extract(&self, images: &Images) -> Result<(Tensor, Option<Tensor>)>;
    /// As [`extract`](Self::extract), of images `[n, channels, height, width]` from 0 to 1 that were not rounded to 8 bits.
    ///
    /// # Errors
    /// What is done to an image before the weights is defined on 8 bits alone.
    fn extract_unrounded(&self, _images: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        Err(Error::new(format!(
            "`quantize: false` was asked for, and {} takes images of 8 bits ({})",
            self.name(),
            self.preparation()
        ))
        .help("leave `quantize` out, or look through `inception` or a `judge` alone: `extractor: [\"inception\"]`"))
    }
}

/// What an extractor saw in a set of images.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// `[n, dim]`.
    pub features: Features,
    /// `[n, classes]`, of a classifier.
    pub logits: Option<Features>,
}

/// Shows all `images` to `extractor`; `watch` is told how many have been seen, and may stop it by an error.
pub fn see(extractor: &dyn Extractor, images: &Images, watch: impl Fn(usize) -> Result<()>) -> Result<Seen> {
    let all: Vec<u32> = (0..images.n() as u32).collect();
    see_batches(extractor, images.n(), watch, |rows| extractor.extract(&images.select(&all[rows])?))
}

/// As [`see`], for images `[n, channels, height, width]` from 0 to 1 that were not rounded to 8 bits.
pub fn see_unrounded(extractor: &dyn Extractor, images: &Tensor, watch: impl Fn(usize) -> Result<()>) -> Result<Seen> {
    let n = images.dims4()?[0];
    see_batches(extractor, n, watch, |rows| extractor.extract_unrounded(&images.narrow(0, rows.start, rows.len())?))
}

/// What `extract` gives for `n` images, a batch of rows at a time.
fn see_batches(
    extractor: &dyn Extractor,
    n: usize,
    watch: impl Fn(usize) -> Result<()>,
    extract: impl Fn(Range<usize>) -> Result<(Tensor, Option<Tensor>)>,
) -> Result<Seen> {
    let (mut features, mut logits) = (Vec::new(), extractor.classes().map(|_| Vec::new()));
    for first in (0..n).step_by(extractor.batch()) {
        watch(first)?;
        let rows = first..n.min(first + extractor.batch());
        let of = rows.len();
        let (seen, scores) = no_grad(|| extract(rows))?;
        features.extend(numbers(extractor, &seen, [of, extractor.dim()], "features")?);
        if let (Some(all), Some(classes)) = (&mut logits, extractor.classes()) {
            let scores =
                scores.ok_or_else(|| Error::bug(format!("the classifier `{}` gave no logits", extractor.name())))?;
            all.extend(numbers(extractor, &scores, [of, classes], "logits")?);
        }
    }
    watch(n)?;
    Seen::new(extractor, n, features, logits)
}

/// As [`see`], for images that come again: what was seen is kept in `cache` under the hash of the images and of the
/// extractor.
pub fn see_again(
    extractor: &dyn Extractor,
    images: &Images,
    cache: &Cache,
    watch: impl Fn(usize) -> Result<()>,
) -> Result<Seen> {
    let parts = ["features", extractor.hash(), images.hash()];
    if let Some(seen) = cache.load(&parts).and_then(|bytes| Seen::from_bytes(extractor, images.n(), &bytes)) {
        return Ok(seen);
    }
    let seen = see(extractor, images, watch)?;
    cache.store(&parts, &seen.to_bytes());
    Ok(seen)
}

fn numbers(extractor: &dyn Extractor, given: &Tensor, expected: [usize; 2], what: &str) -> Result<Vec<f32>> {
    if given.dims() != expected {
        return Err(Error::new(format!(
            "the {what} of extractor `{}` are {:?}, expected {expected:?}",
            extractor.name(),
            given.dims()
        )));
    }
    given.to_f32s()
}

/// Bytes in lower-case hexadecimal.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Seen {
    fn new(extractor: &dyn Extractor, rows: usize, features: Vec<f32>, logits: Option<Vec<f32>>) -> Result<Self> {
        let wide = |values: Vec<f32>, dim| Features::new(values.into_iter().map(f64::from).collect(), rows, dim);
        let logits = logits.zip(extractor.classes()).map(|(logits, classes)| wide(logits, classes)).transpose()?;
        Ok(Self { features: wide(features, extractor.dim())?, logits })
    }

    /// All numbers as f32, which they came as.
    fn to_bytes(&self) -> Vec<u8> {
        let logits = self.logits.as_ref().map_or(&[][..], Features::data);
        self.features.data().iter().chain(logits).flat_map(|x| (*x as f32).to_le_bytes()).collect()
    }

    fn from_bytes(extractor: &dyn Extractor, rows: usize, bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<4>();
        let values: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
        let classes = extractor.classes().unwrap_or(0);
        if !rest.is_empty() || values.len() != rows * (extractor.dim() + classes) {
            return None;
        }
        let (features, logits) = values.split_at(rows * extractor.dim());
        Self::new(extractor, rows, features.to_vec(), extractor.classes().map(|_| logits.to_vec())).ok()
    }
}
