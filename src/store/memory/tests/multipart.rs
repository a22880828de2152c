use super::*;

#[tokio::test]
async fn an_upload_becomes_an_object_once_and_has_the_etag_that_s3_gives() {
    let store = store();
    store.set_min_part_bytes(2);
    let (upload, parts) = upload(&store, "big", &["ab", "cd", "e"]).await;
    assert_eq!(store.object(&key("big")), None);
    assert_eq!(store.uploads().len(), 1);
    let written = store
        .complete_upload(&upload, &parts, &Condition::Absent)
        .await
        .unwrap();
    // Computed with Python's hashlib: the MD5 of the three parts' MD5s.
    assert_eq!(written.etag.as_str(), "b5d55eef9b6106b14530433c1a359920-3");
    assert_eq!(body(&store, "big"), "abcde");
    assert_eq!(store.uploads(), []);
    let gone = Err(StoreErrorKind::NoSuchUpload);
    assert_eq!(
        kind(store.complete_upload(&upload, &parts, &Condition::Always).await),
        gone
    );
    assert_eq!(
        kind(store.upload_part(&upload, 1, Bytes::new(), Checksum::None, None).await).map(drop),
        Err(StoreErrorKind::NoSuchUpload)
    );
    store.abort_upload(&upload).await.unwrap();
    let whole = source("big", &written.etag, 5);
    let copied = store
        .copy(&whole, &key("copy"), &Condition::Absent, &ObjectHeaders::default())
        .await
        .unwrap();
    assert_eq!(copied.etag, state::single_etag(b"abcde"));
}

#[tokio::test]
async fn parts_obey_the_rules_of_the_strictest_store() {
    let store = store();
    store.set_min_part_bytes(2);
    for (parts, answer) in [
        (&["a", "bc"][..], "EntityTooSmall"),
        (&["abc", "ab", "a"], "InvalidPart"),
        (&["ab", "abc"], "InvalidPart"),
    ] {
        let (upload, sent) = upload(&store, "a", parts).await;
        let outcome = store.complete_upload(&upload, &sent, &Condition::Absent).await;
        assert_eq!(kind(outcome), Err(refusal(400, answer)), "{parts:?}");
    }
    let (upload, mut sent) = upload(&store, "a", &["ab", "cd"]).await;
    let complete = async |parts: &[Part]| kind(store.complete_upload(&upload, parts, &Condition::Absent).await);
    assert_eq!(complete(&[]).await, Err(refusal(400, "MalformedXML")));
    sent.reverse();
    assert_eq!(complete(&sent).await, Err(refusal(400, "InvalidPartOrder")));
    sent.reverse();
    let mut wrong = sent.clone();
    wrong[1].etag = ETag::new("other");
    assert_eq!(complete(&wrong).await, Err(refusal(400, "InvalidPart")));
    for number in [0, 10_001] {
        let outcome = store
            .upload_part(&upload, number, Bytes::new(), Checksum::None, None)
            .await;
        assert_eq!(kind(outcome), Err(refusal(400, "InvalidArgument")));
    }
    assert_eq!(store.objects().len(), 0);
    complete(&sent).await.unwrap();
    assert_eq!(body(&store, "a"), "abcd");
}

#[tokio::test]
async fn a_refused_completion_leaves_the_upload_and_an_abort_ends_it() {
    let store = store();
    put(&store, "a", "theirs", Condition::Absent).await.unwrap();
    let (upload, parts) = upload(&store, "a", &["ours"]).await;
    for condition in [Condition::Absent, Condition::Matches(ETag::new("stale"))] {
        let outcome = store.complete_upload(&upload, &parts, &condition).await;
        assert_eq!(kind(outcome), Err(StoreErrorKind::ConditionFailed));
    }
    assert_eq!(store.uploads().len(), 1);
    store.abort_upload(&upload).await.unwrap();
    assert_eq!(store.uploads(), []);
    assert_eq!(body(&store, "a"), "theirs");
}

#[tokio::test]
async fn a_part_is_copied_from_a_range_that_exists() {
    let store = store();
    let written = put(&store, "a", "abcdef", Condition::Absent).await.unwrap();
    let from = source("a", &written.etag, 6);
    let (upload, _) = upload(&store, "b", &[]).await;
    for bad in [4..7, 3..3] {
        let outcome = store.upload_part_copy(&upload, 1, &from, bad).await;
        assert_eq!(kind(outcome), Err(refusal(416, "InvalidRange")));
    }
    let stale = source("a", &ETag::new("stale"), 6);
    assert_eq!(
        kind(store.upload_part_copy(&upload, 1, &stale, 0..2).await),
        Err(StoreErrorKind::ConditionFailed)
    );
    let part = store.upload_part_copy(&upload, 1, &from, 2..6).await.unwrap();
    store
        .complete_upload(&upload, &[part], &Condition::Absent)
        .await
        .unwrap();
    assert_eq!(body(&store, "b"), "cdef");
    let mut less = Capabilities::ALL;
    less.part_copy = false;
    store.set_capabilities(less);
    assert_eq!(
        kind(store.upload_part_copy(&upload, 1, &from, 0..2).await),
        Err(StoreErrorKind::NotSupported)
    );
}
