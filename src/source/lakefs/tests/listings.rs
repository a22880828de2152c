//! Trees and changes by pages.

use std::sync::Arc;

use serde_json::{Value, json as value};

use super::super::fake::{error, json};
use super::*;

/// A repository in memory, of which only what a test says can be asked.
#[derive(Default)]
struct Small {
    /// Keys of commit `c2`, whose tree is `m2`.
    keys: Vec<String>,
    /// Keys whose exact names the API does not know.
    unknown: Vec<String>,
    /// What a diff says.
    differences: Vec<(&'static str, &'static str)>,
    /// How many are on a page, whatever was asked for.
    page: usize,
    /// What a diff answers instead.
    diff_status: Option<(u16, &'static str)>,
}

impl Small {
    async fn serve(self) -> Fake {
        let small = Arc::new(self);
        Fake::serve(move |seen| {
            let tree_of = |name: &str| if name == "c1" { "m1" } else { "m2" };
            let last = seen.path.rsplit('/').next().unwrap();
            if seen.path.contains("/commits/") {
                let meta_range_id = if last == "same" { "m2" } else { tree_of(last) };
                return json(200, value!({ "id": last, "meta_range_id": meta_range_id }));
            }
            if seen.path.contains("/diff/") {
                if let Some((status, message)) = small.diff_status {
                    return error(status, message);
                }
                let all = small.differences.iter().map(|(kind, path)| {
                    let row = value!({ "type": kind, "path": path, "path_type": "object", "size_bytes": 1 });
                    ((*path).to_owned(), row)
                });
                return small.answer(seen, all.collect());
            }
            match last {
                "ls" => {
                    let all = small.keys.iter().map(|key| (key.clone(), stats(key)));
                    small.answer(seen, all.collect())
                }
                "stat" => {
                    let path = seen.query("path").unwrap();
                    match small.unknown.contains(&path) {
                        true => error(404, "not found"),
                        false => json(200, stats(&path)),
                    }
                }
                "repo" => {
                    let namespace = "s3://store/ns";
                    json(
                        200,
                        value!({ "id": "repo", "default_branch": "main", "storage_namespace": namespace }),
                    )
                }
                other => panic!("{other}"),
            }
        })
        .await
    }

