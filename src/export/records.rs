//! Step 8: what came of the steps goes into the ledger, and the ledger's records into the status file.

use std::cmp::Ordering;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};

use crate::ledger::{Edit, LedgerError, RangeRef, RangeWriter, Record, rewrite};
use crate::spool::{Spool, SpoolError, SpoolReader};
use crate::status::{RecordStream, StatusError, record_bytes};
use crate::store::Checksum;
use crate::transfer::{Outcome, Outcomes};

use super::ExportError;
use super::session::Session;

/// Edits of the ledger, sorted by path: what was found before the run, overruled by what the run did.
struct Edits<'a> {
    corrections: std::iter::Peekable<SpoolReader<&'a Spool<Edit>, Edit>>,
    turns: Vec<std::iter::Peekable<SpoolReader<&'a Spool<Outcome>, Outcome>>>,
}

impl Edits<'_> {
    fn next(&mut self) -> Result<Option<Edit>, SpoolError> {
        loop {
            let Some(path) = self.least()? else { return Ok(None) };
            let mut edit = self
                .corrections
                .next_if(|edit| edit.as_ref().is_ok_and(|edit| *edit.path() == path))
                .transpose()?;
            for turn in &mut self.turns {
                let same = turn.next_if(|outcome| outcome.as_ref().is_ok_and(|outcome| *outcome.path() == path));
                match same.transpose()? {
                    Some(Outcome::Written { record, .. }) => edit = Some(Edit::Set(record)),
                    // What is somebody else's now is not ours to know, whether the head wants the path or not.
                    Some(Outcome::Deleted { path } | Outcome::LetGo { path } | Outcome::Conflict { path, .. }) => {
                        edit = Some(Edit::Drop(path));
                    }
                    Some(Outcome::Failed { .. }) | None => {}
                }
            }
            if edit.is_some() {
                return Ok(edit);
            }
        }
    }

    fn least(&mut self) -> Result<Option<crate::model::RelPath>, SpoolError> {
        let mut least: Option<crate::model::RelPath> = None;
        let mut offer = |path: &crate::model::RelPath| {
            if least.as_ref().is_none_or(|least| path.cmp(least) == Ordering::Less) {
                least = Some(path.clone());
            }
        };
        match self.corrections.peek() {
            Some(Ok(edit)) => offer(edit.path()),
            Some(Err(_)) => return Err(self.corrections.next().and_then(Result::err).expect("it was peeked")),
            None => {}
        }
        for turn in &mut self.turns {
            match turn.peek() {
                Some(Ok(outcome)) => offer(outcome.path()),
                Some(Err(_)) => return Err(turn.next().and_then(Result::err).expect("it was peeked")),
                None => {}
            }
        }
        Ok(least)
    }
}

impl Session<'_> {
    /// Writes the ranges that the run's outcomes touch; gives all ranges of the ledger as it now is.
    pub(super) async fn write_ranges(
        &self,
        old: &[RangeRef],
        corrections: &Spool<Edit>,
        outcomes: &Outcomes,
        checksum: Checksum,
    ) -> Result<Vec<RangeRef>, ExportError> {
        let writer = RangeWriter::new(
            self.ledger_store.clone(),
            self.folder.clone(),
            self.run,
            checksum,
            record_bytes,
        )
        .sharing_cache_of(&self.reader);
        let mut edits = Edits {
            corrections: corrections.iter().peekable(),
            turns: outcomes.turns().map(|turn| turn.iter().peekable()).collect(),
        };
        let edits = stream::iter(std::iter::from_fn(move || edits.next().transpose()))
            .map(|edit| edit.map_err(ExportError::from));
        rewrite::<ExportError>(&self.reader, writer, old, edits).await
    }

    /// All records of some ranges, for a full status file.
    pub(super) fn all_records(&self, ranges: &[RangeRef]) -> AllRecords {
        AllRecords {
            records: self.reader.records(ranges.to_vec()),
        }
    }
}

/// The records of a whole ledger.
pub(super) struct AllRecords {
    records: BoxStream<'static, Result<Record, LedgerError>>,
}

#[async_trait]
impl RecordStream for AllRecords {
    async fn next(&mut self) -> Result<Option<Record>, StatusError> {
        Ok(self.records.next().await.transpose()?)
    }
}
