//! The convolutional networks of spectral normalisation (Miyato et al. 2018, arXiv:1802.05957, table 3).

use super::{Architecture, Blueprint, DiscriminatorBody, GeneratorBody};
use crate::error::{Error, Result};
use crate::nn::{Conv, ConvTranspose, Linear, Norm, NormKind, Pass, Store};
use crate::tensor::{Activation, Tensor};

pub(super) const SNDCGAN: Architecture = Architecture {
    name: "sndcgan",
    doc: "Plain convolutional networks for images of any size, from ceil(size / 8).\n\n\
          Generator: linear to 512 channels, three transposed conv4x4/2 of 256, 128, 64, conv3x3; norm and ReLU before each. \
          Discriminator: seven convolutions of 64 to 512 channels, leaky ReLU 0.1. The parameters are those of Compare GAN: \
          3,828,739 and 5,860,865 at 32x32x3. `channels` is that of the widest layer.   Miyato et al. 2018, arXiv:1802.05957.",
    generator: |blueprint, store| Ok(Box::new(Generator::new(blueprint, store)?)),
    generator_follows: &[],
    discriminator: |blueprint, store| Ok(Box::new(Discriminator::new(blueprint, store)?)),
    discriminator_follows: &[],
};

struct Generator {
    linear: Linear,
    norms: Vec<Norm>,
    layers: Vec<ConvTranspose>,
    /// Height and width after the linear layer and after each layer.
    sizes: Vec<usize>,
    channels: usize,
    /// Whether the first norm is over the values of the linear layer, each a channel of its own.
    flat: bool,
}

impl Generator {
    fn new(blueprint: &Blueprint, store: &Store) -> Result<Self> {
        let widest = blueprint.channels_or(512).max(8);
        let sizes: Vec<usize> = [8, 4, 2, 1, 1].map(|part| blueprint.size.div_ceil(part)).into();
        let seed = sizes[0];
        let options = blueprint.norms(blueprint.classes, blueprint.z_dim);
        let make = blueprint.make_in_gap();
        let widths = [widest, widest / 2, widest / 4, widest / 8, blueprint.colours];
        // Norms over the batch see each value of the linear layer alone, as in Compare GAN; the others need an image.
        let flat = options.kind.over_batch() || options.kind == NormKind::None;
        let mut norms =
            vec![Norm::new(&store.sub("norm0"), if flat { seed * seed * widest } else { widest }, &options)?];
        let mut layers = Vec::new();
        for i in 0..4 {
            let (kernel_size, stride) = if i < 3 { (4, 2) } else { (3, 1) };
            layers.push(ConvTranspose::new(
                &store.sub(&format!("conv{}", i + 1)),
                widths[i],
                widths[i + 1],
                kernel_size,
                stride,
                make,
            )?);
            if i < 3 {
                norms.push(Norm::new(&store.sub(&format!("norm{}", i + 1)), widths[i + 1], &options)?);
            }
        }
        let linear = Linear::new(&store.sub("linear"), blueprint.z_dim, seed * seed * widest, make)?;
        Ok(Self { linear, norms, layers, sizes, channels: widest, flat })
    }
}

impl GeneratorBody for Generator {
    fn forward(&self, z: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        let mut x = self.linear.forward(z, pass.mode)?;
        let image = [z.dims2()?[0], self.channels, self.sizes[0], self.sizes[0]];
        if !self.flat {
            x = x.reshape(&image)?;
        }
        x = self.norms[0].forward(&x, pass, Activation::Relu)?.reshape(&image)?;
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x, [self.sizes[i + 1]; 2], pass.mode)?;
            if let Some(norm) = self.norms.get(i + 1) {
                x = norm.forward(&x, pass, Activation::Relu)?;
            }
        }
        x.tanh()?.affine(0.5, 0.5)
    }
}

struct Discriminator {
    convs: Vec<Conv>,
    dim: usize,
}

impl Discriminator {
    fn new(blueprint: &Blueprint, store: &Store) -> Result<Self> {
        if blueprint.norm != NormKind::None {
            return Err(Error::new("the discriminator of `sndcgan` has no norms besides spectral norm")
                .help("leave `d_norm` at `none`, or use `resnet_cifar`"));
        }
        let widest = blueprint.channels_or(512).max(8);
        let make = blueprint.make();
        let mut inputs = blueprint.colours;
        let mut convs = Vec::new();
        for (i, part) in [8, 4, 4, 2, 2, 1, 1].into_iter().enumerate() {
            let (kernel_size, stride) = if i % 2 == 1 { (4, 2) } else { (3, 1) };
            let outputs = widest / part;
            convs.push(Conv::new(&store.sub(&format!("conv{}", i + 1)), inputs, outputs, kernel_size, stride, make)?);
            inputs = outputs;
        }
        let side = blueprint.size.div_ceil(8);
        Ok(Self { convs, dim: side * side * widest })
    }
}

impl DiscriminatorBody for Discriminator {
    fn features(&self, images: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        let mut x = images.affine(2.0, -1.0)?;
        for conv in &self.convs {
            x = conv.forward(&x, pass.mode)?.leaky_relu(0.1)?;
        }
        x.flatten(1)
    }

    fn dim(&self) -> usize {
        self.dim
    }
}
