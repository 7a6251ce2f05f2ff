//! Progress on a terminal: a bar for each stage, quiet when piped.
//!
//! ```text
//! rotation  ✓ 700 steps in 41s  accuracy 0.931
//! gan       ━━━━━━━━━━━╸            2140/5000  8.3/s  5m44s left  d 1.21  g 0.43  fd 61.2
//! ```
//!
//! Everything here goes to standard error, so that standard output holds what the script prints and nothing else.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use console::{Style, StyledObject, Term, measure_text_width, style, truncate_str};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::error::{Error, Result};
use crate::figure::significant;
use crate::progress::{Observer, Step, beyond_steps};

/// Drawn at most this often.
const PAUSE: Duration = Duration::from_millis(100);

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Bars that move, for a person who watches.
    Bars,
    /// A line where a stage begins and ends, and the notes: for a file or a pipe.
    Lines,
    /// Nothing.
    Quiet,
}

impl Manner {
    /// Bars when standard error is a terminal, lines when it is not, nothing when `quiet` is asked for.
    pub fn choose(quiet: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        match quiet {
            true => Manner::Quiet,
            false if Term::stderr().is_term() && !dumb => Manner::Bars,
            false => Manner::Lines,
        }
    }
}

/// Watches a job and tells a person on standard error.
pub struct Terminal {
    manner: Manner,
    bars: MultiProgress,
    stages: Mutex<Vec<Stage>>,
}

struct Stage {
    name: String,
    bar: ProgressBar,
    pace: Pace,
    values: Vec<(String, f64)>,
    drawn: Option<Instant>,
}

/// How far a stage is and how fast it goes.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    from: u64,
    step: u64,
    of: u64,
    begun: Instant,
    /// Steps a second, the last few seconds counting most.
    rate: Option<f64>,
    /// When and at which step the rate was last taken.
    taken: (Instant, u64),
}

impl Terminal {
    /// A terminal that shows as much as `manner` says.
    pub fn new(manner: Manner) -> Self {
        let target = match manner {
            Manner::Bars => ProgressDrawTarget::stderr_with_hz(10),
            Manner::Lines | Manner::Quiet => ProgressDrawTarget::hidden(),
        };
        Self { manner, bars: MultiProgress::with_draw_target(target), stages: Mutex::new(Vec::new()) }
    }

    /// Clears the bars, lets `print` write to the terminal, and draws them again.
    pub fn aside<R>(&self, print: impl FnOnce() -> R) -> R {
        self.bars.suspend(print)
    }

    /// Asks the person for a line, hidden if it is `secret`.
    ///
    /// # Errors
    /// Nobody is there: standard input is no terminal.
    pub fn ask(&self, prompt: &str, secret: bool) -> Result<String> {
        let term = Term::stderr();
        if !std::io::stdin().is_terminal() {
            return Err(Error::new("nobody is there to answer `input`: standard input is no terminal")
                .help("give the value with `param` and `--set`"));
        }
        let read = self.aside(|| {
            term.write_str(prompt)?;
            if secret { term.read_secure_line() } else { term.read_line() }
        });
        read.map_err(|error| Error::new(format!("cannot read a line from the terminal: {error}")))
    }

    /// Ends the bars of stages that did not end, so that an error can be printed below.
    pub fn close(&self) {
        let stages = std::mem::take(&mut *self.stages());
        for stage in stages {
            stage.bar.finish_and_clear();
            let Pace { step, of, begun, .. } = stage.pace;
            self.say(
                &stage.name,
                &format!("stopped at step {} after {}", fraction(step, of), duration(begun.elapsed())),
                style("■").yellow(),
            );
        }
    }

    fn stages(&self) -> MutexGuard<'_, Vec<Stage>> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line that stays.
    fn say(&self, name: &str, text: &str, mark: StyledObject<&str>) {
        match self.manner {
            Manner::Quiet => {}
            Manner::Lines => line(&format!("{name}: {text}")),
            Manner::Bars => {
                let wide = format!("{}{} {text}", head(name), mark.for_stderr());
                // A terminal that went away is no reason to stop the work.
                let _ = self.bars.println(truncate_str(&wide, columns(), "…"));
            }
        }
    }
}

impl Observer for Terminal {
    fn begin(&self, stage: &str, from: u64, of: u64) {
        match self.manner {
            Manner::Quiet => return,
            Manner::Lines if from > 0 => line(&format!("{stage}: goes on from step {}", fraction(from, of))),
            Manner::Lines => line(&format!("{stage}: starts, {of} steps")),
            Manner::Bars => {}
        }
        let bar = self.bars.add(ProgressBar::new(of).with_style(plain()));
        let pace = Pace::new(from, of);
        let mut stages = self.stages();
        // A stage of the same name that never ended failed inside the script and was caught there.
        if let Some(i) = stages.iter().position(|known| known.name == stage) {
            stages.remove(i).bar.finish_and_clear();
        }
        let mut begun = Stage { name: stage.to_string(), bar, pace, values: Vec::new(), drawn: None };
        if self.manner == Manner::Bars {
            begun.draw();
        }
        stages.push(begun);
    }

