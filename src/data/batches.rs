//! Shuffled batches. Batch `k` is a function of the seed and `k` alone.

use std::sync::{Arc, Mutex, PoisonError};

use super::augment::{Augment, Fill, Zoom};
use super::images::Images;
use crate::error::{Error, Result};
use crate::options;
use crate::tensor::{Device, Rng, Tensor};

options! {
    /// How batches are drawn.
    pub struct BatchOptions("batches") {
        /// What the order of the images and their augmentation are drawn from.
        pub seed: u64 = 1,
        /// Mirror each image, left to right, half of the time.
        pub flip: bool = false,
        /// Move each image by up to this many pixels each way: pad by so much, then crop at random.
        pub crop: usize = 0,
        /// What the padding of `crop` holds: `zero`, or `reflect`, the image mirrored at its edge.
        pub fill: String = "zero".into(),
        /// Cut a random square of at least this share of its area out of each image, and bring it back to its size: 0.5 is
        /// the `distorted` cut of Lucic et al. 2019, drawn anew in each epoch. 1 leaves images whole.
        pub least_area: f64 = 1.0,
    }
}

/// What a batch tells about its images.
#[derive(Clone)]
pub(super) enum Targets {
    /// Nothing.
    None,
    /// Labels, and probabilities if there are any: `[n, classes]` row by row. Every drawn image has a label.
    Labels { labels: Arc<[Option<u32>]>, probs: Option<Arc<[f32]>>, classes: usize },
}

/// One batch.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Which images of the set these are.
    pub indices: Vec<u32>,
    /// `[batch, channels, height, width]`, from 0 (black) to 1.
    pub images: Tensor,
    /// `[batch]`, u32, if the images have labels.
    pub labels: Option<Tensor>,
    /// `[batch, classes]`, rows summing to 1, if a labeller gave them.
    pub probs: Option<Tensor>,
}

impl Batch {
    /// The labels `[batch]`; an error when these images come without.
    pub fn labels(&self) -> Result<&Tensor> {
        self.labels.as_ref().ok_or_else(|| {
            Error::new("these batches have no labels").help("`known_batches` has the ones that are kept")
        })
    }
}

/// Batches without end, shuffled anew in each epoch. What does not fill a batch at the end of an epoch is left for
/// another one's order.
///
/// Batch `k` depends on nothing but the seed, the options and `k`: a resumed run goes on where it was, and methods
/// with one seed see the images in one order. All images are shuffled before those that take no part are left out, so
/// that this holds between methods that label different images, too.
pub struct Batches {
    images: Images,
    targets: Targets,
    /// Which images take part; all of them if none.
    part: Option<Vec<bool>>,
    n: usize,
    size: usize,
    rng: Rng,
    augment: Augment,
    zoom: Option<Zoom>,
    device: Device,
    /// The order of the epoch drawn last.
    epoch: Mutex<Option<(u64, Arc<[u32]>)>>,
}

impl Batches {
    pub(super) fn new(
        images: &Images,
        targets: Targets,
        pool: Option<Vec<u32>>,
        size: usize,
        options: &BatchOptions,
    ) -> Result<Self> {
        let n = pool.as_ref().map_or(images.n(), Vec::len);
        if size == 0 || size > n {
            return Err(Error::new(format!("a batch of {size} images cannot be drawn from {n}"))
                .help(format!("`batch` must lie between 1 and {n}")));
        }
        let part = pool.map(|pool| {
            let mut part = vec![false; images.n()];
            pool.iter().for_each(|index| part[*index as usize] = true);
            part
        });
        let augment = Augment { flip: options.flip, crop: options.crop, fill: Fill::named(&options.fill)? };
        augment.check(images.shape())?;
        let zoom = Zoom::new(options.least_area, images.shape())?;
        Ok(Self {
            images: images.clone(),
            targets,
            part,
            n,
            size,
            rng: Rng::new(options.seed).stream("data::batches"),
            augment,
            zoom,
            device: Device::Cpu,
            epoch: Mutex::new(None),
        })
    }

    /// The same batches on another device.
    #[must_use]
    pub fn on(mut self, device: &Device) -> Self {
        self.device = device.clone();
        self
    }

    /// Images in a batch.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Images that take part.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Whole batches in an epoch.
    pub fn per_epoch(&self) -> usize {
        self.n / self.size
    }

    /// The images of batch `k`, from 0.
    pub fn indices(&self, k: u64) -> Vec<u32> {
        let per_epoch = self.per_epoch() as u64;
        let order = self.order(k / per_epoch);
        let start = (k % per_epoch) as usize * self.size;
        order[start..start + self.size].to_vec()
    }

