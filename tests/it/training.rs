//! Trainings end to end on a few images: the same bits twice, resumed or not; what goes wrong.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use fewlab::data::{self, Dataset, Labelled, LoadOptions};
use fewlab::gan::{self, Gan, TrainOptions};
use fewlab::label::{self, LabelOptions, SemiSupervisedOptions};
use fewlab::nn::{NormKind, OptimiserKind};
use fewlab::options::{Callback, Choice, Settings, Value};
use fewlab::progress::{Checkpoint, Job, Observer, Step, Stop};
use fewlab::ssl::{self, SslOptions};
use fewlab::tensor::{Device, Tensor};
use fewlab::{Error, Result};

pub fn few(n: u32) -> Dataset {
    let splits = data::load("fashion-mnist-10k", &LoadOptions::default()).unwrap();
    splits.train.select("few", &(0..n).collect::<Vec<_>>()).unwrap()
}

pub fn quick(method: &str) -> TrainOptions {
    let mut options = gan::method(method).unwrap();
    for (name, value) in [
        ("steps", Value::Int(4)),
        ("batch", Value::Int(8)),
        ("g_channels", Value::Int(8)),
        ("d_channels", Value::Int(8)),
        ("z_dim", Value::Int(16)),
        ("standing_batches", Value::Int(2)),
        ("sample_every", Value::Int(0)),
        ("checkpoint_every", Value::Int(2)),
    ] {
        options.set(name, value).unwrap();
    }
    options
}

pub fn bits(gan: &Gan) -> Vec<u32> {
    let mut state = gan.sampler().store().state();
    state.extend(gan.discriminator().store().state());
    // The classifier in training, and the average that images are classified by.
    if let Some(classifier) = gan.classifier() {
        state.extend(classifier.encoder.store().state().into_iter().chain(classifier.head().state()));
        state.push(("probs".into(), gan.classify(few(8).images(), &Stop::default()).unwrap()));
    }
    state.iter().flat_map(|(_, tensor)| tensor.to_f32s().unwrap()).map(f32::to_bits).collect()
}

/// A method with all that a step can change.
fn triple() -> TrainOptions {
    let mut options = quick("triple_gan");
    options.set("classifier", Value::Text("resnet-tiny".into())).unwrap();
    options.set("c_fake_start", Value::Int(1)).unwrap();
    options
}

/// Keeps one checkpoint in a folder, and raises the stop flag after `stop_after` steps.
struct Keeper {
    folder: PathBuf,
    stop: Stop,
    stop_after: u64,
    resume: bool,
    seen: Mutex<Vec<u64>>,
}

impl Observer for Keeper {
    fn step(&self, step: &Step<'_>) {
        self.seen.lock().unwrap().push(step.step);
        if step.step == self.stop_after {
            self.stop.raise();
        }
    }
    fn checkpoint(&self, what: &Checkpoint<'_>, save: &dyn Fn(&Path) -> Result<()>) -> Result<Option<PathBuf>> {
        let path = self.folder.join(what.stage);
        save(&path).map(|()| Some(path))
    }
    fn resume(&self, stage: &str, _: &str) -> Result<Vec<PathBuf>> {
        Ok(if self.resume { vec![self.folder.join(stage)] } else { Vec::new() })
    }
}

fn job(folder: &Path, stop_after: u64, resume: bool) -> (Job, Arc<Keeper>) {
    let stop = Stop::default();
    let keeper =
        Arc::new(Keeper { folder: folder.into(), stop: stop.clone(), stop_after, resume, seen: Mutex::default() });
    (Job { observer: keeper.clone(), stop, keep: false }, keeper)
}

#[test]
fn a_training_repeats_bit_for_bit_and_so_does_a_resumed_one() {
    let data = few(40).keep_labels(0.5, 1).unwrap().only_known();
    for options in [quick("s3gan"), triple()] {
        let train = |options: TrainOptions, job: &Job| gan::train(&data, options, &Device::Cpu, job, None);
        let whole = train(options.clone(), &Job::silent()).unwrap();
        let again = train(options.clone(), &Job::silent()).unwrap();
        assert_eq!(bits(&whole), bits(&again));
        let other = train(TrainOptions { seed: 2, ..options.clone() }, &Job::silent()).unwrap();
        assert_ne!(bits(&whole), bits(&other));

        let folder = tempfile::tempdir().unwrap();
        let (stopped, _) = job(folder.path(), 3, false);
        let error = train(options.clone(), &stopped).err().unwrap();
        assert!(error.is_interrupt() && error.message.contains("after step 3 of 4"), "{error}");
        let (resumed, keeper) = job(folder.path(), 0, true);
        let rest = train(options, &resumed).unwrap();
        assert_eq!(*keeper.seen.lock().unwrap(), [4]);
        assert_eq!(bits(&whole), bits(&rest));
    }
}

