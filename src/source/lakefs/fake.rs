//! Small servers for the tests of this room.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;

use super::{LakeFsClient, LakeFsConfig, LakeFsKeys, LakeFsRetryConfig};

/// A secret that must not come up anywhere.
pub(super) const SECRET: &str = "hunter2";

/// One request as it came in.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// As it was sent, or the whole URL where this is asked as a proxy.
    pub(super) target: String,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    /// How many came before it.
    pub(super) before: usize,
}

impl Seen {
    /// A parameter of the query, decoded.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        let url = reqwest::Url::parse(&format!("http://h{}", self.target)).unwrap();
        url.query_pairs()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A server that answers what a function says.
pub(super) struct Fake {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    pub(super) async fn serve(answer: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (noted, answer) = (Arc::clone(&seen), Arc::new(answer));
        let handler = move |request: Request| {
            let (noted, answer) = (Arc::clone(&noted), Arc::clone(&answer));
            async move {
                let seen = {
                    let mut all = noted.lock().unwrap();
                    let seen = Seen {
                        target: request.uri().to_string(),
                        path: request.uri().path().to_owned(),
                        headers: request.headers().clone(),
                        before: all.len(),
                    };
                    all.push(seen.clone());
                    seen
                };
                let answer = answer(&seen);
                if let Some(wait) = answer.extensions().get::<Wait>() {
                    tokio::time::sleep(wait.0).await;
                }
                answer
            }
        };
        let router = Router::new().fallback(handler);
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self { address, seen, task }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many requests had a path with this in it.
    pub(super) fn count(&self, part: &str) -> usize {
        self.seen().iter().filter(|seen| seen.target.contains(part)).count()
    }

    /// A client of it that does not wait long.
    pub(super) fn client(&self) -> LakeFsClient {
        LakeFsClient::new(self.config()).unwrap()
    }

    pub(super) fn config(&self) -> LakeFsConfig {
        config(&self.url())
    }
}

pub(super) fn config(endpoint: &str) -> LakeFsConfig {
    let keys = LakeFsKeys {
        access_key_id: "AKIATEST".to_owned(),
        secret_access_key: SECRET.to_owned(),
    };
    LakeFsConfig {
        retry: LakeFsRetryConfig {
            max_attempts: 3,
            min_wait_interval: Duration::from_millis(1),
            max_wait_interval: Duration::from_millis(5),
        },
        ..LakeFsConfig::new(endpoint.parse().unwrap(), keys)
    }
}

#[derive(Clone)]
struct Wait(Duration);

/// Lets an answer wait longer than anybody does.
pub(super) fn never(mut response: Response) -> Response {
    response.extensions_mut().insert(Wait(Duration::from_secs(3_600)));
    response
}

#[expect(clippy::needless_pass_by_value, reason = "texts and values are given alike")]
pub(super) fn json(status: u16, body: impl ToString) -> Response {
    typed(status, "application/json", body.to_string())
}

pub(super) fn typed(status: u16, content_type: &str, body: impl Into<Body>) -> Response {
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .header(header::CONTENT_TYPE, content_type)
        .body(body.into())
        .unwrap()
}

/// An error as lakeFS answers it.
pub(super) fn error(status: u16, message: &str) -> Response {
    json(status, serde_json::json!({ "message": message }))
}

pub(super) fn redirect(location: &str) -> Response {
    Response::builder()
        .status(StatusCode::FOUND)
        .header(header::LOCATION, location)
        .body(Body::empty())
        .unwrap()
}

/// Begins to send `body` as a part of `length` bytes, and breaks off behind it.
pub(super) fn cut(status: u16, content_type: &str, body: &[u8], length: usize) -> Response {
    let chunks = [Ok(Bytes::copy_from_slice(body)), Err(std::io::Error::other("cut"))];
    let mut response = typed(status, content_type, Body::from_stream(futures::stream::iter(chunks)));
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    response
}

/// Answers as the recorded server did: of several answers to one request one after the other, then the last.
pub(super) struct Recording {
    exchanges: Mutex<Vec<(bool, serde_json::Value)>>,
}

impl Recording {
    pub(super) fn read(name: &str) -> Self {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/lakefs");
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let exchanges = text.lines().map(|line| (false, serde_json::from_str(line).unwrap()));
        Self {
            exchanges: Mutex::new(exchanges.collect()),
        }
    }

    pub(super) fn answer(&self, seen: &Seen) -> Response {
        let url = reqwest::Url::parse(&format!("http://h{}", seen.target)).unwrap();
        let path = percent_encoding::percent_decode_str(url.path())
            .decode_utf8()
            .unwrap()
            .into_owned();
        let query: std::collections::BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let mut exchanges = self.exchanges.lock().unwrap();
        let is_it = |exchange: &serde_json::Value| {
            let recorded = exchange["path"].as_str().unwrap();
            let recorded = percent_encoding::percent_decode_str(recorded).decode_utf8().unwrap();
            let asked = exchange["query"].as_object().unwrap();
            exchange["method"] == "GET"
                && recorded == path.as_str()
                && asked.len() == query.len()
                && asked.iter().all(|(name, value)| {
                    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    query.get(name) == Some(&value)
                })
        };
        let fresh = exchanges.iter().position(|(used, exchange)| !used && is_it(exchange));
        let at = fresh.or_else(|| exchanges.iter().rposition(|(_, exchange)| is_it(exchange)));
        let Some(at) = at else {
            panic!("{} was not recorded", seen.target)
        };
        exchanges[at].0 = true;
        response_of(&exchanges[at].1)
    }
}

fn response_of(exchange: &serde_json::Value) -> Response {
    use base64::Engine as _;

    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/lakefs");
    let body = if let Some(file) = exchange["body_file"].as_str() {
        std::fs::read(folder.join(file)).unwrap()
    } else if let Some(text) = exchange["body_base64"].as_str() {
        base64::engine::general_purpose::STANDARD.decode(text).unwrap()
    } else if exchange["body"].is_null() {
        Vec::new()
    } else {
        exchange["body"].to_string().into_bytes()
    };
    let mut response = Response::builder().status(u16::try_from(exchange["status"].as_u64().unwrap()).unwrap());
    for (name, value) in exchange["headers"].as_object().unwrap() {
        // What was recorded of an object that happens to be JSON may be spaced otherwise.
        if name != "Content-Length" {
            response = response.header(name, value.as_str().unwrap());
        }
    }
    response.body(Body::from(body)).unwrap()
}
