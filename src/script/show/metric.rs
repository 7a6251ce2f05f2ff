//! Scores: their values with intervals, beside what real images score, and the protocol they depend on.

use serde_json::{Map, Value};

use crate::figure::{self, Bar, Bars, Frontier, Series};
use crate::metric::{Better, Score, Scores};
use crate::script::display::{self, Display, Show};
use crate::script::page::{Cell, Page, Table};

impl Show for Scores {
    const NAME: &'static str = "Scores";

    fn short(&self) -> String {
        self.rows
            .iter()
            .map(|row| format!("{} {}", row.metric, display::rounded(row.value)))
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn full(&self) -> Display {
        let (of_classes, whole): (Vec<&Score>, Vec<&Score>) =
            self.rows.iter().partition(|row| row.metric.contains('/'));
        let protocol = Protocol::of(&self.rows);
        let against = self.rows.first().map_or_else(String::new, |row| {
            let p = &row.protocol;
            format!("{} generated against {} real images of {}", p.n_fake, p.n_real, p.split)
        });
        let page = Page::new().head("scores", &against);
        let page = if whole.is_empty() { page } else { page.table(&scores(&whole)) };
        let page = page
            .line("↓ lower is better, ↑ higher is better; real: what real images score in place of the generated ones")
            .row(classes(&whole, &of_classes))
            .row(curves(self))
            .row(pictures(self))
            .folded("protocol", protocol.page(&whole));
        Display::text(self.to_string().trim_end().to_string()).on(&page)
    }
}

fn scores(rows: &[&Score]) -> Table {
    let mut table = Table::new(&["score", "value", "95% interval", "real", ""]);
    for row in rows {
        let arrow = match row.better {
            Better::Lower => "↓",
            Better::Higher => "↑",
            Better::Neither => "",
        };
        let interval = row.lo.zip(row.hi);
        let interval = interval
            .map_or("–".to_string(), |(lo, hi)| format!("{} to {}", display::rounded(lo), display::rounded(hi)));
        table.row([
            Cell::Text(format!("{} {arrow}", row.label).trim_end().to_string()),
            Cell::Strong(display::rounded(row.value)),
            Cell::Number(interval),
            Cell::Number(row.floor.map_or("–".to_string(), display::rounded)),
            // How far it is from what real images score, where zero is the best there is.
            match (row.better, row.floor) {
                (Better::Higher, _) if (0.0..=1.0).contains(&row.value) => Cell::Bar(row.value),
                _ => Cell::Empty,
            },
        ]);
    }
    table
}

/// Curves that scores sum up, each beside that of real images.
fn curves(scores: &Scores) -> Vec<Page> {
    let charts = scores.curves.iter().filter_map(|curve| {
        let lines = [("generated", &curve.points), ("real", &curve.floor)];
        let lines: Vec<Series> = lines
            .into_iter()
            .filter(|(_, points)| !points.is_empty())
            .map(|(name, points)| Series::new(name, points.iter().map(|[x, y]| (*x, *y)).collect()))
            .collect();
        let (x_label, y_label) = (curve.x_label.clone(), curve.y_label.clone());
        let options = Frontier { title: curve.label.clone(), x_label, y_label, ..Frontier::default() };
        figure::frontier(&lines, &options).ok()
    });
    charts.map(|chart| Page::new().chart(&chart)).collect()
}

/// Pictures of what scores are about.
fn pictures(scores: &Scores) -> Vec<Page> {
    let shown = scores.pictures.iter();
    shown.map(|shot| Page::new().picture(&shot.label, &shot.picture, shot.picture.width)).collect()
}

/// Scores of single classes, `fd_per_class/Bag`, one chart for each score and extractor.
fn classes(whole: &[&Score], rows: &[&Score]) -> Vec<Page> {
    let key = |row: &Score| {
        let metric = row.metric.split('/').next().unwrap_or_default().to_string();
        (metric, row.protocol.extractor.clone())
    };
    let mut groups: Vec<((String, String), Vec<Bar>)> = Vec::new();
    for row in rows.iter().filter(|row| row.value.is_finite()) {
        let name = row.metric.split_once('/').map_or("", |(_, class)| class).to_string();
        let bar = Bar { name, value: row.value, interval: row.lo.zip(row.hi), says: String::new() };
        match groups.iter_mut().find(|(known, _)| *known == key(row)) {
            Some((_, bars)) => bars.push(bar),
            None => groups.push((key(row), vec![bar])),
        }
    }
    let charts = groups.into_iter().filter_map(|(group, bars)| {
        // The score over all classes has the name that a person reads.
        let all = whole.iter().find(|row| key(row) == group);
        let title = all.map_or_else(|| group.0.replace('_', " "), |row| row.label.clone());
        let mark = all.map(|row| (row.value, "all classes".to_string()));
        figure::bars(&bars, &Bars { title, mark, width: 520.0, ..Bars::default() }).ok()
    });
    charts.map(|chart| Page::new().chart(&chart)).collect()
}

/// What the scores depend on: what all share, and what differs.
struct Protocol {
    shared: Vec<(String, String)>,
    own: Vec<String>,
    each: Vec<Map<String, Value>>,
}

fn plain(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

impl Protocol {
    fn of(rows: &[Score]) -> Self {
        let read = |row: &Score| match serde_json::to_value(&row.protocol) {
            Ok(Value::Object(map)) => map,
            _ => Map::new(),
        };
        let each: Vec<Map<String, Value>> = rows.iter().map(read).collect();
        let names: Vec<String> = each.first().map(|map| map.keys().cloned().collect()).unwrap_or_default();
        let same = |name: &String| each.windows(2).all(|pair| pair[0].get(name) == pair[1].get(name));
        let (shared, own): (Vec<String>, Vec<String>) = names.into_iter().partition(same);
        let value = |name: String| {
            let value = plain(each.first().and_then(|map| map.get(&name)));
            (name, value)
        };
        Self { shared: shared.into_iter().map(value).collect(), own, each }
    }

    fn page(&self, rows: &[&Score]) -> Page {
        let said = |name: &str| name.replace('_', " ");
        let shared: Vec<(String, String)> =
            self.shared.iter().filter(|(_, value)| !value.is_empty()).map(|(n, v)| (said(n), v.clone())).collect();
        let page = Page::new().facts(shared.iter().map(|(name, value)| (name.as_str(), value.clone())));
        if self.own.is_empty() {
            return page;
        }
        let own: Vec<String> = self.own.iter().map(|name| said(name)).collect();
        let mut table = Table::new(&std::iter::once("score").chain(own.iter().map(String::as_str)).collect::<Vec<_>>());
        let each = self.each.iter().zip(rows);
        for (map, row) in each {
            let cells = self.own.iter().map(|name| Cell::Long(plain(map.get(name))));
            table.row(std::iter::once(Cell::from(row.label.as_str())).chain(cells));
        }
        page.table(&table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Protocol as Of;

    fn score(metric: &str, label: &str, value: f64, better: Better) -> Score {
        let protocol = Of {
            split: "set/test".into(),
            n_real: 2000,
            n_fake: 1000,
            floor: "halves".into(),
            extractor: "SqueezeNet 1.1".into(),
            extractor_hash: "775ceadd7427150b".into(),
            resize: "bilinear to 64x64".into(),
            quantisation: "8 bits".into(),
            settings: format!("of {metric}"),
            interval: "20 groups left out".into(),
            seed: 7,
        };
        Score {
            metric: metric.into(),
            label: label.into(),
            value,
            lo: Some(value - 1.0),
            hi: Some(value + 1.0),
            floor: Some(12.5),
            better,
            protocol,
        }
    }

    #[test]
    fn scores_show_their_intervals_and_all_of_their_protocol() {
        let mut accuracy = score("accuracy", "Accuracy <b>", 0.75, Better::Higher);
        (accuracy.lo, accuracy.floor) = (None, None);
        let rows = vec![
            score("fd", "FD <script>", 812.34, Better::Lower),
            accuracy,
            score("fd_per_class", "FD by class", 900.0, Better::Lower),
            score("fd_per_class/Bag", "", 950.0, Better::Lower),
            score("fd_per_class/<script>", "", 850.0, Better::Lower),
        ];
        let scores = Scores { rows, ..Scores::default() };
        let page = scores.full().page().unwrap().unwrap();
        assert!(!page.contains("<script") && page.contains("FD &lt;script&gt; ↓"), "{page}");
        assert!(
            page.contains("<b>812.3</b></td><td class=\"fl-n\">811.3 to 813.3</td><td class=\"fl-n\">12.5</td>"),
            "{page}"
        );
        assert!(
            page.contains(
                "<b>0.75</b></td><td class=\"fl-n\">–</td><td class=\"fl-n\">–</td><td><span class=\"fl-bar\">"
            )
        );
        for (name, value) in [
            ("n real", "2000"),
            ("n fake", "1000"),
            ("split", "set/test"),
            ("resize", "bilinear to 64x64"),
            ("extractor", "SqueezeNet 1.1"),
            ("extractor hash", "775ceadd7427150b"),
            ("seed", "7"),
            ("interval", "20 groups left out"),
        ] {
            assert!(page.contains(&format!("<span>{name}</span><span>{value}</span>")), "{name}: {page}");
        }
        // What differs stands with each score; scores of classes are bars below the name of the whole.
        assert!(page.contains("<td class=\"fl-say\">of accuracy</td>") && !page.contains("of fd_per_class/Bag"));
        assert!(page.contains("<svg ") && page.contains(">Bag</text>") && page.contains(">FD by class</text>"));
        assert!(scores.full().text.contains("extractor SqueezeNet 1.1 (775ceadd7427150b)"));
    }
}
