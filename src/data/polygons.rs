//! Convex polygons, drawn when they are asked for: a set whose every fact is known.

use std::path::Path;

use super::LoadOptions;
use super::images::Shape;
use super::part::{Opened, Part, Pictures, Raw};
use super::source::{AS_IT_IS, Home, Source};
use crate::error::{Error, Result};
use crate::tensor::Rng;

pub(super) const POLYGONS: Source = Source {
    name: "polygons",
    doc: "White convex polygons on black, drawn from `seed`: 60,000 to train with and 10,000 to test with.\n\n\
          28x28 grey; the class is the number of corners, three to six. The corners lie on a circle, each in a sector of \
          its own and 20 degrees or more from the next, turned by any angle; the centre of area is in the middle. Edges are \
          smooth: 8x8 points a pixel. `n` is how many there are to train with.\n\
          After the toy set of \"Are GANs Created Equal?\", Lucic et al. 2018, arXiv:1711.10337, whose polygons are turned \
          by few degrees.",
    origin: "drawn by the program",
    licence: "none is needed",
    home: Home::Inside,
    takes: &["n", "seed"],
    usual: AS_IT_IS,
    open,
};

const SIDE: usize = 28;
const SHAPE: Shape = Shape { channels: 1, height: SIDE, width: SIDE };
const N: usize = 60_000;
const FEWEST: usize = 3;
const CLASSES: [&str; 4] = ["triangle", "quadrilateral", "pentagon", "hexagon"];
/// The circle that the corners lie on, of half a side.
const RADIUS: f64 = 0.75;
/// Degrees between neighbouring corners, at least.
const APART: f64 = 20.0;
/// Points along each side of a pixel.
const POINTS: usize = 8;

fn open(_: &Path, options: &LoadOptions) -> Result<Opened> {
    let n = options.n.unwrap_or(N);
    if !(6..=10_000_000).contains(&n) {
        return Err(Error::new(format!("`n` is {n}; it must lie between 6 and 10000000")));
    }
    let part = |from: usize, n: usize| {
        let polygons = Polygons { seed: options.seed.unwrap_or(1), from: from as u64, n: n as u64 };
        let labels = (0..n as u64).map(|place| Some(polygons.draw(place).0)).collect();
        Part::new(polygons, labels)
    };
    Ok(Opened {
        classes: CLASSES.map(String::from).to_vec(),
        train: part(0, n),
        test: Some(part(n, n / 6)),
        origin: POLYGONS.origin.into(),
        name: None,
    })
}

/// `n` polygons from number `from`.
#[derive(Clone, Copy)]
struct Polygons {
    seed: u64,
    from: u64,
    n: u64,
}

impl Polygons {
    /// The class of polygon `place`, and its corners in pixels.
    fn draw(&self, place: u64) -> (u32, Vec<[f64; 2]>) {
        let mut rng = Rng::new(self.seed).stream("data::polygons").at(self.from + place);
        let class = rng.below(CLASSES.len());
        let corners = FEWEST + class;
        let sector = 360.0 / corners as f64;
        let turn = 360.0 * rng.uniform_f64();
        let mut corner = |index: usize| {
            let within = APART / 2.0 + (sector - APART) * rng.uniform_f64();
            let (sin, cos) = libm::sincos((turn + sector * index as f64 + within).to_radians());
            [RADIUS * cos, RADIUS * sin]
        };
        let corners: Vec<[f64; 2]> = (0..corners).map(&mut corner).collect();
        let (_, middle) = area(&corners);
        let half = SIDE as f64 / 2.0;
        let pixel = |corner: &[f64; 2]| [half * (1.0 + corner[0] - middle[0]), half * (1.0 + corner[1] - middle[1])];
        (class as u32, corners.iter().map(pixel).collect())
    }
}

impl Pictures for Polygons {
    fn each(&self, take: &mut dyn FnMut(Raw) -> Result<()>) -> Result<()> {
        let all = *self;
        (0..self.n).try_for_each(|place| take(Raw::Made(SHAPE, Box::new(move || fill(&all.draw(place).1)))))
    }

    fn identity(&self) -> Result<String> {
        Ok(format!("polygons 1: {} from {} of seed {}", self.n, self.from, self.seed))
    }
}

/// Area and centre of area of a polygon.
fn area(corners: &[[f64; 2]]) -> (f64, [f64; 2]) {
    let (mut twice, mut sum) = (0.0, [0.0; 2]);
    for (here, next) in corners.iter().zip(corners.iter().cycle().skip(1)) {
        let cross = here[0] * next[1] - next[0] * here[1];
        twice += cross;
        for axis in 0..2 {
            sum[axis] += cross * (here[axis] + next[axis]);
        }
    }
    (twice / 2.0, sum.map(|sum| sum / (3.0 * twice)))
}

