use std::fs;

use super::*;
use crate::run::history::Stage;

fn about() -> About {
    About {
        name: "pipeline s3gan/1".into(),
        path: "scripts/pipeline.rhai".into(),
        script: "print(1);\n".into(),
        params: Map::from_iter([("labels".to_string(), json!(0.1))]),
        seed: 1,
        device: "cpu".into(),
        threads: 2,
        command: ["fewlab", "run", "scripts/pipeline.rhai", "--seed", "1"].map(String::from).to_vec(),
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn step(run: &Run, stage: &str, step: u64, value: f64) {
    run.step(&Step { stage, step, of: 100, values: &[("d", value)] });
}

fn saves(text: &'static str) -> impl Fn(&Path) -> Result<()> {
    move |path: &Path| fs::write(path, text).map_err(|error| file(path, "write", error))
}

fn of<'a>(stage: &'a str, fingerprint: &'a str, step: u64) -> Checkpoint<'a> {
    Checkpoint { stage, fingerprint, step, keep: 1 }
}

#[test]
fn a_run_with_nothing_to_keep_leaves_nothing() {
    let out = folder();
    let run = Run::create(&out.path().join("runs"), about());
    run.note("hello");
    run.param("method", json!("s3gan")).unwrap();
    run.finish(Status::Finished, None).unwrap();
    assert_eq!(run.dir(), None);
    assert!(!out.path().join("runs").exists());
}

#[test]
fn what_a_run_wrote_is_read_back() {
    let out = folder();
    let run = Run::create(out.path(), about());
    run.param("method", json!("s3gan")).unwrap();
    assert!(run.resume("gan", "f").unwrap().is_empty());
    run.begin("gan", 0, 2);
    step(&run, "gan", 1, 1.5);
    step(&run, "gan", 2, f64::NAN);
    run.value("gan", 2, "fd", 61.25);
    run.picture("gan", 2, "samples", &Picture { width: 1, height: 2, pixels: vec![9; 6] });
    run.note("half way");
    run.end("gan", "fd 61.2");
    run.record("scores", &json!({"rows": []})).unwrap();
    run.finish(Status::Failed, Some("it broke")).unwrap();

    let dir = run.dir().unwrap();
    let name = dir.file_name().unwrap().to_str().unwrap();
    assert_eq!(&name[8..9], "-");
    assert!(name.ends_with("-pipeline-s3gan-1"), "{name}");
    assert_eq!(fs::read_to_string(dir.join("script.rhai")).unwrap(), "print(1);\n");
    let history = History::read(&dir).unwrap();
    assert_eq!((history.facts.status, history.facts.message.as_deref()), (Status::Failed, Some("it broke")));
    assert_eq!(
        history.facts.params,
        Map::from_iter([("labels".into(), json!(0.1)), ("method".into(), json!("s3gan"))])
    );
    assert_eq!(history.facts.command, "fewlab run scripts/pipeline.rhai --seed 1");
    let [stage] = &history.stages[..] else { panic!("{:?}", history.stages) };
    assert_eq!((stage.key.as_str(), stage.name(), stage.of, stage.step), ("1-gan", "gan", 2, 2));
    assert_eq!(stage.summary.as_deref(), Some("fd 61.2"));
    assert_eq!(stage.steps[0].1[0], (1.0, 1.5));
    assert!(stage.steps[0].1[1].1.is_nan());
    assert_eq!(stage.values, [("fd".to_string(), vec![(2.0, 61.25)])]);
    assert_eq!(history.pictures[0].file, "samples/1-gan-samples-000002.png");
    assert_eq!(image::open(dir.join(&history.pictures[0].file)).unwrap().to_rgb8().into_raw(), [9; 6]);
    assert_eq!(history.notes[0].1, "half way");
    assert_eq!(history.records, [("scores".to_string(), json!({"rows": []}))]);
}

#[test]
fn two_runs_of_one_second_get_two_folders() {
    let out = folder();
    let runs: Vec<Run> = (0..3).map(|_| Run::create(out.path(), about())).collect();
    for run in &runs {
        run.record("a", &1).unwrap();
    }
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 3);
}

#[test]
fn stages_of_one_name_are_told_apart_by_their_order() {
    let out = folder();
    let run = Run::create(out.path(), about());
    for stage in ["rotation", "gan", "gan"] {
        run.resume(stage, "f").unwrap();
        run.begin(stage, 0, 1);
        step(&run, stage, 1, 0.0);
        run.checkpoint(&of(stage, "f", 1), &saves("w")).unwrap();
        run.end(stage, "");
    }
    // A stage may hold another, and one that failed leaves no name behind.
    run.begin("gan", 0, 1);
    run.begin("evaluate", 0, 1);
    run.end("evaluate", "");
    step(&run, "gan", 1, 0.0);
    run.begin("gan", 0, 1);
    let dir = run.dir().unwrap();
    let keys: Vec<String> = History::read(&dir).unwrap().stages.iter().map(|stage: &Stage| stage.key.clone()).collect();
    assert_eq!(keys, ["1-rotation", "2-gan", "3-gan", "4-gan", "5-evaluate", "6-gan"]);
    for key in &keys[..3] {
        assert!(dir.join(format!("checkpoints/{key}.safetensors")).exists(), "{key}");
    }
}

#[test]
fn a_resumed_run_finds_its_checkpoints_and_says_things_once() {
    let out = folder();
    let dir = {
        let run = Run::create(out.path(), about());
        run.record("data", &json!("first")).unwrap();
        run.begin("gan", 0, 3);
        step(&run, "gan", 1, 1.0);
        run.checkpoint(&of("gan", "lr=1", 1), &saves("weights")).unwrap();
        step(&run, "gan", 2, 2.0);
        run.finish(Status::Interrupted, None).unwrap();
        run.dir().unwrap()
    };
    // A power cut tears the last line.
    let metrics = dir.join("metrics.jsonl");
    let mut torn = fs::read(&metrics).unwrap();
    torn.extend(b"{\"kind\": \"step\", \"sta");
    fs::write(&metrics, torn).unwrap();
    assert_eq!(History::read(&dir).unwrap().stages[0].step, 2);

    let run = Run::resume(&dir).unwrap();
    assert_eq!(run.script(), "print(1);\n");
    assert!(History::read(&dir).unwrap().live);
    run.record("data", &json!("again")).unwrap();
    let saved = run.resume("gan", "lr=1").unwrap();
    assert_eq!(fs::read_to_string(&saved[0]).unwrap(), "weights");
    run.begin("gan", 1, 3);
    step(&run, "gan", 2, 2.5);
    step(&run, "gan", 3, 3.0);
    run.end("gan", "");
    run.finish(Status::Finished, None).unwrap();
    drop(run);

    let history = History::read(&dir).unwrap();
    assert_eq!(history.facts.status, Status::Finished);
    assert_eq!(history.facts.resumed.len(), 1);
    assert_eq!(history.stages.len(), 1);
    assert_eq!(history.stages[0].steps[0].1, [(1.0, 1.0), (2.0, 2.5), (3.0, 3.0)]);
    assert_eq!(history.records, [("data".to_string(), json!("again"))]);
    for line in fs::read_to_string(&metrics).unwrap().lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
    }
    let error = Run::resume(&dir).unwrap_err();
    assert!(error.message.ends_with("has finished; there is nothing to resume"), "{error}");
}

