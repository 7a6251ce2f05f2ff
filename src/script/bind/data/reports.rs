//! How good labels are.

use rhai::plugin::*;
use rhai::{Array, Dynamic, NativeCallContext};

use crate::data::{Dataset, LabelReport, Labelled};
use crate::script::{At, Fallible, shared};

#[export_module]
pub mod functions {
    /// How good inferred labels are, against the truth they were hidden from: coverage, accuracy, confusion.
    ///
    /// The report goes into the run, too.
    ///
    /// ```rhai
    /// let train = data::load("fashion-mnist-10k").train;
    /// train.keep_labels(0.1).only_known().report(train).coverage // => 0.1
    /// ```
    #[rhai_fn(name = "report", return_raw)]
    pub fn label_report(ctx: NativeCallContext, labelled: Labelled, truth: Dataset) -> Fallible<LabelReport> {
        let report = labelled.report(&truth).at(&ctx)?;
        let mut record = serde_json::to_value(&report).unwrap_or_default();
        record["title"] = labelled.name().into();
        shared(&ctx)?.front().record("labels", &record).at(&ctx)?;
        Ok(report)
    }

    /// The share of the images that have a label.
    ///
    /// ```rhai
    /// let train = data::load("fashion-mnist-10k").train;
    /// train.keep_labels(0.5).only_known().report(train).coverage // => 0.5
    /// ```
    #[rhai_fn(get = "coverage", pure)]
    pub fn coverage(report: &mut LabelReport) -> f64 {
        report.coverage
    }

    /// The share of the labels that are true, or `()` if there are none.
    ///
    /// ```rhai
    /// let train = data::load("fashion-mnist-10k").train;
    /// train.keep_labels(0.5).only_known().report(train).accuracy // => 1.0
    /// ```
    #[rhai_fn(get = "accuracy", pure)]
    pub fn accuracy(report: &mut LabelReport) -> Dynamic {
        report.accuracy.map_or(Dynamic::UNIT, Dynamic::from_float)
    }

    /// The share of the inferred labels that are true, or `()` if there are none.
    ///
    /// ```rhai
    /// let train = data::load("fashion-mnist-10k").train;
    /// train.keep_labels(0.5).only_known().report(train).inferred_accuracy // => ()
    /// ```
    #[rhai_fn(get = "inferred_accuracy", pure)]
    pub fn inferred_accuracy(report: &mut LabelReport) -> Dynamic {
        report.inferred_accuracy.map_or(Dynamic::UNIT, Dynamic::from_float)
    }

    /// How often an image of the class of the row got the label of the column.
    ///
    /// ```rhai
    /// let train = data::load("fashion-mnist-10k").train;
    /// train.keep_labels(0.5).only_known().report(train).confusion[0][0] // => 400
    /// ```
    #[rhai_fn(get = "confusion", pure)]
    pub fn confusion(report: &mut LabelReport) -> Array {
        let row =
            |row: &Vec<usize>| Dynamic::from_array(row.iter().map(|count| Dynamic::from_int(*count as i64)).collect());
        report.confusion.iter().map(row).collect()
    }
}
