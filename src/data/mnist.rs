//! MNIST and Fashion-MNIST: digits and photographs of clothes, 28x28 grey, ten classes, in IDX files.

use std::path::{Path, PathBuf};

use super::part::{Opened, Part, Planes};
use super::source::{AS_IT_IS, Home, Source};
use super::{LoadOptions, idx};
use crate::error::{Error, Result};

pub(super) const FASHION_MNIST_10K: Source = Source {
    name: "fashion-mnist-10k",
    doc: "The 10,000 test images of Fashion-MNIST, split 8,000 to 2,000; inside the program.\n\n\
          28x28 grey photographs of clothes, ten classes of 1,000 images. In each class the first 800 images in the \
          order of the file are for training and the last 200 for testing. No figure measured on this split may be \
          compared with published ones, which are measured on `fashion-mnist`.\n\
          Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747.",
    origin: "t10k of Fashion-MNIST, Zalando Research",
    licence: "MIT, Zalando SE 2017",
    home: Home::Inside,
    takes: &[],
    usual: AS_IT_IS,
    open: open_10k,
};

pub(super) const FASHION_MNIST: Source = Source {
    name: "fashion-mnist",
    doc: "Fashion-MNIST in full: 60,000 images to train with and 10,000 to test with, as published.\n\n\
          28x28 grey photographs of clothes, ten classes. The four IDX files are read gzipped or plain. Debian's package \
          `dataset-fashion-mnist` puts them where they are found.\n\
          Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747.",
    origin: "Fashion-MNIST, Zalando Research",
    licence: "MIT, Zalando SE 2017",
    home: Home::Files { needs: GET_FASHION_MNIST, is_in: has_all },
    takes: &[],
    usual: AS_IT_IS,
    open: |folder, _| open(folder, &CLOTHES, "Fashion-MNIST", GET_FASHION_MNIST),
};

pub(super) const MNIST: Source = Source {
    name: "mnist",
    doc: "MNIST: 60,000 handwritten digits to train with and 10,000 to test with, 28x28 grey.\n\n\
          The four IDX files are read gzipped or plain.\n\
          LeCun, Bottou, Bengio and Haffner 1998, doi:10.1109/5.726791.",
    origin: "MNIST, Yann LeCun, Corinna Cortes and Christopher Burges",
    licence: "CC BY-SA 3.0, as it is commonly given",
    home: Home::Files { needs: GET_MNIST, is_in: has_all },
    takes: &[],
    usual: AS_IT_IS,
    open: |folder, _| open(folder, &DIGITS, "MNIST", GET_MNIST),
};

const GET_FASHION_MNIST: &str = "the four files of Fashion-MNIST, `train-images-idx3-ubyte.gz`, \
    `train-labels-idx1-ubyte.gz`, `t10k-images-idx3-ubyte.gz`, `t10k-labels-idx1-ubyte.gz`, from \
    github.com/zalandoresearch/fashion-mnist, or with `apt-get install dataset-fashion-mnist` on Debian and Ubuntu";
const GET_MNIST: &str = "the four files of MNIST, `train-images-idx3-ubyte.gz`, `train-labels-idx1-ubyte.gz`, \
    `t10k-images-idx3-ubyte.gz`, `t10k-labels-idx1-ubyte.gz`, from yann.lecun.com/exdb/mnist or a mirror of it";

/// As its authors call them.
const CLOTHES: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];
/// Also of the house numbers.
pub(super) const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

const IMAGES_10K: &[u8] = include_bytes!("embedded/t10k-images-idx3-ubyte.gz");
const LABELS_10K: &[u8] = include_bytes!("embedded/t10k-labels-idx1-ubyte.gz");

/// The images and the labels of the part called `part`, as the files are named.
fn names(part: &str) -> [String; 2] {
    [format!("{part}-images-idx3-ubyte"), format!("{part}-labels-idx1-ubyte")]
}

fn open_10k(_: &Path, _: &LoadOptions) -> Result<Opened> {
    let [images, labels] = names("t10k");
    Ok(Opened {
        classes: CLOTHES.map(String::from).to_vec(),
        train: part([(IMAGES_10K, images), (LABELS_10K, labels)])?,
        test: None,
        origin: FASHION_MNIST_10K.origin.into(),
        name: None,
    })
}

fn open(folder: &Path, classes: &[&str], set: &str, needs: &str) -> Result<Opened> {
    let lacks = missing(folder);
    if !lacks.is_empty() {
        let listed = lacks.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        return Err(Error::new(format!("the files {listed} of {set} are not in `{}`", folder.display()))
            .help(format!("get {needs}")));
    }
    let read = |part_of: &str| -> Result<Part> {
        let [images, labels] = names(part_of).map(|name| found(folder, &name).unwrap_or_else(|| folder.join(name)));
        let shown = |path: &Path| path.display().to_string();
        part([(&idx::read_file(&images)?, shown(&images)), (&idx::read_file(&labels)?, shown(&labels))])
    };
    Ok(Opened {
        classes: classes.iter().map(|class| class.to_string()).collect(),
        train: read("train")?,
        test: Some(read("t10k")?),
        origin: folder.display().to_string(),
        name: None,
    })
}

