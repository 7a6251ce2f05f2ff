//! Rust beside Rhai: the cells, the calls of what they export, and what the compiler says of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rhai::{Dynamic, Map, NativeCallContext};
use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::rust_cell::{Caller, Complaint, Export, Fault, Outcome, Value, Watch};
use crate::script::complete::{Completion, Suggestion};
use crate::script::host::Place;
use crate::script::manual::{Entry, Kind, Signature};
use crate::script::{At, Diagnostic, Display, Fallible, Host, args, shared};
use crate::tensor::Tensor;

/// The session's outside, for what a cell prints and asks.
struct Outside(Arc<Host>);

impl Watch for Outside {
    fn out(&self, line: &str) {
        self.0.front().print(line);
    }

    fn err(&self, line: &str) {
        self.0.front().complain(line);
    }

    fn ask(&self, prompt: &str, secret: bool) -> Result<String> {
        self.0.front().input(prompt, secret)
    }
}

fn caller(host: &Arc<Host>) -> Caller {
    Caller { watch: Arc::new(Outside(Arc::clone(host))), job: host.job() }
}

/// Compiles and runs Rust that begins `above` lines below the first of the source `name`; the value of its last expression.
///
/// # Errors
/// What the compiler says, with its place; how the cell failed.
pub fn run(host: &Arc<Host>, name: &str, code: &str, above: usize) -> std::result::Result<Option<Display>, Diagnostic> {
    match host.rust().run(code, &caller(host)) {
        Ok(outcome) => {
            if let Some(seconds) = outcome.seconds {
                host.front().print(&format!("took {:.0} ms", seconds * 1e3));
            }
            Ok(shown(&outcome))
        }
        Err(Fault::Other(error)) => Err(error.into()),
        Err(Fault::Compiler(complaints)) => Err(diagnostic(&complaints, name, code, above)),
    }
}

/// How the Rust at byte `cursor` of a cell could go on, where `from` is the byte at which the Rust begins.
pub fn complete(host: &Host, text: &str, from: usize, cursor: usize) -> Completion {
    let Some(code) = text.get(from..).filter(|_| cursor >= from) else { return Completion::default() };
    let found = host.rust().complete(code, cursor - from).unwrap_or((cursor - from, Vec::new()));
    let suggestions = found.1.into_iter().map(|(text, about)| Suggestion { text, about, kind: "function" }).collect();
    Completion { start: from + found.0, suggestions }
}

/// What is shown of a cell's value.
fn shown(outcome: &Outcome) -> Option<Display> {
    let text = outcome.content.get("text/plain").map(|text| text.trim_end().to_string());
    // Its HTML too is shown as it is, and not on a page of ours.
    let more: Vec<(String, Json)> = outcome
        .content
        .iter()
        .filter(|(kind, _)| kind.as_str() != "text/plain")
        .map(|(kind, text)| {
            // A form of JSON is a value, not a text.
            let value = if kind.ends_with("json") { serde_json::from_str(text).ok() } else { None };
            (kind.clone(), value.unwrap_or_else(|| text.trim_end().into()))
        })
        .collect();
    if text.is_none() && more.is_empty() {
        return None;
    }
    let text = text.unwrap_or_else(|| more.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>().join(", "));
    Some(Display { text, more, ..Display::default() })
}

/// What the compiler says, as a message with its place, and the rest of it below.
fn diagnostic(complaints: &[Complaint], name: &str, code: &str, above: usize) -> Diagnostic {
    let mut each = complaints.iter().map(|complaint| {
        let place = complaint.place.map(|(line, column)| {
            Box::new(Place {
                source: name.to_string(),
                line: line + above,
                column: column.max(1),
                text: code.lines().nth(line.saturating_sub(1)).unwrap_or_default().to_string(),
            })
        });
        let mut message = complaint.message.clone();
        if !complaint.label.is_empty() && !message.contains(&complaint.label) {
            message = format!("{message}: {}", complaint.label);
        }
        if let Some(number) = &complaint.code {
            message = format!("{message} [{number}]");
        }
        let also = complaint
            .also
            .iter()
            .filter(|(_, label)| !label.is_empty())
            .map(|((line, column), label)| format!("{name}:{}:{column}: {label}", line + above));
        let help: Vec<String> = also.chain(complaint.help.iter().cloned()).collect();
        let error = Error::new(message);
        let error = if help.is_empty() { error } else { error.help(help.join("\nhelp: ")) };
        Diagnostic { place, syntax: true, ..error.into() }
    });
    let first = each.next().unwrap_or_else(|| Error::new("the cell does not compile").into());
    let then: Vec<String> = each.map(|one| one.to_string()).collect();
    Diagnostic { then: then.join("\n\n"), ..first }
}

/// Rust out of a script: a file if it ends like one, else the code itself. The text of its last expression's value.
///
/// # Errors
/// The file cannot be read; the code fails.
pub fn run_text(ctx: &NativeCallContext, text: &str) -> Fallible<Dynamic> {
    let host = shared(ctx)?;
    let is_file = text.trim_end().ends_with(".rs") && !text.contains('\n');
    let (name, code) = if is_file {
        // As for an import, beside the script that names it.
        let beside =
            ctx.call_source().and_then(|source| Path::new(source).parent()).map(|folder| folder.join(text.trim()));
        let path = beside.filter(|path| path.exists()).unwrap_or_else(|| host.folder().join(text.trim()));
        let code = std::fs::read_to_string(&path).map_err(|error| crate::error::file(&path, "read", error)).at(ctx)?;
        (path.display().to_string(), code)
    } else {
        ("the Rust code".to_string(), text.to_string())
    };
    match run(&host, &name, &code, 0) {
        Ok(Some(display)) => Ok(Dynamic::from(display.text)),
        Ok(None) => Ok(Dynamic::UNIT),
        Err(diagnostic) => Err(flat(diagnostic)).at(ctx),
    }
}

