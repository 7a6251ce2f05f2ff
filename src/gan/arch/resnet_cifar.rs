//! The residual networks of Compare GAN for CIFAR-10 (Gulrajani et al. 2017, arXiv:1704.00028; Miyato et al. 2018,
//! arXiv:1802.05957), also for 28-pixel images.

use super::{Architecture, Blueprint, DiscriminatorBody, GeneratorBody, Pool, Upsample};
use crate::error::Result;
use crate::nn::{Conv, Linear, Norm, NormOptions, Pass, Store};
use crate::tensor::{Activation, Tensor, Window};

pub(super) const RESNET_CIFAR: Architecture = Architecture {
    name: "resnet_cifar",
    doc: "Residual networks for images of 32 or 28 pixels: three doubling blocks in the generator (two from 7x7 at 28 pixels), four \
          blocks in the discriminator, of which two halve.\n\n\
          Block: norm, ReLU, conv3x3, norm, ReLU, conv3x3, plus a convolution of the input; 256 channels in the generator, 128 in \
          the discriminator. With one channel count and `shortcut_kernel: 3` the parameters are those of Compare GAN: 5,849,603 and \
          1,483,137 at 32x32x3.   Lucic et al. 2018, arXiv:1711.10337.",
    generator: |blueprint, store| Ok(Box::new(Generator::new(blueprint, store)?)),
    discriminator: |blueprint, store| Ok(Box::new(Discriminator::new(blueprint, store)?)),
};

#[derive(Clone, Copy, PartialEq)]
enum Scale {
    Up(Upsample),
    Down,
    Same,
}

struct Block {
    norms: [Norm; 2],
    convs: [Conv; 2],
    shortcut: Conv,
    shortcut_kernel: usize,
    scale: Scale,
}

impl Block {
    fn new(
        store: &Store,
        inputs: usize,
        outputs: usize,
        scale: Scale,
        blueprint: &Blueprint,
        norms: &NormOptions,
    ) -> Result<Self> {
        let make = blueprint.make();
        Ok(Self {
            norms: [Norm::new(&store.sub("norm1"), inputs, norms)?, Norm::new(&store.sub("norm2"), outputs, norms)?],
            convs: [
                Conv::new(&store.sub("conv1"), inputs, outputs, 3, 1, make)?,
                Conv::new(&store.sub("conv2"), outputs, outputs, 3, 1, make)?,
            ],
            shortcut: Conv::new(&store.sub("shortcut"), inputs, outputs, blueprint.shortcut_kernel, 1, make)?,
            shortcut_kernel: blueprint.shortcut_kernel,
            scale,
        })
    }

    fn forward(&self, x: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        let mut inner = self.norms[0].forward(x, pass, Activation::Relu)?;
        if let Scale::Up(how) = self.scale {
            inner = how.apply(&inner, 2)?;
        }
        inner = self.norms[1].forward(&self.convs[0].forward(&inner, pass.mode)?, pass, Activation::Relu)?;
        inner = self.convs[1].forward(&inner, pass.mode)?;
        let shortcut = match self.scale {
            // A pointwise convolution and repeating pixels commute: convolve the small image.
            Scale::Up(Upsample::Nearest) if self.shortcut_kernel == 1 => {
                self.shortcut.forward(x, pass.mode)?.upsample_nearest(2)?
            }
            Scale::Up(how) => self.shortcut.forward(&how.apply(x, 2)?, pass.mode)?,
            // So do a pointwise convolution and the mean.
            Scale::Down if self.shortcut_kernel == 1 => {
                let small = self.shortcut.forward(&x.avg_pool2d(Window::square(2))?, pass.mode)?;
                return inner.avg_pool2d(Window::square(2))?.add(&small);
            }
            Scale::Down | Scale::Same => self.shortcut.forward(x, pass.mode)?,
        };
        let sum = inner.add(&shortcut)?;
        if self.scale == Scale::Down { sum.avg_pool2d(Window::square(2)) } else { Ok(sum) }
    }
}

