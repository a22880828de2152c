//! A store that writes only under a living lease.

use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::{
    BucketFacts, Checksum, Condition, CopySource, Fetched, Listing, ObjectHeaders, ObjectMeta, Part, Put, RequestKind,
    Store, StoreError, StoreErrorKind, Upload, UploadListing, Written,
};
use crate::clock::Clock;
use crate::model::{Bucket, ETag, ObjectKey, Prefix};
use crate::switches::{Switch, is_out};

/// What is known of a lease: whoever renews it tells, whoever writes asks.
pub struct LeaseWatch {
    clock: Arc<dyn Clock>,
    life: watch::Sender<Life>,
    wanted: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Nobody else can have the lease before this moment on the clock; it may be past.
    Until(Duration),
    /// It is over for good.
    Lost,
}

/// The lease is over: nothing may be written any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease was lost")]
pub struct LeaseIsLost;

impl LeaseWatch {
    /// Begins with a lease that is good until that moment on the clock.
    pub fn new(clock: Arc<dyn Clock>, valid_until: Duration) -> Arc<Self> {
        let (life, _) = watch::channel(Life::Until(valid_until));
        Arc::new(Self {
            clock,
            life,
            wanted: Notify::new(),
        })
    }

    /// Tells that the lease is good until then; one that is lost stays lost.
    pub fn extend(&self, valid_until: Duration) {
        self.life.send_if_modified(|life| match life {
            Life::Until(until) if *until < valid_until => {
                *until = valid_until;
                true
            }
            _ => false,
        });
    }

    /// Tells that the lease is over for good, and wakes all who wait for it.
    pub fn lose(&self) {
        self.life.send_replace(Life::Lost);
    }

    /// Whether the lease is over for good. One that ran out may still be renewed.
    pub fn is_lost(&self) -> bool {
        *self.life.borrow() == Life::Lost
    }

    /// Until when the lease is good, on the clock; `None` once it is lost.
    pub fn valid_until(&self) -> Option<Duration> {
        match *self.life.borrow() {
            Life::Until(until) => Some(until),
            Life::Lost => None,
        }
    }

    /// Waits until somebody waits for a renewal.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Waits until the lease outlives all that happens within `deadline` from now, and gives the moment until
    /// which that is: now and the deadline.
    ///
    /// There is no limit of its own to the waiting: whoever renews says that the lease is lost when renewing fails
    /// for too long.
    pub async fn admit(&self, deadline: Duration) -> Result<Duration, LeaseIsLost> {
        let mut life = self.life.subscribe();
        loop {
            // Looked at anew after each wait: any time may have passed since the news came.
            match *life.borrow_and_update() {
                Life::Lost => return Err(LeaseIsLost),
                Life::Until(until) => {
                    let end = self.clock.now() + deadline;
                    if end < until {
                        return Ok(end);
                    }
                }
            }
            self.wanted.notify_one();
            life.changed().await.map_err(|_| LeaseIsLost)?;
        }
    }
}

impl fmt::Debug for LeaseWatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "LeaseWatch({:?} at {:?})", *self.life.borrow(), self.clock.now())
    }
}

/// A store around another whose writes are sent only while the lease outlives their deadline.
///
/// A write that has no reply by then ends as [`StoreErrorKind::NoReply`]: the request may still land, but nothing
/// of it is sent any more. A lease that is lost ends all writes with [`StoreErrorKind::LeaseLost`]. Reads pass.
pub struct Fenced {
    inner: Arc<dyn Store>,
    watch: Arc<LeaseWatch>,
    deadline: Duration,
    ledger: Prefix,
    timed_out_writes: Arc<AtomicBool>,
    doubtful_writes: Arc<AtomicBool>,
}

impl Fenced {
    /// Fences a store by a lease. `deadline` is how long one write may take, half the lease's life as a rule:
    /// longer ones would be admitted only just after a renewal.
    ///
    /// Writes below `ledger` (the prefix of `_lakesync/`) are fenced, too, but do not count as timed-out data
    /// writes: its files have names of their own or `If-Match`, so that a late one changes nothing.
    pub fn new(inner: Arc<dyn Store>, watch: Arc<LeaseWatch>, deadline: Duration, ledger: Prefix) -> Self {
        Self {
            inner,
            watch,
            deadline,
            ledger,
            timed_out_writes: Arc::default(),
            doubtful_writes: Arc::default(),
        }
    }

