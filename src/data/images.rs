//! Images of one size as bytes, shared and immutable, in memory or in a file that is mapped into it.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::tensor::{Device, Mapped, Tensor};

/// A set of 8-bit images of one size, `[n, channels, height, width]` row by row. Never changes; cheap to clone.
#[derive(Clone)]
pub struct Images(Arc<Inner>);

struct Inner {
    n: usize,
    shape: Shape,
    pixels: Pixels,
    hash: OnceLock<String>,
}

/// Where the bytes are.
enum Pixels {
    Memory(Vec<u8>),
    /// In the `length` bytes of a file from `start`.
    Mapped {
        file: Mapped,
        start: usize,
        length: usize,
    },
}

/// The size of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Shape {
    /// 1 for grey, 3 for red, green and blue.
    pub channels: usize,
    /// Pixels down.
    pub height: usize,
    /// Pixels across.
    pub width: usize,
}

impl Shape {
    /// Bytes in one image.
    pub fn bytes(&self) -> usize {
        self.channels * self.height * self.width
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let colour = if self.channels == 1 { "grey" } else { "colour" };
        write!(f, "{}x{} {colour}", self.width, self.height)
    }
}

/// The nearest of 256 levels to a number from 0 to 1; what lies outside is cut off.
pub(crate) fn level(value: f32) -> u8 {
    // Half a level up and the rest cut off: `round` would be a call for each pixel.
    (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8
}

impl Images {
    /// The images in `pixels`, one after the other.
    pub fn new(shape: Shape, pixels: Vec<u8>) -> Result<Self> {
        let n = Self::count(shape, pixels.len())?;
        Ok(Self(Arc::new(Inner { n, shape, pixels: Pixels::Memory(pixels), hash: OnceLock::new() })))
    }

    /// The images in the `length` bytes of `file` from `start`, whose hash is known to be `hash`.
    pub(super) fn mapped(shape: Shape, file: Mapped, start: usize, length: usize, hash: String) -> Result<Self> {
        let n = Self::count(shape, length)?;
        if file.len() < start + length {
            return Err(Error::bug("a mapped file is shorter than its header says"));
        }
        Ok(Self(Arc::new(Inner { n, shape, pixels: Pixels::Mapped { file, start, length }, hash: hash.into() })))
    }

    /// How many images of one size so many bytes are.
    fn count(shape: Shape, bytes: usize) -> Result<usize> {
        if !matches!(shape.channels, 1 | 3) || shape.height == 0 || shape.width == 0 {
            return Err(Error::new(format!(
                "images are [{}, {}, {}]; an image is [channels, height, width] with 1 or 3 channels and no empty side",
                shape.channels, shape.height, shape.width
            )));
        }
        if !bytes.is_multiple_of(shape.bytes()) {
            return Err(Error::new(format!(
                "{bytes} bytes are no whole number of {shape} images of {} bytes each",
                shape.bytes()
            )));
        }
        Ok(bytes / shape.bytes())
    }

    /// How many images there are.
    pub fn n(&self) -> usize {
        self.0.n
    }

    /// The size of each image.
    pub fn shape(&self) -> Shape {
        self.0.shape
    }

    /// `[n, channels, height, width]`.
    pub fn dims(&self) -> [usize; 4] {
        let Shape { channels, height, width } = self.shape();
        [self.n(), channels, height, width]
    }

    /// Every byte, image by image, channel by channel, row by row.
    pub fn pixels(&self) -> &[u8] {
        match &self.0.pixels {
            Pixels::Memory(pixels) => pixels,
            Pixels::Mapped { file, start, length } => &file[*start..start + length],
        }
    }

    /// Whether the bytes stay in a file, and only those that are looked at come into memory.
    pub fn is_mapped(&self) -> bool {
        matches!(self.0.pixels, Pixels::Mapped { .. })
    }

    /// The bytes of image `index`, which lies below [`Images::n`].
    pub fn image(&self, index: usize) -> &[u8] {
        let bytes = self.shape().bytes();
        &self.pixels()[index * bytes..(index + 1) * bytes]
    }

    /// The images at `indices`, in that order.
    pub fn select(&self, indices: &[u32]) -> Result<Self> {
        let mut pixels = Vec::with_capacity(indices.len() * self.shape().bytes());
        for &index in indices {
            if index as usize >= self.n() {
                return Err(Error::new(format!("there is no image {index}; the set has {} images, from 0", self.n())));
            }
            pixels.extend_from_slice(self.image(index as usize));
        }
        Self::new(self.shape(), pixels)
    }

    /// `[n, channels, height, width]` in f32, from 0 (black) to 1.
    pub fn tensor(&self, device: &Device) -> Result<Tensor> {
        Tensor::from_pixels(self.pixels(), &self.dims(), device)
    }

    /// All images in order, `size` at a time and fewer at the end, as [`tensor`](Images::tensor) gives them.
    pub fn chunks(&self, size: usize, device: &Device) -> impl Iterator<Item = Result<Tensor>> {
        let (shape, device) = (self.shape(), device.clone());
        let chunks = self.pixels().chunks(size.max(1) * shape.bytes());
        chunks.map(move |pixels| Self::new(shape, pixels.to_vec())?.tensor(&device))
    }

    /// Images from values between 0 and 1, `[n, channels, height, width]`, each rounded to the nearest of 256 levels.
    /// What lies outside is cut off, as a screen does.
    pub fn from_tensor(images: &Tensor) -> Result<Self> {
        let [_, channels, height, width] = images.dims4()?;
        let values = images.to_f32s()?;
        if let Some(place) = values.iter().position(|value| !value.is_finite()) {
            return Err(Error::new(format!(
                "image {} holds the value {}; pixels must be numbers from 0 to 1",
                place / (channels * height * width),
                values[place]
            )));
        }
        Self::new(Shape { channels, height, width }, values.into_iter().map(level).collect())
    }

    /// SHA-256 of the size and the pixels, in hexadecimal: what a cached result is kept under.
    pub fn hash(&self) -> &str {
        self.0.hash.get_or_init(|| {
            let mut hasher = hasher(self.n(), self.shape());
            hasher.update(self.pixels());
            hexadecimal(&hasher.finalize())
        })
    }
}

/// The hash of `n` images, before their bytes.
pub(super) fn hasher(n: usize, shape: Shape) -> Sha256 {
    let mut hasher = Sha256::new();
    for side in [n, shape.channels, shape.height, shape.width] {
        hasher.update((side as u64).to_le_bytes());
    }
    hasher
}

impl PartialEq for Images {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.shape() == other.shape() && self.pixels() == other.pixels())
    }
}

