//! Lists and maps: on one line if they are short, as a table where all rows have the same columns, cut where they are long.

use rhai::{Array, Dynamic, Map};

use crate::script::display::{self, Display};
use crate::script::page::{Cell, Page, Table};

/// Characters of a line.
const LINE: usize = 100;
/// Rows of a table, and items of a list, one a line.
const ROWS: usize = 50;
/// Items of a list that run on.
const ITEMS: usize = 200;
/// Columns of a table.
const COLUMNS: usize = 24;
/// Characters of a cell.
const CELL: usize = 80;

/// A list.
pub(in crate::script) fn array(items: &Array) -> Display {
    if let Some(columns) = columns(items) {
        return rows(items, &columns);
    }
    if let Some(line) = line(inside(items.iter()), || display::short_list(items)) {
        return Display::text(line);
    }
    let plain = items.iter().take(ITEMS).all(|item| item.is_int() || item.as_float().is_ok() || item.is_bool());
    let text = if plain { running(items) } else { listed(items.len(), items.iter().map(written)) };
    Display::text(text)
}

/// The text on one line, if that is short enough. Of many values it is not asked for.
fn line(values: usize, text: impl FnOnce() -> String) -> Option<String> {
    (values <= LINE).then(text).filter(|text| text.chars().count() <= LINE)
}

/// How many values there are inside a value, counted up to a few more than go on a line.
fn values(value: &Dynamic) -> usize {
    if let Some(items) = value.read_lock::<Array>() {
        return inside(items.iter());
    }
    value.read_lock::<Map>().map_or(1, |map| inside(map.values()))
}

fn inside<'a>(items: impl Iterator<Item = &'a Dynamic>) -> usize {
    let mut count = 0;
    for item in items {
        count += values(item);
        if count > LINE {
            break;
        }
    }
    count
}

/// Numbers one after the other, as many as go on a line.
fn running(items: &Array) -> String {
    let mut lines = vec![String::from(" ")];
    for item in items.iter().take(ITEMS) {
        let text = display::short(item);
        match lines.last_mut() {
            Some(last) if last.chars().count() + text.chars().count() + 2 <= LINE => {
                last.push_str(&format!(" {text},"));
            }
            _ => lines.push(format!("  {text},")),
        }
    }
    let rest = items.len().saturating_sub(ITEMS);
    if rest > 0 {
        lines.push(format!("  .. and {rest} more"));
    }
    format!("[\n{}\n]", lines.join("\n"))
}

/// Items one a line, the first ones of many.
fn listed(length: usize, items: impl Iterator<Item = String>) -> String {
    let mut lines: Vec<String> = items.take(ROWS).map(|item| format!("  {item},")).collect();
    let rest = length.saturating_sub(ROWS);
    if rest > 0 {
        lines.push(format!("  .. and {rest} more"));
    }
    format!("[\n{}\n]", lines.join("\n"))
}

/// A value on one line as a script writes it, cut where it is long.
fn written(value: &Dynamic) -> String {
    if value.is_string() { format!("{:?}", cut(value)) } else { cut(value) }
}

