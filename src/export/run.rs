//! The steps of a run, in their order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::ledger::{Lease, LeaseError, LeaseRequest, LedgerError, LedgerReader, Loaded, SwapError, load_root};
use crate::model::RunId;
use crate::plan::Plan;
use crate::progress::Phase;
use crate::store::{Capabilities, Retrying, Store};
use crate::switches::{Switch, is_out};

use super::hooks::Begun;
use super::prepare::Reads;
use super::report::{Counts, Outcome, Report};
use super::session::{Inherited, Session};
use super::{ExportError, Exporter};

/// How often a run begins again because its root was swapped by somebody else: under a lease that is a zombie's
/// last write, so once or twice.
const SWAPS: u32 = 5;

/// Why one attempt of a run ended.
pub(super) enum Stop {
    /// The root was swapped by somebody else: again from step 2, under a new id.
    Swapped,
    /// The run is over.
    Error(ExportError),
}

impl<E: Into<ExportError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

impl From<SwapError> for Stop {
    fn from(error: SwapError) -> Self {
        match error {
            SwapError::Lost { .. } => Self::Swapped,
            SwapError::Ledger(error) => Self::Error(error.into()),
        }
    }
}

pub(super) async fn run(exporter: &Exporter, cancel: &CancellationToken) -> Result<Report, ExportError> {
    let began = Instant::now();
    exporter.progress.phase(Phase::Look);
    let reads = exporter.reads();
    let looked = exporter.look(&*reads.store, &*reads.status_store).await?;
    if exporter.is_settled(&looked)
        && let Some(loaded) = &looked.loaded
    {
        return Ok(exporter.unchanged(loaded, began));
    }
    exporter.progress.phase(Phase::Lock);
    let run = RunId::generate();
    let request = LeaseRequest {
        holder: exporter.holder.clone(),
        run,
        ttl: exporter.config.lease_ttl,
        wait: exporter.config.lock_wait,
        is_guarded: looked.loaded.is_none_or(|loaded| loaded.root.store.guards_writes()),
    };
    let lease = Lease::acquire(
        reads.store.clone(),
        &reads.folder,
        request,
        exporter.clock.clone(),
        cancel,
    )
    .await
    .map_err(|error| exporter.lease_error(error))?;
    let mut begun = None;
    let outcome = under_lease(exporter, &lease, run, cancel, &mut begun).await;
    let mut outcome = outcome.map_err(|error| exporter.name_lost_lease(error));
    if !matches!(outcome, Err(ExportError::LeaseLost { .. })) {
        match lease.release().await {
            Ok(()) => {}
            // Whatever went wrong did so because somebody else is at work: the files that were found, or not
            // found, are theirs.
            Err(LeaseError::Lost) if outcome.is_err() => outcome = Err(exporter.lease_error(LeaseError::Lost)),
            // It expires by itself; the next run on this machine takes it at once, since this process is gone.
            Err(error) => tracing::warn!(%error, "the lease could not be given back"),
        }
    }
    // Without the lease: nobody should have to wait for what does not touch the export path.
    let after = match &begun {
        Some(begun) => exporter.after_hook(begun, &outcome, cancel).await,
        None => None,
    };
    let before = begun.and_then(|begun| begun.report);
    outcome.map(|report| Report {
        elapsed: began.elapsed(),
        hooks: before.into_iter().chain(after).collect(),
        ..report
    })
}

async fn under_lease(
    exporter: &Exporter,
    lease: &Lease,
    mut run: RunId,
    cancel: &CancellationToken,
    begun: &mut Option<Begun>,
) -> Result<Report, ExportError> {
    for _ in 0..SWAPS {
        let mut session = Session::new(exporter, lease, run, cancel);
        let gone = session.go().await;
        *begun = session.begun.take().or_else(|| begun.take());
        match gone {
            Ok(report) => return Ok(report),
            Err(Stop::Error(error)) => return Err(error),
            Err(Stop::Swapped) => {
                tracing::warn!(%run, "the root was swapped by somebody else; once more under a new run id");
                if !is_out(Switch::NewRunIdAfterLostSwap) {
                    run = RunId::generate();
                }
                lease
                    .change_run(run)
                    .await
                    .map_err(|error| exporter.lease_error(error))?;
            }
        }
    }
    Err(ExportError::LeaseLost {
        export_path: exporter.config.export_path.to_string(),
    })
}

