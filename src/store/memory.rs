//! A bucket in memory: stricter than S3, and open to inspection, so that tests can judge what was done.
//!
//! It knows no latency of its own. Each call gives way once before and once after its effect, so that
//! tasks interleave, and so that one dropped in between was a request whose reply never came.

mod requests;
mod rules;
mod state;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use jiff::SignedDuration;

use self::state::State;
use super::{Capabilities, ObjectMeta, RequestKind, StoreErrorKind, StoreTime, Upload, Versioning};
use crate::model::{Bucket, ETag, ObjectKey};

/// One bucket in memory; a clone is another handle to the same one.
///
/// Its clock starts at 2026-01-01T00:00:00Z and goes on as tokio's does, so that paused tests turn it.
/// Where a capability is off, its header is ignored, as the stores do that lack it.
#[derive(Clone)]
pub struct MemoryStore {
    bucket: Bucket,
    state: Arc<Mutex<State>>,
    by: u32,
}

/// An object as the bucket holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    /// Its bytes.
    pub bytes: Bytes,
    /// What is known of it; unlike in an answer, `headers.class` is what it was written with.
    pub meta: ObjectMeta,
}

/// Another bucket that copies can name.
#[derive(Clone)]
pub enum Neighbour {
    /// One that the credentials may read.
    Readable(MemoryStore),
    /// One that they may not read.
    Denied,
}

/// One call that reached the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// What was asked.
    pub kind: RequestKind,
    /// The key; for a listing its prefix, and nothing for a batch or the bucket as a whole.
    pub key: Option<ObjectKey>,
    /// The keys of a batch of deletes, each with whether it counts as deleted.
    pub batch: Vec<(ObjectKey, bool)>,
    /// Whether it was done.
    pub ok: bool,
    /// When it took effect, since the bucket was made.
    pub at: Duration,
    /// Through whose handle it came; see [`MemoryStore::seen_as`].
    pub by: u32,
}

/// Something that a real store lets pass and that no part of lakesync may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What was asked.
    pub kind: RequestKind,
    /// The key it was asked for.
    pub key: ObjectKey,
    /// What is wrong with it.
    pub what: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}: {}", self.kind.s3_name(), self.key, self.what)
    }
}

impl MemoryStore {
    /// Makes an empty bucket.
    pub fn new(bucket: Bucket, capabilities: Capabilities) -> Self {
        let state = Arc::new(Mutex::new(State::new(capabilities)));
        Self { bucket, state, by: 0 }
    }

    /// Another handle to the same bucket whose calls are logged under this number; 0 for all others.
    pub fn seen_as(&self, by: u32) -> Self {
        Self { by, ..self.clone() }
    }

    /// Says under which keys a write without a condition is no violation; at first, those in `_lakesync/`.
    pub fn allow_unconditional(&self, allowed: impl Fn(&ObjectKey) -> bool + Send + Sync + 'static) {
        self.lock().settings.allowed = Box::new(allowed);
    }

    /// Sets the least length of all parts but the last; 5 MiB at first.
    pub fn set_min_part_bytes(&self, bytes: u64) {
        self.lock().settings.min_part_bytes = bytes;
    }

    /// Sets how many rows a page of a listing has at most; 1,000 at first.
    pub fn set_page_limit(&self, rows: u16) {
        self.lock().settings.page_limit = rows.max(1);
    }

    /// Sets what `If-Match` on a missing key is answered with; `NotFound` at first, as S3 does.
    pub fn set_missing_match(&self, answer: StoreErrorKind) {
        self.lock().settings.missing_match = answer;
    }

    /// Sets whether the bucket keeps versions: whether writes answer with a version id.
    pub fn set_versioning(&self, versioning: Versioning) {
        self.lock().settings.versioning = versioning;
    }

    /// Makes another bucket known to copies; without that none is.
    pub fn set_neighbour(&self, bucket: Bucket, neighbour: Neighbour) {
        self.lock().settings.neighbours.insert(bucket, neighbour);
    }

    /// Sets how far the bucket's clock is ahead of where it would be.
    pub fn set_clock_skew(&self, skew: SignedDuration) {
        self.lock().settings.skew = skew;
    }

    /// Sets what the store can do from now on.
    pub fn set_capabilities(&self, capabilities: Capabilities) {
        self.lock().settings.capabilities = capabilities;
    }

    /// The bucket's clock, in whole seconds.
    pub fn now(&self) -> StoreTime {
        self.lock().now()
    }

    /// All objects.
    pub fn objects(&self) -> BTreeMap<ObjectKey, StoredObject> {
        self.lock().objects.clone()
    }

    /// One object.
    pub fn object(&self, key: &ObjectKey) -> Option<StoredObject> {
        self.lock().objects.get(key).cloned()
    }

    /// The uploads under way, sorted by key.
    pub fn uploads(&self) -> Vec<Upload> {
        self.lock().uploads_sorted()
    }

    /// Writes an object as somebody else would, past every rule and the log; gives its etag.
    pub fn foreign_put(&self, key: &ObjectKey, bytes: impl Into<Bytes>) -> ETag {
        let mut state = self.lock();
        let bytes = bytes.into();
        let etag = state::single_etag(&bytes);
        state.insert(key, bytes, etag.clone(), super::ObjectHeaders::default());
        etag
    }

    /// Removes an object as somebody else would, past every rule and the log; says whether it was there.
    pub fn foreign_delete(&self, key: &ObjectKey) -> bool {
        self.lock().objects.remove(key).is_some()
    }

    /// Every call so far, in the order in which they took effect.
    pub fn log(&self) -> Vec<Logged> {
        self.lock().log.clone()
    }

    /// Forgets the calls so far.
    pub fn clear_log(&self) {
        self.lock().log.clear();
    }

    /// How many calls of each kind the log holds.
    pub fn counts(&self) -> BTreeMap<RequestKind, u64> {
        let mut counts = BTreeMap::new();
        for logged in &self.lock().log {
            *counts.entry(logged.kind).or_default() += 1;
        }
        counts
    }

    /// How many calls of one kind the log holds.
    pub fn count(&self, kind: RequestKind) -> u64 {
        self.counts().get(&kind).copied().unwrap_or(0)
    }

    /// What was done that must not be; a test that ends with any has failed.
    pub fn violations(&self) -> Vec<Violation> {
        self.lock().violations.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no call panics while it holds the bucket")
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        out.debug_struct("MemoryStore")
            .field("bucket", &self.bucket)
            .field("objects", &state.objects.keys().collect::<Vec<_>>())
            .field("uploads", &state.uploads_sorted())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
