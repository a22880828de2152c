use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::time::Instant;

use super::*;
use crate::store::Capabilities;
use crate::store::memory::MemoryStore;

fn memory() -> MemoryStore {
    let memory = MemoryStore::new("bucket".parse().unwrap(), Capabilities::ALL);
    memory.allow_unconditional(|_| true);
    memory
}

fn faulty(memory: &MemoryStore, script: impl FaultScript + 'static) -> FaultyStore {
    FaultyStore::new(Arc::new(memory.clone()), script)
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text)
}

async fn put(store: &FaultyStore, name: &str) -> Result<Written, StoreErrorKind> {
    let put = Put::new("0123456789", Condition::Always);
    store.put(&key(name), put).await.map_err(|error| error.kind)
}

fn has(memory: &MemoryStore, name: &str) -> bool {
    memory.object(&key(name)).is_some()
}

#[tokio::test]
async fn a_fault_before_has_no_effect_and_one_after_has_it() {
    let memory = memory();
    let script = Script(|call: &Call| match call.number {
        0 => Fault::Before(StoreErrorKind::Throttled),
        1 => Fault::After(StoreErrorKind::NoReply),
        _ => Fault::None,
    });
    let store = faulty(&memory, script);
    assert_eq!(put(&store, "a").await, Err(StoreErrorKind::Throttled));
    assert!(!has(&memory, "a") && memory.log().is_empty());
    assert_eq!(put(&store, "b").await, Err(StoreErrorKind::NoReply));
    assert!(has(&memory, "b"));
    put(&store, "c").await.unwrap();
    assert_eq!(store.calls(), 3);
}

#[tokio::test]
async fn a_fault_after_does_not_hide_the_answer_of_a_store_that_refused() {
    let memory = memory();
    memory.foreign_put(&key("a"), "theirs");
    let store = faulty(
        &memory,
        Every {
            n: 1,
            fault: Fault::After(StoreErrorKind::NoReply),
        },
    );
    let outcome = store.put(&key("a"), Put::new("ours", Condition::Absent)).await;
    assert_eq!(outcome.unwrap_err().kind, StoreErrorKind::ConditionFailed);
}

#[tokio::test(start_paused = true)]
async fn delays_come_before_or_after_the_effect() {
    let memory = memory();
    let delay = Duration::from_secs(7);
    for (fault, lands_at) in [(Fault::Delay(delay), delay), (Fault::DelayAfter(delay), Duration::ZERO)] {
        memory.clear_log();
        let begun = Instant::now();
        let started = memory_age(&memory).await;
        put(&faulty(&memory, Nth { number: 0, fault }), "a").await.unwrap();
        assert_eq!(begun.elapsed(), delay);
        assert_eq!(memory.log().pop().unwrap().at - started, lands_at);
    }
}

async fn memory_age(memory: &MemoryStore) -> Duration {
    memory.bucket_facts().await.unwrap();
    memory.log().pop().unwrap().at
}

