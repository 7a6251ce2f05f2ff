//! Tensors: how they are made, cut, joined and computed with.

use rhai::plugin::*;
use rhai::{Array, Dynamic, Engine, FnPtr, NativeCallContext};

use crate::script::display;
use crate::script::{At, Fallible, args, shared};
use crate::tensor::ops::pick::Pick;
use crate::tensor::{DType, Tensor};

pub(super) fn register(engine: &mut Engine) {
    display::know::<Tensor>(engine);
    engine.register_static_module("tensor", rhai::exported_module!(making).into());
    engine.register_global_module(rhai::exported_module!(using).into());
    engine.register_global_module(rhai::exported_module!(indexing).into());
}

#[export_module]
mod making {
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

#[export_module]
mod using {
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
    #[rhai_fn(return_raw)]
    pub fn matmul(ctx: NativeCallContext, a: Tensor, b: Tensor) -> Fallible<Tensor> {
        a.matmul(&b).at(&ctx)
    }

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

#[export_module]
mod indexing {
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

/// The types of values, by name.
const DTYPES: &[(&str, DType)] = &[("f32", DType::F32), ("f64", DType::F64), ("u32", DType::U32), ("u8", DType::U8)];

fn inclusive(range: &std::ops::RangeInclusive<i64>) -> Pick {
    // -1 is the last item, after which there is only the end.
    let end = if *range.end() == -1 { i64::MAX } else { range.end().saturating_add(1) };
    Pick::Part(*range.start(), end)
}

fn pick_of(ctx: &NativeCallContext, index: &Dynamic) -> Fallible<Pick> {
    if let Ok(at) = index.as_int() {
        return Ok(Pick::At(at));
    }
    if let Some(range) = index.read_lock::<std::ops::Range<i64>>() {
        return Ok(Pick::Part(range.start, range.end));
    }
    match index.read_lock::<std::ops::RangeInclusive<i64>>() {
        Some(range) => Ok(inclusive(&range)),
        None => Err(args::wrong(ctx, "index", "a whole number or a range", index)),
    }
}

/// A tensor, or a number as one.
fn operand(ctx: &NativeCallContext, name: &str, value: &Dynamic) -> Fallible<Tensor> {
    args::tensor_of(value).ok_or_else(|| args::wrong(ctx, name, "a tensor or a number", value))
}

pub(super) fn tensors_of(ctx: &NativeCallContext, name: &str, values: &Array) -> Fallible<Vec<Tensor>> {
    values
        .iter()
        .map(|value| match value.read_lock::<Tensor>() {
            Some(tensor) => Ok(tensor.clone()),
            None => Err(args::wrong(ctx, name, "a list of tensors", value)),
        })
        .collect()
}

/// Labels or row numbers: a tensor of whole numbers, or an array of them.
pub(super) fn labels_of(ctx: &NativeCallContext, name: &str, value: &Dynamic) -> Fallible<Tensor> {
    if let Some(tensor) = value.read_lock::<Tensor>() {
        return Ok(tensor.clone());
    }
    let device = shared(ctx)?.device().at(ctx)?;
    let labels = args::whole_numbers(ctx, name, value)?;
    let labels: Vec<u32> = labels
        .iter()
        .map(|label| {
            u32::try_from(*label)
                .map_err(|_| {
                    crate::Error::new(format!("`{name}` holds {label}")).help("they must be whole numbers from 0")
                })
                .at(ctx)
        })
        .collect::<Fallible<_>>()?;
    Tensor::from_u32s(labels.clone(), &[labels.len()], &device).at(ctx)
}

fn dim_of(ctx: &NativeCallContext, tensor: Option<&Tensor>, dim: i64) -> Fallible<usize> {
    match tensor {
        Some(tensor) => tensor.dim_index(dim).at(ctx),
        None => args::count(ctx, "dim", dim),
    }
}

fn dims_of(ctx: &NativeCallContext, tensor: &Tensor, dims: &Dynamic) -> Fallible<Vec<usize>> {
    args::whole_numbers(ctx, "dims", dims)?.into_iter().map(|dim| tensor.dim_index(dim).at(ctx)).collect()
}

fn array_of(values: &[f64], dims: &[usize], whole: bool) -> Array {
    match dims {
        [] | [_] => values
            .iter()
            .map(|value| if whole { Dynamic::from_int(*value as i64) } else { Dynamic::from_float(*value) })
            .collect(),
        [rows, rest @ ..] => {
            let length = rest.iter().product::<usize>().max(1);
            values.chunks(length).take(*rows).map(|row| Dynamic::from_array(array_of(row, rest, whole))).collect()
        }
    }
}

/// The numbers of a nested array, row by row; `shape` is filled in from the first of each level.
fn flattened(ctx: &NativeCallContext, values: &Array, level: usize, shape: &mut Vec<usize>) -> Fallible<Vec<f64>> {
    match shape.get(level) {
        None => shape.push(values.len()),
        Some(length) if *length != values.len() => {
            let error = crate::Error::new(format!("the rows of the array have {length} and {} items", values.len()));
            return Err(error.help("every row must be of one length")).at(ctx);
        }
        Some(_) => {}
    }
    let mut numbers = Vec::new();
    for value in values {
        match value.read_lock::<Array>() {
            Some(row) => numbers.extend(flattened(ctx, &row, level.saturating_add(1), shape)?),
            None if shape.len() > level.saturating_add(1) => {
                return Err(args::wrong(ctx, "values", "rows of one depth", value));
            }
            None => numbers.push(args::number(ctx, "values", value)?),
        }
    }
    Ok(numbers)
}
