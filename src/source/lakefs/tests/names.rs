//! Names of commits.

use super::super::fake::{error, json};
use super::*;

#[tokio::test]
async fn a_branch_an_id_its_beginning_a_step_back_and_a_tag_are_pinned_to_a_full_id() {
    let server = recorded().await;
    for (uri, commit) in [
        ("lakefs://s3-store/main", FIRST),
        ("lakefs://s3-store/82237b272afc", ODD),
        (&format!("lakefs://s3-store/{ODD}"), ODD),
        ("lakefs://s3-store/main~1", FIRST),
        ("lakefs://s3-store@v1.0", NEXT),
    ] {
        let source = source_of(&server, uri).await.unwrap();
        assert_eq!(source.head().await.unwrap(), id(commit), "{uri}");
    }
    assert_eq!(server.seen().len(), 5, "one request is enough");
}

#[tokio::test]
async fn without_a_name_the_default_branch_counts_and_the_name_says_so() {
    let server = recorded().await;
    let source = source_of(&server, "lakefs://s3-store").await.unwrap();
    let host = server.client().endpoint().host();
    assert_eq!(source.name(), format!("lakefs:{host}/s3-store#main"));
    let part = source_of(&server, "lakefs://s3-store/v1.0/a/b").await.unwrap();
    assert_eq!(part.name(), format!("lakefs:{host}/s3-store#v1.0/a/b/"));
    assert!(source.is_branch().await.unwrap());
}

#[tokio::test]
async fn a_commit_is_there_or_not() {
    let server = recorded().await;
    let source = source_of(&server, "lakefs://s3-store/main").await.unwrap();
    assert!(source.contains(&id(ODD)).await.unwrap());
    assert!(!source.contains(&id(&"f".repeat(64))).await.unwrap());
}

async fn not_there(reference: &str, branches: &'static [&'static str]) -> String {
    let server = Fake::serve(move |seen| {
        if !seen.path.ends_with("/branches") {
            return error(404, "commit not found");
        }
        let prefix = seen.query("prefix").unwrap();
        let found = branches.iter().filter(|name| name.starts_with(&prefix));
        let results: Vec<_> = found
            .map(|name| serde_json::json!({ "id": name, "commit_id": "c1" }))
            .collect();
        json(
            200,
            serde_json::json!({ "pagination": { "has_more": false }, "results": results }),
        )
    })
    .await;
    let source = source_of(&server, &format!("lakefs://repo/{reference}")).await.unwrap();
    source.head().await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_name_that_is_not_there_is_told_with_those_that_look_like_it() {
    for (reference, branches, text) in [
        (
            "mian",
            &["main", "maintenance", "dev"][..],
            "no branch, tag or commit \"mian\"; there are main",
        ),
        (
            "release",
            &["main"],
            "no branch, tag or commit \"release\"; there are main",
        ),
        (
            "main~9",
            &["main"],
            "no branch, tag or commit \"main~9\"; there are main",
        ),
        (
            "82237b",
            &["main"],
            "the beginning of a commit id must belong to one commit alone",
        ),
    ] {
        let found = not_there(reference, branches).await;
        assert!(found.starts_with("lakefs://repo: ") && found.contains(text), "{found}");
    }
}

#[tokio::test]
async fn a_repository_that_is_not_there_is_told_as_such() {
    let server = Fake::serve(|seen| match seen.path.ends_with("/branches") {
        true => error(404, "repository not found"),
        false => error(404, "not found"),
    })
    .await;
    let source = source_of(&server, "lakefs://repo/main").await.unwrap();
    let found = source.head().await.unwrap_err().to_string();
    assert!(
        found.starts_with("lakefs://repo: no such repository at http://"),
        "{found}"
    );
    let found = source_of(&server, "lakefs://repo").await.err().unwrap().to_string();
    assert!(
        found.starts_with("lakefs://repo: no such repository at http://"),
        "{found}"
    );
}

#[tokio::test]
async fn who_may_not_list_branches_gets_no_suggestions_and_the_same_error() {
    let server = Fake::serve(|seen| match seen.path.ends_with("/branches") {
        true => error(401, "insufficient permissions"),
        false => error(404, "commit not found"),
    })
    .await;
    let source = source_of(&server, "lakefs://repo/mian").await.unwrap();
    let found = source.head().await.unwrap_err().to_string();
    assert_eq!(found, "lakefs://repo: no branch, tag or commit \"mian\"");
}
