//! Published settings whole, each with the result it belongs to.

use crate::gan::TrainOptions;
use crate::gan::arch::{COMPATS, Compat, Pool, Upsample};
use crate::gan::method::METHODS;
use crate::nn::{Init, NormKind, SpectralSide};
use crate::options::{Setting as _, Value};
use crate::table::Row;

/// Settings that belong to a published result, or to one measured here.
pub struct Preset {
    /// What a script calls it.
    pub name: &'static str,
    /// Its manual entry.
    pub doc: &'static str,
    /// The images, as a script loads them.
    pub data: &'static str,
    /// Pixels down and across, colours and classes of these images.
    pub shape: [usize; 3],
    /// Changes the default options into the preset's.
    pub apply: fn(&mut TrainOptions),
    /// What it reached, and where.
    pub results: &'static [Reached],
}

/// A score that a preset reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reached {
    /// The metric: `FID`.
    pub metric: &'static str,
    /// Its value.
    pub value: f64,
    /// What was measured, and how far it is from the preset.
    pub of: &'static str,
    /// Who measured it.
    pub source: &'static str,
}

impl Row for Preset {
    const KIND: &'static str = "preset";
    fn name(&self) -> &'static str {
        self.name
    }
    fn doc(&self) -> &'static str {
        self.doc
    }
}

/// Every preset: Compare GAN's example configurations, two of its study of losses and norms, the paper's ImageNet settings,
/// and what this repository measured itself.
pub const PRESETS: &[Preset] = &[
    DCGAN_CELEBA64,
    RESNET_CIFAR10,
    RESNET_CIFAR10_GP,
    SNDCGAN_CIFAR10,
    RESNET_LSUN_BEDROOM128,
    SNDCGAN_CELEBAHQ128,
    BIGGAN_IMAGENET128,
    SINGLE_LABEL_IMAGENET128,
    SINGLE_LABEL_SS_IMAGENET128,
    RANDOM_LABEL_IMAGENET128,
    CLUSTERING_IMAGENET128,
    CLUSTERING_SS_IMAGENET128,
    S2GAN_IMAGENET128,
    S2GAN_CO_IMAGENET128,
    S3GAN_IMAGENET128,
    S3GAN_CO_IMAGENET128,
    S3GAN_IMAGENET256,
    S3GAN_FASHION_MNIST_10K,
];

const LANDSCAPE: &str = "Kurach et al. 2018, arXiv:1807.04720";
const RELEASED: &str = "the models released with Lucic et al. 2019, arXiv:1903.02271";

/// Turns the options into those of a method.
fn method(options: &mut TrainOptions, name: &str) {
    if let Some(row) = METHODS.iter().find(|row| row.name == name) {
        options.method = name.into();
        (row.apply)(options);
    }
}

/// All of Compare GAN's ways: its published numbers depend on them.
fn compat() -> Compat {
    let all = COMPATS.iter().map(|row| Value::Text(row.name().into())).collect();
    Compat::from_value(Value::List(all)).unwrap_or_default()
}

/// What the example configurations without labels have in common.
fn unconditional(options: &mut TrainOptions, architecture: &str) {
    method(options, "single_label");
    options.generator = architecture.into();
    options.discriminator = architecture.into();
    options.g_norm = NormKind::Batch;
    options.d_spectral_norm = false;
    options.spectral_side = SpectralSide::Left;
    options.loss = "non_saturating".into();
    options.z = "uniform".into();
    options.betas = [0.5, 0.999];
    options.init = Init::Normal(0.02);
    options.ema = 0.0;
    options.standing_batches = 0;
    options.compat = compat();
    if architecture.starts_with("resnet") {
        options.upsample = Upsample::Zeros;
        options.shortcut_kernel = 3;
        options.pool = Pool::Mean;
    }
}

/// The configuration of BigGAN for ImageNet with 128 pixels, and what all of the paper's methods are built on.
fn biggan(options: &mut TrainOptions, name: &str) {
    method(options, name);
    options.generator = "biggan".into();
    options.discriminator = "biggan".into();
    options.g_spectral_norm = true;
    options.upsample = Upsample::Zeros;
    options.steps = 250_000;
    options.batch = 2048;
    options.d_steps = 2;
    options.z_dim = 120;
    options.g_lr = 1e-4;
    options.d_lr = 5e-4;
    options.ema = 0.9999;
    options.ema_start = 40_000;
    // 204,800 images, as its evaluator draws.
    options.standing_batches = 100;
    options.checkpoint_every = 2500;
    options.compat = compat();
}

