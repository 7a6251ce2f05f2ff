//! Studies: how they stand, their tables, what two settings differ by.

use crate::script::bind::{Comparison, StudyTable};
use crate::script::display::{self, Display, Show};
use crate::script::page::{Cell, Page, Table};
use crate::study::compare::number;
use crate::study::estimate::time;
use crate::study::record::{Status, Trial};
use crate::study::state::State;
use crate::study::table::{self, Row};
use crate::study::{Study, child, plan};

impl Show for Study {
    const NAME: &'static str = "Study";

    fn short(&self) -> String {
        format!("the study `{}` of {}", self.name(), self.script())
    }

    fn full(&self) -> Display {
        match self.collect().and_then(|()| self.trials()) {
            Ok(trials) => trials_shown(&self.short(), &trials),
            Err(error) => Display::text(format!("{}\n{error}", self.short())),
        }
    }
}

/// Trials that a table shows; more are counted.
const SHOWN: usize = 60;

fn trials_shown(said: &str, trials: &[Trial]) -> Display {
    let count = |status| trials.iter().filter(|trial| trial.status == status).count();
    let statuses =
        [Status::Finished, Status::Running, Status::Failed, Status::Stopped, Status::Interrupted, Status::Pending];
    let counts = statuses.into_iter().filter(|status| count(*status) > 0);
    let counts: Vec<String> = counts.map(|status| format!("{} {}", count(status), status.word())).collect();
    let said = format!("{said}: {} trials, {}", trials.len(), counts.join(", "));
    let header = ["trial", "parameters", "seed", "status", "seconds", "memory", "error"];
    let mut rows = Vec::new();
    let mut table = Table::new(&header);
    for trial in trials.iter().take(SHOWN) {
        let error = trial.error.as_deref().map_or_else(String::new, |error| {
            trial.place.as_ref().map_or_else(|| error.to_string(), |place| format!("{place}: {error}"))
        });
        let status =
            if trial.borrowed { format!("{} before", trial.status.word()) } else { trial.status.word().into() };
        let row = vec![
            trial.number.to_string(),
            plan::said(&trial.params),
            trial.seed.to_string(),
            status,
            trial.seconds.map_or_else(String::new, display::rounded),
            trial.peak_memory.map_or_else(String::new, child::bytes),
            error,
        ];
        table.row(row.iter().enumerate().map(|(i, cell)| match i {
            0 | 2 | 4 | 5 => Cell::Number(cell.clone()),
            6 => Cell::Long(cell.clone()),
            _ => Cell::Text(cell.clone()),
        }));
        rows.push(row);
    }
    let mut text = format!("{said}\n{}", display::table(&header, &rows));
    if trials.len() > SHOWN {
        let more = format!("and {} more", trials.len() - SHOWN);
        text.push_str(&format!("\n{more}"));
        table.more(more);
    }
    let page = Page::new().head("study", &said).table(&table);
    let commands = trials.iter().take(SHOWN).fold(Page::new(), |page, trial| page.line(&trial.command));
    Display::text(text).on(&page.folded("each trial by hand", commands))
}

/// A study while it runs.
pub(in crate::script) fn state(state: &State) -> Display {
    let said = state.line();
    let header = ["trial", "parameters", "stage", "step", "time", "memory", "latest"];
    let mut table = Table::new(&header);
    let mut rows = Vec::new();
    for live in &state.running {
        let step = if live.of > 0 { format!("{} of {}", live.step, live.of) } else { String::new() };
        let latest = live.latest.iter().map(|(name, value)| format!("{name} {}", number(*value)));
        let row = vec![
            live.number.to_string(),
            live.said.clone(),
            live.stage.clone(),
            step,
            time(live.seconds),
            live.peak.map_or_else(String::new, child::bytes),
            latest.collect::<Vec<_>>().join(", "),
        ];
        table.row(row.iter().cloned().map(Cell::Text));
        rows.push(row);
    }
    let share = state.finished as f64 / state.total.max(1) as f64;
    let mut bar = Table::new(&["", ""]);
    bar.row([Cell::Bar(share), Cell::Text(said.clone())]);
    let page = Page::new().head("study", &state.study).table(&bar);
    let page = if rows.is_empty() { page } else { page.table(&table) };
    let mut text = said;
    if !rows.is_empty() {
        text.push_str(&format!("\n{}", display::table(&header, &rows)));
    }
    Display::text(text).on(&page)
}

