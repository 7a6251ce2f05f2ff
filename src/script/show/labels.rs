//! Reports about labels: how many there are, how many are right, and which class is taken for which.

use crate::data::LabelReport;
use crate::figure::{self, Heatmap};
use crate::script::display::{Display, Show};
use crate::script::page::{self, Cell, Page, Table};

/// Classes beyond which a confusion matrix cannot be read.
const CLASSES: usize = 30;

impl Show for LabelReport {
    const NAME: &'static str = "LabelReport";

    fn short(&self) -> String {
        self.to_string().trim_end().to_string()
    }

    fn full(&self) -> Display {
        let mut numbers = vec![
            (page::percent(self.coverage), "of the images have a label"),
            (page::count(self.n_known), "labels were given"),
        ];
        numbers.extend(self.inferred_accuracy.map(|share| (page::percent(share), "of the inferred labels are right")));
        if self.clusters.is_some() {
            let what = "are of the class that most images of their cluster are of";
            numbers = vec![numbers.swap_remove(0)];
            numbers.extend(self.accuracy.map(|share| (page::percent(share), what)));
        } else {
            numbers.extend(self.accuracy.map(|share| (page::percent(share), "of all labels are right")));
        }
        let head = format!("{} of {} images", page::count(self.covered), page::count(self.n));
        let page = Page::new().head("label report", &head).numbers(numbers);
        let table = Page::new().table(&self.by_class());
        let chart = confusion(self).map(|figure| Page::new().chart(&figure));
        Display::text(self.short()).on(&page.row(std::iter::once(table).chain(chart)))
    }
}

impl LabelReport {
    fn by_class(&self) -> Table {
        let mut table = Table::new(&["class", "images", "labels", "right", "", "most often taken for"]);
        for (row, class) in self.per_class.iter().enumerate() {
            let share = class.correct as f64 / class.n.max(1) as f64;
            let others = self.confusion.get(row).map(Vec::as_slice).unwrap_or_default().iter().enumerate();
            let worst = others.filter(|(column, count)| *column != row && **count > 0).rev().max_by_key(|(_, n)| **n);
            let taken = worst.and_then(|(column, n)| Some(format!("{} ({n})", self.classes.get(column)?)));
            let right = if class.n > 0 { page::percent(share) } else { "–".into() };
            table.row([
                class.name.as_str().into(),
                class.images.into(),
                class.n.into(),
                Cell::Number(right),
                Cell::Bar(share),
                taken.unwrap_or_default().into(),
            ]);
        }
        table
    }
}

fn confusion(report: &LabelReport) -> Option<figure::Figure> {
    if report.classes.len() > CLASSES {
        return None;
    }
    let values: Vec<Vec<f64>> = report.confusion.iter().map(|row| row.iter().map(|n| *n as f64).collect()).collect();
    let options = Heatmap {
        title: "Which class is taken for which".into(),
        rows: report.classes.clone(),
        columns: report.classes.clone(),
        row_label: "true class".into(),
        column_label: "label".into(),
        by_row: true,
    };
    figure::heatmap(&values, &options).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ClassReport;

    #[test]
    fn a_report_shows_shares_bars_and_the_confusion() {
        let class = |name: &str, images, n, correct| ClassReport { name: name.into(), images, n, correct };
        let report = LabelReport {
            n: 20,
            covered: 15,
            n_known: 2,
            clusters: None,
            coverage: 0.75,
            accuracy: Some(0.8),
            inferred_accuracy: None,
            classes: vec!["<script>".into(), "Bag".into()],
            per_class: vec![class("<script>", 10, 8, 5), class("Bag", 10, 0, 0)],
            confusion: vec![vec![5, 3], vec![0, 0]],
        };
        let shown = report.full();
        let page = shown.page().unwrap().unwrap();
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains("<b>75.0%</b>of the images have a label") && page.contains("<b>80.0%</b>of all labels"));
        assert!(!page.contains("of the inferred labels"));
        assert!(page.contains("<td class=\"fl-n\">62.5%</td>") && page.contains("<td>Bag (3)</td>"));
        assert!(page.contains("<td class=\"fl-n\">–</td>") && page.contains("width:62.5%"));
        assert!(page.contains("<svg ") && page.contains("Which class is taken for which"));
        assert!(shown.text.starts_with("labels of 20 images"));
    }
}
