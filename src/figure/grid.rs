//! Images side by side, enlarged so that small ones can be seen.

use super::axis::{BODY, TITLE};
use super::canvas::{Anchor, Text, write_text};
use super::font;
use crate::error::{Error, Result};
use crate::progress::Picture;

/// Images of one size as plain bytes, `[n, channels, height, width]`, 0 black to 255 white.
#[derive(Debug, Clone, Copy)]
pub struct Images<'a> {
    /// Every image, one after the other.
    pub pixels: &'a [u8],
    /// 1 for grey, 3 for red, green and blue.
    pub channels: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
}

/// How a grid is laid out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Grid {
    /// Above the grid; empty for none.
    pub title: String,
    /// Images across; 0 for about as many as down.
    pub columns: usize,
    /// Picture pixels for each image pixel, across and down; 0 to make each image about 64 pixels wide.
    pub scale: usize,
    /// Names across the top, one for each column; none when empty.
    pub column_labels: Vec<String>,
    /// Names down the side, one for each row; none when empty.
    pub row_labels: Vec<String>,
}

/// White pixels between two images.
const GAP: usize = 2;

/// Lays the images out row by row on white. Pixels are repeated, never blended: what is seen is what is there.
pub fn grid(images: &Images<'_>, options: &Grid) -> Result<Picture> {
    let one = images.channels * images.height * images.width;
    if !matches!(images.channels, 1 | 3) {
        return Err(Error::new(format!(
            "images have {} channels; a grid shows 1 (grey) or 3 (red, green, blue)",
            images.channels
        )));
    }
    if one == 0 || images.pixels.is_empty() || !images.pixels.len().is_multiple_of(one) {
        return Err(Error::new(format!(
            "{} bytes are no whole number of images of {} x {} x {} bytes",
            images.pixels.len(),
            images.channels,
            images.height,
            images.width
        )));
    }
    let count = images.pixels.len() / one;
    let columns = if options.columns > 0 { options.columns.min(count) } else { (count as f64).sqrt().ceil() as usize };
    let rows = count.div_ceil(columns);
    for (names, expected, what) in [(&options.column_labels, columns, "column"), (&options.row_labels, rows, "row")] {
        if !names.is_empty() && names.len() != expected {
            return Err(Error::new(format!("the grid has {expected} {what}s and {} {what} labels", names.len())));
        }
    }
    let scale = if options.scale > 0 { options.scale } else { (64.0 / images.width as f64).round().max(1.0) as usize };
    let (wide, tall) = (images.width * scale, images.height * scale);
    let longest =
        |names: &[String], size: f64| names.iter().map(|name| font::width(name, size, false)).fold(0.0, f64::max);
    let left = if options.row_labels.is_empty() { 0 } else { longest(&options.row_labels, BODY).ceil() as usize + 8 };
    // Names lean when a column is too narrow for the longest.
    let room = longest(&options.column_labels, BODY).min(140.0);
    let lean = !options.column_labels.is_empty() && room > wide as f64 - 2.0;
    let head = if options.title.is_empty() { 0 } else { TITLE as usize + 12 };
    let names = match (options.column_labels.is_empty(), lean) {
        (true, _) => 0,
        (false, false) => BODY as usize + 8,
        (false, true) => (room * LEAN.to_radians().sin()) as usize + 18,
    };
    let top = head + names;
    let overhang = if lean { (room * LEAN.to_radians().cos() - wide as f64 / 2.0).max(0.0) as usize + 6 } else { 0 };
    let mut width = left + columns * (wide + GAP) - GAP + overhang;
    if !options.title.is_empty() {
        width = width.max(font::width(&options.title, TITLE, true).ceil() as usize + 2);
    }
    let height = top + rows * (tall + GAP) - GAP;
    let too_large = || {
        Error::new(format!("a grid of {width} x {height} pixels is too large to draw"))
            .help("show fewer images, or a smaller `scale`")
    };
    let size = (u32::try_from(width).map_err(|_| too_large())?, u32::try_from(height).map_err(|_| too_large())?);
    let mut pixmap = tiny_skia::Pixmap::new(size.0, size.1).ok_or_else(too_large)?;
    pixmap.fill(tiny_skia::Color::WHITE);
    let level = tiny_skia::Transform::identity();
    if !options.title.is_empty() {
        write_text(&mut pixmap, &Text::new(1.0, TITLE + 1.0, &options.title, TITLE).bold(), level)?;
    }
    for (i, name) in options.column_labels.iter().enumerate() {
        let (x, y) = ((left + i * (wide + GAP)) as f64 + wide as f64 / 2.0, top as f64 - 6.0);
        let name = font::fit(name, BODY, false, 140.0);
        let text = if lean {
            Text::new(x, y, name, BODY).turn(-LEAN)
        } else {
            Text::new(x, y, name, BODY).anchor(Anchor::Middle)
        };
        write_text(&mut pixmap, &text.strong(), level)?;
    }
    for (i, name) in options.row_labels.iter().enumerate() {
        let y = (top + i * (tall + GAP)) as f64 + tall as f64 / 2.0 + BODY * 0.36;
        write_text(&mut pixmap, &Text::new(left as f64 - 7.0, y, name, BODY).anchor(Anchor::End).strong(), level)?;
    }
    let mut pixels: Vec<u8> = pixmap.data().chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
    let plane = images.height * images.width;
    for (index, image) in images.pixels.chunks_exact(one).enumerate() {
        let (x0, y0) = (left + index % columns * (wide + GAP), top + index / columns * (tall + GAP));
        for y in 0..tall {
            for x in 0..wide {
                let source = y / scale * images.width + x / scale;
                let to = ((y0 + y) * width + x0 + x) * 3;
                for channel in 0..3 {
                    let plane_of = if images.channels == 3 { channel * plane } else { 0 };
                    pixels[to + channel] = image[plane_of + source];
                }
            }
        }
    }
    Ok(Picture { width, height, pixels })
}

