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
use rustls::pki_types::CertificateDer;

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
        for certificate in config.network.certificates()? {
            trust.add_pem_certificate(as_pem(&certificate));
        }
        let tls = TlsContext::builder()
            .with_trust_store(trust)
            .build()
            .expect("a trust store is all that is set, and it is not looked at here");
        let direct = match &config.network.no_proxy {
            Some(hosts) => format!("{hosts},{NEVER_PROXIED}"),
            None => NEVER_PROXIED.to_owned(),
        };
        let through = |url| Some(proxy::ProxyConfig::all(url).ok()?.no_proxy(&direct));
        Ok(Self {
            tls,
            settings: HttpConnectorSettings::builder()
                .connect_timeout(config.connect_timeout)
                .build(),
            idle_connections: config.concurrency.max(1),
            https_proxy: config.network.https_proxy(through)?,
            http_proxy: config.network.http_proxy(through)?,
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

/// A certificate as PEM again, which is all that the connector takes; it panics on one that cannot be trusted.
fn as_pem(certificate: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}