struct Generator {
    linear: Linear,
    blocks: Vec<Block>,
    norm: Norm,
    conv: Conv,
    channels: usize,
    seed: usize,
    /// Numbers of each part of the latent, if each block sees a part of its own.
    part: Option<usize>,
}

impl Generator {
    fn new(blueprint: &Blueprint, store: &Store) -> Result<Self> {
        let channels = blueprint.channels_or(256);
        let (seed, doublings) = blueprint.seed_size("resnet_cifar", &[(32, 4, 3), (28, 7, 2)])?;
        let norms = blueprint.norms(true);
        let make = blueprint.make();
        let part = blueprint.part_of_z(doublings)?;
        let of_blocks = NormOptions { condition: norms.condition + part.unwrap_or(0), ..norms };
        Ok(Self {
            linear: Linear::new(&store.sub("linear"), part.unwrap_or(blueprint.z_dim), seed * seed * channels, make)?,
            blocks: (1..=doublings)
                .map(|i| {
                    Block::new(
                        &store.sub(&format!("block{i}")),
                        channels,
                        channels,
                        Scale::Up(blueprint.upsample),
                        blueprint,
                        &of_blocks,
                    )
                })
                .collect::<Result<_>>()?,
            norm: Norm::new(&store.sub("norm"), channels, &norms)?,
            conv: Conv::new(&store.sub("conv"), channels, blueprint.colours, 3, 1, make)?,
            channels,
            seed,
            part,
        })
    }
}

impl GeneratorBody for Generator {
    fn forward(&self, z: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        let n = z.dims2()?[0];
        let part = |i: usize| match self.part {
            Some(part) => z.narrow(1, i * part, part),
            None => Ok(z.clone()),
        };
        let mut x = self.linear.forward(&part(0)?, pass.mode)?.reshape(&[n, self.channels, self.seed, self.seed])?;
        for (i, block) in self.blocks.iter().enumerate() {
            let condition = match (self.part, pass.condition) {
                (Some(_), Some(labels)) => Some(Tensor::cat(&[&part(i + 1)?, labels], 1)?),
                (Some(_), None) => Some(part(i + 1)?),
                (None, _) => None,
            };
            x = block.forward(&x, &Pass { condition: condition.as_ref().or(pass.condition), ..*pass })?;
        }
        self.conv.forward(&self.norm.forward(&x, pass, Activation::Relu)?, pass.mode)?.sigmoid()
    }
}

struct Discriminator {
    blocks: Vec<Block>,
    channels: usize,
    pool: Pool,
}

impl Discriminator {
    fn new(blueprint: &Blueprint, store: &Store) -> Result<Self> {
        let channels = blueprint.channels_or(128);
        blueprint.seed_size("resnet_cifar", &[(32, 8, 2), (28, 7, 2)])?;
        let norms = blueprint.norms(false);
        let blocks = [
            (blueprint.colours, Scale::Down),
            (channels, Scale::Down),
            (channels, Scale::Same),
            (channels, Scale::Same),
        ];
        Ok(Self {
            blocks: blocks
                .into_iter()
                .enumerate()
                .map(|(i, (inputs, scale))| {
                    Block::new(&store.sub(&format!("block{}", i + 1)), inputs, channels, scale, blueprint, &norms)
                })
                .collect::<Result<_>>()?,
            channels,
            pool: blueprint.pool,
        })
    }
}

impl DiscriminatorBody for Discriminator {
    fn features(&self, images: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        let mut x = images.clone();
        for block in &self.blocks {
            x = block.forward(&x, pass)?;
        }
        let x = x.relu()?;
        match self.pool {
            Pool::Mean => x.mean(&[2, 3]),
            Pool::Sum => x.sum(&[2, 3]),
        }
    }

    fn dim(&self) -> usize {
        self.channels
    }
}
