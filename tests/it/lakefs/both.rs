//! What holds of lakeFS, whether it is the stand-in or the real one.

use super::http::{Api, Sent};
use super::receiver::Receiver;
use super::repository::{Repository, Stat, Upload};
use super::server::{BlockStoreKind, LakeFsServer};

fn paths(listing: &[Stat]) -> Vec<&str> {
    listing.iter().map(|stat| stat.path.as_str()).collect()
}

#[tokio::test]
async fn commits_merges_reverts_and_resets_move_a_branch() {
    for server in LakeFsServer::start_all().await {
        let repository = server.new_repository().await;
        let root = repository.head("main").await;
        assert_eq!(
            repository.get_commit("main").await.meta_range_id,
            "",
            "{}",
            server.name()
        );
        for path in ["a", "dir/b", "dir/c"] {
            repository.upload("main", path, path).await;
        }
        let first = repository.commit("main", "first").await;
        assert_eq!(first.parents, [root], "{}", server.name());
        repository.branch("dev", "main").await;
        repository.upload("dev", "from dev", "x").await;
        repository.delete("dev", "a").await;
        let on_dev = repository.commit("dev", "on dev").await;
        repository.tag("v1.0", "dev").await;
        let merged = repository.merge("dev", "main").await;
        assert_eq!(repository.head("main").await, merged);
        assert_eq!(
            repository.get_commit("main").await.parents,
            [first.id.clone(), on_dev.id.clone()]
        );
        assert_eq!(
            paths(&repository.list("main").await),
            ["dir/b", "dir/c", "from dev"],
            "{}",
            server.name()
        );

        repository.revert("main", &merged, 1).await;
        assert_eq!(
            paths(&repository.list("main").await),
            ["a", "dir/b", "dir/c"],
            "{}",
            server.name()
        );
        assert_eq!(repository.get_commit("main~1").await.id, merged);
        assert_eq!(repository.get_commit("main~1^2").await.id, on_dev.id);

        repository.upload("main", "staged", "x").await;
        assert_eq!(
            paths(&repository.list("main").await),
            ["a", "dir/b", "dir/c", "staged"],
            "{}",
            server.name()
        );
        assert_eq!(
            paths(&repository.list("main@").await),
            ["a", "dir/b", "dir/c"],
            "{}",
            server.name()
        );
        repository.reset("main").await;

        repository.hard_reset("main", "v1.0").await;
        assert_eq!(repository.head("main").await, on_dev.id);
        assert_eq!(repository.get_commit(&first.id[..20]).await, first, "{}", server.name());
        repository.delete_branch("dev").await;
        assert_eq!(repository.get_commit(&on_dev.id).await, on_dev, "{}", server.name());
    }
}

#[tokio::test]
async fn a_branch_can_become_empty() {
    for server in LakeFsServer::start_all().await {
        let repository = server.new_repository().await;
        repository.upload("main", "a", "x").await;
        repository.commit("main", "one").await;
        repository.delete("main", "a").await;
        repository.delete("main", "never there").await;
        let emptied = repository.commit("main", "none").await;
        assert_eq!(paths(&repository.list("main").await), [""; 0], "{}", server.name());
        // The metarange without records; the first commit alone has none.
        let expected = "00fb7eff1a97c500eb3ca8d2ef5464131d6b6a5f9512e41eba97843522213b66";
        assert_eq!(emptied.meta_range_id, expected, "{}", server.name());
        let nothing = Sent::json(&serde_json::json!({ "message": "again" }));
        let refused = repository.send("POST", "/branches/main/commits", nothing).await;
        assert_eq!(refused.status, 400, "{}", server.name());
    }
}

