//! The place where a probe works: what it writes is noted here, judged here and cleared away.

use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock};

use futures::StreamExt as _;

use super::PAUSE;
use crate::model::{ETag, ObjectKey};
use crate::store::{
    Checksum, Condition, CopySource, ObjectHeaders, Put, Store, StoreError, StoreErrorKind, Upload, Written,
};

/// How long each body is; all have the same length, so that any may be the source of a copy.
pub const BODY_BYTES: u64 = 16;

/// How many deletes go out at once where a store takes no batches.
const DELETES_AT_ONCE: usize = 8;

/// A probe's folder in a store.
pub struct Desk<'a> {
    pub store: &'a dyn Store,
    prefix: String,
    /// Whether a store's own failure counts as "cannot", since it failed in earlier tries as well.
    last_try: bool,
    /// The condition of writes that test something else: a policy may ask for one on all writes.
    fresh: OnceLock<Condition>,
    open: Mutex<Vec<Upload>>,
}

/// An object that a step left for the next.
#[derive(Clone, Debug)]
pub struct Left {
    pub key: ObjectKey,
    pub etag: ETag,
    /// An etag that it does not have; it had it once, or another object had.
    pub stale: ETag,
}

/// What a store did with a request.
#[derive(Debug)]
pub enum Outcome<T> {
    /// It did it.
    Done(T),
    /// It said that the condition does not hold.
    Refused,
    /// It could not.
    Failed(StoreError),
}

impl<T> Outcome<T> {
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }

    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Refused)
    }

    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(value) => Some(value),
            Self::Refused | Self::Failed(_) => None,
        }
    }
}

impl Left {
    /// The object as the source of a copy, with the etag given.
    pub fn as_source(&self, store: &dyn Store, etag: &ETag) -> CopySource {
        CopySource {
            bucket: store.bucket().clone(),
            key: self.key.clone(),
            etag: Some(etag.clone()),
            size: BODY_BYTES,
        }
    }
}

impl<'a> Desk<'a> {
    pub fn new(store: &'a dyn Store, prefix: String, last_try: bool) -> Self {
        Self {
            store,
            prefix,
            last_try,
            fresh: OnceLock::new(),
            open: Mutex::default(),
        }
    }

    pub fn key(&self, name: &str) -> ObjectKey {
        ObjectKey::new(format!("{}{name}", self.prefix))
    }

    /// Tells what a store cannot do from what ends the probe.
    pub fn judge<T>(&self, answer: Result<T, StoreError>) -> Result<Outcome<T>, StoreError> {
        let error = match answer {
            Ok(value) => return Ok(Outcome::Done(value)),
            Err(error) => error,
        };
        match &error.kind {
            StoreErrorKind::ConditionFailed => Ok(Outcome::Refused),
            // A bug of the store, then: the requests beside this one were answered.
            StoreErrorKind::Unavailable | StoreErrorKind::NoReply if self.last_try => Ok(Outcome::Failed(error)),
            // Credentials and region were right for the first write: such a store reads a key in another way
            // than it is signed, or sends us to the key that it likes better.
            StoreErrorKind::BadCredentials | StoreErrorKind::WrongRegion { .. } if self.fresh.get().is_some() => {
                Ok(Outcome::Failed(error))
            }
            kind if kind.is_fatal() || kind.is_transient() => Err(error),
            _ => Ok(Outcome::Failed(error)),
        }
    }

    /// Writes an object whose body is `digit`, again and again.
    pub async fn put(&self, key: &ObjectKey, digit: u8, condition: Condition) -> Result<Outcome<Written>, StoreError> {
        self.judge(self.store.put(key, Put::new(body(digit), condition)).await)
    }

    /// Says with which condition new keys are written from now on.
    pub fn set_fresh(&self, condition: Condition) {
        // Said once, by the first write.
        let _already = self.fresh.set(condition);
    }

    pub fn fresh(&self) -> Condition {
        self.fresh.get().cloned().unwrap_or(Condition::Always)
    }

    /// Writes an object that was not there, for a step that needs one.
    pub async fn make(&self, name: &str, stale: &ETag) -> Result<Left, StoreError> {
        let key = self.key(name);
        let written = self.store.put(&key, Put::new(body(b'm'), self.fresh())).await?;
        Ok(Left {
            key,
            etag: written.etag,
            stale: stale.clone(),
        })
    }

    /// Begins an upload that is given up unless [`Desk::ended`] is told of it.
    pub async fn begin(&self, key: &ObjectKey, checksum: Checksum) -> Result<Outcome<Upload>, StoreError> {
        let upload = self.store.create_upload(key, &ObjectHeaders::default(), checksum).await;
        if let Ok(upload) = &upload {
            self.uploads().push(upload.clone());
        }
        self.judge(upload)
    }

