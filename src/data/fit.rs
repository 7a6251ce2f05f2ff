//! Images brought to one size and number of channels.

use image::imageops::FilterType;
use image::{DynamicImage, GenericImage, GrayImage, Rgb, RgbImage, Rgba};

use super::images::{Images, Shape};
use crate::error::{Error, Result};
use crate::table;

/// How an image of another size becomes a square of the wanted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// Scaled until it covers the square, what sticks out is cut off on both sides.
    Crop,
    /// Scaled down if it is too large, then put in the middle of a black square.
    Pad,
}

impl Fit {
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "crop" => Ok(Self::Crop),
            "pad" => Ok(Self::Pad),
            _ => Err(table::unknown("fit", name, ["crop", "pad"])),
        }
    }
}

/// Scaling is bilinear, over all pixels that fall into one when it makes an image smaller.
const FILTER: FilterType = FilterType::Triangle;

/// `picture` as a square of `side` pixels, grey if it was grey.
pub(super) fn square(picture: DynamicImage, side: usize, fit: Fit) -> DynamicImage {
    let target = side as u32;
    if (picture.width(), picture.height()) == (target, target) {
        return picture;
    }
    match fit {
        Fit::Crop => picture.resize_to_fill(target, target, FILTER),
        Fit::Pad => {
            let larger = picture.width() > target || picture.height() > target;
            let picture = if larger { picture.resize(target, target, FILTER) } else { picture };
            let mut square = match picture {
                DynamicImage::ImageLuma8(_) => DynamicImage::new_luma8(target, target),
                _ => DynamicImage::new_rgb8(target, target),
            };
            let (left, top) = ((target - picture.width()) / 2, (target - picture.height()) / 2);
            for y in 0..picture.height() {
                for x in 0..picture.width() {
                    square.put_pixel(left + x, top + y, image::GenericImageView::get_pixel(&picture, x, y));
                }
            }
            square
        }
    }
}

/// `picture` with 8 bits a channel, grey or colour; what is transparent shows white, like paper.
pub(super) fn opaque(picture: DynamicImage) -> DynamicImage {
    let grey = !picture.color().has_color();
    if !picture.color().has_alpha() {
        return if grey { picture.to_luma8().into() } else { picture.to_rgb8().into() };
    }
    let picture = picture.to_rgba8();
    let mut paper = RgbImage::new(picture.width(), picture.height());
    for (target, Rgba([red, green, blue, alpha])) in paper.pixels_mut().zip(picture.pixels()) {
        let blend =
            |value: &u8| ((u32::from(*value) * u32::from(*alpha) + 255 * (255 - u32::from(*alpha)) + 127) / 255) as u8;
        *target = Rgb([blend(red), blend(green), blend(blue)]);
    }
    let paper = DynamicImage::ImageRgb8(paper);
    if grey { paper.to_luma8().into() } else { paper }
}

/// The bytes of an opaque picture, channel by channel.
pub(super) fn planes(picture: &DynamicImage) -> (Shape, Vec<u8>) {
    let (height, width) = (picture.height() as usize, picture.width() as usize);
    match picture {
        DynamicImage::ImageLuma8(grey) => (Shape { channels: 1, height, width }, grey.as_raw().clone()),
        other => {
            let rgb = other.to_rgb8();
            let pixels = (0..3).flat_map(|channel| rgb.as_raw().iter().skip(channel).step_by(3).copied()).collect();
            (Shape { channels: 3, height, width }, pixels)
        }
    }
}

/// The picture of the bytes of one image.
fn picture(pixels: &[u8], shape: Shape) -> Result<DynamicImage> {
    let (width, height) = (shape.width as u32, shape.height as u32);
    let picture = if shape.channels == 1 {
        GrayImage::from_raw(width, height, pixels.to_vec()).map(DynamicImage::ImageLuma8)
    } else {
        let plane = shape.height * shape.width;
        let rgb = (0..plane).flat_map(|place| (0..3).map(move |channel| pixels[channel * plane + place])).collect();
        RgbImage::from_raw(width, height, rgb).map(DynamicImage::ImageRgb8)
    };
    picture.ok_or_else(|| Error::bug(format!("{} bytes are no {shape} image", pixels.len())))
}

