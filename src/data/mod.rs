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
mod dataset;
mod fashion_mnist;
mod fit;
mod folder;
mod idx;
mod images;
mod info;
mod labelled;

use std::path::PathBuf;

pub use batches::{Batch, BatchOptions, Batches};
pub use budget::{LabelBudget, PartlyLabelled};
pub use dataset::{Dataset, Splits, Truth};
use fit::Fit;
pub use images::{Images, Shape};
pub use info::{Info, info, list};
pub use labelled::{ClassReport, LabelReport, Labelled};

use crate::error::{Error, Result};
use crate::options;
use crate::table::{self, Row};

/// Every source of data, the default first.
pub const SOURCES: &[Source] = &[fashion_mnist::FASHION_MNIST_10K, fashion_mnist::FASHION_MNIST, folder::FOLDER];

/// Where a data set comes from and how it is read.
pub struct Source {
    /// What `data::load` calls it.
    pub name: &'static str,
    /// Its manual entry.
    pub doc: &'static str,
    /// Who made the images.
    pub origin: &'static str,
    /// What may be done with them.
    pub licence: &'static str,
    /// Whether it is read from the option `path`.
    pub takes_path: bool,
    /// Reads it.
    pub load: fn(&LoadOptions) -> Result<Splits>,
    /// Where it is now, without reading it.
    pub locate: fn() -> Place,
}

impl Row for Source {
    const KIND: &'static str = "data set";
    fn name(&self) -> &'static str {
        self.name
    }
    fn doc(&self) -> &'static str {
        self.doc
    }
}

/// Where the files of a source are.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// Inside the program.
    Inside,
    /// In this folder.
    Found(PathBuf),
    /// Wherever the option `path` says.
    Given,
    /// Nowhere that we looked; what to do about it.
    Missing(String),
}

options! {
    /// Options of [`load`].
    pub struct LoadOptions("data::load") {
        /// The folder that holds the files, for the sources that are read from one.
        pub path: Option<String> = None,
        /// Bring every image to a square of this many pixels a side.
        pub size: Option<usize> = None,
        /// How `size` is reached: `crop` scales an image until it covers the square and cuts off what sticks out;
        /// `pad` puts a smaller image in the middle of a black square. The default is `crop`.
        pub fit: Option<String> = None,
        /// 1 turns colours into grey, 3 repeats grey three times.
        pub channels: Option<usize> = None,
    }
}

impl LoadOptions {
    fn fit(&self) -> Result<Fit> {
        match &self.fit {
            Some(_) if self.size.is_none() => {
                Err(Error::new("`fit` says how images are brought to a `size`, and no `size` was given"))
            }
            Some(name) => Fit::named(name),
            None => Ok(Fit::Crop),
        }
    }
}

/// The largest side that `size` may ask for; the networks here are for images of up to a quarter of this.
const LARGEST_SIDE: usize = 512;

/// Reads the data set called `name`, one of [`SOURCES`]. A name with a `/` in it is the `path` of a folder of images.
pub fn load(name: &str, options: &LoadOptions) -> Result<Splits> {
    if name.contains(['/', std::path::MAIN_SEPARATOR]) && options.path.is_none() {
        return load("folder", &LoadOptions { path: Some(name.to_string()), ..options.clone() });
    }
    let source = table::find(SOURCES, name)?;
    if options.path.is_some() && !source.takes_path {
        return Err(Error::new(format!("the data set `{name}` takes no `path`: it is inside the program"))
            .help("`folder` and `fashion-mnist` are read from a `path`"));
    }
    if let Some(side) = options.size
        && !(1..=LARGEST_SIDE).contains(&side)
    {
        return Err(Error::new(format!("`size` is {side}; it must lie between 1 and {LARGEST_SIDE}")));
    }
    let fit = options.fit()?;
    let Splits { train, test } = (source.load)(options)?;
    let change = |images: &Images| {
        let images = match options.size {
            Some(side) => fit::resize(images, side, fit)?,
            None => images.clone(),
        };
        match options.channels {
            Some(channels) => fit::recolour(&images, channels),
            None => Ok(images),
        }
    };
    Ok(Splits { train: train.map_images(change)?, test: test.map_images(change)? })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(refused("fashion-mnist-10k", fit.clone()).message.ends_with("no `size` was given"));
        let stretch = LoadOptions { fit: Some("stretch".into()), size: Some(32), ..Default::default() };
        assert_eq!(refused("fashion-mnist-10k", stretch).message, "there is no fit `stretch`");
        let size = LoadOptions { size: Some(0), ..Default::default() };
        assert_eq!(refused("fashion-mnist-10k", size).message, "`size` is 0; it must lie between 1 and 512");
        let channels = LoadOptions { channels: Some(2), ..Default::default() };
        assert_eq!(
            refused("fashion-mnist-10k", channels).message,
            "`channels` is 2; it must be 1 (grey) or 3 (colour)"
        );
        let error = refused("fashion-mnst", LoadOptions::default());
        assert_eq!(error.message, "there is no data set `fashion-mnst`");
        assert!(error.help.unwrap().starts_with("a similar data set exists: `fashion-mnist`"));
        assert!(refused("folder", LoadOptions::default()).message.contains("was given no `path`"));
    }
}
