//! What the S3 store says and understands on the wire, against servers that answer oddly on purpose.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod bucket;
mod hidden;
mod oddities;
mod probe;
mod proxies;
mod server;
mod words;

use std::sync::Arc;
use std::time::Duration;

use lakesync::model::ObjectKey;
use lakesync::store::{Keys, Limiter, RequestCounts, RetryConfig, Retrying, S3Config, S3Store};

use self::server::Server;

/// What no output may hold.
pub const SECRET: &str = "CANARYSECRET";
pub const TOKEN: &str = "CANARYTOKEN";

pub fn config(endpoint: &str) -> S3Config {
    let mut config = S3Config::new("bucket".parse().unwrap());
    config.region = Some("eu-west-1".to_owned());
    config.endpoint_url = Some(endpoint.to_owned());
    config.keys = Some(Keys {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: SECRET.to_owned(),
        session_token: Some(TOKEN.to_owned()),
    });
    config.connect_timeout = Duration::from_secs(2);
    config
}

pub async fn store(server: &Server) -> S3Store {
    S3Store::connect(config(&server.url())).await.unwrap()
}

/// The same with retries that do not keep a test waiting.
pub async fn retrying(server: &Server, limiter: Option<Arc<Limiter>>) -> (Retrying, Arc<RequestCounts>) {
    let counts = Arc::new(RequestCounts::default());
    let quick = RetryConfig {
        attempts: 30,
        first_backoff: Duration::from_millis(1),
        max_backoff: Duration::from_millis(5),
    };
    let retrying = Retrying::new(Arc::new(store(server).await), limiter, Arc::clone(&counts)).with_config(quick);
    (retrying, counts)
}

pub fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text)
}
