//! What turns images into features: the eyes of a metric.

use std::ops::Range;

use rayon::prelude::*;

use super::cache::Cache;
use super::features::Features;
use crate::data::Images;
use crate::error::{Error, Result};
use crate::tensor::{Tensor, no_grad};

/// What an extractor's numbers are good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Features alone, of a network that knows nothing of the data set.
    Eyes,
    /// The Inception network of 2015, by which papers report the FID and the Inception score.
    Inception,
    /// CLIP's embeddings of images.
    Clip,
    /// A classifier of the data set's own classes.
    Judge,
}

/// A network that sees images as vectors, and perhaps as classes.
pub trait Extractor: Send + Sync {
    /// How scores name it: `SqueezeNet 1.1, 64 px`.
    fn name(&self) -> &str;
    /// SHA-256, in hexadecimal, of its weights and of what is done to an image before them.
    fn hash(&self) -> &str;
    /// What is done to an image before the weights: `bilinear (Pillow) to 64x64`.
    fn preparation(&self) -> &str;
    /// How many numbers describe an image.
    fn dim(&self) -> usize;
    /// How many classes it tells apart, if it does.
    fn classes(&self) -> Option<usize>;
    /// What its numbers are good for.
    fn role(&self) -> Role {
        Role::Eyes
    }
    /// How many images to show it at once.
    fn batch(&self) -> usize {
        64
    }
    /// Whether batches are seen side by side, each by one thread, in place of one after the other by all of them. Threads then do
    /// not wait for one another at each operator.
    fn side_by_side(&self) -> bool {
        false
    }
    /// Features `[n, dim]` and, of a classifier, logits `[n, classes]`.
    fn extract(&self, images: &Images) -> Result<(Tensor, Option<Tensor>)>;
    /// As [`extract`](Self::extract), of images `[n, channels, height, width]` from 0 to 1 that were not rounded to 8 bits.
    ///
    /// # Errors
    /// What is done to an image before the weights is defined on 8 bits alone.
    fn extract_unrounded(&self, _images: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        Err(Error::new(format!(
            "`quantize: false` was asked for, and {} takes images of 8 bits ({})",
            self.name(),
            self.preparation()
        ))
        .help("leave `quantize` out, or look through `inception` or a `judge` alone: `extractor: [\"inception\"]`"))
    }
}

/// What an extractor saw in a set of images.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// `[n, dim]`.
    pub features: Features,
    /// `[n, classes]`, of a classifier.
    pub logits: Option<Features>,
}

/// Shows all `images` to `extractor`; `watch` is told how many have been seen, and may stop it by an error.
pub fn see(extractor: &dyn Extractor, images: &Images, watch: impl Fn(usize) -> Result<()>) -> Result<Seen> {
    let all: Vec<u32> = (0..images.n() as u32).collect();
    see_batches(extractor, images.n(), watch, |rows| extractor.extract(&images.select(&all[rows])?))
}

/// As [`see`], for images `[n, channels, height, width]` from 0 to 1 that were not rounded to 8 bits.
pub fn see_unrounded(extractor: &dyn Extractor, images: &Tensor, watch: impl Fn(usize) -> Result<()>) -> Result<Seen> {
    let n = images.dims4()?[0];
    see_batches(extractor, n, watch, |rows| extractor.extract_unrounded(&images.narrow(0, rows.start, rows.len())?))
}

/// What `extract` gives for `n` images, a batch of rows at a time.
fn see_batches(
    extractor: &dyn Extractor,
    n: usize,
    watch: impl Fn(usize) -> Result<()>,
    extract: impl Fn(Range<usize>) -> Result<(Tensor, Option<Tensor>)> + Sync,
) -> Result<Seen> {
    let batch = extractor.batch();
    let extract_batch = |first: usize| {
        let rows = first..n.min(first + batch);
        let of = rows.len();
        let (seen, scores) = no_grad(|| extract(rows))?;
        let seen = numbers(extractor, &seen, [of, extractor.dim()], "features")?;
        let scores = extractor.classes().map(|classes| {
            let scores =
                scores.ok_or_else(|| Error::bug(format!("the classifier `{}` gave no logits", extractor.name())))?;
            numbers(extractor, &scores, [of, classes], "logits")
        });
        Ok((seen, scores.transpose()?))
    };
    let (mut features, mut logits) = (Vec::new(), extractor.classes().map(|_| Vec::new()));
    let at_once = if extractor.side_by_side() { 4 * rayon::current_num_threads() } else { 1 };
    for first in (0..n).step_by(batch * at_once) {
        watch(first)?;
        let batches: Vec<usize> = (first..n.min(first + batch * at_once)).step_by(batch).collect();
        let seen: Vec<_> = if batches.len() > 1 {
            batches.into_par_iter().map(extract_batch).collect::<Result<_>>()?
        } else {
            vec![extract_batch(first)?]
        };
        for (seen, scores) in seen {
            features.extend(seen);
            if let (Some(all), Some(scores)) = (&mut logits, scores) {
                all.extend(scores);
            }
        }
    }
    watch(n)?;
    Seen::new(extractor, n, features, logits)
}

