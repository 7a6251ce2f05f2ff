//! Many values as one: sums, means, losses.

use rhai::plugin::*;
use rhai::{Dynamic, NativeCallContext};

use super::{dims_of, labels_of};
use crate::script::{At, Fallible};
use crate::tensor::Tensor;

#[export_module]
pub mod functions {
    /// The sum of all values.
    ///
    /// ```rhai
    /// tensor::from([[1, 2], [3, 4]]).sum() // => tensor(10)
    /// ```
    #[rhai_fn(name = "sum", return_raw)]
    pub fn sum_all(ctx: NativeCallContext, t: Tensor) -> Fallible<Tensor> {
        t.sum_all().at(&ctx)
    }

    /// The sum over a dimension, or over a list of them, which go.
    ///
    /// ```rhai
    /// tensor::from([[1, 2], [3, 4]]).sum(0) // => tensor([4, 6])
    /// ```
    #[rhai_fn(name = "sum", return_raw)]
    pub fn sum_over(ctx: NativeCallContext, t: Tensor, dims: Dynamic) -> Fallible<Tensor> {
        t.sum(&super::dims_of(&ctx, &t, &dims)?).at(&ctx)
    }

    /// The mean of all values.
    ///
    /// ```rhai
    /// tensor::from([[1, 2], [3, 4]]).mean() // => tensor(2.5)
    /// ```
    #[rhai_fn(name = "mean", return_raw)]
    pub fn mean_all(ctx: NativeCallContext, t: Tensor) -> Fallible<Tensor> {
        t.mean_all().at(&ctx)
    }

    /// The mean over a dimension, or over a list of them, which go.
    ///
    /// ```rhai
    /// tensor::from([[1, 2], [3, 4]]).mean([1]) // => tensor([1.5, 3.5])
    /// ```
    #[rhai_fn(name = "mean", return_raw)]
    pub fn mean_over(ctx: NativeCallContext, t: Tensor, dims: Dynamic) -> Fallible<Tensor> {
        t.mean(&super::dims_of(&ctx, &t, &dims)?).at(&ctx)
    }

    /// The Euclidean length along a dimension, or over a list of them, which go.
    ///
    /// Under the root stands another 1e-12, so that its gradient at zero is finite.
    ///
    /// ```rhai
    /// tensor::from([[3, 4], [6, 8]]).norm(1) // => tensor([5, 10])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn norm(ctx: NativeCallContext, t: Tensor, dims: Dynamic) -> Fallible<Tensor> {
        t.norm(&super::dims_of(&ctx, &t, &dims)?).at(&ctx)
    }

    /// The largest value along a dimension, which goes.
    ///
    /// ```rhai
    /// tensor::from([[1, 5], [7, 3]]).max(1) // => tensor([5, 7])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn max(ctx: NativeCallContext, t: Tensor, dim: i64) -> Fallible<Tensor> {
        let dim = t.dim_index(dim).at(&ctx)?;
        t.max(dim).at(&ctx)
    }

    /// The smallest value along a dimension, which goes.
    ///
    /// ```rhai
    /// tensor::from([[1, 5], [7, 3]]).min(1) // => tensor([1, 3])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn min(ctx: NativeCallContext, t: Tensor, dim: i64) -> Fallible<Tensor> {
        let dim = t.dim_index(dim).at(&ctx)?;
        t.min(dim).at(&ctx)
    }

    /// Where the largest value along a dimension is, the first of equals.
    ///
    /// ```rhai
    /// tensor::from([[1, 5], [7, 3]]).argmax(1) // => tensor([1, 0])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn argmax(ctx: NativeCallContext, t: Tensor, dim: i64) -> Fallible<Tensor> {
        let dim = t.dim_index(dim).at(&ctx)?;
        t.argmax(dim).at(&ctx)
    }

    /// Logits as probabilities: rows of positive numbers that sum to 1.
    ///
    /// ```rhai
    /// softmax(tensor::from([[0, 0]])) // => tensor([[0.5, 0.5]])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn softmax(ctx: NativeCallContext, logits: Tensor) -> Fallible<Tensor> {
        logits.softmax().at(&ctx)
    }

    /// The logarithm of `softmax`, without loss of digits.
    ///
    /// ```rhai
    /// exp(log_softmax(tensor::from([[0, 0]]))) // => tensor([[0.5, 0.5]])
    /// ```
    #[rhai_fn(return_raw)]
    pub fn log_softmax(ctx: NativeCallContext, logits: Tensor) -> Fallible<Tensor> {
        logits.log_softmax().at(&ctx)
    }

    /// The mean cross-entropy of logits `[rows, classes]` and labels `[rows]`.
    ///
    /// Labels are whole numbers below the number of classes; rows of probabilities of the logits' shape do as well.
    ///
    /// ```rhai
    /// cross_entropy(tensor::from([[0, 100], [100, 0]]), [1, 0]) // => tensor(0)
    /// ```
    #[rhai_fn(return_raw)]
    pub fn cross_entropy(ctx: NativeCallContext, logits: Tensor, labels: Dynamic) -> Fallible<Tensor> {
        let soft = labels.read_lock::<Tensor>().filter(|targets| targets.rank() == 2).map(|targets| targets.clone());
        match soft {
            Some(targets) => logits.soft_cross_entropy(&targets).at(&ctx),
            None => logits.cross_entropy(&super::labels_of(&ctx, "labels", &labels)?).at(&ctx),
        }
    }
}
