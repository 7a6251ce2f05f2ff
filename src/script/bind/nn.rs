//! Networks and optimisers: built by name, composed of layers, or made of single parameters.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rhai::plugin::*;
use rhai::{Array, Dynamic, Engine, FnPtr, Map, NativeCallContext};

use crate::error::Error;
use crate::gan::arch::{Pool, Upsample};
use crate::gan::{ARCHITECTURES, Blueprint, Discriminator, Generator, Heads};
use crate::nn::{self, Adam, Encoder, Init, Layer, Make, Mode, NormKind, Optimiser, Param, Sequential, Sgd, Store};
use crate::script::display::{self, Display, Show};
use crate::script::manual::{Setting, settings_of};
use crate::script::{At, Fallible, args, shared};
use crate::table;
use crate::tensor::Tensor;

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
        /// Channels of the wide layers; the architecture's own if 0.
        pub channels: usize = 0,
        /// The norm.
        pub norm: NormKind = NormKind::None,
        /// Spectral norm of the weights.
        pub spectral_norm: bool = false,
        /// The heads of a discriminator besides real against fake: `projection`, `rotation`.
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

crate::options! {
    /// Options of `nn::adam`.
    pub struct AdamOptions("nn::adam") {
        /// The learning rate.
        pub lr: f64 = 2e-4,
        /// The shares of the running mean and square that stay at each step.
        pub betas: [f64; 2] = [0.9, 0.999],
        /// Added to the root.
        pub epsilon: f64 = 1e-8,
    }
}

crate::options! {
    /// Options of `nn::sgd`.
    pub struct SgdOptions("nn::sgd") {
        /// The learning rate.
        pub lr: f64 = 1e-2,
        /// The share of the velocity that stays at each step.
        pub momentum: f64 = 0.0,
        /// The share of each weight that is added to its gradient.
        pub weight_decay: f64 = 0.0,
    }
}

crate::options! {
    /// Options of layers with weights.
    pub struct LayerOptions("nn::conv") {
        /// The step from one window to the next.
        pub stride: usize = 1,
        /// Whether there is a bias.
        pub bias: bool = true,
        /// Spectral norm of the weight.
        pub spectral_norm: bool = false,
        /// First values of the weight.
        pub init: Init = Init::Glorot,
    }
}

pub(super) fn register(engine: &mut Engine) {
    display::know::<Network>(engine);
    display::know::<Training>(engine);
    display::know::<Layer>(engine);
    display::know::<Param>(engine);
    engine.register_static_module("nn", rhai::exported_module!(building).into());
    engine.register_global_module(rhai::exported_module!(using).into());
}

pub(super) fn options() -> Vec<(&'static str, Vec<Setting>)> {
    let layer = settings_of::<LayerOptions>().1;
    vec![
        settings_of::<BuildOptions>(),
        settings_of::<AdamOptions>(),
        settings_of::<SgdOptions>(),
        ("nn::conv", layer.clone()),
        ("nn::conv_transpose", layer.clone()),
        ("nn::linear", layer),
    ]
}

/// A network as a script holds it. Copies in variables are the same network.
#[derive(Clone)]
pub struct Network {
    body: Body,
    training: Arc<AtomicBool>,
}

#[derive(Clone)]
enum Body {
    Generator(Arc<Generator>),
    Discriminator(Arc<Discriminator>),
    Encoder(Arc<Encoder>),
    Sequential(Arc<Sequential>),
}

impl Network {
    fn new(body: Body) -> Self {
        Self { body, training: Arc::new(AtomicBool::new(true)) }
    }

    /// A generator as a script holds it.
    pub fn generator(generator: Arc<Generator>) -> Self {
        Self::new(Body::Generator(generator))
    }

    /// A discriminator as a script holds it.
    pub fn discriminator(discriminator: Arc<Discriminator>) -> Self {
        Self::new(Body::Discriminator(discriminator))
    }

