//! Pick from a table by name: losses, methods, architectures, metrics, options.

use crate::error::{Error, Result};

/// A row of a table that scripts choose from by name.
pub trait Row: 'static {
    /// What the rows are called in messages, in the singular: `loss`, `architecture`.
    const KIND: &'static str;
    /// The name a script writes.
    fn name(&self) -> &'static str;
    /// Its manual entry: a summary sentence, then a blank line and the rest.
    fn doc(&self) -> &'static str;
    /// The first sentence of the manual entry.
    fn summary(&self) -> &'static str {
        self.doc().split("\n\n").next().unwrap_or_default()
    }
}

/// The row called `name`; the error lists the choices, the nearest one first.
pub fn find<R: Row>(rows: &'static [R], name: &str) -> Result<&'static R> {
    rows.iter().find(|row| row.name() == name).ok_or_else(|| unknown(R::KIND, name, rows.iter().map(Row::name)))
}

/// The error for a `name` that is none of `choices`.
pub fn unknown<'a>(kind: &str, name: &str, choices: impl IntoIterator<Item = &'a str>) -> Error {
    let choices: Vec<&str> = choices.into_iter().collect();
    let error = Error::new(format!("there is no {kind} `{name}`"));
    match closest(name, choices.iter().copied()) {
        Some(near) => error.help(format!("a similar {kind} exists: `{near}`; {}", listing(&choices))),
        None => error.help(listing(&choices)),
    }
}

fn listing(choices: &[&str]) -> String {
    match choices {
        [] => "there are none to choose from".into(),
        [one] => format!("the only choice is `{one}`"),
        many => {
            format!("the choices are {}", many.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
        }
    }
}

/// The choice nearest to `name` in spelling, if one is near.
pub fn closest<'a>(name: &str, choices: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(1);
    choices
        .into_iter()
        .map(|choice| (distance(name, choice), choice))
        .filter(|(far, choice)| *far <= limit || (name.len() > 2 && choice.starts_with(name)))
        .min_by_key(|(far, _)| *far)
        .map(|(_, choice)| choice)
}

/// Edits from `a` to `b`: insert, delete, replace, swap two neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            rows[i][j] = replace.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                rows[i][j] = rows[i][j].min(rows[i - 2][j - 2] + 1);
            }
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_is_one_edit() {
        assert_eq!(distance("hnige", "hinge"), 1);
        assert_eq!(closest("lrr", ["steps", "lr"]), Some("lr"));
        assert_eq!(closest("steps", ["batch", "seed"]), None);
    }

    #[test]
    fn an_unknown_name_lists_the_choices() {
        let error = unknown("loss", "hnige", ["hinge", "wasserstein"]);
        assert_eq!(error.message, "there is no loss `hnige`");
        assert_eq!(
            error.help.as_deref(),
            Some("a similar loss exists: `hinge`; the choices are `hinge`, `wasserstein`")
        );
    }
}
