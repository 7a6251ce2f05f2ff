//! The parameters and options of a run as a file that a run can be given.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::config::{self, Config};
use crate::options;

/// The text of `config.toml`. An option that two calls of one function had different values of is the script's to say: it is
/// told in a comment.
pub(super) fn written(run: &str, params: &Map<String, Value>, configs: &[Config]) -> String {
    let mut out = format!("# Every option of the run {run}, and where its value came from.\n");
    // Writing to a string cannot fail.
    for (name, value) in params.iter().filter(|(name, _)| !name.contains('.')) {
        let _ = match of_json(value).as_ref().and_then(config::said) {
            Some(value) => writeln!(out, "{} = {value}", config::key(name)),
            None => writeln!(out, "# {name} = ()"),
        };
    }
    let mut functions: Vec<&str> = Vec::new();
    for config in configs {
        if !functions.contains(&config.function.as_str()) {
            functions.push(&config.function);
        }
    }
    for function in functions {
        let calls: Vec<&Config> = configs.iter().filter(|config| config.function == function).collect();
        let _ = writeln!(out, "\n[{}]", function.replace("::", "."));
        for (i, entry) in calls[0].entries.iter().enumerate() {
            let mut values: Vec<&options::Value> =
                calls.iter().filter_map(|call| Some(&call.entries.get(i)?.value)).collect();
            values.dedup();
            let _ = match (config::said(&entry.value), values.len()) {
                (Some(value), 1) => {
                    let line = format!("{} = {value}", entry.name);
                    writeln!(out, "{line:<40} # {}", entry.from)
                }
                (None, 1) => writeln!(out, "# {} = {:<30} # {}", entry.name, entry.value.to_string(), entry.from),
                _ => {
                    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                    writeln!(out, "# {} differs between the calls: {}", entry.name, values.join(", "))
                }
            };
        }
    }
    out
}

fn of_json(value: &Value) -> Option<options::Value> {
    Some(match value {
        Value::Null | Value::Object(_) => return None,
        Value::Bool(yes) => options::Value::Bool(*yes),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => options::Value::Int(whole),
            None => options::Value::Float(number.as_f64()?),
        },
        Value::String(text) => options::Value::Text(text.clone()),
        Value::Array(items) => options::Value::List(items.iter().map(of_json).collect::<Option<_>>()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Entry, Node, Origin};
    use crate::options::Value as Given;
    use serde_json::json;

    fn config(seed: i64) -> Config {
        let entry = |name: &str, value: Given, from: Origin| Entry { name: name.into(), value, from };
        let entries = vec![
            entry("d_lr", Given::Float(1e-4), Origin::CommandLine),
            entry("class", Given::Unit, Origin::Default),
            entry("seed", Given::Int(seed), Origin::Script),
        ];
        Config { function: "gan::train".into(), entries }
    }

    #[test]
    fn the_file_of_a_run_says_what_every_call_had() {
        let params = json!({"labels": 0.1, "data": "a \"b\"", "gan.d_lr": "1e-4", "class": null});
        let text = written("now", params.as_object().unwrap(), &[config(1), config(1)]);
        let line = "d_lr = 0.0001                            # command line\n";
        assert!(text.contains(line) && text.contains("# class = ()"), "{text}");
        let leaf = |name: &str, value: Given| (name.to_string(), Node::Leaf(value));
        let train = vec![leaf("d_lr", Given::Float(1e-4)), leaf("seed", Given::Int(1))];
        let expected = vec![
            leaf("labels", Given::Float(0.1)),
            leaf("data", Given::Text("a \"b\"".into())),
            ("gan".into(), Node::Table(vec![("train".into(), Node::Table(train))])),
        ];
        assert_eq!(config::parse(&text).unwrap(), expected, "{text}");
        let text = written("now", &Map::new(), &[config(1), config(2)]);
        assert!(text.contains("# seed differs between the calls: 1, 2\n") && !text.contains("\nseed ="), "{text}");
    }
}
