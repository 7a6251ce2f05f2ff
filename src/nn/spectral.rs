//! Spectral norm: a weight divided by its largest singular value (Miyato et al. 2018, arXiv:1802.05957).

use crate::error::Result;
use crate::nn::{Buffer, Mode, Store};
use crate::options::{Setting, Value};
use crate::tensor::{Tensor, no_grad};

/// Which singular vector of a weight is kept from pass to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpectralSide {
    /// That of the shorter side.
    Auto,
    /// That of the inputs of a layer (`kh kw in` values): Compare GAN's default.
    Left,
    /// That of the outputs of a layer, as PyTorch keeps it.
    Right,
}

impl Setting for SpectralSide {
    const EXPECTED: &'static str = "`auto`, `left` or `right`";
    fn from_value(value: Value) -> std::result::Result<Self, Value> {
        match &value {
            Value::Text(name) if name == "auto" => Ok(SpectralSide::Auto),
            Value::Text(name) if name == "left" => Ok(SpectralSide::Left),
            Value::Text(name) if name == "right" => Ok(SpectralSide::Right),
            _ => Err(value),
        }
    }
    fn to_value(&self) -> Value {
        let name = match self {
            SpectralSide::Auto => "auto",
            SpectralSide::Left => "left",
            SpectralSide::Right => "right",
        };
        Value::Text(name.into())
    }
}

/// How spectral norms are computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpectralOptions {
    /// Which singular vector is kept.
    pub side: SpectralSide,
    /// Steps of the power iteration in each pass, at least 1.
    pub iterations: usize,
    /// The least square of a vector's length.
    pub epsilon: f64,
    /// Keeps the vector of every pass, also at evaluation and in penalties, as Compare GAN does.
    pub always: bool,
}

impl Default for SpectralOptions {
    fn default() -> Self {
        Self { side: SpectralSide::Auto, iterations: 1, epsilon: 1e-12, always: false }
    }
}

/// The power iteration of one weight, which goes on with each training pass.
///
/// The weight is seen as a matrix of its first dimension by all others. The gradient stops at the singular vectors and
/// flows through the weight, also in sigma.
#[derive(Clone)]
pub struct SpectralNorm {
    u: Buffer,
    options: SpectralOptions,
    /// Whether the vector kept is that of the first dimension.
    first: bool,
}

impl SpectralNorm {
    /// For a weight of shape `dims`, whose first dimension is that of the outputs unless `inputs_first`.
    pub fn new(store: &Store, dims: &[usize], inputs_first: bool, options: SpectralOptions) -> Result<Self> {
        let (rows, columns) = (dims[0], dims[1..].iter().product::<usize>());
        let first = match options.side {
            SpectralSide::Auto => rows <= columns,
            SpectralSide::Left => inputs_first,
            SpectralSide::Right => !inputs_first,
        };
        let u = store.rng("u").normal_tensor(&[1, if first { rows } else { columns }], store.device())?;
        Ok(Self { u: store.buffer("u", u), options, first })
    }

    /// The weight over its largest singular value.
    pub fn apply(&self, weight: &Tensor, mode: Mode) -> Result<Tensor> {
        let SpectralOptions { iterations, epsilon, .. } = self.options;
        if let Some((normal, u)) = weight.over_singular_value(&self.u.value(), self.first, iterations, epsilon)? {
            self.keep(u, mode)?;
            return Ok(normal);
        }
        let dims = weight.dims().to_vec();
        let matrix = weight.reshape(&[dims[0], dims[1..].iter().product()])?;
        // The vector kept is always a row on the left.
        let matrix = if self.first { matrix } else { matrix.t()? };
        let (u, v) = no_grad(|| -> Result<(Tensor, Tensor)> {
            let m = matrix.detach();
            let transposed = m.t()?;
            let step = |u: &Tensor| -> Result<(Tensor, Tensor)> {
                let v = self.unit(&u.matmul(&m)?)?;
                Ok((self.unit(&v.matmul(&transposed)?)?, v))
            };
            let (mut u, mut v) = step(&self.u.value())?;
            for _ in 1..self.options.iterations {
                (u, v) = step(&u)?;
            }
            self.keep(u.clone(), mode)?;
            Ok((u, v))
        })?;
        let sigma = u.matmul(&matrix)?.mul(&v)?.sum_all()?;
        weight.div(&sigma.reshape(&vec![1; dims.len()])?)
    }

    /// The iteration goes on from `u`, if `mode` is one of those that it goes on with.
    fn keep(&self, u: Tensor, mode: Mode) -> Result<()> {
        if mode == Mode::Train || self.options.always { self.u.set(u) } else { Ok(()) }
    }

    fn unit(&self, row: &Tensor) -> Result<Tensor> {
        let norm = row.square()?.sum_all()?.clamp(self.options.epsilon, f64::MAX)?.sqrt()?;
        row.div(&norm.reshape(&[1, 1])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{Device, Rng};

    #[test]
    fn the_largest_singular_value_becomes_one() {
        for dims in [[4, 7], [7, 4]] {
            let store = Store::new(1, &Device::Cpu);
            let norm = SpectralNorm::new(&store, &dims, false, SpectralOptions::default()).unwrap();
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
        let norm = SpectralNorm::new(&store, &[3, 5], false, SpectralOptions::default()).unwrap();
        let weight = Rng::new(5).normal_tensor(&[3, 5], &Device::Cpu).unwrap();
        let before = norm.u.value().to_f32s().unwrap();
        norm.apply(&weight, Mode::Eval).unwrap();
        assert_eq!(before, norm.u.value().to_f32s().unwrap());
        norm.apply(&weight, Mode::Train).unwrap();
        assert_ne!(before, norm.u.value().to_f32s().unwrap());
    }
}
