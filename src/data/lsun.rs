//! LSUN: photographs of one kind of scene, a folder of files without labels.

use std::path::Path;

use super::LoadOptions;
use super::folder::all_images;
use super::part::{Files, Opened, Part};
use super::source::{Home, Source, Usual};
use crate::error::{Error, Result};

pub(super) const LSUN: Source = Source {
    name: "lsun",
    doc: "LSUN, such as its 3,033,042 bedrooms: a folder of image files, without labels.\n\n\
          The files lie in the folder or in folders inside it. The last hundredth by name is to test with. A square of \
          128 pixels is cut from the middle; `centre: 256, size: 128` keeps more of each scene.\n\
          Yu, Seff, Zhang, Song, Funkhouser and Xiao 2015, arXiv:1506.03365.",
    origin: "LSUN, Fisher Yu and others",
    licence: "for research",
    home: Home::Files { needs: GET, is_in: |folder| folder.is_dir() },
    takes: &[],
    usual: Usual { centre: Some(128), size: Some(128), fit: "middle" },
    open,
};

const GET: &str = "`bedroom_train_lmdb.zip` from www.yf.io/p/lsun and export its images as files (`data.py export` of \
                   github.com/fyu/lsun)";

fn open(root: &Path, _: &LoadOptions) -> Result<Opened> {
    let files = all_images(root)?;
    if files.len() < 2 {
        return Err(Error::new(format!(
            "`{}` holds {} image files; 2 are needed, one to train with and one to test with",
            root.display(),
            files.len()
        ))
        .help(format!("get {GET}")));
    }
    let train = (files.len() - files.len().div_ceil(100)) as u32;
    let n = files.len();
    let all = Part::new(Files(files), vec![None; n]);
    Ok(Opened {
        classes: Vec::new(),
        train: all.select((0..train).collect()),
        test: Some(all.select((train..n as u32).collect())),
        origin: root.display().to_string(),
        name: None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::*;
    use image::{GrayImage, Luma};

    #[test]
    fn the_last_hundredth_is_for_testing_and_the_middle_is_kept() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("a/b")).unwrap();
        for place in 0..150u32 {
            let picture = GrayImage::from_fn(6, 4, |x, _| Luma([(place + x) as u8]));
            picture.save(root.path().join(format!("a/b/{place:03}.png"))).unwrap();
        }
        let path = Some(root.path().display().to_string());
        let options = LoadOptions { path, centre: Some(4), size: Some(4), ..Default::default() };
        let splits = load("lsun", &options).unwrap();
        assert_eq!((splits.train.n(), splits.test.n(), splits.train.classes().len()), (148, 2, 0));
        assert_eq!(splits.test.images().image(0)[..4], [149, 150, 151, 152]);
        let usual = LoadOptions { centre: None, size: None, ..options };
        assert_eq!(load("lsun", &usual).unwrap().test.images().dims(), [2, 1, 128, 128]);
    }

    #[test]
    fn an_empty_folder_says_where_the_images_are_to_be_had() {
        let root = tempfile::tempdir().unwrap();
        let path = Some(root.path().display().to_string());
        let error = load("lsun", &LoadOptions { path, ..Default::default() }).unwrap_err();
        assert!(error.message.contains("holds 0 image files") && error.help.unwrap().contains("yf.io"));
    }
}
