//! Rust cells: through the terminal front end, in scripts, and over Jupyter's protocol. All share one prepared cache under
//! `target/`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::kernel;

/// The cache in which everything that cells need is ready; nothing if the crates cannot be downloaded, or if nobody asked for
/// what takes some twenty minutes of one core the first time.
#[allow(clippy::print_stderr)] // Whoever reads along is told what did not run.
pub fn cache() -> Option<&'static Path> {
    static CACHE: OnceLock<Option<PathBuf>> = OnceLock::new();
    CACHE
        .get_or_init(|| {
            if std::env::var_os("FEWLAB_TEST_RUST_CELLS").is_none() {
                eprintln!("skipped: Rust cells; FEWLAB_TEST_RUST_CELLS=1 compiles what they need, once");
                return None;
            }
            let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/rust_cell");
            let prepared = Command::new(env!("CARGO_BIN_EXE_fewlab"))
                .args(["rust", "prepare"])
                .env("FEWLAB_CACHE", &cache)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&prepared.stderr);
            if prepared.status.success() {
                return Some(cache);
            }
            let offline = ["download", "Could not resolve host", "failed to get", "no `cargo`", "rust-src"];
            assert!(offline.iter().any(|word| said.contains(word)), "{said}");
            eprintln!("skipped: Rust cells; what they need could not be downloaded: {said}");
            None
        })
        .as_deref()
}

fn fewlab(cache: &Path, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fewlab"));
    command.current_dir(folder).args(arguments).env("FEWLAB_CACHE", cache).stdin(Stdio::null());
    command
}

