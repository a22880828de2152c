//! The loop around a run: each new head goes out, what fails is tried again, what is gone is waited for.
//!
//! ```text
//! wake ─▶ head ─▶ known and whole? ─▶ idle ────────────────────────────┐
//!   ▲               │ no                                               │
//!   │               ▼                                                  ▼
//!   │              run ─▶ done ─▶ idle; failed ─▶ retrying; lease held ─▶ waiting-for-lease; source gone ─▶ held
//!   └──────────────────────────── a wake, or the time for the next try ◀┘
//! ```
//!
//! A wake is taken before the head is read, never after, so that a commit which comes while a run goes on is seen by
//! the next pass: heads may be skipped, the last one always arrives.

mod delays;
mod pinned;
mod state;
mod trouble;

pub use delays::RetryDelays;
pub use state::{ContinuousState, LastError, Phase, RUNS_KEPT, RunFacts, RunResult};

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use self::pinned::{Followed, Pinned};
use self::trouble::{Trouble, trouble_of};
use super::{ExportError, Exporter, Outcome, Report};
use crate::model::CommitId;
use crate::source::{Source, SourceError};
use crate::wake::Wake;

/// So long may a run that was asked to end take, as for a single export.
const GRACE: Duration = Duration::from_secs(10);

/// Opens a source anew: that of a folder which was unmounted and is back is another one than before.
pub type Reopen = Arc<dyn Fn() -> BoxFuture<'static, Result<Arc<dyn Source>, SourceError>> + Send + Sync>;

/// Is told what came of each pass that asked the store, those that found nothing to do included.
pub type OnRun = Arc<dyn Fn(&Result<Report, ExportError>) + Send + Sync>;

/// Exports the head of a branch, and then each new one, until it is stopped.
pub struct Continuous {
    /// What each run does. Its `lock_wait` should be zero: the loop itself waits for a lease, and says so.
    pub exporter: Exporter,
    /// Whoever thinks that there may be a new head sets it.
    pub wake: Wake,
    /// How long to wait before the next try.
    pub delays: RetryDelays,
    /// What goes on; kept up to date, and left as it is at the end.
    pub state: watch::Sender<ContinuousState>,
    /// Opens the source again after it was gone; `None`: the source that there is must do.
    pub reopen: Option<Reopen>,
    /// Ends the loop as `stop` does, but lets a run that is under way come to its end.
    pub drain: CancellationToken,
    /// Is told what came of each run.
    pub on_run: Option<OnRun>,
}

/// What the loop knows from one pass to the next.
struct Tour {
    exporter: Exporter,
    /// The head that is out, whole, and since when.
    settled: Option<(CommitId, Instant)>,
    /// The head whose run failed, until when it is left alone.
    failed: Option<(CommitId, Instant)>,
    /// Tries that failed one after the other.
    failures: u32,
    /// Whether the source was gone, so that an empty tree says nothing.
    was_gone: bool,
}

/// What comes after a pass.
enum Rest {
    /// Until a wake, or this moment.
    Wakeable(Instant),
    /// Until this moment; a wake is kept for later.
    Deaf(Instant),
    /// The end.
    Stop,
}

impl Continuous {
    /// A loop with the usual delays, that cannot open its source anew and tells nobody but its state.
    pub fn new(exporter: Exporter, wake: Wake) -> Self {
        let state = ContinuousState::new(exporter.source.name(), &exporter.config.export_path);
        Self {
            exporter,
            wake,
            delays: RetryDelays::default(),
            state: watch::Sender::new(state),
            reopen: None,
            drain: CancellationToken::new(),
            on_run: None,
        }
    }

    /// Runs until `stop` or `drain`. After `stop` a run that is under way has 10 s to end in good order, then it is
    /// dropped where it stands. What goes wrong stands in the state, and is tried again.
    pub async fn run(&self, stop: &CancellationToken) {
        let mut tour = Tour {
            exporter: self.exporter.clone(),
            settled: None,
            failed: None,
            failures: 0,
            was_gone: false,
        };
        loop {
            let rest = Box::pin(self.pass(&mut tour, stop)).await;
            let goes_on = match rest {
                Rest::Stop => false,
                Rest::Wakeable(until) => {
                    tokio::select! {
                        biased;
                        () = self.ended(stop) => false,
                        () = self.wake.woken() => true,
                        () = sleep_until(until) => true,
                    }
                }
                Rest::Deaf(until) => {
                    tokio::select! {
                        biased;
                        () = self.ended(stop) => false,
                        () = sleep_until(until) => true,
                    }
                }
            };
            if !goes_on {
                break;
            }
        }
        self.state.send_modify(ContinuousState::stopped);
    }

