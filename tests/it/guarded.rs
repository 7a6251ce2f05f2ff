//! Trainings that look after themselves: checkpoints kept and damaged, evaluations beside the steps, the best state, guards.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use fewlab::data::Labelled;
use fewlab::error::Kind;
use fewlab::gan::{self, Evaluate, Gan, Scored, TrainOptions};
use fewlab::options::Value;
use fewlab::progress::{Better, Job, Observer, Several, Step, Stop};
use fewlab::run::{About, History, Run};
use fewlab::tensor::Device;

use crate::training::{bits, few, quick};

fn data() -> Labelled {
    few(40).keep_labels(1.0, 1).unwrap().only_known()
}

/// Raises the stop flag after a step, and keeps what a person is told.
#[derive(Default)]
struct Watch {
    stop: Stop,
    stop_after: u64,
    notes: Mutex<Vec<String>>,
    values: Mutex<Vec<(u64, String, f64)>>,
    marks: Mutex<Vec<(u64, String)>>,
}

impl Observer for Watch {
    fn step(&self, step: &Step<'_>) {
        if step.step == self.stop_after {
            self.stop.raise();
        }
    }
    fn note(&self, text: &str) {
        self.notes.lock().unwrap().push(text.into());
    }
    fn mark(&self, _stage: &str, step: u64, text: &str) {
        self.marks.lock().unwrap().push((step, text.into()));
    }
    fn value(&self, _stage: &str, step: u64, name: &str, value: f64) {
        self.values.lock().unwrap().push((step, name.into(), value));
    }
}

fn watched(stop_after: u64, others: Vec<Arc<dyn Observer>>) -> (Job, Arc<Watch>) {
    let watch = Arc::new(Watch { stop_after, ..Watch::default() });
    let all = others.into_iter().chain([watch.clone() as Arc<dyn Observer>]).collect();
    (Job { observer: Arc::new(Several(all)), stop: watch.stop.clone(), keep: false }, watch)
}

fn checkpoints(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "safetensors")).collect();
    paths.sort();
    paths
}

#[test]
fn a_damaged_checkpoint_is_told_and_the_one_before_it_taken() {
    let data = data();
    let options = || TrainOptions { steps: 6, keep: 2, ..quick("biggan") };
    let whole = gan::train(&data, options(), &Device::Cpu, &Job::silent(), None).unwrap();

    let out = tempfile::tempdir().unwrap();
    let run = Arc::new(Run::create(out.path(), About { name: "kept".into(), ..About::default() }));
    let (job, _) = watched(5, vec![run.clone()]);
    assert!(gan::train(&data, options(), &Device::Cpu, &job, None).err().unwrap().is_interrupt());
    let dir = run.dir().unwrap();
    drop((run, job));
    let kept = checkpoints(&dir);
    let names: Vec<&str> = kept.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["1-gan-000004.safetensors", "1-gan-000005.safetensors"]);
    let mut loaded = Gan::new(&data, options(), &Device::Cpu).unwrap();
    loaded.load(&kept[0]).unwrap();
    assert_eq!(loaded.step(), 4);

    // The machine went down while the newest was on its way to the disk: half of it, or all but a byte.
    let bytes = std::fs::read(&kept[1]).unwrap();
    for length in [bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&kept[1], &bytes[..length]).unwrap();
        let run = Arc::new(Run::resume(&dir).unwrap());
        let (job, watch) = watched(5, vec![run.clone()]);
        assert!(gan::train(&data, options(), &Device::Cpu, &job, None).err().unwrap().is_interrupt());
        let notes = watch.notes.lock().unwrap().clone();
        let [note] = &notes[..] else { panic!("{notes:?}") };
        assert!(note.contains("1-gan-000005.safetensors` is damaged (") && note.ends_with(", step 4"), "{note}");
        assert_eq!(std::fs::read(&kept[1]).unwrap(), bytes);
    }
    let run = Arc::new(Run::resume(&dir).unwrap());
    let (job, watch) = watched(0, vec![run.clone()]);
    let rest = gan::train(&data, options(), &Device::Cpu, &job, None).unwrap();
    assert!(watch.notes.lock().unwrap().is_empty());
    assert_eq!(bits(&rest), bits(&whole));
    drop((run, job));
    // With none that can be read there is nothing to go on from.
    for path in checkpoints(&dir) {
        std::fs::write(&path, "").unwrap();
    }
    let run = Arc::new(Run::resume(&dir).unwrap());
    let (job, _) = watched(0, vec![run]);
    let error = gan::train(&data, options(), &Device::Cpu, &job, None).err().unwrap();
    assert!(error.message.contains("000006.safetensors"), "{error}");
}

