//! Images from a trained generator.

use crate::data::{Images, Shape};
use crate::error::{Error, Result};
use crate::figure;
use crate::gan::train::latents;
use crate::gan::{Gan, Generator};
use crate::nn::{Mode, forget_standing};
use crate::progress::{Picture, Stop};
use crate::tensor::{Rng, Tensor, no_grad};

/// Images made at a time.
const CHUNK: usize = 64;

/// Generated images and the labels they were asked to be of.
#[derive(Debug, Clone)]
pub struct Samples {
    /// The images, rounded to 8 bits.
    pub images: Images,
    /// What each was asked to be; all 0 for a GAN without classes.
    pub labels: Vec<u32>,
}

impl Gan {
    /// The generator that samples come from, with batch-norm statistics taken over `standing_batches` batches of its own
    /// images: the standing statistics of Brock et al. 2018 (arXiv:1809.11096).
    ///
    /// # Errors
    /// A person asked to stop.
    pub fn standing(&self, stop: &Stop) -> Result<Generator> {
        let generator = self.sampler().copy()?;
        forget_standing(generator.store())?;
        let rng = Rng::new(self.options.seed).stream("standing");
        let classes = self.classes().len();
        for k in 0..self.options.standing_batches as u64 {
            stop.check()?;
            let labels: Vec<u32> = {
                let mut rng = rng.stream("labels").at(k);
                (0..self.options.batch).map(|_| rng.below(classes) as u32).collect()
            };
            let z =
                latents(&self.options.z, &mut rng.stream("z").at(k), labels.len(), self.options.z_dim, self.device())?;
            let labels = Tensor::from_u32s(labels.clone(), &[labels.len()], self.device())?.one_hot(classes)?;
            no_grad(|| generator.forward(&z, Some(&labels), Mode::Standing))?;
        }
        Ok(generator)
    }

    /// `labels.len()` images of the classes `labels`, their latents drawn from `seed`.
    ///
    /// # Errors
    /// A label is not below the number of classes; a person asked to stop.
    pub fn sample(&self, labels: &[u32], seed: u64, stop: &Stop) -> Result<Samples> {
        if labels.is_empty() {
            return Err(Error::new("cannot sample 0 images"));
        }
        let generator = self.standing(stop)?;
        self.draw(&generator, labels, seed, stop)
    }

    /// `n` images, the classes in turn, their latents drawn from `seed`.
    ///
    /// # Errors
    /// As [`sample`](Self::sample).
    pub fn sample_evenly(&self, n: usize, seed: u64, stop: &Stop) -> Result<Samples> {
        let classes = self.classes().len();
        let labels: Vec<u32> = (0..n).map(|i| (i % classes) as u32).collect();
        self.sample(&labels, seed, stop)
    }

    fn draw(&self, generator: &Generator, labels: &[u32], seed: u64, stop: &Stop) -> Result<Samples> {
        let classes = self.classes().len();
        let rng = Rng::new(seed).stream("samples");
        let mut pixels = Vec::with_capacity(labels.len() * self.shape().bytes());
        for (k, labels) in labels.chunks(CHUNK).enumerate() {
            stop.check()?;
            let z = latents(&self.options.z, &mut rng.at(k as u64), labels.len(), self.options.z_dim, self.device())?;
            let labels = Tensor::from_u32s(labels.to_vec(), &[labels.len()], self.device())?.one_hot(classes)?;
            let images = no_grad(|| generator.forward(&z, Some(&labels), Mode::Eval))?.to_f32s()?;
            if images.iter().any(|v| !v.is_finite()) {
                return Err(Error::new("the generator gives values that are not finite")
                    .help("its training diverged; lower the learning rates"));
            }
            pixels.extend(images.iter().map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8));
        }
        Ok(Samples { images: Images::new(self.shape(), pixels)?, labels: labels.to_vec() })
    }

    /// A picture of `columns` classes across (from the first on, again from the first when there are fewer) and `rows`
    /// images of each down; the same latents at every call.
    ///
    /// # Errors
    /// As [`sample`](Self::sample).
    pub fn grid(&self, rows: usize, columns: usize, stop: &Stop) -> Result<Picture> {
        let generator = self.standing(stop)?;
        self.grid_of(&generator, rows, columns, stop)
    }

    /// A small grid for the time of training, from the moving averages of the batch norms.
    pub(super) fn preview(&self) -> Result<Picture> {
        self.grid_of(self.sampler(), 6, 10, &Stop::default())
    }

    fn grid_of(&self, generator: &Generator, rows: usize, columns: usize, stop: &Stop) -> Result<Picture> {
        if rows == 0 || columns == 0 {
            return Err(Error::new(format!("a grid of {rows} rows and {columns} columns is empty")));
        }
        let classes = self.classes().len();
        let labels: Vec<u32> = (0..rows * columns).map(|i| (i % columns % classes) as u32).collect();
        let samples = self.draw(generator, &labels, self.options.seed, stop)?;
        let Shape { channels, height, width } = samples.images.shape();
        let images = figure::Images { pixels: samples.images.pixels(), channels, height, width };
        let column_labels = if self.conditional() {
            (0..columns).map(|i| self.classes()[i % classes].clone()).collect()
        } else {
            Vec::new()
        };
        figure::grid(&images, &figure::Grid { columns, column_labels, ..figure::Grid::default() })
    }
}
