//! Keys and headers as people have them, and such as S3 cannot carry.

use lakesync::export::{ExportError, Outcome};
use lakesync::model::NoticeKind;
use lakesync::plan::PlanError;
use lakesync::source::Filter;
use lakesync::source::lakefs::ListingChoice;

use super::ways;
use super::world::World;
use crate::lakefs::http::{Sent, encode};
use crate::lakefs::repository::Upload;
use crate::lakefs::server::LakeFsServer;

const ODD: [&str; 14] = [
    "plus+plus",
    "sp ace/in folder/ end",
    "percent%25/%2F%",
    "question?mark=1&x",
    "hash#tag",
    "ünïcode/ž/日本語/🦀",
    "e\u{301}",
    "quote\"s'and`back",
    "semi;colon,comma:colon@at=equals",
    "brackets[1]{2}(3)<4>",
    "tilde~caret^dollar$bang!star*pipe|",
    "replaced\u{fffd}character",
    "_lakefs/no table",
    "_underscore/.hidden/..dots..",
];

/// A hook that nothing of this calls.
const ACTION: &str = "name: no hook\non:\n  post-merge:\nhooks:\n  - id: one\n    type: webhook\n    properties:\n      \
                      url: http://127.0.0.1:9/\n";

#[tokio::test]
async fn odd_keys_arrive_as_they_are_by_every_way() {
    for server in LakeFsServer::start_all().await {
        for way in ways(server.block_store) {
            for listing in [ListingChoice::Ranges, ListingChoice::Pages] {
                let mut world = World::new(&server).await;
                world.config.outside_copies = *way;
                world.listing = listing;
                for key in ODD {
                    world.repository.upload("main", key, format!("bytes of {key}")).await;
                }
                world.repository.commit("main", "odd").await;
                world.exported().await;
                let mut expected = ODD.to_vec();
                expected.sort_unstable();
                assert_eq!(world.paths().await, expected, "{}, {way:?}", server.name());
                world.repository.delete("main", ODD[2]).await;
                world.repository.upload("main", ODD[3], "changed").await;
                world.repository.commit("main", "odd changes").await;
                world.exported().await;
                assert_eq!(world.writes().len(), 2, "{}, {way:?}", server.name());
            }
        }
    }
}

/// Folder objects of zero bytes are objects like others; so are the files of lakeFS's own hooks, unless left out.
#[tokio::test]
async fn folder_objects_and_the_files_of_hooks_are_exported_unless_excluded() {
    for server in LakeFsServer::start_all().await {
        for way in ways(server.block_store) {
            let mut world = World::new(&server).await;
            world.config.outside_copies = *way;
            for (key, text) in [
                ("folder/", ""),
                ("a/b/", ""),
                ("a/b/c", "c"),
                ("_lakefs_actions/x.yaml", ACTION),
            ] {
                world.repository.upload("main", key, text).await;
            }
            world.repository.commit("main", "folders").await;
            world.exported().await;
            let mut expected = vec!["_lakefs_actions/x.yaml", "a/b/", "a/b/c", "folder/"];
            assert_eq!(world.paths().await, expected, "{}, {way:?}", server.name());
            world.filter = Filter::new(&[], &["/_lakefs_actions/".to_owned()]).unwrap();
            world.config.selection = world.filter.globs().to_vec();
            world.exported().await;
            expected.remove(0);
            assert_eq!(world.paths().await, expected, "{}, {way:?}", server.name());
        }
    }
}

/// What a run says that is refused for its keys.
async fn refused_keys(world: &World<'_>) -> String {
    let (result, _) = world.tried().await;
    let error = result.unwrap_err();
    assert!(
        matches!(error, ExportError::Plan(PlanError::BadKeys { .. })),
        "{}: {error:?}",
        world.name()
    );
    error.to_string()
}

/// P9: what cannot go out as it is named is listed before the first write.
#[tokio::test]
async fn keys_that_cannot_be_carried_are_listed_before_the_first_write() {
    for server in LakeFsServer::start_all().await {
        let world = World::new(&server).await;
        world.repository.upload("main", "fine", "fine").await;
        for key in [
            "a//b",
            "_lakesync/root.json",
            "_STATUS_1.json",
            "up/../down",
            "control\u{1}",
        ] {
            world.repository.upload("main", key, "x").await;
        }
        world.repository.commit("main", "keys").await;
        let text = refused_keys(&world).await;
        for part in ["a//b", "_lakesync/root.json", "_STATUS_1.json", "up/../down"] {
            assert!(text.contains(part), "{}: {text}", server.name());
        }
        assert!(!text.contains('\u{1}'), "{}: {text:?}", server.name());
        assert_eq!(world.paths().await, [""; 0], "{}", server.name());
    }
}

