//! Values, operators and gradients: the one door to Candle.
pub mod cpu;