    async fn ended(&self, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.drain.cancelled() => {}
        }
    }

    /// Reads the head once, and exports it where that is to be done.
    async fn pass(&self, tour: &mut Tour, stop: &CancellationToken) -> Rest {
        if stop.is_cancelled() || self.drain.is_cancelled() {
            return Rest::Stop;
        }
        self.state.send_modify(ContinuousState::looking);
        let asked = Instant::now();
        let head = tokio::select! {
            biased;
            () = self.ended(stop) => return Rest::Stop,
            head = self.head(tour) => head,
        };
        let head = match head {
            Ok(head) => head,
            Err(error) => return self.failed(tour, None, &error.into(), stop),
        };
        tracing::debug!(%head, took_ms = asked.elapsed().as_secs_f64() * 1e3, "read the head");
        self.state.send_modify(|state| state.saw(&head));
        let now = Instant::now();
        if let Some((settled, at)) = &tour.settled {
            let look_again = *at + self.delays.look_again;
            if *settled == head && now < look_again {
                self.state.send_modify(ContinuousState::idle);
                return Rest::Wakeable(look_again);
            }
        }
        if let Some((failed, until)) = &tour.failed
            && *failed == head
            && now < *until
        {
            let until = *until;
            self.state.send_modify(ContinuousState::retrying);
            return Rest::Wakeable(until);
        }
        self.export(tour, &head, stop).await
    }

    /// Reads the head, from a source that was opened anew where the old one was gone.
    async fn head(&self, tour: &mut Tour) -> Result<CommitId, SourceError> {
        if tour.was_gone
            && let Some(reopen) = &self.reopen
        {
            tour.exporter.source = reopen().await?;
        }
        tour.exporter.source.head().await
    }

    async fn export(&self, tour: &mut Tour, head: &CommitId, stop: &CancellationToken) -> Rest {
        self.state.send_modify(ContinuousState::running);
        let started = Timestamp::now();
        let mut exporter = tour.exporter.clone();
        exporter.source = Arc::new(Pinned::new(exporter.source, head.clone()));
        let followed = Arc::new(Followed::new(exporter.progress));
        exporter.progress = followed.clone();
        // A mount point without its file system is an empty folder, and whoever allows that a branch becomes empty
        // does not mean that.
        exporter.config.guards.allow_empty &= !tour.was_gone;
        let too_late = async {
            stop.cancelled().await;
            sleep(GRACE).await;
        };
        let outcome = tokio::select! {
            outcome = Box::pin(exporter.run(stop)) => outcome,
            () = too_late => Err(ExportError::Interrupted),
        };
        tracing::debug!(%head, phases = %followed.times(), "the run is over");
        if let Some(facts) = RunFacts::of(&outcome, followed.run(), head, started) {
            self.state.send_modify(|state| state.ran(facts));
        }
        if let Some(on_run) = &self.on_run {
            on_run(&outcome);
        }
        match outcome {
            Ok(report) if report.outcome == Outcome::Failed => {
                let text = state::failed_text(&report);
                self.retry(tour, Some(head), LastError::new(text, Vec::new()))
            }
            Ok(report) => {
                let now = Instant::now();
                tour.settled = Some((report.commit, now));
                tour.failed = None;
                tour.failures = 0;
                tour.was_gone = false;
                self.state.send_modify(|state| state.exported(head));
                Rest::Wakeable(now + self.delays.look_again)
            }
            Err(error) => self.failed(tour, Some(head), &error, stop),
        }
    }

    /// What is to be done about an error.
    fn failed(&self, tour: &mut Tour, head: Option<&CommitId>, error: &ExportError, stop: &CancellationToken) -> Rest {
        let last = LastError::of(error);
        match trouble_of(error) {
            Trouble::Interrupted if stop.is_cancelled() => Rest::Stop,
            Trouble::Lease => {
                tour.settled = None;
                tour.failures += 1;
                let delay = self.delays.for_lease(tour.failures);
                self.state.send_modify(|state| state.waits_for_lease(last, delay));
                Rest::Deaf(Instant::now() + delay)
            }
            Trouble::Gone => {
                tour.was_gone = true;
                tour.settled = None;
                tour.failures += 1;
                let delay = self.delays.for_held(tour.failures);
                if self.state.borrow().phase_before_looking() != Phase::Held {
                    tracing::error!(source = tour.exporter.source.name(), error = %last, "the source is gone; nothing is exported until it is back");
                }
                self.state.send_modify(|state| state.held(last, delay));
                Rest::Wakeable(Instant::now() + delay)
            }
            // Also where a run gave up although nobody asked it to.
            Trouble::Other | Trouble::Interrupted => self.retry(tour, head, last),
        }
    }

    fn retry(&self, tour: &mut Tour, head: Option<&CommitId>, error: LastError) -> Rest {
        tour.settled = None;
        tour.failures += 1;
        let delay = self.delays.for_retry(tour.failures);
        let until = Instant::now() + delay;
        tour.failed = head.map(|head| (head.clone(), until));
        tracing::warn!(%error, ?delay, "failed; it will be tried again");
        self.state.send_modify(|state| state.will_retry(error, delay));
        Rest::Wakeable(until)
    }
}

#[cfg(test)]
mod tests;
