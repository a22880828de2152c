//! What a commit changes, and in which order that reaches the bucket.

use lakesync::export::{ExportError, Outcome, Refusal, testing};
use lakesync::store::RequestKind;

use super::world::World;

/// Long enough for a copy in parts, which a store that ignores conditions on copies is asked for.
const LONG: usize = 6 << 20;

fn long(seed: u8) -> Vec<u8> {
    let mut bytes = vec![seed; LONG];
    bytes[0] = seed.wrapping_add(1);
    bytes
}

#[tokio::test]
async fn a_rename_is_copied_by_the_store_and_no_byte_is_sent() {
    for mut world in World::all().await {
        world.write("old/name", long(1));
        world.write("small", "small");
        world.exported().await;
        world.rename("old/name", "new/name");
        let counts = world.exported().await.counts;
        assert_eq!((counts.put, counts.copied, counts.deleted, counts.kept), (0, 1, 1, 1));
        assert_eq!(world.sent_bytes(), 0, "{}:\n{}", world.name(), world.wire.table());
        let writes = world.writes();
        assert_eq!(writes.last().unwrap(), &(RequestKind::Delete, "old/name".to_owned()));
    }
}

#[tokio::test]
async fn of_equal_files_one_is_sent_and_the_others_are_copied() {
    for mut world in World::on_both().await {
        for path in ["a", "b/b", "c"] {
            world.write(path, long(2));
        }
        let counts = world.exported().await.counts;
        assert_eq!((counts.put, counts.copied), (1, 2), "{}", world.name());
        assert_eq!(world.sent_bytes(), LONG as u64, "{}", world.name());
    }
}

/// P7: deletes come after every put.
#[tokio::test]
async fn changes_and_deletes_reach_the_bucket_puts_first() {
    for mut world in World::all().await {
        for number in 0..30 {
            world.write(&format!("f/{number}"), format!("content {number}"));
        }
        world.exported().await;
        for number in 0..10 {
            world.remove(&format!("f/{number}"));
            world.write(&format!("f/{}", number + 10), format!("other {number}"));
            world.write(&format!("g/{number}"), format!("new {number}"));
        }
        let counts = world.exported().await.counts;
        let sum = (counts.put, counts.copied, counts.deleted, counts.kept);
        assert_eq!(sum, (20, 0, 10, 10), "{}", world.name());
        let log = world.wire.log();
        let is_delete = |kind| matches!(kind, Some(RequestKind::Delete | RequestKind::DeleteMany));
        let last_put = log.iter().rposition(|seen| seen.key.starts_with("out/g/")).unwrap();
        let mut deletes = log
            .iter()
            .enumerate()
            .filter(|(_, seen)| is_delete(seen.kind) && !seen.key.contains("/_"));
        let (first, _) = deletes.next().unwrap();
        assert!(first > last_put, "{}: {log:#?}", world.name());
    }
}

#[tokio::test]
async fn two_files_that_swap_their_names_swap_their_objects() {
    for mut world in World::all().await {
        world.write("a", long(3));
        world.write("b", long(4));
        world.exported().await;
        world.rename("a", "c");
        world.rename("b", "a");
        world.rename("c", "b");
        let counts = world.exported().await.counts;
        assert_eq!((counts.put + counts.copied, counts.deleted), (2, 0), "{}", world.name());
    }
}

#[tokio::test]
async fn a_file_becomes_a_folder_and_a_file_again() {
    for mut world in World::all().await {
        world.write("thing", "a file");
        world.write("other/x", "1");
        world.exported().await;
        world.remove("thing");
        world.write("thing/inside", "a folder");
        world.write("thing/deeper/still", "a folder");
        world.remove("other");
        world.write("other", "a file");
        world.exported().await;
        world.remove("thing");
        world.write("thing", "a file again");
        world.remove("other");
        world.write("other/x/y", "deeper");
        world.exported().await;
    }
}

#[tokio::test]
async fn what_points_at_data_is_written_last_and_deleted_first() {
    let folders = regex::bytes::Regex::new("^t$").unwrap();
    for mut world in World::on_both().await {
        world.config.last = testing::last(&["**/index.html"]);
        world.config.prefix_regex = Some(folders.clone());
        let data = ["t/a", "t/b", "t/index.html.bak", "zz"];
        let last = [
            "t/_SUCCESS",
            "t/_delta_log/0.json",
            "t/_delta_log/1.json",
            "t/index.html",
            "t/_lakefs_success",
        ];
        for path in data.iter().chain(&last[..4]) {
            world.write(path, path);
        }
        let mut expected = world.expected();
        expected.files.insert("t/_lakefs_success".to_owned(), Vec::new());
        let report = world.tried().await.unwrap();
        assert_eq!((report.outcome, report.counts.put), (Outcome::Exported, 9));
        world.check_against(&expected).await;
        let order: Vec<String> = world.writes().into_iter().map(|(_, path)| path).collect();
        assert_eq!(order[4..], last, "{}", world.name());
        // Away with the table: the other way round, one after another, where the names decide.
        world.remove("t");
        world.tried().await.unwrap();
        world.check().await;
        let gone: Vec<String> = world.writes().into_iter().map(|(_, path)| path).collect();
        if world.is_versitygw() {
            // One DELETE each, since it ignores etags in batches.
            assert_eq!(gone.len(), 8, "{gone:?}");
            assert_eq!(gone[0], "t/_lakefs_success", "{gone:?}");
            let at = |path: &str| gone.iter().position(|one| one == path).unwrap();
            assert!(
                at("t/_SUCCESS") > at("t/index.html") && at("t/_SUCCESS") < at("t/a"),
                "{gone:?}"
            );
        }
    }
}

/// P7, P9: refused before anything is written or deleted.
#[tokio::test]
async fn an_emptied_tree_and_too_many_deletes_are_refused_before_the_first_write() {
    for mut world in World::on_both().await {
        for number in 0..10 {
            world.write(&format!("{number}"), "x");
        }
        world.exported().await;
        let before = world.expected();
        for number in 0..10 {
            world.remove(&format!("{number}"));
            if number == 4 {
                world.config.guards.max_delete = Some(lakesync::export::MaxDelete::Count(4));
                let error = world.tried().await.unwrap_err();
                assert!(
                    matches!(
                        error,
                        ExportError::Refused(Refusal::TooManyDeletes {
                            deletes: 5,
                            objects: 10
                        })
                    ),
                    "{error}"
                );
                assert_eq!(world.writes(), []);
            }
        }
        world.config.guards.max_delete = None;
        let error = world.tried().await.unwrap_err();
        assert!(
            matches!(error, ExportError::Refused(Refusal::EmptyTree { objects: 10 })),
            "{error}"
        );
        assert_eq!(world.writes(), []);
        world.check_against(&before).await;
        world.config.guards.allow_empty = true;
        assert_eq!(world.exported().await.counts.deleted, 10);
    }
}
