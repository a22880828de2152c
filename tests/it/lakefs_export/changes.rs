//! How branches move on, aside and back, and what else names a commit.

use lakesync::export::Outcome;
use lakesync::source::lakefs::LakeFsRequest;
use lakesync::store::RequestKind;

use super::world::World;
use crate::lakefs::server::{BlockStoreKind, LakeFsServer};
use crate::lakefs::standin::Call;

/// Commits `files` small files in folders of ten.
async fn commit_files(world: &World<'_>, files: usize) {
    for number in 0..files {
        let path = format!("d{:02}/file-{number:03}", number / 10);
        world
            .repository
            .upload("main", &path, format!("content {number}"))
            .await;
    }
    world.repository.commit("main", "files").await;
}

/// P4, P8: three changes cost three writes and a few requests more; the rest is kept.
#[tokio::test]
async fn a_commit_of_three_changes_costs_what_changed() {
    for server in LakeFsServer::start_all().await {
        let world = World::new(&server).await;
        commit_files(&world, 40).await;
        world.exported().await;
        world.repository.upload("main", "d01/file-013", "changed").await;
        world.repository.upload("main", "new/file", "new").await;
        world.repository.delete("main", "d03/file-033").await;
        world.repository.commit("main", "three changes").await;
        let ran = world.exported().await;
        let counts = &ran.report.counts;
        assert_eq!(
            (counts.put + counts.copied, counts.deleted, counts.kept),
            (2, 1, 38),
            "{}",
            server.name()
        );
        let writes = world.writes();
        assert_eq!(writes.len(), 3, "{}: {writes:?}", server.name());
        assert!(
            world.wire.len() <= 24,
            "{}: {}\n{}",
            server.name(),
            world.wire.len(),
            world.wire.table()
        );
        // Two commits, the repository and a metarange and a range of the new one; of each table two, where it is
        // pre-signed first; and two objects, where they are not copied, twice each.
        assert!(ran.lakefs.requests() <= 16, "{}: {:?}", server.name(), ran.lakefs);
        assert_eq!(ran.lakefs.of(LakeFsRequest::ListObjects), 0, "{}", server.name());
        assert_eq!(ran.lakefs.of(LakeFsRequest::Diff), 0, "{}", server.name());
    }
}

/// P8: of two commits only the ranges are read that they do not share, and of those none that was read before.
#[tokio::test]
async fn only_ranges_that_the_commits_do_not_share_are_fetched() {
    for block_store in [BlockStoreKind::Local, BlockStoreKind::S3] {
        let server = LakeFsServer::stand_in_with(block_store, |settings| settings.raggedness = 10).await;
        let stand_in = server.stand_in().unwrap();
        let world = World::new(&server).await;
        commit_files(&world, 200).await;
        let first = world.exported().await.report.commit;
        let before = stand_in.range_ids(&world.repository.name, first.as_str());
        assert!(before.len() >= 8, "{} ranges", before.len());
        for path in ["d01/file-013", "d10/file-101", "d19/file-199"] {
            world.repository.upload("main", path, "changed").await;
        }
        let second = world.repository.commit("main", "three changes").await;
        let after = stand_in.range_ids(&world.repository.name, &second.id);
        let new = after.iter().filter(|id| !before.contains(id)).count();
        assert!((1..=3).contains(&new), "{new} of {}", after.len());
        let old = before.iter().filter(|id| !after.contains(id)).count();
        for (cached, ranges) in [(true, new), (false, new + old)] {
            if !cached {
                world.lose_cache();
            }
            stand_in.forget();
            let changes = world.changes(world.listing, first.as_str(), &second.id).await;
            assert_eq!(changes.len(), 3);
            // A table that lies on S3 is asked for once, and read there.
            let asks = match block_store {
                BlockStoreKind::Local => 1,
                BlockStoreKind::S3 => 0,
            };
            let (read, metaranges) = (stand_in.count(Call::Range), stand_in.count(Call::MetaRange));
            let tables = ranges + if cached { 1 } else { 2 };
            assert_eq!(read + metaranges, tables + asks, "{}, cached {cached}", server.name());
        }
        let ran = world.exported().await;
        assert_eq!((ran.report.counts.kept, world.writes().len()), (197, 3));
    }
}

