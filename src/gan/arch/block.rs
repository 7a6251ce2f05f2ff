//! Residual blocks: that of ResNets and BigGAN, and that of BigGAN-deep.

use super::{Blueprint, Upsample};
use crate::error::Result;
use crate::nn::{Conv, Mode, Norm, NormKind, NormOptions, Pass, Store};
use crate::tensor::{Activation, Tensor, Window};

/// What a block does to the size of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// Twice as high and wide.
    Up,
    /// Half as high and wide, rounded up.
    Down,
    /// As it is.
    Same,
}

/// Which block an architecture is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Two convolutions 3x3; the shortcut has a convolution always.
    Plain,
    /// Two convolutions 3x3; the shortcut of a discriminator has a convolution where the channels change.
    BigGan,
    /// A bottleneck of four convolutions; the shortcut keeps the input's channels.
    Deep,
}

/// What a block is built from.
pub(super) struct Making<'a> {
    pub(super) blueprint: &'a Blueprint,
    pub(super) norms: &'a NormOptions,
    pub(super) kind: Kind,
    pub(super) generator: bool,
}

pub(super) enum Block {
    Two(Box<Two>),
    Four(Box<Four>),
}

impl Block {
    pub(super) fn new(store: &Store, inputs: usize, outputs: usize, scale: Scale, making: &Making<'_>) -> Result<Self> {
        Ok(match making.kind {
            Kind::Deep => Block::Four(Box::new(Four::new(store, inputs, outputs, scale, making)?)),
            Kind::Plain | Kind::BigGan => Block::Two(Box::new(Two::new(store, inputs, outputs, scale, making)?)),
        })
    }

    pub(super) fn forward(&self, x: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        match self {
            Block::Two(block) => block.forward(x, pass),
            Block::Four(block) => block.forward(x, pass),
        }
    }
}

/// The mean of each 2x2 pixels; a row or column too many is a window of its own, as in TensorFlow's SAME.
fn halve(x: &Tensor) -> Result<Tensor> {
    let [_, _, h, w] = x.dims4()?;
    x.avg_pool2d(Window { pad: [0, h % 2, 0, w % 2], ..Window::square(2) })
}

/// A norm, a layer norm if the blueprint says so, and a ReLU.
struct Stage {
    norm: Norm,
    layer: Option<Norm>,
}

impl Stage {
    fn new(store: &Store, name: &str, channels: usize, making: &Making<'_>) -> Result<Self> {
        let layer = NormOptions { kind: NormKind::Layer, ..*making.norms };
        let layer =
            making.blueprint.layer_norm.then(|| Norm::new(&store.sub(&format!("layer_{name}")), channels, &layer));
        Ok(Self { norm: Norm::new(&store.sub(name), channels, making.norms)?, layer: layer.transpose()? })
    }

    fn forward(&self, x: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        match &self.layer {
            None => self.norm.forward(x, pass, Activation::Relu),
            Some(layer) => layer.forward(&self.norm.forward(x, pass, Activation::None)?, pass, Activation::Relu),
        }
    }

    /// The convolution `conv` of `x`, then this.
    fn after(&self, conv: &Conv, x: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        if self.layer.is_none() && self.norm.is_none() {
            return conv.forward_relu(x, pass.mode);
        }
        self.forward(&conv.forward(x, pass.mode)?, pass)
    }
}

/// Norm, ReLU, conv3x3, norm, ReLU, conv3x3, beside a shortcut.
pub(super) struct Two {
    stages: [Stage; 2],
    convs: [Conv; 2],
    shortcut: Shortcut,
    scale: Scale,
    upsample: Upsample,
}

enum Shortcut {
    Conv(Conv, usize),
    Identity,
    None,
}

impl Two {
    fn new(store: &Store, inputs: usize, outputs: usize, scale: Scale, making: &Making<'_>) -> Result<Self> {
        let blueprint = making.blueprint;
        let make = blueprint.make();
        let stages = [Stage::new(store, "norm1", inputs, making)?, Stage::new(store, "norm2", outputs, making)?];
        let convs = [
            Conv::new(&store.sub("conv1"), inputs, outputs, 3, 1, make)?,
            Conv::new(&store.sub("conv2"), outputs, outputs, 3, 1, make)?,
        ];
        let shortcut = if making.kind == Kind::Plain || making.generator || inputs != outputs {
            let kernel = blueprint.shortcut_kernel;
            Shortcut::Conv(Conv::new(&store.sub("shortcut"), inputs, outputs, kernel, 1, make)?, kernel)
        } else if blueprint.compat.no_identity_skip {
            Shortcut::None
        } else {
            Shortcut::Identity
        };
        Ok(Self { stages, convs, shortcut, scale, upsample: blueprint.upsample })
    }

    fn forward(&self, x: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        let mut inner = self.stages[0].forward(x, pass)?;
        if self.scale == Scale::Up {
            inner = self.upsample.apply(&inner, 2)?;
        }
        inner = self.stages[1].after(&self.convs[0], &inner, pass)?;
        inner = self.convs[1].forward(&inner, pass.mode)?;
        let halved = |sum: Tensor| if self.scale == Scale::Down { halve(&sum) } else { Ok(sum) };
        match &self.shortcut {
            Shortcut::None => halved(inner),
            Shortcut::Identity => halved(inner.add(x)?),
            // A pointwise convolution and the mean commute: convolve the small image.
            Shortcut::Conv(conv, 1) if self.scale == Scale::Down => {
                halve(&inner)?.add(&conv.forward(&halve(x)?, pass.mode)?)
            }
            Shortcut::Conv(conv, kernel) => halved(inner.add(&self.around(conv, *kernel, x, pass.mode)?)?),
        }
    }

