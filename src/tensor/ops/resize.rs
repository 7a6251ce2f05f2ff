//! Changing the size of images: nearest neighbour, zero insertion, bilinear.

use crate::error::Result;
use crate::tensor::Tensor;

impl Tensor {
    /// Each pixel of `[n, c, h, w]` repeated `factor` times down and across.
    pub fn upsample_nearest(&self, factor: usize) -> Result<Tensor> {
        let [n, c, h, w] = self.dims4()?;
        self.reshape(&[n * c, h, 1, w, 1])?.broadcast_to(&[n * c, h, factor, w, factor])?.reshape(&[n, c, h * factor, w * factor])
    }

    /// Each pixel of `[n, c, h, w]` followed by `factor - 1` zeros down and across ("bed of nails", Compare GAN's unpool).
    pub fn upsample_zeros(&self, factor: usize) -> Result<Tensor> {
        let [n, c, h, w] = self.dims4()?;
        self.reshape(&[n * c, h, 1, w, 1])?.pad(2, 0, factor - 1)?.pad(4, 0, factor - 1)?.reshape(&[n, c, h * factor, w * factor])
    }
}
