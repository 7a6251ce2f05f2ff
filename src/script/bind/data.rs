//! Data sets, label budgets, inferred labels, batches.

use std::sync::Arc;

use rhai::plugin::*;
use rhai::{Array, Dynamic, Engine, Map, NativeCallContext};

use crate::data::{
    self, Batch, BatchOptions, Batches, Dataset, LabelReport, Labelled, LoadOptions, PartlyLabelled, Splits,
};
use crate::error::Error;
use crate::script::display::{self, Show};
use crate::script::manual::{Setting, settings_of};
use crate::script::{At, Fallible, args, shared};
use crate::tensor::Tensor;

crate::options! {
    /// Options of `keep_labels`.
    pub struct KeepOptions("keep_labels") {
        /// What the choice of images is drawn from.
        pub seed: u64 = 1,
    }
}

pub(super) fn register(engine: &mut Engine) {
    display::know::<Splits>(engine);
    display::know::<Dataset>(engine);
    display::know::<PartlyLabelled>(engine);
    display::know::<Labelled>(engine);
    display::know::<LabelReport>(engine);
    display::know::<Batch>(engine);
    display::know::<Stream>(engine);
    engine.register_static_module("data", rhai::exported_module!(loading).into());
    engine.register_global_module(rhai::exported_module!(using).into());
    engine.register_iterator_result::<Stream, Batch>();
}

pub(super) fn options() -> Vec<(&'static str, Vec<Setting>)> {
    vec![settings_of::<LoadOptions>(), settings_of::<BatchOptions>(), settings_of::<KeepOptions>()]
}

/// Batches as a script goes through them: from the first on, to an end if there is one.
#[derive(Clone)]
pub struct Stream {
    /// What it goes through.
    pub(in crate::script) batches: Arc<Batches>,
    next: u64,
    /// Before which batch it ends.
    pub(in crate::script) end: Option<u64>,
}

impl Stream {
    fn new(batches: Batches) -> Self {
        Self { batches: Arc::new(batches), next: 0, end: None }
    }
}

impl Iterator for Stream {
    type Item = Fallible<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.end.is_some_and(|end| self.next >= end) {
            return None;
        }
        let batch = self.batches.batch(self.next);
        self.next = self.next.saturating_add(1);
        Some(batch.map_err(|error| crate::script::raise(error, rhai::Position::NONE)))
    }
}

#[export_module]
mod loading {
    /// Reads a data set: one of `data::names()`, or the path of a folder with a folder of images for each class.
    ///
    /// The default, `fashion-mnist-10k`, lies inside the program: 10,000 photographs of clothes, 28x28, grey.
    ///
    /// ```rhai
    /// data::load("fashion-mnist-10k").train.n // => 8000
    /// ```
    #[rhai_fn(return_raw)]
    pub fn load(ctx: NativeCallContext, name: &str) -> Fallible<Splits> {
        data::load(name, &LoadOptions::default()).at(&ctx)
    }

    /// Reads a data set, with options.
    ///
    /// ```rhai
    /// data::load("fashion-mnist-10k", #{ size: 32 }).train.images.shape // => [8000, 1, 32, 32]
    /// ```
    #[rhai_fn(name = "load", return_raw)]
    pub fn load_with(ctx: NativeCallContext, name: &str, options: Map) -> Fallible<Splits> {
        let options = args::options::<LoadOptions>(&ctx, options)?;
        data::load(name, &options).at(&ctx)
    }

    /// The names of the data sets that can be loaded.
    ///
    /// ```rhai
    /// data::names()[0] // => "fashion-mnist-10k"
    /// ```
    pub fn names() -> Array {
        super::super::names_of(data::SOURCES)
    }
}

#[export_module]
mod using {
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

    /// Shuffled batches with all labels, without end: `for batch in data.train.batches(64).take(200) { .. }`.
    ///
    /// The same seed gives the same batches. The options are those of `batches`.
    ///
    /// ```rhai
    /// let shapes = [];
    /// for batch in data::load("fashion-mnist-10k").train.batches(64).take(2) { shapes.push(batch.images.shape); }
    /// shapes // => [[64, 1, 28, 28], [64, 1, 28, 28]]
    /// ```
    #[rhai_fn(name = "batches", return_raw)]
    pub fn batches(ctx: NativeCallContext, data: Dataset, size: i64) -> Fallible<Stream> {
        super::batches_of_all(&ctx, &data, size, Map::new())
    }

    /// Shuffled batches with all labels, with options.
    ///
    /// ```rhai
    /// data::load("fashion-mnist-10k").train.batches(64, #{ seed: 2, flip: true }).per_epoch // => 125
    /// ```
    #[rhai_fn(name = "batches", return_raw)]
    pub fn batches_with(ctx: NativeCallContext, data: Dataset, size: i64, options: Map) -> Fallible<Stream> {
        super::batches_of_all(&ctx, &data, size, options)
    }

