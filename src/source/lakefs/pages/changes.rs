//! What differs between two trees, page by page, and one question for each object that changed.

use futures::{StreamExt as _, stream};

use super::super::LakeFsRequest;
use super::super::client::{Difference, DifferenceKind, Page};
use super::super::entries::{Selection, entry_of_stats};
use super::{Coming, InOrder, PagesOf, REPLACED, ahead, arrived};
use crate::model::{Change, RelPath};
use crate::source::{Item, Sink, SourceError};

/// So many objects are asked for at once: a diff tells neither addresses nor metadata.
const STATS_AT_ONCE: usize = 16;

/// A diff whose first page is there.
pub(in super::super) struct Changes {
    pages: PagesOf,
    from: String,
    to: String,
    first: Page<Difference>,
    order: InOrder,
}

/// Asks for what differs behind the key `after`, which is empty for all of it.
pub(in super::super) async fn begin_changes(
    pages: PagesOf,
    from: String,
    to: String,
    after: &str,
) -> Result<Changes, SourceError> {
    let first = pages
        .client
        .diff(&pages.repository, &from, &to, pages.page(after))
        .await?;
    Ok(Changes {
        pages,
        from,
        to,
        first,
        order: InOrder::after(after),
    })
}

impl Changes {
    /// Sends the changes.
    pub(in super::super) async fn stream(
        self,
        storage_namespace: &str,
        selection: &Selection,
        sink: &mut Sink<Item<Change>>,
    ) -> Result<(), SourceError> {
        let Self {
            pages,
            from,
            to,
            first,
            mut order,
        } = self;
        let fetch = |after: String| -> Coming<Difference> {
            let (pages, from, to) = (pages.clone(), from.clone(), to.clone());
            ahead(async move {
                pages
                    .client
                    .diff(&pages.repository, &from, &to, pages.page(&after))
                    .await
            })
        };
        let bad = |problem| pages.bad_page(LakeFsRequest::Diff, &format!("{from}..{to}"), problem);
        let mut page = first;
        loop {
            let coming = page.next().map(|next| fetch(next.to_owned()));
            if coming.is_some() && page.results.is_empty() {
                return Err(bad("a page is empty and not the last"));
            }
            let mut wanted = Vec::new();
            for difference in page.results {
                order.step(&difference.path).map_err(bad)?;
                if difference.path_type != "object" {
                    return Err(bad("its diff has a folder where an object was expected"));
                }
                match selection.path_of(difference.path.as_bytes()) {
                    Some(path) => wanted.push((path, difference)),
                    // Left out, but perhaps under another name than its own; and the next page would begin behind
                    // a key that is not there.
                    None if difference.path.contains(REPLACED) => exact(&pages, &from, &to, &difference).await?,
                    None => {}
                }
            }
            let mut changes = stream::iter(wanted)
                .map(|(path, difference)| change_of(&pages, &from, &to, storage_namespace, path, difference))
                .buffered(STATS_AT_ONCE);
            while let Some(change) = changes.next().await {
                if sink.send(Item::Entry(change?)).await.is_err() {
                    return Ok(());
                }
            }
            drop(changes);
            match coming {
                Some(coming) => page = arrived(coming).await?,
                None => return Ok(()),
            }
        }
    }
}

/// Makes sure that the key of a change stands for itself.
async fn exact(pages: &PagesOf, from: &str, to: &str, difference: &Difference) -> Result<(), SourceError> {
    let side = match difference.kind {
        DifferenceKind::Removed => from,
        DifferenceKind::Added | DifferenceKind::Changed | DifferenceKind::Other => to,
    };
    pages.exact(side, &difference.path).await?;
    Ok(())
}

/// Asks what is needed beside the diff to make a change of it.
async fn change_of(
    pages: &PagesOf,
    from: &str,
    to: &str,
    storage_namespace: &str,
    path: RelPath,
    difference: Difference,
) -> Result<Change, SourceError> {
    let key = &difference.path;
    match difference.kind {
        DifferenceKind::Removed => {
            if key.contains(REPLACED) {
                exact(pages, from, to, &difference).await?;
            }
            Ok(Change::Gone(path))
        }
        DifferenceKind::Added | DifferenceKind::Changed => {
            let stats = pages.exact(to, key).await?;
            Ok(Change::Put(entry_of_stats(path, stats, storage_namespace)))
        }
        DifferenceKind::Other => {
            let problem = "its diff has a kind of change that two trees cannot have";
            Err(pages.bad_page(LakeFsRequest::Diff, &format!("{from}..{to}"), problem))
        }
    }
}
