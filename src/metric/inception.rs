//! The Inception network of the published scores: InceptionV3 as TensorFlow's graph of 5 December 2015 has it.
//!
//! Szegedy et al. 2016, arXiv:1512.00567. Its weights are no part of this program: a person gives the file. Three things
//! set it apart from the network of that name in torchvision, and every published FID depends on them: averages over
//! windows leave padding out, the pool of the last block takes the largest value, and there are 1008 classes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::cache::Cache;
use super::extractor::{Extractor, Role, hexadecimal};
use crate::data::Images;
use crate::error::{Error, Result, file};
use crate::tensor::{Device, Padding, Sampling, Tensor, Weights, Window, weights_of};

/// Pixels on a side of what the network sees.
const SIZE: usize = 299;

/// What the graph adds to a variance before its root.
const EPSILON: f64 = 1e-3;

/// The names under which the weights are known, in the order in which they are looked for.
const FILES: [&str; 3] = [
    "weights-inception-2015-12-05-6726825d.pth",
    "pt_inception-2015-12-05-6726825d.pth",
    "inception-2015-12-05.safetensors",
];

/// Where the file comes from.
const HELP: &str = "it needs `weights-inception-2015-12-05-6726825d.pth` (96 MB) from the releases of \
                    github.com/toshas/torch-fidelity, or pytorch-fid's file of the same hash: give it with \
                    `inception: \"file\"`, or put it into the folder";

/// The network on one device: 2048 features, and 1008 logits where the file has them.
pub struct Inception {
    hash: String,
    preparation: String,
    device: Device,
    convolutions: HashMap<String, Convolution>,
    classifier: Option<Classifier>,
    biased: bool,
}

struct Convolution {
    weight: Tensor,
    bias: Tensor,
}

struct Classifier {
    /// `[2048, 1008]`.
    weight: Tensor,
    bias: Tensor,
}

