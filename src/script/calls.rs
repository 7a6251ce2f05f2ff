//! `f(x)` for a function held in a variable, which Rhai itself writes `f.call(x)`.
//!
//! The text is read once for names that are bound as variables and called like functions, and `.call` is put in
//! after each. A name that is also a function keeps its meaning. What was put in is remembered, so that places in
//! messages are those of the text as it was written.

use std::collections::HashSet;
use std::ops::Range;

/// A text ready for Rhai.
pub struct Prepared {
    /// The text to compile.
    pub text: String,
    /// What was put in: line, column in the prepared text before which nothing moved, characters.
    pub inserted: Vec<(usize, usize, usize)>,
}

/// What is put in after a called variable.
const CALL: &str = ".call";

/// Prepares `text`. `variables` are those of earlier cells; `is_function` says whether a name is a function already.
pub fn prepare(
    text: &str,
    variables: impl IntoIterator<Item = String>,
    is_function: impl Fn(&str) -> bool,
) -> Prepared {
    let tokens = scan(text);
    let bound: HashSet<&str> = bound(&tokens);
    let earlier: HashSet<String> = variables.into_iter().collect();
    let defined: HashSet<&str> = functions(&tokens).collect();
    let mut prepared = String::with_capacity(text.len());
    let mut inserted = Vec::new();
    let (mut copied, mut line_of_last, mut shift) = (0, 0, 0);
    for (i, token) in tokens.iter().enumerate() {
        let Kind::Word(name) = token.kind else { continue };
        if let Some(open) = exported(&tokens, i) {
            // `rust::name(a)` is `rust::apply("name", a)`: which functions there are is known only when it runs.
            if token.line != line_of_last {
                (line_of_last, shift) = (token.line, 0);
            }
            let column = token.column + shift;
            let before = "apply(\"";
            let after = if matches!(tokens.get(i + 2).map(|t| t.kind), Some(Kind::Mark(')'))) { "\"" } else { "\", " };
            for part in [&text[copied..token.at], before, name, after] {
                prepared.push_str(part);
            }
            copied = open.end;
            inserted.push((token.line, column - 1, before.len()));
            inserted.push((token.line, column + before.len() + name.chars().count() - 1, after.len() - 1));
            shift += before.len() + after.len() - 1;
            continue;
        }
        let called = matches!(tokens.get(i + 1).map(|t| &t.kind), Some(Kind::Mark('(')));
        let qualified = i > 0 && matches!(tokens[i - 1].kind, Kind::Mark('.' | ':' | '#') | Kind::Word("fn"));
        if !called || qualified || !(bound.contains(name) || earlier.contains(name)) || KEYWORDS.contains(&name) {
            continue;
        }
        if defined.contains(name) || is_function(name) {
            continue;
        }
        let end = token.at + name.len();
        prepared.push_str(&text[copied..end]);
        prepared.push_str(CALL);
        copied = end;
        if token.line != line_of_last {
            (line_of_last, shift) = (token.line, 0);
        }
        inserted.push((token.line, token.column + name.chars().count() - 1 + shift, CALL.len()));
        shift += CALL.len();
    }
    prepared.push_str(&text[copied..]);
    Prepared { text: prepared, inserted }
}

/// The bracket behind the name of an exported Rust function, if the word at `i` is one that is called.
fn exported<'t, 'a>(tokens: &'t [Token<'a>], i: usize) -> Option<&'t Token<'a>> {
    let lead = tokens.get(i.checked_sub(3)?..i)?;
    let is_rust =
        matches!([lead[0].kind, lead[1].kind, lead[2].kind], [Kind::Word("rust"), Kind::Mark(':'), Kind::Mark(':')]);
    let inner = i > 3 && matches!(tokens[i - 4].kind, Kind::Mark(':' | '.'));
    let open = tokens.get(i + 1).filter(|open| open.kind == Kind::Mark('(') && open.at == tokens[i].end)?;
    (is_rust && !inner && tokens[i].kind != Kind::Word("apply")).then_some(open)
}

const KEYWORDS: &[&str] = &[
    "let",
    "const",
    "if",
    "else",
    "switch",
    "while",
    "loop",
    "for",
    "in",
    "do",
    "until",
    "return",
    "break",
    "continue",
    "throw",
    "try",
    "catch",
    "import",
    "export",
    "as",
    "private",
    "this",
    "global",
    "true",
    "false",
    "fn",
    "Fn",
    "call",
    "curry",
    "eval",
    "print",
    "debug",
    "type_of",
    "is_def_var",
    "is_def_fn",
    "is_shared",
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind<'a> {
    Word(&'a str),
    Mark(char),
    Text,
    Number,
}

#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    kind: Kind<'a>,
    /// Byte offsets.
    at: usize,
    end: usize,
    line: usize,
    column: usize,
}

