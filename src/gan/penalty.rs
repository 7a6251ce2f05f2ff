//! Penalties on the discriminator, a row each.

use crate::error::Result;
use crate::gan::loss::number;
use crate::options::{Callback, Choice};
use crate::table::{self, Row};
use crate::tensor::{Rng, Tensor, grad, recording};

/// What a penalty looks at.
pub struct Scene<'a> {
    /// The discriminator's logits `[batch]` of images, with the labels of the real ones.
    pub logits: &'a dyn Fn(&Tensor) -> Result<Tensor>,
    /// The same with the labels of the generated ones.
    pub fake_logits: &'a dyn Fn(&Tensor) -> Result<Tensor>,
    /// The discriminator's weights: every parameter that is multiplied with something, biases and norms left out.
    pub weights: &'a [Tensor],
    /// Real images `[batch, c, h, w]`.
    pub real: &'a Tensor,
    /// Generated images `[batch, c, h, w]`, detached.
    pub fake: &'a Tensor,
    /// Where random numbers come from.
    pub rng: Rng,
}

/// A penalty on the discriminator.
pub struct Penalty {
    /// What a script calls it.
    pub name: &'static str,
    /// Its manual entry.
    pub doc: &'static str,
    /// The penalty, one number; `None` when there is none.
    pub value: fn(&mut Scene<'_>) -> Result<Option<Tensor>>,
}

impl Row for Penalty {
    const KIND: &'static str = "penalty";
    fn name(&self) -> &'static str {
        self.name
    }
    fn doc(&self) -> &'static str {
        self.doc
    }
}

/// Every penalty, in the order the manual lists them.
pub const PENALTIES: &[Penalty] = &[NONE, WGAN_GP, DRAGAN, DRAGAN_V2, R1, R2, ZERO_CENTRED, L2];

const NONE: Penalty = Penalty { name: "none", doc: "No penalty.", value: |_| Ok(None) };

const WGAN_GP: Penalty = Penalty {
    name: "wgan_gp",
    doc: "Pulls the slope of the discriminator between real and generated images towards 1.\n\n\
          mean((s - 1)^2), s = sqrt(1e-4 + |d logit / d x|^2), x = real + t (fake - real), t uniform, one for each image; the \
          labels are the real ones.   Gulrajani et al. 2017, arXiv:1704.00028; the 1e-4 is Compare GAN's.",
    value: |scene| {
        let x = between(scene)?;
        one_centred(scene.logits, &x).map(Some)
    },
};

const DRAGAN: Penalty = Penalty {
    name: "dragan",
    doc: "Pulls the slope of the discriminator around real images towards 1.\n\n\
          mean((s - 1)^2), s as in `wgan_gp`, x = real + std (u - 1/2) cut to 0..1, u uniform for each value, std one number: the \
          standard deviation of the whole batch.   Kodali et al. 2017, arXiv:1705.07215, in Compare GAN's form.",
    value: |scene| {
        let noise = scene.rng.uniform_tensor(scene.real.dims(), scene.real.device())?;
        let noise = noise.add_scalar(-0.5)?.mul(&deviation(scene.real)?)?;
        one_centred(scene.logits, &scene.real.add(&noise)?.clamp(0.0, 1.0)?).map(Some)
    },
};

const DRAGAN_V2: Penalty = Penalty {
    name: "dragan_v2",
    doc: "Pulls the slope of the probability of being real, beside real images, towards 1.\n\n\
          mean((s - 1)^2), s = sqrt(1e-4 + |d sigmoid(logit) / d x|^2), x = real + t std u / 2, u uniform for each value, t uniform \
          for each image, std as in `dragan`: the noise only brightens, and nothing is cut.   Kodali et al. 2017, \
          arXiv:1705.07215, in the form of Compare GAN's version 2 (Lucic et al. 2017, arXiv:1711.10337); `dragan` is that of version 3.",
    value: |scene| {
        let half = deviation(scene.real)?.mul_scalar(0.5)?;
        let noise = scene.rng.uniform_tensor(scene.real.dims(), scene.real.device())?.mul(&half)?;
        let t = scene.rng.uniform_tensor(&[scene.real.dims4()?[0], 1, 1, 1], scene.real.device())?;
        let x = scene.real.add(&noise.mul(&t)?)?;
        one_centred(&|x| (scene.logits)(x)?.sigmoid(), &x).map(Some)
    },
};

