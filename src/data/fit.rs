//! Pictures brought to one size and number of channels: cut, padded, scaled, recoloured.

use image::imageops::FilterType;
use image::{DynamicImage, GenericImage, GenericImageView, GrayImage, Rgb, RgbImage, Rgba};

use super::images::Shape;
use crate::error::{Error, Result};
use crate::table;
use crate::tensor::Rng;

/// How a picture of another shape becomes a square.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// The largest square in its middle.
    Middle,
    /// The largest square, somewhere along its longer side.
    Random,
    /// A square of half its area or more, anywhere.
    Distorted,
    /// The whole picture, squeezed.
    Whole,
    /// The whole picture, scaled down if it is too large, in the middle of a black square.
    Pad,
}

/// The choices of `fit`.
const FITS: [(&str, Fit); 5] = [
    ("middle", Fit::Middle),
    ("random", Fit::Random),
    ("distorted", Fit::Distorted),
    ("none", Fit::Whole),
    ("pad", Fit::Pad),
];

impl Fit {
    pub fn named(name: &str) -> Result<Self> {
        let found = FITS.iter().find(|(choice, _)| *choice == name);
        found.map(|(_, fit)| *fit).ok_or_else(|| table::unknown("fit", name, FITS.map(|(choice, _)| choice)))
    }

    /// Whether it draws where to cut.
    pub fn draws(self) -> bool {
        matches!(self, Fit::Random | Fit::Distorted)
    }
}

/// How pixels are scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scaling {
    /// Bilinear, over all pixels that fall into one when a picture becomes smaller.
    Antialias,
    /// Bilinear between the four pixels about the centre of the new one.
    Bilinear,
    /// Bilinear between the four pixels about its corner, as TensorFlow 1 did.
    Corners,
}

/// The choices of `scaling`.
const SCALINGS: [(&str, Scaling); 3] =
    [("antialias", Scaling::Antialias), ("bilinear", Scaling::Bilinear), ("corners", Scaling::Corners)];

impl Scaling {
    pub fn named(name: &str) -> Result<Self> {
        let found = SCALINGS.iter().find(|(choice, _)| *choice == name);
        found.map(|(_, scaling)| *scaling).ok_or_else(|| {
            let choices = SCALINGS.map(|(choice, _)| choice);
            table::unknown("scaling", name, choices)
        })
    }
}

/// What is done to each picture of a part, in this order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Transform {
    /// Cut out, or pad to, a square of so many pixels in the middle.
    pub centre: Option<usize>,
    /// Make a square of so many pixels of it.
    pub size: Option<usize>,
    pub fit: Fit,
    pub scaling: Scaling,
    /// 1 or 3 channels.
    pub channels: Option<usize>,
    /// What cuts are drawn from.
    pub seed: u64,
}

impl Transform {
    /// Whether pictures of `shape` come out as they are.
    pub fn keeps(&self, shape: Shape) -> bool {
        let as_it_is = |side: Option<usize>| side.is_none_or(|side| (shape.height, shape.width) == (side, side));
        let uncut = self.fit != Fit::Distorted || self.size.is_none();
        as_it_is(self.centre)
            && as_it_is(self.size)
            && uncut
            && self.channels.is_none_or(|wanted| wanted == shape.channels)
    }

    /// `picture`, which is number `place` of its set.
    pub fn apply(&self, picture: DynamicImage, place: u64) -> Result<DynamicImage> {
        let picture = match self.centre {
            Some(side) => crop_or_pad(&picture, side as u32),
            None => picture,
        };
        let picture = match self.size {
            Some(side) => {
                let mut rng = Rng::new(self.seed).stream("data::fit").at(place);
                square(picture, side as u32, self.fit, self.scaling, &mut rng)?
            }
            None => picture,
        };
        Ok(match (self.channels, &picture) {
            (Some(1), DynamicImage::ImageRgb8(_)) => picture.to_luma8().into(),
            (Some(3), DynamicImage::ImageLuma8(_)) => picture.to_rgb8().into(),
            _ => picture,
        })
    }
}