#[test]
fn a_copy_trains_on_from_the_same_state_on_its_own() {
    let data = few(40).keep_labels(0.5, 1).unwrap().only_known();
    for options in [quick("biggan"), triple()] {
        let mut gan = gan::train(&data, options, &Device::Cpu, &Job::silent(), None).unwrap();
        let mut copy = gan.copy().unwrap();
        gan.train(&data, 2, &Job::silent(), None).unwrap();
        assert_ne!(bits(&gan), bits(&copy));
        copy.train(&data, 2, &Job::silent(), None).unwrap();
        assert_eq!(bits(&gan), bits(&copy));
    }
}

#[test]
fn a_classifier_tells_classes_that_differ_and_its_average_follows() {
    // Ten images that are dark and ten that are bright; a label for half of them.
    let pixels = (0..20u8).flat_map(|i| vec![if i % 2 == 0 { 10 + i } else { 220 - i }; 64]).collect();
    let shape = data::Shape { channels: 1, height: 8, width: 8 };
    let images = data::Images::new(shape, pixels).unwrap();
    let truth =
        data::Truth::new((0..20).map(|i| i % 2).collect(), ["dark", "bright"].map(String::from).into()).unwrap();
    let all = Dataset::new("light", images, Some(truth), "a test").unwrap();
    let known = all.keep_labels(0.5, 1).unwrap().only_known();
    let mut options = TrainOptions { steps: 30, batch: 4, ema: 0.5, c_lr: 3e-3, ..triple() };
    (options.generator, options.discriminator) = ("sndcgan".into(), "sndcgan".into());
    let gan = gan::train(&known, options.clone(), &Device::Cpu, &Job::silent(), None).unwrap();
    let truth = all.truth().unwrap();
    assert_eq!(gan.accuracy(all.images(), truth.labels(), &Stop::default()).unwrap(), 1.0);
    let raw = gan.classifier().unwrap().evaluate(&all.images().tensor(&Device::Cpu).unwrap()).unwrap().1;
    let raw = raw.softmax().unwrap().to_f32s().unwrap();
    let averaged = gan.classify(all.images(), &Stop::default()).unwrap().to_f32s().unwrap();
    assert_ne!(raw, averaged);
    assert!(raw.iter().zip(&averaged).all(|(raw, averaged)| (raw - averaged).abs() < 0.3), "{raw:?} {averaged:?}");
    // Without an average the network in training is asked.
    let plain = TrainOptions { ema: 0.0, steps: 2, ..options };
    let gan = gan::train(&known, plain, &Device::Cpu, &Job::silent(), None).unwrap();
    let raw = gan.classifier().unwrap().evaluate(&all.images().tensor(&Device::Cpu).unwrap()).unwrap().1;
    let asked = gan.classify(all.images(), &Stop::default()).unwrap().to_f32s().unwrap();
    assert_eq!(raw.softmax().unwrap().to_f32s().unwrap(), asked);

    let gan = gan::train(&known, quick("biggan"), &Device::Cpu, &Job::silent(), None).unwrap();
    let error = gan.classify(all.images(), &Stop::default()).unwrap_err();
    assert_eq!(error.message, "a GAN trained by `biggan` has nothing that tells classes apart");
    let error = gan.accuracy(all.images(), &[0], &Stop::default()).unwrap_err();
    assert_eq!(error.message, "there are 20 images and 1 labels");
}

#[test]
fn every_method_loss_and_penalty_takes_a_step() {
    let known = few(40).keep_labels(0.5, 1).unwrap();
    let labelled = Labelled::from_probs(&known, &[0.1; 400], 0.0).unwrap();
    for method in gan::METHODS {
        let options = TrainOptions { steps: 1, ..quick(method.name) };
        let gan = gan::train(&labelled, options, &Device::Cpu, &Job::silent(), None).unwrap();
        let samples = gan.sample_evenly(5, 1, &Stop::default()).unwrap();
        assert_eq!(samples.images.dims(), [5, 1, 28, 28]);
        let single = ["single_label", "single_label_ss", "ssgan", "rotation_only"].contains(&method.name);
        let classes = if single { 1 } else { 10 };
        assert_eq!(gan.classes().len(), classes as usize, "{}", method.name);
        assert!(samples.labels.iter().all(|label| *label < classes));
    }
    for loss in gan::LOSSES {
        for penalty in gan::PENALTIES {
            let options =
                TrainOptions { steps: 1, loss: loss.name.into(), penalty: penalty.name.into(), ..quick("s3gan") };
            gan::train(&known.only_known(), options, &Device::Cpu, &Job::silent(), None).unwrap();
        }
    }
}

