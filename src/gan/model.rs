//! A generator and a discriminator in training, with everything that a step changes.

use std::path::Path;
use std::sync::Arc;

use crate::data::{Labelled, Shape};
use crate::error::{Error, Result};
use crate::gan::classifier::Third;
use crate::gan::evaluated::{Evaluate, Kept};
use crate::gan::guard::{Found, Guards};
use crate::gan::labels::{self, Rows};
use crate::gan::network::{Discriminator, Generator, Heads};
use crate::gan::options::{Labels, TrainOptions};
use crate::gan::train::Training;
use crate::gan::unread::Unread;
use crate::gan::{Adversarial, Regulariser};
use crate::nn::checkpoint::{self, Saved};
use crate::nn::{Average, Fit, Optimiser};
use crate::options::{Settings, Value};
use crate::progress::Job;
use crate::tensor::{Device, Rng, Tensor};

/// What runs after a step, with the GAN as it is then; returns numbers to report.
pub type Hook<'a> = &'a mut dyn FnMut(&Gan, u64) -> Result<()>;

/// A generator and a discriminator in training.
pub struct Gan {
    /// The options; learning rates and weights may change between trainings.
    pub options: TrainOptions,
    /// What samples come from: the averaged generator if there is an average, else the generator itself.
    pub(super) average: Option<(Generator, Average)>,
    pub(super) generator: Arc<Generator>,
    pub(super) discriminator: Arc<Discriminator>,
    pub(super) g_optimiser: Box<dyn Optimiser>,
    pub(super) d_optimiser: Box<dyn Optimiser>,
    /// The classifier that labels real images for the discriminator, in Triple-GAN.
    pub(super) third: Option<Third>,
    pub(super) classes: Vec<String>,
    pub(super) step: u64,
    shape: Shape,
    pub(super) device: Device,
    /// What was changed by hand, in order.
    pub changes: Vec<Change>,
    /// How many of the changes a training has marked in its curves.
    pub(super) marked: usize,
    /// What scores it while it trains.
    pub evaluator: Option<Arc<dyn Evaluate>>,
    /// The step at which it was scored last.
    pub(super) evaluated: Option<u64>,
    pub(super) best: Option<Kept>,
    /// What guards have found in a row.
    pub(super) found: Found,
}

