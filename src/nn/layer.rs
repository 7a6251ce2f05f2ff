//! Layers with parameters: linear, convolution, transposed convolution, embedding.

use crate::error::Result;
use crate::nn::{Init, Mode, Param, SpectralNorm, SpectralOptions, Store};
use crate::tensor::{Padding, Tensor};

fn weight(weight: &Param, spectral: Option<&SpectralNorm>, mode: Mode) -> Result<Tensor> {
    match spectral {
        Some(norm) => norm.apply(&weight.tensor(), mode),
        None => Ok(weight.tensor()),
    }
}

/// `x W^T + b`: `[n, in] -> [n, out]`.
#[derive(Clone)]
pub struct Linear {
    weight: Param,
    bias: Option<Param>,
    spectral: Option<SpectralNorm>,
}

/// What linear layers and convolutions are made with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Make {
    /// First values of the weight; biases start at 0.
    pub init: Init,
    /// Whether there is a bias.
    pub bias: bool,
    /// How the weight is spectrally normalised, if it is.
    pub spectral: Option<SpectralOptions>,
}

impl Make {
    /// With a bias, without spectral norm.
    pub fn plain(init: Init) -> Self {
        Self { init, bias: true, spectral: None }
    }

    /// Without a bias.
    #[must_use]
    pub fn unbiased(self) -> Self {
        Self { bias: false, ..self }
    }

    fn bias(self, store: &Store, out: usize) -> Result<Option<Param>> {
        if self.bias { store.param("bias", &[out], Init::Constant(0.0)).map(Some) } else { Ok(None) }
    }

    /// Without spectral norm.
    #[must_use]
    pub fn unnormalised(self) -> Self {
        Self { spectral: None, ..self }
    }

    fn spectral(self, store: &Store, dims: &[usize], inputs_first: bool) -> Result<Option<SpectralNorm>> {
        self.spectral.map(|options| SpectralNorm::new(store, dims, inputs_first, options)).transpose()
    }
}

impl Linear {
    /// From `inputs` to `outputs` values.
    pub fn new(store: &Store, inputs: usize, outputs: usize, make: Make) -> Result<Self> {
        let dims = [outputs, inputs];
        Ok(Self {
            weight: store.param("weight", &dims, make.init)?,
            bias: make.bias(store, outputs)?,
            spectral: make.spectral(store, &dims, false)?,
        })
    }

    /// `[n, in] -> [n, out]`.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let y = x.matmul(&weight(&self.weight, self.spectral.as_ref(), mode)?.t()?)?;
        match &self.bias {
            Some(bias) => y.add(&bias.tensor()),
            None => Ok(y),
        }
    }
}

/// A convolution over `[n, c, h, w]`.
#[derive(Clone)]
pub struct Conv {
    weight: Param,
    bias: Option<Param>,
    spectral: Option<SpectralNorm>,
    stride: usize,
}

impl Conv {
    /// From `inputs` to `outputs` channels, with a square kernel and SAME padding.
    pub fn new(
        store: &Store,
        inputs: usize,
        outputs: usize,
        kernel_size: usize,
        stride: usize,
        make: Make,
    ) -> Result<Self> {
        let dims = [outputs, inputs, kernel_size, kernel_size];
        Ok(Self {
            weight: store.param("weight", &dims, make.init)?,
            bias: make.bias(store, outputs)?,
            spectral: make.spectral(store, &dims, false)?,
            stride,
        })
    }

    /// `[n, in, h, w] -> [n, out, ceil(h / stride), ceil(w / stride)]`.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let bias = self.bias.as_ref().map(Param::tensor);
        x.conv2d(&weight(&self.weight, self.spectral.as_ref(), mode)?, bias.as_ref(), self.stride, Padding::Same)
    }

    /// [`Conv::forward`] and a ReLU.
    pub fn forward_relu(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let bias = self.bias.as_ref().map(Param::tensor);
        x.conv2d_relu(&weight(&self.weight, self.spectral.as_ref(), mode)?, bias.as_ref(), self.stride, Padding::Same)
    }
}

/// A transposed convolution over `[n, c, h, w]`.
#[derive(Clone)]
pub struct ConvTranspose {
    weight: Param,
    bias: Option<Param>,
    spectral: Option<SpectralNorm>,
    stride: usize,
}

impl ConvTranspose {
    /// From `inputs` to `outputs` channels, with a square kernel and SAME padding.
    pub fn new(
        store: &Store,
        inputs: usize,
        outputs: usize,
        kernel_size: usize,
        stride: usize,
        make: Make,
    ) -> Result<Self> {
        let dims = [inputs, outputs, kernel_size, kernel_size];
        Ok(Self {
            weight: store.param("weight", &dims, make.init)?,
            bias: make.bias(store, outputs)?,
            spectral: make.spectral(store, &dims, false)?,
            stride,
        })
    }

    /// `[n, in, h, w] -> [n, out, size[0], size[1]]`, where h is ceil(size[0] / stride).
    pub fn forward(&self, x: &Tensor, size: [usize; 2], mode: Mode) -> Result<Tensor> {
        let bias = self.bias.as_ref().map(Param::tensor);
        x.conv_transpose2d(
            &weight(&self.weight, self.spectral.as_ref(), mode)?,
            bias.as_ref(),
            self.stride,
            Padding::SameTo(size),
        )
    }
}

/// A table of `classes` rows; takes labels as rows of weights over the classes (one-hot, or soft).
#[derive(Clone)]
pub struct Embedding {
    weight: Param,
    spectral: Option<SpectralNorm>,
}

impl Embedding {
    /// `classes` rows of `width` values.
    pub fn new(store: &Store, classes: usize, width: usize, make: Make) -> Result<Self> {
        let dims = [classes, width];
        Ok(Self { weight: store.param("weight", &dims, make.init)?, spectral: make.spectral(store, &dims, true)? })
    }

    /// `[n, classes] -> [n, width]`.
    pub fn forward(&self, labels: &Tensor, mode: Mode) -> Result<Tensor> {
        labels.matmul(&weight(&self.weight, self.spectral.as_ref(), mode)?)
    }
}
