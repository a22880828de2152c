//! Exports of lakeFS branches to SeaweedFS, through a door that counts; after each, an audit. The server is the
//! stand-in, or the real program where somebody has it; what turns knobs uses the stand-in either way.

mod amnesia;
mod bytes;
mod changes;
mod faults;
mod imports;
mod keys;
mod lost;
mod program;
mod reading;
mod words;
pub mod world;

use std::fmt::Debug;

use lakesync::export::Outcome;
use lakesync::model::{Change, Entry};
use lakesync::source::Item;
use lakesync::source::lakefs::{LakeFsRequest, ListingChoice};
use lakesync::store::RequestKind;
use lakesync::transfer::OutsideCopies;

use crate::lakefs::repository::Upload;
use crate::lakefs::server::{BlockStoreKind, LakeFsServer};
use world::World;

/// Objects of several kinds, with and without metadata.
async fn fill(world: &World<'_>) {
    for number in 0..12 {
        let path = format!("data/part-{number:02}");
        world
            .repository
            .upload("main", &path, format!("content {number}"))
            .await;
    }
    let upload = Upload {
        path: "data/table.csv",
        bytes: b"a,b\n1,2\n",
        content_type: Some("text/csv"),
        metadata: &[("owner", "data team"), ("rows", "1")],
    };
    world.repository.upload_with("main", &upload).await;
    world.repository.upload("main", "empty", "").await;
    world.repository.upload("main", "z/_SUCCESS", "").await;
    world.repository.commit("main", "fill").await;
}

/// Which ways of moving bytes a block store has.
fn ways(block_store: BlockStoreKind) -> &'static [OutsideCopies] {
    match block_store {
        BlockStoreKind::S3 => &[OutsideCopies::Tried, OutsideCopies::Only, OutsideCopies::Never],
        BlockStoreKind::Local => &[OutsideCopies::Tried, OutsideCopies::Never],
    }
}

/// P1, P4: the bucket is the branch, headers included, whoever moved the bytes; then nothing is to be done.
#[tokio::test]
async fn a_first_export_is_the_branch_whether_the_store_copies_or_bytes_come_through_us() {
    for server in LakeFsServer::start_all().await {
        for way in ways(server.block_store) {
            let mut world = World::new(&server).await;
            world.config.outside_copies = *way;
            fill(&world).await;
            let ran = world.exported().await;
            let name = format!("{}, {way:?}", server.name());
            assert_eq!(ran.report.counts.put + ran.report.counts.copied, 15, "{name}");
            if server.block_store == BlockStoreKind::S3 && *way != OutsideCopies::Never {
                // What is empty needs neither.
                assert!(ran.report.counts.copied >= 13, "{name}: {:?}", ran.report.counts);
                assert_eq!(ran.lakefs.of(LakeFsRequest::GetObject), 0, "{name}");
                assert_eq!(world.sent_bytes(), 0, "{name}");
            } else {
                assert_eq!(ran.report.counts.copied, 0, "{name}");
                assert_eq!(ran.lakefs.of(LakeFsRequest::GetObject), 13, "{name}");
            }
            let head = world.head("data/table.csv").await;
            assert_eq!(head.headers.content_type.as_deref(), Some("text/csv"), "{name}");
            let metadata: Vec<_> = head.headers.metadata.iter().collect();
            let expected =
                [("owner", "data team"), ("rows", "1")].map(|(key, value)| (key.to_owned(), value.to_owned()));
            assert_eq!(metadata, expected.each_ref().map(|(key, value)| (key, value)), "{name}");

            let again = world.export().await;
            assert_eq!(again.report.outcome, Outcome::Unchanged, "{name}");
            assert!(world.wire.len() <= 3, "{name}:\n{}", world.wire.table());
            assert_eq!(again.lakefs.requests(), 1, "{name}: the head alone is asked for");
        }
    }
}

