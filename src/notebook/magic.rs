//! Lines that start with `%`, cells that start with `%%`, and `name?`: what a notebook understands beside the language.

use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use super::timing::{seconds, timeit};
use super::{Notebook, Outcome};
use crate::error::{Error, Result, file};
use crate::options::Value;
use crate::script::complete::Suggestion;
use crate::script::{Diagnostic, Display, display, rust_cell};
use crate::table::{self, Row};

/// A magic.
pub struct Magic {
    /// What stands behind the `%`.
    pub name: &'static str,
    /// How it is written.
    pub usage: &'static str,
    /// What it does.
    pub doc: &'static str,
    run: fn(&mut Notebook, &str, &Call) -> Answer,
}

type Answer = std::result::Result<Outcome, Diagnostic>;

impl Row for Magic {
    const KIND: &'static str = "magic";
    fn name(&self) -> &'static str {
        self.name
    }
    fn doc(&self) -> &'static str {
        self.doc
    }
}

/// Every magic, in the order `%lsmagic` lists them.
pub const MAGICS: &[Magic] = &[
    Magic { name: "time", usage: "%time CODE, or %%time", doc: "Evaluates code and says how long it took.", run: time },
    Magic {
        name: "timeit",
        usage: "%timeit [-n LOOPS] [-r RUNS] CODE, or %%timeit",
        doc: "Evaluates code over and over and says how long it takes.",
        run: time_again,
    },
    Magic { name: "who", usage: "%who", doc: "Lists the variables with their types and values.", run: who },
    Magic {
        name: "run",
        usage: "%run FILE [NAME=VALUE]...",
        doc: "Evaluates a script with these parameters; its variables and functions stay.",
        run: run_file,
    },
    Magic {
        name: "set",
        usage: "%set NAME=VALUE...",
        doc: "Gives values that `param(\"NAME\", default)` answers with from then on.",
        run: set,
    },
    Magic { name: "reset", usage: "%reset", doc: "Forgets all variables, functions and results.", run: reset },
    Magic {
        name: "capture",
        usage: "%%capture [NAME]",
        doc: "Evaluates the cell and keeps what it prints in a variable instead of showing it.",
        run: capture,
    },
    Magic {
        name: "writefile",
        usage: "%%writefile [-a] FILE",
        doc: "Writes the rest of the cell into a file: a script for a study. With -a at its end.",
        run: write_file,
    },
    Magic { name: "html", usage: "%%html", doc: "Shows the rest of the cell as HTML.", run: html },
    Magic {
        name: "rust",
        usage: "%%rust",
        doc: "Compiles and runs the cell as Rust; functions with `#[export]` are called as `rust::name(..)`.",
        run: rust,
    },
    Magic { name: "help", usage: "%help [NAME]", doc: "Shows the manual, or the page of a name.", run: help },
    Magic { name: "lsmagic", usage: "%lsmagic", doc: "Lists the magics.", run: list },
];

/// A magic as it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// What follows on the line.
    pub rest: String,
    /// The lines below, if it is a `%%` magic.
    pub body: Option<String>,
    /// The line it stands on, from 0.
    line: usize,
    /// Characters before what follows on the line.
    column: usize,
}

impl Call {
    /// `code` at the place it stands in, so that an error in it names that place.
    pub fn padded(&self, code: &str) -> String {
        let lines = self.line + usize::from(self.body.is_some());
        let column = if self.body.is_some() { 0 } else { self.column };
        format!("{}{}{code}", "\n".repeat(lines), " ".repeat(column))
    }
}

/// A part of a cell.
#[derive(Debug, PartialEq)]
pub enum Piece {
    /// Code, at its lines.
    Code(String),
    /// `%name ..`.
    Line(Result<Call>),
    /// `name?`, or with detail `name??`.
    Question {
        /// The name.
        about: String,
        /// Whether the source is asked for.
        detail: bool,
    },
}

/// The `%%` magic that a cell begins with.
pub fn whole_cell(text: &str) -> Option<Result<Call>> {
    let blank = text.len() - text.trim_start().len();
    let rest = text[blank..].strip_prefix("%%")?;
    let (first, body) = rest.split_once('\n').unwrap_or((rest, ""));
    Some(call(first, Some(body.to_string()), text[..blank].matches('\n').count()))
}

