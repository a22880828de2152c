mod multipart;

use std::sync::Arc;

use super::*;
use crate::model::{ContentId, Mark, RunId};
use crate::store::{
    Checksum, Condition, CopySource, Fetched, ObjectHeaders, Part, Put, Store, StoreError, WriteClass, Written,
};

fn store() -> MemoryStore {
    store_with(|_| {})
}

fn store_with(change: impl FnOnce(&mut Capabilities)) -> MemoryStore {
    let mut capabilities = Capabilities::ALL;
    change(&mut capabilities);
    MemoryStore::new("bucket".parse().unwrap(), capabilities)
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text)
}

fn body(store: &MemoryStore, name: &str) -> String {
    let object = store.object(&key(name)).expect("the object is there");
    String::from_utf8(object.bytes.to_vec()).unwrap()
}

async fn put(store: &MemoryStore, name: &str, text: &str, condition: Condition) -> Result<Written, StoreErrorKind> {
    kind(store.put(&key(name), Put::new(text.to_owned(), condition)).await)
}

fn kind<T>(outcome: Result<T, StoreError>) -> Result<T, StoreErrorKind> {
    outcome.map_err(|error| error.kind)
}

fn source(name: &str, etag: &ETag, size: u64) -> CopySource {
    CopySource {
        bucket: "bucket".parse().unwrap(),
        key: key(name),
        etag: Some(etag.clone()),
        size,
    }
}

fn refusal(status: u16, code: &str) -> StoreErrorKind {
    StoreErrorKind::Refused {
        status,
        code: code.to_owned(),
    }
}

async fn upload(store: &MemoryStore, name: &str, parts: &[&str]) -> (Upload, Vec<Part>) {
    let headers = ObjectHeaders::default();
    let upload = store.create_upload(&key(name), &headers, Checksum::None).await.unwrap();
    let mut sent = Vec::new();
    for (number, part) in (1..).zip(parts) {
        let bytes = Bytes::from((*part).to_owned());
        sent.push(
            store
                .upload_part(&upload, number, bytes, Checksum::None, None)
                .await
                .unwrap(),
        );
    }
    (upload, sent)
}

#[tokio::test]
async fn conditions_of_a_put_hold() {
    let store = store();
    let first = put(&store, "a", "1", Condition::Absent).await.unwrap();
    assert_eq!(
        put(&store, "a", "2", Condition::Absent).await,
        Err(StoreErrorKind::ConditionFailed)
    );
    let second = put(&store, "a", "2", Condition::Matches(first.etag.clone()))
        .await
        .unwrap();
    assert_eq!(
        put(&store, "a", "3", Condition::Matches(first.etag)).await,
        Err(StoreErrorKind::ConditionFailed)
    );
    assert_eq!(
        put(&store, "b", "3", Condition::Matches(second.etag.clone())).await,
        Err(StoreErrorKind::NotFound)
    );
    store.set_missing_match(StoreErrorKind::ConditionFailed);
    assert_eq!(
        put(&store, "b", "3", Condition::Matches(second.etag)).await,
        Err(StoreErrorKind::ConditionFailed)
    );
    assert_eq!(body(&store, "a"), "2");
    assert_eq!(store.objects().len(), 1);
    assert_eq!(store.violations(), []);
}

#[tokio::test]
async fn a_header_that_is_not_honoured_is_ignored_and_each_one_for_itself() {
    let store = store_with(|can| {
        can.put_absent = false;
        can.delete_many_matches = false;
        can.copy_matches = false;
    });
    let wrong = ETag::new("wrong");
    put(&store, "a", "1", Condition::Absent).await.unwrap();
    let now = put(&store, "a", "2", Condition::Absent).await.unwrap();
    assert_eq!(
        put(&store, "a", "3", Condition::Matches(wrong.clone())).await,
        Err(StoreErrorKind::ConditionFailed)
    );
    let from = source("a", &now.etag, 1);
    let headers = ObjectHeaders::default();
    put(&store, "b", "old", Condition::Absent).await.unwrap();
    assert_eq!(
        kind(store.copy(&from, &key("b"), &Condition::Absent, &headers).await),
        Err(StoreErrorKind::ConditionFailed)
    );
    kind(
        store
            .copy(&from, &key("b"), &Condition::Matches(wrong.clone()), &headers)
            .await,
    )
    .unwrap();
    assert_eq!(body(&store, "b"), "2");
    assert_eq!(
        kind(store.delete(&key("b"), &Condition::Matches(wrong.clone())).await),
        Err(StoreErrorKind::ConditionFailed)
    );
    let outcomes = store.delete_many(&[(key("b"), Some(wrong))]).await.unwrap();
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(store.object(&key("b")), None);
}

