//! The training loop of a GAN: alternating steps of discriminator and generator on one data set.

use std::path::Path;

use crate::data::{Batches, Labelled};
use crate::error::{Error, Result};
use crate::gan::model::{Gan, Hook};
use crate::gan::options::{Labels, TrainOptions};
use crate::gan::{Adversarial, Regulariser, Scene};
use crate::nn::{Clip, Mode, Param, ROTATION, Rates, Trainable, gradients};
use crate::progress::Job;
use crate::tensor::{Device, Rng, Tensor, no_grad};

/// Trains a GAN on `data`.
///
/// # Errors
/// An option is out of range; a batch is larger than the data; a loss is not finite; a person asked to stop.
pub fn train(
    data: &Labelled,
    options: TrainOptions,
    device: &Device,
    job: &Job,
    hook: Option<Hook<'_>>,
) -> Result<Gan> {
    let mut gan = Gan::new(data, options, device)?;
    let steps = gan.options.steps as u64;
    gan.train(data, steps, job, hook)?;
    Ok(gan)
}

/// A GAN with what its steps need.
pub(super) struct Training<'a, 'b> {
    pub(super) gan: &'a mut Gan,
    pub(super) batches: Batches,
    pub(super) rates: Rates,
    pub(super) clip: Clip,
    pub(super) loss: Adversarial,
    pub(super) penalty: Regulariser,
    pub(super) rng: Rng,
    pub(super) end: u64,
    pub(super) job: &'a Job,
    pub(super) hook: Option<Hook<'b>>,
}

