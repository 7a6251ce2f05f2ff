//! Trainings on a GPU against the same on the CPU. Every kernel is held to the CPU in `tensor/ops/check_gpu.rs`. Without a
//! GPU each test says so and passes.

use std::sync::{Arc, Mutex};

use fewlab::gan::{self, Gan, TrainOptions};
use fewlab::options::{Settings, Value};
use fewlab::progress::{Job, Observer, Step, Stop};
use fewlab::tensor::{Device, device};

use crate::training::{few, quick};

/// The first GPU; nothing, and a line that says so, where there is none.
#[allow(clippy::print_stderr)] // A test that was skipped says so.
fn gpu() -> Option<Device> {
    match device("cuda") {
        Ok(device) => Some(device),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

/// What each step measured.
#[derive(Default)]
struct Watch(Mutex<Vec<Vec<(String, f64)>>>);

impl Observer for Watch {
    fn step(&self, step: &Step<'_>) {
        let mut seen = self.0.lock().unwrap();
        seen.push(step.values.iter().map(|(name, value)| (name.to_string(), *value)).collect());
        assert_eq!(step.step as usize, seen.len(), "steps are told in their order");
    }
}

fn trained(options: TrainOptions, device: &Device) -> (Vec<Vec<(String, f64)>>, Gan) {
    let data = few(64).keep_labels(0.5, 1).unwrap().only_known();
    let watch = Arc::new(Watch::default());
    let job = Job { observer: watch.clone(), stop: Stop::default(), keep: false };
    let gan = gan::train(&data, options, device, &job, None).unwrap();
    let seen = watch.0.lock().unwrap().clone();
    (seen, gan)
}

#[test]
fn three_steps_of_each_kind_have_the_losses_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    // Spectral and conditional norms; rotation and a predictor; a penalty with second derivatives; other layers.
    let kinds: [(&str, &[(&str, &str)]); 4] = [
        ("biggan", &[]),
        ("s3gan_co", &[]),
        ("biggan", &[("loss", "wasserstein"), ("penalty", "wgan_gp")]),
        ("single_label", &[("generator", "dcgan"), ("discriminator", "dcgan")]),
    ];
    for (method, changes) in kinds {
        let mut options = quick(method);
        options.set("steps", Value::Int(3)).unwrap();
        for (name, value) in changes {
            options.set(name, Value::Text((*value).into())).unwrap();
        }
        let (here, _) = trained(options.clone(), &Device::Cpu);
        let (there, _) = trained(options, &gpu);
        assert_eq!(here.len(), there.len());
        for (step, (here, there)) in here.iter().zip(&there).enumerate() {
            for ((name, a), (other, b)) in here.iter().zip(there) {
                assert_eq!(name, other);
                // Rounding differs, and Adam's first steps are as large for a small gradient as for a large one.
                let tolerance = if name == "rotation_accuracy" { 0.2 } else { 2e-3 * (1.0 + a.abs()) };
                assert!((a - b).abs() <= tolerance, "{method}, step {}: `{name}` {b} against {a}", step + 1);
            }
        }
    }
}

#[test]
fn a_training_on_a_gpu_repeats_its_losses() {
    let Some(gpu) = gpu() else { return };
    let [first, second] = [0, 1].map(|_| trained(quick("s3gan"), &gpu).0);
    // Not to the bit: cuDNN may choose other algorithms when it is timed again.
    for (a, b) in first.iter().flatten().zip(second.iter().flatten()) {
        assert!(a.0 == b.0 && (a.1 - b.1).abs() <= 1e-2 * (1.0 + a.1.abs()), "{a:?} and {b:?}");
    }
}

#[test]
fn numbers_gone_bad_are_found_and_the_networks_stay_usable() {
    let Some(gpu) = gpu() else { return };
    let data = few(64).keep_labels(0.5, 1).unwrap().only_known();
    let mut gan = Gan::new(&data, quick("biggan"), &gpu).unwrap();
    gan.train(&data, 2, &Job::silent(), None).unwrap();
    gan.set("d_lr", Value::Float(1e38)).unwrap();
    let error = gan.train(&data, 20, &Job::silent(), None).unwrap_err();
    assert!(error.message.contains("became"), "{error}");
    gan.set("d_lr", Value::Float(1e-4)).unwrap();
    let step = gan.step();
    gan.train(&data, 2, &Job::silent(), None).unwrap();
    assert_eq!(gan.step(), step + 2);
    let state = gan.discriminator().store().state();
    assert!(state.iter().all(|(_, tensor)| tensor.to_f32s().unwrap().iter().all(|v| v.is_finite())));
}
