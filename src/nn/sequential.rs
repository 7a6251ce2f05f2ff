//! Networks composed of layers, one after the other, and single parameters: what a script builds of its own.

use crate::error::{Error, Result};
use crate::nn::{Conv, ConvTranspose, Init, Linear, Make, Mode, Norm, NormKind, NormOptions, Param, Pass, Store};
use crate::tensor::{Activation, Device, Tensor, Window};

/// A layer to be built. Layers without parameters are functions of the values alone.
#[derive(Debug, Clone, PartialEq)]
pub enum Layer {
    /// A convolution with SAME padding.
    Conv {
        /// Channels in.
        inputs: usize,
        /// Channels out.
        outputs: usize,
        /// Rows and columns of the kernel.
        kernel_size: usize,
        /// The step from one window to the next.
        stride: usize,
        /// First values, bias, spectral norm.
        make: Make,
    },
    /// A transposed convolution that makes images `stride` times as large.
    ConvTranspose {
        /// Channels in.
        inputs: usize,
        /// Channels out.
        outputs: usize,
        /// Rows and columns of the kernel.
        kernel_size: usize,
        /// How many times as large the result is.
        stride: usize,
        /// First values, bias, spectral norm.
        make: Make,
    },
    /// `x W^T + b`.
    Linear {
        /// Values in.
        inputs: usize,
        /// Values out.
        outputs: usize,
        /// First values, bias, spectral norm.
        make: Make,
    },
    /// Batch norm over channels.
    BatchNorm {
        /// How many channels.
        channels: usize,
    },
    /// max(0, x).
    Relu,
    /// x where it is positive, a share of it elsewhere.
    LeakyRelu(f64),
    /// The hyperbolic tangent.
    Tanh,
    /// 1 / (1 + exp(-x)).
    Sigmoid,
    /// All dimensions but the first as one.
    Flatten,
    /// Another shape for each item.
    Reshape(Vec<usize>),
    /// The mean of square windows.
    AvgPool(usize),
    /// The mean over rows and columns: `[n, c, h, w] -> [n, c]`.
    GlobalMean,
    /// Each pixel repeated so many times down and across.
    Upsample(usize),
}

enum Built {
    Conv(Conv),
    ConvTranspose(ConvTranspose, usize),
    Linear(Linear),
    Norm(Box<Norm>),
    Plain(Layer),
}

/// Layers one after the other.
pub struct Sequential {
    layers: Vec<Layer>,
    built: Vec<Built>,
    store: Store,
}

impl Sequential {
    /// Builds `layers`, their first weights drawn from `seed`.
    ///
    /// # Errors
    /// There are no layers, or one has no size.
    pub fn new(layers: &[Layer], seed: u64, device: &Device) -> Result<Self> {
        if layers.is_empty() {
            return Err(Error::new("a network needs at least one layer"));
        }
        let store = Store::new(seed, device);
        let built = layers
            .iter()
            .enumerate()
            .map(|(i, layer)| build(layer, &store.sub(&format!("layer{i}"))))
            .collect::<Result<_>>()?;
        Ok(Self { layers: layers.to_vec(), built, store })
    }

    /// Its parameters and state.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What it was built from.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// A copy with parameters of its own.
    pub fn copy(&self) -> Result<Self> {
        let copy = Self::new(&self.layers, 0, self.store.device())?;
        copy.store.copy_from(&self.store)?;
        Ok(copy)
    }

    /// The values after the last layer.
    ///
    /// # Errors
    /// The shape does not fit a layer, which is named.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut x = x.clone();
        for (i, layer) in self.built.iter().enumerate() {
            x = layer
                .forward(&x, mode)
                .map_err(|error| Error { message: format!("layer {i}: {}", error.message), ..error })?;
        }
        Ok(x)
    }
}

