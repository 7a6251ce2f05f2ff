//! Labellers: a few labels are enough to label the rest.

use std::sync::Arc;

use rhai::plugin::*;
use rhai::{Array, Engine, Map, NativeCallContext};

use super::ssl::Features;
use crate::data::{Dataset, Labelled, PartlyLabelled};
use crate::label::{
    self, ClusterOptions, LABELLERS, LabelOptions, LoadOptions, ProbeOptions, SaveOptions, SemiSupervisedOptions,
    SupervisedOptions,
};
use crate::script::display;
use crate::script::history::History;
use crate::script::manual::{Setting, settings_of};
use crate::script::{At, Fallible, args, shared};

pub(super) fn register(engine: &mut Engine) {
    display::know::<Labeller>(engine);
    engine.register_static_module("label", rhai::exported_module!(training).into());
    engine.register_global_module(rhai::exported_module!(using).into());
}

pub(super) fn options() -> Vec<(&'static str, Vec<Setting>)> {
    vec![
        settings_of::<SemiSupervisedOptions>(),
        settings_of::<ProbeOptions>(),
        settings_of::<SupervisedOptions>(),
        settings_of::<ClusterOptions>(),
        settings_of::<LoadOptions>(),
        ("label", settings_of::<LabelOptions>().1),
        ("save", settings_of::<SaveOptions>().1),
    ]
}

/// A labeller as a script holds it.
#[derive(Clone)]
pub struct Labeller {
    /// The labeller itself.
    pub(in crate::script) trained: Arc<label::Labeller>,
    /// What its training measured.
    pub(in crate::script) history: History,
}

impl Labeller {
    fn new(trained: label::Labeller, history: History) -> Self {
        Self { trained: Arc::new(trained), history }
    }
}

#[export_module]
mod training {
    /// Trains a labeller from learnt features on all images and the labels that are kept.
    ///
    /// It goes on with the pretext task on all images while it learns the classes on the labelled ones: the S2L of Zhai
    /// et al. 2019, arXiv:1905.03670, as Lucic et al. 2019 use it.
    ///
    /// ```rhai
    /// let known = data::load("fashion-mnist-10k").train.take(64).keep_labels(0.5);
    /// let features = ssl::rotation(known, #{ network: "resnet-tiny", epochs: 1, batch: 32 });
    /// let labeller = label::semi_supervised(features, known, #{ epochs: 1, batch: 16, labelled_batch: 16 });
    /// labeller.label(known).n_labelled // => 64
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn semi_supervised(
        ctx: NativeCallContext,
        features: Features,
        data: PartlyLabelled,
        options: Map,
    ) -> Fallible<Labeller> {
        let options = args::options::<SemiSupervisedOptions>(&ctx, options)?;
        let history = History::default();
        let job = history.watching(&shared(&ctx)?.job());
        let labeller = label::semi_supervised(&features.learnt.classifier.encoder, &data, &options, &job).at(&ctx)?;
        Ok(Labeller::new(labeller, history))
    }

    /// Trains a linear classifier on frozen features of the labelled images.
    ///
    /// ```rhai
    /// let known = data::load("fashion-mnist-10k").train.take(64).keep_labels(0.5);
    /// let features = ssl::rotation(known, #{ network: "resnet-tiny", epochs: 1, batch: 32 });
    /// label::linear_probe(features, known, #{ steps: 3, batch: 16 }).label(known).n_labelled // => 64
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn linear_probe(
        ctx: NativeCallContext,
        features: Features,
        data: PartlyLabelled,
        options: Map,
    ) -> Fallible<Labeller> {
        let options = args::options::<ProbeOptions>(&ctx, options)?;
        let history = History::default();
        let job = history.watching(&shared(&ctx)?.job());
        let labeller = label::linear_probe(&features.learnt.classifier.encoder, &data, &options, &job).at(&ctx)?;
        Ok(Labeller::new(labeller, history))
    }

    /// Trains a classifier from nothing on the labelled images alone.
    ///
    /// With a few labels it is the baseline; with all of them, `data.train.keep_labels(1.0)`, the judge of generated images.
    ///
    /// ```rhai
    /// let known = data::load("fashion-mnist-10k").train.take(64).keep_labels(1.0);
    /// label::supervised(known, #{ network: "resnet-tiny", epochs: 1, batch: 16 }).label(known).n_labelled // => 64
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn supervised(ctx: NativeCallContext, data: PartlyLabelled, options: Map) -> Fallible<Labeller> {
        let options = args::options::<SupervisedOptions>(&ctx, options)?;
        let host = shared(&ctx)?;
        let history = History::default();
        let job = history.watching(&host.job());
        let labeller = label::supervised(&data, &options, &host.device().at(&ctx)?, &job).at(&ctx)?;
        Ok(Labeller::new(labeller, history))
    }

