//! A store that fails on demand: any method, the n-th call, before or after the effect.

mod scripts;

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::Semaphore;
use tokio::time::sleep;

pub use self::scripts::{Every, Matching, NoFaults, Nth, Script};
use super::{
    BucketFacts, Checksum, Condition, CopySource, Fetched, Listing, ObjectHeaders, ObjectMeta, Part, Put, RequestKind,
    Store, StoreError, StoreErrorKind, Upload, UploadListing, Written,
};
use crate::model::{Bucket, ETag, ObjectKey};

/// Says what goes wrong with which call.
pub trait FaultScript: Send + Sync {
    /// Decides on one call, before anything of it happens; asked once for each, in the order of numbers
    /// as far as calls have an order.
    fn fault(&self, call: &Call) -> Fault;
}

/// A call about to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// How many calls went before it through this [`FaultyStore`] and its clones.
    pub number: u64,
    /// What is asked.
    pub kind: RequestKind,
    /// The key; of a listing the prefix, of a batch of deletes the first key.
    pub key: Option<ObjectKey>,
    /// How many bytes are sent as the body.
    pub body_len: u64,
}

/// What goes wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It fails and has no effect.
    Before(StoreErrorKind),
    /// It has its effect (or the inner store's own error) and fails all the same: a lost reply.
    After(StoreErrorKind),
    /// It reaches the store only after this long.
    Delay(Duration),
    /// Its answer comes only after this long.
    DelayAfter(Duration),
    /// The connection breaks in the middle: of the answer's body for a get, of the request for all else,
    /// which then has no effect.
    Cut,
    /// It never reaches the store and is never answered.
    Hang,
    /// It has its effect and is never answered. A test that then drops the future has crashed right here.
    HangAfter,
    /// It reaches the store after this long whatever becomes of the caller, as what a paused or killed
    /// process had already sent. Needs a runtime that lives so long.
    LandLate {
        /// How long it is under way.
        after: Duration,
        /// What the caller gets at once; `None`: never anything.
        answer: Option<StoreErrorKind>,
    },
    /// It reaches the store only after the gate was opened, as that of a process that was stopped for a while.
    Wait(Gate),
}

/// Holds calls back until it is opened; a clone is the same gate.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    /// Makes one that is shut.
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets everything through from now on.
    pub fn open(&self) {
        self.0.close();
    }

    async fn wait(&self) {
        let closed = self.0.acquire().await;
        debug_assert!(closed.is_err(), "a gate has no permits, it only ends");
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for Gate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Gate {}

/// A store around another that asks a script before each call; a clone counts on with the same numbers.
#[derive(Clone)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    script: Arc<dyn FaultScript>,
    calls: Arc<AtomicU64>,
}

impl FaultyStore {
    /// Wraps a store.
    pub fn new(inner: Arc<dyn Store>, script: impl FaultScript + 'static) -> Self {
        Self {
            inner,
            script: Arc::new(script),
            calls: Arc::default(),
        }
    }

