//! Sums, means and extremes over dimensions.

use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::tensor::cpu::real::Real;
use crate::tensor::cpu::reduce;
#[cfg(feature = "cuda")]
use crate::tensor::cuda;
use crate::tensor::grad::operator;
use crate::tensor::value::{from_cpu, on_gpu, typed, with_distinct, with_slice};

impl Tensor {
    /// The sum over `dims`, which stay as dimensions of length 1.
    ///
    /// # Errors
    /// There is no such dimension.
    pub fn sum_keepdim(&self, dims: &[usize]) -> Result<Tensor> {
        if let Some(bad) = dims.iter().find(|d| **d >= self.rank()) {
            return Err(Error::new(format!("there is no dimension {bad} in a tensor of shape {:?}", self.dims())));
        }
        let own = self.dims().to_vec();
        let kept: Vec<usize> = own.iter().enumerate().map(|(i, d)| if dims.contains(&i) { 1 } else { *d }).collect();
        if kept == own {
            return Ok(self.clone());
        }
        let value = if self.on_cpu() {
            typed!(self, T => with_distinct::<T, _>(self.raw(), |x, distinct| {
                // A value that repeats is summed once, and counted.
                let times: usize = dims.iter().map(|d| own[*d] / distinct[*d].max(1)).product();
                let mut sums = sum_dims(x, distinct, dims);
                if times > 1 {
                    sums.iter_mut().for_each(|sum| *sum *= <T as Real>::from_f64(times as f64));
                }
                let dims: Vec<usize> = kept.iter().zip(distinct).map(|(kept, distinct)| *kept.min(distinct)).collect();
                Ok(from_cpu(sums, &dims)?.broadcast_as(kept.as_slice())?)
            }))?
        } else if let Some(value) = on_gpu!(self, cuda::sum(self.raw(), dims)) {
            value?
        } else {
            self.raw().sum_keepdim(dims)?
        };
        Ok(operator("sum", value, &[self], move |incoming| Ok(vec![Some(incoming.grad.spread(&own)?)])))
    }

    /// The sum over `dims`, which go.
    pub fn sum(&self, dims: &[usize]) -> Result<Tensor> {
        let kept: Vec<usize> =
            self.dims().iter().enumerate().filter(|(i, _)| !dims.contains(i)).map(|(_, d)| *d).collect();
        self.sum_keepdim(dims)?.reshape(&kept)
    }

    /// The sum of all values, of shape `[]`.
    pub fn sum_all(&self) -> Result<Tensor> {
        self.sum(&(0..self.rank()).collect::<Vec<_>>())
    }

    /// The mean over `dims`, which stay as dimensions of length 1.
    pub fn mean_keepdim(&self, dims: &[usize]) -> Result<Tensor> {
        let count: usize = dims.iter().filter_map(|d| self.dims().get(*d)).product();
        self.sum_keepdim(dims)?.mul_scalar(1.0 / count as f64)
    }

    /// The mean over `dims`, which go.
    pub fn mean(&self, dims: &[usize]) -> Result<Tensor> {
        let count: usize = dims.iter().filter_map(|d| self.dims().get(*d)).product();
        self.sum(dims)?.mul_scalar(1.0 / count as f64)
    }

    /// The mean of all values, of shape `[]`.
    ///
    /// # Errors
    /// There are no values.
    pub fn mean_all(&self) -> Result<Tensor> {
        if self.elements() == 0 {
            return Err(Error::new(format!("a tensor of shape {:?} has no mean", self.dims())));
        }
        self.mean(&(0..self.rank()).collect::<Vec<_>>())
    }

    /// Summed over the dimensions along which `dims` was broadcast to this shape.
    pub(crate) fn sum_to(&self, dims: &[usize]) -> Result<Tensor> {
        if self.dims() == dims {
            return Ok(self.clone());
        }
        let extra = self.rank() - dims.len();
        let over: Vec<usize> =
            (0..self.rank()).filter(|i| *i < extra || (dims[i - extra] == 1 && self.dims()[*i] != 1)).collect();
        self.sum_keepdim(&over)?.reshape(dims)
    }

