//! What stands as a string in scripts: the names of losses, methods, metrics and the like, with what each is.

use crate::script::bind;
use crate::script::manual::columns;
use crate::table::{self, Row};

/// The rows of one table.
pub struct Choices {
    /// What a row is: `loss`, `metric`.
    pub kind: &'static str,
    /// The name and the manual entry of each row.
    pub rows: Vec<(&'static str, &'static str)>,
}

impl Choices {
    /// Those of a table.
    pub fn of<R: Row>(rows: &'static [R]) -> Self {
        Self { kind: R::KIND, rows: rows.iter().map(|row| (row.name(), row.doc())).collect() }
    }
}

/// The manual entries of every choice called `name`, or nothing.
pub fn help(name: &str) -> Option<String> {
    let pages: Vec<String> = bind::choices()
        .iter()
        .flat_map(|table| table.rows.iter().map(move |(row, doc)| (table.kind, row, doc)))
        .filter(|(_, row, _)| **row == name)
        .map(|(kind, row, doc)| format!("\"{row}\", a choice of {kind}\n\n{doc}"))
        .collect();
    (!pages.is_empty()).then(|| pages.join("\n\n"))
}

/// The choice nearest to `name`.
pub fn near(name: &str) -> Option<&'static str> {
    table::closest(name, bind::choices().iter().flat_map(|table| table.rows.iter().map(|(row, _)| *row)))
}

/// Every table with the names of its rows, a line each or more.
pub fn overview() -> String {
    let tables = bind::choices();
    let rows: Vec<(String, String)> = tables
        .iter()
        .map(|table| (table.kind.to_string(), table.rows.iter().map(|(row, _)| *row).collect::<Vec<_>>().join(", ")))
        .collect();
    columns(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_page() {
        for table in bind::choices() {
            for (row, doc) in table.rows {
                let page = help(row).unwrap();
                assert!(page.contains(doc) && page.contains(table.kind), "{row}");
            }
        }
        assert!(overview().contains("s3gan_co"));
        assert_eq!(help("no such row"), None);
        assert_eq!(near("wgan_pg"), Some("wgan_gp"));
    }
}