/// Scores a GAN by a list: what it has at a step, and nothing of the GAN. Raises a stop flag in the evaluation of a step.
struct Listed {
    scores: Vec<(u64, f64)>,
    better: Better,
    asked: Mutex<Vec<u64>>,
    stop_at: Option<u64>,
}

impl Evaluate for Listed {
    fn scores(&self, gan: &Gan, job: &Job) -> fewlab::Result<Vec<Scored>> {
        self.asked.lock().unwrap().push(gan.step());
        // As a real one does it: images are generated, which draws random numbers and looks at norms.
        gan.sample_evenly(6, 3, &job.stop)?;
        if self.stop_at == Some(gan.step()) {
            job.stop.raise();
        }
        job.stop.check()?;
        let value = self.scores.iter().find(|(step, _)| *step == gan.step()).map_or(f64::NAN, |(_, value)| *value);
        let scored = |name: &str, value, better| Scored { name: name.into(), value, better };
        Ok(vec![
            scored("likeness", 0.5, Better::Neither),
            scored("fd", value, self.better),
            scored("recall", -value, Better::Higher),
        ])
    }
}

fn listed(scores: &[(u64, f64)]) -> Arc<Listed> {
    Arc::new(Listed { scores: scores.to_vec(), better: Better::Lower, asked: Mutex::default(), stop_at: None })
}

fn evaluated(evaluator: Arc<Listed>, options: TrainOptions, job: &Job) -> (Gan, fewlab::Result<()>) {
    let data = data();
    let steps = options.steps as u64;
    let mut gan = Gan::new(&data, options, &Device::Cpu).unwrap();
    gan.evaluate_by(evaluator);
    let trained = gan.train(&data, steps, job, None);
    (gan, trained)
}

const SCORES: [(u64, f64); 4] = [(0, 9.0), (2, 5.0), (4, 7.0), (5, 6.0)];

#[test]
fn an_evaluation_changes_no_step_and_its_best_state_is_kept() {
    let options = || TrainOptions { steps: 5, evaluate_every: 2, ..quick("s3gan") };
    let plain = TrainOptions { evaluate_every: TrainOptions::default().evaluate_every, ..options() };
    let whole = gan::train(&data(), plain.clone(), &Device::Cpu, &Job::silent(), None).unwrap();
    let two = gan::train(&data(), TrainOptions { steps: 2, ..plain }, &Device::Cpu, &Job::silent(), None).unwrap();

    // In memory, without a run.
    let (job, watch) = watched(0, Vec::new());
    let (gan, trained) = evaluated(listed(&SCORES), options(), &job);
    trained.unwrap();
    assert_eq!(bits(&gan), bits(&whole));
    let told: Vec<(u64, f64)> =
        watch.values.lock().unwrap().iter().filter(|(_, name, _)| name == "fd").map(|(at, _, fd)| (*at, *fd)).collect();
    assert_eq!(told, SCORES);
    let best = gan.best_score().unwrap();
    assert_eq!((best.step, best.score.as_str(), best.value), (2, "fd", 5.0));
    let mut best = gan.best().unwrap();
    assert_eq!((best.step(), bits(&best)), (2, bits(&two)));
    // It trains on to where the other one went, optimisers included, and the other one stays as it is.
    best.train(&data(), 3, &Job::silent(), None).unwrap();
    assert_eq!((bits(&best), bits(&gan)), (bits(&whole), bits(&whole)));

    // By another score, whose best is elsewhere, and one that no step is best by.
    let by = |name: &str| TrainOptions { best_by: Some(name.into()), ..options() };
    let (gan, trained) = evaluated(listed(&[(0, 9.0), (2, 5.0), (4, 4.0), (5, 8.0)]), by("recall"), &Job::silent());
    trained.unwrap();
    assert_eq!((gan.best_score().unwrap().step, gan.best_score().unwrap().value), (4, -4.0));
    let evaluator = listed(&SCORES);
    let (gan, trained) = evaluated(evaluator.clone(), by("likeness"), &Job::silent());
    let error = trained.unwrap_err();
    assert_eq!(error.message, "there is no score for `best_by` `likeness`");
    // Refused before any work.
    assert_eq!((gan.step(), &evaluator.asked.lock().unwrap()[..]), (0, &[0][..]));
    let error = two.best().err().unwrap();
    assert_eq!(error.message, "the GAN was not evaluated while it trained, so that no step is its best");
    let error = gan::train(&data(), options(), &Device::Cpu, &Job::silent(), None).err().unwrap();
    assert_eq!(error.message, "the option `evaluate_every` of `gan::train` would do nothing");
}

