//! Sends small objects and copies to a server that swallows them, and says what each costs this process in CPU:
//! `cargo bench --bench send`.
//!
//! The server is another process, so that its share is not counted; each case is a process of its own, too. The floor is
//! hyper alone over the same connections: the same bytes, unsigned. Target: at most 80 µs a request, all included.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench is a program that prints"
)]

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper_util::rt::TokioIo;
use lakesync::model::{ETag, ObjectKey};
use lakesync::store::{
    Checksum, Condition, CopySource, HttpClient, Keys, ObjectHeaders, Put, S3Config, S3Store, Store as _,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const CASE: &str = "LAKESYNC_BENCH_CASE";
const SERVER: &str = "LAKESYNC_BENCH_SERVER";
const CASES: [&str; 5] = ["floor: hyper alone", "put, lean", "put, sdk", "copy, lean", "copy, sdk"];

/// Requests under way at once.
const AT_ONCE: usize = 32;

/// The length of an object.
const SIZE: usize = 4096;

#[tokio::main]
async fn main() {
    match (std::env::var(CASE), std::env::var(SERVER)) {
        (Ok(case), Ok(address)) => one_case(&case, &address).await,
        (Ok(_), Err(_)) => serve().await,
        _ => all_cases(),
    }
}

fn all_cases() {
    let arguments: Vec<String> = std::env::args().collect();
    let is_bench = arguments.iter().any(|argument| argument == "--bench");
    let program = std::env::current_exe().unwrap();
    let mut server = Command::new(&program)
        .env(CASE, "server")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(server.stdout.take().unwrap())
        .read_line(&mut address)
        .unwrap();
    println!("{:24} {:>10} {:>14} {:>14}", "case", "requests", "CPU each", "a second");
    for case in CASES {
        let mut child = Command::new(&program);
        child.env(CASE, case).env(SERVER, address.trim());
        if is_bench {
            child.arg("--bench");
        }
        assert!(child.status().unwrap().success(), "{case}");
    }
    server.kill().unwrap();
    server.wait().unwrap();
}

/// The CPU that this process has used.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

async fn one_case(case: &str, address: &str) {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let count = if is_bench { 20_000 } else { 200 };
    let client = if case.ends_with("sdk") {
        HttpClient::Sdk
    } else {
        HttpClient::Lean
    };
    let store = store(address, client).await;
    // Connections and keys are there before anything is counted.
    for warm in [true, false] {
        let (cpu_before, begun) = (cpu(), Instant::now());
        let requests = if warm { AT_ONCE * 2 } else { count };
        match case {
            "floor: hyper alone" => floor(address, requests).await,
            case if case.starts_with("put") => puts(&store, requests).await,
            _ => copies(&store, requests).await,
        }
        if !warm {
            let (used, took) = (cpu() - cpu_before, begun.elapsed());
            let each = used.as_secs_f64() * 1e6 / requests as f64;
            let rate = requests as f64 / took.as_secs_f64();
            println!("{case:24} {requests:>10} {each:>11.1} µs {rate:>14.0}");
        }
    }
}

async fn store(address: &str, http_client: HttpClient) -> S3Store {
    let mut config = S3Config::new("bucket".parse().unwrap());
    config.region = Some("eu-west-1".to_owned());
    config.endpoint_url = Some(format!("http://{address}"));
    config.keys = Some(Keys {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: "secret".to_owned(),
        session_token: None,
    });
    config.http_client = http_client;
    S3Store::connect(config).await.unwrap()
}

fn headers() -> ObjectHeaders {
    ObjectHeaders {
        content_type: Some("application/octet-stream".to_owned()),
        mark: Some(
            format!("01ARZ3NDEKTSV4RRFFQ69G5FAV/b3:{}", "ab".repeat(32))
                .parse()
                .unwrap(),
        ),
        ..ObjectHeaders::default()
    }
}

fn key(number: usize) -> ObjectKey {
    ObjectKey::new(format!(
        "tables/events/day={:03}/part-{number:07}.parquet",
        number / 200
    ))
}

/// Each in a task of its own, as in a transfer.
async fn all<F>(requests: usize, send: impl Fn(usize) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    stream::iter(0..requests)
        .map(|number| tokio::spawn(send(number)))
        .buffer_unordered(AT_ONCE)
        .for_each(|sent| async { sent.unwrap() })
        .await;
}

async fn puts(store: &S3Store, requests: usize) {
    let body = Bytes::from(vec![7; SIZE]);
    all(requests, |number| {
        let (store, body) = (store.clone(), body.clone());
        async move {
            let put = Put {
                headers: headers(),
                checksum: Checksum::Crc64Nvme,
                ..Put::new(body, Condition::Absent)
            };
            store.put(&key(number), put).await.unwrap();
        }
    })
    .await;
}

async fn copies(store: &S3Store, requests: usize) {
    all(requests, |number| {
        let store = store.clone();
        async move {
            let from = CopySource {
                bucket: store.bucket().clone(),
                key: key(number),
                etag: Some(ETag::new("e")),
                size: SIZE as u64,
            };
            let (to, headers) = (key(number), headers());
            let copied = store.copy(&from, &to, &Condition::Absent, &headers);
            copied.await.unwrap();
        }
    })
    .await;
}

/// The bytes of one request.
struct Whole(Option<Bytes>);

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        std::task::Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, Bytes::len) as u64)
    }
}

async fn floor(address: &str, requests: usize) {
    let body = Bytes::from(vec![7; SIZE]);
    let lanes = (0..AT_ONCE).map(|lane| {
        let (address, body) = (address.to_owned(), body.clone());
        tokio::spawn(async move {
            let stream = TcpStream::connect(&address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
                .await
                .unwrap();
            tokio::spawn(driver);
            for number in (lane..requests).step_by(AT_ONCE) {
                let request = http::Request::put(format!("/bucket/{}", key(number)))
                    .header("host", &address)
                    .body(Whole(Some(body.clone())))
                    .unwrap();
                sender.ready().await.unwrap();
                let reply = sender.send_request(request).await.unwrap();
                assert_eq!(reply.status(), 200);
            }
        })
    });
    futures::future::try_join_all(lanes).await.unwrap();
}

/// Takes whatever comes and says that it was written.
async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(swallow(stream));
    }
}

async fn swallow(mut stream: TcpStream) -> Option<()> {
    const COPIED: &str = "<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>";
    stream.set_nodelay(true).ok()?;
    let mut buffer = Vec::with_capacity(2 * SIZE);
    loop {
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            (stream.read_buf(&mut buffer).await.ok()? > 0).then_some(())?;
        };
        let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
        let length = head
            .split("content-length: ")
            .nth(1)
            .and_then(|rest| rest.lines().next());
        let length: usize = length.map_or(0, |text| text.trim().parse().unwrap());
        while buffer.len() < end + length {
            (stream.read_buf(&mut buffer).await.ok()? > 0).then_some(())?;
        }
        let body = if head.contains("x-amz-copy-source:") {
            COPIED
        } else {
            ""
        };
        buffer.drain(..end + length);
        let reply = format!(
            "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(reply.as_bytes()).await.ok()?;
    }
}
