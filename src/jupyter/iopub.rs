//! What everybody sees, in the order it happened.
//!
//! All messages to the iopub socket go through one queue that one task empties, so that `idle` cannot overtake the output
//! before it. Lines that are printed are joined where they are put in, and sent when something else follows, when there
//! are 64 KiB of them, or after 10 ms: ten thousand lines make a handful of messages.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::Notify;
use zeromq::{PubSocket, SocketSend as _};

use super::wire::{Message, Object, Wire};

/// Printed text waits this long for more.
const PAUSE: Duration = Duration::from_millis(10);
/// Printed text of this many bytes waits no longer.
const ENOUGH: usize = 64 << 10;
/// Who prints or shows faster than messages leave waits when this many bytes are queued.
const MOST: usize = 64 << 20;

/// Where printed text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

enum Item {
    Message(Box<Message>, usize),
    Text { stream: Stream, parent: Arc<Object>, text: String, since: Instant },
}

impl Item {
    fn size(&self) -> usize {
        match self {
            Item::Message(_, size) => *size,
            Item::Text { text, .. } => text.len(),
        }
    }
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    /// Taken from the queue and not sent yet.
    leaving: bool,
}

/// The queue.
pub struct Iopub {
    wire: Arc<Wire>,
    queue: Mutex<Queue>,
    /// Something came.
    came: Notify,
    /// Something left.
    left: Condvar,
}