/// What a session says to cells that come through a pipe.
fn typed(cells: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let mut command = fewlab(cache()?, folder.path(), &["repl"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(cells.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Some(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn cells_and_their_functions_work_at_a_prompt() {
    let cells = "\
%%rust
/// Gaps between sorted neighbours.
#[export]
fn spacings(x: &Tensor) -> Result<Tensor> {
    let (sorted, _) = x.contiguous()?.sort_last_dim(true)?;
    let k = sorted.dim(1)?;

    sorted.narrow(1, 1, k - 1)? - sorted.narrow(1, 0, k - 1)?
}
#[export]
fn halves(x: &[f32], shape: Shape, by: f32) -> Vec<f32> {
    println!(\"{:?}\", shape.dims());
    x.iter().map(|v| v / by).collect()
}
#[export(vjp = cubed_back)]
fn cubed(x: &[f32]) -> Vec<f32> { x.iter().map(|v| v * v * v).collect() }
#[export]
fn cubed_back(x: &Tensor, g: &Tensor) -> Result<Tensor> { (x.sqr()? * 3.0)? * g }
#[export]
fn all(whole: i64, part: f64, yes: bool, text: &str, map: Map, list: Vec<f64>) -> (Vec<f64>, Shape) {
    let n = list.len() + map.len() + text.len();
    (vec![whole as f64 + part; n * usize::from(yes)], Shape::from((1, n)))
}

print(rust::spacings(tensor::from([[3, 1, 7]])))
print(rust::halves(tensor::from([[2, 4], [6, 8]]), 2))
let x = tensor::from([[3, 1, 7]]).track();
print(grad((rust::spacings(x) * tensor::from([1, 10])).sum(), x))
let t = tensor::from([1, 2]).track();
let slope = grad(rust::cubed(t).sum(), t);
print(slope)
print(grad(slope.sum(), t))
print(rust::all(1, 0.5, true, \"ab\", #{ c: 1 }, [1, 2.5]))
help(\"rust::spacings\")
%%rust
let kept = 41;

%%rust
kept + 1

";
    let Some(said) = typed(cells) else { return };
    for part in [
        "tensor([[2, 4]])\n",
        "[2, 2]\ntensor([[1, 2], [3, 4]])\n",
        // The smallest of three moves one gap down, the largest one up.
        "tensor([[-9, -1, 10]])\n",
        "tensor([3, 12])\n",
        "tensor([6, 12])\n",
        "[1.5, 1.5, 1.5, 1.5, 1.5]",
        "rust::spacings(x: Tensor) -> Tensor\n\nGaps between sorted neighbours.",
        "\n42\n",
    ] {
        assert!(said.contains(part), "no {part:?} in\n{said}");
    }
    assert!(!said.contains("error"), "{said}");
}

#[test]
fn what_goes_wrong_is_an_error_and_the_session_goes_on() {
    let cells = "\
%%rust
#[export]
fn sum(x: &Tensor) -> Result<f64> { x.to_dtype(DType::F64)?.sum_all()?.to_scalar() }
#[export]
fn quiet(x: &[f32]) -> Vec<f32> { x.to_vec() }
#[export]
fn breaks(n: i64) -> i64 { let v = vec![1, 2]; v[n as usize] }
#[export]
fn crashes() -> i64 { unsafe { std::ptr::read_volatile(8 as *const i64) } }

%%rust
// The second line is wrong.
let bad: i32 = \"x\";

%%rust
let v: Vec<i32> = Vec::new(); v[3]

rust::sum(3)
rust::sum(tensor::from([1, 2]), 2)
rust::summ(tensor::from([1, 2]))
rust::breaks(5)
rust::crashes()
rust::sum(tensor::from([1, 2]))
let x = tensor::from([1, 2]).track();
grad(rust::quiet(x).sum(), x)
rust::quiet(tensor::from([1, 2]).to_dtype(\"f64\"))
%%rust
std::process::abort()

rust::sum(tensor::from([1, 2]))
";
    let Some(said) = typed(cells) else { return };
    for part in [
        "error: mismatched types: expected `i32`, found `&str` [E0308]\n --> cell [2]:3:16\n",
        "error: the cell panicked: index out of bounds: the len is 0 but the index is 3\n --> `",
        "error: `rust::sum`: argument 1, `x`, takes a tensor, and was given 3 (int)\n --> cell [4]:1:",
        "help: it is `rust::sum(x: Tensor) -> float`",
        "takes 1 argument and was given 2",
        "error: there is no `rust::summ`\n --> cell [6]:1:",
        "help: a similar function exists: `rust::sum`",
        "error: `rust::breaks`: panicked: index out of bounds: the len is 2 but the index is 5\n --> `fn breaks",
        "error: `rust::crashes` crashed: signal: ",
        "has no gradient: it takes numbers as slices, which Candle does not see",
        "argument 1, `x`, takes a tensor of f32, and was given a tensor of f64 and shape [2]",
        "error: the cell crashed: ",
    ] {
        assert!(said.contains(part), "no {part:?} in\n{said}");
    }
    // After each crash what was defined is there again.
    assert_eq!(said.matches("\n3.0\n").count(), 2, "{said}");
}

#[test]
fn a_gradient_of_candle_that_is_not_the_slope_is_told() {
    let cells = "\
%%rust
#[export]
fn pooled(x: &Tensor) -> Result<Tensor> { println!(\"once\"); x.sqr()?.max_pool2d(2) }
#[export]
fn skipped(x: &Tensor) -> Result<Tensor> { x.upsample_nearest2d(4, 4)?.sqr()?.avg_pool2d(2)? + x.sqr()? }
#[export]
fn right(x: &Tensor) -> Result<Tensor> { x.sqr()? + x.upsample_nearest2d(4, 4)?.sqr()?.avg_pool2d(2)? }
#[export]
fn smooth(x: &Tensor, by: f64) -> Result<Tensor> { (x.tanh()? * by)?.exp()?.avg_pool2d(2) }
#[export]
fn kinked(x: &Tensor) -> Result<Tensor> { (x - 2.0)?.relu() }

let x = tensor::from([[[[1, 2], [4, 8]]]]).track();
print(grad(rust::pooled(x).sum(), x).shape)
print(grad(rust::pooled(x).sum(), x).shape)
print(grad(rust::skipped(x).sum(), x).shape)
print(grad(rust::right(x).sum(), x).shape)
print(grad(rust::smooth(x, 0.5).sum(), x).shape)
print(grad(rust::kinked(x).sum(), x).shape)
";
    let Some(said) = typed(cells) else { return };
    // At its first gradient, and only of those that are wrong; what a function prints is not printed more often.
    assert_eq!(said.matches("warning: Candle's gradient of `rust::").count(), 2, "{said}");
    assert!(said.contains("warning: Candle's gradient of `rust::pooled` is not its slope"), "{said}");
    assert!(said.contains("warning: Candle's gradient of `rust::skipped` is not its slope"), "{said}");
    assert_eq!(said.matches("once").count(), 2, "{said}");
    assert!(!said.contains("error"), "{said}");
}

#[test]
fn scripts_have_rust_in_files_and_in_themselves() {
    let Some(cache) = cache() else { return };
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("square.rs", "#[export]\nfn square(x: f64) -> f64 { x * x }\n");
    write(
        "script.rhai",
        "rust(\"square.rs\");\nprint(rust::square(3));\nif true {\n    rust(`#[export] fn one() -> i64 { 1 }`);\n    \
         print(rust::one());\n}\nfn within(x) { rust::square(x) }\nprint(within(4), rust(\"2 * 3\"));\nrust(`let y = z;`);\n",
    );
    let output = fewlab(cache, folder.path(), &["run", "script.rhai"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "9.0\n1\n16.0 6\n");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("error: cannot find value `z` in this scope"), "{stderr}");
    assert!(stderr.contains(" --> script.rhai:9:"), "{stderr}");
}

#[test]
fn the_kernel_runs_rust_cells() {
    let Some(cache) = cache() else { return };
    kernel::against_the_kernel_with(&kernel::program("rust_cells.py"), &[], &[("FEWLAB_CACHE", cache)]);
}

#[test]
fn without_rust_the_cell_says_what_to_install() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.rhai");
    std::fs::write(&script, "print(1 + 1);\nrust(\"1\");").unwrap();
    let mut command = fewlab(folder.path(), folder.path(), &["run", "script.rhai"]);
    let output = command.env("PATH", folder.path()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "2\n");
    assert!(stderr.contains("error: Rust cells need Rust, and there is no `rustc`\n --> script.rhai:2:"), "{stderr}");
    assert!(stderr.contains("help: install it from https://rustup.rs"), "{stderr}");
}

#[test]
fn without_the_sources_of_the_standard_library_the_cell_says_how_to_install_them() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    write("rustc", "#!/bin/sh\nif [ \"$1\" = -vV ]; then echo rustc 1.95.0; else echo /nowhere; fi\n");
    write("cargo", "#!/bin/sh\necho cargo 1.95.0\n");
    write("script.rhai", "rust(\"1\");");
    let output =
        fewlab(folder.path(), folder.path(), &["run", "script.rhai"]).env("PATH", folder.path()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("error: Rust cells need the sources of Rust's standard library"), "{stderr}");
    assert!(stderr.contains("help: `rustup component add rust-src` installs them"), "{stderr}");
}
