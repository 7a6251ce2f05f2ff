//! Directions in which a generator's images change most, read off its weights.

use faer::MatRef;

use crate::error::{Error, Result};
use crate::gan::Gan;
use crate::gan::journey::Along;
use crate::nn::eigen;
use crate::progress::{Picture, Stop};
use crate::tensor::Tensor;

/// Directions among latents, what changes most first.
#[derive(Clone)]
pub struct Directions {
    /// `[k, z_dim]`, each of length 1.
    pub vectors: Vec<Vec<f32>>,
    /// How much the first layer's output changes along each, squared.
    pub values: Vec<f64>,
}

/// What architectures call the layer that takes the latent. An embedding of it comes before the layer of that name.
const FIRST: &[&str] = &["embed_z", "linear", "linear1"];

impl Gan {
    /// The first `count` directions of SeFa (Shen & Zhou 2021, arXiv:2007.06600): the eigenvectors of `AᵀA`, where `A` is the
    /// weight by which the first layer takes the latent. A latent that is cut into parts moves in its first part.
    ///
    /// # Errors
    /// There are not so many.
    pub fn directions(&self, count: usize) -> Result<Directions> {
        let params = self.sampler().store().params();
        let weight = FIRST.iter().find_map(|first| {
            let name = format!("generator.{first}.weight");
            params.iter().find(|param| param.name() == name).map(|param| param.value())
        });
        let weight = weight.ok_or_else(|| {
            Error::new(format!("`{}` has no first linear layer to take directions from", self.sampler().architecture()))
        })?;
        directions(&weight, self.options.z_dim, count)
    }

    /// A picture of each of `directions` from the same latent, one below the other; `how.rows` is left aside.
    ///
    /// # Errors
    /// As [`along`](Self::along).
    pub fn along_each(&self, directions: &Directions, how: &Along, stop: &Stop) -> Result<Picture> {
        let z = self.latents(1, how.draw)?;
        let class = how.class.unwrap_or(0);
        let rows = directions.vectors.iter().enumerate();
        let rows: Vec<_> = rows.map(|(i, d)| (z.as_slice(), class, d.as_slice(), format!("{}", i + 1))).collect();
        self.moved(&rows, how, stop)
    }
}

/// The directions of a weight `[out, in]` whose first columns take a latent of `z_dim` numbers, or its first part.
fn directions(weight: &Tensor, z_dim: usize, count: usize) -> Result<Directions> {
    let [out, inputs] = weight.dims2()?;
    let width = inputs.min(z_dim);
    if count == 0 || count > width {
        return Err(Error::new(format!("there are {width} directions, and {count} were asked for"))
            .help(format!("from 1 to {width} can be asked for")));
    }
    let values = weight.to_f64s()?;
    let a = MatRef::from_row_major_slice(&values, out, inputs).subcols(0, width);
    let (values, vectors) = eigen(a.transpose() * a)?;
    let mut found = Directions { vectors: Vec::new(), values: Vec::new() };
    for place in (0..width).rev().take(count) {
        let vector = vectors.col(place);
        // Either sign is as good; the number of largest size is positive.
        let largest = vector.iter().fold(0.0f64, |largest, v| if v.abs() > largest.abs() { *v } else { largest });
        let mut vector: Vec<f32> = vector.iter().map(|v| (v * largest.signum()) as f32).collect();
        vector.resize(z_dim, 0.0);
        found.vectors.push(vector);
        found.values.push(values[place].max(0.0));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Device;

    #[test]
    fn directions_are_those_of_numpy() {
        // numpy 2.4.6: w, v = np.linalg.eigh(A.T @ A), the last first, signs settled as here;
        // A = np.array([[1, 2, 0], [0, 1, -1], [3, 0, 1], [1, 1, 1]]).
        let a = vec![1., 2., 0., 0., 1., -1., 3., 0., 1., 1., 1., 1.];
        let weight = Tensor::from_vec(a, &[4, 3], &Device::Cpu).unwrap();
        let found = directions(&weight, 5, 3).unwrap();
        let values = [13.672268560150, 5.290950559760, 1.036780880091];
        let vectors = [
            [0.879302093672, 0.343823506742, 0.329565204892],
            [-0.213443313526, 0.903082217174, -0.372672055478],
            [-0.425757888917, 0.257347829280, 0.867468912867],
        ];
        for i in 0..3 {
            assert!((found.values[i] - values[i]).abs() < 1e-9, "{:?}", found.values);
            for (ours, theirs) in found.vectors[i].iter().zip(vectors[i]) {
                assert!((f64::from(*ours) - theirs).abs() < 1e-6, "{:?}", found.vectors[i]);
            }
            assert_eq!(found.vectors[i][3..], [0.0, 0.0], "the layer does not see the rest of the latent");
        }
        // A wider layer takes more than the latent: only the latent's columns count.
        assert_eq!(directions(&weight, 2, 2).unwrap().vectors[0].len(), 2);
        assert_eq!(directions(&weight, 5, 4).err().unwrap().message, "there are 3 directions, and 4 were asked for");
    }

    #[test]
    fn only_the_columns_of_the_latent_count() {
        let of = |values: Vec<f32>, columns: usize| {
            let found = directions(&Tensor::from_vec(values, &[4, columns], &Device::Cpu).unwrap(), 2, 2).unwrap();
            (found.vectors, found.values)
        };
        let wide = vec![1., 2., 0., 0., 1., -1., 3., 0., 1., 1., 1., 1.];
        assert_eq!(of(wide, 3), of(vec![1., 2., 0., 1., 3., 0., 1., 1.], 2));
    }
}
