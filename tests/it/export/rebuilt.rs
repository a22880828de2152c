//! What a ledger that is made anew takes for ours, and what not.

use lakesync::causes::with_causes;
use lakesync::export::{Rebuild, Rebuilt, rebuild};
use lakesync::ledger::{Holder, LedgerError, LedgerFolder};
use lakesync::store::{RequestCounts, RequestKind, RetryConfig};

use super::*;

impl World {
    fn at(&self, export_path: &str, status_path: &str) -> Self {
        let mut config = self.config.clone();
        config.export_path = export_path.parse().unwrap();
        config.status_path = status_path.parse().unwrap();
        Self {
            source: MemorySource::new("memory:other"),
            store: self.store.clone(),
            clock: self.clock.clone(),
            config,
        }
    }

    async fn rebuild(&self, status_path: &str) -> Result<Rebuilt, ExportError> {
        let request = Rebuild {
            store: Arc::new(self.store.clone()),
            status_store: Arc::new(self.store.clone()),
            export_path: self.config.export_path.clone(),
            status_path: status_path.parse().unwrap(),
            lease_ttl: Duration::from_secs(60),
            lock_wait: Duration::ZERO,
            holder: Holder::this_process(),
            clock: self.clock.clone(),
            retry: RetryConfig::default(),
            counts: Arc::new(RequestCounts::default()),
            cache: None,
        };
        rebuild(&request, &CancellationToken::new()).await
    }

    fn damage(&self, key: &lakesync::model::ObjectKey) {
        let mut bytes = self.store.object(key).unwrap().bytes.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        self.store.foreign_put(key, bytes);
    }
}

/// P3: another export below this one has marks, too, and later ones; it is not ours to delete.
#[tokio::test(start_paused = true)]
async fn an_export_below_another_outlives_a_rebuild_of_that() {
    let mut world = World::new();
    world.commit(&[("a", "1")]);
    world.export().await.unwrap();
    for status_path in ["s3://bucket/out/inner/", "s3://bucket/out/inner-status/"] {
        let inner = world.at("s3://bucket/out/inner/", status_path);
        inner.commit(&[("x", "inner"), ("y/z", "more")]);
        let mut inner = inner;
        inner.config.guards.move_status = true;
        inner.export().await.unwrap();
    }
    let before: Vec<_> = world.tree().into_keys().filter(|key| key != "a").collect();
    let root = LedgerFolder::of(&world.config.export_path.prefix).root();
    world.damage(&root);
    let found = world.rebuild("s3://bucket/out/").await.unwrap();
    assert_eq!(found.objects, 1);
    world.commit(&[("a", "2")]);
    world.config.guards.max_delete = None;
    let report = world.export().await.unwrap();
    assert_eq!((report.outcome, report.counts.deleted), (Outcome::Exported, 0));
    let after: Vec<_> = world.tree().into_keys().filter(|key| key != "a").collect();
    assert_eq!(after, before);
}

/// P9: status files of another export path tell nothing of this one, and are not this one's to prune.
#[tokio::test(start_paused = true)]
async fn a_rebuild_from_another_exports_status_files_is_refused() {
    let world = World::new();
    world.commit(&[("a", "1")]);
    world.export().await.unwrap();
    let other = world.at("s3://bucket/other/", "s3://bucket/other/");
    other.commit(&[("a", "1")]);
    other.export().await.unwrap();
    world
        .store
        .foreign_delete(&LedgerFolder::of(&world.config.export_path.prefix).root());
    let error = world.rebuild("s3://bucket/other/").await.unwrap_err();
    assert!(
        matches!(error, ExportError::Refused(Refusal::StatusTaken { .. })),
        "{error}"
    );
}

/// P3: without the last `success` every mark would count; a root that can be read tells where it is.
#[tokio::test(start_paused = true)]
async fn a_rebuild_from_another_place_than_the_roots_is_refused() {
    let world = World::new().at("s3://bucket/out/", "s3://bucket/status/");
    world.commit(&[("a", "1")]);
    world.export().await.unwrap();
    let error = world.rebuild("s3://bucket/out/").await.unwrap_err();
    assert!(
        matches!(error, ExportError::Refused(Refusal::StatusMoved { .. })),
        "{error}"
    );
    assert_eq!(world.rebuild("s3://bucket/status/").await.unwrap().objects, 1);
}

/// P9: a rebuild needs the lease itself, so that it is no cure for a damaged one.
#[tokio::test(start_paused = true)]
async fn a_damaged_lease_is_an_error_whose_cure_works() {
    let world = World::new();
    world.commit(&[("a", "1")]);
    world.export().await.unwrap();
    world.commit(&[("a", "2")]);
    let lease = LedgerFolder::of(&world.config.export_path.prefix).lease();
    world.damage(&lease);
    let error = world.export().await.unwrap_err();
    let text = with_causes(&error);
    assert!(text.contains("lease.json") && text.contains("delete it"), "{text}");
    assert!(!text.contains("ledger rebuild"), "{text}");
    world.store.foreign_delete(&lease);
    assert_eq!(world.export().await.unwrap().outcome, Outcome::Exported);
}

/// P9: a run whose intents are lost can never be settled; after a rebuild, which looks at everything, nobody tries.
#[tokio::test(start_paused = true)]
async fn a_rebuild_lets_go_of_a_run_whose_intents_are_lost() {
    let world = World::new();
    world.commit(&[("a", "1")]);
    world.export().await.unwrap();
    world.commit(&[("a", "2")]);
    let put = Matching::new(Fault::HangAfter).kind(RequestKind::Put);
    world.die_at(put.key_contains("out/a")).await;
    let is_intents = |key: &lakesync::model::ObjectKey| key.as_str().contains("/intents-");
    let intents = world.store.objects().into_keys().find(is_intents).unwrap();
    world.store.foreign_delete(&intents);
    let error = world.export().await.unwrap_err();
    assert!(
        matches!(error, ExportError::Ledger(LedgerError::Damaged { .. })),
        "{error}"
    );
    assert_eq!(world.rebuild("s3://bucket/out/").await.unwrap().objects, 1);
    assert_eq!(world.export().await.unwrap().outcome, Outcome::Exported);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    world.commit(&[("a", "3")]);
    assert_eq!(world.export().await.unwrap().outcome, Outcome::Exported);
}
