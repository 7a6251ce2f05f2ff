//! CPU kernels on plain slices. No Candle, no gradients.
