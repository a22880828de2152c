//! Exports to SeaweedFS and versitygw, through a door that counts; after each, an audit.

mod changes;
mod content;
mod counts;
mod foreign;
mod keys;
mod mend;
mod status;
mod world;

use lakesync::export::Outcome;
use lakesync::store::RequestKind;

use world::World;

/// P1, P4: the bucket is the tree and says so; then nothing is to be done, and three requests tell.
#[tokio::test]
async fn a_first_export_is_whole_and_an_unchanged_head_costs_three_requests() {
    for mut world in World::all().await {
        let files = [
            ("a.txt", "1"),
            ("b/c d.txt", "2"),
            ("b/_SUCCESS", ""),
            ("b/e/f", "3"),
            ("z", "1"),
        ];
        for (path, text) in files {
            world.write(path, text);
        }
        let report = world.exported().await;
        let counts = report.counts;
        assert_eq!((counts.put + counts.copied, counts.failed, counts.deleted), (5, 0, 0));
        assert_eq!((counts.kept, report.previous), (0, None));
        world.wire.reset();
        let again = world.export().await.unwrap();
        assert_eq!(
            (again.outcome, again.counts.kept, again.run),
            (Outcome::Unchanged, 5, None)
        );
        assert!(world.wire.len() <= 3, "{}:\n{}", world.name(), world.wire.table());
        assert!(world.wire.log().iter().all(|seen| seen.kind == Some(RequestKind::Get)));
        world.check().await;
    }
}

/// P4: times and rights do not count, and neither does a cache that was lost.
#[tokio::test]
async fn a_file_that_was_only_touched_is_not_sent() {
    for mut world in World::on_both().await {
        world.write("a", "1");
        world.write("b", "2");
        world.exported().await;
        world.write("a", "1");
        world.lose_cache();
        world.wire.reset();
        assert_eq!(world.export().await.unwrap().outcome, Outcome::Unchanged);
        assert!(world.wire.len() <= 3, "{}", world.wire.table());
    }
}
