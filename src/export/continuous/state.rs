//! What a continuous export tells of itself.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::causes::causes;
use crate::export::{Counts, ExportError, HookReport, Outcome, Refusal, Report};
use crate::model::{CommitId, RunId, S3Url};

/// So many runs are remembered: a chart's worth, in some 50 KiB.
pub const RUNS_KEPT: usize = 100;

/// What a continuous export is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Reads the head.
    Looking,
    /// Brings the export path to the head.
    Running,
    /// The head is out.
    Idle,
    /// Somebody else holds the lease.
    WaitingForLease,
    /// The last try failed, and there will be another.
    Retrying,
    /// The source is gone. Nothing is exported until it is back.
    Held,
    /// It was stopped.
    Stopped,
}

impl fmt::Display for Phase {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Looking => "looking",
            Self::Running => "running",
            Self::Idle => "idle",
            Self::WaitingForLease => "waiting-for-lease",
            Self::Retrying => "retrying",
            Self::Held => "held",
            Self::Stopped => "stopped",
        })
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunResult {
    /// The commit is out.
    Exported,
    /// Some objects failed.
    Failed,
    /// A guard refused it before its first write.
    Refused,
    /// The lease went to somebody else.
    LeaseLost,
    /// It was asked to stop.
    Interrupted,
    /// Something else went wrong.
    Error,
}

/// One run, in short.
#[derive(Clone, Debug, Serialize)]
pub struct RunFacts {
    /// Its id; a run that failed before it knew what to do has none.
    pub run: Option<RunId>,
    /// The commit that it went for.
    pub commit: CommitId,
    /// How it ended.
    pub result: RunResult,
    /// When it began, by this machine's clock.
    pub started_at: Timestamp,
    /// When it ended, by this machine's clock.
    pub finished_at: Timestamp,
    /// What it did; zeros where it ended with an error.
    pub counts: Counts,
    /// Bytes sent and copied.
    pub bytes: u64,
    /// The name of its status file.
    pub status_file: Option<String>,
    /// What came of the user's commands.
    pub hooks: Vec<HookReport>,
    /// What went wrong, with the cure.
    pub error: Option<String>,
}

/// The last thing that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastError {
    /// What, and the cure.
    pub message: String,
    /// Why, from the top down.
    pub causes: Vec<String>,
    /// When the first of the failures in a row was.
    pub since: Timestamp,
    /// How many failures there were in a row, this one included.
    pub times: u32,
}

/// What a continuous export tells of itself.
#[derive(Clone, Debug, Serialize)]
pub struct ContinuousState {
    /// The source's name.
    pub source: String,
    /// Where it goes.
    pub export_path: S3Url,
    /// What it is doing.
    pub phase: Phase,
    /// The head as it was last read.
    pub head: Option<CommitId>,
    /// The commit that is out, as far as this process knows.
    pub exported: Option<CommitId>,
    /// Since when the head differs from what is out.
    pub behind_since: Option<Timestamp>,
    /// What went wrong last; cleared when a commit is out.
    pub error: Option<LastError>,
    /// When the next try is due at the latest.
    pub next_try: Option<Timestamp>,
    /// The last runs, oldest first; at most [`RUNS_KEPT`].
    pub runs: VecDeque<RunFacts>,
    /// How many runs there were, those that are forgotten included.
    pub runs_total: u64,
    #[serde(skip)]
    before_looking: Phase,
}

impl ContinuousState {
    /// Of an export that has not begun.
    pub fn new(source: &str, export_path: &S3Url) -> Self {
        Self {
            source: source.to_owned(),
            export_path: export_path.clone(),
            phase: Phase::Looking,
            head: None,
            exported: None,
            behind_since: None,
            error: None,
            next_try: None,
            runs: VecDeque::new(),
            runs_total: 0,
            before_looking: Phase::Looking,
        }
    }

    /// How long the head has differed from what is out.
    pub fn lag(&self, now: Timestamp) -> Duration {
        let since = self.behind_since.map(|since| now.duration_since(since));
        since.map_or(Duration::ZERO, |lag| lag.max(SignedDuration::ZERO).unsigned_abs())
    }

    /// What it was doing before it began to look; else what it is doing.
    pub(super) fn phase_before_looking(&self) -> Phase {
        match self.phase {
            Phase::Looking => self.before_looking,
            other => other,
        }
    }

    pub(super) fn looking(&mut self) {
        if self.phase != Phase::Looking {
            self.before_looking = self.phase;
        }
        self.phase = Phase::Looking;
    }

    pub(super) fn saw(&mut self, head: &CommitId) {
        self.head = Some(head.clone());
        self.compare();
    }

    pub(super) fn running(&mut self) {
        self.phase = Phase::Running;
        self.next_try = None;
    }

