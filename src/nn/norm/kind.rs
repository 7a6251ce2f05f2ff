//! The table of norms.

use crate::options::{Setting, Value};
use crate::table::Row;

/// Which norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// Nothing is normalised.
    None,
    /// Batch norm with one gamma and beta for each channel.
    Batch,
    /// Batch norm whose gamma and beta are linear in the condition.
    Conditional,
    /// Batch norm whose gamma and beta are a small network of the latent.
    SelfModulated,
    /// Each item over all its values.
    Layer,
    /// Each channel of each item.
    Instance,
    /// Each group of channels of each item.
    Group,
}

/// A row of [`NORMS`].
pub struct NormRow {
    name: &'static str,
    doc: &'static str,
    kind: NormKind,
}

impl Row for NormRow {
    const KIND: &'static str = "norm";
    fn name(&self) -> &'static str {
        self.name
    }
    fn doc(&self) -> &'static str {
        self.doc
    }
}

/// Every norm a network may be built with.
pub const NORMS: &[NormRow] = &[
    NormRow { name: "none", doc: "Leaves values as they are.", kind: NormKind::None },
    NormRow {
        name: "batch_norm",
        doc: "Normalises each channel over the batch.\n\n\
              gamma (x - mean) / sqrt(var + `norm_epsilon`) + beta. Evaluation uses moving averages (`norm_decay`) or, before \
              sampling, standing statistics (`standing_batches`).   Ioffe & Szegedy 2015, arXiv:1502.03167.",
        kind: NormKind::Batch,
    },
    NormRow {
        name: "conditional_batch_norm",
        doc: "Batch norm whose gamma and beta depend on the condition, such as the class.\n\n\
              gamma = 1 + y W_gamma, beta = y W_beta; with `norm_bias`, each has a bias.   de Vries et al. 2017, \
              arXiv:1707.00683. Compare GAN leaves out the 1, as does `compat: [\"gain_without_one\"]`.",
        kind: NormKind::Conditional,
    },
    NormRow {
        name: "self_modulated_batch_norm",
        doc: "Batch norm whose gamma and beta depend on the latent.\n\n\
              h = relu(z W + b) of `norm_hidden` units, z itself if that is 0; gamma = 1 + h W_gamma + b_gamma, \
              beta = h W_beta + b_beta.   Chen et al. 2018, arXiv:1810.01365.",
        kind: NormKind::SelfModulated,
    },
    NormRow {
        name: "layer_norm",
        doc: "Normalises each item over all its values.\n\nBa et al. 2016, arXiv:1607.06450.",
        kind: NormKind::Layer,
    },
    NormRow {
        name: "instance_norm",
        doc: "Normalises each channel of each item over its pixels.\n\nUlyanov et al. 2016, arXiv:1607.08022.",
        kind: NormKind::Instance,
    },
    NormRow {
        name: "group_norm",
        doc: "Normalises each group of channels of each item.\n\n\
              `norm_groups` groups, or one a channel where there are fewer channels.   Wu & He 2018, arXiv:1803.08494.",
        kind: NormKind::Group,
    },
];

impl NormKind {
    /// What a script calls it.
    pub fn name(self) -> &'static str {
        NORMS.iter().find(|row| row.kind == self).map_or("none", |row| row.name)
    }

    /// Whether it normalises over the batch, and so has statistics to keep.
    pub fn over_batch(self) -> bool {
        matches!(self, NormKind::Batch | NormKind::Conditional | NormKind::SelfModulated)
    }
}

impl Setting for NormKind {
    const EXPECTED: &'static str = "`none`, `batch_norm`, `conditional_batch_norm`, `self_modulated_batch_norm`, \
                                    `layer_norm`, `instance_norm` or `group_norm`";
    fn from_value(value: Value) -> std::result::Result<Self, Value> {
        match &value {
            Value::Text(name) => NORMS.iter().find(|row| row.name == name).map(|row| row.kind).ok_or(value),
            _ => Err(value),
        }
    }
    fn to_value(&self) -> Value {
        Value::Text(self.name().into())
    }
}
