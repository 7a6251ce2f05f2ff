//! A weight over its largest singular value, in a few passes over memory, on a GPU.

use crate::error::Result;
use crate::tensor::Tensor;
#[cfg(feature = "cuda")]
use crate::tensor::grad::{operator, recording, vjp};

impl Tensor {
    /// This weight, a matrix of its first dimension by all others, over its singular value after `iterations` steps of the
    /// power iteration from `u`, `[1, length]`: a vector of the first dimension if `first`, else of the others. Then the new
    /// `u`. The vectors count as constants of the gradient.
    ///
    /// `None` where no kernel does it.
    ///
    /// # Errors
    /// The GPU refused.
    #[cfg_attr(not(feature = "cuda"), allow(unused_variables))]
    pub fn over_singular_value(
        &self,
        u: &Tensor,
        first: bool,
        iterations: usize,
        epsilon: f64,
    ) -> Result<Option<(Tensor, Tensor)>> {
        #[cfg(feature = "cuda")]
        if self.has_kernels() {
            return fused(self, u, first, iterations, epsilon).map(Some);
        }
        Ok(None)
    }
}

#[cfg(feature = "cuda")]
fn fused(weight: &Tensor, u: &Tensor, first: bool, iterations: usize, epsilon: f64) -> Result<(Tensor, Tensor)> {
    use crate::tensor::cuda;
    let dims = weight.dims().to_vec();
    let matrix = [dims[0], dims[1..].iter().product()];
    let flat = crate::tensor::no_grad(|| weight.reshape(&matrix))?;
    let found = cuda::singular(flat.raw(), u.raw(), first, iterations, epsilon)?;
    let new = Tensor::from_raw(if first { &found.left } else { &found.right }.clone());
    let value = cuda::over_sigma(flat.raw(), &found)?.reshape(dims.as_slice())?;
    let weight_then = weight.clone();
    let normal = operator("spectral_norm", value, &[weight], move |incoming| {
        if recording() {
            // The fused pass is first order only: state the same function in operators and differentiate that.
            let weight = weight_then.alias();
            let (left, right) = (Tensor::from_raw(found.left.clone()), Tensor::from_raw(found.right.clone()));
            let sigma = left.matmul(&weight.reshape(&matrix)?)?.mul(&right)?.sum_all()?;
            let y = weight.div(&sigma.reshape(&vec![1; weight.rank()])?)?;
            return vjp(&y, incoming.grad, &[&weight], true);
        }
        let grad = cuda::over_sigma_back(flat.raw(), incoming.grad.raw(), &found)?;
        Ok(vec![Some(Tensor::from_raw(grad.reshape(weight_then.dims())?))])
    });
    Ok((normal, new))
}
