//! A source of data: what it is called, where its files are looked for, how they are read.

use std::path::{Path, PathBuf};

use super::LoadOptions;
use super::part::Opened;
use super::store::user_caches;
use crate::error::{Error, Result};
use crate::table::Row;

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
    /// Where it is.
    pub home: Home,
    /// The options it takes of those that not every source takes.
    pub takes: &'static [&'static str],
    /// How its pictures are shaped unless an option says otherwise.
    pub usual: Usual,
    /// Finds the pictures and labels in a folder or a file.
    pub(super) open: fn(&Path, &LoadOptions) -> Result<Opened>,
}

/// How the pictures of a source are shaped unless an option says otherwise.
pub struct Usual {
    /// The option `centre`.
    pub centre: Option<usize>,
    /// The option `size`.
    pub size: Option<usize>,
    /// The option `fit`.
    pub fit: &'static str,
}

/// Pictures stay as they are.
pub(super) const AS_IT_IS: Usual = Usual { centre: None, size: None, fit: "middle" };

/// Where the files of a source live.
pub enum Home {
    /// Inside the program, or made by it.
    Inside,
    /// Wherever the option `path` says; this is an example of one.
    Given(&'static str),
    /// In one of the usual folders, if someone has put them there.
    Files {
        /// Which files, and where they are to be had.
        needs: &'static str,
        /// Whether a folder looks like holding them.
        is_in: fn(&Path) -> bool,
    },
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

impl Source {
    /// Whether it is read from the option `path`.
    pub fn takes_path(&self) -> bool {
        !matches!(self.home, Home::Inside)
    }

    /// Where it is now, without reading it.
    pub fn locate(&self) -> Place {
        match &self.home {
            Home::Inside => Place::Inside,
            Home::Given(_) => Place::Given,
            Home::Files { needs, is_in } => match folders(self.name).into_iter().find(|folder| is_in(folder)) {
                Some(folder) => Place::Found(folder),
                None => Place::Missing(self.advice(needs)),
            },
        }
    }

    /// The folder or file to read.
    pub(super) fn place(&self, options: &LoadOptions) -> Result<PathBuf> {
        match (&self.home, &options.path) {
            (Home::Inside, None) => Ok(PathBuf::new()),
            (Home::Inside, Some(_)) => {
                Err(Error::new(format!("the data set `{}` takes no `path`: it is inside the program", self.name))
                    .help("`folder`, `parquet`, `npz` and `webdataset` read images of one's own from a `path`"))
            }
            (_, Some(path)) => Ok(path.into()),
            (Home::Given(example), None) => {
                Err(Error::new(format!("the data source `{}` was given no `path`", self.name))
                    .help(format!("say where the images are: `#{{ path: \"{example}\" }}`")))
            }
            (Home::Files { needs, is_in }, None) => {
                let folders = folders(self.name);
                let listed =
                    folders.iter().map(|folder| format!("`{}`", folder.display())).collect::<Vec<_>>().join(", ");
                folders.into_iter().find(|folder| is_in(folder)).ok_or_else(|| {
                    Error::new(format!("the data set `{}` is in none of {listed}", self.name)).help(self.advice(needs))
                })
            }
        }
    }

    fn advice(&self, needs: &str) -> String {
        let first = folders(self.name).into_iter().next();
        let folder = first.map_or_else(String::new, |folder| format!(" into `{}`", folder.display()));
        format!("get {needs}; put them{folder}, or say where they are with `path`")
    }

    /// An error if an option is given that has no meaning here.
    pub(super) fn check(&self, options: &LoadOptions) -> Result<()> {
        let fit = options.fit.as_deref().unwrap_or(self.usual.fit);
        let given = [
            ("labels", options.labels.is_some()),
            ("train", options.train.is_some()),
            ("n", options.n.is_some()),
            ("seed", options.seed.is_some() && !matches!(fit, "random" | "distorted")),
        ];
        for (name, given) in given {
            if !given || self.takes.contains(&name) {
                continue;
            }
            let error = Error::new(format!("the data set `{}` takes no `{name}`", self.name));
            return Err(match name {
                "seed" => {
                    error.help("`seed` is what the cuts of `fit: \"random\"` and `fit: \"distorted\"` are drawn from")
                }
                _ if self.takes.is_empty() => error,
                _ => error.help(format!("of its own it takes {}", quoted(self.takes))),
            });
        }
        Ok(())
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Where a set called `name` may lie, in the order in which they are looked at.
fn folders(name: &str) -> Vec<PathBuf> {
    let own = std::env::var_os("FEWLAB_DATA").map(PathBuf::from);
    let user = user_caches().map(|folder| folder.join("fewlab").join("data"));
    let shared = ["/usr/share/datasets", "/usr/local/share/datasets"].map(PathBuf::from);
    own.into_iter().chain(user).chain(shared).map(|folder| folder.join(name)).collect()
}

/// The files of `names` that `folder` lacks.
pub(super) fn lacking<'a>(folder: &Path, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    names.into_iter().filter(|name| !folder.join(name).is_file()).collect()
}

/// An error if `folder` lacks one of `names`, files of the set `what`.
pub(super) fn demand(folder: &Path, names: &[&str], what: &str, needs: &str) -> Result<()> {
    match lacking(folder, names.iter().copied())[..] {
        [] => Ok(()),
        ref lacking => {
            let (the, are) = if lacking.len() == 1 { ("the file", "is") } else { ("the files", "are") };
            Err(Error::new(format!("{the} {} of {what} {are} not in `{}`", quoted(lacking), folder.display()))
                .help(format!("get {needs}")))
        }
    }
}

/// The first of `folder` and the folders called `names` inside it that holds what is asked for.
pub(super) fn inside(folder: &Path, names: &[&str], holds: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    std::iter::once(folder.to_path_buf()).chain(names.iter().map(|name| folder.join(name))).find(|folder| holds(folder))
}
