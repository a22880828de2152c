//! Crowds of clients, slow ones and greedy ones: what the server holds for them is bounded, and others are served.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::Serving;
use super::http::Request;
use crate::process::PATIENCE;

/// More than the server takes at once, be it of connections or of listeners.
const CROWD: usize = 1_000;

/// How much more memory a crowd may cost. A few connections of 20 KiB each would fit in often, and what a thousand
/// clients wait for would not fit in once if each had its own.
const MOST_BYTES: u64 = 64 << 20;

/// The bytes of memory that the server has in use now.
fn memory(serving: &Serving) -> u64 {
    let path = format!("/proc/{}/status", serving.child.id().unwrap());
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kibibytes << 10
}

fn check_memory(serving: &Serving, before: u64) {
    let grown = memory(serving).saturating_sub(before);
    println!("{} KiB more than {} KiB", grown >> 10, before >> 10);
    assert!(grown < MOST_BYTES, "{grown} bytes more than {before}");
}

async fn connected(address: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    // What the system keeps for a client is little, so that the server soon has to keep the rest.
    socket.set_recv_buffer_size(4 << 10).unwrap();
    socket.connect(address.parse().unwrap()).await.unwrap()
}

/// So many may listen; each is told some megabytes at once, and takes nothing of it.
#[tokio::test]
async fn a_thousand_listeners_are_bounded_in_number_and_memory() {
    const LISTENERS: usize = 128;
    let serving = Serving::start(&[]).await;
    // The system itself takes more than a megabyte for each of them.
    let hook = format!("true # {}", "long ".repeat(2_600));
    for number in 0..300 {
        let definition = serving.definition(&format!("out/{number}"));
        let text = format!("{definition}enabled = false\nbefore-export = \"{hook}\"\n");
        serving.define(&format!("e{number}"), &text);
    }
    serving.until("e299", |export| export["state"] == "stopped").await;
    let size = serving.get("/api/v1/exports").await.text().len();
    assert!(size > 3 << 20, "{size} bytes are too few to see anything");
    let before = memory(&serving);
    let mut asking = JoinSet::new();
    for _ in 0..CROWD {
        let address = serving.address.clone();
        asking.spawn(async move {
            let mut stream = connected(&address).await;
            let head = Request::new("GET", "/api/v1/events").head(&address);
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut begin = [0; 12];
            stream.read_exact(&mut begin).await.unwrap();
            let is_told = begin.ends_with(b" 200");
            assert!(
                is_told || begin.ends_with(b" 503"),
                "{}",
                String::from_utf8_lossy(&begin)
            );
            is_told.then_some(stream)
        });
    }
    let answers = timeout(PATIENCE, asking.join_all())
        .await
        .expect("some are never answered");
    let listening: Vec<TcpStream> = answers.into_iter().flatten().collect();
    assert_eq!(listening.len(), LISTENERS);
    check_memory(&serving, before);
    let refused = serving.get("/api/v1/events").await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.header("retry-after").is_some() && !refused.error().is_empty());
    // Meanwhile much happens that they all should hear of, and others get their answers.
    for number in 0..60 {
        let verb = if number % 2 == 0 { "start" } else { "stop" };
        let path = format!("/api/v1/exports/e{}/{verb}", number / 2);
        assert_eq!(serving.post(&path, None).await.status, 200, "{path}");
    }
    check_memory(&serving, before);
    let metrics = serving.get("/metrics").await.text();
    assert!(metrics.contains("lakesync_event_listeners 128\n"), "{metrics}");
    // Who takes nothing loses its place, without having closed anything.
    let until = Instant::now() + PATIENCE;
    while !serving
        .get("/metrics")
        .await
        .text()
        .contains("lakesync_event_listeners 0\n")
    {
        assert!(Instant::now() < until, "slow listeners keep their places");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    check_memory(&serving, before);
    drop(listening);
}

/// Says a letter now and then, so that it is never silent; until it is let go.
async fn dribble(mut stream: TcpStream, begin: String) -> Duration {
    let began = Instant::now();
    stream.write_all(begin.as_bytes()).await.unwrap();
    let (mut from, mut to) = stream.split();
    let dribbles = async {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            if to.write_all(b"a").await.is_err() {
                break;
            }
        }
    };
    let is_let_go = async {
        let mut bytes = Vec::new();
        // An end, or a reset; what counts is that it comes.
        let _reset = from.read_to_end(&mut bytes).await;
    };
    tokio::select! {
        () = dribbles => {}
        () = is_let_go => {}
    }
    began.elapsed()
}

#[tokio::test]
async fn a_thousand_slow_clients_are_let_go_and_cost_little() {
    let serving = Serving::start(&[]).await;
    assert_eq!(serving.get("/healthz").await.status, 200);
    let before = memory(&serving);
    let mut slow = JoinSet::new();
    for number in 0..CROWD {
        let address = serving.address.clone();
        let begin = match number % 2 {
            0 => format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nX-Slow: "),
            _ => format!(
                "POST /api/v1/exports HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
                 Content-Length: 60000\r\n\r\n{}",
                " ".repeat(30_000)
            ),
        };
        slow.spawn(async move { dribble(connected(&address).await, begin).await });
    }
    // Half of the crowd waits until the first half is let go; none of it need be served, and no others wait longer.
    let all = async {
        let mut longest = Duration::ZERO;
        while let Some(lasted) = slow.join_next().await {
            longest = longest.max(lasted.unwrap());
            check_memory(&serving, before);
        }
        longest
    };
    let longest = timeout(3 * PATIENCE, all)
        .await
        .expect("slow clients keep their places");
    println!("the last was let go after {longest:?}");
    assert_eq!(serving.get("/healthz").await.status, 200);
}
