//! A folder of one's own: a folder of images for each class.

use std::path::{Path, PathBuf};

use super::LoadOptions;
use super::part::{Files, Opened, Part};
use super::source::{AS_IT_IS, Home, Source};
use crate::error::{Error, Result, file};

pub(super) const FOLDER: Source = Source {
    name: "folder",
    doc: "Images of one's own: PNG and JPEG files in a folder for each class.\n\n\
          `path` holds the class folders, or it holds `train` and `test`, which hold them. Without these two, in each \
          class the first 80% of the files by name are for training and the rest for testing. Images that lie in \
          `path` itself have no labels. All images must be of one size unless `size` brings them to one; they are \
          grey when every file is. What is transparent shows white. Other files and hidden ones are passed over.",
    origin: "the folder `path`",
    licence: "that of the images",
    home: Home::Given("photos"),
    takes: &[],
    usual: AS_IT_IS,
    open,
};

/// An image file, and its class if it lies in a class folder.
struct Entry {
    path: PathBuf,
    class: Option<usize>,
}

fn open(root: &Path, _: &LoadOptions) -> Result<Opened> {
    open_parts(root, "test")
}

/// Class folders in `root`, or in its folders `train` and `test`, which may be called otherwise.
pub(super) fn open_parts(root: &Path, test: &str) -> Result<Opened> {
    let name = root.file_name().map(|name| name.to_string_lossy().into_owned());
    let origin = root.display().to_string();
    let parts = ["train", test].map(|part| root.join(part));
    if !parts.iter().all(|part| part.is_dir()) {
        let classes = class_folders(root)?;
        let train = part(entries(root, &classes)?);
        return Ok(Opened { classes, train, test: None, origin, name });
    }
    let classes = class_folders(&parts[0])?;
    let test_classes = class_folders(&parts[1])?;
    if let Some(stranger) = test_classes.iter().find(|class| !classes.contains(class)) {
        return Err(Error::new(format!(
            "`{}` has the class `{stranger}`, which `{}` has not",
            parts[1].display(),
            parts[0].display()
        )));
    }
    let [train, test] = [part(entries(&parts[0], &classes)?), part(entries(&parts[1], &classes)?)];
    Ok(Opened { classes, train, test: Some(test), origin, name })
}

fn part(entries: Vec<Entry>) -> Part {
    let labels = entries.iter().map(|entry| entry.class.map(|class| class as u32)).collect();
    Part::new(Files(entries.into_iter().map(|entry| entry.path).collect()), labels)
}

/// Every image file in `folder` and in the folders inside it, by name.
pub(super) fn all_images(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    collect(folder, 0, &mut entries)?;
    Ok(entries.into_iter().map(|entry| entry.path).collect())
}

/// What `folder` holds, hidden entries left out, by name.
fn listing(folder: &Path) -> Result<Vec<PathBuf>> {
    let read =
        || -> std::io::Result<Vec<PathBuf>> { std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect() };
    let mut paths = read().map_err(|error| file(folder, "list", error))?;
    paths.retain(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')));
    paths.sort();
    Ok(paths)
}

/// The names of the folders in `root`: the classes.
fn class_folders(root: &Path) -> Result<Vec<String>> {
    let names = listing(root)?.into_iter().filter(|path| path.is_dir());
    Ok(names.filter_map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned())).collect())
}

fn is_image(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    matches!(ending.as_deref(), Some("png" | "jpg" | "jpeg"))
}

/// The image files under `root`, class by class, by name. A part of a set need not have every class.
fn entries(root: &Path, classes: &[String]) -> Result<Vec<Entry>> {
    let loose = listing(root)?.into_iter().filter(|path| path.is_file() && is_image(path));
    let mut entries: Vec<Entry> = loose.map(|path| Entry { path, class: None }).collect();
    if let (Some(entry), Some(class)) = (entries.first(), classes.first()) {
        return Err(Error::new(format!("`{}` lies beside the class folder `{class}`", entry.path.display()))
            .help("put every image in the folder of its class, or none"));
    }
    for (class, name) in classes.iter().enumerate().filter(|(_, name)| root.join(name).is_dir()) {
        let before = entries.len();
        collect(&root.join(name), class, &mut entries)?;
        if entries.len() == before {
            return Err(Error::new(format!(
                "the class folder `{}` holds no PNG or JPEG file",
                root.join(name).display()
            )));
        }
    }
    if entries.is_empty() {
        return Err(Error::new(format!("`{}` holds no PNG or JPEG file", root.display()))
            .help("it must hold a folder for each class, with the images of the class inside"));
    }
    Ok(entries)
}

