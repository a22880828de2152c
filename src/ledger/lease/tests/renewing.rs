use super::*;
use crate::store::Fenced;
use crate::store::faulty::Matching;

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_for_as_long_as_it_is_held() {
    let store = bucket();
    let lease = acquire(&store, 1).await.unwrap();
    store.clear_log();
    sleep(seconds(601)).await;
    assert_eq!(store.count(RequestKind::Put), 30, "every 20 seconds");
    assert_eq!(store.count(RequestKind::Get), 0);
    assert_held_by(acquire(&store, 2).await, 1);
    drop(lease);
    sleep(seconds(62)).await;
    assert_eq!(store.count(RequestKind::Put), 30, "none after it was dropped");
    acquire(&store, 2).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_renewal_counts_from_before_it_was_sent() {
    let store = bucket();
    let clock = Arc::new(VirtualClock::new());
    let slow = Matching::new(Fault::DelayAfter(seconds(5))).kind(RequestKind::Put);
    let faulty = Arc::new(FaultyStore::new(shared(&store), slow));
    let lease = acquire_by(faulty, &clock, request(1)).await.unwrap();
    assert_eq!(clock.now(), seconds(5));
    assert_eq!(lease.watch().valid_until(), Some(TTL));
}

#[tokio::test(start_paused = true)]
async fn lost_replies_to_renewals_lose_nothing() {
    let store = bucket();
    let (faulty, is_on) = switched(&store, Fault::After(StoreErrorKind::NoReply));
    let clock = Arc::new(VirtualClock::new());
    let lease = acquire_by(faulty, &clock, request(1)).await.unwrap();
    is_on.store(true, Ordering::Relaxed);
    sleep(seconds(301)).await;
    assert_eq!(lease.watch().valid_until(), Some(seconds(300) + TTL));
    lease.release().await.unwrap();
    assert!(standing(&store).await.released);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_lands_late_is_known_as_our_own() {
    let store = bucket();
    let landing = Fault::LandLate {
        after: seconds(2),
        answer: Some(StoreErrorKind::NoReply),
    };
    let (faulty, is_on) = switched(&store, landing);
    let lease = acquire_by(faulty, &Arc::default(), request(1)).await.unwrap();
    is_on.store(true, Ordering::Relaxed);
    sleep(Duration::from_millis(20_050)).await;
    is_on.store(false, Ordering::Relaxed);
    // The renewal is under way, the change of the run overtakes it or meets it.
    lease.change_run(run(5)).await.unwrap();
    sleep(seconds(300)).await;
    assert!(!lease.watch().is_lost());
    assert_eq!(standing(&store).await.run, run(5));
}

#[tokio::test(start_paused = true)]
async fn a_run_can_be_changed_while_replies_are_lost() {
    for fault in [Fault::None, Fault::After(StoreErrorKind::NoReply), Fault::Hang] {
        let store = bucket();
        let (faulty, is_on) = switched(&store, fault.clone());
        let lease = acquire_by(faulty, &Arc::default(), request(1)).await.unwrap();
        is_on.store(true, Ordering::Relaxed);
        let outcome = lease.change_run(run(2)).await;
        assert_eq!(outcome.is_ok(), fault != Fault::Hang, "{fault:?}");
        if outcome.is_ok() {
            assert_eq!(standing(&store).await.run, run(2));
        }
        is_on.store(false, Ordering::Relaxed);
        sleep(seconds(100)).await;
        assert!(!lease.watch().is_lost());
    }
}

#[tokio::test(start_paused = true)]
async fn starving_renewals_hold_writes_back_and_then_let_them_go() {
    let store = bucket();
    let clock = Arc::new(VirtualClock::new());
    let (faulty, is_on) = switched(&store, Fault::Before(StoreErrorKind::Throttled));
    let lease = acquire_by(faulty, &clock, request(1)).await.unwrap();
    is_on.store(true, Ordering::Relaxed);
    sleep(seconds(45)).await;
    let fenced = fenced(&store, &lease);
    let write = tokio::spawn(async move { fenced.put(&data(), Put::new("x", Condition::Absent)).await });
    sleep(seconds(45)).await;
    assert!(
        !write.is_finished() && store.object(&data()).is_none(),
        "the lease has run out"
    );
    is_on.store(false, Ordering::Relaxed);
    write.await.unwrap().unwrap();
    assert!(clock.now() < seconds(95), "renewed soon: {:?}", clock.now());
}

#[tokio::test(start_paused = true)]
async fn renewals_that_fail_for_too_long_lose_the_lease() {
    let store = bucket();
    let (faulty, is_on) = switched(&store, Fault::Hang);
    let lease = acquire_by(faulty, &Arc::default(), request(1)).await.unwrap();
    is_on.store(true, Ordering::Relaxed);
    sleep(seconds(40)).await;
    let fenced = fenced(&store, &lease);
    let outcome = fenced.put(&data(), Put::new("x", Condition::Absent)).await;
    assert_eq!(outcome.unwrap_err().kind, StoreErrorKind::LeaseLost);
    assert!(store.object(&data()).is_none());
}

fn data() -> ObjectKey {
    ObjectKey::new("export/file")
}

fn fenced(store: &MemoryStore, lease: &Lease) -> Fenced {
    let watch = Arc::clone(lease.watch());
    Fenced::new(shared(store), watch, TTL / 2, folder().prefix().clone())
}

/// The holder is stopped, its lease is taken over, and it wakes: whatever it had in hand, nothing goes out.
#[tokio::test(start_paused = true)]
async fn a_paused_holder_whose_lease_was_taken_sends_no_further_write() {
    for asleep in [61, 3 * 3_600] {
        let store = bucket();
        let clock = Arc::new(VirtualClock::new());
        let (of_first, is_paused) = switched(&store, Fault::Hang);
        let lease = acquire_by(of_first, &clock, request(1)).await.unwrap();
        is_paused.store(true, Ordering::Relaxed);
        sleep(seconds(61)).await;
        let second = acquire(&store, 2).await.unwrap();
        assert_eq!(second.takeover().unwrap().run, run(1));
        clock.jump(seconds(asleep));
        is_paused.store(false, Ordering::Relaxed);
        let fenced = fenced(&store, &lease);
        let put = fenced.put(&data(), Put::new("old", Condition::Absent)).await;
        assert_eq!(put.unwrap_err().kind, StoreErrorKind::LeaseLost);
        let delete = fenced.delete(&data(), &Condition::Always).await;
        assert_eq!(delete.unwrap_err().kind, StoreErrorKind::LeaseLost);
        assert!(matches!(lease.change_run(run(3)).await, Err(LeaseError::Lost)));
        assert!(matches!(lease.release().await, Err(LeaseError::Lost)));
        assert_eq!(standing(&store).await.run, run(2), "the taker's lease is untouched");
        assert!(!second.watch().is_lost());
        assert!(store.object(&data()).is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_holder_whose_lease_nobody_took_renews_it_first_and_goes_on() {
    let store = bucket();
    let clock = Arc::new(VirtualClock::new());
    let lease = acquire_by(shared(&store), &clock, request(1)).await.unwrap();
    clock.jump(seconds(3_600));
    store.clear_log();
    let begun = Instant::now();
    let fenced = fenced(&store, &lease);
    fenced.put(&data(), Put::new("x", Condition::Absent)).await.unwrap();
    let keys: Vec<_> = store.log().into_iter().filter_map(|logged| logged.key).collect();
    assert_eq!(keys, [folder().lease(), data()]);
    assert!(begun.elapsed() < seconds(1), "it does not wait for the next renewal");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_somebody_removed_or_overwrote_is_lost() {
    for bytes in [None, Some("garbage")] {
        let store = bucket();
        let lease = acquire(&store, 1).await.unwrap();
        match bytes {
            Some(bytes) => {
                store.foreign_put(&folder().lease(), bytes);
            }
            None => assert!(store.foreign_delete(&folder().lease())),
        }
        sleep(seconds(21)).await;
        assert!(lease.watch().is_lost());
    }
}
