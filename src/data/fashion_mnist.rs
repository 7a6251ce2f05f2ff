//! Fashion-MNIST: photographs of clothes, 28x28 grey, ten classes. Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747.

use std::path::{Path, PathBuf};

use super::dataset::{Dataset, Splits, Truth};
use super::{LoadOptions, Place, Source, idx};
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
    takes_path: false,
    load: load_10k,
    locate: || Place::Inside,
};

pub(super) const FASHION_MNIST: Source = Source {
    name: "fashion-mnist",
    doc: "Fashion-MNIST in full: 60,000 images to train with and 10,000 to test with, as published.\n\n\
          28x28 grey photographs of clothes, ten classes. The four IDX files, gzipped or plain, are read from `path`; \
          without one from the folder `fashion-mnist` in `$FEWLAB_DATA`, then from where Debian's package \
          `dataset-fashion-mnist` puts them.\n\
          Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747.",
    origin: "Fashion-MNIST, Zalando Research",
    licence: "MIT, Zalando SE 2017",
    takes_path: true,
    load: load_full,
    locate: || match folders(None).into_iter().find(|folder| missing(folder).is_empty()) {
        Some(folder) => Place::Found(folder),
        None => Place::Missing(HOW_TO_GET.to_string()),
    },
};

/// As its authors call them.
const CLASSES: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

const IMAGES_10K: &[u8] = include_bytes!("embedded/t10k-images-idx3-ubyte.gz");
const LABELS_10K: &[u8] = include_bytes!("embedded/t10k-labels-idx1-ubyte.gz");

const DEBIAN: &str = "/usr/share/datasets/fashion-mnist";
const HOW_TO_GET: &str = "on Debian and Ubuntu `apt-get install dataset-fashion-mnist` installs it; anywhere else say where its \
                          four files are with `path`";

/// The images and the labels of the part called `part`, as the files are named.
fn names(part: &str) -> [String; 2] {
    [format!("{part}-images-idx3-ubyte"), format!("{part}-labels-idx1-ubyte")]
}

fn load_10k(_: &LoadOptions) -> Result<Splits> {
    let [images, labels] = names("t10k");
    let all = part("fashion-mnist-10k", [(IMAGES_10K, images), (LABELS_10K, labels)], FASHION_MNIST_10K.origin)?;
    all.split("fashion-mnist-10k")
}

fn load_full(options: &LoadOptions) -> Result<Splits> {
    let folders = folders(options.path.as_deref());
    let Some(folder) = folders.iter().find(|folder| missing(folder).is_empty()) else {
        let looked = folders.iter().map(|folder| format!("`{}`", folder.display())).collect::<Vec<_>>().join(", ");
        let lacks = folders.iter().map(|folder| missing(folder)).find(|lacks| lacks.len() < 4);
        let what = match lacks {
            Some(lacks) => format!("the files {} of Fashion-MNIST are", list(&lacks)),
            None => "the files of Fashion-MNIST are".to_string(),
        };
        return Err(Error::new(format!("{what} not in {looked}")).help(HOW_TO_GET));
    };
    let read = |name: &str, part_of: &str| -> Result<Dataset> {
        let [images, labels] = names(part_of).map(|name| found(folder, &name).unwrap_or_else(|| folder.join(name)));
        let files = [(idx::read_file(&images)?, shown(&images)), (idx::read_file(&labels)?, shown(&labels))];
        let [images, labels] = &files;
        part(name, [(&images.0, images.1.clone()), (&labels.0, labels.1.clone())], &shown(folder))
    };
    Ok(Splits { train: read("fashion-mnist/train", "train")?, test: read("fashion-mnist/test", "t10k")? })
}

/// A data set from the bytes and names of an images file and a labels file.
fn part(name: &str, [images, labels]: [(&[u8], String); 2], origin: &str) -> Result<Dataset> {
    let (pixels, labels_name) = (idx::images(&idx::gunzip(images.0, &images.1)?, &images.1)?, labels.1);
    let labels = idx::labels(&idx::gunzip(labels.0, &labels_name)?, CLASSES.len(), &labels_name)?;
    if pixels.n() != labels.len() {
        return Err(Error::new(format!(
            "`{}` holds {} images and `{labels_name}` {} labels; each image has one label",
            images.1,
            pixels.n(),
            labels.len()
        )));
    }
    Dataset::new(name, pixels, Some(Truth::new(labels, CLASSES.map(String::from).to_vec())?), origin)
}

/// Where to look for the full set.
fn folders(path: Option<&str>) -> Vec<PathBuf> {
    match path {
        Some(path) => vec![path.into()],
        None => {
            let own = std::env::var_os("FEWLAB_DATA").map(|folder| Path::new(&folder).join("fashion-mnist"));
            own.into_iter().chain([DEBIAN.into()]).collect()
        }
    }
}

/// The file `name` in `folder`, gzipped or plain.
fn found(folder: &Path, name: &str) -> Option<PathBuf> {
    [format!("{name}.gz"), name.to_string()].map(|name| folder.join(name)).into_iter().find(|path| path.is_file())
}

/// The files that `folder` lacks.
fn missing(folder: &Path) -> Vec<String> {
    ["train", "t10k"].into_iter().flat_map(names).filter(|name| found(folder, name).is_none()).collect()
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::super::idx::tests::idx;
    use super::*;

    #[test]
    fn the_embedded_set_is_whole_and_split_by_its_rule() {
        let Splits { train, test } = load_10k(&LoadOptions::default()).unwrap();
        assert_eq!((train.images().dims(), test.images().dims()), ([8000, 1, 28, 28], [2000, 1, 28, 28]));
        assert_eq!(train.truth().unwrap().counts(), [800; 10]);
        assert_eq!(test.truth().unwrap().counts(), [200; 10]);
        // The first labels of the published file.
        assert_eq!(train.truth().unwrap().labels()[..8], [9, 2, 1, 1, 6, 1, 4, 6]);
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

    fn load(folder: &tempfile::TempDir) -> Result<Splits> {
        load_full(&LoadOptions { path: Some(shown(folder.path())), ..Default::default() })
    }

    #[test]
    fn the_full_set_is_read_from_a_folder() {
        let splits = load(&folder(|_| None)).unwrap();
        assert_eq!(splits.train.images().pixels(), [1, 2, 3, 4]);
        assert_eq!(splits.test.truth().unwrap().labels(), [9, 0]);
    }

    #[test]
    fn what_is_wrong_with_the_files_is_said() {
        let folder_of = folder(|name| (name == "t10k-labels-idx1-ubyte").then(|| idx(&[1], &[0])));
        let message = load(&folder_of).unwrap_err().message;
        assert!(
            message.contains("holds 2 images and") && message.ends_with("1 labels; each image has one label"),
            "{message}"
        );
        std::fs::remove_file(folder_of.path().join("train-labels-idx1-ubyte")).unwrap();
        let error = load(&folder_of).unwrap_err();
        assert!(
            error.message.starts_with("the files `train-labels-idx1-ubyte` of Fashion-MNIST are not in `"),
            "{error}"
        );
        assert!(error.help.unwrap().contains("apt-get install dataset-fashion-mnist"));
    }
}