/// The image files in `folder` and in the folders inside it. Links to folders are not followed, so this ends.
fn collect(folder: &Path, class: usize, entries: &mut Vec<Entry>) -> Result<()> {
    for path in listing(folder)? {
        if path.is_dir() && !path.is_symlink() {
            collect(&path, class, entries)?;
        } else if path.is_file() && is_image(&path) {
            entries.push(Entry { path, class: Some(class) });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Splits, load};
    use super::*;
    use image::{GrayImage, Luma, Rgb, RgbImage};

    /// Writes a grey image of one value.
    fn grey(root: &Path, name: &str, side: u32, value: u8) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        GrayImage::from_pixel(side, side, Luma([value])).save(path).unwrap();
    }

    fn load_from(root: &Path, size: Option<usize>) -> Result<Splits> {
        load("folder", &LoadOptions { path: Some(root.display().to_string()), size, ..Default::default() })
    }

    /// Two classes of five images each, one of them in a folder deeper down.
    fn cats_and_dogs() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for place in 0..5 {
            grey(root.path(), &format!("cat/{place}.png"), 2, place);
            grey(root.path(), &format!("dog/{}{place}.png", if place == 4 { "more/" } else { "" }), 2, 10 + place);
        }
        std::fs::write(root.path().join("cat/notes.txt"), "no image").unwrap();
        std::fs::create_dir(root.path().join(".cache")).unwrap();
        root
    }

    #[test]
    fn class_folders_are_classes_and_each_is_cut_by_name() {
        let root = cats_and_dogs();
        let Splits { train, test } = load_from(root.path(), None).unwrap();
        assert_eq!(train.classes(), ["cat", "dog"]);
        assert_eq!(train.truth().unwrap().labels(), [0, 0, 0, 0, 1, 1, 1, 1]);
        assert_eq!(test.truth().unwrap().labels(), [0, 1]);
        assert_eq!(test.images().pixels(), [4, 4, 4, 4, 14, 14, 14, 14]);
        assert_eq!(train.images().dims(), [8, 1, 2, 2]);
    }

    #[test]
    fn train_and_test_folders_are_the_parts() {
        let root = tempfile::tempdir().unwrap();
        for name in ["train/a/1.png", "train/b/1.png", "test/b/1.png"] {
            grey(root.path(), name, 2, 7);
        }
        let splits = load_from(root.path(), None).unwrap();
        assert_eq!((splits.train.n(), splits.test.truth().unwrap().labels()), (2, &[1u32][..]));
        grey(root.path(), "test/c/1.png", 2, 7);
        let message = load_from(root.path(), None).unwrap_err().message;
        assert!(message.contains("has the class `c`, which"), "{message}");
    }

    #[test]
    fn one_colour_image_makes_the_set_colour() {
        let root = cats_and_dogs();
        RgbImage::from_pixel(2, 2, Rgb([1, 2, 3])).save(root.path().join("cat/0.png")).unwrap();
        let train = load_from(root.path(), None).unwrap().train;
        assert_eq!(train.images().image(0), [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]);
        assert_eq!(train.images().image(1), [1; 12]);
    }

    #[test]
    fn another_size_is_an_error_that_names_the_file_unless_a_size_is_asked_for() {
        let root = cats_and_dogs();
        grey(root.path(), "dog/1.png", 3, 11);
        let error = load_from(root.path(), None).unwrap_err();
        assert!(error.message.contains("dog/1.png` is 3x3 pixels, the images before it are 2x2"), "{error}");
        assert_eq!(load_from(root.path(), Some(2)).unwrap().train.images().dims(), [8, 1, 2, 2]);
    }

    #[test]
    fn images_without_class_folders_have_no_labels() {
        let root = tempfile::tempdir().unwrap();
        (0..5).for_each(|place| grey(root.path(), &format!("{place}.png"), 2, place));
        let splits = load_from(root.path(), None).unwrap();
        assert_eq!((splits.train.n(), splits.test.n()), (4, 1));
        assert!(splits.train.truth().unwrap_err().message.ends_with("/train` has no labels"));
        assert_eq!(splits.train.keep_labels(0.0, 1).unwrap().n_known(), 0);
        grey(root.path(), "cat/1.png", 2, 1);
        assert!(load_from(root.path(), None).unwrap_err().message.contains("lies beside the class folder `cat`"));
    }

    #[test]
    fn a_folder_that_is_not_there_or_empty_or_spoilt_is_named() {
        let root = tempfile::tempdir().unwrap();
        let message = |path: &Path| load_from(path, None).unwrap_err().message;
        assert!(message(&root.path().join("none")).starts_with("cannot list `"));
        assert!(message(root.path()).ends_with("holds no PNG or JPEG file"));
        grey(root.path(), "cat/1.png", 2, 1);
        std::fs::write(root.path().join("cat/2.png"), b"\x89PNG\r\n").unwrap();
        assert!(message(root.path()).starts_with("cannot read `") && message(root.path()).contains("cat/2.png`"));
        std::fs::create_dir(root.path().join("dog")).unwrap();
        assert!(
            message(root.path()).contains("the class folder `") && message(root.path()).contains("dog` holds no PNG")
        );
    }
}
