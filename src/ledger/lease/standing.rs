//! A lease that is held: how it is renewed, changed and given back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::{ENVELOPE, LeaseError, LeaseFile, read_lease};
use crate::clock::Clock;
use crate::ledger::LedgerError;
use crate::ledger::file::needs_a_look;
use crate::model::{ETag, ObjectKey, RunId};
use crate::store::{Condition, LeaseWatch, Put, RequestKind, Store, StoreError, StoreErrorKind, Written};

/// How soon a failed renewal is tried again: two thirds of the ttl are left then, and a store that is only slow
/// should be asked many times in them, ...
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// ... without being asked more often than this once it has been failing for a while.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// How often a change of the lease is tried, at once or nearly so.
const TRIES: u32 = 5;

/// What the lease and the task that renews it share.
pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    pub(super) key: ObjectKey,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) watch: Arc<LeaseWatch>,
    pub(super) ttl: Duration,
    pub(super) is_guarded: bool,
    pub(super) standing: Mutex<Standing>,
}

/// What we know to stand in the bucket.
pub(super) struct Standing {
    file: LeaseFile,
    etag: ETag,
    /// Every run that this lease was for, to know our own writes by.
    runs: Vec<RunId>,
    /// The last body that was sent without a reply so far, and when it was first sent.
    unsure: Option<(Bytes, Duration)>,
}

impl Standing {
    pub(super) fn new(file: LeaseFile, etag: ETag) -> Self {
        Self {
            runs: vec![file.run],
            file,
            etag,
            unsure: None,
        }
    }

    fn is(&mut self, file: LeaseFile, etag: ETag) {
        self.file = file;
        self.etag = etag;
        self.unsure = None;
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Lease")
            .field("key", &self.key)
            .field("watch", &self.watch)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Renews the lease at a third of its life until it is lost. Runs until it is aborted, else.
    ///
    /// A lease that ran out is still renewed where nobody took it meanwhile: writes wait for that. Only when no
    /// renewal got through for twice its life, counted while we were awake, is it given up.
    pub(super) async fn renew(self: Arc<Self>) {
        let mut failing_since: Option<Instant> = None;
        let mut pause = FIRST_PAUSE;
        loop {
            if failing_since.is_none() {
                tokio::select! {
                    () = sleep(self.ttl / 3) => {}
                    // After a sleep of the machine a write may be waiting long before our timer ends.
                    () = self.wanted() => {}
                }
            } else {
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE).min(self.ttl / 6);
            }
            let begun = Instant::now();
            let outcome = self.write(&mut *self.standing.lock().await, |_| {}).await;
            match outcome {
                Ok(()) => {
                    failing_since = None;
                    pause = FIRST_PAUSE.min(self.ttl / 6);
                }
                Err(LeaseError::Lost) => {
                    tracing::warn!(key = %self.key, "the lease was lost");
                    return;
                }
                Err(error) => {
                    let since = *failing_since.get_or_insert(begun);
                    tracing::warn!(key = %self.key, %error, "the lease could not be renewed; trying again");
                    if since.elapsed() >= 2 * self.ttl {
                        self.watch.lose();
                        return;
                    }
                }
            }
        }
    }

    /// Waits until a write waits for a renewal, and never so short that renewals chase each other.
    async fn wanted(&self) {
        sleep(FIRST_PAUSE.min(self.ttl / 6)).await;
        self.watch.wanted().await;
    }

    /// Changes the file and tries again a few times.
    pub(super) async fn write_soon(&self, change: impl Fn(&mut LeaseFile)) -> Result<(), LeaseError> {
        let mut standing = self.standing.lock().await;
        let mut pause = FIRST_PAUSE;
        for _ in 1..TRIES {
            match self.write(&mut standing, &change).await {
                Ok(()) => return Ok(()),
                Err(LeaseError::Lost) => return Err(LeaseError::Lost),
                Err(error) => {
                    tracing::debug!(key = %self.key, %error, "the lease could not be changed; trying again");
                    sleep(pause).await;
                    pause *= 2;
                }
            }
        }
        self.write(&mut standing, &change).await
    }

    /// Writes the file anew, once. An error other than [`LeaseError::Lost`] leaves all as it was, or unsure.
    async fn write(&self, standing: &mut Standing, change: impl Fn(&mut LeaseFile)) -> Result<(), LeaseError> {
        let mut file = standing.file.clone();
        change(&mut file);
        file.generation += 1;
        if !standing.runs.contains(&file.run) {
            standing.runs.push(file.run);
        }
        let body = Bytes::from(ENVELOPE.seal(&file));
        let sent = self.clock.now();
        let first_sent = match &standing.unsure {
            Some((unsure, first_sent)) if *unsure == body => *first_sent,
            _ => sent,
        };
        standing.unsure = Some((body.clone(), first_sent));
        let error = match self.in_time(self.put(&body, &standing.etag)).await {
            Ok(written) => {
                standing.is(file, written.etag);
                self.watch.extend(sent + self.ttl);
                return Ok(());
            }
            Err(error) => error,
        };
        if !needs_a_look(&error.kind) && error.kind != StoreErrorKind::NotFound {
            return Err(LedgerError::from(error).into());
        }
        let found = match timeout(self.ttl / 3, read_lease(&*self.store, &self.key)).await {
            Ok(Ok(found)) => found,
            Ok(Err(LedgerError::Store(error))) => return Err(LedgerError::from(error).into()),
            // What is not even a lease is not ours.
            Ok(Err(_)) => return Err(self.lost()),
            Err(_) => return Err(LedgerError::from(self.no_reply(RequestKind::Get)).into()),
        };
        match found {
            // Our own bytes: a reply was lost. Which try of them landed nobody knows, so the first one counts.
            Some((meta, bytes, _)) if bytes == body => {
                standing.is(file, meta.etag);
                self.watch.extend(first_sent + self.ttl);
                Ok(())
            }
            Some((meta, ..)) if meta.etag == standing.etag => Err(LedgerError::from(error).into()),
            // An earlier write of ours, which landed late. The next try goes after it.
            Some((meta, _, older)) if older.holder == file.holder && standing.runs.contains(&older.run) => {
                standing.is(older, meta.etag);
                Err(LedgerError::from(error).into())
            }
            _ => Err(self.lost()),
        }
    }

    async fn put(&self, body: &Bytes, etag: &ETag) -> Result<Written, StoreError> {
        let put = |condition| self.store.put(&self.key, Put::new(body.clone(), condition));
        if self.is_guarded {
            return put(Condition::Matches(etag.clone())).await;
        }
        let meta = self.store.head(&self.key).await?;
        if meta.etag != *etag {
            return Err(self.error(RequestKind::Put, StoreErrorKind::ConditionFailed));
        }
        put(Condition::Always).await
    }

    /// A reply that takes longer than renewals are apart is as good as none.
    async fn in_time<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        match timeout(self.ttl / 3, work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.no_reply(RequestKind::Put)),
        }
    }

    fn lost(&self) -> LeaseError {
        self.watch.lose();
        LeaseError::Lost
    }

    fn no_reply(&self, request: RequestKind) -> StoreError {
        self.error(request, StoreErrorKind::NoReply)
    }

    fn error(&self, request: RequestKind, kind: StoreErrorKind) -> StoreError {
        StoreError {
            request,
            place: format!("s3://{}/{}", self.store.bucket(), self.key),
            kind,
            detail: None,
            cause: None,
        }
    }
}
