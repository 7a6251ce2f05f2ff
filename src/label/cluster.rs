//! Clusters in place of classes: no label is needed.

use super::LabellerRow;
use crate::data::{Labelled, PartlyLabelled};
use crate::error::Result;
use crate::nn::{Encoder, KMeansOptions, Mode, k_means};
use crate::progress::Stop;
use crate::tensor::no_grad;

pub(super) const CLUSTER: LabellerRow = LabellerRow {
    name: "cluster",
    doc: "Gives each image the number of a cluster of learnt features, found by k-means.\n\n\
          It needs no label and looks at none.   Lucic et al. 2019, arXiv:1903.02271, section 3.1; k-means++ of Arthur and \
          Vassilvitskii 2007.",
};

crate::options! {
    /// Options of `label::cluster`.
    pub struct ClusterOptions("label::cluster") {
        /// How many clusters; the paper takes 50.
        pub k: usize = 50,
        /// Starts that are tried; the one with the smallest inertia counts.
        pub n_init: usize = 10,
        /// Passes over the images at most.
        pub max_passes: usize = 100,
        /// Images in a mini-batch of k-means; all at once if 0.
        pub batch: usize = 0,
        /// What the starts are drawn from.
        pub seed: u64 = 1,
    }
}

/// Clusters the `features` of the images of `data`.
///
/// # Errors
/// `k` is 0 or above the number of images; the images do not fit the network; a person asked to stop.
pub fn cluster(features: &Encoder, data: &PartlyLabelled, options: &ClusterOptions, stop: &Stop) -> Result<Labelled> {
    let device = features.store().device();
    let mut rows = Vec::with_capacity(data.n() * features.dim());
    let indices: Vec<u32> = (0..data.n() as u32).collect();
    for part in indices.chunks(256) {
        stop.check()?;
        let images = data.images().select(part)?.tensor(device)?;
        rows.extend(no_grad(|| features.forward(&images, Mode::Eval))?.to_f32s()?);
    }
    let how = KMeansOptions {
        k: options.k,
        n_init: options.n_init,
        max_passes: options.max_passes,
        batch: (options.batch > 0).then_some(options.batch),
        seed: options.seed,
        ..KMeansOptions::default()
    };
    let found = k_means(&rows, features.dim(), &how, stop)?;
    Labelled::clusters(data, found.labels.into_iter().map(Some).collect(), options.k)
}
