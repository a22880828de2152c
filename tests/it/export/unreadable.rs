//! Files of the tree that cannot be read, beside what dead runs and other people left.

use std::num::NonZeroUsize;

use async_trait::async_trait;
use lakesync::model::{Change, CommitId, Entry};
use lakesync::source::{Body, EntryStream, Item, Source, SourceError, Stream};
use lakesync::store::RequestKind;

use super::*;

/// A branch with one file that cannot be read.
struct Unreadable {
    inner: MemorySource,
    path: RelPath,
}

#[async_trait]
impl Source for Unreadable {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn head(&self) -> Result<CommitId, SourceError> {
        self.inner.head().await
    }

    async fn contains(&self, at: &CommitId) -> Result<bool, SourceError> {
        self.inner.contains(at).await
    }

    async fn tree(&self, at: &CommitId) -> Result<EntryStream, SourceError> {
        let mut tree = self.inner.tree(at).await?;
        let mut items = Vec::new();
        while let Some(item) = tree.next().await? {
            items.push(match item {
                Item::Entry(entry) if entry.path == self.path => Item::Failed {
                    path: entry.path,
                    error: "permission denied".to_owned(),
                },
                other => other,
            });
        }
        Ok(Stream::ready(items))
    }

    async fn changes(&self, _: &CommitId, _: &CommitId) -> Result<Option<Stream<Item<Change>>>, SourceError> {
        Ok(None)
    }

    async fn open(&self, at: &CommitId, entry: &Entry) -> Result<Body, SourceError> {
        self.inner.open(at, entry).await
    }

    fn parallelism(&self) -> NonZeroUsize {
        self.inner.parallelism()
    }
}

/// P3: what lies behind an unreadable file in the ledger stays ours, even where somebody else's object stands there.
#[tokio::test(start_paused = true)]
async fn an_unreadable_file_over_a_foreign_object_does_not_hide_the_rest_of_the_ledger() {
    let world = World::new();
    world.commit(&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]);
    world.export().await.unwrap();
    world.commit(&[("a", "1"), ("b", "5"), ("c", "3"), ("d", "4")]);
    let put = Matching::new(Fault::Hang).kind(RequestKind::Put);
    world.die_at(put.key_contains("out/b")).await;
    let key = world.config.export_path.prefix.join("b");
    world.store.foreign_put(&key, "theirs");
    let exporter = Exporter {
        source: Arc::new(Unreadable {
            inner: world.source.clone(),
            path: RelPath::new("b").unwrap(),
        }),
        ..world.exporter()
    };
    let report = exporter.run(&CancellationToken::new()).await.unwrap();
    let failed: Vec<_> = report.failures.iter().map(|one| one.path.to_string()).collect();
    assert_eq!((failed, report.counts.kept), (vec!["b".to_owned()], 3));
    // Once it can be read and the foreign object is gone, all is as it was.
    world.store.foreign_delete(&key);
    let report = world.export().await.unwrap();
    assert_eq!(
        (report.outcome, report.counts.put, report.counts.kept),
        (Outcome::Exported, 1, 3)
    );
}
