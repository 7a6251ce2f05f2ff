//! DINOv2: a vision transformer that learned from photographs without labels, whose distances follow people's judgement
//! better than the Inception network's.
//!
//! Oquab et al. 2023, arXiv:2304.07193; as an extractor for the Fréchet distance Stein et al. 2023, arXiv:2306.04675, who
//! take the large one. Its weights are no part of this program: a person gives the file of the small, base or large network
//! under the names of the original.

use std::path::Path;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::extractor::{Extractor, hexadecimal};
use super::resize::standardised;
use crate::data::Images;
use crate::error::{Error, Result, file};
use crate::tensor::{Device, Padding, Tensor, Weights, weights_of};

/// Pixels on a side of what the network sees, and of a patch.
const SIZE: usize = 224;
const PATCH: usize = 14;
/// Patches on a side.
const SIDE: usize = SIZE / PATCH;
/// Numbers that one head looks at, in all sizes of the network.
const HEAD: usize = 64;
const EPSILON: f64 = 1e-6;
/// What ImageNet's pixels are centred by and divided by.
const MEANS: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATIONS: [f32; 3] = [0.229, 0.224, 0.225];

const HELP: &str = "it must be the state dictionary of DINOv2's backbone: `dinov2_vits14_pretrain.pth`, `dinov2_vitb14_pretrain.pth` or \
                    `dinov2_vitl14_pretrain.pth` from github.com/facebookresearch/dinov2";

/// The network on one device: the features of its class token.
pub struct DinoV2 {
    name: String,
    hash: String,
    preparation: String,
    device: Device,
    dim: usize,
    patches: Linear,
    /// The class token and the positions of all tokens, added already: `[1, 1 + patches, dim]`.
    start: Tensor,
    blocks: Vec<Block>,
    norm: Norm,
}

struct Linear {
    /// `[inputs, outputs]`, but `[outputs, 3, 14, 14]` for patches.
    weight: Tensor,
    bias: Tensor,
}

struct Norm {
    gain: Tensor,
    shift: Tensor,
}

struct Block {
    norms: [Norm; 2],
    /// Queries, keys and values; what becomes of them; and the two layers after that.
    queries: Linear,
    out: Linear,
    wide: Linear,
    narrow: Linear,
    scales: [Tensor; 2],
}

