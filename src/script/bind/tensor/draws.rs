//! Random draws of a script, from the seed of its session.

use rhai::plugin::*;
use rhai::{Array, NativeCallContext};

use crate::script::{At, Fallible, args, shared};
use crate::tensor::Tensor;

#[export_module]
pub mod functions {
    /// A tensor of random numbers from 0 to below 1, from the session's seed.
    ///
    /// Each draw of a script takes the next numbers of the seed, the same on every device.
    ///
    /// ```rhai
    /// uniform([64, 1]).shape // => [64, 1]
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn uniform(ctx: NativeCallContext, shape: Array) -> Fallible<Tensor> {
        let host = shared(&ctx)?;
        host.rng().uniform_tensor(&args::shape(&ctx, "shape", &shape)?, &host.device().at(&ctx)?).at(&ctx)
    }

    /// A tensor of random numbers from the standard normal distribution, from the session's seed.
    ///
    /// Each draw of a script takes the next numbers of the seed, the same on every device.
    ///
    /// ```rhai
    /// normal([64, 128]).shape // => [64, 128]
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn normal(ctx: NativeCallContext, shape: Array) -> Fallible<Tensor> {
        let host = shared(&ctx)?;
        host.rng().normal_tensor(&args::shape(&ctx, "shape", &shape)?, &host.device().at(&ctx)?).at(&ctx)
    }
}
