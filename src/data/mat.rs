//! MAT files of version 5, as MATLAB and SciPy write them: named arrays of numbers, packed or plain.
//!
//! What is read here are arrays of whole numbers and of doubles. Their values come column by column: the first index
//! runs fastest.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::ZlibDecoder;

use crate::error::{Error, Result, file};

/// Kinds of element.
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
/// Bytes before the first element.
const HEADER: usize = 128;
/// No array of these files has more than so many sides.
const MOST_SIDES: usize = 8;

/// An array whose values are read one after the other.
pub(super) struct Array {
    /// What it is called.
    pub name: String,
    /// Its sides; the first one runs fastest.
    pub dims: Vec<usize>,
    /// The kind of the values in the file.
    kind: u32,
    values: Box<dyn Read>,
}

impl Array {
    /// How many values there are.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether the values are single bytes without a sign, which [`Array::read_bytes`] gives as they are.
    pub fn is_bytes(&self) -> bool {
        self.kind == 2
    }

    /// Fills `bytes` with the next values.
    pub fn read_bytes(&mut self, bytes: &mut [u8], path: &Path) -> Result<()> {
        self.values.read_exact(bytes).map_err(|error| damaged(path, &format!("`{}` ends early: {error}", self.name)))
    }

    /// All values.
    pub fn numbers(mut self, path: &Path) -> Result<Vec<f64>> {
        let width = width(self.kind)
            .ok_or_else(|| damaged(path, &format!("`{}` holds values of the unknown kind {}", self.name, self.kind)))?;
        let mut numbers = Vec::new();
        let mut value = [0u8; 8];
        for _ in 0..self.len() {
            self.read_bytes(&mut value[..width], path)?;
            let [a, b, c, d, ..] = value;
            numbers.push(match self.kind {
                1 => f64::from(a as i8),
                2 => f64::from(a),
                3 => f64::from(i16::from_le_bytes([a, b])),
                4 => f64::from(u16::from_le_bytes([a, b])),
                5 => f64::from(i32::from_le_bytes([a, b, c, d])),
                6 => f64::from(u32::from_le_bytes([a, b, c, d])),
                7 => f64::from(f32::from_le_bytes([a, b, c, d])),
                12 => i64::from_le_bytes(value) as f64,
                13 => u64::from_le_bytes(value) as f64,
                _ => f64::from_le_bytes(value),
            });
        }
        Ok(numbers)
    }
}

/// The bytes of a value of a kind.
fn width(kind: u32) -> Option<usize> {
    match kind {
        1 | 2 => Some(1),
        3 | 4 => Some(2),
        5..=7 => Some(4),
        9 | 12 | 13 => Some(8),
        _ => None,
    }
}

fn damaged(path: &Path, what: &str) -> Error {
    Error::new(format!("`{}` is no whole MAT file of version 5: {what}", path.display()))
        .help("the file is truncated or damaged, or of another version; fetch it again")
}

/// The array called `name` in the file at `path`.
pub(super) fn array(path: &Path, name: &str) -> Result<Array> {
    let opened = File::open(path).map_err(|error| file(path, "open", error))?;
    let length = opened.metadata().map_err(|error| file(path, "look at", error))?.len();
    let mut reader = BufReader::with_capacity(1 << 16, opened);
    let mut header = [0; HEADER];
    reader.read_exact(&mut header).map_err(|_| damaged(path, &format!("it holds {length} bytes")))?;
    if header[126..] != *b"IM" {
        return Err(damaged(path, "its header does not end with `IM`"));
    }
    let mut at = HEADER as u64;
    let mut names = Vec::new();
    while at + 8 <= length {
        let go = |reader: &mut BufReader<File>, at| reader.seek(SeekFrom::Start(at)).map_err(|e| file(path, "read", e));
        go(&mut reader, at)?;
        let (kind, size) = tag(&mut reader, path)?;
        at = at + 8 + u64::from(size);
        if at > length {
            return Err(damaged(path, &format!("it holds {length} bytes and needs {at}")));
        }
        let opened = File::open(path).and_then(|mut file| {
            file.seek(SeekFrom::Start(at - u64::from(size)))?;
            Ok(BufReader::with_capacity(1 << 18, file).take(u64::from(size)))
        });
        let opened = opened.map_err(|error| file(path, "open", error))?;
        let mut inside: Box<dyn Read> = match kind {
            COMPRESSED => {
                let mut inflated: Box<dyn Read> = Box::new(ZlibDecoder::new(opened));
                if tag(&mut inflated, path)?.0 != MATRIX {
                    continue;
                }
                inflated
            }
            MATRIX => Box::new(opened),
            _ => continue,
        };
        let (found, dims) = about(&mut inside, path)?;
        if found != name {
            names.push(format!("`{found}`"));
            continue;
        }
        let (kind, small, size) = match element(&mut inside, path)? {
            Element::Large(kind, size) => (kind, None, size as usize),
            Element::Small(kind, bytes) => (kind, Some(bytes.clone()), bytes.len()),
        };
        let values: Box<dyn Read> = match small {
            Some(bytes) => Box::new(std::io::Cursor::new(bytes)),
            None => inside,
        };
        let wanted = dims.iter().try_fold(1usize, |product, side| product.checked_mul(*side));
        let wanted = wanted.zip(width(kind)).and_then(|(n, width)| n.checked_mul(width));
        if wanted != Some(size) {
            return Err(damaged(path, &format!("`{name}` is {dims:?} and has {size} bytes of values")));
        }
        return Ok(Array { name: found, dims, kind, values });
    }
    let there = if names.is_empty() { "none".to_string() } else { names.join(", ") };
    Err(Error::new(format!("`{}` has no array `{name}`; the arrays in it are {there}", path.display())))
}

