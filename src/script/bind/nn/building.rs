//! How networks are made: by name, of layers, of single parameters.

use std::sync::Arc;

use rhai::plugin::*;
use rhai::{Array, Map, NativeCallContext};

use super::network::Network;
use crate::error::Error;
use crate::gan::arch::{Compat, Pool, Upsample, check_followed};
use crate::gan::{ARCHITECTURES, Blueprint, Discriminator, Generator, Heads};
use crate::nn::{self, Init, Layer, NormKind, Param, Sequential, SpectralOptions, SpectralSide};
use crate::script::bind::names_of;
use crate::script::{At, Fallible, args, shared};
use crate::table;

crate::options! {
    /// Options of `nn::build`.
    pub struct BuildOptions("nn::build") {
        /// Numbers in a latent, of a generator.
        pub z: usize = 128,
        /// Classes that the network is conditioned on; 0 for none.
        pub classes: usize = 0,
        /// Pixels of the images, down and across.
        pub size: usize = 28,
        /// 1 for grey images, 3 for colour.
        pub colours: usize = 1,
        /// What the counts of channels are measured by, as the architecture says; its own if 0.
        pub channels: usize = 0,
        /// The norm.
        pub norm: NormKind = NormKind::None,
        /// A layer norm after each norm of residual blocks.
        pub layer_norm: bool = false,
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
        /// Spectral norm of the weights.
        pub spectral_norm: bool = false,
        /// Which singular vector spectral norms keep: `left` (inputs, as in Compare GAN), `right` (outputs), or the shorter.
        pub spectral_side: SpectralSide = SpectralSide::Auto,
        /// Steps of a spectral norm's power iteration in each pass.
        pub spectral_iterations: usize = 1,
        /// The least square of the length of a spectral norm's vectors.
        pub spectral_epsilon: f64 = 1e-12,
        /// The heads of a discriminator besides real against fake: `projection`, `rotation`, `predictor`.
        pub heads: Vec<String> = Vec::new(),
        /// First values of weights.
        pub init: Init = Init::Orthogonal(1.0),
        /// The standard deviation of first values, for `normal` and `truncated`; 0.02 if `()`.
        pub init_stddev: Option<f64> = None,
        /// How a residual generator enlarges: `nearest`, or `zeros` as in Compare GAN.
        pub upsample: Upsample = Upsample::Nearest,
        /// The kernel of residual shortcuts: 1, or 3 as in Compare GAN's ResNets (not its BigGAN).
        pub shortcut_kernel: usize = 1,
        /// How a residual discriminator pools: `sum` as BigGAN does, or `mean` as Compare GAN's ResNets do.
        pub pool: Pool = Pool::Sum,
        /// Heights of the maps of features that attention follows: `[64]`; the architecture's own if `()`.
        pub attention: Option<Vec<usize>> = None,
        /// Cut the latent into equal parts: the first makes the start of the image, each block's norms see one of the
        /// others. The architecture's own way if `()`.
        pub hierarchical_z: Option<bool> = None,
        /// The length of a linear embedding of the label that the whole generator shares; 0 for none, the architecture's
        /// own if `()`.
        pub embed_y: Option<usize> = None,
        /// Whether a generator begins with a linear map of the latent.
        pub embed_z: bool = false,
        /// Whether these embeddings have a bias.
        pub embed_bias: bool = false,
        /// Ways of Compare GAN to follow: a list of `gan::compats()`, or `["all"]`.
        pub compat: Compat = Compat::default(),
        /// What the first weights are drawn from; the session's seed if `()`.
        pub seed: Option<u64> = None,
    }
}

#[export_module]
pub mod functions {
    /// Builds a network by name: an architecture of `nn::architectures()`, a point, and `generator` or `discriminator`.
    ///
    /// The defaults fit the data set inside the program: 28x28, grey.
    ///
    /// ```rhai
    /// let g = nn::build("sndcgan.generator", #{ z: 16, channels: 16, norm: "batch_norm" });
    /// g.forward(normal([2, 16])).shape // => [2, 1, 28, 28]
    /// ```
    #[rhai_fn(return_raw)]
    pub fn build(ctx: NativeCallContext, name: &str, options: Map) -> Fallible<Network> {
        let options = args::options::<BuildOptions>(&ctx, options)?;
        super::build_network(&ctx, name, &options)
    }

    /// A network of layers, one after the other.
    ///
    /// ```rhai
    /// let net = nn::sequential([nn::flatten(), nn::linear(784, 10), nn::relu()]);
    /// net.forward(tensor::zeros([5, 1, 28, 28])).shape // => [5, 10]
    /// ```
    #[rhai_fn(return_raw)]
    pub fn sequential(ctx: NativeCallContext, layers: Array) -> Fallible<Network> {
        let host = shared(&ctx)?;
        let layers: Vec<Layer> = layers
            .iter()
            .map(|layer| match layer.read_lock::<Layer>() {
                Some(layer) => Ok(layer.clone()),
                None => Err(args::wrong(&ctx, "layers", "a list of layers such as `nn::relu()`", layer)),
            })
            .collect::<Fallible<_>>()?;
        let network = Sequential::new(&layers, host.next_seed(), &host.device().at(&ctx)?).at(&ctx)?;
        Ok(Network::sequential(Arc::new(network)))
    }