    /// Shuffled batches of all images, without labels.
    #[rhai_fn(name = "batches", return_raw)]
    pub fn batches_partly(ctx: NativeCallContext, data: PartlyLabelled, size: i64) -> Fallible<Stream> {
        super::partly(&ctx, &data, size, Map::new())
    }

    /// Shuffled batches of all images, without labels, with options.
    #[rhai_fn(name = "batches", return_raw)]
    pub fn batches_partly_with(
        ctx: NativeCallContext,
        data: PartlyLabelled,
        size: i64,
        options: Map,
    ) -> Fallible<Stream> {
        super::partly(&ctx, &data, size, options)
    }

    /// Shuffled batches of the images that have a label.
    #[rhai_fn(name = "batches", return_raw)]
    pub fn batches_labelled(ctx: NativeCallContext, data: Labelled, size: i64) -> Fallible<Stream> {
        super::labelled(&ctx, &data, size, Map::new())
    }

    /// Shuffled batches of the images that have a label, with options.
    #[rhai_fn(name = "batches", return_raw)]
    pub fn batches_labelled_with(ctx: NativeCallContext, data: Labelled, size: i64, options: Map) -> Fallible<Stream> {
        super::labelled(&ctx, &data, size, options)
    }

    /// Shuffled batches of the images whose label is kept.
    ///
    /// ```rhai
    /// let known = data::load("fashion-mnist-10k").train.keep_labels(0.1);
    /// known.known_batches(32).batch(0).labels.shape // => [32]
    /// ```
    #[rhai_fn(return_raw)]
    pub fn known_batches(ctx: NativeCallContext, data: PartlyLabelled, size: i64) -> Fallible<Stream> {
        let size = args::count(&ctx, "size", size)?;
        let device = shared(&ctx)?.device().at(&ctx)?;
        Ok(Stream::new(data.known_batches(size, &BatchOptions::default()).at(&ctx)?.on(&device)))
    }

    /// The first batches, after which the loop ends.
    ///
    /// ```rhai
    /// let n = 0;
    /// for batch in data::load("fashion-mnist-10k").train.batches(64).take(3) { n += 1; }
    /// n // => 3
    /// ```
    #[rhai_fn(name = "take", return_raw)]
    pub fn take_batches(ctx: NativeCallContext, batches: Stream, count: i64) -> Fallible<Stream> {
        let count = args::count(&ctx, "count", count)? as u64;
        Ok(Stream { end: Some(batches.next.saturating_add(count)), ..batches })
    }

    /// The batches of so many passes over the images.
    ///
    /// ```rhai
    /// data::load("fashion-mnist-10k").train.batches(80).epochs(2) // => 200 batches of 80 from 8000 images
    /// ```
    #[rhai_fn(return_raw)]
    pub fn epochs(ctx: NativeCallContext, batches: Stream, count: i64) -> Fallible<Stream> {
        let count = args::count(&ctx, "count", count)?;
        let each = batches.batches.per_epoch();
        Ok(Stream { end: Some(batches.next.saturating_add(count.saturating_mul(each) as u64)), ..batches })
    }

    /// One batch by its number, from 0.
    ///
    /// ```rhai
    /// data::load("fashion-mnist-10k").train.batches(64).batch(7).images.rows // => 64
    /// ```
    #[rhai_fn(return_raw)]
    pub fn batch(ctx: NativeCallContext, batches: Stream, number: i64) -> Fallible<Batch> {
        let number = args::count(&ctx, "number", number)?;
        batches.batches.batch(number as u64).at(&ctx)
    }

    /// Whole batches in a pass over the images.
    ///
    /// ```rhai
    /// data::load("fashion-mnist-10k").train.batches(64).per_epoch // => 125
    /// ```
    #[rhai_fn(get = "per_epoch", pure)]
    pub fn per_epoch(batches: &mut Stream) -> i64 {
        batches.batches.per_epoch() as i64
    }

    /// The images of a batch, `[batch, channels, height, width]`, from 0 (black) to 1.
    #[rhai_fn(get = "images", pure)]
    pub fn batch_images(batch: &mut Batch) -> Tensor {
        batch.images.clone()
    }

    /// The labels of a batch, `[batch]`.
    #[rhai_fn(get = "labels", return_raw, pure)]
    pub fn batch_labels(ctx: NativeCallContext, batch: &mut Batch) -> Fallible<Tensor> {
        batch.labels().cloned().at(&ctx)
    }

    /// How likely each class is for each image of a batch, `[batch, classes]`, or `()`.
    ///
    /// ```rhai
    /// data::load("fashion-mnist-10k").train.batches(64).batch(0).probs // => ()
    /// ```
    #[rhai_fn(get = "probs", pure)]
    pub fn batch_probs(batch: &mut Batch) -> Dynamic {
        batch.probs.clone().map_or(Dynamic::UNIT, Dynamic::from)
    }

