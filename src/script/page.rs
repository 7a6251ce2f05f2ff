//! What a value looks like on a page: the few pieces of HTML that every value is put together from.
//!
//! An output stands on its own: one `<style>` with names under `.fl`, colours from the theme around it (JupyterLab's
//! variables, or what the text beside it has), pictures inside. Text is escaped here, so no value does it by hand.

use std::fmt::Write as _;

use base64::Engine as _;

use crate::error::Result;
use crate::figure::{self, Figure, escape};
pub(crate) use crate::figure::{count, percent};
use crate::progress::Picture;

/// The HTML of an output, as it grows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page(String);

/// What stands in a cell of a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Words, to the left.
    Text(String),
    /// Words that may need several lines.
    Long(String),
    /// A number, to the right.
    Number(String),
    /// A number that matters.
    Strong(String),
    /// A share from 0 to 1, as a bar.
    Bar(f64),
    /// A picture, so many page pixels across.
    Picture(Picture, usize),
    /// Nothing.
    Empty,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Cell::Text(text.into())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Cell::Text(text)
    }
}

impl From<usize> for Cell {
    fn from(number: usize) -> Self {
        Cell::Number(count(number))
    }
}

/// Rows under named columns.
#[derive(Debug, Clone, Default)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<Cell>>,
    total: Option<Vec<Cell>>,
    more: String,
}

impl Table {
    /// A table with these columns.
    pub fn new(header: &[&str]) -> Self {
        Self { header: header.iter().map(|name| (*name).to_string()).collect(), ..Self::default() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Ends the table with a row of sums.
    pub fn total(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.total = Some(cells.into_iter().collect());
    }

    /// Says below the table what was left out of it.
    pub fn more(&mut self, text: impl Into<String>) {
        self.more = text.into();
    }

    fn html(&self) -> String {
        let right = |column: usize| {
            let mut cells = self.rows.iter().filter_map(|row| row.get(column)).filter(|cell| **cell != Cell::Empty);
            cells.clone().next().is_some() && cells.all(|cell| matches!(cell, Cell::Number(_) | Cell::Strong(_)))
        };
        let head: String = self
            .header
            .iter()
            .enumerate()
            .map(|(column, name)| {
                format!("<th{}>{}</th>", if right(column) { " class=\"fl-n\"" } else { "" }, escape(name))
            })
            .collect();
        let line = |cells: &[Cell]| cells.iter().map(cell).collect::<String>();
        let mut body: String = self.rows.iter().map(|row| format!("<tr>{}</tr>\n", line(row))).collect();
        if let Some(total) = &self.total {
            let _ = writeln!(body, "<tr class=\"fl-total\">{}</tr>", line(total));
        }
        let head = if self.header.iter().all(String::is_empty) {
            String::new()
        } else {
            format!("<thead><tr>{head}</tr></thead>\n")
        };
        let more = match self.more.as_str() {
            "" => String::new(),
            more => format!("<div class=\"fl-soft\">{}</div>\n", escape(more)),
        };
        format!(
            "<div class=\"fl-wide\"><table class=\"fl-table\">\n{head}<tbody>\n{body}</tbody></table></div>\n{more}"
        )
    }
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => format!("<td>{}</td>", escape(text)),
        Cell::Long(text) => format!("<td class=\"fl-say\">{}</td>", escape(text)),
        Cell::Number(text) => format!("<td class=\"fl-n\">{}</td>", escape(text)),
        Cell::Strong(text) => format!("<td class=\"fl-n\"><b>{}</b></td>", escape(text)),
        Cell::Bar(share) => format!("<td>{}</td>", bar(*share)),
        Cell::Picture(picture, width) => format!("<td>{}</td>", shot(picture, *width, "").unwrap_or_default()),
        Cell::Empty => "<td></td>".into(),
    }
}

fn bar(share: f64) -> String {
    let percent = if share.is_finite() { (share * 100.0).clamp(0.0, 100.0) } else { 0.0 };
    format!("<span class=\"fl-bar\"><i style=\"width:{percent:.1}%\"></i></span>")
}

/// A PNG file inside the page, so many page pixels across and down.
fn image(png: &str, (width, height): (usize, usize), says: &str) -> String {
    format!(
        "<img src=\"data:image/png;base64,{png}\" width=\"{width}\" height=\"{height}\" alt=\"{}\" \
         style=\"width:{width}px;max-width:100%;height:auto;image-rendering:pixelated\">",
        escape(says)
    )
}

/// A picture inside the page, `width` page pixels across.
fn shot(picture: &Picture, width: usize, says: &str) -> Result<String> {
    let height = (picture.height as f64 * width as f64 / picture.width.max(1) as f64).round() as usize;
    Ok(image(&base64(&figure::png(picture)?), (width, height), says))
}

/// Bytes as text.
pub fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

impl Page {
    /// An empty page.
    pub fn new() -> Self {
        Self::default()
    }

    /// The first line: what the value is, and what else there is to say at once.
    #[must_use]
    pub fn head(mut self, what: &str, rest: &str) -> Self {
        let _ = writeln!(
            self.0,
            "<div class=\"fl-head\"><b>{}</b><span class=\"fl-soft\">{}</span></div>",
            escape(what),
            escape(rest)
        );
        self
    }

    /// A line of words.
    #[must_use]
    pub fn line(mut self, text: &str) -> Self {
        let _ = writeln!(self.0, "<div class=\"fl-soft\">{}</div>", escape(text));
        self
    }

