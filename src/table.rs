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

/// The choice nearest to `name`, if one is near: in spelling; else one that begins with it; else one with the same words,
/// more or less (`lrr` is near `g_lr`, `rotation_wieght` is near `d_rotation_weight`); else one that contains it.
pub fn closest<'a>(name: &str, choices: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = name.chars().count();
    let near = |choice: &str| {
        let far = distance(name, choice);
        match () {
            // One letter in place of another, alone, is another name.
            () if far <= (letters / 3).max(1) && far < letters => Some((0, far)),
            () if letters > 2 && choice.starts_with(name) => Some((1, far)),
            () if same_words(name, choice) => Some((2, far)),
            () if letters > 3 && choice.contains(name) => Some((3, far)),
            () => None,
        }
    };
    let found = choices.into_iter().filter_map(|choice| Some((near(choice)?, choice)));
    found.min_by_key(|(near, _)| *near).map(|(_, choice)| choice)
}

/// Whether each word of `name` is one of the words of `choice`, or nearly so.
fn same_words(name: &str, choice: &str) -> bool {
    let words = |text| str::split(text, |c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let alike = |given: &str, word: &str| {
        let (a, b) = (given.chars().count(), word.chars().count());
        let (short, long) = if a < b { (given, word) } else { (word, given) };
        // Of short words nothing but a letter too many or too few at the end is a slip: `max` is not `mix`.
        let slip = a.min(b) > 1 && a.abs_diff(b) == 1 && long.starts_with(short);
        let spelt = a > 3 && distance(given, word) <= a / 3;
        a > 1 && (given == word || slip || spelt || (a > 2 && word.starts_with(given)))
    };
    // `d_lr` is near `discriminator_lr`; but a first letter alone says nothing.
    let initial = |given: &str, word: &str| word.chars().count() == 1 && given.starts_with(word);
    let among = |given: &str| words(choice).any(|word| alike(given, word));
    words(name).any(among) && words(name).all(|given| among(given) || words(choice).any(|word| initial(given, word)))
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

    /// The options of a training, as a person may miss them.
    const OPTIONS: [&str; 9] =
        ["steps", "batch", "g_lr", "d_lr", "d_rotation_weight", "penalty_weight", "self_supervision", "z", "z_dim"];

    #[test]
    fn a_word_of_a_name_is_near_it() {
        let near = |name| closest(name, OPTIONS);
        assert_eq!(near("lrr"), Some("g_lr"));
        assert_eq!(near("lr"), Some("g_lr"));
        assert_eq!(near("discriminator_lr"), Some("d_lr"));
        assert_eq!(near("rotation_wieght"), Some("d_rotation_weight"));
        assert_eq!(near("weight"), Some("penalty_weight"));
        assert_eq!(near("supervision"), Some("self_supervision"));
        assert_eq!(near("train_gan"), None);
        assert_eq!(closest("train_gan", ["gan::sample", "gan::train"]), Some("gan::train"));
        // The nearest in spelling comes before one that has the word.
        assert_eq!(closest("step", ["d_step", "steps"]), Some("steps"));
    }

    #[test]
    fn what_is_not_alike_is_not_suggested() {
        for name in ["learning_rate", "epochs", "d", "x_y", "size", "momentum", "max", "rate", "top", "generator"] {
            assert_eq!(closest(name, OPTIONS), None, "{name}");
        }
        assert_eq!(closest("max_rows", ["mix_columns"]), None);
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
