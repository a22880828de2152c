//! Status paths that move, and that must not be.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use lakesync::export::{BucketError, Buckets, ExportError, Exporter, Outcome, Refusal};
use lakesync::model::{Bucket, CommitId, RunId};
use lakesync::progress::{ObjectEvent, Phase, Progress, Totals};
use lakesync::status::{ExportState, read_newest};
use lakesync::store::memory::MemoryStore;
use lakesync::store::{Capabilities, Store};
use tokio_util::sync::CancellationToken;

use super::World;

/// Keeps what the user should know.
#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Progress for Warnings {
    fn phase(&self, _: Phase) {}
    fn started(&self, _: RunId, _: &CommitId) {}
    fn planned(&self, _: &Totals) {}
    fn moved(&self, _: u64) {}
    fn object(&self, _: &ObjectEvent<'_>) {}
    fn warn(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
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

/// Buckets that a test lets an exporter open.
struct Opened(Vec<MemoryStore>);

#[async_trait]
impl Buckets for Opened {
    async fn open(&self, bucket: &Bucket) -> Result<Arc<dyn Store>, BucketError> {
        match self.0.iter().find(|store| store.bucket() == bucket) {
            Some(store) => Ok(Arc::new(store.clone())),
            None => Err("closed to us".into()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_path_in_a_bucket_that_only_the_root_names_is_closed_when_it_is_left() {
    for is_open in [true, false] {
        let mut world = World::new();
        let [old, new] = ["old", "new"].map(|name| MemoryStore::new(name.parse().unwrap(), Capabilities::ALL));
        world.commit(&[("a", "1")]);
        let warnings = Arc::new(Warnings::default());
        let exporter = |world: &World, status_store: &MemoryStore| Exporter {
            status_store: Arc::new(status_store.clone()),
            buckets: Arc::new(Opened(if is_open { vec![old.clone()] } else { Vec::new() })),
            progress: warnings.clone(),
            ..world.exporter()
        };
        let cancel = CancellationToken::new();
        world.config.status_path = "s3://old/status/".parse().unwrap();
        exporter(&world, &old).run(&cancel).await.unwrap();
        let left = world.config.status_path.prefix.clone();
        world.commit(&[("a", "2")]);
        world.config.status_path = "s3://new/status/".parse().unwrap();
        world.config.guards.move_status = true;
        let report = exporter(&world, &new).run(&cancel).await.unwrap();
        assert_eq!(report.outcome, Outcome::Exported);
        let head = read_newest(&old, &left).await.unwrap().unwrap().head;
        let warned = warnings.0.lock().unwrap().join("\n");
        if is_open {
            assert_eq!((head.status, warned.as_str()), (ExportState::Failure, ""));
            assert!(head.message.contains("s3://new/status/"), "{}", head.message);
        } else {
            assert_eq!(head.status, ExportState::Success);
            assert!(
                warned.contains("s3://old/status/") && warned.contains("closed to us"),
                "{warned}"
            );
        }
        let moved = read_newest(&new, &left).await.unwrap().unwrap().head;
        assert_eq!(moved.status, ExportState::Success);
    }
}
