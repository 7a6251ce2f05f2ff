//! Architectures: a generator and the body of a discriminator, a file each.
//!
//! Residual ones are plans (`residual.rs` builds them of `block.rs`); the others are written out.

mod attention;
mod biggan;
mod biggan_deep;
mod block;
mod blueprint;
mod compat;
mod dcgan;
mod infogan;
mod residual;
mod resnet30;
mod resnet5;
mod resnet_cifar;
mod resnet_stl;
mod sndcgan;
#[cfg(test)]
mod tests;

pub use blueprint::{Blueprint, Follows, Planned, Pool, Upsample, check_followed};
pub use compat::{COMPATS, Compat, CompatRow};

use crate::error::{Error, Result};
use crate::nn::{Pass, Store};
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
    /// Which options that not every generator follows this one does.
    pub generator_follows: Follows,
    /// Builds the discriminator up to its features.
    pub discriminator: fn(&Blueprint, &Store) -> Result<Box<dyn DiscriminatorBody>>,
    /// Which options that not every discriminator follows this one does.
    pub discriminator_follows: Follows,
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
pub const ARCHITECTURES: &[Architecture] = &[
    resnet_cifar::RESNET_CIFAR,
    sndcgan::SNDCGAN,
    dcgan::DCGAN,
    infogan::INFOGAN,
    resnet_stl::RESNET_STL,
    resnet5::RESNET5,
    resnet30::RESNET30,
    biggan::BIGGAN,
    biggan_deep::BIGGAN_DEEP,
];

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

/// The error for images of a size that a generator cannot make; `possible` says which it can.
fn wrong_size(architecture: &str, size: usize, possible: &str) -> Error {
    Error::new(format!("the generator of `{architecture}` cannot make images of {size}x{size}"))
        .help(format!("it makes {possible}; load the data with another `size`, or use another architecture"))
}
