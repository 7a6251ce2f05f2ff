//! Tensors as the addresses that kernels take, room for results, and launches.
#![allow(unsafe_code)] // Memory that is not yet written, and calls into CUDA.

use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::{DevicePtr, DeviceRepr, LaunchConfig, PushKernelArg};
use candle_core::cuda_backend::{CudaDType, CudaStorage};
use candle_core::{DType, Storage};

use super::device::{Gpu, failed, of};
use crate::error::{Error, Result};
use crate::tensor::value::Raw;

/// Threads of a block.
pub(super) const THREADS: u32 = 256;
/// Blocks of a launch over elements, at most; threads take several elements each.
const BLOCKS: u32 = 1 << 13;
/// Dimensions of a [`Walk`].
const RANK: usize = 6;
/// Parameters of one [`Many`]: as many as fit into the 4 KB that a launch carries.
pub(super) const MANY: usize = 60;

/// The values of a tensor on a GPU in row-major order.
pub(super) struct Values {
    /// Keeps the memory.
    _raw: Raw,
    pub(super) at: u64,
    pub(super) dtype: DType,
    pub(super) len: usize,
    pub(super) gpu: Arc<Gpu>,
}

/// Where the storage of `raw` begins on its GPU, without the offset.
fn address(storage: &CudaStorage, dtype: DType, gpu: &Gpu) -> Result<u64> {
    let stream = &gpu.stream;
    Ok(match dtype {
        DType::F32 => storage.as_cuda_slice::<f32>()?.device_ptr(stream).0,
        DType::F64 => storage.as_cuda_slice::<f64>()?.device_ptr(stream).0,
        DType::U32 => storage.as_cuda_slice::<u32>()?.device_ptr(stream).0,
        DType::U8 => storage.as_cuda_slice::<u8>()?.device_ptr(stream).0,
        other => return Err(Error::bug(format!("a kernel of ours was given {}", other.as_str()))),
    })
}

/// Where the first value of `raw` is, whatever its strides.
pub(super) fn place(raw: &Raw) -> Result<(u64, Arc<Gpu>)> {
    let (storage, layout) = raw.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else {
        return Err(Error::bug("a CUDA kernel was given a tensor that is elsewhere"));
    };
    let gpu = of(&storage.device);
    let dtype = raw.dtype();
    let at = address(storage, dtype, &gpu)? + (layout.start_offset() * dtype.size_in_bytes()) as u64;
    Ok((at, gpu))
}

/// How many values the memory behind `raw` holds; as many as it has itself for types that kernels do not know.
pub(super) fn stored(raw: &Raw) -> Result<usize> {
    let (storage, _) = raw.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else {
        return Err(Error::bug("a CUDA kernel was given a tensor that is elsewhere"));
    };
    Ok(match raw.dtype() {
        DType::F32 => storage.as_cuda_slice::<f32>()?.len(),
        DType::F64 => storage.as_cuda_slice::<f64>()?.len(),
        DType::U32 => storage.as_cuda_slice::<u32>()?.len(),
        DType::U8 => storage.as_cuda_slice::<u8>()?.len(),
        _ => raw.elem_count(),
    })
}

impl Values {
    /// The values of `raw`, copied first if they do not lie in order.
    pub(super) fn of(raw: &Raw) -> Result<Self> {
        let raw = if raw.is_contiguous() { raw.clone() } else { super::contiguous(raw)? };
        let (at, gpu) = place(&raw)?;
        Ok(Self { at, dtype: raw.dtype(), len: raw.elem_count(), gpu, _raw: raw })
    }
}

/// Memory for a result.
pub(super) struct Room {
    storage: CudaStorage,
    pub(super) at: u64,
}

