mod clocks;
mod lease;
mod ends;
mod sources;

use std::collections::BTreeMap;
use std::sync::Mutex;

use tokio::task::JoinHandle;

use super::*;
use crate::clock::VirtualClock;
use crate::export::testing;
use crate::model::{Prefix, RelPath};
use crate::source::faulty::{FaultySource, SourceCall, SourceFault};
use crate::source::memory::{MemoryFile, MemorySource, MemoryTree};
use crate::status::{ExportState, list_names, read_head};
use crate::store::faulty::{Call, Fault, FaultyStore, Script};
use crate::store::memory::MemoryStore;
use crate::store::{Capabilities, Store, StoreErrorKind};

const SECOND: Duration = Duration::from_secs(1);

/// A branch, a bucket, and the loop between them.
struct World {
    source: MemorySource,
    store: MemoryStore,
    wake: Wake,
    stop: CancellationToken,
    /// What the one file of the bucket holds at the end of each run that went well, and the commit that it was for.
    ends: Arc<Mutex<Vec<(CommitId, String)>>>,
}

/// A loop that goes on.
struct Running {
    state: watch::Receiver<ContinuousState>,
    task: JoinHandle<()>,
}

impl World {
    fn new() -> Self {
        let store = MemoryStore::new("bucket".parse().unwrap(), Capabilities::ALL);
        store.allow_unconditional(|key| key.as_str().contains("/_lakesync/") || key.as_str().contains("/_STATUS_"));
        Self {
            source: MemorySource::new("memory:main"),
            store,
            wake: Wake::default(),
            stop: CancellationToken::new(),
            ends: Arc::default(),
        }
    }

    /// Makes the text the one file of the branch, and says so.
    fn commit(&self, text: &str) -> CommitId {
        let file = MemoryFile::new(text.to_owned());
        let commit = self
            .source
            .commit(MemoryTree::from([(RelPath::new("a").unwrap(), file)]));
        self.wake.wake();
        commit
    }

    fn exporter(&self, source: impl Source + 'static, store: Arc<dyn Store>) -> Exporter {
        let mut config = testing::config(&"s3://bucket/out/".parse().unwrap());
        config.keep_status = 10_000;
        Exporter {
            clock: Arc::new(VirtualClock::new()),
            ..testing::exporter(source, store, config)
        }
    }

    fn continuous(&self, exporter: Exporter) -> Continuous {
        let (store, ends) = (self.store.clone(), Arc::clone(&self.ends));
        Continuous {
            on_run: Some(Arc::new(move |outcome| {
                if let Ok(report) = outcome
                    && report.outcome == Outcome::Exported
                {
                    ends.lock().unwrap().push((report.commit.clone(), file(&store)));
                }
            })),
            ..Continuous::new(exporter, self.wake.clone())
        }
    }

    fn start(&self, continuous: Continuous) -> Running {
        let state = continuous.state.subscribe();
        let stop = self.stop.clone();
        Running {
            state,
            task: tokio::spawn(async move { continuous.run(&stop).await }),
        }
    }

    /// The loop over the plain doubles.
    fn go(&self) -> Running {
        let exporter = self.exporter(self.source.clone(), Arc::new(self.store.clone()));
        self.start(self.continuous(exporter))
    }

    /// All commits that a status file ever called `success`.
    async fn successes(&self) -> Vec<CommitId> {
        let prefix = Prefix::new("out/");
        let mut found = Vec::new();
        for name in list_names(&self.store, &prefix).await.unwrap() {
            let (head, _) = read_head(&self.store, &prefix.join(&name.to_string()))
                .await
                .unwrap()
                .unwrap();
            if head.status == ExportState::Success {
                found.push(CommitId::new(head.commit));
            }
        }
        found
    }
}

impl Running {
    /// Waits until the state is as asked for; tokio's clock is paused, so that this takes no time.
    async fn until(&mut self, is: impl Fn(&ContinuousState) -> bool) -> ContinuousState {
        let now = self.state.clone();
        let waiting = self.state.wait_for(|state| is(state));
        let found = tokio::time::timeout(3_600 * SECOND, waiting).await;
        match found {
            Ok(found) => found.unwrap().clone(),
            Err(_) => panic!("it never came: {:#?}", *now.borrow()),
        }
    }

    async fn until_out(&mut self, commit: &CommitId) -> ContinuousState {
        self.until(|state| state.phase == Phase::Idle && state.exported.as_ref() == Some(commit))
            .await
    }
}

/// What the one file of the bucket holds.
fn file(store: &MemoryStore) -> String {
    let object = store.object(&Prefix::new("out/").join("a"));
    object.map_or_else(String::new, |object| {
        String::from_utf8_lossy(&object.bytes).into_owned()
    })
}

