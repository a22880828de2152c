//! A signal that says "look again": many wakes before somebody looks count as one, and none is lost.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Notify;

/// Wakes whoever waits for it, now or as soon as it waits; a clone is another end of the same signal.
///
/// It carries nothing: who wakes up looks afresh, so it does not matter which of many wakes it was. There is one
/// waiter; with two, each wake would reach one of them only.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// Sets the signal. Never blocks, and may be called from any thread.
    pub fn wake(&self) {
        self.0.notify_one();
    }

    /// Waits until the signal is set, and takes it. Dropped before it is done, it takes nothing.
    pub async fn woken(&self) {
        self.0.notified().await;
    }
}

/// All who wait for news of one branch; a clone is the same group. A signal that nobody holds any more falls out.
#[derive(Clone, Debug, Default)]
pub struct Wakes(Arc<Mutex<Vec<Weak<Notify>>>>);

impl Wakes {
    /// Lets one more be woken.
    pub fn join(&self, wake: &Wake) {
        self.lock().push(Arc::downgrade(&wake.0));
    }

    /// Sets all signals.
    pub fn wake(&self) {
        self.lock().retain(|waiting| match waiting.upgrade() {
            Some(notify) => {
                notify.notify_one();
                true
            }
            None => false,
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<&Wake> for Wakes {
    fn from(wake: &Wake) -> Self {
        let wakes = Self::default();
        wakes.join(wake);
        wakes
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn is_set(wake: &Wake) -> bool {
        tokio::time::timeout(Duration::from_millis(1), wake.woken())
            .await
            .is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn many_wakes_before_somebody_looks_are_one() {
        let wake = Wake::default();
        for _ in 0..1_000 {
            wake.wake();
        }
        assert!(is_set(&wake).await);
        assert!(!is_set(&wake).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wake_while_the_last_one_is_worked_on_is_not_lost() {
        let wake = Wake::default();
        wake.wake();
        wake.woken().await;
        wake.clone().wake();
        assert!(is_set(&wake).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_given_up_takes_no_wake() {
        let wake = Wake::default();
        assert!(!is_set(&wake).await);
        wake.wake();
        drop(wake.woken());
        assert!(is_set(&wake).await);
    }

    #[tokio::test(start_paused = true)]
    async fn all_of_a_group_are_woken_and_who_has_gone_is_forgotten() {
        let (first, second) = (Wake::default(), Wake::default());
        let wakes = Wakes::from(&first);
        wakes.clone().join(&second);
        wakes.wake();
        assert!(is_set(&first).await && is_set(&second).await);
        drop(first);
        wakes.wake();
        assert_eq!(wakes.lock().len(), 1);
        assert!(is_set(&second).await);
    }

    #[tokio::test]
    async fn threads_wake_a_waiting_task() {
        let wake = Wake::default();
        let woken = tokio::spawn({
            let wake = wake.clone();
            async move { wake.woken().await }
        });
        std::thread::spawn(move || wake.wake()).join().unwrap();
        woken.await.unwrap();
    }
}