#[tokio::test(start_paused = true)]
async fn what_hangs_is_never_answered_with_its_effect_or_without() {
    let memory = memory();
    for (fault, lands) in [(Fault::Hang, false), (Fault::HangAfter, true)] {
        memory.foreign_delete(&key("a"));
        let store = faulty(&memory, Nth { number: 0, fault });
        let answer = tokio::time::timeout(Duration::from_secs(3_600), put(&store, "a")).await;
        assert!(answer.is_err());
        assert_eq!(has(&memory, "a"), lands);
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_request_lands_although_its_caller_is_gone() {
    let memory = memory();
    let after = Duration::from_secs(60);
    for answer in [Some(StoreErrorKind::NoReply), None] {
        memory.foreign_delete(&key("a"));
        let store = faulty(
            &memory,
            Nth {
                number: 0,
                fault: Fault::LandLate {
                    after,
                    answer: answer.clone(),
                },
            },
        );
        let told = tokio::time::timeout(Duration::from_secs(59), put(&store, "a")).await;
        assert_eq!(told.ok(), answer.map(Err));
        drop(store);
        assert!(!has(&memory, "a"));
        tokio::time::sleep(after + Duration::from_secs(1)).await;
        assert!(has(&memory, "a"));
    }
}

#[tokio::test]
async fn a_cut_get_gives_half_of_what_was_asked_for_and_then_an_error() {
    let memory = memory();
    let text: Vec<u8> = (0..10_000_u32).map(|number| (number % 251) as u8).collect();
    memory.foreign_put(&key("a"), text.clone());
    let store = faulty(
        &memory,
        Every {
            n: 1,
            fault: Fault::Cut,
        },
    );
    for (range, half) in [
        (None, &text[..5_000]),
        (Some(100..300), &text[100..200]),
        (Some(9_000..u64::MAX), &text[9_000..9_500]),
    ] {
        let mut body = store.get(&key("a"), range).await.unwrap().body;
        let mut got = Vec::new();
        let error = loop {
            match body.next().await.expect("the error comes before the end") {
                Ok(chunk) => got.extend_from_slice(&chunk),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind, StoreErrorKind::NoReply);
        assert_eq!(got, half);
        assert!(body.next().await.is_none());
    }
    assert_eq!(put(&store, "b").await, Err(StoreErrorKind::NoReply));
    assert!(!has(&memory, "b"));
}

#[tokio::test]
async fn every_method_asks_the_script_and_names_itself_rightly() {
    let memory = memory();
    let store = faulty(
        &memory,
        Every {
            n: 1,
            fault: Fault::Before(StoreErrorKind::Denied),
        },
    );
    let (name, headers) = (key("k"), ObjectHeaders::default());
    let upload = Upload {
        key: name.clone(),
        id: "u".to_owned(),
        initiated: None,
    };
    let from = CopySource {
        bucket: "bucket".parse().unwrap(),
        key: key("f"),
        etag: Some(ETag::new("e")),
        size: 1,
    };
    let condition = Condition::Absent;
    let batch = [(name.clone(), None)];
    fn told<T>(outcome: Result<T, StoreError>) -> StoreError {
        outcome.err().expect("each call is spoiled")
    }
    let calls: Vec<BoxFuture<'_, StoreError>> = vec![
        store.get(&name, None).map(told).boxed(),
        store.head(&name).map(told).boxed(),
        store.list("k", None, 1).map(told).boxed(),
        store.put(&name, Put::new("x", Condition::Absent)).map(told).boxed(),
        store.copy(&from, &name, &condition, &headers).map(told).boxed(),
        store.create_upload(&name, &headers, Checksum::None).map(told).boxed(),
        store
            .upload_part(&upload, 1, Bytes::new(), Checksum::None, None)
            .map(told)
            .boxed(),
        store.upload_part_copy(&upload, 1, &from, 0..1).map(told).boxed(),
        store.complete_upload(&upload, &[], &condition).map(told).boxed(),
        store.abort_upload(&upload).map(told).boxed(),
        store.list_uploads("k", None).map(told).boxed(),
        store.delete(&name, &condition).map(told).boxed(),
        store.delete_many(&batch).map(told).boxed(),
    ];
    let mut kinds = Vec::new();
    for call in calls {
        let error = call.await;
        assert_eq!(
            (error.kind, error.place.as_str()),
            (StoreErrorKind::Denied, "s3://bucket/k")
        );
        kinds.push(error.request);
    }
    kinds.push(told(store.bucket_facts().await).request);
    assert_eq!(
        kinds,
        [
            RequestKind::Get,
            RequestKind::Head,
            RequestKind::List,
            RequestKind::Put,
            RequestKind::Copy,
            RequestKind::CreateUpload,
            RequestKind::UploadPart,
            RequestKind::UploadPartCopy,
            RequestKind::CompleteUpload,
            RequestKind::AbortUpload,
            RequestKind::ListUploads,
            RequestKind::Delete,
            RequestKind::DeleteMany,
            RequestKind::BucketFacts
        ]
    );
    assert!(memory.log().is_empty());
    assert_eq!(store.calls(), 14);
}

#[tokio::test]
async fn without_faults_every_method_reaches_the_store_as_it_was_called() {
    let memory = memory();
    memory.set_min_part_bytes(1);
    let store = faulty(&memory, NoFaults);
    let (name, headers) = (key("a"), ObjectHeaders::default());
    let written = put(&store, "a").await.unwrap();
    let from = CopySource {
        bucket: "bucket".parse().unwrap(),
        key: name.clone(),
        etag: Some(written.etag.clone()),
        size: 10,
    };
    store
        .copy(&from, &key("b"), &Condition::Absent, &headers)
        .await
        .unwrap();
    let upload = store.create_upload(&key("c"), &headers, Checksum::None).await.unwrap();
    let first = store
        .upload_part(&upload, 1, Bytes::from_static(b"xy"), Checksum::None, None)
        .await
        .unwrap();
    let second = store.upload_part_copy(&upload, 2, &from, 1..3).await.unwrap();
    assert_eq!(store.list_uploads("c", None).await.unwrap().uploads.len(), 1);
    store
        .complete_upload(&upload, &[first, second], &Condition::Absent)
        .await
        .unwrap();
    store.abort_upload(&upload).await.unwrap();
    let (_, bytes) = store.get(&key("c"), Some(1..9)).await.unwrap().bytes().await.unwrap();
    assert_eq!(bytes, "y12");
    assert_eq!(store.head(&name).await.unwrap().etag, written.etag);
    assert_eq!(store.list("", None, 2).await.unwrap().objects.len(), 2);
    store.delete(&name, &Condition::Matches(written.etag)).await.unwrap();
    store.delete_many(&[(key("b"), None), (key("c"), None)]).await.unwrap();
    store.bucket_facts().await.unwrap();
    assert!(memory.objects().is_empty());
    assert_eq!(store.calls(), memory.log().len() as u64);
    assert!(memory.log().iter().all(|call| call.ok));
}

#[tokio::test]
async fn scripts_spoil_the_calls_they_say() {
    async fn spoiled(script: impl FaultScript + 'static) -> Vec<u64> {
        let store = faulty(&memory(), script);
        let mut spoiled = Vec::new();
        for number in 0..8 {
            let name = if number % 2 == 0 { "even/x" } else { "odd/y" };
            let failed = if number < 4 {
                put(&store, name).await.is_err()
            } else {
                store.head(&key(name)).await.is_err()
            };
            if failed {
                spoiled.push(number);
            }
        }
        spoiled
    }
    let fault = Fault::After(StoreErrorKind::NoReply);
    assert_eq!(spoiled(NoFaults).await, Vec::<u64>::new());
    assert_eq!(
        spoiled(Nth {
            number: 5,
            fault: fault.clone()
        })
        .await,
        [5]
    );
    assert_eq!(
        spoiled(Every {
            n: 3,
            fault: fault.clone()
        })
        .await,
        [2, 5]
    );
    assert_eq!(
        spoiled(Every {
            n: 0,
            fault: fault.clone()
        })
        .await,
        Vec::<u64>::new()
    );
    let matching = || Matching::new(fault.clone());
    assert_eq!(spoiled(matching()).await, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(spoiled(matching().kind(RequestKind::Head)).await, [4, 5, 6, 7]);
    assert_eq!(spoiled(matching().key_prefix("odd/")).await, [1, 3, 5, 7]);
    assert_eq!(spoiled(matching().key_contains("n/x")).await, [0, 2, 4, 6]);
    assert_eq!(spoiled(matching().key_prefix("odd/").skip(1).times(2)).await, [3, 5]);
}
