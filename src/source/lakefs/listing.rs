//! The two ways to the entries of a commit, and which of them is taken.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::by_ranges::{self, ServerTables};
use super::client::LakeFsClient;
use super::error::LakeFsErrorKind as Kind;
use super::pages::{self, PagesOf};
use super::ranges::{MetaRangeId, TableCache, Tables};
use super::{Commit, Inner, LakeFsError, LakeFsRequest, RepositoryName};
use crate::disk_cache::DiskCacheConfig;
use crate::model::{Change, CommitId, Entry, RelPath};
use crate::source::{EntryStream, Item, Sink, SourceError, Stream, channel};

/// `--listing auto|ranges|pages`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListingChoice {
    /// By ranges where the server lets us, else by pages.
    #[default]
    Auto,
    /// By ranges, or not at all.
    Ranges,
    /// By pages.
    Pages,
}

/// How entries are read.
pub(super) struct Listing {
    choice: ListingChoice,
    tables: Tables,
    /// Ranges could not be had: they are not tried for each commit anew.
    no_ranges: AtomicBool,
}

/// Which way is taken to the entries of so many commits.
#[derive(Clone, Copy)]
pub(super) enum Way<const N: usize> {
    /// By ranges, of these trees; `None` is the tree without files.
    Ranges([Option<MetaRangeId>; N]),
    Pages,
}

impl<const N: usize> fmt::Display for Way<N> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Ranges(_) => "ranges",
            Self::Pages => "pages",
        })
    }
}

impl Listing {
    pub(super) fn new(
        choice: ListingChoice,
        client: LakeFsClient,
        repository: &RepositoryName,
        cache: Option<DiskCacheConfig>,
    ) -> Self {
        let fetch = ServerTables {
            client,
            repository: repository.to_string(),
        };
        Self {
            choice,
            tables: Tables::new(Arc::new(fetch), cache.map(TableCache::new)),
            no_ranges: AtomicBool::new(false),
        }
    }

    pub(super) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Whether pages may be read although ranges can be.
    pub(super) fn is_free(&self) -> bool {
        self.choice == ListingChoice::Auto
    }

    fn begins_with_ranges(&self) -> bool {
        match self.choice {
            ListingChoice::Pages => false,
            ListingChoice::Auto => !self.no_ranges.load(Ordering::Relaxed),
            ListingChoice::Ranges => true,
        }
    }

    /// Whether pages can do instead of ranges that failed so.
    pub(super) fn falls_back(&self, error: &SourceError) -> bool {
        let can = self.choice == ListingChoice::Auto
            && match error {
                SourceError::LakeFs(error) => error.is_refusal() || error.kind == Kind::DataGone,
                SourceError::Table(table) => table.source.fault.is_unknown_format(),
                _ => false,
            };
        if can {
            tracing::warn!(%error, "the ranges of lakeFS cannot be read; its pages are");
            // Data that is gone is gone from one commit.
            let for_all = !matches!(error, SourceError::LakeFs(error) if error.kind == Kind::DataGone);
            self.no_ranges.fetch_or(for_all, Ordering::Relaxed);
        }
        can
    }
}

/// Streams the tree of a commit.
pub(super) async fn tree(inner: &Arc<Inner>, at: &CommitId) -> Result<EntryStream, SourceError> {
    let commit = inner.commit(at).await?;
    if has_no_tree(&commit) {
        return Ok(Stream::ready(Vec::new()));
    }
    let storage_namespace = inner.storage_namespace().await?.to_owned();
    let way = way_to(inner, [&commit]).await?;
    tracing::info!(commit = commit.id, %way, "reading a tree of lakeFS");
    let selection = inner.selection.clone();
    let ranges = match way {
        Way::Pages => None,
        Way::Ranges([tree]) => {
            let (tables, namespace) = (inner.listing.tables(), storage_namespace.clone());
            Some(by_ranges::tree(tables, tree, selection.clone(), namespace))
        }
    };
    let (mut sink, stream) = channel();
    let inner = Arc::clone(inner);
    tokio::spawn(async move {
        let outcome = async {
            let after = match ranges {
                None => String::new(),
                Some(ranges) => match relay(&inner, ranges, &mut sink, |entry: &Entry| &entry.path).await? {
                    Relayed::All => return Ok(()),
                    Relayed::Until(key) => key,
                },
            };
            let pages = pages_of(&inner);
            pages::stream_tree(pages, commit.id, storage_namespace, selection, after, &mut sink).await
        };
        let outcome = outcome.await;
        sink.finish(outcome).await;
    });
    Ok(stream)
}