fn build(layer: &Layer, store: &Store) -> Result<Built> {
    let sized = |sizes: &[usize]| match sizes.contains(&0) {
        true => Err(Error::new("a layer has a size of 0").help("channels, values, kernels and strides are at least 1")),
        false => Ok(()),
    };
    Ok(match *layer {
        Layer::Conv { inputs, outputs, kernel_size, stride, make } => {
            sized(&[inputs, outputs, kernel_size, stride])?;
            Built::Conv(Conv::new(store, inputs, outputs, kernel_size, stride, make)?)
        }
        Layer::ConvTranspose { inputs, outputs, kernel_size, stride, make } => {
            sized(&[inputs, outputs, kernel_size, stride])?;
            Built::ConvTranspose(ConvTranspose::new(store, inputs, outputs, kernel_size, stride, make)?, stride)
        }
        Layer::Linear { inputs, outputs, make } => {
            sized(&[inputs, outputs])?;
            Built::Linear(Linear::new(store, inputs, outputs, make)?)
        }
        Layer::BatchNorm { channels } => {
            sized(&[channels])?;
            let make = Make::plain(Init::Constant(1.0));
            let options = NormOptions::plain(NormKind::Batch, make);
            Built::Norm(Box::new(Norm::new(store, channels, &options)?))
        }
        Layer::AvgPool(size) | Layer::Upsample(size) => {
            sized(&[size])?;
            Built::Plain(layer.clone())
        }
        _ => Built::Plain(layer.clone()),
    })
}

impl Built {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        match self {
            Built::Conv(conv) => conv.forward(x, mode),
            Built::ConvTranspose(conv, stride) => {
                let [_, _, h, w] = x.dims4()?;
                conv.forward(x, [h * stride, w * stride], mode)
            }
            Built::Linear(linear) => linear.forward(x, mode),
            Built::Norm(norm) => norm.forward(x, &Pass::plain(mode), Activation::None),
            Built::Plain(layer) => match layer {
                Layer::Relu => x.relu(),
                Layer::LeakyRelu(slope) => x.leaky_relu(*slope),
                Layer::Tanh => x.tanh(),
                Layer::Sigmoid => x.sigmoid(),
                Layer::Flatten => x.flatten(1),
                Layer::Reshape(item) => {
                    let rows = x.dims().first().copied().unwrap_or(1);
                    x.reshape(&[&[rows], item.as_slice()].concat())
                }
                Layer::AvgPool(size) => x.avg_pool2d(Window::square(*size)),
                Layer::GlobalMean => {
                    x.dims4()?;
                    x.mean(&[2, 3])
                }
                Layer::Upsample(factor) => x.upsample_nearest(*factor),
                _ => Err(Error::bug("a layer with parameters was not built")),
            },
        }
    }
}

/// One parameter on its own, its first values drawn from `seed` and its name.
///
/// # Errors
/// The initialiser does not fit the shape.
pub fn parameter(name: &str, dims: &[usize], init: Init, seed: u64, device: &Device) -> Result<Param> {
    Store::new(seed, device).param(name, dims, init)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make() -> Make {
        Make::plain(Init::Glorot)
    }

    #[test]
    fn shapes_go_through_the_layers() {
        let layers = [
            Layer::Linear { inputs: 8, outputs: 64, make: make() },
            Layer::Reshape(vec![4, 4, 4]),
            Layer::Upsample(2),
            Layer::Conv { inputs: 4, outputs: 6, kernel_size: 3, stride: 1, make: make() },
            Layer::BatchNorm { channels: 6 },
            Layer::Relu,
            Layer::ConvTranspose { inputs: 6, outputs: 3, kernel_size: 4, stride: 2, make: make() },
            Layer::AvgPool(2),
            Layer::GlobalMean,
        ];
        let network = Sequential::new(&layers, 1, &Device::Cpu).unwrap();
        let x = Rng::new(1).normal_tensor(&[5, 8], &Device::Cpu).unwrap();
        assert_eq!(network.forward(&x, Mode::Train).unwrap().dims(), [5, 3]);
        let copy = network.copy().unwrap();
        let eval = |network: &Sequential| network.forward(&x, Mode::Eval).unwrap().to_f32s().unwrap();
        assert_eq!(eval(&copy), eval(&network));
    }

    use crate::tensor::Rng;

    #[test]
    fn the_layer_that_does_not_fit_is_named() {
        let layers = [Layer::Flatten, Layer::Linear { inputs: 8, outputs: 2, make: make() }];
        let network = Sequential::new(&layers, 1, &Device::Cpu).unwrap();
        let x = Tensor::from_vec(vec![0.0; 18], &[2, 9], &Device::Cpu).unwrap();
        let error = network.forward(&x, Mode::Eval).unwrap_err();
        assert!(error.message.starts_with("layer 1: "), "{error}");
        assert!(Sequential::new(&[], 1, &Device::Cpu).is_err());
        assert!(Sequential::new(&[Layer::AvgPool(0)], 1, &Device::Cpu).is_err());
    }
}
