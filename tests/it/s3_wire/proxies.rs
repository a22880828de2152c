//! Proxies and certificates.

use std::io::Write as _;

use lakesync::network::{Network, NetworkError};
use lakesync::store::{Condition, Put, S3ConfigError, S3Store, Store as _, StoreErrorKind};

use super::server::{Answer, Server};
use super::{config, key};

#[tokio::test]
async fn plain_requests_go_through_the_http_proxy() {
    let proxy = Server::start(|_, _| Answer::written()).await;
    let mut config = config("http://s3.example.test:8333");
    config.network.http_proxy = Some(format!("http://me:CANARY@{}", proxy.address));
    assert!(!format!("{config:?}").contains("CANARY"));
    let store = S3Store::connect(config).await.unwrap();
    store.put(&key("a"), Put::new("x", Condition::Always)).await.unwrap();
    let seen = &proxy.seen()[0];
    assert!(
        seen.target.starts_with("http://s3.example.test:8333/bucket/a"),
        "{}",
        seen.target
    );
    assert_eq!(seen.header("proxy-authorization"), Some("Basic bWU6Q0FOQVJZ"));
}

#[tokio::test]
async fn encrypted_requests_go_through_a_tunnel() {
    let proxy = Server::start(|_, _| Answer::new(403, "", "")).await;
    let mut config = config("https://s3.example.test");
    config.network.https_proxy = Some(format!("http://{}", proxy.address));
    let store = S3Store::connect(config).await.unwrap();
    let error = store.head(&key("a")).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unreachable);
    let seen = &proxy.seen()[0];
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("CONNECT", "s3.example.test:443")
    );
}

#[tokio::test]
async fn each_scheme_has_its_own_proxy_and_some_hosts_have_none() {
    let proxy = Server::start(|_, _| Answer::new(500, "", "")).await;
    let server = Server::start(|_, _| Answer::written()).await;
    let other = Some(format!("http://{}", proxy.address));
    for direct in [
        Network {
            https_proxy: other.clone(),
            ..Network::default()
        },
        Network {
            http_proxy: other.clone(),
            no_proxy: Some("example.com,127.0.0.0/8".to_owned()),
            ..Network::default()
        },
    ] {
        let mut config = config(&server.url());
        config.network = direct;
        let store = S3Store::connect(config).await.unwrap();
        store.put(&key("a"), Put::new("x", Condition::Always)).await.unwrap();
    }
    assert_eq!((proxy.seen().len(), server.seen().len()), (0, 2));
}

#[tokio::test]
async fn a_proxy_that_is_no_url_is_named_by_its_variable_and_not_shown() {
    let mut config = config("http://127.0.0.1:1");
    config.network.https_proxy = Some("socks9://me:CANARY@host".to_owned());
    let error = S3Store::connect(config).await.unwrap_err();
    assert!(matches!(error, S3ConfigError::Network(NetworkError::Proxy { .. })));
    let text = format!("{error} {error:?}");
    assert!(text.contains("HTTPS_PROXY") && !text.contains("CANARY"), "{text}");
}

#[tokio::test]
async fn a_bundle_that_cannot_be_used_is_named_with_its_variable() {
    let mut garbage = tempfile::NamedTempFile::new().unwrap();
    writeln!(
        garbage,
        "-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydA==\n-----END CERTIFICATE-----"
    )
    .unwrap();
    let empty = tempfile::NamedTempFile::new().unwrap();
    for path in ["/no/such/bundle.pem".as_ref(), empty.path(), garbage.path()] {
        let mut config = config("http://127.0.0.1:1");
        config.network.ca_bundle = Some(path.to_owned());
        let text = S3Store::connect(config).await.unwrap_err().to_string();
        assert!(
            text.contains("AWS_CA_BUNDLE") && text.contains(path.to_str().unwrap()),
            "{text}"
        );
    }
}
