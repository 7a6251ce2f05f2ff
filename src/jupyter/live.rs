//! A training as it goes on: one figure for each stage, which moves at a low, steady rate and stays as a picture.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};

use super::comm::Comms;
use super::kernel::Kernel;
use super::wire::Object;
use crate::figure::{self, Curves, Series};
use crate::progress::{Observer, Picture, Step, beyond_steps};
use crate::script::history::Line;
use crate::terminal::{Pace, duration};

/// Between two updates of a figure.
const PAUSE: Duration = Duration::from_millis(500);
/// A stage that ends sooner is told of in one line, at its end.
const SOON: Duration = Duration::from_millis(300);
/// Between two updates of the curves of a widget, whose bar moves more often.
const FIGURE_PAUSE: Duration = Duration::from_secs(1);
/// The modules of ipywidgets, and the version of them that is spoken.
const BASE: &str = "@jupyter-widgets/base";
const CONTROLS: &str = "@jupyter-widgets/controls";
const CONTROLS_VERSION: &str = "2.0.0";
/// Points of a curve that is drawn again and again.
const POINTS: usize = 512;

/// Shows the trainings of one shell.
pub struct Live {
    kernel: Arc<Kernel>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    parent: Arc<Object>,
    stages: Vec<Stage>,
}

struct Stage {
    name: String,
    id: String,
    shown: bool,
    drawn: Instant,
    pace: Pace,
    curves: Vec<Line>,
    scores: Vec<Line>,
    marks: Vec<(f64, String)>,
    picture: Option<(u64, Picture)>,
    widgets: Option<Widgets>,
}

/// The widgets that show a stage where the front end has them: a bar, a line of text, a button, and the figure.
struct Widgets {
    all: Vec<String>,
    bar: String,
    line: String,
    figure: String,
    view: String,
    /// When the figure was drawn; it moves less often than the bar.
    drawn: Instant,
}

/// How a stage stands.
#[derive(Clone, Copy, PartialEq)]
enum Standing<'a> {
    Running,
    Done(&'a str),
    Stopped,
}