/// The names that the text binds as variables, wherever.
fn bound<'a>(tokens: &[Token<'a>]) -> HashSet<&'a str> {
    let mut names = HashSet::new();
    let mut i = 0;
    while i < tokens.len() {
        match tokens[i].kind {
            Kind::Word("let" | "const" | "for") => {
                let mut j = i + 1;
                while let Some(Kind::Mark('(' | ',')) | Some(Kind::Word(_)) = tokens.get(j).map(|t| t.kind) {
                    if let Kind::Word(name) = tokens[j].kind {
                        if name == "in" {
                            break;
                        }
                        names.insert(name);
                    }
                    j += 1;
                }
                i = j;
                continue;
            }
            Kind::Word("fn") => i = words_until(tokens, i + 2, ')', &mut names),
            Kind::Mark('|') if opens_closure(tokens, i) => i = words_until(tokens, i + 1, '|', &mut names),
            _ => {}
        }
        i += 1;
    }
    names
}

/// Takes the words up to the mark `end`, and gives the place of that mark.
fn words_until<'a>(tokens: &[Token<'a>], from: usize, end: char, names: &mut HashSet<&'a str>) -> usize {
    let mut i = from;
    while i < tokens.len() && tokens[i].kind != Kind::Mark(end) {
        if let Kind::Word(name) = tokens[i].kind {
            names.insert(name);
        }
        i += 1;
    }
    i
}

/// Whether the `|` at `i` begins a closure rather than stands between two values.
fn opens_closure(tokens: &[Token<'_>], i: usize) -> bool {
    match i.checked_sub(1).map(|before| tokens[before].kind) {
        None => true,
        Some(Kind::Mark(mark)) => !matches!(mark, ')' | ']' | '}' | '|'),
        Some(Kind::Word(word)) => KEYWORDS.contains(&word),
        Some(Kind::Text | Kind::Number) => false,
    }
}

/// The names of the functions that the text defines.
fn functions<'t, 'a>(tokens: &'t [Token<'a>]) -> impl Iterator<Item = &'a str> + 't {
    tokens.windows(2).filter_map(|pair| match (pair[0].kind, pair[1].kind) {
        (Kind::Word("fn"), Kind::Word(name)) => Some(name),
        _ => None,
    })
}

/// Words and marks of a text; comments and the insides of strings are left out, those of `${ }` are not.
fn scan(text: &str) -> Vec<Token<'_>> {
    Scanner::read(text).tokens
}

/// Whether the text ends inside a `/* */` comment.
pub fn open_comment(text: &str) -> bool {
    Scanner::read(text).open
}

/// What a part of a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A name or a keyword.
    Word,
    /// A string.
    Text,
    /// A number.
    Number,
    /// An operator, a bracket.
    Mark,
    /// A comment.
    Comment,
}

/// The parts of a text that are not blank, in order; a string with `${ }` in it is one part.
pub fn parts(text: &str) -> Vec<(Range<usize>, Part)> {
    let scanner = Scanner::read(text);
    let mut parts: Vec<(Range<usize>, Part)> = scanner
        .tokens
        .iter()
        .map(|token| {
            let part = match token.kind {
                Kind::Word(_) => Part::Word,
                Kind::Text => Part::Text,
                Kind::Number => Part::Number,
                Kind::Mark(_) => Part::Mark,
            };
            (token.at..token.end, part)
        })
        .chain(scanner.comments.iter().map(|range| (range.clone(), Part::Comment)))
        .collect();
    // A string begins before what is interpolated in it.
    parts.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
    let mut end = 0;
    parts.retain(|(range, _)| {
        let outside = range.start >= end;
        end = end.max(range.end);
        outside
    });
    parts
}

/// Whether a word is one of the language's own.
pub fn is_keyword(word: &str) -> bool {
    KEYWORDS.contains(&word)
}

struct Scanner<'a> {
    text: &'a str,
    /// Whether the end came inside a comment.
    open: bool,
    at: usize,
    line: usize,
    column: usize,
    tokens: Vec<Token<'a>>,
    comments: Vec<Range<usize>>,
}