/// P4: while nothing happens, a look costs one small question to the source and none to the store.
#[tokio::test(start_paused = true)]
async fn an_idle_look_asks_the_source_once_and_the_store_nothing() {
    let world = World::new();
    let first = world.commit("1");
    let asked = FaultySource::new(Arc::new(world.source.clone()), |_| SourceFault::None);
    let exporter = world.exporter(asked.clone(), Arc::new(world.store.clone()));
    let mut running = world.start(world.continuous(exporter));
    running.until_out(&first).await;
    world.store.clear_log();
    let before = asked.calls();
    for _ in 0..50 {
        world.wake.wake();
        tokio::time::sleep(SECOND).await;
    }
    assert_eq!(asked.calls() - before, 50);
    assert_eq!(world.store.log(), []);
    let state = running.state.borrow().clone();
    assert_eq!((state.runs.len(), state.runs_total, state.behind_since), (1, 1, None));
}

/// P1: what a dead run has sent may land for half an hour, so that even a head that is out is looked at after that.
#[tokio::test(start_paused = true)]
async fn a_head_that_is_out_is_looked_at_again_after_half_an_hour() {
    let world = World::new();
    let first = world.commit("1");
    let mut running = world.go();
    running.until_out(&first).await;
    world.store.clear_log();
    tokio::time::sleep(29 * 60 * SECOND).await;
    assert_eq!(world.store.log(), []);
    tokio::time::sleep(3 * 60 * SECOND).await;
    let requests = world.store.log().len();
    assert!((1..=3).contains(&requests), "{requests}");
    assert_eq!(running.until_out(&first).await.runs_total, 1);
}

/// P6: of many commits the last arrives, and one that was skipped is never called `success`.
#[tokio::test(start_paused = true)]
async fn of_a_burst_the_last_commit_arrives_and_no_skipped_one_is_a_success() {
    let world = World::new();
    // Slow enough that many commits come during one run.
    let slow = Script(|_: &Call| Fault::Delay(Duration::from_millis(20)));
    let store = Arc::new(FaultyStore::new(Arc::new(world.store.clone()), slow));
    let mut texts = BTreeMap::new();
    texts.insert(world.commit("0"), "0".to_owned());
    let exporter = world.exporter(world.source.clone(), store);
    let mut running = world.start(world.continuous(exporter));
    for number in 1..=200 {
        tokio::time::sleep(Duration::from_millis(7)).await;
        texts.insert(world.commit(&number.to_string()), number.to_string());
    }
    let last = world.source.head().await.unwrap();
    let state = running.until_out(&last).await;
    assert_eq!(file(&world.store), "200");
    let ends = world.ends.lock().unwrap().clone();
    assert!((2..100).contains(&ends.len()), "{} runs for 201 commits", ends.len());
    assert_eq!(state.runs_total, ends.len() as u64);
    for (commit, text) in &ends {
        assert_eq!(texts[commit], *text, "{commit} was called out, and this was there");
    }
    let ran: Vec<CommitId> = ends.into_iter().map(|(commit, _)| commit).collect();
    assert_eq!(world.successes().await, ran);
    assert_eq!(world.store.violations(), []);
}

/// P6: a commit that comes at the very end of a run is not taken for the one that went out.
#[tokio::test(start_paused = true)]
async fn a_commit_during_the_last_request_of_a_run_is_the_next_run() {
    let world = World::new();
    world.commit("1");
    let (other, wake) = (world.source.clone(), world.wake.clone());
    let once = Mutex::new(Some(()));
    let script = Script(move |call: &Call| {
        let is_status = call.key.as_ref().is_some_and(|key| key.as_str().contains("/_STATUS_"));
        let is_last = is_status && call.kind == crate::store::RequestKind::Put && call.number > 20;
        if is_last && once.lock().unwrap().take().is_some() {
            let file = MemoryFile::new("2".to_owned());
            other.commit(MemoryTree::from([(RelPath::new("a").unwrap(), file)]));
            wake.wake();
        }
        Fault::None
    });
    let store = Arc::new(FaultyStore::new(Arc::new(world.store.clone()), script));
    let exporter = world.exporter(world.source.clone(), store);
    let mut running = world.start(world.continuous(exporter));
    running
        .until(|state| state.runs_total == 2 && state.phase == Phase::Idle)
        .await;
    assert_eq!(file(&world.store), "2");
    let texts: Vec<String> = world.ends.lock().unwrap().iter().map(|end| end.1.clone()).collect();
    assert_eq!(texts, ["1", "2"]);
}

