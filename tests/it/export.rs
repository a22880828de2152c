//! Runs over the doubles in memory: what one export does to a bucket, request by request.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use lakesync::clock::VirtualClock;
use lakesync::export::{ExportConfig, ExportError, Exporter, Outcome, Refusal, Report, testing};
use lakesync::ledger::LedgerError;
use lakesync::model::{Bucket, NoticeKind, RelPath};
use lakesync::plan::OddKeys;
use lakesync::source::memory::{MemoryFile, MemorySource, MemoryTree};
use lakesync::status::{ExportState, StatusRecord, read_newest, read_records};
use lakesync::store::faulty::{Fault, FaultyStore, Matching};
use lakesync::store::memory::MemoryStore;
use lakesync::store::{Capabilities, RequestKind, StoreErrorKind};
use tokio_util::sync::CancellationToken;

/// A bucket, a branch, and an exporter between them.
struct World {
    source: MemorySource,
    store: MemoryStore,
    clock: Arc<VirtualClock>,
    config: ExportConfig,
}

impl World {
    fn new() -> Self {
        let bucket: Bucket = "bucket".parse().unwrap();
        let store = MemoryStore::new(bucket, Capabilities::ALL);
        // Status files of ours are pruned by name alone.
        store.allow_unconditional(|key| key.as_str().contains("/_lakesync/") || key.as_str().contains("/_STATUS_"));
        let config = ExportConfig {
            concurrency: NonZeroUsize::new(4).unwrap(),
            ..testing::config(&"s3://bucket/out/".parse().unwrap())
        };
        Self {
            source: MemorySource::new("memory:main"),
            store,
            clock: Arc::new(VirtualClock::new()),
            config,
        }
    }

    fn commit(&self, files: &[(&str, &str)]) {
        let file = |bytes: &str| MemoryFile {
            bytes: bytes.to_owned().into(),
            ..MemoryFile::default()
        };
        let tree: MemoryTree = files
            .iter()
            .map(|(path, bytes)| (RelPath::new(*path).unwrap(), file(bytes)))
            .collect();
        self.source.commit(tree);
    }

    fn exporter(&self) -> Exporter {
        Exporter {
            clock: self.clock.clone(),
            ..testing::exporter(self.source.clone(), Arc::new(self.store.clone()), self.config.clone())
        }
    }

    async fn export(&self) -> Result<Report, ExportError> {
        self.exporter().run(&CancellationToken::new()).await
    }

    /// The objects that readers see, without lakesync's own.
    fn tree(&self) -> BTreeMap<String, String> {
        let below = |key: &str| key.strip_prefix("out/").map(str::to_owned);
        self.store
            .objects()
            .into_iter()
            .filter_map(|(key, object)| {
                Some((
                    below(key.as_str())?,
                    String::from_utf8_lossy(&object.bytes).into_owned(),
                ))
            })
            .filter(|(path, _)| !path.starts_with("_lakesync/") && !path.starts_with("_STATUS_"))
            .collect()
    }

    async fn newest_records(&self) -> (ExportState, Vec<StatusRecord>) {
        let prefix = &self.config.status_path.prefix;
        let newest = read_newest(&self.store, prefix).await.unwrap().unwrap();
        let mut records = Vec::new();
        read_records(&self.store, &newest.key, |record| records.push(record))
            .await
            .unwrap();
        (newest.head.status, records)
    }
}

