//! A figure is a list of shapes in pixels; it comes out as a picture or as SVG, and looks the same in both.

use std::fmt::Write as _;

use tiny_skia::{FillRule, LineCap, LineJoin, Paint, PathBuilder, Pixmap, Stroke, Transform};

use super::font;
use super::palette::Ink;
use crate::error::{Error, Result};
use crate::progress::Picture;

/// A drawn figure. Sizes are in pixels of a page; a picture of it may have more.
#[derive(Debug, Clone)]
pub struct Figure {
    width: f64,
    height: f64,
    /// What the figure shows, for those who cannot see it.
    says: String,
    shapes: Vec<Shape>,
}

/// On which side of its point a text lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A run of letters.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub x: f64,
    /// The baseline.
    pub y: f64,
    pub text: String,
    pub size: f64,
    pub bold: bool,
    pub anchor: Anchor,
    pub ink: Ink,
    /// Degrees, clockwise.
    pub turn: f64,
}

#[derive(Debug, Clone)]
enum Shape {
    Line { points: Vec<(f64, f64)>, ink: Ink, width: f64, alpha: f64 },
    Area { points: Vec<(f64, f64)>, ink: Ink, alpha: f64 },
    Dot { x: f64, y: f64, radius: f64, ink: Ink, alpha: f64 },
    Text(Text),
}

impl Text {
    pub(crate) fn new(x: f64, y: f64, text: impl Into<String>, size: f64) -> Self {
        Self { x, y, text: text.into(), size, bold: false, anchor: Anchor::Start, ink: Ink::Soft, turn: 0.0 }
    }

    pub(crate) fn strong(mut self) -> Self {
        self.ink = Ink::Strong;
        self
    }

    pub(crate) fn bold(mut self) -> Self {
        self.bold = true;
        self.strong()
    }

    pub(crate) fn anchor(mut self, anchor: Anchor) -> Self {
        self.anchor = anchor;
        self
    }

    pub(crate) fn ink(mut self, ink: Ink) -> Self {
        self.ink = ink;
        self
    }

    pub(crate) fn turn(mut self, degrees: f64) -> Self {
        self.turn = degrees;
        self
    }
}

impl Figure {
    pub(crate) fn new(width: f64, height: f64, says: impl Into<String>) -> Self {
        Self { width, height, says: says.into(), shapes: Vec::new() }
    }

    /// Pixels across and down, on a page.
    pub fn size(&self) -> (f64, f64) {
        (self.width, self.height)
    }

    pub(crate) fn line(&mut self, points: Vec<(f64, f64)>, ink: Ink, width: f64, alpha: f64) {
        self.shapes.push(Shape::Line { points, ink, width, alpha });
    }

    pub(crate) fn area(&mut self, points: Vec<(f64, f64)>, ink: Ink, alpha: f64) {
        self.shapes.push(Shape::Area { points, ink, alpha });
    }

    pub(crate) fn dot(&mut self, x: f64, y: f64, radius: f64, ink: Ink, alpha: f64) {
        self.shapes.push(Shape::Dot { x, y, radius, ink, alpha });
    }

    pub(crate) fn text(&mut self, text: Text) {
        self.shapes.push(Shape::Text(text));
    }

    /// The figure on white, `scale` picture pixels to a page pixel.
    pub fn picture(&self, scale: f64) -> Result<Picture> {
        let (width, height) =
            ((self.width * scale).round().max(1.0) as u32, (self.height * scale).round().max(1.0) as u32);
        let mut pixmap = Pixmap::new(width, height)
            .ok_or_else(|| Error::new(format!("a picture of {width} x {height} pixels is too large to draw")))?;
        pixmap.fill(tiny_skia::Color::WHITE);
        for shape in &self.shapes {
            paint(&mut pixmap, shape, Transform::from_scale(scale as f32, scale as f32))?;
        }
        // On white every pixel is opaque, so premultiplied colours are the colours.
        let pixels = pixmap.data().chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
        Ok(Picture { width: width as usize, height: height as usize, pixels })
    }

    /// The figure as PNG on white, two picture pixels to a page pixel, for sharp screens and print.
    pub fn png(&self) -> Result<Vec<u8>> {
        super::png(&self.picture(2.0)?)
    }

    /// The figure as SVG with no background. Each colour also has a class (`ink-strong`, `ink-soft`, `ink-faint`,
    /// `ink-paper`, `ink-0` to `ink-9`) whose `color` a page may set.
    pub fn svg(&self) -> String {
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"figure\" role=\"img\" aria-label=\"{}\" \
             viewBox=\"0 0 {} {}\" width=\"{}\" height=\"{}\" font-family=\"Inter, system-ui, -apple-system, 'Segoe UI', \
             'Liberation Sans', Arial, sans-serif\">\n",
            escape(&self.says),
            short(self.width),
            short(self.height),
            short(self.width),
            short(self.height)
        );
        for shape in &self.shapes {
            svg(&mut out, shape);
        }
        out.push_str("</svg>\n");
        out
    }
}

