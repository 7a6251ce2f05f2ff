//! Guards that look after a training, and stop it when it leads nowhere.
//!
//! They look at what is measured anyway and, every `guard_every` steps, at 64 images of the generator: no step changes for it.

use std::collections::HashMap;

use crate::error::{Error, Kind, Result};
use crate::gan::train::Training;
use crate::nn::checkpoint::Saved;
use crate::nn::{Mode, Prior};
use crate::options::{Choice, Setting, Value};
use crate::tensor::{Tensor, no_grad};

/// What a training is stopped for, besides numbers that are not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Latents make no difference any more: the generator shows one image, or one for each class.
    Collapse,
    /// The discriminator has won, or tells nothing apart: neither teaches the generator anything.
    Discriminator,
}

impl Setting for Guard {
    const EXPECTED: &'static str = "`collapse` or `discriminator`";
    fn from_value(value: Value) -> std::result::Result<Self, Value> {
        match &value {
            Value::Text(name) if name == "collapse" => Ok(Guard::Collapse),
            Value::Text(name) if name == "discriminator" => Ok(Guard::Discriminator),
            _ => Err(value),
        }
    }
    fn to_value(&self) -> Value {
        Value::Text(match self {
            Guard::Collapse => "collapse".into(),
            Guard::Discriminator => "discriminator".into(),
        })
    }
}

/// Looks in a row that find the same before a guard stops the training; one bad batch is no reason.
const LOOKS: u64 = 5;
/// Images of the generator that a look is at.
const IMAGES: usize = 64;
/// Classes that they are of at most, so that there are several of each.
const CLASSES: usize = 16;
/// Real images that the generator's are compared with.
const REAL: usize = 256;
/// Pairs of real images of one class that say how much they differ; with fewer, any two images are a pair.
const PAIRS: usize = 16;
/// The share of the variance of real images below which latents make no difference: a tenth of the deviation.
const SAME: f64 = 0.01;
/// The share of its loss for a guess below which the discriminator has nothing left to learn.
const WON: f64 = 1e-3;
/// How near to its loss for a guess, as a share of it, a discriminator stays that tells nothing apart. The loss of one that
/// learns wavers by more from batch to batch.
const BLIND: f64 = 1e-4;

/// What guards have found so far, in a row. A checkpoint keeps it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Found {
    /// Looks that found the generator collapsed.
    same: u64,
    /// Steps in which the discriminator had nothing left to learn.
    won: u64,
    /// Steps in which it told nothing apart.
    blind: u64,
}

impl Found {
    /// For a checkpoint.
    pub fn numbers(self) -> [(&'static str, f64); 3] {
        [("guard_same", self.same as f64), ("guard_won", self.won as f64), ("guard_blind", self.blind as f64)]
    }

    /// From a checkpoint, which may be older than guards.
    pub fn of(saved: &Saved) -> Self {
        let [same, won, blind] =
            ["guard_same", "guard_won", "guard_blind"].map(|name| saved.number(name).unwrap_or(0.0) as u64);
        Self { same, won, blind }
    }

    /// After a step whose discriminator had this `loss`, where a guess has `chance`.
    fn step(&mut self, loss: f64, chance: f64) {
        let count = |before: u64, is: bool| if is { before + 1 } else { 0 };
        self.won = count(self.won, loss < WON * chance);
        self.blind = count(self.blind, (loss - chance).abs() < BLIND * chance);
    }

    /// After a look at images whose variance is this share of the real one.
    fn look(&mut self, share: f64) {
        self.same = if share < SAME { self.same + 1 } else { 0 };
    }
}

/// What the guards of one training compare with, and the last state that they found well.
#[derive(Default)]
pub(super) struct Guards {
    /// How much real images of a class differ, if anything.
    real: Option<f64>,
    /// The loss of a discriminator that guesses, where it is a bound that losses are measured by.
    chance: Option<f64>,
    /// The discriminator's loss at the last step.
    pub loss: Option<f64>,
    /// A state and its step; it is known to be good once the step after it gave finite numbers.
    fresh: Option<(u64, Saved)>,
    good: Option<(u64, Saved)>,
    /// What stopped the training, in a word.
    stopped: Option<&'static str>,
}

impl Training<'_, '_> {
    /// Gets ready, after `done` steps.
    pub(super) fn guard(&mut self, done: u64) -> Result<()> {
        let options = &self.gan.options;
        self.guards = Guards::default();
        if options.guards.contains(&Guard::Collapse) {
            self.guards.real = self.real_spread()?;
        }
        let bounded = options.adversarial() && matches!(options.loss, Choice::Named(_));
        if options.guards.contains(&Guard::Discriminator) && bounded {
            let guess = Tensor::from_vec(vec![0.0; 2], &[2], &self.gan.device)?;
            self.guards.chance = Some(self.loss.discriminator(&guess, &guess)?.value()?).filter(|loss| *loss > 0.0);
        }
        self.guards.good = Some((done, self.gan.state()?));
        Ok(())
    }

