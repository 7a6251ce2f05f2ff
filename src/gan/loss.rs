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
pub const LOSSES: &[Loss] = &[HINGE, NON_SATURATING, MINIMAX, WASSERSTEIN, LEAST_SQUARES, LEAST_SQUARES_SIGMOID];

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

const MINIMAX: Loss = Loss {
    name: "minimax",
    doc: "Cross-entropy of real against fake; the generator minimises the log-probability of being taken for fake.\n\n\
          D: mean(softplus(-real)) + mean(softplus(fake))   G: -mean(softplus(fake))\n\
          Its slope fades where the discriminator is sure.   Goodfellow et al. 2014, arXiv:1406.2661, equation 1.",
    discriminator: NON_SATURATING.discriminator,
    generator: |fake| fake.softplus()?.mean_all()?.neg(),
};

const WASSERSTEIN: Loss = Loss {
    name: "wasserstein",
    doc: "The difference of the mean logits, which bounds the Wasserstein distance if the discriminator is held back.\n\n\
          D: mean(fake) - mean(real)   G: -mean(fake)\n\
          Hold it back by `d_clip: 0.01`, as the paper does, or by `penalty: \"wgan_gp\"`.   Arjovsky et al. 2017, arXiv:1701.07875.",
    discriminator: |real, fake| fake.mean_all()?.sub(&real.mean_all()?),
    generator: |fake| fake.mean_all()?.neg(),
};

const LEAST_SQUARES: Loss = Loss {
    name: "least_squares",
    doc: "Pulls real logits to 1 and fake logits to 0; the generator pulls its own to 1.\n\n\
          D: (mean((real - 1)^2) + mean(fake^2)) / 2   G: mean((fake - 1)^2) / 2\n\
          On the logits themselves, as Mao et al. 2016, arXiv:1611.04076, equation 9; `least_squares_sigmoid` is Compare GAN's.",
    discriminator: half_squares,
    generator: half_square_from_one,
};

const LEAST_SQUARES_SIGMOID: Loss = Loss {
    name: "least_squares_sigmoid",
    doc: "`least_squares` on probabilities, sigmoid(logits), in place of logits.\n\n\
          D: (mean((p_real - 1)^2) + mean(p_fake^2)) / 2   G: mean((p_fake - 1)^2) / 2\n\
          Compare GAN calls this one `least_squares`.   Mao et al. 2016, arXiv:1611.04076; Lucic et al. 2017, arXiv:1711.10337.",
    discriminator: |real, fake| half_squares(&real.sigmoid()?, &fake.sigmoid()?),
    generator: |fake| half_square_from_one(&fake.sigmoid()?),
};

fn half_squares(real: &Tensor, fake: &Tensor) -> Result<Tensor> {
    half_square_from_one(real)?.add(&fake.square()?.mean_all()?.mul_scalar(0.5)?)
}

fn half_square_from_one(values: &Tensor) -> Result<Tensor> {
    values.add_scalar(-1.0)?.square()?.mean_all()?.mul_scalar(0.5)
}

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
            // Between 0 and 1, where least squares pulls both ways.
            let (real, fake) = (logits(&[0.2, 0.7, 0.1]), logits(&[0.1, 0.4, 0.3]));
            let slopes = grad(&(loss.discriminator)(&real, &fake).unwrap(), &[&real, &fake], false).unwrap();
            assert!(slopes[0].to_f32s().unwrap().iter().all(|g| *g < 0.0), "{}: raises real logits", loss.name);
            assert!(slopes[1].to_f32s().unwrap().iter().all(|g| *g > 0.0), "{}: lowers fake logits", loss.name);
            let fake = logits(&[0.1, 0.4, 0.3]);
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
