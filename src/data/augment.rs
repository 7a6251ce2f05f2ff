//! Changes to images that keep what they show: flips and random crops.

use super::fit::bilinear;
use super::images::Shape;
use crate::error::{Error, Result};
use crate::table;
use crate::tensor::Rng;

/// What is drawn for each image of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Augment {
    pub flip: bool,
    pub crop: usize,
    pub fill: Fill,
}

/// What lies beyond the edge of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    Zero,
    Reflect,
}

impl Fill {
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "zero" => Ok(Self::Zero),
            "reflect" => Ok(Self::Reflect),
            _ => Err(table::unknown("fill", name, ["zero", "reflect"])),
        }
    }
}

impl Augment {
    pub fn check(&self, shape: Shape) -> Result<()> {
        let side = shape.height.min(shape.width);
        if self.crop >= side {
            return Err(Error::new(format!(
                "`crop` is {}; it must be below {side}, the shorter side of the images",
                self.crop
            )));
        }
        Ok(())
    }

    /// Writes `image` to `target`, changed by what is drawn from `rng`.
    pub fn apply(&self, image: &[u8], target: &mut [u8], shape: Shape, rng: &mut Rng) {
        // Every image draws alike whatever the options, so that one of them does not shift what another draws.
        let flip = rng.below(2) == 1 && self.flip;
        let (down, right) = (rng.uniform_f64(), rng.uniform_f64());
        let shift = |u: f64| (u * (2 * self.crop + 1) as f64) as isize - self.crop as isize;
        let (down, right) = (shift(down), shift(right));
        let Shape { height, width, .. } = shape;
        for (plane, target) in image.chunks_exact(height * width).zip(target.chunks_exact_mut(height * width)) {
            for (row, line) in target.chunks_exact_mut(width).enumerate() {
                let source = self.within(row as isize + down, height);
                for (column, pixel) in line.iter_mut().enumerate() {
                    let column = if flip { width - 1 - column } else { column };
                    *pixel = match (source, self.within(column as isize + right, width)) {
                        (Some(row), Some(column)) => plane[row * width + column],
                        _ => 0,
                    };
                }
            }
        }
    }

    /// The place inside `0..side` whose pixel stands at `place`, if any does. `place` is less than a side outside.
    fn within(&self, place: isize, side: usize) -> Option<usize> {
        let last = side as isize - 1;
        match self.fill {
            _ if (0..=last).contains(&place) => Some(place as usize),
            Fill::Zero => None,
            Fill::Reflect => Some(if place < 0 { -place } else { 2 * last - place } as usize),
        }
    }
}

/// A random square of each image, brought back to the size of the image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Zoom {
    /// The shortest side of a square.
    least: usize,
}

impl Zoom {
    /// Squares of at least `area` of the image; none if that is all of it.
    pub fn new(area: f64, shape: Shape) -> Result<Option<Self>> {
        if !(area > 0.0 && area <= 1.0) {
            return Err(Error::new(format!("`least_area` is {area}; it must lie above 0 and be no more than 1")));
        }
        if area == 1.0 {
            return Ok(None);
        }
        if shape.height != shape.width {
            return Err(Error::new(format!("`least_area` cuts squares, and the images are {shape}"))
                .help("`size` makes squares of them: `#{ size: 32 }`"));
        }
        Ok(Some(Self { least: ((area.sqrt() * shape.width as f64).round() as usize).max(1) }))
    }

    /// The pixels of a square drawn from `rng`, scaled to those of `image`.
    pub fn apply(&self, image: &[u8], shape: Shape, rng: &mut Rng) -> Vec<u8> {
        let side = shape.width;
        let cut = self.least + rng.below(side - self.least + 1);
        let (top, left) = (rng.below(side - cut + 1), rng.below(side - cut + 1));
        let mut pixels = Vec::with_capacity(image.len());
        for plane in image.chunks_exact(side * side) {
            let rows = (top..top + cut).flat_map(|row| &plane[row * side + left..][..cut]).copied();
            pixels.extend(bilinear(&rows.collect::<Vec<u8>>(), (cut, cut), (side, side), true));
        }
        pixels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { channels: 1, height: 3, width: 3 };
    const IMAGE: [u8; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 9];

    /// Every image that can be drawn.
    fn drawn(augment: Augment) -> Vec<[u8; 9]> {
        let mut rng = Rng::new(1);
        let mut all: Vec<[u8; 9]> = (0..400)
            .map(|_| {
                let mut target = [0; 9];
                augment.apply(&IMAGE, &mut target, SHAPE, &mut rng);
                target
            })
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    #[test]
    fn flips_mirror_left_to_right() {
        let flips = drawn(Augment { flip: true, crop: 0, fill: Fill::Zero });
        assert_eq!(flips, [IMAGE, [3, 2, 1, 6, 5, 4, 9, 8, 7]]);
        assert_eq!(drawn(Augment { flip: false, crop: 0, fill: Fill::Zero }), [IMAGE]);
    }

    #[test]
    fn crops_move_by_up_to_their_padding() {
        let zero = drawn(Augment { flip: false, crop: 1, fill: Fill::Zero });
        assert_eq!(zero.len(), 9);
        assert!(zero.contains(&[0, 0, 0, 0, 1, 2, 0, 4, 5]) && zero.contains(&[5, 6, 0, 8, 9, 0, 0, 0, 0]));
        let reflect = drawn(Augment { flip: false, crop: 1, fill: Fill::Reflect });
        assert!(reflect.contains(&[5, 4, 5, 2, 1, 2, 5, 4, 5]) && reflect.contains(&[5, 6, 5, 8, 9, 8, 5, 6, 5]));
    }

    #[test]
    fn a_crop_as_wide_as_the_image_is_refused() {
        let error = Augment { flip: false, crop: 3, fill: Fill::Zero }.check(SHAPE).unwrap_err();
        assert_eq!(error.message, "`crop` is 3; it must be below 3, the shorter side of the images");
    }

    #[test]
    fn zooming_shows_a_square_of_at_least_the_area() {
        let shape = Shape { channels: 2, height: 10, width: 10 };
        let image: Vec<u8> = (0..200).map(|place| (place % 100) as u8).collect();
        let zoom = Zoom::new(0.5, shape).unwrap().unwrap();
        let mut rng = Rng::new(1);
        let mut corners: Vec<(u8, u8)> = (0..500)
            .map(|_| {
                let shown = zoom.apply(&image, shape, &mut rng);
                assert_eq!((shown.len(), &shown[..100]), (200, &shown[100..]));
                (shown[0], shown[99])
            })
            .collect();
        corners.sort_unstable();
        corners.dedup();
        // Sides of 7 to 10 at every place: 16 + 9 + 4 + 1, each told by its first and last pixel.
        assert_eq!(corners.len(), 30);
        assert!(corners.contains(&(0, 99)) && corners.contains(&(33, 99)) && corners.contains(&(0, 66)));
        assert_eq!(Zoom::new(1.0, shape).unwrap(), None);
        assert!(Zoom::new(0.0, shape).is_err() && Zoom::new(f64::NAN, shape).is_err());
        let wide = Shape { channels: 1, height: 2, width: 3 };
        assert!(Zoom::new(0.5, wide).unwrap_err().message.ends_with("the images are 3x2 grey"));
    }
}
