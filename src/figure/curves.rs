//! Named series over steps: losses, scores over time.

use std::ops::Range;

use plotters::coord::ranged1d::Ranged;
use plotters::element::{Circle, PathElement, Polygon, Text};
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, RGBAColor};

use super::axis::{Axis, Chart, Frame, SMALL};
use super::backend::{letters, px};
use super::canvas::Figure;
use super::palette::Ink;
use crate::error::{Error, Result};

/// A named line.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// What the key says.
    pub name: String,
    /// `(x, y)`, x rising. A `y` that is not finite breaks the line.
    pub points: Vec<(f64, f64)>,
    /// The interval around each point, `(low, high)`: as many as points, or none.
    pub band: Vec<(f64, f64)>,
}

impl Series {
    /// A line with no interval.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, band: Vec::new() }
    }
}

/// How curves are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Curves {
    /// Above the figure; empty for none.
    pub title: String,
    /// What runs across.
    pub x_label: String,
    /// What runs up.
    pub y_label: String,
    /// Powers of ten along the foot; needs values above zero, and leaves out others.
    pub log_x: bool,
    /// Powers of ten up the side; needs values above zero, and leaves out others.
    pub log_y: bool,
    /// The width of the smoothing window as a share of the line, 0 for none. The raw line stays pale behind. Lines of fewer
    /// than 30 points are never smoothed.
    pub smooth: f64,
    /// Upright lines at these x, each with a word at its head: what happened there.
    pub marks: Vec<(f64, String)>,
    /// Pixels across.
    pub width: f64,
    /// Pixels down.
    pub height: f64,
}

impl Default for Curves {
    fn default() -> Self {
        Self {
            title: String::new(),
            x_label: "step".into(),
            y_label: String::new(),
            log_x: false,
            log_y: false,
            smooth: 0.02,
            marks: Vec::new(),
            width: 640.0,
            height: 320.0,
        }
    }
}

/// Draws the series in one frame, each in its colour, with a key when there are several.
///
/// The frame holds the smoothed lines whole and 98% of the raw values, so that one early spike does not flatten the rest; a
/// raw line that leaves the frame is cut at its edge. Where it has several points in a pixel, what it covers is filled.
pub fn curves(series: &[Series], options: &Curves) -> Result<Figure> {
    for line in series {
        if !line.band.is_empty() && line.band.len() != line.points.len() {
            return Err(Error::new(format!(
                "series `{}` has {} points and {} intervals; there must be one for each point, or none",
                line.name,
                line.points.len(),
                line.band.len()
            )));
        }
    }
    let lines: Vec<Line> = series.iter().map(|line| Line::of(line, options)).collect();
    let across = range(lines.iter().flat_map(|l| l.raw.iter().map(|p| p.0)));
    let Some((left, right)) = across else {
        return Err(Error::new("there is nothing to draw: no series has a finite point").help(if options.log_y {
            "a log axis shows values above zero only"
        } else {
            "each series is a list of (step, value) pairs"
        }));
    };
    let (low, high) = vertical(&lines).unwrap_or((0.0, 1.0));
    let across = Axis::new(left, right, options.log_x);
    let across = if options.x_label == "step" { across.counting() } else { across };
    let (x, y) =
        (across.padded(if options.log_x { 0.02 } else { 0.0 }), Axis::new(low, high, options.log_y).padded(0.04));
    let Range { start: low, end: high } = y.range();
    let mut figure = Figure::new(options.width, options.height, says(series, options));
    let key = series.iter().enumerate().map(|(i, line)| (line.name.clone(), i)).collect();
    let title = if options.title.is_empty() && series.len() == 1 { series[0].name.as_str() } else { &options.title };
    let frame = Frame { title, x_label: &options.x_label, y_label: &options.y_label, key };
    let place =
        |points: &[(f64, f64)]| -> Vec<(f64, f64)> { points.iter().map(|p| (x.level(p.0), y.level(p.1))).collect() };
    let mut chart = frame.draw(&mut figure, x.clone(), y.clone())?;
    mark(&mut chart, &options.marks, &x, low..high)?;
    for (i, line) in lines.iter().enumerate() {
        let ink = Ink::Series(i);
        if let Some((lower, upper)) = &line.band {
            chart.draw_series([between(place(lower), place(upper), ink.mix(0.16))])?;
        }
        let pale = ink.mix(0.22);
        for run in runs(&line.raw).filter(|_| !line.smooth.is_empty()) {
            if run.len() as f64 > 2.0 * options.width {
                let (mut lower, mut upper) = haze(run, options.width);
                (lower, upper) = (place(&lower), place(&upper));
                // Where the line is calm it is still a pixel wide.
                let half = (high - low) / options.height / 2.0;
                lower.iter_mut().for_each(|p| p.1 -= half);
                upper.iter_mut().for_each(|p| p.1 += half);
                chart.draw_series([between(lower, upper, pale)])?;
            } else {
                let style = pale.stroke_width(px(1.0) as u32);
                chart
                    .draw_series(clip(&place(run), low, high).into_iter().map(|part| PathElement::new(part, style)))?;
            }
        }
    }
    for (i, line) in lines.iter().enumerate() {
        let ink = Ink::Series(i);
        let main = if line.smooth.is_empty() { &line.raw } else { &line.smooth };
        for run in runs(main) {
            let points = place(&thin(run, options.width));
            if points.len() < 25 {
                let shown = points.iter().filter(|p| (low..=high).contains(&p.1));
                chart.draw_series(shown.map(|p| Circle::new(*p, px(2.6), ink.filled())))?;
            }
            let style = ink.stroke_width(px(1.8) as u32);
            chart.draw_series(clip(&points, low, high).into_iter().map(|part| PathElement::new(part, style)))?;
        }
    }
    drop(chart);
    Ok(figure)
}

