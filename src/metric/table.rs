//! Every metric that an evaluation can be asked for.

use super::accuracy::accuracy_with_interval;
use super::evaluate::EvaluateOptions;
use super::features::Features;
use super::frechet::{frechet_distance, frechet_with_interval};
use super::inception_score::{inception_score, inception_score_with_interval};
use super::interval::Interval;
use super::kid::{kid, kid_subsets, kid_with_interval};
use super::per_class::{Labelled, frechet_per_class};
use super::prdc::{Edge, prdc, prdc_with_intervals};
use super::scores::Better;
use crate::error::{Error, Result};
use crate::table::Row;

/// A metric, as one row of [`METRICS`].
pub struct Metric {
    name: &'static str,
    doc: &'static str,
    /// Whether it asks what a classifier predicts, and so an extractor that is one.
    pub predictions: bool,
    /// Whether it asks for the class of every image.
    pub labels: bool,
    pub(super) measure: fn(&Comparison<'_>) -> Result<Vec<Measured>>,
}

/// What a metric is given: two sides as one extractor sees them.
pub struct Comparison<'a> {
    pub(super) real: Side<'a>,
    pub(super) fake: Side<'a>,
    pub(super) classes: &'a [String],
    pub(super) extractor: &'a str,
    pub(super) options: &'a EvaluateOptions,
    /// Whether intervals are wanted.
    pub(super) intervals: bool,
}

/// One side of a comparison.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    pub(super) features: &'a Features,
    pub(super) logits: Option<&'a Features>,
    pub(super) labels: Option<&'a [u32]>,
}

/// A number that a metric gives.
pub struct Measured {
    pub(super) metric: String,
    pub(super) label: String,
    pub(super) value: f64,
    pub(super) interval: Option<Interval>,
    pub(super) better: Better,
    pub(super) settings: String,
}

impl Row for Metric {
    const KIND: &'static str = "metric";
    fn name(&self) -> &'static str {
        self.name
    }
    fn doc(&self) -> &'static str {
        self.doc
    }
}

/// Every metric, in the order the manual lists them.
pub const METRICS: &[Metric] = &[FD, KID, PRDC, IS, ACCURACY, FD_PER_CLASS];

const FD: Metric = Metric {
    name: "fd",
    doc: "The Fréchet distance between real and generated features, each summed up as a normal distribution.\n\n\
          |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½), unbiased covariances, at least 0. Lower is better. It falls as the number of \
          images grows: compare equal numbers only, and look at what real images score. With the Inception network of \
          2015 in place of the extractor it is the FID. Heusel et al. 2017, arXiv:1706.08500.",
    predictions: false,
    labels: false,
    measure: |c| {
        let (value, interval) = if c.intervals {
            frechet_with_interval(c.real.features, c.fake.features, c.options.seed)?
        } else {
            (frechet_distance(c.real.features, c.fake.features)?, None)
        };
        Ok(vec![c.row("fd", "FD", value, interval, Better::Lower, "unbiased covariances".into())])
    },
};

const KID: Metric = Metric {
    name: "kid",
    doc: "The kernel distance between real and generated features, unbiased whatever the number of images.\n\n\
          The squared maximum mean discrepancy under the kernel (x·y / d + 1)³. Lower is better, 0 on average for equal \
          distributions, so slightly negative values occur. Two rows: `kid` over all pairs of images, and `kid_subsets`, \
          the mean over random subsets that torch-fidelity reports with the same seed. Bińkowski et al. 2018, \
          arXiv:1801.01401.",
    predictions: false,
    labels: false,
    measure: |c| {
        let (real, fake) = (c.real.features, c.fake.features);
        let (value, interval) =
            if c.intervals { kid_with_interval(real, fake, c.options.seed)? } else { (kid(real, fake)?, None) };
        let size = c.options.kid_subset_size.min(real.rows()).min(fake.rows());
        let (mean, deviation) = kid_subsets(real, fake, c.options.kid_subsets, size, 2020)?;
        let subsets =
            format!("{} subsets of {size}, NumPy seed 2020, deviation {deviation:.3e}", c.options.kid_subsets);
        Ok(vec![
            c.row("kid", "KD", value, interval, Better::Lower, "cubic kernel, all pairs".into()),
            c.row("kid_subsets", "KD of subsets", mean, None, Better::Lower, subsets),
        ])
    },
};

