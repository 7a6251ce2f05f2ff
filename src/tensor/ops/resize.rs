//! Changing the size of images: nearest neighbour, zero insertion, bilinear.

use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::tensor::cpu::resize::{self, Bilinear};
#[cfg(feature = "cuda")]
use crate::tensor::cuda;
use crate::tensor::grad::operator;
use crate::tensor::ops::pool::on_cpu;
use crate::tensor::room::room;
use crate::tensor::value::{Raw, from_cpu, on_gpu, typed, with_slice};

pub use crate::tensor::cpu::resize::Sampling;

impl Tensor {
    /// Each pixel of `[n, c, h, w]` repeated `factor` times down and across.
    pub fn upsample_nearest(&self, factor: usize) -> Result<Tensor> {
        grow(self, factor, Fill::Repeat)
    }

    /// Each pixel of `[n, c, h, w]` followed by `factor - 1` zeros down and across ("bed of nails", Compare GAN's unpool).
    pub fn upsample_zeros(&self, factor: usize) -> Result<Tensor> {
        grow(self, factor, Fill::Zeros)
    }

    /// Bilinear interpolation of `[n, c, h, w]` to `height` by `width`, with the convention `sampling`.
    ///
    /// # Errors
    /// A size of 0.
    pub fn resize_bilinear(&self, height: usize, width: usize, sampling: Sampling) -> Result<Tensor> {
        let dims = self.dims4()?;
        if height == 0 || width == 0 || dims[2] == 0 || dims[3] == 0 {
            return Err(Error::new(format!("cannot resize images of shape {dims:?} to {height}x{width}")));
        }
        room(&[dims[0], dims[1], height, width], 4)?;
        let plan =
            Bilinear { planes: dims[0] * dims[1], h: dims[2], w: dims[3], out_h: height, out_w: width, sampling };
        bilinear(self, plan, dims)
    }
}

#[derive(Clone, Copy)]
enum Fill {
    Repeat,
    Zeros,
}

fn grow(x: &Tensor, factor: usize, fill: Fill) -> Result<Tensor> {
    let [n, c, h, w] = x.dims4()?;
    if factor == 0 {
        return Err(Error::new("cannot enlarge images by a factor of 0"));
    }
    let out = [n, c, h * factor, w * factor];
    room(&out, 4)?;
    let value: Raw = if x.on_cpu() {
        typed!(x, T => with_slice::<T, _>(x.raw(), |x| from_cpu(match fill {
            Fill::Repeat => resize::nearest(x, n * c, h, w, factor),
            Fill::Zeros => resize::zeros(x, n * c, h, w, factor),
        }, &out)))?
    } else if let Some(value) = on_gpu!(x, cuda::grow(x.raw(), [h, w], factor, matches!(fill, Fill::Zeros), &out)) {
        value?
    } else {
        let wide = x.raw().reshape((n * c, h, 1, w, 1))?;
        match fill {
            Fill::Repeat => wide.broadcast_as((n * c, h, factor, w, factor))?.reshape(&out)?,
            Fill::Zeros => wide.pad_with_zeros(2, 0, factor - 1)?.pad_with_zeros(4, 0, factor - 1)?.reshape(&out)?,
        }
    };
    Ok(operator("upsample", value, &[x], move |incoming| Ok(vec![Some(shrink(incoming.grad, factor, fill)?)])))
}

/// The transpose of `grow`: the sum of each block, or its first pixel.
fn shrink(g: &Tensor, factor: usize, fill: Fill) -> Result<Tensor> {
    let [n, c, h, w] = g.dims4()?;
    let (h, w) = (h / factor, w / factor);
    let out = [n, c, h, w];
    let value: Raw = if g.on_cpu() {
        typed!(g, T => with_slice::<T, _>(g.raw(), |g| from_cpu(match fill {
            Fill::Repeat => resize::nearest_transposed(g, n * c, h, w, factor),
            Fill::Zeros => resize::zeros_transposed(g, n * c, h, w, factor),
        }, &out)))?
    } else if let Some(value) = on_gpu!(g, cuda::shrink(g.raw(), [h, w], factor, matches!(fill, Fill::Zeros), &out)) {
        value?
    } else {
        let blocks = g.raw().reshape((n * c, h, factor, w, factor))?;
        match fill {
            Fill::Repeat => blocks.sum((2, 4))?.reshape(&out)?,
            Fill::Zeros => blocks.narrow(2, 0, 1)?.narrow(4, 0, 1)?.contiguous()?.reshape(&out)?,
        }
    };
    Ok(operator("upsample_transposed", value, &[g], move |incoming| Ok(vec![Some(grow(incoming.grad, factor, fill)?)])))
}

fn bilinear(x: &Tensor, plan: Bilinear, dims: [usize; 4]) -> Result<Tensor> {
    let out = [dims[0], dims[1], plan.out_h, plan.out_w];
    let value: Raw = match on_gpu!(x, banded(x.raw(), &plan, false, &out)) {
        Some(value) => value?,
        None => {
            on_cpu(x, |x| typed!(x, T => with_slice::<T, _>(x.raw(), |x| from_cpu(resize::bilinear(x, &plan), &out))))?
        }
    };
    Ok(operator("resize_bilinear", value, &[x], move |incoming| {
        Ok(vec![Some(bilinear_transposed(incoming.grad, plan, dims)?)])
    }))
}

fn bilinear_transposed(g: &Tensor, plan: Bilinear, dims: [usize; 4]) -> Result<Tensor> {
    let value: Raw = match on_gpu!(g, banded(g.raw(), &plan, true, &dims)) {
        Some(value) => value?,
        None => on_cpu(
            g,
            |g| typed!(g, T => with_slice::<T, _>(g.raw(), |g| from_cpu(resize::bilinear_transposed(g, &plan), &dims))),
        )?,
    };
    Ok(operator("resize_bilinear_transposed", value, &[g], move |incoming| {
        Ok(vec![Some(bilinear(incoming.grad, plan, dims)?)])
    }))
}

/// Bilinear interpolation on a GPU, or its transpose: a sparse matrix along rows, then one along columns.
#[cfg(feature = "cuda")]
fn banded(x: &Raw, plan: &Bilinear, transposed: bool, dims: &[usize]) -> Result<Raw> {
    let [down, across] = plan.bands().map(|band| if transposed { band.transposed() } else { band });
    let wide = cuda::band(x, [plan.planes * down.columns, across.columns, 1], &across.first, &across.weights)?;
    let tall = cuda::band(&wide, [plan.planes, down.columns, across.first.len()], &down.first, &down.weights)?;
    Ok(tall.reshape(dims)?)
}
