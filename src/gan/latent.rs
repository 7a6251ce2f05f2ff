//! Latents to sample from: drawn, truncated, between two others, along a loop.

use crate::error::{Error, Result};
use crate::gan::Gan;
use crate::nn::Prior;
use crate::tensor::{Rng, Tensor};

/// Latents drawn at a time.
pub(super) const CHUNK: usize = 64;

/// What latents are drawn from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    /// The same seed draws the same latents.
    pub seed: u64,
    /// Numbers of a larger size are drawn again (Brock et al. 2018, arXiv:1809.11096): fewer kinds of images, and better.
    pub truncation: Option<f64>,
}

impl Gan {
    /// `n` latents, a row each: `[n, z_dim]`. What `truncation` leaves alone is what is drawn without.
    ///
    /// # Errors
    /// `truncation` is not above zero, or leaves all uniform latents alone.
    pub fn latents(&self, n: usize, draw: Draw) -> Result<Vec<f32>> {
        let rng = Rng::new(draw.seed).stream("samples");
        let mut values = Vec::with_capacity(n * self.options.z_dim);
        for (k, first) in (0..n).step_by(CHUNK).enumerate() {
            let rows = CHUNK.min(n - first);
            let drawn =
                Prior::named(&self.options.z)?.draw(&mut rng.at(k as u64), rows, self.options.z_dim, self.device())?;
            values.extend(drawn.to_f32s()?);
        }
        self.truncate(&mut values, draw.truncation, &mut rng.stream("truncation"))?;
        Ok(values)
    }

    /// Draws again what lies beyond `truncation`.
    ///
    /// # Errors
    /// As [`latents`](Self::latents).
    pub(super) fn truncate(&self, values: &mut [f32], truncation: Option<f64>, rng: &mut Rng) -> Result<()> {
        let uniform = self.options.z == "uniform";
        match truncation {
            None => Ok(()),
            Some(threshold) if !(threshold > 0.0 && threshold.is_finite()) => {
                Err(Error::new(format!("`truncation` is {threshold}")).help("it must be above 0"))
            }
            Some(threshold) if uniform && threshold >= 1.0 => {
                Err(Error::new(format!("`truncation` is {threshold}, and the latents lie between -1 and 1"))
                    .help("it must be below 1 for uniform latents"))
            }
            Some(threshold) => {
                truncate(values, threshold as f32, uniform, rng);
                Ok(())
            }
        }
    }

    /// Rows of latents as a tensor.
    pub(super) fn rows(&self, values: Vec<f32>) -> Result<Tensor> {
        let width = self.options.z_dim;
        let n = values.len() / width;
        Tensor::from_vec(values, &[n, width], self.device())
    }

    /// What lies at `t`, from 0 to 1, on the way from latent `a` to latent `b`.
    pub(super) fn on_the_way(&self, a: &[f32], b: &[f32], t: f64) -> Vec<f32> {
        between(a, b, t, self.options.z == "uniform")
    }
}

/// Draws again what is larger than `threshold`, from what the distribution is within it.
fn truncate(values: &mut [f32], threshold: f32, uniform: bool, rng: &mut Rng) {
    for value in values.iter_mut().filter(|value| value.abs() > threshold) {
        *value = loop {
            // Few normal numbers are very small; of evenly spread ones most pass for normal there.
            let even = uniform || threshold < 0.7;
            let x = if even { (2.0 * rng.uniform() - 1.0) * threshold } else { rng.normal() };
            let passes = uniform || !even || f64::from(rng.uniform()) <= libm::exp(-0.5 * f64::from(x * x));
            if passes && x.abs() <= threshold {
                break x;
            }
        };
    }
}

/// `((1 - t) a + t b) / √(t² + (1 - t)²)`, which has the variance of `a` and `b` all the way; of `uniform` latents
/// `(1 - t) a + t b`, since the other leaves the cube that they lie in.
pub fn between(a: &[f32], b: &[f32], t: f64, uniform: bool) -> Vec<f32> {
    let length = if uniform { 1.0 } else { (t * t + (1.0 - t) * (1.0 - t)).sqrt() };
    let (from, to) = ((1.0 - t) / length, t / length);
    a.iter().zip(b).map(|(a, b)| (from * f64::from(*a) + to * f64::from(*b)) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest gap between the shares of `values` below each of them and what `distribution` says.
    fn gap(mut values: Vec<f32>, distribution: impl Fn(f64) -> f64) -> f64 {
        values.sort_by(f32::total_cmp);
        let n = values.len() as f64;
        let gap = |(i, x): (usize, &f32)| {
            let share = distribution(f64::from(*x));
            (share - i as f64 / n).abs().max((share - (i + 1) as f64 / n).abs())
        };
        values.iter().enumerate().map(gap).fold(0.0, f64::max)
    }

    #[test]
    fn truncated_latents_are_distributed_as_they_should_be() {
        let n = 20_000;
        let rng = Rng::new(5);
        for threshold in [0.3f32, 0.69, 1.0, 2.0] {
            let drawn = rng.stream("normal").normals(n);
            let mut values = drawn.clone();
            truncate(&mut values, threshold, false, &mut rng.stream("again"));
            let normal = |x: f64| 0.5 * (1.0 + libm::erf(x / std::f64::consts::SQRT_2));
            let (low, high) = (normal(-f64::from(threshold)), normal(f64::from(threshold)));
            // Kolmogorov and Smirnov: one in a thousand draws is further away than 1.95 / sqrt(n).
            let gap = gap(values.clone(), |x| (normal(x) - low) / (high - low));
            assert!(gap < 1.95 / (n as f64).sqrt(), "{threshold}: {gap}");
            let stayed = drawn.iter().zip(&values).all(|(a, b)| a.abs() > threshold || a == b);
            assert!(stayed && values.iter().all(|x| x.abs() <= threshold));
        }
        let mut values: Vec<f32> = rng.stream("uniform").uniforms(n).into_iter().map(|u| 2.0 * u - 1.0).collect();
        truncate(&mut values, 0.5, true, &mut rng.stream("again"));
        assert!(gap(values, |x| x + 0.5) < 1.95 / (n as f64).sqrt());
    }

    #[test]
    fn what_lies_between_has_the_variance_of_the_ends() {
        let (a, b) = ([1.0f32, 0.0], [0.0f32, 1.0]);
        assert_eq!((between(&a, &b, 0.0, false), between(&a, &b, 1.0, false)), (a.to_vec(), b.to_vec()));
        for t in [0.25, 0.5, 0.8] {
            let length: f32 = between(&a, &b, t, false).iter().map(|x| x * x).sum();
            assert!((length - 1.0).abs() < 1e-6, "{length} at {t}");
        }
        // (0.75, 0.25) / sqrt(0.625)
        let quarter = between(&a, &b, 0.25, false);
        assert!((quarter[0] - 0.948_683_3).abs() < 1e-6 && (quarter[1] - 0.316_227_8).abs() < 1e-6);
        assert_eq!(between(&a, &b, 0.25, true), [0.75, 0.25]);
    }
}
