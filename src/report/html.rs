//! Small pieces of a page: text made safe, numbers and times as people write them.

use base64::Engine as _;
use serde_json::Value;

pub(super) use crate::figure::{count, escape, percent, significant};

/// A number for reading: four digits that count.
pub(super) fn number(value: f64) -> String {
    significant(value, 4)
}

/// Seconds as `41.2 s`, `5 min 44 s`, `1 h 02 min`.
pub(super) fn time(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    match whole {
        0..60 => format!("{} s", significant(seconds.max(0.0), if seconds < 10.0 { 2 } else { 3 })),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

/// JSON as a person would say it.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "–".into(),
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map_or_else(|| number.to_string(), |v| significant(v, 6))
        }
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// A picture inside the page.
pub(super) fn data_uri(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", base64::engine::general_purpose::STANDARD.encode(png))
}

/// A list of names and what belongs to them.
pub(super) fn pairs<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let rows: String = rows
        .into_iter()
        .map(|(name, value)| format!("<dt>{}</dt><dd>{}</dd>\n", escape(&name.replace('_', " ")), escape(&value)))
        .collect();
    if rows.is_empty() { rows } else { format!("<dl>\n{rows}</dl>\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(
            [60.4, 344.0, 3725.0, 41.23, 0.2].map(time),
            ["1 min 00 s", "5 min 44 s", "1 h 02 min", "41.2 s", "0.2 s"]
        );
        assert_eq!(plain(&serde_json::json!([0.1, "a", 3])), "0.1, a, 3");
    }

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(
            pairs([("a", "<script>&\"".to_string())]),
            "<dl>\n<dt>a</dt><dd>&lt;script&gt;&amp;&quot;</dd>\n</dl>\n"
        );
    }
}
