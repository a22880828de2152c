//! Sources that go away.

use super::*;

/// What a reader would have to fear: nothing of this may become less.
fn objects(world: &World) -> usize {
    world.store.objects().len()
}

#[tokio::test(start_paused = true)]
async fn a_branch_that_is_deleted_is_held_and_goes_on_when_it_is_back() {
    let world = World::new();
    let first = world.commit("1");
    let mut running = world.go();
    running.until_out(&first).await;
    let before = objects(&world);
    world.store.clear_log();
    world.source.delete_branch();
    world.wake.wake();
    let state = running.until(|state| state.phase == Phase::Held).await;
    assert!(state.error.unwrap().message.contains("main"));
    tokio::time::sleep(24 * 3_600 * SECOND).await;
    assert_eq!(running.state.borrow().phase_before_looking(), Phase::Held);
    assert_eq!((objects(&world), world.store.log().len()), (before, 0));
    let second = world.commit("2");
    running.until_out(&second).await;
    assert_eq!(file(&world.store), "2");
}

#[tokio::test(start_paused = true)]
async fn an_empty_branch_is_held_and_not_exported() {
    let world = World::new();
    let first = world.commit("1");
    let mut running = world.go();
    running.until_out(&first).await;
    world.source.commit(MemoryTree::new());
    world.wake.wake();
    let state = running.until(|state| state.phase == Phase::Held).await;
    assert!(state.error.unwrap().message.contains("--allow-empty"));
    assert_eq!(file(&world.store), "1");
    let second = world.commit("2");
    running.until_out(&second).await;
}

/// A loop whose source can go, and be opened again.
fn reopening(world: &World, gone: &Arc<std::sync::atomic::AtomicBool>) -> Continuous {
    let source = {
        let (inner, gone) = (Arc::new(world.source.clone()), Arc::clone(gone));
        move || {
            let gone = Arc::clone(&gone);
            FaultySource::new(inner.clone(), move |_: &SourceCall| {
                if gone.load(std::sync::atomic::Ordering::Relaxed) {
                    SourceFault::Gone
                } else {
                    SourceFault::None
                }
            })
        }
    };
    let mut exporter = world.exporter(source(), Arc::new(world.store.clone()));
    exporter.config.guards.allow_empty = true;
    Continuous {
        reopen: Some(Arc::new(move || {
            let source: Arc<dyn Source> = Arc::new(source());
            Box::pin(async move { Ok(source) })
        })),
        ..world.continuous(exporter)
    }
}

/// A mount point without its file system is an empty folder.
#[tokio::test(start_paused = true)]
async fn a_source_that_was_gone_and_comes_back_empty_is_held_even_where_empty_is_allowed() {
    let world = World::new();
    let gone = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let first = world.commit("1");
    let mut running = world.start(reopening(&world, &gone));
    running.until_out(&first).await;
    gone.store(true, std::sync::atomic::Ordering::Relaxed);
    world.wake.wake();
    running.until(|state| state.phase == Phase::Held).await;
    world.source.commit(MemoryTree::new());
    gone.store(false, std::sync::atomic::Ordering::Relaxed);
    tokio::time::sleep(600 * SECOND).await;
    let state = running.state.borrow().clone();
    assert_eq!(state.phase_before_looking(), Phase::Held);
    assert!(state.error.unwrap().message.contains("empty"));
    assert_eq!(file(&world.store), "1");
    let second = world.commit("2");
    running.until_out(&second).await;
    // From here on the user's word counts again.
    let empty = world.source.commit(MemoryTree::new());
    world.wake.wake();
    running.until_out(&empty).await;
    assert_eq!(file(&world.store), "");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_cannot_be_read_is_tried_again() {
    let world = World::new();
    let first = world.commit("1");
    // Nobody says that there is something to look at: it is the time that has it tried again.
    world.wake.woken().await;
    let source = FaultySource::nth(Arc::new(world.source.clone()), 0, SourceFault::Fail);
    let exporter = world.exporter(source, Arc::new(world.store.clone()));
    let mut running = world.start(world.continuous(exporter));
    let state = running.until(|state| state.phase == Phase::Retrying).await;
    assert_eq!(state.head, None);
    running.until_out(&first).await;
}
