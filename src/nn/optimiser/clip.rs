//! Gradients kept from growing past a bound.

use crate::error::{Error, Result};
use crate::tensor::{Tensor, no_grad};

/// How gradients are bounded before a step: each number first, then the length of all of them together. 0 for no bound.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Clip {
    /// The longest that all gradients together may be, by the Euclidean norm (Pascanu et al. 2012, arXiv:1211.5063).
    pub norm: f64,
    /// The greatest that any number of a gradient may be, either way.
    pub value: f64,
}

impl Clip {
    /// The bounds `norm` and `value`.
    ///
    /// # Errors
    /// One is below 0.
    pub fn new(norm: f64, value: f64) -> Result<Self> {
        match [("clip_norm", norm), ("clip_value", value)].into_iter().find(|(_, bound)| *bound < 0.0) {
            Some((name, bound)) => {
                Err(Error::new(format!("the option `{name}` is {bound}"))
                    .help("it must be a bound above 0, or 0 for none"))
            }
            None => Ok(Self { norm, value }),
        }
    }

    /// The gradients within the bounds.
    ///
    /// # Errors
    /// Should not happen: the shapes stay.
    pub fn apply(&self, grads: Vec<Tensor>) -> Result<Vec<Tensor>> {
        no_grad(|| {
            let mut grads = grads;
            if self.value > 0.0 {
                grads = grads.iter().map(|grad| grad.clamp(-self.value, self.value)).collect::<Result<_>>()?;
            }
            if self.norm > 0.0 {
                let length = length(&grads)?;
                if length > self.norm {
                    grads = grads.iter().map(|grad| grad.mul_scalar(self.norm / length)).collect::<Result<_>>()?;
                }
            }
            Ok(grads)
        })
    }
}

/// The Euclidean norm of all `grads` together.
///
/// # Errors
/// Should not happen: any tensor has a sum.
pub fn length(grads: &[Tensor]) -> Result<f64> {
    let squares = grads.iter().map(|grad| grad.square()?.sum_all()?.value());
    Ok(squares.sum::<Result<f64>>()?.sqrt())
}
