//! Optimisers over all parameters at once: Adam, and stochastic gradient descent with momentum.

use crate::error::{Error, Result};
use crate::nn::Param;
use crate::tensor::{AdamStep, Tensor, adam_step, no_grad, vjp};

/// The gradient of `loss`, one number, for each of `params`; the graph behind the loss is freed.
///
/// # Errors
/// The loss is not finite; a parameter gets no gradient, and is named.
pub fn gradients(loss: &Tensor, params: &[Param]) -> Result<Vec<Tensor>> {
    if loss.elements() != 1 {
        return Err(Error::new(format!("a loss must be one number, and was a tensor of shape {:?}", loss.dims()))
            .help("reduce it with `mean()` or `sum()`"));
    }
    let leaves: Vec<Tensor> = params.iter().map(Param::tensor).collect();
    let upstream = Tensor::ones(loss.dims(), loss.dtype(), loss.device())?;
    let grads = vjp(loss, &upstream, &leaves.iter().collect::<Vec<_>>(), false)?;
    let missing: Vec<&str> =
        grads.iter().zip(params).filter(|(grad, _)| grad.is_none()).map(|(_, param)| param.name()).collect();
    if let Some(first) = missing.first() {
        let others = if missing.len() > 1 { format!(" and {} more", missing.len() - 1) } else { String::new() };
        return Err(Error::new(format!(
            "the parameter `{first}`{others} gets no gradient: the loss does not depend on it"
        ))
        .help(
            "give the optimiser only the networks that the loss is computed with, and do not `detach()` on the way",
        ));
    }
    Ok(grads.into_iter().flatten().collect())
}

/// One step of `optimiser` down the gradient of `loss`. A head (the parameters whose names begin with one of `heads`) that the
/// loss leaves out altogether stays as it is.
///
/// # Errors
/// As [`gradients`]; the loss is not finite. Nothing changes then.
pub fn descend(optimiser: &mut dyn Optimiser, loss: &Tensor, heads: &[String]) -> Result<()> {
    if loss.elements() == 1 {
        let value = loss.value()?;
        if !value.is_finite() {
            return Err(Error::new(format!("the loss is {value}"))
                .help("lower the learning rate, or add a penalty; the parameters are as they were"));
        }
    }
    let params = optimiser.params().to_vec();
    let unused = |head: &&String| {
        let own: Vec<Tensor> =
            params.iter().filter(|param| param.name().starts_with(head.as_str())).map(Param::tensor).collect();
        !loss.depends_on(&own)
    };
    let out: Vec<&String> = heads.iter().filter(unused).collect();
    let used: Vec<Param> = params
        .iter()
        .filter(|param| !out.iter().any(|head| param.name().starts_with(head.as_str())))
        .cloned()
        .collect();
    let mut grads = gradients(loss, &used)?.into_iter();
    let all = params
        .iter()
        .map(|param| match out.iter().any(|head| param.name().starts_with(head.as_str())) {
            true => Tensor::zeros(param.dims(), param.value().dtype(), param.value().device()),
            false => grads.next().ok_or_else(|| Error::bug("a parameter has no gradient")),
        })
        .collect::<Result<Vec<_>>>()?;
    optimiser.apply(&all, 1.0)
}

/// Changes parameters along gradients.
pub trait Optimiser: Send {
    /// One step along `grads`, one for each parameter, with the learning rate times `factor`.
    ///
    /// # Errors
    /// A gradient does not fit its parameter.
    fn apply(&mut self, grads: &[Tensor], factor: f64) -> Result<()>;
    /// What is trained.
    fn params(&self) -> &[Param];
    /// The learning rate.
    fn lr(&self) -> f64;
    /// Changes the learning rate from the next step on.
    fn set_lr(&mut self, lr: f64);
    /// Steps taken and moments, by name, for a checkpoint.
    fn state(&self) -> Result<Vec<(String, Tensor)>>;
    /// Puts a saved state back.
    ///
    /// # Errors
    /// Something is missing or of another shape.
    fn load(&mut self, find: &mut dyn FnMut(&str) -> Option<Tensor>) -> Result<()>;

    /// One step down the gradient of `loss`; the graph behind it is freed.
    ///
    /// # Errors
    /// As [`gradients`].
    fn step(&mut self, loss: &Tensor) -> Result<()> {
        let grads = gradients(loss, self.params())?;
        self.apply(&grads, 1.0)
    }
}

/// Adam (Kingma and Ba 2014, arXiv:1412.6980), with epsilon outside the root.
pub struct Adam {
    params: Vec<Param>,
    moments: Vec<[Tensor; 2]>,
    steps: u64,
    lr: f64,
    betas: [f64; 2],
    epsilon: f64,
}

