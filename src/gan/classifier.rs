//! The third network of Triple-GAN, which labels real images for the discriminator, and what a GAN says of classes.

use std::collections::HashMap;

use crate::data::Images;
use crate::error::{Error, Result};
use crate::gan::Gan;
use crate::gan::objective::{Asked, Told, labelled_cross_entropy, read};
use crate::gan::options::TrainOptions;
use crate::gan::train::Training;
use crate::nn::checkpoint::{Saved, State};
use crate::nn::{Average, Classifier, Encoder, Mode, Optimiser, Param, gradients};
use crate::progress::Stop;
use crate::tensor::{DType, Device, Rng, Tensor, no_grad};

/// Images classified at a time.
const CHUNK: usize = 256;

/// A classifier in training, with what a step changes of it.
pub(super) struct Third {
    network: Classifier,
    optimiser: Box<dyn Optimiser>,
    /// What images are classified by: averages of the encoder and of the head, as the generator has them.
    average: Option<(Classifier, [Average; 2])>,
}

/// The names of the parts of a checkpoint: the encoder and the head, raw and averaged.
const PARTS: [[&str; 2]; 2] = [["classifier", "classifier_head"], ["c_average", "c_average_head"]];

impl Third {
    /// The classifier that `options` ask for, if they do.
    ///
    /// # Errors
    /// An unknown network.
    pub(super) fn new(
        options: &TrainOptions,
        channels: usize,
        classes: usize,
        device: &Device,
    ) -> Result<Option<Self>> {
        if !options.classifies() {
            return Ok(None);
        }
        let encoder = Encoder::new(&options.classifier, channels, options.seed, device)?;
        let network = Classifier::new(encoder, classes, options.seed)?;
        Self::around(options, network).map(Some)
    }

    fn around(options: &TrainOptions, network: Classifier) -> Result<Self> {
        let optimiser = options.c_optimiser.build(params(&network), &options.recipe(options.c_lr))?;
        let average = match options.ema > 0.0 {
            true => {
                let running = || Average::new(options.ema).from(options.ema_start as u64);
                Some((copy(&network)?, [running(), running()]))
            }
            false => None,
        };
        Ok(Self { network, optimiser, average })
    }

    /// The network in training.
    pub(super) fn network(&self) -> &Classifier {
        &self.network
    }

    /// The network that images are classified by.
    fn settled(&self) -> &Classifier {
        self.average.as_ref().map_or(&self.network, |(network, _)| network)
    }

    pub(super) fn set_lr(&mut self, lr: f64) {
        self.optimiser.set_lr(lr);
    }

    /// Logits `[n, classes]` in training: the statistics of norms are those of the batch, and advance only with `advance`.
    fn logits(&self, images: &Tensor, advance: bool) -> Result<Tensor> {
        let mode = if advance { Mode::Train } else { Mode::Still };
        self.network.classify(&self.network.encoder.forward(images, mode)?, mode)
    }

    /// Moves the average, after a step of the generator.
    pub(super) fn settle(&mut self) -> Result<()> {
        if let Some((settled, [encoder, head])) = &mut self.average {
            encoder.update(settled.encoder.store(), self.network.encoder.store())?;
            head.update(settled.head(), self.network.head())?;
        }
        Ok(())
    }

    /// A copy that learns on, on its own.
    pub(super) fn copy(&self, options: &TrainOptions) -> Result<Self> {
        let mut twin = Self::around(options, copy(&self.network)?)?;
        let state: HashMap<String, Tensor> = self.optimiser.state()?.into_iter().collect();
        twin.optimiser.load(&mut |name| state.get(name).cloned())?;
        if let (Some((from, old)), Some((to, new))) = (&self.average, &mut twin.average) {
            to.encoder.store().copy_from(from.encoder.store())?;
            to.head().copy_from(from.head())?;
            new.iter_mut().zip(old).for_each(|(new, old)| new.resume(old.updates()));
        }
        Ok(twin)
    }

