//! The bytes of objects.

use axum::response::Response;

use super::super::fake::{Seen, cut, error, redirect, typed};
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

#[tokio::test]
async fn bytes_that_break_off_are_gone_on_with() {
    let big: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    let whole = big.clone();
    let store = Fake::serve(move |seen| match seen.before {
        0 => cut(200, "text/plain", &whole[..1_000_000], whole.len()),
        _ => part(seen, &whole),
    })
    .await;
    let server = server_before(&store).await;
    let source = source_of(&server, "lakefs://repo/main").await.unwrap();
    assert!(read(&source, &entry(big.len())).await.unwrap() == big);
    assert_eq!(store.seen().len(), 2);
    let from = store.seen()[1].header("range").unwrap().to_owned();
    assert_ne!(from, "bytes=0-");
}

#[tokio::test]
async fn bytes_that_may_change_are_not_gone_on_with_where_no_etag_holds_them() {
    let server = Fake::serve(|seen| match seen.query("presign") {
        Some(_) => error(400, "operation not supported"),
        None => cut(200, "text/plain", &CONTENT[..4], CONTENT.len()),
    })
    .await;
    let source = source_of(&server, "lakefs://repo/main").await.unwrap();
    let mut imported = entry(CONTENT.len());
    imported.content.address = None;
    let found = read(&source, &imported).await.unwrap_err();
    assert!(
        matches!(&found, SourceError::LakeFs(error) if error.kind == Kind::CutOff),
        "{found}"
    );
    assert!(found.is_about_one_file());
    assert!(server.seen().iter().all(|seen| seen.header("range").is_none()));
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