    fn answer(&self, seen: &super::super::fake::Seen, all: Vec<(String, Value)>) -> axum::response::Response {
        assert_eq!(seen.query("amount").as_deref(), Some("1000"));
        let after = seen.query("after").unwrap_or_default();
        let prefix = seen.query("prefix").unwrap_or_default();
        let rest: Vec<_> = all
            .into_iter()
            .filter(|(key, _)| key.starts_with(&prefix) && (after.is_empty() || *key > after))
            .collect();
        let shown = &rest[..rest.len().min(self.page)];
        let has_more = rest.len() > self.page;
        let next = if has_more { shown.last().unwrap().0.as_str() } else { "" };
        let results: Vec<&Value> = shown.iter().map(|(_, row)| row).collect();
        json(
            200,
            value!({ "pagination": { "has_more": has_more, "next_offset": next }, "results": results }),
        )
    }
}

fn stats(key: &str) -> Value {
    value!({
        "path": key, "path_type": "object", "checksum": "e", "size_bytes": 1, "mtime": 7, "metadata": {},
        "content_type": "text/plain", "physical_address": format!("s3://store/ns/data/{key}"),
    })
}

fn small(keys: &[&str]) -> Small {
    Small {
        keys: keys.iter().map(ToString::to_string).collect(),
        page: 1_000,
        ..Small::default()
    }
}

async fn paths(source: &LakeFsSource, commit: &str) -> Result<Vec<String>, SourceError> {
    let items = source.tree(&id(commit)).await?.collect().await?;
    Ok(items
        .into_iter()
        .map(|item| match item {
            Item::Entry(entry) => entry.path.to_string(),
            other => panic!("{other:?}"),
        })
        .collect())
}

async fn changed(source: &LakeFsSource, from: &str, to: &str) -> Result<Option<Vec<String>>, SourceError> {
    let Some(stream) = source.changes(&id(from), &id(to)).await? else {
        return Ok(None);
    };
    let items = stream.collect().await?;
    let texts = items.into_iter().map(|item| match item {
        Item::Entry(Change::Put(entry)) => format!("+{}", entry.path),
        Item::Entry(Change::Gone(path)) => format!("-{path}"),
        other => panic!("{other:?}"),
    });
    Ok(Some(texts.collect()))
}

#[tokio::test]
async fn a_recorded_commit_is_listed_as_the_server_listed_it() {
    let server = recorded().await;
    let source = source_of(&server, "lakefs://s3-store/main").await.unwrap();
    let items = source.tree(&id(ODD)).await.unwrap().collect().await.unwrap();
    let entries: Vec<Entry> = items
        .into_iter()
        .map(|item| match item {
            Item::Entry(entry) => entry,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(entries.len(), 19);
    assert!(entries.is_sorted_by(|left, right| left.path < right.path));
    let find = |path: &str| entries.iter().find(|entry| entry.path.to_str() == Some(path)).unwrap();
    let with_metadata = find("meta/with.json");
    assert_eq!(with_metadata.size, 7);
    assert_eq!(
        with_metadata.attributes.content_type.as_deref(),
        Some("application/json")
    );
    assert_eq!(with_metadata.attributes.metadata["owner"], "data team");
    assert_eq!(find("dir/").size, 0);
    assert!(entries.iter().all(|entry| entry.content.address.is_some()));
    for odd in [".lakefs_ref.yaml", "a", "a/b", "a//b", "sp ace/+plus%25?q#h.txt"] {
        find(odd);
    }
}

#[tokio::test]
async fn the_first_commit_has_no_tree_and_is_not_listed() {
    let server = recorded().await;
    let source = source_of(&server, "lakefs://s3-store/main").await.unwrap();
    let head = source.head().await.unwrap();
    assert_eq!(head, id(FIRST));
    assert_eq!(paths(&source, FIRST).await.unwrap(), Vec::<String>::new());
    assert_eq!(server.count("objects/ls"), 0);
}

#[tokio::test]
async fn pages_follow_each_other_to_the_end() {
    let keys: Vec<String> = (0..25).map(|at| format!("k{at:02}")).collect();
    let server = Small {
        keys: keys.clone(),
        page: 10,
        ..Small::default()
    }
    .serve()
    .await;
    let source = source_of(&server, "lakefs://repo/main").await.unwrap();
    assert_eq!(paths(&source, "c2").await.unwrap(), keys);
    assert_eq!(server.count("objects/ls"), 3);
}

#[tokio::test]
async fn a_part_of_the_tree_has_paths_of_its_own() {
    let server = small(&["a", "p/", "p/x", "p/y/z", "q"]).serve().await;
    let source = source_of(&server, "lakefs://repo/main/p").await.unwrap();
    assert_eq!(paths(&source, "c2").await.unwrap(), ["x", "y/z"]);
}

#[tokio::test]
async fn equal_trees_of_two_commits_are_not_compared() {
    let server = small(&[]).serve().await;
    let source = source_of(&server, "lakefs://repo/main").await.unwrap();
    assert_eq!(
        changed(&source, "same", "c2").await.unwrap().unwrap(),
        Vec::<String>::new()
    );
    assert_eq!(server.count("/diff/"), 0);
}

#[tokio::test]
async fn changes_are_two_dot_and_cost_one_question_for_each_object_that_is_there() {
    let server = Small {
        differences: vec![("changed", "a"), ("removed", "b"), ("added", "c"), ("removed", "d")],
        page: 2,
        ..Small::default()
    }
    .serve()
    .await;
    let source = source_of(&server, "lakefs://repo/main").await.unwrap();
    assert_eq!(
        changed(&source, "c1", "c2").await.unwrap().unwrap(),
        ["+a", "-b", "+c", "-d"]
    );
    assert_eq!(server.count("type=two_dot"), 2);
    assert_eq!(
        (server.count("/c2/objects/stat"), server.count("/c1/objects/stat")),
        (2, 0)
    );
}

#[tokio::test]
async fn a_commit_that_is_gone_leads_to_a_comparison_of_trees_and_another_failure_does_not() {
    for (status, message, is_none) in [
        (410, "No data", true),
        (404, "commit not found", true),
        (401, "no", false),
    ] {
        let server = Small {
            diff_status: Some((status, message)),
            ..small(&[])
        }
        .serve()
        .await;
        let source = source_of(&server, "lakefs://repo/main").await.unwrap();
        let found = changed(&source, "c1", "c2").await;
        assert_eq!(found.is_ok_and(|changes| changes.is_none()), is_none, "{status}");
    }
}

#[tokio::test]
async fn a_key_that_is_no_text_is_never_taken_for_another() {
    // A key may have that character itself: then the API knows it by that name.
    let server = small(&["a\u{fffd}", "b"]).serve().await;
    let source = source_of(&server, "lakefs://repo/main").await.unwrap();
    assert_eq!(paths(&source, "c2").await.unwrap(), ["a\u{fffd}", "b"]);

    let server = Small {
        unknown: vec!["a\u{fffd}".to_owned()],
        differences: vec![("removed", "a\u{fffd}")],
        ..small(&["a\u{fffd}", "b"])
    }
    .serve()
    .await;
    let source = source_of(&server, "lakefs://repo/main").await.unwrap();
    for found in [
        paths(&source, "c2").await.unwrap_err(),
        changed(&source, "c1", "c2").await.unwrap_err(),
    ] {
        let text = found.to_string();
        assert!(
            text.contains("the key is not UTF-8") && text.contains("--listing ranges"),
            "{text}"
        );
    }

    let server = small(&["a\u{fffd}", "a\u{fffd}"]).serve().await;
    let source = source_of(&server, "lakefs://repo/main").await.unwrap();
    let text = paths(&source, "c2").await.unwrap_err().to_string();
    assert!(text.contains("look alike"), "{text}");
}

#[tokio::test]
async fn a_key_that_is_left_out_under_another_name_than_its_own_does_not_hide_the_keys_behind_it() {
    // The first is x\x80, and the second, which is wanted, comes behind it and before what the API calls it.
    let server = Small {
        unknown: vec!["x\u{fffd}".to_owned()],
        differences: vec![("added", "x\u{fffd}"), ("added", "x\u{e9}a")],
        page: 1,
        ..small(&[])
    }
    .serve()
    .await;
    let uri: LakeFsUri = "lakefs://repo/main".parse().unwrap();
    let config = LakeFsSourceConfig {
        reference: uri.reference,
        filter: Filter::new(&[], &["x\u{fffd}".to_owned()]).unwrap(),
        listing: ListingChoice::Pages,
        ..LakeFsSourceConfig::new(uri.repository)
    };
    let source = LakeFsSource::open(server.client(), config).await.unwrap();
    let text = changed(&source, "c1", "c2").await.unwrap_err().to_string();
    assert!(text.contains("the key is not UTF-8"), "{text}");
}

#[tokio::test]
async fn a_server_that_repeats_itself_is_not_followed() {
    let server = Fake::serve(|seen| match seen.path.rsplit('/').next().unwrap() {
        "ls" => json(
            200,
            value!({ "pagination": { "has_more": true, "next_offset": "a" }, "results": [stats("a")] }),
        ),
        "repo" => json(
            200,
            value!({ "id": "repo", "default_branch": "main", "storage_namespace": "s3://store/ns" }),
        ),
        name => json(200, value!({ "id": name, "meta_range_id": "m" })),
    })
    .await;
    let source = source_of(&server, "lakefs://repo/main").await.unwrap();
    let text = paths(&source, "c2").await.unwrap_err().to_string();
    assert!(text.contains("not in the order of their keys"), "{text}");
}

#[tokio::test]
async fn a_server_that_dies_in_the_middle_is_an_error_and_not_a_shorter_tree() {
    let keys: Vec<String> = (0..25).map(|at| format!("k{at:02}")).collect();
    let server = Fake::serve(move |seen| match seen.path.rsplit('/').next().unwrap() {
        "ls" if seen.query("after").is_some() => error(500, "died"),
        "ls" => {
            let results: Vec<Value> = keys.iter().map(|key| stats(key)).collect();
            json(
                200,
                value!({ "pagination": { "has_more": true, "next_offset": "k24" }, "results": results }),
            )
        }
        "repo" => json(
            200,
            value!({ "id": "repo", "default_branch": "main", "storage_namespace": "s3://store/ns" }),
        ),
        name => json(200, value!({ "id": name, "meta_range_id": "m" })),
    })
    .await;
    let source = source_of(&server, "lakefs://repo/main").await.unwrap();
    let found = paths(&source, "c2").await.unwrap_err();
    assert!(
        matches!(&found, SourceError::LakeFs(error) if error.kind == Kind::Unavailable { status: 500 }),
        "{found}"
    );
}
