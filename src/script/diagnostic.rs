//! A failed evaluation, as the message a person reads: what was given, what was expected, where, and what mends it.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use rhai::{Dynamic, EvalAltResult, LexError, Map, ParseErrorType};

use crate::error::Error;
use crate::script::Host;
use crate::script::host::Place;
use crate::script::manual::{self, Manual, word};
use crate::table;

/// Why an evaluation failed, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostic {
    /// What went wrong.
    pub error: Error,
    /// Where in the script, if anywhere.
    pub place: Option<Box<Place>>,
    /// The functions it went through, outermost first, with where each was called.
    pub calls: Vec<(String, Option<Place>)>,
    /// Whether the text could not be read at all.
    pub syntax: bool,
    /// Further messages of the same kind.
    pub then: String,
}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        Self { error, place: None, calls: Vec::new(), syntax: false, then: String::new() }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.error.message)?;
        if let Some(place) = &self.place {
            let gutter = " ".repeat(place.line.to_string().len());
            write!(f, "\n{gutter}--> {}:{}:{}", place.source, place.line, place.column)?;
            if !place.text.trim().is_empty() {
                // A tab before the caret stays a tab, so that the caret stands under what it means.
                let indent: String =
                    place.text.chars().take(place.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
                write!(f, "\n{gutter} |\n{} | {}\n{gutter} | {indent}^", place.line, place.text.trim_end())?;
            }
        }
        for (function, place) in self.calls.iter().rev() {
            if let Some(place) = place {
                write!(f, "\n  in `{function}`, called at {}:{}", place.source, place.line)?;
            }
        }
        if let Some(help) = &self.error.help {
            write!(f, "\nhelp: {help}")?;
        }
        if !self.then.is_empty() {
            write!(f, "\n\n{}", self.then)?;
        }
        Ok(())
    }
}

/// What a message can draw on to name what is near.
pub struct Context<'a> {
    /// The session's state.
    pub host: &'a Host,
    /// What scripts can call.
    pub manual: &'a Manual,
    /// Names and numbers of arguments of the functions that scripts define.
    pub functions: Vec<(String, usize)>,
    /// Names of variables.
    pub variables: Vec<String>,
}

impl Diagnostic {
    /// What `error` says to a person.
    pub fn of(error: &EvalAltResult, context: &Context<'_>) -> Self {
        let mut calls = Vec::new();
        let mut source = String::new();
        let mut innermost = error;
        let mut place = None;
        loop {
            let position = innermost.position();
            // The innermost place that is known: a call's is better than none.
            if let Some(found) = context.host.sources().locate(&source, position) {
                place = Some(found);
            }
            match innermost {
                EvalAltResult::ErrorInFunctionCall(name, within, inner, position) => {
                    let called_at = context.host.sources().locate(&source, *position);
                    if !name.starts_with("anon$") {
                        calls.push((name.clone(), called_at));
                    }
                    source = within.clone();
                    innermost = inner;
                }
                EvalAltResult::ErrorInModule(path, inner, _) => {
                    source = path.clone();
                    innermost = inner;
                }
                _ => break,
            }
        }
        let syntax = matches!(innermost, EvalAltResult::ErrorParsing(..));
        let error = describe(innermost, place.as_ref(), context);
        Self { error, place: place.map(Box::new), calls, syntax, then: String::new() }
    }

