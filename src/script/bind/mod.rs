//! What scripts can call: one file or folder a namespace, one documented function a script function, no arithmetic.
//!
//! The `///` of each function is its page in the manual: a sentence that stands alone, what the types do not say,
//! and an example that calls it and states its value, which a test runs.

// Rhai's macro writes an `unwrap` for a property's own value, whose lock the engine holds by then. That no function here
// writes one by hand is held by `tests/it/layers.rs`.
#![allow(clippy::unwrap_used)]

mod animation;
mod config;
mod data;
mod embed;
mod evaluating;
mod figure;
mod gan;
mod general;
mod history;
mod label;
mod looking;
mod metric;
mod nn;
mod operators;
mod results;
mod rust;
mod ssl;
mod study;
mod tensor;

pub(in crate::script) use animation::Moving;
pub(in crate::script) use data::Stream;
pub(in crate::script) use figure::Shown;
pub(in crate::script) use gan::{Gan, Samples};
pub(in crate::script) use label::Labeller;
pub(in crate::script) use looking::Found;
pub(in crate::script) use metric::Judge;
pub(in crate::script) use nn::{Network, Training};
use rhai::{Array, Dynamic, Engine};
pub(in crate::script) use ssl::Features;
pub(in crate::script) use study::{Comparison, StudyTable};

use crate::script::choices::Choices;
use crate::script::manual::Setting;
use crate::table::Row;

/// Makes everything known to `engine`.
pub fn register(engine: &mut Engine) {
    general::register(engine);
    operators::register(engine);
    tensor::register(engine);
    nn::register(engine);
    data::register(engine);
    ssl::register(engine);
    label::register(engine);
    gan::register(engine);
    looking::register(engine);
    animation::register(engine);
    embed::register(engine);
    history::register(engine);
    config::register(engine);
    results::register(engine);
    rust::register(engine);
    figure::register(engine);
    metric::register(engine);
    study::register(engine);
}

/// The options of every function that takes them.
pub fn options() -> Vec<(&'static str, Vec<Setting>)> {
    [
        data::options(),
        nn::options(),
        ssl::options(),
        label::options(),
        gan::options(),
        looking::options(),
        embed::options(),
        figure::options(),
        metric::options(),
        study::options(),
    ]
    .concat()
}

/// The tables whose rows stand as strings in scripts.
pub fn choices() -> Vec<Choices> {
    vec![
        Choices::of(crate::data::SOURCES),
        Choices::of(crate::ssl::TASKS),
        Choices::of(crate::label::LABELLERS),
        Choices::of(crate::gan::METHODS),
        Choices::of(crate::gan::PRESETS),
        Choices::of(crate::gan::LOSSES),
        Choices::of(crate::gan::PENALTIES),
        Choices::of(crate::gan::ARCHITECTURES),
        Choices::of(crate::gan::COMPATS),
        Choices::of(crate::metric::METRICS),
        Choices::of(crate::metric::EXTRACTORS),
        Choices::of(crate::nn::ENCODERS),
        Choices::of(crate::nn::NORMS),
        Choices::of(crate::nn::OPTIMISERS),
    ]
}

/// The names of a table as a script's list.
fn names_of<R: Row>(rows: &'static [R]) -> Array {
    rows.iter().map(|row| Dynamic::from(row.name().to_string())).collect()
}
