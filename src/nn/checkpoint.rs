//! Named tensors in a safetensors file.

use std::collections::HashMap;
use std::path::Path;

use crate::error::{Error, Result, file};
use crate::tensor::{Device, Tensor};

/// Named tensors, as a network or an optimiser gives them.
pub type State = Vec<(String, Tensor)>;

/// Named tensors read back.
#[derive(Default)]
pub struct Saved(HashMap<String, Tensor>);

impl Saved {
    /// The tensor called `name` under `part`.
    pub fn find(&self, part: &str, name: &str) -> Option<Tensor> {
        self.0.get(&format!("{part}/{name}")).cloned()
    }

    /// The one number called `name`.
    ///
    /// # Errors
    /// There is none.
    pub fn number(&self, name: &str) -> Result<f64> {
        self.0
            .get(&format!("numbers/{name}"))
            .ok_or_else(|| Error::new(format!("the checkpoint has no `{name}`")))?
            .value()
    }
}

/// Saves `parts`, each a list of named tensors under the part's name, and `numbers`.
///
/// # Errors
/// The file cannot be written.
pub fn save(path: &Path, parts: &[(&str, State)], numbers: &[(&str, f64)]) -> Result<()> {
    let mut tensors = HashMap::new();
    for (part, state) in parts {
        for (name, tensor) in state {
            tensors.insert(format!("{part}/{name}"), tensor.detach().to_device(&Device::Cpu)?.raw().contiguous()?);
        }
    }
    for (name, value) in numbers {
        tensors.insert(format!("numbers/{name}"), Tensor::from_f64s(vec![*value], &[1], &Device::Cpu)?.raw().clone());
    }
    candle_core::safetensors::save(&tensors, path).map_err(|error| file(path, "write", Error::from(error)))
}

/// Reads what [`save`] wrote.
///
/// # Errors
/// The file is missing, truncated or not safetensors.
pub fn load(path: &Path) -> Result<Saved> {
    let bytes = std::fs::read(path).map_err(|error| file(path, "read", error))?;
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).map_err(|error| {
        file(path, "read", Error::from(error))
            .help("the file is truncated or not a safetensors file; the run can start again without it")
    })?;
    Ok(Saved(tensors.into_iter().map(|(name, raw)| (name, Tensor::from_raw(raw))).collect()))
}
