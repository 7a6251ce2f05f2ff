//! The language as its users see it: `tests/suite/*.rhai`.
//!
//! A file holds cases, each after a line `//- name`. A line `//--` ends a cell; the next one goes on in the same
//! session. `// => value` states the value of the text above it, `// error: message; help: help` the error of its line.

use crate::scripting::{check, session};
use fewlab::script::session::on_script_thread;

struct Case {
    file: String,
    name: String,
    cells: Vec<String>,
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir("tests/suite").unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for path in files.into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "rhai")) {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let before = cases.len();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            if let Some(name) = line.strip_prefix("//- ") {
                cases.push(Case { file: file.clone(), name: name.trim().into(), cells: vec![String::new()] });
            } else if cases.len() > before {
                let case = cases.last_mut().unwrap();
                if line.trim() == "//--" {
                    case.cells.push(String::new());
                } else {
                    let cell = case.cells.last_mut().unwrap();
                    cell.push_str(line);
                    cell.push('\n');
                }
            }
        }
    }
    cases
}

#[test]
fn every_case_gives_what_it_states() {
    let mut failures = Vec::new();
    let cases = cases();
    let mut names: Vec<String> = cases.iter().map(|case| format!("{}: {}", case.file, case.name)).collect();
    for case in &cases {
        let outcome = on_script_thread(|| {
            let (mut session, _) = session(&[]);
            let mut stated = 0;
            for cell in &case.cells {
                stated += check(&mut session, cell)?;
            }
            if stated == 0 { Err("states nothing".to_string()) } else { Ok(()) }
        });
        if let Err(difference) = outcome.unwrap() {
            failures.push(format!("{}: {}\n{difference}", case.file, case.name));
        }
    }
    assert!(failures.is_empty(), "{} of {} cases failed\n\n{}", failures.len(), cases.len(), failures.join("\n\n"));
    assert!(cases.len() > 40, "only {} cases", cases.len());
    names.sort();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "two cases have one name");
}

#[test]
fn a_wrong_statement_is_noticed() {
    let noticed = |text: &str| on_script_thread(|| check(&mut session(&[]).0, text).is_err()).unwrap();
    assert!(noticed("1 + 1 // => 3"));
    assert!(noticed("1 + 1 // error: there is no function `x`"));
    assert!(noticed("x // error: there is no variable `y`"));
    assert!(noticed("// error: there is no variable `x`\nx"));
    assert!(noticed("x"));
    assert!(!noticed("1 + 1 // => 2\nx // error: there is no variable `x`"));
}
