//! What a bucket holds, and its clock.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use md5::{Digest as _, Md5};
use tokio::time::Instant;

use super::{Logged, Neighbour, StoredObject, Violation};
use crate::model::{Bucket, ETag, ObjectKey};
use crate::store::{
    Capabilities, ObjectHeaders, ObjectMeta, RequestKind, StoreErrorKind, StoreTime, Upload, Versioning, Written,
};

/// 2026-01-01T00:00:00Z, in seconds since 1970: a round number that is plainly no real clock's.
const EPOCH_UNIX: i64 = 1_767_225_600;

/// What tests can set.
pub(super) struct Settings {
    pub capabilities: Capabilities,
    pub allowed: Box<dyn Fn(&ObjectKey) -> bool + Send + Sync>,
    pub min_part_bytes: u64,
    pub page_limit: u16,
    pub missing_match: StoreErrorKind,
    pub versioning: Versioning,
    pub skew: SignedDuration,
    /// Other buckets that copies can name.
    pub neighbours: BTreeMap<Bucket, Neighbour>,
}

/// An upload under way.
pub(super) struct PendingUpload {
    pub key: ObjectKey,
    pub headers: ObjectHeaders,
    pub initiated: StoreTime,
    pub parts: BTreeMap<u16, (Bytes, ETag)>,
}

/// The whole bucket.
pub(super) struct State {
    pub settings: Settings,
    pub objects: BTreeMap<ObjectKey, StoredObject>,
    /// By id.
    pub uploads: BTreeMap<String, PendingUpload>,
    pub log: Vec<Logged>,
    pub violations: Vec<Violation>,
    started: Instant,
    ids: u64,
}

impl State {
    pub fn new(capabilities: Capabilities) -> Self {
        Self {
            settings: Settings {
                capabilities,
                allowed: Box::new(|key| key.as_str().starts_with("_lakesync/") || key.as_str().contains("/_lakesync/")),
                min_part_bytes: 5 << 20,
                page_limit: 1_000,
                missing_match: StoreErrorKind::NotFound,
                versioning: Versioning::Off,
                skew: SignedDuration::ZERO,
                neighbours: BTreeMap::new(),
            },
            objects: BTreeMap::new(),
            uploads: BTreeMap::new(),
            log: Vec::new(),
            violations: Vec::new(),
            started: Instant::now(),
            ids: 0,
        }
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The clock, cut to whole seconds as HTTP dates are.
    pub fn now(&self) -> StoreTime {
        let elapsed = SignedDuration::try_from(self.elapsed()).expect("no test runs for 292 billion years");
        let seconds = elapsed.saturating_add(self.settings.skew).as_secs();
        Timestamp::from_second(EPOCH_UNIX.saturating_add(seconds)).expect("tests set clocks to years that exist")
    }

    /// A number that was never given before.
    pub fn fresh_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    /// Puts an object in its place, past every rule.
    pub fn insert(&mut self, key: &ObjectKey, bytes: Bytes, etag: ETag, headers: ObjectHeaders) -> Written {
        let version_id = match self.settings.versioning {
            Versioning::Off => None,
            Versioning::Enabled => Some(format!("v{:08}", self.fresh_id())),
            Versioning::Suspended => Some("null".to_owned()),
        };
        let now = self.now();
        let meta = ObjectMeta {
            size: bytes.len() as u64,
            etag: etag.clone(),
            version_id: version_id.clone(),
            last_modified: Some(now),
            date: None,
            headers,
        };
        self.objects.insert(key.clone(), StoredObject { bytes, meta });
        Written {
            etag,
            version_id,
            date: Some(now),
        }
    }

    pub fn uploads_sorted(&self) -> Vec<Upload> {
        let mut uploads: Vec<Upload> = self
            .uploads
            .iter()
            .map(|(id, pending)| Upload {
                key: pending.key.clone(),
                id: id.clone(),
                initiated: Some(pending.initiated),
            })
            .collect();
        uploads.sort_by(|left, right| (&left.key, &left.id).cmp(&(&right.key, &right.id)));
        uploads
    }

    pub fn violate(&mut self, kind: RequestKind, key: &ObjectKey, what: &'static str) {
        let key = key.clone();
        self.violations.push(Violation { kind, key, what });
    }
}

/// The etag of an object written in one piece: equal bytes have equal etags, as on S3.
pub(super) fn single_etag(bytes: &[u8]) -> ETag {
    ETag::new(&hex::encode(Md5::digest(bytes)))
}

/// The etag of an object made of parts.
pub(super) fn multipart_etag<'a>(parts: impl ExactSizeIterator<Item = &'a Bytes>) -> ETag {
    let count = parts.len();
    let mut whole = Md5::new();
    for part in parts {
        whole.update(Md5::digest(part));
    }
    ETag::new(&format!("{}-{count}", hex::encode(whole.finalize())))
}
