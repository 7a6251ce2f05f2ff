//! Every architecture against the published counts of its parameters.

use super::{ARCHITECTURES, Blueprint};
use crate::gan::{Discriminator, Generator, Heads};
use crate::nn::{NormKind, SpectralOptions, Store};
use crate::tensor::Device;

/// A Compare GAN network: its name, colours, size, classes and latent, and the parameters of generator and discriminator.
type Count = (&'static str, usize, usize, usize, usize, usize, usize);

/// The counts of `google/compare_gan`'s own tests and docs, and those of its definitions at other sizes: plain batch norm in
/// the generators of plain architectures, conditional batch norm and a projection head in BigGANs.
const COUNTS: &[Count] = &[
    ("resnet_cifar", 3, 32, 0, 128, 5_849_603, 1_483_137),
    ("resnet_stl", 3, 48, 0, 128, 6_254_339, 25_114_817),
    ("resnet5", 3, 128, 0, 128, 13_786_115, 15_086_529),
    ("resnet30", 3, 128, 0, 128, 52_199_667, 53_486_449),
    ("dcgan", 3, 64, 0, 128, 5_364_739, 4_314_753),
    ("sndcgan", 3, 32, 0, 128, 3_828_739, 5_860_865),
    ("sndcgan", 3, 128, 0, 128, 19_926_019, 5_983_745),
    ("infogan", 1, 28, 0, 64, 6_642_241, 6_556_865),
    ("biggan", 3, 32, 10, 120, 9_339_395, 2_378_114),
    ("biggan", 3, 64, 1000, 120, 70_239_108, 87_752_258),
    ("biggan", 3, 128, 1000, 120, 70_433_988, 87_982_370),
    ("biggan", 3, 256, 1000, 140, 82_097_604, 98_635_298),
    ("biggan", 3, 512, 1000, 160, 82_468_068, 98_801_378),
    ("biggan_deep", 3, 64, 1000, 128, 49_583_876, 34_289_665),
    ("biggan_deep", 3, 128, 1000, 128, 50_244_484, 34_590_210),
    ("biggan_deep", 3, 256, 1000, 128, 55_736_708, 38_247_426),
    ("biggan_deep", 3, 512, 1000, 128, 56_019_780, 38_301_122),
];

fn empty() -> Store {
    Store::of_shapes(&Device::Cpu)
}

#[test]
fn parameter_counts_are_those_of_compare_gan() {
    for architecture in ARCHITECTURES {
        assert!(COUNTS.iter().any(|count| count.0 == architecture.name), "`{}` has no count", architecture.name);
    }
    for &(name, colours, size, classes, z_dim, g, d) in COUNTS {
        let big = name.starts_with("biggan");
        let blueprint = Blueprint {
            colours,
            size,
            classes,
            z_dim,
            norm: if big { NormKind::Conditional } else { NormKind::Batch },
            spectral: big.then(SpectralOptions::default),
            shortcut_kernel: if big { 1 } else { 3 },
            ..Blueprint::default()
        };
        let generator = Generator::within(empty(), name, &blueprint).unwrap();
        assert_eq!(generator.store().count(), g, "the generator of {name} at {size}");
        let heads = Heads { projection: classes > 0, ..Heads::default() };
        let blueprint = Blueprint { norm: NormKind::None, ..blueprint };
        let discriminator = Discriminator::within(empty(), name, &blueprint, heads).unwrap();
        assert_eq!(discriminator.store().count(), d, "the discriminator of {name} at {size}");
    }
}
