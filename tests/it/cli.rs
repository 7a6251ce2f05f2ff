//! The `fewlab` command itself: what it prints where, and its exit status.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn fewlab(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fewlab"));
    command.current_dir(dir).args(arguments).env("FEWLAB_CACHE", "").stdin(Stdio::null());
    command
}

fn run(dir: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = fewlab(dir, arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A folder with a script in it.
fn script(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("script.rhai");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

#[test]
fn a_script_prints_to_standard_output_and_leaves_no_empty_run() {
    let (dir, _) = script("let t = tensor::from([1, 2]);\nprint(t * 2);\nprint(\"sum\", t.sum().value);");
    assert_eq!(run(dir.path(), &["run", "script.rhai"]), (Some(0), "tensor([2, 4])\nsum 3.0\n".into(), String::new()));
    assert!(!dir.path().join("runs").exists());
}

#[test]
fn a_failed_script_shows_its_line_and_gives_status_1() {
    let (dir, _) = script("let x = 1;\nfn f(t) {\n    t.reshape([3])\n}\nf(tensor::zeros([2]));");
    let (status, stdout, stderr) = run(dir.path(), &["run", "script.rhai"]);
    assert_eq!((status, stdout.as_str()), (Some(1), ""));
    assert_eq!(
        stderr,
        "error: cannot give a tensor of shape [2] the shape [3]: 2 values against 3\n \
         --> script.rhai:3:7\n  |\n3 |     t.reshape([3])\n  |       ^\n  in `f`, called at script.rhai:5\n"
    );
}

#[test]
fn a_script_that_is_not_there_gives_status_1_and_bad_usage_2() {
    let dir = tempfile::tempdir().unwrap();
    let (status, _, stderr) = run(dir.path(), &["run", "absent.rhai"]);
    assert_eq!(status, Some(1));
    assert!(stderr.starts_with("error: cannot read `absent.rhai`: "), "{stderr}");
    assert_eq!(run(dir.path(), &["run"]).0, Some(2));
    assert_eq!(run(dir.path(), &["runn"]).0, Some(2));
    assert_eq!(run(dir.path(), &["run", "absent.rhai", "--set", "labels"]).0, Some(2));
    assert_eq!(run(dir.path(), &["run", "absent.rhai", "--threads", "0"]).0, Some(2));
}

#[test]
fn parameters_reach_the_script_as_what_their_defaults_are() {
    let (dir, _) = script(
        "print(\"expensive\");\nprint(param(\"labels\", 0.1), param(\"steps\", 10), param(\"name\", \"a\"), param(\"seed\", 1));",
    );
    let set = ["run", "script.rhai", "--set", "labels=1", "--set", "steps=1e3", "--set", "name=b c", "--seed", "7"];
    assert_eq!(run(dir.path(), &set).1, "expensive\n1.0 1000 b c 7\n");
    let (status, stdout, stderr) = run(dir.path(), &["run", "script.rhai", "--set", "steps=many"]);
    assert_eq!((status, stdout.as_str()), (Some(1), ""));
    assert!(
        stderr.starts_with("error: parameter `steps` is a whole number, given `many`\n --> script.rhai:2:"),
        "{stderr}"
    );
    assert!(stderr.ends_with("help: its default is `10`\n"), "{stderr}");
}

#[test]
fn an_unknown_parameter_is_refused_before_anything_runs() {
    let (dir, _) =
        script("print(\"expensive\");\nimport \"base\" as base;\nbase::run();\nlet labels = param(\"labels\", 0.1);");
    std::fs::write(dir.path().join("base.rhai"), "fn run() { param(\"method\", \"s3gan\") }").unwrap();
    let (status, stdout, stderr) = run(dir.path(), &["run", "script.rhai", "--set", "label=1"]);
    assert_eq!((status, stdout.as_str()), (Some(1), ""));
    assert_eq!(
        stderr,
        "error: there is no parameter `label`\nhelp: a similar parameter exists: `labels`; the choices are `labels`, `method`\n"
    );
    assert_eq!(run(dir.path(), &["run", "script.rhai", "--set", "method=biggan"]).0, Some(0));
}

#[test]
fn what_is_reported_is_kept_in_a_run() {
    let (dir, _) = script("for step in 1..4 { report(\"loss\", 1.0 / step, step); }\nprint(param(\"a\", 2));");
    let (status, stdout, stderr) = run(dir.path(), &["run", "script.rhai", "--set", "a=5", "--out", "kept"]);
    assert_eq!((status, stdout.as_str()), (Some(0), "5\n"));
    let runs: Vec<PathBuf> =
        std::fs::read_dir(dir.path().join("kept")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [run_dir] = runs.as_slice() else { panic!("{runs:?}") };
    assert!(stderr.contains("results: kept/") && stderr.trim_end().ends_with("/report.html"), "{stderr}");
    let metrics = std::fs::read_to_string(run_dir.join("metrics.jsonl")).unwrap();
    assert_eq!(metrics.lines().count(), 3, "{metrics}");
    let facts: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(run_dir.join("run.json")).unwrap()).unwrap();
    assert_eq!((facts["status"].as_str(), facts["params"]["a"].as_i64()), (Some("finished"), Some(5)), "{facts:#}");
    let again = run(dir.path(), &["report", run_dir.to_str().unwrap()]);
    assert_eq!((again.0, again.2.as_str()), (Some(0), ""));
    let quiet = run(dir.path(), &["run", "script.rhai", "--quiet"]);
    assert_eq!((quiet.0, quiet.2.as_str()), (Some(0), ""));
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_an_endless_loop_within_a_second() {
    let (dir, _) = script("print(\"begun\");\nlet x = 0;\nloop { x += 1; }");
    let mut child =
        fewlab(dir.path(), &["run", "script.rhai"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut begun = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().unwrap()), &mut begun).unwrap();
    assert_eq!(begun, "begun\n");
    let sent = Instant::now();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let status = child.wait().unwrap();
    let took = sent.elapsed();
    let mut stderr = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut stderr).unwrap();
    assert_eq!(status.code(), Some(130), "{stderr}");
    assert!(stderr.starts_with("error: interrupted\n --> script.rhai:3:"), "{stderr}");
    assert!(took < Duration::from_secs(1), "it took {took:?}");
}

#[test]
fn cells_come_through_a_pipe() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = fewlab(dir.path(), &["repl"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let cells = "let k = 2;\nfn twice(x) {\n    k * x\n}\ntwice(21)\nk = 3; absent\n\ntwice(21)\n\"text\"\n";
    child.stdin.take().unwrap().write_all(cells.as_bytes()).unwrap();
    let stdout = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(
        stdout,
        "42\nerror: there is no variable `absent`\n --> cell [4]:1:8\n  |\n1 | k = 3; absent\n  |        ^\n63\ntext\n"
    );
}

#[test]
fn the_manual_and_the_data_sets_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let (status, stdout, _) = run(dir.path(), &["manual", "relu"]);
    assert_eq!(status, Some(0));
    assert!(stdout.starts_with("relu(t: Tensor) -> Tensor\n"), "{stdout}");
    let (status, stdout, _) = run(dir.path(), &["manual", "gan::train"]);
    assert_eq!(status, Some(0));
    assert!(stdout.contains("Options:\n") && stdout.contains("  steps: 5000"), "{stdout}");
    let (_, stdout, _) = run(dir.path(), &["manual", "--format", "json"]);
    assert!(serde_json::from_str::<serde_json::Value>(&stdout).unwrap().as_array().unwrap().len() > 60);
    let (status, _, stderr) = run(dir.path(), &["manual", "gan::trian"]);
    assert_eq!((status, stderr.lines().last()), (Some(1), Some("help: a similar entry exists: `gan::train`")));
    assert!(run(dir.path(), &["data", "list"]).1.contains("fashion-mnist-10k"));
    assert!(run(dir.path(), &["data", "info", "fashion-mnist-10k"]).1.contains("Ankle boot"));
    let (status, stdout, _) = run(dir.path(), &["doctor"]);
    assert_eq!(status, Some(0));
    assert!(stdout.contains("threads") && stdout.contains("fashion-mnist-10k"), "{stdout}");
    assert!(stdout.contains("\nweights   "), "{stdout}");
}

/// A run of few steps that prints what options its GAN had.
const TINY: &str = "let small = data::load(\"fashion-mnist-10k\").train.take(40);
    let options = #{ steps: 2, batch: 8, generator: \"sndcgan\", discriminator: \"sndcgan\", g_channels: 16, d_channels: 16,
        z_dim: 16, sample_every: 0, seed: param(\"seed\", 1) };
    let gan = gan::train(small, gan::method(\"s3gan\") + options);
    print(gan.options.d_lr, gan.options.batch, gan.config.origins.d_lr, gan.config.origins.batch);";

fn only_run(dir: &Path, out: &str) -> PathBuf {
    let mut runs: Vec<PathBuf> = std::fs::read_dir(dir.join(out)).unwrap().map(|run| run.unwrap().path()).collect();
    assert_eq!(runs.len(), 1);
    runs.remove(0)
}

#[test]
fn options_are_given_from_outside_kept_with_the_run_and_taken_back() {
    let (dir, _) = script(TINY);
    let arguments = ["run", "script.rhai", "--set", "gan.d_lr=1e-4", "--set", "gan.train.g_lr=3e-4", "--quiet"];
    let (status, stdout, stderr) = run(dir.path(), &arguments);
    assert_eq!((status, stdout.as_str()), (Some(0), "0.0001 8 command line script\n"), "{stderr}");
    let first = only_run(dir.path(), "runs");
    let config = std::fs::read_to_string(first.join("config.toml")).unwrap();
    for line in [
        "seed = 1",
        "[gan.train]",
        "d_lr = 0.0001                            # command line",
        "self_supervision = \"rotation\"            # method s3gan",
        "loss = \"hinge\"                           # default",
        "batch = 8                                # script",
    ] {
        assert!(config.lines().any(|known| known == line), "no line `{line}` in\n{config}");
    }
    // The file gives the same run again, and what is set beside it wins.
    let file = first.join("config.toml").display().to_string();
    let arguments =
        ["run", "script.rhai", "--config", &file, "--set", "gan.train.batch=4", "--out", "again", "--quiet"];
    let (status, stdout, stderr) = run(dir.path(), &arguments);
    assert_eq!((status, stdout), (Some(0), format!("0.0001 4 file {file} command line\n")), "{stderr}");
    let second = only_run(dir.path(), "again");
    let (first, second) = (first.display().to_string(), second.display().to_string());
    let (status, stdout, stderr) = run(dir.path(), &["runs", "diff", &first, &second]);
    assert_eq!(status, Some(0), "{stderr}");
    let lines: Vec<Vec<&str>> = stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(lines.contains(&vec!["gan::train", "batch", "8", "4"]), "{stdout}");
    assert!(!stdout.contains("g_lr") && !stdout.contains("z_dim"), "{stdout}");
}

#[test]
fn an_option_that_nothing_has_is_told_before_anything_is_done() {
    let (dir, _) = script(TINY);
    let told = |set: &str| {
        let (status, stdout, stderr) = run(dir.path(), &["run", "script.rhai", "--set", set]);
        assert_eq!((status, stdout.as_str()), (Some(1), ""), "{stderr}");
        stderr
    };
    assert_eq!(
        told("gan.d_lrr=1e-4"),
        "error: `gan` has no option `d_lrr`\nhelp: a similar option exists: `gan.d_lr`\n"
    );
    assert!(
        told("gna.d_lr=1").contains("help: a similar function with options exists: `gan`"),
        "{}",
        told("gna.d_lr=1")
    );
    assert!(told("gan.steps=many").contains("parameter `gan.steps` is a whole number, given `many`"));
    let (dir, _) = script("print(1 + 1);");
    let (status, _, stderr) = run(dir.path(), &["run", "script.rhai", "--set", "ssl.epochs=3"]);
    assert_eq!(status, Some(0));
    assert_eq!(stderr, "`ssl.epochs` was set, and the script called nothing that has it\n");
}

#[test]
fn a_set_is_imported_once_and_found_again() {
    let (dir, _) = script("let data = data::load(\"polygons\", #{ n: 45000, seed: 7 });\nprint(data.train.n);");
    let cache = dir.path().join("cache");
    let fewlab = |arguments: &[&str]| {
        let output = fewlab(dir.path(), arguments).env("FEWLAB_CACHE", &cache).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let import = ["data", "import", "polygons", "--set", "n=45000", "--set", "seed=7"];
    let said = fewlab(&import);
    assert!(said.starts_with("polygons/train: 45000 images of 28x28 grey, ready in the cache\n"), "{said}");
    assert!(said.contains("polygons/test: 7500 images of 28x28 grey, read anew each time"), "{said}");
    let files = || -> Vec<_> {
        let files = std::fs::read_dir(cache.join("images")).unwrap().map(|file| file.unwrap());
        files.map(|file| (file.file_name(), file.metadata().unwrap().modified().unwrap())).collect()
    };
    let before = files();
    assert_eq!((before.len(), fewlab(&["run", "script.rhai"]).as_str()), (1, "45000\n"));
    assert_eq!(files(), before);
    let (status, _, stderr) = run(dir.path(), &["data", "import", "polygons", "--set", "m=3"]);
    assert_eq!(status, Some(1));
    assert!(stderr.contains("has no option `m`"), "{stderr}");
}
