//! What a single run of the loop is given: a source whose head stands still, and ears for its id.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::model::{Change, CommitId, Entry, RunId};
use crate::progress::{ObjectEvent, Phase, Progress, Totals};
use crate::source::{Body, EntryStream, Item, Source, SourceError, Stream};

/// A source whose head is the one that a pass has read: a run asks twice more, and each time a folder would be
/// scanned and a server asked. What comes meanwhile is seen by the next pass.
pub(super) struct Pinned {
    source: Arc<dyn Source>,
    head: CommitId,
}

impl Pinned {
    pub(super) fn new(source: Arc<dyn Source>, head: CommitId) -> Self {
        Self { source, head }
    }
}

#[async_trait]
impl Source for Pinned {
    fn name(&self) -> &str {
        self.source.name()
    }

    async fn head(&self) -> Result<CommitId, SourceError> {
        Ok(self.head.clone())
    }

    async fn contains(&self, at: &CommitId) -> Result<bool, SourceError> {
        self.source.contains(at).await
    }

    async fn tree(&self, at: &CommitId) -> Result<EntryStream, SourceError> {
        self.source.tree(at).await
    }

    async fn changes(&self, from: &CommitId, to: &CommitId) -> Result<Option<Stream<Item<Change>>>, SourceError> {
        self.source.changes(from, to).await
    }

    async fn open(&self, at: &CommitId, entry: &Entry) -> Result<Body, SourceError> {
        self.source.open(at, entry).await
    }

    fn parallelism(&self) -> NonZeroUsize {
        self.source.parallelism()
    }
}

/// Tells all to another, and remembers the id of the run: an error does not hold it.
pub(super) struct Followed {
    progress: Arc<dyn Progress>,
    run: Mutex<Option<RunId>>,
}

impl Followed {
    pub(super) fn new(progress: Arc<dyn Progress>) -> Self {
        Self {
            progress,
            run: Mutex::default(),
        }
    }

    pub(super) fn run(&self) -> Option<RunId> {
        *self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Followed {
    fn phase(&self, phase: Phase) {
        self.progress.phase(phase);
    }

    fn started(&self, run: RunId, commit: &CommitId) {
        *self.run.lock().unwrap_or_else(PoisonError::into_inner) = Some(run);
        self.progress.started(run, commit);
    }

    fn planned(&self, totals: &Totals) {
        self.progress.planned(totals);
    }

    fn moved(&self, bytes: u64) {
        self.progress.moved(bytes);
    }

    fn object(&self, event: &ObjectEvent<'_>) {
        self.progress.object(event);
    }

    fn warn(&self, text: &str) {
        self.progress.warn(text);
    }
}