/// The polygon in white: of each pixel, how many of its points lie inside.
fn fill(corners: &[[f64; 2]]) -> Vec<u8> {
    let mut counts = vec![0u32; SIDE * SIDE];
    let points = (SIDE * POINTS) as f64;
    for row in 0..SIDE * POINTS {
        // A line cuts a convex polygon in one piece.
        let y = (row as f64 + 0.5) / POINTS as f64;
        let (mut left, mut right) = (f64::INFINITY, f64::NEG_INFINITY);
        for (here, next) in corners.iter().zip(corners.iter().cycle().skip(1)) {
            if (here[1] <= y) != (next[1] <= y) {
                let x = here[0] + (next[0] - here[0]) * (y - here[1]) / (next[1] - here[1]);
                (left, right) = (left.min(x), right.max(x));
            }
        }
        let first = (left * POINTS as f64 - 0.5).ceil().clamp(0.0, points);
        let end = (right * POINTS as f64 - 0.5).ceil().clamp(0.0, points);
        for point in first as usize..end as usize {
            counts[row / POINTS * SIDE + point / POINTS] += 1;
        }
    }
    let all = (POINTS * POINTS) as u32;
    counts.iter().map(|count| ((255 * count + all / 2) / all) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::*;

    #[test]
    fn a_triangle_is_filled_as_its_corners_say() {
        let image = fill(&[[4.0, 4.0], [24.0, 4.0], [4.0, 24.0]]);
        let at = |row: usize, column: usize| image[row * SIDE + column];
        // Of the pixels that the long edge cuts in two, the 28 points below the diagonal and none or all of the 8 on it.
        assert_eq!((at(4, 4), at(3, 4), at(4, 3), at(20, 20)), (255, 0, 0, 0));
        assert!([28, 36].contains(&((u32::from(at(10, 17)) * 64 + 128) / 255)), "{}", at(10, 17));
        let mass: f64 = image.iter().map(|pixel| f64::from(*pixel) / 255.0).sum();
        assert!((mass - 200.0).abs() < 2.0, "{mass}");
        assert_eq!(area(&[[4.0, 4.0], [24.0, 4.0], [4.0, 24.0]]).0, 200.0);
    }

    #[test]
    fn polygons_are_convex_centred_and_as_large_as_their_corners_say() {
        let polygons = Polygons { seed: 3, from: 0, n: 200 };
        let mut turns = [0; 4];
        for place in 0..200 {
            let (class, corners) = polygons.draw(place);
            assert_eq!(corners.len(), FEWEST + class as usize);
            let n = corners.len();
            for index in 0..n {
                let [a, b, c] = [0, 1, 2].map(|step| corners[(index + step) % n]);
                assert!((b[0] - a[0]) * (c[1] - b[1]) > (b[1] - a[1]) * (c[0] - b[0]), "{corners:?}");
            }
            let image = fill(&corners);
            let inside = corners.iter().flatten().all(|value| (0.0..=28.0).contains(value));
            let mass: f64 = image.iter().map(|pixel| f64::from(*pixel) / 255.0).sum();
            assert!(!inside || (mass - area(&corners).0).abs() < 3.0, "{mass} {:?}", area(&corners));
            let column: f64 =
                image.iter().enumerate().map(|(place, pixel)| ((place % SIDE) as f64 + 0.5) * f64::from(*pixel)).sum();
            assert!(!inside || (column / 255.0 / mass - 14.0).abs() < 0.1, "{}", column / 255.0 / mass);
            turns[((corners[0][0] > 14.0) as usize) * 2 + (corners[0][1] > 14.0) as usize] += 1;
        }
        assert!(turns.iter().all(|quarter| *quarter > 25), "{turns:?}");
    }

    #[test]
    fn a_seed_draws_the_same_set_and_its_parts_differ() {
        let of = |seed| {
            let options = LoadOptions { n: Some(600), seed: Some(seed), ..Default::default() };
            load("polygons", &options).unwrap()
        };
        let splits = of(1);
        assert_eq!((splits.train.images().dims(), splits.test.n()), ([600, 1, 28, 28], 100));
        assert!(splits.train.counts().iter().all(|count| (110..190).contains(count)), "{:?}", splits.train.counts());
        assert_ne!(splits.train.images().image(0), splits.test.images().image(0));
        assert_eq!(splits.train.hash(), of(1).train.hash());
        assert_ne!(splits.train.hash(), of(2).train.hash());
        assert!(load("polygons", &LoadOptions { n: Some(5), ..Default::default() }).is_err());
        assert!(load("fashion-mnist-10k", &LoadOptions { n: Some(5), ..Default::default() }).is_err());
    }

    #[test]
    fn corners_lie_on_a_circle_and_apart() {
        let polygons = Polygons { seed: 5, from: 0, n: 200 };
        for place in 0..200 {
            let (_, corners) = polygons.draw(place);
            // The centre is as far from the first corner as from the second and the third.
            let [[ax, ay], [bx, by], [cx, cy]] = [corners[0], corners[1], corners[2]];
            let d = 2.0 * (ax * (by - cy) + bx * (cy - ay) + cx * (ay - by));
            let [a, b, c] = [ax * ax + ay * ay, bx * bx + by * by, cx * cx + cy * cy];
            let x = (a * (by - cy) + b * (cy - ay) + c * (ay - by)) / d;
            let y = (a * (cx - bx) + b * (ax - cx) + c * (bx - ax)) / d;
            // Three quarters of half a side.
            assert!(
                corners.iter().all(|corner| ((corner[0] - x).hypot(corner[1] - y) - 10.5).abs() < 1e-6),
                "{corners:?}"
            );
            let mut angles: Vec<f64> =
                corners.iter().map(|corner| (corner[1] - y).atan2(corner[0] - x).to_degrees()).collect();
            angles.sort_by(f64::total_cmp);
            angles.push(angles[0] + 360.0);
            assert!(angles.windows(2).all(|pair| pair[1] - pair[0] > 20.0 - 1e-6), "{angles:?}");
        }
    }
}
