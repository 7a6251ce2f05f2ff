//! Moving values about: shapes, slices, joins. Nothing is computed here.

use candle_core::Storage;

use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::tensor::cpu::{map, order};
use crate::tensor::grad::operator;
use crate::tensor::value::{Raw, contiguous, from_cpu, on_gpu, typed, with_slice};

impl Tensor {
    /// The same values in row-major order under another shape of as many elements.
    ///
    /// # Errors
    /// The number of elements differs.
    pub fn reshape(&self, dims: &[usize]) -> Result<Tensor> {
        if dims.iter().product::<usize>() != self.elements() {
            return Err(Error::new(format!(
                "cannot give a tensor of shape {:?} the shape {dims:?}: {} values against {}",
                self.dims(),
                self.elements(),
                dims.iter().product::<usize>()
            )));
        }
        let value = match self.one_value()? {
            Some(one) => one.broadcast_as(dims)?,
            None => contiguous(self.raw())?.reshape(dims)?,
        };
        let own = self.dims().to_vec();
        Ok(operator("reshape", value, &[self], move |incoming| Ok(vec![Some(incoming.grad.reshape(&own)?)])))
    }

    /// Dimensions from `start` on become one.
    pub fn flatten(&self, start: usize) -> Result<Tensor> {
        let start = start.min(self.rank());
        let mut dims = self.dims()[..start].to_vec();
        dims.push(self.dims()[start..].iter().product());
        self.reshape(&dims)
    }

    /// A dimension of length 1 before dimension `dim`.
    pub fn unsqueeze(&self, dim: usize) -> Result<Tensor> {
        let mut dims = self.dims().to_vec();
        dims.insert(dim.min(dims.len()), 1);
        self.reshape(&dims)
    }

    /// Without dimension `dim`, which must be of length 1.
    pub fn squeeze(&self, dim: usize) -> Result<Tensor> {
        let mut dims = self.dims().to_vec();
        if dims.get(dim) != Some(&1) {
            return Err(Error::new(format!("dimension {dim} of shape {dims:?} is not of length 1")));
        }
        dims.remove(dim);
        self.reshape(&dims)
    }

    /// Dimensions in another order: dimension `i` of the result is dimension `order[i]` of this one.
    pub fn permute(&self, order: &[usize]) -> Result<Tensor> {
        let mut back = vec![usize::MAX; self.rank()];
        for (i, d) in order.iter().enumerate() {
            if let Some(slot) = back.get_mut(*d) {
                *slot = i;
            }
        }
        if order.len() != self.rank() || back.contains(&usize::MAX) {
            return Err(Error::new(format!(
                "{order:?} is not an order of the {} dimensions of shape {:?}",
                self.rank(),
                self.dims()
            )));
        }
        let value = self.raw().permute(order)?;
        Ok(operator("permute", value, &[self], move |incoming| Ok(vec![Some(incoming.grad.permute(&back)?)])))
    }

    /// The last two dimensions exchanged.
    pub fn t(&self) -> Result<Tensor> {
        let rank = self.rank();
        if rank < 2 {
            return Err(Error::new(format!(
                "cannot transpose a tensor of shape {:?}; it needs two dimensions",
                self.dims()
            )));
        }
        let mut order: Vec<usize> = (0..rank).collect();
        order.swap(rank - 2, rank - 1);
        self.permute(&order)
    }

    /// The values repeated along dimensions of length 1, and new ones on the left, to fill `dims`.
    ///
    /// # Errors
    /// The shape does not broadcast to `dims`.
    pub fn broadcast_to(&self, dims: &[usize]) -> Result<Tensor> {
        if self.dims() == dims {
            return Ok(self.clone());
        }
        if super::arith::broadcast_dims("broadcast", self.dims(), dims)? != dims {
            return Err(Error::new(format!("cannot broadcast a tensor of shape {:?} to {dims:?}", self.dims())));
        }
        let value = if self.on_cpu() && matches!(self.dtype(), candle_core::DType::F32 | candle_core::DType::F64) {
            typed!(self, T => with_slice::<T, _>(self.raw(), |x| from_cpu(map::expand(x, self.dims(), dims), dims)))?
        } else {
            contiguous(&self.raw().broadcast_as(dims)?)?
        };
        let own = self.dims().to_vec();
        Ok(operator("broadcast", value, &[self], move |incoming| Ok(vec![Some(incoming.grad.sum_to(&own)?)])))
    }

    /// The one value, of shape `[]`, of a tensor on the CPU that repeats it everywhere and has no other in memory.
    fn one_value(&self) -> Result<Option<Raw>> {
        let raw = self.raw();
        let repeats = raw.dims().iter().zip(raw.stride()).all(|(length, stride)| *length == 1 || *stride == 0);
        if !self.on_cpu() || self.elements() < 2 || !repeats {
            return Ok(None);
        }
        let mut one = raw.clone();
        for dim in 0..self.rank() {
            one = one.narrow(dim, 0, 1)?;
        }
        Ok(Some(one.reshape(())?))
    }

    /// As [`Tensor::broadcast_to`], for gradients, whose shapes are right: on the CPU the values are read in place as often as
    /// they occur, and not written.
    pub(crate) fn spread(&self, dims: &[usize]) -> Result<Tensor> {
        if !self.on_cpu() {
            return self.broadcast_to(dims);
        }
        let value = self.raw().broadcast_as(dims)?;
        let own = self.dims().to_vec();
        Ok(operator("broadcast", value, &[self], move |incoming| Ok(vec![Some(incoming.grad.sum_to(&own)?)])))
    }

