//! Entries whose bytes lie on S3 already, as those of lakeFS do: copied by the store where it may, sent where not.

use std::num::NonZeroUsize;
use std::sync::Arc;

use bytes::Bytes;
use lakesync::export::{ExportConfig, Report, testing};
use lakesync::model::{Bucket, ETag, ObjectKey, OriginObject, RelPath};
use lakesync::source::memory::{ContentKind, MemoryFile, MemorySource, MemoryTree};
use lakesync::store::faulty::{Fault, FaultScript, FaultyStore, Matching, NoFaults};
use lakesync::store::memory::{MemoryStore, Neighbour};
use lakesync::store::{Capabilities, RequestKind, StoreErrorKind};
use lakesync::transfer::OutsideCopies;
use tokio_util::sync::CancellationToken;

const FILES: u64 = 20;

/// A branch whose bytes lie in the bucket `lake`, and the bucket they are exported to.
struct World {
    source: MemorySource,
    lake: MemoryStore,
    store: MemoryStore,
    config: ExportConfig,
}

/// How the lake's objects are named by the entries.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// By an address that is written once.
    Managed,
    /// By the etag that the object must still have.
    Imported,
}

fn lake() -> Bucket {
    "lake".parse().unwrap()
}

impl World {
    fn new(kind: Kind) -> Self {
        Self::with(kind, Capabilities::ALL)
    }

    fn with(kind: Kind, capabilities: Capabilities) -> Self {
        let lake_store = MemoryStore::new(lake(), Capabilities::ALL);
        let store = MemoryStore::new("bucket".parse().unwrap(), capabilities);
        store.allow_unconditional(|key| key.as_str().contains("/_lakesync/") || key.as_str().contains("/_STATUS_"));
        store.set_neighbour(lake(), Neighbour::Readable(lake_store.clone()));
        let kept = lake_store.clone();
        let origin_of = move |_: &RelPath, bytes: &Bytes| {
            let key = key_of(bytes);
            let etag = match kept.object(&key) {
                Some(known) => known.meta.etag,
                None => kept.foreign_put(&key, bytes.clone()),
            };
            Some(OriginObject {
                bucket: lake(),
                key,
                etag: (kind == Kind::Imported).then_some(etag),
            })
        };
        let source = MemorySource::new("memory:main")
            .with_content(ContentKind::Address)
            .with_origin(Arc::new(origin_of));
        let config = ExportConfig {
            concurrency: NonZeroUsize::new(4).unwrap(),
            ..testing::config(&"s3://bucket/out/".parse().unwrap())
        };
        Self {
            source,
            lake: lake_store,
            store,
            config,
        }
    }

    fn commit(&self, files: u64, word: &str) {
        let file = |number: u64| (path(number), MemoryFile::new(text(number, word)));
        self.source.commit((0..files).map(file).collect::<MemoryTree>());
    }

    async fn export(&self) -> Report {
        self.export_with(NoFaults).await
    }

    async fn export_with(&self, faults: impl FaultScript + 'static) -> Report {
        self.store.clear_log();
        let store = Arc::new(FaultyStore::new(Arc::new(self.store.clone()), faults));
        let exporter = testing::exporter(self.source.clone(), store, self.config.clone());
        exporter.run(&CancellationToken::new()).await.unwrap()
    }

    /// How many requests of a kind were made for objects of the tree, and how many of them were refused.
    fn asked(&self, kind: RequestKind) -> (usize, usize) {
        let log = self.store.log();
        let of_tree = |key: &ObjectKey| key.as_str().starts_with("out/file-");
        let all = log
            .iter()
            .filter(|one| one.kind == kind && one.key.as_ref().is_some_and(of_tree));
        (all.clone().count(), all.filter(|one| !one.ok).count())
    }

    fn assert_whole(&self, files: u64, word: &str) {
        for number in 0..files {
            let key = ObjectKey::new(format!("out/{}", path(number)));
            let object = self.store.object(&key).unwrap();
            assert_eq!(object.bytes, text(number, word), "{key}");
            assert!(object.meta.headers.mark.is_some(), "{key} bears no mark");
        }
        assert_eq!(self.store.violations(), []);
    }
}

fn path(number: u64) -> RelPath {
    RelPath::new(format!("file-{number:03}")).unwrap()
}

