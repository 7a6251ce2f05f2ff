//! Rows of numbers as points in a plane, and their pictures.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::figure::{self, Cloud, Figure, Scatter, percent, significant};

/// Points that stand for rows. Copies share them.
#[derive(Clone)]
pub struct Embedded {
    /// How they were found, in words.
    pub method: &'static str,
    /// Where each lies.
    pub points: Arc<Vec<(f64, f64)>>,
    /// The share of the variance that each principal component holds.
    pub shares: Vec<f64>,
    /// How far the neighbourhoods are from those of the rows, of t-SNE.
    pub divergence: Option<f64>,
}

impl Embedded {
    /// Points out of `[n, k]` numbers, the first two of each row; of one number alone, points on a line.
    pub fn new(method: &'static str, numbers: &[f64], k: usize) -> Self {
        let points = numbers.chunks_exact(k.max(1)).map(|row| (row[0], row.get(1).copied().unwrap_or(0.0))).collect();
        Self { method, points: Arc::new(points), shares: Vec::new(), divergence: None }
    }

    /// What there is to say of how well the plane shows the rows.
    pub fn said(&self) -> String {
        let shares: Vec<String> = self.shares.iter().take(2).map(|share| percent(*share)).collect();
        match (self.divergence, shares.as_slice()) {
            (Some(divergence), _) => format!("divergence {}", significant(divergence, 3)),
            (None, [x, y]) => format!("{x} and {y} of the variance"),
            (None, [x]) => format!("{x} of the variance"),
            (None, _) => String::new(),
        }
    }

    /// The points in the colours of their groups, rings where `rings` says so; of one colour if there are no groups.
    ///
    /// # Errors
    /// There are not as many groups or rings as points; a group has no name though others have.
    pub fn plot(&self, groups: &[u32], names: &[String], rings: &[bool], title: &str) -> Result<Figure> {
        for (what, given) in [("labels", groups.len()), ("rings", rings.len())] {
            if given > 0 && given != self.points.len() {
                return Err(Error::new(format!("there are {} points and {given} {what}", self.points.len())));
            }
        }
        let count = groups.iter().max().map_or(1, |largest| *largest as usize + 1).max(names.len());
        if !names.is_empty() && names.len() < count {
            return Err(Error::new(format!("there are {count} groups and {} names", names.len()))
                .help("a label is the place of its name in the list, from 0"));
        }
        let mut clouds = Vec::new();
        for (colour, ringed) in (0..count).flat_map(|colour| [(colour, false), (colour, true)]) {
            let belongs = |i: &usize| {
                groups.get(*i).copied().unwrap_or(0) as usize == colour
                    && rings.get(*i).copied().unwrap_or(false) == ringed
            };
            let points: Vec<(f64, f64)> = (0..self.points.len()).filter(belongs).map(|i| self.points[i]).collect();
            if !points.is_empty() {
                let named = clouds.iter().any(|cloud: &Cloud| cloud.colour == colour);
                let name = match groups.is_empty() || named {
                    true => String::new(),
                    false => names.get(colour).cloned().unwrap_or_else(|| colour.to_string()),
                };
                clouds.push(Cloud { name, points, colour, rings: ringed });
            }
        }
        let axis = |i: usize| self.shares.get(i).map(|share| format!("component {} ({})", i + 1, percent(*share)));
        let (x_label, y_label) = (axis(0).unwrap_or_default(), axis(1).unwrap_or_default());
        figure::scatter(&clouds, &Scatter { title: title.into(), x_label, y_label, width: 560.0, height: 460.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_has_a_name_once_and_a_colour() {
        let points = Embedded::new("PCA", &[0., 0., 1., 0., 0., 1., 1., 1.], 2);
        let names = ["bag".to_string(), "coat".to_string()];
        let svg = points.plot(&[0, 1, 0, 1], &names, &[false, false, true, true], "both").unwrap().svg();
        assert_eq!(
            (svg.matches(">bag<").count(), svg.matches(">coat<").count(), svg.matches("<circle").count()),
            (1, 1, 2)
        );
        let message = |groups: &[u32], names: &[String]| points.plot(groups, names, &[], "").unwrap_err().message;
        assert_eq!(message(&[0, 1], &[]), "there are 4 points and 2 labels");
        assert_eq!(message(&[0, 1, 2, 0], &names), "there are 3 groups and 2 names");
    }
}
