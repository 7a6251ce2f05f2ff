//! Studies: many trials of one script, run, recorded, compared.

mod making;
mod options;
mod running;
mod using;

use rhai::Engine;

use crate::script::display;
use crate::script::manual::{Setting, settings_of};
use crate::study::Study;
use crate::study::compare::Comparison as Compared;
use crate::study::plan::Distribution;
use crate::study::table::Table;

pub(super) fn register(engine: &mut Engine) {
    display::know::<Study>(engine);
    display::know::<StudyTable>(engine);
    display::know::<Comparison>(engine);
    display::know::<Drawn>(engine);
    engine.register_static_module("study", rhai::exported_module!(making::functions).into());
    engine.register_global_module(rhai::exported_module!(running::functions).into());
    engine.register_global_module(rhai::exported_module!(using::functions).into());
}

pub(super) fn options() -> Vec<(&'static str, Vec<Setting>)> {
    vec![
        settings_of::<options::PlanOptions>(),
        settings_of::<options::ListOptions>(),
        settings_of::<options::RandomOptions>(),
        settings_of::<options::HalvingOptions>(),
        settings_of::<options::OpenOptions>(),
        settings_of::<options::RunOptions>(),
        settings_of::<options::TableOptions>(),
        settings_of::<options::PlotOptions>(),
    ]
}

/// A table of a study, with what it allows to say.
#[derive(Debug, Clone)]
pub struct StudyTable {
    /// Its rows.
    pub(in crate::script) table: Table,
    /// A sentence a line.
    pub(in crate::script) conclusions: Vec<String>,
}

/// Two settings of a study against each other.
#[derive(Debug, Clone)]
pub struct Comparison(pub(in crate::script) Compared);

/// Where a random study draws a number from.
#[derive(Debug, Clone, Copy)]
pub struct Drawn(Distribution);

impl display::Show for Drawn {
    const NAME: &'static str = "Distribution";

    fn short(&self) -> String {
        self.0.said()
    }
}