#[test]
fn every_architecture_trains_with_classes_and_without() {
    let options = LoadOptions { size: Some(32), ..LoadOptions::default() };
    let splits = data::load("fashion-mnist-10k", &options).unwrap();
    let data = splits.train.select("few", &(0..40).collect::<Vec<_>>()).unwrap();
    let data = data.keep_labels(1.0, 1).unwrap().only_known();
    for architecture in gan::ARCHITECTURES {
        for (method, g_norm) in [("s3gan", NormKind::Conditional), ("single_label", NormKind::Batch)] {
            let unit = match architecture.name {
                "resnet30" => 1,
                "biggan" | "biggan_deep" | "resnet5" | "resnet_stl" => 2,
                _ => 8,
            };
            let options = TrainOptions {
                steps: 2,
                batch: 4,
                // Three blocks and the start of the generator of `biggan` see a part each.
                z_dim: 16,
                generator: architecture.name.into(),
                discriminator: architecture.name.into(),
                g_norm,
                g_channels: unit,
                d_channels: unit,
                ..quick(method)
            };
            let name = architecture.name;
            let before = Gan::new(&data, options.clone(), &Device::Cpu).unwrap();
            let gan = gan::train(&data, options, &Device::Cpu, &Job::silent(), None).unwrap();
            for (old, new) in [(before.generator().store(), gan.generator().store())] {
                // A bias before a batch norm has no gradient but rounding; every weight learns.
                for (old, new) in
                    old.params().iter().zip(new.params()).filter(|(old, _)| old.name().ends_with("weight"))
                {
                    let (old, new) =
                        (old.value().to_f32s().unwrap(), (new.name().to_string(), new.value().to_f32s().unwrap()));
                    assert_ne!(old, new.1, "`{}` of {name} does not learn", new.0);
                }
            }
            let samples = gan.sample_evenly(3, 1, &Stop::default()).unwrap();
            assert_eq!(samples.images.dims(), [3, 1, 32, 32], "{name}");
        }
    }
}

#[test]
fn a_penalty_reaches_every_parameter_of_the_discriminator_and_changes_them() {
    let data = few(40).keep_labels(1.0, 1).unwrap().only_known();
    // Three steps: the first of Adam goes by the sign of the gradient alone.
    let run = |penalty: &str, weight: f64| {
        let options = TrainOptions { steps: 3, penalty: penalty.into(), penalty_weight: weight, ..quick("biggan") };
        let gan = gan::train(&data, options, &Device::Cpu, &Job::silent(), None).unwrap();
        gan.discriminator().store().params().iter().map(|param| param.value().to_f32s().unwrap()).collect::<Vec<_>>()
    };
    let (without, with) = (run("none", 10.0), run("wgan_gp", 10.0));
    let names: Vec<String> = {
        let gan = Gan::new(&data, quick("biggan"), &Device::Cpu).unwrap();
        gan.discriminator().store().params().iter().map(|param| param.name().to_string()).collect()
    };
    for ((name, a), b) in names.iter().zip(&without).zip(&with) {
        // A bias after the last activation does not change the slope.
        if name.ends_with("weight") {
            assert_ne!(a, b, "`{name}` does not feel the penalty");
        }
    }
}

#[test]
fn clipping_keeps_every_parameter_of_the_discriminator_within_its_bounds() {
    let data = few(40).keep_labels(1.0, 1).unwrap().only_known();
    let largest = |d_clip: f64| {
        let options = TrainOptions { steps: 2, loss: "wasserstein".into(), d_clip, ..quick("biggan") };
        let gan = gan::train(&data, options, &Device::Cpu, &Job::silent(), None).unwrap();
        let values = gan.discriminator().store().params().into_iter().map(|param| param.value().to_f32s().unwrap());
        values.flatten().fold(0.0f32, |most, value| most.max(value.abs()))
    };
    assert!(largest(0.0) > 0.1);
    assert_eq!(largest(0.01), 0.01);
}

#[test]
fn a_penalty_every_few_steps_leaves_the_steps_between_alone() {
    let data = few(40).keep_labels(1.0, 1).unwrap().only_known();
    let run = |steps: usize, penalty: &str, penalty_every: usize, penalty_weight: f64| {
        let options = TrainOptions { steps, penalty: penalty.into(), penalty_every, penalty_weight, ..quick("biggan") };
        let names = Arc::new(Names::default());
        let job = Job { observer: names.clone(), stop: Stop::default(), keep: false };
        let gan = gan::train(&data, options, &Device::Cpu, &job, None).unwrap();
        let seen = names.0.lock().unwrap().iter().map(|step| step.contains(&"penalty".to_string())).collect::<Vec<_>>();
        (bits(&gan), seen)
    };
    assert_eq!(run(4, "r1", 3, 1.0).1, [true, false, false, true]);
    // Two steps of one penalty at three times its weight: the second step has none.
    assert_eq!(run(1, "r1", 3, 1.0).0, run(1, "r1", 1, 3.0).0);
    assert_ne!(run(1, "r1", 3, 1.0).0, run(1, "r1", 1, 1.0).0);
}

/// Keeps the names of what each step measured.
#[derive(Default)]
struct Names(Mutex<Vec<Vec<String>>>);