/// What tells two labellings of one data set apart.
pub(super) fn labels_hash(data: &Labelled) -> u64 {
    // FNV-1a over the labels: two labellers of one data set train two different GANs.
    data.labels().iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, label| {
        (hash ^ label.map_or(u64::MAX, u64::from)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Latents and labels of one batch of fakes.
struct Draw {
    z: Tensor,
    labels: Tensor,
}

impl Draw {
    fn piece(&self, piece: usize, pieces: usize) -> Result<Self> {
        Ok(Self { z: cut(&self.z, piece, pieces)?, labels: cut(&self.labels, piece, pieces)? })
    }
}

impl Training<'_, '_> {
    fn draw(&self, sub_step: u64) -> Result<Draw> {
        let options = &self.gan.options;
        let (n, classes) = (options.batch, self.gan.classes.len());
        let z = latents(&options.z, &mut self.rng.stream("z").at(sub_step), n, options.z_dim, &self.gan.device)?;
        let mut rng = self.rng.stream("labels").at(sub_step);
        let labels: Vec<u32> = (0..n).map(|_| rng.below(classes) as u32).collect();
        let labels = Tensor::from_u32s(labels, &[n], &self.gan.device)?.one_hot(classes)?;
        Ok(Draw { z, labels })
    }

    /// The images of a batch and rows of weights over the classes.
    fn real(&self, sub_step: u64) -> Result<(Tensor, Tensor)> {
        let batch = self.batches.batch(sub_step)?;
        let classes = self.gan.classes.len();
        let labels = match (self.gan.options.labels, &batch.labels) {
            (Labels::Given, Some(labels)) => labels.one_hot(classes)?,
            (Labels::Given, None) => return Err(Error::bug("a batch came without its labels")),
            (Labels::Single, _) => {
                Tensor::full(1.0, &[self.batches.size(), 1], batch.images.dtype(), &self.gan.device)?
            }
        };
        Ok((batch.images, labels))
    }

    fn generate(&self, draw: &Draw) -> Result<Tensor> {
        self.gan.generator.forward(&draw.z, Some(&draw.labels), Mode::Train)
    }

    /// One step of the discriminator on real images and on `fake`, whose graph is left alone, or on fakes of its own; the
    /// batch in as many pieces as asked for.
    fn discriminator_step(&mut self, sub_step: u64, draw: &Draw, fake: Option<&Tensor>, factor: f64) -> Result<Values> {
        let (real, real_labels) = self.real(sub_step)?;
        let params = self.gan.discriminator.store().params();
        let mut sum = Pieces::default();
        let pieces = self.gan.options.accumulate;
        for piece in 0..pieces {
            let draw = draw.piece(piece, pieces)?;
            let fake = match fake {
                Some(fake) => fake.detach(),
                None => no_grad(|| self.generate(&draw))?,
            };
            let (real, real_labels) = (cut(&real, piece, pieces)?, cut(&real_labels, piece, pieces)?);
            let (values, loss) =
                self.discriminator_loss(sub_step, piece, (&real, &real_labels), (&fake, &draw.labels))?;
            if !sum.add(&values, &loss, &params)? {
                // The loop names the number and the step; nothing is changed by it.
                return Ok(values);
            }
        }
        let (values, grads) = sum.mean()?;
        self.gan.d_optimiser.apply(&self.clip.apply(grads)?, factor)?;
        let bound = self.gan.options.d_clip;
        if bound > 0.0 {
            for param in params {
                param.set(param.value().clamp(-bound, bound)?)?;
            }
        }
        Ok(values)
    }

    /// The loss of the discriminator on real images and fakes, each with labels.
    fn discriminator_loss(
        &self,
        sub_step: u64,
        piece: usize,
        (real, real_labels): (&Tensor, &Tensor),
        (fake, fake_labels): (&Tensor, &Tensor),
    ) -> Result<(Values, Tensor)> {
        let gan = &*self.gan;
        let (d, options) = (&gan.discriminator, &gan.options);
        let n = real.dims()[0];
        let turned = options.turned(n);
        // Only the turned copies of real images are needed here; the upright ones are in the batch.
        let copies = turned_copies(real, real_labels, turned)?;
        let images: Vec<&Tensor> = [real, fake].into_iter().chain(copies.iter().map(|(images, _)| images)).collect();
        let labels: Vec<&Tensor> =
            [real_labels, fake_labels].into_iter().chain(copies.iter().map(|(_, labels)| labels)).collect();
        let labels = Tensor::cat(&labels, 0)?;
        let features = d.features(&Tensor::cat(&images, 0)?, Some(&labels), Mode::Train)?;
        let logits = d.judge(&features.narrow(0, 0, 2 * n)?, Some(&labels.narrow(0, 0, 2 * n)?), Mode::Train)?;
        let (real_logits, fake_logits) = (logits.narrow(0, 0, n)?, logits.narrow(0, n, n)?);
        let mut loss = self.loss.discriminator(&real_logits, &fake_logits)?;
        let mut values = vec![("d_loss", loss.value()?)];
        if turned > 0 {
            let upright = features.narrow(0, n - turned, turned)?;
            let rotated = features.narrow(0, 2 * n, 3 * turned)?;
            let answers = ROTATION.answers_for(turned, &gan.device)?;
            let logits = d.rotation(&Tensor::cat(&[&upright, &rotated], 0)?, Mode::Train)?;
            let rotation = logits.cross_entropy(&answers)?;
            values.push(("d_rotation", rotation.value()?));
            values.push((
                "rotation_accuracy",
                crate::nn::task::correct(&logits.detach(), &answers)? as f64 / (4 * turned) as f64,
            ));
            loss = loss.add(&rotation.mul_scalar(options.d_rotation_weight)?)?;
        }
        if let Some(penalty) = self.penalised(sub_step, piece, (real, real_labels), (fake, fake_labels))? {
            values.push(("penalty", penalty.value()?));
            // A penalty that comes every tenth step weighs ten times as much.
            loss = loss.add(&penalty.mul_scalar(options.penalty_weight * options.penalty_every as f64)?)?;
        }
        Ok((values, loss))
    }

    /// The penalty of this step, if there is one and it is its turn.
    fn penalised(
        &self,
        sub_step: u64,
        piece: usize,
        (real, real_labels): (&Tensor, &Tensor),
        (fake, fake_labels): (&Tensor, &Tensor),
    ) -> Result<Option<Tensor>> {
        if !sub_step.is_multiple_of(self.gan.options.penalty_every as u64) {
            return Ok(None);
        }
        let d = &self.gan.discriminator;
        let judge = |x: &Tensor| Ok(d.forward(x, Some(real_labels), Mode::Train)?.logits);
        let judge_fake = |x: &Tensor| Ok(d.forward(x, Some(fake_labels), Mode::Train)?.logits);
        let weights = d.store().params().into_iter().filter(|param| param.name().ends_with("weight"));
        let mut scene = Scene {
            logits: &judge,
            fake_logits: &judge_fake,
            weights: &weights.map(|param| param.tensor()).collect::<Vec<_>>(),
            real,
            fake,
            rng: self.rng.stream("penalty").at(sub_step * self.gan.options.accumulate as u64 + piece as u64),
        };
        self.penalty.value(&mut scene)
    }

    /// One step of the generator through the discriminator on `fake`, whose graph leads to the generator, or on fakes of its
    /// own; in as many pieces as asked for.
    fn generator_step(&mut self, draw: &Draw, fake: Option<&Tensor>, factor: f64) -> Result<Values> {
        // Only the generator's parameters are asked for, so nothing is computed for the discriminator's.
        let params = self.gan.generator.store().params();
        let mut sum = Pieces::default();
        let pieces = self.gan.options.accumulate;
        for piece in 0..pieces {
            let draw = draw.piece(piece, pieces)?;
            let (values, loss) = match fake {
                Some(fake) => self.generator_loss(fake, &draw.labels)?,
                None => self.generator_loss(&self.generate(&draw)?, &draw.labels)?,
            };
            if !sum.add(&values, &loss, &params)? {
                return Ok(values);
            }
        }
        let (values, grads) = sum.mean()?;
        self.gan.g_optimiser.apply(&self.clip.apply(grads)?, factor)?;
        Ok(values)
    }

    /// The loss of the generator on fakes.
    fn generator_loss(&self, fake: &Tensor, fake_labels: &Tensor) -> Result<(Values, Tensor)> {
        let gan = &*self.gan;
        let (d, options) = (&gan.discriminator, &gan.options);
        let n = fake.dims()[0];
        let turned = if options.g_rotation_weight > 0.0 { options.turned(n) } else { 0 };
        let copies = turned_copies(fake, fake_labels, turned)?;
        let images: Vec<&Tensor> = std::iter::once(fake).chain(copies.iter().map(|(images, _)| images)).collect();
        let labels: Vec<&Tensor> =
            std::iter::once(fake_labels).chain(copies.iter().map(|(_, labels)| labels)).collect();
        let features = d.features(&Tensor::cat(&images, 0)?, Some(&Tensor::cat(&labels, 0)?), Mode::Train)?;
        let logits = d.judge(&features.narrow(0, 0, n)?, Some(fake_labels), Mode::Train)?;
        let mut loss = self.loss.generator(&logits)?;
        let mut values = vec![("g_loss", loss.value()?)];
        if turned > 0 {
            let seen =
                Tensor::cat(&[&features.narrow(0, n - turned, turned)?, &features.narrow(0, n, 3 * turned)?], 0)?;
            let rotation =
                d.rotation(&seen, Mode::Train)?.cross_entropy(&ROTATION.answers_for(turned, &gan.device)?)?;
            values.push(("g_rotation", rotation.value()?));
            loss = loss.add(&rotation.mul_scalar(options.g_rotation_weight)?)?;
        }
        Ok((values, loss))
    }
}

/// What a step measured.
type Values = Vec<(&'static str, f64)>;

/// Gradients and measured values of the pieces of a batch, added up.
#[derive(Default)]
struct Pieces {
    count: usize,
    values: Values,
    grads: Vec<Tensor>,
}

impl Pieces {
    /// Adds the gradients of `loss` for `params`; false, and nothing is added, when a measured number is not finite.
    fn add(&mut self, values: &Values, loss: &Tensor, params: &[Param]) -> Result<bool> {
        if !values.iter().all(|(_, value)| value.is_finite()) {
            return Ok(false);
        }
        let grads = gradients(loss, params)?;
        self.count += 1;
        if self.count == 1 {
            (self.values, self.grads) = (values.clone(), grads);
            return Ok(true);
        }
        self.values.iter_mut().zip(values).for_each(|(sum, value)| sum.1 += value.1);
        self.grads = no_grad(|| self.grads.iter().zip(&grads).map(|(sum, grad)| sum.add(grad)).collect::<Result<_>>())?;
        Ok(true)
    }

    /// The means over the pieces.
    fn mean(self) -> Result<(Values, Vec<Tensor>)> {
        if self.count == 1 {
            return Ok((self.values, self.grads));
        }
        let share = 1.0 / self.count as f64;
        let values = self.values.into_iter().map(|(name, sum)| (name, sum * share)).collect();
        let grads = no_grad(|| self.grads.iter().map(|sum| sum.mul_scalar(share)).collect::<Result<_>>())?;
        Ok((values, grads))
    }
}

/// Piece number `piece` of the rows of `whole`, cut into `pieces` equal ones.
fn cut(whole: &Tensor, piece: usize, pieces: usize) -> Result<Tensor> {
    let rows = whole.dims()[0] / pieces;
    if pieces == 1 { Ok(whole.clone()) } else { whole.narrow(0, piece * rows, rows) }
}

/// The last `turned` images at 90, 180 and 270 degrees, with the labels of the upright ones; none if `turned` is 0.
fn turned_copies(images: &Tensor, labels: &Tensor, turned: usize) -> Result<Option<(Tensor, Tensor)>> {
    if turned == 0 {
        return Ok(None);
    }
    let n = images.dims4()?[0];
    let all = (ROTATION.ask)(&images.narrow(0, n - turned, turned)?)?;
    let copies = all.narrow(0, turned, 3 * turned)?;
    let labels = labels.narrow(0, n - turned, turned)?;
    Ok(Some((copies, Tensor::cat(&[&labels, &labels, &labels], 0)?)))
}

/// Latents `[n, z_dim]` from the distribution called `z`.
pub(super) fn latents(z: &str, rng: &mut Rng, n: usize, z_dim: usize, device: &Device) -> Result<Tensor> {
    match z {
        "uniform" => rng.uniform_tensor(&[n, z_dim], device)?.affine(2.0, -1.0),
        _ => rng.normal_tensor(&[n, z_dim], device),
    }
}

impl Trainable for Training<'_, '_> {
    fn step(&mut self, step: u64) -> Result<Vec<(&'static str, f64)>> {
        let factor = self.rates.factor(step, self.end);
        let d_steps = self.gan.options.d_steps as u64;
        let whole = self.gan.options.accumulate == 1;
        let mut values = Vec::new();
        for sub in 0..d_steps {
            let sub_step = step * d_steps + sub;
            let draw = self.draw(sub_step)?;
            let last = sub + 1 == d_steps;
            // The generator does not change before its own step, so the fakes of the last discriminator step serve it too,
            // unless their graph is too large to be kept whole.
            let fake = if last && whole { Some(self.generate(&draw)?) } else { None };
            values = self.discriminator_step(sub_step, &draw, fake.as_ref(), factor)?;
            if !values.iter().all(|(_, value)| value.is_finite()) {
                return Ok(values);
            }
            if last {
                values.extend(self.generator_step(&draw, fake.as_ref(), factor)?);
            }
        }
        if values.iter().all(|(_, value)| value.is_finite()) {
            if let Some((network, average)) = &mut self.gan.average {
                average.update(network.store(), self.gan.generator.store())?;
            }
            self.gan.step = step + 1;
        }
        Ok(values)
    }

    fn save(&self, path: &Path, _done: u64) -> Result<()> {
        self.gan.save(path)
    }

    fn load(&mut self, path: &Path) -> Result<u64> {
        self.gan.load(path)?;
        Ok(self.gan.step)
    }

    fn after(&mut self, done: u64, of: u64) -> Result<()> {
        let every = self.gan.options.sample_every as u64;
        if every > 0 && (done.is_multiple_of(every) || done == of) {
            let grid = self.gan.preview()?;
            self.job.observer.picture("gan", done, "samples", &grid);
        }
        if let Some(hook) = &mut self.hook {
            hook(self.gan, done)?;
        }
        Ok(())
    }
}