const DCGAN_CELEBA64: Preset = Preset {
    name: "dcgan_celeba64",
    doc: "DCGAN for faces of 64 pixels, as in Compare GAN's example `dcgan_celeba64`.\n\n\
          Data: `data::load(\"celeba\")`. Non-saturating loss, batch norm in the generator, 100,000 steps of 64 images. No score \
          of it was published.   Radford et al. 2015, arXiv:1511.06434.",
    data: "data::load(\"celeba\")",
    shape: [64, 3, 1],
    apply: |options| {
        unconditional(options, "dcgan");
        options.steps = 100_000;
    },
    results: &[],
};

const RESNET_CIFAR10: Preset = Preset {
    name: "resnet_cifar10",
    doc: "ResNet for CIFAR-10 without labels, as in Compare GAN's example `resnet_cifar10`.\n\n\
          Data: `data::load(\"cifar10\")`. Non-saturating loss, spectral norm in the discriminator, five of its steps for each of \
          the generator's, 40,000 of these. Published with 200,000 steps: FID 22.91, IS 7.74.   Kurach et al. 2018, arXiv:1807.04720.",
    data: "data::load(\"cifar10\")",
    shape: [32, 3, 1],
    apply: |options| {
        unconditional(options, "resnet_cifar");
        options.d_spectral_norm = true;
        options.d_steps = 5;
        options.steps = 40_000;
    },
    results: &[
        Reached { metric: "FID", value: 22.91, of: "200,000 steps", source: LANDSCAPE },
        Reached { metric: "IS", value: 7.74, of: "200,000 steps", source: LANDSCAPE },
    ],
};

const RESNET_CIFAR10_GP: Preset = Preset {
    name: "resnet_cifar10_gp",
    doc: "`resnet_cifar10` with a gradient penalty: the best on CIFAR-10 of the study of losses and norms.\n\n\
          Data: `data::load(\"cifar10\")`. `wgan_gp` with the weight 1 beside spectral norm, 200,000 steps. Published: FID 22.73, \
          IS 7.70.   Kurach et al. 2018, arXiv:1807.04720.",
    data: "data::load(\"cifar10\")",
    shape: [32, 3, 1],
    apply: |options| {
        (RESNET_CIFAR10.apply)(options);
        options.penalty = "wgan_gp".into();
        options.penalty_weight = 1.0;
        options.steps = 200_000;
    },
    results: &[
        Reached { metric: "FID", value: 22.73, of: "as it is", source: LANDSCAPE },
        Reached { metric: "IS", value: 7.70, of: "as it is", source: LANDSCAPE },
    ],
};

const SNDCGAN_CIFAR10: Preset = Preset {
    name: "sndcgan_cifar10",
    doc: "SNDCGAN for CIFAR-10 without labels, with spectral norm: the best of its kind in the study of losses and norms.\n\n\
          Data: `data::load(\"cifar10\")`. Non-saturating loss, 200,000 steps of 64 images. Published: FID 25.27.   \
          Kurach et al. 2018, arXiv:1807.04720.",
    data: "data::load(\"cifar10\")",
    shape: [32, 3, 1],
    apply: |options| {
        unconditional(options, "sndcgan");
        options.d_spectral_norm = true;
        options.steps = 200_000;
    },
    results: &[Reached { metric: "FID", value: 25.27, of: "as it is", source: LANDSCAPE }],
};

