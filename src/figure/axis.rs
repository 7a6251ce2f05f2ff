//! Where numbers fall on a chart, and which of them are written there.

use std::ops::Range;

use plotters::chart::{ChartBuilder, ChartContext, LabelAreaPosition};
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::drawing::IntoDrawingArea;
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, TRANSPARENT};

use super::backend::{letters, px};
use super::canvas::{Anchor, Figure, Text};
use super::font;
use super::number::number;
use super::palette::Ink;
use crate::error::Result;

/// A side of a chart. Plotters lays it out evenly: on a log axis it counts in powers of ten, which [`Axis::level`] gives.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    low: f64,
    high: f64,
    log: bool,
    /// Whether there is nothing between whole numbers.
    whole: bool,
    /// What is written on it, and at which level.
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// An axis over `low..=high`; a range of no width is widened, a log axis needs both above zero.
    pub(crate) fn new(low: f64, high: f64, log: bool) -> Self {
        let log = log && low > 0.0;
        let (mut low, mut high) = if log { (low.log10(), high.log10()) } else { (low, high) };
        if high - low < 1e-12 * low.abs().max(high.abs()).max(1e-300) {
            let half = if log {
                0.5
            } else if low == 0.0 {
                1.0
            } else {
                low.abs() * 0.1
            };
            (low, high) = (low - half, high + half);
        }
        Self { low, high, log, whole: false, ticks: Vec::new() }
    }

    /// An axis of as many rows as there are names, the first at the top.
    pub(crate) fn rows(names: impl ExactSizeIterator<Item = String>) -> Self {
        let (low, high) = (names.len() as f64, 0.0);
        Self {
            low,
            high,
            log: false,
            whole: true,
            ticks: names.enumerate().map(|(i, name)| (i as f64 + 0.5, name)).collect(),
        }
    }

    /// The same axis with its ends moved out by this share of its length.
    pub(crate) fn padded(mut self, share: f64) -> Self {
        let extra = (self.high - self.low) * share;
        self.low -= extra;
        self.high += extra;
        self
    }

    /// The same axis of things that are counted, such as steps: only whole numbers are written on it.
    pub(crate) fn counting(mut self) -> Self {
        self.whole = true;
        self
    }

    /// The same axis with round numbers written on it, about `count` of them.
    pub(crate) fn marked(mut self, count: usize) -> Self {
        let mut values =
            if self.log { log_ticks(self.low, self.high, count) } else { linear_ticks(self.low, self.high, count) };
        if self.whole && values.iter().any(|value| value.fract() == 0.0) {
            values.retain(|value| value.fract() == 0.0);
        }
        let step = values.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(f64::INFINITY, f64::min);
        let tick = |value: f64| (self.level(value), number(value, if self.log { value } else { step }));
        self.ticks = values.into_iter().map(tick).collect();
        self
    }

    /// Where a number lies between the ends.
    pub(crate) fn level(&self, value: f64) -> f64 {
        if self.log { value.max(f64::MIN_POSITIVE).log10() } else { value }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, level: &f64, (from, to): (i32, i32)) -> i32 {
        let (from, to) = (f64::from(from), f64::from(to));
        (from + (level - self.low) / (self.high - self.low) * (to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Plotters asks for fine lines between the marks, too; a chart here has none.
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.iter().map(|tick| tick.0).collect() }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, level: &f64) -> String {
        self.ticks.iter().find(|tick| tick.0 == *level).map(|tick| tick.1.clone()).unwrap_or_default()
    }
}

fn linear_ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let rough = (high - low) / count.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|m| m * power)
        .find(|step| *step >= rough * 0.75)
        .unwrap_or(power * 10.0);
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (first..=last).map(|i| i as f64 * step).collect()
}

fn log_ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let decades = |marks: &[f64], every: i32| -> Vec<f64> {
        let mut values = Vec::new();
        for power in (low.floor() as i32..=high.ceil() as i32).filter(|p| p.rem_euclid(every) == 0) {
            values.extend(marks.iter().map(|m| m * 10f64.powi(power)));
        }
        values.retain(|v| (low - 1e-9..=high + 1e-9).contains(&v.log10()));
        values
    };
    let span = high - low;
    if span > count as f64 {
        return decades(&[1.0], (span / count as f64).ceil() as i32);
    }
    let marks: &[&[f64]] = &[&[1.0], &[1.0, 3.0], &[1.0, 2.0, 5.0]];
    for marks in marks {
        let ticks = decades(marks, 1);
        if ticks.len() >= count.div_ceil(2).max(3) {
            return ticks;
        }
    }
    // Less than a decade: round numbers as on a plain axis.
    linear_ticks(10f64.powf(low), 10f64.powf(high), count).into_iter().filter(|v| *v > 0.0).collect()
}

/// A chart on a figure.
pub(crate) type Chart<'a> = ChartContext<'a, &'a mut Figure, Cartesian2d<Axis, Axis>>;

/// The room around a chart in pixels.
pub(crate) struct Room {
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
    pub left: f64,
}

impl Room {
    /// A chart with this room on all sides of it.
    pub(crate) fn chart(self, figure: &mut Figure, x: Axis, y: Axis) -> Result<Chart<'_>> {
        let root = figure.into_drawing_area();
        Ok(ChartBuilder::on(&root)
            .margin_top(px(self.top))
            .margin_right(px(self.right))
            .x_label_area_size(px(self.bottom))
            .y_label_area_size(px(self.left))
            .build_cartesian_2d(x, y)?)
    }
}