    /// Where the largest value along `dim` is, the first of equals, as u32; `dim` goes.
    pub fn argmax(&self, dim: usize) -> Result<Tensor> {
        let (outer, length, inner) = self.around(dim)?;
        let mut kept = self.dims().to_vec();
        kept.remove(dim);
        let value = if self.on_cpu() {
            typed!(self, T => with_slice::<T, _>(self.raw(), |x| from_cpu(reduce::argmax(x, outer, length, inner), &kept)))?
        } else if let Some(value) = on_gpu!(self, cuda::argmax(self.raw(), [outer, length, inner], &kept)) {
            value?
        } else {
            self.raw().argmax(dim)?
        };
        Ok(Tensor::from_raw(value))
    }

    /// The largest value along `dim`, which goes. The gradient goes to the first of equals.
    pub fn max(&self, dim: usize) -> Result<Tensor> {
        let (outer, length, inner) = self.around(dim)?;
        if self.on_cpu() {
            let mut kept = self.dims().to_vec();
            kept.remove(dim);
            let value = typed!(self, T => with_slice::<T, _>(self.raw(), |x| from_cpu(reduce::max(x, outer, length, inner), &kept)))?;
            let (x, own) = (self.detach(), self.dims().to_vec());
            return Ok(operator("max", value, &[self], move |incoming| {
                let mut places = x.argmax(dim)?.to_u32s()?;
                reduce::flat_places(&mut places, length, inner);
                let places = Tensor::from_u32s(places, incoming.grad.dims(), x.device())?;
                Ok(vec![Some(incoming.grad.add_flat(&places, &own)?)])
            }));
        }
        let places = self.argmax(dim)?;
        #[cfg(feature = "cuda")]
        if self.has_kernels() {
            return self.take_flat(&Tensor::from_raw(cuda::flat_places(places.raw(), length, inner)?));
        }
        self.take_along(dim, &places)
    }

    /// The smallest value along `dim`, which goes. The gradient goes to the first of equals.
    pub fn min(&self, dim: usize) -> Result<Tensor> {
        self.neg()?.max(dim)?.neg()
    }

    /// The lengths before, at and after dimension `dim`.
    pub(crate) fn around(&self, dim: usize) -> Result<(usize, usize, usize)> {
        let dims = self.dims();
        match dims.get(dim) {
            Some(0) => Err(Error::new(format!("dimension {dim} of shape {dims:?} is empty"))),
            Some(length) => Ok((dims[..dim].iter().product(), *length, dims[dim + 1..].iter().product())),
            None => Err(Error::new(format!("there is no dimension {dim} in a tensor of shape {dims:?}"))),
        }
    }
}

fn sum_dims<T: crate::tensor::cpu::real::Real>(x: &[T], own: &[usize], dims: &[usize]) -> Vec<T> {
    // Runs of dimensions that are all summed or all kept are one dimension; sums go from the last to the first.
    let mut runs: Vec<(bool, usize)> = Vec::new();
    for (i, d) in own.iter().enumerate().filter(|(_, d)| **d != 1) {
        match runs.last_mut() {
            Some((summed, length)) if *summed == dims.contains(&i) => *length *= d,
            _ => runs.push((dims.contains(&i), *d)),
        }
    }
    let mut values: Option<Vec<T>> = None;
    let mut inner = 1;
    for at in (0..runs.len()).rev() {
        let (summed, length) = runs[at];
        if !summed {
            inner *= length;
            continue;
        }
        let outer = runs[..at].iter().map(|(_, length)| length).product();
        values = Some(reduce::sum(values.as_deref().unwrap_or(x), outer, length, inner));
    }
    values.unwrap_or_else(|| x.to_vec())
}
