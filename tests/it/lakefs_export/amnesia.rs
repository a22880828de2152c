//! A source that cannot compare commits.

use std::num::NonZeroUsize;

use async_trait::async_trait;
use lakesync::model::{Change, CommitId, Entry};
use lakesync::source::{Body, EntryStream, Item, Source, SourceError, Stream};

/// The source inside, but for its changes: a run then compares the whole tree with its ledger.
pub struct Amnesia<S>(pub S);

#[async_trait]
impl<S: Source> Source for Amnesia<S> {
    fn name(&self) -> &str {
        self.0.name()
    }

    async fn head(&self) -> Result<CommitId, SourceError> {
        self.0.head().await
    }

    async fn contains(&self, at: &CommitId) -> Result<bool, SourceError> {
        self.0.contains(at).await
    }

    async fn tree(&self, at: &CommitId) -> Result<EntryStream, SourceError> {
        self.0.tree(at).await
    }

    async fn changes(&self, _from: &CommitId, _to: &CommitId) -> Result<Option<Stream<Item<Change>>>, SourceError> {
        Ok(None)
    }

    async fn open(&self, at: &CommitId, entry: &Entry) -> Result<Body, SourceError> {
        self.0.open(at, entry).await
    }

    fn parallelism(&self) -> NonZeroUsize {
        self.0.parallelism()
    }
}
