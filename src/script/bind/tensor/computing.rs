//! Functions of each value, and the matrix product.

use rhai::plugin::*;
use rhai::{Dynamic, NativeCallContext};

use super::operand;
use crate::script::{At, Fallible};
use crate::tensor::Tensor;

#[export_module]
pub mod functions {
    /// A mixture of two tensors: `a + t (b - a)`, tracked, so that `grad` can ask for the slope there.
    ///
    /// ```rhai
    /// mix(tensor::from([0, 10]), tensor::from([4, 20]), 0.25) // => tensor([1, 12.5])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn mix(ctx: NativeCallContext, a: Tensor, b: Tensor, t: Dynamic) -> Fallible<Tensor> {
        let share = super::operand(&ctx, "t", &t)?;
        a.mix(&b, &share).at(&ctx)
    }

    /// The rectifier: max(0, x).
    ///
    /// ```rhai
    /// relu(tensor::from([-1, 2])) // => tensor([0, 2])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn relu(ctx: NativeCallContext, t: Tensor) -> Fallible<Tensor> {
        t.relu().at(&ctx)
    }

    /// The leaky rectifier: x where it is positive, `slope` x elsewhere.
    ///
    /// ```rhai
    /// leaky_relu(tensor::from([-1, 2]), 0.5) // => tensor([-0.5, 2])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn leaky_relu(ctx: NativeCallContext, t: Tensor, slope: f64) -> Fallible<Tensor> {
        t.leaky_relu(slope).at(&ctx)
    }

    /// The hyperbolic tangent of each value.
    ///
    /// ```rhai
    /// tanh(tensor::from([0])) // => tensor([0])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn tanh(ctx: NativeCallContext, t: Tensor) -> Fallible<Tensor> {
        t.tanh().at(&ctx)
    }

    /// The logistic function: 1 / (1 + exp(-x)).
    ///
    /// ```rhai
    /// sigmoid(tensor::from([0])) // => tensor([0.5])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn sigmoid(ctx: NativeCallContext, t: Tensor) -> Fallible<Tensor> {
        t.sigmoid().at(&ctx)
    }

    /// The soft rectifier: log(1 + exp(x)), without overflow.
    ///
    /// ```rhai
    /// softplus(tensor::from([1000])) // => tensor([1000])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn softplus(ctx: NativeCallContext, t: Tensor) -> Fallible<Tensor> {
        t.softplus().at(&ctx)
    }

    /// The exponential of each value.
    ///
    /// ```rhai
    /// exp(tensor::from([0])) // => tensor([1])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn exp(ctx: NativeCallContext, t: Tensor) -> Fallible<Tensor> {
        t.exp().at(&ctx)
    }

    /// The natural logarithm of each value.
    ///
    /// ```rhai
    /// log(tensor::from([1])) // => tensor([0])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn log(ctx: NativeCallContext, t: Tensor) -> Fallible<Tensor> {
        t.log().at(&ctx)
    }

    /// The square root of each value.
    ///
    /// ```rhai
    /// sqrt(tensor::from([9])) // => tensor([3])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn sqrt(ctx: NativeCallContext, t: Tensor) -> Fallible<Tensor> {
        t.sqrt().at(&ctx)
    }

    /// The square of each value.
    ///
    /// ```rhai
    /// tensor::from([-3]).square() // => tensor([9])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn square(ctx: NativeCallContext, t: Tensor) -> Fallible<Tensor> {
        t.square().at(&ctx)
    }

    /// The size without the sign.
    ///
    /// ```rhai
    /// abs(tensor::from([-3, 2])) // => tensor([3, 2])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn abs(ctx: NativeCallContext, t: Tensor) -> Fallible<Tensor> {
        t.abs().at(&ctx)
    }

    /// The values kept between `low` and `high`.
    ///
    /// ```rhai
    /// tensor::from([-3, 0.5, 3]).clamp(-1, 1) // => tensor([-1, 0.5, 1])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn clamp(ctx: NativeCallContext, t: Tensor, low: f64, high: f64) -> Fallible<Tensor> {
        t.clamp(low, high).at(&ctx)
    }

    /// The larger of two tensors, value by value; shapes broadcast.
    ///
    /// ```rhai
    /// maximum(tensor::from([1, 5]), tensor::from([3, 2])) // => tensor([3, 5])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn maximum(ctx: NativeCallContext, a: Tensor, b: Dynamic) -> Fallible<Tensor> {
        a.maximum(&super::operand(&ctx, "b", &b)?).at(&ctx)
    }

    /// The smaller of two tensors, value by value; shapes broadcast.
    ///
    /// ```rhai
    /// minimum(tensor::from([1, 5]), 2) // => tensor([1, 2])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn minimum(ctx: NativeCallContext, a: Tensor, b: Dynamic) -> Fallible<Tensor> {
        a.minimum(&super::operand(&ctx, "b", &b)?).at(&ctx)
    }

    /// The matrix product, over the last two dimensions.
    ///
    /// ```rhai
    /// tensor::from([[1, 2]]).matmul(tensor::from([[3], [4]])) // => tensor([[11]])
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn matmul(ctx: NativeCallContext, a: &mut Tensor, b: Tensor) -> Fallible<Tensor> {
        a.matmul(&b).at(&ctx)
    }
}
