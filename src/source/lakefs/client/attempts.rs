//! Asks again where that may help, and not for ever.

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;

use super::super::config::LakeFsRetryConfig;
use super::super::error::{LakeFsError, LakeFsErrorKind};
use super::{Ask, LakeFsClient};

/// An attempt that failed, and when the server wants to see the next.
pub(super) struct Failure {
    pub(super) error: Box<LakeFsError>,
    pub(super) retry_after: Option<Duration>,
}

impl From<LakeFsError> for Failure {
    fn from(error: LakeFsError) -> Self {
        Self {
            error: Box::new(error),
            retry_after: None,
        }
    }
}

impl LakeFsClient {
    /// Makes attempts until one succeeds, or fails for a reason that stays, or time or attempts are up.
    pub(super) async fn attempt<'a, T>(
        &self,
        ask: &Ask,
        once: impl Fn() -> BoxFuture<'a, Result<T, Failure>>,
    ) -> Result<T, Box<LakeFsError>> {
        let config = &self.inner.config;
        let deadline = Instant::now() + config.deadline;
        let mut attempts = 0;
        loop {
            self.inner.counts.attempt(ask.kind, attempts > 0);
            attempts += 1;
            let end = deadline.min(Instant::now() + config.request_timeout);
            let failure = match tokio::time::timeout_at(end, once()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(failure)) => failure,
                Err(_) => self.error(ask, LakeFsErrorKind::TimedOut).into(),
            };
            let wait = failure.retry_after.map_or_else(
                || backoff(&config.retry, attempts),
                |wait| wait.min(config.retry.max_wait_interval),
            );
            let error = failure.error;
            if !error.kind.is_passing() || attempts >= config.retry.max_attempts || Instant::now() + wait >= deadline {
                return Err(error);
            }
            tracing::debug!(%error, attempts, "asking lakeFS again");
            tokio::time::sleep(wait).await;
        }
    }
}

/// How long to wait after so many attempts: longer each time, and never the same for two who failed together.
fn backoff(config: &LakeFsRetryConfig, attempts: u32) -> Duration {
    let doubled = config
        .min_wait_interval
        .saturating_mul(2_u32.saturating_pow(attempts - 1));
    doubled
        .min(config.max_wait_interval)
        .mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_limit() {
        let config = LakeFsRetryConfig::default();
        for (attempts, most_ms) in [(1, 200), (2, 400), (5, 3_200), (9, 30_000), (200, 30_000)] {
            let wait = backoff(&config, attempts);
            let most = Duration::from_millis(most_ms);
            assert!(wait <= most && wait >= most / 2, "{attempts}: {wait:?}");
        }
    }
}
