//! The training loop of a GAN: alternating steps of discriminator and generator on one data set.

use std::path::Path;
use std::sync::Arc;

use crate::data::{BatchOptions, Batches, Labelled, Shape};
use crate::error::{Error, Result};
use crate::gan::arch::{Blueprint, Pool, Upsample};
use crate::gan::network::{Discriminator, Generator, Heads};
use crate::gan::{Adversarial, Regulariser, Scene};
use crate::nn::{
    Adam, Average, Fit, Init, Mode, NormKind, Optimiser, ROTATION, Schedule, Trainable, checkpoint, gradients,
};
use crate::options::{Choice, Setting, Settings, Value};
use crate::progress::Job;
use crate::tensor::{Device, Rng, Tensor, no_grad};

/// Which labels the networks see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labels {
    /// Those of the data set; images without one are left out.
    Given,
    /// One and the same for every image.
    Single,
}

crate::options! {
    /// Options of `gan::train`.
    pub struct TrainOptions("gan::train") {
        /// The method these options began as, for the record.
        pub method: String = "biggan".into(),
        /// Generator steps.
        pub steps: usize = 5000,
        /// Images in a batch.
        pub batch: usize = 64,
        /// Discriminator steps for each generator step.
        pub d_steps: usize = 1,
        /// What weights, batches and latents are drawn from.
        pub seed: u64 = 1,
        /// The adversarial loss: a name, or a function of `(real, fake)` logits.
        pub loss: Choice = "hinge".into(),
        /// The penalty on the discriminator: a name, or a function of `(real, fake)` images.
        pub penalty: Choice = "none".into(),
        /// What the penalty is multiplied with.
        pub penalty_weight: f64 = 10.0,
        /// `given`: the labels of the data set; `single`: one label for every image.
        pub labels: Labels = Labels::Given,
        /// A second task of the discriminator: `none` or `rotation`.
        pub self_supervision: String = "none".into(),
        /// The share of each batch that is also shown turned.
        pub rotation_share: f64 = 0.25,
        /// What the rotation loss of real images is multiplied with in the discriminator's loss.
        pub d_rotation_weight: f64 = 1.0,
        /// What the rotation loss of generated images is multiplied with in the generator's loss.
        pub g_rotation_weight: f64 = 0.2,
        /// The architecture of the generator.
        pub generator: String = "resnet_cifar".into(),
        /// The architecture of the discriminator.
        pub discriminator: String = "resnet_cifar".into(),
        /// Channels of the generator's wide layers; the architecture's own if 0.
        pub g_channels: usize = 0,
        /// Channels of the discriminator's wide layers; the architecture's own if 0.
        pub d_channels: usize = 0,
        /// The norm of the generator.
        pub g_norm: NormKind = NormKind::Conditional,
        /// The norm of the discriminator.
        pub d_norm: NormKind = NormKind::None,
        /// Spectral norm in the generator.
        pub g_spectral_norm: bool = false,
        /// Spectral norm in the discriminator.
        pub d_spectral_norm: bool = true,
        /// First values of weights.
        pub init: Init = Init::Orthogonal(1.0),
        /// How residual generators enlarge: `nearest`, or `zeros` as in Compare GAN.
        pub upsample: Upsample = Upsample::Nearest,
        /// The kernel of residual shortcuts: 1, or 3 as in Compare GAN.
        pub shortcut_kernel: usize = 1,
        /// How a residual discriminator pools: `mean`, or `sum` as BigGAN does.
        pub pool: Pool = Pool::Sum,
        /// Numbers in a latent.
        pub z_dim: usize = 128,
        /// The latent is cut into equal parts: the first makes the start of the image, each block's norms see one of the
        /// others beside the label.
        pub hierarchical_z: bool = false,
        /// What latents are drawn from: `normal`, or `uniform` from -1 to 1.
        pub z: String = "normal".into(),
        /// The learning rate of the generator.
        pub g_lr: f64 = 2e-4,
        /// The learning rate of the discriminator.
        pub d_lr: f64 = 2e-4,
        /// Adam's running shares.
        pub betas: [f64; 2] = [0.0, 0.999],
        /// How the learning rates change: `constant`, `linear`, `cosine` or `steps`.
        pub schedule: Schedule = Schedule::Constant,
        /// The share of the averaged generator that stays at each step; 0 for no average.
        pub ema: f64 = 0.999,
        /// Batches over which the statistics of batch norms are taken before sampling.
        pub standing_batches: usize = 32,
        /// Mirror images left to right, half of the time.
        pub flip: bool = false,
        /// Steps between grids of samples; 0 for none.
        pub sample_every: usize = 250,
        /// Steps between checkpoints.
        pub checkpoint_every: usize = 500,
    }
}

