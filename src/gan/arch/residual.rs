//! Generators and discriminators made of residual blocks, after a plan that each architecture states.

use super::attention::Attention;
use super::block::{Block, Kind, Making, Scale};
use super::{Blueprint, DiscriminatorBody, GeneratorBody, Pool};
use crate::error::{Error, Result};
use crate::nn::{Conv, Linear, Norm, NormKind, NormOptions, Pass, Store};
use crate::tensor::{Activation, Tensor};

/// How the blocks of a generator come to see the latent and the label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// The latent makes the start, norms see the label; or a part of the latent each, if the blueprint says so.
    Apart,
    /// The start and every norm see the latent and the label as one.
    Joined,
}

/// How a generator ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Norm, ReLU, conv3x3, logistic function.
    Sigmoid,
    /// conv3x3, logistic function.
    BareSigmoid,
    /// A norm that is not conditional, ReLU, conv3x3, (tanh + 1) / 2.
    Tanh,
}

/// A generator of residual blocks.
pub(super) struct GeneratorPlan {
    pub(super) architecture: &'static str,
    pub(super) kind: Kind,
    /// Height, width and channels after the linear layer.
    pub(super) seed: (usize, usize),
    /// Channels after each block, and what it does to the size.
    pub(super) blocks: Vec<(usize, Scale)>,
    pub(super) sight: Sight,
    pub(super) end: End,
    /// Where attention is, cuts of the latent, and the length of the label's embedding, unless the blueprint says otherwise.
    pub(super) attention: Vec<usize>,
    pub(super) hierarchical_z: bool,
    pub(super) embed_y: usize,
    /// Whether the embeddings of the latent and the label are spectrally normalised where the network is.
    pub(super) spectral_embeddings: bool,
    /// Whether the first and the last layer are where Compare GAN leaves spectral norm out.
    pub(super) gaps: bool,
}

/// A generator of residual blocks, built.
pub(super) struct Generator {
    embed_z: Option<Linear>,
    embed_y: Option<Linear>,
    linear: Linear,
    blocks: Vec<(Block, Option<Attention>)>,
    norm: Option<Norm>,
    conv: Conv,
    seed: (usize, usize),
    end: End,
    joined: bool,
    classes: usize,
    /// Numbers of each part of the latent, if each block sees a part of its own.
    part: Option<usize>,
}

impl Generator {
    pub(super) fn new(plan: &GeneratorPlan, blueprint: &Blueprint, store: &Store) -> Result<Self> {
        let make = blueprint.make();
        let z = blueprint.z_dim;
        let joined = plan.sight == Sight::Joined;
        let part = part_of_z(plan, blueprint)?;
        let width = width_of_y(plan, blueprint)?;
        let embedding = if plan.spectral_embeddings { make } else { make.unnormalised() };
        let embedding = if blueprint.embed_bias { embedding } else { embedding.unbiased() };
        let embed_z = blueprint.embed_z.then(|| Linear::new(&store.sub("embed_z"), z, z, embedding)).transpose()?;
        let embed_y = match width {
            Some(width) => Some(Linear::new(&store.sub("embed_y"), blueprint.classes, width, embedding)?),
            None => None,
        };
        let y = width.unwrap_or(blueprint.classes);
        let (condition, seen_z) = match (joined, part) {
            (true, _) => (z + y, z + y),
            (false, Some(part)) => (part + y, part),
            (false, None) => (y, z),
        };
        let norms = blueprint.norms(condition, seen_z);
        let (side, channels) = plan.seed;
        let edge = if plan.gaps { blueprint.make_in_gap() } else { make };
        let start = if joined { z + y } else { part.unwrap_or(z) };
        let linear = Linear::new(&store.sub("linear"), start, side * side * channels, edge)?;
        let making = Making { blueprint, norms: &norms, kind: plan.kind, generator: true };
        let sizes = sizes(side, &plan.blocks);
        let first = |i: usize| !sizes[..i].contains(&sizes[i]);
        let attention = attention(plan.architecture, &plan.attention, blueprint, &sizes)?;
        let mut inputs = channels;
        let mut blocks = Vec::new();
        for (i, (outputs, scale)) in plan.blocks.iter().enumerate() {
            let at = store.sub(&format!("block{}", i + 1));
            let block = Block::new(&at, inputs, *outputs, *scale, &making)?;
            // The block that comes to a size attends; others of the same size follow it.
            let attends = attention.contains(&sizes[i]) && first(i);
            let attention = attends.then(|| Attention::new(&at.sub("attention"), *outputs, make)).transpose()?;
            blocks.push((block, attention));
            inputs = *outputs;
        }
        let last = match (plan.end, blueprint.norm) {
            (End::BareSigmoid, _) => None,
            (End::Tanh, NormKind::Conditional | NormKind::SelfModulated) => {
                Some(NormOptions { kind: NormKind::Batch, ..norms })
            }
            (End::Tanh, _) => Some(norms),
            (End::Sigmoid, _) => Some(blueprint.norms(y, z)),
        };
        Ok(Self {
            embed_z,
            embed_y,
            linear,
            blocks,
            norm: last.map(|options| Norm::new(&store.sub("norm"), inputs, &options)).transpose()?,
            conv: Conv::new(&store.sub("conv"), inputs, blueprint.colours, 3, 1, edge)?,
            seed: plan.seed,
            end: plan.end,
            joined,
            classes: blueprint.classes,
            part,
        })
    }

