//! Where a pre-signed URL may lead: what a server says must not make us ask the machine's own services.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::OnceCell;

use super::super::config::Endpoint;
use crate::network::{Network, proxy_url};

/// Where machines of AWS are told their credentials over IPv6.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

const NO_TLS: &str = "it would be read without TLS, as lakeFS itself is not";
const NO_HTTP: &str = "it is no http or https URL";
const INSIDE: &str = "it is an address of this machine or of its own network link";

/// Says where a pre-signed URL may lead: to `http` only where lakeFS itself is reached so, to this machine only where
/// lakeFS is on it, and never to addresses that exist on one network link alone, where clouds tell credentials.
///
/// Names are resolved here and the addresses looked at, so that a name does not lead where its address would not.
/// Through a proxy it is the proxy that resolves; the proxy itself may well be on this machine.
#[derive(Clone)]
pub(super) struct Guard {
    endpoint: Endpoint,
    /// The names of proxies.
    proxies: Arc<[String]>,
    /// Whether lakeFS is on this machine, once somebody needed to know.
    is_local: Arc<OnceCell<bool>>,
}

/// No address of a name may be read from.
#[derive(Debug, thiserror::Error)]
#[error("{INSIDE}")]
pub(super) struct RefusedAddress;

impl Guard {
    pub(super) fn new(endpoint: Endpoint, network: &Network) -> Self {
        let proxies = [&network.https_proxy, &network.http_proxy].into_iter().flatten();
        Self {
            endpoint,
            proxies: proxies.filter_map(|proxy| host_of(&proxy_url(proxy))).collect(),
            is_local: Arc::default(),
        }
    }

    /// Checks what can be seen in the URL itself; its name is resolved when it is connected to.
    pub(super) async fn check(&self, url: &Url) -> Result<(), &'static str> {
        match url.scheme() {
            "https" => {}
            "http" if self.endpoint.is_plain() => {}
            "http" => return Err(NO_TLS),
            _ => return Err(NO_HTTP),
        }
        match (literal(url), url.host_str()) {
            (Some(address), _) if !self.allows(address).await => Err(INSIDE),
            // It would not be looked at when it is connected to.
            (None, Some(name)) if self.is_proxy(name) && !self.allows_all(name).await => Err(INSIDE),
            _ => Ok(()),
        }
    }

    fn is_proxy(&self, name: &str) -> bool {
        self.proxies.iter().any(|proxy| proxy.eq_ignore_ascii_case(name))
    }

    async fn allows_all(&self, name: &str) -> bool {
        // A name that leads nowhere leads to no harm.
        let Ok(addresses) = tokio::net::lookup_host((name, 0)).await else {
            return true;
        };
        for address in addresses {
            if !self.allows(address.ip()).await {
                return false;
            }
        }
        true
    }

    async fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if address.is_loopback() {
            return *self.is_local.get_or_init(|| is_local(&self.endpoint)).await;
        }
        let on_link_alone = match address {
            IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
            IpAddr::V6(address) => address.is_unicast_link_local() || address == METADATA_V6,
        };
        !on_link_alone && !address.is_unspecified() && !address.is_multicast()
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let is_proxy = guard.is_proxy(name.as_str());
            let mut allowed = Vec::new();
            for address in tokio::net::lookup_host((name.as_str(), 0)).await? {
                if is_proxy || guard.allows(address.ip()).await {
                    allowed.push(address);
                }
            }
            if allowed.is_empty() {
                return Err(RefusedAddress.into());
            }
            let addresses: Addrs = Box::new(allowed.into_iter());
            Ok(addresses)
        })
    }
}

async fn is_local(endpoint: &Endpoint) -> bool {
    if let Some(address) = literal(endpoint.url()) {
        return address.to_canonical().is_loopback();
    }
    let Some(host) = endpoint.url().host_str() else {
        return false;
    };
    match tokio::net::lookup_host((host, 0)).await {
        Ok(mut found) => found.all(|address: SocketAddr| address.ip().to_canonical().is_loopback()),
        // Then lakeFS itself cannot be reached either.
        Err(_) => false,
    }
}

fn host_of(url: &str) -> Option<String> {
    Some(Url::parse(url).ok()?.host_str()?.to_owned())
}

/// The address that stands where a name could: no resolver sees it.
fn literal(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn is_read(endpoint: &str, url: &str) -> bool {
        let guard = Guard::new(endpoint.parse().unwrap(), &Network::default());
        guard.check(&url.parse().unwrap()).await.is_ok()
    }

    #[tokio::test]
    async fn a_url_leads_no_nearer_than_lakefs_itself_is() {
        for (endpoint, url, read) in [
            ("https://lake", "https://bucket.s3.amazonaws.com/x", true),
            ("https://lake", "http://bucket.s3.amazonaws.com/x", false),
            ("http://lake.example", "http://minio:9000/x", true),
            ("https://lake", "https://10.0.0.7/x", true),
            ("https://10.0.0.1", "https://127.0.0.1/x", false),
            ("https://10.0.0.1", "https://[::1]/x", false),
            ("https://10.0.0.1", "https://[::ffff:127.0.0.1]/x", false),
            ("http://127.0.0.1:8000", "http://127.0.0.1:9000/x", true),
            ("http://localhost:8000", "http://[::1]:9000/x", true),
            (
                "http://127.0.0.1:8000",
                "http://169.254.169.254/latest/meta-data",
                false,
            ),
            ("http://127.0.0.1:8000", "http://[fd00:ec2::254]/latest", false),
            ("http://127.0.0.1:8000", "http://0.0.0.0:1/x", false),
            ("https://10.0.0.1", "https://2130706433/x", false),
            ("https://lake", "file:///etc/passwd", false),
            ("https://lake", "s3://bucket/x", false),
        ] {
            // A name that stands for lakeFS is asked for only where a loopback address comes up.
            assert_eq!(is_read(endpoint, url).await, read, "{endpoint} {url}");
        }
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_resolved_and_refused() {
        let guard = Guard::new("https://10.0.0.1".parse().unwrap(), &Network::default());
        let name: Name = "localhost".parse().unwrap();
        let refused = guard.resolve(name).await.err().unwrap();
        assert!(refused.is::<RefusedAddress>(), "{refused}");
        let guard = Guard::new("http://127.0.0.1:8000".parse().unwrap(), &Network::default());
        let name: Name = "localhost".parse().unwrap();
        assert!(
            guard
                .resolve(name)
                .await
                .unwrap()
                .all(|address| address.ip().is_loopback())
        );
    }

    #[tokio::test]
    async fn a_proxy_may_be_on_this_machine_and_a_url_may_not_lead_to_it() {
        let network = Network {
            https_proxy: Some("user:hunter2@localhost:3128".to_owned()),
            ..Network::default()
        };
        let guard = Guard::new("https://10.0.0.1".parse().unwrap(), &network);
        let name: Name = "localhost".parse().unwrap();
        assert!(guard.resolve(name).await.is_ok());
        let url = "https://LOCALHOST/latest/meta-data".parse().unwrap();
        assert!(guard.check(&url).await.is_err());
    }
}