impl Room {
    /// For `len` values, which a kernel must write, each of them.
    pub(super) fn new(gpu: &Gpu, dtype: DType, len: usize) -> Result<Self> {
        fn typed<T: CudaDType + DeviceRepr>(gpu: &Gpu, len: usize) -> Result<CudaStorage> {
            // SAFETY: nothing reads a room before a kernel of the same stream has written all of it.
            let slice = unsafe { gpu.device.alloc::<T>(len.max(1))? };
            Ok(CudaStorage::wrap_cuda_slice(slice, gpu.device.clone()))
        }
        if len >= 1 << 31 {
            return Err(Error::new(format!(
                "a tensor on a GPU has fewer than 2^31 values, and this one would have {len}"
            ))
            .help("use a smaller batch"));
        }
        let storage = match dtype {
            DType::F64 => typed::<f64>(gpu, len),
            DType::U32 => typed::<u32>(gpu, len),
            _ => typed::<f32>(gpu, len),
        }?;
        let at = address(&storage, dtype, gpu)?;
        Ok(Self { storage, at })
    }

    /// The room as a tensor of shape `dims`.
    pub(super) fn finish(self, dims: &[usize]) -> Raw {
        Raw::from_storage(Storage::Cuda(self.storage), dims, candle_core::op::BackpropOp::none(), false)
    }
}

/// A number or an address that a kernel is given.
#[derive(Clone, Copy)]
pub(super) enum Arg {
    Count(u32),
    At(u64),
    /// As the kernel's own type.
    Real(f64),
    Double(f64),
    Walk(Walk),
    Pool(Pool),
}

/// A count as kernels take it.
pub(super) fn count(n: usize) -> Arg {
    Arg::Count(n as u32)
}

/// How a result walks over two inputs; `struct Walk` in `kernels.cu`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Walk {
    rank: u32,
    dims: [u32; RANK],
    a: [u32; RANK],
    b: [u32; RANK],
}

// SAFETY: plain numbers, laid out as in `kernels.cu`.
unsafe impl DeviceRepr for Walk {}

impl Walk {
    /// Over `dims` with these steps; dimensions that can be walked as one become one. `None` if too many are left.
    pub(super) fn new(dims: &[usize], a: &[usize], b: &[usize]) -> Option<Self> {
        let mut merged: Vec<[usize; 3]> = Vec::new();
        for ((&length, &a), &b) in dims.iter().zip(a).zip(b).filter(|((length, _), _)| **length != 1) {
            match merged.last_mut() {
                Some([before, step_a, step_b]) if *step_a == a * length && *step_b == b * length => {
                    (*before, *step_a, *step_b) = (*before * length, a, b);
                }
                _ => merged.push([length, a, b]),
            }
        }
        if merged.len() > RANK {
            return None;
        }
        let mut walk = Self { rank: merged.len() as u32, dims: [1; RANK], a: [0; RANK], b: [0; RANK] };
        for (i, [length, a, b]) in merged.into_iter().enumerate() {
            (walk.dims[i], walk.a[i], walk.b[i]) = (length as u32, a as u32, b as u32);
        }
        Some(walk)
    }

    /// Over `[outer, length, inner]` in row-major order, the middle from its end, where the walk starts.
    pub(super) fn backwards([outer, length, inner]: [usize; 3]) -> Self {
        let (mut dims, mut a) = ([1; RANK], [0; RANK]);
        dims[..3].copy_from_slice(&[outer, length, inner].map(|length| length as u32));
        a[..3].copy_from_slice(&[(length * inner) as u32, (inner as u32).wrapping_neg(), 1]);
        Self { rank: 3, dims, a, b: [0; RANK] }
    }
}

/// The window of a pooling; `struct Pool` in `kernels.cu`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Pool {
    pub(super) h: u32,
    pub(super) w: u32,
    pub(super) kh: u32,
    pub(super) kw: u32,
    pub(super) stride: [u32; 2],
    pub(super) top: u32,
    pub(super) left: u32,
    pub(super) out_h: u32,
    pub(super) out_w: u32,
    pub(super) count_padding: u32,
}

// SAFETY: plain numbers, laid out as in `kernels.cu`.
unsafe impl DeviceRepr for Pool {}

/// Many parameters of one launch; `struct Many` in `kernels.cu`. Unused places have length 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Many {
    pub(super) value: [u64; MANY],
    pub(super) grad: [u64; MANY],
    pub(super) mean: [u64; MANY],
    pub(super) square: [u64; MANY],
    pub(super) at: [u64; MANY],
    pub(super) length: [u32; MANY],
}

// SAFETY: addresses and plain numbers, laid out as in `kernels.cu`.
unsafe impl DeviceRepr for Many {}

