//! A classifier trained on every real label, which judges what generated images show.

use std::collections::HashMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::cache::Cache;
use super::extractor::{Extractor, Role, hexadecimal};
use crate::data::{BatchOptions, Batches, Dataset, Images};
use crate::error::Result;
use crate::nn::task::correct;
use crate::nn::{Adam, Classifier, Encoder, Fit, Mode, Optimiser, Schedule, Trainable, checkpoint, gradients};
use crate::options::Settings;
use crate::progress::Job;
use crate::tensor::{Device, Tensor};

crate::options! {
    /// Options of `metric::judge`.
    pub struct JudgeOptions("metric::judge") {
        /// The network that sees the images: a row of `nn::encoders`.
        pub network: String = "resnet-small".into(),
        /// Passes over the images.
        pub epochs: usize = 5,
        /// Images in a batch.
        pub batch: usize = 64,
        /// Adam's learning rate at the start; it falls to zero along a cosine.
        pub lr: f64 = 2e-3,
        /// Move each image by up to this many pixels each way.
        pub crop: usize = 2,
        /// Mirror images left to right, half of the time.
        pub flip: bool = true,
        /// What first weights and batches are drawn from.
        pub seed: u64 = 1,
    }
}

const STAGE: &str = "judge";

/// A classifier of the data set itself, as an extractor: its features, and what it predicts.
///
/// It sees all labels, which no method may: it belongs to the score, and never reaches a training.
pub struct Judge {
    name: String,
    hash: String,
    classifier: Classifier,
}

impl Judge {
    /// Trains a judge on `data` and all its labels, or takes the one that an earlier run trained from `cache`.
    ///
    /// # Errors
    /// The images have no labels; an option is out of range; a person asked to stop.
    pub fn train(data: &Dataset, options: &JudgeOptions, device: &Device, cache: &Cache, job: &Job) -> Result<Self> {
        let truth = data.truth()?;
        let [_, channels, ..] = data.images().dims();
        let encoder = Encoder::new(&options.network, channels, options.seed, device)?;
        let classifier = Classifier::new(encoder, truth.classes().len(), options.seed)?;
        let known = data.keep_labels(1.0, options.seed)?;
        let drawn =
            BatchOptions { seed: options.seed, crop: options.crop, flip: options.flip, ..BatchOptions::default() };
        let batches = known.known_batches(options.batch, &drawn)?.on(device);
        let steps = (options.epochs * batches.per_epoch()) as u64;

        let labels: Vec<u8> = truth.labels().iter().flat_map(|label| label.to_le_bytes()).collect();
        let settings = options.to_json().to_string();
        let place = if device.is_cpu() { "cpu" } else { "gpu" };
        let parts = ["judge 1", &settings, place, data.hash(), &hexadecimal(&Sha256::digest(labels))];
        let name = format!("classifier of {}", data.name());
        if let Some(weights) = cache.load(&parts)
            && put_back(&classifier, &weights)?
        {
            // A stage all the same: a resumed run counts them.
            job.observer.begin(STAGE, steps, steps);
            job.observer.end(STAGE, "kept from an earlier run");
            return Self::new(name, classifier);
        }
        let mut params = classifier.encoder.store().params();
        params.extend(classifier.head().params());
        let optimiser = Adam::new(params, options.lr, [0.9, 0.999], 1e-8)?;
        let fingerprint = parts.join(" ");
        let mut learning = Learning { classifier, optimiser, batches, steps };
        Fit { job, stage: STAGE, steps, fingerprint: &fingerprint, checkpoint_every: 0, keep: 1 }
            .run(&mut learning, 0)?;
        job.observer.end(STAGE, &format!("{steps} steps"));
        cache.store(&parts, &numbers(&learning.classifier)?);
        Self::new(name, learning.classifier)
    }

    /// A trained classifier under the name that scores give it.
    pub fn new(name: impl Into<String>, classifier: Classifier) -> Result<Self> {
        let hash = hexadecimal(&Sha256::digest(numbers(&classifier)?));
        Ok(Self { name: name.into(), hash, classifier })
    }
}

impl Extractor for Judge {
    fn name(&self) -> &str {
        &self.name
    }
    fn hash(&self) -> &str {
        &self.hash
    }
    fn preparation(&self) -> &str {
        "none"
    }
    fn dim(&self) -> usize {
        self.classifier.encoder.dim()
    }
    fn classes(&self) -> Option<usize> {
        Some(self.classifier.classes())
    }
    fn role(&self) -> Role {
        Role::Judge
    }
    fn extract(&self, images: &Images) -> Result<(Tensor, Option<Tensor>)> {
        self.extract_unrounded(&images.tensor(self.classifier.encoder.store().device())?)
    }
    fn extract_unrounded(&self, images: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        let images = images.to_device(self.classifier.encoder.store().device())?;
        let (features, logits) = self.classifier.evaluate(&images)?;
        Ok((features, Some(logits)))
    }
}

struct Learning {
    classifier: Classifier,
    optimiser: Adam,
    batches: Batches,
    steps: u64,
}

