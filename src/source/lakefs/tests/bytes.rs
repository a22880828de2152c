//! The bytes of objects.

use axum::response::Response;

use super::super::fake::{Seen, cut, error, json, redirect, typed};
use super::*;
use crate::model::ContentIds;

const CONTENT: &[u8] = b"content of a";

fn entry(size: usize) -> Entry {
    Entry {
        path: RelPath::new("a").unwrap(),
        size: size as u64,
        content: ContentIds {
            address: Some([7; 32]),
            ..ContentIds::default()
        },
        origin: None,
        attributes: crate::model::Attributes::default(),
    }
}

async fn read(source: &LakeFsSource, entry: &Entry) -> Result<Vec<u8>, SourceError> {
    let mut body = source.open(&id("c1"), entry).await?;
    let mut all = Vec::new();
    while let Some(chunk) = body.next_chunk().await? {
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

/// Gives the bytes from where they are asked for.
fn part(seen: &Seen, content: &[u8]) -> Response {
    let Some(range) = seen.header("range") else {
        return typed(200, "text/plain", content.to_vec());
    };
    let from: usize = range
        .strip_prefix("bytes=")
        .unwrap()
        .strip_suffix('-')
        .unwrap()
        .parse()
        .unwrap();
    let mut response = typed(206, "text/plain", content[from..].to_vec());
    let range = format!("bytes {from}-{}/{}", content.len() - 1, content.len());
    response.headers_mut().insert("content-range", range.parse().unwrap());
    response
}

/// A server that gives URLs of a store.
async fn server_before(store: &Fake) -> Fake {
    let url = store.url();
    Fake::serve(move |seen| match seen.query("presign") {
        Some(_) => redirect(&format!("{url}/k?sig={}", seen.before)),
        None => typed(200, "text/plain", "through lakeFS"),
    })
    .await
}

#[tokio::test]
async fn bytes_come_from_the_store_with_a_url_asked_for_just_before() {
    let store = Fake::serve(|seen| part(seen, CONTENT)).await;
    let server = server_before(&store).await;
    let source = source_of(&server, "lakefs://repo/main/p").await.unwrap();
    for _ in 0..2 {
        assert_eq!(read(&source, &entry(CONTENT.len())).await.unwrap(), CONTENT);
    }
    assert_eq!((server.count("path=p%2Fa&presign=true"), store.seen().len()), (2, 2));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_refused_url_is_renewed_once_and_then_lakefs_is_read() {
    let store = Fake::serve(|seen| match seen.target.ends_with("sig=1") {
        true => part(seen, CONTENT),
        false => error(403, "expired"),
    })
    .await;
    let server = server_before(&store).await;
    let source = source_of(&server, "lakefs://repo/main").await.unwrap();
    assert_eq!(read(&source, &entry(CONTENT.len())).await.unwrap(), CONTENT);
    assert_eq!(server.count("presign=true"), 2);
    assert_eq!(read(&source, &entry(14)).await.unwrap(), b"through lakeFS");
    assert_eq!((server.count("presign=true"), server.seen().len()), (4, 5));
}

#[tokio::test]
async fn a_store_that_cannot_be_reached_is_not_tried_again() {
    let store = Fake::serve(|_| error(500, "never asked")).await;
    let server = server_before(&store).await;
    drop(store);
    let source = source_of(&server, "lakefs://repo/main").await.unwrap();
    for _ in 0..3 {
        assert_eq!(read(&source, &entry(14)).await.unwrap(), b"through lakeFS");
    }
    assert_eq!((server.count("presign=true"), server.seen().len()), (1, 4));
}

const BIG: usize = 3_000_000;

fn big() -> Vec<u8> {
    (0..BIG).map(|at| (at % 251) as u8).collect()
}

/// The first bytes of the big object, and then nothing.
fn begun() -> Response {
    cut(200, "text/plain", &big()[..1_000_000], BIG)
}

fn with_etag(mut response: Response) -> Response {
    response.headers_mut().insert("etag", "\"one\"".parse().unwrap());
    response
}

/// What a server that gives no URLs answers about an object that lies at an address.
fn about(seen: &Seen, address: &str) -> Option<Response> {
    if seen.path.ends_with("/repositories/repo") {
        let repository = serde_json::json!({
            "id": "repo", "default_branch": "main", "storage_namespace": "local://ns",
        });
        return Some(json(200, repository));
    }
    if seen.path.ends_with("/objects/stat") {
        let stats = serde_json::json!({ "path": "a", "path_type": "object", "physical_address": address });
        return Some(json(200, stats));
    }
    seen.query("presign").map(|_| error(400, "operation not supported"))
}

#[tokio::test]
async fn bytes_that_break_off_are_gone_on_with() {
    let store = Fake::serve(|seen| match seen.before {
        0 => with_etag(begun()),
        _ => with_etag(part(seen, &big())),
    })
    .await;
    let server = server_before(&store).await;
    let source = source_of(&server, "lakefs://repo/main").await.unwrap();
    assert!(read(&source, &entry(BIG)).await.unwrap() == big());
    let seen = store.seen();
    assert_eq!(seen.len(), 2);
    assert_ne!(seen[1].header("range").unwrap(), "bytes=0-");
    assert_eq!(seen[1].header("if-match"), Some("\"one\""));
}

#[tokio::test]
async fn bytes_are_gone_on_with_under_a_new_url_whatever_the_store_calls_the_old_one() {
    for (status, word) in [(403, "AccessDenied"), (400, "ExpiredToken")] {
        let store = Fake::serve(move |seen| match seen.target.ends_with("sig=0") {
            true if seen.header("range").is_some() => error(status, word),
            true => with_etag(begun()),
            false => with_etag(part(seen, &big())),
        })
        .await;
        let server = server_before(&store).await;
        let source = source_of(&server, "lakefs://repo/main").await.unwrap();
        assert!(read(&source, &entry(BIG)).await.unwrap() == big());
        assert_eq!((server.count("presign=true"), server.seen().len()), (2, 2), "{word}");
    }
}

#[tokio::test]
async fn bytes_that_lakefs_wrote_are_gone_on_with_without_an_etag() {
    let server = Fake::serve(|seen| match about(seen, "local:///srv/ns/data/x") {
        Some(answer) => answer,
        None if seen.header("range").is_none() => begun(),
        None => part(seen, &big()),
    })
    .await;
    let source = source_of(&server, "lakefs://repo/main").await.unwrap();
    assert!(read(&source, &entry(BIG)).await.unwrap() == big());
}

#[tokio::test]
async fn bytes_that_may_change_are_not_gone_on_with_where_no_etag_holds_them() {
    // What lay there at first was replaced meanwhile by something of the same length.
    let server = Fake::serve(|seen| match about(seen, "local:///srv/import/x") {
        Some(answer) => answer,
        None if seen.header("range").is_none() => begun(),
        None => part(seen, &[0; BIG]),
    })
    .await;
    let source = source_of(&server, "lakefs://repo/main").await.unwrap();
    let found = read(&source, &entry(BIG)).await.unwrap_err();
    assert!(
        matches!(&found, SourceError::LakeFs(error) if error.kind == Kind::CutOff),
        "{found}"
    );
    assert!(found.is_about_one_file());
    assert!(server.seen().iter().all(|seen| seen.header("range").is_none()));
}

#[tokio::test]
async fn few_bytes_that_may_change_are_read_anew_as_a_whole() {
    let server = Fake::serve(|seen| match about(seen, "local:///srv/import/x") {
        Some(answer) => answer,
        None if seen.before < 3 => cut(200, "text/plain", b"what was", CONTENT.len()),
        None => part(seen, CONTENT),
    })
    .await;
    let source = source_of(&server, "lakefs://repo/main").await.unwrap();
    assert_eq!(read(&source, &entry(CONTENT.len())).await.unwrap(), CONTENT);
    assert!(server.seen().iter().all(|seen| seen.header("range").is_none()));
    // A server that never gets to the end is given up.
    let server = Fake::serve(|seen| match about(seen, "local:///srv/import/x") {
        Some(answer) => answer,
        None => cut(200, "text/plain", b"what was", CONTENT.len()),
    })
    .await;
    let source = source_of(&server, "lakefs://repo/main").await.unwrap();
    assert!(read(&source, &entry(CONTENT.len())).await.is_err());
}

#[tokio::test]
async fn bytes_of_another_size_are_a_change_and_not_the_object() {
    for content in [&b"content of"[..], b"content of a and more"] {
        let store = Fake::serve(move |seen| part(seen, content)).await;
        let server = server_before(&store).await;
        let source = source_of(&server, "lakefs://repo/main").await.unwrap();
        let found = read(&source, &entry(CONTENT.len())).await.unwrap_err();
        assert!(matches!(found, SourceError::Changed { .. }), "{found}");
    }
}

#[tokio::test]
async fn an_object_whose_data_is_gone_fails_alone_and_says_so() {
    let server = Fake::serve(|_| error(410, "No data")).await;
    let source = source_of(&server, "lakefs://repo/main").await.unwrap();
    let found = read(&source, &entry(1)).await.unwrap_err();
    assert!(found.to_string().contains("data is gone (garbage collected"), "{found}");
    assert!(found.is_about_one_file());
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn what_the_store_does_not_have_lakefs_is_asked_for() {
    let store = Fake::serve(|_| error(404, "NoSuchKey")).await;
    let url = store.url();
    let server = Fake::serve(move |seen| match seen.query("presign") {
        Some(_) => redirect(&format!("{url}/k")),
        None => error(410, "No data"),
    })
    .await;
    let source = source_of(&server, "lakefs://repo/main").await.unwrap();
    let found = read(&source, &entry(1)).await.unwrap_err();
    assert!(
        matches!(&found, SourceError::LakeFs(error) if error.kind == Kind::DataGone),
        "{found}"
    );
}

#[tokio::test]
async fn a_path_that_is_no_text_is_an_error_and_never_another_object() {
    let server = Fake::serve(|_| typed(200, "text/plain", "?")).await;
    let source = source_of(&server, "lakefs://repo/main").await.unwrap();
    let mut odd = entry(1);
    odd.path = RelPath::new(b"a\xff".to_vec()).unwrap();
    let found = read(&source, &odd).await.unwrap_err().to_string();
    assert!(
        found.contains("lakefs://repo/c1/a\\xff: the key is not UTF-8"),
        "{found}"
    );
    assert!(server.seen().is_empty());
}
