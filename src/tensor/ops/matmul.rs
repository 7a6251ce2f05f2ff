//! Matrix products.

use candle_core::{DType, Storage};

use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::tensor::cpu::matmul::{Walk, matmul};
#[cfg(feature = "cuda")]
use crate::tensor::cuda;
use crate::tensor::grad::{operator, recorded};
use crate::tensor::room::room;
use crate::tensor::value::{Raw, contiguous, from_cpu};

fn on_cpu(a: &Raw, b: &Raw, dims: &[usize]) -> Result<Raw> {
    let (a_turned, b_turned) = (turned(a), turned(b));
    let in_order = |raw: &Raw, turned: bool| match turned || raw.is_contiguous() {
        true => Ok(None),
        false => contiguous(raw).map(Some),
    };
    let (a_ordered, b_ordered) = (in_order(a, a_turned)?, in_order(b, b_turned)?);
    let (a, b) = (a_ordered.as_ref().unwrap_or(a), b_ordered.as_ref().unwrap_or(b));
    let (m, k, n) = (a.dim(a.rank() - 2)?, a.dim(a.rank() - 1)?, b.dim(b.rank() - 1)?);
    let walk =
        |rows, columns, turned| if turned { Walk { row: 1, column: rows } } else { Walk { row: columns, column: 1 } };
    let ((a_storage, a_layout), (b_storage, b_layout)) = (a.storage_and_layout(), b.storage_and_layout());
    let (Storage::Cpu(a_storage), Storage::Cpu(b_storage)) = (&*a_storage, &*b_storage) else {
        return Err(Error::bug("a CPU kernel was given a tensor that is elsewhere"));
    };
    let a_values = &a_storage.as_slice::<f32>()?[a_layout.start_offset()..];
    let b_values = &b_storage.as_slice::<f32>()?[b_layout.start_offset()..];
    let count = dims[..dims.len() - 2].iter().product();
    let product = matmul(a_values, b_values, count, [m, k, n], walk(m, k, a_turned), walk(k, n, b_turned));
    from_cpu(product, dims)
}

/// Matrices whose values lie in order, or turned; others are put in order.
fn in_order(raw: &Raw) -> Result<Raw> {
    if turned(raw) { Ok(raw.clone()) } else { contiguous(raw) }
}

/// Whether the last two dimensions lie in memory as those of the transpose do, in order.
fn turned(raw: &Raw) -> bool {
    let (dims, strides) = (raw.dims(), raw.stride());
    let rank = dims.len();
    let mut expected = 1;
    [rank - 2, rank - 1].into_iter().chain((0..rank - 2).rev()).all(|i| {
        let fits = dims[i] == 1 || strides[i] == expected;
        expected *= dims[i];
        fits
    }) && dims[rank - 1] > 1
        && dims[rank - 2] > 1
}

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
            .help("bring them to the same shape with `broadcast`"));
        }
        let mut dims = a.to_vec();
        dims[a.len() - 1] = b[b.len() - 1];
        room(&dims, self.dtype().size_in_bytes())?;
        let value = match (self.on_cpu(), self.dtype()) {
            (true, DType::F32) => on_cpu(self.raw(), other.raw(), &dims)?,
            #[cfg(feature = "cuda")]
            _ if self.device().is_cuda() => cuda::for_product(self.raw())?.matmul(&cuda::for_product(other.raw())?)?,
            // Candle does not see that values repeat in memory.
            _ => in_order(self.raw())?.matmul(&in_order(other.raw())?)?,
        };
        if !recorded(&[self, other]) {
            return Ok(Tensor::from_raw(value));
        }
        let (a, b) = (self.clone(), other.clone());
        Ok(operator("matmul", value, &[self, other], move |incoming| {
            let g = incoming.grad;
            // Of a matrix that is the transpose of one in memory, so is the gradient: what it is turned back to lies in order.
            let of_left = || if turned(a.raw()) { b.matmul(&g.t()?)?.t() } else { g.matmul(&b.t()?) };
            let of_right = || if turned(b.raw()) { g.t()?.matmul(&a)?.t() } else { a.t()?.matmul(g) };
            Ok(vec![
                if incoming.wants[0] { Some(of_left()?) } else { None },
                if incoming.wants[1] { Some(of_right()?) } else { None },
            ])
        }))
    }
}