    /// How many calls were begun so far; what a run without faults needs is where the next can fail.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn next_call(&self, kind: RequestKind, key: Option<&ObjectKey>, body_len: usize) -> (Call, Fault) {
        let call = Call {
            number: self.calls.fetch_add(1, Ordering::SeqCst),
            kind,
            key: key.cloned(),
            body_len: body_len as u64,
        };
        let fault = self.script.fault(&call);
        (call, fault)
    }

    fn error(&self, call: &Call, kind: StoreErrorKind) -> StoreError {
        let bucket = self.inner.bucket();
        StoreError {
            request: call.kind,
            place: match &call.key {
                Some(key) => format!("s3://{bucket}/{key}"),
                None => bucket.to_string(),
            },
            kind,
            detail: Some(format!("injected into call {}", call.number)),
            cause: None,
        }
    }

    /// Makes a call with its fault. The request owns all it needs, since it may outlive the caller.
    async fn act<T: Send + 'static>(
        &self,
        (call, fault): (Call, Fault),
        request: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        match fault {
            Fault::None => request.await,
            Fault::Before(kind) => Err(self.error(&call, kind)),
            Fault::After(kind) => request.await.and_then(|_| Err(self.error(&call, kind))),
            Fault::Delay(delay) => {
                sleep(delay).await;
                request.await
            }
            Fault::DelayAfter(delay) => {
                let answer = request.await;
                sleep(delay).await;
                answer
            }
            Fault::Cut => Err(self.error(&call, StoreErrorKind::NoReply)),
            Fault::Wait(gate) => {
                gate.wait().await;
                request.await
            }
            Fault::Hang => std::future::pending().await,
            Fault::HangAfter => {
                let effect = request.await;
                drop(effect);
                std::future::pending().await
            }
            Fault::LandLate { after, answer } => {
                tokio::spawn(async move {
                    sleep(after).await;
                    if let Err(error) = request.await {
                        tracing::debug!(%error, "a late request landed without effect");
                    }
                });
                match answer {
                    Some(kind) => Err(self.error(&call, kind)),
                    None => std::future::pending().await,
                }
            }
        }
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("FaultyStore")
            .field("bucket", self.inner.bucket())
            .field("calls", &self.calls())
            .finish_non_exhaustive()
    }
}

/// Gives the first half of a body, then the error.
fn cut(fetched: Fetched, length: u64, error: StoreError) -> Fetched {
    let whole = fetched.body;
    let half = futures::stream::unfold(
        (whole, length / 2, Some(error)),
        |(mut body, left, mut error)| async move {
            let item = if left == 0 { None } else { body.next().await };
            match item {
                Some(Ok(mut chunk)) => {
                    chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                    let left = left - chunk.len() as u64;
                    Some((Ok(chunk), (body, left, error)))
                }
                Some(Err(real)) => Some((Err(real), (body, 0, None))),
                None => error.take().map(|error| (Err(error), (body, 0, None))),
            }
        },
    );
    Fetched {
        meta: fetched.meta,
        body: half.boxed(),
    }
}

