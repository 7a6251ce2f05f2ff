//! Pictures of ways through what a generator knows: from one image to another, around a loop, along a direction.

use crate::error::{Error, Result};
use crate::figure::Grid;
use crate::gan::latent::Draw;
use crate::gan::sample::pictured;
use crate::gan::{Gan, Generator};
use crate::progress::{Picture, Stop};
use crate::tensor::Tensor;

/// How images change into one another.
#[derive(Debug, Clone, PartialEq)]
pub struct Interpolation {
    /// How many ways, one below the other.
    pub rows: usize,
    /// Images on each way, both ends among them.
    pub columns: usize,
    /// The class of all images, or where the class begins; row `i` is of class `i` if none.
    pub class: Option<u32>,
    /// Where the class ends; it stays if none.
    pub to_class: Option<u32>,
    /// Whether the latent stays, so that the class alone moves.
    pub same_z: bool,
    /// What the latents are drawn from.
    pub draw: Draw,
}

/// A loop through latents, and through classes if there are any.
#[derive(Debug, Clone, PartialEq)]
pub struct Walk {
    /// Pictures in the loop.
    pub frames: usize,
    /// Latents that the loop leads through; with 1 the latent stays.
    pub stops: usize,
    /// Rows of images in a picture, each on a loop of its own.
    pub rows: usize,
    /// Images across; 0 for one of each class, at most ten, or six.
    pub columns: usize,
    /// The class of all images; a class for each column if none.
    pub class: Option<u32>,
    /// Classes that all images go through.
    pub through: Vec<u32>,
    /// What the latents are drawn from.
    pub draw: Draw,
}

/// Steps along a direction.
#[derive(Debug, Clone, PartialEq)]
pub struct Along {
    /// How many images are moved, one below the other.
    pub rows: usize,
    /// Steps, from one end to the other.
    pub columns: usize,
    /// How far each end is from the middle.
    pub reach: f64,
    /// The class of all images; row `i` is of class `i` if none.
    pub class: Option<u32>,
    /// What the latents are drawn from.
    pub draw: Draw,
}

/// An image to be made: its latent, and what share it has of which classes.
type Wanted = (Vec<f32>, Vec<(u32, f32)>);

impl Gan {
    /// A picture of images that change into one another step by step. The latent goes from A to B over
    /// `((1 - t) A + t B) / √(t² + (1 - t)²)`, the class over shares of both.
    ///
    /// # Errors
    /// Fewer than two columns, or no rows; nothing moves; classes are asked for where there are none; a person asked to stop.
    pub fn interpolate(&self, how: &Interpolation, stop: &Stop) -> Result<Picture> {
        let (rows, columns) = (how.rows, how.columns);
        if rows == 0 || columns < 2 {
            return Err(Error::new(format!("a way of {columns} images in {rows} rows shows no change"))
                .help("there must be a row, and two columns"));
        }
        if how.same_z && how.to_class.is_none() {
            return Err(Error::new("with `same_z` and no `to_class` nothing moves").help("say which class it leads to"));
        }
        let drawn = self.latents(2 * rows, how.draw)?;
        let latents: Vec<&[f32]> = drawn.chunks_exact(self.options.z_dim).collect();
        let classes = self.classes().len();
        let at = |column: usize| column as f64 / (columns - 1) as f64;
        let mut wanted = Vec::with_capacity(rows * columns);
        let mut row_labels = Vec::new();
        for row in 0..rows {
            let (a, b) = (latents[2 * row], latents[2 * row + 1]);
            let from = how.class.unwrap_or((row % classes) as u32);
            let to = how.to_class.unwrap_or(from);
            row_labels.push(self.named(&[from, to]));
            wanted.extend((0..columns).map(|column| {
                let t = at(column);
                let z = if how.same_z { a.to_vec() } else { self.on_the_way(a, b, t) };
                (z, shares(from, to, t))
            }));
        }
        let column_labels = (0..columns).map(|column| format!("{:.2}", at(column))).collect();
        let look = Grid { columns, column_labels, row_labels: self.only_of_classes(row_labels), ..Grid::default() };
        self.picture_of(&self.standing(how.draw.truncation, stop)?, &wanted, &look, stop)
    }