impl Iopub {
    /// An empty queue.
    pub fn new(wire: Arc<Wire>) -> Self {
        Self { wire, queue: Mutex::default(), came: Notify::new(), left: Condvar::new() }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The queue when it is not full. Not for the thread that empties it.
    fn queue_with_room(&self) -> MutexGuard<'_, Queue> {
        let mut queue = self.queue();
        while queue.bytes > MOST {
            queue = self.left.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue
    }

    /// Printed text, about the request with the header `parent`.
    pub fn print(&self, stream: Stream, parent: &Arc<Object>, text: &str) {
        if text.is_empty() {
            return;
        }
        let mut queue = self.queue_with_room();
        queue.bytes += text.len();
        match queue.items.back_mut() {
            Some(Item::Text { stream: last, parent: about, text: joined, .. })
                if *last == stream && Arc::ptr_eq(about, parent) && joined.len() < ENOUGH =>
            {
                joined.push_str(text);
                if joined.len() < ENOUGH {
                    return;
                }
            }
            _ => queue.items.push_back(Item::Text {
                stream,
                parent: Arc::clone(parent),
                text: text.into(),
                since: Instant::now(),
            }),
        }
        drop(queue);
        self.came.notify_one();
    }

    /// A message of `kind`, about the request with the header `parent`.
    pub fn send(&self, kind: &str, parent: &Object, content: Value) {
        self.send_with(kind, parent, content, Object::new(), Vec::new());
    }

    /// A message from a thread that runs a cell: it waits for room, as printed text does. The thread that serves the sockets
    /// must not, since nothing leaves meanwhile.
    pub fn send_from_cell(&self, kind: &str, parent: &Object, content: Value) {
        drop(self.queue_with_room());
        self.send(kind, parent, content);
    }

    /// A message with metadata and bytes beside it.
    pub fn send_with(&self, kind: &str, parent: &Object, content: Value, metadata: Object, buffers: Vec<Bytes>) {
        // Clients subscribe to everything; the topic is for those that do not.
        let topic = Bytes::from(format!("kernel.fewlab.{kind}"));
        let mut message = self.wire.message(vec![topic], kind, parent, content);
        (message.metadata, message.buffers) = (metadata, buffers);
        let size = weight(&message.content) + message.buffers.iter().map(Bytes::len).sum::<usize>();
        let mut queue = self.queue();
        queue.bytes += size;
        queue.items.push_back(Item::Message(Box::new(message), size));
        drop(queue);
        self.came.notify_one();
    }

    /// Says whether the kernel works on the request with the header `parent`.
    pub fn status(&self, state: &str, parent: &Object) {
        self.send("status", parent, json!({ "execution_state": state }));
    }

    /// Waits until all is sent, at most for `time`.
    pub fn flush(&self, time: Duration) {
        let end = Instant::now() + time;
        let mut queue = self.queue();
        self.came.notify_one();
        while !queue.items.is_empty() || queue.leaving {
            let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else { return };
            queue = self.left.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What is to be sent now, or how long to wait for more text.
    fn next(&self) -> Next {
        let mut queue = self.queue();
        let wait = match queue.items.front() {
            None => return Next::Nothing,
            Some(Item::Text { text, since, .. }) if queue.items.len() == 1 && text.len() < ENOUGH => {
                PAUSE.saturating_sub(since.elapsed())
            }
            Some(_) => Duration::ZERO,
        };
        if !wait.is_zero() {
            return Next::Later(wait);
        }
        let Some(item) = queue.items.pop_front() else { return Next::Nothing };
        queue.bytes -= item.size().min(queue.bytes);
        queue.leaving = true;
        Next::Now(item)
    }

    /// Sends what comes, as long as the kernel lives.
    pub async fn serve(self: Arc<Self>, mut socket: PubSocket) {
        loop {
            match self.next() {
                Next::Nothing => self.came.notified().await,
                Next::Later(wait) => {
                    // What comes meanwhile may end the wait.
                    let _ = tokio::time::timeout(wait, self.came.notified()).await;
                }
                Next::Now(item) => {
                    let message = match item {
                        Item::Message(message, _) => *message,
                        Item::Text { stream, parent, text, .. } => {
                            let name = if stream == Stream::Out { "stdout" } else { "stderr" };
                            let topic = Bytes::from(format!("kernel.fewlab.{name}"));
                            self.wire.message(vec![topic], "stream", &parent, json!({ "name": name, "text": text }))
                        }
                    };
                    // A subscriber that is gone is no fault of the others.
                    let _ = socket.send(self.wire.encode(&message)).await;
                    self.queue().leaving = false;
                    self.left.notify_all();
                    // The socket passes messages on from a task of its own.
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

enum Next {
    Nothing,
    Later(Duration),
    Now(Item),
}

/// About how many bytes a content takes.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(items) => items.values().map(weight).sum(),
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_until_something_else_follows() {
        let iopub = Iopub::new(Arc::new(Wire::new("").unwrap()));
        let parent = Arc::new(Object::new());
        for _ in 0..3 {
            iopub.print(Stream::Out, &parent, "line\n");
        }
        iopub.print(Stream::Err, &parent, "oops\n");
        iopub.print(Stream::Out, &Arc::new(Object::new()), "another cell's\n");
        iopub.status("idle", &parent);
        let queue = iopub.queue();
        let texts: Vec<&str> = queue
            .items
            .iter()
            .map(|item| match item {
                Item::Text { text, .. } => text.as_str(),
                Item::Message(message, _) => message.text("execution_state"),
            })
            .collect();
        assert_eq!(texts, ["line\nline\nline\n", "oops\n", "another cell's\n", "idle"]);
    }

    #[test]
    fn a_cell_that_shows_faster_than_messages_leave_waits() {
        let iopub = Arc::new(Iopub::new(Arc::new(Wire::new("").unwrap())));
        let parent = Arc::new(Object::new());
        let large = json!({ "data": "x".repeat(MOST + 1) });
        iopub.send_from_cell("display_data", &parent, large);
        let (there, came) = std::sync::mpsc::channel();
        let cell = std::thread::spawn({
            let (iopub, parent) = (Arc::clone(&iopub), Arc::clone(&parent));
            move || {
                iopub.send_from_cell("display_data", &parent, json!({}));
                there.send(()).unwrap();
            }
        });
        assert!(came.recv_timeout(Duration::from_millis(50)).is_err(), "the queue is full");
        // What the sockets' thread says does not wait.
        iopub.status("idle", &parent);
        assert!(matches!(iopub.next(), Next::Now(Item::Message(..))));
        iopub.left.notify_all();
        came.recv_timeout(Duration::from_secs(20)).unwrap();
        cell.join().unwrap();
        assert_eq!(iopub.queue().items.len(), 2);
    }

    #[test]
    fn text_waits_for_more_and_a_message_does_not() {
        let iopub = Iopub::new(Arc::new(Wire::new("").unwrap()));
        let parent = Arc::new(Object::new());
        iopub.print(Stream::Out, &parent, "a");
        assert!(matches!(iopub.next(), Next::Later(_)));
        iopub.status("idle", &parent);
        assert!(matches!(iopub.next(), Next::Now(Item::Text { .. })));
        assert!(matches!(iopub.next(), Next::Now(Item::Message(..))));
        assert!(matches!(iopub.next(), Next::Nothing));
        iopub.print(Stream::Out, &parent, &"x".repeat(ENOUGH));
        assert!(matches!(iopub.next(), Next::Now(_)));
    }
}
