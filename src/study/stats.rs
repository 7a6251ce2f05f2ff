//! What a few numbers allow to say: summaries with intervals, and paired differences.

use statrs::distribution::{ContinuousCDF as _, StudentsT};

/// Several measurements of one setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// How many there are.
    pub n: usize,
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// Their mean.
    pub mean: f64,
    /// The 95% interval of the mean by Student's t; none of fewer than two.
    pub interval: Option<(f64, f64)>,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
}

/// Pairs of measurements that differ in one thing, and what can be said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Paired {
    /// How many pairs there are.
    pub n: usize,
    /// The mean of second minus first.
    pub difference: f64,
    /// The 95% interval of that mean by Student's t; none of fewer than two pairs.
    pub interval: Option<(f64, f64)>,
    /// How many pairs rise, and how many fall.
    pub rising: usize,
    /// How many pairs fall.
    pub falling: usize,
    /// The two-sided p-value of Wilcoxon's signed-rank test: exact, or by the normal approximation for more than 50 pairs.
    pub wilcoxon: f64,
    /// The two-sided p-value of the sign test, exact.
    pub sign: f64,
    /// The smallest p-value that Wilcoxon's test can give for this many pairs.
    pub smallest: f64,
}

/// Half the width of an interval of a mean that misses it in a share `miss` of all cases: 0 for numbers that are all the same.
fn half_width(values: &[f64], mean: f64, miss: f64) -> Option<f64> {
    let n = values.len();
    if n < 2 {
        return None;
    }
    let freedom = (n - 1) as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / freedom;
    let t = StudentsT::new(0.0, 1.0, freedom).ok()?.inverse_cdf(1.0 - miss / 2.0);
    Some(t * (variance / n as f64).sqrt())
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Sums up `values`, which are finite; nothing of nothing.
pub fn summary(values: &[f64]) -> Option<Summary> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (least, greatest) = (*sorted.first()?, *sorted.last()?);
    let n = sorted.len();
    let median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0;
    let mean = mean(values);
    let interval = half_width(values, mean, 0.05).map(|half| (mean - half, mean + half));
    Some(Summary { n, median, mean, interval, least, greatest })
}

/// Compares pairs `(first, second)` of finite numbers; nothing of nothing.
pub fn paired(pairs: &[(f64, f64)]) -> Option<Paired> {
    paired_of(pairs, 1)
}

/// The same as one of `comparisons` made at once: the interval is wide enough that all of them hold together in 95% of cases
/// (Bonferroni).
pub fn paired_of(pairs: &[(f64, f64)], comparisons: usize) -> Option<Paired> {
    if pairs.is_empty() {
        return None;
    }
    let differences: Vec<f64> = pairs.iter().map(|(first, second)| second - first).collect();
    let difference = mean(&differences);
    let interval = half_width(&differences, difference, 0.05 / comparisons.max(1) as f64)
        .map(|half| (difference - half, difference + half));
    let rising = differences.iter().filter(|d| **d > 0.0).count();
    let falling = differences.iter().filter(|d| **d < 0.0).count();
    Some(Paired {
        n: pairs.len(),
        difference,
        interval,
        rising,
        falling,
        wilcoxon: wilcoxon(&differences),
        sign: sign(rising, falling),
        smallest: 2.0f64.powi(1 - pairs.len().min(1000) as i32),
    })
}

/// The two-sided p-value of the sign test: how often coins are as one-sided as this.
fn sign(rising: usize, falling: usize) -> f64 {
    let n = rising + falling;
    let few = rising.min(falling);
    // The chances of 0, 1, .. heads, each from the one before.
    let mut chance = 0.5f64.powi(n as i32);
    let mut tail = 0.0;
    for heads in 0..=few {
        tail += chance;
        chance *= (n - heads) as f64 / (heads + 1) as f64;
    }
    (2.0 * tail).min(1.0)
}

/// Pairs up to which the distribution of rank sums is counted out.
const EXACT: usize = 50;