/// A study's trials as text.
pub fn study_text(study: &Study) -> String {
    study.full().text
}

/// A study while it runs, as text.
pub fn study_state_text(now: &State) -> String {
    state(now).text
}

/// A study's table as text.
pub fn study_table_text(table: &table::Table, conclusions: &[String]) -> String {
    StudyTable { table: table.clone(), conclusions: conclusions.to_vec() }.full().text
}

impl Show for StudyTable {
    const NAME: &'static str = "StudyTable";

    fn short(&self) -> String {
        format!("{} of `{}` by {}", self.table.metric, self.table.study, self.table.by.join(", "))
    }

    fn full(&self) -> Display {
        let of = &self.table;
        let best = of.higher.is_some();
        let mut header: Vec<&str> = of.by.iter().map(String::as_str).collect();
        header.extend(["n", "median", "mean", "95% interval"]);
        header.extend(if best { &["best"][..] } else { &["least", "greatest"] });
        header.push("not in it");
        let cells: Vec<Vec<String>> = of.rows.iter().map(|row| cells(row, of.higher)).collect();
        let mut table = Table::new(&header);
        for row in &cells {
            table.row(row.iter().enumerate().map(|(i, cell)| match i {
                i if i < of.by.len() => Cell::Text(cell.clone()),
                i if i + 1 == row.len() => Cell::Long(cell.clone()),
                i if i == of.by.len() + 1 => Cell::Strong(cell.clone()),
                _ => Cell::Number(cell.clone()),
            }));
        }
        let arrow = match of.higher {
            Some(true) => " (higher is better)",
            Some(false) => " (lower is better)",
            None => "",
        };
        let said = format!("{} of `{}`{arrow}", of.metric, of.study);
        let mut text = format!("{said}\n{}", display::table(&header, &cells));
        let mut page = Page::new().head("study", &said).table(&table);
        for line in &self.conclusions {
            text.push_str(&format!("\n{line}"));
            page = page.line(line);
        }
        Display::text(text).on(&page)
    }
}

fn cells(row: &Row, higher: Option<bool>) -> Vec<String> {
    let mut cells: Vec<String> = row.key.iter().map(table::cell).collect();
    cells.push(row.values.len().to_string());
    let none = || "–".to_string();
    match &row.summary {
        Some(summary) => {
            let interval =
                summary.interval.map_or_else(none, |(low, high)| format!("{} to {}", number(low), number(high)));
            cells.extend([number(summary.median), number(summary.mean), interval]);
            match higher {
                Some(true) => cells.push(number(summary.greatest)),
                Some(false) => cells.push(number(summary.least)),
                None => cells.extend([number(summary.least), number(summary.greatest)]),
            }
        }
        None => cells.extend((0..if higher.is_some() { 4 } else { 5 }).map(|_| none())),
    }
    cells.push(row.left_out());
    cells
}

impl Show for Comparison {
    const NAME: &'static str = "Comparison";

    fn short(&self) -> String {
        self.0.sentence()
    }

    fn full(&self) -> Display {
        let of = &self.0;
        let header = ["pair", of.first.as_str(), of.second.as_str(), "difference"];
        let rows: Vec<Vec<String>> = of
            .pairs
            .iter()
            .map(|(pair, first, second)| vec![pair.clone(), number(*first), number(*second), number(second - first)])
            .collect();
        let mut table = Table::new(&header);
        for row in &rows {
            let mut cells = row.iter().cloned();
            table.row(std::iter::once(Cell::Text(cells.next().unwrap_or_default())).chain(cells.map(Cell::Number)));
        }
        let mut sentence = of.sentence();
        if of.single > 0 {
            sentence.push_str(&format!(" {} trials have no partner and are left out.", of.single));
        }
        if rows.is_empty() {
            return Display::text(sentence);
        }
        let page = Page::new().head("comparison", &of.metric).line(&sentence).table(&table);
        Display::text(format!("{sentence}\n{}", display::table(&header, &rows))).on(&page)
    }
}