/// `images` as squares of `side` pixels.
pub(super) fn resize(images: &Images, side: usize, fit: Fit) -> Result<Images> {
    let shape = images.shape();
    if (shape.height, shape.width) == (side, side) {
        return Ok(images.clone());
    }
    let mut pixels = Vec::with_capacity(images.n() * shape.channels * side * side);
    for index in 0..images.n() {
        pixels.extend(planes(&square(picture(images.image(index), shape)?, side, fit)).1);
    }
    Images::new(Shape { height: side, width: side, ..shape }, pixels)
}

/// `images` with 1 channel (the luminance of colours, ITU-R BT.709) or 3 (grey repeated).
pub(super) fn recolour(images: &Images, channels: usize) -> Result<Images> {
    let shape = images.shape();
    let target = Shape { channels, ..shape };
    match (shape.channels, channels) {
        (from, to) if from == to => Ok(images.clone()),
        (1, 3) => Images::new(target, (0..images.n()).flat_map(|index| images.image(index).repeat(3)).collect()),
        (3, 1) => {
            let mut pixels = Vec::with_capacity(images.n() * target.bytes());
            for index in 0..images.n() {
                pixels.extend(picture(images.image(index), shape)?.to_luma8().into_raw());
            }
            Images::new(target, pixels)
        }
        _ => Err(Error::new(format!("`channels` is {channels}; it must be 1 (grey) or 3 (colour)"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(height: usize, width: usize, pixels: Vec<u8>) -> Images {
        Images::new(Shape { channels: 1, height, width }, pixels).unwrap()
    }

    #[test]
    fn padding_puts_a_small_image_in_the_middle_and_shrinks_a_large_one() {
        let padded = resize(&grey(2, 2, vec![1, 2, 3, 4]), 4, Fit::Pad).unwrap();
        assert_eq!(padded.pixels(), [0, 0, 0, 0, 0, 1, 2, 0, 0, 3, 4, 0, 0, 0, 0, 0]);
        let shrunk = resize(&grey(2, 4, vec![100; 8]), 2, Fit::Pad).unwrap();
        assert_eq!(shrunk.pixels(), [100, 100, 0, 0]);
    }

    #[test]
    fn cropping_covers_the_square_and_cuts_both_sides() {
        let cut = resize(&grey(2, 4, vec![9, 1, 2, 9, 9, 3, 4, 9]), 2, Fit::Crop).unwrap();
        assert_eq!(cut.pixels(), [1, 2, 3, 4]);
        let flat = resize(&grey(28, 28, vec![77; 784]), 32, Fit::Crop).unwrap();
        assert_eq!((flat.dims(), flat.pixels()), ([1, 1, 32, 32], &[77; 1024][..]));
    }

    #[test]
    fn colours_become_their_luminance_and_grey_is_repeated() {
        let colour = recolour(&grey(1, 2, vec![5, 6]), 3).unwrap();
        assert_eq!(colour.pixels(), [5, 6, 5, 6, 5, 6]);
        assert_eq!(recolour(&colour, 1).unwrap().pixels(), [5, 6]);
        let green = Images::new(Shape { channels: 3, height: 1, width: 1 }, vec![0, 255, 0]).unwrap();
        assert_eq!(recolour(&green, 1).unwrap().pixels(), [182]);
        assert!(recolour(&green, 2).is_err());
    }

    #[test]
    fn transparency_shows_white_paper() {
        let picture = image::RgbaImage::from_raw(2, 1, vec![10, 20, 30, 255, 10, 20, 30, 0]).unwrap();
        let (shape, pixels) = planes(&opaque(picture.into()));
        assert_eq!((shape.channels, pixels), (3, vec![10, 255, 20, 255, 30, 255]));
    }
}