/// Degrees that names lean where they would run into one another.
const LEAN: f64 = 40.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn pixel(picture: &Picture, x: usize, y: usize) -> [u8; 3] {
        let at = (y * picture.width + x) * 3;
        [picture.pixels[at], picture.pixels[at + 1], picture.pixels[at + 2]]
    }

    #[test]
    fn grey_images_lie_row_by_row_with_gaps() {
        let pixels = [0, 50, 100, 150, 9, 9, 9, 9, 7, 7, 7, 7];
        let images = Images { pixels: &pixels, channels: 1, height: 2, width: 2 };
        let picture = grid(&images, &Grid { columns: 2, scale: 3, ..Grid::default() }).unwrap();
        assert_eq!((picture.width, picture.height), (2 * 6 + 2, 2 * 6 + 2));
        assert_eq!(pixel(&picture, 0, 0), [0; 3]);
        assert_eq!(pixel(&picture, 5, 2), [50; 3]);
        assert_eq!(pixel(&picture, 2, 5), [100; 3]);
        assert_eq!(pixel(&picture, 6, 0), [255; 3], "a gap");
        assert_eq!(pixel(&picture, 8, 0), [9; 3], "the second image is at the right");
        assert_eq!(pixel(&picture, 0, 8), [7; 3], "the third image is below");
        assert_eq!(pixel(&picture, 13, 13), [255; 3], "no fourth image");
    }

    #[test]
    fn colours_come_from_their_planes() {
        let images = Images { pixels: &[10, 20, 30], channels: 3, height: 1, width: 1 };
        let picture = grid(&images, &Grid { scale: 1, ..Grid::default() }).unwrap();
        assert_eq!(picture.pixels, [10, 20, 30]);
    }

    #[test]
    fn labels_get_room_and_ink() {
        let pixels = vec![255u8; 4 * 28 * 28];
        let images = Images { pixels: &pixels, channels: 1, height: 28, width: 28 };
        let names = |a: &str, b: &str| vec![a.to_string(), b.to_string()];
        let options = Grid {
            columns: 2,
            column_labels: names("T-shirt/top", "Ankle boot"),
            row_labels: names("real", "fake"),
            ..Grid::default()
        };
        let picture = grid(&images, &options).unwrap();
        assert!(picture.width > 2 * 56 + 2 && picture.height > 2 * 56 + 2);
        assert!(picture.pixels.iter().any(|v| *v < 100), "the labels are dark");
        assert_eq!(picture.pixels.len(), picture.width * picture.height * 3);
    }

    #[test]
    fn what_is_no_grid_says_why() {
        let images = Images { pixels: &[0; 7], channels: 1, height: 2, width: 2 };
        assert_eq!(
            grid(&images, &Grid::default()).unwrap_err().message,
            "7 bytes are no whole number of images of 1 x 2 x 2 bytes"
        );
        let images = Images { pixels: &[0; 8], channels: 2, height: 2, width: 2 };
        assert!(grid(&images, &Grid::default()).unwrap_err().message.starts_with("images have 2 channels"));
        let images = Images { pixels: &[0; 8], channels: 1, height: 2, width: 2 };
        let options = Grid { columns: 2, column_labels: vec!["a".into()], ..Grid::default() };
        assert_eq!(grid(&images, &options).unwrap_err().message, "the grid has 2 columns and 1 column labels");
    }
}
