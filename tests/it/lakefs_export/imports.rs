//! Objects that lie outside of lakeFS's own namespace: they may change or go, and nobody tells lakeFS.

use lakesync::source::lakefs::LakeFsRequest;
use lakesync::store::RequestKind;
use lakesync::transfer::OutsideCopies;

use super::ways;
use super::world::World;
use crate::lakefs::server::{BlockStoreKind, LakeFsServer};

/// Imports some files, and commits one more for which a later run has a delete to leave out.
async fn import(world: &World<'_>, folder: &str) -> String {
    for (name, text) in [("a", "imported a"), ("b", "imported b"), ("c", "imported c")] {
        world
            .server
            .put_outside(&format!("{folder}/{name}"), text.as_bytes())
            .await;
    }
    world.repository.upload("main", "goes", "goes later").await;
    world.repository.upload("main", "own", "own").await;
    world.repository.commit("main", "own").await;
    let outside = format!("{}{folder}/", world.server.outside());
    world.repository.import("main", &outside, "imported/").await.id
}

/// P1: what was imported is copied as what it was imported as, and changes of the branch beside it do not touch it.
#[tokio::test]
async fn imports_arrive_by_every_way() {
    for server in LakeFsServer::start_all().await {
        for way in ways(server.block_store) {
            let mut world = World::new(&server).await;
            world.config.outside_copies = *way;
            import(&world, &format!("arrive-{way:?}")).await;
            let ran = world.exported().await;
            let name = format!("{}, {way:?}", server.name());
            let copies = server.block_store == BlockStoreKind::S3 && *way != OutsideCopies::Never;
            assert_eq!(ran.report.counts.copied, if copies { 5 } else { 0 }, "{name}");
            assert_eq!(ran.lakefs.of(LakeFsRequest::GetObject) == 0, copies, "{name}");
            world.repository.upload("main", "own", "changed").await;
            world.repository.commit("main", "own").await;
            world.exported().await;
            assert_eq!(world.writes().len(), 1, "{name}");
            // The same objects again: nothing is new of them.
            let outside = format!("{}arrive-{way:?}/", server.outside());
            world.repository.upload("main", "another", "1").await;
            world.repository.commit("main", "another").await;
            let again = world.repository.import("main", &outside, "imported/").await;
            assert_eq!(world.exported().await.report.commit.as_str(), again.id, "{name}");
            assert_eq!(world.writes().len(), 1, "{name}: {:?}", world.writes());
        }
    }
}

/// P7: an import whose source is another now fails alone, is named, and nothing is deleted.
#[tokio::test]
async fn an_import_that_changed_behind_lakefs_fails_is_named_and_stops_deletes() {
    for server in LakeFsServer::start_all().await {
        for way in ways(server.block_store) {
            let mut world = World::new(&server).await;
            world.config.outside_copies = *way;
            let name = format!("{}, {way:?}", server.name());
            let folder = format!("changes-{way:?}");
            world.repository.upload("main", "goes", "goes later").await;
            world.repository.commit("main", "before").await;
            world.exported().await;
            import(&world, &folder).await;
            world.repository.delete("main", "goes").await;
            world.repository.commit("main", "goes").await;
            // Another length: a folder of the server knows no etags.
            server.put_outside(&format!("{folder}/b"), b"another import").await;
            let ran = world.failed(&["imported/b"]).await;
            let error = &ran.report.failures[0].error;
            // Of a folder lakeFS itself promises the old length, and breaks off.
            let told = match server.block_store {
                BlockStoreKind::S3 => error.contains("changed since it was imported"),
                BlockStoreKind::Local => error.contains("changed") || error.contains("cut off"),
            };
            assert!(told, "{name}: {error}");
            assert_eq!(
                world.paths().await,
                ["goes", "imported/a", "imported/c", "own"],
                "{name}"
            );
            assert_eq!(world.bucket.read("out/imported/a").await, b"imported a", "{name}");

            // Imported anew it is what it is now.
            let outside = format!("{}{folder}/", server.outside());
            world.repository.import("main", &outside, "imported/").await;
            world.exported().await;
            assert_eq!(
                world.paths().await,
                ["imported/a", "imported/b", "imported/c", "own"],
                "{name}"
            );
        }
    }
}

/// The same length, so that the etag alone tells: both by a copy and by a stream.
#[tokio::test]
async fn an_import_of_the_same_length_is_told_by_its_etag() {
    let server = LakeFsServer::start(BlockStoreKind::S3).await;
    for way in ways(server.block_store) {
        let mut world = World::new(&server).await;
        world.config.outside_copies = *way;
        let folder = format!("etag-{way:?}");
        import(&world, &folder).await;
        server.put_outside(&format!("{folder}/c"), b"IMPORTED C").await;
        let ran = world.failed(&["imported/c"]).await;
        let error = &ran.report.failures[0].error;
        assert!(error.contains("changed since it was imported"), "{way:?}: {error}");
        assert_eq!(
            world.paths().await,
            ["goes", "imported/a", "imported/b", "own"],
            "{way:?}"
        );
        let writes = world.writes();
        let copies = writes.iter().any(|(kind, _)| *kind == RequestKind::Copy);
        assert_eq!(copies, *way != OutsideCopies::Never, "{way:?}: {writes:?}");
    }
}
