//! Status files: where they go, which stay, and what they say of versions.

use lakesync::export::{ExportError, Refusal, StatusRecords};
use lakesync::model::S3Url;
use lakesync::status::{ExportState, StatusRecord, read_head, read_newest, read_records};

use super::world::World;
use crate::servers;

async fn records(world: &World) -> Vec<StatusRecord> {
    let store = world.store_of(&world.config.status_path).await;
    let newest = read_newest(&store, &world.config.status_path.prefix)
        .await
        .unwrap()
        .unwrap();
    let mut records = Vec::new();
    read_records(&store, &newest.key, |record| records.push(record))
        .await
        .unwrap();
    records
}

async fn status_keys(world: &World) -> Vec<String> {
    let keys = world.bucket.keys().await;
    keys.into_iter().filter(|key| key.contains("_STATUS_")).collect()
}

/// P1: a reader who notes the versions can go on reading one commit while the next arrives.
#[tokio::test]
async fn versions_are_recorded_and_an_unchanged_object_gets_no_new_one() {
    let mut world = World::dir(servers::seaweedfs()).await;
    let client = world.bucket.server.client();
    let bucket = world.bucket.bucket.as_str().to_owned();
    let enabled = aws_sdk_s3::types::VersioningConfiguration::builder()
        .status(aws_sdk_s3::types::BucketVersioningStatus::Enabled)
        .build();
    let request = client.put_bucket_versioning().bucket(&bucket);
    request.versioning_configuration(enabled).send().await.unwrap();
    world.write("stays", "stays");
    world.write("changes", "before");
    world.write("twin", "stays");
    world.exported().await;
    let before = records(&world).await;
    assert!(before.iter().all(|record| record.version_id.is_some()), "{before:?}");
    world.write("changes", "after");
    world.exported().await;
    let after = records(&world).await;
    assert_eq!(before.len(), 3);
    for (old, new) in before.iter().zip(&after) {
        let same = new.path.as_bytes() != b"changes";
        assert_eq!(old == new, same, "{old:?} and {new:?}");
        let request = client
            .get_object()
            .bucket(&bucket)
            .key(world.key(old.path.to_str().unwrap()));
        let reply = request
            .version_id(old.version_id.as_ref().unwrap())
            .send()
            .await
            .unwrap();
        let bytes = reply.body.collect().await.unwrap().to_vec();
        assert_eq!(bytes, if same { b"stays".to_vec() } else { b"before".to_vec() });
    }
    let versions = client
        .list_object_versions()
        .bucket(&bucket)
        .prefix("out/stays")
        .send()
        .await
        .unwrap();
    assert_eq!(versions.versions().len(), 1);
}

#[tokio::test]
async fn a_status_path_in_another_bucket_gets_every_status_file_and_nothing_else() {
    for mut world in World::on_both().await {
        let other = world.bucket.server.new_bucket().await;
        world.config.status_path = format!("s3://{}/state/of/it/", other.bucket).parse().unwrap();
        world.write("a", "1");
        world.exported().await;
        world.write("a", "2");
        world.exported().await;
        let keys = other.keys().await;
        assert_eq!(keys.len(), 2, "{keys:?}");
        assert!(
            keys.iter().all(|key| key.starts_with("state/of/it/_STATUS_")),
            "{keys:?}"
        );
        assert_eq!(status_keys(&world).await, Vec::<String>::new());
        world.wire.reset();
        world.export().await.unwrap();
        assert!(world.wire.len() <= 3, "{}", world.wire.table());
    }
}

/// P9: two places that both say `success` would be one too many.
#[tokio::test]
async fn another_status_path_is_refused_until_told_to_move_which_closes_the_old_file() {
    for mut world in World::on_both().await {
        world.write("a", "1");
        world.exported().await;
        let old = status_keys(&world).await;
        world.config.status_path = format!("s3://{}/moved/", world.bucket.bucket).parse::<S3Url>().unwrap();
        let error = world.tried().await.unwrap_err();
        assert!(
            matches!(error, ExportError::Refused(Refusal::StatusMoved { .. })),
            "{error}"
        );
        world.config.guards.move_status = true;
        world.exported().await;
        let store = world.store_of(&world.config.status_path).await;
        let (head, _) = read_head(&store, &lakesync::model::ObjectKey::new(old[0].as_str()))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(head.status, ExportState::Failure, "{}", world.name());
        assert!(head.message.contains("/moved/"), "{}", head.message);
        world.config.guards.move_status = false;
        world.write("a", "2");
        world.exported().await;
    }
}

/// P9: one status path serves one export path.
#[tokio::test]
async fn a_status_path_of_another_export_is_refused() {
    for mut world in World::on_both().await {
        world.config.status_path = format!("s3://{}/state/", world.bucket.bucket).parse::<S3Url>().unwrap();
        world.write("a", "1");
        world.exported().await;
        world.config.export_path = format!("s3://{}/second/", world.bucket.bucket)
            .parse::<S3Url>()
            .unwrap();
        let error = world.tried().await.unwrap_err();
        assert!(
            matches!(error, ExportError::Refused(Refusal::StatusTaken { .. })),
            "{error}"
        );
        assert_eq!(world.writes(), []);
    }
}

#[tokio::test]
async fn only_the_newest_status_files_are_kept() {
    for mut world in World::on_both().await {
        world.config.keep_status = 3;
        let mut seen = Vec::new();
        for number in 0..6 {
            world.write("a", format!("{number}"));
            world.exported().await;
            let keys = status_keys(&world).await;
            seen.extend(keys.last().cloned());
            assert!(keys.len() <= 3, "{keys:?}");
        }
        assert!(seen.is_sorted(), "names only grow: {seen:?}");
        assert_eq!(status_keys(&world).await, seen[3..]);
    }
}

#[tokio::test]
async fn a_status_file_can_list_only_what_its_run_wrote() {
    let mut world = World::git(servers::versitygw()).await;
    world.write("a", "1");
    world.write("b", "2");
    world.exported().await;
    world.config.status_records = StatusRecords::Changed;
    world.write("b", "3");
    world.tried().await.unwrap();
    let paths: Vec<String> = records(&world)
        .await
        .iter()
        .map(|record| record.path.to_string())
        .collect();
    assert_eq!(paths, ["b"]);
}
