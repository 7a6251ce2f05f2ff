//! A study on one self-contained page: no requests, light and dark, fit to print.

use std::fmt::Write as _;
use std::path::PathBuf;

use base64::Engine as _;

use super::compare::number;
use super::estimate::time;
use super::record::{Artefact, Reported, Status, Trial};
use super::table::{self, Row, Table, cell};
use super::{Study, child, plan, plot};
use crate::error::Result;
use crate::figure::{self, Figure, escape};
use crate::report;
use crate::run;

/// The name of the page in the study's folder.
pub const PAGE: &str = "study.html";
/// Metrics that get a section of their own; more stand in the record.
const METRICS: usize = 6;

impl Study {
    /// Writes the study as one page into its folder, and gives the path. `metrics` are those it shows, the first foremost; what the
    /// trials reported when it is empty.
    ///
    /// # Errors
    /// There is no such metric, or the page cannot be written.
    pub fn write_page(&self, metrics: &[String], higher: Option<bool>) -> Result<PathBuf> {
        self.collect()?;
        let (trials, values, artefacts) = (self.trials()?, self.values()?, self.artefacts()?);
        let metrics = if metrics.is_empty() { main_metrics(&values) } else { metrics.to_vec() };
        let mut body = header(self, &trials);
        for metric in &metrics {
            body.push_str(&section(self, &trials, &values, metric, higher)?);
        }
        if let Ok(picture) = plot::samples(self.name(), &trials, &artefacts, &[]) {
            let _ = write!(
                body,
                "<h2>Samples</h2>\n<p class=\"fine\">The last picture of each trial: a row a setting, a column a seed.</p>\n\
                 <figure class=\"shown\"><img src=\"data:image/png;base64,{}\" alt=\"samples by setting and seed\"></figure>\n",
                base64::engine::general_purpose::STANDARD.encode(figure::png(&picture)?)
            );
        }
        body.push_str(&all_trials(self, &trials, &artefacts));
        body.push_str(&repeat(self, &trials));
        let path = self.folder().join(PAGE);
        std::fs::create_dir_all(self.folder())
            .map_err(|error| crate::error::file(&self.folder(), "make the folder", error))?;
        run::replace(&path, report::framed(&format!("{} · study", self.name()), &body).as_bytes())?;
        Ok(path)
    }
}

/// Names of scores before those that are only reported by the way.
fn main_metrics(values: &[Reported]) -> Vec<String> {
    let mut names = table::names(values);
    names.sort_by_key(|name| (name != "fd" && name != "fid", table::direction(name).is_none(), name.contains('/')));
    names.truncate(METRICS);
    names
}

fn header(study: &Study, trials: &[Trial]) -> String {
    let count = |status| trials.iter().filter(|trial| trial.status == status).count();
    let said: Vec<String> =
        [Status::Finished, Status::Running, Status::Failed, Status::Stopped, Status::Interrupted, Status::Pending]
            .into_iter()
            .filter(|status| count(*status) > 0)
            .map(|status| format!("{} {}", count(status), status.word()))
            .collect();
    let seconds: f64 = trials.iter().filter_map(|trial| trial.seconds).sum();
    let peak = trials.iter().filter_map(|trial| trial.peak_memory).max();
    let mut hosts: Vec<&str> = trials.iter().filter_map(|trial| trial.host.as_deref()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let mut chips = vec![("script", study.script().to_string()), ("kind", study.kind().to_string())];
    chips.push(("seeds", {
        let mut seeds: Vec<u64> = trials.iter().map(|trial| trial.seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
    }));
    if let Some(peak) = peak {
        chips.push(("most memory of a trial", child::bytes(peak)));
    }
    if !hosts.is_empty() {
        chips.push(("on", hosts.join(", ")));
    }
    let chips: String = chips.iter().map(|(name, value)| format!("<li><b>{name}</b>{}</li>", escape(value))).collect();
    format!(
        "<header>\n<p class=\"over\">Fewlab study · {}</p>\n<h1>{}</h1>\n<p class=\"lead\">{} trials: {}; {} of work.</p>\n\
         <ul class=\"chips\">{chips}</ul>\n</header>\n<main>\n",
        escape(&run::now()),
        escape(study.name()),
        trials.len(),
        said.join(", "),
        time(seconds),
    )
}

fn section(study: &Study, trials: &[Trial], values: &[Reported], metric: &str, higher: Option<bool>) -> Result<String> {
    let higher = higher.or_else(|| table::direction(metric));
    let table = table::tabulate(study.name(), trials, values, &[], metric, higher)?;
    let arrow = match higher {
        Some(true) => " <span class=\"soft\">higher is better</span>",
        Some(false) => " <span class=\"soft\">lower is better</span>",
        None => "",
    };
    let mut html = format!("<h2>{}{arrow}</h2>\n", escape(metric));
    for sentence in table.conclusions(trials, values)? {
        let _ = writeln!(html, "<p>{}</p>", code(&sentence));
    }
    html.push_str(&rows(&table));
    let add = |html: &mut String, figure: Result<Figure>| {
        // A chart that cannot be drawn of these trials, as of too many settings, is left out: the table above says it all.
        if let Ok(figure) = figure {
            let _ = writeln!(html, "<figure class=\"wide\">{}</figure>", figure.svg());
        }
    };
    for (i, parameter) in table.by.iter().enumerate() {
        let others: Vec<String> =
            table.by.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, name)| name.clone()).collect();
        add(&mut html, plot::against(study.name(), trials, values, parameter, metric, &others));
    }
    let by_step = values.iter().any(|value| value.name == metric && value.step > 0);
    if by_step {
        add(&mut html, plot::through_time(study.name(), trials, values, metric, &[]));
    }
    add(&mut html, plot::against_time(study.name(), trials, values, metric, &[]));
    Ok(html)
}

