//! Norms of a network: over the batch (plain, conditional, self-modulated) or over each item (layer, instance, group).

mod kind;

pub use kind::{NORMS, NormKind};

use crate::error::{Error, Result};
use crate::nn::layer::Make;
use crate::nn::{Buffer, Init, Linear, Mode, Param, Pass, Store};
use crate::tensor::{Activation, DType, Tensor};

/// What norms are made with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormOptions {
    /// Which norm.
    pub kind: NormKind,
    /// How much of a moving average one batch leaves: 0.9 in Compare GAN's examples.
    pub decay: f64,
    /// Added to the variance.
    pub epsilon: f64,
    /// Groups of channels of a group norm.
    pub groups: usize,
    /// Hidden units of a self-modulated norm; 0 for none.
    pub hidden: usize,
    /// Whether the gamma and beta of a conditional norm have a bias.
    pub bias: bool,
    /// Leaves the 1 out of a conditional norm's gamma, as Compare GAN does.
    pub gain_without_one: bool,
    /// Leaves the variance of the batch means out of the standing variance, as Compare GAN does.
    pub standing_within: bool,
    /// The length of the condition (classes, or a latent chunk and an embedding).
    pub condition: usize,
    /// The length of the latent, for self-modulation.
    pub z: usize,
    /// How conditioning weights are made.
    pub make: Make,
}

impl NormOptions {
    /// Of the norm `kind` that looks at nothing besides its values; weights, if it has any, are made as `make` says.
    pub fn plain(kind: NormKind, make: Make) -> Self {
        Self {
            kind,
            decay: 0.9,
            epsilon: 1e-5,
            groups: 32,
            hidden: 32,
            bias: false,
            gain_without_one: false,
            standing_within: false,
            condition: 0,
            z: 0,
            make,
        }
    }
}

/// A norm of one place in a network, with its state.
#[derive(Clone)]
pub struct Norm {
    options: NormOptions,
    affine: Affine,
    state: Option<State>,
}

#[derive(Clone)]
enum Affine {
    None,
    Fixed { gamma: Param, beta: Param },
    Linear { hidden: Option<Linear>, gamma: Linear, beta: Linear },
}

#[derive(Clone)]
struct State {
    /// Mean and variance at evaluation, `[c]`.
    mean: Buffer,
    variance: Buffer,
    /// Sums over batches while standing statistics are gathered: of means, of variances, of squared means, and the count.
    sums: [Buffer; 3],
    count: Buffer,
}

impl Norm {
    /// For `channels` channels.
    ///
    /// # Errors
    /// A conditional norm without a condition.
    pub fn new(store: &Store, channels: usize, options: &NormOptions) -> Result<Self> {
        let c = [channels];
        let fixed = || -> Result<Affine> {
            Ok(Affine::Fixed {
                gamma: store.param("gamma", &c, Init::Constant(1.0))?,
                beta: store.param("beta", &c, Init::Constant(0.0))?,
            })
        };
        let affine = match options.kind {
            NormKind::None => Affine::None,
            NormKind::Batch | NormKind::Layer | NormKind::Instance => fixed()?,
            NormKind::Group => {
                let groups = options.groups.min(channels);
                if groups == 0 || !channels.is_multiple_of(groups) {
                    return Err(Error::new(format!(
                        "`group_norm` cannot cut {channels} channels into {groups} groups"
                    ))
                    .help("choose `norm_groups` so that it divides the channels of every layer with a norm"));
                }
                fixed()?
            }
            NormKind::Conditional => {
                if options.condition == 0 {
                    return Err(Error::new(
                        "`conditional_batch_norm` needs a condition, and the network has no classes",
                    )
                    .help("give the network `classes`, or use `batch_norm` or `self_modulated_batch_norm`"));
                }
                let make = Make { bias: options.bias, ..options.make };
                Affine::Linear {
                    hidden: None,
                    gamma: Linear::new(&store.sub("gamma"), options.condition, channels, make)?,
                    beta: Linear::new(&store.sub("beta"), options.condition, channels, make)?,
                }
            }
            NormKind::SelfModulated => {
                if options.z == 0 {
                    return Err(Error::new("`self_modulated_batch_norm` needs a latent, which only a generator has")
                        .help("use `batch_norm`, `layer_norm` or `none` in a discriminator"));
                }
                let (hidden, width) = match options.hidden {
                    0 => (None, options.z),
                    units => (Some(Linear::new(&store.sub("hidden"), options.z, units, options.make)?), units),
                };
                Affine::Linear {
                    hidden,
                    gamma: Linear::new(&store.sub("gamma"), width, channels, options.make)?,
                    beta: Linear::new(&store.sub("beta"), width, channels, options.make)?,
                }
            }
        };
        let state = if !options.kind.over_batch() {
            None
        } else {
            let zeros = || Tensor::zeros(&c, DType::F32, store.device());
            Some(State {
                mean: store.buffer("mean", zeros()?),
                variance: store.buffer("variance", Tensor::ones(&c, DType::F32, store.device())?),
                sums: [
                    store.buffer("sum_mean", zeros()?),
                    store.buffer("sum_variance", zeros()?),
                    store.buffer("sum_square", zeros()?),
                ],
                count: store.buffer("count", Tensor::zeros(&[1], DType::F32, store.device())?),
            })
        };
        Ok(Self { options: *options, affine, state })
    }

