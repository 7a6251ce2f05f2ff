//! What Rust cells need before the first of them runs: the program that compiles them, and Candle compiled for them.
//!
//! Both are made once from sources in this binary, and kept in the cache folder for all sessions:
//!
//! ```text
//! rust/build          what cargo made for the program, so that a new version of it is made in seconds
//! rust/evcxr          compiled dependencies of cells, found again by evcxr itself
//! rust/KEY/kit        the sources, of this version and this compiler
//! rust/KEY/program    the program
//! rust/KEY/first      evcxr's folder as it is before the first cell; sessions begin with a copy
//! rust/KEY/ready      written last
//! rust/sessions       the folders of sessions that run
//! ```

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::process::Process;
use crate::data::cache_folder;
use crate::error::{Error, Result, file};
use crate::progress::{Job, Step};

/// The sources, by their paths in the kit.
const SOURCES: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../kernel/rust_cell/Cargo.toml")),
    ("Cargo.lock", include_str!("../../kernel/rust_cell/Cargo.lock")),
    ("src/main.rs", include_str!("../../kernel/rust_cell/src/main.rs")),
    ("src/wire.rs", include_str!("../../kernel/rust_cell/src/wire.rs")),
    ("src/relay.rs", include_str!("../../kernel/rust_cell/src/relay.rs")),
    ("src/children.rs", include_str!("../../kernel/rust_cell/src/children.rs")),
    ("src/report.rs", include_str!("../../kernel/rust_cell/src/report.rs")),
    ("export/Cargo.toml", include_str!("../../kernel/rust_cell/export/Cargo.toml")),
    ("export/src/lib.rs", include_str!("../../kernel/rust_cell/export/src/lib.rs")),
    ("prelude/Cargo.toml", include_str!("../../kernel/rust_cell/prelude/Cargo.toml")),
    ("prelude/Cargo.lock", include_str!("../../kernel/rust_cell/prelude/Cargo.lock")),
    ("prelude/src/lib.rs", include_str!("../../kernel/rust_cell/prelude/src/lib.rs")),
    ("prelude/src/check.rs", include_str!("../../kernel/rust_cell/prelude/src/check.rs")),
    ("prelude/src/value.rs", include_str!("../../kernel/rust_cell/prelude/src/value.rs")),
    ("prelude/src/convert.rs", include_str!("../../kernel/rust_cell/prelude/src/convert.rs")),
    ("prelude/src/exports.rs", include_str!("../../kernel/rust_cell/prelude/src/exports.rs")),
    ("prelude/src/line.rs", include_str!("../../kernel/rust_cell/prelude/src/line.rs")),
    ("prelude/src/memory.rs", include_str!("../../kernel/rust_cell/prelude/src/memory.rs")),
    ("prelude/src/panics.rs", include_str!("../../kernel/rust_cell/prelude/src/panics.rs")),
];

/// How dependencies of cells are compiled: for speed, and without the checks that cells themselves have. Products of complex
/// matrices take long to compile, and no value of Rhai is complex.
const SETTINGS: &str = r#"[profile.dev.package."*"]
opt-level = 2
debug-assertions = false
overflow-checks = false

[profile.dev.package.gemm-c32]
opt-level = 0

[profile.dev.package.gemm-c64]
opt-level = 0
"#;

/// What Rust cells need, and where it is or will be.
#[derive(Debug, Clone)]
pub struct Kit {
    /// The folder of all versions.
    root: PathBuf,
    /// The folder of this one.
    home: PathBuf,
}

impl Kit {
    /// The kit of this version for the compiler that is installed.
    ///
    /// # Errors
    /// There is no Rust, not all of it, or no cache folder.
    pub fn find() -> Result<Self> {
        let compiler = compiler()?;
        let root = cache_folder()
            .ok_or_else(|| {
                Error::new("there is no cache folder, where what Rust cells need is kept")
                    .help("`FEWLAB_CACHE` names one")
            })?
            .join("rust");
        // The folder is the current one's for whoever asks; cells run elsewhere.
        let root = std::path::absolute(&root).map_err(|error| file(&root, "find", error))?;
        let mut hash = Sha256::new();
        hash.update(compiler);
        hash.update(SETTINGS);
        for (path, text) in SOURCES {
            hash.update(format!("{path} {}\n{text}", text.len()));
        }
        let key: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let home = root.join(key);
        Ok(Self { root, home })
    }

