//! A generator for tests: any function of latents.

use crate::error::Result;
use crate::nn::{Generative, Prior};
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
