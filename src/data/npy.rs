//! Arrays as NumPy writes them: `.npy`, and several of them in an `.npz`, which is a zip archive.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::CrcReader;
use flate2::read::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

use crate::error::{Error, Result, file};

/// What an array holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// Whole numbers of so many bytes, with a sign or without.
    Int { bytes: usize, sign: bool },
    /// Numbers of 4 or 8 bytes.
    Float { bytes: usize },
    /// Text of so many characters.
    Text { characters: usize },
}

impl Kind {
    /// The bytes of a value.
    pub fn width(self) -> usize {
        match self {
            Kind::Int { bytes, .. } | Kind::Float { bytes } => bytes,
            Kind::Text { characters } => 4 * characters,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (order, rest) = text.split_at_checked(1)?;
        let (letter, size) = rest.split_at_checked(1)?;
        let size: usize = size.parse().ok()?;
        match (order, letter, size) {
            ("<" | "|", "i" | "b", 1 | 2 | 4 | 8) => Some(Kind::Int { bytes: size, sign: letter == "i" }),
            ("<" | "|", "u", 1 | 2 | 4 | 8) => Some(Kind::Int { bytes: size, sign: false }),
            ("<", "f", 4 | 8) => Some(Kind::Float { bytes: size }),
            ("<", "U", 1..=4096) => Some(Kind::Text { characters: size }),
            _ => None,
        }
    }
}

/// What stands before the values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    pub kind: Kind,
    pub dims: Vec<usize>,
}

impl Header {
    /// How many values there are.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    fn bytes(&self) -> u64 {
        (self.len() * self.kind.width()) as u64
    }
}

/// An `.npz` file.
pub(super) struct Archive<'a> {
    zip: ZipArchive<BufReader<File>>,
    path: &'a Path,
}

impl<'a> Archive<'a> {
    pub fn open(path: &'a Path) -> Result<Self> {
        let opened = File::open(path).map_err(|error| file(path, "open", error))?;
        let zip = ZipArchive::new(BufReader::new(opened)).map_err(|error| damaged(path, &error.to_string()))?;
        Ok(Self { zip, path })
    }

    /// The names of the arrays.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.zip.file_names().flatten().filter_map(|name| Some(name.strip_suffix(".npy")?.to_string())).collect();
        names.sort();
        names
    }

    /// Hands the header of the array called `name`, and a reader of its values, to `take`.
    pub fn with<T>(&mut self, name: &str, take: impl FnOnce(Header, &mut dyn Read) -> Result<T>) -> Result<T> {
        let path = self.path;
        let inside = format!("{name}.npy");
        let Some(place) = self.zip.index_for_name(&inside) else {
            return Err(Error::new(format!("`{}` has no array `{name}`", path.display())));
        };
        // Unpacked here: the zip library stands without its own codecs.
        let raw = self.zip.by_index_raw(place).map_err(|error| damaged(path, &error.to_string()))?;
        // Nothing packs more tightly than this, so what claims to is not believed.
        let size = raw.size().min(raw.compressed_size().saturating_mul(1100));
        let (stored, expected) = (raw.compression() == CompressionMethod::Stored, raw.crc32());
        let plain: Box<dyn Read> = if stored { Box::new(raw) } else { Box::new(DeflateDecoder::new(raw)) };
        let mut reader = CrcReader::new(BufReader::with_capacity(1 << 18, plain));
        let header = header(&mut reader).map_err(|what| damaged(path, &format!("`{name}`: {what}")))?;
        if header.bytes() > size {
            return Err(damaged(path, &format!("`{name}` is {:?} and has {size} bytes", header.dims)));
        }
        let taken = take(header, &mut reader)?;
        // What is left is nothing in a whole file; the checksum is of all of it.
        std::io::copy(&mut reader, &mut std::io::sink())
            .map_err(|error| damaged(path, &format!("`{name}` does not unpack: {error}")))?;
        match reader.crc().sum() == expected {
            true => Ok(taken),
            false => Err(damaged(path, &format!("the checksum of `{name}` is another one"))),
        }
    }

    /// All values of an array of whole numbers.
    pub fn whole_numbers(&mut self, name: &str) -> Result<(Vec<usize>, Vec<i64>)> {
        let path = self.path;
        self.with(name, |header, reader| {
            let Kind::Int { bytes, sign } = header.kind else {
                return Err(Error::new(format!("`{name}` of `{}` must be whole numbers", path.display())));
            };
            let mut values = Vec::new();
            let mut value = [0; 8];
            for _ in 0..header.len() {
                fill(reader, &mut value[..bytes], path, name)?;
                let unused = 64 - 8 * bytes as u32;
                let mut wide = [0; 8];
                wide[..bytes].copy_from_slice(&value[..bytes]);
                let wide = i64::from_le_bytes(wide);
                // Shifted up and down again, the sign fills what is above.
                values.push(if sign { (wide << unused) >> unused } else { wide });
            }
            Ok((header.dims, values))
        })
    }

    /// All values of an array of text.
    pub fn texts(&mut self, name: &str) -> Result<Vec<String>> {
        let path = self.path;
        self.with(name, |header, reader| {
            let Kind::Text { characters } = header.kind else {
                return Err(Error::new(format!("`{name}` of `{}` must be text", path.display())));
            };
            let mut texts = Vec::new();
            let mut value = vec![0; 4 * characters];
            for _ in 0..header.len() {
                fill(reader, &mut value, path, name)?;
                let codes = value.chunks_exact(4).map(|code| u32::from_le_bytes([code[0], code[1], code[2], code[3]]));
                texts.push(codes.take_while(|code| *code != 0).filter_map(char::from_u32).collect());
            }
            Ok(texts)
        })
    }
}

