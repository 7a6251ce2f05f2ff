//! Arithmetic of two tensors, with NumPy's broadcasting, and comparisons.

use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::tensor::cpu::map;
use crate::tensor::cpu::real::Real;
#[cfg(feature = "cuda")]
use crate::tensor::cuda;
use crate::tensor::grad::{operator, recorded};
use crate::tensor::room::room;
use crate::tensor::value::{Raw, from_cpu, on_gpu, typed, with_distinct};

/// The shape that `a` and `b` broadcast to.
pub(crate) fn broadcast_dims(what: &str, a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    if a == b {
        return Ok(a.to_vec());
    }
    let rank = a.len().max(b.len());
    let at = |dims: &[usize], i: usize| if i + dims.len() < rank { 1 } else { dims[i + dims.len() - rank] };
    let dims: Vec<usize> = (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(Error::new(format!("cannot {what} tensors of shapes {a:?} and {b:?}"))
                .help("from the last dimension on, lengths must be equal or 1")),
        })
        .collect::<Result<_>>()?;
    if dims != a && dims != b {
        room(&dims, 4)?;
    }
    Ok(dims)
}

fn same_type(what: &str, a: &Tensor, b: &Tensor) -> Result<()> {
    if a.dtype() != b.dtype() {
        return Err(Error::new(format!(
            "cannot {what} a tensor of {} and one of {}",
            a.dtype().as_str(),
            b.dtype().as_str()
        ))
        .help("convert one of them with `to_dtype`"));
    }
    if !a.device().same_device(b.device()) {
        return Err(Error::new(format!(
            "cannot {what} a tensor on {} and one on {}",
            crate::tensor::device_name(a.device()),
            crate::tensor::device_name(b.device())
        ))
        .help("move one of them with `to_device`"));
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Kind {
    Add,
    Sub,
    Mul,
    Div,
    Maximum,
    Minimum,
}

#[cfg(feature = "cuda")]
impl Kind {
    fn on_gpu(self) -> cuda::Pair {
        match self {
            Kind::Add => cuda::Pair::Add,
            Kind::Sub => cuda::Pair::Sub,
            Kind::Mul => cuda::Pair::Mul,
            Kind::Div => cuda::Pair::Div,
            Kind::Maximum => cuda::Pair::Maximum,
            Kind::Minimum => cuda::Pair::Minimum,
        }
    }
}

fn apply<T: Real>(kind: Kind, a: &[T], a_dims: &[usize], b: &[T], b_dims: &[usize], dims: &[usize]) -> Vec<T> {
    match kind {
        Kind::Add => map::broadcast(a, a_dims, b, b_dims, dims, |a, b| a + b),
        Kind::Sub => map::broadcast(a, a_dims, b, b_dims, dims, |a, b| a - b),
        Kind::Mul => map::broadcast(a, a_dims, b, b_dims, dims, |a, b| a * b),
        Kind::Div => map::broadcast(a, a_dims, b, b_dims, dims, |a, b| a / b),
        Kind::Maximum => map::broadcast(a, a_dims, b, b_dims, dims, |a, b| if a >= b || a.is_nan() { a } else { b }),
        Kind::Minimum => map::broadcast(a, a_dims, b, b_dims, dims, |a, b| if a <= b || a.is_nan() { a } else { b }),
    }
}

fn raw(what: &str, kind: Kind, a: &Tensor, b: &Tensor) -> Result<Raw> {
    same_type(what, a, b)?;
    let wider;
    let dims = if a.dims() == b.dims() {
        a.dims()
    } else {
        wider = broadcast_dims(what, a.dims(), b.dims())?;
        &wider
    };
    if !a.on_cpu() {
        let value = on_gpu!(a, cuda::pair(kind.on_gpu(), a.raw(), b.raw(), dims));
        return value.unwrap_or_else(|| through_candle(kind, a.raw(), b.raw()));
    }
    typed!(a, T => with_distinct::<T, _>(a.raw(), |x, x_dims| with_distinct::<T, _>(b.raw(), |y, y_dims| {
        from_cpu(apply(kind, x, x_dims, y, y_dims, dims), dims)
    })))
}

fn through_candle(kind: Kind, a: &Raw, b: &Raw) -> Result<Raw> {
    Ok(match kind {
        Kind::Add => a.broadcast_add(b)?,
        Kind::Sub => a.broadcast_sub(b)?,
        Kind::Mul => a.broadcast_mul(b)?,
        Kind::Div => a.broadcast_div(b)?,
        Kind::Maximum => a.broadcast_maximum(b)?,
        Kind::Minimum => a.broadcast_minimum(b)?,
    })
}

impl Tensor {
    /// `self + other`, broadcasting.
    ///
    /// # Errors
    /// Shapes do not broadcast; types or devices differ. The same for the other operators here.
    pub fn add(&self, other: &Tensor) -> Result<Tensor> {
        let value = raw("add", Kind::Add, self, other)?;
        if !recorded(&[self, other]) {
            return Ok(Tensor::from_raw(value));
        }
        let (a, b) = (self.dims().to_vec(), other.dims().to_vec());
        Ok(operator("add", value, &[self, other], move |incoming| {
            Ok(vec![
                if incoming.wants[0] { Some(incoming.grad.sum_to(&a)?) } else { None },
                if incoming.wants[1] { Some(incoming.grad.sum_to(&b)?) } else { None },
            ])
        }))
    }

    /// `self - other`, broadcasting.
    pub fn sub(&self, other: &Tensor) -> Result<Tensor> {
        let value = raw("subtract", Kind::Sub, self, other)?;
        if !recorded(&[self, other]) {
            return Ok(Tensor::from_raw(value));
        }
        let (a, b) = (self.dims().to_vec(), other.dims().to_vec());
        Ok(operator("sub", value, &[self, other], move |incoming| {
            Ok(vec![
                if incoming.wants[0] { Some(incoming.grad.sum_to(&a)?) } else { None },
                if incoming.wants[1] { Some(incoming.grad.sum_to(&b)?.neg()?) } else { None },
            ])
        }))
    }

    /// `self * other`, element by element, broadcasting.
    pub fn mul(&self, other: &Tensor) -> Result<Tensor> {
        let value = raw("multiply", Kind::Mul, self, other)?;
        let (a, b) = (self.clone(), other.clone());
        Ok(operator("mul", value, &[self, other], move |incoming| {
            Ok(vec![
                if incoming.wants[0] { Some(incoming.grad.mul(&b)?.sum_to(a.dims())?) } else { None },
                if incoming.wants[1] { Some(incoming.grad.mul(&a)?.sum_to(b.dims())?) } else { None },
            ])
        }))
    }

    /// `self / other`, element by element, broadcasting.
    pub fn div(&self, other: &Tensor) -> Result<Tensor> {
        let value = raw("divide", Kind::Div, self, other)?;
        let (a, b) = (self.clone(), other.clone());
        Ok(operator("div", value, &[self, other], move |incoming| {
            let over = incoming.grad.div(&b)?;
            Ok(vec![
                if incoming.wants[0] { Some(over.sum_to(a.dims())?) } else { None },
                if incoming.wants[1] { Some(over.mul(&a)?.div(&b)?.neg()?.sum_to(b.dims())?) } else { None },
            ])
        }))
    }

    /// The larger of each pair, broadcasting. Where both are equal the gradient goes to `self`.
    pub fn maximum(&self, other: &Tensor) -> Result<Tensor> {
        let value = raw("compare", Kind::Maximum, self, other)?;
        self.pick_one("maximum", value, other, Tensor::ge)
    }

    /// The smaller of each pair, broadcasting. Where both are equal the gradient goes to `self`.
    pub fn minimum(&self, other: &Tensor) -> Result<Tensor> {
        let value = raw("compare", Kind::Minimum, self, other)?;
        self.pick_one("minimum", value, other, Tensor::le)
    }

    fn pick_one(
        &self,
        name: &'static str,
        value: Raw,
        other: &Tensor,
        first: fn(&Tensor, &Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let (a, b) = (self.detach(), other.detach());
        Ok(operator(name, value, &[self, other], move |incoming| {
            let mine = first(&a, &b)?.to_dtype(a.dtype())?;
            Ok(vec![
                if incoming.wants[0] { Some(incoming.grad.mul(&mine)?.sum_to(a.dims())?) } else { None },
                if incoming.wants[1] {
                    Some(incoming.grad.mul(&mine.affine(-1.0, 1.0)?)?.sum_to(b.dims())?)
                } else {
                    None
                },
            ])
        }))
    }

    /// 1 where `self == other`, else 0, as u8, broadcasting. Comparisons have no gradient.
    pub fn eq(&self, other: &Tensor) -> Result<Tensor> {
        self.compare(other, |a, b| Ok(a.broadcast_eq(b)?))
    }

    /// 1 where `self != other`, else 0.
    pub fn ne(&self, other: &Tensor) -> Result<Tensor> {
        self.compare(other, |a, b| Ok(a.broadcast_ne(b)?))
    }

    /// 1 where `self < other`, else 0.
    pub fn lt(&self, other: &Tensor) -> Result<Tensor> {
        self.compare(other, |a, b| Ok(a.broadcast_lt(b)?))
    }

    /// 1 where `self <= other`, else 0.
    pub fn le(&self, other: &Tensor) -> Result<Tensor> {
        self.compare(other, |a, b| Ok(a.broadcast_le(b)?))
    }

    /// 1 where `self > other`, else 0.
    pub fn gt(&self, other: &Tensor) -> Result<Tensor> {
        self.compare(other, |a, b| Ok(a.broadcast_gt(b)?))
    }

    /// 1 where `self >= other`, else 0.
    pub fn ge(&self, other: &Tensor) -> Result<Tensor> {
        self.compare(other, |a, b| Ok(a.broadcast_ge(b)?))
    }

    fn compare(&self, other: &Tensor, f: fn(&Raw, &Raw) -> Result<Raw>) -> Result<Tensor> {
        same_type("compare", self, other)?;
        broadcast_dims("compare", self.dims(), other.dims())?;
        Ok(Tensor::from_raw(f(self.raw(), other.raw())?))
    }
}