    /// A network from images to features, at evaluation, as a script holds it.
    pub fn encoder(encoder: Encoder) -> Self {
        let network = Self::new(Body::Encoder(Arc::new(encoder)));
        network.training.store(false, Ordering::Relaxed);
        network
    }

    fn store(&self) -> &Store {
        match &self.body {
            Body::Generator(network) => network.store(),
            Body::Discriminator(network) => network.store(),
            Body::Encoder(network) => network.store(),
            Body::Sequential(network) => network.store(),
        }
    }

    fn mode(&self) -> Mode {
        if self.training.load(Ordering::Relaxed) { Mode::Train } else { Mode::Eval }
    }

    fn kind(&self) -> String {
        match &self.body {
            Body::Generator(network) => format!("the generator of {}", network.architecture()),
            Body::Discriminator(network) => format!("the discriminator of {}", network.architecture()),
            Body::Encoder(network) => network.name().to_string(),
            Body::Sequential(network) => format!("{} layers", network.layers().len()),
        }
    }

    /// Heads that a loss may leave out as a whole, by the beginnings of their parameters' names.
    fn heads(&self) -> Vec<String> {
        match &self.body {
            Body::Discriminator(_) => vec!["discriminator.rotation.".into(), "discriminator.projection.".into()],
            _ => Vec::new(),
        }
    }
}

impl Show for Network {
    const NAME: &'static str = "Network";

    fn short(&self) -> String {
        format!("{}, {} parameters", self.kind(), self.store().count())
    }

    fn full(&self) -> Display {
        let rows: Vec<Vec<String>> = self
            .store()
            .params()
            .iter()
            .map(|param| {
                let count: usize = param.dims().iter().product();
                vec![param.name().to_string(), format!("{:?}", param.dims()), count.to_string()]
            })
            .collect();
        Display::text(format!("{}\n{}", self.short(), display::table(&["parameter", "shape", "numbers"], &rows)))
    }
}

impl Show for Layer {
    const NAME: &'static str = "Layer";

    fn short(&self) -> String {
        match self {
            Layer::Conv { inputs, outputs, kernel_size, stride, .. } => {
                format!("conv {inputs} to {outputs}, {kernel_size}x{kernel_size}, stride {stride}")
            }
            Layer::ConvTranspose { inputs, outputs, kernel_size, stride, .. } => {
                format!("transposed conv {inputs} to {outputs}, {kernel_size}x{kernel_size}, stride {stride}")
            }
            Layer::Linear { inputs, outputs, .. } => format!("linear {inputs} to {outputs}"),
            Layer::BatchNorm { channels } => format!("batch norm of {channels}"),
            Layer::LeakyRelu(slope) => format!("leaky relu {slope}"),
            Layer::Reshape(shape) => format!("reshape {shape:?}"),
            Layer::AvgPool(size) => format!("average pool {size}"),
            Layer::Upsample(factor) => format!("upsample {factor}"),
            plain => format!("{plain:?}").to_lowercase(),
        }
    }
}

impl Show for Param {
    const NAME: &'static str = "Parameter";

    fn short(&self) -> String {
        format!("the parameter `{}` {:?}", self.name(), self.dims())
    }
}

/// An optimiser as a script holds it.
#[derive(Clone)]
pub struct Training {
    optimiser: Arc<Mutex<Box<dyn Optimiser>>>,
    heads: Arc<Vec<String>>,
}

impl Training {
    fn new(optimiser: impl Optimiser + 'static, heads: Vec<String>) -> Self {
        Self { optimiser: Arc::new(Mutex::new(Box::new(optimiser))), heads: Arc::new(heads) }
    }

    fn held(&self) -> MutexGuard<'_, Box<dyn Optimiser>> {
        // A step that panicked changed whole parameters or none.
        self.optimiser.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Show for Training {
    const NAME: &'static str = "Optimiser";

    fn short(&self) -> String {
        let held = self.held();
        format!("an optimiser of {} parameters, learning rate {}", held.params().len(), held.lr())
    }
}

#[export_module]
mod building {
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
        Ok(Network::new(Body::Sequential(Arc::new(network))))
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