/// Streams what differs between two commits; `None` where one of them cannot be read.
pub(super) async fn changes(
    inner: &Arc<Inner>,
    from: &CommitId,
    to: &CommitId,
) -> Result<Option<Stream<Item<Change>>>, SourceError> {
    let Some(from) = older(inner.commit(from).await)? else {
        return Ok(None);
    };
    let to = inner.commit(to).await?;
    if from.meta_range_id == to.meta_range_id {
        tracing::info!(from = from.id, to = to.id, "the commits have one and the same tree");
        return Ok(Some(Stream::ready(Vec::new())));
    }
    let storage_namespace = inner.storage_namespace().await?.to_owned();
    let Some(way) = older(way_to(inner, [&from, &to]).await)? else {
        return Ok(None);
    };
    tracing::info!(from = from.id, to = to.id, %way, "reading changes of lakeFS");
    let selection = inner.selection.clone();
    let (mut sink, stream) = channel();
    let pages = pages_of(inner);
    let [old, new] = match way {
        Way::Ranges(trees) => trees,
        Way::Pages => {
            let Some(begun) = older(pages::begin_changes(pages, from.id, to.id, "").await)? else {
                return Ok(None);
            };
            tokio::spawn(async move {
                let outcome = begun.stream(&storage_namespace, &selection, &mut sink).await;
                sink.finish(outcome).await;
            });
            return Ok(Some(stream));
        }
    };
    let ranges = by_ranges::changes(
        inner.listing.tables(),
        old,
        new,
        selection.clone(),
        storage_namespace.clone(),
    );
    let inner = Arc::clone(inner);
    tokio::spawn(async move {
        let outcome = async {
            let key = match relay(&inner, ranges, &mut sink, Change::path).await? {
                Relayed::All => return Ok(()),
                Relayed::Until(key) => key,
            };
            let begun = pages::begin_changes(pages, from.id, to.id, &key).await?;
            begun.stream(&storage_namespace, &selection, &mut sink).await
        };
        let outcome = outcome.await;
        sink.finish(outcome).await;
    });
    Ok(Some(stream))
}

/// Chooses the way to some commits, by reading their metaranges where ranges are wanted: they are needed first in any
/// case.
pub(super) async fn way_to<const N: usize>(inner: &Inner, commits: [&Commit; N]) -> Result<Way<N>, SourceError> {
    let listing = &inner.listing;
    if !listing.begins_with_ranges() {
        return Ok(Way::Pages);
    }
    let mut trees = [None; N];
    for (tree, commit) in trees.iter_mut().zip(commits) {
        if has_no_tree(commit) {
            continue;
        }
        let id = metarange(inner, commit)?;
        match listing.tables.recent_metarange(id).await {
            Ok(_) => *tree = Some(id),
            Err(error) if listing.falls_back(&error) => return Ok(Way::Pages),
            Err(error) => return Err(error),
        }
    }
    Ok(Way::Ranges(trees))
}

/// How far ranges led.
enum Relayed {
    /// To the end, or to a reader who is gone.
    All,
    /// To this key, behind which pages go on.
    Until(String),
}

/// Passes on what ranges give, up to a failure that pages do not have.
async fn relay<T: Send + 'static>(
    inner: &Inner,
    mut ranges: Stream<Item<T>>,
    sink: &mut Sink<Item<T>>,
    path_of: impl Fn(&T) -> &RelPath,
) -> Result<Relayed, SourceError> {
    // One buffer for all, since there are millions.
    let mut last = Vec::new();
    loop {
        match ranges.next().await {
            Ok(Some(item)) => {
                if let Item::Entry(entry) = &item {
                    last.clear();
                    last.extend_from_slice(path_of(entry).as_bytes());
                }
                if sink.send(item).await.is_err() {
                    return Ok(Relayed::All);
                }
            }
            Ok(None) => return Ok(Relayed::All),
            Err(error) => {
                // No path is empty, and only text can be asked for.
                return match str::from_utf8(&last) {
                    Ok(last) if inner.listing.falls_back(&error) => Ok(Relayed::Until(match last {
                        "" => String::new(),
                        last => format!("{}{last}", inner.selection.prefix),
                    })),
                    _ => Err(error),
                };
            }
        }
    }
}

/// Whether a commit is the first of its repository, which has no tree at all.
pub(super) fn has_no_tree(commit: &Commit) -> bool {
    commit.meta_range_id.is_empty()
}

/// Which tree a commit has.
fn metarange(inner: &Inner, commit: &Commit) -> Result<MetaRangeId, SourceError> {
    let id = commit.meta_range_id.parse();
    id.map_err(|error: super::ranges::IdError| {
        let problem = "the tree of a commit has an id of another shape";
        Box::new(LakeFsError {
            request: LakeFsRequest::GetCommit,
            place: format!("lakefs://{}/{}", inner.repository, commit.id),
            endpoint: inner.client.endpoint().to_string(),
            kind: Kind::BadAnswer { problem },
            said: None,
            cause: Some(error.into()),
        })
        .into()
    })
}

fn pages_of(inner: &Inner) -> PagesOf {
    pages_below(inner, inner.selection.prefix.clone())
}

/// The pages of the keys that begin with `prefix`.
pub(super) fn pages_below(inner: &Inner, prefix: String) -> PagesOf {
    PagesOf {
        client: inner.client.clone(),
        repository: inner.repository.to_string(),
        prefix,
    }
}

/// Lets a commit that is gone, or whose data is, lead to a comparison of whole trees.
fn older<T>(asked: Result<T, SourceError>) -> Result<Option<T>, SourceError> {
    match asked {
        Ok(found) => Ok(Some(found)),
        Err(SourceError::LakeFs(error)) if matches!(error.kind, Kind::NotFound | Kind::DataGone) => {
            tracing::debug!(%error, "the commits cannot be compared; the whole tree will be read");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
