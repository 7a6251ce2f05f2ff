//! Arguments, read strictly: option maps into settings, numbers and shapes out of what a script wrote, closures into
//! callbacks.

use std::sync::Arc;

use rhai::{Array, Dynamic, FnPtr, Map, NativeCallContext, Position};

use crate::config::{Config, Origin};
use crate::error::{Error, Result};
use crate::options::{Callback, Field, Settings, Value};
use crate::script::{At, Fallible, host, manual, raise, shared};
use crate::tensor::Tensor;

/// The settings `S` with the options of `map` put in, and above them what was given from outside.
pub fn options<S: Settings>(ctx: &NativeCallContext, map: Map) -> Fallible<S> {
    let (settings, config) = resolved::<S>(ctx, map, &|_| Ok(Vec::new()))?;
    if let Some(host) = host(ctx) {
        host.configured(&config).at(ctx)?;
    }
    Ok(settings)
}

/// Settings that a map of options is put on, where they are not the usual ones, with what they are called.
pub type Base<S> = (Origin, S);

/// The settings `S` with the options of `map` put in and above them what was given from outside, each with where it came
/// from. `bases` says what a map that names a method or the like begins with: the settings of the last are the ones that the
/// map changes, and a value that one of them says came from there.
pub fn resolved<S: Settings>(
    ctx: &NativeCallContext,
    mut map: Map,
    bases: &dyn Fn(&Map) -> crate::Result<Vec<Base<S>>>,
) -> Fallible<(S, Config)> {
    let host = host(ctx);
    let over = host.as_ref().map_or(Ok(Vec::new()), |host| host.overrides::<S>()).at(ctx)?;
    for (name, value, _) in &over {
        map.insert((*name).into(), dynamic_of(value));
    }
    let given: Vec<String> = map.keys().map(ToString::to_string).collect();
    let bases = bases(&map).at(ctx)?;
    let begin = bases.last().map_or_else(S::default, |(_, settings)| settings.clone());
    let settings = change(ctx, begin, map)?;
    let origin = |field: &Field, value: &Value| {
        if let Some((_, _, origin)) = over.iter().find(|(name, _, _)| *name == field.name) {
            return origin.clone();
        }
        let written = given.iter().any(|name| name == field.name);
        if let (true, Some(path)) = (written, host.as_ref().and_then(|host| host.file_of(field.name, value))) {
            return Origin::File(path);
        }
        let default = S::default().get(field.name);
        let says = |base: &&Base<S>| base.1.get(field.name).as_ref() == Some(value) && default.as_ref() != Some(value);
        let plain = if written { Origin::Script } else { Origin::Default };
        bases.iter().find(says).map_or(plain, |(origin, _)| origin.clone())
    };
    let config = Config::of(&settings, &origin);
    Ok((settings, config))
}

/// `settings` with the options of `map` put in.
pub fn change<S: Settings>(ctx: &NativeCallContext, mut settings: S, map: Map) -> Fallible<S> {
    for (name, value) in map {
        let value = value_of(ctx, &format!("{}({name})", S::NAME), value)?;
        settings.set(&name, value).at(ctx)?;
    }
    Ok(settings)
}

/// Takes the option `name` out of a map, when it is an object that settings cannot hold.
pub fn take<T: Clone + 'static>(
    ctx: &NativeCallContext,
    map: &mut Map,
    name: &str,
    expected: &str,
) -> Fallible<Option<T>> {
    match map.get(name) {
        Some(value) if value.is::<T>() => Ok(map.remove(name).and_then(Dynamic::try_cast::<T>)),
        Some(value) if !expected.is_empty() => {
            Err(Error::new(format!("the option `{name}` is {} ({})", short(value), type_word(ctx, value)))
                .help(format!("it must be {expected}")))
            .at(ctx)
        }
        _ => Ok(None),
    }
}