/// A value on one line, cut where it is long; a string without quotes.
fn cut(value: &Dynamic) -> String {
    let text = match (values(value) > LINE, value.is_string()) {
        // The text of a large one would be made to be thrown away.
        (true, _) if value.is_array() => {
            format!("a list of {} items", value.as_array_ref().map_or(0, |items| items.len()))
        }
        (true, _) => "a large map".to_string(),
        (false, true) => value.to_string(),
        (false, false) => display::short(value),
    };
    let text = text.replace('\n', " ");
    match text.char_indices().nth(CELL) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

fn cell(value: &Dynamic) -> Cell {
    match value.is_int() || value.as_float().is_ok() {
        true => Cell::Number(cut(value)),
        false if value.is_unit() => Cell::Empty,
        false => Cell::Text(cut(value)),
    }
}

/// The keys that all items have, if they are maps with the same ones.
fn columns(items: &Array) -> Option<Vec<String>> {
    let keys = |item: &Dynamic| {
        item.read_lock::<Map>().map(|map| map.keys().map(|key| key.to_string()).collect::<Vec<String>>())
    };
    let first = keys(items.first()?)?;
    let fits = !first.is_empty() && first.len() <= COLUMNS && items.len() > 1;
    (fits && items.iter().all(|item| keys(item).as_ref() == Some(&first))).then_some(first)
}

/// A list of maps with the same keys.
fn rows(items: &Array, columns: &[String]) -> Display {
    let header: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut table = Table::new(&header);
    let mut lines: Vec<Vec<String>> = Vec::new();
    for item in items.iter().take(ROWS) {
        let Some(map) = item.read_lock::<Map>() else { continue };
        let values = || columns.iter().filter_map(|name| map.get(name.as_str()));
        table.row(values().map(cell));
        lines.push(values().map(cut).collect());
    }
    let mut text = display::table(&header, &lines);
    let rest = items.len().saturating_sub(ROWS);
    if rest > 0 {
        table.more(format!("and {rest} more rows"));
        text.push_str(&format!("\nand {rest} more rows"));
    }
    Display::text(text).on(&Page::new().table(&table))
}

/// A map.
pub(in crate::script) fn map(map: &Map) -> Display {
    let text = match line(inside(map.values()), || display::short_map(map)) {
        Some(line) => line,
        None => {
            let items = map.iter().map(|(name, value)| format!("{name}: {}", written(value)));
            let text = listed(map.len(), items);
            format!("#{{{}}}", &text[1..text.len() - 1])
        }
    };
    if map.len() < 2 {
        return Display::text(text);
    }
    let mut table = Table::new(&["", ""]);
    // Words and numbers under one another all begin at the left.
    let numbers = map.values().all(|value| matches!(cell(value), Cell::Number(_)));
    for (name, value) in map.iter().take(ROWS) {
        table.row([Cell::from(name.as_str()), if numbers { cell(value) } else { cut(value).into() }]);
    }
    let rest = map.len().saturating_sub(ROWS);
    if rest > 0 {
        table.more(format!("and {rest} more"));
    }
    Display::text(text).on(&Page::new().table(&table))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(script: &str) -> Dynamic {
        rhai::Engine::new().eval(script).unwrap()
    }

    fn shown(script: &str) -> Display {
        display::full(&value(script))
    }

    #[test]
    fn short_lists_stand_on_a_line_and_long_ones_are_cut() {
        assert_eq!(shown("[1, 2.5, \"a\"]"), Display::text("[1, 2.5, \"a\"]"));
        let text = shown("let a = []; for i in 0..1000 { a.push(i); } a").text;
        assert!(text.starts_with("[\n  0, 1, 2, ") && text.ends_with("199,\n  .. and 800 more\n]"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= LINE));
        let text = shown("let a = []; for i in 0..200 { a.push(i); } [a, 1, \"b\"]").text;
        assert_eq!(text, "[\n  a list of 200 items,\n  1,\n  \"b\",\n]");
        let text = shown("let a = []; for i in 0..70 { a.push(`item ${i}`); } a").text;
        assert!(
            text.starts_with("[\n  \"item 0\",\n") && text.ends_with("\"item 49\",\n  .. and 20 more\n]"),
            "{text}"
        );
    }

    #[test]
    fn maps_with_the_same_keys_are_rows() {
        let shown = shown("[#{fd: 61.2, name: \"<script>\"}, #{fd: 9.0, name: \"b\"}]");
        assert_eq!(shown.text, "  fd  name\n61.2  <script>\n 9.0  b");
        let page = shown.page().unwrap().unwrap();
        assert!(page.contains("<th class=\"fl-n\">fd</th><th>name</th>") && !page.contains("<script"), "{page}");
        assert!(page.contains("<td class=\"fl-n\">9.0</td><td>b</td>"), "{page}");
        // Other keys in one of them, or one map alone, are no table.
        assert_eq!(self::shown("[#{a: 1}, #{b: 2}]").html, None);
        assert_eq!(self::shown("[#{a: 1}]").html, None);
        let many = self::shown("let a = []; for i in 0..60 { a.push(#{i: i}); } a");
        assert!(many.text.ends_with("and 10 more rows") && many.page().unwrap().unwrap().contains("and 10 more rows"));
    }

    #[test]
    fn a_map_is_a_table_of_names_and_values() {
        let shown = shown("#{lr: 0.1, name: \"a & b\", none: ()}");
        assert_eq!(shown.text, "#{lr: 0.1, name: \"a & b\", none: ()}");
        let page = shown.page().unwrap().unwrap();
        assert!(page.contains("<td>lr</td><td>0.1</td>") && page.contains("<td>a &amp; b</td>"), "{page}");
        assert!(
            self::shown("#{a: 1, b: 2.5}").page().unwrap().unwrap().contains("<td>b</td><td class=\"fl-n\">2.5</td>")
        );
        let long = self::shown("let m = #{}; for i in 0..60 { m[`key${i}`] = i; } m");
        assert!(
            long.text.starts_with("#{\n  key0: 0,\n") && long.text.ends_with("  .. and 10 more\n}"),
            "{}",
            long.text
        );
    }
}
