//! Functions of one value at a time: arithmetic with a number, activations, powers.

use crate::error::Result;
use crate::tensor::Tensor;
use crate::tensor::cpu::map;
use crate::tensor::cpu::real::Real;
#[cfg(feature = "cuda")]
use crate::tensor::cuda;
use crate::tensor::grad::{fused, operator, operator_keeping_output};
use crate::tensor::value::{Raw, from_cpu, on_gpu, typed, with_distinct, with_slice};

/// A function of one value, as data, so that the CPU and the GPU path stand side by side.
#[derive(Clone, Copy)]
enum Map {
    /// `x * a + b`
    Affine(f64, f64),
    Exp,
    Log,
    Sqrt,
    Abs,
    /// -1, 0 or 1
    Sign,
    Power(f64),
    Tanh,
    Sigmoid,
    /// `log(1 + exp(x))`, without overflow
    Softplus,
    /// `x` where positive, `slope * x` elsewhere
    LeakyRelu(f64),
    Clamp(f64, f64),
    /// 1 inside, 0 outside
    Inside(f64, f64),
}

impl Map {
    fn on_cpu<T: Real>(self, x: &[T]) -> Vec<T> {
        let c = T::from_f64;
        let (zero, one) = (T::ZERO, T::ONE);
        match self {
            Map::Affine(a, 0.0) => map::apply(x, map::Scale::make(c(a))),
            Map::Affine(a, b) => {
                let (a, b) = (c(a), c(b));
                map::map(x, |x| x * a + b)
            }
            Map::Exp => map::apply(x, map::Exp::make()),
            Map::Log => map::map(x, |x| x.ln()),
            Map::Sqrt => map::map(x, |x| x.sqrt()),
            Map::Abs => map::map(x, |x| if x < zero { -x } else { x }),
            Map::Sign => map::map(x, |x| {
                if x > zero {
                    one
                } else if x < zero {
                    -one
                } else {
                    x * zero
                }
            }),
            Map::Power(2.0) => map::map(x, |x| x * x),
            Map::Power(p) => {
                let p = c(p);
                map::map(x, |x| x.powf(p))
            }
            Map::Tanh => map::apply(x, map::Tanh::make()),
            Map::Sigmoid => map::apply(x, map::Sigmoid::make()),
            Map::Softplus => map::map(x, softplus),
            Map::LeakyRelu(0.0) => map::apply(x, map::Relu::make()),
            Map::LeakyRelu(slope) => map::apply(x, map::LeakyRelu::make(c(slope))),
            Map::Clamp(low, high) => {
                let (low, high) = (c(low), c(high));
                map::map(x, |x| {
                    if x < low {
                        low
                    } else if x > high {
                        high
                    } else {
                        x
                    }
                })
            }
            Map::Inside(low, high) => {
                let (low, high) = (c(low), c(high));
                map::map(x, |x| if x >= low && x <= high { one } else { zero })
            }
        }
    }

    pub(super) fn through_candle(self, x: &Raw) -> Result<Raw> {
        Ok(match self {
            Map::Affine(a, b) => x.affine(a, b)?,
            Map::Exp => x.exp()?,
            Map::Log => x.log()?,
            Map::Sqrt => x.sqrt()?,
            Map::Abs => x.abs()?,
            Map::Sign => x.sign()?,
            Map::Power(p) => x.powf(p)?,
            Map::Tanh => x.tanh()?,
            Map::Sigmoid => (x.neg()?.exp()? + 1.0)?.recip()?,
            Map::Softplus => (x.relu()? + (x.abs()?.neg()?.exp()? + 1.0)?.log()?)?,
            Map::LeakyRelu(slope) => (x.relu()? - (x.neg()?.relu()? * slope)?)?,
            Map::Clamp(low, high) => x.clamp(low, high)?,
            Map::Inside(low, high) => (x.ge(low)?.to_dtype(x.dtype())? * x.le(high)?.to_dtype(x.dtype())?)?,
        })
    }

    #[cfg(feature = "cuda")]
    fn on_gpu(self, x: &Raw) -> Result<Raw> {
        use cuda::Map as On;
        let (function, numbers) = match self {
            Map::Affine(a, b) => (On::Affine, [a, b]),
            Map::Exp => (On::Exp, [0.0; 2]),
            Map::Log => (On::Log, [0.0; 2]),
            Map::Sqrt => (On::Sqrt, [0.0; 2]),
            Map::Abs => (On::Abs, [0.0; 2]),
            Map::Sign => (On::Sign, [0.0; 2]),
            Map::Power(p) => (On::Power, [p, 0.0]),
            Map::Tanh => (On::Tanh, [0.0; 2]),
            Map::Sigmoid => (On::Sigmoid, [0.0; 2]),
            Map::Softplus => (On::Softplus, [0.0; 2]),
            Map::LeakyRelu(slope) => (On::LeakyRelu, [slope, 0.0]),
            Map::Clamp(low, high) => (On::Clamp, [low, high]),
            Map::Inside(low, high) => (On::Inside, [low, high]),
        };
        cuda::map(function, numbers, x)
    }

