//! The parts of a set before their pixels are read: which pictures, in which order, with which labels.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::images::{Shape, hexadecimal};
use crate::error::{Error, Result, file};

/// A picture on its way from a file to the pixels of a set.
pub(super) enum Raw {
    /// A PNG or JPEG file.
    File(PathBuf),
    /// The contents of one, and what to call it.
    Encoded { bytes: Vec<u8>, name: String },
    /// The pixels, channel by channel.
    Planes(Shape, Vec<u8>),
    /// Pixels that are made when they are asked for.
    Made(Shape, Box<dyn FnOnce() -> Vec<u8> + Send>),
}

impl Raw {
    /// About how much memory it holds until it is decoded.
    pub fn weight(&self) -> usize {
        match self {
            Raw::File(_) | Raw::Made(..) => 0,
            Raw::Encoded { bytes, .. } | Raw::Planes(_, bytes) => bytes.len(),
        }
    }
}

/// Where pictures come from, in a fixed order.
pub(super) trait Pictures: Send + Sync {
    /// Hands every picture to `take`, one after the other, and ends at its first error.
    fn each(&self, take: &mut dyn FnMut(Raw) -> Result<()>) -> Result<()>;
    /// What the pictures depend on, in so many words that others have others.
    fn identity(&self) -> Result<String>;
}

/// One part of a set.
pub(super) struct Part {
    pictures: Arc<dyn Pictures>,
    /// One for each picture.
    labels: Vec<Option<u32>>,
    /// The pictures that belong to the part, rising; all of them if none are named.
    chosen: Option<Vec<u32>>,
}

/// What a source found, ready to be read.
pub(super) struct Opened {
    /// What the labels are called; empty without labels.
    pub classes: Vec<String>,
    pub train: Part,
    /// None for a set that knows no parts.
    pub test: Option<Part>,
    /// Where the files were.
    pub origin: String,
    /// What the set is called, if not by the name of its source.
    pub name: Option<String>,
}

impl Part {
    /// Every one of `pictures`, a label for each.
    pub fn new(pictures: impl Pictures + 'static, labels: Vec<Option<u32>>) -> Self {
        Self { pictures: Arc::new(pictures), labels, chosen: None }
    }

    /// The pictures of several parts, one part after the other.
    pub fn chain(parts: Vec<Part>) -> Self {
        let labels = parts.iter().flat_map(|part| part.labels.iter().copied()).collect();
        Self::new(Chain(parts.into_iter().map(|part| part.pictures).collect()), labels)
    }

    /// The pictures at `chosen`, rising, alone.
    pub fn select(&self, chosen: Vec<u32>) -> Self {
        Self { pictures: self.pictures.clone(), labels: self.labels.clone(), chosen: Some(chosen) }
    }

    /// How many pictures belong to it.
    pub fn n(&self) -> usize {
        self.chosen.as_ref().map_or(self.labels.len(), Vec::len)
    }

    /// The labels of its pictures.
    pub fn labels(&self) -> Vec<Option<u32>> {
        match &self.chosen {
            None => self.labels.clone(),
            Some(chosen) => chosen.iter().map(|place| self.labels[*place as usize]).collect(),
        }
    }

    /// Hands every picture that belongs to it to `take`, with its place among all.
    pub fn each(&self, take: &mut dyn FnMut(usize, Raw) -> Result<()>) -> Result<()> {
        let (mut place, mut next) = (0usize, 0usize);
        self.pictures.each(&mut |raw| {
            let here = place;
            place += 1;
            match &self.chosen {
                None => take(here, raw),
                Some(chosen) if chosen.get(next) == Some(&(here as u32)) => {
                    next += 1;
                    take(here, raw)
                }
                Some(_) => Ok(()),
            }
        })?;
        match place == self.labels.len() {
            true => Ok(()),
            false => Err(Error::new(format!("{} pictures were announced and {place} came", self.labels.len()))
                .help("the files changed while they were read")),
        }
    }

    /// What the pixels depend on.
    pub fn identity(&self) -> Result<String> {
        let chosen = self.chosen.as_ref().map_or_else(String::new, |chosen| {
            let bytes: Vec<u8> = chosen.iter().flat_map(|place| place.to_le_bytes()).collect();
            hexadecimal(&Sha256::digest(bytes))
        });
        Ok(format!("{} {} {chosen}", self.labels.len(), self.pictures.identity()?))
    }