    /// Batch `k`, from 0.
    pub fn batch(&self, k: u64) -> Result<Batch> {
        let indices = self.indices(k);
        let mut rng = self.rng.stream("augment").at(k);
        // Cuts have draws of their own, so that they do not shift the others.
        let mut cuts = self.rng.stream("cut").at(k);
        let shape = self.images.shape();
        let mut pixels = vec![0; self.size * shape.bytes()];
        for (target, index) in pixels.chunks_exact_mut(shape.bytes()).zip(&indices) {
            let image = self.images.image(*index as usize);
            match &self.zoom {
                Some(zoom) => self.augment.apply(&zoom.apply(image, shape, &mut cuts), target, shape, &mut rng),
                None => self.augment.apply(image, target, shape, &mut rng),
            }
        }
        let images = Images::new(shape, pixels)?.tensor(&self.device)?;
        let (labels, probs) = match &self.targets {
            Targets::None => (None, None),
            Targets::Labels { labels, probs, classes } => {
                let picked: Vec<u32> = indices.iter().filter_map(|index| labels[*index as usize]).collect();
                let rows = probs.as_ref().map(|probs| {
                    indices.iter().flat_map(|index| &probs[*index as usize * classes..][..*classes]).copied().collect()
                });
                let probs =
                    rows.map(|rows| Tensor::from_vec(rows, &[self.size, *classes], &self.device)).transpose()?;
                (Some(Tensor::from_u32s(picked, &[self.size], &self.device)?), probs)
            }
        };
        Ok(Batch { indices, images, labels, probs })
    }

    /// The images that take part, in the order of an epoch.
    fn order(&self, epoch: u64) -> Arc<[u32]> {
        // A poisoned lock holds a whole order all the same: it is replaced in one piece.
        let mut last = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((drawn, order)) if *drawn == epoch => order.clone(),
            _ => {
                let all = self.rng.stream("order").at(epoch).permutation(self.images.n()).into_iter();
                let part = |index: &usize| self.part.as_ref().is_none_or(|part| part[*index]);
                let order: Arc<[u32]> = all.filter(part).map(|index| index as u32).collect();
                *last = Some((epoch, order.clone()));
                order
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::images::Shape;
    use super::*;

    fn ten(size: usize, seed: u64, pool: Option<Vec<u32>>) -> Result<Batches> {
        let images = Images::new(Shape { channels: 1, height: 1, width: 2 }, (0..20).collect())?;
        let labels = (0..10).map(|index| Some(index % 3)).collect();
        let probs = (0..30).map(|value| value as f32).collect();
        let targets = Targets::Labels { labels, probs: Some(probs), classes: 3 };
        Batches::new(&images, targets, pool, size, &BatchOptions { seed, ..Default::default() })
    }

    #[test]
    fn an_epoch_shows_no_image_twice_and_the_next_one_has_another_order() {
        let batches = ten(3, 1, None).unwrap();
        assert_eq!(batches.per_epoch(), 3);
        let epoch = |epoch: u64| (0..3).flat_map(|k| batches.indices(3 * epoch + k)).collect::<Vec<_>>();
        let mut first = epoch(0);
        assert_ne!(first, epoch(1));
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), 9);
    }

    #[test]
    fn a_batch_depends_on_the_seed_and_its_number_alone() {
        let (straight, jumped) = (ten(3, 1, None).unwrap(), ten(3, 1, None).unwrap());
        let last = (0..12).map(|k| straight.indices(k)).next_back().unwrap();
        assert_eq!(jumped.indices(11), last);
        assert_eq!(jumped.indices(2), straight.indices(2));
        assert_ne!(ten(3, 2, None).unwrap().indices(2), straight.indices(2));
    }

    #[test]
    fn images_that_take_no_part_do_not_shift_the_others() {
        let all = ten(10, 1, None).unwrap().indices(0);
        let some = ten(4, 1, Some(vec![1, 3, 5, 7])).unwrap().indices(0);
        assert_eq!(all.into_iter().filter(|index| some.contains(index)).collect::<Vec<_>>(), some);
    }

    #[test]
    fn images_labels_and_probabilities_belong_together() {
        let batch = ten(4, 1, None).unwrap().batch(1).unwrap();
        assert_eq!(batch.images.dims(), [4, 1, 1, 2]);
        let (pixels, probs) = (batch.images.to_f32s().unwrap(), batch.probs.as_ref().unwrap().to_f32s().unwrap());
        let labels = batch.labels().unwrap().to_u32s().unwrap();
        for (row, index) in batch.indices.iter().enumerate() {
            assert_eq!(pixels[2 * row], (2 * index) as f32 / 255.0);
            assert_eq!(labels[row], index % 3);
            assert_eq!(probs[3 * row], (3 * index) as f32);
        }
    }

    #[test]
    fn a_batch_larger_than_the_data_is_refused() {
        let error = ten(11, 1, None).err().unwrap();
        assert_eq!(error.message, "a batch of 11 images cannot be drawn from 10");
        assert!(ten(0, 1, None).is_err());
    }

    #[test]
    fn an_image_is_changed_anew_each_time_it_is_shown() {
        let shape = Shape { channels: 1, height: 3, width: 3 };
        let one = Images::new(shape, (1..=9).collect()).unwrap();
        let cropped = BatchOptions { crop: 1, ..Default::default() };
        let zoomed = BatchOptions { least_area: 0.2, ..Default::default() };
        for (options, least) in [(cropped, 5), (zoomed, 3)] {
            let batches = Batches::new(&one, Targets::None, None, 1, &options).unwrap();
            let shown = |k| batches.batch(k).unwrap().images.to_f32s().unwrap().into_iter().map(f32::to_bits);
            let mut shown: Vec<Vec<u32>> = (0..40).map(|k| shown(k).collect()).collect();
            shown.sort_unstable();
            shown.dedup();
            assert!(shown.len() >= least, "{} of 40", shown.len());
        }
    }
}