    fn step(&self, step: &Step<'_>) {
        let mut stages = self.stages();
        let Some(stage) = stages.iter_mut().find(|known| known.name == step.stage) else { return };
        stage.pace.reached(step.step, step.of);
        let soon = step.step < step.of && stage.drawn.is_some_and(|at| at.elapsed() < PAUSE);
        if self.manner != Manner::Bars || soon {
            return;
        }
        for (name, value) in step.values {
            stage.set(name, *value);
        }
        stage.draw();
    }

    fn value(&self, stage: &str, _step: u64, name: &str, value: f64) {
        if let Some(stage) = self.stages().iter_mut().find(|known| known.name == stage) {
            stage.set(name, value);
            if self.manner == Manner::Bars {
                stage.draw();
            }
        }
    }

    fn note(&self, text: &str) {
        match self.manner {
            Manner::Quiet => {}
            Manner::Lines => line(text),
            // A terminal that went away is no reason to stop the work.
            Manner::Bars => drop(self.bars.println(text)),
        }
    }

    fn end(&self, stage: &str, summary: &str) {
        let ended = {
            let mut stages = self.stages();
            stages.iter().position(|known| known.name == stage).map(|i| stages.remove(i))
        };
        let Some(ended) = ended else { return };
        ended.bar.finish_and_clear();
        let done = ended.pace.done();
        let mut text = match done {
            0 if ended.pace.of == 0 => "no steps asked for".to_string(),
            0 => "was done before".to_string(),
            1 => format!("1 step in {}", duration(ended.pace.begun.elapsed())),
            _ => format!("{done} steps in {}", duration(ended.pace.begun.elapsed())),
        };
        let summary = beyond_steps(summary, ended.pace.of);
        if !summary.is_empty() {
            let _ = write!(text, "  {summary}");
        }
        self.say(stage, &text, style("✓").green());
    }
}

impl Stage {
    fn set(&mut self, name: &str, value: f64) {
        match self.values.iter_mut().find(|(known, _)| known == name) {
            Some(known) => known.1 = value,
            None => self.values.push((name.to_string(), value)),
        }
    }

    fn draw(&mut self) {
        let now = Instant::now();
        self.pace.take(now);
        self.drawn = Some(now);
        self.bar.set_message(compose(&self.name, &self.pace, &self.values, columns()));
    }
}

impl Pace {
    /// A stage of `of` steps that begins now, `from` of them done before.
    pub(crate) fn new(from: u64, of: u64) -> Self {
        let now = Instant::now();
        Self { from, step: from, of, begun: now, rate: None, taken: (now, from) }
    }

    /// So many steps are done.
    pub(crate) fn reached(&mut self, step: u64, of: u64) {
        (self.step, self.of) = (step, of);
    }

    pub(crate) fn step(&self) -> u64 {
        self.step
    }

    pub(crate) fn of(&self) -> u64 {
        self.of
    }

    /// Steps that were done since it began.
    pub(crate) fn done(&self) -> u64 {
        self.of.saturating_sub(self.from)
    }

    /// Since it began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// `340/1200`.
    pub(crate) fn fraction(&self) -> String {
        if self.of > 0 { fraction(self.step, self.of) } else { format!("{} steps", self.step) }
    }

    /// `8.3/s`, once it is known.
    pub(crate) fn speed(&self) -> Option<String> {
        self.rate.map(speed)
    }

    /// `5m44s left`, once it is known.
    pub(crate) fn left_text(&self) -> Option<String> {
        self.left().filter(|_| self.of > 0).map(|left| format!("{} left", duration(left)))
    }

    /// Brings the rate up to date: what lies five seconds back counts for a third.
    pub(crate) fn take(&mut self, now: Instant) {
        let (then, before) = self.taken;
        let passed = now.saturating_duration_since(then).as_secs_f64();
        let steps = self.step.saturating_sub(before);
        if steps == 0 || passed <= 0.0 {
            return;
        }
        let fresh = steps as f64 / passed;
        let keep = (-passed / 5.0).exp();
        self.rate = Some(self.rate.map_or(fresh, |rate| rate * keep + fresh * (1.0 - keep)));
        self.taken = (now, self.step);
    }

    fn left(&self) -> Option<Duration> {
        let rate = self.rate.filter(|rate| *rate > 0.0)?;
        Duration::try_from_secs_f64(self.of.saturating_sub(self.step) as f64 / rate).ok()
    }
}

