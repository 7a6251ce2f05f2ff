//! What makes a study: what is tried.

use std::path::Path;

use rhai::plugin::*;
use rhai::{Array, Dynamic, Map, NativeCallContext};

use super::Drawn;
use super::options::{HalvingOptions, ListOptions, OpenOptions, PlanOptions, RandomOptions};
use crate::error::Error;
use crate::script::{At, Fallible, args};
use crate::study::plan::{self, Choice, Distribution, Setting};
use crate::study::{self, Asked, Halving, Study};

#[export_module]
pub mod functions {
    /// Plans every combination of the parameters' values, each with every seed: a trial is the script with `--set` and `--seed`.
    ///
    /// A list gives the values of a parameter, a single value stands for itself; a parameter that is itself a list is a list in a
    /// list. `seed: [1, 2, 3]` gives the seeds; trials of one seed share data order, label subset and latents, so
    /// that settings are compared in pairs. A map `#{ value: "tuned", weight: [..] }` in the place of a value brings parameters that
    /// exist only with it. Nothing runs yet; trials that the record knows already are not planned twice.
    ///
    /// ```rhai
    /// let s = study::grid("shapes", "scripts/studies/toy.rhai", #{
    ///     method: ["plain", #{ value: "tuned", weight: [0.5, 1.0] }], seed: [1, 2, 3],
    /// }, #{ root: "target/studies" });
    /// s.trials.len() // => 9
    /// ```
    #[rhai_fn(name = "grid", return_raw, volatile)]
    pub fn grid_with(
        ctx: NativeCallContext,
        name: &str,
        script: &str,
        parameters: Map,
        options: Map,
    ) -> Fallible<Study> {
        let options: PlanOptions = args::options(&ctx, options)?;
        let settings = plan::grid(&super::choices(&ctx, parameters)?).at(&ctx)?;
        let asked = super::asked("grid", name, script, settings, &options.root, &options.device);
        Study::plan(&asked).at(&ctx)
    }

    /// Plans every combination of the parameters' values, each with every seed.
    #[rhai_fn(name = "grid", return_raw, volatile)]
    pub fn grid_alone(ctx: NativeCallContext, name: &str, script: &str, parameters: Map) -> Fallible<Study> {
        grid_with(ctx, name, script, parameters, Map::new())
    }

    /// Plans the settings of a list, one after the other; each may hold lists, and is then every combination of them.
    ///
    /// ```rhai
    /// let s = study::list("two-ideas", "scripts/studies/toy.rhai", [
    ///     #{ method: "plain" }, #{ method: "tuned", weight: [0.5, 1.0] },
    /// ], #{ seeds: [1, 2], root: "target/studies" });
    /// s.trials.len() // => 6
    /// ```
    #[rhai_fn(name = "list", return_raw, volatile)]
    pub fn list_with(ctx: NativeCallContext, name: &str, script: &str, items: Array, options: Map) -> Fallible<Study> {
        let options: ListOptions = args::options(&ctx, options)?;
        let mut maps = Vec::new();
        for item in items {
            let given = item.clone();
            let map = item.try_cast::<Map>().ok_or_else(|| args::wrong(&ctx, "items", "a list of maps", &given))?;
            maps.push(super::choices(&ctx, map)?);
        }
        let settings = plan::list(&maps, &options.seeds).at(&ctx)?;
        let asked = super::asked("list", name, script, settings, &options.root, &options.device);
        Study::plan(&asked).at(&ctx)
    }

    /// Plans the settings of a list, one after the other, with the seeds 1, 2 and 3.
    #[rhai_fn(name = "list", return_raw, volatile)]
    pub fn list_alone(ctx: NativeCallContext, name: &str, script: &str, items: Array) -> Fallible<Study> {
        list_with(ctx, name, script, items, Map::new())
    }