#[tokio::test]
async fn a_batch_of_deletes_judges_each_key_alone_and_keeps_their_order() {
    let store = store();
    let a = put(&store, "a", "1", Condition::Absent).await.unwrap();
    put(&store, "b", "2", Condition::Absent).await.unwrap();
    let batch = [
        (key("gone"), Some(a.etag.clone())),
        (key("a"), Some(a.etag.clone())),
        (key("b"), Some(a.etag)),
    ];
    let outcomes: Vec<_> = store.delete_many(&batch).await.unwrap().into_iter().map(kind).collect();
    assert_eq!(
        outcomes,
        [
            Err(StoreErrorKind::NotFound),
            Ok(()),
            Err(StoreErrorKind::ConditionFailed)
        ]
    );
    assert_eq!(store.objects().into_keys().collect::<Vec<_>>(), [key("b")]);
    let logged = store.log().pop().unwrap();
    assert_eq!(
        logged.batch,
        [(key("gone"), false), (key("a"), true), (key("b"), false)]
    );
    assert_eq!(
        kind(store.delete_many(&[]).await).err(),
        Some(refusal(400, "MalformedXML"))
    );
}

#[tokio::test]
async fn a_copy_asks_for_both_etags_and_takes_only_the_new_headers() {
    let store = store();
    let mut with_type = Put::new("text", Condition::Absent);
    with_type.headers.content_type = Some("text/plain".to_owned());
    let written = store.put(&key("a"), with_type).await.unwrap();
    let headers = ObjectHeaders {
        cache_control: Some("no-cache".to_owned()),
        ..ObjectHeaders::default()
    };
    let stale = source("a", &ETag::new("stale"), 4);
    assert_eq!(
        kind(store.copy(&stale, &key("b"), &Condition::Absent, &headers).await),
        Err(StoreErrorKind::ConditionFailed)
    );
    let missing = source("none", &written.etag, 4);
    assert_eq!(
        kind(store.copy(&missing, &key("b"), &Condition::Absent, &headers).await),
        Err(StoreErrorKind::NotFound)
    );
    let fresh = source("a", &written.etag, 4);
    let copied = store
        .copy(&fresh, &key("b"), &Condition::Absent, &headers)
        .await
        .unwrap();
    assert_eq!(copied.etag, written.etag);
    assert_eq!(store.head(&key("b")).await.unwrap().headers, headers);
    let again = store
        .copy(&fresh, &key("b"), &Condition::Matches(ETag::new("x")), &headers)
        .await;
    assert_eq!(kind(again), Err(StoreErrorKind::ConditionFailed));
    let elsewhere = CopySource {
        bucket: "other".parse().unwrap(),
        ..fresh
    };
    let across = store.copy(&elsewhere, &key("c"), &Condition::Absent, &headers).await;
    assert_eq!(kind(across), Err(StoreErrorKind::NoSuchBucket));
}

#[tokio::test]
async fn a_file_stands_beside_a_folder_only_where_the_store_can() {
    for can in [true, false] {
        let store = store_with(|capabilities| capabilities.file_beside_folder = can);
        put(&store, "a", "file", Condition::Absent).await.unwrap();
        put(&store, "d/e/f", "file", Condition::Absent).await.unwrap();
        put(&store, "d/", "", Condition::Absent).await.unwrap();
        for name in ["a/b", "a/b/c", "a/", "d", "d/e"] {
            let outcome = put(&store, name, "x", Condition::Absent).await;
            assert_eq!(outcome.is_ok(), can, "{name}");
            assert!(can || outcome == Err(StoreErrorKind::Conflict));
        }
        put(&store, "a.b", "x", Condition::Absent).await.unwrap();
        put(&store, "d/e.f", "x", Condition::Absent).await.unwrap();
        put(&store, "ab/c", "x", Condition::Absent).await.unwrap();
    }
}

#[tokio::test]
async fn odd_keys_are_kept_or_come_back_otherwise() {
    let exact = store();
    let bent = store_with(|can| can.odd_keys = false);
    for store in [&exact, &bent] {
        put(store, "k//./x", "1", Condition::Absent).await.unwrap();
    }
    assert_eq!(exact.objects().into_keys().collect::<Vec<_>>(), [key("k//./x")]);
    assert_eq!(bent.objects().into_keys().collect::<Vec<_>>(), [key("k/x")]);
    assert_eq!(
        put(&exact, &"k".repeat(1_025), "1", Condition::Absent).await,
        Err(refusal(400, "KeyTooLongError"))
    );
}

