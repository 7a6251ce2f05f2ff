//! What two runs differ in: options, parameters, data, versions, scores.

use serde_json::Value;

use super::History;

/// One thing that two runs do not have the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Where it stands: `run`, `parameter`, `gan::train`, `data`, `score`.
    pub place: String,
    /// Its name.
    pub name: String,
    /// In the first run and in the second; none where it has no such thing.
    pub values: [Option<String>; 2],
}

/// What `a` and `b` differ in; scores are listed where either has them, the same or not.
pub fn differences(a: &History, b: &History) -> Vec<Difference> {
    let [ours, theirs] = [a, b].map(said);
    let mut out = Vec::new();
    for (place, name) in keys(&ours, &theirs) {
        let of = |list: &[(String, String, String)]| {
            list.iter().find(|known| known.0 == place && known.1 == name).map(|known| known.2.clone())
        };
        let values = [of(&ours), of(&theirs)];
        if values[0] != values[1] || place.starts_with("score") {
            out.push(Difference { place, name, values });
        }
    }
    out
}

/// The places and names of both, in the order of the first, what only the second has after them.
fn keys(a: &[(String, String, String)], b: &[(String, String, String)]) -> Vec<(String, String)> {
    let mut keys: Vec<(String, String)> = Vec::new();
    for (place, name, _) in a.iter().chain(b) {
        if !keys.iter().any(|known| known.0 == *place && known.1 == *name) {
            keys.push((place.clone(), name.clone()));
        }
    }
    keys.sort_by_key(|(place, _)| keys_order(place));
    keys
}

fn keys_order(place: &str) -> usize {
    match place {
        "run" => 0,
        "version" => 1,
        "data" => 2,
        "parameter" => 3,
        place if place.starts_with("score") => 5,
        _ => 4,
    }
}

/// What is known of a run: place, name, value.
fn said(run: &History) -> Vec<(String, String, String)> {
    let facts = &run.facts;
    let mut out = Vec::new();
    let mut say = |place: &str, name: &str, value: String| out.push((place.to_string(), name.to_string(), value));
    say("run", "script", facts.path.clone());
    say("run", "script's text", format!("{} lines, {}", run.script.lines().count(), short_hash(&run.script)));
    say("run", "device", facts.device.clone());
    say("run", "seed", facts.seed.to_string());
    if let Some(commit) = &facts.commit {
        say("run", "commit", commit.clone());
    }
    for (name, value) in &facts.versions {
        say("version", name, plain(value));
    }
    for (name, value) in facts.params.iter().filter(|(name, _)| !name.contains('.')) {
        say("parameter", name, plain(value));
    }
    for (n, data) in run.records("data").enumerate() {
        let name = data.get("name").map_or_else(|| (n + 1).to_string(), plain);
        say("data", &numbered("name", n), name);
        for (fact, value) in data.get("facts").and_then(Value::as_object).into_iter().flatten() {
            say("data", &numbered(fact, n), plain(value));
        }
    }
    let mut calls: Vec<(String, usize)> = Vec::new();
    for config in run.records("config") {
        let function = config.get("function").map_or_else(String::new, plain);
        let n = calls.iter().filter(|(known, _)| *known == function).count();
        calls.push((function.clone(), n));
        for option in config.get("options").and_then(Value::as_array).into_iter().flatten() {
            if let (Some(name), Some(value)) = (option.get("name"), option.get("value")) {
                say(&numbered(&function, n), &plain(name), plain(value));
            }
        }
    }
    for (n, scores) in run.records("scores").enumerate() {
        let title = scores.get("title").and_then(Value::as_str).filter(|title| !title.is_empty());
        let place = title.map_or_else(|| numbered("score", n), |title| format!("score, {title}"));
        for row in scores.get("rows").and_then(Value::as_array).into_iter().flatten() {
            if let (Some(metric), Some(value)) = (row.get("metric"), row.get("value")) {
                say(&place, &plain(metric), plain(value));
            }
        }
    }
    out
}

fn numbered(name: &str, n: usize) -> String {
    if n == 0 { name.to_string() } else { format!("{name} ({})", n + 1) }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "()".into(),
        other => other.to_string(),
    }
}

/// The first digits of the hash of a text.
fn short_hash(text: &str) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(text.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
