//! S3 itself and what speaks its language: the only room that names the AWS SDK.
//!
//! One call is one HTTP attempt: the SDK's own retries are off, since a retry must look at the lease first
//! and must be counted. Checksums are ours, too, so that the SDK never frames a body as `aws-chunked`,
//! which some stores keep as content.

mod config;
mod error;
mod object;
mod replies;
mod reply;
mod requests;
mod text;
mod transport;

pub use config::{Addressing, Keys, S3Config, S3ConfigError};

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::region::ProvideRegion as _;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::service_config::ServiceConfigKey;

use self::error::{Failure, failure};
use self::reply::ReplyDate;
use self::transport::TransportPlan;
use super::{RequestKind, StoreError, StoreErrorKind, StoreTime};
use crate::model::ObjectKey;

/// After how many unanswered requests in a row all connections are given up. A process whose connections
/// died in an outage otherwise goes on trying them (aws-sdk-rust#827).
const SILENCES_UNTIL_NEW_POOL: u32 = 3;

/// For whom nothing says a region: what AWS itself assumes, and what other stores do not look at.
const DEFAULT_REGION: &str = "us-east-1";

/// A bucket on S3 or on a store that speaks its language; clones share one pool of connections.
#[derive(Clone)]
pub struct S3Store {
    inner: Arc<Inner>,
}

struct Inner {
    config: S3Config,
    transport: TransportPlan,
    /// All of the SDK's settings but for the connections.
    settings: aws_sdk_s3::config::Builder,
    pool: Mutex<Pool>,
}

/// The connections in use, and whether anybody still answers on them.
struct Pool {
    client: Client,
    generation: u64,
    silences: u32,
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
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(connections.clone())
            .app_name(AppName::new("lakesync").expect("letters are allowed in the name"));
        let region = known_region(&config).await;
        if let Some(profile) = &config.profile {
            loader = loader.profile_name(profile);
            // The SDK would take keys of the environment first; whoever names a profile means that, as for aws.
            let mut sdk = ProviderConfig::without_region().with_http_client(connections.clone());
            if region.is_some() {
                sdk = sdk.with_region(region.clone());
            }
            let named = ProfileFileCredentialsProvider::builder()
                .configure(&sdk)
                .profile_name(profile);
            loader = loader.credentials_provider(named.build());
        }
        if let Some(keys) = &config.keys {
            let Keys {
                access_key_id,
                secret_access_key,
                session_token,
            } = keys.clone();
            let credentials = Credentials::new(access_key_id, secret_access_key, session_token, None, "caller");
            loader = loader.credentials_provider(credentials);
        }
        if let Some(region) = region {
            loader = loader.region(region);
        }
        let shared = loader.load().await;
        let own_endpoint = config.endpoint_url.is_some() || names_an_endpoint(&shared);
        let mut settings = aws_sdk_s3::config::Builder::from(&shared)
            .retry_config(RetryConfig::disabled())
            // Deadlines are set around each call, and the connector has its own for connecting.
            .timeout_config(TimeoutConfig::disabled())
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            // For uploads it gives false alarms on slow links (aws-sdk-rust#1146, #1202); they have deadlines.
            .stalled_stream_protection(StalledStreamProtectionConfig::enabled().upload_enabled(false).build())
            // A wrong clock is reported at once, rather than worked around from the second request on.
            .disable_clock_skew_correction(true)
            .force_path_style(config.addressing.is_path(&config.bucket, own_endpoint));
        if shared.region().is_none() {
            settings = settings.region(Region::from_static(DEFAULT_REGION));
        }
        if let Some(url) = &config.endpoint_url {
            settings = settings.endpoint_url(url);
        }
        let client = Client::from_conf(settings.clone().http_client(connections).build());
        Ok(Self {
            inner: Arc::new(Inner {
                config,
                transport,
                settings,
                pool: Mutex::new(Pool {
                    client,
                    generation: 0,
                    silences: 0,
                }),
            }),
        })
    }

    fn config(&self) -> &S3Config {
        &self.inner.config
    }

    /// Sends one request: picks the connections, sets the deadline, says in our words what went wrong.
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
        let (client, mut attempt) = Attempt::begin(&self.inner);
        let deadline = if request.is_write() {
            self.config().write_timeout
        } else {
            self.config().read_timeout
        };
        let date = ReplyDate::default();
        let failed = match tokio::time::timeout(deadline, call(&client, date.clone())).await {
            Ok(Ok(output)) => {
                attempt.answered();
                return Ok((output, date.get()));
            }
            Ok(Err(error)) => failure(request, &error),
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

/// A request under way. Dropped without an answer, be it by a deadline above, it counts as a silence.
struct Attempt<'a> {
    inner: &'a Inner,
    generation: u64,
    answered: bool,
}

