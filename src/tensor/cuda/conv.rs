//! Convolutions through cuDNN: each shape tries every algorithm once, and keeps the fastest that adds in a fixed order.
#![allow(unsafe_code)] // Calls into cuDNN.

use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::PoisonError;

use candle_core::DType;
use candle_core::cuda_backend::cudarc::cudnn::{CudnnError, result, sys};
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DevicePtr};

use super::device::{Gpu, failed, tf32};
use super::launch::{Arg, Grid, Room, Values, count, launch};
use crate::error::{Error, Result};
use crate::tensor::cpu::conv::Conv;
use crate::tensor::value::Raw;

/// The most memory that an algorithm may work in.
const WORKSPACE: usize = 1 << 30;

/// Which of the three convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Forward,
    Data,
    Weight,
}

/// What an algorithm is chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    kind: Kind,
    double: bool,
    tf32: bool,
    x: [c_int; 4],
    w: [c_int; 4],
    y: [c_int; 4],
    stride: [c_int; 2],
    pad: [c_int; 2],
}

/// The convolutions of one GPU.
pub(super) struct Convolutions {
    handle: sys::cudnnHandle_t,
    plans: HashMap<Key, Plan>,
    /// Grows to what the hungriest algorithm asks for, and serves all.
    workspace: Option<CudaSlice<u8>>,
}

// SAFETY: cuDNN lets any thread use a handle and descriptors, one at a time; `Gpu` keeps them behind a lock.
unsafe impl Send for Convolutions {}

/// A shape as cuDNN knows it, and the algorithm for it.
struct Plan {
    x: sys::cudnnTensorDescriptor_t,
    w: sys::cudnnFilterDescriptor_t,
    y: sys::cudnnTensorDescriptor_t,
    conv: sys::cudnnConvolutionDescriptor_t,
    algorithm: Algorithm,
    workspace: usize,
}

#[derive(Clone, Copy)]
enum Algorithm {
    Forward(sys::cudnnConvolutionFwdAlgo_t),
    Data(sys::cudnnConvolutionBwdDataAlgo_t),
    Weight(sys::cudnnConvolutionBwdFilterAlgo_t),
}

impl Drop for Plan {
    fn drop(&mut self) {
        // SAFETY: made by `Plan::new`, and dropped once. That one cannot be freed would leak it, no more.
        unsafe {
            let _ = result::destroy_tensor_descriptor(self.x);
            let _ = result::destroy_filter_descriptor(self.w);
            let _ = result::destroy_tensor_descriptor(self.y);
            let _ = result::destroy_convolution_descriptor(self.conv);
        }
    }
}

impl Plan {
    /// The shape alone.
    fn new(key: &Key) -> Result<Self> {
        let nothing = || -> std::result::Result<Self, CudnnError> {
            Ok(Self {
                x: result::create_tensor_descriptor()?,
                w: result::create_filter_descriptor()?,
                y: result::create_tensor_descriptor()?,
                conv: result::create_convolution_descriptor()?,
                algorithm: Algorithm::Forward(sys::cudnnConvolutionFwdAlgo_t::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM),
                workspace: 0,
            })
        };
        let plan = nothing().map_err(failed)?;
        let dtype = match key.double {
            true => sys::cudnnDataType_t::CUDNN_DATA_DOUBLE,
            false => sys::cudnnDataType_t::CUDNN_DATA_FLOAT,
        };
        let rows = sys::cudnnTensorFormat_t::CUDNN_TENSOR_NCHW;
        let cross = sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
        // Default math rounds f32 to TF32 where the card can; FMA math does not. Neither goes through f16.
        let math = match key.double || key.tf32 {
            true => sys::cudnnMathType_t::CUDNN_DEFAULT_MATH,
            false => sys::cudnnMathType_t::CUDNN_FMA_MATH,
        };
        let ([top, left], [down, across]) = (key.pad, key.stride);
        // SAFETY: the descriptors were just made.
        unsafe {
            result::set_tensor4d_descriptor(plan.x, rows, dtype, key.x).map_err(failed)?;
            result::set_filter4d_descriptor(plan.w, dtype, rows, key.w).map_err(failed)?;
            result::set_tensor4d_descriptor(plan.y, rows, dtype, key.y).map_err(failed)?;
            result::set_convolution2d_descriptor(plan.conv, top, left, down, across, 1, 1, cross, dtype)
                .map_err(failed)?;
            result::set_convolution_math_type(plan.conv, math).map_err(failed)?;
        }
        Ok(plan)
    }
}