    /// A parameter on its own, for networks made by hand: `#{ w: nn::parameter([784, 10]), forward: |x| .. }`.
    ///
    /// `.tensor` is its value in computations; an optimiser takes it, or a map or list that holds it.
    ///
    /// ```rhai
    /// nn::parameter([784, 10]).tensor.shape // => [784, 10]
    /// ```
    #[rhai_fn(return_raw)]
    pub fn parameter(ctx: NativeCallContext, shape: Array) -> Fallible<Param> {
        let host = shared(&ctx)?;
        let dims = args::shape(&ctx, "shape", &shape)?;
        nn::parameter("parameter", &dims, Init::Normal(0.02), host.next_seed(), &host.device().at(&ctx)?).at(&ctx)
    }

    /// Builds a network by name, with all options as they are.
    #[rhai_fn(name = "build", return_raw)]
    pub fn build_plainly(ctx: NativeCallContext, name: &str) -> Fallible<Network> {
        build(ctx, name, Map::new())
    }

    /// The names of the architectures that `nn::build` and `gan::train` know.
    ///
    /// ```rhai
    /// nn::architectures() // => ["resnet_cifar", "sndcgan", "dcgan", "infogan", "resnet_stl", "resnet5", "resnet30", "biggan", "biggan_deep"]
    /// ```
    pub fn architectures() -> Array {
        super::names_of(ARCHITECTURES)
    }
}

impl BuildOptions {
    fn blueprint(&self) -> crate::Result<Blueprint> {
        let spectral = SpectralOptions {
            side: self.spectral_side,
            iterations: self.spectral_iterations,
            epsilon: self.spectral_epsilon,
            always: self.compat.spectral_always,
        };
        let blueprint = Blueprint {
            colours: self.colours,
            size: self.size,
            classes: self.classes,
            z_dim: self.z,
            channels: self.channels,
            norm: self.norm,
            norm_decay: self.norm_decay,
            norm_epsilon: self.norm_epsilon,
            norm_groups: self.norm_groups,
            norm_hidden: self.norm_hidden,
            norm_bias: self.norm_bias,
            layer_norm: self.layer_norm,
            spectral: self.spectral_norm.then_some(spectral),
            init: self.init.with_stddev(self.init_stddev)?,
            upsample: self.upsample,
            shortcut_kernel: self.shortcut_kernel,
            pool: self.pool,
            attention: self.attention.clone(),
            hierarchical_z: self.hierarchical_z,
            embed_y: self.embed_y,
            embed_z: self.embed_z,
            embed_bias: self.embed_bias,
            compat: self.compat,
        };
        blueprint.check(spectral)?;
        Ok(blueprint)
    }
}

fn build_network(ctx: &NativeCallContext, name: &str, options: &BuildOptions) -> Fallible<Network> {
    let host = shared(ctx)?;
    let device = host.device().at(ctx)?;
    let seed = options.seed.unwrap_or_else(|| host.next_seed());
    let (architecture, part) = name.split_once('.').unwrap_or((name, ""));
    let row = table::find(ARCHITECTURES, architecture).at(ctx)?;
    let blueprint = options.blueprint().at(ctx)?;
    match part {
        "generator" => {
            check_followed(&[(&blueprint, row.generator_follows, row, "")]).at(ctx)?;
            let generator = Generator::new(architecture, &blueprint, seed, &device).at(ctx)?;
            Ok(Network::generator(Arc::new(generator)))
        }
        "discriminator" => {
            check_followed(&[(&blueprint, row.discriminator_follows, row, "")]).at(ctx)?;
            let heads = heads_of(&options.heads).at(ctx)?;
            let discriminator = Discriminator::new(architecture, &blueprint, heads, seed, &device).at(ctx)?;
            Ok(Network::discriminator(Arc::new(discriminator)))
        }
        _ => {
            let error = Error::new(format!("`{name}` names no part of an architecture"));
            Err(error.help(format!("write `{architecture}.generator` or `{architecture}.discriminator`"))).at(ctx)
        }
    }
}

fn heads_of(names: &[String]) -> crate::Result<Heads> {
    const HEADS: [&str; 3] = ["projection", "rotation", "predictor"];
    match names.iter().find(|name| !HEADS.contains(&name.as_str())) {
        Some(unknown) => Err(table::unknown("head", unknown, HEADS)),
        None => Ok(Heads {
            projection: names.iter().any(|name| name == HEADS[0]),
            rotation: names.iter().any(|name| name == HEADS[1]),
            predictor: names.iter().any(|name| name == HEADS[2]),
        }),
    }
}