    /// A convolution layer with SAME padding: channels in, channels out, rows and columns of the kernel.
    ///
    /// ```rhai
    /// nn::sequential([nn::conv(3, 8, 3)]).forward(tensor::zeros([1, 3, 8, 8])).shape // => [1, 8, 8, 8]
    /// ```
    #[rhai_fn(name = "conv", return_raw)]
    pub fn conv(ctx: NativeCallContext, inputs: i64, outputs: i64, kernel_size: i64) -> Fallible<Layer> {
        super::conv_layer(&ctx, [inputs, outputs, kernel_size], &LayerOptions::default())
    }

    /// A convolution layer with options.
    ///
    /// ```rhai
    /// nn::sequential([nn::conv(3, 8, 4, #{ stride: 2 })]).forward(tensor::zeros([1, 3, 8, 8])).shape // => [1, 8, 4, 4]
    /// ```
    #[rhai_fn(name = "conv", return_raw)]
    pub fn conv_with(
        ctx: NativeCallContext,
        inputs: i64,
        outputs: i64,
        kernel_size: i64,
        options: Map,
    ) -> Fallible<Layer> {
        let options = args::options::<LayerOptions>(&ctx, options)?;
        super::conv_layer(&ctx, [inputs, outputs, kernel_size], &options)
    }

    /// A transposed convolution layer, which makes images `stride` times as large.
    ///
    /// ```rhai
    /// let layer = nn::conv_transpose(8, 3, 4, #{ stride: 2 });
    /// nn::sequential([layer]).forward(tensor::zeros([1, 8, 4, 4])).shape // => [1, 3, 8, 8]
    /// ```
    #[rhai_fn(return_raw)]
    pub fn conv_transpose(
        ctx: NativeCallContext,
        inputs: i64,
        outputs: i64,
        kernel_size: i64,
        options: Map,
    ) -> Fallible<Layer> {
        let options = args::options::<LayerOptions>(&ctx, options)?;
        let count = |name, value| args::count(&ctx, name, value);
        let (inputs, outputs, kernel_size) =
            (count("inputs", inputs)?, count("outputs", outputs)?, count("kernel_size", kernel_size)?);
        Ok(Layer::ConvTranspose {
            inputs,
            outputs,
            kernel_size,
            stride: options.stride,
            make: super::make_of(&options),
        })
    }

    /// A linear layer: values in, values out.
    ///
    /// ```rhai
    /// nn::sequential([nn::linear(4, 2)]).forward(tensor::zeros([3, 4])).shape // => [3, 2]
    /// ```
    #[rhai_fn(name = "linear", return_raw)]
    pub fn linear(ctx: NativeCallContext, inputs: i64, outputs: i64) -> Fallible<Layer> {
        super::linear_layer(&ctx, inputs, outputs, &LayerOptions::default())
    }

    /// A linear layer with options.
    ///
    /// ```rhai
    /// nn::sequential([nn::linear(4, 2, #{ bias: false })]).parameters // => 8
    /// ```
    #[rhai_fn(name = "linear", return_raw)]
    pub fn linear_with(ctx: NativeCallContext, inputs: i64, outputs: i64, options: Map) -> Fallible<Layer> {
        let options = args::options::<LayerOptions>(&ctx, options)?;
        super::linear_layer(&ctx, inputs, outputs, &options)
    }

    /// A batch norm layer over channels.
    ///
    /// ```rhai
    /// nn::sequential([nn::batch_norm(3)]).forward(normal([8, 3, 4, 4])).mean().value.abs() < 1e-5 // => true
    /// ```
    #[rhai_fn(return_raw)]
    pub fn batch_norm(ctx: NativeCallContext, channels: i64) -> Fallible<Layer> {
        Ok(Layer::BatchNorm { channels: args::count(&ctx, "channels", channels)? })
    }