    /// Plans settings that are drawn: numbers from distributions, one value of each list. Every draw is tried with every seed.
    ///
    /// The draws depend on `draw_seed` alone, so more of them only add to those there are.
    ///
    /// ```rhai
    /// let s = study::random("rates", "scripts/studies/toy.rhai", #{
    ///     weight: study::log_uniform(0.01, 1.0), method: ["plain", "tuned"], seed: [1, 2],
    /// }, #{ draws: 5, root: "target/studies" });
    /// s.trials.len() // => 10
    /// ```
    #[rhai_fn(name = "random", return_raw, volatile)]
    pub fn random_with(
        ctx: NativeCallContext,
        name: &str,
        script: &str,
        parameters: Map,
        options: Map,
    ) -> Fallible<Study> {
        let options: RandomOptions = args::options(&ctx, options)?;
        let choices = super::choices(&ctx, parameters)?;
        let settings = plan::random(&choices, options.draws, options.draw_seed).at(&ctx)?;
        let asked = super::asked("random", name, script, settings, &options.root, &options.device);
        Study::plan(&asked).at(&ctx)
    }

    /// Plans 20 drawn settings.
    #[rhai_fn(name = "random", return_raw, volatile)]
    pub fn random_alone(ctx: NativeCallContext, name: &str, script: &str, parameters: Map) -> Fallible<Study> {
        random_with(ctx, name, script, parameters, Map::new())
    }

    /// Plans a study whose settings are compared on the way, and only the better ones go on: successive halving.
    ///
    /// The script reports the metric by step, `report("fd", value, step)`. At each of `rungs` every trial that has come so
    /// far is stopped and keeps its state; the share `keep` of the settings with the best median over seeds goes on from there, and
    /// in the end to the end of the script. Jamieson & Talwalkar 2016, arXiv:1502.07943.
    ///
    /// ```rhai
    /// let s = study::halving("weights", "scripts/studies/toy.rhai", #{ weight: [0.1, 0.2, 0.5, 1.0], seed: [1, 2] },
    ///     #{ metric: "score", better: "lower", rungs: [10, 20], root: "target/studies" });
    /// s.trials.len() // => 8
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn halving(ctx: NativeCallContext, name: &str, script: &str, parameters: Map, options: Map) -> Fallible<Study> {
        let options: HalvingOptions = args::options(&ctx, options)?;
        let choices = super::choices(&ctx, parameters)?;
        let settings = match options.draws {
            0 => plan::grid(&choices),
            draws => plan::random(&choices, draws, options.draw_seed),
        }
        .at(&ctx)?;
        let higher = super::better(&ctx, options.better.as_deref())?;
        let halving = Halving::new(&options.metric, &options.rungs, options.keep, higher).at(&ctx)?;
        let asked = super::asked("halving", name, script, settings, &options.root, &options.device);
        Study::plan(&Asked { halving: Some(halving), ..asked }).at(&ctx)
    }

    /// A study that was planned before, by its name.
    ///
    /// ```rhai
    /// let root = #{ root: "target/studies" };
    /// study::grid("known", "scripts/studies/toy.rhai", #{ seed: [1, 2] }, root);
    /// study::open("known", root).trials.len() // => 2
    /// ```
    #[rhai_fn(name = "open", return_raw, volatile)]
    pub fn open_with(ctx: NativeCallContext, name: &str, options: Map) -> Fallible<Study> {
        let options: OpenOptions = args::options(&ctx, options)?;
        Study::open(Path::new(&options.root), name).at(&ctx)
    }

    /// A study in `studies` that was planned before, by its name.
    #[rhai_fn(name = "open", return_raw, volatile)]
    pub fn open_alone(ctx: NativeCallContext, name: &str) -> Fallible<Study> {
        open_with(ctx, name, Map::new())
    }

    /// The names of the studies in a folder, the oldest first.
    ///
    /// ```rhai
    /// let root = #{ root: "target/studies" };
    /// study::grid("known", "scripts/studies/toy.rhai", #{ seed: [1, 2] }, root);
    /// study::all(root).contains("known") // => true
    /// ```
    #[rhai_fn(name = "all", return_raw, volatile)]
    pub fn all_with(ctx: NativeCallContext, options: Map) -> Fallible<Array> {
        let options: OpenOptions = args::options(&ctx, options)?;
        let studies = Study::all(Path::new(&options.root)).at(&ctx)?;
        Ok(studies.iter().map(|study| Dynamic::from(study.name().to_string())).collect())
    }

    /// The names of the studies in `studies`.
    #[rhai_fn(name = "all", return_raw, volatile)]
    pub fn all_alone(ctx: NativeCallContext) -> Fallible<Array> {
        all_with(ctx, Map::new())
    }

