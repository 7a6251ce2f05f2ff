//! How alike generated images are to one another: the multi-scale structural similarity of pairs.

use rayon::prelude::*;

use super::interval::{Groups, Interval};
use crate::data::{Images, Shape};
use crate::error::{Error, Result};
use crate::progress::Stop;
use crate::tensor::Rng;

/// The powers of the five scales, from Wang et al. 2003.
const POWERS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];
/// The width of the window in pixels, and the deviation of the Gaussian in it.
const WINDOW: usize = 11;
const DEVIATION: f64 = 1.5;
/// The largest value of a pixel, which the constants that steady small numbers go by.
const RANGE: f64 = 255.;

/// Images whose pairs are compared, and how many such sets there are.
pub const BATCH: usize = 64;
const BATCHES: usize = 5;

/// One channel at one scale, with what does not depend on the other image of a pair.
struct Level {
    height: usize,
    width: usize,
    pixels: Vec<f64>,
    window: Vec<f64>,
    mean: Vec<f64>,
    square: Vec<f64>,
}

/// One channel at five scales, each half of the one before.
struct Pyramid([Level; 5]);

impl Pyramid {
    fn new(plane: Vec<f64>, height: usize, width: usize) -> Self {
        let mut next = (plane, height, width);
        Self(std::array::from_fn(|_| {
            let (pixels, height, width) = std::mem::take(&mut next);
            next = halved(&pixels, height, width);
            let window = gaussian(WINDOW.min(height).min(width));
            let squares: Vec<f64> = pixels.iter().map(|x| x * x).collect();
            let mean = filtered(&pixels, height, width, &window);
            let square = filtered(&squares, height, width, &window);
            Level { height, width, pixels, window, mean, square }
        }))
    }

    fn similarity(&self, other: &Self) -> f64 {
        let last = POWERS.len() - 1;
        let factors = self.0.iter().zip(&other.0).zip(POWERS).enumerate().map(|(scale, ((a, b), power))| {
            let (ssim, structure) = a.compare(b);
            // The brightness counts at the coarsest scale alone.
            (if scale == last { ssim } else { structure }).max(0.).powf(power)
        });
        factors.product()
    }
}

impl Level {
    /// The means over the image of SSIM, and of its part that is about contrast and structure.
    fn compare(&self, other: &Self) -> (f64, f64) {
        let (c1, c2) = ((0.01 * RANGE) * (0.01 * RANGE), (0.03 * RANGE) * (0.03 * RANGE));
        let products: Vec<f64> = self.pixels.iter().zip(&other.pixels).map(|(a, b)| a * b).collect();
        let products = filtered(&products, self.height, self.width, &self.window);
        let (mut ssim, mut structure) = (0., 0.);
        for (i, product) in products.iter().enumerate() {
            let (a, b) = (self.mean[i], other.mean[i]);
            let (twice, squares) = (2. * a * b, a * a + b * b);
            let cs = (2. * product - twice + c2) / (self.square[i] + other.square[i] - squares + c2);
            ssim += (twice + c1) / (squares + c1) * cs;
            structure += cs;
        }
        let n = products.len() as f64;
        (ssim / n, structure / n)
    }
}