/// The frame that curves and scatter share: title, key, horizontal grid, numbers, axis names.
pub(crate) struct Frame<'a> {
    pub title: &'a str,
    pub x_label: &'a str,
    pub y_label: &'a str,
    /// Names in the key with the index of their colour; one name alone needs none.
    pub key: Vec<(String, usize)>,
}

pub(crate) const TITLE: f64 = 15.0;
pub(crate) const BODY: f64 = 12.0;
pub(crate) const SMALL: f64 = 11.0;

impl Frame<'_> {
    /// Draws the frame and gives the chart in it.
    pub(crate) fn draw<'a>(&self, figure: &'a mut Figure, x: Axis, y: Axis) -> Result<Chart<'a>> {
        let (width, height) = figure.size();
        let mut top = 6.0;
        if !self.title.is_empty() {
            top += TITLE + 2.0;
            figure.text(Text::new(2.0, top, self.title, TITLE).bold());
            top += 8.0;
        }
        if self.key.len() > 1 {
            top = draw_key(figure, &self.key, top);
        }
        if !self.y_label.is_empty() {
            top += SMALL + 2.0;
            figure.text(Text::new(2.0, top, self.y_label, SMALL));
            top += 4.0;
        }
        top += 6.0;
        let (bottom, right) = (if self.x_label.is_empty() { 24.0 } else { 40.0 }, 10.0);
        if !self.x_label.is_empty() {
            let (x, y) = (width - right, height - bottom + 33.0);
            figure.text(Text::new(x, y, self.x_label, SMALL).anchor(Anchor::End));
        }
        let y = y.marked((((height - bottom - top) / 48.0).round() as usize).clamp(2, 8));
        let left = 10.0 + y.ticks.iter().map(|(_, text)| font::width(text, SMALL, false)).fold(0.0, f64::max);
        let x = x.marked(((width - right - left) / 90.0).round().max(2.0) as usize);
        let mut chart = Room { top, right, bottom, left }.chart(figure, x, y)?;
        // Numbers stand two tick lengths away from the chart.
        chart
            .configure_mesh()
            .disable_x_mesh()
            .disable_x_axis()
            .bold_line_style(Ink::Faint.stroke_width(px(1.0) as u32))
            .axis_style(TRANSPARENT)
            .y_label_style(letters(SMALL, Ink::Soft, HPos::Right, VPos::Center))
            .set_tick_mark_size(LabelAreaPosition::Left, px(3.5))
            .draw()?;
        chart
            .configure_mesh()
            .disable_mesh()
            .disable_y_axis()
            .axis_style(Ink::Soft.stroke_width(px(1.0) as u32))
            .x_label_style(letters(SMALL, Ink::Soft, HPos::Center, VPos::Top))
            .set_tick_mark_size(LabelAreaPosition::Bottom, px(4.0))
            .draw()?;
        Ok(chart)
    }
}

/// The key: a stroke and a name each, in as many rows as they need, though it leaves most of the figure to the chart.
fn draw_key(figure: &mut Figure, key: &[(String, usize)], mut top: f64) -> f64 {
    let (width, height) = figure.size();
    let mut x = 2.0;
    top += BODY;
    for (i, (name, colour)) in key.iter().enumerate() {
        let name = font::fit(name, BODY, false, width - 40.0);
        let wide = 20.0 + font::width(&name, BODY, false);
        if x > 2.0 && x + wide > width {
            x = 2.0;
            top += BODY + 7.0;
            if top > height * 0.4 {
                figure.text(Text::new(x, top, format!("and {} more", key.len() - i), BODY));
                break;
            }
        }
        figure.line(vec![(x + 1.0, top - 4.0), (x + 13.0, top - 4.0)], Ink::Series(*colour), 3.0, 1.0);
        figure.text(Text::new(x + 20.0, top, name, BODY).strong());
        x += wide + 18.0;
    }
    top + 8.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(low: f64, high: f64, log: bool, count: usize) -> Vec<String> {
        Axis::new(low, high, log).marked(count).ticks.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round_and_say_no_more_than_they_must() {
        assert_eq!(written(0.0, 5000.0, false, 5), ["0", "1000", "2000", "3000", "4000", "5000"]);
        assert_eq!(written(0.0, 1.0, false, 4), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(written(-1.2, 1.2, false, 4), ["−1.0", "−0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(written(0.0, 100_000.0, false, 4), ["0", "20k", "40k", "60k", "80k", "100k"]);
        assert_eq!(written(1.0, 1000.0, true, 4), ["1", "10", "100", "1000"]);
        assert_eq!(written(0.001, 0.1, true, 4), ["0.001", "0.01", "0.1"]);
        assert_eq!(written(20.0, 90.0, true, 4), ["20", "40", "60", "80"]);
    }

    #[test]
    fn nothing_is_written_between_steps() {
        let texts = |axis: Axis| axis.marked(8).ticks.into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(texts(Axis::new(42.0, 44.0, false))[1], "42.2");
        assert_eq!(texts(Axis::new(42.0, 44.0, false).counting()), ["42", "43", "44"]);
        assert_eq!(texts(Axis::new(0.0, 24.0, false).counting()), ["0", "5", "10", "15", "20"]);
    }

    #[test]
    fn a_flat_range_still_has_a_place_for_its_number() {
        assert_eq!(Axis::new(3.0, 3.0, false).map(&3.0, (0, 100)), 50);
        assert_eq!(Axis::new(0.0, 0.0, false).map(&0.0, (100, 0)), 50);
    }
}
