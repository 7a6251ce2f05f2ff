//! A run's folder on one self-contained page: no requests, light and dark, fit to print.

mod html;
mod labels;
mod scores;
mod stages;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::Result;
use crate::run::record::{Data, Labels, Scores};
use crate::run::{self, History, Status};
use html::{escape, pairs, percent, plain, time};

/// Reads the run in `dir`, writes `report.html` there and returns its path. It can be called at any time, also while the run
/// goes on.
pub fn write(dir: &Path) -> Result<PathBuf> {
    let history = History::read(dir)?;
    let path = dir.join("report.html");
    run::replace(&path, page(&history).as_bytes())?;
    Ok(path)
}

/// The whole page.
pub fn page(history: &History) -> String {
    let facts = &history.facts;
    // A record of an unknown shape is shown as it is, below; nothing is dropped.
    let scores: Vec<Scores> = shaped(history, "scores");
    let labels: Vec<Labels> = shaped(history, "labels");
    let data: Vec<Data> = shaped(history, "data");
    let title =
        Path::new(&facts.path).file_stem().map_or_else(|| facts.id.clone(), |stem| stem.to_string_lossy().into_owned());

    let mut body = String::new();
    let mut add = |text: &str| body.push_str(text);
    add(&format!(
        "<header>\n<p class=\"over\">Fewlab run {} · {}</p>\n<h1>{}</h1>\n<p class=\"lead\">{}</p>\n{}{}</header>\n<main>\n",
        escape(&facts.id),
        escape(&facts.started),
        escape(&title),
        result(history, &scores, &data),
        chips(history),
        alarm(history)
    ));
    add(&scores::section(&scores));
    add(&stages::samples(history));
    add(&stages::curves(history));
    add(&labels::section(&labels));
    add(&labels::data(&data));
    add(&others(history));
    add(&repeat(history));
    add(&notes(history));
    add(&format!(
        "</main>\n<footer>Fewlab {} · this page holds everything it shows and asks the network for nothing.</footer>\n",
        escape(&facts.versions.get("fewlab").map(plain).unwrap_or_default())
    ));
    framed(&format!("{title} · {}", facts.id), &body)
}

/// A whole page in the style of reports around `body`.
pub(crate) fn framed(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
         <title>{}</title>\n<style>\n{}</style>\n</head>\n<body>\n{body}<script>\n{}</script>\n</body>\n</html>\n",
        escape(title),
        include_str!("report/page.css"),
        include_str!("report/page.js")
    )
}

fn shaped<T: serde::de::DeserializeOwned>(history: &History, name: &str) -> Vec<T> {
    history.records(name).filter_map(|data| serde_json::from_value(data.clone()).ok()).collect()
}

/// One sentence: what came out, from what, in which time, on what.
fn result(history: &History, scores: &[Scores], data: &[Data]) -> String {
    let facts = &history.facts;
    let (class, status) = match facts.status {
        Status::Finished => ("finished", "Finished"),
        Status::Failed => ("failed", "Failed"),
        Status::Interrupted => ("interrupted", "Interrupted"),
        Status::Running if history.live => ("running", "Still running"),
        Status::Running => ("killed", "Killed"),
    };
    let mut text = format!(
        "<span class=\"status {class}\">{status}</span> after {} on {}",
        time(history.seconds),
        escape(&facts.device)
    );
    let share = data.iter().find_map(|data| {
        let split = data.splits.iter().find(|split| !split.labelled.is_empty())?;
        let (labelled, all) = (split.labelled.iter().sum::<u64>(), split.counts.iter().sum::<u64>());
        (all > 0).then(|| labelled as f64 / all as f64)
    });
    // The stage it was in; none when it ended between two.
    let stage = history.stages.iter().rfind(|stage| stage.of > 0 && stage.summary.is_none());
    if let (Status::Running | Status::Failed | Status::Interrupted, Some(stage)) = (facts.status, stage) {
        let _ = write!(text, ", at step {} of {} of <strong>{}</strong>", stage.step, stage.of, escape(stage.name()));
    }
    if let Some(row) = scores.last().and_then(|scores| scores.rows.first()) {
        let _ = write!(text, ": <strong>{} {}</strong>", escape(scores::label(row)), html::number(row.value));
        if let (Some(lo), Some(hi)) = (row.lo, row.hi) {
            let _ = write!(text, " (95% interval {} to {})", html::number(lo), html::number(hi));
        }
        if let Some(share) = share {
            let _ = write!(text, " with {} of the labels", percent(share).replace(".0%", "%"));
        }
        if let Some(floor) = row.floor {
            let _ = write!(text, "; real images score {}", html::number(floor));
        }
    }
    text + "."
}

