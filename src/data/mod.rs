//! Data sets, where they come from, and the label budget: the only way a method sees a label.
//!
//! [`load`] gives the two [`Splits`] of a set. A [`Dataset`] knows the truth about its images, but methods do not
//! take one: they take the [`PartlyLabelled`] that [`Dataset::keep_labels`] makes, which holds the labels of its
//! [`LabelBudget`] and no others, or the [`Labelled`] that a labeller makes of that. Pixels are bytes in memory, and
//! tensors from 0 to 1 in a [`Batch`].
//!
//! A source of data is one file here and one row of [`SOURCES`]. What is done with the images is not known here.

mod augment;
mod batches;
mod budget;
mod celeba;
mod cifar;
mod dataset;
mod decode;
mod fit;
mod folder;
mod idx;
mod imagenet;
mod images;
mod info;
mod labelled;
mod lsun;
mod mat;
mod mnist;
mod npy;
mod npz;
mod parquet;
mod part;
mod polygons;
mod source;
mod stl10;
mod store;
mod svhn;
mod webdataset;

use std::path::Path;

pub use batches::{Batch, BatchOptions, Batches};
pub use budget::{LabelBudget, PartlyLabelled};
pub use dataset::{Dataset, Splits, Truth};
use decode::{Decoder, LARGE};
use fit::{Fit, Scaling, Transform};
pub(crate) use images::level;
pub use images::{Images, Shape};
pub use info::{Info, info, kept, list};
pub use labelled::{ClassReport, LabelReport, Labelled};
use part::Part;
pub use source::{Home, Place, Source, Usual};
use store::Store;
pub use store::{cache_folder, pixels, prune_pixels};

use crate::error::{Error, Result};
use crate::options;
use crate::progress::Job;
use crate::table;

/// Every source of data, the default first.
pub const SOURCES: &[Source] = &[
    mnist::FASHION_MNIST_10K,
    mnist::FASHION_MNIST,
    mnist::MNIST,
    cifar::CIFAR10,
    cifar::CIFAR100,
    stl10::STL10,
    svhn::SVHN,
    celeba::CELEBA,
    lsun::LSUN,
    imagenet::IMAGENET,
    polygons::POLYGONS,
    folder::FOLDER,
    parquet::PARQUET,
    npz::NPZ,
    webdataset::WEBDATASET,
];

options! {
    /// Options of [`load`].
    pub struct LoadOptions("data::load") {
        /// The folder that holds the files, for the sources that are read from one; or the file.
        pub path: Option<String> = None,
        /// Bring every image to a square of this many pixels a side.
        pub size: Option<usize> = None,
        /// What of an image goes into that square: `middle`, the largest square in its middle; `random`, the largest square
        /// anywhere; `distorted`, a square of at least half of its area anywhere; `none`, all of it, squeezed; `pad`, all of
        /// it, scaled down if it is too large, in the middle of a black square. Test images are cut in the middle where
        /// training images are cut at random. Of each image one cut is drawn, from `seed`; batches with `least_area` draw
        /// anew in each epoch. The default is `middle`, for `imagenet` `distorted`.
        pub fit: Option<String> = None,
        /// Before that, cut a square of this many pixels out of the middle; what an image lacks is black.
        pub centre: Option<usize> = None,
        /// How pixels are scaled, always bilinear: `antialias`, over all pixels that fall into one; `bilinear`, between the
        /// four about its centre; `corners`, between the four about its corner, as TensorFlow 1 did.
        pub scaling: String = "antialias".into(),
        /// 1 turns colours into grey, 3 repeats grey three times.
        pub channels: Option<usize> = None,
        /// Which labels: `fine` or `coarse` of `cifar100`, an attribute of `celeba`, a column of `parquet`, a key of the
        /// JSON of `webdataset`.
        pub labels: Option<String> = None,
        /// What the training part is, of the sets that have more to train with: `stl10` has `train`, `unlabeled`,
        /// `train+unlabeled`; `svhn` has `train`, `extra`, `train+extra`. The default is `train`.
        pub train: Option<String> = None,
        /// How many images `polygons` draws to train with; a sixth as many to test with.
        pub n: Option<usize> = None,
        /// What random cuts and `polygons` are drawn from. The default is 1.
        pub seed: Option<u64> = None,
        /// Hold the pixels of a large set in memory, too. Otherwise more than 32 MiB of decoded pixels are written to a file
        /// in `$FEWLAB_CACHE`, once, and read from there bit by bit, so that a set may be larger than memory.
        pub memory: bool = false,
    }
}

