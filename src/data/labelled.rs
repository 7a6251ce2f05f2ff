//! Labels that a labeller inferred, and how good they are.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::batches::{BatchOptions, Batches, Targets};
use super::budget::PartlyLabelled;
use super::dataset::{Dataset, counts};
use super::images::{Images, Shape};
use crate::error::{Error, Result};

/// Images with the labels that a labeller gave them. An image it was unsure of may stay without one.
#[derive(Debug, Clone)]
pub struct Labelled {
    source: PartlyLabelled,
    /// What the labels are called where they are not classes of the source: clusters.
    clusters: Option<Arc<[String]>>,
    labels: Arc<[Option<u32>]>,
    confidence: Arc<[f32]>,
    probs: Option<Arc<[f32]>>,
}

impl Labelled {
    /// The labels of the budget and no others.
    pub(super) fn known(source: PartlyLabelled) -> Self {
        let labels: Arc<[Option<u32>]> = source.known().into();
        let confidence = labels.iter().map(|label| if label.is_some() { 1.0 } else { 0.0 }).collect();
        Self { source, clusters: None, labels, confidence, probs: None }
    }

    /// What a labeller predicts for the images of `source`.
    ///
    /// `probs` is `[n, classes]` row by row, and each row sums to one. The likeliest class is the label, the first one
    /// at a tie. An image whose best probability is below `threshold` stays without a label. The kept labels of
    /// `source` stand above any prediction.
    pub fn from_probs(source: &PartlyLabelled, probs: &[f32], threshold: f64) -> Result<Self> {
        let (n, classes) = (source.n(), source.classes().len());
        if probs.len() != n * classes || classes == 0 {
            return Err(Error::new(format!(
                "there are {} predicted probabilities; `{}` has {n} images and {classes} classes",
                probs.len(),
                source.name()
            )));
        }
        if !(0.0..=1.0).contains(&threshold) {
            return Err(Error::new(format!("the threshold of confidence is {threshold}; it must lie between 0 and 1")));
        }
        let mut probs = probs.to_vec();
        let mut labels = Vec::with_capacity(n);
        let mut confidence = Vec::with_capacity(n);
        for (index, (row, known)) in probs.chunks_exact_mut(classes).zip(source.known()).enumerate() {
            let sum: f32 = row.iter().sum();
            if !((sum - 1.0).abs() < 1e-3 && row.iter().all(|p| *p >= 0.0)) {
                return Err(Error::new(format!(
                    "the probabilities predicted for image {index} sum to {sum}; they must sum to 1"
                )));
            }
            if let Some(label) = known {
                row.fill(0.0);
                row[*label as usize] = 1.0;
            }
            let (mut best, mut top) = (0, row[0]);
            for (class, p) in row.iter().enumerate().skip(1) {
                if *p > top {
                    (best, top) = (class, *p);
                }
            }
            labels.push((top >= threshold as f32).then_some(best as u32));
            confidence.push(top);
        }
        Ok(Self {
            source: source.clone(),
            clusters: None,
            labels: labels.into(),
            confidence: confidence.into(),
            probs: Some(probs.into()),
        })
    }

    /// Labels made elsewhere, of the classes of `source`. The kept labels of `source` stand above them.
    pub fn from_labels(source: &PartlyLabelled, labels: Vec<Option<u32>>) -> Result<Self> {
        Self::checked(source, &labels, source.classes().len(), "classes")?;
        let labels: Arc<[Option<u32>]> =
            labels.iter().zip(source.known()).map(|(label, known)| known.or(*label)).collect();
        let confidence = labels.iter().map(|label| if label.is_some() { 1.0 } else { 0.0 }).collect();
        Ok(Self { source: source.clone(), clusters: None, labels, confidence, probs: None })
    }

    /// The numbers of `k` clusters in place of classes. Kept labels are not looked at.
    pub fn clusters(source: &PartlyLabelled, labels: Vec<Option<u32>>, k: usize) -> Result<Self> {
        Self::checked(source, &labels, k, "clusters")?;
        let confidence = labels.iter().map(|label| if label.is_some() { 1.0 } else { 0.0 }).collect();
        let clusters = Some((0..k).map(|cluster| format!("cluster {cluster}")).collect());
        Ok(Self { source: source.clone(), clusters, labels: labels.into(), confidence, probs: None })
    }

    fn checked(source: &PartlyLabelled, labels: &[Option<u32>], k: usize, what: &str) -> Result<()> {
        if labels.len() != source.n() {
            return Err(Error::new(format!(
                "there are {} labels; `{}` has {} images",
                labels.len(),
                source.name(),
                source.n()
            )));
        }
        match labels.iter().flatten().find(|label| **label as usize >= k) {
            Some(label) => Err(Error::new(format!("a label is {label}; there are {k} {what}, counted from 0"))),
            None => Ok(()),
        }
    }

