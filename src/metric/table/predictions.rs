//! Metrics of what classifiers predict.

use super::super::Role;
use super::super::accuracy::accuracy_with_interval;
use super::super::inception_score::{inception_score, inception_score_with_interval};
use super::super::scores::Better;
use super::{Measure, Metric, Need};
use crate::error::Error;

pub(super) const IS: Metric = Metric {
    name: "is",
    doc: "How sure a classifier is of each generated image, and how evenly it sees its classes: the Inception score.\n\n\
          exp(mean KL(p(y|x) ‖ p(y))), the mean over splits, from 1 to the number of classes. Higher is better. By \
          the Inception network of 2015, whose logits leave out the bias unless `logit_bias` is on, it is the published \
          score; by the data set's own classifier (`judge`) it is its formula alone and compares with no published one. Blind to diversity within a class. \
          Salimans et al. 2016, arXiv:1606.03498.",
    needs: &[],
    measure: Measure::Predictions(|c| {
        let logits = c.fake_logits()?;
        let splits = c.options.splits;
        let (value, interval) = if c.intervals {
            inception_score_with_interval(logits, splits, 2020, c.options.seed)?
        } else {
            (inception_score(logits, splits, Some(2020))?.0, None)
        };
        let settings = format!("{splits} splits, shuffled by NumPy seed 2020");
        let label = if c.role == Role::Inception { "Inception score" } else { "Inception-style score" };
        Ok(vec![c.row("is", label, value, interval, Better::Higher, settings)])
    }),
};

pub(super) const ACCURACY: Metric = Metric {
    name: "accuracy",
    doc: "The share of generated images in which the data set's classifier sees the class they were asked to show.\n\n\
          From 0 to 1, higher is better: how well conditioning works. The GAN-test of Shmelkov et al. 2018, \
          arXiv:1807.09499.",
    needs: &[Need::Labels],
    measure: Measure::Classes(|c| {
        let labels = c.fake.labels.ok_or_else(|| Error::bug("accuracy was measured without labels"))?;
        let (value, interval) = accuracy_with_interval(labels, c.fake_logits()?, c.options.seed)?;
        let interval = interval.filter(|_| c.intervals);
        Ok(vec![c.row("accuracy", "Accuracy", value, interval, Better::Higher, "highest logit".into())])
    }),
};