const RESNET_LSUN_BEDROOM128: Preset = Preset {
    name: "resnet_lsun_bedroom128",
    doc: "ResNet for bedrooms of 128 pixels, as in Compare GAN's example `resnet_lsun-bedroom128`.\n\n\
          Data: `data::load(\"lsun\")`. Wasserstein loss with the gradient penalty `wgan_gp` of weight 10, five discriminator \
          steps, 40,000 of the generator. The nearest that was published, with layer norm, another rate and weight and 200,000 \
          steps: FID 40.36, IS 3.92.   Kurach et al. 2018, arXiv:1807.04720.",
    data: "data::load(\"lsun\")",
    shape: [128, 3, 1],
    apply: |options| {
        unconditional(options, "resnet5");
        options.loss = "wasserstein".into();
        options.penalty = "wgan_gp".into();
        options.penalty_weight = 10.0;
        options.d_steps = 5;
        options.steps = 40_000;
        options.g_lr = 1e-4;
        options.d_lr = 1e-4;
        options.betas = [0.5, 0.9];
    },
    results: &[
        Reached {
            metric: "FID",
            value: 40.36,
            of: "layer norm, weight 0.145, rate 1.28e-4, 200,000 steps",
            source: LANDSCAPE,
        },
        Reached {
            metric: "IS",
            value: 3.92,
            of: "layer norm, weight 0.145, rate 1.28e-4, 200,000 steps",
            source: LANDSCAPE,
        },
    ],
};

const SNDCGAN_CELEBAHQ128: Preset = Preset {
    name: "sndcgan_celebahq128",
    doc: "SNDCGAN for faces of 128 pixels, as in Compare GAN's example `sndcgan_celebahq128`.\n\n\
          Data: images of CelebA-HQ, `data::load(\"folder\", #{ path: \"celeba-hq\", size: 128 })`. Non-saturating loss, spectral \
          norm, 100,000 steps. Published with betas of 0.5 and 0.9: FID 28.21.   Kurach et al. 2018, arXiv:1807.04720.",
    data: "data::load(\"folder\", #{ path: \"celeba-hq\", size: 128 })",
    shape: [128, 3, 1],
    apply: |options| {
        unconditional(options, "sndcgan");
        options.d_spectral_norm = true;
        options.steps = 100_000;
    },
    results: &[Reached { metric: "FID", value: 28.21, of: "betas of 0.5 and 0.9", source: LANDSCAPE }],
};

const BIGGAN_IMAGENET128: Preset = Preset {
    name: "biggan_imagenet128",
    doc: "BigGAN for ImageNet with all labels, as in Compare GAN's example `biggan_imagenet128`: what the paper compares with.\n\n\
          Data: `data::load(\"imagenet\").train`, images of 128 pixels. 250,000 steps of 2,048 images on 128 cores of a TPU. \
          Published: FID 8.4, IS 75.0.   Lucic et al. 2019, arXiv:1903.02271; Brock et al. 2018, arXiv:1809.11096, without \
          orthogonal regularisation.",
    data: "data::load(\"imagenet\").train",
    shape: [128, 3, 1000],
    apply: |options| biggan(options, "biggan"),
    results: &[
        Reached {
            metric: "FID",
            value: 8.4,
            of: "all labels, validation images",
            source: "Lucic et al. 2019, arXiv:1903.02271",
        },
        Reached {
            metric: "IS",
            value: 75.0,
            of: "all labels, validation images",
            source: "Lucic et al. 2019, arXiv:1903.02271",
        },
    ],
};

const SINGLE_LABEL_IMAGENET128: Preset = Preset {
    name: "single_label_imagenet128",
    doc: "`biggan_imagenet128` with one label for every image: the paper's baseline without labels.\n\n\
          Data: `data::load(\"imagenet\").train`. Its score could not be checked here.   Lucic et al. 2019, arXiv:1903.02271.",
    data: "data::load(\"imagenet\").train",
    shape: [128, 3, 1],
    apply: |options| biggan(options, "single_label"),
    results: &[],
};

const SINGLE_LABEL_SS_IMAGENET128: Preset = Preset {
    name: "single_label_ss_imagenet128",
    doc: "`single_label_imagenet128` with rotation as a second task of the discriminator.\n\n\
          Data: `data::load(\"imagenet\").train`. Published for SSGAN, whose generator is not told a label either: FID 20.6, \
          IS 24.9.   Lucic et al. 2019, arXiv:1903.02271; Chen et al. 2018, arXiv:1811.11212.",
    data: "data::load(\"imagenet\").train",
    shape: [128, 3, 1],
    apply: |options| biggan(options, "single_label_ss"),
    results: &[
        Reached { metric: "FID", value: 20.6, of: "SSGAN, the best of several runs", source: RELEASED },
        Reached { metric: "IS", value: 24.9, of: "SSGAN, the best of several runs", source: RELEASED },
    ],
};

