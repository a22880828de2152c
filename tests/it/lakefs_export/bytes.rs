//! Where the bytes of objects come from, and how they get to the bucket.

use lakesync::source::lakefs::LakeFsRequest;
use lakesync::store::RequestKind;
use lakesync::transfer::OutsideCopies;

use super::world::World;
use super::{fill, ways};
use crate::dense::bytes;
use crate::lakefs::server::{BlockStoreKind, LakeFsServer};
use crate::servers;

const MIB: usize = 1 << 20;

/// The requests of a kind for objects of the tree.
fn count(world: &World<'_>, kind: RequestKind) -> usize {
    world.writes().iter().filter(|write| write.0 == kind).count()
}

#[tokio::test]
async fn objects_of_every_length_arrive_whole_around_the_lengths_of_parts() {
    for server in LakeFsServer::start_all().await {
        for way in ways(server.block_store) {
            let mut world = World::new(&server).await;
            world.config.outside_copies = *way;
            world.config.part_size_bytes = 8 * MIB as u64;
            // Up to a MiB is read at once.
            let lengths = [0, 1, MIB, MIB + 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 20 * MIB];
            for (number, length) in lengths.into_iter().enumerate() {
                let bytes = bytes(length, number as u64);
                world.repository.upload("main", &length.to_string(), bytes).await;
            }
            world.repository.commit("main", "lengths").await;
            world.exported().await;
            let name = format!("{}, {way:?}", server.name());
            let parts = count(&world, RequestKind::UploadPart);
            if server.block_store == BlockStoreKind::S3 && *way != OutsideCopies::Never {
                assert_eq!((parts, world.sent_bytes()), (0, 0), "{name}");
            } else {
                assert_eq!(parts, 2 + 3, "{name}:\n{}", world.wire.table());
            }
        }
    }
}

/// The store cannot read where the objects lie: one copy tells, and the rest comes by pre-signed URLs.
#[tokio::test]
async fn a_store_that_cannot_read_the_lake_costs_one_refused_copy() {
    let server = LakeFsServer::start(BlockStoreKind::S3).await;
    let mut world = World::to(&server, servers::apart()).await;
    fill(&world).await;
    let ran = world.exported().await;
    assert_eq!(count(&world, RequestKind::Copy), 1, "{:?}", world.writes());
    assert_eq!((ran.report.counts.copied, ran.report.counts.put), (0, 15));
    // Where the store takes the object for missing, lakeFS is asked whether it is.
    let asked = ran.lakefs.of(LakeFsRequest::GetObject);
    assert!((13..=14).contains(&asked), "{:?}", ran.lakefs);
    assert!(ran.lakefs.of(LakeFsRequest::ReadStore) >= 13, "{:?}", ran.lakefs);

    // Where only copies will do, each object says so.
    world.config.outside_copies = OutsideCopies::Only;
    world.repository.upload("main", "more", "more").await;
    world.repository.upload("main", "most", "most").await;
    world.repository.delete("main", "empty").await;
    world.repository.commit("main", "more").await;
    let ran = world.failed(&["more", "most"]).await;
    for failure in &ran.report.failures {
        assert!(failure.error.contains("--transfer auto"), "{failure:?}");
    }
}

/// Where lakeFS keeps its bytes in a folder there is nothing that a store could copy.
#[tokio::test]
async fn only_copies_of_what_does_not_lie_on_s3_fail_and_say_what_to_do() {
    let server = LakeFsServer::start(BlockStoreKind::Local).await;
    let mut world = World::new(&server).await;
    world.config.outside_copies = OutsideCopies::Only;
    world.repository.upload("main", "a", "a").await;
    world.repository.upload("main", "b", "b").await;
    world.repository.commit("main", "one").await;
    let ran = world.failed(&["a", "b"]).await;
    assert!(
        ran.report.failures[0].error.contains("--transfer auto"),
        "{:?}",
        ran.report.failures
    );
    assert_eq!(world.writes(), []);
}

/// 256 MiB is the most that goes in one copy.
#[tokio::test]
async fn an_object_of_300_mib_is_copied_in_parts_by_the_store() {
    let server = LakeFsServer::start(BlockStoreKind::S3).await;
    let world = World::new(&server).await;
    let began = std::time::Instant::now();
    world.repository.upload("main", "huge", bytes(300 * MIB, 1)).await;
    world.repository.commit("main", "huge").await;
    println!("uploaded in {:?}", began.elapsed());
    let began = std::time::Instant::now();
    let ran = world.export().await;
    println!("exported in {:?}", began.elapsed());
    assert_eq!(ran.report.counts.copied, 1, "{:?}", ran.report.failures);
    let parts = count(&world, RequestKind::UploadPartCopy);
    assert!(parts >= 2, "{parts}");
    assert_eq!(world.sent_bytes(), 0);
    world.check(ran.report.commit.as_str()).await;
}