fn expected(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    files
        .iter()
        .map(|(path, bytes)| ((*path).to_owned(), (*bytes).to_owned()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn first_export_puts_every_file_and_says_success_last() {
    let world = World::new();
    let files = [("a", "1"), ("b/c", "2"), ("b/_SUCCESS", ""), ("d", "1")];
    world.commit(&files);
    let report = world.export().await.unwrap();
    assert_eq!(report.outcome, Outcome::Exported);
    assert_eq!(
        (report.counts.put, report.counts.copied, report.counts.failed),
        (3, 1, 0)
    );
    assert_eq!(world.tree(), expected(&files));
    let (state, records) = world.newest_records().await;
    assert_eq!(state, ExportState::Success);
    let objects = world.store.objects();
    let status = world.config.status_path.prefix.join(&report.status_file.unwrap());
    let first = objects[&status].bytes.split(|byte| *byte == b'\n').next().unwrap();
    serde_json::from_slice::<crate::status_doc::First>(first).expect("it is as docs/status-file.md says");
    for record in &records {
        let key = world.config.export_path.prefix.key(&record.path).unwrap();
        assert_eq!(objects[&key].meta.etag, record.etag);
    }
    assert_eq!(records.len(), 4);
    assert_eq!(world.store.violations(), []);
}

/// P4: an unchanged head costs at most three requests.
#[tokio::test(start_paused = true)]
async fn an_unchanged_head_costs_three_requests_at_most() {
    let world = World::new();
    world.commit(&[("a", "1")]);
    world.export().await.unwrap();
    world.store.clear_log();
    let report = world.export().await.unwrap();
    assert_eq!(report.outcome, Outcome::Unchanged);
    assert!(world.store.log().len() <= 3, "{:?}", world.store.log());
}

#[tokio::test(start_paused = true)]
async fn a_commit_costs_what_it_changed() {
    let world = World::new();
    let mut files: Vec<(String, String)> = (0..500)
        .map(|number| (format!("f/{number:04}"), format!("content {number}")))
        .collect();
    let borrow = |files: &[(String, String)]| -> Vec<(String, String)> { files.to_vec() };
    let commit = |files: &[(String, String)]| {
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(path, bytes)| (path.as_str(), bytes.as_str()))
            .collect();
        world.commit(&files);
    };
    commit(&borrow(&files));
    world.export().await.unwrap();
    world.store.clear_log();
    files[7].1 = "other".to_owned();
    let moved = files.remove(3);
    files.push(("f/zz".to_owned(), moved.1));
    files.remove(100);
    commit(&files);
    let report = world.export().await.unwrap();
    let counts = report.counts;
    assert_eq!((counts.put, counts.copied, counts.deleted, counts.kept), (1, 1, 2, 497));
    let requests = world.store.log().len();
    assert!(requests <= 24, "{requests}: {:#?}", world.store.log());
    assert_eq!(world.tree().len(), 499);
}

/// P3, P7: what others wrote stays, and a failed run deletes nothing.
#[tokio::test(start_paused = true)]
async fn a_foreign_object_is_a_conflict_and_stops_all_deletes() {
    let world = World::new();
    world.commit(&[("a", "1"), ("b", "2"), ("gone", "x")]);
    world.export().await.unwrap();
    let key = world.config.export_path.prefix.join("b");
    world.store.foreign_put(&key, "theirs");
    world.commit(&[("a", "1"), ("b", "3")]);
    let report = world.export().await.unwrap();
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!(report.failures.len(), 1);
    assert_eq!(world.tree(), expected(&[("a", "1"), ("b", "theirs"), ("gone", "x")]));
    assert_eq!(world.newest_records().await.0, ExportState::Failure);
}

#[tokio::test(start_paused = true)]
async fn a_full_prefix_is_refused_before_anything_is_written_and_adopted_on_request() {
    let mut world = World::new();
    world.commit(&[("a", "1"), ("b", "2")]);
    let prefix = world.config.export_path.prefix.clone();
    world.store.foreign_put(&prefix.join("a"), "1");
    world.store.foreign_put(&prefix.join("other"), "x");
    let error = world.export().await.unwrap_err();
    assert!(
        matches!(error, ExportError::Refused(Refusal::NotEmpty { .. })),
        "{error}"
    );
    assert_eq!(world.tree(), expected(&[("a", "1"), ("other", "x")]));
    world.config.guards.adopt = true;
    let report = world.export().await.unwrap();
    assert_eq!(
        (report.outcome, report.counts.put, report.counts.kept),
        (Outcome::Exported, 1, 1)
    );
    assert_eq!(world.tree(), expected(&[("a", "1"), ("b", "2"), ("other", "x")]));
    let records = world.newest_records().await.1;
    assert_eq!(records.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_empty_tree_is_refused_unless_allowed() {
    let mut world = World::new();
    world.commit(&[("a", "1")]);
    world.export().await.unwrap();
    world.commit(&[]);
    let error = world.export().await.unwrap_err();
    assert!(
        matches!(error, ExportError::Refused(Refusal::EmptyTree { objects: 1 })),
        "{error}"
    );
    world.config.guards.allow_empty = true;
    let report = world.export().await.unwrap();
    assert_eq!((report.outcome, report.counts.deleted), (Outcome::Exported, 1));
    assert_eq!(world.tree(), BTreeMap::new());
}

/// P9: paths that cannot be keys are one error that lists them, before the first write.
#[tokio::test(start_paused = true)]
async fn paths_that_cannot_be_keys_are_listed_before_anything_is_written() {
    let world = World::new();
    world.commit(&[
        ("fine", "1"),
        ("a//b", "2"),
        ("_lakesync/root.json", "3"),
        ("_STATUS_x", "4"),
    ]);
    let error = world.export().await.unwrap_err().to_string();
    for part in ["3 paths", "a//b", "_lakesync/root.json", "_STATUS_x", "--odd-keys skip"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert_eq!(world.tree(), BTreeMap::new());
    let keys = world.store.objects();
    assert!(
        keys.keys().all(|key| key.as_str().ends_with("/_lakesync/lease.json")),
        "{keys:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_status_path_that_moves_is_refused_and_then_closed() {
    let mut world = World::new();
    world.commit(&[("a", "1")]);
    world.export().await.unwrap();
    let old = read_newest(&world.store, &world.config.status_path.prefix)
        .await
        .unwrap()
        .unwrap();
    world.config.status_path = "s3://bucket/elsewhere/".parse().unwrap();
    world.commit(&[("a", "2")]);
    let error = world.export().await.unwrap_err();
    assert!(
        matches!(error, ExportError::Refused(Refusal::StatusMoved { .. })),
        "{error}"
    );
    world.config.guards.move_status = true;
    world.export().await.unwrap();
    let (head, _) = lakesync::status::read_head(&world.store, &old.key)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(head.status, ExportState::Failure);
    assert_eq!(world.newest_records().await.0, ExportState::Success);
}

#[tokio::test(start_paused = true)]
async fn a_status_path_among_the_data_is_refused() {
    let mut world = World::new();
    world.commit(&[("a", "1")]);
    world.config.status_path = "s3://bucket/out/status/".parse().unwrap();
    let error = world.export().await.unwrap_err();
    assert!(
        matches!(error, ExportError::Refused(Refusal::StatusInside { .. })),
        "{error}"
    );
}

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

/// How many paths a status file and a report say were left out.
async fn skipped(world: &World, report: &Report) -> (Option<u64>, Option<u64>) {
    let newest = read_newest(&world.store, &world.config.status_path.prefix).await;
    (report.counts.skipped, newest.unwrap().unwrap().head.skipped)
}

#[tokio::test(start_paused = true)]
async fn what_is_left_out_is_counted_only_where_the_whole_tree_was_read() {
    let mut world = World::new();
    world.config.odd_keys = OddKeys::Skip;
    world.commit(&[("a", "1"), ("b//c", "2"), ("d//e", "3")]);
    let report = world.export().await.unwrap();
    assert_eq!(skipped(&world, &report).await, (Some(2), Some(2)));
    // The source tells this change alone: one odd key of two.
    world.commit(&[("a", "2"), ("b//c", "4"), ("d//e", "3")]);
    let report = world.export().await.unwrap();
    assert_eq!(
        (report.outcome, report.notices[&NoticeKind::OddKey]),
        (Outcome::Exported, 1)
    );
    assert_eq!(skipped(&world, &report).await, (None, None));
    let report = world.export().await.unwrap();
    assert_eq!((report.outcome, report.counts.skipped), (Outcome::Unchanged, None));
    // Other rules for headers: the whole tree is read.
    world.config.headers = testing::headers(&["*: Cache-Control=no-cache"]);
    let report = world.export().await.unwrap();
    assert_eq!(skipped(&world, &report).await, (Some(2), Some(2)));
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
