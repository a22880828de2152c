//! Objects whose bytes are gone: collected by hand, by a rule of the bucket, or with the source of an import.

use lakesync::export::Outcome;
use lakesync::transfer::OutsideCopies;

use super::ways;
use super::world::World;
use crate::lakefs::server::LakeFsServer;

/// P7: data that is gone is a failure that says so, nothing is deleted, and a commit without it succeeds.
#[tokio::test]
async fn lost_data_fails_is_named_and_stops_deletes_until_a_commit_does_without_it() {
    for server in LakeFsServer::start_all().await {
        for way in ways(server.block_store) {
            // The first object tells of its bucket, so it must not be the lost one alone that is tried.
            for lost in ["a", "d/lost", "z"] {
                let mut world = World::new(&server).await;
                world.config.outside_copies = *way;
                let name = format!("{}, {way:?}, {lost}", server.name());
                world.repository.upload("main", "goes", "goes later").await;
                world.repository.commit("main", "before").await;
                world.exported().await;
                world.repository.delete("main", "goes").await;
                for path in ["a", "d/lost", "d/other", "z"] {
                    world.repository.upload("main", path, path).await;
                }
                let commit = world.repository.commit("main", "with what is lost").await;
                world.repository.lose(&commit.id, lost).await;
                let ran = world.failed(&[lost]).await;
                let error = &ran.report.failures[0].error;
                assert!(error.contains("data is gone"), "{name}: {error}");
                let mut expected = vec!["a", "d/lost", "d/other", "goes", "z"];
                expected.retain(|path| *path != lost);
                assert_eq!(world.paths().await, expected, "{name}");
                // It is not better next time, and nothing that is there is sent again.
                world.failed(&[lost]).await;
                assert_eq!(world.paths().await, expected, "{name}");

                world.repository.delete("main", lost).await;
                let without = world.repository.commit("main", "without it").await;
                let ran = world.exported().await;
                assert_eq!(ran.report.commit.as_str(), without.id, "{name}");
                assert_eq!(world.writes().len(), 1, "{name}: {:?}", world.writes());
                assert_eq!(world.export().await.report.outcome, Outcome::Unchanged, "{name}");
            }
        }
    }
}

/// P7: the same of an import whose source was deleted.
#[tokio::test]
async fn an_import_whose_source_was_deleted_is_lost_data() {
    for server in LakeFsServer::start_all().await {
        for way in ways(server.block_store) {
            let mut world = World::new(&server).await;
            world.config.outside_copies = *way;
            let folder = format!("lost-{way:?}");
            for path in ["a", "b"] {
                server.put_outside(&format!("{folder}/{path}"), path.as_bytes()).await;
            }
            let outside = format!("{}{folder}/", server.outside());
            let commit = world.repository.import("main", &outside, "").await;
            world.repository.lose(&commit.id, "a").await;
            let ran = world.failed(&["a"]).await;
            let error = &ran.report.failures[0].error;
            assert!(error.contains("data is gone"), "{}, {way:?}: {error}", server.name());
            assert_eq!(world.paths().await, ["b"]);
        }
    }
}

/// An object that is lost after it went out stays out: nobody needs its bytes again.
#[tokio::test]
async fn data_lost_after_its_export_does_no_harm() {
    for server in LakeFsServer::start_all().await {
        let mut world = World::new(&server).await;
        world.config.outside_copies = OutsideCopies::Tried;
        world.repository.upload("main", "lost", "lost").await;
        let commit = world.repository.commit("main", "one").await;
        world.exported().await;
        world.repository.lose(&commit.id, "lost").await;
        world.repository.upload("main", "more", "more").await;
        let commit = world.repository.commit("main", "two").await;
        let ran = world.export().await;
        assert_eq!(
            (ran.report.outcome, ran.report.commit.as_str()),
            (Outcome::Exported, &*commit.id),
            "{}: {:?}",
            server.name(),
            ran.report.failures
        );
        assert_eq!(world.paths().await, ["lost", "more"], "{}", server.name());
    }
}
