//! What operators call on a CPU: loops over plain slices. Knows neither Candle nor gradients.
//!
//! Every kernel gives the same bits for any number of threads: a sum is cut where the shape says, never where the
//! threads do. Kernels check nothing; shapes are checked, with words, by the operators above.

pub mod adam;
pub mod buffer;
pub mod conv;
pub mod dispatch;
mod elementary;
pub mod map;
pub mod matmul;
pub mod norm;
pub mod normal;
pub mod order;
pub mod philox;
pub mod pick;
pub mod pool;
pub mod real;
pub mod reduce;
pub mod resize;
pub mod softmax;