/// Whether a score goes so far down or up that powers of ten show it better: an untrained generator scores many times worse than
/// a trained one.
pub fn falls_far(points: &[(f64, f64)]) -> bool {
    range(points.iter().map(|p| p.1)).is_some_and(|(low, high)| low > 0.0 && high > 20.0 * low)
}

/// Rows of words at the head of a chart, so that those of neighbours do not lie on one another.
const ROWS: usize = 3;

/// An upright line at each mark within the chart, its words beside its head; several at one place share a line.
fn mark(
    chart: &mut Chart<'_>,
    marks: &[(f64, String)],
    x: &Axis,
    Range { start: low, end: high }: Range<f64>,
) -> Result<()> {
    let mut places: Vec<(f64, String)> = Vec::new();
    for (at, text) in marks {
        let level = x.level(*at);
        if !x.range().contains(&level) && level != x.range().end {
            continue;
        }
        match places.iter_mut().find(|(known, _)| *known == level) {
            Some((_, words)) => *words = format!("{words}, {text}"),
            None => places.push((level, text.clone())),
        }
    }
    let (middle, row) = ((x.range().start + x.range().end) / 2.0, (high - low) * 0.07);
    let line = Ink::Soft.mix(0.7).stroke_width(px(1.0) as u32);
    for (i, (level, words)) in places.into_iter().enumerate() {
        chart.draw_series([PathElement::new([(level, low), (level, high)], line)])?;
        // Words lie on the side where there is more room.
        let (side, words) =
            if level > middle { (HPos::Right, format!("{words} ")) } else { (HPos::Left, format!(" {words}")) };
        let at = (level, high - row * (i % ROWS) as f64);
        chart.draw_series([Text::new(words, at, letters(SMALL, Ink::Soft, side, VPos::Top))])?;
    }
    Ok(())
}

fn says(series: &[Series], options: &Curves) -> String {
    let names: Vec<&str> = series.iter().map(|line| line.name.as_str()).collect();
    format!("{} over {}", names.join(", "), options.x_label)
}

type Points = Vec<(f64, f64)>;

/// A series ready to draw. A NaN marks a break.
struct Line {
    raw: Vec<(f64, f64)>,
    smooth: Vec<(f64, f64)>,
    /// The lower and the upper edge of the interval.
    band: Option<(Points, Points)>,
}

