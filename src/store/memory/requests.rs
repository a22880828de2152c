//! The bucket behind the seam: each request gives way, takes effect at once, is logged, gives way again.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::task::yield_now;

use super::state::State;
use super::{Logged, MemoryStore, Neighbour, StoredObject};
use crate::model::{Bucket, ETag, ObjectKey};
use crate::store::{
    BucketFacts, Checksum, Condition, CopySource, Fetched, Listing, ObjectHeaders, ObjectMeta, Part, Put, RequestKind,
    Store, StoreError, StoreErrorKind, Upload, UploadListing, Written,
};

/// How much of a body comes at once: little, so that even small objects come in several chunks.
const CHUNK_BYTES: usize = 4_096;

impl MemoryStore {
    async fn answer<T: Send>(
        &self,
        kind: RequestKind,
        key: Option<&ObjectKey>,
        act: impl FnOnce(&mut State) -> Result<T, StoreErrorKind> + Send,
    ) -> Result<T, StoreError> {
        yield_now().await;
        let outcome = {
            let mut state = self.lock();
            let outcome = act(&mut state);
            let logged = Logged {
                kind,
                key: key.cloned(),
                batch: Vec::new(),
                ok: outcome.is_ok(),
                at: state.elapsed(),
                by: self.by,
            };
            state.log.push(logged);
            outcome
        };
        yield_now().await;
        outcome.map_err(|problem| self.error(kind, key, problem))
    }

    fn error(&self, request: RequestKind, key: Option<&ObjectKey>, kind: StoreErrorKind) -> StoreError {
        let bucket = &self.bucket;
        StoreError {
            request,
            place: key.map_or_else(|| bucket.to_string(), |key| format!("s3://{bucket}/{key}")),
            kind,
            detail: None,
            cause: None,
        }
    }

    /// Reads a copy source of another bucket, before this one is locked.
    fn find_elsewhere(&self, from: &CopySource) -> Option<Result<StoredObject, StoreErrorKind>> {
        if from.bucket == self.bucket {
            return None;
        }
        let neighbour = self.lock().settings.neighbours.get(&from.bucket).cloned();
        Some(match neighbour {
            Some(Neighbour::Readable(store)) => store.lock().find(&from.key),
            Some(Neighbour::Denied) => Err(StoreErrorKind::Denied),
            None => Err(StoreErrorKind::NoSuchBucket),
        })
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Fetched, StoreError> {
        let object = self
            .answer(RequestKind::Get, Some(key), |state| state.get(key, range))
            .await?;
        let (meta, mut rest) = (object.meta, object.bytes);
        let chunks = std::iter::from_fn(move || {
            let chunk = rest.split_to(rest.len().min(CHUNK_BYTES));
            (!chunk.is_empty()).then_some(Ok(chunk))
        });
        Ok(Fetched {
            meta,
            body: futures::stream::iter(chunks).boxed(),
        })
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, StoreError> {
        self.answer(RequestKind::Head, Some(key), |state| {
            state.find(key).map(|object| object.meta)
        })
        .await
    }

    async fn list(&self, prefix: &str, token: Option<&str>, limit: u16) -> Result<Listing, StoreError> {
        let key = ObjectKey::new(prefix);
        self.answer(RequestKind::List, Some(&key), |state| state.list(prefix, token, limit))
            .await
    }

    async fn put(&self, key: &ObjectKey, put: Put) -> Result<Written, StoreError> {
        self.answer(RequestKind::Put, Some(key), |state| state.put(key, put))
            .await
    }

    async fn copy(
        &self,
        from: &CopySource,
        to: &ObjectKey,
        condition: &Condition,
        headers: &ObjectHeaders,
    ) -> Result<Written, StoreError> {
        let elsewhere = self.find_elsewhere(from);
        self.answer(RequestKind::Copy, Some(to), |state| {
            state.copy(from, elsewhere, to, condition, headers.clone())
        })
        .await
    }

    async fn create_upload(
        &self,
        key: &ObjectKey,
        headers: &ObjectHeaders,
        _checksum: Checksum,
    ) -> Result<Upload, StoreError> {
        self.answer(RequestKind::CreateUpload, Some(key), |state| {
            state.create_upload(key, headers.clone())
        })
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
        self.answer(RequestKind::UploadPart, Some(&upload.key), |state| {
            state.verify(checksum, checksum_value.as_deref(), &body)?;
            state.upload_part(upload, number, body)
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
        let elsewhere = self.find_elsewhere(from);
        self.answer(RequestKind::UploadPartCopy, Some(&upload.key), |state| {
            state.upload_part_copy(upload, number, from, elsewhere, range)
        })
        .await
    }

    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[Part],
        condition: &Condition,
    ) -> Result<Written, StoreError> {
        self.answer(RequestKind::CompleteUpload, Some(&upload.key), |state| {
            state.complete_upload(upload, parts, condition)
        })
        .await
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<(), StoreError> {
        self.answer(RequestKind::AbortUpload, Some(&upload.key), |state| {
            state.abort_upload(upload);
            Ok(())
        })
        .await
    }

    async fn list_uploads(&self, prefix: &str, token: Option<&str>) -> Result<UploadListing, StoreError> {
        let key = ObjectKey::new(prefix);
        self.answer(RequestKind::ListUploads, Some(&key), |state| {
            state.list_uploads(prefix, token)
        })
        .await
    }

    async fn delete(&self, key: &ObjectKey, condition: &Condition) -> Result<(), StoreError> {
        self.answer(RequestKind::Delete, Some(key), |state| {
            let honoured = state.settings.capabilities.delete_matches;
            state.delete(RequestKind::Delete, key, condition, honoured)
        })
        .await
    }

    async fn delete_many(&self, keys: &[(ObjectKey, Option<ETag>)]) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        yield_now().await;
        let outcome = {
            let mut state = self.lock();
            let outcome = state.delete_many(keys);
            let deleted = |at: usize| outcome.as_ref().is_ok_and(|outcomes| outcomes[at].is_ok());
            let logged = Logged {
                kind: RequestKind::DeleteMany,
                key: None,
                batch: keys
                    .iter()
                    .enumerate()
                    .map(|(at, (key, _))| (key.clone(), deleted(at)))
                    .collect(),
                ok: outcome.is_ok(),
                at: state.elapsed(),
                by: self.by,
            };
            state.log.push(logged);
            outcome
        };
        yield_now().await;
        let outcomes = outcome.map_err(|problem| self.error(RequestKind::DeleteMany, None, problem))?;
        let each = keys.iter().zip(outcomes);
        Ok(each
            .map(|((key, _), outcome)| {
                outcome.map_err(|problem| self.error(RequestKind::DeleteMany, Some(key), problem))
            })
            .collect())
    }

    async fn bucket_facts(&self) -> Result<BucketFacts, StoreError> {
        self.answer(RequestKind::BucketFacts, None, |state| {
            Ok(BucketFacts {
                versioning: Some(state.settings.versioning),
                abort_uploads_after_days: Some(None),
                region: None,
            })
        })
        .await
    }
}