/// P1: what a merge brings arrives, what it takes goes.
#[tokio::test]
async fn a_merge_arrives_with_both_of_its_sides() {
    for server in LakeFsServer::start_all().await {
        let world = World::new(&server).await;
        commit_files(&world, 12).await;
        world.exported().await;
        world.repository.branch("dev", "main").await;
        world.repository.upload("dev", "theirs", "dev").await;
        world.repository.delete("dev", "d00/file-001").await;
        world.repository.commit("dev", "on dev").await;
        world.repository.upload("main", "ours", "main").await;
        world.repository.commit("main", "on main").await;
        let merged = world.repository.merge("dev", "main").await;
        let ran = world.exported().await;
        assert_eq!(ran.report.commit.as_str(), merged);
        assert_eq!(
            (world.writes().len(), ran.report.counts.deleted),
            (3, 1),
            "{}",
            server.name()
        );
    }
}

/// P1: what a reverted commit brought goes again.
#[tokio::test]
async fn a_revert_takes_back_what_its_commit_brought() {
    for server in LakeFsServer::start_all().await {
        let world = World::new(&server).await;
        commit_files(&world, 12).await;
        world.exported().await;
        world.repository.upload("main", "d00/file-001", "changed").await;
        world.repository.upload("main", "new", "new").await;
        world.repository.delete("main", "d01/file-011").await;
        let commit = world.repository.commit("main", "to be reverted").await;
        world.exported().await;
        world.repository.revert("main", &commit.id, 0).await;
        let ran = world.exported().await;
        let paths = world.paths().await;
        assert!(
            !paths.contains(&"new".to_owned()) && paths.len() == 12,
            "{}: {paths:?}",
            server.name()
        );
        assert_eq!(
            (world.writes().len(), ran.report.counts.deleted),
            (3, 1),
            "{}",
            server.name()
        );
    }
}

/// P1: no object of a commit that was abandoned stays.
#[tokio::test]
async fn a_hard_reset_backwards_leaves_no_object_of_the_abandoned_commits() {
    for server in LakeFsServer::start_all().await {
        let world = World::new(&server).await;
        commit_files(&world, 12).await;
        let kept = world.exported().await.report.commit;
        for number in 0..3 {
            world
                .repository
                .upload("main", &format!("abandoned/{number}"), "x")
                .await;
            world
                .repository
                .upload("main", "d00/file-001", format!("{number}"))
                .await;
            world.repository.commit("main", "to be abandoned").await;
            world.exported().await;
        }
        world.repository.hard_reset("main", kept.as_str()).await;
        let ran = world.exported().await;
        assert_eq!(ran.report.commit, kept);
        assert_eq!(ran.report.counts.deleted, 3, "{}", server.name());
        let paths = world.paths().await;
        assert!(paths.iter().all(|path| !path.starts_with("abandoned/")), "{paths:?}");
        // A branch that was deleted and made anew elsewhere.
        world.repository.branch("other", kept.as_str()).await;
        world.repository.upload("other", "elsewhere", "x").await;
        let elsewhere = world.repository.commit("other", "elsewhere").await;
        world.repository.hard_reset("main", &elsewhere.id).await;
        assert_eq!(world.exported().await.report.commit.as_str(), elsewhere.id);
    }
}