fn chips(history: &History) -> String {
    let facts = &history.facts;
    let mut chips: Vec<(String, String)> =
        facts.params.iter().map(|(name, value)| (name.clone(), plain(value))).collect();
    if !facts.params.contains_key("seed") {
        chips.push(("seed".into(), facts.seed.to_string()));
    }
    let items: String =
        chips.iter().map(|(name, value)| format!("<li><b>{}</b>{}</li>\n", escape(name), escape(value))).collect();
    format!("<ul class=\"chips\">\n{items}</ul>\n")
}

fn alarm(history: &History) -> String {
    let facts = &history.facts;
    match (facts.status, &facts.message) {
        (Status::Failed, Some(message)) => format!("<div class=\"alarm\">{}</div>\n", escape(message)),
        (Status::Interrupted, _) => format!(
            "<div class=\"alarm mild\">A person stopped the run. To go on: <code>{}</code></div>\n",
            resume(history)
        ),
        (Status::Running, _) if !history.live => {
            format!(
                "<div class=\"alarm\">The run ended without a word: it was killed, or the machine went down. To go on: <code>{}</code></div>\n",
                resume(history)
            )
        }
        _ => String::new(),
    }
}

fn resume(history: &History) -> String {
    let words = ["fewlab", "run", "--resume"].map(String::from).into_iter().chain([history.dir.display().to_string()]);
    escape(&run::command_line(&words.collect::<Vec<_>>()))
}

/// Records that have no section of their own.
fn others(history: &History) -> String {
    let unshaped = |name: &str, data: &Value| match name {
        "scores" => serde_json::from_value::<Scores>(data.clone()).is_err(),
        "labels" => serde_json::from_value::<Labels>(data.clone()).is_err(),
        "data" => serde_json::from_value::<Data>(data.clone()).is_err(),
        _ => true,
    };
    let mut out = String::new();
    for (name, data) in history.records.iter().filter(|(name, data)| unshaped(name, data)) {
        match data {
            Value::Object(map) if map.values().all(|v| !v.is_object() && !v.is_array()) => {
                let _ = write!(
                    out,
                    "<h3>{}</h3>\n{}",
                    escape(name),
                    pairs(map.iter().map(|(k, v)| (k.as_str(), plain(v))))
                );
            }
            Value::Object(_) | Value::Array(_) => {
                let text = serde_json::to_string_pretty(data).unwrap_or_default();
                let _ =
                    writeln!(out, "<details><summary>{}</summary><pre>{}</pre></details>", escape(name), escape(&text));
            }
            single => out.push_str(&pairs([(name.as_str(), plain(single))])),
        }
    }
    if out.is_empty() { out } else { format!("<section>\n<h2>Records</h2>\n{out}</section>\n") }
}

/// What a person needs to do it again.
fn repeat(history: &History) -> String {
    let facts = &history.facts;
    let mut out = String::from("<section>\n<h2>Repeat it</h2>\n");
    if !facts.command.is_empty() {
        let _ = writeln!(
            out,
            "<div class=\"command\"><pre>{}</pre><button type=\"button\">copy</button></div>",
            escape(&facts.command)
        );
    }
    let mut rows: Vec<(&str, String)> = Vec::new();
    rows.push(("script", facts.path.clone()));
    rows.extend(facts.commit.iter().map(|commit| ("commit", commit.clone())));
    rows.push(("seed", facts.seed.to_string()));
    rows.push(("device", facts.device.clone()));
    rows.push(("threads", facts.threads.to_string()));
    rows.push((
        "versions",
        facts
            .versions
            .iter()
            .map(|(name, version)| format!("{name} {}", plain(version)))
            .collect::<Vec<_>>()
            .join(", "),
    ));
    rows.push(("started", facts.started.clone()));
    rows.extend(facts.resumed.iter().map(|at| ("resumed", at.clone())));
    rows.extend(facts.ended.iter().map(|at| ("ended", at.clone())));
    out.push_str(&pairs(rows));
    if !facts.params.is_empty() {
        out.push_str("<h3>Parameters</h3>\n");
        out.push_str(&pairs(facts.params.iter().map(|(name, value)| (name.as_str(), plain(value)))));
    }
    let _ = writeln!(
        out,
        "<details><summary>The script as it ran</summary><pre>{}</pre></details>",
        escape(&history.script)
    );
    out + "</section>\n"
}

fn notes(history: &History) -> String {
    if history.notes.is_empty() {
        return String::new();
    }
    let items: String = history
        .notes
        .iter()
        .map(|(at, text)| format!("<li><time>{}</time><span>{}</span></li>\n", time(*at), escape(text)))
        .collect();
    format!("<section>\n<h2>Notes</h2>\n<ol class=\"notes\">\n{items}</ol>\n</section>\n")
}

#[cfg(test)]
mod tests;
