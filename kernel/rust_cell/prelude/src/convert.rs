//! What an exported function may take and give, and how it is read strictly.

use std::collections::{BTreeMap, HashMap};

use candle_core::{DType, Shape, Tensor, WithDType};

use crate::Map;
use crate::memory::{Bytes, Numbers};
use crate::value::{Array, Value, first_line};

/// The arguments of a call, taken one after the other.
pub struct Arguments<'a> {
    values: &'a [Value],
    next: usize,
    /// Whether a tensor was taken as a slice, which Candle does not see.
    pub(crate) sliced: bool,
    /// Whether they were not what is taken.
    pub(crate) wrong: bool,
}

impl<'a> Arguments<'a> {
    pub(crate) fn new(values: &'a [Value]) -> Self {
        Self { values, next: 0, sliced: false, wrong: false }
    }

    /// The next argument, as the parameter `name` takes it.
    pub fn take<T: Argument<'a>>(&mut self, name: &str) -> Result<T, String> {
        let number = self.next + 1;
        T::take(self).map_err(|fault| {
            self.wrong = true;
            format!("argument {number}, `{name}`, {fault}")
        })
    }

    fn next(&mut self) -> Result<&'a Value, String> {
        let value = self.values.get(self.next).ok_or("is missing")?;
        self.next += 1;
        Ok(value)
    }

    /// The error if more was given than is taken.
    pub fn end(&mut self) -> Result<(), String> {
        self.wrong = self.values.len() > self.next;
        match self.wrong {
            false => Ok(()),
            true => Err(format!("takes {} and was given {}", count(self.next), count(self.values.len()))),
        }
    }
}

fn count(n: usize) -> String {
    if n == 1 { "1 argument".into() } else { format!("{n} arguments") }
}

/// What a parameter of an exported function can be.
#[diagnostic::on_unimplemented(
    message = "an exported function cannot take `{Self}`",
    label = "Rhai has no such value",
    note = "it takes `&Tensor`, `&[f32]` (also f64, i64, u32, u8) with a `Shape` behind it, numbers, `bool`, `&str`, lists, and maps of these"
)]
pub trait Argument<'a>: Sized {
    /// The type in a script's words; empty if the script gives nothing for it.
    fn word() -> String;
    /// The next of the arguments.
    fn take(arguments: &mut Arguments<'a>) -> Result<Self, String>;
}

/// The shape of the tensor before it.
impl<'a> Argument<'a> for Shape {
    fn word() -> String {
        String::new()
    }

    fn take(arguments: &mut Arguments<'a>) -> Result<Self, String> {
        match arguments.next.checked_sub(1).and_then(|before| arguments.values.get(before)) {
            Some(Value::Array(array)) => Ok(Shape::from(array.dims())),
            _ => Err("is the shape of the tensor before it, and there is none".into()),
        }
    }
}

impl<'a, T: FromValue<'a>> Argument<'a> for T {
    fn word() -> String {
        T::word()
    }

    fn take(arguments: &mut Arguments<'a>) -> Result<Self, String> {
        let value = arguments.next()?;
        arguments.sliced |= T::SLICE && matches!(value, Value::Array(_));
        T::from_value(value).ok_or_else(|| format!("takes {}, and was given {}", T::takes(), value.word()))?
    }
}

/// What a value of Rhai can be read as.
#[diagnostic::on_unimplemented(
    message = "an exported function cannot take `{Self}`",
    label = "Rhai has no such value",
    note = "it takes `&Tensor`, `&[f32]` (also f64, i64, u32, u8) with a `Shape` behind it, numbers, `bool`, `&str`, lists, and maps of these"
)]
pub trait FromValue<'a>: Sized {
    /// Whether it is a tensor's numbers without the tensor.
    const SLICE: bool = false;
    /// The type in a script's words.
    fn word() -> String;
    /// What it takes, in a sentence.
    fn takes() -> String {
        Self::word()
    }
    /// The value read; nothing if it is of another kind.
    fn from_value(value: &'a Value) -> Option<Result<Self, String>>;
}