    /// Two parts by the fixed rule: in each class the first 80% of the pictures, rounded, are for training and the rest
    /// for testing; those without a label count as a class. Neighbours in a file are often alike (frames of one film,
    /// pictures of one session), so a class is cut once and not shuffled.
    pub fn split(self, classes: &[String]) -> Result<[Part; 2]> {
        let mut members = vec![Vec::new(); classes.len() + 1];
        for (place, label) in self.labels.iter().enumerate() {
            members[label.map_or(classes.len(), |label| label as usize)].push(place as u32);
        }
        let (mut train, mut test) = (Vec::new(), Vec::new());
        for (label, members) in members.iter().enumerate().filter(|(_, members)| !members.is_empty()) {
            if members.len() < 2 && label == classes.len() && !classes.is_empty() {
                // A lone picture without a label is good to train with; nothing is measured by it.
                train.extend_from_slice(members);
                continue;
            }
            if members.len() < 2 {
                let class = classes.get(label).map_or("the set", String::as_str);
                return Err(Error::new(format!(
                    "`{class}` has {} images; 2 are needed, one to train with and one to test with",
                    members.len()
                )));
            }
            let cut = (TRAIN_SHARE * members.len() as f64).round() as usize;
            let (head, tail) = members.split_at(cut.clamp(1, members.len() - 1));
            train.extend_from_slice(head);
            test.extend_from_slice(tail);
        }
        train.sort_unstable();
        test.sort_unstable();
        Ok([self.select(train), self.select(test)])
    }
}

/// The share of each class that is for training when a set has no parts of its own.
const TRAIN_SHARE: f64 = 0.8;

/// Several sources, one after the other.
struct Chain(Vec<Arc<dyn Pictures>>);

impl Pictures for Chain {
    fn each(&self, take: &mut dyn FnMut(Raw) -> Result<()>) -> Result<()> {
        self.0.iter().try_for_each(|pictures| pictures.each(take))
    }

    fn identity(&self) -> Result<String> {
        Ok(self.0.iter().map(|pictures| pictures.identity()).collect::<Result<Vec<_>>>()?.join("\n"))
    }
}

/// What a file is known by without reading it: its place, its length and when it was written.
pub(super) fn stamp(path: &Path) -> Result<String> {
    let about = || -> std::io::Result<String> {
        let (place, about) = (path.canonicalize()?, path.metadata()?);
        let written = about.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok(format!("{} {} {}", place.display(), about.len(), written.as_nanos()))
    };
    about().map_err(|error| file(path, "look at", error))
}

/// Image files.
pub(super) struct Files(pub Vec<PathBuf>);

impl Pictures for Files {
    fn each(&self, take: &mut dyn FnMut(Raw) -> Result<()>) -> Result<()> {
        self.0.iter().try_for_each(|path| take(Raw::File(path.clone())))
    }

    fn identity(&self) -> Result<String> {
        let mut hash = Sha256::new();
        for path in &self.0 {
            hash.update(stamp(path)?);
            hash.update("\n");
        }
        Ok(hexadecimal(&hash.finalize()))
    }
}

/// Pixels that are in memory already, image after image.
pub(super) struct Planes {
    pub shape: Shape,
    pub pixels: Vec<u8>,
}

impl Pictures for Planes {
    fn each(&self, take: &mut dyn FnMut(Raw) -> Result<()>) -> Result<()> {
        self.pixels.chunks_exact(self.shape.bytes()).try_for_each(|image| take(Raw::Planes(self.shape, image.to_vec())))
    }

    fn identity(&self) -> Result<String> {
        Ok(hexadecimal(&Sha256::digest(&self.pixels)))
    }
}

/// A file of records of one length, each the pixels of an image behind bytes of another kind.
pub(super) struct Records {
    pub path: PathBuf,
    /// Bytes before the pixels of each record.
    pub before: usize,
    pub shape: Shape,
    /// Whether the pixels of a channel go down each column and not along each row.
    pub by_column: bool,
}

impl Records {
    fn length(&self) -> usize {
        self.before + self.shape.bytes()
    }

    /// How many records there are.
    pub fn n(&self) -> Result<usize> {
        let length = self.path.metadata().map_err(|error| file(&self.path, "look at", error))?.len() as usize;
        if length == 0 || !length.is_multiple_of(self.length()) {
            return Err(Error::new(format!(
                "`{}` holds {length} bytes, which is no whole number of records of {} bytes",
                self.path.display(),
                self.length()
            ))
            .help("the file is truncated or damaged, or another one; fetch it again"));
        }
        Ok(length / self.length())
    }

