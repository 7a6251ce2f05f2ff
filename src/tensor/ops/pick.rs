//! `t[i]`, `t[1..3]`, `t[[0, 1..3]]`: parts of a tensor as a language names them, with indices from the end.

use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// What is taken of one dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// One index, from the end if negative; the dimension goes.
    At(i64),
    /// From the first to before the second, from the end if negative; the dimension stays.
    Part(i64, i64),
}

impl Tensor {
    /// The part that `picks` names, one for each dimension from the first; further dimensions are taken whole.
    ///
    /// # Errors
    /// There are more picks than dimensions, or one reaches outside.
    pub fn pick(&self, picks: &[Pick]) -> Result<Tensor> {
        if picks.len() > self.rank() {
            return Err(Error::new(format!(
                "{} indices for a tensor of shape {:?}, which has {} dimensions",
                picks.len(),
                self.dims(),
                self.rank()
            )));
        }
        let mut part = self.clone();
        // Dimensions that go shift the ones after them.
        let mut dim = 0;
        for (which, pick) in picks.iter().enumerate() {
            let length = self.dims()[which];
            match *pick {
                Pick::At(index) => {
                    let at = from_end(index, length).filter(|at| *at < length).ok_or_else(|| {
                        let error = Error::new(format!(
                            "the index {index} is outside dimension {which} of shape {:?}",
                            self.dims()
                        ));
                        match length {
                            0 => error.help("the dimension is empty"),
                            _ => error.help(format!("indices go from 0 to {}, or from -{length} to -1", length - 1)),
                        }
                    })?;
                    part = part.narrow(dim, at, 1)?.squeeze(dim)?;
                }
                Pick::Part(start, end) => {
                    // As in Python, a part may reach past the end.
                    let (start, end) = (
                        from_end(start, length).unwrap_or(0).min(length),
                        from_end(end, length).unwrap_or(0).min(length),
                    );
                    part = part.narrow(dim, start, end.saturating_sub(start))?;
                    dim += 1;
                }
            }
        }
        Ok(part)
    }
}

/// An index from the start; nothing if it lies before it.
fn from_end(index: i64, length: usize) -> Option<usize> {
    match usize::try_from(index) {
        Ok(index) => Some(index),
        Err(_) => length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn picked(picks: &[Pick]) -> (Vec<usize>, Vec<f32>) {
        let t = Tensor::from_vec((0..12).map(|v| v as f32).collect(), &[3, 4], &Device::Cpu).unwrap();
        let part = t.pick(picks).unwrap();
        (part.dims().to_vec(), part.to_f32s().unwrap())
    }

    #[test]
    fn indices_drop_dimensions_and_parts_keep_them() {
        assert_eq!(picked(&[Pick::At(-1)]), (vec![4], vec![8.0, 9.0, 10.0, 11.0]));
        assert_eq!(picked(&[Pick::Part(1, i64::MAX), Pick::At(0)]), (vec![2], vec![4.0, 8.0]));
        assert_eq!(picked(&[Pick::At(0), Pick::Part(-2, 99)]), (vec![2], vec![2.0, 3.0]));
        assert_eq!(picked(&[Pick::Part(2, 1)]).0, [0, 4]);
    }

    #[test]
    fn an_index_outside_names_the_shape() {
        let t = Tensor::from_vec(vec![0.0; 6], &[3, 2], &Device::Cpu).unwrap();
        let error = t.pick(&[Pick::At(0), Pick::At(2)]).unwrap_err();
        assert_eq!(error.message, "the index 2 is outside dimension 1 of shape [3, 2]");
        assert_eq!(error.help.as_deref(), Some("indices go from 0 to 1, or from -2 to -1"));
        assert_eq!(
            t.pick(&[Pick::At(0); 3]).unwrap_err().message,
            "3 indices for a tensor of shape [3, 2], which has 2 dimensions"
        );
    }
}