fn call(text: &str, body: Option<String>, line: usize) -> Result<Call> {
    let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let name = name.trim();
    if !MAGICS.iter().any(|magic| magic.name == name) {
        return Err(table::unknown("magic", name, MAGICS.iter().map(Row::name)));
    }
    // The mark, the name, and the blanks behind it.
    let column = 1 + text.chars().count() - rest.trim_start().chars().count();
    Ok(Call { name: name.into(), rest: rest.trim().into(), body, line, column })
}

/// The parts of a cell, in order. A `%` belongs to the code before it if that is `open`, not whole without it.
pub fn split(text: &str, open: impl Fn(&str) -> bool) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut code = String::new();
    let whole = |code: &str| code.trim().is_empty() || !open(code);
    for (at, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        let piece = if let Some(rest) = trimmed.strip_prefix('%').filter(|rest| rest.starts_with(char::is_alphabetic)) {
            Some(Piece::Line(call(rest, None, at)))
        } else {
            question(trimmed).map(|(about, detail)| Piece::Question { about: about.to_string(), detail })
        };
        match piece.filter(|_| whole(&code)) {
            Some(piece) => {
                if !code.trim().is_empty() {
                    pieces.push(Piece::Code(std::mem::take(&mut code)));
                }
                code = "\n".repeat(at + 1);
                pieces.push(piece);
            }
            None => {
                code.push_str(line);
                code.push('\n');
            }
        }
    }
    if !code.trim().is_empty() {
        pieces.push(Piece::Code(code));
    }
    pieces
}

/// `name?`, `?name`, and with two marks in detail.
pub fn question(text: &str) -> Option<(&str, bool)> {
    let text = text.trim().trim_end_matches(';');
    let marks = |text: &str| if text.starts_with("??") || text.ends_with("??") { 2 } else { 1 };
    let name = text.strip_suffix('?').or_else(|| text.strip_prefix('?'))?.trim_matches('?').trim();
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_:.%".contains(c));
    is_name.then(|| (name, marks(text) == 2))
}

/// Whether text is something that only a notebook understands, so that the parser need not be asked.
pub fn is_magic(text: &str) -> bool {
    let text = text.trim();
    (text.starts_with('%') && text[1..].starts_with(|c: char| c == '%' || c.is_alphabetic()))
        || question(text).is_some()
}

/// Whether a cell that is typed line by line is to go on: one of a `%%` magic ends with an empty line, outside of brackets.
pub fn goes_on(text: &str) -> bool {
    let text = text.trim_start();
    if !text.starts_with("%%") || text.ends_with("\n\n\n") {
        return false;
    }
    let count = |marks: [char; 3]| text.chars().filter(|c| marks.contains(c)).count();
    let open = count(['(', '[', '{']) > count([')', ']', '}']);
    open || !text.ends_with("\n\n")
}

/// The magics that a line that begins with `%` could name.
pub fn complete(before: &str) -> Option<(usize, Vec<Suggestion>)> {
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = &before[start..];
    let word = line.trim_start();
    if !word.starts_with('%') || word.contains(char::is_whitespace) {
        return None;
    }
    let fits = MAGICS.iter().flat_map(|magic| {
        ["%", "%%"].map(|mark| format!("{mark}{}", magic.name)).into_iter().filter_map(move |text| {
            let exists = magic.usage.split(|c: char| c.is_whitespace() || c == ',').any(|part| part == text);
            (exists && text.starts_with(word)).then(|| Suggestion { text, about: magic.doc.into(), kind: "magic" })
        })
    });
    Some((start + line.len() - word.len(), fits.collect()))
}

/// Where the Rust of a `%%rust` cell begins, if the text is one.
pub fn rust_from(text: &str) -> Option<usize> {
    let blank = text.len() - text.trim_start().len();
    let first = text[blank..].lines().next()?;
    (first.trim() == "%%rust").then(|| (blank + first.len() + 1).min(text.len()))
}

/// Does what a magic is for.
pub fn run(notebook: &mut Notebook, name: &str, call: &Call) -> Answer {
    let magic = table::find(MAGICS, &call.name)?;
    let cell = magic.usage.contains("%%");
    let line = !magic.usage.starts_with("%%");
    match call.body {
        Some(_) if !cell => {
            Err(Error::new(format!("`%{}` is a magic of one line", call.name)).help(magic.usage).into())
        }
        None if !line => {
            Err(Error::new(format!("`%%{}` is a magic of a whole cell", call.name)).help(magic.usage).into())
        }
        _ => (magic.run)(notebook, name, call),
    }
}

fn say(notebook: &Notebook, text: &str) {
    notebook.host.front().print(text);
}