const R1: Penalty = Penalty {
    name: "r1",
    doc: "Pulls the discriminator's slope at real images towards 0.\n\n\
          mean(|d logit / d x|^2) / 2 at the real images; `penalty_weight` is the paper's gamma.   Mescheder et al. 2018, \
          arXiv:1801.04406. With `penalty_every: 16` it is StyleGAN2's lazy regularisation (Karras et al. 2020, arXiv:1912.04958).",
    value: |scene| squared_slopes(scene.logits, scene.real)?.mean_all()?.mul_scalar(0.5).map(Some),
};

const R2: Penalty = Penalty {
    name: "r2",
    doc: "Pulls the discriminator's slope at generated images towards 0.\n\n\
          mean(|d logit / d x|^2) / 2 at the generated images with their labels; `penalty_weight` is the paper's gamma.   \
          Mescheder et al. 2018, arXiv:1801.04406.",
    value: |scene| squared_slopes(scene.fake_logits, scene.fake)?.mean_all()?.mul_scalar(0.5).map(Some),
};

const ZERO_CENTRED: Penalty = Penalty {
    name: "zero_centred",
    doc: "Pulls the discriminator's slope between real and generated images towards 0.\n\n\
          mean(|d logit / d x|^2), x = real + t (fake - real), t uniform, one for each image; the labels are the real ones.   \
          Thanh-Tung et al. 2019, arXiv:1902.03984.",
    value: |scene| {
        let x = between(scene)?;
        squared_slopes(scene.logits, &x)?.mean_all().map(Some)
    },
};

const L2: Penalty = Penalty {
    name: "l2",
    doc: "Pulls the discriminator's weights towards 0.\n\n\
          The mean over its weight tensors of |W|^2 / 2, heads included, biases and norms left out: Compare GAN's `l2_penalty`.   \
          Kurach et al. 2018, arXiv:1807.04720.",
    value: |scene| {
        let halves = scene.weights.iter().map(|weight| weight.square()?.sum_all()?.reshape(&[1]));
        let halves = halves.collect::<Result<Vec<_>>>()?;
        Tensor::cat(&halves.iter().collect::<Vec<_>>(), 0)?.mean_all()?.mul_scalar(0.5).map(Some)
    },
};

/// The standard deviation of all values of a batch together.
fn deviation(images: &Tensor) -> Result<Tensor> {
    let images = images.detach();
    images.sub(&images.mean_all()?)?.square()?.mean_all()?.sqrt()
}

/// Images on the lines from real to generated ones, at a place of its own for each.
fn between(scene: &mut Scene<'_>) -> Result<Tensor> {
    let n = scene.real.dims4()?[0];
    let t = scene.rng.uniform_tensor(&[n, 1, 1, 1], scene.real.device())?;
    scene.real.add(&scene.fake.sub(scene.real)?.mul(&t)?)
}

/// mean((s - 1)^2) of the slopes s at `x`.
fn one_centred(logits: &dyn Fn(&Tensor) -> Result<Tensor>, x: &Tensor) -> Result<Tensor> {
    squared_slopes(logits, x)?.add_scalar(1e-4)?.sqrt()?.add_scalar(-1.0)?.square()?.mean_all()
}

/// |d logit / d x|^2 of each image of `x`, itself differentiable: `[batch]`.
fn squared_slopes(logits: &dyn Fn(&Tensor) -> Result<Tensor>, x: &Tensor) -> Result<Tensor> {
    let x = x.detach().track();
    let total = logits(&x)?.sum_all()?;
    let slope = grad(&total, &[&x], recording())?.remove(0);
    slope.square()?.flatten(1)?.sum(&[1])
}

/// A penalty by name, or a script's own.
pub enum Regulariser {
    /// A row of [`PENALTIES`].
    Named(&'static Penalty),
    /// A function of `(real, fake)`, with the discriminator in its closure.
    Own(Callback),
}

impl Regulariser {
    /// What `choice` says.
    ///
    /// # Errors
    /// An unknown name.
    pub fn of(choice: &Choice) -> Result<Self> {
        Ok(match choice {
            Choice::Named(name) => Self::Named(table::find(PENALTIES, name)?),
            Choice::Own(own) => Self::Own(own.clone()),
        })
    }

    /// The penalty, if there is one.
    pub fn value(&self, scene: &mut Scene<'_>) -> Result<Option<Tensor>> {
        match self {
            Self::Named(penalty) => (penalty.value)(scene),
            Self::Own(own) => number((own.call)(&[scene.real.clone(), scene.fake.clone()])?, &own.name).map(Some),
        }
    }
}