impl<'a> FromValue<'a> for &'a Tensor {
    fn word() -> String {
        "Tensor".into()
    }

    fn takes() -> String {
        "a tensor".into()
    }

    fn from_value(value: &'a Value) -> Option<Result<Self, String>> {
        match value {
            Value::Array(array) => Some(array.tensor()),
            _ => None,
        }
    }
}

impl<'a> FromValue<'a> for Tensor {
    fn word() -> String {
        "Tensor".into()
    }

    fn takes() -> String {
        "a tensor".into()
    }

    fn from_value(value: &'a Value) -> Option<Result<Self, String>> {
        <&Tensor>::from_value(value).map(|tensor| tensor.cloned())
    }
}

impl<'a> FromValue<'a> for &'a Value {
    fn word() -> String {
        "any".into()
    }

    fn from_value(value: &'a Value) -> Option<Result<Self, String>> {
        Some(Ok(value))
    }
}

impl<'a> FromValue<'a> for Value {
    fn word() -> String {
        "any".into()
    }

    fn from_value(value: &'a Value) -> Option<Result<Self, String>> {
        Some(Ok(value.clone()))
    }
}

/// Whole numbers are taken as floats, as everywhere in Rhai.
macro_rules! floats {
    ($($kind:ty)*) => {$(
        impl<'a> FromValue<'a> for $kind {
            fn word() -> String {
                "float".into()
            }

            fn takes() -> String {
                "a number".into()
            }

            fn from_value(value: &'a Value) -> Option<Result<Self, String>> {
                match value {
                    Value::Float(number) => Some(Ok(*number as $kind)),
                    Value::Int(number) => Some(Ok(*number as $kind)),
                    _ => None,
                }
            }
        }
    )*};
}
floats!(f64 f32);

macro_rules! whole {
    ($($kind:ty)*) => {$(
        impl<'a> FromValue<'a> for $kind {
            fn word() -> String {
                "int".into()
            }

            fn takes() -> String {
                format!("a whole number from {} to {}", <$kind>::MIN, <$kind>::MAX)
            }

            fn from_value(value: &'a Value) -> Option<Result<Self, String>> {
                match value {
                    Value::Int(number) => <$kind>::try_from(*number).ok().map(Ok),
                    _ => None,
                }
            }
        }
    )*};
}
whole!(i64 i32 u64 u32 u8 usize);

impl<'a> FromValue<'a> for bool {
    fn word() -> String {
        "bool".into()
    }

    fn takes() -> String {
        "`true` or `false`".into()
    }

    fn from_value(value: &'a Value) -> Option<Result<Self, String>> {
        match value {
            Value::Bool(value) => Some(Ok(*value)),
            _ => None,
        }
    }
}

impl<'a> FromValue<'a> for &'a str {
    fn word() -> String {
        "string".into()
    }

    fn takes() -> String {
        "a string".into()
    }

    fn from_value(value: &'a Value) -> Option<Result<Self, String>> {
        match value {
            Value::Text(text) => Some(Ok(text)),
            _ => None,
        }
    }
}

impl<'a> FromValue<'a> for String {
    fn word() -> String {
        "string".into()
    }

    fn takes() -> String {
        "a string".into()
    }

    fn from_value(value: &'a Value) -> Option<Result<Self, String>> {
        <&str>::from_value(value).map(|text| text.map(ToString::to_string))
    }
}

impl<'a, T: FromValue<'a>> FromValue<'a> for Option<T> {
    fn word() -> String {
        T::word()
    }

    fn takes() -> String {
        format!("{} or `()`", T::takes())
    }

    fn from_value(value: &'a Value) -> Option<Result<Self, String>> {
        match value {
            Value::Unit => Some(Ok(None)),
            value => T::from_value(value).map(|value| value.map(Some)),
        }
    }
}

impl<'a, T: FromValue<'a>> FromValue<'a> for Vec<T> {
    fn word() -> String {
        "list".into()
    }

    fn takes() -> String {
        format!("a list, each of it {}", T::takes())
    }

    fn from_value(value: &'a Value) -> Option<Result<Self, String>> {
        match value {
            Value::List(items) => items.iter().map(T::from_value).collect(),
            _ => None,
        }
    }
}

