//! Brings one object to what the head wants: the loop around sending and looking.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::ledger::{HeadersDigest, Record};
use crate::model::{ContentHasher, ContentIds, ETag, Entry, ObjectKey, RelPath};
use crate::plan::{Origin, Replaces};
use crate::source::{Body, SourceError};
use crate::store::{Condition, Put, StoreError, StoreErrorKind, Written};
use crate::switches::{Switch, is_out};

use super::Transfer;
use super::look::Seen;
use super::outside::OutsideCopies;

/// How often a refused write is looked at and tried again: a lost reply, a kin's object and a file in a
/// folder's place make three, and somebody who writes the key all the time is a conflict in the end.
const ROUNDS: u32 = 6;

/// How often a file that changes while it is read is queued again.
const READS: u32 = 3;

/// How long such a file is left alone before it is read again, times the number of tries.
const SETTLE: Duration = Duration::from_millis(200);

/// Why an object did not come to what the head wants.
#[derive(Debug, thiserror::Error)]
pub(super) enum ObjectError {
    #[error("{0}")]
    Conflict(String),
    #[error("its bytes lie where the store cannot copy them from; --transfer auto sends them")]
    NoCopy,
    #[error("the store cannot copy it from {from}; --transfer auto sends its bytes")]
    CannotCopy {
        from: String,
        #[source]
        cause: StoreError,
    },
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An object that was written.
pub(super) struct Sent {
    pub(super) written: Written,
    pub(super) content: ContentIds,
}

impl Transfer {
    /// The key of a path; the plan let only text through.
    pub(super) fn key(&self, path: &RelPath) -> ObjectKey {
        self.prefix.key(path).expect("the plan refuses paths that are no text")
    }

    /// Writes one object; tells whether the store copied it.
    pub(super) async fn write(
        &self,
        entry: &Entry,
        headers: HeadersDigest,
        replaces: &Replaces,
        origin: &Origin,
    ) -> Result<(Record, bool), ObjectError> {
        let mut condition = match replaces {
            Replaces::Nothing if is_out(Switch::PutAbsent) => Condition::Always,
            Replaces::Object(_) if is_out(Switch::PutMatches) => Condition::Always,
            Replaces::Nothing => Condition::Absent,
            Replaces::Object(etag) => Condition::Matches(etag.clone()),
        };
        let mut origin = origin.clone();
        let mut from = self.copy_source(entry, &origin);
        if from.is_none() && lesser(entry, &origin) == Origin::Outside && origin != Origin::Outside {
            // The twin failed; what is to be copied lies elsewhere, too.
            origin = Origin::Outside;
            from = self.copy_source(entry, &origin);
        }
        let mut reads = 0;
        let mut rounds = 0;
        loop {
            let copied = from.is_some();
            let sent = match &from {
                Some(from) if origin == Origin::Outside => self.copy_from_outside(entry, from, &condition).await,
                Some(from) => self.copy(entry, from, &condition).await,
                None if self.outside_copies == OutsideCopies::Only && entry.size > 0 => {
                    return Err(ObjectError::NoCopy);
                }
                None => self.stream(entry, &condition).await,
            };
            let error = match sent {
                Ok(sent) => return Ok((record(entry, headers, sent), copied)),
                Err(ObjectError::Source(SourceError::Changed { .. })) if reads + 1 < READS => {
                    reads += 1;
                    tokio::time::sleep(SETTLE * reads).await;
                    continue;
                }
                Err(ObjectError::Store(error)) => error,
                Err(error) => return Err(error),
            };
            let last_way = self.outside_copies == OutsideCopies::Only && origin == Origin::Outside;
            if copied && !last_way && !error.kind.is_transient() && !ends_all(&error, &origin) {
                // Whatever keeps the store from copying (a policy, an origin that is gone, otherwise now, archived or
                // on another store) does not keep us from sending; and if it was the target, a PUT will tell.
                origin = lesser(entry, &origin);
                from = self.copy_source(entry, &origin);
                continue;
            }
            if !needs_look(&error.kind) {
                return Err(if last_way {
                    self.why_not_copied(entry, error).await
                } else {
                    error.into()
                });
            }
            rounds += 1;
            match self.look(entry, headers, &condition, &error.kind).await? {
                Seen::Done(record) => return Ok((*record, copied)),
                Seen::Conflict(text) => return Err(ObjectError::Conflict(text)),
                Seen::Again(_) if rounds >= ROUNDS && !last_way => return Err(error.into()),
                // Retries are spent already: looking was to learn whether it had landed after all.
                Seen::Again(_) if error.kind.is_ambiguous() => return Err(error.into()),
                // The target is as it was expected, so it is the origin that is gone or otherwise now.
                Seen::Again(next) if last_way && (next == condition || rounds >= ROUNDS) => {
                    return Err(self.why_not_copied(entry, error).await);
                }
                Seen::Again(next) => condition = next,
            }
        }
    }

