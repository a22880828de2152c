//! Steps 7 to 11: transfer, ranges, the root to clean, `success`, clean-up.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::ledger::{DoneLog, Edit, Loaded, RangeRef, Root, State, Unsettled, cleanup};
use tokio_util::task::TaskTracker;

use crate::limits::ByteBudget;
use crate::model::{CommitId, NoticeKind, RunId};
use crate::plan::Plan;
use crate::progress::Phase;
use crate::spool::Spool;
use crate::status::{ExportState, ObjectFailure, RecordStream, RecordsListed, StatusFile, StatusHead};
use crate::store::{Capabilities, StoreErrorKind};
use crate::switches::{Switch, is_out};
use crate::transfer::{Outcome as StepOutcome, Outcomes, OutsideBuckets, Owners, Transfer, TransferError, carry_out};

use super::ExportError;
use super::announce::Announced;
use super::config::StatusRecords;
use super::journal::{Journal, Written};
use super::report::{Counts, Failure, Outcome, Report};
use super::run::{Stop, unguarded};
use super::session::{Inherited, Session};

/// How long a request that was sent may land after its run is over: 15 minutes for which its signature is
/// good, and 15 for which a store may take a wrong clock for a right one.
pub(super) const UNSETTLED_FOR: Duration = Duration::from_secs(30 * 60);

/// Bodies in memory at once, in parts: enough to keep every connection busy while others are being hashed.
const PARTS_IN_MEMORY: u64 = 24;

