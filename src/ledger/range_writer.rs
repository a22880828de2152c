//! Cuts a sorted stream of records into ranges and writes them.

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::cache::RangeCache;
use super::file::{needs_a_look, put_once, read_file};
use super::range_file::{MAX_RECORDS, RangeEncoder, range_name};
use super::reader::off_the_runtime;
use super::{LedgerError, LedgerFolder, LedgerReader, RangeRef, Record};
use crate::model::{RelPath, RunId};
use crate::store::{Checksum, Store, StoreErrorKind};

/// Where ranges end. The path alone decides once there are enough records, so that cuts stay where they are
/// when records come and go before them.
#[derive(Clone, Copy, Debug)]
struct Cuts {
    /// A range ends at the first path beyond this many records that a hash picks, ...
    least: u64,
    /// ... which is one path in so many, ...
    one_path_in: u64,
    /// ... or at this many records.
    most: u64,
}

impl Cuts {
    /// Some 40,000 records on average; only one range in 60 meets no such path and ends at the hard limit
    /// instead, where an insert moves the next cut as well.
    const LEDGER: Self = Self {
        least: 32_768,
        one_path_in: 8_192,
        most: MAX_RECORDS,
    };

    /// Whether a range of so many records ends with this path.
    fn end_at(self, count: u64, path: &RelPath) -> bool {
        if count <= self.least || count >= self.most {
            return count >= self.most;
        }
        let hash = blake3::hash(path.as_bytes());
        let low = u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"));
        low.is_multiple_of(self.one_path_in)
    }
}

/// How many ranges are being written at once: they are made faster than one after another would go out.
const UPLOADS: usize = 4;

/// Writes the ranges of a ledger: records are pushed in the order of their paths, and where no record waits, a
/// whole range of the ledger before can be passed through untouched.
///
/// Dropping it stops what is under way; files already written are not named by any root and go with the next
/// clean-up.
pub struct RangeWriter {
    store: Arc<dyn Store>,
    folder: LedgerFolder,
    cache: Option<Arc<RangeCache>>,
    run: RunId,
    checksum: Checksum,
    measure: fn(&Record) -> u64,
    cuts: Cuts,
    pending: Pending,
    last: Option<RelPath>,
    ranges: Vec<RangeRef>,
    uploads: JoinSet<Result<(), LedgerError>>,
}

/// The range that is being gathered.
#[derive(Default)]
struct Pending {
    encoder: RangeEncoder,
    first: Option<RelPath>,
    object_bytes: u64,
    status_bytes: u64,
}

impl std::fmt::Debug for RangeWriter {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("RangeWriter")
            .field("ranges", &self.ranges.len())
            .field("pending", &self.pending.encoder.count())
            .finish_non_exhaustive()
    }
}

impl RangeWriter {
    /// Writes below `folder` in the name of `run`; `measure` says how long a record is in a status file, in bytes.
    pub fn new(
        store: Arc<dyn Store>,
        folder: LedgerFolder,
        run: RunId,
        checksum: Checksum,
        measure: fn(&Record) -> u64,
    ) -> Self {
        Self {
            store,
            folder,
            cache: None,
            run,
            checksum,
            measure,
            cuts: Cuts::LEDGER,
            pending: Pending::default(),
            last: None,
            ranges: Vec::new(),
            uploads: JoinSet::new(),
        }
    }

    /// Puts what it writes into the reader's cache too, since the next run may well read it.
    pub fn sharing_cache_of(mut self, reader: &LedgerReader) -> Self {
        self.cache.clone_from(&reader.cache);
        self
    }

    /// Whether no record waits, so that a whole range may follow.
    pub fn is_at_cut(&self) -> bool {
        self.pending.encoder.count() == 0
    }

    /// Whether a range ends where it does because of its own records, and not because no more came.
    pub(super) fn is_whole(&self, range: &RangeRef) -> bool {
        self.cuts.end_at(range.count, &range.last)
    }

    /// Appends a record.
    pub async fn push(&mut self, record: &Record) -> Result<(), LedgerError> {
        self.follows(&record.path)?;
        self.pending.encoder.push(record)?;
        self.pending.first.get_or_insert_with(|| record.path.clone());
        self.pending.object_bytes += record.size;
        self.pending.status_bytes += (self.measure)(record);
        let encoder = &self.pending.encoder;
        let is_end = encoder.is_full() || self.cuts.end_at(encoder.count(), &record.path);
        self.last = Some(record.path.clone());
        if is_end { self.cut().await } else { Ok(()) }
    }

    /// Appends a range that is already in the bucket; legal only at a cut.
    pub fn pass(&mut self, range: RangeRef) -> Result<(), LedgerError> {
        if !self.is_at_cut() {
            return Err(LedgerError::NotAtCut { name: range.name });
        }
        self.follows(&range.first)?;
        self.last = Some(range.last.clone());
        self.ranges.push(range);
        Ok(())
    }

    /// Writes what still waits and gives all ranges, in order, once they are in the bucket.
    pub async fn finish(mut self) -> Result<Vec<RangeRef>, LedgerError> {
        if !self.is_at_cut() {
            self.cut().await?;
        }
        while !self.uploads.is_empty() {
            self.upload_ended().await?;
        }
        Ok(self.ranges)
    }

    fn follows(&self, path: &RelPath) -> Result<(), LedgerError> {
        match &self.last {
            Some(last) if last >= path => Err(LedgerError::OutOfOrder {
                path: path.clone(),
                previous: last.clone(),
            }),
            _ => Ok(()),
        }
    }

    async fn cut(&mut self) -> Result<(), LedgerError> {
        while self.uploads.len() >= UPLOADS {
            self.upload_ended().await?;
        }
        let count = self.pending.encoder.count();
        let file = Bytes::from(self.pending.encoder.finish());
        let name = range_name(self.run, &file);
        let last = self.last.clone();
        self.ranges.push(RangeRef {
            name: name.clone(),
            first: self.pending.first.take().expect("a cut comes after a record"),
            last: last.expect("a cut comes after a record"),
            count,
            object_bytes: std::mem::take(&mut self.pending.object_bytes),
            file_bytes: file.len() as u64,
            status_bytes: std::mem::take(&mut self.pending.status_bytes),
        });
        let (store, cache, checksum) = (Arc::clone(&self.store), self.cache.clone(), self.checksum);
        let key = self.folder.range(&name);
        self.uploads.spawn(async move {
            match put_once(&*store, &key, file.clone(), checksum).await {
                Ok(_) => {}
                // The name says what the bytes are, and readers check it: a reply was lost.
                Err(error) if error.kind == StoreErrorKind::ConditionFailed => {}
                Err(error) if needs_a_look(&error.kind) => match read_file(&*store, &key).await? {
                    Some((_, found)) if found == file => {}
                    _ => return Err(error.into()),
                },
                Err(error) => return Err(error.into()),
            }
            if let Some(cache) = cache {
                off_the_runtime(move || cache.put(&name, &file)).await;
            }
            Ok(())
        });
        Ok(())
    }

    async fn upload_ended(&mut self) -> Result<(), LedgerError> {
        match self.uploads.join_next().await {
            Some(Ok(outcome)) => outcome,
            Some(Err(error)) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => unreachable!("uploads are aborted only when the writer is dropped"),
            },
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
