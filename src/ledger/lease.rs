//! The lease: at any time one run at most writes under an export path.

mod standing;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::standing::{Shared, Standing};
use super::envelope::Envelope;
use super::file::{needs_a_look, read_file};
use super::folder::place;
use super::holder::Holder;
use super::{LedgerError, LedgerFolder};
use crate::clock::Clock;
use crate::model::{ObjectKey, RunId};
use crate::store::{Condition, LeaseWatch, ObjectMeta, Put, Store, StoreErrorKind, StoreTime};
use crate::switches::{Switch, is_out};

const ENVELOPE: Envelope = Envelope {
    format: "lakesync lease",
    version: 1,
};

/// How often a waiting run looks whether the lease is free, give or take a quarter.
const POLL: Duration = Duration::from_secs(1);

/// How often a run that was beaten to a free lease tries at once again, before it takes the other for the holder.
const RACES: u32 = 3;

/// What stands in `lease.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseFile {
    /// The process that has it.
    pub holder: Holder,
    /// For which run.
    pub run: RunId,
    /// How long it lasts after each renewal, in milliseconds.
    pub ttl_ms: u64,
    /// One more on each write, so that no etag ever returns.
    pub generation: u64,
    /// Whether it was given back.
    pub released: bool,
}

/// Who wants the lease, and how.
#[derive(Clone, Debug)]
pub struct LeaseRequest {
    /// This process.
    pub holder: Holder,
    /// The run it is for.
    pub run: RunId,
    /// How long the lease lasts after each renewal; renewed at a third of it.
    pub ttl: Duration,
    /// How long to wait for another's lease.
    pub wait: Duration,
    /// Whether the store honours conditions, as the root says; `true` where nobody knows yet.
    pub is_guarded: bool,
}

/// Whose lease was taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Takeover {
    /// The run that held it and never gave it back.
    pub run: RunId,
    /// The process that did.
    pub holder: Holder,
    /// Why it could be taken.
    pub reason: TakeoverReason,
}

/// Why a lease that was not given back could be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeoverReason {
    /// It had not been renewed for longer than it lasts, by the store's clock.
    Expired,
    /// Its process is dead on this very machine.
    Dead,
}

/// The lease could not be had, or was lost.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another run has it.
    #[error(
        "another export is running: {holder}, run {run}{}; try again later, or wait with --lock-wait",
        since.map(|at| format!(", last seen at {at}")).unwrap_or_default()
    )]
    Held {
        /// Its process.
        holder: Holder,
        /// Its run.
        run: RunId,
        /// When it last renewed its lease, on the store's clock.
        since: Option<StoreTime>,
    },
    /// We had it, and somebody else has taken it or removed it.
    #[error("the lease was taken over by another export while this one could not renew it")]
    Lost,
    /// Waiting for it was cancelled.
    #[error("cancelled while waiting for another export to end")]
    Cancelled,
    /// The store's answers have no date, so that nobody could tell when a lease expires.
    #[error("the store sends neither Date nor Last-Modified, and without its clock no lease can be kept")]
    NoDate,
    /// The store did not do what it should, or the lease's file cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The lease, held and renewed by a task of its own until it is released or dropped.
///
/// One that is dropped without a release is left to expire, as that of a process that died.
#[derive(Debug)]
pub struct Lease {
    shared: Arc<Shared>,
    renewals: AbortOnDropHandle<()>,
    takeover: Option<Takeover>,
    taken_at: StoreTime,
}

/// The outcome of one try.
enum Try {
    Taken(Lease),
    /// By another, who has it now; `raced` where it was free when we looked.
    Held {
        file: Box<LeaseFile>,
        since: Option<StoreTime>,
        raced: bool,
    },
}

