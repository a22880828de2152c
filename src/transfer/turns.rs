//! The turns of a plan, one after another; the steps of a turn side by side.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::causes::with_causes;
use crate::model::{ETag, RelPath};
use crate::plan::{Plan, Step, Turn, Work};
use crate::progress::{Action, ObjectEvent};
use crate::spool::SpoolError;
use crate::store::StoreError;
use crate::switches::{Switch, is_out};

use super::Transfer;
use super::outcome::{Outcome, Outcomes};
use super::put::ObjectError;
use super::remove::{BATCH, ends_the_run};

/// How long requests under way may take after somebody asked to stop: a run has 10 s in all to end in order.
const GRACE: Duration = Duration::from_secs(4);

/// Why a transfer ended before its plan did.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// No other request would fare better.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No room to keep what came of the steps.
    #[error("what was done cannot be kept")]
    Spool(#[from] SpoolError),
    /// Somebody asked to stop; everything that was sent has been answered.
    #[error("interrupted")]
    Interrupted,
    /// Somebody asked to stop, and some requests were not answered in time: nobody knows what they did.
    #[error("interrupted with requests under way")]
    Abandoned,
}

/// Takes each outcome as soon as it is known, in any order.
#[async_trait::async_trait]
pub trait OutcomeSink: Send {
    /// Takes one outcome; `so_far` holds those that can be read already, in order.
    async fn take(&mut self, outcome: &Outcome, so_far: &Outcomes) -> Result<(), StoreError>;
}

/// Carries out all steps of a plan. No delete is sent before every write that it does not block has
/// succeeded (P7): once anything failed, turns of deletes are left out, and so is what would point readers at
/// an object that is not there.
pub async fn carry_out(
    transfer: &Arc<Transfer>,
    plan: &Plan,
    outcomes: &mut Outcomes,
    sink: &mut dyn OutcomeSink,
) -> Result<u64, TransferError> {
    let mut failed = 0;
    let mut turns: Vec<Turn> = plan.turns().map(|(turn, _)| turn).collect();
    if is_out(Switch::DeletesAfterPuts) {
        turns.sort_by_key(|turn| !turn.is_delete());
    }
    for turn in turns {
        // What is doomed is counted in its own turn, the last.
        if failed + plan.doomed > 0
            && (turn.is_delete() || matches!(turn, Turn::Blocked | Turn::Last(_)))
            && !is_out(Switch::NoDeletesAfterFailure)
        {
            tracing::info!(?turn, failed, "left out, since something failed");
            continue;
        }
        failed += carry_out_turn(transfer, plan, turn, outcomes, sink).await?;
    }
    Ok(failed)
}

/// One task: its steps' numbers within the turn, and what came of them.
type Done = (u64, Vec<(Outcome, u64, Duration)>, Option<StoreError>);

async fn carry_out_turn(
    transfer: &Arc<Transfer>,
    plan: &Plan,
    turn: Turn,
    outcomes: &mut Outcomes,
    sink: &mut dyn OutcomeSink,
) -> Result<u64, TransferError> {
    outcomes.begin_turn()?;
    let at_once = if turn.is_sequential() {
        1
    } else {
        transfer.concurrency.get()
    };
    let batches = turn.is_delete() && !turn.is_sequential() && transfer.capabilities.delete_many_matches;
    let mut steps = steps_of(plan, turn)?;
    let mut tasks: JoinSet<Done> = JoinSet::new();
    let mut failed = 0;
    let mut stopped = None;
    loop {
        while stopped.is_none() && tasks.len() < at_once {
            if failed > 0 && turn.is_sequential() {
                // Whoever sees number 11 of a table log looks for number 10.
                break;
            }
            if transfer.cancel.is_cancelled() {
                stopped = Some(TransferError::Interrupted);
                break;
            }
            let size = if batches { BATCH } else { 1 };
            let batch: Vec<(u64, Step)> = steps.by_ref().take(size).collect::<Result<_, _>>()?;
            let Some((first, _)) = batch.first() else { break };
            let first = *first;
            let batch: Vec<Step> = batch.into_iter().map(|(_, step)| step).collect();
            let shared = transfer.clone();
            let takes_turns = plan_shares(plan, &batch);
            tasks.spawn(async move { take_batch(&shared, first, batch, takes_turns).await });
        }
        let joined = match stopped {
            Some(TransferError::Interrupted) => match tokio::time::timeout(GRACE, tasks.join_next()).await {
                Ok(joined) => joined,
                Err(_) => return Err(TransferError::Abandoned),
            },
            _ => tasks.join_next().await,
        };
        let Some(joined) = joined else { break };
        let (first, done, fatal) = joined.expect("a step does not panic");
        for (at, (outcome, bytes, elapsed)) in done.into_iter().enumerate() {
            failed += u64::from(outcome.error().is_some());
            report(transfer, &outcome, bytes, elapsed);
            outcomes.push(first + at as u64, outcome.clone())?;
            sink.take(&outcome, outcomes).await?;
        }
        if let Some(error) = fatal
            && stopped.is_none()
        {
            stopped = Some(error.into());
        }
    }
    outcomes.end_turn()?;
    stopped.map_or(Ok(failed), Err)
}

