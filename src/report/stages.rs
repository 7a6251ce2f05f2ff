//! What happened through the stages: pictures, losses, scores.

use std::fmt::Write as _;

use super::html::{count, data_uri, escape, number, pairs, time};
use crate::figure::{self, Curves, Series};
use crate::progress::beyond_steps;
use crate::run::History;
use crate::run::history::{Shot, Stage};

/// Pictures of one series at most: a page that a mail will carry.
const MOST: usize = 24;

/// Each series of pictures, with a slider through its steps.
pub(super) fn samples(history: &History) -> String {
    let mut films: Vec<(&str, &str, Vec<&Shot>)> = Vec::new();
    for shot in history.pictures.iter().filter(|shot| begun(history, &shot.stage)) {
        match films.iter_mut().find(|(stage, name, _)| *stage == shot.stage && *name == shot.name) {
            Some((_, _, shots)) => shots.push(shot),
            None => films.push((&shot.stage, &shot.name, vec![shot])),
        }
    }
    let several = films.len() > 1;
    let mut out = String::new();
    for (stage, name, mut shots) in films {
        shots.sort_by_key(|shot| shot.step);
        let kept: Vec<(&Shot, String)> = spread(&shots, MOST)
            .into_iter()
            .filter_map(|shot| Some((shot, data_uri(&std::fs::read(history.dir.join(&shot.file)).ok()?))))
            .collect();
        let Some((last, uri)) = kept.last() else { continue };
        if several {
            let _ = writeln!(out, "<h3>{} of {}</h3>", escape(name), escape(stage));
        }
        let stage = history.stages.iter().find(|known| known.key == stage);
        let says = |shot: &Shot| caption(stage, shot);
        let _ = writeln!(
            out,
            "<div class=\"film\">\n<img src=\"{uri}\" alt=\"{}\" width=\"{}\" height=\"{}\">",
            escape(&says(last)),
            last.width,
            last.height
        );
        if kept.len() > 1 {
            let end = kept.len() - 1;
            let _ = writeln!(
                out,
                "<input type=\"range\" min=\"0\" max=\"{end}\" value=\"{end}\" step=\"1\" aria-label=\"step\">"
            );
        }
        let _ = writeln!(out, "<p class=\"now\">{}</p>", escape(&says(last)));
        if kept.len() > 1 {
            out.push_str("<div class=\"strip\">\n");
            for (shot, uri) in &kept {
                let _ = writeln!(
                    out,
                    "<button type=\"button\" data-says=\"{}\"><img src=\"{uri}\" alt=\"\" loading=\"lazy\"><small>{}</small></button>",
                    escape(&says(shot)),
                    count(shot.step)
                );
            }
            out.push_str("</div>\n");
        }
        if kept.len() < shots.len() {
            let _ = writeln!(
                out,
                "<p class=\"fine\">{} of {} pictures; all are in <code>samples/</code>.</p>",
                kept.len(),
                shots.len()
            );
        }
        out.push_str("</div>\n");
    }
    if !out.is_empty() {
        out = format!("<section>\n<h2>Samples</h2>\n{out}</section>\n");
    }
    out.push_str(&shown(history));
    out
}

/// Whether the stage is one that trained, rather than the script itself.
fn begun(history: &History, key: &str) -> bool {
    history.stages.iter().any(|stage| stage.key == key && stage.of > 0)
}

/// Pictures that the script showed, one below the other: they have no steps to slide through.
fn shown(history: &History) -> String {
    let mut out = String::new();
    for shot in history.pictures.iter().filter(|shot| !begun(history, &shot.stage)) {
        let Ok(png) = std::fs::read(history.dir.join(&shot.file)) else { continue };
        // Charts are drawn with two picture pixels to a page pixel, grids of images with one.
        let scale = if matches!(shot.name.as_str(), "grid" | "nearest") { 1 } else { 2 };
        let _ = writeln!(
            out,
            "<figure class=\"shown\"><img src=\"{}\" alt=\"{}\" width=\"{}\"></figure>",
            data_uri(&png),
            escape(&shot.name),
            shot.width / scale
        );
    }
    if out.is_empty() { out } else { format!("<section>\n<h2>Shown by the script</h2>\n{out}</section>\n") }
}

/// The step, and the scores known by then.
fn caption(stage: Option<&Stage>, shot: &Shot) -> String {
    let mut text = format!("step {}", count(shot.step));
    let Some(stage) = stage else { return text };
    if stage.of > 0 {
        let _ = write!(text, " of {}", count(stage.of));
    }
    for (name, points) in &stage.values {
        if let Some((_, value)) = points.iter().rfind(|(step, _)| *step <= shot.step as f64) {
            let _ = write!(text, " · {name} {}", number(*value));
        }
    }
    text
}

