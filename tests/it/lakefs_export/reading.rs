//! Objects that cannot be read as they should: what goes out is whole, and what does not is a failure.

use std::time::Duration;

use lakesync::source::lakefs::LakeFsRequest;
use lakesync::transfer::OutsideCopies;

use super::faults::{exported_and_more, stand_in};
use super::world::World;
use crate::lakefs::server::BlockStoreKind;
use crate::lakefs::standin::{Call, Fault, When};

/// Objects whose bytes a proxy swallows fail; its page is never exported in their place.
#[tokio::test]
async fn a_page_in_the_place_of_an_object_is_never_exported() {
    for block_store in [BlockStoreKind::Local, BlockStoreKind::S3] {
        let server = stand_in(block_store).await;
        let stand_in = server.stand_in().unwrap();
        let mut world = World::new(&server).await;
        world.config.outside_copies = OutsideCopies::Never;
        let files = exported_and_more(&world).await;
        stand_in.fail(Call::Read, When::Always, Fault::WebPage);
        let (result, _) = world.tried().await;
        let failed = match &result {
            Ok(report) => report.counts.failed > 0,
            Err(_) => true,
        };
        assert!(failed, "{block_store:?}");
        let mut kept: Vec<_> = files.keys().cloned().collect();
        kept.sort();
        assert_eq!(world.paths().await, kept, "{block_store:?}");
        assert_eq!(
            world.bucket.read("out/file-07").await,
            files["file-07"],
            "{block_store:?}"
        );
        stand_in.heal();
        world.exported().await;
    }
}

/// URLs that have expired are asked for anew; where they stay so, lakeFS gives the bytes itself.
#[tokio::test]
async fn urls_that_have_expired_are_renewed_and_then_done_without() {
    let server = stand_in(BlockStoreKind::S3).await;
    let stand_in = server.stand_in().unwrap();
    let mut world = World::new(&server).await;
    world.config.outside_copies = OutsideCopies::Never;
    for number in 0..5 {
        world
            .repository
            .upload("main", &format!("{number}"), vec![b'x'; 3 << 20])
            .await;
    }
    world.repository.commit("main", "files").await;
    stand_in.set_expired_urls(true);
    let ran = world.exported().await;
    assert_eq!(ran.report.counts.put, 5);
    // Asked for, renewed, and done without.
    assert_eq!(ran.lakefs.of(LakeFsRequest::GetObject), 3 * 5, "{:?}", ran.lakefs);
    stand_in.set_expired_urls(false);
    world.repository.upload("main", "more", "more").await;
    world.repository.commit("main", "more").await;
    let ran = world.exported().await;
    assert_eq!(ran.lakefs.of(LakeFsRequest::GetObject), 1, "{:?}", ran.lakefs);
}

/// Bytes that break off are gone on with, and never sent short.
#[tokio::test]
async fn objects_that_break_off_are_gone_on_with() {
    let server = stand_in(BlockStoreKind::Local).await;
    let stand_in = server.stand_in().unwrap();
    let world = World::new(&server).await;
    for size in [1_000, 3 << 20] {
        world
            .repository
            .upload("main", &size.to_string(), vec![b'x'; size])
            .await;
    }
    world.repository.commit("main", "files").await;
    stand_in.forget();
    stand_in.fail(Call::Read, When::First(6), Fault::Cut(700));
    let ran = world.export().await;
    assert_eq!(ran.report.counts.put, 2, "{:?}", ran.report.failures);
    stand_in.heal();
    world.check(ran.report.commit.as_str()).await;
}

/// P7: a server that dies while objects are read leaves failed objects, no deletes, and nothing that a later run
/// would not mend.
#[tokio::test]
async fn a_server_that_dies_while_objects_are_read_is_mended_by_the_next_run() {
    for fault in [Fault::Status(503), Fault::Status(401), Fault::Cut(0), Fault::Hang] {
        let server = stand_in(BlockStoreKind::Local).await;
        let stand_in = server.stand_in().unwrap();
        let mut world = World::new(&server).await;
        world.lakefs.request_timeout = Duration::from_millis(200);
        world.lakefs.idle_timeout = Duration::from_millis(200);
        world.lakefs.deadline = Duration::from_millis(500);
        exported_and_more(&world).await;
        for number in 0..20 {
            world
                .repository
                .upload("main", &format!("more/{number:02}"), "more")
                .await;
        }
        world.repository.commit("main", "much more").await;
        stand_in.forget();
        // The first ones arrive.
        stand_in.fail(Call::Read, When::After(12), fault);
        let ran = world.export().await;
        let counts = ran.report.counts;
        assert_eq!((counts.put + counts.failed, counts.deleted), (22, 0), "{fault:?}");
        assert!(counts.failed > 0 && counts.put > 0, "{fault:?}: {counts:?}");
        assert_eq!(world.newest_status().await.status.to_string(), "failure", "{fault:?}");
        assert!(world.paths().await.contains(&"file-33".to_owned()), "{fault:?}");
        stand_in.heal();
        let ran = world.exported().await;
        assert_eq!(
            (ran.report.counts.put, ran.report.counts.deleted),
            (counts.failed, 1),
            "{fault:?}"
        );
    }
}
