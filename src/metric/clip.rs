//! CLIP's vision transformer, which learned from photographs and what was written beside them.
//!
//! Radford et al. 2021, arXiv:2103.00020. Its features see what a picture is of, and are what CMMD is taken on (Jayasumana et
//! al. 2024, arXiv:2401.09603). The network is that of `candle-transformers`. Its weights are no part of this program: a
//! person gives the file of any of its sizes under the names of Hugging Face's `transformers`.

use std::collections::HashMap;
use std::path::Path;

use candle_nn::{Module as _, VarBuilder};
use candle_transformers::models::clip::text_model::Activation;
use candle_transformers::models::clip::vision_model::{ClipVisionConfig, ClipVisionTransformer};
use sha2::{Digest, Sha256};

use super::extractor::{Extractor, Role, hexadecimal};
use super::resize::standardised;
use crate::data::Images;
use crate::error::{Error, Result, file};
use crate::tensor::{DType, Device, Tensor, Weights, weights_of};

/// Numbers that one head looks at, in all sizes of the network.
const HEAD: usize = 64;
/// What pixels are centred by and divided by.
const MEANS: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const DEVIATIONS: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

const HELP: &str = "it must be `model.safetensors` (or `pytorch_model.bin`) of a CLIP model of Hugging Face: \
                    `openai/clip-vit-base-patch32` or `openai/clip-vit-large-patch14-336`";

/// The network on one device: its image embeddings, projected to the space that it shares with words.
pub struct Clip {
    name: String,
    hash: String,
    preparation: String,
    device: Device,
    dim: usize,
    size: usize,
    network: ClipVisionTransformer,
    /// `[width, dim]`.
    projection: Tensor,
}

impl Clip {
    /// The network with the weights in `path`.
    ///
    /// # Errors
    /// The file cannot be read, or holds other weights.
    pub fn open(path: &Path, device: &Device) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| file(path, "read", error).help(HELP))?;
        let hash = hexadecimal(&Sha256::digest(&bytes));
        Self::new(&weights_of(path, &bytes)?, &hash, device)
            .map_err(|error| Error::new(format!("`{}` is not CLIP: {}", path.display(), error.message)).help(HELP))
    }

    /// The network with `weights`, whose file has this `hash`; as wide and as deep as they are.
    ///
    /// # Errors
    /// A weight is missing or of another shape.
    pub fn new(weights: &Weights, hash: &str, device: &Device) -> Result<Self> {
        const AT: &str = "vision_model.";
        let dims = |name: &str| -> Result<Vec<usize>> {
            let found = weights.get(name).ok_or_else(|| Error::new(format!("there is no `{name}`")))?;
            Ok(found.dims().to_vec())
        };
        let shape = |name: &str, dims: Vec<usize>, expected: &str| {
            Error::new(format!("`{name}` is {dims:?}, expected {expected}"))
        };
        // The library draws a class embedding at random where there is none.
        let class = format!("{AT}embeddings.class_embedding");
        let width = match dims(&class)?[..] {
            [width] if width > 0 && width.is_multiple_of(HEAD) => width,
            ref other => return Err(shape(&class, other.to_vec(), &format!("a multiple of {HEAD}"))),
        };
        let patches = format!("{AT}embeddings.patch_embedding.weight");
        let patch = match dims(&patches)?[..] {
            [out, 3, high, wide] if out == width && high == wide && high > 0 => high,
            ref other => return Err(shape(&patches, other.to_vec(), &format!("[{width}, 3, patch, patch]"))),
        };
        let positions = format!("{AT}embeddings.position_embedding.weight");
        let side = match dims(&positions)?[..] {
            [count, wide] if wide == width && count > 1 && (count - 1).isqrt().pow(2) == count - 1 => {
                (count - 1).isqrt()
            }
            ref other => return Err(shape(&positions, other.to_vec(), &format!("[1 + side x side, {width}]"))),
        };
        let intermediate = match dims(&format!("{AT}encoder.layers.0.mlp.fc1.weight"))?[..] {
            [intermediate, _] => intermediate,
            ref other => return Err(shape("mlp.fc1.weight", other.to_vec(), "[wide, width]")),
        };
        let layer = |i: usize| format!("{AT}encoder.layers.{i}.layer_norm1.weight");
        let layers = (0..).take_while(|i| weights.contains_key(&layer(*i))).count();
        let projection = "visual_projection.weight";
        let dim = match dims(projection)?[..] {
            [dim, wide] if wide == width => dim,
            ref other => return Err(shape(projection, other.to_vec(), &format!("[embedding, {width}]"))),
        };
        let size = side * patch;
        let config = ClipVisionConfig {
            embed_dim: width,
            activation: Activation::QuickGelu,
            intermediate_size: intermediate,
            num_hidden_layers: layers,
            num_attention_heads: width / HEAD,
            projection_dim: dim,
            num_channels: 3,
            image_size: size,
            patch_size: patch,
        };
        let of_vision = weights.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(AT)?, tensor)));
        let tensors: HashMap<String, _> =
            of_vision.map(|(name, tensor)| (name.to_string(), tensor.raw().clone())).collect();
        let network = ClipVisionTransformer::new(VarBuilder::from_tensors(tensors, DType::F32, device), &config)?;
        let projection = weights.get(projection).ok_or_else(|| Error::bug("a projection that was there"))?;
        let kind = match (width, layers) {
            (768, 12) => format!("ViT-B/{patch}"),
            (1024, 24) => format!("ViT-L/{patch}"),
            (width, layers) => format!("{layers} layers of {width}, patches of {patch}"),
        };
        let file: String = hash.chars().take(16).collect();
        let preparation =
            format!("bicubic (Pillow) to {size}x{size}, grey to colour, CLIP's means and deviations; file {file}");
        let hash = Sha256::new().chain_update(&preparation).chain_update(hash).finalize();
        Ok(Self {
            name: format!("CLIP {kind}"),
            hash: hexadecimal(&hash),
            preparation,
            device: device.clone(),
            dim,
            size,
            network,
            projection: projection.t()?.to_device(device)?,
        })
    }

    /// Images as the network sees them: `[n, 3, size, size]`.
    ///
    /// # Errors
    /// They do not fit into memory.
    pub fn prepare(&self, images: &Images) -> Result<Tensor> {
        let pixels = standardised(images, self.size, MEANS, DEVIATIONS);
        Tensor::from_vec(pixels, &[images.n(), 3, self.size, self.size], &self.device)
    }

    /// The embeddings `[n, dim]` of prepared images.
    ///
    /// # Errors
    /// The images are of another size.
    pub fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let pooled = Tensor::from_raw(self.network.forward(images.raw())?);
        pooled.matmul(&self.projection)
    }
}

impl Extractor for Clip {
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
    fn role(&self) -> Role {
        Role::Clip
    }
    fn batch(&self) -> usize {
        16
    }
    fn extract(&self, images: &Images) -> Result<(Tensor, Option<Tensor>)> {
        Ok((self.forward(&self.prepare(images)?)?, None))
    }
}
