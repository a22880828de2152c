//! S3 itself and what speaks its language: the only room that names the AWS SDK.
//!
//! One call is one HTTP attempt: the SDK's own retries are off, since a retry must look at the lease first
//! and must be counted. Checksums are ours, too, so that the SDK never frames a body as `aws-chunked`,
//! which some stores keep as content.
//!
//! What a transfer sends by the thousand goes over a lean client of our own; the SDK sends the rest, and finds keys and
//! endpoints for both.

mod config;
mod copies;
mod error;
mod lean;
mod object;
mod pool;
mod replies;
mod reply;
mod requests;
mod settings;
mod text;
mod transport;

pub use config::{Addressing, HttpClient, Keys, S3Config, S3ConfigError};

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use self::error::{Failure, failure};
use self::lean::{LeanClient, LeanPlan};
use self::pool::{Attempt, Pool};
use self::reply::ReplyDate;
use self::settings::Settings;
use self::transport::TransportPlan;
use super::{RequestKind, StoreError, StoreErrorKind, StoreTime};
use crate::model::ObjectKey;

/// A bucket on S3 or on a store that speaks its language; clones share one pool of connections.
#[derive(Clone)]
pub struct S3Store {
    inner: Arc<Inner>,
}

struct Inner {
    config: S3Config,
    pool: Pool,
}

impl fmt::Debug for S3Store {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("S3Store")
            .field("config", &self.inner.config)
            .finish_non_exhaustive()
    }
}

impl S3Store {
    /// Sets up the way to a bucket. Nothing is sent to it yet; credentials are looked up with the first
    /// request.
    pub async fn connect(config: S3Config) -> Result<Self, S3ConfigError> {
        if let Some(url) = &config.endpoint_url {
            check_endpoint(url)?;
        }
        let transport = TransportPlan::new(&config)?;
        let connections = transport.build();
        let settings = Settings::load(&config, &connections).await;
        let lean = match config.http_client {
            HttpClient::Lean => LeanPlan::new(&config, &settings).await?,
            HttpClient::Sdk => None,
        };
        let pool = Pool::new(transport, settings.of_client, connections, lean);
        Ok(Self {
            inner: Arc::new(Inner { config, pool }),
        })
    }

    fn config(&self) -> &S3Config {
        &self.inner.config
    }

    fn pool(&self) -> &Pool {
        &self.inner.pool
    }

    /// Sends one request by the SDK.
    async fn send<T, E, F>(
        &self,
        request: RequestKind,
        key: Option<&ObjectKey>,
        call: impl FnOnce(&Client, ReplyDate) -> F + Send,
    ) -> Result<(T, Option<StoreTime>), StoreError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
        E: ProvideErrorMetadata + Error + 'static,
    {
        let (clients, attempt) = self.pool().attempt();
        let date = ReplyDate::default();
        let sent = call(&clients.sdk, date.clone());
        let sent = async { sent.await.map_err(|error| failure(request, &error)) };
        self.answered(request, key, attempt, date, sent).await
    }

    /// Sends one request by the lean client.
    async fn send_lean<T, F>(
        &self,
        request: RequestKind,
        key: Option<&ObjectKey>,
        call: impl FnOnce(&LeanClient, ReplyDate) -> F + Send,
    ) -> Result<(T, Option<StoreTime>), StoreError>
    where
        F: Future<Output = Result<T, Failure>> + Send,
    {
        let (clients, attempt) = self.pool().attempt();
        let date = ReplyDate::default();
        let lean = clients.lean.expect("only asked for where the pool is lean");
        self.answered(request, key, attempt, date.clone(), call(&lean, date))
            .await
    }

    /// Waits for one request until its deadline; says in our words what went wrong.
    async fn answered<T>(
        &self,
        request: RequestKind,
        key: Option<&ObjectKey>,
        mut attempt: Attempt<'_>,
        date: ReplyDate,
        sent: impl Future<Output = Result<T, Failure>> + Send,
    ) -> Result<(T, Option<StoreTime>), StoreError> {
        let deadline = if request.is_write() {
            self.config().write_timeout
        } else {
            self.config().read_timeout
        };
        let failed = match tokio::time::timeout(deadline, sent).await {
            Ok(Ok(output)) => {
                attempt.answered();
                return Ok((output, date.get()));
            }
            Ok(Err(failed)) => failed,
            Err(_) => Failure {
                kind: StoreErrorKind::NoReply,
                detail: Some(format!("none within {} s", deadline.as_secs_f32())),
                cause: None,
            },
        };
        if failed.kind != StoreErrorKind::NoReply {
            attempt.answered();
        }
        Err(self.error(request, key, failed))
    }

    fn error(&self, request: RequestKind, key: Option<&ObjectKey>, failed: Failure) -> StoreError {
        let place = match key {
            Some(key) => format!("s3://{}/{key}", self.config().bucket),
            None => format!("s3://{}", self.config().bucket),
        };
        let profile = self.config().profile.as_ref();
        let detail = match failed.kind {
            StoreErrorKind::NoCredentials => failed.detail.or(profile.map(|profile| format!("profile {profile:?}"))),
            _ => failed.detail,
        };
        StoreError {
            request,
            place,
            kind: failed.kind,
            detail,
            cause: failed.cause.map(Into::into),
        }
    }

    /// An error that no reply said in so many words.
    fn error_of(&self, request: RequestKind, key: Option<&ObjectKey>, kind: StoreErrorKind, why: String) -> StoreError {
        let failed = Failure {
            kind,
            detail: Some(why),
            cause: None,
        };
        self.error(request, key, failed)
    }
}

fn check_endpoint(url: &str) -> Result<(), S3ConfigError> {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let odd = |letter: char| letter.is_whitespace() || letter.is_control() || letter == '@';
    match host {
        Some(host) if !host.trim_start_matches('/').is_empty() && !host.contains(odd) => Ok(()),
        _ => Err(S3ConfigError::Endpoint { url: error::plain(url) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_is_no_url_is_named_without_its_password() {
        for good in ["http://127.0.0.1:8333", "https://s3.example.com"] {
            check_endpoint(good).unwrap();
        }
        for bad in [
            "s3.example.com",
            "https://",
            "https://user:CANARY@host",
            "ftp://host",
            "http://a b",
        ] {
            let text = check_endpoint(bad).unwrap_err().to_string();
            assert!(text.contains("--endpoint-url") && !text.contains("CANARY"), "{text}");
        }
    }

    #[test]
    fn a_bucket_goes_into_the_path_where_no_host_name_can_hold_it() {
        let plain = "bucket".parse().unwrap();
        let dotted = "www.example.com".parse().unwrap();
        assert!(!Addressing::Auto.is_path(&plain, false));
        assert!(Addressing::Auto.is_path(&plain, true));
        assert!(Addressing::Auto.is_path(&dotted, false));
        assert!(!Addressing::Virtual.is_path(&plain, true));
        assert!(Addressing::Path.is_path(&plain, false));
    }
}
