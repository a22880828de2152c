//! The six requests that a transfer consists of, over connections of our own.
//!
//! The SDK spends a few hundred microseconds of CPU on a request, nearly all of it on its own machinery. Here a
//! request is a list of headers, a signature, and a connection that is driven by whoever waits for the reply, so that
//! no request changes threads. Finding credentials and the endpoint stays with the SDK, and so does all that is rare.
//!
//! The client has the SDK's face for the six: what describes a request and what reads its reply is written once, for
//! both.

mod body;
mod call;
mod connection;
mod connections;
mod credentials;
mod dialer;
mod endpoint;
mod reply;
mod signer;
mod xml;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::PROXY_AUTHORIZATION;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};

use self::body::{Expected, SentBody};
use self::call::{Call, Outgoing};
use self::connection::{Broken, Connection};
use self::connections::Connections;
use self::credentials::CachedCredentials;
use self::dialer::Dialer;
use self::endpoint::Endpoint;
use self::reply::{BatchReply, CopyReply, ObjectReply, WrittenReply};
use self::signer::{Identity, Moment, Signable};
use super::config::{S3Config, S3ConfigError};
use super::error::Failure;
use super::settings::Settings;
use crate::store::RequestKind;

pub(super) use self::reply::ReplyBody;

/// From this size on a body waits until the store says that it wants it: what is refused is not sent then. Below, the
/// round trip costs more than the bytes.
const ASK_BEFORE_BYTES: usize = 2 << 20;

const USER_AGENT: &str = concat!("lakesync/", env!("CARGO_PKG_VERSION"));

/// What every lean client is made of; checked once, so that new connections cannot fail for it.
pub(super) struct LeanPlan {
    endpoint: Endpoint,
    credentials: CachedCredentials,
    dialer: Dialer,
    /// How many connections are kept open between requests.
    most_idle: usize,
}

impl LeanPlan {
    /// Reads what the settings of the SDK say; `None` where only the SDK can do it.
    pub(super) async fn new(config: &S3Config, settings: &Settings) -> Result<Option<Self>, S3ConfigError> {
        let Some(credentials) = settings.credentials.clone() else {
            return Ok(None);
        };
        let Some(endpoint) = endpoint::as_the_sdk_has_it(settings.of_client.clone(), &config.bucket).await else {
            tracing::debug!("the endpoint is not a plain one; the SDK sends all requests");
            return Ok(None);
        };
        let Some(dialer) = Dialer::new(config, &endpoint)? else {
            tracing::debug!("the way to the proxy is encrypted; the SDK sends all requests");
            return Ok(None);
        };
        Ok(Some(Self {
            endpoint,
            credentials: CachedCredentials::new(credentials),
            dialer,
            most_idle: config.concurrency.max(1),
        }))
    }
}

/// Sends the six requests; clones share their connections.
#[derive(Clone)]
pub(super) struct LeanClient {
    plan: Arc<LeanPlan>,
    connections: Arc<Connections>,
}

impl LeanClient {
    /// Has no connections yet.
    pub(super) fn new(plan: &Arc<LeanPlan>) -> Self {
        Self {
            plan: Arc::clone(plan),
            connections: Arc::new(Connections::new(plan.most_idle)),
        }
    }

