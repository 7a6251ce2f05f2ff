//! Metrics of features: distances, shares and neighbours, by the eyes of each extractor.

use super::super::Role;
use super::super::cmmd::cmmd;
use super::super::frechet::{frechet_distance, frechet_with_interval};
use super::super::interval::Interval;
use super::super::kid::{kid, kid_subsets, kid_with_interval};
use super::super::nearest::nearest;
use super::super::per_class::{Labelled, frechet_per_class};
use super::super::prd::{CLUSTERINGS, CLUSTERS, f_beta, prd};
use super::super::prdc::{Edge, prdc, prdc_with_intervals};
use super::super::scores::{Better, Curve};
use super::{Measure, Metric, Need, Side};
use crate::data::{Images, Shape};
use crate::error::{Error, Result};
use crate::figure;
use crate::progress::Picture;

pub(super) const FD: Metric = Metric {
    name: "fd",
    doc: "The Fréchet distance between real and generated features, each summed up as a normal distribution.\n\n\
          |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½), unbiased covariances, at least 0. Lower is better. It falls as the number of \
          images grows: compare equal numbers only, and look at what real images score. With the Inception network of \
          2015 for an extractor it is the FID. Heusel et al. 2017, arXiv:1706.08500.",
    needs: &[],
    measure: Measure::Features(|c| {
        let (value, interval) = if c.intervals {
            frechet_with_interval(c.real.features, c.fake.features, c.options.seed)?
        } else {
            (frechet_distance(c.real.features, c.fake.features)?, None)
        };
        let label = if c.role == Role::Inception { "FID" } else { "FD" };
        Ok(vec![c.row("fd", label, value, interval, Better::Lower, "unbiased covariances".into())])
    }),
};

pub(super) const FID: Metric = Metric {
    name: "fid",
    doc: "The Fréchet Inception distance: `fd` by the Inception network of 2015, as papers report it.\n\n\
          Its weights come from a file: `inception: \"weights-inception-2015-12-05-6726825d.pth\"`, or the folder that \
          `fewlab doctor` names. Images are enlarged to 299x299 by TensorFlow 1's rule, (x - 128) / 128, 2048 features, \
          unbiased covariances; generated images are rounded to 8 bits first. Heusel et al. 2017, arXiv:1706.08500.",
    needs: &[],
    measure: Measure::Inception(|c| {
        let (value, interval) = if c.intervals {
            frechet_with_interval(c.real.features, c.fake.features, c.options.seed)?
        } else {
            (frechet_distance(c.real.features, c.fake.features)?, None)
        };
        Ok(vec![c.row("fid", "FID", value, interval, Better::Lower, "unbiased covariances".into())])
    }),
};

pub(super) const KID: Metric = Metric {
    name: "kid",
    doc: "The kernel distance between real and generated features, unbiased whatever the number of images.\n\n\
          The squared maximum mean discrepancy under the kernel (x·y / d + 1)³. Lower is better, 0 on average for equal \
          distributions, so slightly negative values occur. Two rows: `kid` over all pairs of images, and `kid_subsets`, \
          the mean over random subsets that torch-fidelity reports with the same seed. Bińkowski et al. 2018, \
          arXiv:1801.01401.",
    needs: &[],
    measure: Measure::Features(|c| {
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
    }),
};

pub(super) const CMMD: Metric = Metric {
    name: "cmmd",
    doc: "CMMD: the kernel distance between CLIP's embeddings of real and generated images.\n\n\
          1000 times the squared maximum mean discrepancy (biased estimate) of embeddings of length 1 under the kernel \
          exp(-|x - y|² / (2 · 10²)). Lower is better; unlike the Fréchet distance it takes nothing for normal. Published \
          values are by ViT-L/14 with 336 pixels; the file is named by the option `clip`. Jayasumana et al. 2024, arXiv:2401.09603.",
    needs: &[],
    measure: Measure::Clip(|c| {
        let (value, interval) = cmmd(c.real.features, c.fake.features, c.seed())?;
        let interval = interval.filter(|_| c.intervals);
        Ok(vec![c.row(
            "cmmd",
            "CMMD",
            value,
            interval,
            Better::Lower,
            "Gaussian kernel of width 10, biased, times 1000".into(),
        )])
    }),
};

pub(super) const PRDC: Metric = Metric {
    name: "prdc",
    doc: "Precision and recall, density and coverage: whether generated images look real, and whether all real images \
          are covered.\n\n\
          The ball of an image reaches to its k-th nearest neighbour on its own side. Precision: the share of generated \
          images in some real ball. Recall: the share of real images in some generated ball. Density: real balls around \
          a generated image, over k. Coverage: the share of real balls that hold a generated image. Higher is better. \
          Kynkäänniemi et al. 2019, arXiv:1904.06991; Naeem et al. 2020, arXiv:2002.09797.",
    needs: &[],
    measure: Measure::Features(|c| {
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
    }),
};

