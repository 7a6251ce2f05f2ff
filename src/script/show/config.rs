//! Configurations: every option, what it is, where it came from.

use crate::config::{Config, Origin};
use crate::script::display::{self, Display, Show};
use crate::script::page::{Cell, Page, Table};

impl Show for Config {
    const NAME: &'static str = "Config";

    fn short(&self) -> String {
        let chosen = self.entries.iter().filter(|entry| entry.from != Origin::Default).count();
        format!("{} options of {}, {chosen} of them chosen", self.entries.len(), self.function)
    }

    fn full(&self) -> Display {
        let rows: Vec<Vec<String>> = self
            .entries
            .iter()
            .map(|entry| vec![entry.name.clone(), entry.value.to_string(), entry.from.to_string()])
            .collect();
        let text = format!("{}\n{}", self.short(), display::table(&["option", "value", "from"], &rows));
        let mut table = Table::new(&["option", "value", "from"]);
        for (row, entry) in rows.into_iter().zip(&self.entries) {
            let cells = row.into_iter().map(|cell| match entry.from {
                Origin::Default => Cell::Text(cell),
                _ => Cell::Strong(cell),
            });
            table.row(cells);
        }
        Display::text(text).on(&Page::new().head("configuration", &self.short()).table(&table))
    }
}

#[cfg(test)]
mod tests {
    use crate::script::show::testing::shown;

    #[test]
    fn a_configuration_says_where_each_value_came_from() {
        let shown = shown("gan::config(gan::method(\"s3gan\") + #{ d_lr: 1e-4 })");
        assert!(shown.text.contains(" options of gan::train, 3 of them chosen\n"), "{}", shown.text);
        let line = |name: &str| {
            let line = shown.text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
            line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line("d_lr"), "1e-4 script");
        assert_eq!(line("self_supervision"), "\"rotation\" method s3gan");
        assert_eq!(line("loss"), "\"hinge\" default");
    }
}