fn text(number: u64, word: &str) -> String {
    format!("{word} {number}")
}

fn key_of(bytes: &[u8]) -> ObjectKey {
    ObjectKey::new(format!("data/{}", blake3::hash(bytes).to_hex()))
}

#[tokio::test]
async fn what_the_store_can_copy_is_copied_and_never_sent() {
    for kind in [Kind::Managed, Kind::Imported] {
        let world = World::new(kind);
        world.commit(FILES, "one");
        let report = world.export().await;
        assert_eq!((report.counts.copied, report.counts.put), (FILES, 0));
        assert_eq!(world.asked(RequestKind::Copy), (20, 0));
        assert_eq!(world.asked(RequestKind::Put), (0, 0));
        world.assert_whole(FILES, "one");
    }
}

#[tokio::test]
async fn a_bucket_that_may_not_be_read_costs_one_refused_copy() {
    let world = World::new(Kind::Managed);
    world.store.set_neighbour(lake(), Neighbour::Denied);
    world.commit(FILES, "one");
    let report = world.export().await;
    assert_eq!((report.counts.copied, report.counts.put), (0, FILES));
    assert_eq!(world.asked(RequestKind::Copy), (1, 1));
    world.assert_whole(FILES, "one");
}

#[tokio::test]
async fn a_bucket_of_another_store_is_found_out_by_one_copy_and_does_not_end_the_run() {
    let world = World::new(Kind::Managed);
    let elsewhere: Bucket = "nowhere".parse().unwrap();
    let origin_of = move |_: &RelPath, bytes: &Bytes| {
        Some(OriginObject {
            bucket: elsewhere.clone(),
            key: key_of(bytes),
            etag: None,
        })
    };
    let source = world.source.clone().with_origin(Arc::new(origin_of));
    let world = World { source, ..world };
    world.commit(FILES, "one");
    let report = world.export().await;
    assert_eq!((report.counts.put, report.counts.failed), (FILES, 0));
    assert_eq!(world.asked(RequestKind::Copy), (1, 1));
    world.assert_whole(FILES, "one");
}

#[tokio::test]
async fn an_object_that_is_gone_says_nothing_of_its_bucket() {
    for way in [OutsideCopies::Tried, OutsideCopies::Only] {
        let mut world = World::new(Kind::Managed);
        world.config.outside_copies = way;
        world.commit(FILES, "one");
        // The one that is copied first is among them.
        for number in 0..4 {
            world.lake.foreign_delete(&key_of(text(number, "one").as_bytes()));
            world.source.vanish(&path(number), u32::MAX);
        }
        let report = world.export().await;
        let counts = report.counts;
        assert_eq!((counts.copied, counts.put, counts.failed), (FILES - 4, 0, 4), "{way:?}");
        // The source knows why, and the store does not.
        for failure in &report.failures {
            assert!(
                failure.error.contains("changed while it was read"),
                "{way:?}: {}",
                failure.error
            );
        }
    }
}

#[tokio::test]
async fn an_imported_object_that_changed_is_never_copied() {
    let world = World::new(Kind::Imported);
    world.commit(FILES, "one");
    world
        .lake
        .foreign_put(&key_of(text(7, "one").as_bytes()), "something else");
    let report = world.export().await;
    // The bytes that the source itself gives are those of the commit.
    assert_eq!((report.counts.copied, report.counts.put), (FILES - 1, 1));
    world.assert_whole(FILES, "one");
}

#[tokio::test]
async fn the_same_checksum_at_another_address_is_the_same_file() {
    let world = World::new(Kind::Managed);
    world.commit(FILES, "one");
    world.export().await;
    let before = world.store.objects();
    // The bytes were uploaded again: new addresses, the old checksums.
    let source = world.source.clone().with_addresses_of("again");
    let world = World { source, ..world };
    world.commit(FILES, "one");
    let report = world.export().await;
    assert_eq!(
        (report.counts.kept, report.counts.copied, report.counts.put),
        (FILES, 0, 0)
    );
    for number in 0..FILES {
        let key = ObjectKey::new(format!("out/{}", path(number)));
        assert_eq!(world.store.object(&key), before.get(&key).cloned());
    }
}

