//! Softmax, its logarithm and the cross-entropies built on it.

use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::tensor::cpu::{map, softmax};
#[cfg(feature = "cuda")]
use crate::tensor::cuda;
use crate::tensor::grad::{fused, operator_keeping_output};
use crate::tensor::value::{Raw, from_cpu, on_gpu, typed, with_distinct, with_slice};

/// The gradient of a softmax over the last dimension in one pass.
fn in_one_pass(y: &Tensor, g: &Tensor, logarithm: bool) -> Option<Result<Raw>> {
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

/// The gradient through a softmax, or its logarithm, over the last dimension, with value `y`; `g` is that of its output.
fn gradient(y: &Tensor, g: &Tensor, logarithm: bool) -> Result<Tensor> {
    let in_operators = move |y: &Tensor, g: &Tensor| {
        let last = [y.rank() - 1];
        if logarithm {
            return g.sub(&y.exp()?.mul(&g.sum_keepdim(&last)?)?);
        }
        let weighted = g.mul(y)?;
        weighted.sub(&y.mul(&weighted.sum_keepdim(&last)?)?)
    };
    let Some(value) = in_one_pass(y, g, logarithm) else { return in_operators(y, g) };
    let again = move |inputs: &[Tensor]| Ok(vec![Some(in_operators(&inputs[0], &inputs[1])?)]);
    Ok(fused("softmax_back", vec![value?], &[y, g], again).remove(0))
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
        Ok(operator_keeping_output("softmax", value, &[self], |incoming| {
            Ok(vec![Some(gradient(incoming.output()?, incoming.grad, false)?)])
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
        Ok(operator_keeping_output("log_softmax", value, &[self], |incoming| {
            Ok(vec![Some(gradient(incoming.output()?, incoming.grad, true)?)])
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
