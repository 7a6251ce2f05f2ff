//! CelebA: photographs of faces with forty attributes each.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::LoadOptions;
use super::part::{Files, Opened, Part};
use super::source::{Home, Source, Usual, demand, inside};
use crate::error::{Error, Result, file};
use crate::table;

pub(super) const CELEBA: Source = Source {
    name: "celeba",
    doc: "CelebA: 162,770 photographs of faces to train with and 19,962 to test with, aligned and cropped.\n\n\
          The folder `img_align_celeba` of JPEG files lies beside `list_eval_partition.txt` and `list_attr_celeba.txt`. \
          The 19,867 images to validate with are left out. `labels: \"Smiling\"`, or another of the forty attributes, \
          makes two classes of whether it holds; without it there are no labels. A square of 160 pixels is cut from the \
          middle and scaled to 64, unless `centre` and `size` say otherwise.\n\
          Liu, Luo, Wang and Tang 2015, arXiv:1411.7766.",
    origin: "CelebA, Multimedia Laboratory of The Chinese University of Hong Kong",
    licence: "for non-commercial research",
    home: Home::Files { needs: GET, is_in: |folder| place(folder).is_some() },
    takes: &["labels"],
    usual: Usual { centre: Some(160), size: Some(64), fit: "middle" },
    open,
};

const GET: &str = "`img_align_celeba.zip`, `list_eval_partition.txt` and `list_attr_celeba.txt` from \
                   mmlab.ie.cuhk.edu.hk/projects/CelebA.html and unpack the first";
const PARTITION: &str = "list_eval_partition.txt";
const ATTRIBUTES: &str = "list_attr_celeba.txt";
const IMAGES: &str = "img_align_celeba";

fn place(folder: &Path) -> Option<PathBuf> {
    inside(folder, &["celeba", "CelebA"], |folder| folder.join(PARTITION).is_file() && folder.join(IMAGES).is_dir())
}

fn open(folder: &Path, options: &LoadOptions) -> Result<Opened> {
    let found = place(folder).unwrap_or_else(|| folder.to_path_buf());
    demand(&found, &[PARTITION], "CelebA", GET)?;
    if !found.join(IMAGES).is_dir() {
        return Err(Error::new(format!("the folder `{IMAGES}` of CelebA is not in `{}`", found.display()))
            .help(format!("get {GET}")));
    }
    let has = match &options.labels {
        Some(attribute) => Some(attributes(&found, attribute)?),
        None => None,
    };
    let path = found.join(PARTITION);
    let text = std::fs::read_to_string(&path).map_err(|error| file(&path, "read", error))?;
    let mut parts = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let (files, labels) = match line.split_whitespace().collect::<Vec<_>>()[..] {
            [_, "0"] => &mut parts[0],
            [_, "1"] => continue,
            [_, "2"] => &mut parts[1],
            _ => {
                return Err(Error::new(format!(
                    "line {} of `{}` is `{line}`; it must be a file and a part, 0 to 2",
                    number + 1,
                    path.display()
                )));
            }
        };
        let name = line.split_whitespace().next().unwrap_or_default();
        labels.push(match &has {
            None => None,
            Some(has) => Some(u32::from(*has.get(name).ok_or_else(|| {
                Error::new(format!("`{ATTRIBUTES}` says nothing of `{name}`, which is in `{PARTITION}`"))
            })?)),
        });
        files.push(found.join(IMAGES).join(name));
    }
    let [train, test] = parts.map(|(files, labels)| Part::new(Files(files), labels));
    let classes = options.labels.as_ref().map(|attribute| vec![format!("not {attribute}"), attribute.clone()]);
    Ok(Opened {
        classes: classes.unwrap_or_default(),
        train,
        test: Some(test),
        origin: found.display().to_string(),
        name: None,
    })
}