    /// Looks after a step; an error of the kind [`Kind::Stopped`] says what has gone wrong.
    pub(super) fn look(&mut self, done: u64) -> Result<()> {
        // The step after it went well, so the state did.
        if let Some(fresh) = self.guards.fresh.take() {
            self.guards.good = Some(fresh);
        }
        let every = self.gan.options.guard_every as u64;
        if let (Some(loss), Some(chance)) = (self.guards.loss, self.guards.chance) {
            self.gan.found.step(loss, chance);
        }
        let looks = done.is_multiple_of(every);
        let share = match self.guards.real {
            Some(real) if looks => {
                let share = self.fake_spread(done)? / real;
                self.gan.found.look(share);
                share
            }
            _ => 1.0,
        };
        let found = self.gan.found;
        let stall = LOOKS * every;
        let reason = if found.same >= LOOKS {
            self.guards.stopped = Some("collapse");
            format!(
                "the generator has collapsed: its images of a class differ {:.2}% as much as real ones do, below {:.0}% for \
                 {LOOKS} looks, {every} steps apart",
                share * 100.0,
                SAME * 100.0
            )
        } else if found.won >= stall {
            self.guards.stopped = Some("discriminator");
            format!(
                "the discriminator has won: `d_loss` was below {WON} of a guess for {stall} steps, and teaches nothing more"
            )
        } else if found.blind >= stall {
            self.guards.stopped = Some("discriminator");
            format!("the discriminator tells nothing apart: `d_loss` was that of a guess for {stall} steps")
        } else {
            if looks && found == Found::default() {
                self.guards.fresh = Some((done, self.gan.state()?));
            }
            return Ok(());
        };
        let error = Error::new(format!("`gan` stopped after step {done}: {reason}"));
        Err(Error { kind: Kind::Stopped, ..error })
    }

    /// Puts the last good state back, marks the place, and says what a person can do.
    pub(super) fn put_back(&mut self, error: Error, done: u64) -> Result<(Error, Option<u64>)> {
        let word = self.guards.stopped.unwrap_or("not finite");
        self.job.observer.mark("gan", done, word);
        let back = match &self.guards.good {
            Some((step, state)) => {
                self.gan.restore(state)?;
                Some(*step)
            }
            None => None,
        };
        self.gan.found = Found::default();
        let mut message = error.message;
        if let Some(step) = back {
            message += &format!("; the GAN is back at step {step}, where all was well");
        }
        let mut help = match word {
            "collapse" => "lower the learning rates, or add a penalty".to_string(),
            "discriminator" => "lower `d_lr`, add a penalty, or take another loss".to_string(),
            _ => "lower the learning rate, or add a penalty".to_string(),
        };
        help += ", by `gan.set` where the GAN is at hand";
        if let Some(best) = self.gan.best_score() {
            help += &format!(
                "; `gan.best()` is step {}, {} {}",
                best.step,
                best.score,
                crate::figure::significant(best.value, 4)
            );
        }
        if self.guards.stopped.is_some() {
            help += "; `guards: []` trains on all the same";
        }
        Ok((Error { kind: Kind::Stopped, ..Error::new(message).help(help) }, back))
    }