impl<'a> Scanner<'a> {
    fn read(text: &'a str) -> Self {
        let mut scanner =
            Self { text, at: 0, line: 1, column: 1, tokens: Vec::new(), comments: Vec::new(), open: false };
        scanner.code(false);
        scanner
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn starts(&self, with: &str) -> bool {
        self.text[self.at..].starts_with(with)
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        if c == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(c)
    }

    fn push(&mut self, kind: Kind<'a>, at: usize, line: usize, column: usize) {
        self.tokens.push(Token { kind, at, end: self.at, line, column });
    }

    /// Reads code to the end of the text, or to the `}` that closes an interpolation.
    fn code(&mut self, interpolated: bool) {
        let mut depth = 0usize;
        while let Some(c) = self.peek() {
            let (at, line, column) = (self.at, self.line, self.column);
            if self.starts("//") {
                while self.peek().is_some_and(|c| c != '\n') {
                    self.next();
                }
                self.comments.push(at..self.at);
            } else if self.starts("/*") {
                self.block_comment();
                self.comments.push(at..self.at);
            } else if c == '"' || c == '\'' {
                self.next();
                self.string(c);
                self.push(Kind::Text, at, line, column);
            } else if c == '`' {
                self.next();
                self.template();
                self.push(Kind::Text, at, line, column);
            } else if c.is_alphabetic() || c == '_' {
                while self.peek().is_some_and(|c| c.is_alphanumeric() || c == '_') {
                    self.next();
                }
                self.push(Kind::Word(&self.text[at..self.at]), at, line, column);
            } else if c.is_ascii_digit() {
                self.number();
                self.push(Kind::Number, at, line, column);
            } else {
                self.next();
                match c {
                    '{' => depth += 1,
                    '}' if interpolated && depth == 0 => return,
                    '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if !c.is_whitespace() {
                    self.push(Kind::Mark(c), at, line, column);
                }
            }
        }
    }

    /// Digits, and a point or a signed exponent within them; `1..3` is two numbers.
    fn number(&mut self) {
        while let Some(c) = self.peek() {
            let rest = &self.text[self.at..];
            let digit_follows = rest[c.len_utf8()..].starts_with(|c: char| c.is_ascii_digit());
            let sign = matches!(c, '+' | '-') && self.text[..self.at].ends_with(['e', 'E']) && digit_follows;
            if !(c.is_alphanumeric() || c == '_' || (c == '.' && digit_follows) || sign) {
                return;
            }
            self.next();
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0usize;
        while self.peek().is_some() {
            if self.starts("/*") {
                depth += 1;
                self.next();
            } else if self.starts("*/") {
                depth -= 1;
                self.next();
            }
            self.next();
            if depth == 0 {
                return;
            }
        }
        self.open = true;
    }

    fn string(&mut self, quote: char) {
        while let Some(c) = self.next() {
            match c {
                '\\' => {
                    self.next();
                }
                c if c == quote => return,
                _ => {}
            }
        }
    }

    fn template(&mut self) {
        while self.peek().is_some() {
            if self.starts("${") {
                self.next();
                self.next();
                self.code(true);
            } else if self.next() == Some('`') {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(text: &str) -> String {
        prepare(text, ["k".to_string()], |name| name == "relu").text
    }

    #[test]
    fn variables_are_called_and_functions_are_left_alone() {
        assert_eq!(prepared("let f = |x| x; f(1)"), "let f = |x| x; f.call(1)");
        assert_eq!(
            prepared("fn twice(f, x) { f(f(x)) } twice(k, 2)"),
            "fn twice(f, x) { f.call(f.call(x)) } twice(k, 2)"
        );
        assert_eq!(prepared("let relu = 1; relu(2); k (3)"), "let relu = 1; relu(2); k.call (3)");
        assert_eq!(
            prepared("fn f(x) { x } let f = 2; f(1); a.k(2); n::k(3)"),
            "fn f(x) { x } let f = 2; f(1); a.k(2); n::k(3)"
        );
        assert_eq!(prepared("for k in 0..3 { } let a = 1 | k(2);"), "for k in 0..3 { } let a = 1 | k.call(2);");
    }

    #[test]
    fn exported_functions_are_called_by_name() {
        let text = "let a = rust::f(1) + rust::g() + rust::apply(\"h\"); rust::x; a::rust::f(2)";
        let prepared = prepare(text, [], |_| false);
        assert_eq!(
            prepared.text,
            "let a = rust::apply(\"f\", 1) + rust::apply(\"g\") + rust::apply(\"h\"); rust::x; a::rust::f(2)"
        );
        assert_eq!(prepared.inserted, [(1, 14, 7), (1, 22, 2), (1, 36, 7), (1, 44, 0)]);
    }

    #[test]
    fn strings_and_comments_are_not_code_but_interpolations_are() {
        assert_eq!(
            prepared("\"k(1)\" + 'k' // k(2)\n/* k(3) /* k(4) */ */ `k(5) ${k(`a${k(6)}`)}`"),
            "\"k(1)\" + 'k' // k(2)\n/* k(3) /* k(4) */ */ `k(5) ${k.call(`a${k.call(6)}`)}`"
        );
    }

    #[test]
    fn what_was_put_in_is_remembered_by_line() {
        let prepared = prepare("1;\nk(k(2))", ["k".to_string()], |_| false);
        assert_eq!(prepared.text, "1;\nk.call(k.call(2))");
        assert_eq!(prepared.inserted, [(2, 1, 5), (2, 8, 5)]);
    }
}
