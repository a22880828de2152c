//! One watch for all exports of one branch: what it sees wakes each of them.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::wake::{Wake, Wakes};

/// What is watched, as a text that is equal for equal things.
pub type HubKey = String;

/// The watches of a process.
#[derive(Default)]
pub struct Hub {
    watches: Mutex<HashMap<HubKey, Weak<Watched>>>,
}

/// A watch, and all whom it wakes.
struct Watched {
    wakes: Wakes,
    _watch: Box<dyn Any + Send + Sync>,
}

/// One export's part in a watch; the watch ends with the last one.
pub struct Membership {
    _watched: Arc<Watched>,
}

impl Hub {
    /// Has a wake set by the watch of `key`, which is started where nobody has it yet.
    ///
    /// # Errors
    /// Gives what `start` gives.
    pub fn join<W: Send + Sync + 'static, E>(
        &self,
        key: HubKey,
        wake: &Wake,
        start: impl FnOnce(Wakes) -> Result<W, E>,
    ) -> Result<Membership, E> {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watched) = watches.get(&key).and_then(Weak::upgrade) {
            watched.wakes.join(wake);
            return Ok(Membership { _watched: watched });
        }
        let wakes = Wakes::from(wake);
        let watched = Arc::new(Watched {
            wakes: wakes.clone(),
            _watch: Box::new(start(wakes)?),
        });
        watches.retain(|_, watched| watched.strong_count() > 0);
        watches.insert(key, Arc::downgrade(&watched));
        Ok(Membership { _watched: watched })
    }

    /// How many watches there are.
    pub fn len(&self) -> usize {
        let watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.values().filter(|watched| watched.strong_count() > 0).count()
    }

    /// Whether nothing is watched.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_thousand_exports_of_one_branch_have_one_watch_and_all_are_woken() {
        let hub = Hub::default();
        let started = AtomicUsize::new(0);
        let mut ends = Vec::new();
        let seen = Mutex::new(None);
        for _ in 0..1_000 {
            let wake = Wake::default();
            let member = hub.join("git:/x".to_owned(), &wake, |inner| {
                started.fetch_add(1, Ordering::Relaxed);
                *seen.lock().unwrap() = Some(inner);
                Ok::<_, Infallible>(())
            });
            ends.push((member.unwrap(), wake));
        }
        assert_eq!((started.load(Ordering::Relaxed), hub.len()), (1, 1));
        seen.lock().unwrap().as_ref().unwrap().wake();
        for (_, wake) in &ends {
            wake.woken().await;
        }
    }

    #[tokio::test]
    async fn a_watch_ends_with_its_last_export_and_begins_anew() {
        let hub = Hub::default();
        let alive = Arc::new(());
        let join = || {
            let watch = Arc::clone(&alive);
            hub.join("k".to_owned(), &Wake::default(), |_| Ok::<_, Infallible>(watch))
                .unwrap()
        };
        let (first, second) = (join(), join());
        drop(first);
        assert_eq!(Arc::strong_count(&alive), 2);
        drop(second);
        assert_eq!((Arc::strong_count(&alive), hub.len()), (1, 0));
        let _third = join();
        assert_eq!((Arc::strong_count(&alive), hub.len()), (2, 1));
    }

    #[tokio::test]
    async fn a_watch_that_does_not_start_leaves_nothing() {
        let hub = Hub::default();
        assert!(
            hub.join("k".to_owned(), &Wake::default(), |_| Err::<(), _>("no"))
                .is_err()
        );
        assert!(hub.is_empty());
    }
}
