//! What a study tries: parameters and their values, expanded into trials.

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::tensor::Rng;

/// What a parameter may be.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// This value.
    One(Value),
    /// Each of these in a grid, one of them in a random study.
    Any(Vec<Choice>),
    /// This value, and with it parameters that have a meaning only then.
    Under(Value, Vec<(String, Choice)>),
    /// A draw.
    Draw(Distribution),
}

/// Where a random study draws a number from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Distribution {
    /// Between two numbers, all alike.
    Uniform(f64, f64),
    /// Between two numbers above zero, all ratios alike.
    LogUniform(f64, f64),
    /// Around a mean, with a standard deviation.
    Normal(f64, f64),
    /// A whole number from one to another, both included.
    Whole(i64, i64),
}

impl Distribution {
    /// The same, if its numbers make sense.
    ///
    /// # Errors
    /// They do not.
    pub fn checked(self) -> Result<Self> {
        let wrong = |given: String, must: &str| Err(Error::new(given).help(format!("it must be {must}")));
        match self {
            Self::Uniform(low, high) if !(low.is_finite() && high.is_finite() && low < high) => {
                wrong(format!("`study::uniform` goes from {low} to {high}"), "from a number to a greater one")
            }
            Self::LogUniform(low, high) if !(low > 0.0 && high.is_finite() && low < high) => wrong(
                format!("`study::log_uniform` goes from {low} to {high}"),
                "from a number above 0 to a greater one",
            ),
            Self::Normal(mean, deviation) if !(mean.is_finite() && deviation.is_finite() && deviation > 0.0) => {
                wrong(format!("`study::normal` has the deviation {deviation}"), "a number above 0")
            }
            Self::Whole(low, high) if low > high => wrong(
                format!("`study::whole` goes from {low} to {high}"),
                "from a whole number to one that is not less",
            ),
            fine => Ok(fine),
        }
    }

    fn draw(self, rng: &mut Rng) -> Value {
        match self {
            Self::Uniform(low, high) => Value::from(low + (high - low) * rng.uniform_f64()),
            Self::LogUniform(low, high) => Value::from((low.ln() + (high / low).ln() * rng.uniform_f64()).exp()),
            Self::Normal(mean, deviation) => Value::from(mean + deviation * f64::from(rng.normal())),
            Self::Whole(low, high) => Value::from(low + rng.below((high - low + 1) as usize) as i64),
        }
    }

    /// In a script's words.
    pub fn said(&self) -> String {
        match self {
            Self::Uniform(a, b) => format!("uniform({a}, {b})"),
            Self::LogUniform(a, b) => format!("log_uniform({a}, {b})"),
            Self::Normal(a, b) => format!("normal({a}, {b})"),
            Self::Whole(a, b) => format!("whole({a}, {b})"),
        }
    }
}

/// The name of the parameter that is every trial's seed.
pub const SEED: &str = "seed";

/// One trial: what a script is given.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Parameters besides the seed, as JSON.
    pub params: Map<String, Value>,
    /// The seed.
    pub seed: u64,
}

/// Every combination, the last parameter changing fastest and the seed faster still: settings come whole, so that what is done
/// when a study is stopped can be compared.
///
/// # Errors
/// A parameter has no value, or is a draw.
pub fn grid(parameters: &[(String, Choice)]) -> Result<Vec<Setting>> {
    let (seeds, rest) = seeds(parameters)?;
    let mut settings = vec![Map::new()];
    for (name, choice) in &rest {
        settings = cross(settings, name, choice)?;
    }
    Ok(with_seeds(&settings, &seeds))
}

/// The grids of several maps, one after the other; what comes twice is tried once.
///
/// # Errors
/// As for [`grid`].
pub fn list(items: &[Vec<(String, Choice)>], seeds: &[u64]) -> Result<Vec<Setting>> {
    let mut all: Vec<Setting> = Vec::new();
    for item in items {
        let mut item = item.clone();
        if !item.iter().any(|(name, _)| name == SEED) {
            item.push((SEED.into(), Choice::Any(seeds.iter().map(|seed| Choice::One((*seed).into())).collect())));
        }
        for setting in grid(&item)? {
            if !all.contains(&setting) {
                all.push(setting);
            }
        }
    }
    Ok(all)
}

