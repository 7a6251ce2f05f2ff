//! Generators and discriminators as those meet them who measure them: functions, whoever made them.

use crate::error::Result;
use crate::options::{Callback, Setting, Value};
use crate::tensor::{Device, Rng, Tensor};

/// What latents are drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prior {
    /// The standard normal distribution.
    Normal,
    /// Evenly from -1 to 1.
    Uniform,
}

impl Prior {
    /// The name that a script writes.
    pub fn name(self) -> &'static str {
        match self {
            Prior::Normal => "normal",
            Prior::Uniform => "uniform",
        }
    }

    /// The prior of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn named(name: &str) -> Result<Self> {
        let known = [Prior::Normal, Prior::Uniform];
        let found = known.into_iter().find(|prior| prior.name() == name);
        found.ok_or_else(|| crate::table::unknown("distribution of latents", name, known.map(Prior::name)))
    }

    /// Latents `[n, z_dim]`.
    ///
    /// # Errors
    /// They do not fit into memory.
    pub fn draw(self, rng: &mut Rng, n: usize, z_dim: usize, device: &Device) -> Result<Tensor> {
        match self {
            Prior::Normal => rng.normal_tensor(&[n, z_dim], device),
            Prior::Uniform => rng.uniform_tensor(&[n, z_dim], device)?.affine(2.0, -1.0),
        }
    }

    /// Latents that are a smooth function of normal numbers, one by one: themselves, or the share of a normal distribution
    /// that lies below them, from -1 to 1. What is known about the one is known about the other.
    pub fn of_normals(self, normals: &[f32]) -> Vec<f32> {
        match self {
            Prior::Normal => normals.to_vec(),
            Prior::Uniform => {
                normals.iter().map(|x| libm::erf(f64::from(*x) / std::f64::consts::SQRT_2) as f32).collect()
            }
        }
    }
}

impl Setting for Prior {
    const EXPECTED: &'static str = "`normal` or `uniform`";
    fn from_value(value: Value) -> std::result::Result<Self, Value> {
        match &value {
            Value::Text(name) => Prior::named(name).map_err(|_| value),
            _ => Err(value),
        }
    }
    fn to_value(&self) -> Value {
        Value::Text(self.name().into())
    }
}

/// A trained generator: what it makes of latents.
pub trait Generative {
    /// Numbers in a latent.
    fn z_dim(&self) -> usize;
    /// What its latents are drawn from.
    fn prior(&self) -> Prior;
    /// How many classes it can be asked for; 0 if none.
    fn classes(&self) -> usize;
    /// Where it computes.
    fn device(&self) -> &Device;
    /// Images `[n, channels, height, width]`, from 0 to 1, of latents `[n, z_dim]`, each image on its own; gradients flow
    /// back to the latents. `labels` say the class of each; a generator without classes does not look at them.
    ///
    /// # Errors
    /// The latents do not fit.
    fn generate(&self, z: &Tensor, labels: &[u32]) -> Result<Tensor>;
}

/// A function of latents, and of labels where there are classes, as a generator.
pub struct OwnGenerator {
    /// The function, of latents `[n, z_dim]` and, where there are classes, labels `[n]`.
    pub function: Callback,
    /// Numbers in a latent.
    pub z_dim: usize,
    /// What its latents are drawn from.
    pub prior: Prior,
    /// How many classes it can be asked for; 0 if none.
    pub classes: usize,
    /// Where it computes.
    pub device: Device,
}

impl Generative for OwnGenerator {
    fn z_dim(&self) -> usize {
        self.z_dim
    }
    fn prior(&self) -> Prior {
        self.prior
    }
    fn classes(&self) -> usize {
        self.classes
    }
    fn device(&self) -> &Device {
        &self.device
    }
    fn generate(&self, z: &Tensor, labels: &[u32]) -> Result<Tensor> {
        if self.classes == 0 {
            return (self.function.call)(std::slice::from_ref(z));
        }
        let labels = Tensor::from_u32s(labels.to_vec(), &[labels.len()], &self.device)?;
        (self.function.call)(&[z.clone(), labels])
    }
}

/// A trained discriminator: how real it takes images to be.
pub trait Discriminative {
    /// Logits `[n]` of images `[n, channels, height, width]` from 0 to 1, above 0 for what looks real. `labels` say the
    /// class of each, where it looks at classes.
    ///
    /// # Errors
    /// The images do not fit.
    fn logits(&self, images: &Tensor, labels: Option<&[u32]>) -> Result<Tensor>;
    /// Whether it needs the class of an image.
    fn conditional(&self) -> bool;
    /// Where it computes.
    fn device(&self) -> &Device;
    /// The number that its training makes small, of the logits of real and of generated images.
    ///
    /// # Errors
    /// It is no number.
    fn loss(&self, real: &Tensor, fake: &Tensor) -> Result<f64>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normals_become_even_numbers_and_back_into_place() {
        let mut rng = Rng::new(1);
        let normals = rng.normals(20_000);
        let even = Prior::Uniform.of_normals(&normals);
        let share = |low: f32| even.iter().filter(|x| **x < low).count() as f64 / 20_000.;
        for (low, expected) in [(-0.5, 0.25), (0., 0.5), (0.8, 0.9)] {
            assert!((share(low) - expected).abs() < 0.012, "{low}: {}", share(low));
        }
        // 68.27% of a normal distribution lie within one deviation.
        assert!((Prior::Uniform.of_normals(&[1.0])[0] - 0.682_689_5).abs() < 1e-6);
        assert_eq!(Prior::Normal.of_normals(&[1.5]), [1.5]);
    }

    #[test]
    fn latents_are_drawn_from_the_whole_of_their_distribution() {
        let draw = |prior: Prior| {
            let values = prior.draw(&mut Rng::new(1), 1000, 4, &Device::Cpu).unwrap().to_f64s().unwrap();
            let mean = values.iter().sum::<f64>() / 4000.;
            (
                mean,
                values.iter().map(|x| x * x).sum::<f64>() / 4000.,
                values.iter().fold(0., |most: f64, x| most.max(x.abs())),
            )
        };
        let (mean, square, most) = draw(Prior::Uniform);
        assert!(
            mean.abs() < 0.04 && (square - 1. / 3.).abs() < 0.02 && (0.99..=1.).contains(&most),
            "{mean} {square} {most}"
        );
        let (mean, square, most) = draw(Prior::Normal);
        assert!(mean.abs() < 0.06 && (square - 1.).abs() < 0.09 && most > 3., "{mean} {square} {most}");
    }
}
