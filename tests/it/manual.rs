//! Every script function has a page, and the example on it runs and gives the value it states.

use crate::scripting::{check, session};
use fewlab::script::manual::{Entry, Kind};
use fewlab::script::session::on_script_thread;

fn examples(entry: &Entry) -> Vec<String> {
    let mut examples = Vec::new();
    for signature in &entry.signatures {
        let mut parts = signature.doc.split("```rhai\n");
        parts.next();
        examples.extend(parts.filter_map(|part| part.split_once("```")).map(|(code, _)| code.to_string()));
    }
    examples.sort();
    examples.dedup();
    examples
}

/// Whether an example uses what it is the example of.
fn uses(entry: &Entry, example: &str) -> bool {
    let last = entry.name.rsplit("::").next().unwrap();
    match entry.kind {
        Kind::Function if entry.name.contains("::") => example.contains(&format!("{}(", entry.name)),
        Kind::Function => example.contains(&format!("{last}(")),
        Kind::Property => example.contains(&format!(".{last}")),
        Kind::Operator if last == "[]" => example.contains('['),
        Kind::Operator => example.contains(last),
    }
}

#[test]
fn every_page_is_whole_and_its_example_true() {
    let failures = on_script_thread(|| {
        let (session, _) = session(&[]);
        let manual = session.host().manual(session.engine());
        let ours: Vec<&Entry> = manual
            .entries()
            .iter()
            .filter(|entry| entry.ours && !["to_string", "to_debug"].contains(&entry.name.as_str()))
            .collect();
        assert!(ours.len() > 60, "only {} entries", ours.len());
        let mut failures = Vec::new();
        for entry in ours {
            let mut fail = |what: String| failures.push(format!("{}: {what}", entry.name));
            for signature in &entry.signatures {
                let summary = signature.doc.split("\n\n").next().unwrap();
                if !summary.ends_with('.') || summary.len() < 12 {
                    fail(format!("the summary is not a sentence: `{summary}`"));
                }
            }
            let examples = examples(entry);
            if !examples.iter().any(|example| uses(entry, example)) {
                fail("no example calls it".into());
            }
            for example in examples {
                let (mut session, _) = crate::scripting::session(&[]);
                match check(&mut session, &example) {
                    Ok(0) => fail(format!("the example states no value:\n{example}")),
                    Ok(_) => {}
                    Err(difference) => fail(difference),
                }
            }
        }
        failures
    })
    .unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn the_manual_has_three_forms() {
    let (session, _) = session(&[]);
    let manual = session.host().manual(session.engine());
    let page = manual.page("relu").unwrap();
    assert!(page.text().starts_with("relu(t: Tensor) -> Tensor\n\nThe rectifier: max(0, x).\n"), "{}", page.text());
    assert!(manual.markdown().contains("\n## `relu`\n"));
    let json = manual.json();
    let relu = json.as_array().unwrap().iter().find(|entry| entry["name"] == "relu").unwrap();
    assert_eq!(relu["signatures"][0]["usage"], "relu(t: Tensor) -> Tensor");
    assert_eq!(manual.page("rellu").unwrap_err().help.as_deref(), Some("a similar entry exists: `relu`"));
}