/// `count` draws of all parameters, each tried with every seed.
///
/// # Errors
/// A parameter has no value.
pub fn random(parameters: &[(String, Choice)], count: usize, seed: u64) -> Result<Vec<Setting>> {
    let (seeds, rest) = seeds(parameters)?;
    let mut settings = Vec::new();
    for trial in 0..count {
        let mut rng = Rng::new(seed).stream("study").at(trial as u64);
        let mut map = Map::new();
        draw(&rest, &mut map, &mut rng)?;
        settings.push(map);
    }
    Ok(with_seeds(&settings, &seeds))
}

fn with_seeds(settings: &[Map<String, Value>], seeds: &[u64]) -> Vec<Setting> {
    settings
        .iter()
        .flat_map(|params| seeds.iter().map(|seed| Setting { params: params.clone(), seed: *seed }))
        .collect()
}

fn seeds(parameters: &[(String, Choice)]) -> Result<(Vec<u64>, Vec<(String, Choice)>)> {
    let rest = parameters.iter().filter(|(name, _)| name != SEED).cloned().collect();
    let Some((_, choice)) = parameters.iter().find(|(name, _)| name == SEED) else { return Ok((vec![1], rest)) };
    let values = match choice {
        Choice::Any(items) => items.clone(),
        one => vec![one.clone()],
    };
    let mut seeds = Vec::new();
    for value in values {
        match &value {
            Choice::One(value) if value.as_u64().is_some() => {
                let seed = value.as_u64().unwrap_or_default();
                if seeds.contains(&seed) {
                    return Err(Error::new(format!("the seed {seed} is given twice"))
                        .help("the same seed does the same again; give another one"));
                }
                seeds.push(seed);
            }
            _ => {
                return Err(
                    Error::new("a seed is no whole number from 0").help("give a list such as `seed: [1, 2, 3]`")
                );
            }
        }
    }
    if seeds.is_empty() { Err(no_values(SEED)) } else { Ok((seeds, rest)) }
}

fn no_values(name: &str) -> Error {
    Error::new(format!("the parameter `{name}` has no value to try")).help("give a list with one value at least")
}

fn cross(settings: Vec<Map<String, Value>>, name: &str, choice: &Choice) -> Result<Vec<Map<String, Value>>> {
    let choices = match choice {
        Choice::Any(items) if items.is_empty() => return Err(no_values(name)),
        Choice::Any(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut out = Vec::new();
    for setting in settings {
        for choice in choices {
            let mut setting = setting.clone();
            match choice {
                Choice::One(value) => {
                    put(&mut setting, name, value)?;
                    out.push(setting);
                }
                Choice::Under(value, inner) => {
                    put(&mut setting, name, value)?;
                    let mut under = vec![setting];
                    for (name, choice) in inner {
                        under = cross(under, name, choice)?;
                    }
                    out.extend(under);
                }
                Choice::Any(_) => return Err(Error::bug("a list of choices holds a list of choices")),
                Choice::Draw(from) => {
                    return Err(Error::new(format!("the parameter `{name}` is drawn from {}", from.said()))
                        .help("a grid needs the values themselves; `study::random` draws them"));
                }
            }
        }
    }
    Ok(out)
}

fn put(setting: &mut Map<String, Value>, name: &str, value: &Value) -> Result<()> {
    if name == SEED {
        return Err(Error::new("`seed` stands below another parameter")
            .help("seeds are the same for every setting; give `seed` beside the other parameters"));
    }
    match setting.insert(name.to_string(), value.clone()) {
        None => Ok(()),
        Some(_) => Err(Error::new(format!("the parameter `{name}` is given twice for one trial"))
            .help("a parameter below another one must not stand beside it as well")),
    }
}

fn draw(parameters: &[(String, Choice)], map: &mut Map<String, Value>, rng: &mut Rng) -> Result<()> {
    for (name, choice) in parameters {
        let chosen = match choice {
            Choice::Any(items) if items.is_empty() => return Err(no_values(name)),
            Choice::Any(items) => &items[rng.below(items.len())],
            one => one,
        };
        match chosen {
            Choice::One(value) => put(map, name, value)?,
            Choice::Draw(from) => {
                let value = from.draw(rng);
                put(map, name, &value)?;
            }
            Choice::Under(value, inner) => {
                put(map, name, value)?;
                draw(inner, map, rng)?;
            }
            Choice::Any(_) => return Err(Error::bug("a list of choices holds a list of choices")),
        }
    }
    Ok(())
}

/// A value as `--set` takes it.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "()".into(),
        Value::Array(items) => format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(", ")),
        Value::Number(number) => number.as_f64().filter(|_| number.is_f64()).map_or_else(
            || number.to_string(),
            // `1` and `1.0` are the same number to the script that reads it, and so the same trial.
            |v| if v.fract() == 0.0 && v.abs() < 1e15 { format!("{v:.0}") } else { number.to_string() },
        ),
        other => other.to_string(),
    }
}

