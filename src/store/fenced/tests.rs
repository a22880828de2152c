use super::*;
use crate::clock::VirtualClock;
use crate::store::Capabilities;
use crate::store::faulty::{Fault, FaultyStore, Matching};
use crate::store::memory::MemoryStore;

const DEADLINE: Duration = Duration::from_secs(30);

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text)
}

struct Bench {
    memory: MemoryStore,
    clock: Arc<VirtualClock>,
    watch: Arc<LeaseWatch>,
    fenced: Fenced,
}

fn bench(fault: Fault) -> Bench {
    let memory = MemoryStore::new("bucket".parse().unwrap(), Capabilities::ALL);
    let clock = Arc::new(VirtualClock::new());
    let watch = LeaseWatch::new(Arc::<VirtualClock>::clone(&clock), Duration::from_secs(60));
    let faulty = FaultyStore::new(Arc::new(memory.clone()), Matching::new(fault));
    let ledger = Prefix::new("export/_lakesync/");
    Bench {
        fenced: Fenced::new(Arc::new(faulty), Arc::clone(&watch), DEADLINE, ledger),
        memory,
        clock,
        watch,
    }
}

fn put() -> Put {
    Put::new("bytes", Condition::Absent)
}

/// Every write there is, by a store in which each would fail one way or the other.
async fn all_writes(store: &Fenced) -> Vec<Option<StoreErrorKind>> {
    let (key, headers) = (key("export/a"), ObjectHeaders::default());
    let upload = Upload {
        key: key.clone(),
        id: "id".to_owned(),
        initiated: None,
    };
    let source = CopySource {
        bucket: store.bucket().clone(),
        key: key.clone(),
        etag: Some(ETag::new("e")),
        size: 1,
    };
    let always = Condition::Always;
    fn kind<T>(outcome: Result<T, StoreError>) -> Option<StoreErrorKind> {
        outcome.err().map(|error| error.kind)
    }
    vec![
        kind(store.put(&key, put()).await),
        kind(store.copy(&source, &key, &always, &headers).await),
        kind(store.create_upload(&key, &headers, Checksum::None).await),
        kind(store.upload_part(&upload, 1, Bytes::new(), Checksum::None, None).await),
        kind(store.upload_part_copy(&upload, 1, &source, 0..1).await),
        kind(store.complete_upload(&upload, &[], &always).await),
        kind(store.abort_upload(&upload).await),
        kind(store.delete(&key, &always).await),
        kind(store.delete_many(&[(key.clone(), None)]).await),
    ]
}

#[tokio::test(start_paused = true)]
async fn no_write_of_any_kind_is_sent_under_a_lost_lease_and_reads_pass() {
    let bench = bench(Fault::None);
    bench.watch.lose();
    for kind in all_writes(&bench.fenced).await {
        assert_eq!(kind, Some(StoreErrorKind::LeaseLost));
    }
    assert_eq!(bench.memory.log(), []);
    bench.fenced.list("", None, 10).await.unwrap();
    bench.fenced.bucket_facts().await.unwrap();
    bench.fenced.list_uploads("", None).await.unwrap();
    assert_eq!(
        bench.fenced.get(&key("a"), None).await.unwrap_err().kind,
        StoreErrorKind::NotFound
    );
    assert_eq!(
        bench.fenced.head(&key("a")).await.unwrap_err().kind,
        StoreErrorKind::NotFound
    );
}

#[tokio::test(start_paused = true)]
async fn a_write_waits_until_the_lease_outlives_its_deadline() {
    let bench = bench(Fault::None);
    let (put_key, begun) = (key("export/a"), tokio::time::Instant::now());
    bench.fenced.put(&put_key, put()).await.unwrap();
    tokio::time::sleep(DEADLINE).await;
    let (watch, clock) = (Arc::clone(&bench.watch), Arc::clone(&bench.clock));
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        // Too little: the write looks again and goes on waiting.
        watch.extend(clock.now() + DEADLINE);
        tokio::time::sleep(Duration::from_secs(5)).await;
        watch.extend(clock.now() + 2 * DEADLINE);
    });
    bench.fenced.put(&key("export/b"), put()).await.unwrap();
    assert_eq!(begun.elapsed(), DEADLINE + Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_write_ends_when_the_lease_is_lost() {
    let bench = bench(Fault::None);
    bench.clock.jump(Duration::from_secs(60));
    let watch = Arc::clone(&bench.watch);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        watch.lose();
        watch.extend(Duration::MAX);
    });
    let error = bench.fenced.put(&key("export/a"), put()).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::LeaseLost);
    assert!(bench.watch.is_lost(), "what is lost stays lost");
    assert_eq!(bench.memory.log(), []);
}

#[tokio::test(start_paused = true)]
async fn a_write_without_a_reply_ends_at_its_deadline_and_is_remembered() {
    let bench = bench(Fault::HangAfter);
    let begun = tokio::time::Instant::now();
    let timed_out = bench.fenced.timed_out_writes();
    let ledger = bench.fenced.put(&key("export/_lakesync/ranges/x"), put()).await;
    assert_eq!(ledger.unwrap_err().kind, StoreErrorKind::NoReply);
    assert_eq!(begun.elapsed(), DEADLINE);
    assert!(!timed_out.load(Ordering::Relaxed), "the ledger's own files are guarded");
    bench.watch.extend(Duration::from_secs(600));
    let data = bench.fenced.put(&key("export/a"), put()).await;
    assert_eq!(data.unwrap_err().kind, StoreErrorKind::NoReply);
    assert!(timed_out.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_wakes_after_its_deadline_is_not_sent_on() {
    let bench = bench(Fault::Delay(Duration::from_secs(2)));
    let (memory, clock) = (bench.memory.clone(), Arc::clone(&bench.clock));
    let write = tokio::spawn(async move { bench.fenced.put(&key("export/a"), put()).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    clock.jump(DEADLINE);
    assert_eq!(write.await.unwrap().unwrap_err().kind, StoreErrorKind::NoReply);
    assert_eq!(memory.log(), []);
}

#[tokio::test(start_paused = true)]
async fn replies_in_time_pass_as_they_are() {
    let bench = bench(Fault::Before(StoreErrorKind::Throttled));
    for kind in all_writes(&bench.fenced).await {
        assert_eq!(kind, Some(StoreErrorKind::Throttled));
    }
    assert!(!bench.fenced.timed_out_writes().load(Ordering::Relaxed));
}
