//! CMMD: the maximum mean discrepancy of CLIP embeddings under a Gaussian kernel.

use super::features::{Features, comparable};
use super::interval::{Groups, Interval};
use super::matrix::for_blocks;
use crate::error::{Error, Result};

/// The width of the kernel.
const SIGMA: f64 = 10.;
/// What the squared discrepancy is multiplied with.
const SCALE: f64 = 1000.;

/// Rows of length 1.
fn unit(x: &Features) -> Result<Features> {
    let mut data = x.data().to_vec();
    for row in data.chunks_exact_mut(x.dim()) {
        let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        if length == 0. {
            return Err(Error::new("an image has an embedding of zeros, which has no direction"));
        }
        row.iter_mut().for_each(|x| *x /= length);
    }
    Features::new(data, x.rows(), x.dim())
}

/// `Σ k(xᵢ, yⱼ)` for each pair of a group of rows of `x` and a group of rows of `y`.
fn kernel_sums(x: &Features, y: &Features, of_x: &[usize], of_y: &[usize], groups: usize) -> Vec<f64> {
    let blocks = for_blocks(x, y, |first, kernel| {
        let mut sums = vec![0.; groups * groups];
        for (row, inner) in kernel.chunks_exact(y.rows()).enumerate() {
            let into = &mut sums[of_x[first + row] * groups..][..groups];
            // |x - y|² of rows of length 1.
            let value = |inner: f64| ((2. * inner - 2.) / (2. * SIGMA * SIGMA)).exp();
            inner.iter().zip(of_y).for_each(|(inner, group)| into[*group] += value(*inner));
        }
        sums
    });
    (0..groups * groups).map(|i| blocks.iter().map(|block| block[i]).sum()).collect()
}

/// The discrepancy, times 1000, of all rows, and of those outside each group.
fn discrepancies(real: &Features, fake: &Features, of_real: &[usize], of_fake: &[usize], groups: usize) -> Vec<f64> {
    let within_real = kernel_sums(real, real, of_real, of_real, groups);
    let within_fake = kernel_sums(fake, fake, of_fake, of_fake, groups);
    let between = kernel_sums(real, fake, of_real, of_fake, groups);
    let without = |sums: &[f64], out: Option<usize>| -> f64 {
        let kept = |i: &usize| Some(*i) != out;
        (0..groups).filter(kept).flat_map(|i| (0..groups).filter(kept).map(move |j| sums[i * groups + j])).sum()
    };
    let count = |of: &[usize], out: Option<usize>| of.iter().filter(|group| Some(**group) != out).count() as f64;
    let outs = std::iter::once(None).chain((0..groups).filter(|_| groups > 1).map(Some));
    outs.map(|out| {
        let (n, m) = (count(of_real, out), count(of_fake, out));
        let (xx, yy) = (without(&within_real, out) / (n * n), without(&within_fake, out) / (m * m));
        SCALE * (xx + yy - 2. * without(&between, out) / (n * m))
    })
    .collect()
}

/// The discrepancy of two sets of embeddings, each brought to length 1: the biased estimate with the kernel
/// `exp(-|x - y|² / (2 · 10²))`, times 1000, as published; and its interval, where there are enough images for groups.
///
/// # Errors
/// There are fewer than two rows, or they differ in length, or one is zero.
pub fn cmmd(real: &Features, fake: &Features, seed: u64) -> Result<(f64, Option<Interval>)> {
    comparable(real, fake, 2)?;
    let (x, y) = (unit(real)?, unit(fake)?);
    let (Some(a), Some(b)) = (Groups::new(x.rows(), seed, "real"), Groups::new(y.rows(), seed, "fake")) else {
        return Ok((discrepancies(&x, &y, &vec![0; x.rows()], &vec![0; y.rows()], 1)[0], None));
    };
    let of = |groups: &Groups, n: usize| (0..n).map(|i| groups.of(i)).collect::<Vec<_>>();
    let values = discrepancies(&x, &y, &of(&a, x.rows()), &of(&b, y.rows()), Groups::COUNT);
    Ok((values[0], Some(Interval::from_left_out(values[0], &values[1..]))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_directions_by_hand() {
        // Real e1, e2; fake twice e1: |e1 - e2|² = 2, so k = exp(-0.01); lengths do not matter.
        let real = Features::new(vec![3., 0., 0., 5.], 2, 2).unwrap();
        let fake = Features::new(vec![1., 0., 7., 0.], 2, 2).unwrap();
        let k = (-0.01f64).exp();
        let expected = 1000. * ((2. + 2. * k) / 4. + 1. - 2. * (2. + 2. * k) / 4.);
        let (value, interval) = cmmd(&real, &fake, 1).unwrap();
        assert!((value - expected).abs() < 1e-9, "{value} {expected}");
        assert!(interval.is_none());
        assert_eq!(cmmd(&real, &real, 1).unwrap().0, 0.);
        let zero = Features::new(vec![0.; 4], 2, 2).unwrap();
        assert!(cmmd(&real, &zero, 1).unwrap_err().message.contains("no direction"));
    }

    #[test]
    fn groups_add_up_to_the_whole() {
        let wave = |phase: f64| {
            Features::new((0..600).map(|i| ((i * i) as f64 * 0.7 + phase).sin()).collect(), 100, 6).unwrap()
        };
        let (a, b) = (unit(&wave(0.)).unwrap(), unit(&wave(1.)).unwrap());
        let whole = discrepancies(&a, &b, &[0; 100], &[0; 100], 1)[0];
        let (value, interval) = cmmd(&wave(0.), &wave(1.), 3).unwrap();
        assert!((value - whole).abs() < 1e-9 * whole.abs().max(1.));
        let interval = interval.unwrap();
        assert!(interval.low < value && value < interval.high);
    }
}
