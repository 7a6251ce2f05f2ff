//! Every script in `scripts/` runs to its end, cut short, on a few images.

use std::path::{Path, PathBuf};
use std::process::Command;

use fewlab::data::{self, LoadOptions};

/// How each script is cut short. `{data}` stands for a folder of 200 images in ten classes.
const SHORT: &[(&str, &[&str])] = &[
    ("scripts/pipeline.rhai", &["data={data}", "steps=3", "epochs=1", "width=8"]),
    ("scripts/methods.rhai", &["data={data}", "method=clustering_ss", "steps=2", "epochs=1", "width=8", "clusters=5"]),
    ("scripts/bench/gpu.rhai", &["channels=8", "batch=4", "steps=4"]),
    ("scripts/bench/growth.rhai", &["what=batch", "value=4"]),
    ("scripts/bench/growth_plot.rhai", &["picture={data}../growth.svg"]),
    ("scripts/bench/growth_trial.rhai", &[]),
    ("scripts/bench/heads.rhai", &["images=60", "dim=8"]),
    ("scripts/bench/loop.rhai", &["channels=8", "batch=4", "steps=1", "rounds=1"]),
    ("scripts/bench/operators.rhai", &["seconds=0.001"]),
    ("scripts/bench/script.rhai", &[]),
    ("scripts/bench/steps.rhai", &["channels=8", "batch=4", "steps=2"]),
    (
        "scripts/studies/labels.rhai",
        &[
            "data={data}",
            "steps=2",
            "train=100",
            "seeds=1",
            "on=here",
            "root={data}../studies",
            "methods=[clustering]",
            "shares=[0.2]",
        ],
    ),
    (
        "scripts/studies/losses.rhai",
        &[
            "data={data}",
            "steps=2",
            "train=100",
            "seeds=1",
            "on=here",
            "root={data}../studies",
            "losses=[hinge]",
            "penalties=[r1]",
        ],
    ),
    (
        "scripts/studies/rotation.rhai",
        &["data={data}", "steps=2", "train=100", "seeds=1", "on=here", "root={data}../studies"],
    ),
    (
        "scripts/studies/soft.rhai",
        &["data={data}", "steps=2", "train=100", "seeds=1", "on=here", "root={data}../studies"],
    ),
    ("scripts/studies/toy.rhai", &["steps=3", "draw=true"]),
    (
        "scripts/studies/training.rhai",
        &["data={data}", "steps=2", "train=100", "seeds=1", "on=here", "root={data}../studies", "methods=[s3gan_co]"],
    ),
    ("scripts/studies/trial.rhai", &["data={data}", "steps=2", "train=100", "method=biggan", "labels=1.0"]),
    // More clusters than there are classes.
    ("scripts/studies/trial.rhai", &["data={data}", "steps=2", "train=100", "method=clustering", "clusters=12"]),
];

fn scripts(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            scripts(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rhai") {
            found.push(path.to_str().unwrap().replace('\\', "/"));
        }
    }
}

fn class_folders(folder: &Path) {
    let splits = data::load("fashion-mnist-10k", &LoadOptions::default()).unwrap();
    let by_class = splits.train.truth().unwrap().by_class();
    for (class, members) in splits.train.classes().iter().zip(by_class) {
        let place = folder.join(class.replace('/', "-"));
        std::fs::create_dir_all(&place).unwrap();
        for (i, member) in members.iter().take(20).enumerate() {
            let pixels = splits.train.images().image(*member as usize).to_vec();
            image::GrayImage::from_raw(28, 28, pixels).unwrap().save(place.join(format!("{i:02}.png"))).unwrap();
        }
    }
}

fn run(script: &str, settings: &[&str], folder: &Path, out: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fewlab"));
    command.args(["run", script, "--out", out.to_str().unwrap()]).env("FEWLAB_CACHE", "");
    for setting in settings {
        command.args(["--set", &setting.replace("{data}", &format!("{}/images/", folder.display()))]);
    }
    let output = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}: {said}");
    said
}

fn only_run(out: &Path) -> PathBuf {
    let mut runs: Vec<PathBuf> = std::fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs.remove(0)
}

#[test]
fn every_script_runs_cut_short() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    scripts(&root.join("scripts"), &mut found);
    let prefix = format!("{}/", root.display());
    let mut found: Vec<&str> = found.iter().map(|path| path.strip_prefix(&prefix).unwrap_or(path)).collect();
    found.sort_unstable();
    let mut listed: Vec<&str> = SHORT.iter().map(|(script, _)| *script).collect();
    listed.sort_unstable();
    listed.dedup();
    assert_eq!(found, listed, "each script needs a line that cuts it short");

    let folder = tempfile::tempdir().unwrap();
    class_folders(&folder.path().join("images"));
    for (i, (script, settings)) in SHORT.iter().enumerate() {
        let out = folder.path().join(format!("out{i}"));
        run(root.join(script).to_str().unwrap(), settings, folder.path(), &out);
    }

    // The main job leaves what it promises, and does the same again to the last digit.
    let first = only_run(&folder.path().join("out0"));
    for file in ["script.rhai", "run.json", "metrics.jsonl", "report.html", "checkpoints", "samples"] {
        assert!(first.join(file).exists(), "no {file} in {}", first.display());
    }
    let again = folder.path().join("again");
    run(root.join(SHORT[0].0).to_str().unwrap(), SHORT[0].1, folder.path(), &again);
    let numbers = |run: &Path| {
        let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        let lines = text.lines().map(|line| {
            let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
            line.as_object_mut().unwrap().remove("time");
            line.to_string()
        });
        lines.collect::<Vec<_>>()
    };
    assert_eq!(numbers(&first), numbers(&only_run(&again)));
}
