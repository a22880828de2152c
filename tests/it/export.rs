//! Runs over the doubles in memory: what one export does to a bucket, request by request.

mod rebuilt;
mod status_files;
mod status_path;
mod trouble;
mod unreadable;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use lakesync::clock::VirtualClock;
use lakesync::export::{ExportConfig, ExportError, Exporter, Outcome, Refusal, Report, testing};
use lakesync::model::{Bucket, NoticeKind, RelPath};
use lakesync::plan::OddKeys;
use lakesync::source::memory::{MemoryFile, MemorySource, MemoryTree};
use lakesync::status::{ExportState, StatusRecord, read_newest, read_records};
use lakesync::store::Capabilities;
use lakesync::store::faulty::{Fault, FaultyStore, Matching};
use lakesync::store::memory::MemoryStore;
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

impl World {
    /// Lets a run die at the first request that matches, and its lease end.
    async fn die_at(&self, matching: Matching) {
        let store = Arc::new(FaultyStore::new(Arc::new(self.store.clone()), matching));
        let exporter = Exporter {
            store: store.clone(),
            status_store: store,
            ..self.exporter()
        };
        let cancel = CancellationToken::new();
        let killed = tokio::time::timeout(Duration::from_secs(5), exporter.run(&cancel)).await;
        assert!(killed.is_err(), "it came to its end");
        tokio::time::sleep(Duration::from_secs(120)).await;
    }
}
