//! What a run has done so far, counted while it goes on, and what all runs of an export did together.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use tokio::time::Instant;

use super::log::{ExportLog, LogLevel};
use super::view::ProgressView;
use crate::export::{ExportError, Outcome, Report};
use crate::model::{CommitId, RunId};
use crate::progress::{ObjectEvent, Phase, Progress, Totals};

/// The meter of one export: of the run that goes on, and of all those before it.
#[derive(Debug, Default)]
pub struct Live {
    run: Mutex<Run>,
    bytes: AtomicU64,
    objects: AtomicU64,
    failed: AtomicU64,
    /// Grows with everything that is counted, so that a reader sees whether there is something new.
    ticks: AtomicU64,
    tally: Mutex<Tally>,
    /// What was said of all that.
    pub log: ExportLog,
}

#[derive(Debug, Default)]
struct Run {
    phase: Option<Phase>,
    began: Option<Instant>,
    run: Option<RunId>,
    totals: Option<Totals>,
    warnings: Vec<String>,
}

/// What the runs of an export did, since the process began.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Runs by how they ended.
    pub runs: BTreeMap<&'static str, u64>,
    /// Objects by what was done with them.
    pub objects: BTreeMap<&'static str, u64>,
    /// Bytes sent and copied.
    pub bytes: u64,
    /// When the head was last found to be out.
    pub last_success: Option<Timestamp>,
}

/// So many warnings of one run are kept.
const MOST_WARNINGS: usize = 20;

impl Live {
    /// Says how far the run is that goes on.
    pub fn progress(&self) -> ProgressView {
        let run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        let totals = run.totals;
        ProgressView {
            run: run.run.map(|run| run.to_string()),
            phase: run.phase.unwrap_or(Phase::Look),
            objects: self.objects.load(Ordering::Relaxed),
            objects_total: totals.map(|totals| totals.put + totals.copied + totals.deleted),
            bytes: self.bytes.load(Ordering::Relaxed),
            bytes_total: totals.map(|totals| totals.put_bytes + totals.copied_bytes),
            failed: self.failed.load(Ordering::Relaxed),
            seconds: run.began.map_or(0.0, |began| began.elapsed().as_secs_f64()),
        }
    }

    /// The warnings of the last run.
    pub fn warnings(&self) -> Vec<String> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner).warnings.clone()
    }

    /// Changes with each thing that was counted.
    pub fn ticks(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }

    /// What all runs did.
    pub fn tally(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many passes that asked the store have ended.
    pub fn passes(&self) -> u64 {
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.runs.values().sum()
    }

    /// Adds what came of a run.
    pub fn ran(&self, outcome: &Result<Report, ExportError>) {
        self.log.ran(outcome, self.progress().seconds);
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let result = match outcome {
            Ok(report) => {
                let counts = &report.counts;
                for (action, count) in [
                    ("put", counts.put),
                    ("copied", counts.copied),
                    ("deleted", counts.deleted),
                    ("failed", counts.failed),
                ] {
                    *tally.objects.entry(action).or_default() += count;
                }
                tally.bytes += counts.put_bytes + counts.copied_bytes;
                match report.outcome {
                    Outcome::Unchanged => "unchanged",
                    Outcome::Exported => "exported",
                    Outcome::Failed => "failed",
                }
            }
            Err(ExportError::Held { .. } | ExportError::LeaseLost { .. }) => "lease-held",
            Err(ExportError::Refused(_) | ExportError::Plan(_)) => "refused",
            Err(ExportError::Interrupted) => "interrupted",
            Err(_) => "error",
        };
        *tally.runs.entry(result).or_default() += 1;
        if matches!(outcome, Ok(report) if report.outcome != Outcome::Failed) {
            tally.last_success = Some(Timestamp::now());
        }
    }

    fn tick(&self) {
        self.ticks.fetch_add(1, Ordering::Relaxed);
    }
}

impl Progress for Live {
    fn phase(&self, phase: Phase) {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        if phase == Phase::Look {
            *run = Run {
                began: Some(Instant::now()),
                ..Run::default()
            };
            for count in [&self.bytes, &self.objects, &self.failed] {
                count.store(0, Ordering::Relaxed);
            }
        }
        run.phase = Some(phase);
        drop(run);
        self.tick();
    }

    fn started(&self, id: RunId, commit: &CommitId) {
        self.log.run_begins(id, commit);
        self.run.lock().unwrap_or_else(PoisonError::into_inner).run = Some(id);
        self.tick();
    }

    fn planned(&self, totals: &Totals) {
        self.log.planned(totals);
        self.run.lock().unwrap_or_else(PoisonError::into_inner).totals = Some(*totals);
        self.tick();
    }

    fn moved(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.tick();
    }

    fn object(&self, event: &ObjectEvent<'_>) {
        self.log.object(event);
        self.objects.fetch_add(1, Ordering::Relaxed);
        if event.error.is_some() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        self.tick();
    }

    fn warn(&self, text: &str) {
        tracing::warn!("{text}");
        self.log.say(LogLevel::Warning, text);
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        if run.warnings.len() < MOST_WARNINGS {
            run.warnings.push(text.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_run_counts_from_zero() {
        let live = Live::default();
        live.phase(Phase::Look);
        live.planned(&Totals {
            put: 3,
            put_bytes: 30,
            deleted: 1,
            ..Totals::default()
        });
        live.phase(Phase::Transfer);
        live.moved(10);
        live.warn("odd");
        let seen = live.progress();
        assert_eq!(
            (seen.bytes, seen.bytes_total, seen.objects_total),
            (10, Some(30), Some(4))
        );
        assert_eq!(live.warnings(), ["odd"]);
        let ticks = live.ticks();
        live.phase(Phase::Look);
        let seen = live.progress();
        assert_eq!((seen.bytes, seen.bytes_total, seen.phase), (0, None, Phase::Look));
        assert!(live.ticks() > ticks && live.warnings().is_empty());
    }
}
