//! Intents: every path that a run may touch.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use serde::{Deserialize, Serialize};

use super::files::{RunFiles, SentFile};
use super::{FILE_BYTES, read_page};
use crate::ledger::file::{needs_a_look, read_file};
use crate::ledger::folder::place;
use crate::ledger::packed::Format;
use crate::ledger::{HeadersDigest, LedgerError, LedgerFolder};
use crate::model::{ContentIds, RelPath, RunId};
use crate::store::{Checksum, Store};

pub(in crate::ledger) const INTENTS: &str = "intents";

pub(super) static FORMAT: Format = Format {
    magic: b"LKSINTNT",
    version: 1,
    // A file is full when it passes the mark, so one record may come on top.
    body_limit: (FILE_BYTES + (1 << 20)) as u32,
};

/// Something that a run is about to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Where.
    pub path: RelPath,
    /// What.
    pub kind: IntentKind,
    /// Whether the object is sent in parts, so that an upload may be left behind.
    pub is_upload: bool,
}

/// What a run is about to do to a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IntentKind {
    /// Put or copy this there.
    Put {
        /// What is known of the content.
        content: ContentIds,
        /// How long it is.
        size: u64,
        /// The headers it gets.
        headers: HeadersDigest,
    },
    /// Remove it.
    Delete,
}

/// Writes the intents of a run, in the order of their paths.
///
/// A set that was not finished is harmless: its run never turned the root dirty, so nobody reads it.
#[derive(Debug)]
pub struct IntentWriter {
    files: RunFiles,
    intents: u64,
    last: Option<RelPath>,
}

impl IntentWriter {
    /// Begins the intents of a run.
    pub fn new(store: Arc<dyn Store>, folder: LedgerFolder, run: RunId, checksum: Checksum) -> Self {
        Self {
            files: RunFiles::new(store, folder, run, checksum, INTENTS, &FORMAT),
            intents: 0,
            last: None,
        }
    }

    /// Appends an intent.
    pub async fn push(&mut self, intent: &Intent) -> Result<(), LedgerError> {
        if let Some(last) = self.last.take_if(|last| *last >= intent.path) {
            return Err(LedgerError::OutOfOrder {
                path: intent.path.clone(),
                previous: last,
            });
        }
        if self.files.is_full() {
            self.flush(None).await?;
        }
        self.files.push(intent);
        self.last = Some(intent.path.clone());
        self.intents += 1;
        Ok(())
    }

    /// Writes what still waits, and that this is all. Gives the number of intents.
    pub async fn finish(mut self) -> Result<u64, LedgerError> {
        self.flush(Some(self.intents)).await?;
        Ok(self.intents)
    }

    async fn flush(&mut self, complete: Option<u64>) -> Result<(), LedgerError> {
        let SentFile { key, body, outcome } = self.files.send(complete).await;
        let Err(error) = outcome else { return Ok(()) };
        if !needs_a_look(&error.kind) {
            return Err(error.into());
        }
        // The reply to this write, or to an earlier try of it, may have been lost.
        match read_file(&*self.files.store, &key).await? {
            Some((_, found)) if found == body => Ok(()),
            _ => Err(error.into()),
        }
    }
}

/// What is left to be read of the intents of a run.
struct Reading {
    store: Arc<dyn Store>,
    folder: LedgerFolder,
    run: RunId,
    /// The file to be read next; `None` after the last.
    next: Option<u32>,
    read: u64,
    last: Option<RelPath>,
}

/// Streams the intents of a run that turned the root dirty, sorted by path, one file at a time.
///
/// Such a run has all its intents: a file that is missing is an error.
pub fn read_intents(
    store: Arc<dyn Store>,
    folder: LedgerFolder,
    run: RunId,
) -> BoxStream<'static, Result<Intent, LedgerError>> {
    let reading = Reading {
        store,
        folder,
        run,
        next: Some(1),
        read: 0,
        last: None,
    };
    stream::unfold(reading, |mut reading| async move {
        let number = reading.next?;
        let (intents, error) = match reading.file(number).await {
            Ok(intents) => (intents, None),
            Err(error) => {
                reading.next = None;
                (Vec::new(), Some(Err(error)))
            }
        };
        Some((stream::iter(intents.into_iter().map(Ok).chain(error)), reading))
    })
    .flatten()
    .boxed()
}

impl Reading {
    async fn file(&mut self, number: u32) -> Result<Vec<Intent>, LedgerError> {
        let key = self.folder.run_file(self.run, INTENTS, number);
        let file = place(self.store.bucket(), &key);
        let (_, bytes) = read_file(&*self.store, &key)
            .await?
            .ok_or_else(|| LedgerError::damaged(&file, "it is missing"))?;
        let (head, intents) = read_page::<Intent>(&FORMAT, &file, &bytes)?;
        let is_sorted = intents.is_sorted_by(|a, b| a.path < b.path)
            && intents
                .first()
                .is_none_or(|first| self.last.as_ref().is_none_or(|last| *last < first.path));
        self.read += u64::from(head.records);
        if head.number != number || !is_sorted || head.complete.is_some_and(|total| total != self.read) {
            return Err(LedgerError::damaged(&file, "it does not follow the one before"));
        }
        if let Some(last) = intents.last() {
            self.last = Some(last.path.clone());
        }
        self.next = match head.complete {
            Some(_) => None,
            None => Some(number + 1),
        };
        Ok(intents)
    }
}
