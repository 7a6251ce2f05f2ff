//! Pictures: curves, image grids, bars, heat maps, scatter. Plain data in, pixels or SVG out; no opinion on where they are
//! shown, and no knowledge of tensors.
//!
//! A chart is a [`Figure`]: [`Figure::png`] for a terminal, a file or a notebook, [`Figure::svg`] for a page that gives it
//! its own colours. A grid of images is a [`Picture`], as are the samples that a training run hands its observer.

mod animation;
mod axis;
mod backend;
mod bars;
mod canvas;
mod curves;
mod font;
mod frontier;
mod grid;
mod heatmap;
mod number;
mod palette;
mod scatter;

pub use animation::Animation;
pub use bars::{Bar, Bars, bars};
pub use canvas::Figure;
pub use curves::{Curves, Series, curves, falls_far};
pub use frontier::{Frontier, frontier};
pub use grid::{Grid, Images, grid};
pub use heatmap::{Heatmap, heatmap};
pub use scatter::{Cloud, Scatter, scatter};

pub(crate) use canvas::escape;
pub(crate) use number::{count, percent, significant};

use crate::error::{Error, Result};
use crate::progress::Picture;

/// A picture as a PNG file. One without colour is stored as grey, a third of the size.
pub fn png(picture: &Picture) -> Result<Vec<u8>> {
    use image::ImageEncoder;
    use image::codecs::png::{CompressionType, FilterType, PngEncoder};
    let (width, height) = (picture.width as u32, picture.height as u32);
    if picture.pixels.len() != picture.width * picture.height * 3 || picture.pixels.is_empty() {
        return Err(Error::bug(format!("a picture of {width} x {height} has {} bytes", picture.pixels.len())));
    }
    let grey = picture.is_grey();
    let mut file = Vec::new();
    // No filter: images made of repeated pixels and flat areas are smallest so.
    let encoder = PngEncoder::new_with_quality(&mut file, CompressionType::Default, FilterType::NoFilter);
    let written = if grey {
        encoder.write_image(&picture.grey(), width, height, image::ExtendedColorType::L8)
    } else {
        encoder.write_image(&picture.pixels, width, height, image::ExtendedColorType::Rgb8)
    };
    written
        .map_err(|error| Error::new(format!("cannot write a picture of {width} x {height} pixels as PNG: {error}")))?;
    Ok(file)
}

#[cfg(test)]
mod testing {
    use super::*;

    /// How many pixels are nearly of this ink.
    pub(crate) fn inked(picture: &Picture, ink: palette::Ink) -> usize {
        let near = |p: &[u8]| p.iter().zip(ink.rgb()).all(|(a, b)| a.abs_diff(b) < 42);
        picture.pixels.chunks_exact(3).filter(|p| near(p)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_png_gives_its_pixels_back() {
        let colour = Picture { width: 2, height: 1, pixels: vec![1, 2, 3, 4, 5, 6] };
        assert_eq!(image::load_from_memory(&png(&colour).unwrap()).unwrap().to_rgb8().into_raw(), colour.pixels);
        let grey = Picture { width: 2, height: 1, pixels: vec![9, 9, 9, 200, 200, 200] };
        let back = image::load_from_memory(&png(&grey).unwrap()).unwrap();
        assert_eq!(back.color(), image::ColorType::L8);
        assert_eq!(back.to_rgb8().into_raw(), grey.pixels);
    }
}
