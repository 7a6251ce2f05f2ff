//! First values of parameters.

use crate::error::{Error, Result};
use crate::options::{Setting, Value};
use crate::tensor::{Device, Rng, Tensor};

/// How a parameter's first values are drawn. Weights are `[out, in, ..]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// One value everywhere.
    Constant(f64),
    /// Normal with this standard deviation.
    Normal(f64),
    /// Normal, redrawn beyond two standard deviations, as in TensorFlow.
    Truncated(f64),
    /// Rows or columns of a random orthogonal matrix `[in kh kw, out]` (Saxe et al. 2013, arXiv:1312.6120), scaled.
    Orthogonal(f64),
    /// Normal with variance 2 / (fan in + fan out) (Glorot and Bengio 2010).
    Glorot,
    /// Uniform with the same variance.
    GlorotUniform,
    /// Normal with variance 2 / fan in (He et al. 2015, arXiv:1502.01852).
    He,
}

impl Init {
    /// The same with the standard deviation `stddev`, if one is asked for.
    ///
    /// # Errors
    /// The initialiser has none to choose, or it is negative.
    pub fn with_stddev(self, stddev: Option<f64>) -> Result<Self> {
        match (self, stddev) {
            (_, None) => Ok(self),
            (_, Some(s)) if s < 0.0 => {
                Err(Error::new(format!("the standard deviation of first values is {s}"))
                    .help("it must not be negative"))
            }
            (Init::Normal(_), Some(s)) => Ok(Init::Normal(s)),
            (Init::Truncated(_), Some(s)) => Ok(Init::Truncated(s)),
            _ => Err(Error::new(format!("the initialiser `{}` has no standard deviation to choose", self.name()))
                .help("leave `init_stddev` out, or use `normal` or `truncated`")),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Init::Constant(_) => "constant",
            Init::Normal(_) => "normal",
            Init::Truncated(_) => "truncated",
            Init::Orthogonal(_) => "orthogonal",
            Init::Glorot => "glorot",
            Init::GlorotUniform => "glorot_uniform",
            Init::He => "he",
        }
    }

    /// Draws the values.
    pub fn draw(self, dims: &[usize], rng: &mut Rng, device: &Device) -> Result<Tensor> {
        let n = dims.iter().product();
        let out = dims.first().copied().unwrap_or(1);
        let window: usize = dims.iter().skip(2).product();
        let inputs = dims.get(1).copied().unwrap_or(1) * window;
        let scaled = |mut values: Vec<f32>, std: f64| {
            values.iter_mut().for_each(|v| *v *= std as f32);
            values
        };
        let values = match self {
            Init::Constant(value) => vec![value as f32; n],
            Init::Normal(std) => scaled(rng.normals(n), std),
            Init::Truncated(std) => scaled((0..n).map(|_| truncated(rng)).collect(), std),
            Init::Glorot => scaled(rng.normals(n), (2.0 / (inputs + out * window) as f64).sqrt()),
            Init::GlorotUniform => {
                let bound = (6.0 / (inputs + out * window) as f64).sqrt() as f32;
                rng.uniforms(n).into_iter().map(|u| (2.0 * u - 1.0) * bound).collect()
            }
            Init::He => scaled(rng.normals(n), (2.0 / inputs as f64).sqrt()),
            Init::Orthogonal(gain) => scaled(orthogonal(out, n / out.max(1), rng)?, gain),
        };
        Tensor::from_vec(values, dims, device)
    }
}

fn truncated(rng: &mut Rng) -> f32 {
    loop {
        let value = rng.normal();
        if value.abs() <= 2.0 {
            return value;
        }
    }
}

/// Vectors that are made orthogonal to the earlier ones together: a matrix product each, where one by one takes minutes for
/// the layers of BigGAN.
const PANEL: usize = 64;

/// `rows` x `columns` values with orthonormal rows, or columns where there are fewer of those: Gram and Schmidt, twice, in f64.
fn orthogonal(rows: usize, columns: usize, rng: &mut Rng) -> Result<Vec<f32>> {
    let (short, long) = (rows.min(columns), rows.max(columns));
    let mut basis: Vec<f64> = Vec::with_capacity(short * long);
    while basis.len() < short * long {
        let done = basis.len() / long;
        let width = PANEL.min(short - done);
        let mut panel: Vec<f64> = rng.normals(width * long).into_iter().map(f64::from).collect();
        if done > 0 {
            let basis = Tensor::from_f64s(basis.clone(), &[done, long], &Device::Cpu)?;
            let transposed = basis.t()?;
            let mut vectors = Tensor::from_f64s(panel, &[width, long], &Device::Cpu)?;
            for _ in 0..2 {
                vectors = vectors.sub(&vectors.matmul(&transposed)?.matmul(&basis)?)?;
            }
            panel = vectors.to_f64s()?;
        }
        let from = basis.len();
        for mut v in panel.chunks_exact(long).map(<[f64]>::to_vec) {
            let mut norm = straighten(&mut v, &basis[from..]);
            while norm <= 1e-6 {
                // It lay among the others: another one takes its place.
                v = rng.normals(long).into_iter().map(f64::from).collect();
                norm = straighten(&mut v, &basis);
            }
            basis.extend(v.iter().map(|x| x / norm));
        }
    }
    let at = |r: usize, c: usize| if rows <= columns { basis[r * long + c] } else { basis[c * long + r] };
    Ok((0..rows * columns).map(|i| at(i / columns, i % columns) as f32).collect())
}

