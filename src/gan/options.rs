//! What can be chosen about the training of a GAN.

use crate::error::{Error, Result};
use crate::gan::Guard;
use crate::gan::arch::{Compat, Pool, Upsample};
use crate::nn::{Clip, Init, NormKind, OPTIMISERS, OptimiserKind, Prior, Rates, Recipe, Schedule, SpectralSide};
use crate::options::{Choice, Setting, Settings as _, Value};

/// Which labels the networks see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labels {
    /// Those of the data set; images without one are left out.
    Given,
    /// Those that were kept, whatever a labeller said.
    Known,
    /// How likely a labeller found each class.
    Soft,
    /// One and the same for every image.
    Single,
    /// One drawn for each image, whatever it shows.
    Random,
}

crate::options! {
    /// Options of `gan::train`.
    pub struct TrainOptions("gan::train") {
        /// The method whose options these change: a name of `gan::methods()`.
        pub method: String = "biggan".into(),
        /// The preset whose options these change, of `gan::presets()`; `none` for those of the method.
        pub preset: String = "none".into(),
        /// Generator steps.
        pub steps: usize = 5000,
        /// Images in a batch.
        pub batch: usize = 64,
        /// Discriminator steps for each generator step.
        pub d_steps: usize = 1,
        /// Make the fakes of all discriminator steps in one pass, and those of the generator's step in another.
        pub joint_generation: bool = false,
        /// Show the discriminator real images and fakes in two passes, as the first versions of Compare GAN did: its batch norms
        /// see them apart.
        pub separate_passes: bool = false,
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
        /// `given`: the labels of the data set; `known`: the labels that were kept, whatever a labeller said; `soft`: how likely
        /// a labeller found each class; `single`: one label for every image; `random`: one drawn for each image.
        pub labels: Labels = Labels::Given,
        /// Give fakes the labels of the real images of their batch, in place of labels drawn evenly.
        pub fit_label_distribution: bool = false,
        /// A head of the discriminator that learns the classes of labelled images and labels the others while the GAN trains;
        /// the batches are of all images then.
        pub predictor: bool = false,
        /// Take how likely the predictor finds each class for a label, in place of the likeliest class.
        pub soft_prediction: bool = false,
        /// What the predictor learns: `labelled`, the classes of labelled images; `open_set`, those of fakes besides, and to be
        /// unsure of what is none of them (OSSGAN).
        pub class_loss: String = "labelled".into(),
        /// What the predictor's loss is multiplied with in the discriminator's loss.
        pub class_weight: f64 = 1.0,
        /// A third network that learns the classes of labelled images and labels the others for the discriminator, as in
        /// Triple-GAN: `none`, or a network of `label::supervised`, `resnet-small` say.
        pub classifier: String = "none".into(),
        /// The share of the discriminator's loss of fakes that real images with the classifier's labels have; the generator's
        /// images have the rest.
        pub c_share: f64 = 0.5,
        /// What the classifier's adversarial loss is multiplied with beside its cross-entropy on labelled images.
        pub c_adversarial_weight: f64 = 0.5,
        /// What the classifier's cross-entropy on generated images is multiplied with.
        pub c_fake_weight: f64 = 0.1,
        /// Steps before the classifier learns from generated images.
        pub c_fake_start: usize = 1000,
        /// A second task of the discriminator: `none`, `rotation`, or `rotation_only` in place of telling real from fake.
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
        /// What the generator's counts of channels are measured by, as its architecture says; its own if 0.
        pub g_channels: usize = 0,
        /// What the discriminator's counts of channels are measured by, as its architecture says; its own if 0.
        pub d_channels: usize = 0,
        /// The norm of the generator.
        pub g_norm: NormKind = NormKind::Conditional,
        /// The norm of the discriminator.
        pub d_norm: NormKind = NormKind::None,
        /// A layer norm after each norm of the generator's residual blocks.
        pub g_layer_norm: bool = false,
        /// A layer norm after each norm of the discriminator's residual blocks.
        pub d_layer_norm: bool = false,
        /// How much of a moving average one batch leaves, in norms over the batch.
        pub norm_decay: f64 = 0.9,
        /// What norms add to the variance.
        pub norm_epsilon: f64 = 1e-5,
        /// Groups of channels of `group_norm`.
        pub norm_groups: usize = 32,
        /// Hidden units of `self_modulated_batch_norm`; 0 for none.
        pub norm_hidden: usize = 32,
        /// Whether gamma and beta of `conditional_batch_norm` have a bias.
        pub norm_bias: bool = false,
        /// Spectral norm in the generator.
        pub g_spectral_norm: bool = false,
        /// Spectral norm in the discriminator.
        pub d_spectral_norm: bool = true,
        /// Which singular vector spectral norms keep: `left` (inputs, as in Compare GAN), `right` (outputs), or the shorter.
        pub spectral_side: SpectralSide = SpectralSide::Auto,
        /// Steps of a spectral norm's power iteration in each pass.
        pub spectral_iterations: usize = 1,
        /// The least square of the length of a spectral norm's vectors.
        pub spectral_epsilon: f64 = 1e-12,
        /// First values of weights.
        pub init: Init = Init::Orthogonal(1.0),
        /// The standard deviation of first values, for `normal` and `truncated`; 0.02 if `()`.
        pub init_stddev: Option<f64> = None,
        /// How residual generators enlarge: `nearest`, or `zeros` as in Compare GAN.
        pub upsample: Upsample = Upsample::Nearest,
        /// The kernel of residual shortcuts: 1, or 3 as in Compare GAN's ResNets (not its BigGAN).
        pub shortcut_kernel: usize = 1,
        /// How a residual discriminator pools: `sum` as BigGAN does, or `mean` as Compare GAN's ResNets do.
        pub pool: Pool = Pool::Sum,
        /// Heights of the maps of features that attention follows in the generator: `[64]`; its architecture's own if `()`.
        pub g_attention: Option<Vec<usize>> = None,
        /// Heights of the maps of features that attention follows in the discriminator; its architecture's own if `()`.
        pub d_attention: Option<Vec<usize>> = None,
        /// Numbers in a latent.
        pub z_dim: usize = 128,
        /// The latent is cut into equal parts: the first makes the start of the image, each block's norms see one of the
        /// others beside the label. The architecture's own way if `()`.
        pub hierarchical_z: Option<bool> = None,
        /// The length of a linear embedding of the label that the whole generator shares; 0 for none, the architecture's
        /// own if `()`.
        pub embed_y: Option<usize> = None,
        /// Whether the generator begins with a linear map of the latent.
        pub embed_z: bool = false,
        /// Whether these embeddings have a bias.
        pub embed_bias: bool = false,
        /// Ways of Compare GAN to follow: a list of `gan::compats()`, or `["all"]`.
        pub compat: Compat = Compat::default(),
        /// What latents are drawn from: `normal`, or `uniform` from -1 to 1.
        pub z: String = "normal".into(),
        /// The learning rate of the generator.
        pub g_lr: f64 = 2e-4,
        /// The learning rate of the discriminator.
        pub d_lr: f64 = 2e-4,
        /// The learning rate of the classifier.
        pub c_lr: f64 = 1e-3,
        /// What changes the generator along its gradients: `adam`, `adamw`, `sgd` or `rmsprop`.
        pub g_optimiser: OptimiserKind = OptimiserKind::ADAM,
        /// What changes the discriminator along its gradients: `adam`, `adamw`, `sgd` or `rmsprop`.
        pub d_optimiser: OptimiserKind = OptimiserKind::ADAM,
        /// What changes the classifier along its gradients: `adam`, `adamw`, `sgd` or `rmsprop`.
        pub c_optimiser: OptimiserKind = OptimiserKind::ADAM,
        /// Adam's running shares.
        pub betas: [f64; 2] = [0.0, 0.999],
        /// Added to the roots of Adam and RMSProp.
        pub epsilon: f64 = 1e-8,
        /// The share of the velocity that stays at each step of SGD or RMSProp.
        pub momentum: f64 = 0.0,
        /// Whether SGD looks ahead along its velocity.
        pub nesterov: bool = false,
        /// The share of RMSProp's running square that stays at each step.
        pub smoothing: f64 = 0.99,
        /// The share of each weight that is added to its gradient; `adamw` takes it off the weight instead.
        pub weight_decay: f64 = 0.0,
        /// The longest that the gradients of a network may be together; 0 for no bound.
        pub clip_norm: f64 = 0.0,
        /// The greatest that any number of a gradient may be; 0 for no bound.
        pub clip_value: f64 = 0.0,
        /// Pieces that each batch is computed in, to save memory: their gradients add up to those of the whole batch wherever
        /// no norm and no penalty looks at a batch as a whole.
        pub accumulate: usize = 1,
        /// How the learning rates change: `constant`, `linear`, `cosine` or `steps`.
        pub schedule: Schedule = Schedule::Constant,
        /// First steps in which the learning rates grow evenly up to what the schedule says.
        pub warmup: usize = 0,
        /// For `schedule: "steps"`: after which shares of all steps the learning rates fall to a tenth.
        pub drops: Vec<f64> = Rates::DROPS.to_vec(),
        /// The share of the averaged generator that stays at each step; 0 for no average.
        pub ema: f64 = 0.999,
        /// Steps through which the averaged generator equals the raw one, as in Compare GAN; with 0 it averages from the first
        /// step on, over few steps at first.
        pub ema_start: usize = 0,
        /// Batches over which the statistics of batch norms are taken before sampling; 0 to sample with moving averages.
        pub standing_batches: usize = 32,
        /// Mirror images left to right, half of the time.
        pub flip: bool = false,
        /// Steps between grids of samples; 0 for none.
        pub sample_every: usize = 250,
        /// Steps between evaluations, for `evaluate`; there is one before the first step and after the last besides.
        pub evaluate_every: usize = 500,
        /// The score that `gan.best()` is chosen by; the first of those that `evaluate` asks for if `()`.
        pub best_by: Option<String> = None,
        /// What stops the training besides numbers that are not finite: `collapse`, images of a class differ a hundredth as much
        /// as real ones do; `discriminator`, its loss is a thousandth of that of a guess, or stays at that of a guess. Each must
        /// be so for five times `guard_every` steps.
        pub guards: Vec<Guard> = vec![Guard::Collapse, Guard::Discriminator],
        /// Steps between looks of the guards; each keeps the state that is put back when the training is stopped.
        pub guard_every: usize = 100,
        /// Steps between checkpoints.
        pub checkpoint_every: usize = 500,
        /// How many of a run's checkpoints stay, the newest; the names of several say their steps.
        pub keep: usize = 1,
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
named_setting!(Labels, "`given`, `known`, `soft`, `single` or `random`", "given" => Labels::Given, "known" => Labels::Known,
    "soft" => Labels::Soft, "single" => Labels::Single, "random" => Labels::Random);
named_setting!(Upsample, "`nearest` or `zeros`", "nearest" => Upsample::Nearest, "zeros" => Upsample::Zeros);
named_setting!(Pool, "`mean` or `sum`", "mean" => Pool::Mean, "sum" => Pool::Sum);

impl TrainOptions {
    pub(super) fn check(&self) -> Result<()> {
        self.check_names()?;
        let positive = [
            ("batch", self.batch),
            ("d_steps", self.d_steps),
            ("penalty_every", self.penalty_every),
            ("accumulate", self.accumulate),
            ("keep", self.keep),
            ("evaluate_every", self.evaluate_every),
            ("guard_every", self.guard_every),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(Error::new(format!("the option `{name}` of `gan::train` is 0")).help("it must be at least 1"));
        }
        if self.d_clip < 0.0 {
            return Err(Error::new(format!("the option `d_clip` is {}", self.d_clip)).help("it must be 0 or more"));
        }
        let shares = [
            ("rotation_share", self.rotation_share),
            ("c_share", self.c_share),
            ("ema", self.ema),
            ("betas[0]", self.betas[0]),
            ("betas[1]", self.betas[1]),
            ("momentum", self.momentum),
            ("smoothing", self.smoothing),
        ];
        if let Some((name, value)) = shares
            .iter()
            .find(|(name, value)| !(0.0..=1.0).contains(value) || (*name != "rotation_share" && *value == 1.0))
        {
            return Err(Error::new(format!("the option `{name}` is {value}")).help("it must be from 0 to below 1"));
        }
        Prior::named(&self.z)?;
        let names: [(&str, &str, &[&'static str]); 2] = [
            ("self-supervision", &self.self_supervision, &["none", "rotation", "rotation_only"]),
            ("class loss", &self.class_loss, &["labelled", "open_set"]),
        ];
        for (kind, name, choices) in names {
            if !choices.contains(&name) {
                return Err(crate::table::unknown(kind, name, choices.iter().copied()));
            }
        }
        self.check_idle()?;
        self.check_together()?;
        self.check_optimisers()
    }

    /// A method beside a preset of another one is an error: some options would be of the one and some of the other.
    fn check_names(&self) -> Result<()> {
        super::method(&self.method)?;
        if self.preset == "none" {
            return Ok(());
        }
        let preset = super::preset(&self.preset)?;
        if preset.method != self.method {
            return Err(Error::new(format!(
                "the preset `{}` is of the method `{}`, and the options name the method `{}`",
                self.preset, preset.method, self.method
            ))
            .help("leave one of the two out, or begin with a preset of that method"));
        }
        Ok(())
    }

    /// An option that would do nothing is an error.
    fn check_idle(&self) -> Result<()> {
        let defaults = Self::default();
        let groups: [(&[&str], bool, &str); 5] = [
            (
                &["c_share", "c_adversarial_weight", "c_fake_weight", "c_fake_start", "c_lr", "c_optimiser"],
                self.classifies(),
                "`classifier: \"resnet-small\"`",
            ),
            (&["soft_prediction", "class_loss", "class_weight"], self.predictor, "`predictor: true`"),
            (
                &["rotation_share", "d_rotation_weight", "g_rotation_weight"],
                self.rotates(),
                "`self_supervision: \"rotation\"`",
            ),
            (&["joint_generation"], self.d_steps > 1, "`d_steps` of 2 or more"),
            (&["keep"], self.checkpoint_every > 0, "`checkpoint_every` of 1 or more"),
        ];
        for (names, used, needs) in groups {
            let changed = |name: &&&str| self.get(name) != defaults.get(name);
            if let (false, Some(name)) = (used, names.iter().find(changed)) {
                return Err(Error::new(format!("the option `{name}` of `gan::train` would do nothing"))
                    .help(format!("it needs {needs}")));
            }
        }
        Ok(())
    }

    /// Without an evaluation, options about it would do nothing.
    pub(super) fn check_unevaluated(&self) -> Result<()> {
        let defaults = Self::default();
        match ["evaluate_every", "best_by"].iter().find(|name| self.get(name) != defaults.get(name)) {
            Some(name) => Err(Error::new(format!("the option `{name}` of `gan::train` would do nothing"))
                .help("it needs `evaluate: #{ on: data.test }`")),
            None => Ok(()),
        }
    }

    /// What the optimiser of a network is built from.
    pub(super) fn recipe(&self, lr: f64) -> Recipe {
        Recipe {
            lr,
            betas: self.betas,
            epsilon: self.epsilon,
            momentum: self.momentum,
            nesterov: self.nesterov,
            smoothing: self.smoothing,
            weight_decay: self.weight_decay,
        }
    }

    /// How the learning rates go through the steps.
    pub(super) fn rates(&self) -> Result<Rates> {
        Rates::new(self.schedule, self.warmup as u64, &self.drops)
    }

    /// How gradients are bounded.
    pub(super) fn clip(&self) -> Result<Clip> {
        Clip::new(self.clip_norm, self.clip_value)
    }

    /// Options of optimisers that neither network has would do nothing.
    fn check_optimisers(&self) -> Result<()> {
        let defaults = Self::default();
        for name in ["betas", "epsilon", "momentum", "nesterov", "smoothing"] {
            let third = self.classifies().then_some(self.c_optimiser);
            let mut kinds = [self.g_optimiser, self.d_optimiser].into_iter().chain(third);
            let known = kinds.any(|kind| kind.row().knows.contains(&name));
            if !known && self.get(name) != defaults.get(name) {
                let users =
                    OPTIMISERS.iter().filter(|row| row.knows.contains(&name)).map(|row| format!("`{}`", row.name));
                return Err(Error::new(format!(
                    "the option `{name}` is set, and neither `{}` of the generator nor `{}` of the discriminator uses it",
                    self.g_optimiser.row().name,
                    self.d_optimiser.row().name
                ))
                .help(format!("it is for {}", users.collect::<Vec<_>>().join(", "))));
            }
        }
        if self.weight_decay < 0.0 || self.epsilon < 0.0 {
            return Err(Error::new("`weight_decay` or `epsilon` is below 0").help("both must be 0 or above"));
        }
        if !self.batch.is_multiple_of(self.accumulate) {
            return Err(Error::new(format!(
                "a batch of {} cannot be cut into {} equal pieces",
                self.batch, self.accumulate
            ))
            .help("`accumulate` must divide `batch`"));
        }
        if self.ema_start > 0 && self.ema == 0.0 {
            return Err(Error::new("`ema_start` is set and `ema` is 0: there is no average to start"));
        }
        self.rates()?;
        self.clip().map(drop)
    }

    /// Options that contradict one another are an error.
    fn check_together(&self) -> Result<()> {
        let classes = matches!(self.labels, Labels::Given | Labels::Known | Labels::Soft);
        let refused: [(bool, &str, &str); 11] = [
            (
                self.classifies() && !matches!(self.labels, Labels::Given | Labels::Known),
                "a `classifier` learns the classes of labelled images, and `labels` gives every image a row",
                "set `labels: \"known\"`, or `classifier: \"none\"`",
            ),
            (
                self.classifies() && self.predictor,
                "`classifier` and `predictor: true` both label images that have no label",
                "leave one of them out",
            ),
            (
                self.classifies() && self.d_norm == NormKind::Conditional,
                "a discriminator beside a `classifier` cannot have norms that look at labels: the classifier learns through its \
                 projection alone",
                "set `d_norm: \"none\"`",
            ),
            (
                self.classifies() && self.accumulate > 1,
                "a `classifier` has batch norms that look at a whole batch, and `accumulate` cuts it in pieces",
                "set `accumulate: 1`",
            ),
            (
                self.classifies() && !self.adversarial(),
                "a `classifier` learns from a discriminator that tells real from fake, and `self_supervision: \"rotation_only\"` has none",
                "leave one of them out",
            ),
            (
                self.predictor && !classes,
                "`predictor: true` has no classes to learn with `labels: \"single\"` or `labels: \"random\"`",
                "leave one of them out",
            ),
            (
                self.predictor && self.d_norm == NormKind::Conditional,
                "a discriminator with `predictor: true` cannot have norms that look at labels: some images have none",
                "set `d_norm: \"none\"`",
            ),
            (
                self.predictor && self.accumulate > 1,
                "`predictor: true` takes means over the labelled images of a whole batch, and `accumulate` cuts it in pieces",
                "set `accumulate: 1`",
            ),
            (
                self.fit_label_distribution && self.predictor,
                "`fit_label_distribution: true` needs a label for each real image, and `predictor: true` shows some without",
                "leave one of them out",
            ),
            (
                self.fit_label_distribution && self.labels == Labels::Single,
                "`fit_label_distribution: true` would do nothing: there is one label",
                "leave it out, or choose other `labels`",
            ),
            (
                !self.adversarial() && self.penalty != Choice::from("none"),
                "`self_supervision: \"rotation_only\"` has no use for a penalty",
                "set `penalty: \"none\"`",
            ),
        ];
        match refused.iter().find(|(refused, ..)| *refused) {
            Some((_, message, help)) => Err(Error::new(*message).help(*help)),
            None => Ok(()),
        }
    }

    /// Whether there is a third network.
    pub(super) fn classifies(&self) -> bool {
        self.classifier != "none"
    }

    pub(super) fn rotates(&self) -> bool {
        self.self_supervision != "none"
    }

    /// Whether real is told from fake.
    pub(super) fn adversarial(&self) -> bool {
        self.self_supervision != "rotation_only"
    }

    /// How many of `n` images are also shown turned.
    pub(super) fn turned(&self, n: usize) -> usize {
        if self.rotates() { ((self.rotation_share * n as f64).round() as usize).clamp(1, n) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_a_batch_is_turned_rounded_and_at_least_one() {
        let turned = |share: f64, n: usize| {
            TrainOptions { self_supervision: "rotation".into(), rotation_share: share, ..TrainOptions::default() }
                .turned(n)
        };
        assert_eq!(
            [turned(0.25, 64), turned(0.25, 10), turned(0.25, 9), turned(0.0, 64), turned(1.0, 7)],
            [16, 3, 2, 1, 7]
        );
        assert_eq!(TrainOptions::default().turned(64), 0);
    }
}
