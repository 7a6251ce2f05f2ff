//! Average and max pooling.

use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::tensor::cpu::pool::{self, Pool};
#[cfg(feature = "cuda")]
use crate::tensor::cuda;
use crate::tensor::grad::{operator, recording};
use crate::tensor::value::{Raw, from_cpu, on_gpu, typed, with_slice};

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

    fn over(&self, [n, c, h, w]: [usize; 4]) -> Result<Pool> {
        let [kh, kw] = self.size;
        let reach = |k: usize, a: usize, b: usize| k > 0 && a < k && b < k;
        if self.stride.contains(&0) || !reach(kh, self.pad[0], self.pad[1]) || !reach(kw, self.pad[2], self.pad[3]) {
            return Err(Error::new(format!(
                "a window of size {:?}, stride {:?} and padding {:?} cannot be: the stride must be at least 1 and the padding less than the size",
                self.size, self.stride, self.pad
            )));
        }
        if h + self.pad[0] + self.pad[1] < kh || w + self.pad[2] + self.pad[3] < kw {
            return Err(Error::new(format!("a window of {kh}x{kw} is larger than an image of {h}x{w}")));
        }
        Ok(Pool { planes: n * c, h, w, kh, kw, stride: self.stride, pad: self.pad, count_padding: self.count_padding })
    }
}

impl Tensor {
    /// The mean of each window of `[n, c, h, w]`; windows that would reach past the end are left out.
    ///
    /// # Errors
    /// The window does not fit.
    pub fn avg_pool2d(&self, window: Window) -> Result<Tensor> {
        let dims = self.dims4()?;
        average(self, window.over(dims)?, dims)
    }

    /// The largest value of each window of `[n, c, h, w]`, the first of equals; padding is never the largest.
    ///
    /// # Errors
    /// The window does not fit.
    pub fn max_pool2d(&self, window: Window) -> Result<Tensor> {
        let [n, c, ..] = self.dims4()?;
        let p = window.over(self.dims4()?)?;
        let out = [n, c, p.out_h(), p.out_w()];
        if self.on_cpu() && !(recording() && self.tracked()) {
            let value = typed!(self, T => with_slice::<T, _>(self.raw(), |x| from_cpu(pool::max(x, &p), &out)))?;
            return Ok(Tensor::from_raw(value));
        }
        if let Some(places) = on_gpu!(self, cuda::max_places(self.raw(), &p, &out)) {
            return largest(self, &Tensor::from_raw(places?), p);
        }
        // Places are found on the CPU also for a tensor elsewhere; the values are picked where they are.
        let places = typed!(self, T => {
            let x = self.raw().to_device(&crate::tensor::Device::Cpu)?;
            with_slice::<T, _>(&x, |x| Ok(pool::max_places(x, &p)))
        })?;
        let places = Tensor::from_u32s(places, &out, self.device())?;
        self.take_flat(&places)
    }
}

/// The values of `x` at the places of the largest of each window, on a GPU.
fn largest(x: &Tensor, places: &Tensor, p: Pool) -> Result<Tensor> {
    let value = crate::tensor::no_grad(|| x.take_flat(places))?.raw().clone();
    let (places, dims) = (places.clone(), x.dims().to_vec());
    Ok(operator("max_pool2d", value, &[x], move |incoming| {
        Ok(vec![Some(largest_transposed(incoming.grad, &places, p, &dims)?)])
    }))
}

/// The transpose of [`largest`]: windows may share a pixel, and are added up in order.
fn largest_transposed(g: &Tensor, places: &Tensor, p: Pool, dims: &[usize]) -> Result<Tensor> {
    let Some(value) = on_gpu!(g, cuda::max_back(places.raw(), g.raw(), &p, dims)) else {
        return g.add_flat(places, dims);
    };
    let places = places.clone();
    Ok(operator("max_pool2d_transposed", value?, &[g], move |incoming| {
        Ok(vec![Some(largest(incoming.grad, &places, p)?)])
    }))
}

fn average(x: &Tensor, p: Pool, dims: [usize; 4]) -> Result<Tensor> {
    let out = [dims[0], dims[1], p.out_h(), p.out_w()];
    let value: Raw = match on_gpu!(x, cuda::average(x.raw(), &p, &out)) {
        Some(value) => value?,
        None => on_cpu(x, |x| typed!(x, T => with_slice::<T, _>(x.raw(), |x| from_cpu(pool::average(x, &p), &out))))?,
    };
    Ok(operator("avg_pool2d", value, &[x], move |incoming| Ok(vec![Some(spread(incoming.grad, p, dims)?)])))
}

fn spread(g: &Tensor, p: Pool, dims: [usize; 4]) -> Result<Tensor> {
    let value: Raw = match on_gpu!(g, cuda::average_back(g.raw(), &p, &dims)) {
        Some(value) => value?,
        None => on_cpu(
            g,
            |g| typed!(g, T => with_slice::<T, _>(g.raw(), |g| from_cpu(pool::average_transposed(g, &p), &dims))),
        )?,
    };
    Ok(operator("avg_pool2d_transposed", value, &[g], move |incoming| Ok(vec![Some(average(incoming.grad, p, dims)?)])))
}

/// Runs a CPU kernel on a tensor wherever it is, and brings the result back there.
pub(super) fn on_cpu(
    x: &Tensor,
    f: impl FnOnce(&Tensor) -> Result<crate::tensor::value::Raw>,
) -> Result<crate::tensor::value::Raw> {
    if x.on_cpu() {
        return f(x);
    }
    let here = Tensor::from_raw(x.raw().to_device(&crate::tensor::Device::Cpu)?);
    Ok(f(&here)?.to_device(x.device())?)
}