    /// Whether the two use the same connections.
    #[cfg(test)]
    pub(super) fn shares_connections_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.connections, &other.connections)
    }

    pub(super) fn put_object(&self) -> Call<WrittenReply> {
        Call::new(self, Method::PUT, RequestKind::Put)
    }

    pub(super) fn upload_part(&self) -> Call<WrittenReply> {
        Call::new(self, Method::PUT, RequestKind::UploadPart)
    }

    pub(super) fn copy_object(&self) -> Call<CopyReply> {
        Call::new(self, Method::PUT, RequestKind::Copy)
    }

    pub(super) fn upload_part_copy(&self) -> Call<CopyReply> {
        Call::new(self, Method::PUT, RequestKind::UploadPartCopy)
    }

    pub(super) fn get_object(&self) -> Call<ObjectReply> {
        Call::new(self, Method::GET, RequestKind::Get)
    }

    pub(super) fn delete_objects(&self) -> Call<BatchReply> {
        Call::new(self, Method::POST, RequestKind::DeleteMany)
    }

    /// What to sign with now.
    async fn identity(&self) -> Result<Arc<Identity>, Failure> {
        let identity = self.plan.credentials.get().await;
        identity.map_err(|error| Failure::of_credentials(&error))
    }

    /// Has the credentials looked up again before the next request, since the store would not take them.
    fn doubt(&self, identity: &Arc<Identity>) {
        self.plan.credentials.doubt(identity);
    }

    /// Signs and sends; the reply may be any, and its body is still to come.
    async fn exchange(&self, identity: &Identity, outgoing: Outgoing) -> Result<Response<ReplyBody>, Failure> {
        let payload = outgoing.payload().await;
        let Outgoing {
            method,
            path,
            query,
            mut headers,
            body,
            ..
        } = outgoing;
        let endpoint = &self.plan.endpoint;
        let moment = Moment::now();
        headers.push(("host".into(), endpoint.authority.clone()));
        headers.push(("x-amz-content-sha256".into(), payload.clone().into_owned()));
        headers.push(("x-amz-date".into(), moment.text().to_owned()));
        if let Some(token) = &identity.session_token {
            headers.push(("x-amz-security-token".into(), token.clone()));
        }
        let asks = body.len() >= ASK_BEFORE_BYTES;
        if asks {
            headers.push(("expect".into(), "100-continue".to_owned()));
        }
        headers.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        let path = endpoint.path(&path);
        let authorization = identity.sign(
            endpoint,
            &moment,
            &Signable {
                method: method.as_str(),
                path: &path,
                query: &query,
                headers: &headers,
                payload: &payload,
            },
        );
        let target = match self.plan.dialer.forward() {
            Some(_) => format!("{}{path}?{query}", endpoint.origin()),
            None => format!("{path}?{query}"),
        };
        let (body, expected) = if asks {
            SentBody::asking(body)
        } else {
            (SentBody::new(body), None)
        };
        let request = self.request(method, target, headers, authorization, body, expected);
        let request = request.map_err(|error| Failure::of_request(&error))?;
        self.converse(request).await
    }

    fn request(
        &self,
        method: Method,
        target: String,
        headers: call::Headers,
        authorization: String,
        body: SentBody,
        expected: Option<Arc<Expected>>,
    ) -> Result<Request<SentBody>, http::Error> {
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header("user-agent", HeaderValue::from_static(USER_AGENT));
        for (name, value) in headers {
            let is_secret = name == "x-amz-security-token";
            let name = match name {
                Cow::Borrowed(name) => HeaderName::from_static(name),
                Cow::Owned(name) => HeaderName::try_from(name)?,
            };
            let mut value = HeaderValue::from_maybe_shared(Bytes::from(value))?;
            value.set_sensitive(is_secret);
            request = request.header(name, value);
        }
        let mut value = HeaderValue::from_maybe_shared(Bytes::from(authorization))?;
        value.set_sensitive(true);
        request = request.header("authorization", value);
        if let Some(Some(value)) = self.plan.dialer.forward() {
            request = request.header(PROXY_AUTHORIZATION, value);
        }
        let mut request = request.body(body)?;
        if let Some(expected) = expected {
            hyper::ext::on_informational(&mut request, move |reply| {
                if reply.status() == StatusCode::CONTINUE {
                    expected.is_wanted();
                }
            });
        }
        Ok(request)
    }

    /// Sends over a connection that is open, or over a new one. One that turns out to be closed before anything was
    /// sent is as good as none.
    async fn converse(&self, mut request: Request<SentBody>) -> Result<Response<ReplyBody>, Failure> {
        loop {
            let (mut connection, is_new) = match self.connections.take() {
                Some(connection) => (connection, false),
                None => (Box::new(self.dial().await?), true),
            };
            match connection.exchange(request).await {
                Ok(reply) => {
                    let kept = Arc::clone(&self.connections);
                    return Ok(reply.map(|body| ReplyBody::new(body, connection, kept)));
                }
                Err(Broken {
                    unsent: Some(again), ..
                }) if !is_new => request = *again,
                Err(Broken { error, .. }) => return Err(Failure::of_silence(&error)),
            }
        }
    }

    async fn dial(&self) -> Result<Connection, Failure> {
        let dialled = self.plan.dialer.dial().await;
        dialled.map_err(|error| Failure::of_dialling(&error))
    }
}
