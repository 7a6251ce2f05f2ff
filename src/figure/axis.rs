//! Where numbers fall on a line of pixels, and which of them are written there.

use super::canvas::{Anchor, Figure, Text};
use super::palette::Ink;

/// A range of numbers laid on a range of pixels.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    low: f64,
    high: f64,
    log: bool,
    /// Pixels of `low` and of `high`.
    from: f64,
    to: f64,
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
        Self { low, high, log, from: 0.0, to: 1.0 }
    }

    /// The same axis with its ends moved out by this share of its length.
    pub(crate) fn padded(mut self, share: f64) -> Self {
        let extra = (self.high - self.low) * share;
        self.low -= extra;
        self.high += extra;
        self
    }

    /// The same axis on the pixels `from..to`.
    pub(crate) fn on(mut self, from: f64, to: f64) -> Self {
        (self.from, self.to) = (from, to);
        self
    }

    /// Its first and its last pixel.
    pub(crate) fn pixels(&self) -> (f64, f64) {
        (self.from.min(self.to), self.from.max(self.to))
    }

    /// The pixel of a number.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let value = if self.log { value.max(f64::MIN_POSITIVE).log10() } else { value };
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Round numbers on the axis, about `count` of them, with what to write.
    pub(crate) fn ticks(&self, count: usize) -> Vec<(f64, String)> {
        let values =
            if self.log { log_ticks(self.low, self.high, count) } else { linear_ticks(self.low, self.high, count) };
        let step = values.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(f64::INFINITY, f64::min);
        values.into_iter().map(|value| (value, number(value, if self.log { value } else { step }))).collect()
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

/// A number as it stands on an axis whose marks are `step` apart.
fn number(value: f64, step: f64) -> String {
    let size = value.abs();
    let text = if size != 0.0 && (size >= 1e7 || step < 1e-5) {
        format!("{value:.0e}")
    } else if size >= 1e6 {
        format!("{}M", trimmed(value / 1e6, 2))
    } else if size >= 1e4 {
        format!("{}k", trimmed(value / 1e3, 2))
    } else {
        let places = if step.is_finite() && step > 0.0 {
            (0.0 - (step * 1.001).log10().floor()).clamp(0.0, 6.0) as usize
        } else {
            3
        };
        // A step of 2.5 needs one place more than its size says.
        let exact = (step * 10f64.powi(places as i32)).fract();
        let places = if step.is_finite() && exact > 1e-6 && exact < 1.0 - 1e-6 { places + 1 } else { places };
        format!("{value:.places$}")
    };
    minus(&text)
}

fn trimmed(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

/// A number with about `digits` digits that count, without trailing zeros.
pub(crate) fn significant(value: f64, digits: i32) -> String {
    if !value.is_finite() {
        return if value.is_nan() { "NaN".into() } else { minus(if value > 0.0 { "∞" } else { "-∞" }) };
    }
    if value == 0.0 {
        return "0".into();
    }
    let power = value.abs().log10().floor() as i32;
    if !(-4..7).contains(&power) {
        return minus(&format!("{value:.*e}", (digits - 1).max(0) as usize));
    }
    minus(&trimmed(value, (digits - 1 - power).clamp(0, 8) as usize))
}

/// The minus sign proper, as wide as a plus.
fn minus(text: &str) -> String {
    text.strip_prefix('-').map_or_else(|| text.to_string(), |rest| format!("−{rest}"))
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
    /// Draws the frame and gives the axes their pixels.
    pub(crate) fn draw(&self, figure: &mut Figure, x: Axis, y: Axis) -> (Axis, Axis) {
        let (width, height) = figure.size();
        let mut top = 6.0;
        if !self.title.is_empty() {
            top += TITLE + 2.0;
            figure.text(Text::new(2.0, top, self.title, TITLE).bold());
            top += 8.0;
        }
        if self.key.len() > 1 {
            top = draw_key(figure, &self.key, top, width);
        }
        if !self.y_label.is_empty() {
            top += SMALL + 2.0;
            figure.text(Text::new(2.0, top, self.y_label, SMALL));
            top += 4.0;
        }
        top += 6.0;
        let bottom = height - if self.x_label.is_empty() { 24.0 } else { 40.0 };
        let rows = (((bottom - top) / 48.0).round() as usize).clamp(2, 8);
        let y = y.on(bottom, top);
        let y_ticks = y.ticks(rows);
        let widest = y_ticks.iter().map(|(_, text)| super::font::width(text, SMALL, false)).fold(0.0, f64::max);
        let (left, right) = (widest + 10.0, width - 10.0);
        let x = x.on(left, right);
        for (value, text) in &y_ticks {
            let at = y.at(*value);
            figure.line(vec![(left, at), (right, at)], Ink::Faint, 1.0, 1.0);
            figure.text(Text::new(left - 7.0, at + SMALL * 0.36, text, SMALL).anchor(Anchor::End));
        }
        figure.line(vec![(left, bottom), (right, bottom)], Ink::Soft, 1.0, 1.0);
        let columns = ((right - left) / 90.0).round().max(2.0) as usize;
        for (value, text) in &x.ticks(columns) {
            let at = x.at(*value);
            figure.line(vec![(at, bottom), (at, bottom + 4.0)], Ink::Soft, 1.0, 1.0);
            // The outermost numbers stay inside the figure.
            let half = super::font::width(text, SMALL, false) / 2.0;
            figure.text(Text::new(at.min(width - half - 1.0), bottom + 17.0, text, SMALL).anchor(Anchor::Middle));
        }
        if !self.x_label.is_empty() {
            figure.text(Text::new(right, bottom + 33.0, self.x_label, SMALL).anchor(Anchor::End));
        }
        (x, y)
    }
}

/// The key: a stroke and a name each, in as many rows as they need.
pub(crate) fn draw_key(figure: &mut Figure, key: &[(String, usize)], mut top: f64, width: f64) -> f64 {
    let mut x = 2.0;
    top += BODY;
    for (name, colour) in key {
        let name = super::font::fit(name, BODY, false, width - 40.0);
        let wide = 20.0 + super::font::width(&name, BODY, false);
        if x > 2.0 && x + wide > width {
            x = 2.0;
            top += BODY + 7.0;
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
        Axis::new(low, high, log).ticks(count).into_iter().map(|(_, text)| text).collect()
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
    fn a_flat_range_still_has_a_place_for_its_number() {
        let axis = Axis::new(3.0, 3.0, false).on(0.0, 100.0);
        assert!((axis.at(3.0) - 50.0).abs() < 1e-9);
        assert!(Axis::new(0.0, 0.0, false).on(0.0, 1.0).at(0.0).is_finite());
    }

    #[test]
    fn significant_digits() {
        assert_eq!(significant(0.123_456, 3), "0.123");
        assert_eq!(significant(61.23, 3), "61.2");
        assert_eq!(significant(1234.6, 3), "1235");
        assert_eq!(significant(-0.5, 3), "−0.5");
        assert_eq!(significant(1e-7, 3), "1.00e-7");
        assert_eq!(significant(f64::NAN, 3), "NaN");
    }
}
