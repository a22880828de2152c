//! What stands under the export path, path by path: the ledger, corrected by what was found of dead runs.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::ledger::{Edit, HeadersDigest, LedgerError, Record};
use crate::model::{ContentIds, ETag, Mark, RelPath, RunId};
use crate::plan::Standing;
use crate::spool::{Spool, SpoolError, SpoolReader};

use super::ExportError;

/// What was found under a path that the ledger may be wrong about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Found {
    pub(super) path: RelPath,
    pub(super) object: FoundObject,
    /// What dead runs meant to put there.
    pub(super) intended: Vec<Intended>,
}

/// What was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum FoundObject {
    Nothing,
    Object {
        etag: ETag,
        size: u64,
        version_id: Option<Box<str>>,
        mark: Option<Mark>,
    },
    /// An object that nobody marked and whose content was compared: taken into the ledger as it is.
    Adopted(Record),
}

/// What a dead run meant to put under a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Intended {
    pub(super) run: RunId,
    pub(super) content: ContentIds,
    pub(super) headers: HeadersDigest,
}

impl Found {
    /// Whose object it is: as the ledger says, of a run that is known, or somebody else's.
    fn standing(self, record: Option<Record>, kin: &BTreeSet<RunId>) -> Option<Standing> {
        let (etag, size, version_id, mark) = match self.object {
            FoundObject::Nothing => return None,
            FoundObject::Adopted(record) => return Some(Standing::Ours(record)),
            FoundObject::Object {
                etag,
                size,
                version_id,
                mark,
            } => (etag, size, version_id, mark),
        };
        let was_ours = record.is_some();
        let mark = mark.filter(|mark| kin.contains(&mark.run));
        let intended = mark.as_ref().and_then(|mark| {
            let same = |meant: &&Intended| meant.run == mark.run && meant.content.primary() == Some(mark.content);
            self.intended.iter().find(same)
        });
        // The same bytes have the same etag, whatever headers they were written with since.
        let as_recorded =
            |record: &Record| record.etag == etag && intended.is_none_or(|meant| meant.headers == record.headers);
        if let Some(record) = record.filter(as_recorded) {
            return Some(Standing::Ours(record));
        }
        let Some(mark) = mark else {
            return Some(Standing::Foreign {
                path: self.path,
                etag,
                was_ours,
            });
        };
        // An intent tells all ids and the headers; without one the headers are unknown, which equals nothing.
        let (content, headers) = match intended {
            Some(intended) => (intended.content, intended.headers),
            None => (ContentIds::from(mark.content), HeadersDigest(0)),
        };
        Some(Standing::Ours(Record {
            path: self.path,
            etag,
            size,
            content,
            headers,
            version_id,
        }))
    }
}

/// Streams what stands under the export path, sorted by path, and keeps what differs from the ledger.
pub(super) struct Known<'a> {
    ledger: BoxStream<'static, Result<Record, LedgerError>>,
    found: SpoolReader<&'a Spool<Found>, Found>,
    next_record: Option<Record>,
    next_found: Option<Found>,
    begun: bool,
    kin: &'a BTreeSet<RunId>,
    corrections: Spool<Edit>,
}

impl<'a> Known<'a> {
    pub(super) fn new(
        ledger: BoxStream<'static, Result<Record, LedgerError>>,
        found: &'a Spool<Found>,
        kin: &'a BTreeSet<RunId>,
    ) -> Self {
        Self {
            ledger,
            found: found.iter(),
            next_record: None,
            next_found: None,
            begun: false,
            kin,
            corrections: Spool::new(None),
        }
    }

    /// Gives what stands under the next path.
    pub(super) async fn next(&mut self) -> Result<Option<Standing>, ExportError> {
        if !self.begun {
            self.begun = true;
            self.advance_record().await?;
            self.advance_found()?;
        }
        loop {
            let order = match (&self.next_record, &self.next_found) {
                (None, None) => return Ok(None),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(record), Some(found)) => record.path.cmp(&found.path),
            };
            let record = if order.is_le() { self.take_record().await? } else { None };
            let Some(found) = (if order.is_ge() { self.take_found()? } else { None }) else {
                return Ok(record.map(Standing::Ours));
            };
            let path = found.path.clone();
            let before = record.clone();
            let standing = found.standing(record, self.kin);
            let edit = match &standing {
                Some(Standing::Ours(now)) if before.as_ref() == Some(now) => None,
                Some(Standing::Ours(now)) => Some(Edit::Set(now.clone())),
                _ if before.is_none() => None,
                Some(Standing::Foreign { .. }) | None => Some(Edit::Drop(path)),
            };
            if let Some(edit) = edit {
                self.corrections.push(&edit)?;
            }
            if standing.is_some() {
                return Ok(standing);
            }
        }
    }

    /// What the ledger is to be told whatever the run does.
    pub(super) fn into_corrections(self) -> Spool<Edit> {
        self.corrections
    }

    async fn take_record(&mut self) -> Result<Option<Record>, ExportError> {
        let record = self.next_record.take();
        self.advance_record().await?;
        Ok(record)
    }

    fn take_found(&mut self) -> Result<Option<Found>, SpoolError> {
        let found = self.next_found.take();
        self.advance_found()?;
        Ok(found)
    }

    async fn advance_record(&mut self) -> Result<(), ExportError> {
        self.next_record = self.ledger.next().await.transpose()?;
        Ok(())
    }

    fn advance_found(&mut self) -> Result<(), SpoolError> {
        self.next_found = self.found.next().transpose()?;
        Ok(())
    }
}
