//! Street View House Numbers: cropped digits of 32x32 in MAT files.

use std::path::{Path, PathBuf};

use super::images::Shape;
use super::mnist::DIGITS;
use super::part::{Opened, Part, Pictures, Raw, by_row, stamp};
use super::source::{AS_IT_IS, Home, Source, demand, lacking};
use super::{LoadOptions, mat};
use crate::error::{Error, Result};
use crate::table;

pub(super) const SVHN: Source = Source {
    name: "svhn",
    doc: "Street View House Numbers: 73,257 digits to train with and 26,032 to test with, 32x32 in colour.\n\n\
          Format 2, cropped digits: `train_32x32.mat` and `test_32x32.mat`. `train: \"train+extra\"` adds the 531,131 \
          easier ones of `extra_32x32.mat`, `train: \"extra\"` takes them alone.\n\
          Netzer, Wang, Coates, Bissacco, Wu and Ng 2011, \"Reading digits in natural images\".",
    origin: "SVHN, Yuval Netzer and others",
    licence: "for non-commercial use",
    home: Home::Files { needs: GET, is_in: |folder| lacking(folder, FILES.iter().copied()).is_empty() },
    takes: &["train"],
    usual: AS_IT_IS,
    open,
};

const GET: &str = "`train_32x32.mat` and `test_32x32.mat` (and `extra_32x32.mat`), format 2, from \
                   ufldl.stanford.edu/housenumbers";
const FILES: &[&str] = &["train_32x32.mat", "test_32x32.mat"];
const SHAPE: Shape = Shape { channels: 3, height: 32, width: 32 };

fn open(folder: &Path, options: &LoadOptions) -> Result<Opened> {
    let read = |name: &str| {
        let name = format!("{name}_32x32.mat");
        demand(folder, &[&name], "SVHN", GET)?;
        part(&folder.join(name))
    };
    let train = match options.train.as_deref().unwrap_or("train") {
        "train" => read("train")?,
        "extra" => read("extra")?,
        "train+extra" => Part::chain(vec![read("train")?, read("extra")?]),
        other => return Err(table::unknown("training part", other, ["train", "extra", "train+extra"])),
    };
    Ok(Opened {
        classes: DIGITS.map(String::from).to_vec(),
        train,
        test: Some(read("test")?),
        origin: folder.display().to_string(),
        name: None,
    })
}

fn part(path: &Path) -> Result<Part> {
    let images = mat::array(path, "X")?;
    let n = match images.dims[..] {
        [32, 32, 3, n] if images.is_bytes() => n,
        // MATLAB leaves out a last side of one.
        [32, 32, 3] if images.is_bytes() => 1,
        _ => {
            return Err(Error::new(format!(
                "`X` of `{}` is {:?}; it must be bytes, [32, 32, 3, n]",
                path.display(),
                images.dims
            ))
            .help("format 2 of the set, cropped digits, has such arrays"));
        }
    };
    let numbers = mat::array(path, "y")?;
    if numbers.len() != n {
        return Err(Error::new(format!(
            "`{}` holds {n} images and {} labels; each image has one label",
            path.display(),
            numbers.len()
        )));
    }
    let label = |(place, number): (usize, f64)| match number as u32 {
        // A zero is written 10.
        label @ 1..=10 if f64::from(label) == number => Ok(Some(label % 10)),
        _ => Err(Error::new(format!(
            "label {number} of image {place} in `{}` is out of range; labels are 1 to 10",
            path.display()
        ))),
    };
    let labels = numbers.numbers(path)?.into_iter().enumerate().map(label).collect::<Result<_>>()?;
    Ok(Part::new(Digits { path: path.to_path_buf(), n }, labels))
}

struct Digits {
    path: PathBuf,
    n: usize,
}

impl Pictures for Digits {
    fn each(&self, take: &mut dyn FnMut(Raw) -> Result<()>) -> Result<()> {
        let mut images = mat::array(&self.path, "X")?;
        let mut pixels = vec![0; SHAPE.bytes()];
        for _ in 0..self.n {
            images.read_bytes(&mut pixels, &self.path)?;
            take(Raw::Planes(SHAPE, by_row(&pixels, SHAPE)))?;
        }
        Ok(())
    }

    fn identity(&self) -> Result<String> {
        stamp(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Splits, load};
    use super::*;

    /// A folder with the small files that SciPy wrote, and what `change` says in their place.
    fn folder(names: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data");
        for (name, from) in names {
            std::fs::copy(golden.join(from), root.path().join(name)).unwrap();
        }
        root
    }

    fn load_from(folder: &Path, train: Option<&str>) -> Result<Splits> {
        let path = Some(folder.display().to_string());
        load("svhn", &LoadOptions { path, train: train.map(String::from), ..Default::default() })
    }

    #[test]
    fn digits_stand_upright_and_ten_is_zero() {
        let all = [("train_32x32.mat", "svhn.mat"), ("test_32x32.mat", "svhn.mat"), ("extra_32x32.mat", "svhn.mat")];
        let folder = folder(&all);
        let Splits { train, test } = load_from(folder.path(), None).unwrap();
        assert_eq!((train.images().dims(), train.truth().unwrap().labels()), ([3, 3, 32, 32], &[1u32, 0, 9][..]));
        // The script wrote 4 * image into all pixels, and the row, column, channel of three marked ones.
        let image = train.images().image(2);
        assert_eq!((image[0], image[7 * 32 + 3], image[1024 + 3 * 32 + 7], image[2048 + 31]), (8, 201, 202, 203));
        assert_eq!(image.iter().filter(|pixel| **pixel != 8).count(), 3);
        assert_eq!(test.n(), 3);
        assert_eq!(load_from(folder.path(), Some("train+extra")).unwrap().train.n(), 6);
        assert!(load_from(folder.path(), Some("more")).is_err());
    }

    #[test]
    fn faults_of_the_files_are_said() {
        let folder = folder(&[("train_32x32.mat", "plain.mat"), ("test_32x32.mat", "svhn.mat")]);
        let message = load_from(folder.path(), None).unwrap_err().message;
        assert!(message.contains("train_32x32.mat` has no array `X`"), "{message}");
        let error = load_from(folder.path(), Some("extra")).unwrap_err();
        assert!(error.message.starts_with("the file `extra_32x32.mat` of SVHN is not in"), "{error}");
        let whole = std::fs::read(folder.path().join("test_32x32.mat")).unwrap();
        std::fs::write(folder.path().join("train_32x32.mat"), &whole[..whole.len() / 2]).unwrap();
        assert!(load_from(folder.path(), None).unwrap_err().message.contains("is no whole MAT file of version 5"));
    }
}
