//! Which real images stand in for generated ones: what they score is the mark to reach.

use super::evaluate::Evaluation;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::tensor::Rng;

/// Which real images stand in for generated ones.
pub(super) enum Floor {
    /// Some of the other real images, as many as are generated.
    Other(Dataset),
    /// Half of the real images against the other half.
    Halves([Vec<usize>; 2]),
}

impl Floor {
    /// What a protocol says of it.
    pub(super) fn name(&self, real: &Dataset) -> String {
        match self {
            Floor::Other(other) => {
                format!("{} of {} against {} of {}", other.n(), other.name(), real.n(), real.name())
            }
            Floor::Halves([a, b]) => format!("{} against {}, halves of {}", a.len(), b.len(), real.name()),
        }
    }
}

impl Evaluation<'_> {
    /// The real images that stand in for generated ones: class by class as many, where classes are known.
    pub(super) fn floor(&self, seed: u64) -> Result<Floor> {
        let rng = Rng::new(seed).stream("floor");
        let Some(other) = self.other else {
            let mut halves = [Vec::new(), Vec::new()];
            for members in shuffled_classes(self.real, &rng) {
                for row in members {
                    // To the shorter half, so that odd classes even out.
                    let half = usize::from(halves[1].len() < halves[0].len());
                    halves[half].push(row as usize);
                }
            }
            halves.iter_mut().for_each(|half| half.sort_unstable());
            return Ok(Floor::Halves(halves));
        };
        if other.shape() != self.real.shape() {
            return Err(Error::new(format!(
                "images of {} are {}, images of {} are {}; both must be alike",
                other.name(),
                other.shape(),
                self.real.name(),
                self.real.shape()
            )));
        }
        let members = shuffled_classes(other, &rng);
        let wanted: Vec<usize> = match self.fake_labels {
            Some(labels) if members.len() > 1 => (0..members.len())
                .map(|class| labels.iter().filter(|&&label| label as usize == class).count())
                .collect(),
            // In proportion to what there is.
            _ => members.iter().map(|rows| (self.fake.n() * rows.len()).div_ceil(other.n())).collect(),
        };
        let mut rows: Vec<u32> =
            members.iter().zip(wanted).flat_map(|(rows, wanted)| rows.iter().copied().take(wanted)).collect();
        rows.truncate(self.fake.n());
        rows.sort_unstable();
        Ok(Floor::Other(other.select(other.name(), &rows)?))
    }
}

/// The images of each class in random order; all of them as one class, where classes are unknown.
fn shuffled_classes(data: &Dataset, rng: &Rng) -> Vec<Vec<u32>> {
    let members = data.truth().map_or_else(|_| vec![(0..data.n() as u32).collect()], |truth| truth.by_class());
    let shuffle = |(class, members): (usize, Vec<u32>)| {
        rng.at(class as u64).permutation(members.len()).into_iter().map(|place| members[place]).collect()
    };
    members.into_iter().enumerate().map(shuffle).collect()
}