impl Observer for Names {
    fn step(&self, step: &Step<'_>) {
        self.0.lock().unwrap().push(step.values.iter().map(|(name, _)| name.to_string()).collect());
    }
}

#[test]
fn rotation_and_labeller_learn_something_from_little() {
    let data = few(200);
    let known = data.keep_labels(0.3, 1).unwrap();
    let options = SslOptions { network: "resnet-tiny".into(), epochs: 12, batch: 20, ..SslOptions::default() };
    let features = ssl::rotation(&known, &options, &Device::Cpu, &Job::silent()).unwrap();
    let turned = features.accuracy(data.images(), &Stop::default()).unwrap();
    assert!(turned > 0.5, "rotation accuracy {turned}, chance 0.25");
    let options =
        SemiSupervisedOptions { epochs: 20, batch: 20, labelled_batch: 20, ..SemiSupervisedOptions::default() };
    let labeller = label::semi_supervised(&features.classifier.encoder, &known, &options, &Job::silent()).unwrap();
    let labelled = labeller.label(&known, &LabelOptions::default(), &Stop::default()).unwrap();
    let report = labelled.report(&data).unwrap();
    assert!(report.inferred_accuracy.unwrap() > 0.4, "label accuracy {:?}, chance 0.1", report.inferred_accuracy);
    assert_eq!(report.coverage, 1.0);
    // The features that it started from stay as they were.
    assert_eq!(turned, features.accuracy(data.images(), &Stop::default()).unwrap());
}

#[test]
fn no_method_sees_a_hidden_label() {
    // The same images with every hidden label changed train the same networks to the last bit.
    let data = few(40);
    let truth = data.truth().unwrap();
    let budget = data.keep_labels(0.5, 1).unwrap().budget().clone();
    let lies: Vec<u32> = truth
        .labels()
        .iter()
        .enumerate()
        .map(|(i, label)| if budget.indices.contains(&(i as u32)) { *label } else { (label + 1) % 10 })
        .collect();
    let lying = Dataset::new(
        "few",
        data.images().clone(),
        Some(data::Truth::new(lies, truth.classes().to_vec()).unwrap()),
        "test",
    )
    .unwrap();
    let run = |data: &Dataset| {
        let known = data.with_budget(&budget).unwrap();
        let options = SslOptions { network: "resnet-tiny".into(), epochs: 1, batch: 10, ..SslOptions::default() };
        let features = ssl::rotation(&known, &options, &Device::Cpu, &Job::silent()).unwrap();
        let options =
            SemiSupervisedOptions { epochs: 1, batch: 10, labelled_batch: 10, ..SemiSupervisedOptions::default() };
        let labeller = label::semi_supervised(&features.classifier.encoder, &known, &options, &Job::silent()).unwrap();
        let labelled = labeller.label(&known, &LabelOptions::default(), &Stop::default()).unwrap();
        bits(
            &gan::train(&labelled, TrainOptions { steps: 1, ..quick("s3gan") }, &Device::Cpu, &Job::silent(), None)
                .unwrap(),
        )
    };
    assert_eq!(run(&data), run(&lying));
}

#[test]
fn options_of_methods_that_would_do_nothing_are_refused() {
    let data = few(40).keep_labels(0.5, 1).unwrap().only_known();
    let fail = |method: &str, name: &str, value: Value| {
        let mut options = quick(method);
        options.set(name, value).unwrap();
        gan::train(&data, options, &Device::Cpu, &Job::silent(), None).err().unwrap()
    };
    let idle = |name: &str| format!("the option `{name}` of `gan::train` would do nothing");
    let error = fail("s3gan", "soft_prediction", Value::Bool(true));
    assert_eq!((error.message, error.help.unwrap()), (idle("soft_prediction"), "it needs `predictor: true`".into()));
    assert_eq!(fail("biggan", "class_weight", Value::Float(0.5)).message, idle("class_weight"));
    assert_eq!(fail("s2gan_co", "g_rotation_weight", Value::Float(0.5)).message, idle("g_rotation_weight"));
    assert_eq!(fail("biggan", "joint_generation", Value::Bool(true)).message, idle("joint_generation"));
    assert!(fail("single_label", "predictor", Value::Bool(true)).message.contains("has no classes to learn"));
    assert!(fail("s2gan_co", "fit_label_distribution", Value::Bool(true)).message.contains("some without"));
    assert!(fail("ssgan", "fit_label_distribution", Value::Bool(true)).message.contains("there is one label"));
    assert!(fail("rotation_only", "penalty", Value::Text("r1".into())).message.contains("no use for a penalty"));
    assert!(fail("ossgan", "class_loss", Value::Text("open".into())).message.contains("no class loss `open`"));
    assert_eq!(fail("biggan", "c_share", Value::Float(0.4)).message, idle("c_share"));
    assert!(fail("triple_gan", "labels", Value::Text("random".into())).message.contains("gives every image a row"));
    assert!(fail("triple_gan", "predictor", Value::Bool(true)).message.contains("both label images"));
    assert!(fail("triple_gan", "accumulate", Value::Int(2)).message.contains("batch norms"));
    assert!(fail("triple_gan", "classifier", Value::Text("resnet".into())).message.contains("no network `resnet`"));
    assert!(fail("triple_gan", "c_share", Value::Float(1.0)).message.contains("`c_share` is 1"));
    let norm = fail("triple_gan", "d_norm", Value::Text("conditional_batch_norm".into()));
    assert!(norm.message.contains("norms that look at labels"), "{norm}");
    let rotation = fail("triple_gan", "self_supervision", Value::Text("rotation_only".into()));
    assert!(rotation.message.contains("has none"), "{rotation}");
    assert!(fail("s2gan_soft", "steps", Value::Int(1)).message.contains("come without probabilities"));
    let none = few(40).keep_labels(0.0, 1).unwrap().only_known();
    let error = gan::train(&none, quick("s2gan_co"), &Device::Cpu, &Job::silent(), None).err().unwrap();
    assert!(error.message.contains("no image of `few` has a label to learn the classes from"), "{error}");
}

