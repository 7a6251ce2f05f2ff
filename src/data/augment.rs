//! Changes to images that keep what they show: flips and random crops.

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
}
