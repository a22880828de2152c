//! Done records: what a run has done so far.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::files::RunFiles;
use super::{FILE_BYTES, read_page};
use crate::ledger::file::read_file;
use crate::ledger::folder::place;
use crate::ledger::packed::Format;
use crate::ledger::{HeadersDigest, LedgerError, LedgerFolder};
use crate::model::{ContentIds, ETag, ObjectKey, RelPath, RunId};
use crate::store::{Checksum, Listed, Store, StoreErrorKind, list_objects};

pub(in crate::ledger) const DONE: &str = "done";

pub(super) static FORMAT: Format = Format {
    magic: b"LKSDONE\n",
    version: 1,
    // A file is full when it passes the mark, so one record may come on top.
    body_limit: (FILE_BYTES + (1 << 20)) as u32,
};

/// How long a record waits at most for others to be written with: what a crash then costs is a request for each
/// object of that time.
const FLUSH_EVERY: Duration = Duration::from_secs(5);

/// How many records are written together at most: beyond it the waiting saves nothing more.
const FLUSH_RECORDS: u32 = 10_000;

/// Something that a run has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Where.
    pub path: RelPath,
    /// What.
    pub outcome: Outcome,
}

/// What has become of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// An object of ours is there.
    Put {
        /// The etag that the store answered.
        etag: ETag,
        /// Its length.
        size: u64,
        /// What is known of its content.
        content: ContentIds,
        /// The headers it was written with.
        headers: HeadersDigest,
        /// The version, on a versioned bucket.
        version_id: Option<Box<str>>,
    },
    /// Nothing of ours is there any more.
    Deleted,
}

/// Writes down what is done: every five seconds or 10,000 objects, whichever comes first.
///
/// A file that cannot be written is let go with a warning, since it only saves requests after a crash; but a
/// lost lease ends the run here as anywhere.
#[derive(Debug)]
pub struct DoneLog {
    files: RunFiles,
    /// When the first record that waits came.
    since: Option<Instant>,
}

impl DoneLog {
    /// Begins the log of a run.
    pub fn new(store: Arc<dyn Store>, folder: LedgerFolder, run: RunId, checksum: Checksum) -> Self {
        Self {
            files: RunFiles::new(store, folder, run, checksum, DONE, &FORMAT),
            since: None,
        }
    }

    /// Appends a record, and writes when it is time to.
    ///
    /// # Errors
    ///
    /// Only where the lease was lost.
    pub async fn push(&mut self, done: &Done) -> Result<(), LedgerError> {
        self.files.push(done);
        self.since.get_or_insert_with(Instant::now);
        self.flush_if_due().await
    }

    /// When the records that wait are to be written; `None` where none does.
    pub fn due(&self) -> Option<Instant> {
        Some(self.since? + FLUSH_EVERY)
    }

    /// Writes the records that wait if it is time to; for whoever has no new one.
    pub async fn flush_if_due(&mut self) -> Result<(), LedgerError> {
        let is_due = self.due().is_some_and(|due| due <= Instant::now());
        if is_due || self.files.waiting() >= FLUSH_RECORDS || self.files.is_full() {
            self.flush().await?;
        }
        Ok(())
    }

    /// Writes the records that still wait.
    pub async fn finish(mut self) -> Result<(), LedgerError> {
        if self.since.is_some() {
            self.flush().await
        } else {
            Ok(())
        }
    }

    async fn flush(&mut self) -> Result<(), LedgerError> {
        self.since = None;
        match self.files.send(None).await.outcome {
            Ok(()) => Ok(()),
            Err(error) if error.kind == StoreErrorKind::LeaseLost => Err(error.into()),
            // A lost reply to an earlier try: names hold the run, and files are written once.
            Err(error) if error.kind == StoreErrorKind::ConditionFailed => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "what was done so far could not be written down; going on");
                Ok(())
            }
        }
    }
}

/// Streams the done records of a run in the order in which they were written; of a path that comes more than
/// once the last one counts. Files may be missing between others, since they may fail to be written.
pub async fn read_done(
    store: Arc<dyn Store>,
    folder: &LedgerFolder,
    run: RunId,
) -> Result<BoxStream<'static, Result<Done, LedgerError>>, LedgerError> {
    let prefix = folder.run_files(run, DONE);
    let mut files: Vec<(u32, ObjectKey)> = Vec::new();
    let mut listed = list_objects(&*store, &prefix);
    while let Some(Listed { key, .. }) = listed.next().await.transpose()? {
        let number = key
            .as_str()
            .strip_prefix(&prefix)
            .and_then(|number| number.parse().ok());
        files.extend(number.map(|number| (number, key)));
    }
    drop(listed);
    files.sort();
    let records = stream::iter(files)
        .then(move |(number, key)| {
            let store = Arc::clone(&store);
            async move { read_one(&*store, number, &key).await }
        })
        .flat_map(|file| {
            let (records, error) = match file {
                Ok(records) => (records, None),
                Err(error) => (Vec::new(), Some(Err(error))),
            };
            stream::iter(records.into_iter().map(Ok).chain(error))
        });
    Ok(records.boxed())
}

async fn read_one(store: &dyn Store, number: u32, key: &ObjectKey) -> Result<Vec<Done>, LedgerError> {
    let file = place(store.bucket(), key);
    let (_, bytes) = read_file(store, key)
        .await?
        .ok_or_else(|| LedgerError::damaged(&file, "it is listed and missing"))?;
    let (head, records) = read_page(&FORMAT, &file, &bytes)?;
    if head.number != number {
        return Err(LedgerError::damaged(&file, "it is another file of that run"));
    }
    Ok(records)
}