/// A script's value as an option's. `name` is what a function is called in messages.
pub fn value_of(ctx: &NativeCallContext, name: &str, value: Dynamic) -> Fallible<Value> {
    let value = value.flatten();
    if value.is_unit() {
        return Ok(Value::Unit);
    }
    if let Ok(v) = value.as_bool() {
        return Ok(Value::Bool(v));
    }
    if let Ok(v) = value.as_int() {
        return Ok(Value::Int(v));
    }
    if let Ok(v) = value.as_float() {
        return Ok(Value::Float(v));
    }
    if value.is_string() {
        return Ok(Value::Text(value.into_string().unwrap_or_default()));
    }
    if value.is_array() {
        let items = value.into_array().unwrap_or_default();
        return items.into_iter().map(|item| value_of(ctx, name, item)).collect::<Fallible<_>>().map(Value::List);
    }
    match value.clone().try_cast::<FnPtr>() {
        Some(function) => callback(ctx, name, function).map(Value::Function),
        None => Err(Error::new(format!("`{name}` cannot be {}", article(&type_word(ctx, &value))))
            .help("options are numbers, strings, lists, functions, `true`, `false` or `()`"))
        .at(ctx),
    }
}

/// An option's value as a script's.
pub fn dynamic_of(value: &Value) -> Dynamic {
    match value {
        Value::Unit => Dynamic::UNIT,
        Value::Bool(v) => Dynamic::from_bool(*v),
        Value::Int(v) => Dynamic::from_int(*v),
        Value::Float(v) => Dynamic::from_float(*v),
        Value::Text(v) => Dynamic::from(v.clone()),
        Value::List(items) => Dynamic::from_array(items.iter().map(dynamic_of).collect()),
        Value::Function(function) => Dynamic::from(function.name.clone()),
    }
}

/// A script's function that native code can call for as long as the session lives.
///
/// An error inside keeps its place: it comes out of the native call as it went in.
#[allow(deprecated)] // Rhai marks the stored context as volatile by calling it deprecated.
pub fn caller(
    ctx: &NativeCallContext,
    function: FnPtr,
) -> Fallible<impl Fn(Vec<Dynamic>) -> Result<Dynamic> + Send + Sync + 'static> {
    let host = shared(ctx)?;
    let stored = ctx.store_data();
    Ok(move |arguments: Vec<Dynamic>| {
        let engine = host.engine()?;
        let ctx = stored.create_context(&engine);
        function.call_raw(&ctx, None, arguments).map_err(|raised| {
            let error = match &*raised {
                rhai::EvalAltResult::ErrorTerminated(..) => Error::interrupted("interrupted"),
                other => Error::new(other.to_string()),
            };
            host.keep_raised(error.clone(), raised);
            error
        })
    })
}

/// A script's function of tensors, as an option holds it.
pub fn callback(ctx: &NativeCallContext, name: &str, function: FnPtr) -> Fallible<Callback> {
    callback_with(ctx, name, function, Vec::new())
}

/// A script's function of `lead` and tensors, as an option holds it.
pub fn callback_with(ctx: &NativeCallContext, name: &str, function: FnPtr, lead: Vec<Dynamic>) -> Fallible<Callback> {
    let label = if function.is_anonymous() { name.to_string() } else { function.fn_name().to_string() };
    let call = caller(ctx, function)?;
    let asked = label.clone();
    Ok(Callback {
        name: label,
        call: Arc::new(move |tensors: &[Tensor]| {
            let arguments = lead.iter().cloned().chain(tensors.iter().cloned().map(Dynamic::from));
            let result = call(arguments.collect())?;
            tensor_of(&result).ok_or_else(|| {
                Error::new(format!(
                    "the function given for `{asked}` gave {}",
                    article(manual::word(result.type_name()))
                ))
                .help("it must give a tensor or a number")
            })
        }),
    })
}

/// How many arguments a script's function takes, besides those it already holds.
pub fn arity(ctx: &NativeCallContext, function: &FnPtr) -> Option<usize> {
    let held = function.curry().len();
    ctx.namespaces()
        .iter()
        .flat_map(|module| module.iter_script_fn_info())
        .filter(|(_, _, name, count, _)| *name == function.fn_name() && *count >= held)
        .map(|(_, _, _, count, _)| count - held)
        .next()
}

