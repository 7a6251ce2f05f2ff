//! What crosses the line to an exported function, and back.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::error::{Error, Result};
use crate::tensor::{DType, Device, SharedBytes, Tensor};

/// A value on its way.
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
    Tensor(Tensor),
    /// A list.
    List(Vec<Value>),
    /// A map.
    Map(BTreeMap<String, Value>),
}

/// The types of tensors that cross.
const TYPES: [DType; 5] = [DType::F32, DType::F64, DType::I64, DType::U32, DType::U8];

/// Numbers begin at multiples of this in the memory that both sides see.
const ALIGN: usize = 64;

impl Value {
    /// The tensors, in order.
    pub fn tensors<'a>(&'a self, into: &mut Vec<&'a Tensor>) {
        match self {
            Value::Tensor(tensor) => into.push(tensor),
            Value::List(items) => items.iter().for_each(|item| item.tensors(into)),
            Value::Map(map) => map.values().for_each(|item| item.tensors(into)),
            _ => {}
        }
    }

    /// The same with each tensor, in order, as `change` makes it.
    ///
    /// # Errors
    /// Those of `change`.
    pub fn each_tensor(self, change: &mut impl FnMut(Tensor) -> Result<Tensor>) -> Result<Self> {
        Ok(match self {
            Value::Tensor(tensor) => Value::Tensor(change(tensor)?),
            Value::List(items) => {
                Value::List(items.into_iter().map(|item| item.each_tensor(change)).collect::<Result<_>>()?)
            }
            Value::Map(map) => Value::Map(
                map.into_iter().map(|(name, item)| Ok((name, item.each_tensor(change)?))).collect::<Result<_>>()?,
            ),
            other => other,
        })
    }
}

/// The bytes that tensors take in the memory that both sides see.
///
/// # Errors
/// One is of a type that does not cross.
pub fn room(tensors: &[&Tensor]) -> Result<usize> {
    tensors
        .iter()
        .map(|tensor| match TYPES.contains(&tensor.dtype()) {
            true => Ok((tensor.elements() * tensor.dtype().size_in_bytes()).next_multiple_of(ALIGN)),
            false => Err(Error::new(format!("a tensor of {} cannot be given to Rust", tensor.dtype().as_str()))
                .help("f32, f64, i64, u32 and u8 can; convert it with `to_dtype`")),
        })
        .sum()
}

/// A value as a message, its tensors written into `memory` from byte `at` on.
///
/// # Errors
/// A tensor cannot be read.
pub fn write(value: &Value, memory: &mut SharedBytes, at: &mut usize) -> Result<Json> {
    Ok(match value {
        Value::Unit => Json::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        // By its bits: a message says neither all fractions exactly nor infinity at all.
        Value::Float(value) => json!({ "float": value.to_bits() }),
        Value::Text(text) => text.as_str().into(),
        Value::List(items) => items.iter().map(|item| write(item, memory, at)).collect::<Result<_>>()?,
        Value::Map(map) => {
            let map = map.iter().map(|(name, item)| Ok((name.clone(), write(item, memory, at)?)));
            json!({ "map": map.collect::<Result<serde_json::Map<_, _>>>()? })
        }
        Value::Tensor(tensor) => {
            let place = *at;
            *at += memory.put(place, tensor)?.next_multiple_of(ALIGN);
            json!({ "tensor": [tensor.dtype().as_str(), tensor.dims(), place] })
        }
    })
}

/// A message as a value, its tensors read out of `memory`.
///
/// # Errors
/// The message is not one of ours.
pub fn read(json: &Json, memory: Option<&SharedBytes>, device: &Device) -> Result<Value> {
    Ok(match json {
        Json::Null => Value::Unit,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => Value::Int(number.as_i64().unwrap_or_default()),
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(|item| read(item, memory, device)).collect::<Result<_>>()?),
        Json::Object(object) => {
            if let Some(bits) = object.get("float").and_then(Json::as_u64) {
                return Ok(Value::Float(f64::from_bits(bits)));
            }
            if let Some(map) = object.get("map").and_then(Json::as_object) {
                let read = |(name, item): (&String, &Json)| Ok((name.clone(), read(item, memory, device)?));
                return map.iter().map(read).collect::<Result<_>>().map(Value::Map);
            }
            let tensor = &json["tensor"];
            let dtype = tensor[0].as_str().and_then(|name| TYPES.iter().find(|dtype| dtype.as_str() == name));
            let dims: Vec<usize> =
                tensor[1].as_array().into_iter().flatten().filter_map(Json::as_u64).map(|n| n as usize).collect();
            match (dtype, tensor[2].as_u64(), memory) {
                (Some(dtype), Some(at), Some(memory)) => {
                    Value::Tensor(memory.get(at as usize, *dtype, &dims, device)?)
                }
                _ => return Err(Error::bug("Rust answered with a tensor without a place")),
            }
        }
    })
}
