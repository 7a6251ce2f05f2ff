//! What data sets there are and what one holds, as text a person reads.

use std::fmt;

use serde::Serialize;

use super::{Dataset, LoadOptions, Place, SOURCES, Shape, Splits, load_watched};
use crate::error::Result;
use crate::progress::Job;
use crate::table::{self, Row};

/// What a data set holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Info {
    /// What `data::load` calls it.
    pub name: String,
    /// What it is.
    pub summary: String,
    /// Who made the images.
    pub origin: String,
    /// What may be done with them.
    pub licence: String,
    /// The size of each image.
    pub shape: Shape,
    /// How many images are for training and for testing.
    pub n: [usize; 2],
    /// The classes, and how many images each has for training and for testing. Empty without labels.
    pub classes: Vec<(String, [usize; 2])>,
    /// SHA-256 of the images for training and for testing.
    pub hashes: [String; 2],
}

/// What the data set called `name` holds; reads it.
pub fn info(name: &str, options: &LoadOptions, job: &Job) -> Result<Info> {
    let splits = load_watched(name, options, job)?;
    let source = table::find(SOURCES, name).or_else(|_| table::find(SOURCES, "folder"))?;
    let parts = [&splits.train, &splits.test];
    let counts = parts.map(Dataset::counts);
    let classes = splits.train.classes().iter().enumerate();
    Ok(Info {
        name: name.to_string(),
        summary: source.summary().to_string(),
        origin: source.origin.to_string(),
        licence: source.licence.to_string(),
        shape: splits.train.shape(),
        n: parts.map(|part| part.n()),
        classes: classes.map(|(label, class)| (class.clone(), [0, 1].map(|part| counts[part][label]))).collect(),
        hashes: parts.map(|part| part.hash().to_string()),
    })
}

/// What came of reading a set ahead of time, a line for each part.
pub fn kept(splits: &Splits) -> String {
    let line = |part: &Dataset| {
        let place = match part.images().is_mapped() {
            true => "ready in the cache",
            false => "read anew each time: there are too few pixels for the cache, or there is no cache",
        };
        format!("{}: {} images of {}, {place}", part.name(), part.n(), part.shape())
    };
    format!("{}\n{}", line(&splits.train), line(&splits.test))
}

impl fmt::Display for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.name, self.summary)?;
        writeln!(f, "origin   {}", self.origin)?;
        writeln!(f, "licence  {}", self.licence)?;
        writeln!(f, "images   {}, {} for training, {} for testing", self.shape, self.n[0], self.n[1])?;
        write!(f, "sha256   {}  train\n         {}  test", self.hashes[0], self.hashes[1])?;
        let width = self.classes.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).max("class".len());
        if self.classes.is_empty() {
            return write!(f, "\nno labels");
        }
        write!(f, "\n\n{:width$}  {:>8}  {:>7}", "class", "training", "testing")?;
        self.classes.iter().try_for_each(|(name, [train, test])| write!(f, "\n{name:width$}  {train:>8}  {test:>7}"))
    }
}

/// Every source of data with where it is, a line each.
pub fn list() -> String {
    let width = SOURCES.iter().map(|source| source.name.len()).max().unwrap_or(0);
    let line = |source: &super::Source| {
        let place = match source.locate() {
            Place::Inside => "inside the program".to_string(),
            Place::Found(folder) => format!("found in {}", folder.display()),
            Place::Given => "read from `path`".to_string(),
            Place::Missing(help) => format!("not found; {help}"),
        };
        let indent = " ".repeat(width);
        format!("{:width$}  {}\n{indent}  {place}", source.name, source.summary())
    };
    SOURCES.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_every_source_and_the_info_counts_the_classes() {
        let listed = list();
        assert!(SOURCES.iter().all(|source| listed.contains(source.name)));
        let info = info("fashion-mnist-10k", &LoadOptions::default(), &Job::silent()).unwrap();
        assert_eq!((info.n, info.classes.len()), ([8000, 2000], 10));
        assert_eq!(info.classes[8], ("Bag".to_string(), [800, 200]));
        let text = info.to_string();
        assert!(text.contains("28x28 grey, 8000 for training, 2000 for testing"), "{text}");
        assert!(text.ends_with("Ankle boot        800      200"), "{text}");
    }
}
