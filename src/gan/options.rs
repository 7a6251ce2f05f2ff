//! What can be chosen about the training of a GAN.

use crate::error::{Error, Result};
use crate::gan::arch::{Pool, Upsample};
use crate::nn::{Init, NormKind, Schedule};
use crate::options::{Choice, Setting, Value};

/// Which labels the networks see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labels {
    /// Those of the data set; images without one are left out.
    Given,
    /// One and the same for every image.
    Single,
}

crate::options! {
    /// Options of `gan::train`.
    pub struct TrainOptions("gan::train") {
        /// The method these options began as, for the record.
        pub method: String = "biggan".into(),
        /// Generator steps.
        pub steps: usize = 5000,
        /// Images in a batch.
        pub batch: usize = 64,
        /// Discriminator steps for each generator step.
        pub d_steps: usize = 1,
        /// What weights, batches and latents are drawn from.
        pub seed: u64 = 1,
        /// The adversarial loss: a name, or a function of `(real, fake)` logits.
        pub loss: Choice = "hinge".into(),
        /// The penalty on the discriminator: a name, or a function of `(real, fake)` images.
        pub penalty: Choice = "none".into(),
        /// What the penalty is multiplied with.
        pub penalty_weight: f64 = 10.0,
        /// Discriminator steps from one penalty to the next; it weighs as many times as much.
        pub penalty_every: usize = 1,
        /// Cut every parameter of the discriminator to between minus this and this after each of its steps, as Wasserstein
        /// GANs did first (0.01); 0 for not at all.
        pub d_clip: f64 = 0.0,
        /// `given`: the labels of the data set; `single`: one label for every image.
        pub labels: Labels = Labels::Given,
        /// A second task of the discriminator: `none` or `rotation`.
        pub self_supervision: String = "none".into(),
        /// The share of each batch that is also shown turned.
        pub rotation_share: f64 = 0.25,
        /// What the rotation loss of real images is multiplied with in the discriminator's loss.
        pub d_rotation_weight: f64 = 1.0,
        /// What the rotation loss of generated images is multiplied with in the generator's loss.
        pub g_rotation_weight: f64 = 0.2,
        /// The architecture of the generator.
        pub generator: String = "resnet_cifar".into(),
        /// The architecture of the discriminator.
        pub discriminator: String = "resnet_cifar".into(),
        /// Channels of the generator's wide layers; the architecture's own if 0.
        pub g_channels: usize = 0,
        /// Channels of the discriminator's wide layers; the architecture's own if 0.
        pub d_channels: usize = 0,
        /// The norm of the generator.
        pub g_norm: NormKind = NormKind::Conditional,
        /// The norm of the discriminator.
        pub d_norm: NormKind = NormKind::None,
        /// Spectral norm in the generator.
        pub g_spectral_norm: bool = false,
        /// Spectral norm in the discriminator.
        pub d_spectral_norm: bool = true,
        /// First values of weights.
        pub init: Init = Init::Orthogonal(1.0),
        /// How residual generators enlarge: `nearest`, or `zeros` as in Compare GAN.
        pub upsample: Upsample = Upsample::Nearest,
        /// The kernel of residual shortcuts: 1, or 3 as in Compare GAN.
        pub shortcut_kernel: usize = 1,
        /// How a residual discriminator pools: `mean`, or `sum` as BigGAN does.
        pub pool: Pool = Pool::Sum,
        /// Numbers in a latent.
        pub z_dim: usize = 128,
        /// The latent is cut into equal parts: the first makes the start of the image, each block's norms see one of the
        /// others beside the label.
        pub hierarchical_z: bool = false,
        /// What latents are drawn from: `normal`, or `uniform` from -1 to 1.
        pub z: String = "normal".into(),
        /// The learning rate of the generator.
        pub g_lr: f64 = 2e-4,
        /// The learning rate of the discriminator.
        pub d_lr: f64 = 2e-4,
        /// Adam's running shares.
        pub betas: [f64; 2] = [0.0, 0.999],
        /// How the learning rates change: `constant`, `linear`, `cosine` or `steps`.
        pub schedule: Schedule = Schedule::Constant,
        /// The share of the averaged generator that stays at each step; 0 for no average.
        pub ema: f64 = 0.999,
        /// Batches over which the statistics of batch norms are taken before sampling.
        pub standing_batches: usize = 32,
        /// Mirror images left to right, half of the time.
        pub flip: bool = false,
        /// Steps between grids of samples; 0 for none.
        pub sample_every: usize = 250,
        /// Steps between checkpoints.
        pub checkpoint_every: usize = 500,
    }
}

macro_rules! named_setting {
    ($type:ty, $expected:literal, $($name:literal => $value:path),*) => {
        impl Setting for $type {
            const EXPECTED: &'static str = $expected;
            fn from_value(value: Value) -> std::result::Result<Self, Value> {
                match &value {
                    $( Value::Text(name) if name == $name => Ok($value), )*
                    _ => Err(value),
                }
            }
            fn to_value(&self) -> Value {
                Value::Text(match self { $( $value => $name, )* }.into())
            }
        }
    };
}
named_setting!(Labels, "`given` or `single`", "given" => Labels::Given, "single" => Labels::Single);
named_setting!(Upsample, "`nearest` or `zeros`", "nearest" => Upsample::Nearest, "zeros" => Upsample::Zeros);
named_setting!(Pool, "`mean` or `sum`", "mean" => Pool::Mean, "sum" => Pool::Sum);

impl TrainOptions {
    pub(super) fn check(&self) -> Result<()> {
        let positive = [
            ("batch", self.batch),
            ("d_steps", self.d_steps),
            ("penalty_every", self.penalty_every),
            ("z_dim", self.z_dim),
            ("standing_batches", self.standing_batches),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(Error::new(format!("the option `{name}` of `gan::train` is 0")).help("it must be at least 1"));
        }
        if self.d_clip < 0.0 {
            return Err(Error::new(format!("the option `d_clip` is {}", self.d_clip)).help("it must be 0 or more"));
        }
        if ![1, 3].contains(&self.shortcut_kernel) {
            return Err(Error::new(format!("the option `shortcut_kernel` is {}", self.shortcut_kernel))
                .help("it must be 1 or 3"));
        }
        let shares = [
            ("rotation_share", self.rotation_share),
            ("ema", self.ema),
            ("betas[0]", self.betas[0]),
            ("betas[1]", self.betas[1]),
        ];
        if let Some((name, value)) = shares
            .iter()
            .find(|(name, value)| !(0.0..=1.0).contains(value) || (*name != "rotation_share" && *value == 1.0))
        {
            return Err(Error::new(format!("the option `{name}` is {value}")).help("it must be from 0 to below 1"));
        }
        if !["normal", "uniform"].contains(&self.z.as_str()) {
            return Err(crate::table::unknown("distribution of latents", &self.z, ["normal", "uniform"]));
        }
        if !["none", "rotation"].contains(&self.self_supervision.as_str()) {
            return Err(crate::table::unknown("self-supervision", &self.self_supervision, ["none", "rotation"]));
        }
        Ok(())
    }

    pub(super) fn rotates(&self) -> bool {
        self.self_supervision == "rotation"
    }

    /// How many images of a batch are also shown turned.
    pub(super) fn turned(&self) -> usize {
        if self.rotates() {
            ((self.rotation_share * self.batch as f64).round() as usize).clamp(1, self.batch)
        } else {
            0
        }
    }
}
