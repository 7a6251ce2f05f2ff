//! Where plotters draws: its shapes become the figure's own, in our inks and our letters.
//!
//! Plotters counts whole pixels. It is given a sheet with a hundred of its pixels to each of ours, so that a line lies where
//! it should and may be 1.8 pixels wide; [`px`] says a length in them.

use std::convert::Infallible;

use plotters::drawing::DrawingAreaErrorKind;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, FontTransform, TextStyle};
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind};

use super::canvas::{Anchor, Figure, Text};
use super::font;
use super::palette::Ink;
use crate::error::Error;

/// Units of plotters in a pixel: as fine as the numbers in an SVG.
const UNIT: f64 = 100.0;

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

/// A length in pixels, as plotters is told it.
pub(crate) fn px(pixels: f64) -> i32 {
    (pixels * UNIT).round() as i32
}

/// The style of text of this size in pixels, with the side of its point that it lies on.
pub(crate) fn letters(size: f64, ink: Ink, across: HPos, down: VPos) -> TextStyle<'static> {
    FontDesc::new(FontFamily::SansSerif, size * UNIT, FontStyle::Normal).color(&ink).pos(Pos::new(across, down))
}

fn place((x, y): BackendCoord) -> (f64, f64) {
    (f64::from(x) / UNIT, f64::from(y) / UNIT)
}

fn places(points: impl IntoIterator<Item = BackendCoord>) -> Vec<(f64, f64)> {
    points.into_iter().map(place).collect()
}

impl Color for Ink {
    fn to_backend_color(&self) -> BackendColor {
        let [red, green, blue] = Ink::rgb(*self);
        BackendColor { alpha: 1.0, rgb: (red, green, blue) }
    }
}

impl From<BackendColor> for Ink {
    fn from(colour: BackendColor) -> Self {
        Ink::named(colour.rgb.into())
    }
}