/// A black square of the kind of `picture`.
fn black(picture: &DynamicImage, side: u32) -> DynamicImage {
    match picture {
        DynamicImage::ImageLuma8(_) => DynamicImage::new_luma8(side, side),
        _ => DynamicImage::new_rgb8(side, side),
    }
}

/// `picture` in the middle of `square`, which is at least as large.
fn paste(square: &mut DynamicImage, picture: &DynamicImage) {
    let (left, top) = ((square.width() - picture.width()) / 2, (square.height() - picture.height()) / 2);
    for (x, y, pixel) in picture.pixels() {
        square.put_pixel(left + x, top + y, pixel);
    }
}

/// The square of `side` pixels in the middle of `picture`; what it lacks is black.
fn crop_or_pad(picture: &DynamicImage, side: u32) -> DynamicImage {
    let (width, height) = (picture.width().min(side), picture.height().min(side));
    let inner = picture.crop_imm((picture.width() - width) / 2, (picture.height() - height) / 2, width, height);
    if (width, height) == (side, side) {
        return inner;
    }
    let mut square = black(picture, side);
    paste(&mut square, &inner);
    square
}

/// `picture` as a square of `side` pixels, grey if it was grey.
fn square(picture: DynamicImage, side: u32, fit: Fit, scaling: Scaling, rng: &mut Rng) -> Result<DynamicImage> {
    let (width, height) = (picture.width(), picture.height());
    let short = width.min(height);
    let cut = match fit {
        Fit::Whole => return scale(picture, side, side, scaling),
        Fit::Pad => {
            let long = width.max(height);
            let smaller = |length: u32| {
                let scaled = (f64::from(length) * f64::from(side) / f64::from(long)).round() as u32;
                scaled.max(1)
            };
            let picture = if long > side { scale(picture, smaller(width), smaller(height), scaling)? } else { picture };
            return Ok(crop_or_pad(&picture, side));
        }
        Fit::Middle | Fit::Random => short,
        Fit::Distorted => {
            // Every whole side from that of half the area up is as likely; a picture more than twice as long as wide has
            // no such square, and its largest one is taken.
            let least = (0.5 * f64::from(width) * f64::from(height)).sqrt().round() as u32;
            let least = least.clamp(1, short);
            least + rng.below((short - least + 1) as usize) as u32
        }
    };
    let (across, down) = (width - cut, height - cut);
    let (left, top) = match fit.draws() {
        true => (rng.below(across as usize + 1) as u32, rng.below(down as usize + 1) as u32),
        false => (across / 2, down / 2),
    };
    let inner = if (across, down) == (0, 0) { picture } else { picture.crop_imm(left, top, cut, cut) };
    scale(inner, side, side, scaling)
}

fn scale(picture: DynamicImage, width: u32, height: u32, scaling: Scaling) -> Result<DynamicImage> {
    if (picture.width(), picture.height()) == (width, height) {
        return Ok(picture);
    }
    if scaling == Scaling::Antialias {
        return Ok(picture.resize_exact(width, height, FilterType::Triangle));
    }
    let (shape, pixels) = planes(&picture);
    let target = Shape { height: height as usize, width: width as usize, ..shape };
    let centred = scaling == Scaling::Bilinear;
    let scaled = pixels
        .chunks_exact(shape.height * shape.width)
        .flat_map(|plane| bilinear(plane, (shape.height, shape.width), (target.height, target.width), centred));
    self::picture(&scaled.collect::<Vec<u8>>(), target)
}