    /// What reports call the set.
    pub fn name(&self) -> &str {
        self.source.name()
    }

    /// Every image, labelled or not.
    pub fn images(&self) -> &Images {
        self.source.images()
    }

    /// How many images there are.
    pub fn n(&self) -> usize {
        self.source.n()
    }

    /// The size of each image.
    pub fn shape(&self) -> Shape {
        self.source.shape()
    }

    /// What the classes are called, or the clusters.
    pub fn classes(&self) -> &[String] {
        self.clusters.as_deref().unwrap_or_else(|| self.source.classes())
    }

    /// Whether the labels are clusters, which are not the classes of the data.
    pub fn clustered(&self) -> bool {
        self.clusters.is_some()
    }

    /// The set before it was labelled, with the labels that are true for certain.
    pub fn source(&self) -> &PartlyLabelled {
        &self.source
    }

    /// The label of each image, if it has one.
    pub fn labels(&self) -> &[Option<u32>] {
        &self.labels
    }

    /// How likely each label is, from 0 to 1; 1 where it is one of the budget's.
    pub fn confidence(&self) -> &[f32] {
        &self.confidence
    }

    /// How likely each class is, `[n, classes]` row by row, when a labeller said so.
    pub fn probs(&self) -> Option<&[f32]> {
        self.probs.as_deref()
    }

    /// How many images have a label.
    pub fn n_labelled(&self) -> usize {
        self.labels.iter().flatten().count()
    }

    /// How many images have each label.
    pub fn counts(&self) -> Vec<usize> {
        counts(self.labels.iter().copied().flatten(), self.classes().len())
    }

    /// Shuffled batches of the images that have a label, with labels `[batch]` and, when a labeller gave them,
    /// probabilities `[batch, classes]`.
    pub fn batches(&self, size: usize, options: &BatchOptions) -> Result<Batches> {
        if self.n_labelled() == 0 {
            return Err(Error::new(format!("no image of `{}` has a label", self.name()))
                .help("keep some labels, or lower the labeller's threshold"));
        }
        let targets =
            Targets::Labels { labels: self.labels.clone(), probs: self.probs.clone(), classes: self.classes().len() };
        let pool = self.labels.iter().enumerate().filter(|(_, label)| label.is_some()).map(|(index, _)| index as u32);
        Batches::new(self.images(), targets, Some(pool.collect()), size, options)
    }

    /// The class that most images of each cluster are of, the first one at a tie.
    fn majorities(&self, truth: &[u32], clusters: usize, classes: usize) -> Vec<u32> {
        let mut votes = vec![vec![0usize; classes]; clusters];
        for (label, truth) in self.labels.iter().zip(truth) {
            if let Some(label) = label {
                votes[*label as usize][*truth as usize] += 1;
            }
        }
        let best = |votes: &Vec<usize>| {
            votes.iter().enumerate().fold(0, |best, (class, count)| if *count > votes[best] { class } else { best })
        };
        votes.iter().map(|votes| best(votes) as u32).collect()
    }

    /// How good the labels are, against the truth about the same images. Of clusters it says how well they agree with the
    /// classes once each has taken the class of most of its images.
    pub fn report(&self, truth: &Dataset) -> Result<LabelReport> {
        if truth.hash() != self.images().hash() {
            return Err(Error::new(format!(
                "the labels are of `{}`, the truth is of `{}`; both must be of the same images",
                self.name(),
                truth.name()
            )));
        }
        let truth = truth.truth()?;
        let classes = truth.classes();
        // A cluster has no class of its own: for the report it takes the one that most of its images are of.
        let voted =
            self.clusters.as_ref().map(|clusters| self.majorities(truth.labels(), clusters.len(), classes.len()));
        let mut report = LabelReport {
            n: self.n(),
            covered: self.n_labelled(),
            n_known: if voted.is_some() { 0 } else { self.source.n_known() },
            clusters: voted.as_ref().map(Vec::len),
            coverage: self.n_labelled() as f64 / self.n() as f64,
            accuracy: None,
            inferred_accuracy: None,
            classes: classes.to_vec(),
            per_class: classes
                .iter()
                .map(|name| ClassReport { name: name.clone(), images: 0, n: 0, correct: 0 })
                .collect(),
            confusion: vec![vec![0; classes.len()]; classes.len()],
        };
        let (mut inferred, mut inferred_correct) = (0usize, 0usize);
        for ((label, known), truth) in self.labels.iter().zip(self.source.known()).zip(truth.labels()) {
            let class = &mut report.per_class[*truth as usize];
            class.images += 1;
            let Some(label) = label else { continue };
            let label = voted.as_ref().map_or(*label, |voted| voted[*label as usize]);
            let correct = usize::from(label == *truth);
            class.n += 1;
            class.correct += correct;
            report.confusion[*truth as usize][label as usize] += 1;
            if voted.is_some() || known.is_none() {
                inferred += 1;
                inferred_correct += correct;
            }
        }
        let correct = report.per_class.iter().map(|class| class.correct).sum();
        report.accuracy = ratio(correct, report.covered);
        report.inferred_accuracy = ratio(inferred_correct, inferred);
        Ok(report)
    }
}