impl Adam {
    /// Over `params`; `betas` are the shares of the running mean and square that stay at each step.
    pub fn new(params: Vec<Param>, lr: f64, betas: [f64; 2], epsilon: f64) -> Result<Self> {
        let zeros = |param: &Param| -> Result<[Tensor; 2]> {
            let value = param.value();
            let zeros = Tensor::zeros(value.dims(), value.dtype(), value.device())?;
            Ok([zeros.clone(), zeros])
        };
        let moments = params.iter().map(zeros).collect::<Result<_>>()?;
        Ok(Self { params, moments, steps: 0, lr, betas, epsilon })
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
        for ((param, grad), moments) in self.params.iter().zip(grads).zip(&mut self.moments) {
            let (value, m, v) = adam_step(&param.value(), grad, &moments[0], &moments[1], &step)?;
            param.set(value)?;
            *moments = [m, v];
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

/// Stochastic gradient descent with momentum and weight decay: v = momentum v + g + decay w; w = w - lr v.
pub struct Sgd {
    params: Vec<Param>,
    velocity: Vec<Tensor>,
    steps: u64,
    lr: f64,
    momentum: f64,
    weight_decay: f64,
}

impl Sgd {
    /// Over `params`.
    pub fn new(params: Vec<Param>, lr: f64, momentum: f64, weight_decay: f64) -> Result<Self> {
        let zeros = |param: &Param| Tensor::zeros(param.dims(), param.value().dtype(), param.value().device());
        let velocity = params.iter().map(zeros).collect::<Result<_>>()?;
        Ok(Self { params, velocity, steps: 0, lr, momentum, weight_decay })
    }
}

impl Optimiser for Sgd {
    fn apply(&mut self, grads: &[Tensor], factor: f64) -> Result<()> {
        fits(grads, &self.params)?;
        self.steps += 1;
        no_grad(|| {
            for ((param, grad), velocity) in self.params.iter().zip(grads).zip(&mut self.velocity) {
                let value = param.value();
                let pull = if self.weight_decay == 0.0 {
                    grad.clone()
                } else {
                    grad.add(&value.mul_scalar(self.weight_decay)?)?
                };
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

fn fits(grads: &[Tensor], params: &[Param]) -> Result<()> {
    if grads.len() != params.len() {
        return Err(Error::new(format!(
            "the optimiser has {} parameters, and was given {} gradients",
            params.len(),
            grads.len()
        )));
    }
    match grads.iter().zip(params).find(|(grad, param)| grad.dims() != param.dims()) {
        Some((grad, param)) => Err(Error::new(format!(
            "the gradient of `{}` has shape {:?}, the parameter {:?}",
            param.name(),
            grad.dims(),
            param.dims()
        ))),
        None => Ok(()),
    }
}

fn steps_tensor(steps: u64) -> Result<Tensor> {
    Tensor::from_f64s(vec![steps as f64], &[1], &crate::tensor::Device::Cpu)
}

fn read_steps(find: &mut dyn FnMut(&str) -> Option<Tensor>) -> Result<u64> {
    let steps = find("steps").ok_or_else(|| Error::new("the checkpoint has no optimiser state"))?;
    Ok(steps.value()? as u64)
}

fn moment(find: &mut dyn FnMut(&str) -> Option<Tensor>, param: &Param, what: &str) -> Result<Tensor> {
    let name = format!("{}.{what}", param.name());
    let value = find(&name).ok_or_else(|| Error::new(format!("the checkpoint has no `{name}` of the optimiser")))?;
    if value.dims() != param.dims() {
        return Err(Error::new(format!(
            "`{name}` of the optimiser has shape {:?} in the checkpoint, the parameter {:?}",
            value.dims(),
            param.dims()
        )));
    }
    value.to_device(param.value().device())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Init, Store};
    use crate::tensor::Device;

    fn two() -> (Store, Vec<Param>) {
        let store = Store::new(1, &Device::Cpu);
        let params = ["used", "forgotten"].map(|name| store.param(name, &[2], Init::Constant(1.0)).unwrap()).into();
        (store, params)
    }

    #[test]
    fn a_parameter_without_a_gradient_is_named() {
        let (_store, params) = two();
        let loss = params[0].tensor().sum_all().unwrap();
        let error = gradients(&loss, &params).unwrap_err();
        assert_eq!(error.message, "the parameter `forgotten` gets no gradient: the loss does not depend on it");
        assert!(gradients(&params[0].tensor(), &params).unwrap_err().message.contains("one number"));
    }

    #[test]
    fn a_step_leaves_graphs_of_the_old_values_alone() {
        let (_store, params) = two();
        let x = params[0].tensor();
        let square = x.square().unwrap().sum_all().unwrap();
        let mut adam = Adam::new(vec![params[0].clone()], 0.5, [0.9, 0.999], 1e-8).unwrap();
        adam.apply(&[Tensor::ones(&[2], x.dtype(), &Device::Cpu).unwrap()], 1.0).unwrap();
        assert_eq!(params[0].value().to_f32s().unwrap(), [0.5, 0.5]);
        // The gradient is that of the value the square was computed from.
        assert_eq!(gradients(&square, &params[..1]).unwrap()[0].to_f32s().unwrap(), [2.0, 2.0]);
    }

    #[test]
    fn momentum_and_decay_by_hand() {
        let (_store, params) = two();
        let mut sgd = Sgd::new(vec![params[0].clone()], 0.1, 0.5, 0.2).unwrap();
        let grad = || vec![Tensor::full(1.0, &[2], params[0].value().dtype(), &Device::Cpu).unwrap()];
        sgd.apply(&grad(), 1.0).unwrap(); // v = 1 + 0.2 * 1 = 1.2; w = 1 - 0.12
        sgd.apply(&grad(), 1.0).unwrap(); // v = 0.6 + 1 + 0.2 * 0.88 = 1.776; w = 0.88 - 0.1776
        let value = params[0].value().to_f64s().unwrap()[0];
        assert!((value - 0.7024).abs() < 1e-6, "{value}");
    }
}
