//! Updates of parameters: outside the graph, in one pass over memory.

use crate::error::Result;
use crate::tensor::Tensor;
use crate::tensor::cpu::adam;
use crate::tensor::value::{from_cpu, typed, with_slice};

/// The numbers of one step of Adam, bias corrections included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// lr / (1 - beta1^t).
    pub rate: f64,
    /// What stays of the running mean and square.
    pub betas: [f64; 2],
    /// 1 / sqrt(1 - beta2^t).
    pub root_scale: f64,
    /// Added to the root.
    pub epsilon: f64,
}

/// One step of Adam for one parameter: the new value, mean and square. The old ones stay as they are, because a graph may
/// still hold them.
pub fn adam_step(
    value: &Tensor,
    grad: &Tensor,
    mean: &Tensor,
    square: &Tensor,
    step: &AdamStep,
) -> Result<(Tensor, Tensor, Tensor)> {
    let dims = value.dims();
    if value.on_cpu() {
        return typed!(value, T => with_slice::<T, _>(value.raw(), |p| with_slice::<T, _>(grad.raw(), |g| with_slice::<T, _>(mean.raw(), |m| with_slice::<T, _>(square.raw(), |v| {
            let (p, m, v) = adam::step(p, g, m, v, step.rate, step.betas, step.root_scale, step.epsilon);
            Ok((Tensor::from_raw(from_cpu(p, dims)?), Tensor::from_raw(from_cpu(m, dims)?), Tensor::from_raw(from_cpu(v, dims)?)))
        })))));
    }
    let (p, g) = (value.raw(), grad.raw());
    let m = ((mean.raw() * step.betas[0])? + (g * (1.0 - step.betas[0]))?)?;
    let v = ((square.raw() * step.betas[1])? + (g.sqr()? * (1.0 - step.betas[1]))?)?;
    let change = ((&m * step.rate)? / ((v.sqrt()? * step.root_scale)? + step.epsilon)?)?;
    Ok((Tensor::from_raw((p - change)?), Tensor::from_raw(m), Tensor::from_raw(v)))
}

/// `old + share (new - old)`: one step of an exponential moving average.
pub fn blend(old: &Tensor, new: &Tensor, share: f64) -> Result<Tensor> {
    crate::tensor::no_grad(|| old.add(&new.sub(old)?.mul_scalar(share)?))
}
