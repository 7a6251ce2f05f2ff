//! What networks and parameters can do.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rhai::plugin::*;
use rhai::{Dynamic, FnPtr, Map, NativeCallContext};

use super::network::{Body, Network};
use crate::error::Error;
use crate::gan::Discriminator;
use crate::nn::{self, Param};
use crate::script::bind::tensor::labels_of;
use crate::script::{At, Fallible};
use crate::tensor::Tensor;

#[export_module]
pub mod functions {
    /// What a network makes of its input: features of images, images of latents, values after the last layer.
    ///
    /// In training, batch norms use the batch and their averages move; after `net.training = false` they use the averages.
    ///
    /// ```rhai
    /// nn::sequential([nn::relu()]).forward(tensor::from([-1, 2])) // => tensor([0, 2])
    /// ```
    #[rhai_fn(name = "forward", return_raw)]
    pub fn forward(ctx: NativeCallContext, network: Network, x: Tensor) -> Fallible<Tensor> {
        super::forward(&ctx, &network, &x, None)
    }

    /// What a conditional network makes of its input and of labels `[n]`, or rows of weights over the classes.
    ///
    /// ```rhai
    /// let g = nn::build("sndcgan.generator", #{ z: 8, channels: 16, classes: 10, norm: "conditional_batch_norm" });
    /// g.forward(normal([2, 8]), tensor::labels([3, 7])).shape // => [2, 1, 28, 28]
    /// ```
    #[rhai_fn(name = "forward", return_raw)]
    pub fn forward_with(ctx: NativeCallContext, network: Network, x: Tensor, labels: Dynamic) -> Fallible<Tensor> {
        super::forward(&ctx, &network, &x, Some(&labels))
    }

    /// Calls the `forward` function of a map with it: a network made by hand.
    ///
    /// ```rhai
    /// let net = #{ w: nn::parameter([2, 1]), forward: |x| x * 2 };
    /// forward(net, tensor::from([1])) // => tensor([2])
    /// ```
    #[rhai_fn(name = "forward", return_raw)]
    pub fn forward_map(ctx: NativeCallContext, network: Map, x: Dynamic) -> Fallible<Dynamic> {
        match network.get("forward").and_then(|function| function.clone().try_cast::<FnPtr>()) {
            Some(function) => function.call_raw(&ctx, None, [x]),
            None => Err(Error::new("the map has no function `forward`")).at(&ctx),
        }
    }

    /// Logits `[n]` of a discriminator, larger for what looks real; a projection head, which needs labels, is left out.
    ///
    /// ```rhai
    /// let d = nn::build("sndcgan.discriminator", #{ channels: 16, spectral_norm: true });
    /// d.logits(uniform([4, 1, 28, 28])).shape // => [4]
    /// ```
    #[rhai_fn(name = "logits", return_raw)]
    pub fn logits(ctx: NativeCallContext, network: Network, images: Tensor) -> Fallible<Tensor> {
        super::discriminator(&ctx, &network)?.plain_logits(&images, network.mode()).at(&ctx)
    }

    /// Logits `[n]` of a discriminator for images with labels.
    ///
    /// ```rhai
    /// let d = nn::build("sndcgan.discriminator", #{ channels: 16, classes: 10, heads: ["projection"] });
    /// d.logits(uniform([2, 1, 28, 28]), tensor::labels([3, 7])).shape // => [2]
    /// ```
    #[rhai_fn(name = "logits", return_raw)]
    pub fn logits_with(ctx: NativeCallContext, network: Network, images: Tensor, labels: Dynamic) -> Fallible<Tensor> {
        let discriminator = super::discriminator(&ctx, &network)?;
        let labels = super::class_rows(&ctx, &labels, discriminator.blueprint().classes)?;
        Ok(discriminator.forward(&images, labels.as_ref(), network.mode()).at(&ctx)?.logits)
    }

    /// Logits `[n, 4]` of the quarter turns, from a discriminator with a rotation head.
    ///
    /// ```rhai
    /// let d = nn::build("sndcgan.discriminator", #{ channels: 16, heads: ["rotation"] });
    /// d.rotation_logits(uniform([2, 1, 28, 28])).shape // => [2, 4]
    /// ```
    #[rhai_fn(return_raw)]
    pub fn rotation_logits(ctx: NativeCallContext, network: Network, images: Tensor) -> Fallible<Tensor> {
        let discriminator = super::discriminator(&ctx, &network)?;
        let features = discriminator.features(&images, None, network.mode()).at(&ctx)?;
        discriminator.rotation(&features, network.mode()).at(&ctx)
    }

    /// Logits `[n, classes]` of the classes, from a discriminator with a predictor head.
    ///
    /// ```rhai
    /// let d = nn::build("sndcgan.discriminator", #{ channels: 16, classes: 10, heads: ["predictor"] });
    /// d.class_logits(uniform([2, 1, 28, 28])).shape // => [2, 10]
    /// ```
    #[rhai_fn(return_raw)]
    pub fn class_logits(ctx: NativeCallContext, network: Network, images: Tensor) -> Fallible<Tensor> {
        let discriminator = super::discriminator(&ctx, &network)?;
        let features = discriminator.features(&images, None, network.mode()).at(&ctx)?;
        discriminator.predict(&features, network.mode()).at(&ctx)
    }

