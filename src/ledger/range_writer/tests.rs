use std::collections::{BTreeMap, HashSet};

use futures::{TryStreamExt as _, stream};
use proptest::prelude::*;

use super::super::testing::{bucket, folder, record, run, shared};
use super::super::{Edit, rewrite};
use super::*;
use crate::disk_cache::DiskCacheConfig;
use crate::store::RequestKind;
use crate::store::faulty::{Fault, FaultyStore, Matching};
use crate::store::memory::MemoryStore;

/// Small enough that a hundred records have many ranges.
const SMALL: Cuts = Cuts {
    least: 4,
    one_path_in: 4,
    most: 12,
};

fn writer(store: Arc<dyn Store>, number: u64) -> RangeWriter {
    let mut writer = RangeWriter::new(store, folder(), run(number), Checksum::None, |record| record.size + 1);
    writer.cuts = SMALL;
    writer
}

async fn write(store: &MemoryStore, number: u64, records: &BTreeMap<String, u64>) -> Vec<RangeRef> {
    let mut writer = writer(shared(store), number);
    for (path, size) in records {
        writer.push(&record(path, *size)).await.unwrap();
    }
    writer.finish().await.unwrap()
}

async fn read(store: &MemoryStore, ranges: &[RangeRef]) -> BTreeMap<String, u64> {
    let reader = LedgerReader::new(shared(store), folder(), None);
    let records: Vec<Record> = reader.records(ranges.to_vec()).try_collect().await.unwrap();
    assert!(records.is_sorted_by(|a, b| a.path < b.path));
    records
        .iter()
        .map(|found| (found.path.to_string(), found.size))
        .collect()
}

fn layout(ranges: &[RangeRef]) -> Vec<(RelPath, RelPath, u64, u64, u64)> {
    ranges
        .iter()
        .map(|range| {
            let (first, last) = (range.first.clone(), range.last.clone());
            (first, last, range.count, range.object_bytes, range.status_bytes)
        })
        .collect()
}

async fn scripts_agree(mut records: BTreeMap<String, u64>, scripts: Vec<BTreeMap<String, Option<u64>>>) {
    let store = bucket();
    let reader = LedgerReader::new(shared(&store), folder(), None);
    let mut ranges = write(&store, 0, &records).await;
    for (number, script) in (1..).zip(scripts) {
        let edits: Vec<Result<Edit, LedgerError>> = script
            .iter()
            .map(|(path, size)| {
                Ok(match size {
                    Some(size) => Edit::Set(record(path, *size)),
                    None => Edit::Drop(RelPath::new(path.as_str()).unwrap()),
                })
            })
            .collect();
        let writer = writer(shared(&store), number);
        ranges = rewrite(&reader, writer, &ranges, stream::iter(edits)).await.unwrap();
        for (path, size) in script {
            match size {
                Some(size) => records.insert(path, size),
                None => records.remove(&path),
            };
        }
        assert_eq!(read(&store, &ranges).await, records);
        assert_eq!(layout(&ranges), layout(&write(&store, 1_000 + number, &records).await));
    }
    assert_eq!(store.violations(), []);
}

fn any_path() -> impl Strategy<Value = String> {
    (0..400_u32).prop_map(|number| format!("{:02}/{number}", number % 13))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn rewriting_what_is_touched_gives_the_ledger_that_rewriting_all_gives(
        records in proptest::collection::btree_map(any_path(), 0..9_u64, 0..150),
        scripts in proptest::collection::vec(
            proptest::collection::btree_map(any_path(), proptest::option::of(10..19_u64), 0..12),
            1..6,
        ),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(scripts_agree(records, scripts));
    }
}

#[tokio::test]
async fn an_untouched_range_is_neither_read_nor_written() {
    let store = bucket();
    let records: BTreeMap<_, _> = (0..200).map(|number| (format!("{number:04}"), 1)).collect();
    let old = write(&store, 1, &records).await;
    assert!(old.len() > 10);
    store.clear_log();
    let reader = LedgerReader::new(shared(&store), folder(), None);
    let edit = Ok::<_, LedgerError>(Edit::Set(record("0100", 7)));
    let writer = writer(shared(&store), 2);
    let new = rewrite(&reader, writer, &old, stream::iter([edit])).await.unwrap();
    let kept: HashSet<_> = old.iter().map(|range| &range.name).collect();
    assert_eq!(new.iter().filter(|range| !kept.contains(&range.name)).count(), 1);
    assert_eq!((store.count(RequestKind::Get), store.count(RequestKind::Put)), (1, 1));
}

