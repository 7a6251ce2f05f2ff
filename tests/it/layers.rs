//! The invariants of `src/lib.rs`, held over the text of the sources. Each rule is an absence, so each is also shown a
//! planted fault that it must find.

use std::fs;
use std::path::{Path, PathBuf};

/// The layer picture, from the top. A module imports from the rows below its own; within a row only where `true`.
const ROWS: &[(&[&str], bool)] = &[
    (&["main", "cli", "repl", "jupyter", "terminal"], true),
    (&["notebook"], false),
    (&["script"], false),
    (&["study"], false),
    (&["rust_cell"], false),
    (&["run", "report"], true),
    (&["ssl", "label", "gan", "metric"], false),
    (&["nn", "data", "figure"], false),
    (&["config"], false),
    (&["options"], false),
    (&["tensor"], false),
    (&["table", "error", "progress"], true),
];

/// Where a rule may be broken, and why.
const ARGUED: &[(&str, &str, &str)] = &[
    ("candle", "src/error.rs", "a failed tensor operation becomes an error there, so that `?` works above"),
    ("candle", "src/metric/clip.rs", "the extractor is the network of `candle-transformers`"),
    ("candle", "src/nn/checkpoint.rs", "checkpoints are files of the format that Candle reads and writes"),
    ("printing", "src/tensor/ops/check_gpu.rs", "a test that has no GPU to run on says so"),
    (
        "panics",
        "src/script/bind/mod.rs",
        "the macro that binds properties writes `unwrap` on a lock that the engine holds",
    ),
];

/// A source file: where it is, and what is left of it without comments and unit tests.
struct Source {
    /// From the root of the repository, with `/`.
    path: String,
    text: String,
    /// Without the contents of strings, too.
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let keep_strings = without_tests(&strip(text, true));
        let code = strip(&keep_strings, false);
        Self { path: path.to_string(), text: keep_strings, code }
    }

    /// The module under the root that the file belongs to: `gan` for `src/gan/arch/mod.rs`, `lib` for the root itself.
    fn module(&self) -> &str {
        let inside = self.path.trim_start_matches("src/");
        inside.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    fn is_in(&self, folders: &[&str]) -> bool {
        folders.contains(&self.module())
    }

    /// How many modules lie between the root and the items of this file: 1 for `src/error.rs` and `src/gan/mod.rs`.
    fn depth(&self) -> usize {
        let inside = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        inside.split('/').filter(|part| !matches!(*part, "mod" | "lib" | "main")).count()
    }
}

/// `source` with blanks for comments, and for what is in quotes unless `strings` are kept. No byte moves.
fn strip(source: &str, strings: bool) -> String {
    let (mut out, mut at) = (String::with_capacity(source.len()), 0);
    let blank = |text: &str| text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect::<String>();
    while at < source.len() {
        let rest = &source[at..];
        let in_name = out.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
        let comment = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else {
            0
        };
        let quoted = if in_name { quoted_text(rest) } else { raw_string(rest).or_else(|| quoted_text(rest)) };
        match (comment, quoted) {
            (1.., _) => out.push_str(&blank(&rest[..comment])),
            (0, Some(length)) if strings => out.push_str(&rest[..length]),
            (0, Some(length)) => {
                out.push_str(&rest[..1]);
                out.push_str(&blank(&rest[1..length - 1]));
                out.push_str(&rest[length - 1..length]);
            }
            (0, None) => out.extend(rest.chars().next()),
        }
        at = out.len();
    }
    out
}

/// The length of the raw string that `rest` starts with.
fn raw_string(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix('r')?;
    let hashes = after.bytes().take_while(|byte| *byte == b'#').count();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(2 + hashes + body.find(&end)? + end.len())
}

/// The length of the string or character that `rest` starts with; a lifetime is none.
fn quoted_text(rest: &str) -> Option<usize> {
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut escaped = false;
    let end = rest[1..].char_indices().find_map(|(at, c)| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at + 2)
    })?;
    let one_character = rest.starts_with("'\\") || rest[1..end - 1].chars().count() == 1;
    (quote == '"' || one_character).then_some(end)
}

