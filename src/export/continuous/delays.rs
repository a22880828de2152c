//! How long the loop waits before it tries again.

use std::time::Duration;

/// How long the loop waits before it tries again; each wait is up to a quarter shorter or longer than said here, so
/// that many exports that met the same trouble do not come back at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryDelays {
    /// After the first failure; doubled with each further one.
    pub first: Duration,
    /// After many failures.
    pub most: Duration,
    /// While the source is gone, after many tries. The first come sooner, as for a failure.
    pub held: Duration,
    /// While somebody else holds the lease, after many tries.
    pub lease: Duration,
    /// How long a head that is out is believed to be so without a look at the store.
    pub look_again: Duration,
}

impl Default for RetryDelays {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            // Long enough to be no burden to a store in trouble, short enough that nobody need wait for it.
            most: Duration::from_secs(5 * 60),
            held: Duration::from_secs(60),
            // Four small requests each time, and a dead holder's lease lasts for a minute anyway.
            lease: Duration::from_secs(10),
            // What a dead run had sent may land for 30 minutes, and the first run after that must look: see the ledger.
            look_again: Duration::from_secs(31 * 60),
        }
    }
}

impl RetryDelays {
    /// The wait after so many failures in a row.
    pub(super) fn for_retry(&self, failures: u32) -> Duration {
        jittered(self.grown(failures, self.most))
    }

    /// The wait after so many looks at a source that is gone.
    pub(super) fn for_held(&self, failures: u32) -> Duration {
        jittered(self.grown(failures, self.held))
    }

    /// The wait after so many tries to get the lease.
    pub(super) fn for_lease(&self, failures: u32) -> Duration {
        jittered(self.grown(failures, self.lease))
    }

    fn grown(&self, failures: u32, most: Duration) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(most)
    }
}

fn jittered(delay: Duration) -> Duration {
    delay.mul_f64(0.75 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_their_most_and_stay_there() {
        let delays = RetryDelays::default();
        let seconds: Vec<u64> = [1, 2, 3, 4, 9, 10, 11, u32::MAX]
            .map(|failures| delays.grown(failures, delays.most).as_secs())
            .to_vec();
        assert_eq!(seconds, [1, 2, 4, 8, 256, 300, 300, 300]);
    }

    #[test]
    fn no_two_exporters_come_back_at_one_moment() {
        let delays: Vec<Duration> = (0..100).map(|_| RetryDelays::default().for_retry(4)).collect();
        for delay in &delays {
            assert!(
                (Duration::from_secs(6)..=Duration::from_secs(10)).contains(delay),
                "{delay:?}"
            );
        }
        let mut different = delays.clone();
        different.sort();
        different.dedup();
        assert!(different.len() > 50, "{different:?}");
    }
}
