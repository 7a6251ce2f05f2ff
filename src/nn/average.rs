//! Running averages of weights.

use crate::error::Result;
use crate::nn::Store;
use crate::tensor::{Tensor, blends};

/// An exponential moving average of a network's parameters, kept in a network of its own.
///
/// The effective decay grows from 0 as min(decay, (1 + t) / (10 + t)), as in TensorFlow's ExponentialMovingAverage with
/// `num_updates`, so that the first values are forgotten early on. With a later start the average equals the raw values up
/// to it and has the full decay from there on, as in Compare GAN. State that is not trained is copied.
pub struct Average {
    decay: f64,
    start: u64,
    updates: u64,
}

impl Average {
    /// A share `decay` of the average stays at each update.
    pub fn new(decay: f64) -> Self {
        Self { decay, start: 0, updates: 0 }
    }

    /// Equals the raw values through the first `start` updates.
    #[must_use]
    pub fn from(self, start: u64) -> Self {
        Self { start, ..self }
    }

    /// The share of the average that stays at the update number `t`, counted from 1.
    fn decay_at(&self, t: u64) -> f64 {
        match self.start {
            0 => self.decay.min((1 + t) as f64 / (10 + t) as f64),
            start if t <= start => 0.0,
            _ => self.decay,
        }
    }

    /// Moves `average` towards `raw`, a store of the same architecture.
    ///
    /// # Errors
    /// The architectures differ.
    pub fn update(&mut self, average: &Store, raw: &Store) -> Result<()> {
        self.updates += 1;
        let decay = self.decay_at(self.updates);
        let pairs: Vec<(Tensor, Tensor)> =
            average.params().iter().zip(raw.params()).map(|(old, new)| (old.value(), new.value())).collect();
        // Not blended at 0: old + (new - old) is not new to the last bit.
        let values = match decay {
            0.0 => pairs.into_iter().map(|(_, new)| new).collect(),
            _ => blends(&pairs.iter().map(|(old, new)| (old, new)).collect::<Vec<_>>(), 1.0 - decay)?,
        };
        for (average, value) in average.params().iter().zip(values) {
            average.set(value)?;
        }
        for (average, raw) in average.buffers().iter().zip(raw.buffers()) {
            average.set(raw.value())?;
        }
        Ok(())
    }

    /// How many updates were made.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Says how many updates were made before, when a run is resumed.
    pub fn resume(&mut self, updates: u64) {
        self.updates = updates;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Init;
    use crate::tensor::Device;

    /// The average after each of the raw values 1, 2, 3, 4.
    fn through(mut average: Average) -> Vec<f64> {
        let [mean, raw] = [0.0, 0.0].map(|first| {
            let store = Store::new(1, &Device::Cpu);
            store.param("w", &[1], Init::Constant(first)).unwrap();
            store
        });
        let step = |value: f64| {
            let (to, dtype) = (raw.params()[0].clone(), raw.params()[0].value().dtype());
            to.set(Tensor::full(value, &[1], dtype, &Device::Cpu).unwrap()).unwrap();
            average.update(&mean, &raw).unwrap();
            mean.params()[0].value().to_f64s().unwrap()[0]
        };
        [1.0, 2.0, 3.0, 4.0].map(step).to_vec()
    }

    #[test]
    fn an_average_that_starts_later_equals_the_raw_values_until_then() {
        assert_eq!(through(Average::new(0.75).from(2)), [1.0, 2.0, 2.25, 2.6875]);
        // (1 + t) / (10 + t) is 2/11, 3/12 at first: most of the first value is gone at once.
        let early = through(Average::new(0.75));
        assert!((early[0] - 9.0 / 11.0).abs() < 1e-6 && (early[1] - (early[0] * 0.25 + 1.5)).abs() < 1e-6, "{early:?}");
    }

    #[test]
    fn what_is_not_trained_is_copied() {
        let [mean, raw] = [0.0, 4.0].map(|value| {
            let store = Store::new(1, &Device::Cpu);
            store.buffer("variance", Tensor::scalar(value).unwrap());
            store
        });
        Average::new(0.75).update(&mean, &raw).unwrap();
        assert_eq!(mean.buffers()[0].value().value().unwrap(), 4.0);
    }
}
