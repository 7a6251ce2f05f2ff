//! The tensor itself: what it holds, how it is made and read.

use std::fmt;
use std::sync::Arc;

use candle_core::{CpuStorage, DType, Device, Layout, Storage, WithDType};
use rayon::prelude::*;

use super::cpu::{map, order};
use super::grad::{Node, operator};
use super::room::room;
use crate::error::{Error, Result};

pub(crate) type Raw = candle_core::Tensor;

/// An n-dimensional array on a device, with a place in the graph when something upstream is tracked.
///
/// Cloning is cheap and shares the storage; no operator changes a tensor in place.
#[derive(Clone)]
pub struct Tensor {
    raw: Raw,
    node: Option<Arc<Node>>,
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({:?}, {:?})", self.dims(), self.dtype())
    }
}

impl Tensor {
    /// A tensor without a place in the graph.
    pub fn from_raw(raw: Raw) -> Self {
        Self { raw, node: None }
    }

    pub(crate) fn with_node(raw: Raw, node: Arc<Node>) -> Self {
        Self { raw, node: Some(node) }
    }

    pub(crate) fn node(&self) -> Option<&Arc<Node>> {
        self.node.as_ref()
    }

    /// The Candle tensor, without the graph.
    pub fn raw(&self) -> &Raw {
        &self.raw
    }

    fn from_data<T: WithDType>(data: Vec<T>, shape: &[usize], device: &Device) -> Result<Self> {
        let elements: usize = shape.iter().product();
        if elements != data.len() {
            return Err(Error::new(format!(
                "{} values do not fill the shape {shape:?}, which holds {elements}",
                data.len()
            )));
        }
        Ok(Self::from_raw(Raw::from_vec(data, shape, device)?))
    }

    /// An f32 tensor from values in row-major order.
    pub fn from_vec(data: Vec<f32>, shape: &[usize], device: &Device) -> Result<Self> {
        Self::from_data(data, shape, device)
    }

    /// An f64 tensor from values in row-major order.
    pub fn from_f64s(data: Vec<f64>, shape: &[usize], device: &Device) -> Result<Self> {
        Self::from_data(data, shape, device)
    }

    /// A u32 tensor (labels, indices) from values in row-major order.
    pub fn from_u32s(data: Vec<u32>, shape: &[usize], device: &Device) -> Result<Self> {
        Self::from_data(data, shape, device)
    }

    /// A u8 tensor (pixels) from values in row-major order.
    pub fn from_u8s(data: Vec<u8>, shape: &[usize], device: &Device) -> Result<Self> {
        Self::from_data(data, shape, device)
    }

    /// Pixels from 0 to 255 in row-major order as numbers from 0 to 1, f32. A GPU is sent the bytes.
    pub fn from_pixels(pixels: &[u8], shape: &[usize], device: &Device) -> Result<Self> {
        #[cfg(feature = "cuda")]
        if device.is_cuda() && !pixels.is_empty() {
            let bytes = Self::from_u8s(pixels.to_vec(), shape, device)?;
            return Ok(Self::from_raw(super::cuda::pixels(bytes.raw())?));
        }
        Self::from_vec(pixels.iter().map(|pixel| f32::from(*pixel) / 255.0).collect(), shape, device)
    }

    /// Zeros.
    pub fn zeros(shape: &[usize], dtype: DType, device: &Device) -> Result<Self> {
        room(shape, dtype.size_in_bytes())?;
        Ok(Self::from_raw(Raw::zeros(shape, dtype, device)?))
    }

    /// Zeros that take the memory of one number, whatever the shape.
    pub fn one_zero_everywhere(shape: &[usize], dtype: DType, device: &Device) -> Result<Self> {
        Ok(Self::from_raw(Raw::zeros(&[], dtype, device)?.broadcast_as(shape)?))
    }

    /// Ones.
    pub fn ones(shape: &[usize], dtype: DType, device: &Device) -> Result<Self> {
        room(shape, dtype.size_in_bytes())?;
        Ok(Self::from_raw(Raw::ones(shape, dtype, device)?))
    }