/// One channel scaled from `(height, width)` to another, between the four pixels about the centre of each new one, or
/// about its corner. Halves are rounded up.
pub(super) fn bilinear(plane: &[u8], from: (usize, usize), to: (usize, usize), centred: bool) -> Vec<u8> {
    let places = |from: usize, to: usize| -> Vec<(usize, usize, f32)> {
        let scale = from as f32 / to as f32;
        let place = |index: usize| {
            let place = if centred { (index as f32 + 0.5) * scale - 0.5 } else { index as f32 * scale };
            let place = place.max(0.0);
            let low = (place as usize).min(from - 1);
            (low, (low + 1).min(from - 1), place - low as f32)
        };
        (0..to).map(place).collect()
    };
    let (rows, columns) = (places(from.0, to.0), places(from.1, to.1));
    let mut scaled = Vec::with_capacity(to.0 * to.1);
    for (above, below, down) in &rows {
        for (left, right, across) in &columns {
            let at = |row: usize, column: usize| f32::from(plane[row * from.1 + column]);
            let upper = at(*above, *left) + (at(*above, *right) - at(*above, *left)) * across;
            let lower = at(*below, *left) + (at(*below, *right) - at(*below, *left)) * across;
            scaled.push((upper + (lower - upper) * down + 0.5) as u8);
        }
    }
    scaled
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
pub(super) fn picture(pixels: &[u8], shape: Shape) -> Result<DynamicImage> {
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

/// The bytes of an image of `shape` with so many channels: the luminance of colours (ITU-R BT.709), or grey repeated.
pub(super) fn recolour_bytes(pixels: Vec<u8>, shape: Shape, channels: usize) -> Result<Vec<u8>> {
    match (shape.channels, channels) {
        (from, to) if from == to => Ok(pixels),
        (1, 3) => Ok(pixels.repeat(3)),
        (3, 1) => Ok(picture(&pixels, shape)?.to_luma8().into_raw()),
        _ => Err(Error::new(format!("`channels` is {channels}; it must be 1 (grey) or 3 (colour)"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transform(size: usize, fit: Fit) -> Transform {
        Transform { centre: None, size: Some(size), fit, scaling: Scaling::Antialias, channels: None, seed: 1 }
    }

    fn grey(height: usize, width: usize, pixels: &[u8]) -> DynamicImage {
        picture(pixels, Shape { channels: 1, height, width }).unwrap()
    }

    fn bytes(transform: &Transform, picture: DynamicImage) -> Vec<u8> {
        planes(&transform.apply(picture, 0).unwrap()).1
    }

    #[test]
    fn padding_puts_a_small_picture_in_the_middle_and_shrinks_a_large_one() {
        let padded = bytes(&transform(4, Fit::Pad), grey(2, 2, &[1, 2, 3, 4]));
        assert_eq!(padded, [0, 0, 0, 0, 0, 1, 2, 0, 0, 3, 4, 0, 0, 0, 0, 0]);
        assert_eq!(bytes(&transform(2, Fit::Pad), grey(2, 4, &[100; 8])), [100, 100, 0, 0]);
    }

    #[test]
    fn the_middle_is_cut_on_both_sides_and_the_whole_is_squeezed() {
        let wide = || grey(2, 4, &[9, 1, 2, 9, 9, 3, 4, 9]);
        assert_eq!(bytes(&transform(2, Fit::Middle), wide()), [1, 2, 3, 4]);
        assert_eq!(bytes(&transform(32, Fit::Middle), grey(28, 28, &[77; 784])), [77; 1024]);
        let plain = Transform { scaling: Scaling::Bilinear, ..transform(2, Fit::Whole) };
        assert_eq!(bytes(&plain, wide()), [5, 6, 6, 7]);
    }

    #[test]
    fn a_centre_is_cut_out_or_padded_before_anything_else() {
        let centre = |side| Transform { centre: Some(side), size: None, ..transform(1, Fit::Middle) };
        let tall = || grey(4, 1, &[1, 2, 3, 4]);
        assert_eq!(bytes(&centre(3), tall()), [0, 1, 0, 0, 2, 0, 0, 3, 0]);
        assert_eq!(bytes(&centre(1), tall()), [2]);
        let then_scaled = Transform { size: Some(1), ..centre(2) };
        assert_eq!(bytes(&Transform { scaling: Scaling::Corners, ..then_scaled }, tall()), [2]);
    }

    /// Every square that is cut from a picture whose pixels tell their row and column.
    fn cuts(fit: Fit, height: usize, width: usize, side: usize) -> Vec<(usize, usize, usize)> {
        let pixels: Vec<u8> = (0..height * width).map(|place| place as u8).collect();
        let transform = Transform { scaling: Scaling::Corners, ..transform(side, fit) };
        let mut all: Vec<_> = (0..400u64)
            .map(|place| {
                let cut = planes(&transform.apply(grey(height, width, &pixels), place).unwrap()).1;
                // Corners are pixels themselves: the first one, and how far it is to the next tells the size.
                let first = usize::from(cut[0]);
                (first / width, first % width, usize::from(cut[side * (side / 2)]) / width - first / width)
            })
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    #[test]
    fn random_squares_lie_anywhere_along_the_longer_side() {
        // A square of 4 in 4x8 starts at one of 5 columns; the pixel half way down is 2 rows on.
        assert_eq!(cuts(Fit::Random, 4, 8, 4), (0..5).map(|left| (0, left, 2)).collect::<Vec<_>>());
    }

    #[test]
    fn distorted_squares_have_half_the_area_and_up_and_lie_anywhere() {
        // Of 10x10 they have 7 to 10 pixels a side; at 7 there are 16 places, at 10 one.
        let found = cuts(Fit::Distorted, 10, 10, 2);
        assert!(found.iter().all(|(top, left, half)| (3..=5).contains(half) && top.max(left) <= &3), "{found:?}");
        assert!(found.contains(&(3, 3, 3)) && found.contains(&(0, 0, 5)) && found.contains(&(0, 3, 3)), "{found:?}");
        let again = transform(4, Fit::Distorted);
        let pixels: Vec<u8> = (0..100).collect();
        assert_eq!(again.apply(grey(10, 10, &pixels), 3), again.apply(grey(10, 10, &pixels), 3));
        assert_ne!(
            again.apply(grey(10, 10, &pixels), 3),
            Transform { seed: 2, ..again.clone() }.apply(grey(10, 10, &pixels), 3)
        );
    }

    #[test]
    fn scaling_agrees_with_pil_and_pytorch() {
        let text =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/data/scaled.json")).unwrap();
        let golden: serde_json::Value = serde_json::from_str(&text).unwrap();
        let numbers = |value: &serde_json::Value| -> Vec<f64> {
            value
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|row| row.as_array().unwrap())
                .map(|v| v.as_f64().unwrap())
                .collect()
        };
        let pixels: Vec<u8> = numbers(&golden["picture"]).into_iter().map(|value| value as u8).collect();
        for case in golden["cases"].as_array().unwrap() {
            let side = case["side"].as_u64().unwrap() as usize;
            for (name, scaling, most) in [
                // Rounded once to a whole level, so no more than half a level off, and a hair of f32.
                ("bilinear", Scaling::Bilinear, 0.501),
                ("corners", Scaling::Corners, 0.501),
                ("antialias", Scaling::Antialias, 0.501),
                // PIL rounds between its two passes, too.
                ("pil", Scaling::Antialias, 1.0),
            ] {
                let ours = bytes(&Transform { scaling, ..transform(side, Fit::Whole) }, grey(11, 11, &pixels));
                let theirs = numbers(&case[name]);
                let far = ours.iter().zip(&theirs).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
                assert!(far <= most, "{name} to {side}: {far}");
                assert_eq!(ours.len(), theirs.len());
            }
        }
    }

    #[test]
    fn colours_become_their_luminance_and_grey_is_repeated() {
        let dot = |channels| Shape { channels, height: 1, width: 2 };
        assert_eq!(recolour_bytes(vec![5, 6], dot(1), 3).unwrap(), [5, 6, 5, 6, 5, 6]);
        assert_eq!(recolour_bytes(vec![5, 6, 5, 6, 5, 6], dot(3), 1).unwrap(), [5, 6]);
        assert_eq!(recolour_bytes(vec![0, 0, 255, 255, 0, 0], dot(3), 1).unwrap(), [182, 182]);
        assert!(recolour_bytes(vec![1, 2], dot(1), 2).is_err());
    }

    #[test]
    fn transparency_shows_white_paper() {
        let picture = image::RgbaImage::from_raw(2, 1, vec![10, 20, 30, 255, 10, 20, 30, 0]).unwrap();
        let (shape, pixels) = planes(&opaque(picture.into()));
        assert_eq!((shape.channels, pixels), (3, vec![10, 255, 20, 255, 30, 255]));
    }
}
