//! Requests as they go out.

use std::sync::Arc;

use lakesync::model::{ETag, Mark};
use lakesync::store::{
    Checksum, Condition, CopySource, ObjectHeaders, Part, Put, Store as _, StoreErrorKind, Upload, WriteClass,
};

use super::server::{Answer, Seen, Server};
use super::{config, key, store};

const CHECKED: [(Checksum, &str); 5] = [
    (Checksum::Crc64Nvme, "x-amz-checksum-crc64nvme"),
    (Checksum::Crc32c, "x-amz-checksum-crc32c"),
    (Checksum::Crc32, "x-amz-checksum-crc32"),
    (Checksum::Sha256, "x-amz-checksum-sha256"),
    (Checksum::Md5, "content-md5"),
];

fn upload() -> Upload {
    Upload {
        key: key("a"),
        id: "id".to_owned(),
        initiated: None,
    }
}

/// Nothing that frames the body or adds a checksum that nobody asked for.
fn assert_bare(seen: &Seen, checksum: Option<&str>) {
    assert_eq!(seen.header("content-encoding"), None, "{seen:?}");
    assert_eq!(seen.header("x-amz-trailer"), None, "{seen:?}");
    assert_eq!(seen.header("transfer-encoding"), None, "{seen:?}");
    let sums = seen.headers.iter().map(|(name, _)| name.as_str());
    let sums: Vec<&str> = sums
        .filter(|name| name.contains("checksum") || *name == "content-md5")
        .collect();
    assert_eq!(sums, Vec::from_iter(checksum), "{seen:?}");
}

#[tokio::test]
async fn a_checksum_goes_along_and_the_payload_is_hashed_once() {
    let server = Server::start(|_, _| Answer::written()).await;
    let store = store(&server).await;
    for (checksum, header) in CHECKED {
        let mut put = Put::new("hello", Condition::Always);
        put.checksum = checksum;
        store.put(&key("a"), put).await.unwrap();
        let part = store
            .upload_part(&upload(), 1, "hello".into(), checksum, None)
            .await
            .unwrap();
        assert_eq!(part.checksum.is_some(), checksum != Checksum::Md5);
        for seen in server.seen().iter().rev().take(2) {
            assert_eq!(seen.header("x-amz-content-sha256"), Some("UNSIGNED-PAYLOAD"));
            assert_eq!(seen.body, b"hello");
            assert_bare(seen, Some(header));
        }
    }
    assert_eq!(server.seen().len(), 10);
}

#[tokio::test]
async fn without_a_checksum_the_signature_covers_the_payload() {
    let server = Server::start(|_, _| Answer::written()).await;
    let store = store(&server).await;
    store
        .put(&key("a"), Put::new("hello", Condition::Always))
        .await
        .unwrap();
    store
        .upload_part(&upload(), 1, "hello".into(), Checksum::None, None)
        .await
        .unwrap();
    for seen in server.seen() {
        let hash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        assert_eq!(seen.header("x-amz-content-sha256"), Some(hash));
        assert_bare(&seen, None);
    }
}

