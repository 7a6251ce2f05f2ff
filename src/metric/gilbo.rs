//! How much an image tells of the latent it was made from: a lower bound on their mutual information.

use crate::error::{Error, Result};
use crate::nn::{Adam, Generative, Init, Layer, Make, Mode, Optimiser, Schedule, Sequential, gradients};
use crate::progress::{Job, Step};
use crate::tensor::{Rng, Tensor, no_grad};

/// Images in a batch.
const BATCH: usize = 64;
const STAGE: &str = "gilbo";
/// How small and how large the logarithm of a variance may become.
const LEAST: f64 = -14.;
const MOST: f64 = 4.;

/// How the regressor learns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GilboOptions {
    /// Batches that the regressor learns from.
    pub steps: usize,
    /// Adam's learning rate at the start; it falls to zero along a cosine.
    pub lr: f64,
    /// Fresh images that the bound is taken over afterwards.
    pub images: usize,
    /// What latents and first weights are drawn from.
    pub seed: u64,
}

/// A regressor from images to a distribution over latents, trained on one generator.
///
/// Alemi & Fischer 2018, arXiv:1802.04874: E[log q(z|x) - log p(z)], in nats, is at most the mutual information of latent and
/// image, whatever q. Here q is a normal distribution with a mean and a variance for every number of the latent; the numbers
/// of an even prior are first turned into normal ones, which changes no information. (The paper's q for an even prior is a
/// Beta distribution, so its bound differs a little.)
pub struct Gilbo<'a> {
    generator: &'a dyn Generative,
    regressor: Sequential,
    options: GilboOptions,
}

/// A batch of latents as normal numbers, and its images.
struct Drawn {
    normals: Tensor,
    images: Tensor,
    labels: Vec<u32>,
}

/// Means and logarithms of variances, `[n, z_dim]` each.
type Beliefs = (Tensor, Tensor);

impl<'a> Gilbo<'a> {
    /// Trains the regressor.
    ///
    /// # Errors
    /// The loss is not finite; a person asked to stop.
    pub fn train(generator: &'a dyn Generative, options: GilboOptions, job: &Job) -> Result<Self> {
        if options.steps == 0 || options.images == 0 {
            return Err(Error::new("the steps or images of GILBO are 0").help("they must be at least 1"));
        }
        let first = no_grad(|| draw(generator, &Rng::new(options.seed).stream("first"), 2))?;
        let [_, channels, height, width] = first.images.dims4()?;
        let regressor =
            Sequential::new(&layers(channels, height, width, generator.z_dim()), options.seed, generator.device())?;
        let mut optimiser = Adam::new(regressor.store().params(), options.lr, [0.9, 0.999], 1e-8)?;
        let gilbo = Self { generator, regressor, options };
        let rng = Rng::new(options.seed).stream("train");
        job.observer.begin(STAGE, 0, options.steps as u64);
        for step in 0..options.steps as u64 {
            job.stop.check()?;
            let batch = no_grad(|| draw(generator, &rng.at(step), BATCH))?;
            let bound = gilbo.information(&batch, Mode::Train)?.mean_all()?;
            let value = bound.value()?;
            if !value.is_finite() {
                return Err(Error::new(format!("the bound became {value} at step {step}")).help("lower `gilbo_lr`"));
            }
            let grads = gradients(&bound.neg()?, optimiser.params())?;
            optimiser.apply(&grads, Schedule::Cosine.factor(step, options.steps as u64))?;
            let (done, of) = (step + 1, options.steps as u64);
            job.observer.step(&Step { stage: STAGE, step: done, of, values: &[("nats", value)] });
        }
        job.observer.end(STAGE, &format!("{} steps", options.steps));
        Ok(gilbo)
    }

    fn believe(&self, images: &Tensor, mode: Mode) -> Result<Beliefs> {
        let out = self.regressor.forward(images, mode)?;
        let z_dim = self.generator.z_dim();
        Ok((out.narrow(1, 0, z_dim)?, out.narrow(1, z_dim, z_dim)?.clamp(LEAST, MOST)?))
    }