    /// What the network sees of the labels: themselves, or their embedding.
    fn seen_of(&self, labels: Option<&Tensor>, pass: &Pass<'_>) -> Result<Option<Tensor>> {
        match (labels, &self.embed_y) {
            (Some(labels), Some(embedding)) => embedding.forward(labels, pass.mode).map(Some),
            (labels, _) => Ok(labels.cloned()),
        }
    }
}

impl GeneratorBody for Generator {
    fn forward(&self, z: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        let mut z = match &self.embed_z {
            Some(embedding) => embedding.forward(z, pass.mode)?,
            None => z.clone(),
        };
        let labels = self.seen_of(pass.condition, pass)?;
        if self.joined && self.classes > 0 {
            let labels = labels.as_ref().ok_or_else(|| {
                Error::new("a conditional generator was run without labels")
                    .help("give the labels as the second argument")
            })?;
            z = Tensor::cat(&[&z, labels], 1)?;
        }
        let part = |i: usize| match self.part {
            Some(part) => z.narrow(1, i * part, part),
            None => Ok(z.clone()),
        };
        let (side, channels) = self.seed;
        let start = self.linear.forward(&part(0)?, pass.mode)?;
        let mut x = start.reshape(&[z.dims2()?[0], channels, side, side])?;
        for (i, (block, attention)) in self.blocks.iter().enumerate() {
            let seen = part(i + 1)?;
            let condition = match (self.part, &labels) {
                (Some(_), Some(labels)) => Some(Tensor::cat(&[&seen, labels], 1)?),
                (Some(_), None) => Some(seen.clone()),
                (None, _) if self.joined => Some(seen.clone()),
                (None, labels) => labels.clone(),
            };
            x = block.forward(&x, &Pass { mode: pass.mode, condition: condition.as_ref(), z: Some(&seen) })?;
            if let Some(attention) = attention {
                x = attention.forward(&x, pass.mode)?;
            }
        }
        if let Some(norm) = &self.norm {
            x =
                norm.forward(&x, &Pass { mode: pass.mode, condition: labels.as_ref(), z: Some(&z) }, Activation::Relu)?;
        }
        let x = self.conv.forward(&x, pass.mode)?;
        match self.end {
            End::Sigmoid | End::BareSigmoid => x.sigmoid(),
            End::Tanh => x.tanh()?.affine(0.5, 0.5),
        }
    }
}

/// The length of each part of a latent that is cut into one for the start and one for each block; nothing if it is not cut.
fn part_of_z(plan: &GeneratorPlan, blueprint: &Blueprint) -> Result<Option<usize>> {
    let sees = matches!(blueprint.norm, NormKind::Conditional | NormKind::SelfModulated);
    match blueprint.hierarchical_z {
        Some(false) => return Ok(None),
        None if !(plan.hierarchical_z && sees) => return Ok(None),
        Some(true) if !sees => {
            return Err(Error::new(format!(
                "`hierarchical_z` needs norms that look at it, and `{}` does not",
                blueprint.norm.name()
            ))
            .help("use `conditional_batch_norm` or `self_modulated_batch_norm`, or leave `hierarchical_z` out"));
        }
        _ => (),
    }
    let parts = plan.blocks.len() + 1;
    if blueprint.z_dim >= parts && blueprint.z_dim.is_multiple_of(parts) {
        return Ok(Some(blueprint.z_dim / parts));
    }
    let below = blueprint.z_dim / parts * parts;
    let near = if below == 0 { format!("{parts}") } else { format!("{below} or {}", below + parts) };
    Err(Error::new(format!(
        "the latent has {} numbers, and `{}` cuts it into {parts} equal parts at {size}x{size}: one for the start and one for \
         each block",
        blueprint.z_dim,
        plan.architecture,
        size = blueprint.size
    ))
    .help(format!("it must be a multiple of {parts}, such as {near}; or set `hierarchical_z: false`")))
}

/// The length of the label's embedding, if there is one.
fn width_of_y(plan: &GeneratorPlan, blueprint: &Blueprint) -> Result<Option<usize>> {
    let seen = plan.sight == Sight::Joined || blueprint.norm == NormKind::Conditional;
    match blueprint.embed_y {
        Some(0) => Ok(None),
        Some(_) if blueprint.classes == 0 => Err(Error::new("`embed_y` embeds labels, and the network has no classes")
            .help("give the network `classes`, or leave `embed_y` out")),
        Some(_) if !seen => {
            Err(Error::new(format!("`embed_y` needs norms that look at it, and `{}` does not", blueprint.norm.name()))
                .help("use `conditional_batch_norm`, or leave `embed_y` out"))
        }
        Some(width) => Ok(Some(width)),
        None => Ok((plan.embed_y > 0 && blueprint.classes > 0 && seen).then_some(plan.embed_y)),
    }
}

