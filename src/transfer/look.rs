//! Whose object is it: what one look at a key says of a write that was refused or not answered.

use std::collections::BTreeSet;

use crate::ledger::{HeadersDigest, Record};
use crate::model::{ETag, Entry, RelPath, RunId};
use crate::store::{Condition, ObjectMeta, RequestKind, StoreError, StoreErrorKind};
use crate::switches::{Switch, is_out};

use super::Transfer;

/// The runs whose marks are known.
#[derive(Clone, Debug)]
pub struct Owners {
    /// This run.
    pub run: RunId,
    /// Runs that the root names as dirty or unsettled: their objects are ours to replace.
    pub kin: BTreeSet<RunId>,
}

impl Owners {
    /// Whether an object bears the mark of one of these runs.
    pub fn own(&self, meta: &ObjectMeta) -> bool {
        if is_out(Switch::OwnershipMark) {
            return true;
        }
        meta.headers
            .mark
            .as_ref()
            .is_some_and(|mark| mark.run == self.run || self.kin.contains(&mark.run))
    }
}

/// What one look says.
pub(super) enum Seen {
    /// What was to be written stands there already, by this run: a reply was lost.
    Done(Box<Record>),
    /// It may be tried again under this condition.
    Again(Condition),
    /// Somebody else's object stands there, or in the way.
    Conflict(String),
}

impl Transfer {
    /// Looks at a key after a write of it was refused (412, 404, 409) or not answered.
    pub(super) async fn look(
        &self,
        entry: &Entry,
        headers: HeadersDigest,
        tried: &Condition,
        refused_with: &StoreErrorKind,
    ) -> Result<Seen, StoreError> {
        let key = self.key(&entry.path);
        let meta = match self.store.head(&key).await {
            Ok(meta) => meta,
            Err(error) if error.kind == StoreErrorKind::NotFound => {
                if *refused_with == StoreErrorKind::Conflict
                    && let Some(text) = self.clear_the_way(&entry.path).await?
                {
                    return Ok(Seen::Conflict(text));
                }
                // Some stores take a folder of that name for an object: their condition never holds, so the look
                // that was just made has to do.
                let mistaken = *tried == Condition::Absent
                    && *refused_with == StoreErrorKind::ConditionFailed
                    && !self.capabilities.absent_over_folder;
                let again = if mistaken { Condition::Always } else { Condition::Absent };
                return Ok(Seen::Again(again));
            }
            Err(error) => return Err(error),
        };
        if let Some(mark) = &meta.headers.mark
            && mark.run == self.owners.run
            && Some(mark.content) == entry.content.primary()
        {
            return Ok(Seen::Done(Box::new(Record {
                path: entry.path.clone(),
                etag: meta.etag,
                size: meta.size,
                content: entry.content,
                headers,
                version_id: meta.version_id.map(Into::into),
            })));
        }
        let as_expected = matches!(tried, Condition::Matches(etag) if *etag == meta.etag);
        if self.owners.own(&meta) || as_expected || self.overwrite {
            return Ok(Seen::Again(Condition::Matches(meta.etag)));
        }
        Ok(Seen::Conflict(match tried {
            Condition::Matches(_) => {
                "somebody else changed this object since lakesync wrote it; --overwrite replaces it".to_owned()
            }
            Condition::Absent | Condition::Always => {
                "an object that lakesync did not write stands here; --overwrite replaces it, --exclude leaves it out"
                    .to_owned()
            }
        }))
    }

    /// Checks by a look what the store would not check by a condition.
    pub(super) async fn expect_standing(
        &self,
        path: &RelPath,
        expected: Option<&ETag>,
    ) -> Result<Condition, StoreError> {
        let key = self.key(path);
        let found = match self.store.head(&key).await {
            Ok(meta) => Some(meta.etag),
            Err(error) if error.kind == StoreErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if found.as_ref() == expected {
            return Ok(Condition::Always);
        }
        Err(StoreError {
            request: RequestKind::Head,
            place: format!("s3://{}/{key}", self.store.bucket()),
            kind: StoreErrorKind::ConditionFailed,
            detail: None,
            cause: None,
        })
    }

    /// After a 409: finds what stands in the way of a path, as a file where a folder must be or the other
    /// way round. What runs of ours left there is deleted; of anything else the name is given.
    async fn clear_the_way(&self, path: &RelPath) -> Result<Option<String>, StoreError> {
        // Elsewhere a 409 says that two conditional writes met.
        if self.capabilities.file_beside_folder {
            return Ok(None);
        }
        let mut in_the_way: Vec<RelPath> = Vec::new();
        for folder in path.folders() {
            in_the_way.extend(RelPath::new(folder));
        }
        let below = self.key(path).as_str().to_owned() + "/";
        let listing = self.store.list(&below, None, 1000).await?;
        in_the_way.extend(
            listing
                .objects
                .iter()
                .filter_map(|object| object.key.below(&self.prefix)),
        );
        for path in in_the_way {
            let key = self.key(&path);
            let meta = match self.store.head(&key).await {
                Ok(meta) => meta,
                Err(error) if error.kind == StoreErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            match &meta.headers.mark {
                Some(mark) if mark.run == self.owners.run => {
                    return Ok(Some(format!(
                        "{path} stands in the way, and this store cannot hold both"
                    )));
                }
                Some(mark) if self.owners.kin.contains(&mark.run) => {}
                _ => return Ok(Some(format!("{path} stands in the way, and lakesync did not write it"))),
            }
            match self.delete_seen(&path, &meta.etag).await {
                // Another write that it stood in the way of was faster.
                Err(error) if error.kind == StoreErrorKind::NotFound => {}
                done => done?,
            }
        }
        Ok(None)
    }
}
