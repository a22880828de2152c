//! New connections: names, proxies, TLS.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::either::Either;
use tower_service::Service as _;

use super::super::config::{S3Config, S3ConfigError};
use super::super::transport::never_proxied;
use super::connection::Connection;
use super::endpoint::Endpoint;

/// Why no connection was made.
#[derive(Debug, thiserror::Error)]
pub(in crate::store::s3) enum DialError {
    /// Nobody there, or a proxy that will not.
    #[error("no connection")]
    Connect(#[source] Box<dyn Error + Send + Sync>),
    /// The other side speaks no TLS, or cannot be trusted.
    #[error("no TLS")]
    Tls(#[source] std::io::Error),
    /// It is no HTTP connection.
    #[error("no HTTP")]
    Http(#[source] hyper::Error),
    /// It took too long.
    #[error("no connection within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
}

/// Makes connections to one endpoint.
pub(super) struct Dialer {
    to: Uri,
    way: Way,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    timeout: Duration,
}

/// How the network is crossed.
enum Way {
    Direct(HttpConnector),
    /// To a proxy that passes on the bytes.
    Tunnel(Tunnel<HttpConnector>),
    /// To a proxy that passes on the requests.
    Forward {
        connector: HttpConnector,
        proxy: Uri,
        authorization: Option<HeaderValue>,
    },
}

impl Dialer {
    /// Checks proxy and certificates; `None` where the way to the proxy itself is encrypted.
    pub(super) fn new(config: &S3Config, endpoint: &Endpoint) -> Result<Option<Self>, S3ConfigError> {
        let to: Uri = endpoint
            .origin()
            .parse()
            .expect("an authority that was taken out of a URI fits into one");
        let network = &config.network;
        let direct = never_proxied(network);
        let through = |url: String| Some(Matcher::builder().all(url).no(direct.clone()).build());
        let proxy = if endpoint.is_secure {
            network.https_proxy(through)?
        } else {
            network.http_proxy(through)?
        };
        let proxy = proxy.and_then(|proxy| proxy.intercept(&to));
        if proxy
            .as_ref()
            .is_some_and(|proxy| proxy.uri().scheme_str() != Some("http"))
        {
            return Ok(None);
        }
        let tls = if endpoint.is_secure {
            let host = to.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let Ok(name) = ServerName::try_from(host) else {
                return Ok(None);
            };
            Some((TlsConnector::from(Arc::new(network.trust()?)), name))
        } else {
            None
        };
        Ok(Some(Self {
            way: Way::new(proxy, endpoint.is_secure),
            to,
            tls,
            timeout: config.connect_timeout,
        }))
    }

    /// Whether requests go to a proxy that reads them, and what it wants to be shown.
    pub(super) fn forward(&self) -> Option<Option<&HeaderValue>> {
        match &self.way {
            Way::Forward { authorization, .. } => Some(authorization.as_ref()),
            Way::Direct(_) | Way::Tunnel(_) => None,
        }
    }

    /// Makes a connection, TLS included.
    pub(super) async fn dial(&self) -> Result<Connection, DialError> {
        match tokio::time::timeout(self.timeout, self.connect()).await {
            Ok(connected) => connected,
            Err(_) => Err(DialError::TimedOut(self.timeout)),
        }
    }

    async fn connect(&self) -> Result<Connection, DialError> {
        let stream = self.way.cross(&self.to).await?;
        let stream = match &self.tls {
            None => Either::Left(stream),
            Some((tls, name)) => {
                let stream = tls.connect(name.clone(), stream).await.map_err(DialError::Tls)?;
                Either::Right(Box::new(stream))
            }
        };
        Connection::open(stream).await.map_err(DialError::Http)
    }
}

impl Way {
    fn new(proxy: Option<Intercept>, is_secure: bool) -> Self {
        let mut connector = HttpConnector::new();
        // Small requests must not wait for each other's acknowledgements.
        connector.set_nodelay(true);
        // It looks at the scheme otherwise; TLS is put on top here.
        connector.enforce_http(false);
        match proxy {
            None => Self::Direct(connector),
            Some(proxy) if is_secure => {
                let tunnel = Tunnel::new(proxy.uri().clone(), connector);
                Self::Tunnel(match proxy.basic_auth() {
                    Some(authorization) => tunnel.with_auth(authorization.clone()),
                    None => tunnel,
                })
            }
            Some(proxy) => Self::Forward {
                connector,
                proxy: proxy.uri().clone(),
                authorization: proxy.basic_auth().cloned(),
            },
        }
    }

    async fn cross(&self, to: &Uri) -> Result<TcpStream, DialError> {
        let connected = match self {
            Self::Direct(connector) => connector.clone().call(to.clone()).await.map_err(Into::into),
            Self::Tunnel(tunnel) => tunnel.clone().call(to.clone()).await.map_err(Into::into),
            Self::Forward { connector, proxy, .. } => connector.clone().call(proxy.clone()).await.map_err(Into::into),
        };
        connected.map(TokioIo::into_inner).map_err(DialError::Connect)
    }
}
