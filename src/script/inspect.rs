//! What a name is: for tooltips, and for `name?`.

use crate::error::Result;
use crate::script::complete::Names;
use crate::script::manual::Entry;
use crate::script::{Host, display};

/// What is known about a name, as text for a terminal and as Markdown.
#[derive(Debug, Clone, PartialEq)]
pub struct About {
    /// For a terminal.
    pub text: String,
    /// For a page.
    pub markdown: String,
}

/// The page about `name`; with `detail` more of it.
///
/// # Errors
/// Nothing is called so; the message names what is near.
pub fn page(host: &Host, names: &Names, name: &str, detail: bool) -> Result<String> {
    match about(host, names, name, detail) {
        Some(about) => Ok(about.text),
        // The manual knows what is near.
        None => host.whole_manual(&*host.engine()?).help(name),
    }
}

/// What is known about `name`: a variable, a function of the script, a member `variable.name`, or a page of the manual.
pub fn about(host: &Host, names: &Names, name: &str, detail: bool) -> Option<About> {
    let engine = host.engine().ok()?;
    let manual = &*host.whole_manual(&engine);
    let plain = |text: String| About { markdown: format!("```text\n{text}\n```"), text };
    let of = |entry: &Entry| About { text: entry.text(), markdown: entry.markdown() };
    if let Some((receiver, member)) = name.rsplit_once('.') {
        let kind = names.kind_of(receiver);
        return match kind {
            Some(kind) => manual.members(kind).find(|entry| entry.name == member).map(|entry| of(&entry.of(kind))),
            None => manual.find(member).map(of),
        };
    }
    if let Some(kind) = names.kind_of(name) {
        let value = match host.global(name) {
            Ok(Some(value)) if detail => display::full(&value).text,
            Ok(Some(value)) => display::short(&value),
            _ => "in use by the cell that runs".to_string(),
        };
        let members = if detail { format!("\n\n{}", manual.members_text(kind)) } else { String::new() };
        return Some(plain(format!("{name}: {kind}\n{value}{members}")));
    }
    if let Some(function) = names.functions.iter().find(|function| function.name == name) {
        let text = format!("{}\n\n{}", function.usage, function.doc);
        return Some(plain(text.trim_end().to_string()));
    }
    if manual.namespaces().contains(name) {
        return manual.help(name).ok().map(plain);
    }
    manual.find(name).map(of)
}

/// The name at byte `cursor` of `text`: the one it stands in or behind, else that of the call whose brackets are open.
pub fn name_at(text: &str, cursor: usize) -> Option<String> {
    let cursor = (cursor.min(text.len())..=text.len()).find(|at| text.is_char_boundary(*at))?;
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '.';
    let start =
        text[..cursor].rfind(|c| !part(c)).map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
    // Behind the cursor the name goes on to its own end, and not into what it is a member of.
    let end = text[cursor..].find(|c: char| !(c.is_alphanumeric() || c == '_')).map_or(text.len(), |at| cursor + at);
    let name = text[start..end].trim_matches([':', '.']);
    if name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
        return Some(name.to_string());
    }
    let mut depth = 0usize;
    let open = text[..cursor].char_indices().rev().find_map(|(at, c)| match c {
        ')' | ']' | '}' => {
            depth += 1;
            None
        }
        '(' | '[' | '{' if depth > 0 => {
            depth -= 1;
            None
        }
        '(' => Some(at),
        _ => None,
    })?;
    let before = text[..open].trim_end();
    if before.len() == cursor { None } else { name_at(before, before.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_one_at_the_cursor_or_the_call_around_it() {
        let at = |text: &str| {
            let cursor = text.find('|').unwrap();
            name_at(&text.replace('|', ""), cursor)
        };
        assert_eq!(at("let a = rel|u(x)").as_deref(), Some("relu"));
        assert_eq!(at("gan::train|(data)").as_deref(), Some("gan::train"));
        assert_eq!(at("gan::train(data, #{ |").as_deref(), Some("gan::train"));
        assert_eq!(at("f(a, [1, 2], |").as_deref(), Some("f"));
        assert_eq!(at("gan.train(|").as_deref(), Some("gan.train"));
        assert_eq!(at("1 + |"), None);
        assert_eq!(at("|"), None);
    }
}
