//! What scripts can call: read from the engine's own registrations, so that there is no second copy to go stale.
//!
//! The `///` of a bound function is its page. It feeds `help()`, completion, the errors for wrong arguments and
//! unknown names, and `fewlab manual`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use rhai::Engine;
use serde::Deserialize;
use serde_json::json;

use crate::error::{Error, Result};
use crate::options::{Settings, Value};
use crate::script::{bind, choices};
use crate::table;

/// What an entry is to someone who writes a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `namespace::name(..)` or `name(..)`; with a value as its first argument also `value.name(..)`.
    Function,
    /// `value.name`.
    Property,
    /// `a + b`, `a[i]`.
    Operator,
}

/// One way to call an entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Signature {
    /// Name and type of each argument, in a script's words.
    pub params: Vec<(String, String)>,
    /// The type of the result, empty if there is none.
    pub result: String,
    /// What it does: the doc comment, in Markdown.
    pub doc: String,
}

/// What a script can call by one name.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name as a script writes it: `gan::train`, `relu`, `rows`.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Whether it is ours, not Rhai's.
    pub ours: bool,
    /// The ways to call it.
    pub signatures: Vec<Signature>,
    /// The options of its last argument, if that is a map of options.
    pub options: Vec<Setting>,
}

/// An option of a function.
#[derive(Debug, Clone)]
pub struct Setting {
    /// What a script writes.
    pub name: &'static str,
    /// What it may be, in a script's words.
    pub expected: &'static str,
    /// What it is for.
    pub doc: String,
    /// What it is when it is not given.
    pub default: Value,
}

/// The settings `S`, with the function that takes them.
pub fn settings_of<S: Settings>() -> (&'static str, Vec<Setting>) {
    let defaults = S::default();
    let settings = S::fields().iter().map(|field| Setting {
        name: field.name,
        expected: field.expected,
        doc: field.doc.split_whitespace().collect::<Vec<_>>().join(" "),
        default: defaults.get(field.name).unwrap_or(Value::Unit),
    });
    (S::NAME, settings.collect())
}

