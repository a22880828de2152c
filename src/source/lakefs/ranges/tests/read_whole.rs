//! Trees are streamed whole, and no range is read that is not needed.

use std::sync::Arc;

use super::super::writer::{SplitParams, TreeTables, write_tree};
use super::super::{KeySpan, RangeEntry, TableId, TableKind, Tables, read_tree};
use super::recording::{MemoryTables, entries, recorded_tables};
use crate::source::SourceError;

/// Keys of three folders, in order.
pub(super) fn generated(files: u32) -> Vec<RangeEntry> {
    let folders = ["a", "a-b", "b"].into_iter();
    let entries = folders.flat_map(|folder| {
        (0..files / 3).map(move |number| RangeEntry {
            key: format!("{folder}/{number:07}").into_bytes(),
            address: format!("data/p/{folder}{number}"),
            e_tag: format!("{number:032x}"),
            size: u64::from(number),
            ..RangeEntry::default()
        })
    });
    let mut entries: Vec<_> = entries.collect();
    entries.sort_by(|left, right| left.key.cmp(&right.key));
    entries
}

/// Ranges of some 50 entries.
pub(super) fn small_ranges(entries: &[RangeEntry]) -> TreeTables {
    let split = SplitParams {
        modulus: 50,
        max_bytes: 1 << 20,
    };
    write_tree(entries, split)
}

pub(super) fn served(trees: &[&TreeTables]) -> (Arc<MemoryTables>, Tables) {
    let mut memory = MemoryTables::default();
    for tree in trees {
        memory.add(tree);
    }
    let memory = Arc::new(memory);
    (Arc::clone(&memory), Tables::new(memory, None))
}