fn paint(pixmap: &mut Pixmap, shape: &Shape, scale: Transform) -> Result<()> {
    match shape {
        Shape::Line { points, ink, width, alpha } => {
            let Some(path) = path(points, false) else { return Ok(()) };
            let stroke = Stroke {
                width: *width as f32,
                line_cap: LineCap::Round,
                line_join: LineJoin::Round,
                ..Stroke::default()
            };
            pixmap.stroke_path(&path, &colour(*ink, *alpha), &stroke, scale, None);
        }
        Shape::Area { points, ink, alpha } => {
            if let Some(path) = path(points, true) {
                pixmap.fill_path(&path, &colour(*ink, *alpha), FillRule::Winding, scale, None);
            }
        }
        Shape::Dot { x, y, radius, ink, alpha } => {
            if let Some(path) = PathBuilder::from_circle(*x as f32, *y as f32, *radius as f32) {
                pixmap.fill_path(&path, &colour(*ink, *alpha), FillRule::Winding, scale, None);
            }
        }
        Shape::Text(text) => write_text(pixmap, text, scale)?,
    }
    Ok(())
}

/// Paints letters on a pixmap.
pub(crate) fn write_text(pixmap: &mut Pixmap, text: &Text, scale: Transform) -> Result<()> {
    let Some(path) = font::outline(&text.text, text.size, text.bold)? else { return Ok(()) };
    let back = match text.anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => -font::width(&text.text, text.size, text.bold) / 2.0,
        Anchor::End => -font::width(&text.text, text.size, text.bold),
    };
    let place = scale
        .pre_translate(text.x as f32, text.y as f32)
        .pre_concat(Transform::from_rotate(text.turn as f32))
        .pre_translate(back as f32, 0.0);
    pixmap.fill_path(&path, &colour(text.ink, 1.0), FillRule::Winding, place, None);
    Ok(())
}

fn path(points: &[(f64, f64)], close: bool) -> Option<tiny_skia::Path> {
    let mut builder = PathBuilder::new();
    for (i, (x, y)) in points.iter().enumerate() {
        if i == 0 { builder.move_to(*x as f32, *y as f32) } else { builder.line_to(*x as f32, *y as f32) }
    }
    if close {
        builder.close();
    }
    builder.finish()
}

fn colour(ink: Ink, alpha: f64) -> Paint<'static> {
    let [red, green, blue] = ink.rgb();
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(red, green, blue, (alpha.clamp(0.0, 1.0) * 255.0).round() as u8);
    paint
}

fn svg(out: &mut String, shape: &Shape) {
    // Writing to a string cannot fail.
    let _ = match shape {
        Shape::Line { points, ink, width, alpha } => writeln!(
            out,
            "<path {} d=\"{}\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"{}\" \
             stroke-linecap=\"round\" stroke-linejoin=\"round\"{}/>",
            ink_svg(*ink),
            path_svg(points, false),
            short(*width),
            alpha_svg("stroke-opacity", *alpha)
        ),
        Shape::Area { points, ink, alpha } => writeln!(
            out,
            "<path {} d=\"{}\" fill=\"currentColor\"{}/>",
            ink_svg(*ink),
            path_svg(points, true),
            alpha_svg("fill-opacity", *alpha)
        ),
        Shape::Dot { x, y, radius, ink, alpha } => writeln!(
            out,
            "<circle {} cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"currentColor\"{}/>",
            ink_svg(*ink),
            short(*x),
            short(*y),
            short(*radius),
            alpha_svg("fill-opacity", *alpha)
        ),
        Shape::Text(text) => {
            let anchor = match text.anchor {
                Anchor::Start => "",
                Anchor::Middle => " text-anchor=\"middle\"",
                Anchor::End => " text-anchor=\"end\"",
            };
            let (x, y) = (short(text.x), short(text.y));
            let turn = if text.turn == 0.0 {
                String::new()
            } else {
                format!(" transform=\"rotate({} {x} {y})\"", short(text.turn))
            };
            // A page may have none but wider letters: they take the room that was left for ours.
            writeln!(
                out,
                "<text {} x=\"{x}\" y=\"{y}\" font-size=\"{}\"{}{anchor}{turn} textLength=\"{}\" \
                 lengthAdjust=\"spacingAndGlyphs\" fill=\"currentColor\">{}</text>",
                ink_svg(text.ink),
                short(text.size),
                if text.bold { " font-weight=\"600\"" } else { "" },
                short(font::width(&text.text, text.size, text.bold)),
                escape(&text.text)
            )
        }
    };
}

fn ink_svg(ink: Ink) -> String {
    let [red, green, blue] = ink.rgb();
    format!("class=\"{}\" color=\"#{red:02x}{green:02x}{blue:02x}\"", ink.class())
}

fn alpha_svg(name: &str, alpha: f64) -> String {
    if alpha >= 1.0 { String::new() } else { format!(" {name}=\"{}\"", short(alpha)) }
}

fn path_svg(points: &[(f64, f64)], close: bool) -> String {
    let mut out = String::new();
    for (i, (x, y)) in points.iter().enumerate() {
        let _ = write!(out, "{}{} {}", if i == 0 { "M" } else { "L" }, short(*x), short(*y));
    }
    if close {
        out.push('Z');
    }
    out
}

/// At most two decimals: a hundredth of a pixel is finer than any screen.
fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

/// Text made safe inside XML and HTML.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // XML has no place for these, escaped or not.
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