/// What scripts can call.
#[derive(Clone)]
pub struct Manual {
    entries: Vec<Entry>,
    by_name: BTreeMap<String, usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawModule {
    #[serde(default)]
    modules: BTreeMap<String, RawModule>,
    #[serde(default)]
    functions: Vec<RawFunction>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFunction {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    params: Vec<RawParam>,
    #[serde(default)]
    return_type: String,
    #[serde(default)]
    doc_comments: Vec<String>,
}

#[derive(Deserialize)]
struct RawParam {
    #[serde(default)]
    name: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

impl Manual {
    /// What `engine` lets scripts call.
    pub fn of(engine: &Engine) -> Self {
        let read = |standard| -> RawModule {
            // The engine writes this itself; should it not read back, scripts still run, without help.
            engine
                .gen_fn_metadata_to_json(standard)
                .ok()
                .and_then(|text| serde_json::from_str(&text).ok())
                .unwrap_or(RawModule { modules: BTreeMap::new(), functions: Vec::new() })
        };
        let mut manual = Self { entries: Vec::new(), by_name: BTreeMap::new() };
        let ours = read(false);
        let is_ours: BTreeSet<String> = ours.functions.iter().map(|f| f.name.clone()).collect();
        for function in ours.functions {
            manual.add("", function, true);
        }
        for (namespace, module) in ours.modules {
            for function in module.functions {
                let prefix = if function.namespace == "global" { "" } else { namespace.as_str() };
                manual.add(prefix, function, true);
            }
        }
        for function in read(true).functions {
            let theirs = !is_ours.contains(&function.name);
            if theirs {
                manual.add("", function, false);
            }
        }
        let mut options: BTreeMap<&str, Vec<Setting>> = bind::options().into_iter().collect();
        for entry in &mut manual.entries {
            entry.options = options.remove(entry.name.as_str()).unwrap_or_default();
            // The page that says most comes first.
            entry.signatures.sort_by_key(|signature| (signature.doc.is_empty(), signature.params.len()));
        }
        manual.entries.sort_by(|a, b| a.name.cmp(&b.name));
        manual.by_name = manual.entries.iter().enumerate().map(|(i, entry)| (entry.name.clone(), i)).collect();
        manual
    }

    /// The same with these entries too.
    #[must_use]
    pub fn with(mut self, entries: Vec<Entry>) -> Self {
        self.entries.extend(entries);
        self.entries.sort_by(|a, b| a.name.cmp(&b.name));
        self.by_name = self.entries.iter().enumerate().map(|(i, entry)| (entry.name.clone(), i)).collect();
        self
    }

    fn add(&mut self, namespace: &str, function: RawFunction, ours: bool) {
        let (name, kind) = match function.name.as_str() {
            name if name.starts_with("anon$") || name.starts_with("set$") || name == "index$set$" => return,
            "index$get$" => ("[]", Kind::Operator),
            name => match name.strip_prefix("get$") {
                Some(property) => (property, Kind::Property),
                None if name.starts_with(|c: char| c.is_alphabetic() || c == '_') => (name, Kind::Function),
                None => (name, Kind::Operator),
            },
        };
        let name = if namespace.is_empty() { name.to_string() } else { format!("{namespace}::{name}") };
        let params = function
            .params
            .iter()
            .map(|param| {
                (
                    param.name.clone().unwrap_or_else(|| "value".into()),
                    word(param.kind.as_deref().unwrap_or("Dynamic")).to_string(),
                )
            })
            .filter(|(_, kind)| kind != "NativeCallContext")
            .collect();
        let signature =
            Signature { params, result: result_word(&function.return_type), doc: doc_text(&function.doc_comments) };
        let index = *self.by_name.entry(name.clone()).or_insert_with(|| {
            self.entries.push(Entry { name, kind, ours, signatures: Vec::new(), options: Vec::new() });
            self.entries.len() - 1
        });
        let entry = &mut self.entries[index];
        if !entry.signatures.contains(&signature) {
            entry.signatures.push(signature);
        }
    }

    /// Every entry, by name.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry called `name`: in full, or without its namespace where that is clear.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        let exact = self.by_name.get(name).map(|&index| &self.entries[index]);
        exact.or_else(|| {
            let mut ends =
                self.entries.iter().filter(|entry| entry.name.rsplit_once("::").is_some_and(|(_, last)| last == name));
            match (ends.next(), ends.next()) {
                (Some(only), None) => Some(only),
                _ => None,
            }
        })
    }

    /// Whether `name` is a function that is called without a namespace.
    pub fn is_function(&self, name: &str) -> bool {
        self.by_name.get(name).is_some_and(|&index| self.entries[index].kind == Kind::Function)
    }

    /// The namespaces that hold functions.
    pub fn namespaces(&self) -> BTreeSet<&str> {
        self.entries.iter().filter_map(|entry| entry.name.split_once("::").map(|(namespace, _)| namespace)).collect()
    }

    /// Entries that take a value of type `receiver` first: its methods and properties.
    pub fn members<'a>(&'a self, receiver: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries
            .iter()
            .filter(move |entry| entry.kind != Kind::Operator && !entry.name.contains("::") && entry.takes(receiver))
    }

    /// Which arguments to turn from whole numbers to floats so that a function `name` takes them; nothing if it takes
    /// them as they are, or not even so. `kinds` are Rust's names of types.
    pub fn as_floats(&self, name: &str, kinds: &[&str]) -> Option<Vec<bool>> {
        let given: Vec<&str> = kinds.iter().map(|kind| word(kind)).collect();
        let signatures = &self.entries[*self.by_name.get(name)?].signatures;
        let fits = |signature: &&Signature, floats: bool| {
            signature.params.len() == given.len()
                && signature.params.iter().zip(&given).all(|((_, takes), given)| {
                    takes == given || takes == "any" || (floats && takes == "float" && *given == "int")
                })
        };
        if signatures.iter().any(|signature| fits(&signature, false)) {
            return None;
        }
        let fitting = signatures.iter().find(|signature| fits(signature, true))?;
        Some(fitting.params.iter().zip(&given).map(|((_, takes), given)| takes == "float" && *given == "int").collect())
    }

    /// The page called `name`, or the error that names a near one.
    pub fn page(&self, name: &str) -> Result<&Entry> {
        self.find(name).ok_or_else(|| {
            let error = Error::new(format!("the manual has no entry `{name}`"));
            match self.near(name).or_else(|| choices::near(name)) {
                Some(near) => error.help(format!("a similar entry exists: `{near}`")),
                None => error.help("`help()` lists the namespaces, `help(\"gan\")` what is in one"),
            }
        })
    }

    /// The entry whose name is nearest to `name`, with or without its namespace.
    pub fn near(&self, name: &str) -> Option<&str> {
        let ours = || self.entries.iter().filter(|entry| entry.kind == Kind::Function).map(|entry| entry.name.as_str());
        table::closest(name, ours()).or_else(|| {
            let bare = name.rsplit_once("::").map_or(name, |(_, last)| last);
            let near = table::closest(bare, ours().map(|full| full.rsplit_once("::").map_or(full, |(_, last)| last)))?;
            ours().find(|full| full.rsplit_once("::").map_or(*full, |(_, last)| last) == near)
        })
    }

    /// What to print for `help(name)`: the list of a namespace, a page, what may be chosen by that name.
    pub fn help(&self, name: &str) -> Result<String> {
        if self.namespaces().contains(name) {
            return Ok(self.namespace_text(name));
        }
        match (self.find(name), choices::help(name)) {
            (Some(entry), Some(choice)) => Ok(format!("{}\n\n{choice}", entry.text())),
            (None, Some(choice)) => Ok(choice),
            (_, None) => self.page(name).map(Entry::text),
        }
    }

    /// What to print for `help()`.
    pub fn overview(&self) -> String {
        let mut text = String::from("Namespaces:\n");
        let width = self.namespaces().iter().map(|name| name.len()).max().unwrap_or(0);
        for name in self.namespaces() {
            let names: Vec<&str> = self
                .in_namespace(name)
                .map(|entry| entry.name.rsplit_once("::").map_or("", |(_, last)| last))
                .collect();
            let _ = writeln!(text, "  {name:width$}  {}", names.join(", "));
        }
        text.push_str("\nEverywhere:\n");
        let globals: Vec<&Entry> =
            self.entries.iter().filter(|e| e.ours && e.kind == Kind::Function && !e.name.contains("::")).collect();
        text.push_str(&wrapped(globals.iter().map(|entry| entry.name.as_str()), 2, 100));
        let _ = write!(text, "\nChosen by name:\n{}\n", choices::overview());
        text.push_str("\n`help(\"gan\")` lists a namespace, `help(\"gan::train\")` shows a page, `help(\"s3gan\")` what can be chosen by that name, \
                       `help(value)` what a value can do.");
        text
    }

    fn in_namespace<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries
            .iter()
            .filter(move |entry| entry.name.split_once("::").is_some_and(|(first, _)| first == namespace))
    }

