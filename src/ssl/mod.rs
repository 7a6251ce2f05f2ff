//! Pretext tasks: features without labels.

use crate::data::{BatchOptions, Batches, Images, PartlyLabelled};
use crate::error::Result;
use crate::nn::task::correct;
use crate::nn::{
    Adam, Classifier, Encoder, Fit, Mode, Optimiser, ROTATION, Schedule, Task, Trainable, checkpoint, gradients,
};
use crate::options::Settings;
use crate::progress::{Job, Stop};
use crate::tensor::{Device, Tensor};

/// Every pretext task, in the order the manual lists them.
pub const TASKS: &[Task] = &[ROTATION];

crate::options! {
    /// Options of `ssl::rotation`.
    pub struct SslOptions("ssl::rotation") {
        /// The network from images to features.
        pub network: String = "resnet-small".into(),
        /// Passes over the images.
        pub epochs: usize = 5,
        /// Images in a batch, each shown at every turn.
        pub batch: usize = 64,
        /// Adam's learning rate.
        pub lr: f64 = 1e-3,
        /// How the learning rate changes: `constant`, `linear`, `cosine` or `steps`.
        pub schedule: Schedule = Schedule::Cosine,
        /// Move each image by up to this many pixels each way.
        pub crop: usize = 2,
        /// What weights and batches are drawn from.
        pub seed: u64 = 1,
        /// Steps between checkpoints.
        pub checkpoint_every: usize = 200,
    }
}

/// Features learnt without labels: the network, and the head of the task they were learnt with.
pub struct Features {
    /// The network and its head over the task's answers.
    pub classifier: Classifier,
    /// The task.
    pub task: &'static Task,
}

/// Learns features by telling how images were turned.
///
/// # Errors
/// An option is out of range; images are not square; a batch is larger than the data; a person asked to stop.
pub fn rotation(data: &PartlyLabelled, options: &SslOptions, device: &Device, job: &Job) -> Result<Features> {
    learn(&TASKS[0], data, options, device, job)
}

fn learn(
    task: &'static Task,
    data: &PartlyLabelled,
    options: &SslOptions,
    device: &Device,
    job: &Job,
) -> Result<Features> {
    let encoder = Encoder::new(&options.network, data.shape().channels, options.seed, device)?;
    let classifier = Classifier::new(encoder, task.answers, options.seed)?;
    let batch_options = BatchOptions { seed: options.seed, crop: options.crop, ..BatchOptions::default() };
    let batches = data.batches(options.batch, &batch_options)?.on(device);
    let steps = (options.epochs * batches.per_epoch()) as u64;
    let mut params = classifier.encoder.store().params();
    params.extend(classifier.head().params());
    let optimiser = Adam::new(params, options.lr, [0.9, 0.999], 1e-8)?;
    let fingerprint = format!("{} data {}", options.to_json(), data.images().hash());
    let mut learning = Learning { task, classifier, optimiser, batches, schedule: options.schedule, steps };
    let fit = Fit {
        job,
        stage: task.name,
        steps,
        fingerprint: &fingerprint,
        checkpoint_every: options.checkpoint_every as u64,
        keep: 1,
    };
    let ended = job.ended(fit.run(&mut learning, 0))?;
    let features = Features { classifier: learning.classifier, task };
    if ended {
        job.observer.end(task.name, &format!("{steps} steps, {} features", features.classifier.encoder.dim()));
    }
    Ok(features)
}

struct Learning {
    task: &'static Task,
    classifier: Classifier,
    optimiser: Adam,
    batches: Batches,
    schedule: Schedule,
    steps: u64,
}

impl Trainable for Learning {
    fn step(&mut self, step: u64) -> Result<Vec<(&'static str, f64)>> {
        let batch = self.batches.batch(step)?;
        let asked = (self.task.ask)(&batch.images)?;
        let answers = self.task.answers_for(self.batches.size(), asked.device())?;
        let features = self.classifier.encoder.forward(&asked, Mode::Train)?;
        let logits = self.classifier.classify(&features, Mode::Train)?;
        let loss = logits.cross_entropy(&answers)?;
        let accuracy = correct(&logits.detach(), &answers)? as f64 / answers.elements() as f64;
        let value = loss.value()?;
        if value.is_finite() {
            let grads = gradients(&loss, self.optimiser.params())?;
            self.optimiser.apply(&grads, self.schedule.factor(step, self.steps))?;
        }
        Ok(vec![("loss", value), ("accuracy", accuracy)])
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

impl Features {
    /// The share of the task's answers that are right on `images`, each shown at every turn.
    ///
    /// # Errors
    /// The images do not fit the network; a person asked to stop.
    pub fn accuracy(&self, images: &Images, stop: &Stop) -> Result<f64> {
        let mut right = 0;
        for (asked, answers) in chunks(images, self.classifier.encoder.store().device())
            .map(|chunk| {
                let chunk = chunk?;
                Ok(((self.task.ask)(&chunk)?, self.task.answers_for(chunk.dims4()?[0], chunk.device())?))
            })
            .collect::<Result<Vec<(Tensor, Tensor)>>>()?
        {
            stop.check()?;
            right += correct(&self.classifier.evaluate(&asked)?.1, &answers)?;
        }
        Ok(right as f64 / (self.task.answers * images.n()) as f64)
    }
}

/// Images in chunks that fit into memory, from 0 to 1.
fn chunks<'a>(images: &'a Images, device: &'a Device) -> impl Iterator<Item = Result<Tensor>> + 'a {
    let indices: Vec<u32> = (0..images.n() as u32).collect();
    let starts: Vec<Vec<u32>> = indices.chunks(256).map(<[u32]>::to_vec).collect();
    starts.into_iter().map(move |part| images.select(&part)?.tensor(device))
}
