//! Feature vectors of a set of images, checked once, so that no metric has to.

use rayon::prelude::*;

use crate::error::{Error, Result};

/// Feature vectors of a set of images: `rows` vectors of `dim` finite numbers, row after row.
///
/// Double precision: the Fréchet distance is a small difference of large sums.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    rows: usize,
    dim: usize,
    data: Vec<f64>,
}

impl Features {
    /// `data` is `[rows, dim]`, row-major. Refuses a wrong length and numbers that are not finite.
    pub fn new(data: Vec<f64>, rows: usize, dim: usize) -> Result<Self> {
        if dim == 0 || data.len() != rows * dim {
            return Err(Error::new(format!(
                "features of {rows} images in {dim} dimensions need {} numbers, given {}",
                rows * dim,
                data.len()
            )));
        }
        if let Some(bad) = data.iter().position(|x| !x.is_finite()) {
            return Err(Error::new(format!(
                "feature {} of image {} is {}, expected a finite number",
                bad % dim,
                bad / dim,
                data[bad]
            ))
            .help("a generator that diverged makes such images; look at its samples and losses"));
        }
        Ok(Self { rows, dim, data })
    }

    /// How many images.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many numbers describe an image.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// All numbers, row after row.
    pub fn data(&self) -> &[f64] {
        &self.data
    }

    /// The features of image `row`.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.data[row * self.dim..(row + 1) * self.dim]
    }

    /// The features of the images `rows`, in that order; a row may repeat.
    pub fn select(&self, rows: &[usize]) -> Self {
        let data = rows.iter().flat_map(|&row| self.row(row)).copied().collect();
        Self { rows: rows.len(), dim: self.dim, data }
    }

    /// The mean over images, summed in a fixed order.
    pub fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.; self.dim];
        for row in self.data.chunks_exact(self.dim) {
            for (sum, x) in mean.iter_mut().zip(row) {
                *sum += x;
            }
        }
        for sum in &mut mean {
            *sum /= self.rows as f64;
        }
        mean
    }

    /// These features less `origin`, a vector of `dim` numbers.
    pub fn centred(&self, origin: &[f64]) -> Self {
        let data =
            self.data.chunks_exact(self.dim).flat_map(|row| row.iter().zip(origin).map(|(x, m)| x - m)).collect();
        Self { rows: self.rows, dim: self.dim, data }
    }

    /// These features less `origin`, a vector of `dim` numbers, feature after feature: `[dim, rows]`.
    pub fn centred_by_feature(&self, origin: &[f64]) -> Vec<f64> {
        let mut turned = vec![0.; self.data.len()];
        if self.rows == 0 {
            return turned;
        }
        turned.par_chunks_mut(SQUARE * self.rows).enumerate().for_each(|(strip, turned)| {
            let from = strip * SQUARE;
            let width = turned.len() / self.rows;
            for first in (0..self.rows).step_by(SQUARE) {
                let rows = first..(first + SQUARE).min(self.rows);
                for (i, turned) in turned.chunks_exact_mut(self.rows).enumerate().take(width) {
                    let origin = origin[from + i];
                    for row in rows.clone() {
                        turned[row] = self.data[row * self.dim + from + i] - origin;
                    }
                }
            }
        });
        turned
    }
}

/// The side of the squares that a matrix is turned by: small enough for the nearest cache.
const SQUARE: usize = 32;

/// Refuses two sets that cannot be compared: other dimensions, or fewer than `least` images on a side.
pub fn comparable(real: &Features, fake: &Features, least: usize) -> Result<()> {
    if real.dim != fake.dim {
        return Err(Error::new(format!(
            "real features have {} dimensions, fake features have {}; both must have the same",
            real.dim, fake.dim
        ))
        .help("features of two extractors cannot be compared"));
    }
    for (side, rows) in [("real", real.rows), ("fake", fake.rows)] {
        if rows < least {
            return Err(Error::new(format!(
                "{rows} {side} {} given, at least {least} are needed",
                if rows == 1 { "image was" } else { "images were" }
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nan_is_named_with_its_place() {
        let error = Features::new(vec![0., 1., 2., f64::NAN], 2, 2).unwrap_err();
        assert_eq!(error.message, "feature 1 of image 1 is NaN, expected a finite number");
        let error = Features::new(vec![0.; 5], 2, 3).unwrap_err();
        assert_eq!(error.message, "features of 2 images in 3 dimensions need 6 numbers, given 5");
    }

    #[test]
    fn sides_that_cannot_be_compared_are_refused() {
        let set = |rows, dim| Features::new(vec![0.; rows * dim], rows, dim).unwrap();
        let error = comparable(&set(3, 2), &set(3, 4), 2).unwrap_err();
        assert_eq!(error.message, "real features have 2 dimensions, fake features have 4; both must have the same");
        let error = comparable(&set(3, 2), &set(1, 2), 2).unwrap_err();
        assert_eq!(error.message, "1 fake image was given, at least 2 are needed");
    }
}