/// The code that a magic was given: the cell below it or the rest of its line.
fn code(call: &Call) -> String {
    match &call.body {
        Some(body) => call.padded(body),
        None => call.padded(&call.rest),
    }
}

fn time(notebook: &mut Notebook, name: &str, call: &Call) -> Answer {
    let from = Instant::now();
    let value = notebook.code(name, &code(call), None);
    let took = from.elapsed().as_secs_f64();
    say(notebook, &format!("wall time {}", seconds(took)));
    Ok(Outcome { value: value?, page: None })
}

fn time_again(notebook: &mut Notebook, name: &str, call: &Call) -> Answer {
    let text = timeit(notebook, name, call)?;
    say(notebook, &text);
    Ok(Outcome::default())
}

fn who(notebook: &mut Notebook, _: &str, _: &Call) -> Answer {
    let session = &notebook.session;
    let rows: Vec<Vec<String>> = session
        .variables()
        .into_iter()
        .filter(|name| !session.is_own(name))
        .map(|name| {
            let (kind, value) = session.described(&name);
            vec![name, kind, value]
        })
        .collect();
    let text = if rows.is_empty() {
        "there are no variables".to_string()
    } else {
        display::table(&["name", "type", "value"], &rows)
    };
    say(notebook, &text);
    Ok(Outcome::default())
}

/// `name=value` pairs between blanks.
fn pairs(call: &Call, text: &str) -> Result<Vec<(String, Value)>> {
    text.split_whitespace()
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_string(), Value::Text(value.to_string()))),
            _ => {
                Err(Error::new(format!("`%{}` was given `{pair}`", call.name))
                    .help("parameters are written `name=value`"))
            }
        })
        .collect()
}

fn set(notebook: &mut Notebook, _: &str, call: &Call) -> Answer {
    let given = pairs(call, &call.rest)?;
    if given.is_empty() {
        return Err(Error::new("`%set` was given no parameter")
            .help("it is written `%set labels=0.05 method=s3gan`")
            .into());
    }
    for (name, value) in given {
        notebook.host.give(&name, &value);
    }
    Ok(Outcome::default())
}

fn run_file(notebook: &mut Notebook, _: &str, call: &Call) -> Answer {
    let (path, given) = call.rest.split_once(char::is_whitespace).unwrap_or((call.rest.as_str(), ""));
    if path.is_empty() {
        return Err(Error::new("`%run` was given no file").help("it is written `%run script.rhai labels=0.05`").into());
    }
    let text = std::fs::read_to_string(path).map_err(|error| crate::error::file(path.as_ref(), "read", error))?;
    for (name, value) in pairs(call, given)? {
        notebook.host.give(&name, &value);
    }
    let value = notebook.code(path, &text, None)?;
    Ok(Outcome { value, page: None })
}

fn reset(notebook: &mut Notebook, _: &str, _: &Call) -> Answer {
    notebook.session.reset();
    Ok(Outcome::default())
}

fn capture(notebook: &mut Notebook, name: &str, call: &Call) -> Answer {
    let variable = call.rest.clone();
    if !variable.is_empty() && !variable.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return Err(Error::new(format!("`%%capture` was given `{variable}`"))
            .help("the name of a variable goes there")
            .into());
    }
    notebook.front.close();
    let value = notebook.code(name, &code(call), None);
    let mut said = notebook.front.open();
    match value {
        Ok(value) => said.extend(value.map(|value| value.text + "\n")),
        Err(error) => {
            // What led to the error is worth seeing.
            say(notebook, said.trim_end());
            return Err(error);
        }
    }
    if !variable.is_empty() {
        notebook.session.set_value(&variable, &Value::Text(said));
    }
    Ok(Outcome::default())
}

fn write_file(notebook: &mut Notebook, _: &str, call: &Call) -> Answer {
    let (append, name) = match call.rest.strip_prefix("-a").filter(|rest| rest.starts_with(char::is_whitespace)) {
        Some(rest) => (true, rest.trim()),
        None => (false, call.rest.as_str()),
    };
    if name.is_empty() {
        return Err(Error::new("`%%writefile` was given no file")
            .help("its path goes there: `%%writefile trial.rhai`")
            .into());
    }
    let path = Path::new(name.trim_matches(['"', '\'']));
    let known = path.exists();
    let mut open = std::fs::OpenOptions::new();
    open.create(true).write(true).append(append).truncate(!append);
    let written = open.open(path).and_then(|mut made| made.write_all(call.body.clone().unwrap_or_default().as_bytes()));
    written.map_err(|error| file(path, "write", error))?;
    let did = match (known, append) {
        (false, _) => "wrote",
        (true, true) => "wrote to the end of",
        (true, false) => "wrote over",
    };
    say(notebook, &format!("{did} {}", path.display()));
    Ok(Outcome::default())
}