    /// What sort of failure it is: `Interrupted`, `SyntaxError` or `Error`.
    pub fn kind(&self) -> &'static str {
        match () {
            () if self.is_interrupt() => "Interrupted",
            () if self.syntax => "SyntaxError",
            () => "Error",
        }
    }

    /// The lines of the message with the colours of a terminal, or without if `NO_COLOR` is set.
    pub fn coloured(&self) -> Vec<String> {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let text = self.to_string();
        text.lines()
            .map(|line| {
                let paint = |colour: &str, part: &str, rest: &str| format!("\x1b[{colour}m{part}\x1b[0m{rest}");
                if plain {
                    return line.to_string();
                }
                if let Some(rest) = line.strip_prefix("error:") {
                    return paint("1;31", "error:", rest);
                }
                if let Some(rest) = line.strip_prefix("help:") {
                    return paint("1;36", "help:", rest);
                }
                let gutter = line.trim_start();
                if gutter.starts_with("--> ") || gutter == "|" {
                    return paint("34", line, "");
                }
                match line.split_once(" | ") {
                    Some((number, code)) if number.trim().chars().all(|c| c.is_ascii_digit()) => {
                        let code = if code.trim() == "^" { paint("1;31", code, "") } else { code.to_string() };
                        paint("34", &format!("{number} | "), &code)
                    }
                    _ => line.to_string(),
                }
            })
            .collect()
    }

    /// Whether a person asked for the stop.
    pub fn is_interrupt(&self) -> bool {
        self.error.is_interrupt()
    }
}

/// The message for the innermost error.
fn describe(error: &EvalAltResult, place: Option<&Place>, context: &Context<'_>) -> Error {
    use EvalAltResult as E;
    match error {
        E::ErrorRuntime(value, _) => thrown(value),
        E::ErrorTerminated(value, _) => {
            value.clone().try_cast::<Error>().unwrap_or_else(|| Error::interrupted("interrupted"))
        }
        E::ErrorParsing(error, _) => parsing(error, place),
        E::ErrorFunctionNotFound(signature, _) => function_not_found(signature, context),
        E::ErrorVariableNotFound(name, _) => variable_not_found(name, context),
        E::ErrorModuleNotFound(name, _) => {
            let name = name.trim_end_matches(':');
            let namespaces = context.manual.namespaces();
            table::unknown("namespace", name, namespaces)
        }
        E::ErrorPropertyNotFound(name, _) => missing_key(name, place, context),
        E::ErrorDotExpr(text, _) => property(text, context),
        E::ErrorIndexingType(text, _) => indexing(text),
        E::ErrorIndexNotFound(index, _) => Error::new(format!("there is nothing at the index `{index}`")),
        E::ErrorArrayBounds(length, index, _) => bounds("array", "items", *length, *index),
        E::ErrorStringBounds(length, index, _) => bounds("string", "characters", *length, *index),
        E::ErrorBitFieldBounds(length, index, _) => bounds("number", "bits", *length, *index),
        E::ErrorMismatchDataType(expected, given, _) | E::ErrorMismatchOutputType(expected, given, _) => {
            Error::new(format!("expected {}, given {}", article(word(expected)), article(word(given))))
        }
        E::ErrorFor(_) => {
            Error::new("`for` cannot go through this value").help("it goes through arrays, ranges, strings and batches")
        }
        E::ErrorDataRace(_, _) => Error::new("a value is used while a method of it still runs")
            .help("give the function a copy made before the call"),
        E::ErrorNonPureMethodCallOnConstant(name, _) => {
            Error::new(format!("`{}` changes its value, which is a constant", name.trim_start_matches("set$")))
                .help("declare it with `let`; inside functions, top-level variables are constants")
        }
        E::ErrorAssignmentToConstant(name, _) => Error::new(format!("`{name}` is a constant"))
            .help("declare it with `let`; inside functions, top-level variables are constants"),
        E::ErrorArithmetic(text, _) => Error::new(plain(text)),
        E::ErrorUnboundThis(_) => Error::new("`this` is known only in a function called as a method"),
        E::ErrorStackOverflow(_) => Error::new("functions call one another more than 1000 deep")
            .help("a function that calls itself needs a case where it does not"),
        E::ErrorVariableExists(name, _) => Error::new(format!("the variable `{name}` exists already")),
        E::ErrorForbiddenVariable(name, _) => Error::new(format!("`{name}` cannot be the name of a variable")),
        other => Error::new(plain(&without_place(&other.to_string()))),
    }
}

