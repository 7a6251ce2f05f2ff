//! Where a convolution writes: an output of its own, or its channels of one that several share.
#![allow(unsafe_code)] // Outputs are not zeroed before they are written.

use crate::tensor::cpu::buffer::{SharedMut, uninit};
use crate::tensor::cpu::real::Real;

/// The planes of some channels of each image.
pub struct Place<T> {
    at: SharedMut<T>,
    /// Planes of an image, with those of other convolutions.
    channels: usize,
    /// The first that is this one's.
    first: usize,
    /// Values of a plane.
    pub len: usize,
}

impl<T: Real> Place<T> {
    /// The plane of a channel of an image.
    ///
    /// # Safety
    /// There is such an image and such a channel.
    pub unsafe fn plane(&self, image: usize, channel: usize) -> *mut T {
        // SAFETY: the plane lies in the memory that this place was made of.
        unsafe { self.at.get().add((image * self.channels + self.first + channel) * self.len) }
    }

    /// The planes from channel `first` on.
    pub fn from(&self, first: usize) -> Self {
        Self { first: self.first + first, ..*self }
    }
}

/// `[n, channels, len]`, each of whose values `write` writes.
pub fn made<T: Real>(n: usize, channels: usize, len: usize, write: impl FnOnce(&Place<T>)) -> Vec<T> {
    // SAFETY: every value is written before it is read.
    let mut out = unsafe { uninit(n * channels * len) };
    write(&Place { at: SharedMut::new(&mut out), channels, first: 0, len });
    out
}
