//! Finding out that something is wrong, and making the ledger anew.

use std::sync::Arc;
use std::time::Duration;

use lakesync::clock::BootClock;
use lakesync::export::{ExportError, Outcome, Rebuild, Rebuilt, rebuild};
use lakesync::ledger::{Holder, LedgerError};
use lakesync::model::ObjectKey;
use lakesync::status::{Difference, Level, Verified, verify};
use lakesync::store::{RequestCounts, RetryConfig};
use tokio_util::sync::CancellationToken;

use super::world::World;

async fn verified(world: &World, level: Level) -> Verified {
    let store = world.store_of(&world.config.export_path).await;
    let prefix = &world.config.export_path.prefix;
    verify(&store, prefix, &store, prefix, level, 8).await.unwrap()
}

fn kinds(verified: &Verified) -> Vec<(&'static str, String)> {
    let kind = |difference: &Difference| match difference {
        Difference::Missing { path } => ("missing", path.to_string()),
        Difference::Extra { path } => ("extra", path.to_string()),
        Difference::Changed { path, .. } => ("changed", path.to_string()),
    };
    verified.differences.iter().map(kind).collect()
}

/// P1: and where it does not hold any more, `verify` says what differs.
#[tokio::test]
async fn verify_finds_what_is_missing_changed_or_too_much_at_every_level() {
    for mut world in World::all().await {
        for path in ["a", "b", "c/d", "e"] {
            world.write(path, format!("content of {path}"));
        }
        world.write("parts", vec![7; 9 << 20]);
        world.exported().await;
        for level in [Level::List, Level::Head, Level::Bytes] {
            let whole = verified(&world, level).await;
            assert_eq!(
                (kinds(&whole), whole.checked, whole.overtaken),
                (vec![], 5, false),
                "{}",
                world.name()
            );
            let read = if level == Level::Bytes { (9 << 20) + 50 - 4 } else { 0 };
            assert!(whole.hashed_bytes >= read && whole.unhashed == 0, "{whole:?}");
        }
        world.bucket.write("out/extra", "theirs").await;
        world.bucket.write("out/b", "theirs").await;
        world.delete_object(&ObjectKey::new("out/c/d")).await;
        let wrong = [("changed", "b"), ("missing", "c/d"), ("extra", "extra")];
        let wrong = wrong.map(|(kind, path)| (kind, path.to_owned()));
        for level in [Level::List, Level::Head, Level::Bytes] {
            assert_eq!(
                kinds(&verified(&world, level).await),
                wrong,
                "{} {level:?}",
                world.name()
            );
        }
    }
}

async fn rebuilt(world: &World) -> Result<Rebuilt, ExportError> {
    let store = Arc::new(world.store_of(&world.config.export_path).await);
    let request = Rebuild {
        store: store.clone(),
        status_store: store,
        export_path: world.config.export_path.clone(),
        status_path: world.config.status_path.clone(),
        lease_ttl: Duration::from_secs(60),
        lock_wait: Duration::ZERO,
        holder: Holder::this_process(),
        clock: Arc::new(BootClock),
        retry: RetryConfig::default(),
        counts: Arc::new(RequestCounts::default()),
        cache: None,
    };
    rebuild(&request, &CancellationToken::new()).await
}

/// P9: a damaged ledger is an error that names the cure; after the cure nothing is sent again.
#[tokio::test]
async fn a_ledger_that_was_lost_or_damaged_is_made_anew_and_nothing_is_sent() {
    for damaged in [false, true] {
        for mut world in World::all().await {
            for path in ["a", "b/c", "d e"] {
                world.write(path, path);
            }
            world.write("parts", vec![7; 9 << 20]);
            world.exported().await;
            world.foreign("theirs", "theirs").await;
            let root = ObjectKey::new("out/_lakesync/root.json");
            if damaged {
                let mut text = world.bucket.read(root.as_str()).await;
                let middle = text.len() / 2;
                text[middle] ^= 1;
                world.bucket.write(root.as_str(), text).await;
                let error = world.export().await.unwrap_err();
                let ExportError::Ledger(error @ LedgerError::Damaged { .. }) = &error else {
                    panic!("{error:?}");
                };
                assert!(error.to_string().contains("ledger rebuild"), "{error}");
            } else {
                world.delete_object(&root).await;
                let error = world.export().await.unwrap_err();
                assert!(matches!(error, ExportError::Refused(_)), "{error:?}");
            }
            let found = rebuilt(&world).await.unwrap();
            assert_eq!(
                (found.objects, found.foreign, found.missing),
                (4, 1, 0),
                "{}",
                world.name()
            );
            world.wire.reset();
            let report = world.export().await.unwrap();
            let counts = report.counts;
            assert_eq!(
                (report.outcome, counts.put, counts.copied),
                (Outcome::Exported, 0, 0),
                "{}",
                world.name()
            );
            assert_eq!((counts.kept, counts.deleted), (4, 0), "{}", world.name());
            assert_eq!(world.writes(), []);
            world.check().await;
            world.write("a", "changed");
            world.remove("d e");
            world.exported().await;
        }
    }
}

#[tokio::test]
async fn a_rebuilt_ledger_tells_what_is_missing_and_what_is_not_ours() {
    let mut world = World::dir(crate::servers::seaweedfs()).await;
    for path in ["a", "b", "c"] {
        world.write(path, path);
    }
    world.exported().await;
    world.delete_object(&ObjectKey::new("out/a")).await;
    world.delete_object(&ObjectKey::new("out/_lakesync/root.json")).await;
    world.bucket.write("out/b", "theirs").await;
    let found = rebuilt(&world).await.unwrap();
    assert_eq!((found.objects, found.foreign, found.missing), (1, 1, 2));
    // What is somebody else's now is not overwritten; what is missing is sent.
    let report = world.export().await.unwrap();
    assert_eq!(
        (report.outcome, report.counts.put, report.counts.failed),
        (Outcome::Failed, 1, 1)
    );
    assert_eq!(world.bucket.read("out/b").await, b"theirs");
}
