//! What a long job measured, step by step, kept with what it made: the curves of a GAN, of learnt features, of a labeller,
//! of an optimiser.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::progress::{Job, Observer, Picture, Several, Step};

/// What was measured, at every step. Copies share it.
#[derive(Clone, Default)]
pub struct History(Arc<Mutex<Kept>>);

/// What a history holds at a moment.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// What the job is: `gan`.
    pub stage: String,
    /// The last step.
    pub step: u64,
    /// What was measured at each step, in the order in which it first was.
    pub lines: Vec<Line>,
    /// Scores taken now and then.
    pub scores: Vec<Line>,
    /// What happened on the way, each with the step after which it did.
    pub marks: Vec<(u64, String)>,
    /// The last picture, and after which step it was made.
    pub picture: Option<(u64, Picture)>,
}

/// One measured number through the steps, in no more points than a figure needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What was measured: `d_loss`.
    pub name: String,
    /// The value at the last step.
    pub last: f64,
    points: Vec<(f64, f64)>,
    /// Points that are kept; when there are more, each two neighbours become one.
    most: usize,
    /// Steps that are one point.
    width: usize,
    /// The sum and the count of what is no whole point yet.
    open: (f64, usize),
}

/// Points that a history keeps of a line.
const POINTS: usize = 4096;

impl Line {
    /// A line of nothing yet, which keeps fewer than `most` points.
    pub fn new(name: &str, most: usize) -> Self {
        Self { name: name.into(), last: f64::NAN, points: Vec::new(), most, width: 1, open: (0.0, 0) }
    }

    /// Adds the value of a step.
    pub fn push(&mut self, step: u64, value: f64) {
        self.last = value;
        self.open = (self.open.0 + value, self.open.1 + 1);
        if self.open.1 < self.width {
            return;
        }
        self.points.push((step as f64, self.open.0 / self.open.1 as f64));
        self.open = (0.0, 0);
        if self.points.len() >= self.most {
            self.points = self.points.chunks_exact(2).map(|pair| (pair[1].0, (pair[0].1 + pair[1].1) / 2.0)).collect();
            self.width *= 2;
        }
    }

    /// Takes back what was measured after `step`.
    fn back_to(&mut self, step: u64) {
        self.points.retain(|point| point.0 <= step as f64);
        self.open = (0.0, 0);
        if self.width == 1 {
            self.last = self.points.last().map_or(f64::NAN, |point| point.1);
        }
    }

    /// `(step, value)`: every step of a short job, means over equal stretches of a long one.
    pub fn points(&self) -> &[(f64, f64)] {
        &self.points
    }
}

impl History {
    /// What is held now, as a copy: a job that goes on does not wait for whoever draws it.
    pub fn kept(&self) -> Kept {
        self.held().clone()
    }

    fn held(&self) -> MutexGuard<'_, Kept> {
        // Each change leaves lines that can be drawn.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A history with the same past, which goes on by itself.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self(Arc::new(Mutex::new(self.kept())))
    }

    /// A history with the past of this one up to `step`, which goes on by itself.
    #[must_use]
    pub fn until(&self, step: u64) -> Self {
        let fork = self.fork();
        fork.held().back_to(step);
        fork
    }

    /// The job, watched by this history as well.
    pub fn watching(&self, job: &Job) -> Job {
        let observer = Several(vec![Arc::clone(&job.observer), Arc::new(self.clone())]);
        Job { observer: Arc::new(observer), ..job.clone() }
    }

    /// Adds a measured number of the next step.
    pub fn add(&self, stage: &str, name: &str, value: f64) {
        let step = self.held().step + 1;
        self.step(&Step { stage, step, of: step, values: &[(name, value)] });
    }
}

impl Kept {
    /// Takes back what came after `step`.
    fn back_to(&mut self, step: u64) {
        self.step = step;
        self.lines.iter_mut().chain(&mut self.scores).for_each(|line| line.back_to(step));
        self.marks.retain(|(at, _)| *at <= step);
        if self.picture.as_ref().is_some_and(|(at, _)| *at > step) {
            self.picture = None;
        }
    }

    /// A measured number or a score by its name.
    pub fn line(&self, name: &str) -> Option<&Line> {
        self.lines.iter().chain(&self.scores).find(|line| line.name == name)
    }
}

