//! What a generator makes and what it learned from, as sets of images.

use crate::data::{Dataset, Images, Labelled, Shape, Truth};
use crate::error::{Error, Result};
use crate::nn::Generative;
use crate::progress::Stop;
use crate::tensor::{Device, Rng, Tensor, no_grad};

/// Images made at a time.
const BATCH: usize = 64;

/// What a generator made.
pub struct Sampled {
    /// The images, rounded to 8 bits.
    pub images: Images,
    /// The class that each was asked to show.
    pub labels: Vec<u32>,
    /// The same before rounding, `[n, channels, height, width]` from 0 to 1 in the computer's memory, if they were to be kept.
    pub unrounded: Option<Tensor>,
}

/// `n` images of `generator`, the classes in turn; with `quantize` they are kept in 8 bits alone.
///
/// # Errors
/// No image was asked for; a value is not finite; a person asked to stop.
pub fn sampled(generator: &dyn Generative, n: usize, seed: u64, quantize: bool, stop: &Stop) -> Result<Sampled> {
    if n == 0 {
        return Err(Error::new("cannot generate 0 images"));
    }
    let rng = Rng::new(seed).stream("samples");
    let labels: Vec<u32> = (0..n).map(|i| (i % generator.classes().max(1)) as u32).collect();
    let (mut pixels, mut kept) = (Vec::new(), Vec::new());
    let mut shape: Option<Shape> = None;
    for (k, labels) in labels.chunks(BATCH).enumerate() {
        stop.check()?;
        let z = generator.prior().draw(&mut rng.at(k as u64), labels.len(), generator.z_dim(), generator.device())?;
        let made = made(generator, &z, labels)?;
        let images = Images::from_tensor(&made)?;
        let own = *shape.get_or_insert(images.shape());
        if own != images.shape() {
            return Err(Error::new(format!("the generator made {own} images and then {} ones", images.shape())));
        }
        pixels.extend_from_slice(images.pixels());
        if !quantize {
            kept.push(made.clamp(0., 1.)?.to_device(&Device::Cpu)?);
        }
    }
    let shape = shape.ok_or_else(|| Error::bug("no image was made"))?;
    let unrounded = if quantize { None } else { Some(Tensor::cat(&kept.iter().collect::<Vec<_>>(), 0)?) };
    Ok(Sampled { images: Images::new(shape, pixels)?, labels, unrounded })
}

/// The images of the latents `z` `[n, z_dim]` and of `labels`, as [`Sampled::unrounded`].
///
/// # Errors
/// As [`sampled`].
pub fn unrounded(generator: &dyn Generative, z: &Tensor, labels: &[u32], stop: &Stop) -> Result<Tensor> {
    let mut kept = Vec::new();
    for (k, labels) in labels.chunks(BATCH).enumerate() {
        stop.check()?;
        let made = made(generator, &z.narrow(0, k * BATCH, labels.len())?, labels)?;
        kept.push(made.clamp(0., 1.)?.to_device(&Device::Cpu)?);
    }
    Tensor::cat(&kept.iter().collect::<Vec<_>>(), 0)
}

/// One batch of images.
fn made(generator: &dyn Generative, z: &Tensor, labels: &[u32]) -> Result<Tensor> {
    let made = no_grad(|| generator.generate(z, labels))?;
    if made.dims().first() == Some(&labels.len()) {
        return Ok(made);
    }
    Err(Error::new(format!(
        "the generator made a tensor of shape {:?} from {} latents; it must make an image of each",
        made.dims(),
        labels.len()
    )))
}

/// What a GAN learned from, under the labels that it was given: the labelled images alone for one that looks at classes.
///
/// # Errors
/// No image has a label.
pub fn learned_from(data: &Labelled, conditional: bool) -> Result<Dataset> {
    let labels = data.labels();
    if !conditional && labels.iter().any(Option::is_none) {
        return Dataset::new(data.name(), data.images().clone(), None, "what the GAN learned from");
    }
    let rows: Vec<u32> = (0..data.n() as u32).filter(|row| labels[*row as usize].is_some()).collect();
    let truth = Truth::new(labels.iter().copied().flatten().collect(), data.classes().to_vec())?;
    Dataset::new(data.name(), data.images().select(&rows)?, Some(truth), "what the GAN learned from")
}

#[cfg(test)]
mod tests {
    use super::super::testing::Own;
    use super::*;
    use crate::nn::Prior;

    #[test]
    fn images_are_drawn_from_the_prior_and_the_same_for_a_seed() {
        let generator = Own::new(3, Prior::Uniform, |z| z.affine(0.5, 0.5)?.reshape(&[z.dims()[0], 1, 1, 3]));
        let stop = Stop::default();
        let of = |seed, quantize| sampled(&generator, 150, seed, quantize, &stop).unwrap();
        let Sampled { images, labels, unrounded } = of(4, true);
        assert_eq!((images.n(), labels.len(), unrounded.is_none()), (150, 150, true));
        assert_eq!(of(4, true).images, images);
        assert_ne!(of(5, true).images, images);
        let exact = of(4, false).unrounded.unwrap();
        assert_eq!(Images::from_tensor(&exact).unwrap(), images);
        let lost = exact.sub(&images.tensor(&Device::Cpu).unwrap()).unwrap().abs().unwrap().to_f32s().unwrap();
        assert!(lost.iter().all(|x| *x <= 0.501 / 255.) && lost.iter().sum::<f32>() > 0.1, "half a step at most");
        let mean = images.pixels().iter().map(|x| f64::from(*x)).sum::<f64>() / 450.;
        assert!((mean - 127.5).abs() < 10., "{mean}");
        let one = Own::new(3, Prior::Normal, |z| z.narrow(0, 0, 1)?.reshape(&[1, 1, 1, 3]));
        assert!(sampled(&one, 2, 1, true, &stop).err().unwrap().message.contains("an image of each"));
        let nan =
            Own::new(1, Prior::Normal, |z| Tensor::full(f64::NAN, &[z.dims()[0], 1, 1, 1], z.dtype(), z.device()));
        assert!(sampled(&nan, 2, 1, true, &stop).is_err());
        assert_eq!(sampled(&one, 0, 1, true, &stop).err().unwrap().message, "cannot generate 0 images");
    }
}
