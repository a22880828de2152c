//! Copies from buckets that are not ours: whether the store may read them, found out once for each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::OnceCell;

use crate::model::{Bucket, Entry};
use crate::store::{Condition, CopySource, RequestKind, StoreError, StoreErrorKind};

use super::Transfer;
use super::put::{ObjectError, Sent};

/// Whether the store copies entries whose bytes lie on S3 already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutsideCopies {
    /// Where it may, and the others are sent through here.
    #[default]
    Tried,
    /// It must: what it cannot copy fails.
    Only,
    /// It does not: all are sent through here.
    Never,
}

/// Which outside buckets the export's own credentials can copy from.
///
/// The first copy from a bucket tells, and the others wait for it: a bucket that may not be read costs one refused
/// request, and not one for each object.
#[derive(Debug, Default)]
pub struct OutsideBuckets {
    readable: Mutex<HashMap<Bucket, Arc<OnceCell<bool>>>>,
}

/// The first copy told nothing: its condition did not come to be looked at, or nobody answered.
struct Undecided;

impl OutsideBuckets {
    fn cell(&self, bucket: &Bucket) -> Arc<OnceCell<bool>> {
        let mut known = self.readable.lock().expect("nobody panics while holding it");
        known.entry(bucket.clone()).or_default().clone()
    }

    /// Whether a bucket is known not to be readable.
    pub(super) fn is_closed(&self, bucket: &Bucket) -> bool {
        self.cell(bucket).get() == Some(&false)
    }
}

impl Transfer {
    /// Copies an entry from outside; the first one from its bucket decides for all.
    pub(super) async fn copy_from_outside(
        &self,
        entry: &Entry,
        from: &CopySource,
        condition: &Condition,
    ) -> Result<Sent, ObjectError> {
        let cell = self.outside.cell(&from.bucket);
        let mut first = None;
        let readable = cell
            .get_or_try_init(async || {
                let sent = self.copy(entry, from, condition).await;
                let mut verdict = verdict(&sent);
                if is_missing(&sent) && self.open(entry).await.is_err() {
                    // The object is gone, which says nothing of its bucket.
                    verdict = Err(Undecided);
                }
                if matches!(verdict, Ok(false)) {
                    tracing::info!(bucket = %from.bucket, "cannot be copied from with these credentials");
                }
                first = Some(sent);
                verdict
            })
            .await
            .copied();
        match (first, readable) {
            (Some(sent), _) => sent,
            (None, Ok(true) | Err(Undecided)) => self.copy(entry, from, condition).await,
            // There is no other way, and it may have been the one object that could not be copied.
            (None, Ok(false)) if self.outside_copies == OutsideCopies::Only => self.copy(entry, from, condition).await,
            (None, Ok(false)) => Err(self.closed(from).into()),
        }
    }

    /// Says why an entry was not copied: the source knows better than the store whether its object is gone or is
    /// another now, and is asked.
    pub(super) async fn why_not_copied(&self, entry: &Entry, error: StoreError) -> ObjectError {
        use StoreErrorKind as Kind;

        let from = match &entry.origin {
            Some(from) => format!("s3://{}/{}", from.bucket, from.key),
            None => return error.into(),
        };
        match error.kind {
            Kind::NotFound | Kind::ConditionFailed => match self.open(entry).await {
                Err(error) => error.into(),
                Ok(_) => ObjectError::CannotCopy { from, cause: error },
            },
            Kind::Denied | Kind::NoSuchBucket | Kind::NotSupported | Kind::Refused { .. } => {
                ObjectError::CannotCopy { from, cause: error }
            }
            _ => error.into(),
        }
    }

    fn closed(&self, from: &CopySource) -> StoreError {
        StoreError {
            request: RequestKind::Copy,
            place: format!("s3://{}/{}", from.bucket, from.key),
            kind: StoreErrorKind::Denied,
            detail: None,
            cause: None,
        }
    }
}

fn is_missing(sent: &Result<Sent, ObjectError>) -> bool {
    matches!(sent, Err(ObjectError::Store(error)) if error.kind == StoreErrorKind::NotFound)
}

fn is_archived(kind: &StoreErrorKind) -> bool {
    matches!(kind, StoreErrorKind::Refused { code, .. } if code == "InvalidObjectState")
}

/// What the first copy says of its bucket. A missing object counts as a bucket that cannot be read, where the source
/// still has it: stores answer so for buckets of another store, too.
fn verdict(sent: &Result<Sent, ObjectError>) -> Result<bool, Undecided> {
    match sent {
        Ok(_) => Ok(true),
        Err(ObjectError::Store(error)) if error.kind.is_transient() || error.kind == StoreErrorKind::LeaseLost => {
            Err(Undecided)
        }
        // An archived object says nothing of the others.
        Err(ObjectError::Store(error)) if is_archived(&error.kind) => Err(Undecided),
        // Whoever compares etags has read the object, or looked at the target first: no reason to stop copying.
        Err(ObjectError::Store(error))
            if matches!(error.kind, StoreErrorKind::ConditionFailed | StoreErrorKind::Conflict) =>
        {
            Err(Undecided)
        }
        Err(_) => Ok(false),
    }
}
