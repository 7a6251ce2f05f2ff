//! Pretext tasks: what can be asked about images without labels.

use crate::error::{Error, Result};
use crate::table::Row;
use crate::tensor::Tensor;

/// A question about images whose answer is known because we asked it: a head on features and a loss.
pub struct Task {
    /// What a script calls it.
    pub name: &'static str,
    /// Its manual entry.
    pub doc: &'static str,
    /// How many answers there are.
    pub answers: usize,
    /// From images `[n, c, h, w]` to `[answers n, c, h, w]`, grouped by answer, the untouched ones first.
    pub ask: fn(&Tensor) -> Result<Tensor>,
}

impl Row for Task {
    const KIND: &'static str = "pretext task";
    fn name(&self) -> &'static str {
        self.name
    }
    fn doc(&self) -> &'static str {
        self.doc
    }
}

impl Task {
    /// The right answers to `ask` of `n` images, `[answers n]`, u32.
    pub fn answers_for(&self, n: usize, device: &crate::tensor::Device) -> Result<Tensor> {
        let answers = (0..self.answers as u32).flat_map(|answer| std::iter::repeat_n(answer, n)).collect();
        Tensor::from_u32s(answers, &[self.answers * n], device)
    }
}

/// Which way is up?
pub const ROTATION: Task = Task {
    name: "rotation",
    doc: "Tells by how many quarter turns an image was turned.\n\n\
          Each image is shown at 0, 90, 180 and 270 degrees, counter-clockwise; the loss is the cross-entropy over the four.   \
          Gidaris et al. 2018, arXiv:1803.07728.",
    answers: 4,
    ask: |images| {
        let [_, _, h, w] = images.dims4()?;
        if h != w {
            return Err(Error::new(format!("rotation needs square images, and was given {h}x{w}"))
                .help("crop or pad the images to a square when loading them"));
        }
        let turned: Vec<Tensor> = (0..4).map(|k| images.rotate90(k)).collect::<Result<_>>()?;
        Tensor::cat(&turned.iter().collect::<Vec<_>>(), 0)
    },
};

/// How many rows of `logits` `[n, answers]` have their largest value at the answer.
pub fn correct(logits: &Tensor, answers: &Tensor) -> Result<usize> {
    let (picked, answers) = (logits.argmax(1)?.to_u32s()?, answers.to_u32s()?);
    Ok(picked.iter().zip(&answers).filter(|(a, b)| a == b).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Device;

    #[test]
    fn quarter_turns_are_counter_clockwise_and_four_are_none() {
        let image = Tensor::from_vec(vec![1.0, 2.0, 3.0, 4.0], &[1, 1, 2, 2], &Device::Cpu).unwrap();
        let turned = (ROTATION.ask)(&image).unwrap().to_f32s().unwrap();
        assert_eq!(turned, [1., 2., 3., 4., 2., 4., 1., 3., 4., 3., 2., 1., 3., 1., 4., 2.]);
        assert_eq!(image.rotate90(1).unwrap().rotate90(3).unwrap().to_f32s().unwrap(), [1., 2., 3., 4.]);
        assert_eq!(ROTATION.answers_for(2, &Device::Cpu).unwrap().to_u32s().unwrap(), [0, 0, 1, 1, 2, 2, 3, 3]);
    }
}
