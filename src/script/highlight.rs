//! What the parts of a text are, for colours.

use std::ops::Range;

use crate::script::calls::{self, Part};

/// What a part of a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// `let`, `fn`, `for`.
    Keyword,
    /// Something called.
    Function,
    /// A string.
    Text,
    /// A number.
    Number,
    /// A comment.
    Comment,
    /// Anything else.
    Plain,
}

/// The parts of `text` in order, without gaps.
pub fn classes(text: &str) -> Vec<(Range<usize>, Class)> {
    let parts = calls::parts(text);
    let mut classes: Vec<(Range<usize>, Class)> = Vec::new();
    let mut end = 0;
    for (i, (range, part)) in parts.iter().enumerate() {
        if range.start > end {
            classes.push((end..range.start, Class::Plain));
        }
        let class = match part {
            Part::Comment => Class::Comment,
            Part::Text => Class::Text,
            Part::Number => Class::Number,
            Part::Word if calls::is_keyword(&text[range.clone()]) => Class::Keyword,
            Part::Word => match parts.get(i + 1) {
                Some((next, Part::Mark)) if text[next.clone()].starts_with('(') => Class::Function,
                _ => Class::Plain,
            },
            Part::Mark => Class::Plain,
        };
        classes.push((range.clone(), class));
        end = range.end;
    }
    if end < text.len() {
        classes.push((end..text.len(), Class::Plain));
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_their_class_and_leave_no_gap() {
        let text = "let a = relu(2.5) + \"x\"; // done";
        let classes = classes(text);
        let of = |class: Class| {
            classes.iter().filter(|(_, c)| *c == class).map(|(range, _)| &text[range.clone()]).collect::<Vec<_>>()
        };
        assert_eq!(of(Class::Keyword), ["let"]);
        assert_eq!(of(Class::Function), ["relu"]);
        assert_eq!(of(Class::Text), ["\"x\""]);
        assert_eq!(of(Class::Number), ["2.5"]);
        assert_eq!(of(Class::Comment), ["// done"]);
        let whole: String = classes.iter().map(|(range, _)| &text[range.clone()]).collect();
        assert_eq!(whole, text);
    }
}
