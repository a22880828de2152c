//! Writes down what a run has done while it goes on: done records, and the status file in progress.

use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::ledger::{Done, DoneLog, DoneOutcome, LedgerError, Record};
use crate::spool::{Spool, SpoolReader};
use crate::status::{ExportState, RecordStream, StatusError, StatusFile, StatusHead};
use crate::store::{StoreError, StoreErrorKind};
use crate::transfer::{Outcome, OutcomeSink, Outcomes};

use super::report::Counts;

/// How often the status file is written anew at most.
const REFRESH: Duration = Duration::from_secs(5);

/// The share of a run that this may take: one part in so many.
const REFRESH_SHARE: u32 = 10;

/// Takes outcomes as they come.
pub(super) struct Journal<'a> {
    pub(super) done: DoneLog,
    pub(super) status: &'a mut StatusFile,
    pub(super) head: StatusHead,
    pub(super) counts: Counts,
    next_refresh: Instant,
}

impl<'a> Journal<'a> {
    pub(super) fn new(done: DoneLog, status: &'a mut StatusFile, head: StatusHead, counts: Counts) -> Self {
        Self {
            done,
            status,
            head,
            counts,
            next_refresh: Instant::now() + REFRESH,
        }
    }

    async fn refresh(&mut self, outcomes: &Outcomes) -> Result<(), StoreError> {
        let began = Instant::now();
        self.head.status = ExportState::InProgress;
        self.counts.fill(&mut self.head);
        let written = self.status.write(&self.head, &mut Written::new(outcomes)).await;
        let took = began.elapsed();
        self.next_refresh = Instant::now() + REFRESH.max(took * REFRESH_SHARE);
        match written {
            Ok(()) => Ok(()),
            Err(StatusError::Store(error)) if error.kind == StoreErrorKind::LeaseLost => Err(error),
            // Readers of a run in progress see an older state; the last write must succeed.
            Err(error) => {
                tracing::warn!(%error, "the status file could not be refreshed");
                Ok(())
            }
        }
    }
}

#[async_trait]
impl OutcomeSink for Journal<'_> {
    async fn take(&mut self, outcome: &Outcome, outcomes: &Outcomes) -> Result<(), StoreError> {
        self.counts.add(outcome);
        let done = match outcome {
            Outcome::Written { record, .. } => Some(DoneOutcome::Put {
                etag: record.etag.clone(),
                size: record.size,
                content: record.content,
                headers: record.headers,
                version_id: record.version_id.clone(),
            }),
            Outcome::Deleted { .. } => Some(DoneOutcome::Deleted),
            Outcome::LetGo { .. } | Outcome::Conflict { .. } | Outcome::Failed { .. } => None,
        };
        if let Some(done) = done {
            let done = Done {
                path: outcome.path().clone(),
                outcome: done,
            };
            match self.done.push(&done).await {
                Ok(()) => {}
                Err(LedgerError::Store(error)) => return Err(error),
                // Done records only save requests to a run that comes after a crash.
                Err(error) => tracing::warn!(%error, "what was done could not be written down"),
            }
        }
        if Instant::now() >= self.next_refresh {
            self.refresh(outcomes).await?;
        }
        Ok(())
    }
}

/// The objects that a run has brought to its commit so far.
pub(super) struct Written<'a> {
    turns: Vec<SpoolReader<&'a Spool<Outcome>, Outcome>>,
}

impl<'a> Written<'a> {
    pub(super) fn new(outcomes: &'a Outcomes) -> Self {
        let mut turns: Vec<_> = outcomes.turns().map(Spool::iter).collect();
        turns.reverse();
        Self { turns }
    }
}

#[async_trait]
impl RecordStream for Written<'_> {
    async fn next(&mut self) -> Result<Option<Record>, StatusError> {
        while let Some(turn) = self.turns.last_mut() {
            match turn.next().transpose()? {
                Some(Outcome::Written { record, .. }) => return Ok(Some(record)),
                Some(_) => {}
                None => {
                    self.turns.pop();
                }
            }
        }
        Ok(None)
    }
}
