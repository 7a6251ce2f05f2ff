//! SqueezeNet 1.1, trained on ImageNet: the extractor that lies inside the binary.
//!
//! Iandola et al. 2016, arXiv:1602.07360. 512 features from 0.7 million weights, one two-hundredth of the work of the
//! Inception network that the published scores use. So the score is `FD (SqueezeNet 1.1, 64 px)`, never "FID": no
//! published number compares with it.

use rayon::prelude::*;
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};

use super::extractor::{Extractor, hexadecimal};
use super::resize::Resizer;
use crate::data::Images;
use crate::error::{Error, Result};
use crate::tensor::{Device, Padding, Tensor, Window};

/// Where the weights come from is in `weights/LICENSE-squeezenet.txt`.
static WEIGHTS: &[u8] = include_bytes!("weights/squeezenet1_1_features_f16.safetensors");

/// Pixels on a side of what the network sees.
const SIZE: usize = 64;

/// What ImageNet's training images were centred by: blue, green, red.
const MEANS: [f32; 3] = [103.939, 116.779, 123.68];

const PREPARATION: &str = "bilinear (Pillow) to 64x64, grey to colour, blue green red, less ImageNet's means";

/// The convolutions of SqueezeNet 1.1 and the mean of the last over the image: `[n, 512]`.
pub struct SqueezeNet {
    hash: String,
    device: Device,
    first: Convolution,
    fires: Vec<Fire>,
}

struct Convolution {
    weight: Tensor,
    bias: Tensor,
}

/// Few channels, then many: from 1x1 and from 3x3 windows, side by side.
struct Fire {
    squeeze: Convolution,
    expand: [Convolution; 2],
}

impl SqueezeNet {
    /// The network on `device`.
    pub fn new(device: &Device) -> Result<Self> {
        let file = SafeTensors::deserialize(WEIGHTS).map_err(|error| damaged(&error.to_string()))?;
        let read = |name: &str| -> Result<Tensor> {
            let view = file.tensor(name).map_err(|error| damaged(&error.to_string()))?;
            if view.dtype() != Dtype::F16 {
                return Err(damaged(&format!("`{name}` is {:?}", view.dtype())));
            }
            let (halves, _) = view.data().as_chunks::<2>();
            let values = halves.iter().map(|half| half::f16::from_le_bytes(*half).to_f32()).collect();
            Tensor::from_vec(values, view.shape(), device)
        };
        let convolution = |name: String| -> Result<Convolution> {
            Ok(Convolution { weight: read(&format!("{name}.weight"))?, bias: read(&format!("{name}.bias"))? })
        };
        let fire = |i: usize| -> Result<Fire> {
            let expand = |side: &str| convolution(format!("fire{i}.expand{side}"));
            Ok(Fire { squeeze: convolution(format!("fire{i}.squeeze1x1"))?, expand: [expand("1x1")?, expand("3x3")?] })
        };
        let hash = Sha256::new().chain_update(PREPARATION).chain_update(WEIGHTS).finalize();
        Ok(Self {
            hash: hexadecimal(&hash),
            device: device.clone(),
            first: convolution("conv1".into())?,
            fires: (2..=9).map(fire).collect::<Result<_>>()?,
        })
    }

    fn prepare(&self, images: &Images) -> Result<Tensor> {
        let [n, channels, height, width] = images.dims();
        let resizer = Resizer::new(height, width, SIZE);
        let plane = SIZE * SIZE;
        let mut pixels = vec![0f32; n * 3 * plane];
        pixels.par_chunks_exact_mut(3 * plane).enumerate().for_each(|(i, target)| {
            let mut resized = vec![0; channels * plane];
            for (source, target) in images.image(i).chunks_exact(height * width).zip(resized.chunks_exact_mut(plane)) {
                resizer.plane(source, target);
            }
            for (c, target) in target.chunks_exact_mut(plane).enumerate() {
                // Colour is reversed; grey has one channel to give.
                let source = &resized[if channels == 3 { 2 - c } else { 0 } * plane..][..plane];
                target.iter_mut().zip(source).for_each(|(value, byte)| *value = f32::from(*byte) - MEANS[c]);
            }
        });
        Tensor::from_vec(pixels, &[n, 3, SIZE, SIZE], &self.device)
    }
}

impl Convolution {
    fn forward(&self, x: &Tensor, stride: usize) -> Result<Tensor> {
        x.conv2d_relu(&self.weight, Some(&self.bias), stride, Padding::Same)
    }
}

impl Fire {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let squeezed = self.squeeze.forward(x, 1)?;
        let layers = self.expand.each_ref().map(|expand| [&expand.weight, &expand.bias]);
        squeezed.conv2d_relu_joined(&layers, 1, Padding::Same)
    }
}

fn damaged(why: &str) -> Error {
    Error::bug(format!("the weights of SqueezeNet inside the binary cannot be read: {why}"))
}

impl Extractor for SqueezeNet {
    fn name(&self) -> &str {
        "SqueezeNet 1.1, 64 px"
    }
    fn hash(&self) -> &str {
        &self.hash
    }
    fn preparation(&self) -> &str {
        PREPARATION
    }
    fn dim(&self) -> usize {
        512
    }
    fn classes(&self) -> Option<usize> {
        None
    }
    fn side_by_side(&self) -> bool {
        self.device.is_cpu()
    }
    fn extract(&self, images: &Images) -> Result<(Tensor, Option<Tensor>)> {
        let window = Window { stride: [2, 2], ..Window::square(3) };
        let mut x = self.first.forward(&self.prepare(images)?, 2)?.max_pool2d(window)?;
        for (i, fire) in self.fires.iter().enumerate() {
            x = fire.forward(&x)?;
            // After fire3 and fire5.
            if i == 1 || i == 3 {
                x = x.max_pool2d(window)?;
            }
        }
        Ok((x.mean(&[2, 3])?, None))
    }
}