    /// The features of images, `[n, features]`, from a discriminator or a network that learnt them.
    ///
    /// ```rhai
    /// let d = nn::build("sndcgan.discriminator", #{ channels: 16 });
    /// d.features(uniform([2, 1, 28, 28])).rows // => 2
    /// ```
    #[rhai_fn(return_raw)]
    pub fn features(ctx: NativeCallContext, network: Network, images: Tensor) -> Fallible<Tensor> {
        match &network.body {
            Body::Discriminator(discriminator) => discriminator.features(&images, None, network.mode()).at(&ctx),
            _ => super::forward(&ctx, &network, &images, None),
        }
    }

    /// A copy of a network with parameters of its own.
    ///
    /// ```rhai
    /// let net = nn::sequential([nn::linear(4, 2)]);
    /// net.copy().parameters // => 10
    /// ```
    #[rhai_fn(return_raw)]
    pub fn copy(ctx: NativeCallContext, network: Network) -> Fallible<Network> {
        let body = match &network.body {
            Body::Generator(network) => Body::Generator(Arc::new(network.copy().at(&ctx)?)),
            Body::Discriminator(network) => Body::Discriminator(Arc::new(network.copy().at(&ctx)?)),
            Body::Encoder(network) => Body::Encoder(Arc::new(network.copy().at(&ctx)?)),
            Body::Sequential(network) => Body::Sequential(Arc::new(network.copy().at(&ctx)?)),
        };
        Ok(Network::new(body))
    }

    /// Writes the parameters and state of a network to a file in safetensors.
    ///
    /// ```rhai
    /// let net = nn::sequential([nn::linear(4, 2)]);
    /// net.save("target/linear.safetensors") // => ()
    /// ```
    #[rhai_fn(name = "save", return_raw)]
    pub fn save(ctx: NativeCallContext, network: Network, path: &str) -> Fallible {
        nn::checkpoint::save(path.as_ref(), &[("network", network.store().state())], &[]).at(&ctx)
    }

    /// Reads what `save` wrote; a file of another architecture changes nothing.
    ///
    /// ```rhai
    /// let net = nn::sequential([nn::linear(4, 2)]);
    /// net.save("target/linear_again.safetensors");
    /// net.load("target/linear_again.safetensors") // => ()
    /// ```
    #[rhai_fn(name = "load", return_raw)]
    pub fn load(ctx: NativeCallContext, network: Network, path: &str) -> Fallible {
        let saved = nn::checkpoint::load(path.as_ref()).at(&ctx)?;
        network.store().load(|name| saved.find("network", name)).at(&ctx)
    }

    /// How many numbers of a network are trained.
    ///
    /// ```rhai
    /// nn::sequential([nn::linear(4, 2)]).parameters // => 10
    /// ```
    #[rhai_fn(get = "parameters", pure)]
    pub fn parameters(network: &mut Network) -> i64 {
        network.store().count() as i64
    }

    /// Whether a network runs as in training: batch norms use the batch, and their averages move.
    ///
    /// ```rhai
    /// let net = nn::sequential([nn::batch_norm(4)]);
    /// net.training = false;
    /// net.training // => false
    /// ```
    #[rhai_fn(get = "training", pure)]
    pub fn training(network: &mut Network) -> bool {
        network.training.load(Ordering::Relaxed)
    }

    /// Says whether a network runs as in training.
    #[rhai_fn(set = "training", pure)]
    pub fn set_training(network: &mut Network, training: bool) {
        network.training.store(training, Ordering::Relaxed);
    }

    /// The value of a parameter, as a place that gradients reach.
    ///
    /// ```rhai
    /// nn::parameter([3]).tensor.tracked // => true
    /// ```
    #[rhai_fn(get = "tensor", pure)]
    pub fn tensor(parameter: &mut Param) -> Tensor {
        parameter.tensor()
    }
}

fn discriminator<'a>(ctx: &NativeCallContext, network: &'a Network) -> Fallible<&'a Discriminator> {
    match &network.body {
        Body::Discriminator(discriminator) => Ok(discriminator),
        _ => Err(Error::new(format!("{} has no logits", network.kind())).help("discriminators have")).at(ctx),
    }
}

/// Labels as rows of weights over the classes; nothing for a network without classes.
fn class_rows(ctx: &NativeCallContext, labels: &Dynamic, classes: usize) -> Fallible<Option<Tensor>> {
    if classes == 0 {
        return Ok(None);
    }
    match labels.read_lock::<Tensor>().filter(|labels| labels.rank() == 2) {
        Some(rows) => Ok(Some(rows.clone())),
        None => labels_of(ctx, "labels", labels)?.one_hot(classes).at(ctx).map(Some),
    }
}

fn forward(ctx: &NativeCallContext, network: &Network, x: &Tensor, labels: Option<&Dynamic>) -> Fallible<Tensor> {
    let mode = network.mode();
    let rows = |classes| labels.map_or(Ok(None), |labels| class_rows(ctx, labels, classes));
    match &network.body {
        Body::Generator(generator) => generator.forward(x, rows(generator.blueprint().classes)?.as_ref(), mode).at(ctx),
        Body::Discriminator(discriminator) => {
            discriminator.features(x, rows(discriminator.blueprint().classes)?.as_ref(), mode).at(ctx)
        }
        Body::Encoder(encoder) => encoder.forward(x, mode).at(ctx),
        Body::Sequential(sequential) => sequential.forward(x, mode).at(ctx),
    }
}