/// The largest side that `size` and `centre` may ask for; the networks here are for images of up to a quarter of this.
const LARGEST_SIDE: usize = 512;

/// Reads the data set called `name`, one of [`SOURCES`]. A name with a `/` in it is the `path` of a folder of images.
pub fn load(name: &str, options: &LoadOptions) -> Result<Splits> {
    load_watched(name, options, &Job::silent())
}

/// Reads a data set while `job` is told how far it is, and may stop it.
pub fn load_watched(name: &str, options: &LoadOptions, job: &Job) -> Result<Splits> {
    let store = if options.memory { None } else { Store::of_user() };
    load_through(name, options, job, store, LARGE)
}

fn load_through(name: &str, options: &LoadOptions, job: &Job, store: Option<Store>, large: usize) -> Result<Splits> {
    if name.contains(['/', std::path::MAIN_SEPARATOR]) && options.path.is_none() {
        let options = LoadOptions { path: Some(name.to_string()), ..options.clone() };
        return load_through(kind_of(Path::new(name)), &options, job, store, large);
    }
    let source = table::find(SOURCES, name)?;
    let path = source.place(options)?;
    source.check(options)?;
    let transforms = transforms(source, options)?;
    let opened = (source.open)(&path, options)?;
    let [train, test] = match opened.test {
        Some(test) => [opened.train, test],
        None => opened.train.split(&opened.classes)?,
    };
    let name = opened.name.as_deref().unwrap_or(name);
    let names = ["train", "test"].map(|part| format!("{name}/{part}"));
    let read = |part: &Part, transform: &Transform, name: &str, channels: Option<usize>| {
        let decoder = Decoder { transform: transform.clone(), channels, store: store.clone(), large, job };
        decoder.images(part, name)
    };
    let mut train_images = read(&train, &transforms[0], &names[0], options.channels)?;
    // Both parts have as many channels: one picture in colour makes both colour.
    let colour = (train_images.shape().channels == 3).then_some(3);
    let test_images = read(&test, &transforms[1], &names[1], options.channels.or(colour))?;
    if test_images.shape().channels != train_images.shape().channels {
        train_images = read(&train, &transforms[0], &names[0], Some(test_images.shape().channels))?;
    }
    if test_images.shape() != train_images.shape() {
        return Err(Error::new(format!(
            "the images to train with are {}, those to test with {}; all images must be of one size",
            train_images.shape(),
            test_images.shape()
        ))
        .help("`size` brings all of them to one: `#{ size: 32 }`"));
    }
    let dataset = |name: &str, images, part: &Part| {
        Dataset::partly(name, images, part.labels(), opened.classes.clone(), opened.origin.clone())
    };
    Ok(Splits { train: dataset(&names[0], train_images, &train)?, test: dataset(&names[1], test_images, &test)? })
}

/// The source that reads what lies at `path`.
fn kind_of(path: &Path) -> &'static str {
    let ends = |path: &Path, endings: &[&str]| {
        path.extension().is_some_and(|ending| endings.iter().any(|known| ending.eq_ignore_ascii_case(known)))
    };
    let holds = |endings: &[&str]| {
        // A folder that cannot be listed is told of by the source.
        std::fs::read_dir(path).is_ok_and(|entries| entries.flatten().any(|entry| ends(&entry.path(), endings)))
    };
    let kinds: [(&str, &[&str]); 3] = [("parquet", &["parquet"]), ("npz", &["npz"]), ("webdataset", &["tar"])];
    let found = kinds.iter().find(|(kind, endings)| ends(path, endings) || (*kind != "npz" && holds(endings)));
    found.map_or("folder", |(kind, _)| kind)
}