fn gaussian(size: usize) -> Vec<f64> {
    let centre = (size as f64 - 1.) / 2.;
    let weights: Vec<f64> =
        (0..size).map(|i| (-(i as f64 - centre).powi(2) / (2. * DEVIATION * DEVIATION)).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}

/// A plane seen through a window that lies inside it everywhere.
fn filtered(plane: &[f64], height: usize, width: usize, window: &[f64]) -> Vec<f64> {
    let (tall, wide) = (height + 1 - window.len(), width + 1 - window.len());
    let mut across = vec![0.; height * wide];
    for (row, target) in plane.chunks_exact(width).zip(across.chunks_exact_mut(wide)) {
        for (i, weight) in window.iter().enumerate() {
            target.iter_mut().zip(&row[i..]).for_each(|(sum, x)| *sum += weight * x);
        }
    }
    let mut out = vec![0.; tall * wide];
    for (y, target) in out.chunks_exact_mut(wide).enumerate() {
        for (i, weight) in window.iter().enumerate() {
            target.iter_mut().zip(&across[(y + i) * wide..]).for_each(|(sum, x)| *sum += weight * x);
        }
    }
    out
}

/// The means of squares of two by two pixels; an odd last row or column counts twice.
fn halved(plane: &[f64], height: usize, width: usize) -> (Vec<f64>, usize, usize) {
    let (tall, wide) = (height.div_ceil(2), width.div_ceil(2));
    let at = |y: usize, x: usize| plane[y.min(height - 1) * width + x.min(width - 1)];
    let square = |y: usize, x: usize| (at(y, x) + at(y, x + 1) + at(y + 1, x) + at(y + 1, x + 1)) / 4.;
    let half = (0..tall).flat_map(|y| (0..wide).map(move |x| (2 * y, 2 * x))).map(|(y, x)| square(y, x)).collect();
    (half, tall, wide)
}

/// The similarity of every pair `i < j` of images (`shape.bytes()` numbers each, from 0 to 255), pair after pair: (0, 1),
/// (0, 2), .. (1, 2), ..; each the mean over channels.
pub fn ms_ssim_of_pairs(images: &[f64], shape: Shape) -> Vec<f64> {
    let plane = shape.height * shape.width;
    let pyramids: Vec<Vec<Pyramid>> = images
        .par_chunks_exact(shape.bytes())
        .map(|image| {
            image.chunks_exact(plane).map(|plane| Pyramid::new(plane.to_vec(), shape.height, shape.width)).collect()
        })
        .collect();
    let pairs: Vec<(usize, usize)> =
        (0..pyramids.len()).flat_map(|i| (i + 1..pyramids.len()).map(move |j| (i, j))).collect();
    let similarity = |&(i, j): &(usize, usize)| {
        let channels = pyramids[i].iter().zip(&pyramids[j]);
        channels.map(|(a, b)| a.similarity(b)).sum::<f64>() / shape.channels as f64
    };
    pairs.par_iter().map(similarity).collect()
}

/// The mean similarity of pairs of images, within five random sets of 64 (fewer where there are fewer images), with its
/// interval where there are enough images.
///
/// Wang et al. 2003 (doi:10.1109/ACSSC.2003.1292216), as a measure of diversity Odena et al. 2017, arXiv:1610.09585. The
/// window shrinks to a scale that is smaller than it, as in Compare GAN.
///
/// # Errors
/// There are fewer than two images; a person asked to stop.
pub fn ms_ssim(images: &Images, seed: u64, stop: &Stop) -> Result<(f64, Option<Interval>)> {
    let n = images.n();
    if n < 2 {
        return Err(Error::new(format!("{n} image was given, at least 2 are needed to compare")));
    }
    let order = Rng::new(seed).stream("ms_ssim").permutation(n);
    let size = BATCH.min(n);
    let batches = BATCHES.min(n / size);
    let groups = Groups::new(batches * size, seed, "ms_ssim");
    // Sums and counts of pairs: all of them, and without each group.
    let mut means = [0.; 1 + Groups::COUNT];
    for (batch, members) in order.chunks_exact(size).take(batches).enumerate() {
        stop.check()?;
        let pixels: Vec<f64> = members.iter().flat_map(|&i| images.image(i)).map(|pixel| f64::from(*pixel)).collect();
        let similarities = ms_ssim_of_pairs(&pixels, images.shape());
        let mut sums = [(0., 0.); 1 + Groups::COUNT];
        let mut pairs = similarities.into_iter();
        for i in 0..size {
            for (j, similarity) in (i + 1..size).zip(&mut pairs) {
                let add = |sum: &mut (f64, f64)| *sum = (sum.0 + similarity, sum.1 + 1.);
                add(&mut sums[0]);
                if let Some(groups) = &groups {
                    let own = [groups.of(batch * size + i), groups.of(batch * size + j)];
                    (0..Groups::COUNT).filter(|group| !own.contains(group)).for_each(|group| add(&mut sums[1 + group]));
                }
            }
        }
        means.iter_mut().zip(&sums).for_each(|(mean, (sum, count))| *mean += sum / count / batches as f64);
    }
    let interval = groups.map(|_| Interval::from_left_out(means[0], &means[1..]).within(0., 1.));
    Ok((means[0], interval))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_anchor_of_compare_gan() {
        // Constant images of 1, 0.7 and 0.
        let images: Vec<f64> = [1., 0.7, 0.].iter().flat_map(|value| vec![*value; 64 * 64 * 3]).collect();
        let pairs = ms_ssim_of_pairs(&images, Shape { channels: 3, height: 64, width: 64 });
        let mean = pairs.iter().sum::<f64>() / 3.;
        assert!((mean - 0.989_989).abs() < 1e-5, "{mean}");
    }

    #[test]
    fn equal_images_are_alike_and_a_collapse_is_seen() {
        let shape = Shape { channels: 1, height: 16, width: 16 };
        let noise: Vec<u8> = Rng::new(1).uniforms(40 * 256).into_iter().map(|u| (u * 255.) as u8).collect();
        let images = Images::new(shape, noise).unwrap();
        let stop = Stop::default();
        let (diverse, interval) = ms_ssim(&images, 1, &stop).unwrap();
        let interval = interval.unwrap();
        assert!(diverse < 0.3 && interval.low < diverse && diverse < interval.high, "{diverse}");
        let collapsed = images.select(&[3; 40]).unwrap();
        assert!((ms_ssim(&collapsed, 1, &stop).unwrap().0 - 1.).abs() < 1e-9);
        let one = images.select(&[0]).unwrap();
        assert_eq!(ms_ssim(&one, 1, &stop).unwrap_err().message, "1 image was given, at least 2 are needed to compare");
        stop.raise();
        assert!(ms_ssim(&images, 1, &stop).unwrap_err().is_interrupt());
    }
}