/// As [`see`], for images that come again: what was seen is kept in `cache` under the hash of the images and of the
/// extractor.
pub fn see_again(
    extractor: &dyn Extractor,
    images: &Images,
    cache: &Cache,
    watch: impl Fn(usize) -> Result<()>,
) -> Result<Seen> {
    let parts = ["features", extractor.hash(), images.hash()];
    if let Some(seen) = cache.load(&parts).and_then(|bytes| Seen::from_bytes(extractor, images.n(), &bytes)) {
        return Ok(seen);
    }
    let seen = see(extractor, images, watch)?;
    cache.store(&parts, &seen.to_bytes());
    Ok(seen)
}

fn numbers(extractor: &dyn Extractor, given: &Tensor, expected: [usize; 2], what: &str) -> Result<Vec<f32>> {
    if given.dims() != expected {
        return Err(Error::new(format!(
            "the {what} of extractor `{}` are {:?}, expected {expected:?}",
            extractor.name(),
            given.dims()
        )));
    }
    given.to_f32s()
}

/// Bytes in lower-case hexadecimal.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Seen {
    fn new(extractor: &dyn Extractor, rows: usize, features: Vec<f32>, logits: Option<Vec<f32>>) -> Result<Self> {
        let wide = |values: Vec<f32>, dim| Features::new(values.into_iter().map(f64::from).collect(), rows, dim);
        let logits = logits.zip(extractor.classes()).map(|(logits, classes)| wide(logits, classes)).transpose()?;
        Ok(Self { features: wide(features, extractor.dim())?, logits })
    }

    /// All numbers as f32, which they came as.
    fn to_bytes(&self) -> Vec<u8> {
        let logits = self.logits.as_ref().map_or(&[][..], Features::data);
        self.features.data().iter().chain(logits).flat_map(|x| (*x as f32).to_le_bytes()).collect()
    }

    fn from_bytes(extractor: &dyn Extractor, rows: usize, bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<4>();
        let values: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
        let classes = extractor.classes().unwrap_or(0);
        if !rest.is_empty() || values.len() != rows * (extractor.dim() + classes) {
            return None;
        }
        let (features, logits) = values.split_at(rows * extractor.dim());
        Self::new(extractor, rows, features.to_vec(), extractor.classes().map(|_| logits.to_vec())).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Shape;
    use crate::tensor::Device;

    /// Images of one pixel, whose feature is that pixel; it cannot see 255.
    struct Pixel {
        side_by_side: bool,
    }

    impl Extractor for Pixel {
        fn name(&self) -> &str {
            "pixel"
        }
        fn hash(&self) -> &str {
            "0"
        }
        fn preparation(&self) -> &str {
            "none"
        }
        fn dim(&self) -> usize {
            1
        }
        fn classes(&self) -> Option<usize> {
            Some(1)
        }
        fn batch(&self) -> usize {
            3
        }
        fn side_by_side(&self) -> bool {
            self.side_by_side
        }
        fn extract(&self, images: &Images) -> Result<(Tensor, Option<Tensor>)> {
            assert!(images.n() <= 3 && !crate::tensor::recording());
            if images.pixels().contains(&255) {
                return Err(Error::new("too bright"));
            }
            let seen = images.tensor(&Device::Cpu)?.mul_scalar(255.)?.reshape(&[images.n(), 1])?;
            Ok((seen.clone(), Some(seen.neg()?)))
        }
    }

    fn pixels(pixels: Vec<u8>) -> Images {
        Images::new(Shape { channels: 1, height: 1, width: 1 }, pixels).unwrap()
    }

    #[test]
    fn batches_side_by_side_stay_in_order() {
        let values: Vec<u8> = (0..=199).collect();
        let expected: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for side_by_side in [false, true] {
                let watched = std::sync::Mutex::new(Vec::new());
                let watch = |n| {
                    watched.lock().unwrap().push(n);
                    Ok(())
                };
                let seen = pool.install(|| see(&Pixel { side_by_side }, &pixels(values.clone()), watch)).unwrap();
                let rounded =
                    |sign: f64, of: &Features| of.data().iter().map(|v| (sign * v).round()).collect::<Vec<_>>();
                assert_eq!(rounded(1., &seen.features), expected, "{threads} threads, {side_by_side}");
                assert_eq!(rounded(-1., &seen.logits.unwrap()), expected);
                let watched = watched.into_inner().unwrap();
                assert_eq!((watched[0], watched[watched.len() - 1]), (0, 200));
                assert!(watched.is_sorted() && watched.len() > 4, "{watched:?}");
            }
        }
    }

    #[test]
    fn batches_side_by_side_are_stopped_and_fail() {
        let eyes = Pixel { side_by_side: true };
        let mut values = vec![9; 60];
        let stopped = see(&eyes, &pixels(values.clone()), |n| if n > 0 { Err(Error::new("stopped")) } else { Ok(()) });
        assert_eq!(stopped.unwrap_err().message, "stopped");
        values[40] = 255;
        assert_eq!(see(&eyes, &pixels(values), |_| Ok(())).unwrap_err().message, "too bright");
    }
}
