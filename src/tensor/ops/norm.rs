//! Normalisation: batch norm fused with its affine map and activation, and the norms of single items made from it.

use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::tensor::cpu::norm;
#[cfg(feature = "cuda")]
use crate::tensor::cuda;
use crate::tensor::grad::{fused, operator_keeping_output, vjp};
use crate::tensor::value::{Raw, from_cpu, on_gpu, typed, with_slice};

/// What follows a norm in the same pass over memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// Nothing.
    None,
    /// max(x, 0).
    Relu,
    /// x where positive, the slope times x elsewhere.
    LeakyRelu(f64),
}

impl Activation {
    /// The slope for negative values.
    fn slope(self) -> f64 {
        match self {
            Activation::None => 1.0,
            Activation::Relu => 0.0,
            Activation::LeakyRelu(slope) => slope,
        }
    }

    /// The activation as an operator of its own.
    pub fn apply(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Activation::None => Ok(x.clone()),
            Activation::Relu => x.relu(),
            Activation::LeakyRelu(slope) => x.leaky_relu(slope),
        }
    }
}

/// The result of a batch norm in training.
pub struct BatchNorm {
    /// The normalised values, of the input's shape.
    pub output: Tensor,
    /// The batch's mean of each channel, `[c]`, off the graph.
    pub mean: Tensor,
    /// The batch's biased variance of each channel, `[c]`, off the graph.
    pub variance: Tensor,
}

/// `[n, c, h, w]`, or `[n, c]` seen as images of one pixel.
fn image_dims(x: &Tensor) -> Result<[usize; 4]> {
    match x.dims() {
        [n, c] => Ok([*n, *c, 1, 1]),
        [n, c, h, w] => Ok([*n, *c, *h, *w]),
        other => Err(Error::new(format!("a batch norm takes [n, c, h, w] or [n, c], and was given {other:?}"))),
    }
}

/// `[rows, c]` with rows 1 or n, as the kernels take it.
fn affine(what: &str, t: &Tensor, n: usize, c: usize) -> Result<Tensor> {
    match t.dims() {
        [a] if *a == c => t.reshape(&[1, c]),
        [r, a] if *a == c && (*r == n || *r == 1) => Ok(t.clone()),
        other => Err(Error::new(format!("the {what} of a batch norm is {other:?}, expected [{c}] or [{n}, {c}]"))),
    }
}

impl Tensor {
    /// Normalises each channel of `[n, c, h, w]` or `[n, c]` by the batch's own mean and variance, multiplies by `gamma`
    /// and adds `beta` (`[c]`, or `[n, c]` when they are conditional), then applies `activation`.
    ///
    /// The variance is biased, as in Ioffe and Szegedy 2015 (arXiv:1502.03167).
    ///
    /// # Errors
    /// Shapes do not fit; there are no values.
    pub fn batch_norm(&self, gamma: &Tensor, beta: &Tensor, epsilon: f64, activation: Activation) -> Result<BatchNorm> {
        let [n, c, h, w] = image_dims(self)?;
        if n * h * w == 0 {
            return Err(Error::new(format!("a batch norm of no values, shape {:?}", self.dims())));
        }
        let (gamma, beta) = (affine("gamma", gamma, n, c)?, affine("beta", beta, n, c)?);
        let shape = norm::Planes { n, c, hw: h * w };
        let slope = activation.slope();
        let by_gpu = on_gpu!(self, cuda::batch_norm(self.raw(), gamma.raw(), beta.raw(), epsilon, slope, shape));
        if (!self.on_cpu() && by_gpu.is_none()) || gamma.dims() != beta.dims() {
            return composite(self, &gamma, &beta, epsilon, activation);
        }
        let on_cpu = || {
            typed!(self, T => with_slice::<T, _>(self.raw(), |x| with_slice::<T, _>(gamma.raw(), |ga| with_slice::<T, _>(beta.raw(), |be| {
                let (mean, variance) = norm::stats(x, &shape);
                let y = norm::apply(x, &mean, &variance, ga, be, epsilon, slope, &shape);
                Ok((from_cpu(y, self.dims())?, from_cpu(mean, &[c])?, from_cpu(variance, &[c])?))
            }))))
        };
        let (value, mean, variance) = by_gpu.unwrap_or_else(on_cpu)?;
        let (mean, variance) = (Tensor::from_raw(mean), Tensor::from_raw(variance));
        let (x, ga, be, mu, var) = (self.clone(), gamma.clone(), beta.clone(), mean.clone(), variance.clone());
        let output = operator_keeping_output("batch_norm", value, &[self, &gamma, &beta], move |incoming| {
            // The fused pass is first order only: for more the same function is stated in operators.
            let tied = |grads: Vec<Raw>| {
                let again = move |inputs: &[Tensor]| {
                    let y = composite(&inputs[0], &inputs[1], &inputs[2], epsilon, activation)?.output;
                    vjp(&y, &inputs[3], &inputs[..3].iter().collect::<Vec<_>>(), true)
                };
                fused("batch_norm_back", grads, &[&x, &ga, &be, incoming.grad], again).into_iter().map(Some).collect()
            };
            let y = incoming.output()?;
            let on_gpu: Option<Result<[Raw; 3]>> = on_gpu!(
                x,
                cuda::batch_norm_back(
                    x.raw(),
                    y.raw(),
                    incoming.grad.raw(),
                    mu.raw(),
                    var.raw(),
                    ga.raw(),
                    epsilon,
                    slope,
                    shape
                )
            );
            if let Some(grads) = on_gpu {
                return Ok(tied(grads?.to_vec()));
            }
            let (dx, dg, db) = typed!(x, T => with_slice::<T, _>(x.raw(), |xs| with_slice::<T, _>(y.raw(), |ys| with_slice::<T, _>(incoming.grad.raw(), |gs| {
                with_slice::<T, _>(ga.raw(), |gas| with_slice::<T, _>(mu.raw(), |mus| with_slice::<T, _>(var.raw(), |vars| {
                    let (dx, dg, db) = norm::backward(xs, ys, gs, mus, vars, gas, epsilon, slope, &shape);
                    Ok((from_cpu(dx, x.dims())?, from_cpu(dg, ga.dims())?, from_cpu(db, ga.dims())?))
                })))
            }))))?;
            Ok(tied(vec![dx, dg, db]))
        });
        Ok(BatchNorm { output, mean, variance })
    }

