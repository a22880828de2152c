//! Deletes what the head does not want any more, each object only as it was seen.

use crate::causes::with_causes;
use crate::model::{ETag, RelPath};
use crate::store::{Condition, StoreError, StoreErrorKind};
use crate::switches::{Switch, is_out};

use super::Transfer;
use super::outcome::Outcome;

/// How many keys one request can delete.
pub(super) const BATCH: usize = 1000;

impl Transfer {
    /// Deletes one object if it still has this etag; the error is one after which no other request fares better.
    pub(super) async fn remove(&self, path: &RelPath, etag: &ETag) -> (Outcome, Option<StoreError>) {
        let done = self.delete_seen(path, etag).await;
        self.removed(path, etag, done).await
    }

    /// Deletes up to [`BATCH`] objects in one request; only where the store heeds their etags.
    pub(super) async fn remove_many(&self, objects: &[(RelPath, ETag)]) -> (Vec<Outcome>, Option<StoreError>) {
        let keys: Vec<_> = objects
            .iter()
            .map(|(path, etag)| (self.key(path), Some(etag.clone())))
            .collect();
        let mut outcomes = Vec::with_capacity(objects.len());
        match self.store.delete_many(&keys).await {
            Ok(results) => {
                for ((path, etag), result) in objects.iter().zip(results) {
                    let (outcome, fatal) = self.removed(path, etag, result).await;
                    outcomes.push(outcome);
                    if fatal.is_some() {
                        return (outcomes, fatal);
                    }
                }
            }
            Err(error) if ends_the_run(&error.kind) => {
                let failed = |path: &RelPath| Outcome::Failed {
                    path: path.clone(),
                    error: with_causes(&error),
                };
                outcomes.extend(objects.iter().map(|(path, _)| failed(path)));
                return (outcomes, Some(error));
            }
            // The whole request failed: each alone tells which of them stand in the way.
            Err(_) => {
                for (path, etag) in objects {
                    let (outcome, fatal) = self.remove(path, etag).await;
                    outcomes.push(outcome);
                    if fatal.is_some() {
                        return (outcomes, fatal);
                    }
                }
            }
        }
        (outcomes, None)
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
    async fn removed(
        &self,
        path: &RelPath,
        etag: &ETag,
        done: Result<(), StoreError>,
    ) -> (Outcome, Option<StoreError>) {
        let error = match done {
            Ok(()) => return (Outcome::Deleted { path: path.clone() }, None),
            Err(error) if error.kind == StoreErrorKind::NotFound => {
                return (Outcome::Deleted { path: path.clone() }, None);
            }
            Err(error) => error,
        };
        let looks = matches!(error.kind, StoreErrorKind::ConditionFailed | StoreErrorKind::Conflict)
            || error.kind.is_ambiguous();
        let error = if looks {
            match self.look_and_delete(path, etag).await {
                Ok(outcome) => return (outcome, None),
                Err(error) => error,
            }
        } else {
            error
        };
        let failed = Outcome::Failed {
            path: path.clone(),
            error: with_causes(&error),
        };
        (failed, ends_the_run(&error.kind).then_some(error))
    }

    async fn look_and_delete(&self, path: &RelPath, etag: &ETag) -> Result<Outcome, StoreError> {
        let gone = || Ok(Outcome::Deleted { path: path.clone() });
        match self.store.head(&self.key(path)).await {
            // What a run of ours left there late is still ours to delete.
            Ok(meta) if self.owners.own(&meta) || meta.etag == *etag => {
                match self.delete_seen(path, &meta.etag).await {
                    Err(error) if error.kind != StoreErrorKind::NotFound => Err(error),
                    Ok(()) | Err(_) => gone(),
                }
            }
            Ok(_) => Ok(Outcome::LetGo { path: path.clone() }),
            Err(error) if error.kind == StoreErrorKind::NotFound => gone(),
            Err(error) => Err(error),
        }
    }
}

/// Whether no other request of the run will fare better.
pub(super) fn ends_the_run(kind: &StoreErrorKind) -> bool {
    kind.is_fatal() || *kind == StoreErrorKind::Unreachable
}
