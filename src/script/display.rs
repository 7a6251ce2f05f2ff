//! A value, as a person sees it: a short form for `print`, a full form for `show` and a cell's last value.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use rhai::{Array, Dynamic, Engine, FnPtr, Map};

use crate::progress::Picture;

/// What is shown of a value, in the forms a front end may choose from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Display {
    /// For a terminal.
    pub text: String,
    /// For a page, if there is more to show than the text.
    pub html: Option<String>,
    /// Pictures, each with a name for its file.
    pub pictures: Vec<(String, Picture)>,
}

impl Display {
    /// Text alone.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// A picture with a line of text.
    pub fn picture(text: impl Into<String>, name: impl Into<String>, picture: Picture) -> Self {
        Self { text: text.into(), html: None, pictures: vec![(name.into(), picture)] }
    }
}

/// A type that scripts hold.
pub trait Show: Clone + Send + Sync + 'static {
    /// What scripts call the type.
    const NAME: &'static str;
    /// On one line.
    fn short(&self) -> String;
    /// In full.
    fn full(&self) -> Display {
        Display::text(self.short())
    }
}

type Shower = (fn(&Dynamic) -> String, fn(&Dynamic) -> Display);

/// How to show the types that scripts hold. Types are made known once, by whichever session comes first.
static SHOWERS: LazyLock<Mutex<HashMap<TypeId, Shower>>> = LazyLock::new(Mutex::default);

/// Makes a type known to `engine`: its name, and how it is shown.
pub fn know<T: Show>(engine: &mut Engine) {
    engine.register_type_with_name::<T>(T::NAME);
    let shower: Shower = (
        |value| value.read_lock::<T>().map(|value| value.short()).unwrap_or_default(),
        |value| value.read_lock::<T>().map(|value| value.full()).unwrap_or_default(),
    );
    SHOWERS.lock().unwrap_or_else(PoisonError::into_inner).insert(TypeId::of::<T>(), shower);
    // By value: constants are shown as well.
    engine.register_fn("to_string", |value: T| value.short());
    engine.register_fn("to_debug", |value: T| value.short());
}

fn shower(value: &Dynamic) -> Option<Shower> {
    SHOWERS.lock().unwrap_or_else(PoisonError::into_inner).get(&value.type_id()).copied()
}

/// A value on one line.
pub fn short(value: &Dynamic) -> String {
    if let Some((short, _)) = shower(value) {
        return short(value);
    }
    if let Some(items) = value.read_lock::<Array>() {
        return format!("[{}]", items.iter().map(short).collect::<Vec<_>>().join(", "));
    }
    if let Some(map) = value.read_lock::<Map>() {
        let items: Vec<String> = map.iter().map(|(name, value)| format!("{name}: {}", short(value))).collect();
        return format!("#{{{}}}", items.join(", "));
    }
    if let Some(function) = value.read_lock::<FnPtr>() {
        return if function.is_anonymous() {
            "a function".into()
        } else {
            format!("the function `{}`", function.fn_name())
        };
    }
    if value.is_string() {
        return format!("{:?}", value.to_string());
    }
    if let Ok(number) = value.as_float() {
        return float(number);
    }
    if value.is_unit() {
        return "()".into();
    }
    value.to_string()
}

/// A value in full.
pub fn full(value: &Dynamic) -> Display {
    if let Some((_, full)) = shower(value) {
        return full(value);
    }
    if value.is_string() {
        return Display::text(value.to_string());
    }
    if let Some(items) = value.read_lock::<Array>() {
        let line = short(value);
        if line.chars().count() <= 100 {
            return Display::text(line);
        }
        let lines: Vec<String> = items.iter().map(|item| format!("  {},", short(item))).collect();
        return Display::text(format!("[\n{}\n]", lines.join("\n")));
    }
    if let Some(map) = value.read_lock::<Map>() {
        let line = short(value);
        if line.chars().count() <= 100 {
            return Display::text(line);
        }
        let lines: Vec<String> = map.iter().map(|(name, value)| format!("  {name}: {},", short(value))).collect();
        return Display::text(format!("#{{\n{}\n}}", lines.join("\n")));
    }
    Display::text(short(value))
}

/// A number as a script writes it: always with a point or an exponent.
pub fn float(number: f64) -> String {
    match number.abs() {
        _ if !number.is_finite() => format!("{number}"),
        size if size != 0.0 && !(1e-4..1e15).contains(&size) => format!("{number:e}"),
        _ if number.fract() == 0.0 => format!("{number:.1}"),
        _ => format!("{number}"),
    }
}

/// A measured number with a sensible count of digits.
pub fn rounded(number: f64) -> String {
    let text = match number.abs() {
        _ if !number.is_finite() => return format!("{number}"),
        0.0 => return "0".into(),
        size if !(1e-4..1e6).contains(&size) => return format!("{number:.3e}"),
        size => format!("{number:.*}", (4 - size.log10().floor() as i32 - 1).clamp(0, 7) as usize),
    };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

/// Lines of cells under one another, numbers to the right.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let columns = header.len();
    let width: Vec<usize> = (0..columns)
        .map(|c| {
            rows.iter()
                .filter_map(|row| row.get(c))
                .map(|cell| cell.chars().count())
                .chain([header[c].chars().count()])
                .max()
                .unwrap_or(0)
        })
        .collect();
    let right: Vec<bool> = (0..columns)
        .map(|c| {
            !rows.is_empty()
                && rows.iter().all(|row| {
                    row.get(c).is_none_or(|cell| {
                        cell.is_empty() || cell.starts_with(|c: char| c.is_ascii_digit() || c == '-')
                    })
                })
        })
        .collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().enumerate().map(|(c, cell)| {
            let space = " ".repeat(width[c] - cell.chars().count().min(width[c]));
            if right[c] { format!("{space}{cell}") } else { format!("{cell}{space}") }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_string()
    };
    let mut lines = vec![line(header.to_vec())];
    lines.extend(rows.iter().map(|row| line((0..columns).map(|c| row.get(c).map_or("", String::as_str)).collect())));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_as_what_they_are() {
        assert_eq!(float(1.0), "1.0");
        assert_eq!(float(2e-4), "0.0002");
        assert_eq!(float(1e-7), "1e-7");
        assert_eq!(rounded(61.23456), "61.23");
        assert_eq!(rounded(0.5), "0.5");
        assert_eq!(rounded(123_456.0), "123456");
    }

    #[test]
    fn columns_of_numbers_stand_to_the_right() {
        let rows = vec![vec!["a".into(), "1".into()], vec!["bcd".into(), "20".into()]];
        assert_eq!(table(&["name", "n"], &rows), "name   n\na      1\nbcd   20");
    }

    #[test]
    fn values_inside_values_are_shown_short() {
        let mut map = Map::new();
        map.insert("a".into(), Dynamic::from_array(vec![1_i64.into(), 2.5.into(), "x".into(), Dynamic::UNIT]));
        assert_eq!(short(&Dynamic::from_map(map)), "#{a: [1, 2.5, \"x\", ()]}");
    }
}