const RANDOM_LABEL_IMAGENET128: Preset = Preset {
    name: "random_label_imagenet128",
    doc: "`biggan_imagenet128` with a label drawn for each image.\n\n\
          Data: `data::load(\"imagenet\").train`. Its score could not be checked here.   Lucic et al. 2019, arXiv:1903.02271.",
    data: "data::load(\"imagenet\").train",
    shape: [128, 3, 1000],
    apply: |options| biggan(options, "random_label"),
    results: &[],
};

const CLUSTERING_IMAGENET128: Preset = Preset {
    name: "clustering_imagenet128",
    doc: "`biggan_imagenet128` on 50 clusters of learnt features, without a label.\n\n\
          Data: `label::cluster(features, data::load(\"imagenet\").train.keep_labels(0.0), #{ k: 50 })`. Its score could not be \
          checked here.   Lucic et al. 2019, arXiv:1903.02271.",
    data: "label::cluster(features, data::load(\"imagenet\").train.keep_labels(0.0), #{ k: 50 })",
    shape: [128, 3, 50],
    apply: |options| biggan(options, "clustering"),
    results: &[],
};

const CLUSTERING_SS_IMAGENET128: Preset = Preset {
    name: "clustering_ss_imagenet128",
    doc: "`clustering_imagenet128` with rotation as a second task of the discriminator.\n\n\
          Data: `label::cluster(features, data::load(\"imagenet\").train.keep_labels(0.0), #{ k: 50 })`. Its score could not be \
          checked here.   Lucic et al. 2019, arXiv:1903.02271.",
    data: "label::cluster(features, data::load(\"imagenet\").train.keep_labels(0.0), #{ k: 50 })",
    shape: [128, 3, 50],
    apply: |options| biggan(options, "clustering_ss"),
    results: &[],
};

const S2GAN_IMAGENET128: Preset = Preset {
    name: "s2gan_imagenet128",
    doc: "`biggan_imagenet128` on labels that a semi-supervised labeller inferred from a few.\n\n\
          Data: `labeller.label(data::load(\"imagenet\").train.keep_labels(0.1))`. Its score could not be checked here.   \
          Lucic et al. 2019, arXiv:1903.02271.",
    data: "labeller.label(data::load(\"imagenet\").train.keep_labels(0.1))",
    shape: [128, 3, 1000],
    apply: |options| biggan(options, "s2gan"),
    results: &[],
};

const S2GAN_CO_IMAGENET128: Preset = Preset {
    name: "s2gan_co_imagenet128",
    doc: "`biggan_imagenet128` whose discriminator infers the missing labels while it trains.\n\n\
          Data: `data::load(\"imagenet\").train.keep_labels(0.1)`. Its score could not be checked here.   \
          Lucic et al. 2019, arXiv:1903.02271.",
    data: "data::load(\"imagenet\").train.keep_labels(0.1)",
    shape: [128, 3, 1000],
    apply: |options| biggan(options, "s2gan_co"),
    results: &[],
};

const S3GAN_IMAGENET128: Preset = Preset {
    name: "s3gan_imagenet128",
    doc: "S3GAN for ImageNet: `s2gan_imagenet128` with rotation as a second task of the discriminator.\n\n\
          Data: `labeller.label(data::load(\"imagenet\").train.keep_labels(0.1))`. Published, the best of several runs with 20, 10, \
          5 and 2.5% of the labels: FID 6.9, 7.6, 8.4, 12.6; IS 98.1, 90.3, 74.0, 48.7.   Lucic et al. 2019, arXiv:1903.02271.",
    data: "labeller.label(data::load(\"imagenet\").train.keep_labels(0.1))",
    shape: [128, 3, 1000],
    apply: |options| biggan(options, "s3gan"),
    results: &[
        Reached { metric: "FID", value: 6.9, of: "20% of the labels, the best of several runs", source: RELEASED },
        Reached { metric: "FID", value: 7.6, of: "10% of the labels, the best of several runs", source: RELEASED },
        Reached { metric: "FID", value: 8.4, of: "5% of the labels, the best of several runs", source: RELEASED },
        Reached { metric: "FID", value: 12.6, of: "2.5% of the labels, the best of several runs", source: RELEASED },
        Reached { metric: "IS", value: 98.1, of: "20% of the labels, the best of several runs", source: RELEASED },
        Reached { metric: "IS", value: 90.3, of: "10% of the labels, the best of several runs", source: RELEASED },
        Reached { metric: "IS", value: 74.0, of: "5% of the labels, the best of several runs", source: RELEASED },
        Reached { metric: "IS", value: 48.7, of: "2.5% of the labels, the best of several runs", source: RELEASED },
    ],
};

