//! The labeller of "High-Fidelity Image Generation With Fewer Labels": one network learns turns and classes together.

use super::{Labeller, LabellerRow, needs_labels};
use crate::data::{BatchOptions, Batches, PartlyLabelled};
use crate::error::Result;
use crate::nn::task::correct;
use crate::nn::{
    Adam, Classifier, Encoder, Fit, Mode, Optimiser, ROTATION, Schedule, Trainable, checkpoint, gradients,
};
use crate::options::Settings;
use crate::progress::Job;
use crate::tensor::Tensor;

pub(super) const SEMI_SUPERVISED: LabellerRow = LabellerRow {
    name: "semi_supervised",
    doc: "Trains features on turns of all images and on the classes of the labelled ones, together.\n\n\
          loss = cross-entropy of the turn, over all images, + gamma times cross-entropy of the class, over labelled images, each \
          shown at all four turns.   Zhai et al. 2019 (S4L), arXiv:1905.03670; Lucic et al. 2019, arXiv:1903.02271, section 3.",
};

crate::options! {
    /// Options of `label::semi_supervised`.
    pub struct SemiSupervisedOptions("label::semi_supervised") {
        /// Passes over all images.
        pub epochs: usize = 5,
        /// Images without regard to labels in a batch, each shown at every turn.
        pub batch: usize = 32,
        /// Labelled images in a batch.
        pub labelled_batch: usize = 64,
        /// Whether labelled images are shown at every turn, as in the paper, or upright only.
        pub turn_labelled: bool = false,
        /// What the loss of the classes is multiplied with.
        pub gamma: f64 = 0.5,
        /// Adam's learning rate.
        pub lr: f64 = 1e-3,
        /// How the learning rate changes: `constant`, `linear`, `cosine` or `steps`.
        pub schedule: Schedule = Schedule::Cosine,
        /// Move each image by up to this many pixels each way.
        pub crop: usize = 2,
        /// Mirror labelled images left to right, half of the time.
        pub flip: bool = true,
        /// What new weights and batches are drawn from.
        pub seed: u64 = 1,
        /// Steps between checkpoints.
        pub checkpoint_every: usize = 200,
    }
}

/// Trains a labeller from `features` on all images of `data` and the labels it keeps. `features` stays as it was.
///
/// # Errors
/// No label is kept; an option is out of range; a batch is larger than the data; a person asked to stop.
pub fn semi_supervised(
    features: &Encoder,
    data: &PartlyLabelled,
    options: &SemiSupervisedOptions,
    job: &Job,
) -> Result<Labeller> {
    needs_labels(data)?;
    let device = features.store().device().clone();
    let classifier = Classifier::new(features.copy()?, data.classes().len(), options.seed)?;
    let turns = Classifier::new(features.copy()?, ROTATION.answers, options.seed + 1)?;
    let everything = BatchOptions { seed: options.seed, crop: options.crop, ..BatchOptions::default() };
    let all = data.batches(options.batch, &everything)?.on(&device);
    let labelled_batch = options.labelled_batch.min(data.n_known());
    let known = data.known_batches(labelled_batch, &BatchOptions { flip: options.flip, ..everything })?.on(&device);
    let steps = (options.epochs * all.per_epoch()) as u64;
    let mut params = classifier.encoder.store().params();
    params.extend(classifier.head().params());
    // The second head's parameter names are those of the first: tell them apart in the optimiser's state.
    let head_optimiser = Adam::new(turns.head().params(), options.lr, [0.9, 0.999], 1e-8)?;
    let optimiser = Adam::new(params, options.lr, [0.9, 0.999], 1e-8)?;
    let fingerprint = format!(
        "{} data {} budget {} {}",
        options.to_json(),
        data.images().hash(),
        data.budget().share,
        data.budget().seed
    );
    let mut learning =
        Learning { classifier, turns, optimiser, head_optimiser, all, known, options: options.clone(), steps };
    let fit = Fit {
        job,
        stage: "semi_supervised",
        steps,
        fingerprint: &fingerprint,
        checkpoint_every: options.checkpoint_every as u64,
        keep: 1,
    };
    if job.ended(fit.run(&mut learning, 0))? {
        job.observer.end("semi_supervised", &format!("{steps} steps, {} labels", data.n_known()));
    }
    Ok(Labeller { classifier: learning.classifier, name: SEMI_SUPERVISED.name, classes: data.classes().to_vec() })
}

struct Learning {
    classifier: Classifier,
    /// Only the head of this one is used.
    turns: Classifier,
    optimiser: Adam,
    head_optimiser: Adam,
    all: Batches,
    known: Batches,
    options: SemiSupervisedOptions,
    steps: u64,
}

impl Trainable for Learning {
    fn step(&mut self, step: u64) -> Result<Vec<(&'static str, f64)>> {
        let batch = self.all.batch(step)?;
        let asked = (ROTATION.ask)(&batch.images)?;
        let answers = ROTATION.answers_for(self.all.size(), asked.device())?;
        let known = self.known.batch(step)?;
        let labels = known.labels()?.clone();
        let (shown, labels) = if self.options.turn_labelled {
            ((ROTATION.ask)(&known.images)?, Tensor::cat(&[&labels; ROTATION.answers], 0)?)
        } else {
            (known.images.clone(), labels)
        };
        let n = answers.elements();
        let features = self.classifier.encoder.forward(&Tensor::cat(&[&asked, &shown], 0)?, Mode::Train)?;
        let turns = self.turns.classify(&features.narrow(0, 0, n)?, Mode::Train)?;
        let classes = self.classifier.classify(&features.narrow(0, n, labels.elements())?, Mode::Train)?;
        let (turn_loss, class_loss) = (turns.cross_entropy(&answers)?, classes.cross_entropy(&labels)?);
        let values = vec![
            ("rotation", turn_loss.value()?),
            ("class", class_loss.value()?),
            ("rotation_accuracy", correct(&turns.detach(), &answers)? as f64 / n as f64),
            ("accuracy", correct(&classes.detach(), &labels)? as f64 / labels.elements() as f64),
        ];
        if values.iter().all(|(_, value)| value.is_finite()) {
            let loss = turn_loss.add(&class_loss.mul_scalar(self.options.gamma)?)?;
            let own = self.optimiser.params().len();
            let params: Vec<_> = self.optimiser.params().iter().chain(self.head_optimiser.params()).cloned().collect();
            let grads = gradients(&loss, &params)?;
            let factor = self.options.schedule.factor(step, self.steps);
            self.optimiser.apply(&grads[..own], factor)?;
            self.head_optimiser.apply(&grads[own..], factor)?;
        }
        Ok(values)
    }

    fn save(&self, path: &std::path::Path, done: u64) -> Result<()> {
        let parts = [
            ("encoder", self.classifier.encoder.store().state()),
            ("head", self.classifier.head().state()),
            ("turns", self.turns.head().state()),
            ("optimiser", self.optimiser.state()?),
            ("turns_optimiser", self.head_optimiser.state()?),
        ];
        checkpoint::save(path, &parts, &[("step", done as f64)])
    }

    fn load(&mut self, path: &std::path::Path) -> Result<u64> {
        let saved = checkpoint::load(path)?;
        self.classifier.encoder.store().load(|name| saved.find("encoder", name))?;
        self.classifier.head().load(|name| saved.find("head", name))?;
        self.turns.head().load(|name| saved.find("turns", name))?;
        self.optimiser.load(&mut |name| saved.find("optimiser", name))?;
        self.head_optimiser.load(&mut |name| saved.find("turns_optimiser", name))?;
        Ok(saved.number("step")? as u64)
    }
}