/// An option that was changed between trainings.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Steps done before it.
    pub step: u64,
    /// The option.
    pub name: String,
    /// Its new value.
    pub value: Value,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "after step {}: {} = {}", self.step, self.name, self.value)
    }
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
        let classes = labels::classes(data, options.labels)?;
        let (of_generator, of_discriminator) = options.blueprints(shape, classes.len())?;
        let generator = Generator::new(&options.generator, &of_generator, options.seed, device)?;
        let heads = Heads {
            projection: options.labels != Labels::Single,
            rotation: options.rotates(),
            predictor: options.predictor,
        };
        let discriminator = Discriminator::new(&options.discriminator, &of_discriminator, heads, options.seed, device)?;
        let [g_optimiser, d_optimiser] = optimisers(&options, &generator, &discriminator)?;
        let third = Third::new(&options, shape.channels, classes.len(), device)?;
        let average = match options.ema > 0.0 {
            true => Some((generator.copy()?, Average::new(options.ema).from(options.ema_start as u64))),
            false => None,
        };
        let (generator, discriminator) = (Arc::new(generator), Arc::new(discriminator));
        Ok(Self {
            options,
            average,
            generator,
            discriminator,
            g_optimiser,
            d_optimiser,
            third,
            classes,
            step: 0,
            shape,
            device: device.clone(),
            changes: Vec::new(),
            marked: 0,
            evaluator: None,
            evaluated: None,
            best: None,
            found: Found::default(),
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
        if self.evaluator.is_none() {
            self.options.check_unevaluated()?;
        }
        let batches = labels::batches(data, &self.options)?.on(&self.device);
        let unlabelled = match self.options.classifies() {
            true => Some(labels::all_batches(data, &self.options)?.on(&self.device)),
            false => None,
        };
        let rows = Rows::of(data, &self.options)?;
        let end = self.step + steps;
        let fingerprint = format!("{} data {} labels {}", self.options.to_json(), data.images().hash(), rows.hash());
        let checkpoint_every = self.options.checkpoint_every as u64;
        let (from, keep) = (self.step, self.options.keep);
        let unread = Unread::of(self)?;
        let mut training = Training {
            rates: self.options.rates()?,
            clip: self.options.clip()?,
            loss: Adversarial::of(&self.options.loss)?,
            penalty: Regulariser::of(&self.options.penalty)?,
            rng: Rng::new(self.options.seed).stream("gan"),
            end,
            gan: self,
            batches,
            unlabelled,
            rows,
            job,
            hook,
            guards: Guards::default(),
            unread,
        };
        let fit = Fit { job, stage: "gan", steps: end, fingerprint: &fingerprint, checkpoint_every, keep };
        if job.ended(fit.run(&mut training, from))? {
            job.observer.end("gan", &format!("{end} steps"));
        }
        Ok(())
    }

    /// Options that were changed since it was trained last.
    pub fn changes_since_training(&self) -> &[Change] {
        &self.changes[self.marked..]
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
        self.options.labels != Labels::Single
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
            "penalty_every",
            "d_clip",
            "class_weight",
            "c_lr",
            "c_share",
            "c_adversarial_weight",
            "c_fake_weight",
            "c_fake_start",
            "d_rotation_weight",
            "g_rotation_weight",
            "d_steps",
            "schedule",
            "warmup",
            "drops",
            "clip_norm",
            "clip_value",
            "accumulate",
            "steps",
            "sample_every",
            "checkpoint_every",
            "keep",
            "evaluate_every",
            "best_by",
            "guards",
            "guard_every",
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
        if let Some(third) = &mut self.third {
            third.set_lr(changed.c_lr);
        }
        self.changes.push(Change { step: self.step, name: name.to_string(), value });
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
        let [mut g_optimiser, mut d_optimiser] = optimisers(&self.options, &generator, &discriminator)?;
        for (to, from) in [(&mut g_optimiser, &self.g_optimiser), (&mut d_optimiser, &self.d_optimiser)] {
            let state: std::collections::HashMap<String, Tensor> = from.state()?.into_iter().collect();
            to.load(&mut |name| state.get(name).cloned())?;
        }
        let average = match &self.average {
            Some((network, average)) => {
                let mut copy = Average::new(self.options.ema).from(self.options.ema_start as u64);
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
            third: self.third.as_ref().map(|third| third.copy(&self.options)).transpose()?,
            classes: self.classes.clone(),
            step: self.step,
            shape: self.shape,
            device: self.device.clone(),
            changes: self.changes.clone(),
            marked: self.marked,
            evaluator: self.evaluator.clone(),
            evaluated: self.evaluated,
            best: self.best.clone(),
            found: self.found,
        })
    }

    /// Everything that training changed, as it is now.
    pub(super) fn state(&self) -> Result<Saved> {
        let mut parts = vec![
            ("generator", self.generator.store().state()),
            ("discriminator", self.discriminator.store().state()),
            ("g_optimiser", self.g_optimiser.state()?),
            ("d_optimiser", self.d_optimiser.state()?),
        ];
        let mut numbers = vec![("step", self.step as f64)];
        numbers.extend(self.found.numbers());
        numbers.extend(self.evaluated.map(|step| ("evaluated", step as f64)));
        if let Some((network, average)) = &self.average {
            parts.push(("average", network.store().state()));
            numbers.push(("updates", average.updates() as f64));
        }
        if let Some(third) = &self.third {
            parts.extend(third.state()?);
        }
        Saved::of(parts, &numbers)
    }

    /// Writes everything that training changed.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        self.state()?.write(path)
    }

    /// Reads what [`save`](Self::save) wrote; nothing changes if it does not fit.
    ///
    /// # Errors
    /// The file is missing, truncated, or of other networks.
    pub fn load(&mut self, path: &Path) -> Result<()> {
        self.restore(&checkpoint::load(path)?)
    }

    /// Puts a state back; nothing changes if it does not fit.
    pub(super) fn restore(&mut self, saved: &Saved) -> Result<()> {
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
        let third = self.third.as_ref().map(|third| third.saved(saved)).transpose()?;
        self.generator.store().restore(generator)?;
        self.discriminator.store().restore(discriminator)?;
        self.g_optimiser.load(&mut |name| saved.find("g_optimiser", name))?;
        self.d_optimiser.load(&mut |name| saved.find("d_optimiser", name))?;
        if let (Some(third), Some(found)) = (&mut self.third, third) {
            third.restore(saved, found, average.as_ref().map_or(0, |(_, updates)| *updates))?;
        }
        if let (Some((network, average)), Some((values, updates))) = (&mut self.average, average) {
            network.store().restore(values)?;
            average.resume(updates);
        }
        self.step = step;
        self.found = Found::of(saved);
        self.evaluated = saved.number("evaluated").ok().map(|step| step as u64);
        Ok(())
    }
}

/// The optimisers of both networks.
fn optimisers(
    options: &TrainOptions,
    generator: &Generator,
    discriminator: &Discriminator,
) -> Result<[Box<dyn Optimiser>; 2]> {
    Ok([
        options.g_optimiser.build(generator.store().params(), &options.recipe(options.g_lr))?,
        options.d_optimiser.build(discriminator.store().params(), &options.recipe(options.d_lr))?,
    ])
}