    /// Whether there is nothing to normalise, so that the activation is all.
    pub fn is_none(&self) -> bool {
        matches!(self.affine, Affine::None)
    }

    /// Normalises `x` (`[n, c, h, w]` or `[n, c]`), then applies `activation`.
    ///
    /// # Errors
    /// The pass lacks what the norm is conditioned on.
    pub fn forward(&self, x: &Tensor, pass: &Pass<'_>, activation: Activation) -> Result<Tensor> {
        let epsilon = self.options.epsilon;
        let (gamma, beta) = match &self.affine {
            Affine::None => return activation.apply(x),
            Affine::Fixed { gamma, beta } => (gamma.tensor(), beta.tensor()),
            Affine::Linear { hidden, gamma, beta } => self.modulation(hidden.as_ref(), gamma, beta, pass)?,
        };
        let Some(state) = &self.state else {
            let channels = x.dims().get(1).copied().unwrap_or(0);
            let groups = match self.options.kind {
                NormKind::Layer => 1,
                NormKind::Group => self.options.groups.min(channels),
                _ if x.rank() == 2 => {
                    return Err(Error::new("`instance_norm` normalises over pixels, and was given a vector")
                        .help("use `layer_norm`, `group_norm` or `batch_norm`"));
                }
                _ => channels,
            };
            return x.group_norm(groups, &gamma, &beta, epsilon, activation);
        };
        if pass.mode == Mode::Eval {
            return x.batch_norm_with(&state.mean.value(), &state.variance.value(), &gamma, &beta, epsilon, activation);
        }
        let result = x.batch_norm(&gamma, &beta, epsilon, activation)?;
        match pass.mode {
            Mode::Train => {
                let decay = self.options.decay;
                let blend = |old: &Buffer, new: &Tensor| {
                    old.set(old.value().mul_scalar(decay)?.add(&new.mul_scalar(1.0 - decay)?)?)
                };
                blend(&state.mean, &result.mean)?;
                blend(&state.variance, &result.variance)?;
            }
            Mode::Standing => state.gather(&result.mean, &result.variance, self.options.standing_within)?,
            Mode::Still | Mode::Eval => (),
        }
        Ok(result.output)
    }

    /// Gamma and beta of each item, `[n, c]`.
    fn modulation(
        &self,
        hidden: Option<&Linear>,
        gamma: &Linear,
        beta: &Linear,
        pass: &Pass<'_>,
    ) -> Result<(Tensor, Tensor)> {
        let modulated = self.options.kind == NormKind::SelfModulated;
        let seen = if modulated { pass.z } else { pass.condition };
        let seen = seen.ok_or_else(|| {
            Error::new("a conditional norm was run without labels").help("give the labels as the second argument")
        })?;
        let seen = match hidden {
            Some(hidden) => hidden.forward(seen, pass.mode)?.relu()?,
            None => seen.clone(),
        };
        let one = if self.options.gain_without_one && !modulated { 0.0 } else { 1.0 };
        Ok((gamma.forward(&seen, pass.mode)?.add_scalar(one)?, beta.forward(&seen, pass.mode)?))
    }
}

