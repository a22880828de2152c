//! One export that is to run: opened, looped, told of, until it is stopped.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Mutex as TurnMutex, Notify, watch};
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::export::continuous::ContinuousState;
use crate::serve::definition::Options;
use crate::serve::live::Live;
use crate::serve::log::LogLevel;
use crate::serve::name::ExportName;
use crate::serve::open::{Opened, Parts};
use crate::serve::records::StatusFiles;
use crate::serve::view::TroubleView;
use crate::store::Retrying;
use crate::wake::Wake;

/// States that change faster than this are told together.
const BREATH: Duration = Duration::from_millis(100);

/// How long to wait before an export that could not be opened is tried again, and at most.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(300);

/// Where an export stands that is to run.
#[derive(Clone)]
pub enum Standing {
    /// It is being opened, or waits for the next try.
    Opening {
        trouble: Option<TroubleView>,
        next_try: Option<Timestamp>,
    },
    /// It runs.
    Open {
        state: watch::Receiver<ContinuousState>,
        files: StatusFiles,
    },
    /// It has ended.
    Ended {
        /// What the loop said last, where there was one.
        state: Option<watch::Receiver<ContinuousState>>,
    },
}

/// A handle on an export that is to run.
pub struct Hold {
    pub wake: Wake,
    pub standing: watch::Receiver<Standing>,
    stop: CancellationToken,
    again: Arc<Again>,
}

/// Has a loop begin anew, after the run that goes on.
#[derive(Default)]
struct Again {
    wanted: Notify,
    drain: Mutex<CancellationToken>,
}

/// What a hold needs to begin.
pub struct Plan {
    pub name: ExportName,
    pub options: Options,
    pub live: Arc<Live>,
    /// Only one at a time may be at work on an export path in this process: leases tell processes apart.
    pub path: Arc<TurnMutex<()>>,
    /// What the last hold remembered.
    pub last: Option<ContinuousState>,
}

impl Hold {
    /// Begins; returns before anything is opened.
    pub fn begin(shared: &Arc<Shared>, plan: Plan) -> Self {
        let wake = Wake::default();
        let stop = shared.stop.child_token();
        let again = Arc::<Again>::default();
        let (tell, standing) = watch::channel(Standing::Opening {
            trouble: None,
            next_try: None,
        });
        let work = Work {
            shared: Arc::clone(shared),
            plan,
            wake: wake.clone(),
            stop: stop.clone(),
            again: Arc::clone(&again),
            tell,
        };
        work.say(LogLevel::Info, "switched on");
        shared.tasks.spawn(work.run());
        Self {
            wake,
            standing,
            stop,
            again,
        }
    }

    /// Asks it to end in good order.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Whether it was asked to end.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        matches!(*self.standing.borrow(), Standing::Ended { .. })
    }

    /// Has it look at source and store afresh, also where the last try failed and the next is not yet due.
    pub fn run_now(&self) {
        self.again.drain.lock().unwrap_or_else(PoisonError::into_inner).cancel();
        self.again.wanted.notify_one();
        self.wake.wake();
    }
}

struct Work {
    shared: Arc<Shared>,
    plan: Plan,
    wake: Wake,
    stop: CancellationToken,
    again: Arc<Again>,
    tell: watch::Sender<Standing>,
}

impl Work {
    async fn run(self) {
        let path = Arc::clone(&self.plan.path);
        tokio::select! {
            () = self.stop.cancelled() => {}
            _turn = path.lock() => {
                if let Some(opened) = self.opened().await {
                    Box::pin(self.looped(opened)).await;
                }
            }
        }
        let state = match &*self.tell.borrow() {
            Standing::Open { state, .. } => Some(state.clone()),
            Standing::Opening { .. } | Standing::Ended { .. } => None,
        };
        self.say(LogLevel::Info, "ended");
        self.tell.send_replace(Standing::Ended { state });
        self.shared.changed(&self.plan.name);
    }

