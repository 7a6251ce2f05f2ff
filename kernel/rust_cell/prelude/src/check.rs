//! Whether Candle's gradient of a function is its slope.
//!
//! Some operators of Candle 0.11 have a wrong gradient, and some none where their input has another way to the result; neither
//! is an error there. So the first gradient of a function is held against differences of what it gives, in one direction.
//! Where differences are no measure of the slope (at a kink, in noise, if the function draws random numbers)
//! nothing is said.

use std::panic::{AssertUnwindSafe, catch_unwind};

use candle_core::{DType, Tensor, Var};

use crate::convert::Arguments;
use crate::exports::Call;
use crate::value::{Array, Value, arrays_mut, arrays_of};

/// The step of the differences, in units of the size of what the function takes.
const STEP: f64 = 1e-2;
/// Differences that lie further apart than this part of themselves are no measure.
const CERTAIN: f64 = 0.03;
/// A gradient is wrong that is further from them.
const WRONG: f64 = 0.1;

/// What a function was called with and gave, while its graph is there.
pub struct Seen<'a> {
    pub call: Call,
    /// The arguments.
    pub values: &'a [Value],
    /// The numbers, among the tensors of the arguments, of those that can be differentiated for.
    pub wanted: &'a [u64],
    /// These tensors.
    pub variables: &'a [Var],
    /// The tensors of the result, and whether each has a graph.
    pub outputs: &'a [(Tensor, bool)],
}

impl Seen<'_> {
    /// The slope by Candle's gradient and by differences, if they are not the same.
    pub fn fault(&self) -> Option<(f64, f64)> {
        let found = catch_unwind(AssertUnwindSafe(|| self.slopes().ok())).ok()??;
        let (by_gradient, by_differences) = found?;
        let scale = by_gradient.abs().max(by_differences.abs());
        ((by_gradient - by_differences).abs() > WRONG * scale).then_some((by_gradient, by_differences))
    }

    fn slopes(&self) -> candle_core::Result<Option<(f64, f64)>> {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let weights: Vec<Option<Tensor>> = self
            .outputs
            .iter()
            .map(|(output, attached)| attached.then(|| random.like(output, 1.0)).transpose())
            .collect::<candle_core::Result<_>>()?;
        let mut loss: Option<Tensor> = None;
        for ((output, _), weight) in self.outputs.iter().zip(&weights) {
            if let Some(weight) = weight {
                let part = (output * weight)?.sum_all()?.to_dtype(DType::F64)?;
                loss = Some(match loss {
                    Some(loss) => (loss + part)?,
                    None => part,
                });
            }
        }
        let Some(loss) = loss else { return Ok(None) };
        let grads = loss.backward()?;
        // Along the gradient, that nothing cancels: each number as large as those that the function was given.
        let (mut slope, mut directions) = (0.0, Vec::new());
        for variable in self.variables {
            let size = variable.as_detached_tensor().to_dtype(DType::F64)?.sqr()?.mean_all()?.to_scalar::<f64>()?;
            let random = random.like(variable, if size > 0.0 { size.sqrt() } else { 1.0 })?;
            directions.push(match grads.get(variable).map(Tensor::detach) {
                Some(grad) => {
                    let zero = grad.zeros_like()?;
                    let ascent = grad.ge(&zero)?.where_cond(&random.abs()?, &random.abs()?.neg()?)?;
                    let direction = grad.eq(&zero)?.where_cond(&random, &ascent)?;
                    slope += dot(&grad, &direction)?;
                    direction
                }
                None => random,
            });
        }
        let mut at = |step: f64| self.at(step, &directions, &weights);
        let (half, whole) = (STEP / 2.0, STEP);
        let Some(middle) = at(0.0)? else { return Ok(None) };
        let (Some(up), Some(down)) = (at(half)?, at(-half)?) else { return Ok(None) };
        let (Some(far_up), Some(far_down)) = (at(whole)?, at(-whole)?) else { return Ok(None) };
        let near = (up - down) / STEP;
        let others = [(far_up - far_down) / (2.0 * whole), (up - middle) / half, (middle - down) / half];
        let scale = near.abs().max(slope.abs());
        let certain =
            scale.is_finite() && scale > 0.0 && others.iter().all(|other| (other - near).abs() <= CERTAIN * scale);
        Ok(certain.then_some((slope, near)))
    }

    /// The weighted sum of what the function gives so far along the directions.
    fn at(&self, step: f64, directions: &[Tensor], weights: &[Option<Tensor>]) -> candle_core::Result<Option<f64>> {
        let mut values = self.values.to_vec();
        let mut moved = Vec::new();
        for (variable, direction) in self.variables.iter().zip(directions) {
            moved.push((variable.as_detached_tensor() + (direction * step)?)?);
        }
        let (mut number, mut moved) = (0, moved.into_iter());
        for value in &mut values {
            let placed = arrays_mut(value, &mut |array| {
                if self.wanted.contains(&number)
                    && let Some(tensor) = moved.next()
                {
                    *array = Array::of_tensor(tensor);
                }
                number += 1;
                Ok(())
            });
            if placed.is_err() {
                return Ok(None);
            }
        }
        let Ok(result) = (self.call)(&mut Arguments::new(&values)) else { return Ok(None) };
        let mut arrays = Vec::new();
        arrays_of(&result, &mut arrays);
        if arrays.len() != weights.len() {
            return Ok(None);
        }
        let mut sum = 0.0;
        for (array, weight) in arrays.iter().zip(weights) {
            if let Some(weight) = weight {
                match array.tensor() {
                    Ok(tensor) if tensor.dims() == weight.dims() => sum += dot(tensor, weight)?,
                    _ => return Ok(None),
                }
            }
        }
        Ok(Some(sum))
    }
}

/// The sum of the products, in double precision.
fn dot(one: &Tensor, other: &Tensor) -> candle_core::Result<f64> {
    (one.to_dtype(DType::F64)? * other.to_dtype(DType::F64)?)?.sum_all()?.to_scalar()
}

/// Numbers that are the same each time.
struct Random(u64);

impl Random {
    /// A tensor like the other, its numbers of either sign and from half of `size` to three halves of it.
    fn like(&mut self, other: &Tensor, size: f64) -> candle_core::Result<Tensor> {
        let numbers: Vec<f64> = (0..other.elem_count())
            .map(|_| {
                // Xorshift, Marsaglia 2003.
                self.0 ^= self.0 << 13;
                self.0 ^= self.0 >> 7;
                self.0 ^= self.0 << 17;
                let part = (self.0 >> 40) as f64 / (1 << 24) as f64 + 0.5;
                if self.0 & 1 == 0 { size * part } else { -size * part }
            })
            .collect();
        Tensor::from_vec(numbers, other.dims(), other.device())?.to_dtype(other.dtype())
    }
}