impl State {
    /// Adds one batch, and puts the statistics so far where evaluation finds them.
    ///
    /// The variance of a channel over all batches is the mean of the batch variances plus the variance of the batch means;
    /// Compare GAN keeps the part `within` batches alone.
    fn gather(&self, mean: &Tensor, variance: &Tensor, within: bool) -> Result<()> {
        for (sum, new) in self.sums.iter().zip([mean.clone(), variance.clone(), mean.square()?]) {
            sum.set(sum.value().add(&new)?)?;
        }
        self.count.set(self.count.value().add_scalar(1.0)?)?;
        let count = self.count.value();
        let [mean, variance, square] = [0, 1, 2].map(|i| self.sums[i].value().div(&count));
        let (mean, variance, square) = (mean?, variance?, square?);
        let between = square.sub(&mean.square()?)?.clamp(0.0, f64::MAX)?;
        self.variance.set(if within { variance } else { variance.add(&between)? })?;
        self.mean.set(mean)
    }
}

/// Sets the standing statistics of every norm in `store` back, before they are gathered anew.
pub(crate) fn forget_standing(store: &Store) -> Result<()> {
    for buffer in store.buffers() {
        let name = buffer.name().rsplit('.').next().unwrap_or_default();
        if matches!(name, "sum_mean" | "sum_variance" | "sum_square" | "count") {
            buffer.set(buffer.value().mul_scalar(0.0)?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Device;

    fn batch_norm(change: impl Fn(&mut NormOptions)) -> (Store, Norm) {
        let store = Store::new(1, &Device::Cpu);
        let mut options = NormOptions::plain(NormKind::Batch, Make::plain(Init::Constant(0.0)));
        change(&mut options);
        let norm = Norm::new(&store, 3, &options).unwrap();
        (store, norm)
    }

    /// The images of Compare GAN's own test, four of 2x1 pixels with three channels, channels first.
    fn images() -> Tensor {
        let pixels: [[[f32; 3]; 2]; 4] = [
            [[5.0, 7.0, 2.0], [5.0, 8.0, 8.0]],
            [[1.0, 2.0, 0.0], [4.0, 0.0, 4.0]],
            [[6.0, 2.0, 6.0], [5.0, 0.0, 5.0]],
            [[2.0, 4.0, 2.0], [6.0, 4.0, 1.0]],
        ];
        let values = pixels.iter().flat_map(|image| (0..3).flat_map(move |c| image.iter().map(move |pixel| pixel[c])));
        Tensor::from_vec(values.collect(), &[4, 3, 2, 1], &Device::Cpu).unwrap()
    }

    #[test]
    fn batch_norm_gives_the_numbers_of_compare_gan() {
        let (_, norm) = batch_norm(|options| options.epsilon = 1e-3);
        let y = norm.forward(&images(), &Pass::plain(Mode::Train), Activation::None).unwrap().to_f32s().unwrap();
        let pixel = |image: usize, i: usize| [0, 1, 2].map(|c| y[image * 6 + c * 2 + i]);
        let expected = [
            (pixel(0, 0), [0.437_520_5, 1.303_368_8, -0.588_303_15]),
            (pixel(0, 1), [0.437_520_5, 1.662_918_8, 1.764_909_5]),
            (pixel(1, 0), [-1.895_922_2, -0.494_381_2, -1.372_707_4]),
        ];
        for (ours, theirs) in expected {
            assert!(ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() < 2e-6), "{ours:?}, expected {theirs:?}");
        }
    }

    #[test]
    fn moving_averages_move_in_training_alone_and_serve_evaluation() {
        let (store, norm) = batch_norm(|options| options.decay = 0.75);
        let state = |store: &Store| store.buffers().iter().map(|b| b.value().to_f32s().unwrap()).collect::<Vec<_>>();
        let before = state(&store);
        for mode in [Mode::Eval, Mode::Still] {
            norm.forward(&images(), &Pass::plain(mode), Activation::None).unwrap();
            assert_eq!(state(&store), before, "{mode:?}");
        }
        norm.forward(&images(), &Pass::plain(Mode::Train), Activation::None).unwrap();
        // Mean 4.25 and biased variance 2.9375 of the first channel, from 0 and 1.
        let [mean, variance] = [0, 1].map(|i| store.buffers()[i].value().to_f32s().unwrap()[0]);
        assert!((mean - 0.25 * 4.25).abs() < 1e-6 && (variance - (0.75 + 0.25 * 2.9375)).abs() < 1e-6);
        let y = norm.forward(&images(), &Pass::plain(Mode::Eval), Activation::None).unwrap().to_f32s().unwrap()[0];
        assert!((y - (5.0 - mean) / (variance + 1e-5).sqrt()).abs() < 1e-5);
    }

    #[test]
    fn standing_statistics_are_those_of_compare_gan_within_batches_and_those_of_all_values_else() {
        for (within, expected) in [(true, [5.0, 6.0]), (false, [9.0, 10.0])] {
            let zeros = || Tensor::zeros(&[2], DType::F32, &Device::Cpu).unwrap();
            let store = Store::new(1, &Device::Cpu);
            let buffer = |name: &str| store.buffer(name, zeros());
            let count = store.buffer("count", Tensor::zeros(&[1], DType::F32, &Device::Cpu).unwrap());
            let state = State {
                mean: buffer("mean"),
                variance: buffer("variance"),
                sums: [buffer("sum_mean"), buffer("sum_variance"), buffer("sum_square")],
                count,
            };
            let pair = |a: f32, b: f32| Tensor::from_vec(vec![a, b], &[2], &Device::Cpu).unwrap();
            let numbers = |buffer: &Buffer| buffer.value().to_f32s().unwrap();
            state.gather(&pair(1.0, 2.0), &pair(3.0, 4.0), within).unwrap();
            assert_eq!((numbers(&state.mean), numbers(&state.variance)), (vec![1.0, 2.0], vec![3.0, 4.0]));
            state.gather(&pair(5.0, 6.0), &pair(7.0, 8.0), within).unwrap();
            assert_eq!((numbers(&state.mean), numbers(&state.variance)), (vec![3.0, 4.0], expected.to_vec()));
            assert_eq!(numbers(&state.count), [2.0]);
        }
    }

    #[test]
    fn standing_statistics_begin_anew_when_they_are_forgotten() {
        let (store, norm) = batch_norm(|_| ());
        let gather = |images: &Tensor| {
            norm.forward(images, &Pass::plain(Mode::Standing), Activation::None).unwrap();
            [0, 1].map(|i| store.buffers()[i].value().to_f32s().unwrap())
        };
        let first = gather(&images());
        assert_ne!(gather(&images().mul_scalar(3.0).unwrap()), first);
        forget_standing(&store).unwrap();
        assert_eq!(gather(&images()), first);
    }

    #[test]
    fn evaluation_adds_the_epsilon_asked_for() {
        let (_, norm) = batch_norm(|options| options.epsilon = 0.5);
        let x = Tensor::from_vec(vec![3.0; 3], &[1, 3], &Device::Cpu).unwrap();
        let y = norm.forward(&x, &Pass::plain(Mode::Eval), Activation::None).unwrap().to_f32s().unwrap();
        // The moving averages begin as 0 and 1.
        assert!(y.iter().all(|y| (y - 3.0 / 1.5f32.sqrt()).abs() < 1e-6), "{y:?}");
    }

    #[test]
    fn the_standing_variance_of_even_batches_is_that_between_them_unless_compare_gans_is_asked_for() {
        for (within, expected) in [(false, 1.0), (true, 0.0)] {
            let (store, norm) = batch_norm(|options| options.standing_within = within);
            for value in [0.0, 2.0] {
                let x = Tensor::full(value, &[2, 3], DType::F32, &Device::Cpu).unwrap();
                norm.forward(&x, &Pass::plain(Mode::Standing), Activation::None).unwrap();
            }
            assert_eq!(store.buffers()[1].value().to_f32s().unwrap(), [expected; 3]);
        }
    }
}
