//! BigGAN-deep.

use super::biggan::{growth, resolution};
use super::block::{Kind, Scale};
use super::residual::{Discriminator, DiscriminatorPlan, End, Generator, GeneratorPlan, Sight};
use super::{Architecture, Blueprint};
use crate::error::Result;

pub(super) const BIGGAN_DEEP: Architecture = Architecture {
    name: "biggan_deep",
    doc: "BigGAN-deep: bottleneck blocks, twice as many as BigGAN's, whose shortcuts keep the input, for the sizes of `biggan`.\n\n\
          Blocks: norm, ReLU, conv1x1 to a quarter, norm, ReLU, conv3x3, norm, ReLU, conv3x3, norm, ReLU, conv1x1; the shortcut \
          drops channels, or adds those it lacks by a conv1x1. The latent and the class (`embed_y`, 128) stand as one before \
          the start and every norm but the last. Attention follows the blocks of 64x64 where there are any (in the \
          discriminator, the second of them). `channels` is 128. The parameters are those of Compare GAN: 50,244,484 and \
          34,590,210 at 128x128x3 with 1000 classes, `z_dim: 128` and a projection head.   Brock et al. 2018, arXiv:1809.11096, \
          appendix B.",
    generator: |blueprint, store| Ok(Box::new(Generator::new(&generator(blueprint)?, blueprint, store)?)),
    generator_follows: &["layer_norm", "upsample", "attention", "embed_y", "embed_z"],
    discriminator: |blueprint, store| Ok(Box::new(Discriminator::new(&discriminator(blueprint)?, blueprint, store)?)),
    discriminator_follows: &["layer_norm", "pool", "attention"],
};

/// Blocks between neighbours of `times`, those of odd places scaled by `odd` and the others by `even`.
fn blocks(times: &[usize], unit: usize, even: Scale, odd: Scale) -> Vec<(usize, Scale)> {
    let scale = |i: usize| if i.is_multiple_of(2) { even } else { odd };
    times.iter().skip(1).enumerate().map(|(i, times)| (times * unit, scale(i))).collect()
}

fn generator(blueprint: &Blueprint) -> Result<GeneratorPlan> {
    let unit = blueprint.channels_or(128);
    let (side, doublings) = growth("biggan_deep", blueprint.size)?;
    let times: &[usize] = match doublings {
        3 => &[4; 8],
        4 => &[16, 16, 16, 16, 8, 8, 4, 4, 2],
        5 => &[16, 16, 16, 16, 8, 8, 4, 4, 2, 2, 1],
        6 => &[16, 16, 16, 16, 8, 8, 8, 8, 4, 4, 2, 2, 1],
        _ => &[16, 16, 16, 16, 8, 8, 8, 8, 4, 4, 2, 2, 1, 1, 1],
    };
    Ok(GeneratorPlan {
        architecture: "biggan_deep",
        kind: Kind::Deep,
        seed: (side, times[0] * unit),
        blocks: blocks(times, unit, Scale::Same, Scale::Up),
        sight: Sight::Joined,
        end: End::Tanh,
        attention: if doublings > 3 { vec![side << 4] } else { Vec::new() },
        hierarchical_z: false,
        embed_y: 128,
        spectral_embeddings: false,
        gaps: false,
    })
}

fn discriminator(blueprint: &Blueprint) -> Result<DiscriminatorPlan> {
    let unit = blueprint.channels_or(128);
    let size = blueprint.size;
    let (times, halved): (&[usize], usize) = match resolution("biggan_deep", size)? {
        32 => (&[2; 8], 0),
        64 => (&[2, 4, 4, 8, 8, 16, 16, 16, 16], 0),
        128 => (&[1, 2, 2, 4, 4, 8, 8, 16, 16, 16, 16], 1),
        256 => (&[1, 2, 2, 4, 4, 8, 8, 8, 8, 16, 16, 16, 16], 2),
        _ => (&[1, 1, 1, 2, 2, 4, 4, 8, 8, 8, 8, 16, 16, 16, 16], 3),
    };
    Ok(DiscriminatorPlan {
        architecture: "biggan_deep",
        kind: Kind::Deep,
        stem: Some((times[0] * unit, false)),
        blocks: blocks(times, unit, Scale::Down, Scale::Same),
        pooled: true,
        attention: match halved {
            0 => Vec::new(),
            halved => vec![(0..halved).fold(size, |size, _| size.div_ceil(2))],
        },
    })
}