    /// The pictures of a loop through latents and classes; after the last comes the first again.
    ///
    /// # Errors
    /// Nothing moves; there are too few pictures or no images; a person asked to stop.
    pub fn walk(&self, how: &Walk, stop: &Stop) -> Result<Vec<Picture>> {
        if how.frames < 2 || how.rows == 0 {
            return Err(Error::new(format!("a walk of {} frames and {} rows shows no change", how.frames, how.rows))
                .help("there must be a row, and two frames"));
        }
        if how.stops == 0 || (how.stops == 1 && how.through.len() < 2) {
            return Err(Error::new(format!("a walk through {} latents goes nowhere", how.stops))
                .help("`stops` must be 2, or 1 with two classes in `through`"));
        }
        let by_class = self.conditional() && how.class.is_none() && how.through.is_empty();
        let classes = self.classes().len();
        let columns = match (how.columns, by_class) {
            (0, true) => classes.min(10),
            (0, false) => 6,
            (columns, _) => columns,
        };
        // A row of different classes goes through the same latents, so that what differs is the class.
        let loops = if by_class { how.rows } else { how.rows * columns };
        let drawn = self.latents(loops * how.stops, how.draw)?;
        let latents: Vec<&[f32]> = drawn.chunks_exact(self.options.z_dim).collect();
        let generator = self.standing(how.draw.truncation, stop)?;
        let column_labels = match by_class {
            true => (0..columns).map(|column| self.classes()[column % classes].clone()).collect(),
            false => Vec::new(),
        };
        let look = Grid { columns, column_labels, ..Grid::default() };
        let frame = |frame: usize| {
            let wanted: Vec<Wanted> = (0..how.rows * columns)
                .map(|place| {
                    let own = if by_class { place / columns } else { place };
                    let (from, to, t) = leg(frame, how.frames, how.stops);
                    let z = self.on_the_way(latents[own * how.stops + from], latents[own * how.stops + to], t);
                    let mixture = match how.through.as_slice() {
                        [] => {
                            let class = how.class.unwrap_or((place % columns % classes) as u32);
                            shares(class, class, 0.0)
                        }
                        through => {
                            let (from, to, t) = leg(frame, how.frames, through.len());
                            shares(through[from], through[to], t)
                        }
                    };
                    (z, mixture)
                })
                .collect();
            self.picture_of(&generator, &wanted, &look, stop)
        };
        (0..how.frames).map(frame).collect()
    }

    /// A picture of images moved along `direction` (`z_dim` numbers, taken at length 1); the middle column is not moved.
    ///
    /// # Errors
    /// The direction has no length or another number of numbers; nothing is moved; a person asked to stop.
    pub fn along(&self, direction: &[f32], how: &Along, stop: &Stop) -> Result<Picture> {
        let direction = self.unit(direction)?;
        let latents = self.latents(how.rows, how.draw)?;
        let rows = latents.chunks_exact(self.options.z_dim).enumerate().map(|(row, z)| {
            let class = how.class.unwrap_or((row % self.classes().len()) as u32);
            (z, class, direction.as_slice(), self.named(&[class]))
        });
        self.moved(&rows.collect::<Vec<_>>(), how, stop)
    }

    /// A row of steps for each `(latent, class, direction, name)`.
    pub(super) fn moved(&self, rows: &[(&[f32], u32, &[f32], String)], how: &Along, stop: &Stop) -> Result<Picture> {
        if rows.is_empty() || how.columns < 2 || !(how.reach > 0.0 && how.reach.is_finite()) {
            return Err(Error::new(format!(
                "{} steps that reach {} in {} rows show no change",
                how.columns,
                how.reach,
                rows.len()
            ))
            .help("there must be a row, two columns, and a `reach` above 0"));
        }
        let at = |column: usize| how.reach * (2.0 * column as f64 / (how.columns - 1) as f64 - 1.0);
        let wanted: Vec<Wanted> = rows
            .iter()
            .flat_map(|(z, class, direction, _)| {
                (0..how.columns).map(move |column| {
                    let by = at(column) as f32;
                    let moved = z.iter().zip(*direction).map(|(z, d)| z + by * d).collect();
                    (moved, shares(*class, *class, 0.0))
                })
            })
            .collect();
        let look = Grid {
            columns: how.columns,
            column_labels: (0..how.columns).map(|column| format!("{:+.1}", at(column))).collect(),
            row_labels: rows.iter().map(|row| row.3.clone()).filter(|name| !name.is_empty()).collect(),
            ..Grid::default()
        };
        self.picture_of(&self.standing(how.draw.truncation, stop)?, &wanted, &look, stop)
    }

    /// A direction at length 1.
    fn unit(&self, direction: &[f32]) -> Result<Vec<f32>> {
        let width = self.options.z_dim;
        if direction.len() != width {
            return Err(Error::new(format!("the direction has {} numbers, the latents have {width}", direction.len())));
        }
        let length = direction.iter().map(|d| f64::from(*d) * f64::from(*d)).sum::<f64>().sqrt();
        if !(length > 0.0 && length.is_finite()) {
            return Err(Error::new(format!("the direction has length {length}")).help("it must point somewhere"));
        }
        Ok(direction.iter().map(|d| (f64::from(*d) / length) as f32).collect())
    }

    /// `Bag`, or `Bag to Coat`; nothing for a GAN without classes.
    fn named(&self, classes: &[u32]) -> String {
        let names = |class: &u32| self.classes().get(*class as usize).cloned().unwrap_or_default();
        match classes {
            _ if !self.conditional() => String::new(),
            [from, to] if from != to => format!("{} to {}", names(from), names(to)),
            [class, ..] => names(class),
            [] => String::new(),
        }
    }

    fn only_of_classes(&self, labels: Vec<String>) -> Vec<String> {
        if self.conditional() { labels } else { Vec::new() }
    }

