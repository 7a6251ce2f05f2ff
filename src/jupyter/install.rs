//! Makes the kernel known to Jupyter: writes its kernelspec where Jupyter looks for it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::error::{Error, Result, file};

/// The files of the kernelspec, as they lie in `kernel/kernelspec`.
const FILES: &[(&str, &[u8])] = &[
    ("logo-32x32.png", include_bytes!("../../kernel/kernelspec/logo-32x32.png")),
    ("logo-64x64.png", include_bytes!("../../kernel/kernelspec/logo-64x64.png")),
    ("logo-svg.svg", include_bytes!("../../kernel/kernelspec/logo-svg.svg")),
];
const SPEC: &str = include_str!("../../kernel/kernelspec/kernel.json");

/// Where the kernelspec goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Where Jupyter looks for this person.
    User,
    /// Into the Python environment that is active.
    Environment,
    /// Under this folder, in `share/jupyter/kernels`.
    Prefix(PathBuf),
}

impl Place {
    /// The folder of kernelspecs.
    ///
    /// # Errors
    /// No environment is active; there is no home.
    pub fn kernels(&self) -> Result<PathBuf> {
        let under = |prefix: PathBuf| prefix.join("share/jupyter/kernels");
        match self {
            Place::Prefix(prefix) => Ok(under(prefix.clone())),
            Place::Environment => {
                variable("VIRTUAL_ENV").or_else(|| variable("CONDA_PREFIX")).map(under).ok_or_else(|| {
                    Error::new("no Python environment is active").help("activate one, or install with `--user`")
                })
            }
            Place::User => user_data().map(|data| data.join("kernels")),
        }
    }
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Where Jupyter keeps what belongs to this person.
fn user_data() -> Result<PathBuf> {
    if let Some(data) = variable("JUPYTER_DATA_DIR") {
        return Ok(data);
    }
    let home = || {
        variable("HOME")
            .ok_or_else(|| Error::new("there is no home folder: `HOME` is not set").help("install with `--prefix DIR`"))
    };
    if cfg!(target_os = "macos") {
        return Ok(home()?.join("Library/Jupyter"));
    }
    match variable("XDG_DATA_HOME") {
        Some(data) => Ok(data.join("jupyter")),
        None => Ok(home()?.join(".local/share/jupyter")),
    }
}

/// Writes the kernelspec called `name`; where it is.
///
/// # Errors
/// The name is not one for a kernel; the folder cannot be written.
pub fn install(place: &Place, name: &str, display_name: Option<&str>) -> Result<PathBuf> {
    check_name(name)?;
    let dir = place.kernels()?.join(name);
    let mut spec: Value = serde_json::from_str(SPEC).map_err(|error| Error::bug(format!("kernel.json: {error}")))?;
    let program = std::env::current_exe()
        .map_err(|error| Error::new(format!("cannot find out where this program is: {error}")))?;
    spec["argv"][0] = json!(program.display().to_string());
    if let Some(display_name) = display_name {
        spec["display_name"] = json!(display_name);
    }
    std::fs::create_dir_all(&dir).map_err(|error| refused(&dir, error))?;
    for (name, bytes) in FILES {
        write(&dir.join(name), bytes)?;
    }
    // Last: a folder without it is not a kernel yet.
    write(&dir.join("kernel.json"), format!("{spec:#}\n").as_bytes())?;
    Ok(dir)
}

/// Removes the kernelspec called `name`; where it was.
///
/// # Errors
/// There is none, or it is another program's, or it cannot be removed.
pub fn uninstall(place: &Place, name: &str) -> Result<PathBuf> {
    check_name(name)?;
    let dir = place.kernels()?.join(name);
    let text = std::fs::read_to_string(dir.join("kernel.json"))
        .map_err(|error| file(&dir.join("kernel.json"), "read", error))?;
    let spec: Value = serde_json::from_str(&text).unwrap_or_default();
    if spec["language"] != "rhai" || spec["argv"][1] != "kernel" {
        return Err(Error::new(format!("`{}` is the kernel of another program", dir.display())));
    }
    std::fs::remove_dir_all(&dir).map_err(|error| file(&dir, "remove", error))?;
    Ok(dir)
}

/// The kernelspecs of ours that Jupyter finds: where, and the program they start.
pub fn installed() -> Vec<(PathBuf, PathBuf)> {
    let mut folders: Vec<PathBuf> =
        [Place::User, Place::Environment].iter().filter_map(|place| place.kernels().ok()).collect();
    folders.extend(["/usr/local/share/jupyter/kernels", "/usr/share/jupyter/kernels"].map(PathBuf::from));
    let mut found = Vec::new();
    for entry in folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten() {
        let spec = std::fs::read_to_string(entry.path().join("kernel.json")).unwrap_or_default();
        let spec: Value = serde_json::from_str(&spec).unwrap_or_default();
        if spec["language"] == "rhai"
            && let Some(program) = spec["argv"][0].as_str()
        {
            found.push((entry.path(), PathBuf::from(program)));
        }
    }
    found
}

fn check_name(name: &str) -> Result<()> {
    let fits = !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        && !name.starts_with('.');
    if fits {
        return Ok(());
    }
    Err(Error::new(format!("`{name}` cannot be the name of a kernel")).help("letters, digits, `.`, `_` and `-` can"))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).map_err(|error| refused(path, error))
}

fn refused(path: &Path, error: std::io::Error) -> Error {
    file(path, "write", error).help("install with `--user`, or with `--prefix` into a folder that you may write to")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installed_kernel_starts_this_program_and_goes_away_again() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::Prefix(dir.path().into());
        let at = install(&place, "lab", Some("Lab")).unwrap();
        assert_eq!(at, dir.path().join("share/jupyter/kernels/lab"));
        let spec: Value = serde_json::from_str(&std::fs::read_to_string(at.join("kernel.json")).unwrap()).unwrap();
        assert_eq!(spec["argv"][0], std::env::current_exe().unwrap().display().to_string());
        assert_eq!(spec["argv"][2], "{connection_file}");
        assert_eq!((spec["display_name"].as_str(), spec["interrupt_mode"].as_str()), (Some("Lab"), Some("message")));
        assert!(at.join("logo-64x64.png").exists());
        assert_eq!(uninstall(&place, "lab").unwrap(), at);
        assert!(!at.exists());
        assert!(uninstall(&place, "lab").is_err());
    }

    #[test]
    fn what_cannot_be_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = install(&Place::Prefix(file), "lab", None).unwrap_err();
        assert!(error.message.contains("cannot write"), "{error}");
        assert!(error.help.unwrap().contains("--user"));
        assert_eq!(install(&Place::User, "../up", None).unwrap_err().message, "`../up` cannot be the name of a kernel");
        let other = dir.path().join("share/jupyter/kernels/python3");
        std::fs::create_dir_all(&other).unwrap();
        std::fs::write(other.join("kernel.json"), r#"{"language": "python", "argv": ["python"]}"#).unwrap();
        let error = uninstall(&Place::Prefix(dir.path().into()), "python3").unwrap_err();
        assert!(error.message.ends_with("is the kernel of another program"));
    }
}