    fn apply(self, x: &Tensor) -> Result<Raw> {
        if !x.on_cpu() {
            return on_gpu!(x, self.on_gpu(x.raw())).unwrap_or_else(|| self.through_candle(x.raw()));
        }
        typed!(x, T => with_distinct::<T, _>(x.raw(), |values, dims| {
            let value = from_cpu(self.on_cpu(values), dims)?;
            Ok(if dims == x.dims() { value } else { value.broadcast_as(x.dims())? })
        }))
    }
}

fn softplus<T: Real>(x: T) -> T {
    // ln(1 + e) keeps all digits of a small e only in double precision.
    let x = x.to_f64();
    T::from_f64(x.max(0.0) + (-x.abs()).exp().ln_1p())
}

/// Functions whose slope follows from their value.
#[derive(Clone, Copy)]
enum Slope {
    Tanh,
    Sigmoid,
}

impl Slope {
    /// The gradient `grad` through the function whose value is `y`: on a CPU in one pass.
    fn gradient(self, grad: &Tensor, y: &Tensor) -> Result<Tensor> {
        let in_operators = move |grad: &Tensor, y: &Tensor| match self {
            Self::Tanh => grad.mul(&y.square()?.affine(-1.0, 1.0)?),
            Self::Sigmoid => grad.mul(&y.mul(&y.affine(-1.0, 1.0)?)?),
        };
        if !y.on_cpu() {
            return in_operators(grad, y);
        }
        let dims = y.dims();
        let value = typed!(y, T => with_distinct::<T, _>(grad.raw(), |g, g_dims| with_slice::<T, _>(y.raw(), |y| {
            let one = <T as Real>::ONE;
            let gradient = match self {
                Self::Tanh => map::broadcast(g, g_dims, y, dims, dims, |g, y| g * (one - y * y)),
                Self::Sigmoid => map::broadcast(g, g_dims, y, dims, dims, |g, y| g * (y * (one - y))),
            };
            from_cpu(gradient, dims)
        })))?;
        let again = move |inputs: &[Tensor]| Ok(vec![Some(in_operators(&inputs[0], &inputs[1])?)]);
        Ok(fused("slope", vec![value], &[grad, y], again).remove(0))
    }
}

/// `grad` where `y` is positive, `slope * grad` elsewhere. `y` has no gradient.
pub(super) fn slope_where_negative(grad: &Tensor, y: &Tensor, slope: f64) -> Result<Tensor> {
    let value = if grad.on_cpu() {
        typed!(grad, T => with_distinct::<T, _>(grad.raw(), |g, g_dims| with_slice::<T, _>(y.raw(), |values| {
            from_cpu(map::slope_where_negative(g, g_dims, values, y.dims(), <T as Real>::from_f64(slope)), y.dims())
        })))?
    } else if let Some(value) = on_gpu!(grad, cuda::slope(grad.raw(), y.raw(), slope)) {
        value?
    } else {
        let positive = y.raw().gt(0.0)?.to_dtype(grad.dtype())?;
        (grad.raw() * positive.affine(1.0 - slope, slope)?)?
    };
    let y = y.detach();
    Ok(operator("leaky_relu_slope", value, &[grad], move |incoming| {
        Ok(vec![Some(slope_where_negative(incoming.grad, &y, slope)?)])
    }))
}

impl Tensor {
    /// `self * a + b`.
    pub fn affine(&self, a: f64, b: f64) -> Result<Tensor> {
        let value = Map::Affine(a, b).apply(self)?;
        Ok(operator("affine", value, &[self], move |incoming| Ok(vec![Some(incoming.grad.affine(a, 0.0)?)])))
    }

    /// `self + b`.
    pub fn add_scalar(&self, b: f64) -> Result<Tensor> {
        self.affine(1.0, b)
    }

    /// `self * a`.
    pub fn mul_scalar(&self, a: f64) -> Result<Tensor> {
        self.affine(a, 0.0)
    }

    /// `-self`.
    pub fn neg(&self) -> Result<Tensor> {
        self.affine(-1.0, 0.0)
    }

    /// e to each value.
    pub fn exp(&self) -> Result<Tensor> {
        let value = Map::Exp.apply(self)?;
        Ok(operator_keeping_output("exp", value, &[self], |incoming| {
            Ok(vec![Some(incoming.grad.mul(incoming.output()?)?)])
        }))
    }

