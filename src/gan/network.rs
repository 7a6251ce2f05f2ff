//! A generator and a discriminator with their heads.

use crate::error::{Error, Result};
use crate::gan::arch::{ARCHITECTURES, Architecture, Blueprint, DiscriminatorBody, GeneratorBody};
use crate::nn::{Embedding, Init, Linear, Make, Mode, NormKind, Pass, ROTATION, Store};
use crate::table;
use crate::tensor::{Device, Tensor};

/// From latents and labels to images.
pub struct Generator {
    row: &'static Architecture,
    blueprint: Blueprint,
    store: Store,
    body: Box<dyn GeneratorBody>,
}

impl Generator {
    /// Built after `blueprint`, its first weights drawn from `seed`.
    ///
    /// # Errors
    /// An unknown architecture, or a blueprint it cannot follow.
    pub fn new(architecture: &str, blueprint: &Blueprint, seed: u64, device: &Device) -> Result<Self> {
        Self::within(Store::new(seed, device), architecture, blueprint)
    }

    /// Built in an empty `store`, which says whether first weights are drawn.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn within(store: Store, architecture: &str, blueprint: &Blueprint) -> Result<Self> {
        let row = table::find(ARCHITECTURES, architecture)?;
        let body = (row.generator)(blueprint, &store.sub("generator"))?;
        Ok(Self { row, blueprint: blueprint.clone(), store, body })
    }

    /// Its parameters and state.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What it was built from.
    pub fn blueprint(&self) -> &Blueprint {
        &self.blueprint
    }

    /// Which architecture it is.
    pub fn architecture(&self) -> &'static str {
        self.row.name
    }

    /// Whether it looks at labels.
    pub fn conditional(&self) -> bool {
        self.blueprint.classes > 0 && (self.blueprint.norm == NormKind::Conditional || self.row.name == "biggan_deep")
    }

    /// A copy with parameters of its own.
    pub fn copy(&self) -> Result<Self> {
        let copy = Self::within(Store::of_shapes(self.store.device()), self.row.name, &self.blueprint)?;
        copy.store.copy_from(&self.store)?;
        Ok(copy)
    }

    /// Images `[n, colours, size, size]` with values from 0 to 1, of latents `[n, z_dim]` and, for a conditional generator,
    /// rows of weights over the classes `[n, classes]` (one-hot, or soft).
    ///
    /// # Errors
    /// Shapes do not fit; labels are missing.
    pub fn forward(&self, z: &Tensor, labels: Option<&Tensor>, mode: Mode) -> Result<Tensor> {
        let [n, width] = z.dims2()?;
        if width != self.blueprint.z_dim {
            return Err(Error::new(format!("the latents are {:?}, expected [n, {}]", z.dims(), self.blueprint.z_dim)));
        }
        check_labels(labels, n, self.blueprint.classes)?;
        self.body.forward(z, &Pass { mode, condition: labels, z: Some(z) })
    }
}

fn check_labels(labels: Option<&Tensor>, n: usize, classes: usize) -> Result<()> {
    match labels {
        Some(labels) if labels.dims() != [n, classes] => Err(Error::new(format!(
            "the labels are {:?}, expected [{n}, {classes}]: a row of class weights for each image",
            labels.dims()
        ))),
        _ => Ok(()),
    }
}

/// Which heads a discriminator has besides real against fake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heads {
    /// The inner product with an embedding of the label (Miyato and Koyama 2018, arXiv:1802.05637).
    pub projection: bool,
    /// The four quarter turns.
    pub rotation: bool,
    /// The class, which labels images that have no label (Lucic et al. 2019, arXiv:1903.02271, section 3.2).
    pub predictor: bool,
}

/// From images and labels to logits.
pub struct Discriminator {
    row: &'static Architecture,
    blueprint: Blueprint,
    store: Store,
    body: Box<dyn DiscriminatorBody>,
    linear: Linear,
    projection: Option<Embedding>,
    rotation: Option<Linear>,
    predictor: Option<Linear>,
}

/// What a discriminator says of images.
pub struct Verdict {
    /// Features `[n, dim]`.
    pub features: Tensor,
    /// Larger for what looks real, `[n]`.
    pub logits: Tensor,
}

impl Discriminator {
    /// Built after `blueprint` with `heads`, its first weights drawn from `seed`.
    ///
    /// # Errors
    /// An unknown architecture, or a blueprint it cannot follow; a projection without classes.
    pub fn new(architecture: &str, blueprint: &Blueprint, heads: Heads, seed: u64, device: &Device) -> Result<Self> {
        Self::within(Store::new(seed, device), architecture, blueprint, heads)
    }

