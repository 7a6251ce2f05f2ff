//! Studies as a person runs them: trials in processes of their own, what is left when one of them is killed, what is not run
//! twice.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fewlab::gan::{self, TrainOptions};
use fewlab::options::{Callback, Choice};
use fewlab::progress::Job;
use fewlab::tensor::Device;
use rusqlite::Connection;

use super::training::{few, quick};

const TOY: &str = "let weight = param(\"weight\", 1.0);\nlet noise = normal([1])[0].value;\n\
                   if weight == 13 { tensor::zeros([2]) + tensor::zeros([3]) }\n\
                   report(\"fd\", weight * 10.0 + noise);\n";

fn study(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fewlab"));
    command.current_dir(dir).arg("study").args(arguments).env("FEWLAB_CACHE", "").stdin(Stdio::null());
    command
}

fn run(dir: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = study(dir, arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn folder(script: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("toy.rhai"), script).unwrap();
    dir
}

fn count(dir: &Path, query: &str) -> i64 {
    let record = Connection::open(dir.join("studies/record.sqlite")).unwrap();
    record.query_row(query, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_grid_is_run_compared_and_not_run_twice() {
    let dir = folder(TOY);
    let grid = ["run", "toy.rhai", "--grid", "weight=1,2,13", "--seeds", "3", "--jobs", "2", "--metric", "fd"];
    let (status, stdout, stderr) = run(dir.path(), &grid);
    assert_eq!(status, Some(0), "{stdout}{stderr}");
    assert!(stderr.contains("9 trials ran, 0 were there already, 3 failed"), "{stderr}");
    assert!(stderr.contains("failed at toy.rhai:3"), "{stderr}");
    // The noise of a seed is the same in both settings, so the paired difference is exact.
    assert!(stdout.contains("With `weight=2`, fd is 10 higher than with `weight=1`, which is worse"), "{stdout}");
    assert!(stdout.contains("3 of 3 pairs agree; 3 pairs are too few for a rank test"), "{stdout}");
    assert!(stdout.contains("trial 7 (seed 1) failed: cannot add tensors of shapes [2] and [3]"), "{stdout}");
    // Anybody's SQL.
    assert_eq!(count(dir.path(), "SELECT count(*) FROM trial WHERE status = 'finished' AND peak_memory > 0"), 6);
    assert_eq!(count(dir.path(), "SELECT count(*) FROM value WHERE name = 'fd'"), 6);
    // Again with one setting more, in another study: what is known is not run.
    let more = ["run", "toy.rhai", "--grid", "weight=1,2,3", "--seeds", "3", "--name", "more"];
    let (_, _, stderr) = run(dir.path(), &more);
    assert!(stderr.contains("3 trials ran, 6 were there already, 0 failed"), "{stderr}");
    let (_, _, stderr) = run(dir.path(), &["resume", "more"]);
    assert!(stderr.contains("0 trials ran, 9 were there already"), "{stderr}");
    let (_, _, stderr) = run(dir.path(), &["resume", "more", "--again"]);
    assert!(stderr.contains("9 trials ran, 0 were there already"), "{stderr}");
}

/// Waits until `done` holds; a test that waits forever says where.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn killed(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_study_that_is_killed_loses_no_finished_trial() {
    // The second seed and those after it wait for a file, so that the kill comes while a trial is at work. Its name is no part
    // of the script's text: an import that is there belongs to the script, which would then be another one.
    let script = "report(\"fd\", seed() * 1.0);\nif seed() > 1 {\n    let open = false;\n    while !open { try { let name = \"gate\"; import name as gate; open = true; } catch { } }\n}\n";
    let dir = folder(script);
    let runner = study(dir.path(), &["run", "toy.rhai", "--seeds", "3"]).stderr(Stdio::null()).spawn().unwrap();
    let output = dir.path().join("studies/toy/0002/output.txt");
    until("the second trial begins", || output.exists());
    killed(runner);
    std::fs::write(dir.path().join("gate.rhai"), "let there = true;").unwrap();
    let (status, _, stderr) = run(dir.path(), &["resume", "toy"]);
    assert_eq!(status, Some(0), "{stderr}");
    // The trial that was at work lives on and may have come to its end by now; the first one is not run again in any case.
    assert!(stderr.contains(" were there already, 0 failed") && !stderr.contains("3 trials ran"), "{stderr}");
    assert_eq!(count(dir.path(), "SELECT count(*) FROM trial WHERE status = 'finished'"), 3);
    assert_eq!(count(dir.path(), "SELECT CAST(sum(value) AS INTEGER) FROM value WHERE name = 'fd'"), 6);
}

#[test]
fn a_trial_over_its_limit_is_a_failed_row() {
    let dir = folder("let x = 0;\nwhile true { x += 1; }\n");
    let (status, stdout, stderr) = run(dir.path(), &["run", "toy.rhai", "--seeds", "1", "--seconds", "1"]);
    assert_eq!(status, Some(0), "{stderr}");
    assert!(stdout.contains("out of time: its limit is 1 s"), "{stdout}");
    let (_, stdout, _) = run(dir.path(), &["run", "toy.rhai", "--seeds", "1", "--name", "small", "--memory", "0.001"]);
    assert!(stdout.contains("out of memory: it held"), "{stdout}");
}

#[test]
fn what_cannot_be_planned_is_said() {
    let dir = folder(TOY);
    let (status, _, stderr) = run(dir.path(), &["show", "absent"]);
    assert_eq!(status, Some(1));
    assert!(stderr.starts_with("error: there are no studies in"), "{stderr}");
    let (_, _, stderr) = run(dir.path(), &["run", "toy.rhai", "--name", "../up"]);
    assert!(stderr.starts_with("error: a study cannot be called `../up`"), "{stderr}");
    run(dir.path(), &["run", "toy.rhai", "--seeds", "1"]);
    let (_, _, stderr) = run(dir.path(), &["show", "toy", "--metric", "fid"]);
    assert!(stderr.contains("`fid`") && stderr.contains("fd"), "{stderr}");
}

#[test]
fn a_study_is_shown_on_one_page_and_written_for_other_tools() {
    let dir = folder(TOY);
    let (status, _, stderr) = run(dir.path(), &["run", "toy.rhai", "--grid", "weight=1,2,13", "--seeds", "2"]);
    assert_eq!(status, Some(0), "{stderr}");
    let (status, stdout, stderr) = run(dir.path(), &["page", "toy"]);
    assert_eq!(status, Some(0), "{stderr}");
    let page = std::fs::read_to_string(stdout.trim()).unwrap();
    for said in
        ["With <code>weight=2</code>, fd is 10 higher", "<svg", "cannot add tensors", "toy.rhai:3", "--set weight=2"]
    {
        assert!(page.contains(said), "{said}");
    }
    assert!(!page.contains("http://") || !page.contains("src=\"http"), "the page asks the network");
    for (format, to) in [("csv", "out.csv"), ("parquet", "out.parquet"), ("tensorboard", "board"), ("mlflow", "mlruns")]
    {
        let (status, _, stderr) = run(dir.path(), &["export", "toy", "--as", format, "--to", to]);
        assert_eq!(status, Some(0), "{stderr}");
    }
    let table = std::fs::read_to_string(dir.path().join("out.csv")).unwrap();
    let header = "study,trial,seed,param.weight,status,error,host,device,trial_seconds,peak_memory,command,stage,name,step,seconds,value";
    assert_eq!(table.lines().next(), Some(header));
    // Four values, and the two trials that failed before they had one.
    assert_eq!(table.lines().count(), 1 + 6);
    assert_eq!(table.matches(",fd,").count(), 4);
    let count = |folder: &str| std::fs::read_dir(dir.path().join(folder)).unwrap().count();
    assert_eq!(count("board"), 4);
    let experiment = std::fs::read_dir(dir.path().join("mlruns")).unwrap().next().unwrap().unwrap().path();
    // Its own file and six runs.
    assert_eq!(std::fs::read_dir(&experiment).unwrap().count(), 7);
    let (status, _, stderr) = run(dir.path(), &["export", "toy", "--as", "xls", "--to", "x"]);
    assert_eq!(status, Some(1));
    assert!(stderr.starts_with("error: there is no format `xls`"), "{stderr}");
}

/// The bits of the real and the fake images of each step of a short training, and the weights it ended with.
fn seen(options: TrainOptions, labels: f64) -> Vec<[Vec<u32>; 2]> {
    let steps = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&steps);
    let look = move |images: &[fewlab::tensor::Tensor]| {
        let bits = |of: &fewlab::tensor::Tensor| -> fewlab::Result<Vec<u32>> {
            Ok(of.detach().to_f32s()?.into_iter().map(f32::to_bits).collect())
        };
        keep.lock().unwrap().push([bits(&images[0])?, bits(&images[1])?]);
        images[0].sum_all()?.mul_scalar(0.0)
    };
    let penalty = Choice::Own(Callback { name: "look".into(), call: Arc::new(look) });
    let data = few(40).keep_labels(labels, options.seed).unwrap().only_known();
    gan::train(&data, TrainOptions { penalty, ..options }, &Device::Cpu, &Job::silent(), None).unwrap();
    steps.lock().unwrap().clone()
}

/// What pairs of trials share, so that their difference is that of the setting.
#[test]
fn trials_of_one_seed_share_order_labels_weights_and_latents() {
    let first = seen(quick("biggan"), 1.0);
    assert!(first.len() >= 4);
    let other_loss = TrainOptions { loss: Choice::Named("wasserstein".into()), ..quick("biggan") };
    let other_rates = TrainOptions { d_lr: 1e-4, g_lr: 1e-4, ..quick("biggan") };
    // With a head more on the discriminator.
    for options in [other_loss, other_rates, quick("s3gan")] {
        let second = seen(options, 1.0);
        for (step, (a, b)) in first.iter().zip(&second).enumerate() {
            assert_eq!(a[0], b[0], "the data comes in another order at step {step}");
        }
        // Before anything has moved, the fakes are those of one generator on the same latents and labels.
        assert_eq!(first[0][1], second[0][1], "first weights, latents or labels differ");
        assert_ne!(first.last().unwrap()[1], second.last().unwrap()[1], "the setting changes nothing");
    }
    let elsewhere = seen(TrainOptions { seed: 2, ..quick("biggan") }, 1.0);
    assert!(first[0][0] != elsewhere[0][0] && first[0][1] != elsewhere[0][1], "another seed is no other trial");

    // Fewer labels are a part of more.
    let kept = |share: f64, seed: u64| few(400).keep_labels(share, seed).unwrap().known().to_vec();
    let (tenth, half) = (kept(0.1, 1), kept(0.5, 1));
    assert_eq!(tenth, kept(0.1, 1));
    assert_ne!(tenth, kept(0.1, 2));
    assert!(tenth.iter().zip(&half).all(|(few, more)| few.is_none() || few == more), "the subset is drawn anew");

    // Weights are drawn by their names: a network of another loss or with another head shares all that has one shape.
    let weights = |method: &str, channels: usize| {
        let options = TrainOptions { steps: 1, d_lr: 0.0, g_lr: 0.0, g_channels: channels, ..quick(method) };
        let data = few(40).keep_labels(1.0, 1).unwrap().only_known();
        let gan = gan::train(&data, options, &Device::Cpu, &Job::silent(), None).unwrap();
        let stores = [gan.generator().store().state(), gan.discriminator().store().state()].concat();
        let weights = stores.into_iter().filter(|(name, _)| name.ends_with("weight"));
        weights.map(|(name, tensor)| (name, tensor.dims().to_vec(), tensor.to_f32s().unwrap())).collect::<Vec<_>>()
    };
    let (plain, turned, wide) = (weights("biggan", 8), weights("s3gan", 8), weights("biggan", 16));
    for other in [turned, wide] {
        let shared = plain.iter().filter(|(name, dims, _)| other.iter().any(|(n, d, _)| n == name && d == dims));
        let shared: Vec<_> = shared.collect();
        assert!(shared.len() > 3, "{} weights of one name and shape", shared.len());
        for (name, _, values) in shared {
            let same = &other.iter().find(|(n, ..)| n == name).unwrap().2;
            assert!(values == same, "`{name}` begins with other values");
        }
    }
}

/// Kills the runner and its trials at moments that a count of nothing but the loop decides, and resumes, until the study is done.
#[test]
fn whatever_is_killed_nothing_that_finished_is_lost_or_run_twice() {
    let script = "let steps = 0;\nwhile steps < 20000 { steps += 1; }\nreport(\"fd\", seed() * 1.0);\n";
    let dir = folder(script);
    let begin =
        |arguments: &[&str]| study(dir.path(), arguments).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let mut runner = begin(&["run", "toy.rhai", "--seeds", "12", "--jobs", "2"]);
    let outcomes = || {
        let trials = (1..=12).map(|n| dir.path().join(format!("studies/toy/{n:04}/outcome.json")));
        trials
            .filter_map(|path| Some((path.clone(), std::fs::metadata(path).ok()?.modified().ok()?)))
            .collect::<Vec<_>>()
    };
    let mut finished: Vec<(PathBuf, std::time::SystemTime)> = Vec::new();
    for (kills, pause) in [3u64, 40, 90, 17, 61, 140, 28, 230].into_iter().enumerate() {
        std::thread::sleep(Duration::from_millis(pause));
        if kills % 2 == 1 {
            // A trial that is at work, alone: its row is failed, or it runs again with the next turn.
            for process in children(runner.id()) {
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(process), nix::sys::signal::Signal::SIGKILL);
            }
        }
        let done = runner.try_wait().unwrap().is_some();
        killed(runner);
        for (path, at) in &finished {
            let now = std::fs::metadata(path).unwrap().modified().unwrap();
            assert_eq!(*at, now, "{} was run again", path.display());
        }
        finished = outcomes()
            .into_iter()
            .filter(|(path, _)| std::fs::read_to_string(path).unwrap().contains("\"finished\""))
            .collect();
        if done && finished.len() == 12 {
            runner = begin(&["list"]);
            break;
        }
        // What was killed before it was written down is begun again.
        let planned = Connection::open(dir.path().join("studies/record.sqlite"))
            .and_then(|record| record.query_row("SELECT count(*) FROM trial", [], |row| row.get::<_, i64>(0)));
        runner = match planned {
            Ok(12) => begin(&["resume", "toy", "--jobs", "2", "--failed"]),
            _ => begin(&["run", "toy.rhai", "--seeds", "12", "--jobs", "2"]),
        };
    }
    runner.wait().unwrap();
    let (status, _, stderr) = run(dir.path(), &["resume", "toy", "--failed"]);
    assert_eq!(status, Some(0), "{stderr}");
    assert_eq!(
        count(
            dir.path(),
            "SELECT count(*) FROM trial t JOIN study s ON s.id = t.study WHERE s.name = 'toy' AND status = 'finished'"
        ),
        12
    );
    assert_eq!(
        count(
            dir.path(),
            "SELECT CAST(sum(value) AS INTEGER) FROM value v JOIN trial t ON t.id = v.trial JOIN study s ON s.id = t.study WHERE s.name = 'toy'"
        ),
        78
    );
    let whole: String = Connection::open(dir.path().join("studies/record.sqlite"))
        .unwrap()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(whole, "ok");
}

