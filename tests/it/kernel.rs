//! The kernel as real Jupyter clients see it: the Python programs in `tests/kernel` and `examples` run against the
//! program that was just built, with the packages of `tests/requirements.txt` in a folder under `target/`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a command to its end; what it said if it failed.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(said) } else { Err(format!("{command:?} failed:\n{said}")) }
}

/// The interpreter of the environment with the packages, which is made when it is not there or they changed.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let wanted = std::fs::read_to_string(root().join("tests/requirements.txt")).unwrap();
        let dir = root().join("target/python");
        let made = dir.join("requirements.txt");
        let python = dir.join("bin/python");
        if std::fs::read_to_string(&made).is_ok_and(|made| made == wanted) {
            return python;
        }
        let _ = std::fs::remove_dir_all(&dir);
        let setup = || -> Result<String, String> {
            run(Command::new("python3").args(["-m", "venv"]).arg(&dir))?;
            run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
                .arg(root().join("tests/requirements.txt")))
        };
        if let Err(error) = setup() {
            panic!("the tests of the kernel need python3 with venv and pip, and the packages of tests/requirements.txt:\n{error}");
        }
        std::fs::write(made, wanted).unwrap();
        python
    })
}

/// Runs a Python program with the kernel installed where it alone finds it, and its state in a folder of its own.
fn against_the_kernel(program: &Path, arguments: &[&str]) {
    against_the_kernel_with(program, arguments, &[]);
}

/// The same with variables of the environment.
pub fn against_the_kernel_with(program: &Path, arguments: &[&str], variables: &[(&str, &Path)]) {
    let python = python();
    let dir = tempfile::tempdir().unwrap();
    let prefix = dir.path().join("prefix");
    run(Command::new(env!("CARGO_BIN_EXE_fewlab")).arg("install").arg("--prefix").arg(&prefix)).unwrap();
    let folder = |name: &str| dir.path().join(name);
    let bin = python.parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let done = run(Command::new(python)
        .arg(program)
        .args(arguments)
        .current_dir(dir.path())
        .env("PATH", path)
        .env("JUPYTER_PATH", prefix.join("share/jupyter"))
        .env("JUPYTER_RUNTIME_DIR", folder("runtime"))
        .env("JUPYTER_DATA_DIR", folder("data"))
        .env("JUPYTER_CONFIG_DIR", folder("config"))
        .env("IPYTHONDIR", folder("ipython"))
        .env("XDG_STATE_HOME", folder("state"))
        .env("FEWLAB", env!("CARGO_BIN_EXE_fewlab"))
        .envs(variables.iter().copied()));
    if let Err(said) = done {
        panic!("{said}");
    }
}

pub fn program(name: &str) -> PathBuf {
    root().join("tests/kernel").join(name)
}

#[test]
fn the_conformance_suite_passes() {
    against_the_kernel(&program("conformance.py"), &[]);
}

#[test]
fn the_protocol_holds_over_real_sockets() {
    against_the_kernel(&program("protocol.py"), &[]);
}

#[test]
fn front_ends_run_notebooks() {
    against_the_kernel(&program("frontends.py"), &[]);
}

#[test]
#[allow(clippy::print_stderr)] // Whoever reads along is told what did not run.
fn jupyterlab_shows_a_session() {
    let browser = ["chromium", "chromium-browser", "google-chrome"]
        .iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success()));
    match browser {
        Some(browser) => against_the_kernel(&program("lab.py"), &[browser]),
        None => eprintln!("skipped: JupyterLab in a browser; there is no chromium or google-chrome on this machine"),
    }
}

#[test]
fn tensorboard_reads_the_events_of_a_run() {
    against_the_kernel(&program("events.py"), &[]);
}

#[test]
fn the_notebooks_give_what_is_saved_in_them() {
    // Without what Rust cells need the notebook about them is left out.
    let variables = match crate::rust_cell::cache() {
        Some(cache) => ("FEWLAB_CACHE", cache),
        None => ("FEWLAB_TEST_RUST_CELLS", Path::new("")),
    };
    against_the_kernel_with(&program("notebooks.py"), &[], &[variables]);
}
