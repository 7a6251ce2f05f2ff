//! Optimisers over all parameters at once, a file each, and what is done to gradients before them.

mod adam;
mod clip;
mod rmsprop;
mod sgd;

pub use adam::Adam;
pub use clip::Clip;
pub use rmsprop::RmsProp;
pub use sgd::Sgd;

use crate::error::{Error, Result};
use crate::nn::Param;
use crate::options::{Setting, Value};
use crate::table::{self, Row};
use crate::tensor::{Tensor, no_grad, vjp};

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

/// One step of `optimiser` down the gradient of `loss`, clipped. A head (the parameters whose names begin with one of `heads`)
/// that the loss leaves out altogether stays as it is.
///
/// # Errors
/// As [`gradients`]; the loss is not finite. Nothing changes then.
pub fn descend(optimiser: &mut dyn Optimiser, loss: &Tensor, heads: &[String], clip: &Clip) -> Result<()> {
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
    optimiser.apply(&clip.apply(all)?, 1.0)
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

/// The numbers that an optimiser may be built from; each takes those it knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// The learning rate.
    pub lr: f64,
    /// Adam: the shares of the running mean and square that stay at each step.
    pub betas: [f64; 2],
    /// Adam, RMSProp: added to the root.
    pub epsilon: f64,
    /// SGD, RMSProp: the share of the velocity that stays at each step.
    pub momentum: f64,
    /// SGD: look ahead along the velocity.
    pub nesterov: bool,
    /// RMSProp: the share of the running square that stays at each step.
    pub smoothing: f64,
    /// The share of each weight that is added to its gradient, or taken off it by `adamw`.
    pub weight_decay: f64,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            lr: 2e-4,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            momentum: 0.0,
            nesterov: false,
            smoothing: 0.99,
            weight_decay: 0.0,
        }
    }
}

/// A row of [`OPTIMISERS`].
pub struct OptimiserRow {
    /// What a script calls it.
    pub name: &'static str,
    /// Its manual entry.
    pub doc: &'static str,
    /// The fields of [`Recipe`] that it knows besides `lr` and `weight_decay`.
    pub knows: &'static [&'static str],
    /// Makes one over the parameters.
    pub build: fn(Vec<Param>, &Recipe) -> Result<Box<dyn Optimiser>>,
}

impl Row for OptimiserRow {
    const KIND: &'static str = "optimiser";
    fn name(&self) -> &'static str {
        self.name
    }
    fn doc(&self) -> &'static str {
        self.doc
    }
}

/// Every optimiser, in the order the manual lists them.
pub const OPTIMISERS: &[OptimiserRow] = &[
    OptimiserRow {
        name: "adam",
        doc: "Steps along the running mean of gradients over the root of their running square.\n\n\
              Epsilon stands outside the root, weight decay is added to the gradient.   Kingma & Ba 2014, arXiv:1412.6980.",
        knows: &["betas", "epsilon"],
        build: |params, recipe| {
            Ok(Box::new(
                Adam::new(params, recipe.lr, recipe.betas, recipe.epsilon)?.with_weight_decay(recipe.weight_decay),
            ))
        },
    },
    OptimiserRow {
        name: "adamw",
        doc: "Adam whose weight decay acts on the weights themselves: w -= lr decay w.\n\n\
              Loshchilov & Hutter 2017, arXiv:1711.05101.",
        knows: &["betas", "epsilon"],
        build: |params, recipe| {
            let adam = Adam::new(params, recipe.lr, recipe.betas, recipe.epsilon)?;
            Ok(Box::new(adam.with_decoupled_decay(recipe.weight_decay)))
        },
    },
    OptimiserRow {
        name: "sgd",
        doc: "Gradient descent, with momentum and Nesterov's look ahead if asked for.\n\n\
              v = momentum v + g; w -= lr v, or lr (g + momentum v) with `nesterov`.   Sutskever et al. 2013, PMLR 28(3).",
        knows: &["momentum", "nesterov"],
        build: |params, recipe| {
            let sgd = Sgd::new(params, recipe.lr, recipe.momentum, recipe.weight_decay)?;
            Ok(Box::new(if recipe.nesterov { sgd.nesterov()? } else { sgd }))
        },
    },
    OptimiserRow {
        name: "rmsprop",
        doc: "Steps along gradients over the root of their running square.\n\n\
              s = smoothing s + (1 - smoothing) g^2; v = momentum v + g / (sqrt(s) + epsilon); w -= lr v.   \
              Tieleman & Hinton 2012; the optimiser of Wasserstein GANs with clipped weights, arXiv:1701.07875.",
        knows: &["epsilon", "smoothing", "momentum"],
        build: |params, recipe| {
            let rmsprop = RmsProp::new(params, recipe.lr, recipe.smoothing, recipe.epsilon, recipe.momentum)?;
            Ok(Box::new(rmsprop.with_weight_decay(recipe.weight_decay)))
        },
    },
];

