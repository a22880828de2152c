//! Runs that meet a store that answers badly, or that die.

use std::sync::Arc;
use std::time::Duration;

use lakesync::export::{ExportError, Exporter, Outcome};
use lakesync::ledger::LedgerError;
use lakesync::status::ExportState;
use lakesync::store::faulty::{Fault, FaultyStore, Matching};
use lakesync::store::{RequestKind, StoreErrorKind};
use tokio_util::sync::CancellationToken;

use super::World;

#[tokio::test(start_paused = true)]
async fn a_dry_run_reads_the_root_again_when_a_range_is_gone() {
    let world = World::new();
    world.commit(&[("a", "1"), ("b", "2")]);
    world.export().await.unwrap();
    world.commit(&[("a", "3"), ("b", "2")]);
    let dry_run = |times: u64| {
        let faults = Matching::new(Fault::Before(StoreErrorKind::NotFound)).kind(RequestKind::Get);
        let store = FaultyStore::new(
            Arc::new(world.store.clone()),
            faults.key_contains("/ranges/").times(times),
        );
        world.store.clear_log();
        let exporter = Exporter {
            store: Arc::new(store),
            ..world.exporter()
        };
        async move { exporter.dry_run().await }
    };
    let is_root = |key: &str| key.ends_with("/_lakesync/root.json");
    let count = || {
        let log = world.store.log();
        log.iter()
            .filter(|call| call.key.as_ref().is_some_and(|key| is_root(key.as_str())))
            .count()
    };
    let plan = dry_run(1).await.unwrap();
    assert_eq!((plan.totals.put, plan.totals.kept, count()), (1, 1, 2));
    let error = dry_run(u64::MAX).await.err().unwrap();
    assert!(
        matches!(error, ExportError::Ledger(LedgerError::RangeGone { .. })),
        "{error}"
    );
    assert_eq!(count(), 2, "twice, and no more");
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_breaks_off_is_read_again_wherever_the_ledger_is_read() {
    for file in ["/root.json", "/lease.json", "/ranges/", "/_STATUS_"] {
        let world = World::new();
        world.commit(&[("a", "1"), ("b", "2")]);
        world.export().await.unwrap();
        world.commit(&[("a", "3"), ("b", "2")]);
        let cut = Matching::new(Fault::Cut).kind(RequestKind::Get).key_contains(file);
        let store = Arc::new(FaultyStore::new(Arc::new(world.store.clone()), cut.times(2)));
        let exporter = Exporter {
            store: store.clone(),
            status_store: store,
            ..world.exporter()
        };
        let report = exporter.run(&CancellationToken::new()).await.unwrap();
        assert_eq!((report.outcome, report.counts.put), (Outcome::Exported, 1), "{file}");
        assert_eq!(exporter.counts.totals().retries, 2, "{file}");
        assert_eq!(world.newest_records().await.0, ExportState::Success);
    }
}

/// How many ranges and files of runs the ledger's folder holds.
fn ledger_files(world: &World) -> (usize, usize) {
    let objects = world.store.objects();
    let below = |part: &str| objects.keys().filter(|key| key.as_str().contains(part)).count();
    (below("/_lakesync/ranges/"), below("/_lakesync/runs/"))
}

/// P2: what a run that died in its clean-up left in the ledger goes with the next run that has work.
#[tokio::test(start_paused = true)]
async fn what_a_clean_up_left_is_swept_by_the_next_run_with_work() {
    let world = World::new();
    world.commit(&[("a", "1")]);
    world.export().await.unwrap();
    assert_eq!(ledger_files(&world), (1, 0));
    world.commit(&[("a", "2")]);
    let hang = Matching::new(Fault::Hang).kind(RequestKind::List);
    let store = FaultyStore::new(Arc::new(world.store.clone()), hang.key_contains("/_lakesync/"));
    let exporter = Exporter {
        store: Arc::new(store),
        ..world.exporter()
    };
    let cancel = CancellationToken::new();
    let killed = tokio::time::timeout(Duration::from_secs(5), exporter.run(&cancel)).await;
    assert!(killed.is_err(), "it stood still at the listing of its clean-up");
    assert_eq!(world.newest_records().await.0, ExportState::Success);
    let (ranges, files) = ledger_files(&world);
    assert!(ranges == 2 && files > 0, "{ranges} ranges, {files} files of runs");
    // Its lease ends; an unchanged head is told in three requests, and nothing is taken away.
    tokio::time::sleep(Duration::from_secs(120)).await;
    world.store.clear_log();
    assert_eq!(world.export().await.unwrap().outcome, Outcome::Unchanged);
    assert!(world.store.log().len() <= 3, "{:?}", world.store.log());
    assert_eq!(ledger_files(&world), (ranges, files));
    world.commit(&[("a", "3")]);
    assert_eq!(world.export().await.unwrap().outcome, Outcome::Exported);
    assert_eq!(ledger_files(&world), (1, 0));
}
