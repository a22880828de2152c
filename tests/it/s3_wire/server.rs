//! A server that answers as it is told, however wrong, and remembers what it was sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came over the wire.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// How many connections were made before this one.
    pub connection: usize,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What to send back.
#[derive(Clone, Debug)]
pub struct Answer {
    chunks: Vec<Vec<u8>>,
    pause: Duration,
    close: bool,
    never: bool,
}

impl Answer {
    /// An answer with the usual headers; lines end in a line feed here and as HTTP wants it on the wire.
    pub fn new(status: u16, headers: &str, body: &str) -> Self {
        let headers = headers.trim().replace('\n', "\r\n");
        let lines = if headers.is_empty() {
            headers
        } else {
            format!("{headers}\r\n")
        };
        Self::raw(format!(
            "HTTP/1.1 {status} X\r\nDate: Mon, 23 Nov 2026 03:00:22 GMT\r\n{lines}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    /// An error as S3 words it.
    pub fn error(status: u16, code: &str) -> Self {
        let message = format!("the words for {code}");
        let body = format!("<Error><Code>{code}</Code><Message>{message}</Message><RequestId>REQ1</RequestId></Error>");
        Self::new(status, "Content-Type: application/xml", &body)
    }

    /// A write that was done.
    pub fn written() -> Self {
        Self::new(200, "ETag: \"e1\"", "")
    }

    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            chunks: vec![bytes.into()],
            pause: Duration::ZERO,
            close: false,
            never: false,
        }
    }

    /// Closes the connection afterwards, without having said so.
    pub fn then_close(self) -> Self {
        Self { close: true, ..self }
    }

    /// Sends more, a little later.
    pub fn then_slowly(mut self, bytes: &[u8]) -> Self {
        self.chunks.push(bytes.to_vec());
        self.pause = Duration::from_millis(20);
        self
    }

    /// Never answers.
    pub fn never() -> Self {
        Self {
            never: true,
            ..Self::raw("")
        }
    }
}

type Script = dyn Fn(usize, &Seen) -> Answer + Send + Sync;

/// A server on a port of its own, which goes with it.
pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Answers request number n, from 0, as the script says.
    pub async fn start(script: impl Fn(usize, &Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Script> = Arc::new(script);
        let log = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, connection, Arc::clone(&script), Arc::clone(&log)));
            }
        });
        Self { address, seen, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// Serves one connection until it ends.
async fn serve(mut stream: TcpStream, connection: usize, script: Arc<Script>, log: Arc<Mutex<Vec<Seen>>>) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer, connection).await {
        let answer = {
            let mut log = log.lock().unwrap();
            let answer = script(log.len(), &request);
            log.push(request);
            answer
        };
        if answer.never {
            std::future::pending::<()>().await;
        }
        for chunk in &answer.chunks {
            tokio::time::sleep(answer.pause).await;
            if stream.write_all(chunk).await.is_err() {
                return;
            }
        }
        if answer.close {
            return;
        }
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>, connection: usize) -> Option<Seen> {
    let head = loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = buffer.split_off(end + 4);
            break String::from_utf8(std::mem::replace(buffer, rest)).unwrap();
        }
        more(stream, buffer).await?;
    };
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let mut request = Seen {
        method: first.next()?.to_owned(),
        target: first.next()?.to_owned(),
        headers: lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect(),
        body: Vec::new(),
        connection,
    };
    let length = request.header("content-length").map_or(0, |text| text.parse().unwrap());
    while buffer.len() < length {
        more(stream, buffer).await?;
    }
    let rest = buffer.split_off(length);
    request.body = std::mem::replace(buffer, rest);
    Some(request)
}

async fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    match stream.read_buf(buffer).await {
        Ok(read) if read > 0 => Some(()),
        _ => None,
    }
}