    /// What a checkpoint keeps of it.
    pub(super) fn state(&self) -> Result<Vec<(&'static str, State)>> {
        let mut parts = vec![("c_optimiser", self.optimiser.state()?)];
        let settled = self.average.as_ref().map(|(network, _)| network);
        for (network, [encoder, head]) in std::iter::once(&self.network).chain(settled).zip(PARTS) {
            parts.push((encoder, network.encoder.store().state()));
            parts.push((head, network.head().state()));
        }
        Ok(parts)
    }

    /// What a checkpoint says of it, looked at and not yet put in place.
    pub(super) fn saved(&self, saved: &Saved) -> Result<Vec<[Vec<Tensor>; 2]>> {
        let settled = self.average.as_ref().map(|(network, _)| network);
        let networks = std::iter::once(&self.network).chain(settled);
        let found = networks.zip(PARTS).map(|(network, [encoder, head])| {
            let encoder = network.encoder.store().saved(|name| saved.find(encoder, name))?;
            Ok([encoder, network.head().saved(|name| saved.find(head, name))?])
        });
        found.collect()
    }

    /// Puts in place what [`saved`](Self::saved) found; `updates` is how often the averages moved.
    pub(super) fn restore(&mut self, saved: &Saved, found: Vec<[Vec<Tensor>; 2]>, updates: u64) -> Result<()> {
        let settled = self.average.as_ref().map(|(network, _)| network);
        for (network, [encoder, head]) in std::iter::once(&self.network).chain(settled).zip(found) {
            network.encoder.store().restore(encoder)?;
            network.head().restore(head)?;
        }
        if let Some((_, averages)) = &mut self.average {
            averages.iter_mut().for_each(|average| average.resume(updates));
        }
        self.optimiser.load(&mut |name| saved.find("c_optimiser", name))
    }
}

fn params(network: &Classifier) -> Vec<Param> {
    [network.encoder.store().params(), network.head().params()].concat()
}

fn copy(network: &Classifier) -> Result<Classifier> {
    let twin = Classifier::new(network.encoder.copy()?, network.classes(), 0)?;
    twin.head().copy_from(network.head())?;
    Ok(twin)
}

/// Real images of one discriminator step whose labels are the classifier's.
pub(super) struct Paired {
    pub(super) images: Tensor,
    pub(super) rows: Tensor,
}

impl Training<'_, '_> {
    /// Images from all of the data, each with a class drawn as the classifier finds it likely; nothing without a classifier.
    pub(super) fn paired(&self, sub_step: u64) -> Result<Option<Paired>> {
        let (Some(third), Some(batches)) = (&self.gan.third, &self.unlabelled) else { return Ok(None) };
        let images = batches.batch(sub_step)?.images;
        let probs = no_grad(|| third.logits(&images, false)?.softmax())?;
        let rows = drawn(&probs, &mut self.rng.stream("classifier").at(sub_step))?;
        Ok(Some(Paired { images, rows }))
    }

    /// One step of the classifier: the classes of labelled images, labels that the discriminator takes for real, and, from
    /// `c_fake_start` on, the classes that fakes were asked to be of.
    pub(super) fn classifier_step(
        &mut self,
        step: u64,
        real: Asked<'_>,
        paired: &Paired,
        fake: Asked<'_>,
        factor: f64,
    ) -> Result<Told> {
        let (d, options) = (&self.gan.discriminator, &self.gan.options);
        let Some(third) = &self.gan.third else { return Ok(Told::new()) };
        let n = real.images.dims()[0];
        let logits = third.logits(&Tensor::cat(&[real.images, &paired.images], 0)?, true)?;
        let told = logits.narrow(0, 0, n)?;
        let classes = labelled_cross_entropy(&told, real.rows)?;
        let right = crate::nn::task::correct(&told.detach(), &real.rows.argmax(1)?)?;
        // The discriminator is the judge here and does not move, its spectral norms neither.
        let features = no_grad(|| d.features(&paired.images, None, Mode::Still))?;
        let guesses = logits.narrow(0, n, paired.images.dims()[0])?.softmax()?;
        let judged = self.loss.generator(&d.judge(&features, Some(&guesses), Mode::Still)?)?;
        let mut values = vec![
            ("c_loss", classes.detach()),
            ("c_accuracy", Tensor::full(right as f64 / n as f64, &[], DType::F64, &Device::Cpu)?),
            ("c_adversarial", judged.detach()),
        ];
        let mut loss = classes.add(&judged.mul_scalar(options.c_adversarial_weight)?)?;
        if step >= options.c_fake_start as u64 && options.c_fake_weight > 0.0 {
            let pseudo = labelled_cross_entropy(&third.logits(&fake.images.detach(), false)?, fake.rows)?;
            values.push(("c_fake", pseudo.detach()));
            loss = loss.add(&pseudo.mul_scalar(options.c_fake_weight)?)?;
        }
        if read(&values)?.iter().all(|(_, value)| value.is_finite()) {
            let grads = self.clip.apply(gradients(&loss, &params(&third.network))?)?;
            if let Some(third) = &mut self.gan.third {
                third.optimiser.apply(&grads, factor)?;
            }
        }
        Ok(values)
    }
}

