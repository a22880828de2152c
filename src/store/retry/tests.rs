use std::sync::atomic::{AtomicU32, Ordering};

use super::StoreErrorKind as Kind;
use super::*;
use crate::store::faulty::{Call, Fault, FaultyStore, Matching, Script};
use crate::store::memory::MemoryStore;

fn error(request: RequestKind, kind: Kind) -> StoreError {
    StoreError {
        request,
        place: "s3://bucket/key".to_owned(),
        kind,
        detail: None,
        cause: None,
    }
}

fn retrying(limiter: Option<Arc<Limiter>>) -> Retrying {
    let store = MemoryStore::new("bucket".parse().unwrap(), crate::store::Capabilities::ALL);
    Retrying::new(Arc::new(store), limiter, Arc::default())
}

/// Sends a request that fails as `failure` says for each attempt, counted from 0; gives its outcome and
/// the number of attempts.
async fn send(
    retrying: &Retrying,
    request: RequestKind,
    failure: impl Fn(u32) -> Option<Kind> + Send + Sync,
) -> (Result<(), StoreError>, u32) {
    let attempts = AtomicU32::new(0);
    let outcome = retrying
        .again(request, 10, || {
            let failure = failure(attempts.fetch_add(1, Ordering::Relaxed));
            async move {
                match failure {
                    Some(kind) => Err(error(request, kind)),
                    None => Ok(()),
                }
            }
        })
        .await;
    (outcome, attempts.into_inner())
}

#[tokio::test(start_paused = true)]
async fn passing_failures_are_sent_again_and_counted() {
    let limiter = Arc::new(Limiter::new(10));
    let retrying = retrying(Some(Arc::clone(&limiter)));
    let failures = [Kind::Throttled, Kind::Unavailable, Kind::NoReply, Kind::BadDigest];
    let (outcome, attempts) = send(&retrying, RequestKind::Put, |at| failures.get(at as usize).cloned()).await;
    outcome.unwrap();
    assert_eq!(attempts, 5);
    let totals = retrying.counts.totals();
    assert_eq!(totals.attempts, [(RequestKind::Put, 5)].into());
    assert_eq!((totals.retries, totals.throttles, totals.bytes_out), (4, 1, 50));
    assert_eq!(limiter.limit(), 7);
}