    /// One value everywhere.
    pub fn full(value: f64, shape: &[usize], dtype: DType, device: &Device) -> Result<Self> {
        // The number is f64 until it is converted.
        room(shape, 8)?;
        Ok(Self::from_raw(Raw::full(value, shape, device)?.to_dtype(dtype)?))
    }

    /// An f32 number on the CPU, of shape `[]`.
    pub fn scalar(value: f64) -> Result<Self> {
        Self::full(value, &[], DType::F32, &Device::Cpu)
    }

    /// The length of each dimension.
    pub fn dims(&self) -> &[usize] {
        self.raw.dims()
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.raw.rank()
    }

    /// The number of values.
    pub fn elements(&self) -> usize {
        self.raw.elem_count()
    }

    /// The type of the values.
    pub fn dtype(&self) -> DType {
        self.raw.dtype()
    }

    /// Where the values are.
    pub fn device(&self) -> &Device {
        self.raw.device()
    }

    /// Whether gradients flow to or through this tensor.
    pub fn tracked(&self) -> bool {
        self.node.is_some()
    }

    /// The same values as a leaf of the graph, so that `grad` can ask for the gradient there.
    pub fn track(&self) -> Self {
        Self::with_node(self.raw.clone(), Node::leaf())
    }

    /// The same values as the leaf `leaf`: a parameter's place in every graph. Outside recording, just the values.
    pub fn tracked_as(&self, leaf: &Leaf) -> Self {
        if super::grad::recording() { Self::with_node(self.raw.clone(), leaf.0.clone()) } else { self.detach() }
    }

    /// The same values with no past: no gradient flows through.
    pub fn detach(&self) -> Self {
        Self::from_raw(self.raw.clone())
    }

    /// The same values at a place of their own in the graph; gradients pass through.
    pub(crate) fn alias(&self) -> Self {
        operator("alias", self.raw.clone(), &[self], |incoming| Ok(vec![Some(incoming.grad.clone())]))
    }

    /// Four dimensions, `[n, c, h, w]`.
    ///
    /// # Errors
    /// The tensor has another number of dimensions.
    pub fn dims4(&self) -> Result<[usize; 4]> {
        <[usize; 4]>::try_from(self.dims())
            .map_err(|_| Error::new(format!("expected a tensor of shape [n, c, h, w], was given {:?}", self.dims())))
    }

    /// Two dimensions.
    ///
    /// # Errors
    /// The tensor has another number of dimensions.
    pub fn dims2(&self) -> Result<[usize; 2]> {
        <[usize; 2]>::try_from(self.dims())
            .map_err(|_| Error::new(format!("expected a tensor of two dimensions, was given {:?}", self.dims())))
    }

    /// The index of dimension `dim`, which may count from the end when negative.
    ///
    /// # Errors
    /// There is no such dimension.
    pub fn dim_index(&self, dim: i64) -> Result<usize> {
        let rank = self.rank() as i64;
        let index = if dim < 0 { dim + rank } else { dim };
        if (0..rank).contains(&index) {
            Ok(index as usize)
        } else {
            Err(Error::new(format!("there is no dimension {dim} in a tensor of shape {:?}", self.dims())))
        }
    }