/// Steps of one turn with their numbers.
type NumberedSteps<'a> = Box<dyn Iterator<Item = Result<(u64, Step), SpoolError>> + Send + 'a>;

/// The steps of a turn, each with its number among them, in the order in which they are taken.
///
/// Sequential deletes go last object first, as they were written first object first. There are as many of them as
/// commit files of table logs go away, so they are held.
fn steps_of(plan: &Plan, turn: Turn) -> Result<NumberedSteps<'_>, SpoolError> {
    let of_turn = move |step: &Result<Step, SpoolError>| step.as_ref().map_or(true, |step| step.turn == turn);
    let steps = plan
        .steps()
        .filter(of_turn)
        .zip(0..)
        .map(|(step, number)| Ok((number, step?)));
    if turn.is_delete() && turn.is_sequential() {
        let steps: Vec<_> = steps.collect::<Result<_, SpoolError>>()?;
        return Ok(Box::new(steps.into_iter().rev().map(Ok)));
    }
    Ok(Box::new(steps))
}

/// Whether the one write of a batch has twins that wait for its etag.
fn plan_shares(plan: &Plan, batch: &[Step]) -> bool {
    matches!(batch, [Step { work: Work::Write { entry, .. }, .. }] if plan.is_shared(&entry.content))
}

async fn take_batch(transfer: &Arc<Transfer>, first: u64, mut batch: Vec<Step>, shared: bool) -> Done {
    let began = Instant::now();
    if batch.len() > 1 {
        let objects: Vec<(RelPath, ETag)> = batch
            .into_iter()
            .filter_map(|step| match step.work {
                Work::Delete { path, etag } => Some((path, etag)),
                _ => None,
            })
            .collect();
        let (outcomes, fatal) = transfer.remove_many(&objects).await;
        let elapsed = began.elapsed();
        return (
            first,
            outcomes.into_iter().map(|outcome| (outcome, 0, elapsed)).collect(),
            fatal,
        );
    }
    let step = batch.pop().expect("a batch has a step");
    let (outcome, bytes, fatal) = take_step(transfer, step, shared).await;
    (first, vec![(outcome, bytes, began.elapsed())], fatal)
}

async fn take_step(transfer: &Arc<Transfer>, step: Step, shared: bool) -> (Outcome, u64, Option<StoreError>) {
    match step.work {
        Work::Write {
            entry,
            headers,
            replaces,
            origin,
        } => match transfer.write(&entry, headers, &replaces, &origin).await {
            Ok((record, copied)) => {
                if shared {
                    transfer.note_twin(&record.path, &record.etag);
                }
                (Outcome::Written { record, copied }, entry.size, None)
            }
            Err(ObjectError::Conflict(error)) => (
                Outcome::Conflict {
                    path: entry.path,
                    error,
                },
                0,
                None,
            ),
            Err(error @ (ObjectError::NoCopy | ObjectError::CannotCopy { .. })) => (
                Outcome::Failed {
                    path: entry.path,
                    error: with_causes(&error),
                },
                0,
                None,
            ),
            Err(ObjectError::Source(error)) => (
                Outcome::Failed {
                    path: entry.path,
                    error: with_causes(&error),
                },
                0,
                None,
            ),
            Err(ObjectError::Store(error)) => {
                let failed = Outcome::Failed {
                    path: entry.path,
                    error: with_causes(&error),
                };
                (failed, 0, ends_the_run(&error.kind).then_some(error))
            }
        },
        Work::Delete { path, etag } => {
            let (outcome, fatal) = transfer.remove(&path, &etag).await;
            (outcome, 0, fatal)
        }
        Work::Conflict { path } => {
            let error = "an object that lakesync did not write, or that somebody changed, stands here; \
                         --overwrite replaces it, --exclude leaves it out";
            (
                Outcome::Conflict {
                    path,
                    error: error.to_owned(),
                },
                0,
                None,
            )
        }
        Work::LetGo { path } => (Outcome::LetGo { path }, 0, None),
        Work::Unreadable { path, error } => (Outcome::Failed { path, error }, 0, None),
    }
}

fn report(transfer: &Transfer, outcome: &Outcome, bytes: u64, elapsed: Duration) {
    let (action, etag) = match outcome {
        Outcome::Written { record, copied: true } => (Action::Copy, Some(&record.etag)),
        Outcome::Written { record, copied: false } => (Action::Put, Some(&record.etag)),
        Outcome::Deleted { .. } => (Action::Delete, None),
        Outcome::Conflict { .. } | Outcome::Failed { .. } => (Action::Put, None),
        Outcome::LetGo { path } => {
            let text = format!("{path}: somebody else changed it, and the head does not want it; left alone");
            transfer.progress.warn(&text);
            return;
        }
    };
    transfer.progress.object(&ObjectEvent {
        action,
        path: outcome.path(),
        bytes,
        etag,
        error: outcome.error(),
        elapsed,
    });
}
