//! What decides a trial's numbers, as a hash: two trials with the same one need to run once.

use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::plan::{self, Setting};
use crate::error::{Error, Result, file};

/// A script and those it imports: hash, path, text of each, itself first.
#[derive(Debug, Clone, PartialEq)]
pub struct Scripts(pub Vec<(String, String, String)>);

impl Scripts {
    /// Reads a script and what it imports.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn read(directory: &Path, path: &str) -> Result<Self> {
        let mut found = Vec::new();
        take(&directory.join(path), path, &mut found)?;
        Ok(Self(found))
    }

    /// The hash of the script itself.
    pub fn main(&self) -> &str {
        self.0.first().map_or("", |(hash, ..)| hash)
    }

    /// The hash of all of them.
    pub fn hash(&self) -> String {
        hash(self.0.iter().map(|(hash, ..)| hash.as_str()).collect::<Vec<_>>().join(" ").as_bytes())
    }
}

fn take(at: &Path, path: &str, found: &mut Vec<(String, String, String)>) -> Result<()> {
    let text = std::fs::read_to_string(at).map_err(|error| file(at, "read", error))?;
    let imports = imports(&text);
    found.push((hash(text.as_bytes()), path.to_string(), text));
    for name in imports {
        let with_ending = if Path::new(&name).extension().is_none() { format!("{name}.rhai") } else { name };
        let beside =
            |path: &Path| path.parent().map_or_else(|| PathBuf::from(&with_ending), |dir| dir.join(&with_ending));
        let (file, shown) = (beside(at), beside(Path::new(path)).display().to_string());
        // An import that is not there fails with its line when the script runs.
        if file.exists() && !found.iter().any(|(_, known, _)| *known == shown) {
            take(&file, &shown, found)?;
        }
    }
    Ok(())
}

/// The names that a script's text imports. One that is put together while the script runs is not seen.
fn imports(text: &str) -> Vec<String> {
    let after = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let quoted = |rest: &str| rest.trim_start().strip_prefix('"')?.split_once('"').map(|(name, _)| name.to_string());
    after.flat_map(|line| line.split("import ").skip(1).filter_map(quoted).collect::<Vec<_>>()).collect()
}

/// The first 16 digits of SHA-256: enough to tell the trials of a lifetime apart.
pub fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The hash of everything that decides what a trial finds: scripts, parameters, seed, the files that parameters name, and the
/// versions of what computes.
///
/// # Errors
/// A file that a parameter names cannot be read.
pub fn of(scripts: &Scripts, directory: &Path, setting: &Setting, device: &str) -> Result<String> {
    let mut inputs = Vec::new();
    for (name, value) in &setting.params {
        let Some(path) = value.as_str().map(|text| directory.join(text)).filter(|path| value != "" && path.exists())
        else {
            continue;
        };
        inputs.push((name.clone(), contents(&path)?));
    }
    // Written with its names in order, and numbers as the script reads them.
    let params: std::collections::BTreeMap<&String, String> =
        setting.params.iter().map(|(name, value)| (name, plan::text(value))).collect();
    let all = json!({
        "scripts": scripts.hash(), "params": params, "seed": setting.seed, "device": device, "inputs": inputs,
        "versions": crate::run::versions(),
    });
    Ok(hash(all.to_string().as_bytes()))
}

/// Bytes up to which a file is read whole; of larger ones, as of every file in a folder, the size and the time of the last change count.
const WHOLE: u64 = 64 << 20;

fn contents(path: &Path) -> Result<String> {
    let told = |error: std::io::Error| file(path, "read", error);
    let about = |meta: &std::fs::Metadata| {
        let changed = meta.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        format!("{} {}", meta.len(), changed.map_or(0, |since| since.as_nanos()))
    };
    let meta = std::fs::metadata(path).map_err(told)?;
    if meta.is_file() {
        return Ok(if meta.len() <= WHOLE { hash(&std::fs::read(path).map_err(told)?) } else { about(&meta) });
    }
    let mut found = Vec::new();
    let mut folders = vec![path.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(told)? {
            let path = entry.map_err(told)?.path();
            match std::fs::metadata(&path) {
                Ok(meta) if meta.is_dir() => folders.push(path),
                Ok(meta) => found.push(format!("{} {}", path.display(), about(&meta))),
                // A link that leads nowhere is no input.
                Err(_) => {}
            }
        }
    }
    found.sort();
    Ok(hash(found.join("\n").as_bytes()))
}

/// The error for scripts that are no longer what the study was planned with.
pub fn changed(path: &str) -> Error {
    Error::new(format!("`{path}`, or a script it imports, changed while the study ran"))
        .help("what has finished is kept; plan the study again to run the new script")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, Value};

    fn setting(params: Value, seed: u64) -> Setting {
        Setting { params: params.as_object().cloned().unwrap_or_else(Map::new), seed }
    }

    #[test]
    fn whatever_decides_the_numbers_changes_the_hash() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("a.rhai", "import \"b\" as b;\nreport(\"x\", 1.0);");
        write("b.rhai", "let one = 1;");
        write("labels.csv", "0,1");
        let of = |params: Value, seed| {
            let scripts = Scripts::read(dir.path(), "a.rhai").unwrap();
            assert_eq!(scripts.0.iter().map(|(_, path, _)| path.as_str()).collect::<Vec<_>>(), ["a.rhai", "b.rhai"]);
            super::of(&scripts, dir.path(), &setting(params, seed), "auto").unwrap()
        };
        let first = of(json!({"a": 1, "b": 2}), 1);
        assert_eq!(first, of(json!({"b": 2.0, "a": 1}), 1));
        assert_ne!(first, of(json!({"a": 1, "b": 2}), 2));
        assert_ne!(first, of(json!({"a": 1, "b": 3}), 1));
        let with_file = of(json!({"data": "labels.csv"}), 1);
        write("labels.csv", "0,2");
        assert_ne!(with_file, of(json!({"data": "labels.csv"}), 1));
        write("b.rhai", "let one = 2;");
        assert_ne!(first, of(json!({"a": 1, "b": 2}), 1));
    }
}
