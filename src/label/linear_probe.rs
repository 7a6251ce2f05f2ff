//! A linear classifier on features that stay as they are.

use super::{Labeller, LabellerRow, needs_labels};
use crate::data::{BatchOptions, Batches, PartlyLabelled};
use crate::error::Result;
use crate::nn::task::correct;
use crate::nn::{Adam, Classifier, Encoder, Fit, Mode, Optimiser, Schedule, Trainable, checkpoint, gradients};
use crate::options::Settings;
use crate::progress::Job;
use crate::tensor::no_grad;

pub(super) const LINEAR_PROBE: LabellerRow = LabellerRow {
    name: "linear_probe",
    doc: "Trains a linear classifier on frozen features, on the labelled images alone.\n\n\
          The usual measure of what features hold: Alain and Bengio 2016, arXiv:1610.01644; Kolesnikov et al. 2019, arXiv:1901.09005.",
};

crate::options! {
    /// Options of `label::linear_probe`.
    pub struct ProbeOptions("label::linear_probe") {
        /// Steps.
        pub steps: usize = 500,
        /// Labelled images in a batch.
        pub batch: usize = 128,
        /// Adam's learning rate.
        pub lr: f64 = 1e-2,
        /// How the learning rate changes: `constant`, `linear`, `cosine` or `steps`.
        pub schedule: Schedule = Schedule::Cosine,
        /// What new weights and batches are drawn from.
        pub seed: u64 = 1,
    }
}

/// Trains a linear classifier on the frozen `features` of the labelled images of `data`.
///
/// # Errors
/// No label is kept; a person asked to stop.
pub fn linear_probe(features: &Encoder, data: &PartlyLabelled, options: &ProbeOptions, job: &Job) -> Result<Labeller> {
    needs_labels(data)?;
    let device = features.store().device().clone();
    let classifier = Classifier::new(features.copy()?, data.classes().len(), options.seed)?;
    let size = options.batch.min(data.n_known());
    let batches =
        data.known_batches(size, &BatchOptions { seed: options.seed, ..BatchOptions::default() })?.on(&device);
    let optimiser = Adam::new(classifier.head().params(), options.lr, [0.9, 0.999], 1e-8)?;
    let fingerprint = format!(
        "{} data {} budget {} {}",
        options.to_json(),
        data.images().hash(),
        data.budget().share,
        data.budget().seed
    );
    let mut learning =
        Learning { classifier, optimiser, batches, schedule: options.schedule, steps: options.steps as u64 };
    let fit = Fit {
        job,
        stage: LINEAR_PROBE.name,
        steps: options.steps as u64,
        fingerprint: &fingerprint,
        checkpoint_every: 0,
        keep: 1,
    };
    if job.ended(fit.run(&mut learning, 0))? {
        job.observer.end(LINEAR_PROBE.name, &format!("{} steps, {} labels", options.steps, data.n_known()));
    }
    Ok(Labeller { classifier: learning.classifier, name: LINEAR_PROBE.name, classes: data.classes().to_vec() })
}

struct Learning {
    classifier: Classifier,
    optimiser: Adam,
    batches: Batches,
    schedule: Schedule,
    steps: u64,
}

impl Trainable for Learning {
    fn step(&mut self, step: u64) -> Result<Vec<(&'static str, f64)>> {
        let batch = self.batches.batch(step)?;
        let features = no_grad(|| self.classifier.encoder.forward(&batch.images, Mode::Eval))?;
        let logits = self.classifier.classify(&features, Mode::Train)?;
        let labels = batch.labels()?;
        let loss = logits.cross_entropy(labels)?;
        let values = vec![
            ("loss", loss.value()?),
            ("accuracy", correct(&logits.detach(), labels)? as f64 / labels.elements() as f64),
        ];
        if values[0].1.is_finite() {
            let grads = gradients(&loss, self.optimiser.params())?;
            self.optimiser.apply(&grads, self.schedule.factor(step, self.steps))?;
        }
        Ok(values)
    }

    fn save(&self, path: &std::path::Path, done: u64) -> Result<()> {
        let parts = [
            ("encoder", self.classifier.encoder.store().state()),
            ("head", self.classifier.head().state()),
            ("optimiser", self.optimiser.state()?),
        ];
        checkpoint::save(path, &parts, &[("step", done as f64)])
    }

    fn load(&mut self, path: &std::path::Path) -> Result<u64> {
        let saved = checkpoint::load(path)?;
        self.classifier.encoder.store().load(|name| saved.find("encoder", name))?;
        self.classifier.head().load(|name| saved.find("head", name))?;
        self.optimiser.load(&mut |name| saved.find("optimiser", name))?;
        Ok(saved.number("step")? as u64)
    }
}