    /// Like [`batch_norm`](Self::batch_norm) with given `mean` and `variance` `[c]`, as at evaluation.
    pub fn batch_norm_with(
        &self,
        mean: &Tensor,
        variance: &Tensor,
        gamma: &Tensor,
        beta: &Tensor,
        epsilon: f64,
        activation: Activation,
    ) -> Result<Tensor> {
        let [n, c, ..] = image_dims(self)?;
        let (gamma, beta) = (affine("gamma", gamma, n, c)?, affine("beta", beta, n, c)?);
        let scale = gamma.div(&variance.reshape(&[1, c])?.add_scalar(epsilon)?.sqrt()?)?;
        let shift = beta.sub(&scale.mul(&mean.reshape(&[1, c])?)?)?;
        let wide = |t: &Tensor| if self.rank() == 2 { Ok(t.clone()) } else { t.reshape(&[t.dims()[0], c, 1, 1]) };
        activation.apply(&self.mul(&wide(&scale)?)?.add(&wide(&shift)?)?)
    }

    /// Normalises each item over all its other dimensions, then multiplies channel `c` (dimension 1) by `gamma[c]` and adds
    /// `beta[c]` (Ba et al. 2016, arXiv:1607.06450; per channel as in Compare GAN).
    ///
    /// # Errors
    /// Shapes do not fit.
    pub fn layer_norm(&self, gamma: &Tensor, beta: &Tensor, epsilon: f64) -> Result<Tensor> {
        self.group_norm(1, gamma, beta, epsilon, Activation::None)
    }

    /// Normalises each of `groups` equal runs of channels (dimension 1) of each item, multiplies channel `c` by `gamma[c]`,
    /// adds `beta[c]`, then applies `activation` (Wu and He 2018, arXiv:1803.08494). One group is a layer norm, as many
    /// groups as channels an instance norm.
    ///
    /// # Errors
    /// Shapes do not fit; the channels cannot be cut so.
    pub fn group_norm(
        &self,
        groups: usize,
        gamma: &Tensor,
        beta: &Tensor,
        epsilon: f64,
        activation: Activation,
    ) -> Result<Tensor> {
        let dims = self.dims().to_vec();
        let [n, c, ..] = dims[..] else {
            return Err(Error::new(format!("a norm of items takes [n, c, ..], and was given {dims:?}")));
        };
        if gamma.dims() != [c] || beta.dims() != [c] {
            return Err(Error::new(format!(
                "gamma is {:?} and beta {:?}, expected [{c}] for an input of shape {dims:?}",
                gamma.dims(),
                beta.dims()
            )));
        }
        if groups == 0 || !c.is_multiple_of(groups) {
            return Err(Error::new(format!("cannot cut {c} channels into {groups} groups of the same size")));
        }
        // Each group of each item is a channel of one item, whose batch is itself: the fused batch norm does the rest.
        let as_channels = self.reshape(&[1, n * groups, c / groups, dims[2..].iter().product()])?;
        if groups == c {
            let tiled = |t: &Tensor| t.reshape(&[1, c])?.broadcast_to(&[n, c])?.reshape(&[1, n * c]);
            return as_channels.batch_norm(&tiled(gamma)?, &tiled(beta)?, epsilon, activation)?.output.reshape(&dims);
        }
        let plain = |value: f64| Tensor::full(value, &[n * groups], self.dtype(), self.device());
        let normal = as_channels.batch_norm(&plain(1.0)?, &plain(0.0)?, epsilon, Activation::None)?.output;
        let mut channel = vec![1; dims.len()];
        channel[1] = c;
        let scaled = normal.reshape(&dims)?.mul(&gamma.reshape(&channel)?)?;
        activation.apply(&scaled.add(&beta.reshape(&channel)?)?)
    }
}

/// The same function in operators: differentiable to any order, on any device.
fn composite(x: &Tensor, gamma: &Tensor, beta: &Tensor, epsilon: f64, activation: Activation) -> Result<BatchNorm> {
    let [n, c, h, w] = image_dims(x)?;
    let images = x.reshape(&[n, c, h, w])?;
    let mean = images.mean_keepdim(&[0, 2, 3])?;
    let centred = images.sub(&mean)?;
    let variance = centred.square()?.mean_keepdim(&[0, 2, 3])?;
    let normal = centred.div(&variance.add_scalar(epsilon)?.sqrt()?)?;
    let wide = |t: &Tensor| t.reshape(&[t.dims()[0], c, 1, 1]);
    let output = activation.apply(&normal.mul(&wide(gamma)?)?.add(&wide(beta)?)?)?.reshape(x.dims())?;
    Ok(BatchNorm { output, mean: mean.detach().reshape(&[c])?, variance: variance.detach().reshape(&[c])? })
}