    /// The values as f32, row by row.
    pub fn to_f32s(&self) -> Result<Vec<f32>> {
        Ok(self.here()?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
    }

    /// The values as f64, row by row.
    pub fn to_f64s(&self) -> Result<Vec<f64>> {
        let here = self.here()?;
        if here.dtype() == DType::F32 {
            return with_slice::<f32, _>(&here, |values| {
                Ok(values.par_iter().map(|value| f64::from(*value)).collect())
            });
        }
        Ok(here.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
    }

    /// The values as u32, row by row; fractions are cut off.
    pub fn to_u32s(&self) -> Result<Vec<u32>> {
        Ok(self.here()?.to_dtype(DType::U32)?.flatten_all()?.to_vec1()?)
    }

    /// The values as u8, row by row; fractions are cut off.
    pub fn to_u8s(&self) -> Result<Vec<u8>> {
        Ok(self.here()?.to_dtype(DType::U8)?.flatten_all()?.to_vec1()?)
    }

    /// The values on the CPU. Of a tensor on a GPU this waits for all that was asked of it.
    fn here(&self) -> Result<Raw> {
        match self.device() {
            Device::Cpu => Ok(self.raw.clone()),
            _ => moved(&self.raw, &Device::Cpu),
        }
    }

    /// The value of a one-element tensor.
    ///
    /// # Errors
    /// The tensor has several elements.
    pub fn value(&self) -> Result<f64> {
        match self.to_f64s()?.as_slice() {
            [value] => Ok(*value),
            _ => Err(Error::new(format!("expected a tensor of one value, was given {:?}", self.dims()))),
        }
    }

    /// The same values as another type; the gradient comes back in this one's.
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        let own = self.dtype();
        if own == dtype {
            return Ok(self.clone());
        }
        let raw = self.raw.to_dtype(dtype)?;
        if !is_float(dtype) || !is_float(own) {
            return Ok(Self::from_raw(raw));
        }
        Ok(operator("to_dtype", raw, &[self], move |incoming| Ok(vec![Some(incoming.grad.to_dtype(own)?)])))
    }

    /// The same values on another device; the gradient comes back to this one's.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        if self.device().same_device(device) {
            return Ok(self.clone());
        }
        let own = self.device().clone();
        let raw = moved(&self.raw, device)?;
        Ok(operator("to_device", raw, &[self], move |incoming| Ok(vec![Some(incoming.grad.to_device(&own)?)])))
    }

    /// Whether the values are on the CPU, where our own kernels run.
    pub fn on_cpu(&self) -> bool {
        #[cfg(test)]
        if THROUGH_CANDLE.with(std::cell::Cell::get) {
            return false;
        }
        matches!(self.device(), Device::Cpu)
    }

    /// Whether the values are on a GPU and of a type and number that our own kernels are for.
    #[cfg(feature = "cuda")]
    pub(crate) fn has_kernels(&self) -> bool {
        self.device().is_cuda()
            && matches!(self.dtype(), DType::F32 | DType::F64)
            && (1..1 << 31).contains(&self.elements())
    }
}

/// Runs one of two typed bodies: `T` is f32 or f64.
macro_rules! typed {
    ($raw:expr, $T:ident => $body:expr) => {
        match $raw.dtype() {
            candle_core::DType::F32 => {
                type $T = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $T = f64;
                $body
            }
            other => {
                Err(crate::error::Error::new(format!("expected a tensor of f32 or f64, was given {}", other.as_str()))
                    .help("convert it with `to_dtype`"))
            }
        }
    };
}
pub(crate) use typed;

/// What a kernel of ours gives for a tensor on a GPU; `None` elsewhere, and in a build without CUDA.
macro_rules! on_gpu {
    ($x:expr, $value:expr) => {{
        #[cfg(feature = "cuda")]
        let value: Option<crate::error::Result<_>> = if $x.has_kernels() { Some($value) } else { None };
        #[cfg(not(feature = "cuda"))]
        let value: Option<crate::error::Result<_>> = {
            let _ = &$x;
            None
        };
        value
    }};
}
pub(crate) use on_gpu;

/// `raw` on another device.
fn moved(raw: &Raw, device: &Device) -> Result<Raw> {
    #[cfg(feature = "cuda")]
    if raw.device().is_cuda() {
        return Ok(super::cuda::compact(raw)?.to_device(device)?);
    }
    Ok(raw.to_device(device)?)
}

/// The values of `raw` in row-major order.
pub(crate) fn contiguous(raw: &Raw) -> Result<Raw> {
    #[cfg(feature = "cuda")]
    if raw.device().is_cuda() {
        return super::cuda::contiguous(raw);
    }
    if raw.is_contiguous() {
        return Ok(raw.clone());
    }
    if raw.device().is_cpu() && repeats(raw) && matches!(raw.dtype(), DType::F32 | DType::F64) {
        return typed!(raw, T => with_distinct::<T, _>(raw, |x, dims| from_cpu(map::expand(x, dims, raw.dims()), raw.dims())));
    }
    let (storage, layout) = raw.storage_and_layout();
    macro_rules! ordered {
        ($values:expr) => {
            from_cpu(order::ordered($values, layout.start_offset(), layout.dims(), layout.stride()), layout.dims())
        };
    }
    match &*storage {
        Storage::Cpu(CpuStorage::F32(values)) => ordered!(values),
        Storage::Cpu(CpuStorage::F64(values)) => ordered!(values),
        Storage::Cpu(CpuStorage::I64(values)) => ordered!(values),
        Storage::Cpu(CpuStorage::U32(values)) => ordered!(values),
        Storage::Cpu(CpuStorage::U8(values)) => ordered!(values),
        _ => Ok(raw.contiguous()?),
    }
}

