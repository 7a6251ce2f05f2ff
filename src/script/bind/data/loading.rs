//! Data sets by name.

use rhai::plugin::*;
use rhai::{Array, Map, NativeCallContext};

use crate::data::{self, LoadOptions, Splits};
use crate::script::bind::names_of;
use crate::script::{At, Fallible, args, shared};

#[export_module]
pub mod functions {
    /// Reads a data set: one of `data::names()`, or the path of a folder with a folder of images for each class.
    ///
    /// The default, `fashion-mnist-10k`, lies inside the program: 10,000 photographs of clothes, 28x28, grey. Others are
    /// looked for in `$FEWLAB_DATA/<name>`, in `fewlab/data/<name>` of the user's cache folder, in
    /// `/usr/share/datasets/<name>` and in `/usr/local/share/datasets/<name>`, unless the option `path` says where they are;
    /// `fewlab data list` says which are there, and where the others are to be had.
    ///
    /// ```rhai
    /// data::load("fashion-mnist-10k").train.n // => 8000
    /// ```
    #[rhai_fn(return_raw)]
    pub fn load(ctx: NativeCallContext, name: &str) -> Fallible<Splits> {
        load_with(ctx, name, Map::new())
    }

    /// Reads a data set, with options.
    ///
    /// ```rhai
    /// data::load("fashion-mnist-10k", #{ size: 32 }).train.images.shape // => [8000, 1, 32, 32]
    /// data::load("polygons", #{ n: 600 }).train.classes // => ["triangle", "quadrilateral", "pentagon", "hexagon"]
    /// ```
    #[rhai_fn(name = "load", return_raw)]
    pub fn load_with(ctx: NativeCallContext, name: &str, options: Map) -> Fallible<Splits> {
        let options = args::options::<LoadOptions>(&ctx, options)?;
        data::load_watched(name, &options, &shared(&ctx)?.job()).at(&ctx)
    }

    /// The names of the data sets that can be loaded.
    ///
    /// ```rhai
    /// data::names()[0] // => "fashion-mnist-10k"
    /// ```
    pub fn names() -> Array {
        super::names_of(data::SOURCES)
    }
}
