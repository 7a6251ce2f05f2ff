//! Values, operators and gradients: the one door to Candle.
//!
//! A [`Tensor`] is a Candle tensor (storage, device, type) and, when something upstream is a parameter or was
//! [tracked](Tensor::track), a node of our own graph. Candle's own backward pass is never used: every operator
//! here states its gradient in terms of other operators here, so gradients of any order are right by construction.
//!
//! Operators live in `ops/`, one file for each family; what they call on a CPU is in `cpu/`, on a GPU in `cuda/`.

pub mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod device;
pub mod grad;
mod mapped;
pub mod ops;
mod rng;
mod room;
mod value;
mod weights;

pub use candle_core::{DType, Device};
pub use device::{about_gpu, device, device_name, gpu_count};
pub use grad::{grad, no_grad, recording, vjp};
pub use mapped::{Mapped, SharedBytes};
pub use ops::conv::Padding;
pub use ops::norm::{Activation, BatchNorm};
pub use ops::pool::Window;
pub use ops::resize::Sampling;
pub use ops::update::{AdamRow, AdamStep, adam_step, adam_steps, blend, blends};
pub use rng::Rng;
pub use value::{Leaf, Tensor};
pub use weights::{Weights, read_weights, weights_of};
