//! What a single run of the loop is given: a source whose head stands still, and ears for its id.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::model::{Change, CommitId, Entry, RunId};
use crate::progress::{ObjectEvent, Phase, Progress, Totals};
use crate::source::{Body, EntryStream, Item, Source, SourceError, Stream};

/// A source whose head is the one that a pass has read: a run asks twice more, and each time a folder would be
/// scanned and a server asked. What comes meanwhile is seen by the next pass.
pub(super) struct Pinned {
    source: Arc<dyn Source>,
    head: CommitId,
}

impl Pinned {
    pub(super) fn new(source: Arc<dyn Source>, head: CommitId) -> Self {
        Self { source, head }
    }
}

#[async_trait]
impl Source for Pinned {
    fn name(&self) -> &str {
        self.source.name()
    }

    async fn head(&self) -> Result<CommitId, SourceError> {
        Ok(self.head.clone())
    }

    async fn contains(&self, at: &CommitId) -> Result<bool, SourceError> {
        self.source.contains(at).await
    }

    async fn tree(&self, at: &CommitId) -> Result<EntryStream, SourceError> {
        self.source.tree(at).await
    }

    async fn changes(&self, from: &CommitId, to: &CommitId) -> Result<Option<Stream<Item<Change>>>, SourceError> {
        self.source.changes(from, to).await
    }

    async fn open(&self, at: &CommitId, entry: &Entry) -> Result<Body, SourceError> {
        self.source.open(at, entry).await
    }

    fn parallelism(&self) -> NonZeroUsize {
        self.source.parallelism()
    }
}

/// Tells all to another, and remembers the id of the run, which an error does not hold, and when its phases began.
pub(super) struct Followed {
    progress: Arc<dyn Progress>,
    run: Mutex<Option<RunId>>,
    began: Mutex<Vec<(Phase, Instant)>>,
}

/// How long each phase took, in their order; one that came twice stands here twice.
#[derive(Debug)]
pub(super) struct PhaseTimes(Vec<(Phase, Duration)>);

impl Followed {
    pub(super) fn new(progress: Arc<dyn Progress>) -> Self {
        Self {
            progress,
            run: Mutex::default(),
            began: Mutex::default(),
        }
    }

    /// How long each phase has taken up to now.
    pub(super) fn times(&self) -> PhaseTimes {
        let began = self.began.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = began.iter().skip(1).map(|(_, at)| *at).chain([Instant::now()]);
        let times = began.iter().zip(ends);
        PhaseTimes(times.map(|((phase, at), end)| (*phase, end - *at)).collect())
    }

    pub(super) fn run(&self) -> Option<RunId> {
        *self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Followed {
    fn phase(&self, phase: Phase) {
        let mut began = self.began.lock().unwrap_or_else(PoisonError::into_inner);
        began.push((phase, Instant::now()));
        drop(began);
        self.progress.phase(phase);
    }

    fn started(&self, run: RunId, commit: &CommitId) {
        *self.run.lock().unwrap_or_else(PoisonError::into_inner) = Some(run);
        self.progress.started(run, commit);
    }

    fn planned(&self, totals: &Totals) {
        self.progress.planned(totals);
    }

    fn moved(&self, bytes: u64) {
        self.progress.moved(bytes);
    }

    fn object(&self, event: &ObjectEvent<'_>) {
        self.progress.object(event);
    }

    fn warn(&self, text: &str) {
        self.progress.warn(text);
    }
}

impl fmt::Display for PhaseTimes {
    /// As `look 3.1 ms, lock 2.0 ms`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (phase, time)) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(out, "{comma}{phase} {:.1} ms", time.as_secs_f64() * 1e3)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn a_phase_lasts_until_the_next_one_begins() {
        let followed = Followed::new(Arc::new(Silent));
        assert_eq!(followed.times().to_string(), "");
        for phase in [Phase::Look, Phase::Transfer] {
            followed.phase(phase);
            std::thread::sleep(Duration::from_millis(2));
        }
        let times = followed.times();
        let phases: Vec<Phase> = times.0.iter().map(|(phase, _)| *phase).collect();
        assert_eq!(phases, [Phase::Look, Phase::Transfer]);
        assert!(
            times.0.iter().all(|(_, time)| *time >= Duration::from_millis(2)),
            "{times}"
        );
        assert!(
            times.to_string().starts_with("look ") && times.to_string().contains(" ms, transfer "),
            "{times}"
        );
    }
}
