//! As much of an HTTP client as it takes to send what a good client would not.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::process::PATIENCE;

/// A request, with just the headers that it was given.
pub struct Request {
    method: String,
    path: String,
    host: Option<String>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    head: String,
    body: Vec<u8>,
}

impl Request {
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            host: None,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub fn host(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.header("Content-Type", "application/json").body(body.to_string())
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The bytes of the head.
    pub fn head(&self, address: &str) -> String {
        let host = self.host.as_deref().unwrap_or(address);
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n",
            self.method, self.path
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.body.is_empty() || self.method == "POST" {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head + "\r\n"
    }

    pub async fn send(self, address: &str) -> Reply {
        let exchange = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(self.head(address).as_bytes()).await.unwrap();
            // A server that refuses need not read the whole body.
            let _refused = stream.write_all(&self.body).await;
            let mut bytes = Vec::new();
            // Some servers leave a connection open that they were asked to close. An end may also be a reset.
            while !is_whole(&bytes) && stream.read_buf(&mut bytes).await.is_ok_and(|length| length > 0) {}
            Reply::parse(&bytes)
        };
        tokio::time::timeout(PATIENCE, exchange)
            .await
            .expect("the server hangs")
    }
}

/// Where the head of a reply ends.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n")
}

/// Whether these are all bytes of a reply that says how many it has.
fn is_whole(bytes: &[u8]) -> bool {
    let Some(end) = end_of_head(bytes) else { return false };
    let head = Reply::parse(&bytes[..end + 4]);
    let length = head.header("content-length").and_then(|length| length.parse().ok());
    length.is_some_and(|length: usize| bytes.len() >= end + 4 + length)
}

impl Reply {
    fn parse(bytes: &[u8]) -> Self {
        let end = end_of_head(bytes).expect("a reply has a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self {
            status,
            head,
            body: bytes[end + 4..].to_vec(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let found = lines.find(|(header, _)| header.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// What went wrong; each error has the same shape and a cure.
    pub fn error(&self) -> String {
        let body = self.json();
        assert!(
            body["error"]["cure"].as_str().is_some_and(|cure| !cure.is_empty()),
            "{}",
            self.text()
        );
        body["error"]["message"].as_str().unwrap_or_default().to_owned()
    }
}
