//! STL-10: photographs of 96x96, few with labels and many without.

use std::path::Path;

use super::LoadOptions;
use super::images::Shape;
use super::part::{Opened, Part, Records};
use super::source::{AS_IT_IS, Home, Source, demand, inside, lacking};
use crate::error::{Error, Result, file};
use crate::table;

pub(super) const STL10: Source = Source {
    name: "stl10",
    doc: "STL-10: 5,000 photographs to train with, 8,000 to test with, ten classes, and 100,000 without labels; 96x96.\n\n\
          In colour. `train: \"train+unlabeled\"` puts the images without labels behind the others, `train: \"unlabeled\"` \
          in their place. The binary version is read (`train_X.bin`, `train_y.bin`, `test_X.bin`, `test_y.bin`, \
          `unlabeled_X.bin`, `class_names.txt`). `size: 48` is what is usual for GANs.\n\
          Coates, Lee and Ng 2011, \"An analysis of single-layer networks in unsupervised feature learning\".",
    origin: "STL-10, Adam Coates, Honglak Lee and Andrew Ng",
    licence: "that of the photographs in ImageNet, for research",
    home: Home::Files { needs: GET, is_in: |folder| place(folder).is_some() },
    takes: &["train"],
    usual: AS_IT_IS,
    open,
};

const GET: &str = "`stl10_binary.tar.gz` from cs.stanford.edu/~acoates/stl10 and unpack it";
const LABELLED: &[&str] = &["train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin"];
/// As the file `class_names.txt` has them.
const CLASSES: [&str; 10] = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"];
const SHAPE: Shape = Shape { channels: 3, height: 96, width: 96 };

fn place(folder: &Path) -> Option<std::path::PathBuf> {
    inside(folder, &["stl10_binary"], |folder| lacking(folder, LABELLED.iter().copied()).is_empty())
}

fn open(folder: &Path, options: &LoadOptions) -> Result<Opened> {
    let found = place(folder).unwrap_or_else(|| folder.to_path_buf());
    demand(&found, LABELLED, "STL-10", GET)?;
    let unlabelled = || -> Result<Part> {
        demand(&found, &["unlabeled_X.bin"], "STL-10", GET)?;
        let pictures = pictures(&found.join("unlabeled_X.bin"));
        let n = pictures.n()?;
        Ok(Part::new(pictures, vec![None; n]))
    };
    let train = match options.train.as_deref().unwrap_or("train") {
        "train" => labelled(&found, "train")?,
        "unlabeled" => unlabelled()?,
        "train+unlabeled" => Part::chain(vec![labelled(&found, "train")?, unlabelled()?]),
        other => return Err(table::unknown("training part", other, ["train", "unlabeled", "train+unlabeled"])),
    };
    Ok(Opened {
        classes: CLASSES.map(String::from).to_vec(),
        train,
        test: Some(labelled(&found, "test")?),
        origin: found.display().to_string(),
        name: None,
    })
}

fn pictures(path: &Path) -> Records {
    Records { path: path.to_path_buf(), before: 0, shape: SHAPE, by_column: true }
}

/// The part called `name`, whose labels count from 1.
fn labelled(folder: &Path, name: &str) -> Result<Part> {
    let pictures = pictures(&folder.join(format!("{name}_X.bin")));
    let path = folder.join(format!("{name}_y.bin"));
    let bytes = std::fs::read(&path).map_err(|error| file(&path, "read", error))?;
    if bytes.len() != pictures.n()? {
        return Err(Error::new(format!(
            "`{}` holds {} labels and `{}` {} images; each image has one label",
            path.display(),
            bytes.len(),
            pictures.path.display(),
            pictures.n()?
        )));
    }
    let label = |(place, byte): (usize, &u8)| match *byte {
        label @ 1..=10 => Ok(Some(u32::from(label) - 1)),
        label => Err(Error::new(format!(
            "label {label} of image {place} in `{}` is out of range; labels are 1 to 10",
            path.display()
        ))),
    };
    let labels = bytes.iter().enumerate().map(label).collect::<Result<_>>()?;
    Ok(Part::new(pictures, labels))
}

#[cfg(test)]
mod tests {
    use super::super::{Splits, load};
    use super::*;

    /// `n` images whose pixel in row 2 of column 5 is 200, in red, and the others are `colour`.
    fn images(n: usize, colour: u8) -> Vec<u8> {
        let mut image = vec![colour; SHAPE.bytes()];
        image[5 * 96 + 2] = 200;
        image.repeat(n)
    }

    fn folder() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: Vec<u8>| std::fs::write(root.path().join(name), bytes).unwrap();
        write("train_X.bin", images(2, 1));
        write("train_y.bin", vec![10, 1]);
        write("test_X.bin", images(1, 2));
        write("test_y.bin", vec![3]);
        write("unlabeled_X.bin", images(3, 3));
        root
    }

    fn load_from(folder: &Path, train: Option<&str>) -> Result<Splits> {
        let path = Some(folder.display().to_string());
        load("stl10", &LoadOptions { path, train: train.map(String::from), ..Default::default() })
    }

    #[test]
    fn columns_are_turned_into_rows_and_labels_count_from_0() {
        let Splits { train, test } = load_from(folder().path(), None).unwrap();
        assert_eq!((train.images().dims(), train.truth().unwrap().labels()), ([2, 3, 96, 96], &[9u32, 0][..]));
        let image = train.images().image(1);
        assert_eq!((image[2 * 96 + 5], image[5 * 96 + 2], image[0]), (200, 1, 1));
        assert_eq!(test.truth().unwrap().labels(), [2]);
    }

    #[test]
    fn images_without_labels_come_when_they_are_asked_for() {
        let folder = folder();
        let both = load_from(folder.path(), Some("train+unlabeled")).unwrap().train;
        assert_eq!(both.labels(), [Some(9), Some(0), None, None, None]);
        assert_eq!(both.keep_labels(1.0, 1).unwrap().n_known(), 2);
        let bare = load_from(folder.path(), Some("unlabeled")).unwrap().train;
        assert_eq!((bare.n(), bare.counts()), (3, vec![0; 10]));
        assert!(load_from(folder.path(), Some("all")).unwrap_err().message.starts_with("there is no training part"));
    }

    #[test]
    fn faults_of_the_files_are_said() {
        let folder = folder();
        let write = |name: &str, bytes: Vec<u8>| std::fs::write(folder.path().join(name), bytes).unwrap();
        write("test_y.bin", vec![0]);
        let message = load_from(folder.path(), None).unwrap_err().message;
        assert!(message.starts_with("label 0 of image 0 in `"), "{message}");
        write("test_y.bin", vec![1, 2]);
        let message = load_from(folder.path(), None).unwrap_err().message;
        assert!(message.contains("holds 2 labels and") && message.contains(" 1 images;"), "{message}");
        write("train_X.bin", images(2, 1)[1..].to_vec());
        assert!(load_from(folder.path(), None).unwrap_err().message.contains("no whole number of records of 27648"));
        std::fs::remove_file(folder.path().join("train_y.bin")).unwrap();
        let error = load_from(folder.path(), None).unwrap_err();
        assert!(error.message.starts_with("the file `train_y.bin` of STL-10 is not in `"), "{error}");
    }
}
