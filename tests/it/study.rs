//! Studies as a person runs them: trials in processes of their own, what is left when one of them is killed, what is not run
//! twice.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;

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
