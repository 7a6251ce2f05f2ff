//! From the options of a training to what its networks are built from.

use crate::data::Shape;
use crate::error::Result;
use crate::gan::TrainOptions;
use crate::gan::arch::{ARCHITECTURES, Blueprint, check_followed};
use crate::nn::SpectralOptions;
use crate::table;

impl TrainOptions {
    /// What the generator and the discriminator are built from, for images of `shape` and so many classes.
    ///
    /// # Errors
    /// An option that neither architecture follows, an unknown architecture, an initialiser without a deviation.
    pub(super) fn blueprints(&self, shape: Shape, classes: usize) -> Result<(Blueprint, Blueprint)> {
        let spectral = SpectralOptions {
            side: self.spectral_side,
            iterations: self.spectral_iterations,
            epsilon: self.spectral_epsilon,
            always: self.compat.spectral_always,
        };
        let both = Blueprint {
            colours: shape.channels,
            size: shape.height,
            classes,
            z_dim: self.z_dim,
            norm_decay: self.norm_decay,
            norm_epsilon: self.norm_epsilon,
            norm_groups: self.norm_groups,
            norm_hidden: self.norm_hidden,
            norm_bias: self.norm_bias,
            init: self.init.with_stddev(self.init_stddev)?,
            upsample: self.upsample,
            shortcut_kernel: self.shortcut_kernel,
            pool: self.pool,
            compat: self.compat,
            ..Blueprint::default()
        };
        both.check(spectral)?;
        let generator = Blueprint {
            channels: self.g_channels,
            norm: self.g_norm,
            layer_norm: self.g_layer_norm,
            spectral: self.g_spectral_norm.then_some(spectral),
            attention: self.g_attention.clone(),
            hierarchical_z: self.hierarchical_z,
            embed_y: self.embed_y,
            embed_z: self.embed_z,
            embed_bias: self.embed_bias,
            ..both.clone()
        };
        let discriminator = Blueprint {
            channels: self.d_channels,
            norm: self.d_norm,
            layer_norm: self.d_layer_norm,
            spectral: self.d_spectral_norm.then_some(spectral),
            attention: self.d_attention.clone(),
            ..both
        };
        let (g, d) = (table::find(ARCHITECTURES, &self.generator)?, table::find(ARCHITECTURES, &self.discriminator)?);
        check_followed(&[
            (&generator, g.generator_follows, g, "g_"),
            (&discriminator, d.discriminator_follows, d, "d_"),
        ])?;
        Ok((generator, discriminator))
    }
}
