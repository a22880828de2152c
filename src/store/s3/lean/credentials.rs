//! The keys that requests are signed with, as the SDK's chain gives them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};

use super::signer::Identity;

/// How long before their end credentials are renewed: long enough for a service that is down to come back.
const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);

/// Credentials that end within this count as ended, as for the SDK.
const TOO_LATE: Duration = Duration::from_secs(10);

/// How long to leave a chain alone that has just failed, or just given what the store would not take.
const LEAVE_ALONE: Duration = Duration::from_secs(30);

/// How long the chain may take, as for the SDK.
const LOAD_TIMEOUT: Duration = Duration::from_secs(5);

type Loaded = Result<Arc<Known>, Arc<CredentialsError>>;

type Renewal = Shared<BoxFuture<'static, Loaded>>;

/// A copy of what the chain gave; renewals that meet are one.
pub(super) struct CachedCredentials {
    provider: SharedCredentialsProvider,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    known: Option<Arc<Known>>,
    renewal: Option<Renewal>,
    /// Until when nothing is renewed that still holds.
    leave_alone: Option<SystemTime>,
    /// Whether the store refused a request that was signed with what is known.
    is_doubted: bool,
}

impl State {
    /// Takes what a renewal brought.
    fn settle(&mut self, loaded: &Loaded, now: SystemTime) {
        self.renewal = None;
        let is_doubted = std::mem::take(&mut self.is_doubted);
        self.leave_alone = (is_doubted || loaded.is_err()).then(|| now + LEAVE_ALONE);
        if let Ok(known) = loaded {
            self.known = Some(Arc::clone(known));
        }
    }
}

#[derive(Debug)]
struct Known {
    identity: Arc<Identity>,
    ends: Option<SystemTime>,
    renew: Option<SystemTime>,
}

impl Known {
    fn new(credentials: &Credentials, now: SystemTime) -> Self {
        let ends = credentials.expiry();
        let renew = ends.map(|ends| {
            // Those that live for minutes only are not renewed all the time.
            let left = ends.duration_since(now).unwrap_or_default();
            ends - RENEW_BEFORE.min(left / 4)
        });
        Self {
            identity: Arc::new(Identity::new(credentials)),
            ends,
            renew,
        }
    }

    fn holds(&self, now: SystemTime) -> bool {
        self.ends.is_none_or(|ends| now + TOO_LATE < ends)
    }
}

impl CachedCredentials {
    pub(super) fn new(provider: SharedCredentialsProvider) -> Self {
        Self {
            provider,
            state: Arc::default(),
        }
    }

    /// What to sign with now.
    pub(super) async fn get(&self) -> Result<Arc<Identity>, Arc<CredentialsError>> {
        self.get_at(SystemTime::now()).await
    }

    async fn get_at(&self, now: SystemTime) -> Result<Arc<Identity>, Arc<CredentialsError>> {
        let (held, renewal) = {
            let mut state = lock(&self.state);
            let held = state.known.clone().filter(|known| known.holds(now));
            if let Some(known) = &held {
                let is_alone = state.leave_alone.is_some_and(|until| now < until);
                let is_due = state.is_doubted || known.renew.is_some_and(|renew| renew <= now);
                // While one renews, the others go on with what still holds.
                if is_alone || !is_due || state.renewal.is_some() {
                    return Ok(Arc::clone(&known.identity));
                }
            }
            let renewal = match &state.renewal {
                Some(renewal) => renewal.clone(),
                None => state.renewal.insert(self.load(now)).clone(),
            };
            (held, renewal)
        };
        let loaded = renewal.clone().await;
        {
            let mut state = lock(&self.state);
            // One whose runtime ended has left its place taken.
            if state.renewal.as_ref().is_some_and(|current| current.ptr_eq(&renewal)) {
                state.renewal = None;
            }
        }
        match (loaded, held) {
            (Ok(known), _) => Ok(Arc::clone(&known.identity)),
            (Err(error), Some(held)) => {
                tracing::warn!(%error, "the credentials were not renewed; going on with those that still hold");
                Ok(Arc::clone(&held.identity))
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Has the chain asked again before the next request, since the store refused one signed so.
    pub(super) fn doubt(&self, identity: &Arc<Identity>) {
        let mut state = lock(&self.state);
        let is_of_known = |known: &Arc<Known>| Arc::ptr_eq(&known.identity, identity);
        if state.known.as_ref().is_some_and(is_of_known) {
            state.is_doubted = true;
        }
    }

    /// Asks the chain, in a task of its own: whoever began it may be given up before it ends.
    fn load(&self, now: SystemTime) -> Renewal {
        let (provider, state) = (self.provider.clone(), Arc::clone(&self.state));
        let task = tokio::spawn(async move {
            let loaded = match tokio::time::timeout(LOAD_TIMEOUT, provider.provide_credentials()).await {
                Ok(Ok(credentials)) => Ok(Arc::new(Known::new(&credentials, now))),
                Ok(Err(error)) => Err(Arc::new(error)),
                Err(_) => Err(Arc::new(CredentialsError::provider_timed_out(LOAD_TIMEOUT))),
            };
            lock(&state).settle(&loaded, now);
            loaded
        });
        async move {
            task.await
                .unwrap_or_else(|error| Err(Arc::new(CredentialsError::unhandled(error))))
        }
        .boxed()
        .shared()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
