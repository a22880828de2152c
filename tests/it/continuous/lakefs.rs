//! Branches of lakeFS: nothing tells of a commit there, so that the server is asked.

use rustix::process::Signal;

use super::*;
use crate::lakefs::repository::Repository as LakeFs;
use crate::lakefs::server::{BlockStoreKind, LakeFsServer};
use crate::lakefs::standin::{Call, Fault, When};
use crate::process::said;

impl Room {
    /// The program with some words, which knows the server.
    fn at_lakefs(&self, server: &LakeFsServer, words: &[&str]) -> Command {
        let mut command = self.program(&self.bucket.server.endpoint, words);
        command
            .env("LAKECTL_SERVER_ENDPOINT_URL", &server.endpoint)
            .env("LAKECTL_CREDENTIALS_ACCESS_KEY_ID", &server.access_key_id)
            .env("LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY", &server.secret_access_key);
        command
    }

    /// Exports a branch of lakeFS continuously.
    fn follow_lakefs(&self, repository: &LakeFs<'_>, reference: &str, words: &[&str]) -> Follower {
        let (source, export_path) = (
            format!("lakefs://{}/{reference}", repository.name),
            self.export_path.to_string(),
        );
        let first = ["export", &source, "--export-path", &export_path, "--continuous"];
        let words = [&first[..], &["--poll-interval", "100ms"], words].concat();
        Follower::start(self.at_lakefs(repository.server, &words))
    }
}

/// P4, P6: commits and merges arrive, and while there are none the server gets one small request for each interval.
#[tokio::test]
async fn commits_and_merges_of_a_lakefs_branch_arrive() {
    let (room, server) = (room().await, LakeFsServer::start(BlockStoreKind::S3).await);
    let repository = server.new_repository().await;
    repository.upload("main", "a", "1").await;
    let first = repository.commit("main", "first").await;
    let follower = room.follow_lakefs(&repository, "main", &[]);
    room.until_out(&follower, |head| head.commit == first.id).await;
    if let Some(stand_in) = server.stand_in() {
        stand_in.forget();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let log = stand_in.log();
        assert!(log.iter().all(|seen| seen.call == Call::GetCommit), "{log:#?}");
        assert!((10..=24).contains(&log.len()), "{}", log.len());
    }
    repository.branch("dev", "main").await;
    repository.upload("dev", "b/c", "2").await;
    repository.delete("dev", "a").await;
    repository.commit("dev", "on dev").await;
    let merged = repository.merge("dev", "main").await;
    let head = room.until_out(&follower, |head| head.commit == merged).await;
    assert_eq!(head.deleted, 1);
    // What is not committed is nothing to export.
    repository.upload("main", "staged", "3").await;
    let export_path = room.export_path.to_string();
    let mut waiting = room.at_lakefs(&server, &["wait", &export_path]);
    let waited = ended(waiting.spawn().unwrap()).await;
    assert_eq!((waited.status.code(), said(&waited).trim()), (Some(0), merged.as_str()));
    let skipped = repository.commit("main", "skipped").await;
    repository.upload("main", "staged", "4").await;
    let last = repository.commit("main", "last").await;
    room.until_out(&follower, |head| head.commit == last.id).await;
    let mut waiting = room.at_lakefs(&server, &["wait", &export_path, "--commit", &skipped.id]);
    let waited = ended(waiting.spawn().unwrap()).await;
    assert_eq!(
        (waited.status.code(), said(&waited).trim()),
        (Some(0), last.id.as_str())
    );
    follower.ends(Signal::TERM, 143).await;
}

#[tokio::test]
async fn a_lakefs_branch_that_is_deleted_is_held_and_goes_on_when_it_is_back() {
    let (room, server) = (room().await, LakeFsServer::start(BlockStoreKind::S3).await);
    let repository = server.new_repository().await;
    repository.upload("main", "a", "1").await;
    repository.commit("main", "first").await;
    repository.branch("dev", "main").await;
    repository.upload("dev", "b", "2").await;
    let first = repository.commit("dev", "on dev").await;
    let mut follower = room.follow_lakefs(&repository, "dev", &[]);
    room.until_out(&follower, |head| head.commit == first.id).await;
    repository.delete_branch("dev").await;
    follower.until_said("nothing is exported until").await;
    assert_eq!(room.status_now().await.unwrap().commit, first.id);
    repository.branch("dev", "main").await;
    repository.upload("dev", "c", "3").await;
    let second = repository.commit("dev", "again").await;
    room.until_out(&follower, |head| head.commit == second.id).await;
    follower.ends(Signal::TERM, 143).await;
}

#[tokio::test]
async fn a_lakefs_server_that_fails_for_a_while_loses_nothing() {
    let room = room().await;
    let server = LakeFsServer::stand_in_with(BlockStoreKind::S3, |_| ()).await;
    let repository = server.new_repository().await;
    repository.upload("main", "a", "1").await;
    let first = repository.commit("main", "first").await;
    let mut follower = room.follow_lakefs(&repository, "main", &[]);
    room.until_out(&follower, |head| head.commit == first.id).await;
    repository.upload("main", "a", "2").await;
    let stand_in = server.stand_in().unwrap();
    let second = repository.commit("main", "second").await;
    stand_in.fail(None, When::Always, Fault::Status(503));
    follower.until_said("next try in").await;
    stand_in.heal();
    room.until_out(&follower, |head| head.commit == second.id).await;
    follower.ends(Signal::TERM, 143).await;
}

#[tokio::test]
async fn a_lakefs_tag_or_commit_cannot_be_followed() {
    let (room, server) = (room().await, LakeFsServer::start(BlockStoreKind::S3).await);
    let repository = server.new_repository().await;
    repository.upload("main", "a", "1").await;
    let commit = repository.commit("main", "first").await;
    repository.tag("v1.0", "main").await;
    for reference in ["v1.0", &commit.id, "main~1"] {
        let follower = room.follow_lakefs(&repository, reference, &[]);
        let Follower { child, said, .. } = follower;
        let output = ended(child).await;
        let said = said.lock().unwrap().clone();
        assert_eq!(output.status.code(), Some(2), "{reference}: {said}");
        assert!(said.contains("no branch"), "{reference}: {said}");
    }
}