/// Text with its names in backticks as code.
fn code(text: &str) -> String {
    text.split('`')
        .enumerate()
        .map(|(i, part)| if i % 2 == 1 { format!("<code>{}</code>", escape(part)) } else { escape(part) })
        .collect()
}

fn rows(table: &Table) -> String {
    let mut html = "<div class=\"wide\"><table class=\"plain\"><thead><tr>".to_string();
    for name in &table.by {
        let _ = write!(html, "<th>{}</th>", escape(name));
    }
    let ends: &[&str] = match table.higher {
        Some(_) => &["best"],
        None => &["least", "greatest"],
    };
    for name in ["n", "median", "mean", "95% interval"].iter().chain(ends) {
        let _ = write!(html, "<th class=\"n\">{name}</th>");
    }
    html.push_str("<th>not in it</th></tr></thead><tbody>\n");
    for row in &table.rows {
        html.push_str("<tr>");
        for value in &row.key {
            let _ = write!(html, "<td>{}</td>", escape(&cell(value)));
        }
        for text in row_cells(row, table.higher) {
            let _ = write!(html, "<td class=\"n\">{text}</td>");
        }
        let _ = writeln!(html, "<td>{}</td></tr>", escape(&row.left_out()));
    }
    html + "</tbody></table></div>\n"
}

fn row_cells(row: &Row, higher: Option<bool>) -> Vec<String> {
    let mut cells = vec![row.values.len().to_string()];
    let Some(summary) = &row.summary else {
        cells.extend(vec!["–".to_string(); if higher.is_some() { 4 } else { 5 }]);
        return cells;
    };
    let interval =
        summary.interval.map_or_else(|| "–".into(), |(low, high)| format!("{} to {}", number(low), number(high)));
    cells.extend([number(summary.median), number(summary.mean), interval]);
    match higher {
        Some(true) => cells.push(number(summary.greatest)),
        Some(false) => cells.push(number(summary.least)),
        None => cells.extend([number(summary.least), number(summary.greatest)]),
    }
    cells
}

fn all_trials(study: &Study, trials: &[Trial], artefacts: &[Artefact]) -> String {
    let mut html = "<h2>Trials</h2>\n<div class=\"wide\"><table class=\"plain\"><thead><tr><th class=\"n\">trial</th>\
                    <th>parameters</th><th class=\"n\">seed</th><th>status</th><th class=\"n\">time</th><th class=\"n\">memory</th>\
                    <th>left</th></tr></thead><tbody>\n"
        .to_string();
    for trial in trials {
        let error = trial.error.as_ref().map_or_else(String::new, |error| {
            let place = trial.place.as_ref().map_or_else(String::new, |place| format!("{place}: "));
            format!("<br><span class=\"fine\">{}</span>", escape(&format!("{place}{error}")))
        });
        let report = artefacts.iter().find(|artefact| artefact.trial == trial.id && artefact.kind == "report");
        let _ = writeln!(
            html,
            "<tr><td class=\"n\">{}</td><td>{}</td><td class=\"n\">{}</td><td><span class=\"status {}\">{}</span>{error}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>",
            trial.number,
            escape(&plan::said(&trial.params)),
            trial.seed,
            trial.status.word(),
            trial.status.word(),
            trial.seconds.map_or_else(String::new, time),
            trial.peak_memory.map_or_else(String::new, child::bytes),
            report.map_or_else(String::new, |report| link(study, report)),
        );
    }
    html + "</tbody></table></div>\n"
}

/// A link that holds wherever the folder of studies is moved to.
fn link(study: &Study, report: &Artefact) -> String {
    let (inside, up) = match report.path.strip_prefix(study.folder()) {
        Ok(inside) => (inside, ""),
        // That of another study, whose trial is the same.
        Err(_) => (report.path.strip_prefix(study.root()).unwrap_or(&report.path), "../"),
    };
    format!("<a href=\"{up}{}\">report</a>", escape(&inside.display().to_string()))
}

fn repeat(study: &Study, trials: &[Trial]) -> String {
    let commands: Vec<String> = trials.iter().map(|trial| escape(&trial.command)).collect();
    format!(
        "<h2>Again</h2>\n<pre>fewlab study resume {}</pre>\n<details><summary>each trial by hand</summary>\n<pre>{}</pre>\n\
         </details>\n</main>\n<footer>This page holds everything it shows and asks the network for nothing. Intervals are Student's \
         t over trials; what is reported by step counts with its last value.</footer>\n",
        escape(study.name()),
        commands.join("\n")
    )
}