impl DinoV2 {
    /// The network with the weights in `path`.
    ///
    /// # Errors
    /// The file cannot be read, or holds other weights.
    pub fn open(path: &Path, device: &Device) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| file(path, "read", error).help(HELP))?;
        let hash = hexadecimal(&Sha256::digest(&bytes));
        Self::new(&weights_of(path, &bytes)?, &hash, device).map_err(|error| match error.help {
            Some(_) => error,
            None => Error::new(format!("`{}` is not DINOv2: {}", path.display(), error.message)).help(HELP),
        })
    }

    /// The network with `weights`, whose file has this `hash`; as wide and as deep as they are.
    ///
    /// # Errors
    /// A weight is missing or of another shape.
    pub fn new(weights: &Weights, hash: &str, device: &Device) -> Result<Self> {
        let find = |name: &str, shape: &[usize]| -> Result<Tensor> {
            let tensor = weights.get(name).ok_or_else(|| Error::new(format!("there is no `{name}`")))?;
            if tensor.dims() != shape {
                return Err(Error::new(format!("`{name}` is {:?}, expected {shape:?}", tensor.dims())));
            }
            tensor.to_device(device)
        };
        let dim = weights.get("cls_token").and_then(|token| token.dims().last().copied()).unwrap_or(0);
        if dim == 0 || !dim.is_multiple_of(HEAD) {
            return Err(Error::new(format!("`cls_token` has {dim} numbers, expected a multiple of {HEAD}")));
        }
        let linear = |name: &str, inputs: usize, outputs: usize| -> Result<Linear> {
            let weight = find(&format!("{name}.weight"), &[outputs, inputs])?.t()?;
            Ok(Linear { weight: weight.reshape(&[inputs, outputs])?, bias: find(&format!("{name}.bias"), &[outputs])? })
        };
        let norm = |name: &str| -> Result<Norm> {
            Ok(Norm { gain: find(&format!("{name}.weight"), &[dim])?, shift: find(&format!("{name}.bias"), &[dim])? })
        };
        let mut blocks = Vec::new();
        while weights.contains_key(&format!("blocks.{}.norm1.weight", blocks.len())) {
            let at = format!("blocks.{}", blocks.len());
            blocks.push(Block {
                norms: [norm(&format!("{at}.norm1"))?, norm(&format!("{at}.norm2"))?],
                queries: linear(&format!("{at}.attn.qkv"), dim, 3 * dim)?,
                out: linear(&format!("{at}.attn.proj"), dim, dim)?,
                wide: linear(&format!("{at}.mlp.fc1"), dim, 4 * dim)?,
                narrow: linear(&format!("{at}.mlp.fc2"), 4 * dim, dim)?,
                scales: [find(&format!("{at}.ls1.gamma"), &[dim])?, find(&format!("{at}.ls2.gamma"), &[dim])?],
            });
        }
        if blocks.is_empty() {
            return Err(Error::new("there is no `blocks.0.norm1.weight`"));
        }
        let positions = weights.get("pos_embed").ok_or_else(|| Error::new("there is no `pos_embed`"))?;
        let start = start(&find("cls_token", &[1, 1, dim])?.to_f32s()?, positions, dim)?;
        let size = match (dim, blocks.len()) {
            (384, 12) => "ViT-S/14".to_string(),
            (768, 12) => "ViT-B/14".into(),
            (1024, 24) => "ViT-L/14".into(),
            (dim, depth) => format!("{depth} blocks of {dim}"),
        };
        let file: String = hash.chars().take(16).collect();
        let preparation =
            format!("bicubic (Pillow) to {SIZE}x{SIZE}, grey to colour, ImageNet's means and deviations; file {file}");
        let hash = Sha256::new().chain_update(&preparation).chain_update(hash).finalize();
        Ok(Self {
            name: format!("DINOv2 {size}"),
            hash: hexadecimal(&hash),
            preparation,
            device: device.clone(),
            dim,
            patches: Linear {
                weight: find("patch_embed.proj.weight", &[dim, 3, PATCH, PATCH])?,
                bias: find("patch_embed.proj.bias", &[dim])?,
            },
            start: start.to_device(device)?,
            blocks,
            norm: norm("norm")?,
        })
    }

    /// Images as the network sees them: `[n, 3, 224, 224]`.
    ///
    /// # Errors
    /// They do not fit into memory.
    pub fn prepare(&self, images: &Images) -> Result<Tensor> {
        let pixels = standardised(images, SIZE, MEANS, DEVIATIONS);
        Tensor::from_vec(pixels, &[images.n(), 3, SIZE, SIZE], &self.device)
    }

    /// The class token `[n, dim]` of prepared images, after the last norm.
    ///
    /// # Errors
    /// The images are of another size.
    pub fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let n = images.dims4()?[0];
        let (tokens, dim) = (1 + SIDE * SIDE, self.dim);
        let patches = images.conv2d(&self.patches.weight, Some(&self.patches.bias), PATCH, Padding::Pixels(0))?;
        let patches = patches.flatten(2)?.permute(&[0, 2, 1])?;
        // The class token comes first; its place among the patches is empty until its start is added.
        let mut x = patches.pad(1, 1, 0)?.add(&self.start)?.reshape(&[n * tokens, dim])?;
        for block in &self.blocks {
            x = x.add(&block.attend(&x, n, tokens, dim)?.mul(&block.scales[0])?)?;
            let wide = gelu(&block.wide.forward(&block.norms[1].forward(&x)?)?)?;
            x = x.add(&block.narrow.forward(&wide)?.mul(&block.scales[1])?)?;
        }
        self.norm.forward(&x.reshape(&[n, tokens, dim])?.narrow(1, 0, 1)?.reshape(&[n, dim])?)
    }
}

impl Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.matmul(&self.weight)?.add(&self.bias)
    }
}

impl Norm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.layer_norm(&self.gain, &self.shift, EPSILON)
    }
}

