mod renewing;

use std::sync::atomic::{AtomicBool, Ordering};

use super::super::testing::{bucket, folder, run, shared};
use super::*;
use crate::clock::VirtualClock;
use crate::store::faulty::{Call, Fault, FaultyStore, Script};
use crate::store::memory::MemoryStore;
use crate::store::{Capabilities, RequestKind};

const TTL: Duration = Duration::from_secs(60);

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// A process of which nobody knows whether it lives.
fn process(number: u64) -> Holder {
    Holder {
        host: format!("host-{number}"),
        boot_id: String::new(),
        pid_namespace: String::new(),
        pid: 7,
        pid_start: number,
    }
}

fn request(number: u64) -> LeaseRequest {
    LeaseRequest {
        holder: process(number),
        run: run(number),
        ttl: TTL,
        wait: Duration::ZERO,
        is_guarded: true,
    }
}

async fn acquire_by(
    store: Arc<dyn Store>,
    clock: &Arc<VirtualClock>,
    request: LeaseRequest,
) -> Result<Lease, LeaseError> {
    let clock: Arc<dyn Clock> = Arc::<VirtualClock>::clone(clock);
    Lease::acquire(store, &folder(), request, clock, &CancellationToken::new()).await
}

async fn acquire(store: &MemoryStore, number: u64) -> Result<Lease, LeaseError> {
    acquire_by(shared(store), &Arc::default(), request(number)).await
}

async fn standing(store: &MemoryStore) -> LeaseFile {
    read_lease(store, &folder().lease()).await.unwrap().unwrap().2
}

fn assert_held_by(outcome: Result<Lease, LeaseError>, number: u64) {
    match outcome {
        Err(LeaseError::Held { holder, run: held, .. }) => {
            assert_eq!((holder, held), (process(number), run(number)));
        }
        outcome => panic!("not held: {outcome:?}"),
    }
}

/// A store whose lease writes end so while the switch is on.
fn switched(store: &MemoryStore, fault: Fault) -> (Arc<dyn Store>, Arc<AtomicBool>) {
    let is_on = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&is_on);
    let script = Script(move |call: &Call| match call.kind {
        RequestKind::Put if switch.load(Ordering::Relaxed) => fault.clone(),
        _ => Fault::None,
    });
    (Arc::new(FaultyStore::new(shared(store), script)), is_on)
}

#[tokio::test(start_paused = true)]
async fn the_second_is_told_who_holds_the_lease() {
    let store = bucket();
    let lease = acquire(&store, 1).await.unwrap();
    assert_eq!(lease.takeover(), None);
    assert_eq!(lease.taken_at(), store.now());
    let error = acquire(&store, 2).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("host-1") && text.contains("--lock-wait"), "{text}");
    assert_held_by(Err(error), 1);
}

