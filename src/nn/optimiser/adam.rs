//! Adam, with weight decay in the gradient or beside it.

use super::{Optimiser, decayed, fits, moment, read_steps, steps_tensor, zeros_like};
use crate::error::Result;
use crate::nn::Param;
use crate::tensor::{AdamRow, AdamStep, Tensor, adam_step, adam_steps, no_grad};

/// Adam (Kingma and Ba 2014, arXiv:1412.6980), with epsilon outside the root.
pub struct Adam {
    params: Vec<Param>,
    moments: Vec<[Tensor; 2]>,
    steps: u64,
    lr: f64,
    betas: [f64; 2],
    epsilon: f64,
    weight_decay: f64,
    decoupled: bool,
}

impl Adam {
    /// Over `params`; `betas` are the shares of the running mean and square that stay at each step.
    pub fn new(params: Vec<Param>, lr: f64, betas: [f64; 2], epsilon: f64) -> Result<Self> {
        let moments = zeros_like(&params)?.into_iter().map(|zeros| [zeros.clone(), zeros]).collect();
        Ok(Self { params, moments, steps: 0, lr, betas, epsilon, weight_decay: 0.0, decoupled: false })
    }

    /// With this share of each weight added to its gradient.
    #[must_use]
    pub fn with_weight_decay(self, weight_decay: f64) -> Self {
        Self { weight_decay, decoupled: false, ..self }
    }

    /// With this share of each weight, times the learning rate, taken off it at each step (Loshchilov and Hutter 2017,
    /// arXiv:1711.05101).
    #[must_use]
    pub fn with_decoupled_decay(self, weight_decay: f64) -> Self {
        Self { weight_decay, decoupled: true, ..self }
    }
}

impl Optimiser for Adam {
    fn apply(&mut self, grads: &[Tensor], factor: f64) -> Result<()> {
        fits(grads, &self.params)?;
        self.steps += 1;
        let t = self.steps as i32;
        let step = AdamStep {
            rate: self.lr * factor / (1.0 - self.betas[0].powi(t)),
            betas: self.betas,
            root_scale: 1.0 / (1.0 - self.betas[1].powi(t)).sqrt(),
            epsilon: self.epsilon,
        };
        let decays = |(param, grad): (&Param, &Tensor)| -> Result<(Tensor, Tensor)> {
            let value = param.value();
            if self.weight_decay != 0.0 && self.decoupled {
                let shrunk = no_grad(|| value.mul_scalar(1.0 - self.lr * factor * self.weight_decay))?;
                return Ok((shrunk, grad.clone()));
            }
            let grad = decayed(grad, &value, self.weight_decay)?;
            Ok((value, grad))
        };
        let given = self.params.iter().zip(grads).map(decays);
        if self.params.iter().all(|param| param.value().on_cpu()) {
            // One after the other: what the old ones leave is the memory of the next new ones while the cache still holds it.
            for ((given, param), moments) in given.zip(&self.params).zip(&mut self.moments) {
                let (value, grad) = given?;
                let [mean, square] = &*moments;
                let [value, mean, square] = adam_step(&AdamRow { value: &value, grad: &grad, mean, square }, &step)?;
                param.set(value)?;
                *moments = [mean, square];
            }
            return Ok(());
        }
        let given = given.collect::<Result<Vec<_>>>()?;
        let rows = given.iter().zip(&self.moments);
        let rows = rows.map(|((value, grad), [mean, square])| AdamRow { value, grad, mean, square });
        let new = adam_steps(&rows.collect::<Vec<_>>(), &step)?;
        for ((param, moments), [value, mean, square]) in self.params.iter().zip(&mut self.moments).zip(new) {
            param.set(value)?;
            *moments = [mean, square];
        }
        Ok(())
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
        for (param, [m, v]) in self.params.iter().zip(&self.moments) {
            out.push((format!("{}.mean", param.name()), m.clone()));
            out.push((format!("{}.square", param.name()), v.clone()));
        }
        Ok(out)
    }

    fn load(&mut self, find: &mut dyn FnMut(&str) -> Option<Tensor>) -> Result<()> {
        self.steps = read_steps(find)?;
        for (param, moments) in self.params.iter().zip(&mut self.moments) {
            *moments = [moment(find, param, "mean")?, moment(find, param, "square")?];
        }
        Ok(())
    }
}
