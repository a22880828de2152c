//! A small HTTP client: what tests say to lakeFS, they say through it.

use axum::body::Body;
use axum::http::{HeaderMap, Request};
use base64::Engine as _;
use bytes::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// The API of one server, with the keys of its user.
#[derive(Clone)]
pub struct Api {
    endpoint: String,
    authorization: String,
    client: Client<HttpConnector, Body>,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What is sent beside the method and the path.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// Names and values, not yet encoded.
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Api {
    pub fn new(endpoint: &str, access_key_id: &str, secret_access_key: &str) -> Self {
        let keys = format!("{access_key_id}:{secret_access_key}");
        let keys = base64::engine::general_purpose::STANDARD.encode(keys);
        Self {
            endpoint: endpoint.to_owned(),
            authorization: format!("Basic {keys}"),
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Sends one request; the path is encoded and begins with a slash. No redirect is followed, and nothing sent again.
    pub async fn send(&self, method: &str, path: &str, sent: Sent) -> Reply {
        self.try_send(method, path, sent)
            .await
            .unwrap_or_else(|problem| panic!("{method} {path}: {problem}"))
    }

    /// The same for a server that may not be there, or break off.
    pub async fn try_send(&self, method: &str, path: &str, sent: Sent) -> Result<Reply, String> {
        let query: Vec<String> = sent
            .query
            .iter()
            .map(|(name, value)| format!("{name}={}", encode(value.as_bytes())))
            .collect();
        let mut url = format!("{}{path}", self.endpoint);
        if !query.is_empty() {
            url = format!("{url}?{}", query.join("&"));
        }
        let mut request = Request::builder().method(method).uri(url);
        if !sent.headers.iter().any(|(name, _)| name == "authorization") {
            request = request.header("authorization", &self.authorization);
        }
        for (name, value) in sent.headers {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(sent.body)).map_err(|error| error.to_string())?;
        exchange(&self.client, request).await
    }
}

/// Reads a URL on any server, without keys.
pub async fn get(url: &str) -> Reply {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::get(url).body(Body::empty()).unwrap();
    exchange(&client, request)
        .await
        .unwrap_or_else(|problem| panic!("{url}: {problem}"))
}

async fn exchange(client: &Client<HttpConnector, Body>, request: Request<Body>) -> Result<Reply, String> {
    let reply = client.request(request).await.map_err(|error| format!("{error:?}"))?;
    let (head, body) = reply.into_parts();
    let body = axum::body::to_bytes(Body::new(body), usize::MAX).await;
    Ok(Reply {
        status: head.status.as_u16(),
        headers: head.headers,
        body: body.map_err(|error| error.to_string())?,
    })
}

impl Sent {
    /// A body in JSON.
    pub fn json(body: &Value) -> Self {
        Self::default()
            .header("content-type", "application/json")
            .bytes(body.to_string())
    }

    /// A value of the query.
    pub fn query(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.push((name.to_owned(), value.into()));
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn bytes(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}

impl Reply {
    /// The body, which must be JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Fails where the status is not the one that was expected.
    pub fn expect(self, status: u16) -> Self {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{body}");
        self
    }
}

/// Takes out of a text all that means something in a URL.
pub fn encode(bytes: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    bytes
        .iter()
        .map(|byte| {
            if plain(*byte) {
                char::from(*byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