impl std::fmt::Display for Labelled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (labelled, known, n) = (self.n_labelled(), self.source.n_known(), self.n());
        write!(f, "{}: {labelled} of {n} images labelled, {known} of them by the budget", self.name())
    }
}

fn ratio(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// How good a set of labels is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelReport {
    /// Images in all.
    pub n: usize,
    /// Images with a label.
    pub covered: usize,
    /// Images whose label is the budget's, and so true.
    pub n_known: usize,
    /// How many clusters took the class of most of their images for this report; none if the labels are classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clusters: Option<usize>,
    /// The share of the images with a label.
    pub coverage: f64,
    /// The share of the labels that are true, the budget's among them; none without a label.
    pub accuracy: Option<f64>,
    /// The share of the inferred labels that are true; none without an inferred label.
    pub inferred_accuracy: Option<f64>,
    /// What the classes are called.
    pub classes: Vec<String>,
    /// The same by true class.
    pub per_class: Vec<ClassReport>,
    /// How often an image of the class of the row got the label of the column.
    pub confusion: Vec<Vec<usize>>,
}

/// How good the labels of one class are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassReport {
    /// What the class is called.
    pub name: String,
    /// Images that are of this class.
    pub images: usize,
    /// Those of them that have a label.
    pub n: usize,
    /// Those of them that have the right label.
    pub correct: usize,
}

