//! One folder or one path of a scan.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;

use super::{DirSource, blocking, body};
use crate::files::join;
use crate::model::{CommitId, Entry, RelPath};
use crate::source::browse::Children;
use crate::source::{Body, Browse, Child, Item, Node, SourceError, Stream, channel};

#[async_trait]
impl Browse for DirSource {
    /// Reads through the whole scan, which is on disk in the order of the paths and has no index.
    async fn folder(&self, at: &CommitId, folder: Option<&RelPath>) -> Result<Stream<Item<Child>>, SourceError> {
        let scan = self.scan_of(at)?;
        let folder = folder.cloned();
        let (mut sink, stream) = channel();
        // Left alone on purpose: it ends when the spool or its reader does.
        drop(tokio::task::spawn_blocking(move || {
            let mut children = Children::of(folder.as_ref());
            let outcome = scan.spool.read(|item| match Item::from(item) {
                Item::Entry(entry) => match children.take(entry) {
                    Some(child) => sink.send_blocking(Item::Entry(child)).is_ok(),
                    None => true,
                },
                Item::Failed { path, error } => sink.send_blocking(Item::Failed { path, error }).is_ok(),
                Item::Notice(_) => true,
            });
            sink.finish_blocking(outcome);
        }));
        Ok(stream)
    }

    async fn find(&self, at: &CommitId, path: &RelPath) -> Result<Option<Node>, SourceError> {
        let scan = self.scan_of(at)?;
        let path = path.clone();
        blocking(move || {
            let below = join(path.as_bytes(), b"");
            let mut found = None;
            scan.spool.read(|item| {
                let Item::Entry(entry) = Item::from(item) else {
                    return true;
                };
                if entry.path == path {
                    found = Some(Node::File(entry));
                } else if entry.path.as_bytes().starts_with(&below) {
                    found = Some(Node::Folder);
                }
                found.is_none()
            })?;
            Ok(found)
        })
        .await
    }

    async fn read(&self, _: &CommitId, entry: &Entry, range: Range<u64>) -> Result<Body, SourceError> {
        let shared = Arc::clone(&self.shared);
        let entry = entry.clone();
        blocking(move || {
            let file = body::open(&shared.root, shared.identity, shared.config.symlinks, entry)?;
            file.read_part(&shared.root, range).map(Body::Whole)
        })
        .await
    }

    fn reads_whole(&self) -> bool {
        false
    }

    async fn committed_at(&self, _: &CommitId) -> Result<Option<i64>, SourceError> {
        Ok(None)
    }
}
