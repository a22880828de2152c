//! As much of HTTP/1.1 as it takes to see where a message ends.

use std::io::{Error, ErrorKind, Result};

use lakesync::store::RequestKind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Seen;

/// A first line and headers; SeaweedFS and the SDK stay far below this.
const HEAD_LIMIT_BYTES: usize = 256 * 1024;

/// More than this of a body is not read before it is known what becomes of its request.
const WAITING_LIMIT_BYTES: usize = 1024 * 1024;

/// What S3 says when it wants less.
const SLOW_DOWN: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SlowDown</Code>\
    <Message>Please reduce your request rate.</Message></Error>";

/// One side of the door.
pub struct Connection {
    stream: TcpStream,
    /// What was read beyond the last message.
    pending: Vec<u8>,
}

/// The first line and the headers of a message, as they came.
pub struct Head {
    raw: Vec<u8>,
    first_line: String,
    headers: Vec<(String, String)>,
}

enum Body {
    Length(u64),
    Chunked,
    TillClosed,
}

impl Connection {
    pub fn new(stream: TcpStream) -> Self {
        // Otherwise small requests wait for each other's acknowledgements.
        stream.set_nodelay(true).expect("a fresh socket takes options");
        Self {
            stream,
            pending: Vec::new(),
        }
    }

    async fn fill(&mut self) -> Result<usize> {
        self.pending.reserve(64 * 1024);
        self.stream.read_buf(&mut self.pending).await
    }

