//! Examines a store and says in words what lakesync can expect of it, and what to do where that is little.

mod bodies;
mod bucket;
mod guards;
mod keys;
mod rights;
mod sweep;

use std::sync::Mutex;

use serde::Serialize;

use super::probe::probe;
use super::{Capabilities, Condition, Put, Store, StoreError, Written};
use crate::model::ObjectKey;

const NEVER_POISONED: &str = "nothing that holds it can panic";

/// What an examination found.
#[derive(Clone, Debug, Serialize)]
pub struct DoctorReport {
    /// The findings, in the order in which they are to be read.
    pub lines: Vec<Finding>,
    /// What the probe found; `None` where it did not get so far.
    pub capabilities: Option<Capabilities>,
}

impl DoctorReport {
    /// Whether an export can be expected to work: nothing is bad.
    pub fn is_usable(&self) -> bool {
        self.lines.iter().all(|line| line.verdict != Verdict::Bad)
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about; several findings can share one.
    pub topic: &'static str,
    /// How it stands.
    pub verdict: Verdict,
    /// What was seen.
    pub text: String,
    /// What to do about it, where there is something to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
}

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As on S3 itself.
    Good,
    /// lakesync goes another way, or cannot keep a promise in full.
    Limited,
    /// An export will fail, or harm is not noticed.
    Bad,
    /// It could not be found out.
    Unknown,
}

impl Finding {
    fn new(topic: &'static str, verdict: Verdict, text: impl Into<String>) -> Self {
        Self {
            topic,
            verdict,
            text: text.into(),
            cure: None,
        }
    }

    fn good(topic: &'static str, text: impl Into<String>) -> Self {
        Self::new(topic, Verdict::Good, text)
    }

    fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(cure.into());
        self
    }

    /// What a request failed with, where that says nothing of what the store can do.
    fn failed(topic: &'static str, error: &StoreError) -> Self {
        let verdict = if error.kind.is_transient() {
            Verdict::Unknown
        } else {
            Verdict::Bad
        };
        Self::new(topic, verdict, error.to_string())
    }
}

/// Examines a store below a prefix that ends in `/` and that nobody else uses.
///
/// The store is given without retries around it, as to [`probe`]. All that was written is deleted again, after
/// an error and after `stop` as well; what cannot be deleted is named in the report. Only where the future
/// itself is dropped does something stay.
pub async fn doctor(store: &dyn Store, prefix: &str, stop: impl Future<Output = ()>) -> DoctorReport {
    let written = Mutex::default();
    let mut examination = Examination {
        store,
        prefix,
        written: &written,
        lines: Vec::new(),
        capabilities: None,
    };
    let stopped = tokio::select! {
        () = examination.all() => false,
        () = stop => true,
    };
    let Examination {
        mut lines,
        capabilities,
        ..
    } = examination;
    if stopped {
        lines.push(Finding::new("examination", Verdict::Unknown, "stopped before its end"));
    }
    let written = written.into_inner().expect(NEVER_POISONED);
    lines.extend(sweep::sweep(store, prefix, &written).await);
    DoctorReport { lines, capabilities }
}

struct Examination<'a> {
    store: &'a dyn Store,
    prefix: &'a str,
    written: &'a Mutex<Vec<ObjectKey>>,
    lines: Vec<Finding>,
    capabilities: Option<Capabilities>,
}

impl Examination<'_> {
    async fn all(&mut self) {
        let (rights, usable) = rights::rights(self.store, self.prefix).await;
        self.lines.extend(rights);
        self.lines.extend(bucket::clock(self.store, self.prefix).await);
        self.lines.extend(bucket::facts(self.store).await);
        if !usable {
            let text = "not examined further, since writing, reading, listing and deleting do not all work";
            self.lines.push(Finding::new("examination", Verdict::Unknown, text));
            return;
        }
        let capabilities = match probe(self.store, &format!("{}probe/", self.prefix)).await {
            Ok(found) => found.capabilities,
            Err(error) => {
                self.lines.push(Finding::failed("probe", &error));
                return;
            }
        };
        self.capabilities = Some(capabilities);
        self.lines.extend(guards::guards(&capabilities));
        let bench = Bench {
            store: self.store,
            prefix: self.prefix,
            written: self.written,
            capabilities,
        };
        self.lines.extend(keys::keys(&bench).await);
        self.lines.extend(keys::listing(&bench).await);
        self.lines.push(bodies::framing(&bench).await);
        self.lines.extend(bodies::multipart(&bench).await);
        self.lines.push(bodies::latency(&bench).await);
    }
}

/// What the later checks work with.
struct Bench<'a> {
    store: &'a dyn Store,
    prefix: &'a str,
    /// What was or may have been written, for the sweep.
    written: &'a Mutex<Vec<ObjectKey>>,
    capabilities: Capabilities,
}

impl Bench<'_> {
    fn key(&self, name: &str) -> ObjectKey {
        ObjectKey::new(format!("{}{name}", self.prefix))
    }

    /// Writes a new object as an export would.
    async fn put(&self, key: &ObjectKey, body: Vec<u8>) -> Result<Written, StoreError> {
        let put = Put {
            checksum: self.capabilities.checksum,
            ..Put::new(body, self.fresh())
        };
        self.written.lock().expect(NEVER_POISONED).push(key.clone());
        self.store.put(key, put).await
    }

    fn fresh(&self) -> Condition {
        if self.capabilities.put_absent {
            Condition::Absent
        } else {
            Condition::Always
        }
    }
}

#[cfg(test)]
mod tests;
