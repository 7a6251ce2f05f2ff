//! Architectures: a generator and the body of a discriminator, a file each.

mod resnet_cifar;
mod sndcgan;

use crate::error::{Error, Result};
use crate::nn::{Init, Make, NormKind, NormOptions, Pass, Store};
use crate::table::Row;
use crate::tensor::Tensor;

/// A row of [`ARCHITECTURES`].
pub struct Architecture {
    /// What a script calls it.
    pub name: &'static str,
    /// Its manual entry.
    pub doc: &'static str,
    /// Builds the generator.
    pub generator: fn(&Blueprint, &Store) -> Result<Box<dyn GeneratorBody>>,
    /// Builds the discriminator up to its features.
    pub discriminator: fn(&Blueprint, &Store) -> Result<Box<dyn DiscriminatorBody>>,
}

impl Row for Architecture {
    const KIND: &'static str = "architecture";
    fn name(&self) -> &'static str {
        self.name
    }
    fn doc(&self) -> &'static str {
        self.doc
    }
}

/// Every architecture, in the order the manual lists them.
pub const ARCHITECTURES: &[Architecture] = &[resnet_cifar::RESNET_CIFAR, sndcgan::SNDCGAN];

/// From latents to images.
pub trait GeneratorBody: Send + Sync {
    /// `z` `[n, z_dim]` to images `[n, colours, size, size]` with values from 0 to 1.
    fn forward(&self, z: &Tensor, pass: &Pass<'_>) -> Result<Tensor>;
}

/// From images to features.
pub trait DiscriminatorBody: Send + Sync {
    /// Images `[n, colours, size, size]` with values from 0 to 1 to features `[n, dim]`.
    fn features(&self, images: &Tensor, pass: &Pass<'_>) -> Result<Tensor>;
    /// How many features there are.
    fn dim(&self) -> usize;
}

/// How generators enlarge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upsample {
    /// Each pixel repeated.
    Nearest,
    /// Each pixel followed by zeros, as in Compare GAN.
    Zeros,
}

impl Upsample {
    pub(super) fn apply(self, x: &Tensor, factor: usize) -> Result<Tensor> {
        match self {
            Upsample::Nearest => x.upsample_nearest(factor),
            Upsample::Zeros => x.upsample_zeros(factor),
        }
    }
}

/// What a network is built from.
#[derive(Debug, Clone, PartialEq)]
pub struct Blueprint {
    /// 1 for grey, 3 for colour.
    pub colours: usize,
    /// Pixels down and across.
    pub size: usize,
    /// Classes that the network is conditioned on; 0 for none.
    pub classes: usize,
    /// Numbers in a latent.
    pub z_dim: usize,
    /// Whether each block of a residual generator sees a part of the latent of its own, beside the label.
    pub hierarchical_z: bool,
    /// Channels of the wide layers; the architecture's own if 0.
    pub channels: usize,
    /// The norm.
    pub norm: NormKind,
    /// Whether weights are spectrally normalised.
    pub spectral_norm: bool,
    /// First values of weights.
    pub init: Init,
    /// How generators enlarge, in residual architectures.
    pub upsample: Upsample,
    /// The kernel of a residual block's shortcut: 3 as in Compare GAN, or 1.
    pub shortcut_kernel: usize,
    /// How features are taken over the image, in residual discriminators: their mean, or their sum.
    pub pool: Pool,
}

/// How a discriminator goes from a map of features to features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// The mean over the image.
    Mean,
    /// The sum over the image.
    Sum,
}

impl Blueprint {
    /// How layers are made.
    pub(super) fn make(&self) -> Make {
        Make { init: self.init, bias: true, spectral: self.spectral_norm }
    }

    /// How norms are made; a generator's may look at the latent.
    pub(super) fn norms(&self, generator: bool) -> NormOptions {
        let z = if generator { self.z_dim } else { 0 };
        NormOptions { kind: self.norm, decay: 0.9, epsilon: 1e-5, condition: self.classes, z, make: self.make() }
    }

    /// The length of each part of a latent that is cut into one for the start and one for each of `blocks`; nothing if it
    /// is not cut.
    ///
    /// # Errors
    /// The latent cannot be cut so, or the norm looks at no condition.
    pub(super) fn part_of_z(&self, blocks: usize) -> Result<Option<usize>> {
        if !self.hierarchical_z {
            return Ok(None);
        }
        if self.norm != NormKind::Conditional {
            return Err(Error::new("`hierarchical_z` needs norms that look at a condition")
                .help("use `conditional_batch_norm`, or leave `hierarchical_z` out"));
        }
        match self.z_dim.is_multiple_of(blocks + 1) {
            true => Ok(Some(self.z_dim / (blocks + 1))),
            false => {
                Err(Error::new(format!("`z_dim` is {}, and is to be cut into {} equal parts", self.z_dim, blocks + 1))
                    .help(format!("it must be a multiple of {}", blocks + 1)))
            }
        }
    }

    /// The blueprint with `own` channels if none were asked for.
    pub(super) fn channels_or(&self, own: usize) -> usize {
        if self.channels == 0 { own } else { self.channels }
    }

    /// The size from which `halvings` doublings lead to `size`.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn seed_size(&self, architecture: &str, choices: &[(usize, usize, usize)]) -> Result<(usize, usize)> {
        choices.iter().find(|(size, ..)| *size == self.size).map(|(_, seed, doublings)| (*seed, *doublings)).ok_or_else(
            || {
                let sizes: Vec<String> = choices.iter().map(|(size, ..)| format!("{size}x{size}")).collect();
                Error::new(format!(
                    "`{architecture}` is made for images of {}, and was given {}x{}",
                    sizes.join(" or "),
                    self.size,
                    self.size
                ))
                .help("load the data with `size: 32`, or use another architecture")
            },
        )
    }
}