/// What a script threw, or what a bound function raised.
fn thrown(value: &Dynamic) -> Error {
    if let Some(error) = value.clone().try_cast::<Error>() {
        return error;
    }
    if let Some(map) = value.read_lock::<Map>()
        && let Some(message) = map.get("message")
    {
        let error = Error::new(message.to_string());
        return match map.get("help") {
            Some(help) => error.help(help.to_string()),
            None => error,
        };
    }
    Error::new(match value.clone().into_string() {
        Ok(text) => text,
        Err(_) => format!("the script threw {value}"),
    })
}

fn function_not_found(signature: &str, context: &Context<'_>) -> Error {
    let (name, given) = match signature.split_once(" (") {
        Some((name, rest)) => (name.trim(), rest.trim_end_matches(')')),
        None => (signature.trim(), ""),
    };
    let given: Vec<&str> = split_types(given).into_iter().map(given_word).collect();
    let listed = given.join(", ");
    if name == "call" {
        let first = given.first().copied().unwrap_or("()");
        return Error::new(format!("{} cannot be called", article(first)));
    }
    if let Some(entry) = context.manual.find(name).filter(|entry| entry.name == name) {
        let operator = entry.kind == manual::Kind::Operator;
        let error = Error::new(match given.as_slice() {
            [left, right] if operator => format!("there is no `{left} {name} {right}`"),
            [one] if operator => format!("there is no `{name}{one}`"),
            _ => format!("`{name}` does not take ({listed})"),
        });
        let mut ways: Vec<String> = entry
            .signatures
            .iter()
            // For operators and crowded names, the ways that share a type with what was given.
            .filter(|way| {
                (!operator && entry.signatures.len() <= 4)
                    || way.params.iter().zip(&given).any(|((_, takes), given)| takes == given)
            })
            .map(|way| match operator {
                true => way.params.iter().map(|(_, kind)| kind.clone()).collect::<Vec<_>>().join(&format!(" {name} ")),
                false => {
                    let params: Vec<String> = way.params.iter().map(|(name, kind)| format!("{name}: {kind}")).collect();
                    format!("({})", params.join(", "))
                }
            })
            .collect();
        // Rhai lists functions in no order of its own.
        ways.sort();
        ways.dedup();
        ways.truncate(6);
        return match ways.is_empty() {
            true => error,
            false if operator => error.help(format!("there are `{}`", ways.join("`, `"))),
            false => error.help(format!("it takes {}", ways.join(" or "))),
        };
    }
    if let Some((_, arity)) = context.functions.iter().find(|(defined, _)| defined == name) {
        return Error::new(format!("`{name}` takes {}, given {}", arguments(*arity), given.len()));
    }
    let error = Error::new(match given.first() {
        Some(first) if !name.contains("::") && is_ours(first) => {
            format!("there is no function `{name}` for ({listed})")
        }
        _ => format!("there is no function `{name}`"),
    });
    let defined = table::closest(name, context.functions.iter().map(|(name, _)| name.as_str()));
    match defined.or_else(|| context.manual.near(name)) {
        Some(near) => error.help(format!("a similar function exists: `{near}`")),
        None => match name.split_once("::") {
            Some((namespace, _)) if context.manual.namespaces().contains(namespace) => {
                error.help(format!("`help(\"{namespace}\")` lists what is there"))
            }
            _ => error,
        },
    }
}

/// Whether a type is one of ours rather than Rhai's.
fn is_ours(kind: &str) -> bool {
    kind.starts_with(char::is_uppercase)
}

fn arguments(count: usize) -> String {
    if count == 1 { "1 argument".into() } else { format!("{count} arguments") }
}

/// Type names at the commas between them, not at those within `<>`.
fn split_types(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0i32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '<' | '(' => depth += 1,
            '>' | ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    if !text[from..].trim().is_empty() {
        parts.push(text[from..].trim());
    }
    parts
}

/// A type as Rhai lists it among what was given.
fn given_word(kind: &str) -> &str {
    if kind.contains("ImmutableString") { "string" } else { word(kind) }
}

