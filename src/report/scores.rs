//! The score table: values with their intervals beside what real images score, and the protocol behind them.

use std::fmt::Write as _;

use super::html::{escape, number, pairs, plain};
use crate::figure::{self, Bar, Bars, Frontier, Series};
use crate::run::record::{Better, Curve, Score, Scores};

/// What a person calls a score.
pub(super) fn label(row: &Score) -> &str {
    if row.label.is_empty() { &row.metric } else { &row.label }
}

pub(super) fn section(all: &[Scores]) -> String {
    let all: Vec<&Scores> = all.iter().filter(|scores| !scores.rows.is_empty()).collect();
    if all.is_empty() {
        return String::new();
    }
    let mut out = String::from("<section>\n<h2>Scores</h2>\n");
    for scores in all {
        if !scores.title.is_empty() {
            let _ = writeln!(out, "<h3>{}</h3>", escape(&scores.title));
        }
        let (by_class, rows): (Vec<&Score>, Vec<&Score>) = scores.rows.iter().partition(|row| row.metric.contains('/'));
        if !rows.is_empty() {
            out.push_str(&table(&rows));
        }
        let _ = writeln!(
            out,
            "<div class=\"pair\">\n<div>{}</div>\n{}{}</div>",
            protocol(&scores.rows),
            classes(&rows, &by_class),
            curves(&scores.curves)
        );
    }
    out + "</section>\n"
}

fn table(rows: &[&Score]) -> String {
    let mut out = String::from(
        "<div class=\"wide\"><table class=\"scores\">\n<thead><tr><th>Score</th><th class=\"n\">Value</th><th class=\"n\">95% interval</th>\
         <th class=\"n\">Real images</th><th>Beside real images</th></tr></thead>\n<tbody>\n",
    );
    for row in rows {
        let (arrow, says) = match row.better {
            Better::Lower => ("↓", "lower is better"),
            Better::Higher => ("↑", "higher is better"),
            Better::Neither => ("", "neither is better: real images are the mark"),
        };
        let interval = match (row.lo, row.hi) {
            (Some(lo), Some(hi)) => format!("{} to {}", number(lo), number(hi)),
            _ => "–".into(),
        };
        let floor = row.floor.map_or_else(|| "–".into(), number);
        let _ = writeln!(
            out,
            "<tr><td>{} <span class=\"soft\" title=\"{says}\">{arrow}</span></td><td class=\"n value\">{}</td><td class=\"n\">{interval}</td>\
             <td class=\"n\">{floor}</td><td>{}</td></tr>",
            escape(label(row)),
            number(row.value),
            strip(row)
        );
    }
    out.push_str(
        "</tbody></table></div>\n<p class=\"fine\">↓ lower is better, ↑ higher is better. Real images: what real images score in place of \
         the generated ones, the best to hope for; the upright stroke in the last column, whose line starts at 0 or below.</p>\n",
    );
    out
}

/// The value, its interval and what real images score, on a line from zero to the largest of them.
fn strip(row: &Score) -> String {
    if !row.value.is_finite() {
        return String::new();
    }
    let interval = row.lo.zip(row.hi).filter(|(lo, hi)| lo.is_finite() && hi.is_finite());
    let floor = row.floor.filter(|floor| floor.is_finite());
    let ends = [Some(row.value), interval.map(|i| i.0), interval.map(|i| i.1), floor];
    let (low, high) = ends.into_iter().flatten().fold((0.0f64, 0.0f64), |(low, high), v| (low.min(v), high.max(v)));
    let span = if high > low { high - low } else { 1.0 };
    let at = |value: f64| 6.0 + (value - low) / span * 148.0;
    let mut out = String::from("<svg class=\"strip-plot\" viewBox=\"0 0 160 24\" aria-hidden=\"true\">");
    let stroke = |x1: f64, y1: f64, x2: f64, y2: f64, class: &str, width: f64| {
        format!(
            "<path class=\"{class}\" d=\"M{x1:.1} {y1}L{x2:.1} {y2}\" stroke=\"currentColor\" stroke-width=\"{width}\" stroke-linecap=\"round\"/>"
        )
    };
    out.push_str(&stroke(6.0, 12.0, 154.0, 12.0, "ink-faint", 2.0));
    if let Some(floor) = floor {
        out.push_str(&stroke(at(floor), 5.0, at(floor), 19.0, "ink-2", 2.5));
    }
    if let Some((lo, hi)) = interval {
        out.push_str(&stroke(at(lo), 12.0, at(hi), 12.0, "ink-0", 4.0));
    }
    let _ = write!(
        out,
        "<circle class=\"ink-0\" cx=\"{:.1}\" cy=\"12\" r=\"4.5\" fill=\"currentColor\"/></svg>",
        at(row.value)
    );
    out
}