/// What is done to the pictures to train with, and to those to test with.
fn transforms(source: &Source, options: &LoadOptions) -> Result<[Transform; 2]> {
    for (name, side) in [("size", options.size), ("centre", options.centre)] {
        if let Some(side) = side
            && !(1..=LARGEST_SIDE).contains(&side)
        {
            return Err(Error::new(format!("`{name}` is {side}; it must lie between 1 and {LARGEST_SIDE}")));
        }
    }
    let size = options.size.or(source.usual.size);
    if options.fit.is_some() && size.is_none() {
        return Err(Error::new("`fit` says how images are brought to a `size`, and no `size` was given"));
    }
    if let Some(channels) = options.channels
        && !matches!(channels, 1 | 3)
    {
        return Err(Error::new(format!("`channels` is {channels}; it must be 1 (grey) or 3 (colour)")));
    }
    let fit = Fit::named(options.fit.as_deref().unwrap_or(source.usual.fit))?;
    let train = Transform {
        centre: options.centre.or(source.usual.centre),
        size,
        fit,
        scaling: Scaling::named(&options.scaling)?,
        channels: options.channels,
        seed: options.seed.unwrap_or(1),
    };
    let test = Transform { fit: if fit.draws() { Fit::Middle } else { fit }, ..train.clone() };
    Ok([train, test])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_what_reads_it() {
        let root = tempfile::tempdir().unwrap();
        for (folder, name) in [("p", "train-0.parquet"), ("w", "0001.tar"), ("f", "cat.png")] {
            std::fs::create_dir(root.path().join(folder)).unwrap();
            std::fs::write(root.path().join(folder).join(name), "").unwrap();
        }
        let kinds = ["p", "p/train-0.parquet", "w", "f", "x/photos.NPZ", "nowhere"];
        let expected = ["parquet", "parquet", "webdataset", "folder", "npz", "folder"];
        assert_eq!(kinds.map(|path| kind_of(&root.path().join(path))), expected);
    }

    fn refused(name: &str, options: LoadOptions) -> Error {
        load(name, &options).unwrap_err()
    }

    #[test]
    fn a_name_with_a_slash_is_a_folder_and_its_images_take_the_size_and_channels_asked_for() {
        let root = tempfile::tempdir().unwrap();
        for name in ["cat", "dog"] {
            std::fs::create_dir(root.path().join(name)).unwrap();
            for place in 0..5u8 {
                let picture = image::GrayImage::from_pixel(28, 28, image::Luma([10 * place]));
                picture.save(root.path().join(name).join(format!("{place}.png"))).unwrap();
            }
        }
        let path = root.path().display().to_string();
        let options =
            LoadOptions { size: Some(32), fit: Some("pad".into()), channels: Some(3), ..LoadOptions::default() };
        let Splits { train, test } = load(&path, &options).unwrap();
        assert_eq!((train.images().dims(), test.images().dims()), ([8, 3, 32, 32], [2, 3, 32, 32]));
        let last = test.images().image(1);
        assert_eq!((last[0], last[2 * 32 + 2], last.iter().filter(|pixel| **pixel == 40).count()), (0, 40, 3 * 784));
        assert_eq!(load(&path, &LoadOptions::default()).unwrap().train.images().dims(), [8, 1, 28, 28]);
    }

    #[test]
    fn what_a_source_does_not_take_is_refused() {
        let path = LoadOptions { path: Some("photos".into()), ..Default::default() };
        assert_eq!(
            refused("fashion-mnist-10k", path).message,
            "the data set `fashion-mnist-10k` takes no `path`: it is inside the program"
        );
        let fit = LoadOptions { fit: Some("pad".into()), ..Default::default() };
        assert!(refused("fashion-mnist-10k", fit).message.ends_with("no `size` was given"));
        let stretch = LoadOptions { fit: Some("stretch".into()), size: Some(32), ..Default::default() };
        assert_eq!(refused("fashion-mnist-10k", stretch).message, "there is no fit `stretch`");
        let size = LoadOptions { size: Some(0), ..Default::default() };
        assert_eq!(refused("fashion-mnist-10k", size).message, "`size` is 0; it must lie between 1 and 512");
        let seed = LoadOptions { seed: Some(3), ..Default::default() };
        assert_eq!(refused("fashion-mnist-10k", seed).message, "the data set `fashion-mnist-10k` takes no `seed`");
        let scaling = LoadOptions { scaling: "cubic".into(), ..Default::default() };
        assert_eq!(refused("fashion-mnist-10k", scaling).message, "there is no scaling `cubic`");
        let channels = LoadOptions { channels: Some(2), ..Default::default() };
        assert_eq!(
            refused("fashion-mnist-10k", channels).message,
            "`channels` is 2; it must be 1 (grey) or 3 (colour)"
        );
        let error = refused("fashion-mnst", LoadOptions::default());
        assert_eq!(error.message, "there is no data set `fashion-mnst`");
        assert!(error.help.unwrap().starts_with("a similar data set exists: `fashion-mnist`"));
        assert!(refused("folder", LoadOptions::default()).message.contains("was given no `path`"));
        let missing = refused("stl10", LoadOptions::default());
        assert!(missing.message.starts_with("the data set `stl10` is in none of `"), "{missing}");
        assert!(missing.help.unwrap().contains("cs.stanford.edu/~acoates/stl10"));
    }
}
