//! How long commits take to arrive, seen as a reader sees it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lakesync::ledger::StatusName;
use lakesync::model::{CommitId, Prefix};
use lakesync::status::{ExportState, list_names, read_head};
use lakesync::store::S3Store;

/// How often a reader looks, and so how exact the numbers are.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Commits as they are made, and when they were out; a clone sees the same.
#[derive(Clone, Default)]
pub struct Lag(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    made: Vec<(CommitId, Instant)>,
    /// How many of them are out: an export of one brings all before it.
    out: usize,
    lags: Vec<Duration>,
    runs: BTreeSet<StatusName>,
    successes: Vec<CommitId>,
    /// How often an older commit than the last came after it.
    back: usize,
}

/// What a reader has seen.
pub struct LagReport {
    pub commits: usize,
    pub runs: usize,
    pub successes: usize,
    pub back: usize,
    /// For each commit, how long it took until it or one after it was out; the shortest first.
    pub lags: Vec<Duration>,
}

impl Lag {
    /// Notes a commit and the moment before it was made.
    pub fn made(&self, commit: CommitId, at: Instant) {
        self.0.lock().unwrap().made.push((commit, at));
    }

    /// Looks again and again, until dropped.
    pub async fn watch(self, store: S3Store, prefix: Prefix) {
        loop {
            let names = list_names(&store, &prefix).await.unwrap();
            if let Some(newest) = names.last() {
                // It may have been pruned since.
                if let Some((head, _)) = read_head(&store, &prefix.join(&newest.to_string())).await.unwrap()
                    && head.status == ExportState::Success
                {
                    self.0.lock().unwrap().is_out(&CommitId::new(head.commit));
                }
            }
            self.0.lock().unwrap().runs.extend(names);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Whether the last commit is out.
    pub fn all_out(&self) -> bool {
        let seen = self.0.lock().unwrap();
        seen.successes.last() == seen.made.last().map(|(commit, _)| commit)
    }

    pub fn report(&self) -> LagReport {
        let seen = self.0.lock().unwrap();
        let mut lags = seen.lags.clone();
        lags.sort();
        LagReport {
            commits: seen.made.len(),
            runs: seen.runs.len(),
            successes: seen.successes.len(),
            back: seen.back,
            lags,
        }
    }
}

impl Seen {
    fn is_out(&mut self, commit: &CommitId) {
        if self.successes.last() == Some(commit) {
            return;
        }
        // What was made a moment ago is perhaps not noted yet: the next look finds it.
        let Some(at) = self.made.iter().position(|(made, _)| made == commit) else {
            return;
        };
        self.successes.push(commit.clone());
        let now = Instant::now();
        if at < self.out {
            self.back += 1;
            return;
        }
        for (_, made) in &self.made[self.out..=at] {
            self.lags.push(now - *made);
        }
        self.out = at + 1;
    }
}

impl LagReport {
    /// The lag that so many of a hundred commits did not exceed.
    pub fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.lags.len() * percent).div_ceil(100);
        self.lags.get(rank.max(1) - 1).copied().unwrap_or_default()
    }
}

#[test]
fn a_percentile_is_a_lag_that_was_seen() {
    let report = |lags: &[u64]| LagReport {
        commits: 0,
        runs: 0,
        successes: 0,
        back: 0,
        lags: lags.iter().copied().map(Duration::from_secs).collect(),
    };
    let ten = report(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    let found = [1, 50, 90, 99, 100].map(|percent| ten.percentile(percent).as_secs());
    assert_eq!(found, [1, 5, 9, 10, 10]);
    assert_eq!(report(&[]).percentile(50), Duration::ZERO);
}

#[test]
fn a_success_is_the_arrival_of_all_commits_before_it() {
    let lag = Lag::default();
    let commit = |number: u8| CommitId::new(number.to_string());
    let start = Instant::now();
    for number in 0..4 {
        lag.made(commit(number), start);
    }
    for (number, out) in [(0, 1), (2, 3), (9, 3), (1, 3), (3, 4)] {
        lag.0.lock().unwrap().is_out(&commit(number));
        assert_eq!(lag.report().lags.len(), out, "after {number}");
    }
    let report = lag.report();
    assert_eq!((report.successes, report.back), (4, 1));
    assert!(lag.all_out());
}