    /// How much real images of a class differ; none if they do not.
    fn real_spread(&self) -> Result<Option<f64>> {
        let mut pixels = Vec::new();
        let mut classes = Vec::new();
        for k in 0..REAL.div_ceil(self.gan.options.batch) as u64 {
            let (images, rows) = self.real(k)?;
            pixels.extend(images.to_f32s()?);
            let rows = rows.to_f32s()?;
            classes.extend(rows.chunks_exact(self.gan.classes.len()).map(likeliest));
        }
        let size = pixels.len() / classes.len().max(1);
        let within = spread(&pixels, size, &classes, PAIRS);
        let any = || spread(&pixels, size, &vec![Some(0); classes.len()], 1);
        Ok(within.or_else(any).filter(|real| *real > 0.0))
    }

    /// How much generated images of a class differ.
    fn fake_spread(&self, done: u64) -> Result<f64> {
        let gan = &*self.gan;
        let rng = self.rng.stream("guard");
        let kinds = gan.classes.len().min(CLASSES);
        let labels: Vec<u32> = (0..IMAGES).map(|i| (i % kinds) as u32).collect();
        let z = Prior::named(&gan.options.z)?.draw(&mut rng.at(done), IMAGES, gan.options.z_dim, &gan.device)?;
        let rows = Tensor::from_u32s(labels.clone(), &[IMAGES], &gan.device)?.one_hot(gan.classes.len())?;
        let images = no_grad(|| gan.generator.forward(&z, Some(&rows), Mode::Still))?.to_f32s()?;
        let classes: Vec<Option<usize>> = labels.into_iter().map(|label| Some(label as usize)).collect();
        Ok(spread(&images, images.len() / IMAGES, &classes, 1).unwrap_or(0.0))
    }
}

/// The class with the largest weight; none in a row of zeros.
fn likeliest(row: &[f32]) -> Option<usize> {
    let best = row.iter().enumerate().fold((0, 0.0), |best, (i, p)| if *p > best.1 { (i, *p) } else { best });
    (best.1 > 0.0).then_some(best.0)
}

/// The variance of images of a class, as half the mean square of the difference from one to the next of its class; none if there
/// are fewer pairs than `least`. An image has `size` numbers.
fn spread(pixels: &[f32], size: usize, classes: &[Option<usize>], least: usize) -> Option<f64> {
    let mut last: HashMap<usize, usize> = HashMap::new();
    let (mut sum, mut pairs) = (0.0, 0);
    for (i, class) in classes.iter().enumerate() {
        let Some(class) = class else { continue };
        if let Some(before) = last.insert(*class, i) {
            let (a, b) = (&pixels[before * size..][..size], &pixels[i * size..][..size]);
            sum += a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
            pairs += 1;
        }
    }
    (pairs >= least.max(1)).then(|| sum / (2 * pairs * size) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variance_within_a_class_is_half_the_square_from_one_image_to_the_next() {
        // Two classes that lie far apart: 0, 2 and 100, 104, of two pixels each; one image without a class.
        let pixels = [0., 0., 100., 100., 2., 2., 50., 50., 104., 104.];
        let classes = [Some(0), Some(1), Some(0), None, Some(1)];
        assert_eq!(spread(&pixels, 2, &classes, 2), Some((4.0 + 16.0) / 2.0 / 2.0));
        assert_eq!(spread(&pixels, 2, &classes, 3), None);
        assert_eq!((likeliest(&[0.2, 0.5, 0.3]), likeliest(&[0.0, 0.0])), (Some(1), None));
    }

    #[test]
    fn guards_count_what_comes_in_a_row() {
        let mut found = Found::default();
        let steps = |found: &mut Found, losses: &[f64]| losses.iter().for_each(|loss| found.step(*loss, 2.0));
        steps(&mut found, &[0.0, 0.0019, 0.0021, 0.001]);
        assert_eq!((found.won, found.blind), (1, 0));
        steps(&mut found, &[2.0, 2.0001, 1.9999]);
        assert_eq!((found.won, found.blind), (0, 3));
        steps(&mut found, &[2.001]);
        [0.5, 0.009, 0.0].into_iter().for_each(|share| found.look(share));
        assert_eq!(found, Found { same: 2, won: 0, blind: 0 });
        found.look(0.011);
        assert_eq!(found, Found::default());
    }
}
