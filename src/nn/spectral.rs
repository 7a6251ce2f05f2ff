//! Spectral norm: a weight divided by its largest singular value (Miyato et al. 2018, arXiv:1802.05957).

use crate::error::Result;
use crate::nn::{Buffer, Mode, Store};
use crate::tensor::{Tensor, no_grad};

const EPSILON: f64 = 1e-12;

/// The power iteration of one weight: one step for each training pass.
///
/// The vector kept is that of the shorter side of the weight seen as a matrix `[out, in kh kw]` (Compare GAN's `auto`). The
/// gradient stops at the singular vectors and flows through the weight, also in sigma. Unlike Compare GAN, nothing
/// advances at evaluation.
#[derive(Clone)]
pub struct SpectralNorm {
    u: Buffer,
    left: bool,
}

impl SpectralNorm {
    /// For a weight of shape `dims`.
    pub fn new(store: &Store, dims: &[usize]) -> Result<Self> {
        let (rows, columns) = (dims[0], dims[1..].iter().product::<usize>());
        let left = rows <= columns;
        let u = store.rng("u").normal_tensor(&[1, rows.min(columns)], store.device())?;
        Ok(Self { u: store.buffer("u", u), left })
    }

    /// The weight over its largest singular value.
    pub fn apply(&self, weight: &Tensor, mode: Mode) -> Result<Tensor> {
        let dims = weight.dims().to_vec();
        let matrix = weight.reshape(&[dims[0], dims[1..].iter().product()])?;
        // A tall matrix is iterated as its transpose, so that `u` is always a row on the left.
        let matrix = if self.left { matrix } else { matrix.t()? };
        let (u, v) = no_grad(|| -> Result<(Tensor, Tensor)> {
            let m = matrix.detach();
            let v = unit(&self.u.value().matmul(&m)?)?;
            let u = unit(&v.matmul(&m.t()?)?)?;
            if mode == Mode::Train {
                self.u.set(u.clone())?;
            }
            Ok((u, v))
        })?;
        let sigma = u.matmul(&matrix)?.mul(&v)?.sum_all()?;
        weight.div(&sigma.reshape(&vec![1; dims.len()])?)
    }
}

fn unit(row: &Tensor) -> Result<Tensor> {
    let norm = row.square()?.sum_all()?.add_scalar(EPSILON)?.sqrt()?;
    row.div(&norm.reshape(&[1, 1])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{Device, Rng};

    #[test]
    fn the_largest_singular_value_becomes_one() {
        for dims in [[4, 7], [7, 4]] {
            let store = Store::new(1, &Device::Cpu);
            let norm = SpectralNorm::new(&store, &dims).unwrap();
            let weight = Rng::new(5).normal_tensor(&dims, &Device::Cpu).unwrap();
            let mut out = weight.clone();
            for _ in 0..200 {
                out = norm.apply(&weight, Mode::Train).unwrap();
            }
            // The largest eigenvalue of W W^T by trace powers: tr((W W^T)^16)^(1/16) is within a few percent of it.
            let gram = out.matmul(&out.t().unwrap()).unwrap();
            let mut power = gram.clone();
            for _ in 0..6 {
                power = power.matmul(&power).unwrap();
            }
            let trace: f64 = (0..dims[0]).map(|i| power.to_f64s().unwrap()[i * dims[0] + i]).sum();
            assert!((trace.powf(1.0 / 64.0) - 1.0).abs() < 0.02, "{trace}");
        }
    }

    #[test]
    fn evaluation_advances_nothing() {
        let store = Store::new(1, &Device::Cpu);
        let norm = SpectralNorm::new(&store, &[3, 5]).unwrap();
        let weight = Rng::new(5).normal_tensor(&[3, 5], &Device::Cpu).unwrap();
        let before = norm.u.value().to_f32s().unwrap();
        norm.apply(&weight, Mode::Eval).unwrap();
        assert_eq!(before, norm.u.value().to_f32s().unwrap());
        norm.apply(&weight, Mode::Train).unwrap();
        assert_ne!(before, norm.u.value().to_f32s().unwrap());
    }
}
