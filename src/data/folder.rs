//! A folder of one's own: a folder of images for each class.

use std::path::{Path, PathBuf};

use image::DynamicImage;
use rayon::prelude::*;

use super::dataset::{Dataset, Splits, Truth};
use super::fit::{Fit, opaque, planes, recolour, square};
use super::images::{Images, Shape};
use super::{LoadOptions, Place, Source};
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
    takes_path: true,
    load,
    locate: || Place::Given,
};

/// An image file, and its class if it lies in a class folder.
struct Entry {
    path: PathBuf,
    class: Option<usize>,
}

fn load(options: &LoadOptions) -> Result<Splits> {
    let Some(path) = &options.path else {
        return Err(Error::new("the data source `folder` was given no `path`")
            .help("say where the images are: `#{ path: \"photos\" }`"));
    };
    let root = Path::new(path);
    let name = root.file_name().map_or_else(|| path.clone(), |name| name.to_string_lossy().into_owned());
    let fit = options.fit()?;
    let parts = ["train", "test"].map(|part| root.join(part));
    if !parts.iter().all(|part| part.is_dir()) {
        let classes = class_folders(root)?;
        let entries = entries(root, &classes)?;
        let images = images(&entries, options.size, fit)?;
        return dataset(&name, images, &entries, classes, path)?.split(&name);
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
    let [train, test] = [entries(&parts[0], &classes)?, entries(&parts[1], &classes)?];
    let n_train = train.len();
    let all: Vec<Entry> = train.into_iter().chain(test).collect();
    // Read together, so that both parts have one size and one number of channels.
    let images = images(&all, options.size, fit)?;
    let part = |name: String, range: std::ops::Range<usize>| {
        let places: Vec<u32> = range.clone().map(|place| place as u32).collect();
        dataset(&name, images.select(&places)?, &all[range], classes.clone(), path)
    };
    Ok(Splits {
        train: part(format!("{name}/train"), 0..n_train)?,
        test: part(format!("{name}/test"), n_train..all.len())?,
    })
}

fn dataset(name: &str, images: Images, entries: &[Entry], classes: Vec<String>, origin: &str) -> Result<Dataset> {
    let labels: Option<Vec<u32>> = entries.iter().map(|entry| entry.class.map(|class| class as u32)).collect();
    Dataset::new(name, images, labels.map(|labels| Truth::new(labels, classes)).transpose()?, origin)
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

/// Every file as an image of one shape.
fn images(entries: &[Entry], size: Option<usize>, fit: Fit) -> Result<Images> {
    let read = |entry: &Entry| -> Result<(Shape, Vec<u8>)> {
        let picture = open(&entry.path)?;
        Ok(planes(&match size {
            Some(side) => square(picture, side, fit),
            None => picture,
        }))
    };
    let all = entries.par_iter().map(read).collect::<Vec<_>>().into_iter().collect::<Result<Vec<_>>>()?;
    let Some((first, _)) = all.first() else { return Err(Error::bug("a folder without an image was read")) };
    let channels = all.iter().map(|(shape, _)| shape.channels).max().unwrap_or(first.channels);
    let (height, width) = (first.height, first.width);
    let mut pixels = Vec::with_capacity(all.len() * channels * height * width);
    for (entry, (shape, bytes)) in entries.iter().zip(all.iter()) {
        if (shape.height, shape.width) != (height, width) {
            return Err(Error::new(format!(
                "`{}` is {}x{} pixels, `{}` is {width}x{height}; all images must be of one size",
                entry.path.display(),
                shape.width,
                shape.height,
                entries[0].path.display()
            ))
            .help("`size` brings all of them to one: `#{ size: 32 }`"));
        }
        match shape.channels == channels {
            true => pixels.extend_from_slice(bytes),
            false => pixels.extend_from_slice(recolour(&Images::new(*shape, bytes.clone())?, channels)?.pixels()),
        }
    }
    Images::new(Shape { channels, height, width }, pixels)
}

fn open(path: &Path) -> Result<DynamicImage> {
    let reader = image::ImageReader::open(path).map_err(|error| file(path, "open", error))?;
    // The contents decide: a JPEG file called .png is read as what it is.
    let reader = reader.with_guessed_format().map_err(|error| file(path, "read", error))?;
    Ok(opaque(reader.decode().map_err(|error| file(path, "read", error))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma, Rgb, RgbImage};

    /// Writes a grey image of one value.
    fn grey(root: &Path, name: &str, side: u32, value: u8) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        GrayImage::from_pixel(side, side, Luma([value])).save(path).unwrap();
    }

    fn load_from(root: &Path, size: Option<usize>) -> Result<Splits> {
        load(&LoadOptions { path: Some(root.display().to_string()), size, ..Default::default() })
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
        assert!(error.message.contains("dog/1.png` is 3x3 pixels") && error.message.contains("is 2x2;"), "{error}");
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
