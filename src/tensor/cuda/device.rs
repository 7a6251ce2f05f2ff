//! A GPU that was opened: its stream, its kernels, its convolutions.
#![allow(unsafe_code)] // Calls into CUDA.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use candle_core::cuda_backend::cudarc::driver::{CudaFunction, CudaModule, CudaStream, sys};
use candle_core::cuda_backend::cudarc::nvrtc::{CompileError, CompileOptions, Ptx, compile_ptx_with_opts};
use candle_core::cuda_backend::{CudaDevice, DeviceId};
use candle_core::{DType, Device};

use crate::error::{Error, Result};

/// The text of the kernels.
const KERNELS: &str = include_str!("kernels.cu");

/// A GPU and what was prepared on it.
pub(super) struct Gpu {
    pub(super) device: CudaDevice,
    pub(super) stream: Arc<CudaStream>,
    /// The kernels for f32 and for f64, compiled when first needed.
    modules: [OnceLock<Arc<CudaModule>>; 2],
    functions: RwLock<HashMap<(&'static str, DType), CudaFunction>>,
    #[cfg(feature = "cudnn")]
    pub(super) convolutions: Mutex<Option<super::conv::Convolutions>>,
}

/// Devices by ordinal: one each, so that all tensors of `cuda:0` are on the same one.
static OPEN: Mutex<Vec<(usize, Device)>> = Mutex::new(Vec::new());
/// What was prepared on each.
static GPUS: Mutex<Vec<(DeviceId, Arc<Gpu>)>> = Mutex::new(Vec::new());
/// Whether f32 products may round their factors to the 10 bits of TF32.
static TF32: AtomicBool = AtomicBool::new(false);

/// Whether convolutions and matrix products of f32 may use TF32.
pub(crate) fn set_tf32(on: bool) {
    TF32.store(on, Ordering::Relaxed);
    candle_core::cuda_backend::set_gemm_reduced_precision_f32(on);
}

/// What [`set_tf32`] said.
pub(crate) fn tf32() -> bool {
    TF32.load(Ordering::Relaxed)
}

/// The GPU number `ordinal`, from 0.
///
/// # Errors
/// There is no such GPU, or its driver does not fit.
pub(crate) fn open(ordinal: usize) -> Result<Device> {
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, device)) = open.iter().find(|(number, _)| *number == ordinal) {
        return Ok(device.clone());
    }
    // A stream of its own: the usual one is another for each thread, and a script may run on several.
    let device = Device::new_cuda_with_stream(ordinal)?;
    let cuda = device.as_cuda_device()?;
    // SAFETY: events order the uses of memory between streams, and there is one stream.
    unsafe { cuda.disable_event_tracking() };
    keep_memory(cuda)?;
    // A fault in the kernels shows here, not in the middle of a training.
    of(cuda).function("map", DType::F32)?;
    open.push((ordinal, device.clone()));
    Ok(device)
}

/// Keeps memory that was given back for the next tensor, instead of returning it to the system at every wait.
fn keep_memory(cuda: &CudaDevice) -> Result<()> {
    let stream = cuda.cuda_stream();
    let mut pool = std::ptr::null_mut();
    let mut all = u64::MAX;
    // SAFETY: the device exists, `pool` is written before it is read, and the attribute is a u64 that is only read.
    let status = unsafe {
        match sys::cuDeviceGetDefaultMemPool(&raw mut pool, stream.context().cu_device()) {
            sys::CUresult::CUDA_SUCCESS => sys::cuMemPoolSetAttribute(
                pool,
                sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD,
                (&raw mut all).cast(),
            ),
            status => status,
        }
    };
    match status {
        // A device without pools allocates in another way.
        sys::CUresult::CUDA_SUCCESS | sys::CUresult::CUDA_ERROR_NOT_SUPPORTED => Ok(()),
        status => Err(Error::new(format!("the GPU keeps no pool of memory: {status:?}"))),
    }
}

/// The name of the GPU and its compute capability, as a person reads them.
pub(crate) fn describe(device: &Device) -> Result<String> {
    let cuda = device.as_cuda_device()?;
    let stream = cuda.cuda_stream();
    let name = stream.context().name().map_err(failed)?;
    let (major, minor) = stream.context().compute_capability().map_err(failed)?;
    Ok(format!("{name}, compute capability {major}.{minor}"))
}

/// What was prepared on `device`.
pub(super) fn of(device: &CudaDevice) -> Arc<Gpu> {
    let mut gpus = GPUS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, gpu)) = gpus.iter().find(|(id, _)| *id == device.id()) {
        return gpu.clone();
    }
    let gpu = Arc::new(Gpu {
        device: device.clone(),
        stream: device.cuda_stream(),
        modules: [OnceLock::new(), OnceLock::new()],
        functions: RwLock::default(),
        #[cfg(feature = "cudnn")]
        convolutions: Mutex::new(None),
    });
    gpus.push((device.id(), gpu.clone()));
    gpu
}

impl Gpu {
    /// The kernel called `name` for values of `dtype`.
    pub(super) fn function(&self, name: &'static str, dtype: DType) -> Result<CudaFunction> {
        let known = self.functions.read().unwrap_or_else(PoisonError::into_inner).get(&(name, dtype)).cloned();
        if let Some(function) = known {
            return Ok(function);
        }
        let slot = &self.modules[usize::from(dtype == DType::F64)];
        let module = match slot.get() {
            Some(module) => module.clone(),
            None => {
                let compiled = compile(self.stream.context().compute_capability().map_err(failed)?, dtype)?;
                let module = self.stream.context().load_module(compiled).map_err(failed)?;
                slot.get_or_init(|| module).clone()
            }
        };
        let function = module.load_function(&format!("{name}_{}", dtype.as_str())).map_err(failed)?;
        let mut functions = self.functions.write().unwrap_or_else(PoisonError::into_inner);
        functions.insert((name, dtype), function.clone());
        Ok(function)
    }
}

/// The kernels for GPUs of this compute capability and values of `dtype`.
fn compile((major, minor): (i32, i32), dtype: DType) -> Result<Ptx> {
    let real = if dtype == DType::F64 { "double" } else { "float" };
    let options = CompileOptions {
        name: Some("kernels.cu".into()),
        options: vec![
            format!("--gpu-architecture=compute_{major}{minor}"),
            format!("-Dreal={real}"),
            format!("-DSUFFIX={}", dtype.as_str()),
        ],
        ..CompileOptions::default()
    };
    compile_ptx_with_opts(KERNELS, options).map_err(|error| match error {
        CompileError::CompileError { log, .. } => {
            Error::bug(format!("the kernels for the GPU do not compile: {}", log.to_string_lossy().trim()))
        }
        other => Error::new(format!("the kernels for the GPU could not be compiled: {other}"))
            .help("NVRTC of CUDA 12 or newer must be found beside the other CUDA libraries"),
    })
}

/// An error of CUDA as one of ours.
pub(super) fn failed(error: impl std::fmt::Debug) -> Error {
    Error::new(format!("the GPU refused: {error:?}"))
        .help("`nvidia-smi` shows what else runs there and how much memory is free; `--device cpu` always works")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_compile_for_cards_from_volta_on() {
        // NVRTC needs no GPU. CUDA 13 begins at 7.5.
        for capability in [(7, 5), (8, 0), (8, 9), (9, 0), (10, 0), (12, 0)] {
            for dtype in [DType::F32, DType::F64] {
                let text = compile(capability, dtype).unwrap().to_src();
                assert!(text.contains(&format!("norm_back_{}", dtype.as_str())), "{capability:?}");
            }
        }
    }
}