impl std::fmt::Display for LabelReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = |share: Option<f64>| share.map_or("-".to_string(), |share| format!("{:.1}%", 100.0 * share));
        writeln!(
            f,
            "labels of {} images: {} covered, {} known for certain",
            self.n,
            percent(Some(self.coverage)),
            self.n_known
        )?;
        match self.clusters {
            None => {
                writeln!(
                    f,
                    "accuracy {}, of the inferred ones {}",
                    percent(self.accuracy),
                    percent(self.inferred_accuracy)
                )?;
            }
            Some(k) => {
                writeln!(
                    f,
                    "accuracy {} once each of {k} clusters has the class of most of its images",
                    percent(self.accuracy)
                )?;
            }
        }
        let width = self.classes.iter().map(|name| name.chars().count()).max().unwrap_or(0).max("class".len());
        write!(f, "{:width$}  {:>7}  {:>7}  {:>7}", "class", "images", "covered", "correct")?;
        for (row, class) in self.per_class.iter().enumerate() {
            let correct = percent(ratio(class.correct, class.n));
            write!(f, "\n{:width$}  {:>7}  {:>7}  {correct:>7}", class.name, class.images, class.n)?;
            let worst = self.confusion[row].iter().enumerate().filter(|(column, count)| *column != row && **count > 0);
            // At a tie the first of the classes is named.
            if let Some((column, count)) = worst.rev().max_by_key(|(_, count)| **count) {
                write!(f, "  taken for {} {count} times", self.classes[column])?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::dataset::tests::tiny;
    use super::*;

    /// Six images, three of each class; the label of one of each is kept.
    fn six() -> (Dataset, PartlyLabelled) {
        let data = tiny(vec![0, 1, 0, 1, 0, 1], 2);
        let known = data.keep_labels(0.4, 1).unwrap();
        assert_eq!(known.known_counts(), [1, 1]);
        (data, known)
    }

    #[test]
    fn kept_labels_stand_above_predictions_and_doubt_leaves_no_label() {
        let (_, known) = six();
        // Everything is taken for class 1, image 5 with doubt.
        let mut probs = [0.1, 0.9].repeat(6);
        probs[10..].copy_from_slice(&[0.45, 0.55]);
        let labelled = Labelled::from_probs(&known, &probs, 0.9).unwrap();
        for index in 0..6 {
            match known.known()[index] {
                Some(label) => {
                    assert_eq!((labelled.labels()[index], labelled.confidence()[index]), (Some(label), 1.0));
                    assert_eq!(labelled.probs().unwrap()[2 * index + label as usize], 1.0);
                }
                None if index == 5 => assert_eq!((labelled.labels()[5], labelled.confidence()[5]), (None, 0.55)),
                None => assert_eq!((labelled.labels()[index], labelled.confidence()[index]), (Some(1), 0.9)),
            }
        }
    }

    #[test]
    fn a_report_by_hand() {
        let data = tiny(vec![0, 0, 0, 1, 1, 1], 2);
        let known = data.with_budget(&super::super::LabelBudget {
            share: 0.0,
            seed: 0,
            indices: vec![0],
            images: data.hash().to_string(),
        });
        let (right, wrong, unsure) = ([0.9, 0.1], [0.2, 0.8], [0.5, 0.5]);
        let probs = [right, right, wrong, wrong, wrong, unsure].concat();
        let labelled = Labelled::from_probs(&known.unwrap(), &probs, 0.6).unwrap();
        let report = labelled.report(&data).unwrap();
        assert_eq!((report.n, report.covered, report.n_known), (6, 5, 1));
        assert_eq!((report.coverage, report.accuracy, report.inferred_accuracy), (5.0 / 6.0, Some(0.8), Some(0.75)));
        assert_eq!(report.confusion, [[2, 1], [0, 2]]);
        assert_eq!((report.per_class[0].correct, report.per_class[1].n), (2, 2));
        let text = report.to_string();
        assert!(text.starts_with(
            "labels of 6 images: 83.3% covered, 1 known for certain\naccuracy 80.0%, of the inferred ones 75.0%"
        ));
        assert!(text.contains("class 0        3        3    66.7%  taken for class 1 1 times"), "{text}");
    }

    #[test]
    fn clusters_are_judged_by_the_class_of_most_of_their_images() {
        let data = tiny(vec![0, 0, 0, 1, 1, 1], 2);
        let known = data.keep_labels(1.0, 1).unwrap();
        // Cluster 2 holds images 0, 1 and 3, so it stands for class 0; cluster 0 holds 2 and 4, a tie, so for class 0 too.
        let labels = [2, 2, 0, 2, 0, 1].map(Some);
        let clusters = Labelled::clusters(&known, labels.into(), 4).unwrap();
        assert_eq!(clusters.classes()[3], "cluster 3");
        assert_eq!(clusters.counts(), [2, 1, 3, 0]);
        let report = clusters.report(&data).unwrap();
        assert_eq!((report.clusters, report.n_known), (Some(4), 0));
        assert_eq!((report.accuracy, report.inferred_accuracy), (Some(4.0 / 6.0), Some(4.0 / 6.0)));
        assert_eq!(report.confusion, [[3, 0], [2, 1]]);
        assert!(
            report.to_string().contains("accuracy 66.7% once each of 4 clusters has the class of most of its images")
        );
        let error = Labelled::clusters(&known, vec![Some(4); 6], 4).unwrap_err();
        assert_eq!(error.message, "a label is 4; there are 4 clusters, counted from 0");
        assert_eq!(
            Labelled::from_labels(&known, vec![None; 5]).unwrap_err().message,
            "there are 5 labels; `tiny` has 6 images"
        );
    }

    #[test]
    fn batches_draw_labelled_images_alone() {
        let (_, known) = six();
        let batches = known.only_known().batches(2, &BatchOptions::default()).unwrap();
        let mut drawn = batches.indices(5);
        drawn.sort_unstable();
        assert_eq!(drawn, known.budget().indices);
        let none = tiny(vec![0, 1], 2).keep_labels(0.0, 1).unwrap().only_known();
        assert_eq!(none.batches(1, &BatchOptions::default()).err().unwrap().message, "no image of `tiny` has a label");
    }

    #[test]
    fn probabilities_that_are_none_are_refused() {
        let (data, known) = six();
        let message = |probs: &[f32], threshold| Labelled::from_probs(&known, probs, threshold).unwrap_err().message;
        assert_eq!(message(&[0.5; 11], 0.0), "there are 11 predicted probabilities; `tiny` has 6 images and 2 classes");
        assert_eq!(message(&[0.6; 12], 0.0), "the probabilities predicted for image 0 sum to 1.2; they must sum to 1");
        assert!(message(&[f32::NAN; 12], 0.0).contains("sum to NaN"));
        assert_eq!(message(&[0.5; 12], 1.5), "the threshold of confidence is 1.5; it must lie between 0 and 1");
        let other = tiny(vec![0, 1], 2);
        assert!(known.only_known().report(&other).unwrap_err().message.ends_with("both must be of the same images"));
        assert!(known.only_known().report(&data).is_ok());
    }
}
