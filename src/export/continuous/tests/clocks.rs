//! Clocks that jump while an export goes on.

use super::*;
use crate::store::RequestKind;
use crate::switches::{Switch, TakenOut};

const HOUR: Duration = Duration::from_secs(3_600);

fn is_data(call: &Call) -> bool {
    call.kind == RequestKind::Put && call.key.as_ref().is_some_and(|key| key.as_str() == "out/a")
}

/// A store that does this once, as the first write of data goes by.
fn at_the_first_write(world: &World, what: impl Fn() + Send + Sync + 'static) -> Arc<FaultyStore> {
    let once = Mutex::new(Some(()));
    let script = Script(move |call: &Call| {
        if is_data(call) && once.lock().unwrap().take().is_some() {
            what();
        }
        Fault::None
    });
    Arc::new(FaultyStore::new(Arc::new(world.store.clone()), script))
}

/// Lets the machine sleep for an hour as a run is about to write data; gives the key of the first write after that.
async fn first_write_after_an_hour_of_sleep() -> String {
    let world = World::new();
    let first = world.commit("1");
    let clock = Arc::new(VirtualClock::new());
    let before = Arc::new(Mutex::new(0));
    let fall_asleep = {
        let (clock, store, before) = (Arc::clone(&clock), world.store.clone(), Arc::clone(&before));
        move || {
            *before.lock().unwrap() = store.log().len();
            clock.jump(HOUR);
        }
    };
    let exporter = Exporter {
        clock,
        ..world.exporter(world.source.clone(), at_the_first_write(&world, fall_asleep))
    };
    let mut running = world.start(world.continuous(exporter));
    let state = running.until_out(&first).await;
    assert_eq!((state.error, state.runs_total), (None, 1));
    assert_eq!(file(&world.store), "1");
    assert_eq!(world.store.violations(), []);
    let log = world.store.log();
    let mut after = log[*before.lock().unwrap()..].iter();
    let next = after
        .find(|logged| logged.kind.is_write())
        .expect("a run ends with writes");
    next.key.as_ref().expect("no batch").to_string()
}

/// P5: a machine that slept for an hour in the middle of a run writes nothing until it has renewed its lease, which
/// nobody took meanwhile, and then brings the run to its end.
#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_in_the_middle_of_a_run_renews_its_lease_before_anything_else() {
    assert_eq!(first_write_after_an_hour_of_sleep().await, "out/_lakesync/lease.json");
    let _out = TakenOut::new(Switch::FenceByLease);
    assert_eq!(first_write_after_an_hour_of_sleep().await, "out/a");
}

/// P1: whatever the store says of the time, names of status files only grow, and the newest is the last.
#[tokio::test(start_paused = true)]
async fn a_store_whose_clock_jumps_keeps_its_status_files_in_order() {
    for hours in [1, -1] {
        let world = World::new();
        let first = world.commit("1");
        let mut running = world.go();
        running.until_out(&first).await;
        world.stop.cancel();
        running.task.await.unwrap();

        let store = world.store.clone();
        let jump = move || store.set_clock_skew(jiff::SignedDuration::from_hours(hours));
        let world = World {
            stop: CancellationToken::new(),
            ..world
        };
        let exporter = world.exporter(world.source.clone(), at_the_first_write(&world, jump));
        let second = world.commit("2");
        let mut running = world.start(world.continuous(exporter));
        running.until_out(&second).await;
        let third = world.commit("3");
        running.until_out(&third).await;
        assert_eq!(file(&world.store), "3", "{hours} h");
        assert_eq!(world.successes().await, [first, second, third], "{hours} h");
        assert_eq!(world.store.violations(), [], "{hours} h");
    }
}