    /// Hands the bytes before the pixels, and the pixels, of each record to `take`.
    pub fn records(&self, take: &mut dyn FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
        let n = self.n()?;
        let opened = File::open(&self.path).map_err(|error| file(&self.path, "open", error))?;
        let mut reader = BufReader::with_capacity(1 << 20, opened);
        let mut record = vec![0; self.length()];
        for _ in 0..n {
            reader.read_exact(&mut record).map_err(|error| file(&self.path, "read", error))?;
            take(&record[..self.before], &record[self.before..])?;
        }
        Ok(())
    }
}

impl Pictures for Records {
    fn each(&self, take: &mut dyn FnMut(Raw) -> Result<()>) -> Result<()> {
        self.records(&mut |_, pixels| {
            let pixels = if self.by_column { by_row(pixels, self.shape) } else { pixels.to_vec() };
            take(Raw::Planes(self.shape, pixels))
        })
    }

    fn identity(&self) -> Result<String> {
        stamp(&self.path)
    }
}

/// The pixels of each channel row by row that come column by column.
pub(super) fn by_row(pixels: &[u8], shape: Shape) -> Vec<u8> {
    let Shape { height, width, .. } = shape;
    let mut rows = Vec::with_capacity(pixels.len());
    for plane in pixels.chunks_exact(height * width) {
        rows.extend((0..height * width).map(|place| plane[place % width * height + place / width]));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOT: Shape = Shape { channels: 1, height: 1, width: 1 };

    fn dots(labels: &[Option<u32>]) -> Part {
        let pixels = (0..labels.len() as u8).collect();
        Part::new(Planes { shape: DOT, pixels }, labels.to_vec())
    }

    fn pixels(part: &Part) -> Vec<(usize, u8)> {
        let mut all = Vec::new();
        let mut take = |place, raw| {
            if let Raw::Planes(_, pixels) = raw {
                all.push((place, pixels[0]));
            }
            Ok(())
        };
        part.each(&mut take).unwrap();
        all
    }

    #[test]
    fn a_split_cuts_each_class_once_and_keeps_the_order() {
        let labels = [0, 1, 0, 1, 0, 0, 1, 0].map(Some);
        let classes = ["a", "b"].map(String::from);
        let [train, test] = dots(&labels).split(&classes).unwrap();
        // Class 0 is at 0 2 4 5 7 (4 to train), class 1 at 1 3 6 (2 to train).
        assert_eq!(pixels(&train).iter().map(|(_, pixel)| *pixel).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(pixels(&test), [(6, 6), (7, 7)]);
        assert_eq!((train.n(), test.labels()), (6, vec![Some(1), Some(0)]));
        assert_ne!(train.identity().unwrap(), test.identity().unwrap());
        let message = dots(&[0, 0, 1].map(Some)).split(&classes).err().unwrap().message;
        assert_eq!(message, "`b` has 1 images; 2 are needed, one to train with and one to test with");
    }

    #[test]
    fn pictures_without_a_label_are_cut_like_a_class() {
        let [train, test] = dots(&[None; 5]).split(&[]).unwrap();
        assert_eq!((train.n(), pixels(&test)), (4, vec![(4, 4)]));
    }

    #[test]
    fn parts_follow_one_another() {
        let both = Part::chain(vec![dots(&[Some(1), None]), dots(&[Some(0)])]);
        assert_eq!(both.labels(), [Some(1), None, Some(0)]);
        assert_eq!(pixels(&both), [(0, 0), (1, 1), (2, 0)]);
    }

    #[test]
    fn columns_become_rows() {
        let shape = Shape { channels: 2, height: 2, width: 3 };
        // Channel 0 holds 1 2 3 over 4 5 6.
        let columns = [1, 4, 2, 5, 3, 6, 11, 14, 12, 15, 13, 16];
        assert_eq!(by_row(&columns, shape), [1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16]);
    }

    #[test]
    fn records_that_do_not_fill_a_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("batch.bin");
        let records = Records { path: path.clone(), before: 1, shape: DOT, by_column: false };
        std::fs::write(&path, [9, 1, 8, 2]).unwrap();
        assert_eq!(pixels(&Part::new(records, vec![None; 2])), [(0, 1), (1, 2)]);
        let records = Records { path: path.clone(), before: 1, shape: DOT, by_column: false };
        std::fs::write(&path, [9, 1, 8]).unwrap();
        let error = records.n().unwrap_err();
        assert!(error.message.ends_with("holds 3 bytes, which is no whole number of records of 2 bytes"), "{error}");
    }
}