    /// Built in an empty `store`, which says whether first weights are drawn.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn within(store: Store, architecture: &str, blueprint: &Blueprint, heads: Heads) -> Result<Self> {
        let row = table::find(ARCHITECTURES, architecture)?;
        let at = store.sub("discriminator");
        let body = (row.discriminator)(blueprint, &at)?;
        let make = Make { init: blueprint.init, bias: true, spectral: blueprint.spectral };
        let linear = Linear::new(&at.sub("linear"), body.dim(), 1, make)?;
        if heads.predictor && blueprint.classes == 0 {
            return Err(Error::new("a predictor head needs classes")
                .help("give the discriminator `classes`, or leave the head out"));
        }
        let projection = match (heads.projection, blueprint.classes) {
            (false, _) => None,
            (true, 0) => {
                return Err(Error::new("a projection head needs classes")
                    .help("give the discriminator `classes`, or leave the head out"));
            }
            (true, classes) => {
                Some(Embedding::new(&at.sub("projection"), classes, body.dim(), Make { init: Init::Glorot, ..make })?)
            }
        };
        let rotation = if heads.rotation {
            Some(Linear::new(&at.sub("rotation"), body.dim(), ROTATION.answers, make)?)
        } else {
            None
        };
        let predictor = match heads.predictor {
            true => Some(Linear::new(&at.sub("predictor"), body.dim(), blueprint.classes, make)?),
            false => None,
        };
        Ok(Self { row, blueprint: blueprint.clone(), store, body, linear, projection, rotation, predictor })
    }

    /// Its parameters and state.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What it was built from.
    pub fn blueprint(&self) -> &Blueprint {
        &self.blueprint
    }

    /// Which architecture it is.
    pub fn architecture(&self) -> &'static str {
        self.row.name
    }

    /// Which heads it has.
    pub fn heads(&self) -> Heads {
        Heads {
            projection: self.projection.is_some(),
            rotation: self.rotation.is_some(),
            predictor: self.predictor.is_some(),
        }
    }

    /// A copy with parameters of its own.
    pub fn copy(&self) -> Result<Self> {
        let empty = Store::of_shapes(self.store.device());
        let copy = Self::within(empty, self.row.name, &self.blueprint, self.heads())?;
        copy.store.copy_from(&self.store)?;
        Ok(copy)
    }

    /// Features `[n, dim]` of images `[n, colours, size, size]` with values from 0 to 1.
    ///
    /// # Errors
    /// Shapes do not fit.
    pub fn features(&self, images: &Tensor, labels: Option<&Tensor>, mode: Mode) -> Result<Tensor> {
        let [n, c, h, w] = images.dims4()?;
        let (colours, size) = (self.blueprint.colours, self.blueprint.size);
        if [c, h, w] != [colours, size, size] {
            return Err(Error::new(format!(
                "the images are {:?}, the discriminator was built for [n, {colours}, {size}, {size}]",
                images.dims()
            )));
        }
        check_labels(labels, n, self.blueprint.classes)?;
        self.body.features(images, &Pass { mode, condition: labels, z: None })
    }

    /// Logits `[n]` of features, with rows of weights over the classes `[n, classes]` for a projection head:
    /// c(h) + <y E, h>.
    ///
    /// # Errors
    /// Labels are missing or do not fit.
    pub fn judge(&self, features: &Tensor, labels: Option<&Tensor>, mode: Mode) -> Result<Tensor> {
        let n = features.dims2()?[0];
        let plain = self.linear.forward(features, mode)?.reshape(&[n])?;
        let Some(projection) = &self.projection else { return Ok(plain) };
        let labels = labels.ok_or_else(|| {
            Error::new("this discriminator has a projection head and was run without labels")
                .help("give the labels as the second argument")
        })?;
        check_labels(Some(labels), n, self.blueprint.classes)?;
        plain.add(&projection.forward(labels, mode)?.mul(features)?.sum(&[1])?)
    }

    /// Logits `[n]` of images without labels: a projection head is left out.
    ///
    /// # Errors
    /// Shapes do not fit.
    pub fn plain_logits(&self, images: &Tensor, mode: Mode) -> Result<Tensor> {
        let features = self.features(images, None, mode)?;
        let n = features.dims2()?[0];
        self.linear.forward(&features, mode)?.reshape(&[n])
    }

    /// Logits of the four quarter turns `[n, 4]` of features.
    ///
    /// # Errors
    /// There is no such head.
    pub fn rotation(&self, features: &Tensor, mode: Mode) -> Result<Tensor> {
        let head = self.rotation.as_ref().ok_or_else(|| {
            Error::new("this discriminator has no rotation head").help("build it with `heads: [\"rotation\"]`")
        })?;
        head.forward(features, mode)
    }

    /// Logits of the classes `[n, classes]` of features.
    ///
    /// # Errors
    /// There is no such head.
    pub fn predict(&self, features: &Tensor, mode: Mode) -> Result<Tensor> {
        let head = self.predictor.as_ref().ok_or_else(|| {
            Error::new("this discriminator has no predictor head").help("build it with `heads: [\"predictor\"]`")
        })?;
        head.forward(features, mode)
    }

    /// Features and logits in one pass.
    ///
    /// # Errors
    /// As [`features`](Self::features) and [`judge`](Self::judge).
    pub fn forward(&self, images: &Tensor, labels: Option<&Tensor>, mode: Mode) -> Result<Verdict> {
        let features = self.features(images, labels, mode)?;
        let logits = self.judge(&features, labels, mode)?;
        Ok(Verdict { features, logits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedding_of_a_projection_begins_as_glorots() {
        let blueprint = Blueprint { classes: 10, size: 8, channels: 64, ..Blueprint::default() };
        let heads = Heads { projection: true, ..Heads::default() };
        let discriminator = Discriminator::new("sndcgan", &blueprint, heads, 1, &Device::Cpu).unwrap();
        let params = discriminator.store().params();
        let weight = params.iter().find(|param| param.name() == "discriminator.projection.weight").unwrap();
        assert_eq!(weight.dims(), [10, 64]);
        // Of variance 2 / (10 + 64); rows of an orthogonal matrix, as other weights begin here, have the length 1.
        let square = weight.value().square().unwrap().mean_all().unwrap().value().unwrap();
        assert!((square * 37.0 - 1.0).abs() < 0.2, "{square}");
    }
}