/// At most `most` of them, evenly, the first and the last among them.
fn spread<'a>(shots: &[&'a Shot], most: usize) -> Vec<&'a Shot> {
    if shots.len() <= most {
        return shots.to_vec();
    }
    (0..most).map(|i| shots[i * (shots.len() - 1) / (most - 1)]).collect()
}

/// Losses and scores of each stage.
pub(super) fn curves(history: &History) -> String {
    let mut out = String::new();
    for stage in
        history.stages.iter().filter(|stage| stage.of > 0 || !stage.steps.is_empty() || !stage.values.is_empty())
    {
        if stage.of == 0 && stage.steps.is_empty() {
            out.push_str(&reported(stage));
            continue;
        }
        let _ = writeln!(
            out,
            "<h3 class=\"stage\">{}</h3>\n<p class=\"fine\">{}</p>",
            escape(&spoken(stage.name())),
            escape(&told(stage))
        );
        // Shares and losses do not fit one axis.
        let (shares, losses): (Vec<_>, Vec<_>) = stage.steps.iter().partition(|(name, _)| name.contains("accuracy"));
        for (group, title) in [(losses, "Losses"), (shares, "Accuracy")] {
            let series: Vec<Series> =
                group.iter().map(|(name, points)| Series::new(spoken(name), points.clone())).collect();
            out.push_str(&figure(&series, title, &stage.marks));
        }
        for (name, points) in &stage.values {
            out.push_str(&figure(&[Series::new(spoken(name), points.clone())], &spoken(name), &stage.marks));
        }
    }
    if out.is_empty() { out } else { format!("<section>\n<h2>Training</h2>\n{out}</section>\n") }
}

/// What the script measured by itself: curves where it gave steps, numbers where it did not.
fn reported(stage: &Stage) -> String {
    let mut out = String::from("<h3 class=\"stage\">Reported by the script</h3>\n");
    let last = |points: &[(f64, f64)]| points.last().map(|(_, value)| number(*value)).unwrap_or_default();
    out.push_str(&pairs(stage.values.iter().map(|(name, points)| (name.as_str(), last(points)))));
    for (name, points) in &stage.values {
        out.push_str(&figure(&[Series::new(spoken(name), points.clone())], &spoken(name), &[]));
    }
    out
}

fn told(stage: &Stage) -> String {
    let done =
        if stage.step < stage.of { format!("{} of {}", count(stage.step), count(stage.of)) } else { count(stage.step) };
    let mut text = format!("{done} steps in {}", time(stage.seconds));
    if stage.seconds > 0.0 && stage.step > 1 {
        let _ = write!(text, ", {} a second", figure::significant(stage.step as f64 / stage.seconds, 3));
    }
    // A score taken once is no curve.
    for (name, points) in stage.values.iter().filter(|(_, points)| points.len() == 1) {
        let _ = write!(text, " · {} {}", spoken(name), number(points[0].1));
    }
    if let Some(best) = &stage.best {
        let _ = write!(text, " · best {} {} at step {}", spoken(&best.score), number(best.value), count(best.step));
    }
    for (step, what) in &stage.marks {
        let _ = write!(text, " · after step {}: {what}", count(*step));
    }
    let summary = stage.summary.as_ref().map(|summary| beyond_steps(summary, stage.of));
    if let Some(summary) = summary.filter(|summary| !summary.is_empty()) {
        let _ = write!(text, " · {summary}");
    }
    text
}

fn figure(series: &[Series], title: &str, marks: &[(u64, String)]) -> String {
    // A single point is a number, not a curve.
    let drawn: Vec<Series> = series.iter().filter(|line| line.points.len() > 1).cloned().collect();
    let marks = marks.iter().map(|(step, text)| (*step as f64, text.clone())).collect();
    let log_y = matches!(&drawn[..], [line] if line.points.len() < 500 && figure::falls_far(&line.points));
    let look = Curves { title: title.into(), width: 912.0, height: 280.0, log_y, marks, ..Curves::default() };
    match figure::curves(&drawn, &look) {
        Ok(figure) => format!("<figure class=\"wide\">{}</figure>\n", figure.svg()),
        // Nothing finite to draw is said by the failure above.
        Err(_) => String::new(),
    }
}

fn spoken(name: &str) -> String {
    name.replace('_', " ")
}
