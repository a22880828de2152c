//! One folder or one path of a commit: by the ranges that it touches, or by pages that the server cuts at slashes.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;

use super::by_ranges::entry_of_range;
use super::entries::entry_of_stats;
use super::error::LakeFsErrorKind as Kind;
use super::listing::{Way, has_no_tree, pages_below, way_to};
use super::pages::{self, PageChild};
use super::ranges::{self, MetaRangeId, RangeChild};
use super::{Commit, Inner, LakeFsSource};
use crate::model::{CommitId, Entry, RelPath};
use crate::source::{Body, Browse, Child, Item, Node, Sink, Source as _, SourceError, Stream, channel};

/// A folder whose sub-folders begin and end in more ranges than this is asked of the server, which tells 1,000 of them
/// in a page; a range is some MiB.
const MOST_RANGES: usize = 8;

/// One commit that is looked into.
#[derive(Clone)]
struct Looked {
    inner: Arc<Inner>,
    commit: Commit,
    storage_namespace: String,
}

impl Looked {
    async fn at(source: &LakeFsSource, at: &CommitId) -> Result<Self, SourceError> {
        Ok(Self {
            inner: Arc::clone(&source.inner),
            commit: source.inner.commit(at).await?,
            storage_namespace: source.inner.storage_namespace().await?.to_owned(),
        })
    }

    fn file(path: &RelPath, entry: Entry) -> Child {
        Child {
            name: path.file_name().into(),
            node: Node::File(entry),
        }
    }

    fn folder(&self, keys: &[u8]) -> Option<Child> {
        let path = self.inner.selection.folder_path(keys)?;
        Some(Child {
            name: path.file_name().into(),
            node: Node::Folder,
        })
    }

    fn of_range(&self, child: RangeChild<'_>) -> Option<Child> {
        match child {
            RangeChild::Folder(keys) => self.folder(keys),
            RangeChild::File(entry) => {
                let path = self.inner.selection.path_of(entry.key)?;
                let entry = entry_of_range(path.clone(), &entry, &self.storage_namespace);
                Some(Self::file(&path, entry))
            }
        }
    }

    fn of_page(&self, child: PageChild) -> Option<Child> {
        match child {
            PageChild::Folder(keys) => self.folder(keys.as_bytes()),
            PageChild::File(stats) => {
                let path = self.inner.selection.path_of(stats.path.as_bytes())?;
                let entry = entry_of_stats(path.clone(), *stats, &self.storage_namespace);
                Some(Self::file(&path, entry))
            }
        }
    }

    /// Sends a folder, by ranges where that is the way and costs little.
    async fn send(&self, keys: Vec<u8>, sink: &mut Sink<Item<Child>>) -> Result<(), SourceError> {
        let inner = &self.inner;
        let keys_as_text = String::from_utf8(keys.clone());
        if let Way::Ranges([tree]) = way_to(inner, [&self.commit]).await? {
            let tables = inner.listing.tables();
            let by_pages = inner.listing.is_free()
                && keys_as_text.is_ok()
                && ranges::ranges_across_folders(tables, tree, &keys).await? > MOST_RANGES;
            if !by_pages {
                match self.send_ranges(tree, keys, sink).await? {
                    Sent::All => return Ok(()),
                    Sent::Nothing => {}
                }
            }
        }
        let keys = keys_as_text.map_err(|error| self.not_text(error.as_bytes()))?;
        let make = |child| self.of_page(child).map(Item::Entry);
        pages::stream_folder(pages_below(inner, keys), self.commit.id.clone(), make, sink).await
    }

    /// Sends a folder by ranges, unless they cannot be had and pages can do instead.
    async fn send_ranges(
        &self,
        tree: Option<MetaRangeId>,
        keys: Vec<u8>,
        sink: &mut Sink<Item<Child>>,
    ) -> Result<Sent, SourceError> {
        let this = self.clone();
        let tables = self.inner.listing.tables();
        let mut children = ranges::read_folder(tables, tree, keys, move |child| Ok(this.of_range(child)));
        let mut has_sent = false;
        loop {
            match children.next().await {
                Ok(None) => return Ok(Sent::All),
                Ok(Some(child)) => {
                    has_sent = true;
                    if sink.send(Item::Entry(child)).await.is_err() {
                        return Ok(Sent::All);
                    }
                }
                Err(error) if !has_sent && self.inner.listing.falls_back(&error) => return Ok(Sent::Nothing),
                Err(error) => return Err(error),
            }
        }
    }

