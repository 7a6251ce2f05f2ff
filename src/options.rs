//! Named, typed, documented settings: one declaration feeds defaults, strict reading, help and the record of a run.
//!
//! [`options!`](crate::options!) declares a struct of public fields with their defaults and docs, and derives from it
//! the table that scripts, `help()` and run records read. A name that is not in the table is an error that lists the
//! near ones; a value of the wrong type is an error that says what was given and expected.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::table;
use crate::tensor::Tensor;

/// A function from tensors to a tensor that a script gave where a name could stand.
#[derive(Clone)]
pub struct Callback {
    /// What to call it in messages and records.
    pub name: String,
    /// The function.
    pub call: Arc<dyn Fn(&[Tensor]) -> Result<Tensor> + Send + Sync>,
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "function {}", self.name)
    }
}

impl PartialEq for Callback {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.call, &other.call)
    }
}

/// The value of an option as a script writes it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `()`: not set.
    Unit,
    /// `true`, `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A function of tensors.
    Function(Callback),
}

impl Value {
    /// What kind of value it is, in a script's words.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Unit => "()",
            Value::Bool(_) => "a bool",
            Value::Int(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Text(_) => "a string",
            Value::List(_) => "a list",
            Value::Function(_) => "a function",
        }
    }

    /// As JSON, for the record of a run. Functions are recorded by name.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Value::Unit => serde_json::Value::Null,
            Value::Bool(v) => (*v).into(),
            Value::Int(v) => (*v).into(),
            Value::Float(v) => (*v).into(),
            Value::Text(v) => v.clone().into(),
            Value::List(v) => v.iter().map(Value::to_json).collect(),
            Value::Function(v) => format!("{v:?}").into(),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Unit => f.write_str("()"),
            Value::Bool(v) => write!(f, "{v}"),
            Value::Int(v) => write!(f, "{v}"),
            Value::Float(v) if v.fract() == 0.0 && v.abs() < 1e6 => write!(f, "{v:.1}"),
            Value::Float(v) if *v != 0.0 && v.abs() < 1e-3 => write!(f, "{v:e}"),
            Value::Float(v) => write!(f, "{v}"),
            Value::Text(v) => write!(f, "{v:?}"),
            Value::List(v) => {
                f.write_str("[")?;
                for (i, item) in v.iter().enumerate() {
                    write!(f, "{}{item}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Value::Function(v) => write!(f, "|{}|", v.name),
        }
    }
}

/// A Rust type that an option may have.
pub trait Setting: Sized {
    /// What is expected, in a script's words: `a whole number from 0`.
    const EXPECTED: &'static str;
    /// From what a script gave; the given value back if it does not fit.
    fn from_value(value: Value) -> std::result::Result<Self, Value>;
    /// To what a script would write.
    fn to_value(&self) -> Value;
}

macro_rules! setting {
    ($type:ty, $expected:literal, $from:pat => $to:expr, $back:expr) => {
        impl Setting for $type {
            const EXPECTED: &'static str = $expected;
            fn from_value(value: Value) -> std::result::Result<Self, Value> {
                match value {
                    $from => Ok($to),
                    other => Err(other),
                }
            }
            fn to_value(&self) -> Value {
                #[allow(clippy::redundant_closure_call)]
                $back(self)
            }
        }
    };
}

setting!(bool, "a bool", Value::Bool(v) => v, |v: &bool| Value::Bool(*v));
setting!(String, "a string", Value::Text(v) => v, |v: &String| Value::Text(v.clone()));
setting!(usize, "a whole number from 0", Value::Int(v @ 0..) => v as usize, |v: &usize| Value::Int(*v as i64));
setting!(u64, "a whole number from 0", Value::Int(v @ 0..) => v as u64, |v: &u64| Value::Int(*v as i64));
setting!(i64, "a whole number", Value::Int(v) => v, |v: &i64| Value::Int(*v));
setting!(Callback, "a function", Value::Function(v) => v, |v: &Callback| Value::Function(v.clone()));

impl Setting for f64 {
    const EXPECTED: &'static str = "a finite number";
    fn from_value(value: Value) -> std::result::Result<Self, Value> {
        match value {
            Value::Float(v) if v.is_finite() => Ok(v),
            Value::Int(v) => Ok(v as f64),
            other => Err(other),
        }
    }
    fn to_value(&self) -> Value {
        Value::Float(*self)
    }
}

impl Setting for [f64; 2] {
    const EXPECTED: &'static str = "a list of two numbers";
    fn from_value(value: Value) -> std::result::Result<Self, Value> {
        match &value {
            Value::List(items) if items.len() == 2 => {
                match (f64::from_value(items[0].clone()), f64::from_value(items[1].clone())) {
                    (Ok(a), Ok(b)) => Ok([a, b]),
                    _ => Err(value),
                }
            }
            _ => Err(value),
        }
    }
    fn to_value(&self) -> Value {
        Value::List(self.iter().map(Setting::to_value).collect())
    }
}

impl<T: Setting> Setting for Vec<T> {
    const EXPECTED: &'static str = "a list";
    fn from_value(value: Value) -> std::result::Result<Self, Value> {
        match &value {
            Value::List(items) => {
                items.iter().cloned().map(T::from_value).collect::<std::result::Result<_, _>>().map_err(|_| value)
            }
            _ => Err(value),
        }
    }
    fn to_value(&self) -> Value {
        Value::List(self.iter().map(Setting::to_value).collect())
    }
}