    fn namespace_text(&self, namespace: &str) -> String {
        listing(self.in_namespace(namespace))
    }

    /// What to print for `help(value)` of a value of type `kind`.
    pub fn members_text(&self, kind: &str) -> String {
        let index = self.entries.iter().filter(|entry| entry.name == "[]" && entry.takes(kind));
        let said = |entry: &Entry| {
            let of = entry.of(kind);
            let summary = if of.summary().is_empty() { entry.summary() } else { of.summary() };
            (entry.name.clone(), summary.to_string())
        };
        let members = index.chain(self.members(kind)).map(said).filter(|(_, summary)| !summary.is_empty());
        let members = columns(&members.collect::<Vec<_>>());
        if members.is_empty() { format!("{kind}: no methods of its own") } else { format!("{kind}\n{members}") }
    }

    /// The manual as Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::from("# What scripts can call\n");
        for entry in self.entries.iter().filter(|entry| entry.ours) {
            let _ = write!(text, "\n{}", entry.markdown());
        }
        text
    }

    /// The manual as JSON.
    pub fn json(&self) -> serde_json::Value {
        self.entries.iter().filter(|entry| entry.ours).map(Entry::json).collect()
    }
}

/// One line for each entry: its name and its first sentence.
fn listing<'a>(entries: impl Iterator<Item = &'a Entry>) -> String {
    columns(&entries.map(|entry| (entry.name.clone(), entry.summary().to_string())).collect::<Vec<_>>())
}

pub(super) fn columns(lines: &[(String, String)]) -> String {
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    lines.iter().map(|(name, says)| format!("  {name:width$}  {says}")).collect::<Vec<_>>().join("\n")
}

fn wrapped<'a>(words: impl Iterator<Item = &'a str>, indent: usize, width: usize) -> String {
    let (mut text, mut line) = (String::new(), " ".repeat(indent));
    for word in words {
        if line.len() + word.len() + 2 > width {
            text.push_str(line.trim_end());
            text.push('\n');
            line = " ".repeat(indent);
        }
        line.push_str(word);
        line.push_str("  ");
    }
    text.push_str(line.trim_end());
    text.push('\n');
    text
}

