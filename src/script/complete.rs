//! What could stand at the cursor: functions and namespaces, members of a value, options, names within strings.

use rhai::Engine;

use crate::nn::INITIALISERS;
use crate::script::manual::{self, Entry, Kind, Manual};
use crate::script::{Host, Session, bind};

/// A way to go on.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion {
    /// What replaces the word at the cursor.
    pub text: String,
    /// What it is, in one line.
    pub about: String,
    /// What sort of thing it is, in Jupyter's words: `function`, `instance`, `module`, `param`, `keyword`, `path`, `magic`.
    pub kind: &'static str,
}

impl Suggestion {
    fn new(text: impl Into<String>, about: impl Into<String>, kind: &'static str) -> Self {
        Self { text: text.into(), about: about.into(), kind }
    }
}

/// Ways to go on, and the byte offset of the word they replace.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Completion {
    /// Where the word begins.
    pub start: usize,
    /// The ways to go on.
    pub suggestions: Vec<Suggestion>,
}

/// The names of a session at one moment, so that completion can go on while a cell runs.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Variables and their types.
    pub variables: Vec<(String, String)>,
    /// Functions that scripts defined.
    pub functions: Vec<Function>,
}

/// A function that a script defined.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its parameters.
    pub params: Vec<String>,
    /// How it is called.
    pub usage: String,
    /// Its `///` comments.
    pub doc: String,
}

impl Names {
    /// The names of `session` now.
    pub fn of(session: &Session) -> Self {
        let kind = |name: &str| session.variable(name).map(|value| session.type_word(&value));
        Self {
            variables: session
                .variables()
                .into_iter()
                .map(|name| (name.clone(), kind(&name).unwrap_or_default()))
                .collect(),
            functions: session.functions(),
        }
    }

    /// The type of a variable.
    pub fn kind_of(&self, name: &str) -> Option<&str> {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, kind)| kind.as_str())
    }
}

const KEYWORDS: &[&str] = &[
    "let", "const", "fn", "if", "else", "switch", "while", "loop", "for", "in", "do", "until", "return", "break",
    "continue", "throw", "try", "catch", "import", "as", "true", "false",
];

/// What could stand at byte `cursor` of `text`.
pub fn complete(host: &Host, engine: &Engine, names: &Names, text: &str, cursor: usize) -> Completion {
    let before = text.get(..cursor).unwrap_or(text);
    let manual = &*host.whole_manual(engine);
    if let Some(quote) = open_string(before) {
        return within_string(before, quote);
    }
    let start = word_start(before);
    let word = &before[start..];
    let lead = before[..start].trim_end();
    let suggestions = if let Some(lead) = lead.strip_suffix("::") {
        let namespace = &lead[word_start(lead)..];
        manual.entries().iter().filter_map(|entry| in_namespace(entry, namespace, word)).collect()
    } else if let Some(lead) = lead.strip_suffix('.').filter(|lead| !lead.ends_with('.')) {
        members(manual, names, lead, word)
    } else if let Some(options) = options(manual, lead).filter(|_| lead.ends_with(['{', ','])) {
        options
            .iter()
            .filter(|option| option.name.starts_with(word))
            .map(|option| {
                let about = format!("{} (default {})", option.doc, option.default);
                Suggestion::new(format!("{}: ", option.name), about, "param")
            })
            .collect()
    } else {
        everywhere(manual, names, word)
    };
    Completion { start, suggestions }
}

fn word_start(text: &str) -> usize {
    text.rfind(|c: char| !(c.is_alphanumeric() || c == '_'))
        .map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8))
}

/// Where the string that is open at the end of `text` begins, after its quote.
fn open_string(text: &str) -> Option<usize> {
    let line = text.rfind('\n').map_or(0, |at| at + 1);
    let mut open = None;
    let mut escaped = false;
    for (at, c) in text[line..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if open.is_some() => escaped = true,
            '"' => open = if open.is_some() { None } else { Some(line + at + 1) },
            _ => {}
        }
    }
    open
}

fn within_string(before: &str, start: usize) -> Completion {
    let word = &before[start..];
    let mut suggestions: Vec<Suggestion> = bind::choices()
        .into_iter()
        .flat_map(|table| table.rows.into_iter().map(move |(name, _)| (name, table.kind)))
        .chain(INITIALISERS.iter().map(|name| (*name, "initialiser")))
        .map(|(name, what)| Suggestion::new(name, what, "instance"))
        .filter(|suggestion| suggestion.text.starts_with(word))
        .collect();
    suggestions.dedup_by(|a, b| a.text == b.text);
    suggestions.extend(paths(word));
    Completion { start, suggestions }
}

/// The files and folders that a path could go on to.
fn paths(word: &str) -> Vec<Suggestion> {
    if word.is_empty() {
        return Vec::new();
    }
    let (folder, start) = word.rsplit_once('/').map_or(("", word), |(folder, start)| (&word[..=folder.len()], start));
    let Ok(entries) = std::fs::read_dir(if folder.is_empty() { "." } else { folder }) else { return Vec::new() };
    let mut found: Vec<Suggestion> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let wanted = name.starts_with(start) && (start.starts_with('.') || !name.starts_with('.'));
            let (end, about) = if entry.path().is_dir() { ("/", "a folder") } else { ("", "a file") };
            wanted.then(|| Suggestion::new(format!("{folder}{name}{end}"), about, "path"))
        })
        .collect();
    found.sort_by(|a, b| a.text.cmp(&b.text));
    found.truncate(100);
    found
}

fn in_namespace(entry: &Entry, namespace: &str, word: &str) -> Option<Suggestion> {
    let (first, last) = entry.name.split_once("::")?;
    (first == namespace && last.starts_with(word))
        .then(|| Suggestion::new(format!("{last}("), entry.summary(), "function"))
}

