//! The door itself: it changes nothing, counts all, and jams when told to.

use std::time::Duration;

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use lakesync::store::RequestKind;

use super::{Action, Wire};
use crate::servers;

#[tokio::test]
async fn all_that_goes_through_is_signed_right_and_counted_by_kind() {
    for server in servers::both() {
        let bucket = server.new_bucket().await;
        let wire = Wire::open(server).await;
        let client = server.client_at(&wire.endpoint);
        let name = bucket.bucket.as_str();
        let key = "a b/ü%?#&+";
        client
            .put_object()
            .bucket(name)
            .key(key)
            .body(b"one".to_vec().into())
            .send()
            .await
            .unwrap();
        let read = client.get_object().bucket(name).key(key).send().await.unwrap();
        assert_eq!(&read.body.collect().await.unwrap().into_bytes()[..], b"one");
        client
            .head_object()
            .bucket(name)
            .key("missing")
            .send()
            .await
            .unwrap_err();
        client.list_objects_v2().bucket(name).send().await.unwrap();
        let upload = client
            .create_multipart_upload()
            .bucket(name)
            .key("parts")
            .send()
            .await
            .unwrap();
        let id = upload.upload_id().unwrap();
        let part = client
            .upload_part()
            .bucket(name)
            .key("parts")
            .upload_id(id)
            .part_number(1);
        let part = part.body(vec![7; 6 << 20].into()).send().await.unwrap();
        let part = CompletedPart::builder()
            .part_number(1)
            .e_tag(part.e_tag().unwrap())
            .build();
        let parts = CompletedMultipartUpload::builder().parts(part).build();
        let complete = client
            .complete_multipart_upload()
            .bucket(name)
            .key("parts")
            .upload_id(id);
        complete.multipart_upload(parts).send().await.unwrap();
        let copy = client
            .copy_object()
            .bucket(name)
            .key("copy")
            .copy_source(format!("{name}/parts"));
        copy.send().await.unwrap();
        client.delete_object().bucket(name).key("copy").send().await.unwrap();

        let kinds: Vec<_> = wire.log().iter().map(|seen| seen.kind.unwrap()).collect();
        assert_eq!(
            kinds,
            [
                RequestKind::Put,
                RequestKind::Get,
                RequestKind::Head,
                RequestKind::List,
                RequestKind::CreateUpload,
                RequestKind::UploadPart,
                RequestKind::CompleteUpload,
                RequestKind::Copy,
                RequestKind::Delete,
            ],
            "{}",
            server.name
        );
        let table = wire.table();
        assert!(table.starts_with("     1 DELETE DeleteObject\n"), "{table}");
        let log = wire.log();
        assert_eq!(log[0].key, key);
        assert_eq!(log[2].status, Some(404));
        assert_eq!(log[5].body_bytes, 6 << 20);
        assert_eq!(bucket.read("parts").await, vec![7; 6 << 20]);
        assert_eq!(bucket.keys().await, [key, "parts"]);
        assert_eq!((wire.count(RequestKind::Put), wire.len()), (1, 9), "{table}");
        wire.reset();
        assert_eq!(wire.len(), 0);
    }
}

#[tokio::test]
async fn a_request_closed_before_has_no_effect_and_one_closed_after_has() {
    let server = servers::versitygw();
    let bucket = server.new_bucket().await;
    let wire = Wire::open(server).await;
    let client = server.client_at(&wire.endpoint);
    wire.on_request(1, Action::CloseBefore);
    wire.on_request(2, Action::CloseAfter);
    for key in ["before", "after", "healthy"] {
        let put = client.put_object().bucket(bucket.bucket.as_str()).key(key);
        assert_eq!(
            put.body(b"x".to_vec().into()).send().await.is_ok(),
            key == "healthy",
            "{key}"
        );
    }
    assert_eq!(bucket.keys().await, ["after", "healthy"]);
    let statuses: Vec<_> = wire.log().iter().map(|seen| seen.status).collect();
    assert_eq!(statuses, [None, Some(200), Some(200)]);
}

#[tokio::test]
async fn a_frozen_wire_lets_nothing_through_until_it_thaws() {
    let server = servers::versitygw();
    for (action, landed) in [(Action::FreezeBefore, 0), (Action::FreezeAfter, 1)] {
        let bucket = server.new_bucket().await;
        let wire = Wire::open(server).await;
        let client = server.client_at(&wire.endpoint);
        wire.on_request(1, action);
        let put = client
            .put_object()
            .bucket(bucket.bucket.as_str())
            .key("one")
            .body(b"x".to_vec().into());
        let mut put = tokio::spawn(put.send());
        wire.reached(1).await;
        assert_eq!(bucket.keys().await.len(), landed, "{action:?}");
        let other = client.list_objects_v2().bucket(bucket.bucket.as_str()).send();
        tokio::time::timeout(Duration::from_millis(50), other)
            .await
            .unwrap_err();
        assert!(!put.is_finished(), "{action:?}");
        wire.thaw();
        (&mut put).await.unwrap().unwrap();
        assert_eq!(bucket.keys().await, ["one"], "{action:?}");
    }
}

/// The server never sees what is refused, and sees what is late, unless nobody waits for it any more.
#[tokio::test]
async fn the_weather_refuses_and_delays_and_drops_what_nobody_waits_for() {
    let server = servers::versitygw();
    let bucket = server.new_bucket().await;
    let wire = Wire::open(server).await;
    let client = server.client_at(&wire.endpoint);
    let late = Duration::from_millis(300);
    wire.weather(move |seen| match seen.key.as_str() {
        "refused" => Some(Action::Refuse),
        "late" | "left" => Some(Action::Delay(late)),
        _ => None,
    });
    for (key, arrives) in [("refused", false), ("late", true), ("plain", true)] {
        let put = client.put_object().bucket(bucket.bucket.as_str()).key(key);
        let sent = put.body(vec![b'x'; 100_000].into()).send().await;
        assert_eq!(sent.is_ok(), arrives, "{key}");
        if let Err(error) = sent {
            assert_eq!(error.raw_response().unwrap().status().as_u16(), 503);
            let text = format!("{error:?}");
            assert!(text.contains("SlowDown"), "{text}");
        }
    }
    let put = client.put_object().bucket(bucket.bucket.as_str()).key("left");
    let left = tokio::time::timeout(late / 3, put.body(b"x".to_vec().into()).send()).await;
    assert!(left.is_err(), "it was to be late");
    tokio::time::sleep(late).await;
    assert_eq!(bucket.keys().await, ["late", "plain"]);
    let statuses: Vec<_> = wire.log().iter().map(|seen| seen.status).collect();
    assert_eq!(statuses, [Some(503), Some(200), Some(200), None]);
}
