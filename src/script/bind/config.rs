//! Configurations: options in files, and where each value came from.

use std::path::Path;

use rhai::plugin::*;
use rhai::{Dynamic, Engine, Map, NativeCallContext};

use crate::config::{self, Config, Node, Tree};
use crate::script::{At, Fallible, args, display, shared};

pub(super) fn register(engine: &mut Engine) {
    display::know::<Config>(engine);
    engine.register_static_module("config", rhai::exported_module!(files).into());
    engine.register_global_module(rhai::exported_module!(values).into());
}

#[export_module]
mod files {
    /// Reads a TOML file into a map, its tables into maps inside.
    ///
    /// The `config.toml` of a run is such a file: `gan::train(data, config::load("runs/../config.toml").gan.train)`. Maps are
    /// merged with `+`; a function's record says which values came from the file. `fewlab run --config FILE` gives all of
    /// a file to a script from outside.
    ///
    /// ```rhai
    /// config::save(#{ gan: #{ d_lr: 1e-4, betas: [0.0, 0.9] } }, "target/example.toml");
    /// config::load("target/example.toml").gan + #{ steps: 10 } // => #{betas: [0.0, 0.9], d_lr: 0.0001, steps: 10}
    /// ```
    #[rhai_fn(return_raw)]
    pub fn load(ctx: NativeCallContext, path: &str) -> Fallible<Map> {
        let tree = config::read(Path::new(path)).at(&ctx)?;
        shared(&ctx)?.remember(path, config::flat(&tree));
        Ok(super::map_of(&tree))
    }

    /// Writes a map of options to a TOML file, maps inside as tables.
    ///
    /// ```rhai
    /// config::save(gan::method("s3gan"), "target/s3gan.toml");
    /// config::load("target/s3gan.toml").self_supervision // => "rotation"
    /// ```
    #[rhai_fn(return_raw)]
    pub fn save(ctx: NativeCallContext, options: Map, path: &str) -> Fallible {
        let text = config::write(&super::tree_of(&ctx, options)?).at(&ctx)?;
        crate::run::replace(Path::new(path), text.as_bytes()).at(&ctx)
    }
}

#[export_module]
mod values {
    /// The options of a configuration: a map that the function takes.
    ///
    /// ```rhai
    /// gan::config(#{ steps: 10 }).options.steps // => 10
    /// ```
    #[rhai_fn(get = "options", pure)]
    pub fn options(config: &mut Config) -> Map {
        config.entries.iter().map(|entry| (entry.name.as_str().into(), args::dynamic_of(&entry.value))).collect()
    }

    /// Where each option of a configuration came from: `default`, `method`, `preset`, `file`, `script`, `command line` or `set`.
    ///
    /// ```rhai
    /// gan::config(#{ steps: 10 }).origins.steps // => "script"
    /// ```
    #[rhai_fn(get = "origins", pure)]
    pub fn origins(config: &mut Config) -> Map {
        config.entries.iter().map(|entry| (entry.name.as_str().into(), Dynamic::from(entry.from.to_string()))).collect()
    }
}

fn map_of(tree: &Tree) -> Map {
    let node = |(name, node): &(String, Node)| {
        let value = match node {
            Node::Leaf(value) => args::dynamic_of(value),
            Node::Table(inner) => Dynamic::from_map(map_of(inner)),
        };
        (name.as_str().into(), value)
    };
    tree.iter().map(node).collect()
}

fn tree_of(ctx: &NativeCallContext, map: Map) -> Fallible<Tree> {
    let node = |(name, value): (rhai::Identifier, Dynamic)| {
        let node = match value.flatten().try_cast_result::<Map>() {
            Ok(inner) => Node::Table(tree_of(ctx, inner)?),
            Err(value) => Node::Leaf(args::value_of(ctx, &name, value)?),
        };
        Ok((name.to_string(), node))
    };
    map.into_iter().map(node).collect()
}