#[test]
fn compatible_ways_through_a_step_differ_only_where_batch_norms_do() {
    let data = few(40).keep_labels(1.0, 1).unwrap().only_known();
    let run = |change: &[(&str, Value)]| {
        let mut options = TrainOptions { steps: 1, d_steps: 2, ..quick("s3gan") };
        for (name, value) in change {
            options.set(name, value.clone()).unwrap();
        }
        bits(&gan::train(&data, options, &Device::Cpu, &Job::silent(), None).unwrap())
    };
    let plain = [("d_spectral_norm", Value::Bool(false))];
    let apart = [plain[0].clone(), ("separate_passes", Value::Bool(true))];
    // Without any norm in it the discriminator says the same of an image alone and among others, up to rounding.
    let floats = |bits: &[u32]| bits.iter().map(|bits| f32::from_bits(*bits)).collect::<Vec<_>>();
    let (one, two) = (floats(&run(&plain)), floats(&run(&apart)));
    let far = one.iter().zip(&two).filter(|(a, b)| (*a - *b).abs() > 1e-3).count();
    assert!(far < one.len() / 100, "{far} of {}", one.len());
    // With spectral norm, the second pass has a vector of one more iteration.
    assert_ne!(run(&[]), run(&apart[1..]));
    assert_ne!(run(&[]), run(&[("joint_generation", Value::Bool(true))]));
    assert_ne!(run(&[]), run(&[("fit_label_distribution", Value::Bool(true))]));
}

#[test]
fn no_method_of_inferred_labels_sees_a_hidden_label() {
    let data = few(40);
    let truth = data.truth().unwrap();
    let budget = data.keep_labels(0.5, 1).unwrap().budget().clone();
    let kept = |i: usize| budget.indices.contains(&(i as u32));
    let moved = |label: (usize, &u32)| if kept(label.0) { *label.1 } else { (label.1 + 1) % 10 };
    let lies: Vec<u32> = truth.labels().iter().enumerate().map(moved).collect();
    let truth = data::Truth::new(lies, truth.classes().to_vec()).unwrap();
    let lying = Dataset::new("few", data.images().clone(), Some(truth), "test").unwrap();
    for method in ["biggan_labelled_only", "s3gan_co", "ossgan", "triple_gan", "random_label"] {
        let run = |data: &Dataset| {
            let known = data.with_budget(&budget).unwrap().only_known();
            let options = TrainOptions { steps: 1, ..quick(method) };
            bits(&gan::train(&known, options, &Device::Cpu, &Job::silent(), None).unwrap())
        };
        assert_eq!(run(&data), run(&lying), "{method}");
    }
}

#[test]
fn a_loss_that_is_not_a_number_is_named_with_its_step() {
    let data = few(40).keep_labels(1.0, 1).unwrap().only_known();
    let own =
        Callback { name: "own".into(), call: Arc::new(|logits: &[Tensor]| logits[0].mul_scalar(f64::NAN)?.mean_all()) };
    let options = TrainOptions { loss: Choice::Own(own), ..quick("biggan") };
    let error = gan::train(&data, options, &Device::Cpu, &Job::silent(), None).err().unwrap();
    assert!(error.message.starts_with("`d_loss` of `gan` became NaN at step 1"), "{error}");
}

