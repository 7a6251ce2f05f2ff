//! Networks from images to features, and classifiers on them.

use crate::error::{Error, Result};
use crate::nn::{Conv, Init, Linear, Make, Mode, Norm, NormKind, NormOptions, Pass, Store};
use crate::table::{self, Row};
use crate::tensor::{Activation, Device, Tensor, no_grad};

/// A row of [`ENCODERS`].
pub struct EncoderRow {
    /// What a script calls it.
    pub name: &'static str,
    /// Its manual entry.
    pub doc: &'static str,
    /// Channels after the first convolution; doubled by each later block.
    pub width: usize,
}

impl Row for EncoderRow {
    const KIND: &'static str = "network";
    fn name(&self) -> &'static str {
        self.name
    }
    fn doc(&self) -> &'static str {
        self.doc
    }
}

/// Every network from images to features.
pub const ENCODERS: &[EncoderRow] = &[
    EncoderRow {
        name: "resnet-small",
        doc: "A residual network of 7 convolutions for images of about 32 pixels, 128 features.\n\n\
              conv3x3 of 32 channels, then three blocks to 32, 64 and 128 channels that each halve the image; batch norm and ReLU \
              before each convolution (He et al. 2016, arXiv:1603.05027); global mean.",
        width: 32,
    },
    EncoderRow {
        name: "resnet-tiny",
        doc: "`resnet-small` with half the channels, 64 features; for quick tries.\n\nHe et al. 2016, arXiv:1603.05027.",
        width: 16,
    },
];

struct Block {
    norms: [Norm; 2],
    convs: [Conv; 2],
    shortcut: Conv,
}

/// A network from images to features.
pub struct Encoder {
    row: &'static EncoderRow,
    channels: usize,
    store: Store,
    stem: Conv,
    blocks: Vec<Block>,
    norm: Norm,
}

impl Encoder {
    /// The network called `name` for images of `channels` channels, its first weights drawn from `seed`.
    ///
    /// # Errors
    /// An unknown name.
    pub fn new(name: &str, channels: usize, seed: u64, device: &Device) -> Result<Self> {
        let row = table::find(ENCODERS, name)?;
        let store = Store::new(seed, device);
        let make = Make::plain(Init::He).unbiased();
        let options = NormOptions::plain(NormKind::Batch, make);
        let w = row.width;
        let stem = Conv::new(&store.sub("stem"), channels, w, 3, 1, make)?;
        let blocks = [(w, w), (w, 2 * w), (2 * w, 4 * w)]
            .into_iter()
            .enumerate()
            .map(|(i, (inputs, outputs))| {
                let at = store.sub(&format!("block{}", i + 1));
                Ok(Block {
                    norms: [
                        Norm::new(&at.sub("norm1"), inputs, &options)?,
                        Norm::new(&at.sub("norm2"), outputs, &options)?,
                    ],
                    convs: [
                        Conv::new(&at.sub("conv1"), inputs, outputs, 3, 2, make)?,
                        Conv::new(&at.sub("conv2"), outputs, outputs, 3, 1, make)?,
                    ],
                    shortcut: Conv::new(&at.sub("shortcut"), inputs, outputs, 1, 2, make)?,
                })
            })
            .collect::<Result<_>>()?;
        let norm = Norm::new(&store.sub("norm"), 4 * w, &options)?;
        Ok(Self { row, channels, store, stem, blocks, norm })
    }

    /// What a script calls it.
    pub fn name(&self) -> &'static str {
        self.row.name
    }

    /// How many features it gives.
    pub fn dim(&self) -> usize {
        4 * self.row.width
    }

    /// Channels of the images it takes.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Its parameters and state.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// A copy with parameters of its own.
    pub fn copy(&self) -> Result<Self> {
        let copy = Self::new(self.row.name, self.channels, 0, self.store.device())?;
        copy.store.copy_from(&self.store)?;
        Ok(copy)
    }

    /// Features `[n, dim]` of images `[n, c, h, w]` with values from 0 to 1.
    ///
    /// # Errors
    /// The images have another number of channels.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Result<Tensor> {
        let [_, c, ..] = images.dims4()?;
        if c != self.channels {
            return Err(Error::new(format!(
                "the images have {c} channels, `{}` was made for {}",
                self.row.name, self.channels
            )));
        }
        let pass = Pass::plain(mode);
        let mut x = self.stem.forward(&images.affine(2.0, -1.0)?, mode)?;
        for block in &self.blocks {
            let normal = block.norms[0].forward(&x, &pass, Activation::Relu)?;
            let shortcut = block.shortcut.forward(&normal, mode)?;
            let inner = block.norms[1].forward(&block.convs[0].forward(&normal, mode)?, &pass, Activation::Relu)?;
            x = block.convs[1].forward(&inner, mode)?.add(&shortcut)?;
        }
        self.norm.forward(&x, &pass, Activation::Relu)?.mean(&[2, 3])
    }
}

/// An encoder with a linear head over classes.
pub struct Classifier {
    /// From images to features.
    pub encoder: Encoder,
    head: Linear,
    head_store: Store,
    classes: usize,
}

impl Classifier {
    /// A new head on `encoder`, drawn from `seed`.
    pub fn new(encoder: Encoder, classes: usize, seed: u64) -> Result<Self> {
        let head_store = Store::new(seed, encoder.store.device());
        let head = Linear::new(&head_store.sub("head"), encoder.dim(), classes, Make::plain(Init::Normal(0.01)))?;
        Ok(Self { encoder, head, head_store, classes })
    }

    /// How many classes it tells apart.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The parameters of the head alone.
    pub fn head(&self) -> &Store {
        &self.head_store
    }

    /// Logits `[n, classes]` of features `[n, dim]`.
    pub fn classify(&self, features: &Tensor, mode: Mode) -> Result<Tensor> {
        self.head.forward(features, mode)
    }

    /// Features `[n, dim]` and logits `[n, classes]` of images `[n, c, h, w]` from 0 to 1, at evaluation, off the graph.
    pub fn evaluate(&self, images: &Tensor) -> Result<(Tensor, Tensor)> {
        no_grad(|| {
            let features = self.encoder.forward(images, Mode::Eval)?;
            let logits = self.classify(&features, Mode::Eval)?;
            Ok((features, logits))
        })
    }
}
