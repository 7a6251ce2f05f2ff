//! The residual networks of 19 layers ("ResNet5" in Compare GAN).

use super::block::{Kind, Scale};
use super::residual::{Discriminator, DiscriminatorPlan, End, Generator, GeneratorPlan, Sight, doublings};
use super::{Architecture, Blueprint, wrong_size};
use crate::error::Result;

pub(super) const RESNET5: Architecture = Architecture {
    name: "resnet5",
    doc: "Residual networks of 19 layers for images up to 128 pixels: five blocks in the generator, which double up to the size, \
          and six in the discriminator, which all halve.\n\n\
          The blocks are those of `resnet_cifar`. The size is 4, 5, 6 or 7 times a power of two. `channels` is 64: the generator \
          has 8, 8, 4, 4, 2, 1 times that, the discriminator 1, 2, 4, 4, 8, 8. With `shortcut_kernel: 3` the parameters are those of \
          Compare GAN: 13,786,115 and 15,086,529 at 128x128x3; it pools by the `mean`.   Kurach et al. 2018, arXiv:1807.04720.",
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
    let Some((seed, doublings)) = doublings(blueprint.size, 5) else {
        return Err(wrong_size(
            "resnet5",
            blueprint.size,
            "4, 5, 6 or 7 times a power of two up to 32: 28, 32, 64, 128 and others",
        ));
    };
    let scale = |i: usize| if i < doublings { Scale::Up } else { Scale::Same };
    Ok(GeneratorPlan {
        architecture: "resnet5",
        kind: Kind::Plain,
        seed: (seed, 8 * unit),
        blocks: [8, 4, 4, 2, 1].into_iter().enumerate().map(|(i, times)| (times * unit, scale(i))).collect(),
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
    DiscriminatorPlan {
        architecture: "resnet5",
        kind: Kind::Plain,
        stem: None,
        blocks: [1, 2, 4, 4, 8, 8].map(|times| (times * unit, Scale::Down)).into(),
        pooled: true,
        attention: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_of_the_discriminator_halves() {
        assert_eq!(
            discriminator(&Blueprint::default()).blocks.iter().map(|(_, scale)| *scale).collect::<Vec<_>>(),
            [Scale::Down; 6]
        );
    }
}