    /// Notes that an upload is an object now, or gone.
    pub fn ended(&self, upload: &Upload) {
        self.uploads().retain(|open| open.id != upload.id);
    }

    /// Gives an upload up.
    pub async fn abort(&self, upload: &Upload) -> Result<(), StoreError> {
        self.store.abort_upload(upload).await?;
        self.ended(upload);
        Ok(())
    }

    /// Lists all that stands below the prefix.
    pub async fn list(&self) -> Result<BTreeSet<ObjectKey>, StoreError> {
        let mut keys = BTreeSet::new();
        let mut token = None;
        loop {
            let page = self.store.list(&self.prefix, token.as_deref(), 1_000).await?;
            let below = |key: &ObjectKey| key.as_str().starts_with(&self.prefix);
            keys.extend(page.objects.into_iter().map(|row| row.key).filter(below));
            token = page.next;
            if token.is_none() {
                return Ok(keys);
            }
        }
    }

    /// Deletes what was listed and gives up what was begun; gives what it could not delete.
    pub async fn clear(&self, listed: &BTreeSet<ObjectKey>, many: bool) -> Result<Vec<ObjectKey>, StoreError> {
        let open = self.uploads().clone();
        for upload in &open {
            self.abort(upload).await?;
        }
        // No XML can name a control character, so that one such key spoils a batch.
        let in_batch = |key: &ObjectKey| many && !key.as_str().contains(char::is_control);
        let (batch, mut left): (Vec<_>, Vec<_>) = listed.iter().cloned().partition(in_batch);
        if !batch.is_empty() {
            let keys: Vec<_> = batch.iter().map(|key| (key.clone(), None)).collect();
            // Where the batch fails, or an object in it, the deletes below try again one by one.
            match self.judge(self.store.delete_many(&keys).await)? {
                Outcome::Done(outcomes) => {
                    let failed = batch.into_iter().zip(outcomes).filter(|(_, outcome)| !gone(outcome));
                    left.extend(failed.map(|(key, _)| key));
                }
                Outcome::Refused | Outcome::Failed(_) => left.extend(batch),
            }
        }
        left = self.delete_each(left).await;
        if !left.is_empty() {
            // What failed may have passed by then.
            tokio::time::sleep(PAUSE).await;
            left = self.delete_each(left).await;
        }
        Ok(left)
    }

    /// Deletes keys one by one; gives those that could not be deleted.
    async fn delete_each(&self, keys: Vec<ObjectKey>) -> Vec<ObjectKey> {
        let deletes = keys.into_iter().map(|key| self.delete(key));
        let left: Vec<_> = futures::stream::iter(deletes)
            .buffer_unordered(DELETES_AT_ONCE)
            .collect()
            .await;
        left.into_iter().flatten().collect()
    }

    /// Deletes a key; gives it back if that failed.
    async fn delete(&self, key: ObjectKey) -> Option<ObjectKey> {
        let outcome = self.store.delete(&key, &Condition::Always).await;
        if let Err(error) = &outcome {
            tracing::debug!(%error, "a probe's object was not deleted");
        }
        (!gone(&outcome)).then_some(key)
    }

    /// Clears away what there is after an error, as well as that can be done; the error itself is what is told.
    pub async fn clear_after_error(&self) {
        if let Ok(page) = self.store.list_uploads(&self.prefix, None).await {
            // Also those whose beginning was carried out while the reply was lost.
            let unknown = page
                .uploads
                .into_iter()
                .filter(|found| found.key.as_str().starts_with(&self.prefix));
            let mut open = self.uploads();
            for upload in unknown {
                if !open.iter().any(|known| known.id == upload.id) {
                    open.push(upload);
                }
            }
        }
        let cleared = async { self.clear(&self.list().await?, false).await };
        if let Err(error) = cleared.await {
            let prefix = &self.prefix;
            tracing::warn!(%error, prefix, "what a failed probe wrote may be left behind");
        }
    }

    fn uploads(&self) -> std::sync::MutexGuard<'_, Vec<Upload>> {
        self.open.lock().expect("nothing that holds it can panic")
    }
}

/// A body that no other digit has.
pub fn body(digit: u8) -> Vec<u8> {
    vec![digit; usize::try_from(BODY_BYTES).expect("it is 16")]
}

fn gone(outcome: &Result<(), StoreError>) -> bool {
    match outcome {
        Ok(()) => true,
        Err(error) => error.kind == StoreErrorKind::NotFound,
    }
}
