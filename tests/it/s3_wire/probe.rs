//! What the probe makes of answers that are neither yes nor no.

use std::collections::BTreeSet;
use std::sync::Mutex;

use lakesync::store::StoreErrorKind;
use lakesync::store::probe::probe;

use super::server::{Answer, Seen, Server};
use super::store;

/// A store that answers a write with `If-Match` as told, and is else as simple as can be.
async fn server_with(if_match: fn() -> Answer) -> Server {
    let written = Mutex::new(BTreeSet::new());
    Server::start(move |_, seen: &Seen| {
        let path = seen.target.split('?').next().unwrap().to_owned();
        match seen.method.as_str() {
            "PUT" if seen.header("if-match").is_some() => if_match(),
            "PUT" if !written.lock().unwrap().insert(path) && seen.header("if-none-match").is_some() => {
                Answer::error(412, "PreconditionFailed")
            }
            "PUT" => Answer::written(),
            "GET" if seen.target.contains("uploads") => Answer::new(200, "", "<ListMultipartUploadsResult/>"),
            "GET" => Answer::new(200, "", "<ListBucketResult/>"),
            _ => Answer::new(204, "", ""),
        }
    })
    .await
}

fn writes_with_if_match(server: &Server) -> usize {
    let seen = server.seen();
    seen.iter()
        .filter(|seen| seen.method == "PUT" && seen.header("if-match").is_some())
        .count()
}

#[tokio::test]
async fn a_500_to_a_guard_is_asked_again_in_a_new_folder_and_then_told() {
    let server = server_with(|| Answer::error(500, "InternalError")).await;
    let error = probe(&store(&server).await, "exp/probe/").await.unwrap_err();
    let text = error.to_string();
    for part in [
        "PutObject s3://bucket/exp/probe/3/k/1: cannot tell whether the store honours If-Match",
        "run again when the store is well",
        "500 InternalError",
        "REQ1",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(writes_with_if_match(&server), 3);
}

#[tokio::test]
async fn a_403_to_a_guard_is_told_at_once_with_the_rights() {
    let server = server_with(|| Answer::error(403, "AccessDenied")).await;
    let error = probe(&store(&server).await, "exp/probe/").await.unwrap_err();
    let answer = Box::new(StoreErrorKind::Denied);
    assert_eq!(
        error.kind,
        StoreErrorKind::Unclear {
            guard: "If-Match",
            answer
        }
    );
    let text = error.to_string();
    assert!(
        text.contains("allow s3:PutObject and s3:GetObject for all below the export path"),
        "{text}"
    );
    assert_eq!(writes_with_if_match(&server), 1);
}
