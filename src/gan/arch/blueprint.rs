//! What a network is built from: sizes, norms, and the choices that architectures leave open.

use crate::error::{Error, Result};
use crate::gan::arch::{Architecture, Compat};
use crate::nn::{Init, Make, NormKind, NormOptions, SpectralOptions};
use crate::tensor::Tensor;

/// How generators enlarge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upsample {
    /// Each pixel repeated.
    Nearest,
    /// Each pixel followed by zeros, as in Compare GAN.
    Zeros,
}

impl Upsample {
    pub(super) fn apply(self, x: &Tensor, factor: usize) -> Result<Tensor> {
        match self {
            Upsample::Nearest => x.upsample_nearest(factor),
            Upsample::Zeros => x.upsample_zeros(factor),
        }
    }
}

/// How a discriminator goes from a map of features to features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// The mean over the image.
    Mean,
    /// The sum over the image.
    Sum,
}

/// What a network is built from.
#[derive(Debug, Clone, PartialEq)]
pub struct Blueprint {
    /// 1 for grey, 3 for colour.
    pub colours: usize,
    /// Pixels down and across.
    pub size: usize,
    /// Classes that the network is conditioned on; 0 for none.
    pub classes: usize,
    /// Numbers in a latent.
    pub z_dim: usize,
    /// What the counts of channels are measured by, as the architecture says; its own if 0.
    pub channels: usize,
    /// The norm.
    pub norm: NormKind,
    /// How much of a moving average one batch leaves.
    pub norm_decay: f64,
    /// What norms add to the variance.
    pub norm_epsilon: f64,
    /// Groups of channels of a group norm.
    pub norm_groups: usize,
    /// Hidden units of a self-modulated norm.
    pub norm_hidden: usize,
    /// Whether the gamma and beta of a conditional norm have a bias.
    pub norm_bias: bool,
    /// A layer norm after each norm of a residual block.
    pub layer_norm: bool,
    /// How weights are spectrally normalised, if they are.
    pub spectral: Option<SpectralOptions>,
    /// First values of weights.
    pub init: Init,
    /// How generators enlarge, in residual architectures.
    pub upsample: Upsample,
    /// The kernel of a residual block's shortcut: 1, or 3 as in Compare GAN.
    pub shortcut_kernel: usize,
    /// How features are taken over the image, in residual discriminators.
    pub pool: Pool,
    /// Heights of the maps of features that attention follows; the architecture's own if not given.
    pub attention: Option<Vec<usize>>,
    /// Whether each block of a residual generator sees a part of the latent of its own, beside the label; the
    /// architecture's own way if not given.
    pub hierarchical_z: Option<bool>,
    /// The length of a linear embedding of the label that the whole generator shares, 0 for none; the architecture's own
    /// if not given.
    pub embed_y: Option<usize>,
    /// Whether a generator begins with a linear map of the latent.
    pub embed_z: bool,
    /// Whether these embeddings have a bias.
    pub embed_bias: bool,
    /// Which of Compare GAN's ways are followed.
    pub compat: Compat,
}

impl Default for Blueprint {
    fn default() -> Self {
        Self {
            colours: 3,
            size: 32,
            classes: 0,
            z_dim: 128,
            channels: 0,
            norm: NormKind::None,
            norm_decay: 0.9,
            norm_epsilon: 1e-5,
            norm_groups: 32,
            norm_hidden: 32,
            norm_bias: false,
            layer_norm: false,
            spectral: None,
            init: Init::Orthogonal(1.0),
            upsample: Upsample::Nearest,
            shortcut_kernel: 1,
            pool: Pool::Sum,
            attention: None,
            hierarchical_z: None,
            embed_y: None,
            embed_z: false,
            embed_bias: false,
            compat: Compat::default(),
        }
    }
}

