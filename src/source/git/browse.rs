//! One folder or one path of a commit, by its tree objects alone.

use std::ops::Range;

use async_trait::async_trait;
use rayon::prelude::*;

use super::delivery::{BATCH, SHARE, entry_of};
use super::folder::{Child as Stored, ChildKind, Folder};
use super::reader::{Place, Reader};
use super::{GitSource, Inner};
use crate::files::join;
use crate::model::{CommitId, Entry, RelPath};
use crate::source::{Body, Browse, Child, Item, Node, Sink, Source as _, SourceError, Stream};

impl Inner {
    /// What a path names, as it is stored.
    fn stored(&self, reader: &Reader, at: &CommitId, path: &RelPath) -> Result<Option<Stored>, SourceError> {
        let mut tree = reader.root(at)?;
        let mut folders = path.folders();
        let mut segments = path.segments().peekable();
        while let Some(segment) = segments.next() {
            let above = Place {
                commit: at,
                path: folders.next().unwrap_or(path.as_bytes()),
            };
            let Some(found) = Folder::read(reader, tree, above)?.find(segment, above)? else {
                return Ok(None);
            };
            if segments.peek().is_none() {
                return Ok(Some(found));
            }
            if !found.is_folder() {
                return Ok(None);
            }
            tree = found.id;
        }
        Ok(None)
    }

    /// Whether a child of that path is shown.
    fn is_wanted(&self, path: &RelPath, kind: ChildKind) -> bool {
        match kind {
            ChildKind::Folder | ChildKind::Submodule => self.filter.wants_folder(path.as_bytes()),
            ChildKind::File { .. } | ChildKind::Symlink => self.filter.wants_file(path),
        }
    }

    fn node(&self, reader: &Reader, at: &CommitId, path: RelPath, stored: &Stored) -> Result<Node, SourceError> {
        let place = Place {
            commit: at,
            path: path.as_bytes(),
        };
        Ok(match stored.kind {
            ChildKind::Folder | ChildKind::Submodule => Node::Folder,
            ChildKind::Symlink => Node::Link(reader.blob_bytes(stored.id, place)?.into()),
            ChildKind::File { executable } => {
                let size = reader.blob_size(stored.id, place)?;
                Node::File(entry_of(path, size, stored.id, executable))
            }
        })
    }

    fn send_folder(
        &self,
        at: &CommitId,
        folder: Option<&RelPath>,
        sink: &mut Sink<Item<Child>>,
    ) -> Result<(), SourceError> {
        let reader = self.readers.take();
        let tree = match folder {
            None => reader.root(at)?,
            Some(path) => match self.stored(&reader, at, path)? {
                Some(stored) if stored.is_folder() => stored.id,
                // Of a submodule nothing is here.
                _ => return Ok(()),
            },
        };
        let place = Place {
            commit: at,
            path: folder.map_or(b"", RelPath::as_bytes),
        };
        let mut stored = Folder::read(&reader, tree, place)?;
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let child = stored.next_stored(place)?;
            let is_end = child.is_none();
            if let Some(child) = child {
                let path = RelPath::new(join(folder.map_or(b"", RelPath::as_bytes), &child.name))
                    .expect("no name in a folder is empty");
                if self.is_wanted(&path, child.kind) {
                    batch.push((path, child));
                }
            }
            if (is_end || batch.len() == BATCH) && !self.send_batch(at, std::mem::take(&mut batch), sink)? {
                return Ok(());
            }
            if is_end {
                return Ok(());
            }
        }
    }

    /// Sends some children on, sizes looked up by all cores; `false` where nobody reads on.
    fn send_batch(
        &self,
        at: &CommitId,
        batch: Vec<(RelPath, Stored)>,
        sink: &mut Sink<Item<Child>>,
    ) -> Result<bool, SourceError> {
        let nodes: Vec<Vec<Node>> = batch
            .par_chunks(SHARE)
            .map(|share| {
                let reader = self.readers.take();
                let nodes = share.iter();
                nodes
                    .map(|(path, stored)| self.node(&reader, at, path.clone(), stored))
                    .collect()
            })
            .collect::<Result<_, SourceError>>()?;
        for ((_, stored), node) in batch.into_iter().zip(nodes.into_iter().flatten()) {
            let name = stored.name.into();
            if sink.send_blocking(Item::Entry(Child { name, node })).is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[async_trait]
impl Browse for GitSource {
    async fn folder(&self, at: &CommitId, folder: Option<&RelPath>) -> Result<Stream<Item<Child>>, SourceError> {
        let (at, folder) = (at.clone(), folder.cloned());
        self.on_thread(move |inner, mut sink| {
            let outcome = inner.send_folder(&at, folder.as_ref(), &mut sink);
            sink.finish_blocking(outcome);
        })
    }

    async fn find(&self, at: &CommitId, path: &RelPath) -> Result<Option<Node>, SourceError> {
        let (at, path) = (at.clone(), path.clone());
        self.blocking(move |inner| {
            let reader = inner.readers.take();
            match inner.stored(&reader, &at, &path)? {
                Some(stored) if inner.is_wanted(&path, stored.kind) => {
                    inner.node(&reader, &at, path, &stored).map(Some)
                }
                _ => Ok(None),
            }
        })
        .await
    }

    async fn read(&self, at: &CommitId, entry: &Entry, range: Range<u64>) -> Result<Body, SourceError> {
        Ok(Body::Whole(self.open(at, entry).await?.part(range).await?))
    }

    /// A blob is inflated from its beginning, or put together from deltas.
    fn reads_whole(&self) -> bool {
        true
    }

    async fn committed_at(&self, at: &CommitId) -> Result<Option<i64>, SourceError> {
        let at = at.clone();
        self.blocking(move |inner| inner.readers.take().committed_at(&at).map(Some))
            .await
    }
}
