//! Picking values by index: rows (embeddings), places along a dimension, flat places; and their inverses.

use crate::error::{Error, Result};
use crate::tensor::cpu::pick;
#[cfg(feature = "cuda")]
use crate::tensor::cuda;
use crate::tensor::grad::operator;
use crate::tensor::room::room;
#[cfg(feature = "cuda")]
use crate::tensor::value::Raw;
use crate::tensor::value::{contiguous, from_cpu, on_gpu, typed, with_slice};
use crate::tensor::{DType, Tensor};

impl Tensor {
    /// The rows (slices of dimension 0) that `indices`, u32 of one dimension, names; an embedding when this is a table.
    ///
    /// # Errors
    /// An index is not below the number of rows.
    pub fn select_rows(&self, indices: &Tensor) -> Result<Tensor> {
        let rows = *self.dims().first().ok_or_else(|| Error::new("cannot pick rows of a tensor without dimensions"))?;
        let picks = checked(indices, rows, "row")?;
        let value = if self.on_cpu() && matches!(self.dtype(), DType::F32 | DType::F64) {
            let mut dims = self.dims().to_vec();
            dims[0] = picks.len();
            let width = dims[1..].iter().product();
            typed!(self, T => with_slice::<T, _>(self.raw(), |x| from_cpu(pick::rows(x, &picks, width), &dims)))?
        } else {
            contiguous(self.raw())?.index_select(indices.raw(), 0)?
        };
        let indices = indices.detach();
        Ok(operator("select_rows", value, &[self], move |incoming| {
            Ok(vec![Some(incoming.grad.add_rows(&indices, rows)?)])
        }))
    }

    /// `rows` rows of zeros, to which row `i` of this is added at row `indices[i]`: the inverse of `select_rows`.
    pub fn add_rows(&self, indices: &Tensor, rows: usize) -> Result<Tensor> {
        let mut dims = self.dims().to_vec();
        dims[0] = rows;
        let value = if self.on_cpu() && matches!(self.dtype(), DType::F32 | DType::F64) {
            let at = checked(indices, rows, "row")?;
            let width = dims[1..].iter().product();
            typed!(self, T => with_slice::<T, _>(self.raw(), |x| from_cpu(pick::add_rows(x, &at, rows, width), &dims)))?
        } else {
            let zeros = Tensor::zeros(&dims, self.dtype(), self.device())?;
            zeros.raw().index_add(indices.raw(), &contiguous(self.raw())?, 0)?
        };
        let indices = indices.detach();
        Ok(operator("add_rows", value, &[self], move |incoming| Ok(vec![Some(incoming.grad.select_rows(&indices)?)])))
    }

    /// The value at `places` along `dim`, which goes; `places` has this shape without `dim`, u32.
    pub fn take_along(&self, dim: usize, places: &Tensor) -> Result<Tensor> {
        let (_, length, inner) = self.around(dim)?;
        let flat: Vec<u32> = checked(places, length, "place")?
            .iter()
            .enumerate()
            .map(|(i, place)| ((i / inner * length + *place as usize) * inner + i % inner) as u32)
            .collect();
        let flat = Tensor::from_u32s(flat, places.dims(), self.device())?;
        self.take_flat(&flat)
    }

    /// The values at the flat (row-major) places `at`, u32; the result has the shape of `at`.
    pub(crate) fn take_flat(&self, at: &Tensor) -> Result<Tensor> {
        let value = if self.on_cpu() {
            typed!(self, T => with_slice::<T, _>(self.raw(), |x| with_slice::<u32, _>(at.raw(), |at_| from_cpu(pick::gather(x, at_), at.dims()))))?
        } else if let Some(value) = on_gpu!(self, cuda::gather(self.raw(), at.raw())) {
            value?
        } else {
            self.raw().flatten_all()?.index_select(&at.raw().flatten_all()?, 0)?.reshape(at.dims())?
        };
        let (at, own) = (at.detach(), self.dims().to_vec());
        Ok(operator("take_flat", value, &[self], move |incoming| Ok(vec![Some(incoming.grad.add_flat(&at, &own)?)])))
    }

    /// Zeros of shape `dims`, to which each value of this is added at its flat place in `at`.
    pub(crate) fn add_flat(&self, at: &Tensor, dims: &[usize]) -> Result<Tensor> {
        let n: usize = dims.iter().product();
        let value = if self.on_cpu() {
            typed!(self, T => with_slice::<T, _>(self.raw(), |x| with_slice::<u32, _>(at.raw(), |at| from_cpu(pick::scatter_add(x, at, n), dims))))?
        } else if let Some(value) = on_gpu!(self, scattered(self, at, dims)) {
            value?
        } else {
            Tensor::zeros(&[n], self.dtype(), self.device())?
                .raw()
                .index_add(&at.raw().flatten_all()?, &self.raw().flatten_all()?, 0)?
                .reshape(dims)?
        };
        let at = at.detach();
        Ok(operator("add_flat", value, &[self], move |incoming| Ok(vec![Some(incoming.grad.take_flat(&at)?)])))
    }

    /// These labels `[rows]`, u32, as rows of `classes` values (f32): 1 at the label, 0 elsewhere.
    ///
    /// # Errors
    /// A label is not below `classes`.
    pub fn one_hot(&self, classes: usize) -> Result<Tensor> {
        let labels = checked(self, classes, "label")?;
        let mut out = vec![0f32; room(&[labels.len(), classes], 4)?];
        for (row, label) in out.chunks_mut(classes).zip(&labels) {
            row[*label as usize] = 1.0;
        }
        Tensor::from_vec(out, &[labels.len(), classes], self.device())
    }
}

/// `add_flat` of places that were taken: those of the largest along a dimension, none of them twice.
#[cfg(feature = "cuda")]
fn scattered(x: &Tensor, at: &Tensor, dims: &[usize]) -> Result<Raw> {
    let zeros = Tensor::zeros(dims, x.dtype(), x.device())?;
    cuda::scatter(zeros.raw().clone(), x.raw(), at.raw())
}

impl Tensor {
    /// These rows `[rows, classes]` with 1 at the largest value, the first of equals, and 0 elsewhere; f32, no gradient.
    ///
    /// # Errors
    /// The tensor has another number of dimensions, or rows of nothing.
    pub fn hardmax(&self) -> Result<Tensor> {
        let [_, classes] = self.dims2()?;
        let largest = self.argmax(1)?;
        match on_gpu!(self, cuda::one_hot(largest.raw(), classes)) {
            Some(value) => Ok(Tensor::from_raw(value?)),
            None => largest.one_hot(classes),
        }
    }
}

fn checked(indices: &Tensor, below: usize, what: &str) -> Result<Vec<u32>> {
    if indices.dtype() != DType::U32 {
        return Err(Error::new(format!("expected {what}s of u32, was given {}", indices.dtype().as_str()))
            .help("convert them with `to_dtype(\"u32\")`"));
    }
    let values = indices.to_u32s()?;
    match values.iter().find(|v| **v as usize >= below) {
        Some(bad) => Err(Error::new(format!("{what} {bad} is out of range; {what}s must be below {below}"))),
        None => Ok(values),
    }
}