    pub(super) fn idle(&mut self) {
        self.phase = Phase::Idle;
        self.next_try = None;
    }

    pub(super) fn retrying(&mut self) {
        self.phase = Phase::Retrying;
    }

    pub(super) fn exported(&mut self, commit: &CommitId) {
        self.exported = Some(commit.clone());
        self.error = None;
        self.compare();
        self.idle();
    }

    pub(super) fn ran(&mut self, facts: RunFacts) {
        if self.runs.len() == RUNS_KEPT {
            self.runs.pop_front();
        }
        self.runs.push_back(facts);
        self.runs_total += 1;
    }

    pub(super) fn will_retry(&mut self, error: LastError, delay: Duration) {
        self.ended(Phase::Retrying, error, delay);
    }

    pub(super) fn waits_for_lease(&mut self, error: LastError, delay: Duration) {
        self.ended(Phase::WaitingForLease, error, delay);
    }

    pub(super) fn held(&mut self, error: LastError, delay: Duration) {
        self.ended(Phase::Held, error, delay);
    }

    pub(super) fn stopped(&mut self) {
        self.phase = Phase::Stopped;
        self.next_try = None;
    }

    fn ended(&mut self, phase: Phase, mut error: LastError, delay: Duration) {
        self.phase = phase;
        // A delay is minutes at most, so there is always such a time.
        self.next_try = Timestamp::now().checked_add(delay).ok();
        // Whatever it was: the words of an error may hold a time or a number of their own.
        if let Some(before) = self.error.take() {
            error.since = before.since;
            error.times = before.times.saturating_add(1);
        }
        self.error = Some(error);
    }

    fn compare(&mut self) {
        if self.head.is_none() || self.head == self.exported {
            self.behind_since = None;
        } else {
            self.behind_since.get_or_insert_with(Timestamp::now);
        }
    }
}

impl LastError {
    pub(super) fn new(message: String, causes: Vec<String>) -> Self {
        Self {
            message,
            causes,
            since: Timestamp::now(),
            times: 1,
        }
    }

    /// Says what a run below another says, which names the thing and the cure; that a run met it adds nothing.
    pub(super) fn of(error: &ExportError) -> Self {
        let top: &(dyn std::error::Error + 'static) = match error {
            ExportError::Source(error) => error,
            ExportError::Store(error) => error,
            ExportError::Ledger(error) => error,
            ExportError::Status(error) => error,
            other => other,
        };
        Self::new(top.to_string(), causes(top, ToString::to_string))
    }
}

impl fmt::Display for LastError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)?;
        for cause in &self.causes {
            write!(out, ": {cause}")?;
        }
        Ok(())
    }
}

impl RunFacts {
    /// What is worth remembering; nothing where there was nothing to do, or nothing could be begun.
    pub(super) fn of(
        outcome: &Result<Report, ExportError>,
        run: Option<RunId>,
        head: &CommitId,
        started_at: Timestamp,
    ) -> Option<Self> {
        let finished_at = Timestamp::now();
        let facts = |result, error| Self {
            run,
            commit: head.clone(),
            result,
            started_at,
            finished_at,
            counts: Counts::default(),
            bytes: 0,
            status_file: None,
            hooks: Vec::new(),
            error,
        };
        let report = match outcome {
            Ok(report) => report,
            // Somebody else's run, and not one of ours.
            Err(ExportError::Held { .. }) => return None,
            Err(error) => {
                let result = match error {
                    ExportError::Refused(_) | ExportError::Plan(_) => RunResult::Refused,
                    ExportError::LeaseLost { .. } => RunResult::LeaseLost,
                    ExportError::Interrupted => RunResult::Interrupted,
                    _ => RunResult::Error,
                };
                let hooks = match error {
                    ExportError::Refused(Refusal::Hook { report }) => vec![(**report).clone()],
                    _ => Vec::new(),
                };
                return Some(Self {
                    hooks,
                    ..facts(result, Some(LastError::of(error).to_string()))
                });
            }
        };
        let result = match report.outcome {
            Outcome::Exported => RunResult::Exported,
            Outcome::Failed => RunResult::Failed,
            Outcome::Unchanged => return None,
        };
        Some(Self {
            run: report.run,
            commit: report.commit.clone(),
            counts: report.counts,
            bytes: report.counts.put_bytes + report.counts.copied_bytes,
            status_file: report.status_file.clone(),
            hooks: report.hooks.clone(),
            ..facts(result, (result == RunResult::Failed).then(|| failed_text(report)))
        })
    }
}

/// Says that objects failed, and which was the first.
pub(super) fn failed_text(report: &Report) -> String {
    let first = report.failures.first();
    let first = first.map_or_else(String::new, |one| format!(", the first {}: {}", one.path, one.error));
    format!("{} objects failed{first}", report.counts.failed)
}
