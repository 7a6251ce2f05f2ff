//! Shapes and types: how the same values are laid out, and how they are read.

use rhai::plugin::*;
use rhai::{Array, Dynamic, NativeCallContext};

use super::{DTYPES, array_of, dims_of, labels_of};
use crate::script::{At, Fallible, args};
use crate::tensor::{DType, Tensor};

#[export_module]
pub mod functions {
    /// The last two dimensions exchanged.
    ///
    /// ```rhai
    /// tensor::from([[1, 2]]).transpose().shape // => [2, 1]
    /// ```
    #[rhai_fn(return_raw)]
    pub fn transpose(ctx: NativeCallContext, t: Tensor) -> Fallible<Tensor> {
        t.t().at(&ctx)
    }

    /// Dimensions in another order: dimension `i` of the result is dimension `order[i]`.
    ///
    /// ```rhai
    /// tensor::zeros([2, 3, 4]).permute([2, 0, 1]).shape // => [4, 2, 3]
    /// ```
    #[rhai_fn(return_raw)]
    pub fn permute(ctx: NativeCallContext, t: Tensor, order: Array) -> Fallible<Tensor> {
        let order = super::dims_of(&ctx, &t, &Dynamic::from_array(order))?;
        t.permute(&order).at(&ctx)
    }

    /// The same values under another shape.
    ///
    /// ```rhai
    /// tensor::range(0, 6).reshape([2, 3]).shape // => [2, 3]
    /// ```
    #[rhai_fn(return_raw)]
    pub fn reshape(ctx: NativeCallContext, t: Tensor, shape: Array) -> Fallible<Tensor> {
        t.reshape(&args::shape(&ctx, "shape", &shape)?).at(&ctx)
    }

    /// All dimensions but the first as one: a row for each item.
    ///
    /// ```rhai
    /// tensor::zeros([8, 3, 4, 4]).flatten().shape // => [8, 48]
    /// ```
    #[rhai_fn(return_raw)]
    pub fn flatten(ctx: NativeCallContext, t: Tensor) -> Fallible<Tensor> {
        t.flatten(1).at(&ctx)
    }

    /// A dimension of length 1 put in before dimension `dim`.
    ///
    /// ```rhai
    /// tensor::zeros([3]).unsqueeze(0).shape // => [1, 3]
    /// ```
    #[rhai_fn(return_raw)]
    pub fn unsqueeze(ctx: NativeCallContext, t: Tensor, dim: i64) -> Fallible<Tensor> {
        t.unsqueeze(args::count(&ctx, "dim", dim)?).at(&ctx)
    }

    /// Without dimension `dim`, which is of length 1.
    ///
    /// ```rhai
    /// tensor::zeros([3, 1]).squeeze(-1).shape // => [3]
    /// ```
    #[rhai_fn(return_raw)]
    pub fn squeeze(ctx: NativeCallContext, t: Tensor, dim: i64) -> Fallible<Tensor> {
        let dim = t.dim_index(dim).at(&ctx)?;
        t.squeeze(dim).at(&ctx)
    }