    async fn find(&self, path: &RelPath) -> Result<Option<Node>, SourceError> {
        let (inner, selection) = (&self.inner, &self.inner.selection);
        let below = selection.keys_below(Some(path));
        let key = &below[..below.len() - 1];
        let wants_file = selection.filter.wants_file(path);
        let wants_folder = selection.filter.wants_folder(path.as_bytes());
        if let Way::Ranges([tree]) = way_to(inner, [&self.commit]).await? {
            let tables = inner.listing.tables();
            if wants_file {
                let make =
                    |entry: ranges::RangeEntryRef<'_>| entry_of_range(path.clone(), &entry, &self.storage_namespace);
                if let Some(entry) = ranges::find_entry(tables, tree, key, make).await? {
                    return Ok(Some(Node::File(entry)));
                }
            }
            let is_folder = wants_folder && ranges::has_prefix(tables, tree, &below).await?;
            return Ok(is_folder.then_some(Node::Folder));
        }
        let below = String::from_utf8(below).map_err(|error| self.not_text(error.as_bytes()))?;
        let key = &below[..below.len() - 1];
        if wants_file {
            let asked = inner.client.stat(inner.repository.as_str(), &self.commit.id, key).await;
            match asked {
                Ok(stats) => {
                    let entry = entry_of_stats(path.clone(), stats, &self.storage_namespace);
                    return Ok(Some(Node::File(entry)));
                }
                Err(error) if error.kind == Kind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        let is_folder = wants_folder && pages::has_prefix(&pages_below(inner, below), &self.commit.id).await?;
        Ok(is_folder.then_some(Node::Folder))
    }

    fn not_text(&self, keys: &[u8]) -> SourceError {
        let at = CommitId::new(self.commit.id.as_str());
        match RelPath::new(keys) {
            Ok(path) => self.inner.key_not_text(&at, &path),
            Err(_) => unreachable!("no bytes are text"),
        }
    }
}

/// What became of a folder.
enum Sent {
    All,
    /// Nothing was sent, and the pages can tell.
    Nothing,
}

#[async_trait]
impl Browse for LakeFsSource {
    async fn folder(&self, at: &CommitId, folder: Option<&RelPath>) -> Result<Stream<Item<Child>>, SourceError> {
        let looked = Looked::at(self, at).await?;
        if has_no_tree(&looked.commit) {
            return Ok(Stream::ready(Vec::new()));
        }
        let keys = self.inner.selection.keys_below(folder);
        let (mut sink, stream) = channel();
        tokio::spawn(async move {
            let outcome = looked.send(keys, &mut sink).await;
            sink.finish(outcome).await;
        });
        Ok(stream)
    }

    async fn find(&self, at: &CommitId, path: &RelPath) -> Result<Option<Node>, SourceError> {
        let looked = Looked::at(self, at).await?;
        if has_no_tree(&looked.commit) {
            return Ok(None);
        }
        looked.find(path).await
    }

    async fn read(&self, at: &CommitId, entry: &Entry, range: Range<u64>) -> Result<Body, SourceError> {
        let range = range.start.min(entry.size)..range.end.min(entry.size);
        if range == (0..entry.size) {
            return self.open(at, entry).await;
        }
        if range.is_empty() {
            return Ok(Body::Whole(bytes::Bytes::new()));
        }
        let inner = &self.inner;
        let key = inner.key_of(at, &entry.path)?;
        let repository = inner.repository.as_str();
        let part = inner.objects.read_part(repository, at, &key, entry, range).await?;
        Ok(Body::Whole(part))
    }

    fn reads_whole(&self) -> bool {
        false
    }

    async fn committed_at(&self, at: &CommitId) -> Result<Option<i64>, SourceError> {
        Ok(Some(self.inner.commit(at).await?.creation_date))
    }
}
