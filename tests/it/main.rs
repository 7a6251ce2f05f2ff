//! Every test that stands outside the library, in one binary so that Candle links once.

// A test fails by panicking, and so do the functions that it calls.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod golden_metric;
mod layers;
mod metric_properties;
mod tables;
