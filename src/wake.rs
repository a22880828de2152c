//! A signal that says "look again": many wakes before somebody looks count as one, and none is lost.

use std::sync::Arc;

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