#[async_trait]
impl Store for FaultyStore {
    fn bucket(&self) -> &Bucket {
        self.inner.bucket()
    }

    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Fetched, StoreError> {
        let (call, fault) = self.next_call(RequestKind::Get, Some(key), 0);
        let (inner, key, wanted) = (self.inner.clone(), key.clone(), range.clone());
        let request = async move { inner.get(&key, wanted).await };
        if fault != Fault::Cut {
            return self.act((call, fault), request).await;
        }
        let fetched = request.await?;
        let size = fetched.meta.size;
        let length = range.map_or(size, |range| range.end.min(size).saturating_sub(range.start));
        Ok(cut(fetched, length, self.error(&call, StoreErrorKind::NoReply)))
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, StoreError> {
        let call = self.next_call(RequestKind::Head, Some(key), 0);
        let (inner, key) = (self.inner.clone(), key.clone());
        self.act(call, async move { inner.head(&key).await }).await
    }

    async fn list(&self, prefix: &str, token: Option<&str>, limit: u16) -> Result<Listing, StoreError> {
        let call = self.next_call(RequestKind::List, Some(&ObjectKey::new(prefix)), 0);
        let (inner, prefix, token) = (self.inner.clone(), prefix.to_owned(), token.map(str::to_owned));
        self.act(call, async move { inner.list(&prefix, token.as_deref(), limit).await })
            .await
    }

    async fn put(&self, key: &ObjectKey, put: Put) -> Result<Written, StoreError> {
        let call = self.next_call(RequestKind::Put, Some(key), put.body.len());
        let (inner, key) = (self.inner.clone(), key.clone());
        self.act(call, async move { inner.put(&key, put).await }).await
    }

    async fn copy(
        &self,
        from: &CopySource,
        to: &ObjectKey,
        condition: &Condition,
        headers: &ObjectHeaders,
    ) -> Result<Written, StoreError> {
        let call = self.next_call(RequestKind::Copy, Some(to), 0);
        let (inner, from, to) = (self.inner.clone(), from.clone(), to.clone());
        let (condition, headers) = (condition.clone(), headers.clone());
        self.act(call, async move { inner.copy(&from, &to, &condition, &headers).await })
            .await
    }

    async fn create_upload(
        &self,
        key: &ObjectKey,
        headers: &ObjectHeaders,
        checksum: Checksum,
    ) -> Result<Upload, StoreError> {
        let call = self.next_call(RequestKind::CreateUpload, Some(key), 0);
        let (inner, key, headers) = (self.inner.clone(), key.clone(), headers.clone());
        self.act(call, async move { inner.create_upload(&key, &headers, checksum).await })
            .await
    }

    async fn upload_part(
        &self,
        upload: &Upload,
        number: u16,
        body: Bytes,
        checksum: Checksum,
        checksum_value: Option<String>,
    ) -> Result<Part, StoreError> {
        let call = self.next_call(RequestKind::UploadPart, Some(&upload.key), body.len());
        let (inner, upload) = (self.inner.clone(), upload.clone());
        self.act(call, async move {
            inner.upload_part(&upload, number, body, checksum, checksum_value).await
        })
        .await
    }

    async fn upload_part_copy(
        &self,
        upload: &Upload,
        number: u16,
        from: &CopySource,
        range: Range<u64>,
    ) -> Result<Part, StoreError> {
        let call = self.next_call(RequestKind::UploadPartCopy, Some(&upload.key), 0);
        let (inner, upload, from) = (self.inner.clone(), upload.clone(), from.clone());
        self.act(call, async move {
            inner.upload_part_copy(&upload, number, &from, range).await
        })
        .await
    }

    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[Part],
        condition: &Condition,
    ) -> Result<Written, StoreError> {
        let call = self.next_call(RequestKind::CompleteUpload, Some(&upload.key), 0);
        let (inner, upload) = (self.inner.clone(), upload.clone());
        let (parts, condition) = (parts.to_vec(), condition.clone());
        self.act(
            call,
            async move { inner.complete_upload(&upload, &parts, &condition).await },
        )
        .await
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<(), StoreError> {
        let call = self.next_call(RequestKind::AbortUpload, Some(&upload.key), 0);
        let (inner, upload) = (self.inner.clone(), upload.clone());
        self.act(call, async move { inner.abort_upload(&upload).await }).await
    }

    async fn list_uploads(&self, prefix: &str, token: Option<&str>) -> Result<UploadListing, StoreError> {
        let call = self.next_call(RequestKind::ListUploads, Some(&ObjectKey::new(prefix)), 0);
        let (inner, prefix, token) = (self.inner.clone(), prefix.to_owned(), token.map(str::to_owned));
        self.act(call, async move { inner.list_uploads(&prefix, token.as_deref()).await })
            .await
    }

    async fn delete(&self, key: &ObjectKey, condition: &Condition) -> Result<(), StoreError> {
        let call = self.next_call(RequestKind::Delete, Some(key), 0);
        let (inner, key, condition) = (self.inner.clone(), key.clone(), condition.clone());
        self.act(call, async move { inner.delete(&key, &condition).await })
            .await
    }

    async fn delete_many(&self, keys: &[(ObjectKey, Option<ETag>)]) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let first = keys.first().map(|(key, _)| key);
        let call = self.next_call(RequestKind::DeleteMany, first, 0);
        let (inner, keys) = (self.inner.clone(), keys.to_vec());
        self.act(call, async move { inner.delete_many(&keys).await }).await
    }

    async fn bucket_facts(&self) -> Result<BucketFacts, StoreError> {
        let call = self.next_call(RequestKind::BucketFacts, None, 0);
        let inner = self.inner.clone();
        self.act(call, async move { inner.bucket_facts().await }).await
    }
}

#[cfg(test)]
mod tests;