    /// Opens source and store, however often that takes; `None` where it was stopped before.
    async fn opened(&self) -> Option<Opened> {
        let mut delay = FIRST_DELAY;
        let mut before: Option<TroubleView> = None;
        loop {
            let opened = tokio::select! {
                () = self.stop.cancelled() => return None,
                opened = self.open() => opened,
            };
            let complaint = match opened {
                Ok(opened) => return Some(opened),
                Err(complaint) => complaint,
            };
            let same = before.filter(|before| before.message == complaint.message);
            let trouble = TroubleView {
                since: same.as_ref().map_or_else(|| Some(Timestamp::now()), |same| same.since),
                times: same.map_or(1, |same| same.times.saturating_add(1)),
                message: complaint.message,
                cure: complaint.cure,
                causes: Vec::new(),
            };
            if trouble.times == 1 {
                self.say(
                    LogLevel::Error,
                    &format!("cannot be opened, and is tried again: {}", trouble.message),
                );
                tracing::warn!(export = %self.plan.name, error = %trouble.message, "cannot be opened; it will be tried again");
            }
            before = Some(trouble.clone());
            self.tell.send_replace(Standing::Opening {
                trouble: Some(trouble),
                // A delay is minutes at most, so there is always such a time.
                next_try: Timestamp::now().checked_add(delay).ok(),
            });
            self.shared.changed(&self.plan.name);
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(delay) => delay = (delay * 2).min(LONGEST_DELAY),
                () = self.again.wanted.notified() => delay = FIRST_DELAY,
            }
        }
    }

    fn say(&self, level: LogLevel, text: &str) {
        self.plan.live.log.say(level, text);
    }

    async fn open(&self) -> Result<Opened, crate::serve::definition::Complaint> {
        // A thousand exports must not all open their repositories at one moment.
        let _place = self
            .shared
            .opening
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let parts = Parts {
            limiter: Arc::clone(&self.shared.limiter),
            bandwidth: self.shared.bandwidth.clone(),
            counts: Arc::clone(&self.shared.counts),
            progress: self.plan.live.clone(),
            wake: self.wake.clone(),
            hub: Arc::clone(&self.shared.hub),
        };
        self.shared.open.open(&self.plan.options, parts).await
    }

    async fn looped(&self, opened: Opened) {
        let Opened { mut continuous, watch } = opened;
        let live = Arc::clone(&self.plan.live);
        continuous.on_run = Some(Arc::new(move |outcome| live.ran(outcome)));
        if let Some(last) = &self.plan.last {
            continuous.state.send_modify(|state| {
                state.runs = last.runs.clone();
                state.runs_total = last.runs_total;
            });
        }
        let exporter = &continuous.exporter;
        let store = Retrying::new(exporter.status_store.clone(), None, Arc::clone(&self.shared.counts));
        let files = StatusFiles {
            store: Arc::new(store.with_config(exporter.retry)),
            prefix: exporter.config.status_path.prefix.clone(),
        };
        let state = continuous.state.subscribe();
        self.tell.send_replace(Standing::Open {
            state: state.clone(),
            files,
        });
        self.shared.changed(&self.plan.name);
        let told = async {
            let mut state = state;
            let mut troubles = Troubles::new(self.plan.live.passes());
            while state.changed().await.is_ok() {
                let news = troubles.news(&state.borrow(), self.plan.live.passes());
                if let Some(text) = news {
                    self.say(LogLevel::Error, &text);
                }
                self.shared.changed(&self.plan.name);
                tokio::time::sleep(BREATH).await;
            }
        };
        let loops = async {
            while !self.stop.is_cancelled() {
                let drain = CancellationToken::new();
                *self.again.drain.lock().unwrap_or_else(PoisonError::into_inner) = drain.clone();
                continuous.drain = drain;
                continuous.run(&self.stop).await;
            }
        };
        tokio::select! {
            () = told => {}
            () = loops => {}
        }
        drop(watch);
    }
}

/// Tells what kept the loop from even beginning a run: what came of runs is told by themselves.
struct Troubles {
    /// The failures in a row that are known, and since when.
    known: Option<(Timestamp, u32)>,
    /// The passes that had ended then.
    passes: u64,
}

impl Troubles {
    fn new(passes: u64) -> Self {
        Self { known: None, passes }
    }

    fn news(&mut self, state: &ContinuousState, passes: u64) -> Option<String> {
        let failures = state.error.as_ref().map(|error| (error.since, error.times));
        let is_new = failures != self.known;
        let is_of_a_run = passes != self.passes;
        self.known = failures;
        self.passes = passes;
        let error = state.error.as_ref().filter(|_| is_new && !is_of_a_run)?;
        Some(format!("the head cannot be read, and is tried again: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::continuous::LastError;

    #[test]
    fn a_head_that_cannot_be_read_is_told_each_time_and_what_a_run_told_is_not_told_again() {
        let mut state = ContinuousState::new("git:/x", &"s3://bucket/".parse().unwrap());
        let mut troubles = Troubles::new(7);
        assert_eq!(troubles.news(&state, 7), None);
        let failed = |times| LastError {
            message: "gone".to_owned(),
            causes: vec!["unmounted".to_owned()],
            since: Timestamp::UNIX_EPOCH,
            times,
        };
        state.error = Some(failed(1));
        let told = "the head cannot be read, and is tried again: gone: unmounted";
        assert_eq!(troubles.news(&state, 7).as_deref(), Some(told));
        assert_eq!(troubles.news(&state, 7), None, "nothing is new");
        state.error = Some(failed(2));
        assert_eq!(troubles.news(&state, 7).as_deref(), Some(told));
        state.error = Some(failed(3));
        assert_eq!(troubles.news(&state, 8), None, "a run ended, and told of itself");
        state.error = None;
        assert_eq!(troubles.news(&state, 9), None);
    }
}