    /// Which images of the set are in a batch.
    ///
    /// ```rhai
    /// data::load("fashion-mnist-10k").train.batches(64).batch(0).indices.len() // => 64
    /// ```
    #[rhai_fn(get = "indices", pure)]
    pub fn batch_indices(batch: &mut Batch) -> Array {
        batch.indices.iter().map(|index| Dynamic::from_int(i64::from(*index))).collect()
    }

    /// How good inferred labels are, against the truth they were hidden from: coverage, accuracy, confusion.
    ///
    /// The report goes into the run, too.
    ///
    /// ```rhai
    /// let train = data::load("fashion-mnist-10k").train;
    /// train.keep_labels(0.1).only_known().report(train).coverage // => 0.1
    /// ```
    #[rhai_fn(name = "report", return_raw)]
    pub fn label_report(ctx: NativeCallContext, labelled: Labelled, truth: Dataset) -> Fallible<LabelReport> {
        let report = labelled.report(&truth).at(&ctx)?;
        let mut record = serde_json::to_value(&report).unwrap_or_default();
        record["title"] = labelled.name().into();
        shared(&ctx)?.front().record("labels", &record).at(&ctx)?;
        Ok(report)
    }

    /// The share of the images that have a label.
    ///
    /// ```rhai
    /// let train = data::load("fashion-mnist-10k").train;
    /// train.keep_labels(0.5).only_known().report(train).coverage // => 0.5
    /// ```
    #[rhai_fn(get = "coverage", pure)]
    pub fn coverage(report: &mut LabelReport) -> f64 {
        report.coverage
    }

    /// The share of the labels that are true, or `()` if there are none.
    ///
    /// ```rhai
    /// let train = data::load("fashion-mnist-10k").train;
    /// train.keep_labels(0.5).only_known().report(train).accuracy // => 1.0
    /// ```
    #[rhai_fn(get = "accuracy", pure)]
    pub fn accuracy(report: &mut LabelReport) -> Dynamic {
        report.accuracy.map_or(Dynamic::UNIT, Dynamic::from_float)
    }

    /// The share of the inferred labels that are true, or `()` if there are none.
    ///
    /// ```rhai
    /// let train = data::load("fashion-mnist-10k").train;
    /// train.keep_labels(0.5).only_known().report(train).inferred_accuracy // => ()
    /// ```
    #[rhai_fn(get = "inferred_accuracy", pure)]
    pub fn inferred_accuracy(report: &mut LabelReport) -> Dynamic {
        report.inferred_accuracy.map_or(Dynamic::UNIT, Dynamic::from_float)
    }

    /// How often an image of the class of the row got the label of the column.
    ///
    /// ```rhai
    /// let train = data::load("fashion-mnist-10k").train;
    /// train.keep_labels(0.5).only_known().report(train).confusion[0][0] // => 400
    /// ```
    #[rhai_fn(get = "confusion", pure)]
    pub fn confusion(report: &mut LabelReport) -> Array {
        let row =
            |row: &Vec<usize>| Dynamic::from_array(row.iter().map(|count| Dynamic::from_int(*count as i64)).collect());
        report.confusion.iter().map(row).collect()
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

fn batches_of_all(ctx: &NativeCallContext, data: &Dataset, size: i64, options: Map) -> Fallible<Stream> {
    let size = args::count(ctx, "size", size)?;
    let options = args::options::<BatchOptions>(ctx, options)?;
    let device = shared(ctx)?.device().at(ctx)?;
    Ok(Stream::new(data.batches(size, &options).at(ctx)?.on(&device)))
}

fn partly(ctx: &NativeCallContext, data: &PartlyLabelled, size: i64, options: Map) -> Fallible<Stream> {
    let size = args::count(ctx, "size", size)?;
    let options = args::options::<BatchOptions>(ctx, options)?;
    let device = shared(ctx)?.device().at(ctx)?;
    Ok(Stream::new(data.batches(size, &options).at(ctx)?.on(&device)))
}

fn labelled(ctx: &NativeCallContext, data: &Labelled, size: i64, options: Map) -> Fallible<Stream> {
    let size = args::count(ctx, "size", size)?;
    let options = args::options::<BatchOptions>(ctx, options)?;
    let device = shared(ctx)?.device().at(ctx)?;
    Ok(Stream::new(data.batches(size, &options).at(ctx)?.on(&device)))
}

/// A set with labels for training, from whatever of the kind a script has.
pub(super) fn labelled_of(ctx: &NativeCallContext, value: &Dynamic) -> Fallible<Labelled> {
    if let Some(labelled) = value.read_lock::<Labelled>() {
        return Ok(labelled.clone());
    }
    if let Some(known) = value.read_lock::<PartlyLabelled>() {
        return Ok(known.only_known());
    }
    if let Some(data) = value.read_lock::<Dataset>() {
        let known = data.keep_labels(1.0, KeepOptions::default().seed).at(ctx)?;
        return Ok(known.only_known());
    }
    let error = Error::new(format!("the data are {}", args::type_word(ctx, value)));
    Err(error.help("give a labelled set, a set with some labels kept, or `data.train`")).at(ctx)
}