#[test]
fn a_checkpoint_of_something_else_is_refused() {
    let out = folder();
    let run = Run::create(out.path(), about());
    run.begin("gan", 0, 3);
    run.checkpoint(&of("gan", "lr=0.0002", 1), &saves("weights")).unwrap();
    let dir = run.dir().unwrap();
    run.finish(Status::Interrupted, None).unwrap();
    drop(run);
    let error = Run::resume(&dir).unwrap().resume("gan", "lr=0.0001").unwrap_err();
    assert_eq!(
        error.message,
        "the checkpoint of `1-gan` was saved with other settings, data or seed: saved with `lr=0.0002`, resumed with `lr=0.0001`"
    );
}

#[test]
fn a_checkpoint_that_fails_keeps_the_one_before() {
    let out = folder();
    let run = Run::create(out.path(), about());
    run.begin("gan", 0, 3);
    run.checkpoint(&of("gan", "f", 1), &saves("first")).unwrap();
    let error = run
        .checkpoint(&of("gan", "f", 2), &|path| {
            fs::write(path, "half of it").unwrap();
            Err(Error::new("no space left on device"))
        })
        .unwrap_err();
    assert_eq!(
        error.message,
        "the checkpoint at step 2 of `gan` was not saved; the checkpoint before it is kept: no space left on device"
    );
    let checkpoints = run.dir().unwrap().join("checkpoints");
    assert_eq!(fs::read_to_string(checkpoints.join("1-gan.safetensors")).unwrap(), "first");
    let mut names: Vec<String> =
        fs::read_dir(checkpoints).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["1-gan.json", "1-gan.safetensors"]);
}