macro_rules! maps {
    ($($map:ident)*) => {$(
        impl<'a, T: FromValue<'a>> FromValue<'a> for $map<String, T> {
            fn word() -> String {
                "map".into()
            }

            fn takes() -> String {
                format!("a map, each of its values {}", T::takes())
            }

            fn from_value(value: &'a Value) -> Option<Result<Self, String>> {
                let Value::Map(map) = value else { return None };
                map.iter()
                    .map(|(name, value)| T::from_value(value).map(|value| value.map(|value| (name.clone(), value))))
                    .collect()
            }
        }
    )*};
}
maps!(BTreeMap HashMap);

impl<'a> FromValue<'a> for &'a Map {
    fn word() -> String {
        "map".into()
    }

    fn takes() -> String {
        "a map".into()
    }

    fn from_value(value: &'a Value) -> Option<Result<Self, String>> {
        match value {
            Value::Map(map) => Some(Ok(map)),
            _ => None,
        }
    }
}

/// What an exported function can give.
#[diagnostic::on_unimplemented(
    message = "an exported function cannot give `{Self}`",
    label = "Rhai has no such value",
    note = "it gives `Tensor`, `Vec<f32>` (also f64, i64, u32, u8), numbers, `bool`, `String`, lists, tuples and maps of these, and any of it in a `Result`"
)]
pub trait IntoValue: Sized {
    /// The type in a script's words.
    fn word() -> String;
    /// The value for Rhai.
    fn into_value(self) -> Result<Value, String>;
    /// Many of them.
    fn many(items: Vec<Self>) -> Result<Value, String> {
        items.into_iter().map(Self::into_value).collect::<Result<_, _>>().map(Value::List)
    }
    /// The type of many of them.
    fn many_word() -> String {
        "list".into()
    }
}

impl IntoValue for Value {
    fn word() -> String {
        "any".into()
    }

    fn into_value(self) -> Result<Value, String> {
        Ok(self)
    }
}

impl IntoValue for Tensor {
    fn word() -> String {
        "Tensor".into()
    }

    fn into_value(self) -> Result<Value, String> {
        Ok(Value::Array(Array::of_tensor(self)))
    }
}

/// Numbers of which a slice can be a tensor: they have no padding and every pattern of bits is one.
macro_rules! elements {
    ($($kind:ident $dtype:ident $word:literal $value:expr;)*) => {$(
        impl Numbers for Vec<$kind> {
            fn as_bytes(&self) -> &[u8] {
                // SAFETY: numbers have no padding, and a byte may lie anywhere.
                unsafe { std::slice::from_raw_parts(self.as_ptr().cast(), std::mem::size_of_val(self.as_slice())) }
            }
        }

        impl<'a> FromValue<'a> for &'a [$kind] {
            const SLICE: bool = true;

            fn word() -> String {
                "Tensor".into()
            }

            fn takes() -> String {
                format!("a tensor of {}", DType::$dtype.as_str())
            }

            fn from_value(value: &'a Value) -> Option<Result<Self, String>> {
                let Value::Array(array) = value else { return None };
                if array.dtype() != DType::$dtype {
                    return None;
                }
                Some(array.bytes().ok_or_else(|| "has no values".to_string()).and_then(|bytes| {
                    // SAFETY: any bytes are numbers, and `align_to` gives those that lie where numbers may.
                    match unsafe { bytes.align_to::<$kind>() } {
                        ([], numbers, []) => Ok(numbers),
                        _ => Err("does not lie where numbers may".into()),
                    }
                }))
            }
        }

        impl IntoValue for $kind {
            fn word() -> String {
                $word.into()
            }

            fn into_value(self) -> Result<Value, String> {
                let into: fn($kind) -> Value = $value;
                Ok(into(self))
            }

            fn many(items: Vec<Self>) -> Result<Value, String> {
                let mut array = Array::of_bytes(vec![items.len()], <$kind as WithDType>::DTYPE, Bytes::own(items));
                array.plain = true;
                Ok(Value::Array(array))
            }

            fn many_word() -> String {
                "Tensor".into()
            }
        }
    )*};
}
elements! {
    f32 F32 "float" |number| Value::Float(f64::from(number));
    f64 F64 "float" Value::Float;
    i64 I64 "int" Value::Int;
    u32 U32 "int" |number| Value::Int(i64::from(number));
    u8 U8 "int" |number| Value::Int(i64::from(number));
}