    /// A layer of rectifiers: max(0, x).
    ///
    /// ```rhai
    /// nn::sequential([nn::relu()]).forward(tensor::from([-1, 2])) // => tensor([0, 2])
    /// ```
    pub fn relu() -> Layer {
        Layer::Relu
    }

    /// A layer of leaky rectifiers: x where it is positive, `slope` x elsewhere.
    ///
    /// ```rhai
    /// nn::sequential([nn::leaky_relu(0.1)]).forward(tensor::from([-1, 2])) // => tensor([-0.1, 2])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn leaky_relu(ctx: NativeCallContext, slope: Dynamic) -> Fallible<Layer> {
        Ok(Layer::LeakyRelu(args::number(&ctx, "slope", &slope)?))
    }

    /// A layer of hyperbolic tangents.
    ///
    /// ```rhai
    /// nn::sequential([nn::tanh()]).forward(tensor::from([0])) // => tensor([0])
    /// ```
    pub fn tanh() -> Layer {
        Layer::Tanh
    }

    /// A layer of logistic functions.
    ///
    /// ```rhai
    /// nn::sequential([nn::sigmoid()]).forward(tensor::from([0])) // => tensor([0.5])
    /// ```
    pub fn sigmoid() -> Layer {
        Layer::Sigmoid
    }

    /// A layer that makes all dimensions but the first one.
    ///
    /// ```rhai
    /// nn::sequential([nn::flatten()]).forward(tensor::zeros([2, 3, 4])).shape // => [2, 12]
    /// ```
    pub fn flatten() -> Layer {
        Layer::Flatten
    }

    /// A layer that gives each item another shape.
    ///
    /// ```rhai
    /// nn::sequential([nn::reshape([3, 2])]).forward(tensor::zeros([5, 6])).shape // => [5, 3, 2]
    /// ```
    #[rhai_fn(return_raw)]
    pub fn reshape(ctx: NativeCallContext, shape: Array) -> Fallible<Layer> {
        Ok(Layer::Reshape(args::shape(&ctx, "shape", &shape)?))
    }

    /// A layer that takes the mean of square windows.
    ///
    /// ```rhai
    /// nn::sequential([nn::avg_pool(2)]).forward(tensor::ones([1, 1, 4, 4])).shape // => [1, 1, 2, 2]
    /// ```
    #[rhai_fn(return_raw)]
    pub fn avg_pool(ctx: NativeCallContext, size: i64) -> Fallible<Layer> {
        Ok(Layer::AvgPool(args::count(&ctx, "size", size)?))
    }

    /// A layer that takes the mean over rows and columns.
    ///
    /// ```rhai
    /// nn::sequential([nn::global_mean()]).forward(tensor::ones([2, 3, 4, 4])).shape // => [2, 3]
    /// ```
    pub fn global_mean() -> Layer {
        Layer::GlobalMean
    }

    /// A layer that repeats each pixel down and across.
    ///
    /// ```rhai
    /// nn::sequential([nn::upsample(2)]).forward(tensor::ones([1, 1, 4, 4])).shape // => [1, 1, 8, 8]
    /// ```
    #[rhai_fn(return_raw)]
    pub fn upsample(ctx: NativeCallContext, factor: i64) -> Fallible<Layer> {
        Ok(Layer::Upsample(args::count(&ctx, "factor", factor)?))
    }

    /// The optimiser Adam, over a network, a parameter, or a map or list of them.
    ///
    /// Kingma and Ba 2014, arXiv:1412.6980; epsilon stands outside the root.
    ///
    /// ```rhai
    /// let net = nn::sequential([nn::linear(2, 1)]);
    /// nn::adam(net, #{ lr: 2e-4, betas: [0.0, 0.9] }).lr // => 0.0002
    /// ```
    #[rhai_fn(return_raw)]
    pub fn adam(ctx: NativeCallContext, of: Dynamic, options: Map) -> Fallible<Training> {
        let options = args::options::<AdamOptions>(&ctx, options)?;
        let (params, heads) = super::trained(&ctx, &of)?;
        let adam = Adam::new(params, options.lr, options.betas, options.epsilon).at(&ctx)?;
        Ok(Training::new(adam, heads))
    }

