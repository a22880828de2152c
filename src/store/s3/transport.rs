//! Connections: TLS trust, proxies, pools.

use std::time::Duration;

use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Connector, proxy};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::config::{S3Config, S3ConfigError};

/// How long a connection may wait for its next request. Servers and gateways close idle ones after 5 to
/// 60 s, and a request on a connection that is being closed hangs or fails (aws-sdk-rust#1417).
const POOL_IDLE: Duration = Duration::from_secs(15);

/// Where machines and containers are told their credentials; no proxy can know the answer.
const NEVER_PROXIED: &str = "169.254.169.254,169.254.170.2,169.254.170.23,fd00:ec2::254,fd00:ec2::23";

/// Makes connections, through the proxy of their scheme.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    https: SharedHttpConnector,
    http: SharedHttpConnector,
}

/// What every pool of connections is made of; checked once, so that a new pool cannot fail.
#[derive(Clone)]
pub(super) struct TransportPlan {
    tls: TlsContext,
    settings: HttpConnectorSettings,
    idle_connections: usize,
    https_proxy: Option<proxy::ProxyConfig>,
    http_proxy: Option<proxy::ProxyConfig>,
}

impl TransportPlan {
    /// Reads the certificates and checks the proxies.
    pub(super) fn new(config: &S3Config) -> Result<Self, S3ConfigError> {
        let mut trust = TrustStore::default();
        if let Some(path) = &config.ca_bundle {
            let pem = std::fs::read(path).map_err(|cause| S3ConfigError::CaBundleUnreadable {
                path: path.clone(),
                cause,
            })?;
            let mut found = false;
            for certificate in usable_certificates(&pem) {
                found = true;
                trust.add_pem_certificate(certificate);
            }
            if !found {
                return Err(S3ConfigError::CaBundleEmpty { path: path.clone() });
            }
        }
        let tls = TlsContext::builder()
            .with_trust_store(trust)
            .build()
            .expect("a trust store is all that is set, and it is not looked at here");
        let direct = match &config.proxy.no_proxy {
            Some(hosts) => format!("{hosts},{NEVER_PROXIED}"),
            None => NEVER_PROXIED.to_owned(),
        };
        let proxied = |url: &Option<String>, variable| {
            let url = url.as_deref().filter(|url| !url.is_empty());
            url.map(|url| proxy_for(url, &direct).ok_or(S3ConfigError::Proxy { variable }))
                .transpose()
        };
        Ok(Self {
            tls,
            settings: HttpConnectorSettings::builder()
                .connect_timeout(config.connect_timeout)
                .build(),
            idle_connections: config.concurrency.max(1),
            https_proxy: proxied(&config.proxy.https, "HTTPS_PROXY")?,
            http_proxy: proxied(&config.proxy.http, "HTTP_PROXY")?,
        })
    }

    /// Makes a new pool of connections.
    pub(super) fn build(&self) -> Transport {
        let https = self.connector(self.https_proxy.clone());
        let http = match &self.http_proxy {
            None if self.https_proxy.is_none() => https.clone(),
            other => self.connector(other.clone()),
        };
        Transport { https, http }
    }

    fn connector(&self, proxy: Option<proxy::ProxyConfig>) -> SharedHttpConnector {
        let connector = Connector::builder()
            .connector_settings(self.settings.clone())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(self.idle_connections)
            // Without this the environment would be asked.
            .proxy_config(proxy.unwrap_or_else(proxy::ProxyConfig::disabled))
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(self.tls.clone())
            .build();
        SharedHttpConnector::new(connector)
    }
}

impl HttpClient for Transport {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        // One pool for all: the settings that the SDK would pass are those the pool was made with.
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Transport {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if request.uri().starts_with("http:") {
            self.http.call(request)
        } else {
            self.https.call(request)
        }
    }
}

/// The certificates of a bundle that can be trusted, each as PEM again: the connector panics on others, and
/// one odd certificate must not spoil a bundle of hundreds.
fn usable_certificates(pem: &[u8]) -> impl Iterator<Item = String> {
    CertificateDer::pem_slice_iter(pem)
        .filter_map(Result::ok)
        .filter(|certificate| RootCertStore::empty().add(certificate.clone()).is_ok())
        .map(|certificate| {
            let text = STANDARD.encode(&certificate);
            format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
        })
}

/// A proxy, where the text is the URL of one; a bare `host:port` counts as `http://host:port`, as in curl.
fn proxy_for(url: &str, direct: &str) -> Option<proxy::ProxyConfig> {
    let url = if url.contains("://") {
        url.to_owned()
    } else {
        format!("http://{url}")
    };
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return None;
    }
    // The error would show the URL, which can hold a password.
    let proxy = proxy::ProxyConfig::all(url).ok()?;
    Some(proxy.no_proxy(direct))
}
