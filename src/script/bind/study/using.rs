//! What a study has found.

use rhai::plugin::*;
use rhai::{Array, Dynamic, Map, NativeCallContext};
use serde_json::Value;

use super::making::{better, plain};
use super::options::{PlotOptions, TableOptions};
use super::{Comparison, StudyTable};
use crate::script::bind::Shown;
use crate::script::{At, Fallible, args};
use crate::study::Study;
use crate::study::export::Format;
use crate::study::table::Row;

#[export_module]
pub mod functions {
    /// What the trials measured, a row for each combination of the parameters `by`, with what can be said of it.
    ///
    /// A row has n, median, mean with its 95% interval (Student's t over trials), the best, and what is not in it: failed
    /// trials with their error, trials that are not done. Below stand the paired differences in words; settings whose intervals
    /// overlap are never ranked. Of a metric that was reported several times the last value counts.
    ///
    /// ```rhai
    /// let s = study::grid("run-it", "scripts/studies/toy.rhai", #{ weight: [0.5, 1.0], seed: [1, 2, 3] },
    ///     #{ root: "target/studies" }).run(#{ on: "here" });
    /// s.table(["weight"], "score", #{ better: "lower" }).rows[0].n // => 3
    /// ```
    #[rhai_fn(name = "table", return_raw, volatile)]
    pub fn table_with(
        ctx: NativeCallContext,
        study: Study,
        by: Array,
        metric: &str,
        options: Map,
    ) -> Fallible<StudyTable> {
        let options: TableOptions = args::options(&ctx, options)?;
        let by = args::names(&ctx, "by", &by)?;
        let higher = better(&ctx, options.better.as_deref())?;
        let table = study.table(&by, metric, higher).at(&ctx)?;
        let conclusions = study.conclusions(&table).at(&ctx)?;
        Ok(StudyTable { table, conclusions })
    }

    /// What the trials measured, a row for each combination of the parameters `by`.
    #[rhai_fn(name = "table", return_raw, volatile)]
    pub fn table_by(ctx: NativeCallContext, study: Study, by: Array, metric: &str) -> Fallible<StudyTable> {
        table_with(ctx, study, by, metric, Map::new())
    }

    /// What the trials measured, a row for each setting.
    #[rhai_fn(name = "table", return_raw, volatile)]
    pub fn table_all(ctx: NativeCallContext, study: Study, metric: &str) -> Fallible<StudyTable> {
        table_with(ctx, study, Array::new(), metric, Map::new())
    }

    /// Compares two settings pair by pair: trials that share the seed and everything else.
    ///
    /// Gives the mean of second minus first with its 95% interval, Wilcoxon's signed-rank test and the sign test, exact for
    /// few pairs, and says in a sentence what they allow to say. Wilcoxon 1945; Student's t for the interval.
    ///
    /// ```rhai
    /// let s = study::grid("run-it", "scripts/studies/toy.rhai", #{ weight: [0.5, 1.0], seed: [1, 2, 3] },
    ///     #{ root: "target/studies" }).run(#{ on: "here" });
    /// s.compare(#{ weight: 0.5 }, #{ weight: 1.0 }, "score").n // => 3
    /// ```
    #[rhai_fn(name = "compare", return_raw, volatile)]
    pub fn compare_alone(
        ctx: NativeCallContext,
        study: Study,
        first: Map,
        second: Map,
        metric: &str,
    ) -> Fallible<Comparison> {
        compare_with(ctx, study, first, second, metric, Map::new())
    }

    /// Compares two settings pair by pair, told which way is better.
    #[rhai_fn(name = "compare", return_raw, volatile)]
    pub fn compare_with(
        ctx: NativeCallContext,
        study: Study,
        first: Map,
        second: Map,
        metric: &str,
        options: Map,
    ) -> Fallible<Comparison> {
        let options: TableOptions = args::options(&ctx, options)?;
        let higher = better(&ctx, options.better.as_deref())?;
        let (first, second) = (plain(&ctx, first)?, plain(&ctx, second)?);
        study.compare(&first, &second, metric, higher).map(Comparison).at(&ctx)
    }

    /// Draws a metric against a parameter: the mean of the trials with its 95% interval, a line for each setting of `by`.
    ///
    /// A parameter of words gives bars; numbers that differ sixteenfold lie by their ratios. `save` writes it as PNG or SVG.
    ///
    /// ```rhai
    /// let s = study::grid("run-it", "scripts/studies/toy.rhai", #{ weight: [0.5, 1.0], seed: [1, 2, 3] },
    ///     #{ root: "target/studies" }).run(#{ on: "here" });
    /// s.plot("weight", "score", #{ by: [] }).width // => 1280
    /// ```
    #[rhai_fn(name = "plot", return_raw, volatile)]
    pub fn plot_with(
        ctx: NativeCallContext,
        study: Study,
        parameter: &str,
        metric: &str,
        options: Map,
    ) -> Fallible<Shown> {
        let options: PlotOptions = args::options(&ctx, options)?;
        study.plot(parameter, metric, &options.by).and_then(|figure| Shown::of("study", &figure)).at(&ctx)
    }

