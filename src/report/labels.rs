//! What a run learned from, and how good the labels it inferred are.

use std::fmt::Write as _;

use super::html::{count, escape, pairs, percent, plain};
use crate::figure::{self, Bar, Bars, Heatmap};
use crate::run::record::{Data, Labels};

pub(super) fn section(all: &[Labels]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let mut out = String::from("<section>\n<h2>Labels</h2>\n");
    for labels in all {
        if !labels.title.is_empty() {
            let _ = writeln!(out, "<h3>{}</h3>", escape(&labels.title));
        }
        out.push_str(&numbers(labels));
        out.push_str("<div class=\"pair\">\n");
        out.push_str(&by_class(labels));
        out.push_str(&confusion(labels));
        out.push_str("</div>\n");
    }
    out + "</section>\n"
}

fn numbers(labels: &Labels) -> String {
    let mut cells =
        vec![(percent(labels.covered as f64 / labels.n as f64), format!("of {} images have a label", count(labels.n)))];
    if labels.n_known > 0 {
        cells.push((count(labels.n_known), "labels were given".into()));
        cells.push((count(labels.covered.saturating_sub(labels.n_known)), "labels were inferred".into()));
    }
    cells.extend(labels.inferred_accuracy.map(|share| (percent(share), "of the inferred labels are right".into())));
    cells.extend(labels.accuracy.map(|share| (percent(share), "of all labels are right".into())));
    let cells: String =
        cells.iter().map(|(number, says)| format!("<div><b>{number}</b>{}</div>\n", escape(says))).collect();
    format!("<div class=\"numbers\">\n{cells}</div>\n")
}

fn by_class(labels: &Labels) -> String {
    let bars: Vec<Bar> = labels
        .per_class
        .iter()
        .map(|class| {
            let share = if class.n > 0 { class.correct as f64 / class.n as f64 } else { 0.0 };
            let says = if class.n > 0 { percent(share) } else { "none".into() };
            Bar { name: class.name.clone(), value: share, interval: None, says }
        })
        .collect();
    let mark = labels.accuracy.map(|accuracy| (accuracy, "all classes".to_string()));
    let options = Bars {
        title: "Right labels, by true class".into(),
        x_label: "share of the labels".into(),
        highest: Some(1.0),
        mark,
        width: 460.0,
    };
    match figure::bars(&bars, &options) {
        Ok(figure) => format!("<figure>{}</figure>\n", figure.svg()),
        Err(_) => String::new(),
    }
}

fn confusion(labels: &Labels) -> String {
    let values: Vec<Vec<f64>> = labels.confusion.iter().map(|row| row.iter().map(|n| *n as f64).collect()).collect();
    let options = Heatmap {
        title: "Which class is taken for which".into(),
        rows: labels.classes.clone(),
        columns: labels.classes.clone(),
        row_label: "true class".into(),
        column_label: "label".into(),
        by_row: true,
    };
    match figure::heatmap(&values, &options) {
        Ok(figure) => format!("<figure>{}</figure>\n", figure.svg()),
        Err(_) => String::new(),
    }
}

/// Counts by class, and how many labels of each the method could see.
pub(super) fn data(all: &[Data]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let mut out = String::from("<section>\n<h2>Data</h2>\n");
    for data in all {
        let _ = writeln!(out, "<h3>{}</h3>", escape(&data.name));
        out.push_str(&pairs(data.facts.iter().map(|(name, value)| (name.as_str(), plain(value)))));
        if !data.splits.is_empty() {
            let _ =
                writeln!(out, "<details><summary>Images and labels of each class</summary>{}</details>", counts(data));
        }
    }
    out + "</section>\n"
}

fn counts(data: &Data) -> String {
    let mut head = String::from("<th>Class</th>");
    for split in &data.splits {
        let _ = write!(head, "<th class=\"n\">{} images</th>", escape(&split.name));
        if !split.labelled.is_empty() {
            let _ = write!(head, "<th class=\"n\">labels seen</th>");
        }
    }
    let line = |name: &str, class: &str, pick: &dyn Fn(&[u64]) -> Option<u64>| {
        let mut cells = format!("<td>{}</td>", escape(name));
        for split in &data.splits {
            for counts in
                [&split.counts, &split.labelled].into_iter().take(if split.labelled.is_empty() { 1 } else { 2 })
            {
                let _ = write!(cells, "<td class=\"n\">{}</td>", pick(counts).map_or_else(|| "–".into(), count));
            }
        }
        format!("<tr{class}>{cells}</tr>\n")
    };
    // Without classes the one number is the total.
    let classes = if data.splits.iter().any(|split| split.counts.len() > 1) { data.classes.as_slice() } else { &[] };
    let mut rows: String =
        classes.iter().enumerate().map(|(i, name)| line(name, "", &|counts| counts.get(i).copied())).collect();
    rows.push_str(&line("all", " class=\"total\"", &|counts| Some(counts.iter().sum())));
    format!("<div class=\"wide\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n")
}
