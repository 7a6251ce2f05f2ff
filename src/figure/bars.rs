//! Named amounts as horizontal bars, with their intervals.

use plotters::chart::LabelAreaPosition;
use plotters::element::{DashedPathElement, EmptyElement, PathElement, Rectangle, Text as Label};
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, TRANSPARENT};

use super::axis::{Axis, BODY, Room, SMALL, TITLE};
use super::backend::{letters, px};
use super::canvas::{Anchor, Figure, Text};
use super::font;
use super::number::significant;
use super::palette::Ink;
use crate::error::{Error, Result};

/// A named amount.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bar {
    /// What stands at its left.
    pub name: String,
    /// How long it is.
    pub value: f64,
    /// Its interval, `(low, high)`.
    pub interval: Option<(f64, f64)>,
    /// What stands at its right; the value itself when empty.
    pub says: String,
}

/// How bars are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    /// Above the figure; empty for none.
    pub title: String,
    /// What the bars measure; empty for none.
    pub x_label: String,
    /// The right end of the axis; the longest bar when `None`.
    pub highest: Option<f64>,
    /// A dashed line at this value, with its name.
    pub mark: Option<(f64, String)>,
    /// Pixels across. The height follows from the number of bars.
    pub width: f64,
}

impl Default for Bars {
    fn default() -> Self {
        Self { title: String::new(), x_label: String::new(), highest: None, mark: None, width: 640.0 }
    }
}

/// Draws one bar below the other, in the order given.
pub fn bars(bars: &[Bar], options: &Bars) -> Result<Figure> {
    if let Some(bad) = bars.iter().find(|bar| !bar.value.is_finite()) {
        return Err(Error::new(format!("bar `{}` is {}; it must be a finite number", bad.name, bad.value)));
    }
    if bars.is_empty() {
        return Err(Error::new("there is nothing to draw: no bars were given"));
    }
    const ROW: f64 = 24.0;
    let mut top = 6.0;
    if !options.title.is_empty() {
        top += TITLE + 14.0;
    }
    if options.mark.is_some() {
        top += SMALL + 6.0;
    }
    let height = top + ROW * bars.len() as f64 + if options.x_label.is_empty() { 30.0 } else { 44.0 };
    let names: Vec<&str> = bars.iter().map(|bar| bar.name.as_str()).collect();
    let mut figure = Figure::new(options.width, height, format!("{}: {}", options.title, names.join(", ")));
    if !options.title.is_empty() {
        figure.text(Text::new(2.0, 6.0 + TITLE, &options.title, TITLE).bold());
    }
    let says: Vec<String> =
        bars.iter().map(|bar| if bar.says.is_empty() { significant(bar.value, 4) } else { bar.says.clone() }).collect();
    let widest = |texts: &mut dyn Iterator<Item = &str>| texts.map(|t| font::width(t, BODY, false)).fold(0.0, f64::max);
    let name_room = widest(&mut names.iter().copied()).min(options.width * 0.35);
    let left = name_room + 12.0;
    let right = options.width - widest(&mut says.iter().map(String::as_str)).min(options.width * 0.3) - 16.0;
    let ends = bars.iter().flat_map(|bar| {
        let (low, high) =
            bar.interval.filter(|(low, high)| low.is_finite() && high.is_finite()).unwrap_or((bar.value, bar.value));
        [bar.value, low, high]
    });
    let (low, high) =
        ends.chain(options.mark.as_ref().map(|m| m.0)).fold((0.0f64, 0.0f64), |(l, h), v| (l.min(v), h.max(v)));
    let x = Axis::new(low, options.highest.unwrap_or(high).max(low), false)
        .marked(((right - left) / 80.0).round().max(2.0) as usize);
    let y = Axis::rows(bars.iter().map(|bar| font::fit(&bar.name, BODY, false, name_room)));
    let bottom = top + ROW * bars.len() as f64;
    for (i, says) in says.into_iter().enumerate() {
        let baseline = top + ROW * (i as f64 + 0.5) + BODY * 0.36;
        figure.text(Text::new(right + 10.0, baseline, says, BODY).strong());
    }
    if !options.x_label.is_empty() {
        figure.text(Text::new(right, bottom + 32.0, &options.x_label, SMALL).anchor(Anchor::End));
    }
    let room = Room { top, right: options.width - right, bottom: height - bottom, left };
    let mut chart = room.chart(&mut figure, x, y)?;
    // Numbers and names stand two tick lengths away from the chart.
    chart
        .configure_mesh()
        .disable_y_mesh()
        .bold_line_style(Ink::Faint.stroke_width(px(1.0) as u32))
        .axis_style(TRANSPARENT)
        .x_label_style(letters(SMALL, Ink::Soft, HPos::Center, VPos::Top))
        .y_label_style(letters(BODY, Ink::Strong, HPos::Right, VPos::Center))
        .set_tick_mark_size(LabelAreaPosition::Bottom, px(3.5))
        .set_tick_mark_size(LabelAreaPosition::Left, px(4.5))
        .draw()?;
    for (i, bar) in bars.iter().enumerate() {
        let at = |x: f64, pixels: f64| (x, i as f64 + 0.5 + pixels / ROW);
        chart.draw_series([Rectangle::new([at(0.0, -7.0), at(bar.value, 7.0)], Ink::Series(0).mix(0.85).filled())])?;
        if let Some((low, high)) = bar.interval.filter(|(low, high)| low.is_finite() && high.is_finite()) {
            let end = |x: f64, y: f64| [at(x, -y), at(x, y)];
            let style = Ink::Strong.stroke_width(px(1.4) as u32);
            let strokes = [[at(low, 0.0), at(high, 0.0)], end(low, 4.0), end(high, 4.0)];
            chart.draw_series(strokes.map(|stroke| PathElement::new(stroke, style)))?;
        }
    }
    let across = |x: f64| [(x, 0.0), (x, bars.len() as f64)];
    chart.draw_series([PathElement::new(across(0.0), Ink::Soft.stroke_width(px(1.0) as u32))])?;
    if let Some((value, name)) = &options.mark {
        let ink = Ink::Series(1);
        // Its round ends make each dash 1.4 pixels longer.
        let style = ink.stroke_width(px(1.4) as u32);
        chart.draw_series([DashedPathElement::new(across(*value), px(2.6), px(4.4), style)])?;
        let style = letters(SMALL, ink, HPos::Center, VPos::Bottom);
        chart.draw_series([EmptyElement::at((*value, 0.0)) + Label::new(name.clone(), (0, px(-3.8)), style)])?;
    }
    drop(chart);
    Ok(figure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::testing::inked;

    #[test]
    fn a_bar_twice_as_long_has_twice_the_ink() {
        let area = |value: f64| {
            let bar = Bar { name: "a".into(), value, says: "x".into(), ..Bar::default() };
            inked(
                &bars(&[bar], &Bars { highest: Some(1.0), ..Bars::default() }).unwrap().picture(1.0).unwrap(),
                Ink::Series(0),
            )
        };
        // Bars are a little transparent, so that the grid shows through: nothing has the plain colour.
        let (half, whole) = (area(0.5) as f64, area(1.0) as f64);
        assert!((whole / half - 2.0).abs() < 0.1, "{half} {whole}");
    }

    #[test]
    fn a_bar_that_is_not_a_number_is_named() {
        let error =
            bars(&[Bar { name: "fd".into(), value: f64::NAN, ..Bar::default() }], &Bars::default()).unwrap_err();
        assert_eq!(error.message, "bar `fd` is NaN; it must be a finite number");
    }
}