    /// Whether everything is there.
    pub fn is_ready(&self) -> bool {
        self.home.join("ready").exists()
    }

    /// The folder of this version.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The program that compiles cells.
    pub fn program(&self) -> PathBuf {
        self.home.join("program")
    }

    /// The crate that cells find in scope.
    pub fn prelude(&self) -> PathBuf {
        self.home.join("kit/prelude")
    }

    /// Where evcxr keeps compiled dependencies: it looks in a folder of its own name there.
    pub fn caches(&self) -> &Path {
        &self.root
    }

    /// Makes what is missing; another session that does so is waited for.
    ///
    /// # Errors
    /// Something could not be downloaded, compiled or written; a person asked to stop.
    pub fn prepare(&self, job: &Job) -> Result<()> {
        if self.is_ready() {
            return Ok(());
        }
        make(&self.home)?;
        let lock = self.root.join("lock");
        let lock = File::create(&lock).map_err(|error| file(&lock, "write", error))?;
        while lock.try_lock().is_err() {
            job.stop.check()?;
            std::thread::sleep(Duration::from_millis(100));
        }
        if self.is_ready() {
            return Ok(());
        }
        for (path, text) in SOURCES {
            self.write(&self.home.join("kit").join(path), text)?;
        }
        self.write(&self.root.join("sessions/.cargo/config.toml"), SETTINGS)?;
        self.write(&self.home.join(".cargo/config.toml"), SETTINGS)?;
        self.build(job)?;
        self.warm(job)?;
        self.write(&self.home.join("ready"), "")
    }

    /// Writes a file unless it says so already: cargo looks at when it was written.
    fn write(&self, path: &Path, text: &str) -> Result<()> {
        if fs::read_to_string(path).is_ok_and(|there| there == text) {
            return Ok(());
        }
        make(path.parent().unwrap_or(Path::new("")))?;
        fs::write(path, text).map_err(|error| file(path, "write", error))
    }

    /// Compiles the program.
    fn build(&self, job: &Job) -> Result<()> {
        let mut command = Command::new("cargo");
        without_settings(&mut command);
        command
            .args(["build", "--release", "--locked", "--manifest-path"])
            .arg(self.home.join("kit/Cargo.toml"))
            .env("CARGO_TARGET_DIR", self.root.join("build"))
            .env("CARGO_TERM_COLOR", "never")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| Error::new(format!("cannot start `cargo`: {error}")))?;
        let lines = child.stderr.take().map(BufReader::new);
        let (sender, said) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.into_iter().flat_map(|lines| lines.lines()).map_while(std::io::Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut progress = Compiling::begin(job, "compiling evcxr", SOURCES[1].1);
        let mut kept = Vec::new();
        loop {
            match said.recv_timeout(Duration::from_millis(100)) {
                Ok(line) if progress.line(&line) => {}
                Ok(line) => kept.push(line),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            }
            if let Err(stopped) = job.stop.check() {
                let _ = child.kill();
                let _ = child.wait();
                return Err(stopped);
            }
        }
        let status = child.wait().map_err(|error| Error::new(format!("`cargo` is gone: {error}")))?;
        if !status.success() {
            return Err(Error::new(format!(
                "the program of Rust cells could not be compiled\n{}",
                kept.iter().rev().take(12).rev().cloned().collect::<Vec<_>>().join("\n")
            ))
            .help("it needs the network once, and Rust 1.95 or later; `fewlab rust prepare` tries again"));
        }
        progress.end();
        let built = self.root.join("build/release/fewlab-rust-cell");
        // Under its final name only once it is whole.
        let whole = self.home.join("program.new");
        fs::copy(&built, &whole).map_err(|error| file(&built, "copy", error))?;
        fs::rename(&whole, self.program()).map_err(|error| file(&whole, "rename", error))
    }

    /// Compiles Candle as cells see it, in the folder that sessions begin with.
    fn warm(&self, job: &Job) -> Result<()> {
        let first = self.home.join("first");
        make(&first)?;
        let mut progress = Compiling::begin(job, "compiling candle", SOURCES[10].1);
        let process = Process::start(self, &first, job, &mut |line| {
            progress.line(line);
        })?;
        drop(process);
        progress.end();
        Ok(())
    }