/// The processes that `process` has started.
fn children(process: u32) -> Vec<i32> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>()).collect()
}

/// A machine that has no more memory: the system refuses it, and the trial is a row that says so.
#[test]
fn a_trial_that_gets_no_memory_is_a_failed_row() {
    let dir = folder(
        "let held = [];\nfor i in 0..400 { held.push(tensor::zeros([1000, 1000]) + i); }\nreport(\"fd\", 1.0);\n",
    );
    let run =
        format!("ulimit -v 1500000; exec {} study run toy.rhai --seeds 1 --threads 1", env!("CARGO_BIN_EXE_fewlab"));
    let output =
        Command::new("sh").current_dir(dir.path()).arg("-c").arg(run).env("FEWLAB_CACHE", "").output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    assert!(stdout.contains("1 failed") && stdout.contains("memory"), "{stdout}");
}

#[test]
fn options_without_a_meaning_are_refused() {
    let dir = folder(TOY);
    let (status, _, stderr) = run(dir.path(), &["run", "toy.rhai", "--partition", "long"]);
    assert_eq!(status, Some(1));
    assert!(stderr.starts_with("error: `partition` has no meaning with `on: \"local\"`"), "{stderr}");
    let (_, _, stderr) = run(dir.path(), &["run", "toy.rhai", "--on", "here"]);
    assert!(stderr.starts_with("error: a command has no process to run trials in"), "{stderr}");
    run(dir.path(), &["run", "toy.rhai", "--seeds", "1"]);
    let (status, stdout, _) = run(dir.path(), &["watch", "toy"]);
    assert_eq!(status, Some(0));
    assert!(stdout.contains("1 finished"), "{stdout}");
    let (_, stdout, _) = run(dir.path(), &["cancel", "toy"]);
    assert_eq!(stdout.trim(), "0 trials were with Slurm");
}