impl Lease {
    /// Takes the lease, or waits for it as long as the request says.
    ///
    /// `store` must not be fenced by this lease. Must be called within a tokio runtime, which renews it.
    pub async fn acquire(
        store: Arc<dyn Store>,
        folder: &LedgerFolder,
        mut request: LeaseRequest,
        clock: Arc<dyn Clock>,
        cancel: &CancellationToken,
    ) -> Result<Self, LeaseError> {
        let begun = Instant::now();
        let key = folder.lease();
        let (mut races, mut polls) = (0, 0_u32);
        loop {
            let (file, since, raced) = match Self::try_once(&store, &key, &mut request, &clock).await? {
                Try::Taken(lease) => return Ok(lease),
                Try::Held { file, since, raced } => (file, since, raced),
            };
            if raced && races < RACES {
                races += 1;
                continue;
            }
            races = 0;
            let left = request.wait.saturating_sub(begun.elapsed());
            if left.is_zero() {
                let LeaseFile { holder, run, .. } = *file;
                return Err(LeaseError::Held { holder, run, since });
            }
            polls += 1;
            tokio::select! {
                () = cancel.cancelled() => return Err(LeaseError::Cancelled),
                () = sleep(left.min(poll_pause(request.run, polls))) => {}
            }
        }
    }

    async fn try_once(
        store: &Arc<dyn Store>,
        key: &ObjectKey,
        request: &mut LeaseRequest,
        clock: &Arc<dyn Clock>,
    ) -> Result<Try, LeaseError> {
        let found = read_lease(&**store, key).await?;
        let takeover = match &found {
            Some((_, _, file)) if !file.released => match reason_to_take(request, &found) {
                Some(reason) => Some(Takeover {
                    run: file.run,
                    holder: file.holder.clone(),
                    reason,
                }),
                None => return Ok(held(found.expect("just looked at"), false)),
            },
            _ => None,
        };
        let file = LeaseFile {
            holder: request.holder.clone(),
            run: request.run,
            ttl_ms: u64::try_from(request.ttl.as_millis()).unwrap_or(u64::MAX),
            generation: found.as_ref().map_or(0, |(_, _, file)| file.generation) + 1,
            released: false,
        };
        let body = Bytes::from(ENVELOPE.seal(&file));
        let guard = match &found {
            _ if is_out(Switch::LeaseGuard) => Condition::Always,
            Some((meta, ..)) => Condition::Matches(meta.etag.clone()),
            None => Condition::Absent,
        };
        let sent = clock.now();
        let mut outcome = Err(None);
        if request.is_guarded {
            outcome = store.put(key, Put::new(body.clone(), guard)).await.map_err(Some);
            if matches!(&outcome, Err(Some(error)) if error.kind == StoreErrorKind::NotSupported) {
                request.is_guarded = false;
            }
        }
        if !request.is_guarded {
            // We looked just now, and look again: of two who write at once at most one stays unaware of it.
            outcome = match store.put(key, Put::new(body.clone(), Condition::Always)).await {
                Ok(_) => Err(None),
                Err(error) => Err(Some(error)),
            };
        }
        let (etag, date) = match outcome {
            Ok(written) => (written.etag, written.date),
            Err(Some(error)) if !needs_a_look(&error.kind) && error.kind != StoreErrorKind::NotFound => {
                return Err(LedgerError::from(error).into());
            }
            // The reply to this write, or to an earlier try of it, may have been lost.
            Err(error) => match read_lease(&**store, key).await? {
                Some((meta, bytes, _)) if bytes == body => (meta.etag, meta.last_modified.or(meta.date)),
                now => {
                    let etag_of = |found: &Found| found.as_ref().map(|(meta, ..)| meta.etag.clone());
                    let is_as_before = etag_of(&now) == etag_of(&found);
                    return match (error, now) {
                        (Some(error), now) if is_as_before || now.is_none() => Err(LedgerError::from(error).into()),
                        (_, Some(now)) => Ok(held(now, true)),
                        (_, None) => Err(LeaseError::Lost),
                    };
                }
            },
        };
        let taken_at = match date {
            Some(date) => date,
            None => {
                let meta = store.head(key).await.map_err(LedgerError::from)?;
                meta.last_modified.or(meta.date).ok_or(LeaseError::NoDate)?
            }
        };
        let shared = Arc::new(Shared {
            store: Arc::clone(store),
            key: key.clone(),
            clock: Arc::clone(clock),
            watch: LeaseWatch::new(Arc::clone(clock), sent + request.ttl),
            ttl: request.ttl,
            is_guarded: request.is_guarded,
            standing: tokio::sync::Mutex::new(Standing::new(file, etag)),
        });
        Ok(Try::Taken(Self {
            renewals: AbortOnDropHandle::new(tokio::spawn(Arc::clone(&shared).renew())),
            shared,
            takeover,
            taken_at,
        }))
    }

