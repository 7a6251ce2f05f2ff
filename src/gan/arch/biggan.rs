//! BigGAN.

use super::block::{Kind, Scale};
use super::residual::{Discriminator, DiscriminatorPlan, End, Generator, GeneratorPlan, Sight, doublings};
use super::{Architecture, Blueprint, wrong_size};
use crate::error::{Error, Result};

pub(super) const BIGGAN: Architecture = Architecture {
    name: "biggan",
    doc: "BigGAN: residual networks with attention and a shared embedding of the class, for images of 32, 64, 128, 256 and 512 \
          pixels, or these times 5/4, 3/2 and 7/4.\n\n\
          Blocks: norm, ReLU, conv3x3, norm, ReLU, conv3x3, beside conv1x1; the last norm is not conditional. Conditional norms \
          see the class through a shared embedding (`embed_y`, 128) and each block a part of the latent of its own \
          (`hierarchical_z`; `z_dim` is 120, 140 and 160 at 128, 256 and 512 pixels). Attention follows the generator's block of 64x64 \
          and the discriminator's of 64x64 (32x32 at 64 pixels; 16x16, and none in the generator, at 32; the generator's of 128x128 \
          at 256). `channels` is 96. The parameters are those of Compare GAN: 70,433,988 and 87,982,370 at 128x128x3 with 1000 \
          classes and a projection head.   Brock et al. 2018, arXiv:1809.11096; Zhang et al. 2018, arXiv:1805.08318.",
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
    discriminator: |blueprint, store| Ok(Box::new(Discriminator::new(&discriminator(blueprint)?, blueprint, store)?)),
    discriminator_follows: &["layer_norm", "shortcut_kernel", "pool", "attention"],
};

const SIZES: &str = "32, 64, 128, 256 and 512 pixels, or these times 5/4, 3/2 and 7/4";

/// The side of the start and the number of doublings that lead to `size`.
pub(super) fn growth(architecture: &str, size: usize) -> Result<(usize, usize)> {
    doublings(size, 7).filter(|(_, doublings)| *doublings >= 3).ok_or_else(|| wrong_size(architecture, size, SIZES))
}

/// The resolution whose channels serve images of `size`: the largest that is not above it.
///
/// # Errors
/// It is smaller or larger than all of them.
pub(super) fn resolution(architecture: &str, size: usize) -> Result<usize> {
    [512, 256, 128, 64, 32].into_iter().find(|r| (*r..2 * r).contains(&size)).ok_or_else(|| {
        Error::new(format!("the discriminator of `{architecture}` cannot look at images of {size}x{size}"))
            .help("it looks at sizes from 32 to below 1024")
    })
}

fn generator(blueprint: &Blueprint) -> Result<GeneratorPlan> {
    let unit = blueprint.channels_or(96);
    let (side, doublings) = growth("biggan", blueprint.size)?;
    let (first, times): (usize, &[usize]) = match doublings {
        3 => (4, &[4, 4, 4]),
        4 => (16, &[16, 8, 4, 2]),
        5 => (16, &[16, 8, 4, 2, 1]),
        6 => (16, &[16, 8, 8, 4, 2, 1]),
        _ => (16, &[16, 8, 8, 4, 2, 1, 1]),
    };
    Ok(GeneratorPlan {
        architecture: "biggan",
        kind: Kind::BigGan,
        seed: (side, first * unit),
        blocks: times.iter().map(|times| (times * unit, Scale::Up)).collect(),
        sight: Sight::Apart,
        end: End::Tanh,
        attention: match doublings {
            3 => Vec::new(),
            6 => vec![side << 5],
            _ => vec![side << 4],
        },
        hierarchical_z: true,
        embed_y: 128,
        spectral_embeddings: false,
        gaps: false,
    })
}

fn discriminator(blueprint: &Blueprint) -> Result<DiscriminatorPlan> {
    let unit = blueprint.channels_or(96);
    let size = blueprint.size;
    let (times, halved): (&[usize], usize) = match resolution("biggan", size)? {
        32 => (&[2, 2, 2, 2], 1),
        64 => (&[2, 4, 8, 16, 16], 1),
        128 => (&[1, 2, 4, 8, 16, 16], 1),
        256 => (&[1, 2, 4, 8, 8, 16, 16], 2),
        _ => (&[1, 1, 2, 4, 8, 8, 16, 16], 3),
    };
    let scale = |i: usize| if i + 1 < times.len() { Scale::Down } else { Scale::Same };
    Ok(DiscriminatorPlan {
        architecture: "biggan",
        kind: Kind::BigGan,
        stem: None,
        blocks: times.iter().enumerate().map(|(i, times)| (times * unit, scale(i))).collect(),
        pooled: true,
        attention: vec![(0..halved).fold(size, |size, _| size.div_ceil(2))],
    })
}
