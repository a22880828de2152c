//! Branches of lakeFS under a server: woken by webhooks, asked once for all exports of a branch.

use std::time::Duration;

use serde_json::json;

use super::Serving;
use super::http::Request;
use crate::git_source::repository::Repository;
use crate::lakefs::server::{BlockStoreKind, LakeFsServer};
use crate::lakefs::standin::Call;
use crate::process::Room;
use crate::servers;

const SECRET: &str = "a-secret-between-two-servers";

/// A server that knows a lakeFS server, and takes webhooks.
async fn serving_lakefs(lakefs: &LakeFsServer) -> Serving {
    let room = Room::new(servers::seaweedfs()).await;
    let lakectl = format!(
        "server:\n  endpoint_url: {}\ncredentials:\n  access_key_id: {}\n  secret_access_key: {}\n",
        lakefs.endpoint, lakefs.access_key_id, lakefs.secret_access_key
    );
    std::fs::write(room.folder().join(".lakectl.yaml"), lakectl).unwrap();
    std::fs::write(room.folder().join("hooks"), SECRET).unwrap();
    std::fs::create_dir_all(room.folder().join("exports")).unwrap();
    Serving::start_in(room, Repository::new(), &["--webhook-secret-file", "hooks"]).await
}

/// The head is not asked for before the webhook comes: the next poll would be in an hour.
#[tokio::test]
async fn a_webhook_of_lakefs_brings_the_commit_out_long_before_the_next_poll() {
    let lakefs = LakeFsServer::start(BlockStoreKind::S3).await;
    let repository = lakefs.new_repository().await;
    repository.upload("main", "a", "1").await;
    let first = repository.commit("main", "first").await;
    let serving = serving_lakefs(&lakefs).await;
    let source = format!("lakefs://{}", repository.name);
    let export_path = serving.export_path("out");
    let start = [
        "repo",
        "export",
        &source,
        "--branch",
        "main",
        "--start",
        "--export-path",
        &export_path,
    ];
    let words = [&start[..], &["--poll-interval", "1h", "--name", "lake"]].concat();
    serving.client_done(&words).await;
    serving.until_out("lake", &first.id).await;
    repository.upload("main", "b", "2").await;
    let second = repository.commit("main", "second").await;
    assert_eq!(
        serving.export("lake").await["head"],
        first.id.as_str(),
        "nobody has told yet"
    );
    let event = json!({
        "event_type": "post-commit",
        "repository_id": repository.name,
        "branch_id": "main",
        // What a webhook says of the commit is not believed.
        "commit_id": "0000000000000000000000000000000000000000000000000000000000000000",
    });
    let hook = Request::new("POST", "/hooks/lakefs")
        .header("X-Lakesync-Secret", SECRET)
        .body(event.to_string());
    let reply = hook.send(&serving.address).await;
    assert_eq!(reply.status, 202, "{}", reply.text());
    serving.until_out("lake", &second.id).await;
    serving.check("out", &[("a", "1"), ("b", "2")]).await;
}

#[tokio::test]
async fn many_exports_of_one_branch_ask_lakefs_as_often_as_one() {
    let lakefs = LakeFsServer::stand_in_with(BlockStoreKind::S3, |_| {}).await;
    let repository = lakefs.new_repository().await;
    repository.upload("main", "a", "1").await;
    let first = repository.commit("main", "first").await;
    let serving = serving_lakefs(&lakefs).await;
    const COUNT: usize = 8;
    for number in 0..COUNT {
        let path = serving.export_path(&format!("out/{number}"));
        let source = format!("lakefs://{}/main", repository.name);
        let text = format!("source = \"{source}\"\npoll-interval = \"100ms\"\nexport-path = \"{path}\"\n");
        serving.define(&format!("e{number}"), &text);
    }
    for number in 0..COUNT {
        serving.until_out(&format!("e{number}"), &first.id).await;
    }
    let stand_in = lakefs.stand_in().unwrap();
    stand_in.forget();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let log = stand_in.log();
    assert!(log.iter().all(|seen| seen.call == Call::GetCommit), "{log:#?}");
    assert!((10..=24).contains(&log.len()), "{}", log.len());
    let second = {
        repository.upload("main", "a", "2").await;
        repository.commit("main", "second").await
    };
    for number in 0..COUNT {
        serving.until_out(&format!("e{number}"), &second.id).await;
    }
}
