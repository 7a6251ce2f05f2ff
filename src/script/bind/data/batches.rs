//! Batches as scripts go through them.

use std::sync::Arc;

use rhai::plugin::*;
use rhai::{Array, Dynamic, Map, NativeCallContext};

use crate::data::{Batch, BatchOptions, Batches, Dataset, Labelled, PartlyLabelled};
use crate::script::{At, Fallible, args, shared};
use crate::tensor::Tensor;

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
pub mod functions {
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