    /// The natural logarithm.
    pub fn log(&self) -> Result<Tensor> {
        let value = Map::Log.apply(self)?;
        let x = self.clone();
        Ok(operator("log", value, &[self], move |incoming| Ok(vec![Some(incoming.grad.div(&x)?)])))
    }

    /// The square root.
    pub fn sqrt(&self) -> Result<Tensor> {
        let value = Map::Sqrt.apply(self)?;
        Ok(operator_keeping_output("sqrt", value, &[self], |incoming| {
            Ok(vec![Some(incoming.grad.div(incoming.output()?)?.mul_scalar(0.5)?)])
        }))
    }

    /// The absolute value; its gradient at 0 is 0.
    pub fn abs(&self) -> Result<Tensor> {
        let value = Map::Abs.apply(self)?;
        let x = self.detach();
        Ok(operator("abs", value, &[self], move |incoming| {
            Ok(vec![Some(incoming.grad.mul(&Tensor::from_raw(Map::Sign.apply(&x)?))?)])
        }))
    }

    /// -1, 0 or 1, the sign of each value; no gradient.
    pub fn sign(&self) -> Result<Tensor> {
        Ok(Tensor::from_raw(Map::Sign.apply(self)?))
    }

    /// Each value squared.
    pub fn square(&self) -> Result<Tensor> {
        self.pow_scalar(2.0)
    }

    /// Each value to the power `p`.
    pub fn pow_scalar(&self, p: f64) -> Result<Tensor> {
        let value = Map::Power(p).apply(self)?;
        let x = self.clone();
        Ok(operator("pow", value, &[self], move |incoming| {
            // The power rule at p = 1 and 2 without powf, which is NaN for a negative base in some libraries.
            let slope = match p {
                0.0 => x.mul_scalar(0.0)?,
                1.0 => return Ok(vec![Some(incoming.grad.clone())]),
                2.0 => x.mul_scalar(2.0)?,
                _ => x.pow_scalar(p - 1.0)?.mul_scalar(p)?,
            };
            Ok(vec![Some(incoming.grad.mul(&slope)?)])
        }))
    }

    /// The hyperbolic tangent.
    pub fn tanh(&self) -> Result<Tensor> {
        let value = Map::Tanh.apply(self)?;
        Ok(operator_keeping_output("tanh", value, &[self], |incoming| {
            Ok(vec![Some(Slope::Tanh.gradient(incoming.grad, incoming.output()?)?)])
        }))
    }

    /// The logistic function, 1 / (1 + exp(-x)).
    pub fn sigmoid(&self) -> Result<Tensor> {
        let value = Map::Sigmoid.apply(self)?;
        Ok(operator_keeping_output("sigmoid", value, &[self], |incoming| {
            Ok(vec![Some(Slope::Sigmoid.gradient(incoming.grad, incoming.output()?)?)])
        }))
    }

    /// log(1 + exp(x)), exact for large |x|.
    pub fn softplus(&self) -> Result<Tensor> {
        let value = Map::Softplus.apply(self)?;
        let x = self.clone();
        Ok(operator("softplus", value, &[self], move |incoming| Ok(vec![Some(incoming.grad.mul(&x.sigmoid()?)?)])))
    }

    /// max(x, 0); its gradient at 0 is 0.
    pub fn relu(&self) -> Result<Tensor> {
        self.leaky_relu(0.0)
    }

    /// x where positive, `slope` x elsewhere; its gradient at 0 is `slope`. `slope` must not be negative.
    pub fn leaky_relu(&self, slope: f64) -> Result<Tensor> {
        let value = Map::LeakyRelu(slope).apply(self)?;
        // The output has the sign of the input, and is kept anyway by what comes after.
        Ok(operator_keeping_output("leaky_relu", value, &[self], move |incoming| {
            Ok(vec![Some(slope_where_negative(incoming.grad, &incoming.output()?.detach(), slope)?)])
        }))
    }

    /// x * sigmoid(x) (Ramachandran et al. 2017, "swish").
    pub fn silu(&self) -> Result<Tensor> {
        self.mul(&self.sigmoid()?)
    }

    /// Values below `low` become `low`, above `high` become `high`; the gradient is 0 outside.
    pub fn clamp(&self, low: f64, high: f64) -> Result<Tensor> {
        let value = Map::Clamp(low, high).apply(self)?;
        let x = self.detach();
        Ok(operator("clamp", value, &[self], move |incoming| {
            Ok(vec![Some(incoming.grad.mul(&Tensor::from_raw(Map::Inside(low, high).apply(&x)?))?)])
        }))
    }
}