impl<'a> Attempt<'a> {
    fn begin(inner: &'a Inner) -> (Client, Self) {
        let pool = inner.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let attempt = Self {
            inner,
            generation: pool.generation,
            answered: false,
        };
        (pool.client.clone(), attempt)
    }

    fn answered(&mut self) {
        self.answered = true;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut pool = self.inner.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.generation != self.generation {
            return;
        }
        if self.answered {
            pool.silences = 0;
            return;
        }
        pool.silences += 1;
        if pool.silences >= SILENCES_UNTIL_NEW_POOL {
            tracing::info!(silences = pool.silences, "no replies; making new connections");
            let settings = self.inner.settings.clone();
            pool.client = Client::from_conf(settings.http_client(self.inner.transport.build()).build());
            pool.generation += 1;
            pool.silences = 0;
        }
    }
}

/// The region where it is known without asking the network; with an endpoint of its own a store need not
/// wait for a machine's metadata service that is not there.
async fn known_region(config: &S3Config) -> Option<Region> {
    if let Some(region) = &config.region {
        return Some(Region::new(region.clone()));
    }
    // A role of a named profile is asked for in a region, too.
    if config.endpoint_url.is_none() && config.profile.is_none() {
        return None;
    }
    if let Some(region) = EnvironmentVariableRegionProvider::new().region().await {
        return Some(region);
    }
    let mut profile = ProfileFileRegionProvider::builder();
    if let Some(name) = &config.profile {
        profile = profile.profile_name(name);
    }
    let region = profile.build().region().await;
    region.or(config
        .endpoint_url
        .as_ref()
        .map(|_| Region::from_static(DEFAULT_REGION)))
}

/// Whether the environment or the profile names an endpoint, as the SDK will find it.
fn names_an_endpoint(shared: &SdkConfig) -> bool {
    let key = ServiceConfigKey::builder()
        .service_id("S3")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .expect("all three are set");
    shared.endpoint_url().is_some()
        || shared
            .service_config()
            .and_then(|config| config.load_config(key))
            .is_some()
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

    async fn store() -> S3Store {
        let mut config = S3Config::new("bucket".parse().unwrap());
        config.region = Some("eu-west-1".to_owned());
        config.endpoint_url = Some("http://127.0.0.1:1".to_owned());
        S3Store::connect(config).await.unwrap()
    }

    fn generation(store: &S3Store) -> u64 {
        store.inner.pool.lock().unwrap().generation
    }

    #[tokio::test]
    async fn three_silences_in_a_row_make_new_connections() {
        let store = store().await;
        for _ in 0..2 {
            drop(Attempt::begin(&store.inner));
        }
        let (_, mut attempt) = Attempt::begin(&store.inner);
        attempt.answered();
        drop(attempt);
        for _ in 0..2 {
            drop(Attempt::begin(&store.inner));
        }
        assert_eq!(generation(&store), 0, "an answer came in between");
        let late: Vec<_> = (0..3).map(|_| Attempt::begin(&store.inner)).collect();
        drop(Attempt::begin(&store.inner));
        assert_eq!(generation(&store), 1);
        drop(late);
        assert_eq!(
            generation(&store),
            1,
            "silence on the old connections says nothing of the new"
        );
    }

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