    /// Gradient descent with momentum, over a network, a parameter, or a map or list of them.
    ///
    /// ```rhai
    /// let w = nn::parameter([1]);
    /// let opt = nn::sgd(w, #{ lr: 0.5 });
    /// for step in 0..50 { opt.step(((w.tensor - 3.0) ** 2).sum()); }
    /// w.tensor // => tensor([3])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn sgd(ctx: NativeCallContext, of: Dynamic, options: Map) -> Fallible<Training> {
        let options = args::options::<SgdOptions>(&ctx, options)?;
        let (params, heads) = super::trained(&ctx, &of)?;
        let sgd = Sgd::new(params, options.lr, options.momentum, options.weight_decay).at(&ctx)?;
        Ok(Training::new(sgd, heads))
    }

    /// Builds a network by name, with all options as they are.
    #[rhai_fn(name = "build", return_raw)]
    pub fn build_plainly(ctx: NativeCallContext, name: &str) -> Fallible<Network> {
        build(ctx, name, Map::new())
    }

    /// The optimiser Adam, with all options as they are.
    #[rhai_fn(name = "adam", return_raw)]
    pub fn adam_plainly(ctx: NativeCallContext, of: Dynamic) -> Fallible<Training> {
        adam(ctx, of, Map::new())
    }

    /// Gradient descent, with all options as they are.
    #[rhai_fn(name = "sgd", return_raw)]
    pub fn sgd_plainly(ctx: NativeCallContext, of: Dynamic) -> Fallible<Training> {
        sgd(ctx, of, Map::new())
    }

    /// The names of the architectures that `nn::build` and `gan::train` know.
    ///
    /// ```rhai
    /// nn::architectures() // => ["resnet_cifar", "sndcgan"]
    /// ```
    pub fn architectures() -> Array {
        super::super::names_of(ARCHITECTURES)
    }
}

#[export_module]
mod using {
    /// What a network makes of its input: features of images, images of latents, values after the last layer.
    ///
    /// In training, batch norms use the batch and their averages move; after `net.training = false` they use the averages.
    ///
    /// ```rhai
    /// nn::sequential([nn::relu()]).forward(tensor::from([-1, 2])) // => tensor([0, 2])
    /// ```
    #[rhai_fn(name = "forward", return_raw)]
    pub fn forward(ctx: NativeCallContext, network: Network, x: Tensor) -> Fallible<Tensor> {
        super::forward(&ctx, &network, &x, None)
    }

    /// What a conditional network makes of its input and of labels `[n]`, or rows of weights over the classes.
    ///
    /// ```rhai
    /// let g = nn::build("sndcgan.generator", #{ z: 8, channels: 16, classes: 10, norm: "conditional_batch_norm" });
    /// g.forward(normal([2, 8]), tensor::labels([3, 7])).shape // => [2, 1, 28, 28]
    /// ```
    #[rhai_fn(name = "forward", return_raw)]
    pub fn forward_with(ctx: NativeCallContext, network: Network, x: Tensor, labels: Dynamic) -> Fallible<Tensor> {
        super::forward(&ctx, &network, &x, Some(&labels))
    }

    /// Calls the `forward` function of a map with it: a network made by hand.
    ///
    /// ```rhai
    /// let net = #{ w: nn::parameter([2, 1]), forward: |x| x * 2 };
    /// forward(net, tensor::from([1])) // => tensor([2])
    /// ```
    #[rhai_fn(name = "forward", return_raw)]
    pub fn forward_map(ctx: NativeCallContext, network: Map, x: Dynamic) -> Fallible<Dynamic> {
        match network.get("forward").and_then(|function| function.clone().try_cast::<FnPtr>()) {
            Some(function) => function.call_raw(&ctx, None, [x]),
            None => Err(Error::new("the map has no function `forward`")).at(&ctx),
        }
    }