fn html(_: &mut Notebook, _: &str, call: &Call) -> Answer {
    let body = call.body.clone().unwrap_or_default();
    Ok(Outcome { value: Some(Display { html: Some(body.clone()), ..Display::text(body) }), page: None })
}

fn rust(notebook: &mut Notebook, name: &str, call: &Call) -> Answer {
    let body = call.body.as_deref().unwrap_or_default();
    let value = rust_cell::run(&notebook.host, name, body, call.line + 1)?;
    Ok(Outcome { value, page: None })
}

fn help(notebook: &mut Notebook, _: &str, call: &Call) -> Answer {
    let text = match call.rest.as_str() {
        "" => notebook.host.whole_manual(notebook.session.engine()).overview(),
        name => notebook.about(name, false)?,
    };
    say(notebook, &text);
    Ok(Outcome::default())
}

fn list(notebook: &mut Notebook, _: &str, _: &Call) -> Answer {
    let rows: Vec<Vec<String>> = MAGICS.iter().map(|magic| vec![magic.usage.into(), magic.doc.into()]).collect();
    say(notebook, &display::table(&["magic", "what it does"], &rows));
    Ok(Outcome::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magics_are_told_from_code() {
        let open = |code: &str| code.trim_end().ends_with(['7', '[', ',']);
        let text = "let a = 7\n% 4;\n%time a\na?\n\nlet b = [\n%time,\n];";
        let pieces = split(text, open);
        assert_eq!(pieces[0], Piece::Code("let a = 7\n% 4;\n".into()));
        assert_eq!(pieces[1], Piece::Line(call("time a", None, 2)));
        assert_eq!(pieces[2], Piece::Question { about: "a".into(), detail: false });
        assert_eq!(pieces[3], Piece::Code("\n\n\n\n\nlet b = [\n%time,\n];\n".into()));
    }

    #[test]
    fn a_whole_cell_can_belong_to_a_magic() {
        let call = whole_cell("\n%%time\nlet a = 1;\na").unwrap().unwrap();
        assert_eq!((call.name.as_str(), call.body.as_deref()), ("time", Some("let a = 1;\na")));
        assert_eq!(call.padded("let a = 1;\na"), "\n\nlet a = 1;\na");
        let error = whole_cell("%%tim\nx").unwrap().unwrap_err();
        assert_eq!(error.message, "there is no magic `tim`");
        assert!(whole_cell("%time x").is_none());
    }

    #[test]
    fn a_cell_of_a_magic_ends_with_an_empty_line() {
        assert!(goes_on("%%rust\n"));
        assert!(goes_on("%%rust\nfn f() {\n\n"));
        assert!(!goes_on("%%rust\nfn f() {\n}\n\n"));
        assert!(!goes_on("%%rust\n'{'\n\n\n"));
        assert!(!goes_on("%time 1\n"));
    }

    #[test]
    fn rust_begins_below_its_mark() {
        assert_eq!(rust_from("\n%%rust\nlet a = 1;"), Some(8));
        assert_eq!(rust_from("%%rust"), Some(6));
        assert_eq!(rust_from("%%rusty\n1"), None);
    }

    #[test]
    fn questions_are_about_names() {
        assert_eq!(question("gan::train?"), Some(("gan::train", false)));
        assert_eq!(question("?relu"), Some(("relu", false)));
        assert_eq!(question("relu??"), Some(("relu", true)));
        assert_eq!(question("a + b?"), None);
        assert_eq!(question("?"), None);
    }

    #[test]
    fn every_magic_says_how_it_is_written_and_what_it_does() {
        for magic in MAGICS {
            assert!(magic.usage.contains(&format!("%{}", magic.name)), "{}", magic.name);
            assert!(magic.doc.ends_with('.'), "{}", magic.name);
        }
    }

    #[test]
    fn magics_go_on_at_the_start_of_a_line() {
        let texts = |before: &str| -> Vec<String> {
            complete(before).into_iter().flat_map(|(_, found)| found).map(|suggestion| suggestion.text).collect()
        };
        assert_eq!(texts("let a = 1;\n%ti"), ["%time", "%timeit"]);
        assert_eq!(texts("%%ca"), ["%%capture"]);
        assert!(complete("7 % ti").is_none());
    }
}
