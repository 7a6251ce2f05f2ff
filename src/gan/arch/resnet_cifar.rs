//! The residual networks of Compare GAN for CIFAR-10.

use super::block::{Kind, Scale};
use super::residual::{Discriminator, DiscriminatorPlan, End, Generator, GeneratorPlan, Sight};
use super::{Architecture, Blueprint, wrong_size};
use crate::error::Result;

pub(super) const RESNET_CIFAR: Architecture = Architecture {
    name: "resnet_cifar",
    doc: "Residual networks for small images: three doubling blocks in the generator from an eighth of the size, or two from a \
          quarter (7x7 at 28 pixels) where it is no multiple of 8; four blocks in the discriminator, of which two halve.\n\n\
          Block: norm, ReLU, conv3x3, norm, ReLU, conv3x3, plus a convolution of the input. `channels` is that of all blocks: 256 \
          in the generator, 128 in the discriminator. With `shortcut_kernel: 3` the parameters are those of Compare GAN: \
          5,849,603 and 1,483,137 at 32x32x3; it pools by the `mean`.   Gulrajani et al. 2017, arXiv:1704.00028; Miyato et al. 2018, \
          arXiv:1802.05957; Lucic et al. 2018, arXiv:1711.10337.",
    generator: |blueprint, store| Ok(Box::new(Generator::new(&generator(blueprint)?, blueprint, store)?)),
    generator_follows: &[
        "layer_norm",
        "upsample",
        "shortcut_kernel",
        "attention",
        "hierarchical_z",
        "embed_y",
        "embed_z",
    ],
    discriminator: |blueprint, store| Ok(Box::new(Discriminator::new(&discriminator(blueprint), blueprint, store)?)),
    discriminator_follows: &["layer_norm", "shortcut_kernel", "pool", "attention"],
};

fn generator(blueprint: &Blueprint) -> Result<GeneratorPlan> {
    let channels = blueprint.channels_or(256);
    let (seed, doublings) = match blueprint.size {
        size if size > 0 && size % 8 == 0 => (size / 8, 3),
        size if size > 0 && size % 4 == 0 => (size / 4, 2),
        size => return Err(wrong_size("resnet_cifar", size, "sizes that are multiples of 4")),
    };
    Ok(GeneratorPlan {
        architecture: "resnet_cifar",
        kind: Kind::Plain,
        seed: (seed, channels),
        blocks: vec![(channels, Scale::Up); doublings],
        sight: Sight::Apart,
        end: End::Sigmoid,
        attention: Vec::new(),
        hierarchical_z: false,
        embed_y: 0,
        spectral_embeddings: true,
        gaps: false,
    })
}

fn discriminator(blueprint: &Blueprint) -> DiscriminatorPlan {
    let channels = blueprint.channels_or(128);
    DiscriminatorPlan {
        architecture: "resnet_cifar",
        kind: Kind::Plain,
        stem: None,
        blocks: [Scale::Down, Scale::Down, Scale::Same, Scale::Same].map(|scale| (channels, scale)).into(),
        pooled: true,
        attention: Vec::new(),
    }
}
