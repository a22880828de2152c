//! The two ways to the entries of a commit, and which of them is taken.

use std::sync::Arc;

use super::error::LakeFsErrorKind as Kind;
use super::pages::{self, PagesOf};
use super::{Commit, Inner};
use crate::model::{Change, CommitId};
use crate::source::{EntryStream, Item, SourceError, Stream, channel};

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

/// Streams the tree of a commit.
pub(super) async fn tree(inner: &Arc<Inner>, at: &CommitId) -> Result<EntryStream, SourceError> {
    let commit = inner.commit(at).await?;
    if is_empty(&commit) {
        return Ok(Stream::ready(Vec::new()));
    }
    tell_way(inner);
    let storage_namespace = inner.storage_namespace().await?.to_owned();
    let (mut sink, stream) = channel();
    let (pages, selection) = (pages_of(inner), inner.selection.clone());
    tokio::spawn(async move {
        let after = String::new();
        let outcome = pages::stream_tree(pages, commit.id, storage_namespace, selection, after, &mut sink).await;
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
        tracing::debug!(from = from.id, to = to.id, "the commits have one and the same tree");
        return Ok(Some(Stream::ready(Vec::new())));
    }
    tell_way(inner);
    let storage_namespace = inner.storage_namespace().await?.to_owned();
    let Some(begun) = older(pages::begin_changes(pages_of(inner), from.id, to.id, "").await)? else {
        return Ok(None);
    };
    let (mut sink, stream) = channel();
    let selection = inner.selection.clone();
    tokio::spawn(async move {
        let outcome = begun.stream(&storage_namespace, &selection, &mut sink).await;
        sink.finish(outcome).await;
    });
    Ok(Some(stream))
}

/// Names the way that is taken; both ways give the same.
fn tell_way(inner: &Inner) {
    match inner.listing {
        ListingChoice::Auto | ListingChoice::Pages => tracing::info!("entries of lakeFS are read by pages"),
        ListingChoice::Ranges => tracing::warn!("ranges of lakeFS are not read by this version; pages are"),
    }
}

/// The first commit of a repository has no tree at all.
fn is_empty(commit: &Commit) -> bool {
    commit.meta_range_id.is_empty()
}

fn pages_of(inner: &Inner) -> PagesOf {
    PagesOf {
        client: inner.client.clone(),
        repository: inner.repository.to_string(),
        prefix: inner.selection.prefix.clone(),
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