/// Takes from `v` what lies along the unit vectors of `basis`, twice; the length of what is left.
fn straighten(v: &mut [f64], basis: &[f64]) -> f64 {
    for _ in 0..2 {
        for b in basis.chunks_exact(v.len()) {
            let dot: f64 = v.iter().zip(b).map(|(x, y)| x * y).sum();
            v.iter_mut().zip(b).for_each(|(x, y)| *x -= dot * y);
        }
    }
    v.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// The initialisers a script may name.
pub const INITIALISERS: &[&str] = &["normal", "truncated", "orthogonal", "glorot", "glorot_uniform", "he"];

impl Setting for Init {
    const EXPECTED: &'static str = "`normal`, `truncated`, `orthogonal`, `glorot`, `glorot_uniform` or `he`";
    fn from_value(value: Value) -> std::result::Result<Self, Value> {
        match &value {
            Value::Text(name) => match name.as_str() {
                "normal" => Ok(Init::Normal(0.02)),
                "truncated" => Ok(Init::Truncated(0.02)),
                "orthogonal" => Ok(Init::Orthogonal(1.0)),
                "glorot" => Ok(Init::Glorot),
                "glorot_uniform" => Ok(Init::GlorotUniform),
                "he" => Ok(Init::He),
                _ => Err(value),
            },
            _ => Err(value),
        }
    }
    fn to_value(&self) -> Value {
        Value::Text(self.name().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orthogonal_rows_are_orthonormal() {
        let mut rng = Rng::new(1);
        // The last two take more than one panel.
        for (rows, columns) in [(3, 5), (5, 3), (70, 90), (90, 70)] {
            let m = orthogonal(rows, columns, &mut rng).unwrap();
            let short = rows.min(columns);
            for i in 0..short {
                for j in 0..short {
                    let dot: f32 = if rows <= columns {
                        (0..columns).map(|c| m[i * columns + c] * m[j * columns + c]).sum()
                    } else {
                        (0..rows).map(|r| m[r * columns + i] * m[r * columns + j]).sum()
                    };
                    assert!((dot - f32::from(u8::from(i == j))).abs() < 1e-5, "{rows}x{columns}: {i}.{j} = {dot}");
                }
            }
        }
    }

    #[test]
    fn spread_follows_the_fans() {
        let draw = |init: Init| init.draw(&[64, 32, 3, 3], &mut Rng::new(2), &Device::Cpu).unwrap().to_f64s().unwrap();
        let deviation = |values: Vec<f64>| (values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64).sqrt();
        assert!((deviation(draw(Init::Glorot)) - (2.0 / 864.0f64).sqrt()).abs() < 0.001);
        let uniform = draw(Init::GlorotUniform);
        assert!(uniform.iter().all(|v| v.abs() <= (6.0 / 864.0f64).sqrt() + 1e-6));
        assert!((deviation(uniform) - (2.0 / 864.0f64).sqrt()).abs() < 0.001);
        assert!((deviation(draw(Init::He)) - (2.0 / 288.0f64).sqrt()).abs() < 0.002);
        assert!(draw(Init::Truncated(0.02)).iter().all(|v| v.abs() <= 0.040_001));
        // The deviation of a normal cut at two deviations is 0.8796 of its own; TensorFlow does not make up for it.
        assert!((deviation(draw(Init::Truncated(0.02))) - 0.8796 * 0.02).abs() < 2e-4);
        assert!((deviation(draw(Init::Normal(0.02).with_stddev(Some(0.05)).unwrap())) - 0.05).abs() < 1e-3);
        assert!(Init::He.with_stddev(Some(0.05)).is_err());
    }

    #[test]
    fn an_orthogonal_weight_is_as_large_as_its_gain() {
        let rows =
            Init::Orthogonal(3.0).draw(&[2, 3, 2, 2], &mut Rng::new(1), &Device::Cpu).unwrap().to_f64s().unwrap();
        for row in rows.chunks(12) {
            assert!((row.iter().map(|v| v * v).sum::<f64>() - 9.0).abs() < 1e-4, "{row:?}");
        }
    }
}
