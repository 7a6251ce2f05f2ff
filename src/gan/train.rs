//! The training loop of a GAN: alternating steps of discriminator and generator on one data set.

use std::path::Path;

use crate::data::{Batches, Labelled};
use crate::error::{Error, Result};
use crate::gan::classifier::Paired;
use crate::gan::guard::Guards;
use crate::gan::labels::Rows;
use crate::gan::model::{Gan, Hook};
use crate::gan::objective::{Asked, Told, Values, read};
use crate::gan::options::TrainOptions;
use crate::gan::unread::Unread;
use crate::gan::{Adversarial, Regulariser};
use crate::nn::{Clip, Mode, Param, Prior, Rates, Trainable, gradients};
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
    /// All images, for a classifier to label.
    pub(super) unlabelled: Option<Batches>,
    pub(super) rows: Rows,
    pub(super) rates: Rates,
    pub(super) clip: Clip,
    pub(super) loss: Adversarial,
    pub(super) penalty: Regulariser,
    pub(super) rng: Rng,
    pub(super) end: u64,
    pub(super) job: &'a Job,
    pub(super) hook: Option<Hook<'b>>,
    pub(super) guards: Guards,
    /// Steps whose numbers wait to be read, where each reading would wait for a GPU.
    pub(super) unread: Option<Unread>,
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
    /// Latents and labels for as many fakes as `real_rows` has rows.
    fn draw(&self, sub_step: u64, real_rows: &Tensor) -> Result<Draw> {
        let options = &self.gan.options;
        let (n, classes) = (options.batch, self.gan.classes.len());
        let z = Prior::named(&options.z)?.draw(
            &mut self.rng.stream("z").at(sub_step),
            n,
            options.z_dim,
            &self.gan.device,
        )?;
        if options.fit_label_distribution {
            return Ok(Draw { z, labels: real_rows.clone() });
        }
        let mut rng = self.rng.stream("labels").at(sub_step);
        let labels: Vec<u32> = (0..n).map(|_| rng.below(classes) as u32).collect();
        let labels = Tensor::from_u32s(labels, &[n], &self.gan.device)?.one_hot(classes)?;
        Ok(Draw { z, labels })
    }

    /// The images of a batch and rows of weights over the classes.
    pub(super) fn real(&self, sub_step: u64) -> Result<(Tensor, Tensor)> {
        let batch = self.batches.batch(sub_step)?;
        let rows = self.rows.of_images(&batch.indices, &self.gan.device)?;
        Ok((batch.images, rows))
    }

    fn generate(&self, draw: &Draw) -> Result<Tensor> {
        self.gan.generator.forward(&draw.z, Some(&draw.labels), Mode::Train)
    }

    /// The fakes of all discriminator steps of one generator step, made in one pass: batch norms see them together.
    fn generate_jointly(&self, draws: &[Draw]) -> Result<Tensor> {
        let z = Tensor::cat(&draws.iter().map(|draw| &draw.z).collect::<Vec<_>>(), 0)?;
        let labels = Tensor::cat(&draws.iter().map(|draw| &draw.labels).collect::<Vec<_>>(), 0)?;
        no_grad(|| self.generate(&Draw { z, labels }))
    }

    /// One step of the discriminator on real images and on `fake`, whose graph is left alone, or on fakes of its own; the
    /// batch in as many pieces as asked for.
    fn discriminator_step(
        &mut self,
        sub_step: u64,
        (real, rows): &(Tensor, Tensor),
        paired: Option<&Paired>,
        draw: &Draw,
        fake: Option<&Tensor>,
        factor: f64,
    ) -> Result<Told> {
        let params = self.gan.discriminator.store().params();
        let mut sum = Pieces::default();
        let pieces = self.gan.options.accumulate;
        for piece in 0..pieces {
            let draw = draw.piece(piece, pieces)?;
            let fake = match fake {
                Some(fake) => cut(&fake.detach(), piece, pieces)?,
                None => no_grad(|| self.generate(&draw))?,
            };
            let (images, rows) = (cut(real, piece, pieces)?, cut(rows, piece, pieces)?);
            let real = Asked { images: &images, rows: &rows };
            let fake = Asked { images: &fake, rows: &draw.labels };
            let (values, loss) = self.discriminator_loss(sub_step, piece, real, paired, fake)?;
            if !self.fine(&values)? {
                // The loop names the number and the step; nothing is changed by it.
                return Ok(values);
            }
            sum.add(&values, &loss, &params)?;
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

    /// One step of the generator through the discriminator on `fake`, whose graph leads to the generator, or on fakes of its
    /// own; in as many pieces as asked for.
    fn generator_step(&mut self, draw: &Draw, fake: Option<&Tensor>, factor: f64) -> Result<Told> {
        // Only the generator's parameters are asked for, so nothing is computed for the discriminator's.
        let params = self.gan.generator.store().params();
        let mut sum = Pieces::default();
        let pieces = self.gan.options.accumulate;
        for piece in 0..pieces {
            let draw = draw.piece(piece, pieces)?;
            let (values, loss) = match fake {
                Some(fake) => self.generator_loss(Asked { images: fake, rows: &draw.labels })?,
                None => self.generator_loss(Asked { images: &self.generate(&draw)?, rows: &draw.labels })?,
            };
            if !self.fine(&values)? {
                return Ok(values);
            }
            sum.add(&values, &loss, &params)?;
        }
        let (values, grads) = sum.mean()?;
        self.gan.g_optimiser.apply(&self.clip.apply(grads)?, factor)?;
        Ok(values)
    }

    /// Whether all numbers are finite, or nobody looks yet.
    fn fine(&self, told: &Told) -> Result<bool> {
        Ok(self.unread.is_some() || read(told)?.iter().all(|(_, value)| value.is_finite()))
    }
}

/// Gradients and measured values of the pieces of a batch, added up.
#[derive(Default)]
struct Pieces {
    count: usize,
    values: Told,
    grads: Vec<Tensor>,
}

impl Pieces {
    /// Adds what was measured, and the gradients of `loss` for `params`.
    fn add(&mut self, values: &Told, loss: &Tensor, params: &[Param]) -> Result<()> {
        let grads = gradients(loss, params)?;
        self.count += 1;
        if self.count == 1 {
            (self.values, self.grads) = (values.clone(), grads);
            return Ok(());
        }
        for (sum, value) in self.values.iter_mut().zip(values) {
            sum.1 = sum.1.add(&value.1)?;
        }
        self.grads = no_grad(|| self.grads.iter().zip(&grads).map(|(sum, grad)| sum.add(grad)).collect::<Result<_>>())?;
        Ok(())
    }

    /// The means over the pieces.
    fn mean(self) -> Result<(Told, Vec<Tensor>)> {
        if self.count == 1 {
            return Ok((self.values, self.grads));
        }
        let share = 1.0 / self.count as f64;
        let values = self.values.into_iter().map(|(name, sum)| Ok((name, sum.mul_scalar(share)?)));
        let values = values.collect::<Result<_>>()?;
        let grads = no_grad(|| self.grads.iter().map(|sum| sum.mul_scalar(share)).collect::<Result<_>>())?;
        Ok((values, grads))
    }
}

/// The discriminator's loss, as a step measured it.
fn loss_of(values: &Values) -> Option<f64> {
    values.iter().find(|(name, _)| *name == "d_loss").map(|(_, loss)| *loss)
}

/// Piece number `piece` of the rows of `whole`, cut into `pieces` equal ones.
fn cut(whole: &Tensor, piece: usize, pieces: usize) -> Result<Tensor> {
    let rows = whole.dims()[0] / pieces;
    if pieces == 1 { Ok(whole.clone()) } else { whole.narrow(0, piece * rows, rows) }
}

impl Trainable for Training<'_, '_> {
    fn step(&mut self, step: u64) -> Result<Values> {
        let factor = self.rates.factor(step, self.end);
        let d_steps = self.gan.options.d_steps as u64;
        let whole = self.gan.options.accumulate == 1;
        let (batch, joint) = (self.gan.options.batch, self.gan.options.joint_generation);
        let reals: Vec<(Tensor, Tensor)> =
            (0..d_steps).map(|sub| self.real(step * d_steps + sub)).collect::<Result<_>>()?;
        let draws = (0..d_steps).zip(&reals).map(|(sub, (_, rows))| self.draw(step * d_steps + sub, rows));
        let draws: Vec<Draw> = draws.collect::<Result<_>>()?;
        let together = if joint { Some(self.generate_jointly(&draws)?) } else { None };
        let mut values = Told::new();
        for (sub, (draw, real)) in draws.iter().zip(&reals).enumerate() {
            let last = sub + 1 == draws.len();
            // The generator does not change before its own step, so the fakes of the last discriminator step serve it too,
            // unless their graph is too large to be kept whole, or they were made with those of other steps.
            let own = if last && whole && !joint { Some(self.generate(draw)?) } else { None };
            let shown = match &together {
                Some(together) => Some(together.narrow(0, sub * batch, batch)?),
                None => own.clone(),
            };
            let sub_step = step * d_steps + sub as u64;
            let paired = self.paired(sub_step)?;
            values = self.discriminator_step(sub_step, real, paired.as_ref(), draw, shown.as_ref(), factor)?;
            if !self.fine(&values)? {
                return read(&values);
            }
            if let (true, Some(paired), Some(fake)) = (last, &paired, &shown) {
                let real = Asked { images: &real.0, rows: &real.1 };
                let fake = Asked { images: fake, rows: &draw.labels };
                values.extend(self.classifier_step(step, real, paired, fake, factor)?);
                if !self.fine(&values)? {
                    return read(&values);
                }
            }
            if last {
                values.extend(self.generator_step(draw, own.as_ref(), factor)?);
            }
        }
        if self.fine(&values)? {
            if let Some((network, average)) = &mut self.gan.average {
                average.update(network.store(), self.gan.generator.store())?;
            }
            if let Some(third) = &mut self.gan.third {
                third.settle()?;
            }
            self.gan.step = step + 1;
        }
        match &mut self.unread {
            Some(unread) => {
                unread.push(values);
                Ok(Values::new())
            }
            None => {
                let values = read(&values)?;
                self.guards.loss = loss_of(&values);
                Ok(values)
            }
        }
    }

    fn reads(&self, done: u64) -> bool {
        let every = self.gan.options.sample_every as u64;
        let guarded = done.is_multiple_of(self.gan.options.guard_every as u64);
        let shown = self.hook.is_some() || guarded || (every > 0 && done.is_multiple_of(every));
        self.unread.as_ref().is_none_or(|unread| shown || unread.full())
    }

    fn measured(&mut self) -> Result<Vec<Values>> {
        let steps = self.unread.as_mut().map_or(Ok(Vec::new()), |unread| unread.read(self.gan))?;
        self.guards.loss = steps.last().map_or(self.guards.loss, loss_of);
        Ok(steps)
    }

    fn save(&self, path: &Path, _done: u64) -> Result<()> {
        self.gan.save(path)
    }

    fn load(&mut self, path: &Path) -> Result<u64> {
        self.gan.load(path)?;
        Ok(self.gan.step)
    }

    fn before(&mut self, done: u64) -> Result<()> {
        // How many steps are asked for changes none of them.
        for change in self.gan.changes.iter().skip(self.gan.marked).filter(|change| change.name != "steps") {
            self.job.observer.mark("gan", change.step, &format!("{} = {}", change.name, change.value));
        }
        self.gan.marked = self.gan.changes.len();
        self.guard(done)?;
        self.begin_evaluations(done)
    }

    fn rescue(&mut self, error: Error, done: u64) -> Result<(Error, Option<u64>)> {
        self.put_back(error, done)
    }

    fn after(&mut self, done: u64, of: u64) -> Result<()> {
        self.look(done)?;
        let every = self.gan.options.sample_every as u64;
        if every > 0 && (done.is_multiple_of(every) || done == of) {
            let grid = self.gan.preview()?;
            self.job.observer.picture("gan", done, "samples", &grid);
        }
        if let Some(hook) = &mut self.hook {
            hook(self.gan, done)?;
        }
        self.evaluate_in_turn(done)
    }
}
