//! Servers in trouble: whatever happens, the bucket is the commit that was exported before, or the new one.

use std::collections::BTreeMap;
use std::time::Duration;

use lakesync::causes::with_causes;
use lakesync::export::ExportError;
use lakesync::source::SourceError;
use lakesync::source::lakefs::{LakeFsErrorKind, LakeFsRequest, ListingChoice};

use super::world::World;
use crate::lakefs::server::{BlockStoreKind, LakeFsServer};
use crate::lakefs::standin::{Call, Damage, Fault, When};

/// So many files are more than a page, and than a batch of entries.
const FILES: usize = 2_300;

pub(super) async fn stand_in(block_store: BlockStoreKind) -> LakeFsServer {
    LakeFsServer::stand_in_with(block_store, |settings| settings.raggedness = 10).await
}

/// A small tree that was exported, and a commit more with a change of each kind.
pub(super) async fn exported_and_more(world: &World<'_>) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for number in 0..60 {
        let (path, text) = (format!("file-{number:02}"), format!("content {number}"));
        world.repository.upload("main", &path, &text).await;
        files.insert(path, text.into_bytes());
    }
    world.repository.commit("main", "before").await;
    world.exported().await;
    world.repository.upload("main", "file-07", "changed").await;
    world.repository.upload("main", "new", "new").await;
    world.repository.delete("main", "file-33").await;
    world.repository.commit("main", "more").await;
    files
}

/// An export that must end in an error before its first write; what was there is as it was.
async fn refused(world: &World<'_>, files: &BTreeMap<String, Vec<u8>>) -> (SourceError, String) {
    let (result, _) = world.tried().await;
    let error = match result {
        Ok(report) => panic!("{:?} {:?}", report.outcome, report.counts),
        Err(error) => error,
    };
    let text = with_causes(&error);
    assert!(!text.contains('\n'), "{text}");
    assert_eq!(world.writes(), [], "{text}");
    world.check_files(files.clone()).await;
    match error {
        ExportError::Source(error) => (error, text),
        error => panic!("{error:?}"),
    }
}

fn kind(error: &SourceError) -> LakeFsErrorKind {
    match error {
        SourceError::LakeFs(error) => error.kind.clone(),
        error => panic!("{error:?}"),
    }
}

/// Where ranges cannot be had the pages are read, for whole trees and for changes.
#[tokio::test]
async fn where_ranges_are_refused_pages_give_the_same_result() {
    for (block_store, statuses) in [
        (BlockStoreKind::Local, &[400, 401, 403, 404, 405, 410, 501][..]),
        (BlockStoreKind::S3, &[400, 403, 410]),
    ] {
        for (number, status) in statuses.iter().enumerate() {
            for call in [Call::MetaRange, Call::Range] {
                let whole = (number % 2 == 0) == (call == Call::Range);
                let server = stand_in(block_store).await;
                let stand_in = server.stand_in().unwrap();
                let mut world = World::new(&server).await;
                exported_and_more(&world).await;
                world.forgets_commits = whole;
                world.lose_cache();
                stand_in.fail(call, When::Always, Fault::Status(*status));
                let ran = world.export().await;
                let name = format!("{block_store:?}, {call:?} {status}, whole {whole}");
                assert_eq!(ran.report.counts.failed, 0, "{name}");
                assert_eq!(world.writes().len(), 3, "{name}");
                let asked = if whole {
                    LakeFsRequest::ListObjects
                } else {
                    LakeFsRequest::Diff
                };
                assert!(ran.lakefs.of(asked) > 0, "{name}: {:?}", ran.lakefs);
                // A refusal is for all: no more ranges are asked for than are read ahead, twice each at most.
                assert!(ran.lakefs.of(LakeFsRequest::GetTable) <= 20, "{name}: {:?}", ran.lakefs);
                stand_in.heal();
                world.check(ran.report.commit.as_str()).await;
                // Whoever wants ranges alone is told instead.
                world.repository.upload("main", "more", "more").await;
                world.repository.commit("main", "more").await;
                world.listing = ListingChoice::Ranges;
                world.lose_cache();
                stand_in.fail(call, When::Always, Fault::Status(*status));
                assert!(world.tried().await.0.is_err(), "{name}");
                assert_eq!(world.writes(), [], "{name}");
            }
        }
    }
}