    /// log q(z|x) - log p(z) of each image: `[n]`.
    fn information(&self, batch: &Drawn, mode: Mode) -> Result<Tensor> {
        let (mean, log_variance) = self.believe(&batch.images, mode)?;
        let far = batch.normals.sub(&mean)?.square()?.mul(&log_variance.neg()?.exp()?)?;
        let nats = batch.normals.square()?.sub(&far)?.sub(&log_variance)?;
        nats.mul_scalar(0.5)?.sum(&[1])
    }

    /// The bound for each of fresh images, in nats; its mean is the score.
    ///
    /// # Errors
    /// A person asked to stop.
    pub fn bound(&self, job: &Job) -> Result<Vec<f64>> {
        let rng = Rng::new(self.options.seed).stream("score");
        let mut values = Vec::with_capacity(self.options.images);
        while values.len() < self.options.images {
            job.stop.check()?;
            let n = BATCH.min(self.options.images - values.len());
            let batch = no_grad(|| draw(self.generator, &rng.at(values.len() as u64), n))?;
            values.extend(no_grad(|| self.information(&batch, Mode::Eval))?.to_f64s()?);
        }
        Ok(values)
    }

    /// How little the belief about an image's latent changes when the image is made again from that belief: half the
    /// symmetric divergence between the two, of each of `images` `[n, channels, height, width]`. Lower is better.
    ///
    /// # Errors
    /// A person asked to stop.
    pub fn consistency(&self, images: &Tensor, labels: &[u32], job: &Job) -> Result<Vec<f64>> {
        let n = images.dims4()?[0];
        let rng = Rng::new(self.options.seed).stream("again");
        let mut values = Vec::with_capacity(n);
        while values.len() < n {
            job.stop.check()?;
            let first = values.len();
            let count = BATCH.min(n - first);
            let part = images.narrow(0, first, count)?.to_device(self.generator.device())?;
            values.extend(no_grad(|| {
                let (mean, log_variance) = self.believe(&part, Mode::Eval)?;
                let noise = rng.at(first as u64).normal_tensor(mean.dims(), self.generator.device())?;
                let normals = mean.add(&log_variance.mul_scalar(0.5)?.exp()?.mul(&noise)?)?;
                let again = generate(self.generator, &normals, &labels[first..first + count])?;
                divergence(&(mean, log_variance), &self.believe(&again, Mode::Eval)?)
            })?);
        }
        Ok(values)
    }

    /// Images of the generator itself and their labels, for [`consistency`](Self::consistency).
    ///
    /// # Errors
    /// The generator fails.
    pub fn own_images(&self, n: usize) -> Result<(Tensor, Vec<u32>)> {
        let drawn = no_grad(|| draw(self.generator, &Rng::new(self.options.seed).stream("own"), n))?;
        Ok((drawn.images, drawn.labels))
    }
}

/// Half the sum of both divergences between two beliefs, of each image.
fn divergence((a, a_log): &Beliefs, (b, b_log): &Beliefs) -> Result<Vec<f64>> {
    let far = a.sub(b)?.square()?;
    let one_way = |p_log: &Tensor, q_log: &Tensor| -> Result<Tensor> {
        let over = q_log.neg()?.exp()?;
        let ratio = p_log.exp()?.add(&far)?.mul(&over)?;
        ratio.add(q_log)?.sub(p_log)?.affine(0.5, -0.5)?.sum(&[1])
    };
    one_way(a_log, b_log)?.add(&one_way(b_log, a_log)?)?.mul_scalar(0.5)?.to_f64s()
}

fn draw(generator: &dyn Generative, rng: &Rng, n: usize) -> Result<Drawn> {
    let normals = rng.stream("z").normals(n * generator.z_dim());
    let normals = Tensor::from_vec(normals, &[n, generator.z_dim()], generator.device())?;
    let mut of_labels = rng.stream("labels");
    let labels: Vec<u32> = (0..n).map(|_| of_labels.below(generator.classes().max(1)) as u32).collect();
    Ok(Drawn { images: generate(generator, &normals, &labels)?, normals, labels })
}