/// One-hot rows of classes drawn from the rows of `probs`.
fn drawn(probs: &Tensor, rng: &mut Rng) -> Result<Tensor> {
    let [n, classes] = probs.dims2()?;
    let values = probs.to_f32s()?;
    let labels = values.chunks_exact(classes).zip(rng.uniforms(n)).map(|(row, u)| {
        let mut below = 0.0;
        let place = row.iter().position(|p| {
            below += f64::from(*p);
            f64::from(u) < below
        });
        // Probabilities that sum to a hair below 1 may end before the number that was drawn.
        place.unwrap_or(classes - 1) as u32
    });
    Tensor::from_u32s(labels.collect(), &[n], probs.device())?.one_hot(classes)
}

impl Gan {
    /// How likely each class is for each image, `[n, classes]`, by the classifier or by the discriminator's predictor.
    ///
    /// # Errors
    /// The GAN has neither; the images are of another size; a person asked to stop.
    pub fn classify(&self, images: &Images, stop: &Stop) -> Result<Tensor> {
        if self.third.is_none() && !self.options.predictor {
            return Err(Error::new(format!(
                "a GAN trained by `{}` has nothing that tells classes apart",
                self.options.method
            ))
            .help("`triple_gan` has a classifier; `s2gan_co`, `s3gan_co` and `ossgan` have a predictor"));
        }
        if images.n() == 0 {
            return Err(Error::new("there are no images to classify"));
        }
        if images.shape() != self.shape() {
            return Err(Error::new(format!("the images are {}, the GAN is for {}", images.shape(), self.shape())));
        }
        let places: Vec<u32> = (0..images.n() as u32).collect();
        let mut probs = Vec::with_capacity(places.len() * self.classes.len());
        for part in places.chunks(CHUNK) {
            stop.check()?;
            let images = images.select(part)?.tensor(&self.device)?;
            let logits = no_grad(|| match &self.third {
                Some(third) => Ok(third.settled().evaluate(&images)?.1),
                None => {
                    let features = self.discriminator.features(&images, None, Mode::Eval)?;
                    self.discriminator.predict(&features, Mode::Eval)
                }
            })?;
            probs.extend(logits.softmax()?.to_f32s()?);
        }
        Tensor::from_vec(probs, &[places.len(), self.classes.len()], &self.device)
    }

    /// The share of `images` whose likeliest class is that of `labels`.
    ///
    /// # Errors
    /// As [`classify`](Self::classify); the counts differ.
    pub fn accuracy(&self, images: &Images, labels: &[u32], stop: &Stop) -> Result<f64> {
        if images.n() != labels.len() {
            return Err(Error::new(format!("there are {} images and {} labels", images.n(), labels.len())));
        }
        let labels = Tensor::from_u32s(labels.to_vec(), &[labels.len()], &self.device)?;
        let right = crate::nn::task::correct(&self.classify(images, stop)?, &labels)?;
        Ok(right as f64 / images.n() as f64)
    }

    /// The classifier in training, if there is one.
    pub fn classifier(&self) -> Option<&Classifier> {
        self.third.as_ref().map(Third::network)
    }
}