    /// The values repeated to fill a larger shape, as operators do.
    ///
    /// ```rhai
    /// tensor::from([1, 2]).broadcast([2, 2]) // => tensor([[1, 2], [1, 2]])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn broadcast(ctx: NativeCallContext, t: Tensor, shape: Array) -> Fallible<Tensor> {
        t.broadcast_to(&args::shape(&ctx, "shape", &shape)?).at(&ctx)
    }

    /// The values of a dimension in reverse order.
    ///
    /// ```rhai
    /// tensor::from([1, 2, 3]).flip(0) // => tensor([3, 2, 1])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn flip(ctx: NativeCallContext, t: Tensor, dim: i64) -> Fallible<Tensor> {
        let dim = t.dim_index(dim).at(&ctx)?;
        t.flip(dim).at(&ctx)
    }

    /// Images turned by `turns` quarter turns, counter-clockwise.
    ///
    /// ```rhai
    /// tensor::from([[1, 2], [3, 4]]).rotate90(1) // => tensor([[2, 4], [1, 3]])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn rotate90(ctx: NativeCallContext, t: Tensor, turns: i64) -> Fallible<Tensor> {
        t.rotate90(turns.rem_euclid(4) as usize).at(&ctx)
    }

    /// The rows that whole numbers name, in their order.
    ///
    /// ```rhai
    /// tensor::from([10, 20, 30]).pick([2, 0]) // => tensor([30, 10])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn pick(ctx: NativeCallContext, t: Tensor, rows: Dynamic) -> Fallible<Tensor> {
        t.select_rows(&super::labels_of(&ctx, "rows", &rows)?).at(&ctx)
    }

    /// Labels as rows with a 1 at the label and 0 elsewhere.
    ///
    /// ```rhai
    /// tensor::labels([1, 0]).one_hot(3) // => tensor([[0, 1, 0], [1, 0, 0]])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn one_hot(ctx: NativeCallContext, labels: Tensor, classes: i64) -> Fallible<Tensor> {
        labels.one_hot(args::count(&ctx, "classes", classes)?).at(&ctx)
    }

    /// The same values as another type: `"f32"`, `"f64"`, `"u32"` or `"u8"`.
    ///
    /// ```rhai
    /// tensor::from([1.7]).to_dtype("u32") // => tensor([1])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn to_dtype(ctx: NativeCallContext, t: Tensor, dtype: &str) -> Fallible<Tensor> {
        let (_, dtype) = super::DTYPES
            .iter()
            .find(|(name, _)| *name == dtype)
            .ok_or_else(|| crate::table::unknown("type", dtype, super::DTYPES.iter().map(|(name, _)| *name)))
            .at(&ctx)?;
        t.to_dtype(*dtype).at(&ctx)
    }

    /// The values as an array, nested as the tensor is.
    ///
    /// ```rhai
    /// tensor::from([[1, 2], [3, 4]]).to_array() // => [[1.0, 2.0], [3.0, 4.0]]
    /// ```
    #[rhai_fn(return_raw)]
    pub fn to_array(ctx: NativeCallContext, t: Tensor) -> Fallible<Array> {
        let values = t.to_f64s().at(&ctx)?;
        let whole = matches!(t.dtype(), DType::U8 | DType::U32 | DType::I64);
        Ok(super::array_of(&values, t.dims(), whole))
    }

    /// The length of each dimension.
    ///
    /// ```rhai
    /// tensor::zeros([2, 3]).shape // => [2, 3]
    /// ```
    #[rhai_fn(get = "shape", pure)]
    pub fn shape(t: &mut Tensor) -> Array {
        t.dims().iter().map(|dim| Dynamic::from_int(*dim as i64)).collect()
    }

    /// The length of the first dimension: how many items there are.
    ///
    /// ```rhai
    /// tensor::zeros([64, 3, 32, 32]).rows // => 64
    /// ```
    #[rhai_fn(get = "rows", return_raw, pure)]
    pub fn rows(ctx: NativeCallContext, t: &mut Tensor) -> Fallible<i64> {
        let rows = t.dims().first().copied();
        rows.map(|rows| rows as i64)
            .ok_or_else(|| crate::Error::new("a tensor without dimensions has no rows"))
            .at(&ctx)
    }

    /// The value of a tensor of one value, as a number.
    ///
    /// ```rhai
    /// tensor::from([1, 2]).sum().value // => 3.0
    /// ```
    #[rhai_fn(get = "value", return_raw, pure)]
    pub fn value(ctx: NativeCallContext, t: &mut Tensor) -> Fallible<f64> {
        t.value().at(&ctx)
    }

    /// The type of the values: `"f32"`, `"f64"`, `"u32"` or `"u8"`.
    ///
    /// ```rhai
    /// tensor::zeros([1]).dtype // => "f32"
    /// ```
    #[rhai_fn(get = "dtype", pure)]
    pub fn dtype(t: &mut Tensor) -> String {
        t.dtype().as_str().to_string()
    }
}