/// A message with its place as one text, for an error whose own place is that of the call.
fn flat(diagnostic: Diagnostic) -> Error {
    if diagnostic.place.is_none() {
        return diagnostic.error;
    }
    let text = diagnostic.to_string();
    Error::new(text.strip_prefix("error: ").unwrap_or(&text).to_string())
}

/// Calls an exported function with a script's values.
///
/// # Errors
/// There is none, or it fails.
pub fn call(ctx: &NativeCallContext, name: &str, values: Vec<Dynamic>) -> Fallible<Dynamic> {
    let host = shared(ctx)?;
    // That there is no such function is more to the point than what it was given.
    host.rust().export(name).at(ctx)?;
    let values: Result<Vec<Value>> =
        values.iter().enumerate().map(|(i, value)| value_of(ctx, name, i + 1, value)).collect();
    let result = host.rust().call(name, values.at(ctx)?, &caller(&host)).at(ctx)?;
    Ok(dynamic_of(result))
}

fn value_of(ctx: &NativeCallContext, name: &str, number: usize, value: &Dynamic) -> Result<Value> {
    if let Some(tensor) = value.read_lock::<Tensor>() {
        return Ok(Value::Tensor(tensor.clone()));
    }
    if let Some(map) = value.read_lock::<Map>() {
        let map = map.iter().map(|(key, value)| Ok((key.to_string(), value_of(ctx, name, number, value)?)));
        return map.collect::<Result<BTreeMap<_, _>>>().map(Value::Map);
    }
    if let Some(items) = value.read_lock::<rhai::Array>() {
        return items.iter().map(|item| value_of(ctx, name, number, item)).collect::<Result<_>>().map(Value::List);
    }
    let value = value.flatten_clone();
    Ok(match () {
        () if value.is_unit() => Value::Unit,
        () if value.is_bool() => Value::Bool(value.as_bool().unwrap_or_default()),
        () if value.is_int() => Value::Int(value.as_int().unwrap_or_default()),
        () if value.is_float() => Value::Float(value.as_float().unwrap_or_default()),
        () if value.is_string() => Value::Text(value.into_string().unwrap_or_default()),
        () => {
            let kind = args::type_word(ctx, &value);
            return Err(Error::new(format!("`rust::{name}`: argument {number} is a value of type `{kind}`"))
                .help("Rust takes tensors, numbers, strings, `true`, `false`, `()`, and lists and maps of these"));
        }
    })
}

fn dynamic_of(value: Value) -> Dynamic {
    match value {
        Value::Unit => Dynamic::UNIT,
        Value::Bool(value) => Dynamic::from_bool(value),
        Value::Int(value) => Dynamic::from_int(value),
        Value::Float(value) => Dynamic::from_float(value),
        Value::Text(text) => Dynamic::from(text),
        Value::Tensor(tensor) => Dynamic::from(tensor),
        Value::List(items) => Dynamic::from_array(items.into_iter().map(dynamic_of).collect()),
        Value::Map(map) => {
            Dynamic::from_map(map.into_iter().map(|(name, value)| (name.into(), dynamic_of(value))).collect())
        }
    }
}

/// The page of an exported function.
pub(in crate::script) fn entry(export: &Export) -> Entry {
    let signature =
        Signature { params: export.parameters.clone(), result: export.result.clone(), doc: export.doc.clone() };
    Entry {
        name: format!("rust::{}", export.name),
        kind: Kind::Function,
        ours: true,
        signatures: vec![signature],
        options: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_compiler_says_stands_at_its_line_of_the_cell() {
        let complaints = [
            Complaint {
                message: "mismatched types".into(),
                code: Some("E0308".into()),
                place: Some((2, 16)),
                label: "expected `i32`, found `&str`".into(),
                also: vec![((2, 10), "expected due to this".into())],
                help: vec![],
            },
            Complaint {
                message: "cannot find value `y` in this scope".into(),
                place: Some((1, 9)),
                ..Complaint::default()
            },
        ];
        let shown = diagnostic(&complaints, "cell [4]", "let x = y;\nlet bad: i32 = \"x\";", 1).to_string();
        assert_eq!(
            shown,
            "error: mismatched types: expected `i32`, found `&str` [E0308]\n --> cell [4]:3:16\n  |\n3 | let bad: i32 = \"x\";\n  \
             |                ^\nhelp: cell [4]:3:10: expected due to this\n\n\
             error: cannot find value `y` in this scope\n --> cell [4]:2:9\n  |\n2 | let x = y;\n  |         ^"
        );
    }

    #[test]
    fn a_value_comes_in_the_forms_that_the_cell_gave() {
        let content = [("text/plain", "2\n"), ("image/png", "iVBOR\n"), ("application/json", "{\"a\":1}")];
        let content = content.map(|(kind, text)| (kind.to_string(), text.to_string())).into();
        let display = shown(&Outcome { content, seconds: None }).unwrap();
        let bundle = display.bundle().unwrap();
        assert_eq!(bundle["text/plain"], "2");
        assert_eq!(bundle["image/png"], "iVBOR");
        assert_eq!(bundle["application/json"]["a"], 1);
        assert_eq!(shown(&Outcome::default()), None);
    }
}
