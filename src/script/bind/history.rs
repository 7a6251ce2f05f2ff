//! Histories: what training measured, at every step.

use rhai::plugin::*;
use rhai::{Array, Dynamic, Engine, NativeCallContext};

use crate::script::display;
use crate::script::history::History;
use crate::script::{At, Fallible};

pub(super) fn register(engine: &mut Engine) {
    display::know::<History>(engine);
    engine.register_global_module(rhai::exported_module!(functions).into());
}

#[export_module]
mod functions {
    /// What a history measured under a name: a list of `[step, value]`, as `figure::curves` takes them.
    ///
    /// Of a long training, each value is the mean over a few steps.
    ///
    /// ```rhai
    /// let w = nn::parameter([1]);
    /// let opt = nn::sgd(w, #{ lr: 0.5 });
    /// for step in 0..3 { opt.step(((w.tensor - 3.0) ** 2).sum()); }
    /// figure::curves(#{ mine: opt.history["loss"] }).width // => 1280
    /// ```
    #[rhai_fn(index_get, return_raw, pure)]
    pub fn line(ctx: NativeCallContext, history: &mut History, name: &str) -> Fallible<Array> {
        let kept = history.kept();
        let names = || kept.lines.iter().chain(&kept.scores).map(|line| line.name.as_str());
        let line = kept.line(name).ok_or_else(|| crate::table::unknown("measured number", name, names())).at(&ctx)?;
        let pair = |point: &(f64, f64)| {
            Dynamic::from_array(vec![Dynamic::from_int(point.0 as i64), Dynamic::from_float(point.1)])
        };
        Ok(line.points().iter().map(pair).collect())
    }

    /// What a history measured, by name.
    ///
    /// ```rhai
    /// let w = nn::parameter([1]);
    /// let opt = nn::sgd(w, #{ lr: 0.5 });
    /// opt.step((w.tensor ** 2).sum());
    /// opt.history.names // => ["loss"]
    /// ```
    #[rhai_fn(get = "names", pure)]
    pub fn names(history: &mut History) -> Array {
        let kept = history.kept();
        kept.lines.iter().chain(&kept.scores).map(|line| Dynamic::from(line.name.clone())).collect()
    }

    /// What happened on the way, as `[step, text]`: options that were changed, and what stopped a training.
    ///
    /// ```rhai
    /// let small = data::load("fashion-mnist-10k").train.take(64);
    /// let options = #{ steps: 1, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16 };
    /// let gan = gan::train(small, options);
    /// gan.train(#{ steps: 1, d_lr: 1e-4 });
    /// gan.history.marks // => [[1, "d_lr = 1e-4"]]
    /// ```
    #[rhai_fn(get = "marks", pure)]
    pub fn marks(history: &mut History) -> Array {
        let mark = |(step, text): &(u64, String)| {
            Dynamic::from_array(vec![Dynamic::from_int(*step as i64), Dynamic::from(text.clone())])
        };
        history.kept().marks.iter().map(mark).collect()
    }
}
