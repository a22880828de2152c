//! What one run holds while it has the lease.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::ledger::{Lease, LedgerFolder, LedgerReader, Loaded, Root, RunRef, State, SwapError, swap_root};
use crate::model::{Bucket, ETag, RunId};
use crate::progress::Phase;
use crate::store::{Capabilities, Fenced, LeaseWatch, RetryConfig, Retrying, Store, StoreTime, probe::probe};
use crate::switches::{Switch, is_out};

use super::hooks::Begun;
use super::look::has_overdue;
use super::settle::abort_all_uploads;
use super::{BucketError, ExportError, Exporter};

/// The stores of one run: every write is fenced by its lease, each try of it.
pub(super) struct Session<'a> {
    pub(super) exporter: &'a Exporter,
    pub(super) run: RunId,
    pub(super) lease_taken: StoreTime,
    /// For the ledger: never waits behind data.
    pub(super) ledger_store: Arc<dyn Store>,
    /// For data.
    pub(super) data_store: Arc<dyn Store>,
    /// For status files.
    pub(super) status_store: Arc<dyn Store>,
    pub(super) fenced: Vec<Arc<Fenced>>,
    pub(super) folder: LedgerFolder,
    pub(super) reader: LedgerReader,
    pub(super) cancel: CancellationToken,
    /// Set once the run is past its guards.
    pub(super) begun: Option<Begun>,
    watch: Arc<LeaseWatch>,
    // The store's clock: a date that it gave, and when on ours.
    date: (StoreTime, Duration),
}

impl<'a> Session<'a> {
    pub(super) fn new(exporter: &'a Exporter, lease: &Lease, run: RunId, cancel: &CancellationToken) -> Self {
        let folder = exporter.folder();
        let fence = |store: &Arc<dyn Store>| Arc::new(fence(exporter, lease.watch(), store.clone()));
        let (data, status) = (fence(&exporter.store), fence(&exporter.status_store));
        let retrying = |store: Arc<dyn Store>, limited: bool| -> Arc<dyn Store> {
            let limiter = limited.then(|| exporter.limiter.clone());
            Arc::new(Retrying::new(store, limiter, exporter.counts.clone()).with_config(exporter.retry))
        };
        let ledger_store = retrying(data.clone(), false);
        Self {
            exporter,
            run,
            lease_taken: lease.taken_at(),
            reader: LedgerReader::new(ledger_store.clone(), folder.clone(), exporter.config.cache.clone()),
            ledger_store,
            data_store: retrying(data.clone(), true),
            status_store: retrying(status.clone(), false),
            fenced: vec![data, status],
            folder,
            cancel: cancel.clone(),
            begun: None,
            watch: lease.watch().clone(),
            date: (lease.taken_at(), exporter.clock.now()),
        }
    }

    /// Opens the bucket of a status path that is left. Its last write says what stays true, so that it does not
    /// matter if it lands late.
    pub(super) async fn open_bucket(&self, bucket: &Bucket) -> Result<Arc<dyn Store>, BucketError> {
        let store = self.exporter.buckets.open(bucket).await?;
        let fenced = Arc::new(fence(self.exporter, &self.watch, store));
        let retrying = Retrying::new(fenced, None, self.exporter.counts.clone());
        Ok(Arc::new(retrying.with_config(self.exporter.retry)))
    }

    /// The store's clock now, in whole milliseconds.
    pub(super) fn store_now(&self) -> StoreTime {
        let (date, at) = self.date;
        let now = date + self.exporter.clock.now().saturating_sub(at);
        StoreTime::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// Takes the store's clock anew.
    pub(super) fn take_date(&mut self, loaded: Option<&Loaded>) {
        if let Some(date) = loaded.and_then(|loaded| loaded.date) {
            self.date = (date, self.exporter.clock.now());
        }
    }

    /// Whether a write of this run was not answered in time, so that it may still land.
    pub(super) fn timed_out(&self) -> bool {
        self.fenced
            .iter()
            .any(|store| store.timed_out_writes().load(Ordering::Relaxed))
    }

    /// Whether a write of this run ended without saying what it did.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.fenced
            .iter()
            .any(|store| store.doubtful_writes().load(Ordering::Relaxed))
    }

    /// What the store can do: as the root says, or as a probe finds.
    pub(super) async fn capabilities(&self, loaded: Option<&Loaded>) -> Result<Capabilities, ExportError> {
        if let Some(loaded) = loaded {
            return Ok(loaded.root.store);
        }
        self.exporter.progress.phase(Phase::Lock);
        // A wrong checksum is answered as if it would pass, so a probe is not to be repeated request by request.
        let once = RetryConfig {
            attempts: 1,
            ..self.exporter.retry
        };
        let store = Retrying::new(self.fenced[0].clone(), None, self.exporter.counts.clone()).with_config(once);
        let found = probe(&store, &self.folder.probe(self.run)).await?.capabilities;
        // Those of probes that died, too: they left no intents, and nobody but probes uploads anything there.
        abort_all_uploads(&*self.ledger_store, &self.folder.probes()).await?;
        Ok(found)
    }

    /// The store of a bucket, where it is one of the two of this run.
    pub(super) fn store_of(&self, bucket: &Bucket) -> Option<&Arc<dyn Store>> {
        [&self.status_store, &self.ledger_store]
            .into_iter()
            .find(|store| store.bucket() == bucket)
    }

    pub(super) async fn swap(&self, root: &Root, expected: Option<&ETag>) -> Result<ETag, SwapError> {
        swap_root(&*self.ledger_store, &self.folder, root, expected).await
    }
}

fn fence(exporter: &Exporter, watch: &Arc<LeaseWatch>, store: Arc<dyn Store>) -> Fenced {
    // Half the ttl: a lease is renewed at a third, so there is always that much left in health.
    let deadline = exporter.config.lease_ttl / 2;
    Fenced::new(store, watch.clone(), deadline, exporter.folder().prefix().clone())
}

/// The runs that a root leaves to its next run.
pub(super) struct Inherited {
    /// Runs that died, in the order of the root.
    pub(super) dead: Vec<RunRef>,
    /// Runs whose last requests cannot land any more.
    pub(super) overdue: Vec<RunRef>,
    /// All runs whose objects are ours to replace.
    pub(super) kin: BTreeSet<RunId>,
}

impl Inherited {
    pub(super) fn of(loaded: Option<&Loaded>) -> Self {
        let Some(loaded) = loaded else {
            return Self {
                dead: Vec::new(),
                overdue: Vec::new(),
                kin: BTreeSet::new(),
            };
        };
        let dead = match &loaded.root.state {
            State::Dirty(runs) if !is_out(Switch::SettleDeadRuns) => runs.clone(),
            State::Clean | State::Dirty(_) => Vec::new(),
        };
        let unsettled = &loaded.root.unsettled;
        let is_overdue = |until: StoreTime| loaded.date.is_none_or(|now| now >= until);
        let overdue = unsettled
            .iter()
            .filter(|one| is_overdue(one.until))
            .map(|one| one.run.clone())
            .collect();
        let kin = dead
            .iter()
            .map(|run| run.run)
            .chain(unsettled.iter().map(|one| one.run.run))
            .collect();
        debug_assert_eq!(has_overdue(loaded), unsettled.iter().any(|one| is_overdue(one.until)));
        Self { dead, overdue, kin }
    }

    /// Runs whose paths must be looked at before anything is planned.
    pub(super) fn to_settle(&self) -> Vec<RunRef> {
        // Overdue ones first: a dead run came after them.
        self.overdue.iter().chain(&self.dead).cloned().collect()
    }
}
