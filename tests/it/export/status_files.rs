//! Status files of runs that died, that moved, and that are long.

use lakesync::model::ObjectKey;
use lakesync::status::read_head;
use lakesync::store::{Checksum, ObjectHeaders, RequestKind, Store as _};

use super::*;

impl World {
    fn status_keys(&self) -> Vec<ObjectKey> {
        let is_status = |key: &ObjectKey| key.as_str().contains("/_STATUS_");
        self.store.objects().into_keys().filter(is_status).collect()
    }

    /// Lets the newest status file say something older, and begins an upload of it: as a run leaves it that dies
    /// while it writes a file too long for one request.
    async fn die_in_the_last_status(&self) {
        let newest = read_newest(&self.store, &self.config.status_path.prefix).await;
        let newest = newest.unwrap().unwrap();
        let line = format!(r#"{{"status":"in-progress","commit":"{}"}}"#, newest.head.commit);
        self.store.foreign_put(&newest.key, format!("{line}\n"));
        self.begin_upload(&newest.key).await;
    }

    async fn begin_upload(&self, key: &ObjectKey) {
        let headers = ObjectHeaders::default();
        self.store.create_upload(key, &headers, Checksum::None).await.unwrap();
    }
}

/// P2: a run that dies while it says `success` in parts is in no root any more; its upload goes all the same.
#[tokio::test(start_paused = true)]
async fn an_upload_of_a_success_that_was_never_said_is_given_up() {
    let world = World::new();
    world.commit(&[("a", "1")]);
    world.export().await.unwrap();
    world.die_in_the_last_status().await;
    assert_eq!(world.export().await.unwrap().outcome, Outcome::Unchanged);
    assert_eq!(world.newest_records().await.0, ExportState::Success);
    assert_eq!(world.store.uploads(), []);
}

/// P2: the same for one that dies while it says `failure`.
#[tokio::test(start_paused = true)]
async fn an_upload_of_a_failure_that_was_never_said_is_given_up() {
    let world = World::new();
    world.commit(&[("a", "1"), ("b", "2")]);
    world.export().await.unwrap();
    let key = world.config.export_path.prefix.join("b");
    world.store.foreign_put(&key, "theirs");
    world.commit(&[("a", "1"), ("b", "3")]);
    assert_eq!(world.export().await.unwrap().outcome, Outcome::Failed);
    world.die_in_the_last_status().await;
    world.store.foreign_delete(&key);
    assert_eq!(world.export().await.unwrap().outcome, Outcome::Exported);
    assert_eq!(world.store.uploads(), []);
}

#[tokio::test(start_paused = true)]
async fn a_dead_run_leaves_no_status_file_where_it_never_wrote_one() {
    let mut world = World::new();
    world.commit(&[("a", "1")]);
    world.export().await.unwrap();
    world.commit(&[("a", "2")]);
    let put = Matching::new(Fault::Hang).kind(RequestKind::Put);
    world.die_at(put.key_contains("out/a")).await;
    let dead = world.status_keys().pop().unwrap();
    world.begin_upload(&dead).await;
    world.config.status_path = "s3://bucket/elsewhere/".parse().unwrap();
    world.config.guards.move_status = true;
    let report = world.export().await.unwrap();
    let own = world.config.status_path.prefix.join(&report.status_file.unwrap());
    let there = |key: &ObjectKey| key.as_str().starts_with("elsewhere/");
    let moved: Vec<_> = world.status_keys().into_iter().filter(there).collect();
    assert_eq!(moved, [own]);
    let (head, _) = read_head(&world.store, &dead).await.unwrap().unwrap();
    assert_eq!(head.status, ExportState::Failure);
    assert_eq!(world.store.uploads(), []);
}

/// The first record is read from the first 4 KiB, so a long name must not push it beyond.
#[tokio::test(start_paused = true)]
async fn a_source_with_a_long_name_is_exported_again_and_again() {
    let mut world = World::new();
    world.source = MemorySource::new(format!("memory:/{}#main", "long name/".repeat(500)));
    world.commit(&[("a", "1")]);
    assert_eq!(world.export().await.unwrap().outcome, Outcome::Exported);
    assert_eq!(world.export().await.unwrap().outcome, Outcome::Unchanged);
    world.commit(&[("a", "2")]);
    assert_eq!(world.export().await.unwrap().outcome, Outcome::Exported);
}
