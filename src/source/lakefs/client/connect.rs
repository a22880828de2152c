//! Connections: TLS trust, proxies, pools.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, NoProxy, Proxy};
use rustls::{ClientConfig, RootCertStore};

use super::super::config::{LakeFsConfig, LakeFsConfigError, LakeFsKeys};
use super::guard::Guard;
use crate::network::Network;

/// How long a connection may wait for its next request; see the S3 side.
const POOL_IDLE: Duration = Duration::from_secs(15);

/// Names the caller in the server's statistics.
const CLIENT_HEADER: HeaderName = HeaderName::from_static("x-lakefs-client");

const USER_AGENT: &str = concat!("lakesync/", env!("CARGO_PKG_VERSION"));

/// The two ways to bytes: the server, and whatever pre-signed URLs it gives lead to.
pub(super) struct Connections {
    /// Sends who we are with each request.
    pub(super) api: Client,
    /// Sends nothing of ours.
    pub(super) outside: Client,
}

impl Connections {
    /// Reads the certificates and checks the proxies; nothing is sent yet.
    pub(super) fn new(config: &LakeFsConfig, guard: &Guard) -> Result<Self, LakeFsConfigError> {
        let trust = trust(&config.network)?;
        let plain = || builder(config, trust.clone());
        let mut headers = HeaderMap::new();
        headers.insert(CLIENT_HEADER, HeaderValue::from_static(USER_AGENT));
        headers.insert(AUTHORIZATION, authorization(&config.keys)?);
        Ok(Self {
            api: plain()?.default_headers(headers).build().map_err(no_client)?,
            outside: plain()?.dns_resolver(guard.clone()).build().map_err(no_client)?,
        })
    }
}

fn no_client(error: reqwest::Error) -> LakeFsConfigError {
    LakeFsConfigError::Client {
        source: Box::new(error.without_url()),
    }
}

fn builder(config: &LakeFsConfig, trust: ClientConfig) -> Result<ClientBuilder, LakeFsConfigError> {
    let mut builder = Client::builder()
        .tls_backend_preconfigured(trust)
        .user_agent(USER_AGENT)
        .connect_timeout(config.connect_timeout)
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(config.idle_connections.max(1))
        // Where an answer leads is looked at by us; a key must not follow.
        .redirect(Policy::none())
        .referer(false)
        // Attempts are counted by us.
        .retry(reqwest::retry::never())
        // Without this the environment would be asked.
        .no_proxy();
    let network = &config.network;
    let direct = network.no_proxy.as_deref().and_then(NoProxy::from_string);
    let proxies = [
        network.https_proxy(|url| Proxy::https(url).ok())?,
        network.http_proxy(|url| Proxy::http(url).ok())?,
    ];
    for proxy in proxies.into_iter().flatten() {
        builder = builder.proxy(proxy.no_proxy(direct.clone()));
    }
    Ok(builder)
}

/// The system's certificates, and those of the bundle. An odd one of the system's does not spoil the others.
fn trust(network: &Network) -> Result<ClientConfig, LakeFsConfigError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots.add_parsable_certificates(network.certificates()?);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| LakeFsConfigError::Client { source: error.into() })?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn authorization(keys: &LakeFsKeys) -> Result<HeaderValue, LakeFsConfigError> {
    use base64::Engine as _;

    // Neither can be told from the other where the first holds a colon.
    let odd = |text: &str| text.is_empty() || text.chars().any(char::is_control);
    if odd(&keys.access_key_id) || odd(&keys.secret_access_key) || keys.access_key_id.contains(':') {
        return Err(LakeFsConfigError::Keys);
    }
    let pair = format!("{}:{}", keys.access_key_id, keys.secret_access_key);
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    let mut value = HeaderValue::from_str(&format!("Basic {encoded}")).map_err(|_| LakeFsConfigError::Keys)?;
    value.set_sensitive(true);
    Ok(value)
}
