//! Images from a trained generator.

use crate::data::{Images, Shape};
use crate::error::{Error, Result};
use crate::figure;
use crate::gan::latent::{CHUNK, Draw};
use crate::gan::{Gan, Generator};
use crate::nn::{Mode, Prior, forget_standing};
use crate::progress::{Picture, Stop};
use crate::tensor::{Rng, Tensor, no_grad};

/// Generated images and the labels they were asked to be of.
#[derive(Clone)]
pub struct Samples {
    /// The images, rounded to 8 bits.
    pub images: Images,
    /// What each was asked to be; all 0 for a GAN without classes.
    pub labels: Vec<u32>,
    /// The names of the classes that labels are numbers of; empty for a GAN without classes.
    pub classes: Vec<String>,
    /// The latent of each, `[n, z_dim]`.
    pub z: Tensor,
}

impl Gan {
    /// The generator that samples come from, with batch-norm statistics taken over `standing_batches` batches of its own
    /// images: the standing statistics of Brock et al. 2018 (arXiv:1809.11096). Truncated latents make images with statistics
    /// of their own, so that these are taken under the same `truncation`.
    ///
    /// # Errors
    /// As [`latents`](Self::latents); a person asked to stop.
    pub fn standing(&self, truncation: Option<f64>, stop: &Stop) -> Result<Generator> {
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
            let mut z = {
                let mut rng = rng.stream("z").at(k);
                Prior::named(&self.options.z)?.draw(&mut rng, labels.len(), self.options.z_dim, self.device())?
            };
            if truncation.is_some() {
                let mut values = z.to_f32s()?;
                self.truncate(&mut values, truncation, &mut rng.stream("truncation").at(k))?;
                z = self.rows(values)?;
            }
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
        self.sample_from(self.latents(labels.len(), Draw { seed, truncation: None })?, labels, None, stop)
    }

    /// Images of the latents `z` (`z_dim` numbers each, drawn within `truncation`) and the classes `labels`.
    ///
    /// # Errors
    /// As [`sample`](Self::sample); there are not as many latents as labels.
    pub fn sample_from(&self, z: Vec<f32>, labels: &[u32], truncation: Option<f64>, stop: &Stop) -> Result<Samples> {
        if labels.is_empty() {
            return Err(Error::new("cannot sample 0 images"));
        }
        self.draw(&self.standing(truncation, stop)?, z, labels, stop)
    }

    /// The class called `name`.
    ///
    /// # Errors
    /// There is none; the GAN was trained without classes.
    pub fn class(&self, name: &str) -> Result<u32> {
        if !self.conditional() {
            return Err(Error::new(format!("the GAN was trained without classes, and was asked for `{name}`"))
                .help("leave the class out"));
        }
        let place = self.classes().iter().position(|class| class == name);
        place
            .map(|place| place as u32)
            .ok_or_else(|| crate::table::unknown("class", name, self.classes().iter().map(String::as_str)))
    }

    /// `n` classes in turn.
    pub fn in_turn(&self, n: usize) -> Vec<u32> {
        let classes = self.classes().len();
        (0..n).map(|i| (i % classes) as u32).collect()
    }

    /// `n` images, the classes in turn, their latents drawn from `seed`.
    ///
    /// # Errors
    /// As [`sample`](Self::sample).
    pub fn sample_evenly(&self, n: usize, seed: u64, stop: &Stop) -> Result<Samples> {
        self.sample(&self.in_turn(n), seed, stop)
    }

    fn draw(&self, generator: &Generator, z: Vec<f32>, labels: &[u32], stop: &Stop) -> Result<Samples> {
        let mixture =
            Tensor::from_u32s(labels.to_vec(), &[labels.len()], self.device())?.one_hot(self.classes().len())?;
        let z = self.rows(z)?;
        let classes = if self.conditional() { self.classes().to_vec() } else { Vec::new() };
        Ok(Samples { images: self.render(generator, &z, &mixture, stop)?, labels: labels.to_vec(), classes, z })
    }

    /// The images of the latents `z` `[n, z_dim]` and the mixtures of classes `mixtures` `[n, classes]`.
    pub(super) fn render(&self, generator: &Generator, z: &Tensor, mixtures: &Tensor, stop: &Stop) -> Result<Images> {
        let [n, _] = z.dims2()?;
        let mut pixels = Vec::with_capacity(n * self.shape().bytes());
        for first in (0..n).step_by(CHUNK) {
            stop.check()?;
            let rows = CHUNK.min(n - first);
            let (z, mixtures) = (z.narrow(0, first, rows)?, mixtures.narrow(0, first, rows)?);
            let images = no_grad(|| generator.forward(&z, Some(&mixtures), Mode::Eval))?.to_f32s()?;
            if images.iter().any(|v| !v.is_finite()) {
                return Err(Error::new("the generator gives values that are not finite")
                    .help("its training diverged; lower the learning rates"));
            }
            pixels.extend(images.iter().map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8));
        }
        Images::new(self.shape(), pixels)
    }

    /// A picture of `columns` classes across (from the first on, again from the first when there are fewer) and `rows`
    /// images of each down; the same latents at every call.
    ///
    /// # Errors
    /// As [`sample`](Self::sample).
    pub fn grid(&self, rows: usize, columns: usize, stop: &Stop) -> Result<Picture> {
        let generator = self.standing(None, stop)?;
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
        let z = self.latents(labels.len(), Draw { seed: self.options.seed, truncation: None })?;
        let images = self.draw(generator, z, &labels, stop)?.images;
        let column_labels = if self.conditional() {
            (0..columns).map(|i| self.classes()[i % classes].clone()).collect()
        } else {
            Vec::new()
        };
        pictured(&images, &figure::Grid { columns, column_labels, ..figure::Grid::default() })
    }
}

/// Images side by side.
pub(super) fn pictured(images: &Images, look: &figure::Grid) -> Result<Picture> {
    let Shape { channels, height, width } = images.shape();
    figure::grid(&figure::Images { pixels: images.pixels(), channels, height, width }, look)
}