/// Whatever names a commit is pinned to its id, and what is staged never goes out.
#[tokio::test]
async fn a_tag_an_id_its_beginning_and_steps_back_name_what_they_name() {
    for server in LakeFsServer::start_all().await {
        let mut world = World::new(&server).await;
        commit_files(&world, 5).await;
        let first = world.repository.head("main").await;
        world.repository.tag("v1.0", &first).await;
        world.repository.upload("main", "second", "2").await;
        let second = world.repository.commit("main", "second").await.id;
        world.repository.upload("main", "staged", "never committed").await;
        world.repository.delete("main", "second").await;
        for (name, commit) in [
            ("v1.0", &first),
            ("main", &second),
            ("main@", &second),
            ("main~1", &first),
            ("main^1", &first),
            (&first.clone(), &first),
            (&second[..12], &second),
        ] {
            name.clone_into(&mut world.reference);
            world.config.export_path = format!("s3://{}/{}/", world.bucket.bucket, name.len()).parse().unwrap();
            world.config.status_path = world.config.export_path.clone();
            world.bucket = world.bucket.server.new_bucket().await;
            world.config.export_path.bucket = world.bucket.bucket.clone();
            world.config.status_path.bucket = world.bucket.bucket.clone();
            let ran = world.exported().await;
            assert_eq!(ran.report.commit.as_str(), commit, "{}: {name}", server.name());
            assert!(
                !world.paths().await.contains(&"staged".to_owned()),
                "{}: {name}",
                server.name()
            );
        }
    }
}

/// A part of the tree is a tree of its own.
#[tokio::test]
async fn a_prefix_is_exported_without_itself_and_changes_elsewhere_are_nothing() {
    for server in LakeFsServer::start_all().await {
        let mut world = World::new(&server).await;
        commit_files(&world, 30).await;
        for path in ["d0", "d01", "d010", "d01/"] {
            world.repository.upload("main", path, path).await;
        }
        world.repository.commit("main", "neighbours").await;
        "d01/".clone_into(&mut world.prefix);
        let ran = world.exported().await;
        assert_eq!(
            world.paths().await.len(),
            10,
            "{}: {:?}",
            server.name(),
            ran.report.counts
        );
        world.repository.upload("main", "d02/file-021", "changed").await;
        world.repository.upload("main", "d010", "changed").await;
        let elsewhere = world.repository.commit("main", "elsewhere").await;
        let ran = world.exported().await;
        assert_eq!(ran.report.commit.as_str(), elsewhere.id);
        assert_eq!(world.writes(), [], "{}", server.name());
        world.repository.upload("main", "d01/file-011", "changed").await;
        world.repository.commit("main", "inside").await;
        world.exported().await;
        let writes: Vec<_> = world.writes().into_iter().map(|(_, path)| path).collect();
        assert_eq!(writes, ["file-011"], "{}", server.name());
    }
}

/// P4: another commit with the same tree moves root and status alone.
#[tokio::test]
async fn a_commit_with_the_same_tree_moves_root_and_status_alone() {
    for server in LakeFsServer::start_all().await {
        let world = World::new(&server).await;
        commit_files(&world, 12).await;
        let first = world.exported().await.report.commit;
        world.repository.upload("main", "new", "new").await;
        let new = world.repository.commit("main", "new").await;
        world.repository.revert("main", &new.id, 0).await;
        let head = world.repository.get_commit("main").await;
        assert_eq!(
            head.meta_range_id,
            world.repository.get_commit(first.as_str()).await.meta_range_id
        );
        assert_ne!(head.id, first.as_str());
        let ran = world.exported().await;
        assert_eq!(
            (ran.report.outcome, ran.report.commit.as_str()),
            (Outcome::Exported, &*head.id)
        );
        assert_eq!(
            (world.writes(), ran.report.counts.kept),
            (vec![], 12),
            "{}",
            server.name()
        );
        assert_eq!(
            ran.lakefs.of(LakeFsRequest::GetTable),
            0,
            "{}: {:?}",
            server.name(),
            ran.lakefs
        );
        let status = world.newest_status().await;
        assert_eq!(
            (status.status.to_string().as_str(), &*status.commit),
            ("success", &*head.id)
        );
        assert_eq!(world.export().await.report.outcome, Outcome::Unchanged);
        assert!(world.wire.len() <= 3);
        assert_eq!(world.wire.count(RequestKind::Put), 0);
    }
}
