//! Lengths, mixtures and summaries: what penalties and displays are made of.

use candle_core::DType;

use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::tensor::value::with_slice;

/// What a tensor's values are like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// The least value.
    pub min: f64,
    /// The mean of the values.
    pub mean: f64,
    /// The greatest value.
    pub max: f64,
    /// How many values are not finite; the others leave them out.
    pub not_finite: usize,
    /// How many values were looked at, from the first on.
    pub seen: usize,
}

/// Values that a [`Tensor::summary`] looks at, so that it is never slow.
const SUMMED: usize = 10_000_000;

impl Tensor {
    /// The Euclidean length along `dims`, which go: sqrt(sum x^2).
    ///
    /// Under the root stands another 1e-12, so that the gradient at zero is finite.
    ///
    /// # Errors
    /// There is no such dimension.
    pub fn norm(&self, dims: &[usize]) -> Result<Tensor> {
        self.square()?.sum(dims)?.add_scalar(1e-12)?.sqrt()
    }

    /// `self + t (other - self)`, broadcasting, as a place to ask for gradients: the result is tracked.
    ///
    /// # Errors
    /// Shapes do not broadcast.
    pub fn mix(&self, other: &Tensor, t: &Tensor) -> Result<Tensor> {
        let mixed = self.add(&other.sub(self)?.mul(t)?)?;
        Ok(if mixed.tracked() { mixed } else { mixed.track() })
    }

    /// The values of tensors of one value each. Of those on a GPU all are read at once: each reading waits for it.
    ///
    /// # Errors
    /// A tensor has several values.
    pub fn values_of(tensors: &[&Tensor]) -> Result<Vec<f64>> {
        let (here, there): (Vec<_>, Vec<_>) = (0..tensors.len()).partition(|i| tensors[*i].on_cpu());
        let mut values = vec![0.0; tensors.len()];
        for i in here {
            values[i] = tensors[i].value()?;
        }
        if !there.is_empty() {
            let wide = there.iter().map(|i| tensors[*i].detach().to_dtype(DType::F64)?.reshape(&[1]));
            let wide = wide.collect::<Result<Vec<_>>>()?;
            let read = Tensor::cat(&wide.iter().collect::<Vec<_>>(), 0)?.to_f64s()?;
            there.into_iter().zip(read).for_each(|(i, value)| values[i] = value);
        }
        Ok(values)
    }

    /// What the values are like, of a large tensor the first ten million; nothing if there are none that are finite.
    ///
    /// # Errors
    /// The values could not be read.
    pub fn summary(&self) -> Result<Option<Summary>> {
        let part = self.first(SUMMED)?;
        match part.dtype() {
            DType::F32 if part.on_cpu() => with_slice(part.raw(), |values: &[f32]| Ok(summed(values, f64::from))),
            DType::U32 | DType::I64 | DType::F64 => Ok(summed(&part.to_f64s()?, |value| value)),
            _ => Ok(summed(&part.to_f32s()?, f64::from)),
        }
    }

    /// A part from the first value on, of at most `most` values and in one piece: nothing is copied.
    fn first(&self, most: usize) -> Result<Tensor> {
        let mut part = self.clone();
        for dim in 0..self.rank() {
            if part.elements() <= most {
                break;
            }
            let each = part.elements() / part.dims()[dim];
            part = part.narrow(dim, 0, (most / each).max(1))?;
        }
        Ok(part)
    }

    /// The numbers from `from` to before `to`, one apart, as f32.
    ///
    /// # Errors
    /// There are none.
    pub fn range(from: i64, to: i64, device: &candle_core::Device) -> Result<Tensor> {
        if from >= to {
            return Err(Error::new(format!("there are no numbers from {from} to before {to}")));
        }
        let values: Vec<f32> = (from..to).map(|v| v as f32).collect();
        let count = values.len();
        Tensor::from_vec(values, &[count], device)
    }
}

fn summed<T: Copy>(values: &[T], number: impl Fn(T) -> f64) -> Option<Summary> {
    let (mut min, mut max, mut sum, mut count) = (f64::INFINITY, f64::NEG_INFINITY, 0.0, 0usize);
    for value in values {
        let value = number(*value);
        if value.is_finite() {
            (min, max, sum, count) = (min.min(value), max.max(value), sum + value, count + 1);
        }
    }
    let mean = sum / count as f64;
    (count > 0).then_some(Summary { min, mean, max, not_finite: values.len() - count, seen: values.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::grad;
    use candle_core::Device;

    #[test]
    fn a_norm_by_hand_and_its_slope() {
        let t = Tensor::from_vec(vec![3.0, 4.0, 0.0, 0.0], &[2, 2], &Device::Cpu).unwrap().track();
        let norm = t.norm(&[1]).unwrap();
        let values = norm.to_f32s().unwrap();
        assert!((values[0] - 5.0).abs() < 1e-6 && values[1] < 1e-5, "{values:?}");
        let slope = grad(&norm.sum_all().unwrap(), &[&t], false).unwrap()[0].to_f32s().unwrap();
        assert!((slope[0] - 0.6).abs() < 1e-6 && (slope[1] - 0.8).abs() < 1e-6, "{slope:?}");
        assert_eq!(&slope[2..], [0.0, 0.0]);
    }

    #[test]
    fn a_mixture_is_a_place_for_gradients() {
        let a = Tensor::from_vec(vec![0.0, 0.0], &[2], &Device::Cpu).unwrap();
        let b = Tensor::from_vec(vec![4.0, 8.0], &[2], &Device::Cpu).unwrap();
        let mixed = a.mix(&b, &Tensor::scalar(0.25).unwrap()).unwrap();
        assert_eq!(mixed.to_f32s().unwrap(), [1.0, 2.0]);
        let slope = grad(&mixed.square().unwrap().sum_all().unwrap(), &[&mixed], false).unwrap();
        assert_eq!(slope[0].to_f32s().unwrap(), [2.0, 4.0]);
    }

    #[test]
    fn a_summary_leaves_out_what_is_not_finite() {
        let t = Tensor::from_vec(vec![1.0, f32::NAN, 3.0], &[3], &Device::Cpu).unwrap();
        assert_eq!(t.summary().unwrap(), Some(Summary { min: 1.0, mean: 2.0, max: 3.0, not_finite: 1, seen: 3 }));
        let whole = Tensor::from_u32s(vec![7, 9], &[2], &Device::Cpu).unwrap();
        assert_eq!(whole.summary().unwrap().unwrap().mean, 8.0);
        let none = Tensor::from_vec(vec![f32::NAN], &[1], &Device::Cpu).unwrap();
        assert_eq!(none.summary().unwrap(), None);
    }

    #[test]
    fn the_first_values_are_a_part_in_one_piece() {
        let t = Tensor::zeros(&[3, 4, 5], DType::F32, &Device::Cpu).unwrap();
        let first = |most| t.first(most).unwrap().dims().to_vec();
        assert_eq!([first(100), first(45), first(19), first(3)], [[3, 4, 5], [2, 4, 5], [1, 3, 5], [1, 1, 3]]);
        let empty = Tensor::zeros(&[0, 4], DType::F32, &Device::Cpu).unwrap();
        assert_eq!(empty.first(2).unwrap().dims(), [0, 4]);
    }
}
