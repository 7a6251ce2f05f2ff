//! Tensors: how they are made, cut, joined and computed with.

mod computing;
mod draws;
mod grads;
mod indexing;
mod making;
mod reducing;
mod shaping;

use rhai::{Array, Dynamic, Engine, NativeCallContext};

use crate::script::display;
use crate::script::{At, Fallible, args, shared};
use crate::tensor::ops::pick::Pick;
use crate::tensor::{DType, Tensor};

pub(super) fn register(engine: &mut Engine) {
    display::know::<Tensor>(engine);
    engine.register_static_module("tensor", rhai::exported_module!(making::functions).into());
    engine.register_global_module(rhai::exported_module!(draws::functions).into());
    engine.register_global_module(rhai::exported_module!(grads::functions).into());
    engine.register_global_module(rhai::exported_module!(computing::functions).into());
    engine.register_global_module(rhai::exported_module!(shaping::functions).into());
    engine.register_global_module(rhai::exported_module!(reducing::functions).into());
    engine.register_global_module(rhai::exported_module!(indexing::functions).into());
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
