//! How long code takes.

use std::time::Duration;

use super::Notebook;
use super::magic::Call;
use crate::error::Error;
use crate::script::Diagnostic;

/// Runs of `%timeit`, if it is not told.
const RUNS: usize = 7;
/// One run of `%timeit` takes at least this long, if it is not told how many loops it has.
const LONG_ENOUGH: Duration = Duration::from_millis(200);

/// Times `code` over and over: the line that says how long it takes.
pub fn timeit(notebook: &mut Notebook, name: &str, call: &Call) -> Result<String, Diagnostic> {
    let mut code = call.rest.as_str();
    let (mut loops, mut runs) = (None, RUNS);
    while let Some((option, rest)) = ["-n", "-r"].iter().find_map(|o| Some((*o, code.strip_prefix(o)?))) {
        let rest = rest.trim_start();
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let count: usize = rest[..end].parse().ok().filter(|count| *count > 0).ok_or_else(|| {
            Error::new(format!("`{option}` of `%timeit` is a whole number above 0, given `{}`", &rest[..end]))
        })?;
        if option == "-n" {
            loops = Some(count)
        } else {
            runs = count
        }
        code = rest[end..].trim_start();
    }
    let body = call.body.as_deref().unwrap_or(code);
    if body.trim().is_empty() {
        return Err(Error::new("`%timeit` was given nothing to time")
            .help("`%timeit tensor::zeros([64, 64]).sum()`")
            .into());
    }
    let code = call.padded(body);
    let loops = match loops {
        Some(loops) => loops,
        None => {
            let mut loops = 1;
            // One, two, five, ten: until a run is long enough to be measured.
            while notebook.session.time(name, &code, loops)? < LONG_ENOUGH && loops < 10_000_000 {
                loops = match loops.to_string().as_bytes()[0] {
                    b'1' => loops * 2,
                    b'2' => loops * 5 / 2,
                    _ => loops * 2,
                };
            }
            loops
        }
    };
    let mut each = Vec::with_capacity(runs);
    for _ in 0..runs {
        each.push(notebook.session.time(name, &code, loops)?.as_secs_f64() / loops as f64);
    }
    let mean = each.iter().sum::<f64>() / runs as f64;
    let spread = (each.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / runs as f64).sqrt();
    Ok(format!(
        "{} ± {} per loop (mean ± standard deviation of {runs} {}, {loops} {} each)",
        seconds(mean),
        seconds(spread),
        if runs == 1 { "run" } else { "runs" },
        if loops == 1 { "loop" } else { "loops" },
    ))
}

/// A time with a unit that suits it.
pub fn seconds(time: f64) -> String {
    let (value, unit) = match time {
        t if t >= 1.0 => (t, "s"),
        t if t >= 1e-3 => (t * 1e3, "ms"),
        t if t >= 1e-6 => (t * 1e6, "µs"),
        t => (t * 1e9, "ns"),
    };
    match value {
        v if v >= 100.0 => format!("{v:.0} {unit}"),
        v if v >= 10.0 => format!("{v:.1} {unit}"),
        v => format!("{v:.2} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_that_suit_them() {
        assert_eq!(["1.23 s", "12.3 ms", "123 µs", "1.00 ns"], [1.234, 0.012_34, 1.234e-4, 1e-9].map(seconds));
    }
}
