//! Optimisers.

use rhai::plugin::*;
use rhai::{Array, Dynamic, Map, NativeCallContext};

use super::network::{Network, Training};
use crate::nn::{self, Clip, OptimiserKind, Param, Recipe};
use crate::script::history::History;
use crate::script::{At, Fallible, args};
use crate::tensor::Tensor;

crate::options! {
    /// Options of `nn::adam`.
    pub struct AdamOptions("nn::adam") {
        /// The learning rate.
        pub lr: f64 = 2e-4,
        /// The shares of the running mean and square that stay at each step.
        pub betas: [f64; 2] = [0.9, 0.999],
        /// Added to the root.
        pub epsilon: f64 = 1e-8,
        /// The share of each weight that is added to its gradient.
        pub weight_decay: f64 = 0.0,
        /// Whether weight decay is taken off the weights, times the learning rate, instead.
        pub decoupled: bool = false,
        /// The longest that all gradients may be together; 0 for no bound.
        pub clip_norm: f64 = 0.0,
        /// The greatest that any number of a gradient may be; 0 for no bound.
        pub clip_value: f64 = 0.0,
    }
}

crate::options! {
    /// Options of `nn::sgd`.
    pub struct SgdOptions("nn::sgd") {
        /// The learning rate.
        pub lr: f64 = 1e-2,
        /// The share of the velocity that stays at each step.
        pub momentum: f64 = 0.0,
        /// Whether to look ahead along the velocity.
        pub nesterov: bool = false,
        /// The share of each weight that is added to its gradient.
        pub weight_decay: f64 = 0.0,
        /// The longest that all gradients may be together; 0 for no bound.
        pub clip_norm: f64 = 0.0,
        /// The greatest that any number of a gradient may be; 0 for no bound.
        pub clip_value: f64 = 0.0,
    }
}

crate::options! {
    /// Options of `nn::rmsprop`.
    pub struct RmsPropOptions("nn::rmsprop") {
        /// The learning rate.
        pub lr: f64 = 1e-3,
        /// The share of the running square that stays at each step.
        pub smoothing: f64 = 0.99,
        /// Added to the root.
        pub epsilon: f64 = 1e-8,
        /// The share of the velocity that stays at each step.
        pub momentum: f64 = 0.0,
        /// The share of each weight that is added to its gradient.
        pub weight_decay: f64 = 0.0,
        /// The longest that all gradients may be together; 0 for no bound.
        pub clip_norm: f64 = 0.0,
        /// The greatest that any number of a gradient may be; 0 for no bound.
        pub clip_value: f64 = 0.0,
    }
}

#[export_module]
pub mod functions {
    /// The optimiser Adam, over a network, a parameter, or a map or list of them.
    ///
    /// Kingma and Ba 2014, arXiv:1412.6980; epsilon stands outside the root.
    ///
    /// ```rhai
    /// let net = nn::sequential([nn::linear(2, 1)]);
    /// nn::adam(net, #{ lr: 2e-4, betas: [0.0, 0.9] }).lr // => 0.0002
    /// ```
    #[rhai_fn(return_raw)]
    pub fn adam(ctx: NativeCallContext, of: Dynamic, options: Map) -> Fallible<Training> {
        let options = args::options::<AdamOptions>(&ctx, options)?;
        let recipe = Recipe {
            lr: options.lr,
            betas: options.betas,
            epsilon: options.epsilon,
            weight_decay: options.weight_decay,
            ..Recipe::default()
        };
        let name = if options.decoupled { "adamw" } else { "adam" };
        super::optimiser(&ctx, &of, name, &recipe, (options.clip_norm, options.clip_value))
    }

    /// Gradient descent with momentum, over a network, a parameter, or a map or list of them.
    ///
    /// ```rhai
    /// let w = nn::parameter([1]);
    /// let opt = nn::sgd(w, #{ lr: 0.5 });
    /// for step in 0..50 { opt.step(((w.tensor - 3.0) ** 2).sum()); }
    /// w.tensor // => tensor([3])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn sgd(ctx: NativeCallContext, of: Dynamic, options: Map) -> Fallible<Training> {
        let options = args::options::<SgdOptions>(&ctx, options)?;
        let recipe = Recipe {
            lr: options.lr,
            momentum: options.momentum,
            nesterov: options.nesterov,
            weight_decay: options.weight_decay,
            ..Recipe::default()
        };
        super::optimiser(&ctx, &of, "sgd", &recipe, (options.clip_norm, options.clip_value))
    }

    /// The optimiser RMSProp, over a network, a parameter, or a map or list of them.
    ///
    /// s = smoothing s + (1 - smoothing) g^2; v = momentum v + g / (sqrt(s) + epsilon); w -= lr v. Tieleman and Hinton 2012.
    ///
    /// ```rhai
    /// let net = nn::sequential([nn::linear(2, 1)]);
    /// nn::rmsprop(net, #{ lr: 5e-5, clip_value: 0.1 }).lr // => 5e-5
    /// ```
    #[rhai_fn(return_raw)]
    pub fn rmsprop(ctx: NativeCallContext, of: Dynamic, options: Map) -> Fallible<Training> {
        let options = args::options::<RmsPropOptions>(&ctx, options)?;
        let recipe = Recipe {
            lr: options.lr,
            smoothing: options.smoothing,
            epsilon: options.epsilon,
            momentum: options.momentum,
            weight_decay: options.weight_decay,
            ..Recipe::default()
        };
        super::optimiser(&ctx, &of, "rmsprop", &recipe, (options.clip_norm, options.clip_value))
    }

    /// RMSProp, with all options as they are.
    #[rhai_fn(name = "rmsprop", return_raw)]
    pub fn rmsprop_plainly(ctx: NativeCallContext, of: Dynamic) -> Fallible<Training> {
        rmsprop(ctx, of, Map::new())
    }

    /// The optimiser Adam, with all options as they are.
    #[rhai_fn(name = "adam", return_raw)]
    pub fn adam_plainly(ctx: NativeCallContext, of: Dynamic) -> Fallible<Training> {
        adam(ctx, of, Map::new())
    }

    /// Gradient descent, with all options as they are.
    #[rhai_fn(name = "sgd", return_raw)]
    pub fn sgd_plainly(ctx: NativeCallContext, of: Dynamic) -> Fallible<Training> {
        sgd(ctx, of, Map::new())
    }
}