#[tokio::test]
async fn a_write_without_a_condition_is_a_violation_outside_of_what_is_allowed() {
    let store = store();
    put(&store, "x/_lakesync/root.json", "1", Condition::Always)
        .await
        .unwrap();
    put(&store, "_lakesync/lease.json", "1", Condition::Always)
        .await
        .unwrap();
    assert_eq!(store.violations(), []);
    let written = put(&store, "x/data", "1", Condition::Always).await.unwrap();
    let from = source("x/data", &written.etag, 1);
    store
        .copy(&from, &key("x/copy"), &Condition::Always, &ObjectHeaders::default())
        .await
        .unwrap();
    store.delete(&key("x/data"), &Condition::Always).await.unwrap();
    store.delete_many(&[(key("x/copy"), None)]).await.unwrap();
    let (upload, parts) = upload(&store, "x/big", &["a"]).await;
    store
        .complete_upload(&upload, &parts, &Condition::Always)
        .await
        .unwrap();
    let kinds: Vec<RequestKind> = store.violations().iter().map(|violation| violation.kind).collect();
    assert_eq!(
        kinds,
        [
            RequestKind::Put,
            RequestKind::Copy,
            RequestKind::Delete,
            RequestKind::DeleteMany,
            RequestKind::CompleteUpload
        ]
    );
    store.allow_unconditional(|key| key.as_str().starts_with("x/"));
    put(&store, "x/data", "1", Condition::Always).await.unwrap();
    assert_eq!(store.violations().len(), 5);
}

#[tokio::test]
async fn metadata_is_what_s3_can_carry() {
    let store = store();
    let with = |name: &str, value: String| {
        let mut put = Put::new("x", Condition::Absent);
        put.headers.metadata.insert(name.to_owned(), value);
        put
    };
    let long = store.put(&key("a"), with("n", "v".repeat(2_048))).await;
    assert_eq!(kind(long), Err(refusal(400, "MetadataTooLarge")));
    store.put(&key("a"), with("n", "v".repeat(2_047))).await.unwrap();
    assert_eq!(store.violations(), []);
    for (name, value) in [("N", "v"), ("n", "ä"), ("n", "a\nb"), ("lakesync", "v")] {
        let seen = store.violations().len();
        store
            .put(&key(&format!("b{seen}")), with(name, value.to_owned()))
            .await
            .unwrap();
        assert_eq!(store.violations().len(), seen + 1, "{name}: {value}");
    }
}

#[tokio::test]
async fn the_mark_comes_back_and_the_class_only_in_the_inspection() {
    let store = store();
    let mut put = Put::new("x", Condition::Absent);
    put.headers.mark = Some(Mark {
        run: RunId::from_parts(1, 2),
        content: ContentId::Blake3([3; 32]),
    });
    put.headers.class = Some(Arc::new(WriteClass::default()));
    let sent = put.headers.clone();
    store.put(&key("a"), put).await.unwrap();
    let told = store.head(&key("a")).await.unwrap().headers;
    assert_eq!((told.mark, told.class), (sent.mark.clone(), None));
    assert_eq!(store.object(&key("a")).unwrap().meta.headers, sent);
}

#[tokio::test]
async fn a_body_comes_in_chunks_and_a_range_may_end_behind_the_object() {
    let store = store();
    let text: String = (0..10_000_u32)
        .map(|number| char::from(b'a' + (number % 26) as u8))
        .collect();
    put(&store, "a", &text, Condition::Absent).await.unwrap();
    put(&store, "empty", "", Condition::Absent).await.unwrap();
    let whole = store.get(&key("a"), None).await.unwrap();
    assert_eq!(whole.bytes().await.unwrap().1, text.as_bytes());
    let end = store.get(&key("a"), Some(9_998..u64::MAX)).await.unwrap();
    assert_eq!(end.meta.size, 10_000);
    assert_eq!(end.bytes().await.unwrap().1, &text.as_bytes()[9_998..]);
    let bad = async |name: &str, range| kind(store.get(&key(name), Some(range)).await).map(|_: Fetched| ());
    assert_eq!(bad("a", 10_000..10_001).await, Err(refusal(416, "InvalidRange")));
    assert_eq!(bad("empty", 0..10).await, Err(refusal(416, "InvalidRange")));
    assert_eq!(bad("none", 0..10).await, Err(StoreErrorKind::NotFound));
}

