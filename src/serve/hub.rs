//! One watch for all exports of one branch: what it sees wakes each of them.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::task::AbortHandle;

use crate::wake::Wake;

/// What is watched, as a text that is equal for equal things.
pub type HubKey = String;

/// The watches of a process.
#[derive(Default)]
pub struct Hub {
    watches: Mutex<HashMap<HubKey, Weak<Shared>>>,
}

/// A watch that wakes many.
struct Shared {
    members: Arc<Mutex<Members>>,
    task: AbortHandle,
    _watch: Box<dyn Any + Send + Sync>,
}

#[derive(Default)]
struct Members {
    next: u64,
    wakes: BTreeMap<u64, Wake>,
}

/// One export's part in a watch, given up when dropped; with the last one the watch ends.
pub struct Membership {
    shared: Arc<Shared>,
    id: u64,
}

impl Hub {
    /// Has a wake set by the watch of `key`, which is started where nobody has it yet. Inside of a runtime.
    ///
    /// # Errors
    /// Gives what `start` gives.
    pub fn join<W: Send + Sync + 'static, E>(
        &self,
        key: HubKey,
        wake: Wake,
        start: impl FnOnce(Wake) -> Result<W, E>,
    ) -> Result<Membership, E> {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = watches.get(&key).and_then(Weak::upgrade) {
            return Ok(shared.join(wake));
        }
        let seen = Wake::default();
        let watch = start(seen.clone())?;
        let members = Arc::<Mutex<Members>>::default();
        let task = tokio::spawn({
            let members = Arc::clone(&members);
            async move {
                loop {
                    seen.woken().await;
                    members.lock().unwrap_or_else(PoisonError::into_inner).wakes.values().for_each(Wake::wake);
                }
            }
        });
        let shared = Arc::new(Shared {
            members,
            task: task.abort_handle(),
            _watch: Box::new(watch),
        });
        watches.retain(|_, shared| shared.strong_count() > 0);
        watches.insert(key, Arc::downgrade(&shared));
        Ok(shared.join(wake))
    }

    /// How many watches there are.
    pub fn len(&self) -> usize {
        let watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.values().filter(|shared| shared.strong_count() > 0).count()
    }

    /// Whether nothing is watched.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Shared {
    fn join(self: Arc<Self>, wake: Wake) -> Membership {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let id = members.next;
        members.next += 1;
        members.wakes.insert(id, wake);
        drop(members);
        Membership { shared: self, id }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut members = self.shared.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.wakes.remove(&self.id);
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
            let member = hub.join("git:/x".to_owned(), wake.clone(), |inner| {
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
            hub.join("k".to_owned(), Wake::default(), |_| Ok::<_, Infallible>(watch)).unwrap()
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
        assert!(hub.join("k".to_owned(), Wake::default(), |_| Err::<(), _>("no")).is_err());
        assert!(hub.is_empty());
    }
}