#[tokio::test]
async fn where_only_copies_are_allowed_nothing_is_sent_and_the_run_fails() {
    let mut world = World::new(Kind::Imported);
    world.config.outside_copies = OutsideCopies::Only;
    world.commit(FILES, "one");
    world
        .lake
        .foreign_put(&key_of(text(7, "one").as_bytes()), "something else");
    let report = world.export().await;
    assert_eq!(
        (report.counts.copied, report.counts.put, report.counts.failed),
        (FILES - 1, 0, 1)
    );
    assert_eq!(report.failures[0].path, path(7));
    world.store.set_neighbour(lake(), Neighbour::Denied);
    world.commit(FILES, "two");
    let report = world.export().await;
    assert_eq!((report.counts.put, report.counts.failed), (0, FILES));
    assert!(
        report.failures[0].error.contains("access denied"),
        "{}",
        report.failures[0].error
    );
    assert_eq!(world.asked(RequestKind::Put), (0, 0));
}

#[tokio::test]
async fn a_changed_object_is_replaced_by_a_copy_under_its_guard() {
    let world = World::new(Kind::Managed);
    world.commit(FILES, "one");
    world.export().await;
    let key = ObjectKey::new(format!("out/{}", path(3)));
    let foreign: ETag = world.store.foreign_put(&key, "somebody else's");
    world.commit(FILES, "two");
    let report = world.export().await;
    assert_eq!((report.counts.copied, report.counts.failed), (FILES - 1, 1));
    assert_eq!(world.store.object(&key).unwrap().meta.etag, foreign);
}

#[tokio::test]
async fn where_copies_are_not_guarded_small_objects_are_sent() {
    let unguarded = Capabilities {
        copy_absent: false,
        copy_matches: false,
        ..Capabilities::ALL
    };
    let world = World::with(Kind::Managed, unguarded);
    world.commit(FILES, "one");
    let report = world.export().await;
    assert_eq!((report.counts.copied, report.counts.put), (0, FILES));
    world.assert_whole(FILES, "one");
}

/// Refuses the first copy of an object of the tree.
fn first_copy(kind: StoreErrorKind) -> Matching {
    Matching::new(Fault::Before(kind))
        .kind(RequestKind::Copy)
        .key_prefix("out/file-")
        .times(1)
}

#[tokio::test]
async fn an_archived_object_says_nothing_of_its_bucket() {
    for (way, put, failed) in [(OutsideCopies::Tried, 1, 0), (OutsideCopies::Only, 0, 1)] {
        let mut world = World::new(Kind::Managed);
        world.config.outside_copies = way;
        world.commit(FILES, "one");
        let archived = StoreErrorKind::Refused {
            status: 403,
            code: "InvalidObjectState".to_owned(),
        };
        let counts = world.export_with(first_copy(archived)).await.counts;
        assert_eq!(
            (counts.copied, counts.put, counts.failed),
            (FILES - 1, put, failed),
            "{way:?}"
        );
    }
}

#[tokio::test]
async fn where_only_copies_are_allowed_one_refused_object_does_not_refuse_the_others() {
    let mut world = World::new(Kind::Managed);
    world.config.outside_copies = OutsideCopies::Only;
    world.commit(FILES, "one");
    let counts = world.export_with(first_copy(StoreErrorKind::Denied)).await.counts;
    assert_eq!((counts.copied, counts.put, counts.failed), (FILES - 1, 0, 1));
}

#[tokio::test]
async fn an_object_whose_twin_failed_is_copied_from_where_its_own_bytes_lie() {
    for (way, put, failed) in [(OutsideCopies::Tried, 1, 0), (OutsideCopies::Only, 0, 1)] {
        let mut world = World::new(Kind::Managed);
        world.config.outside_copies = way;
        let twins = [path(0), path(1), path(2)];
        let tree: MemoryTree = twins.map(|path| (path, MemoryFile::new("the same"))).into();
        world.source.commit(tree);
        let refused = Matching::new(Fault::Before(StoreErrorKind::Denied))
            .kind(RequestKind::Copy)
            .key_contains("file-000");
        let counts = world.export_with(refused).await.counts;
        assert_eq!((counts.put, counts.failed), (put, failed), "{way:?}");
        assert_eq!(counts.copied, 2, "{way:?}");
    }
}
