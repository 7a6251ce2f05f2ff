//! What a discriminator thinks of images.

use crate::data::Images;
use crate::error::{Error, Result};
use crate::gan::Gan;
use crate::nn::Mode;
use crate::progress::Stop;
use crate::tensor::{Tensor, no_grad};

/// Images judged at a time.
const CHUNK: usize = 64;

/// Images with what a discriminator thinks of each.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The images.
    pub images: Images,
    /// Larger for what looks real.
    pub logits: Vec<f32>,
}

impl Judged {
    /// The places of the images, what looks most real first; equals in their order.
    pub fn ranking(&self) -> Vec<u32> {
        let mut places: Vec<u32> = (0..self.logits.len() as u32).collect();
        places.sort_by(|a, b| self.logits[*b as usize].total_cmp(&self.logits[*a as usize]));
        places
    }

    /// The `n` images that look most real, the first of them first; with `worst` those that look least real.
    ///
    /// # Errors
    /// Should not happen: the images are there.
    pub fn extremes(&self, n: usize, worst: bool) -> Result<Images> {
        let mut places = self.ranking();
        if worst {
            places.reverse();
        }
        places.truncate(n);
        self.images.select(&places)
    }

    /// The mean of the logits.
    pub fn mean(&self) -> f64 {
        self.logits.iter().map(|logit| f64::from(*logit)).sum::<f64>() / self.logits.len().max(1) as f64
    }

    /// The share of the images with a logit above 0.
    pub fn share_real(&self) -> f64 {
        self.logits.iter().filter(|logit| **logit > 0.0).count() as f64 / self.logits.len().max(1) as f64
    }
}

impl Gan {
    /// The discriminator's logit of each image, larger for what looks real. With `labels` each image is judged as one of its
    /// class; without, a projection head is left out. A GAN without classes looks at no labels.
    ///
    /// # Errors
    /// The images are of another size; there are not as many labels as images, or one is not below the number of classes; a
    /// person asked to stop.
    pub fn judge(&self, images: &Images, labels: Option<&[u32]>, stop: &Stop) -> Result<Judged> {
        if images.n() == 0 {
            return Err(Error::new("there are no images to judge"));
        }
        if images.shape() != self.shape() {
            return Err(Error::new(format!("the images are {}, the GAN is for {}", images.shape(), self.shape())));
        }
        let same = vec![0; images.n()];
        let labels = if self.conditional() { labels } else { Some(same.as_slice()) };
        if let Some(labels) = labels.filter(|labels| labels.len() != images.n()) {
            return Err(Error::new(format!("there are {} images and {} labels", images.n(), labels.len())));
        }
        let discriminator = self.discriminator();
        let mut logits = Vec::with_capacity(images.n());
        for (k, chunk) in images.chunks(CHUNK, self.device()).enumerate() {
            stop.check()?;
            let (chunk, first) = (chunk?, k * CHUNK);
            let n = chunk.dims4()?[0];
            let judged = no_grad(|| match labels {
                None => discriminator.plain_logits(&chunk, Mode::Eval),
                Some(labels) => {
                    let labels = Tensor::from_u32s(labels[first..first + n].to_vec(), &[n], self.device())?;
                    let labels = labels.one_hot(self.classes().len())?;
                    Ok(discriminator.forward(&chunk, Some(&labels), Mode::Eval)?.logits)
                }
            })?;
            logits.extend(judged.to_f32s()?);
        }
        Ok(Judged { images: images.clone(), logits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Shape;

    #[test]
    fn what_looks_most_real_comes_first() {
        let shape = Shape { channels: 1, height: 1, width: 1 };
        let judged =
            Judged { images: Images::new(shape, vec![10, 20, 30, 40]).unwrap(), logits: vec![0.5, -2.0, 3.0, 0.5] };
        assert_eq!(judged.ranking(), [2, 0, 3, 1]);
        assert_eq!(judged.extremes(2, false).unwrap().pixels(), [30, 10]);
        assert_eq!(judged.extremes(2, true).unwrap().pixels(), [20, 40]);
        assert_eq!((judged.mean(), judged.share_real()), (0.5, 0.75));
    }

    #[test]
    fn each_image_is_judged_as_one_of_its_own_class_wherever_it_stands() {
        let gan = crate::gan::sample::tests::small(|_| ());
        let samples = gan.sample_evenly(70, 1, &Stop::default()).unwrap();
        // Not in turn, so that the second part of them has other labels than the first.
        let labels: Vec<u32> = (0..70).map(|i| (i / 30) as u32).collect();
        let all = gan.judge(&samples.images, Some(&labels), &Stop::default()).unwrap().logits;
        for place in [0, 63, 64, 69] {
            let one = gan.judge(
                &samples.images.select(&[place]).unwrap(),
                Some(&labels[place as usize..][..1]),
                &Stop::default(),
            );
            let one = one.unwrap().logits[0];
            assert!(
                (all[place as usize] - one).abs() < 1e-5 * one.abs().max(1.0),
                "image {place}: {} and {one}",
                all[place as usize]
            );
        }
        let without = gan.judge(&samples.images, None, &Stop::default()).unwrap().logits;
        assert_ne!(all, without);
    }

    #[test]
    fn a_verdict_moves_nothing_of_the_discriminator() {
        let gan = crate::gan::sample::tests::small(|_| ());
        let images = gan.sample_evenly(3, 1, &Stop::default()).unwrap().images;
        let state = || {
            let state = gan.discriminator().store().state();
            state.iter().flat_map(|(_, tensor)| tensor.to_f32s().unwrap()).collect::<Vec<_>>()
        };
        let before = state();
        for labels in [None, Some([0, 1, 2].as_slice())] {
            gan.judge(&images, labels, &Stop::default()).unwrap();
            assert_eq!(state(), before);
        }
    }
}
