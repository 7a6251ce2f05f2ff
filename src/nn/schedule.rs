//! Learning rates through a run.

use crate::error::{Error, Result};
use crate::options::{Setting, Value};

/// How the learning rate changes from the first step to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// It stays.
    Constant,
    /// Straight down to 0.
    Linear,
    /// Half a cosine down to 0 (Loshchilov and Hutter 2016, arXiv:1608.03983).
    Cosine,
    /// A tenth after 70% of the steps, a hundredth after 85% (drops at 45 and 55 of 65 epochs in Lucic et al. 2019).
    Steps,
}

impl Schedule {
    /// What the learning rate is multiplied with at `step` (from 0) of `of`.
    pub fn factor(self, step: u64, of: u64) -> f64 {
        let t = step as f64 / of.max(1) as f64;
        match self {
            Schedule::Constant => 1.0,
            Schedule::Linear => 1.0 - t,
            Schedule::Cosine => 0.5 + 0.5 * libm::cos(std::f64::consts::PI * t),
            Schedule::Steps if t < 0.7 => 1.0,
            Schedule::Steps if t < 0.85 => 0.1,
            Schedule::Steps => 0.01,
        }
    }
}

/// A schedule with what can be chosen beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rates {
    /// How the rate changes.
    pub schedule: Schedule,
    /// First steps in which the rate grows evenly up to what the schedule says.
    pub warmup: u64,
    /// For [`Schedule::Steps`]: after which shares of all steps the rate falls to a tenth.
    pub drops: Vec<f64>,
}

impl Rates {
    /// Where the rate drops if nothing else is said.
    pub const DROPS: [f64; 2] = [0.7, 0.85];

    /// Rates that do what is asked of them.
    ///
    /// # Errors
    /// A drop is outside 0 to 1, or the schedule has none.
    pub fn new(schedule: Schedule, warmup: u64, drops: &[f64]) -> Result<Self> {
        if let Some(drop) = drops.iter().find(|drop| !(0.0..=1.0).contains(*drop)) {
            return Err(Error::new(format!("the option `drops` has {drop}"))
                .help("each must be a share of all steps, from 0 to 1"));
        }
        if schedule != Schedule::Steps && drops != Self::DROPS {
            return Err(Error::new(format!("the option `drops` is set and `schedule` is {}", schedule.to_value()))
                .help("the rate drops with `schedule: \"steps\"`"));
        }
        Ok(Self { schedule, warmup, drops: drops.to_vec() })
    }

    /// What the learning rate is multiplied with at `step` (from 0) of `of`.
    pub fn factor(&self, step: u64, of: u64) -> f64 {
        let warm = if step < self.warmup { (step + 1) as f64 / self.warmup as f64 } else { 1.0 };
        let rest = match self.schedule {
            Schedule::Steps => {
                let t = step as f64 / of.max(1) as f64;
                0.1f64.powi(self.drops.iter().filter(|drop| t >= **drop).count() as i32)
            }
            other => other.factor(step, of),
        };
        warm * rest
    }
}

impl Setting for Schedule {
    const EXPECTED: &'static str = "`constant`, `linear`, `cosine` or `steps`";
    fn from_value(value: Value) -> std::result::Result<Self, Value> {
        match &value {
            Value::Text(name) => match name.as_str() {
                "constant" => Ok(Schedule::Constant),
                "linear" => Ok(Schedule::Linear),
                "cosine" => Ok(Schedule::Cosine),
                "steps" => Ok(Schedule::Steps),
                _ => Err(value),
            },
            _ => Err(value),
        }
    }
    fn to_value(&self) -> Value {
        Value::Text(
            match self {
                Schedule::Constant => "constant",
                Schedule::Linear => "linear",
                Schedule::Cosine => "cosine",
                Schedule::Steps => "steps",
            }
            .into(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_fall_as_named() {
        assert_eq!(Schedule::Constant.factor(99, 100), 1.0);
        assert_eq!(Schedule::Linear.factor(25, 100), 0.75);
        assert!((Schedule::Cosine.factor(50, 100) - 0.5).abs() < 1e-12);
        assert_eq!([69, 70, 84, 85].map(|step| Schedule::Steps.factor(step, 100)), [1.0, 0.1, 0.1, 0.01]);
    }

    #[test]
    fn a_rate_warms_up_and_drops_where_it_is_told() {
        let rates = Rates::new(Schedule::Steps, 4, &[0.5]).unwrap();
        assert_eq!([0, 1, 3, 4, 49].map(|step| rates.factor(step, 100)), [0.25, 0.5, 1.0, 1.0, 1.0]);
        assert!([50, 99].iter().all(|step| (rates.factor(*step, 100) - 0.1).abs() < 1e-15));
        let named = Rates::new(Schedule::Steps, 0, &Rates::DROPS).unwrap();
        for step in 0..100 {
            assert!((named.factor(step, 100) - Schedule::Steps.factor(step, 100)).abs() < 1e-15);
        }
        let error = Rates::new(Schedule::Linear, 0, &[0.5]).unwrap_err();
        assert_eq!(error.message, "the option `drops` is set and `schedule` is \"linear\"");
        assert!(Rates::new(Schedule::Steps, 0, &[45.0]).is_err());
    }
}
