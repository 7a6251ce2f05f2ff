//! Whether a tensor fits into memory, asked before it is made: an allocation that fails ends the process.

use crate::error::{Error, Result};

/// Tensors of fewer bytes are not asked about: the question takes some 20 microseconds.
const SMALL: usize = 256 << 20;

/// The number of elements of a tensor with these dimensions, of `size` bytes each.
///
/// # Errors
/// It does not fit into the memory that is free.
pub(crate) fn room(dims: &[usize], size: usize) -> Result<usize> {
    let elements = dims.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim));
    let bytes = elements.and_then(|elements| elements.checked_mul(size));
    match (elements, bytes) {
        (Some(elements), Some(bytes)) if bytes < SMALL || free().is_none_or(|free| bytes < free) => Ok(elements),
        _ => {
            let needs = dims.iter().fold(size as f64, |product, dim| product * *dim as f64);
            let has = free().map_or(String::new(), |free| format!(", {} are free", spoken(free as f64)));
            Err(Error::new(format!("a tensor of shape {dims:?} needs {}{has}", spoken(needs)))
                .help("use a smaller shape, or work through it in parts"))
        }
    }
}

/// Bytes that can be had without swapping; nothing where the system does not say.
fn free() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    line.split_whitespace().nth(1)?.parse::<usize>().ok()?.checked_mul(1024)
}

fn spoken(bytes: f64) -> String {
    match bytes {
        bytes if bytes < 1e9 => format!("{:.0} MB", bytes / 1e6),
        bytes if bytes < 1e12 => format!("{:.1} GB", bytes / 1e9),
        bytes => format!("{:.0} GB", bytes / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{DType, Device, Tensor};

    #[test]
    fn what_does_not_fit_is_said_before_it_is_made() {
        assert_eq!(room(&[3, 4], 4).unwrap(), 12);
        let error = room(&[1_000_000, 1_000_000], 4).unwrap_err();
        assert!(error.message.starts_with("a tensor of shape [1000000, 1000000] needs 4000 GB"), "{error}");
        assert!(room(&[usize::MAX, 2], 4).is_err());
        let long = Tensor::zeros(&[1_000_000, 1], DType::F32, &Device::Cpu).unwrap();
        let wide = Tensor::zeros(&[1, 1_000_000], DType::F32, &Device::Cpu).unwrap();
        assert!(long.add(&wide).unwrap_err().message.contains("GB"));
        assert!(long.matmul(&wide).unwrap_err().message.contains("GB"));
        assert!(Tensor::zeros(&[1 << 40], DType::F64, &Device::Cpu).is_err());
    }
}