    /// A few large numbers, each with the words below it.
    #[must_use]
    pub fn numbers<'a>(mut self, numbers: impl IntoIterator<Item = (String, &'a str)>) -> Self {
        let items: String = numbers
            .into_iter()
            .map(|(number, says)| format!("<div><b>{}</b>{}</div>", escape(&number), escape(says)))
            .collect();
        let _ = writeln!(self.0, "<div class=\"fl-numbers\">{items}</div>");
        self
    }

    /// Names and what belongs to them.
    #[must_use]
    pub fn facts<'a>(mut self, facts: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        let items: String = facts
            .into_iter()
            .map(|(name, value)| format!("<span>{}</span><span>{}</span>\n", escape(name), escape(&value)))
            .collect();
        if !items.is_empty() {
            let _ = writeln!(self.0, "<div class=\"fl-facts\">\n{items}</div>");
        }
        self
    }

    /// A table.
    #[must_use]
    pub fn table(mut self, table: &Table) -> Self {
        self.0.push_str(&table.html());
        self
    }

    /// Numbers of a grid with the names of their rows and columns.
    #[must_use]
    pub fn values(mut self, columns: &[String], rows: &[(String, Vec<String>)]) -> Self {
        let cells = |tag: &str, texts: &[String]| {
            texts.iter().map(|text| format!("<{tag}>{}</{tag}>", escape(text))).collect::<String>()
        };
        let body: String = rows
            .iter()
            .map(|(name, values)| format!("<tr><th>{}</th>{}</tr>\n", escape(name), cells("td", values)))
            .collect();
        let _ = writeln!(
            self.0,
            "<div class=\"fl-wide\"><table class=\"fl-values\">\n<thead><tr><th></th>{}</tr></thead>\n<tbody>\n{body}</tbody></table></div>",
            cells("th", columns)
        );
        self
    }

    /// A chart that takes the colours of the page.
    #[must_use]
    pub fn chart(mut self, figure: &Figure) -> Self {
        self.0.push_str(&figure.svg());
        self
    }

    /// A picture, `width` page pixels across, under its name. One that cannot be written is left out.
    #[must_use]
    pub fn picture(self, name: &str, picture: &Picture, width: usize) -> Self {
        match shot(picture, width, name) {
            Ok(image) => self.named(name, &image),
            Err(_) => self,
        }
    }

    /// A PNG file in base64, so many page pixels across and down, under its name.
    #[must_use]
    pub fn png(self, name: &str, png: &str, size: (usize, usize)) -> Self {
        self.named(name, &image(png, size, name))
    }

    fn named(mut self, name: &str, image: &str) -> Self {
        let name = if name.is_empty() { String::new() } else { format!("<div>{}</div>", escape(name)) };
        let _ = writeln!(self.0, "<div class=\"fl-shot\">{name}{image}</div>");
        self
    }

    /// Parts beside one another, where the page is wide enough.
    #[must_use]
    pub fn row(mut self, parts: impl IntoIterator<Item = Page>) -> Self {
        let parts: String = parts.into_iter().map(|part| format!("<div>\n{}</div>\n", part.0)).collect();
        let _ = writeln!(self.0, "<div class=\"fl-row\">\n{parts}</div>");
        self
    }

    /// What a person may unfold.
    #[must_use]
    pub fn folded(mut self, name: &str, inside: Page) -> Self {
        let _ = writeln!(self.0, "<details><summary>{}</summary>\n{}</details>", escape(name), inside.0);
        self
    }

    /// Another page below this one.
    #[must_use]
    pub fn below(mut self, other: Page) -> Self {
        self.0.push_str(&other.0);
        self
    }

    /// The body, without the style.
    pub fn body(&self) -> &str {
        &self.0
    }
}

/// `body` as an output that stands on its own.
pub fn whole(body: &str) -> String {
    format!("<div class=\"fl\"><style>\n{}</style>\n{body}</div>\n", include_str!("page.css"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        let evil = "<script>alert(\"1\")</script>";
        let mut table = Table::new(&[evil]);
        table.row([evil.into(), Cell::Long(evil.into()), Cell::Number(evil.into())]);
        table.total([evil.into()]);
        table.more(evil);
        let dot = Picture { width: 1, height: 1, pixels: vec![0; 3] };
        let page = Page::new()
            .head(evil, evil)
            .line(evil)
            .numbers([(evil.to_string(), evil)])
            .facts([(evil, evil.to_string())])
            .table(&table)
            .values(&[evil.to_string()], &[(evil.to_string(), vec![evil.to_string()])])
            .picture(evil, &dot, 8)
            .folded(evil, Page::new().line(evil));
        assert!(!page.body().contains("<script"), "{}", page.body());
        assert_eq!(page.body().matches("&lt;script&gt;").count(), 20);
    }

    #[test]
    fn a_column_of_numbers_has_its_name_to_the_right() {
        let mut table = Table::new(&["class", "images"]);
        table.row(["Bag".into(), 8000.into()]);
        let html = table.html();
        assert!(html.contains("<th>class</th><th class=\"fl-n\">images</th>"), "{html}");
        assert!(html.contains("<td>Bag</td><td class=\"fl-n\">8000</td>"), "{html}");
    }

    #[test]
    fn bars_stay_inside_their_cells() {
        assert!(bar(1.7).contains("width:100.0%") && bar(f64::NAN).contains("width:0.0%"));
        assert!(bar(0.25).contains("width:25.0%"));
    }
}
