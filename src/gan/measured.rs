//! A trained GAN as those meet it who measure it.

use std::sync::Arc;

use crate::error::Result;
use crate::gan::{Adversarial, Discriminator, Gan, Generator};
use crate::nn::{Discriminative, Generative, Mode, Prior};
use crate::progress::Stop;
use crate::tensor::{Device, Tensor, no_grad};

/// The generator that samples come from, its batch norms on standing statistics.
pub struct Sampler {
    generator: Arc<Generator>,
    prior: Prior,
    /// Rows of the labels that the network is given; a network with one class is asked for none.
    rows: usize,
    conditional: bool,
    device: Device,
}

/// The discriminator with the loss that it learned by.
pub struct Judging {
    discriminator: Arc<Discriminator>,
    loss: Adversarial,
    rows: usize,
    conditional: bool,
    device: Device,
}

impl Gan {
    /// The generator that samples come from.
    ///
    /// # Errors
    /// A person asked to stop.
    pub fn sampling(&self, stop: &Stop) -> Result<Sampler> {
        Ok(Sampler {
            generator: Arc::new(self.standing(None, stop)?),
            prior: Prior::named(&self.options.z)?,
            rows: self.classes().len(),
            conditional: self.conditional(),
            device: self.device().clone(),
        })
    }

    /// The discriminator as it is now.
    ///
    /// # Errors
    /// There is no such loss, which a trained GAN cannot have.
    pub fn judging(&self) -> Result<Judging> {
        Ok(Judging {
            discriminator: Arc::clone(self.discriminator()),
            loss: Adversarial::of(&self.options.loss)?,
            rows: self.classes().len(),
            conditional: self.conditional(),
            device: self.device().clone(),
        })
    }
}

impl Sampler {
    /// A generator on its own, at evaluation, with latents from `prior`.
    pub fn new(generator: Arc<Generator>, prior: Prior) -> Self {
        let device = generator.store().device().clone();
        let rows = generator.blueprint().classes;
        Self { prior, rows, conditional: rows > 0 && generator.conditional(), device, generator }
    }
}

/// One row for each image: of its class, or of the only one.
fn one_hot(labels: Option<&[u32]>, n: usize, rows: usize, device: &Device) -> Result<Tensor> {
    let labels = labels.map_or_else(|| vec![0; n], <[u32]>::to_vec);
    Tensor::from_u32s(labels, &[n], device)?.one_hot(rows)
}

impl Generative for Sampler {
    fn z_dim(&self) -> usize {
        self.generator.blueprint().z_dim
    }
    fn prior(&self) -> Prior {
        self.prior
    }
    fn classes(&self) -> usize {
        if self.conditional { self.rows } else { 0 }
    }
    fn device(&self) -> &Device {
        &self.device
    }
    fn generate(&self, z: &Tensor, labels: &[u32]) -> Result<Tensor> {
        let n = z.dims2()?[0];
        let labels = match self.rows {
            0 => None,
            rows => Some(one_hot(Some(labels).filter(|_| self.conditional), n, rows, &self.device)?),
        };
        self.generator.forward(z, labels.as_ref(), Mode::Eval)
    }
}

impl Discriminative for Judging {
    fn logits(&self, images: &Tensor, labels: Option<&[u32]>) -> Result<Tensor> {
        let n = images.dims4()?[0];
        let labels = one_hot(labels.filter(|_| self.conditional), n, self.rows, &self.device)?;
        Ok(no_grad(|| self.discriminator.forward(images, Some(&labels), Mode::Eval))?.logits)
    }
    fn conditional(&self) -> bool {
        self.conditional
    }
    fn device(&self) -> &Device {
        &self.device
    }
    fn loss(&self, real: &Tensor, fake: &Tensor) -> Result<f64> {
        no_grad(|| self.loss.discriminator(real, fake))?.value()
    }
}