/// Kind and length of the element that follows.
fn tag(reader: &mut impl Read, path: &Path) -> Result<(u32, u32)> {
    let mut bytes = [0; 8];
    reader.read_exact(&mut bytes).map_err(|error| damaged(path, &format!("an element ends early: {error}")))?;
    let [a, b, c, d, e, f, g, h] = bytes;
    Ok((u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])))
}

/// An element inside an array.
enum Element {
    /// Kind and length; the bytes follow.
    Large(u32, u32),
    /// Kind and bytes: no more than four, in the place of the length.
    Small(u32, Vec<u8>),
}

fn element(reader: &mut impl Read, path: &Path) -> Result<Element> {
    let (first, second) = tag(reader, path)?;
    match first >> 16 {
        0 => Ok(Element::Large(first, second)),
        length @ 1..=4 => Ok(Element::Small(first & 0xffff, second.to_le_bytes()[..length as usize].to_vec())),
        length => Err(damaged(path, &format!("a short element has {length} bytes"))),
    }
}

/// The bytes of an element of no more than `most`, and what fills them up to a multiple of eight passed over.
fn small(reader: &mut impl Read, path: &Path, most: usize) -> Result<Vec<u8>> {
    match element(reader, path)? {
        Element::Small(_, bytes) => Ok(bytes),
        Element::Large(_, length) if length as usize > most => {
            Err(damaged(path, &format!("an element has {length} bytes where at most {most} were expected")))
        }
        Element::Large(_, length) => {
            let mut bytes = vec![0; (length as usize).next_multiple_of(8)];
            reader.read_exact(&mut bytes).map_err(|error| damaged(path, &format!("an element ends early: {error}")))?;
            bytes.truncate(length as usize);
            Ok(bytes)
        }
    }
}

/// Name and sides of the array whose elements follow; what is behind them are its values.
fn about(reader: &mut impl Read, path: &Path) -> Result<(String, Vec<usize>)> {
    let flags = small(reader, path, 8)?;
    if flags.len() != 8 {
        return Err(damaged(path, "an array has no flags"));
    }
    let dims = small(reader, path, 4 * MOST_SIDES)?;
    let dims = dims.chunks_exact(4).map(|side| i32::from_le_bytes([side[0], side[1], side[2], side[3]]));
    let dims: Vec<usize> = dims.map(|side| side.max(0) as usize).collect();
    let name = small(reader, path, 256)?;
    Ok((String::from_utf8_lossy(&name).into_owned(), dims))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn golden(name: &str) -> Vec<u8> {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data").join(name)).unwrap()
    }

    fn read(bytes: &[u8], name: &str) -> Result<(Vec<usize>, Vec<f64>)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.mat");
        std::fs::write(&path, bytes).unwrap();
        let array = array(&path, name)?;
        Ok((array.dims.clone(), array.numbers(&path)?))
    }

    #[test]
    fn arrays_of_scipy_are_read_packed_and_plain() {
        for name in ["packed.mat", "plain.mat"] {
            let (dims, values) = read(&golden(name), "small").unwrap();
            // numpy.arange(6).reshape(2, 3) column by column.
            assert_eq!((dims, values), (vec![2, 3], vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]), "{name}");
            assert_eq!(read(&golden(name), "real").unwrap().1, [0.5, -1.25]);
            assert_eq!(read(&golden(name), "whole").unwrap().1, [-7.0, 70_000.0]);
            let error = read(&golden(name), "missing").unwrap_err().message;
            assert!(error.ends_with("the arrays in it are `small`, `real`, `whole`"), "{error}");
        }
    }

    #[test]
    fn a_torn_file_is_told_from_a_whole_one() {
        for name in ["packed.mat", "plain.mat"] {
            let whole = golden(name);
            for length in [0, 100, 130, whole.len() - 9] {
                let error = read(&whole[..length], "whole").unwrap_err();
                assert!(error.message.contains("no whole MAT file") || error.message.contains("no array"), "{error}");
            }
            let mut other = whole.clone();
            other[126] = b'M';
            assert!(read(&other, "small").unwrap_err().message.ends_with("its header does not end with `IM`"));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_the_bytes_reading_ends(place in 128usize..600, value in any::<u8>(), cut in 0usize..600) {
            for name in ["packed.mat", "plain.mat"] {
                let mut bytes = golden(name);
                let length = bytes.len();
                bytes[place % length] = value;
                bytes.truncate(length - cut % length);
                let _ = read(&bytes, "real");
            }
        }
    }
}