pub(super) const PRECISION_RECALL: Metric = Metric {
    name: "precision_recall",
    doc: "Precision and recall with three neighbours, as the paper that brought them and torch-fidelity take them.\n\n\
          The balls hold their surface too, unlike those of `prdc`; k is 3 whatever `neighbours` says. The third row is their \
          harmonic mean. Published values are by features of VGG16. Kynkäänniemi et al. 2019, arXiv:1904.06991.",
    needs: &[],
    measure: Measure::Features(|c| {
        const K: usize = 3;
        let (real, fake) = (c.real.features, c.fake.features);
        let [precision, recall, ..] = prdc_with_intervals(real, fake, (K, Edge::Closed), c.seed())?;
        let settings = || format!("{K} neighbours, surfaces included");
        let row = |metric: &str, label: &str, (value, interval): (f64, Option<Interval>)| {
            let interval = interval.filter(|_| c.intervals);
            c.row(metric, label, value, interval, Better::Higher, settings())
        };
        let harmonic = f_beta(precision.0, recall.0, 1.)?;
        Ok(vec![
            row("precision_3", "Precision of 3 neighbours", precision),
            row("recall_3", "Recall of 3 neighbours", recall),
            row("f_score_3", "F-score of 3 neighbours", (harmonic, None)),
        ])
    }),
};

pub(super) const PRD: Metric = Metric {
    name: "prd",
    doc: "Precision and recall of distributions: a curve, and its two ends.\n\n\
          Both sets together are cut into 20 clusters by mini-batch k-means, 10 times; the curve compares their shares at 1001 \
          slopes. `prd_f8`, F with recall eight times as important, is low where real images are missing; `prd_f1_8`, with \
          precision eight times as important, where generated images are unlike real ones. Higher is better. Of the larger \
          side as many images are drawn as the smaller has. Intervals keep the clusters. Sajjadi et al. 2018, arXiv:1806.00035.",
    needs: &[],
    measure: Measure::Features(|c| {
        let found = prd(c.real.features, c.fake.features, c.intervals, c.seed(), &c.job.stop)?;
        let settings =
            || format!("{CLUSTERS} clusters, mean of {CLUSTERINGS} clusterings, {} images a side", found.images);
        let row = |metric: &str, label: &str, (value, interval): (f64, Option<Interval>)| {
            c.row(metric, label, value, interval, Better::Higher, settings())
        };
        let mut recall = row("prd_f8", "PRD recall, F8", found.f8);
        // Enough points for a smooth line.
        let points = found.curve.recall.iter().zip(&found.curve.precision).step_by(10);
        recall.curve = Some(Curve {
            metric: "prd".into(),
            label: format!("PRD ({})", c.extractor),
            x_label: "recall".into(),
            y_label: "precision".into(),
            points: points.map(|(r, p)| [*r, *p]).collect(),
            floor: Vec::new(),
        });
        Ok(vec![recall, row("prd_f1_8", "PRD precision, F1/8", found.f1_8)])
    }),
};

pub(super) const FD_PER_CLASS: Metric = Metric {
    name: "fd_per_class",
    doc: "The Fréchet distance within each class, and the mean over classes.\n\n\
          It sees classes that are mixed up, which `fd` does not. Lower is better; with fewer images a class its values are \
          far above those of `fd` and compare only among themselves. Miyato & Koyama 2018, arXiv:1802.05637.",
    needs: &[Need::Labels],
    measure: Measure::Features(|c| {
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
    }),
};

pub(super) const NEAREST: Metric = Metric {
    name: "nearest",
    doc: "How near generated images are to the images that the generator learned from: whether they are copies.\n\n\
          `nearest` is the mean distance to the nearest training image; far below what held-out real images have (the column \
          `real`), it tells of copies. `authentic` is the share of generated images that are farther from their nearest training \
          image than that is from its own nearest neighbour: about what held-out images have, when nothing is copied. The \
          picture shows the ten nearest pairs. Needs the training images: a GAN's own, or the option `train`. Alaa et al. 2022, \
          arXiv:2102.08921.",
    needs: &[Need::Training],
    measure: Measure::Features(|c| {
        let train = c.train.ok_or_else(|| Error::bug("neighbours were asked for without training images"))?;
        let found = nearest(train.features, c.fake.features, c.intervals, c.seed())?;
        let settings = || format!("among {} training images", train.features.rows());
        let (distance, interval) = found.distance;
        let mut rows = vec![c.row("nearest", "Distance to training", distance, interval, Better::Neither, settings())];
        if let Some((fake, train)) = c.pictures {
            rows[0].picture = Some(pairs(&found.neighbours, fake, train)?);
        }
        let (share, interval) = found.authentic;
        rows.push(c.row("authentic", "Authentic images", share, interval, Better::Higher, settings()));
        Ok(rows)
    }),
};

/// The ten generated images that are nearest to a training image, above these.
fn pairs(neighbours: &[(usize, f64)], fake: &Images, train: &Images) -> Result<Picture> {
    let mut order: Vec<usize> = (0..neighbours.len()).collect();
    order.sort_by(|a, b| neighbours[*a].1.total_cmp(&neighbours[*b].1).then(a.cmp(b)));
    order.truncate(10);
    let above = order.iter().flat_map(|&i| fake.image(i));
    let below = order.iter().flat_map(|&i| train.image(neighbours[i].0));
    let pixels: Vec<u8> = above.chain(below).copied().collect();
    let Shape { channels, height, width } = fake.shape();
    let options = figure::Grid {
        columns: order.len(),
        column_labels: order.iter().map(|&i| super::super::scores::short(neighbours[i].1)).collect(),
        row_labels: vec!["generated".into(), "training".into()],
        ..figure::Grid::default()
    };
    figure::grid(&figure::Images { pixels: &pixels, channels, height, width }, &options)
}