const S3GAN_CO_IMAGENET128: Preset = Preset {
    name: "s3gan_co_imagenet128",
    doc: "`s2gan_co_imagenet128` with rotation as a second task of the discriminator.\n\n\
          Data: `data::load(\"imagenet\").train.keep_labels(0.1)`. Its score could not be checked here.   \
          Lucic et al. 2019, arXiv:1903.02271.",
    data: "data::load(\"imagenet\").train.keep_labels(0.1)",
    shape: [128, 3, 1000],
    apply: |options| biggan(options, "s3gan_co"),
    results: &[],
};

const S3GAN_IMAGENET256: Preset = Preset {
    name: "s3gan_imagenet256",
    doc: "S3GAN for ImageNet with 256 pixels.\n\n\
          Data: `labeller.label(data::load(\"imagenet\", #{ size: 256 }).train.keep_labels(0.1))`. Published with 10% of the labels: \
          FID 8.8, IS 130.7.   Lucic et al. 2019, arXiv:1903.02271.",
    data: "labeller.label(data::load(\"imagenet\", #{ size: 256 }).train.keep_labels(0.1))",
    shape: [256, 3, 1000],
    apply: |options| {
        biggan(options, "s3gan");
        options.z_dim = 140;
    },
    results: &[
        Reached { metric: "FID", value: 8.8, of: "10% of the labels, the best of several runs", source: RELEASED },
        Reached { metric: "IS", value: 130.7, of: "10% of the labels, the best of several runs", source: RELEASED },
    ],
};

const OURS: &str = "scripts/pipeline.rhai, seeds 1 to 3, 2026-11-23, commit 76f00b3";