impl Blueprint {
    /// Looks at single values, and at how spectral norms would be made if they were.
    ///
    /// # Errors
    /// One is out of range.
    pub fn check(&self, spectral: SpectralOptions) -> Result<()> {
        let fault = |name: &str, value: String, must: &str| {
            Err(Error::new(format!("the option `{name}` is {value}")).help(format!("it must be {must}")))
        };
        if self.z_dim == 0 {
            return Err(Error::new("a latent of 0 numbers").help("it must have at least 1"));
        }
        let counts = [("size", self.size), ("spectral_iterations", spectral.iterations)];
        if let Some((name, _)) = counts.iter().find(|(_, value)| *value == 0) {
            return fault(name, "0".into(), "at least 1");
        }
        if ![1, 3].contains(&self.shortcut_kernel) {
            return fault("shortcut_kernel", self.shortcut_kernel.to_string(), "1 or 3");
        }
        let above = [("norm_epsilon", self.norm_epsilon), ("spectral_epsilon", spectral.epsilon)];
        if let Some((name, value)) = above.iter().find(|(_, value)| *value <= 0.0) {
            return fault(name, value.to_string(), "above 0");
        }
        if !(0.0..1.0).contains(&self.norm_decay) {
            return fault("norm_decay", self.norm_decay.to_string(), "from 0 to below 1");
        }
        Ok(())
    }

    /// How layers are made.
    pub(super) fn make(&self) -> Make {
        Make { init: self.init, bias: true, spectral: self.spectral }
    }

    /// How the layers are made that Compare GAN leaves without spectral norm.
    pub(super) fn make_in_gap(&self) -> Make {
        if self.compat.spectral_gaps { self.make().unnormalised() } else { self.make() }
    }

    /// How norms are made that see a condition of `condition` numbers and a latent of `z`, either of them 0 for none.
    pub(super) fn norms(&self, condition: usize, z: usize) -> NormOptions {
        NormOptions {
            kind: self.norm,
            decay: self.norm_decay,
            epsilon: self.norm_epsilon,
            groups: self.norm_groups,
            hidden: self.norm_hidden,
            bias: self.norm_bias,
            gain_without_one: self.compat.gain_without_one,
            standing_within: self.compat.standing_within,
            condition,
            z,
            make: self.make(),
        }
    }

    /// The channels asked for, or the architecture's `own`.
    pub(super) fn channels_or(&self, own: usize) -> usize {
        if self.channels == 0 { own } else { self.channels }
    }

    /// The options set apart from the ordinary that only some architectures follow.
    fn special(&self) -> Vec<&'static str> {
        let plain = Blueprint::default();
        let set = [
            ("layer_norm", self.layer_norm),
            ("upsample", self.upsample != plain.upsample),
            ("shortcut_kernel", self.shortcut_kernel != plain.shortcut_kernel),
            ("pool", self.pool != plain.pool),
            ("attention", self.attention.as_ref().is_some_and(|sizes| !sizes.is_empty())),
            ("hierarchical_z", self.hierarchical_z == Some(true)),
            ("embed_y", self.embed_y.is_some_and(|width| width > 0)),
            ("embed_z", self.embed_z),
        ];
        set.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect()
    }
}

/// Which of the options that only some architectures follow a network follows: names as in [`Blueprint`].
pub type Follows = &'static [&'static str];

/// A network about to be built: what from, what its architecture follows, its architecture, and what stands before the names
/// of options that each network has of its own (`g_` of `g_attention`).
pub type Planned<'a> = (&'a Blueprint, Follows, &'static Architecture, &'static str);

/// Options that a generator and a discriminator share.
const SHARED: Follows = &["upsample", "shortcut_kernel", "pool"];
/// Options that each has of its own.
const OWN: Follows = &["layer_norm", "attention"];

/// Looks for options that none of `networks` follows.
///
/// # Errors
/// There is one.
pub fn check_followed(networks: &[Planned<'_>]) -> Result<()> {
    for (blueprint, follows, architecture, prefix) in networks {
        for option in blueprint.special() {
            let shared = SHARED.contains(&option);
            let followed = follows.contains(&option)
                || (shared && networks.iter().any(|(_, follows, ..)| follows.contains(&option)));
            if followed {
                continue;
            }
            let name = if OWN.contains(&option) { format!("{prefix}{option}") } else { option.to_string() };
            let who = match networks {
                [(_, _, g, _), (_, _, d, _)] if shared && g.name != d.name => {
                    format!("neither `{}` nor `{}` follows", g.name, d.name)
                }
                _ => format!("`{}` does not follow", architecture.name),
            };
            return Err(Error::new(format!("{who} the option `{name}`")).help(leave_out(option)));
        }
    }
    Ok(())
}

fn leave_out(option: &str) -> String {
    let able: Vec<String> = super::ARCHITECTURES
        .iter()
        .filter(|row| row.generator_follows.contains(&option) || row.discriminator_follows.contains(&option))
        .map(|row| format!("`{}`", row.name))
        .collect();
    format!("leave it out, or use one of {}", able.join(", "))
}
