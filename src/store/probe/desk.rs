//! The place where a probe works: what it writes is noted here, judged here and cleared away.

use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock};

use futures::future::ready;
use futures::{StreamExt as _, TryStreamExt as _};

use super::PAUSE;
use crate::model::{ETag, ObjectKey};
use crate::store::{
    Checksum, Condition, CopySource, ObjectHeaders, Put, Store, StoreError, StoreErrorKind, Upload, Written,
    list_objects,
};

/// How long each body is; all have the same length, so that any may be the source of a copy.
pub const BODY_BYTES: u64 = 16;

/// How many deletes go out at once where a store takes no batches.
const DELETES_AT_ONCE: usize = 8;

/// A probe's folder in a store.
pub struct Desk<'a> {
    pub store: &'a dyn Store,
    prefix: String,
    /// Whether there is no try after this one, so that what was never answered counts as an answer where that harms nobody.
    last_try: bool,
    /// The condition of writes that test something else: a policy may ask for one on all writes.
    fresh: OnceLock<Condition>,
    open: Mutex<Vec<Upload>>,
}

/// What a trial is for, which says what an answer that is neither yes nor no means.
///
/// An answer that may pass (5xx, none at all) begins the probe anew, whatever the trial. It is about the last try.
#[derive(Clone, Copy, Debug)]
pub enum Trial {
    /// A condition that keeps what others wrote safe, and that nothing replaces; its name. Only a store that answers
    /// may be found to ignore it: no answer ends the probe, and so does a 403, which is the policy's word and not the
    /// store's.
    Guard(&'static str),
    /// A way that saves time where it can be gone: a copy, a batch, a checksum. A 403 says as well as a 501 that it
    /// cannot be; no answer ends the probe, since an export would go the long way for ever.
    Way,
    /// What some stores choke on, in whatever manner: an odd key, a file beside a folder, a wrong checksum. A key that
    /// is held to be impossible is refused or made room for before anything is written, and the right checksum must
    /// pass as well: being wrong harms nobody.
    Odd,
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
    pub fn judge<T>(&self, trial: Trial, answer: Result<T, StoreError>) -> Result<Outcome<T>, StoreError> {
        let error = match answer {
            Ok(value) => return Ok(Outcome::Done(value)),
            Err(error) => error,
        };
        let guard = match trial {
            Trial::Guard(guard) => Some(guard),
            Trial::Way | Trial::Odd => None,
        };
        match (&error.kind, guard) {
            (StoreErrorKind::ConditionFailed, _) => Ok(Outcome::Refused),
            (StoreErrorKind::Denied, Some(guard)) => Err(unclear(error, guard)),
            (kind, Some(guard)) if kind.is_ambiguous() && self.last_try => Err(unclear(error, guard)),
            (kind, None) if kind.is_ambiguous() && self.last_try && matches!(trial, Trial::Odd) => {
                Ok(Outcome::Failed(error))
            }
            // Credentials and region were right for the first write: such a store reads a key in another way
            // than it is signed, or sends us to the key that it likes better.
            (StoreErrorKind::BadCredentials | StoreErrorKind::WrongRegion { .. }, None)
                if self.fresh.get().is_some() =>
            {
                Ok(Outcome::Failed(error))
            }
            (kind, _) if kind.is_fatal() || kind.is_transient() => Err(error),
            _ => Ok(Outcome::Failed(error)),
        }
    }

    /// Writes an object whose body is `digit`, again and again.
    pub async fn put(
        &self,
        trial: Trial,
        key: &ObjectKey,
        digit: u8,
        condition: Condition,
    ) -> Result<Outcome<Written>, StoreError> {
        self.judge(trial, self.store.put(key, Put::new(body(digit), condition)).await)
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
        self.judge(Trial::Way, upload)
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
        let keys = list_objects(self.store, &self.prefix).map_ok(|row| row.key);
        keys.try_filter(|key| ready(key.as_str().starts_with(&self.prefix)))
            .try_collect()
            .await
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
            match self.store.delete_many(&keys).await {
                Ok(outcomes) => {
                    let failed = batch.into_iter().zip(outcomes).filter(|(_, outcome)| !gone(outcome));
                    left.extend(failed.map(|(key, _)| key));
                }
                Err(error) if error.kind.is_fatal() => return Err(error),
                Err(_) => left.extend(batch),
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

/// What is said of a guard that the store neither honours nor ignores.
fn unclear(error: StoreError, guard: &'static str) -> StoreError {
    StoreError {
        kind: StoreErrorKind::Unclear {
            guard,
            answer: Box::new(error.kind),
        },
        ..error
    }
}

fn gone(outcome: &Result<(), StoreError>) -> bool {
    match outcome {
        Ok(()) => true,
        Err(error) => error.kind == StoreErrorKind::NotFound,
    }
}
