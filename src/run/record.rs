//! The shapes of the records that the report shows in a way of their own. Any other record is shown as it is.
//!
//! | record | shape | shown as |
//! | --- | --- | --- |
//! | `scores` | [`Scores`] | the table at the top of the report |
//! | `labels` | [`Labels`] | coverage, accuracy, bars by class, confusion |
//! | `data` | [`Data`] | counts by class |
//!
//! The structs say what the JSON looks like; whoever writes a record may as well write the JSON. Fields that a reader does not
//! know are kept in `records.jsonl` and left out of the report.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

pub use crate::progress::Better;

/// One evaluation: a row for each score.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// What was scored, when a script scores several: `biggan, all labels`.
    #[serde(default)]
    pub title: String,
    /// The scores; the first is the one the report's first sentence tells.
    pub rows: Vec<Score>,
    /// What some of the scores sum up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curves: Vec<Curve>,
}

/// A share against another, that a score sums up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// What a person reads.
    pub label: String,
    /// What runs across.
    pub x_label: String,
    /// What runs up.
    pub y_label: String,
    /// Of the generated images.
    pub points: Vec<[f64; 2]>,
    /// Of real images in their place.
    #[serde(default)]
    pub floor: Vec<[f64; 2]>,
}

/// One score with what is needed to compare it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Its short name: `fd`. One that ends in `/class` belongs to a class and is shown as a bar.
    pub metric: String,
    /// What a person reads: `FD (SqueezeNet 1.1, 64 px)`.
    #[serde(default)]
    pub label: String,
    /// The score.
    #[serde(with = "loose")]
    pub value: f64,
    /// The lower end of its interval.
    #[serde(default)]
    pub lo: Option<f64>,
    /// The upper end of its interval.
    #[serde(default)]
    pub hi: Option<f64>,
    /// The score of real images against other real images of the same number.
    #[serde(default)]
    pub floor: Option<f64>,
    /// Which way is better.
    #[serde(default)]
    pub better: Better,
    /// What the number depends on, by name: `n_real`, `n_fake`, `split`, `extractor` and so on.
    #[serde(default)]
    pub protocol: Map<String, Value>,
}

/// What a labeller inferred, against labels it never saw.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Labels {
    /// Which labeller, or on which images, when a script has several.
    #[serde(default)]
    pub title: String,
    /// Images it was asked about.
    pub n: u64,
    /// Images that got a label.
    pub covered: u64,
    /// Of these, images whose label was given, not inferred.
    #[serde(default)]
    pub n_known: u64,
    /// The share of the covered ones whose label is right.
    #[serde(default)]
    pub accuracy: Option<f64>,
    /// The share of the inferred labels that are right.
    #[serde(default)]
    pub inferred_accuracy: Option<f64>,
    /// The same by class.
    #[serde(default)]
    pub per_class: Vec<PerClass>,
    /// `confusion[true class][inferred class]` counts images.
    #[serde(default)]
    pub confusion: Vec<Vec<u64>>,
    /// Names of the classes in the order of `confusion`.
    #[serde(default)]
    pub classes: Vec<String>,
}

/// A class of a label report.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PerClass {
    /// The name of the class.
    pub name: String,
    /// Images of the class that got a label.
    pub n: u64,
    /// Those whose label is right.
    pub correct: u64,
}

/// What a run learned from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Data {
    /// The data set, and which part: `fashion-mnist-10k/train`.
    pub name: String,
    /// Names of the classes.
    #[serde(default)]
    pub classes: Vec<String>,
    /// Its parts, when it has several.
    #[serde(default)]
    pub splits: Vec<Split>,
    /// Anything else worth a line, by name: `size`, `licence`, `hash`.
    #[serde(default)]
    pub facts: Map<String, Value>,
}

/// A part of a data set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// `train`.
    pub name: String,
    /// Images of each class.
    pub counts: Vec<u64>,
    /// Of these, images whose label the method may see; empty for none or not asked.
    #[serde(default)]
    pub labelled: Vec<u64>,
}

/// A number as JSON; one that is not finite is text.
pub fn number(value: f64) -> Value {
    if value.is_finite() {
        Value::from(value)
    } else if value.is_nan() {
        "NaN".into()
    } else if value > 0.0 {
        "Infinity".into()
    } else {
        "-Infinity".into()
    }
}

/// A number that [`number`] wrote.
pub fn read_number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::Null => Some(f64::NAN),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

mod loose {
    use super::*;

    pub fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        number(*value).serialize(to)
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<f64, D::Error> {
        let value = Value::deserialize(from)?;
        read_number(&value).ok_or_else(|| serde::de::Error::custom(format!("{value} is no number")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_that_are_not_finite_come_back() {
        for value in [1.5, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(read_number(&number(value)), Some(value));
        }
        assert!(read_number(&number(f64::NAN)).unwrap().is_nan());
        assert_eq!(read_number(&json!("many")), None);
    }

    #[test]
    fn a_score_needs_a_name_and_a_value_only() {
        let score: Score = serde_json::from_value(json!({"metric": "is", "value": "NaN"})).unwrap();
        assert!(score.value.is_nan() && score.better == Better::Lower && score.floor.is_none());
        assert!(serde_json::from_value::<Score>(json!({"metric": "is"})).is_err());
    }
}