#[tokio::test]
async fn both_sides_of_a_merge_arrive_and_a_conflict_is_refused() {
    for server in LakeFsServer::start_all().await {
        let repository = server.new_repository().await;
        repository.upload("main", "shared", "1").await;
        repository.commit("main", "first").await;
        repository.branch("dev", "main").await;
        repository.upload("dev", "theirs", "2").await;
        repository.commit("dev", "on dev").await;
        repository.upload("main", "ours", "3").await;
        repository.commit("main", "on main").await;
        repository.merge("dev", "main").await;
        assert_eq!(
            paths(&repository.list("main").await),
            ["ours", "shared", "theirs"],
            "{}",
            server.name()
        );

        for (branch, bytes) in [("dev", "4"), ("main", "5")] {
            repository.upload(branch, "shared", bytes).await;
            repository.commit(branch, "change").await;
        }
        let conflict = repository
            .send("POST", "/refs/dev/merge/main", Sent::json(&serde_json::json!({})))
            .await;
        assert_eq!(conflict.status, 409, "{}", server.name());
        let diff = Sent::default().query("type", "three_dot");
        let told = repository
            .send("GET", "/refs/main/diff/dev", diff)
            .await
            .expect(200)
            .json();
        assert_eq!(told["results"][0]["type"], "conflict", "{}: {told}", server.name());
    }
}

#[tokio::test]
async fn what_goes_with_an_object_comes_back_with_it() {
    for server in LakeFsServer::start_all().await {
        let repository = server.new_repository().await;
        let upload = Upload {
            path: "sp ace/+plus%25?q#h.txt",
            bytes: b"0123456789",
            content_type: Some("text/csv"),
            metadata: &[("owner", "data team")],
        };
        let told = repository.upload_with("main", &upload).await;
        let commit = repository.commit("main", "one").await;
        let stat = repository.stat(&commit.id, upload.path).await;
        assert_eq!(stat, told, "{}", server.name());
        assert_eq!(stat.content_type.as_deref(), Some("text/csv"));
        assert_eq!(stat.metadata["owner"], "data team");
        let read = repository.read(&commit.id, upload.path).await.expect(200);
        assert_eq!(read.body, upload.bytes);
        assert_eq!(read.header("content-type"), Some("text/csv"), "{}", server.name());
        let path = format!("/refs/{}/objects", commit.id);
        for (range, status, bytes) in [
            ("bytes=2-4", 206, "234"),
            ("bytes=-2", 206, "89"),
            ("bytes=8-99", 206, "89"),
        ] {
            let sent = Sent::default().query("path", upload.path).header("range", range);
            let part = repository.send("GET", &path, sent).await.expect(status);
            assert_eq!(part.body, bytes, "{}, {range}", server.name());
        }
        let sent = Sent::default().query("path", upload.path);
        let head = repository.send("HEAD", &path, sent).await.expect(200);
        assert_eq!(head.header("content-length"), Some("10"), "{}", server.name());
        assert_eq!(head.header("etag"), Some(&*format!("\"{}\"", stat.checksum)));
    }
}

#[tokio::test]
async fn imports_keep_their_addresses_and_lost_bytes_are_gone() {
    for server in LakeFsServer::start_all().await {
        let repository = server.new_repository().await;
        repository.upload("main", "own", "own bytes").await;
        repository.upload("main", "imported/old", "goes with the import").await;
        repository.commit("main", "own").await;
        let address = server.put_outside("some/file", b"outside bytes").await;
        server.put_outside("some/other", b"more").await;
        let commit = repository
            .import("main", &format!("{}some/", server.outside()), "imported/")
            .await;
        let listing = repository.list(&commit.id).await;
        assert_eq!(
            paths(&listing),
            ["imported/file", "imported/other", "own"],
            "{}",
            server.name()
        );
        let told = &listing[0].physical_address;
        match server.block_store {
            BlockStoreKind::S3 => assert_eq!(*told, address, "{}", server.name()),
            // The server puts its own folder before the one that was imported from.
            BlockStoreKind::Local => {
                let outside = address.strip_prefix("local://").unwrap();
                assert!(
                    told.starts_with("local:///") && told.ends_with(outside),
                    "{}: {told}",
                    server.name()
                );
                assert_ne!(*told, address, "{}", server.name());
            }
        }
        assert_eq!(
            repository.read(&commit.id, "imported/file").await.expect(200).body,
            "outside bytes"
        );

        repository.lose(&commit.id, "imported/file").await;
        repository.lose(&commit.id, "own").await;
        for path in ["imported/file", "own"] {
            let gone = repository.read(&commit.id, path).await;
            assert_eq!(
                (gone.status, &gone.json()["message"]),
                (410, &"No data".into()),
                "{}, {path}",
                server.name()
            );
            assert_eq!(repository.stat(&commit.id, path).await.path, path, "{}", server.name());
        }
    }
}

