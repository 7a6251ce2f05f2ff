//! Histories: the curves of what was measured, and the last values.

use crate::figure::{self, Curves, Figure, Series, falls_far};
use crate::script::display::{self, Display, Show};
use crate::script::history::{History, Kept, Line};
use crate::script::page::{self, Cell, Page, Table};

impl Show for History {
    const NAME: &'static str = "History";

    fn short(&self) -> String {
        said(&self.kept())
    }

    fn full(&self) -> Display {
        let kept = self.kept();
        let said = said(&kept);
        if kept.lines.is_empty() && kept.scores.is_empty() {
            return Display::text(said);
        }
        let rows = rows(&kept);
        let text = format!("{said}\n{}", display::table(&["measured", "last", "least", "greatest"], &rows));
        let mut table = Table::new(&["measured", "last", "least", "greatest"]);
        for row in rows {
            let mut cells = row.into_iter();
            let name = cells.next().unwrap_or_default();
            table.row(std::iter::once(Cell::from(name)).chain(cells.map(Cell::Number)));
        }
        let charts = charts(&kept);
        let shown = charts.first().and_then(|chart| Display::chart(&text, "curves", chart).ok());
        let drawn = charts.iter().map(|chart| Page::new().chart(chart));
        let text = format!("{text}{}", marks(&kept).into_iter().map(|mark| format!("\n{mark}")).collect::<String>());
        let page = Page::new().head("history", &said).row(drawn).table(&table);
        shown.unwrap_or_else(|| Display::text(text)).on(&page)
    }
}

fn said(kept: &Kept) -> String {
    let steps = match kept.step {
        1 => "1 step".to_string(),
        steps => format!("{} steps", page::count(steps as usize)),
    };
    match kept.lines.is_empty() {
        true => "nothing was measured yet".into(),
        false => format!("{steps} of `{}`", kept.stage),
    }
}

fn rows(kept: &Kept) -> Vec<Vec<String>> {
    let ends = |line: &Line| {
        let values = line.points().iter().map(|point| point.1).chain([line.last]);
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let row = |line: &Line| {
        let (low, high) = ends(line);
        vec![line.name.clone(), display::rounded(line.last), display::rounded(low), display::rounded(high)]
    };
    kept.lines.iter().chain(&kept.scores).map(row).collect()
}

/// Whether a number is a share, which is drawn apart from losses.
fn is_share(line: &Line) -> bool {
    line.name.contains("accuracy")
}

/// What happened on the way, in words.
pub(super) fn marks(kept: &Kept) -> Vec<String> {
    kept.marks.iter().map(|(step, text)| format!("after step {step}: {text}")).collect()
}

/// The curves: losses in one chart, shares in another, each score in one of its own.
pub(super) fn charts(kept: &Kept) -> Vec<Figure> {
    let (shares, losses): (Vec<&Line>, Vec<&Line>) = kept.lines.iter().partition(|line| is_share(line));
    // A score taken once is a number in the table.
    let scores = kept.scores.iter().filter(|line| line.points().len() > 1).map(|line| vec![line]);
    let groups: Vec<Vec<&Line>> = [losses, shares]
        .into_iter()
        .chain(scores)
        .filter(|lines| lines.iter().any(|l| !l.points().is_empty()))
        .collect();
    let marks: Vec<(f64, String)> = kept.marks.iter().map(|(step, text)| (*step as f64, text.clone())).collect();
    // Two charts have room beside one another.
    let width = if groups.len() > 1 { 390.0 } else { 600.0 };
    let chart = |lines: Vec<&Line>| {
        let drawn = lines.iter().filter(|line| !line.points().is_empty());
        let series: Vec<Series> =
            drawn.map(|line| Series::new(line.name.replace('_', " "), line.points().to_vec())).collect();
        let log_y = matches!(&lines[..], [line] if falls_far(line.points()));
        let look = Curves { width, height: 250.0, log_y, marks: marks.clone(), ..Curves::default() };
        figure::curves(&series, &look).ok()
    };
    groups.into_iter().filter_map(chart).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::{Observer as _, Step};

    #[test]
    fn a_history_shows_its_curves_and_last_values() {
        let history = History::default();
        assert_eq!(history.full(), Display::text("nothing was measured yet"));
        for step in 1..=40u64 {
            let values = [("<script>", 1.0 / step as f64), ("rotation_accuracy", 0.5)];
            history.step(&Step { stage: "gan", step, of: 40, values: &values });
        }
        let shown = history.full();
        assert!(shown.text.starts_with("40 steps of `gan`\nmeasured            last  least  greatest\n<script>           0.025  0.025         1"), "{}", shown.text);
        let bundle = shown.bundle().unwrap();
        let page = bundle["text/html"].as_str().unwrap();
        // Losses and shares in two charts, in lines; no pixels beside them.
        assert_eq!((page.matches("<svg ").count(), page.matches("<img ").count()), (2, 0));
        assert!(page.contains("rotation accuracy") && !page.contains("<script"), "{page}");
        assert!(bundle.contains_key("image/svg+xml") && bundle.contains_key("image/png"));
    }
}