    /// Draws a metric against a parameter, over all that else differs.
    #[rhai_fn(name = "plot", return_raw, volatile)]
    pub fn plot_alone(ctx: NativeCallContext, study: Study, parameter: &str, metric: &str) -> Fallible<Shown> {
        plot_with(ctx, study, parameter, metric, Map::new())
    }

    /// Draws what was reported by step: a line for each setting of `by`, the mean of its trials with a 95% interval.
    ///
    /// ```rhai
    /// let s = study::grid("run-it", "scripts/studies/toy.rhai", #{ weight: [0.5, 1.0], seed: [1, 2, 3] },
    ///     #{ root: "target/studies" }).run(#{ on: "here" });
    /// s.plot_steps("score", #{ by: ["weight"] }).width // => 1280
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn plot_steps(ctx: NativeCallContext, study: Study, metric: &str, options: Map) -> Fallible<Shown> {
        let options: PlotOptions = args::options(&ctx, options)?;
        study.plot_steps(metric, &options.by).and_then(|figure| Shown::of("study", &figure)).at(&ctx)
    }

    /// Draws what each trial measured against the seconds that it took, a colour for each setting of `by`.
    ///
    /// ```rhai
    /// let s = study::grid("run-it", "scripts/studies/toy.rhai", #{ weight: [0.5, 1.0], seed: [1, 2, 3] },
    ///     #{ root: "target/studies" }).run(#{ on: "here" });
    /// s.plot_cost("score", #{ by: ["weight"] }).width // => 1280
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn plot_cost(ctx: NativeCallContext, study: Study, metric: &str, options: Map) -> Fallible<Shown> {
        let options: PlotOptions = args::options(&ctx, options)?;
        study.plot_cost(metric, &options.by).and_then(|figure| Shown::of("study", &figure)).at(&ctx)
    }

    /// Lays the last picture of each trial side by side: a row for each setting of `by`, a column for each seed.
    ///
    /// ```rhai
    /// let s = study::grid("pictures", "scripts/studies/toy.rhai", #{ draw: true, seed: [1, 2] },
    ///     #{ root: "target/studies" }).run(#{ on: "here" });
    /// s.plot_samples(#{}).width > 100 // => true
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn plot_samples(ctx: NativeCallContext, study: Study, options: Map) -> Fallible<Shown> {
        let options: PlotOptions = args::options(&ctx, options)?;
        study.plot_samples(&options.by).map(|picture| Shown::new("samples", picture)).at(&ctx)
    }

    /// Writes the whole study as one HTML page into its folder and gives the path: sentences, tables, figures, samples, trials.
    ///
    /// ```rhai
    /// let s = study::grid("run-it", "scripts/studies/toy.rhai", #{ weight: [0.5, 1.0], seed: [1, 2, 3] },
    ///     #{ root: "target/studies" }).run(#{ on: "here" });
    /// s.write_page(["score"]).ends_with("study.html") // => true
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn write_page(ctx: NativeCallContext, study: Study, metrics: Array) -> Fallible<String> {
        let metrics = args::names(&ctx, "metrics", &metrics)?;
        Ok(study.write_page(&metrics, None).at(&ctx)?.display().to_string())
    }

    /// Writes a study for another tool: `"csv"` or `"parquet"`, a table with a row for each reported value; `"tensorboard"`, a folder
    /// of event files; `"mlflow"`, a folder as MLflow's file store keeps it:
    /// new versions of MLflow read it with `MLFLOW_ALLOW_FILE_STORE=true`, or take it over by `mlflow migrate-filestore`.
    ///
    /// ```rhai
    /// let s = study::grid("run-it", "scripts/studies/toy.rhai", #{ weight: [0.5, 1.0], seed: [1, 2, 3] },
    ///     #{ root: "target/studies" }).run(#{ on: "here" });
    /// s.export_as("csv", "target/study.csv") // => ()
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn export_as(ctx: NativeCallContext, study: Study, format: &str, path: &str) -> Fallible {
        let format = Format::named(format).at(&ctx)?;
        study.export(format, std::path::Path::new(path)).at(&ctx)
    }

    /// How many trials of a study stand as the word says: `pending running finished failed interrupted stopped`.
    ///
    /// ```rhai
    /// let s = study::grid("never-run", "scripts/studies/toy.rhai", #{ weight: 0.5, seed: [7, 8] }, #{ root: "target/studies" });
    /// s.count("pending") // => 2
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn count(ctx: NativeCallContext, study: Study, status: &str) -> Fallible<i64> {
        Ok(study.count(status).at(&ctx)? as i64)
    }