/// The line called `name`, a new one if there is none.
fn line<'a>(lines: &'a mut Vec<Line>, name: &str) -> &'a mut Line {
    let at = lines.iter().position(|line| line.name == name).unwrap_or_else(|| {
        lines.push(Line::new(name, POINTS));
        lines.len() - 1
    });
    &mut lines[at]
}

impl Observer for History {
    fn begin(&self, stage: &str, from: u64, _of: u64) {
        let mut kept = self.held();
        kept.stage = stage.into();
        // A state that was loaded may lie before the last step.
        kept.back_to(from);
    }

    fn value(&self, _stage: &str, step: u64, name: &str, value: f64) {
        line(&mut self.held().scores, name).push(step, value);
    }

    fn mark(&self, _stage: &str, step: u64, text: &str) {
        self.held().marks.push((step, text.into()));
    }

    fn step(&self, step: &Step<'_>) {
        let mut kept = self.held();
        kept.step = step.step;
        if kept.stage.is_empty() {
            kept.stage = step.stage.into();
        }
        for (name, value) in step.values {
            line(&mut kept.lines, name).push(step.step, *value);
        }
    }

    fn picture(&self, _stage: &str, step: u64, _name: &str, picture: &Picture) {
        self.held().picture = Some((step, picture.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(history: &History, steps: std::ops::RangeInclusive<u64>) {
        for step in steps {
            history.step(&Step { stage: "gan", step, of: 9, values: &[("d_loss", step as f64), ("g_loss", 1.0)] });
        }
    }

    #[test]
    fn every_step_of_a_short_job_is_kept() {
        let history = History::default();
        walk(&history, 1..=3);
        let kept = history.kept();
        assert_eq!((kept.stage.as_str(), kept.step, kept.lines.len()), ("gan", 3, 2));
        assert_eq!(kept.lines[0].points(), [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]);
        assert_eq!(kept.lines[0].last, 3.0);
    }

    #[test]
    fn a_long_job_keeps_means_over_equal_stretches() {
        let history = History::default();
        walk(&history, 1..=10_000);
        let kept = history.kept();
        let points = kept.lines[0].points();
        assert!((POINTS / 2..POINTS).contains(&points.len()), "{}", points.len());
        // Four steps are one point, whose value is the mean of the steps it stands for.
        assert_eq!((points[0], points[100]), ((4.0, 2.5), (404.0, 402.5)));
        assert_eq!(kept.lines[0].last, 10_000.0);
    }

    #[test]
    fn a_job_that_goes_on_from_an_earlier_step_takes_the_later_ones_back() {
        let history = History::default();
        walk(&history, 1..=5);
        let other = history.fork();
        history.begin("gan", 2, 9);
        walk(&history, 3..=3);
        assert_eq!(history.kept().lines[0].points(), [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]);
        assert_eq!((other.kept().lines[0].points().len(), other.kept().step), (5, 5));
    }

    #[test]
    fn scores_and_marks_go_back_with_the_steps() {
        let history = History::default();
        walk(&history, 1..=5);
        for (step, fd) in [(0, 9.0), (3, 7.0), (5, 8.0)] {
            history.value("gan", step, "fd", fd);
        }
        history.mark("gan", 2, "d_lr = 1e-4");
        history.mark("gan", 5, "collapse");
        let kept = history.until(3).kept();
        assert_eq!(kept.line("fd").unwrap().points(), [(0.0, 9.0), (3.0, 7.0)]);
        assert_eq!((kept.step, kept.line("fd").unwrap().last, kept.line("d_loss").unwrap().last), (3, 7.0, 3.0));
        assert_eq!(kept.marks, [(2, "d_lr = 1e-4".to_string())]);
        assert_eq!((history.kept().marks.len(), history.kept().scores[0].points().len()), (2, 3));
    }

    #[test]
    fn both_watchers_of_a_job_are_told() {
        let (one, two) = (History::default(), History::default());
        let job = two.watching(&one.watching(&Job::silent()));
        job.observer.step(&Step { stage: "gan", step: 1, of: 1, values: &[("loss", 2.0)] });
        job.observer.picture("gan", 1, "samples", &Picture { width: 1, height: 1, pixels: vec![0; 3] });
        for history in [one, two] {
            assert_eq!((history.kept().lines[0].last, history.kept().picture.as_ref().unwrap().0), (2.0, 1));
        }
    }
}