fn members(manual: &Manual, names: &Names, lead: &str, word: &str) -> Vec<Suggestion> {
    let receiver = &lead[word_start(lead)..];
    let kind = names.kind_of(receiver);
    let fits = |entry: &&Entry| entry.name.starts_with(word) && !entry.name.contains("::");
    let suggest = |entry: &Entry| match entry.kind {
        Kind::Property => Suggestion::new(entry.name.as_str(), entry.summary(), "property"),
        _ => Suggestion::new(format!("{}(", entry.name), entry.summary(), "function"),
    };
    match kind {
        Some(kind) => manual.members(kind).filter(fits).map(suggest).collect(),
        None => manual
            .entries()
            .iter()
            .filter(|entry| {
                entry.ours && entry.kind != Kind::Operator && entry.signatures.iter().any(|way| !way.params.is_empty())
            })
            .filter(fits)
            .map(suggest)
            .collect(),
    }
}

/// The options of the function whose `#{` is open at the end of `text`.
fn options<'a>(manual: &'a Manual, text: &str) -> Option<&'a [manual::Setting]> {
    let mut depth = 0usize;
    let open = text.char_indices().rev().find_map(|(at, c)| match c {
        '}' | ')' | ']' => {
            depth += 1;
            None
        }
        '{' | '(' | '[' if depth > 0 => {
            depth -= 1;
            None
        }
        '{' => Some(at),
        _ => None,
    })?;
    let before = text[..open].strip_suffix('#')?;
    // The call that the map stands in: the nearest bracket that is open.
    let mut depth = 0usize;
    let call = before.char_indices().rev().find_map(|(at, c)| match c {
        ')' => {
            depth += 1;
            None
        }
        '(' if depth > 0 => {
            depth -= 1;
            None
        }
        '(' => Some(at),
        _ => None,
    })?;
    let name_end = before[..call].trim_end();
    let start = name_end.rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).map_or(0, |at| at + 1);
    let entry = manual.find(&name_end[start..])?;
    (!entry.options.is_empty()).then_some(entry.options.as_slice())
}

fn everywhere(manual: &Manual, names: &Names, word: &str) -> Vec<Suggestion> {
    if word.is_empty() {
        return Vec::new();
    }
    let mut found: Vec<Suggestion> = Vec::new();
    let mut offer = |text: String, about: String, kind: &'static str| {
        if text.starts_with(word) && !found.iter().any(|other| other.text == text) {
            found.push(Suggestion::new(text, about, kind));
        }
    };
    for (name, kind) in &names.variables {
        offer(name.clone(), kind.clone(), "instance");
    }
    for function in &names.functions {
        offer(format!("{}(", function.name), function.usage.clone(), "function");
    }
    for name in manual.namespaces() {
        offer(format!("{name}::"), "a namespace".into(), "module");
    }
    for entry in
        manual.entries().iter().filter(|entry| entry.kind == Kind::Function && !entry.name.contains("::") && entry.ours)
    {
        offer(format!("{}(", entry.name), entry.summary().to_string(), "function");
    }
    for keyword in KEYWORDS {
        offer((*keyword).to_string(), String::new(), "keyword");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Stop;
    use crate::script::{Given, Mute};
    use std::path::Path;

    fn suggested(cells: &[&str], text: &str) -> Vec<String> {
        let host = Host::new(Box::new(Mute), Stop::default(), Given::default());
        let mut session = Session::new(host, Path::new(""));
        for cell in cells {
            drop(session.cell(cell).unwrap());
        }
        let names = Names::of(&session);
        let found = complete(session.host(), session.engine(), &names, text, text.len());
        found.suggestions.into_iter().map(|suggestion| format!("{}{}", &text[..found.start], suggestion.text)).collect()
    }

    #[test]
    fn names_go_on_by_where_they_stand() {
        assert_eq!(suggested(&[], "gan::tr"), ["gan::train("]);
        assert_eq!(
            suggested(&["let labelled = 1;", "fn label_all(a, b) { a }"], "let x = labe"),
            ["let x = labelled", "let x = label_all(", "let x = label::", "let x = label("]
        );
        assert_eq!(suggested(&["let t = tensor::zeros([2]);"], "t.sha"), ["t.shape"]);
        assert_eq!(suggested(&["let t = tensor::zeros([2]);"], "t.known_b"), [] as [&str; 0]);
        assert_eq!(suggested(&[], "x.known_b"), ["x.known_batches("]);
    }

    #[test]
    fn paths_go_on_within_strings() {
        assert!(suggested(&[], "load(\"src/scr").contains(&"load(\"src/script/".to_string()));
        assert!(suggested(&[], "load(\"Cargo.to").contains(&"load(\"Cargo.toml".to_string()));
    }

    #[test]
    fn options_and_choices_are_those_of_the_place() {
        assert_eq!(
            suggested(&[], "gan::train(data, #{ steps: 5, penalty_w"),
            ["gan::train(data, #{ steps: 5, penalty_weight: "]
        );
        assert_eq!(
            suggested(&[], "gan::train(data, gan::method(\"s3gan\") + #{ batch: f(1), rotation_s"),
            ["gan::train(data, gan::method(\"s3gan\") + #{ batch: f(1), rotation_share: "]
        );
        assert_eq!(suggested(&[], "#{ loss: \"hin"), ["#{ loss: \"hinge"]);
        assert_eq!(
            suggested(&[], "gan::train(data, #{ steps: le"),
            ["gan::train(data, #{ steps: leaky_relu(", "gan::train(data, #{ steps: let"]
        );
    }
}
