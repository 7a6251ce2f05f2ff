//! The residual networks of 107 layers ("ResNet30" in Compare GAN).

use super::block::{Kind, Scale};
use super::residual::{Discriminator, DiscriminatorPlan, End, Generator, GeneratorPlan, Sight};
use super::{Architecture, Blueprint, wrong_size};
use crate::error::Result;

pub(super) const RESNET30: Architecture = Architecture {
    name: "resnet30",
    doc: "Residual networks of 107 layers for images of 128 pixels, or another multiple of 32: six groups of five blocks, and \
          between them one that doubles or halves the size and halves or doubles the channels.\n\n\
          The blocks are those of `resnet_cifar`. `channels` is 16: from 32 times that to 1 and back. With `shortcut_kernel: 3` the \
          parameters are those of Compare GAN: 52,199,667 and 53,486,449 at 128x128x3.   Gulrajani et al. 2017, arXiv:1704.00028.",
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
    discriminator_follows: &["layer_norm", "shortcut_kernel", "attention"],
};

/// Five blocks of each width, and one between widths that changes the size by `scale`.
fn blocks(widths: &[usize], scale: Scale) -> Vec<(usize, Scale)> {
    let groups = widths.iter().enumerate().map(|(i, width)| {
        let between = (i > 0).then_some((*width, scale));
        between.into_iter().chain([(*width, Scale::Same); 5])
    });
    groups.flatten().collect()
}

fn generator(blueprint: &Blueprint) -> Result<GeneratorPlan> {
    let unit = blueprint.channels_or(16);
    if blueprint.size == 0 || !blueprint.size.is_multiple_of(32) {
        return Err(wrong_size("resnet30", blueprint.size, "sizes that are multiples of 32"));
    }
    Ok(GeneratorPlan {
        architecture: "resnet30",
        kind: Kind::Plain,
        seed: (blueprint.size / 32, 32 * unit),
        blocks: blocks(&[32, 16, 8, 4, 2, 1].map(|times| times * unit), Scale::Up),
        sight: Sight::Apart,
        end: End::BareSigmoid,
        attention: Vec::new(),
        hierarchical_z: false,
        embed_y: 0,
        spectral_embeddings: true,
        gaps: true,
    })
}

fn discriminator(blueprint: &Blueprint) -> DiscriminatorPlan {
    let unit = blueprint.channels_or(16);
    DiscriminatorPlan {
        architecture: "resnet30",
        kind: Kind::Plain,
        stem: Some((unit, true)),
        blocks: blocks(&[1, 2, 4, 8, 16, 32].map(|times| times * unit), Scale::Down),
        pooled: false,
        attention: Vec::new(),
    }
}
