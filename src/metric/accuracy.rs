//! Whether a classifier sees in an image the class it was made for.

use super::features::Features;
use super::interval::{Groups, Interval};
use crate::error::{Error, Result};

/// The classes that `logits` are highest for; of equal logits the first.
pub fn predictions(logits: &Features) -> Vec<u32> {
    let best =
        |row: &[f64]| row.iter().enumerate().fold(0, |best, (class, x)| if *x > row[best] { class } else { best });
    logits.data().chunks_exact(logits.dim()).map(|row| best(row) as u32).collect()
}

/// The share of images whose highest logit is at their label, from 0 to 1.
///
/// For generated images and the labels they were asked for, this is the GAN-test of Shmelkov et al. 2018
/// (arXiv:1807.09499): how well conditioning works, under a classifier trained on real images.
pub fn accuracy(labels: &[u32], logits: &Features) -> Result<f64> {
    let hits = hits(labels, logits)?;
    Ok(hits.iter().sum::<f64>() / hits.len() as f64)
}

/// [`accuracy`] with its interval, or without one where there are too few images to form groups.
pub fn accuracy_with_interval(labels: &[u32], logits: &Features, seed: u64) -> Result<(f64, Option<Interval>)> {
    let hits = hits(labels, logits)?;
    let share = |rows: &[usize]| rows.iter().map(|&row| hits[row]).sum::<f64>() / rows.len() as f64;
    let value = share(&(0..hits.len()).collect::<Vec<_>>());
    let Some(groups) = Groups::new(hits.len(), seed, "fake") else { return Ok((value, None)) };
    let without: Vec<f64> = (0..Groups::COUNT).map(|group| share(&groups.others(group))).collect();
    Ok((value, Some(Interval::from_left_out(value, &without).within(0., 1.))))
}

fn hits(labels: &[u32], logits: &Features) -> Result<Vec<f64>> {
    if labels.len() != logits.rows() || labels.is_empty() {
        return Err(Error::new(format!(
            "{} labels were given for {} images; there is one label an image",
            labels.len(),
            logits.rows()
        )));
    }
    if let Some(label) = labels.iter().find(|&&label| label as usize >= logits.dim()) {
        return Err(Error::new(format!(
            "label {label} was given to a classifier of {} classes, expected 0 to {}",
            logits.dim(),
            logits.dim() - 1
        )));
    }
    Ok(predictions(logits)
        .iter()
        .zip(labels)
        .map(|(predicted, label)| f64::from(u8::from(predicted == label)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_are_counted_and_ties_go_to_the_first_class() {
        let logits = Features::new(vec![1., 2., 3., 3., 0., -1.], 3, 2).unwrap();
        assert_eq!(predictions(&logits), [1, 0, 0]);
        assert_eq!(accuracy(&[1, 1, 0], &logits).unwrap(), 2. / 3.);
    }

    #[test]
    fn a_label_the_classifier_does_not_know_is_refused() {
        let logits = Features::new(vec![0.; 4], 2, 2).unwrap();
        let error = accuracy(&[0, 5], &logits).unwrap_err();
        assert_eq!(error.message, "label 5 was given to a classifier of 2 classes, expected 0 to 1");
        assert_eq!(
            accuracy(&[0], &logits).unwrap_err().message,
            "1 labels were given for 2 images; there is one label an image"
        );
    }
}