#[test]
fn bad_settings_and_files_are_told_apart() {
    let data = few(40).keep_labels(1.0, 1).unwrap().only_known();
    let fail = |options: TrainOptions| -> Error {
        gan::train(&data, options, &Device::Cpu, &Job::silent(), None).err().unwrap()
    };
    assert!(fail(TrainOptions { batch: 41, ..quick("biggan") }).message.contains("41"));
    assert_eq!(fail(TrainOptions { loss: "hnige".into(), ..quick("biggan") }).message, "there is no loss `hnige`");
    assert!(
        fail(TrainOptions { generator: "resnet_cifra".into(), ..quick("biggan") })
            .help
            .unwrap()
            .contains("`resnet_cifar`")
    );
    assert!(fail(TrainOptions { shortcut_kernel: 2, ..quick("biggan") }).help.unwrap().contains("1 or 3"));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gan.safetensors");
    let gan = gan::train(&data, quick("biggan"), &Device::Cpu, &Job::silent(), None).unwrap();
    gan.save(&path).unwrap();
    let mut wider = Gan::new(&data, TrainOptions { g_channels: 16, ..quick("biggan") }, &Device::Cpu).unwrap();
    let before = bits(&wider);
    let error = wider.load(&path).unwrap_err();
    assert!(error.help.unwrap().contains("another architecture"));
    assert_eq!(before, bits(&wider));
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = wider.load(&path).unwrap_err();
    assert!(error.message.contains("gan.safetensors") && error.help.unwrap().contains("truncated"));
    assert!(wider.load(&folder.path().join("none")).unwrap_err().message.contains("cannot read"));
}

