//! Matrix products.

use crate::error::{Error, Result};
use crate::tensor::Tensor;
#[cfg(feature = "cuda")]
use crate::tensor::cuda;
use crate::tensor::grad::operator;
use crate::tensor::room::room;

impl Tensor {
    /// The matrix product of the last two dimensions: `[.., m, k] x [.., k, n] -> [.., m, n]`. Dimensions before them are
    /// equal, or the right side is a plain matrix.
    ///
    /// # Errors
    /// Shapes do not fit; types differ.
    pub fn matmul(&self, other: &Tensor) -> Result<Tensor> {
        let (a, b) = (self.dims(), other.dims());
        let fits = a.len() >= 2 && b.len() >= 2 && a[a.len() - 1] == b[b.len() - 2];
        if !fits || self.dtype() != other.dtype() {
            return Err(Error::new(format!(
                "cannot multiply matrices of shapes {a:?} ({}) and {b:?} ({})",
                self.dtype().as_str(),
                other.dtype().as_str()
            ))
            .help("shapes must be [.., m, k] and [.., k, n], types the same"));
        }
        if b.len() == 2 && a.len() > 2 {
            let mut dims = a.to_vec();
            let rows = self.elements() / a[a.len() - 1];
            dims.pop();
            dims.push(b[1]);
            return self.reshape(&[rows, a[a.len() - 1]])?.matmul(other)?.reshape(&dims);
        }
        if a.len() != b.len() || a[..a.len() - 2] != b[..b.len() - 2] {
            return Err(Error::new(format!(
                "cannot multiply matrices of shapes {a:?} and {b:?}: the dimensions before the last two differ"
            ))
            .help("bring them to the same shape with `broadcast_to`"));
        }
        let mut dims = a.to_vec();
        dims[a.len() - 1] = b[b.len() - 1];
        room(&dims, self.dtype().size_in_bytes())?;
        #[cfg(feature = "cuda")]
        let (left, right) = match self.device().is_cuda() {
            true => (cuda::for_product(self.raw())?, cuda::for_product(other.raw())?),
            false => (self.raw().clone(), other.raw().clone()),
        };
        #[cfg(not(feature = "cuda"))]
        let (left, right) = (self.raw(), other.raw());
        let value = left.matmul(&right)?;
        let (a, b) = (self.clone(), other.clone());
        Ok(operator("matmul", value, &[self, other], move |incoming| {
            let g = incoming.grad;
            Ok(vec![
                if incoming.wants[0] { Some(g.matmul(&b.t()?)?) } else { None },
                if incoming.wants[1] { Some(a.t()?.matmul(g)?) } else { None },
            ])
        }))
    }
}
