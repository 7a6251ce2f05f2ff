//! Numbers of steps that wait to be read: on a GPU each reading waits for all that was asked of it.

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::gan::Gan;
use crate::gan::objective::{Told, Values};
use crate::tensor::{Device, Tensor};

/// Steps between readings, at most.
const STEPS: usize = 16;
/// Time between readings after which a person would wonder.
const WHILE: Duration = Duration::from_millis(300);

/// What steps measured that nobody has read yet, and the networks as they were before them.
///
/// A number that is not finite is found a few steps late. The networks are then put back to where they were at the last
/// reading: tensors are never changed in place, so that keeping them costs no copy.
pub(super) struct Unread {
    told: Vec<Told>,
    before: Kept,
    since: Instant,
}

/// Everything that steps change.
struct Kept {
    step: u64,
    stores: Vec<Vec<Tensor>>,
    optimisers: Vec<Vec<(String, Tensor)>>,
    updates: u64,
}

impl Unread {
    /// For the training of `gan`, if its numbers are far away and nothing else looks at them in the middle of a step.
    pub(super) fn of(gan: &Gan) -> Result<Option<Self>> {
        let far = !matches!(gan.device, Device::Cpu);
        let looks = gan.third.is_some() || gan.options.clip_norm > 0.0;
        if far && !looks { Self::new(gan).map(Some) } else { Ok(None) }
    }

    fn new(gan: &Gan) -> Result<Self> {
        Ok(Self { told: Vec::new(), before: Kept::of(gan)?, since: Instant::now() })
    }

    pub(super) fn push(&mut self, told: Told) {
        self.told.push(told);
    }

    /// Whether so many steps wait, or so long, that they should be read.
    pub(super) fn full(&self) -> bool {
        self.told.len() >= STEPS || self.since.elapsed() >= WHILE
    }

    /// The numbers of each step that waits. If one is not finite, `gan` is put back to where it was before the first of them.
    pub(super) fn read(&mut self, gan: &mut Gan) -> Result<Vec<Values>> {
        let all: Vec<&Tensor> = self.told.iter().flatten().map(|(_, value)| value).collect();
        let mut values = Tensor::values_of(&all)?.into_iter();
        let steps: Vec<Values> =
            self.told.iter().map(|told| told.iter().map(|(name, _)| *name).zip(values.by_ref()).collect()).collect();
        self.told.clear();
        self.since = Instant::now();
        match steps.iter().flatten().all(|(_, value)| value.is_finite()) {
            true => self.before = Kept::of(gan)?,
            false => self.before.put_back(gan)?,
        }
        Ok(steps)
    }
}

impl Kept {
    fn of(gan: &Gan) -> Result<Self> {
        let mut stores = vec![gan.generator.store(), gan.discriminator.store()];
        stores.extend(gan.average.as_ref().map(|(network, _)| network.store()));
        let values = stores.into_iter().map(|store| store.state().into_iter().map(|(_, value)| value).collect());
        Ok(Self {
            step: gan.step,
            stores: values.collect(),
            optimisers: vec![gan.g_optimiser.state()?, gan.d_optimiser.state()?],
            updates: gan.average.as_ref().map_or(0, |(_, average)| average.updates()),
        })
    }

    fn put_back(&self, gan: &mut Gan) -> Result<()> {
        gan.generator.store().restore(self.stores[0].clone())?;
        gan.discriminator.store().restore(self.stores[1].clone())?;
        if let Some((network, average)) = &mut gan.average {
            network.store().restore(self.stores[2].clone())?;
            average.resume(self.updates);
        }
        for (optimiser, state) in [&mut gan.g_optimiser, &mut gan.d_optimiser].into_iter().zip(&self.optimisers) {
            optimiser
                .load(&mut |name| state.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()))?;
        }
        gan.step = self.step;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{self, Labelled, LoadOptions};
    use crate::gan::{self, TrainOptions};
    use crate::progress::Job;

    fn trained(data: &Labelled, steps: usize) -> Gan {
        let small =
            TrainOptions { steps, batch: 4, g_channels: 4, d_channels: 4, z_dim: 4, ..gan::method("biggan").unwrap() };
        let options = TrainOptions { sample_every: 0, checkpoint_every: 0, ..small };
        gan::train(data, options, &Device::Cpu, &Job::silent(), None).unwrap()
    }

    fn bits(gan: &Gan) -> Vec<u32> {
        let mut state = gan.sampler().store().state();
        state.extend([gan.generator.store().state(), gan.discriminator.store().state()].concat());
        state.extend([gan.g_optimiser.state().unwrap(), gan.d_optimiser.state().unwrap()].concat());
        state.iter().flat_map(|(_, tensor)| tensor.to_f32s().unwrap()).map(f32::to_bits).collect()
    }

    fn told(value: f64) -> Told {
        vec![("d_loss", Tensor::scalar(1.0).unwrap()), ("g_loss", Tensor::scalar(value).unwrap())]
    }

    #[test]
    fn a_number_that_is_not_finite_puts_the_networks_back_and_others_do_not() {
        let data = data::load("fashion-mnist-10k", &LoadOptions::default()).unwrap().train;
        let data = data.select("few", &(0..40).collect::<Vec<_>>()).unwrap().keep_labels(1.0, 1).unwrap().only_known();
        let mut gan = trained(&data, 1);
        let mut unread = Unread::new(&gan).unwrap();
        gan.train(&data, 2, &Job::silent(), None).unwrap();
        unread.push(told(2.0));
        unread.push(told(3.0));
        let fine = bits(&gan);
        let read = unread.read(&mut gan).unwrap();
        assert_eq!(read, [[("d_loss", 1.0), ("g_loss", 2.0)], [("d_loss", 1.0), ("g_loss", 3.0)]]);
        assert!(bits(&gan) == fine && gan.step() == 3);

        gan.train(&data, 2, &Job::silent(), None).unwrap();
        assert!(bits(&gan) != fine && gan.step() == 5);
        unread.push(told(4.0));
        unread.push(told(f64::NAN));
        assert!(unread.read(&mut gan).unwrap()[1][1].1.is_nan());
        assert!(bits(&gan) == fine && gan.step() == 3);
        // And they train on from there.
        gan.train(&data, 1, &Job::silent(), None).unwrap();
    }
}