fn differences(a: &Gan, b: &Gan) -> f64 {
    let values = |gan: &Gan| -> Vec<f64> {
        let state = gan.generator().store().params().into_iter().chain(gan.discriminator().store().params());
        state.flat_map(|param| param.value().to_f64s().unwrap()).collect()
    };
    values(a).iter().zip(values(b)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn a_batch_in_pieces_gives_the_same_step_as_a_whole_one() {
    let data = few(40).keep_labels(1.0, 1).unwrap().only_known();
    let run = |pieces: usize| {
        let options = TrainOptions {
            accumulate: pieces,
            g_norm: NormKind::None,
            d_norm: NormKind::None,
            d_spectral_norm: false,
            // Its steps follow the size of gradients, as Adam's first ones do not.
            g_optimiser: OptimiserKind::named("sgd").unwrap(),
            d_optimiser: OptimiserKind::named("sgd").unwrap(),
            g_lr: 1e-3,
            d_lr: 1e-3,
            ..quick("biggan")
        };
        gan::train(&data, options, &Device::Cpu, &Job::silent(), None).unwrap()
    };
    let whole = run(1);
    let start = Gan::new(&data, whole.options.clone(), &Device::Cpu).unwrap();
    let (moved, apart) = (differences(&whole, &start), differences(&whole, &run(4)));
    // Single precision adds up the same numbers in another order.
    assert!(apart < 1e-4 * moved && moved > 1e-3, "{apart} of {moved}");
}

#[test]
fn an_option_that_would_do_nothing_is_refused() {
    let data = few(40).keep_labels(1.0, 1).unwrap().only_known();
    let refused = |name: &str, value: Value| {
        let mut options = quick("biggan");
        options.set(name, value).unwrap();
        Gan::new(&data, options, &Device::Cpu).err().unwrap()
    };
    let error = refused("nesterov", Value::Bool(true));
    assert_eq!(
        error.message,
        "the option `nesterov` is set, and neither `adam` of the generator nor `adam` of the discriminator uses it"
    );
    assert_eq!(error.help.as_deref(), Some("it is for `sgd`"));
    assert_eq!(refused("accumulate", Value::Int(3)).message, "a batch of 8 cannot be cut into 3 equal pieces");
    assert!(refused("drops", Value::List(vec![Value::Float(0.5)])).message.contains("`schedule` is \"constant\""));
    assert_eq!(refused("clip_norm", Value::Float(-1.0)).message, "the option `clip_norm` is -1");
}

#[test]
fn the_average_equals_the_raw_generator_until_it_starts() {
    let data = few(40).keep_labels(1.0, 1).unwrap().only_known();
    let run = |steps: usize| {
        let options = TrainOptions { ema_start: 2, steps, ..quick("biggan") };
        gan::train(&data, options, &Device::Cpu, &Job::silent(), None).unwrap()
    };
    let same = |gan: &Gan| {
        let values = |params: Vec<fewlab::nn::Param>| -> Vec<f32> {
            params.iter().flat_map(|param| param.value().to_f32s().unwrap()).collect()
        };
        values(gan.sampler().store().params()) == values(gan.generator().store().params())
    };
    assert!(same(&run(2)));
    assert!(!same(&run(3)));
}

/// The networks of a GAN and its classifier, each as its numbers.
fn networks(gan: &Gan) -> Vec<Vec<f64>> {
    let mut stores = vec![gan.generator().store().params(), gan.discriminator().store().params()];
    stores.extend(gan.classifier().map(|c| [c.encoder.store().params(), c.head().params()].concat()));
    let numbers = |params: Vec<fewlab::nn::Param>| params.iter().flat_map(|p| p.value().to_f64s().unwrap()).collect();
    stores.into_iter().map(numbers).collect()
}

#[test]
fn rates_and_bounds_reach_every_network() {
    let data = few(40).keep_labels(0.5, 1).unwrap().only_known();
    let run = |change: &dyn Fn(&mut TrainOptions)| {
        let mut options = TrainOptions { steps: 1, ..triple() };
        change(&mut options);
        gan::train(&data, options, &Device::Cpu, &Job::silent(), None).unwrap()
    };
    // The first of two steps of warm-up is taken at half the rate.
    let warm = run(&|options| options.warmup = 2);
    let half = run(&|options| {
        (options.g_lr, options.d_lr, options.c_lr) = (options.g_lr / 2.0, options.d_lr / 2.0, options.c_lr / 2.0);
    });
    assert_eq!(networks(&warm), networks(&half));

    let sgd = OptimiserKind::named("sgd").unwrap();
    let bounded = run(&|options| {
        (options.g_optimiser, options.d_optimiser, options.c_optimiser) = (sgd, sgd, sgd);
        (options.g_lr, options.d_lr, options.c_lr, options.clip_norm) = (1e3, 1e3, 1e3, 1e-6);
    });
    let start = Gan::new(&data, bounded.options.clone(), &Device::Cpu).unwrap();
    for (old, new) in networks(&start).iter().zip(networks(&bounded)) {
        let way = old.iter().zip(&new).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        assert!((way - 1e-3).abs() < 2e-5, "a step of {way} along gradients of 1e-6 together");
    }
}

#[test]
fn a_second_task_weighs_as_much_as_it_is_told_to() {
    let data = few(40).keep_labels(0.5, 1).unwrap().only_known();
    // How far the head of a task moves in one step: no other loss leads to it.
    let moved = |head: &str, name: &str, weight: f64| -> Vec<f64> {
        let mut options = TrainOptions { steps: 1, d_spectral_norm: false, d_lr: 0.1, ..quick("s3gan_co") };
        options.d_optimiser = OptimiserKind::named("sgd").unwrap();
        options.set(name, Value::Float(weight)).unwrap();
        let before = Gan::new(&data, options.clone(), &Device::Cpu).unwrap();
        let after = gan::train(&data, options, &Device::Cpu, &Job::silent(), None).unwrap();
        let weight = |gan: &Gan| {
            let params = gan.discriminator().store().params();
            params.iter().find(|param| param.name() == head).unwrap().value().to_f64s().unwrap()
        };
        weight(&after).iter().zip(weight(&before)).map(|(after, before)| after - before).collect()
    };
    for (head, name) in
        [("discriminator.predictor.weight", "class_weight"), ("discriminator.rotation.weight", "d_rotation_weight")]
    {
        let (once, thrice) = (moved(head, name, 1.0), moved(head, name, 3.0));
        let most = once.iter().fold(0.0f64, |most, way| most.max(way.abs()));
        // Weights of about 0.1 are known to 1e-8.
        assert!(most > 1e-3 && once.iter().zip(&thrice).all(|(a, b)| (3.0 * a - b).abs() < 1e-4 * most), "{name}");
    }
}

#[test]
fn fakes_made_in_one_pass_are_those_of_their_own_step_where_no_norm_looks_at_a_batch() {
    let data = few(40).keep_labels(1.0, 1).unwrap().only_known();
    let run = |joint_generation: bool| {
        let options = TrainOptions {
            steps: 1,
            d_steps: 3,
            joint_generation,
            g_norm: NormKind::None,
            g_optimiser: OptimiserKind::named("sgd").unwrap(),
            d_optimiser: OptimiserKind::named("sgd").unwrap(),
            g_lr: 0.01,
            d_lr: 0.01,
            ..quick("biggan")
        };
        gan::train(&data, options, &Device::Cpu, &Job::silent(), None).unwrap()
    };
    let (apart, joint) = (run(false), run(true));
    let start = Gan::new(&data, apart.options.clone(), &Device::Cpu).unwrap();
    assert!(differences(&apart, &joint) < 1e-3 * differences(&apart, &start));
}

#[test]
fn a_penalty_moves_no_spectral_norm() {
    let data = few(40).keep_labels(1.0, 1).unwrap().only_known();
    let run = |penalty: &str| {
        let options = TrainOptions { steps: 2, penalty: penalty.into(), penalty_weight: 0.0, ..quick("biggan") };
        bits(&gan::train(&data, options, &Device::Cpu, &Job::silent(), None).unwrap())
    };
    assert_eq!(run("r1"), run("none"));
}

#[test]
fn every_option_of_a_labeller_counts_and_features_stay_as_they_are() {
    let data = few(40);
    let known = data.keep_labels(0.5, 1).unwrap();
    let (cpu, job) = (Device::Cpu, Job::silent());
    let state = |classifier: &fewlab::nn::Classifier| -> Vec<u32> {
        let all = [classifier.encoder.store().state(), classifier.head().state()].concat();
        all.iter().flat_map(|(_, tensor)| tensor.to_f32s().unwrap()).map(f32::to_bits).collect()
    };
    let tiny = || "resnet-tiny".to_string();
    let rotation = |change: &dyn Fn(&mut SslOptions)| {
        let mut options = SslOptions { network: tiny(), epochs: 1, batch: 20, ..SslOptions::default() };
        change(&mut options);
        ssl::rotation(&known, &options, &cpu, &job).unwrap().classifier
    };
    let supervised = |change: &dyn Fn(&mut label::SupervisedOptions)| {
        let mut options =
            label::SupervisedOptions { network: tiny(), epochs: 1, batch: 10, ..label::SupervisedOptions::default() };
        change(&mut options);
        state(&label::supervised(&known, &options, &cpu, &job).unwrap().classifier)
    };
    let features = rotation(&|_| ()).encoder;
    let before = features.store().state().iter().flat_map(|(_, t)| t.to_f32s().unwrap()).collect::<Vec<_>>();
    let semi = |change: &dyn Fn(&mut SemiSupervisedOptions)| {
        let mut options =
            SemiSupervisedOptions { epochs: 1, batch: 20, labelled_batch: 10, ..SemiSupervisedOptions::default() };
        change(&mut options);
        state(&label::semi_supervised(&features, &known, &options, &job).unwrap().classifier)
    };
    let probe = |change: &dyn Fn(&mut label::ProbeOptions)| {
        let mut options = label::ProbeOptions { steps: 2, batch: 10, ..label::ProbeOptions::default() };
        change(&mut options);
        label::linear_probe(&features, &known, &options, &job).unwrap().classifier
    };
    // Of two steps the second one has another rate.
    let constant = fewlab::nn::Schedule::Constant;
    let plain = state(&rotation(&|_| ()));
    assert_ne!(state(&rotation(&|options| options.schedule = constant)), plain);
    assert_ne!(state(&rotation(&|options| options.crop = 0)), plain);
    let plain = supervised(&|_| ());
    assert_ne!(supervised(&|options| options.schedule = constant), plain);
    assert_ne!(supervised(&|options| options.crop = 0), plain);
    assert_ne!(supervised(&|options| options.flip = false), plain);
    let plain = semi(&|_| ());
    assert_ne!(semi(&|options| options.schedule = constant), plain);
    assert_ne!(semi(&|options| options.gamma = 1.0), plain);
    assert_ne!(semi(&|options| options.crop = 0), plain);
    assert_ne!(semi(&|options| options.flip = false), plain);
    assert_ne!(semi(&|options| options.turn_labelled = true), plain);
    let probed = probe(&|_| ());
    assert_ne!(state(&probe(&|options| options.schedule = constant)), state(&probed));
    // A probe changes its head alone, and clusters are of features at evaluation.
    let options = label::ClusterOptions { k: 4, ..label::ClusterOptions::default() };
    let clusters = |options: &label::ClusterOptions| {
        label::cluster(&features, &known, options, &Stop::default()).unwrap().labels().to_vec()
    };
    clusters(&options);
    let hasty = label::ClusterOptions { n_init: 1, max_passes: 1, ..options };
    assert_ne!(clusters(&hasty), clusters(&label::ClusterOptions { seed: 2, ..hasty.clone() }));
    for encoder in [&probed.encoder, &features] {
        let after = encoder.store().state().iter().flat_map(|(_, t)| t.to_f32s().unwrap()).collect::<Vec<_>>();
        assert_eq!(after, before);
    }
}

/// Keeps what each step measured.
#[derive(Default)]
struct Measured(Mutex<Vec<Vec<f64>>>);

impl Observer for Measured {
    fn step(&self, step: &Step<'_>) {
        self.0.lock().unwrap().push(step.values.iter().map(|(_, value)| *value).collect());
    }
}

#[test]
fn what_a_batch_in_pieces_measures_is_what_the_whole_one_does() {
    let data = few(40).keep_labels(1.0, 1).unwrap().only_known();
    let run = |accumulate: usize| {
        let options = TrainOptions {
            steps: 1,
            accumulate,
            g_norm: NormKind::None,
            d_spectral_norm: false,
            d_optimiser: OptimiserKind::named("sgd").unwrap(),
            // A share of each piece is turned: all of it, or the pieces would turn other images.
            rotation_share: 1.0,
            ..quick("s3gan")
        };
        let measured = Arc::new(Measured::default());
        let job = Job { observer: measured.clone(), stop: Stop::default(), keep: false };
        gan::train(&data, options, &Device::Cpu, &job, None).unwrap();
        measured.0.lock().unwrap()[0].clone()
    };
    let (whole, pieces) = (run(1), run(4));
    assert_eq!(whole.len(), 5);
    assert!(whole.iter().zip(&pieces).all(|(a, b)| (a - b).abs() < 1e-4 * a.abs().max(0.1)), "{whole:?} {pieces:?}");
}
