//! Pictures that move.

use std::path::Path;
use std::sync::Arc;

use rhai::plugin::*;
use rhai::{Engine, NativeCallContext};

use crate::error::Error;
use crate::figure::Animation;
use crate::script::display;
use crate::script::{At, Fallible};

pub(super) fn register(engine: &mut Engine) {
    display::know::<Moving>(engine);
    engine.register_global_module(rhai::exported_module!(using).into());
}

/// An animation as a script holds it.
#[derive(Clone)]
pub struct Moving {
    /// What its file is called.
    pub(in crate::script) name: &'static str,
    /// Its frames.
    pub(in crate::script) animation: Arc<Animation>,
}

#[export_module]
mod using {
    /// Writes an animation to a file: `.gif`, or `.png` and `.apng`, which keep every pixel.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, standing_batches: 1 };
    /// gan::train(small, options).walk(#{ frames: 2, stops: 2, seconds: 0.5 }).save("target/walk.gif") // => ()
    /// ```
    #[rhai_fn(name = "save", return_raw)]
    pub fn save_animation(ctx: NativeCallContext, animation: Moving, path: &str) -> Fallible {
        let path = Path::new(path);
        let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
        let file = match ending.as_ref().and_then(|ending| ending.to_str()) {
            Some("gif") => animation.animation.gif(),
            Some("png" | "apng") => animation.animation.png(),
            _ => Err(Error::new(format!("`{}` does not say what kind of file it is", path.display()))
                .help("it must end in `.gif`, `.png` or `.apng`")),
        };
        std::fs::write(path, file.at(&ctx)?).map_err(|error| crate::error::file(path, "write", error)).at(&ctx)
    }

    /// How many pictures an animation has.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, standing_batches: 1 };
    /// gan::train(small, options).walk(#{ frames: 3, stops: 2, seconds: 0.5 }).frames // => 3
    /// ```
    #[rhai_fn(get = "frames", pure)]
    pub fn frames(animation: &mut Moving) -> i64 {
        animation.animation.frames().len() as i64
    }

    /// How many seconds an animation takes before it begins again.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, standing_batches: 1 };
    /// gan::train(small, options).walk(#{ frames: 2, stops: 2, seconds: 0.5 }).seconds // => 0.5
    /// ```
    #[rhai_fn(get = "seconds", pure)]
    pub fn seconds(animation: &mut Moving) -> f64 {
        animation.animation.seconds()
    }

    /// How many pixels an animation is wide.
    #[rhai_fn(get = "width", pure)]
    pub fn animation_width(animation: &mut Moving) -> i64 {
        animation.animation.frames().first().map_or(0, |frame| frame.width) as i64
    }

    /// How many pixels an animation is high.
    #[rhai_fn(get = "height", pure)]
    pub fn animation_height(animation: &mut Moving) -> i64 {
        animation.animation.frames().first().map_or(0, |frame| frame.height) as i64
    }
}
