//! A table of numbers as shades: the confusion matrix above all.

use plotters::chart::LabelAreaPosition;
use plotters::element::{Rectangle, Text as Label};
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, TRANSPARENT};

use super::axis::{Axis, BODY, Room, SMALL, TITLE};
use super::backend::{letters, px};
use super::canvas::{Anchor, Figure, Text};
use super::font;
use super::number::significant;
use super::palette::Ink;
use crate::error::{Error, Result};

/// How a heat map is drawn.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Heatmap {
    /// Above the figure; empty for none.
    pub title: String,
    /// Names down the side, one for each row; none when empty.
    pub rows: Vec<String>,
    /// Names across the top, one for each column; none when empty.
    pub columns: Vec<String>,
    /// What the rows are: `true class`.
    pub row_label: String,
    /// What the columns are: `inferred class`.
    pub column_label: String,
    /// Shade each number by its share of its row rather than of the largest number.
    pub by_row: bool,
}

/// Draws `values[row][column]`, each number written on its shade. All numbers are at or above zero.
pub fn heatmap(values: &[Vec<f64>], options: &Heatmap) -> Result<Figure> {
    let columns = values.first().map_or(0, Vec::len);
    if columns == 0 {
        return Err(Error::new("there is nothing to draw: the table is empty"));
    }
    if let Some((i, row)) = values.iter().enumerate().find(|(_, row)| row.len() != columns) {
        return Err(Error::new(format!("row {i} of the table has {} numbers, row 0 has {columns}", row.len())));
    }
    if let Some(bad) = values.iter().flatten().find(|v| !v.is_finite() || **v < 0.0) {
        return Err(Error::new(format!("the table holds {bad}; a heat map shows finite numbers at or above zero")));
    }
    for (names, expected, what) in [(&options.rows, values.len(), "row"), (&options.columns, columns, "column")] {
        if !names.is_empty() && names.len() != expected {
            return Err(Error::new(format!("the table has {expected} {what}s and {} {what} names", names.len())));
        }
    }
    let written: Vec<Vec<String>> = values.iter().map(|row| row.iter().map(|v| significant(*v, 3)).collect()).collect();
    let longest = written.iter().flatten().map(|text| font::width(text, SMALL, false)).fold(0.0, f64::max);
    let cell = (longest + 10.0).clamp(if columns > 25 { 18.0 } else { 34.0 }, 64.0);
    let tall = cell.min(34.0);
    let row_room = options.rows.iter().map(|n| font::width(n, BODY, false)).fold(0.0, f64::max).min(180.0);
    let column_room = options.columns.iter().map(|n| font::width(n, BODY, false)).fold(0.0, f64::max).min(150.0);
    // Names across the top lie flat where they fit and lean where they do not.
    let lean = column_room > cell - 6.0;
    let mut top = 6.0;
    if !options.title.is_empty() {
        top += TITLE + 12.0;
    }
    if !options.row_label.is_empty() || !options.column_label.is_empty() {
        top += SMALL + 12.0;
    }
    let names_at = top;
    const LEAN: f64 = 40.0;
    let rise = if lean { column_room * LEAN.to_radians().sin() + 6.0 } else { BODY };
    top += if options.columns.is_empty() { 0.0 } else { rise + 8.0 };
    let left = if options.rows.is_empty() { 2.0 } else { row_room + 12.0 };
    let overhang = if lean { (column_room * LEAN.to_radians().cos() - cell / 2.0).max(0.0) + 4.0 } else { 2.0 };
    let (grid_wide, grid_tall) = (cell * columns as f64, tall * values.len() as f64);
    let says = format!("{} {} by {}", options.title, options.row_label, options.column_label);
    let label = [(&options.row_label, "rows: "), (&options.column_label, "columns: ")]
        .iter()
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, side)| format!("{side}{name}"))
        .collect::<Vec<_>>()
        .join("    ");
    let wide = (left + grid_wide + overhang)
        .max(font::width(&options.title, TITLE, true) + 4.0)
        .max(font::width(&label, SMALL, false) + 4.0);
    let mut figure = Figure::new(wide.ceil(), (top + grid_tall + 4.0).ceil(), says.trim());
    if !options.title.is_empty() {
        figure.text(Text::new(2.0, 6.0 + TITLE, &options.title, TITLE).bold());
    }
    figure.text(Text::new(2.0, names_at - 12.0, label, SMALL));
    for (i, name) in options.columns.iter().enumerate() {
        let x = left + cell * (i as f64 + 0.5);
        let name = font::fit(name, BODY, false, 150.0);
        figure.text(if lean {
            Text::new(x - 1.0, top - 8.0, name, BODY).turn(-LEAN).strong()
        } else {
            Text::new(x, top - 8.0, name, BODY).anchor(Anchor::Middle).strong()
        });
    }
    let rows: Vec<String> = (0..values.len()).map(|r| options.rows.get(r).cloned().unwrap_or_default()).collect();
    let y = Axis::rows(rows.iter().map(|name| font::fit(name, BODY, false, row_room)));
    let (width, height) = figure.size();
    let room = Room { top, right: width - left - grid_wide, bottom: height - top - grid_tall, left };
    let mut chart = room.chart(&mut figure, Axis::new(0.0, columns as f64, false), y)?;
    chart
        .configure_mesh()
        .disable_mesh()
        .axis_style(TRANSPARENT)
        .y_label_style(letters(BODY, Ink::Strong, HPos::Right, VPos::Center))
        .set_tick_mark_size(LabelAreaPosition::Left, px(4.5))
        .draw()?;
    let largest = values.iter().flatten().fold(0.0f64, |a, b| a.max(*b));
    for (r, row) in values.iter().enumerate() {
        let whole = if options.by_row { row.iter().sum::<f64>() } else { largest };
        for (c, value) in row.iter().enumerate() {
            let share = if whole > 0.0 { value / whole } else { 0.0 };
            // The root lets the small mistakes show beside the large diagonal.
            let shade = 0.03 + 0.97 * share.sqrt();
            let (x, y) = (c as f64, r as f64);
            let gap = px(0.75) as u32;
            let mut square = Rectangle::new([(x, y), (x + 1.0, y + 1.0)], Ink::Series(0).mix(shade).filled());
            square.set_margin(gap, gap, gap, gap);
            chart.draw_series([square])?;
            if *value > 0.0 && cell >= 30.0 {
                let ink = if shade > 0.5 { Ink::Paper } else { Ink::Strong };
                let style = letters(SMALL, ink, HPos::Center, VPos::Center);
                chart.draw_series([Label::new(written[r][c].clone(), (x + 0.5, y + 0.5), style)])?;
            }
        }
    }
    drop(chart);
    Ok(figure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_number_is_darkest() {
        let options = Heatmap { rows: vec!["a".into(), "b".into()], by_row: true, ..Heatmap::default() };
        let svg = heatmap(&[vec![9.0, 1.0], vec![0.0, 10.0]], &options).unwrap().svg();
        let shades: Vec<&str> = svg.match_indices("fill-opacity=\"").map(|(i, _)| &svg[i + 14..i + 18]).collect();
        // Three paler cells; the cell that holds its whole row has no transparency at all.
        assert_eq!(shades, ["0.95", "0.34", "0.03"]);
    }

    #[test]
    fn a_table_must_be_whole() {
        let error = heatmap(&[vec![1.0, 2.0], vec![1.0]], &Heatmap::default()).unwrap_err();
        assert_eq!(error.message, "row 1 of the table has 1 numbers, row 0 has 2");
        assert!(heatmap(&[vec![-1.0]], &Heatmap::default()).is_err());
        let names = Heatmap { columns: vec!["a".into()], ..Heatmap::default() };
        assert_eq!(
            heatmap(&[vec![1.0, 2.0]], &names).unwrap_err().message,
            "the table has 2 columns and 1 column names"
        );
    }
}