    /// Logits `[n]` of a discriminator, larger for what looks real; a projection head, which needs labels, is left out.
    ///
    /// ```rhai
    /// let d = nn::build("sndcgan.discriminator", #{ channels: 16, spectral_norm: true });
    /// d.logits(uniform([4, 1, 28, 28])).shape // => [4]
    /// ```
    #[rhai_fn(name = "logits", return_raw)]
    pub fn logits(ctx: NativeCallContext, network: Network, images: Tensor) -> Fallible<Tensor> {
        super::discriminator(&ctx, &network)?.plain_logits(&images, network.mode()).at(&ctx)
    }

    /// Logits `[n]` of a discriminator for images with labels.
    ///
    /// ```rhai
    /// let d = nn::build("sndcgan.discriminator", #{ channels: 16, classes: 10, heads: ["projection"] });
    /// d.logits(uniform([2, 1, 28, 28]), tensor::labels([3, 7])).shape // => [2]
    /// ```
    #[rhai_fn(name = "logits", return_raw)]
    pub fn logits_with(ctx: NativeCallContext, network: Network, images: Tensor, labels: Dynamic) -> Fallible<Tensor> {
        let discriminator = super::discriminator(&ctx, &network)?;
        let labels = super::class_rows(&ctx, &labels, discriminator.blueprint().classes)?;
        Ok(discriminator.forward(&images, labels.as_ref(), network.mode()).at(&ctx)?.logits)
    }

    /// Logits `[n, 4]` of the quarter turns, from a discriminator with a rotation head.
    ///
    /// ```rhai
    /// let d = nn::build("sndcgan.discriminator", #{ channels: 16, heads: ["rotation"] });
    /// d.rotation_logits(uniform([2, 1, 28, 28])).shape // => [2, 4]
    /// ```
    #[rhai_fn(return_raw)]
    pub fn rotation_logits(ctx: NativeCallContext, network: Network, images: Tensor) -> Fallible<Tensor> {
        let discriminator = super::discriminator(&ctx, &network)?;
        let features = discriminator.features(&images, None, network.mode()).at(&ctx)?;
        discriminator.rotation(&features, network.mode()).at(&ctx)
    }

    /// The features of images, `[n, features]`, from a discriminator or a network that learnt them.
    ///
    /// ```rhai
    /// let d = nn::build("sndcgan.discriminator", #{ channels: 16 });
    /// d.features(uniform([2, 1, 28, 28])).rows // => 2
    /// ```
    #[rhai_fn(return_raw)]
    pub fn features(ctx: NativeCallContext, network: Network, images: Tensor) -> Fallible<Tensor> {
        match &network.body {
            Body::Discriminator(discriminator) => discriminator.features(&images, None, network.mode()).at(&ctx),
            _ => super::forward(&ctx, &network, &images, None),
        }
    }

    /// A copy of a network with parameters of its own.
    ///
    /// ```rhai
    /// let net = nn::sequential([nn::linear(4, 2)]);
    /// net.copy().parameters // => 10
    /// ```
    #[rhai_fn(return_raw)]
    pub fn copy(ctx: NativeCallContext, network: Network) -> Fallible<Network> {
        let body = match &network.body {
            Body::Generator(network) => Body::Generator(Arc::new(network.copy().at(&ctx)?)),
            Body::Discriminator(network) => Body::Discriminator(Arc::new(network.copy().at(&ctx)?)),
            Body::Encoder(network) => Body::Encoder(Arc::new(network.copy().at(&ctx)?)),
            Body::Sequential(network) => Body::Sequential(Arc::new(network.copy().at(&ctx)?)),
        };
        Ok(Network::new(body))
    }

