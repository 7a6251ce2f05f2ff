//! Average and max pooling.

use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// The window of a pooling operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Rows and columns of a window.
    pub size: [usize; 2],
    /// The step from one window to the next, down and across.
    pub stride: [usize; 2],
    /// Rows and columns of padding: top, bottom, left, right.
    pub pad: [usize; 4],
    /// Whether the padding counts as zeros in an average.
    pub count_padding: bool,
}

impl Window {
    /// A square window of `size` that moves by its own size, without padding.
    pub fn square(size: usize) -> Self {
        Self { size: [size; 2], stride: [size; 2], pad: [0; 4], count_padding: false }
    }
}

impl Tensor {
    /// The mean of each window of `[n, c, h, w]`; windows that would reach past the end are left out.
    ///
    /// # Errors
    /// The window does not fit.
    pub fn avg_pool2d(&self, window: Window) -> Result<Tensor> {
        let [n, c, h, w] = self.dims4()?;
        let k = window.size[0];
        if window != Window::square(k) || h % k != 0 || w % k != 0 {
            return Err(Error::new("this window is not there yet"));
        }
        self.reshape(&[n * c, h / k, k, w / k, k])?.mean(&[2, 4])?.reshape(&[n, c, h / k, w / k])
    }
}
