//! The README is true: its scripts print what it says, its table names what there is, and what it points to is there.

use std::path::Path;

use fewlab::table::Row;

use super::scripting::session;

const README: &str = include_str!("../../README.md");

/// The blocks of code in `language`.
fn blocks(language: &str) -> Vec<&'static str> {
    let opened = README.split("```").skip(1).step_by(2);
    opened.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).collect()
}

#[test]
fn the_scripts_print_what_it_says() {
    let scripts = blocks("rhai");
    assert!(!scripts.is_empty());
    for script in scripts {
        let stated: Vec<&str> = script
            .lines()
            .filter(|line| line.starts_with("print("))
            .filter_map(|line| Some(line.split_once("// ")?.1.trim()))
            .collect();
        let (mut session, heard) = session(&[]);
        if let Err(diagnostic) = session.run("README.md", script) {
            panic!("{diagnostic}");
        }
        assert_eq!(*heard.printed.lock().unwrap(), stated);
        assert!(!stated.is_empty());
    }
}

#[test]
fn what_it_points_to_is_there() {
    let targets = README.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let files: Vec<&str> = targets.filter(|target| !target.starts_with("http")).collect();
    assert!(files.len() > 1);
    for file in files {
        assert!(
            Path::new(env!("CARGO_MANIFEST_DIR")).join(file).is_file(),
            "README.md points to `{file}`, which is not there"
        );
    }
}

#[test]
fn the_table_names_every_method_and_network() {
    let table = README.split("## What works today").nth(1).unwrap().split("\n## ").next().unwrap();
    let methods = fewlab::gan::METHODS.iter().map(Row::name);
    for name in methods.chain(fewlab::gan::ARCHITECTURES.iter().map(Row::name)) {
        assert!(table.contains(&format!("`{name}`")), "README.md does not name `{name}`");
    }
}
