//! What sets hold, and the labels that are kept of them.

use rhai::plugin::*;
use rhai::{Array, Dynamic, Map, NativeCallContext};

use super::KeepOptions;
use crate::data::{Dataset, Labelled, PartlyLabelled, Splits};
use crate::script::display::Show;
use crate::script::{At, Fallible, args, shared};
use crate::tensor::Tensor;

#[export_module]
pub mod functions {
    /// What methods learn from.
    ///
    /// ```rhai
    /// data::load("fashion-mnist-10k").train.n // => 8000
    /// ```
    #[rhai_fn(get = "train", pure)]
    pub fn train(splits: &mut Splits) -> Dataset {
        splits.train.clone()
    }

    /// What methods are judged by.
    ///
    /// ```rhai
    /// data::load("fashion-mnist-10k").test.n // => 2000
    /// ```
    #[rhai_fn(get = "test", pure)]
    pub fn test(splits: &mut Splits) -> Dataset {
        splits.test.clone()
    }

    /// How many images there are.
    ///
    /// ```rhai
    /// data::load("fashion-mnist-10k").test.n // => 2000
    /// ```
    #[rhai_fn(get = "n", pure)]
    pub fn n(data: &mut Dataset) -> i64 {
        data.n() as i64
    }

    /// How many images there are, labelled or not.
    #[rhai_fn(get = "n", pure)]
    pub fn n_partly(data: &mut PartlyLabelled) -> i64 {
        data.n() as i64
    }

    /// How many images there are, labelled or not.
    #[rhai_fn(get = "n", pure)]
    pub fn n_labelled_set(data: &mut Labelled) -> i64 {
        data.n() as i64
    }

    /// What the classes are called.
    ///
    /// ```rhai
    /// data::load("fashion-mnist-10k").train.classes[9] // => "Ankle boot"
    /// ```
    #[rhai_fn(get = "classes", pure)]
    pub fn classes(data: &mut Dataset) -> Array {
        super::strings(data.classes())
    }

    /// What the classes are called.
    #[rhai_fn(get = "classes", pure)]
    pub fn classes_partly(data: &mut PartlyLabelled) -> Array {
        super::strings(data.classes())
    }

    /// What the classes are called.
    #[rhai_fn(get = "classes", pure)]
    pub fn classes_labelled(data: &mut Labelled) -> Array {
        super::strings(data.classes())
    }

    /// All images, `[n, channels, height, width]`, from 0 (black) to 1.
    ///
    /// ```rhai
    /// data::load("fashion-mnist-10k").test.images.shape // => [2000, 1, 28, 28]
    /// ```
    #[rhai_fn(get = "images", return_raw, pure)]
    pub fn images(ctx: NativeCallContext, data: &mut Dataset) -> Fallible<Tensor> {
        let device = shared(&ctx)?.device().at(&ctx)?;
        data.images().tensor(&device).at(&ctx)
    }

    /// The true labels of all images, for reports; methods see those that `keep_labels` keeps.
    ///
    /// ```rhai
    /// data::load("fashion-mnist-10k").test.labels.shape // => [2000]
    /// ```
    #[rhai_fn(get = "labels", return_raw, pure)]
    pub fn labels(ctx: NativeCallContext, data: &mut Dataset) -> Fallible<Tensor> {
        let device = shared(&ctx)?.device().at(&ctx)?;
        let labels = data.truth().at(&ctx)?.labels().to_vec();
        let n = labels.len();
        Tensor::from_u32s(labels, &[n], &device).at(&ctx)
    }

    /// The first images of a set, as a set of its own.
    ///
    /// ```rhai
    /// data::load("fashion-mnist-10k").train.take(100).n // => 100
    /// ```
    #[rhai_fn(return_raw)]
    pub fn take(ctx: NativeCallContext, data: Dataset, count: i64) -> Fallible<Dataset> {
        let count = args::count(&ctx, "count", count)?.min(data.n());
        let indices: Vec<u32> = (0..count as u32).collect();
        data.select(data.name(), &indices).at(&ctx)
    }

    /// Keeps the labels of a share of each class and hides the others: what a method may see.
    ///
    /// `share` is from 0 to 1; of each class at least one label is kept. The choice is printed and kept with the run.
    ///
    /// ```rhai
    /// data::load("fashion-mnist-10k").train.keep_labels(0.1).n_known // => 800
    /// ```
    #[rhai_fn(return_raw)]
    pub fn keep_labels(ctx: NativeCallContext, data: Dataset, share: f64) -> Fallible<PartlyLabelled> {
        super::keep(&ctx, &data, share, &KeepOptions::default())
    }

    /// Keeps the labels of a share of each class, drawn from a seed.
    ///
    /// With one seed a greater share keeps all that a smaller one does, and more.
    ///
    /// ```rhai
    /// data::load("fashion-mnist-10k").train.keep_labels(0.1, #{ seed: 3 }).n // => 8000
    /// ```
    #[rhai_fn(name = "keep_labels", return_raw)]
    pub fn keep_labels_with(
        ctx: NativeCallContext,
        data: Dataset,
        share: f64,
        options: Map,
    ) -> Fallible<PartlyLabelled> {
        let options = args::options::<KeepOptions>(&ctx, options)?;
        super::keep(&ctx, &data, share, &options)
    }

    /// How many labels are kept.
    ///
    /// ```rhai
    /// data::load("fashion-mnist-10k").train.keep_labels(0.05).n_known // => 400
    /// ```
    #[rhai_fn(get = "n_known", pure)]
    pub fn n_known(data: &mut PartlyLabelled) -> i64 {
        data.n_known() as i64
    }

    /// How many images have a label.
    ///
    /// ```rhai
    /// data::load("fashion-mnist-10k").train.keep_labels(0.05).only_known().n_labelled // => 400
    /// ```
    #[rhai_fn(get = "n_labelled", pure)]
    pub fn n_labelled(data: &mut Labelled) -> i64 {
        data.n_labelled() as i64
    }

    /// The kept labels alone, as if a labeller had been sure of nothing else.
    ///
    /// ```rhai
    /// data::load("fashion-mnist-10k").train.keep_labels(0.1).only_known().n_labelled // => 800
    /// ```
    pub fn only_known(data: PartlyLabelled) -> Labelled {
        data.only_known()
    }
}

fn strings(names: &[String]) -> Array {
    names.iter().map(|name| Dynamic::from(name.clone())).collect()
}

fn keep(ctx: &NativeCallContext, data: &Dataset, share: f64, options: &KeepOptions) -> Fallible<PartlyLabelled> {
    let known = data.keep_labels(share, options.seed).at(ctx)?;
    let host = shared(ctx)?;
    host.front().observer().note(&known.short());
    host.front().record("data", &data.record(Some(&known))).at(ctx)?;
    host.front().record("label_budget", &serde_json::to_value(known.budget()).unwrap_or_default()).at(ctx)?;
    Ok(known)
}