#[tokio::test]
async fn listings_come_in_byte_order_and_pages_join_without_loss() {
    let store = store();
    let mut names = ["p/b", "p/a/x", "p/a-x", "p/a", "p/ä", "p/Z", "q"];
    for name in names {
        put(&store, name, "x", Condition::Absent).await.unwrap();
        upload(&store, name, &[]).await;
    }
    names.sort_unstable();
    for limit in 1..=7 {
        let (mut seen, mut token) = (Vec::new(), None);
        loop {
            let page = store.list("p/", token.as_deref(), limit).await.unwrap();
            assert!(page.objects.len() <= usize::from(limit));
            seen.extend(page.objects.into_iter().map(|row| row.key.as_str().to_owned()));
            token = page.next;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, names[..6]);
    }
    store.set_page_limit(4);
    let first = store.list_uploads("p/", None).await.unwrap();
    assert!(first.uploads.iter().all(|upload| upload.initiated.is_some()));
    let second = store.list_uploads("p/", first.next.as_deref()).await.unwrap();
    assert_eq!((first.uploads.len(), second.uploads.len(), second.next), (4, 2, None));
    assert_eq!(store.list("", None, 1_000).await.unwrap().objects.len(), 4);
    for (token, limit) in [(None, 0), (None, 1_001), (Some("p/a"), 10)] {
        assert_eq!(
            kind(store.list("p/", token, limit).await).map(drop),
            Err(refusal(400, "InvalidArgument"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_clock_has_whole_seconds_follows_tokio_and_can_be_wrong() {
    let store = store();
    let first = put(&store, "a", "1", Condition::Absent).await.unwrap();
    assert_eq!(first.date.unwrap().to_string(), "2026-01-01T00:00:00Z");
    tokio::time::advance(Duration::from_millis(1_900)).await;
    store.set_clock_skew(SignedDuration::from_mins(5));
    let seen = store.head(&key("a")).await.unwrap();
    assert_eq!(seen.last_modified, first.date);
    assert_eq!(seen.date.unwrap().to_string(), "2026-01-01T00:05:01Z");
    store.set_clock_skew(SignedDuration::from_secs(-10));
    assert_eq!(store.now().to_string(), "2025-12-31T23:59:52Z");
    assert_eq!(store.log()[1].at, Duration::from_millis(1_900));
}

#[tokio::test]
async fn a_call_dropped_before_it_was_polled_to_its_end_may_have_had_its_effect() {
    let store = store();
    let name = key("a");
    let mut call = Box::pin(store.put(&name, Put::new("x", Condition::Absent)));
    assert!(futures::poll!(&mut call).is_pending());
    assert_eq!(store.object(&name), None);
    tokio::task::yield_now().await;
    assert!(futures::poll!(&mut call).is_pending());
    assert!(store.object(&name).is_some());
    drop(call);
    assert_eq!(store.count(RequestKind::Put), 1);
}

#[tokio::test]
async fn strangers_go_past_rules_and_log() {
    let store = store();
    let etag = store.foreign_put(&key("a"), "theirs");
    let seen = store.head(&key("a")).await.unwrap();
    assert_eq!((seen.etag, seen.size), (etag, 6));
    assert!(store.foreign_delete(&key("a")));
    assert!(!store.foreign_delete(&key("a")));
    assert_eq!(kind(store.head(&key("a")).await), Err(StoreErrorKind::NotFound));
    assert_eq!(store.violations(), []);
    let log = store.log();
    assert_eq!(log.iter().map(|call| call.ok).collect::<Vec<_>>(), [true, false]);
    assert_eq!(store.counts(), BTreeMap::from([(RequestKind::Head, 2)]));
    store.clear_log();
    assert_eq!(store.log(), []);
}

#[tokio::test]
async fn a_versioned_bucket_names_a_new_version_for_each_write() {
    let store = store();
    assert_eq!(put(&store, "a", "1", Condition::Absent).await.unwrap().version_id, None);
    store.set_versioning(Versioning::Enabled);
    let first = put(&store, "b", "1", Condition::Absent).await.unwrap();
    let second = put(&store, "b", "1", Condition::Matches(first.etag.clone()))
        .await
        .unwrap();
    assert_eq!(first.etag, second.etag);
    assert!(first.version_id.is_some() && first.version_id != second.version_id);
    assert_eq!(store.head(&key("b")).await.unwrap().version_id, second.version_id);
    let facts = store.bucket_facts().await.unwrap();
    assert_eq!(facts.versioning, Some(Versioning::Enabled));
}
