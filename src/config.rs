//! Options in TOML files, and where the value of each option came from.
//!
//! A file has parameters of a script at its top and options in tables named by function or by namespace: `d_lr` under
//! `[gan.train]`, or under `[gan]` for every function of that namespace that has it.

use std::fmt::Write as _;
use std::path::Path;

use crate::error::{Error, Result, file};
use crate::options::{Field, Settings, Value};

/// A value of a file, or a table of them.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// One value.
    Leaf(Value),
    /// Values by name, in the order of the file.
    Table(Vec<(String, Node)>),
}

/// Named values and tables, in the order of the file.
pub type Tree = Vec<(String, Node)>;

/// Where the value of an option came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A named method.
    Method(String),
    /// A named preset.
    Preset(String),
    /// A file.
    File(String),
    /// The script.
    Script,
    /// `--set`.
    CommandLine,
    /// `gan.set`, after so many steps.
    Set(u64),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::Method(name) => write!(f, "method {name}"),
            Origin::Preset(name) => write!(f, "preset {name}"),
            Origin::File(path) => write!(f, "file {path}"),
            Origin::Script => f.write_str("script"),
            Origin::CommandLine => f.write_str("command line"),
            Origin::Set(step) => write!(f, "set after step {step}"),
        }
    }
}

/// An option with its value and where that came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What a script writes.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// Where it came from.
    pub from: Origin,
}

/// Every option of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The function: `gan::train`.
    pub function: String,
    /// Its options in the order of the manual.
    pub entries: Vec<Entry>,
}

impl Config {
    /// All of `settings`, each with what `origin` says of it.
    pub fn of<S: Settings>(settings: &S, origin: &dyn Fn(&Field, &Value) -> Origin) -> Self {
        let entry = |field: &'static Field| {
            let value = settings.get(field.name)?;
            Some(Entry { name: field.name.into(), from: origin(field, &value), value })
        };
        Self { function: S::NAME.into(), entries: S::fields().iter().filter_map(entry).collect() }
    }

    /// As JSON, for the record of a run.
    pub fn to_json(&self) -> serde_json::Value {
        let entry = |entry: &Entry| serde_json::json!({"name": entry.name, "value": entry.value.to_json(), "from": entry.from.to_string()});
        serde_json::json!({
            "function": self.function,
            "options": self.entries.iter().map(entry).collect::<Vec<_>>(),
        })
    }
}

/// The values of a file.
///
/// # Errors
/// The file cannot be read, is no TOML, or holds what no option can be: a date.
pub fn read(path: &Path) -> Result<Tree> {
    let text = std::fs::read_to_string(path).map_err(|error| file(path, "read", error))?;
    parse(&text).map_err(|error| {
        let told = file(path, "understand", &error.message);
        error.help.map_or(told.clone(), |help| told.help(help))
    })
}

/// The values of a text in TOML.
///
/// # Errors
/// As [`read`].
pub fn parse(text: &str) -> Result<Tree> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        Error::new(format!("line {line}: {}", error.message().lines().next().unwrap_or("it is no TOML")))
    })?;
    tree(table)
}

fn tree(table: toml::Table) -> Result<Tree> {
    let node = |(name, value): (String, toml::Value)| {
        let node = match value {
            toml::Value::Table(inner) => Node::Table(tree(inner)?),
            other => Node::Leaf(leaf(&name, other)?),
        };
        Ok((name, node))
    };
    table.into_iter().map(node).collect()
}

fn leaf(name: &str, value: toml::Value) -> Result<Value> {
    match value {
        toml::Value::String(text) => Ok(Value::Text(text)),
        toml::Value::Integer(whole) => Ok(Value::Int(whole)),
        toml::Value::Float(number) => Ok(Value::Float(number)),
        toml::Value::Boolean(yes) => Ok(Value::Bool(yes)),
        toml::Value::Array(items) => {
            items.into_iter().map(|item| leaf(name, item)).collect::<Result<_>>().map(Value::List)
        }
        toml::Value::Datetime(date) => Err(Error::new(format!("`{name}` is the date {date}"))
            .help("options are numbers, strings, lists, `true` or `false`")),
        toml::Value::Table(_) => Err(Error::new(format!("`{name}` is a list of tables"))
            .help("options are numbers, strings, lists, `true` or `false`")),
    }
}

