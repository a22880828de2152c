//! Sends again what may well succeed a little later.

mod body;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::time::Instant;

use super::{
    BucketFacts, Checksum, Condition, CopySource, Fetched, Limiter, Listing, ObjectHeaders, ObjectMeta, Part, Put,
    RequestCounts, RequestKind, Store, StoreError, StoreErrorKind, Upload, UploadListing, Written,
};
use crate::model::{Bucket, ETag, ObjectKey};

/// How long a store may stay out of reach, or, where it has never said a word, be silent. An outage of S3 outlasts
/// any patience, and a wrong endpoint should be told soon.
const OUT_OF_REACH: Duration = Duration::from_secs(20);

/// How often and how soon to send again.
#[derive(Clone, Copy, Debug)]
pub struct RetryConfig {
    /// How often a request is sent at most.
    pub attempts: u32,
    /// The longest wait before the second attempt; it doubles with each.
    pub first_backoff: Duration,
    /// The longest wait before any.
    pub max_backoff: Duration,
}

impl Default for RetryConfig {
    /// The SDK's three attempts are few for an export of hours: a store that splits a hot prefix answers
    /// 503 for a minute.
    fn default() -> Self {
        Self {
            attempts: 8,
            first_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(10),
        }
    }
}

/// A store whose requests are repeated when they fail for a passing reason.
///
/// A repeated conditional write may answer 412, or a repeated completion 404, because the lost first one
/// did land: both are passed on as they are, since only a look at what is there can tell. The start of an
/// upload is not repeated when no reply came: the first may have begun an upload that nobody knows of, and
/// whoever asked must look for it.
///
/// With a limiter each attempt waits for a place; without one (lease and ledger) it goes at once, so that
/// a bulk transfer cannot starve it. The place is given back when the reply begins: a caller may read one
/// object while it writes another, and would wait for itself.
///
/// A body that breaks off is asked for again from there on, unless the object was replaced meanwhile.
#[derive(Clone)]
pub struct Retrying {
    store: Arc<dyn Store>,
    config: RetryConfig,
    limiter: Option<Arc<Limiter>>,
    counts: Arc<RequestCounts>,
    /// Whether the store has ever answered, be it with an error.
    heard: Arc<AtomicBool>,
}

impl Retrying {
    /// Wraps a store.
    pub fn new(store: Arc<dyn Store>, limiter: Option<Arc<Limiter>>, counts: Arc<RequestCounts>) -> Self {
        Self {
            store,
            config: RetryConfig::default(),
            limiter,
            counts,
            heard: Arc::default(),
        }
    }

    /// The same with other numbers.
    pub fn with_config(self, config: RetryConfig) -> Self {
        Self { config, ..self }
    }

    /// Sends until it succeeds, fails for good, or patience ends.
    async fn again<T, F>(
        &self,
        request: RequestKind,
        bytes_out: usize,
        call: impl Fn() -> F + Send + Sync,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        let mut patience = Patience::new(self.config);
        loop {
            let begun = Instant::now();
            let error = match self.attempt(request, bytes_out, call()).await {
                Ok(output) => return Ok(output),
                Err(error) => error,
            };
            let lost_upload = request == RequestKind::CreateUpload && error.kind.is_ambiguous();
            if lost_upload || !self.wait(&mut patience, begun, &error).await {
                return Err(error);
            }
        }
    }

    async fn attempt<T>(
        &self,
        request: RequestKind,
        bytes_out: usize,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let place = match &self.limiter {
            Some(limiter) => Some(limiter.place().await),
            None => None,
        };
        self.counts.add(|totals| {
            *totals.attempts.entry(request).or_default() += 1;
            totals.bytes_out += bytes_out as u64;
        });
        let begun = Instant::now();
        let outcome = call.await;
        drop(place);
        self.counts.observe(request, &outcome, begun.elapsed());
        let silent = |kind: &StoreErrorKind| matches!(kind, StoreErrorKind::Unreachable | StoreErrorKind::NoReply);
        if !outcome.as_ref().is_err_and(|error| silent(&error.kind)) {
            self.heard.store(true, Ordering::Relaxed);
        }
        match &outcome {
            Ok(_) => self.limiter.iter().for_each(|limiter| limiter.succeeded()),
            Err(error) => self.note(error, bytes_out),
        }
        outcome
    }

