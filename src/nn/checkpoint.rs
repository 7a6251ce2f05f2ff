//! Named tensors in a safetensors file.

use std::collections::HashMap;
use std::path::Path;

use crate::error::{Error, Result, file};
use crate::tensor::{Device, Tensor};

/// Named tensors, as a network or an optimiser gives them.
pub type State = Vec<(String, Tensor)>;

/// The state of a training at a moment: named tensors, read back from a file or never written.
#[derive(Default)]
pub struct Saved(HashMap<String, Tensor>);

impl Saved {
    /// Of `parts`, each a list of named tensors under the part's name, and `numbers`. Tensors are shared, not copied: a training
    /// puts new ones in their place.
    ///
    /// # Errors
    /// Should not happen.
    pub fn of(parts: Vec<(&str, State)>, numbers: &[(&str, f64)]) -> Result<Self> {
        let tensors = parts
            .into_iter()
            .flat_map(|(part, state)| state.into_iter().map(move |(name, tensor)| (format!("{part}/{name}"), tensor)));
        let mut saved = Self(tensors.collect());
        for (name, value) in numbers {
            saved.0.insert(format!("numbers/{name}"), Tensor::from_f64s(vec![*value], &[1], &Device::Cpu)?);
        }
        Ok(saved)
    }

    /// Writes it to a file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut tensors = HashMap::new();
        for (name, tensor) in &self.0 {
            tensors.insert(name.clone(), tensor.detach().to_device(&Device::Cpu)?.raw().contiguous()?);
        }
        candle_core::safetensors::save(&tensors, path).map_err(|error| file(path, "write", Error::from(error)))
    }

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
    Saved::of(parts.to_vec(), numbers)?.write(path)
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
