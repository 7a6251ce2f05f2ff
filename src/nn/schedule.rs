//! Learning rates through a run.

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
}
