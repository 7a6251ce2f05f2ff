//! Trainings that look after themselves: checkpoints kept and damaged, evaluations beside the steps, the best state, guards.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use fewlab::data::Labelled;
use fewlab::gan::{self, Gan, TrainOptions};
use fewlab::progress::{Job, Observer, Several, Step, Stop};
use fewlab::run::{About, Run};
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