impl Line {
    fn of(series: &Series, options: &Curves) -> Self {
        let shown = |y: f64| y.is_finite() && (!options.log_y || y > 0.0);
        let across = |x: f64| x.is_finite() && (!options.log_x || x > 0.0);
        let raw: Vec<(f64, f64)> = series
            .points
            .iter()
            .filter(|p| across(p.0))
            .map(|p| (p.0, if shown(p.1) { p.1 } else { f64::NAN }))
            .collect();
        let raw = if raw.iter().any(|p| p.1.is_finite()) { raw } else { Vec::new() };
        let enough = raw.len() >= 30 && options.smooth > 0.0 && series.band.is_empty();
        let smooth = if enough { smoothed(&raw, options.smooth) } else { Vec::new() };
        let around: Vec<_> =
            series.points.iter().zip(&series.band).filter(|(p, b)| across(p.0) && shown(b.0) && shown(b.1)).collect();
        let band = (!around.is_empty()).then(|| around.iter().map(|(p, b)| ((p.0, b.0), (p.0, b.1))).unzip());
        Self { raw, smooth, band }
    }
}

fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|v| v.is_finite()).fold(None, |range, v| match range {
        None => Some((v, v)),
        Some((low, high)) => Some((low.min(v), high.max(v))),
    })
}

fn vertical(lines: &[Line]) -> Option<(f64, f64)> {
    let mut values = Vec::new();
    for line in lines {
        values.extend(line.smooth.iter().map(|p| p.1));
        values.extend(line.band.iter().flat_map(|(low, high)| low.iter().chain(high).map(|p| p.1)));
        let mut raw: Vec<f64> = line.raw.iter().map(|p| p.1).filter(|y| y.is_finite()).collect();
        if line.smooth.is_empty() {
            values.extend(raw);
        } else {
            raw.sort_by(f64::total_cmp);
            let cut = raw.len() / 100;
            values.extend(raw.get(cut).copied());
            values.extend(raw.len().checked_sub(cut + 1).and_then(|i| raw.get(i)).copied());
        }
    }
    range(values.into_iter())
}

/// The line under a bell-shaped window whose width is `share` of the points. Breaks stay breaks.
fn smoothed(points: &[(f64, f64)], share: f64) -> Vec<(f64, f64)> {
    let points = averaged(points, 2000);
    let sigma = (points.len() as f64 * share).max(1.0);
    let reach = (sigma * 3.0).ceil() as usize;
    let weights: Vec<f64> = (0..=reach).map(|d| (-0.5 * (d as f64 / sigma).powi(2)).exp()).collect();
    (0..points.len())
        .map(|i| {
            let (from, to) = (i.saturating_sub(reach), (i + reach + 1).min(points.len()));
            let (mut sum, mut total) = (0.0, 0.0);
            for (j, (_, y)) in points.iter().enumerate().take(to).skip(from) {
                if y.is_finite() {
                    let weight = weights[i.abs_diff(j)];
                    sum += weight * y;
                    total += weight;
                }
            }
            let y = if points[i].1.is_finite() && total > 0.0 { sum / total } else { f64::NAN };
            (points[i].0, y)
        })
        .collect()
}

/// At most `most` points, each the mean of its neighbours.
fn averaged(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    if points.len() <= most {
        return points.to_vec();
    }
    points
        .chunks(points.len().div_ceil(most))
        .map(|chunk| {
            let mean = |values: &mut dyn Iterator<Item = f64>| {
                let (sum, count) = values.fold((0.0, 0usize), |(sum, count), v| (sum + v, count + 1));
                sum / count as f64
            };
            (mean(&mut chunk.iter().map(|p| p.0)), mean(&mut chunk.iter().map(|p| p.1).filter(|y| y.is_finite())))
        })
        .collect()
}