/// The line of a stage, no wider than the terminal: what does not fit is left out from the right, the bar shrinks last.
fn compose(name: &str, pace: &Pace, values: &[(String, f64)], width: usize) -> String {
    let mut parts = vec![pace.fraction()];
    parts.extend(pace.speed());
    parts.extend(pace.left_text());
    let head = head(name);
    let bar = if pace.of == 0 { 0 } else { (width / 4).clamp(6, 24).min(width.saturating_sub(30).max(6)) };
    let mut used = measure_text_width(&head) + bar;
    let mut text = String::new();
    let dim = Style::new().for_stderr().dim();
    let stage_parts = parts.into_iter().map(|part| (measure_text_width(&part), part));
    let value_parts = values.iter().map(|(name, value)| {
        // A column of one width: numbers that change do not push their neighbours about.
        let value = format!("{:<5}", significant(*value, 3));
        (name.chars().count() + value.chars().count() + 1, format!("{} {value}", dim.apply_to(name)))
    });
    for (wide, part) in stage_parts.chain(value_parts) {
        // One column stays free: some terminals wrap when the last one is written.
        if used + wide + 2 >= width {
            break;
        }
        used += wide + 2;
        let _ = write!(text, "  {part}");
    }
    let share = if pace.of > 0 { pace.step as f64 / pace.of as f64 } else { 0.0 };
    truncate_str(format!("{head}{}{text}", strokes(share, bar)).trim_end(), width.saturating_sub(1), "").into_owned()
}

/// The name in a column of its own.
fn head(name: &str) -> String {
    let pad = 10usize.saturating_sub(measure_text_width(name)).max(2);
    format!("{}{}", style(name).bold().for_stderr(), " ".repeat(pad))
}

/// A bar of `width` strokes; half a stroke counts.
fn strokes(share: f64, width: usize) -> String {
    let halves = ((share.clamp(0.0, 1.0) * width as f64 * 2.0).floor() as usize).min(width * 2);
    let (full, half) = (halves / 2, halves % 2);
    let done = format!("{}{}", "━".repeat(full), if half == 1 { "╸" } else { "" });
    let rest = "━".repeat(width - full - half);
    format!("{}{}", style(done).cyan().for_stderr(), style(rest).black().bright().for_stderr())
}

fn fraction(step: u64, of: u64) -> String {
    let of = of.to_string();
    format!("{step:>width$}/{of}", width = of.len())
}

fn speed(rate: f64) -> String {
    if rate >= 0.95 { format!("{}/s", significant(rate, 2)) } else { format!("{} s each", significant(1.0 / rate, 2)) }
}

/// `0.4s`, `12s`, `5m44s`, `1h02m`, `3d04h`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 9.95 {
        return format!("{seconds:.1}s");
    }
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole}s"),
        60..3600 => format!("{}m{:02}s", whole / 60, whole % 60),
        3600..86_400 => format!("{}h{:02}m", whole / 3600, whole / 60 % 60),
        _ => format!("{}d{:02}h", whole / 86_400, whole / 3600 % 24),
    }
}

fn plain() -> ProgressStyle {
    ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn columns() -> usize {
    usize::from(Term::stderr().size().1).max(20)
}

fn line(text: &str) {
    // A reader that went away is no reason to stop the work.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use console::strip_ansi_codes;

    fn pace(step: u64, of: u64, rate: Option<f64>) -> Pace {
        let now = Instant::now();
        Pace { from: 0, step, of, begun: now, rate, taken: (now, step) }
    }

    fn shown(width: usize) -> String {
        let values = [("d", 1.2123), ("g", 0.4312), ("fd", 61.23)].map(|(name, value)| (name.to_string(), value));
        strip_ansi_codes(&compose("gan", &pace(2140, 5000, Some(8.31)), &values, width)).into_owned()
    }

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long() {
        let bar = "━".repeat(24);
        assert_eq!(shown(120), format!("gan       {bar}  2140/5000  8.3/s  5m44s left  d 1.21   g 0.431  fd 61.2"));
        assert_eq!(strip_ansi_codes(&strokes(0.7, 5)), "━━━╸━");
    }

    #[test]
    fn a_line_is_narrower_than_its_terminal() {
        for width in 20..140 {
            let line = shown(width);
            assert!(measure_text_width(&line) < width, "{width}: {line}");
            // What does not fit is left out whole.
            let ends = ["2140/5000", "8.3/s", "left", "1.21", "0.431", "61.2"];
            assert!(width < 32 || ends.iter().any(|end| line.ends_with(end)), "{width}: {line}");
        }
        assert!(shown(60).contains("2140/5000") && !shown(60).contains("fd"));
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let said = |seconds| duration(Duration::from_secs_f64(seconds));
        assert_eq!(
            [0.42, 12.0, 59.7, 344.0, 3725.0, 273_600.0].map(said),
            ["0.4s", "12s", "1m00s", "5m44s", "1h02m", "3d04h"]
        );
    }

    #[test]
    fn the_rate_follows_the_last_seconds() {
        let start = Instant::now();
        let mut pace = pace(0, 1000, None);
        pace.taken = (start, 0);
        for second in 1..=40u64 {
            pace.step = if second <= 20 { second * 10 } else { 200 + (second - 20) * 2 };
            pace.take(start + Duration::from_secs(second));
            if second == 20 {
                assert!((pace.rate.unwrap() - 10.0).abs() < 1e-9);
            }
        }
        assert!((pace.rate.unwrap() - 2.0).abs() < 0.2, "{:?}", pace.rate);
        assert!(pace.left().unwrap() > Duration::from_secs(300));
    }
}
