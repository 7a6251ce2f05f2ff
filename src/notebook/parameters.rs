//! Parameters that papermill puts into a notebook.
//!
//! Papermill writes the parameters it was given as a cell of assignments, in the language that the notebook says it is
//! in. It knows none for Rhai; `papermill --language python` writes them as Python literals under the line
//! `# Parameters`, which is what is read here.

use crate::error::{Error, Result};
use crate::options::Value;

/// The parameters of a cell that papermill wrote; nothing for any other cell.
pub fn injected(text: &str) -> Option<Result<Vec<(String, Value)>>> {
    let rest = text.trim_start().strip_prefix("# Parameters")?;
    let rest = rest.strip_prefix('\n').or_else(|| rest.is_empty().then_some(""))?;
    Some(assignments(rest))
}

fn assignments(text: &str) -> Result<Vec<(String, Value)>> {
    let mut reader = Reader { text, at: 0 };
    let mut given = Vec::new();
    loop {
        reader.skip();
        if reader.rest().is_empty() {
            return Ok(given);
        }
        let name = reader.word();
        reader.skip();
        if name.is_empty() || !reader.take("=") {
            return Err(reader.wrong("an assignment, `name = value`"));
        }
        given.push((name, reader.value()?));
    }
}

/// Reads Python's literals.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn wrong(&self, expected: &str) -> Error {
        let line = self.rest().lines().next().unwrap_or_default();
        Error::new(format!("expected {expected} among the parameters, found `{line}`"))
            .help("parameters are numbers, strings, True, False, None, or lists of these")
    }

    /// Goes over blanks, line ends and comments.
    fn skip(&mut self) {
        loop {
            let blank = self.rest().len() - self.rest().trim_start().len();
            self.at += blank;
            if !self.rest().starts_with('#') {
                return;
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    fn take(&mut self, mark: &str) -> bool {
        let there = self.rest().starts_with(mark);
        self.at += if there { mark.len() } else { 0 };
        there
    }

    fn word(&mut self) -> String {
        let end = self.rest().find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(self.rest().len());
        let word = self.rest()[..end].to_string();
        self.at += end;
        word
    }

    fn value(&mut self) -> Result<Value> {
        self.skip();
        if self.take("[") || self.take("(") {
            let mut items = Vec::new();
            loop {
                self.skip();
                if self.take("]") || self.take(")") {
                    return Ok(Value::List(items));
                }
                items.push(self.value()?);
                self.skip();
                if !self.take(",") && !self.rest().starts_with([']', ')']) {
                    return Err(self.wrong("a comma or the end of a list"));
                }
            }
        }
        if self.rest().starts_with(['"', '\'']) {
            return self.string().map(Value::Text);
        }
        let end = self.rest().find(|c: char| c.is_whitespace() || ",])#".contains(c)).unwrap_or(self.rest().len());
        let word = &self.rest()[..end];
        let value = match word {
            "True" => Value::Bool(true),
            "False" => Value::Bool(false),
            "None" => Value::Unit,
            _ => match word.parse::<i64>() {
                Ok(whole) => Value::Int(whole),
                Err(_) => match word.parse::<f64>() {
                    Ok(number) if number.is_finite() => Value::Float(number),
                    _ => return Err(self.wrong("a value")),
                },
            },
        };
        self.at += end;
        Ok(value)
    }

    fn string(&mut self) -> Result<String> {
        let quote = self.rest().chars().next().unwrap_or('"');
        let mut out = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.at += at + 1;
                    return Ok(out);
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => out.push('\n'),
                    Some((_, 't')) => out.push('\t'),
                    Some((_, other)) => out.push(other),
                    None => break,
                },
                c => out.push(c),
            }
        }
        Err(self.wrong("a closed string"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_papermill_writes_is_read() {
        let cell = "# Parameters\nlabels = 0.05\nmethod = \"s3\\\"gan\"\nsteps = -3\nflip = True\nnone = None\nsizes = [\n    1,\n    2,\n]\n";
        let given = injected(cell).unwrap().unwrap();
        let expected = [
            ("labels", Value::Float(0.05)),
            ("method", Value::Text("s3\"gan".into())),
            ("steps", Value::Int(-3)),
            ("flip", Value::Bool(true)),
            ("none", Value::Unit),
            ("sizes", Value::List(vec![Value::Int(1), Value::Int(2)])),
        ];
        assert_eq!(given, expected.map(|(name, value)| (name.to_string(), value)));
        assert_eq!(injected("# Parameters").unwrap().unwrap(), []);
    }

    #[test]
    fn other_cells_are_left_alone_and_odd_values_are_said() {
        assert!(injected("let a = 1; // # Parameters").is_none());
        assert!(injected("# Parametersx").is_none());
        let error = injected("# Parameters\na = {\"x\": 1}").unwrap().unwrap_err();
        assert_eq!(error.message, "expected a value among the parameters, found `{\"x\": 1}`");
    }
}