    /// What fences the writes of this run.
    pub fn watch(&self) -> &Arc<LeaseWatch> {
        &self.shared.watch
    }

    /// Whose lease was taken over, if it was not free.
    pub fn takeover(&self) -> Option<&Takeover> {
        self.takeover.as_ref()
    }

    /// When it was taken, on the store's clock.
    pub fn taken_at(&self) -> StoreTime {
        self.taken_at
    }

    /// Whether the store honours the conditions of the lease's own writes, as far as it says so.
    pub fn is_guarded(&self) -> bool {
        self.shared.is_guarded
    }

    /// Goes on for another run, since intents are never written anew.
    pub async fn change_run(&self, run: RunId) -> Result<(), LeaseError> {
        self.shared.write_soon(|file| file.run = run).await
    }

    /// Gives the lease back. Nothing may be under way any more: from here on no write is sent.
    pub async fn release(self) -> Result<(), LeaseError> {
        // An aborted renewal may still land; the write that says "released" then finds it and goes after it.
        self.renewals.abort();
        self.shared.watch.lose();
        self.shared.write_soon(|file| file.released = true).await
    }
}

impl Drop for Lease {
    /// Ends every write that waits for a renewal, since none will come.
    fn drop(&mut self) {
        self.shared.watch.lose();
    }
}

/// What stands in the bucket, if anything does.
type Found = Option<(ObjectMeta, Bytes, LeaseFile)>;

async fn read_lease(store: &dyn Store, key: &ObjectKey) -> Result<Found, LedgerError> {
    let Some((meta, bytes)) = read_file(store, key).await? else {
        return Ok(None);
    };
    match ENVELOPE.open(&place(store.bucket(), key), &bytes) {
        Ok(file) => Ok(Some((meta, bytes, file))),
        // A ledger is made anew under the lease, so that this would be no cure.
        Err(LedgerError::Damaged { file, why }) => Err(LedgerError::DamagedLease { file, why }),
        Err(error) => Err(error),
    }
}

fn held((meta, _, file): (ObjectMeta, Bytes, LeaseFile), raced: bool) -> Try {
    Try::Held {
        file: Box::new(file),
        since: meta.last_modified,
        raced,
    }
}

fn reason_to_take(request: &LeaseRequest, found: &Found) -> Option<TakeoverReason> {
    let (meta, _, file) = found.as_ref()?;
    if request.holder.knows_dead(&file.holder) {
        return Some(TakeoverReason::Dead);
    }
    // Both times are of one answer of one clock, and in whole seconds: their difference may be nearly a second more
    // than the time that passed, hence "strictly" and a ttl in whole seconds.
    let age = meta.date?.duration_since(meta.last_modified?);
    let ttl_seconds = i64::try_from(file.ttl_ms.div_ceil(1_000)).unwrap_or(i64::MAX);
    (age > SignedDuration::from_secs(ttl_seconds)).then_some(TakeoverReason::Expired)
}

/// About a second, and another one for each run and poll, so that those who wait do not come in step.
fn poll_pause(run: RunId, poll: u32) -> Duration {
    let hash = blake3::hash(format!("{run} {poll}").as_bytes());
    POLL.mul_f64(0.75 + f64::from(hash.as_bytes()[0]) / 512.0)
}

#[cfg(test)]
mod tests;