#[test]
fn one_folder_has_one_writer() {
    let out = folder();
    let run = Run::create(out.path(), about());
    run.record("a", &1).unwrap();
    let error = Run::resume(&run.dir().unwrap()).unwrap_err();
    assert!(error.message.ends_with("is still at work in another process"), "{error}");
}

#[test]
fn a_place_that_cannot_hold_a_folder_is_told_at_the_start_of_a_job() {
    let out = folder();
    let blocked = out.path().join("a file");
    fs::write(&blocked, "").unwrap();
    let run = Run::create(&blocked, about());
    let error = run.resume("gan", "f").unwrap_err();
    assert!(error.message.starts_with("cannot make the folder `"), "{error}");
    // What has no result to fail with says it at the end.
    run.begin("gan", 0, 1);
    step(&run, "gan", 1, 0.0);
    assert_eq!(run.finish(Status::Finished, None).unwrap_err(), error);
}

#[test]
fn a_folder_that_is_no_run_says_so() {
    let out = folder();
    let error = Run::resume(out.path()).unwrap_err();
    assert!(error.message.ends_with("is no run: it has no file `run.json`"), "{error}");
    fs::write(out.path().join("run.json"), "{").unwrap();
    assert!(History::read(out.path()).unwrap_err().message.starts_with("cannot understand `"));
}

/// The names in the folder of checkpoints.
fn checkpoints(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir.join("checkpoints")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_newest_checkpoints_stay_and_the_best_one() {
    let out = folder();
    let run = Run::create(out.path(), about());
    run.begin("gan", 0, 50);
    let save = |step| run.checkpoint(&Checkpoint { keep: 2, ..of("gan", "f", step) }, &saves("w")).unwrap().unwrap();
    let best = |step, value| {
        run.best("gan", &Best { step, score: "fd".into(), value }, &saves("best")).unwrap().unwrap();
    };
    save(10);
    best(10, 9.5);
    assert!(save(20).ends_with("checkpoints/1-gan-000020.safetensors"));
    save(30);
    best(30, 7.5);
    save(40);
    let dir = run.dir().unwrap();
    let names = [
        "1-gan-000030.safetensors",
        "1-gan-000040.safetensors",
        "1-gan-best.json",
        "1-gan-best.safetensors",
        "1-gan.json",
    ];
    assert_eq!(checkpoints(&dir), names);
    run.finish(Status::Interrupted, None).unwrap();
    drop(run);

    let run = Run::resume(&dir).unwrap();
    let found = run.resume("gan", "f").unwrap();
    let steps: Vec<&str> = found.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
    assert_eq!(steps, ["1-gan-000040", "1-gan-000030"]);
    let (best, path) = run.resume_best("gan").unwrap().unwrap();
    assert_eq!(best, Best { step: 30, score: "fd".into(), value: 7.5 });
    assert!(path.ends_with("checkpoints/1-gan-best.safetensors"));
    // It went on from step 30, for the newest could not be read: what lies after it goes.
    run.begin("gan", 30, 50);
    run.checkpoint(&Checkpoint { keep: 2, ..of("gan", "f", 35) }, &saves("w")).unwrap();
    let names = [
        "1-gan-000030.safetensors",
        "1-gan-000035.safetensors",
        "1-gan-best.json",
        "1-gan-best.safetensors",
        "1-gan.json",
    ];
    assert_eq!(checkpoints(&dir), names);
    let stage = History::read(&dir).unwrap().stages.remove(0);
    assert_eq!(stage.best, Some(Best { step: 30, score: "fd".into(), value: 7.5 }));
}
