//! Layers, norms, initialisers, optimisers, averages of weights, checkpoints: what networks are made of; and what rows of
//! features are looked at with: k-means, principal components, t-SNE.
//!
//! A network is built from a [`Store`], which names each parameter by its place (`block1.conv1.weight`), draws its first
//! values from a stream of that name, and is the list that optimisers, averages and checkpoints walk.

mod average;
pub mod checkpoint;
mod encoder;
pub mod fit;
mod generative;
mod init;
mod k_means;
mod layer;
mod norm;
mod optimiser;
mod param;
mod pca;
mod schedule;
mod sequential;
mod spectral;
pub mod task;
mod tsne;

pub use average::Average;
pub use encoder::{Classifier, ENCODERS, Encoder, EncoderRow};
pub use fit::{Fit, Trainable};
pub use generative::{Discriminative, Generative, OwnGenerator, Prior};
pub use init::{INITIALISERS, Init};
pub use k_means::{KMeans, KMeansOptions, k_means, k_means_from};
pub use layer::{Conv, ConvTranspose, Embedding, Linear, Make};
pub(crate) use norm::forget_standing;
pub use norm::{NORMS, Norm, NormKind, NormOptions};
pub use optimiser::{
    Adam, Clip, OPTIMISERS, Optimiser, OptimiserKind, OptimiserRow, Recipe, RmsProp, Sgd, descend, gradients,
};
pub use param::{Buffer, Param, Store};
pub use pca::{Pca, eigen, pca};
pub use schedule::{Rates, Schedule};
pub use sequential::{Layer, Sequential, parameter};
pub use spectral::{SpectralNorm, SpectralOptions, SpectralSide};
pub use task::{ROTATION, Task};
pub use tsne::{Tsne, TsneOptions, tsne, tsne_from};

use crate::tensor::Tensor;

/// How a network is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Batch statistics; moving averages and spectral norms advance.
    Train,
    /// Stored statistics; nothing advances.
    Eval,
    /// Batch statistics, which are added to the standing statistics; spectral norms stay.
    Standing,
    /// Batch statistics; nothing advances. A penalty looks at the discriminator so, at images that are neither real nor fake.
    Still,
}

/// What a forward pass carries besides the images.
#[derive(Clone, Copy)]
pub struct Pass<'a> {
    /// How the network is run.
    pub mode: Mode,
    /// What conditional norms see: `[n, k]`.
    pub condition: Option<&'a Tensor>,
    /// The latent, which self-modulated norms see: `[n, z]`.
    pub z: Option<&'a Tensor>,
}

impl Pass<'_> {
    /// An unconditional pass.
    pub fn plain(mode: Mode) -> Self {
        Self { mode, condition: None, z: None }
    }
}