    /// Gives each image the number of a cluster of learnt features, by k-means; no label is looked at.
    ///
    /// The method `clustering` trains on them. A report on them says how many images are of the class that most images of
    /// their cluster are of.
    ///
    /// ```rhai
    /// let known = data::load("fashion-mnist-10k").train.take(64).keep_labels(0.0);
    /// let features = ssl::rotation(known, #{ network: "resnet-tiny", epochs: 1, batch: 32 });
    /// label::cluster(features, known, #{ k: 5, n_init: 2 }).classes.len() // => 5
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn cluster(
        ctx: NativeCallContext,
        features: Features,
        data: PartlyLabelled,
        options: Map,
    ) -> Fallible<Labelled> {
        let options = args::options::<ClusterOptions>(&ctx, options)?;
        let encoder = &features.learnt.classifier.encoder;
        label::cluster(encoder, &data, &options, shared(&ctx)?.stop()).at(&ctx)
    }

    /// Gives each image the number of one of 50 clusters of learnt features.
    #[rhai_fn(name = "cluster", return_raw, volatile)]
    pub fn cluster_plainly(ctx: NativeCallContext, features: Features, data: PartlyLabelled) -> Fallible<Labelled> {
        cluster(ctx, features, data, Map::new())
    }

    /// Reads labels from a file: a line `index,label` for each image, or a line with a number for each class.
    ///
    /// The file is comma-separated text, or Parquet with the same columns if its name ends in `.parquet`. Images are counted from 0. A label is the name or the number of a class; nothing, or -1, is no label. Labels that are
    /// kept stay as they are. `values: "logits"` takes the softmax of the numbers, `clusters: true` reads clusters of k-means.
    ///
    /// ```rhai
    /// let known = data::load("fashion-mnist-10k").train.take(64).keep_labels(0.5);
    /// known.only_known().save("target/labels.csv");
    /// label::load("target/labels.csv", known).n_labelled == known.n_known // => true
    /// ```
    #[rhai_fn(name = "load", return_raw)]
    pub fn load_labels(ctx: NativeCallContext, path: &str, data: PartlyLabelled) -> Fallible<Labelled> {
        label::load(path.as_ref(), &data, &LoadOptions::default()).at(&ctx)
    }

    /// Reads labels from a file, with options.
    #[rhai_fn(name = "load", return_raw)]
    pub fn load_labels_with(
        ctx: NativeCallContext,
        path: &str,
        data: PartlyLabelled,
        options: Map,
    ) -> Fallible<Labelled> {
        let options = args::options::<LoadOptions>(&ctx, options)?;
        label::load(path.as_ref(), &data, &options).at(&ctx)
    }

    /// Trains a labeller from learnt features, with all options as they are.
    #[rhai_fn(name = "semi_supervised", return_raw, volatile)]
    pub fn semi_supervised_plainly(
        ctx: NativeCallContext,
        features: Features,
        data: PartlyLabelled,
    ) -> Fallible<Labeller> {
        semi_supervised(ctx, features, data, Map::new())
    }

    /// Trains a linear classifier on frozen features, with all options as they are.
    #[rhai_fn(name = "linear_probe", return_raw, volatile)]
    pub fn linear_probe_plainly(
        ctx: NativeCallContext,
        features: Features,
        data: PartlyLabelled,
    ) -> Fallible<Labeller> {
        linear_probe(ctx, features, data, Map::new())
    }

    /// Trains a classifier on the labelled images alone, with all options as they are.
    #[rhai_fn(name = "supervised", return_raw, volatile)]
    pub fn supervised_plainly(ctx: NativeCallContext, data: PartlyLabelled) -> Fallible<Labeller> {
        supervised(ctx, data, Map::new())
    }

    /// The names of the ways to train a labeller.
    ///
    /// ```rhai
    /// label::labellers() // => ["semi_supervised", "linear_probe", "supervised", "cluster"]
    /// ```
    pub fn labellers() -> Array {
        super::super::names_of(LABELLERS)
    }
}

