//! ImageNet of the ILSVRC 2012 challenge, unpacked into class folders.

use std::path::Path;

use super::LoadOptions;
use super::folder::open_parts;
use super::part::Opened;
use super::source::{Home, Source, Usual};
use crate::error::{Error, Result, file};

pub(super) const IMAGENET: Source = Source {
    name: "imagenet",
    doc: "ImageNet (ILSVRC 2012): 1,281,167 photographs to train with and 50,000 to test with, 1,000 classes.\n\n\
          `train` and `val` hold a folder for each class, called by its WordNet number; a file `LOC_synset_mapping.txt`, \
          `synset_words.txt` or `words.txt` beside them says what the classes are called. Images become squares of 128 \
          pixels unless `size` says otherwise. `fit` is `distorted` by default, a random square of at least half of the \
          area, and `middle` for the images to test with, as in Lucic et al. 2019.\n\
          Russakovsky et al. 2015, arXiv:1409.0575.",
    origin: "ImageNet, Stanford Vision Lab and others",
    licence: "for research, as agreed on with image-net.org",
    home: Home::Files { needs: GET, is_in: |folder| folder.join("train").is_dir() && folder.join("val").is_dir() },
    takes: &[],
    usual: Usual { centre: None, size: Some(128), fit: "distorted" },
    open,
};

const GET: &str = "`ILSVRC2012_img_train.tar` and `ILSVRC2012_img_val.tar` from image-net.org, unpack them into `train` and \
                   `val` with a folder for each class (`train/n01440764/n01440764_10026.JPEG`)";

fn open(root: &Path, _: &LoadOptions) -> Result<Opened> {
    for part in ["train", "val"] {
        if !root.join(part).is_dir() {
            return Err(Error::new(format!("the folder `{part}` of ImageNet is not in `{}`", root.display()))
                .help(format!("get {GET}")));
        }
    }
    let opened = open_parts(root, "val")?;
    if opened.classes.is_empty() {
        return Err(
            Error::new(format!("`{}` holds no class folder", root.join("train").display())).help(format!("get {GET}"))
        );
    }
    let classes = called(root, opened.classes)?;
    Ok(Opened { name: None, classes, ..opened })
}

/// Files that may say what the classes are called: Kaggle's, Caffe's, and that of the full WordNet.
const WORDS: [&str; 3] = ["LOC_synset_mapping.txt", "synset_words.txt", "words.txt"];

/// The first word for each of the class folders `numbers`, by the file of words if there is one: `n01440764 tench, Tinca tinca`.
/// Two classes of one word (`crane`, `maillot`) have their number behind it.
fn called(root: &Path, numbers: Vec<String>) -> Result<Vec<String>> {
    let Some(path) = WORDS.iter().map(|name| root.join(name)).find(|path| path.is_file()) else { return Ok(numbers) };
    let text = std::fs::read_to_string(&path).map_err(|error| file(&path, "read", error))?;
    let word = |number: &String| {
        let (_, words) =
            text.lines().filter_map(|line| line.split_once(char::is_whitespace)).find(|(of, _)| of == number)?;
        let first = words.split(',').next().unwrap_or(words).trim();
        (!first.is_empty()).then(|| first.to_string())
    };
    let words: Vec<String> = numbers.iter().map(|number| word(number).unwrap_or_else(|| number.clone())).collect();
    let name = |(word, number): (&String, &String)| match words.iter().filter(|other| *other == word).count() {
        1 => word.clone(),
        _ => format!("{word} ({number})"),
    };
    Ok(words.iter().zip(&numbers).map(name).collect())
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::*;
    use image::{Rgb, RgbImage};

    #[test]
    fn training_images_are_cut_at_random_and_test_images_in_the_middle() {
        let root = tempfile::tempdir().unwrap();
        for name in ["train/n1/a.JPEG", "train/n2/b.JPEG", "val/n1/c.JPEG"] {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            // The further right, the lighter: where a cut lies can be seen.
            let picture = RgbImage::from_fn(200, 100, |x, _| Rgb([x as u8; 3]));
            picture.save_with_format(path, image::ImageFormat::Jpeg).unwrap();
        }
        let path = Some(root.path().display().to_string());
        let options = LoadOptions { path, size: Some(50), ..Default::default() };
        let splits = load("imagenet", &options).unwrap();
        assert_eq!((splits.train.images().dims(), splits.train.classes().len()), ([2, 3, 50, 50], 2));
        let ends = |image: &[u8]| (image[25 * 50], image[25 * 50 + 49]);
        let (left, right) = ends(splits.test.images().image(0));
        assert!(left.abs_diff(50) < 3 && right.abs_diff(149) < 3, "{left} {right}");
        let train = [0, 1].map(|index| ends(splits.train.images().image(index)));
        assert_ne!(train[0], train[1]);
        let again = load("imagenet", &LoadOptions { seed: Some(2), ..options.clone() }).unwrap();
        assert_ne!(ends(again.train.images().image(0)), train[0]);
        assert_eq!(load("imagenet", &options).unwrap().train.images(), splits.train.images());
        let squeezed = LoadOptions { fit: Some("none".into()), ..options };
        let (left, right) = ends(load("imagenet", &squeezed).unwrap().train.images().image(0));
        assert!(left < 5 && right > 194, "{left} {right}");
    }

    #[test]
    fn classes_are_called_by_the_file_of_words() {
        let root = tempfile::tempdir().unwrap();
        let numbers = || ["n01440764", "n02012849", "n03126707", "n09999999"].map(String::from).to_vec();
        assert_eq!(called(root.path(), numbers()).unwrap(), numbers());
        let words = "n01440764 tench, Tinca tinca\nn02012849 crane\nn03126707 crane\nn1 nothing here\n";
        std::fs::write(root.path().join("synset_words.txt"), words).unwrap();
        let expected = ["tench", "crane (n02012849)", "crane (n03126707)", "n09999999"];
        assert_eq!(called(root.path(), numbers()).unwrap(), expected);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("train")).unwrap();
        let path = Some(root.path().display().to_string());
        let error = load("imagenet", &LoadOptions { path, ..Default::default() }).unwrap_err();
        assert!(error.message.starts_with("the folder `val` of ImageNet is not in `"), "{error}");
        assert!(error.help.unwrap().contains("image-net.org"));
    }
}