macro_rules! named_setting {
    ($type:ty, $expected:literal, $($name:literal => $value:path),*) => {
        impl Setting for $type {
            const EXPECTED: &'static str = $expected;
            fn from_value(value: Value) -> std::result::Result<Self, Value> {
                match &value {
                    $( Value::Text(name) if name == $name => Ok($value), )*
                    _ => Err(value),
                }
            }
            fn to_value(&self) -> Value {
                Value::Text(match self { $( $value => $name, )* }.into())
            }
        }
    };
}
named_setting!(Labels, "`given` or `single`", "given" => Labels::Given, "single" => Labels::Single);
named_setting!(Upsample, "`nearest` or `zeros`", "nearest" => Upsample::Nearest, "zeros" => Upsample::Zeros);
named_setting!(Pool, "`mean` or `sum`", "mean" => Pool::Mean, "sum" => Pool::Sum);

impl TrainOptions {
    fn check(&self) -> Result<()> {
        let positive = [
            ("batch", self.batch),
            ("d_steps", self.d_steps),
            ("z_dim", self.z_dim),
            ("standing_batches", self.standing_batches),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(Error::new(format!("the option `{name}` of `gan::train` is 0")).help("it must be at least 1"));
        }
        if ![1, 3].contains(&self.shortcut_kernel) {
            return Err(Error::new(format!("the option `shortcut_kernel` is {}", self.shortcut_kernel))
                .help("it must be 1 or 3"));
        }
        let shares = [
            ("rotation_share", self.rotation_share),
            ("ema", self.ema),
            ("betas[0]", self.betas[0]),
            ("betas[1]", self.betas[1]),
        ];
        if let Some((name, value)) = shares
            .iter()
            .find(|(name, value)| !(0.0..=1.0).contains(value) || (*name != "rotation_share" && *value == 1.0))
        {
            return Err(Error::new(format!("the option `{name}` is {value}")).help("it must be from 0 to below 1"));
        }
        if !["normal", "uniform"].contains(&self.z.as_str()) {
            return Err(crate::table::unknown("distribution of latents", &self.z, ["normal", "uniform"]));
        }
        if !["none", "rotation"].contains(&self.self_supervision.as_str()) {
            return Err(crate::table::unknown("self-supervision", &self.self_supervision, ["none", "rotation"]));
        }
        Ok(())
    }

    fn rotates(&self) -> bool {
        self.self_supervision == "rotation"
    }

    /// How many images of a batch are also shown turned.
    fn turned(&self) -> usize {
        if self.rotates() {
            ((self.rotation_share * self.batch as f64).round() as usize).clamp(1, self.batch)
        } else {
            0
        }
    }
}

/// What runs after a step, with the GAN as it is then; returns numbers to report.
pub type Hook<'a> = &'a mut dyn FnMut(&Gan, u64) -> Result<()>;

/// A generator and a discriminator in training.
pub struct Gan {
    /// The options; learning rates and weights may change between trainings.
    pub options: TrainOptions,
    /// What samples come from: the averaged generator if there is an average, else the generator itself.
    average: Option<(Generator, Average)>,
    generator: Arc<Generator>,
    discriminator: Arc<Discriminator>,
    g_optimiser: Adam,
    d_optimiser: Adam,
    classes: Vec<String>,
    step: u64,
    shape: Shape,
    device: Device,
    /// What was changed by hand, and after which step.
    pub changes: Vec<(u64, String)>,
}

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