#[export_module]
pub mod methods {
    /// One step down the gradient of a loss, which is one number.
    ///
    /// A parameter that the loss does not depend on is an error that names it; a head that it leaves out stays as it is.
    /// A loss that is not finite is an error, and nothing changes.
    ///
    /// ```rhai
    /// let net = nn::sequential([nn::linear(2, 1)]);
    /// let opt = nn::adam(net, #{ lr: 0.1 });
    /// opt.step((net.forward(tensor::ones([4, 2])) ** 2).mean()) // => ()
    /// ```
    #[rhai_fn(name = "step", return_raw)]
    pub fn step(ctx: NativeCallContext, optimiser: Training, loss: Tensor) -> Fallible {
        args::check_stop(&ctx)?;
        nn::descend(optimiser.held().as_mut(), &loss, &optimiser.heads, &optimiser.clip).at(&ctx)?;
        optimiser.history.add("loss", "loss", loss.value().at(&ctx)?);
        Ok(())
    }

    /// The loss of each step of an optimiser: a history, which shows its curve.
    ///
    /// ```rhai
    /// let w = nn::parameter([1]);
    /// let opt = nn::sgd(w, #{ lr: 0.5 });
    /// for step in 0..3 { opt.step(((w.tensor - 3.0) ** 2).sum()); }
    /// opt.history["loss"].len() // => 3
    /// ```
    #[rhai_fn(get = "history", pure)]
    pub fn losses(optimiser: &mut Training) -> History {
        optimiser.history.clone()
    }

    /// The learning rate of an optimiser.
    ///
    /// ```rhai
    /// let opt = nn::sgd(nn::parameter([1]), #{ lr: 0.5 });
    /// opt.lr = 0.1;
    /// opt.lr // => 0.1
    /// ```
    #[rhai_fn(get = "lr", pure)]
    pub fn lr(optimiser: &mut Training) -> f64 {
        optimiser.held().lr()
    }

    /// Changes the learning rate from the next step on.
    #[rhai_fn(set = "lr", return_raw, pure)]
    pub fn set_lr(ctx: NativeCallContext, optimiser: &mut Training, lr: Dynamic) -> Fallible {
        let lr = args::number(&ctx, "lr", &lr)?;
        optimiser.held().set_lr(lr);
        Ok(())
    }
}

fn optimiser(
    ctx: &NativeCallContext,
    of: &Dynamic,
    name: &str,
    recipe: &Recipe,
    (norm, value): (f64, f64),
) -> Fallible<Training> {
    let clip = Clip::new(norm, value).at(ctx)?;
    let (params, heads) = trained(ctx, of)?;
    let optimiser = OptimiserKind::named(name).and_then(|kind| kind.build(params, recipe)).at(ctx)?;
    Ok(Training::new(optimiser, heads, clip))
}

/// The parameters in a network, a parameter, or a map or list of them, and the heads that may be left out.
fn trained(ctx: &NativeCallContext, value: &Dynamic) -> Fallible<(Vec<Param>, Vec<String>)> {
    let (mut params, mut heads) = (Vec::new(), Vec::new());
    collect(value, &mut params, &mut heads);
    match params.is_empty() {
        true => Err(args::wrong(ctx, "of", "a network, a parameter, or a map or list of them", value)),
        false => Ok((params, heads)),
    }
}

fn collect(value: &Dynamic, params: &mut Vec<Param>, heads: &mut Vec<String>) {
    if let Some(network) = value.read_lock::<Network>() {
        params.extend(network.store().params());
        heads.extend(network.heads());
    } else if let Some(param) = value.read_lock::<Param>() {
        params.push(param.clone());
    } else if let Some(items) = value.read_lock::<Array>() {
        items.iter().for_each(|item| collect(item, params, heads));
    } else if let Some(map) = value.read_lock::<Map>() {
        map.values().for_each(|item| collect(item, params, heads));
    }
}
