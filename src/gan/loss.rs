//! Adversarial losses, a row each.

use crate::error::{Error, Result};
use crate::options::Choice;
use crate::table::{self, Row};
use crate::tensor::Tensor;

/// An adversarial loss on logits `[batch]`.
pub struct Loss {
    /// What a script calls it.
    pub name: &'static str,
    /// Its manual entry.
    pub doc: &'static str,
    /// From `(real, fake)` logits to the number that the discriminator makes small.
    pub discriminator: fn(&Tensor, &Tensor) -> Result<Tensor>,
    /// From `fake` logits to the number that the generator makes small.
    pub generator: fn(&Tensor) -> Result<Tensor>,
}

impl Row for Loss {
    const KIND: &'static str = "loss";
    fn name(&self) -> &'static str {
        self.name
    }
    fn doc(&self) -> &'static str {
        self.doc
    }
}

/// Every adversarial loss, in the order the manual lists them.
pub const LOSSES: &[Loss] = &[HINGE, NON_SATURATING];

const HINGE: Loss = Loss {
    name: "hinge",
    doc: "Penalises real logits below 1 and fake logits above -1.\n\n\
          D: mean(max(0, 1 - real)) + mean(max(0, 1 + fake))   G: -mean(fake)\n\
          Lim & Ye 2017, arXiv:1705.02894.",
    discriminator: |real, fake| {
        real.affine(-1.0, 1.0)?.relu()?.mean_all()?.add(&fake.affine(1.0, 1.0)?.relu()?.mean_all()?)
    },
    generator: |fake| fake.mean_all()?.neg(),
};

const NON_SATURATING: Loss = Loss {
    name: "non_saturating",
    doc: "Cross-entropy of real against fake; the generator maximises the log-probability of being taken for real.\n\n\
          D: mean(softplus(-real)) + mean(softplus(fake))   G: mean(softplus(-fake))\n\
          Goodfellow et al. 2014, arXiv:1406.2661.",
    discriminator: |real, fake| real.neg()?.softplus()?.mean_all()?.add(&fake.softplus()?.mean_all()?),
    generator: |fake| fake.neg()?.softplus()?.mean_all(),
};

/// A loss by name, or a script's own.
pub enum Adversarial {
    /// A row of [`LOSSES`].
    Named(&'static Loss),
    /// A function that takes `(real, fake)` for the discriminator and `(fake)` for the generator.
    Own(crate::options::Callback),
}

impl Adversarial {
    /// What `choice` says.
    ///
    /// # Errors
    /// An unknown name.
    pub fn of(choice: &Choice) -> Result<Self> {
        Ok(match choice {
            Choice::Named(name) => Self::Named(table::find(LOSSES, name)?),
            Choice::Own(own) => Self::Own(own.clone()),
        })
    }

    /// The discriminator's loss.
    pub fn discriminator(&self, real: &Tensor, fake: &Tensor) -> Result<Tensor> {
        match self {
            Self::Named(loss) => (loss.discriminator)(real, fake),
            Self::Own(own) => number((own.call)(&[real.clone(), fake.clone()])?, &own.name),
        }
    }

    /// The generator's loss; a script's own function of the discriminator's two arguments leaves -mean(fake).
    pub fn generator(&self, fake: &Tensor) -> Result<Tensor> {
        match self {
            Self::Named(loss) => (loss.generator)(fake),
            Self::Own(_) => fake.mean_all()?.neg(),
        }
    }
}

pub(super) fn number(value: Tensor, name: &str) -> Result<Tensor> {
    if value.elements() == 1 {
        value.reshape(&[])
    } else {
        Err(Error::new(format!("`{name}` gave a tensor of shape {:?}, expected one number", value.dims()))
            .help("reduce it with `mean()` or `sum()`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{Device, grad};

    fn logits(values: &[f32]) -> Tensor {
        Tensor::from_vec(values.to_vec(), &[values.len()], &Device::Cpu).unwrap().track()
    }

    #[test]
    fn discriminators_separate_and_generators_close_the_gap() {
        for loss in LOSSES {
            let (real, fake) = (logits(&[0.2, -0.3, 0.1]), logits(&[-0.1, 0.4, 0.3]));
            let slopes = grad(&(loss.discriminator)(&real, &fake).unwrap(), &[&real, &fake], false).unwrap();
            assert!(slopes[0].to_f32s().unwrap().iter().all(|g| *g < 0.0), "{}: raises real logits", loss.name);
            assert!(slopes[1].to_f32s().unwrap().iter().all(|g| *g > 0.0), "{}: lowers fake logits", loss.name);
            let fake = logits(&[-0.1, 0.4, 0.3]);
            let slope = grad(&(loss.generator)(&fake).unwrap(), &[&fake], false).unwrap();
            assert!(slope[0].to_f32s().unwrap().iter().all(|g| *g < 0.0), "{}: raises fake logits", loss.name);
        }
    }

    #[test]
    fn hinge_by_hand() {
        let value = (HINGE.discriminator)(&logits(&[2.0, 0.5]), &logits(&[-3.0, 0.0])).unwrap().value().unwrap();
        assert!((value - (0.25 + 0.5)).abs() < 1e-6);
    }
}
