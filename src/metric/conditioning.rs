//! How evenly a generator answers to its latent: the condition number of its Jacobian.

use faer::MatRef;
use rayon::prelude::*;

use super::matrix::{no_convergence, one_thread_each};
use crate::error::{Error, Result};
use crate::nn::Generative;
use crate::progress::Stop;
use crate::tensor::{Tensor, vjp};

/// Singular values below this share of the largest are rounding noise of single precision and count as this share.
const NOISE: f64 = f32::EPSILON as f64;

/// The Jacobian of each image at its latent: `[image values, z_dim]`, row by row.
///
/// Exact, without a pass for every pixel: Jᵀu is linear in u, so its gradient by u in direction v is J v. Two passes back
/// for every number of the latent serve all latents at once.
///
/// # Errors
/// The images do not depend on the latents; a person asked to stop.
pub fn jacobians(generator: &dyn Generative, z: &Tensor, labels: &[u32], stop: &Stop) -> Result<Vec<Vec<f64>>> {
    let [n, z_dim] = z.dims2()?;
    let z = z.track();
    let images = generator.generate(&z, labels)?.flatten(1)?;
    let [_, values] = images.dims2()?;
    let probe = Tensor::ones(&[n, values], images.dtype(), images.device())?.track();
    let unmoved = || Error::new("the images do not depend on the latents, so a generator's Jacobian is zero");
    let [back] = &vjp(&images, &probe, &[&z], true)?[..] else { return Err(unmoved()) };
    let back = back.as_ref().ok_or_else(unmoved)?;
    let mut jacobians = vec![vec![0.; values * z_dim]; n];
    for k in 0..z_dim {
        stop.check()?;
        let mut direction = vec![0f32; n * z_dim];
        direction.iter_mut().skip(k).step_by(z_dim).for_each(|x| *x = 1.);
        let direction = Tensor::from_vec(direction, &[n, z_dim], back.device())?.to_dtype(back.dtype())?;
        // The graph is walked again for the next direction.
        let found = vjp(back, &direction, &[&probe], true)?;
        let Some(column) = found.first().and_then(Option::as_ref) else { continue };
        let column = column.to_f64s()?;
        for (jacobian, column) in jacobians.iter_mut().zip(column.chunks_exact(values)) {
            jacobian.iter_mut().skip(k).step_by(z_dim).zip(column).for_each(|(x, value)| *x = *value);
        }
    }
    Ok(jacobians)
}

/// The natural logarithm of the condition number of JᵀJ, for a Jacobian of `z_dim` columns.
///
/// # Errors
/// The Jacobian is zero or not finite.
pub fn log_condition(jacobian: &[f64], z_dim: usize) -> Result<f64> {
    if jacobian.iter().any(|x| !x.is_finite()) {
        return Err(Error::new("the Jacobian of the generator holds values that are not finite")
            .help("its training diverged; look at its samples"));
    }
    one_thread_each();
    let matrix = MatRef::from_row_major_slice(jacobian, jacobian.len() / z_dim, z_dim);
    let values = matrix.singular_values().map_err(|_| no_convergence(matrix, "singular values"))?;
    let most = values.iter().copied().fold(0., f64::max);
    if most == 0. {
        return Err(Error::new("the images do not depend on the latents, so a generator's Jacobian is zero"));
    }
    // Fewer values than latents leave directions that change nothing.
    let least = match values.len() < z_dim {
        true => 0.,
        false => values.iter().copied().fold(f64::INFINITY, f64::min),
    };
    Ok(2. * (most / least.max(most * NOISE)).ln())
}

