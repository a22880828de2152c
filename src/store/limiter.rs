//! How many requests may be under way at once, as the store bears it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How long one lowering holds: the requests that were under way with the throttled one are refused in the
/// same breath, and each would lower it again.
const CALM: Duration = Duration::from_millis(500);

/// A limit on requests under way that goes down when a store asks for it and creeps up again: one shared
/// by all who use an endpoint, so that they do not storm it together.
///
/// It starts open: S3 takes a burst well, and a first export should not have to learn that. Places are
/// given in the order in which they are asked for.
#[derive(Debug)]
pub struct Limiter {
    places: Arc<Semaphore>,
    ceiling: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: usize,
    /// Places that are taken but to be given up when they come back.
    owed: usize,
    /// Successes since the limit last changed.
    successes: usize,
    lowered: Option<Instant>,
}

impl Limiter {
    /// Starts at `ceiling` requests at once, and never goes above.
    pub fn new(ceiling: usize) -> Self {
        let ceiling = ceiling.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(ceiling)),
            ceiling,
            state: Mutex::new(State {
                limit: ceiling,
                owed: 0,
                successes: 0,
                lowered: None,
            }),
        }
    }

    /// How many requests may be under way now.
    pub fn limit(&self) -> usize {
        self.lock().limit
    }

    /// Waits for a place; it is given back when the result is dropped.
    pub async fn place(&self) -> Place<'_> {
        let permit = Arc::clone(&self.places).acquire_owned().await;
        Place {
            limiter: self,
            permit: Some(permit.expect("the semaphore is never closed")),
        }
    }

    /// Tells that the store asked to go slower: down to 70 %.
    pub fn throttled(&self) {
        let mut state = self.lock();
        let now = Instant::now();
        if state.lowered.is_some_and(|earlier| now < earlier + CALM) {
            return;
        }
        let lower = (state.limit * 7 / 10).max(1);
        let surplus = state.limit - lower;
        state.owed += surplus - self.places.forget_permits(surplus);
        state.limit = lower;
        state.successes = 0;
        state.lowered = Some(now);
        tracing::debug!(limit = lower, "throttled");
    }

    /// Tells that a request did what it should: one place more for as many of them as there are places.
    pub fn succeeded(&self) {
        let mut state = self.lock();
        if state.limit == self.ceiling {
            return;
        }
        state.successes += 1;
        if state.successes < state.limit {
            return;
        }
        state.successes = 0;
        state.limit += 1;
        if state.owed > 0 {
            state.owed -= 1;
        } else {
            self.places.add_permits(1);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to have one request under way.
#[derive(Debug)]
pub struct Place<'a> {
    limiter: &'a Limiter,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let mut state = self.limiter.lock();
        if state.owed > 0 {
            state.owed -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_drops_once_per_half_second_and_never_below_one() {
        let limiter = Limiter::new(100);
        limiter.throttled();
        limiter.throttled();
        assert_eq!(limiter.limit(), 70);
        for _ in 0..40 {
            tokio::time::advance(CALM).await;
            limiter.throttled();
        }
        assert_eq!(limiter.limit(), 1);
        assert_eq!(limiter.places.available_permits(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn it_creeps_up_to_the_ceiling_and_not_above() {
        let limiter = Limiter::new(10);
        limiter.throttled();
        assert_eq!(limiter.limit(), 7);
        for _ in 0..7 {
            limiter.succeeded();
        }
        assert_eq!(limiter.limit(), 8);
        for _ in 0..1000 {
            limiter.succeeded();
        }
        assert_eq!(limiter.limit(), 10);
        assert_eq!(limiter.places.available_permits(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn places_that_are_taken_are_given_up_when_they_come_back() {
        let limiter = Limiter::new(10);
        let mut taken = Vec::new();
        for _ in 0..10 {
            taken.push(limiter.place().await);
        }
        limiter.throttled();
        assert_eq!(limiter.limit(), 7);
        drop(taken.split_off(7));
        assert_eq!(limiter.places.available_permits(), 0, "three places are owed");
        drop(taken);
        assert_eq!(limiter.places.available_permits(), 7);
    }

    #[tokio::test]
    async fn who_gives_up_waiting_takes_no_place_along() {
        let limiter = Limiter::new(1);
        let held = limiter.place().await;
        let waiting = tokio::time::timeout(Duration::from_millis(1), limiter.place());
        assert!(waiting.await.is_err());
        drop(held);
        assert_eq!(limiter.places.available_permits(), 1);
    }
}
