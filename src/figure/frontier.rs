//! One share against another, from all of the one to all of the other: precision against recall.

use plotters::element::PathElement;
use plotters::style::Color;

use super::axis::{Axis, Frame};
use super::backend::px;
use super::canvas::Figure;
use super::curves::Series;
use super::palette::Ink;
use crate::error::{Error, Result};

/// How shares are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Frontier {
    /// Above the figure; empty for none.
    pub title: String,
    /// What runs across.
    pub x_label: String,
    /// What runs up.
    pub y_label: String,
    /// Pixels across.
    pub width: f64,
    /// Pixels down.
    pub height: f64,
}

impl Default for Frontier {
    fn default() -> Self {
        Self { title: String::new(), x_label: String::new(), y_label: String::new(), width: 380.0, height: 360.0 }
    }
}

/// Draws each series of shares as a line in the square from 0 to 1, in the order of its points.
pub fn frontier(series: &[Series], options: &Frontier) -> Result<Figure> {
    let share = |p: &(f64, f64)| [p.0, p.1].iter().all(|x| (0.0..=1.0).contains(x));
    if let Some(point) = series.iter().flat_map(|line| &line.points).find(|point| !share(point)) {
        return Err(Error::new(format!("a point is at ({}, {}); shares lie between 0 and 1", point.0, point.1)));
    }
    if series.iter().all(|line| line.points.is_empty()) {
        return Err(Error::new("there is nothing to draw: no series has a point"));
    }
    let mut figure =
        Figure::new(options.width, options.height, format!("{} against {}", options.y_label, options.x_label));
    let key = series.iter().enumerate().map(|(i, line)| (line.name.clone(), i)).collect();
    let frame = Frame { title: &options.title, x_label: &options.x_label, y_label: &options.y_label, key };
    let side = || Axis::new(0.0, 1.0, false).padded(0.03);
    let mut chart = frame.draw(&mut figure, side(), side())?;
    for (i, line) in series.iter().enumerate() {
        let style = Ink::Series(i).stroke_width(px(1.8) as u32);
        chart.draw_series([PathElement::new(line.points.clone(), style)])?;
    }
    drop(chart);
    Ok(figure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_lines_in_a_square_and_nothing_else_is() {
        let line = |points: &[(f64, f64)]| Series::new("generated", points.to_vec());
        let options = Frontier { x_label: "recall".into(), y_label: "precision".into(), ..Frontier::default() };
        let svg = frontier(&[line(&[(1.0, 0.2), (0.5, 0.9)]), line(&[(1.0, 1.0)])], &options).unwrap().svg();
        assert!(svg.contains(">recall</text>") && svg.contains(">precision</text>"), "{svg}");
        assert!(
            frontier(&[line(&[(1.2, 0.2)])], &options).unwrap_err().message.starts_with("a point is at (1.2, 0.2)")
        );
        assert!(frontier(&[line(&[])], &options).is_err());
    }
}