impl Inception {
    /// The network with the weights in `path`, under the names of torch-fidelity or of pytorch-fid. With `biased` its
    /// logits contain the classifier's bias, which published Inception scores leave out.
    ///
    /// # Errors
    /// The file cannot be read, or holds other weights.
    pub fn open(path: &Path, biased: bool, device: &Device) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| file(path, "read", error).help(HELP))?;
        let hash = hexadecimal(&Sha256::digest(&bytes));
        let weights = weights_of(path, &bytes)?;
        Self::new(&weights, &hash, biased, device).map_err(|error| match error.help {
            Some(_) => error,
            None => Error::new(format!("`{}` is not the Inception network of 2015: {}", path.display(), error.message))
                .help(HELP),
        })
    }

    /// The file in the place where it is looked for, `weights` in the cache folder.
    ///
    /// # Errors
    /// It is not there; the message says where it comes from.
    pub fn find(cache: &Cache) -> Result<PathBuf> {
        let Some(folder) = cache.weights() else {
            return Err(
                Error::new("the weights of the Inception network are in no place to look for: no cache").help(HELP)
            );
        };
        let found = FILES.iter().map(|name| folder.join(name)).find(|path| path.exists());
        found.ok_or_else(|| {
            Error::new(format!("the weights of the Inception network are not in `{}`", folder.display())).help(HELP)
        })
    }

    /// The network with `weights`, whose file has this `hash`.
    ///
    /// # Errors
    /// A weight is missing or of another shape.
    pub fn new(weights: &Weights, hash: &str, biased: bool, device: &Device) -> Result<Self> {
        let find = |name: &str, shape: &[usize]| -> Result<&Tensor> {
            let found = weights.get(name).or_else(|| weights.get(&pytorch_fid(name)));
            let tensor = found.ok_or_else(|| Error::new(format!("there is no `{name}`")))?;
            if tensor.dims() != shape {
                return Err(Error::new(format!("`{name}` is {:?}, expected {shape:?}", tensor.dims())));
            }
            Ok(tensor)
        };
        let mut convolutions = HashMap::new();
        for (name, shape) in Self::shapes() {
            let norm = |part: &str| find(&format!("{name}.bn.{part}"), &shape[..1])?.to_f64s();
            let (gain, shift, mean, variance) =
                (norm("weight")?, norm("bias")?, norm("running_mean")?, norm("running_var")?);
            // The norm is a factor and a shift for each channel, so it goes into the convolution.
            let factor: Vec<f64> = gain.iter().zip(&variance).map(|(g, v)| g / (v + EPSILON).sqrt()).collect();
            let weight = find(&format!("{name}.conv.weight"), &shape)?.to_f32s()?;
            let inputs = weight.len() / shape[0];
            let weight = weight.iter().enumerate().map(|(i, w)| (f64::from(*w) * factor[i / inputs]) as f32).collect();
            let bias = shift.iter().zip(&mean).zip(&factor).map(|((b, m), f)| (b - m * f) as f32).collect();
            let convolution = Convolution {
                weight: Tensor::from_vec(weight, &shape, device)?,
                bias: Tensor::from_vec(bias, &shape[..1], device)?,
            };
            convolutions.insert(name, convolution);
        }
        // A file that pytorch-fid's own network wrote ends at the features.
        let classifier = if weights.contains_key("fc.weight") {
            let weight = find("fc.weight", &[1008, 2048])?.t()?.to_device(device)?;
            Some(Classifier { weight, bias: find("fc.bias", &[1008])?.to_device(device)? })
        } else {
            None
        };
        let preparation = format!(
            "bilinear (TensorFlow 1) to {SIZE}x{SIZE}, grey to colour, (x - 128) / 128; file {}{}",
            hash.chars().take(16).collect::<String>(),
            if biased { "; logits with bias" } else { "" }
        );
        let hash = Sha256::new().chain_update(&preparation).chain_update(hash).finalize();
        Ok(Self { hash: hexadecimal(&hash), preparation, device: device.clone(), convolutions, classifier, biased })
    }

    /// Every convolution by the name that its weights have in files, and the shape of its weight.
    pub fn shapes() -> Vec<(String, [usize; 4])> {
        let mut all: Vec<(String, [usize; 4])> = [
            ("Conv2d_1a_3x3", [32, 3, 3, 3]),
            ("Conv2d_2a_3x3", [32, 32, 3, 3]),
            ("Conv2d_2b_3x3", [64, 32, 3, 3]),
            ("Conv2d_3b_1x1", [80, 64, 1, 1]),
            ("Conv2d_4a_3x3", [192, 80, 3, 3]),
        ]
        .map(|(name, shape)| (name.to_string(), shape))
        .into();
        let mut block = |block: &str, branches: &[(&str, [usize; 4])]| {
            all.extend(branches.iter().map(|(branch, shape)| (format!("{block}.branch{branch}"), *shape)));
        };
        for (name, n, pool) in [("Mixed_5b", 192, 32), ("Mixed_5c", 256, 64), ("Mixed_5d", 288, 64)] {
            block(
                name,
                &[
                    ("1x1", [64, n, 1, 1]),
                    ("5x5_1", [48, n, 1, 1]),
                    ("5x5_2", [64, 48, 5, 5]),
                    ("3x3dbl_1", [64, n, 1, 1]),
                    ("3x3dbl_2", [96, 64, 3, 3]),
                    ("3x3dbl_3", [96, 96, 3, 3]),
                    ("_pool", [pool, n, 1, 1]),
                ],
            );
        }
        block(
            "Mixed_6a",
            &[
                ("3x3", [384, 288, 3, 3]),
                ("3x3dbl_1", [64, 288, 1, 1]),
                ("3x3dbl_2", [96, 64, 3, 3]),
                ("3x3dbl_3", [96, 96, 3, 3]),
            ],
        );
        for (name, c) in [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)] {
            block(
                name,
                &[
                    ("1x1", [192, 768, 1, 1]),
                    ("7x7_1", [c, 768, 1, 1]),
                    ("7x7_2", [c, c, 1, 7]),
                    ("7x7_3", [192, c, 7, 1]),
                    ("7x7dbl_1", [c, 768, 1, 1]),
                    ("7x7dbl_2", [c, c, 7, 1]),
                    ("7x7dbl_3", [c, c, 1, 7]),
                    ("7x7dbl_4", [c, c, 7, 1]),
                    ("7x7dbl_5", [192, c, 1, 7]),
                    ("_pool", [192, 768, 1, 1]),
                ],
            );
        }
        block(
            "Mixed_7a",
            &[
                ("3x3_1", [192, 768, 1, 1]),
                ("3x3_2", [320, 192, 3, 3]),
                ("7x7x3_1", [192, 768, 1, 1]),
                ("7x7x3_2", [192, 192, 1, 7]),
                ("7x7x3_3", [192, 192, 7, 1]),
                ("7x7x3_4", [192, 192, 3, 3]),
            ],
        );
        for (name, n) in [("Mixed_7b", 1280), ("Mixed_7c", 2048)] {
            block(
                name,
                &[
                    ("1x1", [320, n, 1, 1]),
                    ("3x3_1", [384, n, 1, 1]),
                    ("3x3_2a", [384, 384, 1, 3]),
                    ("3x3_2b", [384, 384, 3, 1]),
                    ("3x3dbl_1", [448, n, 1, 1]),
                    ("3x3dbl_2", [384, 448, 3, 3]),
                    ("3x3dbl_3a", [384, 384, 1, 3]),
                    ("3x3dbl_3b", [384, 384, 3, 1]),
                    ("_pool", [192, n, 1, 1]),
                ],
            );
        }
        all
    }

    /// Images as the network sees them: `[n, 3, 299, 299]` from -1 to 1.
    ///
    /// # Errors
    /// They do not fit into memory.
    pub fn prepare(&self, images: &Images) -> Result<Tensor> {
        let [n, channels, height, width] = images.dims();
        let values = images.pixels().iter().map(|pixel| f32::from(*pixel)).collect();
        self.prepare_values(&Tensor::from_vec(values, &[n, channels, height, width], &self.device)?)
    }

    /// As [`prepare`](Self::prepare), of pixels `[n, channels, height, width]` from 0 to 255.
    fn prepare_values(&self, pixels: &Tensor) -> Result<Tensor> {
        let x = pixels.resize_bilinear(SIZE, SIZE, Sampling::Tf1)?.affine(1. / 128., -1.)?;
        if x.dims4()?[1] == 3 { Ok(x) } else { Tensor::cat(&[&x, &x, &x], 1) }
    }

    /// Features and logits of prepared images.
    fn see(&self, prepared: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        let features = self.forward(prepared, &mut |_, _| Ok(()))?;
        let logits = self.logits(&features)?;
        Ok((features, logits))
    }

    /// Features `[n, 2048]` of prepared images; `watch` is shown what each part of the network gives.
    ///
    /// # Errors
    /// `watch` gave one.
    pub fn forward(&self, x: &Tensor, watch: &mut dyn FnMut(&str, &Tensor) -> Result<()>) -> Result<Tensor> {
        let mut shown = |name: &str, x: Tensor| -> Result<Tensor> {
            watch(name, &x)?;
            Ok(x)
        };
        let mut x = shown("Conv2d_1a_3x3", self.apply("Conv2d_1a_3x3", x, 2, false)?)?;
        x = shown("Conv2d_2a_3x3", self.apply("Conv2d_2a_3x3", &x, 1, false)?)?;
        x = shown("Conv2d_2b_3x3", self.apply("Conv2d_2b_3x3", &x, 1, true)?)?;
        x = shown("MaxPool_1", x.max_pool2d(shrinking())?)?;
        x = shown("Conv2d_3b_1x1", self.apply("Conv2d_3b_1x1", &x, 1, true)?)?;
        x = shown("Conv2d_4a_3x3", self.apply("Conv2d_4a_3x3", &x, 1, false)?)?;
        x = shown("MaxPool_2", x.max_pool2d(shrinking())?)?;
        for name in ["Mixed_5b", "Mixed_5c", "Mixed_5d"] {
            let chains = [&["1x1"][..], &["5x5_1", "5x5_2"], &["3x3dbl_1", "3x3dbl_2", "3x3dbl_3"]];
            x = shown(name, self.block(name, &x, &chains)?)?;
        }
        x = shown("Mixed_6a", self.shrink("Mixed_6a", &x, &[&["3x3"], &["3x3dbl_1", "3x3dbl_2", "3x3dbl_3"]])?)?;
        for name in ["Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"] {
            let long = ["7x7dbl_1", "7x7dbl_2", "7x7dbl_3", "7x7dbl_4", "7x7dbl_5"];
            let chains = [&["1x1"][..], &["7x7_1", "7x7_2", "7x7_3"], &long];
            x = shown(name, self.block(name, &x, &chains)?)?;
        }
        let chains = [&["3x3_1", "3x3_2"][..], &["7x7x3_1", "7x7x3_2", "7x7x3_3", "7x7x3_4"]];
        x = shown("Mixed_7a", self.shrink("Mixed_7a", &x, &chains)?)?;
        x = shown("Mixed_7b", self.last("Mixed_7b", &x, self.averaged("Mixed_7b", &x)?)?)?;
        // The largest value here: the graph has it so, unlike the paper.
        let pool = self.chain("Mixed_7c", &x.max_pool2d(same())?, &["_pool"])?;
        x = shown("Mixed_7c", self.last("Mixed_7c", &x, pool)?)?;
        x.mean(&[2, 3])
    }

    fn convolution(&self, name: &str) -> Result<&Convolution> {
        self.convolutions.get(name).ok_or_else(|| Error::bug(format!("the Inception network has no `{name}`")))
    }

    /// A convolution, its norm, and what is above zero.
    fn apply(&self, name: &str, x: &Tensor, stride: usize, padded: bool) -> Result<Tensor> {
        let convolution = self.convolution(name)?;
        let [_, _, down, across] = convolution.weight.dims4()?;
        let padding = match padded {
            true => Padding::Sides([down / 2, down / 2, across / 2, across / 2]),
            false => Padding::Pixels(0),
        };
        x.conv2d_relu(&convolution.weight, Some(&convolution.bias), stride, padding)
    }

    /// Averages of windows and the block's `_pool` behind them. An average of single pixels' sums is the sum of their averages, so
    /// the convolution comes first: it leaves fewer channels to average.
    fn averaged(&self, block: &str, x: &Tensor) -> Result<Tensor> {
        let convolution = self.convolution(&format!("{block}.branch_pool"))?;
        let sums = x.conv2d(&convolution.weight, Some(&convolution.bias), 1, Padding::Pixels(0))?;
        sums.avg_pool2d(same())?.relu()
    }

    fn chain(&self, block: &str, x: &Tensor, names: &[&str]) -> Result<Tensor> {
        let mut x = x.clone();
        for name in names {
            x = self.apply(&format!("{block}.branch{name}"), &x, 1, true)?;
        }
        Ok(x)
    }

    /// Branches side by side, the averaged one last.
    fn block(&self, block: &str, x: &Tensor, chains: &[&[&str]]) -> Result<Tensor> {
        let mut branches = chains.iter().map(|names| self.chain(block, x, names)).collect::<Result<Vec<Tensor>>>()?;
        branches.push(self.averaged(block, x)?);
        Tensor::cat(&branches.iter().collect::<Vec<_>>(), 1)
    }

    /// Branches whose last convolution halves the image, beside the largest values of its windows.
    fn shrink(&self, block: &str, x: &Tensor, chains: &[&[&str]]) -> Result<Tensor> {
        let mut branches = Vec::new();
        for names in chains {
            let (last, first) = names.split_last().ok_or_else(|| Error::bug("a branch without convolutions"))?;
            let inner = self.chain(block, x, first)?;
            branches.push(self.apply(&format!("{block}.branch{last}"), &inner, 2, false)?);
        }
        branches.push(x.max_pool2d(shrinking())?);
        Tensor::cat(&branches.iter().collect::<Vec<_>>(), 1)
    }

    /// The wide blocks at the end, two of whose branches part once more; `pool` is the last.
    fn last(&self, block: &str, x: &Tensor, pool: Tensor) -> Result<Tensor> {
        let short = self.chain(block, x, &["3x3_1"])?;
        let long = self.chain(block, x, &["3x3dbl_1", "3x3dbl_2"])?;
        let branches = [
            self.chain(block, x, &["1x1"])?,
            self.chain(block, &short, &["3x3_2a"])?,
            self.chain(block, &short, &["3x3_2b"])?,
            self.chain(block, &long, &["3x3dbl_3a"])?,
            self.chain(block, &long, &["3x3dbl_3b"])?,
            pool,
        ];
        Tensor::cat(&branches.iter().collect::<Vec<_>>(), 1)
    }

    /// Logits `[n, 1008]` of features, if the file has a classifier.
    ///
    /// # Errors
    /// The features are not `[n, 2048]`.
    pub fn logits(&self, features: &Tensor) -> Result<Option<Tensor>> {
        let Some(Classifier { weight, bias }) = &self.classifier else { return Ok(None) };
        let logits = features.matmul(weight)?;
        Ok(Some(if self.biased { logits.add(bias)? } else { logits }))
    }
}