/// The same line to the eye with no more points than pixels need: the lowest and the highest of each stretch.
fn thin(points: &[(f64, f64)], width: f64) -> Vec<(f64, f64)> {
    let stretches = (width as usize).max(16);
    if points.len() <= stretches * 2 {
        return points.to_vec();
    }
    let mut kept = Vec::with_capacity(stretches * 2);
    for chunk in points.chunks(points.len().div_ceil(stretches)) {
        let low = chunk.iter().enumerate().min_by(|a, b| a.1.1.total_cmp(&b.1.1));
        let high = chunk.iter().enumerate().max_by(|a, b| a.1.1.total_cmp(&b.1.1));
        if let (Some((i, low)), Some((j, high))) = (low, high) {
            kept.extend(if i <= j { [*low, *high] } else { [*high, *low] });
        }
    }
    kept
}

/// The lowest and the highest of each stretch: what a line with many points in a pixel looks like. There are at most
/// `most` stretches, of at least four points, for fewer would make a ragged edge.
fn haze(points: &[(f64, f64)], most: f64) -> (Points, Points) {
    points
        .chunks(((points.len() as f64 / most).ceil() as usize).max(4))
        .filter_map(|chunk| {
            let (low, high) = range(chunk.iter().map(|p| p.1))?;
            let x = (chunk.first()?.0 + chunk.last()?.0) / 2.0;
            Some(((x, low), (x, high)))
        })
        .unzip()
}

fn between(lower: Points, mut upper: Points, colour: RGBAColor) -> Polygon<(f64, f64)> {
    upper.extend(lower.into_iter().rev());
    Polygon::new(upper, colour)
}

/// The unbroken parts.
fn runs(points: &[(f64, f64)]) -> impl Iterator<Item = &[(f64, f64)]> {
    points.split(|p| !p.1.is_finite()).filter(|run| !run.is_empty())
}