#[export_module]
mod using {
    /// A label for every image; labels that are kept stay as they are.
    ///
    /// ```rhai
    /// let known = data::load("fashion-mnist-10k").train.take(64).keep_labels(0.5);
    /// let features = ssl::rotation(known, #{ network: "resnet-tiny", epochs: 1, batch: 32 });
    /// label::linear_probe(features, known, #{ steps: 3, batch: 16 }).label(known).n // => 64
    /// ```
    #[rhai_fn(name = "label", return_raw)]
    pub fn label_all(ctx: NativeCallContext, labeller: Labeller, data: PartlyLabelled) -> Fallible<Labelled> {
        labeller.trained.label(&data, &LabelOptions::default(), shared(&ctx)?.stop()).at(&ctx)
    }

    /// A label for every image that the labeller is sure enough of.
    ///
    /// ```rhai
    /// let known = data::load("fashion-mnist-10k").train.take(64).keep_labels(0.5);
    /// let features = ssl::rotation(known, #{ network: "resnet-tiny", epochs: 1, batch: 32 });
    /// let labeller = label::linear_probe(features, known, #{ steps: 3, batch: 16 });
    /// labeller.label(known, #{ threshold: 1.0 }).n_labelled == known.n_known // => true
    /// ```
    #[rhai_fn(name = "label", return_raw)]
    pub fn label_with(
        ctx: NativeCallContext,
        labeller: Labeller,
        data: PartlyLabelled,
        options: Map,
    ) -> Fallible<Labelled> {
        let options = args::options::<LabelOptions>(&ctx, options)?;
        labeller.trained.label(&data, &options, shared(&ctx)?.stop()).at(&ctx)
    }

    /// Writes the labels of all images to a file, as `label::load` reads it: text, or Parquet by the ending `.parquet`.
    ///
    /// ```rhai
    /// let known = data::load("fashion-mnist-10k").train.take(64).keep_labels(0.5);
    /// known.only_known().save("target/labels.csv") // => ()
    /// ```
    #[rhai_fn(name = "save", return_raw)]
    pub fn save_labels(ctx: NativeCallContext, labelled: Labelled, path: &str) -> Fallible {
        label::save(&labelled, path.as_ref(), &SaveOptions::default()).at(&ctx)
    }

    /// Writes labels to a file; with `soft: true` how likely a labeller found each class.
    ///
    /// ```rhai
    /// let known = data::load("fashion-mnist-10k").train.take(64).keep_labels(0.5);
    /// let labeller = label::supervised(known, #{ network: "resnet-tiny", epochs: 1, batch: 16 });
    /// labeller.label(known).save("target/soft.csv", #{ soft: true });
    /// label::load("target/soft.csv", known).n_labelled // => 64
    /// ```
    #[rhai_fn(name = "save", return_raw)]
    pub fn save_labels_with(ctx: NativeCallContext, labelled: Labelled, path: &str, options: Map) -> Fallible {
        let options = args::options::<SaveOptions>(&ctx, options)?;
        label::save(&labelled, path.as_ref(), &options).at(&ctx)
    }

    /// What the training of a labeller measured at each step: a history, which shows its curves.
    ///
    /// ```rhai
    /// let known = data::load("fashion-mnist-10k").train.take(64).keep_labels(0.5);
    /// let labeller = label::supervised(known, #{ network: "resnet-tiny", epochs: 1, batch: 16 });
    /// labeller.history["loss"].len() // => 2
    /// ```
    #[rhai_fn(get = "history", pure)]
    pub fn labeller_history(labeller: &mut Labeller) -> History {
        labeller.history.clone()
    }

    /// The share of held-out images that a labeller labels right.
    ///
    /// ```rhai
    /// let data = data::load("fashion-mnist-10k");
    /// let known = data.train.take(64).keep_labels(0.5);
    /// let features = ssl::rotation(known, #{ network: "resnet-tiny", epochs: 1, batch: 32 });
    /// label::linear_probe(features, known, #{ steps: 3, batch: 16 }).accuracy(data.test.take(50)) <= 1.0 // => true
    /// ```
    #[rhai_fn(name = "accuracy", return_raw)]
    pub fn label_accuracy(ctx: NativeCallContext, labeller: Labeller, data: Dataset) -> Fallible<f64> {
        let truth = data.truth().at(&ctx)?;
        labeller.trained.accuracy(data.images(), truth.labels(), shared(&ctx)?.stop()).at(&ctx)
    }
}
