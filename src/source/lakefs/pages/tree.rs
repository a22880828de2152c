//! A tree, page by page.

use super::super::entries::{Selection, entry_of_stats};
use super::PagesOf;
use super::objects::ObjectPages;
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
    let mut objects = ObjectPages::begin(pages, commit, "", &after);
    while let Some(page) = objects.next().await? {
        for stats in page {
            objects.step(&stats.path)?;
            if stats.path_type != "object" {
                return Err(objects.bad("it lists a folder where an object was expected"));
            }
            let stats = objects.exact(stats).await?;
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