/// The two-sided p-value of Wilcoxon's signed-rank test (Wilcoxon 1945). Differences of zero are left out, equal ones share
/// their ranks, and the distribution is that of the ranks as they are: all signs, each as likely as the other.
fn wilcoxon(differences: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    sorted.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let n = sorted.len();
    if n == 0 {
        return 1.0;
    }
    // Twice the rank, which is whole also where two share one.
    let mut ranks = vec![0usize; n];
    let mut from = 0;
    while from < n {
        let to = (from..n).find(|i| sorted[*i].abs() > sorted[from].abs()).unwrap_or(n);
        ranks[from..to].fill(from + to + 1);
        from = to;
    }
    let all: usize = ranks.iter().sum();
    let rising: usize = ranks.iter().zip(&sorted).filter(|(_, d)| **d > 0.0).map(|(rank, _)| *rank).sum();
    let less = rising.min(all - rising);
    if n > EXACT {
        let (mean, variance) = (all as f64 / 2.0, ranks.iter().map(|r| (*r as f64).powi(2)).sum::<f64>() / 4.0);
        let z = (less as f64 - mean) / variance.sqrt();
        return (2.0 * 0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)).min(1.0);
    }
    // chances[s]: how likely a sum of s is.
    let mut chances = vec![0.0; all + 1];
    chances[0] = 1.0;
    for rank in ranks {
        for sum in (0..=all).rev() {
            let with = if sum >= rank { chances[sum - rank] } else { 0.0 };
            chances[sum] = 0.5 * (chances[sum] + with);
        }
    }
    (2.0 * chances[..=less].iter().sum::<f64>()).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    }

    /// Against scipy: `tests/golden/study.py`. What both compute in double precision agrees to the last digits but a few.
    #[test]
    fn summaries_and_tests_are_those_of_scipy() {
        let golden: Value = serde_json::from_str(include_str!("../../tests/golden/study.json")).unwrap();
        let close = |name: &str, case: usize, ours: f64, theirs: f64| {
            let off = (ours - theirs).abs();
            assert!(off <= 1e-9 * theirs.abs().max(1.0), "{name} of case {case}: {ours}, scipy {theirs}");
        };
        let cases = golden["cases"].as_array().unwrap();
        assert!(cases.len() >= 12);
        for (i, case) in cases.iter().enumerate() {
            let (first, second) = (numbers(&case["first"]), numbers(&case["second"]));
            let one = summary(&first).unwrap();
            close("mean", i, one.mean, case["mean"].as_f64().unwrap());
            close("median", i, one.median, case["median"].as_f64().unwrap());
            let pairs: Vec<(f64, f64)> = first.into_iter().zip(second).collect();
            let both = paired(&pairs).unwrap();
            close("difference", i, both.difference, case["difference"].as_f64().unwrap());
            close("wilcoxon", i, both.wilcoxon, case["wilcoxon"].as_f64().unwrap());
            close("sign", i, both.sign, case["sign"].as_f64().unwrap());
            if pairs.len() > 1 {
                let ends = |pair: (f64, f64)| [pair.0, pair.1];
                for (ours, theirs) in ends(one.interval.unwrap()).iter().zip(numbers(&case["interval"])) {
                    close("interval", i, *ours, theirs);
                }
                for (ours, theirs) in ends(both.interval.unwrap()).iter().zip(numbers(&case["paired_interval"])) {
                    close("paired interval", i, *ours, theirs);
                }
            }
        }
    }

    #[test]
    fn one_number_has_no_interval_and_none_has_no_summary() {
        assert_eq!(summary(&[]), None);
        let one = summary(&[3.0]).unwrap();
        assert_eq!((one.median, one.interval), (3.0, None));
        assert_eq!(paired(&[(1.0, 1.0)]).unwrap().wilcoxon, 1.0);
        // Three pairs that agree are the most that three can say.
        let three = paired(&[(1.0, 2.0), (1.0, 3.0), (1.0, 4.0)]).unwrap();
        assert_eq!((three.wilcoxon, three.sign, three.smallest), (0.25, 0.25, 0.25));
    }
}