/// A reference, so that the figure is ours again when the chart is done.
impl DrawingBackend for &mut Figure {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        let (width, height) = self.size();
        (px(width) as u32, px(height) as u32)
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, colour: BackendColor) -> Drawn {
        self.draw_rect((x, y), (x + 1, y + 1), &colour, true)
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn {
        self.draw_path([from, to], style)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Drawn {
        let colour = style.color();
        if colour.alpha > 0.0 {
            self.line(places(path), colour.into(), f64::from(style.stroke_width()) / UNIT, colour.alpha);
        }
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(&mut self, a: BackendCoord, b: BackendCoord, style: &S, fill: bool) -> Drawn {
        let corners = [a, (b.0, a.1), b, (a.0, b.1)];
        if fill { self.fill_polygon(corners, style) } else { self.draw_path(corners.into_iter().chain([a]), style) }
    }

    fn draw_circle<S: BackendStyle>(&mut self, centre: BackendCoord, radius: u32, style: &S, fill: bool) -> Drawn {
        let (colour, (x, y), radius) = (style.color(), place(centre), f64::from(radius) / UNIT);
        if !fill {
            let turn = |i: i32| (f64::from(i) / 24.0 * std::f64::consts::PI).sin_cos();
            return self.draw_path((0..=48).map(turn).map(|(s, c)| (px(x + radius * c), px(y + radius * s))), style);
        }
        if colour.alpha > 0.0 {
            self.dot(x, y, radius, colour.into(), colour.alpha);
        }
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, corners: I, style: &S) -> Drawn {
        let colour = style.color();
        if colour.alpha > 0.0 {
            self.area(places(corners), colour.into(), colour.alpha);
        }
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, at: BackendCoord) -> Drawn {
        let (size, bold) = (style.size() / UNIT, matches!(style.style(), FontStyle::Bold));
        // From the point to the baseline: capitals are 0.72 of the size high, what stands above and below them 0.1 and 0.2.
        let drop = match style.anchor().v_pos {
            VPos::Top => 0.82,
            VPos::Center => 0.36,
            VPos::Bottom => -0.2,
        };
        let (right, down) = style.transform().transform(0, px(drop * size));
        let (mut x, y) = place((at.0 + right, at.1 + down));
        let (anchor, turn) = (
            match style.anchor().h_pos {
                HPos::Left => Anchor::Start,
                HPos::Center => Anchor::Middle,
                HPos::Right => Anchor::End,
            },
            match style.transform() {
                FontTransform::None => 0.0,
                FontTransform::Rotate90 => 90.0,
                FontTransform::Rotate180 => 180.0,
                FontTransform::Rotate270 => 270.0,
            },
        );
        if anchor == Anchor::Middle && turn == 0.0 {
            // The outermost number of an axis stays inside the figure.
            let half = font::width(text, size, bold) / 2.0 + 1.0;
            x = x.min(self.size().0 - half).max(half);
        }
        let colour = style.color();
        let text = Text::new(x, y, text, size).anchor(anchor).turn(turn);
        if colour.alpha > 0.0 {
            self.text(if bold { text.bold() } else { text }.ink(colour.into()));
        }
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let wide = font::width(text, style.size(), matches!(style.style(), FontStyle::Bold));
        Ok((wide.ceil() as u32, style.size().ceil() as u32))
    }
}

/// Drawing on a figure cannot fail; laying a chart out on it could.
impl From<DrawingAreaErrorKind<Infallible>> for Error {
    fn from(error: DrawingAreaErrorKind<Infallible>) -> Self {
        Error::bug(format!("cannot draw a chart: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plotters::drawing::IntoDrawingArea;
    use plotters::element::{Circle, PathElement, Rectangle};

    #[test]
    fn what_plotters_draws_becomes_shapes_of_the_figure() {
        let mut figure = Figure::new(100.0, 50.0, "");
        let root = (&mut figure).into_drawing_area();
        let corners = [(px(1.5), px(2.0)), (px(10.0), px(8.25))];
        root.draw(&Rectangle::new(corners, Ink::Series(2).mix(0.5).filled())).unwrap();
        root.draw(&Rectangle::new(corners, Ink::Soft.stroke_width(px(1.8) as u32))).unwrap();
        root.draw(&PathElement::new(corners, Ink::Paper.mix(0.0))).unwrap();
        root.draw(&Circle::new((px(50.0), px(25.0)), px(3.4), Ink::Faint.filled())).unwrap();
        root.draw(&Circle::new((px(50.0), px(25.0)), px(3.4), Ink::Series(1))).unwrap();
        let style = letters(10.0, Ink::Strong, HPos::Right, VPos::Center);
        root.draw_text("aside", &style.transform(FontTransform::Rotate270), (px(20.0), px(20.0))).unwrap();
        root.draw_text("inside", &letters(10.0, Ink::Strong, HPos::Center, VPos::Top), (0, px(20.0))).unwrap();
        drop(root);
        let svg = figure.svg();
        let shapes: Vec<&str> = svg.lines().skip(1).collect();
        assert!(shapes[0].contains("class=\"ink-2\"") && shapes[0].contains("d=\"M1.5 2L10 2L10 8.25L1.5 8.25Z\""));
        assert!(shapes[0].contains("fill-opacity=\"0.5\""));
        assert!(shapes[1].contains("class=\"ink-soft\"") && shapes[1].contains("stroke-width=\"1.8\""));
        assert!(shapes[1].contains("L1.5 8.25L1.5 2\""));
        assert!(shapes[2].starts_with("<circle class=\"ink-faint\"") && shapes[2].contains("r=\"3.4\""));
        assert!(shapes[3].contains("class=\"ink-1\"") && shapes[3].contains("M53.4 25L"));
        // Turned to read upwards, its middle is to the left of its baseline.
        assert!(
            shapes[4].contains("x=\"23.6\" y=\"20\"") && shapes[4].contains("rotate(270 23.6 20)"),
            "{}",
            shapes[4]
        );
        let half = font::width("inside", 10.0, false) / 2.0 + 1.0;
        assert!(shapes[5].contains(&format!("x=\"{half:.2}\" y=\"28.2\" font-size=\"10\"")), "{}", shapes[5]);
        assert_eq!(shapes.len(), 7);
    }
}
