//! In how many directions generated images spread: the fractal dimension of the set.

use rayon::prelude::*;

use super::interval::{Groups, Interval};
use crate::data::Images;
use crate::error::{Error, Result};
use crate::tensor::Rng;

/// Points from which distances are taken.
pub const CENTRES: usize = 100;
/// Radii, evenly spaced on a logarithmic scale from the smallest distance to the largest.
const RADII: usize = 1000;
/// How far the line that is fitted reaches to each side of the middle, as a share of the logarithms' range.
const BAND: f64 = 0.1;

/// The slope of the logarithm of the number of points within a radius against the logarithm of the radius, about the
/// middle: for `points` of `dim` numbers each.
///
/// Distances are taken from a hundred of the points, drawn without replacement from `seed`. As in Compare GAN.
///
/// # Errors
/// There are fewer than a hundred points, or hardly any two distances differ.
pub fn fractal_dimension(points: &[f64], dim: usize, seed: u64) -> Result<f64> {
    let n = points.len() / dim.max(1);
    let centres = centres(n, seed)?;
    let row = |i: usize| &points[i * dim..(i + 1) * dim];
    let distance = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
    let distances: Vec<f64> = (0..n)
        .into_par_iter()
        .flat_map_iter(|i| centres.iter().map(move |&centre| distance(row(i), row(centre))))
        .collect();
    Counted::new(&distances)?.slope(n, None)
}

/// The fractal dimension of the images as points, one number for each pixel and channel, with its interval where there are
/// enough images.
///
/// # Errors
/// As [`fractal_dimension`].
pub fn fractal_dimension_of_images(images: &Images, seed: u64) -> Result<(f64, Option<Interval>)> {
    let n = images.n();
    let centres = centres(n, seed)?;
    let distance = |a: &[u8], b: &[u8]| {
        let square = |(a, b): (&u8, &u8)| u64::from(a.abs_diff(*b)).pow(2);
        (a.iter().zip(b).map(square).sum::<u64>() as f64).sqrt()
    };
    let distances: Vec<f64> = (0..n)
        .into_par_iter()
        .flat_map_iter(|i| centres.iter().map(move |&centre| distance(images.image(i), images.image(centre))))
        .collect();
    let counted = Counted::new(&distances)?;
    let value = counted.slope(n, None)?;
    let Some(groups) = Groups::new(n, seed, "fake") else { return Ok((value, None)) };
    let without =
        (0..Groups::COUNT).map(|group| counted.slope(n, Some((&groups, group)))).collect::<Result<Vec<f64>>>()?;
    Ok((value, Some(Interval::from_left_out(value, &without).within(0., f64::INFINITY))))
}

fn centres(n: usize, seed: u64) -> Result<Vec<usize>> {
    if n < CENTRES {
        return Err(Error::new(format!("{n} images were given, at least {CENTRES} are needed"))
            .help("the fractal dimension takes distances from a hundred of them"));
    }
    let mut order = Rng::new(seed).stream("fractal_dimension").permutation(n);
    order.truncate(CENTRES);
    Ok(order)
}

/// Radii, and for each distance the first radius that is larger.
struct Counted {
    radii: Vec<f64>,
    first: Vec<u32>,
}

impl Counted {
    /// `distances` are `CENTRES` for each point, point after point.
    fn new(distances: &[f64]) -> Result<Self> {
        let least = distances.iter().copied().filter(|d| *d > 0.).fold(f64::INFINITY, f64::min);
        let most = distances.iter().copied().fold(0., f64::max);
        if most <= least || most == 0. {
            return Err(Error::new("the images are at one distance from one another, or all equal")
                .help("a fractal dimension needs distances that differ"));
        }
        // The smallest distance itself is no radius: nothing but equal images lies within.
        let radii: Vec<f64> = (1..RADII).map(|i| least * (most / least).powf(i as f64 / (RADII - 1) as f64)).collect();
        let first = distances.par_iter().map(|d| radii.partition_point(|radius| radius <= d) as u32).collect();
        Ok(Self { radii, first })
    }

    /// The slope for all points, or without those of a group.
    fn slope(&self, n: usize, without: Option<(&Groups, usize)>) -> Result<f64> {
        let mut found = vec![0u64; self.radii.len() + 1];
        let mut points = 0;
        for (point, first) in self.first.chunks_exact(CENTRES).enumerate().take(n) {
            if without.is_some_and(|(groups, group)| groups.of(point) == group) {
                continue;
            }
            points += 1;
            first.iter().for_each(|first| found[*first as usize] += 1);
        }
        let mut total = 0;
        let line: Vec<(f64, f64)> = self
            .radii
            .iter()
            .zip(found)
            .map(|(radius, found)| {
                total += found;
                (radius.ln(), (total as f64).ln())
            })
            .collect();
        let (low, high) = ((CENTRES as f64).ln(), ((points * CENTRES) as f64).ln());
        let middle = low + 0.5 * (high - low);
        let above = |level: f64| line.iter().position(|(_, y)| *y > level).unwrap_or(line.len());
        let band = &line[above(middle - BAND * (high - low))..above(middle + BAND * (high - low))];
        let count = band.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| band.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(|p| p.0), mean(|p| p.1));
        let spread: f64 = band.iter().map(|p| (p.0 - x) * (p.0 - x)).sum();
        if band.len() < 2 || spread == 0. {
            return Err(Error::new("too few distances lie about the middle to fit a line")
                .help("the images fall into few groups of equals; generate more of them"));
        }
        Ok(band.iter().map(|p| (p.0 - x) * (p.1 - y)).sum::<f64>() / spread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Shape;

    fn uniform(count: usize) -> Vec<f64> {
        Rng::new(3).uniforms(count).into_iter().map(f64::from).collect()
    }

    #[test]
    fn a_line_has_one_dimension_and_a_square_two() {
        // The anchors of Compare GAN: 10 000 uniform points, 1.0 and 2.0.
        let line: Vec<f64> = uniform(10_000).into_iter().flat_map(|x| [x, 2. * x]).collect();
        let one = fractal_dimension(&line, 2, 1).unwrap();
        assert!((one - 1.).abs() < 0.05, "{one}");
        let two = fractal_dimension(&uniform(20_000), 2, 1).unwrap();
        assert!((two - 2.).abs() < 0.1, "{two}");
    }

    #[test]
    fn images_are_points_and_equal_ones_have_no_dimension() {
        let shape = Shape { channels: 1, height: 1, width: 3 };
        let pixels: Vec<u8> = uniform(2000).into_iter().flat_map(|x| [x, x, 0.5]).map(|x| (x * 255.) as u8).collect();
        let images = Images::new(shape, pixels.clone()).unwrap();
        let (value, interval) = fractal_dimension_of_images(&images, 1).unwrap();
        let numbers: Vec<f64> = pixels.iter().map(|pixel| f64::from(*pixel)).collect();
        assert!((value - fractal_dimension(&numbers, 3, 1).unwrap()).abs() < 1e-12);
        // Levels of grey are steps, so the smallest distances are all alike.
        assert!((value - 1.).abs() < 0.2, "{value}");
        let interval = interval.unwrap();
        assert!(interval.low < value && value < interval.high);
        let equal = images.select(&[0; 200]).unwrap();
        let error = fractal_dimension_of_images(&equal, 1).unwrap_err();
        assert_eq!(error.message, "the images are at one distance from one another, or all equal");
        let few = images.select(&[0; 99]).unwrap();
        let error = fractal_dimension_of_images(&few, 1).unwrap_err();
        assert_eq!(error.message, "99 images were given, at least 100 are needed");
    }
}
