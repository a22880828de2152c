//! What the stand-in sends back.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

/// Up to this a body has a `Content-Length` although nobody set one.
const SHORT_BYTES: usize = 2048;

/// How long the first part of a body has to leave before the connection is broken.
const BEFORE_CUT: Duration = Duration::from_millis(20);

/// One answer, not yet on the wire.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

/// An answer either way: what goes wrong is an answer, too.
pub type Answered<T = Answer> = Result<T, Answer>;

impl Answer {
    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// An answer in JSON.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::of_type(status, "application/json", body.to_string())
    }

    /// An error as lakeFS words it.
    pub fn error(status: u16, message: impl AsRef<str>) -> Self {
        Self::json(status, &json!({ "message": message.as_ref() }))
    }

    /// Bytes of some type.
    pub fn of_type(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: vec![("content-type", content_type.to_owned())],
            body: body.into(),
        }
    }

    /// Says that it is elsewhere.
    pub fn redirect(location: String) -> Self {
        Self::empty(302).with("location", location)
    }

    /// The web page that stands where nothing else does.
    pub fn web_page() -> Self {
        let page = "<!doctype html>\n<html lang=\"en\"><head><title>lakeFS</title></head><body></body></html>\n";
        Self::of_type(200, "text/html; charset=utf-8", page)
    }

    /// Adds a header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Puts it on the wire; after `cut_after` bytes of the body the connection breaks.
    pub fn respond(self, cut_after: Option<usize>) -> Response<Body> {
        let status = StatusCode::from_u16(self.status).expect("a status");
        let mut response = Response::builder().status(status);
        for (name, value) in &self.headers {
            // Some bytes are legal in a key and not in a header.
            let value = value.replace(|letter: char| letter.is_control(), "?");
            response = response.header(*name, value);
        }
        let has_length = self.headers.iter().any(|(name, _)| *name == "content-length");
        // Go tells the length of a short answer by itself and sends a longer one in chunks.
        let in_chunks = !has_length && self.body.len() > SHORT_BYTES;
        let body = match cut_after {
            Some(bytes) if bytes < self.body.len() => {
                if !has_length && !in_chunks {
                    response = response.header("content-length", self.body.len());
                }
                let part = self.body.slice(..bytes);
                // What came before has to be on its way: an error at once throws it away with the connection.
                let end = async {
                    tokio::time::sleep(BEFORE_CUT).await;
                    Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
                };
                Body::from_stream(stream::iter([Ok(part)]).chain(stream::once(end)))
            }
            _ if in_chunks => Body::from_stream(stream::iter([Ok::<_, std::io::Error>(self.body)])),
            _ => Body::from(self.body),
        };
        response.body(body).expect("the headers are printable")
    }
}