fn variable_not_found(name: &str, context: &Context<'_>) -> Error {
    let error = Error::new(format!("there is no variable `{name}`"));
    if context.manual.namespaces().contains(name) {
        return Error::new(format!("`{name}` is a namespace, not a value"))
            .help(format!("its functions are called `{name}::..`"));
    }
    if context.manual.find(name).is_some_and(|entry| entry.name == name) {
        return error.help(format!("there is a function of that name: `{name}(..)`"));
    }
    match table::closest(name, context.variables.iter().map(String::as_str)) {
        Some(near) => error.help(format!("a similar variable exists: `{near}`")),
        None => error,
    }
}

/// A key that a map does not have, with the one that is near if the map is a variable.
fn missing_key(name: &str, place: Option<&Place>, context: &Context<'_>) -> Error {
    let error = Error::new(format!("the map has no key `{name}`"));
    // The place is that of the key: before it stands the map.
    let map = place.and_then(|place| {
        let before: String = place.text.chars().take(place.column.saturating_sub(1)).collect();
        let before = before.trim_end_matches(['.', '[', ' ']);
        let name = before.rsplit(|c: char| !(c.is_alphanumeric() || c == '_')).next()?;
        context.host.global(name).ok().flatten()?.try_cast::<Map>()
    });
    match map {
        Some(map) if map.is_empty() => error.help("the map is empty"),
        Some(map) => match table::closest(name, map.keys().map(|key| key.as_str())) {
            Some(near) => error.help(format!("a similar key exists: `{near}`")),
            None => {
                let keys = map.keys().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
                error.help(format!("its keys are {keys}; `\"{name}\" in map` asks whether there is one"))
            }
        },
        None => error.help(format!("`\"{name}\" in map` asks whether there is one")),
    }
}

/// Rhai says which property of which type in a sentence.
fn property(text: &str, context: &Context<'_>) -> Error {
    let quoted: Vec<&str> = text.split('\'').skip(1).step_by(2).collect();
    let (Some(name), Some(kind)) = (quoted.first(), quoted.get(1)) else { return Error::new(plain(text)) };
    let kind = given_word(kind);
    if text.starts_with("No writable") {
        return Error::new(format!("the property `{name}` of {} cannot be set", article(kind)));
    }
    let error = Error::new(format!("{} has no property `{name}`", article(kind)));
    let members: Vec<&manual::Entry> =
        context.manual.members(kind).filter(|entry| is_ours(kind) || entry.kind == manual::Kind::Property).collect();
    if let Some(method) = members.iter().find(|entry| entry.name == **name) {
        return error.help(format!("it is a method: `.{}()`", method.name));
    }
    match table::closest(name, members.iter().map(|entry| entry.name.as_str())) {
        Some(near) => error.help(format!("a similar one exists: `{near}`")),
        None => error,
    }
}

fn indexing(text: &str) -> Error {
    let (kind, index) = text.split_once(" [").unwrap_or((text, ""));
    let index = index.split(']').next().unwrap_or_default();
    let error =
        Error::new(format!("{} cannot be indexed by {}", article(given_word(kind)), article(given_word(index))));
    match (given_word(kind), given_word(index)) {
        ("array", "range") => error.help("`extract(range)` takes a part of an array; a tensor is indexed by ranges"),
        _ => error,
    }
}

fn bounds(what: &str, items: &str, length: usize, index: i64) -> Error {
    match length {
        0 => Error::new(format!("the {what} is empty, the index is {index}")),
        _ => Error::new(format!("the {what} has {length} {items}, the index is {index}"))
            .help(format!("indices go from 0 to {}, or from -{length} to -1", length - 1)),
    }
}

/// `a tensor`, `an array`.
fn article(kind: &str) -> String {
    match kind.chars().next() {
        Some('a' | 'e' | 'i' | 'o' | 'u' | 'A' | 'E' | 'I' | 'O') => format!("an {kind}"),
        Some('(') => kind.to_string(),
        _ => format!("a {kind}"),
    }
}

