//! Norms of a network: none, batch, conditional batch, self-modulated batch, layer.

use crate::error::{Error, Result};
use crate::nn::layer::Make;
use crate::nn::{Buffer, Init, Linear, Mode, Param, Pass, Store};
use crate::options::{Setting, Value};
use crate::table::Row;
use crate::tensor::{Activation, DType, Tensor};

/// Which norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// Nothing is normalised.
    None,
    /// Batch norm with one gamma and beta for each channel.
    Batch,
    /// Batch norm whose gamma and beta are linear in the condition.
    Conditional,
    /// Batch norm whose gamma and beta are a small network of the latent.
    SelfModulated,
    /// Layer norm.
    Layer,
}

/// A row of [`NORMS`].
pub struct NormRow {
    name: &'static str,
    doc: &'static str,
    kind: NormKind,
}

impl Row for NormRow {
    const KIND: &'static str = "norm";
    fn name(&self) -> &'static str {
        self.name
    }
    fn doc(&self) -> &'static str {
        self.doc
    }
}

/// Every norm a network may be built with.
pub const NORMS: &[NormRow] = &[
    NormRow { name: "none", doc: "Leaves values as they are.", kind: NormKind::None },
    NormRow {
        name: "batch_norm",
        doc: "Normalises each channel over the batch.\n\ngamma (x - mean) / sqrt(var + epsilon) + beta.   Ioffe & Szegedy 2015, arXiv:1502.03167.",
        kind: NormKind::Batch,
    },
    NormRow {
        name: "conditional_batch_norm",
        doc: "Batch norm whose gamma and beta depend on the condition, such as the class.\n\n\
              gamma = 1 + y W_gamma, beta = y W_beta.   de Vries et al. 2017, arXiv:1707.00683. Compare GAN leaves out the 1.",
        kind: NormKind::Conditional,
    },
    NormRow {
        name: "self_modulated_batch_norm",
        doc: "Batch norm whose gamma and beta depend on the latent.\n\n\
              h = relu(z W + b) of 32 units; gamma = 1 + h W_gamma + b_gamma, beta = h W_beta + b_beta.   Chen et al. 2018, arXiv:1810.01365.",
        kind: NormKind::SelfModulated,
    },
    NormRow {
        name: "layer_norm",
        doc: "Normalises each item over all its values.\n\nBa et al. 2016, arXiv:1607.06450.",
        kind: NormKind::Layer,
    },
];

impl NormKind {
    /// The norm called `name`.
    pub fn named(name: &str) -> Result<Self> {
        crate::table::find(NORMS, name).map(|row| row.kind)
    }
}

impl Setting for NormKind {
    const EXPECTED: &'static str =
        "`none`, `batch_norm`, `conditional_batch_norm`, `self_modulated_batch_norm` or `layer_norm`";
    fn from_value(value: Value) -> std::result::Result<Self, Value> {
        match &value {
            Value::Text(name) => NormKind::named(name).map_err(|_| value),
            _ => Err(value),
        }
    }
    fn to_value(&self) -> Value {
        let row = NORMS.iter().find(|row| row.kind == *self);
        Value::Text(row.map_or("none", |row| row.name).into())
    }
}

/// What norms are made with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormOptions {
    /// Which norm.
    pub kind: NormKind,
    /// How much of a moving average one batch leaves: 0.9 in Compare GAN's examples.
    pub decay: f64,
    /// Added to the variance.
    pub epsilon: f64,
    /// The length of the condition (classes, or a latent chunk and an embedding).
    pub condition: usize,
    /// The length of the latent, for self-modulation.
    pub z: usize,
    /// How conditioning weights are made.
    pub make: Make,
}

/// A norm of one place in a network, with its state.
#[derive(Clone)]
pub struct Norm {
    kind: NormKind,
    decay: f64,
    epsilon: f64,
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
            NormKind::Batch | NormKind::Layer => fixed()?,
            NormKind::Conditional => {
                if options.condition == 0 {
                    return Err(Error::new(
                        "`conditional_batch_norm` needs a condition, and the network has no classes",
                    )
                    .help("give the network `classes`, or use `batch_norm` or `self_modulated_batch_norm`"));
                }
                let make = options.make.unbiased();
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
                Affine::Linear {
                    hidden: Some(Linear::new(&store.sub("hidden"), options.z, 32, options.make)?),
                    gamma: Linear::new(&store.sub("gamma"), 32, channels, options.make)?,
                    beta: Linear::new(&store.sub("beta"), 32, channels, options.make)?,
                }
            }
        };
        let state = if matches!(options.kind, NormKind::None | NormKind::Layer) {
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
        Ok(Self { kind: options.kind, decay: options.decay, epsilon: options.epsilon, affine, state })
    }

    /// Normalises `x` (`[n, c, h, w]` or `[n, c]`), then applies `activation`.
    ///
    /// # Errors
    /// The pass lacks what the norm is conditioned on.
    pub fn forward(&self, x: &Tensor, pass: &Pass<'_>, activation: Activation) -> Result<Tensor> {
        let (gamma, beta) = match &self.affine {
            Affine::None => return activation.apply(x),
            Affine::Fixed { gamma, beta } => (gamma.tensor(), beta.tensor()),
            Affine::Linear { hidden, gamma, beta } => {
                let seen = if self.kind == NormKind::SelfModulated { pass.z } else { pass.condition };
                let seen = seen.ok_or_else(|| {
                    Error::new("a conditional norm was run without labels")
                        .help("give the labels as the second argument")
                })?;
                let seen = match hidden {
                    Some(hidden) => hidden.forward(seen, pass.mode)?.relu()?,
                    None => seen.clone(),
                };
                (gamma.forward(&seen, pass.mode)?.add_scalar(1.0)?, beta.forward(&seen, pass.mode)?)
            }
        };
        if self.kind == NormKind::Layer {
            return activation.apply(&x.layer_norm(&gamma, &beta, 1e-12)?);
        }
        let Some(state) = &self.state else { return Err(Error::bug("a batch norm has no state")) };
        if pass.mode == Mode::Eval {
            return x.batch_norm_with(
                &state.mean.value(),
                &state.variance.value(),
                &gamma,
                &beta,
                self.epsilon,
                activation,
            );
        }
        let result = x.batch_norm(&gamma, &beta, self.epsilon, activation)?;
        if pass.mode == Mode::Train {
            let blend = |old: &Buffer, new: &Tensor| {
                old.set(old.value().mul_scalar(self.decay)?.add(&new.mul_scalar(1.0 - self.decay)?)?)
            };
            blend(&state.mean, &result.mean)?;
            blend(&state.variance, &result.variance)?;
        } else {
            state.gather(&result.mean, &result.variance)?;
        }
        Ok(result.output)
    }
}

impl State {
    /// Adds one batch, and puts the statistics so far where evaluation finds them.
    ///
    /// The variance of a channel over all batches is the mean of the batch variances plus the variance of the batch means;
    /// Compare GAN leaves out the second part.
    fn gather(&self, mean: &Tensor, variance: &Tensor) -> Result<()> {
        for (sum, new) in self.sums.iter().zip([mean.clone(), variance.clone(), mean.square()?]) {
            sum.set(sum.value().add(&new)?)?;
        }
        self.count.set(self.count.value().add_scalar(1.0)?)?;
        let count = self.count.value();
        let [mean, variance, square] = [0, 1, 2].map(|i| self.sums[i].value().div(&count));
        let (mean, variance, square) = (mean?, variance?, square?);
        let between = square.sub(&mean.square()?)?.clamp(0.0, f64::MAX)?;
        self.variance.set(variance.add(&between)?)?;
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