/// Which optimiser: a name of [`OPTIMISERS`] as an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptimiserKind(usize);

impl OptimiserKind {
    /// Adam.
    pub const ADAM: Self = Self(0);

    /// Its row.
    pub fn row(self) -> &'static OptimiserRow {
        &OPTIMISERS[self.0]
    }

    /// The optimiser called `name`.
    ///
    /// # Errors
    /// There is none.
    pub fn named(name: &str) -> Result<Self> {
        table::find(OPTIMISERS, name)?;
        Ok(Self(OPTIMISERS.iter().position(|row| row.name == name).unwrap_or_default()))
    }

    /// One over `params`.
    ///
    /// # Errors
    /// The recipe does not do for it.
    pub fn build(self, params: Vec<Param>, recipe: &Recipe) -> Result<Box<dyn Optimiser>> {
        (self.row().build)(params, recipe)
    }
}

impl Setting for OptimiserKind {
    const EXPECTED: &'static str = "`adam`, `adamw`, `sgd` or `rmsprop`";
    fn from_value(value: Value) -> std::result::Result<Self, Value> {
        match &value {
            Value::Text(name) => Self::named(name).map_err(|_| value),
            _ => Err(value),
        }
    }
    fn to_value(&self) -> Value {
        Value::Text(self.row().name.into())
    }
}

/// `grad` with `decay` of the weight added.
fn decayed(grad: &Tensor, value: &Tensor, decay: f64) -> Result<Tensor> {
    if decay == 0.0 { Ok(grad.clone()) } else { no_grad(|| grad.add(&value.mul_scalar(decay)?)) }
}

fn zeros_like(params: &[Param]) -> Result<Vec<Tensor>> {
    params.iter().map(|param| Tensor::zeros(param.dims(), param.value().dtype(), param.value().device())).collect()
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

    #[test]
    fn a_factor_is_another_rate_for_one_step() {
        for row in OPTIMISERS {
            let momentum = if row.knows.contains(&"momentum") { 0.5 } else { 0.0 };
            let after = |steps: [(f64, f64); 3]| {
                let (_store, params) = two();
                let recipe = Recipe { momentum, weight_decay: 0.25, ..Recipe::default() };
                let mut optimiser = (row.build)(params[..1].to_vec(), &recipe).unwrap();
                let grad = Tensor::full(0.5, &[2], params[0].value().dtype(), &Device::Cpu).unwrap();
                for (lr, factor) in steps {
                    optimiser.set_lr(lr);
                    optimiser.apply(std::slice::from_ref(&grad), factor).unwrap();
                }
                params[0].value().to_f64s().unwrap()[0]
            };
            let scaled = after([(0.5, 1.0), (0.5, 0.25), (0.5, 0.5)]);
            let set = after([(0.5, 1.0), (0.125, 1.0), (0.25, 1.0)]);
            assert!((scaled - set).abs() < 1e-6, "{}: {scaled} and {set}", row.name);
        }
    }
}
