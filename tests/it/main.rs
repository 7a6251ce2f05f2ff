//! Every test that stands outside the library, in one binary so that Candle links once.

mod golden_metric;
mod layers;
mod tables;
