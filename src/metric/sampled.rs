//! What a generator makes and what it learned from, as sets of images.

use crate::data::{Dataset, Images, Labelled, Shape, Truth};
use crate::error::{Error, Result};
use crate::nn::Generative;
use crate::progress::Stop;
use crate::tensor::{Rng, no_grad};

/// Images made at a time.
const BATCH: usize = 64;

/// `n` images of `generator`, rounded to 8 bits, the classes in turn, and the class of each.
///
/// # Errors
/// No image was asked for; a value is not finite; a person asked to stop.
pub fn sampled(generator: &dyn Generative, n: usize, seed: u64, stop: &Stop) -> Result<(Images, Vec<u32>)> {
    if n == 0 {
        return Err(Error::new("cannot generate 0 images"));
    }
    let rng = Rng::new(seed).stream("samples");
    let labels: Vec<u32> = (0..n).map(|i| (i % generator.classes().max(1)) as u32).collect();
    let mut pixels = Vec::new();
    let mut shape: Option<Shape> = None;
    for (k, labels) in labels.chunks(BATCH).enumerate() {
        stop.check()?;
        let z = generator.prior().draw(&mut rng.at(k as u64), labels.len(), generator.z_dim(), generator.device())?;
        let made = no_grad(|| generator.generate(&z, labels))?;
        if made.dims().first() != Some(&labels.len()) {
            return Err(Error::new(format!(
                "the generator made a tensor of shape {:?} from {} latents; it must make an image of each",
                made.dims(),
                labels.len()
            )));
        }
        let images = Images::from_tensor(&made)?;
        let own = *shape.get_or_insert(images.shape());
        if own != images.shape() {
            return Err(Error::new(format!("the generator made {own} images and then {} ones", images.shape())));
        }
        pixels.extend_from_slice(images.pixels());
    }
    let shape = shape.ok_or_else(|| Error::bug("no image was made"))?;
    Ok((Images::new(shape, pixels)?, labels))
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
    use crate::tensor::Tensor;

    #[test]
    fn images_are_drawn_from_the_prior_and_the_same_for_a_seed() {
        let generator = Own::new(3, Prior::Uniform, |z| z.affine(0.5, 0.5)?.reshape(&[z.dims()[0], 1, 1, 3]));
        let stop = Stop::default();
        let (images, labels) = sampled(&generator, 150, 4, &stop).unwrap();
        assert_eq!((images.n(), labels.len()), (150, 150));
        assert_eq!(sampled(&generator, 150, 4, &stop).unwrap().0, images);
        assert_ne!(sampled(&generator, 150, 5, &stop).unwrap().0, images);
        let mean = images.pixels().iter().map(|x| f64::from(*x)).sum::<f64>() / 450.;
        assert!((mean - 127.5).abs() < 10., "{mean}");
        let one = Own::new(3, Prior::Normal, |z| z.narrow(0, 0, 1)?.reshape(&[1, 1, 1, 3]));
        assert!(sampled(&one, 2, 1, &stop).unwrap_err().message.contains("an image of each"));
        let nan =
            Own::new(1, Prior::Normal, |z| Tensor::full(f64::NAN, &[z.dims()[0], 1, 1, 1], z.dtype(), z.device()));
        assert!(sampled(&nan, 2, 1, &stop).is_err());
        assert_eq!(sampled(&one, 0, 1, &stop).unwrap_err().message, "cannot generate 0 images");
    }
}
