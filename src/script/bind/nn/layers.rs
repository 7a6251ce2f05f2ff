//! The layers that networks are composed of.

use rhai::plugin::*;
use rhai::{Array, Dynamic, Map, NativeCallContext};

use crate::nn::{Init, Layer, Make, SpectralOptions};
use crate::script::{Fallible, args};

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

#[export_module]
pub mod functions {
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
}

fn make_of(options: &LayerOptions) -> Make {
    Make { init: options.init, bias: options.bias, spectral: options.spectral_norm.then(SpectralOptions::default) }
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
