//! Which device to compute on.

use candle_core::Device;

use crate::error::{Error, Result};

/// The device called `name`: `auto` (the first GPU if there is one, else the CPU), `cpu`, `cuda` or `cuda:N`.
///
/// # Errors
/// An unknown name; a GPU that is not there or not compiled in.
pub fn device(name: &str) -> Result<Device> {
    match name {
        "cpu" => Ok(Device::Cpu),
        "auto" => Ok(if candle_core::utils::cuda_is_available() {
            Device::new_cuda(0).unwrap_or(Device::Cpu)
        } else {
            Device::Cpu
        }),
        "cuda" => cuda(0),
        _ => match name.strip_prefix("cuda:").map(str::parse) {
            Some(Ok(ordinal)) => cuda(ordinal),
            _ => Err(Error::new(format!("there is no device `{name}`"))
                .help("the choices are `auto`, `cpu`, `cuda`, `cuda:N`")),
        },
    }
}

fn cuda(ordinal: usize) -> Result<Device> {
    if !candle_core::utils::cuda_is_available() {
        return Err(Error::new("this build of fewlab has no CUDA")
            .help("build it with `cargo build --release --features cuda`, or use `--device cpu`"));
    }
    Device::new_cuda(ordinal).map_err(|error| {
        Error::new(format!("cannot open the GPU `cuda:{ordinal}`: {}", Error::from(error).message))
            .help("`nvidia-smi` lists the GPUs; `--device cpu` always works")
    })
}

/// The name of a device, as `device` takes it.
pub fn device_name(device: &Device) -> String {
    match device.location() {
        candle_core::DeviceLocation::Cpu => "cpu".into(),
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