/// Where the ranges are gone in the middle of a tree, pages go on from there.
#[tokio::test]
async fn where_one_range_is_gone_pages_go_on_behind_the_last_key() {
    for block_store in [BlockStoreKind::Local, BlockStoreKind::S3] {
        for place in [0, 2, usize::MAX] {
            for whole in [false, true] {
                let server = stand_in(block_store).await;
                let stand_in = server.stand_in().unwrap();
                let mut world = World::new(&server).await;
                exported_and_more(&world).await;
                world.forgets_commits = whole;
                world.lose_cache();
                let ids = stand_in.range_ids(&world.repository.name, "main");
                assert!(ids.len() > 3, "{}", ids.len());
                let id = &ids[place.min(ids.len() - 1)];
                stand_in.damage(&world.repository.name, id, Damage::Gone).await;
                world.exported().await;
                assert_eq!(world.writes().len(), 3, "{block_store:?}, {place}, whole {whole}");
            }
        }
    }
}

/// P1: a commit that was exported and cannot be read any more does not keep later ones back.
#[tokio::test]
async fn where_the_older_commit_is_gone_in_part_the_whole_tree_of_the_head_is_read() {
    for listing in [ListingChoice::Auto, ListingChoice::Ranges] {
        let server = stand_in(BlockStoreKind::Local).await;
        let stand_in = server.stand_in().unwrap();
        let mut world = World::new(&server).await;
        let before = exported_and_more(&world).await;
        drop(before);
        world.listing = listing;
        world.lose_cache();
        let of_head = stand_in.range_ids(&world.repository.name, "main");
        for id in stand_in.range_ids(&world.repository.name, "main~1") {
            if !of_head.contains(&id) {
                stand_in.damage(&world.repository.name, &id, Damage::Gone).await;
            }
        }
        stand_in.fail(Call::Diff, When::Always, Fault::Status(410));
        world.exported().await;
        assert_eq!(world.writes().len(), 3, "{listing:?}");
    }
}

/// A range that is not what its id says is an error, never a shorter tree.
#[tokio::test]
async fn a_damaged_range_ends_the_run_before_its_first_write() {
    for block_store in [BlockStoreKind::Local, BlockStoreKind::S3] {
        for damage in [
            Damage::Truncated(0),
            Damage::Truncated(40),
            Damage::Flipped(3),
            Damage::Flipped(60),
        ] {
            for whole in [false, true] {
                let server = stand_in(block_store).await;
                let stand_in = server.stand_in().unwrap();
                let mut world = World::new(&server).await;
                let files = exported_and_more(&world).await;
                world.forgets_commits = whole;
                world.lose_cache();
                let ids = stand_in.range_ids(&world.repository.name, "main");
                // All of them, since which of them are read depends on what changed.
                for id in &ids {
                    stand_in.damage(&world.repository.name, id, damage).await;
                }
                let (error, text) = refused(&world, &files).await;
                assert!(matches!(error, SourceError::Table(_)), "{damage:?}: {error:?}");
                assert!(ids.iter().any(|id| text.contains(&**id)), "{damage:?}: {text}");
            }
        }
    }
}

/// P7, P9: whichever request it is that a server no longer answers, the run ends with one clear error.
#[tokio::test]
async fn a_server_that_dies_in_the_middle_ends_the_run_before_its_first_write() {
    for (listing, call) in [
        (ListingChoice::Ranges, Call::Range),
        (ListingChoice::Pages, Call::List),
        (ListingChoice::Auto, Call::Range),
        (ListingChoice::Auto, Call::GetRepository),
        (ListingChoice::Auto, Call::GetCommit),
    ] {
        for fault in [Fault::Status(500), Fault::Status(503), Fault::Cut(100), Fault::Hang] {
            let server = stand_in(BlockStoreKind::Local).await;
            let stand_in = server.stand_in().unwrap();
            let mut world = World::new(&server).await;
            world.lakefs.request_timeout = Duration::from_millis(100);
            world.lakefs.idle_timeout = Duration::from_millis(100);
            world.lakefs.deadline = Duration::from_millis(400);
            let files = exported_and_more(&world).await;
            stand_in
                .commit_generated(&world.repository.name, "main", FILES as u64)
                .await;
            world.forgets_commits = true;
            world.listing = listing;
            world.lose_cache();
            stand_in.forget();
            let after = match call {
                Call::Range | Call::List => 1,
                _ => 0,
            };
            stand_in.fail(call, When::After(after), fault);
            let (error, text) = refused(&world, &files).await;
            let found = kind(&error);
            let name = format!("{listing:?}, {call:?}, {fault:?}: {text}");
            assert!(stand_in.count(call) > after, "{name}");
            match fault {
                Fault::Status(status) => assert_eq!(found, LakeFsErrorKind::Unavailable { status }, "{name}"),
                Fault::Cut(_) => assert_eq!(found, LakeFsErrorKind::CutOff, "{name}"),
                _ => assert_eq!(found, LakeFsErrorKind::TimedOut, "{name}"),
            }
            assert!(text.contains(&server.endpoint) || text.contains("cut off"), "{name}");
        }
    }
}