    fn around(&self, conv: &Conv, kernel: usize, x: &Tensor, mode: Mode) -> Result<Tensor> {
        match (self.scale, self.upsample) {
            // So do a pointwise convolution and repeating pixels.
            (Scale::Up, Upsample::Nearest) if kernel == 1 => conv.forward(x, mode)?.upsample_nearest(2),
            (Scale::Up, how) => conv.forward(&how.apply(x, 2)?, mode),
            (Scale::Down | Scale::Same, _) => conv.forward(x, mode),
        }
    }
}

/// Four convolutions, 1x1 to a quarter of the channels, 3x3, 3x3, 1x1, each after a norm and a ReLU, beside a shortcut that
/// drops channels or adds them by a pointwise convolution.
pub(super) struct Four {
    stages: [Stage; 4],
    convs: [Conv; 4],
    /// The convolution that makes the channels which the input lacks.
    missing: Option<Conv>,
    kept: usize,
    scale: Scale,
    upsample: Upsample,
}

impl Four {
    fn new(store: &Store, inputs: usize, outputs: usize, scale: Scale, making: &Making<'_>) -> Result<Self> {
        let make = making.blueprint.make();
        let neck = (inputs.max(outputs) / 4).max(1);
        let stage = |i: usize, channels: usize| Stage::new(store, &format!("norm{i}"), channels, making);
        let conv = |i: usize, from: usize, to: usize, kernel: usize| {
            Conv::new(&store.sub(&format!("conv{i}")), from, to, kernel, 1, make)
        };
        Ok(Self {
            stages: [stage(1, inputs)?, stage(2, neck)?, stage(3, neck)?, stage(4, neck)?],
            convs: [
                conv(1, inputs, neck, 1)?,
                conv(2, neck, neck, 3)?,
                conv(3, neck, neck, 3)?,
                conv(4, neck, outputs, 1)?,
            ],
            missing: if outputs > inputs {
                Some(Conv::new(&store.sub("shortcut"), inputs, outputs - inputs, 1, 1, make)?)
            } else {
                None
            },
            kept: inputs.min(outputs),
            scale,
            upsample: making.blueprint.upsample,
        })
    }

    fn forward(&self, x: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        let mut inner = x.clone();
        for (i, (stage, conv)) in self.stages.iter().zip(&self.convs).enumerate() {
            inner = stage.forward(&inner, pass)?;
            inner = match (i, self.scale) {
                (1, Scale::Up) => self.upsample.apply(&inner, 2)?,
                (3, Scale::Down) => halve(&inner)?,
                _ => inner,
            };
            inner = conv.forward(&inner, pass.mode)?;
        }
        let mut shortcut = x.clone();
        if self.kept < x.dims4()?[1] {
            shortcut = shortcut.narrow(1, 0, self.kept)?;
        }
        match self.scale {
            Scale::Up => shortcut = self.upsample.apply(&shortcut, 2)?,
            Scale::Down => shortcut = halve(&shortcut)?,
            Scale::Same => (),
        }
        if let Some(missing) = &self.missing {
            shortcut = Tensor::cat(&[&shortcut, &missing.forward(&shortcut, pass.mode)?], 1)?;
        }
        inner.add(&shortcut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Device;

    #[test]
    fn the_shortcut_of_a_deep_block_keeps_the_first_channels_and_makes_those_that_are_lacking() {
        let (blueprint, plain) = (Blueprint::default(), Pass::plain(Mode::Train));
        let norms = blueprint.norms(0, 0);
        let making = Making { blueprint: &blueprint, norms: &norms, kind: Kind::Deep, generator: false };
        let x: Vec<f32> = (0..16).map(|v| v as f32).collect();
        let through = |outputs: usize| {
            let store = Store::new(1, &Device::Cpu);
            let block = Block::new(&store, 4, outputs, Scale::Same, &making).unwrap();
            // Without its last convolution a block is its shortcut.
            let params = store.params();
            let weight = |name: &str| params.iter().find(|param| param.name() == name);
            let last = weight("conv4.weight").unwrap();
            last.set(last.value().mul_scalar(0.0).unwrap()).unwrap();
            let input = Tensor::from_vec(x.clone(), &[1, 4, 2, 2], &Device::Cpu).unwrap();
            let made = weight("shortcut.weight").map(|param| param.value().to_f32s().unwrap());
            (block.forward(&input, &plain).unwrap().to_f32s().unwrap(), made)
        };
        assert_eq!(through(2), (x[..8].to_vec(), None));
        let (y, made) = through(6);
        assert_eq!(y[..16], x);
        for (place, y) in y[16..].iter().enumerate() {
            let row = &made.as_ref().unwrap()[place / 4 * 4..][..4];
            let expected: f32 = row.iter().zip(x.iter().skip(place % 4).step_by(4)).map(|(w, x)| w * x).sum();
            assert!((y - expected).abs() < 1e-4, "{y} beside {expected}");
        }
    }
}
