//! Running averages of weights.

use crate::error::Result;
use crate::nn::Store;
use crate::tensor::blend;

/// An exponential moving average of a network's parameters, kept in a network of its own.
///
/// The effective decay grows from 0 as min(decay, (1 + t) / (10 + t)), as in TensorFlow's ExponentialMovingAverage with
/// `num_updates`, so that the first values are forgotten early on. State that is not trained is copied.
pub struct Average {
    decay: f64,
    updates: u64,
}

impl Average {
    /// A share `decay` of the average stays at each update.
    pub fn new(decay: f64) -> Self {
        Self { decay, updates: 0 }
    }

    /// Moves `average` towards `raw`, a store of the same architecture.
    ///
    /// # Errors
    /// The architectures differ.
    pub fn update(&mut self, average: &Store, raw: &Store) -> Result<()> {
        self.updates += 1;
        let t = self.updates as f64;
        let decay = self.decay.min((1.0 + t) / (10.0 + t));
        for (average, raw) in average.params().iter().zip(raw.params()) {
            average.set(blend(&average.value(), &raw.value(), 1.0 - decay)?)?;
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