    /// Reads up to the empty line; `None` where the peer closed between two messages.
    pub async fn read_head(&mut self) -> Result<Option<Head>> {
        loop {
            if let Some(end) = self.pending.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = self.pending.split_off(end + 4);
                let raw = std::mem::replace(&mut self.pending, rest);
                return Ok(Some(Head::parse(raw)));
            }
            if self.pending.len() > HEAD_LIMIT_BYTES {
                return Err(Error::new(ErrorKind::InvalidData, "a head without an end"));
            }
            if self.fill().await? == 0 {
                return if self.pending.is_empty() {
                    Ok(None)
                } else {
                    Err(ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    /// Waits until the peer has closed; what it sends meanwhile is kept.
    pub async fn gone(&mut self) {
        while self.pending.len() < WAITING_LIMIT_BYTES {
            if !matches!(self.fill().await, Ok(1..)) {
                return;
            }
        }
        std::future::pending::<()>().await;
    }

    /// Answers a request with 503; whether the connection can be used again.
    pub async fn refuse(&mut self, request: &Head) -> Result<bool> {
        // The body of a request that waits for our word never comes; one without a length is not worth following.
        let open = request.header("expect").is_none() && !request.chunked();
        if open {
            let mut left = request.length().unwrap_or(0);
            while left > 0 {
                if self.pending.is_empty() && self.fill().await? == 0 {
                    return Ok(false);
                }
                let now = self.pending.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                self.pending.drain(..now);
                left -= now as u64;
            }
        }
        let body = if request.first_line.starts_with("HEAD ") {
            ""
        } else {
            SLOW_DOWN
        };
        let connection = if open { "keep-alive" } else { "close" };
        let reply = format!(
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\
             Connection: {connection}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(reply.as_bytes()).await?;
        Ok(open && !request.closes())
    }

    /// Passes a request on with its body, and reads the head of the final reply.
    pub async fn pass_request(&mut self, request: &Head, server: &mut Self) -> Result<Head> {
        server.stream.write_all(&request.raw).await?;
        if request.header("expect").is_some() {
            let reply = server.reply().await?;
            if reply.status() != Some(100) {
                return Ok(reply);
            }
            self.stream.write_all(&reply.raw).await?;
        }
        let sent = self.pass_body(request.request_body(), server).await;
        // A client that died in the middle; the server would wait for the rest.
        sent.as_ref().or_else(|error| {
            if error.kind() == ErrorKind::UnexpectedEof {
                Err(error.kind())
            } else {
                Ok(&())
            }
        })?;
        let reply = loop {
            let reply = server.reply().await?;
            if reply.status() != Some(100) {
                break reply;
            }
        };
        // A server may refuse before it has read all; then its reply counts and not the broken pipe.
        if reply.status().is_some_and(|status| status < 300) {
            sent?;
        }
        Ok(reply)
    }

    /// Passes a reply on with its body; whether the connection can be used again.
    pub async fn pass_reply(&mut self, request: &Head, reply: &Head, client: &mut Self) -> Result<bool> {
        client.stream.write_all(&reply.raw).await?;
        let body = reply.reply_body(request);
        let open = !matches!(body, Body::TillClosed) && !reply.closes() && !request.closes();
        self.pass_body(body, client).await?;
        Ok(open)
    }

    async fn reply(&mut self) -> Result<Head> {
        self.read_head().await?.ok_or_else(|| ErrorKind::UnexpectedEof.into())
    }

    async fn pass_body(&mut self, body: Body, to: &mut Self) -> Result<()> {
        match body {
            Body::Length(length) => self.pass_bytes(length, to).await,
            Body::Chunked => loop {
                let line = self.read_line().await?;
                to.stream.write_all(&line).await?;
                let text = String::from_utf8_lossy(&line);
                let size = text.split(';').next().unwrap_or_default().trim();
                let size = u64::from_str_radix(size, 16).map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
                if size > 0 {
                    self.pass_bytes(size + 2, to).await?;
                    continue;
                }
                // Trailers, up to and with the empty line.
                loop {
                    let line = self.read_line().await?;
                    to.stream.write_all(&line).await?;
                    if line == b"\r\n" {
                        return Ok(());
                    }
                }
            },
            Body::TillClosed => loop {
                to.stream.write_all(&self.pending).await?;
                self.pending.clear();
                if self.fill().await? == 0 {
                    return Ok(());
                }
            },
        }
    }

    async fn pass_bytes(&mut self, mut left: u64, to: &mut Self) -> Result<()> {
        while left > 0 {
            if self.pending.is_empty() && !matches!(self.fill().await, Ok(1..)) {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let now = self.pending.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            to.stream.write_all(&self.pending[..now]).await?;
            self.pending.drain(..now);
            left -= now as u64;
        }
        Ok(())
    }

    async fn read_line(&mut self) -> Result<Vec<u8>> {
        loop {
            if let Some(end) = self.pending.windows(2).position(|two| two == b"\r\n") {
                let rest = self.pending.split_off(end + 2);
                return Ok(std::mem::replace(&mut self.pending, rest));
            }
            if self.fill().await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

impl Head {
    fn parse(raw: Vec<u8>) -> Self {
        let text = String::from_utf8_lossy(&raw);
        let mut lines = text.split("\r\n");
        let first_line = lines.next().unwrap_or_default().to_owned();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Self {
            first_line,
            headers,
            raw,
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(have, _)| have == name)
            .map(|(_, value)| value.as_str())
    }

    fn closes(&self) -> bool {
        self.header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    fn chunked(&self) -> bool {
        self.header("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    }

    fn length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    /// The status, where this is the head of a reply.
    pub fn status(&self) -> Option<u16> {
        self.first_line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()
    }

    fn request_body(&self) -> Body {
        if self.chunked() {
            Body::Chunked
        } else {
            Body::Length(self.length().unwrap_or(0))
        }
    }

    fn reply_body(&self, request: &Self) -> Body {
        let none = request.first_line.starts_with("HEAD ") || matches!(self.status(), Some(204 | 304));
        if none {
            Body::Length(0)
        } else if self.chunked() {
            Body::Chunked
        } else {
            self.length().map_or(Body::TillClosed, Body::Length)
        }
    }

    /// What a request is, as S3 sees it; the path is `/bucket` or `/bucket/key`.
    pub fn seen(&self) -> Seen {
        let mut words = self.first_line.split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let target = words.next().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (bucket, key) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
        let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
        let kind = if bucket.len() < 2 {
            None
        } else {
            kind(
                &method,
                !key.is_empty(),
                has,
                self.header("x-amz-copy-source").is_some(),
            )
        };
        Seen {
            method,
            kind,
            key: decoded(key),
            body_bytes: self.length().unwrap_or(0),
            status: None,
        }
    }
}

fn kind(method: &str, on_key: bool, has: impl Fn(&str) -> bool, copies: bool) -> Option<RequestKind> {
    let kind = match (method, on_key) {
        ("GET", true) => RequestKind::Get,
        ("HEAD", true) => RequestKind::Head,
        ("GET", false) if has("uploads") => RequestKind::ListUploads,
        ("GET", false) if has("versioning") || has("lifecycle") || has("location") => RequestKind::BucketFacts,
        ("HEAD", false) => RequestKind::BucketFacts,
        ("GET", false) => RequestKind::List,
        ("PUT", true) if has("uploadId") && copies => RequestKind::UploadPartCopy,
        ("PUT", true) if has("uploadId") => RequestKind::UploadPart,
        ("PUT", true) if copies => RequestKind::Copy,
        ("PUT", true) => RequestKind::Put,
        ("POST", true) if has("uploads") => RequestKind::CreateUpload,
        ("POST", true) if has("uploadId") => RequestKind::CompleteUpload,
        ("DELETE", true) if has("uploadId") => RequestKind::AbortUpload,
        ("DELETE", true) => RequestKind::Delete,
        ("POST", false) if has("delete") => RequestKind::DeleteMany,
        _ => return None,
    };
    Some(kind)
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = (*first == b'%').then(|| tail.get(..2)).flatten();
        let code = code.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