impl Gan {
    /// New networks for `data`.
    ///
    /// # Errors
    /// An option is out of range or names nothing.
    pub fn new(data: &Labelled, options: TrainOptions, device: &Device) -> Result<Self> {
        options.check()?;
        Adversarial::of(&options.loss)?;
        Regulariser::of(&options.penalty)?;
        let shape = data.shape();
        if shape.height != shape.width {
            return Err(Error::new(format!(
                "the images are {}x{}, the architectures are for square ones",
                shape.height, shape.width
            ))
            .help("load the data with `size: 32`"));
        }
        let classes = match options.labels {
            Labels::Given => data.classes().to_vec(),
            Labels::Single => vec!["any".to_string()],
        };
        if classes.is_empty() {
            return Err(Error::new(format!("`{}` has no classes", data.name())).help("use the method `single_label`"));
        }
        let blueprint = |generator: bool| Blueprint {
            colours: shape.channels,
            size: shape.height,
            classes: classes.len(),
            z_dim: options.z_dim,
            hierarchical_z: generator && options.hierarchical_z,
            channels: if generator { options.g_channels } else { options.d_channels },
            norm: if generator { options.g_norm } else { options.d_norm },
            spectral_norm: if generator { options.g_spectral_norm } else { options.d_spectral_norm },
            init: options.init,
            upsample: options.upsample,
            shortcut_kernel: options.shortcut_kernel,
            pool: options.pool,
        };
        let generator = Generator::new(&options.generator, &blueprint(true), options.seed, device)?;
        let heads = Heads { projection: options.labels == Labels::Given, rotation: options.rotates() };
        let discriminator = Discriminator::new(&options.discriminator, &blueprint(false), heads, options.seed, device)?;
        let g_optimiser = Adam::new(generator.store().params(), options.g_lr, options.betas, 1e-8)?;
        let d_optimiser = Adam::new(discriminator.store().params(), options.d_lr, options.betas, 1e-8)?;
        let average = if options.ema > 0.0 { Some((generator.copy()?, Average::new(options.ema))) } else { None };
        let (generator, discriminator) = (Arc::new(generator), Arc::new(discriminator));
        Ok(Self {
            options,
            average,
            generator,
            discriminator,
            g_optimiser,
            d_optimiser,
            classes,
            step: 0,
            shape,
            device: device.clone(),
            changes: Vec::new(),
        })
    }

    /// Trains on for `steps` generator steps; `data` is what it was made for.
    ///
    /// # Errors
    /// As [`train`]; the networks stay usable.
    pub fn train(&mut self, data: &Labelled, steps: u64, job: &Job, hook: Option<Hook<'_>>) -> Result<()> {
        if data.shape() != self.shape {
            return Err(Error::new(format!(
                "the GAN was made for images of {:?}, and was given {:?}",
                self.shape,
                data.shape()
            )));
        }
        let batch_options =
            BatchOptions { seed: self.options.seed, flip: self.options.flip, ..BatchOptions::default() };
        let batches = match self.options.labels {
            Labels::Given => data.batches(self.options.batch, &batch_options)?,
            Labels::Single => data.source().batches(self.options.batch, &batch_options)?,
        }
        .on(&self.device);
        let end = self.step + steps;
        let fingerprint =
            format!("{} data {} labels {}", self.options.to_json(), data.images().hash(), labels_hash(data));
        let checkpoint_every = self.options.checkpoint_every as u64;
        let from = self.step;
        let mut training = Training {
            loss: Adversarial::of(&self.options.loss)?,
            penalty: Regulariser::of(&self.options.penalty)?,
            rng: Rng::new(self.options.seed).stream("gan"),
            end,
            gan: self,
            batches,
            job,
            hook,
        };
        let fit = Fit { job, stage: "gan", steps: end, fingerprint: &fingerprint, checkpoint_every };
        if job.ended(fit.run(&mut training, from))? {
            job.observer.end("gan", &format!("{end} steps"));
        }
        Ok(())
    }

    /// Steps of the generator so far.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// What the classes are called.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Whether samples are of a class that one can choose.
    pub fn conditional(&self) -> bool {
        self.options.labels == Labels::Given
    }

    /// The generator that samples come from: averaged if there is an average.
    pub fn sampler(&self) -> &Generator {
        self.average.as_ref().map_or(&self.generator, |(average, _)| average)
    }

    /// The generator in training.
    pub fn generator(&self) -> &Arc<Generator> {
        &self.generator
    }