    /// Writes the parameters and state of a network to a file in safetensors.
    ///
    /// ```rhai
    /// let net = nn::sequential([nn::linear(4, 2)]);
    /// net.save("target/linear.safetensors") // => ()
    /// ```
    #[rhai_fn(name = "save", return_raw)]
    pub fn save(ctx: NativeCallContext, network: Network, path: &str) -> Fallible {
        nn::checkpoint::save(path.as_ref(), &[("network", network.store().state())], &[]).at(&ctx)
    }

    /// Reads what `save` wrote; a file of another architecture changes nothing.
    ///
    /// ```rhai
    /// let net = nn::sequential([nn::linear(4, 2)]);
    /// net.save("target/linear_again.safetensors");
    /// net.load("target/linear_again.safetensors") // => ()
    /// ```
    #[rhai_fn(name = "load", return_raw)]
    pub fn load(ctx: NativeCallContext, network: Network, path: &str) -> Fallible {
        let saved = nn::checkpoint::load(path.as_ref()).at(&ctx)?;
        network.store().load(|name| saved.find("network", name)).at(&ctx)
    }

    /// How many numbers of a network are trained.
    ///
    /// ```rhai
    /// nn::sequential([nn::linear(4, 2)]).parameters // => 10
    /// ```
    #[rhai_fn(get = "parameters", pure)]
    pub fn parameters(network: &mut Network) -> i64 {
        network.store().count() as i64
    }

    /// Whether a network runs as in training: batch norms use the batch, and their averages move.
    ///
    /// ```rhai
    /// let net = nn::sequential([nn::batch_norm(4)]);
    /// net.training = false;
    /// net.training // => false
    /// ```
    #[rhai_fn(get = "training", pure)]
    pub fn training(network: &mut Network) -> bool {
        network.training.load(Ordering::Relaxed)
    }

    /// Says whether a network runs as in training.
    #[rhai_fn(set = "training", pure)]
    pub fn set_training(network: &mut Network, training: bool) {
        network.training.store(training, Ordering::Relaxed);
    }

    /// The value of a parameter, as a place that gradients reach.
    ///
    /// ```rhai
    /// nn::parameter([3]).tensor.tracked // => true
    /// ```
    #[rhai_fn(get = "tensor", pure)]
    pub fn tensor(parameter: &mut Param) -> Tensor {
        parameter.tensor()
    }

    /// One step down the gradient of a loss, which is one number.
    ///
    /// A parameter that the loss does not depend on is an error that names it; a head that it leaves out stays as it is.
    /// A loss that is not finite is an error, and nothing changes.
    ///
    /// ```rhai
    /// let net = nn::sequential([nn::linear(2, 1)]);
    /// let opt = nn::adam(net, #{ lr: 0.1 });
    /// opt.step((net.forward(tensor::ones([4, 2])) ** 2).mean()) // => ()
    /// ```
    #[rhai_fn(name = "step", return_raw)]
    pub fn step(ctx: NativeCallContext, optimiser: Training, loss: Tensor) -> Fallible {
        args::check_stop(&ctx)?;
        nn::descend(optimiser.held().as_mut(), &loss, &optimiser.heads).at(&ctx)
    }

    /// The learning rate of an optimiser.
    ///
    /// ```rhai
    /// let opt = nn::sgd(nn::parameter([1]), #{ lr: 0.5 });
    /// opt.lr = 0.1;
    /// opt.lr // => 0.1
    /// ```
    #[rhai_fn(get = "lr", pure)]
    pub fn lr(optimiser: &mut Training) -> f64 {
        optimiser.held().lr()
    }