#[tokio::test]
async fn conditions_headers_and_marks_go_out_as_s3_names_them() {
    let copied = "<CopyObjectResult><ETag>\"e1\"</ETag></CopyObjectResult>";
    let server = Server::start(move |_, seen| match seen.header("x-amz-copy-source") {
        Some(_) => Answer::new(200, "", copied),
        None => Answer::written(),
    })
    .await;
    let mut config = config(&server.url());
    config.request_payer = true;
    config.expected_bucket_owner = Some("123456789012".to_owned());
    config.sse = Some("aws:kms".to_owned());
    config.sse_kms_key_id = Some("key-1".to_owned());
    let store = lakesync::store::S3Store::connect(config).await.unwrap();
    let mark: Mark = format!("01ARZ3NDEKTSV4RRFFQ69G5FAV/b3:{}", "ab".repeat(32))
        .parse()
        .unwrap();
    let headers = ObjectHeaders {
        content_type: Some("text/plain".to_owned()),
        cache_control: Some("no-cache".to_owned()),
        metadata: [("who".to_owned(), "me".to_owned())].into(),
        mark: Some(mark.clone()),
        class: Some(Arc::new(WriteClass {
            storage_class: Some("STANDARD_IA".to_owned()),
            acl: Some("bucket-owner-full-control".to_owned()),
            tagging: Some("a=b".to_owned()),
        })),
        ..ObjectHeaders::default()
    };
    let put = Put {
        headers: headers.clone(),
        ..Put::new("x", Condition::Absent)
    };
    let from = CopySource {
        bucket: "other".parse().unwrap(),
        key: key("a b+é"),
        etag: Some(ETag::new("src")),
        size: 1,
    };
    let written = store.put(&key("p"), put).await.unwrap();
    let matches = Condition::Matches(ETag::new("old"));
    store.copy(&from, &key("c"), &matches, &headers).await.unwrap();
    store.delete(&key("d"), &matches).await.unwrap();
    assert_eq!(written.date.unwrap().to_string(), "2026-11-23T03:00:22Z");

    let seen = server.seen();
    let [put, copy, delete] = &seen[..] else {
        panic!("one request for each: {seen:?}")
    };
    assert_eq!(put.header("if-none-match"), Some("*"));
    assert_eq!(copy.header("if-match"), Some("\"old\""));
    assert_eq!(delete.header("if-match"), Some("\"old\""));
    assert_eq!(copy.header("x-amz-copy-source"), Some("other/a%20b%2B%C3%A9"));
    assert_eq!(copy.header("x-amz-copy-source-if-match"), Some("\"src\""));
    assert_eq!(copy.header("x-amz-metadata-directive"), Some("REPLACE"));
    assert_eq!(copy.header("x-amz-tagging-directive"), Some("REPLACE"));
    for request in [put, copy] {
        for (name, value) in [
            ("content-type", "text/plain"),
            ("cache-control", "no-cache"),
            ("x-amz-meta-who", "me"),
            ("x-amz-meta-lakesync", mark.to_string().as_str()),
            ("x-amz-storage-class", "STANDARD_IA"),
            ("x-amz-acl", "bucket-owner-full-control"),
            ("x-amz-tagging", "a=b"),
            ("x-amz-server-side-encryption", "aws:kms"),
            ("x-amz-server-side-encryption-aws-kms-key-id", "key-1"),
        ] {
            assert_eq!(request.header(name), Some(value), "{name}");
        }
    }
    for request in [put, copy, delete] {
        assert_eq!(request.header("x-amz-request-payer"), Some("requester"));
        assert_eq!(request.header("x-amz-expected-bucket-owner"), Some("123456789012"));
    }
}

#[tokio::test]
async fn metadata_that_no_header_can_hold_is_refused_unsent() {
    let server = Server::start(|_, _| Answer::written()).await;
    let mut put = Put::new("x", Condition::Always);
    put.headers.metadata.insert("author".to_owned(), "Zoë".to_owned());
    let error = store(&server).await.put(&key("a"), put).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::NotSupported);
    assert!(error.to_string().contains("author"), "{error}");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_batch_of_deletes_has_md5_alone_and_its_errors_are_read() {
    let answer = "<DeleteResult>\
        <Error><Key>gone</Key><Code>NoSuchKey</Code></Error>\
        <Error><Key>changed</Key><Code>PreconditionFailed</Code><Message>no</Message></Error>\
        <Error><Key>busy</Key><Code>InternalError</Code></Error>\
        </DeleteResult>";
    let server = Server::start(move |_, _| Answer::new(200, "", answer)).await;
    let store = store(&server).await;
    let etag = Some(ETag::new("e"));
    let keys = ["done", "gone", "changed", "busy"].map(|name| (key(name), etag.clone()));
    let outcomes = store.delete_many(&keys).await.unwrap();
    let kinds = outcomes.into_iter().map(|outcome| outcome.map_err(|error| error.kind));
    let wanted = [
        Ok(()),
        Ok(()),
        Err(StoreErrorKind::ConditionFailed),
        Err(StoreErrorKind::Unavailable),
    ];
    assert_eq!(Vec::from_iter(kinds), wanted);

    let seen = &server.seen()[0];
    assert_bare(seen, Some("content-md5"));
    let body = String::from_utf8(seen.body.clone()).unwrap();
    assert!(body.contains("<Quiet>true</Quiet>"), "{body}");
    assert_eq!(body.matches("<ETag>&quot;e&quot;</ETag>").count(), 4, "{body}");
}