    /// The part from `start` of length `length` of dimension `dim`.
    ///
    /// # Errors
    /// The part reaches past the end.
    pub fn narrow(&self, dim: usize, start: usize, length: usize) -> Result<Tensor> {
        let full = *self
            .dims()
            .get(dim)
            .ok_or_else(|| Error::new(format!("there is no dimension {dim} in a tensor of shape {:?}", self.dims())))?;
        if start + length > full {
            return Err(Error::new(format!(
                "cannot take {start}..{} of dimension {dim} of shape {:?}",
                start + length,
                self.dims()
            )));
        }
        let value = self.raw().narrow(dim, start, length)?;
        Ok(operator("narrow", value, &[self], move |incoming| {
            Ok(vec![Some(incoming.grad.pad(dim, start, full - start - length)?)])
        }))
    }

    /// Zeros before and after along dimension `dim`.
    pub fn pad(&self, dim: usize, before: usize, after: usize) -> Result<Tensor> {
        if before == 0 && after == 0 {
            return Ok(self.clone());
        }
        let length = self.dims()[dim];
        let value = match on_gpu!(self, crate::tensor::cuda::pad(self.raw(), dim, before, after)) {
            Some(value) => value?,
            None => self.raw().pad_with_zeros(dim, before, after)?,
        };
        Ok(operator("pad", value, &[self], move |incoming| Ok(vec![Some(incoming.grad.narrow(dim, before, length)?)])))
    }

    /// Tensors one after the other along dimension `dim`.
    ///
    /// # Errors
    /// There are none, or they differ in another dimension.
    pub fn cat(tensors: &[&Tensor], dim: usize) -> Result<Tensor> {
        let Some(first) = tensors.first() else {
            return Err(Error::new("cannot join an empty list of tensors"));
        };
        for other in tensors {
            let fits = other.rank() == first.rank()
                && other.dims().iter().zip(first.dims()).enumerate().all(|(i, (a, b))| i == dim || a == b);
            if !fits || dim >= first.rank() {
                return Err(Error::new(format!(
                    "cannot join tensors of shapes {:?} and {:?} along dimension {dim}",
                    first.dims(),
                    other.dims()
                )));
            }
        }
        let raws: Vec<&Raw> = tensors.iter().map(|tensor| tensor.raw()).collect();
        let whole = tensors.iter().all(|tensor| tensor.on_cpu() && tensor.dtype() == candle_core::DType::F32);
        let value = if whole { joined(&raws, dim)? } else { Raw::cat(&raws, dim)? };
        let lengths: Vec<usize> = tensors.iter().map(|tensor| tensor.dims()[dim]).collect();
        Ok(operator("cat", value, tensors, move |incoming| {
            let mut start = 0;
            lengths
                .iter()
                .zip(incoming.wants)
                .map(|(length, want)| {
                    let from = start;
                    start += length;
                    if *want { incoming.grad.narrow(dim, from, *length).map(Some) } else { Ok(None) }
                })
                .collect()
        }))
    }

    /// Tensors of one shape, one above the other along a new dimension `dim`.
    pub fn stack(tensors: &[&Tensor], dim: usize) -> Result<Tensor> {
        let wide: Vec<Tensor> = tensors.iter().map(|tensor| tensor.unsqueeze(dim)).collect::<Result<_>>()?;
        Self::cat(&wide.iter().collect::<Vec<_>>(), dim)
    }

    /// The values of dimension `dim` in reverse order.
    pub fn flip(&self, dim: usize) -> Result<Tensor> {
        let value = match on_gpu!(self, crate::tensor::cuda::flip(self.raw(), dim)) {
            Some(value) => value?,
            None => self.raw().contiguous()?.flip(&[dim])?.contiguous()?,
        };
        Ok(operator("flip", value, &[self], move |incoming| Ok(vec![Some(incoming.grad.flip(dim)?)])))
    }

    /// Images turned by `k` quarter turns, counter-clockwise; the last two dimensions are rows and columns.
    pub fn rotate90(&self, k: usize) -> Result<Tensor> {
        let rank = self.rank();
        if rank < 2 {
            return Err(Error::new(format!(
                "cannot turn a tensor of shape {:?}; it needs rows and columns",
                self.dims()
            )));
        }
        match k % 4 {
            0 => Ok(self.clone()),
            1 => self.t()?.flip(rank - 2),
            2 => self.flip(rank - 2)?.flip(rank - 1),
            _ => self.t()?.flip(rank - 1),
        }
    }
}

/// Tensors of f32 on the CPU along dimension `dim`, in which alone their shapes differ.
fn joined(raws: &[&Raw], dim: usize) -> Result<Raw> {
    let parts = raws.iter().map(|raw| contiguous(raw)).collect::<Result<Vec<_>>>()?;
    let held: Vec<_> = parts.iter().map(|part| part.storage_and_layout()).collect();
    let mut lines = Vec::with_capacity(held.len());
    for ((storage, layout), part) in held.iter().zip(&parts) {
        let Storage::Cpu(storage) = &**storage else {
            return Err(Error::bug("a CPU kernel was given a tensor that is elsewhere"));
        };
        let values = &storage.as_slice::<f32>()?[layout.start_offset()..][..part.elem_count()];
        lines.push((values, part.dims()[dim..].iter().product()));
    }
    let mut dims = raws[0].dims().to_vec();
    dims[dim] = raws.iter().map(|raw| raw.dims()[dim]).sum();
    from_cpu(order::joined(&lines), &dims)
}
