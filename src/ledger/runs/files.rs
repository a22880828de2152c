//! The numbered files of one kind that a run writes.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::Page;
use crate::ledger::LedgerFolder;
use crate::ledger::file::put_once;
use crate::ledger::packed::Format;
use crate::model::{ObjectKey, RunId};
use crate::store::{Checksum, Store, StoreError};

/// Gathers records and writes them, file after file.
pub(super) struct RunFiles {
    pub(super) store: Arc<dyn Store>,
    folder: LedgerFolder,
    run: RunId,
    checksum: Checksum,
    kind: &'static str,
    format: &'static Format,
    page: Page,
    files: u32,
}

impl std::fmt::Debug for RunFiles {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("RunFiles")
            .field("run", &self.run)
            .field("kind", &self.kind)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// A file that was sent, whatever came of it.
pub(super) struct SentFile {
    pub(super) key: ObjectKey,
    pub(super) body: Bytes,
    pub(super) outcome: Result<(), StoreError>,
}

impl RunFiles {
    pub(super) fn new(
        store: Arc<dyn Store>,
        folder: LedgerFolder,
        run: RunId,
        checksum: Checksum,
        kind: &'static str,
        format: &'static Format,
    ) -> Self {
        Self {
            store,
            folder,
            run,
            checksum,
            kind,
            format,
            page: Page::default(),
            files: 0,
        }
    }

    /// Adds a record to the file that is being gathered.
    pub(super) fn push<T: Serialize>(&mut self, record: &T) {
        self.page.push(record);
    }

    /// How many records wait.
    pub(super) fn waiting(&self) -> u32 {
        self.page.records
    }

    /// Whether the next record should go into another file.
    pub(super) fn is_full(&self) -> bool {
        self.page.is_full()
    }

    /// Sends what waits as the next file; `complete`: it is the last one, and all have so many records.
    pub(super) async fn send(&mut self, complete: Option<u64>) -> SentFile {
        self.files += 1;
        let body = Bytes::from(self.page.finish(self.format, self.files, complete));
        let key = self.folder.run_file(self.run, self.kind, self.files);
        let outcome = put_once(&*self.store, &key, body.clone(), self.checksum).await;
        SentFile {
            key,
            body,
            outcome: outcome.map(drop),
        }
    }
}