/// A tensor, or a number as a tensor of no dimensions.
pub fn tensor_of(value: &Dynamic) -> Option<Tensor> {
    if let Some(tensor) = value.read_lock::<Tensor>() {
        return Some(tensor.clone());
    }
    number_of(value).and_then(|number| Tensor::scalar(number).ok())
}

/// A number, whole or not.
pub fn number_of(value: &Dynamic) -> Option<f64> {
    value.as_float().ok().or_else(|| value.as_int().ok().map(|whole| whole as f64))
}

/// The argument `name` as a number.
pub fn number(ctx: &NativeCallContext, name: &str, value: &Dynamic) -> Fallible<f64> {
    number_of(value).ok_or_else(|| wrong(ctx, name, "a number", value))
}

/// The argument `name` as a count: a whole number from 0.
pub fn count(ctx: &NativeCallContext, name: &str, value: i64) -> Fallible<usize> {
    usize::try_from(value)
        .map_err(|_| Error::new(format!("`{name}` is {value}")).help("it must be a whole number from 0"))
        .at(ctx)
}

/// The argument `name` as a list of counts: a shape.
pub fn shape(ctx: &NativeCallContext, name: &str, value: &Array) -> Fallible<Vec<usize>> {
    value
        .iter()
        .map(|item| match item.as_int() {
            Ok(whole) => count(ctx, name, whole),
            Err(_) => Err(wrong(
                ctx,
                name,
                "a list of whole numbers such as `[64, 3, 32, 32]`",
                &Dynamic::from_array(value.clone()),
            )),
        })
        .collect()
}

/// The argument `name` as a list of whole numbers: one, or several.
pub fn whole_numbers(ctx: &NativeCallContext, name: &str, value: &Dynamic) -> Fallible<Vec<i64>> {
    if let Ok(one) = value.as_int() {
        return Ok(vec![one]);
    }
    match value.read_lock::<Array>() {
        Some(items) => items
            .iter()
            .map(|item| item.as_int().map_err(|_| wrong(ctx, name, "a whole number or a list of them", value)))
            .collect(),
        None => Err(wrong(ctx, name, "a whole number or a list of them", value)),
    }
}

/// The argument `name` as a list of strings.
pub fn names(ctx: &NativeCallContext, name: &str, value: &Array) -> Fallible<Vec<String>> {
    value
        .iter()
        .map(|item| item.clone().into_string().map_err(|_| wrong(ctx, name, "a list of strings", item)))
        .collect()
}

/// The error for an argument that is not what it must be.
pub fn wrong(ctx: &NativeCallContext, name: &str, expected: &str, given: &Dynamic) -> Box<rhai::EvalAltResult> {
    let error = Error::new(format!("`{name}` is {} ({})", short(given), type_word(ctx, given)))
        .help(format!("it must be {expected}"));
    raise(error, ctx.call_position())
}

/// A value's type in a script's words.
pub fn type_word(ctx: &NativeCallContext, value: &Dynamic) -> String {
    manual::word(ctx.engine().map_type_name(value.type_name())).to_string()
}

fn short(value: &Dynamic) -> String {
    let text = format!("{value}");
    match text.char_indices().nth(40) {
        Some((at, _)) => format!("`{}..`", &text[..at]),
        None => format!("`{text}`"),
    }
}

fn article(kind: &str) -> String {
    if kind.starts_with(['a', 'e', 'i', 'o', 'u', 'A', 'E', 'I', 'O']) {
        format!("an {kind}")
    } else {
        format!("a {kind}")
    }
}

/// Whether the session was asked to stop, as an error.
pub fn check_stop(ctx: &NativeCallContext) -> Fallible {
    match host(ctx) {
        Some(host) => host.stop().check().map_err(|error| raise(error, Position::NONE)),
        None => Ok(()),
    }
}
