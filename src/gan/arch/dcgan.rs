//! DCGAN.

use super::{Architecture, Blueprint, DiscriminatorBody, GeneratorBody};
use crate::error::Result;
use crate::nn::{Conv, ConvTranspose, Linear, Norm, Pass, Store};
use crate::tensor::{Activation, Tensor};

pub(super) const DCGAN: Architecture = Architecture {
    name: "dcgan",
    doc: "Plain convolutional networks with kernels of 5x5 for images of any size, from ceil(size / 16).\n\n\
          Generator: linear to 512 channels, four transposed conv5x5/2 of 256, 128, 64 and the colours; norm and ReLU before \
          each. Discriminator: four conv5x5/2 of 64 to 512 channels, each but the first with a norm, leaky ReLU 0.2. `channels` is \
          that of the widest layer. The parameters are those of Compare GAN: 5,364,739 and 4,314,753 at 64x64x3.   Radford et al. \
          2015, arXiv:1511.06434.",
    generator: |blueprint, store| Ok(Box::new(Generator::new(blueprint, store)?)),
    generator_follows: &[],
    discriminator: |blueprint, store| Ok(Box::new(Discriminator::new(blueprint, store)?)),
    discriminator_follows: &[],
};

struct Generator {
    linear: Linear,
    norms: Vec<Norm>,
    layers: Vec<ConvTranspose>,
    /// Height and width after the linear layer and after each layer.
    sizes: [usize; 5],
    channels: usize,
}

impl Generator {
    fn new(blueprint: &Blueprint, store: &Store) -> Result<Self> {
        let widest = blueprint.channels_or(512).max(8);
        let sizes = [16, 8, 4, 2, 1].map(|part| blueprint.size.div_ceil(part));
        let widths = [widest, widest / 2, widest / 4, widest / 8, blueprint.colours];
        let options = blueprint.norms(blueprint.classes, blueprint.z_dim);
        let make = blueprint.make_in_gap();
        let norm = |i: usize| Norm::new(&store.sub(&format!("norm{i}")), widths[i], &options);
        let layer =
            |i: usize| ConvTranspose::new(&store.sub(&format!("conv{}", i + 1)), widths[i], widths[i + 1], 5, 2, make);
        Ok(Self {
            linear: Linear::new(&store.sub("linear"), blueprint.z_dim, sizes[0] * sizes[0] * widest, make)?,
            norms: (0..4).map(norm).collect::<Result<_>>()?,
            layers: (0..4).map(layer).collect::<Result<_>>()?,
            sizes,
            channels: widest,
        })
    }
}

impl GeneratorBody for Generator {
    fn forward(&self, z: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        let side = self.sizes[0];
        let start = self.linear.forward(z, pass.mode)?;
        let mut x = start.reshape(&[z.dims2()?[0], self.channels, side, side])?;
        for (i, (norm, layer)) in self.norms.iter().zip(&self.layers).enumerate() {
            x = layer.forward(&norm.forward(&x, pass, Activation::Relu)?, [self.sizes[i + 1]; 2], pass.mode)?;
        }
        x.tanh()?.affine(0.5, 0.5)
    }
}

struct Discriminator {
    convs: Vec<Conv>,
    norms: Vec<Norm>,
    dim: usize,
}

impl Discriminator {
    fn new(blueprint: &Blueprint, store: &Store) -> Result<Self> {
        let widest = blueprint.channels_or(512).max(8);
        let widths = [blueprint.colours, widest / 8, widest / 4, widest / 2, widest];
        let options = blueprint.norms(blueprint.classes, 0);
        let conv = |i: usize| {
            Conv::new(&store.sub(&format!("conv{}", i + 1)), widths[i], widths[i + 1], 5, 2, blueprint.make())
        };
        let norm = |i: usize| Norm::new(&store.sub(&format!("norm{i}")), widths[i], &options);
        let side = blueprint.size.div_ceil(16);
        Ok(Self {
            convs: (0..4).map(conv).collect::<Result<_>>()?,
            norms: (2..5).map(norm).collect::<Result<_>>()?,
            dim: side * side * widest,
        })
    }
}

impl DiscriminatorBody for Discriminator {
    fn features(&self, images: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        let mut x = self.convs[0].forward(images, pass.mode)?.leaky_relu(0.2)?;
        for (conv, norm) in self.convs[1..].iter().zip(&self.norms) {
            x = norm.forward(&conv.forward(&x, pass.mode)?, pass, Activation::LeakyRelu(0.2))?;
        }
        x.flatten(1)
    }

    fn dim(&self) -> usize {
        self.dim
    }
}