/// `text`, which has no comments, without what is there for unit tests alone.
fn without_tests(text: &str) -> String {
    let bare = strip(text, false);
    let mut out = String::new();
    let mut rest = 0;
    while let Some(start) = bare[rest..].find("#[cfg(test)]").map(|at| rest + at) {
        out.push_str(&text[rest..start]);
        let mut nesting = 0;
        let end = bare[start..].char_indices().find_map(|(at, c)| {
            nesting += i32::from(c == '{') - i32::from(c == '}');
            (nesting == 0 && matches!(c, '}' | ';')).then_some(start + at + 1)
        });
        rest = end.unwrap_or(bare.len());
    }
    out + &text[rest..]
}

/// The names in `code`, in order.
fn names(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|name| !name.is_empty())
}

/// The modules under the root that the file names in paths.
fn imports(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let starts = std::iter::once("crate::".to_string()).chain([("super::").repeat(source.depth())]);
    for start in starts.filter(|start| !start.is_empty()) {
        for (at, _) in source.code.match_indices(&start) {
            let before = &source.code[..at];
            if before.ends_with("super::") || before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
                continue;
            }
            let after = &source.code[at + start.len()..];
            match after.strip_prefix('{') {
                None => found.extend(names(after).next().map(String::from)),
                Some(group) => {
                    let (mut nesting, mut fresh) = (0, true);
                    for (at, c) in group.char_indices() {
                        match c {
                            '}' if nesting == 0 => break,
                            '{' => nesting += 1,
                            '}' => nesting -= 1,
                            ',' if nesting == 0 => fresh = true,
                            c if fresh && c.is_alphabetic() => {
                                found.extend(names(&group[at..]).next().map(String::from));
                                fresh = false;
                            }
                            _ => {}
                        }
                    }
                }
            }
        }
    }
    found
}