    /// The discriminator in training.
    pub fn discriminator(&self) -> &Arc<Discriminator> {
        &self.discriminator
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The size of its images.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Changes an option between trainings; what was drawn or built at the start cannot change.
    ///
    /// # Errors
    /// An unknown option, a value of the wrong type, or an option that is fixed.
    pub fn set(&mut self, name: &str, value: Value) -> Result<()> {
        const FREE: &[&str] = &[
            "g_lr",
            "d_lr",
            "loss",
            "penalty",
            "penalty_weight",
            "d_rotation_weight",
            "g_rotation_weight",
            "d_steps",
            "schedule",
            "steps",
            "sample_every",
            "checkpoint_every",
            "standing_batches",
        ];
        let mut changed = self.options.clone();
        changed.set(name, value.clone())?;
        changed.check()?;
        Adversarial::of(&changed.loss)?;
        Regulariser::of(&changed.penalty)?;
        if !FREE.contains(&name) {
            return Err(Error::new(format!("the option `{name}` is fixed once the networks are built")).help(format!(
                "these may change: {}",
                FREE.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            )));
        }
        self.g_optimiser.set_lr(changed.g_lr);
        self.d_optimiser.set_lr(changed.d_lr);
        self.changes.push((self.step, format!("{name} = {value}")));
        self.options = changed;
        Ok(())
    }

    /// A copy that trains on from the same state, on its own.
    ///
    /// # Errors
    /// Should not happen: the networks are rebuilt as they were.
    pub fn copy(&self) -> Result<Self> {
        let generator = Arc::new(self.generator.copy()?);
        let discriminator = Arc::new(self.discriminator.copy()?);
        let mut g_optimiser = Adam::new(generator.store().params(), self.options.g_lr, self.options.betas, 1e-8)?;
        let mut d_optimiser = Adam::new(discriminator.store().params(), self.options.d_lr, self.options.betas, 1e-8)?;
        for (to, from) in [(&mut g_optimiser, &self.g_optimiser), (&mut d_optimiser, &self.d_optimiser)] {
            let state: std::collections::HashMap<String, Tensor> = from.state()?.into_iter().collect();
            to.load(&mut |name| state.get(name).cloned())?;
        }
        let average = match &self.average {
            Some((network, average)) => {
                let mut copy = Average::new(self.options.ema);
                copy.resume(average.updates());
                Some((network.copy()?, copy))
            }
            None => None,
        };
        Ok(Self {
            options: self.options.clone(),
            average,
            generator,
            discriminator,
            g_optimiser,
            d_optimiser,
            classes: self.classes.clone(),
            step: self.step,
            shape: self.shape,
            device: self.device.clone(),
            changes: self.changes.clone(),
        })
    }

    /// Writes everything that training changed.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut parts = vec![
            ("generator", self.generator.store().state()),
            ("discriminator", self.discriminator.store().state()),
            ("g_optimiser", self.g_optimiser.state()?),
            ("d_optimiser", self.d_optimiser.state()?),
        ];
        let mut numbers = vec![("step", self.step as f64)];
        if let Some((network, average)) = &self.average {
            parts.push(("average", network.store().state()));
            numbers.push(("updates", average.updates() as f64));
        }
        checkpoint::save(path, &parts, &numbers)
    }

    /// Reads what [`save`](Self::save) wrote; nothing changes if it does not fit.
    ///
    /// # Errors
    /// The file is missing, truncated, or of other networks.
    pub fn load(&mut self, path: &Path) -> Result<()> {
        let saved = checkpoint::load(path)?;
        let step = saved.number("step")? as u64;
        // Look at everything before changing anything.
        let generator = self.generator.store().saved(|name| saved.find("generator", name))?;
        let discriminator = self.discriminator.store().saved(|name| saved.find("discriminator", name))?;
        let average = match &self.average {
            Some((network, _)) => {
                Some((network.store().saved(|name| saved.find("average", name))?, saved.number("updates")? as u64))
            }
            None => None,
        };
        self.generator.store().restore(generator)?;
        self.discriminator.store().restore(discriminator)?;
        self.g_optimiser.load(&mut |name| saved.find("g_optimiser", name))?;
        self.d_optimiser.load(&mut |name| saved.find("d_optimiser", name))?;
        if let (Some((network, average)), Some((values, updates))) = (&mut self.average, average) {
            network.store().restore(values)?;
            average.resume(updates);
        }
        self.step = step;
        Ok(())
    }
}

