//! Shows one run after the other, and remembers when the last sign of life came.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::cli::progress::Reporter;
use crate::cli::summary;
use crate::cli::ui::Ui;
use crate::export::Outcome;
use crate::export::continuous::OnRun;
use crate::model::{CommitId, RunId, S3Url};
use crate::progress::{ObjectEvent, Phase, Progress, Totals};
use crate::store::{RequestCounts, RequestTotals};

/// Where a run is, and since when nothing was heard of it.
#[derive(Clone, Copy, Debug)]
pub struct Beat {
    /// The phase that it entered last.
    pub phase: Phase,
    /// The last sign of life.
    pub at: Instant,
}

/// Shows one run after the other: each that does something has a bar of its own.
pub struct RunsReporter {
    ui: Ui,
    run: Mutex<Option<Arc<Reporter>>>,
    beat: Mutex<Beat>,
}

impl RunsReporter {
    pub fn new(ui: &Ui) -> Self {
        Self {
            ui: ui.clone(),
            run: Mutex::default(),
            beat: Mutex::new(Beat {
                phase: Phase::Look,
                at: Instant::now(),
            }),
        }
    }

    pub fn beat(&self) -> Beat {
        *lock(&self.beat)
    }

    /// Prints what came of each run; of those that found nothing to do only the first.
    pub fn on_run(self: &Arc<Self>, export_path: &S3Url, counts: Arc<RequestCounts>) -> OnRun {
        let (reporter, export_path) = (Arc::clone(self), export_path.clone());
        let known = Mutex::new((counts.totals(), true));
        Arc::new(move |outcome| {
            reporter.end();
            let now = counts.totals();
            let (requests, is_first): (RequestTotals, bool) = {
                let mut known = lock(&known);
                let requests = now.since(&known.0);
                (requests, std::mem::replace(&mut *known, (now, false)).1)
            };
            if let Ok(report) = outcome
                && (is_first || report.outcome != Outcome::Unchanged)
            {
                // The loop goes on, whatever code this run alone would end with.
                summary::tell(&reporter.ui, &export_path, report, &requests);
            }
            reporter.ui.in_run(None, None);
        })
    }

    fn end(&self) {
        // Takes the bar away.
        lock(&self.run).take();
    }

    fn lives(&self) {
        lock(&self.beat).at = Instant::now();
    }

    /// The run that is shown. No lock is held while it is told anything, since that may wait for a slow terminal.
    fn current(&self) -> Option<Arc<Reporter>> {
        self.lives();
        lock(&self.run).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Progress for RunsReporter {
    fn phase(&self, phase: Phase) {
        *lock(&self.beat) = Beat {
            phase,
            at: Instant::now(),
        };
        if let Some(run) = self.current() {
            run.phase(phase);
        }
    }

    fn started(&self, run: RunId, commit: &CommitId) {
        // The old bar goes first, since taking it away takes away whatever is shown.
        self.end();
        let reporter = Arc::new(Reporter::new(&self.ui));
        reporter.started(run, commit);
        *lock(&self.run) = Some(reporter);
        self.lives();
    }

    fn planned(&self, totals: &Totals) {
        if let Some(run) = self.current() {
            run.planned(totals);
        }
    }

    fn moved(&self, bytes: u64) {
        if let Some(run) = self.current() {
            run.moved(bytes);
        }
    }

    fn object(&self, event: &ObjectEvent<'_>) {
        if let Some(run) = self.current() {
            run.object(event);
        }
    }

    fn warn(&self, text: &str) {
        self.ui.warn(text);
    }
}