#[test]
fn the_best_state_lies_in_the_folder_of_a_run_and_is_found_when_it_is_resumed() {
    let options = || TrainOptions { steps: 5, evaluate_every: 2, ..quick("biggan") };
    let (whole, trained) = evaluated(listed(&SCORES), options(), &Job::silent());
    trained.unwrap();
    let out = tempfile::tempdir().unwrap();
    let run = Arc::new(Run::create(out.path(), About { name: "best".into(), ..About::default() }));
    // A person stops it while it is scored after step 4.
    let (job, watch) = watched(0, vec![run.clone()]);
    let interrupted = Arc::new(Listed { stop_at: Some(4), ..Arc::into_inner(listed(&SCORES)).unwrap() });
    let (_, trained) = evaluated(interrupted, options(), &job);
    let error = trained.unwrap_err();
    assert!(error.is_interrupt() && error.message.contains("after step 4 of 5"), "{error}");
    let dir = run.dir().unwrap();
    drop((run, job, watch));

    let run = Arc::new(Run::resume(&dir).unwrap());
    let (job, _) = watched(0, vec![run.clone()]);
    let rest = listed(&SCORES);
    let (gan, trained) = evaluated(rest.clone(), options(), &job);
    trained.unwrap();
    // The score that was broken off is taken again; the best of the first session stays.
    assert_eq!(rest.asked.lock().unwrap()[..], [4, 5]);
    assert_eq!((bits(&gan), gan.best_score()), (bits(&whole), whole.best_score()));
    assert_eq!(bits(&gan.best().unwrap()), bits(&whole.best().unwrap()));
    let names: Vec<String> =
        checkpoints(&dir).iter().map(|path| path.file_name().unwrap().to_string_lossy().into()).collect();
    assert_eq!(names, ["1-gan-best.safetensors", "1-gan.safetensors"]);
    drop((run, job));

    let history = History::read(&dir).unwrap();
    let stage = &history.stages[0];
    assert_eq!(stage.best.as_ref().map(|best| (best.step, best.value)), Some((2, 5.0)));
    let fd = stage.values.iter().find(|(name, _)| name == "fd").unwrap();
    assert_eq!(fd.1, SCORES.map(|(step, value)| (step as f64, value)));
}

fn zeroed(params: Vec<fewlab::nn::Param>) {
    for param in params {
        param.set(param.value().mul_scalar(0.0).unwrap()).unwrap();
    }
}

/// A training whose guards look every second step.
fn guarded(change: impl FnOnce(&mut TrainOptions)) -> TrainOptions {
    let mut options = TrainOptions { steps: 60, guard_every: 2, d_spectral_norm: false, ..quick("biggan") };
    change(&mut options);
    options
}

#[test]
fn a_training_that_leads_nowhere_is_stopped_and_one_that_is_well_is_not() {
    let data = data();
    let new = |options: TrainOptions| Gan::new(&data, options, &Device::Cpu).unwrap();
    let (job, watch) = watched(0, Vec::new());
    let mut gan = new(guarded(|_| ()));
    gan.train(&data, 60, &job, None).unwrap();
    assert_eq!((gan.step(), watch.notes.lock().unwrap().len(), watch.marks.lock().unwrap().len()), (60, 0, 0));

    // Latents make no difference to a generator of zeros.
    let stopped = |gan: &mut Gan, job: &Job| gan.train(&data, 60, job, None).unwrap_err();
    let mut gan = new(guarded(|options| options.g_lr = 0.0));
    zeroed(gan.generator().store().params());
    let (job, watch) = watched(0, Vec::new());
    let error = stopped(&mut gan, &job);
    assert_eq!(
        error.message,
        "`gan` stopped after step 10: the generator has collapsed: its images of a class differ 0.00% as much as real ones do, \
         below 1% for 5 looks, 2 steps apart; the GAN is back at step 0, where all was well"
    );
    assert!(error.kind == Kind::Stopped && error.help.unwrap().contains("`guards: []` trains on all the same"));
    assert_eq!((gan.step(), &watch.marks.lock().unwrap()[..]), (0, &[(10, "collapse".to_string())][..]));
    // It goes on where a person wants it to.
    gan.set("guards", Value::List(Vec::new())).unwrap();
    gan.train(&data, 12, &Job::silent(), None).unwrap();
    assert_eq!(gan.step(), 12);

    // A discriminator of zeros takes every image for the same; its slopes are zero.
    let mut gan = new(guarded(|_| ()));
    zeroed(gan.discriminator().store().params());
    let error = stopped(&mut gan, &Job::silent());
    assert!(
        error.message.contains("after step 10: the discriminator tells nothing apart: `d_loss` was that of"),
        "{error}"
    );

    // Against a generator that stands still the discriminator wins.
    let mut gan = new(guarded(|options| {
        (options.g_lr, options.d_lr, options.steps) = (0.0, 1e-2, 200);
        options.loss = "non_saturating".into();
    }));
    let error = gan.train(&data, 200, &Job::silent(), None).unwrap_err();
    assert!(
        error.message.contains("the discriminator has won: `d_loss` was below 0.001 of a guess for 10 steps"),
        "{error}"
    );
    assert!(gan.step() > 0);
}

