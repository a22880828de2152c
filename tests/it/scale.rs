//! The cost of a run in requests, on trees that are made while they are read.

mod generated;

use lakesync::export::Outcome;
use lakesync::store::RequestKind;
use lakesync::store::memory::MemoryStore;
use tokio_util::sync::CancellationToken;

use generated::{Generated, Spread, exported, exporter, ranges};

async fn run(source: &Generated, store: &MemoryStore) {
    let report = exporter(source.clone(), store)
        .run(&CancellationToken::new())
        .await
        .unwrap();
    assert_eq!((report.outcome, report.counts.put), (Outcome::Exported, source.changed));
    assert_eq!(report.counts.kept + report.counts.put, source.files);
}

fn range_files(store: &MemoryStore, kind: RequestKind) -> usize {
    let is_range = |key: &str| key.contains("/_lakesync/ranges/");
    let log = store.log();
    log.iter()
        .filter(|call| call.kind == kind && call.key.as_ref().is_some_and(|key| is_range(key.as_str())))
        .count()
}

/// P8: a clustered change reads and writes the ranges that it touches, whatever the tree's size.
#[tokio::test]
async fn clustered_changes_touch_only_their_ranges() {
    let source = Generated {
        files: 200_000,
        changed: 200,
        spread: Spread::Clustered,
        tells_changes: true,
    };
    let store = exported(&source).await;
    let before = ranges(&store).await;
    assert!(before >= 4, "{before} ranges are too few to tell");
    store.clear_log();
    run(&source, &store).await;
    let (read, written) = (
        range_files(&store, RequestKind::Get),
        range_files(&store, RequestKind::Put),
    );
    // Once for the plan, once to look for copies, once to write it anew; neighbours when the change lies on a cut.
    assert!(written <= 2 && read <= 6, "read {read}, wrote {written} of {before}");
    let others = store.log().len() - 200 - read - written;
    assert!(others <= 24, "{others} requests beside the objects and the ranges");
}

/// P8: where the source cannot tell changes the ledger is read, and only touched ranges are written.
#[tokio::test]
async fn a_source_without_changes_costs_reads_and_not_writes() {
    let source = Generated {
        files: 200_000,
        changed: 1,
        spread: Spread::Clustered,
        tells_changes: false,
    };
    let store = exported(&source).await;
    run(&source, &store).await;
    assert_eq!(range_files(&store, RequestKind::Put), 1);
}

/// P8: scattered changes touch as many ranges as they lie in.
#[tokio::test]
async fn scattered_changes_touch_the_ranges_they_lie_in() {
    let source = Generated {
        files: 200_000,
        changed: 2,
        spread: Spread::Scattered,
        tells_changes: true,
    };
    let store = exported(&source).await;
    run(&source, &store).await;
    assert_eq!(range_files(&store, RequestKind::Put), 2);
}
