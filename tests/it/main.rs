//! Every test that stands outside the library, in one binary so that Candle links once.

// A test fails by panicking, and so do the functions that it calls.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cli;
#[cfg(feature = "cuda")]
mod cuda;
mod golden_architectures;
mod golden_clip;
mod golden_dinov2;
mod golden_extractor;
mod golden_heads;
mod golden_inception;
mod golden_looking;
mod golden_methods;
mod golden_metric;
mod golden_training;
mod guarded;
mod kernel;
mod layers;
mod manual;
mod metric_properties;
mod readme;
mod rust_cell;
mod scripting;
mod scripts;
#[cfg(unix)]
mod slurm;
mod study;
mod suite;
mod tables;
mod training;
