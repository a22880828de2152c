//! How many bytes may be under way at once, and how many in a second.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// What one permit of a budget stands for: tokio counts permits in 32 bits, and bytes would not fit.
const UNIT: u64 = 1024;

/// A bound on the bytes that are held for requests under way.
///
/// Who asks first gets first, so nothing big waits for ever behind what is small. What is bigger than the
/// whole budget gets all of it, and so runs alone.
#[derive(Debug)]
pub struct ByteBudget {
    units: Arc<Semaphore>,
    all: u32,
}

/// Bytes taken from a budget, given back on drop.
#[derive(Debug)]
pub struct BytesHeld {
    _permit: OwnedSemaphorePermit,
}

impl ByteBudget {
    /// Allows `bytes` at once, rounded up to a KiB; at least one, at most 4 TiB.
    pub fn new(bytes: u64) -> Self {
        let all = units(bytes);
        Self {
            units: Arc::new(Semaphore::new(all as usize)),
            all,
        }
    }

    /// Waits until `bytes` are free.
    pub async fn take(&self, bytes: u64) -> BytesHeld {
        let wanted = units(bytes).min(self.all);
        let permit = Arc::clone(&self.units).acquire_many_owned(wanted).await;
        BytesHeld {
            _permit: permit.expect("the semaphore is never closed"),
        }
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).max(1)
}

/// A bound on bytes per second, on average: what is asked for goes out whole, and the next waits until
/// the time it should have taken is over.
#[derive(Debug)]
pub struct Bandwidth {
    bytes_per_second: NonZeroU64,
    /// A wider bound that counts as well.
    within: Option<Arc<Bandwidth>>,
    /// When all that was let through so far should have been sent.
    paid_until: Mutex<Option<Instant>>,
}

impl Bandwidth {
    /// Allows so many bytes in each second.
    pub fn new(bytes_per_second: NonZeroU64) -> Self {
        Self {
            bytes_per_second,
            within: None,
            paid_until: Mutex::new(None),
        }
    }

    /// Allows so many bytes in each second, within what another bound allows for all.
    pub fn within(bytes_per_second: NonZeroU64, all: Arc<Bandwidth>) -> Self {
        Self {
            within: Some(all),
            ..Self::new(bytes_per_second)
        }
    }

    /// Waits until `bytes` may go out. Time in which nothing was sent is not saved up. Who stops waiting
    /// has still used its share: better too slow than too fast.
    pub async fn take(&self, bytes: u64) {
        let start = {
            let mut paid_until = self.paid_until.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let start = paid_until.map_or(now, |until| until.max(now));
            let seconds = bytes as f64 / self.bytes_per_second.get() as f64;
            *paid_until = Some(start + Duration::from_secs_f64(seconds));
            start
        };
        tokio::time::sleep_until(start).await;
        if let Some(all) = &self.within {
            Box::pin(all.take(bytes)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bandwidth(bytes_per_second: u64) -> Bandwidth {
        Bandwidth::new(NonZeroU64::new(bytes_per_second).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_go_out_at_the_rate_that_was_set() {
        let bandwidth = bandwidth(1000);
        let start = Instant::now();
        for _ in 0..11 {
            bandwidth.take(500).await;
        }
        // The first half second's worth goes at once, the eleventh starts when ten have been paid for.
        assert!(start.elapsed().abs_diff(Duration::from_secs(5)) < Duration::from_millis(20));
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_time_is_not_saved_up() {
        let bandwidth = bandwidth(1000);
        bandwidth.take(1000).await;
        tokio::time::advance(Duration::from_secs(3600)).await;
        let start = Instant::now();
        for _ in 0..3 {
            bandwidth.take(1000).await;
        }
        assert!(start.elapsed() >= Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn many_at_once_share_the_rate() {
        let bandwidth = Arc::new(bandwidth(1000));
        let start = Instant::now();
        let takers = (0..10).map(|_| {
            let bandwidth = Arc::clone(&bandwidth);
            tokio::spawn(async move { bandwidth.take(1000).await })
        });
        futures::future::join_all(takers.collect::<Vec<_>>()).await;
        assert!(start.elapsed() >= Duration::from_secs(9));
    }

    #[tokio::test(start_paused = true)]
    async fn a_bound_within_another_is_held_by_both() {
        let all = Arc::new(bandwidth(1000));
        let narrow = Bandwidth::within(NonZeroU64::new(500).unwrap(), Arc::clone(&all));
        let start = Instant::now();
        for _ in 0..3 {
            narrow.take(1000).await;
        }
        assert!(start.elapsed() >= Duration::from_secs(4));
        let wide = Bandwidth::within(NonZeroU64::new(1_000_000).unwrap(), all);
        let start = Instant::now();
        for _ in 0..4 {
            wide.take(1000).await;
        }
        assert!(start.elapsed() >= Duration::from_secs(3));
    }

    #[tokio::test]
    async fn what_is_bigger_than_the_budget_runs_alone() {
        let budget = ByteBudget::new(10 * UNIT);
        let big = budget.take(1000 * UNIT).await;
        let small = tokio::time::timeout(Duration::from_millis(5), budget.take(1));
        assert!(small.await.is_err(), "something ran beside it");
        drop(big);
        budget.take(1).await;
    }

    #[tokio::test]
    async fn the_big_one_is_not_overtaken_for_ever() {
        let budget = Arc::new(ByteBudget::new(10 * UNIT));
        let held = budget.take(5 * UNIT).await;
        let waiting = Arc::clone(&budget);
        let big = tokio::spawn(async move { drop(waiting.take(10 * UNIT).await) });
        tokio::task::yield_now().await;
        let small = tokio::time::timeout(Duration::from_millis(5), budget.take(1));
        assert!(small.await.is_err(), "a small one overtook the big one");
        drop(held);
        big.await.unwrap();
        assert_eq!(budget.units.available_permits(), 10);
    }
}