#[tokio::test(start_paused = true)]
async fn what_will_not_pass_is_sent_once() {
    let region = Some("eu-west-1".to_owned());
    for kind in [
        Kind::NotFound,
        Kind::NoSuchBucket,
        Kind::NoSuchUpload,
        Kind::ConditionFailed,
        Kind::Conflict,
        Kind::Denied,
        Kind::BadCredentials,
        Kind::NoCredentials,
        Kind::ExpiredCredentials,
        Kind::ClockSkew,
        Kind::WrongRegion { region },
        Kind::NotSupported,
        Kind::LeaseLost,
    ] {
        let (outcome, attempts) = send(&retrying(None), RequestKind::Put, |_| Some(kind.clone())).await;
        assert_eq!(outcome.unwrap_err().kind, kind);
        assert_eq!(attempts, 1, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_412_after_a_lost_reply_is_passed_on() {
    let failures = [Kind::NoReply, Kind::ConditionFailed];
    let (outcome, attempts) = send(&retrying(None), RequestKind::Put, |at| {
        failures.get(at as usize).cloned()
    })
    .await;
    assert_eq!(outcome.unwrap_err().kind, Kind::ConditionFailed);
    assert_eq!(attempts, 2);
}

#[tokio::test(start_paused = true)]
async fn the_start_of_an_upload_is_not_repeated_when_its_reply_was_lost() {
    let lost = |_| Some(Kind::NoReply);
    let (_, attempts) = send(&retrying(None), RequestKind::CreateUpload, lost).await;
    assert_eq!(attempts, 1);
    let busy = |at| (at < 2).then_some(Kind::Throttled);
    let (outcome, attempts) = send(&retrying(None), RequestKind::CreateUpload, busy).await;
    outcome.unwrap();
    assert_eq!(attempts, 3);
}

#[tokio::test(start_paused = true)]
async fn patience_ends_after_eight_attempts_and_a_bounded_time() {
    let start = Instant::now();
    let (outcome, attempts) = send(&retrying(None), RequestKind::Get, |_| Some(Kind::Unavailable)).await;
    assert_eq!(outcome.unwrap_err().kind, Kind::Unavailable);
    assert_eq!(attempts, 8);
    // 0.1 + 0.2 + 0.4 + … + 6.4 s, if chance gives the longest each time.
    assert!(start.elapsed() < Duration::from_millis(12_800));
}

#[tokio::test(start_paused = true)]
async fn a_store_out_of_reach_is_told_within_some_twenty_seconds() {
    let start = Instant::now();
    let slow_connect = || async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        Err::<(), _>(error(RequestKind::Get, Kind::Unreachable))
    };
    let outcome = retrying(None).again(RequestKind::Get, 0, slow_connect).await;
    assert_eq!(outcome.unwrap_err().kind, Kind::Unreachable);
    assert!(start.elapsed() <= Duration::from_secs(25), "{:?}", start.elapsed());
    assert!(start.elapsed() >= Duration::from_secs(10), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_said_a_word_is_not_asked_for_minutes() {
    let silence = |request| async move {
        tokio::time::sleep(Duration::from_secs(30)).await;
        Err::<(), _>(error(request, Kind::NoReply))
    };
    let read = || silence(RequestKind::Get);
    let quiet = retrying(None);
    quiet.again(RequestKind::Get, 0, read).await.unwrap_err();
    assert_eq!(quiet.counts.totals().requests(), 1);
    // A body may be long on its way.
    let write = || silence(RequestKind::Put);
    quiet.again(RequestKind::Put, 0, write).await.unwrap_err();
    assert_eq!(quiet.counts.totals().requests(), 1 + 8);
    // Whoever was heard once gets the full patience: be it an error that was heard.
    let heard = retrying(None);
    send(&heard, RequestKind::Get, |_| Some(Kind::NotFound))
        .await
        .0
        .unwrap_err();
    heard.again(RequestKind::Get, 0, read).await.unwrap_err();
    assert_eq!(heard.counts.totals().requests(), 1 + 8);
}

#[tokio::test(start_paused = true)]
async fn lease_traffic_does_not_wait_for_a_place() {
    let limiter = Arc::new(Limiter::new(1));
    let _all = limiter.place().await;
    let (outcome, _) = send(&retrying(None), RequestKind::Put, |_| None).await;
    outcome.unwrap();
    let gated = retrying(Some(Arc::clone(&limiter)));
    let waiting = send(&gated, RequestKind::Put, |_| None);
    assert!(tokio::time::timeout(Duration::from_secs(1), waiting).await.is_err());
    assert_eq!(gated.counts.totals().requests(), 0, "what waits is not sent");
}

#[test]
fn waits_are_random_but_bounded() {
    let mut patience = Patience::new(RetryConfig {
        attempts: 100,
        ..RetryConfig::default()
    });
    let now = Instant::now();
    let waits: Vec<Duration> = (0..50)
        .map(|_| patience.pause(now, &Kind::Throttled, false).unwrap())
        .collect();
    assert!(waits[0] <= Duration::from_millis(100));
    assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(10)));
    assert!(waits.windows(2).any(|pair| pair[0] != pair[1]));
}

/// A bucket with one object of a thousand bytes, and the way to it.
fn with_object(script: impl crate::store::faulty::FaultScript + 'static) -> (MemoryStore, Retrying, ObjectKey) {
    let store = MemoryStore::new("bucket".parse().unwrap(), crate::store::Capabilities::ALL);
    let key = ObjectKey::new("key");
    store.foreign_put(&key, thousand());
    let faulty = FaultyStore::new(Arc::new(store.clone()), script);
    (store, Retrying::new(Arc::new(faulty), None, Arc::default()), key)
}

fn thousand() -> Vec<u8> {
    (0..1_000_u32).map(|at| (at % 251) as u8).collect()
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_goes_on_where_it_broke() {
    for (range, expected) in [
        (None, 0..1_000),
        (Some(10..700), 10..700),
        (Some(900..5_000), 900..1_000),
    ] {
        let (store, retrying, key) = with_object(Matching::new(Fault::Cut).times(3));
        let (meta, bytes) = retrying.get(&key, range).await.unwrap().bytes().await.unwrap();
        assert_eq!((meta.size, &bytes[..]), (1_000, &thousand()[expected.clone()]));
        let totals = retrying.counts.totals();
        assert_eq!((totals.retries, store.count(RequestKind::Get)), (3, 4));
        assert_eq!(totals.bytes_in, expected.len() as u64, "no byte came twice");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_goes_on_breaking_is_an_error_in_the_end() {
    let (store, retrying, key) = with_object(Matching::new(Fault::Cut));
    let error = retrying.get(&key, None).await.unwrap().bytes().await.unwrap_err();
    assert_eq!(error.kind, Kind::NoReply);
    // Half of what is left comes each time, then nothing, eight times.
    assert_eq!(store.count(RequestKind::Get), 9 + 8);
}

#[tokio::test(start_paused = true)]
async fn the_halves_of_two_objects_are_not_joined() {
    let other = MemoryStore::new("bucket".parse().unwrap(), crate::store::Capabilities::ALL);
    let (handle, key) = (other.clone(), ObjectKey::new("key"));
    other.foreign_put(&key, thousand());
    let replaced = key.clone();
    let script = Script(move |call: &Call| {
        if call.number == 0 {
            return Fault::Cut;
        }
        handle.foreign_put(&replaced, vec![7; 1_000]);
        Fault::None
    });
    let faulty = FaultyStore::new(Arc::new(other), script);
    let retrying = Retrying::new(Arc::new(faulty), None, Arc::default());
    let error = retrying.get(&key, None).await.unwrap().bytes().await.unwrap_err();
    assert_eq!(error.kind, Kind::NoReply);
}