#[test]
fn an_insert_among_200_000_records_rarely_touches_neighbours_and_cuts_meet_again() {
    let ranges = |paths: &mut dyn Iterator<Item = &RelPath>| {
        let (mut found, mut count, mut first) = (Vec::new(), 0, None);
        for path in paths {
            count += 1;
            first.get_or_insert_with(|| path.clone());
            if Cuts::LEDGER.end_at(count, path) {
                found.push((first.take(), Some(path.clone()), count));
                count = 0;
            }
        }
        found.push((first, None, count));
        found
    };
    // How many inserts change one range, two, three, ...
    let mut changes = [0_u32; 8];
    for tree in 0..12 {
        let paths: Vec<RelPath> = (0..200_000_u32)
            .map(|number| RelPath::new(format!("{tree}/{:03}/part-{number:07}", number / 400)).unwrap())
            .collect();
        let old = ranges(&mut paths.iter());
        assert!((4..=6).contains(&old.len()), "{}", old.len());
        for trial in 0..10 {
            let at = trial * 19_999 + 7;
            let inserted = RelPath::new([paths[at].as_bytes(), b"+"].concat()).unwrap();
            let (before, after) = paths.split_at(at + 1);
            let new = ranges(&mut before.iter().chain([&inserted]).chain(after));
            let changed = new.iter().filter(|range| !old.contains(range)).count();
            changes[changed - 1] += 1;
        }
    }
    let [one, two, ..] = changes;
    assert!(one >= 108 && one + two >= 114, "of 120 inserts: {changes:?}");
}

#[test]
fn cuts_come_where_the_design_says() {
    let end = |count, path: &str| Cuts::LEDGER.end_at(count, &RelPath::new(path).unwrap());
    let picked = (0..100_000)
        .map(|number| number.to_string())
        .find(|path| end(40_000, path))
        .unwrap();
    assert!(end(32_769, &picked) && !end(32_768, &picked));
    assert!(!end(65_535, "a") && end(65_536, "a"));
}

#[tokio::test]
async fn a_range_can_follow_only_where_no_record_waits_and_only_in_order() {
    let store = bucket();
    let old = write(&store, 1, &BTreeMap::from([("m".to_owned(), 1)])).await;
    let mut writer = writer(shared(&store), 2);
    writer.push(&record("a", 1)).await.unwrap();
    assert!(!writer.is_at_cut());
    assert!(matches!(writer.pass(old[0].clone()), Err(LedgerError::NotAtCut { .. })));
    let error = writer.push(&record("a", 2)).await.unwrap_err();
    assert!(matches!(error, LedgerError::OutOfOrder { .. }));
    writer.cut().await.unwrap();
    writer.pass(old[0].clone()).unwrap();
    writer.pass(old[0].clone()).unwrap_err();
    writer.push(&record("l", 1)).await.unwrap_err();
    assert_eq!(writer.finish().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_lost_reply_to_a_range_is_settled_and_a_failed_one_fails_the_writing() {
    use StoreErrorKind::{ConditionFailed, Denied, NoReply, Unavailable};
    let records = BTreeMap::from([("a".to_owned(), 1)]);
    for (fault, fine) in [
        (Fault::After(NoReply), true),
        (Fault::After(Unavailable), true),
        (Fault::After(ConditionFailed), true),
        (Fault::Before(NoReply), false),
        (Fault::Before(Denied), false),
    ] {
        let store = bucket();
        let faulty = FaultyStore::new(shared(&store), Matching::new(fault.clone()).kind(RequestKind::Put));
        let mut writer = writer(Arc::new(faulty), 1);
        writer.push(&record("a", 1)).await.unwrap();
        let outcome = writer.finish().await;
        assert_eq!(outcome.is_ok(), fine, "{fault:?} {outcome:?}");
        if let Ok(ranges) = outcome {
            assert_eq!(read(&store, &ranges).await, records);
        }
    }
}

#[tokio::test]
async fn a_range_that_is_gone_or_damaged_is_named() {
    let store = bucket();
    let ranges = write(&store, 1, &BTreeMap::from([("a".to_owned(), 1)])).await;
    let key = folder().range(&ranges[0].name);
    let reader = LedgerReader::new(shared(&store), folder(), None);
    let mut wrong = ranges[0].clone();
    wrong.count = 2;
    assert!(matches!(
        reader.read_range(&wrong).await,
        Err(LedgerError::Damaged { .. })
    ));
    store.foreign_put(&key, "other");
    assert!(matches!(
        reader.read_range(&ranges[0]).await,
        Err(LedgerError::Damaged { .. })
    ));
    store.foreign_delete(&key);
    let error = reader.read_range(&ranges[0]).await.unwrap_err();
    assert!(
        matches!(&error, LedgerError::RangeGone { file } if file.ends_with(&ranges[0].name)),
        "{error}"
    );
}

#[tokio::test]
async fn what_was_written_or_read_once_costs_no_request_and_a_damaged_cache_costs_one() {
    let store = bucket();
    let cache = tempfile::tempdir().unwrap();
    let kept = DiskCacheConfig {
        folder: cache.path().to_owned(),
        limit_bytes: 1 << 20,
    };
    let reader = LedgerReader::new(shared(&store), folder(), Some(kept));
    let mut writer = writer(shared(&store), 1).sharing_cache_of(&reader);
    writer.push(&record("a", 1)).await.unwrap();
    let ranges = writer.finish().await.unwrap();
    reader.read_range(&ranges[0]).await.unwrap();
    assert_eq!(store.count(RequestKind::Get), 0);
    std::fs::write(cache.path().join(&ranges[0].name), b"bad").unwrap();
    for _ in 0..2 {
        assert_eq!(reader.read_range(&ranges[0]).await.unwrap().count(), 1);
        assert_eq!(store.count(RequestKind::Get), 1);
    }
}

#[tokio::test]
async fn an_empty_ledger_has_no_range() {
    assert_eq!(writer(shared(&bucket()), 1).finish().await.unwrap(), []);
}
