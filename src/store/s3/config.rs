//! What a user says about a store, as plain data.

use std::fmt;
use std::time::Duration;

use crate::model::Bucket;
use crate::network::{Network, NetworkError};

/// How to reach a bucket.
///
/// The AWS SDK itself reads `AWS_*` and `~/.aws` (keys, profiles, SSO, instance roles, web identity);
/// what it does not know (proxies, `AWS_CA_BUNDLE`) is handed in here.
#[derive(Clone, Debug)]
pub struct S3Config {
    /// The bucket.
    pub bucket: Bucket,
    /// The region; else the environment's, the profile's or the instance's, else `us-east-1`.
    pub region: Option<String>,
    /// The profile of `~/.aws`; else `AWS_PROFILE`.
    pub profile: Option<String>,
    /// Keys, for callers that have them from elsewhere; else the usual chain of the SDK. The command line
    /// never fills this: what stands there is seen by all.
    pub keys: Option<Keys>,
    /// Another store than AWS; else `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` or the profile's.
    pub endpoint_url: Option<String>,
    /// Where the name of the bucket goes.
    pub addressing: Addressing,
    /// Whether the requester pays.
    pub request_payer: bool,
    /// The account that must own the bucket.
    pub expected_bucket_owner: Option<String>,
    /// Server-side encryption of what is written: `AES256`, `aws:kms`, …
    pub sse: Option<String>,
    /// The key for `aws:kms`.
    pub sse_kms_key_id: Option<String>,
    /// How many connections are worth keeping open between requests.
    pub concurrency: usize,
    /// How long making a connection may take, TLS included.
    pub connect_timeout: Duration,
    /// How long a read may take until its reply begins; bodies are watched for stalls instead.
    pub read_timeout: Duration,
    /// How long a write may take where nobody above sets a nearer deadline.
    pub write_timeout: Duration,
    /// The way to it.
    pub network: Network,
}

impl S3Config {
    /// The usual settings for a bucket.
    pub fn new(bucket: Bucket) -> Self {
        Self {
            bucket,
            region: None,
            profile: None,
            keys: None,
            endpoint_url: None,
            addressing: Addressing::Auto,
            request_payer: false,
            expected_bucket_owner: None,
            sse: None,
            sse_kms_key_id: None,
            concurrency: 64,
            // The SDK's 3.1 s are short of a SYN that is lost twice (1 s + 2 s) on a slow link.
            connect_timeout: Duration::from_secs(5),
            // S3 begins to answer within seconds; a store under load or a listing of tombstones takes longer.
            read_timeout: Duration::from_secs(30),
            // So long a signature lives: later, the store would refuse the request anyway.
            write_timeout: Duration::from_secs(15 * 60),
            network: Network::default(),
        }
    }
}

/// An access key.
#[derive(Clone)]
pub struct Keys {
    /// Its id.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// The token of a session, for keys that expire.
    pub session_token: Option<String>,
}

/// Secrets are not shown.
impl fmt::Debug for Keys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Keys").finish_non_exhaustive()
    }
}

/// Where the name of the bucket goes in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Addressing {
    /// Into the host name on AWS; into the path for other stores and for names with dots, which no
    /// wildcard certificate covers.
    #[default]
    Auto,
    /// Into the path.
    Path,
    /// Into the host name.
    Virtual,
}

impl Addressing {
    /// Whether the name goes into the path.
    pub(super) fn is_path(self, bucket: &Bucket, own_endpoint: bool) -> bool {
        match self {
            Self::Auto => own_endpoint || bucket.as_str().contains('.'),
            Self::Path => true,
            Self::Virtual => false,
        }
    }
}

/// Why a store cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum S3ConfigError {
    /// The way to it cannot be what the environment says.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The endpoint is no URL.
    #[error("--endpoint-url {url:?} is not a URL; write http://HOST:PORT or https://HOST")]
    Endpoint {
        /// What was given, without a user and password.
        url: String,
    },
}