#[test]
fn numbers_gone_bad_leave_a_gan_that_can_be_used() {
    let data = data();
    let out = tempfile::tempdir().unwrap();
    let run = Arc::new(Run::create(out.path(), About { name: "bad".into(), ..About::default() }));
    let (mut job, watch) = watched(0, vec![run.clone()]);
    // In a notebook the GAN is given back.
    job.keep = true;
    let mut gan = Gan::new(&data, guarded(|options| options.checkpoint_every = 0), &Device::Cpu).unwrap();
    let mut spoil = |gan: &Gan, step: u64| {
        if step == 7 {
            let param = gan.discriminator().store().params()[0].clone();
            param.set(param.value().mul_scalar(f64::INFINITY).unwrap()).unwrap();
        }
        Ok(())
    };
    gan.train(&data, 60, &job, Some(&mut spoil)).unwrap();
    let notes = watch.notes.lock().unwrap().clone();
    let [note] = &notes[..] else { panic!("{notes:?}") };
    assert!(note.starts_with("`d_loss` of `gan` became NaN at step 8; at step 7 `d_loss` was "), "{note}");
    assert!(note.contains("; the GAN is back at step 6, where all was well; the state after step 6 is in `"), "{note}");
    assert_eq!((gan.step(), &watch.marks.lock().unwrap()[..]), (6, &[(7, "not finite".to_string())][..]));
    let six = gan::train(&data, TrainOptions { steps: 6, ..gan.options.clone() }, &Device::Cpu, &Job::silent(), None);
    assert_eq!(bits(&gan), bits(&six.unwrap()));
    // The state that was put back is the one that the file holds.
    let mut loaded = Gan::new(&data, gan.options.clone(), &Device::Cpu).unwrap();
    loaded.load(&checkpoints(&run.dir().unwrap())[0]).unwrap();
    assert_eq!((loaded.step(), bits(&loaded)), (6, bits(&gan)));
    // A learning rate that no training survives: weights overflow at once, and images can be made all the same.
    let options = guarded(|options| (options.g_lr, options.d_lr) = (1e30, 1e30));
    let mut gan = Gan::new(&data, options, &Device::Cpu).unwrap();
    let error = gan.train(&data, 60, &Job::silent(), None).unwrap_err();
    assert!(error.kind == Kind::Stopped && gan.step() == 0, "{error}");
    gan.sample_evenly(4, 1, &Stop::default()).unwrap();
}

#[test]
fn looks_of_the_guards_change_no_step() {
    let data = data();
    let run = |guards: Vec<gan::Guard>| {
        let options = TrainOptions { steps: 3, guard_every: 1, guards, ..quick("biggan") };
        let gan = gan::train(&data, options, &Device::Cpu, &Job::silent(), None).unwrap();
        let buffers =
            gan.generator().store().buffers().into_iter().flat_map(|buffer| buffer.value().to_f32s().unwrap());
        (bits(&gan), buffers.map(f32::to_bits).collect::<Vec<_>>())
    };
    assert_eq!(run(TrainOptions::default().guards), run(Vec::new()));
}

#[test]
fn what_guards_found_before_is_forgotten_once_they_stopped_a_training() {
    let data = data();
    let mut gan = Gan::new(&data, guarded(|options| options.g_lr = 0.0), &Device::Cpu).unwrap();
    zeroed(gan.generator().store().params());
    // Three looks find it collapsed, then two more of another training, and five of a third.
    gan.train(&data, 6, &Job::silent(), None).unwrap();
    for stopped in ["after step 10:", "after step 16:"] {
        let error = gan.train(&data, 60, &Job::silent(), None).unwrap_err();
        assert!(error.message.contains(stopped) && gan.step() == 6, "{error}");
    }
}