/// Parameters as one line: `labels=0.1 method=s3gan`.
pub fn said(params: &Map<String, Value>) -> String {
    if params.is_empty() {
        return "(as it is)".into();
    }
    params.iter().map(|(name, value)| format!("{name}={}", text(value))).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn any(values: &[Value]) -> Choice {
        Choice::Any(values.iter().cloned().map(Choice::One).collect())
    }

    fn lines(settings: &[Setting]) -> Vec<String> {
        settings.iter().map(|setting| format!("{} {}", said(&setting.params), setting.seed)).collect()
    }

    #[test]
    fn a_grid_is_every_combination_and_conditions_stand_below_their_value() {
        let under = Choice::Under(json!("s3gan"), vec![("weight".into(), any(&[json!(0.5), json!(1.0)]))]);
        let settings = grid(&[
            ("method".into(), Choice::Any(vec![Choice::One(json!("biggan")), under])),
            ("seed".into(), any(&[json!(1), json!(2)])),
        ])
        .unwrap();
        let expected = [
            "method=biggan 1",
            "method=biggan 2",
            "method=s3gan weight=0.5 1",
            "method=s3gan weight=0.5 2",
            "method=s3gan weight=1 1",
            "method=s3gan weight=1 2",
        ];
        assert_eq!(lines(&settings), expected);
    }

    #[test]
    fn a_random_study_draws_the_same_again_and_stays_in_its_ranges() {
        let parameters = [
            ("lr".to_string(), Choice::Draw(Distribution::LogUniform(1e-5, 1e-3))),
            ("depth".into(), Choice::Draw(Distribution::Whole(1, 3))),
        ];
        let settings = random(&parameters, 200, 7).unwrap();
        assert_eq!(settings, random(&parameters, 200, 7).unwrap());
        assert_ne!(settings, random(&parameters, 200, 8).unwrap());
        let rates: Vec<f64> = settings.iter().map(|s| s.params["lr"].as_f64().unwrap()).collect();
        assert!(rates.iter().all(|rate| (1e-5..1e-3).contains(rate)));
        // Ratios are alike: half of the draws lie below the geometric mean.
        let below = rates.iter().filter(|rate| **rate < 1e-4).count();
        assert!((80..120).contains(&below), "{below}");
        let depths: Vec<i64> = settings.iter().map(|s| s.params["depth"].as_i64().unwrap()).collect();
        assert!([1, 2, 3].iter().all(|depth| depths.contains(depth)) && depths.iter().all(|d| (1..=3).contains(d)));
        // More trials only add to those there are.
        assert_eq!(random(&parameters, 3, 7).unwrap()[..], settings[..3]);
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        let message = |parameters: &[(String, Choice)]| grid(parameters).unwrap_err().message;
        assert_eq!(message(&[("labels".into(), any(&[]))]), "the parameter `labels` has no value to try");
        assert_eq!(message(&[("seed".into(), any(&[json!(1), json!(1)]))]), "the seed 1 is given twice");
        let drawn = Choice::Draw(Distribution::Uniform(0.0, 1.0));
        assert_eq!(message(&[("lr".into(), drawn)]), "the parameter `lr` is drawn from uniform(0, 1)");
        let twice = Choice::Under(json!(1), vec![("b".into(), Choice::One(json!(2)))]);
        assert_eq!(
            message(&[("b".into(), Choice::One(json!(1))), ("a".into(), twice)]),
            "the parameter `b` is given twice for one trial"
        );
        assert!(Distribution::LogUniform(0.0, 1.0).checked().is_err());
    }

    #[test]
    fn values_read_back_on_the_command_line() {
        let texts = [json!(0.05), json!(1.0), json!(1), json!("s3gan"), json!([0.5, 0.999]), json!(null), json!(true)];
        assert_eq!(texts.each_ref().map(text), ["0.05", "1", "1", "s3gan", "[0.5, 0.999]", "()", "true"]);
    }
}
