//! The thread that evaluates cells, one after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use serde_json::{Value, json};

use super::front::{JupyterFront, Request};
use super::kernel::{Channel, Kernel};
use super::wire::{self, Message, Object};
use crate::notebook::{Notebook, Outcome};
use crate::progress::Stop;
use crate::script::complete::Names;
use crate::script::{Diagnostic, diagnostic};

/// Evaluates the cells that come, until nobody sends any. `main` says whether it is the main shell.
pub fn evaluate(kernel: &Arc<Kernel>, cells: &Receiver<Message>, stop: &Stop, main: bool) {
    let front = Arc::new(JupyterFront::new(Arc::clone(kernel), stop.clone()));
    let outside = Arc::clone(&front) as Arc<_>;
    let notebook = if main {
        let notebook = Notebook::new(outside, stop.clone(), kernel.given.clone(), Path::new(""));
        let _ = kernel.host.set(Arc::clone(notebook.host()));
        notebook
    } else {
        // A front end may ask for a subshell before the main session is there.
        Notebook::beside(kernel.host.wait(), outside, stop.clone())
    };
    let mut shell =
        Evaluator { kernel: Arc::clone(kernel), front, notebook, stop: stop.clone(), main, failed_at: i64::MIN };
    while let Ok(request) = cells.recv() {
        shell.request(&request);
    }
}

struct Evaluator {
    kernel: Arc<Kernel>,
    front: Arc<JupyterFront>,
    notebook: Notebook,
    stop: Stop,
    main: bool,
    /// When the last cell failed: what was sent before is not evaluated.
    failed_at: i64,
}

impl Evaluator {
    fn request(&mut self, request: &Message) {
        let parent = Arc::new(request.header.clone());
        let kernel = Arc::clone(&self.kernel);
        // Before anybody can see that the cell runs: an interrupt after that is meant for it.
        self.stop.clear();
        match self.main {
            true => kernel.begin(&parent),
            false => kernel.iopub.status("busy", &parent),
        }
        // A cell that was sent before another one failed was sent in the belief that it would not.
        let aborted = request.sent().is_some_and(|sent| sent < self.failed_at);
        let content = if aborted {
            json!({ "status": "aborted", "execution_count": kernel.count.load(Ordering::SeqCst) })
        } else {
            self.execute(request, &parent)
        };
        kernel.answer(Channel::Shell, request, content);
        match self.main {
            true => kernel.end(&parent),
            false => kernel.end_beside(&parent),
        }
    }

    fn execute(&mut self, request: &Message, parent: &Arc<Object>) -> Value {
        let kernel = Arc::clone(&self.kernel);
        let code = request.text("code");
        let silent = request.flag("silent", false);
        let kept = !silent && request.flag("store_history", true);
        // Subshells count on the same number at the same time.
        let before = match kept {
            true => kernel.count.fetch_add(1, Ordering::SeqCst),
            false => kernel.count.load(Ordering::SeqCst),
        };
        let number = before + 1;
        if !silent {
            kernel.iopub.send("execute_input", parent, json!({ "code": code, "execution_count": number }));
        }
        self.front.begin(Request {
            header: Arc::clone(parent),
            ids: request.ids.clone(),
            answers_input: request.flag("allow_stdin", true),
        });
        let result = if code.trim().is_empty() { Ok(Outcome::default()) } else { self.cell(code, number, kept) };
        self.front.end();
        if self.main {
            kernel.set_names(Names::of(self.notebook.session()));
        }
        let result = result.map(|outcome| self.conclude(outcome, parent, number, silent));
        if kept {
            let output = result.as_ref().ok().and_then(|(_, text)| text.as_deref());
            let trouble = kernel.history(|history| {
                history.keep(number, code, output);
                history.trouble()
            });
            if let Ok(Some(trouble)) = trouble {
                kernel.iopub.print(super::iopub::Stream::Err, parent, &format!("{trouble}\n"));
            }
        }
        match result {
            Ok((payload, _)) => {
                let expressions = self.expressions(request);
                json!({ "status": "ok", "execution_count": number, "payload": payload, "user_expressions": expressions })
            }
            Err(diagnostic) => {
                let mut content = error(&diagnostic);
                if !silent {
                    kernel.iopub.send("error", parent, Value::Object(content.clone()));
                }
                content.insert("status".into(), "error".into());
                content.insert("execution_count".into(), number.into());
                content.insert("user_expressions".into(), json!({}));
                content.insert("payload".into(), json!([]));
                if request.flag("stop_on_error", true) {
                    // Before the answer leaves: what is sent after it was sent in full knowledge.
                    self.failed_at = wire::now();
                }
                Value::Object(content)
            }
        }
    }

    fn cell(&mut self, code: &str, number: usize, kept: bool) -> Result<Outcome, Diagnostic> {
        // Evaluation has its own net; this one is for what is around it.
        catch_unwind(AssertUnwindSafe(|| self.notebook.cell(code, number, kept)))
            .unwrap_or_else(|payload| Err(diagnostic::panicked(payload.as_ref())))
    }

    /// Publishes the value of a cell: what the answer carries along, and the value as text.
    fn conclude(&self, outcome: Outcome, parent: &Object, number: usize, silent: bool) -> (Value, Option<String>) {
        let page = outcome.page.map(|page| json!([{ "source": "page", "data": { "text/plain": page }, "start": 0 }]));
        let payload = page.unwrap_or_else(|| json!([]));
        let Some(value) = outcome.value else { return (payload, None) };
        if !silent {
            let (data, metadata) = super::front::bundle(&value);
            let content = json!({ "execution_count": number, "data": data, "metadata": metadata });
            self.kernel.iopub.send_from_cell("execute_result", parent, content);
        }
        (payload, Some(value.text))
    }

    /// The values of the expressions that a front end asks for beside the cell.
    fn expressions(&mut self, request: &Message) -> Object {
        let asked = request.content.get("user_expressions").and_then(Value::as_object);
        let mut answers = Object::new();
        for (name, code) in asked.into_iter().flatten() {
            let answer = match self.notebook.expression(name, code.as_str().unwrap_or_default()) {
                Ok(value) => {
                    let (data, metadata) = super::front::bundle(&value);
                    json!({ "status": "ok", "data": data, "metadata": metadata })
                }
                Err(diagnostic) => {
                    let mut content = error(&diagnostic);
                    content.insert("status".into(), "error".into());
                    Value::Object(content)
                }
            };
            answers.insert(name.clone(), answer);
        }
        answers
    }
}

/// An error as Jupyter carries it.
fn error(diagnostic: &Diagnostic) -> Object {
    let mut content = Object::new();
    content.insert("ename".into(), diagnostic.kind().into());
    content.insert("evalue".into(), diagnostic.error.message.clone().into());
    content.insert("traceback".into(), diagnostic.coloured().into());
    content
}