/// What all scores depend on alike, and below it what differs between them.
fn protocol(rows: &[Score]) -> String {
    let mut names: Vec<&String> = Vec::new();
    for name in rows.iter().flat_map(|row| row.protocol.keys()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let shown =
        |row: &Score, name: &str| row.protocol.get(name).filter(|v| !v.is_null()).map(plain).unwrap_or_default();
    let (shared, own): (Vec<&String>, Vec<&String>) = names
        .into_iter()
        .partition(|name| rows.windows(2).all(|pair| pair[0].protocol.get(*name) == pair[1].protocol.get(*name)));
    let mut out = String::new();
    if !shared.is_empty() {
        out.push_str("<h3>Protocol</h3>\n");
        out.push_str(&pairs(
            shared.iter().map(|name| (name.as_str(), rows.first().map(|row| shown(row, name)).unwrap_or_default())),
        ));
    }
    let general: Vec<&Score> = rows.iter().filter(|row| !row.metric.contains('/')).collect();
    if !own.is_empty() && !general.is_empty() {
        let head: String = own.iter().map(|name| format!("<th>{}</th>", escape(&name.replace('_', " ")))).collect();
        let _ = writeln!(
            out,
            "<details><summary>Protocol of each score</summary><div class=\"wide\"><table class=\"plain\"><thead><tr><th>Score</th>{head}</tr></thead><tbody>"
        );
        for row in general {
            let cells: String = own.iter().map(|name| format!("<td>{}</td>", escape(&shown(row, name)))).collect();
            let _ = writeln!(out, "<tr><td>{}</td>{cells}</tr>", escape(label(row)));
        }
        out.push_str("</tbody></table></div></details>\n");
    }
    out
}

/// Scores of single classes, `fd_per_class/Bag`, one figure for each score and extractor.
fn classes(general: &[&Score], rows: &[&Score]) -> String {
    let mut groups: Vec<(&str, &Score, Vec<Bar>)> = Vec::new();
    for row in rows.iter().filter(|row| row.value.is_finite()) {
        let (metric, class) = row.metric.split_once('/').unwrap_or((&row.metric, ""));
        let bar = Bar { name: class.to_string(), value: row.value, interval: row.lo.zip(row.hi), says: String::new() };
        match groups.iter_mut().find(|(known, first, _)| *known == metric && extractor(first) == extractor(row)) {
            Some((_, _, bars)) => bars.push(bar),
            None => groups.push((metric, row, vec![bar])),
        }
    }
    let mut out = String::new();
    for (metric, first, bars) in groups {
        // The score over all classes has the name that a person reads.
        let whole = general.iter().find(|row| row.metric == metric && extractor(row) == extractor(first));
        let title = whole.map_or_else(|| metric.replace('_', " "), |row| label(row).to_string());
        let mark = whole.filter(|row| row.value.is_finite()).map(|row| (row.value, "all classes".to_string()));
        if let Ok(figure) = figure::bars(&bars, &Bars { title, mark, width: 460.0, ..Bars::default() }) {
            let _ = writeln!(out, "<figure>{}</figure>", figure.svg());
        }
    }
    out
}

/// Curves that scores sum up, each beside that of real images.
fn curves(curves: &[Curve]) -> String {
    let mut out = String::new();
    for curve in curves {
        let lines = [("generated", &curve.points), ("real images", &curve.floor)];
        let lines: Vec<Series> = lines
            .into_iter()
            .filter(|(_, points)| !points.is_empty())
            .map(|(name, points)| Series::new(name, points.iter().map(|[x, y]| (*x, *y)).collect()))
            .collect();
        let (x_label, y_label) = (curve.x_label.clone(), curve.y_label.clone());
        let options = Frontier { title: curve.label.clone(), x_label, y_label, ..Frontier::default() };
        if let Ok(figure) = figure::frontier(&lines, &options) {
            let _ = writeln!(out, "<figure>{}</figure>", figure.svg());
        }
    }
    out
}

/// The network whose features a score compares; scores of two networks do not share an axis.
fn extractor(row: &Score) -> Option<&serde_json::Value> {
    row.protocol.get("extractor")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn two_extractors_get_two_figures() {
        let rows: Vec<Score> = ["A", "B"]
            .iter()
            .flat_map(|network| {
                ["fd_per_class", "fd_per_class/Bag", "fd_per_class/Coat"].map(|metric| {
                    let label = format!("FD per class ({network})");
                    let score =
                        json!({"metric": metric, "label": label, "value": 2.0, "protocol": {"extractor": network}});
                    serde_json::from_value(score).unwrap()
                })
            })
            .collect();
        let page = section(&[Scores { rows, ..Scores::default() }]);
        assert_eq!(page.matches("<figure>").count(), 2);
        assert!(page.contains(">FD per class (A)</text>") && page.contains(">FD per class (B)</text>"));
        assert_eq!(page.matches(">Bag</text>").count(), 2);
    }
}