impl Signature {
    /// Whether it takes a value of type `receiver` first.
    fn takes(&self, receiver: &str) -> bool {
        self.params.first().is_some_and(|(_, kind)| kind == receiver)
    }
}

impl Entry {
    /// Whether it takes a value of type `receiver` first.
    fn takes(&self, receiver: &str) -> bool {
        self.signatures.iter().any(|signature| signature.takes(receiver))
    }

    /// The same as far as a value of type `receiver` is concerned: other types have members of the same name.
    #[must_use]
    pub fn of(&self, receiver: &str) -> Self {
        let signatures = self.signatures.iter().filter(|signature| signature.takes(receiver));
        Self { signatures: signatures.cloned().collect(), ..self.clone() }
    }

    /// The first sentence of its page.
    pub fn summary(&self) -> &str {
        self.signatures
            .iter()
            .map(|signature| signature.doc.as_str())
            .find(|doc| !doc.is_empty())
            .map_or("", first_paragraph)
    }

    /// `name(a: type, b: type) -> type`, one a line.
    pub fn usage(&self) -> Vec<String> {
        self.signatures.iter().map(|signature| self.usage_of(signature)).collect()
    }

    fn usage_of(&self, signature: &Signature) -> String {
        let names: Vec<String> = signature.params.iter().map(|(name, kind)| format!("{name}: {kind}")).collect();
        let result = if signature.result.is_empty() { String::new() } else { format!(" -> {}", signature.result) };
        match self.kind {
            Kind::Property => {
                let kind = signature.params.first().map_or("value", |(_, kind)| kind.as_str());
                format!("{kind}.{}{result}", self.name)
            }
            Kind::Operator if self.name == "[]" => {
                let kinds: Vec<&str> = signature.params.iter().map(|(_, kind)| kind.as_str()).collect();
                format!(
                    "{}[{}]{result}",
                    kinds.first().unwrap_or(&"value"),
                    kinds.get(1..).unwrap_or_default().join(", ")
                )
            }
            Kind::Operator => {
                let kinds: Vec<&str> = signature.params.iter().map(|(_, kind)| kind.as_str()).collect();
                match kinds.as_slice() {
                    [one] => format!("{}{one}{result}", self.name),
                    kinds => format!("{}{result}", kinds.join(&format!(" {} ", self.name))),
                }
            }
            Kind::Function => format!("{}({}){result}", self.name, names.join(", ")),
        }
    }

    /// The page for a terminal.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (doc, usages) in self.pages() {
            let _ = writeln!(text, "{}\n", usages.join("\n"));
            if !doc.is_empty() {
                let _ = writeln!(text, "{}\n", unfenced(doc));
            }
        }
        text.push_str(&self.options_text());
        text.trim_end().to_string()
    }

    /// Documents with the usages that share them.
    fn pages(&self) -> Vec<(&str, Vec<String>)> {
        let mut pages: Vec<(&str, Vec<String>)> = Vec::new();
        for signature in &self.signatures {
            let usage = self.usage_of(signature);
            match pages.iter_mut().find(|(doc, _)| *doc == signature.doc || signature.doc.is_empty()) {
                Some((_, usages)) => usages.push(usage),
                None => pages.push((&signature.doc, vec![usage])),
            }
        }
        pages
    }

    fn options_text(&self) -> String {
        if self.options.is_empty() {
            return String::new();
        }
        let named = |option: &Setting| format!("{}: {}", option.name, option.default);
        let width = self.options.iter().map(|option| named(option).chars().count()).max().unwrap_or(0).min(36);
        let lines = self.options.iter().map(|option| format!("  {:width$}  {}", named(option), option.doc));
        format!("Options:\n{}\n", lines.collect::<Vec<_>>().join("\n"))
    }

    /// The page as Markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!("## `{}`\n", self.name);
        for (doc, usages) in self.pages() {
            let _ = write!(text, "\n```text\n{}\n```\n", usages.join("\n"));
            if !doc.is_empty() {
                let _ = write!(text, "\n{doc}\n");
            }
        }
        if !self.options.is_empty() {
            text.push_str("\n| option | default | |\n| --- | --- | --- |\n");
            for option in &self.options {
                let _ =
                    writeln!(text, "| `{}` | `{}` | {} |", option.name, option.default, option.doc.replace('|', "\\|"));
            }
        }
        text
    }

    /// The page as JSON.
    pub fn json(&self) -> serde_json::Value {
        let signatures: Vec<_> = self
            .signatures
            .iter()
            .map(|signature| {
                let params: Vec<_> = signature.params.iter().map(|(name, kind)| json!({ "name": name, "type": kind })).collect();
                json!({ "usage": self.usage_of(signature), "params": params, "result": signature.result, "doc": signature.doc })
            })
            .collect();
        let options: Vec<_> = self
            .options
            .iter()
            .map(|option| json!({ "name": option.name, "default": option.default.to_json(), "expected": option.expected, "doc": option.doc }))
            .collect();
        json!({ "name": self.name, "summary": self.summary(), "signatures": signatures, "options": options })
    }
}