/// A part from the bytes and names of an images file and a labels file.
fn part([images, labels]: [(&[u8], String); 2]) -> Result<Part> {
    let (shape, pixels) = idx::images(&idx::gunzip(images.0, &images.1)?, &images.1)?;
    let labels_name = labels.1;
    let labels = idx::labels(&idx::gunzip(labels.0, &labels_name)?, CLOTHES.len(), &labels_name)?;
    let n = pixels.len() / shape.bytes();
    if n != labels.len() {
        return Err(Error::new(format!(
            "`{}` holds {n} images and `{labels_name}` {} labels; each image has one label",
            images.1,
            labels.len()
        )));
    }
    Ok(Part::new(Planes { shape, pixels }, labels.into_iter().map(Some).collect()))
}

/// The file `name` in `folder`, gzipped or plain.
fn found(folder: &Path, name: &str) -> Option<PathBuf> {
    [format!("{name}.gz"), name.to_string()].map(|name| folder.join(name)).into_iter().find(|path| path.is_file())
}

/// The files that `folder` lacks.
fn missing(folder: &Path) -> Vec<String> {
    ["train", "t10k"].into_iter().flat_map(names).filter(|name| found(folder, name).is_none()).collect()
}

fn has_all(folder: &Path) -> bool {
    missing(folder).is_empty()
}

#[cfg(test)]
mod tests {
    use super::super::idx::tests::idx;
    use super::super::{Splits, load};
    use super::*;

    #[test]
    fn the_embedded_set_is_whole_and_split_by_its_rule() {
        let Splits { train, test } = load("fashion-mnist-10k", &LoadOptions::default()).unwrap();
        assert_eq!((train.images().dims(), test.images().dims()), ([8000, 1, 28, 28], [2000, 1, 28, 28]));
        assert_eq!((train.counts(), test.counts()), (vec![800; 10], vec![200; 10]));
        // The first labels of the published file.
        assert_eq!(train.truth().unwrap().labels()[..8], [9, 2, 1, 1, 6, 1, 4, 6]);
        // Whatever reads the set gives the pixels that figures were measured on.
        assert!(train.hash().starts_with("546fa0197887af12"), "{}", train.hash());
    }

    /// A folder with the four files, tiny; `change` may spoil one of them.
    fn folder(change: impl Fn(&str) -> Option<Vec<u8>>) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for part in ["train", "t10k"] {
            let contents = [idx(&[2, 1, 2], &[1, 2, 3, 4]), idx(&[2], &[9, 0])];
            for (name, bytes) in names(part).into_iter().zip(contents) {
                std::fs::write(folder.path().join(&name), change(&name).unwrap_or(bytes)).unwrap();
            }
        }
        folder
    }

    fn load_from(name: &str, folder: &tempfile::TempDir) -> Result<Splits> {
        load(name, &LoadOptions { path: Some(folder.path().display().to_string()), ..Default::default() })
    }

    #[test]
    fn the_full_sets_are_read_from_a_folder() {
        let splits = load_from("fashion-mnist", &folder(|_| None)).unwrap();
        assert_eq!(splits.train.images().pixels(), [1, 2, 3, 4]);
        assert_eq!(splits.test.truth().unwrap().labels(), [9, 0]);
        let digits = load_from("mnist", &folder(|_| None)).unwrap();
        assert_eq!((digits.train.name(), digits.train.classes()[9].as_str()), ("mnist/train", "9"));
    }

    #[test]
    fn what_is_wrong_with_the_files_is_said() {
        let folder_of = folder(|name| (name == "t10k-labels-idx1-ubyte").then(|| idx(&[1], &[0])));
        let message = load_from("mnist", &folder_of).unwrap_err().message;
        assert!(
            message.contains("holds 2 images and") && message.ends_with("1 labels; each image has one label"),
            "{message}"
        );
        std::fs::remove_file(folder_of.path().join("train-labels-idx1-ubyte")).unwrap();
        let error = load_from("fashion-mnist", &folder_of).unwrap_err();
        assert!(
            error.message.starts_with("the files `train-labels-idx1-ubyte` of Fashion-MNIST are not in `"),
            "{error}"
        );
        assert!(error.help.unwrap().contains("apt-get install dataset-fashion-mnist"));
        assert!(load_from("mnist", &folder_of).unwrap_err().help.unwrap().contains("yann.lecun.com"));
    }

    #[test]
    fn clothes_are_called_as_their_authors_call_them() {
        // The table of labels in the README of Fashion-MNIST.
        let called = "T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot";
        for train in [
            load("fashion-mnist-10k", &LoadOptions::default()).unwrap().train,
            load_from("fashion-mnist", &folder(|_| None)).unwrap().train,
        ] {
            assert_eq!(train.classes().join(", "), called);
        }
    }
}
