//! How networks are made: by name, of layers, of single parameters.

use std::sync::Arc;

use rhai::plugin::*;
use rhai::{Array, Map, NativeCallContext};

use super::network::Network;
use crate::error::Error;
use crate::gan::arch::{Pool, Upsample};
use crate::gan::{ARCHITECTURES, Blueprint, Discriminator, Generator, Heads};
use crate::nn::{self, Init, Layer, NormKind, Param, Sequential};
use crate::script::bind::names_of;
use crate::script::{At, Fallible, args, shared};
use crate::table;

crate::options! {
    /// Options of `nn::build`.
    pub struct BuildOptions("nn::build") {
        /// Numbers in a latent, of a generator.
        pub z: usize = 128,
        /// Cut the latent into equal parts: the first makes the start of the image, each block's norms see one of the others.
        pub hierarchical_z: bool = false,
        /// Classes that the network is conditioned on; 0 for none.
        pub classes: usize = 0,
        /// Pixels of the images, down and across.
        pub size: usize = 28,
        /// 1 for grey images, 3 for colour.
        pub colours: usize = 1,
        /// Channels of the wide layers; the architecture's own if 0.
        pub channels: usize = 0,
        /// The norm.
        pub norm: NormKind = NormKind::None,
        /// Spectral norm of the weights.
        pub spectral_norm: bool = false,
        /// The heads of a discriminator besides real against fake: `projection`, `rotation`, `predictor`.
        pub heads: Vec<String> = Vec::new(),
        /// First values of weights.
        pub init: Init = Init::Orthogonal(1.0),
        /// How a residual generator enlarges: `nearest`, or `zeros` as in Compare GAN.
        pub upsample: Upsample = Upsample::Nearest,
        /// The kernel of residual shortcuts: 1, or 3 as in Compare GAN.
        pub shortcut_kernel: usize = 1,
        /// How a residual discriminator pools: `mean`, or `sum` as BigGAN does.
        pub pool: Pool = Pool::Sum,
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
    /// nn::architectures() // => ["resnet_cifar", "sndcgan"]
    /// ```
    pub fn architectures() -> Array {
        super::names_of(ARCHITECTURES)
    }
}

fn build_network(ctx: &NativeCallContext, name: &str, options: &BuildOptions) -> Fallible<Network> {
    let host = shared(ctx)?;
    let device = host.device().at(ctx)?;
    let seed = options.seed.unwrap_or_else(|| host.next_seed());
    let (architecture, part) = name.split_once('.').unwrap_or((name, ""));
    table::find(ARCHITECTURES, architecture).at(ctx)?;
    let blueprint = Blueprint {
        colours: options.colours,
        size: options.size,
        classes: options.classes,
        z_dim: options.z,
        hierarchical_z: options.hierarchical_z && part == "generator",
        channels: options.channels,
        norm: options.norm,
        spectral_norm: options.spectral_norm,
        init: options.init,
        upsample: options.upsample,
        shortcut_kernel: options.shortcut_kernel,
        pool: options.pool,
    };
    match part {
        "generator" => {
            let generator = Generator::new(architecture, &blueprint, seed, &device).at(ctx)?;
            Ok(Network::generator(Arc::new(generator)))
        }
        "discriminator" => {
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
