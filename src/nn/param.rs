//! Named trainable tensors and named state, and the store that a network is built from.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::error::{Error, Result};
use crate::nn::Init;
use crate::tensor::{DType, Device, Leaf, Rng, Tensor};

/// A trainable tensor with a name. Cloning shares it.
#[derive(Clone)]
pub struct Param(Arc<Inner>);

struct Inner {
    name: String,
    dims: Vec<usize>,
    value: RwLock<Tensor>,
    leaf: Leaf,
}

impl Param {
    fn new(name: String, value: Tensor) -> Self {
        Self(Arc::new(Inner {
            name,
            dims: value.dims().to_vec(),
            value: RwLock::new(value.detach()),
            leaf: Leaf::new(),
        }))
    }

    /// Its place in the network: `block1.conv1.weight`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The length of each dimension.
    pub fn dims(&self) -> &[usize] {
        &self.0.dims
    }

    /// The value, as a leaf of the graph.
    pub fn tensor(&self) -> Tensor {
        self.value().tracked_as(&self.0.leaf)
    }

    /// The value alone.
    pub fn value(&self) -> Tensor {
        self.0.value.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the value; graphs that used the old one keep it.
    ///
    /// # Errors
    /// The shape differs.
    pub fn set(&self, value: Tensor) -> Result<()> {
        if value.dims() != self.dims() {
            return Err(Error::new(format!(
                "`{}` has shape {:?}, and was given {:?}",
                self.name(),
                self.dims(),
                value.dims()
            )));
        }
        *self.0.value.write().unwrap_or_else(PoisonError::into_inner) = value.detach();
        Ok(())
    }
}

/// A named tensor that is not trained: moving averages, the vectors of spectral norms. Cloning shares it.
#[derive(Clone)]
pub struct Buffer(Arc<Inner>);

impl Buffer {
    /// Its place in the network.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The value.
    pub fn value(&self) -> Tensor {
        self.0.value.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the value.
    ///
    /// # Errors
    /// The shape differs.
    pub fn set(&self, value: Tensor) -> Result<()> {
        Param(self.0.clone()).set(value)
    }
}

#[derive(Default)]
struct Lists {
    params: Vec<Param>,
    buffers: Vec<Buffer>,
}

/// Where the parameters of a network are made and listed.
#[derive(Clone)]
pub struct Store {
    prefix: String,
    rng: Rng,
    device: Device,
    /// Whether first values are drawn; else parameters have a shape alone.
    drawn: bool,
    lists: Arc<Mutex<Lists>>,
}

impl Store {
    /// An empty store; first values are drawn from `seed`.
    pub fn new(seed: u64, device: &Device) -> Self {
        Self {
            prefix: String::new(),
            rng: Rng::new(seed).stream("init"),
            device: device.clone(),
            drawn: true,
            lists: Arc::default(),
        }
    }

    /// An empty store whose parameters all begin as zeros that take no memory: for counting, or for values that are put in
    /// place afterwards.
    pub fn of_shapes(device: &Device) -> Self {
        Self { drawn: false, ..Self::new(0, device) }
    }

    /// The same store, one level down.
    #[must_use]
    pub fn sub(&self, name: &str) -> Self {
        Self { prefix: self.full(name), ..self.clone() }
    }

    /// Where the parameters are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    fn full(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_string() } else { format!("{}.{name}", self.prefix) }
    }

    fn lists(&self) -> std::sync::MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A parameter called `name` here, its first values drawn by `init` from a stream of its full name.
    ///
    /// # Errors
    /// The name is taken.
    pub fn param(&self, name: &str, dims: &[usize], init: Init) -> Result<Param> {
        let name = self.full(name);
        if self.lists().params.iter().any(|param| param.name() == name) {
            return Err(Error::new(format!("the network has two parameters called `{name}`")));
        }
        let value = if self.drawn {
            init.draw(dims, &mut self.rng.stream(&name), &self.device)?
        } else {
            Tensor::one_zero_everywhere(dims, DType::F32, &self.device)?
        };
        let param = Param::new(name, value);
        self.lists().params.push(param.clone());
        Ok(param)
    }

    /// State called `name` here that is not trained.
    pub fn buffer(&self, name: &str, value: Tensor) -> Buffer {
        let buffer = Buffer(Param::new(self.full(name), value).0);
        self.lists().buffers.push(buffer.clone());
        buffer
    }

    /// A stream of random numbers for state called `name` here.
    pub fn rng(&self, name: &str) -> Rng {
        self.rng.stream(&self.full(name))
    }

    /// Every parameter, in the order they were made.
    pub fn params(&self) -> Vec<Param> {
        self.lists().params.clone()
    }

    /// All untrained state, in the order it was made.
    pub fn buffers(&self) -> Vec<Buffer> {
        self.lists().buffers.clone()
    }

    /// How many numbers are trained.
    pub fn count(&self) -> usize {
        self.params().iter().map(|param| param.dims().iter().product::<usize>()).sum()
    }

    /// Every parameter and state of this store by name, as `checkpoint` saves it.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let params = self.params().into_iter().map(|param| (param.name().to_string(), param.value()));
        params.chain(self.buffers().into_iter().map(|buffer| (buffer.name().to_string(), buffer.value()))).collect()
    }

    /// The values saved by [`state`](Self::state) for everything here, found by name; nothing is changed.
    ///
    /// # Errors
    /// A value is missing, or of another shape: the checkpoint is of another architecture.
    pub fn saved(&self, mut find: impl FnMut(&str) -> Option<Tensor>) -> Result<Vec<Tensor>> {
        const OTHER: &str = "the checkpoint was saved by a network of another architecture or with other options";
        self.state()
            .into_iter()
            .map(|(name, own)| {
                let value =
                    find(&name).ok_or_else(|| Error::new(format!("the checkpoint has no `{name}`")).help(OTHER))?;
                if value.dims() != own.dims() {
                    let message = format!(
                        "`{name}` has shape {:?} in the network and {:?} in the checkpoint",
                        own.dims(),
                        value.dims()
                    );
                    return Err(Error::new(message).help(OTHER));
                }
                value.to_device(&self.device)
            })
            .collect()
    }

    /// Puts values found by [`saved`](Self::saved) in place.
    ///
    /// # Errors
    /// A shape differs.
    pub fn restore(&self, values: Vec<Tensor>) -> Result<()> {
        let mut values = values.into_iter();
        for (param, value) in self.params().iter().zip(values.by_ref()) {
            param.set(value)?;
        }
        for (buffer, value) in self.buffers().iter().zip(values) {
            buffer.set(value)?;
        }
        Ok(())
    }

    /// Puts values saved by [`state`](Self::state) back; nothing changes if one does not fit.
    ///
    /// # Errors
    /// As [`saved`](Self::saved).
    pub fn load(&self, find: impl FnMut(&str) -> Option<Tensor>) -> Result<()> {
        self.restore(self.saved(find)?)
    }

    /// Copies every value of `other`, a store of the same architecture.
    pub fn copy_from(&self, other: &Store) -> Result<()> {
        let state: std::collections::HashMap<String, Tensor> = other.state().into_iter().collect();
        self.load(|name| state.get(name).cloned())
    }
}