#[tokio::test]
async fn pre_signed_urls_read_without_keys() {
    let server = LakeFsServer::start(BlockStoreKind::S3).await;
    let repository = server.new_repository().await;
    repository.upload("main", "dir/odd näme.txt", "signed").await;
    let commit = repository.commit("main", "one").await;
    let sent = Sent::default()
        .query("path", "dir/odd näme.txt")
        .query("presign", "true");
    let redirect = repository
        .send("GET", &format!("/refs/{}/objects", commit.id), sent.clone())
        .await;
    let told = repository
        .send("GET", &format!("/refs/{}/objects/stat", commit.id), sent)
        .await
        .expect(200)
        .json();
    let table = format!("/metadata/object/meta_range/{}", commit.meta_range_id);
    let plain = repository.send("GET", &table, Sent::default()).await.expect(200);
    let signed = repository
        .send("GET", &table, Sent::default().query("presign", "true"))
        .await;
    for (url, bytes) in [
        (
            redirect.expect(302).header("location").unwrap().to_owned(),
            "signed".into(),
        ),
        (told["physical_address"].as_str().unwrap().to_owned(), "signed".into()),
        (signed.expect(302).header("location").unwrap().to_owned(), plain.body),
    ] {
        let read = server.get_url(&url).await;
        assert_eq!((read.status, read.body), (200, bytes), "{}: {url}", server.name());
    }
}

#[tokio::test]
async fn strangers_are_refused_and_namespaces_hold_what_is_uploaded() {
    for server in LakeFsServer::start_all().await {
        let repository = server.new_repository().await;
        let told = repository.upload("main", "a", "x").await;
        if server.block_store == BlockStoreKind::S3 {
            let namespace = format!("{}/data/", repository.storage_namespace);
            assert!(
                told.physical_address.starts_with(&namespace),
                "{}",
                told.physical_address
            );
        }
        for (id, secret) in [
            (&*server.access_key_id, "wrong"),
            ("AKIASTRANGER", &*server.secret_access_key),
        ] {
            let stranger = Api::new(&server.endpoint, id, secret);
            let refused = stranger.send("GET", "/api/v1/repositories", Sent::default()).await;
            assert_eq!(refused.status, 401, "{}", server.name());
        }
    }
}

#[tokio::test]
async fn a_webhook_comes_for_a_commit_a_merge_and_an_import_alone() {
    for server in LakeFsServer::start_all().await {
        let receiver = Receiver::start().await;
        let repository = server.new_repository().await;
        let action = format!(
            "name: wake\non:\n  post-commit:\n    branches: [main]\n  post-merge:\nhooks:\n  - id: one\n    type: webhook\n    \
             properties:\n      url: {}/wake\n",
            receiver.url
        );
        repository.upload("main", "_lakefs_actions/wake.yaml", &action).await;
        let commit = repository.commit("main", "first").await;
        // Hooks run in no order, so each is waited for.
        receiver.wait_for(1).await;
        repository.branch("dev", "main").await;
        repository.upload("dev", "a", "1").await;
        repository.commit("dev", "of another branch").await;
        let merged = repository.merge("dev", "main").await;
        receiver.wait_for(2).await;
        repository.revert("main", &merged, 1).await;
        repository.hard_reset("main", &merged).await;
        server.put_outside("hooks/file", b"1").await;
        let imported = repository
            .import("main", &format!("{}hooks/", server.outside()), "imported/")
            .await;
        let came = receiver.wait_for(3).await;
        let told: Vec<_> = came
            .iter()
            .map(|hook| (&hook.body["event_type"], &hook.body["commit_id"]))
            .collect();
        let expected = [
            ("post-commit", &commit.id),
            ("post-merge", &merged),
            ("post-commit", &imported.id),
        ];
        let expected = expected.map(|(event, id)| (serde_json::json!(event), serde_json::json!(id)));
        let expected: Vec<_> = expected.iter().map(|(event, id)| (event, id)).collect();
        assert_eq!(told, expected, "{}", server.name());
    }
}