impl Session<'_> {
    pub(super) async fn carry_out_and_record(
        &mut self,
        announced: Announced,
        inherited: Inherited,
        commit: CommitId,
        previous: Option<CommitId>,
        plan: Plan,
        corrections: Spool<Edit>,
    ) -> Result<Report, Stop> {
        let Announced {
            root: loaded,
            mut status,
            head,
        } = announced;
        let mut root = loaded.root.clone();
        let capabilities = root.store;
        self.prune_status(&mut root, status.name()).await;
        self.exporter.progress.phase(Phase::Transfer);
        let transfer = Arc::new(self.transfer(&commit, &inherited, capabilities));
        let counts = Counts {
            kept: plan.totals.kept,
            skipped: plan.totals.skipped,
            ..Counts::default()
        };
        let done = DoneLog::new(
            self.ledger_store.clone(),
            self.folder.clone(),
            self.run,
            capabilities.checksum,
        );
        let mut outcomes = Outcomes::default();
        let mut journal = Journal::new(done, &mut status, head, counts);
        let carried = carry_out(&transfer, &plan, &mut outcomes, &mut journal).await;
        let Journal { head, counts, .. } = journal;
        transfer.aborts.close();
        transfer.aborts.wait().await;
        let stopped = match carried {
            Ok(_) => None,
            Err(error) if ends_at_once(&error) => {
                self.say_interrupted(&mut status, head, counts, &error).await;
                return Err(ExportError::from(error).into());
            }
            Err(error) => Some(error),
        };
        let run = Ran {
            corrections,
            outcomes,
            commit,
            previous,
            counts,
            head,
            notices: plan.notices.clone(),
            stopped,
            left_uploads: transfer.left_uploads.load(Ordering::Relaxed),
        };
        self.record(Loaded { root, ..loaded }, &inherited, run, &mut status)
            .await
    }

    /// Steps 8 to 11.
    async fn record(
        &mut self,
        dirty: Loaded,
        inherited: &Inherited,
        run: Ran,
        status: &mut StatusFile,
    ) -> Result<Report, Stop> {
        self.exporter.progress.phase(Phase::Record);
        let Loaded { mut root, etag, .. } = dirty;
        let outcomes = &run.outcomes;
        let capabilities = root.store;
        let failed = run.counts.failed > 0 || run.stopped.is_some();
        let own = match &root.state {
            State::Dirty(runs) => runs.last().cloned(),
            State::Clean => None,
        };
        root.ranges = self
            .write_ranges(&root.ranges, &run.corrections, outcomes, capabilities.checksum)
            .await?;
        let now = self.store_now();
        root.unsettled.retain(|one| !inherited.overdue.contains(&one.run));
        let until = now + UNSETTLED_FOR;
        // What failed may have been done all the same: the next run looks at all that this one meant to do.
        let in_doubt = own
            .clone()
            .filter(|_| failed && (self.is_in_doubt() || run.left_uploads) && !is_out(Switch::DoubtfulRunNamed));
        let timed_out = own.filter(|_| (self.timed_out() || run.left_uploads) && in_doubt.is_none());
        root.unsettled.extend(
            inherited
                .dead
                .iter()
                .cloned()
                .chain(timed_out)
                .filter(|_| !is_out(Switch::UnsettledKept))
                .map(|run| Unsettled { run, until }),
        );
        root.generation += 1;
        if failed {
            root.commit = None;
            root.state = State::Dirty(in_doubt.into_iter().collect());
        } else {
            root.commit = Some(run.commit.clone());
            root.state = State::Clean;
            root.status.newest_success = Some(status.name().clone());
        }
        if is_out(Switch::CleanupAfterSwap) {
            self.clean_up(&root).await;
        }
        if is_out(Switch::SuccessLast) && !failed {
            let head = self.last_head(&run, false, &[]);
            status.write(&head, &mut self.all_records(&root.ranges)).await?;
        }
        self.swap(&root, Some(&etag)).await?;
        self.exporter.progress.phase(Phase::Finish);
        let failures = failures(outcomes)?;
        let head = self.last_head(&run, failed, &failures);
        let all = self.exporter.config.status_records == StatusRecords::All;
        let mut changed = Written::new(outcomes);
        let mut everything;
        let records: &mut dyn RecordStream = if failed || !all {
            &mut changed
        } else {
            everything = self.all_records(&root.ranges);
            &mut everything
        };
        status.write(&head, records).await?;
        tracing::debug!(run = %self.run, commit = %run.commit, status = %head.status, "said how it ended");
        self.clean_up(&root).await;
        let Ran {
            commit,
            previous,
            counts,
            notices,
            stopped,
            ..
        } = run;
        if let Some(error) = stopped {
            return Err(ExportError::from(error).into());
        }
        Ok(Report {
            outcome: if failed { Outcome::Failed } else { Outcome::Exported },
            run: Some(self.run),
            commit,
            previous,
            status_file: Some(status.name().to_string()),
            counts,
            notices,
            failures,
            let_go: let_go(outcomes)?,
            unguarded: unguarded(&capabilities),
            hooks: Vec::new(),
            elapsed: Duration::ZERO,
        })
    }

    fn last_head(&self, run: &Ran, failed: bool, failures: &[Failure]) -> StatusHead {
        let mut head = run.head.clone();
        run.counts.fill(&mut head);
        head.finished_at = Some(self.store_now());
        head.status = if failed {
            ExportState::Failure
        } else {
            ExportState::Success
        };
        head.message = match (&run.stopped, failed) {
            (Some(error), _) => format!("{error}; the next run goes on from here"),
            (None, true) => format!(
                "{} failed, nothing was deleted; the next run tries again. First: {}",
                match run.counts.failed {
                    1 => "1 object".to_owned(),
                    more => format!("{more} objects"),
                },
                failures
                    .first()
                    .map_or_else(String::new, |one| format!("{}: {}", one.path, one.error)),
            ),
            (None, false) => "exported".to_owned(),
        };
        head.records = match self.exporter.config.status_records {
            StatusRecords::All => RecordsListed::All,
            StatusRecords::Changed => RecordsListed::Changed,
        };
        head.errors = failures
            .iter()
            .map(|one| ObjectFailure {
                path: one.path.clone(),
                error: one.error.clone(),
            })
            .collect();
        head
    }

    fn transfer(&self, commit: &CommitId, inherited: &Inherited, capabilities: Capabilities) -> Transfer {
        let (exporter, config) = (self.exporter, &self.exporter.config);
        let concurrency = config.concurrency;
        Transfer {
            source: exporter.source.clone(),
            commit: commit.clone(),
            store: self.data_store.clone(),
            prefix: config.export_path.prefix.clone(),
            owners: Owners {
                run: self.run,
                kin: inherited.kin.clone(),
            },
            capabilities,
            headers: config.headers.clone(),
            class: config.class.clone(),
            checksum: config.checksum.unwrap_or(capabilities.checksum),
            concurrency,
            part_size_bytes: config.part_size_bytes,
            overwrite: config.guards.overwrite,
            lease_taken: self.lease_taken,
            budget: ByteBudget::new(config.part_size_bytes * PARTS_IN_MEMORY),
            bandwidth: exporter.bandwidth.clone(),
            progress: exporter.progress.clone(),
            cancel: self.cancel.clone(),
            aborts: TaskTracker::new(),
            left_uploads: Arc::default(),
            outside: OutsideBuckets::default(),
            outside_copies: config.outside_copies,
            twins: Mutex::new(HashMap::new()),
        }
    }

    /// Says that the run was stopped with requests under way: nobody knows what they did, so the root stays dirty
    /// and the next run looks.
    async fn say_interrupted(
        &self,
        status: &mut StatusFile,
        mut head: StatusHead,
        counts: Counts,
        error: &TransferError,
    ) {
        counts.fill(&mut head);
        head.status = ExportState::Failure;
        head.message = format!("{error}; the next run goes on from here");
        head.finished_at = Some(self.store_now());
        if let Err(error) = status.write(&head, &mut ()).await {
            tracing::warn!(%error, "the status file could not be ended; the next run does it");
        }
    }

    /// Step 11: what no root names any more. What fails here is left for the next run.
    pub(super) async fn clean_up(&self, root: &Root) {
        let ranges: BTreeSet<String> = root.ranges.iter().map(|range: &RangeRef| range.name.clone()).collect();
        let mut runs: BTreeSet<RunId> = root.unsettled.iter().map(|one| one.run.run).collect();
        if let State::Dirty(in_doubt) = &root.state {
            runs.extend(in_doubt.iter().map(|run| run.run));
        }
        if let Err(error) = cleanup(&*self.ledger_store, &self.folder, &root.store, &ranges, &runs).await {
            tracing::warn!(%error, "old files of the ledger could not be deleted; a later run does it");
        }
    }
}