    async fn stream(&self, entry: &Entry, condition: &Condition) -> Result<Sent, ObjectError> {
        if entry.size > self.part_size_bytes {
            return self.stream_in_parts(entry, condition).await;
        }
        let _room = self.budget.take(entry.size).await;
        // Nothing needs to be read of an empty object; a marker is in no source.
        let body = if entry.size == 0 {
            Body::Whole(Bytes::new())
        } else {
            self.open(entry).await?
        };
        let bytes = read_whole(entry, body).await?;
        let mut hasher = ContentHasher::new(entry.content, entry.size);
        hasher.update(&bytes);
        let content = match hasher.finish() {
            None if is_out(Switch::ContentChecked) => entry.content,
            checked => checked.ok_or_else(|| changed(entry))?,
        };
        let honoured = &self.capabilities;
        let condition = self
            .effective_condition(&entry.path, condition, honoured.put_absent, honoured.put_matches)
            .await?;
        self.spend(entry.size).await;
        let headers = self.object_headers(entry);
        let put = Put {
            headers,
            checksum: self.checksum,
            ..Put::new(bytes, condition)
        };
        let written = self.store.put(&self.key(&entry.path), put).await?;
        self.progress.moved(entry.size);
        Ok(Sent { written, content })
    }

    pub(super) async fn open(&self, entry: &Entry) -> Result<Body, SourceError> {
        self.source.open(&self.commit, entry).await
    }

    /// Waits until the bandwidth allows so many bytes.
    pub(super) async fn spend(&self, bytes: u64) {
        if let Some(bandwidth) = &self.bandwidth {
            bandwidth.take(bytes).await;
        }
    }

    /// Remembers the etag of an object that others of this plan are copied from.
    pub(super) fn note_twin(&self, path: &RelPath, etag: &ETag) {
        self.twins
            .lock()
            .expect("nobody panics while holding it")
            .insert(path.clone(), etag.clone());
    }
}

pub(super) fn changed(entry: &Entry) -> ObjectError {
    SourceError::Changed {
        path: entry.path.clone(),
    }
    .into()
}

/// The next best way to the bytes of an entry.
fn lesser(entry: &Entry, origin: &Origin) -> Origin {
    match origin {
        Origin::Object { .. } | Origin::Twin { .. } if entry.origin.is_some() => Origin::Outside,
        Origin::Object { .. } | Origin::Twin { .. } | Origin::Outside | Origin::Stream => Origin::Stream,
    }
}

/// Whether no other request will fare better. Of a copy from outside that is not known: what the store says may be
/// about the other bucket, and the PUT that follows tells.
fn ends_all(error: &StoreError, origin: &Origin) -> bool {
    match origin {
        Origin::Outside => error.kind == StoreErrorKind::LeaseLost,
        Origin::Stream | Origin::Object { .. } | Origin::Twin { .. } => error.kind.is_fatal(),
    }
}

fn needs_look(kind: &StoreErrorKind) -> bool {
    matches!(
        kind,
        StoreErrorKind::ConditionFailed | StoreErrorKind::NotFound | StoreErrorKind::Conflict
    ) || kind.is_ambiguous()
}

fn record(entry: &Entry, headers: HeadersDigest, sent: Sent) -> Record {
    Record {
        path: entry.path.clone(),
        etag: sent.written.etag,
        size: entry.size,
        content: sent.content,
        headers,
        version_id: sent.written.version_id.map(Into::into),
    }
}

async fn read_whole(entry: &Entry, mut body: Body) -> Result<Bytes, ObjectError> {
    if let Body::Whole(bytes) = body {
        return if bytes.len() as u64 == entry.size {
            Ok(bytes)
        } else {
            Err(changed(entry))
        };
    }
    let mut all = BytesMut::with_capacity(usize::try_from(entry.size).expect("at most a part"));
    while let Some(chunk) = body.next_chunk().await? {
        if all.len() as u64 + chunk.len() as u64 > entry.size {
            return Err(changed(entry));
        }
        all.extend_from_slice(&chunk);
    }
    if all.len() as u64 == entry.size {
        Ok(all.freeze())
    } else {
        Err(changed(entry))
    }
}
