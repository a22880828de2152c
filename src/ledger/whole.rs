//! A whole ledger, as it was at one moment.

use std::sync::Arc;

use futures::StreamExt as _;

use super::{LedgerError, LedgerFolder, LedgerReader, Record, Root, load_root};
use crate::disk_cache::DiskCacheConfig;
use crate::spool::Spool;
use crate::store::Store;

/// Reads the root and all records that it names; `None` where there is no ledger. What is long waits on disk.
///
/// Whoever reads without the lease may find that another run has swapped the root meanwhile, and removed what the
/// old one names. The new one is read then, from its beginning, once.
pub async fn read_ledger(
    store: &Arc<dyn Store>,
    folder: &LedgerFolder,
    cache: Option<DiskCacheConfig>,
) -> Result<Option<(Root, Spool<Record>)>, LedgerError> {
    let reader = LedgerReader::new(Arc::clone(store), folder.clone(), cache);
    match read_once(&**store, folder, &reader).await {
        Err(LedgerError::RangeGone { .. }) => read_once(&**store, folder, &reader).await,
        outcome => outcome,
    }
}

async fn read_once(
    store: &dyn Store,
    folder: &LedgerFolder,
    reader: &LedgerReader,
) -> Result<Option<(Root, Spool<Record>)>, LedgerError> {
    let Some(loaded) = load_root(store, folder).await? else {
        return Ok(None);
    };
    let mut records = Spool::new(None);
    let mut stream = reader.records(loaded.root.ranges.clone());
    while let Some(record) = stream.next().await {
        records.push(&record?)?;
    }
    Ok(Some((loaded.root, records)))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::testing::{bucket, folder, record, root, run, shared};
    use super::super::{RangeWriter, swap_root};
    use super::*;
    use crate::store::faulty::{Call, Fault, FaultyStore, Matching, Script};
    use crate::store::memory::MemoryStore;
    use crate::store::{Checksum, RequestKind, StoreErrorKind};

    /// Writes a ledger whose records all have this size.
    async fn write(store: &MemoryStore, generation: u64) -> Root {
        let mut writer = RangeWriter::new(shared(store), folder(), run(generation), Checksum::None, |_| 1);
        for path in ["a", "b", "c"] {
            writer.push(&record(path, generation)).await.unwrap();
        }
        let next = Root {
            ranges: writer.finish().await.unwrap(),
            ..root(generation)
        };
        let etag = load_root(store, &folder()).await.unwrap().map(|loaded| loaded.etag);
        swap_root(store, &folder(), &next, etag.as_ref()).await.unwrap();
        next
    }

    #[tokio::test]
    async fn a_root_that_is_swapped_while_its_ranges_are_read_is_read_again() {
        let store = bucket();
        let old = write(&store, 1).await;
        let old_root = store.object(&folder().root()).unwrap().bytes;
        let new = write(&store, 2).await;
        let new_root = store.object(&folder().root()).unwrap().bytes;
        store.foreign_put(&folder().root(), old_root);
        // Another run ends just when the first range is asked for.
        let (other, swapped) = (store.clone(), AtomicBool::new(false));
        let script = Script(move |call: &Call| {
            let is_range = call.key.as_ref().is_some_and(|key| key.as_str().contains("/ranges/"));
            if call.kind == RequestKind::Get && is_range && !swapped.swap(true, Ordering::Relaxed) {
                other.foreign_put(&folder().root(), new_root.clone());
                other.foreign_delete(&folder().range(&old.ranges[0].name));
            }
            Fault::None
        });
        let faulty: Arc<dyn Store> = Arc::new(FaultyStore::new(shared(&store), script));
        let (root, records) = read_ledger(&faulty, &folder(), None).await.unwrap().unwrap();
        assert_eq!(root, new);
        let records: Vec<Record> = records.iter().map(Result::unwrap).collect();
        assert_eq!(records, ["a", "b", "c"].map(|path| record(path, 2)));
    }

    #[tokio::test]
    async fn a_range_that_stays_away_is_an_error() {
        let store = bucket();
        assert!(read_ledger(&shared(&store), &folder(), None).await.unwrap().is_none());
        write(&store, 1).await;
        let faults = Matching::new(Fault::Before(StoreErrorKind::NotFound)).key_contains("/ranges/");
        let faulty: Arc<dyn Store> = Arc::new(FaultyStore::new(shared(&store), faults));
        store.clear_log();
        let outcome = read_ledger(&faulty, &folder(), None).await;
        assert!(matches!(outcome, Err(LedgerError::RangeGone { .. })), "{outcome:?}");
        assert_eq!(store.count(RequestKind::Get), 2, "the root, twice");
    }
}