/// The leaves of a tree by their names with points between: `gan.train.d_lr`.
pub fn flat(tree: &Tree) -> Vec<(String, Value)> {
    let mut out = Vec::new();
    for (name, node) in tree {
        match node {
            Node::Leaf(value) => out.push((name.clone(), value.clone())),
            Node::Table(inner) => {
                out.extend(flat(inner).into_iter().map(|(rest, value)| (format!("{name}.{rest}"), value)));
            }
        }
    }
    out
}

/// A tree as TOML: values first, then a table each under its name.
///
/// # Errors
/// A value that TOML cannot say: `()`, a function.
pub fn write(tree: &Tree) -> Result<String> {
    let mut out = String::new();
    tables(tree, "", &mut out)?;
    Ok(out)
}

fn tables(tree: &Tree, under: &str, out: &mut String) -> Result<()> {
    let leaves: Vec<(&String, &Value)> = tree
        .iter()
        .filter_map(|(name, node)| match node {
            Node::Leaf(value) => Some((name, value)),
            Node::Table(_) => None,
        })
        .collect();
    if !under.is_empty() && (!leaves.is_empty() || tree.is_empty()) {
        let gap = if out.is_empty() { "" } else { "\n" };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{gap}[{under}]");
    }
    for (name, value) in leaves {
        let value = said(value).ok_or_else(|| {
            Error::new(format!("`{name}` is {value}, which TOML cannot say")).help("leave it out of the map")
        })?;
        let _ = writeln!(out, "{} = {value}", key(name));
    }
    for (name, node) in tree {
        if let Node::Table(inner) = node {
            let place = if under.is_empty() { key(name) } else { format!("{under}.{}", key(name)) };
            tables(inner, &place, out)?;
        }
    }
    Ok(())
}

/// A name as TOML writes it.
pub fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { name.to_string() } else { quoted(name) }
}

/// A value as TOML writes it; none for `()` and functions.
pub fn said(value: &Value) -> Option<String> {
    Some(match value {
        Value::Unit | Value::Function(_) => return None,
        Value::Bool(yes) => yes.to_string(),
        Value::Int(whole) => whole.to_string(),
        // Rust writes the shortest digits that read back as the same number.
        Value::Float(number) => format!("{number:?}").replace("NaN", "nan"),
        Value::Text(text) => quoted(text),
        Value::List(items) => format!("[{}]", items.iter().map(said).collect::<Option<Vec<_>>>()?.join(", ")),
    })
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A value as `--set` takes it.
pub fn as_argument(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::List(items) => format!("[{}]", items.iter().map(as_argument).collect::<Vec<_>>().join(", ")),
        Value::Float(number) => format!("{number:?}"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_the_same() {
        let values = [
            ("steps", Value::Int(-3)),
            ("d_lr", Value::Float(1e-5)),
            ("large", Value::Float(1e16)),
            ("whole", Value::Float(2.0)),
            ("flip", Value::Bool(true)),
            ("betas", Value::List(vec![Value::Float(0.0), Value::Float(0.999)])),
            ("words", Value::Text("a \"b\" \\ \n\t\u{1} é # [x]".into())),
            ("two words", Value::List(vec![])),
        ];
        let leaves = |from: usize| -> Tree {
            values[from..].iter().map(|(name, value)| (name.to_string(), Node::Leaf(value.clone()))).collect()
        };
        let mut tree = leaves(0);
        tree.push(("gan".into(), Node::Table(vec![("train".into(), Node::Table(leaves(3)))])));
        tree.push(("ssl".into(), Node::Table(vec![])));
        let text = write(&tree).unwrap();
        assert_eq!(parse(&text).unwrap(), tree, "{text}");
        assert!(text.contains("\n[gan.train]\nwhole = 2.0\n"), "{text}");
        assert_eq!(flat(&tree)[8], ("gan.train.whole".into(), Value::Float(2.0)));
    }

    #[test]
    fn what_is_no_option_is_told_with_its_line() {
        let error = parse("a = 1\nb = = 2\n").unwrap_err();
        assert!(error.message.starts_with("line 2: "), "{error}");
        assert_eq!(parse("day = 2026-11-23").unwrap_err().message, "`day` is the date 2026-11-23");
        assert!(parse("a = 1\na = 2").unwrap_err().message.starts_with("line 2: duplicate key"));
        let error = write(&vec![("class".into(), Node::Leaf(Value::Unit))]).unwrap_err();
        assert_eq!(error.message, "`class` is (), which TOML cannot say");
    }
}
