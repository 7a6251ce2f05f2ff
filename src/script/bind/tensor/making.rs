//! How tensors are made: of numbers, and of other tensors.

use rhai::plugin::*;
use rhai::{Array, Dynamic, NativeCallContext};

use super::{dim_of, flattened, labels_of, tensors_of};
use crate::script::{At, Fallible, args, shared};
use crate::tensor::{DType, Tensor};

#[export_module]
pub mod functions {
    /// A tensor of the numbers in an array, which may be nested.
    ///
    /// The values are f32. Rows of different lengths are an error. `tensor::labels` makes whole numbers.
    ///
    /// ```rhai
    /// tensor::from([[1, 2], [3, 4]]).shape // => [2, 2]
    /// ```
    #[rhai_fn(return_raw)]
    pub fn from(ctx: NativeCallContext, values: Array) -> Fallible<Tensor> {
        let device = shared(&ctx)?.device().at(&ctx)?;
        let mut shape = Vec::new();
        let numbers = super::flattened(&ctx, &values, 0, &mut shape)?;
        Tensor::from_vec(numbers.into_iter().map(|v| v as f32).collect(), &shape, &device).at(&ctx)
    }

    /// A tensor of labels: whole numbers from 0, as u32.
    ///
    /// ```rhai
    /// tensor::labels([2, 0, 1]).dtype // => "u32"
    /// ```
    #[rhai_fn(return_raw)]
    pub fn labels(ctx: NativeCallContext, labels: Array) -> Fallible<Tensor> {
        super::labels_of(&ctx, "labels", &Dynamic::from_array(labels))
    }

    /// A tensor of zeros.
    ///
    /// ```rhai
    /// tensor::zeros([3]) // => tensor([0, 0, 0])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn zeros(ctx: NativeCallContext, shape: Array) -> Fallible<Tensor> {
        let device = shared(&ctx)?.device().at(&ctx)?;
        Tensor::zeros(&args::shape(&ctx, "shape", &shape)?, DType::F32, &device).at(&ctx)
    }

    /// A tensor of ones.
    ///
    /// ```rhai
    /// tensor::ones([2, 2]) // => tensor([[1, 1], [1, 1]])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn ones(ctx: NativeCallContext, shape: Array) -> Fallible<Tensor> {
        let device = shared(&ctx)?.device().at(&ctx)?;
        Tensor::ones(&args::shape(&ctx, "shape", &shape)?, DType::F32, &device).at(&ctx)
    }

    /// A tensor of one value everywhere.
    ///
    /// ```rhai
    /// tensor::full([3], 0.5) // => tensor([0.5, 0.5, 0.5])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn full(ctx: NativeCallContext, shape: Array, value: Dynamic) -> Fallible<Tensor> {
        let device = shared(&ctx)?.device().at(&ctx)?;
        let value = args::number(&ctx, "value", &value)?;
        Tensor::full(value, &args::shape(&ctx, "shape", &shape)?, DType::F32, &device).at(&ctx)
    }

    /// The numbers from `from` to before `to`, one apart.
    ///
    /// ```rhai
    /// tensor::range(2, 5) // => tensor([2, 3, 4])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn range(ctx: NativeCallContext, from: i64, to: i64) -> Fallible<Tensor> {
        let device = shared(&ctx)?.device().at(&ctx)?;
        Tensor::range(from, to, &device).at(&ctx)
    }

    /// Tensors one after the other along a dimension.
    ///
    /// ```rhai
    /// tensor::cat([tensor::from([1, 2]), tensor::from([3])], 0) // => tensor([1, 2, 3])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn cat(ctx: NativeCallContext, tensors: Array, dim: i64) -> Fallible<Tensor> {
        let tensors = super::tensors_of(&ctx, "tensors", &tensors)?;
        let dim = super::dim_of(&ctx, tensors.first(), dim)?;
        Tensor::cat(&tensors.iter().collect::<Vec<_>>(), dim).at(&ctx)
    }

    /// Tensors of one shape along a new dimension.
    ///
    /// ```rhai
    /// tensor::stack([tensor::from([1, 2]), tensor::from([3, 4])], 0).shape // => [2, 2]
    /// ```
    #[rhai_fn(return_raw)]
    pub fn stack(ctx: NativeCallContext, tensors: Array, dim: i64) -> Fallible<Tensor> {
        let tensors = super::tensors_of(&ctx, "tensors", &tensors)?;
        let dim = args::count(&ctx, "dim", dim)?;
        Tensor::stack(&tensors.iter().collect::<Vec<_>>(), dim).at(&ctx)
    }
}
