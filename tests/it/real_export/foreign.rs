//! Objects of others.

use lakesync::export::{ExportError, Outcome, Refusal};
use lakesync::model::{ObjectKey, RelPath};
use lakesync::status::{ExportState, read_newest};

use super::world::World;

async fn says(world: &World) -> ExportState {
    let store = world.store_of(&world.config.status_path).await;
    let newest = read_newest(&store, &world.config.status_path.prefix).await.unwrap();
    newest.unwrap().head.status
}

/// P3: beside ours they stay, and nobody lists them as exported.
#[tokio::test]
async fn foreign_objects_beside_ours_stay_as_they_are() {
    for mut world in World::on_both().await {
        world.write("a/1", "1");
        world.write("b", "2");
        world.exported().await;
        world.foreign("a/theirs", "theirs").await;
        world.foreign("zz", "theirs, too").await;
        world.bucket.write("outside", "of the export path").await;
        world.remove("a/1");
        world.write("c", "3");
        world.exported().await;
        assert_eq!(world.bucket.read("outside").await, b"of the export path");
    }
}

/// P3, P7: in our way they are conflicts, which fail alone and stop all deletes.
#[tokio::test]
async fn a_foreign_object_in_the_way_is_a_conflict_and_nothing_is_deleted() {
    for mut world in World::on_both().await {
        world.write("changed", "1");
        world.write("gone", "2");
        world.exported().await;
        // One that we would change was changed by somebody else, another stands where a new file goes.
        world.bucket.write("out/changed", "theirs").await;
        world.bucket.write("out/new", "theirs").await;
        world.write("changed", "ours");
        world.write("new", "ours");
        world.write("fine", "ours");
        world.remove("gone");
        let report = world.tried().await.unwrap();
        let failed: Vec<String> = report.failures.iter().map(|failure| failure.path.to_string()).collect();
        assert_eq!(failed, ["changed", "new"], "{}", world.name());
        assert_eq!(
            (report.outcome, report.counts.put, report.counts.deleted),
            (Outcome::Failed, 1, 0)
        );
        assert_eq!(says(&world).await, ExportState::Failure);
        assert_eq!(world.bucket.read("out/changed").await, b"theirs");
        assert_eq!(world.bucket.read("out/new").await, b"theirs");
        assert_eq!(world.bucket.read("out/gone").await, b"2");
        assert_eq!(world.bucket.read("out/fine").await, b"ours");
        // Only when told so.
        world.config.guards.overwrite = true;
        let counts = world.exported().await.counts;
        assert_eq!((counts.put, counts.deleted, counts.kept), (2, 1, 1), "{}", world.name());
    }
}

/// P3: what somebody changed and the head no longer wants is theirs now.
#[tokio::test]
async fn an_object_that_somebody_changed_is_not_deleted_but_let_go() {
    for mut world in World::on_both().await {
        for path in ["a", "b", "c"] {
            world.write(path, path);
        }
        world.exported().await;
        world.foreign("a", "theirs now").await;
        world.delete_object(&ObjectKey::new("out/b")).await;
        world.remove("a");
        world.remove("b");
        let report = world.exported().await;
        assert_eq!(report.let_go, [RelPath::new("a").unwrap()], "{}", world.name());
        // And it stays so.
        world.write("d", "d");
        world.exported().await;
    }
}

/// P3, P9: a full export path is refused before anything is written there.
#[tokio::test]
async fn a_full_export_path_is_refused_adopted_or_overwritten() {
    for (adopt, overwrite) in [(true, false), (false, true)] {
        for mut world in World::on_both().await {
            world.write("equal", "equal");
            world.write("other", "ours");
            world.write("new", "new");
            world.bucket.write("out/equal", "equal").await;
            world.bucket.write("out/other", "theirs").await;
            world.foreign("theirs", "theirs").await;
            let error = world.tried().await.unwrap_err();
            assert!(
                matches!(error, ExportError::Refused(Refusal::NotEmpty { .. })),
                "{error}"
            );
            assert_eq!(world.writes(), []);
            world.config.guards.adopt = adopt;
            world.config.guards.overwrite = overwrite;
            if overwrite {
                let counts = world.exported().await.counts;
                assert_eq!(counts.put, 3, "{}", world.name());
                continue;
            }
            let report = world.tried().await.unwrap();
            let failed: Vec<String> = report.failures.iter().map(|failure| failure.path.to_string()).collect();
            assert_eq!((report.outcome, failed), (Outcome::Failed, vec!["other".to_owned()]));
            assert_eq!((report.counts.put, report.counts.kept), (1, 1), "{}", world.name());
            assert_eq!(world.bucket.read("out/other").await, b"theirs");
            // The equal one has no mark: it was not written, and is ours all the same.
            let head = world.head("equal").await;
            assert!(head.metadata().is_none_or(|all| !all.contains_key("lakesync")));
            world.delete_object(&ObjectKey::new("out/other")).await;
            let counts = world.exported().await.counts;
            assert_eq!((counts.put, counts.kept), (1, 2), "{}", world.name());
        }
    }
}
