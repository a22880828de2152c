//! A source whose head stands still for one run.

use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;

use crate::model::{Change, CommitId, Entry};
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
