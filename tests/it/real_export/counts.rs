//! What an export costs, read at the wire. Writes that come by the clock are not counted: refreshed status files,
//! done records, renewals of the lease.

use lakesync::export::Outcome;
use lakesync::store::RequestKind;

use super::world::World;
use crate::servers;

/// Requests in all, less those that come by the clock.
fn untimed(world: &World) -> usize {
    let log = world.wire.log();
    let puts = |part: &str| {
        let is_one = |seen: &&crate::wire::Seen| seen.kind == Some(RequestKind::Put) && seen.key.contains(part);
        log.iter().filter(is_one).count()
    };
    // The first and the last of each are not the clock's.
    let timed = puts("/_STATUS_").saturating_sub(2)
        + puts("/_lakesync/lease.json").saturating_sub(2)
        + log.iter().filter(|seen| seen.key.contains("/done-")).count();
    log.len() - timed
}

/// A first export of so many files, then one changed file, with what was read before at hand.
async fn costs(world: World, files: usize) {
    let name = world.name();
    for number in 0..files {
        world.write(
            &format!("d{:03}/file-{number}", number / 100),
            format!("content {number}"),
        );
    }
    let report = world.tried().await.unwrap();
    assert_eq!((report.outcome, report.counts.put), (Outcome::Exported, files as u64));
    let first = untimed(&world);
    assert!(
        first <= files + 60,
        "{name}: {first} requests for {files}:\n{}",
        world.wire.table()
    );
    world.write("d007/file-777", "changed");
    let counts = world.tried().await.unwrap().counts;
    assert_eq!((counts.put, counts.kept), (1, files as u64 - 1), "{name}");
    let second = untimed(&world);
    assert!(
        second <= 20,
        "{name}: {second} requests for one change:\n{}",
        world.wire.table()
    );
    // Looking at every object twice over takes longer than all else.
    if files <= 2_000 {
        world.check().await;
    }
    println!("{name}: {files} files, {first} requests; one changed, {second} requests");
}

/// P8: a change costs what it changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_changed_file_of_20_000_costs_20_requests_and_a_first_export_its_objects_and_60() {
    Box::pin(costs(World::git(servers::seaweedfs()).await, 20_000)).await;
}

/// P8: the same where deletes and copies must be guarded one by one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_holds_on_a_server_that_ignores_some_conditions() {
    Box::pin(costs(World::dir(servers::versitygw()).await, 2_000)).await;
}
