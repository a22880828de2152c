//! Where requests go, as the SDK has it.

use std::sync::{Arc, OnceLock};

use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use http::Uri;

use crate::model::Bucket;

/// The key of the request that is never sent.
const KEY: &str = "key";

/// One bucket's place on the network, and what its signatures are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// Whether the way to it is encrypted.
    pub(super) is_secure: bool,
    /// Host and port as the `Host` header has them: without the scheme's own port.
    pub(super) authority: String,
    /// What stands before the key, without the slash between: often the bucket.
    base: String,
    /// The region that signatures are for.
    pub(super) region: String,
    /// The service that signatures are for.
    pub(super) service: String,
}

impl Endpoint {
    /// Scheme, host and port.
    pub(super) fn origin(&self) -> String {
        let scheme = if self.is_secure { "https" } else { "http" };
        format!("{scheme}://{}", self.authority)
    }

    /// The path of a key that is encoded already; without a key, of the bucket.
    pub(super) fn path(&self, key: &str) -> String {
        format!("{}/{key}", self.base)
    }

    /// Reads a request as the SDK would have sent it; `None` where it is not signed in the plain way.
    pub(super) fn of_request(uri: &str, authorization: &str) -> Option<Self> {
        let uri: Uri = uri.parse().ok()?;
        let is_secure = uri.scheme_str()? == "https";
        let authority = uri.authority()?;
        let own_port = if is_secure { 443 } else { 80 };
        let authority = match authority.port_u16() {
            Some(port) if port == own_port => authority.host(),
            _ => authority.as_str(),
        };
        let base = uri.path().strip_suffix(KEY)?.strip_suffix('/')?;
        let signed = authorization.strip_prefix("AWS4-HMAC-SHA256 Credential=")?;
        let mut scope = signed.split(',').next()?.split('/').skip(2);
        let (region, service) = (scope.next()?, scope.next()?);
        (scope.next() == Some("aws4_request")).then(|| Self {
            is_secure,
            authority: authority.to_owned(),
            base: base.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
        })
    }
}

/// Has the SDK make a request that leads nowhere, and reads where it was to go: so both clients go to the same place
/// for the same reasons, whatever region, profile, style, dual stack or FIPS say, now and in later versions.
///
/// `None` where the SDK would not send a plain request, such as for directory buckets.
pub(super) async fn as_the_sdk_has_it(settings: aws_sdk_s3::config::Builder, bucket: &Bucket) -> Option<Endpoint> {
    let nowhere = Nowhere::default();
    let settings = settings
        .http_client(nowhere.clone())
        .credentials_provider(Credentials::new("nobody", "nothing", None, None, "endpoint"));
    let client = Client::from_conf(settings.build());
    let request = client.get_object().bucket(bucket.as_str()).key(KEY);
    // It fails in any case; what it was about to do is what counts.
    let _never_sent = request.send().await;
    let (uri, authorization) = nowhere.seen.get()?;
    Endpoint::of_request(uri, authorization)
}

/// Takes one request and sends nothing.
#[derive(Clone, Debug, Default)]
struct Nowhere {
    /// Its URI and `Authorization`.
    seen: Arc<OnceLock<(String, String)>>,
}

impl HttpClient for Nowhere {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Nowhere {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let authorization = request.headers().get("authorization").unwrap_or_default();
        self.seen
            .get_or_init(|| (request.uri().to_owned(), authorization.to_owned()));
        HttpConnectorFuture::ready(Err(ConnectorError::other("leads nowhere".into(), None)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::config::{BehaviorVersion, Region};

    async fn endpoint(
        bucket: &str,
        set: impl FnOnce(aws_sdk_s3::config::Builder) -> aws_sdk_s3::config::Builder,
    ) -> Option<Endpoint> {
        let settings = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("eu-west-1"));
        as_the_sdk_has_it(set(settings), &bucket.parse().unwrap()).await
    }

    #[tokio::test]
    async fn a_bucket_is_found_where_the_sdk_has_it() {
        let plain = endpoint("bucket", |settings| settings).await.unwrap();
        assert_eq!(plain.origin(), "https://bucket.s3.eu-west-1.amazonaws.com");
        assert_eq!(plain.path("a/b"), "/a/b");
        assert_eq!((plain.region.as_str(), plain.service.as_str()), ("eu-west-1", "s3"));

        let path = endpoint("bucket", |settings| settings.force_path_style(true))
            .await
            .unwrap();
        assert_eq!(path.origin(), "https://s3.eu-west-1.amazonaws.com");
        assert_eq!(path.path("a/b"), "/bucket/a/b");

        let own = endpoint("bucket", |settings| {
            settings.endpoint_url("http://127.0.0.1:8333").force_path_style(true)
        });
        let own = own.await.unwrap();
        assert_eq!(own.origin(), "http://127.0.0.1:8333");
        assert_eq!(own.path(""), "/bucket/");

        let fips = endpoint("bucket", |settings| settings.use_fips(true)).await.unwrap();
        assert_eq!(fips.authority, "bucket.s3-fips.eu-west-1.amazonaws.com");
    }

    #[tokio::test]
    async fn the_own_port_of_a_scheme_is_left_out() {
        let own = endpoint("bucket", |settings| {
            settings.endpoint_url("http://store.test:80").force_path_style(true)
        });
        assert_eq!(own.await.unwrap().authority, "store.test");
    }

    #[tokio::test]
    async fn a_directory_bucket_is_left_to_the_sdk() {
        assert_eq!(endpoint("bucket--euw1-az1--x-s3", |settings| settings).await, None);
    }

    #[test]
    fn a_signature_of_another_kind_is_left_to_the_sdk() {
        let uri = "https://s3.test/bucket/key?x-id=GetObject";
        let plain = "AWS4-HMAC-SHA256 Credential=nobody/20261125/r/s3/aws4_request, SignedHeaders=host, Signature=0";
        assert!(Endpoint::of_request(uri, plain).is_some());
        for other in [
            "",
            "AWS4-ECDSA-P256-SHA256 Credential=nobody/20261125/s3/aws4_request, Signature=0",
        ] {
            assert_eq!(Endpoint::of_request(uri, other), None, "{other}");
        }
    }
}
