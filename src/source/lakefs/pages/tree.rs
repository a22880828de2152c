//! A tree, page by page.

use super::super::LakeFsRequest;
use super::super::client::ObjectStats;
use super::super::entries::{Selection, entry_of_stats};
use super::{InOrder, PagesOf, REPLACED, ahead, arrived};
use crate::model::Entry;
use crate::source::{Item, Sink, SourceError};

/// Sends the entries of a commit's tree that come behind the key `after`, which is empty for all of them.
pub(in super::super) async fn stream_tree(
    pages: PagesOf,
    commit: String,
    storage_namespace: String,
    selection: Selection,
    after: String,
    sink: &mut Sink<Item<Entry>>,
) -> Result<(), SourceError> {
    let fetch = |after: String| {
        let (pages, commit) = (pages.clone(), commit.clone());
        ahead(async move {
            pages
                .client
                .objects(&pages.repository, &commit, pages.page(&after))
                .await
        })
    };
    let mut order = InOrder::after(&after);
    let mut coming = Some(fetch(after));
    while let Some(page) = coming.take() {
        let page = arrived(page).await?;
        coming = page.next().map(|next| fetch(next.to_owned()));
        let bad = |problem| pages.bad_page(LakeFsRequest::ListObjects, &commit, problem);
        if coming.is_some() && page.results.is_empty() {
            return Err(bad("a page is empty and not the last"));
        }
        for mut stats in page.results {
            order.step(&stats.path).map_err(bad)?;
            if stats.path_type != "object" {
                return Err(bad("it lists a folder where an object was expected"));
            }
            if stats.path.contains(REPLACED) {
                stats = exact(&pages, &commit, stats).await?;
            }
            let Some(path) = selection.path_of(stats.path.as_bytes()) else {
                continue;
            };
            let entry = entry_of_stats(path, stats, &storage_namespace);
            if sink.send(Item::Entry(entry)).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

pub(super) async fn exact(pages: &PagesOf, commit: &str, listed: ObjectStats) -> Result<ObjectStats, SourceError> {
    let found = pages.exact(commit, &listed.path).await?;
    if found.physical_address == listed.physical_address {
        return Ok(found);
    }
    let problem = "a key is no UTF-8 and looks like another; use `--listing ranges`";
    Err(pages.bad_page(LakeFsRequest::ListObjects, commit, problem))
}