fn generate(generator: &dyn Generative, normals: &Tensor, labels: &[u32]) -> Result<Tensor> {
    let z = generator.prior().of_normals(&normals.to_f32s()?);
    generator.generate(&Tensor::from_vec(z, normals.dims(), generator.device())?, labels)
}

/// The paper's regressor: two convolutions that halve the image, and two linear layers.
fn layers(channels: usize, height: usize, width: usize, z_dim: usize) -> Vec<Layer> {
    let make = Make::plain(Init::Glorot);
    let wide = 128 * height.div_ceil(4) * width.div_ceil(4);
    // It begins near the prior, whose bound is zero.
    let last = Make::plain(Init::Normal(0.001));
    vec![
        Layer::Conv { inputs: channels, outputs: 64, kernel_size: 4, stride: 2, make },
        Layer::LeakyRelu(0.2),
        Layer::Conv { inputs: 64, outputs: 128, kernel_size: 4, stride: 2, make },
        Layer::LeakyRelu(0.2),
        Layer::Flatten,
        Layer::Linear { inputs: wide, outputs: 1024, make },
        Layer::LeakyRelu(0.2),
        Layer::Linear { inputs: 1024, outputs: 2 * z_dim, make: last },
    ]
}

#[cfg(test)]
mod tests {
    use super::super::testing::Own;
    use super::*;
    use crate::nn::Prior;

    const OPTIONS: GilboOptions = GilboOptions { steps: 60, lr: 2e-3, images: 1024, seed: 1 };

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    /// Images that tell the sign of the first of three numbers, and no more.
    fn sign(prior: Prior) -> Own {
        Own::new(3, prior, |z| {
            let white = z.narrow(1, 0, 1)?.sign()?.affine(0.5, 0.5)?.reshape(&[z.dims()[0], 1, 1, 1])?;
            white.broadcast_to(&[z.dims()[0], 1, 4, 4])
        })
    }

    #[test]
    fn the_sign_of_one_number_is_worth_what_a_normal_belief_can_say_of_it() {
        // Of a normal number whose sign is known the deviation is √(1 - 2/π): the best normal belief gains its logarithm.
        let best = -0.5 * (1. - 2. / std::f64::consts::PI).ln();
        for prior in [Prior::Normal, Prior::Uniform] {
            let generator = sign(prior);
            let gilbo = Gilbo::train(&generator, OPTIONS, &Job::silent()).unwrap();
            let value = mean(&gilbo.bound(&Job::silent()).unwrap());
            assert!((value - best).abs() < 0.05, "{prior:?}: {value}, expected {best}");
            assert!(value < 2f64.ln(), "the information is one bit");
        }
    }

    #[test]
    fn images_that_tell_nothing_are_worth_nothing() {
        let constant = Own::new(3, Prior::Normal, |z| {
            z.narrow(1, 0, 1)?.mul_scalar(0.)?.reshape(&[z.dims()[0], 1, 1, 1])?.broadcast_to(&[z.dims()[0], 1, 4, 4])
        });
        let gilbo = Gilbo::train(&constant, OPTIONS, &Job::silent()).unwrap();
        assert!(mean(&gilbo.bound(&Job::silent()).unwrap()).abs() < 0.02);
        // Nothing is believed before and after, so nothing changes.
        let (images, labels) = gilbo.own_images(64).unwrap();
        let changes = gilbo.consistency(&images, &labels, &Job::silent()).unwrap();
        assert!(changes.len() == 64 && mean(&changes) < 1e-6);
    }

    #[test]
    fn the_divergence_of_normal_distributions_by_hand() {
        let number = |x: f32| Tensor::from_vec(vec![x], &[1, 1], &crate::tensor::Device::Cpu).unwrap();
        // N(0, 1) and N(1, 4): half of (ln 2 + 2/8 - 1/2) + (-ln 2 + 5/2 - 1/2).
        let found = divergence(&(number(0.), number(0.)), &(number(1.), number(4f32.ln()))).unwrap();
        assert!((found[0] - 0.5 * (0.25 - 0.5 + 2.5 - 0.5)).abs() < 1e-6, "{found:?}");
    }
}