impl Trainable for Learning {
    fn step(&mut self, step: u64) -> Result<Vec<(&'static str, f64)>> {
        let batch = self.batches.batch(step)?;
        let labels = batch.labels()?;
        let features = self.classifier.encoder.forward(&batch.images, Mode::Train)?;
        let logits = self.classifier.classify(&features, Mode::Train)?;
        let loss = logits.cross_entropy(labels)?;
        let accuracy = correct(&logits.detach(), labels)? as f64 / labels.elements() as f64;
        let value = loss.value()?;
        if value.is_finite() {
            let grads = gradients(&loss, self.optimiser.params())?;
            self.optimiser.apply(&grads, Schedule::Cosine.factor(step, self.steps))?;
        }
        Ok(vec![("loss", value), ("accuracy", accuracy)])
    }

    fn save(&self, path: &Path, done: u64) -> Result<()> {
        let parts = [
            ("encoder", self.classifier.encoder.store().state()),
            ("head", self.classifier.head().state()),
            ("optimiser", self.optimiser.state()?),
        ];
        checkpoint::save(path, &parts, &[("step", done as f64)])
    }

    fn load(&mut self, path: &Path) -> Result<u64> {
        let saved = checkpoint::load(path)?;
        self.classifier.encoder.store().load(|name| saved.find("encoder", name))?;
        self.classifier.head().load(|name| saved.find("head", name))?;
        self.optimiser.load(&mut |name| saved.find("optimiser", name))?;
        Ok(saved.number("step")? as u64)
    }
}

/// Every weight and every moving average, in the order in which they were made.
fn numbers(classifier: &Classifier) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for (_, tensor) in [classifier.encoder.store().state(), classifier.head().state()].concat() {
        bytes.extend(tensor.to_f32s()?.into_iter().flat_map(f32::to_le_bytes));
    }
    Ok(bytes)
}

/// Puts what [`numbers`] gave back into a classifier of the same making; false if it is of another one.
fn put_back(classifier: &Classifier, bytes: &[u8]) -> Result<bool> {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut words = words.iter().map(|word| f32::from_le_bytes(*word));
    let mut states = Vec::new();
    for store in [classifier.encoder.store(), classifier.head()] {
        let mut values = HashMap::new();
        for (name, old) in store.state() {
            let value: Vec<f32> = words.by_ref().take(old.elements()).collect();
            if value.len() < old.elements() {
                return Ok(false);
            }
            values.insert(name, Tensor::from_vec(value, old.dims(), &Device::Cpu)?);
        }
        states.push((store, values));
    }
    if words.next().is_some() || !rest.is_empty() {
        return Ok(false);
    }
    for (store, values) in states {
        store.load(|name| values.get(name).cloned())?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Shape, Truth};

    /// 8x8 images, bright at the top or at the bottom.
    fn halves(n: usize) -> Dataset {
        let labels: Vec<u32> = (0..n as u32).map(|i| i % 2).collect();
        let pixel =
            |i: usize, y: usize| if (y < 4) == (labels[i] == 0) { 200 } else { 30 } + (i * 7 + y * 13) as u8 % 40;
        let pixels = (0..n).flat_map(|i| (0..64).map(move |at| (i, at / 8))).map(|(i, y)| pixel(i, y)).collect();
        let images = Images::new(Shape { channels: 1, height: 8, width: 8 }, pixels).unwrap();
        Dataset::new("halves", images, Some(Truth::new(labels, vec!["top".into(), "bottom".into()]).unwrap()), "a test")
            .unwrap()
    }

    fn options() -> JudgeOptions {
        JudgeOptions { network: "resnet-tiny".into(), epochs: 3, batch: 16, crop: 0, ..JudgeOptions::default() }
    }

    #[test]
    fn a_judge_learns_the_classes_and_is_kept_bit_by_bit() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let data = halves(64);
        let train = || Judge::train(&data, &options(), &Device::Cpu, &cache, &Job::silent()).unwrap();
        let judge = train();
        let (features, logits) = judge.extract(data.images()).unwrap();
        assert_eq!((features.dims(), judge.dim()), (&[64, 64][..], 64));
        assert_eq!(
            correct(
                &logits.unwrap(),
                &Tensor::from_u32s((0..64).map(|i| i % 2).collect(), &[64], &Device::Cpu).unwrap()
            )
            .unwrap(),
            64
        );

        let stop = Job::silent();
        stop.stop.raise();
        // Nothing is trained the second time, or the stop would show.
        let again = Judge::train(&data, &options(), &Device::Cpu, &cache, &stop).unwrap();
        assert_eq!(again.hash(), judge.hash());
        let other = JudgeOptions { seed: 2, ..options() };
        assert!(Judge::train(&data, &other, &Device::Cpu, &cache, &stop).is_err_and(|error| error.is_interrupt()));
    }

    #[test]
    fn images_without_labels_have_no_judge() {
        let images = halves(8).images().clone();
        let data = Dataset::new("bare", images, None, "a test").unwrap();
        let error = Judge::train(&data, &options(), &Device::Cpu, &Cache::none(), &Job::silent()).err().unwrap();
        assert_eq!(error.message, "`bare` has no labels");
    }
}
