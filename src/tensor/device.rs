//! Which device to compute on.

use candle_core::Device;

use crate::error::{Error, Result};

/// After the name of a GPU: products of f32, in convolutions too, may round their factors to the 10 bits of TF32.
const TF32: &str = "+tf32";

/// The device called `name`: `auto` (the first GPU if there is one, else the CPU), `cpu`, `cuda` or `cuda:N`. A GPU may be
/// followed by `+tf32`: from then on it multiplies several times faster, with three digits in place of seven, and adds as
/// before. PyTorch does so in convolutions unless told otherwise.
///
/// # Errors
/// An unknown name; a GPU that is not there or not compiled in.
pub fn device(name: &str) -> Result<Device> {
    match name {
        "cpu" => Ok(Device::Cpu),
        "auto" => {
            Ok(if candle_core::utils::cuda_is_available() { opened(0).unwrap_or(Device::Cpu) } else { Device::Cpu })
        }
        _ => {
            let (gpu, tf32) = name.strip_suffix(TF32).map_or((name, false), |gpu| (gpu, true));
            let ordinal = if gpu == "cuda" { Some(0) } else { gpu.strip_prefix("cuda:").and_then(|n| n.parse().ok()) };
            let Some(ordinal) = ordinal else {
                return Err(Error::new(format!("there is no device `{name}`"))
                    .help("the choices are `auto`, `cpu`, `cuda`, `cuda:N`, and `cuda+tf32` for faster products"));
            };
            let device = cuda(ordinal)?;
            #[cfg(feature = "cuda")]
            if tf32 {
                super::cuda::set_tf32(true);
            }
            let _ = tf32;
            Ok(device)
        }
    }
}

/// What a person may want to know of the GPU `device`; nothing of a CPU.
#[cfg_attr(not(feature = "cuda"), allow(unused_variables))]
pub fn about_gpu(device: &Device) -> Result<Option<String>> {
    #[cfg(feature = "cuda")]
    if device.is_cuda() {
        return super::cuda::describe(device).map(Some);
    }
    Ok(None)
}

fn cuda(ordinal: usize) -> Result<Device> {
    if !candle_core::utils::cuda_is_available() {
        return Err(Error::new("this build of fewlab has no CUDA")
            .help("build it with `cargo build --release --features cuda`, or use `--device cpu`"));
    }
    opened(ordinal).map_err(|error| {
        Error::new(format!("cannot open the GPU `cuda:{ordinal}`: {}", error.message))
            .help("`nvidia-smi` lists the GPUs; `--device cpu` always works")
    })
}

#[cfg(feature = "cuda")]
use super::cuda::open as opened;

#[cfg(not(feature = "cuda"))]
fn opened(ordinal: usize) -> Result<Device> {
    Ok(Device::new_cuda(ordinal)?)
}

/// The name of a device, as `device` takes it.
pub fn device_name(device: &Device) -> String {
    match device.location() {
        candle_core::DeviceLocation::Cpu => "cpu".into(),
        #[cfg(feature = "cuda")]
        candle_core::DeviceLocation::Cuda { gpu_id } if super::cuda::tf32() => format!("cuda:{gpu_id}{TF32}"),
        candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        candle_core::DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    }
}

/// How many GPUs this program may use; none when it was built without CUDA. No GPU is opened for it.
pub fn gpu_count() -> usize {
    if !candle_core::utils::cuda_is_available() {
        return 0;
    }
    let there = std::fs::read_dir("/proc/driver/nvidia/gpus").map_or(0, |entries| entries.flatten().count());
    match std::env::var("CUDA_VISIBLE_DEVICES") {
        Ok(chosen) => chosen.split(',').filter(|gpu| !gpu.trim().is_empty()).count(),
        Err(_) => there,
    }
}
