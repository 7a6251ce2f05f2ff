//! Data sets, label budgets, inferred labels, batches.

mod batches;
mod loading;
mod reports;
mod sets;

use rhai::{Dynamic, Engine, NativeCallContext};

pub use batches::Stream;

use crate::data::{Batch, BatchOptions, Dataset, LabelReport, Labelled, LoadOptions, PartlyLabelled, Splits};
use crate::error::Error;
use crate::script::display;
use crate::script::manual::{Setting, settings_of};
use crate::script::{At, Fallible, args};

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
    engine.register_static_module("data", rhai::exported_module!(loading::functions).into());
    engine.register_global_module(rhai::exported_module!(sets::functions).into());
    engine.register_global_module(rhai::exported_module!(batches::functions).into());
    engine.register_global_module(rhai::exported_module!(reports::functions).into());
    engine.register_iterator_result::<Stream, Batch>();
}

pub(super) fn options() -> Vec<(&'static str, Vec<Setting>)> {
    vec![settings_of::<LoadOptions>(), settings_of::<BatchOptions>(), settings_of::<KeepOptions>()]
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
