//! Training a GAN and sampling from it.
//!
//! Tables: [`LOSSES`], [`PENALTIES`], [`ARCHITECTURES`], [`COMPATS`], [`METHODS`], [`PRESETS`]. [`train()`] runs a training; [`Gan`] is what it makes, and
//! what a script trains on, samples from, clones and saves.

pub mod arch;
mod classifier;
mod directions;
mod evaluated;
mod guard;
mod journey;
mod labels;
mod latent;
mod loss;
mod measured;
mod method;
mod model;
mod network;
mod networks;
mod objective;
mod options;
mod penalty;
mod preset;
mod sample;
mod train;
mod unread;
mod verdict;

pub use arch::{ARCHITECTURES, Blueprint, COMPATS};
pub use directions::Directions;
pub use evaluated::{Evaluate, Scored};
pub use guard::Guard;
pub use journey::{Along, Interpolation, Walk};
pub use latent::{Draw, between};
pub use loss::{Adversarial, LOSSES, Loss};
pub use measured::{Judging, Sampler};
pub use method::{METHODS, Method};
pub use model::{Change, Gan, Hook};
pub use network::{Discriminator, Generator, Heads, Verdict};
pub use options::{Labels, TrainOptions};
pub use penalty::{PENALTIES, Penalty, Regulariser, Scene};
pub use preset::{PRESETS, Preset, Reached};
pub use sample::Samples;
pub use train::train;
pub use verdict::Judged;

use crate::error::Result;
use crate::table;

/// The default options changed into those of the method called `name`.
///
/// # Errors
/// An unknown name.
pub fn method(name: &str) -> Result<TrainOptions> {
    let row = table::find(METHODS, name)?;
    let mut options = TrainOptions { method: name.to_string(), ..TrainOptions::default() };
    (row.apply)(&mut options);
    Ok(options)
}

/// The default options changed into those of the preset called `name`.
///
/// # Errors
/// An unknown name.
pub fn preset(name: &str) -> Result<TrainOptions> {
    let row = table::find(PRESETS, name)?;
    let mut options = TrainOptions { preset: name.to_string(), ..TrainOptions::default() };
    (row.apply)(&mut options);
    Ok(options)
}