    /// The trials of a study, each a map: number, parameters, seed, status, seconds, the command that repeats it, its folder.
    ///
    /// ```rhai
    /// let s = study::grid("never-run", "scripts/studies/toy.rhai", #{ weight: 0.5, seed: [7, 8] }, #{ root: "target/studies" });
    /// s.trials[1].command // => "fewlab run scripts/studies/toy.rhai --set weight=0.5 --seed 8"
    /// ```
    #[rhai_fn(get = "trials", return_raw, volatile)]
    pub fn trials(ctx: NativeCallContext, study: &mut Study) -> Fallible<Array> {
        study.collect().at(&ctx)?;
        let trials = study.trials().at(&ctx)?;
        Ok(trials.iter().map(|trial| super::dynamic(trial.to_json())).collect())
    }

    /// The folder of a study's trials; the record of all studies lies beside it.
    ///
    /// ```rhai
    /// let s = study::grid("never-run", "scripts/studies/toy.rhai", #{ weight: 0.5, seed: [7, 8] }, #{ root: "target/studies" });
    /// s.folder.contains("never-run") // => true
    /// ```
    #[rhai_fn(get = "folder", pure)]
    pub fn folder(study: &mut Study) -> String {
        study.folder().display().to_string()
    }

    /// The rows of a study's table, each a map: the parameters, n, median, mean, low, high, least, greatest, failed.
    ///
    /// ```rhai
    /// let s = study::grid("run-it", "scripts/studies/toy.rhai", #{ weight: [0.5, 1.0], seed: [1, 2, 3] },
    ///     #{ root: "target/studies" }).run(#{ on: "here" });
    /// let rows = s.table("score").rows;
    /// [rows[1].weight, rows[1].failed] // => [1.0, 0]
    /// ```
    #[rhai_fn(get = "rows", pure)]
    pub fn rows(table: &mut StudyTable) -> Array {
        let by = &table.table.by;
        table.table.rows.iter().map(|row: &Row| super::dynamic(row.to_json(by))).collect()
    }

    /// What a table or a comparison allows to say.
    ///
    /// ```rhai
    /// let s = study::grid("run-it", "scripts/studies/toy.rhai", #{ weight: [0.5, 1.0], seed: [1, 2, 3] },
    ///     #{ root: "target/studies" }).run(#{ on: "here" });
    /// s.table("score").sentence.contains("3 pairs are too few for a rank test") // => true
    /// ```
    #[rhai_fn(get = "sentence", pure)]
    pub fn table_sentence(table: &mut StudyTable) -> String {
        table.conclusions.join("\n")
    }

    /// What a comparison allows to say.
    #[rhai_fn(get = "sentence", pure)]
    pub fn sentence(comparison: &mut Comparison) -> String {
        comparison.0.sentence()
    }

    /// How many pairs a comparison has.
    ///
    /// ```rhai
    /// let s = study::grid("run-it", "scripts/studies/toy.rhai", #{ weight: [0.5, 1.0], seed: [1, 2, 3] },
    ///     #{ root: "target/studies" }).run(#{ on: "here" });
    /// s.compare(#{ weight: 0.5 }, #{ weight: 1.0 }, "score").n // => 3
    /// ```
    #[rhai_fn(get = "n", pure)]
    pub fn n(comparison: &mut Comparison) -> i64 {
        comparison.0.pairs.len() as i64
    }

    /// The mean of second minus first, its interval `[low, high]`, and the p-values, as a map.
    ///
    /// ```rhai
    /// let s = study::grid("run-it", "scripts/studies/toy.rhai", #{ weight: [0.5, 1.0], seed: [1, 2, 3] },
    ///     #{ root: "target/studies" }).run(#{ on: "here" });
    /// s.compare(#{ weight: 0.5 }, #{ weight: 1.0 }, "score").numbers.wilcoxon // => 0.25
    /// ```
    #[rhai_fn(get = "numbers", pure)]
    pub fn numbers(comparison: &mut Comparison) -> Dynamic {
        super::dynamic(comparison.0.to_json())
    }
}

/// JSON as a script's value.
fn dynamic(value: Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(v) => v.into(),
        Value::Number(v) => {
            v.as_i64().map_or_else(|| Dynamic::from_float(v.as_f64().unwrap_or(f64::NAN)), Dynamic::from_int)
        }
        Value::String(v) => v.into(),
        Value::Array(items) => Dynamic::from_array(items.into_iter().map(dynamic).collect()),
        Value::Object(map) => {
            Dynamic::from_map(map.into_iter().map(|(name, value)| (name.into(), dynamic(value))).collect())
        }
    }
}