    /// Numbers between two, all alike, for `study::random`.
    ///
    /// ```rhai
    /// study::uniform(0.0, 0.5) // => uniform(0, 0.5)
    /// ```
    #[rhai_fn(return_raw)]
    pub fn uniform(ctx: NativeCallContext, low: Dynamic, high: Dynamic) -> Fallible<Drawn> {
        let (low, high) = (args::number(&ctx, "low", &low)?, args::number(&ctx, "high", &high)?);
        Distribution::Uniform(low, high).checked().map(Drawn).at(&ctx)
    }

    /// Numbers between two above zero, all ratios alike, for `study::random`: learning rates.
    ///
    /// ```rhai
    /// study::log_uniform(0.001, 0.1) // => log_uniform(0.001, 0.1)
    /// ```
    #[rhai_fn(return_raw)]
    pub fn log_uniform(ctx: NativeCallContext, low: Dynamic, high: Dynamic) -> Fallible<Drawn> {
        let (low, high) = (args::number(&ctx, "low", &low)?, args::number(&ctx, "high", &high)?);
        Distribution::LogUniform(low, high).checked().map(Drawn).at(&ctx)
    }

    /// Numbers around a mean, for `study::random`.
    ///
    /// ```rhai
    /// study::normal(0.0, 1.0) // => normal(0, 1)
    /// ```
    #[rhai_fn(return_raw)]
    pub fn normal(ctx: NativeCallContext, mean: Dynamic, deviation: Dynamic) -> Fallible<Drawn> {
        let (mean, deviation) = (args::number(&ctx, "mean", &mean)?, args::number(&ctx, "deviation", &deviation)?);
        Distribution::Normal(mean, deviation).checked().map(Drawn).at(&ctx)
    }

    /// Whole numbers from one to another, both included, for `study::random`.
    ///
    /// ```rhai
    /// study::whole(1, 8) // => whole(1, 8)
    /// ```
    #[rhai_fn(return_raw)]
    pub fn whole(ctx: NativeCallContext, low: i64, high: i64) -> Fallible<Drawn> {
        Distribution::Whole(low, high).checked().map(Drawn).at(&ctx)
    }
}

fn asked(kind: &str, name: &str, script: &str, settings: Vec<Setting>, root: &str, device: &str) -> Asked {
    Asked {
        name: name.into(),
        kind: kind.into(),
        script: script.into(),
        settings,
        halving: None,
        device: device.into(),
        root: root.into(),
    }
}

/// Which way is better, in a script's words.
pub(super) fn better(ctx: &NativeCallContext, word: Option<&str>) -> Fallible<Option<bool>> {
    study::table::better(word).at(ctx)
}

/// A map of parameters as what a study tries.
fn choices(ctx: &NativeCallContext, parameters: Map) -> Fallible<Vec<(String, Choice)>> {
    parameters.into_iter().map(|(name, value)| Ok((name.to_string(), choice(ctx, &name, value)?))).collect()
}

fn choice(ctx: &NativeCallContext, name: &str, value: Dynamic) -> Fallible<Choice> {
    match value.read_lock::<Array>() {
        Some(items) => {
            items.iter().map(|item| single(ctx, name, item.clone())).collect::<Fallible<_>>().map(Choice::Any)
        }
        None => single(ctx, name, value.clone()),
    }
}

fn single(ctx: &NativeCallContext, name: &str, value: Dynamic) -> Fallible<Choice> {
    if let Some(drawn) = value.read_lock::<Drawn>() {
        return Ok(Choice::Draw(drawn.0));
    }
    if let Some(map) = value.read_lock::<Map>() {
        let mut inner = map.clone();
        let Some(own) = inner.remove("value") else {
            let error = Error::new(format!("a value of `{name}` is a map without `value`"));
            return Err(error.help("write `#{ value: \"s3gan\", rotation_weight: [0.5, 1.0] }`")).at(ctx);
        };
        let own = args::value_of(ctx, name, own)?.to_json();
        return Ok(Choice::Under(own, choices(ctx, inner)?));
    }
    Ok(Choice::One(args::value_of(ctx, name, value)?.to_json()))
}

/// A map of plain values, as JSON.
pub(super) fn plain(ctx: &NativeCallContext, map: Map) -> Fallible<serde_json::Map<String, serde_json::Value>> {
    map.into_iter().map(|(name, value)| Ok((name.to_string(), args::value_of(ctx, &name, value)?.to_json()))).collect()
}
