//! What crosses the line between Rhai and Rust.

use std::sync::OnceLock;

use candle_core::{DType, Device, Tensor, Var};

use crate::Map;
use crate::memory::{Bytes, numbers};

/// A value of Rhai.
#[derive(Debug, Clone)]
pub enum Value {
    /// `()`.
    Unit,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A string.
    Text(String),
    /// A tensor.
    Array(Array),
    /// A list.
    List(Vec<Value>),
    /// A map.
    Map(Map),
    /// A shape, which gives the values beside it theirs.
    Shape(Vec<usize>),
}

impl Value {
    /// What a message calls it.
    pub fn word(&self) -> String {
        match self {
            Value::Unit => "()".into(),
            Value::Bool(value) => format!("{value} (bool)"),
            Value::Int(value) => format!("{value} (int)"),
            Value::Float(value) => format!("{value} (float)"),
            Value::Text(text) if text.chars().count() <= 40 => format!("{text:?} (string)"),
            Value::Text(text) => format!("a string of {} characters", text.chars().count()),
            Value::Array(array) => format!("a tensor of {} and shape {:?}", array.dtype().as_str(), array.dims()),
            Value::List(items) => format!("a list of {}", items.len()),
            Value::Map(map) => format!("a map of {}", map.len()),
            Value::Shape(dims) => format!("a shape {dims:?}"),
        }
    }
}

/// A tensor or a variable of numbers that lie in memory.
macro_rules! of_numbers {
    ($kind:ident, $bytes:expr, $dtype:expr, $dims:expr) => {{
        let dims: &[usize] = $dims;
        match $dtype {
            DType::F32 => $kind::from_vec(numbers::<f32>($bytes), dims, &Device::Cpu),
            DType::F64 => $kind::from_vec(numbers::<f64>($bytes), dims, &Device::Cpu),
            DType::I64 => $kind::from_vec(numbers::<i64>($bytes), dims, &Device::Cpu),
            DType::U32 => $kind::from_vec(numbers::<u32>($bytes), dims, &Device::Cpu),
            DType::U8 => $kind::from_vec(numbers::<u8>($bytes), dims, &Device::Cpu),
            dtype => Err(candle_core::Error::UnsupportedDTypeForOp(dtype, "what Rhai gives")),
        }
    }};
}

/// A tensor: numbers in memory, a Candle tensor once someone asks for one.
#[derive(Debug, Clone)]
pub struct Array {
    dims: Vec<usize>,
    dtype: DType,
    bytes: Option<Bytes>,
    tensor: OnceLock<Tensor>,
    variable: Option<Var>,
    /// A `Vec` of numbers, whose shape the call may still give.
    pub(crate) plain: bool,
}

impl Array {
    /// Numbers that lie in memory.
    pub(crate) fn of_bytes(dims: Vec<usize>, dtype: DType, bytes: Bytes) -> Self {
        Self { dims, dtype, bytes: Some(bytes), tensor: OnceLock::new(), variable: None, plain: false }
    }

    /// A Candle tensor.
    pub(crate) fn of_tensor(tensor: Tensor) -> Self {
        let (dims, dtype) = (tensor.dims().to_vec(), tensor.dtype());
        Self { dims, dtype, bytes: None, tensor: OnceLock::from(tensor), variable: None, plain: false }
    }

    /// The length of each dimension.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// The type of the values.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The number of values.
    pub fn elements(&self) -> usize {
        self.dims.iter().product()
    }

    pub(crate) fn reshape(&mut self, dims: &[usize]) {
        self.dims = dims.to_vec();
        self.plain = false;
    }

    /// Makes the tensor a variable: what Candle computes from it can be differentiated.
    pub(crate) fn track(&mut self) -> Result<(), String> {
        let variable = match self.bytes() {
            Some(bytes) => of_numbers!(Var, bytes, self.dtype, &self.dims),
            None => Var::from_tensor(self.tensor()?),
        }
        .map_err(first_line)?;
        self.tensor = OnceLock::from(variable.as_tensor().clone());
        self.variable = Some(variable);
        Ok(())
    }

    pub(crate) fn variable(&self) -> Option<&Var> {
        self.variable.as_ref()
    }

    /// The bytes as they came, if they lie in memory.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        self.bytes.as_ref().map(Bytes::as_slice)
    }

    /// The Candle tensor.
    pub fn tensor(&self) -> Result<&Tensor, String> {
        if let Some(tensor) = self.tensor.get() {
            return Ok(tensor);
        }
        let bytes = self.bytes().ok_or("a tensor without values")?;
        let tensor = of_numbers!(Tensor, bytes, self.dtype, &self.dims).map_err(first_line)?;
        Ok(self.tensor.get_or_init(|| tensor))
    }
}

/// The tensors of a value, in order.
pub(crate) fn arrays_of<'a>(value: &'a Value, into: &mut Vec<&'a Array>) {
    match value {
        Value::Array(array) => into.push(array),
        Value::List(items) => items.iter().for_each(|item| arrays_of(item, into)),
        Value::Map(map) => map.values().for_each(|item| arrays_of(item, into)),
        _ => {}
    }
}

/// Visits the tensors of a value, in order.
pub(crate) fn arrays_mut(
    value: &mut Value,
    visit: &mut impl FnMut(&mut Array) -> Result<(), String>,
) -> Result<(), String> {
    match value {
        Value::Array(array) => visit(array),
        Value::List(items) => items.iter_mut().try_for_each(|item| arrays_mut(item, visit)),
        Value::Map(map) => map.values_mut().try_for_each(|item| arrays_mut(item, visit)),
        _ => Ok(()),
    }
}

/// The first line of an error; Candle puts a backtrace below it.
pub(crate) fn first_line(error: impl std::fmt::Display) -> String {
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().take_while(|line| !line.trim_start().starts_with("0:")).collect();
    lines.join("\n").trim_end().to_string()
}
