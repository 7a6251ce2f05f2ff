//! What an evaluation found: numbers that carry what they depend on.

use std::fmt;

use serde::{Deserialize, Serialize};

pub use crate::progress::Better;
use crate::progress::Picture;

/// How images are rounded unless it is asked otherwise.
pub(super) const EIGHT_BITS: &str = "8 bits";

/// The scores of one set of generated images.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// In the order in which they were asked for.
    pub rows: Vec<Score>,
    /// What some of the scores sum up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curves: Vec<Curve>,
    /// What some of the scores are about; kept as pictures beside the scores.
    #[serde(skip)]
    pub pictures: Vec<Shot>,
}

/// A curve that a score sums up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Its name in records: `prd`.
    pub metric: String,
    /// What a person reads.
    pub label: String,
    /// What runs across.
    pub x_label: String,
    /// What runs up.
    pub y_label: String,
    /// Of the generated images.
    pub points: Vec<[f64; 2]>,
    /// Of real images in their place; empty where there is no floor.
    pub floor: Vec<[f64; 2]>,
}

/// A picture of what a score is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Shot {
    /// Its name in records: `nearest`.
    pub metric: String,
    /// What a person reads.
    pub label: String,
    /// The picture.
    pub picture: Picture,
}

/// One score, with what is needed to compare it with another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Its name in records: `fd`, `precision`, `fd_per_class/Bag`.
    pub metric: String,
    /// What a person reads: `FD (SqueezeNet 1.1, 64 px)`.
    pub label: String,
    /// The score.
    pub value: f64,
    /// The lower end of its 95% interval; none for too few images.
    pub lo: Option<f64>,
    /// The upper end.
    pub hi: Option<f64>,
    /// What real images score in place of the generated ones.
    pub floor: Option<f64>,
    /// Which way is better.
    pub better: Better,
    /// What the number depends on.
    pub protocol: Protocol,
}

/// What a score depends on. Two scores compare if these agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protocol {
    /// The real images: name of the data set and the split.
    pub split: String,
    /// How many real images.
    pub n_real: usize,
    /// How many generated images.
    pub n_fake: usize,
    /// Which real images gave the floor.
    pub floor: String,
    /// The network whose features are compared.
    pub extractor: String,
    /// The first 16 hexadecimal digits of the SHA-256 of its weights and preparation.
    pub extractor_hash: String,
    /// What was done to the images before the network.
    pub resize: String,
    /// How generated images were rounded before anything else.
    pub quantisation: String,
    /// Settings of the metric itself.
    pub settings: String,
    /// How the interval was found.
    pub interval: String,
    /// The seed of all that was drawn.
    pub seed: u64,
}

impl Scores {
    /// The score called `metric` in records; the first, where several extractors gave one.
    pub fn get(&self, metric: &str) -> Option<&Score> {
        self.rows.iter().find(|row| row.metric == metric)
    }

    /// The scores of all images together, each under a name of its own: of several extractors' scores of one metric the first
    /// has the short name, by which a run is told; the others keep what a person reads.
    pub fn named(&self) -> impl Iterator<Item = (String, &Score)> {
        let whole: Vec<&Score> = self.rows.iter().filter(|row| !row.metric.contains('/')).collect();
        let taken = |i: usize, row: &Score| whole[..i].iter().any(|before| before.metric == row.metric);
        let name = |(i, row): (usize, &&Score)| if taken(i, row) { row.label.clone() } else { row.metric.clone() };
        let names: Vec<String> = whole.iter().enumerate().map(name).collect();
        names.into_iter().zip(whole)
    }

    /// What all scores share and what they differ in, a line each.
    fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = Vec::new();
        let mut note = |line: String| {
            if !notes.contains(&line) {
                notes.push(line);
            }
        };
        for row in &self.rows {
            let p = &row.protocol;
            let rounded = if p.quantisation == EIGHT_BITS { "rounded to 8 bits" } else { &p.quantisation };
            note(format!("{} generated against {} real images of {}, {rounded}", p.n_fake, p.n_real, p.split));
            if !p.extractor.is_empty() {
                note(format!("extractor {} ({}): {}", p.extractor, p.extractor_hash, p.resize));
            }
            if row.lo.is_some() {
                note(format!("interval: {}, seed {}", p.interval, p.seed));
            }
            if row.floor.is_some() || !p.extractor.is_empty() {
                note(format!("real: {}", p.floor));
            }
        }
        notes
    }
}