    /// Whether a write that readers could see has ended without a reply so far: it may land within the next
    /// half hour, so the run must record itself as unsettled. So it must where an upload may be left.
    pub fn timed_out_writes(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.timed_out_writes)
    }

    /// Whether a write that readers could see has ended so far without saying what it did: with no reply, or with
    /// an error of the store behind which it may have been done. A later try may have cleared that up.
    pub fn doubtful_writes(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.doubtful_writes)
    }

    async fn write<T>(
        &self,
        request: RequestKind,
        key: Option<&ObjectKey>,
        write: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        debug_assert!(request.is_write());
        if is_out(Switch::FenceByLease) {
            return write.await;
        }
        let failed = |kind| StoreError {
            request,
            place: match key {
                Some(key) => format!("s3://{}/{key}", self.inner.bucket()),
                None => format!("s3://{}", self.inner.bucket()),
            },
            kind,
            detail: None,
            cause: None,
        };
        let end = self
            .watch
            .admit(self.deadline)
            .await
            .map_err(|LeaseIsLost| failed(StoreErrorKind::LeaseLost))?;
        let mut write = pin!(write);
        // tokio's timers stand still while the machine sleeps, and look only after the request was polled: one
        // that wakes late must not send the rest of its bytes.
        let in_time = poll_fn(|context| {
            if self.watch.clock.now() >= end {
                return Poll::Ready(None);
            }
            write.as_mut().poll(context).map(Some)
        });
        let outcome = match timeout(self.deadline, in_time).await {
            Ok(Some(outcome)) => outcome,
            Ok(None) | Err(_) => Err(failed(StoreErrorKind::NoReply)),
        };
        if let Err(error) = &outcome
            && key.is_none_or(|key| !key.as_str().starts_with(self.ledger.as_str()))
        {
            let is_done_perhaps = is_seen_by_readers(request) && error.kind.is_ambiguous();
            // An upload may have begun of which nobody knows.
            let is_left = request == RequestKind::CreateUpload && error.kind.is_ambiguous();
            if is_done_perhaps || is_left {
                self.doubtful_writes.store(true, Ordering::Relaxed);
            }
            if (is_done_perhaps && error.kind == StoreErrorKind::NoReply) || is_left {
                self.timed_out_writes.store(true, Ordering::Relaxed);
            }
        }
        outcome
    }
}

/// Whether the request changes an object; parts of an upload and its end without an object do not.
fn is_seen_by_readers(request: RequestKind) -> bool {
    matches!(
        request,
        RequestKind::Put
            | RequestKind::Copy
            | RequestKind::CompleteUpload
            | RequestKind::Delete
            | RequestKind::DeleteMany
    )
}

impl fmt::Debug for Fenced {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Fenced")
            .field("bucket", self.inner.bucket())
            .field("watch", &self.watch)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for Fenced {
    fn bucket(&self) -> &Bucket {
        self.inner.bucket()
    }

    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Fetched, StoreError> {
        self.inner.get(key, range).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, StoreError> {
        self.inner.head(key).await
    }

    async fn list(&self, prefix: &str, token: Option<&str>, limit: u16) -> Result<Listing, StoreError> {
        self.inner.list(prefix, token, limit).await
    }

    async fn put(&self, key: &ObjectKey, put: Put) -> Result<Written, StoreError> {
        self.write(RequestKind::Put, Some(key), self.inner.put(key, put)).await
    }

    async fn copy(
        &self,
        from: &CopySource,
        to: &ObjectKey,
        condition: &Condition,
        headers: &ObjectHeaders,
    ) -> Result<Written, StoreError> {
        let copy = self.inner.copy(from, to, condition, headers);
        self.write(RequestKind::Copy, Some(to), copy).await
    }

    async fn create_upload(
        &self,
        key: &ObjectKey,
        headers: &ObjectHeaders,
        checksum: Checksum,
    ) -> Result<Upload, StoreError> {
        let create = self.inner.create_upload(key, headers, checksum);
        self.write(RequestKind::CreateUpload, Some(key), create).await
    }

    async fn upload_part(
        &self,
        upload: &Upload,
        number: u16,
        body: Bytes,
        checksum: Checksum,
        checksum_value: Option<String>,
    ) -> Result<Part, StoreError> {
        let part = self.inner.upload_part(upload, number, body, checksum, checksum_value);
        self.write(RequestKind::UploadPart, Some(&upload.key), part).await
    }

    async fn upload_part_copy(
        &self,
        upload: &Upload,
        number: u16,
        from: &CopySource,
        range: Range<u64>,
    ) -> Result<Part, StoreError> {
        let part = self.inner.upload_part_copy(upload, number, from, range);
        self.write(RequestKind::UploadPartCopy, Some(&upload.key), part).await
    }

    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[Part],
        condition: &Condition,
    ) -> Result<Written, StoreError> {
        let complete = self.inner.complete_upload(upload, parts, condition);
        self.write(RequestKind::CompleteUpload, Some(&upload.key), complete)
            .await
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<(), StoreError> {
        let abort = self.inner.abort_upload(upload);
        self.write(RequestKind::AbortUpload, Some(&upload.key), abort).await
    }

    async fn list_uploads(&self, prefix: &str, token: Option<&str>) -> Result<UploadListing, StoreError> {
        self.inner.list_uploads(prefix, token).await
    }

    async fn delete(&self, key: &ObjectKey, condition: &Condition) -> Result<(), StoreError> {
        let delete = self.inner.delete(key, condition);
        self.write(RequestKind::Delete, Some(key), delete).await
    }

    async fn delete_many(&self, keys: &[(ObjectKey, Option<ETag>)]) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        // Batches hold keys of one kind, data or ledger.
        let first = keys.first().map(|(key, _)| key);
        let delete = self.inner.delete_many(keys);
        self.write(RequestKind::DeleteMany, first, delete).await
    }

    async fn bucket_facts(&self) -> Result<BucketFacts, StoreError> {
        self.inner.bucket_facts().await
    }
}

#[cfg(test)]
mod tests;