/// Windows of three that move by two.
fn shrinking() -> Window {
    Window { stride: [2, 2], ..Window::square(3) }
}

/// Windows of three that move by one; what lies outside counts in no average.
fn same() -> Window {
    Window { stride: [1, 1], pad: [1; 4], ..Window::square(3) }
}

/// The name that pytorch-fid's own network gives to a weight of torch-fidelity's.
fn pytorch_fid(name: &str) -> String {
    const BLOCKS: [(&str, &str); 16] = [
        ("Conv2d_1a_3x3", "0.0"),
        ("Conv2d_2a_3x3", "0.1"),
        ("Conv2d_2b_3x3", "0.2"),
        ("Conv2d_3b_1x1", "1.0"),
        ("Conv2d_4a_3x3", "1.1"),
        ("Mixed_5b", "2.0"),
        ("Mixed_5c", "2.1"),
        ("Mixed_5d", "2.2"),
        ("Mixed_6a", "2.3"),
        ("Mixed_6b", "2.4"),
        ("Mixed_6c", "2.5"),
        ("Mixed_6d", "2.6"),
        ("Mixed_6e", "2.7"),
        ("Mixed_7a", "3.0"),
        ("Mixed_7b", "3.1"),
        ("Mixed_7c", "3.2"),
    ];
    let (block, rest) = name.split_once('.').unwrap_or((name, ""));
    let place = BLOCKS.iter().find(|(known, _)| *known == block);
    place.map_or_else(|| name.to_string(), |(_, place)| format!("blocks.{place}.{rest}"))
}

impl Extractor for Inception {
    fn name(&self) -> &str {
        "InceptionV3 of 2015-12-05"
    }
    fn hash(&self) -> &str {
        &self.hash
    }
    fn preparation(&self) -> &str {
        &self.preparation
    }
    fn dim(&self) -> usize {
        2048
    }
    fn classes(&self) -> Option<usize> {
        self.classifier.as_ref().map(|_| 1008)
    }
    fn batch(&self) -> usize {
        16
    }
    fn role(&self) -> Role {
        Role::Inception
    }
    fn extract(&self, images: &Images) -> Result<(Tensor, Option<Tensor>)> {
        self.see(&self.prepare(images)?)
    }
    fn extract_unrounded(&self, images: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        self.see(&self.prepare_values(&images.to_device(&self.device)?.mul_scalar(255.)?)?)
    }
}