const PRDC: Metric = Metric {
    name: "prdc",
    doc: "Precision and recall, density and coverage: whether generated images look real, and whether all real images \
          are covered.\n\n\
          The ball of an image reaches to its k-th nearest neighbour on its own side. Precision: the share of generated \
          images in some real ball. Recall: the share of real images in some generated ball. Density: real balls around \
          a generated image, over k. Coverage: the share of real balls that hold a generated image. Higher is better. \
          Kynkäänniemi et al. 2019, arXiv:1904.06991; Naeem et al. 2020, arXiv:2002.09797.",
    predictions: false,
    labels: false,
    measure: |c| {
        let k = c.options.neighbours;
        let (real, fake) = (c.real.features, c.fake.features);
        let values = if c.intervals {
            prdc_with_intervals(real, fake, (k, Edge::Open), c.options.seed)?
        } else {
            let p = prdc(real, fake, k)?;
            [p.precision, p.recall, p.density, p.coverage].map(|value| (value, None))
        };
        let names =
            [("precision", "Precision"), ("recall", "Recall"), ("density", "Density"), ("coverage", "Coverage")];
        let row = |((metric, label), (value, interval)): ((&str, &str), (f64, _))| {
            c.row(metric, label, value, interval, Better::Higher, format!("{k} neighbours"))
        };
        Ok(names.into_iter().zip(values).map(row).collect())
    },
};

const IS: Metric = Metric {
    name: "is",
    doc: "The Inception score's formula under the data set's own classifier.\n\n\
          exp(mean KL(p(y|x) ‖ p(y))), the mean over splits, from 1 to the number of classes. Higher is better. Not \
          comparable with published Inception scores, which use another classifier. Blind to diversity within a class. \
          Salimans et al. 2016, arXiv:1606.03498.",
    predictions: true,
    labels: false,
    measure: |c| {
        let logits = c.fake_logits()?;
        let splits = c.options.splits;
        let (value, interval) = if c.intervals {
            inception_score_with_interval(logits, splits, 2020, c.options.seed)?
        } else {
            (inception_score(logits, splits, Some(2020))?.0, None)
        };
        let settings = format!("{splits} splits, shuffled by NumPy seed 2020");
        Ok(vec![c.row("is", "Inception-style score", value, interval, Better::Higher, settings)])
    },
};

const ACCURACY: Metric = Metric {
    name: "accuracy",
    doc: "The share of generated images in which the data set's classifier sees the class they were asked to show.\n\n\
          From 0 to 1, higher is better: how well conditioning works. The GAN-test of Shmelkov et al. 2018, \
          arXiv:1807.09499.",
    predictions: true,
    labels: true,
    measure: |c| {
        let labels = c.fake.labels.ok_or_else(|| Error::bug("accuracy was measured without labels"))?;
        let (value, interval) = accuracy_with_interval(labels, c.fake_logits()?, c.options.seed)?;
        let interval = interval.filter(|_| c.intervals);
        Ok(vec![c.row("accuracy", "Accuracy", value, interval, Better::Higher, "highest logit".into())])
    },
};

const FD_PER_CLASS: Metric = Metric {
    name: "fd_per_class",
    doc: "The Fréchet distance within each class, and the mean over classes.\n\n\
          It sees classes that are mixed up, which `fd` does not. Lower is better; with fewer images a class its values are \
          far above those of `fd` and compare only among themselves. Miyato & Koyama 2018, arXiv:1802.05637.",
    predictions: false,
    labels: true,
    measure: |c| {
        let side = |side: Side<'_>| -> Result<Vec<u32>> {
            Ok(side.labels.ok_or_else(|| Error::bug("classes were compared without labels"))?.to_vec())
        };
        let (real, fake) = (side(c.real)?, side(c.fake)?);
        let seed = c.intervals.then_some(c.options.seed);
        let result = frechet_per_class(
            Labelled { features: c.real.features, labels: &real },
            Labelled { features: c.fake.features, labels: &fake },
            c.classes,
            seed,
        )?;
        let settings = || "unbiased covariances, within a class".to_string();
        let mean = c.row("fd_per_class", "FD per class", result.mean.0, result.mean.1, Better::Lower, settings());
        let class = |(name, (value, interval)): (&String, &(f64, Option<Interval>))| {
            let (metric, label) = (format!("fd_per_class/{name}"), format!("FD of {name}"));
            c.row(&metric, &label, *value, *interval, Better::Lower, settings())
        };
        Ok(std::iter::once(mean).chain(c.classes.iter().zip(&result.classes).map(class)).collect())
    },
};

impl<'a> Comparison<'a> {
    fn row(
        &self,
        metric: &str,
        label: &str,
        value: f64,
        interval: Option<Interval>,
        better: Better,
        settings: String,
    ) -> Measured {
        let label = format!("{label} ({})", self.extractor);
        Measured { metric: metric.into(), label, value, interval, better, settings }
    }

    fn fake_logits(&self) -> Result<&'a Features> {
        self.fake.logits.ok_or_else(|| Error::bug(format!("`{}` is no classifier", self.extractor)))
    }
}