/// P9: a key that is no text is shown as it is, never exported under another name.
#[tokio::test]
async fn a_key_that_is_no_utf_8_is_listed_before_the_first_write() {
    for server in LakeFsServer::start_all().await {
        let mut world = World::new(&server).await;
        world.repository.upload("main", "fine", "fine").await;
        for key in [&b"bad\xffkey"[..], b"bad\xfekey", b"z/caf\xe9"] {
            let path = format!("/branches/main/objects?path={}", encode(key));
            let sent = Sent::default().bytes("bytes").header("content-type", "text/plain");
            world.repository.send("POST", &path, sent).await.expect(201);
        }
        world.repository.commit("main", "no text").await;
        for listing in [ListingChoice::Auto, ListingChoice::Ranges] {
            world.listing = listing;
            let text = refused_keys(&world).await;
            assert!(
                text.contains("3") && text.contains("not UTF-8"),
                "{}: {text}",
                server.name()
            );
            assert!(
                text.contains("bad") && text.contains("z/caf"),
                "{}: {text}",
                server.name()
            );
        }
        // Pages cannot tell such keys apart, and say so.
        world.listing = ListingChoice::Pages;
        let (result, _) = world.tried().await;
        let text = lakesync::causes::with_causes(&result.unwrap_err());
        assert!(text.contains("--listing ranges"), "{}: {text}", server.name());
        assert_eq!(world.paths().await, [""; 0], "{}", server.name());
    }
}

/// What is told of an object is part of it: where that alone changes, it is written anew.
#[tokio::test]
async fn metadata_and_content_types_that_change_alone_rewrite_the_object() {
    for server in LakeFsServer::start_all().await {
        for way in ways(server.block_store) {
            let mut world = World::new(&server).await;
            world.config.outside_copies = *way;
            let name = format!("{}, {way:?}", server.name());
            let mut upload = Upload {
                path: "object",
                bytes: b"the same bytes",
                content_type: Some("text/plain"),
                metadata: &[("owner", "one")],
            };
            world.repository.upload("main", "other", "other").await;
            world.repository.upload_with("main", &upload).await;
            world.repository.commit("main", "first").await;
            world.exported().await;
            for step in 0..3 {
                match step {
                    0 => upload.metadata = &[("owner", "two")],
                    1 => upload.metadata = &[],
                    _ => upload.content_type = Some("text/csv"),
                }
                world.repository.upload_with("main", &upload).await;
                world.repository.commit("main", "headers").await;
                world.exported().await;
                let writes = world.writes();
                assert_eq!(writes.len(), 1, "{name}, step {step}: {writes:?}");
                let head = world.head("object").await.headers;
                assert_eq!(head.content_type.as_deref(), upload.content_type, "{name}, step {step}");
                let metadata: Vec<_> = head.metadata.iter().map(|(key, value)| (&**key, &**value)).collect();
                assert_eq!(metadata, upload.metadata, "{name}, step {step}");
            }
        }
    }
}

/// What no header can carry is left out, and counted once for each reason.
#[tokio::test]
async fn metadata_that_s3_cannot_carry_is_left_out_and_counted_once_for_each_reason() {
    for server in LakeFsServer::start_all().await {
        for way in ways(server.block_store) {
            let mut world = World::new(&server).await;
            world.config.outside_copies = *way;
            let name = format!("{}, {way:?}", server.name());
            let long = "x".repeat(1_000);
            let metadata = [("a", &*long), ("b", &*long), ("c", &*long), ("d", "fits")];
            for (path, metadata) in [
                ("fine", &[("owner", "me")][..]),
                ("value-1", &[("owner", "größe"), ("kept", "yes")]),
                ("value-2", &[("owner", "größe"), ("other", "größer")]),
                ("long", &metadata),
            ] {
                let upload = Upload {
                    path,
                    bytes: b"x",
                    content_type: None,
                    metadata,
                };
                world.repository.upload_with("main", &upload).await;
            }
            world.repository.commit("main", "metadata").await;
            let ran = world.exported().await;
            let notices: Vec<_> = ran.report.notices.iter().map(|(kind, count)| (*kind, *count)).collect();
            assert_eq!(
                notices,
                [(NoticeKind::MetadataValue, 2), (NoticeKind::MetadataLength, 1)],
                "{name}"
            );
            let kept = world.head("value-1").await.headers.metadata;
            assert_eq!(
                kept.into_iter().collect::<Vec<_>>(),
                [("kept".to_owned(), "yes".to_owned())],
                "{name}"
            );
            assert_eq!(world.head("value-2").await.headers.metadata.len(), 0, "{name}");
            assert_eq!(world.export().await.report.outcome, Outcome::Unchanged, "{name}");
        }
    }
}