impl Live {
    /// Nothing to show yet.
    pub fn new(kernel: Arc<Kernel>) -> Self {
        Self { kernel, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What follows belongs to the cell whose request has this header.
    pub fn begin_cell(&self, header: &Arc<Object>) {
        *self.state() = State { parent: Arc::clone(header), stages: Vec::new() };
    }

    /// The cell ended: what has not ended was stopped.
    pub fn end_cell(&self) {
        let mut state = self.state();
        let parent = Arc::clone(&state.parent);
        for mut stage in std::mem::take(&mut state.stages) {
            self.publish(&parent, &mut stage, Standing::Stopped);
        }
    }

    fn publish(&self, parent: &Object, stage: &mut Stage, standing: Standing<'_>) {
        let kind = if stage.shown { "update_display_data" } else { "display_data" };
        let first = !std::mem::replace(&mut stage.shown, true);
        stage.drawn = Instant::now();
        let comms = &self.kernel.comms;
        let mut data = Object::new();
        if standing == Standing::Running {
            if first && comms.has_widgets() {
                stage.widgets = Some(Widgets::open(comms, parent, stage));
            }
            if !first && let Some(mut widgets) = stage.widgets.take() {
                let html = widgets.figure_is_due().then(|| stage.body());
                widgets.update(comms, parent, stage.share(), &stage.words(standing), html);
                stage.widgets = Some(widgets);
                return;
            }
            if let Some(widgets) = &stage.widgets {
                let view = json!({ "version_major": 2, "version_minor": 0, "model_id": widgets.view });
                data.insert("application/vnd.jupyter.widget-view+json".into(), view);
            }
        }
        data.insert("text/plain".into(), stage.text(standing).into());
        data.insert("text/html".into(), stage.html(standing).into());
        // What stays in the notebook is a picture: widgets do not outlive their kernel.
        if let Some(widgets) = stage.widgets.take_if(|_| standing != Standing::Running) {
            widgets.all.iter().for_each(|id| comms.close(parent, id));
        }
        let transient = json!({ "display_id": stage.id });
        self.kernel.iopub.send(kind, parent, json!({ "data": data, "metadata": {}, "transient": transient }));
    }

    /// Changes a stage, and shows it when it is time to.
    fn change(&self, name: &str, change: impl FnOnce(&mut Stage)) {
        let mut state = self.state();
        let parent = Arc::clone(&state.parent);
        let Some(stage) = state.stages.iter_mut().find(|stage| stage.name == name) else { return };
        change(stage);
        let wait = if stage.shown { PAUSE } else { SOON };
        if stage.drawn.elapsed() >= wait {
            stage.pace.take(Instant::now());
            self.publish(&parent, stage, Standing::Running);
        }
    }
}

impl Observer for Live {
    fn begin(&self, stage: &str, from: u64, of: u64) {
        let mut state = self.state();
        // A stage of the same name that never ended failed inside the script and was caught there.
        state.stages.retain(|known| known.name != stage);
        state.stages.push(Stage {
            name: stage.into(),
            id: self.kernel.wire.fresh_id(),
            shown: false,
            drawn: Instant::now(),
            pace: Pace::new(from, of),
            curves: Vec::new(),
            scores: Vec::new(),
            marks: Vec::new(),
            picture: None,
            widgets: None,
        });
    }

    fn step(&self, step: &Step<'_>) {
        self.change(step.stage, |stage| {
            stage.pace.reached(step.step, step.of);
            for (name, value) in step.values {
                line(&mut stage.curves, name).push(step.step, *value);
            }
        });
    }

    fn value(&self, stage: &str, step: u64, name: &str, value: f64) {
        self.change(stage, |stage| line(&mut stage.scores, name).push(step, value));
    }

    fn mark(&self, stage: &str, step: u64, text: &str) {
        self.change(stage, |stage| stage.marks.push((step as f64, text.into())));
    }

    fn picture(&self, stage: &str, step: u64, _name: &str, picture: &Picture) {
        self.change(stage, |stage| stage.picture = Some((step, picture.clone())));
    }

    fn note(&self, text: &str) {
        let parent = Arc::clone(&self.state().parent);
        self.kernel.iopub.print(super::iopub::Stream::Out, &parent, &format!("{text}\n"));
    }

    fn end(&self, stage: &str, summary: &str) {
        let mut state = self.state();
        let parent = Arc::clone(&state.parent);
        let Some(at) = state.stages.iter().position(|known| known.name == stage) else { return };
        let mut stage = state.stages.remove(at);
        drop(state);
        self.publish(&parent, &mut stage, Standing::Done(summary));
    }
}

impl Stage {
    /// How far it is, in words.
    fn words(&self, standing: Standing<'_>) -> String {
        let pace = &self.pace;
        let took = duration(pace.elapsed());
        let mut text = match standing {
            Standing::Done(summary) => {
                let mut text = match pace.done() {
                    0 if pace.of() == 0 => "no steps asked for".to_string(),
                    0 => "was done before".to_string(),
                    1 => format!("1 step in {took}"),
                    steps => format!("{steps} steps in {took}"),
                };
                let summary = beyond_steps(summary, pace.of());
                if !summary.is_empty() {
                    let _ = write!(text, "  {summary}");
                }
                text
            }
            Standing::Stopped => format!("stopped at step {}/{} after {took}", pace.step(), pace.of()),
            Standing::Running => {
                let mut text = pace.fraction();
                pace.speed().into_iter().chain(pace.left_text()).for_each(|part| {
                    let _ = write!(text, "  {part}");
                });
                text
            }
        };
        let last = self.curves.iter().map(|curve| (curve.name.as_str(), curve.last));
        let scores = self.scores.iter().map(|score| (score.name.as_str(), score.last));
        for (name, value) in last.chain(scores) {
            let _ = write!(text, "  {name} {}", figure::significant(value, 3));
        }
        text
    }

    fn text(&self, standing: Standing<'_>) -> String {
        format!("{}: {}", self.name, self.words(standing))
    }

    fn html(&self, standing: Standing<'_>) -> String {
        let share = self.share() * 100.0;
        let (mark, colour) = match standing {
            Standing::Running => ("", "#2a78d6"),
            Standing::Done(_) => ("✓ ", "#3a9a5b"),
            Standing::Stopped => ("■ ", "#c98a1b"),
        };
        let mut html = format!(
            "<div style=\"max-width:660px;font:13px/1.5 var(--jp-ui-font-family,system-ui,sans-serif);\
             color:var(--jp-ui-font-color1,inherit)\"><div style=\"display:flex;gap:8px;align-items:baseline\">\
             <b style=\"white-space:nowrap\">{mark}{}</b><span style=\"font-variant-numeric:tabular-nums;white-space:pre-wrap\">{}</span></div>\
             <div style=\"height:4px;border-radius:2px;background:rgba(128,128,128,.25);margin:4px 0 8px\">\
             <div style=\"height:4px;border-radius:2px;width:{share:.1}%;background:{colour}\"></div></div>",
            figure::escape(&self.name),
            figure::escape(&self.words(standing)),
        );
        html.push_str(&self.body());
        html.push_str("</div>");
        html
    }

    /// The share of the steps that is done.
    fn share(&self) -> f64 {
        if self.pace.of() > 0 { self.pace.step() as f64 / self.pace.of() as f64 } else { 0.0 }
    }

    /// Curves and samples.
    fn body(&self) -> String {
        let mut html = String::new();
        for svg in self.drawn_curves() {
            let _ = write!(html, "<div style=\"color:inherit\">{svg}</div>");
        }
        if let Some((step, picture)) = &self.picture
            && let Ok(png) = figure::png(picture)
        {
            let data = base64::engine::general_purpose::STANDARD.encode(png);
            let _ = write!(
                html,
                "<div style=\"margin-top:6px\">samples after step {step}</div>\
                 <img alt=\"samples after step {step}\" width=\"{}\" style=\"max-width:100%;image-rendering:pixelated\" \
                 src=\"data:image/png;base64,{data}\"/>",
                picture.width,
            );
        }
        html
    }

    /// The curves, once there is something to see: what each step measured, and each score in a chart of its own.
    fn drawn_curves(&self) -> Vec<String> {
        let measured: Vec<&Line> = self.curves.iter().collect();
        let chart = |lines: Vec<&Line>, height: f64| {
            let drawn = lines.into_iter().filter(|line| line.points().len() > 1);
            let series: Vec<Series> =
                drawn.map(|line| Series::new(line.name.as_str(), line.points().to_vec())).collect();
            let log_y = matches!(&series[..], [line] if figure::falls_far(&line.points));
            let look = Curves { width: 640.0, height, log_y, marks: self.marks.clone(), ..Curves::default() };
            if series.is_empty() { None } else { figure::curves(&series, &look).ok().map(|figure| figure.svg()) }
        };
        let scores = self.scores.iter().map(|score| (vec![score], 140.0));
        std::iter::once((measured, 220.0)).chain(scores).filter_map(|(lines, height)| chart(lines, height)).collect()
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

impl Widgets {
    fn open(comms: &Comms, parent: &Object, stage: &Stage) -> Self {
        let mut all = Vec::new();
        let mut open = |module: &str, model: &str, view: &str, state: Value| {
            let version = if module == BASE { "2.0.0" } else { CONTROLS_VERSION };
            let mut full = Object::new();
            for (name, value) in [
                ("_model_module", json!(module)),
                ("_model_module_version", json!(version)),
                ("_model_name", json!(model)),
                ("_view_module", json!(module)),
                ("_view_module_version", json!(version)),
                ("_view_name", json!(view)),
            ] {
                full.insert(name.into(), value);
            }
            full.extend(if let Value::Object(state) = state { state } else { Object::new() });
            let id = comms.open_widget(parent, full);
            all.push(id.clone());
            id
        };
        let reference = |id: &str| format!("IPY_MODEL_{id}");
        let layout = open(BASE, "LayoutModel", "LayoutView", json!({ "max_width": "660px" }));
        let row = open(BASE, "LayoutModel", "LayoutView", json!({ "align_items": "center" }));
        let (layout, row) = (reference(&layout), reference(&row));
        let style = open(CONTROLS, "ProgressStyleModel", "StyleView", json!({ "description_width": "" }));
        let bar = json!({
            "value": stage.share(), "min": 0.0, "max": 1.0, "description": stage.name, "bar_style": "info",
            "orientation": "horizontal", "style": reference(&style), "layout": layout,
        });
        let bar = open(CONTROLS, "FloatProgressModel", "ProgressView", bar);
        let html = |value: &str| json!({ "value": value, "layout": layout });
        let line = open(CONTROLS, "HTMLModel", "HTMLView", html(&figure::escape(&stage.words(Standing::Running))));
        let style = open(CONTROLS, "ButtonStyleModel", "StyleView", json!({}));
        let button = json!({
            "description": "Stop", "icon": "stop", "tooltip": "Stop after this step; what was reached stays usable",
            "button_style": "", "style": reference(&style), "layout": row,
        });
        let button = open(CONTROLS, "ButtonModel", "ButtonView", button);
        let children = json!({ "children": [reference(&bar), reference(&button), reference(&line)], "layout": row });
        let head = open(CONTROLS, "HBoxModel", "HBoxView", children);
        let figure = open(CONTROLS, "HTMLModel", "HTMLView", html(&stage.body()));
        let children = json!({ "children": [reference(&head), reference(&figure)], "layout": layout });
        let view = open(CONTROLS, "VBoxModel", "VBoxView", children);
        Self { all, bar, line, figure, view, drawn: Instant::now() }
    }

    fn figure_is_due(&mut self) -> bool {
        let due = self.drawn.elapsed() >= FIGURE_PAUSE;
        if due {
            self.drawn = Instant::now();
        }
        due
    }

    fn update(&self, comms: &Comms, parent: &Object, share: f64, words: &str, html: Option<String>) {
        let set = |id: &str, value: Value| {
            let mut state = Object::new();
            state.insert("value".into(), value);
            comms.update_widget(parent, id, state);
        };
        set(&self.bar, json!(share));
        set(&self.line, json!(figure::escape(words)));
        if let Some(html) = html {
            set(&self.figure, json!(html));
        }
    }
}