/// A store that is out of reach while a switch is on, and counts who comes.
fn breakable(store: &MemoryStore) -> (Arc<FaultyStore>, Arc<std::sync::atomic::AtomicBool>) {
    let broken = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_broken = Arc::clone(&broken);
    let script = Script(move |_: &Call| {
        if is_broken.load(std::sync::atomic::Ordering::Relaxed) {
            Fault::Before(StoreErrorKind::Denied)
        } else {
            Fault::None
        }
    });
    (Arc::new(FaultyStore::new(Arc::new(store.clone()), script)), broken)
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_tried_again_ever_more_slowly_until_it_works() {
    let world = World::new();
    let (store, broken) = breakable(&world.store);
    let first = world.commit("1");
    let exporter = world.exporter(world.source.clone(), store.clone());
    let mut running = world.start(world.continuous(exporter));
    running.until_out(&first).await;
    broken.store(true, std::sync::atomic::Ordering::Relaxed);
    let second = world.commit("2");
    let state = running.until(|state| state.phase == Phase::Retrying).await;
    let error = state.error.unwrap();
    assert!(error.message.contains("s3:GetObject"), "{error}");
    assert!(state.behind_since.is_some() && state.next_try.is_some());
    let before = store.calls();
    tokio::time::sleep(3_600 * SECOND).await;
    let calls = store.calls() - before;
    assert!((10..40).contains(&calls), "{calls}");
    let state = running.state.borrow().clone();
    assert!(state.error.as_ref().unwrap().times > 10, "{state:?}");
    assert!(state.runs.len() <= RUNS_KEPT);
    broken.store(false, std::sync::atomic::Ordering::Relaxed);
    let state = running.until_out(&second).await;
    assert_eq!((state.error, state.behind_since), (None, None));
    assert_eq!(file(&world.store), "2");
}

#[tokio::test(start_paused = true)]
async fn a_fresh_head_is_tried_at_once_and_the_failed_one_is_left_alone() {
    let world = World::new();
    let (store, broken) = breakable(&world.store);
    broken.store(true, std::sync::atomic::Ordering::Relaxed);
    world.commit("1");
    let exporter = world.exporter(world.source.clone(), store.clone());
    let mut running = world.start(world.continuous(exporter));
    // Until the waits are minutes long.
    running
        .until(|state| state.phase == Phase::Retrying && state.error.as_ref().is_some_and(|error| error.times == 9))
        .await;
    broken.store(false, std::sync::atomic::Ordering::Relaxed);
    let before = store.calls();
    for _ in 0..20 {
        world.wake.wake();
        tokio::time::sleep(SECOND).await;
    }
    assert_eq!(store.calls(), before, "a wake without a new head is no reason to try");
    let began = Instant::now();
    let fresh = world.commit("2");
    running.until_out(&fresh).await;
    assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn objects_that_fail_are_a_failed_run_that_is_tried_again() {
    let world = World::new();
    let first = world.commit("1");
    let mut running = world.go();
    running.until_out(&first).await;
    let theirs = Prefix::new("out/").join("a");
    world.store.foreign_put(&theirs, "theirs");
    let second = world.commit("2");
    let state = running.until(|state| state.phase == Phase::Retrying).await;
    let run = state.runs.back().unwrap();
    assert_eq!((run.result, run.counts.failed), (RunResult::Failed, 1));
    assert!(run.run.is_some() && run.status_file.is_some());
    assert!(run.error.as_ref().unwrap().contains("a: "), "{run:?}");
    assert_eq!(file(&world.store), "theirs");
    world.store.foreign_delete(&theirs);
    running.until_out(&second).await;
    assert_eq!(file(&world.store), "2");
}

/// A refusal is told with its cure, and the next head is tried at once.
#[tokio::test(start_paused = true)]
async fn a_refused_run_says_what_to_do_and_the_next_head_goes_out() {
    let world = World::new();
    let first = world.commit("1");
    let mut exporter = world.exporter(world.source.clone(), Arc::new(world.store.clone()));
    exporter.config.guards.max_delete = Some(crate::export::MaxDelete::Count(0));
    let mut running = world.start(world.continuous(exporter));
    running.until_out(&first).await;
    let other = MemoryFile::new("other".to_owned());
    world
        .source
        .commit(MemoryTree::from([(RelPath::new("b").unwrap(), other)]));
    world.wake.wake();
    let state = running.until(|state| state.phase == Phase::Retrying).await;
    assert_eq!(state.runs.back().unwrap().result, RunResult::Refused);
    assert!(state.error.unwrap().message.contains("--max-delete"));
    assert_eq!(file(&world.store), "1");
    let good = world.commit("3");
    running.until_out(&good).await;
}

/// Of very many runs the last are remembered.
#[test]
fn the_list_of_runs_is_bounded() {
    let mut state = ContinuousState::new("memory:main", &"s3://bucket/out/".parse().unwrap());
    let (commit, now) = (CommitId::new("c"), Timestamp::now());
    for number in 0..RUNS_KEPT + 7 {
        let error = Err(ExportError::Interrupted);
        let mut facts = RunFacts::of(&error, None, &commit, now).unwrap();
        facts.bytes = number as u64;
        state.ran(facts);
    }
    assert_eq!(
        (state.runs.len(), state.runs_total),
        (RUNS_KEPT, (RUNS_KEPT + 7) as u64)
    );
    assert_eq!(state.runs.front().unwrap().bytes, 7);
    let text = serde_json::to_value(&state).unwrap();
    assert_eq!(text["phase"], "looking");
    assert_eq!(text["runs"][0]["result"], "interrupted");
}