/// Tries the algorithms of one kind of convolution. All three kinds of calls have the same shape, and none the same types.
macro_rules! fastest {
    ($self:ident, $gpu:ident, $plan:ident, $key:ident, $size:path, $find:path, $perf:ty, $wrap:path,
     [$($algorithm:expr),*], [$($described:expr),*], [$($argument:expr),*]) => {{
        let algorithms = [$($algorithm),*];
        // SAFETY: handle and descriptors are alive.
        let sizes = algorithms.iter().filter_map(|one| unsafe { $size($self.handle, $($described,)* *one) }.ok());
        let room = sizes.filter(|size| *size <= WORKSPACE).max().unwrap_or(0);
        let workspace = $self.grown($gpu, room)?;
        let mut found = 0;
        let mut results: [$perf; 12] = [unsafe { std::mem::zeroed() }; 12];
        // SAFETY: the addresses are those of tensors of the described shapes, the workspace has `room` bytes, and there
        // is room for as many results as are asked for. All-zero is a valid result: an algorithm, status and type of 0.
        let status = unsafe {
            $find($self.handle, $($argument,)* 12, &raw mut found, results.as_mut_ptr(), workspace as *mut c_void, room)
        };
        status.result().map_err(failed)?;
        let usable = results[..found.clamp(0, 12) as usize].iter().filter(|one| {
            one.status == sys::cudnnStatus_t::CUDNN_STATUS_SUCCESS
                && one.determinism == sys::cudnnDeterminism_t::CUDNN_DETERMINISTIC
                && one.memory <= room
        });
        // They come in the order of their times.
        let Some(best) = usable.into_iter().next() else {
            return Err(Error::new(format!("cuDNN has no algorithm for the convolution {:?}", $key)));
        };
        if $key.tf32 && !$key.double {
            // SAFETY: the descriptor is alive.
            unsafe { result::set_convolution_math_type($plan.conv, best.mathType) }.map_err(failed)?;
        }
        ($wrap(best.algo), best.memory)
    }};
}

impl Convolutions {
    fn new(gpu: &Gpu) -> Result<Self> {
        gpu.stream.context().bind_to_thread().map_err(failed)?;
        let handle = result::create_handle().map_err(failed)?;
        let new = Self { handle, plans: HashMap::new(), workspace: None };
        // SAFETY: both are alive; the stream lives as long as the device, which is never closed.
        unsafe { result::set_stream(handle, gpu.stream.cu_stream().cast()) }.map_err(failed)?;
        Ok(new)
    }

    /// The address of a workspace of at least `size` bytes.
    fn grown(&mut self, gpu: &Gpu, size: usize) -> Result<u64> {
        if size == 0 {
            return Ok(0);
        }
        if self.workspace.as_ref().is_none_or(|workspace| workspace.len() < size) {
            self.workspace = None;
            // SAFETY: a workspace is written by cuDNN before it reads it.
            self.workspace = Some(unsafe { gpu.device.alloc::<u8>(size) }?);
        }
        Ok(self.workspace.as_ref().map_or(0, |workspace| workspace.device_ptr(&gpu.stream).0))
    }

    /// The plan for `key`; `at` are the addresses of x, w and y, whose result is overwritten by trials.
    fn plan(&mut self, gpu: &Gpu, key: &Key, at: [u64; 3]) -> Result<&Plan> {
        if !self.plans.contains_key(key) {
            let mut plan = Plan::new(key)?;
            (plan.algorithm, plan.workspace) = self.tried(gpu, &plan, key, at)?;
            self.plans.insert(*key, plan);
        }
        self.plans.get(key).ok_or_else(|| Error::bug("a plan that was just made is gone"))
    }

