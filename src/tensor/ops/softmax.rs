//! Softmax, its logarithm and the cross-entropies built on it.

use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::tensor::cpu::{map, softmax};
#[cfg(feature = "cuda")]
use crate::tensor::cuda;
use crate::tensor::grad::{operator_keeping_output, recording};
use crate::tensor::value::{Raw, from_cpu, on_gpu, typed, with_distinct, with_slice};

/// The gradient of a softmax over the last dimension in one pass, when nothing will be differentiated again.
fn fused_gradient(y: &Tensor, g: &Tensor, logarithm: bool) -> Option<Result<Raw>> {
    if recording() {
        return None;
    }
    if !y.on_cpu() {
        return on_gpu!(y, cuda::softmax_back(y.raw(), g.raw(), logarithm));
    }
    let length = y.dims().last().copied().unwrap_or(1);
    Some(typed!(y, T => with_slice::<T, _>(y.raw(), |values| with_distinct::<T, _>(g.raw(), |g, g_dims| {
        // One number or one row that stands for all is not written out.
        let whole = match g.len() {
            n if n == values.len() || (n == length && g_dims.last() == Some(&length)) => None,
            1 => Some(vec![g[0]; length]),
            _ => Some(map::expand(g, g_dims, y.dims())),
        };
        let g = whole.as_deref().unwrap_or(g);
        let gradient = if logarithm { softmax::log_softmax_gradient } else { softmax::softmax_gradient };
        from_cpu(gradient(values, g, length), y.dims())
    }))))
}

impl Tensor {
    fn last(&self) -> Result<usize> {
        match self.dims().last() {
            Some(length) if *length > 0 => Ok(self.rank() - 1),
            _ => Err(Error::new(format!(
                "a softmax needs a last dimension with values, and was given shape {:?}",
                self.dims()
            ))),
        }
    }

    /// Probabilities over the last dimension: exp(x) / sum(exp(x)).
    pub fn softmax(&self) -> Result<Tensor> {
        let last = self.last()?;
        let value = if self.on_cpu() {
            typed!(self, T => with_slice::<T, _>(self.raw(), |x| from_cpu(softmax::softmax(x, self.dims()[last]), self.dims())))?
        } else if let Some(value) = on_gpu!(self, cuda::softmax(self.raw(), false)) {
            value?
        } else {
            let shifted = self.raw().broadcast_sub(&self.raw().max_keepdim(last)?)?.exp()?;
            shifted.broadcast_div(&shifted.sum_keepdim(last)?)?
        };
        Ok(operator_keeping_output("softmax", value, &[self], move |incoming| {
            let y = incoming.output()?;
            if let Some(fused) = fused_gradient(y, incoming.grad, false) {
                return Ok(vec![Some(Tensor::from_raw(fused?))]);
            }
            let weighted = incoming.grad.mul(y)?;
            let total = weighted.sum_keepdim(&[last])?;
            Ok(vec![Some(weighted.sub(&y.mul(&total)?)?)])
        }))
    }

    /// The logarithm of the softmax over the last dimension, exact where the softmax underflows.
    pub fn log_softmax(&self) -> Result<Tensor> {
        let last = self.last()?;
        let value = if self.on_cpu() {
            typed!(self, T => with_slice::<T, _>(self.raw(), |x| from_cpu(softmax::log_softmax(x, self.dims()[last]), self.dims())))?
        } else if let Some(value) = on_gpu!(self, cuda::softmax(self.raw(), true)) {
            value?
        } else {
            let shifted = self.raw().broadcast_sub(&self.raw().max_keepdim(last)?)?;
            shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(last)?.log()?)?
        };
        Ok(operator_keeping_output("log_softmax", value, &[self], move |incoming| {
            if let Some(fused) = fused_gradient(incoming.output()?, incoming.grad, true) {
                return Ok(vec![Some(Tensor::from_raw(fused?))]);
            }
            let total = incoming.grad.sum_keepdim(&[last])?;
            Ok(vec![Some(incoming.grad.sub(&incoming.output()?.exp()?.mul(&total)?)?)])
        }))
    }

    /// The mean over rows of -log p(label), with p the softmax of these logits `[rows, classes]`; `labels` is `[rows]`, u32.
    ///
    /// # Errors
    /// Shapes do not fit; a label is not below the number of classes.
    pub fn cross_entropy(&self, labels: &Tensor) -> Result<Tensor> {
        let [_, classes] = self.dims2()?;
        self.soft_cross_entropy(&labels.one_hot(classes)?.to_dtype(self.dtype())?.to_device(self.device())?)
    }

    /// The mean over rows of -sum(target * log p), with p the softmax of these logits; both `[rows, classes]`.
    pub fn soft_cross_entropy(&self, targets: &Tensor) -> Result<Tensor> {
        let [rows, classes] = self.dims2()?;
        if targets.dims() != [rows, classes] {
            return Err(Error::new(format!(
                "logits are {:?}, targets are {:?}; both must be [rows, classes]",
                self.dims(),
                targets.dims()
            )));
        }
        if rows == 0 {
            return Err(Error::new("a cross-entropy of no rows"));
        }
        self.log_softmax()?.mul(targets)?.sum_all()?.mul_scalar(-1.0 / rows as f64)
    }
}