/// The message for a text that does not parse.
fn parsing(error: &ParseErrorType, place: Option<&Place>) -> Error {
    use ParseErrorType as P;
    match error {
        P::UnexpectedEOF => {
            Error::new("the script ends too early").help("a bracket, a brace or a string is still open")
        }
        P::MissingToken(token, _) => Error::new(format!("expected `{token}` here")),
        P::ExprExpected(what) => Error::new(format!("expected {} here", article(what))),
        P::BadInput(LexError::UnterminatedString) => {
            Error::new("the string is not closed").help("strings over several lines stand in backticks")
        }
        P::Reserved(name) if name == "null" || name == "nil" => {
            Error::new(format!("`{name}` is not a value")).help("nothing is written `()`")
        }
        P::Reserved(name) if name == "var" => {
            Error::new("`var` is a reserved word").help("variables are declared with `let`")
        }
        P::Reserved(name) => Error::new(format!("`{name}` is a reserved word")),
        P::FnMissingName => match place.map(word_at) {
            Some(name) if !name.is_empty() => {
                Error::new(format!("`{name}` is a reserved word")).help("give the function another name")
            }
            _ => Error::new("expected the name of the function here"),
        },
        P::UnknownOperator(name) => Error::new(format!("there is no operator `{name}`")),
        P::LoopBreak => Error::new("`break` and `continue` belong inside a loop"),
        other => Error::new(plain(&other.to_string())),
    }
}

/// The word that begins at a place; empty if none does.
fn word_at(place: &Place) -> String {
    let rest = place.text.chars().skip(place.column - 1);
    let word: String = rest.take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    if word.starts_with(|c: char| c.is_ascii_digit()) { String::new() } else { word }
}

/// Rhai's words in our form: lower case, names in backticks, no full stop.
fn plain(text: &str) -> String {
    let text = text.trim().trim_end_matches('.').replace('\'', "`");
    let mut chars = text.chars();
    match chars.next() {
        Some(first) if chars.clone().next().is_some_and(|second| !second.is_uppercase()) => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text,
    }
}

/// Rhai's words without the place it puts at their end.
fn without_place(text: &str) -> String {
    match text.rfind(" (line ") {
        Some(at) => text[..at].to_string(),
        None => text.to_string(),
    }
}

/// Where the last panic was.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Keeps a panic's place for its message instead of printing it: the person gets one message.
pub fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line()));
        *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }));
}

/// The error of a panic: ours, whatever the script did.
pub fn panicked(payload: &(dyn std::any::Any + Send)) -> Diagnostic {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("an unknown cause");
    let place = PANIC.lock().unwrap_or_else(PoisonError::into_inner).take();
    let place = place.map_or(String::new(), |place| format!(" ({place})"));
    Error::bug(format!("the program failed inside: {text}{place}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_shows_its_line_and_a_caret() {
        let place =
            Place { source: "cell [3]".into(), line: 2, column: 8, text: "  gan::train(#{ lrr: 2e-4 })".into() };
        let error = Error::new("`gan::train` has no option `lrr`").help("a similar option exists: `lr`");
        let shown = Diagnostic { place: Some(Box::new(place)), ..error.into() }.to_string();
        assert_eq!(
            shown,
            "error: `gan::train` has no option `lrr`\n --> cell [3]:2:8\n  |\n2 |   gan::train(#{ lrr: 2e-4 })\n  |        ^\nhelp: a similar option exists: `lr`"
        );
    }

    #[test]
    fn rhai_speaks_our_way() {
        assert_eq!(plain("Duplicated variable name: 'x'."), "duplicated variable name: `x`");
        assert_eq!(
            split_types("Tensor, Range<i64>, &str | ImmutableString | String"),
            ["Tensor", "Range<i64>", "&str | ImmutableString | String"]
        );
        assert_eq!(article("int"), "an int");
    }
}
