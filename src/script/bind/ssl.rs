//! Features learnt without labels.

use std::sync::Arc;

use rhai::plugin::*;
use rhai::{Array, Engine, Map, NativeCallContext};

use super::nn::Network;
use crate::data::{Dataset, PartlyLabelled};
use crate::script::display;
use crate::script::history::History;
use crate::script::manual::{Setting, settings_of};
use crate::script::{At, Fallible, args, shared};
use crate::ssl::{self, SslOptions, TASKS};

pub(super) fn register(engine: &mut Engine) {
    display::know::<Features>(engine);
    engine.register_static_module("ssl", rhai::exported_module!(learning).into());
    engine.register_global_module(rhai::exported_module!(using).into());
}

pub(super) fn options() -> Vec<(&'static str, Vec<Setting>)> {
    vec![settings_of::<SslOptions>()]
}

/// Learnt features as a script holds them.
#[derive(Clone)]
pub struct Features {
    /// The features themselves.
    pub(in crate::script) learnt: Arc<ssl::Features>,
    /// What was measured while they were learnt.
    pub(in crate::script) history: History,
}

#[export_module]
mod learning {
    /// Learns features without labels, by telling which way is up.
    ///
    /// Each image is shown at its four quarter turns, and the network tells them apart. Gidaris et al. 2018,
    /// arXiv:1803.07728. Any set will do: no label is looked at.
    ///
    /// ```rhai
    /// let known = data::load("fashion-mnist-10k").train.take(64).keep_labels(0.5);
    /// ssl::rotation(known, #{ network: "resnet-tiny", epochs: 1, batch: 32 }).dim // => 64
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn rotation(ctx: NativeCallContext, data: PartlyLabelled, options: Map) -> Fallible<Features> {
        let options = args::options::<SslOptions>(&ctx, options)?;
        let host = shared(&ctx)?;
        let history = History::default();
        let job = history.watching(&host.job());
        let features = ssl::rotation(&data, &options, &host.device().at(&ctx)?, &job).at(&ctx)?;
        Ok(Features { learnt: Arc::new(features), history })
    }

    /// Learns features without labels, by telling which way is up, with all options as they are.
    #[rhai_fn(name = "rotation", return_raw, volatile)]
    pub fn rotation_plainly(ctx: NativeCallContext, data: PartlyLabelled) -> Fallible<Features> {
        rotation(ctx, data, Map::new())
    }

    /// The names of the pretext tasks.
    ///
    /// ```rhai
    /// ssl::tasks() // => ["rotation"]
    /// ```
    pub fn tasks() -> Array {
        super::super::names_of(TASKS)
    }
}

#[export_module]
mod using {
    /// The share of the task's questions that learnt features answer on other images.
    ///
    /// ```rhai
    /// let data = data::load("fashion-mnist-10k");
    /// let known = data.train.take(64).keep_labels(0.5);
    /// let features = ssl::rotation(known, #{ network: "resnet-tiny", epochs: 1, batch: 32 });
    /// features.accuracy(data.test.take(32)) <= 1.0 // => true
    /// ```
    #[rhai_fn(name = "accuracy", return_raw)]
    pub fn task_accuracy(ctx: NativeCallContext, features: Features, data: Dataset) -> Fallible<f64> {
        features.learnt.accuracy(data.images(), shared(&ctx)?.stop()).at(&ctx)
    }

    /// What learning measured at each step: a history, which shows its curves.
    ///
    /// ```rhai
    /// let known = data::load("fashion-mnist-10k").train.take(64).keep_labels(0.5);
    /// let features = ssl::rotation(known, #{ network: "resnet-tiny", epochs: 1, batch: 32 });
    /// features.history.names // => ["loss", "accuracy"]
    /// ```
    #[rhai_fn(get = "history", pure)]
    pub fn features_history(features: &mut Features) -> History {
        features.history.clone()
    }

    /// How many features there are for an image.
    ///
    /// ```rhai
    /// let known = data::load("fashion-mnist-10k").train.take(64).keep_labels(0.5);
    /// ssl::rotation(known, #{ network: "resnet-tiny", epochs: 1, batch: 32 }).dim // => 64
    /// ```
    #[rhai_fn(get = "dim", pure)]
    pub fn dim(features: &mut Features) -> i64 {
        features.learnt.classifier.encoder.dim() as i64
    }

    /// The network that gives the features, as a copy that runs as at evaluation.
    ///
    /// ```rhai
    /// let known = data::load("fashion-mnist-10k").train.take(64).keep_labels(0.5);
    /// let features = ssl::rotation(known, #{ network: "resnet-tiny", epochs: 1, batch: 32 });
    /// features.network.forward(uniform([2, 1, 28, 28])).shape // => [2, 64]
    /// ```
    #[rhai_fn(get = "network", return_raw, pure)]
    pub fn network(ctx: NativeCallContext, features: &mut Features) -> Fallible<Network> {
        Ok(Network::encoder(features.learnt.classifier.encoder.copy().at(&ctx)?))
    }
}