    /// Tells the limiter and the counts of a throttled request.
    fn note(&self, error: &StoreError, bytes_out: usize) {
        let is_throttled = error.kind == StoreErrorKind::Throttled;
        if is_throttled {
            self.counts.add(|totals| totals.throttles += 1);
        }
        // Bodies that did not arrive in time share a slow line with too many others.
        if is_throttled || (error.kind == StoreErrorKind::NoReply && bytes_out > 0) {
            self.limiter.iter().for_each(|limiter| limiter.throttled());
        }
    }

    /// The same for a batch, which was one request however many of its keys were throttled.
    fn note_first_of(&self, outcomes: &[Result<(), StoreError>]) {
        let mut errors = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
        if let Some(error) = errors.find(|error| error.kind == StoreErrorKind::Throttled) {
            self.note(error, 0);
        }
    }

    /// Waits before another attempt; `false` where there is to be none.
    async fn wait(&self, patience: &mut Patience, begun: Instant, error: &StoreError) -> bool {
        // A write may be silent because its body is slow on its way.
        let never_heard = !error.request.is_write() && !self.heard.load(Ordering::Relaxed);
        let Some(pause) = patience.pause(begun, &error.kind, never_heard) else {
            return false;
        };
        tracing::debug!(%error, pause_ms = pause.as_millis(), "sending again");
        tokio::time::sleep(pause).await;
        self.counts.add(|totals| totals.retries += 1);
        true
    }
}

/// How long one request has been tried.
#[derive(Debug)]
struct Patience {
    config: RetryConfig,
    failures: u32,
    /// Since when no attempt has got through.
    out_of_reach: Option<Instant>,
}

impl Patience {
    fn new(config: RetryConfig) -> Self {
        Self {
            config,
            failures: 0,
            out_of_reach: None,
        }
    }

    /// How long to wait after an attempt failed; `None` where waiting is no use. Whoever was never heard gets no
    /// longer to begin than who cannot be reached.
    fn pause(&mut self, begun: Instant, kind: &StoreErrorKind, never_heard: bool) -> Option<Duration> {
        self.failures += 1;
        if !kind.is_transient() || self.failures >= self.config.attempts {
            return None;
        }
        let doubled = self
            .config
            .first_backoff
            .saturating_mul(1 << (self.failures - 1).min(16));
        // Anything between nothing and the bound, so that those who failed together do not come back together.
        let pause = doubled.min(self.config.max_backoff).mul_f64(fastrand::f64());
        if *kind == StoreErrorKind::Unreachable || (*kind == StoreErrorKind::NoReply && never_heard) {
            let since = *self.out_of_reach.get_or_insert(begun);
            (since.elapsed() + pause < OUT_OF_REACH).then_some(pause)
        } else {
            self.out_of_reach = None;
            Some(pause)
        }
    }
}