#[tokio::test]
async fn errors_have_the_statuses_that_lakefs_gives_them() {
    for server in LakeFsServer::start_all().await {
        let repository = server.new_repository().await;
        for (path, status) in [
            ("/branches/nope", 404),
            ("/commits/nope", 404),
            ("/commits/main~9", 404),
            ("/commits/main%5E9", 500),
            ("/commits/main%24", 500),
            ("/commits/main@~1", 500),
            ("/refs/nope/objects/ls", 404),
            ("/refs/main@~1/objects/ls", 400),
            ("/refs/main/objects/ls?amount=1001", 400),
            ("/refs/main/objects", 400),
            ("/refs/main/objects?path=nope", 404),
            ("/refs/main/diff/nope", 404),
            ("/metadata/object/range/0000", 410),
            ("/tags/nope", 404),
        ] {
            let reply = repository.send("GET", path, Sent::default()).await;
            let body = String::from_utf8_lossy(&reply.body);
            assert_eq!(reply.status, status, "{}, {path}: {body}", server.name());
        }
        let page = server.api.send("GET", "/some/page", Sent::default()).await.expect(200);
        let content_type = page.header("content-type").unwrap();
        assert!(
            content_type.starts_with("text/html"),
            "{}: {content_type}",
            server.name()
        );
    }
}

/// Lists something page by page.
async fn all_pages(repository: &Repository<'_>, path: &str, query: &[(&str, &str)], amount: usize) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let mut sent = Sent::default()
            .query("after", &*after)
            .query("amount", amount.to_string());
        for (name, value) in query {
            sent = sent.query(name, *value);
        }
        let page = repository.send("GET", path, sent).await.expect(200).json();
        let lines = page["results"].as_array().unwrap();
        found.extend(lines.iter().map(|line| {
            let kind = line["type"].as_str().unwrap_or_default();
            format!("{kind} {}", line["path"].as_str().unwrap())
                .trim_start()
                .to_owned()
        }));
        if page["pagination"]["has_more"] == false {
            return found;
        }
        assert_eq!(lines.len(), amount);
        after = page["pagination"]["next_offset"].as_str().unwrap().to_owned();
    }
}

#[tokio::test]
async fn pages_of_any_size_make_the_same_listing_and_the_same_diff() {
    for server in LakeFsServer::start_all().await {
        let repository = server.new_repository().await;
        for path in ["a", "a/", "a/b", "a//c", "ab", "b/c/d", "b/c/e", "b0", "ž", "z"] {
            repository.upload("main", path, path).await;
        }
        let first = repository.commit("main", "one").await;
        repository.delete("main", "b/c/e").await;
        repository.upload("main", "b/a", "staged").await;
        for (prefix, delimiter, expected) in [
            (
                "",
                "",
                vec!["a", "a/", "a//c", "a/b", "ab", "b/a", "b/c/d", "b0", "z", "ž"],
            ),
            ("", "/", vec!["a", "a/", "ab", "b/", "b0", "z", "ž"]),
            ("a/", "/", vec!["a/", "a//", "a/b"]),
            ("b/", "", vec!["b/a", "b/c/d"]),
            ("nope", "/", vec![]),
        ] {
            for amount in 1..=11 {
                let query = [("prefix", prefix), ("delimiter", delimiter)];
                let found = all_pages(&repository, "/refs/main/objects/ls", &query, amount).await;
                assert_eq!(found, expected, "{}, {query:?}, {amount} a page", server.name());
            }
        }
        repository.upload("main", "a", "changed").await;
        repository.upload("main", "b0", "b0").await;
        repository.delete("main", "z").await;
        let second = repository.commit("main", "two").await;
        let path = format!("/refs/{}/diff/{}", first.id, second.id);
        let all = vec!["changed a", "added b/a", "removed b/c/e", "removed z"];
        for (prefix, delimiter, expected) in [
            ("", "", all),
            ("", "/", vec!["changed a", "prefix_changed b/", "removed z"]),
            ("b/", "/", vec!["added b/a", "prefix_changed b/c/"]),
        ] {
            for amount in 1..=5 {
                let query = [("type", "two_dot"), ("prefix", prefix), ("delimiter", delimiter)];
                let found = all_pages(&repository, &path, &query, amount).await;
                assert_eq!(found, expected, "{}, {query:?}, {amount} a page", server.name());
            }
        }
    }
}
