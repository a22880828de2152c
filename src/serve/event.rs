//! What listeners are told while it happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use tokio::sync::broadcast;

use super::name::ExportName;
use super::view::{ExportView, ProgressView};

/// So many events may wait for a slow listener; then it is sent everything anew instead.
const WAITING: usize = 256;

/// One event, written once for all who listen.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its kind.
    pub kind: &'static str,
    /// As it goes over the wire, one line of JSON.
    pub data: Arc<str>,
}

/// The way of events to all who listen.
#[derive(Clone, Debug)]
pub struct Events {
    sender: broadcast::Sender<Frame>,
    changes: Arc<AtomicU64>,
}

#[derive(Serialize)]
struct Named<'a, T: Serialize> {
    name: &'a ExportName,
    #[serde(flatten)]
    value: T,
}

#[derive(Serialize)]
struct Nothing {}

impl Default for Events {
    fn default() -> Self {
        Self {
            sender: broadcast::Sender::new(WAITING),
            changes: Arc::default(),
        }
    }
}

impl Events {
    /// An export is new, or another than it was.
    pub fn export(&self, view: &ExportView) {
        self.send("export", view);
    }

    /// A run has come further.
    pub fn progress(&self, name: &ExportName, progress: &ProgressView) {
        self.send("progress", &Named { name, value: progress });
    }

    /// An export is no more.
    pub fn gone(&self, name: &ExportName) {
        self.note_change();
        self.send(
            "gone",
            &Named {
                name,
                value: Nothing {},
            },
        );
    }

    /// Notes that an export is another than it was, before anybody is told.
    pub fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Changes with each change that was noted.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Listens from now on.
    pub fn listen(&self) -> broadcast::Receiver<Frame> {
        self.sender.subscribe()
    }

    /// Whether anybody listens; nothing need be written where nobody does.
    pub fn has_listeners(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    fn send(&self, kind: &'static str, data: &impl Serialize) {
        if !self.has_listeners() {
            return;
        }
        // That the last listener has just gone is no fault.
        let _nobody = self.sender.send(Frame::new(kind, data));
    }
}

impl Frame {
    /// Writes an event.
    pub fn new(kind: &'static str, data: &impl Serialize) -> Self {
        let data = serde_json::to_string(data).expect("views are plain data");
        Self {
            kind,
            data: data.into(),
        }
    }
}