/// What one transfer came to.
struct Ran {
    corrections: Spool<Edit>,
    outcomes: Outcomes,
    commit: CommitId,
    previous: Option<CommitId>,
    counts: Counts,
    head: StatusHead,
    notices: BTreeMap<NoticeKind, u64>,
    stopped: Option<TransferError>,
    left_uploads: bool,
}

/// Whether a run that ended so should not try to write down what it did: it may not, or cannot.
fn ends_at_once(error: &TransferError) -> bool {
    match error {
        TransferError::Store(error) => error.kind == StoreErrorKind::Unreachable || error.kind.is_fatal(),
        TransferError::Abandoned | TransferError::Spool(_) => true,
        TransferError::Interrupted => false,
    }
}

fn failures(outcomes: &Outcomes) -> Result<Vec<Failure>, ExportError> {
    let mut found = Vec::new();
    for outcome in outcomes.turns().flat_map(Spool::iter) {
        let outcome = outcome?;
        if let Some(error) = outcome.error() {
            found.push(Failure {
                path: outcome.path().clone(),
                error: error.to_owned(),
            });
            if found.len() == StatusHead::MOST_ERRORS {
                break;
            }
        }
    }
    Ok(found)
}

fn let_go(outcomes: &Outcomes) -> Result<Vec<crate::model::RelPath>, ExportError> {
    let mut found = Vec::new();
    for outcome in outcomes.turns().flat_map(Spool::iter) {
        if let StepOutcome::LetGo { path } = outcome? {
            found.push(path);
        }
    }
    Ok(found)
}