/// The height after each block.
fn sizes(seed: usize, blocks: &[(usize, Scale)]) -> Vec<usize> {
    let mut size = seed;
    let after = |scale: &Scale| {
        size = match scale {
            Scale::Up => size * 2,
            Scale::Down => size.div_ceil(2),
            Scale::Same => size,
        };
        size
    };
    blocks.iter().map(|(_, scale)| scale).map(after).collect()
}

/// The sizes that attention follows: those asked for, which must be among `sizes`, or those of the plan that are.
fn attention(architecture: &str, own: &[usize], blueprint: &Blueprint, sizes: &[usize]) -> Result<Vec<usize>> {
    let Some(asked) = &blueprint.attention else { return Ok(own.to_vec()) };
    match asked.iter().find(|size| !sizes.contains(size)) {
        None => Ok(asked.clone()),
        Some(size) => {
            let mut possible: Vec<usize> = sizes.to_vec();
            possible.dedup();
            let possible: Vec<String> = possible.iter().map(usize::to_string).collect();
            Err(Error::new(format!("no block of `{architecture}` gives {size}x{size} for attention to follow"))
                .help(format!("at {0}x{0} its blocks give {1}", blueprint.size, possible.join(", "))))
        }
    }
}

/// A discriminator of residual blocks.
pub(super) struct DiscriminatorPlan {
    pub(super) architecture: &'static str,
    pub(super) kind: Kind,
    /// Channels of a first convolution, if there is one, and whether Compare GAN leaves spectral norm out of it.
    pub(super) stem: Option<(usize, bool)>,
    /// Channels after each block, and what it does to the size.
    pub(super) blocks: Vec<(usize, Scale)>,
    /// Whether features are a ReLU and a pool, or all values of the last block.
    pub(super) pooled: bool,
    /// Where attention is unless the blueprint says otherwise.
    pub(super) attention: Vec<usize>,
}

/// A discriminator of residual blocks, built.
pub(super) struct Discriminator {
    stem: Option<Conv>,
    blocks: Vec<(Block, Option<Attention>)>,
    pool: Option<Pool>,
    dim: usize,
}

impl Discriminator {
    pub(super) fn new(plan: &DiscriminatorPlan, blueprint: &Blueprint, store: &Store) -> Result<Self> {
        let make = blueprint.make();
        let norms = blueprint.norms(blueprint.classes, 0);
        let making = Making { blueprint, norms: &norms, kind: plan.kind, generator: false };
        let sizes = sizes(blueprint.size, &plan.blocks);
        let last = |i: usize| sizes.get(i + 1) != Some(&sizes[i]);
        let attention = attention(plan.architecture, &plan.attention, blueprint, &sizes)?;
        let mut inputs = blueprint.colours;
        let stem = match plan.stem {
            Some((channels, gap)) => {
                let make = if gap { blueprint.make_in_gap() } else { make };
                let stem = Conv::new(&store.sub("stem"), inputs, channels, 3, 1, make)?;
                inputs = channels;
                Some(stem)
            }
            None => None,
        };
        let mut blocks = Vec::new();
        for (i, (outputs, scale)) in plan.blocks.iter().enumerate() {
            let at = store.sub(&format!("block{}", i + 1));
            let block = Block::new(&at, inputs, *outputs, *scale, &making)?;
            // The last block of a size attends.
            let attends = attention.contains(&sizes[i]) && last(i);
            let attention = attends.then(|| Attention::new(&at.sub("attention"), *outputs, make)).transpose()?;
            blocks.push((block, attention));
            inputs = *outputs;
        }
        let side = sizes.last().copied().unwrap_or(blueprint.size);
        let (pool, dim) = if plan.pooled { (Some(blueprint.pool), inputs) } else { (None, inputs * side * side) };
        Ok(Self { stem, blocks, pool, dim })
    }
}

impl DiscriminatorBody for Discriminator {
    fn features(&self, images: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        let mut x = match &self.stem {
            Some(stem) => stem.forward(images, pass.mode)?,
            None => images.clone(),
        };
        for (block, attention) in &self.blocks {
            x = block.forward(&x, pass)?;
            if let Some(attention) = attention {
                x = attention.forward(&x, pass.mode)?;
            }
        }
        match self.pool {
            Some(Pool::Mean) => x.relu()?.mean(&[2, 3]),
            Some(Pool::Sum) => x.relu()?.sum(&[2, 3]),
            None => x.flatten(1),
        }
    }

    fn dim(&self) -> usize {
        self.dim
    }
}

/// The side and the number of doublings, of at most `most`, that lead to `size` from a side of 4 to 7 pixels.
pub(super) fn doublings(size: usize, most: usize) -> Option<(usize, usize)> {
    (0..=most).map(|k| (size >> k, k)).find(|(side, k)| (4..8).contains(side) && side << k == size)
}
