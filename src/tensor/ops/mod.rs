//! Differentiable operators, one file for each family.
//!
//! Every operator states its gradient with operators of this module, so that gradients of any order follow. `check.rs`
//! walks a table of them: first and second derivatives against finite differences in f64, the f32 kernels against f64, and
//! the path through Candle (which a GPU takes) against our kernels.

pub mod arith;
#[cfg(test)]
mod check;
#[cfg(all(test, feature = "cuda"))]
mod check_gpu;
pub mod conv;
pub mod index;
pub mod map;
pub mod matmul;
pub mod measure;
pub mod mixed;
pub mod norm;
pub mod pick;
pub mod pool;
pub mod reduce;
pub mod resize;
pub mod shape;
pub mod softmax;
pub mod spectral;
pub mod update;