impl Default for Many {
    fn default() -> Self {
        let none = [0; MANY];
        Self { value: none, grad: none, mean: none, square: none, at: none, length: [0; MANY] }
    }
}

/// Blocks, and threads of each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    pub(super) blocks: [u32; 2],
    pub(super) threads: u32,
}

impl Grid {
    /// A thread for each of `n` elements, or for several.
    pub(super) fn over(n: usize) -> Self {
        Self { blocks: [(n.div_ceil(THREADS as usize) as u32).clamp(1, BLOCKS), 1], threads: THREADS }
    }

    /// A block for each of `n`, which goes over `length` values: of as many threads as have something to do.
    pub(super) fn blocks(n: usize, length: usize) -> Self {
        let threads = (length as u32).clamp(32, THREADS).next_power_of_two().min(THREADS);
        Self { blocks: [n as u32, 1], threads }
    }
}

/// Runs the kernel `name` for `dtype`. The kernel must write all of its outputs and read and write nothing else; arguments
/// must be those of its text, in their order.
pub(super) fn launch(gpu: &Gpu, name: &'static str, dtype: DType, grid: Grid, args: &[Arg]) -> Result<()> {
    launch_with(gpu, name, dtype, grid, None, args)
}

/// [`launch`] of a kernel whose first argument is `many`.
pub(super) fn launch_with(
    gpu: &Gpu,
    name: &'static str,
    dtype: DType,
    grid: Grid,
    many: Option<&Many>,
    args: &[Arg],
) -> Result<()> {
    let function = gpu.function(name, dtype)?;
    let narrow: Vec<f32> = args.iter().map(|arg| if let Arg::Real(v) = arg { *v as f32 } else { 0.0 }).collect();
    let mut builder = gpu.stream.launch_builder(&function);
    if let Some(many) = many {
        builder.arg(many);
    }
    for (arg, narrow) in args.iter().zip(&narrow) {
        match arg {
            Arg::Count(v) => builder.arg(v),
            Arg::At(v) => builder.arg(v),
            Arg::Real(v) if dtype == DType::F64 => builder.arg(v),
            Arg::Real(_) => builder.arg(narrow),
            Arg::Double(v) => builder.arg(v),
            Arg::Walk(v) => builder.arg(v),
            Arg::Pool(v) => builder.arg(v),
        };
    }
    let [x, y] = grid.blocks;
    let config = LaunchConfig { grid_dim: (x, y, 1), block_dim: (grid.threads, 1, 1), shared_mem_bytes: 0 };
    // SAFETY: the callers in this folder pass what the kernel's text says, of addresses whose tensors live until after the
    // launch; memory is given back in the order of the stream, so a kernel that still runs keeps its own.
    unsafe { builder.launch(config) }.map_err(failed)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_that_can_be_walked_as_one_become_one() {
        // A bias of [1, c, 1, 1] over [n, c, h, w].
        let walk = Walk::new(&[2, 3, 4, 5], &[60, 20, 5, 1], &[0, 1, 0, 0]).unwrap();
        assert_eq!((walk.rank, &walk.dims[..3]), (3, &[2, 3, 20][..]));
        assert_eq!((&walk.a[..3], &walk.b[..3]), (&[60, 20, 1][..], &[0, 1, 0][..]));
        assert_eq!(Walk::new(&[2, 3, 4], &[12, 4, 1], &[0, 0, 0]).unwrap().rank, 1);
        assert_eq!(Walk::new(&[1, 1], &[1, 1], &[0, 0]).unwrap().rank, 0);
        assert!(Walk::new(&[2; 7], &[1, 2, 4, 8, 16, 32, 64], &[0; 7]).is_none());
    }

    #[test]
    fn blocks_have_a_power_of_two_of_threads() {
        for length in [1, 31, 33, 100, 255, 256, 1000, 1 << 20] {
            let threads = Grid::blocks(1, length).threads;
            assert!(threads.is_power_of_two() && (32..=THREADS).contains(&threads), "{length}: {threads}");
        }
    }

    #[test]
    fn many_parameters_fit_into_a_launch() {
        assert!(size_of::<Many>() + 11 * size_of::<u64>() <= 4096);
    }
}