/// Fails unless two lists are equal; `entry_of` gives the entry of an item that has one.
///
/// Where a store that is a folder of the server holds an import, the API puts that folder before its address, and a
/// commit does not: of those the checksum alone is compared, by which such an object is known again, too.
fn assert_alike<T: Clone + PartialEq + Debug>(
    ranges: &[Item<T>],
    pages: &[Item<T>],
    entry_of: impl Fn(T) -> Option<Entry>,
    name: &str,
) {
    assert_eq!(ranges.len(), pages.len(), "{name}");
    for (left, right) in ranges.iter().zip(pages) {
        let (Item::Entry(one), Item::Entry(other)) = (left, right) else {
            panic!("{name}: {left:?} and {right:?}");
        };
        match (entry_of(one.clone()), entry_of(other.clone())) {
            (Some(mut one), Some(mut other)) => {
                if one.path.as_bytes().starts_with(b"imported/") && one.origin.is_none() {
                    (one.content.address, other.content.address) = (None, None);
                }
                assert_eq!(one, other, "{name}");
            }
            (one, other) => assert!(one.is_none() && other.is_none() && left == right, "{name}: {left:?}"),
        }
    }
}

/// Both ways to the entries give the same of every commit, and from each commit to each other.
#[tokio::test]
async fn ranges_and_pages_say_the_same_of_every_commit() {
    for server in LakeFsServer::start_all().await {
        let world = World::new(&server).await;
        let first = world.repository.head("main").await;
        let mut commits = vec![first];
        fill(&world).await;
        commits.push(world.repository.head("main").await);
        world.repository.upload("main", "data/part-03", "other").await;
        world.repository.upload("main", "a/new ž", "new").await;
        world.repository.delete("main", "empty").await;
        commits.push(world.repository.commit("main", "changes").await.id);
        server.put_outside("listed/x", b"imported").await;
        let outside = format!("{}listed/", server.outside());
        commits.push(world.repository.import("main", &outside, "imported/").await.id);
        world.repository.revert("main", &commits[2], 0).await;
        commits.push(world.repository.head("main").await);
        for (number, commit) in commits.iter().enumerate() {
            let ranges = world.tree(ListingChoice::Ranges, commit).await;
            let pages = world.tree(ListingChoice::Pages, commit).await;
            assert_alike(&ranges, &pages, Some, &format!("{}: commit {number}", server.name()));
            for (other_number, other) in commits.iter().enumerate() {
                let ranges = world.changes(ListingChoice::Ranges, commit, other).await;
                let pages = world.changes(ListingChoice::Pages, commit, other).await;
                let entry = |change| match change {
                    Change::Put(entry) => Some(entry),
                    Change::Gone(_) => None,
                };
                let name = format!("{}: {number} to {other_number}", server.name());
                assert_alike(&ranges, &pages, entry, &name);
            }
        }
        assert_eq!(
            world.tree(ListingChoice::Ranges, &commits[3]).await.len(),
            16,
            "{}",
            server.name()
        );
    }
}

/// Continuing by another listing or another way of moving bytes sends nothing again: contents are named alike.
#[tokio::test]
async fn an_export_goes_on_by_other_ways_and_sends_nothing_again() {
    for server in LakeFsServer::start_all().await {
        let mut world = World::new(&server).await;
        fill(&world).await;
        world.listing = ListingChoice::Ranges;
        world.exported().await;
        for (listing, way) in [
            (ListingChoice::Pages, OutsideCopies::Tried),
            (ListingChoice::Ranges, OutsideCopies::Never),
            (ListingChoice::Pages, OutsideCopies::Never),
        ] {
            (world.listing, world.config.outside_copies) = (listing, way);
            for whole in [false, true] {
                // Another commit, so that there is something to compare.
                let path = format!("more/{listing:?}-{way:?}-{whole}");
                world.repository.upload("main", &path, "").await;
                world.repository.commit("main", "more").await;
                // Without it the whole tree is compared with the ledger.
                world.forgets_commits = whole;
                let ran = world.exported().await;
                let writes = world.writes();
                assert_eq!(writes.len(), 1, "{}, {path}: {writes:?}", server.name());
                assert_eq!((writes[0].0, writes[0].1.as_str()), (RequestKind::Put, &*path));
                assert_eq!(ran.report.counts.failed, 0);
            }
        }
    }
}