impl std::fmt::Debug for Images {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Images({} of {})", self.n(), self.shape())
    }
}

/// Bytes in lower-case hexadecimal.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREY: Shape = Shape { channels: 1, height: 1, width: 2 };

    #[test]
    fn selection_keeps_the_order_asked_for() {
        let images = Images::new(GREY, vec![1, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!(images.dims(), [3, 1, 1, 2]);
        assert_eq!(images.select(&[2, 0]).unwrap().pixels(), [5, 6, 1, 2]);
        assert_eq!(images.select(&[3]).unwrap_err().message, "there is no image 3; the set has 3 images, from 0");
    }

    #[test]
    fn bytes_become_numbers_from_0_to_1_and_back() {
        let images = Images::new(Shape { channels: 1, height: 16, width: 16 }, (0..=255).collect()).unwrap();
        let tensor = images.tensor(&Device::Cpu).unwrap();
        assert_eq!(tensor.dims(), [1, 1, 16, 16]);
        assert_eq!(tensor.to_f32s().unwrap()[51], 0.2);
        assert_eq!(Images::from_tensor(&tensor).unwrap(), images);
        let dims: Vec<_> =
            images.select(&[0, 0, 0]).unwrap().chunks(2, &Device::Cpu).map(|t| t.unwrap().dims().to_vec()).collect();
        assert_eq!(dims, [[2, 1, 16, 16], [1, 1, 16, 16]]);
        let of = |values: [f32; 2]| {
            Images::from_tensor(&Tensor::from_vec(values.to_vec(), &[1, 1, 1, 2], &Device::Cpu).unwrap())
        };
        assert_eq!(of([-0.5, 1.5]).unwrap().pixels(), [0, 255]);
        assert_eq!(
            of([0.0, f32::NAN]).unwrap_err().message,
            "image 0 holds the value NaN; pixels must be numbers from 0 to 1"
        );
    }

    #[test]
    fn the_hash_sees_the_size_and_every_pixel() {
        let hash = |shape, pixels| Images::new(shape, pixels).unwrap().hash().to_string();
        let wide = hash(GREY, vec![1, 2]);
        assert_eq!(wide, hash(GREY, vec![1, 2]));
        assert_ne!(wide, hash(GREY, vec![1, 3]));
        assert_ne!(wide, hash(Shape { channels: 1, height: 2, width: 1 }, vec![1, 2]));
    }

    #[test]
    fn bytes_that_fill_no_image_are_refused() {
        assert_eq!(
            Images::new(GREY, vec![0; 3]).unwrap_err().message,
            "3 bytes are no whole number of 2x1 grey images of 2 bytes each"
        );
        assert!(Images::new(Shape { channels: 2, height: 1, width: 1 }, vec![]).is_err());
    }
}
