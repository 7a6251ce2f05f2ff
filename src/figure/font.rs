//! The letters of every figure: a small font inside the binary, so that a picture looks the same on every machine.

use ttf_parser::{Face, OutlineBuilder};

use crate::error::{Error, Result};

static REGULAR: &[u8] = include_bytes!("font/FewlabSans-Regular.otf");
static SEMIBOLD: &[u8] = include_bytes!("font/FewlabSans-SemiBold.otf");

fn face(bold: bool) -> Result<Face<'static>> {
    Face::parse(if bold { SEMIBOLD } else { REGULAR }, 0)
        .map_err(|error| Error::bug(format!("the bundled font is broken: {error}")))
}

/// The width of `text` at `size` pixels per em. A letter the font lacks is as wide as its box.
pub(crate) fn width(text: &str, size: f64, bold: bool) -> f64 {
    let Ok(face) = face(bold) else { return 0.0 };
    let units: f64 = text.chars().map(|c| advance(&face, c)).sum();
    units * size / f64::from(face.units_per_em())
}

/// `text`, cut with an ellipsis where it is wider than `limit` pixels.
pub(crate) fn fit(text: &str, size: f64, bold: bool, limit: f64) -> String {
    if width(text, size, bold) <= limit {
        return text.to_string();
    }
    let mut kept: String = text.to_string();
    while kept.pop().is_some() {
        let cut = format!("{}…", kept.trim_end());
        if width(&cut, size, bold) <= limit {
            return cut;
        }
    }
    String::new()
}

fn advance(face: &Face<'_>, c: char) -> f64 {
    let glyph = face.glyph_index(c).unwrap_or_default();
    f64::from(face.glyph_hor_advance(glyph).unwrap_or(0))
}

/// The outline of `text` with its baseline starting at (0, 0), `size` pixels per em, y down.
pub(crate) fn outline(text: &str, size: f64, bold: bool) -> Result<Option<tiny_skia::Path>> {
    let face = face(bold)?;
    let scale = (size / f64::from(face.units_per_em())) as f32;
    let mut pen = Pen { path: tiny_skia::PathBuilder::new(), x: 0.0, scale };
    for c in text.chars() {
        let glyph = face.glyph_index(c).unwrap_or_default();
        face.outline_glyph(glyph, &mut pen);
        pen.x += advance(&face, c) as f32 * scale;
    }
    Ok(pen.path.finish())
}

struct Pen {
    path: tiny_skia::PathBuilder,
    x: f32,
    scale: f32,
}

impl Pen {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        (self.x + x * self.scale, -y * self.scale)
    }
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_have_one_width() {
        assert_eq!(width("1", 10.0, false), width("8", 10.0, false));
        assert!(width("i", 10.0, false) < width("m", 10.0, false));
    }

    #[test]
    fn long_text_is_cut_to_its_place() {
        let cut = fit("a rather long name", 12.0, false, 60.0);
        assert!(cut.ends_with('…') && width(&cut, 12.0, false) <= 60.0, "{cut}");
        assert_eq!(fit("short", 12.0, false, 60.0), "short");
    }
}
