//! When a burst of changes is over.

use std::time::{Duration, Instant};

/// Turns a burst of changes into one moment: when nothing came for a while, but never later than a limit after the
/// first, since some folders are never still.
#[derive(Clone, Debug)]
pub(super) struct Settle {
    quiet: Duration,
    most: Duration,
    burst: Option<Burst>,
}

#[derive(Clone, Copy, Debug)]
struct Burst {
    first: Instant,
    last: Instant,
}

impl Settle {
    pub(super) fn new(quiet: Duration, most: Duration) -> Self {
        Self {
            quiet,
            most,
            burst: None,
        }
    }

    /// Notes a change.
    pub(super) fn changed(&mut self, now: Instant) {
        let first = self.burst.map_or(now, |burst| burst.first);
        self.burst = Some(Burst { first, last: now });
    }

    /// When the burst counts as over; `None` where nothing changed.
    pub(super) fn due(&self) -> Option<Instant> {
        let burst = self.burst?;
        Some((burst.last + self.quiet).min(burst.first + self.most))
    }

    /// Whether a burst is over now; it is told once.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        let is_over = self.due().is_some_and(|due| due <= now);
        if is_over {
            self.burst = None;
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn settle() -> (Settle, Instant) {
        (Settle::new(200 * MS, 5_000 * MS), Instant::now())
    }

    #[test]
    fn a_burst_is_one_moment_after_its_last_change() {
        let (mut settle, start) = settle();
        assert_eq!(settle.due(), None);
        for at in [0, 50, 100, 290] {
            assert!(!settle.is_over(start + at * MS));
            settle.changed(start + at * MS);
        }
        assert!(!settle.is_over(start + 489 * MS));
        assert!(settle.is_over(start + 490 * MS));
        assert!(!settle.is_over(start + 9_000 * MS), "it is told once");
    }

    #[test]
    fn what_never_rests_is_told_at_the_limit_and_then_again() {
        let (mut settle, start) = settle();
        let mut told = Vec::new();
        for at in (0..12_000).step_by(100) {
            if settle.is_over(start + at * MS) {
                told.push(at);
            }
            settle.changed(start + at * MS);
        }
        assert_eq!(told, [5_000, 10_000]);
    }
}