#[tokio::test(start_paused = true)]
async fn of_many_who_race_one_wins() {
    for is_first in [true, false] {
        let store = bucket();
        if !is_first {
            acquire(&store, 99).await.unwrap().release().await.unwrap();
        }
        let racers = (0..8).map(|number| {
            let store = store.clone();
            async move { acquire(&store, number).await }
        });
        let outcomes = futures::future::join_all(racers).await;
        let winners: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).collect();
        assert_eq!(winners.len(), 1);
        let held = |outcome: &Result<Lease, LeaseError>| matches!(outcome, Err(LeaseError::Held { .. }));
        assert_eq!(outcomes.iter().filter(|outcome| held(outcome)).count(), 7);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_expires_strictly_after_its_life_by_the_stores_clock_alone() {
    let store = bucket();
    // However wrong the store's clock is, both of its times are equally so.
    store.set_clock_skew(SignedDuration::from_hours(-30));
    drop(acquire(&store, 1).await.unwrap());
    sleep(TTL).await;
    assert_held_by(acquire(&store, 2).await, 1);
    sleep(seconds(1)).await;
    let lease = acquire(&store, 2).await.unwrap();
    let takeover = lease.takeover().unwrap();
    assert_eq!((takeover.run, takeover.reason), (run(1), TakeoverReason::Expired));
    assert_eq!(standing(&store).await.generation, 2);
}

#[tokio::test(start_paused = true)]
async fn a_life_of_broken_seconds_is_judged_in_whole_ones() {
    let store = bucket();
    let mut short = request(1);
    short.ttl = Duration::from_millis(1_500);
    sleep(Duration::from_millis(900)).await;
    drop(acquire_by(shared(&store), &Arc::default(), short).await.unwrap());
    // 1.2 s have passed, and the store's clock shows two.
    sleep(Duration::from_millis(1_200)).await;
    assert_held_by(acquire(&store, 2).await, 1);
    sleep(Duration::from_millis(1_000)).await;
    acquire(&store, 2).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_taken_at_once_and_from_nobody() {
    let store = bucket();
    let lease = acquire(&store, 1).await.unwrap();
    let watch = Arc::clone(lease.watch());
    lease.release().await.unwrap();
    assert!(watch.is_lost(), "no write after the release");
    assert!(standing(&store).await.released);
    let lease = acquire(&store, 2).await.unwrap();
    assert_eq!(lease.takeover(), None);
    assert_eq!(store.count(RequestKind::Delete), 0);
    assert_eq!(standing(&store).await.generation, 3);
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_a_dead_process_on_this_machine_is_taken_at_once() {
    let store = bucket();
    let me = Holder::this_process();
    let mut dead = request(1);
    dead.holder = Holder {
        pid_start: me.pid_start - 1,
        ..me.clone()
    };
    drop(acquire_by(shared(&store), &Arc::default(), dead).await.unwrap());
    assert!(acquire(&store, 2).await.is_err(), "elsewhere nobody knows");
    let mut mine = request(3);
    mine.holder = me.clone();
    let lease = acquire_by(shared(&store), &Arc::default(), mine.clone()).await.unwrap();
    assert_eq!(lease.takeover().unwrap().reason, TakeoverReason::Dead);
    // Another export within this very process is alive.
    mine.run = run(4);
    let outcome = acquire_by(shared(&store), &Arc::default(), mine).await;
    assert!(matches!(outcome, Err(LeaseError::Held { .. })));
}

#[tokio::test(start_paused = true)]
async fn lost_replies_while_taking_are_settled_by_one_read() {
    use StoreErrorKind::{ConditionFailed, Conflict, NoReply, Unavailable};
    for kind in [NoReply, Unavailable, ConditionFailed, Conflict] {
        for is_first in [true, false] {
            let store = bucket();
            if !is_first {
                acquire(&store, 99).await.unwrap().release().await.unwrap();
            }
            store.clear_log();
            let (faulty, is_on) = switched(&store, Fault::After(kind.clone()));
            is_on.store(true, Ordering::Relaxed);
            let lease = acquire_by(faulty, &Arc::default(), request(1)).await.unwrap();
            assert_eq!(lease.taken_at(), store.now());
            assert_eq!(standing(&store).await.run, run(1));
            assert_eq!(store.count(RequestKind::Put), 1);
            assert_eq!(store.count(RequestKind::Get), 3, "two of ours, one of this test");
            is_on.store(false, Ordering::Relaxed);
            lease.release().await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_never_arrived_takes_no_lease() {
    for kind in [StoreErrorKind::NoReply, StoreErrorKind::Denied] {
        let store = bucket();
        let (faulty, is_on) = switched(&store, Fault::Before(kind));
        is_on.store(true, Ordering::Relaxed);
        let outcome = acquire_by(faulty, &Arc::default(), request(1)).await;
        assert!(
            matches!(outcome, Err(LeaseError::Ledger(LedgerError::Store(_)))),
            "{outcome:?}"
        );
        assert!(store.objects().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_gets_the_lease_once_it_is_released_and_can_be_cancelled() {
    let store = bucket();
    let lease = acquire(&store, 1).await.unwrap();
    let mut patient = request(2);
    patient.wait = seconds(100);
    let (of_second, wanted) = (shared(&store), patient.clone());
    let waiting = tokio::spawn(async move { acquire_by(of_second, &Arc::default(), wanted).await });
    sleep(seconds(70)).await;
    assert!(!waiting.is_finished(), "a renewed lease is not taken");
    lease.release().await.unwrap();
    let begun = Instant::now();
    let second = waiting.await.unwrap().unwrap();
    assert!(begun.elapsed() <= seconds(2), "{:?}", begun.elapsed());
    let cancel = CancellationToken::new();
    patient.run = run(3);
    let clock: Arc<dyn Clock> = Arc::new(VirtualClock::new());
    let (store_of_third, cancel_of_third) = (shared(&store), cancel.clone());
    let third =
        tokio::spawn(async move { Lease::acquire(store_of_third, &folder(), patient, clock, &cancel_of_third).await });
    sleep(seconds(5)).await;
    cancel.cancel();
    assert!(matches!(third.await.unwrap(), Err(LeaseError::Cancelled)));
    drop(second);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_when_it_is_over() {
    let store = bucket();
    let _lease = acquire(&store, 1).await.unwrap();
    let begun = Instant::now();
    let mut patient = request(2);
    patient.wait = seconds(10);
    assert_held_by(acquire_by(shared(&store), &Arc::default(), patient).await, 1);
    assert_eq!(begun.elapsed(), seconds(10));
    let looks = store.count(RequestKind::Get);
    assert!((8..=15).contains(&looks), "{looks}");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_lease_is_an_error_and_not_a_free_one() {
    let store = bucket();
    store.foreign_put(&folder().lease(), "");
    let outcome = acquire(&store, 1).await;
    assert!(matches!(
        outcome,
        Err(LeaseError::Ledger(LedgerError::DamagedLease { .. }))
    ));
}

#[tokio::test(start_paused = true)]
async fn where_nothing_guards_each_write_looks_first() {
    for knows in [true, false] {
        let mut capabilities = Capabilities::ALL;
        (capabilities.put_absent, capabilities.put_matches) = (false, false);
        let store = MemoryStore::new("bucket".parse().unwrap(), capabilities);
        let unguarded = |number| LeaseRequest {
            is_guarded: !knows,
            ..request(number)
        };
        let lease = acquire_by(shared(&store), &Arc::default(), unguarded(1)).await.unwrap();
        assert_held_by(acquire_by(shared(&store), &Arc::default(), unguarded(2)).await, 1);
        sleep(seconds(100)).await;
        assert_held_by(acquire_by(shared(&store), &Arc::default(), unguarded(2)).await, 1);
        if knows {
            assert!(store.count(RequestKind::Head) >= 4);
            // A taker who did not see us: our next renewal sees it.
            let mut file = standing(&store).await;
            (file.holder, file.run) = (process(2), run(2));
            store.foreign_put(&folder().lease(), ENVELOPE.seal(&file));
            sleep(seconds(21)).await;
            assert!(lease.watch().is_lost());
            assert_eq!(standing(&store).await.run, run(2));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_conditions_is_asked_without() {
    let store = bucket();
    let script = Script(|call: &Call| match (call.kind, call.number) {
        (RequestKind::Put, 0..=1) => Fault::Before(StoreErrorKind::NotSupported),
        _ => Fault::None,
    });
    let faulty = Arc::new(FaultyStore::new(shared(&store), script));
    let lease = acquire_by(faulty, &Arc::default(), request(1)).await.unwrap();
    assert!(!lease.is_guarded());
    assert_eq!(standing(&store).await.run, run(1));
}
