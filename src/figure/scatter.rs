//! Points in a plane, coloured by group: features projected to two dimensions, one score against another.

use plotters::element::Circle;
use plotters::style::Color;

use super::axis::{Axis, Frame};
use super::backend::px;
use super::canvas::Figure;
use super::palette::Ink;
use crate::error::{Error, Result};

/// Points of one kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cloud {
    /// What the key says; nothing if empty.
    pub name: String,
    /// `(x, y)`. One that is not finite is left out.
    pub points: Vec<(f64, f64)>,
    /// Which colour they have: kinds that belong together share one.
    pub colour: usize,
    /// Rings instead of dots.
    pub rings: bool,
}

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

/// Draws each cloud as dots, or as rings, of its colour.
pub fn scatter(clouds: &[Cloud], options: &Scatter) -> Result<Figure> {
    let finite = |p: &&(f64, f64)| p.0.is_finite() && p.1.is_finite();
    let mut points = clouds.iter().flat_map(|group| group.points.iter().filter(finite)).peekable();
    let Some(first) = points.peek().map(|p| **p) else {
        return Err(Error::new("there is nothing to draw: no cloud has a finite point"));
    };
    let (mut low, mut high, mut count) = (first, first, 0usize);
    for (x, y) in points {
        (low, high) = ((low.0.min(*x), low.1.min(*y)), (high.0.max(*x), high.1.max(*y)));
        count += 1;
    }
    let names: Vec<&str> = clouds.iter().map(|cloud| cloud.name.as_str()).filter(|name| !name.is_empty()).collect();
    let says = match options.x_label.is_empty() && options.y_label.is_empty() {
        true => format!("{}: points of {}", options.title, names.join(", ")),
        false => format!("{} against {}", options.y_label, options.x_label),
    };
    let mut figure = Figure::new(options.width, options.height, says);
    let named = clouds.iter().filter(|cloud| !cloud.name.is_empty());
    let key = named.map(|cloud| (cloud.name.clone(), cloud.colour)).collect();
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
    for cloud in clouds {
        let ink = Ink::Series(cloud.colour).mix(alpha);
        let style = if cloud.rings { ink.stroke_width(px(radius * 0.45) as u32) } else { ink.filled() };
        chart.draw_series(cloud.points.iter().filter(finite).map(|point| Circle::new(*point, px(radius), style)))?;
    }
    drop(chart);
    Ok(figure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finite_point_is_a_dot() {
        let cloud = |name: &str, points: Vec<(f64, f64)>| Cloud { name: name.into(), points, ..Cloud::default() };
        let group = cloud("a", vec![(0.0, 1.0), (1.0, 2.0), (f64::NAN, 0.0)]);
        let svg = scatter(&[group, cloud("b", vec![(0.5, 1.5)])], &Scatter::default()).unwrap().svg();
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(scatter(&[cloud("a", vec![(f64::NAN, 0.0)])], &Scatter::default()).is_err());
    }

    #[test]
    fn clouds_of_one_colour_are_told_apart_by_rings() {
        let cloud = |name: &str, rings| Cloud { name: name.into(), points: vec![(0.0, 1.0)], colour: 8, rings };
        let svg = scatter(&[cloud("bag", false), cloud("", true)], &Scatter::default()).unwrap().svg();
        assert_eq!(svg.matches("<circle class=\"ink-8\"").count(), 1);
        // The ring is a line around; the key of one name needs no words.
        assert_eq!(svg.matches("<path class=\"ink-8\"").count(), 1);
        assert!(!svg.contains(">bag<"));
    }
}
