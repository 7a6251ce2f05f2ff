//! Networks and optimisers as scripts hold them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::gan::{Discriminator, Generator};
use crate::nn::{Clip, Encoder, Layer, Mode, Optimiser, Sequential, Store};
use crate::script::history::History;

/// A network as a script holds it. Copies in variables are the same network.
#[derive(Clone)]
pub struct Network {
    pub(super) body: Body,
    pub(super) training: Arc<AtomicBool>,
}

#[derive(Clone)]
pub(super) enum Body {
    Generator(Arc<Generator>),
    Discriminator(Arc<Discriminator>),
    Encoder(Arc<Encoder>),
    Sequential(Arc<Sequential>),
}

impl Network {
    pub(super) fn new(body: Body) -> Self {
        Self { body, training: Arc::new(AtomicBool::new(true)) }
    }

    /// A generator as a script holds it.
    pub fn generator(generator: Arc<Generator>) -> Self {
        Self::new(Body::Generator(generator))
    }

    /// A discriminator as a script holds it.
    pub fn discriminator(discriminator: Arc<Discriminator>) -> Self {
        Self::new(Body::Discriminator(discriminator))
    }

    /// A network from images to features, at evaluation, as a script holds it.
    pub fn encoder(encoder: Encoder) -> Self {
        let network = Self::new(Body::Encoder(Arc::new(encoder)));
        network.training.store(false, Ordering::Relaxed);
        network
    }

    /// A network of layers as a script holds it.
    pub fn sequential(layers: Arc<Sequential>) -> Self {
        Self::new(Body::Sequential(layers))
    }

    /// The generator that it is, if it is one.
    pub fn as_generator(&self) -> Option<Arc<Generator>> {
        match &self.body {
            Body::Generator(generator) => Some(Arc::clone(generator)),
            _ => None,
        }
    }

    /// The layers that a script composed it of, if it did.
    pub fn layers(&self) -> Option<&[Layer]> {
        match &self.body {
            Body::Sequential(network) => Some(network.layers()),
            _ => None,
        }
    }

    /// Whether it runs as in training.
    pub fn is_training(&self) -> bool {
        self.mode() == Mode::Train
    }

    /// Its parameters and state.
    pub fn store(&self) -> &Store {
        match &self.body {
            Body::Generator(network) => network.store(),
            Body::Discriminator(network) => network.store(),
            Body::Encoder(network) => network.store(),
            Body::Sequential(network) => network.store(),
        }
    }

    pub(super) fn mode(&self) -> Mode {
        if self.training.load(Ordering::Relaxed) { Mode::Train } else { Mode::Eval }
    }

    /// What it is, in a few words.
    pub fn kind(&self) -> String {
        match &self.body {
            Body::Generator(network) => format!("the generator of {}", network.architecture()),
            Body::Discriminator(network) => format!("the discriminator of {}", network.architecture()),
            Body::Encoder(network) => network.name().to_string(),
            Body::Sequential(network) => format!("{} layers", network.layers().len()),
        }
    }

    /// Heads that a loss may leave out as a whole, by the beginnings of their parameters' names.
    pub(super) fn heads(&self) -> Vec<String> {
        match &self.body {
            Body::Discriminator(_) => {
                ["rotation", "projection", "predictor"].map(|head| format!("discriminator.{head}.")).into()
            }
            _ => Vec::new(),
        }
    }
}

/// An optimiser as a script holds it.
#[derive(Clone)]
pub struct Training {
    optimiser: Arc<Mutex<Box<dyn Optimiser>>>,
    pub(super) heads: Arc<Vec<String>>,
    pub(super) clip: Clip,
    /// The loss of each step.
    pub(in crate::script) history: History,
}

impl Training {
    pub(super) fn new(optimiser: Box<dyn Optimiser>, heads: Vec<String>, clip: Clip) -> Self {
        Self { optimiser: Arc::new(Mutex::new(optimiser)), heads: Arc::new(heads), clip, history: History::default() }
    }

    /// The optimiser itself.
    pub fn held(&self) -> MutexGuard<'_, Box<dyn Optimiser>> {
        // A step that panicked changed whole parameters or none.
        self.optimiser.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