/// [`log_condition`] at each latent.
///
/// Odena et al. 2018, arXiv:1802.08768.
///
/// # Errors
/// As [`jacobians`] and [`log_condition`].
pub fn conditioning(generator: &dyn Generative, z: &Tensor, labels: &[u32], stop: &Stop) -> Result<Vec<f64>> {
    let [_, z_dim] = z.dims2()?;
    jacobians(generator, z, labels, stop)?.par_iter().map(|jacobian| log_condition(jacobian, z_dim)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::Own;
    use super::*;
    use crate::nn::Prior;
    use crate::tensor::{DType, Device, Rng};

    fn linear(weight: [f64; 4]) -> Own {
        let weight = Tensor::from_f64s(weight.to_vec(), &[2, 2], &Device::Cpu).unwrap();
        Own::new(2, Prior::Normal, move |z| z.matmul(&weight)?.reshape(&[z.dims()[0], 1, 1, 2]))
    }

    #[test]
    fn the_anchors_of_compare_gan() {
        // The Jacobian of x W is W transposed.
        let z = Tensor::from_f64s(vec![1., 2., -3., 0.5], &[2, 2], &Device::Cpu).unwrap();
        let found = jacobians(&linear([2., -1., 1.5, 1.]), &z, &[0, 0], &Stop::default()).unwrap();
        assert_eq!(found, [[2., 1.5, -1., 1.], [2., 1.5, -1., 1.]]);
        // JᵀJ of [[1, 2], [3, 4]] is [[10, 14], [14, 20]]: eigenvalues 15 ± √221.
        let value = log_condition(&[1., 2., 3., 4.], 2).unwrap();
        let root = 221f64.sqrt();
        assert!((value - ((15. + root) / (15. - root)).ln()).abs() < 1e-9, "{value}");
    }

    #[test]
    fn a_curved_generator_agrees_with_differences_and_with_a_loop_over_its_values() {
        let mix = Rng::new(2).normal_tensor(&[3, 8], &Device::Cpu).unwrap().to_dtype(DType::F64).unwrap();
        let generator =
            Own::new(3, Prior::Normal, move |z| z.matmul(&mix)?.tanh()?.square()?.reshape(&[z.dims()[0], 2, 2, 2]));
        let z = Rng::new(1).normal_tensor(&[2, 3], &Device::Cpu).unwrap().to_dtype(DType::F64).unwrap();
        let found = jacobians(&generator, &z, &[0; 2], &Stop::default()).unwrap();
        let at = z.to_f64s().unwrap();
        let images = |at: &[f64]| {
            let z = Tensor::from_f64s(at.to_vec(), &[2, 3], &Device::Cpu).unwrap();
            generator.generate(&z, &[0; 2]).unwrap().to_f64s().unwrap()
        };
        for image in 0..2 {
            for k in 0..3 {
                let moved = |step: f64| {
                    let mut at = at.clone();
                    at[image * 3 + k] += step;
                    images(&at)[image * 8..][..8].to_vec()
                };
                for (value, (up, down)) in moved(1e-5).iter().zip(moved(-1e-5)).enumerate() {
                    let slope = (up - down) / 2e-5;
                    assert!((found[image][value * 3 + k] - slope).abs() < 1e-8, "image {image}, {value} by {k}");
                }
            }
            for value in 0..8 {
                let z = z.track();
                let pixel = generator.generate(&z, &[0; 2]).unwrap().flatten(1).unwrap();
                let pixel = pixel.narrow(0, image, 1).unwrap().narrow(1, value, 1).unwrap().sum_all().unwrap();
                let row = crate::tensor::grad(&pixel, &[&z], false).unwrap()[0].to_f64s().unwrap();
                for k in 0..3 {
                    assert!((found[image][value * 3 + k] - row[image * 3 + k]).abs() < 1e-12);
                }
            }
        }
    }

    #[test]
    fn a_direction_that_changes_nothing_is_as_bad_as_rounding_allows() {
        let worst = log_condition(&[1., 0., 2., 0.], 2).unwrap();
        assert!((worst - 2. * (1. / NOISE).ln()).abs() < 1e-9);
        assert_eq!(log_condition(&[1., 0.], 2).unwrap(), worst, "more latents than values");
        assert!(log_condition(&[0.; 4], 2).is_err() && log_condition(&[f64::NAN; 4], 2).is_err());
        let constant = Own::new(2, Prior::Normal, |z| Tensor::zeros(&[z.dims()[0], 1, 1, 2], DType::F32, &Device::Cpu));
        let z = Tensor::zeros(&[1, 2], DType::F32, &Device::Cpu).unwrap();
        assert!(jacobians(&constant, &z, &[0], &Stop::default()).is_err());
    }
}
