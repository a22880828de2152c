//! Being asked to stop.

use super::*;
use crate::store::RequestKind;

/// A store that answers no write of data.
fn hanging(world: &World) -> Arc<FaultyStore> {
    let script = Script(|call: &Call| {
        let is_data = call.key.as_ref().is_some_and(|key| key.as_str() == "out/a");
        if is_data && call.kind == RequestKind::Put {
            Fault::Hang
        } else {
            Fault::None
        }
    });
    Arc::new(FaultyStore::new(Arc::new(world.store.clone()), script))
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_an_idle_loop_at_once() {
    let world = World::new();
    let first = world.commit("1");
    let mut running = world.go();
    running.until_out(&first).await;
    let asked = Instant::now();
    world.stop.cancel();
    running.task.await.unwrap();
    assert!(asked.elapsed() < Duration::from_millis(10), "{:?}", asked.elapsed());
    let state = running.state.borrow().clone();
    assert_eq!((state.phase, state.exported), (Phase::Stopped, Some(first)));
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_run_that_hangs_within_ten_seconds() {
    let world = World::new();
    world.commit("1");
    let exporter = world.exporter(world.source.clone(), hanging(&world));
    let mut running = world.start(world.continuous(exporter));
    running.until(|state| state.phase == Phase::Running).await;
    tokio::time::sleep(SECOND).await;
    let asked = Instant::now();
    world.stop.cancel();
    running.task.await.unwrap();
    assert!(asked.elapsed() <= GRACE + SECOND, "{:?}", asked.elapsed());
    let state = running.state.borrow().clone();
    assert_eq!(state.phase, Phase::Stopped);
    assert_eq!(state.runs.back().unwrap().result, RunResult::Interrupted);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_every_kind_of_wait() {
    for fault in [SourceFault::Fail, SourceFault::Gone, SourceFault::Hang] {
        let world = World::new();
        world.commit("1");
        let source = FaultySource::new(Arc::new(world.source.clone()), move |_: &SourceCall| fault.clone());
        let exporter = world.exporter(source, Arc::new(world.store.clone()));
        let running = world.start(world.continuous(exporter));
        tokio::time::sleep(600 * SECOND).await;
        let asked = Instant::now();
        world.stop.cancel();
        running.task.await.unwrap();
        assert!(asked.elapsed() < Duration::from_millis(10), "{:?}", asked.elapsed());
    }
}

/// A new configuration, or `--stop`, waits for the run that is under way.
#[tokio::test(start_paused = true)]
async fn a_drained_loop_lets_its_run_come_to_its_end() {
    let world = World::new();
    let first = world.commit("1");
    let slow = Script(|_: &Call| Fault::Delay(SECOND));
    let store = Arc::new(FaultyStore::new(Arc::new(world.store.clone()), slow));
    let continuous = world.continuous(world.exporter(world.source.clone(), store));
    let drain = continuous.drain.clone();
    let mut running = world.start(continuous);
    running.until(|state| state.phase == Phase::Running).await;
    tokio::time::sleep(5 * SECOND).await;
    drain.cancel();
    running.task.await.unwrap();
    let state = running.state.borrow().clone();
    assert_eq!((state.phase, state.exported.as_ref()), (Phase::Stopped, Some(&first)));
    assert_eq!(world.successes().await, [first]);
}

/// A loop that takes the state of another goes on with it.
#[tokio::test(start_paused = true)]
async fn the_next_loop_goes_on_with_the_state_of_the_last() {
    let world = World::new();
    let first = world.commit("1");
    let continuous = world.continuous(world.exporter(world.source.clone(), Arc::new(world.store.clone())));
    let (state, drain) = (continuous.state.clone(), continuous.drain.clone());
    let mut running = world.start(continuous);
    running.until_out(&first).await;
    drain.cancel();
    running.task.await.unwrap();
    let next = Continuous {
        state,
        ..world.continuous(world.exporter(world.source.clone(), Arc::new(world.store.clone())))
    };
    let mut running = world.start(next);
    let second = world.commit("2");
    let state = running.until_out(&second).await;
    assert_eq!(state.runs_total, 2);
}