/// A failure that passes is asked again, and nobody notices.
#[tokio::test]
async fn failures_that_pass_are_asked_again() {
    for listing in [ListingChoice::Ranges, ListingChoice::Pages] {
        let server = stand_in(BlockStoreKind::Local).await;
        let stand_in = server.stand_in().unwrap();
        let mut world = World::new(&server).await;
        exported_and_more(&world).await;
        world.listing = listing;
        world.lose_cache();
        stand_in.forget();
        let calls = [
            Call::GetCommit,
            Call::GetRepository,
            Call::MetaRange,
            Call::Range,
            Call::Diff,
            Call::Stat,
            Call::Read,
        ];
        for (number, call) in calls.into_iter().enumerate() {
            let faults = [
                Fault::Status(503),
                Fault::Status(429),
                Fault::Cut(1),
                Fault::Status(500),
            ];
            stand_in.fail(call, When::Nth(1), faults[number % 4]);
        }
        let ran = world.export().await;
        assert_eq!(
            (ran.report.counts.put, ran.report.counts.deleted),
            (2, 1),
            "{:?}",
            ran.report.failures
        );
        assert!(ran.lakefs.retries >= 3, "{:?}", ran.lakefs);
        stand_in.heal();
        world.check(ran.report.commit.as_str()).await;
    }
}

/// P9: pages that are gone, too, are a clear error; so is a repository that is being deleted.
#[tokio::test]
async fn a_tree_that_is_gone_altogether_is_a_clear_error() {
    for whole in [false, true] {
        let server = stand_in(BlockStoreKind::Local).await;
        let stand_in = server.stand_in().unwrap();
        let mut world = World::new(&server).await;
        let files = exported_and_more(&world).await;
        world.forgets_commits = whole;
        world.lose_cache();
        for call in [Call::MetaRange, Call::Range, Call::List, Call::Diff] {
            stand_in.fail(call, When::Always, Fault::Status(410));
        }
        let (error, text) = refused(&world, &files).await;
        assert_eq!(kind(&error), LakeFsErrorKind::DataGone, "{text}");
        assert!(
            text.contains("data is gone") && text.contains(&world.repository.name),
            "{text}"
        );
        stand_in.heal();
        stand_in.set_in_deletion(&world.repository.name, true);
        let (error, text) = refused(&world, &files).await;
        assert!(text.contains(&world.repository.name), "{text}");
        // The real server's answer to the question for a commit is a 500 then.
        assert!(
            matches!(
                kind(&error),
                LakeFsErrorKind::RepositoryDeleting | LakeFsErrorKind::Unavailable { status: 500 }
            ),
            "{text}"
        );
        stand_in.set_in_deletion(&world.repository.name, false);
        world.exported().await;
    }
}

/// P9: a page for people is no answer, wherever it comes.
#[tokio::test]
async fn a_proxy_that_answers_with_a_page_is_named() {
    for call in [None, Some(Call::GetCommit), Some(Call::GetRepository), Some(Call::List)] {
        let server = stand_in(BlockStoreKind::Local).await;
        let stand_in = server.stand_in().unwrap();
        let mut world = World::new(&server).await;
        let files = exported_and_more(&world).await;
        world.forgets_commits = true;
        world.listing = ListingChoice::Pages;
        stand_in.fail(call, When::Always, Fault::WebPage);
        let (error, text) = refused(&world, &files).await;
        assert_eq!(kind(&error), LakeFsErrorKind::WebPage, "{call:?}: {text}");
        assert!(
            text.contains("web page") && text.contains(&server.endpoint),
            "{call:?}: {text}"
        );
    }
}

/// A proxy that lets the API through, and answers for ranges with a page, is one without ranges.
#[tokio::test]
async fn a_page_in_the_place_of_ranges_leads_to_pages() {
    for block_store in [BlockStoreKind::Local, BlockStoreKind::S3] {
        let server = stand_in(block_store).await;
        let stand_in = server.stand_in().unwrap();
        let world = World::new(&server).await;
        exported_and_more(&world).await;
        world.lose_cache();
        for call in [Call::MetaRange, Call::Range] {
            stand_in.fail(call, When::Always, Fault::WebPage);
        }
        let ran = world.export().await;
        assert_eq!(ran.report.counts.failed, 0, "{block_store:?}");
        assert!(
            ran.lakefs.of(LakeFsRequest::Diff) > 0,
            "{block_store:?}: {:?}",
            ran.lakefs
        );
        stand_in.heal();
        world.check(ran.report.commit.as_str()).await;
    }
}