    fn tried(&mut self, gpu: &Gpu, plan: &Plan, key: &Key, at: [u64; 3]) -> Result<(Algorithm, usize)> {
        use sys::cudnnConvolutionBwdDataAlgo_t as D;
        use sys::cudnnConvolutionBwdFilterAlgo_t as W;
        use sys::cudnnConvolutionFwdAlgo_t as F;
        let [x, w, y] = at.map(|at| at as *mut c_void);
        let (xd, wd, yd, conv) = (plan.x, plan.w, plan.y, plan.conv);
        Ok(match key.kind {
            Kind::Forward => fastest!(
                self,
                gpu,
                plan,
                key,
                result::get_convolution_forward_workspace_size,
                sys::cudnnFindConvolutionForwardAlgorithmEx,
                sys::cudnnConvolutionFwdAlgoPerf_t,
                Algorithm::Forward,
                [
                    F::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM,
                    F::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM,
                    F::CUDNN_CONVOLUTION_FWD_ALGO_GEMM,
                    F::CUDNN_CONVOLUTION_FWD_ALGO_FFT,
                    F::CUDNN_CONVOLUTION_FWD_ALGO_FFT_TILING,
                    F::CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD,
                    F::CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED
                ],
                [xd, wd, conv, yd],
                [xd, x, wd, w, conv, yd, y]
            ),
            Kind::Data => fastest!(
                self,
                gpu,
                plan,
                key,
                result::get_convolution_backward_data_workspace_size,
                sys::cudnnFindConvolutionBackwardDataAlgorithmEx,
                sys::cudnnConvolutionBwdDataAlgoPerf_t,
                Algorithm::Data,
                [
                    D::CUDNN_CONVOLUTION_BWD_DATA_ALGO_1,
                    D::CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT,
                    D::CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT_TILING,
                    D::CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD,
                    D::CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD_NONFUSED
                ],
                [wd, yd, conv, xd],
                [wd, w, yd, y, conv, xd, x]
            ),
            Kind::Weight => fastest!(
                self,
                gpu,
                plan,
                key,
                result::get_convolution_backward_filter_workspace_size,
                sys::cudnnFindConvolutionBackwardFilterAlgorithmEx,
                sys::cudnnConvolutionBwdFilterAlgoPerf_t,
                Algorithm::Weight,
                [
                    W::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1,
                    W::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT,
                    W::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT_TILING,
                    W::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD_NONFUSED
                ],
                [xd, yd, conv, wd],
                [xd, x, yd, y, conv, wd, w]
            ),
        })
    }

    /// Runs the convolution `key` on tensors at the addresses of x, w and y, one of which is the result.
    fn run(&mut self, gpu: &Gpu, key: &Key, at: [u64; 3]) -> Result<()> {
        gpu.stream.context().bind_to_thread().map_err(failed)?;
        let size = self.plan(gpu, key, at)?.workspace;
        let workspace = match self.grown(gpu, size)? {
            0 => null_mut(),
            at => at as *mut c_void,
        };
        let (handle, plan) = (self.handle, self.plan(gpu, key, at)?);
        let [x, w, y] = at.map(|at| at as *mut c_void);
        let (one, zero, one_double, zero_double) = (1f32, 0f32, 1f64, 0f64);
        let (alpha, beta): (*const c_void, *const c_void) = match key.double {
            true => ((&raw const one_double).cast(), (&raw const zero_double).cast()),
            false => ((&raw const one).cast(), (&raw const zero).cast()),
        };
        // SAFETY: the addresses are those of tensors of the described shapes, which live until after the call; memory is
        // given back in the order of the stream. The workspace is as large as the algorithm asked for.
        let done = unsafe {
            match plan.algorithm {
                Algorithm::Forward(algorithm) => result::convolution_forward(
                    handle, alpha, plan.x, x, plan.w, w, plan.conv, algorithm, workspace, size, beta, plan.y, y,
                ),
                Algorithm::Data(algorithm) => result::convolution_backward_data(
                    handle, alpha, plan.w, w, plan.y, y, plan.conv, algorithm, workspace, size, beta, plan.x, x,
                ),
                Algorithm::Weight(algorithm) => result::convolution_backward_filter(
                    handle, alpha, plan.x, x, plan.y, y, plan.conv, algorithm, workspace, size, beta, plan.w, w,
                ),
            }
        };
        done.map_err(failed)
    }
}

