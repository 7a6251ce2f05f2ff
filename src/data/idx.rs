//! The IDX format of the MNIST family: a magic number, the sizes, the bytes. Gzipped or plain; read strictly.

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

use super::images::Shape;
use crate::error::{Error, Result, file};

/// Third byte of the magic number: unsigned bytes follow.
const UNSIGNED_BYTES: u8 = 0x08;

/// Reads a file, gunzipped if it is gzipped.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path).map_err(|error| file(path, "read", error))?;
    gunzip(&bytes, &path.display().to_string())
}

/// The bytes themselves, gunzipped if they are gzipped. `name` stands in messages.
pub(super) fn gunzip(bytes: &[u8], name: &str) -> Result<Vec<u8>> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes.to_vec());
    }
    let mut plain = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain).map_err(|error| {
        Error::new(format!("`{name}` is {} bytes of gzip that do not unpack: {error}", bytes.len()))
            .help("the file is truncated or damaged; fetch it again")
    })?;
    Ok(plain)
}

/// Grey images from an IDX file of three sizes.
pub(super) fn images(bytes: &[u8], name: &str) -> Result<(Shape, Vec<u8>)> {
    let ([_, height, width], pixels) = parse::<3>(bytes, name)?;
    if height == 0 || width == 0 {
        return Err(Error::new(format!(
            "`{name}` holds images of {width}x{height} pixels; an image has no empty side"
        )));
    }
    Ok((Shape { channels: 1, height, width }, pixels.to_vec()))
}

/// Labels below `classes` from an IDX file of one size.
pub(super) fn labels(bytes: &[u8], classes: usize, name: &str) -> Result<Vec<u32>> {
    let ([_], labels) = parse::<1>(bytes, name)?;
    if let Some(place) = labels.iter().position(|label| usize::from(*label) >= classes) {
        return Err(Error::new(format!(
            "label {} at place {place} of `{name}` is out of range; there are {classes} classes, from 0",
            labels[place]
        )));
    }
    Ok(labels.iter().map(|label| u32::from(*label)).collect())
}

/// The sizes and the bytes behind them.
fn parse<'a, const SIZES: usize>(bytes: &'a [u8], name: &str) -> Result<([usize; SIZES], &'a [u8])> {
    let truncated = |expected: usize| {
        Error::new(format!("`{name}` holds {} bytes where {expected} were expected", bytes.len()))
            .help("the file is truncated or damaged; fetch it again")
    };
    let header = 4 + 4 * SIZES;
    let Some((magic, rest)) = bytes.split_first_chunk::<4>() else { return Err(truncated(header)) };
    let expected = [0, 0, UNSIGNED_BYTES, SIZES as u8];
    if *magic != expected {
        let what = if SIZES == 1 { "labels" } else { "images" };
        return Err(Error::new(format!(
            "`{name}` starts with {:#010x}; an IDX file of {what} starts with {:#010x}",
            u32::from_be_bytes(*magic),
            u32::from_be_bytes(expected)
        )));
    }
    let mut sizes = [0usize; SIZES];
    for (size, bytes) in sizes.iter_mut().zip(rest.chunks_exact(4)) {
        *size = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
    }
    let total =
        sizes.iter().try_fold(1usize, |product, size| product.checked_mul(*size)).and_then(|n| n.checked_add(header));
    match total {
        Some(total) if total == bytes.len() && bytes.len() >= header => Ok((sizes, &bytes[header..])),
        Some(total) if bytes.len() >= header => Err(truncated(total)),
        None if bytes.len() >= header => {
            Err(Error::new(format!("`{name}` claims sizes {sizes:?}, more than memory holds")))
        }
        _ => Err(truncated(header)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An IDX file of `sizes` with `bytes` behind them.
    pub fn idx(sizes: &[u32], bytes: &[u8]) -> Vec<u8> {
        let mut file = vec![0, 0, UNSIGNED_BYTES, sizes.len() as u8];
        file.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
        file.extend(bytes);
        file
    }

    #[test]
    fn two_images_and_their_labels() {
        let (shape, pixels) = images(&idx(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]), "images").unwrap();
        assert_eq!((shape.height, shape.width, &pixels[3..]), (1, 3, &[4u8, 5, 6][..]));
        assert_eq!(labels(&idx(&[3], &[2, 0, 1]), 3, "labels").unwrap(), [2, 0, 1]);
    }

    #[test]
    fn every_fault_names_the_file_the_given_and_the_expected() {
        let message = |bytes: &[u8]| images(bytes, "x.gz").unwrap_err().message;
        assert_eq!(message(&[0, 0]), "`x.gz` holds 2 bytes where 16 were expected");
        assert_eq!(
            message(&idx(&[2], &[0, 1])),
            "`x.gz` starts with 0x00000801; an IDX file of images starts with 0x00000803"
        );
        assert_eq!(message(&idx(&[2, 1, 3], &[0; 5])), "`x.gz` holds 21 bytes where 22 were expected");
        assert_eq!(message(&idx(&[2, 1, 3], &[0; 7])), "`x.gz` holds 23 bytes where 22 were expected");
        assert_eq!(message(&[0, 0, 8, 3, 0, 0, 0, 1]), "`x.gz` holds 8 bytes where 16 were expected");
        assert!(message(&idx(&[u32::MAX, u32::MAX, u32::MAX], &[])).contains("more than memory holds"));
        assert!(message(&idx(&[1, 0, 3], &[])).starts_with("`x.gz` holds images of 3x0 pixels"));
        assert_eq!(
            labels(&idx(&[3], &[0, 3, 9]), 3, "y.gz").unwrap_err().message,
            "label 3 at place 1 of `y.gz` is out of range; there are 3 classes, from 0"
        );
        assert!(gunzip(&[0x1f, 0x8b, 8, 0], "z.gz").unwrap_err().message.starts_with("`z.gz` is 4 bytes of gzip"));
    }
}