/// Fills `bytes` with the next values of the array called `name`.
pub(super) fn fill(reader: &mut dyn Read, bytes: &mut [u8], path: &Path, name: &str) -> Result<()> {
    reader.read_exact(bytes).map_err(|error| damaged(path, &format!("`{name}` ends early: {error}")))
}

fn damaged(path: &Path, what: &str) -> Error {
    Error::new(format!("`{}` is no whole `.npz` file: {what}", path.display()))
        .help("`numpy.savez` and `numpy.savez_compressed` write such files")
}

/// What stands before the values; else what is wrong with it.
fn header(reader: &mut impl Read) -> std::result::Result<Header, String> {
    let mut start = [0; 8];
    reader.read_exact(&mut start).map_err(|error| format!("it ends early: {error}"))?;
    if start[..6] != *b"\x93NUMPY" {
        return Err("it does not begin as an array of NumPy".into());
    }
    let mut length = [0; 4];
    let wide = if start[6] == 1 { 2 } else { 4 };
    reader.read_exact(&mut length[..wide]).map_err(|error| format!("it ends early: {error}"))?;
    let length = u32::from_le_bytes(length) as usize;
    if length > 1 << 16 {
        return Err(format!("its header claims {length} bytes"));
    }
    let mut text = vec![0; length];
    reader.read_exact(&mut text).map_err(|error| format!("it ends early: {error}"))?;
    let text = String::from_utf8_lossy(&text);
    let value = |key: &str| Some(text.split_once(&format!("'{key}':"))?.1.trim_start());
    let unread = || format!("its header is not understood: {}", text.trim());
    if !value("fortran_order").ok_or_else(unread)?.starts_with("False") {
        return Err("it lies column by column; `numpy.ascontiguousarray` turns it".into());
    }
    let kind = value("descr").and_then(|rest| rest.strip_prefix('\'')?.split_once('\'')).ok_or_else(unread)?.0;
    let kind =
        Kind::parse(kind).ok_or_else(|| format!("values of type `{kind}` are not read; `astype` changes them"))?;
    let dims = value("shape").and_then(|rest| rest.strip_prefix('(')?.split_once(')')).ok_or_else(unread)?.0;
    let sides = dims.split(',').map(str::trim).filter(|side| !side.is_empty());
    let dims: Vec<usize> =
        sides.map(|side| side.parse().map_err(|_| unread())).collect::<std::result::Result<_, _>>()?;
    let total = dims.iter().try_fold(kind.width(), |product, side| product.checked_mul(*side));
    match total {
        Some(_) => Ok(Header { kind, dims }),
        None => Err(format!("it claims to be {dims:?}, more than memory holds")),
    }
}
