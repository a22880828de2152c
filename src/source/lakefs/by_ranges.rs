//! Trees and changes by ranges: from the files in which lakeFS keeps a commit.

use async_trait::async_trait;
use bytes::Bytes;

use super::client::LakeFsClient;
use super::entries::{ObjectFacts, Selection, entry_of};
use super::ranges::{
    KeySpan, MetaRangeId, RangeChange, RangeEntryRef, TableFetch, TableId, Tables, physical_address, read_changes,
    read_tree,
};
use crate::model::{Change, Entry, RelPath};
use crate::source::{Item, SourceError, Stream};

/// No table is near this: lakeFS ends a range at 20 MiB, and a metarange has a hundred bytes for each of its ranges.
const MOST_TABLE_BYTES: usize = 256 << 20;

/// Fetches tables by the API, or from the store behind it.
pub(super) struct ServerTables {
    pub(super) client: LakeFsClient,
    pub(super) repository: String,
}

#[async_trait]
impl TableFetch for ServerTables {
    async fn fetch(&self, table: TableId) -> Result<Bytes, SourceError> {
        let (kind, id) = (table.kind().as_str(), table.to_string());
        Ok(self.client.table(&self.repository, kind, &id, MOST_TABLE_BYTES).await?)
    }
}

/// Streams a tree; `None` is the one without files.
pub(super) fn tree(
    tables: &Tables,
    tree: Option<MetaRangeId>,
    selection: Selection,
    storage_namespace: String,
) -> Stream<Item<Entry>> {
    let span = KeySpan::of_prefix(selection.prefix.as_str());
    read_tree(tables, tree, span, move |entry| {
        let path = selection.path_of(entry.key);
        Ok(path.map(|path| Item::Entry(entry_of_range(path, &entry, &storage_namespace))))
    })
}

/// Streams what differs between two trees; `None` is the tree without files.
pub(super) fn changes(
    tables: &Tables,
    from: Option<MetaRangeId>,
    to: Option<MetaRangeId>,
    selection: Selection,
    storage_namespace: String,
) -> Stream<Item<Change>> {
    let span = KeySpan::of_prefix(selection.prefix.as_str());
    read_changes(tables, from, to, span, move |change| {
        let (RangeChange::Put(RangeEntryRef { key, .. }) | RangeChange::Gone(key)) = change;
        let Some(path) = selection.path_of(key) else {
            return Ok(None);
        };
        Ok(Some(Item::Entry(match change {
            RangeChange::Put(entry) => Change::Put(entry_of_range(path, &entry, &storage_namespace)),
            RangeChange::Gone(_) => Change::Gone(path),
        })))
    })
}

/// Makes an entry of what a range says of an object.
pub(super) fn entry_of_range(path: RelPath, entry: &RangeEntryRef<'_>, storage_namespace: &str) -> Entry {
    entry_of(ObjectFacts {
        path,
        size: entry.size,
        address: physical_address(storage_namespace, entry),
        checksum: entry.e_tag,
        content_type: entry.content_type,
        metadata: entry.metadata.to_map(),
        mtime_unix: entry.last_modified_unix,
    })
}
