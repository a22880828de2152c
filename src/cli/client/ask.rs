//! The way to the server.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

use crate::cli::exit::Exit;

/// So long may making a connection take, and an answer: a stop waits for the end of a run.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(40);

/// Why a server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error(
        "no server answers at {server}; start one with `lakesync serve`, or export without one: \
         `lakesync export SOURCE --continuous`"
    )]
    NoServer {
        /// The address.
        server: String,
        /// Why.
        source: reqwest::Error,
    },
    /// It began to answer, and did not end.
    #[error("{server}: the answer did not arrive whole; ask again with --status")]
    CutOff {
        /// The address.
        server: String,
        /// Why.
        source: reqwest::Error,
    },
    /// It said no.
    #[error("{message}{}", cure_text(cure))]
    Refused {
        /// The status of HTTP.
        status: u16,
        /// What is wrong.
        message: String,
        /// The way out.
        cure: Option<String>,
    },
    /// Somebody else answered.
    #[error("{server}: answered {status}, and not as `lakesync serve` does; check --server")]
    Other {
        /// The address.
        server: String,
        /// The status of HTTP.
        status: u16,
    },
    /// The token's file.
    #[error("--token-file {}: cannot be read", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The token's file holds none.
    #[error("--token-file {}: its first line is no token", path.display())]
    NoToken {
        /// The file.
        path: PathBuf,
    },
    /// TLS.
    #[error("no connection can be set up")]
    Client(#[source] reqwest::Error),
    /// No name can be made of what was typed.
    #[error("{what}: gives no name for the export; pass --name NAME")]
    NoName {
        /// What a name was to be made of.
        what: String,
    },
    /// A dry run of what goes on for ever.
    #[error("--dry-run shows what one run would do; leave --start out")]
    DryStart,
}

fn cure_text(cure: &Option<String>) -> String {
    cure.as_ref().map(|cure| format!("; {cure}")).unwrap_or_default()
}

impl From<&ClientError> for Exit {
    fn from(error: &ClientError) -> Self {
        match error {
            ClientError::NoServer { .. } | ClientError::CutOff { .. } => Self::Failed,
            ClientError::Refused { status, .. } if *status >= 500 || matches!(status, 408 | 429) => Self::Failed,
            ClientError::Refused { .. }
            | ClientError::Other { .. }
            | ClientError::Token { .. }
            | ClientError::NoToken { .. }
            | ClientError::Client(_)
            | ClientError::NoName { .. }
            | ClientError::DryStart => Self::Usage,
        }
    }
}

/// A server that is to be asked.
pub struct Client {
    server: String,
    token: Option<HeaderValue>,
    http: reqwest::Client,
}

/// Reads the address of a server, without a `/` at its end.
pub fn parse_server(text: &str) -> Result<String, &'static str> {
    const WANTED: &str = "not the URL of a server; write http://HOST:PORT or https://HOST";
    let url = reqwest::Url::parse(text).map_err(|_| WANTED)?;
    let is_plain =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !is_plain {
        return Err(WANTED);
    }
    Ok(text.trim_end_matches('/').to_owned())
}

impl Client {
    pub fn new(server: &str, token_file: Option<&Path>) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(trust())
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            // It is on this machine, or was named: a proxy of the environment is for the rest of the world.
            .no_proxy()
            .build()
            .map_err(ClientError::Client)?;
        Ok(Self {
            server: server.to_owned(),
            token: token_file.map(read_token).transpose()?,
            http,
        })
    }

    /// The address.
    pub fn server(&self) -> &str {
        &self.server
    }

    pub async fn get(&self, place: &str) -> Result<Value, ClientError> {
        self.send(self.http.get(self.url(place))).await
    }

    pub async fn post(&self, place: &str, body: Option<Vec<u8>>) -> Result<Value, ClientError> {
        let mut request = self.http.post(self.url(place));
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        self.send(request).await
    }

    fn url(&self, place: &str) -> String {
        format!("{}/api/v1/{place}", self.server)
    }

    async fn send(&self, mut request: reqwest::RequestBuilder) -> Result<Value, ClientError> {
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        let server = || self.server.clone();
        let response = request.send().await.map_err(|error| {
            let source = error.without_url();
            if source.is_connect() {
                ClientError::NoServer {
                    server: server(),
                    source,
                }
            } else {
                ClientError::CutOff {
                    server: server(),
                    source,
                }
            }
        })?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| ClientError::CutOff {
            server: server(),
            source: error.without_url(),
        })?;
        let value: Option<Value> = serde_json::from_slice(&bytes).ok();
        if let Some(value) = value {
            if status.is_success() {
                return Ok(value);
            }
            if let Some(message) = value["error"]["message"].as_str() {
                return Err(ClientError::Refused {
                    status: status.as_u16(),
                    message: message.to_owned(),
                    cure: value["error"]["cure"].as_str().map(str::to_owned),
                });
            }
        }
        Err(ClientError::Other {
            server: server(),
            status: status.as_u16(),
        })
    }
}

fn read_token(path: &Path) -> Result<HeaderValue, ClientError> {
    let text = std::fs::read_to_string(path).map_err(|source| ClientError::Token {
        path: path.to_owned(),
        source,
    })?;
    let token = text.lines().map(str::trim).find(|line| !line.is_empty());
    let header = token.and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
    let mut header = header.ok_or_else(|| ClientError::NoToken { path: path.to_owned() })?;
    header.set_sensitive(true);
    Ok(header)
}

/// The system's certificates.
fn trust() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has what the protocol needs")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_url_without_a_password() {
        assert_eq!(parse_server("http://127.0.0.1:8571/").unwrap(), "http://127.0.0.1:8571");
        assert_eq!(
            parse_server("https://lake.example/x").unwrap(),
            "https://lake.example/x"
        );
        for bad in [
            "",
            "127.0.0.1:8571",
            "ftp://host",
            "http://user:pass@host",
            "http://host?x=1",
        ] {
            assert!(parse_server(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_refusal_of_the_server_is_wrong_use_and_trouble_is_not() {
        let refused = |status| ClientError::Refused {
            status,
            message: String::new(),
            cure: None,
        };
        for (status, exit) in [
            (409, Exit::Usage),
            (404, Exit::Usage),
            (507, Exit::Failed),
            (429, Exit::Failed),
        ] {
            assert_eq!(Exit::from(&refused(status)), exit, "{status}");
        }
    }
}