/// The parts of a line between two heights, cut where it crosses them.
fn clip(points: &[(f64, f64)], low: f64, high: f64) -> Vec<Vec<(f64, f64)>> {
    let inside = |p: &(f64, f64)| (low..=high).contains(&p.1);
    let mut parts = Vec::new();
    let mut part: Vec<(f64, f64)> = points.first().filter(|p| inside(p)).copied().into_iter().collect();
    for pair in points.windows(2) {
        let (a, b) = (pair[0], pair[1]);
        let at = |height: f64| (a.0 + (b.0 - a.0) * (height - a.1) / (b.1 - a.1), height);
        // The heights the segment crosses, in its direction.
        let mut cuts: Vec<(f64, f64)> =
            [low, high].into_iter().filter(|h| (a.1 - h) * (b.1 - h) < 0.0).map(at).collect();
        if a.1 > b.1 {
            cuts.reverse();
        }
        for cut in cuts {
            part.push(cut);
            if part.len() > 1 {
                parts.push(std::mem::take(&mut part));
            }
        }
        if inside(&b) {
            part.push(b);
        } else if part.len() < 2 {
            part.clear();
        }
    }
    if part.len() > 1 {
        parts.push(part);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::testing::inked;

    fn noisy(n: usize) -> Vec<(f64, f64)> {
        (0..n).map(|i| (i as f64, 2.0 + (i as f64 * 0.7).sin() + if i == 3 { 1e6 } else { 0.0 })).collect()
    }

    #[test]
    fn a_line_is_cut_at_the_frame() {
        let parts = clip(&[(0.0, 5.0), (10.0, -5.0), (20.0, 5.0)], 0.0, 10.0);
        assert_eq!(parts, [vec![(0.0, 5.0), (5.0, 0.0)], vec![(15.0, 0.0), (20.0, 5.0)]]);
        let through = clip(&[(0.0, -10.0), (30.0, 20.0)], 0.0, 10.0);
        assert_eq!(through, [vec![(10.0, 0.0), (20.0, 10.0)]]);
        let back = clip(&[(0.0, 20.0), (30.0, -10.0)], 0.0, 10.0);
        assert_eq!(back, [vec![(10.0, 10.0), (20.0, 0.0)]]);
    }

    #[test]
    fn marks_are_upright_lines_with_their_words() {
        let marks = [(10.0, "d_lr = 1e-4"), (10.0, "g_lr = 1e-4"), (80.0, "collapse"), (500.0, "outside")];
        let marks = marks.map(|(at, text)| (at, text.to_string())).to_vec();
        let line = Series::new("d", (0..=100).map(|i| (f64::from(i), 1.0)).collect());
        let svg = curves(&[line], &Curves { marks, ..Curves::default() }).unwrap().svg();
        assert!(svg.contains("> d_lr = 1e-4, g_lr = 1e-4</text>") && svg.contains(">collapse </text>"), "{svg}");
        assert!(!svg.contains("outside") && svg.contains("text-anchor=\"end\""));
    }

    #[test]
    fn one_spike_does_not_flatten_the_rest() {
        let lines = [Line::of(&Series::new("d", noisy(1000)), &Curves { smooth: 0.001, ..Curves::default() })];
        let raw: Vec<f64> = lines[0].raw.iter().map(|p| p.1).collect();
        assert!(raw.contains(&(2.0 + 2.1f64.sin() + 1e6)));
        let mut calm = noisy(1000);
        calm[3].1 = 2.0;
        let calm = [Line::of(&Series::new("d", calm), &Curves::default())];
        assert!(vertical(&calm).unwrap().1 < 3.1);
    }

    #[test]
    fn smoothing_keeps_a_straight_line_and_a_break() {
        let mut points: Vec<(f64, f64)> = (0..200).map(|i| (f64::from(i), 7.0)).collect();
        points[100].1 = f64::NAN;
        let smooth = smoothed(&points, 0.02);
        assert!(smooth[100].1.is_nan());
        assert!(smooth.iter().enumerate().all(|(i, p)| i == 100 || (p.1 - 7.0).abs() < 1e-12));
        assert_eq!(runs(&smooth).count(), 2);
    }

    #[test]
    fn curves_have_their_size_and_ink() {
        let figure = curves(
            &[Series::new("d", noisy(400)), Series::new("g", vec![(0.0, 1.0), (200.0, 2.0), (399.0, f64::INFINITY)])],
            &Curves { log_y: true, ..Curves::default() },
        )
        .unwrap();
        let picture = figure.picture(2.0).unwrap();
        assert_eq!((picture.width, picture.height), (1280, 640));
        assert!(inked(&picture, Ink::Series(0)) > 200 && inked(&picture, Ink::Series(1)) > 200);
        let svg = figure.svg();
        assert!(svg.contains("class=\"ink-1\"") && svg.contains(">step</text>"));
    }

    #[test]
    fn a_key_leaves_room_for_the_chart() {
        let lines: Vec<Series> = (0..90).map(|i| Series::new(format!("line {i}"), vec![(0.0, f64::from(i))])).collect();
        let svg = curves(&lines, &Curves::default()).unwrap().svg();
        let named = lines.iter().filter(|line| svg.contains(&format!(">{}</text>", line.name))).count();
        assert!(named > 7 && svg.contains(&format!(">and {} more</text>", 90 - named)), "{named}");
    }

    #[test]
    fn a_crowded_line_fills_what_it_covers() {
        // One point stands out of many: its stretch must reach as far.
        let mut points: Vec<(f64, f64)> = (0..1400).map(|i| (f64::from(i), f64::from(i % 2))).collect();
        points[501].1 = 5.0;
        let (lower, upper) = haze(&points, 140.0);
        assert_eq!((lower.len(), lower[50], upper[50]), (140, (504.5, 0.0), (504.5, 5.0)));
        assert_eq!(haze(&points, 1400.0).0.len(), 350);
        let wide = Curves { smooth: 0.1, ..Curves::default() };
        let areas = |n: usize| {
            let svg = curves(&[Series::new("d", points[..n].to_vec())], &wide).unwrap().svg();
            svg.matches("fill-opacity=\"0.22\"").count()
        };
        assert_eq!((areas(1400), areas(1200)), (1, 0));
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        let error =
            curves(&[Series::new("d", vec![(0.0, -1.0)])], &Curves { log_y: true, ..Curves::default() }).unwrap_err();
        assert_eq!(error.help.as_deref(), Some("a log axis shows values above zero only"));
        assert!(curves(&[], &Curves::default()).is_err());
    }
}
