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
pub const PENALTIES: &[Penalty] = &[NONE, WGAN_GP];

const NONE: Penalty = Penalty { name: "none", doc: "No penalty.", value: |_| Ok(None) };

const WGAN_GP: Penalty = Penalty {
    name: "wgan_gp",
    doc: "Pulls the slope of the discriminator between real and generated images towards 1.\n\n\
          mean((s - 1)^2), s = sqrt(1e-4 + |d logit / d x|^2), x = real + t (fake - real), t uniform, one for each image; the \
          labels are the real ones.   Gulrajani et al. 2017, arXiv:1704.00028; the 1e-4 is Compare GAN's.",
    value: |scene| {
        let n = scene.real.dims4()?[0];
        let t = scene.rng.uniform_tensor(&[n, 1, 1, 1], scene.real.device())?;
        let x = scene.real.add(&scene.fake.sub(scene.real)?.mul(&t)?)?.detach().track();
        let slopes = slopes(scene.logits, &x)?;
        slopes.add_scalar(-1.0)?.square()?.mean_all().map(Some)
    },
};

/// |d logit / d x| of each image, itself differentiable: `[batch]`.
fn slopes(logits: &dyn Fn(&Tensor) -> Result<Tensor>, x: &Tensor) -> Result<Tensor> {
    let total = logits(x)?.sum_all()?;
    let slope = grad(&total, &[x], recording())?.remove(0);
    slope.square()?.flatten(1)?.sum(&[1])?.add_scalar(1e-4)?.sqrt()
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
