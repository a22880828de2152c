//! Deletes what the head does not want any more, each object only as it was seen.

use crate::model::{ETag, RelPath};
use crate::store::{Condition, StoreError, StoreErrorKind};
use crate::switches::{Switch, is_out};

use super::Transfer;
use super::outcome::Outcome;

/// How many keys one request can delete.
pub(super) const BATCH: usize = 1000;

impl Transfer {
    /// Deletes one object if it still has this etag.
    pub(super) async fn remove(&self, path: &RelPath, etag: &ETag) -> Outcome {
        let done = self.delete_seen(path, etag).await;
        self.removed(path, etag, done).await
    }

    /// Deletes up to [`BATCH`] objects in one request; only where the store heeds their etags.
    pub(super) async fn remove_many(&self, objects: &[(RelPath, ETag)]) -> Vec<Outcome> {
        let keys: Vec<_> = objects
            .iter()
            .map(|(path, etag)| (self.key(path), (!is_out(Switch::DeleteMatches)).then(|| etag.clone())))
            .collect();
        let mut outcomes = Vec::with_capacity(objects.len());
        match self.store.delete_many(&keys).await {
            Ok(results) => {
                for ((path, etag), result) in objects.iter().zip(results) {
                    outcomes.push(self.removed(path, etag, result).await);
                }
            }
            // The whole request failed: each alone tells which of them stand in the way.
            Err(error) if !error.kind.is_fatal() => {
                for (path, etag) in objects {
                    outcomes.push(self.remove(path, etag).await);
                }
            }
            Err(error) => {
                let failed = |path: &RelPath| Outcome::Failed {
                    path: path.clone(),
                    error: describe(&error),
                };
                outcomes.extend(objects.iter().map(|(path, _)| failed(path)));
            }
        }
        outcomes
    }

    pub(super) async fn delete_seen(&self, path: &RelPath, etag: &ETag) -> Result<(), StoreError> {
        let wanted = if is_out(Switch::DeleteMatches) {
            Condition::Always
        } else {
            Condition::Matches(etag.clone())
        };
        let condition = self
            .effective_condition(path, &wanted, true, self.capabilities.delete_matches)
            .await?;
        self.store.delete(&self.key(path), &condition).await
    }

    /// Settles a delete that was refused or not answered by one look.
    async fn removed(&self, path: &RelPath, etag: &ETag, done: Result<(), StoreError>) -> Outcome {
        let mut error = match done {
            Ok(()) => return Outcome::Deleted { path: path.clone() },
            Err(error) => error,
        };
        let looks = matches!(error.kind, StoreErrorKind::ConditionFailed | StoreErrorKind::Conflict)
            || error.kind.is_ambiguous();
        if error.kind == StoreErrorKind::NotFound {
            return Outcome::Deleted { path: path.clone() };
        }
        if looks {
            match self.store.head(&self.key(path)).await {
                Err(seen) if seen.kind == StoreErrorKind::NotFound => {
                    return Outcome::Deleted { path: path.clone() };
                }
                // What a run of ours left there late is still ours to delete.
                Ok(meta) if self.owners.own(&meta) || meta.etag == *etag => {
                    match self.delete_seen(path, &meta.etag).await {
                        Ok(()) => return Outcome::Deleted { path: path.clone() },
                        Err(again) => error = again,
                    }
                }
                Ok(_) => return Outcome::LetGo { path: path.clone() },
                Err(seen) => error = seen,
            }
        }
        Outcome::Failed {
            path: path.clone(),
            error: describe(&error),
        }
    }
}

/// The error and what caused it, in one line.
pub(super) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