impl fmt::Display for Scores {
    /// A table: label, value, interval, what real images score; below it the protocol.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines =
            vec![["score".to_string(), "value".into(), "95% interval".into(), "real".into(), "better".into()]];
        for row in &self.rows {
            let interval = row.lo.zip(row.hi).map(|(lo, hi)| format!("{} to {}", short(lo), short(hi)));
            let better = match row.better {
                Better::Lower => "lower",
                Better::Higher => "higher",
                Better::Neither => "",
            };
            let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
            lines.push([
                row.label.clone(),
                short(row.value),
                or_dash(interval),
                or_dash(row.floor.map(short)),
                better.into(),
            ]);
        }
        let widths: Vec<usize> =
            (0..5).map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)).collect();
        for [label, value, interval, floor, better] in &lines {
            let [a, b, c, d, _] = widths[..] else { return Err(fmt::Error) };
            let line = format!("{label:a$}  {value:>b$}  {interval:>c$}  {floor:>d$}  {better}");
            writeln!(f, "{}", line.trim_end())?;
        }
        for note in self.notes() {
            writeln!(f, "  {note}")?;
        }
        Ok(())
    }
}

/// Four significant digits, without an exponent where people do not expect one.
pub(super) fn short(x: f64) -> String {
    if x == 0. {
        return "0".into();
    }
    let digits = x.abs().log10().floor() as i32;
    match digits {
        -4..=5 => format!("{x:.*}", (3 - digits).max(0) as usize),
        _ => format!("{x:.3e}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn score() -> Score {
        Score {
            metric: "fd".into(),
            label: "FD (SqueezeNet 1.1, 64 px)".into(),
            value: 812.34,
            lo: Some(790.),
            hi: Some(834.6),
            floor: Some(461.),
            better: Better::Lower,
            protocol: Protocol {
                split: "fashion-mnist-10k/test".into(),
                n_real: 2000,
                n_fake: 2000,
                floor: "2000 of fashion-mnist-10k/train".into(),
                extractor: "SqueezeNet 1.1, 64 px".into(),
                extractor_hash: "775ceadd7427150b".into(),
                resize: "bilinear (Pillow) to 64x64".into(),
                quantisation: EIGHT_BITS.into(),
                settings: "unbiased covariances".into(),
                interval: "20 groups left out".into(),
                seed: 1,
            },
        }
    }

    #[test]
    fn the_table_is_aligned_and_tells_the_protocol() {
        let accuracy = Score {
            label: "Accuracy".into(),
            value: 0.7125,
            lo: None,
            hi: None,
            floor: None,
            better: Better::Higher,
            ..score()
        };
        let text = Scores { rows: vec![score(), accuracy], ..Scores::default() }.to_string();
        let expected = "\
score                        value    95% interval   real  better
FD (SqueezeNet 1.1, 64 px)   812.3  790.0 to 834.6  461.0  lower
Accuracy                    0.7125               -      -  higher
  2000 generated against 2000 real images of fashion-mnist-10k/test, rounded to 8 bits
  extractor SqueezeNet 1.1, 64 px (775ceadd7427150b): bilinear (Pillow) to 64x64
  interval: 20 groups left out, seed 1
  real: 2000 of fashion-mnist-10k/train
";
        assert_eq!(text, expected);
    }

    #[test]
    fn scores_survive_json() {
        let scores = Scores { rows: vec![score()], ..Scores::default() };
        let text = serde_json::to_string(&scores).unwrap();
        assert!(text.contains(r#""better":"lower""#));
        assert_eq!(serde_json::from_str::<Scores>(&text).unwrap(), scores);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([1234.56, 0.012_346, 12.3456, 0.].map(short), ["1235", "0.01235", "12.35", "0"]);
        assert_eq!([1.5e-7, 2.5e9].map(short), ["1.500e-7", "2.500e9"]);
    }
}