impl Block {
    fn attend(&self, x: &Tensor, n: usize, tokens: usize, dim: usize) -> Result<Tensor> {
        let heads = dim / HEAD;
        let all = self.queries.forward(&self.norms[0].forward(x)?)?;
        // [n, tokens, 3, heads, 64] to three of [n, heads, tokens, 64].
        let all = all.reshape(&[n, tokens, 3, heads, HEAD])?.permute(&[2, 0, 3, 1, 4])?;
        let part = |i: usize| all.narrow(0, i, 1)?.reshape(&[n, heads, tokens, HEAD]);
        let (queries, keys, values) = (part(0)?, part(1)?, part(2)?);
        let keys = keys.permute(&[0, 1, 3, 2])?.reshape(&[n, heads, HEAD, tokens])?;
        let attention = queries.mul_scalar((HEAD as f64).powf(-0.5))?.matmul(&keys)?.softmax()?;
        let seen = attention.matmul(&values)?.permute(&[0, 2, 1, 3])?.reshape(&[n * tokens, dim])?;
        self.out.forward(&seen)
    }
}

/// x times the share of a normal distribution below x.
fn gelu(x: &Tensor) -> Result<Tensor> {
    let mut values = x.to_f32s()?;
    values.par_chunks_mut(4096).for_each(|values| {
        for x in values {
            let wide = f64::from(*x);
            *x = (0.5 * wide * (1. + libm::erf(wide * std::f64::consts::FRAC_1_SQRT_2))) as f32;
        }
    });
    Tensor::from_vec(values, x.dims(), x.device())
}

/// The class token with its position, and the positions of the patches at this size: the original's, which has them for
/// larger images, shrinks them by a cubic rule with its own offset of a tenth of a patch.
fn start(class: &[f32], positions: &Tensor, dim: usize) -> Result<Tensor> {
    let [_, count, wide] = positions.dims()[..] else {
        return Err(Error::new(format!("`pos_embed` is {:?}, expected [1, positions, {dim}]", positions.dims())));
    };
    let side = (count.saturating_sub(1) as f64).sqrt().round() as usize;
    if wide != dim || side == 0 || side * side + 1 != count {
        return Err(Error::new(format!("`pos_embed` is {:?}, expected [1, 1 + a square, {dim}]", positions.dims())));
    }
    let all = positions.to_f32s()?;
    let mut out: Vec<f32> = all[..dim].iter().zip(class).map(|(position, class)| position + class).collect();
    let grid = &all[dim..];
    if side == SIDE {
        out.extend(grid);
        return Tensor::from_vec(out, &[1, 1 + SIDE * SIDE, dim], positions.device());
    }
    let taps: Vec<[(usize, f64); 4]> = (0..SIDE).map(|i| cubic_taps(i, side)).collect();
    for down in &taps {
        for across in &taps {
            let mut token = vec![0f64; dim];
            for (y, a) in down {
                for (x, b) in across {
                    let from = &grid[(y * side + x) * dim..][..dim];
                    token.iter_mut().zip(from).for_each(|(sum, value)| *sum += a * b * f64::from(*value));
                }
            }
            out.extend(token.into_iter().map(|x| x as f32));
        }
    }
    Tensor::from_vec(out, &[1, 1 + SIDE * SIDE, dim], positions.device())
}

/// The four places and weights of PyTorch's bicubic rule without smoothing.
fn cubic_taps(i: usize, side: usize) -> [(usize, f64); 4] {
    const A: f64 = -0.75;
    let scale = side as f64 / (SIDE as f64 + 0.1);
    let at = (i as f64 + 0.5) * scale - 0.5;
    let weight = |far: f64| match far.abs() {
        x if x <= 1. => ((A + 2.) * x - (A + 3.)) * x * x + 1.,
        x => ((A * x - 5. * A) * x + 8. * A) * x - 4. * A,
    };
    std::array::from_fn(|k| {
        let place = at.floor() + k as f64 - 1.;
        (place.clamp(0., side as f64 - 1.) as usize, weight(at - place))
    })
}

impl Extractor for DinoV2 {
    fn name(&self) -> &str {
        &self.name
    }
    fn hash(&self) -> &str {
        &self.hash
    }
    fn preparation(&self) -> &str {
        &self.preparation
    }
    fn dim(&self) -> usize {
        self.dim
    }
    fn classes(&self) -> Option<usize> {
        None
    }
    fn batch(&self) -> usize {
        16
    }
    fn extract(&self, images: &Images) -> Result<(Tensor, Option<Tensor>)> {
        Ok((self.forward(&self.prepare(images)?)?, None))
    }
}
