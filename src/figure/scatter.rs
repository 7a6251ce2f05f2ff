//! Points in a plane, coloured by group: features projected to two dimensions, one score against another.

use plotters::element::Circle;
use plotters::style::Color;

use super::axis::{Axis, Frame};
use super::backend::px;
use super::canvas::Figure;
use super::curves::Series;
use super::palette::Ink;
use crate::error::{Error, Result};

/// How points are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Scatter {
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

impl Default for Scatter {
    fn default() -> Self {
        Self { title: String::new(), x_label: String::new(), y_label: String::new(), width: 480.0, height: 420.0 }
    }
}

/// Draws each series as dots of its colour. Points that are not finite are left out.
pub fn scatter(series: &[Series], options: &Scatter) -> Result<Figure> {
    let finite = |p: &&(f64, f64)| p.0.is_finite() && p.1.is_finite();
    let mut points = series.iter().flat_map(|group| group.points.iter().filter(finite)).peekable();
    let Some(first) = points.peek().map(|p| **p) else {
        return Err(Error::new("there is nothing to draw: no series has a finite point"));
    };
    let (mut low, mut high, mut count) = (first, first, 0usize);
    for (x, y) in points {
        (low, high) = ((low.0.min(*x), low.1.min(*y)), (high.0.max(*x), high.1.max(*y)));
        count += 1;
    }
    let mut figure =
        Figure::new(options.width, options.height, format!("{} against {}", options.y_label, options.x_label));
    let key = series.iter().enumerate().map(|(i, group)| (group.name.clone(), i)).collect();
    let frame = Frame { title: &options.title, x_label: &options.x_label, y_label: &options.y_label, key };
    let across = Axis::new(low.0, high.0, false).padded(0.04);
    let mut chart = frame.draw(&mut figure, across, Axis::new(low.1, high.1, false).padded(0.04))?;
    // Many points are small and let one another through.
    let (radius, alpha) = if count > 2000 {
        (1.4, 0.45)
    } else if count > 200 {
        (2.2, 0.6)
    } else {
        (3.4, 0.85)
    };
    for (i, group) in series.iter().enumerate() {
        let style = Ink::Series(i).mix(alpha).filled();
        chart.draw_series(group.points.iter().filter(finite).map(|point| Circle::new(*point, px(radius), style)))?;
    }
    drop(chart);
    Ok(figure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finite_point_is_a_dot() {
        let group = Series::new("a", vec![(0.0, 1.0), (1.0, 2.0), (f64::NAN, 0.0)]);
        let svg = scatter(&[group, Series::new("b", vec![(0.5, 1.5)])], &Scatter::default()).unwrap().svg();
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(scatter(&[Series::new("a", vec![(f64::NAN, 0.0)])], &Scatter::default()).is_err());
    }
}
