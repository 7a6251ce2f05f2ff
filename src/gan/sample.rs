//! Images from a trained generator.

use crate::data::{Images, Shape, level};
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
            pixels.extend(images.into_iter().map(level));
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::data::{Dataset, Truth};
    use crate::gan::TrainOptions;
    use crate::progress::Job;
    use crate::tensor::Device;

    /// A GAN on 8x8 images of three classes, which took a step.
    pub fn small(change: impl Fn(&mut TrainOptions)) -> Gan {
        let images =
            Images::new(Shape { channels: 1, height: 8, width: 8 }, (0..768u32).map(|v| (v % 251) as u8).collect())
                .unwrap();
        let truth = Truth::new((0..12).map(|i| i % 3).collect(), ["a", "b", "c"].map(String::from).into()).unwrap();
        let data =
            Dataset::new("twelve", images, Some(truth), "a test").unwrap().keep_labels(1.0, 1).unwrap().only_known();
        let mut options = TrainOptions {
            steps: 1,
            batch: 4,
            generator: "sndcgan".into(),
            discriminator: "sndcgan".into(),
            g_channels: 8,
            d_channels: 8,
            z_dim: 4,
            standing_batches: 3,
            sample_every: 0,
            ..TrainOptions::default()
        };
        change(&mut options);
        crate::gan::train(&data, options, &Device::Cpu, &Job::silent(), None).unwrap()
    }

    fn buffer(generator: &Generator, name: &str) -> Vec<f32> {
        let buffers = generator.store().buffers();
        buffers.iter().find(|buffer| buffer.name() == name).unwrap().value().to_f32s().unwrap()
    }

    #[test]
    fn standing_statistics_are_taken_over_the_batches_asked_for_of_the_averaged_generator() {
        let gan = small(|options| options.ema = 0.5);
        let standing = gan.standing(None, &Stop::default()).unwrap();
        let params = |generator: &Generator| {
            generator.store().params().iter().flat_map(|param| param.value().to_f32s().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(params(&standing), params(gan.sampler()));
        assert_ne!(params(&standing), params(gan.generator()));
        assert_eq!(buffer(&standing, "generator.norm0.count"), [3.0]);
        let (mean, sum) = (buffer(&standing, "generator.norm0.mean"), buffer(&standing, "generator.norm0.sum_mean"));
        assert!(mean.iter().zip(&sum).all(|(mean, sum)| (mean - sum / 3.0).abs() < 1e-6));
        // Without any, the moving averages of training stay.
        let moving = small(|options| (options.ema, options.standing_batches) = (0.5, 0));
        let standing = moving.standing(None, &Stop::default()).unwrap();
        assert_eq!(buffer(&standing, "generator.norm0.mean"), buffer(moving.sampler(), "generator.norm0.mean"));
    }

    #[test]
    fn truncated_latents_have_standing_statistics_of_their_own() {
        let gan = small(|_| ());
        // The first norm is over a linear map of the latent: its variance goes with the square of the latent's size.
        let variance = |truncation| -> f32 {
            buffer(&gan.standing(truncation, &Stop::default()).unwrap(), "generator.norm0.variance").iter().sum()
        };
        let (whole, cut) = (variance(None), variance(Some(0.1)));
        assert!(cut < 0.01 * whole && cut > 0.0, "{cut} beside {whole}");
    }

    #[test]
    fn a_column_of_a_grid_is_of_a_class() {
        let gan = small(|_| ());
        let labels = [0, 1, 2, 0, 0, 1, 2, 0];
        let z = gan.latents(8, Draw { seed: gan.options.seed, truncation: None }).unwrap();
        let images = gan.sample_from(z, &labels, None, &Stop::default()).unwrap().images;
        let column_labels = ["a", "b", "c", "a"].map(String::from).into();
        let expected =
            pictured(&images, &figure::Grid { columns: 4, column_labels, ..figure::Grid::default() }).unwrap();
        assert_eq!(gan.grid(2, 4, &Stop::default()).unwrap().pixels, expected.pixels);
    }

    #[test]
    fn more_latents_begin_with_the_same_ones_and_none_comes_twice() {
        let gan = small(|_| ());
        let latents = |n| gan.latents(n, Draw { seed: 3, truncation: None }).unwrap();
        let all = latents(130);
        assert_eq!(latents(64)[..], all[..64 * 4]);
        let mut rows: Vec<Vec<u32>> = all.chunks(4).map(|row| row.iter().map(|v| v.to_bits()).collect()).collect();
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), 130);
    }

    #[test]
    fn a_pixel_becomes_the_nearest_of_256_levels() {
        let gan = small(|options| options.ema = 0.0);
        for param in gan.generator().store().params() {
            param.set(param.value().mul_scalar(0.0).unwrap()).unwrap();
        }
        // Half of white is 127.5.
        let images = gan.sample_evenly(3, 1, &Stop::default()).unwrap().images;
        assert!(images.pixels().iter().all(|pixel| *pixel == 128));
    }
}