type Rule = (&'static str, fn(&Source) -> Vec<String>);

/// Every rule: its name, and what breaks it in a file.
const RULES: &[Rule] = &[
    ("imports point down", |source| {
        let row = |module: &str| ROWS.iter().position(|(row, _)| row.contains(&module));
        let Some(own) = row(source.module()) else { return Vec::new() };
        let up = imports(source).into_iter().filter(|module| {
            let same = module == source.module() || (row(module) == Some(own) && ROWS[own].1);
            // What is not a module of the picture is an item of the root: `crate::Result`.
            !same && row(module).is_some_and(|row| row <= own)
        });
        up.map(|module| format!("imports `{module}`")).collect()
    }),
    ("rhai", |source| match source.is_in(&["script"]) {
        true => Vec::new(),
        false => names(&source.code).filter(|name| name.to_lowercase().starts_with("rhai")).map(told).collect(),
    }),
    ("cuda", |source| {
        if source.is_in(&["tensor"]) {
            return Vec::new();
        }
        let types = names(&source.code)
            .filter(|name| ["cuda", "cudnn", "cublas"].iter().any(|word| name.to_lowercase().contains(word)));
        let features = source.text.match_indices("feature = \"cu").map(|_| "feature");
        types.chain(features).map(told).collect()
    }),
    ("candle", |source| match source.is_in(&["tensor"]) {
        true => Vec::new(),
        false => names(&source.code).filter(|name| name.starts_with("candle")).map(told).collect(),
    }),
    ("arithmetic in bind", |source| {
        if !source.path.starts_with("src/script/bind/") {
            return Vec::new();
        }
        let lines = source.code.lines().filter(|line| {
            let operators = [" + ", " - ", " * ", " / ", " % ", " += ", " -= ", " *= ", " /= "];
            operators.iter().any(|operator| {
                // `Fn() + Send` is a bound.
                line.split(operator)
                    .skip(1)
                    .any(|after| !after.starts_with(|c: char| c.is_uppercase() || c == '\'' || c == '?'))
            })
        });
        lines.map(|line| format!("computes `{}`", line.trim())).collect()
    }),
    ("printing", |source| match source.is_in(&["main", "cli", "repl", "terminal"]) {
        true => Vec::new(),
        false => {
            let calls = ["io::stdout", "io::stderr", " println!", " eprintln!", " eprint!", " print!", " dbg!"];
            let calls = calls.into_iter().filter(|call| source.code.contains(call)).map(|call| told(call.trim()));
            calls.chain(named(source, &["print_stdout", "print_stderr"])).collect()
        }
    }),
    ("randomness", |source| match source.path == "src/tensor/rng.rs" {
        true => Vec::new(),
        false => named(
            source,
            &["rand", "randn", "fastrand", "getrandom", "thread_rng", "StdRng", "SmallRng", "RandomState"],
        ),
    }),
    ("unsafe", |source| match source.is_in(&["tensor"]) {
        true => Vec::new(),
        false => named(source, &["unsafe", "unsafe_code"]),
    }),
    ("panics", |source| {
        let mut forbidden = vec!["unwrap_used", "expect_used", "disallowed_methods"];
        // The lint is off there, for the sake of Rhai's macro.
        if source.path.starts_with("src/script/bind/") {
            forbidden.extend(["unwrap", "expect"]);
        }
        named(source, &forbidden)
    }),
    ("the label budget", |source| match source.is_in(&["ssl", "label", "gan", "nn"]) {
        true => named(source, &["Dataset", "Splits", "Truth", "truth"]),
        false => Vec::new(),
    }),
    ("loops that stop", |source| {
        let reports = source.code.contains("observer.step(") && source.module() != "progress";
        match reports && !["stop.check()", "stop.raised()"].iter().any(|look| source.code.contains(look)) {
            true => vec!["reports steps and never looks at `stop`".to_string()],
            false => Vec::new(),
        }
    }),
];

/// The names of `code` that are among `forbidden`.
fn named(source: &Source, forbidden: &[&str]) -> Vec<String> {
    names(&source.code).filter(|name| forbidden.contains(name)).map(told).collect()
}

fn told(name: &str) -> String {
    format!("names `{name}`")
}

/// What breaks `rule` in `source`, unless that is argued.
fn faults(rule: &Rule, source: &Source) -> Vec<String> {
    if ARGUED.iter().any(|(name, path, _)| *name == rule.0 && *path == source.path) {
        return Vec::new();
    }
    (rule.1)(source).into_iter().map(|fault| format!("{}: {}: {fault}", source.path, rule.0)).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file under `folder`, files of unit tests left out.
pub fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn sources() -> Vec<Source> {
    let relative = |path: &Path| path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
    let files = rust_files(&root().join("src"));
    files.iter().map(|path| Source::new(&relative(path), &fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn every_source_keeps_every_rule() {
    let sources = sources();
    assert!(sources.len() > 20);
    let faults: Vec<String> =
        sources.iter().flat_map(|source| RULES.iter().flat_map(|rule| faults(rule, source))).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_exception_is_still_needed() {
    for (name, path, why) in ARGUED {
        let rule = RULES.iter().find(|rule| rule.0 == *name).unwrap();
        let source = Source::new(path, &fs::read_to_string(root().join(path)).unwrap());
        assert!(!(rule.1)(&source).is_empty(), "`{path}` keeps `{name}` now; the exception can go ({why})");
    }
}

#[test]
fn every_module_stands_in_the_picture() {
    let declared = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let modules = declared.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    for module in modules {
        assert!(ROWS.iter().any(|(row, _)| row.contains(&module)), "`{module}` has no place in the layer picture");
    }
}

#[test]
fn every_file_says_what_it_is() {
    for path in rust_files(&root().join("src")) {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//! "), "{} does not open with what it is", path.display());
    }
}

#[test]
fn every_rule_finds_a_planted_fault() {
    let plants = [
        ("imports point down", "src/data/x.rs", "use crate::gan::train;", "imports `gan`"),
        ("imports point down", "src/data/x.rs", "use crate::nn::Network;", "imports `nn`"),
        ("imports point down", "src/gan/x.rs", "fn f() { crate::metric::score() }", "imports `metric`"),
        ("imports point down", "src/tensor/ops/x.rs", "use crate::{Error, options::Value};", "imports `options`"),
        (
            "imports point down",
            "src/tensor/ops/x.rs",
            "use crate::error::Error;\nuse super::super::super::nn::Layer;",
            "imports `nn`",
        ),
        ("imports point down", "src/run.rs", "use super::script;", "imports `script`"),
        ("rhai", "src/gan/train.rs", "use rhai::Dynamic;", "names `rhai`"),
        ("rhai", "src/repl.rs", "fn f() -> rhai::Engine { g() }", "names `rhai`"),
        ("cuda", "src/nn/mod.rs", "fn f(device: &CudaDevice) {}", "names `CudaDevice`"),
        ("cuda", "src/main.rs", "#[cfg(feature = \"cuda\")] fn f() {}", "names `feature`"),
        ("candle", "src/nn/mod.rs", "use candle_core::Tensor;", "names `candle_core`"),
        ("arithmetic in bind", "src/script/bind/gan.rs", "fn f(a: f64) -> f64 { a * 2.0 }", "computes"),
        (
            "arithmetic in bind",
            "src/script/bind/gan.rs",
            "fn f(a: usize) { let mut b = a;\n b += 1; }",
            "computes `b += 1;",
        ),
        ("printing", "src/report.rs", "fn f() { write(std::io::stdout()) }", "names `io::stdout`"),
        ("printing", "src/script/mod.rs", "fn f() { println!(\"x\") }", "names `println!`"),
        ("randomness", "src/data/batches.rs", "let x = Tensor::randn(0f32, 1f32);", "names `randn`"),
        ("unsafe", "src/data/batches.rs", "unsafe { f() }", "names `unsafe`"),
        ("panics", "src/data/batches.rs", "#[allow(clippy::unwrap_used)] fn f() {}", "names `unwrap_used`"),
        ("panics", "src/script/bind/gan.rs", "fn f(x: Option<u8>) { x.unwrap(); }", "names `unwrap`"),
        ("the label budget", "src/gan/train.rs", "fn train(data: &Dataset) {}", "names `Dataset`"),
        ("the label budget", "src/label/linear.rs", "fn f() { data.truth() }", "names `truth`"),
        ("loops that stop", "src/ssl/rotation.rs", "loop { job.observer.step(&step); }", "never looks at"),
    ];
    for (name, path, text, expected) in plants {
        let rule = RULES.iter().find(|rule| rule.0 == name).unwrap();
        let found = faults(rule, &Source::new(path, text));
        assert!(
            found.iter().any(|fault| fault.contains(expected)),
            "`{name}` does not find `{text}` in {path}: {found:?}"
        );
    }
    assert!(RULES.iter().all(|rule| plants.iter().any(|plant| plant.0 == rule.0)), "a rule has no planted fault");
}

#[test]
fn no_rule_finds_what_is_allowed() {
    let clean = [
        (
            "src/data/x.rs",
            "// use crate::gan::train;\nuse crate::error::Error;\nuse super::images::Images;\nuse crate::Result;",
        ),
        (
            "src/data/x.rs",
            "fn f() {}\n#[cfg(test)]\nmod tests { fn g() { crate::gan::f(\"}\"); unsafe {} } }\nfn h() {}",
        ),
        ("src/script/mod.rs", "use rhai::Engine;\nuse crate::gan::train;"),
        (
            "src/script/bind/gan.rs",
            "fn f(g: Box<dyn Fn() + Send + 'static>) -> i64 { -1 }\nfn g(a: &i64) -> i64 { *a }",
        ),
        ("src/main.rs", "fn f() { let device = \"cuda:0\"; println!(\"{device}\") }"),
        ("src/report.rs", "use crate::run::Run;"),
        ("src/ssl/rotation.rs", "loop { job.stop.check()?; job.observer.step(&step); }"),
    ];
    for (path, text) in clean {
        let found: Vec<String> = RULES.iter().flat_map(|rule| faults(rule, &Source::new(path, text))).collect();
        assert!(found.is_empty(), "{found:?}");
    }
}

#[test]
fn stripping_keeps_code_and_drops_the_rest() {
    let text = "let a = \"// \\\"\"; // gone\nlet b = r#\"\"x\"\"#; /* no */ let c = ['\"', '{', '\\''];";
    assert_eq!(strip(text, false), "let a = \"     \";        \nlet b = r      #;          let c = [' ', ' ', '  '];");
    assert!(strip(text, true).starts_with("let a = \"// \\\"\";        \n"));
    assert_eq!(strip("fn f<'a>(x: &'a str) {} // 'x'", false).trim_end(), "fn f<'a>(x: &'a str) {}");
    let tested =
        without_tests("fn a() {}\n#[cfg(test)]\nmod tests { const S: &str = \"}}\"; fn t() {} }\nfn b() { \"b\" }");
    assert_eq!(tested, "fn a() {}\n\nfn b() { \"b\" }");
}