fn first_paragraph(doc: &str) -> &str {
    doc.split("\n\n").next().unwrap_or_default()
}

/// Markdown for a terminal: code is set in by four spaces instead of standing between fences.
fn unfenced(doc: &str) -> String {
    let (mut lines, mut code) = (Vec::new(), false);
    for line in doc.lines() {
        match line.starts_with("```") {
            true => code = !code,
            false if code && !line.is_empty() => lines.push(format!("    {line}")),
            false => lines.push(line.to_string()),
        }
    }
    lines.join("\n")
}

/// Doc comments without their slashes.
fn doc_text(comments: &[String]) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for comment in comments {
        let body = comment.trim().strip_prefix("/**").map_or(comment.as_str(), |body| body.trim_end_matches("*/"));
        lines.extend(body.lines().map(|line| {
            let line = line.trim_start();
            let line = line.strip_prefix("///").unwrap_or(line);
            line.strip_prefix(' ').unwrap_or(line).trim_end()
        }));
    }
    lines.join("\n").trim().to_string()
}

/// A type's name in a script's words, from Rust's.
pub fn word(kind: &str) -> &str {
    let kind = kind.trim();
    let kind = kind.strip_prefix('&').unwrap_or(kind).trim();
    let kind = kind.strip_prefix("mut ").unwrap_or(kind).trim();
    let (outer, inner) = kind.split_once('<').map_or((kind, ""), |(outer, inner)| (outer, inner));
    let last = outer.rsplit("::").next().unwrap_or(outer).trim();
    match last {
        "i64" | "INT" | "i32" | "usize" => "int",
        "f64" | "FLOAT" => "float",
        "ImmutableString" | "String" | "str" | "string" => "string",
        "Array" | "array" | "Vec" => "array",
        "Map" | "map" | "BTreeMap" => "map",
        "FnPtr" | "Fn" | "function" => "function",
        "Dynamic" | "?" | "" => "any",
        "Range" | "RangeInclusive" | "ExclusiveRange" | "InclusiveRange" | "range" | "range=" => "range",
        "Result" | "RhaiResultOf" | "Fallible" => word(inner.split(',').next().unwrap_or("").trim_end_matches('>')),
        "RhaiResult" => "any",
        "()" => "()",
        other => other,
    }
}

fn result_word(kind: &str) -> String {
    match word(kind) {
        "()" | "any" if kind.trim().is_empty() || kind.contains("()") => String::new(),
        word => word.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_the_words_of_a_script() {
        assert_eq!(word("& mut Tensor"), "Tensor");
        assert_eq!(word("alloc::vec::Vec<rhai::Dynamic>"), "array");
        assert_eq!(word("rhai::types::immutable_string::ImmutableString"), "string");
        assert_eq!(word("Fallible<Tensor>"), "Tensor");
        assert_eq!(word("std::ops::Range<i64>"), "range");
    }

    #[test]
    fn doc_comments_lose_their_slashes_and_keep_their_shape() {
        let doc = doc_text(&["/// Adds.\n///\n/// ```rhai\n///   1 + 1 // => 2\n/// ```".to_string()]);
        assert_eq!(doc, "Adds.\n\n```rhai\n  1 + 1 // => 2\n```");
        assert_eq!(first_paragraph(&doc), "Adds.");
        assert_eq!(unfenced(&doc), "Adds.\n\n      1 + 1 // => 2");
        assert_eq!(unfenced("a\n```\nb\n\nc\n```\nd"), "a\n    b\n\n    c\nd");
    }
}