#[async_trait]
impl Store for Retrying {
    fn bucket(&self) -> &Bucket {
        self.store.bucket()
    }

    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Fetched, StoreError> {
        let call = || self.store.get(key, range.clone());
        let fetched = self.again(RequestKind::Get, 0, call).await?;
        let counts = Arc::clone(&self.counts);
        let count = move |bytes: &Bytes| counts.add(|totals| totals.bytes_in += bytes.len() as u64);
        let fetched = body::going_on(self.clone(), key.clone(), range, fetched);
        Ok(Fetched {
            meta: fetched.meta,
            body: fetched.body.inspect_ok(count).boxed(),
        })
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, StoreError> {
        self.again(RequestKind::Head, 0, || self.store.head(key)).await
    }

    async fn list(&self, prefix: &str, token: Option<&str>, limit: u16) -> Result<Listing, StoreError> {
        let call = || self.store.list(prefix, token, limit);
        self.again(RequestKind::List, 0, call).await
    }

    async fn put(&self, key: &ObjectKey, put: Put) -> Result<Written, StoreError> {
        let call = || self.store.put(key, put.clone());
        self.again(RequestKind::Put, put.body.len(), call).await
    }

    async fn copy(
        &self,
        from: &CopySource,
        to: &ObjectKey,
        condition: &Condition,
        headers: &ObjectHeaders,
    ) -> Result<Written, StoreError> {
        let call = || self.store.copy(from, to, condition, headers);
        self.again(RequestKind::Copy, 0, call).await
    }

    async fn create_upload(
        &self,
        key: &ObjectKey,
        headers: &ObjectHeaders,
        checksum: Checksum,
    ) -> Result<Upload, StoreError> {
        let call = || self.store.create_upload(key, headers, checksum);
        self.again(RequestKind::CreateUpload, 0, call).await
    }

    async fn upload_part(
        &self,
        upload: &Upload,
        number: u16,
        body: Bytes,
        checksum: Checksum,
        checksum_value: Option<String>,
    ) -> Result<Part, StoreError> {
        let call = || {
            self.store
                .upload_part(upload, number, body.clone(), checksum, checksum_value.clone())
        };
        self.again(RequestKind::UploadPart, body.len(), call).await
    }

    async fn upload_part_copy(
        &self,
        upload: &Upload,
        number: u16,
        from: &CopySource,
        range: Range<u64>,
    ) -> Result<Part, StoreError> {
        let call = || self.store.upload_part_copy(upload, number, from, range.clone());
        self.again(RequestKind::UploadPartCopy, 0, call).await
    }

    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[Part],
        condition: &Condition,
    ) -> Result<Written, StoreError> {
        let call = || self.store.complete_upload(upload, parts, condition);
        self.again(RequestKind::CompleteUpload, 0, call).await
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<(), StoreError> {
        let call = || self.store.abort_upload(upload);
        self.again(RequestKind::AbortUpload, 0, call).await
    }

    async fn list_uploads(&self, prefix: &str, token: Option<&str>) -> Result<UploadListing, StoreError> {
        let call = || self.store.list_uploads(prefix, token);
        self.again(RequestKind::ListUploads, 0, call).await
    }

    async fn delete(&self, key: &ObjectKey, condition: &Condition) -> Result<(), StoreError> {
        let call = || self.store.delete(key, condition);
        self.again(RequestKind::Delete, 0, call).await
    }

    /// Sends again only those keys that failed for a passing reason.
    async fn delete_many(&self, keys: &[(ObjectKey, Option<ETag>)]) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let call = || self.store.delete_many(keys);
        let mut outcomes = self.again(RequestKind::DeleteMany, 0, call).await?;
        self.note_first_of(&outcomes);
        let mut patience = Patience::new(self.config);
        loop {
            let passing = |outcome: &Result<(), StoreError>| outcome.as_ref().is_err_and(|e| e.kind.is_transient());
            let left: Vec<usize> = (0..outcomes.len()).filter(|at| passing(&outcomes[*at])).collect();
            let Some(Err(first)) = left.first().map(|at| &outcomes[*at]) else {
                return Ok(outcomes);
            };
            if !self.wait(&mut patience, Instant::now(), first).await {
                return Ok(outcomes);
            }
            let batch: Vec<_> = left.iter().map(|at| keys[*at].clone()).collect();
            let call = self.store.delete_many(&batch);
            match self.attempt(RequestKind::DeleteMany, 0, call).await {
                Ok(later) => {
                    self.note_first_of(&later);
                    for (at, outcome) in left.into_iter().zip(later) {
                        outcomes[at] = outcome;
                    }
                }
                // The others are deleted; what the batch as a whole met is the outcome of each that is left.
                Err(error) if error.kind.is_transient() => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn bucket_facts(&self) -> Result<BucketFacts, StoreError> {
        let call = || self.store.bucket_facts();
        self.again(RequestKind::BucketFacts, 0, call).await
    }
}

#[cfg(test)]
mod tests;
