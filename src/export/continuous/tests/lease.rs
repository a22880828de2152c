//! Somebody else is at work.

use super::*;
use crate::ledger::{Holder, Lease, LeaseRequest, LedgerFolder};
use crate::model::RunId;

async fn lease_of_another(world: &World) -> Lease {
    let request = LeaseRequest {
        holder: Holder {
            host: "elsewhere".to_owned(),
            boot_id: String::new(),
            pid_namespace: String::new(),
            pid: 7,
            pid_start: 1,
        },
        run: RunId::generate(),
        ttl: 60 * SECOND,
        wait: Duration::ZERO,
        is_guarded: true,
    };
    let folder = LedgerFolder::of(&Prefix::new("out/"));
    let clock = Arc::new(VirtualClock::new());
    let store = Arc::new(world.store.clone());
    Lease::acquire(store, &folder, request, clock, &CancellationToken::new())
        .await
        .unwrap()
}

/// P5: it waits for as long as it takes, writes nothing meanwhile, and goes on by itself.
#[tokio::test(start_paused = true)]
async fn a_lease_that_another_holds_is_waited_for() {
    let world = World::new();
    let lease = lease_of_another(&world).await;
    let first = world.commit("1");
    let mut running = world.go();
    let state = running.until(|state| state.phase == Phase::WaitingForLease).await;
    let error = state.error.unwrap();
    assert!(error.to_string().contains("elsewhere"), "{error}");
    assert_eq!(state.runs.len(), 0);
    tokio::time::sleep(3_600 * SECOND).await;
    assert_eq!(running.state.borrow().phase_before_looking(), Phase::WaitingForLease);
    assert_eq!(file(&world.store), "");
    lease.release().await.unwrap();
    let free = Instant::now();
    running.until_out(&first).await;
    assert!(free.elapsed() < 20 * SECOND, "{:?}", free.elapsed());
    assert_eq!(file(&world.store), "1");
}

/// P5: a holder that died is followed when its lease has run out.
#[tokio::test(start_paused = true)]
async fn a_lease_that_nobody_renews_is_taken_over() {
    let world = World::new();
    let lease = lease_of_another(&world).await;
    let first = world.commit("1");
    let mut running = world.go();
    running.until(|state| state.phase == Phase::WaitingForLease).await;
    // As by a kill: it is neither renewed nor given back.
    drop(lease);
    running.until_out(&first).await;
    assert_eq!(file(&world.store), "1");
}

#[tokio::test(start_paused = true)]
async fn what_another_has_exported_meanwhile_is_not_done_again() {
    let world = World::new();
    let first = world.commit("1");
    let lease = lease_of_another(&world).await;
    let mut running = world.go();
    running.until(|state| state.phase == Phase::WaitingForLease).await;
    lease.release().await.unwrap();
    let other = world.exporter(world.source.clone(), Arc::new(world.store.clone()));
    other.run(&CancellationToken::new()).await.unwrap();
    let state = running.until_out(&first).await;
    assert_eq!((state.runs.len(), state.error), (0, None));
}

/// P5, P6: two loops on one export path never interleave, and the last commit arrives whichever of them brings it.
#[tokio::test(start_paused = true)]
async fn of_two_loops_one_works_and_the_last_commit_arrives() {
    let world = World::new();
    world.commit("0");
    let slow = || {
        let script = Script(|_: &Call| Fault::Delay(Duration::from_millis(15)));
        Arc::new(FaultyStore::new(Arc::new(world.store.clone()), script))
    };
    let mut one = world.start(world.continuous(world.exporter(world.source.clone(), slow())));
    let exporter = Exporter {
        holder: Holder {
            host: "elsewhere".to_owned(),
            boot_id: String::new(),
            pid_namespace: String::new(),
            pid: 7,
            pid_start: 1,
        },
        ..world.exporter(world.source.clone(), slow())
    };
    let mut other = world.continuous(exporter);
    other.wake = Wake::default();
    let other_wake = other.wake.clone();
    let mut other = world.start(other);
    for number in 1..=60 {
        tokio::time::sleep(Duration::from_millis(40)).await;
        world.commit(&number.to_string());
        other_wake.wake();
    }
    let last = world.source.head().await.unwrap();
    one.until_out(&last).await;
    other.until_out(&last).await;
    assert_eq!(file(&world.store), "60");
    let mut ran: Vec<CommitId> = world.ends.lock().unwrap().iter().map(|end| end.0.clone()).collect();
    let mut successes = world.successes().await;
    ran.sort();
    successes.sort();
    assert_eq!(successes, ran);
    assert_eq!(world.store.violations(), []);
}
