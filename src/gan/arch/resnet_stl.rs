//! The residual networks of Compare GAN for STL-10.

use super::block::{Kind, Scale};
use super::residual::{Discriminator, DiscriminatorPlan, End, Generator, GeneratorPlan, Sight};
use super::{Architecture, Blueprint, wrong_size};
use crate::error::Result;

pub(super) const RESNET_STL: Architecture = Architecture {
    name: "resnet_stl",
    doc: "Residual networks for images of 48 pixels, or another multiple of 8: three doubling blocks in the generator, five \
          blocks in the discriminator, of which four halve.\n\n\
          The blocks are those of `resnet_cifar`. `channels` is 64: the generator narrows from 8 times that to 1, the discriminator \
          widens from 1 to 16. With `shortcut_kernel: 3` the parameters are those of Compare GAN: 6,254,339 and 25,114,817 at \
          48x48x3; it pools by the `mean`.   Miyato et al. 2018, arXiv:1802.05957, tables 4 and 5.",
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
    let unit = blueprint.channels_or(64);
    if blueprint.size == 0 || !blueprint.size.is_multiple_of(8) {
        return Err(wrong_size("resnet_stl", blueprint.size, "sizes that are multiples of 8"));
    }
    Ok(GeneratorPlan {
        architecture: "resnet_stl",
        kind: Kind::Plain,
        seed: (blueprint.size / 8, 8 * unit),
        blocks: [4, 2, 1].map(|times| (times * unit, Scale::Up)).into(),
        sight: Sight::Apart,
        end: End::Sigmoid,
        attention: Vec::new(),
        hierarchical_z: false,
        embed_y: 0,
        spectral_embeddings: true,
        gaps: true,
    })
}

fn discriminator(blueprint: &Blueprint) -> DiscriminatorPlan {
    let unit = blueprint.channels_or(64);
    let scale = |times: usize| if times < 16 { Scale::Down } else { Scale::Same };
    DiscriminatorPlan {
        architecture: "resnet_stl",
        kind: Kind::Plain,
        stem: None,
        blocks: [1, 2, 4, 8, 16].map(|times| (times * unit, scale(times))).into(),
        pooled: true,
        attention: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_of_the_five_blocks_of_the_discriminator_halve() {
        let scales: Vec<Scale> = discriminator(&Blueprint::default()).blocks.iter().map(|(_, scale)| *scale).collect();
        assert_eq!(scales, [Scale::Down, Scale::Down, Scale::Down, Scale::Down, Scale::Same]);
    }
}
