//! RMSProp.

use super::{Optimiser, decayed, fits, moment, read_steps, steps_tensor, zeros_like};
use crate::error::Result;
use crate::nn::Param;
use crate::tensor::{Tensor, no_grad};

/// RMSProp (Tieleman and Hinton 2012): s = smoothing s + (1 - smoothing) g^2; v = momentum v + g / (sqrt(s) + epsilon);
/// w = w - lr v. Both begin as 0, and epsilon stands outside the root; TensorFlow begins s as 1 and puts epsilon inside.
pub struct RmsProp {
    params: Vec<Param>,
    square: Vec<Tensor>,
    velocity: Vec<Tensor>,
    steps: u64,
    lr: f64,
    smoothing: f64,
    epsilon: f64,
    momentum: f64,
    weight_decay: f64,
}

impl RmsProp {
    /// Over `params`.
    pub fn new(params: Vec<Param>, lr: f64, smoothing: f64, epsilon: f64, momentum: f64) -> Result<Self> {
        let (square, velocity) = (zeros_like(&params)?, zeros_like(&params)?);
        Ok(Self { params, square, velocity, steps: 0, lr, smoothing, epsilon, momentum, weight_decay: 0.0 })
    }

    /// With this share of each weight added to its gradient.
    #[must_use]
    pub fn with_weight_decay(self, weight_decay: f64) -> Self {
        Self { weight_decay, ..self }
    }
}

impl Optimiser for RmsProp {
    fn apply(&mut self, grads: &[Tensor], factor: f64) -> Result<()> {
        fits(grads, &self.params)?;
        self.steps += 1;
        no_grad(|| {
            let memory = self.square.iter_mut().zip(&mut self.velocity);
            for ((param, grad), (square, velocity)) in self.params.iter().zip(grads).zip(memory) {
                let value = param.value();
                let grad = decayed(grad, &value, self.weight_decay)?;
                *square = square.mul_scalar(self.smoothing)?.add(&grad.square()?.mul_scalar(1.0 - self.smoothing)?)?;
                let pull = grad.div(&square.sqrt()?.add_scalar(self.epsilon)?)?;
                *velocity = velocity.mul_scalar(self.momentum)?.add(&pull)?;
                param.set(value.sub(&velocity.mul_scalar(self.lr * factor)?)?)?;
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
        for (param, (square, velocity)) in self.params.iter().zip(self.square.iter().zip(&self.velocity)) {
            out.push((format!("{}.square", param.name()), square.clone()));
            out.push((format!("{}.velocity", param.name()), velocity.clone()));
        }
        Ok(out)
    }

    fn load(&mut self, find: &mut dyn FnMut(&str) -> Option<Tensor>) -> Result<()> {
        self.steps = read_steps(find)?;
        for (param, (square, velocity)) in self.params.iter().zip(self.square.iter_mut().zip(&mut self.velocity)) {
            *square = moment(find, param, "square")?;
            *velocity = moment(find, param, "velocity")?;
        }
        Ok(())
    }
}
