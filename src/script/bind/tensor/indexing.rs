//! `t[i]`, `t[1..3]`, `t[[0, 1..3]]`.

use rhai::plugin::*;
use rhai::{Array, NativeCallContext};

use super::{inclusive, pick_of};
use crate::script::{At, Fallible};
use crate::tensor::Tensor;
use crate::tensor::ops::pick::Pick;

#[export_module]
pub mod functions {
    /// A part of a tensor: `t[i]`, `t[1..3]`, `t[[0, 1..3]]`; indices from the end are negative.
    ///
    /// A whole number takes one item, and its dimension goes; a range takes a part of it. A list names a part of each
    /// dimension in turn.
    ///
    /// ```rhai
    /// tensor::from([[1, 2, 3], [4, 5, 6]])[[-1, 0..2]] // => tensor([4, 5])
    /// ```
    #[rhai_fn(index_get, return_raw, pure)]
    pub fn at(ctx: NativeCallContext, t: &mut Tensor, index: i64) -> Fallible<Tensor> {
        t.pick(&[Pick::At(index)]).at(&ctx)
    }

    /// A part of a tensor.
    #[rhai_fn(index_get, return_raw, pure)]
    pub fn part(ctx: NativeCallContext, t: &mut Tensor, range: std::ops::Range<i64>) -> Fallible<Tensor> {
        t.pick(&[Pick::Part(range.start, range.end)]).at(&ctx)
    }

    /// A part of a tensor.
    #[rhai_fn(index_get, return_raw, pure)]
    pub fn part_inclusive(
        ctx: NativeCallContext,
        t: &mut Tensor,
        range: std::ops::RangeInclusive<i64>,
    ) -> Fallible<Tensor> {
        t.pick(&[super::inclusive(&range)]).at(&ctx)
    }

    /// A part of a tensor.
    #[rhai_fn(index_get, return_raw, pure)]
    pub fn parts(ctx: NativeCallContext, t: &mut Tensor, indices: Array) -> Fallible<Tensor> {
        let picks: Vec<Pick> = indices.iter().map(|index| super::pick_of(&ctx, index)).collect::<Fallible<_>>()?;
        t.pick(&picks).at(&ctx)
    }
}
