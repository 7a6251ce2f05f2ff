//! Gradients, and where they flow.

use rhai::plugin::*;
use rhai::{Array, Dynamic, FnPtr, NativeCallContext};

use super::tensors_of;
use crate::script::{At, Fallible};
use crate::tensor::Tensor;

#[export_module]
pub mod functions {
    /// The gradient of a number with respect to a tensor it was computed from.
    ///
    /// `y` has one value; `x` is tracked: a parameter, a result of one, a `mix`, or what `track` gave. The gradient has
    /// the shape of `x` and can itself be differentiated.
    ///
    /// ```rhai
    /// let x = tensor::from([1, 2, 3]).track();
    /// let slope = grad((x ** 3).sum(), x);     // 3 x^2
    /// grad(slope.sum(), x)                     // 6 x
    /// // => tensor([6, 12, 18])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn grad(ctx: NativeCallContext, y: Tensor, x: Tensor) -> Fallible<Tensor> {
        let grads = crate::tensor::grad(&y, &[&x], true).at(&ctx)?;
        grads.into_iter().next().ok_or_else(|| crate::Error::bug("`grad` gave no gradient")).at(&ctx)
    }

    /// The gradients of a number with respect to several tensors.
    ///
    /// ```rhai
    /// let a = tensor::from([2]).track();
    /// let b = tensor::from([5]).track();
    /// grad((a * b).sum(), [a, b]) // => [tensor([5]), tensor([2])]
    /// ```
    #[rhai_fn(name = "grad", return_raw)]
    pub fn grad_several(ctx: NativeCallContext, y: Tensor, xs: Array) -> Fallible<Array> {
        let xs = super::tensors_of(&ctx, "xs", &xs)?;
        let grads = crate::tensor::grad(&y, &xs.iter().collect::<Vec<_>>(), true).at(&ctx)?;
        Ok(grads.into_iter().map(Dynamic::from).collect())
    }

    /// Calls a function without recording what gradients would need; faster, and smaller in memory.
    ///
    /// ```rhai
    /// let x = tensor::from([1]).track();
    /// no_grad(|| (x * 2).tracked) // => false
    /// ```
    #[rhai_fn(return_raw)]
    pub fn no_grad(ctx: NativeCallContext, function: FnPtr) -> Fallible<Dynamic> {
        crate::tensor::no_grad(|| function.call_raw(&ctx, None, []))
    }

    /// The same values as a place to ask for gradients.
    ///
    /// ```rhai
    /// tensor::from([1]).track().tracked // => true
    /// ```
    pub fn track(t: Tensor) -> Tensor {
        t.track()
    }

    /// The same values with no past: no gradient flows through.
    ///
    /// ```rhai
    /// tensor::from([1]).track().detach().tracked // => false
    /// ```
    pub fn detach(t: Tensor) -> Tensor {
        t.detach()
    }

    /// Whether gradients flow to or through a tensor.
    ///
    /// ```rhai
    /// tensor::zeros([1]).tracked // => false
    /// ```
    #[rhai_fn(get = "tracked", pure)]
    pub fn tracked(t: &mut Tensor) -> bool {
        t.tracked()
    }
}