fn labels_hash(data: &Labelled) -> u64 {
    // FNV-1a over the labels: two labellers of one data set train two different GANs.
    data.labels().iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, label| {
        (hash ^ label.map_or(u64::MAX, u64::from)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// A GAN with what its steps need.
struct Training<'a, 'b> {
    gan: &'a mut Gan,
    batches: Batches,
    loss: Adversarial,
    penalty: Regulariser,
    rng: Rng,
    end: u64,
    job: &'a Job,
    hook: Option<Hook<'b>>,
}

/// Latents and labels of one batch of fakes.
struct Draw {
    z: Tensor,
    labels: Tensor,
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

    /// One step of the discriminator on real images and `fake` ones, which are detached.
    fn discriminator_step(
        &mut self,
        sub_step: u64,
        fake: &Tensor,
        fake_labels: &Tensor,
        factor: f64,
    ) -> Result<Vec<(&'static str, f64)>> {
        let gan = &*self.gan;
        let (d, options) = (&gan.discriminator, &gan.options);
        let n = options.batch;
        let (real, real_labels) = self.real(sub_step)?;
        let turned = options.turned();
        // Only the turned copies of real images are needed here; the upright ones are in the batch.
        let copies = turned_copies(&real, &real_labels, turned)?;
        let images: Vec<&Tensor> = [&real, fake].into_iter().chain(copies.iter().map(|(images, _)| images)).collect();
        let labels: Vec<&Tensor> =
            [&real_labels, fake_labels].into_iter().chain(copies.iter().map(|(_, labels)| labels)).collect();
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
        let judge = |x: &Tensor| Ok(d.forward(x, Some(&real_labels), Mode::Train)?.logits);
        let mut scene = Scene { logits: &judge, real: &real, fake, rng: self.rng.stream("penalty").at(sub_step) };
        if let Some(penalty) = self.penalty.value(&mut scene)? {
            values.push(("penalty", penalty.value()?));
            loss = loss.add(&penalty.mul_scalar(options.penalty_weight)?)?;
        }
        if !values.iter().all(|(_, value)| value.is_finite()) {
            // The loop names the number and the step; nothing is changed by it.
            return Ok(values);
        }
        let grads = gradients(&loss, d.store().params().as_slice())?;
        self.gan.d_optimiser.apply(&grads, factor)?;
        Ok(values)
    }

    /// One step of the generator through the discriminator on `fake`, whose graph leads to the generator.
    fn generator_step(&mut self, fake: &Tensor, fake_labels: &Tensor, factor: f64) -> Result<Vec<(&'static str, f64)>> {
        let gan = &*self.gan;
        let (d, options) = (&gan.discriminator, &gan.options);
        let n = options.batch;
        let turned = if options.g_rotation_weight > 0.0 { options.turned() } else { 0 };
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
        if !values.iter().all(|(_, value)| value.is_finite()) {
            return Ok(values);
        }
        // Only the generator's parameters are asked for, so nothing is computed for the discriminator's.
        let grads = gradients(&loss, gan.generator.store().params().as_slice())?;
        self.gan.g_optimiser.apply(&grads, factor)?;
        Ok(values)
    }
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
        let factor = self.gan.options.schedule.factor(step, self.end);
        let d_steps = self.gan.options.d_steps as u64;
        let mut values = Vec::new();
        for sub in 0..d_steps {
            let sub_step = step * d_steps + sub;
            let draw = self.draw(sub_step)?;
            let last = sub + 1 == d_steps;
            // The generator does not change before its own step, so the fakes of the last discriminator step serve it too.
            let fake = if last { self.generate(&draw)? } else { no_grad(|| self.generate(&draw))? };
            values = self.discriminator_step(sub_step, &fake.detach(), &draw.labels, factor)?;
            if !values.iter().all(|(_, value)| value.is_finite()) {
                return Ok(values);
            }
            if last {
                values.extend(self.generator_step(&fake, &draw.labels, factor)?);
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