#[cfg(test)]
thread_local! {
    static THROUGH_CANDLE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Runs `f` as if no tensor were on the CPU: operators go through Candle, as they do on a GPU.
#[cfg(test)]
pub(crate) fn through_candle<R>(f: impl FnOnce() -> R) -> R {
    THROUGH_CANDLE.with(|flag| flag.set(true));
    let result = f();
    THROUGH_CANDLE.with(|flag| flag.set(false));
    result
}

/// A place in the graph that outlives the values put there: the identity of a parameter.
#[derive(Clone)]
pub struct Leaf(Arc<Node>);

impl Leaf {
    /// A place of its own.
    #[allow(clippy::new_without_default)] // Each is different, so there is no default.
    pub fn new() -> Self {
        Self(Node::leaf())
    }
}

/// Whether gradients exist for this type.
pub(crate) fn is_float(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F64 | DType::F16 | DType::BF16)
}

/// Reads the values of a CPU tensor of type `T` as one slice; copies first if they do not lie in order.
pub(crate) fn with_slice<T: WithDType, R>(raw: &Raw, f: impl FnOnce(&[T]) -> Result<R>) -> Result<R> {
    let ordered;
    let raw = if raw.is_contiguous() {
        raw
    } else {
        ordered = contiguous(raw)?;
        &ordered
    };
    let (storage, layout) = raw.storage_and_layout();
    f(values_of(&storage, layout)?)
}

/// Reads the values of several CPU tensors in row-major order.
pub(crate) fn with_slices<T: WithDType, R>(raws: &[&Raw], f: impl FnOnce(&[&[T]]) -> Result<R>) -> Result<R> {
    let raws = raws.iter().map(|raw| contiguous(raw)).collect::<Result<Vec<_>>>()?;
    let held: Vec<_> = raws.iter().map(|raw| raw.storage_and_layout()).collect();
    f(&held.iter().map(|(storage, layout)| values_of(storage, layout)).collect::<Result<Vec<_>>>()?)
}

fn values_of<'a, T: WithDType>(storage: &'a Storage, layout: &Layout) -> Result<&'a [T]> {
    let Storage::Cpu(storage) = storage else {
        return Err(Error::bug("a CPU kernel was given a tensor that is elsewhere"));
    };
    let Some((start, end)) = layout.contiguous_offsets() else {
        return Err(Error::bug("a contiguous tensor is not contiguous"));
    };
    Ok(&storage.as_slice()?[start..end])
}

/// Whether the values along some dimension are all the same one in memory.
fn repeats(raw: &Raw) -> bool {
    raw.dims().iter().zip(raw.stride()).any(|(length, stride)| *length > 1 && *stride == 0)
}

/// Reads the values of a CPU tensor as [`with_slice`] does, but once only along dimensions in which they repeat: the values,
/// and their shape, which broadcasts to the tensor's.
pub(crate) fn with_distinct<T: WithDType, R>(raw: &Raw, f: impl FnOnce(&[T], &[usize]) -> Result<R>) -> Result<R> {
    if raw.is_contiguous() || !repeats(raw) {
        return with_slice(raw, |values| f(values, raw.dims()));
    }
    let mut distinct = raw.clone();
    for (dim, (length, stride)) in raw.dims().iter().zip(raw.stride()).enumerate() {
        if *length > 1 && *stride == 0 {
            distinct = distinct.narrow(dim, 0, 1)?;
        }
    }
    with_slice(&distinct, |values| f(values, distinct.dims()))
}

/// A CPU tensor around values that are already in order.
pub(crate) fn from_cpu<T: WithDType>(values: Vec<T>, dims: &[usize]) -> Result<Raw> {
    let storage: CpuStorage = T::to_cpu_storage_owned(values);
    Ok(Raw::from_storage(Storage::Cpu(storage), dims, candle_core::op::BackpropOp::none(), false))
}