impl<T: Setting> Setting for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    fn from_value(value: Value) -> std::result::Result<Self, Value> {
        match value {
            Value::Unit => Ok(None),
            other => T::from_value(other).map(Some),
        }
    }
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Unit, Setting::to_value)
    }
}

/// The name of a row in a table, or a function of one's own in its place.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// A name to look up.
    Named(String),
    /// A script's own function.
    Own(Callback),
}

impl Setting for Choice {
    const EXPECTED: &'static str = "a name or a function";
    fn from_value(value: Value) -> std::result::Result<Self, Value> {
        match value {
            Value::Text(name) => Ok(Choice::Named(name)),
            Value::Function(own) => Ok(Choice::Own(own)),
            other => Err(other),
        }
    }
    fn to_value(&self) -> Value {
        match self {
            Choice::Named(name) => Value::Text(name.clone()),
            Choice::Own(own) => Value::Function(own.clone()),
        }
    }
}

impl From<&str> for Choice {
    fn from(name: &str) -> Self {
        Choice::Named(name.to_string())
    }
}

/// One setting: its name, what it may be, what it is for.
pub struct Field {
    /// What a script writes.
    pub name: &'static str,
    /// What it may be, in a script's words.
    pub expected: &'static str,
    /// What it is for, in one or two sentences.
    pub doc: &'static str,
}

/// A struct declared by [`options!`](crate::options!).
pub trait Settings: Default + Clone + Send + Sync + 'static {
    /// The function these are the options of: `gan::train`.
    const NAME: &'static str;
    /// Every setting, in the order of the manual.
    fn fields() -> &'static [Field];
    /// The value of the setting `name`, if there is one.
    fn get(&self, name: &str) -> Option<Value>;
    /// Puts `value` into the setting called `name`, which exists; gives the value back if its type does not fit.
    fn put(&mut self, name: &str, value: Value) -> std::result::Result<(), Value>;

    /// Sets the setting `name`.
    ///
    /// # Errors
    /// An unknown name (with the near ones), or a value of the wrong type.
    fn set(&mut self, name: &str, value: Value) -> Result<()> {
        let fields = Self::fields();
        let Some(field) = fields.iter().find(|field| field.name == name) else {
            let names = fields.iter().map(|field| field.name);
            let error = Error::new(format!("`{}` has no option `{name}`", Self::NAME));
            return Err(match table::closest(name, names.clone()) {
                Some(near) => error.help(format!("a similar option exists: `{near}`")),
                None => error.help(format!(
                    "its options are {}",
                    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
                )),
            });
        };
        self.put(name, value).map_err(|given| {
            Error::new(format!("the option `{name}` of `{}` is {} ({given})", Self::NAME, given.kind()))
                .help(format!("it must be {}", field.expected))
        })
    }

    /// Every setting by name, for the record of a run.
    fn to_json(&self) -> serde_json::Value {
        let items =
            Self::fields().iter().filter_map(|field| Some((field.name.to_string(), self.get(field.name)?.to_json())));
        serde_json::Value::Object(items.collect())
    }
}

/// Declares a struct of settings with defaults and docs; see [`Settings`](crate::options::Settings).
///
/// ```
/// fewlab::options! {
///     /// Options of `gan::train`.
///     pub struct TrainOptions("gan::train") {
///         /// Generator steps.
///         pub steps: usize = 5000,
///     }
/// }
/// use fewlab::options::{Settings, Value};
/// let mut options = TrainOptions::default();
/// options.set("steps", Value::Int(10)).unwrap();
/// assert_eq!(options.steps, 10);
/// assert_eq!(options.set("step", Value::Int(1)).unwrap_err().help.unwrap(), "a similar option exists: `steps`");
/// ```
#[macro_export]
macro_rules! options {
    (
        $(#[$meta:meta])*
        pub struct $name:ident($function:literal) {
            $( $(#[doc = $doc:literal])* pub $field:ident : $type:ty = $default:expr ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name { $( $(#[doc = $doc])* pub $field: $type, )* }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl $crate::options::Settings for $name {
            const NAME: &'static str = $function;
            fn fields() -> &'static [$crate::options::Field] {
                const FIELDS: &[$crate::options::Field] = &[ $( $crate::options::Field {
                    name: stringify!($field),
                    expected: <$type as $crate::options::Setting>::EXPECTED,
                    doc: concat!($($doc, "\n"),*),
                }, )* ];
                FIELDS
            }
            fn get(&self, name: &str) -> Option<$crate::options::Value> {
                $( if name == stringify!($field) { return Some($crate::options::Setting::to_value(&self.$field)); } )*
                let _ = name;
                None
            }
            fn put(&mut self, name: &str, value: $crate::options::Value) -> std::result::Result<(), $crate::options::Value> {
                $( if name == stringify!($field) {
                    self.$field = <$type as $crate::options::Setting>::from_value(value)?;
                    return Ok(());
                } )*
                let _ = name;
                Err(value)
            }
        }
    };
}