#[tokio::test]
async fn an_error_for_a_key_that_was_not_asked_for_fails_the_batch() {
    let answer = "<DeleteResult><Error><Key>b</Key><Code>AccessDenied</Code></Error></DeleteResult>";
    let server = Server::start(move |_, _| Answer::new(200, "", answer)).await;
    let error = store(&server).await.delete_many(&[(key("a"), None)]).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Denied);
}

#[tokio::test]
async fn a_completion_repeats_etags_and_checksums() {
    let done = "<CompleteMultipartUploadResult><ETag>\"e1-2\"</ETag></CompleteMultipartUploadResult>";
    let server = Server::start(move |_, _| Answer::new(200, "", done)).await;
    let part = Part {
        number: 1,
        etag: ETag::new("p1"),
        checksum: Some((Checksum::Crc64Nvme, "AAAAAAAAAAA=".to_owned())),
    };
    let store = store(&server).await;
    let written = store
        .complete_upload(&upload(), &[part], &Condition::Absent)
        .await
        .unwrap();
    assert_eq!(written.etag.as_str(), "e1-2");
    let seen = &server.seen()[0];
    assert_eq!(seen.header("if-none-match"), Some("*"));
    let body = String::from_utf8(seen.body.clone()).unwrap();
    assert!(body.contains("<ETag>&quot;p1&quot;</ETag>"), "{body}");
    assert!(
        body.contains("<ChecksumCRC64NVME>AAAAAAAAAAA=</ChecksumCRC64NVME>"),
        "{body}"
    );
}

#[tokio::test]
async fn listings_are_asked_for_encoded_and_decoded_page_by_page() {
    let page = |next: &str| {
        format!(
            "<ListBucketResult><EncodingType>url</EncodingType>{next}<Contents><Key>p/a+b%2Bc</Key>\
             <Size>7</Size><ETag>\"e\"</ETag><LastModified>2026-11-23T03:00:22.987Z</LastModified></Contents>\
             </ListBucketResult>"
        )
    };
    let more = page("<IsTruncated>true</IsTruncated><NextContinuationToken>t2</NextContinuationToken>");
    let lost = page("<IsTruncated>true</IsTruncated>");
    let server = Server::start(move |at, _| Answer::new(200, "", if at == 0 { &more } else { &lost })).await;
    let store = store(&server).await;
    let listing = store.list("p/", None, 1000).await.unwrap();
    assert_eq!(listing.next.as_deref(), Some("t2"));
    let row = &listing.objects[0];
    assert_eq!((row.key.as_str(), row.size, row.etag.as_str()), ("p/a b+c", 7, "e"));
    assert_eq!(row.last_modified.unwrap().to_string(), "2026-11-23T03:00:22Z");
    // A page that says there is more, and not where, must not pass for the last.
    store.list("p/", Some("t2"), 1000).await.unwrap_err();
    let seen = server.seen();
    assert!(seen[0].target.contains("encoding-type=url"), "{}", seen[0].target);
    assert!(seen[1].target.contains("continuation-token=t2"), "{}", seen[1].target);
}