macro_rules! whole_results {
    ($($kind:ty)*) => {$(
        impl IntoValue for $kind {
            fn word() -> String {
                "int".into()
            }

            fn into_value(self) -> Result<Value, String> {
                i64::try_from(self).map(Value::Int).map_err(|_| format!("gave {self}, which is too large for an int"))
            }
        }
    )*};
}
whole_results!(i32 u64 usize);

impl IntoValue for bool {
    fn word() -> String {
        "bool".into()
    }

    fn into_value(self) -> Result<Value, String> {
        Ok(Value::Bool(self))
    }
}

impl IntoValue for String {
    fn word() -> String {
        "string".into()
    }

    fn into_value(self) -> Result<Value, String> {
        Ok(Value::Text(self))
    }
}

impl IntoValue for &str {
    fn word() -> String {
        "string".into()
    }

    fn into_value(self) -> Result<Value, String> {
        Ok(Value::Text(self.into()))
    }
}

impl IntoValue for () {
    fn word() -> String {
        String::new()
    }

    fn into_value(self) -> Result<Value, String> {
        Ok(Value::Unit)
    }
}

impl IntoValue for Shape {
    fn word() -> String {
        "list".into()
    }

    fn into_value(self) -> Result<Value, String> {
        Ok(Value::Shape(self.dims().to_vec()))
    }
}

impl<T: IntoValue> IntoValue for Vec<T> {
    fn word() -> String {
        T::many_word()
    }

    fn into_value(self) -> Result<Value, String> {
        T::many(self)
    }
}

impl<T: IntoValue> IntoValue for Option<T> {
    fn word() -> String {
        T::word()
    }

    fn into_value(self) -> Result<Value, String> {
        self.map_or(Ok(Value::Unit), T::into_value)
    }
}

impl<T: IntoValue, E: std::fmt::Display> IntoValue for Result<T, E> {
    fn word() -> String {
        T::word()
    }

    fn into_value(self) -> Result<Value, String> {
        self.map_err(first_line)?.into_value()
    }
}

impl<T: IntoValue> IntoValue for BTreeMap<String, T> {
    fn word() -> String {
        "map".into()
    }

    fn into_value(self) -> Result<Value, String> {
        self.into_iter()
            .map(|(name, value)| Ok((name, value.into_value()?)))
            .collect::<Result<_, String>>()
            .map(Value::Map)
    }
}

impl<T: IntoValue> IntoValue for HashMap<String, T> {
    fn word() -> String {
        "map".into()
    }

    fn into_value(self) -> Result<Value, String> {
        self.into_iter().collect::<BTreeMap<_, _>>().into_value()
    }
}

/// Values with the shape that stands behind them are one tensor of that shape.
impl<A: IntoValue, B: IntoValue> IntoValue for (A, B) {
    fn word() -> String {
        if A::word() == "Tensor" && std::any::type_name::<B>() == std::any::type_name::<Shape>() {
            return "Tensor".into();
        }
        "list".into()
    }

    fn into_value(self) -> Result<Value, String> {
        match (self.0.into_value()?, self.1.into_value()?) {
            (Value::Array(mut array), Value::Shape(dims)) if array.plain => {
                if dims.iter().product::<usize>() != array.elements() {
                    return Err(format!("gave {} values and the shape {dims:?}", array.elements()));
                }
                array.reshape(&dims);
                Ok(Value::Array(array))
            }
            (first, second) => Ok(Value::List(vec![first, second])),
        }
    }
}

impl<A: IntoValue, B: IntoValue, C: IntoValue> IntoValue for (A, B, C) {
    fn word() -> String {
        "list".into()
    }

    fn into_value(self) -> Result<Value, String> {
        Ok(Value::List(vec![self.0.into_value()?, self.1.into_value()?, self.2.into_value()?]))
    }
}

impl<A: IntoValue, B: IntoValue, C: IntoValue, D: IntoValue> IntoValue for (A, B, C, D) {
    fn word() -> String {
        "list".into()
    }

    fn into_value(self) -> Result<Value, String> {
        Ok(Value::List(vec![self.0.into_value()?, self.1.into_value()?, self.2.into_value()?, self.3.into_value()?]))
    }
}
