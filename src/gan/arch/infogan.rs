//! The architecture of InfoGAN, without its latent codes.

use super::{Architecture, Blueprint, DiscriminatorBody, GeneratorBody};
use crate::error::Result;
use crate::nn::{Conv, ConvTranspose, Linear, Norm, Pass, Store};
use crate::tensor::{Activation, Tensor};

pub(super) const INFOGAN: Architecture = Architecture {
    name: "infogan",
    doc: "Small convolutional networks with a wide linear layer, for images of any size, from ceil(size / 4); the architecture \
          of InfoGAN without its latent codes.\n\n\
          Generator: linear to 1024, linear to 128 channels, transposed conv4x4/2 of 64, conv4x4/2 of the colours; norm and \
          leaky ReLU 0.2 before each but the first. Discriminator: conv4x4/2 of 64, conv4x4/2 of 128, linear to 1024, a norm after \
          each but the first, leaky ReLU 0.2. `channels` is 64, the others follow. The parameters are those of Compare GAN: 6,642,241 \
          (`z_dim: 64`) and 6,556,865 at 28x28x1; norms of vectors are over each value, and cannot be `instance_norm`.   Chen et al. \
          2016, arXiv:1606.03657.",
    generator: |blueprint, store| Ok(Box::new(Generator::new(blueprint, store)?)),
    generator_follows: &[],
    discriminator: |blueprint, store| Ok(Box::new(Discriminator::new(blueprint, store)?)),
    discriminator_follows: &[],
};

const LEAKY: Activation = Activation::LeakyRelu(0.2);

struct Generator {
    linears: [Linear; 2],
    norms: [Norm; 3],
    layers: [ConvTranspose; 2],
    /// Height and width of the second linear layer, and after each layer.
    sizes: [usize; 3],
    channels: usize,
}

impl Generator {
    fn new(blueprint: &Blueprint, store: &Store) -> Result<Self> {
        let unit = blueprint.channels_or(64);
        let sizes = [4, 2, 1].map(|part| blueprint.size.div_ceil(part));
        let options = blueprint.norms(blueprint.classes, blueprint.z_dim);
        let make = blueprint.make_in_gap();
        let wide = sizes[0] * sizes[0] * 2 * unit;
        let linear = |i: usize, inputs: usize, outputs: usize| {
            Linear::new(&store.sub(&format!("linear{i}")), inputs, outputs, make)
        };
        let norm = |i: usize, channels: usize| Norm::new(&store.sub(&format!("norm{i}")), channels, &options);
        let layer = |i: usize, inputs: usize, outputs: usize| {
            ConvTranspose::new(&store.sub(&format!("conv{i}")), inputs, outputs, 4, 2, make)
        };
        Ok(Self {
            linears: [linear(1, blueprint.z_dim, 16 * unit)?, linear(2, 16 * unit, wide)?],
            norms: [norm(1, 16 * unit)?, norm(2, wide)?, norm(3, unit)?],
            layers: [layer(1, 2 * unit, unit)?, layer(2, unit, blueprint.colours)?],
            sizes,
            channels: 2 * unit,
        })
    }
}

impl GeneratorBody for Generator {
    fn forward(&self, z: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        let mode = pass.mode;
        let x = self.norms[0].forward(&self.linears[0].forward(z, mode)?, pass, LEAKY)?;
        let x = self.norms[1].forward(&self.linears[1].forward(&x, mode)?, pass, LEAKY)?;
        let x = x.reshape(&[z.dims2()?[0], self.channels, self.sizes[0], self.sizes[0]])?;
        let x = self.norms[2].forward(&self.layers[0].forward(&x, [self.sizes[1]; 2], mode)?, pass, LEAKY)?;
        self.layers[1].forward(&x, [self.sizes[2]; 2], mode)?.sigmoid()
    }
}

struct Discriminator {
    convs: [Conv; 2],
    linear: Linear,
    norms: [Norm; 2],
    dim: usize,
}

impl Discriminator {
    fn new(blueprint: &Blueprint, store: &Store) -> Result<Self> {
        let unit = blueprint.channels_or(64);
        let options = blueprint.norms(blueprint.classes, 0);
        let make = blueprint.make();
        let side = blueprint.size.div_ceil(4);
        let dim = 16 * unit;
        Ok(Self {
            convs: [
                Conv::new(&store.sub("conv1"), blueprint.colours, unit, 4, 2, make)?,
                Conv::new(&store.sub("conv2"), unit, 2 * unit, 4, 2, make)?,
            ],
            // `linear` is the head's.
            linear: Linear::new(&store.sub("linear1"), side * side * 2 * unit, dim, make)?,
            norms: [
                Norm::new(&store.sub("norm1"), 2 * unit, &options)?,
                Norm::new(&store.sub("norm2"), dim, &options)?,
            ],
            dim,
        })
    }
}

impl DiscriminatorBody for Discriminator {
    fn features(&self, images: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        let mode = pass.mode;
        let x = self.convs[0].forward(images, mode)?.leaky_relu(0.2)?;
        let x = self.norms[0].forward(&self.convs[1].forward(&x, mode)?, pass, LEAKY)?;
        self.norms[1].forward(&self.linear.forward(&x.flatten(1)?, mode)?, pass, LEAKY)
    }

    fn dim(&self) -> usize {
        self.dim
    }
}
