//! Gradient descent with momentum.

use super::{Optimiser, decayed, fits, moment, read_steps, steps_tensor, zeros_like};
use crate::error::{Error, Result};
use crate::nn::Param;
use crate::tensor::{Tensor, no_grad};

/// Stochastic gradient descent with momentum and weight decay: v = momentum v + g + decay w; w = w - lr v, where v begins as 0.
pub struct Sgd {
    params: Vec<Param>,
    velocity: Vec<Tensor>,
    steps: u64,
    lr: f64,
    momentum: f64,
    nesterov: bool,
    weight_decay: f64,
}

impl Sgd {
    /// Over `params`.
    pub fn new(params: Vec<Param>, lr: f64, momentum: f64, weight_decay: f64) -> Result<Self> {
        let velocity = zeros_like(&params)?;
        Ok(Self { params, velocity, steps: 0, lr, momentum, nesterov: false, weight_decay })
    }

    /// Looks ahead along the velocity: w = w - lr (g + momentum v) (Sutskever et al. 2013).
    ///
    /// # Errors
    /// There is no momentum to look along.
    pub fn nesterov(self) -> Result<Self> {
        if self.momentum == 0.0 {
            return Err(Error::new("`nesterov` is set and `momentum` is 0").help("give a `momentum` such as 0.9"));
        }
        Ok(Self { nesterov: true, ..self })
    }
}

impl Optimiser for Sgd {
    fn apply(&mut self, grads: &[Tensor], factor: f64) -> Result<()> {
        fits(grads, &self.params)?;
        self.steps += 1;
        no_grad(|| {
            for ((param, grad), velocity) in self.params.iter().zip(grads).zip(&mut self.velocity) {
                let value = param.value();
                let pull = decayed(grad, &value, self.weight_decay)?;
                *velocity = velocity.mul_scalar(self.momentum)?.add(&pull)?;
                let along =
                    if self.nesterov { pull.add(&velocity.mul_scalar(self.momentum)?)? } else { velocity.clone() };
                param.set(value.sub(&along.mul_scalar(self.lr * factor)?)?)?;
            }
            Ok(())
        })
    }

    fn params(&self) -> &[Param] {
        &self.params
    }

    fn lr(&self) -> f64 {
        self.lr
    }

    fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let mut out = vec![("steps".to_string(), steps_tensor(self.steps)?)];
        out.extend(
            self.params.iter().zip(&self.velocity).map(|(param, v)| (format!("{}.velocity", param.name()), v.clone())),
        );
        Ok(out)
    }

    fn load(&mut self, find: &mut dyn FnMut(&str) -> Option<Tensor>) -> Result<()> {
        self.steps = read_steps(find)?;
        for (param, velocity) in self.params.iter().zip(&mut self.velocity) {
            *velocity = moment(find, param, "velocity")?;
        }
        Ok(())
    }
}
