//! What a GPU computes with code of our own: convolutions through cuDNN, everything else by the kernels in `kernels.cu`.
//! Candle keeps the memory and the matrix products.
//!
//! This folder is in builds with `cuda` alone, and the only place that names CUDA. Operators ask it through [`on_gpu`]
//! and go through Candle's own kernels where it does not answer: for types other than f32 and f64, for empty tensors and
//! for those of 2^31 values and more.
//!
//! All work of a device goes into one stream, in order. Memory is taken from and given back to that stream, so that
//! nothing waits for the GPU until values are read.

mod device;
mod elementwise;
mod image;
mod launch;
mod norm;
mod pick;
mod reduce;
mod spectral;
mod update;

#[cfg(feature = "cudnn")]
mod conv;

#[cfg(feature = "cudnn")]
pub(crate) use conv::{backward_data, backward_weight, forward};
pub(crate) use device::{describe, open, set_tf32, tf32};
pub(crate) use elementwise::{Map, Pair, compact, contiguous, flip, for_product, map, pad, pair, pixels, slope};
pub(crate) use image::{average, average_back, band, grow, max_back, max_places, shrink};
pub(crate) use norm::{batch_norm, batch_norm_back};
pub(crate) use pick::{flat_places, gather, one_hot, scatter};
pub(crate) use reduce::{argmax, softmax, softmax_back, sum};
pub(crate) use spectral::{over_sigma, over_sigma_back, singular};
pub(crate) use update::{adam, blend};
