//! Sizes, headers and metadata, as they arrive.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lakesync::export::testing;
use lakesync::plan::HeaderRules;
use lakesync::store::RequestKind;

use super::world::World;
use crate::dense::bytes;

const MIB: usize = 1 << 20;

fn count(world: &World, path: &str, kind: RequestKind) -> usize {
    world
        .writes()
        .iter()
        .filter(|write| write.0 == kind && write.1 == path)
        .count()
}

#[tokio::test]
async fn objects_of_every_length_arrive_whole_around_the_lengths_of_parts() {
    for mut world in World::on_both().await {
        world.config.part_size_bytes = 8 * MIB as u64;
        let lengths = [
            0,
            1,
            5 * MIB - 1,
            5 * MIB,
            5 * MIB + 1,
            8 * MIB - 1,
            8 * MIB,
            8 * MIB + 1,
        ];
        for (number, length) in lengths.into_iter().enumerate() {
            world.write(&length.to_string(), bytes(length, number as u64));
        }
        world.write("huge", bytes(100 * MIB, 99));
        let counts = world.exported().await.counts;
        assert_eq!((counts.put, counts.failed), (9, 0));
        for length in &lengths[..7] {
            let path = length.to_string();
            assert_eq!(count(&world, &path, RequestKind::Put), 1, "{}: {path}", world.name());
            assert_eq!(
                count(&world, &path, RequestKind::UploadPart),
                0,
                "{}: {path}",
                world.name()
            );
        }
        let longest = (8 * MIB + 1).to_string();
        for (path, parts) in [(longest.as_str(), 2), ("huge", 13)] {
            assert_eq!(
                count(&world, path, RequestKind::UploadPart),
                parts,
                "{}: {path}",
                world.name()
            );
            assert_eq!(
                count(&world, path, RequestKind::CompleteUpload),
                1,
                "{}: {path}",
                world.name()
            );
        }
        // A changed one goes over the old one, in parts as well.
        world.write("huge", bytes(20 * MIB, 100));
        let counts = world.exported().await.counts;
        assert_eq!((counts.put, counts.kept), (1, 8));
    }
}

#[tokio::test]
async fn headers_arrive_and_a_changed_rule_writes_the_object_again() {
    for mut world in World::on_both().await {
        let css_for = |cache: &str| {
            let css = format!("*.css: Cache-Control={cache}");
            let others = [
                "*.txt.gz: Content-Encoding=gzip",
                "special.css: Content-Type=text/x-special",
            ];
            testing::headers(&[&css, others[0], others[1]])
        };
        world.config.headers = css_for("max-age=60");
        for path in ["style.css", "special.css", "table.parquet", "a.txt.gz", "unknown.zzz"] {
            world.write(path, path);
        }
        world.exported().await;
        let style = world.head("style.css").await;
        assert_eq!(
            style.content_type(),
            Some("text/css; charset=utf-8"),
            "{}",
            world.name()
        );
        assert_eq!(style.cache_control(), Some("max-age=60"), "{}", world.name());
        let special = world.head("special.css").await;
        assert_eq!(special.content_type(), Some("text/x-special"), "{}", world.name());
        let packed = world.head("a.txt.gz").await;
        assert_eq!(packed.content_encoding(), Some("gzip"), "{}", world.name());
        let table = world.head("table.parquet").await;
        assert_eq!(
            table.content_type(),
            Some("application/vnd.apache.parquet"),
            "{}",
            world.name()
        );
        let mark = table.metadata().unwrap()["lakesync"].clone();
        let id = blake3::hash(b"table.parquet").to_hex();
        assert!(mark.ends_with(&format!("/b3:{id}")), "{mark}");

        world.config.headers = css_for("no-cache");
        let counts = world.exported().await.counts;
        assert_eq!((counts.put + counts.copied, counts.kept), (2, 3), "{}", world.name());
        let style = world.head("style.css").await;
        assert_eq!(style.cache_control(), Some("no-cache"), "{}", world.name());
        assert_eq!(
            style.content_type(),
            Some("text/css; charset=utf-8"),
            "{}",
            world.name()
        );
    }
}

#[tokio::test]
async fn mode_and_mtime_are_metadata_where_asked_for() {
    for mut world in World::on_both().await {
        world.write("run.sh", "#!/bin/sh");
        let file = world.tree().join("run.sh");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
        std::fs::File::open(&file).unwrap().set_modified(then).unwrap();
        world.exported().await;
        let metadata = |head: &aws_sdk_s3::operation::head_object::HeadObjectOutput, name: &str| {
            head.metadata().and_then(|all| all.get(name)).cloned()
        };
        let head = world.head("run.sh").await;
        assert_eq!((metadata(&head, "mode"), metadata(&head, "mtime")), (None, None));

        world.config.headers = Arc::new(HeaderRules::new(&[], true, true).unwrap());
        let counts = world.exported().await.counts;
        assert_eq!(counts.put + counts.copied, 1);
        let head = world.head("run.sh").await;
        let mode = metadata(&head, "mode").unwrap();
        assert!(mode.ends_with("755"), "{mode}");
        let mtime = metadata(&head, "mtime").unwrap();
        assert!(mtime.starts_with("1600000000"), "{mtime}");
    }
}
