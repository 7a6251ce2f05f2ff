//! Updates of parameters: outside the graph, in one pass over memory.

use crate::error::Result;
use crate::tensor::Tensor;
use crate::tensor::cpu::adam;
pub use crate::tensor::cpu::adam::Step as AdamStep;
#[cfg(feature = "cuda")]
use crate::tensor::cuda;
use crate::tensor::value::{Raw, from_cpu, on_gpu, typed, with_slice};

/// What Adam keeps and is given for one parameter.
#[derive(Clone, Copy)]
pub struct AdamRow<'a> {
    /// The parameter.
    pub value: &'a Tensor,
    /// Its gradient.
    pub grad: &'a Tensor,
    /// The running mean of gradients.
    pub mean: &'a Tensor,
    /// The running mean of their squares.
    pub square: &'a Tensor,
}

/// One step of Adam for many parameters: of each the new value, mean and square. A GPU takes them together.
pub fn adam_steps(rows: &[AdamRow<'_>], step: &AdamStep) -> Result<Vec<[Tensor; 3]>> {
    let together = rows.first().and_then(|first| {
        let all: Vec<[&Tensor; 4]> = rows.iter().map(|row| [row.value, row.grad, row.mean, row.square]).collect();
        if same_kind(all.iter().flatten().copied()) {
            on_gpu!(first.value, cuda::adam(&raws(&all), step))
        } else {
            None
        }
    });
    if let Some(new) = together {
        let [values, means, squares]: [Vec<Raw>; 3] = new?;
        let new = values.into_iter().zip(means).zip(squares);
        return Ok(new.map(|((value, mean), square)| [value, mean, square].map(Tensor::from_raw)).collect());
    }
    rows.iter().map(|row| adam_step(row, step)).collect()
}

/// Whether all tensors are of one type, on one device, and hold values.
fn same_kind<'a>(mut tensors: impl Iterator<Item = &'a Tensor>) -> bool {
    let Some(first) = tensors.next() else { return false };
    first.elements() > 0
        && tensors.all(|other| {
            other.elements() > 0 && other.dtype() == first.dtype() && other.device().same_device(first.device())
        })
}

#[cfg(feature = "cuda")]
fn raws<'a, const N: usize>(rows: &[[&'a Tensor; N]]) -> Vec<Vec<&'a Raw>> {
    rows.iter().map(|row| row.iter().map(|tensor| tensor.raw()).collect()).collect()
}

/// One step of Adam for one parameter: the new value, mean and square. The old ones stay as they are, because a graph may
/// still hold them.
pub fn adam_step(row: &AdamRow<'_>, step: &AdamStep) -> Result<[Tensor; 3]> {
    let AdamRow { value, grad, mean, square } = row;
    let dims = value.dims();
    if value.on_cpu() {
        return typed!(value, T => with_slice::<T, _>(value.raw(), |value| with_slice::<T, _>(grad.raw(), |grad| with_slice::<T, _>(mean.raw(), |mean| with_slice::<T, _>(square.raw(), |square| {
            let [p, m, v] = adam::step(adam::Old { value, grad, mean, square }, step).map(|new| from_cpu(new, dims));
            Ok([p?, m?, v?].map(Tensor::from_raw))
        })))));
    }
    let (p, g) = (value.raw(), grad.raw());
    let m = ((mean.raw() * step.betas[0])? + (g * (1.0 - step.betas[0]))?)?;
    let v = ((square.raw() * step.betas[1])? + (g.sqr()? * (1.0 - step.betas[1]))?)?;
    let change = ((&m * step.rate)? / ((v.sqrt()? * step.root_scale)? + step.epsilon)?)?;
    Ok([(p - change)?, m, v].map(Tensor::from_raw))
}

/// [`blend`] for many pairs of old and new. A GPU takes them together.
pub fn blends(pairs: &[(&Tensor, &Tensor)], share: f64) -> Result<Vec<Tensor>> {
    let together = pairs.first().and_then(|(first, _)| {
        let all: Vec<[&Tensor; 2]> = pairs.iter().map(|(old, new)| [*old, *new]).collect();
        if same_kind(all.iter().flatten().copied()) { on_gpu!(first, cuda::blend(&raws(&all), share)) } else { None }
    });
    if let Some(new) = together {
        let new: Vec<Raw> = new?;
        return Ok(new.into_iter().map(Tensor::from_raw).collect());
    }
    pairs.iter().map(|(old, new)| blend(old, new, share)).collect()
}

/// `old + share (new - old)`: one step of an exponential moving average.
pub fn blend(old: &Tensor, new: &Tensor, share: f64) -> Result<Tensor> {
    crate::tensor::no_grad(|| old.add(&new.sub(old)?.mul_scalar(share)?))
}
