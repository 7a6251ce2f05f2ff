//! Networks for tests: any function of latents as a generator, and a discriminator that looks at the light.

use crate::error::Result;
use crate::nn::{Discriminative, Generative, Prior};
use crate::tensor::{Device, Tensor};

/// A function of latents as a generator without classes.
pub(super) struct Own {
    z_dim: usize,
    prior: Prior,
    images: Box<dyn Fn(&Tensor) -> Result<Tensor> + Send + Sync>,
}

impl Own {
    pub(super) fn new(
        z_dim: usize,
        prior: Prior,
        images: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
    ) -> Self {
        Self { z_dim, prior, images: Box::new(images) }
    }
}

impl Generative for Own {
    fn z_dim(&self) -> usize {
        self.z_dim
    }
    fn prior(&self) -> Prior {
        self.prior
    }
    fn classes(&self) -> usize {
        0
    }
    fn device(&self) -> &Device {
        &Device::Cpu
    }
    fn generate(&self, z: &Tensor, _: &[u32]) -> Result<Tensor> {
        (self.images)(z)
    }
}

/// Takes for real what is bright, and is surer the brighter it is.
pub(super) struct Bright {
    /// Whether it looks at classes.
    pub(super) conditional: bool,
}

impl Discriminative for Bright {
    fn logits(&self, images: &Tensor, _: Option<&[u32]>) -> Result<Tensor> {
        images.flatten(1)?.mean(&[1])?.affine(4., -2.)
    }
    fn conditional(&self) -> bool {
        self.conditional
    }
    fn device(&self) -> &Device {
        &Device::Cpu
    }
    fn loss(&self, real: &Tensor, fake: &Tensor) -> Result<f64> {
        fake.mean_all()?.sub(&real.mean_all()?)?.value()
    }
}
