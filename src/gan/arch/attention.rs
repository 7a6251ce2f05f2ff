//! Self-attention over the pixels of a map of features (Zhang et al. 2018, arXiv:1805.08318).

use crate::error::Result;
use crate::nn::{Conv, Init, Make, Mode, Param, Store};
use crate::tensor::{Tensor, Window};

/// x + gate o, where o is a pointwise convolution of values that each pixel gathers from all others, which were pooled 2x2;
/// the gate starts at 0.
pub(super) struct Attention {
    query: Conv,
    key: Conv,
    value: Conv,
    out: Conv,
    gate: Param,
}

impl Attention {
    pub(super) fn new(store: &Store, channels: usize, make: Make) -> Result<Self> {
        let make = make.unbiased();
        let (narrow, wide) = ((channels / 8).max(1), (channels / 2).max(1));
        let pointwise =
            |name: &str, inputs: usize, outputs: usize| Conv::new(&store.sub(name), inputs, outputs, 1, 1, make);
        Ok(Self {
            query: pointwise("query", channels, narrow)?,
            key: pointwise("key", channels, narrow)?,
            value: pointwise("value", channels, wide)?,
            out: pointwise("out", wide, channels)?,
            gate: store.param("gate", &[1], Init::Constant(0.0))?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let [n, _, h, w] = x.dims4()?;
        // A row or column too many is a window of its own, as in TensorFlow's SAME.
        let window = Window { pad: [0, h % 2, 0, w % 2], ..Window::square(2) };
        let query = self.query.forward(x, mode)?.flatten(2)?;
        let key = self.key.forward(x, mode)?.max_pool2d(window)?.flatten(2)?;
        let value = self.value.forward(x, mode)?.max_pool2d(window)?.flatten(2)?;
        let weights = query.t()?.matmul(&key)?.softmax()?;
        let gathered = value.matmul(&weights.t()?)?;
        let gathered = gathered.reshape(&[n, gathered.dims()[1], h, w])?;
        let gate = self.gate.tensor().reshape(&[1, 1, 1, 1])?;
        x.add(&self.out.forward(&gathered, mode)?.mul(&gate)?)
    }
}
