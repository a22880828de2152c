//! What a user says about a lakeFS server, as plain data.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use reqwest::Url;

use crate::network::{Network, NetworkError};

/// Where the API is, on a server whose address was given without a path.
const API_PATH: &str = "/api/v1";

/// How to reach a lakeFS server.
#[derive(Clone, Debug)]
pub struct LakeFsConfig {
    /// The server.
    pub endpoint: Endpoint,
    /// Who we are.
    pub keys: LakeFsKeys,
    /// How often and how soon to ask again.
    pub retry: LakeFsRetryConfig,
    /// How long making a connection may take, TLS included.
    pub connect_timeout: Duration,
    /// How long one attempt may take until its whole JSON, or the beginning of its bytes, is there.
    pub request_timeout: Duration,
    /// How long bytes may fail to come.
    pub idle_timeout: Duration,
    /// How long all attempts at one request may take together.
    pub deadline: Duration,
    /// How many connections are worth keeping open between requests.
    pub idle_connections: usize,
    /// The way to the server.
    pub network: Network,
}

impl LakeFsConfig {
    /// The usual settings for a server.
    pub fn new(endpoint: Endpoint, keys: LakeFsKeys) -> Self {
        Self {
            endpoint,
            keys,
            retry: LakeFsRetryConfig::default(),
            // As for S3: one SYN that is lost twice.
            connect_timeout: Duration::from_secs(5),
            // A diff of trees of many millions looks at them for tens of seconds when the server has not cached them.
            request_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(30),
            deadline: Duration::from_secs(150),
            idle_connections: 64,
            network: Network::default(),
        }
    }
}

/// The address of a server's API: scheme, host, port and path, and never a user name, a query or a fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
}

/// Why a text is no address of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No URL of a server.
    #[error("not the address of a lakeFS server; write https://HOST or http://HOST:PORT")]
    NotUrl,
    /// What it holds would be printed in messages and process lists.
    #[error("the address of a lakeFS server holds no user name or password; give the access key apart")]
    Credentials,
    /// A query or a fragment.
    #[error("the address of a lakeFS server ends with its path, without `?` and `#`")]
    Query,
}

impl Endpoint {
    /// Host and port, where it is not the usual one.
    pub fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// Whether it is reached without TLS.
    pub fn is_plain(&self) -> bool {
        self.url.scheme() == "http"
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    /// Reads an address; one without a path gets that of the API, as in lakectl.
    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let mut url = Url::parse(text.trim()).map_err(|_| EndpointError::NotUrl)?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(EndpointError::NotUrl);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(EndpointError::Query);
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(if path.is_empty() { API_PATH } else { &path });
        Ok(Self { url })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.url.as_str())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Endpoint({self})")
    }
}

/// An access key of lakeFS.
#[derive(Clone)]
pub struct LakeFsKeys {
    /// Its id.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
}

/// Secrets are not shown.
impl fmt::Debug for LakeFsKeys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("LakeFsKeys").finish_non_exhaustive()
    }
}

/// How often and how soon to ask again, in lakectl's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LakeFsRetryConfig {
    /// How often a request is sent at most.
    pub max_attempts: u32,
    /// The longest wait before the second attempt; it doubles with each.
    pub min_wait_interval: Duration,
    /// The longest wait before any.
    pub max_wait_interval: Duration,
}

impl Default for LakeFsRetryConfig {
    /// What lakectl does without a word in its file.
    fn default() -> Self {
        Self {
            max_attempts: 4,
            min_wait_interval: Duration::from_millis(200),
            max_wait_interval: Duration::from_secs(30),
        }
    }
}

/// Why a client cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LakeFsConfigError {
    /// The way to the server cannot be what the environment says.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The access key cannot stand in a request. It is not shown.
    #[error("the access key of lakeFS holds characters that no access key has; copy it again")]
    Keys,
    /// The HTTP client cannot be made.
    #[error("an HTTP client cannot be set up")]
    Client {
        /// Why.
        source: super::super::error::BoxError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_path_gets_that_of_the_api() {
        for (given, shown, host) in [
            (
                "https://lake.example.com",
                "https://lake.example.com/api/v1",
                "lake.example.com",
            ),
            (
                "http://127.0.0.1:8000/",
                "http://127.0.0.1:8000/api/v1",
                "127.0.0.1:8000",
            ),
            ("http://[::1]:8000", "http://[::1]:8000/api/v1", "[::1]:8000"),
            ("https://h:443/api/v1/", "https://h/api/v1", "h"),
            ("https://h/lakefs/api/v1", "https://h/lakefs/api/v1", "h"),
        ] {
            let endpoint: Endpoint = given.parse().unwrap();
            assert_eq!(endpoint.to_string(), shown);
            assert_eq!(endpoint.host(), host);
            assert_eq!(shown.parse::<Endpoint>().unwrap(), endpoint);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_showing_a_password() {
        for (given, error) in [
            ("", EndpointError::NotUrl),
            ("lake.example.com", EndpointError::NotUrl),
            ("localhost:8000", EndpointError::NotUrl),
            ("ftp://h", EndpointError::NotUrl),
            ("lakefs://repo", EndpointError::NotUrl),
            ("https://user:hunter2@h", EndpointError::Credentials),
            ("https://h/?token=hunter2", EndpointError::Query),
            ("https://h/#x", EndpointError::Query),
        ] {
            let found = given.parse::<Endpoint>().unwrap_err();
            assert_eq!(found, error, "{given}");
            assert!(!found.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn no_secret_is_in_what_debug_prints() {
        let keys = LakeFsKeys {
            access_key_id: "AKIAHUNTER2".to_owned(),
            secret_access_key: "hunter2".to_owned(),
        };
        let mut config = LakeFsConfig::new("http://h".parse().unwrap(), keys);
        config.network.https_proxy = Some("http://u:hunter2@proxy".to_owned());
        let text = format!("{config:?}").to_lowercase();
        assert!(!text.contains("hunter2"), "{text}");
    }
}
