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
        let names = || kept.lines.iter().map(|line| line.name.as_str());
        let found = kept.lines.iter().find(|line| line.name == name);
        let line = found.ok_or_else(|| crate::table::unknown("measured number", name, names())).at(&ctx)?;
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
        history.kept().lines.iter().map(|line| Dynamic::from(line.name.clone())).collect()
    }
}
