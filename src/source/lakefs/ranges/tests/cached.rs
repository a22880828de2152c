//! Tables on the local disk: read instead of fetched, and never believed.

use std::sync::Arc;

use super::super::{KeySpan, RangeEntry, TableCache, TableCounts, Tables, read_tree};
use super::read_whole::{generated, small_ranges};
use super::recording::MemoryTables;
use crate::disk_cache::DiskCacheConfig;

async fn read(folder: &std::path::Path, all: &[RangeEntry]) -> (Vec<RangeEntry>, TableCounts) {
    let tree = small_ranges(all);
    let mut memory = MemoryTables::default();
    memory.add(&tree);
    let cache = TableCache::new(DiskCacheConfig {
        folder: folder.to_owned(),
        limit_bytes: 1 << 30,
    });
    let tables = Tables::new(Arc::new(memory), Some(cache));
    let stream = read_tree(&tables, Some(tree.metarange), KeySpan::default(), |entry| {
        Ok(Some(entry.to_owned()))
    });
    (stream.collect().await.unwrap(), tables.counts())
}

#[tokio::test]
async fn a_cached_table_is_not_fetched_and_a_damaged_one_is_fetched_again() {
    let folder = tempfile::tempdir().unwrap();
    let all = generated(3_000);
    let (first, counts) = read(folder.path(), &all).await;
    assert_eq!(first, all);
    assert_eq!((counts.cached, counts.rejected), (0, 0));
    let tables = counts.fetched;

    let (second, counts) = read(folder.path(), &all).await;
    assert_eq!(second, all);
    assert_eq!((counts.fetched, counts.cached, counts.rejected), (0, tables, 0));

    let mut files: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len() as u64, tables);
    // Cut short, changed, empty, and another table that is sound.
    let whole = std::fs::read(&files[0]).unwrap();
    std::fs::write(&files[0], &whole[..whole.len() - 1]).unwrap();
    let mut changed = std::fs::read(&files[1]).unwrap();
    changed[3] ^= 0x10;
    std::fs::write(&files[1], &changed).unwrap();
    std::fs::write(&files[2], b"").unwrap();
    std::fs::copy(&files[4], &files[3]).unwrap();
    let (third, counts) = read(folder.path(), &all).await;
    assert_eq!(third, all);
    assert_eq!((counts.fetched, counts.cached, counts.rejected), (4, tables - 4, 4));

    let (fourth, counts) = read(folder.path(), &all).await;
    assert_eq!(fourth, all);
    assert_eq!(
        (counts.fetched, counts.rejected),
        (0, 0),
        "the right ones stand there now"
    );
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_costs_only_reads() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let all = generated(300);
    for _ in 0..2 {
        let (read, counts) = read(&file, &all).await;
        assert_eq!(read, all);
        assert_eq!(counts.cached, 0);
    }
}
