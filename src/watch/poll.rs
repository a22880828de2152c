//! Asks a source for its head every now and then.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::source::Source;
use crate::wake::Wakes;

/// So long apart are the questions to a source that goes on failing.
const MOST: Duration = Duration::from_secs(60);

/// Asks a source for its head every now and then, and wakes when it is another one.
///
/// One serves all exports of a branch, so that a server gets one small request for each interval.
pub struct Poll {
    /// Who is asked.
    pub source: Arc<dyn Source>,
    /// How often, give or take a tenth; less often while the source fails.
    pub interval: Duration,
    /// Who is woken.
    pub wakes: Wakes,
}

impl Poll {
    /// Asks until it is stopped.
    pub async fn run(&self, stop: &CancellationToken) {
        stop.run_until_cancelled(self.ask()).await;
    }

    async fn ask(&self) {
        let mut known = None;
        let mut failures = 0_u32;
        loop {
            match self.source.head().await {
                Ok(head) => {
                    // Also after a failure: whoever waits has met it, too.
                    if failures > 0 || known.as_ref() != Some(&head) {
                        self.wakes.wake();
                    }
                    known = Some(head);
                    failures = 0;
                }
                Err(error) => {
                    tracing::debug!(source = self.source.name(), %error, failures, "the head cannot be read");
                    // Who waits should know, but once is enough.
                    if failures == 0 {
                        self.wakes.wake();
                    }
                    failures = failures.saturating_add(1);
                }
            }
            sleep(pause(self.interval, failures)).await;
        }
    }
}

fn pause(interval: Duration, failures: u32) -> Duration {
    let grown = interval.saturating_mul(1 << failures.min(16));
    // A longer interval than the most is what the user wants.
    grown.min(MOST.max(interval)).mul_f64(0.9 + fastrand::f64() / 5.0)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use super::*;
    use crate::source::faulty::{FaultySource, SourceFault};
    use crate::source::memory::{MemoryFile, MemorySource, MemoryTree};
    use crate::wake::Wake;

    fn commit(source: &MemorySource, text: &str) {
        let file = MemoryFile::new(text.to_owned());
        source.commit(MemoryTree::from([(crate::model::RelPath::new("a").unwrap(), file)]));
    }

    /// Counts the wakes of some time.
    async fn wakes(wake: &Wake, time: Duration) -> u64 {
        let count = AtomicU64::new(0);
        let counting = async {
            loop {
                wake.woken().await;
                count.fetch_add(1, Ordering::Relaxed);
            }
        };
        drop(tokio::time::timeout(time, counting).await);
        count.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_head_wakes_and_an_old_one_costs_one_question() {
        let source = MemorySource::new("memory:main");
        commit(&source, "1");
        let asked = FaultySource::new(Arc::new(source.clone()), |_| SourceFault::None);
        let wake = Wake::default();
        let poll = Poll {
            source: Arc::new(asked.clone()),
            interval: Duration::from_secs(1),
            wakes: Wakes::from(&wake),
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn({
            let stop = stop.clone();
            async move { poll.run(&stop).await }
        });
        assert_eq!(wakes(&wake, Duration::from_secs(100)).await, 1, "the first look");
        assert!((90..=112).contains(&asked.calls()), "{}", asked.calls());
        commit(&source, "2");
        assert_eq!(wakes(&wake, Duration::from_secs(10)).await, 1);
        stop.cancel();
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_fails_is_asked_less_often_and_wakes_when_it_is_back() {
        let source = MemorySource::new("memory:main");
        commit(&source, "1");
        let broken = Arc::new(AtomicBool::new(true));
        let is_broken = Arc::clone(&broken);
        let asked = FaultySource::new(Arc::new(source), move |_| {
            if is_broken.load(Ordering::Relaxed) {
                SourceFault::Fail
            } else {
                SourceFault::None
            }
        });
        let wake = Wake::default();
        let poll = Poll {
            source: Arc::new(asked.clone()),
            interval: Duration::from_secs(1),
            wakes: Wakes::from(&wake),
        };
        let task = tokio::spawn(async move { poll.run(&CancellationToken::new()).await });
        assert_eq!(wakes(&wake, Duration::from_secs(600)).await, 1, "it failed");
        assert!(asked.calls() < 25, "{}", asked.calls());
        broken.store(false, Ordering::Relaxed);
        assert_eq!(wakes(&wake, Duration::from_secs(120)).await, 1, "it is back");
        task.abort();
    }
}
