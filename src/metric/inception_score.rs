//! The score that rewards images a classifier is sure of, over classes it sees equally often.

use super::features::Features;
use super::interval::{Groups, Interval};
use super::numpy_order::NumpyOrder;
use crate::error::{Error, Result};

/// Mean and deviation over `splits` consecutive parts of `exp(mean KL(p(y|x) ‖ p(y)))`, from a classifier's `logits`.
///
/// Salimans et al. 2016, arXiv:1606.03498. From 1 to the number of classes. It is the published score only for the
/// logits of the 2015 Inception graph. With `shuffle`, rows are first put into the order that NumPy deals from that
/// seed (torch-fidelity's default is 2020): needed where images come ordered by class.
pub fn inception_score(logits: &Features, splits: usize, shuffle: Option<u32>) -> Result<(f64, f64)> {
    let order = match shuffle {
        Some(seed) => NumpyOrder::new(seed).permutation(logits.rows()),
        None => (0..logits.rows()).collect(),
    };
    over_splits(&Predictions::new(logits), &order, splits)
}

/// The score with its interval, or without one where there are too few images to form groups.
pub fn inception_score_with_interval(
    logits: &Features,
    splits: usize,
    shuffle: u32,
    seed: u64,
) -> Result<(f64, Option<Interval>)> {
    let predictions = Predictions::new(logits);
    let order = NumpyOrder::new(shuffle).permutation(logits.rows());
    let (value, _) = over_splits(&predictions, &order, splits)?;
    let Some(groups) = Groups::new(logits.rows(), seed, "fake") else { return Ok((value, None)) };
    let without = (0..Groups::COUNT)
        .map(|group| {
            let order: Vec<usize> = order.iter().copied().filter(|&row| groups.of(row) != group).collect();
            Ok(over_splits(&predictions, &order, splits)?.0)
        })
        .collect::<Result<Vec<f64>>>()?;
    let most = logits.dim() as f64;
    Ok((value, Some(Interval::from_left_out(value, &without).within(1., most))))
}

struct Predictions {
    classes: usize,
    probs: Vec<f64>,
    log_probs: Vec<f64>,
}

impl Predictions {
    fn new(logits: &Features) -> Self {
        let classes = logits.dim();
        let mut log_probs = Vec::with_capacity(logits.data().len());
        for row in logits.data().chunks_exact(classes) {
            let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let log_sum = row.iter().map(|x| (x - most).exp()).sum::<f64>().ln();
            log_probs.extend(row.iter().map(|x| x - most - log_sum));
        }
        Self { classes, probs: log_probs.iter().map(|x| x.exp()).collect(), log_probs }
    }

    fn score(&self, rows: &[usize]) -> f64 {
        let n = rows.len() as f64;
        let mut marginal = vec![0.; self.classes];
        for &row in rows {
            let probs = &self.probs[row * self.classes..][..self.classes];
            marginal.iter_mut().zip(probs).for_each(|(sum, p)| *sum += p);
        }
        let log_marginal: Vec<f64> = marginal.iter().map(|sum| (sum / n).ln()).collect();
        let divergence: f64 = rows
            .iter()
            .map(|&row| {
                let at = row * self.classes;
                // A probability that underflowed to zero adds nothing.
                (0..self.classes)
                    .filter(|c| self.probs[at + c] > 0.)
                    .map(|c| self.probs[at + c] * (self.log_probs[at + c] - log_marginal[c]))
                    .sum::<f64>()
            })
            .sum();
        (divergence / n).exp()
    }
}

fn over_splits(predictions: &Predictions, order: &[usize], splits: usize) -> Result<(f64, f64)> {
    let n = order.len();
    if splits == 0 || n < splits {
        return Err(Error::new(format!("{n} images cannot be cut into {splits} splits"))
            .help("`splits` is at least 1 and at most the number of images"));
    }
    let scores: Vec<f64> =
        (0..splits).map(|i| predictions.score(&order[i * n / splits..(i + 1) * n / splits])).collect();
    let mean = scores.iter().sum::<f64>() / splits as f64;
    let variance = scores.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / splits as f64;
    Ok((mean, variance.sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sure_and_even_scores_the_number_of_classes_and_unsure_scores_one() {
        let sure = Features::new((0..9).map(|i| if i % 4 == 0 { 800. } else { 0. }).collect(), 3, 3).unwrap();
        assert!((inception_score(&sure, 1, None).unwrap().0 - 3.).abs() < 1e-12);
        let unsure = Features::new(vec![5.; 9], 3, 3).unwrap();
        assert!((inception_score(&unsure, 3, Some(2020)).unwrap().0 - 1.).abs() < 1e-12);
    }

    #[test]
    fn more_splits_than_images_are_refused() {
        let logits = Features::new(vec![0.; 6], 3, 2).unwrap();
        assert_eq!(inception_score(&logits, 10, None).unwrap_err().message, "3 images cannot be cut into 10 splits");
    }
}
