//! A session whose front end remembers what it was given, and the reading of values stated in comments.

use std::path::Path;
use std::sync::{Arc, Mutex};

use fewlab::error::Result;
use fewlab::progress::{Observer, Picture, Silent, Stop};
use fewlab::script::{Diagnostic, Display, Front, Given, Host, Session, display};

/// What a session printed and recorded.
#[derive(Default, Clone)]
pub struct Heard {
    pub printed: Arc<Mutex<Vec<String>>>,
    pub records: Arc<Mutex<Vec<(String, serde_json::Value)>>>,
}

struct Listener(Heard);

impl Front for Listener {
    fn print(&self, text: &str) {
        self.0.printed.lock().unwrap().push(text.to_string());
    }
    fn show(&self, display: &Display) {
        self.0.printed.lock().unwrap().push(display.text.clone());
    }
    fn observer(&self) -> Arc<dyn Observer> {
        Arc::new(Silent)
    }
    fn record(&self, name: &str, value: &serde_json::Value) -> Result<()> {
        self.0.records.lock().unwrap().push((name.to_string(), value.clone()));
        Ok(())
    }
    fn picture(&self, _name: &str, _picture: &Picture) -> Result<Option<String>> {
        Ok(None)
    }
}

/// A session on the CPU, and what it says.
pub fn session(params: &[(&str, &str)]) -> (Session, Heard) {
    let heard = Heard::default();
    let given = Given {
        params: params.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        device: "cpu".into(),
        ..Given::default()
    };
    let host = Host::new(Box::new(Listener(heard.clone())), Stop::default(), given);
    (Session::new(host, Path::new("tests/suite")), heard)
}

/// A part of a text that ends with a stated value.
struct Segment {
    /// Lines before it.
    from: usize,
    text: String,
    expected: Option<String>,
}

fn segments(text: &str) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut open = Segment { from: 0, text: String::new(), expected: None };
    for (number, line) in text.lines().enumerate() {
        open.text += line;
        open.text.push('\n');
        if let Some((_, expected)) = line.split_once("// => ") {
            open.expected = Some(expected.trim().to_string());
            segments
                .push(std::mem::replace(&mut open, Segment { from: number + 1, text: String::new(), expected: None }));
        }
    }
    if !open.text.trim().is_empty() {
        segments.push(open);
    }
    segments
}

/// An error that a line states: `// error: message; help: help`.
fn stated_error(text: &str) -> Option<(usize, String, Option<String>)> {
    text.lines().enumerate().find_map(|(number, line)| {
        let (_, stated) = line.split_once("// error: ")?;
        let (message, help) = match stated.split_once("; help: ") {
            Some((message, help)) => (message, Some(help.trim().to_string())),
            None => (stated, None),
        };
        Some((number + 1, message.trim().to_string(), help))
    })
}

/// Evaluates `text` in `session` and compares it with what its comments state. What differs, if anything.
pub fn check(session: &mut Session, text: &str) -> std::result::Result<usize, String> {
    let mut stated = 0;
    for segment in segments(text) {
        let result = session.eval("case", &segment.text);
        let error = stated_error(&segment.text);
        stated += usize::from(error.is_some()) + usize::from(segment.expected.is_some());
        match (result, error) {
            (Ok(value), None) => {
                let given = display::short(&value);
                if let Some(expected) = segment.expected.filter(|expected| *expected != given) {
                    return Err(format!("gave {given}, stated {expected}, in:\n{}", segment.text));
                }
            }
            (Ok(value), Some((line, message, _))) => {
                return Err(format!(
                    "line {}: stated the error `{message}`, gave {}",
                    segment.from + line,
                    display::short(&value)
                ));
            }
            (Err(diagnostic), None) => return Err(format!("failed with\n{diagnostic}")),
            (Err(diagnostic), Some((line, message, help))) => same_error(&diagnostic, line, &message, help.as_deref())?,
        }
    }
    Ok(stated)
}

fn same_error(given: &Diagnostic, line: usize, message: &str, help: Option<&str>) -> std::result::Result<(), String> {
    let at = given.place.as_ref().map(|place| place.line);
    if given.error.message != message || at != Some(line) || (help.is_some() && given.error.help.as_deref() != help) {
        return Err(format!("stated at line {line}: {message}; help: {help:?}\ngave\n{given}"));
    }
    Ok(())
}