async fn read(tables: &Tables, tree: &TreeTables, span: KeySpan) -> Result<Vec<RangeEntry>, SourceError> {
    let stream = read_tree(tables, Some(tree.metarange), span, |entry| Ok(Some(entry.to_owned())));
    stream.collect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_of_many_ranges_comes_whole_and_in_order() {
    let expected = generated(30_000);
    let tree = small_ranges(&expected);
    assert!(tree.ranges.len() > 300);
    let (_, tables) = served(&[&tree]);
    assert_eq!(read(&tables, &tree, KeySpan::default()).await.unwrap(), expected);
    let counts = tables.counts();
    assert_eq!(counts.fetched, tree.ranges.len() as u64 + 1);
    let bytes: usize = tree.ranges.iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(counts.fetched_bytes, (bytes + tree.metarange_bytes.len()) as u64);
}

#[tokio::test]
async fn only_the_ranges_that_a_prefix_touches_are_fetched() {
    let all = generated(9_000);
    let tree = small_ranges(&all);
    for span in [
        KeySpan::of_prefix("a/"),
        KeySpan::of_prefix("a"),
        KeySpan::of_prefix("a/00012"),
        KeySpan::of_prefix("nothing"),
        KeySpan {
            prefix: b"b/".to_vec(),
            from: b"b/0002900".to_vec(),
        },
        KeySpan {
            prefix: Vec::new(),
            from: b"b".to_vec(),
        },
    ] {
        let (memory, tables) = served(&[&tree]);
        let expected: Vec<_> = all.iter().filter(|entry| span.contains(&entry.key)).cloned().collect();
        assert_eq!(read(&tables, &tree, span.clone()).await.unwrap(), expected);
        let asked = memory.asked.lock().unwrap().clone();
        let wanted = tree.ranges.iter().filter(|(range, _)| span.touches(range));
        let mut wanted: Vec<TableId> = wanted.map(|(range, _)| range.id.into()).collect();
        wanted.push(tree.metarange.into());
        wanted.sort();
        let mut fetched = asked;
        fetched.sort();
        assert_eq!(fetched, wanted, "{span:?}");
        assert!(wanted.len() < tree.ranges.len());
    }
}

#[tokio::test]
async fn the_tree_without_files_is_empty_and_asks_for_nothing() {
    let (memory, tables) = served(&[]);
    let stream = read_tree(&tables, None, KeySpan::default(), |entry| Ok(Some(entry.to_owned())));
    assert_eq!(stream.collect().await.unwrap(), []);
    assert!(memory.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_recorded_trees_are_streamed() {
    let memory = MemoryTables {
        tables: recorded_tables(),
        ..MemoryTables::default()
    };
    let recorded = memory.tables.clone();
    let tables = Tables::new(Arc::new(memory), None);
    for id in recorded.keys() {
        let TableId::MetaRange(id) = *id else { continue };
        let range = tables.metarange(id).await.unwrap().ranges()[0].id;
        let stream = read_tree(&tables, Some(id), KeySpan::default(), |entry| {
            Ok(Some(entry.to_owned()))
        });
        let expected = entries(&recorded[&range.into()], range.into()).unwrap();
        assert_eq!(stream.collect().await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_range_that_cannot_be_had_ends_the_stream_with_its_error() {
    let all = generated(3_000);
    let tree = small_ranges(&all);
    let (missing, _) = &tree.ranges[7];
    let mut memory = MemoryTables::default();
    memory.add(&tree);
    memory.tables.remove(&missing.id.into());
    let tables = Tables::new(Arc::new(memory), None);
    let mut stream = read_tree(&tables, Some(tree.metarange), KeySpan::default(), |entry| {
        Ok(Some(entry.key.to_vec()))
    });
    let mut keys = Vec::new();
    let error = loop {
        match stream.next().await {
            Ok(Some(key)) => keys.push(key),
            Ok(None) => panic!("the stream ended as if it were whole"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, SourceError::Injected));
    assert!(keys.iter().all(|key| *key < missing.min_key));
}

#[tokio::test]
async fn a_damaged_range_gives_none_of_its_records() {
    let all = generated(3_000);
    let tree = small_ranges(&all);
    let (range, bytes) = &tree.ranges[7];
    let mut damaged = bytes.to_vec();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let mut memory = MemoryTables::default();
    memory.add(&tree);
    memory.tables.insert(range.id.into(), damaged.into());
    let tables = Tables::new(Arc::new(memory), None);
    let first_key = range.min_key.clone();
    let stream = read_tree(&tables, Some(tree.metarange), KeySpan::default(), move |entry| {
        assert!(entry.key < first_key.as_slice());
        Ok(Some(()))
    });
    let error = stream.collect().await.unwrap_err();
    let SourceError::Table(error) = error else {
        panic!("{error}")
    };
    assert_eq!((error.table, error.table.kind()), (range.id.into(), TableKind::Range));
    assert!(error.to_string().contains("damaged") && error.to_string().contains(&range.id.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_reading_stops_the_fetching() {
    let all = generated(60_000);
    let tree = small_ranges(&all);
    let (memory, tables) = served(&[&tree]);
    let mut stream = read_tree(&tables, Some(tree.metarange), KeySpan::default(), |entry| {
        Ok(Some(entry.key.to_vec()))
    });
    assert_eq!(stream.next().await.unwrap().unwrap(), all[0].key);
    drop(stream);
    drop(tables);
    // The tables are let go of by whoever reads them only when it has stopped.
    while Arc::strong_count(&memory) > 1 {
        tokio::task::yield_now().await;
    }
    assert!(memory.asked.lock().unwrap().len() < tree.ranges.len() / 2);
}

#[tokio::test]
async fn an_error_of_the_caller_ends_the_stream() {
    let tree = small_ranges(&generated(300));
    let (_, tables) = served(&[&tree]);
    let stream = read_tree(&tables, Some(tree.metarange), KeySpan::default(), |entry| {
        if entry.size == 50 {
            Err(SourceError::Injected)
        } else {
            Ok(Some(()))
        }
    });
    assert!(matches!(stream.collect().await, Err(SourceError::Injected)));
}