    fn picture_of(&self, generator: &Generator, wanted: &[Wanted], look: &Grid, stop: &Stop) -> Result<Picture> {
        let classes = self.classes().len();
        let z = self.rows(wanted.iter().flat_map(|(z, _)| z.iter().copied()).collect())?;
        let mut mixtures = vec![0.0f32; wanted.len() * classes];
        for (row, (_, parts)) in mixtures.chunks_exact_mut(classes).zip(wanted) {
            for (class, share) in parts {
                let place = row.get_mut(*class as usize).ok_or_else(|| {
                    Error::new(format!("there is no class {class}; the GAN has {classes} classes, from 0"))
                })?;
                *place += share;
            }
        }
        let mixtures = Tensor::from_vec(mixtures, &[wanted.len(), classes], self.device())?;
        pictured(&self.render(generator, &z, &mixtures, stop)?, look)
    }
}

/// What is left of one class and there of another, at `t` on the way.
fn shares(from: u32, to: u32, t: f64) -> Vec<(u32, f32)> {
    if from == to { vec![(from, 1.0)] } else { vec![(from, (1.0 - t) as f32), (to, t as f32)] }
}

/// Where a frame of a loop stands: between which stops, and how far.
fn leg(frame: usize, frames: usize, stops: usize) -> (usize, usize, f64) {
    let place = frame as f64 / frames as f64 * stops as f64;
    let from = (place as usize).min(stops - 1);
    (from, (from + 1) % stops, place - from as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gan::sample::tests::small;

    #[test]
    fn a_loop_comes_back_to_where_it_began() {
        assert_eq!(leg(0, 8, 4), (0, 1, 0.0));
        assert_eq!(leg(3, 8, 4), (1, 2, 0.5));
        assert_eq!(leg(7, 8, 4), (3, 0, 0.5));
        assert_eq!(leg(5, 8, 1), (0, 0, 0.625));
    }

    #[test]
    fn the_shares_of_classes_sum_to_one() {
        assert_eq!(shares(3, 3, 0.25), [(3, 1.0)]);
        assert_eq!(shares(3, 5, 0.25), [(3, 0.75), (5, 0.25)]);
    }

    #[test]
    fn pictures_hold_the_images_of_their_way_from_end_to_end() {
        let gan = small(|_| ());
        let (draw, stop) = (Draw { seed: 2, truncation: None }, Stop::default());
        let standing = gan.standing(None, &stop).unwrap();
        let texts = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect::<Vec<_>>();
        let expected = |wanted: &[Wanted], look: &Grid| gan.picture_of(&standing, wanted, look, &stop).unwrap().pixels;
        let z: Vec<Vec<f32>> = gan.latents(4, draw).unwrap().chunks(4).map(<[f32]>::to_vec).collect();
        let half = |a: usize, b: usize| crate::gan::between(&z[a], &z[b], 0.5, false);

        let how = Interpolation { rows: 1, columns: 3, class: Some(1), to_class: Some(2), same_z: false, draw };
        let way =
            [(z[0].clone(), vec![(1, 1.0)]), (half(0, 1), vec![(1, 0.5), (2, 0.5)]), (z[1].clone(), vec![(2, 1.0)])];
        let (column_labels, row_labels) = (texts(&["0.00", "0.50", "1.00"]), texts(&["b to c"]));
        let look = Grid { columns: 3, column_labels, row_labels, ..Grid::default() };
        assert_eq!(gan.interpolate(&how, &stop).unwrap().pixels, expected(&way, &look));

        // The direction counts, not how long it was given.
        let how = Along { rows: 1, columns: 3, reach: 2.0, class: None, draw };
        let moved = |by: f32| (vec![z[0][0], z[0][1] + by, z[0][2], z[0][3]], vec![(0, 1.0)]);
        let (column_labels, row_labels) = (texts(&["-2.0", "+0.0", "+2.0"]), texts(&["a"]));
        let look = Grid { columns: 3, column_labels, row_labels, ..Grid::default() };
        let along = gan.along(&[0.0, 5.0, 0.0, 0.0], &how, &stop).unwrap();
        assert_eq!(along.pixels, expected(&[moved(-2.0), moved(0.0), moved(2.0)], &look));

        // Each row goes through two latents of its own and back, each column is of a class.
        let how = Walk { frames: 4, stops: 2, rows: 2, columns: 0, class: None, through: Vec::new(), draw };
        let look = Grid { columns: 3, column_labels: texts(&["a", "b", "c"]), ..Grid::default() };
        let frames = gan.walk(&how, &stop).unwrap();
        let at = [
            [z[0].clone(), z[2].clone()],
            [half(0, 1), half(2, 3)],
            [z[1].clone(), z[3].clone()],
            [half(1, 0), half(3, 2)],
        ];
        assert_eq!(frames.len(), 4);
        for (frame, rows) in frames.iter().zip(at) {
            let wanted = rows.iter().flat_map(|z| (0..3).map(|class| (z.clone(), vec![(class, 1.0)])));
            assert_eq!(frame.pixels, expected(&wanted.collect::<Vec<_>>(), &look));
        }
        // Uniform latents go straight, since the arc leaves the cube that they lie in.
        let uniform = small(|options| options.z = "uniform".into());
        assert_eq!(uniform.on_the_way(&[1.0, 0.0], &[0.0, 1.0], 0.25), [0.75, 0.25]);
    }
}
