//! The connections in use, and whether anybody still answers on them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_s3::Client;

use super::lean::{LeanClient, LeanPlan};
use super::transport::{Transport, TransportPlan};

/// After how many unanswered requests in a row all connections are given up. A process whose connections
/// died in an outage otherwise goes on trying them (aws-sdk-rust#827).
const SILENCES_UNTIL_NEW_CLIENTS: u32 = 3;

/// The clients of one store, and what new ones are made of.
pub(super) struct Pool {
    transport: TransportPlan,
    /// All of the SDK's settings but for the connections.
    settings: aws_sdk_s3::config::Builder,
    lean: Option<Arc<LeanPlan>>,
    current: Mutex<Current>,
}

struct Current {
    clients: Clients,
    generation: u64,
    silences: u32,
}

/// Who sends requests.
#[derive(Clone)]
pub(super) struct Clients {
    pub(super) sdk: Client,
    /// `None` where the SDK sends all.
    pub(super) lean: Option<LeanClient>,
}

impl Pool {
    pub(super) fn new(
        transport: TransportPlan,
        settings: aws_sdk_s3::config::Builder,
        connections: Transport,
        lean: Option<LeanPlan>,
    ) -> Self {
        let lean = lean.map(Arc::new);
        let clients = Clients::new(&settings, connections, lean.as_ref());
        Self {
            transport,
            settings,
            lean,
            current: Mutex::new(Current {
                clients,
                generation: 0,
                silences: 0,
            }),
        }
    }

    /// Whether the lean client sends what it can.
    pub(super) fn is_lean(&self) -> bool {
        self.lean.is_some()
    }

    /// The clients for one request.
    pub(super) fn attempt(&self) -> (Clients, Attempt<'_>) {
        let current = self.lock();
        let attempt = Attempt {
            pool: self,
            generation: current.generation,
            answered: false,
        };
        (current.clients.clone(), attempt)
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clients {
    fn new(settings: &aws_sdk_s3::config::Builder, connections: Transport, lean: Option<&Arc<LeanPlan>>) -> Self {
        Self {
            sdk: Client::from_conf(settings.clone().http_client(connections).build()),
            lean: lean.map(LeanClient::new),
        }
    }
}

/// A request under way. Dropped without an answer, be it by a deadline above, it counts as a silence.
pub(super) struct Attempt<'a> {
    pool: &'a Pool,
    generation: u64,
    answered: bool,
}

impl Attempt<'_> {
    pub(super) fn answered(&mut self) {
        self.answered = true;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut current = self.pool.lock();
        if current.generation != self.generation {
            return;
        }
        if self.answered {
            current.silences = 0;
            return;
        }
        current.silences += 1;
        if current.silences >= SILENCES_UNTIL_NEW_CLIENTS {
            tracing::info!(silences = current.silences, "no replies; making new connections");
            let connections = self.pool.transport.build();
            current.clients = Clients::new(&self.pool.settings, connections, self.pool.lean.as_ref());
            current.generation += 1;
            current.silences = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HttpClient, S3Config, S3Store};

    async fn store(http_client: HttpClient) -> S3Store {
        let mut config = S3Config::new("bucket".parse().unwrap());
        config.region = Some("eu-west-1".to_owned());
        config.endpoint_url = Some("http://127.0.0.1:1".to_owned());
        config.http_client = http_client;
        S3Store::connect(config).await.unwrap()
    }

    #[tokio::test]
    async fn three_silences_in_a_row_make_new_connections() {
        for http_client in [HttpClient::Lean, HttpClient::Sdk] {
            let store = store(http_client).await;
            let pool = store.pool();
            for _ in 0..2 {
                drop(pool.attempt());
            }
            let (_, mut attempt) = pool.attempt();
            attempt.answered();
            drop(attempt);
            for _ in 0..2 {
                drop(pool.attempt());
            }
            assert_eq!(pool.lock().generation, 0, "an answer came in between");
            let late: Vec<_> = (0..3).map(|_| pool.attempt()).collect();
            drop(pool.attempt());
            assert_eq!(pool.lock().generation, 1);
            drop(late);
            assert_eq!(
                pool.lock().generation,
                1,
                "silence on the old connections says nothing of the new"
            );
        }
    }

    #[tokio::test]
    async fn new_connections_are_none_of_the_old() {
        let store = store(HttpClient::Lean).await;
        let (before, _attempt) = store.pool().attempt();
        let same = store.pool().attempt().0;
        for _ in 0..3 {
            drop(store.pool().attempt());
        }
        let after = store.pool().attempt().0;
        let [before, same, after] = [before, same, after].map(|clients| clients.lean.unwrap());
        assert!(before.shares_connections_with(&same));
        assert!(!before.shares_connections_with(&after));
    }
}