const S3GAN_FASHION_MNIST_10K: Preset = Preset {
    name: "s3gan_fashion_mnist_10k",
    doc: "S3GAN for the images inside the program, in minutes on two cores: what `scripts/pipeline.rhai` trains.\n\n\
          Data: `labeller.label(data::load(\"fashion-mnist-10k\").train.keep_labels(0.1))`. Measured here, the mean of three seeds: \
          FD 2328 on features of SqueezeNet 1.1 at 64 pixels (real images 371), accuracy of the images 0.876. No paper has \
          these images.   The method is of Lucic et al. 2019, arXiv:1903.02271.",
    data: "labeller.label(data::load(\"fashion-mnist-10k\").train.keep_labels(0.1))",
    shape: [28, 1, 10],
    apply: |options| {
        method(options, "s3gan");
        options.steps = 2000;
        options.batch = 32;
        options.g_channels = 32;
        options.d_channels = 32;
        options.z_dim = 96;
        options.hierarchical_z = Some(true);
        options.g_lr = 1e-3;
        options.d_lr = 1e-3;
        options.betas = [0.5, 0.999];
    },
    results: &[
        Reached { metric: "FD", value: 2328.0, of: "10% of the labels, SqueezeNet 1.1, 64 px", source: OURS },
        Reached { metric: "accuracy", value: 0.876, of: "10% of the labels", source: OURS },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Shape;
    use crate::gan::options::Labels;
    use crate::gan::{Discriminator, Generator, Heads, preset};
    use crate::nn::Store;
    use crate::options::{Choice, Settings as _};
    use crate::tensor::Device;

    /// The parameters of both networks, nothing allocated.
    fn counts(row: &Preset) -> (usize, usize) {
        let options = preset(row.name).unwrap();
        options.check().unwrap();
        let [size, channels, classes] = row.shape;
        let (g, d) = options.blueprints(Shape { channels, height: size, width: size }, classes).unwrap();
        let empty = || Store::of_shapes(&Device::Cpu);
        let heads = Heads {
            projection: options.labels != Labels::Single,
            rotation: options.rotates(),
            predictor: options.predictor,
        };
        let generator = Generator::within(empty(), &options.generator, &g).unwrap();
        let discriminator = Discriminator::within(empty(), &options.discriminator, &d, heads).unwrap();
        (generator.store().count(), discriminator.store().count())
    }

    #[test]
    fn each_preset_builds_the_networks_that_were_printed() {
        let of = |name: &str| counts(PRESETS.iter().find(|row| row.name == name).unwrap());
        assert_eq!(of("biggan_imagenet128"), (70_433_988, 87_982_370));
        assert_eq!(of("dcgan_celeba64"), (5_364_739, 4_314_753));
        assert_eq!(of("resnet_cifar10"), (5_849_603, 1_483_137));
        assert_eq!(of("resnet_cifar10_gp"), of("resnet_cifar10"));
        assert_eq!(of("sndcgan_cifar10"), (3_828_739, 5_860_865));
        assert_eq!(of("sndcgan_celebahq128"), (19_926_019, 5_983_745));
        assert_eq!(of("resnet_lsun_bedroom128"), (13_786_115, 15_086_529));
        // A linear map of 1,536 features to four turns, with a bias.
        let rotation = 4 * 1536 + 4;
        assert_eq!(of("s3gan_imagenet128"), (70_433_988, 87_982_370 + rotation));
        // And one to 1,000 classes.
        assert_eq!(of("s3gan_co_imagenet128").1, 87_982_370 + rotation + 1000 * 1536 + 1000);
        assert_eq!(of("s3gan_imagenet256").0, 82_097_604);
        PRESETS.iter().for_each(|row| assert!(counts(row).0 > 10_000, "{}", row.name));
    }

    #[test]
    fn a_result_is_said_in_the_manual_and_a_preset_says_its_name() {
        for row in PRESETS {
            for reached in row.results {
                let spoken =
                    [format!("{}", reached.value), format!("{:.1}", reached.value), format!("{:.2}", reached.value)];
                assert!(spoken.iter().any(|value| row.doc.contains(value)), "{}: {reached:?}", row.name);
                assert!(row.doc.contains(reached.metric), "{}: {reached:?}", row.name);
            }
            assert!(row.doc.contains(&format!("`{}`", row.data)), "{}", row.name);
            assert_eq!(preset(row.name).unwrap().preset, row.name);
        }
        assert!(preset("biggan_imagenet").unwrap_err().help.unwrap().contains("`biggan_imagenet128`"));
    }

    #[test]
    fn compare_gans_configuration_is_followed_to_the_letter() {
        let options = preset("resnet_lsun_bedroom128").unwrap();
        for (name, value) in [
            ("loss", Value::Text("wasserstein".into())),
            ("penalty", Value::Text("wgan_gp".into())),
            ("penalty_weight", Value::Float(10.0)),
            ("d_steps", Value::Int(5)),
            ("z", Value::Text("uniform".into())),
            ("g_lr", Value::Float(1e-4)),
            ("d_spectral_norm", Value::Bool(false)),
            ("upsample", Value::Text("zeros".into())),
        ] {
            assert_eq!(options.get(name), Some(value), "{name}");
        }
    }

    /// What two sets of options differ in.
    fn differences(a: &TrainOptions, b: &TrainOptions) -> Vec<&'static str> {
        let names = TrainOptions::fields().iter().map(|field| field.name);
        names.filter(|name| a.get(name) != b.get(name)).collect()
    }

    #[test]
    fn each_of_compare_gans_files_is_followed_in_every_line() {
        // `example_configs/*.gin` of google/compare_gan: steps, batch, discriminator steps, latent, spectral norm in generator
        // and discriminator, loss, penalty and its weight, learning rates, betas.
        let of = |name: &str| {
            let o = preset(name).unwrap();
            let penalty = (o.penalty.clone(), o.penalty_weight);
            let sizes = (o.steps, o.batch, o.d_steps, o.z_dim);
            (sizes, (o.g_spectral_norm, o.d_spectral_norm), o.loss, penalty, (o.g_lr, o.d_lr), o.betas)
        };
        let soft = || Choice::from("non_saturating");
        let none = || (Choice::from("none"), TrainOptions::default().penalty_weight);
        let (rates, betas) = ((2e-4, 2e-4), [0.5, 0.999]);
        assert_eq!(of("dcgan_celeba64"), ((100_000, 64, 1, 128), (false, false), soft(), none(), rates, betas));
        assert_eq!(of("resnet_cifar10"), ((40_000, 64, 5, 128), (false, true), soft(), none(), rates, betas));
        assert_eq!(of("sndcgan_celebahq128"), ((100_000, 64, 1, 128), (false, true), soft(), none(), rates, betas));
        assert_eq!(
            of("resnet_lsun_bedroom128"),
            (
                (40_000, 64, 5, 128),
                (false, false),
                Choice::from("wasserstein"),
                (Choice::from("wgan_gp"), 10.0),
                (1e-4, 1e-4),
                [0.5, 0.9]
            )
        );
        assert_eq!(
            of("biggan_imagenet128"),
            ((250_000, 2048, 2, 120), (true, true), Choice::from("hinge"), none(), (1e-4, 5e-4), [0.0, 0.999])
        );
        let big = preset("biggan_imagenet128").unwrap();
        // ModularGAN's own: the average begins after 40,000 steps.
        assert_eq!((big.ema, big.ema_start, big.checkpoint_every), (0.9999, 40_000, 2500));
        for row in PRESETS.iter().filter(|row| row.name != "s3gan_fashion_mnist_10k") {
            let options = preset(row.name).unwrap();
            assert_eq!(
                (options.norm_decay, options.norm_epsilon, options.compat),
                (0.9, 1e-5, compat()),
                "{}",
                row.name
            );
        }
        // Of the study of losses and norms, table by table: the same networks, longer, and with a penalty of weight 1.
        let gp = preset("resnet_cifar10_gp").unwrap();
        assert_eq!((gp.steps, gp.d_steps, gp.penalty, gp.penalty_weight), (200_000, 5, Choice::from("wgan_gp"), 1.0));
        assert_eq!(
            (preset("sndcgan_cifar10").unwrap().steps, preset("sndcgan_cifar10").unwrap().d_steps),
            (200_000, 1)
        );
    }

    #[test]
    fn the_methods_of_the_paper_differ_in_what_they_are_alone() {
        let big = preset("biggan_imagenet128").unwrap();
        for row in PRESETS.iter().filter(|row| row.name.contains("_imagenet")) {
            let (options, name) = (preset(row.name).unwrap(), row.name.split_once("_imagenet").unwrap().0);
            assert_eq!(options.method, name);
            let mut expected = differences(&crate::gan::method(name).unwrap(), &crate::gan::method("biggan").unwrap());
            if options.preset != big.preset {
                expected.push("preset");
            }
            if row.name.ends_with("256") {
                expected.push("z_dim");
            }
            let mut found = differences(&options, &big);
            expected.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, expected, "{}", row.name);
        }
    }

    #[test]
    fn the_preset_for_minutes_is_what_the_pipeline_trains() {
        let script = include_str!("../../scripts/pipeline.rhai");
        let options = preset("s3gan_fashion_mnist_10k").unwrap();
        let call = "batch: 32, seed: seed, g_channels: width, d_channels: width, z_dim: 96, hierarchical_z: true,\n    \
                    g_lr: 1e-3, d_lr: 1e-3, betas: [0.5, 0.999],\n});";
        assert!(script.contains(call), "the pipeline trains something else");
        assert_eq!((options.batch, options.z_dim, options.hierarchical_z), (32, 96, Some(true)));
        assert_eq!((options.g_lr, options.d_lr, options.betas), (1e-3, 1e-3, [0.5, 0.999]));
        for (name, value) in [("steps", options.steps), ("width", options.g_channels), ("width", options.d_channels)] {
            let line = script.lines().find(|line| line.starts_with(&format!("let {name}"))).unwrap();
            assert!(line.contains(&format!(", {value})")), "{line}");
        }
    }
}
