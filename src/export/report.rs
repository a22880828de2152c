//! What came of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::model::{CommitId, NoticeKind, RelPath, RunId};
use crate::status::StatusHead;
use crate::transfer::Outcome as StepOutcome;

use super::hooks::HookReport;

/// How a run ended, where it ended in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The export path was at the head already.
    Unchanged,
    /// The export path is at the head now.
    Exported,
    /// Some objects failed; nothing was deleted, and the next run tries again.
    Failed,
}

/// What was done, in objects and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Objects sent.
    pub put: u64,
    /// Their bytes.
    pub put_bytes: u64,
    /// Objects that the store copied.
    pub copied: u64,
    /// Their bytes.
    pub copied_bytes: u64,
    /// Objects removed.
    pub deleted: u64,
    /// Objects that stayed as they were.
    pub kept: u64,
    /// Paths of the tree left out by a policy; `None` where the run did not read the whole tree.
    pub skipped: Option<u64>,
    /// Objects that failed.
    pub failed: u64,
}

impl Counts {
    /// Adds what came of one step.
    pub(super) fn add(&mut self, outcome: &StepOutcome) {
        match outcome {
            StepOutcome::Written { record, copied: false } => {
                self.put += 1;
                self.put_bytes += record.size;
            }
            StepOutcome::Written { record, copied: true } => {
                self.copied += 1;
                self.copied_bytes += record.size;
            }
            StepOutcome::Deleted { .. } => self.deleted += 1,
            StepOutcome::LetGo { .. } => {}
            StepOutcome::Conflict { .. } | StepOutcome::Failed { .. } => self.failed += 1,
        }
    }

    /// Writes the counts into the first record of a status file.
    pub(super) fn fill(&self, head: &mut StatusHead) {
        head.put = self.put;
        head.put_bytes = self.put_bytes;
        head.copied = self.copied;
        head.copied_bytes = self.copied_bytes;
        head.deleted = self.deleted;
        head.kept = self.kept;
        head.skipped = self.skipped;
        head.failed = self.failed;
    }
}

/// One object that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The path below the export path.
    pub path: RelPath,
    /// Why, with the cure.
    pub error: String,
}

/// What came of a run that ended in good order.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// Its id; a run that found nothing to do has none.
    pub run: Option<RunId>,
    /// The commit that it went for.
    pub commit: CommitId,
    /// The commit that was there before.
    pub previous: Option<CommitId>,
    /// The name of its status file, or of the newest one where there was nothing to do.
    pub status_file: Option<String>,
    /// What was done.
    pub counts: Counts,
    /// What the source left out or warned of, by kind, of all that the run looked at: the whole tree where
    /// `counts.skipped` is known, else the changes alone.
    pub notices: BTreeMap<NoticeKind, u64>,
    /// The first objects that failed; `counts.failed` counts all.
    pub failures: Vec<Failure>,
    /// Objects of ours that somebody else has changed and that the head no longer wants: left alone.
    pub let_go: Vec<RelPath>,
    /// What of the promises does not hold on this store.
    pub unguarded: Vec<String>,
    /// What came of the user's commands.
    pub hooks: Vec<HookReport>,
    /// How long it took.
    pub elapsed: Duration,
}