/// `c` as cuDNN can have it: the same padding on both sides, or none on an image that was padded before.
fn even(c: &Conv) -> (Conv, bool) {
    if c.pad[0] == c.pad[1] && c.pad[2] == c.pad[3] {
        return (*c, false);
    }
    let (h, w) = (c.h + c.pad[0] + c.pad[1], c.w + c.pad[2] + c.pad[3]);
    (Conv { h, w, pad: [0; 4], ..*c }, true)
}

fn key(kind: Kind, c: &Conv, dtype: DType) -> Key {
    let four = |dims: [usize; 4]| dims.map(|length| length as c_int);
    Key {
        kind,
        double: dtype == DType::F64,
        tf32: tf32(),
        x: four([c.n, c.ci, c.h, c.w]),
        w: four([c.co, c.ci, c.kh, c.kw]),
        y: four([c.n, c.co, c.out_h(), c.out_w()]),
        stride: c.stride.map(|step| step as c_int),
        pad: [c.pad[0] as c_int, c.pad[2] as c_int],
    }
}

fn run(gpu: &Gpu, key: &Key, at: [u64; 3]) -> Result<()> {
    let mut slot = gpu.convolutions.lock().unwrap_or_else(PoisonError::into_inner);
    if slot.is_none() {
        *slot = Some(Convolutions::new(gpu)?);
    }
    match slot.as_mut() {
        Some(convolutions) => convolutions.run(gpu, key, at),
        None => Err(Error::bug("convolutions that were just made are gone")),
    }
}

/// The images of `c` with its padding as zeros around them.
fn padded(x: &Values, c: &Conv, even: &Conv) -> Result<Room> {
    let n = c.n * c.ci * even.h * even.w;
    let out = Room::new(&x.gpu, x.dtype, n)?;
    let args = [
        count(n),
        count(c.h),
        count(c.w),
        count(c.pad[0]),
        count(c.pad[2]),
        count(even.h),
        count(even.w),
        Arg::At(x.at),
        Arg::At(out.at),
    ];
    launch(&x.gpu, "pad_planes", x.dtype, Grid::over(n), &args)?;
    Ok(out)
}

/// The convolution of images with weights.
pub(crate) fn forward(x: &Raw, w: &Raw, c: &Conv) -> Result<Raw> {
    let (xs, ws) = (Values::of(x)?, Values::of(w)?);
    let (even, uneven) = even(c);
    let wide = if uneven { Some(padded(&xs, c, &even)?) } else { None };
    let dims = [c.n, c.co, c.out_h(), c.out_w()];
    let out = Room::new(&xs.gpu, xs.dtype, dims.iter().product())?;
    run(&xs.gpu, &key(Kind::Forward, &even, xs.dtype), [wide.as_ref().map_or(xs.at, |wide| wide.at), ws.at, out.at])?;
    Ok(out.finish(&dims))
}

/// The gradient of the images, which is also a transposed convolution of `g`.
pub(crate) fn backward_data(g: &Raw, w: &Raw, c: &Conv) -> Result<Raw> {
    let (gs, ws) = (Values::of(g)?, Values::of(w)?);
    let (even, uneven) = even(c);
    let dims = [c.n, c.ci, even.h, even.w];
    let out = Room::new(&gs.gpu, gs.dtype, dims.iter().product())?;
    run(&gs.gpu, &key(Kind::Data, &even, gs.dtype), [out.at, ws.at, gs.at])?;
    let wide = out.finish(&dims);
    match uneven {
        true => super::contiguous(&wide.narrow(2, c.pad[0], c.h)?.narrow(3, c.pad[2], c.w)?),
        false => Ok(wide),
    }
}

/// The gradient of the weights.
pub(crate) fn backward_weight(x: &Raw, g: &Raw, c: &Conv) -> Result<Raw> {
    let (xs, gs) = (Values::of(x)?, Values::of(g)?);
    let (even, uneven) = even(c);
    let wide = if uneven { Some(padded(&xs, c, &even)?) } else { None };
    let dims = [c.co, c.ci, c.kh, c.kw];
    let out = Room::new(&xs.gpu, xs.dtype, dims.iter().product())?;
    run(&xs.gpu, &key(Kind::Weight, &even, xs.dtype), [wide.as_ref().map_or(xs.at, |wide| wide.at), out.at, gs.at])?;
    Ok(out.finish(&dims))
}
