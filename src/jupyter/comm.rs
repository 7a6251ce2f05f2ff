//! Conversations between a value here and a widget in the front end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::iopub::Iopub;
use super::wire::{Message, Object, Wire};

/// What ipywidgets calls its conversations.
pub const WIDGET: &str = "jupyter.widget";
/// The conversation by which ipywidgets asks for the state of all widgets.
const WIDGET_CONTROL: &str = "jupyter.widget.control";

/// A conversation.
#[derive(Debug, Clone)]
struct Comm {
    target: String,
    /// The state of a widget of ours; nothing for conversations that the front end began.
    state: Option<Object>,
}

/// The conversations of a kernel.
pub struct Comms {
    wire: Arc<Wire>,
    iopub: Arc<Iopub>,
    open: Mutex<BTreeMap<String, Comm>>,
    /// Whether a front end has shown that it knows widgets.
    widgets: Mutex<bool>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Comms {
    /// No conversation.
    pub fn new(wire: Arc<Wire>, iopub: Arc<Iopub>) -> Self {
        Self { wire, iopub, open: Mutex::default(), widgets: Mutex::new(false) }
    }

    /// Whether a front end has shown that it knows widgets: it asked for them before a cell made one.
    pub fn has_widgets(&self) -> bool {
        *held(&self.widgets)
    }

    /// Opens a widget with this state, about the request with the header `parent`; its name.
    pub fn open_widget(&self, parent: &Object, state: Object) -> String {
        let id = self.wire.fresh_id();
        let content = json!({
            "comm_id": id, "target_name": WIDGET, "data": { "state": state.clone(), "buffer_paths": [] },
        });
        let metadata = version();
        self.iopub.send_with("comm_open", parent, content, metadata, Vec::new());
        held(&self.open).insert(id.clone(), Comm { target: WIDGET.into(), state: Some(state) });
        id
    }

    /// Changes the state of a widget.
    pub fn update_widget(&self, parent: &Object, id: &str, changed: Object) {
        let mut open = held(&self.open);
        let Some(state) = open.get_mut(id).and_then(|comm| comm.state.as_mut()) else { return };
        state.extend(changed.clone());
        drop(open);
        let data = json!({ "method": "update", "state": changed, "buffer_paths": [] });
        self.iopub.send("comm_msg", parent, json!({ "comm_id": id, "data": data }));
    }

    /// Ends a conversation.
    pub fn close(&self, parent: &Object, id: &str) {
        if held(&self.open).remove(id).is_some() {
            self.iopub.send("comm_close", parent, json!({ "comm_id": id, "data": {} }));
        }
    }

    /// The conversations that go on, or those of one kind.
    pub fn info(&self, request: &Message) -> Value {
        let target = request.content.get("target_name").and_then(Value::as_str).filter(|name| !name.is_empty());
        if target == Some(WIDGET) {
            *held(&self.widgets) = true;
        }
        let open = held(&self.open);
        let comms: Object = open
            .iter()
            .filter(|(_, comm)| target.is_none_or(|target| comm.target == target))
            .map(|(id, comm)| (id.clone(), json!({ "target_name": comm.target })))
            .collect();
        json!({ "status": "ok", "comms": comms })
    }

    /// The front end began a conversation. Only the one about all widgets has somebody here to talk to.
    pub fn opened(&self, request: &Message) {
        let (id, target) = (request.text("comm_id"), request.text("target_name"));
        if target == WIDGET_CONTROL {
            *held(&self.widgets) = true;
            held(&self.open).insert(id.into(), Comm { target: target.into(), state: None });
        } else {
            self.iopub.send("comm_close", &request.header, json!({ "comm_id": id, "data": {} }));
        }
    }

    /// The front end said something; whether it was that a button was pressed. All our buttons stop what runs.
    pub fn said(&self, request: &Message) -> bool {
        let id = request.text("comm_id");
        let data = request.content.get("data");
        let method = data.and_then(|data| data.get("method")).and_then(Value::as_str).unwrap_or_default();
        let mut open = held(&self.open);
        let Some(comm) = open.get_mut(id) else { return false };
        match (method, comm.state.as_mut()) {
            ("request_states", None) => {
                let states: Object = open
                    .iter()
                    .filter_map(|(id, comm)| {
                        let state = comm.state.as_ref()?;
                        let named = |name: &str| state.get(name).cloned().unwrap_or_default();
                        let model = json!({
                            "model_name": named("_model_name"),
                            "model_module": named("_model_module"),
                            "model_module_version": named("_model_module_version"),
                            "state": state,
                        });
                        Some((id.clone(), model))
                    })
                    .collect();
                let data = json!({ "method": "update_states", "states": states, "buffer_paths": [] });
                drop(open);
                self.iopub.send("comm_msg", &request.header, json!({ "comm_id": id, "data": data }));
            }
            ("request_state", Some(state)) => {
                let data = json!({ "method": "update", "state": state.clone(), "buffer_paths": [] });
                drop(open);
                self.iopub.send("comm_msg", &request.header, json!({ "comm_id": id, "data": data }));
            }
            ("update", Some(state)) => {
                let changed = data.and_then(|data| data.get("state")).and_then(Value::as_object);
                state.extend(changed.cloned().unwrap_or_default());
            }
            ("custom", Some(_)) => {
                let event = data.and_then(|data| data.get("content")).and_then(|content| content.get("event"));
                return event.and_then(Value::as_str) == Some("click");
            }
            _ => {}
        }
        false
    }

    /// The front end ended a conversation.
    pub fn closed(&self, request: &Message) {
        held(&self.open).remove(request.text("comm_id"));
    }
}

/// The version of the widgets' protocol.
fn version() -> Object {
    let mut metadata = Object::new();
    metadata.insert("version".into(), "2.1.0".into());
    metadata
}
