//! Proxies and trust: what the process's environment says of the way to any server. No client asks it itself.

use std::fmt;
use std::io;
use std::path::PathBuf;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Proxies, and certificates to trust.
#[derive(Clone, Default)]
pub struct Network {
    /// `HTTPS_PROXY`: for `https` servers; may hold a password.
    pub https_proxy: Option<String>,
    /// `HTTP_PROXY`: for `http` servers; may hold a password.
    pub http_proxy: Option<String>,
    /// `NO_PROXY`: hosts, domains and networks that are reached directly, with commas between.
    pub no_proxy: Option<String>,
    /// `AWS_CA_BUNDLE`: certificates to trust beside the system's, PEM.
    pub ca_bundle: Option<PathBuf>,
}

/// Proxy URLs can hold a password, so they are not shown.
impl fmt::Debug for Network {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Network")
            .field("https_proxy", &self.https_proxy.is_some())
            .field("http_proxy", &self.http_proxy.is_some())
            .field("no_proxy", &self.no_proxy)
            .field("ca_bundle", &self.ca_bundle)
            .finish()
    }
}

/// What the environment says cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The bundle cannot be read.
    #[error("AWS_CA_BUNDLE: cannot read {}; name a file of PEM certificates", path.display())]
    CaBundleUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The bundle holds no certificate.
    #[error("AWS_CA_BUNDLE: {} holds no usable certificate; name a file of PEM certificates", path.display())]
    CaBundleEmpty {
        /// The file.
        path: PathBuf,
    },
    /// The proxy is no URL. The value is not shown, since it can hold a password.
    #[error("{variable}: not a proxy URL; write http://HOST:PORT")]
    Proxy {
        /// The variable that holds it.
        variable: &'static str,
    },
}

impl Network {
    /// Reads the certificates of the bundle, where there is one. Those that cannot be trusted are left out: an odd one
    /// must not spoil a bundle of hundreds.
    pub fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, NetworkError> {
        let Some(path) = &self.ca_bundle else {
            return Ok(Vec::new());
        };
        let pem = std::fs::read(path).map_err(|cause| NetworkError::CaBundleUnreadable {
            path: path.clone(),
            cause,
        })?;
        let usable: Vec<_> = CertificateDer::pem_slice_iter(&pem)
            .filter_map(Result::ok)
            .filter(|certificate| RootCertStore::empty().add(certificate.clone()).is_ok())
            .collect();
        if usable.is_empty() {
            return Err(NetworkError::CaBundleEmpty { path: path.clone() });
        }
        Ok(usable)
    }

    /// The proxy of `https` servers, as `make` makes it of its URL.
    pub fn https_proxy<P>(&self, make: impl FnOnce(String) -> Option<P>) -> Result<Option<P>, NetworkError> {
        proxy(self.https_proxy.as_deref(), "HTTPS_PROXY", make)
    }

    /// The proxy of `http` servers, as `make` makes it of its URL.
    pub fn http_proxy<P>(&self, make: impl FnOnce(String) -> Option<P>) -> Result<Option<P>, NetworkError> {
        proxy(self.http_proxy.as_deref(), "HTTP_PROXY", make)
    }
}

/// Makes a proxy of what a variable says; one that is empty says nothing. The error of whoever makes it would show the
/// URL, so it is left out.
fn proxy<P>(
    given: Option<&str>,
    variable: &'static str,
    make: impl FnOnce(String) -> Option<P>,
) -> Result<Option<P>, NetworkError> {
    let Some(given) = given.filter(|given| !given.is_empty()) else {
        return Ok(None);
    };
    let url = proxy_url(given);
    let is_http = url.starts_with("http://") || url.starts_with("https://");
    let made = is_http.then(|| make(url)).flatten();
    made.map(Some).ok_or(NetworkError::Proxy { variable })
}

/// Completes the URL of a proxy: a bare `host:port` counts as `http://host:port`, as in curl.
pub fn proxy_url(given: &str) -> String {
    if given.contains("://") {
        given.to_owned()
    } else {
        format!("http://{given}")
    }
}