    /// A folder for evcxr, as it is before the first cell.
    ///
    /// # Errors
    /// It could not be written.
    pub fn session(&self) -> Result<PathBuf> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let sessions = self.root.join("sessions");
        forget_ended(&sessions);
        let folder = sessions.join(format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        // What a process of the same number left behind.
        let _ = fs::remove_dir_all(&folder);
        copy_tree(&self.home.join("first"), &folder).map_err(|error| file(&folder, "write", error))?;
        Ok(folder)
    }
}

/// The settings of a person's own builds are not meant for ours.
pub fn without_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let ours = ["CARGO_PROFILE_", "CARGO_BUILD_", "CARGO_PKG_", "CARGO_MANIFEST_"];
        if ours.iter().any(|start| text.starts_with(start))
            || matches!(&*text, "CARGO_TARGET_DIR" | "RUSTFLAGS" | "CARGO_ENCODED_RUSTFLAGS" | "RUSTC_WRAPPER")
        {
            command.env_remove(&name);
        }
    }
}

/// What the compiler says of itself. evcxr asks the sources of the standard library for the types of variables.
fn compiler() -> Result<Vec<u8>> {
    let said = |program: &str, argument: &str| {
        Command::new(program).arg(argument).output().ok().filter(|said| said.status.success()).map(|said| said.stdout)
    };
    match (said("rustc", "-vV"), said("cargo", "--version")) {
        (Some(compiler), Some(_)) => {
            let sources = |root: Vec<u8>| {
                let root = String::from_utf8_lossy(&root).trim().to_string();
                Path::new(&root).join("lib/rustlib/src/rust/library/std/src/lib.rs").exists()
            };
            if !said("rustc", "--print=sysroot").is_some_and(sources) {
                let error =
                    Error::new("Rust cells need the sources of Rust's standard library, and they are not installed");
                return Err(error.help("`rustup component add rust-src` installs them"));
            }
            Ok(compiler)
        }
        (compiler, _) => {
            let missing = if compiler.is_some() { "cargo" } else { "rustc" };
            Err(Error::new(format!("Rust cells need Rust, and there is no `{missing}`"))
                .help("install it from https://rustup.rs; the rest of fewlab works without it"))
        }
    }
}

/// How far cargo is, by the crates that it names.
struct Compiling<'a> {
    job: &'a Job,
    stage: &'a str,
    done: u64,
    of: u64,
}

impl<'a> Compiling<'a> {
    fn begin(job: &'a Job, stage: &'a str, lock: &str) -> Self {
        let of = lock.matches("[[package]]").count() as u64;
        job.observer.begin(stage, 0, of);
        Self { job, stage, done: 0, of }
    }

    /// Whether the line was one about progress.
    fn line(&mut self, line: &str) -> bool {
        let line = line.trim_start();
        if line.starts_with("Compiling ") && self.done < self.of {
            self.done += 1;
            self.job.observer.step(&Step { stage: self.stage, step: self.done, of: self.of, values: &[] });
        }
        ["Compiling ", "Downloading ", "Downloaded ", "Updating ", "Locking "].iter().any(|word| line.starts_with(word))
    }

    fn end(&self) {
        self.job.observer.end(self.stage, "done");
    }
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| file(folder, "make", error))
}

/// Removes the folders of sessions whose process is gone.
fn forget_ended(sessions: &Path) {
    for entry in fs::read_dir(sessions).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.split('-').next()).and_then(|id| id.parse::<i32>().ok());
        if let Some(id) = process
            && nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), None).is_err()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Copies a folder. What cargo and rustc only read stands under two names instead, which takes no time and no room.
fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        let (source, target) = (entry.path(), to.join(&name));
        // What belongs to the cells themselves is made anew.
        if text == "incremental"
            || text.starts_with("ctx")
            || text.starts_with("libctx")
            || text.starts_with("code_")
            || text.starts_with("libcode_")
        {
            continue;
        }
        let about = entry.metadata()?;
        if about.is_dir() {
            copy_tree(&source, &target)?;
        } else if !(about.len() > 1 << 16 && fs::hard_link(&source, &target).is_ok()) {
            fs::copy(&source, &target)?;
            // Cargo compares times.
            File::options().write(true).open(&target)?.set_modified(about.modified()?)?;
        }
    }
    Ok(())
}
