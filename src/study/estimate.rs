//! What a study will take, said as early as it can be known, and the refusal of what cannot fit.

use super::child::{self, bytes};
use super::runner::Running;
use super::state::Live;
use crate::error::{Error, Result};

/// Seconds as people write them: `41 s`, `5 min 44 s`, `1 h 02 min`.
pub fn time(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    match whole {
        0..10 => format!("{:.1} s", seconds.max(0.0)),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

/// What is known of the cost of a study's trials.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Costs {
    /// Seconds and memory of each trial that has finished.
    pub done: Vec<(f64, Option<u64>)>,
}

impl Costs {
    /// Seconds of a trial; `true` when a trial has shown it, `false` when only the stages begun so far are known.
    fn seconds(&self, running: &[Live]) -> Option<(f64, bool)> {
        if !self.done.is_empty() {
            return Some((self.done.iter().map(|(seconds, _)| seconds).sum::<f64>() / self.done.len() as f64, true));
        }
        let known = running.iter().filter_map(|live| Some(live.seconds + live.left?));
        known.max_by(f64::total_cmp).map(|seconds| (seconds, false))
    }

    /// The most memory of a trial, in bytes.
    fn memory(&self, running: &[Live]) -> Option<u64> {
        let done = self.done.iter().filter_map(|(_, peak)| *peak);
        done.chain(running.iter().filter_map(|live| live.peak)).max()
    }

    /// What `left` trials will still take, `jobs` at a time, in words.
    pub fn said(&self, left: usize, jobs: usize, running: &[Live]) -> Option<String> {
        let total = self.total(left, jobs, running)?;
        let jobs = jobs.min(left);
        let held = self.memory(running).map_or_else(String::new, |peak| match jobs {
            0 | 1 => format!(", {} of memory", bytes(peak)),
            _ => format!(", {} times {} of memory", jobs, bytes(peak)),
        });
        let certain = self.seconds(running).is_some_and(|(_, certain)| certain);
        Some(if certain {
            format!("about {}{held}", time(total))
        } else {
            format!("at least {}{held} so far (by the stages that have begun)", time(total))
        })
    }

    /// Seconds that `left` trials, those at work included, will still take.
    fn total(&self, left: usize, jobs: usize, running: &[Live]) -> Option<f64> {
        let (each, _) = self.seconds(running)?;
        let spent: f64 = running.iter().map(|live| live.seconds.min(each)).sum();
        // Never less than what one trial at work still needs.
        let longest = running.iter().map(|live| (each - live.seconds).max(0.0)).fold(0.0, f64::max);
        let all = (each * left as f64 - spent).max(0.0) / jobs.max(1).min(left.max(1)) as f64;
        Some(all.max(longest))
    }

    /// Whether what is known so far lets the study fit.
    ///
    /// # Errors
    /// It cannot: which of memory and time, by how much, and what would fit.
    pub fn fits(&self, running: &Running, left: usize, jobs: usize, lives: &[Live]) -> Result<()> {
        // A scheduler's machines are not this one, and it keeps its own account of their memory.
        let machine = if running.slurm.is_some() { None } else { child::machine_memory().map(|(total, _)| total) };
        self.fits_in(running, left, jobs, lives, machine)
    }

    fn fits_in(&self, running: &Running, left: usize, jobs: usize, lives: &[Live], machine: Option<u64>) -> Result<()> {
        let at_once = jobs.min(left.max(lives.len())).max(1) as u64;
        if let (Some(peak), Some(machine)) = (self.memory(lives), machine)
            && peak.saturating_mul(at_once) > machine
        {
            let fit = (machine / peak.max(1)).max(1);
            return Err(Error::new(format!(
                "the study does not fit: {at_once} trials at a time, {} each, and this machine has {}",
                bytes(peak),
                bytes(machine)
            ))
            .help(format!("`jobs: {fit}` would fit; trials that have finished are kept")));
        }
        if let (Some(limit), Some(total)) = (running.within, self.total(left, jobs, lives))
            && total > limit
        {
            let said = self.said(left, jobs, lives).unwrap_or_default();
            return Err(Error::new(format!(
                "the study does not fit into {}: {left} trials are left, which take {said}",
                time(limit)
            ))
            .help("try fewer settings or seeds, make the script's trials shorter, or give more time with `within`"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_trial_took_tells_what_the_rest_will_take() {
        let costs = Costs { done: vec![(10.0, Some(2_000_000_000)), (14.0, Some(3_000_000_000))] };
        assert_eq!(costs.said(6, 2, &[]).unwrap(), "about 36 s, 2 times 3.0 GB of memory");
        assert_eq!(costs.said(1, 2, &[]).unwrap(), "about 12 s, 3.0 GB of memory");
        let at_work = Live { seconds: 5.0, left: Some(15.0), peak: Some(1_000_000_000), ..Live::default() };
        let early = Costs::default();
        assert_eq!(early.said(3, 1, &[]), None);
        let said = early.said(3, 1, &[at_work]).unwrap();
        assert_eq!(said, "at least 55 s, 1.0 GB of memory so far (by the stages that have begun)");
    }

    #[test]
    fn what_cannot_fit_is_refused_with_what_would() {
        let costs = Costs { done: vec![(60.0, Some(6_000_000_000))] };
        let error = costs.fits_in(&Running::default(), 9, 4, &[], Some(16_000_000_000)).unwrap_err();
        assert_eq!(
            error.message,
            "the study does not fit: 4 trials at a time, 6.0 GB each, and this machine has 16.0 GB"
        );
        assert_eq!(error.help.unwrap(), "`jobs: 2` would fit; trials that have finished are kept");
        assert!(costs.fits_in(&Running::default(), 9, 2, &[], Some(16_000_000_000)).is_ok());
        let short = Running { within: Some(120.0), ..Running::default() };
        let error = costs.fits_in(&short, 9, 1, &[], None).unwrap_err();
        assert!(error.message.starts_with("the study does not fit into 2 min 00 s: 9 trials are left"), "{error}");
        assert!(costs.fits_in(&short, 2, 1, &[], None).is_ok());
    }
}