    /// Changes the learning rate from the next step on.
    #[rhai_fn(set = "lr", return_raw, pure)]
    pub fn set_lr(ctx: NativeCallContext, optimiser: &mut Training, lr: Dynamic) -> Fallible {
        let lr = args::number(&ctx, "lr", &lr)?;
        optimiser.held().set_lr(lr);
        Ok(())
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
        hierarchical_z: false,
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
    const HEADS: [&str; 2] = ["projection", "rotation"];
    match names.iter().find(|name| !HEADS.contains(&name.as_str())) {
        Some(unknown) => Err(table::unknown("head", unknown, HEADS)),
        None => Ok(Heads {
            projection: names.iter().any(|name| name == HEADS[0]),
            rotation: names.iter().any(|name| name == HEADS[1]),
        }),
    }
}

fn make_of(options: &LayerOptions) -> Make {
    Make { init: options.init, bias: options.bias, spectral: options.spectral_norm }
}

fn conv_layer(
    ctx: &NativeCallContext,
    [inputs, outputs, kernel_size]: [i64; 3],
    options: &LayerOptions,
) -> Fallible<Layer> {
    Ok(Layer::Conv {
        inputs: args::count(ctx, "inputs", inputs)?,
        outputs: args::count(ctx, "outputs", outputs)?,
        kernel_size: args::count(ctx, "kernel_size", kernel_size)?,
        stride: options.stride,
        make: make_of(options),
    })
}

fn linear_layer(ctx: &NativeCallContext, inputs: i64, outputs: i64, options: &LayerOptions) -> Fallible<Layer> {
    let (inputs, outputs) = (args::count(ctx, "inputs", inputs)?, args::count(ctx, "outputs", outputs)?);
    Ok(Layer::Linear { inputs, outputs, make: make_of(options) })
}

fn discriminator<'a>(ctx: &NativeCallContext, network: &'a Network) -> Fallible<&'a Discriminator> {
    match &network.body {
        Body::Discriminator(discriminator) => Ok(discriminator),
        _ => Err(Error::new(format!("{} has no logits", network.kind())).help("discriminators have")).at(ctx),
    }
}

/// Labels as rows of weights over the classes; nothing for a network without classes.
fn class_rows(ctx: &NativeCallContext, labels: &Dynamic, classes: usize) -> Fallible<Option<Tensor>> {
    if classes == 0 {
        return Ok(None);
    }
    match labels.read_lock::<Tensor>().filter(|labels| labels.rank() == 2) {
        Some(rows) => Ok(Some(rows.clone())),
        None => super::tensor::labels_of(ctx, "labels", labels)?.one_hot(classes).at(ctx).map(Some),
    }
}

fn forward(ctx: &NativeCallContext, network: &Network, x: &Tensor, labels: Option<&Dynamic>) -> Fallible<Tensor> {
    let mode = network.mode();
    let rows = |classes| labels.map_or(Ok(None), |labels| class_rows(ctx, labels, classes));
    match &network.body {
        Body::Generator(generator) => generator.forward(x, rows(generator.blueprint().classes)?.as_ref(), mode).at(ctx),
        Body::Discriminator(discriminator) => {
            discriminator.features(x, rows(discriminator.blueprint().classes)?.as_ref(), mode).at(ctx)
        }
        Body::Encoder(encoder) => encoder.forward(x, mode).at(ctx),
        Body::Sequential(sequential) => sequential.forward(x, mode).at(ctx),
    }
}

/// The parameters in a network, a parameter, or a map or list of them, and the heads that may be left out.
fn trained(ctx: &NativeCallContext, value: &Dynamic) -> Fallible<(Vec<Param>, Vec<String>)> {
    let (mut params, mut heads) = (Vec::new(), Vec::new());
    collect(value, &mut params, &mut heads);
    match params.is_empty() {
        true => Err(args::wrong(ctx, "of", "a network, a parameter, or a map or list of them", value)),
        false => Ok((params, heads)),
    }
}

fn collect(value: &Dynamic, params: &mut Vec<Param>, heads: &mut Vec<String>) {
    if let Some(network) = value.read_lock::<Network>() {
        params.extend(network.store().params());
        heads.extend(network.heads());
    } else if let Some(param) = value.read_lock::<Param>() {
        params.push(param.clone());
    } else if let Some(items) = value.read_lock::<Array>() {
        items.iter().for_each(|item| collect(item, params, heads));
    } else if let Some(map) = value.read_lock::<Map>() {
        map.values().for_each(|item| collect(item, params, heads));
    }
}