/// Whether each file has the attribute.
fn attributes(folder: &Path, wanted: &str) -> Result<HashMap<String, bool>> {
    demand(folder, &[ATTRIBUTES], "CelebA", GET)?;
    let path = folder.join(ATTRIBUTES);
    let text = std::fs::read_to_string(&path).map_err(|error| file(&path, "read", error))?;
    let mut lines = text.lines();
    let count = lines.next().unwrap_or_default().trim();
    let names: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let Some(column) = names.iter().position(|name| *name == wanted) else {
        return Err(table::unknown("attribute", wanted, names));
    };
    let mut has = HashMap::new();
    for (number, line) in lines.enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let value = match words.get(column + 1) {
            Some(&"1") if words.len() == names.len() + 1 => true,
            Some(&"-1") if words.len() == names.len() + 1 => false,
            _ => {
                return Err(Error::new(format!(
                    "line {} of `{}` has {} words; it must be a file and {} times 1 or -1",
                    number + 3,
                    path.display(),
                    words.len(),
                    names.len()
                )));
            }
        };
        has.insert(words[0].to_string(), value);
    }
    if count.parse() != Ok(has.len()) {
        return Err(Error::new(format!("`{}` announces {count} images and describes {}", path.display(), has.len()))
            .help("the file is truncated; fetch it again"));
    }
    Ok(has)
}

#[cfg(test)]
mod tests {
    use super::super::{Splits, load};
    use super::*;
    use image::{Rgb, RgbImage};

    const LIST: &str = "4\nBald Smiling\n000001.jpg -1  1\n000002.jpg -1 -1\n000003.jpg  1  1\n000004.jpg  1 -1\n";

    fn folder() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join(IMAGES)).unwrap();
        for name in 1..=4 {
            // As large as the real ones, white where 160 pixels from the middle end.
            let inside = |x: u32, y: u32| (29..189).contains(&x) && (29..189).contains(&y);
            let picture =
                RgbImage::from_fn(178, 218, |x, y| Rgb([if inside(x + 20, y) { 60 * name as u8 } else { 255 }; 3]));
            picture.save(root.path().join(IMAGES).join(format!("{name:06}.jpg"))).unwrap();
        }
        std::fs::write(root.path().join(ATTRIBUTES), LIST).unwrap();
        let parts = "000001.jpg 0\n000002.jpg 0\n000003.jpg 1\n000004.jpg 2\n";
        std::fs::write(root.path().join(PARTITION), parts).unwrap();
        root
    }

    fn load_from(root: &Path, labels: Option<&str>) -> Result<Splits> {
        let path = Some(root.display().to_string());
        load("celeba", &LoadOptions { path, labels: labels.map(String::from), ..Default::default() })
    }

    #[test]
    fn the_middle_is_cut_out_and_scaled_and_there_are_no_labels() {
        let Splits { train, test } = load_from(folder().path(), None).unwrap();
        assert_eq!((train.images().dims(), test.n()), ([2, 3, 64, 64], 1));
        assert!(train.truth().is_err() && train.classes().is_empty());
        // What is white lies outside of the cut, but for the blur of the JPEG at its edge.
        let image = train.images().image(0);
        let inner = image
            .iter()
            .enumerate()
            .filter(|(place, _)| (1..63).contains(&(place % 64)) && (1..63).contains(&(place / 64 % 64)));
        assert!(inner.clone().all(|(_, pixel)| pixel.abs_diff(60) < 4), "{:?}", inner.map(|(_, p)| p).max());
    }

    #[test]
    fn an_attribute_makes_two_classes() {
        let splits = load_from(folder().path(), Some("Smiling")).unwrap();
        assert_eq!(splits.train.classes(), ["not Smiling", "Smiling"]);
        assert_eq!(splits.train.truth().unwrap().labels(), [1, 0]);
        assert_eq!(splits.test.truth().unwrap().labels(), [0]);
        let error = load_from(folder().path(), Some("Smilng")).unwrap_err();
        assert_eq!(error.message, "there is no attribute `Smilng`");
    }

    #[test]
    fn faults_of_the_lists_are_said() {
        let folder = folder();
        let message = |list: &str| {
            std::fs::write(folder.path().join(ATTRIBUTES), list).unwrap();
            load_from(folder.path(), Some("Bald")).unwrap_err().message
        };
        assert!(message(&LIST[..LIST.len() - 17]).ends_with("announces 4 images and describes 3"));
        assert!(message(&LIST.replace("000002.jpg -1 -1", "000002.jpg -1")).contains("line 4 of `"));
        assert!(message("1\nBald Smiling\n000001.jpg 1 1\n").contains("says nothing of `000002.jpg`"));
        std::fs::write(folder.path().join(PARTITION), "000001.jpg 7\n").unwrap();
        assert!(load_from(folder.path(), None).unwrap_err().message.contains("is `000001.jpg 7`; it must be"));
        std::fs::remove_dir_all(folder.path().join(IMAGES)).unwrap();
        assert!(load_from(folder.path(), None).unwrap_err().message.starts_with("the folder `img_align_celeba`"));
    }
}
