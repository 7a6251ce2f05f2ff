//! Numbers as people write them.

/// A number as it stands on an axis whose marks are `step` apart.
pub(super) fn number(value: f64, step: f64) -> String {
    let size = value.abs();
    let text = if size != 0.0 && (size >= 1e7 || step < 1e-5) {
        format!("{value:.0e}")
    } else if size >= 1e6 {
        format!("{}M", trimmed(value / 1e6, 2))
    } else if size >= 1e4 {
        format!("{}k", trimmed(value / 1e3, 2))
    } else {
        let places = if step.is_finite() && step > 0.0 {
            (0.0 - (step * 1.001).log10().floor()).clamp(0.0, 6.0) as usize
        } else {
            3
        };
        // A step of 2.5 needs one place more than its size says.
        let exact = (step * 10f64.powi(places as i32)).fract();
        let places = if step.is_finite() && exact > 1e-6 && exact < 1.0 - 1e-6 { places + 1 } else { places };
        format!("{value:.places$}")
    };
    minus(&text)
}

fn trimmed(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

/// A number with about `digits` digits that count, without trailing zeros.
pub(crate) fn significant(value: f64, digits: i32) -> String {
    if !value.is_finite() {
        return if value.is_nan() { "NaN".into() } else { minus(if value > 0.0 { "∞" } else { "-∞" }) };
    }
    if value == 0.0 {
        return "0".into();
    }
    let power = value.abs().log10().floor() as i32;
    if !(-4..7).contains(&power) {
        return minus(&format!("{value:.*e}", (digits - 1).max(0) as usize));
    }
    minus(&trimmed(value, (digits - 1 - power).clamp(0, 8) as usize))
}

/// The minus sign proper, as wide as a plus.
fn minus(text: &str) -> String {
    text.strip_prefix('-').map_or_else(|| text.to_string(), |rest| format!("−{rest}"))
}

/// A share as a percentage with one decimal.
pub(crate) fn percent(share: f64) -> String {
    match share {
        1.0 => "100%".into(),
        _ if share.is_finite() => format!("{:.1}%", share * 100.0),
        _ => "–".into(),
    }
}

/// A count with its thousands apart: `60 000`.
pub(crate) fn count(value: impl std::fmt::Display) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) && digits.len() > 4 {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn significant_digits() {
        assert_eq!(significant(0.123_456, 3), "0.123");
        assert_eq!(significant(61.23, 3), "61.2");
        assert_eq!(significant(1234.6, 3), "1235");
        assert_eq!(significant(-0.5, 3), "−0.5");
        assert_eq!(significant(1e-7, 3), "1.00e-7");
        assert_eq!(significant(f64::NAN, 3), "NaN");
    }

    #[test]
    fn thousands_stand_apart_and_shares_are_percentages() {
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(count(5000), "5000");
        assert_eq!([percent(1.0), percent(0.5), percent(f64::NAN)], ["100%", "50.0%", "–"]);
    }
}