/// Plans without the lease, so that another run may swap the root and remove what the old one names: then once more,
/// from the root that is there now.
pub(super) async fn dry_run(exporter: &Exporter) -> Result<Plan, ExportError> {
    match dry_run_once(exporter).await {
        Err(ExportError::Ledger(LedgerError::RangeGone { .. })) => dry_run_once(exporter).await,
        outcome => outcome,
    }
}

async fn dry_run_once(exporter: &Exporter) -> Result<Plan, ExportError> {
    exporter.progress.phase(Phase::Look);
    let reads = exporter.reads();
    let loaded = load_root(&*reads.store, &reads.folder).await?;
    let head = exporter.source.head().await?;
    let last = reads.check_place(loaded.as_ref()).await?;
    // Without a probe, which writes, a new export path is taken to be able to do everything.
    let capabilities = loaded.as_ref().map_or(Capabilities::ALL, |loaded| loaded.root.store);
    let inherited = Inherited::of(loaded.as_ref());
    Ok(reads
        .prepare(loaded.as_ref(), &inherited, &head, capabilities, last)
        .await?
        .plan)
}

impl Exporter {
    /// The stores for reads without a lease.
    pub(super) fn reads(&self) -> Reads<'_> {
        let retrying = |store: &Arc<dyn Store>| -> Arc<dyn Store> {
            Arc::new(Retrying::new(store.clone(), None, self.counts.clone()).with_config(self.retry))
        };
        let store = retrying(&self.store);
        let folder = self.folder();
        let reader = LedgerReader::new(store.clone(), folder.clone(), self.config.cache.clone());
        Reads {
            exporter: self,
            store,
            status_store: retrying(&self.status_store),
            folder,
            reader,
        }
    }

    pub(super) fn unchanged(&self, loaded: &Loaded, began: Instant) -> Report {
        let root = &loaded.root;
        let kept = root.ranges.iter().map(|range| range.count).sum();
        Report {
            outcome: Outcome::Unchanged,
            run: None,
            commit: root.commit.clone().unwrap_or_else(|| crate::model::CommitId::new("")),
            previous: root.commit.clone(),
            status_file: root.status.names.last().map(ToString::to_string),
            counts: Counts {
                kept,
                ..Counts::default()
            },
            notices: BTreeMap::new(),
            failures: Vec::new(),
            let_go: Vec::new(),
            unguarded: unguarded(&root.store),
            hooks: Vec::new(),
            elapsed: began.elapsed(),
        }
    }

    fn lease_error(&self, error: LeaseError) -> ExportError {
        ExportError::of_lease(error, &self.config.export_path.to_string())
    }

    /// Calls every way in which a lost lease shows by its name.
    fn name_lost_lease(&self, error: ExportError) -> ExportError {
        if error.is_lost_lease() {
            ExportError::LeaseLost {
                export_path: self.config.export_path.to_string(),
            }
        } else {
            error
        }
    }
}

/// What of the promises does not hold on a store.
pub(super) fn unguarded(store: &Capabilities) -> Vec<String> {
    let mut lines = Vec::new();
    if !store.guards_writes() {
        lines.push("the store ignores conditional PUTs: two exporters at once are not kept apart (P5)".to_owned());
        lines.push("an object that somebody else writes between a look and a PUT is overwritten (P3)".to_owned());
    }
    if !store.delete_matches {
        lines.push("the store ignores conditions on DELETE: each object is looked at first (P3)".to_owned());
    }
    if !store.complete_absent || !store.complete_matches {
        lines.push("the store ignores conditions on multipart uploads: each is looked at first (P3)".to_owned());
    }
    lines
}
